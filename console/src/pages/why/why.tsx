import {
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  type IpPermission,
} from "@aws-sdk/client-ec2";
import {
  Alert,
  Box,
  Button,
  Checkbox,
  ColumnLayout,
  Container,
  ContentLayout,
  Form,
  FormField,
  Grid,
  Header,
  Input,
  Select,
  SpaceBetween,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useId, useState, type FormEvent } from "react";
import { useSearchParams } from "react-router";
import { messageOf } from "../../api/errors";
import { further } from "../../api/sallyport";
import type { ExplainReachabilityRequest, ExplainReachabilityResult, SecurityGroupRule } from "../../api/sallyport_gen";
import { codeCall, ShowAsCode } from "../../components/show-as-code";
import { Page } from "../../shell/page";
import { text } from "../../text/why";
import { EndPicker } from "./end-picker";
import { WayOf } from "./path";
import { hasPort, isIcmp, read, request, write, type Question } from "./question";

/** The page asks the question that its address holds; the form changes the address. */
export default function WhyPage() {
  const [params, setParams] = useSearchParams();
  const asked = read(params);
  const wanted = request(asked);
  return (
    <Page title={text.title} breadcrumbs={[{ text: text.title, href: "#/Why" }]}>
      <ContentLayout
        header={
          <Header variant="h1" description={text.about}>
            {text.title}
          </Header>
        }
      >
        <SpaceBetween size="l">
          <QuestionForm key={params.toString()} asked={asked} onAsk={(q) => setParams(write(q))} />
          {wanted && <Answer wanted={wanted} />}
        </SpaceBetween>
      </ContentLayout>
    </Page>
  );
}

const named = ["tcp", "udp", "icmp", "icmpv6"] as const;
const protocols = [
  ...named.map((value) => ({ value: value, label: text.protocols[value] })),
  { value: "other", label: text.protocols.other },
];

function QuestionForm({ asked, onAsk }: { asked: Question; onAsk: (q: Question) => void }) {
  const [q, setQ] = useState(asked);
  const [tried, setTried] = useState(false);
  const id = useId();
  const change = (part: Partial<Question>) => setQ((old) => ({ ...old, ...part }));
  const known = (named as readonly string[]).includes(q.protocol);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    setTried(true);
    if (request(q)) onAsk(q);
  };
  return (
    <form onSubmit={submit}>
      <Form
        actions={
          <Button variant="primary" formAction="submit">
            {text.explain}
          </Button>
        }
      >
        <Container header={<Header variant="h2">{text.question}</Header>}>
          <SpaceBetween size="l">
            <Grid
              gridDefinition={[
                { colspan: { default: 12, s: 5 } },
                { colspan: { default: 12, s: 2 } },
                { colspan: { default: 12, s: 5 } },
              ]}
            >
              <FormField label={text.from} description={text.endHint} controlId={`${id}-from`}>
                <EndPicker
                  controlId={`${id}-from`}
                  value={q.from}
                  onChange={(from) => change({ from })}
                  invalid={tried && !q.from.trim()}
                />
              </FormField>
              <Box textAlign="center" padding={{ top: "xxl" }}>
                <Button formAction="none" onClick={() => change({ from: q.to, to: q.from })}>
                  {text.swap}
                </Button>
              </Box>
              <FormField label={text.to} description={text.endHint} controlId={`${id}-to`}>
                <EndPicker
                  controlId={`${id}-to`}
                  value={q.to}
                  onChange={(to) => change({ to })}
                  invalid={tried && !q.to.trim()}
                />
              </FormField>
            </Grid>
            <ColumnLayout columns={3}>
              <FormField label={text.protocol}>
                <Select
                  options={protocols}
                  selectedOption={protocols.find((p) => p.value === (known ? q.protocol : "other"))!}
                  onChange={(e) =>
                    change({
                      protocol: e.detail.selectedOption.value === "other" ? "" : e.detail.selectedOption.value!,
                    })
                  }
                />
              </FormField>
              {!known && (
                <FormField label={text.number} constraintText={text.numberHint}>
                  <Input
                    inputMode="numeric"
                    value={q.protocol}
                    onChange={(e) => change({ protocol: e.detail.value })}
                    invalid={tried && !q.protocol.trim()}
                  />
                </FormField>
              )}
              {hasPort(q.protocol) && (
                <FormField label={text.port} constraintText={text.portHint}>
                  <Input
                    inputMode="numeric"
                    value={q.port}
                    onChange={(e) => change({ port: e.detail.value })}
                    invalid={tried && !/^\d+$/.test(q.port.trim())}
                  />
                </FormField>
              )}
              {isIcmp(q.protocol) && (
                <>
                  <FormField label={text.icmpType} constraintText={text.icmpTypeHint}>
                    <Input
                      inputMode="numeric"
                      value={q.icmpType}
                      onChange={(e) => change({ icmpType: e.detail.value })}
                    />
                  </FormField>
                  <FormField label={text.icmpCode}>
                    <Input
                      inputMode="numeric"
                      value={q.icmpCode}
                      onChange={(e) => change({ icmpCode: e.detail.value })}
                    />
                  </FormField>
                </>
              )}
            </ColumnLayout>
            <Checkbox
              checked={q.confirm}
              onChange={(e) => change({ confirm: e.detail.checked })}
              description={text.confirmHint}
            >
              {text.confirm}
            </Checkbox>
          </SpaceBetween>
        </Container>
      </Form>
    </form>
  );
}

