import {
  Box,
  Button,
  CollectionPreferences,
  type CollectionPreferencesProps,
  Header,
  Pagination,
  PropertyFilter,
  type PropertyFilterProps,
  SpaceBetween,
  Table,
  type TableProps,
} from "@cloudscape-design/components";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { messageOf } from "../api/errors";
import { usePreferences } from "../shell/preferences";
import { text } from "../text/resource-table";
import { ActionsButton, ContextMenu, type ActionMenu, type Point } from "./action-menu";

/** One column. Sorting and filtering is the server's: property is its name there, absent: it does neither. */
export interface Column<T> {
  id: string;
  header: string;
  cell: (item: T) => ReactNode;
  property?: string;
  /** Not shown until a person asks for it. */
  hidden?: boolean;
  width?: number;
}

/** What the server is asked for. */
export interface Selection {
  filter: PropertyFilterProps.Query;
  sortBy?: string;
  descending: boolean;
  offset: number;
  limit: number;
}

export interface SelectionAnswer<T> {
  items: T[];
  matched: number;
  total: number;
}

export interface ResourceTableProps<T> {
  /** Of what: "SecurityGroups", for the cache and the preferences. */
  name: string;
  title: string;
  columns: Column<T>[];
  idOf: (item: T) => string;
  labelOf: (item: T) => string;
  select: (wanted: Selection) => Promise<SelectionAnswer<T>>;
  /** The buttons beside the title; refresh is there by itself. */
  actions?: ReactNode;
  /** What can be done with the selected ones: a button beside the title, and the menu of a right click on a row. */
  menu?: ActionMenu;
  selectionType?: TableProps.SelectionType;
  selected: T[];
  onSelect: (items: T[]) => void;
  empty: ReactNode;
}

const pageSizes = [25, 50, 100, 250, 500];

/** ResourceTable is the list of every resource: the server filters, sorts and pages. */
export function ResourceTable<T>(props: ResourceTableProps<T>) {
  const { preferences, change } = usePreferences();
  const [filter, setFilter] = useState<PropertyFilterProps.Query>({ tokens: [], operation: "and" });
  const [page, setPage] = useState(1);
  const [sort, setSort] = useState<{ column?: Column<T>; descending: boolean }>({ descending: false });
  const kept = (preferences.tables[props.name] ?? {}) as CollectionPreferencesProps.Preferences;
  const limit = kept.pageSize ?? 50;
  const wanted: Selection = {
    filter,
    descending: sort.descending,
    offset: (page - 1) * limit,
    limit,
    ...(sort.column?.property ? { sortBy: sort.column.property } : {}),
  };
  const answer = useQuery({
    queryKey: [props.name, wanted],
    queryFn: () => props.select(wanted),
    placeholderData: keepPreviousData,
  });
  const { items, matched, total } = answer.data ?? { items: [], matched: 0, total: 0 };
  const [clicked, setClicked] = useState<Point & { count: number }>();
  const visible = kept.contentDisplay ?? props.columns.map((c) => ({ id: c.id, visible: !c.hidden }));
  const table = (
    <Table
      variant="full-page"
      stickyHeader
      resizableColumns
      items={items}
      trackBy={props.idOf}
      loading={answer.isLoading}
      loadingText={text.loading}
      selectionType={props.selectionType ?? "multi"}
      selectedItems={props.selected}
      onSelectionChange={(e) => props.onSelect(e.detail.selectedItems)}
      onRowContextMenu={(e) => {
        if (!props.menu) return;
        e.preventDefault();
        const { item, clientX, clientY } = e.detail;
        if (!props.selected.some((s) => props.idOf(s) === props.idOf(item))) props.onSelect([item]);
        setClicked((old) => ({ x: clientX, y: clientY, count: (old?.count ?? 0) + 1 }));
      }}
      columnDefinitions={props.columns.map((c) => ({
        id: c.id,
        header: c.header,
        cell: c.cell,
        ...(c.property ? { sortingField: c.property } : {}),
        ...(c.width ? { width: c.width } : {}),
      }))}
      columnDisplay={visible}
      sortingDisabled={false}
      {...(sort.column ? { sortingColumn: { sortingField: sort.column.property! } } : {})}
      sortingDescending={sort.descending}
      onSortingChange={(e) => {
        const column = props.columns.find((c) => c.property === e.detail.sortingColumn.sortingField);
        setSort({ ...(column ? { column } : {}), descending: e.detail.isDescending ?? false });
        setPage(1);
      }}
      ariaLabels={{
        itemSelectionLabel: (_, item) => props.labelOf(item),
        allItemsSelectionLabel: () => text.selectAll,
        selectionGroupLabel: props.title,
        tableLabel: props.title,
      }}
      header={
        <Header
          variant="awsui-h1-sticky"
          counter={`(${props.selected.length ? `${props.selected.length}/` : ""}${total})`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button iconName="refresh" ariaLabel={text.refresh} onClick={() => void answer.refetch()} />
              {props.menu && <ActionsButton menu={props.menu} />}
              {props.actions}
            </SpaceBetween>
          }
        >
          {props.title}
        </Header>
      }
      filter={
        <PropertyFilter
          query={filter}
          onChange={(e) => {
            setFilter(e.detail);
            setPage(1);
          }}
          filteringProperties={props.columns
            .filter((c) => c.property)
            .map((c) => ({
              key: c.property!,
              propertyLabel: c.header,
              groupValuesLabel: c.header,
              operators: ["=", "!=", ":", "!:", "^"],
            }))}
          filteringPlaceholder={text.find(props.title)}
          filteringAriaLabel={text.find(props.title)}
          {...(answer.data ? { countText: text.matches(matched) } : {})}
        />
      }
      pagination={
        <Pagination
          currentPageIndex={page}
          pagesCount={Math.max(1, Math.ceil(matched / limit))}
          onChange={(e) => setPage(e.detail.currentPageIndex)}
          ariaLabels={text.pages}
        />
      }
      preferences={
        <CollectionPreferences
          title={text.preferences.title}
          confirmLabel={text.preferences.confirm}
          cancelLabel={text.preferences.cancel}
          preferences={{ ...kept, pageSize: limit, contentDisplay: visible }}
          onConfirm={(e) => {
            change({ tables: { ...preferences.tables, [props.name]: e.detail } });
            setPage(1);
          }}
          pageSizePreference={{
            title: text.preferences.pageSize,
            options: pageSizes.map((n) => ({ value: n, label: String(n) })),
          }}
          contentDisplayPreference={{
            title: text.preferences.columns,
            options: props.columns.map((c) => ({ id: c.id, label: c.header })),
          }}
        />
      }
      empty={answer.error ? <Box color="text-status-error">{messageOf(answer.error)}</Box> : props.empty}
    />
  );
  return (
    <>
      {table}
      {props.menu && clicked && (
        <ContextMenu key={clicked.count} menu={props.menu} at={clicked} onClose={() => setClicked(undefined)} />
      )}
    </>
  );
}
