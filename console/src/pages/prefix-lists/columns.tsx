import type { ManagedPrefixList } from "@aws-sdk/client-ec2";
import { Link, StatusIndicator } from "@cloudscape-design/components";
import { nameOf } from "../../api/tags";
import type { Column } from "../../components/resource-table";
import { text } from "../../text/prefix-lists";

export const changing = (l: ManagedPrefixList) => l.State?.endsWith("-in-progress") ?? false;
export const failed = (l: ManagedPrefixList) => l.State?.endsWith("-failed") ?? false;

export function PrefixListState({ list }: { list: ManagedPrefixList }) {
  const type = failed(list) ? "error" : changing(list) ? "in-progress" : "success";
  return <StatusIndicator type={type}>{text.states[list.State ?? ""] ?? list.State}</StatusIndicator>;
}

export const columns: Column<ManagedPrefixList>[] = [
  { id: "name", header: text.name, cell: (l) => nameOf(l) || "–", property: "tag:Name", hidden: true },
  {
    id: "id",
    header: text.id,
    cell: (l) => <Link href={`#/PrefixLists/${l.PrefixListId}`}>{l.PrefixListId}</Link>,
    property: "prefix-list-id",
    width: 220,
  },
  { id: "list-name", header: text.listName, cell: (l) => l.PrefixListName, property: "prefix-list-name" },
  { id: "max", header: text.maxEntries, cell: (l) => l.MaxEntries, property: "max-entries", numeric: true, width: 140 },
  { id: "family", header: text.family, cell: (l) => l.AddressFamily, property: "address-family", width: 150 },
  { id: "state", header: text.state, cell: (l) => <PrefixListState list={l} /> },
  { id: "version", header: text.version, cell: (l) => l.Version, property: "version", numeric: true, width: 110 },
  { id: "owner", header: text.owner, cell: (l) => l.OwnerId, property: "owner-id" },
  { id: "arn", header: text.arn, cell: (l) => l.PrefixListArn, hidden: true, width: 400 },
];

/** What the list can be filtered by, and has no column for. */
export const properties = [
  { property: "cidr", label: text.cidrOfEntries },
  { property: "entry-count", label: text.entryCount, numeric: true },
  { property: "referencing-group-count", label: text.usedBy, numeric: true },
];
