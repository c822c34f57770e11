import { Badge, Box, Button, Link, SpaceBetween, StatusIndicator } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type {
  ExplainReachabilityResult,
  Explanation,
  ReachabilityConfirmation,
  ReachabilityGate,
  SecurityGroupRule,
} from "../../api/sallyport_gen";
import { useNamesIn } from "../../api/security-groups";
import { tagsQuery } from "../../api/tags";
import { proposeHref } from "../../components/proposed-rule";
import { RulePeer } from "../../components/rule-table";
import { portText, protocolText } from "../../components/rule-types";
import { text } from "../../text/why";
import "./why.css";

type Names = Record<string, string>;
type Manner = "pass" | "stop" | "neutral";

/** WayOf draws the way of a packet: both ends, what each gate says and by which rules, what else is in the way. It is a
 * list in order, so that it can be heard as well. */
export function WayOf({ from, to, answer }: { from: string; to: string; answer: ExplainReachabilityResult }) {
  const { Egress: egress, Ingress: ingress, Explanations: between } = answer;
  const rules = [egress, ingress].flatMap((g) => (g ? [...g.Rules, ...(g.MissingRule ? [g.MissingRule] : [])] : []));
  const tagNames = useTagNames(
    [from, to, egress?.NetworkInterfaceId, egress?.InstanceId, ingress?.NetworkInterfaceId, ingress?.InstanceId].filter(
      (id) => id !== undefined,
    ),
  );
  const names = {
    ...useNamesIn([...rules, ...rules.map((r) => ({ ReferencedGroupInfo: { GroupId: r.GroupId } }))]),
    ...tagNames,
  };
  const stoppedBy = (g?: ReachabilityGate) => g !== undefined && !g.Allowed && !g.ObservesUntil;
  const stations: { key: string; manner: Manner; end?: boolean; body: ReactNode }[] = [
    {
      key: "source",
      manner: "neutral",
      end: true,
      body: <End title={text.source} end={from} address={answer.SourceAddress} outside={!egress} names={names} />,
    },
    ...(egress ? [{ key: "egress", manner: mannerOf(egress), body: <Gate gate={egress} names={names} /> }] : []),
    ...(between.length ? [{ key: "between", manner: "stop" as const, body: <Between explanations={between} /> }] : []),
    ...(ingress
      ? [
          {
            key: "ingress",
            manner: mannerOf(ingress),
            body: <Gate gate={ingress} names={names} notReached={stoppedBy(egress) || between.length > 0} />,
          },
        ]
      : []),
    {
      key: "destination",
      manner: "neutral",
      end: true,
      body: (
        <End title={text.destination} end={to} address={answer.DestinationAddress} outside={!ingress} names={names} />
      ),
    },
  ];
  let stopped = false;
  return (
    <div className="why">
      <ol className="why-path" aria-label={text.path}>
        {stations.map((s, i) => {
          const before = stopped;
          stopped ||= s.manner === "stop";
          return (
            <li key={s.key} className={`why-station why-${s.manner} ${s.end ? "why-end" : "why-gate"}`}>
              {i > 0 && <div className={before ? "why-arrow why-stopped" : "why-arrow"} aria-hidden="true" />}
              <div className="why-box">{s.body}</div>
            </li>
          );
        })}
      </ol>
    </div>
  );
}

const mannerOf = (g: ReachabilityGate): Manner => (g.Allowed || g.ObservesUntil ? "pass" : "stop");

/** ResourceLink leads to an instance or an interface; an address is only said. */
function ResourceLink({ id, names }: { id: string; names: Names }) {
  const page = id.startsWith("eni-") ? "NetworkInterfaces" : id.startsWith("i-") ? "Instances" : undefined;
  if (!page) return <>{id}</>;
  return (
    <>
      <Link href={`#/${page}/${id}`}>{id}</Link>
      {names[id] && ` / ${names[id]}`}
    </>
  );
}

/** useTagNames returns the tags Name of resources, by id. */
function useTagNames(ids: string[]): Names {
  const asked = [...new Set(ids.filter((id) => /^(i|eni)-/.test(id)))].sort();
  const answer = useQuery({ ...tagsQuery(asked), enabled: asked.length > 0 });
  const named = (answer.data ?? []).filter((t) => t.Key === "Name" && t.Value);
  return Object.fromEntries(named.map((t) => [t.ResourceId!, t.Value!]));
}

