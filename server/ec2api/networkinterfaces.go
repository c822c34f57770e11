package ec2api

import (
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) networkInterfaceActions() {
	handle(a, wire.CreateNetworkInterface, createNetworkInterface)
	handle(a, wire.DeleteNetworkInterface, deleteNetworkInterface)
	handle(a, wire.DescribeNetworkInterfaces, describeNetworkInterfaces)
	handle(a, wire.AttachNetworkInterface, attachNetworkInterface)
	handle(a, wire.DetachNetworkInterface, detachNetworkInterface)
	handle(a, wire.ModifyNetworkInterfaceAttribute, modifyNetworkInterfaceAttribute)
	handle(a, wire.AdoptNetworkInterface, adoptNetworkInterface)
	handle(a, wire.AssignPrivateIpAddresses, assignPrivateIPAddresses)
	handle(a, wire.UnassignPrivateIpAddresses, unassignPrivateIPAddresses)
	handle(a, wire.AssignIpv6Addresses, assignIPv6Addresses)
	handle(a, wire.UnassignIpv6Addresses, unassignIPv6Addresses)
}

func createNetworkInterface(
	c *call, in *wire.CreateNetworkInterfaceRequest,
) (*wire.CreateNetworkInterfaceResult, error) {
	if err := refuseUnsupported(asked("operator", in.Operator != nil)); err != nil {
		return nil, err
	}
	if err := plainType("", in.InterfaceType); err != nil {
		return nil, err
	}
	a, err := addresses(&addressMembers{
		in.PrivateIpAddress, in.PrivateIpAddresses, in.SecondaryPrivateIpAddressCount, in.Ipv4Prefixes, in.Ipv4PrefixCount,
		in.Ipv6Addresses, in.Ipv6AddressCount, in.Ipv6Prefixes, in.Ipv6PrefixCount,
	})
	if err != nil {
		return nil, err
	}
	tracking, err := connectionTracking(in.ConnectionTrackingSpecification)
	if err != nil {
		return nil, err
	}
	var out *wire.CreateNetworkInterfaceResult
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		e, change, err := s.CreateNetworkInterface(c.env, vpc.NewInterface{
			Subnet:            vpc.SubnetID(wire.Value(in.SubnetId)),
			Description:       wire.Value(in.Description),
			Addresses:         a,
			PrimaryIPv6:       wire.Value(in.EnablePrimaryIpv6),
			Tracking:          tracking,
			Groups:            ids[vpc.GroupID](in.Groups),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
			ClientToken:       wire.Value(in.ClientToken),
		})
		if err != nil {
			return change, err
		}
		w := networkInterface(s, e)
		if !change.Empty() {
			w.Status = new("pending") // as EC2 answers; it is available by the next call
		}
		out = &wire.CreateNetworkInterfaceResult{ClientToken: in.ClientToken, NetworkInterface: &w}
		return change, nil
	})
	return out, err
}

func adoptNetworkInterface(
	c *call, in *wire.AdoptNetworkInterfaceRequest,
) (*wire.AdoptNetworkInterfaceResult, error) {
	var out *wire.AdoptNetworkInterfaceResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		e, change, err := s.AdoptNetworkInterface(c.env, vpc.NewAdopted{
			Subnet:            vpc.SubnetID(wire.Value(in.SubnetId)),
			Description:       wire.Value(in.Description),
			MAC:               wire.Value(in.MacAddress),
			IPv4:              wire.Value(in.PrivateIpAddress),
			IPv6:              in.Ipv6Addresses,
			Groups:            ids[vpc.GroupID](in.SecurityGroupIds),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
			ClientToken:       wire.Value(in.ClientToken),
		})
		if err != nil {
			return change, err
		}
		w := networkInterface(s, e)
		out = &wire.AdoptNetworkInterfaceResult{ClientToken: in.ClientToken, NetworkInterface: &w}
		return change, nil
	})
	return out, err
}

// plainType refuses an interface type that is not the ordinary one: EC2's others are not served.
func plainType(path string, interfaceType *string) error {
	switch t := wire.Value(interfaceType); t {
	case "", "interface":
		return nil
	case "efa", "efa-only", "branch", "trunk":
		return refuseUnsupported(asked(path+"interfaceType", true))
	default:
		return vpc.Errorf(vpc.CodeInvalidParameterValue,
			"Value (%s) for parameter %sinterfaceType is invalid. Expecting one of: interface, efa, efa-only, branch, trunk.", t, path)
	}
}

