import type { SecurityGroupRule } from "@aws-sdk/client-ec2";

const members = ["IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId", "Description"] as const;

/** proposeHref is the address of a group's editor with one more row, which says what the rule says. */
export function proposeHref(rule: SecurityGroupRule): string {
  const said = Object.fromEntries(members.filter((m) => rule[m] !== undefined).map((m) => [m, rule[m]]));
  const group = rule.ReferencedGroupInfo?.GroupId;
  const add = JSON.stringify({ ...said, ...(group ? { ReferencedGroupId: group } : {}) });
  const side = rule.IsEgress ? "outbound" : "inbound";
  return `#/SecurityGroups/${rule.GroupId}/${side}?${new URLSearchParams({ add }).toString()}`;
}

/** proposedRules reads the rules that an editor's address proposes. They have no id, and are a person's to look at: what
 * cannot be read is left out. */
export function proposedRules(params: URLSearchParams): SecurityGroupRule[] {
  return params.getAll("add").flatMap((text) => {
    try {
      const said = JSON.parse(text) as Record<string, unknown>;
      const rule = Object.fromEntries(
        members.filter((m) => typeof said[m] === (m.endsWith("Port") ? "number" : "string")).map((m) => [m, said[m]]),
      ) as SecurityGroupRule;
      if (typeof said.ReferencedGroupId === "string") rule.ReferencedGroupInfo = { GroupId: said.ReferencedGroupId };
      return [rule];
    } catch {
      return [];
    }
  });
}
