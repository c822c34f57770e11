import {
  Alert,
  Box,
  Button,
  CollectionPreferences,
  type CollectionPreferencesProps,
  Header,
  Pagination,
  type PropertyFilterProps,
  SpaceBetween,
  Table,
  type TableProps,
} from "@cloudscape-design/components";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState, type ReactNode } from "react";
import { useSearchParams } from "react-router";
import { messageOf } from "../api/errors";
import { selectResources, type ResourceType, type Wanted } from "../api/resources";
import type { ResourceFilter } from "../api/sallyport_gen";
import { usePreferences } from "../shell/preferences";
import { text } from "../text/resource-table";
import { ActionsButton, ContextMenu, type ActionMenu, type Point } from "./action-menu";
import { ResourceFilterInput, type FilterProperty } from "./resource-filter";
import { readQuery, writeQuery } from "./table-query";

/** One column. Sorting and filtering is the server's: property is its name there, absent: it does neither. */
export interface Column<T> {
  id: string;
  header: string;
  cell: (item: T) => ReactNode;
  property?: string;
  /** The property is a number: it can be greater or less. */
  numeric?: boolean;
  /** Not shown until a person asks for it. */
  hidden?: boolean;
  width?: number;
  minWidth?: number;
}

export interface ResourceTableProps<T> {
  /** Of what: "SecurityGroups", for the preferences. */
  name: string;
  title: string;
  /** One sentence below the title. */
  description?: ReactNode;
  columns: Column<T>[];
  /** What the list can be filtered by besides its columns. */
  properties?: FilterProperty[];
  type: ResourceType;
  /** What holds for all that is shown; absent: everything of the type is. */
  scope?: ResourceFilter[];
  /** The objects with these ids, in any order: the type's Describe call. */
  describe: (ids: string[]) => Promise<T[]>;
  idOf: (item: T) => string;
  labelOf: (item: T) => string;
  /** The buttons beside the title; refresh is there by itself. */
  actions?: ReactNode;
  /** The buttons left of the menu's. */
  actionsFirst?: ReactNode;
  /** What can be done with the selected ones: a button beside the title, and the menu of a right click on a row. */
  menu?: ActionMenu;
  /** Absent: many can be selected. null: none. */
  selectionType?: TableProps.SelectionType | null;
  /** On whatever page they are. */
  selected?: T[];
  onSelect?: (items: T[]) => void;
  /** Shown when there are none at all; with a title and what to do about it. */
  empty: ReactNode;
  /** It stands on a page with other things: the filter is not in the address. */
  embedded?: boolean;
  /** How soon to look again, given what is shown; absent or false: when a person asks. */
  refreshEvery?: (items: T[]) => number | false;
}

const pageSizes = [25, 50, 100, 250, 500];
const everything: ResourceFilter[] = [];
const none: never[] = [];
const noFilter: PropertyFilterProps.Query = { tokens: [], operation: "and" };

/** What a person chose of one list; the widths by column. */
interface Kept extends CollectionPreferencesProps.Preferences {
  widths?: Record<string, number>;
}

