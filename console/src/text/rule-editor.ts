// What the editor of rules says, and the pages that it stands on.

const count = (n: number, one: string, many = `${one}s`) => (n === 1 ? `1 ${one}` : `${n} ${many}`);

export const text = {
  columns: {
    id: "Security group rule ID",
    type: "Type",
    protocol: "Protocol",
    ports: "Port range",
    source: "Source",
    destination: "Destination",
    description: "Description - optional",
  },
  newRule: "–",
  kinds: {
    custom: "Custom",
    anywhere4: "Anywhere-IPv4",
    anywhere6: "Anywhere-IPv6",
    mine: "My IP",
  },
  kind: "type",
  peerPlaceholder: "CIDR, group or prefix list",
  portsPlaceholder: "80-90",
  protocolPlaceholder: "0 to 255",
  findType: "Find a type",
  use: (value: string) => `Use: "${value}"`,
  groups: "Security groups",
  lists: "Prefix lists",
  blocks: "CIDR blocks",
  itself: "This group itself",
  searching: "Searching",
  noneFound: "No group or prefix list found",
  searchFailed: "Groups could not be searched",
  again: "Try again",
  mineUnknown: "The server does not know which address you have.",
  mineFailed: "Your address could not be asked for:",
  removePeer: (peer: string) => `Remove ${peer}`,
  add: "Add rule",
  delete: "Delete",
  deleteRule: (what: string) => `Delete rule ${what}`,
  ruleRemoved: "The rule was deleted from the form",
  error: "Error",
  warning: "Warning",
  empty: {
    inbound: "This security group has no inbound rules: nothing may come in.",
    outbound: "This security group has no outbound rules: nothing may go out.",
  },
  icmp: { type: "ICMP type", code: "ICMP code" },
  world: {
    severe: (n: number) =>
      n === 1
        ? "One rule opens a service to the world that is attacked all the time"
        : `${n} rules open services to the world that are attacked all the time`,
    inbound:
      "Rules with source 0.0.0.0/0 or ::/0 let every address reach your instances. Let in only addresses that you know.",
    outbound:
      "Rules with destination 0.0.0.0/0 or ::/0 let your instances send to every address. Allow only what they need.",
  },
  changes: {
    title: "What will change",
    counter: (added: number, modified: number, removed: number) =>
      [added && `${added} added`, modified && `${modified} modified`, removed && `${removed} removed`]
        .filter(Boolean)
        .join(", "),
    none: "Nothing yet.",
    atOnce: "Saved as one change: all of it or nothing. It holds for every interface with this group at once.",
    kinds: { added: "Add", modified: "Modify", removed: "Remove" } as Record<string, string>,
    kind: "Change",
    rule: "Rule",
    before: "Before",
    after: "After",
    undo: "Undo",
    undoOf: (kind: string, rule: string) => `Undo: ${kind} ${rule}`,
    checking: "Asking the server",
    problems: (n: number) => `${count(n, "problem")} to solve first`,
    failed: "The server could not be asked what would change",
  },
  meanwhile: {
    title: (who: string) => `${who} changed this group since you opened it`,
    somebody: "Somebody else",
    and: " and ",
    yours: "Some of these are rules that you edited, too: nothing is saved before you have seen that.",
    others: "None of these are rules that you edited. You can save as you are; you then keep both.",
    merge: "Put my edits on top of theirs",
    discard: "Discard my edits",
    was: "It was",
    now: "It is now",
    added: "added",
    modified: "modified",
    removed: "removed",
  },
  page: {
    list: "Security groups",
    editInbound: "Edit inbound rules",
    editOutbound: "Edit outbound rules",
    aboutInbound: "Inbound rules say what may reach the instances of this group.",
    aboutOutbound: "Outbound rules say where the instances of this group may send.",
    inbound: "Inbound rules",
    outbound: "Outbound rules",
    tags: "Tags - optional",
    save: "Save rules",
    saved: (group: string, egress: boolean) =>
      `${egress ? "Outbound" : "Inbound"} security group rules of ${group} were modified`,
    loadFailed: "The rules could not be loaded",
  },
  create: {
    title: "Create security group",
    copy: "Copy to new security group",
    about:
      "A security group is a set of rules for what may reach the interfaces that carry it, and where they may send.",
    details: "Basic details",
    name: "Security group name",
    nameHint: "The name cannot be changed later.",
    description: "Description",
    descriptionHint: "It cannot be changed later either.",
    vpc: "VPC",
    vpcNone: "Choose a VPC",
    submit: "Create security group",
    created: (id: string, name: string) => `Security group ${id} (${name}) was created`,
    copyName: (name: string) => `${name}-copy`,
    inboundEmpty: "This security group has no inbound rules. Add one to let something in.",
  },
};
