import { expect, test } from "vitest";
import { codeOf, replacement, startingChoice } from "./replacement";
import { inUse } from "./testing";

const chosen = (thenDelete = false) => ({ ...startingChoice(inUse(), thenDelete), by: "sg-new" });

test("at first the group is taken from where it stands in the way of its delete", () => {
  expect(startingChoice(inUse(), true).fates).toEqual({ "sgr-1": "replace", "sgr-2": "keep" });
  expect(replacement(inUse(), startingChoice(inUse(), true))).toBeUndefined();
  expect(replacement(inUse(), chosen())).toEqual({
    GroupId: "sg-web",
    ReplacementGroupId: "sg-new",
    AllNetworkInterfaces: true,
    SecurityGroupRuleIds: ["sgr-1"],
  });
});

test("without an interface and a rule nothing is replaced", () => {
  expect(replacement(inUse(), { ...chosen(), interfaces: [], fates: { "sgr-1": "remove" } })).toBeUndefined();
});

test("a part of the interfaces is named", () => {
  const uses = inUse();
  uses.NetworkInterfaces.push({ NetworkInterfaceId: "eni-2", Groups: [] });
  const choice = { ...chosen(), interfaces: uses.NetworkInterfaces.slice(1) };
  expect(replacement(uses, choice)).toMatchObject({ NetworkInterfaceIds: ["eni-2"] });
});

test("as code it is the calls of EC2 in their order, with a delete at the end", () => {
  const uses = inUse();
  const rule = uses.Rules[0]!.Rule!;
  const calls = codeOf(
    uses,
    { ...chosen(true), fates: { "sgr-1": "replace", "sgr-2": "remove" }, ended: ["vpc-2"] },
    {
      NetworkInterfaces: [{ NetworkInterfaceId: "eni-1", GroupIds: ["sg-web"], NewGroupIds: ["sg-new"] }],
      SecurityGroupRules: [{ Before: rule, After: { ...rule, ReferencedGroupInfo: { GroupId: "sg-new" } } }],
      Problems: [],
    },
  );
  expect(calls.map((c) => c.action)).toEqual([
    "RevokeSecurityGroupIngress",
    "ModifyNetworkInterfaceAttribute",
    "ModifySecurityGroupRules",
    "DisassociateSecurityGroupVpc",
    "DeleteSecurityGroup",
  ]);
  expect(calls[2]).toMatchObject({
    egress: false,
    input: {
      GroupId: "sg-db",
      SecurityGroupRules: [{ SecurityGroupRuleId: "sgr-1", SecurityGroupRule: { ReferencedGroupId: "sg-new" } }],
    },
  });
});
