import { Alert, Box, Header, SpaceBetween, StatusIndicator, Table } from "@cloudscape-design/components";
import { messageOf } from "../../api/errors";
import { useDrops } from "../../api/network-interfaces";
import { text } from "../../text/network-interfaces";

const t = text.drops;
export const directionText = (d: string | undefined) =>
  d === "ingress" ? t.ingress : d === "egress" ? t.egress : (d ?? "");
const number = (n: number | undefined) => (n ?? 0).toLocaleString("en-US");
const empty = <Box color="text-body-secondary">{t.none}</Box>;

/** DropsTab shows what an interface dropped, and which packets lately. */
export function DropsTab({ id }: { id: string }) {
  const answer = useDrops(id);
  const drops = answer.data?.InterfaceDrops[0];
  const observed = (drops?.ObservedPackets ?? []).reduce((sum, o) => sum + (o.Packets ?? 0), 0);
  return (
    <SpaceBetween size="m">
      {answer.error && <Alert type="error">{messageOf(answer.error)}</Alert>}
      {drops?.Message && <Alert type="info">{drops.Message}</Alert>}
      {observed > 0 && <Alert type="warning">{t.observed(observed)}</Alert>}
      <Table
        variant="container"
        items={drops?.Drops ?? []}
        loading={answer.isLoading}
        header={
          <Header variant="h2" description={t.about}>
            {t.title}
          </Header>
        }
        ariaLabels={{ tableLabel: t.title }}
        empty={empty}
        columnDefinitions={[
          { id: "direction", header: t.direction, cell: (d) => directionText(d.Direction) },
          { id: "reason", header: t.reason, cell: (d) => d.Reason, isRowHeader: true },
          { id: "packets", header: t.packets, cell: (d) => number(d.Packets) },
          { id: "last", header: t.last, cell: (d) => d.LastTime?.toLocaleString() ?? t.never },
        ]}
      />
      <Table
        variant="container"
        items={drops?.Samples ?? []}
        loading={answer.isLoading}
        header={
          <Header variant="h2" description={t.samplesAbout}>
            {t.samples}
          </Header>
        }
        ariaLabels={{ tableLabel: t.samples }}
        empty={empty}
        footer={drops?.UntoldEvents ? <Box>{t.untold(drops.UntoldEvents)}</Box> : undefined}
        columnDefinitions={[
          { id: "direction", header: t.direction, cell: (s) => directionText(s.Direction) },
          { id: "remote", header: t.remote, cell: (s) => s.RemoteAddress ?? text.none, isRowHeader: true },
          { id: "local", header: t.local, cell: (s) => s.LocalAddress ?? text.none },
          { id: "protocol", header: t.protocol, cell: (s) => s.Protocol ?? text.none },
          { id: "port", header: t.port, cell: (s) => s.Port ?? text.none },
          { id: "reason", header: t.reason, cell: (s) => s.Reason },
          {
            id: "outcome",
            header: t.outcome,
            cell: (s) => (
              <StatusIndicator type={s.Observed ? "warning" : "error"}>
                {s.Observed ? t.passed : t.dropped}
              </StatusIndicator>
            ),
          },
          { id: "count", header: t.count, cell: (s) => number(s.Count) },
          { id: "last", header: t.last, cell: (s) => s.LastTime?.toLocaleString() ?? text.none },
        ]}
      />
    </SpaceBetween>
  );
}
