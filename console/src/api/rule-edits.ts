import {
  DescribeManagedPrefixListsCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  type SecurityGroupRule,
} from "@aws-sdk/client-ec2";
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { send } from "./ec2";
import { selectResources } from "./resources";
import { call, further } from "./sallyport";
import type { AuditRecord, EditSecurityGroupRulesResult } from "./sallyport_gen";

/** The rules of one direction of a group, and the revision at which they are so. */
export interface Seen {
  rules: SecurityGroupRule[];
  revision: number;
}

/** seenQuery asks for the rules that an editor begins with, or that are there now. */
export const seenQuery = (groupId: string, egress: boolean) =>
  queryOptions({
    queryKey: ["DescribeSecurityGroupRules", "seen", groupId, egress],
    queryFn: async (): Promise<Seen> => {
      const { output, revision } = await send(
        new DescribeSecurityGroupRulesCommand({ Filters: [{ Name: "group-id", Values: [groupId] }] }),
      );
      return { rules: (output.SecurityGroupRules ?? []).filter((r) => (r.IsEgress ?? false) === egress), revision };
    },
  });

/** What a preview says, of an edit or of a new group. */
export type Preview = Pick<EditSecurityGroupRulesResult, "Changes" | "Problems" | "Warnings">;

const pause = 300; // ms without a key pressed

/** useDebounced returns a value once it has been the same, as JSON, for a moment. */
export function useDebounced<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  const text = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(JSON.parse(text) as T), pause);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/** usePreview asks what a request would do, once nobody has typed for a moment. asked is the request that was answered,
 * which may be older than the one on the page: then it is not current. */
export function usePreview<T extends object>(request: T, ask: (request: T) => Promise<Preview>, name: string) {
  const settled = useDebounced(request);
  const answer = useQuery({
    queryKey: [name, "preview", settled],
    queryFn: async () => ({ asked: settled, preview: await ask(settled) }),
    placeholderData: keepPreviousData,
    gcTime: 0,
    staleTime: 1_000,
  });
  const current =
    !answer.isPlaceholderData && answer.data !== undefined && JSON.stringify(settled) === JSON.stringify(request);
  return { ...answer.data, current, error: answer.error, again: answer.refetch };
}

/** callerAddress asks for My IP: what guests would see the caller as. */
export const callerAddress = () => further("DescribeCallerAddress", {});

/** A peer that can be chosen: an id and its name. */
export interface Named {
  id: string;
  name: string;
  description: string;
}

const suggested = 30;

/** groupSuggestions asks for groups of a VPC whose id, name or tags contain a text. */
export const groupSuggestions = (vpcId: string, text: string) =>
  queryOptions({
    queryKey: ["SelectResources", "security-group", "suggestions", vpcId, text],
    queryFn: async (): Promise<Named[]> => {
      const { items } = await selectResources(
        {
          type: "security-group",
          scope: [{ PropertyKey: "vpc-id", Operator: "=", Value: vpcId }],
          filter: { tokens: text ? [{ operator: ":", value: text }] : [], operation: "and" },
          sortBy: "group-name",
          descending: false,
          offset: 0,
          limit: suggested,
        },
        async (ids) => (await send(new DescribeSecurityGroupsCommand({ GroupIds: ids }))).output.SecurityGroups ?? [],
        (g) => g.GroupId!,
      );
      return items.map((g) => ({ id: g.GroupId!, name: g.GroupName ?? "", description: g.Description ?? "" }));
    },
    staleTime: 30_000,
  });

/** listSuggestions asks for all prefix lists: an account has some hundred at most. */
export const listSuggestions = () =>
  queryOptions({
    queryKey: ["DescribeManagedPrefixLists", "suggestions"],
    queryFn: async (): Promise<Named[]> => {
      const { output } = await send(new DescribeManagedPrefixListsCommand({}));
      return (output.PrefixLists ?? []).map((l) => ({
        id: l.PrefixListId!,
        name: l.PrefixListName ?? "",
        description: l.AddressFamily ?? "",
      }));
    },
    staleTime: 30_000,
  });

/** changesBy asks who changed a group after a revision. A reader may not know, and a server may keep no log: then nobody
 * is named. */
export const changesBy = (groupId: string, after: number, until: number) =>
  queryOptions({
    queryKey: ["DescribeAuditRecords", groupId, after, until],
    queryFn: async (): Promise<AuditRecord[]> => {
      const { output } = await call("DescribeAuditRecords", { ResourceId: groupId, MaxResults: 50 });
      return output.AuditRecords.filter((r) => (r.Revision ?? 0) > after);
    },
    retry: false,
    staleTime: Infinity,
  });
