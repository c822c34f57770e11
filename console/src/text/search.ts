// What the search says.

const number = new Intl.NumberFormat("en-US");

export const text = {
  title: "Search",
  placeholder: "Search, for example port:5432 from:world",
  label: "Search everything",
  all: (n: number) => (n === 1 ? "Show the match" : `Show all ${number.format(n)} matches`),
  searching: "Searching",
  nothing: "No matches",
  failed: "The search did not work",
  types: {
    "security-group": "Security groups",
    instance: "Instances",
    "network-interface": "Network interfaces",
    "prefix-list": "Managed prefix lists",
    vpc: "VPCs",
    subnet: "Subnets",
    "vpc-peering-connection": "Peering connections",
    "security-group-rule": "Security group rules",
  } as Record<string, string>,
  results: (query: string) => `Results for “${query}”`,
  counter: (n: number) => `(${number.format(n)})`,
  everything: (n: number) => `All (${number.format(n)})`,
  count: (label: string, n: number) => `${label} (${number.format(n)})`,
  filter: "Show",
  submit: "Search",
  first: (shown: number, all: number) =>
    `The closest ${number.format(shown)} of ${number.format(all)} are shown. More words narrow it.`,
  columns: { what: "Resource", name: "Name", type: "Type", reason: "Why", vpc: "VPC ID" },
  ruleOf: (rule: string) => `Rule ${rule}`,
  none: "–",
  noneBody: "Nothing meets all of the words.",
  help: {
    title: "What can be searched for",
    examples: [
      { query: "port:5432 from:world", means: "rules that let PostgreSQL in from everybody" },
      { query: "from:10.0.1.5 to:db", means: "rules on the way from an address to the group db" },
      { query: "to:world port:25", means: "who may send mail to anywhere" },
      { query: "10.0.1.5", means: "who has the address, and which rules cover it" },
      { query: "10.0.0.0/16", means: "what is this block, covers it or lies in it" },
      { query: "sg-0123456789abcdef0", means: "an id, or its beginning: the resource, and what names or carries it" },
      { query: "Environment=prod", means: "a tag; its value may have * and ?" },
      { query: 'group:web "the office"', means: "what is in or carries a group, and has this text" },
    ],
  },
};
