// What a program that uses the SDK for JavaScript makes of the server. It knows the newer calls, which
// Debian's clients do not.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const ec2 = require("@aws-sdk/client-ec2");
const sts = require("@aws-sdk/client-sts");

// Endpoint, region and credentials come from the environment, as in any program.
const client = new ec2.EC2Client({ maxAttempts: 1 });
const call = (name, input) => client.send(new ec2[name + "Command"](input));
const quick = { client, minDelay: 0.05, maxDelay: 0.05, maxWaitTime: 20 }; // seconds

// The call fails as told, with that text as its message, if any is given.
const refused = (promise, code, message, status = 400) =>
  assert.rejects(promise, (e) => {
    assert.equal(e.name, code, e.message);
    assert.equal(e.$metadata.httpStatusCode, status);
    assert.ok(e.$metadata.requestId);
    if (message !== undefined) assert.equal(e.message, message);
    return true;
  });

const tcp = (port, ...ranges) => ({
  IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: ranges.map((r) => ({ CidrIp: r })),
});

let vpc, other, subnet;
before(async () => {
  vpc = (await call("CreateVpc", { CidrBlock: "10.40.0.0/16" })).Vpc.VpcId;
  other = (await call("CreateVpc", { CidrBlock: "10.41.0.0/16" })).Vpc.VpcId;
  await ec2.waitUntilVpcAvailable(quick, { VpcIds: [vpc, other] });
  subnet = (await call("CreateSubnet", { VpcId: vpc, CidrBlock: "10.40.1.0/24" })).Subnet.SubnetId;
  await ec2.waitUntilSubnetAvailable(quick, { SubnetIds: [subnet] });
});
after(async () => {
  await call("DeleteSubnet", { SubnetId: subnet });
  await call("DeleteVpc", { VpcId: vpc });
  await call("DeleteVpc", { VpcId: other });
});

const group = async (t, name, vpcId = vpc) => {
  const made = await call("CreateSecurityGroup", { GroupName: name, Description: "of a test", VpcId: vpcId });
  t.after(() => call("DeleteSecurityGroup", { GroupId: made.GroupId }).catch((e) => assert.equal(e.name, "InvalidGroup.NotFound")));
  return made.GroupId;
};
const rulesOf = async (id, egress = false) => {
  const out = await call("DescribeSecurityGroupRules", { Filters: [{ Name: "group-id", Values: [id] }] });
  return out.SecurityGroupRules.filter((r) => r.IsEgress === egress);
};

test("a group from its first call to its last", async (t) => {
  const made = await call("CreateSecurityGroup", {
    GroupName: "js", Description: "a & b", VpcId: vpc,
    TagSpecifications: [{ ResourceType: "security-group", Tags: [{ Key: "Name", Value: "<js>" }] }],
  });
  assert.match(made.SecurityGroupArn, /^arn:aws:ec2:us-east-1:\d{12}:security-group\/sg-[0-9a-f]{17}$/);
  await ec2.waitUntilSecurityGroupExists(quick, { GroupIds: [made.GroupId] });
  const [found] = (await call("DescribeSecurityGroups", { GroupIds: [made.GroupId] })).SecurityGroups;
  assert.equal(found.Description, "a & b");
  assert.equal(found.SecurityGroupArn, made.SecurityGroupArn);
  assert.deepEqual(found.Tags, [{ Key: "Name", Value: "<js>" }]);
  assert.deepEqual(found.IpPermissions, []);
  assert.deepEqual(found.IpPermissionsEgress, [{
    IpProtocol: "-1", IpRanges: [{ CidrIp: "0.0.0.0/0" }], Ipv6Ranges: [], PrefixListIds: [], UserIdGroupPairs: [],
  }]);
  const deleted = await call("DeleteSecurityGroup", { GroupId: made.GroupId });
  assert.equal(deleted.GroupId, made.GroupId);
  assert.equal(deleted.Return, true);
  await refused(call("DeleteSecurityGroup", { GroupId: made.GroupId }), "InvalidGroup.NotFound",
    `The security group '${made.GroupId}' does not exist`);
  await refused(call("CreateSecurityGroup", { GroupName: "js", Description: "d", VpcId: vpc, DryRun: true }), "DryRunOperation",
    "Request would have succeeded, but DryRun flag is set.", 412);
});

