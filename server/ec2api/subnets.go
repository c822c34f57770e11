package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) subnetActions() {
	handle(a, wire.CreateSubnet, createSubnet)
	handle(a, wire.DeleteSubnet, deleteSubnet)
	handle(a, wire.DescribeSubnets, describeSubnets)
	handle(a, wire.ModifySubnetAttribute, modifySubnetAttribute)
	handle(a, wire.AssociateSubnetCidrBlock, associateSubnetCidrBlock)
	handle(a, wire.DisassociateSubnetCidrBlock, disassociateSubnetCidrBlock)
}

func createSubnet(c *call, in *wire.CreateSubnetRequest) (*wire.CreateSubnetResult, error) {
	if err := refuseUnsupported(
		asked("ipv4IpamPoolId", in.Ipv4IpamPoolId != nil),
		asked("ipv4NetmaskLength", in.Ipv4NetmaskLength != nil),
		asked("ipv6IpamPoolId", in.Ipv6IpamPoolId != nil),
		asked("ipv6Native", wire.Value(in.Ipv6Native)),
		asked("ipv6NetmaskLength", in.Ipv6NetmaskLength != nil),
		asked("outpostArn", in.OutpostArn != nil),
	); err != nil {
		return nil, err
	}
	var out *wire.CreateSubnetResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		n, change, err := s.CreateSubnet(c.env, vpc.NewSubnet{
			VPC:               vpc.VPCID(wire.Value(in.VpcId)),
			CIDR:              wire.Value(in.CidrBlock),
			IPv6CIDR:          wire.Value(in.Ipv6CidrBlock),
			Zone:              wire.Value(in.AvailabilityZone),
			ZoneID:            wire.Value(in.AvailabilityZoneId),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
		})
		if err != nil {
			return change, err
		}
		w := wireSubnet(s, n)
		for i := range w.Ipv6CidrBlockAssociationSet { // as EC2 answers; associated by the next call
			w.Ipv6CidrBlockAssociationSet[i].Ipv6CidrBlockState.State = new("associating")
		}
		out = &wire.CreateSubnetResult{Subnet: &w}
		return change, nil
	})
	return out, err
}

func deleteSubnet(c *call, in *wire.DeleteSubnetRequest) (*wire.DeleteSubnetResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteSubnet(vpc.SubnetID(wire.Value(in.SubnetId)))
	})
	return &wire.DeleteSubnetResult{}, err
}

func describeSubnets(c *call, in *wire.DescribeSubnetsRequest) (*wire.DescribeSubnetsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeSubnets(vpc.SubnetQuery{
		IDs:     ids[vpc.SubnetID](in.SubnetIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSubnetsResult{NextToken: token(next)}
	for _, n := range list {
		out.Subnets = append(out.Subnets, wireSubnet(s, n))
	}
	return out, nil
}

func modifySubnetAttribute(
	c *call, in *wire.ModifySubnetAttributeRequest,
) (*wire.ModifySubnetAttributeResult, error) {
	if err := refuseUnsupported(
		asked("customerOwnedIpv4Pool", in.CustomerOwnedIpv4Pool != nil),
		asked("disableLniAtDeviceIndex", in.DisableLniAtDeviceIndex != nil),
		asked("enableLniAtDeviceIndex", in.EnableLniAtDeviceIndex != nil),
		asked("mapCustomerOwnedIpOnLaunch", wire.Value(boolean(in.MapCustomerOwnedIpOnLaunch))),
	); err != nil {
		return nil, err
	}
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifySubnet(vpc.SubnetID(wire.Value(in.SubnetId)), vpc.SubnetChange{
			MapPublicIPOnLaunch:         boolean(in.MapPublicIpOnLaunch),
			AssignIPv6AddressOnCreation: boolean(in.AssignIpv6AddressOnCreation),
			EnableDNS64:                 boolean(in.EnableDns64),
			ResourceNameDNSA:            boolean(in.EnableResourceNameDnsARecordOnLaunch),
			ResourceNameDNSAAAA:         boolean(in.EnableResourceNameDnsAAAARecordOnLaunch),
			HostnameType:                in.PrivateDnsHostnameTypeOnLaunch,
		})
	})
	return &wire.ModifySubnetAttributeResult{}, err
}

func associateSubnetCidrBlock(
	c *call, in *wire.AssociateSubnetCidrBlockRequest,
) (*wire.AssociateSubnetCidrBlockResult, error) {
	if err := refuseUnsupported(
		asked("ipv6IpamPoolId", in.Ipv6IpamPoolId != nil),
		asked("ipv6NetmaskLength", in.Ipv6NetmaskLength != nil),
	); err != nil {
		return nil, err
	}
	var out *wire.AssociateSubnetCidrBlockResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		n, change, err := s.AssociateSubnetBlock(c.env, vpc.SubnetID(wire.Value(in.SubnetId)), wire.Value(in.Ipv6CidrBlock))
		if err != nil {
			return change, err
		}
		out = &wire.AssociateSubnetCidrBlockResult{
			Ipv6CidrBlockAssociation: wireSubnetBlock(n.IPv6CIDRs[len(n.IPv6CIDRs)-1], "associating"),
			SubnetId:                 text(n.ID),
		}
		return change, nil
	})
	return out, err
}

