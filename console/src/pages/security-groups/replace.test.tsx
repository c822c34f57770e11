import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import ReplaceGroupPage from "./replace";
import { answers, asked, askedFor, inUse, reset, show } from "./testing";

vi.mock("../../api/ec2", async () => (await import("./testing")).ec2);
vi.mock("../../api/sallyport", async () => (await import("./testing")).sallyport);
vi.mock("../../shell/page", () => ({ Page: ({ children }: { children: unknown }) => children }));
beforeEach(() => {
  reset();
  answers.DescribeSecurityGroups = () => ({
    SecurityGroups: [{ GroupId: "sg-web", GroupName: "web", VpcId: "vpc-1" }],
  });
  answers.GetSecurityGroupsForVpc = () => ({
    SecurityGroupForVpcs: [
      { GroupId: "sg-web", GroupName: "web" },
      { GroupId: "sg-new", GroupName: "new" },
    ],
  });
  answers.DescribeSecurityGroupUses = () => ({ SecurityGroupUses: [inUse()] });
  answers.DescribeEnforcement = () => ({ InForce: true, Enforcements: [], InForceCount: 1, InterfaceCount: 1 });
});

const page = "/SecurityGroups/:id/replace";
const there = "/SecurityGroups/sg-web/replace?then=delete";

async function choose(user: ReturnType<typeof userEvent.setup>) {
  await user.click(await screen.findByRole("button", { name: /Replacement/ }));
  await user.click(await screen.findByText("sg-new / new"));
}

test("a group is replaced wherever it keeps itself, and deleted", async () => {
  const user = userEvent.setup();
  const rule = inUse().Rules[0]!.Rule!;
  answers.ReplaceSecurityGroup = () => ({
    NetworkInterfaces: [{ NetworkInterfaceId: "eni-1", GroupIds: ["sg-web"], NewGroupIds: ["sg-new"] }],
    SecurityGroupRules: [{ Before: rule, After: { ...rule, ReferencedGroupInfo: { GroupId: "sg-new" } } }],
    Problems: [],
  });
  answers.DeleteSecurityGroup = () => ({ Return: true });
  show(<ReplaceGroupPage />, page, there);
  await choose(user);
  const request = {
    GroupId: "sg-web",
    ReplacementGroupId: "sg-new",
    AllNetworkInterfaces: true,
    SecurityGroupRuleIds: ["sgr-1"],
  };
  await waitFor(() => expect(askedFor("ReplaceSecurityGroup")).toEqual([{ ...request, Preview: true }]));
  await user.click(await screen.findByRole("button", { name: "Replace and delete" }));
  expect(await screen.findByText("elsewhere")).toBeTruthy();
  const writes = asked.filter((a) => !a.action.match(/^(Describe|Get)/) && !a.input.Preview);
  expect(writes).toEqual([
    { action: "ReplaceSecurityGroup", input: request },
    { action: "DeleteSecurityGroup", input: { GroupId: "sg-web" } },
  ]);
  expect(await screen.findByText(/Replaced on 1 network interface and in 1 rule/)).toBeTruthy();
});

test("what would be refused keeps the button shut, and a rule that is there already can be deleted instead", async () => {
  const user = userEvent.setup();
  answers.ReplaceSecurityGroup = ({ SecurityGroupRuleIds }) => ({
    NetworkInterfaces: [],
    SecurityGroupRules: [],
    Problems: (SecurityGroupRuleIds as string[]).map((id) => ({
      SecurityGroupRuleId: id,
      Code: "InvalidPermission.Duplicate",
      Message: "the specified rule already exists",
    })),
  });
  show(<ReplaceGroupPage />, page, there);
  await choose(user);
  expect(await screen.findByText("the specified rule already exists (InvalidPermission.Duplicate)")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Replace and delete" })).toHaveProperty("disabled", true);
  await user.click(screen.getByRole("button", { name: "Delete it instead" }));
  await waitFor(() =>
    expect(screen.getByRole("button", { name: "Replace and delete" })).toHaveProperty("disabled", false),
  );
  expect(screen.queryByText(/the specified rule already exists/)).toBeNull();
});
