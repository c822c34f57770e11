import type { VpcPeeringConnection } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { describePeerings } from "../../api/network";
import { nameOf } from "../../api/tags";
import { detailsTab, ResourceTabs } from "../../components/detail-page";
import { ListPage } from "../../components/list-page";
import { text } from "../../text/peering-connections";
import { usePeeringActions } from "./actions";
import { changing, columns } from "./columns";
import { PeeringFacts } from "./facts";
import { peeringTabs } from "./tabs";

const idOf = (p: VpcPeeringConnection) => p.VpcPeeringConnectionId!;

export default function PeeringConnectionsPage() {
  const [selected, setSelected] = useState<VpcPeeringConnection[]>([]);
  const actions = usePeeringActions(selected);
  return (
    <ListPage
      path="/PeeringConnections"
      name="PeeringConnections"
      type="vpc-peering-connection"
      title={text.title}
      one={text.one}
      columns={columns}
      describe={describePeerings}
      refreshEvery={(items) => (items.some(changing) ? 1000 : false)}
      idOf={idOf}
      labelOf={(p) => nameOf(p) || p.VpcPeeringConnectionId!}
      selected={selected}
      onSelect={setSelected}
      menu={actions.menu}
      actions={
        <Button variant="primary" href="#/CreatePeeringConnection">
          {text.actions.create}
        </Button>
      }
      panel={(p) => (
        <ResourceTabs
          key={p.VpcPeeringConnectionId}
          tabs={[detailsTab(<PeeringFacts peering={p} />), ...peeringTabs(p)]}
        />
      )}
      empty={
        <SpaceBetween size="xs">
          <Box variant="strong">{text.empty.title}</Box>
          <Box>{text.empty.body}</Box>
          <Button href="#/CreatePeeringConnection">{text.empty.create}</Button>
        </SpaceBetween>
      }
    >
      {actions.dialog}
    </ListPage>
  );
}
