import { type GetSecurityGroupsForVpcCommand, type ModifyNetworkInterfaceAttributeCommand } from "@aws-sdk/client-ec2";
import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import type { InterfaceWithGroups } from "../api/interface-groups";
import { queryClient } from "../api/query";
import { ChangeSecurityGroups } from "./change-security-groups";

const all = [
  { GroupId: "sg-1", GroupName: "default", Description: "the default" },
  { GroupId: "sg-2", GroupName: "web", Description: "web servers" },
  { GroupId: "sg-3", GroupName: "ops", Description: "operators" },
];
let there: string[]; // on the interface, at the server
let saved: (string[] | undefined)[];

vi.mock("../api/ec2", () => ({
  send: vi.fn((command: { constructor: { name: string }; input: unknown }) => {
    switch (command.constructor.name) {
      case "GetSecurityGroupsForVpcCommand": {
        const { Filters } = command.input as GetSecurityGroupsForVpcCommand["input"];
        const [f] = Filters ?? [];
        const member = f?.Name === "group-id" ? "GroupId" : f?.Name === "group-name" ? "GroupName" : "Description";
        const looked = f?.Values?.[0]?.replaceAll("*", "") ?? "";
        const exact = !f?.Values?.[0]?.includes("*");
        const found = all.filter((g) => !f || (exact ? g[member] === looked : g[member].includes(looked)));
        return Promise.resolve({ output: { SecurityGroupForVpcs: found }, revision: 1 });
      }
      case "DescribeNetworkInterfacesCommand":
        return Promise.resolve({
          output: {
            NetworkInterfaces: [{ VpcId: "vpc-1", Groups: all.filter((g) => there.includes(g.GroupId)) }],
          },
          revision: 1,
        });
      case "ModifyNetworkInterfaceAttributeCommand":
        there = (command.input as ModifyNetworkInterfaceAttributeCommand["input"]).Groups ?? [];
        saved.push(there);
        return Promise.resolve({ output: {}, revision: 7 });
      default:
        return Promise.reject(new Error(command.constructor.name));
    }
  }),
}));

const eni = (id: string, deviceIndex: number, groups = ["sg-1"]): InterfaceWithGroups => ({
  id,
  vpcId: "vpc-1",
  deviceIndex,
  address: "10.0.0.4",
  description: "",
  groups: all.filter((g) => groups.includes(g.GroupId)).map((g) => ({ id: g.GroupId, name: g.GroupName })),
});

const onClose = vi.fn();

function show(...interfaces: InterfaceWithGroups[]) {
  render(
    <MemoryRouter>
      <QueryClientProvider client={queryClient}>
        <ChangeSecurityGroups interfaces={interfaces} instance={{ id: "i-1", name: "one" }} onClose={onClose} />
      </QueryClientProvider>
    </MemoryRouter>,
  );
}

const listed = () =>
  within(screen.getByRole("table", { name: "Associated security groups" }))
    .getAllByRole("link")
    .map((link) => link.textContent);

beforeEach(() => {
  queryClient.clear();
  onClose.mockReset();
  there = ["sg-1"];
  saved = [];
});

test("a group is put in the place of another", async () => {
  const user = userEvent.setup();
  show(eni("eni-1", 0));
  const save = screen.getByRole("button", { name: "Save" });
  expect(save).toHaveProperty("disabled", true);
  await user.click(screen.getByRole("combobox", { name: "Select security groups" }));
  await user.keyboard("web");
  await user.click(await screen.findByRole("option", { name: /web/ }));
  expect(listed()).toEqual(["sg-1", "sg-2"]);
  await user.click(screen.getByRole("button", { name: "Remove default" }));
  expect(listed()).toEqual(["sg-2"]);
  expect(screen.getByText("Will be removed")).toBeTruthy();
  await user.click(save);
  await waitFor(() => expect(onClose).toHaveBeenCalledOnce());
  expect(saved).toEqual([["sg-2"]]);
});

test("a name or an id can be typed, and an unknown one is told", async () => {
  const user = userEvent.setup();
  show(eni("eni-1", 0));
  const field = screen.getByRole("combobox", { name: "Select security groups" });
  await user.type(field, "nobody");
  await user.click(screen.getByRole("button", { name: "Add security group" }));
  await screen.findByText(/No security group of this VPC is named/);
  await user.clear(field);
  await user.type(field, "sg-3{Escape}");
  await user.click(screen.getByRole("button", { name: "Add security group" }));
  await waitFor(() => expect(listed()).toEqual(["sg-1", "sg-3"]));
});

test("an interface keeps at least one group", async () => {
  const user = userEvent.setup();
  show(eni("eni-1", 0));
  await user.click(screen.getByRole("button", { name: "Remove default" }));
  await screen.findByText("A network interface has at least one security group.");
  expect(screen.getByRole("button", { name: "Save" })).toHaveProperty("disabled", true);
  await user.click(screen.getByRole("button", { name: "Keep default" }));
  expect(listed()).toEqual(["sg-1"]);
});

test("what somebody else changed meanwhile is kept and shown before it is saved", async () => {
  const user = userEvent.setup();
  show(eni("eni-1", 0));
  await user.click(screen.getByRole("combobox", { name: "Select security groups" }));
  await user.click(await screen.findByRole("option", { name: /web/ }));
  there = ["sg-1", "sg-3"];
  await user.click(screen.getByRole("button", { name: "Save" }));
  await screen.findByText("Somebody else changed the security groups meanwhile");
  expect(saved).toEqual([]);
  expect(listed()).toEqual(["sg-1", "sg-3", "sg-2"]);
  await user.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(saved).toEqual([["sg-1", "sg-3", "sg-2"]]));
});

test("of several interfaces the primary one is shown first", () => {
  show(eni("eni-1", 0), eni("eni-2", 1, ["sg-2", "sg-3"]));
  expect(screen.getByRole("button", { name: /Network interface ID/ }).textContent).toContain("eni-1 (device index 0)");
  expect(listed()).toEqual(["sg-1"]);
});
