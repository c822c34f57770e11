package vpc

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
)

// maxAddresses is how many addresses of one family an interface may have: what the largest EC2
// instance types allow.
const maxAddresses = 50

// Addresses says which private addresses an interface is to have. The zero value: one IPv4 address,
// and an IPv6 address if the subnet gives one to every new interface.
type Addresses struct {
	Primary        string   // IPv4; empty: the server chooses
	Secondary      []string // IPv4
	SecondaryCount int      // as many more IPv4 addresses, which the server chooses
	IPv6           []string
	IPv6Count      int
}

// Offsets in a subnet that are never given out: network, router, DNS, future use. Broadcast, the
// last address, is reserved in both families. Source: VPC user guide, "Subnet CIDR blocks".
const firstAddress = 4

// lastAddr returns the last address of a block.
func lastAddr(block netip.Prefix) netip.Addr {
	a := block.Masked().Addr().AsSlice()
	for bit := block.Bits(); bit < len(a)*8; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(a)
	return last
}

// isReserved reports whether an address of a subnet's block is one that no interface gets.
func isReserved(block netip.Prefix, a netip.Addr) bool {
	r := block.Masked().Addr()
	for range firstAddress {
		if a == r {
			return true
		}
		r = r.Next()
	}
	return a == lastAddr(block)
}

// usable returns the number of addresses of an IPv4 block that interfaces may get.
func usable(block netip.Prefix) int { return 1<<(32-block.Bits()) - firstAddress - 1 }

// freeIPv4 returns an address of a subnet that no interface has and that is not in taken, and adds it
// there: the first free one after a place that the seed decides, so that an address is not used again
// at once.
func (d *draft) freeIPv4(n *Subnet, seed string, taken map[netip.Addr]bool) (netip.Addr, error) {
	base := binary.BigEndian.Uint32(n.CIDR.Addr().AsSlice())
	size := uint32(usable(n.CIDR))
	start := uint32(hash(seed) % uint64(size))
	for i := range size {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], base+firstAddress+(start+i)%size)
		if a := netip.AddrFrom4(b); !taken[a] && d.InterfaceAt(n.VPC, a) == nil {
			taken[a] = true
			return a, nil
		}
	}
	return netip.Addr{}, errNoFreeAddresses(n)
}

// freeIPv6 is freeIPv4 for the subnet's IPv6 block, which it must have and which never runs out.
func (d *draft) freeIPv6(n *Subnet, seed string, taken map[netip.Addr]bool) netip.Addr {
	block := n.IPv6CIDRs[0].CIDR
	b := block.Addr().As16()
	for low := hash(seed); ; low++ {
		binary.BigEndian.PutUint64(b[8:], low)
		if a := netip.AddrFrom16(b); !isReserved(block, a) && !taken[a] && d.InterfaceAt(n.VPC, a) == nil {
			taken[a] = true
			return a
		}
	}
}

func hash(seed string) uint64 {
	sum := sha256.Sum256([]byte(seed))
	return binary.BigEndian.Uint64(sum[:])
}