function Answer({ wanted }: { wanted: ExplainReachabilityRequest }) {
  const answer = useQuery({ ...further("ExplainReachability", wanted), staleTime: 0 });
  if (answer.error && !answer.isFetching) {
    return (
      <Alert type="error" header={text.failed}>
        {messageOf(answer.error)}
      </Alert>
    );
  }
  if (!answer.data) return <Alert type="info">{text.searching}</Alert>;
  const out = answer.data;
  const missing = [out.Egress?.MissingRule, out.Ingress?.MissingRule].filter((r) => r !== undefined);
  return (
    <SpaceBetween size="l">
      <Summary wanted={wanted} answer={out} />
      <Container header={<Header variant="h2">{text.path}</Header>}>
        <WayOf from={wanted.Source} to={wanted.Destination} answer={out} />
      </Container>
      {missing.length > 0 && <ShowAsCode calls={missing.map(callOf)} />}
    </SpaceBetween>
  );
}

function Summary({ wanted, answer }: { wanted: ExplainReachabilityRequest; answer: ExplainReachabilityResult }) {
  const gates = [answer.Egress, answer.Ingress].filter((g) => g !== undefined);
  const observed = !answer.Explanations.length && gates.every((g) => g.Allowed || g.ObservesUntil);
  const [type, header] = answer.Allowed
    ? (["success", text.allowed] as const)
    : observed
      ? (["warning", text.observed] as const)
      : (["error", text.refused] as const);
  const from = answer.SourceAddress ?? wanted.Source;
  const to = answer.DestinationAddress ?? wanted.Destination;
  return (
    <Alert type={type} header={header}>
      {text.packet(wanted.Protocol, from, to, wanted.Port)}. {answer.Allowed && `${text.answers} `}
      {text.atRevision(answer.Revision ?? 0)}
    </Alert>
  );
}

/** callOf is the call that adds a rule. */
function callOf(r: SecurityGroupRule) {
  const group = r.ReferencedGroupInfo?.GroupId;
  const permission: IpPermission = {
    IpProtocol: r.IpProtocol,
    ...(r.IpProtocol === "-1" ? {} : { FromPort: r.FromPort, ToPort: r.ToPort }),
    ...(r.CidrIpv4 ? { IpRanges: [{ CidrIp: r.CidrIpv4 }] } : {}),
    ...(r.CidrIpv6 ? { Ipv6Ranges: [{ CidrIpv6: r.CidrIpv6 }] } : {}),
    ...(r.PrefixListId ? { PrefixListIds: [{ PrefixListId: r.PrefixListId }] } : {}),
    ...(group ? { UserIdGroupPairs: [{ GroupId: group }] } : {}),
  };
  const input = { GroupId: r.GroupId, IpPermissions: [permission] };
  return codeCall(
    r.IsEgress ? new AuthorizeSecurityGroupEgressCommand(input) : new AuthorizeSecurityGroupIngressCommand(input),
  );
}
