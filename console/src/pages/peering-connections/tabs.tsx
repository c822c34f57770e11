import type { VpcPeeringConnection } from "@aws-sdk/client-ec2";
import { ColumnLayout, Container, Header, type TabsProps } from "@cloudscape-design/components";
import { Facts } from "../../components/detail-page";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/peering-connections";
import { blocksOfSide, SideLink } from "./columns";

/** peeringTabs are the tabs of a connection, on its page and in the panel below the list. */
export function peeringTabs(peering: VpcPeeringConnection): TabsProps.Tab[] {
  return [
    { id: "sides", label: forms.details, content: <SidesTab peering={peering} /> },
    { id: "tags", label: forms.tags, content: <TagsTab resourceId={peering.VpcPeeringConnectionId!} /> },
  ];
}

function SidesTab({ peering }: { peering: VpcPeeringConnection }) {
  const sides = [
    { title: text.requester, side: peering.RequesterVpcInfo, cidrs: text.requesterCidrs, owner: text.requesterOwner },
    { title: text.accepter, side: peering.AccepterVpcInfo, cidrs: text.accepterCidrs, owner: text.accepterOwner },
  ];
  return (
    <ColumnLayout columns={2}>
      {sides.map((s) => (
        <Container key={s.title} header={<Header variant="h2">{s.title}</Header>}>
          <Facts
            columns={2}
            items={[
              { label: s.title, value: <SideLink side={s.side} /> },
              { label: s.cidrs, value: blocksOfSide(s.side) },
              { label: s.owner, value: s.side?.OwnerId ?? "–" },
              { label: text.region, value: s.side?.Region ?? "–" },
            ]}
          />
        </Container>
      ))}
    </ColumnLayout>
  );
}
