import { expect, test } from "vitest";
import type { Entry } from "../../api/prefix-lists";
import { text } from "../../text/prefix-lists";
import { changesOfRows, problemsOf, rebased, rowAbout, rowOf, rowsOf, stateOf, type Row } from "./rows";
import { compare } from "./versions";

const e = (cidr: string, description = ""): Entry => ({ cidr, description });
const saved = [e("10.0.0.0/8", "a"), e("10.1.0.0/16")];

const edited = (): Row[] => {
  const [first, second] = rowsOf(saved);
  return [
    { ...first!, cidr: " 10.2.0.0/16 " },
    { ...second!, removed: true },
    rowOf(e("10.3.0.0/16", "new")),
    rowOf(e("")),
  ];
};

test("rows are what saving would change", () => {
  expect(edited().map(stateOf)).toEqual(["changed", "removed", "added", "added"]);
  expect(changesOfRows(edited())).toEqual({
    add: [e("10.2.0.0/16", "a"), e("10.3.0.0/16", "new")],
    remove: ["10.0.0.0/8", "10.1.0.0/16"],
  });
  expect(changesOfRows(rowsOf(saved))).toEqual({ add: [], remove: [] });
});

test("changes on top of what somebody else saved are the same changes", () => {
  const theirs = [e("10.0.0.0/8", "a"), e("10.9.0.0/16", "theirs")];
  const rows = rebased(theirs, changesOfRows(edited()));
  expect(changesOfRows(rows)).toEqual({
    add: [e("10.2.0.0/16", "a"), e("10.3.0.0/16", "new")],
    remove: ["10.0.0.0/8"],
  });
  expect(rows.map((r) => [r.cidr, stateOf(r)])).toEqual([
    ["10.9.0.0/16", "same"],
    ["10.2.0.0/16", "added"],
    ["10.3.0.0/16", "added"],
    ["10.0.0.0/8", "removed"],
  ]);
});

test("a CIDR that is there already is marked at the new row", () => {
  const rows = [rowOf(e("10.1.0.0/16")), ...rowsOf(saved), rowOf(e("", "no block"))];
  expect([...problemsOf(rows)]).toEqual([
    [rows[0]!.key, text.editor.twice],
    [rows[3]!.key, text.editor.needed],
  ]);
});

test("the server's words find their row", () => {
  const rows = [...rowsOf(saved), rowOf(e("10.1.2.3/8")), rowOf(e("nonsense"))];
  for (const [message, want] of [
    [
      "The specified CIDR (10.1.2.3/8) is not valid. For example, specify a CIDR in the following form: 10.0.0.0/16.",
      2,
    ],
    ["The specified CIDR (nonsense) is not valid. For example, specify a CIDR in the following form: 10.0.0.0/16.", 3],
    ["The request contains the CIDR (10.1.0.0/16) more than once.", 1],
    ["Request cannot contain Cidr 10.0.0.0/8 in both AddPrefixListEntries and RemovePrefixListEntries", 0],
    ["You've reached the maximum number of entries for the prefix list.", -1],
  ] as const) {
    expect(rows.indexOf(rowAbout(rows, message)!), message).toBe(want);
  }
});

test("compare tells two versions apart", () => {
  const got = compare([e("10.0.0.0/8", "a"), e("10.1.0.0/16", "x"), e("10.2.0.0/16")], [...saved, e("10.3.0.0/16")]);
  expect(got.map((c) => [c.cidr, c.difference])).toEqual([
    ["10.0.0.0/8", "same"],
    ["10.1.0.0/16", "described"],
    ["10.2.0.0/16", "only"],
    ["10.3.0.0/16", "gone"],
  ]);
});
