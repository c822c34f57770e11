import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { queryClient } from "../../api/query";
import type { ExplainReachabilityResult } from "../../api/sallyport_gen";
import { WayOf } from "./path";
import { whyHref } from "../../components/why-link";
import { read, request, write } from "./question";

vi.mock("../../api/ec2", () => ({
  send: vi.fn(() => Promise.resolve({ output: {}, revision: 1 })),
  query: vi.fn((command: object) => ({ queryKey: [command], queryFn: () => ({}) })),
}));
afterEach(() => queryClient.clear());

test("a question stands in the page's address, without what its protocol does not have", () => {
  const q = read(new URLSearchParams("from=i-1&to=10.0.0.1&port=22"));
  expect(q).toMatchObject({ from: "i-1", to: "10.0.0.1", protocol: "tcp", port: "22", confirm: true });
  expect(request(q)).toEqual({ Source: "i-1", Destination: "10.0.0.1", Protocol: "tcp", Port: 22, Confirm: true });
  expect(write({ ...q, protocol: "icmp", icmpType: "3" })).toEqual({
    from: "i-1",
    to: "10.0.0.1",
    protocol: "icmp",
    icmpType: "3",
  });
  expect(read(new URLSearchParams(write({ ...q, confirm: false })))).toEqual({ ...q, confirm: false });
  expect(whyHref({ to: "eni-1" })).toBe("#/Why?to=eni-1");
});

test("a question that lacks something is not asked", () => {
  const q = read(new URLSearchParams("from=i-1&to=i-2"));
  expect(request(q)).toBeUndefined(); // no port
  expect(request({ ...q, port: "22x" })).toBeUndefined();
  expect(request({ ...q, port: "22", from: " " })).toBeUndefined();
  expect(request({ ...q, protocol: "47" })).toMatchObject({ Protocol: "47", Port: undefined });
});

const show = (answer: Partial<ExplainReachabilityResult>) => {
  render(
    <QueryClientProvider client={queryClient}>
      <WayOf from="i-1" to="10.0.0.9" answer={{ Explanations: [], ...answer }} />
    </QueryClientProvider>,
  );
  return within(screen.getByRole("list", { name: "The way of the packet" })).getAllByRole("listitem");
};

const rule = { GroupId: "sg-1", IpProtocol: "tcp", FromPort: 22, ToPort: 22, CidrIpv4: "10.0.0.0/8", Tags: [] };

test("the way to the outside has one gate, with the rule that decides", () => {
  const [from, gate, to, ...more] = show({
    Allowed: true,
    Egress: {
      Allowed: true,
      Direction: "egress",
      NetworkInterfaceId: "eni-1",
      Reason: "rule",
      Rules: [{ ...rule, IsEgress: true, SecurityGroupRuleId: "sgr-1", Description: "home" }],
      Confirmation: { Action: "allow", Agrees: true },
    },
  });
  expect(more).toEqual([]);
  expect(within(from!).getByRole("link", { name: "i-1" }).getAttribute("href")).toBe("#/Instances/i-1");
  expect(gate!.textContent).toMatch(
    /Outbound gate.*Lets it pass.*A rule allows it.*TCP 22 to 10\.0\.0\.0\/8.*sgr-1.*home/,
  );
  expect(gate!.textContent).toContain("Its program says the same.");
  expect(to!.textContent).toContain("Outside");
});

test("what is missing can be added in the editor; what else is in the way is said", () => {
  const [, egress, between, ingress] = show({
    Allowed: false,
    Egress: { Allowed: true, Direction: "egress", NetworkInterfaceId: "eni-1", Reason: "rule", Rules: [] },
    Ingress: {
      Allowed: false,
      Direction: "ingress",
      NetworkInterfaceId: "eni-2",
      Reason: "no-rule",
      Rules: [],
      MissingRule: rule,
      Confirmation: { Message: "The host is not connected to this server." },
    },
    Explanations: [
      { ExplanationCode: "DISCONNECTED_VPCS", SourceVpc: { Id: "vpc-1" }, DestinationVpc: { Id: "vpc-2" } } as never,
      { ExplanationCode: "SOMETHING_NEW" } as never,
    ],
  });
  expect(egress!.className).toContain("why-pass");
  expect(between!.textContent).toContain("No active peering connection joins the two VPCs: vpc-1, vpc-2");
  expect(between!.textContent).toContain("SOMETHING_NEW");
  expect(ingress!.textContent).toMatch(/Stops it.*No rule allows it/);
  expect(ingress!.textContent).toContain("Not confirmed: The host is not connected to this server.");
  const add = within(ingress!).getByRole("link", { name: "Add in the editor" });
  expect(add.getAttribute("href")).toMatch(/^#\/SecurityGroups\/sg-1\/inbound\?add=/);
});

test("a gate that observes lets pass what no rule allows, and says so", () => {
  const [, gate] = show({
    Allowed: false,
    Ingress: {
      Allowed: false,
      Direction: "ingress",
      NetworkInterfaceId: "eni-2",
      Reason: "no-rule",
      ObservesUntil: new Date("2026-01-02T03:04:05Z"),
      Rules: [],
    },
  });
  expect(gate!.className).toContain("why-pass");
  expect(gate!.textContent).toMatch(/No rule allows it; passes because it observes until/);
});