func disassociateSubnetCidrBlock(
	c *call, in *wire.DisassociateSubnetCidrBlockRequest,
) (*wire.DisassociateSubnetCidrBlockResult, error) {
	var out *wire.DisassociateSubnetCidrBlockResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		n, gone, change, err := s.DisassociateSubnetBlock(vpc.AssociationID(wire.Value(in.AssociationId)))
		if err != nil {
			return change, err
		}
		out = &wire.DisassociateSubnetCidrBlockResult{
			Ipv6CidrBlockAssociation: wireSubnetBlock(gone, "disassociating"),
			SubnetId:                 text(n.ID),
		}
		return change, nil
	})
	return out, err
}

// boolean returns the value of an attribute, nil if it is not given.
func boolean(v *wire.AttributeBooleanValue) *bool {
	if v == nil {
		return nil
	}
	return v.Value
}

func wireSubnet(s *vpc.State, n *vpc.Subnet) wire.Subnet {
	w := wire.Subnet{
		AssignIpv6AddressOnCreation: &n.AssignIPv6AddressOnCreation,
		AvailabilityZone:            &n.Zone,
		AvailabilityZoneId:          text(s.ZoneID(n.Zone)),
		AvailableIpAddressCount:     new(int32(s.AvailableAddresses(n))),
		CidrBlock:                   text(n.CIDR.String()),
		DefaultForAz:                &n.DefaultForZone,
		EnableDns64:                 &n.EnableDNS64,
		Ipv6Native:                  new(false),
		MapCustomerOwnedIpOnLaunch:  new(false),
		MapPublicIpOnLaunch:         &n.MapPublicIPOnLaunch,
		OwnerId:                     text(s.Installation().Account),
		PrivateDnsNameOptionsOnLaunch: &wire.PrivateDnsNameOptionsOnLaunch{
			EnableResourceNameDnsAAAARecord: &n.ResourceNameDNSAAAA,
			EnableResourceNameDnsARecord:    &n.ResourceNameDNSA,
			HostnameType:                    text(n.Hostnames()),
		},
		State:     new("available"),
		SubnetArn: text(s.SubnetARN(n)),
		SubnetId:  text(n.ID),
		Tags:      tagSet(n.Tags),
		VpcId:     text(n.VPC),

		Ipv6CidrBlockAssociationSet: []wire.SubnetIpv6CidrBlockAssociation{},
	}
	for _, a := range n.IPv6CIDRs {
		w.Ipv6CidrBlockAssociationSet = append(w.Ipv6CidrBlockAssociationSet, *wireSubnetBlock(a, "associated"))
	}
	return w
}

func wireSubnetBlock(a vpc.CIDRAssociation, state string) *wire.SubnetIpv6CidrBlockAssociation {
	return &wire.SubnetIpv6CidrBlockAssociation{
		AssociationId:      text(a.ID),
		Ipv6CidrBlock:      text(a.CIDR.String()),
		Ipv6CidrBlockState: &wire.SubnetCidrBlockState{State: &state},
	}
}
