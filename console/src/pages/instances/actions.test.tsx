import type { Instance } from "@aws-sdk/client-ec2";
import { QueryClientProvider } from "@tanstack/react-query";
import { renderHook, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { MemoryRouter } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { actionOf } from "../../api/action";
import { Refusal } from "../../api/errors";
import { queryClient } from "../../api/query";
import { useInstanceActions } from "./actions";
import { StateModal } from "./dialogs";
import { Progress } from "./progress";

let answer: (action: string) => unknown;
const asked: string[] = [];

vi.mock("../../api/ec2", async (original) => {
  const send = (command: object) => {
    const action = actionOf(command);
    asked.push(action);
    return Promise.resolve().then(() => ({ output: answer(action), revision: 1 }));
  };
  return {
    ...(await original<object>()),
    send,
    query: (command: { input: object }) => ({
      queryKey: [actionOf(command), command.input],
      queryFn: async () => (await send(command)).output,
    }),
  };
});

const images = {
  Images: [
    { ImageId: "ami-lab", Name: "netns" },
    { ImageId: "ami-ext", Name: "external" },
  ],
};

const instance = (id: string, state: string, image = "ami-lab"): Instance => ({
  InstanceId: id,
  ImageId: image,
  State: { Name: state as "running" },
});

beforeEach(() => {
  queryClient.clear();
  queryClient.setDefaultOptions({ queries: { retry: false } });
  asked.length = 0;
  answer = (action) => (action === "DescribeImages" ? images : {});
});

const wrapper = ({ children }: { children: ReactNode }) => (
  <MemoryRouter>
    <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>
  </MemoryRouter>
);

async function disabled(instances: Instance[]): Promise<Record<string, string>> {
  const { result } = renderHook(() => useInstanceActions(instances), { wrapper });
  await waitFor(() => expect(queryClient.isFetching()).toBe(0));
  const items = result.current.all.items.flatMap((i) => ("items" in i ? i.items : [i]));
  const reasons: Record<string, string> = {};
  for (const i of items) if ("disabledReason" in i && i.disabledReason) reasons[i.id!] = i.disabledReason;
  return reasons;
}

test("a running instance can all but start", async () => {
  expect(await disabled([instance("i-1", "running")])).toEqual({
    start: "The instance is not stopped",
    reboot: "Not served: stop it, then start it",
  });
});

test("a stopped instance can all but stop", async () => {
  expect(Object.keys(await disabled([instance("i-1", "stopped")]))).toEqual(["stop", "reboot"]);
});

test("of a terminated instance only its tags can be changed", async () => {
  expect(Object.keys(await disabled([instance("i-1", "terminated")])).sort()).toEqual([
    "groups",
    "reboot",
    "source-dest",
    "start",
    "stop",
    "stop-protection",
    "terminate",
    "termination-protection",
    "why",
  ]);
});

test("a guest that was not started here can be neither started nor stopped", async () => {
  expect(await disabled([instance("i-1", "running", "ami-ext")])).toMatchObject({
    stop: "It was not started through this API",
    start: "It was not started through this API",
  });
});

test("groups are changed of one instance at a time", async () => {
  const two = [instance("i-1", "running"), instance("i-2", "running")];
  expect(await disabled(two)).toMatchObject({ groups: "Select one instance", view: "Select one instance" });
});

test("a refused termination says why, in the server's words, and stays open", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  answer = (action) => {
    if (action !== "TerminateInstances") return {};
    throw new Refusal("OperationNotPermitted", "The instance 'i-1' may not be terminated.", 400);
  };
  render(<StateModal kind="terminate" instances={[instance("i-1", "running")]} onClose={onClose} />, { wrapper });
  await user.click(screen.getByRole("button", { name: "Terminate (delete)" }));
  await screen.findByText("The instance 'i-1' may not be terminated. (OperationNotPermitted)");
  expect(onClose).not.toHaveBeenCalled();
});

const described = (...instances: Instance[]) => ({ Reservations: [{ Instances: instances }] });

test("what came of a launch is told until it has come, and stays told", async () => {
  answer = () => described(instance("i-1", "pending"), instance("i-2", "running"));
  render(<Progress ids={["i-1", "i-2"]} to="running" since={1} />, { wrapper });
  await screen.findByText("1 of 2 running");
  answer = () => described(instance("i-1", "running"), instance("i-2", "running"));
  await screen.findByText("2 of 2 running");
  const before = asked.length;
  answer = () => described(instance("i-1", "terminated"), instance("i-2", "terminated"));
  await queryClient.invalidateQueries();
  expect(screen.getByText("2 of 2 running")).toBeTruthy();
  expect(asked.length).toBe(before);
});

test("an instance that did not start says why", async () => {
  answer = () =>
    described({
      ...instance("i-1", "terminated"),
      StateReason: { Code: "Server.InternalError", Message: "Server.InternalError: route in the way" },
    });
  render(<Progress ids={["i-1"]} to="running" since={2} />, { wrapper });
  await screen.findByText(/route in the way/);
});
