import { text } from "../text/rules";

/** What a rule says, as far as its type is concerned: of an SDK's SecurityGroupRule or of a row that is edited. */
export interface RuleShape {
  IpProtocol?: string | undefined;
  FromPort?: number | undefined;
  ToPort?: number | undefined;
}

/** One entry of the list "Type". What the protocol or the ports leave open is undefined. */
export interface RuleType {
  id: string;
  label: string;
  protocol?: string;
  from?: number;
  to?: number;
}

const preset = (label: string, port: number, protocol = "tcp"): RuleType => ({
  id: `${protocol}-${port}`,
  label,
  protocol,
  from: port,
  to: port,
});

/** The list "Type" as EC2's console has it: own ones and whole protocols first, then by port. */
export const ruleTypes: RuleType[] = [
  { id: "custom-tcp", label: "Custom TCP", protocol: "tcp" },
  { id: "custom-udp", label: "Custom UDP", protocol: "udp" },
  { id: "custom-icmp", label: "Custom ICMP - IPv4", protocol: "icmp" },
  { id: "custom-icmpv6", label: "Custom ICMP - IPv6", protocol: "icmpv6" },
  { id: "custom-protocol", label: "Custom Protocol" },
  { id: "all-tcp", label: "All TCP", protocol: "tcp", from: 0, to: 65535 },
  { id: "all-udp", label: "All UDP", protocol: "udp", from: 0, to: 65535 },
  { id: "all-icmp", label: "All ICMP - IPv4", protocol: "icmp", from: -1, to: -1 },
  { id: "all-icmpv6", label: "All ICMP - IPv6", protocol: "icmpv6", from: -1, to: -1 },
  { id: "all", label: "All traffic", protocol: "-1", from: -1, to: -1 },
  preset("SSH", 22),
  preset("SMTP", 25),
  preset("DNS (UDP)", 53, "udp"),
  preset("DNS (TCP)", 53),
  preset("HTTP", 80),
  preset("POP3", 110),
  preset("IMAP", 143),
  preset("LDAP", 389),
  preset("HTTPS", 443),
  preset("SMB", 445),
  preset("SMTPS", 465),
  preset("IMAPS", 993),
  preset("POP3S", 995),
  preset("MSSQL", 1433),
  preset("Oracle-RDS", 1521),
  preset("NFS", 2049),
  preset("MYSQL/Aurora", 3306),
  preset("RDP", 3389),
  preset("PostgreSQL", 5432),
  preset("Redshift", 5439),
  preset("WinRM-HTTP", 5985),
  preset("WinRM-HTTPS", 5986),
  preset("CQLSH / CASSANDRA", 9042),
];

const byId = new Map(ruleTypes.map((t) => [t.id, t]));

/** typeOf returns the type that a rule is shown as. */
export function typeOf(r: RuleShape): RuleType {
  const protocol = r.IpProtocol ?? "";
  const exact = ruleTypes.find((t) => t.protocol === protocol && t.from === r.FromPort && t.to === r.ToPort);
  return (
    (protocol === "-1" ? byId.get("all") : exact) ?? byId.get(`custom-${protocol}`) ?? byId.get("custom-protocol")!
  );
}

/** protocolText is what stands in the column Protocol. */
export function protocolText(r: RuleShape): string {
  const protocol = r.IpProtocol ?? "";
  if (protocol === "-1") return text.all;
  if (["tcp", "udp", "icmp"].includes(protocol)) return protocol.toUpperCase();
  return protocol === "icmpv6" ? "IPv6 ICMP" : protocol;
}

/** portText is what stands in the column Port range: ports, or type and code of ICMP. */
export function portText(r: RuleShape): string {
  const { FromPort: from = -1, ToPort: to = -1 } = r;
  const protocol = r.IpProtocol ?? "";
  if (["tcp", "udp"].includes(protocol)) return from === to ? String(from) : `${from} - ${to}`;
  if (!protocol.startsWith("icmp") || from === -1) return text.all;
  return to === -1 ? text.icmpType(from) : text.icmpTypeAndCode(from, to);
}
