import type { Vpc } from "@aws-sdk/client-ec2";
import {
  Alert,
  Container,
  FormField,
  Header,
  Input,
  SpaceBetween,
  type TagEditorProps,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { messageOf } from "../../api/errors";
import { queryClient } from "../../api/query";
import { usePreview } from "../../api/rule-edits";
import { call } from "../../api/sallyport";
import type { CreateSecurityGroupWithRulesRequest } from "../../api/sallyport_gen";
import { allVpcsQuery } from "../../api/network";
import { groupQuery, rulesQuery } from "../../api/security-groups";
import { useApplied } from "../../components/apply-status";
import { FormPage } from "../../components/form-page";
import { afterClick } from "../../components/rule-editor/after-click";
import { createCalls } from "../../components/rule-editor/calls";
import { RuleEditor } from "../../components/rule-editor/rule-editor";
import { copyOf, editOf, joined, newRow, untouched, world4, world6, type Row } from "../../components/rule-editor/rows";
import { told } from "../../components/rule-editor/told";
import { WorldAlert } from "../../components/rule-editor/world";
import { TagsEditor } from "../../components/tags-editor";
import { VpcSelect } from "../../components/vpc-select";
import { LoadingPage, Page } from "../../shell/page";
import { text } from "../../text/rule-editor";

const t = text.page;
const n = text.create;

/** What the form begins with. */
interface Beginning {
  title: string;
  name: string;
  description: string;
  vpcId?: string | undefined;
  inbound: Row[];
  /** Absent: what EC2 gives a new group. */
  outbound?: Row[] | undefined;
  tags: readonly TagEditorProps.Tag[];
}

const everything = (vpc: Vpc | undefined): Row[] => [
  { ...newRow(), type: "all", kind: "anywhere4", peers: [world4] },
  ...(vpc?.Ipv6CidrBlockAssociationSet?.length
    ? [{ ...newRow(), type: "all", kind: "anywhere6" as const, peers: [world6] }]
    : []),
];

/** The page #/CreateSecurityGroup. */
export default function CreateSecurityGroupPage() {
  const vpcs = useQuery(allVpcsQuery());
  if (vpcs.error) return <Failed title={n.title} error={vpcs.error} />;
  if (!vpcs.data) return <LoadingPage />;
  return <CreateForm vpcs={vpcs.data} from={{ title: n.title, name: "", description: "", inbound: [], tags: [] }} />;
}

/** The page #/CopySecurityGroup/sg-…: the same form, with what that group has. */
export function CopySecurityGroupPage() {
  const id = useParams().id!;
  const vpcs = useQuery(allVpcsQuery());
  const group = useQuery(groupQuery(id));
  const rules = useQuery(rulesQuery([id]));
  const failed = vpcs.error ?? group.error ?? rules.error;
  if (failed) return <Failed title={n.copy} error={failed} />;
  if (!vpcs.data || !group.data || !rules.data) return <LoadingPage />;
  const copied = (egress: boolean) => rules.data.filter((r) => r.IsEgress === egress).map((r) => copyOf(r, id));
  return (
    <CreateForm
      key={id}
      vpcs={vpcs.data}
      from={{
        title: n.copy,
        name: n.copyName(group.data.GroupName ?? ""),
        description: group.data.Description ?? "",
        vpcId: group.data.VpcId,
        inbound: copied(false),
        outbound: copied(true),
        tags: (group.data.Tags ?? [])
          .filter((tag) => tag.Key !== "Name" && !tag.Key?.startsWith("aws:"))
          .map((tag) => ({ key: tag.Key!, value: tag.Value ?? "", existing: false })),
      }}
    />
  );
}

type Detail = "GroupName" | "Description" | "VpcId";

function Failed({ title, error }: { title: string; error: Error }) {
  return (
    <Page title={title} breadcrumbs={[{ text: t.list, href: "#/SecurityGroups" }]}>
      <Alert type="error" header={t.loadFailed}>
        {messageOf(error)}
      </Alert>
    </Page>
  );
}

function CreateForm({ vpcs, from }: { vpcs: Vpc[]; from: Beginning }) {
  const navigate = useNavigate();
  const applied = useApplied();
  const [name, setName] = useState(from.name);
  const [description, setDescription] = useState(from.description);
  const [vpcId, setVpcId] = useState(from.vpcId ?? (vpcs.find((v) => v.IsDefault) ?? vpcs[0])?.VpcId ?? "");
  const vpc = vpcs.find((v) => v.VpcId === vpcId);
  const [inbound, setInbound] = useState(from.inbound);
  const [outbound, setOutbound] = useState(() => from.outbound ?? everything(vpc));
  const [ownOutbound, setOwnOutbound] = useState(from.outbound !== undefined);
  const [tags, setTags] = useState({ tags: from.tags, valid: true });
  const [touched, setTouched] = useState<Detail[]>(from.name ? ["GroupName", "Description"] : []);
  const [tried, setTried] = useState(false);
  const [refused, setRefused] = useState<{ error: unknown; request: string }>();

  const edit = joined(editOf(inbound, [], false), editOf(outbound, [], true));
  const named = tags.tags.filter((tag) => tag.key !== "");
  const request: CreateSecurityGroupWithRulesRequest = {
    GroupName: name,
    Description: description,
    VpcId: vpcId,
    AddRules: edit.AddRules,
    TagSpecifications: named.length
      ? [{ ResourceType: "security-group", Tags: named.map((tag) => ({ Key: tag.key, Value: tag.value })) }]
      : undefined,
  };
  const preview = usePreview(
    { request, edit, rows: untouched([...inbound, ...outbound]) },
    async (asked) => (await call("CreateSecurityGroupWithRules", { ...asked.request, Preview: true })).output,
    "CreateSecurityGroupWithRules",
  );
  const says = {
    inbound: told(preview.preview, preview.asked, inbound, tried),
    outbound: told(preview.preview, preview.asked, outbound, tried),
  };
  // Only of what stands there now: a line that comes and goes below a field moves the button that is about to be clicked.
  const about = (member: Detail) =>
    (tried || touched.includes(member)) && preview.asked?.request[member] === request[member]
      ? (says.inbound.whole.find((p) => p.Member === member)?.Message ?? "")
      : "";
  const rest = says.inbound.whole.filter((p) => !["GroupName", "Description", "VpcId"].includes(p.Member ?? ""));
  const touch = (member: Detail) => afterClick(() => setTouched((old) => [...old, member]));
  const dirty = name !== from.name || description !== from.description || inbound !== from.inbound;

  useEffect(() => {
    if (!dirty) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty]);

  async function save() {
    setTried(true);
    if (!tags.valid) return;
    try {
      const { output, revision } = await call("CreateSecurityGroupWithRules", request);
      void queryClient.invalidateQueries();
      applied(n.created(output.GroupId ?? "", name.trim()), revision, { securityGroupIds: [output.GroupId!] });
      void navigate(`/SecurityGroups/${output.GroupId}`);
    } catch (error) {
      setRefused({ error, request: JSON.stringify(request) });
      await preview.again();
    }
  }

  // What a field shows already need not be said twice.
  const shown =
    (["GroupName", "Description", "VpcId"] as const).some((m) => about(m)) ||
    says.inbound.problems + says.outbound.problems > 0;
  const wrong = refused?.request === JSON.stringify(request) && !shown ? refused.error : undefined;
  const message =
    rest.map((p) => `${p.Message} (${p.Code})`).join(" ") ||
    (preview.error && messageOf(preview.error)) ||
    (wrong !== undefined && messageOf(wrong));
  return (
    <FormPage
      title={from.title}
      description={n.about}
      wide
      list={{ text: t.list, href: "#/SecurityGroups" }}
      submit={n.submit}
      onSubmit={save}
      error={message}
      calls={createCalls(request, vpc)}
    >
      <Container header={<Header variant="h2">{n.details}</Header>}>
        <SpaceBetween size="l">
          <FormField label={n.name} constraintText={n.nameHint} errorText={about("GroupName")}>
            <Input value={name} onChange={(e) => setName(e.detail.value)} onBlur={() => name && touch("GroupName")} />
          </FormField>
          <FormField label={n.description} constraintText={n.descriptionHint} errorText={about("Description")}>
            <Input
              value={description}
              onChange={(e) => setDescription(e.detail.value)}
              onBlur={() => description && touch("Description")}
            />
          </FormField>
          <FormField label={n.vpc} errorText={about("VpcId")}>
            <VpcSelect
              vpcId={vpcId}
              placeholder={n.vpcNone}
              onChange={(chosen) => {
                setVpcId(chosen);
                if (!ownOutbound) setOutbound(everything(vpcs.find((v) => v.VpcId === chosen)));
              }}
            />
          </FormField>
        </SpaceBetween>
      </Container>
      <Container
        header={
          <Header variant="h2" counter={`(${inbound.length})`}>
            {t.inbound}
          </Header>
        }
      >
        <SpaceBetween size="l">
          <RuleEditor
            rows={inbound}
            onChange={setInbound}
            egress={false}
            vpcId={vpcId}
            told={says.inbound}
            offerSelf
            empty={n.inboundEmpty}
          />
          <WorldAlert told={says.inbound} egress={false} />
        </SpaceBetween>
      </Container>
      <Container
        header={
          <Header variant="h2" counter={`(${outbound.length})`}>
            {t.outbound}
          </Header>
        }
      >
        <SpaceBetween size="l">
          <RuleEditor
            rows={outbound}
            onChange={(change) => {
              setOwnOutbound(true);
              setOutbound(change);
            }}
            egress
            vpcId={vpcId}
            told={says.outbound}
            offerSelf
          />
          <WorldAlert told={says.outbound} egress />
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t.tags}</Header>}>
        <TagsEditor tags={tags.tags} onChange={(list, valid) => setTags({ tags: list, valid })} />
      </Container>
    </FormPage>
  );
}
