"""What a script that uses boto3 makes of the server: Debian's boto3, which knows no AWS_ENDPOINT_URL."""

import os
import unittest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "config": Config(retries={"max_attempts": 1})}
ec2 = boto3.client("ec2", **options)
sts = boto3.client("sts", **options)
resource = boto3.resource("ec2", **options)

ANYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def tcp(port, *ranges):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": r} for r in ranges]}


class Case(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        """Each class has a VPC of its own, that is gone after it."""
        cls.vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        ec2.get_waiter("vpc_available").wait(VpcIds=[cls.vpc])
        cls.addClassCleanup(ec2.delete_vpc, VpcId=cls.vpc)
        cls.subnet = ec2.create_subnet(VpcId=cls.vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
        ec2.get_waiter("subnet_available").wait(SubnetIds=[cls.subnet])
        cls.addClassCleanup(ec2.delete_subnet, SubnetId=cls.subnet)

    def refused(self, code, call, *, status=400, message=None, **parameters):
        """The call fails with that code and status; message is all of the text, or None."""
        with self.assertRaises(ClientError) as caught:
            call(**parameters)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], code, answer["Error"])
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertTrue(answer["ResponseMetadata"]["RequestId"])
        if message is not None:
            self.assertEqual(answer["Error"]["Message"], message)

    def group(self, name, **parameters):
        answer = ec2.create_security_group(GroupName=name, Description="of a test", VpcId=self.vpc, **parameters)
        self.addCleanup(self.delete_group, answer["GroupId"])
        return answer["GroupId"]

    @staticmethod
    def delete_group(group):
        try:
            ec2.delete_security_group(GroupId=group)
        except ClientError as e:
            if e.response["Error"]["Code"] != "InvalidGroup.NotFound":
                raise

    def describe(self, group):
        [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        return found

    def rules(self, group):
        found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        return found["SecurityGroupRules"]


class Groups(Case):
    def test_new_group(self):
        answer = ec2.create_security_group(GroupName="new ", Description="of a test", VpcId=self.vpc)
        group = answer["GroupId"]
        self.addCleanup(ec2.delete_security_group, GroupId=group)
        self.assertNotIn("Tags", answer)
        ec2.get_waiter("security_group_exists").wait(GroupIds=[group])
        found = self.describe(group)
        self.assertEqual(found["GroupName"], "new", "trailing spaces go")
        self.assertEqual(found["Description"], "of a test")
        self.assertEqual(found["VpcId"], self.vpc)
        self.assertRegex(found["OwnerId"], r"^\d{12}$")
        self.assertEqual(found["IpPermissions"], [])
        self.assertEqual(found["IpPermissionsEgress"], [{
            "IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": [],
        }])

    def test_names(self):
        self.group("Name")
        create = ec2.create_security_group
        self.refused("InvalidGroup.Duplicate", create, GroupName="nAME  ", Description="d", VpcId=self.vpc,
                     message=f"The security group 'nAME' already exists for VPC '{self.vpc}'")
        for name in "sg-mine", "default":
            self.refused("InvalidParameterValue", create, GroupName=name, Description="d", VpcId=self.vpc)
        self.refused("InvalidParameterValue", create, GroupName="ok", Description="größer", VpcId=self.vpc)
        self.refused("InvalidVpcID.NotFound", create, GroupName="ok", Description="d", VpcId="vpc-0123456789abcdef0",
                     message="The vpc ID 'vpc-0123456789abcdef0' does not exist")
        self.refused("DryRunOperation", create, status=412, GroupName="ok", Description="d", VpcId=self.vpc, DryRun=True)
        [default] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        self.refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupNames=["Name"],
                     message=f"The security group 'Name' does not exist in default VPC '{default['VpcId']}'")

    def test_not_there(self):
        gone = "sg-0123456789abcdef0"
        for call in ec2.delete_security_group, lambda GroupId: ec2.describe_security_groups(GroupIds=[GroupId]):
            self.refused("InvalidGroup.NotFound", call, GroupId=gone, message=f"The security group '{gone}' does not exist")
        self.refused("InvalidGroupId.Malformed", ec2.delete_security_group, GroupId="sg-xyz",
                     message='Invalid id: "sg-xyz" (expecting "sg-...")')
        waiter = ec2.get_waiter("security_group_exists")
        with self.assertRaises(WaiterError):
            waiter.wait(GroupIds=[gone], WaiterConfig={"Delay": 0, "MaxAttempts": 2})

    def test_what_pins_a_group(self):
        pinned, other = self.group("pinned"), self.group("other")
        # A rule of another group.
        pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": pinned}]}
        ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[pair])
        depends = {"message": f"resource {pinned} has a dependent object", "GroupId": pinned}
        self.refused("DependencyViolation", ec2.delete_security_group, **depends)
        ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[pair])
        # An interface, though nothing carries it.
        eni = ec2.create_network_interface(SubnetId=self.subnet, Groups=[pinned])["NetworkInterface"]["NetworkInterfaceId"]
        self.refused("DependencyViolation", ec2.delete_security_group, **depends)
        ec2.delete_network_interface(NetworkInterfaceId=eni)
        # Not its own rule.
        ec2.authorize_security_group_ingress(GroupId=pinned, IpPermissions=[pair])
        ec2.delete_security_group(GroupId=pinned)
        [default] = ec2.describe_security_groups(Filters=[
            {"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
        self.refused("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"], message=
                     f'the specified group: "{default["GroupId"]}" name: "default" cannot be deleted by a user')

    def test_pages_and_filters(self):
        groups = {self.group(f"page-{n:02}", TagSpecifications=[
            {"ResourceType": "security-group", "Tags": [{"Key": "page", "Value": str(n)}]}]) for n in range(12)}
        mine = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "group-name", "Values": ["page-*", "nobody"]}]
        pages = list(ec2.get_paginator("describe_security_groups").paginate(
            Filters=mine, PaginationConfig={"PageSize": 5}))
        self.assertEqual([len(p["SecurityGroups"]) for p in pages], [5, 5, 2])
        self.assertEqual({g["GroupId"] for p in pages for g in p["SecurityGroups"]}, groups)
        [one] = ec2.describe_security_groups(Filters=mine + [{"Name": "tag:page", "Values": ["7"]}])["SecurityGroups"]
        self.assertEqual(one["GroupName"], "page-07")
        self.assertEqual(one["Tags"], [{"Key": "page", "Value": "7"}])
        describe = ec2.describe_security_groups
        self.refused("InvalidParameterValue", describe, Filters=[{"Name": "colour", "Values": ["red"]}],
                     message="The filter 'colour' is invalid")
        token = describe(MaxResults=5)["NextToken"]
        self.assertTrue(describe(MaxResults=5, NextToken=token)["SecurityGroups"])
        with self.assertRaises(ClientError) as caught:
            describe(MaxResults=5, NextToken="made-up")
        self.assertIn(caught.exception.response["Error"]["Code"], ("InvalidNextToken", "InvalidPaginationToken"))

    def test_tags(self):
        group = self.group("tags", TagSpecifications=[
            {"ResourceType": "security-group", "Tags": [{"Key": "Name", "Value": "first"}, {"Key": "empty", "Value": ""}]}])
        ec2.create_tags(Resources=[group], Tags=[{"Key": "Name", "Value": "second"}, {"Key": "more", "Value": "&<>"}])
        pages = ec2.get_paginator("describe_tags").paginate(Filters=[{"Name": "resource-id", "Values": [group]}])
        self.assertEqual({(t["Key"], t["Value"], t["ResourceType"]) for t in pages.search("Tags[]")}, {
            ("Name", "second", "security-group"), ("empty", "", "security-group"), ("more", "&<>", "security-group")})
        ec2.delete_tags(Resources=[group], Tags=[{"Key": "Name", "Value": "first"}, {"Key": "more"}])
        self.assertEqual({t["Key"] for t in self.describe(group)["Tags"]}, {"Name", "empty"})
        ec2.delete_tags(Resources=[group])
        self.assertNotIn("Tags", self.describe(group))
        self.refused("InvalidParameterValue", ec2.create_tags, Resources=[group], Tags=[{"Key": "aws:mine", "Value": ""}])
        self.refused("InvalidGroup.NotFound", ec2.create_tags, Resources=["sg-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "b"}])


class Rules(Case):
    def test_one_rule_per_source(self):
        peer, group = self.group("peer"), self.group("sources")
        answer = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{
            "IpProtocol": "TCP", "FromPort": 80, "ToPort": 81,
            "IpRanges": [{"CidrIp": "100.68.0.18/18", "Description": "a & b"}, {"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [{"CidrIpv6": "2001:DB8:0:0::1/64"}],
            "UserIdGroupPairs": [{"GroupId": peer}],
        }])
        self.assertTrue(answer["Return"])
        made = answer["SecurityGroupRules"]
        self.assertEqual(len({r["SecurityGroupRuleId"] for r in made}), 4)
        self.assertEqual([r.get("CidrIpv4") or r.get("CidrIpv6") or r["ReferencedGroupInfo"]["GroupId"] for r in made],
                         ["100.68.0.0/18", "10.0.0.0/8", "2001:db8::/64", peer])
        for r in made:
            self.assertEqual((r["GroupId"], r["IsEgress"], r["IpProtocol"], r["FromPort"], r["ToPort"]),
                             (group, False, "tcp", 80, 81))
            self.assertNotIn("Tags", r)
        found = self.describe(group)
        self.assertEqual(found["IpPermissions"], [{
            "IpProtocol": "tcp", "FromPort": 80, "ToPort": 81,
            "IpRanges": [{"CidrIp": "100.68.0.0/18", "Description": "a & b"}, {"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/64"}], "PrefixListIds": [],
            "UserIdGroupPairs": [{"GroupId": peer, "UserId": found["OwnerId"]}],
        }])
        self.assertTrue(all(r["Tags"] == [] for r in self.rules(group)))

    def test_every_protocol(self):
        group = self.group("protocols")
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": "-1", "FromPort": 7, "ToPort": 9, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]},
            {"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.1.0.0/16"}]},
            {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]},
            {"IpProtocol": "58", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
            {"IpProtocol": "17", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]},
        ])
        self.assertEqual([(p["IpProtocol"], p.get("FromPort"), p.get("ToPort")) for p in self.describe(group)["IpPermissions"]],
                         [("-1", None, None), ("50", None, None), ("icmp", 8, -1), ("icmpv6", -1, -1), ("udp", 0, 65535)])
        self.assertEqual([(r["IpProtocol"], r["FromPort"], r["ToPort"]) for r in self.rules(group) if not r["IsEgress"]],
                         [("-1", -1, -1), ("50", -1, -1), ("icmp", 8, -1), ("icmpv6", -1, -1), ("udp", 0, 65535)])
        # Ports of -1 mean nothing in a revoke either.
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}])
        authorize = ec2.authorize_security_group_ingress
        for protocol in "all", "esp":
            self.refused("InvalidParameterValue", authorize, GroupId=group, IpPermissions=[
                {"IpProtocol": protocol, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}],
                message=f"Invalid value '{protocol}' for IP protocol. Unknown protocol.")
        self.refused("InvalidParameterValue", authorize, GroupId=group,
                     IpPermissions=[{"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}],
                     message="Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
        self.refused("InvalidParameterValue", authorize, GroupId=group, IpPermissions=[tcp(1, "10.1.0.0")],
                     message="CIDR block 10.1.0.0 is malformed")

    def test_duplicates(self):
        group = self.group("duplicates")
        authorize = ec2.authorize_security_group_ingress
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "one"}]}
        authorize(GroupId=group, IpPermissions=[permission])
        before = self.describe(group)
        self.refused("InvalidPermission.Duplicate", authorize, GroupId=group, IpPermissions=[tcp(81, "10.0.0.0/8"), tcp(80, "0.0.0.0/0")],
                     message='the specified rule "peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW" already exists')
        self.refused("InvalidPermission.Duplicate", ec2.authorize_security_group_egress, GroupId=group, IpPermissions=[ANYWHERE],
                     message='the specified rule "peer: 0.0.0.0/0, ALL, ALLOW" already exists')
        self.refused("InvalidParameterValue", authorize, GroupId=group, IpPermissions=[tcp(82, "10.0.0.0/8", "10.9.9.9/8")],
                     message="The same permission must not appear multiple times")
        self.assertEqual(self.describe(group), before, "a refused call changes nothing")

    def test_revoke(self):
        group = self.group("revoke")
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "10.0.0.0/8", "0.0.0.0/0")])
        revoke = ec2.revoke_security_group_ingress
        self.refused("InvalidPermission.NotFound", revoke, GroupId=group, IpPermissions=[tcp(80, "10.0.0.0/9")],
                     message="The specified rule does not exist in this security group.")
        answer = revoke(GroupId=group, IpPermissions=[tcp(80, "10.1.2.3/8")])
        self.assertTrue(answer["Return"])
        [rule] = [r for r in self.rules(group) if not r["IsEgress"]]
        revoke(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
        self.refused("InvalidSecurityGroupRuleId.NotFound", revoke, GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
                     message=f"The security group rule ID '{rule['SecurityGroupRuleId']}' does not exist")
        self.refused("MissingParameter", revoke, GroupId=group,
                     message="Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
        # Terraform and Ansible take the default rule away; there is none for IPv6.
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[ANYWHERE])
        self.assertEqual(self.describe(group)["IpPermissionsEgress"], [])
        self.refused("InvalidPermission.NotFound", ec2.revoke_security_group_egress, GroupId=group, IpPermissions=[
            {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}])

    def test_revoke_in_the_default_vpc(self):
        group = ec2.create_security_group(GroupName="in-default", Description="d")["GroupId"]
        self.addCleanup(ec2.delete_security_group, GroupId=group)
        ec2.authorize_security_group_ingress(GroupName="in-default", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8")
        answer = ec2.revoke_security_group_ingress(GroupName="in-default", IpPermissions=[tcp(22, "10.0.0.0/8"), tcp(23, "10.0.0.0/8")])
        self.assertTrue(answer["Return"])
        self.assertEqual([(p["FromPort"], p["IpRanges"]) for p in answer["UnknownIpPermissions"]], [(23, [{"CidrIp": "10.0.0.0/8"}])])
        self.assertEqual(self.describe(group)["IpPermissions"], [])

    def test_tagged_rules(self):
        group = self.group("tagged-rules")
        [rule] = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "10.0.0.0/8")], TagSpecifications=[
            {"ResourceType": "security-group-rule", "Tags": [{"Key": "why", "Value": "test"}]}])["SecurityGroupRules"]
        self.assertEqual(rule["Tags"], [{"Key": "why", "Value": "test"}])
        ec2.create_tags(Resources=[rule["SecurityGroupRuleId"]], Tags=[{"Key": "more", "Value": ""}])
        pages = ec2.get_paginator("describe_security_group_rules").paginate(
            Filters=[{"Name": "group-id", "Values": [group]}, {"Name": "tag:why", "Values": ["t?st"]}])
        [found] = pages.search("SecurityGroupRules[]")
        self.assertEqual({t["Key"] for t in found["Tags"]}, {"why", "more"})

    def test_resource_api(self):
        group = resource.create_security_group(GroupName="resource", Description="d", VpcId=self.vpc)
        group.authorize_ingress(IpPermissions=[tcp(443, "0.0.0.0/0")])
        group.authorize_ingress(IpProtocol="udp", FromPort=53, ToPort=53, CidrIp="10.0.0.0/8")
        group.reload()
        self.assertEqual([p["FromPort"] for p in group.ip_permissions], [443, 53])
        group.revoke_ingress(IpProtocol="udp", FromPort=53, ToPort=53, CidrIp="10.0.0.0/8")
        group.create_tags(Tags=[{"Key": "Name", "Value": "resource"}])
        self.assertIn(group.id, [g.id for g in resource.Vpc(self.vpc).security_groups.filter(
            Filters=[{"Name": "ip-permission.from-port", "Values": ["443"]}])])
        group.delete()


