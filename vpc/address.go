package vpc

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Addresses says which private addresses and prefixes an interface is to get. The zero value: one IPv4
// address, and an IPv6 address if the subnet gives one to every new interface.
type Addresses struct {
	Primary         string   // IPv4; empty: the server chooses
	Secondary       []string // IPv4
	SecondaryCount  int      // as many IPv4 addresses, which the server chooses
	IPv4Prefixes    []string // each a /28
	IPv4PrefixCount int
	IPv6            []string
	IPv6Count       *int     // nil: one if the subnet says so and nothing else of the family is asked for
	IPv6Prefixes    []string // each a /80
	IPv6PrefixCount int
}

// asks reports whether any address was asked for.
func (a Addresses) asks() bool {
	return a.Primary != "" || a.ipv4().asks() || a.ipv6().asks() || a.IPv6Count != nil
}

// named reports whether an address or prefix was named, which one interface alone can have.
func (a Addresses) named() bool {
	return a.Primary != "" || len(a.Secondary)+len(a.IPv4Prefixes)+len(a.IPv6)+len(a.IPv6Prefixes) > 0
}

func (a Addresses) ipv4() wish {
	return wish{a.Secondary, a.SecondaryCount, a.IPv4Prefixes, a.IPv4PrefixCount, &ipv4Family}
}

func (a Addresses) ipv6() wish {
	w := wish{addresses: a.IPv6, prefixes: a.IPv6Prefixes, prefixCount: a.IPv6PrefixCount, family: &ipv6Family}
	if a.IPv6Count != nil {
		w.count = *a.IPv6Count
	}
	return w
}

// wish is what is asked for of one family: at most one of the first four fields.
type wish struct {
	addresses   []string
	count       int
	prefixes    []string
	prefixCount int
	family      *family
}

func (w wish) asks() bool {
	return len(w.addresses)+len(w.prefixes) > 0 || w.count != 0 || w.prefixCount != 0
}

// family is what differs between the two families of addresses.
type family struct {
	names  [4]string // of the parameters, in the order of the fields of a wish
	bits   int       // of a delegated prefix. Source: EC2 user guide, "Assign prefixes to network interfaces"
	block  func(*Subnet) netip.Prefix
	fields func(*NetworkInterface) (*[]netip.Addr, *[]netip.Prefix)
}

var (
	ipv4Family = family{
		names:  [4]string{"privateIpAddresses", "secondaryPrivateIpAddressCount", "ipv4Prefixes", "ipv4PrefixCount"},
		bits:   28,
		block:  func(n *Subnet) netip.Prefix { return n.CIDR },
		fields: func(e *NetworkInterface) (*[]netip.Addr, *[]netip.Prefix) { return &e.IPv4, &e.IPv4Prefixes },
	}
	ipv6Family = family{
		names: [4]string{"ipv6Addresses", "ipv6AddressCount", "ipv6Prefixes", "ipv6PrefixCount"},
		bits:  80,
		block: func(n *Subnet) netip.Prefix {
			if len(n.IPv6CIDRs) == 0 {
				return netip.Prefix{}
			}
			return n.IPv6CIDRs[0].CIDR
		},
		fields: func(e *NetworkInterface) (*[]netip.Addr, *[]netip.Prefix) { return &e.IPv6, &e.IPv6Prefixes },
	}
)

