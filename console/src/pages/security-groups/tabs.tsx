import type { SecurityGroup, SecurityGroupRule } from "@aws-sdk/client-ec2";
import { Button, Link, SpaceBetween, Tabs } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { messageOf } from "../../api/errors";
import { ruleCount, rulesQuery, usesQuery } from "../../api/security-groups";
import { Copyable, Facts } from "../../components/detail-page";
import { ruleCounterColumns, useRuleCounters } from "../../components/rule-counters";
import { RuleTable } from "../../components/rule-table";
import { ManageTagsModal, TagsTab } from "../../components/tags-editor";
import { text as ruleText } from "../../text/rules";
import { text } from "../../text/security-groups";
import { AssociationsTab } from "./associations";
import { StaleRules } from "./stale";
import { UsedByTab } from "./uses";

const t = text.detail;

/** GroupDetails are the facts of a group. */
export function GroupDetails({ group }: { group: SecurityGroup }) {
  const uses = useQuery(usesQuery([group.GroupId!], 0)).data?.[0];
  return (
    <Facts
      items={[
        { label: text.groupName, value: group.GroupName },
        {
          label: text.id,
          value: <Copyable value={group.GroupId} label={text.id} />,
        },
        { label: text.description, value: group.Description },
        { label: text.vpc, value: <Link href={`#/Vpcs/${group.VpcId}`}>{group.VpcId}</Link> },
        { label: text.owner, value: group.OwnerId },
        { label: text.inboundCount, value: text.entries(ruleCount(group.IpPermissions)) },
        { label: text.outboundCount, value: text.entries(ruleCount(group.IpPermissionsEgress)) },
        {
          label: t.usedBy,
          value: uses ? (
            <Link href={`#/SecurityGroups/${group.GroupId}?tab=used-by`}>
              {t.uses(uses.NetworkInterfaceCount ?? 0, uses.RuleCount ?? 0)}
            </Link>
          ) : (
            "–"
          ),
        },
      ]}
    />
  );
}

/** RulesTab shows the rules of one direction. */
export function RulesTab({ group, egress }: { group: SecurityGroup; egress: boolean }) {
  const navigate = useNavigate();
  const answer = useQuery(rulesQuery([group.GroupId!]));
  const [selected, setSelected] = useState<SecurityGroupRule[]>([]);
  const [tagging, setTagging] = useState(false);
  const { counters } = useRuleCounters({ securityGroupIds: [group.GroupId!] });
  const counted = useMemo(() => ruleCounterColumns(counters), [counters]);
  const direction = egress ? "outbound" : "inbound";
  const rules = (answer.data ?? []).filter((r) => r.IsEgress === egress);
  return (
    <>
      <RuleTable
        name={`${direction}-rules`}
        title={egress ? t.outbound : t.inbound}
        egress={egress}
        rules={rules}
        columns={counted}
        loading={answer.isPending}
        error={answer.error ? messageOf(answer.error) : undefined}
        selected={selected}
        onSelect={setSelected}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button iconName="refresh" ariaLabel={text.refresh} onClick={() => void answer.refetch()} />
            <Button disabled={!selected.length} onClick={() => setTagging(true)}>
              {t.manageTags}
            </Button>
            <Button onClick={() => void navigate(`/SecurityGroups/${group.GroupId}/${direction}`)}>
              {egress ? t.editOutbound : t.editInbound}
            </Button>
          </SpaceBetween>
        }
      />
      {tagging && (
        <ManageTagsModal
          resourceIds={selected.map((r) => r.SecurityGroupRuleId!)}
          onClose={() => {
            setTagging(false);
            setSelected([]);
          }}
        />
      )}
    </>
  );
}

export const tabIds = ["inbound", "outbound", "used-by", "vpc-associations", "stale-rules", "tags"];

export interface GroupTabsProps {
  group: SecurityGroup;
  active: string;
  onChange: (tab: string) => void;
  onDelete: () => void;
  /** A tab with the facts comes first: in the panel, which has no room for a card of them. */
  withDetails?: boolean;
}

/** GroupTabs is all that there is of a group beside its facts: on its page, and in the panel below the list. */
export function GroupTabs({ group, active, onChange, onDelete, withDetails }: GroupTabsProps) {
  return (
    <Tabs
      activeTabId={active}
      onChange={(e) => onChange(e.detail.activeTabId)}
      ariaLabel={group.GroupName ?? ruleText.securityGroups}
      tabs={[
        ...(withDetails ? [{ id: "details", label: t.details, content: <GroupDetails group={group} /> }] : []),
        { id: "inbound", label: t.inbound, content: <RulesTab group={group} egress={false} /> },
        { id: "outbound", label: t.outbound, content: <RulesTab group={group} egress /> },
        { id: "used-by", label: t.usedBy, content: <UsedByTab group={group} onDelete={onDelete} /> },
        { id: "vpc-associations", label: t.associations, content: <AssociationsTab group={group} /> },
        {
          id: "stale-rules",
          label: t.stale,
          content: <StaleRules vpcId={group.VpcId!} groupId={group.GroupId} />,
        },
        { id: "tags", label: t.tags, content: <TagsTab resourceId={group.GroupId!} /> },
      ]}
    />
  );
}