// addressMembers are the members about addresses of the two requests that make interfaces.
type addressMembers struct {
	primary         *string
	list            []wire.PrivateIpAddressSpecification
	secondaryCount  *int32
	ipv4Prefixes    []wire.Ipv4PrefixSpecificationRequest
	ipv4PrefixCount *int32
	ipv6            []wire.InstanceIpv6Address
	ipv6Count       *int32
	ipv6Prefixes    []wire.Ipv6PrefixSpecificationRequest
	ipv6PrefixCount *int32
}

// addresses brings the two ways to name IPv4 addresses into one: the primary one stands by itself or
// is the marked one of the list.
func addresses(in *addressMembers) (vpc.Addresses, error) {
	a := vpc.Addresses{
		Primary:         wire.Value(in.primary),
		SecondaryCount:  int(wire.Value(in.secondaryCount)),
		IPv4PrefixCount: int(wire.Value(in.ipv4PrefixCount)),
		IPv6PrefixCount: int(wire.Value(in.ipv6PrefixCount)),
	}
	for _, p := range in.list {
		address := wire.Value(p.PrivateIpAddress)
		switch {
		case !wire.Value(p.Primary):
			a.Secondary = append(a.Secondary, address)
		case a.Primary == "" || a.Primary == address && in.primary != nil:
			a.Primary = address
		default:
			return a, vpc.Errorf(vpc.CodeInvalidParameterCombination,
				"Only one private IP address can be designated as primary.")
		}
	}
	for _, p := range in.ipv4Prefixes {
		a.IPv4Prefixes = append(a.IPv4Prefixes, wire.Value(p.Ipv4Prefix))
	}
	for _, p := range in.ipv6 {
		a.IPv6 = append(a.IPv6, wire.Value(p.Ipv6Address))
	}
	for _, p := range in.ipv6Prefixes {
		a.IPv6Prefixes = append(a.IPv6Prefixes, wire.Value(p.Ipv6Prefix))
	}
	if in.ipv6Count != nil {
		a.IPv6Count = new(int(*in.ipv6Count))
	}
	return a, nil
}

// connectionTracking returns the timeouts that were asked for. An explicit 0 is none, but a refusal's
// business.
func connectionTracking(in *wire.ConnectionTrackingSpecificationRequest) (vpc.ConnectionTracking, error) {
	var t vpc.ConnectionTracking
	if in == nil {
		return t, nil
	}
	for _, v := range []struct {
		name string
		from *int32
		to   *int32
	}{
		{"tcpEstablishedTimeout", in.TcpEstablishedTimeout, &t.TCPEstablished},
		{"udpStreamTimeout", in.UdpStreamTimeout, &t.UDPStream},
		{"udpTimeout", in.UdpTimeout, &t.UDP},
	} {
		if *v.to = wire.Value(v.from); v.from != nil && *v.from == 0 { // in vpc 0 is "not given"
			return t, vpc.Errorf(vpc.CodeInvalidParameterValue, "Value (0) for parameter %s is invalid.", v.name)
		}
	}
	return t, nil
}

func deleteNetworkInterface(
	c *call, in *wire.DeleteNetworkInterfaceRequest,
) (*wire.DeleteNetworkInterfaceResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteNetworkInterface(vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)))
	})
	return &wire.DeleteNetworkInterfaceResult{}, err
}

func describeNetworkInterfaces(
	c *call, in *wire.DescribeNetworkInterfacesRequest,
) (*wire.DescribeNetworkInterfacesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeNetworkInterfaces(vpc.InterfaceQuery{
		IDs:     ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkInterfacesResult{NextToken: token(next)}
	for _, e := range list {
		out.NetworkInterfaces = append(out.NetworkInterfaces, networkInterface(s, e))
	}
	return out, nil
}

func attachNetworkInterface(
	c *call, in *wire.AttachNetworkInterfaceRequest,
) (*wire.AttachNetworkInterfaceResult, error) {
	if err := refuseUnsupported(asked("networkCardIndex", wire.Value(in.NetworkCardIndex) != 0)); err != nil {
		return nil, err
	}
	var out *wire.AttachNetworkInterfaceResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		e, change, err := s.AttachNetworkInterface(c.env, vpc.NewAttachment{
			Interface:   vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Instance:    vpc.InstanceID(wire.Value(in.InstanceId)),
			DeviceIndex: int(wire.Value(in.DeviceIndex)),
		})
		if err != nil {
			return change, err
		}
		out = &wire.AttachNetworkInterfaceResult{
			AttachmentId: text(e.Attachment.ID), NetworkCardIndex: new(int32(0)),
		}
		return change, nil
	})
	return out, err
}

func detachNetworkInterface(
	c *call, in *wire.DetachNetworkInterfaceRequest,
) (*wire.DetachNetworkInterfaceResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DetachNetworkInterface(vpc.AttachmentID(wire.Value(in.AttachmentId)))
	})
	return &wire.DetachNetworkInterfaceResult{}, err
}

