import { expect, test } from "vitest";
import { base64, codeCalls, countOf, emptyForm, groupRequest, newRules, partOf, runInput } from "./launch-form";

const mine = ["192.0.2.7/32", "2001:db8::7/128"];

test.each([
  ["1", 1],
  ["1000", 1000],
  ["0", undefined],
  ["1001", undefined],
  ["1.5", undefined],
  ["", undefined],
  ["many", undefined],
])("a count typed as %o is %o", (count, want) => {
  expect(countOf({ ...emptyForm, count })).toBe(want);
});

test("what is not filled in is not sent", () => {
  expect(runInput(emptyForm, "ami-1", [])).toEqual({ ImageId: "ami-1", MinCount: 1, MaxCount: 1 });
});

test("what is filled in is sent", () => {
  const form = {
    ...emptyForm,
    name: "web",
    tags: [{ key: "env", value: "test" }],
    count: "2",
    subnetId: "subnet-1",
    ipv6: "manual" as const,
    ipv6Addresses: "2001:db8::4, 2001:db8::5",
    userData: "#!/bin/sh\necho grüße\n",
  };
  expect(runInput(form, "ami-1", ["sg-1"])).toEqual({
    ImageId: "ami-1",
    MinCount: 2,
    MaxCount: 2,
    SubnetId: "subnet-1",
    SecurityGroupIds: ["sg-1"],
    Ipv6Addresses: [{ Ipv6Address: "2001:db8::4" }, { Ipv6Address: "2001:db8::5" }],
    UserData: "IyEvYmluL3NoCmVjaG8gZ3LDvMOfZQo=",
    TagSpecifications: [
      {
        ResourceType: "instance",
        Tags: [
          { Key: "Name", Value: "web" },
          { Key: "env", Value: "test" },
        ],
      },
    ],
  });
});

test("user data may be as long as EC2 takes it", () => {
  expect(base64("x".repeat(16384))).toHaveLength(21848);
});

const allow = (kind: "anywhere" | "mine" | "custom", custom = "") => ({ allowed: true, kind, custom });

test("a service gets a rule for each block, and ping one of its family", () => {
  const closed = { allowed: false, kind: "anywhere" as const, custom: "" };
  const sources = { ssh: allow("mine"), https: closed, http: allow("custom", "10.0.0.0/8"), ping: allow("anywhere") };
  expect(newRules({ ...emptyForm, sources }, mine)).toEqual([
    { IsEgress: false, IpProtocol: "tcp", FromPort: 22, ToPort: 22, CidrIpv4: "192.0.2.7/32" },
    { IsEgress: false, IpProtocol: "tcp", FromPort: 22, ToPort: 22, CidrIpv6: "2001:db8::7/128" },
    { IsEgress: false, IpProtocol: "tcp", FromPort: 80, ToPort: 80, CidrIpv4: "10.0.0.0/8" },
    { IsEgress: false, IpProtocol: "icmp", FromPort: 8, ToPort: -1, CidrIpv4: "0.0.0.0/0" },
    { IsEgress: false, IpProtocol: "icmpv6", FromPort: 128, ToPort: -1, CidrIpv6: "::/0" },
  ]);
});

test("a new group has its rules and lets everything out", () => {
  const rules = groupRequest({ ...emptyForm, groupName: "web", vpcId: "vpc-1" }, mine).AddRules;
  expect(rules?.at(-1)).toEqual({ IsEgress: true, IpProtocol: "-1", CidrIpv4: "0.0.0.0/0" });
  expect(rules).toHaveLength(3);
});

test("as code, a new group comes first and the instance names it", () => {
  const calls = codeCalls({ ...emptyForm, groupName: "web", vpcId: "vpc-1" }, "ami-1", mine);
  expect(calls.map((c) => c.action)).toEqual(["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances"]);
  const existing = { ...emptyForm, firewall: "existing" as const, groups: [{ id: "sg-1", name: "web" }] };
  expect(codeCalls(existing, "ami-1", mine).map((c) => c.action)).toEqual(["RunInstances"]);
});

test.each([
  ["InvalidGroup.NotFound", "", "firewall"],
  ["SecurityGroupsPerInstanceLimitExceeded", "", "firewall"],
  ["InvalidSubnetID.NotFound", "", "network"],
  ["InvalidIPAddress.InUse", "", "network"],
  ["InvalidParameterValue", "Address does not fall within the subnet's address range", "network"],
  ["InvalidParameterValue", "Value (0) for parameter minCount is invalid.", undefined],
  ["InvalidUserData.Malformed", "", "userData"],
  ["InsufficientInstanceCapacity", "", "count"],
  ["UnauthorizedOperation", "", undefined],
])("%s: %s is about %s", (code, message, part) => {
  expect(partOf({ code, message })).toBe(part);
});
