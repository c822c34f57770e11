import {
  DescribeSecurityGroupsCommand,
  type DescribeSecurityGroupsResult,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  Container,
  ContentLayout,
  ExpandableSection,
  FormField,
  Grid,
  Header,
  Input,
  KeyValuePairs,
  SpaceBetween,
  StatusIndicator,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { messageOf, refusal, Refusal } from "../../api/errors";
import { query, send } from "../../api/ec2";
import { useLab } from "../../api/instances";
import { queryClient } from "../../api/query";
import { call, further } from "../../api/sallyport";
import { ShowAsCode } from "../../components/show-as-code";
import { TagsEditor } from "../../components/tags-editor";
import { useBack } from "../../shell/back";
import { useNotify } from "../../shell/notifications";
import { Page } from "../../shell/page";
import { text as instances } from "../../text/instances";
import { text } from "../../text/launch-instance";
import { whyNotLaunch } from "./lab";
import { Firewall } from "./launch-firewall";
import {
  codeCalls,
  countOf,
  emptyForm,
  groupRequest,
  partOf,
  runInput,
  services,
  type LaunchForm,
} from "./launch-form";
import { Network, useSubnets } from "./launch-network";
import { UserData } from "./launch-user-data";
import { Progress } from "./progress";

export default function LaunchInstancePage() {
  const lab = useLab();
  const why = lab.data && whyNotLaunch(lab.data);
  const { data: groupName } = useQuery(groupNameQuery);
  return (
    <Page
      title={text.title}
      contentType="form"
      breadcrumbs={[
        { text: instances.title, href: "#/Instances" },
        { text: text.title, href: "#/LaunchInstance" },
      ]}
    >
      <ContentLayout
        header={
          <Header variant="h1" description={text.description}>
            {text.title}
          </Header>
        }
      >
        {why ? (
          <Alert type="warning" header={text.cannot}>
            {why}
          </Alert>
        ) : (
          lab.data?.imageId && groupName && <Launch imageId={lab.data.imageId} groupName={groupName} />
        )}
        {lab.error && <Alert type="error">{messageOf(lab.error)}</Alert>}
      </ContentLayout>
    </Page>
  );
}

function Launch({ imageId, groupName }: { imageId: string; groupName: string }) {
  const navigate = useNavigate();
  const back = useBack("/Instances");
  const notify = useNotify();
  const [form, setForm] = useState<LaunchForm>({ ...emptyForm, groupName });
  const [touched, setTouched] = useState(false);
  const change = (part: Partial<LaunchForm>) => setForm((old) => ({ ...old, ...part }));
  const edit = (part: Partial<LaunchForm>) => {
    setTouched(true);
    setError(undefined);
    change(part);
  };
  const [tagsValid, setTagsValid] = useState(true);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [made, setMade] = useState<string>(); // the new group, when the rest was refused
  const token = useRef(crypto.randomUUID());
  const { vpc, subnet } = useSubnets(form, change);
  const caller = useQuery(further("DescribeCallerAddress", {})).data;
  const mine = [
    ...(caller?.Ipv4Address ? [`${caller.Ipv4Address}/32`] : []),
    ...(caller?.Ipv6Address ? [`${caller.Ipv6Address}/128`] : []),
  ];
  const count = countOf(form);
  const groupIds = form.firewall === "existing" ? form.groups.map((g) => g.id) : [];
  const needsMine =
    form.firewall === "create" && services.some((s) => form.sources[s].allowed && form.sources[s].kind === "mine");
  const complete =
    count !== undefined &&
    tagsValid &&
    (form.firewall === "create" ? form.groupName !== "" : form.groups.length > 0) &&
    !(needsMine && mine.length === 0);
  const check = useCheck(form, imageId, groupIds, mine, complete && touched);
  const shown = error ?? check.error;
  const refused = refusal(shown);
  const part = refused && partOf(refused);
  const errorOf = (of: typeof part) => (refused && part === of ? messageOf(refused) : undefined);

  const launch = async () => {
    setBusy(true);
    setError(undefined);
    let ids = groupIds;
    try {
      if (form.firewall === "create") {
        const { output } = await call("CreateSecurityGroupWithRules", groupRequest(form, mine));
        ids = [output.GroupId!];
      }
      const input = { ...runInput(form, imageId, ids), ClientToken: token.current };
      const { output } = await send(new RunInstancesCommand(input));
      const launched = (output.Instances ?? []).map((i) => i.InstanceId!);
      notify({
        type: "success",
        header: text.launched(launched),
        content: <Progress ids={launched} to="running" since={Date.now()} />,
      });
      await navigate("/Instances");
    } catch (e) {
      token.current = crypto.randomUUID();
      setError(e);
      setBusy(false);
      if (form.firewall === "create" && ids[0]) {
        // A second try takes the group that there is now.
        setMade(text.firewall.made(form.groupName, ids[0]));
        change({ firewall: "existing", groups: [{ id: ids[0], name: form.groupName }] });
      }
    }
    await queryClient.invalidateQueries();
  };

  return (
    <Grid gridDefinition={[{ colspan: { default: 12, m: 8 } }, { colspan: { default: 12, m: 4 } }]}>
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{text.name.title}</Header>}>
          <SpaceBetween size="m">
            <FormField label={text.name.label} stretch>
              <Input
                value={form.name}
                placeholder={text.name.placeholder}
                onChange={(e) => edit({ name: e.detail.value })}
              />
            </FormField>
            <ExpandableSection headerText={text.name.tags}>
              <TagsEditor
                tags={form.tags.map((t) => ({ ...t, existing: false }))}
                onChange={(tags, valid) => {
                  edit({ tags: tags.map((t) => ({ key: t.key, value: t.value })) });
                  setTagsValid(valid);
                }}
              />
            </ExpandableSection>
          </SpaceBetween>
        </Container>
        <Container header={<Header variant="h2">{text.image.title}</Header>}>
          <Box variant="strong">{text.image.name}</Box> <Box variant="code">{imageId}</Box>
          <Box color="text-body-secondary">{text.image.about}</Box>
        </Container>
        <Network form={form} change={edit} subnet={subnet} errorText={errorOf("network")} />
        {made && <Alert type="info">{made}</Alert>}
        <Firewall form={form} change={edit} mine={mine} message={caller?.Message} errorText={errorOf("firewall")} />
        <UserData value={form.userData} onChange={(userData) => edit({ userData })} errorText={errorOf("userData")} />
        <ShowAsCode calls={complete ? codeCalls(form, imageId, mine) : []} />
      </SpaceBetween>
      <div style={{ position: "sticky", top: 120 }}>
        <Container
          header={<Header variant="h2">{text.summary.title}</Header>}
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="link" onClick={back}>
                  {text.summary.cancel}
                </Button>
                <Button variant="primary" loading={busy} disabled={!complete} onClick={() => void launch()}>
                  {count && count > 1 ? text.summary.launchMany(count) : text.summary.launch}
                </Button>
              </SpaceBetween>
            </Box>
          }
        >
          <SpaceBetween size="m">
            <FormField
              label={text.summary.count}
              errorText={count === undefined ? text.summary.countError : errorOf("count")}
            >
              <Input
                type="number"
                inputMode="numeric"
                value={form.count}
                onChange={(e) => edit({ count: e.detail.value })}
              />
            </FormField>
            <KeyValuePairs
              columns={1}
              items={[
                { label: text.summary.image, value: text.image.name },
                { label: text.summary.vpc, value: vpc ?? text.summary.none },
                { label: text.summary.subnet, value: form.subnetId || text.network.anySubnet },
                {
                  label: text.summary.firewall,
                  value:
                    form.firewall === "create"
                      ? `${text.summary.newGroup}: ${form.groupName || text.summary.none}`
                      : form.groups.map((g) => g.name).join(", ") || text.summary.none,
                },
                {
                  label: text.summary.userData,
                  value: form.userData
                    ? text.summary.lines(form.userData.trimEnd().split("\n").length)
                    : text.summary.none,
                },
              ]}
            />
            {shown != null && !part ? (
              <Alert type="error" header={error === undefined ? text.refused : text.failed}>
                {messageOf(shown)}
              </Alert>
            ) : complete && check.ok ? (
              <StatusIndicator type="success">{text.summary.ok}</StatusIndicator>
            ) : null}
          </SpaceBetween>
        </Container>
      </div>
    </Grid>
  );
}

