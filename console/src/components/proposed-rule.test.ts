import { expect, test } from "vitest";
import { proposedRules, proposeHref } from "./proposed-rule";

const params = (href: string) => new URLSearchParams(href.split("?")[1]);

test("a rule arrives as it was proposed, without its id", () => {
  const rule = {
    GroupId: "sg-1",
    SecurityGroupRuleId: "sgr-1",
    IsEgress: true,
    IpProtocol: "tcp",
    FromPort: 443,
    ToPort: 443,
    ReferencedGroupInfo: { GroupId: "sg-2" },
    Description: "a & b",
  };
  const href = proposeHref(rule);
  expect(href).toMatch(/^#\/SecurityGroups\/sg-1\/outbound\?add=/);
  expect(proposedRules(params(href))).toEqual([
    { IpProtocol: "tcp", FromPort: 443, ToPort: 443, Description: "a & b", ReferencedGroupInfo: { GroupId: "sg-2" } },
  ]);
});

test("what is no rule proposes nothing that a row could not hold", () => {
  expect(proposedRules(new URLSearchParams({ add: "{" }))).toEqual([]);
  expect(proposedRules(new URLSearchParams({ add: '{"FromPort":"1","IpProtocol":["tcp"],"x":1}' }))).toEqual([{}]);
  expect(proposedRules(new URLSearchParams())).toEqual([]);
});
