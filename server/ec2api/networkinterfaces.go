package ec2api

import (
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
	handle(a, wire.DescribeNetworkInterfaceAttribute, describeNetworkInterfaceAttribute)
	handle(a, wire.ResetNetworkInterfaceAttribute, resetNetworkInterfaceAttribute)
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
		asked("associatedSubnetId", len(in.AssociatedSubnetIds) > 0),
		asked("enaSrdSpecification", in.EnaSrdSpecification != nil),
		asked("attachment.enaQueueCount", in.Attachment != nil &&
			(in.Attachment.EnaQueueCount != nil || in.Attachment.DefaultEnaQueueCount != nil)),
	); err != nil {
		return nil, err
	}
	change := vpc.InterfaceChange{
		Groups:          ids[vpc.GroupID](in.Groups),
		SourceDestCheck: boolean(in.SourceDestCheck),
		PrimaryIPv6:     in.EnablePrimaryIpv6,
		PublicIPAddress: in.AssociatePublicIpAddress,
	}
	if in.ConnectionTrackingSpecification != nil {
		t, err := connectionTracking(in.ConnectionTrackingSpecification)
		if err != nil {
			return nil, err
		}
		change.Tracking = &t
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

func describeNetworkInterfaceAttribute(
	c *call, in *wire.DescribeNetworkInterfaceAttributeRequest,
) (*wire.DescribeNetworkInterfaceAttributeResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, _, err := s.DescribeNetworkInterfaces(vpc.InterfaceQuery{
		IDs: []vpc.InterfaceID{vpc.InterfaceID(wire.Value(in.NetworkInterfaceId))},
	})
	if err != nil {
		return nil, err
	}
	w := networkInterface(s, list[0])
	out := &wire.DescribeNetworkInterfaceAttributeResult{NetworkInterfaceId: w.NetworkInterfaceId}
	switch attribute := wire.Value(in.Attribute); attribute {
	case "description":
		out.Description = &wire.AttributeValue{Value: w.Description}
	case "groupSet":
		out.Groups = w.Groups
	case "sourceDestCheck":
		out.SourceDestCheck = &wire.AttributeBooleanValue{Value: w.SourceDestCheck}
	case "attachment":
		out.Attachment = w.Attachment
	case "associatePublicIpAddress":
		out.AssociatePublicIpAddress = new(false) // there are no public addresses
	default:
		return nil, unknownAttribute(attribute)
	}
	return out, nil
}

func unknownAttribute(name string) error {
	return vpc.Errorf(vpc.CodeInvalidParameterValue, "Value (%s) for parameter attribute is invalid. Unknown attribute.", name)
}

func resetNetworkInterfaceAttribute(
	c *call, in *wire.ResetNetworkInterfaceAttributeRequest,
) (*wire.ResetNetworkInterfaceAttributeResult, error) {
	var change vpc.InterfaceChange
	if in.SourceDestCheck != nil { // whatever it says
		change.SourceDestCheck = new(true)
	}
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifyNetworkInterface(vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)), change)
	})
	return &wire.ResetNetworkInterfaceAttributeResult{}, err
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
