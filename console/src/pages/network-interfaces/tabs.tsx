import type { NetworkInterface } from "@aws-sdk/client-ec2";
import { Button, Container, Header, Link, SpaceBetween, Table, type TabsProps } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { messageOf } from "../../api/errors";
import { rulesQuery } from "../../api/security-groups";
import { Facts, type Fact } from "../../components/detail-page";
import { ruleCounterColumns, useRuleCounters } from "../../components/rule-counters";
import { RuleTable, type RuleColumn } from "../../components/rule-table";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text } from "../../text/network-interfaces";
import { ManageAddressesModal } from "./addresses";
import { Links } from "./columns";
import { ConnectionsTab } from "./connections";
import { DropsTab } from "./drops";
import { useInterfaceFacts } from "./facts";

/** The tabs of one interface: on its page, and, with its facts, in the panel below the list. */
export const interfaceTabs = (eni: NetworkInterface, withFacts = false): TabsProps.Tab[] => [
  ...(withFacts ? [{ id: "details", label: forms.details, content: <DetailsTab eni={eni} /> }] : []),
  { id: "security", label: text.tabs.groups, content: <SecurityTab eni={eni} /> },
  { id: "addresses", label: text.tabs.addresses, content: <AddressesTab eni={eni} /> },
  { id: "drops", label: text.tabs.traffic, content: <DropsTab id={eni.NetworkInterfaceId!} /> },
  { id: "connections", label: text.tabs.connections, content: <ConnectionsTab id={eni.NetworkInterfaceId!} /> },
  { id: "tags", label: text.tabs.tags, content: <TagsTab resourceId={eni.NetworkInterfaceId!} /> },
];

function DetailsTab({ eni }: { eni: NetworkInterface }) {
  const facts: Fact[] = useInterfaceFacts(eni);
  return <Facts items={facts} />;
}

/** SecurityTab shows the groups of an interface and all their rules, with what they let through here. */
function SecurityTab({ eni }: { eni: NetworkInterface }) {
  const t = text.security;
  const id = eni.NetworkInterfaceId!;
  const groups = useMemo(() => eni.Groups ?? [], [eni.Groups]);
  const ids = groups.map((g) => g.GroupId!).sort();
  const answer = useQuery({ ...rulesQuery(ids), enabled: ids.length > 0 });
  const { counters } = useRuleCounters({ networkInterfaceIds: [id] });
  const columns = useMemo((): RuleColumn[] => {
    const names = new Map(groups.map((g) => [g.GroupId!, g.GroupName!]));
    return [
      {
        id: "group",
        header: t.group,
        text: (r) => names.get(r.GroupId ?? "") ?? "",
        cell: (r) => <Link href={`#/SecurityGroups/${r.GroupId}`}>{names.get(r.GroupId ?? "") ?? r.GroupId}</Link>,
        minWidth: 140,
      },
      ...ruleCounterColumns(counters),
    ];
  }, [groups, counters, t.group]);
  return (
    <SpaceBetween size="m">
      <Container
        header={
          <Header
            variant="h2"
            actions={<Button href={`#/NetworkInterfaces/${id}/ChangeSecurityGroups`}>{t.change}</Button>}
          >
            {t.title}
          </Header>
        }
      >
        <Links
          page="SecurityGroups"
          items={groups.map((g) => ({ id: g.GroupId!, label: `${g.GroupId} (${g.GroupName})` }))}
        />
      </Container>
      {([false, true] as const).map((egress) => (
        <RuleTable
          key={String(egress)}
          name="InterfaceRules"
          title={egress ? t.outbound : t.inbound}
          egress={egress}
          rules={(answer.data ?? []).filter((r) => r.IsEgress === egress)}
          columns={columns}
          loading={answer.isLoading}
          error={answer.error ? messageOf(answer.error) : undefined}
        />
      ))}
    </SpaceBetween>
  );
}

interface Address {
  address: string;
  kind: string;
  dns?: string | undefined;
}

function addressesOf(e: NetworkInterface): Address[] {
  const t = text.addresses;
  return [
    ...(e.PrivateIpAddresses ?? []).map((a) => ({
      address: a.PrivateIpAddress!,
      kind: a.Primary ? t.primary : t.secondary,
      dns: a.PrivateDnsName,
    })),
    ...(e.Ipv6Addresses ?? []).map((a) => ({
      address: a.Ipv6Address!,
      kind: a.IsPrimaryIpv6 ? t.primaryIpv6 : t.ipv6,
    })),
    ...(e.Ipv4Prefixes ?? []).map((p) => ({ address: p.Ipv4Prefix!, kind: t.prefix4 })),
    ...(e.Ipv6Prefixes ?? []).map((p) => ({ address: p.Ipv6Prefix!, kind: t.prefix6 })),
  ];
}

function AddressesTab({ eni }: { eni: NetworkInterface }) {
  const t = text.addresses;
  const [open, setOpen] = useState(false);
  const items = addressesOf(eni);
  return (
    <>
      <Table
        variant="container"
        items={items}
        trackBy="address"
        header={
          <Header
            variant="h2"
            counter={`(${items.length})`}
            actions={<Button onClick={() => setOpen(true)}>{t.manage}</Button>}
          >
            {t.title}
          </Header>
        }
        ariaLabels={{ tableLabel: t.title }}
        columnDefinitions={[
          { id: "address", header: t.address, cell: (a) => a.address, isRowHeader: true },
          { id: "kind", header: t.kind, cell: (a) => a.kind },
          { id: "dns", header: t.dns, cell: (a) => a.dns || text.none },
        ]}
      />
      {open && <ManageAddressesModal eni={eni} onClose={() => setOpen(false)} />}
    </>
  );
}
