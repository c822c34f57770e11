import {
  DescribeStaleSecurityGroupsCommand,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
  type IpPermission,
  type StaleIpPermission,
  type StaleSecurityGroup,
  type UserIdGroupPair,
} from "@aws-sdk/client-ec2";
import { useCollection } from "@cloudscape-design/collection-hooks";
import { Box, Button, Header, Link, Table, TextFilter } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useParams } from "react-router";
import { query, send } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { queryClient } from "../../api/query";
import { portText, protocolText, typeOf } from "../../components/rule-types";
import { useNotify } from "../../shell/notifications";
import { Page } from "../../shell/page";
import { text as ruleText } from "../../text/rules";
import { text } from "../../text/security-groups";
import { ConfirmModal } from "./associations";

const t = text.stale;

/** One stale rule: EC2 names it by what it says, not by its id. */
interface StaleRule {
  key: string;
  group: StaleSecurityGroup;
  egress: boolean;
  permission: StaleIpPermission;
  pair: UserIdGroupPair;
}

/** staleRules takes groups apart into their rules; of one group if it is given. */
export function staleRules(groups: StaleSecurityGroup[], only?: string): StaleRule[] {
  return groups
    .filter((g) => !only || g.GroupId === only)
    .flatMap((group) =>
      [false, true].flatMap((egress) =>
        ((egress ? group.StaleIpPermissionsEgress : group.StaleIpPermissions) ?? []).flatMap((permission) =>
          (permission.UserIdGroupPairs ?? []).map((pair) => ({
            key: [
              group.GroupId,
              egress,
              permission.IpProtocol,
              permission.FromPort,
              permission.ToPort,
              pair.GroupId,
            ].join(" "),
            group,
            egress,
            permission,
            pair,
          })),
        ),
      ),
    );
}

/** staleCalls returns the calls that remove stale rules: one for each group and direction. */
export function staleCalls(rules: StaleRule[]) {
  const parts = new Map<string, StaleRule[]>();
  for (const r of rules) {
    const key = `${r.group.GroupId} ${r.egress}`;
    parts.set(key, [...(parts.get(key) ?? []), r]);
  }
  return [...parts.values()].map((part) => {
    const input = {
      GroupId: part[0]!.group.GroupId,
      IpPermissions: part.map(({ permission: p, pair }): IpPermission => ({
        IpProtocol: p.IpProtocol,
        FromPort: p.FromPort,
        ToPort: p.ToPort,
        UserIdGroupPairs: [{ GroupId: pair.GroupId }],
      })),
    };
    return part[0]!.egress ? new RevokeSecurityGroupEgressCommand(input) : new RevokeSecurityGroupIngressCommand(input);
  });
}

