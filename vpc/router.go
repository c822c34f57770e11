package vpc

import "net/netip"

// Routers returns the addresses of the subnet's router, IPv4 first: the first host address of each
// block, 10.0.1.1 of 10.0.1.0/24. Source: VPC user guide, "Subnet CIDR reservations".
func (n *Subnet) Routers() []netip.Addr {
	routers := make([]netip.Addr, 0, 1+len(n.IPv6CIDRs))
	if n.CIDR.IsValid() {
		routers = append(routers, n.CIDR.Addr().Next())
	}
	for _, a := range n.IPv6CIDRs {
		routers = append(routers, a.CIDR.Addr().Next())
	}
	return routers
}