// delegable returns the prefix that an address would be delegated with.
func delegable(a netip.Addr) netip.Prefix {
	bits := ipv6Family.bits
	if a.Is4() {
		bits = ipv4Family.bits
	}
	p, _ := a.Prefix(bits) // an address of a State has no zone
	return p
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

// hasReserved reports whether a delegable prefix of a subnet's block holds a reserved address.
func hasReserved(block, p netip.Prefix) bool {
	return p.Contains(block.Masked().Addr()) || p.Contains(lastAddr(block))
}

// usable returns the number of addresses of an IPv4 block that interfaces may get.
func usable(block netip.Prefix) int { return 1<<(32-block.Bits()) - firstAddress - 1 }

// AvailableAddresses returns how many IPv4 addresses of a subnet are free.
func (s *State) AvailableAddresses(n *Subnet) int {
	free := usable(n.CIDR)
	for eni := range s.InterfacesOfSubnet(n.ID) {
		free -= len(eni.IPv4) + len(eni.IPv4Prefixes)<<(32-ipv4Family.bits)
	}
	return free
}

// assignment gives addresses and prefixes of a subnet to one of its interfaces. What is named comes
// before what the server chooses, so that it does not choose what the caller named.
type assignment struct {
	*draft
	subnet *Subnet
	eni    *NetworkInterface     // a copy; the caller puts it
	taken  Code                  // refuses what another interface has
	move   bool                  // a secondary address of another interface may be taken from it
	named  map[netip.Prefix]bool // addresses are prefixes of their whole length
	used   map[netip.Prefix]bool // prefixes of the subnet with anything in use in them; nil: nobody asked yet
}

// firstAddresses gives a new interface its addresses, primary first, and prefixes.
func (d *draft) firstAddresses(n *Subnet, eni *NetworkInterface, in Addresses) error {
	a := &assignment{draft: d, subnet: n, eni: eni, taken: CodeInvalidIPAddressInUse, named: map[netip.Prefix]bool{}}
	v4, v6 := in.ipv4(), in.ipv6()
	if in.IPv6Count == nil && !v6.asks() && n.AssignIPv6AddressOnCreation && len(n.IPv6CIDRs) > 0 {
		v6.count = 1
	}
	for _, w := range []wish{v4, v6} {
		if err := w.validate(n); err != nil {
			return err
		}
	}
	if in.Primary != "" {
		if _, err := a.name(in.Primary, "privateIpAddress", &ipv4Family); err != nil {
			return err
		}
	}
	for _, w := range []wish{v4, v6} {
		if _, _, err := a.nameAll(w); err != nil {
			return err
		}
	}
	if in.Primary == "" {
		primary, err := a.choose(&ipv4Family)
		if err != nil {
			return err
		}
		eni.IPv4 = slices.Insert(eni.IPv4, 0, primary)
	}
	for _, w := range []wish{v4, v6} {
		if _, _, err := a.chooseAll(w); err != nil {
			return err
		}
	}
	return nil
}

// validate refuses what contradicts itself, or asks for a family that a subnet does not have.
func (w wish) validate(n *Subnet) error {
	given := -1
	for i, count := range [...]int{len(w.addresses), w.count, len(w.prefixes), w.prefixCount} {
		switch {
		case count < 0:
			return errValue(count, w.family.names[i])
		case count > 0 && given >= 0:
			return errCombination(w.family.names[i], w.family.names[given])
		case count > 0:
			given = i
		}
	}
	if given >= 0 && !w.family.block(n).IsValid() {
		return errNoIPv6(n)
	}
	return nil
}

// nameAll gives the interface the addresses and prefixes that the caller named, and returns them.
func (a *assignment) nameAll(w wish) (addresses []netip.Addr, prefixes []netip.Prefix, err error) {
	for _, text := range w.addresses {
		address, err := a.name(text, w.family.names[0], w.family)
		if err != nil {
			return nil, nil, err
		}
		addresses = append(addresses, address)
	}
	for _, text := range w.prefixes {
		p, err := a.namePrefix(text, w.family)
		if err != nil {
			return nil, nil, err
		}
		prefixes = append(prefixes, p)
	}
	return addresses, prefixes, nil
}

// chooseAll gives the interface as many addresses and prefixes as the caller counted, and returns
// them, unless the interface then has too many.
func (a *assignment) chooseAll(w wish) (addresses []netip.Addr, prefixes []netip.Prefix, err error) {
	has, delegated := w.family.fields(a.eni)
	if len(*has)+len(*delegated)+w.count+w.prefixCount > a.Quota(AddressesPerInterface) {
		return nil, nil, Errorf(CodePrivateIPAddressLimitExceeded, "Number of private addresses will exceed limit.")
	}
	for range w.count {
		address, err := a.choose(w.family)
		if err != nil {
			return nil, nil, err
		}
		*has = append(*has, address)
		addresses = append(addresses, address)
	}
	for range w.prefixCount {
		p, err := a.choosePrefix(w.family)
		if err != nil {
			return nil, nil, err
		}
		*delegated = append(*delegated, p)
		prefixes = append(prefixes, p)
	}
	return addresses, prefixes, nil
}

// name gives the interface an address that the caller named. It may have it already, but not twice
// in one call.
func (a *assignment) name(text, parameter string, f *family) (netip.Addr, error) {
	block := f.block(a.subnet)
	address, err := parseAddress(text, parameter, f == &ipv4Family)
	switch {
	case err != nil:
		return address, err
	case !block.Contains(address):
		return address, errOutside()
	case isReserved(block, address):
		return address, errReserved()
	}
	if err := a.once(netip.PrefixFrom(address, address.BitLen()), address); err != nil {
		return address, err
	}
	has, delegated := f.fields(a.eni)
	if slices.Contains(*has, address) {
		return address, nil
	}
	holder := a.InterfaceAt(a.subnet.VPC, address)
	if slices.Contains(*delegated, delegable(address)) {
		holder = a.eni
	}
	if holder != nil {
		if err := a.takeFrom(holder, address, f); err != nil {
			return address, err
		}
	}
	*has = append(*has, address)
	return address, nil
}

// once refuses what was named in the same call.
func (a *assignment) once(p netip.Prefix, what fmt.Stringer) error {
	if a.named[p] {
		return Errorf(CodeInvalidParameterValue, "Address %s was specified more than once.", what)
	}
	a.named[p] = true
	return nil
}

// takeFrom takes an address from the interface that holds it, if that may be.
func (a *assignment) takeFrom(holder *NetworkInterface, address netip.Addr, f *family) error {
	c := *holder
	has, _ := f.fields(&c)
	at := slices.Index(*has, address)
	switch {
	case !a.move:
		return errTaken(a.taken, address, holder)
	case at < 0:
		return Errorf(CodeInvalidParameterValue,
			"Address %s is in a prefix of the network interface '%s' and cannot be reassigned.", address, holder.ID)
	case at == 0:
		return Errorf(CodeInvalidParameterValue,
			"Address %s is the primary address of the network interface '%s' and cannot be reassigned.", address, holder.ID)
	}
	*has = slices.Delete(slices.Clone(*has), at, at+1)
	a.put(&c)
	return nil
}

// namePrefix gives the interface a prefix that the caller named. It may have it already.
func (a *assignment) namePrefix(text string, f *family) (netip.Prefix, error) {
	block := f.block(a.subnet)
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4() != (f == &ipv4Family) || p.Addr().Is4In6() || p.Bits() != f.bits || p != p.Masked() {
		return p, errValue(text, f.names[2])
	}
	if err := a.once(p, p); err != nil {
		return p, err
	}
	_, delegated := f.fields(a.eni)
	holder := a.InterfaceWithPrefix(a.subnet.VPC, p)
	switch {
	case p.Bits() < block.Bits() || !block.Contains(p.Addr()):
		return p, errOutside()
	case hasReserved(block, p):
		return p, errReserved()
	case slices.Contains(*delegated, p):
		return p, nil
	case holder != nil:
		return p, errTaken(a.taken, p, holder)
	case a.isUsed(p, f):
		return p, Errorf(CodeInvalidIPAddressInUse, "Address %s is in use.", p)
	}
	*delegated = append(*delegated, p)
	return p, nil
}

// isFree reports whether no interface has an address, alone or in a prefix.
func (a *assignment) isFree(address netip.Addr, f *family) bool {
	has, delegated := f.fields(a.eni)
	return !slices.Contains(*has, address) && !slices.Contains(*delegated, delegable(address)) &&
		a.InterfaceAt(a.subnet.VPC, address) == nil
}

// isUsed reports whether an interface has a prefix or any address in it.
func (a *assignment) isUsed(p netip.Prefix, f *family) bool {
	if a.used == nil {
		a.used = map[netip.Prefix]bool{}
		for e := range a.InterfacesOfSubnet(a.subnet.ID) {
			has, delegated := f.fields(e)
			for _, address := range *has {
				a.used[delegable(address)] = true
			}
			for _, p := range *delegated {
				a.used[p] = true
			}
		}
	}
	has, delegated := f.fields(a.eni)
	return a.used[p] || slices.ContainsFunc(*has, p.Contains) || slices.Contains(*delegated, p)
}

// choose returns a free address: the first one after a place that the interface's id decides, so that
// an address is not used again at once.
func (a *assignment) choose(f *family) (netip.Addr, error) {
	if f == &ipv6Family {
		return a.chooseIPv6()
	}
	base := binary.BigEndian.Uint32(a.subnet.CIDR.Addr().AsSlice())
	size := uint32(usable(a.subnet.CIDR))
	start := uint32(hash(string(a.eni.ID)) % uint64(size))
	for i := range size {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], base+firstAddress+(start+i)%size)
		if address := netip.AddrFrom4(b); a.isFree(address, f) {
			return address, nil
		}
	}
	return netip.Addr{}, errNoFreeAddresses(a.subnet)
}

