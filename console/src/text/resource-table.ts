// What every list says.

const number = new Intl.NumberFormat("en-US");

export const text = {
  loading: "Loading",
  refresh: "Refresh",
  selectAll: "Select all on this page",
  counter: (selected: number, total: number) =>
    selected ? `(${number.format(selected)}/${number.format(total)})` : `(${number.format(total)})`,
  filter: {
    find: (what: string) => `Find ${what.charAt(0).toLowerCase()}${what.slice(1)} by attribute or tag`,
    matches: (n: number) => (n === 1 ? "1 match" : `${number.format(n)} matches`),
    values: (property: string) => `${property} values`,
    tag: (key: string) => `Tag: ${key}`,
    tags: "Tags",
    tagValues: "Tag values",
    loading: "Loading values",
    error: "The values could not be loaded.",
    again: "Try again",
    empty: "No values",
  },
  noMatch: { title: "No matches", body: "Nothing passes the filter.", clear: "Clear filter" },
  error: { title: "The list could not be loaded", stale: "The list could not be refreshed", again: "Try again" },
  preferences: {
    pageSize: "Page size",
    perPage: (n: number) => `${n} per page`,
    columns: "Columns",
    wrap: { label: "Wrap lines", description: "Show the whole text of a cell." },
    striped: { label: "Striped rows", description: "Shade every other row." },
  },
};
