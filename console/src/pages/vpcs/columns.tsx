import type { Vpc } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import { nameOf } from "../../api/tags";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/vpcs";

export function VpcState({ vpc }: { vpc: Vpc }) {
  const state = vpc.State ?? "";
  return (
    <StatusIndicator type={state === "available" ? "success" : "in-progress"}>
      {text.states[state] ?? state}
    </StatusIndicator>
  );
}

export const columns: Column<Vpc>[] = [
  { id: "name", header: text.name, cell: (v) => nameOf(v) || "–", property: "tag:Name" },
  {
    id: "id",
    header: text.id,
    cell: (v) => <Link href={`#/Vpcs/${v.VpcId}`}>{v.VpcId}</Link>,
    property: "vpc-id",
    width: 220,
  },
  { id: "state", header: text.state, cell: (v) => <VpcState vpc={v} />, property: "state", width: 130 },
  {
    id: "cidr",
    header: text.cidr,
    cell: (v) => (v.CidrBlockAssociationSet ?? []).map((a) => a.CidrBlock).join(", ") || "–",
    property: "cidr-block-association.cidr-block",
  },
  {
    id: "cidr6",
    header: text.cidr6,
    cell: (v) => (v.Ipv6CidrBlockAssociationSet ?? []).map((a) => a.Ipv6CidrBlock).join(", ") || "–",
    property: "ipv6-cidr-block-association.ipv6-cidr-block",
  },
  {
    id: "default",
    header: text.default,
    cell: (v) => (v.IsDefault ? text.yes : text.no),
    property: "is-default",
    width: 130,
  },
  { id: "owner", header: text.owner, cell: (v) => v.OwnerId, property: "owner-id" },
  { id: "tenancy", header: text.tenancy, cell: (v) => v.InstanceTenancy, hidden: true },
];

/** What the list can be filtered by, and has no column for. */
export const properties = [
  { property: "subnet-count", label: text.subnets, numeric: true },
  { property: "security-group-count", label: text.groups, numeric: true },
  { property: "network-interface-count", label: text.interfaces, numeric: true },
];