test("rules are changed in place", async (t) => {
  const peer = await group(t, "js-peer");
  const id = await group(t, "js-rules");
  const made = await call("AuthorizeSecurityGroupIngress", {
    GroupId: id, IpPermissions: [tcp(80, "10.0.0.0/8"), { IpProtocol: "-1", UserIdGroupPairs: [{ GroupId: peer }] }],
    TagSpecifications: [{ ResourceType: "security-group-rule", Tags: [{ Key: "kept", Value: "yes" }] }],
  });
  const [cidr, pair] = made.SecurityGroupRules.map((r) => r.SecurityGroupRuleId);
  const [egress] = await rulesOf(id, true);
  const modify = (...rules) => call("ModifySecurityGroupRules", {
    GroupId: id, SecurityGroupRules: rules.map(([SecurityGroupRuleId, SecurityGroupRule]) => ({ SecurityGroupRuleId, SecurityGroupRule })),
  });
  // Both directions in one call; ids and tags stay.
  const out = await modify(
    [cidr, { IpProtocol: "udp", FromPort: 53, ToPort: 53, CidrIpv4: "192.0.2.9/24", Description: "names" }],
    [egress.SecurityGroupRuleId, { IpProtocol: "tcp", FromPort: 443, ToPort: 443, CidrIpv4: "0.0.0.0/0" }]);
  assert.equal(out.Return, true);
  const [changed] = (await call("DescribeSecurityGroupRules", { SecurityGroupRuleIds: [cidr] })).SecurityGroupRules;
  assert.deepEqual([changed.IpProtocol, changed.FromPort, changed.CidrIpv4, changed.Description, changed.Tags],
    ["udp", 53, "192.0.2.0/24", "names", [{ Key: "kept", Value: "yes" }]]);
  assert.equal((await rulesOf(id, true))[0].FromPort, 443);
  // What it refuses, and that nothing changes then.
  const before = await rulesOf(id);
  await refused(modify([cidr, { IpProtocol: "tcp", FromPort: 1, ToPort: 1, CidrIpv6: "::/0" }]), "InvalidParameterValue",
    `Invalid rule type for security group rule '${cidr}'. You may not specify CidrIpv6 for an existing IPv4 CIDR rule.`);
  await refused(modify([cidr, { IpProtocol: "tcp", FromPort: 1, ToPort: 1, CidrIpv4: "10.0.0.0/8", CidrIpv6: "::/0" }]), "InvalidParameterCombination",
    "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified");
  await refused(modify([cidr, { IpProtocol: "tcp", FromPort: 1, ToPort: 1 }]), "MissingParameter",
    "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId");
  await refused(modify([cidr, { CidrIpv4: "10.0.0.0/8" }]), "InvalidParameterValue",
    "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.");
  await refused(modify([cidr, { IpProtocol: "tcp", CidrIpv4: "10.0.0.0/8" }]), "InvalidParameterValue",
    "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.");
  await refused(modify([pair, { IpProtocol: "-1", ReferencedGroupId: peer }], ["sgr-0123456789abcdef0", { IpProtocol: "-1", ReferencedGroupId: peer }]),
    "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-0123456789abcdef0' does not exist");
  assert.deepEqual(await rulesOf(id), before);
  // Descriptions, by id and by what the rule is.
  await call("UpdateSecurityGroupRuleDescriptionsIngress", {
    GroupId: id, SecurityGroupRuleDescriptions: [{ SecurityGroupRuleId: pair, Description: "members" }],
  });
  await call("UpdateSecurityGroupRuleDescriptionsIngress", {
    GroupId: id, IpPermissions: [{ IpProtocol: "udp", FromPort: 53, ToPort: 53, IpRanges: [{ CidrIp: "192.0.2.0/24" }] }],
  });
  assert.deepEqual((await rulesOf(id)).map((r) => r.Description).filter(Boolean), ["members"]);
  const revoked = await call("RevokeSecurityGroupIngress", { GroupId: id, SecurityGroupRuleIds: [cidr, pair] });
  assert.deepEqual(new Set(revoked.RevokedSecurityGroupRules.map((r) => r.SecurityGroupRuleId)), new Set([cidr, pair]));
  assert.equal(revoked.RevokedSecurityGroupRules.find((r) => r.SecurityGroupRuleId === pair).ReferencedGroupId, peer);
});

test("a group in a second VPC", async (t) => {
  const id = await group(t, "js-shared");
  const forVpc = async () => {
    const found = [];
    for await (const page of ec2.paginateGetSecurityGroupsForVpc({ client, pageSize: 5 }, { VpcId: other })) found.push(...page.SecurityGroupForVpcs);
    return found;
  };
  assert.deepEqual((await forVpc()).map((g) => g.GroupName), ["default"]);
  await call("AssociateSecurityGroupVpc", { GroupId: id, VpcId: other });
  const byGroup = { Filters: [{ Name: "group-id", Values: [id] }] };
  await ec2.waitUntilSecurityGroupVpcAssociationAssociated(quick, byGroup);
  const shared = (await forVpc()).find((g) => g.GroupId === id);
  assert.deepEqual([shared.PrimaryVpcId, shared.Description, shared.Tags], [vpc, "of a test", []]);
  await refused(call("DeleteSecurityGroup", { GroupId: id }), "DependencyViolation");
  await call("DisassociateSecurityGroupVpc", { GroupId: id, VpcId: other });
  await ec2.waitUntilSecurityGroupVpcAssociationDisassociated(quick, byGroup);
  assert.deepEqual((await forVpc()).map((g) => g.GroupName), ["default"]);
});

