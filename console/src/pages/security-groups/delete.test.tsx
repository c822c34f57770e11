import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { DeleteGroups, goesAfter } from "./delete";
import { answers, askedFor, inUse, refused, reset, show, unused } from "./testing";

vi.mock("../../api/ec2", async () => (await import("./testing")).ec2);
vi.mock("../../api/sallyport", async () => (await import("./testing")).sallyport);
beforeEach(reset);

const group = (id: string, name: string) => ({ GroupId: id, GroupName: name });

test("one group that nothing uses is deleted without typing", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  answers.DescribeSecurityGroupUses = () => ({ SecurityGroupUses: [unused("sg-1", "old")] });
  answers.DeleteSecurityGroup = () => ({ Return: true });
  show(<DeleteGroups groups={[group("sg-1", "old")]} onClose={onClose} />);
  expect(await screen.findByText("Deletable")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Delete" }));
  await waitFor(() => expect(onClose).toHaveBeenCalledExactlyOnceWith(["sg-1"]));
  expect(askedFor("DeleteSecurityGroup")).toEqual([{ GroupId: "sg-1" }]);
});

test("of several only those that nothing keeps are deleted, after delete was typed", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  answers.DescribeSecurityGroupUses = () => ({ SecurityGroupUses: [inUse(), unused("sg-1", "old")] });
  answers.DeleteSecurityGroup = () => ({ Return: true });
  show(<DeleteGroups groups={[group("sg-web", "web"), group("sg-1", "old")]} onClose={onClose} />);
  const row = (await screen.findByText("sg-web")).closest("tr")!;
  expect(within(row).getByText("Not deletable")).toBeTruthy();
  for (const [name, href] of [
    ["eni-1", "#/NetworkInterfaces/eni-1"],
    ["i-1", "#/Instances/i-1"],
    ["sgr-1", "#/SecurityGroups/sg-db?tab=inbound"],
    ["Resolve and delete web", "#/SecurityGroups/sg-web/replace?then=delete"],
  ]) {
    expect(within(row).getByRole("link", { name }).getAttribute("href")).toBe(href);
  }
  expect(row.textContent).toContain("resource sg-web has a dependent object (DependencyViolation)");
  const button = screen.getByRole("button", { name: "Delete 1" });
  expect(button).toHaveProperty("disabled", true);
  await user.type(screen.getByLabelText(/To confirm/), "delete");
  await user.click(button);
  await waitFor(() => expect(onClose).toHaveBeenCalledExactlyOnceWith(["sg-1"]));
  expect(askedFor("DeleteSecurityGroup")).toEqual([{ GroupId: "sg-1" }]);
});

test("a refusal is shown in the server's words, and what was deleted is told on closing", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  answers.DescribeSecurityGroupUses = ({ GroupIds }) => ({
    SecurityGroupUses: (GroupIds as string[]).map((id) => unused(id, id)),
  });
  answers.DeleteSecurityGroup = ({ GroupId }) => {
    if (GroupId === "sg-2") throw refused("DependencyViolation", "resource sg-2 has a dependent object");
    return { Return: true };
  };
  show(<DeleteGroups groups={[group("sg-1", "a"), group("sg-2", "b")]} onClose={onClose} />);
  await user.type(await screen.findByLabelText(/To confirm/), "delete");
  await user.click(screen.getByRole("button", { name: "Delete" }));
  expect(await screen.findByText("resource sg-2 has a dependent object (DependencyViolation)")).toBeTruthy();
  expect(onClose).not.toHaveBeenCalled();
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  expect(onClose).toHaveBeenCalledExactlyOnceWith(["sg-1"]);
});

test("a group that only rules of deleted groups keep goes after them", () => {
  const kept = inUse();
  kept.Blockers = kept.Blockers.slice(1);
  expect(goesAfter(kept, [kept, unused("sg-db", "db")])).toBe(true);
  expect(goesAfter(kept, [kept])).toBe(false);
  expect(goesAfter(inUse(), [inUse(), unused("sg-db", "db")])).toBe(false);
});
