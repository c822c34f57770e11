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
import { useState } from "react";
import { messageOf } from "../../api/errors";
import { connectionsShown, useConnections } from "../../api/network-interfaces";
import { call } from "../../api/sallyport";
import type { Connection } from "../../api/sallyport_gen";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/network-interfaces";
import { text as table } from "../../text/resource-table";
import { directionText } from "./drops";

const t = text.connections;
const end = (address: string | undefined, port: number | undefined) =>
  port === undefined ? (address ?? text.none) : address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
const number = (n: number | undefined) => (n ?? 0).toLocaleString("en-US");

function seconds(n: number | undefined): string {
  const s = n ?? 0;
  if (s < 120) return `${s} s`;
  return s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}

function Admitted({ connection: c }: { connection: Connection }) {
  if (c.Observed) return <StatusIndicator type="warning">{t.observed}</StatusIndicator>;
  if (!c.SecurityGroupRuleId) return <>{t.untold}</>;
  return (
    <>
      {c.SecurityGroupRuleId} (<Link href={`#/SecurityGroups/${c.SecurityGroupId}`}>{c.SecurityGroupId}</Link>)
    </>
  );
}

const columns: TableProps.ColumnDefinition<Connection>[] = [
  { id: "direction", header: t.direction, cell: (c) => directionText(c.Direction), sortingField: "Direction" },
  { id: "protocol", header: t.protocol, cell: (c) => c.Protocol, sortingField: "Protocol" },
  { id: "local", header: t.local, cell: (c) => end(c.LocalAddress, c.LocalPort), sortingField: "LocalPort" },
  {
    id: "remote",
    header: t.remote,
    cell: (c) =>
      c.RemoteNetworkInterfaceId ? (
        <Link href={`#/NetworkInterfaces/${c.RemoteNetworkInterfaceId}`}>{end(c.RemoteAddress, c.RemotePort)}</Link>
      ) : (
        end(c.RemoteAddress, c.RemotePort)
      ),
    sortingField: "RemoteAddress",
    isRowHeader: true,
  },
  { id: "state", header: t.state, cell: (c) => c.State, sortingField: "State" },
  { id: "rule", header: t.rule, cell: (c) => <Admitted connection={c} />, minWidth: 220 },
  {
    id: "today",
    header: t.today,
    cell: (c) => (
      <StatusIndicator type={c.AllowedByRules ? "success" : "error"}>
        {c.AllowedByRules ? t.allowed : t.refused}
      </StatusIndicator>
    ),
    sortingField: "AllowedByRules",
  },
  { id: "age", header: t.age, cell: (c) => seconds(c.AgeSeconds), sortingField: "AgeSeconds" },
  { id: "idle", header: t.idle, cell: (c) => seconds(c.IdleSeconds), sortingField: "IdleSeconds" },
  { id: "in", header: t.bytesIn, cell: (c) => number(c.BytesIngress), sortingField: "BytesIngress" },
  { id: "out", header: t.bytesOut, cell: (c) => number(c.BytesEgress), sortingField: "BytesEgress" },
];

/** ConnectionsTab shows what an interface's host tracks, and cuts what today's rules would refuse. */
export function ConnectionsTab({ id }: { id: string }) {
  const answer = useConnections(id);
  const notify = useNotify();
  const [cutting, setCutting] = useState(false);
  const all = answer.data?.Connections ?? [];
  const refused = all.some((c) => !c.AllowedByRules);
  const { items, collectionProps, filterProps, paginationProps, filteredItemsCount } = useCollection(all, {
    filtering: { empty: <Box color="text-body-secondary">{t.none}</Box>, noMatch: table.noMatch.title },
    sorting: {},
    pagination: { pageSize: 25 },
  });
  async function cut() {
    setCutting(true);
    try {
      const { output } = await call("CutConnections", { NetworkInterfaceIds: [id], RefusedByRules: true });
      notify({ type: "success", content: t.cutDone(output.Count ?? 0) });
      await answer.refetch();
    } catch (error) {
      notify({ type: "error", content: messageOf(error) });
    }
    setCutting(false);
  }
  return (
    <SpaceBetween size="m">
      {answer.error && <Alert type="error">{messageOf(answer.error)}</Alert>}
      {answer.data?.UnansweredHosts.map((h) => (
        <Alert key={h.HostId} type="warning">
          {t.unanswered(h.HostId ?? "", h.Message ?? "")}
        </Alert>
      ))}
      <Table
        {...collectionProps}
        variant="container"
        items={items}
        loading={answer.isLoading}
        columnDefinitions={columns}
        resizableColumns
        ariaLabels={{ tableLabel: t.title }}
        header={
          <Header
            variant="h2"
            counter={`(${number(all.length)})`}
            description={t.about}
            actions={
              <Button disabled={!refused} loading={cutting} onClick={() => void cut()}>
                {t.cut}
              </Button>
            }
          >
            {t.title}
          </Header>
        }
        filter={
          <TextFilter
            {...filterProps}
            filteringPlaceholder={t.find}
            filteringAriaLabel={t.find}
            countText={table.filter.matches(filteredItemsCount ?? 0)}
          />
        }
        pagination={<Pagination {...paginationProps} />}
        footer={answer.data?.NextToken ? <Box>{t.more(connectionsShown)}</Box> : undefined}
      />
    </SpaceBetween>
  );
}
