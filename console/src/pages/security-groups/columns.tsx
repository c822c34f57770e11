import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { Link } from "@cloudscape-design/components";
import { ruleCount } from "../../api/security-groups";
import { nameOf } from "../../api/tags";
import type { FilterProperty } from "../../components/resource-filter";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/security-groups";

/** A column of the list, and what stands in it in the exported file. */
export interface GroupColumn extends Column<SecurityGroup> {
  csv: (g: SecurityGroup) => string;
}

const inbound = (g: SecurityGroup) => ruleCount(g.IpPermissions);
const outbound = (g: SecurityGroup) => ruleCount(g.IpPermissionsEgress);

export const columns: GroupColumn[] = [
  { id: "name", header: text.name, cell: (g) => nameOf(g) || "–", csv: nameOf, property: "tag:Name", width: 110 },
  {
    id: "id",
    header: text.id,
    cell: (g) => <Link href={`#/SecurityGroups/${g.GroupId}`}>{g.GroupId}</Link>,
    csv: (g) => g.GroupId ?? "",
    property: "group-id",
    width: 205,
  },
  {
    id: "group-name",
    header: text.groupName,
    cell: (g) => g.GroupName,
    csv: (g) => g.GroupName ?? "",
    property: "group-name",
    width: 200,
  },
  {
    id: "vpc",
    header: text.vpc,
    cell: (g) => <Link href={`#/Vpcs/${g.VpcId}`}>{g.VpcId}</Link>,
    csv: (g) => g.VpcId ?? "",
    property: "vpc-id",
    width: 215,
  },
  {
    id: "description",
    header: text.description,
    cell: (g) => g.Description,
    csv: (g) => g.Description ?? "",
    property: "description",
    width: 220,
  },
  {
    id: "owner",
    header: text.owner,
    cell: (g) => g.OwnerId,
    csv: (g) => g.OwnerId ?? "",
    property: "owner-id",
    width: 140,
  },
  {
    id: "inbound",
    header: text.inboundCount,
    cell: (g) => text.entries(inbound(g)),
    csv: (g) => String(inbound(g)),
    property: "inbound-rule-count",
    numeric: true,
    width: 180,
  },
  {
    id: "outbound",
    header: text.outboundCount,
    cell: (g) => text.entries(outbound(g)),
    csv: (g) => String(outbound(g)),
    property: "outbound-rule-count",
    numeric: true,
    width: 180,
  },
];

const f = text.filters;

/** What the list can be filtered by beside its columns. */
export const properties: FilterProperty[] = [
  { property: "network-interface-count", label: f.interfaces, numeric: true },
  { property: "referencing-group-count", label: f.references, numeric: true },
  { property: "ip-permission.cidr", label: f.inboundCidr },
  { property: "ip-permission.ipv6-cidr", label: f.inboundIpv6Cidr },
  { property: "ip-permission.group-id", label: f.inboundGroup },
  { property: "ip-permission.prefix-list-id", label: f.inboundList },
  { property: "ip-permission.protocol", label: f.inboundProtocol },
  { property: "ip-permission.from-port", label: f.inboundFrom, numeric: true },
  { property: "ip-permission.to-port", label: f.inboundTo, numeric: true },
  { property: "egress.ip-permission.cidr", label: f.outboundCidr },
  { property: "egress.ip-permission.ipv6-cidr", label: f.outboundIpv6Cidr },
  { property: "egress.ip-permission.group-id", label: f.outboundGroup },
  { property: "egress.ip-permission.prefix-list-id", label: f.outboundList },
  { property: "egress.ip-permission.protocol", label: f.outboundProtocol },
];
