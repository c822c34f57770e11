package ec2api

import (
	"fmt"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

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

// connectionTracking returns the timeouts that were asked for. A 0 that was sent is refused here: in
// vpc it stands for a timeout that was not.
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
		if *v.to = wire.Value(v.from); v.from != nil && *v.from == 0 {
			return t, vpc.Errorf(vpc.CodeInvalidParameterValue, "Value (0) for parameter %s is invalid.", v.name)
		}
	}
	return t, nil
}
