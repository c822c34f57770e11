import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import SecurityGroupPage from "./detail";
import { answers, askedFor, inUse, refused, reset, show } from "./testing";

vi.mock("../../api/ec2", async () => (await import("./testing")).ec2);
vi.mock("../../api/sallyport", async () => (await import("./testing")).sallyport);
vi.mock("../../shell/page", () => ({ Page: ({ children }: { children: unknown }) => children }));

const page = "/SecurityGroups/:id";
const rule = (id: string, port: number, more: object) => ({
  SecurityGroupRuleId: id,
  GroupId: "sg-web",
  IsEgress: false,
  IpProtocol: "tcp",
  FromPort: port,
  ToPort: port,
  Tags: [],
  ...more,
});

beforeEach(() => {
  reset();
  answers.DescribeSecurityGroups = ({ Filters }) => ({
    SecurityGroups: Filters
      ? [{ GroupId: "sg-lb", GroupName: "balancer" }]
      : [{ GroupId: "sg-web", GroupName: "web", VpcId: "vpc-1", Description: "Web servers" }],
  });
  answers.DescribeSecurityGroupRules = () => ({
    SecurityGroupRules: [
      rule("sgr-10", 443, { CidrIpv4: "0.0.0.0/0", Description: "everybody" }),
      rule("sgr-11", 8080, { ReferencedGroupInfo: { GroupId: "sg-lb" } }),
      rule("sgr-12", 5432, { IsEgress: true, CidrIpv6: "fd00::/64" }),
    ],
  });
  answers.DescribeSecurityGroupUses = () => ({ SecurityGroupUses: [inUse()] });
  answers.DescribeRuleCounters = () => ({
    RuleCounters: [
      { SecurityGroupRuleId: "sgr-10", Packets: 1234, ConnectionsNow: 7, LastHit: new Date(), Interfaces: [] },
      { SecurityGroupRuleId: "sgr-11", Packets: 0, ConnectionsNow: 0, Interfaces: [] },
    ],
  });
});

test("inbound rules are shown with EC2's columns, names and what they let through", async () => {
  show(<SecurityGroupPage />, page, "/SecurityGroups/sg-web");
  const row = (await screen.findByText("sgr-10")).closest("tr")!;
  for (const cell of ["IPv4", "HTTPS", "TCP", "443", "0.0.0.0/0", "everybody", "7", "1,234"]) {
    expect(within(row).getByText(cell)).toBeTruthy();
  }
  const other = screen.getByText("sgr-11").closest("tr")!;
  expect(await within(other).findByText(/balancer/)).toBeTruthy();
  expect(within(other).getByRole("link", { name: "sg-lb" }).getAttribute("href")).toBe("#/SecurityGroups/sg-lb");
  expect(screen.queryByText("sgr-12")).toBeNull();
  expect(screen.getByRole("heading", { name: /^Inbound rules/ }).textContent).toContain("(2)");
});

test("the search finds rules by whatever is shown of them", async () => {
  const user = userEvent.setup();
  show(<SecurityGroupPage />, page, "/SecurityGroups/sg-web");
  await screen.findByText(/balancer/);
  await user.type(screen.getByLabelText("Search: Inbound rules"), "balancer");
  expect(screen.queryByText("sgr-10")).toBeNull();
  expect(screen.getByText("sgr-11")).toBeTruthy();
});

test("used by lists what stands in the way of a delete, and leads to the replacement", async () => {
  show(<SecurityGroupPage />, page, "/SecurityGroups/sg-web?tab=used-by");
  expect(await screen.findByText(/1 network interface carries it/)).toBeTruthy();
  expect(screen.getByText(/1 rule of another group names it/)).toBeTruthy();
  expect(screen.getByText(/resource sg-web has a dependent object \(DependencyViolation\)/)).toBeTruthy();
  expect(screen.getByText("Stands in the way")).toBeTruthy();
  expect(screen.getByText("Goes with the group")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Replace with another group" })).toBeTruthy();
});

test("a group that is gone is told in the server's words", async () => {
  answers.DescribeSecurityGroups = () => {
    throw refused("InvalidGroup.NotFound", "The security group 'sg-web' does not exist");
  };
  show(<SecurityGroupPage />, page, "/SecurityGroups/sg-web");
  expect(await screen.findByText("The security group 'sg-web' does not exist (InvalidGroup.NotFound)")).toBeTruthy();
  expect(askedFor("DescribeSecurityGroupRules")).toEqual([]);
});