func modifyNetworkInterfaceAttribute(
	c *call, in *wire.ModifyNetworkInterfaceAttributeRequest,
) (*wire.ModifyNetworkInterfaceAttributeResult, error) {
	if err := refuseUnsupported(
		asked("associatePublicIpAddress", in.AssociatePublicIpAddress != nil),
		asked("associatedSubnetId", len(in.AssociatedSubnetIds) > 0),
		asked("connectionTrackingSpecification", in.ConnectionTrackingSpecification != nil),
		asked("enaSrdSpecification", in.EnaSrdSpecification != nil),
		asked("enablePrimaryIpv6", in.EnablePrimaryIpv6 != nil),
		asked("attachment.enaQueueCount", in.Attachment != nil &&
			(in.Attachment.EnaQueueCount != nil || in.Attachment.DefaultEnaQueueCount != nil)),
	); err != nil {
		return nil, err
	}
	change := vpc.InterfaceChange{
		Groups:          ids[vpc.GroupID](in.Groups),
		SourceDestCheck: boolean(in.SourceDestCheck),
	}
	if in.Description != nil {
		change.Description = new(wire.Value(in.Description.Value)) // to clear it some clients send no value
	}
	if in.Attachment != nil {
		if in.Attachment.DeleteOnTermination == nil {
			return nil, vpc.Errorf(vpc.CodeMissingParameter,
				"The request must contain the parameter attachment.deleteOnTermination")
		}
		change.Attachment = &vpc.AttachmentChange{
			ID:                  vpc.AttachmentID(wire.Value(in.Attachment.AttachmentId)),
			DeleteOnTermination: *in.Attachment.DeleteOnTermination,
		}
	}
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifyNetworkInterface(vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)), change)
	})
	return &wire.ModifyNetworkInterfaceAttributeResult{}, err
}

func assignPrivateIPAddresses(
	c *call, in *wire.AssignPrivateIpAddressesRequest,
) (*wire.AssignPrivateIpAddressesResult, error) {
	var out *wire.AssignPrivateIpAddressesResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		given, change, err := s.AssignPrivateIPAddresses(vpc.NewAddresses{
			Interface:         vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Addresses:         in.PrivateIpAddresses,
			Count:             int(wire.Value(in.SecondaryPrivateIpAddressCount)),
			Prefixes:          in.Ipv4Prefixes,
			PrefixCount:       int(wire.Value(in.Ipv4PrefixCount)),
			AllowReassignment: wire.Value(in.AllowReassignment),
		})
		out = &wire.AssignPrivateIpAddressesResult{NetworkInterfaceId: in.NetworkInterfaceId}
		for _, a := range given.Addresses {
			out.AssignedPrivateIpAddresses = append(out.AssignedPrivateIpAddresses,
				wire.AssignedPrivateIpAddress{PrivateIpAddress: text(a.String())})
		}
		for _, p := range given.Prefixes {
			out.AssignedIpv4Prefixes = append(out.AssignedIpv4Prefixes, wire.Ipv4PrefixSpecification{Ipv4Prefix: text(p.String())})
		}
		return change, err
	})
	return out, err
}

func unassignPrivateIPAddresses(
	c *call, in *wire.UnassignPrivateIpAddressesRequest,
) (*wire.UnassignPrivateIpAddressesResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		_, change, err := s.UnassignPrivateIPAddresses(vpc.OldAddresses{
			Interface: vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Addresses: in.PrivateIpAddresses,
			Prefixes:  in.Ipv4Prefixes,
		})
		return change, err
	})
	return &wire.UnassignPrivateIpAddressesResult{}, err
}

func assignIPv6Addresses(c *call, in *wire.AssignIpv6AddressesRequest) (*wire.AssignIpv6AddressesResult, error) {
	var out *wire.AssignIpv6AddressesResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		given, change, err := s.AssignIPv6Addresses(vpc.NewAddresses{
			Interface:   vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Addresses:   in.Ipv6Addresses,
			Count:       int(wire.Value(in.Ipv6AddressCount)),
			Prefixes:    in.Ipv6Prefixes,
			PrefixCount: int(wire.Value(in.Ipv6PrefixCount)),
		})
		out = &wire.AssignIpv6AddressesResult{
			NetworkInterfaceId:    in.NetworkInterfaceId,
			AssignedIpv6Addresses: texts(given.Addresses),
			AssignedIpv6Prefixes:  texts(given.Prefixes),
		}
		return change, err
	})
	return out, err
}