class NetworkInterfaces(Case):
    def test_life(self):
        one, two = self.group("one"), self.group("two")
        eni = ec2.create_network_interface(
            SubnetId=self.subnet, Groups=[one], Description="of a test", PrivateIpAddress="10.8.1.40",
            TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "Name", "Value": "n"}]}])["NetworkInterface"]
        eni_id = eni["NetworkInterfaceId"]
        ec2.get_waiter("network_interface_available").wait(NetworkInterfaceIds=[eni_id])
        [found] = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni_id])["NetworkInterfaces"]
        self.assertEqual((found["Status"], found["PrivateIpAddress"], found["VpcId"], found["SubnetId"], found["Description"]),
                         ("available", "10.8.1.40", self.vpc, self.subnet, "of a test"))
        self.assertEqual(found["Groups"], [{"GroupId": one, "GroupName": "one"}])
        self.assertEqual(found["TagSet"], [{"Key": "Name", "Value": "n"}])
        self.assertEqual((found["InterfaceType"], found["SourceDestCheck"], found["RequesterManaged"]), ("interface", True, False))
        self.assertNotIn("Attachment", found)
        self.assertRegex(found["MacAddress"], r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
        [address] = found["PrivateIpAddresses"]
        self.assertEqual((address["PrivateIpAddress"], address["Primary"]), ("10.8.1.40", True))
        modify = ec2.modify_network_interface_attribute
        modify(NetworkInterfaceId=eni_id, Groups=[one, two])
        modify(NetworkInterfaceId=eni_id, SourceDestCheck={"Value": False})
        modify(NetworkInterfaceId=eni_id, Description={"Value": "changed"})
        pages = ec2.get_paginator("describe_network_interfaces").paginate(Filters=[{"Name": "group-id", "Values": [two]}])
        [found] = pages.search("NetworkInterfaces[]")
        self.assertEqual({g["GroupId"] for g in found["Groups"]}, {one, two})
        self.assertEqual((found["SourceDestCheck"], found["Description"]), (False, "changed"))
        self.refused("InvalidParameterCombination", modify, NetworkInterfaceId=eni_id, Groups=[])
        self.refused("InvalidGroup.NotFound", modify, NetworkInterfaceId=eni_id, Groups=["sg-0123456789abcdef0"])
        self.refused("InvalidIPAddress.InUse", ec2.create_network_interface, SubnetId=self.subnet, PrivateIpAddress="10.8.1.40")
        self.refused("DependencyViolation", ec2.delete_subnet, SubnetId=self.subnet,
                     message=f"The subnet '{self.subnet}' has dependencies and cannot be deleted.")
        ec2.delete_network_interface(NetworkInterfaceId=eni_id)
        self.refused("InvalidNetworkInterfaceID.NotFound", ec2.describe_network_interfaces, NetworkInterfaceIds=[eni_id],
                     message=f"The networkInterface ID '{eni_id}' does not exist")
        with self.assertRaises(WaiterError):
            ec2.get_waiter("network_interface_available").wait(NetworkInterfaceIds=[eni_id])

    def test_another_vpcs_group(self):
        [foreign] = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        with self.assertRaises(ClientError):
            ec2.create_network_interface(SubnetId=self.subnet, Groups=[foreign["GroupId"]])


    def test_addresses(self):
        eni = ec2.create_network_interface(SubnetId=self.subnet, PrivateIpAddress="10.8.1.70")["NetworkInterface"]["NetworkInterfaceId"]
        self.addCleanup(ec2.delete_network_interface, NetworkInterfaceId=eni)
        answer = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=["10.8.1.77"])
        self.assertEqual(answer["AssignedPrivateIpAddresses"], [{"PrivateIpAddress": "10.8.1.77"}])
        self.assertEqual(answer["NetworkInterfaceId"], eni)
        [found] = ec2.describe_network_interfaces(Filters=[
            {"Name": "addresses.private-ip-address", "Values": ["10.8.1.77"]}])["NetworkInterfaces"]
        self.assertEqual([a["Primary"] for a in found["PrivateIpAddresses"]], [True, False])
        ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=["10.8.1.77"])
        with self.assertRaises(ClientError):
            ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=[found["PrivateIpAddress"]])
        attribute = ec2.describe_network_interface_attribute(NetworkInterfaceId=eni, Attribute="description")
        self.assertEqual(attribute["NetworkInterfaceId"], eni)


