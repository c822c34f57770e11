import type { SecurityGroupRule } from "@aws-sdk/client-ec2";
import { Alert, Box, Button, Container, Header, StatusIndicator, Table } from "@cloudscape-design/components";
import { messageOf } from "../../api/errors";
import type { SecurityGroupRuleChange } from "../../api/sallyport_gen";
import { useNamesIn } from "../../api/security-groups";
import { text } from "../../text/rule-editor";
import { peerText } from "../rule-table";
import { portText, protocolText, typeOf } from "../rule-types";

const c = text.changes;

/** parts are what a rule says, in the order of the editor's columns. */
function parts(r: SecurityGroupRule, names: Record<string, string>): string[] {
  const type = typeOf(r).label;
  const custom = type.startsWith("Custom");
  const where = custom
    ? `${protocolText(r)} ${portText(r)}`
    : `${protocolText(r)} ${portText(r)}`.replace("All All", "");
  return [type, where.trim(), peerText(r, names), r.Description ? `“${r.Description}”` : ""];
}

/** RuleText is a rule in one line; what other does not say stands out. */
export function RuleText({
  rule,
  other,
  names,
}: {
  rule: SecurityGroupRule;
  other?: SecurityGroupRule | undefined;
  names: Record<string, string>;
}) {
  const against = other && parts(other, names);
  return (
    <>
      {parts(rule, names).map((p, i) =>
        p ? (
          <span key={i}>
            {i > 0 && " · "}
            {against && against[i] !== p ? <b>{p}</b> : p}
          </span>
        ) : null,
      )}
    </>
  );
}

export interface RuleChangesProps {
  changes: SecurityGroupRuleChange[];
  problems: number;
  /** The answer is of what stands in the form now. */
  current: boolean;
  error: Error | null;
  onUndo: (change: SecurityGroupRuleChange) => void;
}

/** RuleChanges lists what a save would change, as the server says. */
export function RuleChanges({ changes, problems, current, error, onUndo }: RuleChangesProps) {
  const names = useNamesIn(changes.flatMap((ch) => [ch.Before, ch.After]).filter((r) => r !== undefined));
  const count = (kind: string) => changes.filter((ch) => ch.Kind === kind).length;
  const what = (ch: SecurityGroupRuleChange) =>
    parts((ch.After ?? ch.Before)!, names)
      .filter(Boolean)
      .join(" · ");
  const description = (
    <>
      {error ? null : !current ? (
        <StatusIndicator type="loading">{c.checking}</StatusIndicator>
      ) : problems > 0 ? (
        <StatusIndicator type="error">{c.problems(problems)}</StatusIndicator>
      ) : changes.length > 0 ? (
        c.atOnce
      ) : null}
    </>
  );
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={description}
          counter={changes.length ? `(${c.counter(count("added"), count("modified"), count("removed"))})` : ""}
        >
          {c.title}
        </Header>
      }
    >
      {error ? (
        <Alert type="warning" header={c.failed}>
          {messageOf(error)}
        </Alert>
      ) : changes.length === 0 ? (
        <Box color="text-body-secondary">{c.none}</Box>
      ) : (
        <Table
          variant="borderless"
          wrapLines
          items={changes}
          trackBy={(ch) => `${ch.Kind} ${ch.Row}`}
          ariaLabels={{ tableLabel: c.title }}
          columnDefinitions={[
            {
              id: "kind",
              header: c.kind,
              width: 120,
              isRowHeader: true,
              cell: (ch) => (
                <StatusIndicator
                  type={ch.Kind === "added" ? "success" : ch.Kind === "removed" ? "error" : "info"}
                  iconAriaLabel=""
                >
                  {c.kinds[ch.Kind ?? ""] ?? ch.Kind}
                </StatusIndicator>
              ),
            },
            {
              id: "before",
              header: c.before,
              minWidth: 220,
              cell: (ch) => (ch.Before ? <RuleText rule={ch.Before} other={ch.After} names={names} /> : "–"),
            },
            {
              id: "after",
              header: c.after,
              minWidth: 220,
              cell: (ch) => (ch.After ? <RuleText rule={ch.After} other={ch.Before} names={names} /> : "–"),
            },
            {
              id: "undo",
              header: c.undo,
              width: 110,
              cell: (ch) => (
                <Button
                  variant="inline-link"
                  formAction="none"
                  ariaLabel={c.undoOf(c.kinds[ch.Kind ?? ""] ?? "", what(ch))}
                  onClick={() => onUndo(ch)}
                >
                  {c.undo}
                </Button>
              ),
            },
          ]}
        />
      )}
    </Container>
  );
}
