package vpc

import (
	"net/netip"
	"slices"
)

// NewAddresses is what AssignPrivateIpAddresses and AssignIpv6Addresses are told: one of Addresses,
// Count, Prefixes and PrefixCount.
type NewAddresses struct {
	Interface         InterfaceID
	Addresses         []string
	Count             int      // as many more addresses, which the server chooses
	Prefixes          []string // each a /28 of IPv4, a /80 of IPv6
	PrefixCount       int
	AllowReassignment bool // IPv4: a secondary address of another interface of the subnet may be taken from it
}

// Assigned is what an interface was given, or what it gave back, as the caller ordered it.
type Assigned struct {
	Addresses []netip.Addr
	Prefixes  []netip.Prefix
}

// AssignPrivateIPAddresses gives an interface more IPv4 addresses or prefixes. What is named and the
// interface has already stays as it is.
func (s *State) AssignPrivateIPAddresses(in NewAddresses) (Assigned, Change, error) {
	return s.assign(in, &ipv4Family, "privateIpAddress, secondaryPrivateIpAddressCount, ipv4Prefix or ipv4PrefixCount")
}

// AssignIPv6Addresses is AssignPrivateIPAddresses for IPv6.
func (s *State) AssignIPv6Addresses(in NewAddresses) (Assigned, Change, error) {
	return s.assign(in, &ipv6Family, "ipv6Addresses, ipv6AddressCount, ipv6Prefix or ipv6PrefixCount")
}

func (s *State) assign(in NewAddresses, f *family, parameters string) (Assigned, Change, error) {
	eni, err := s.findInterface(in.Interface)
	if err != nil {
		return Assigned{}, Change{}, err
	}
	n := s.Subnet(eni.Subnet)
	w := wish{in.Addresses, in.Count, in.Prefixes, in.PrefixCount, f}
	if !w.asks() {
		return Assigned{}, Change{}, errMissing(parameters)
	}
	if err := w.validate(n); err != nil {
		return Assigned{}, Change{}, err
	}
	c := cloneAddresses(eni)
	a := &assignment{
		draft: s.draft(), subnet: n, eni: c, taken: CodeResourceAlreadyAssigned,
		move: in.AllowReassignment, named: map[netip.Prefix]bool{},
	}
	var out Assigned
	if out.Addresses, out.Prefixes, err = a.nameAll(w); err != nil {
		return Assigned{}, Change{}, err
	}
	addresses, prefixes, err := a.chooseAll(w)
	if err != nil {
		return Assigned{}, Change{}, err
	}
	out.Addresses, out.Prefixes = append(out.Addresses, addresses...), append(out.Prefixes, prefixes...)
	return out, a.putIfChanged(eni, c), nil
}

// cloneAddresses returns a copy of an interface whose addresses and prefixes may be changed.
func cloneAddresses(e *NetworkInterface) *NetworkInterface {
	c := *e
	c.IPv4, c.IPv6 = slices.Clone(e.IPv4), slices.Clone(e.IPv6)
	c.IPv4Prefixes, c.IPv6Prefixes = slices.Clone(e.IPv4Prefixes), slices.Clone(e.IPv6Prefixes)
	return &c
}

// putIfChanged puts an interface unless it has the addresses and prefixes that it had, and returns the
// change.
func (d *draft) putIfChanged(before, now *NetworkInterface) Change {
	if !slices.Equal(before.IPv4, now.IPv4) || !slices.Equal(before.IPv6, now.IPv6) ||
		!slices.Equal(before.IPv4Prefixes, now.IPv4Prefixes) || !slices.Equal(before.IPv6Prefixes, now.IPv6Prefixes) {
		d.put(now)
	}
	return d.change()
}

// OldAddresses is what UnassignPrivateIpAddresses and UnassignIpv6Addresses are told.
type OldAddresses struct {
	Interface InterfaceID
	Addresses []string
	Prefixes  []string
}

// UnassignPrivateIPAddresses takes IPv4 addresses and prefixes from an interface, but never the
// primary address.
func (s *State) UnassignPrivateIPAddresses(in OldAddresses) (Assigned, Change, error) {
	return s.unassign(in, &ipv4Family, "privateIpAddress or ipv4Prefix")
}

// UnassignIPv6Addresses is UnassignPrivateIPAddresses for IPv6, where there is a primary address only
// if one was asked for.
func (s *State) UnassignIPv6Addresses(in OldAddresses) (Assigned, Change, error) {
	return s.unassign(in, &ipv6Family, "ipv6Addresses or ipv6Prefix")
}

func (s *State) unassign(in OldAddresses, f *family, parameters string) (Assigned, Change, error) {
	eni, err := s.findInterface(in.Interface)
	if err != nil {
		return Assigned{}, Change{}, err
	}
	if len(in.Addresses)+len(in.Prefixes) == 0 {
		return Assigned{}, Change{}, errMissing(parameters)
	}
	c := cloneAddresses(eni)
	has, delegated := f.fields(c)
	var out Assigned
	for _, text := range in.Addresses {
		a, err := parseAddress(text, f.names[0], f == &ipv4Family)
		if err != nil {
			return Assigned{}, Change{}, err
		}
		switch at := slices.Index(*has, a); {
		case slices.Contains(out.Addresses, a): // named twice
		case at < 0:
			return Assigned{}, Change{}, errNotAssigned(eni)
		case at == 0 && (f == &ipv4Family || eni.PrimaryIPv6):
			return Assigned{}, Change{}, Errorf(CodeInvalidParameterValue,
				"Value (%s) for parameter %s is invalid. The primary address of a network interface cannot be unassigned.", a, f.names[0])
		default:
			*has = slices.Delete(*has, at, at+1)
			out.Addresses = append(out.Addresses, a)
		}
	}
	for _, text := range in.Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return Assigned{}, Change{}, errValue(text, f.names[2])
		}
		switch at := slices.Index(*delegated, p); {
		case slices.Contains(out.Prefixes, p):
		case at < 0:
			return Assigned{}, Change{}, errNotAssigned(eni)
		default:
			*delegated = slices.Delete(*delegated, at, at+1)
			out.Prefixes = append(out.Prefixes, p)
		}
	}
	d := s.draft()
	return out, d.putIfChanged(eni, c), nil
}

func errNotAssigned(e *NetworkInterface) *Error {
	return Errorf(CodeInvalidParameterValue, "Some of the specified addresses are not assigned to interface %s", e.ID)
}
