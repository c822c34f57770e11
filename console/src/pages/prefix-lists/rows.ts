import { applyChanges, changesOf, type Entry, type EntryChanges } from "../../api/prefix-lists";
import { text } from "../../text/prefix-lists";

/** A row of the editor of entries. */
export interface Row {
  /** Of this row, as long as the editor is open. */
  key: number;
  cidr: string;
  description: string;
  /** As it is saved; absent: the row is new. */
  was?: Entry;
  removed?: boolean;
}

let last = 0;

export const rowOf = (e: Entry, was?: Entry): Row => ({ key: ++last, ...e, ...(was ? { was } : {}) });

export const rowsOf = (entries: Entry[]): Row[] => entries.map((e) => rowOf(e, e));

const isEmpty = (r: Row) => !r.cidr.trim() && !r.description.trim() && !r.was;

/** entriesOfRows returns what is to be in the list. Rows without a word are left out. */
export const entriesOfRows = (rows: Row[]): Entry[] =>
  rows
    .filter((r) => !r.removed && !isEmpty(r))
    .map((r) => ({ cidr: r.cidr.trim(), description: r.description.trim() }));

/** changesOfRows returns what saving the rows would change. */
export function changesOfRows(rows: Row[]): EntryChanges {
  const before = rows.flatMap((r) => r.was ?? []);
  const replaced = rows
    .filter((r) => r.was && !r.removed && r.was.cidr !== r.cidr.trim())
    .map((r): [string, string] => [r.was!.cidr, r.cidr.trim()]);
  return changesOf(before, entriesOfRows(rows), replaced);
}

/** rebased returns the rows of entries that are others by now, with the changes on top. */
export function rebased(base: Entry[], changes: EntryChanges): Row[] {
  const wanted = applyChanges(base, changes);
  const had = new Map(base.map((e) => [e.cidr, e]));
  const has = new Set(wanted.map((e) => e.cidr));
  return [
    ...wanted.map((e) => rowOf(e, had.get(e.cidr))),
    ...base.filter((e) => !has.has(e.cidr)).map((e) => ({ ...rowOf(e, e), removed: true })),
  ];
}

export type RowState = "same" | "added" | "changed" | "removed";

export function stateOf(r: Row): RowState {
  if (r.removed) return "removed";
  if (!r.was) return "added";
  return r.was.cidr === r.cidr.trim() && r.was.description === r.description.trim() ? "same" : "changed";
}

/** problemsOf returns what is wrong with rows whatever the server says of CIDRs, by key. */
export function problemsOf(rows: Row[]): Map<number, string> {
  const problems = new Map<number, string>();
  const first = new Map<string, Row>();
  // A saved row keeps its CIDR before a new one of the same.
  const inOrder = rows.filter((r) => !r.removed && !isEmpty(r));
  for (const r of [...inOrder.filter((x) => stateOf(x) === "same"), ...inOrder.filter((x) => stateOf(x) !== "same")]) {
    const cidr = r.cidr.trim();
    if (!cidr) problems.set(r.key, text.editor.needed);
    else if (first.has(cidr)) problems.set(r.key, text.editor.twice);
    else first.set(cidr, r);
  }
  return problems;
}

/** rowAbout returns the row that the server's words are about: they name the CIDR as it was sent. */
export function rowAbout(rows: Row[], message: string): Row | undefined {
  const named = /(?:CIDR|Cidr) \(?([0-9a-fA-F.:/]+)\)?|\(([^()]*)\) is not valid/.exec(message);
  const cidr = named?.[1] ?? named?.[2];
  if (!cidr) return undefined;
  const about = rows.filter((r) => r.cidr.trim() === cidr || r.was?.cidr === cidr);
  return about.find((r) => stateOf(r) !== "same") ?? about[0];
}
