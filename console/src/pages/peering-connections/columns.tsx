import type { VpcPeeringConnection, VpcPeeringConnectionVpcInfo } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator, type StatusIndicatorProps } from "@cloudscape-design/components";
import { nameOf } from "../../api/tags";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/peering-connections";

const indicators: Record<string, StatusIndicatorProps.Type> = {
  "initiating-request": "in-progress",
  "pending-acceptance": "pending",
  provisioning: "in-progress",
  active: "success",
  rejected: "stopped",
  failed: "error",
  expired: "stopped",
  deleting: "in-progress",
  deleted: "stopped",
};

/** On its way to another state by itself. */
export const changing = (p: VpcPeeringConnection) => indicators[p.Status?.Code ?? ""] === "in-progress";

export const pending = (p: VpcPeeringConnection) => p.Status?.Code === "pending-acceptance";
export const ended = (p: VpcPeeringConnection) =>
  ["rejected", "failed", "expired", "deleted"].includes(p.Status?.Code ?? "");

export function PeeringState({ peering }: { peering: VpcPeeringConnection }) {
  const code = peering.Status?.Code ?? "";
  return <StatusIndicator type={indicators[code] ?? "info"}>{text.states[code] ?? code}</StatusIndicator>;
}

export const blocksOfSide = (side: VpcPeeringConnectionVpcInfo | undefined) =>
  [
    ...(side?.CidrBlockSet ?? []).map((b) => b.CidrBlock),
    ...(side?.Ipv6CidrBlockSet ?? []).map((b) => b.Ipv6CidrBlock),
  ].join(", ") || "–";

export function SideLink({ side }: { side: VpcPeeringConnectionVpcInfo | undefined }) {
  return side?.VpcId ? <Link href={`#/Vpcs/${side.VpcId}`}>{side.VpcId}</Link> : "–";
}

export const columns: Column<VpcPeeringConnection>[] = [
  { id: "name", header: text.name, cell: (p) => nameOf(p) || "–", property: "tag:Name" },
  {
    id: "id",
    header: text.id,
    cell: (p) => <Link href={`#/PeeringConnections/${p.VpcPeeringConnectionId}`}>{p.VpcPeeringConnectionId}</Link>,
    property: "vpc-peering-connection-id",
    width: 220,
  },
  { id: "status", header: text.status, cell: (p) => <PeeringState peering={p} />, property: "status-code", width: 210 },
  {
    id: "requester",
    header: text.requester,
    cell: (p) => <SideLink side={p.RequesterVpcInfo} />,
    property: "requester-vpc-info.vpc-id",
    width: 220,
  },
  {
    id: "accepter",
    header: text.accepter,
    cell: (p) => <SideLink side={p.AccepterVpcInfo} />,
    property: "accepter-vpc-info.vpc-id",
    width: 220,
  },
  {
    id: "requester-cidrs",
    header: text.requesterCidrs,
    cell: (p) => blocksOfSide(p.RequesterVpcInfo),
    property: "requester-vpc-info.cidr-block",
  },
  {
    id: "accepter-cidrs",
    header: text.accepterCidrs,
    cell: (p) => blocksOfSide(p.AccepterVpcInfo),
    property: "accepter-vpc-info.cidr-block",
  },
  {
    id: "expires",
    header: text.expires,
    cell: (p) => p.ExpirationTime?.toLocaleString() ?? "–",
    property: "expiration-time",
    hidden: true,
  },
];
