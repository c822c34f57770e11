import { Box, Link, StatusIndicator } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useCallback, type ReactNode } from "react";
import { messageOf } from "../api/errors";
import { call } from "../api/sallyport";
import type { DescribeEnforcementResult, Enforcement } from "../api/sallyport_gen";
import { useNotify } from "../shell/notifications";
import { text } from "../text/apply-status";

/** What a change was about. The server finds the interfaces whose filter it concerns: those that are named, those with
 * one of the groups or with a group whose rules name one, and those with a group whose rules name one of the lists.
 * Nothing named: all that a device carries. */
export interface Concerned {
  networkInterfaceIds?: string[];
  securityGroupIds?: string[];
  prefixListIds?: string[];
}

export interface ApplyStatusProps extends Concerned {
  /** Of the write: what `send` and `call` return beside the output. */
  revision: number;
}

const shown = 100; // interfaces of one answer
const named = 5; // that are late
const seconds = { first: 1, then: 10 }; // that the server waits before it answers

/** ApplyStatus says on how many interfaces a change is in force, how long that took, and which are late and why. The
 * server is asked once more only as long as one is late. */
export function ApplyStatus({ revision, networkInterfaceIds, securityGroupIds, prefixListIds }: ApplyStatusProps) {
  const request = {
    Revision: revision,
    NetworkInterfaceIds: networkInterfaceIds,
    SecurityGroupIds: securityGroupIds,
    PrefixListIds: prefixListIds,
    MaxResults: shown,
  };
  const answer = useQuery({
    queryKey: ["DescribeEnforcement", "wait", request],
    queryFn: async ({ client, queryKey }) => {
      const before = client.getQueryData<DescribeEnforcementResult>(queryKey);
      const WaitTimeSeconds = before ? seconds.then : seconds.first;
      return (await call("DescribeEnforcement", { ...request, WaitTimeSeconds })).output;
    },
    refetchInterval: (query) => (query.state.data?.InForce || query.state.error ? false : 1),
    staleTime: Infinity,
  });
  const status = answer.data;
  if (answer.error && !status) {
    return (
      <StatusIndicator type="info">
        {text.unknown} {messageOf(answer.error)}
      </StatusIndicator>
    );
  }
  if (!status) return <StatusIndicator type="in-progress">{text.waiting}</StatusIndicator>;
  const { InForceCount: done = 0, InterfaceCount: all = 0 } = status;
  if (status.InForce) {
    return (
      <StatusIndicator type={all ? "success" : "info"}>
        {all ? text.inForce(done, status.TookMilliseconds) : text.nobody}
      </StatusIndicator>
    );
  }
  const late = status.Enforcements.filter((e) => !e.InForce);
  return (
    <Box>
      <StatusIndicator type="in-progress">{text.late(done, all)}</StatusIndicator>
      {late.slice(0, named).map((e) => (
        <Late key={e.NetworkInterfaceId} enforcement={e} />
      ))}
      {all - done > Math.min(named, late.length) && <Box>{text.more(all - done - Math.min(named, late.length))}</Box>}
    </Box>
  );
}

function Late({ enforcement: e }: { enforcement: Enforcement }) {
  return (
    <Box>
      <Link color="inverted" href={`#/NetworkInterfaces/${e.NetworkInterfaceId}`}>
        {e.NetworkInterfaceId}
      </Link>
      {text.lateOn(e.HostId)}
      {e.Message}
    </Box>
  );
}

/** useApplied returns what to call after a write: it shows a message above the page, with the ApplyStatus. */
export function useApplied() {
  const notify = useNotify();
  return useCallback(
    (header: ReactNode, revision: number, concerned: Concerned = {}) =>
      notify({
        id: `applied-${revision}`,
        type: "success",
        header,
        content: <ApplyStatus revision={revision} {...concerned} />,
      }),
    [notify],
  );
}