/** ResourceTable is the list of every resource: the server filters, sorts and pages. */
export function ResourceTable<T>(props: ResourceTableProps<T>) {
  const { idOf, selected = none, onSelect } = props;
  const { preferences, change } = usePreferences();
  const kept = (preferences.tables[props.name] ?? {}) as Kept;
  const keep = (part: Kept) => change({ tables: { ...preferences.tables, [props.name]: { ...kept, ...part } } });
  const [filter, setFilter] = useFilter(props.embedded ?? false);
  const [page, setPage] = useState(1);
  const [sort, setSort] = useState<{ property?: string; descending: boolean }>({ descending: false });
  const limit = kept.pageSize ?? 50;
  const wanted: Wanted = {
    type: props.type,
    scope: props.scope ?? everything,
    filter,
    descending: sort.descending,
    offset: (page - 1) * limit,
    limit,
    ...(sort.property ? { sortBy: sort.property } : {}),
  };
  const answer = useQuery({
    queryKey: ["SelectResources", wanted],
    queryFn: () => selectResources(wanted, props.describe, idOf),
    placeholderData: keepPreviousData,
    refetchInterval: (q) => props.refreshEvery?.(q.state.data?.items ?? []) ?? false,
  });
  const { items, matched, total } = answer.data ?? { items: none, matched: 0, total: 0 };
  const pages = Math.max(1, Math.ceil(matched / limit));
  // The last page went: its objects were deleted, or fewer pass the filter.
  if (answer.data && !answer.isPlaceholderData && page > pages) setPage(pages);

  // What is selected stays so on other pages; on this one it is shown as it is now.
  useEffect(() => {
    const now = new Map(items.map((item) => [idOf(item), item]));
    const fresh = selected.map((item) => now.get(idOf(item)) ?? item);
    if (fresh.some((item, i) => item !== selected[i])) onSelect?.(fresh);
  }, [items, selected, onSelect, idOf]);

  const [clicked, setClicked] = useState<Point & { count: number }>();
  const display = useMemo(() => columnsShown(props.columns, kept.contentDisplay), [props.columns, kept.contentDisplay]);
  const definitions = useMemo(
    () =>
      props.columns.map((c) => ({
        id: c.id,
        header: c.header,
        cell: c.cell,
        width: kept.widths?.[c.id] ?? c.width ?? 180,
        minWidth: c.minWidth ?? 90,
        ...(c.property ? { sortingField: c.property } : {}),
      })),
    [props.columns, kept.widths],
  );
  const selectable = props.selectionType !== null && onSelect !== undefined;
  const only = (item: T) => {
    if (selectable) onSelect([item]);
  };
  const refresh = () => void answer.refetch();
  const failed = answer.error && (
    <Alert
      type="error"
      header={answer.data ? text.error.stale : text.error.title}
      action={<Button onClick={refresh}>{text.error.again}</Button>}
    >
      {messageOf(answer.error)}
    </Alert>
  );
  return (
    <>
      <Table
        variant={props.embedded ? "container" : "full-page"}
        stickyHeader={!props.embedded}
        resizableColumns
        enableKeyboardNavigation
        items={items}
        trackBy={idOf}
        loading={answer.isLoading}
        loadingText={text.loading}
        {...(selectable ? { selectionType: props.selectionType ?? "multi", selectedItems: selected } : {})}
        onSelectionChange={(e) => onSelect?.(e.detail.selectedItems)}
        onRowClick={(e) => only(e.detail.item)}
        onRowContextMenu={(e) => {
          if (!props.menu) return;
          e.preventDefault();
          const { item, clientX, clientY } = e.detail;
          if (!selected.some((s) => idOf(s) === idOf(item))) only(item);
          setClicked((old) => ({ x: clientX, y: clientY, count: (old?.count ?? 0) + 1 }));
        }}
        columnDefinitions={definitions}
        columnDisplay={display}
        onColumnWidthsChange={(e) => {
          const shown = display.filter((d) => d.visible).map((d) => d.id);
          keep({ widths: { ...kept.widths, ...Object.fromEntries(shown.map((id, i) => [id, e.detail.widths[i]!])) } });
        }}
        wrapLines={kept.wrapLines ?? false}
        stripedRows={kept.stripedRows ?? false}
        {...(sort.property ? { sortingColumn: { sortingField: sort.property } } : {})}
        sortingDescending={sort.descending}
        onSortingChange={(e) => {
          const property = e.detail.sortingColumn.sortingField;
          setSort({ ...(property ? { property } : {}), descending: e.detail.isDescending ?? false });
          setPage(1);
        }}
        ariaLabels={{
          itemSelectionLabel: (_, item) => props.labelOf(item),
          allItemsSelectionLabel: () => text.selectAll,
          selectionGroupLabel: props.title,
          tableLabel: props.title,
        }}
        totalItemsCount={matched}
        firstIndex={wanted.offset + 1}
        header={
          <SpaceBetween size="s">
            <Header
              variant={props.embedded ? "h2" : "awsui-h1-sticky"}
              {...(answer.data ? { counter: text.counter(selected.length, total) } : {})}
              description={props.description}
              actions={
                <SpaceBetween direction="horizontal" size="xs">
                  <Button iconName="refresh" ariaLabel={text.refresh} onClick={refresh} loading={answer.isRefetching} />
                  {props.actionsFirst}
                  {props.menu && <ActionsButton menu={props.menu} />}
                  {props.actions}
                </SpaceBetween>
              }
            >
              {props.title}
            </Header>
            {answer.data && failed}
          </SpaceBetween>
        }
        filter={
          <ResourceFilterInput
            type={props.type}
            scope={wanted.scope}
            title={props.title}
            properties={[
              ...props.columns.flatMap((c) =>
                c.property ? { property: c.property, label: c.header, numeric: c.numeric ?? false } : [],
              ),
              ...(props.properties ?? none),
            ]}
            query={filter}
            onChange={(query) => {
              setFilter(query);
              setPage(1);
            }}
            matched={answer.data?.matched}
          />
        }
        pagination={
          <Pagination
            currentPageIndex={Math.min(page, pages)}
            pagesCount={pages}
            onChange={(e) => setPage(e.detail.currentPageIndex)}
          />
        }
        preferences={
          <CollectionPreferences
            preferences={{
              pageSize: limit,
              contentDisplay: display,
              wrapLines: kept.wrapLines ?? false,
              stripedRows: kept.stripedRows ?? false,
            }}
            onConfirm={(e) => {
              keep(e.detail);
              setPage(1);
            }}
            pageSizePreference={{
              title: text.preferences.pageSize,
              options: pageSizes.map((n) => ({ value: n, label: text.preferences.perPage(n) })),
            }}
            wrapLinesPreference={text.preferences.wrap}
            stripedRowsPreference={text.preferences.striped}
            contentDisplayPreference={{
              title: text.preferences.columns,
              options: props.columns.map((c, i) => ({ id: c.id, label: c.header, alwaysVisible: i === 0 })),
            }}
          />
        }
        empty={
          failed ??
          (filter.tokens.length ? (
            <Box textAlign="center" color="inherit">
              <SpaceBetween size="xs">
                <b>{text.noMatch.title}</b>
                <Box color="text-body-secondary">{text.noMatch.body}</Box>
                <Button onClick={() => setFilter(noFilter)}>{text.noMatch.clear}</Button>
              </SpaceBetween>
            </Box>
          ) : (
            <Box textAlign="center" color="inherit">
              {props.empty}
            </Box>
          ))
        }
      />
      {props.menu && clicked && (
        <ContextMenu key={clicked.count} menu={props.menu} at={clicked} onClose={() => setClicked(undefined)} />
      )}
    </>
  );
}

/** The filter: in the address, so that links and Back know it, or, embedded, of this list alone. */
function useFilter(embedded: boolean): [PropertyFilterProps.Query, (query: PropertyFilterProps.Query) => void] {
  const [parameters, setParameters] = useSearchParams();
  const [own, setOwn] = useState(noFilter);
  const written = parameters.toString();
  const inAddress = useMemo(() => readQuery(new URLSearchParams(written)), [written]);
  if (embedded) return [own, setOwn];
  return [inAddress, (query) => setParameters(writeQuery(query), { replace: true })];
}

// What was kept, without the columns that are no more and with those that are new.
function columnsShown<T>(
  columns: Column<T>[],
  kept: CollectionPreferencesProps.Preferences["contentDisplay"],
): { id: string; visible: boolean }[] {
  const known = (kept ?? []).flatMap((k) => (columns.some((c) => c.id === k.id) && "visible" in k ? [k] : []));
  const added = columns.filter((c) => !known.some((k) => k.id === c.id));
  return [
    ...known.map((k) => ({ id: k.id, visible: k.visible })),
    ...added.map((c) => ({ id: c.id, visible: !c.hidden })),
  ];
}
