import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { StaleRules } from "./stale";
import { answers, askedFor, reset, show } from "./testing";

vi.mock("../../api/ec2", async () => (await import("./testing")).ec2);
vi.mock("../../api/sallyport", async () => (await import("./testing")).sallyport);
beforeEach(reset);

const permission = (port: number, ...groups: string[]) => ({
  IpProtocol: "tcp",
  FromPort: port,
  ToPort: port,
  UserIdGroupPairs: groups.map((GroupId) => ({ GroupId, VpcId: "vpc-2", VpcPeeringConnectionId: "pcx-1" })),
});

function twoGroups() {
  answers.DescribeStaleSecurityGroups = () => ({
    StaleSecurityGroupSet: [
      {
        GroupId: "sg-1",
        GroupName: "web",
        StaleIpPermissions: [permission(80, "sg-8", "sg-9")],
        StaleIpPermissionsEgress: [permission(443, "sg-9")],
      },
      { GroupId: "sg-2", GroupName: "db", StaleIpPermissions: [permission(5432, "sg-9")] },
    ],
  });
  answers.RevokeSecurityGroupIngress = answers.RevokeSecurityGroupEgress = () => ({ Return: true });
}

test("those of one group are shown on its page", async () => {
  twoGroups();
  show(<StaleRules vpcId="vpc-1" groupId="sg-2" />);
  expect(await screen.findByText("5432")).toBeTruthy();
  expect(screen.queryByText("443")).toBeNull();
  expect(screen.getByRole("link", { name: /all groups in this VPC/ }).getAttribute("href")).toBe("#/StaleRules/vpc-1");
});

test("all that are selected are removed, a call for each group and direction", async () => {
  const user = userEvent.setup();
  twoGroups();
  show(<StaleRules vpcId="vpc-1" />);
  await screen.findByText("5432");
  await user.click(screen.getByRole("checkbox", { name: "Select all rules" }));
  await user.click(screen.getByRole("button", { name: "Delete rules" }));
  const dialog = screen.getByRole("dialog");
  expect(within(dialog).getByText("Delete 4 stale rules?")).toBeTruthy();
  await user.click(within(dialog).getByRole("button", { name: "Delete rules" }));
  expect(await screen.findByText("4 stale rules deleted")).toBeTruthy();
  expect(askedFor("RevokeSecurityGroupIngress")).toEqual([
    {
      GroupId: "sg-1",
      IpPermissions: ["sg-8", "sg-9"].map((GroupId) => ({
        IpProtocol: "tcp",
        FromPort: 80,
        ToPort: 80,
        UserIdGroupPairs: [{ GroupId }],
      })),
    },
    {
      GroupId: "sg-2",
      IpPermissions: [{ IpProtocol: "tcp", FromPort: 5432, ToPort: 5432, UserIdGroupPairs: [{ GroupId: "sg-9" }] }],
    },
  ]);
  expect(askedFor("RevokeSecurityGroupEgress")).toHaveLength(1);
});
