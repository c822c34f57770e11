import type { VpcPeeringConnection } from "@aws-sdk/client-ec2";
import { Box, Button, Container, Header, SpaceBetween, type TabsProps } from "@cloudscape-design/components";
import { useState } from "react";
import { Facts } from "../../components/detail-page";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/peering-connections";
import { DnsModal } from "./actions";

/** peeringTabs are the tabs of a connection, on its page and in the panel below the list. */
export function peeringTabs(peering: VpcPeeringConnection): TabsProps.Tab[] {
  return [
    { id: "dns", label: text.dns.tab, content: <DnsTab peering={peering} /> },
    { id: "tags", label: forms.tags, content: <TagsTab resourceId={peering.VpcPeeringConnectionId!} /> },
  ];
}

function DnsTab({ peering }: { peering: VpcPeeringConnection }) {
  const t = text.dns;
  const [editing, setEditing] = useState(false);
  const shown = (on: boolean | undefined) => (on ? t.enabled : t.disabled);
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            <Button disabled={peering.Status?.Code !== "active"} onClick={() => setEditing(true)}>
              {text.actions.dns}
            </Button>
          }
        >
          {t.tab}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <Facts
          columns={2}
          items={[
            {
              label: t.requester,
              value: shown(peering.AccepterVpcInfo?.PeeringOptions?.AllowDnsResolutionFromRemoteVpc),
            },
            {
              label: t.accepter,
              value: shown(peering.RequesterVpcInfo?.PeeringOptions?.AllowDnsResolutionFromRemoteVpc),
            },
          ]}
        />
        <Box color="text-body-secondary">{t.note}</Box>
      </SpaceBetween>
      {editing && <DnsModal peering={peering} onClose={() => setEditing(false)} />}
    </Container>
  );
}
