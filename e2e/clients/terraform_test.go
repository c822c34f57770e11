package clients_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestTerraform makes the calls of Terraform's resources, with the SDK that its provider uses, in its order,
// and wants of each answer what the provider reads; a different error code, for one, and `apply` ends.
// Terraform itself is not in Debian, and its provider takes an hour to build.
// Source: github.com/hashicorp/terraform-provider-aws, internal/service/ec2.
func TestTerraform(t *testing.T) {
	t.Parallel()
	tf := terraform{server: startServer(t)}
	tf.Client = tf.sdk(t)
	for name, resource := range map[string]func(*testing.T, terraform){
		"aws_vpc":                                terraformVPC,
		"aws_subnet":                             terraformSubnet,
		"aws_security_group":                     terraformSecurityGroup,
		"aws_vpc_security_group_rule":            terraformRule,
		"aws_security_group_rule":                terraformLegacyRule,
		"aws_default_security_group":             terraformDefaultGroup,
		"aws_vpc_security_group_vpc_association": terraformVPCAssociation,
		"aws_ec2_managed_prefix_list":            terraformPrefixList,
		"aws_network_interface":                  terraformNetworkInterface,
		"aws_network_interface_sg_attachment":    terraformAttachment,
		"data sources":                           terraformData,
	} {
		t.Run(name, func(t *testing.T) { resource(t, tf) }) // one after another: an account has five VPCs
	}
}

type terraform struct {
	*server
	*ec2.Client
}

// vpc makes the VPC and subnet of one resource, which go with it.
func (tf terraform) vpc(t *testing.T) (vpcID, subnetID string) {
	t.Helper()
	vpcID, subnetID = newVPC(t, tf.Client, "10.20.0.0/16", "10.20.1.0/24")
	t.Cleanup(func() { tf.destroyVPC(t, vpcID, subnetID) })
	return vpcID, subnetID
}

// destroyVPC deletes a VPC with its groups, as the last steps of a destroy.
func (tf terraform) destroyVPC(t *testing.T, vpcID string, subnets ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // it runs after the test
	for _, subnet := range subnets {
		if _, err := tf.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: &subnet}); err != nil {
			t.Error(err)
		}
	}
	if _, err := tf.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: &vpcID}); err != nil {
		t.Error(err)
	}
}

func terraformVPC(t *testing.T, tf terraform) {
	ctx := t.Context()
	created := must(tf.CreateVpc(ctx, &ec2.CreateVpcInput{
		CidrBlock: aws.String("10.30.0.0/16"), AmazonProvidedIpv6CidrBlock: aws.Bool(true), InstanceTenancy: types.TenancyDefault,
		TagSpecifications: specification(types.ResourceTypeVpc, "Name=terraform"),
	}))(t).Vpc
	id := created.VpcId
	if state := created.State; state != types.VpcStatePending && state != types.VpcStateAvailable {
		t.Errorf("the new VPC is %s", state)
	}
	read := func() types.Vpc {
		t.Helper()
		return one(t, must(tf.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{*id}}))(t).Vpcs)
	}
	v := read()
	equal(t, "state, for which it waits", v.State, types.VpcStateAvailable)
	association := one(t, v.Ipv6CidrBlockAssociationSet)
	equal(t, "IPv6 association of the answer", *created.Ipv6CidrBlockAssociationSet[0].AssociationId, *association.AssociationId)
	byAssociation := must(tf.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{
		filter("ipv6-cidr-block-association.association-id", *association.AssociationId),
	}}))(t)
	equal(t, "VPC of the association", *one(t, byAssociation.Vpcs).VpcId, *id)
	equal(t, "state of the association", association.Ipv6CidrBlockState.State, types.VpcCidrBlockStateCodeAssociated)
	equal(t, "pool, by which it knows a generated block", *association.Ipv6Pool, "Amazon")
	if aws.ToString(association.NetworkBorderGroup) == "" || aws.ToString(v.DhcpOptionsId) == "" || aws.ToString(v.OwnerId) == "" {
		t.Errorf("network border group, DHCP options or owner is missing: %+v", v)
	}
	equal(t, "block", *v.CidrBlock, "10.30.0.0/16")
	equal(t, "tenancy", v.InstanceTenancy, types.TenancyDefault)
	equal(t, "tags", tagsOf(v.Tags), "Name=terraform")

	// What the read looks at besides.
	attribute := func(name types.VpcAttributeName) bool {
		t.Helper()
		out := must(tf.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: id, Attribute: name}))(t)
		for _, value := range []*types.AttributeBooleanValue{out.EnableDnsSupport, out.EnableDnsHostnames, out.EnableNetworkAddressUsageMetrics} {
			if value != nil && value.Value != nil {
				return *value.Value
			}
		}
		t.Fatalf("%s has no value", name)
		return false
	}
	equal(t, "DNS support", attribute(types.VpcAttributeNameEnableDnsSupport), true)
	equal(t, "DNS hostnames", attribute(types.VpcAttributeNameEnableDnsHostnames), false)
	equal(t, "usage metrics", attribute(types.VpcAttributeNameEnableNetworkAddressUsageMetrics), false)
	acls := must(tf.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{
		filter("default", "true"), filter("vpc-id", *id),
	}}))(t)
	equal(t, "VPC of the default ACL", *one(t, acls.NetworkAcls).VpcId, *id)
	tables := must(tf.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{
		filter("association.main", "true"), filter("vpc-id", *id),
	}}))(t)
	equal(t, "VPC of the main route table", *one(t, tables.RouteTables).VpcId, *id)
	groups := must(tf.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{
		filter("group-name", "default"), filter("vpc-id", *id),
	}}))(t)
	one(t, groups.SecurityGroups)
	if gateways := must(tf.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: []types.Filter{
		filter("attachment.vpc-id", *id),
	}}))(t); len(gateways.InternetGateways) != 0 {
		t.Errorf("there are gateways: %+v", gateways.InternetGateways)
	}

	// Changes.
	must(tf.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: id, EnableDnsHostnames: &types.AttributeBooleanValue{Value: aws.Bool(true)}}))(t)
	equal(t, "DNS hostnames, for which it waits", attribute(types.VpcAttributeNameEnableDnsHostnames), true)
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*id}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("new")}}}))(t)
	equal(t, "tags", tagsOf(read().Tags), "Name=new")

	must(tf.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id}))(t)
	refused(tf.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{*id}}))(t, "InvalidVpcID.NotFound", *id)
	refused(tf.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id}))(t, "InvalidVpcID.NotFound", *id)
}

