import type { Subnet } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import { nameOf } from "../../api/tags";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/subnets";

export function SubnetState({ subnet }: { subnet: Subnet }) {
  const state = subnet.State ?? "";
  return (
    <StatusIndicator type={state === "available" ? "success" : "in-progress"}>
      {text.states[state] ?? state}
    </StatusIndicator>
  );
}

export const ipv6Of = (s: Subnet) =>
  (s.Ipv6CidrBlockAssociationSet ?? []).map((a) => a.Ipv6CidrBlock).join(", ") || "–";

export const columns: Column<Subnet>[] = [
  { id: "name", header: text.name, cell: (s) => nameOf(s) || "–", property: "tag:Name" },
  {
    id: "id",
    header: text.id,
    cell: (s) => <Link href={`#/Subnets/${s.SubnetId}`}>{s.SubnetId}</Link>,
    property: "subnet-id",
    width: 240,
  },
  { id: "state", header: text.state, cell: (s) => <SubnetState subnet={s} />, property: "state", width: 130 },
  {
    id: "vpc",
    header: text.vpc,
    cell: (s) => <Link href={`#/Vpcs/${s.VpcId}`}>{s.VpcId}</Link>,
    property: "vpc-id",
    width: 220,
  },
  { id: "cidr", header: text.cidr, cell: (s) => s.CidrBlock, property: "cidr-block" },
  {
    id: "cidr6",
    header: text.cidr6,
    cell: ipv6Of,
    property: "ipv6-cidr-block-association.ipv6-cidr-block",
  },
  {
    id: "available",
    header: text.available,
    cell: (s) => s.AvailableIpAddressCount,
    property: "available-ip-address-count",
    numeric: true,
    width: 160,
  },
  { id: "zone", header: text.zone, cell: (s) => s.AvailabilityZone, property: "availability-zone", width: 150 },
  {
    id: "zone-id",
    header: text.zoneId,
    cell: (s) => s.AvailabilityZoneId,
    property: "availability-zone-id",
    hidden: true,
  },
  {
    id: "default",
    header: text.default,
    cell: (s) => (s.DefaultForAz ? text.yes : text.no),
    property: "default-for-az",
    width: 130,
  },
  {
    id: "auto-ipv6",
    header: text.autoIpv6,
    cell: (s) => (s.AssignIpv6AddressOnCreation ? text.yes : text.no),
    hidden: true,
  },
  { id: "owner", header: text.owner, cell: (s) => s.OwnerId, property: "owner-id", hidden: true },
];

/** What the list can be filtered by, and has no column for. */
export const properties = [{ property: "network-interface-count", label: text.interfaces, numeric: true }];
