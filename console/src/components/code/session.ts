import {
  AcceptVpcPeeringConnectionCommand,
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  CreateManagedPrefixListCommand,
  CreateNetworkInterfaceCommand,
  CreateSecurityGroupCommand,
  CreateSubnetCommand,
  CreateTagsCommand,
  CreateVpcCommand,
  CreateVpcPeeringConnectionCommand,
  DeleteSecurityGroupCommand,
  DeleteTagsCommand,
  ModifyManagedPrefixListCommand,
  ModifyNetworkInterfaceAttributeCommand,
  ModifySecurityGroupRulesCommand,
  ModifyVpcAttributeCommand,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { codeCall, resultOf, type CodeCall } from "./call";

/** Calls as forms make them, each kind at least once, that a fresh server accepts one after another; only the last one
 * needs a host, and only the two before it name rules of which Terraform does not know the ids. For tests: testdata
 * holds what they are shown as, and e2e/clients runs that. */
export function session(): CodeCall[] {
  const calls: CodeCall[] = [];
  const add = (command: { input: object }) => calls.push(codeCall(command)) - 1;
  const tags = (type: "vpc" | "security-group" | "instance", ...list: [string, string][]) => [
    { ResourceType: type, Tags: list.map(([Key, Value]) => ({ Key, Value })) },
  ];
  const named = (type: "vpc" | "security-group" | "instance", name: string) => tags(type, ["Name", name]);

  const vpc = add(new CreateVpcCommand({ CidrBlock: "10.7.0.0/16", TagSpecifications: named("vpc", "shop") }));
  const vpcId = resultOf(vpc, "Vpc.VpcId");
  const subnet = add(new CreateSubnetCommand({ VpcId: vpcId, CidrBlock: "10.7.1.0/24" }));
  const web = add(
    new CreateSecurityGroupCommand({
      GroupName: "web",
      Description: "Web servers: 1 & 2 $HOME",
      VpcId: vpcId,
      TagSpecifications: tags("security-group", ["Name", "it's web"], ["team", '${shop} %{if} "a\\b"']),
    }),
  );
  const webId = resultOf(web, "GroupId");
  const authorized = add(
    new AuthorizeSecurityGroupIngressCommand({
      GroupId: webId,
      IpPermissions: [
        {
          IpProtocol: "tcp",
          FromPort: 443,
          ToPort: 443,
          IpRanges: [{ CidrIp: "0.0.0.0/0", Description: "everybody" }],
          Ipv6Ranges: [{ CidrIpv6: "::/0" }],
        },
        { IpProtocol: "icmp", FromPort: 8, ToPort: -1, IpRanges: [{ CidrIp: "192.0.2.0/24" }] },
      ],
    }),
  );
  const db = add(new CreateSecurityGroupCommand({ GroupName: "db", Description: "- databases", VpcId: vpcId }));
  const dbId = resultOf(db, "GroupId");
  const everything = { IpProtocol: "-1", IpRanges: [{ CidrIp: "0.0.0.0/0" }] };
  add(new RevokeSecurityGroupEgressCommand({ GroupId: dbId, IpPermissions: [everything] }));
  add(
    new AuthorizeSecurityGroupIngressCommand({
      GroupId: dbId,
      IpPermissions: [{ IpProtocol: "tcp", FromPort: 5432, ToPort: 5440, UserIdGroupPairs: [{ GroupId: webId }] }],
    }),
  );
  const list = add(
    new CreateManagedPrefixListCommand({
      PrefixListName: "offices",
      AddressFamily: "IPv4",
      MaxEntries: 5,
      Entries: [{ Cidr: "203.0.113.0/24", Description: "Hamburg" }, { Cidr: "198.51.100.0/25" }],
    }),
  );
  const listId = resultOf(list, "PrefixList.PrefixListId");
  add(
    new AuthorizeSecurityGroupEgressCommand({
      GroupId: dbId,
      IpPermissions: [{ IpProtocol: "udp", FromPort: 53, ToPort: 53, PrefixListIds: [{ PrefixListId: listId }] }],
    }),
  );
  add(
    new ModifyManagedPrefixListCommand({
      PrefixListId: listId,
      CurrentVersion: 1,
      AddEntries: [{ Cidr: "192.0.2.128/25", Description: "Porto" }],
      RemoveEntries: [{ Cidr: "198.51.100.0/25" }],
    }),
  );
  const eni = add(
    new CreateNetworkInterfaceCommand({
      SubnetId: resultOf(subnet, "Subnet.SubnetId"),
      Description: "the first",
      Groups: [webId, dbId],
      PrivateIpAddress: "10.7.1.10",
    }),
  );
  const eniId = resultOf(eni, "NetworkInterface.NetworkInterfaceId");
  add(new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: eniId, Groups: [webId] }));
  add(new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: eniId, SourceDestCheck: { Value: false } }));
  add(
    new CreateTagsCommand({
      Resources: [eniId, dbId],
      Tags: [
        { Key: "env", Value: "prod" },
        { Key: "old", Value: "" },
      ],
    }),
  );
  add(new DeleteTagsCommand({ Resources: [eniId], Tags: [{ Key: "old" }] }));
  const second = add(new CreateVpcCommand({ CidrBlock: "10.8.0.0/16", AmazonProvidedIpv6CidrBlock: true }));
  const secondId = resultOf(second, "Vpc.VpcId");
  add(new ModifyVpcAttributeCommand({ VpcId: secondId, EnableDnsHostnames: { Value: true } }));
  const peering = add(new CreateVpcPeeringConnectionCommand({ VpcId: vpcId, PeerVpcId: secondId }));
  add(
    new AcceptVpcPeeringConnectionCommand({
      VpcPeeringConnectionId: resultOf(peering, "VpcPeeringConnection.VpcPeeringConnectionId"),
    }),
  );
  const gone = add(new CreateSecurityGroupCommand({ GroupName: "gone", Description: "for a moment", VpcId: vpcId }));
  add(new DeleteSecurityGroupCommand({ GroupId: resultOf(gone, "GroupId") }));
  add(
    new ModifySecurityGroupRulesCommand({
      GroupId: webId,
      SecurityGroupRules: [
        {
          SecurityGroupRuleId: resultOf(authorized, "SecurityGroupRules[0].SecurityGroupRuleId"),
          SecurityGroupRule: { IpProtocol: "tcp", FromPort: 80, ToPort: 80, CidrIpv4: "0.0.0.0/0", Description: "" },
        },
      ],
    }),
  );
  add(
    new RevokeSecurityGroupIngressCommand({
      GroupId: webId,
      SecurityGroupRuleIds: [resultOf(authorized, "SecurityGroupRules[2].SecurityGroupRuleId")],
    }),
  );
  add(
    new RunInstancesCommand({
      ImageId: "ami-0000000000000a1ab",
      InstanceType: "m1.small",
      MinCount: 2,
      MaxCount: 2,
      SubnetId: resultOf(subnet, "Subnet.SubnetId"),
      SecurityGroupIds: [webId],
      UserData: btoa("#!/bin/sh\necho 'hello'\n"),
      TagSpecifications: named("instance", "web"),
    }),
  );
  return calls;
}
