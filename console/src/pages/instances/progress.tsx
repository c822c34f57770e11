import type { Instance } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { describeInstances, eventual } from "../../api/instances";
import { queryClient } from "../../api/query";
import { text } from "../../text/instances";

const t = text.progress;

export interface ProgressProps {
  ids: string[];
  to: "running" | "stopped" | "terminated";
  /** When it was asked for: tells one stop of an instance from the next. */
  since: number;
}

/** Progress says how many of these instances have reached a state, until they all have, or have got into another. */
export function Progress({ ids, to, since }: ProgressProps) {
  const { data } = useQuery({
    queryKey: ["DescribeInstances", "progress", ids, since],
    queryFn: async ({ client, queryKey }) => {
      // What came of it stays so, whatever becomes of the instances after it.
      const before = client.getQueryData<Instance[]>(queryKey);
      return arrived(before, to) ? before! : describeInstances(ids);
    },
    gcTime: Infinity,
    refetchInterval: (q) => (q.state.error || arrived(q.state.data, to) ? false : 500),
  });
  const done = arrived(data, to);
  useEffect(() => {
    if (done) void queryClient.invalidateQueries({ predicate: (q) => !q.queryKey.includes("progress") });
  }, [done]);
  if (!data) return <StatusIndicator type="in-progress">{text.states[to]}</StatusIndicator>;
  const there = data.filter((i) => i.State?.Name === to);
  const failed = data.filter((i) => i.State?.Name !== to && !eventual(i));
  if (done && failed.length > 0) {
    return (
      <>
        <StatusIndicator type="error">{t.of(there.length, ids.length, text.states[to])}</StatusIndicator>
        {failed.slice(0, 5).map((i) => (
          <div key={i.InstanceId}>
            <Link color="inverted" href={`#/Instances/${i.InstanceId}`}>
              {i.InstanceId}
            </Link>
            {": "}
            {i.StateReason?.Message ?? text.states[i.State?.Name as keyof typeof text.states]}
          </div>
        ))}
      </>
    );
  }
  return (
    <StatusIndicator type={done ? "success" : "in-progress"}>
      {t.of(there.length, ids.length, text.states[to])}
    </StatusIndicator>
  );
}

// A pending instance may have to go down first, or a stopped one has not begun to start: what counts is what comes last.
function arrived(instances: Instance[] | undefined, to: string): boolean {
  return instances !== undefined && instances.every((i) => i.State?.Name === to || !eventual(i));
}
