package clients_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

func (tf terraform) group(t *testing.T, id string) types.SecurityGroup {
	t.Helper()
	return one(t, must(tf.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}}))(t).SecurityGroups)
}

// destroyGroup deletes a group as every resource does: look for interfaces, delete, and wait until it is gone.
func (tf terraform) destroyGroup(t *testing.T, id string) {
	t.Helper()
	ctx := t.Context()
	left := must(tf.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("group-id", id)}}))(t)
	equal(t, "interfaces that carry the group", len(left.NetworkInterfaces), 0)
	must(tf.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &id}))(t)
	refused(tf.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}}))(t, "InvalidGroup.NotFound", id)
}

func terraformSecurityGroup(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)

	// Create: the group, then away with what EC2 made of its own accord.
	created := must(tf.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: aws.String("terraform"), Description: aws.String("Managed by Terraform"), VpcId: &vpcID,
		TagSpecifications: specification(types.ResourceTypeSecurityGroup, "Name=web"),
	}))(t)
	id := *created.GroupId
	tf.group(t, id)
	must(tf.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &id, IpPermissions: []types.IpPermission{anywhere()}}))(t)
	v6 := types.IpPermission{
		IpProtocol: aws.String("-1"), FromPort: aws.Int32(0), ToPort: aws.Int32(0), Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("::/0")}},
	}
	if _, err := tf.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &id, IpPermissions: []types.IpPermission{v6}}); err != nil {
		var refusal smithy.APIError
		if !errors.As(err, &refusal) || refusal.ErrorCode() != "InvalidPermission.NotFound" {
			t.Fatalf("the missing rule for IPv6: %v; want it revoked, or InvalidPermission.NotFound", err)
		}
	}
	if g := tf.group(t, id); len(g.IpPermissions)+len(g.IpPermissionsEgress) != 0 {
		t.Fatalf("the group still has rules: %+v", g)
	}
	https := types.IpPermission{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
		IpRanges:   []types.IpRange{{CidrIp: aws.String("0.0.0.0/0"), Description: aws.String("everybody")}},
		Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("::/0"), Description: aws.String("everybody")}},
	}
	self := types.IpPermission{
		IpProtocol: aws.String("-1"), FromPort: aws.Int32(0), ToPort: aws.Int32(0), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &id}},
	}
	must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{https, self}}))(t)
	must(tf.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &id, IpPermissions: []types.IpPermission{anywhere()}}))(t)

	// Read: a plan after this must be empty.
	g := tf.group(t, id)
	equal(t, "name", *g.GroupName, "terraform")
	equal(t, "description", *g.Description, "Managed by Terraform")
	equal(t, "VPC", *g.VpcId, vpcID)
	equal(t, "tags", tagsOf(g.Tags), "Name=web")
	if len(g.IpPermissions) != 2 {
		t.Fatalf("got %d permissions, want 2: %+v", len(g.IpPermissions), g.IpPermissions)
	}
	web, members := g.IpPermissions[0], g.IpPermissions[1]
	if *web.IpProtocol != "tcp" {
		web, members = members, web
	}
	equal(t, "ports", [2]int32{*web.FromPort, *web.ToPort}, [2]int32{443, 443})
	equal(t, "IPv4 range", *one(t, web.IpRanges).CidrIp+" "+*web.IpRanges[0].Description, "0.0.0.0/0 everybody")
	equal(t, "IPv6 range", *one(t, web.Ipv6Ranges).CidrIpv6+" "+*web.Ipv6Ranges[0].Description, "::/0 everybody")
	if members.FromPort != nil || members.ToPort != nil {
		t.Error("protocol -1 has ports")
	}
	pair := one(t, members.UserIdGroupPairs)
	equal(t, "itself", *pair.GroupId, id)
	equal(t, "owner of itself", *pair.UserId, *g.OwnerId) // another one would be shown as account/group

	// Update: what goes, then what comes.
	must(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{https}}))(t)
	must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{tcp(8443, "10.0.0.0/8")}}))(t)
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("tier"), Value: aws.String("front")}}}))(t)
	must(tf.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("web")}}}))(t)
	equal(t, "tags", tagsOf(tf.group(t, id).Tags), "tier=front")

	// Destroy, with revoke_rules_on_delete, which goes by the ids of the rules.
	rules := must(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{filter("group-id", id)}}))(t)
	var in, out []string
	for _, r := range rules.SecurityGroupRules {
		if *r.IsEgress {
			out = append(out, *r.SecurityGroupRuleId)
		} else {
			in = append(in, *r.SecurityGroupRuleId)
		}
	}
	equal(t, "rules in and out", [2]int{len(in), len(out)}, [2]int{2, 1})
	must(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, SecurityGroupRuleIds: in}))(t)
	must(tf.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &id, SecurityGroupRuleIds: out}))(t)
	refused(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, SecurityGroupRuleIds: in}))(t, "InvalidSecurityGroupRuleId.NotFound", in[0])
	tf.destroyGroup(t, id)
	refused(tf.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &id}))(t, "InvalidGroup.NotFound", id)
}

