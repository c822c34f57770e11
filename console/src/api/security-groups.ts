import {
  DescribeManagedPrefixListsCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
  type SecurityGroup,
  type SecurityGroupRule,
} from "@aws-sdk/client-ec2";
import { queryOptions, useQuery, type Query } from "@tanstack/react-query";
import { query, send } from "./ec2";
import { queryClient } from "./query";
import { further } from "./sallyport";
import type { SecurityGroupUses } from "./sallyport_gen";

/** groupQuery asks for one group; an unknown one is a refusal. */
export const groupQuery = (id: string) => ({
  ...query(new DescribeSecurityGroupsCommand({ GroupIds: [id] })),
  select: (o: { SecurityGroups?: SecurityGroup[] | undefined }) => o.SecurityGroups?.[0],
});

/** rulesQuery asks for all rules of groups, of both directions. */
export const rulesQuery = (groupIds: string[]) => ({
  ...query(new DescribeSecurityGroupRulesCommand({ Filters: [{ Name: "group-id", Values: groupIds }] })),
  select: (o: { SecurityGroupRules?: SecurityGroupRule[] | undefined }) => o.SecurityGroupRules ?? [],
});

/** usesQuery asks what uses groups; most is how many uses of each kind it lists: counts are of all. */
export const usesQuery = (groupIds: string[], most = 1000) => ({
  ...further("DescribeSecurityGroupUses", { GroupIds: groupIds, MaxUses: most }),
  select: (o: { SecurityGroupUses: SecurityGroupUses[] }) => o.SecurityGroupUses,
});

const filterValues = 200; // of one filter, as EC2 takes them

const inParts = (ids: string[]) =>
  Array.from({ length: Math.ceil(ids.length / filterValues) }, (_, i) =>
    ids.slice(i * filterValues, (i + 1) * filterValues),
  );

/** namesQuery asks for the names of what rules name: groups and prefix lists, by id. What is gone has none. */
const namesQuery = (groups: string[], lists: string[]) =>
  queryOptions({
    queryKey: ["DescribeSecurityGroups", "names", groups, lists],
    queryFn: async () => {
      const names: Record<string, string> = {};
      for (const ids of inParts(groups)) {
        const { output } = await send(
          new DescribeSecurityGroupsCommand({ Filters: [{ Name: "group-id", Values: ids }] }),
        );
        for (const g of output.SecurityGroups ?? []) names[g.GroupId!] = g.GroupName!;
      }
      for (const ids of inParts(lists)) {
        const { output } = await send(
          new DescribeManagedPrefixListsCommand({ Filters: [{ Name: "prefix-list-id", Values: ids }] }),
        );
        for (const l of output.PrefixLists ?? []) names[l.PrefixListId!] = l.PrefixListName!;
      }
      return names;
    },
  });

const distinct = (ids: (string | undefined)[]) => [...new Set(ids.filter((id) => id !== undefined))].sort();

/** useNamesIn returns the names of the groups and prefix lists that rules name, by id. */
export function useNamesIn(rules: SecurityGroupRule[]): Record<string, string> {
  const groups = distinct(rules.map((r) => r.ReferencedGroupInfo?.GroupId));
  const lists = distinct(rules.map((r) => r.PrefixListId));
  const answer = useQuery({ ...namesQuery(groups, lists), enabled: groups.length + lists.length > 0 });
  return answer.data ?? {};
}

/** ruleCount counts rules as EC2's console does: one for each source or destination. */
export const ruleCount = (permissions: SecurityGroup["IpPermissions"]) =>
  (permissions ?? []).reduce(
    (n, p) =>
      n +
      (p.IpRanges?.length ?? 0) +
      (p.Ipv6Ranges?.length ?? 0) +
      (p.PrefixListIds?.length ?? 0) +
      (p.UserIdGroupPairs?.length ?? 0),
    0,
  );

/** revokeCalls returns the calls that remove rules of any groups: one for each group and direction. */
export function revokeCalls(rules: Pick<SecurityGroupRule, "GroupId" | "IsEgress" | "SecurityGroupRuleId">[]) {
  const parts = new Map<string, { GroupId: string; egress: boolean; SecurityGroupRuleIds: string[] }>();
  for (const r of rules) {
    const key = `${r.GroupId} ${r.IsEgress}`;
    const part = parts.get(key) ?? { GroupId: r.GroupId!, egress: r.IsEgress ?? false, SecurityGroupRuleIds: [] };
    part.SecurityGroupRuleIds.push(r.SecurityGroupRuleId!);
    parts.set(key, part);
  }
  return [...parts.values()].map(({ egress, ...input }) =>
    egress ? new RevokeSecurityGroupEgressCommand(input) : new RevokeSecurityGroupIngressCommand(input),
  );
}

/** forgetGroups has everything that is shown asked for again, but what was asked of groups that are gone: those would be
 * refused. */
export async function forgetGroups(ids: string[]) {
  const about = (q: Query) => ids.some((id) => JSON.stringify(q.queryKey).includes(id));
  queryClient.removeQueries({ predicate: about, type: "inactive" });
  await queryClient.invalidateQueries({ predicate: (q) => !about(q) });
}