class Networks(Case):
    def test_ipv6_comes_later(self):
        untouched, touched = self.group("untouched"), self.group("touched")
        ec2.authorize_security_group_egress(GroupId=touched, IpPermissions=[tcp(443, "10.0.0.0/8")])
        association = ec2.associate_vpc_cidr_block(VpcId=self.vpc, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
        self.addCleanup(ec2.disassociate_vpc_cidr_block, AssociationId=association["AssociationId"])
        self.assertEqual(association["Ipv6CidrBlockState"]["State"], "associating")
        [vpc] = ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"]
        self.assertEqual(vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlockState"]["State"], "associated")
        # Groups whose egress nobody touched get the rule; and new ones.
        for group, ranges in (untouched, [{"CidrIpv6": "::/0"}]), (touched, []), (self.group("new"), [{"CidrIpv6": "::/0"}]):
            [all_out] = [p for p in self.describe(group)["IpPermissionsEgress"] if p["IpProtocol"] == "-1"]
            self.assertEqual((all_out["IpRanges"], all_out["Ipv6Ranges"]), ([{"CidrIp": "0.0.0.0/0"}], ranges))

    def test_canonical_blocks(self):
        subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.8.7.9/24")["Subnet"]
        self.addCleanup(ec2.delete_subnet, SubnetId=subnet["SubnetId"])
        self.assertEqual(subnet["CidrBlock"], "10.8.7.0/24")
        self.assertEqual(subnet["AvailableIpAddressCount"], 251)
        self.refused("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=self.vpc, CidrBlock="10.8.7.128/25",
                     message="The CIDR '10.8.7.128/25' conflicts with another subnet")
        self.refused("InvalidSubnet.Range", ec2.create_subnet, VpcId=self.vpc, CidrBlock="10.9.0.0/24",
                     message="The CIDR '10.9.0.0/24' is invalid.")

    def test_attributes(self):
        attribute = ec2.describe_vpc_attribute(VpcId=self.vpc, Attribute="enableDnsSupport")
        self.assertEqual((attribute["VpcId"], attribute["EnableDnsSupport"]), (self.vpc, {"Value": True}))
        values = {a["AttributeName"]: [v["AttributeValue"] for v in a["AttributeValues"]]
                  for a in ec2.describe_account_attributes()["AccountAttributes"]}
        self.assertEqual(values["supported-platforms"], ["VPC"])
        self.assertRegex(values["default-vpc"][0], "^vpc-")


class PrefixLists(Case):
    def test_life(self):
        made = ec2.create_managed_prefix_list(
            PrefixListName="boto3", AddressFamily="IPv6", MaxEntries=3, Entries=[{"Cidr": "2001:db8::/32", "Description": "all"}],
            TagSpecifications=[{"ResourceType": "prefix-list", "Tags": [{"Key": "Name", "Value": "l"}]}])["PrefixList"]
        self.addCleanup(ec2.delete_managed_prefix_list, PrefixListId=made["PrefixListId"])
        self.assertEqual((made["Version"], made["MaxEntries"], made["AddressFamily"], made["Tags"]),
                         (1, 3, "IPv6", [{"Key": "Name", "Value": "l"}]))
        self.assertNotIn("StateMessage", made)
        lists = {"PrefixListId": made["PrefixListId"]}
        [found] = ec2.get_paginator("describe_managed_prefix_lists").paginate(
            Filters=[{"Name": "prefix-list-name", "Values": ["boto3"]}]).search("PrefixLists[]")
        self.assertIn(found["State"], ("create-complete", "create-in-progress"))
        ec2.modify_managed_prefix_list(**lists, CurrentVersion=1, AddEntries=[{"Cidr": "2001:db8:1::/48"}])
        entries = ec2.get_paginator("get_managed_prefix_list_entries").paginate(**lists, PaginationConfig={"PageSize": 1})
        self.assertEqual([e["Cidr"] for e in entries.search("Entries[]")], ["2001:db8::/32", "2001:db8:1::/48"])
        modify = ec2.modify_managed_prefix_list
        before = list(entries.search("Entries[]"))
        self.refused("PrefixListVersionMismatch", modify, **lists, CurrentVersion=1, AddEntries=[{"Cidr": "2001:db8:2::/48"}])
        self.refused("PrefixListMaxEntriesExceeded", modify, **lists, CurrentVersion=2,
                     AddEntries=[{"Cidr": f"2001:db8:{n}::/48"} for n in range(2, 6)])
        self.refused("InvalidParameterValue", modify, **lists, CurrentVersion=2, AddEntries=[{"Cidr": "2001:db8::1/32"}],
                     message="The specified CIDR (2001:db8::1/32) is not valid. For example, specify a CIDR in the following form: 2001:db8::/32.")
        self.refused("InvalidParameterValue", modify, **lists, CurrentVersion=2, AddEntries=[{"Cidr": "10.0.0.0/8"}])
        self.assertEqual(list(entries.search("Entries[]")), before)
        group = self.group("listed")
        [rule] = ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[
            {"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": made["PrefixListId"], "Description": "d"}]}])["SecurityGroupRules"]
        self.assertEqual(rule["PrefixListId"], made["PrefixListId"])
        self.assertIn([{"PrefixListId": made["PrefixListId"], "Description": "d"}],
                      [p["PrefixListIds"] for p in self.describe(group)["IpPermissionsEgress"]])
        self.assertEqual([a["ResourceId"] for a in ec2.get_managed_prefix_list_associations(**lists)["PrefixListAssociations"]], [group])
        gone = "pl-0123456789abcdef0"
        self.refused("InvalidPrefixListID.NotFound", ec2.get_managed_prefix_list_entries, PrefixListId=gone,
                     message=f"The prefix list ID '{gone}' does not exist")
        self.refused("InvalidPrefixListId.Malformed", ec2.get_managed_prefix_list_entries, PrefixListId="pl-x")


