import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { useCollection } from "@cloudscape-design/collection-hooks";
import {
  Alert,
  Box,
  Button,
  Header,
  Link,
  Pagination,
  SpaceBetween,
  StatusIndicator,
  Table,
  type TableProps,
  TextFilter,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { messageOf } from "../../api/errors";
import type {
  DeleteBlocker,
  SecurityGroupUseInterface,
  SecurityGroupUseRule,
  SecurityGroupUses,
} from "../../api/sallyport_gen";
import { usesQuery } from "../../api/security-groups";
import { portText, protocolText, typeOf } from "../../components/rule-types";
import { WhyLink } from "../../components/why-link";
import { text as ruleText } from "../../text/rules";
import { text } from "../../text/security-groups";
import { text as why } from "../../text/why";

const t = text.uses;

/** A name with the id that leads to its page. */
export function Named({ page, id, name }: { page: string; id: string | undefined; name?: string | undefined }) {
  if (!id) return <>–</>;
  return (
    <>
      <Link href={`#/${page}/${id}`}>{id}</Link>
      {name && <> / {name}</>}
    </>
  );
}

/** blockerText says of a blocker what it is, in words for people; the server's own are beside it. */
export const blockerText = (b: DeleteBlocker) => t.blockers[b.Type ?? ""]?.(b.Count ?? 0) ?? `${b.Type} (${b.Count})`;

const shownLinks = 5;

/** BlockerLinks leads to what a blocker consists of. */
export function BlockerLinks({ blocker, uses }: { blocker: DeleteBlocker; uses: SecurityGroupUses }) {
  const links = blocker.ResourceIds.slice(0, shownLinks).map((id) => {
    if (blocker.Type === "network-interface") {
      const eni = uses.NetworkInterfaces.find((i) => i.NetworkInterfaceId === id);
      return (
        <span key={id}>
          <Named page="NetworkInterfaces" id={id} name={eni?.Name} />
          {eni?.InstanceId && (
            <>
              {" "}
              (<Named page="Instances" id={eni.InstanceId} name={eni.InstanceName} />)
            </>
          )}
        </span>
      );
    }
    if (blocker.Type === "security-group-rule") {
      const use = uses.Rules.find((r) => r.Rule?.SecurityGroupRuleId === id);
      const tab = use?.Rule?.IsEgress ? "outbound" : "inbound";
      return (
        <span key={id}>
          {use ? <Link href={`#/SecurityGroups/${use.Rule?.GroupId}?tab=${tab}`}>{id}</Link> : id}
          {use && ` (${use.GroupName})`}
        </span>
      );
    }
    return <Named key={id} page="Vpcs" id={id} />;
  });
  const rest = (blocker.Count ?? 0) - links.length;
  return (
    <>
      {links.map((l, i) => (
        <span key={l.key}>
          {i > 0 && ", "}
          {l}
        </span>
      ))}
      {blocker.ResourceIds.length > 0 && rest > 0 && ` ${t.more(rest)}`}
    </>
  );
}

/** Refusal is what the server would answer to a delete. */
export function Refusal({ uses }: { uses: SecurityGroupUses }) {
  const [first] = uses.Blockers;
  if (!first) return null;
  return (
    <Box color="text-body-secondary" fontSize="body-s">
      {t.refusal(`${first.Message} (${first.Code})`)}
    </Box>
  );
}

/** DeleteVerdict says whether a group can be deleted, and if not what stands in the way. */
export function DeleteVerdict(props: { uses: SecurityGroupUses; onDelete?: () => void }) {
  const { uses } = props;
  const navigate = useNavigate();
  if (uses.Deletable) {
    return (
      <Alert
        type="success"
        action={props.onDelete && <Button onClick={props.onDelete}>{t.delete}</Button>}
        statusIconAriaLabel={t.deletable}
      >
        {t.deletable}
      </Alert>
    );
  }
  const isDefault = uses.Blockers.some((b) => b.Type === "default-group");
  return (
    <Alert
      type="info"
      header={t.blocked}
      action={
        !isDefault && (
          <Button onClick={() => void navigate(`/SecurityGroups/${uses.GroupId}/replace`)}>{t.replace}</Button>
        )
      }
    >
      <ul>
        {uses.Blockers.map((b) => (
          <li key={b.Type}>
            {blockerText(b)}
            {b.ResourceIds.length > 0 && ": "}
            <BlockerLinks blocker={b} uses={uses} />
          </li>
        ))}
      </ul>
      <Refusal uses={uses} />
    </Alert>
  );
}

const find = (values: (string | undefined)[], wanted: string) =>
  values.filter(Boolean).join(" ").toLowerCase().includes(wanted.toLowerCase());

interface UseTableProps<T> {
  title: string;
  about: string;
  items: T[];
  count: number;
  trackBy: (item: T) => string;
  columns: TableProps.ColumnDefinition<T>[];
  searched: (item: T) => (string | undefined)[];
  none: string;
  findLabel: string;
}

function UseTable<T>(props: UseTableProps<T>) {
  const { items, collectionProps, filterProps, filteredItemsCount, paginationProps } = useCollection(props.items, {
    filtering: {
      filteringFunction: (item, wanted) => find(props.searched(item), wanted),
      empty: props.none,
      noMatch: ruleText.noMatch,
    },
    sorting: {},
    pagination: { pageSize: 25 },
  });
  return (
    <Table<T>
      {...collectionProps}
      items={items}
      trackBy={props.trackBy}
      columnDefinitions={props.columns}
      resizableColumns
      ariaLabels={{ tableLabel: props.title }}
      header={
        <Header
          variant="h2"
          counter={`(${props.count.toLocaleString("en")})`}
          description={
            props.count > props.items.length
              ? `${props.about} ${t.truncated(props.items.length, props.count)}.`
              : props.about
          }
        >
          {props.title}
        </Header>
      }
      filter={
        props.items.length > 5 && (
          <TextFilter
            {...filterProps}
            filteringPlaceholder={props.findLabel}
            filteringAriaLabel={props.findLabel}
            countText={t.matches(filteredItemsCount ?? 0)}
          />
        )
      }
      pagination={props.items.length > 25 && <Pagination {...paginationProps} ariaLabels={ruleText.pages} />}
    />
  );
}

const i = t.interfaces;

export const interfaceColumns: TableProps.ColumnDefinition<SecurityGroupUseInterface>[] = [
  {
    id: "id",
    header: i.id,
    cell: (e) => <Link href={`#/NetworkInterfaces/${e.NetworkInterfaceId}`}>{e.NetworkInterfaceId}</Link>,
    sortingField: "NetworkInterfaceId",
    isRowHeader: true,
    minWidth: 220,
  },
  { id: "name", header: i.name, cell: (e) => e.Name ?? e.Description ?? "–", sortingField: "Name", minWidth: 120 },
  {
    id: "instance",
    header: i.instance,
    cell: (e) => <Named page="Instances" id={e.InstanceId} name={e.InstanceName} />,
    sortingField: "InstanceName",
    minWidth: 220,
  },
  {
    id: "address",
    header: i.address,
    cell: (e) => e.PrivateIpAddress ?? "–",
    sortingField: "PrivateIpAddress",
    minWidth: 150,
  },
  {
    id: "groups",
    header: i.groups,
    cell: (e) => e.Groups.map((g) => g.GroupName).join(", "),
    minWidth: 160,
  },
  {
    id: "state",
    header: i.state,
    cell: (e) => (
      <StatusIndicator type={e.BoundState === "bound" ? "success" : "stopped"}>
        {e.BoundState === "bound" ? i.bound : i.unbound}
      </StatusIndicator>
    ),
    sortingField: "BoundState",
    minWidth: 120,
  },
  {
    id: "why",
    header: why.title,
    cell: (e) => <WhyLink to={e.NetworkInterfaceId ?? ""} />,
    minWidth: 80,
  },
  {
    id: "subnet",
    header: i.subnet,
    cell: (e) => <Link href={`#/Subnets/${e.SubnetId}`}>{e.SubnetId}</Link>,
    sortingField: "SubnetId",
    minWidth: 220,
  },
  {
    id: "vpc",
    header: i.vpc,
    cell: (e) => <Link href={`#/Vpcs/${e.VpcId}`}>{e.VpcId}</Link>,
    sortingField: "VpcId",
    minWidth: 220,
  },
];

const r = t.rules;

export const ruleUseColumns = (group: string): TableProps.ColumnDefinition<SecurityGroupUseRule>[] => [
  {
    id: "group",
    header: r.group,
    cell: (u) => <Named page="SecurityGroups" id={u.Rule?.GroupId} name={u.GroupName} />,
    sortingField: "GroupName",
    isRowHeader: true,
    minWidth: 260,
  },
  { id: "direction", header: r.direction, cell: (u) => (u.Rule?.IsEgress ? r.outbound : r.inbound), minWidth: 100 },
  { id: "id", header: ruleText.id, cell: (u) => u.Rule?.SecurityGroupRuleId, minWidth: 210 },
  { id: "type", header: ruleText.type, cell: (u) => typeOf(u.Rule ?? {}).label, minWidth: 120 },
  { id: "protocol", header: ruleText.protocol, cell: (u) => protocolText(u.Rule ?? {}), minWidth: 100 },
  { id: "ports", header: ruleText.ports, cell: (u) => portText(u.Rule ?? {}), minWidth: 110 },
  {
    id: "blocks",
    header: r.blocks,
    cell: (u) => (
      <StatusIndicator type={u.Blocks ? "warning" : "info"}>
        {u.Blocks ? r.keeps : u.Rule?.GroupId === group ? r.own : r.stale}
      </StatusIndicator>
    ),
    minWidth: 160,
  },
  { id: "description", header: ruleText.description, cell: (u) => u.Rule?.Description ?? "–", minWidth: 150 },
];

/** UsedByTab shows who carries a group and who names it, and what that means for a delete. */
export function UsedByTab({ group, onDelete }: { group: SecurityGroup; onDelete?: () => void }) {
  const id = group.GroupId!;
  const answer = useQuery(usesQuery([id]));
  if (answer.error) return <Alert type="error">{messageOf(answer.error)}</Alert>;
  const uses = answer.data?.[0];
  if (!uses) return <StatusIndicator type="loading">{t.loading}</StatusIndicator>;
  return (
    <SpaceBetween size="l">
      <DeleteVerdict uses={uses} {...(onDelete ? { onDelete } : {})} />
      <UseTable
        title={i.title}
        about={i.about}
        items={uses.NetworkInterfaces}
        count={uses.NetworkInterfaceCount ?? 0}
        trackBy={(e) => e.NetworkInterfaceId ?? ""}
        columns={interfaceColumns}
        searched={(e) => [
          e.NetworkInterfaceId,
          e.Name,
          e.Description,
          e.InstanceId,
          e.InstanceName,
          e.PrivateIpAddress,
        ]}
        none={i.none}
        findLabel={i.find}
      />
      <UseTable
        title={r.title}
        about={r.about}
        items={uses.Rules}
        count={uses.RuleCount ?? 0}
        trackBy={(u) => u.Rule?.SecurityGroupRuleId ?? ""}
        columns={ruleUseColumns(id)}
        searched={(u) => [
          u.Rule?.SecurityGroupRuleId,
          u.Rule?.GroupId,
          u.GroupName,
          u.Rule?.Description,
          portText(u.Rule ?? {}),
        ]}
        none={r.none}
        findLabel={r.find}
      />
    </SpaceBetween>
  );
}
