import type { NetworkInterface } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import type { ReactNode } from "react";
import { nameOf } from "../../api/tags";
import type { FilterProperty } from "../../components/resource-filter";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/network-interfaces";

// Of all resources interfaces alone call their tags TagSet.
export const interfaceName = (e: NetworkInterface) => nameOf({ Tags: e.TagSet });

export function InterfaceState({ eni }: { eni: NetworkInterface }) {
  const state = eni.Status ?? "";
  return (
    <StatusIndicator type={state === "in-use" ? "success" : "info"}>{text.states[state] ?? state}</StatusIndicator>
  );
}

/** Links of groups, instances …, one in a line. */
export function Links({ page, items }: { page: string; items: { id: string; label: string }[] }): ReactNode {
  if (!items.length) return text.none;
  return items.map((i) => (
    <div key={i.id}>
      <Link href={`#/${page}/${i.id}`}>{i.label}</Link>
    </div>
  ));
}

const lines = (values: (string | undefined)[] | undefined): ReactNode =>
  values?.length ? values.map((v) => <div key={v}>{v}</div>) : text.none;

export const secondary = (e: NetworkInterface) =>
  (e.PrivateIpAddresses ?? []).filter((a) => !a.Primary).map((a) => a.PrivateIpAddress!);
export const ipv6 = (e: NetworkInterface) => (e.Ipv6Addresses ?? []).map((a) => a.Ipv6Address!);
export const delegated = (e: NetworkInterface) => [
  ...(e.Ipv4Prefixes ?? []).map((p) => p.Ipv4Prefix!),
  ...(e.Ipv6Prefixes ?? []).map((p) => p.Ipv6Prefix!),
];
const groups = (e: NetworkInterface, label: "GroupId" | "GroupName") =>
  (e.Groups ?? []).map((g) => ({ id: g.GroupId!, label: g[label]! }));

// The property is what DescribeNetworkInterfaces calls it in a filter.
export const columns: Column<NetworkInterface>[] = [
  { id: "name", header: text.name, cell: (e) => interfaceName(e) || text.none, property: "tag:Name", width: 160 },
  {
    id: "id",
    header: text.id,
    cell: (e) => <Link href={`#/NetworkInterfaces/${e.NetworkInterfaceId}`}>{e.NetworkInterfaceId}</Link>,
    property: "network-interface-id",
    width: 220,
  },
  {
    id: "ipv4",
    header: text.ipv4,
    cell: (e) => e.PrivateIpAddress,
    property: "private-ip-address",
    width: 170,
  },
  { id: "more-ipv4", header: text.moreIpv4, cell: (e) => lines(secondary(e)), hidden: true },
  { id: "ipv6", header: text.ipv6, cell: (e) => lines(ipv6(e)), property: "ipv6-address", width: 170 },
  {
    id: "groups",
    header: text.groupNames,
    cell: (e) => <Links page="SecurityGroups" items={groups(e, "GroupName")} />,
    property: "group-name",
    width: 180,
  },
  {
    id: "group-ids",
    header: text.groupIds,
    cell: (e) => <Links page="SecurityGroups" items={groups(e, "GroupId")} />,
    property: "group-id",
    width: 220,
    hidden: true,
  },
  {
    id: "instance",
    header: text.instance,
    cell: (e) => {
      const id = e.Attachment?.InstanceId;
      return <Links page="Instances" items={id ? [{ id, label: id }] : []} />;
    },
    property: "attachment.instance-id",
    width: 210,
  },
  { id: "state", header: text.state, cell: (e) => <InterfaceState eni={e} />, property: "status", width: 130 },
  {
    id: "subnet",
    header: text.subnet,
    cell: (e) => <Link href={`#/Subnets/${e.SubnetId}`}>{e.SubnetId}</Link>,
    property: "subnet-id",
    width: 240,
  },
  {
    id: "vpc",
    header: text.vpc,
    cell: (e) => <Link href={`#/Vpcs/${e.VpcId}`}>{e.VpcId}</Link>,
    property: "vpc-id",
    width: 220,
  },
  { id: "description", header: text.description, cell: (e) => e.Description || text.none, property: "description" },
  { id: "zone", header: text.zone, cell: (e) => e.AvailabilityZone, property: "availability-zone", width: 150 },
  { id: "mac", header: text.mac, cell: (e) => e.MacAddress, property: "mac-address", width: 170, hidden: true },
  { id: "prefixes", header: text.prefixes, cell: (e) => lines(delegated(e)), property: "prefix", hidden: true },
  { id: "dns", header: text.dns, cell: (e) => e.PrivateDnsName, property: "private-dns-name", hidden: true },
  {
    id: "source-dest",
    header: text.sourceDest,
    cell: (e) => (e.SourceDestCheck ? text.on : text.off),
    property: "source-dest-check",
    hidden: true,
  },
  {
    id: "index",
    header: text.deviceIndex,
    cell: (e) => e.Attachment?.DeviceIndex ?? text.none,
    property: "attachment.device-index",
    numeric: true,
    hidden: true,
  },
  { id: "owner", header: text.owner, cell: (e) => e.OwnerId, property: "owner-id", hidden: true },
];

/** What the list can be filtered by, and has no column for. */
export const properties: FilterProperty[] = [
  { property: "instance-name", label: text.instanceName },
  { property: "bound", label: text.bound },
  { property: "host", label: text.host },
  { property: "device", label: text.device },
  { property: "group-count", label: text.groupCount, numeric: true },
];
