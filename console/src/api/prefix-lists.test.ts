import { expect, test } from "vitest";
import { applyChanges, changesOf, inCalls, parsePasted, type Entry } from "./prefix-lists";

const e = (cidr: string, description = ""): Entry => ({ cidr, description });

test("changesOf", () => {
  for (const [name, before, after, replaced, want] of [
    ["nothing", [e("10.0.0.0/8")], [e("10.0.0.0/8")], [], { add: [], remove: [] }],
    [
      "added",
      [e("10.0.0.0/8")],
      [e("10.0.0.0/8"), e("10.1.0.0/16", "a")],
      [],
      { add: [e("10.1.0.0/16", "a")], remove: [] },
    ],
    ["removed", [e("10.0.0.0/8")], [], [], { add: [], remove: ["10.0.0.0/8"] }],
    ["described", [e("10.0.0.0/8")], [e("10.0.0.0/8", "x")], [], { add: [e("10.0.0.0/8", "x")], remove: [] }],
    [
      "replaced ones come first, in pairs",
      [e("10.0.0.0/8"), e("10.1.0.0/16")],
      [e("10.9.0.0/16"), e("10.2.0.0/16", "y")],
      [["10.1.0.0/16", "10.2.0.0/16"]],
      { add: [e("10.2.0.0/16", "y"), e("10.9.0.0/16")], remove: ["10.1.0.0/16", "10.0.0.0/8"] },
    ],
    [
      "swapped: both are there before and after",
      [e("10.0.0.0/8"), e("10.1.0.0/16", "z")],
      [e("10.1.0.0/16"), e("10.0.0.0/8", "z")],
      [
        ["10.0.0.0/8", "10.1.0.0/16"],
        ["10.1.0.0/16", "10.0.0.0/8"],
      ],
      { add: [e("10.1.0.0/16"), e("10.0.0.0/8", "z")], remove: [] },
    ],
  ] as [string, Entry[], Entry[], [string, string][], object][]) {
    expect(changesOf(before, after, replaced), name).toEqual(want);
  }
});

test("applyChanges keeps what others changed", () => {
  const base = [e("10.0.0.0/8", "theirs"), e("10.3.0.0/16")];
  const got = applyChanges(base, { add: [e("10.1.0.0/16", "mine")], remove: ["10.3.0.0/16", "10.4.0.0/16"] });
  expect(got).toEqual([e("10.0.0.0/8", "theirs"), e("10.1.0.0/16", "mine")]);
});

test("inCalls takes 100 additions and 100 removals at a time", () => {
  const many = Array.from({ length: 250 }, (_, i) => e(`10.0.${i}.0/24`));
  const calls = inCalls({ add: many, remove: many.slice(0, 120).map((x) => x.cidr) });
  expect(calls.map((c) => [c.add.length, c.remove.length])).toEqual([
    [100, 100],
    [100, 20],
    [50, 0],
  ]);
  expect(inCalls({ add: [], remove: [] })).toEqual([]);
});

test("parsePasted", () => {
  const got = parsePasted(
    [
      "# offices",
      "203.0.113.0/24 Hamburg",
      "198.51.100.7",
      "2001:db8::1, Porto office",
      '192.0.2.0/24;"with quotes"',
      "",
      "10.0.0.0/8, 172.16.0.0/12,192.168.0.0/16",
      "nonsense here",
      "192.0.2.1 # the printer",
    ].join("\r\n"),
  );
  expect(got).toEqual([
    e("203.0.113.0/24", "Hamburg"),
    e("198.51.100.7/32"),
    e("2001:db8::1/128", "Porto office"),
    e("192.0.2.0/24", "with quotes"),
    e("10.0.0.0/8"),
    e("172.16.0.0/12"),
    e("192.168.0.0/16"),
    e("nonsense", "here"),
    e("192.0.2.1/32", "the printer"),
  ]);
});
