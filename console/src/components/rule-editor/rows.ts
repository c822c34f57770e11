import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import type {
  SecurityGroupRuleAddition,
  SecurityGroupRuleProblem,
  SecurityGroupRuleRequest,
  SecurityGroupRuleUpdate,
} from "../../api/sallyport_gen";
import { ruleTypes, typeOf, type RuleShape } from "../rule-types";

/** What the list beside the source offers. */
export type PeerKind = "custom" | "anywhere4" | "anywhere6" | "mine";

/** A cell of a row: what the server finds wrong is shown below it. */
export type Field = "protocol" | "ports" | "peers" | "description";

/** A row of the editor. All of it is text as it was typed: what it means is for the server to say. */
export interface Row {
  /** Within the editor. */
  key: string;
  /** That the row began as; undefined: a new one. */
  rule?: SecurityGroupRule | undefined;
  /** Of ruleTypes. */
  type: string;
  /** The number, of a custom protocol. */
  protocol: string;
  /** 80 or 8000-8080, of custom TCP and UDP. */
  ports: string;
  icmpType: string;
  icmpCode: string;
  kind: PeerKind;
  /** Each is a rule: a CIDR, the id of a group or of a prefix list. */
  peers: string[];
  /** What is typed, and no chip yet. */
  typing: string;
  description: string;
  /** Cells that somebody has been in: of the others the server says only what else is wrong. */
  touched: Field[];
}

/** What becomes of a row: some of its members, or what they are made of at that time. */
export type RowPart = Partial<Row> | ((now: Row) => Partial<Row>);

export const world4 = "0.0.0.0/0";
export const world6 = "::/0";
/** Stands for the group that is about to be created. */
export const self = "self";

let lastKey = 0;

/** newRow is what "Add rule" adds. */
export const newRow = (): Row => ({
  key: `row-${++lastKey}`,
  type: "custom-tcp",
  protocol: "",
  ports: "",
  icmpType: "-1",
  icmpCode: "-1",
  kind: "custom",
  peers: [],
  typing: "",
  description: "",
  touched: [],
});

export const peerOf = (r: SecurityGroupRule): string =>
  r.CidrIpv4 ?? r.CidrIpv6 ?? r.PrefixListId ?? r.ReferencedGroupInfo?.GroupId ?? "";

const kindOf = (peer: string): PeerKind => (peer === world4 ? "anywhere4" : peer === world6 ? "anywhere6" : "custom");

/** rowOf shows a rule as it is. */
export function rowOf(rule: SecurityGroupRule, key = newRow().key): Row {
  const type = typeOf(rule);
  const { FromPort: from = -1, ToPort: to = -1 } = rule;
  const icmp = type.id.startsWith("custom-icmp");
  return {
    ...newRow(),
    key,
    rule,
    type: type.id,
    protocol: type.protocol === undefined ? (rule.IpProtocol ?? "") : "",
    ports: !["custom-tcp", "custom-udp"].includes(type.id) ? "" : from === to ? `${from}` : `${from} - ${to}`,
    icmpType: icmp ? `${from}` : "-1",
    icmpCode: icmp ? `${to}` : "-1",
    kind: kindOf(peerOf(rule)),
    peers: [peerOf(rule)],
    description: rule.Description ?? "",
  };
}

/** newRowOf shows a rule that is to be made. */
export const newRowOf = (rule: SecurityGroupRule): Row => ({ ...rowOf(rule), rule: undefined });

/** copyOf shows a rule that is to be made again, in a group that takes the place of the one named. */
export function copyOf(rule: SecurityGroupRule, group: string): Row {
  const row = newRowOf(rule);
  return { ...row, peers: row.peers.map((p) => (p === group ? self : p)) };
}

/** portsOf reads "80" or "8000 - 8080"; what is neither has no ports, which the server refuses. */
export function portsOf(text: string): { FromPort?: number; ToPort?: number } {
  const found = /^\s*(-?\d{1,9})\s*(?:-\s*(-?\d{1,9})\s*)?$/.exec(text);
  if (!found) return {};
  return { FromPort: Number(found[1]), ToPort: Number(found[2] ?? found[1]) };
}

/** shapeOf returns what a row says of protocol and ports. */
export function shapeOf(row: Row): RuleShape {
  const type = ruleTypes.find((t) => t.id === row.type);
  switch (row.type) {
    case "custom-tcp":
    case "custom-udp":
      return { IpProtocol: type?.protocol, ...portsOf(row.ports) };
    case "custom-icmp":
    case "custom-icmpv6":
      return { IpProtocol: type?.protocol, FromPort: Number(row.icmpType), ToPort: Number(row.icmpCode) };
    case "custom-protocol":
      return { IpProtocol: row.protocol.trim() || undefined };
    default:
      return { IpProtocol: type?.protocol, FromPort: type?.from, ToPort: type?.to };
  }
}

