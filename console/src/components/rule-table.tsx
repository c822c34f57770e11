import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import { useCollection } from "@cloudscape-design/collection-hooks";
import {
  Badge,
  Box,
  CollectionPreferences,
  type CollectionPreferencesProps,
  Header,
  Link,
  Pagination,
  SpaceBetween,
  Table,
  type TableProps,
  TextFilter,
} from "@cloudscape-design/components";
import { useMemo, type ReactNode } from "react";
import { useNamesIn } from "../api/security-groups";
import { usePreferences } from "../shell/preferences";
import { text } from "../text/rules";
import { portText, protocolText, typeOf } from "./rule-types";

// Lines may be wrapped at a hyphen, but nobody recognizes half of an id.
const Unbroken = ({ children }: { children: ReactNode }) => <span style={{ whiteSpace: "nowrap" }}>{children}</span>;

/** RulePeer shows the far side of a rule, with the name of what it names and a link to it. */
export function RulePeer({ rule, names }: { rule: SecurityGroupRule; names: Record<string, string> }) {
  const id = rule.ReferencedGroupInfo?.GroupId ?? rule.PrefixListId;
  if (!id) return <>{rule.CidrIpv4 ?? rule.CidrIpv6}</>;
  const page = rule.PrefixListId ? "PrefixLists" : "SecurityGroups";
  return (
    <>
      <Unbroken>
        <Link href={`#/${page}/${id}`}>{id}</Link>
      </Unbroken>
      {names[id] && <> / {names[id]}</>}
    </>
  );
}

/** peerText is the same for sorting, filtering and export. */
export const peerText = (r: SecurityGroupRule, names: Record<string, string>) => {
  const id = r.ReferencedGroupInfo?.GroupId ?? r.PrefixListId;
  return id ? [id, names[id]].filter(Boolean).join(" / ") : (r.CidrIpv4 ?? r.CidrIpv6 ?? "");
};

const nameOf = (r: SecurityGroupRule) => r.Tags?.find((t) => t.Key === "Name")?.Value ?? "";
const versionOf = (r: SecurityGroupRule) => (r.CidrIpv4 ? "IPv4" : r.CidrIpv6 ? "IPv6" : "–");

/** A column of a table of rules: text is what it is sorted and filtered by. */
export interface RuleColumn {
  id: string;
  header: string;
  text: (r: SecurityGroupRule) => string;
  cell?: (r: SecurityGroupRule) => ReactNode;
  compare?: (a: SecurityGroupRule, b: SecurityGroupRule) => number;
  hidden?: boolean;
  minWidth?: number;
  /** Longer texts end in an ellipsis, unless lines are wrapped. */
  maxWidth?: number;
}

/** ruleColumns are those of EC2's console; stale are the ids of rules that have a mark beside their peer. */
export function ruleColumns(
  egress: boolean,
  names: Record<string, string>,
  stale: ReadonlySet<string> = new Set(),
): RuleColumn[] {
  return [
    { id: "name", header: text.name, text: nameOf },
    {
      id: "id",
      header: text.id,
      text: (r) => r.SecurityGroupRuleId ?? "",
      cell: (r) => <Unbroken>{r.SecurityGroupRuleId}</Unbroken>,
    },
    { id: "version", header: text.ipVersion, text: versionOf },
    { id: "type", header: text.type, text: (r) => typeOf(r).label },
    { id: "protocol", header: text.protocol, text: protocolText },
    {
      id: "ports",
      header: text.ports,
      text: portText,
      compare: (a, b) => (a.FromPort ?? -1) - (b.FromPort ?? -1) || (a.ToPort ?? -1) - (b.ToPort ?? -1),
    },
    {
      id: "peer",
      header: egress ? text.destination : text.source,
      text: (r) => peerText(r, names),
      cell: (r) => (
        <SpaceBetween direction="horizontal" size="xs">
          <RulePeer rule={r} names={names} />
          {stale.has(r.SecurityGroupRuleId ?? "") && <Badge color="severity-medium">{text.stale}</Badge>}
        </SpaceBetween>
      ),
    },
    { id: "description", header: text.description, text: (r) => r.Description ?? "", maxWidth: 300 },
  ];
}

export interface RuleTableProps {
  /** Of the preferences: tables with the same name have the same columns. */
  name: string;
  title: string;
  egress: boolean;
  rules: SecurityGroupRule[];
  /** Beside those of EC2. */
  columns?: RuleColumn[];
  /** The ids of the columns that are shown until a person chooses others, in this order; absent: all but hidden ones. */
  shown?: string[];
  stale?: ReadonlySet<string>;
  loading?: boolean;
  error?: string | undefined;
  actions?: ReactNode;
  /** Absent: rules cannot be selected. */
  onSelect?: (rules: SecurityGroupRule[]) => void;
  selected?: SecurityGroupRule[];
  variant?: TableProps.Variant;
}

