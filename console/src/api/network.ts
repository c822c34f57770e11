import {
  DescribeAvailabilityZonesCommand,
  DescribeManagedPrefixListsCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVpcPeeringConnectionsCommand,
  DescribeVpcsCommand,
  type NetworkInterface,
  type SecurityGroup,
  type SecurityGroupRule,
  type Subnet,
  type Vpc,
  type VpcPeeringConnection,
} from "@aws-sdk/client-ec2";
import { queryOptions } from "@tanstack/react-query";
import { query, send } from "./ec2";
import { nameOf } from "./tags";

/*
 * The describe… functions return the objects with these ids, for a ResourceTable. Calls that bound how many an answer
 * holds are made in pages.
 */

export async function describeVpcs(ids: string[]): Promise<Vpc[]> {
  return (await send(new DescribeVpcsCommand({ VpcIds: ids }))).output.Vpcs ?? [];
}

export async function describeSubnets(ids: string[]): Promise<Subnet[]> {
  return (await send(new DescribeSubnetsCommand({ SubnetIds: ids }))).output.Subnets ?? [];
}

export async function describePeerings(ids: string[]): Promise<VpcPeeringConnection[]> {
  const { output } = await send(new DescribeVpcPeeringConnectionsCommand({ VpcPeeringConnectionIds: ids }));
  return output.VpcPeeringConnections ?? [];
}

export async function describeGroups(ids: string[]): Promise<SecurityGroup[]> {
  return (await send(new DescribeSecurityGroupsCommand({ GroupIds: ids }))).output.SecurityGroups ?? [];
}

/** A rule, and the name of its group, which EC2's answer lacks. */
export type NamedRule = SecurityGroupRule & { GroupName?: string };

export async function describeRules(ids: string[]): Promise<NamedRule[]> {
  const { output } = await send(new DescribeSecurityGroupRulesCommand({ SecurityGroupRuleIds: ids }));
  const rules = output.SecurityGroupRules ?? [];
  // By a filter, which refuses no id of a group that went meanwhile; of values one may have 200.
  const groups = [...new Set(rules.map((r) => r.GroupId!))];
  const names = new Map<string, string>();
  for (let i = 0; i < groups.length; i += 200) {
    const Filters = [{ Name: "group-id", Values: groups.slice(i, i + 200) }];
    const answer = await send(new DescribeSecurityGroupsCommand({ Filters }));
    for (const g of answer.output.SecurityGroups ?? []) names.set(g.GroupId!, g.GroupName!);
  }
  return rules.map((r) => ({ ...r, GroupName: names.get(r.GroupId!) ?? "" }));
}

export async function describeInterfaces(ids: string[]): Promise<NetworkInterface[]> {
  const { output } = await send(new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: ids }));
  return output.NetworkInterfaces ?? [];
}

/** For useQuery: one object. */
export const vpcQuery = (id: string) => query(new DescribeVpcsCommand({ VpcIds: [id] }));
export const subnetQuery = (id: string) => query(new DescribeSubnetsCommand({ SubnetIds: [id] }));
export const prefixListQuery = (id: string) => query(new DescribeManagedPrefixListsCommand({ PrefixListIds: [id] }));
export const peeringQuery = (id: string) =>
  query(new DescribeVpcPeeringConnectionsCommand({ VpcPeeringConnectionIds: [id] }));

export const zonesQuery = () => query(new DescribeAvailabilityZonesCommand({}));

/** For useQuery: all VPCs, to choose one of. A region has few. */
export const allVpcsQuery = () =>
  queryOptions({
    queryKey: ["DescribeVpcs", "all"],
    queryFn: async () => {
      const vpcs: Vpc[] = [];
      for (let token: string | undefined; ;) {
        const { output } = await send(new DescribeVpcsCommand({ MaxResults: 1000, NextToken: token }));
        vpcs.push(...(output.Vpcs ?? []));
        token = output.NextToken;
        if (!token) return vpcs;
      }
    },
  });

/** All blocks of a VPC, IPv4 first. */
export const blocksOf = (vpc: Vpc): string[] => [
  ...(vpc.CidrBlockAssociationSet ?? []).map((a) => a.CidrBlock!),
  ...(vpc.Ipv6CidrBlockAssociationSet ?? []).map((a) => a.Ipv6CidrBlock!),
];

/** An id as lists show it, with the name if there is one. */
export const labelOf = (id: string | undefined, resource: Parameters<typeof nameOf>[0]) => {
  const name = nameOf(resource);
  return name ? `${id} (${name})` : (id ?? "");
};
