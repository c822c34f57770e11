import type { NetworkInterface, SecurityGroup, SecurityGroupVpcAssociation, Subnet, Vpc } from "@aws-sdk/client-ec2";
import { DescribeSecurityGroupVpcAssociationsCommand } from "@aws-sdk/client-ec2";
import {
  Badge,
  Button,
  Header,
  Link,
  SpaceBetween,
  StatusIndicator,
  Table,
  type TabsProps,
} from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { query } from "../../api/ec2";
import { messageOf } from "../../api/errors";
import { describeGroups, describeInterfaces, describePeerings, describeSubnets } from "../../api/network";
import { nameOf } from "../../api/tags";
import { ResourceTable, type Column } from "../../components/resource-table";
import { TagsTab } from "../../components/tags-editor";
import { text as forms } from "../../text/forms";
import { text as peeringText } from "../../text/peering-connections";
import { text as subnetText } from "../../text/subnets";
import { text } from "../../text/vpcs";
import { columns as peeringColumns } from "../peering-connections/columns";
import { columns as subnetColumns } from "../subnets/columns";
import { AddBlockModal, RemoveBlockModal } from "./actions";

/** vpcTabs are the tabs of a VPC, on its page and in the panel below the list. */
export function vpcTabs(vpc: Vpc): TabsProps.Tab[] {
  const id = vpc.VpcId!;
  return [
    { id: "cidrs", label: text.cidrs.title, content: <CidrsTab vpc={vpc} /> },
    { id: "subnets", label: text.tabs.subnets, content: <SubnetsOfVpc vpcId={id} /> },
    { id: "groups", label: text.tabs.groups, content: <GroupsOfVpc vpcId={id} /> },
    { id: "interfaces", label: text.tabs.interfaces, content: <InterfacesTable property="vpc-id" value={id} /> },
    { id: "peerings", label: text.tabs.peerings, content: <PeeringsOfVpc vpcId={id} /> },
    { id: "tags", label: forms.tags, content: <TagsTab resourceId={id} /> },
  ];
}

interface Block {
  id: string;
  block: string;
  family: "IPv4" | "IPv6";
  state: string;
  primary: boolean;
}

function blocks(vpc: Vpc): Block[] {
  return [
    ...(vpc.CidrBlockAssociationSet ?? []).map((a, i) => ({
      id: a.AssociationId!,
      block: a.CidrBlock!,
      family: "IPv4" as const,
      state: a.CidrBlockState?.State ?? "",
      primary: i === 0,
    })),
    ...(vpc.Ipv6CidrBlockAssociationSet ?? []).map((a) => ({
      id: a.AssociationId!,
      block: a.Ipv6CidrBlock!,
      family: "IPv6" as const,
      state: a.Ipv6CidrBlockState?.State ?? "",
      primary: false,
    })),
  ];
}

function CidrsTab({ vpc }: { vpc: Vpc }) {
  const t = text.cidrs;
  const [adding, setAdding] = useState<4 | 6>();
  const [removing, setRemoving] = useState<Block>();
  return (
    <>
      <Table
        items={blocks(vpc)}
        trackBy="id"
        ariaLabels={{ tableLabel: t.tableTitle }}
        header={
          <Header
            variant="h2"
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => setAdding(4)}>{t.add4}</Button>
                <Button onClick={() => setAdding(6)}>{t.add6}</Button>
              </SpaceBetween>
            }
          >
            {t.tableTitle}
          </Header>
        }
        columnDefinitions={[
          {
            id: "block",
            header: t.block,
            isRowHeader: true,
            cell: (b) => (
              <>
                {b.block} {b.primary && <Badge>{t.primary}</Badge>}
              </>
            ),
          },
          { id: "family", header: t.family, cell: (b) => b.family },
          {
            id: "state",
            header: t.status,
            cell: (b) => (
              <StatusIndicator type={b.state === "associated" ? "success" : "in-progress"}>
                {t.states[b.state] ?? b.state}
              </StatusIndicator>
            ),
          },
          { id: "id", header: t.association, cell: (b) => b.id },
          {
            id: "remove",
            header: forms.actions,
            cell: (b) =>
              !b.primary && (
                <Button variant="inline-link" ariaLabel={t.removeLabel(b.block)} onClick={() => setRemoving(b)}>
                  {t.remove}
                </Button>
              ),
          },
        ]}
      />
      {adding && <AddBlockModal vpcId={vpc.VpcId!} family={adding} onClose={() => setAdding(undefined)} />}
      {removing && (
        <RemoveBlockModal associationId={removing.id} block={removing.block} onClose={() => setRemoving(undefined)} />
      )}
    </>
  );
}

const scopeOf = (property: string, value: string) => [{ PropertyKey: property, Operator: "=", Value: value }];

function SubnetsOfVpc({ vpcId }: { vpcId: string }) {
  const scope = useMemo(() => scopeOf("vpc-id", vpcId), [vpcId]);
  return (
    <ResourceTable<Subnet>
      name="VpcSubnets"
      embedded
      title={text.tabs.subnets}
      type="subnet"
      scope={scope}
      describe={describeSubnets}
      columns={subnetColumns.filter((c) => c.id !== "vpc")}
      idOf={(s) => s.SubnetId!}
      labelOf={(s) => nameOf(s) || s.SubnetId!}
      selectionType={null}
      empty={subnetText.empty.title}
      actions={<Button href={`#/CreateSubnet?vpc=${vpcId}`}>{subnetText.actions.create}</Button>}
    />
  );
}