test("peering, references across it, and what is left of them", async (t) => {
  const here = await group(t, "js-here");
  const there = await group(t, "js-there", other);
  const reference = { GroupId: here, IpPermissions: [{ IpProtocol: "tcp", FromPort: 22, ToPort: 22, UserIdGroupPairs: [{ GroupId: there }] }] };
  await refused(call("AuthorizeSecurityGroupIngress", reference), "InvalidGroup.NotFound",
    "You have specified two resources that belong to different networks.");
  const pcx = (await call("CreateVpcPeeringConnection", { VpcId: vpc, PeerVpcId: other })).VpcPeeringConnection.VpcPeeringConnectionId;
  await ec2.waitUntilVpcPeeringConnectionExists(quick, { VpcPeeringConnectionIds: [pcx] });
  const status = async () => (await call("DescribeVpcPeeringConnections", { VpcPeeringConnectionIds: [pcx] })).VpcPeeringConnections[0].Status.Code;
  assert.equal(await status(), "pending-acceptance");
  await call("AcceptVpcPeeringConnection", { VpcPeeringConnectionId: pcx });
  assert.equal(await status(), "active");
  await call("AuthorizeSecurityGroupIngress", reference);
  const [pair] = (await call("DescribeSecurityGroups", { GroupIds: [here] })).SecurityGroups[0].IpPermissions[0].UserIdGroupPairs;
  assert.deepEqual([pair.GroupId, pair.VpcId, pair.VpcPeeringConnectionId, pair.PeeringStatus], [there, other, pcx, "active"]);
  assert.deepEqual((await call("DescribeSecurityGroupReferences", { GroupId: [there] })).SecurityGroupReferenceSet,
    [{ GroupId: there, ReferencingVpcId: vpc, VpcPeeringConnectionId: pcx }]);
  const stale = async () => (await call("DescribeStaleSecurityGroups", { VpcId: vpc })).StaleSecurityGroupSet;
  assert.deepEqual(await stale(), []);
  await call("DeleteVpcPeeringConnection", { VpcPeeringConnectionId: pcx });
  await ec2.waitUntilVpcPeeringConnectionDeleted(quick, { VpcPeeringConnectionIds: [pcx] });
  const [left] = await stale();
  assert.deepEqual([left.GroupId, left.GroupName, left.StaleIpPermissions[0].UserIdGroupPairs[0].GroupId], [here, "js-here", there]);
  await call("RevokeSecurityGroupIngress", reference);
  assert.deepEqual(await stale(), []);
});