// EC2's name for such a group, with the first number that none has.
const groupNameQuery = {
  ...query(new DescribeSecurityGroupsCommand({ Filters: [{ Name: "group-name", Values: ["launch-wizard-*"] }] })),
  select: (o: DescribeSecurityGroupsResult) => {
    const numbers = (o.SecurityGroups ?? []).map((g) => Number(g.GroupName!.slice("launch-wizard-".length)) || 0);
    return `launch-wizard-${Math.max(0, ...numbers) + 1}`;
  },
};

/** useCheck asks the server, a moment after the last key, whether it would do what the form says. */
function useCheck(form: LaunchForm, imageId: string, groupIds: string[], mine: string[], complete: boolean) {
  const wanted = JSON.stringify({
    run: runInput(form, imageId, groupIds),
    group: form.firewall === "create" && form.vpcId ? groupRequest(form, mine) : undefined,
  });
  const [settled, setSettled] = useState(wanted);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(wanted), 400);
    return () => clearTimeout(timer);
  }, [wanted]);
  const { data } = useQuery({
    queryKey: ["launch", "dry-run", settled],
    queryFn: () => dryRun(JSON.parse(settled) as Parameters<typeof dryRun>[0]),
    enabled: complete,
  });
  const current = complete && settled === wanted ? data : undefined;
  return { ok: current?.ok === true, error: current?.error };
}

async function dryRun(wanted: {
  run: ReturnType<typeof runInput>;
  group?: ReturnType<typeof groupRequest>;
}): Promise<{ ok: boolean; error?: Error }> {
  try {
    if (wanted.group) {
      const { output } = await call("CreateSecurityGroupWithRules", { ...wanted.group, Preview: true });
      const [problem] = output.Problems;
      if (problem) {
        return { ok: false, error: new Refusal(problem.Code ?? "", problem.Message ?? "", 400) };
      }
    }
    await send(new RunInstancesCommand({ ...wanted.run, DryRun: true }));
    return { ok: true };
  } catch (e) {
    const refused = refusal(e);
    if (refused?.code === "DryRunOperation") return { ok: true };
    if (!refused) throw e;
    return { ok: false, error: refused };
  }
}
