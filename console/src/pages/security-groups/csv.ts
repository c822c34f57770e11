import type { SecurityGroup } from "@aws-sdk/client-ec2";
import type { GroupColumn } from "./columns";

// A spreadsheet runs what begins so as a formula; names and descriptions are anybody's text.
const formula = /^[=+\-@\t\r]/;

function field(value: string): string {
  const safe = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** csvOf returns the file of the groups: a line of headers, then one for each. Source: RFC 4180. */
export function csvOf(columns: GroupColumn[], groups: SecurityGroup[]): string {
  const lines = [columns.map((c) => c.header), ...groups.map((g) => columns.map((c) => c.csv(g)))];
  return lines.map((l) => l.map(field).join(",") + "\r\n").join("");
}

/** download hands a text to the person as a file. */
export function download(name: string, content: string) {
  const url = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