// terraformRule is aws_vpc_security_group_ingress_rule and aws_vpc_security_group_egress_rule.
func terraformRule(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	group, peer := newGroup(t, tf.Client, vpcID, "rules"), newGroup(t, tf.Client, vpcID, "peer")
	read := func(id string) types.SecurityGroupRule {
		t.Helper()
		return one(t, must(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{id}}))(t).SecurityGroupRules)
	}

	in := must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: &group, IpPermissions: []types.IpPermission{tcp(80, "10.0.0.0/8")},
	}))(t)
	id := *in.SecurityGroupRules[0].SecurityGroupRuleId
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("r")}}}))(t)
	r := read(id)
	equal(t, "direction", *r.IsEgress, false)
	equal(t, "group", *r.GroupId, group)
	equal(t, "source", *r.CidrIpv4, "10.0.0.0/8")
	equal(t, "protocol", *r.IpProtocol, "tcp")
	equal(t, "ports", [2]int32{*r.FromPort, *r.ToPort}, [2]int32{80, 80})
	equal(t, "tags", tagsOf(r.Tags), "Name=r")
	if r.Description != nil || r.CidrIpv6 != nil || r.PrefixListId != nil || r.ReferencedGroupInfo != nil {
		t.Errorf("a member is there that was not set: %+v", r)
	}
	arn := "arn:aws:ec2:us-east-1:" + *r.GroupOwnerId + ":security-group-rule/" + id
	equal(t, "ARN", aws.ToString(r.SecurityGroupRuleArn), arn)

	// Update keeps the id and the tags.
	must(tf.ModifySecurityGroupRules(ctx, &ec2.ModifySecurityGroupRulesInput{GroupId: &group, SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
		SecurityGroupRuleId: &id, SecurityGroupRule: &types.SecurityGroupRuleRequest{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(8080), ToPort: aws.Int32(8081),
			CidrIpv4: aws.String("10.1.0.0/16"), Description: aws.String("changed"),
		},
	}}}))(t)
	r = read(id)
	equal(t, "after the update", *r.CidrIpv4+" "+*r.Description, "10.1.0.0/16 changed")
	equal(t, "ports", [2]int32{*r.FromPort, *r.ToPort}, [2]int32{8080, 8081})
	equal(t, "tags", tagsOf(r.Tags), "Name=r")
	// No description is sent as an absent one, and clears it.
	must(tf.ModifySecurityGroupRules(ctx, &ec2.ModifySecurityGroupRulesInput{GroupId: &group, SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
		SecurityGroupRuleId: &id, SecurityGroupRule: &types.SecurityGroupRuleRequest{
			IpProtocol: aws.String("-1"), FromPort: aws.Int32(-1), ToPort: aws.Int32(-1), CidrIpv4: aws.String("10.1.0.0/16"),
		},
	}}}))(t)
	r = read(id)
	equal(t, "description", aws.ToString(r.Description), "")
	equal(t, "ports, that it takes for null", [2]int32{*r.FromPort, *r.ToPort}, [2]int32{-1, -1})

	out := must(tf.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &group, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("icmp"), FromPort: aws.Int32(8), ToPort: aws.Int32(-1), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &peer}},
	}}}))(t)
	egress := *out.SecurityGroupRules[0].SecurityGroupRuleId
	r = read(egress)
	equal(t, "direction", *r.IsEgress, true)
	equal(t, "destination", *r.ReferencedGroupInfo.GroupId, peer)
	equal(t, "its owner", *r.ReferencedGroupInfo.UserId, *r.GroupOwnerId)
	if r.ReferencedGroupInfo.PeeringStatus != nil || r.ReferencedGroupInfo.VpcPeeringConnectionId != nil {
		t.Errorf("a group of the same VPC is shown as a peered one: %+v", r.ReferencedGroupInfo)
	}

	// Destroy. A rule of the other direction is not there.
	refused(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{egress}}))(t, "InvalidSecurityGroupRuleId.NotFound", egress)
	must(tf.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &group, SecurityGroupRuleIds: []string{egress}}))(t)
	must(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{id}}))(t)
	refused(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{id}}))(t, "InvalidSecurityGroupRuleId.NotFound", id)
	refused(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{id}}))(t, "InvalidSecurityGroupRuleId.NotFound", id)
	tf.destroyGroup(t, group)
	tf.destroyGroup(t, peer)
	refused(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{id}}))(t, "InvalidGroup.NotFound", group)
}

