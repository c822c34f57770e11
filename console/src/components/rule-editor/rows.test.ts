import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";
import {
  copyOf,
  editOf,
  fieldOf,
  isEdited,
  joined,
  meanwhile,
  newRow,
  portsOf,
  rebase,
  rowOf,
  self,
  splitPeers,
  type Row,
} from "./rows";

const rule = (id: string, port: number, cidr: string, more: SecurityGroupRule = {}): SecurityGroupRule => ({
  SecurityGroupRuleId: id,
  IsEgress: false,
  IpProtocol: "tcp",
  FromPort: port,
  ToPort: port,
  ...(cidr.includes(":") ? { CidrIpv6: cidr } : { CidrIpv4: cidr }),
  ...more,
});

const ssh = rule("sgr-1", 22, "10.0.0.0/8", { Description: "home" });
const web = rule("sgr-2", 80, "0.0.0.0/0");
const range = rule("sgr-3", 8000, "::/0", { ToPort: 8080 });
const icmp = rule("sgr-4", 3, "0.0.0.0/0", { IpProtocol: "icmp", ToPort: 4 });
const gre = rule("sgr-5", -1, "0.0.0.0/0", { IpProtocol: "47" });
const all = rule("sgr-6", -1, "0.0.0.0/0", { IpProtocol: "-1" });
const group: SecurityGroupRule = {
  ...rule("sgr-7", 5432, "", {}),
  CidrIpv4: undefined,
  ReferencedGroupInfo: { GroupId: "sg-a", UserId: "123456789012" },
};
const list: SecurityGroupRule = { ...rule("sgr-8", 443, ""), CidrIpv4: undefined, PrefixListId: "pl-a" };
const rules = [ssh, web, range, icmp, gre, all, group, list];

const rowsOf = (of: SecurityGroupRule[]) => of.map((r) => rowOf(r));
const change = (row: Row, part: Partial<Row>): Row => ({ ...row, ...part });

test("rules that nobody edits are no edit", () => {
  const edit = editOf(rowsOf(rules), rules, false);
  expect([edit.AddRules, edit.ModifyRules, edit.RemoveRuleIds]).toEqual([[], [], []]);
  expect(rowsOf(rules).map(isEdited)).toEqual(rules.map(() => false));
});

test("one edit holds what is added, modified and removed, and where it comes from", () => {
  const [first, second] = rowsOf([ssh, web]);
  const added = change(newRow(), { type: "custom-tcp", ports: "25 - 30", peers: ["sg-b", "pl-b", "fd00::/8"] });
  const edit = editOf([change(first!, { description: "office" }), added], [ssh, web], true);
  expect(edit.RemoveRuleIds).toEqual([second!.rule!.SecurityGroupRuleId]);
  expect(edit.ModifyRules).toEqual([
    {
      SecurityGroupRuleId: "sgr-1",
      SecurityGroupRule: {
        IpProtocol: "tcp",
        FromPort: 22,
        ToPort: 22,
        CidrIpv4: "10.0.0.0/8",
        Description: "office",
      },
    },
  ]);
  const same = { IsEgress: true, IpProtocol: "tcp", FromPort: 25, ToPort: 30, Description: undefined };
  expect(edit.AddRules).toEqual([
    { ...same, ReferencedGroupId: "sg-b" },
    { ...same, PrefixListId: "pl-b" },
    { ...same, CidrIpv6: "fd00::/8" },
  ]);
  expect(edit.places).toEqual({
    "ModifyRule.1": { key: first!.key, peer: "10.0.0.0/8" },
    "AddRule.1": { key: added.key, peer: "sg-b" },
    "AddRule.2": { key: added.key, peer: "pl-b" },
    "AddRule.3": { key: added.key, peer: "fd00::/8" },
  });
});

test("a rule keeps its id while the kind of its source does; else another takes its place", () => {
  const moved = editOf([change(rowOf(ssh), { peers: ["11.0.0.0/8", "sg-b"] })], [ssh], false);
  expect(moved.ModifyRules.map((m) => m.SecurityGroupRule?.CidrIpv4)).toEqual(["11.0.0.0/8"]);
  expect(moved.AddRules.map((a) => a.ReferencedGroupId)).toEqual(["sg-b"]);
  expect(moved.RemoveRuleIds).toEqual([]);
  const replaced = editOf([change(rowOf(ssh), { peers: ["sg-b"] })], [ssh], false);
  expect([replaced.ModifyRules, replaced.RemoveRuleIds]).toEqual([[], ["sgr-1"]]);
  expect(replaced.AddRules[0]).toMatchObject({ ReferencedGroupId: "sg-b", Description: "home" });
});

test("a row without a source is sent as it is: the server says what is missing", () => {
  expect(editOf([newRow()], [], false).AddRules).toEqual([
    { IsEgress: false, IpProtocol: "tcp", Description: undefined },
  ]);
  expect(editOf([change(rowOf(ssh), { peers: [] })], [ssh], false).ModifyRules).toHaveLength(1);
});

