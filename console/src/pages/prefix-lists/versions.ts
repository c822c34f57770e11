import type { ManagedPrefixList } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import type { Entry } from "../../api/prefix-lists";
import { further } from "../../api/sallyport";

/** useVersions returns the versions that are kept, the latest first. */
export function useVersions(list: ManagedPrefixList): number[] {
  const quota = useQuery(further("DescribeQuotas", { QuotaNames: ["versions-per-prefix-list"] }));
  const latest = list.Version ?? 1;
  const kept = quota.data?.Quotas[0]?.Value ?? latest;
  const oldest = Math.max(1, latest - kept + 1);
  return Array.from({ length: latest - oldest + 1 }, (_, i) => latest - i);
}

/** An entry of two versions: of one that is looked at, and of the latest. */
export interface Compared extends Entry {
  difference: "same" | "only" | "gone" | "described";
  /** There, if it is another here. */
  was: string;
}

/** compare returns the entries of both versions, in the order of the first. */
export function compare(here: Entry[], there: Entry[]): Compared[] {
  const others = new Map(there.map((e) => [e.cidr, e.description]));
  const mine = new Set(here.map((e) => e.cidr));
  return [
    ...here.map((e): Compared => {
      const was = others.get(e.cidr);
      if (was === undefined) return { ...e, difference: "only", was: "" };
      return { ...e, difference: was === e.description ? "same" : "described", was };
    }),
    ...there.filter((e) => !mine.has(e.cidr)).map((e): Compared => ({ ...e, difference: "gone", was: "" })),
  ];
}
