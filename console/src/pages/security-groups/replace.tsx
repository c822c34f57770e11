import {
  DeleteSecurityGroupCommand,
  DisassociateSecurityGroupVpcCommand,
  GetSecurityGroupsForVpcCommand,
  RevokeSecurityGroupIngressCommand,
  type SecurityGroup,
} from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  Checkbox,
  Container,
  FormField,
  Header,
  Link,
  Select,
  SpaceBetween,
  StatusIndicator,
  Table,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { query, send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { call, further } from "../../api/sallyport";
import type {
  ReplaceSecurityGroupResult,
  SecurityGroupUseInterface,
  SecurityGroupUseRule,
  SecurityGroupUses,
} from "../../api/sallyport_gen";
import { forgetGroups, groupQuery, revokeCalls, usesQuery } from "../../api/security-groups";
import { useApplied } from "../../components/apply-status";
import { portText, protocolText, typeOf } from "../../components/rule-types";
import { ShowAsCode } from "../../components/show-as-code";
import { useNotify } from "../../shell/notifications";
import { Page } from "../../shell/page";
import { text as ruleText } from "../../text/rules";
import { text } from "../../text/security-groups";
import {
  associated,
  codeOf,
  removedRules,
  replacement,
  ruleId,
  startingChoice,
  type Choice,
  type Fate,
} from "./replacement";
import { interfaceColumns, Named } from "./uses";

const t = text.replace;

export default function ReplaceGroupPage() {
  const { id = "" } = useParams();
  const [search] = useSearchParams();
  const group = useQuery(groupQuery(id));
  const uses = useQuery({ ...usesQuery([id]), staleTime: 0 });
  const name = group.data?.GroupName ?? id;
  const error = group.error ?? uses.error;
  return (
    <Page
      title={t.title(name)}
      breadcrumbs={[
        { text: text.title, href: "#/SecurityGroups" },
        { text: group.data ? `${id} - ${name}` : id, href: `#/SecurityGroups/${id}` },
        { text: t.crumb, href: `#/SecurityGroups/${id}/replace` },
      ]}
    >
      {error ? (
        <SpaceBetween size="l">
          <Header variant="h1">{t.title(id)}</Header>
          <Alert type="error" header={text.detail.gone}>
            {messageOf(error)}
          </Alert>
        </SpaceBetween>
      ) : group.data && uses.data?.[0] ? (
        // What uses it may change meanwhile: the form begins anew then, and only then.
        <ReplaceForm
          key={JSON.stringify(uses.data[0])}
          group={group.data}
          uses={uses.data[0]}
          thenDelete={search.get("then") === "delete"}
        />
      ) : (
        <StatusIndicator type="loading">{text.uses.loading}</StatusIndicator>
      )}
    </Page>
  );
}

function ReplaceForm({
  group,
  uses,
  thenDelete,
}: {
  group: SecurityGroup;
  uses: SecurityGroupUses;
  thenDelete: boolean;
}) {
  const name = group.GroupName ?? "";
  const isDefault = uses.Blockers.some((b) => b.Type === "default-group");
  const notify = useNotify();
  const applied = useApplied();
  const navigate = useNavigate();
  const [choice, setChoice] = useState(() => startingChoice(uses, thenDelete && !isDefault));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<{ message: string; partly: boolean }>();
  const change = (part: Partial<Choice>) => setChoice((old) => ({ ...old, ...part }));
  const request = replacement(uses, choice);
  const removed = removedRules(uses, choice);
  const preview = useQuery({
    ...further("ReplaceSecurityGroup", { ...request!, Preview: true }),
    enabled: request !== undefined,
    staleTime: 0,
  });
  const candidates = useQuery(replacementsFor(group)).data?.SecurityGroupForVpcs ?? [];
  const byName = candidates.find((g) => g.GroupId === choice.by)?.GroupName ?? choice.by ?? "";
  const problems = (request && preview.data?.Problems) ?? [];
  const does = request !== undefined || removed.length > 0 || choice.ended.length > 0 || choice.thenDelete;

  async function save() {
    setBusy(true);
    setError(undefined);
    let done = false;
    const gone: string[] = [];
    try {
      for (const command of revokeCalls(removed.map((u) => u.Rule!))) {
        await (command instanceof RevokeSecurityGroupIngressCommand ? send(command) : send(command));
        done = true;
      }
      if (request) {
        const { output, revision } = await call("ReplaceSecurityGroup", request);
        done = true;
        applied(t.done(output.NetworkInterfaces.length, output.SecurityGroupRules.length), revision, {
          securityGroupIds: [request.ReplacementGroupId],
        });
      }
      for (const VpcId of choice.ended) {
        await send(new DisassociateSecurityGroupVpcCommand({ GroupId: group.GroupId, VpcId }));
        done = true;
      }
      if (choice.thenDelete) {
        await send(new DeleteSecurityGroupCommand({ GroupId: group.GroupId }));
        notify({ type: "success", content: text.delete.deleted([name]) });
        gone.push(group.GroupId!);
      }
      await navigate(choice.thenDelete ? "/SecurityGroups" : `/SecurityGroups/${group.GroupId}?tab=used-by`);
    } catch (e) {
      setError({ message: messageOf(e), partly: done });
      setBusy(false);
    }
    await forgetGroups(gone);
  }

  return (
    <SpaceBetween size="l">
      <Header variant="h1" description={t.about}>
        {t.title(name)}
      </Header>
      <ReplacementField group={group} chosen={choice.by} onChange={(by) => change({ by })} />
      <Table<SecurityGroupUseInterface>
        items={uses.NetworkInterfaces}
        trackBy="NetworkInterfaceId"
        columnDefinitions={interfaceColumns}
        resizableColumns
        selectionType="multi"
        selectedItems={choice.interfaces}
        onSelectionChange={(e) => change({ interfaces: e.detail.selectedItems })}
        ariaLabels={{
          tableLabel: t.interfaces,
          selectionGroupLabel: t.interfaces,
          allItemsSelectionLabel: () => t.interfaces,
          itemSelectionLabel: (_, i) => text.select(i.NetworkInterfaceId ?? ""),
        }}
        header={
          <Header
            variant="h2"
            counter={`(${choice.interfaces.length}/${(uses.NetworkInterfaceCount ?? 0).toLocaleString("en")})`}
            {...((uses.NetworkInterfaceCount ?? 0) > uses.NetworkInterfaces.length
              ? { description: t.all(uses.NetworkInterfaceCount ?? 0) }
              : {})}
          >
            {t.interfaces}
          </Header>
        }
        empty={text.uses.interfaces.none}
      />
      <RulesTable uses={uses} fates={choice.fates} onChange={(fates) => change({ fates })} />
      {associated(uses).length > 0 && (
        <Container header={<Header variant="h2">{t.associations}</Header>}>
          {associated(uses).map((vpc) => (
            <Checkbox
              key={vpc}
              checked={choice.ended.includes(vpc)}
              onChange={(e) =>
                change({ ended: e.detail.checked ? [...choice.ended, vpc] : choice.ended.filter((v) => v !== vpc) })
              }
            >
              {t.end(vpc)}
            </Checkbox>
          ))}
        </Container>
      )}
      <Container
        header={
          <Header variant="h2" description={t.changesAbout}>
            {t.changes}
          </Header>
        }
      >
        <SpaceBetween size="m">
          {request ? (
            <>
              {preview.error && <Alert type="error">{messageOf(preview.error)}</Alert>}
              {problems.map((p) => (
                <Alert
                  key={`${p.NetworkInterfaceId} ${p.SecurityGroupRuleId}`}
                  type="error"
                  header={`${t.problems}: ${p.NetworkInterfaceId ?? p.SecurityGroupRuleId}`}
                  action={
                    p.SecurityGroupRuleId &&
                    p.Code === "InvalidPermission.Duplicate" && (
                      <Button
                        onClick={() => change({ fates: { ...choice.fates, [p.SecurityGroupRuleId!]: "remove" } })}
                      >
                        {t.removeInstead}
                      </Button>
                    )
                  }
                >
                  {p.Message} ({p.Code})
                </Alert>
              ))}
              {preview.data && <Changes changes={preview.data} uses={uses} byName={byName} />}
            </>
          ) : (
            !removed.length && <Box color="text-body-secondary">{t.nothing}</Box>
          )}
          {removed.map((u) => (
            <div key={ruleId(u)}>
              <Named page="SecurityGroups" id={u.Rule?.GroupId} name={u.GroupName} />, {ruleSentence(u)}:{" "}
              <StatusIndicator type="warning">{t.deleted}</StatusIndicator>
            </div>
          ))}
          {!isDefault && (
            <Checkbox
              checked={choice.thenDelete}
              description={t.afterAbout(name)}
              onChange={(e) => change({ thenDelete: e.detail.checked })}
            >
              {t.after}
            </Checkbox>
          )}
        </SpaceBetween>
      </Container>
      <ShowAsCode calls={codeOf(uses, choice, request && preview.data)} />
      {error && (
        <Alert type="error" header={error.partly ? t.partly : t.failed}>
          {error.message}
        </Alert>
      )}
      <Box float="right">
        <SpaceBetween direction="horizontal" size="xs">
          <Button variant="link" onClick={() => void navigate(`/SecurityGroups/${group.GroupId}`)}>
            {t.cancel}
          </Button>
          <Button
            variant="primary"
            loading={busy}
            loadingText={t.saving}
            disabled={!does || problems.length > 0 || (request !== undefined && !preview.data)}
            onClick={() => void save()}
          >
            {!choice.thenDelete ? t.save : request || removed.length ? t.saveAndDelete : t.deleteOnly}
          </Button>
        </SpaceBetween>
      </Box>
    </SpaceBetween>
  );
}

const replacementsFor = (group: SecurityGroup) => query(new GetSecurityGroupsForVpcCommand({ VpcId: group.VpcId }));

function ReplacementField(props: {
  group: SecurityGroup;
  chosen: string | undefined;
  onChange: (id: string | undefined) => void;
}) {
  const groups = useQuery(replacementsFor(props.group));
  const options = (groups.data?.SecurityGroupForVpcs ?? [])
    .filter((g) => g.GroupId !== props.group.GroupId)
    .map((g) => ({ value: g.GroupId!, label: `${g.GroupId} / ${g.GroupName}`, description: g.Description ?? "" }));
  return (
    <Container>
      <FormField label={t.by} description={t.byAbout}>
        <Select
          selectedOption={options.find((o) => o.value === props.chosen) ?? null}
          options={options}
          placeholder={t.choose}
          filteringType="auto"
          filteringPlaceholder={t.find}
          filteringAriaLabel={t.find}
          virtualScroll={options.length > 100}
          statusType={groups.isPending ? "loading" : groups.error ? "error" : "finished"}
          {...(groups.error ? { errorText: messageOf(groups.error) } : {})}
          empty={t.noGroups}
          onChange={(e) => props.onChange(e.detail.selectedOption.value)}
        />
      </FormField>
    </Container>
  );
}

const ruleSentence = ({ Rule: r = { Tags: [] } }: SecurityGroupUseRule) =>
  [
    r.IsEgress ? text.uses.rules.outbound : text.uses.rules.inbound,
    typeOf(r).label,
    protocolText(r),
    portText(r),
    r.Description,
  ]
    .filter(Boolean)
    .join(", ");

function RulesTable(props: {
  uses: SecurityGroupUses;
  fates: Record<string, Fate>;
  onChange: (fates: Record<string, Fate>) => void;
}) {
  const options = [
    { value: "replace", label: t.replace },
    { value: "remove", label: t.remove },
    { value: "keep", label: t.keep },
  ];
  return (
    <Table<SecurityGroupUseRule>
      items={props.uses.Rules}
      trackBy={ruleId}
      resizableColumns
      ariaLabels={{ tableLabel: t.rules }}
      columnDefinitions={[
        {
          id: "group",
          header: text.uses.rules.group,
          cell: (u) => <Named page="SecurityGroups" id={u.Rule?.GroupId} name={u.GroupName} />,
          isRowHeader: true,
          minWidth: 260,
        },
        {
          id: "what",
          header: t.what,
          cell: (u) => (
            <Select
              selectedOption={options.find((o) => o.value === props.fates[ruleId(u)]) ?? null}
              options={options}
              ariaLabel={t.whatWith(ruleId(u))}
              expandToViewport
              onChange={(e) => props.onChange({ ...props.fates, [ruleId(u)]: e.detail.selectedOption.value as Fate })}
            />
          ),
          minWidth: 200,
        },
        {
          id: "direction",
          header: text.uses.rules.direction,
          cell: (u) => (u.Rule?.IsEgress ? text.uses.rules.outbound : text.uses.rules.inbound),
          minWidth: 100,
        },
        { id: "type", header: ruleText.type, cell: (u) => typeOf(u.Rule ?? {}).label, minWidth: 120 },
        { id: "protocol", header: ruleText.protocol, cell: (u) => protocolText(u.Rule ?? {}), minWidth: 100 },
        { id: "ports", header: ruleText.ports, cell: (u) => portText(u.Rule ?? {}), minWidth: 110 },
        { id: "description", header: ruleText.description, cell: (u) => u.Rule?.Description ?? "–", minWidth: 150 },
      ]}
      header={
        <Header
          variant="h2"
          counter={`(${(props.uses.RuleCount ?? 0).toLocaleString("en")})`}
          description={t.rulesAbout}
        >
          {t.rules}
        </Header>
      }
      empty={text.uses.rules.none}
    />
  );
}

/** Changes shows what the server would do. */
function Changes(props: {
  changes: ReplaceSecurityGroupResult;
  uses: SecurityGroupUses;
  /** Of the replacement. */
  byName: string;
}) {
  const { changes, uses, byName } = props;
  const shown = 50;
  const names = new Map(uses.NetworkInterfaces.flatMap((i) => i.Groups.map((g) => [g.GroupId, g.GroupName] as const)));
  names.set(uses.GroupId, uses.GroupName);
  const named = (id: string | undefined) => names.get(id) ?? (id === undefined ? "–" : byName);
  const groupOf = (id: string | undefined) => uses.Rules.find((u) => ruleId(u) === id);
  return (
    <SpaceBetween size="m">
      {changes.NetworkInterfaces.length > 0 && (
        <Table
          variant="embedded"
          items={changes.NetworkInterfaces.slice(0, shown)}
          trackBy="NetworkInterfaceId"
          ariaLabels={{ tableLabel: t.interfaceChange }}
          columnDefinitions={[
            {
              id: "id",
              header: t.interfaceChange,
              cell: (i) => <Link href={`#/NetworkInterfaces/${i.NetworkInterfaceId}`}>{i.NetworkInterfaceId}</Link>,
              isRowHeader: true,
            },
            { id: "before", header: t.before, cell: (i) => i.GroupIds.map(named).join(", ") },
            { id: "after", header: t.afterwards, cell: (i) => i.NewGroupIds.map(named).join(", ") },
          ]}
          footer={changes.NetworkInterfaces.length > shown && text.uses.more(changes.NetworkInterfaces.length - shown)}
        />
      )}
      {changes.SecurityGroupRules.length > 0 && (
        <Table
          variant="embedded"
          items={changes.SecurityGroupRules.slice(0, shown)}
          trackBy={(r) => r.Before?.SecurityGroupRuleId ?? ""}
          ariaLabels={{ tableLabel: t.ruleChange }}
          columnDefinitions={[
            {
              id: "rule",
              header: t.ruleChange,
              cell: (r) => {
                const use = groupOf(r.Before?.SecurityGroupRuleId);
                return (
                  <>
                    <Named page="SecurityGroups" id={r.Before?.GroupId} name={use?.GroupName} />
                    {use && `, ${ruleSentence(use)}`}
                  </>
                );
              },
              isRowHeader: true,
            },
            { id: "before", header: t.before, cell: (r) => named(r.Before?.ReferencedGroupInfo?.GroupId) },
            { id: "after", header: t.afterwards, cell: (r) => named(r.After?.ReferencedGroupInfo?.GroupId) },
          ]}
          footer={
            changes.SecurityGroupRules.length > shown && text.uses.more(changes.SecurityGroupRules.length - shown)
          }
        />
      )}
    </SpaceBetween>
  );
}
