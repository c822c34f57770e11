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
	handle(a, wire.AssociateVpcCidrBlock, associateVpcCidrBlock)
	handle(a, wire.DisassociateVpcCidrBlock, disassociateVpcCidrBlock)
	handle(a, wire.DescribeVpcAttribute, describeVpcAttribute)
	handle(a, wire.ModifyVpcAttribute, modifyVpcAttribute)
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
		w := newWireVPC(s, v)
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
		w := newWireVPC(s, v)
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

func associateVpcCidrBlock(
	c *call, in *wire.AssociateVpcCidrBlockRequest,
) (*wire.AssociateVpcCidrBlockResult, error) {
	if err := refuseUnsupported(
		asked("ipv4IpamPoolId", in.Ipv4IpamPoolId != nil),
		asked("ipv4NetmaskLength", in.Ipv4NetmaskLength != nil),
		asked("ipv6CidrBlock", in.Ipv6CidrBlock != nil),
		asked("ipv6CidrBlockNetworkBorderGroup", in.Ipv6CidrBlockNetworkBorderGroup != nil),
		asked("ipv6IpamPoolId", in.Ipv6IpamPoolId != nil),
		asked("ipv6NetmaskLength", in.Ipv6NetmaskLength != nil),
		asked("ipv6Pool", in.Ipv6Pool != nil),
	); err != nil {
		return nil, err
	}
	var out *wire.AssociateVpcCidrBlockResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		v, change, err := s.AssociateVPCBlock(c.env, vpc.NewVPCBlock{
			VPC:  vpc.VPCID(wire.Value(in.VpcId)),
			CIDR: wire.Value(in.CidrBlock),
			IPv6: wire.Value(in.AmazonProvidedIpv6CidrBlock),
		})
		if err != nil {
			return change, err
		}
		out = &wire.AssociateVpcCidrBlockResult{VpcId: text(v.ID)}
		if wire.Value(in.AmazonProvidedIpv6CidrBlock) {
			out.Ipv6CidrBlockAssociation = wireVPCIPv6Block(s, v.IPv6CIDRs[len(v.IPv6CIDRs)-1], "associating")
		} else {
			out.CidrBlockAssociation = wireVPCBlock(v.CIDRs[len(v.CIDRs)-1], "associating")
		}
		return change, nil
	})
	return out, err
}

func disassociateVpcCidrBlock(
	c *call, in *wire.DisassociateVpcCidrBlockRequest,
) (*wire.DisassociateVpcCidrBlockResult, error) {
	var out *wire.DisassociateVpcCidrBlockResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		v, gone, change, err := s.DisassociateVPCBlock(vpc.AssociationID(wire.Value(in.AssociationId)))
		if err != nil {
			return change, err
		}
		out = &wire.DisassociateVpcCidrBlockResult{VpcId: text(v.ID)}
		if gone.CIDR.Addr().Is4() {
			out.CidrBlockAssociation = wireVPCBlock(gone, "disassociating")
		} else {
			out.Ipv6CidrBlockAssociation = wireVPCIPv6Block(s, gone, "disassociating")
		}
		return change, nil
	})
	return out, err
}

func describeVpcAttribute(
	c *call, in *wire.DescribeVpcAttributeRequest,
) (*wire.DescribeVpcAttributeResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	name := vpc.VPCAttribute(wire.Value(in.Attribute))
	v, value, err := s.DescribeVPCAttribute(vpc.VPCID(wire.Value(in.VpcId)), name)
	if err != nil {
		return nil, err
	}
	out, w := &wire.DescribeVpcAttributeResult{VpcId: text(v.ID)}, &wire.AttributeBooleanValue{Value: &value}
	switch name {
	case vpc.EnableDNSSupport:
		out.EnableDnsSupport = w
	case vpc.EnableDNSHostnames:
		out.EnableDnsHostnames = w
	case vpc.EnableNetworkAddressUsageMetrics:
		out.EnableNetworkAddressUsageMetrics = w
	}
	return out, nil
}

func modifyVpcAttribute(c *call, in *wire.ModifyVpcAttributeRequest) (*wire.ModifyVpcAttributeResult, error) {
	change := map[vpc.VPCAttribute]bool{}
	for name, v := range map[vpc.VPCAttribute]*wire.AttributeBooleanValue{
		vpc.EnableDNSSupport:                 in.EnableDnsSupport,
		vpc.EnableDNSHostnames:               in.EnableDnsHostnames,
		vpc.EnableNetworkAddressUsageMetrics: in.EnableNetworkAddressUsageMetrics,
	} {
		if value := boolean(v); value != nil {
			change[name] = *value
		}
	}
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifyVPC(vpc.VPCID(wire.Value(in.VpcId)), change)
	})
	return &wire.ModifyVpcAttributeResult{}, err
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
		w.CidrBlockAssociationSet = append(w.CidrBlockAssociationSet, *wireVPCBlock(a, "associated"))
	}
	for _, a := range v.IPv6CIDRs {
		w.Ipv6CidrBlockAssociationSet = append(w.Ipv6CidrBlockAssociationSet, *wireVPCIPv6Block(s, a, "associated"))
	}
	return w
}

// newWireVPC is the answer of the call that makes a VPC: as EC2 says, it and its IPv6 block come to be
// by the next call.
func newWireVPC(s *vpc.State, v *vpc.VPC) wire.Vpc {
	w := wireVPC(s, v)
	w.State = new("pending")
	for i := range w.Ipv6CidrBlockAssociationSet {
		w.Ipv6CidrBlockAssociationSet[i].Ipv6CidrBlockState.State = new("associating")
	}
	return w
}

func wireVPCBlock(a vpc.CIDRAssociation, state string) *wire.VpcCidrBlockAssociation {
	return &wire.VpcCidrBlockAssociation{
		AssociationId:  text(a.ID),
		CidrBlock:      text(a.CIDR.String()),
		CidrBlockState: &wire.VpcCidrBlockState{State: &state},
	}
}

func wireVPCIPv6Block(s *vpc.State, a vpc.CIDRAssociation, state string) *wire.VpcIpv6CidrBlockAssociation {
	return &wire.VpcIpv6CidrBlockAssociation{
		AssociationId:      text(a.ID),
		Ipv6CidrBlock:      text(a.CIDR.String()),
		Ipv6CidrBlockState: &wire.VpcCidrBlockState{State: &state},
		Ipv6Pool:           new(vpc.IPv6Pool),
		NetworkBorderGroup: &s.Installation().Region,
	}
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
