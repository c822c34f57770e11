import { useCollection } from "@cloudscape-design/collection-hooks";
import {
  Box,
  Button,
  Pagination,
  SpaceBetween,
  Table,
  type TableProps,
  TextFilter,
} from "@cloudscape-design/components";
import type { ReactNode } from "react";
import { messageOf } from "../../api/errors";
import type { Entry } from "../../api/prefix-lists";
import { text as forms } from "../../text/forms";
import { text } from "../../text/prefix-lists";

const t = text.entries;
const pageSize = 50;

export interface EntriesTableProps<T extends Entry> {
  entries: T[];
  loading: boolean;
  error: unknown;
  label: string;
  header: ReactNode;
  /** Beside the filter. */
  beside?: ReactNode;
  empty?: string;
  /** After those of an entry. */
  more?: TableProps.ColumnDefinition<T>[];
}

/** EntriesTable shows the entries of a version. There are 1,000 at most, and EC2's call for them filters nothing, so they
 * are filtered here. */
export function EntriesTable<T extends Entry>(props: EntriesTableProps<T>) {
  const { items, filteredItemsCount, collectionProps, filterProps, paginationProps } = useCollection(props.entries, {
    filtering: { fields: ["cidr", "description"], empty: props.empty ?? t.none, noMatch: text.editor.noMatch },
    pagination: { pageSize },
    sorting: {},
  });
  return (
    <Table<T>
      {...collectionProps}
      items={items}
      trackBy="cidr"
      loading={props.loading}
      loadingText={forms.loading}
      ariaLabels={{ tableLabel: props.label }}
      header={props.header}
      filter={
        <SpaceBetween size="s">
          {props.beside}
          <TextFilter
            {...filterProps}
            filteringPlaceholder={t.find}
            filteringAriaLabel={t.find}
            countText={t.matches(filteredItemsCount ?? 0)}
          />
        </SpaceBetween>
      }
      pagination={<Pagination {...paginationProps} />}
      {...(props.error ? { empty: <Box color="text-status-error">{messageOf(props.error)}</Box> } : {})}
      columnDefinitions={[
        { id: "cidr", header: t.cidr, cell: (e) => e.cidr, isRowHeader: true },
        { id: "description", header: t.description, cell: (e) => e.description || "–", sortingField: "description" },
        ...(props.more ?? []),
      ]}
    />
  );
}

/** A button that leads to the page on which the entries are edited. */
export const modifyButton = (id: string) => <Button href={`#/PrefixLists/${id}/modify`}>{t.modify}</Button>;