type PeerMember = "CidrIpv4" | "CidrIpv6" | "PrefixListId" | "ReferencedGroupId";

/** memberOf says which member of a request a peer goes into. */
export function memberOf(peer: string): PeerMember {
  if (peer === self || peer.startsWith("sg-")) return "ReferencedGroupId";
  if (peer.startsWith("pl-")) return "PrefixListId";
  return peer.includes(":") ? "CidrIpv6" : "CidrIpv4";
}

/** splitPeers reads what is pasted or typed: one or many, set apart by spaces, commas, semicolons or lines. The console
 * of EC2 writes groups as 123456789012/sg-…, too. */
export const splitPeers = (text: string): string[] => [
  ...new Set(
    text
      .split(/[\s,;]+/)
      .map((p) => p.replace(/^\d{12}\/(?=sg-)/, ""))
      .filter(Boolean),
  ),
];

/** isPeer: a text is meant as a CIDR or an id, not as the name that one looks for a group by. */
export const isPeer = (text: string) => /^(\d{12}\/)?(sg|pl)-|^[\d.]+$|[/:]/.test(text.trim());

/** allPeers are the chips of a row, and what is being typed as one. */
export const allPeers = (row: Row): string[] => [
  ...new Set([...row.peers, ...(isPeer(row.typing) ? splitPeers(row.typing) : [])]),
];

const request = (row: Row, peer?: string): SecurityGroupRuleRequest => ({
  ...shapeOf(row),
  ...(peer ? { [memberOf(peer)]: peer } : {}),
  Description: row.description.trim() || undefined,
});

/** Where in the editor a row of a request comes from. */
export interface Place {
  key: string;
  peer?: string | undefined;
}

/** Edit is what EditSecurityGroupRules is asked for, and where each row of it comes from. */
export interface Edit {
  AddRules: SecurityGroupRuleAddition[];
  ModifyRules: SecurityGroupRuleUpdate[];
  RemoveRuleIds: string[];
  /** By AddRule.1, ModifyRule.2, as the server names rows; of what was removed there is none. */
  places: Record<string, Place>;
}

/** partsOf are an edit's members in a request. */
export const partsOf = ({ AddRules, ModifyRules, RemoveRuleIds }: Edit) => ({ AddRules, ModifyRules, RemoveRuleIds });

/** untouched are rows as a preview depends on them: not on who has been where. */
export const untouched = (rows: Row[]): Row[] => rows.map((r) => ({ ...r, touched: [] }));

/** isEmpty: nothing would change. */
export const isEmpty = (e: Edit) => e.AddRules.length + e.ModifyRules.length + e.RemoveRuleIds.length === 0;

const asTold = (r: SecurityGroupRule): SecurityGroupRuleRequest => {
  const peer = peerOf(r);
  return { ...shapeOf(rowOf(r)), [memberOf(peer)]: peer, Description: r.Description };
};

const same = (a: SecurityGroupRuleRequest, b: SecurityGroupRuleRequest) => {
  const text = (r: SecurityGroupRuleRequest) =>
    JSON.stringify(
      Object.entries(r)
        .filter(([, v]) => v !== undefined)
        .sort(),
    );
  return text(a) === text(b);
};

/** addTo adds a row's edit. A rule keeps its id as long as the kind of its peer does; else another takes its place. */
function addTo(edit: Edit, row: Row, egress: boolean) {
  const peers = allPeers(row);
  const { rule } = row;
  const id = rule?.SecurityGroupRuleId;
  let rest: (string | undefined)[] = peers;
  if (rule && id) {
    const old = peerOf(rule);
    const heir = peers.includes(old) ? old : peers.find((p) => memberOf(p) === memberOf(old));
    if (heir !== undefined || !peers.length) {
      rest = peers.filter((p) => p !== heir);
      const SecurityGroupRule = request(row, heir);
      if (!same(SecurityGroupRule, asTold(rule))) {
        edit.ModifyRules.push({ SecurityGroupRuleId: id, SecurityGroupRule });
        edit.places[`ModifyRule.${edit.ModifyRules.length}`] = { key: row.key, peer: heir };
      }
    } else {
      edit.RemoveRuleIds.push(id);
      edit.places[`RemoveRuleId.${edit.RemoveRuleIds.length}`] = { key: row.key };
    }
  } else if (!peers.length) {
    rest = [undefined];
  }
  for (const peer of rest) {
    edit.AddRules.push({ IsEgress: egress, ...request(row, peer) });
    edit.places[`AddRule.${edit.AddRules.length}`] = { key: row.key, peer };
  }
}