/** StaleRules shows the stale rules of a VPC's groups, or of one of them, and removes those that are selected. */
export function StaleRules({ vpcId, groupId }: { vpcId: string; groupId?: string }) {
  const notify = useNotify();
  const answer = useQuery(query(new DescribeStaleSecurityGroupsCommand({ VpcId: vpcId })));
  const [selected, setSelected] = useState<StaleRule[]>([]);
  const [removing, setRemoving] = useState(false);
  const rules = useMemo(() => staleRules(answer.data?.StaleSecurityGroupSet ?? [], groupId), [answer.data, groupId]);
  const { items, collectionProps, filterProps, filteredItemsCount } = useCollection(rules, {
    filtering: {
      filteringFunction: (r, wanted) =>
        `${r.key} ${r.group.GroupName} ${r.pair.GroupName} ${r.pair.VpcPeeringConnectionId} ${r.pair.Description}`
          .toLowerCase()
          .includes(wanted.toLowerCase()),
      empty: answer.error ? <Box color="text-status-error">{messageOf(answer.error)}</Box> : t.none,
    },
    sorting: {},
  });
  async function remove() {
    try {
      for (const command of staleCalls(selected)) {
        await (command instanceof RevokeSecurityGroupIngressCommand ? send(command) : send(command));
      }
      notify({ type: "success", content: t.removed(selected.length) });
      setSelected([]);
    } finally {
      await queryClient.invalidateQueries();
    }
  }
  return (
    <>
      <Table<StaleRule>
        {...collectionProps}
        items={items}
        trackBy="key"
        loading={answer.isPending}
        loadingText={text.loading}
        selectionType="multi"
        selectedItems={selected}
        onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
        ariaLabels={{
          tableLabel: t.title,
          selectionGroupLabel: t.title,
          allItemsSelectionLabel: () => ruleText.selectAll,
          itemSelectionLabel: (_, r) => t.select(r.group.GroupName ?? "", r.pair.GroupId ?? ""),
        }}
        columnDefinitions={[
          ...(groupId
            ? []
            : [
                {
                  id: "group",
                  header: t.group,
                  cell: (r: StaleRule) => (
                    <>
                      <Link href={`#/SecurityGroups/${r.group.GroupId}`}>{r.group.GroupId}</Link> / {r.group.GroupName}
                    </>
                  ),
                },
              ]),
          {
            id: "direction",
            header: t.direction,
            cell: (r) => (r.egress ? text.uses.rules.outbound : text.uses.rules.inbound),
          },
          { id: "type", header: ruleText.type, cell: (r) => typeOf(r.permission).label },
          { id: "protocol", header: ruleText.protocol, cell: (r) => protocolText(r.permission) },
          { id: "ports", header: ruleText.ports, cell: (r) => portText(r.permission) },
          {
            id: "referenced",
            header: t.referenced,
            cell: (r) => [r.pair.GroupId, r.pair.GroupName].filter(Boolean).join(" / "),
            isRowHeader: true,
          },
          {
            id: "vpc",
            header: text.vpc,
            cell: (r) => (r.pair.VpcId ? <Link href={`#/Vpcs/${r.pair.VpcId}`}>{r.pair.VpcId}</Link> : "–"),
          },
          { id: "peering", header: t.peering, cell: (r) => r.pair.VpcPeeringConnectionId ?? "–" },
          { id: "status", header: t.peeringStatus, cell: (r) => r.pair.PeeringStatus ?? "–" },
          { id: "description", header: ruleText.description, cell: (r) => r.pair.Description ?? "–" },
        ]}
        header={
          <Header
            variant={groupId ? "h2" : "h1"}
            counter={`(${rules.length})`}
            description={t.about}
            actions={
              <Button disabled={!selected.length} onClick={() => setRemoving(true)}>
                {t.remove}
              </Button>
            }
          >
            {t.title}
          </Header>
        }
        filter={
          rules.length > 1 && (
            <TextFilter
              {...filterProps}
              filteringPlaceholder={t.find}
              filteringAriaLabel={t.find}
              countText={ruleText.matches(filteredItemsCount ?? 0)}
            />
          )
        }
        footer={
          groupId && (
            <Box textAlign="center">
              <Link href={`#/StaleRules/${vpcId}`}>{t.all}</Link>
            </Box>
          )
        }
      />
      {removing && (
        <ConfirmModal
          title={t.confirmTitle(selected.length)}
          action={t.remove}
          failed={t.failed}
          calls={staleCalls(selected)}
          run={remove}
          onClose={() => setRemoving(false)}
        >
          {t.confirm}
        </ConfirmModal>
      )}
    </>
  );
}

/** The page that "Manage stale rules" opens: those of all groups of a VPC. */
export default function StaleRulesPage() {
  const { vpc } = useParams();
  return (
    <Page
      title={t.title}
      breadcrumbs={[
        { text: text.title, href: "#/SecurityGroups" },
        { text: t.ofVpc(vpc!), href: `#/StaleRules/${vpc}` },
      ]}
    >
      <StaleRules vpcId={vpc!} />
    </Page>
  );
}
