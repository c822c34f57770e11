export const text = {
  loading: "Loading",
  refresh: "Refresh",
  selectAll: "Select all",
  find: (what: string) => `Find ${what.toLowerCase()} by attribute or tag`,
  matches: (n: number) => (n === 1 ? "1 match" : `${n} matches`),
  pages: {
    nextPageLabel: "Next page",
    previousPageLabel: "Previous page",
    pageLabel: (n: number) => `Page ${n}`,
  },
  preferences: {
    title: "Preferences",
    confirm: "Confirm",
    cancel: "Cancel",
    pageSize: "Page size",
    columns: "Columns",
  },
};
