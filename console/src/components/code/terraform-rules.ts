import type { Value } from "./hcl";

/** An IpPermission, or the part of a rule that says the same. */
export interface Permission {
  IpProtocol?: string;
  FromPort?: number;
  ToPort?: number;
  IpRanges?: { CidrIp?: string; Description?: string }[];
  Ipv6Ranges?: { CidrIpv6?: string; Description?: string }[];
  PrefixListIds?: { PrefixListId?: string; Description?: string }[];
  UserIdGroupPairs?: { GroupId?: string; Description?: string }[];
}

/** The far side of a rule as Terraform's attributes: exactly one is set. */
export interface Peer {
  cidr_ipv4?: string | undefined;
  cidr_ipv6?: string | undefined;
  prefix_list_id?: string | undefined;
  referenced_security_group_id?: string | undefined;
}

/** peersOf returns each far side of a permission: a rule of Terraform's has one. */
export const peersOf = (p: Permission): (Peer & { description: string | undefined })[] => [
  ...(p.IpRanges ?? []).map((r) => ({ cidr_ipv4: r.CidrIp, description: r.Description || undefined })),
  ...(p.Ipv6Ranges ?? []).map((r) => ({ cidr_ipv6: r.CidrIpv6, description: r.Description || undefined })),
  ...(p.PrefixListIds ?? []).map((r) => ({ prefix_list_id: r.PrefixListId, description: r.Description || undefined })),
  ...(p.UserIdGroupPairs ?? []).map((r) => ({
    referenced_security_group_id: r.GroupId,
    description: r.Description || undefined,
  })),
];

/** addresses are the attributes that say protocol, ports and far side. */
export function addresses(
  p: Permission,
  peer: Peer,
  value: (v: unknown) => Value | undefined,
): [string, Value | undefined][] {
  const ports = p.IpProtocol !== "-1";
  return [
    ["ip_protocol", p.IpProtocol],
    ["from_port", ports ? p.FromPort : undefined],
    ["to_port", ports ? p.ToPort : undefined],
    ...Object.entries(peer).map(([name, v]): [string, Value | undefined] => [name, value(v)]),
  ];
}
