import type { SecurityGroup } from "@aws-sdk/client-ec2";
import { Alert, Container, Header, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { messageOf } from "../../api/errors";
import { queryClient } from "../../api/query";
import { seenQuery, usePreview, type Seen } from "../../api/rule-edits";
import { call } from "../../api/sallyport";
import type { SecurityGroupRuleChange } from "../../api/sallyport_gen";
import { groupQuery } from "../../api/security-groups";
import { useApplied } from "../../components/apply-status";
import { FormPage } from "../../components/form-page";
import { proposedRules } from "../../components/proposed-rule";
import { editCalls } from "../../components/rule-editor/calls";
import { RuleChanges } from "../../components/rule-editor/changes";
import { MeanwhileAlert } from "../../components/rule-editor/meanwhile";
import { RuleEditor } from "../../components/rule-editor/rule-editor";
import {
  editOf,
  isEmpty,
  newRowOf,
  partsOf,
  rebase,
  rowOf,
  untouched,
  type Row,
} from "../../components/rule-editor/rows";
import { told } from "../../components/rule-editor/told";
import { WorldAlert } from "../../components/rule-editor/world";
import { LoadingPage, Page } from "../../shell/page";
import { text } from "../../text/rule-editor";

const t = text.page;
const lookAgain = 5_000; // ms: has somebody else changed the group?

export function EditInboundRulesPage() {
  return <EditRulesPage egress={false} />;
}

export function EditOutboundRulesPage() {
  return <EditRulesPage egress />;
}

function EditRulesPage({ egress }: { egress: boolean }) {
  const id = useParams().id!;
  const group = useQuery(groupQuery(id));
  const now = useQuery({ ...seenQuery(id, egress), staleTime: 0, refetchInterval: lookAgain });
  const title = egress ? t.editOutbound : t.editInbound;
  if (group.data && now.data && now.isFetchedAfterMount) {
    return <Editor key={`${id} ${egress}`} group={group.data} egress={egress} now={now.data} look={now.refetch} />;
  }
  const error = group.error ?? now.error;
  if (!error) return <LoadingPage />;
  return (
    <Page title={title} breadcrumbs={[{ text: t.list, href: "#/SecurityGroups" }]}>
      <Alert type="error" header={t.loadFailed}>
        {messageOf(error)}
      </Alert>
    </Page>
  );
}

interface EditorProps {
  group: SecurityGroup;
  egress: boolean;
  /** What is there now, asked for again and again. */
  now: Seen;
  look: () => Promise<unknown>;
}

function Editor({ group, egress, now, look }: EditorProps) {
  const id = group.GroupId!;
  const navigate = useNavigate();
  const applied = useApplied();
  const [seen, setSeen] = useState(now);
  const [params] = useSearchParams();
  const [rows, setRows] = useState<Row[]>(() => [
    ...now.rules.map((r) => rowOf(r)),
    ...proposedRules(params).map((r) => newRowOf(r)),
  ]);
  const [tried, setTried] = useState(false);
  const [refused, setRefused] = useState<{ error: unknown; edit: string }>();

  const edit = editOf(rows, seen.rules, egress);
  const request = partsOf(edit);
  const preview = usePreview(
    { edit, rows: untouched(rows), Revision: seen.revision },
    async ({ edit, Revision }) =>
      (await call("EditSecurityGroupRules", { GroupId: id, Revision, ...partsOf(edit), Preview: true })).output,
    `EditSecurityGroupRules ${id}`,
  );
  const says = told(preview.preview, preview.asked, rows, tried);
  const dirty = !isEmpty(edit);
  const edited = new Set([...edit.RemoveRuleIds, ...edit.ModifyRules.map((m) => m.SecurityGroupRuleId)]);

  // A page that is closed by mistake asks first.
  useEffect(() => {
    if (!dirty) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty]);

  const back = () => void navigate(`/SecurityGroups/${id}`);

  async function save() {
    if (!dirty) return back();
    setTried(true);
    try {
      const { revision } = await call("EditSecurityGroupRules", { GroupId: id, Revision: seen.revision, ...request });
      void queryClient.invalidateQueries();
      applied(t.saved(id, egress), revision, { securityGroupIds: [id] });
      back();
    } catch (error) {
      setRefused({ error, edit: JSON.stringify(request) });
      await Promise.all([look(), preview.again()]);
    }
  }

  function undo(change: SecurityGroupRuleChange) {
    const place = preview.asked?.edit.places[change.Row ?? ""];
    setRows((old) => {
      if (!place) {
        const rule = seen.rules.find((r) => r.SecurityGroupRuleId === change.Before?.SecurityGroupRuleId);
        if (!rule) return old;
        const at = seen.rules.indexOf(rule);
        const next = old.findIndex((r) => !r.rule || seen.rules.indexOf(r.rule) > at);
        return next < 0 ? [...old, rowOf(rule)] : old.toSpliced(next, 0, rowOf(rule));
      }
      return old.flatMap((row) => {
        if (row.key !== place.key) return [row];
        if (change.Kind !== "added") return row.rule ? [rowOf(row.rule, row.key)] : [row];
        const peers = row.peers.filter((p) => p !== place.peer);
        return row.rule || peers.length ? [{ ...row, kind: "custom" as const, peers, typing: "" }] : [];
      });
    });
  }

  const title = egress ? t.editOutbound : t.editInbound;
  const wrong = refused?.edit === JSON.stringify(request) ? refused.error : undefined;
  // What stands beside a row need not be said twice.
  const message =
    says.whole.map((p) => `${p.Message} (${p.Code})`).join(" ") ||
    (wrong !== undefined && says.problems === 0 && messageOf(wrong));
  return (
    <FormPage
      title={title}
      description={egress ? t.aboutOutbound : t.aboutInbound}
      wide
      list={{ text: t.list, href: "#/SecurityGroups" }}
      trail={[{ text: `${id} - ${group.GroupName}`, href: `#/SecurityGroups/${id}` }]}
      submit={t.save}
      onSubmit={save}
      cancelPath={`/SecurityGroups/${id}`}
      error={message}
      calls={editCalls(id, edit, egress)}
    >
      <MeanwhileAlert
        groupId={id}
        seen={seen}
        now={now}
        edited={edited}
        onMerge={() => {
          setRows((old) => rebase(old, seen.rules, now.rules));
          setSeen(now);
          setRefused(undefined);
        }}
        onDiscard={() => {
          setRows(now.rules.map((r) => rowOf(r)));
          setSeen(now);
          setRefused(undefined);
          setTried(false);
        }}
      />
      <Container
        header={
          <Header variant="h2" counter={`(${rows.length})`}>
            {egress ? t.outbound : t.inbound}
          </Header>
        }
      >
        <SpaceBetween size="l">
          <RuleEditor rows={rows} onChange={setRows} egress={egress} vpcId={group.VpcId ?? ""} told={says} />
          <WorldAlert told={says} egress={egress} />
        </SpaceBetween>
      </Container>
      <RuleChanges
        changes={preview.preview?.Changes ?? []}
        problems={says.problems}
        current={preview.current}
        error={preview.error}
        onUndo={undo}
      />
    </FormPage>
  );
}
