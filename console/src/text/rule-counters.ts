// What is said of what rules let through.

export const text = {
  connectionsNow: "Connections now",
  connections: "Connections so far",
  hits: "Hits (packets)",
  bytes: "Bytes",
  lastHit: "Last hit",
  never: "Never",
  unknown: "Not known",
  ago: (what: string) => `${what} ago`,
  justNow: "just now",
  seconds: (n: number) => `${n} s`,
  minutes: (n: number) => `${n} min`,
  hours: (n: number) => `${n} h`,
  days: (n: number) => (n === 1 ? "1 day" : `${n} days`),
  asOf: (when: string) => `As of ${when}; hosts report every 5 seconds.`,
};