test("a prefix list and its versions", async (t) => {
  const entries = Array.from({ length: 100 }, (_, n) => ({ Cidr: `198.51.100.${n}/32`, Description: `entry ${n}` }));
  const list = (await call("CreateManagedPrefixList", {
    PrefixListName: "js", AddressFamily: "IPv4", MaxEntries: 150, Entries: entries,
  })).PrefixList;
  const id = list.PrefixListId;
  t.after(() => call("DeleteManagedPrefixList", { PrefixListId: id }));
  const read = async (TargetVersion) => {
    const all = [];
    const pages = ec2.paginateGetManagedPrefixListEntries({ client, pageSize: 40 }, { PrefixListId: id, TargetVersion });
    for await (const page of pages) all.push(...page.Entries);
    return all;
  };
  assert.equal((await read()).length, 100);
  await refused(call("ModifyManagedPrefixList", { PrefixListId: id, CurrentVersion: 1, AddEntries: [{ Cidr: "52.94.133.132/24" }] }),
    "InvalidParameterValue", "The specified CIDR (52.94.133.132/24) is not valid. For example, specify a CIDR in the following form: 10.0.0.0/16.");
  await call("ModifyManagedPrefixList", { PrefixListId: id, CurrentVersion: 1, AddEntries: [{ Cidr: "203.0.113.0/24" }], RemoveEntries: entries.map(({ Cidr }) => ({ Cidr })) });
  assert.deepEqual((await read()).map((e) => e.Cidr), ["203.0.113.0/24"]);
  assert.equal((await read(1)).length, 100);
  await call("RestoreManagedPrefixListVersion", { PrefixListId: id, PreviousVersion: 1, CurrentVersion: 2 });
  assert.equal((await read()).length, 100);
  assert.equal((await call("DescribeManagedPrefixLists", { PrefixListIds: [id] })).PrefixLists[0].Version, 3);

  // In a rule it weighs what it may hold, in its own family only.
  const user = await group(t, "js-lists");
  const named = { GroupId: user, IpPermissions: [{ IpProtocol: "tcp", FromPort: 1, ToPort: 1, PrefixListIds: [{ PrefixListId: id }] }] };
  await refused(call("AuthorizeSecurityGroupIngress", named), "RulesPerSecurityGroupLimitExceeded",
    "The maximum number of rules per security group has been reached.");
  const small = (await call("CreateManagedPrefixList", { PrefixListName: "small", AddressFamily: "IPv4", MaxEntries: 40 })).PrefixList.PrefixListId;
  named.IpPermissions[0].PrefixListIds[0].PrefixListId = small;
  await call("AuthorizeSecurityGroupIngress", named);
  const many = (n, range) => ({ GroupId: user, IpPermissions: Array.from({ length: n }, (_, i) => ({ IpProtocol: "udp", FromPort: i, ToPort: i, ...range })) });
  const v4 = { IpRanges: [{ CidrIp: "10.0.0.0/8" }] }, v6 = { Ipv6Ranges: [{ CidrIpv6: "::/0" }] };
  await refused(call("AuthorizeSecurityGroupIngress", many(21, v4)), "RulesPerSecurityGroupLimitExceeded");
  await call("AuthorizeSecurityGroupIngress", many(20, v4));
  await call("AuthorizeSecurityGroupIngress", many(60, v6));
  const uses = [];
  for await (const page of ec2.paginateGetManagedPrefixListAssociations({ client }, { PrefixListId: small })) uses.push(...page.PrefixListAssociations);
  assert.deepEqual(uses.map((u) => u.ResourceId), [user]);
  await call("DeleteSecurityGroup", { GroupId: user });
  await call("DeleteManagedPrefixList", { PrefixListId: small });
});

test("an interface and its attributes", async (t) => {
  const one = await group(t, "js-one");
  const { NetworkInterface: eni } = await call("CreateNetworkInterface", {
    SubnetId: subnet, Groups: [one], SecondaryPrivateIpAddressCount: 2,
    ConnectionTrackingSpecification: { TcpEstablishedTimeout: 600 }, ClientToken: "js-1",
  });
  const id = eni.NetworkInterfaceId;
  await ec2.waitUntilNetworkInterfaceAvailable(quick, { NetworkInterfaceIds: [id] });
  const [found] = (await call("DescribeNetworkInterfaces", { NetworkInterfaceIds: [id] })).NetworkInterfaces;
  assert.equal(found.PrivateIpAddresses.length, 3);
  assert.deepEqual(found.ConnectionTrackingConfiguration, { TcpEstablishedTimeout: 600 });
  const attribute = async (Attribute) => {
    const { $metadata, NetworkInterfaceId, ...rest } = await call("DescribeNetworkInterfaceAttribute", { NetworkInterfaceId: id, Attribute });
    assert.equal(NetworkInterfaceId, id);
    return rest;
  };
  await call("ModifyNetworkInterfaceAttribute", { NetworkInterfaceId: id, SourceDestCheck: { Value: false } });
  assert.deepEqual(await attribute("sourceDestCheck"), { SourceDestCheck: { Value: false } });
  await call("ResetNetworkInterfaceAttribute", { NetworkInterfaceId: id, SourceDestCheck: "true" });
  assert.deepEqual(await attribute("sourceDestCheck"), { SourceDestCheck: { Value: true } });
  assert.deepEqual(await attribute("groupSet"), { Groups: [{ GroupId: one, GroupName: "js-one" }] });
  const assigned = await call("AssignPrivateIpAddresses", { NetworkInterfaceId: id, Ipv4PrefixCount: 1 });
  const [{ Ipv4Prefix }] = assigned.AssignedIpv4Prefixes;
  assert.match(Ipv4Prefix, /^10\.40\.1\.\d+\/28$/);
  await call("UnassignPrivateIpAddresses", { NetworkInterfaceId: id, Ipv4Prefixes: [Ipv4Prefix] });
  await call("DeleteNetworkInterface", { NetworkInterfaceId: id });
});

test("who calls, and who may not", async () => {
  const me = await new sts.STSClient({}).send(new sts.GetCallerIdentityCommand({}));
  assert.equal(me.Arn, `arn:aws:iam::${me.Account}:user/admin`);
  const stranger = new ec2.EC2Client({ maxAttempts: 1, credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wrong" } });
  await refused(stranger.send(new ec2.DescribeVpcsCommand({})), "AuthFailure",
    "AWS was not able to validate the provided access credentials", 401);
});
