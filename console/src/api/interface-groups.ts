import {
  DescribeNetworkInterfacesCommand,
  GetSecurityGroupsForVpcCommand,
  ModifyNetworkInterfaceAttributeCommand,
  type SecurityGroupForVpc,
} from "@aws-sdk/client-ec2";
import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { send } from "./ec2";
import { queryClient } from "./query";

/** A group as it is chosen for an interface. */
export interface Group {
  id: string;
  name: string;
  description?: string | undefined;
}

const suggested = 50;

const literal = (text: string) => text.replace(/[\\*?]/g, "\\$&");

/** usableGroupsQuery is for useQuery: the groups that interfaces of a VPC may carry and whose name, id or description
 * contains a text, some dozens at most. */
export const usableGroupsQuery = (VpcId: string, looked: string) =>
  queryOptions({
    queryKey: ["GetSecurityGroupsForVpc", VpcId, looked],
    queryFn: async (): Promise<Group[]> => {
      const by = async (filter?: string) => {
        const Filters = filter ? [{ Name: filter, Values: [`*${literal(looked)}*`] }] : [];
        const { output } = await send(new GetSecurityGroupsForVpcCommand({ VpcId, Filters, MaxResults: suggested }));
        return output.SecurityGroupForVpcs ?? [];
      };
      const found = looked ? await Promise.all(["group-name", "group-id", "description"].map(by)) : [await by()];
      const groups = new Map(found.flat().map((g) => [g.GroupId!, group(g)]));
      return [...groups.values()].slice(0, suggested);
    },
    placeholderData: keepPreviousData,
    enabled: VpcId !== "",
  });

const group = (g: SecurityGroupForVpc): Group => ({ id: g.GroupId!, name: g.GroupName!, description: g.Description });

/** findGroup returns the group that a person means by an id or a name, among those that interfaces of a VPC may carry. */
export async function findGroup(VpcId: string, typed: string): Promise<Group | undefined> {
  for (const Name of ["group-id", "group-name"]) {
    const Filters = [{ Name, Values: [literal(typed)] }];
    const { output } = await send(new GetSecurityGroupsForVpcCommand({ VpcId, Filters }));
    if (output.SecurityGroupForVpcs?.length) return group(output.SecurityGroupForVpcs[0]!);
  }
  return undefined;
}

/** An interface as its groups are changed. */
export interface InterfaceWithGroups {
  id: string;
  vpcId: string;
  groups: Group[];
  description: string;
  address: string;
  deviceIndex?: number | undefined;
}

/** useInterface is the interface with that id; null: there is none. */
export function useInterface(id: string) {
  return useQuery({ queryKey: ["DescribeNetworkInterfaces", id, "groups"], queryFn: () => interfaceWithGroups(id) });
}

/** interfaceWithGroups asks for an interface as it is now; null: there is none. */
export async function interfaceWithGroups(id: string): Promise<InterfaceWithGroups | null> {
  const Filters = [{ Name: "network-interface-id", Values: [id] }]; // an unknown one is no error
  const e = (await send(new DescribeNetworkInterfacesCommand({ Filters }))).output.NetworkInterfaces?.[0];
  if (!e) return null;
  return {
    id,
    vpcId: e.VpcId!,
    groups: (e.Groups ?? []).map((g) => ({ id: g.GroupId!, name: g.GroupName! })),
    description: e.Description ?? "",
    address: e.PrivateIpAddress ?? "",
    deviceIndex: e.Attachment?.DeviceIndex,
  };
}

/** groupsCall is the call that gives an interface a set of groups. */
export const groupsCall = (NetworkInterfaceId: string, groups: Group[]) =>
  new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId, Groups: groups.map((g) => g.id) });

/** saveGroups gives an interface a set of groups and returns the revision that has them. */
export async function saveGroups(networkInterfaceId: string, groups: Group[]): Promise<number> {
  const { revision } = await send(groupsCall(networkInterfaceId, groups));
  await queryClient.invalidateQueries();
  return revision;
}
