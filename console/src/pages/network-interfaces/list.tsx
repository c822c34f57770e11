import type { NetworkInterface } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { describeInterfaces } from "../../api/network";
import { ResourceTabs } from "../../components/detail-page";
import { ListPage } from "../../components/list-page";
import { text } from "../../text/network-interfaces";
import { useInterfaceActions } from "./actions";
import { columns, interfaceName, properties } from "./columns";
import { interfaceTabs } from "./tabs";

const idOf = (e: NetworkInterface) => e.NetworkInterfaceId!;

export default function NetworkInterfacesPage() {
  const [selected, setSelected] = useState<NetworkInterface[]>([]);
  const actions = useInterfaceActions(selected, () => setSelected([]));
  return (
    <ListPage
      path="/NetworkInterfaces"
      name="NetworkInterfaces"
      type="network-interface"
      title={text.title}
      one={text.one}
      columns={columns}
      properties={properties}
      describe={describeInterfaces}
      idOf={idOf}
      labelOf={(e) => interfaceName(e) || e.NetworkInterfaceId!}
      selected={selected}
      onSelect={setSelected}
      menu={actions.menu}
      actions={
        <Button variant="primary" href="#/CreateNetworkInterface">
          {text.actions.create}
        </Button>
      }
      panel={(e) => <ResourceTabs key={e.NetworkInterfaceId} tabs={interfaceTabs(e, true)} />}
      empty={
        <SpaceBetween size="xs">
          <Box variant="strong">{text.empty.title}</Box>
          <Box>{text.empty.body}</Box>
          <Button href="#/CreateNetworkInterface">{text.empty.create}</Button>
        </SpaceBetween>
      }
    >
      {actions.dialog}
    </ListPage>
  );
}
