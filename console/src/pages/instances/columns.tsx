import type { Instance } from "@aws-sdk/client-ec2";
import { Link } from "@cloudscape-design/components";
import { nameOf } from "../../api/tags";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/instances";
import { Links, StateCell, timeOf } from "./cells";

const t = text.columns;

export const imageName = (name: string | undefined, id: string | undefined) =>
  (name && (text.images[name as keyof typeof text.images] ?? name)) || id || text.none;

// The property is what DescribeInstances calls it in a filter.
export const columns: Column<Instance>[] = [
  { id: "name", header: t.name, cell: (i) => nameOf(i) || text.none, property: "tag:Name", width: 140 },
  {
    id: "id",
    header: t.id,
    cell: (i) => <Link href={`#/Instances/${i.InstanceId}`}>{i.InstanceId}</Link>,
    property: "instance-id",
    width: 210,
  },
  {
    id: "state",
    header: t.state,
    cell: (i) => <StateCell instance={i} />,
    property: "instance-state-name",
    width: 170,
  },
  { id: "type", header: t.type, cell: (i) => i.InstanceType, property: "instance-type", hidden: true },
  {
    id: "ipv4",
    header: t.privateIPv4,
    cell: (i) => i.PrivateIpAddress ?? text.none,
    property: "private-ip-address",
    width: 140,
  },
  { id: "ipv6", header: t.ipv6, cell: (i) => i.Ipv6Address ?? text.none, property: "ipv6-address", width: 140 },
  {
    id: "groups",
    header: t.groupNames,
    cell: (i) => (
      <Links
        items={(i.SecurityGroups ?? []).map((g) => ({ href: `#/SecurityGroups/${g.GroupId}`, text: g.GroupName! }))}
      />
    ),
    property: "instance.group-name",
    width: 220,
  },
  {
    id: "group-ids",
    header: t.groupIds,
    cell: (i) => (
      <Links
        items={(i.SecurityGroups ?? []).map((g) => ({ href: `#/SecurityGroups/${g.GroupId}`, text: g.GroupId! }))}
      />
    ),
    property: "instance.group-id",
    hidden: true,
  },
  {
    id: "vpc",
    header: t.vpc,
    cell: (i) => (i.VpcId ? <Link href={`#/Vpcs/${i.VpcId}`}>{i.VpcId}</Link> : text.none),
    property: "vpc-id",
    width: 210,
  },
  {
    id: "subnet",
    header: t.subnet,
    cell: (i) => (i.SubnetId ? <Link href={`#/Subnets/${i.SubnetId}`}>{i.SubnetId}</Link> : text.none),
    property: "subnet-id",
    width: 230,
  },
  {
    id: "zone",
    header: t.zone,
    cell: (i) => i.Placement?.AvailabilityZone ?? text.none,
    property: "availability-zone",
    width: 170,
  },
  { id: "launched", header: t.launched, cell: (i) => timeOf(i.LaunchTime), property: "launch-time", width: 240 },
  { id: "image", header: t.imageId, cell: (i) => i.ImageId, property: "image-id", width: 200 },
  {
    id: "dns",
    header: t.privateDNS,
    cell: (i) => i.PrivateDnsName || text.none,
    property: "private-dns-name",
    hidden: true,
  },
  { id: "launch-index", header: t.launchIndex, cell: (i) => i.AmiLaunchIndex, property: "launch-index", hidden: true },
  { id: "key", header: t.key, cell: (i) => i.KeyName || text.none, property: "key-name", hidden: true },
  {
    id: "reason",
    header: t.reason,
    cell: (i) => i.StateReason?.Message || i.StateTransitionReason || text.none,
    property: "reason",
    hidden: true,
  },
];