/** editOf returns the edit that makes of the rules what the rows say. */
export function editOf(rows: Row[], rules: SecurityGroupRule[], egress: boolean): Edit {
  const edit: Edit = { AddRules: [], ModifyRules: [], RemoveRuleIds: [], places: {} };
  for (const r of rules) {
    const id = r.SecurityGroupRuleId!;
    if (!rows.some((row) => row.rule?.SecurityGroupRuleId === id)) edit.RemoveRuleIds.push(id);
  }
  for (const row of rows) addTo(edit, row, egress);
  return edit;
}

/** joined is the edit of both directions of a new group. */
export function joined(...edits: Edit[]): Edit {
  const all: Edit = { AddRules: [], ModifyRules: [], RemoveRuleIds: [], places: {} };
  for (const e of edits) {
    const before = all.AddRules.length;
    e.AddRules.forEach((_, i) => (all.places[`AddRule.${before + i + 1}`] = e.places[`AddRule.${i + 1}`]!));
    all.AddRules.push(...e.AddRules);
  }
  return all;
}

/** isEdited: the row no longer says what its rule says. */
export function isEdited(row: Row): boolean {
  const edit: Edit = { AddRules: [], ModifyRules: [], RemoveRuleIds: [], places: {} };
  addTo(edit, row, row.rule?.IsEgress ?? false);
  return !isEmpty(edit);
}

/** fieldOf says below which cell a problem is shown. */
export const fieldOf = (p: SecurityGroupRuleProblem): Field => fields[p.Member ?? ""] ?? "peers";

const fields: Record<string, Field> = {
  IpProtocol: "protocol",
  FromPort: "ports",
  ToPort: "ports",
  Description: "description",
};

/** says: two rules are the same to who reads them. */
const says = (a: SecurityGroupRule, b: SecurityGroupRule) => same(asTold(a), asTold(b));

/** What somebody else did to a rule since the editor was opened. */
export interface Meanwhile {
  before?: SecurityGroupRule | undefined;
  after?: SecurityGroupRule | undefined;
}

/** meanwhile returns how two answers of the server differ. */
export function meanwhile(before: SecurityGroupRule[], now: SecurityGroupRule[]): Meanwhile[] {
  const find = (list: SecurityGroupRule[], r: SecurityGroupRule) =>
    list.find((o) => o.SecurityGroupRuleId === r.SecurityGroupRuleId);
  return [
    ...before.flatMap((b) => {
      const after = find(now, b);
      return after && says(b, after) ? [] : [{ before: b, after }];
    }),
    ...now.filter((n) => !find(before, n)).map((after) => ({ after })),
  ];
}

// What one edits together: of these parts, each is mine or theirs.
const partsOfRow: (keyof Row)[][] = [
  ["type", "protocol", "ports", "icmpType", "icmpCode"],
  ["kind", "peers", "typing"],
  ["description"],
];

/** onTop puts the parts of a row that were edited on what the rule is now. */
function onTop(row: Row, before: SecurityGroupRule, theirs: SecurityGroupRule): Row {
  const base = rowOf(before, row.key);
  const now = rowOf(theirs, row.key);
  let out: Row = { ...row, rule: theirs };
  for (const part of partsOfRow) {
    if (!part.every((p) => JSON.stringify(row[p]) === JSON.stringify(base[p]))) continue;
    out = { ...out, ...Object.fromEntries(part.map((p) => [p, now[p]])) };
  }
  return out;
}

/** rebase puts what was edited on top of what the rules are now: what nobody here touched shows what the others made of
 * it; a rule that was edited here and removed there becomes a new one. */
export function rebase(rows: Row[], before: SecurityGroupRule[], now: SecurityGroupRule[]): Row[] {
  const find = (list: SecurityGroupRule[], id?: string) => list.find((r) => r.SecurityGroupRuleId === id);
  const out: Row[] = [];
  for (const row of rows) {
    const id = row.rule?.SecurityGroupRuleId;
    if (!row.rule) {
      out.push(row);
      continue;
    }
    const theirs = find(now, id);
    if (isEdited(row)) out.push(theirs ? onTop(row, row.rule, theirs) : { ...row, rule: undefined });
    else if (theirs) out.push(rowOf(theirs, row.key));
  }
  for (const r of now) if (!find(before, r.SecurityGroupRuleId)) out.push(rowOf(r));
  return out;
}
