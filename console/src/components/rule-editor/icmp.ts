/** A choice of ICMP: its number as text, "-1" for all. */
export interface IcmpOption {
  value: string;
  label: string;
}

const all: IcmpOption = { value: "-1", label: "All" };
const list = (names: [number, string][]): IcmpOption[] => [
  all,
  ...names.map(([n, name]) => ({ value: `${n}`, label: `${name} (${n})` })),
];

/** Types of ICMP for IPv4. Source: IANA, ICMP Parameters. */
const icmp4 = list([
  [0, "Echo Reply"],
  [3, "Destination Unreachable"],
  [4, "Source Quench"],
  [5, "Redirect Message"],
  [6, "Alternate Host Address"],
  [8, "Echo Request"],
  [9, "Router Advertisement"],
  [10, "Router Solicitation"],
  [11, "Time Exceeded"],
  [12, "Parameter Problem: Bad IP header"],
  [13, "Timestamp"],
  [14, "Timestamp Reply"],
  [15, "Information Request"],
  [16, "Information Reply"],
  [17, "Address Mask Request"],
  [18, "Address Mask Reply"],
  [30, "Traceroute"],
  [31, "Datagram Conversion Error"],
  [32, "Mobile Host Redirect"],
  [33, "Where Are You"],
  [34, "Here I Am"],
  [35, "Mobile Registration Request"],
  [36, "Mobile Registration Reply"],
  [37, "Domain Name Request"],
  [38, "Domain Name Reply"],
  [39, "SKIP"],
  [40, "Photuris"],
]);

/** Types of ICMPv6. Source: IANA, ICMPv6 Parameters. */
const icmp6 = list([
  [1, "Destination Unreachable"],
  [2, "Packet Too Big"],
  [3, "Time Exceeded"],
  [4, "Parameter Problem"],
  [128, "Echo Request"],
  [129, "Echo Reply"],
  [130, "Multicast Listener Query"],
  [131, "Multicast Listener Report"],
  [132, "Multicast Listener Done"],
  [133, "Router Solicitation"],
  [134, "Router Advertisement"],
  [135, "Neighbor Solicitation"],
  [136, "Neighbor Advertisement"],
  [137, "Redirect Message"],
]);

/** Codes by protocol and type; a type that is not here has only code 0. */
const codes: Record<string, IcmpOption[]> = {
  "icmp 3": list([
    [0, "Net unreachable"],
    [1, "Host unreachable"],
    [2, "Protocol unreachable"],
    [3, "Port unreachable"],
    [4, "Fragmentation required, and DF set"],
    [5, "Source route failed"],
    [6, "Destination network unknown"],
    [7, "Destination host unknown"],
    [8, "Source host isolated"],
    [9, "Network administratively prohibited"],
    [10, "Host administratively prohibited"],
    [11, "Network unreachable for ToS"],
    [12, "Host unreachable for ToS"],
    [13, "Communication administratively prohibited"],
  ]),
  "icmp 5": list([
    [0, "Redirect datagram for the network"],
    [1, "Redirect datagram for the host"],
    [2, "Redirect datagram for the ToS and network"],
    [3, "Redirect datagram for the ToS and host"],
  ]),
  "icmp 11": list([
    [0, "TTL expired in transit"],
    [1, "Fragment reassembly time exceeded"],
  ]),
  "icmp 12": list([
    [0, "Pointer indicates the error"],
    [1, "Missing a required option"],
    [2, "Bad length"],
  ]),
  "icmpv6 1": list([
    [0, "No route to destination"],
    [1, "Administratively prohibited"],
    [2, "Beyond scope of source address"],
    [3, "Address unreachable"],
    [4, "Port unreachable"],
    [5, "Source address failed policy"],
    [6, "Reject route to destination"],
  ]),
  "icmpv6 3": list([
    [0, "Hop limit exceeded in transit"],
    [1, "Fragment reassembly time exceeded"],
  ]),
  "icmpv6 4": list([
    [0, "Erroneous header field"],
    [1, "Unrecognized next header"],
    [2, "Unrecognized IPv6 option"],
  ]),
};

const withValue = (options: IcmpOption[], value: string) =>
  options.some((o) => o.value === value) ? options : [...options, { value, label: value }];

/** icmpTypes are the types of a protocol; a rule's own is among them, whatever it is. */
export const icmpTypes = (protocol: "icmp" | "icmpv6", own: string): IcmpOption[] =>
  withValue(protocol === "icmp" ? icmp4 : icmp6, own);

/** icmpCodes are the codes of a type. */
export const icmpCodes = (protocol: "icmp" | "icmpv6", type: string, own: string): IcmpOption[] =>
  type === "-1" ? [all] : withValue(codes[`${protocol} ${type}`] ?? list([[0, "Code"]]), own);
