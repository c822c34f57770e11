import { expect, test } from "vitest";
import type { RuleCounter } from "../api/sallyport_gen";
import { ruleCounterColumns, since } from "./rule-counters";

const rule = (id: string) => ({ SecurityGroupRuleId: id });
const counter = (part: Partial<RuleCounter>): RuleCounter => ({ Interfaces: [], ...part });

test("columns show and sort by numbers, and tell zero from what is not known", () => {
  const at = new Date("2026-01-02T03:04:05Z");
  const counters = new Map([
    ["sgr-1", counter({ ConnectionsNow: 2, Packets: 1234567, LastHit: at })],
    ["sgr-2", counter({ ConnectionsNow: 10, Packets: 0 })],
    ["sgr-3", counter({ Packets: 5 })],
  ]);
  const columns = ruleCounterColumns(counters);
  const of = (id: string) => columns.find((c) => c.id === id)!;
  const texts = (id: string) => ["sgr-1", "sgr-2", "sgr-3", "sgr-4"].map((r) => of(id).text(rule(r)));
  expect(texts("connections-now")).toEqual(["2", "10", "", ""]);
  expect(texts("hits")).toEqual([(1234567).toLocaleString(), "0", "5", ""]);
  expect(texts("last-hit")).toEqual([at.toISOString(), "Never", "Never", ""]);
  const sorted = ["sgr-2", "sgr-4", "sgr-1", "sgr-3"].map(rule).sort(of("hits").compare);
  expect(sorted.map((r) => r.SecurityGroupRuleId)).toEqual(["sgr-4", "sgr-2", "sgr-3", "sgr-1"]);
});

test("since is in words that do not jump about", () => {
  const now = new Date("2026-01-03T00:00:00Z");
  const before = (seconds: number) => since(new Date(now.getTime() - seconds * 1000), now);
  expect([-3, 4, 5, 119, 120, 7199, 7200, 172799, 172800].map(before)).toEqual([
    "just now",
    "just now",
    "5 s ago",
    "119 s ago",
    "2 min ago",
    "119 min ago",
    "2 h ago",
    "47 h ago",
    "2 days ago",
  ]);
});
