package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) vpcActions() {
	handle(a, wire.CreateVpc, createVpc)
	handle(a, wire.CreateDefaultVpc, createDefaultVpc)
	handle(a, wire.DeleteVpc, deleteVpc)
	handle(a, wire.DescribeVpcs, describeVpcs)
}

func createVpc(c *call, in *wire.CreateVpcRequest) (*wire.CreateVpcResult, error) {
	if err := refuseUnsupported(
		asked("instanceTenancy", in.InstanceTenancy != nil && *in.InstanceTenancy != "default"),
		asked("ipv4IpamPoolId", in.Ipv4IpamPoolId != nil),
		asked("ipv4NetmaskLength", in.Ipv4NetmaskLength != nil),
		asked("ipv6CidrBlock", in.Ipv6CidrBlock != nil),
		asked("ipv6CidrBlockNetworkBorderGroup", in.Ipv6CidrBlockNetworkBorderGroup != nil),
		asked("ipv6IpamPoolId", in.Ipv6IpamPoolId != nil),
		asked("ipv6NetmaskLength", in.Ipv6NetmaskLength != nil),
		asked("ipv6Pool", in.Ipv6Pool != nil),
		asked("vpcEncryptionControl", in.VpcEncryptionControl != nil),
	); err != nil {
		return nil, err
	}
	var out *wire.CreateVpcResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		v, change, err := s.CreateVPC(c.env, vpc.NewVPC{
			CIDR:              wire.Value(in.CidrBlock),
			IPv6:              wire.Value(in.AmazonProvidedIpv6CidrBlock),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
		})
		if err != nil {
			return change, err
		}
		w := wireVPC(s, v)
		w.State = new("pending") // as EC2 answers; it is available by the next call
		out = &wire.CreateVpcResult{Vpc: &w}
		return change, nil
	})
	return out, err
}

func createDefaultVpc(c *call, _ *wire.CreateDefaultVpcRequest) (*wire.CreateDefaultVpcResult, error) {
	var out *wire.CreateDefaultVpcResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		v, change, err := s.CreateDefaultVPC(c.env)
		if err != nil {
			return change, err
		}
		w := wireVPC(s, v)
		w.State = new("pending") // as EC2 answers; it is available by the next call
		out = &wire.CreateDefaultVpcResult{Vpc: &w}
		return change, nil
	})
	return out, err
}

func deleteVpc(c *call, in *wire.DeleteVpcRequest) (*wire.DeleteVpcResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteVPC(c.env, vpc.VPCID(wire.Value(in.VpcId)))
	})
	return &wire.DeleteVpcResult{}, err
}

func describeVpcs(c *call, in *wire.DescribeVpcsRequest) (*wire.DescribeVpcsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeVPCs(vpc.VPCQuery{
		IDs:     ids[vpc.VPCID](in.VpcIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeVpcsResult{NextToken: token(next)}
	for _, v := range list {
		out.Vpcs = append(out.Vpcs, wireVPC(s, v))
	}
	return out, nil
}

func wireVPC(s *vpc.State, v *vpc.VPC) wire.Vpc {
	w := wire.Vpc{
		CidrBlock:       text(v.CIDRs[0].CIDR.String()),
		DhcpOptionsId:   new("default"),
		InstanceTenancy: new("default"),
		IsDefault:       &v.IsDefault,
		OwnerId:         text(s.Installation().Account),
		State:           new("available"),
		Tags:            tagSet(v.Tags),
		VpcId:           text(v.ID),
	}
	for _, a := range v.CIDRs {
		w.CidrBlockAssociationSet = append(w.CidrBlockAssociationSet, wire.VpcCidrBlockAssociation{
			AssociationId:  text(a.ID),
			CidrBlock:      text(a.CIDR.String()),
			CidrBlockState: &wire.VpcCidrBlockState{State: new("associated")},
		})
	}
	for _, a := range v.IPv6CIDRs {
		w.Ipv6CidrBlockAssociationSet = append(w.Ipv6CidrBlockAssociationSet, wire.VpcIpv6CidrBlockAssociation{
			AssociationId:      text(a.ID),
			Ipv6CidrBlock:      text(a.CIDR.String()),
			Ipv6CidrBlockState: &wire.VpcCidrBlockState{State: new("associated")},
			Ipv6Pool:           new(vpc.IPv6Pool),
			NetworkBorderGroup: &s.Installation().Region,
		})
	}
	return w
}

// demand is a member of a request, and whether the client asks for something by it.
type demand struct {
	parameter string
	asked     bool
}

func asked(parameter string, yes bool) demand { return demand{parameter, yes} }

// refuseUnsupported refuses the first thing that a client asks for and that has no meaning here. What
// an instance's hardware is made of is not among them: that is ignored, lab guests have none.
func refuseUnsupported(demands ...demand) error {
	for _, d := range demands {
		if d.asked {
			return vpc.Errorf(vpc.CodeUnsupportedOperation, "The value given for parameter %s is not supported.", d.parameter)
		}
	}
	return nil
}
