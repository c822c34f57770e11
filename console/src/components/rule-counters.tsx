import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import { Box, Popover, SpaceBetween, StatusIndicator } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { call } from "../api/sallyport";
import type { RuleCounter } from "../api/sallyport_gen";
import { text } from "../text/rule-counters";
import type { RuleColumn } from "./rule-table";

/** By the rule's id. A rule without an entry is not known of (yet). */
export type RuleCounters = ReadonlyMap<string, RuleCounter>;

const reported = 5_000; // ms; hosts report so often
const perPage = 1000;

/** Whose rules: what passes all that is given. */
export interface Counted {
  securityGroupIds?: string[];
  networkInterfaceIds?: string[];
  securityGroupRuleIds?: string[];
}

/** useRuleCounters returns what rules let through, and asks again as often as hosts report while the page is looked at.
 * Give it something to count: with enabled false it asks nothing. */
export function useRuleCounters(counted: Counted, enabled = true): { counters: RuleCounters; error?: Error } {
  const request = {
    GroupIds: counted.securityGroupIds,
    NetworkInterfaceIds: counted.networkInterfaceIds,
    SecurityGroupRuleIds: counted.securityGroupRuleIds,
    MaxResults: perPage,
  };
  const answer = useQuery({
    queryKey: ["DescribeRuleCounters", request],
    queryFn: async () => {
      const all = new Map<string, RuleCounter>();
      for (let NextToken: string | undefined; ;) {
        const { output } = await call("DescribeRuleCounters", { ...request, NextToken });
        for (const c of output.RuleCounters) all.set(c.SecurityGroupRuleId!, c);
        NextToken = output.NextToken;
        if (!NextToken) return all;
      }
    },
    refetchInterval: reported,
    enabled,
  });
  const counters = answer.data ?? none;
  return useMemo(() => ({ counters, ...(answer.error ? { error: answer.error } : {}) }), [counters, answer.error]);
}

const none: RuleCounters = new Map();

/** ruleCounterColumns are columns for a RuleTable: connections now, hits, last hit; more that a person may ask for. */
export function ruleCounterColumns(counters: RuleCounters): RuleColumn[] {
  const of = (r: SecurityGroupRule) => counters.get(r.SecurityGroupRuleId ?? "");
  const number =
    (read: (c: RuleCounter) => number | undefined) =>
    (r: SecurityGroupRule): string =>
      (of(r) && read(of(r)!))?.toLocaleString() ?? "";
  const compare =
    (read: (c: RuleCounter) => number | undefined) =>
    (a: SecurityGroupRule, b: SecurityGroupRule): number =>
      ((of(a) && read(of(a)!)) ?? -1) - ((of(b) && read(of(b)!)) ?? -1);
  const column = (id: string, header: string, read: (c: RuleCounter) => number | undefined, hidden = false) => ({
    id,
    header,
    text: number(read),
    compare: compare(read),
    minWidth: 110,
    ...(hidden ? { hidden } : {}),
  });
  return [
    {
      ...column("connections-now", text.connectionsNow, (c) => c.ConnectionsNow),
      cell: (r) => <ConnectionsNow counter={of(r)} />,
    },
    column("hits", text.hits, (c) => c.Packets),
    {
      ...column("last-hit", text.lastHit, (c) => c.LastHit?.getTime() ?? 0),
      text: (r) => (of(r) ? (of(r)!.LastHit?.toISOString() ?? text.never) : ""),
      cell: (r) => <LastHit counter={of(r)} />,
    },
    column("connections", text.connections, (c) => c.Connections, true),
    column("bytes", text.bytes, (c) => c.Bytes, true),
  ];
}

/** ConnectionsNow is a number; what is uncertain about it, or how old it is, opens on a click. */
export function ConnectionsNow({ counter: c }: { counter: RuleCounter | undefined }) {
  if (!c) return <>–</>;
  const uncertain = c.Interfaces.filter((e) => e.Message);
  const known = c.ConnectionsNow?.toLocaleString();
  if (!uncertain.length) return <>{known ?? "–"}</>;
  return (
    <Popover
      dismissAriaLabel={text.unknown}
      content={
        <SpaceBetween size="xs">
          {uncertain.map((e) => (
            <Box key={e.NetworkInterfaceId}>
              {e.NetworkInterfaceId}: {e.Message}
            </Box>
          ))}
          {c.AsOf && <Box color="text-body-secondary">{text.asOf(c.AsOf.toLocaleTimeString())}</Box>}
        </SpaceBetween>
      }
    >
      <StatusIndicator type="warning">{known ?? text.unknown}</StatusIndicator>
    </Popover>
  );
}

/** LastHit says how long ago the last packet was, as of the hosts' report. */
export function LastHit({ counter: c }: { counter: RuleCounter | undefined }) {
  if (!c) return <>–</>;
  if (!c.LastHit) return <Box color="text-body-secondary">{text.never}</Box>;
  return (
    <time dateTime={c.LastHit.toISOString()} title={c.LastHit.toLocaleString()}>
      {since(c.LastHit, new Date())}
    </time>
  );
}

/** since says in words how long before now a time was. */
export function since(time: Date, now: Date): string {
  const s = Math.floor((now.getTime() - time.getTime()) / 1000);
  if (s < 5) return text.justNow;
  if (s < 120) return text.ago(text.seconds(s));
  if (s < 2 * 3600) return text.ago(text.minutes(Math.floor(s / 60)));
  if (s < 48 * 3600) return text.ago(text.hours(Math.floor(s / 3600)));
  return text.ago(text.days(Math.floor(s / 86400)));
}
