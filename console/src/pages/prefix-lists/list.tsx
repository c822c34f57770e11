import type { ManagedPrefixList } from "@aws-sdk/client-ec2";
import { Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useState } from "react";
import { describePrefixLists } from "../../api/prefix-lists";
import { detailsTab, ResourceTabs } from "../../components/detail-page";
import { ListPage } from "../../components/list-page";
import { text } from "../../text/prefix-lists";
import { usePrefixListActions } from "./actions";
import { changing, columns, properties } from "./columns";
import { PrefixListFacts } from "./facts";
import { prefixListTabs } from "./tabs";

const idOf = (l: ManagedPrefixList) => l.PrefixListId!;

export default function PrefixListsPage() {
  const [selected, setSelected] = useState<ManagedPrefixList[]>([]);
  const actions = usePrefixListActions(selected, () => setSelected([]));
  return (
    <ListPage
      path="/PrefixLists"
      name="PrefixLists"
      type="prefix-list"
      title={text.title}
      one={text.one}
      columns={columns}
      properties={properties}
      describe={describePrefixLists}
      refreshEvery={(items) => (items.some(changing) ? 1000 : false)}
      idOf={idOf}
      labelOf={(l) => l.PrefixListName!}
      selected={selected}
      onSelect={setSelected}
      menu={actions.menu}
      actions={
        <Button variant="primary" href="#/CreatePrefixList">
          {text.actions.create}
        </Button>
      }
      panel={(l) => (
        <ResourceTabs key={l.PrefixListId} tabs={[detailsTab(<PrefixListFacts list={l} />), ...prefixListTabs(l)]} />
      )}
      empty={
        <SpaceBetween size="xs">
          <Box variant="strong">{text.empty.title}</Box>
          <Box>{text.empty.body}</Box>
          <Button href="#/CreatePrefixList">{text.empty.create}</Button>
        </SpaceBetween>
      }
    >
      {actions.dialog}
    </ListPage>
  );
}