func terraformSubnet(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	created := must(tf.CreateSubnet(ctx, &ec2.CreateSubnetInput{
		VpcId: &vpcID, CidrBlock: aws.String("10.20.2.0/24"), AvailabilityZone: aws.String("us-east-1a"),
		TagSpecifications: specification(types.ResourceTypeSubnet, "Name=terraform"),
	}))(t).Subnet
	id := created.SubnetId
	read := func() types.Subnet {
		t.Helper()
		return one(t, must(tf.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{*id}}))(t).Subnets)
	}
	s := read()
	equal(t, "state, for which it waits", s.State, types.SubnetStateAvailable)
	equal(t, "VPC", *s.VpcId, vpcID)
	equal(t, "block", *s.CidrBlock, "10.20.2.0/24")
	equal(t, "zone", *s.AvailabilityZone, "us-east-1a")
	equal(t, "tags", tagsOf(s.Tags), "Name=terraform")
	for what, p := range map[string]*bool{
		"AssignIpv6AddressOnCreation": s.AssignIpv6AddressOnCreation, "EnableDns64": s.EnableDns64,
		"Ipv6Native": s.Ipv6Native, "MapPublicIpOnLaunch": s.MapPublicIpOnLaunch,
	} {
		if p == nil || *p {
			t.Errorf("%s is missing or true", what)
		}
	}
	if aws.ToString(s.AvailabilityZoneId) == "" || aws.ToString(s.SubnetArn) == "" || aws.ToString(s.OwnerId) == "" || s.PrivateDnsNameOptionsOnLaunch == nil {
		t.Errorf("zone id, ARN, owner or DNS options are missing: %+v", s)
	}
	must(tf.ModifySubnetAttribute(ctx, &ec2.ModifySubnetAttributeInput{
		SubnetId: id, MapPublicIpOnLaunch: &types.AttributeBooleanValue{Value: aws.Bool(true)},
	}))(t)
	equal(t, "MapPublicIpOnLaunch, for which it waits", *read().MapPublicIpOnLaunch, true)
	// Delete looks for interfaces that services left behind.
	left := must(tf.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("subnet-id", *id)}}))(t)
	equal(t, "interfaces", len(left.NetworkInterfaces), 0)
	must(tf.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: id}))(t)
	refused(tf.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{*id}}))(t, "InvalidSubnetID.NotFound", *id)
}
