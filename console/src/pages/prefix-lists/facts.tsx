import type { ManagedPrefixList } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { associationsQuery, entriesQuery } from "../../api/prefix-lists";
import { Copyable, Facts } from "../../components/detail-page";
import { text } from "../../text/prefix-lists";
import { PrefixListState } from "./columns";

export function PrefixListFacts({ list: l }: { list: ManagedPrefixList }) {
  const entries = useQuery(entriesQuery(l.PrefixListId!, l.Version!)).data;
  const users = useQuery(associationsQuery(l.PrefixListId!)).data;
  return (
    <Facts
      items={[
        { label: text.id, value: <Copyable value={l.PrefixListId} label={text.id} /> },
        { label: text.listName, value: <Copyable value={l.PrefixListName} label={text.listName} /> },
        { label: text.state, value: <PrefixListState list={l} /> },
        { label: text.arn, value: <Copyable value={l.PrefixListArn} label={text.arn} /> },
        { label: text.family, value: l.AddressFamily },
        { label: text.entryCount, value: entries?.length ?? "–" },
        { label: text.maxEntries, value: l.MaxEntries },
        { label: text.version, value: l.Version },
        { label: text.usedBy, value: users?.length ?? "–" },
        { label: text.owner, value: l.OwnerId },
      ]}
    />
  );
}
