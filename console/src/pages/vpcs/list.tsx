import type { Vpc } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { describeVpcs } from "../../api/network";
import { nameOf } from "../../api/tags";
import { detailsTab, ResourceTabs } from "../../components/detail-page";
import { ListPage } from "../../components/list-page";
import { text } from "../../text/vpcs";
import { useVpcActions } from "./actions";
import { columns, properties } from "./columns";
import { VpcFacts } from "./facts";
import { vpcTabs } from "./tabs";

const idOf = (v: Vpc) => v.VpcId!;

export default function VpcsPage() {
  const [selected, setSelected] = useState<Vpc[]>([]);
  const actions = useVpcActions(selected, () => setSelected([]));
  return (
    <ListPage
      path="/Vpcs"
      name="Vpcs"
      type="vpc"
      title={text.title}
      one={text.one}
      columns={columns}
      properties={properties}
      describe={describeVpcs}
      idOf={idOf}
      labelOf={(v) => nameOf(v) || v.VpcId!}
      selected={selected}
      onSelect={setSelected}
      menu={actions.menu}
      actions={
        <Button variant="primary" href="#/CreateVpc">
          {text.actions.create}
        </Button>
      }
      panel={(v) => <ResourceTabs key={v.VpcId} tabs={[detailsTab(<VpcFacts vpc={v} />), ...vpcTabs(v)]} />}
      empty={
        <SpaceBetween size="xs">
          <Box variant="strong">{text.empty.title}</Box>
          <Box>{text.empty.body}</Box>
          <Button href="#/CreateVpc">{text.empty.create}</Button>
        </SpaceBetween>
      }
    >
      {actions.dialog}
    </ListPage>
  );
}
