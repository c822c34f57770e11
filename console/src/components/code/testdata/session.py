import boto3

ec2 = boto3.client("ec2")

vpc = ec2.create_vpc(
    CidrBlock="10.7.0.0/16",
    TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "shop"}]}],
)

subnet = ec2.create_subnet(
    VpcId=vpc["Vpc"]["VpcId"],
    CidrBlock="10.7.1.0/24",
)

security_group = ec2.create_security_group(
    GroupName="web",
    Description="Web servers: 1 & 2 $HOME",
    VpcId=vpc["Vpc"]["VpcId"],
    TagSpecifications=[
        {
            "ResourceType": "security-group",
            "Tags": [
                {"Key": "Name", "Value": "it's web"},
                {"Key": "team", "Value": "${shop} %{if} \"a\\b\""},
            ],
        },
    ],
)

security_group_ingress = ec2.authorize_security_group_ingress(
    GroupId=security_group["GroupId"],
    IpPermissions=[
        {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "everybody"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
        },
        {
            "IpProtocol": "icmp",
            "FromPort": 8,
            "ToPort": -1,
            "IpRanges": [{"CidrIp": "192.0.2.0/24"}],
        },
    ],
)

security_group_2 = ec2.create_security_group(
    GroupName="db",
    Description="- databases",
    VpcId=vpc["Vpc"]["VpcId"],
)

ec2.revoke_security_group_egress(
    GroupId=security_group_2["GroupId"],
    IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
)

ec2.authorize_security_group_ingress(
    GroupId=security_group_2["GroupId"],
    IpPermissions=[
        {
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5440,
            "UserIdGroupPairs": [{"GroupId": security_group["GroupId"]}],
        },
    ],
)

managed_prefix_list = ec2.create_managed_prefix_list(
    PrefixListName="offices",
    AddressFamily="IPv4",
    MaxEntries=5,
    Entries=[{"Cidr": "203.0.113.0/24", "Description": "Hamburg"}, {"Cidr": "198.51.100.0/25"}],
)

ec2.authorize_security_group_egress(
    GroupId=security_group_2["GroupId"],
    IpPermissions=[
        {
            "IpProtocol": "udp",
            "FromPort": 53,
            "ToPort": 53,
            "PrefixListIds": [{"PrefixListId": managed_prefix_list["PrefixList"]["PrefixListId"]}],
        },
    ],
)

ec2.modify_managed_prefix_list(
    PrefixListId=managed_prefix_list["PrefixList"]["PrefixListId"],
    CurrentVersion=1,
    AddEntries=[{"Cidr": "192.0.2.128/25", "Description": "Porto"}],
    RemoveEntries=[{"Cidr": "198.51.100.0/25"}],
)

network_interface = ec2.create_network_interface(
    SubnetId=subnet["Subnet"]["SubnetId"],
    Description="the first",
    Groups=[security_group["GroupId"], security_group_2["GroupId"]],
    PrivateIpAddress="10.7.1.10",
)

ec2.modify_network_interface_attribute(
    NetworkInterfaceId=network_interface["NetworkInterface"]["NetworkInterfaceId"],
    Groups=[security_group["GroupId"]],
)

ec2.modify_network_interface_attribute(
    NetworkInterfaceId=network_interface["NetworkInterface"]["NetworkInterfaceId"],
    SourceDestCheck={"Value": False},
)

ec2.create_tags(
    Resources=[
        network_interface["NetworkInterface"]["NetworkInterfaceId"],
        security_group_2["GroupId"],
    ],
    Tags=[{"Key": "env", "Value": "prod"}, {"Key": "old", "Value": ""}],
)

ec2.delete_tags(
    Resources=[network_interface["NetworkInterface"]["NetworkInterfaceId"]],
    Tags=[{"Key": "old"}],
)

vpc_2 = ec2.create_vpc(
    CidrBlock="10.8.0.0/16",
    AmazonProvidedIpv6CidrBlock=True,
)

ec2.modify_vpc_attribute(
    VpcId=vpc_2["Vpc"]["VpcId"],
    EnableDnsHostnames={"Value": True},
)

vpc_peering_connection = ec2.create_vpc_peering_connection(
    VpcId=vpc["Vpc"]["VpcId"],
    PeerVpcId=vpc_2["Vpc"]["VpcId"],
)

ec2.accept_vpc_peering_connection(
    VpcPeeringConnectionId=vpc_peering_connection["VpcPeeringConnection"]["VpcPeeringConnectionId"],
)

security_group_3 = ec2.create_security_group(
    GroupName="gone",
    Description="for a moment",
    VpcId=vpc["Vpc"]["VpcId"],
)

ec2.delete_security_group(
    GroupId=security_group_3["GroupId"],
)

ec2.modify_security_group_rules(
    GroupId=security_group["GroupId"],
    SecurityGroupRules=[
        {
            "SecurityGroupRuleId": security_group_ingress["SecurityGroupRules"][0]["SecurityGroupRuleId"],
            "SecurityGroupRule": {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "CidrIpv4": "0.0.0.0/0",
                "Description": "",
            },
        },
    ],
)

ec2.revoke_security_group_ingress(
    GroupId=security_group["GroupId"],
    SecurityGroupRuleIds=[security_group_ingress["SecurityGroupRules"][2]["SecurityGroupRuleId"]],
)

ec2.run_instances(
    ImageId="ami-0000000000000a1ab",
    InstanceType="m1.small",
    MinCount=2,
    MaxCount=2,
    SubnetId=subnet["Subnet"]["SubnetId"],
    SecurityGroupIds=[security_group["GroupId"]],
    UserData="#!/bin/sh\necho 'hello'\n",
    TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
)
