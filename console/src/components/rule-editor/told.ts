import type { SecurityGroupRuleProblem } from "../../api/sallyport_gen";
import type { Preview } from "../../api/rule-edits";
import { allPeers, fieldOf, type Edit, type Field, type Row } from "./rows";

/** Told is what the server says of rows. */
export interface Told {
  /** Below a cell; undefined: nothing is wrong, or nobody has been there yet. */
  errors: (row: Row, field: Field) => string[] | undefined;
  warning: (row: Row) => string | undefined;
  /** Of the request as a whole, or of one of its other members. */
  whole: SecurityGroupRuleProblem[];
  /** How many of all these there are. */
  problems: number;
  /** How many rules are open to the world: dangerously, or at all. */
  severe: number;
  open: number;
}

const cells: Field[] = ["protocol", "ports", "peers", "description"];

/** What was asked about: rows and the edit that they come to. */
export interface Asked {
  edit: Edit;
  rows: Row[];
}

const content = (row: Row, field: Field): string =>
  field === "peers" ? allPeers(row).join() : field === "ports" ? `${row.type} ${row.ports}` : row[field];

/** begun: there is something in a cell that can be wrong. */
const begun = (row: Row, field: Field) =>
  row.rule !== undefined || (field === "peers" ? allPeers(row).length > 0 : row[field].trim() !== "");

/** shown: what the server said of a cell is told. Of one that somebody has just begun it said what is missing there. all:
 * what nobody has typed yet is told of, too. */
const shown = (row: Row, before: Row | undefined, field: Field, all: boolean) =>
  before !== undefined &&
  (begun(before, field) || ((all || row.touched.includes(field)) && content(before, field) === content(row, field)));

/** told puts a preview's problems and warnings beside the rows that they are about; all as for shown. */
export function told(preview: Preview | undefined, asked: Asked | undefined, rows: Row[], all: boolean): Told {
  const edit = asked?.edit;
  const before = new Map(asked?.rows.map((r) => [r.key, r]));
  const keys = new Map(rows.map((r) => [r.key, r.key]));
  for (const r of rows) if (r.rule?.SecurityGroupRuleId) keys.set(r.rule.SecurityGroupRuleId, r.key);
  const errors = new Map<string, string[]>();
  const warnings = new Map<string, string[]>();
  const whole: SecurityGroupRuleProblem[] = [];
  const put = <V>(map: Map<string, V[]>, key: string, value: V) => map.set(key, [...(map.get(key) ?? []), value]);
  for (const p of preview?.Problems ?? []) {
    const place = p.Row ? edit?.places[p.Row] : undefined;
    if (place) put(errors, `${place.key} ${fieldOf(p)}`, p.Message ?? p.Code ?? "");
    else whole.push(p);
  }
  let severe = 0;
  let open = 0;
  for (const w of preview?.Warnings ?? []) {
    const key = keys.get((w.Row && edit?.places[w.Row]?.key) || (w.SecurityGroupRuleId ?? ""));
    if (!key) continue; // of the other direction
    open++;
    if (w.Level === "severe") severe++;
    if (w.Level !== "info") put(warnings, key, w.Message ?? "");
  }
  const distinct = (list: string[] | undefined) => list && [...new Set(list)];
  return {
    errors: (row, field) =>
      shown(row, before.get(row.key), field, all) ? distinct(errors.get(`${row.key} ${field}`)) : undefined,
    warning: (row) => distinct(warnings.get(row.key))?.join(" "),
    whole,
    problems:
      whole.length +
      rows.reduce(
        (n, row) =>
          n + cells.filter((c) => shown(row, before.get(row.key), c, all) && errors.has(`${row.key} ${c}`)).length,
        0,
      ),
    severe,
    open,
  };
}