// freeMAC returns a locally administered unicast address that no interface has.
func (d *draft) freeMAC(seed string) MAC {
	for n := hash(seed); ; n++ {
		m := MAC{0x02, byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		if d.InterfaceWithMAC(m) == nil {
			return m
		}
	}
}

// addresses chooses the addresses of a new interface in a subnet, primary first. seed is the
// interface's id.
func (d *draft) addresses(n *Subnet, in Addresses, seed string) (v4, v6 []netip.Addr, err error) {
	taken := map[netip.Addr]bool{}
	claim := func(text, parameter string, block netip.Prefix) (netip.Addr, error) {
		a, err := parseAddress(text, parameter, block.Addr().Is4())
		switch {
		case err != nil:
			return a, err
		case !block.Contains(a):
			return a, Errorf(CodeInvalidParameterValue, "Address does not fall within the subnet's address range")
		case isReserved(block, a):
			return a, Errorf(CodeInvalidParameterValue, "Address is in subnet's reserved address range")
		case taken[a]:
			return a, Errorf(CodeInvalidParameterValue, "Address %s was specified more than once.", a)
		case d.InterfaceAt(n.VPC, a) != nil:
			return a, Errorf(CodeInvalidIPAddressInUse, "Address %s is in use.", a)
		}
		taken[a] = true
		return a, nil
	}
	switch {
	case len(in.Secondary) > 0 && in.SecondaryCount != 0:
		return nil, nil, errCombination("secondaryPrivateIpAddressCount", "privateIpAddresses")
	case len(in.IPv6) > 0 && in.IPv6Count != 0:
		return nil, nil, errCombination("ipv6AddressCount", "ipv6Addresses")
	case in.SecondaryCount < 0:
		return nil, nil, errValue(in.SecondaryCount, "secondaryPrivateIpAddressCount")
	case in.IPv6Count < 0:
		return nil, nil, errValue(in.IPv6Count, "ipv6AddressCount")
	case 1+len(in.Secondary)+in.SecondaryCount > maxAddresses || len(in.IPv6)+in.IPv6Count > maxAddresses:
		return nil, nil, Errorf(CodePrivateIPAddressLimitExceeded, "Number of private addresses will exceed limit.")
	case len(n.IPv6CIDRs) == 0 && len(in.IPv6)+in.IPv6Count > 0:
		return nil, nil, errNoIPv6(n)
	}
	// Explicit ones first, so that the server does not choose what the caller named.
	var primary netip.Addr
	if in.Primary != "" {
		if primary, err = claim(in.Primary, "privateIpAddress", n.CIDR); err != nil {
			return nil, nil, err
		}
	}
	for _, text := range in.Secondary {
		a, err := claim(text, "privateIpAddresses", n.CIDR)
		if err != nil {
			return nil, nil, err
		}
		v4 = append(v4, a)
	}
	for _, text := range in.IPv6 {
		a, err := claim(text, "ipv6Addresses", n.IPv6CIDRs[0].CIDR)
		if err != nil {
			return nil, nil, err
		}
		v6 = append(v6, a)
	}
	chosen := in.SecondaryCount
	if in.Primary == "" {
		chosen++
	}
	if d.AvailableAddresses(n)-len(taken)+len(v6) < chosen {
		return nil, nil, errNoFreeAddresses(n)
	}
	if in.Primary == "" {
		if primary, err = d.freeIPv4(n, seed, taken); err != nil {
			return nil, nil, err
		}
	}
	v4 = slices.Insert(v4, 0, primary)
	for range in.SecondaryCount {
		a, err := d.freeIPv4(n, seed, taken)
		if err != nil {
			return nil, nil, err
		}
		v4 = append(v4, a)
	}
	count := in.IPv6Count
	if count == 0 && len(v6) == 0 && n.AssignIPv6AddressOnCreation && len(n.IPv6CIDRs) > 0 {
		count = 1
	}
	for range count {
		v6 = append(v6, d.freeIPv6(n, seed, taken))
	}
	return v4, v6, nil
}

// AvailableAddresses returns how many IPv4 addresses of a subnet are free.
func (s *State) AvailableAddresses(n *Subnet) int {
	free := usable(n.CIDR)
	for eni := range s.InterfacesOfSubnet(n.ID) {
		free -= len(eni.IPv4)
	}
	return free
}

// parseAddress reads an address of one family as a client writes it.
func parseAddress(text, parameter string, is4 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() != is4 || a.Is4In6() || a.Zone() != "" {
		return a, errValue(text, parameter)
	}
	return a, nil
}

func errNoFreeAddresses(n *Subnet) *Error {
	return Errorf(CodeInsufficientFreeAddressesInSubnet, "Insufficient free addresses in subnet '%s'", n.ID)
}

func errNoIPv6(n *Subnet) *Error {
	return Errorf(CodeInvalidParameterValue, "The subnet '%s' does not have an IPv6 CIDR block associated with it.", n.ID)
}

// errValue refuses the value of one parameter, named in lower camel case.
func errValue(value any, parameter string) *Error {
	return Errorf(CodeInvalidParameterValue, "Value (%v) for parameter %s is invalid.", value, parameter)
}