function End(props: { title: string; end: string; address: string | undefined; outside: boolean; names: Names }) {
  return (
    <SpaceBetween size="xxs">
      <Box variant="h3">{props.title}</Box>
      <Box>
        <ResourceLink id={props.end} names={props.names} />
      </Box>
      {props.address && props.address !== props.end && <Box>{props.address}</Box>}
      {props.outside && (
        <Box color="text-body-secondary" fontSize="body-s">
          {text.outside}
        </Box>
      )}
    </SpaceBetween>
  );
}

function Gate({ gate: g, names, notReached }: { gate: ReachabilityGate; names: Names; notReached?: boolean }) {
  const reason = g.Reason ?? "";
  return (
    <SpaceBetween size="s">
      <SpaceBetween size="xxs">
        <Box variant="h3">{text.gate(g.Direction === "egress" ? "egress" : "ingress")}</Box>
        <Verdict gate={g} />
        <Box>{text.reasons[reason] ?? text.reason(reason)}</Box>
        {notReached && <Box color="text-body-secondary">{text.notReached}</Box>}
      </SpaceBetween>
      <Box fontSize="body-s">
        <ResourceLink id={g.NetworkInterfaceId ?? ""} names={names} />
        {g.InstanceId && (
          <>
            {" "}
            {text.of} <ResourceLink id={g.InstanceId} names={names} />
          </>
        )}
      </Box>
      {g.Rules.length > 0 && (
        <div>
          <Box variant="awsui-key-label">{text.deciding(g.Rules.length)}</Box>
          <SpaceBetween size="xs">
            {g.Rules.map((r, i) => (
              <div key={r.SecurityGroupRuleId}>
                <Rule rule={r} names={names} />
                {i === 0 && g.Rules.length > 1 && <Badge>{text.counted}</Badge>}
              </div>
            ))}
          </SpaceBetween>
        </div>
      )}
      {g.MissingRule && (
        <div>
          <Box variant="awsui-key-label">{text.missing}</Box>
          <SpaceBetween size="xs">
            <Box>{text.missingAbout}</Box>
            <Rule rule={g.MissingRule} names={names} />
            <Button href={proposeHref(g.MissingRule)} iconName="edit">
              {text.add}
            </Button>
          </SpaceBetween>
        </div>
      )}
      {g.Confirmation && <Confirmation confirmation={g.Confirmation} />}
    </SpaceBetween>
  );
}

function Verdict({ gate: g }: { gate: ReachabilityGate }) {
  if (g.Allowed) return <StatusIndicator type="success">{text.pass}</StatusIndicator>;
  if (g.ObservesUntil) {
    return <StatusIndicator type="warning">{text.passObserved(g.ObservesUntil.toLocaleString())}</StatusIndicator>;
  }
  return <StatusIndicator type="error">{text.stop}</StatusIndicator>;
}

function Rule({ rule: r, names }: { rule: SecurityGroupRule; names: Names }) {
  const egress = r.IsEgress ?? false;
  const what = [protocolText(r), r.IpProtocol === "-1" ? "" : portText(r)].filter(Boolean).join(" ");
  const group = r.GroupId ?? "";
  return (
    <Box>
      {text.rule(what, egress)}
      <RulePeer rule={r} names={names} />
      <Box fontSize="body-s" color="text-body-secondary">
        {r.SecurityGroupRuleId && `${r.SecurityGroupRuleId} `}
        {text.of} <Link href={`#/SecurityGroups/${group}`}>{names[group] ?? group}</Link>
        {r.Description && `: ${r.Description}`}
      </Box>
    </Box>
  );
}

function Confirmation({ confirmation: c }: { confirmation: ReachabilityConfirmation }) {
  if (c.Action === undefined) {
    return (
      <StatusIndicator type="info">
        {text.confirmation.none} {c.Message}
      </StatusIndicator>
    );
  }
  return (
    <StatusIndicator type={c.Agrees ? "success" : "warning"}>
      {c.Agrees ? text.confirmation.agrees : text.confirmation.differs(c.Action, c.Reason ?? "")} {c.Message}
    </StatusIndicator>
  );
}

function Between({ explanations }: { explanations: Explanation[] }) {
  return (
    <SpaceBetween size="xs">
      <Box variant="h3">{text.between}</Box>
      {explanations.map((e, i) => {
        const about = [e.Component, e.NetworkInterface, e.SourceVpc, e.DestinationVpc].flatMap((c) => c?.Id ?? []);
        const code = e.ExplanationCode ?? "";
        return (
          <StatusIndicator key={i} type="error">
            {text.explanation(text.explanations[code] ?? code, [...new Set(about)].join(", "))}
          </StatusIndicator>
        );
      })}
    </SpaceBetween>
  );
}
