import { DeleteSecurityGroupCommand, type SecurityGroup } from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  FormField,
  Input,
  Link,
  Modal,
  SpaceBetween,
  StatusIndicator,
  Table,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import type { SecurityGroupUses } from "../../api/sallyport_gen";
import { forgetGroups, usesQuery } from "../../api/security-groups";
import { codeCall, ShowAsCode } from "../../components/show-as-code";
import { useNotify } from "../../shell/notifications";
import { text } from "../../text/security-groups";
import { BlockerLinks, blockerText, Named, Refusal } from "./uses";

const t = text.delete;

/** goesAfter reports whether only rules of groups that are deleted, too, keep a group: then it can go after them. */
export function goesAfter(uses: SecurityGroupUses, all: SecurityGroupUses[]): boolean {
  const free = new Set(all.filter((u) => u.Deletable).map((u) => u.GroupId));
  return (
    !uses.Deletable &&
    uses.Blockers.every((b) => b.Type === "security-group-rule" && b.Count === b.ResourceIds.length) &&
    uses.Rules.filter((r) => r.Blocks).every((r) => free.has(r.Rule?.GroupId))
  );
}

const listed = 100; // uses of one group: more than are shown

interface Props {
  groups: SecurityGroup[];
  /** gone are the ids of those that were deleted. */
  onClose: (gone: string[]) => void;
}

/** DeleteGroups asks what stands in the way of deleting groups, says it, and deletes those that nothing keeps. */
export function DeleteGroups({ groups, onClose }: Props) {
  const notify = useNotify();
  const [gone, setGone] = useState<string[]>([]);
  const ids = useMemo(() => groups.map((g) => g.GroupId!).filter((id) => !gone.includes(id)), [groups, gone]);
  const answer = useQuery({ ...usesQuery(ids, listed), staleTime: 0, enabled: ids.length > 0 });
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState<{ name: string; message: string }[]>([]);
  const all = answer.data ?? [];
  const first = all.filter((u) => u.Deletable);
  const after = all.filter((u) => goesAfter(u, all));
  const doomed = [...first, ...after];
  const confirmed = groups.length === 1 || typed.trim().toLowerCase() === t.word;

  async function run() {
    setBusy(true);
    const done: SecurityGroupUses[] = [];
    const failed: { name: string; message: string }[] = [];
    for (const u of doomed) {
      try {
        await send(new DeleteSecurityGroupCommand({ GroupId: u.GroupId }));
        done.push(u);
      } catch (e) {
        failed.push({ name: u.GroupName ?? u.GroupId ?? "", message: messageOf(e) });
      }
    }
    if (done.length) notify({ type: "success", content: t.deleted(done.map((u) => u.GroupName ?? "")) });
    const all = [...gone, ...done.map((u) => u.GroupId!)];
    setGone(all);
    setErrors(failed);
    setBusy(false);
    if (!failed.length) onClose(all);
    await forgetGroups(all);
  }

  return (
    <Modal
      visible
      size="large"
      header={t.title(groups.length)}
      closeAriaLabel={text.close}
      onDismiss={() => onClose(gone)}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={() => onClose(gone)}>
              {t.cancel}
            </Button>
            <Button
              variant="primary"
              loading={busy}
              loadingText={t.deleting}
              disabled={!doomed.length || !confirmed}
              onClick={() => void run()}
            >
              {doomed.length && doomed.length < all.length ? t.confirmSome(doomed.length) : t.confirm}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {errors.map((e) => (
          <Alert key={e.name} type="error" header={t.failed(e.name)}>
            {e.message}
          </Alert>
        ))}
        {answer.error && <Alert type="error">{messageOf(answer.error)}</Alert>}
        {answer.isSuccess && (
          <Alert type={doomed.length ? "warning" : "info"}>
            {doomed.length ? `${t.allowed(doomed.length, all.length)} ${t.permanent}` : t.none(all.length)}
          </Alert>
        )}
        <Table<SecurityGroupUses>
          variant="embedded"
          items={all}
          trackBy="GroupId"
          wrapLines
          loading={answer.isPending && ids.length > 0}
          loadingText={t.checking}
          ariaLabels={{ tableLabel: t.title(groups.length) }}
          columnDefinitions={[
            {
              id: "group",
              header: t.group,
              cell: (u) => (
                <SpaceBetween size="xxs">
                  <Named page="SecurityGroups" id={u.GroupId} name={u.GroupName} />
                  {u.Deletable || after.includes(u) ? (
                    <StatusIndicator type="success">{u.Deletable ? t.yes : t.later}</StatusIndicator>
                  ) : (
                    <StatusIndicator type="error">{t.no}</StatusIndicator>
                  )}
                </SpaceBetween>
              ),
              isRowHeader: true,
              verticalAlign: "top",
            },
            {
              id: "why",
              header: t.why,
              cell: (u) => <Why uses={u} stays={!doomed.includes(u)} onLeave={() => onClose(gone)} />,
              verticalAlign: "top",
            },
          ]}
        />
        {doomed.length > 0 && (
          <ShowAsCode calls={doomed.map((u) => codeCall(new DeleteSecurityGroupCommand({ GroupId: u.GroupId })))} />
        )}
        {groups.length > 1 && doomed.length > 0 && (
          <FormField label={t.type(t.word)}>
            <Input value={typed} placeholder={t.word} autoComplete={false} onChange={(e) => setTyped(e.detail.value)} />
          </FormField>
        )}
      </SpaceBetween>
    </Modal>
  );
}

/** stays: it cannot be deleted now. */
function Why({ uses, stays, onLeave }: { uses: SecurityGroupUses; stays: boolean; onLeave: () => void }) {
  if (uses.Deletable) return <>–</>;
  const isDefault = uses.Blockers.some((b) => b.Type === "default-group");
  return (
    <SpaceBetween size="xxs">
      {uses.Blockers.map((b) => (
        <div key={b.Type}>
          {blockerText(b)}
          {b.ResourceIds.length > 0 && ": "}
          <BlockerLinks blocker={b} uses={uses} />
        </div>
      ))}
      {stays && <Refusal uses={uses} />}
      {stays && !isDefault && (
        <Link
          href={`#/SecurityGroups/${uses.GroupId}/replace?then=delete`}
          ariaLabel={t.resolveLabel(uses.GroupName ?? "")}
          onFollow={onLeave}
        >
          {t.resolve}
        </Link>
      )}
    </SpaceBetween>
  );
}