// terraformLegacyRule is aws_security_group_rule, which knows no ids of rules.
func terraformLegacyRule(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	group := newGroup(t, tf.Client, vpcID, "legacy")
	tf.group(t, group)
	permission := types.IpPermission{
		IpProtocol: aws.String("6"), FromPort: aws.Int32(5432), ToPort: aws.Int32(5432),
		IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8"), Description: aws.String("database")}},
	}
	authorized := must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{permission}}))(t)
	one(t, authorized.SecurityGroupRules)
	refused(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{permission}}))(t,
		"InvalidPermission.Duplicate", `the specified rule "peer: 10.0.0.0/8, TCP, from port: 5432, to port: 5432, ALLOW" already exists`)
	// It looks for the rule by the protocol's name.
	shown := one(t, tf.group(t, group).IpPermissions)
	equal(t, "rule", *shown.IpProtocol+" "+*one(t, shown.IpRanges).CidrIp+" "+*shown.IpRanges[0].Description, "tcp 10.0.0.0/8 database")
	permission.IpRanges[0].Description = aws.String("changed")
	must(tf.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{
		GroupId: &group, IpPermissions: []types.IpPermission{permission},
	}))(t)
	equal(t, "description", *one(t, tf.group(t, group).IpPermissions).IpRanges[0].Description, "changed")
	must(tf.UpdateSecurityGroupRuleDescriptionsEgress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsEgressInput{
		GroupId: &group, IpPermissions: []types.IpPermission{{
			IpProtocol: aws.String("-1"), FromPort: aws.Int32(0), ToPort: aws.Int32(0),
			IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0"), Description: aws.String("out")}},
		}},
	}))(t)
	equal(t, "description", *one(t, tf.group(t, group).IpPermissionsEgress).IpRanges[0].Description, "out")
	must(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{permission}}))(t)
	refused(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{permission}}))(t, "InvalidPermission.NotFound", "")
	tf.destroyGroup(t, group)
}

func terraformDefaultGroup(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	g := one(t, must(tf.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{
		filter("group-name", "default"), filter("vpc-id", vpcID),
	}}))(t).SecurityGroups)
	equal(t, "description", *g.Description, "default VPC security group")
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*g.GroupId}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("closed")}}}))(t)
	rules := must(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{filter("group-id", *g.GroupId)}}))(t).SecurityGroupRules
	equal(t, "rules", len(rules), 2)
	for _, r := range rules {
		ids := []string{*r.SecurityGroupRuleId}
		if *r.IsEgress {
			must(tf.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: g.GroupId, SecurityGroupRuleIds: ids}))(t)
		} else {
			equal(t, "source of the rule", *r.ReferencedGroupInfo.GroupId, *g.GroupId)
			must(tf.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: g.GroupId, SecurityGroupRuleIds: ids}))(t)
		}
	}
	must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: []types.IpPermission{tcp(22, "10.0.0.0/8")}}))(t)
	got := tf.group(t, *g.GroupId)
	equal(t, "permissions in and out", [2]int{len(got.IpPermissions), len(got.IpPermissionsEgress)}, [2]int{1, 0})
	equal(t, "tags", tagsOf(got.Tags), "Name=closed")
}