class Callers(unittest.TestCase):
    refused = Case.refused

    def test_identity(self):
        me = sts.get_caller_identity()
        self.assertEqual(me["Arn"], f"arn:aws:iam::{me['Account']}:user/admin")
        self.assertEqual(ec2.describe_security_groups()["SecurityGroups"][0]["OwnerId"], me["Account"])

    def test_wrong_credentials(self):
        wrong = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "wrong", **options}
        self.refused("AuthFailure", boto3.client("ec2", **wrong).describe_vpcs, status=401,
                     message="AWS was not able to validate the provided access credentials")
        self.refused("InvalidClientTokenId", boto3.client("sts", **wrong).get_caller_identity, status=403)

    def test_regions(self):
        self.assertEqual([r["RegionName"] for r in ec2.describe_regions()["Regions"]], ["us-east-1"])
        for zone in ec2.describe_availability_zones()["AvailabilityZones"]:
            self.assertEqual((zone["State"], zone["RegionName"], zone["ZoneType"], zone["Messages"]),
                             ("available", "us-east-1", "availability-zone", []))

    def test_presigned(self):
        import urllib.request
        url = ec2.generate_presigned_url("describe_vpcs", Params={}, ExpiresIn=60, HttpMethod="GET")
        with urllib.request.urlopen(url) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/xml;charset=UTF-8")
            self.assertIn(b"<vpcSet>", answer.read())


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
