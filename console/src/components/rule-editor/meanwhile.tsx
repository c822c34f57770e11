import { Alert, Box, Button, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { changesBy, type Seen } from "../../api/rule-edits";
import { useNamesIn } from "../../api/security-groups";
import { text } from "../../text/rule-editor";
import { RuleText } from "./changes";
import { meanwhile } from "./rows";

const m = text.meanwhile;

export interface MeanwhileAlertProps {
  groupId: string;
  /** What the editor began with, and what is there now. */
  seen: Seen;
  now: Seen;
  /** Ids of rules that are edited here. */
  edited: ReadonlySet<string>;
  onMerge: () => void;
  onDiscard: () => void;
}

/** MeanwhileAlert shows what others made of the rules since the editor was opened, and offers to go on. It is nothing as
 * long as nobody did anything. */
export function MeanwhileAlert({ groupId, seen, now, edited, onMerge, onDiscard }: MeanwhileAlertProps) {
  const changes = meanwhile(seen.rules, now.rules);
  const names = useNamesIn(changes.flatMap((c) => [c.before, c.after]).filter((r) => r !== undefined));
  const records = useQuery({
    ...changesBy(groupId, seen.revision, now.revision),
    enabled: changes.length > 0,
  });
  if (!changes.length) return null;
  const who = [...new Set((records.data ?? []).map((r) => r.UserName).filter(Boolean))].join(m.and);
  const touches = changes.some((c) => edited.has((c.before ?? c.after)?.SecurityGroupRuleId ?? ""));
  return (
    <Alert
      type={touches ? "warning" : "info"}
      header={m.title(who || m.somebody)}
      action={
        <SpaceBetween direction="horizontal" size="xs">
          <Button formAction="none" onClick={onDiscard}>
            {m.discard}
          </Button>
          <Button formAction="none" variant="primary" onClick={onMerge}>
            {m.merge}
          </Button>
        </SpaceBetween>
      }
    >
      <SpaceBetween size="xs">
        <Box>{touches ? m.yours : m.others}</Box>
        <ul className="rule-meanwhile">
          {changes.map(({ before, after }) => (
            <li key={(before ?? after)?.SecurityGroupRuleId}>
              {(before ?? after)?.SecurityGroupRuleId} {before && after ? m.modified : before ? m.removed : m.added}
              {": "}
              {before && (
                <>
                  {after && `${m.was} `}
                  <RuleText rule={before} other={after} names={names} />
                </>
              )}
              {before && after && `. ${m.now} `}
              {after && <RuleText rule={after} other={before} names={names} />}
            </li>
          ))}
        </ul>
      </SpaceBetween>
    </Alert>
  );
}
