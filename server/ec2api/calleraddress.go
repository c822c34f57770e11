package ec2api

import (
	"net/netip"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) callerAddressActions() {
	handle(a, wire.DescribeCallerAddress, describeCallerAddress)
}

// describeCallerAddress says by which addresses guests would see the caller, as far as one connection
// tells: that from which it came, or on this machine the two that lab guests see it by.
func describeCallerAddress(c *call, _ *wire.DescribeCallerAddressRequest) (*wire.DescribeCallerAddressResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeCallerAddressResult{}
	from, err := netip.ParseAddrPort(c.remote)
	address := from.Addr().Unmap()
	switch host := s.Host(c.LocalHost); {
	case err != nil:
		out.Message = new("The server does not know from where the request came.")
	case c.forwarded:
		out.Message = new("The request came through a proxy that the server was not told to trust (--trusted-proxies).")
	case address.IsLoopback() && host != nil && host.Lab:
		out.Ipv4Address, out.Ipv6Address = new(vpc.LabOutside[0].String()), new(vpc.LabOutside[1].String())
	case address.IsLoopback():
		out.Message = new("The request came from the server's own machine, and guests of other kinds than lab guests see that by an address which the server does not know.")
	case address.IsLinkLocalUnicast():
		out.Message = new("The request came from a link-local address, which means nothing to guests.")
	case address.Is4():
		out.Ipv4Address, out.Message = new(address.String()), new("The request came by IPv4: the caller's IPv6 address is not known.")
	default:
		out.Ipv6Address, out.Message = new(address.String()), new("The request came by IPv6: the caller's IPv4 address is not known.")
	}
	return out, nil
}
