import type { VpcPeeringConnection } from "@aws-sdk/client-ec2";
import { Copyable, Facts } from "../../components/detail-page";
import { text } from "../../text/peering-connections";
import { blocksOfSide, PeeringState, SideLink } from "./columns";

export function PeeringFacts({ peering: p }: { peering: VpcPeeringConnection }) {
  const requester = p.RequesterVpcInfo;
  const accepter = p.AccepterVpcInfo;
  return (
    <Facts
      items={[
        { label: text.id, value: <Copyable value={p.VpcPeeringConnectionId} label={text.id} /> },
        { label: text.status, value: <PeeringState peering={p} /> },
        { label: text.statusMessage, value: p.Status?.Message ?? "–" },
        { label: text.expires, value: p.ExpirationTime?.toLocaleString() ?? "–" },
        { label: text.requester, value: <SideLink side={requester} /> },
        { label: text.requesterCidrs, value: blocksOfSide(requester) },
        { label: text.accepter, value: <SideLink side={accepter} /> },
        { label: text.accepterCidrs, value: blocksOfSide(accepter) },
        { label: text.requesterOwner, value: `${requester?.OwnerId} (${requester?.Region})` },
        { label: text.accepterOwner, value: `${accepter?.OwnerId} (${accepter?.Region})` },
      ]}
    />
  );
}