// chooseIPv6 goes over a delegated prefix at one step: all its addresses are taken.
func (a *assignment) chooseIPv6() (netip.Addr, error) {
	const tries = 1 << 20 // more than any number of interfaces can bring about but on purpose
	block := ipv6Family.block(a.subnet)
	_, delegated := ipv6Family.fields(a.eni)
	b := block.Addr().As16()
	low := hash(string(a.eni.ID))
	for range tries {
		binary.BigEndian.PutUint64(b[8:], low)
		address := netip.AddrFrom16(b)
		switch p := delegable(address); {
		case slices.Contains(*delegated, p) || a.InterfaceWithPrefix(a.subnet.VPC, p) != nil:
			low += 1 << (128 - ipv6Family.bits)
		case isReserved(block, address) || !a.isFree(address, &ipv6Family):
			low++
		default:
			return address, nil
		}
	}
	return netip.Addr{}, errNoFreeAddresses(a.subnet)
}

// choosePrefix returns a prefix of which nothing is in use: the first one after a place that the
// interface's id decides.
func (a *assignment) choosePrefix(f *family) (netip.Prefix, error) {
	block := f.block(a.subnet)
	if block.Bits() <= f.bits {
		count := uint64(1) << (f.bits - block.Bits())
		start := hash(string(a.eni.ID)) % count
		for i := range count {
			p := nthPrefix(block, f.bits, (start+i)%count)
			if !hasReserved(block, p) && !a.isUsed(p, f) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, Errorf(CodeInsufficientCidrBlocks,
		"The specified subnet does not have enough free cidr blocks to satisfy the request.")
}

// nthPrefix returns the prefix of a length that comes after n others in a block: one of IPv4, or a /64
// or longer.
func nthPrefix(block netip.Prefix, bits int, n uint64) netip.Prefix {
	b := block.Addr().AsSlice()
	if len(b) == 4 {
		binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)|uint32(n)<<(32-bits))
	} else {
		binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])|n<<(128-bits))
	}
	address, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(address, bits)
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

// parseAddress reads an address of one family as a client writes it.
func parseAddress(text, parameter string, is4 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() != is4 || a.Is4In6() || a.Zone() != "" {
		return a, errValue(text, parameter)
	}
	return a, nil
}

func errOutside() *Error {
	return Errorf(CodeInvalidParameterValue, "Address does not fall within the subnet's address range")
}

func errReserved() *Error {
	return Errorf(CodeInvalidParameterValue, "Address is in subnet's reserved address range")
}

// errTaken refuses an address or prefix that an interface has.
func errTaken(code Code, what fmt.Stringer, holder *NetworkInterface) *Error {
	if code == CodeResourceAlreadyAssigned {
		return Errorf(code, "Address %s is already assigned to the network interface '%s'.", what, holder.ID)
	}
	return Errorf(code, "Address %s is in use.", what)
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