const pageSizes = [10, 25, 50, 100];

/** RuleTable shows rules of one direction. A group has some hundred at most, so it filters and sorts by itself. */
export function RuleTable(props: RuleTableProps) {
  const { preferences, change } = usePreferences();
  const names = useNamesIn(props.rules);
  const { egress, stale, columns: further } = props;
  const columns = useMemo(
    () => [...ruleColumns(egress, names, stale), ...(further ?? [])],
    [egress, names, stale, further],
  );
  const kept = (preferences.tables[props.name] ?? {}) as CollectionPreferencesProps.Preferences;
  const pageSize = kept.pageSize ?? 25;
  const wrapLines = kept.wrapLines ?? true; // what rules count stands at the end of a wide table
  const { items, filteredItemsCount, collectionProps, filterProps, paginationProps } = useCollection(props.rules, {
    filtering: {
      filteringFunction: (r, wanted) => {
        const looked = wanted.toLowerCase();
        return columns.some((c) => c.text(r).toLowerCase().includes(looked));
      },
      empty: <Empty>{props.error ?? (egress ? text.noneOutbound : text.noneInbound)}</Empty>,
      noMatch: <Empty>{text.noMatch}</Empty>,
    },
    sorting: {},
    pagination: { pageSize },
  });
  const named = props.rules.some(nameOf); // few people name rules: a column of dashes has no room here
  const known = kept.contentDisplay ?? [];
  const display = [
    ...known.filter((k) => columns.some((c) => c.id === k.id)),
    ...inOrder(columns, props.shown)
      .filter((c) => !known.some((k) => k.id === c.id))
      .map((c) => ({ id: c.id, visible: props.shown?.includes(c.id) ?? (c.id === "name" ? named : !c.hidden) })),
  ];
  return (
    <Table<SecurityGroupRule>
      {...collectionProps}
      variant={props.variant ?? "container"}
      items={items}
      trackBy="SecurityGroupRuleId"
      wrapLines={wrapLines}
      loading={props.loading ?? false}
      loadingText={text.loading}
      {...(props.onSelect
        ? {
            selectionType: "multi" as const,
            selectedItems: props.selected ?? [],
            onSelectionChange: (e: { detail: { selectedItems: SecurityGroupRule[] } }) =>
              props.onSelect?.(e.detail.selectedItems),
          }
        : {})}
      columnDefinitions={columns.map((c) => ({
        id: c.id,
        header: c.header,
        cell: (r: SecurityGroupRule) => (c.cell ? c.cell(r) : c.text(r)) || "–",
        sortingComparator: c.compare ?? ((a, b) => c.text(a).localeCompare(c.text(b), undefined, { numeric: true })),
        isRowHeader: c.id === "id",
        ...(c.minWidth ? { minWidth: c.minWidth } : {}),
        ...(c.maxWidth ? { maxWidth: c.maxWidth } : {}),
      }))}
      columnDisplay={display}
      ariaLabels={{
        tableLabel: props.title,
        selectionGroupLabel: props.title,
        allItemsSelectionLabel: () => text.selectAll,
        itemSelectionLabel: (_, r) => text.select(r.SecurityGroupRuleId ?? ""),
      }}
      header={
        <Header variant="h2" counter={`(${props.rules.length})`} actions={props.actions}>
          {props.title}
        </Header>
      }
      filter={
        <TextFilter
          {...filterProps}
          filteringPlaceholder={text.find}
          filteringAriaLabel={`${text.find}: ${props.title}`}
          countText={text.matches(filteredItemsCount ?? 0)}
        />
      }
      pagination={<Pagination {...paginationProps} ariaLabels={text.pages} />}
      preferences={
        <CollectionPreferences
          title={text.preferences.title}
          confirmLabel={text.preferences.confirm}
          cancelLabel={text.preferences.cancel}
          preferences={{ pageSize, contentDisplay: display, wrapLines }}
          onConfirm={(e) => change({ tables: { ...preferences.tables, [props.name]: e.detail } })}
          pageSizePreference={{
            title: text.preferences.pageSize,
            options: pageSizes.map((n) => ({ value: n, label: String(n) })),
          }}
          wrapLinesPreference={text.preferences.wrap}
          contentDisplayPreference={{
            title: text.preferences.columns,
            options: columns.map((c) => ({ id: c.id, label: c.header })),
          }}
        />
      }
    />
  );
}

const inOrder = (columns: RuleColumn[], order: string[] | undefined) =>
  order
    ? [
        ...order.flatMap((id) => columns.find((c) => c.id === id) ?? []),
        ...columns.filter((c) => !order.includes(c.id)),
      ]
    : columns;

function Empty({ children }: { children: ReactNode }) {
  return (
    <Box textAlign="center" color="inherit">
      {children}
    </Box>
  );
}