func terraformVPCAssociation(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	other, subnet := newVPC(t, tf.Client, "10.21.0.0/16", "10.21.1.0/24")
	defer tf.destroyVPC(t, other, subnet)
	group := newGroup(t, tf.Client, vpcID, "shared")
	find := func() []types.SecurityGroupVpcAssociation {
		t.Helper()
		return must(tf.DescribeSecurityGroupVpcAssociations(ctx, &ec2.DescribeSecurityGroupVpcAssociationsInput{Filters: []types.Filter{
			filter("group-id", group), filter("vpc-id", other),
		}}))(t).SecurityGroupVpcAssociations
	}
	equal(t, "state", must(tf.AssociateSecurityGroupVpc(ctx, &ec2.AssociateSecurityGroupVpcInput{GroupId: &group, VpcId: &other}))(t).State,
		types.SecurityGroupVpcAssociationStateAssociating)
	a := one(t, find())
	equal(t, "state, for which it waits", a.State, types.SecurityGroupVpcAssociationStateAssociated)
	equal(t, "owners", *a.GroupOwnerId, *a.VpcOwnerId)
	usable := must(tf.GetSecurityGroupsForVpc(ctx, &ec2.GetSecurityGroupsForVpcInput{VpcId: &other}))(t).SecurityGroupForVpcs
	if !slices.ContainsFunc(usable, func(g types.SecurityGroupForVpc) bool { return *g.GroupId == group && *g.PrimaryVpcId == vpcID }) {
		t.Errorf("the group is not among those for the VPC: %+v", usable)
	}
	eni := must(tf.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: &subnet, Groups: []string{group}}))(t).NetworkInterface
	if _, err := tf.DisassociateSecurityGroupVpc(ctx, &ec2.DisassociateSecurityGroupVpcInput{GroupId: &group, VpcId: &other}); err == nil {
		t.Error("the group can be taken from a VPC where an interface carries it")
	}
	must(tf.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: eni.NetworkInterfaceId}))(t)
	refused(tf.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &group}))(t, "DependencyViolation", group)
	equal(t, "state", must(tf.DisassociateSecurityGroupVpc(ctx, &ec2.DisassociateSecurityGroupVpcInput{GroupId: &group, VpcId: &other}))(t).State,
		types.SecurityGroupVpcAssociationStateDisassociating)
	for _, a := range find() {
		equal(t, "state, for which it waits", a.State, types.SecurityGroupVpcAssociationStateDisassociated)
	}
	tf.destroyGroup(t, group)
}

// terraformData is what the data sources ask.
func terraformData(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	group := newGroup(t, tf.Client, vpcID, "data")
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{group}, Tags: []types.Tag{{Key: aws.String("for"), Value: aws.String("data source")}}}))(t)
	// aws_security_group: exactly one; aws_security_groups: any number.
	for _, filters := range [][]types.Filter{
		{filter("group-name", "data"), filter("vpc-id", vpcID)},
		{filter("tag:for", "data source")},
		{filter("tag:for", "data*"), filter("egress.ip-permission.cidr", "0.0.0.0/0")},
	} {
		g := one(t, must(tf.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: filters}))(t).SecurityGroups)
		equal(t, "group", *g.GroupId, group)
		equal(t, "ARN", aws.ToString(g.SecurityGroupArn), "arn:aws:ec2:us-east-1:"+*g.OwnerId+":security-group/"+group)
	}
	none := must(tf.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter("tag:for", "nothing")}}))(t)
	equal(t, "groups, for a message of its own", len(none.SecurityGroups), 0)
	// aws_vpc_security_group_rule and aws_vpc_security_group_rules.
	rule := one(t, must(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{filter("group-id", group)}}))(t).SecurityGroupRules)
	one(t, must(tf.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{
		filter("security-group-rule-id", *rule.SecurityGroupRuleId),
	}}))(t).SecurityGroupRules)
	// aws_region, aws_availability_zones, aws_vpc, aws_subnets.
	one(t, must(tf.DescribeRegions(ctx, &ec2.DescribeRegionsInput{Filters: []types.Filter{filter("region-name", "us-east-1")}}))(t).Regions)
	zones := must(tf.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{Filters: []types.Filter{filter("state", "available")}}))(t)
	for _, z := range zones.AvailabilityZones {
		if z.ZoneName == nil || z.ZoneId == nil || z.GroupName == nil || z.State != types.AvailabilityZoneStateAvailable {
			t.Errorf("a zone without name, id or group: %+v", z)
		}
	}
	one(t, must(tf.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("is-default", "true")}}))(t).Vpcs)
	one(t, must(tf.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("vpc-id", vpcID)}}))(t).Subnets)
	// The provider's start.
	platforms := must(tf.DescribeAccountAttributes(ctx, &ec2.DescribeAccountAttributesInput{
		AttributeNames: []types.AccountAttributeName{types.AccountAttributeNameSupportedPlatforms},
	}))(t)
	equal(t, "platforms", *one(t, one(t, platforms.AccountAttributes).AttributeValues).AttributeValue, "VPC")
	tf.destroyGroup(t, group)
}