function PeeringsOfVpc({ vpcId }: { vpcId: string }) {
  // Either side: the free text of a list looks at both.
  const scope = useMemo(() => [{ Operator: ":", Value: vpcId }], [vpcId]);
  return (
    <ResourceTable
      name="VpcPeerings"
      embedded
      title={text.tabs.peerings}
      type="vpc-peering-connection"
      scope={scope}
      describe={describePeerings}
      columns={peeringColumns}
      idOf={(p) => p.VpcPeeringConnectionId!}
      labelOf={(p) => nameOf(p) || p.VpcPeeringConnectionId!}
      selectionType={null}
      empty={peeringText.empty.title}
      actions={<Button href={`#/CreatePeeringConnection?vpc=${vpcId}`}>{peeringText.actions.create}</Button>}
    />
  );
}

const groupColumns: Column<SecurityGroup>[] = [
  { id: "name", header: text.name, cell: (g) => nameOf(g) || "–", property: "tag:Name" },
  {
    id: "id",
    header: text.group.id,
    cell: (g) => <Link href={`#/SecurityGroups/${g.GroupId}`}>{g.GroupId}</Link>,
    property: "group-id",
    width: 220,
  },
  { id: "group-name", header: text.group.name, cell: (g) => g.GroupName, property: "group-name" },
  { id: "description", header: text.group.description, cell: (g) => g.Description, property: "description" },
];

function GroupsOfVpc({ vpcId }: { vpcId: string }) {
  const scope = useMemo(() => scopeOf("vpc-id", vpcId), [vpcId]);
  return (
    <SpaceBetween size="l">
      <ResourceTable<SecurityGroup>
        name="VpcSecurityGroups"
        embedded
        title={text.tabs.groups}
        type="security-group"
        scope={scope}
        describe={describeGroups}
        columns={groupColumns}
        idOf={(g) => g.GroupId!}
        labelOf={(g) => g.GroupName!}
        selectionType={null}
        empty={text.group.none}
      />
      <AssociatedGroups vpcId={vpcId} />
    </SpaceBetween>
  );
}

function AssociatedGroups({ vpcId }: { vpcId: string }) {
  const answer = useQuery(
    query(new DescribeSecurityGroupVpcAssociationsCommand({ Filters: [{ Name: "vpc-id", Values: [vpcId] }] })),
  );
  const items: SecurityGroupVpcAssociation[] = answer.data?.SecurityGroupVpcAssociations ?? [];
  return (
    <Table
      items={items}
      loading={answer.isPending}
      loadingText={forms.loading}
      trackBy="GroupId"
      ariaLabels={{ tableLabel: text.tabs.associations }}
      header={
        <Header variant="h2" counter={`(${items.length})`} description={text.group.find}>
          {text.tabs.associations}
        </Header>
      }
      empty={answer.error ? messageOf(answer.error) : text.group.noneAssociated}
      columnDefinitions={[
        {
          id: "id",
          header: text.group.id,
          isRowHeader: true,
          cell: (a) => <Link href={`#/SecurityGroups/${a.GroupId}`}>{a.GroupId}</Link>,
        },
        { id: "state", header: text.group.state, cell: (a) => a.State },
        { id: "owner", header: text.owner, cell: (a) => a.VpcOwnerId },
      ]}
    />
  );
}

const interfaceColumns: Column<NetworkInterface>[] = [
  {
    id: "name",
    header: text.name,
    cell: (e) => e.TagSet?.find((t) => t.Key === "Name")?.Value || "–",
    property: "tag:Name",
  },
  {
    id: "id",
    header: text.interface.id,
    cell: (e) => <Link href={`#/NetworkInterfaces/${e.NetworkInterfaceId}`}>{e.NetworkInterfaceId}</Link>,
    property: "network-interface-id",
    width: 230,
  },
  { id: "address", header: text.interface.address, cell: (e) => e.PrivateIpAddress, property: "private-ip-address" },
  { id: "status", header: text.interface.status, cell: (e) => e.Status, property: "status", width: 110 },
  {
    id: "instance",
    header: text.interface.instance,
    cell: (e) =>
      e.Attachment?.InstanceId ? (
        <Link href={`#/Instances/${e.Attachment.InstanceId}`}>{e.Attachment.InstanceId}</Link>
      ) : (
        "–"
      ),
    property: "attachment.instance-id",
  },
  {
    id: "groups",
    header: text.interface.groups,
    cell: (e) => (e.Groups ?? []).map((g) => g.GroupName).join(", "),
    property: "group-name",
  },
];

/** InterfacesTable lists the interfaces of a VPC or subnet. */
export function InterfacesTable({ property, value }: { property: "vpc-id" | "subnet-id"; value: string }) {
  const scope = useMemo(() => scopeOf(property, value), [property, value]);
  return (
    <ResourceTable<NetworkInterface>
      name="NetworkInterfacesOf"
      embedded
      title={text.tabs.interfaces}
      type="network-interface"
      scope={scope}
      describe={describeInterfaces}
      columns={interfaceColumns}
      idOf={(e) => e.NetworkInterfaceId!}
      labelOf={(e) => e.NetworkInterfaceId!}
      selectionType={null}
      empty={text.interface.none}
    />
  );
}
