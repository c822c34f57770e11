import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { call } from "./sallyport";
import type { SearchHit } from "./sallyport_gen";

/** searchQuery is for useQuery: what a text finds, the closest first; type "": of every type. */
export const searchQuery = (text: string, limit: number, type = "") =>
  queryOptions({
    queryKey: ["SearchResources", text, limit, type],
    queryFn: async () =>
      (await call("SearchResources", { Query: text, MaxResults: limit, ...(type ? { ResourceTypes: [type] } : {}) }))
        .output,
    enabled: text.trim() !== "",
    placeholderData: keepPreviousData,
  });

const pages: Record<string, string> = {
  "security-group": "SecurityGroups",
  instance: "Instances",
  "network-interface": "NetworkInterfaces",
  "prefix-list": "PrefixLists",
  vpc: "Vpcs",
  subnet: "Subnets",
  "vpc-peering-connection": "PeeringConnections",
};

/** pathOf is the page of a hit; that of a rule is the tab of its group. */
export function pathOf(hit: SearchHit): string {
  const rule = hit.SecurityGroupRule;
  if (rule) return `/SecurityGroups/${rule.GroupId}?tab=${rule.IsEgress ? "outbound" : "inbound"}`;
  return `/${pages[hit.ResourceType ?? ""] ?? ""}/${hit.ResourceId}`;
}
