import type { Subnet } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { describeSubnets } from "../../api/network";
import { nameOf } from "../../api/tags";
import { detailsTab, ResourceTabs } from "../../components/detail-page";
import { ListPage } from "../../components/list-page";
import { text } from "../../text/subnets";
import { useSubnetActions } from "./actions";
import { columns, properties } from "./columns";
import { SubnetFacts } from "./facts";
import { subnetTabs } from "./tabs";

const idOf = (s: Subnet) => s.SubnetId!;

export default function SubnetsPage() {
  const [selected, setSelected] = useState<Subnet[]>([]);
  const actions = useSubnetActions(selected, () => setSelected([]));
  return (
    <ListPage
      path="/Subnets"
      name="Subnets"
      type="subnet"
      title={text.title}
      one={text.one}
      columns={columns}
      properties={properties}
      describe={describeSubnets}
      idOf={idOf}
      labelOf={(s) => nameOf(s) || s.SubnetId!}
      selected={selected}
      onSelect={setSelected}
      menu={actions.menu}
      actions={
        <Button variant="primary" href="#/CreateSubnet">
          {text.actions.create}
        </Button>
      }
      panel={(s) => <ResourceTabs key={s.SubnetId} tabs={[detailsTab(<SubnetFacts subnet={s} />), ...subnetTabs(s)]} />}
      empty={
        <SpaceBetween size="xs">
          <Box variant="strong">{text.empty.title}</Box>
          <Box>{text.empty.body}</Box>
          <Button href="#/CreateSubnet">{text.empty.create}</Button>
        </SpaceBetween>
      }
    >
      {actions.dialog}
    </ListPage>
  );
}