test("what is being typed counts if it is meant as a source", () => {
  const peers = (typing: string) =>
    editOf([change(newRow(), { typing })], [], false).AddRules.map(
      (a) => a.CidrIpv4 ?? a.CidrIpv6 ?? a.ReferencedGroupId,
    );
  expect(peers("10.1.2.3/33")).toEqual(["10.1.2.3/33"]);
  expect(peers("2001:db8::")).toEqual(["2001:db8::"]);
  expect(peers("sg-0")).toEqual(["sg-0"]);
  expect(peers("web")).toEqual([undefined]); // a name that is looked for
});

test.each([
  ["10.0.0.0/8\n11.0.0.0/8", ["10.0.0.0/8", "11.0.0.0/8"]],
  [" 10.0.0.0/8, fd00::/8;10.0.0.0/8\t", ["10.0.0.0/8", "fd00::/8"]],
  ["123456789012/sg-0123", ["sg-0123"]],
  ["", []],
])("%j is read as %j", (text, want) => expect(splitPeers(text)).toEqual(want));

test.each([
  ["80", { FromPort: 80, ToPort: 80 }],
  [" 8000 - 8080 ", { FromPort: 8000, ToPort: 8080 }],
  ["90-80", { FromPort: 90, ToPort: 80 }], // refused by the server, not here
  ["-1", { FromPort: -1, ToPort: -1 }],
  ["80-", {}],
  ["http", {}],
  ["", {}],
])("ports %j are %j", (text, want) => expect(portsOf(text)).toEqual(want));

test("both directions of a new group are one request", () => {
  const inbound = change(newRow(), { peers: ["10.0.0.0/8"] });
  const outbound = change(newRow(), { type: "all", peers: ["0.0.0.0/0"] });
  const edit = joined(editOf([inbound], [], false), editOf([outbound], [], true));
  expect(edit.AddRules.map((a) => a.IsEgress)).toEqual([false, true]);
  expect([edit.places["AddRule.1"]?.key, edit.places["AddRule.2"]?.key]).toEqual([inbound.key, outbound.key]);
});

test("a copy names itself where its original did", () => {
  const copied = copyOf(group, "sg-a");
  expect(copied.rule).toBeUndefined();
  expect(editOf([copied], [], false).AddRules[0]).toMatchObject({ ReferencedGroupId: self, FromPort: 5432 });
});

test.each([
  ["IpProtocol", "protocol"],
  ["ToPort", "ports"],
  ["Description", "description"],
  ["CidrIpv6", "peers"],
  [undefined, "peers"],
])("a problem with %s stands at %s", (Member, want) => expect(fieldOf({ Member })).toBe(want));

test("what others did meanwhile", () => {
  const theirs = { ...ssh, FromPort: 2222, ToPort: 2222 };
  const added = rule("sgr-9", 25, "10.0.0.0/8");
  expect(meanwhile([ssh, web, range], [theirs, range, added])).toEqual([
    { before: ssh, after: theirs },
    { before: web, after: undefined },
    { after: added },
  ]);
  expect(
    meanwhile(
      rules,
      rules.map((r) => ({ ...r, Tags: [{ Key: "a", Value: "b" }] })),
    ),
  ).toEqual([]);
});

test("edits go on top of what others did", () => {
  const [mine, untouched, dropped, both] = rowsOf([ssh, web, range, icmp]);
  const rows = [
    change(mine!, { description: "office" }),
    untouched!,
    change(dropped!, { ports: "9000" }),
    both!,
    change(newRow(), { ports: "1", peers: ["10.0.0.0/8"] }),
  ];
  const theirSsh = { ...ssh, FromPort: 2222, ToPort: 2222 };
  const theirWeb = { ...web, Description: "open" };
  const added = rule("sgr-9", 25, "10.0.0.0/8");
  const now = [theirSsh, theirWeb, icmp, added]; // sgr-3 is gone
  const merged = rebase(rows, [ssh, web, range, icmp], now);
  const edit = editOf(merged, now, false);
  // Their port and my description.
  expect(edit.ModifyRules).toEqual([
    {
      SecurityGroupRuleId: "sgr-1",
      SecurityGroupRule: expect.objectContaining({ FromPort: 2222, Description: "office" }) as unknown,
    },
  ]);
  expect(edit.RemoveRuleIds).toEqual([]);
  expect(edit.AddRules.map((a) => a.FromPort)).toEqual([9000, 1]); // what they removed and I edited is new
  expect(merged.map((r) => r.rule?.SecurityGroupRuleId)).toEqual([
    "sgr-1",
    "sgr-2",
    undefined,
    "sgr-4",
    undefined,
    "sgr-9",
  ]);
});