func unassignIPv6Addresses(
	c *call, in *wire.UnassignIpv6AddressesRequest,
) (*wire.UnassignIpv6AddressesResult, error) {
	var out *wire.UnassignIpv6AddressesResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		taken, change, err := s.UnassignIPv6Addresses(vpc.OldAddresses{
			Interface: vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Addresses: in.Ipv6Addresses,
			Prefixes:  in.Ipv6Prefixes,
		})
		out = &wire.UnassignIpv6AddressesResult{
			NetworkInterfaceId:      in.NetworkInterfaceId,
			UnassignedIpv6Addresses: texts(taken.Addresses),
			UnassignedIpv6Prefixes:  texts(taken.Prefixes),
		}
		return change, err
	})
	return out, err
}

// texts returns the text forms, nil if there are none.
func texts[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

func networkInterface(s *vpc.State, e *vpc.NetworkInterface) wire.NetworkInterface {
	subnet := s.Subnet(e.Subnet)
	account := text(s.Installation().Account)
	w := wire.NetworkInterface{
		AvailabilityZone:   &subnet.Zone,
		AvailabilityZoneId: text(s.ZoneID(subnet.Zone)),
		Description:        &e.Description,
		Groups:             groupIdentifiers(s, e.Groups),
		InterfaceType:      new("interface"),
		Ipv6Addresses:      []wire.NetworkInterfaceIpv6Address{},
		MacAddress:         text(e.MAC.String()),
		NetworkInterfaceId: text(e.ID),
		Operator:           &wire.OperatorResponse{Managed: new(false)},
		OwnerId:            account,
		PrivateDnsName:     privateDNSName(s, e.IPv4[0]),
		PrivateIpAddress:   text(e.IPv4[0].String()),
		RequesterManaged:   new(false),
		SourceDestCheck:    &e.SourceDestCheck,
		Status:             text(e.Status()),
		SubnetId:           text(e.Subnet),
		TagSet:             tagSet(e.Tags),
		VpcId:              text(e.VPC),
	}
	if w.TagSet == nil {
		w.TagSet = []wire.Tag{} // here the element is always there
	}
	if a := e.Attachment; a != nil {
		w.Attachment = &wire.NetworkInterfaceAttachment{
			AttachTime:          &a.Time,
			AttachmentId:        text(a.ID),
			DeleteOnTermination: &a.DeleteOnTermination,
			DeviceIndex:         new(int32(a.DeviceIndex)),
			InstanceId:          text(a.Instance),
			InstanceOwnerId:     account,
			NetworkCardIndex:    new(int32(0)),
			Status:              new("attached"),
		}
	}
	for i, a := range e.IPv4 {
		w.PrivateIpAddresses = append(w.PrivateIpAddresses, wire.NetworkInterfacePrivateIpAddress{
			Primary: new(i == 0), PrivateDnsName: privateDNSName(s, a), PrivateIpAddress: text(a.String()),
		})
	}
	for i, a := range e.IPv6 {
		w.Ipv6Addresses = append(w.Ipv6Addresses, wire.NetworkInterfaceIpv6Address{
			Ipv6Address: text(a.String()), IsPrimaryIpv6: new(e.PrimaryIPv6 && i == 0),
		})
	}
	if len(e.IPv6) > 0 {
		w.Ipv6Address = text(e.IPv6[0].String())
	}
	for _, p := range e.IPv4Prefixes {
		w.Ipv4Prefixes = append(w.Ipv4Prefixes, wire.Ipv4PrefixSpecification{Ipv4Prefix: text(p.String())})
	}
	for _, p := range e.IPv6Prefixes {
		w.Ipv6Prefixes = append(w.Ipv6Prefixes, wire.Ipv6PrefixSpecification{Ipv6Prefix: text(p.String())})
	}
	if t := e.Tracking; t != (vpc.ConnectionTracking{}) {
		w.ConnectionTrackingConfiguration = &wire.ConnectionTrackingConfiguration{
			TcpEstablishedTimeout: number(t.TCPEstablished), UdpStreamTimeout: number(t.UDPStream), UdpTimeout: number(t.UDP),
		}
	}
	return w
}

// number returns what a number of an answer points to; nil for 0: an absent element.
func number(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

func groupIdentifiers(s *vpc.State, groups []vpc.GroupID) []wire.GroupIdentifier {
	out := []wire.GroupIdentifier{}
	for _, id := range groups {
		out = append(out, wire.GroupIdentifier{GroupId: text(id), GroupName: &s.SecurityGroup(id).Name})
	}
	return out
}

// privateDNSName returns the name of an IPv4 address.
func privateDNSName(s *vpc.State, a netip.Addr) *string { return text(s.PrivateDNSName(a.String())) }
