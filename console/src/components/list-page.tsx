import { SplitPanel } from "@cloudscape-design/components";
import { useState, type ReactNode } from "react";
import { Page } from "../shell/page";
import { text } from "../text/forms";
import { ResourceTable, type ResourceTableProps } from "./resource-table";

export interface ListPageProps<T> extends ResourceTableProps<T> {
  /** The list's path: "/Vpcs". */
  path: string;
  selected: T[];
  onSelect: (items: T[]) => void;
  /** What one of them is called: "a VPC". */
  one: string;
  /** Of the one that is selected: what the panel below the list shows. */
  panel: (item: T) => ReactNode;
  /** The windows that actions open. */
  children?: ReactNode;
}

/** ListPage is the page of a list: the table, and a panel with the one that is selected. */
export function ListPage<T>({ path, one, panel, children, ...table }: ListPageProps<T>) {
  const [open, setOpen] = useState(false);
  const { selected } = table;
  const only = selected.length === 1 ? selected[0] : undefined;
  const t = text.panel;
  return (
    <Page
      title={table.title}
      breadcrumbs={[{ text: table.title, href: `#${path}` }]}
      contentType="table"
      splitPanelOpen={open}
      onSplitPanelToggle={setOpen}
      splitPanel={
        <SplitPanel header={only ? table.labelOf(only) : selected.length ? t.many(selected.length) : t.select(one)}>
          {only ? panel(only) : selected.length > 0 && t.manyBody}
        </SplitPanel>
      }
    >
      <ResourceTable
        {...table}
        onSelect={(items) => {
          if (items.length === 1 && selected.length === 0) setOpen(true);
          table.onSelect(items);
        }}
      />
      {children}
    </Page>
  );
}
