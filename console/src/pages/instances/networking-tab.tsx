import type { Instance, InstanceNetworkInterface } from "@aws-sdk/client-ec2";
import {
  Button,
  Container,
  Header,
  KeyValuePairs,
  Link,
  SpaceBetween,
  StatusIndicator,
  Table,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { primaryOf } from "../../api/instances";
import { further } from "../../api/sallyport";
import type { Enforcement } from "../../api/sallyport_gen";
import { text } from "../../text/instances";
import { Copyable, Links } from "./cells";

const t = text.networking;
const c = text.columns;

/** NetworkingTab shows an instance's interfaces, and whether what they should enforce is in force. */
export function NetworkingTab({ instance }: { instance: Instance }) {
  const interfaces = instance.NetworkInterfaces ?? [];
  const ids = interfaces.map((e) => e.NetworkInterfaceId!);
  const { data } = useQuery({
    ...further("DescribeEnforcement", { NetworkInterfaceIds: ids }),
    enabled: ids.length > 0,
    refetchInterval: 3_000,
  });
  const enforcement = new Map((data?.Enforcements ?? []).map((e) => [e.NetworkInterfaceId, e]));
  const primary = primaryOf(instance);
  return (
    <SpaceBetween size="m">
      <Container header={<Header variant="h2">{t.title}</Header>}>
        <KeyValuePairs
          columns={3}
          items={[
            { label: c.privateIPv4, value: <Copyable value={instance.PrivateIpAddress} label={c.privateIPv4} /> },
            { label: c.ipv6, value: <Copyable value={instance.Ipv6Address} label={c.ipv6} /> },
            { label: c.privateDNS, value: <Copyable value={instance.PrivateDnsName} label={c.privateDNS} /> },
            { label: c.vpc, value: <Links items={linkTo("Vpcs", instance.VpcId)} /> },
            { label: c.subnet, value: <Links items={linkTo("Subnets", instance.SubnetId)} /> },
            { label: c.zone, value: instance.Placement?.AvailabilityZone ?? text.none },
            { label: t.sourceDest, value: primary ? (instance.SourceDestCheck ? t.yes : t.no) : text.none },
          ]}
        />
      </Container>
      <Table
        variant="container"
        items={interfaces}
        trackBy="NetworkInterfaceId"
        resizableColumns
        header={<Header variant="h2">{t.interfaces(interfaces.length)}</Header>}
        ariaLabels={{ tableLabel: t.interfaces(interfaces.length) }}
        empty={t.noInterfaces}
        columnDefinitions={[
          {
            id: "id",
            header: t.id,
            cell: (e) => <Link href={`#/NetworkInterfaces/${e.NetworkInterfaceId}`}>{e.NetworkInterfaceId}</Link>,
            isRowHeader: true,
            width: 210,
          },
          { id: "index", header: t.index, cell: (e) => e.Attachment?.DeviceIndex, width: 120 },
          { id: "ipv4", header: t.ipv4, cell: (e) => <Lines items={ipv4Of(e)} />, width: 170 },
          { id: "ipv6", header: t.ipv6, cell: (e) => <Lines items={ipv6Of(e)} />, width: 190 },
          {
            id: "groups",
            header: t.groups,
            cell: (e) => (
              <Links
                items={(e.Groups ?? []).map((g) => ({ href: `#/SecurityGroups/${g.GroupId}`, text: g.GroupName! }))}
              />
            ),
            width: 170,
          },
          {
            id: "enforcement",
            header: t.enforcement,
            cell: (e) => <EnforcementCell of={enforcement.get(e.NetworkInterfaceId)} />,
            width: 170,
          },
          { id: "device", header: t.device, cell: (e) => enforcement.get(e.NetworkInterfaceId)?.Device || text.none },
          { id: "host", header: t.host, cell: (e) => enforcement.get(e.NetworkInterfaceId)?.HostId || text.none },
          { id: "mac", header: t.mac, cell: (e) => e.MacAddress, width: 170 },
          { id: "subnet", header: t.subnet, cell: (e) => <Links items={linkTo("Subnets", e.SubnetId)} />, width: 220 },
          { id: "prefixes", header: t.prefixes, cell: (e) => <Lines items={prefixesOf(e)} /> },
          {
            id: "delete",
            header: t.deleteOnTermination,
            cell: (e) => (e.Attachment?.DeleteOnTermination ? t.yes : t.no),
          },
          { id: "description", header: t.description, cell: (e) => e.Description || text.none },
          {
            id: "change",
            header: t.actions,
            cell: (e) => (
              <Button
                variant="inline-link"
                href={`#/NetworkInterfaces/${e.NetworkInterfaceId}/ChangeSecurityGroups`}
                ariaLabel={`${text.actions.groups} ${text.security.of(e.NetworkInterfaceId!)}`}
              >
                {text.actions.groups}
              </Button>
            ),
            width: 220,
          },
        ]}
      />
    </SpaceBetween>
  );
}

/** EnforcementCell says whether an interface enforces the newest revision; its title says why not. */
function EnforcementCell({ of }: { of: Enforcement | undefined }) {
  if (!of) return text.none;
  const message = of.Message ?? "";
  if (of.BoundState !== "bound") {
    return (
      <span title={message}>
        <StatusIndicator type="stopped">{t.notBound}</StatusIndicator>
      </span>
    );
  }
  return (
    <span title={message}>
      <StatusIndicator type={of.InForce ? "success" : "in-progress"}>
        {of.InForce ? t.inForce : t.notYet}
      </StatusIndicator>
    </span>
  );
}

function Lines({ items }: { items: string[] }) {
  return items.length ? items.map((i) => <div key={i}>{i}</div>) : text.none;
}

const ipv4Of = (e: InstanceNetworkInterface) =>
  (e.PrivateIpAddresses ?? []).map((a, _, all) =>
    a.Primary && all.length > 1 ? `${a.PrivateIpAddress} (${t.primary})` : a.PrivateIpAddress!,
  );
const ipv6Of = (e: InstanceNetworkInterface) => (e.Ipv6Addresses ?? []).map((a) => a.Ipv6Address!);
const prefixesOf = (e: InstanceNetworkInterface) => [
  ...(e.Ipv4Prefixes ?? []).map((p) => p.Ipv4Prefix!),
  ...(e.Ipv6Prefixes ?? []).map((p) => p.Ipv6Prefix!),
];
const linkTo = (page: string, id: string | undefined) => (id ? [{ href: `#/${page}/${id}`, text: id }] : []);
