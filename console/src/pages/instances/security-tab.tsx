import type { Instance } from "@aws-sdk/client-ec2";
import { Button, Container, Header, KeyValuePairs, Link, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { messageOf } from "../../api/errors";
import { groupsOf } from "../../api/instances";
import { rulesQuery } from "../../api/security-groups";
import { RuleTable, type RuleColumn } from "../../components/rule-table";
import { text } from "../../text/instances";
import { Links, timeOf } from "./cells";

const t = text.security;

// As EC2's console shows them here.
const shown = ["name", "id", "ports", "protocol", "peer", "group", "description"];

/** SecurityTab shows the groups of an instance and all their rules. */
export function SecurityTab({ instance }: { instance: Instance }) {
  const groups = useMemo(() => groupsOf(instance), [instance]);
  const ids = groups.map((g) => g.GroupId!).sort();
  const answer = useQuery({ ...rulesQuery(ids), enabled: ids.length > 0 });
  const columns = useMemo((): RuleColumn[] => {
    const names = new Map(groups.map((g) => [g.GroupId!, g.GroupName!]));
    return [
      {
        id: "group",
        header: t.groups,
        text: (r) => names.get(r.GroupId ?? "") ?? "",
        cell: (r) => <Link href={`#/SecurityGroups/${r.GroupId}`}>{names.get(r.GroupId ?? "") ?? r.GroupId}</Link>,
        minWidth: 140,
      },
    ];
  }, [groups]);
  const several = (instance.NetworkInterfaces?.length ?? 0) > 1;
  return (
    <SpaceBetween size="m">
      <Container
        header={
          <Header
            variant="h2"
            {...(several ? { description: t.interfacesDiffer } : {})}
            actions={
              <Button href={`#/Instances/${instance.InstanceId}/ChangeSecurityGroups`} disabled={groups.length === 0}>
                {t.change}
              </Button>
            }
          >
            {t.title}
          </Header>
        }
      >
        <KeyValuePairs
          columns={3}
          items={[
            {
              label: t.groups,
              value: (
                <Links
                  items={groups.map((g) => ({
                    href: `#/SecurityGroups/${g.GroupId}`,
                    text: `${g.GroupId} (${g.GroupName})`,
                  }))}
                />
              ),
            },
            { label: t.owner, value: instance.NetworkInterfaces?.[0]?.OwnerId ?? text.none },
            { label: t.launched, value: timeOf(instance.LaunchTime) },
          ]}
        />
      </Container>
      {([false, true] as const).map((egress) => (
        <RuleTable
          key={String(egress)}
          name="InstanceRules"
          title={egress ? t.outbound : t.inbound}
          egress={egress}
          rules={(answer.data ?? []).filter((r) => r.IsEgress === egress)}
          columns={columns}
          shown={shown}
          loading={answer.isLoading}
          error={answer.error ? messageOf(answer.error) : undefined}
        />
      ))}
    </SpaceBetween>
  );
}
