package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestCreateWithPrefixes(t *testing.T) {
	l := newLAN(t)
	named := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{
		Primary: "10.0.2.9", IPv4Prefixes: []string{"10.0.2.32/28", "10.0.2.16/28"}, IPv6Prefixes: []string{"fd12:3456:789a:2:5::/80"},
	}})
	if got, want := fmt.Sprint(named.IPv4, named.IPv4Prefixes, named.IPv6, named.IPv6Prefixes),
		"[10.0.2.9] [10.0.2.32/28 10.0.2.16/28] [] [fd12:3456:789a:2:5::/80]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	counted := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{IPv4PrefixCount: 2, IPv6PrefixCount: 3}})
	if len(counted.IPv4Prefixes) != 2 || len(counted.IPv6Prefixes) != 3 || len(counted.IPv6) != 0 {
		t.Errorf("got %+v, want 2 and 3 prefixes", counted)
	}
	if got, want := l.AvailableAddresses(l.dual), 251-2-4*16; got != want {
		t.Errorf("available addresses: got %d, want %d", got, want)
	}
	for text, want := range map[string]*vpc.NetworkInterface{
		"10.0.2.9": named, "10.0.2.16": named, "10.0.2.47": named, "fd12:3456:789a:2:5::77": named, "fd12:3456:789a:2:6::77": nil,
	} {
		got := l.InterfaceAt(l.vpc.ID, netip.MustParseAddr(text))
		if (got == nil) != (want == nil) || got != nil && got.ID != want.ID {
			t.Errorf("at %s: got %v, want %v", text, got, want)
		}
	}
	for free := l.freePrefixes(); ; free-- { // all that can be delegated is, and no more
		_, c, err := l.AssignPrivateIPAddresses(vpc.NewAddresses{Interface: named.ID, PrefixCount: 1})
		if free == 0 {
			refused(t, err, "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks to satisfy the request.")
			break
		}
		l.do(c, err)
		if got := l.freePrefixes(); got != free-1 {
			t.Fatalf("free prefixes: got %d, want %d", got, free-1)
		}
	}
}

// freePrefixes counts the /28s of the dual subnet of which nothing is reserved or in use.
func (l *lan) freePrefixes() (n int) {
	for i := 1; i < 15; i++ {
		free := true
		a := netip.AddrFrom4([4]byte{10, 0, 2, byte(16 * i)})
		for range 16 {
			free = free && l.InterfaceAt(l.vpc.ID, a) == nil
			a = a.Next()
		}
		if free {
			n++
		}
	}
	return n
}

func TestPrefixesAndAddressesExcludeEachOther(t *testing.T) {
	l := newLAN(t)
	// All but the primary's prefix, the first and the last are delegated: what is chosen is in those.
	var all []string
	for i := 1; i < 15; i++ {
		all = append(all, fmt.Sprintf("10.0.2.%d/28", 16*i))
	}
	l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.4", IPv4Prefixes: all}})
	for range 11 + 15 {
		e := l.interfaceIn(l.dual.ID)
		if low := e.IPv4[0].As4()[3]; low > 15 && low < 240 {
			t.Errorf("%s is in a prefix of another interface", e.IPv4[0])
		}
	}
	_, _, err := l.CreateNetworkInterface(l.env, vpc.NewInterface{Subnet: l.dual.ID})
	refused(t, err, "InsufficientFreeAddressesInSubnet: Insufficient free addresses in subnet '"+string(l.dual.ID)+"'")
	if got := l.AvailableAddresses(l.dual); got != 0 {
		t.Errorf("available addresses: got %d, want 0", got)
	}
}

// An IPv6 address is found though all /80s but one are delegated.
func TestIPv6AddressBesidePrefixes(t *testing.T) {
	l := newLAN(t)
	var puts []vpc.Object
	for i := range 256 {
		e := &vpc.NetworkInterface{
			ID: vpc.InterfaceID(fmt.Sprintf("eni-%08x", i)), VPC: l.vpc.ID, Subnet: l.dual.ID, MAC: vpc.MAC{2, 0, 0, 0, 1, byte(i)},
			IPv4: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}, Groups: []vpc.GroupID{l.group.ID},
		}
		for j := range 256 {
			if i == 0x7f && j == 0x11 {
				continue
			}
			a := netip.MustParseAddr("fd12:3456:789a:2::").As16()
			a[8], a[9] = byte(i), byte(j)
			e.IPv6Prefixes = append(e.IPv6Prefixes, netip.PrefixFrom(netip.AddrFrom16(a), 80))
		}
		puts = append(puts, e)
	}
	l.apply(vpc.Change{Puts: puts})
	e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.9", IPv6Count: new(2)}})
	for _, a := range e.IPv6 {
		if want := netip.MustParsePrefix("fd12:3456:789a:2:7f11::/80"); !want.Contains(a) {
			t.Errorf("got %s, want one in %s", a, want)
		}
	}
	_, _, err := l.AssignIPv6Addresses(vpc.NewAddresses{Interface: e.ID, PrefixCount: 1})
	refused(t, err, "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks to satisfy the request.")
}

func TestAssignAddresses(t *testing.T) {
	l := newLAN(t)
	e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.9"}})
	for _, step := range []struct {
		ipv6 bool
		in   vpc.NewAddresses
		want string // what the answer names, then what the interface has
	}{
		{in: vpc.NewAddresses{Addresses: []string{"10.0.2.20", "10.0.2.21"}}, want: "[10.0.2.20 10.0.2.21] [] [10.0.2.9 10.0.2.20 10.0.2.21] []"},
		{in: vpc.NewAddresses{Addresses: []string{"10.0.2.21", "10.0.2.9"}}, want: "[10.0.2.21 10.0.2.9] [] [10.0.2.9 10.0.2.20 10.0.2.21] []"},
		{in: vpc.NewAddresses{Prefixes: []string{"10.0.2.32/28"}}, want: "[] [10.0.2.32/28] [10.0.2.9 10.0.2.20 10.0.2.21] [10.0.2.32/28]"},
		{in: vpc.NewAddresses{Prefixes: []string{"10.0.2.32/28"}}, want: "[] [10.0.2.32/28] [10.0.2.9 10.0.2.20 10.0.2.21] [10.0.2.32/28]"},
		{ipv6: true, in: vpc.NewAddresses{Addresses: []string{"FD12:3456:789a:2:0:0:0:9"}}, want: "[fd12:3456:789a:2::9] [] [fd12:3456:789a:2::9] []"},
		{
			ipv6: true, in: vpc.NewAddresses{Prefixes: []string{"fd12:3456:789a:2:5::/80"}},
			want: "[] [fd12:3456:789a:2:5::/80] [fd12:3456:789a:2::9] [fd12:3456:789a:2:5::/80]",
		},
	} {
		step.in.Interface = e.ID
		assign := l.AssignPrivateIPAddresses
		if step.ipv6 {
			assign = l.AssignIPv6Addresses
		}
		given, c, err := assign(step.in)
		l.do(c, err)
		now := l.NetworkInterface(e.ID)
		addresses, prefixes := now.IPv4, now.IPv4Prefixes
		if step.ipv6 {
			addresses, prefixes = now.IPv6, now.IPv6Prefixes
		}
		if got := fmt.Sprint(given.Addresses, given.Prefixes, addresses, prefixes); got != step.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", step.in, got, step.want)
		}
	}
	for count, assign := range map[int]func(vpc.NewAddresses) (vpc.Assigned, vpc.Change, error){
		2: l.AssignPrivateIPAddresses, 3: l.AssignIPv6Addresses,
	} {
		given, _, err := assign(vpc.NewAddresses{Interface: e.ID, Count: count})
		if err != nil || len(given.Addresses) != count || len(given.Prefixes) != 0 {
			t.Errorf("%d addresses: got %v, %v", count, given, err)
		}
		given, _, err = assign(vpc.NewAddresses{Interface: e.ID, PrefixCount: count})
		if err != nil || len(given.Prefixes) != count || len(given.Addresses) != 0 {
			t.Errorf("%d prefixes: got %v, %v", count, given, err)
		}
	}
}

func TestReassignAddress(t *testing.T) {
	l := newLAN(t)
	from := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.9", Secondary: []string{"10.0.2.10", "10.0.2.11"}}})
	l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.8", IPv4Prefixes: []string{"10.0.2.32/28"}}})
	to := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.12"}})
	move := func(a ...string) vpc.NewAddresses {
		return vpc.NewAddresses{Interface: to.ID, Addresses: a, AllowReassignment: true}
	}
	for text, want := range map[string]string{
		"10.0.2.9":  "InvalidParameterValue: Address 10.0.2.9 is the primary address of the network interface '" + string(from.ID) + "' and cannot be reassigned.",
		"10.0.2.33": "InvalidParameterValue: Address 10.0.2.33 is in a prefix of the network interface 'eni-",
	} {
		_, c, err := l.AssignPrivateIPAddresses(move("10.0.2.10", text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || !c.Empty() {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	_, _, err := l.AssignPrivateIPAddresses(vpc.NewAddresses{Interface: to.ID, Addresses: []string{"10.0.2.10"}})
	refused(t, err, "Resource.AlreadyAssigned: Address 10.0.2.10 is already assigned to the network interface '"+string(from.ID)+"'.")
	given, c, err := l.AssignPrivateIPAddresses(move("10.0.2.10", "10.0.2.50"))
	l.do(c, err)
	if got, want := fmt.Sprint(given.Addresses, l.NetworkInterface(from.ID).IPv4, l.NetworkInterface(to.ID).IPv4),
		"[10.0.2.10 10.0.2.50] [10.0.2.9 10.0.2.11] [10.0.2.12 10.0.2.10 10.0.2.50]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAssignRefuses(t *testing.T) {
	l := newLAN(t)
	other := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{
		Primary: "10.0.2.9", IPv4Prefixes: []string{"10.0.2.32/28"}, IPv6: []string{"fd12:3456:789a:2::9"},
	}})
	e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.70", IPv4Prefixes: []string{"10.0.2.80/28"}}})
	plain := l.interfaceIn(l.small.ID)
	const missing = "MissingParameter: The request must contain the parameter "
	for _, tt := range []struct {
		ipv6 bool
		in   vpc.NewAddresses
		want string
	}{
		{false, vpc.NewAddresses{Interface: "eni-12345678", Count: 1}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{false, vpc.NewAddresses{}, missing + "privateIpAddress, secondaryPrivateIpAddressCount, ipv4Prefix or ipv4PrefixCount"},
		{true, vpc.NewAddresses{}, missing + "ipv6Addresses, ipv6AddressCount, ipv6Prefix or ipv6PrefixCount"},
		{
			false,
			vpc.NewAddresses{Addresses: []string{"10.0.2.99"}, Count: 1},
			"InvalidParameterCombination: The parameter secondaryPrivateIpAddressCount cannot be used with the parameter privateIpAddresses",
		},
		{
			false,
			vpc.NewAddresses{Prefixes: []string{"10.0.2.96/28"}, Addresses: []string{"10.0.2.99"}},
			"InvalidParameterCombination: The parameter ipv4Prefixes cannot be used with the parameter privateIpAddresses",
		},
		{
			false,
			vpc.NewAddresses{Prefixes: []string{"10.0.2.96/28"}, PrefixCount: 1},
			"InvalidParameterCombination: The parameter ipv4PrefixCount cannot be used with the parameter ipv4Prefixes",
		},
		{true, vpc.NewAddresses{Count: 1, PrefixCount: 1}, "InvalidParameterCombination: The parameter ipv6PrefixCount cannot be used with the parameter ipv6AddressCount"},
		{false, vpc.NewAddresses{Count: -1}, "InvalidParameterValue: Value (-1) for parameter secondaryPrivateIpAddressCount is invalid."},
		{false, vpc.NewAddresses{PrefixCount: -1}, "InvalidParameterValue: Value (-1) for parameter ipv4PrefixCount is invalid."},
		{false, vpc.NewAddresses{Count: 1 << 31}, "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."},
		{false, vpc.NewAddresses{PrefixCount: 49}, "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."},
		{true, vpc.NewAddresses{Count: 51}, "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2.9"}}, "Resource.AlreadyAssigned: Address 10.0.2.9 is already assigned to the network interface '" + string(other.ID) + "'."},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2.40"}}, "Resource.AlreadyAssigned: Address 10.0.2.40 is already assigned to the network interface '" + string(other.ID) + "'."},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2.81"}}, "Resource.AlreadyAssigned: Address 10.0.2.81 is already assigned to the network interface '" + string(e.ID) + "'."},
		{true, vpc.NewAddresses{Addresses: []string{"fd12:3456:789a:2::9"}}, "Resource.AlreadyAssigned: Address fd12:3456:789a:2::9 is already assigned to the network interface '" + string(other.ID) + "'."},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.32/28"}}, "Resource.AlreadyAssigned: Address 10.0.2.32/28 is already assigned to the network interface '" + string(other.ID) + "'."},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.64/28"}}, "InvalidIPAddress.InUse: Address 10.0.2.64/28 is in use."},
		{true, vpc.NewAddresses{Prefixes: []string{"fd12:3456:789a:2::/80"}}, "InvalidParameterValue: Address is in subnet's reserved address range"},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.0/28"}}, "InvalidParameterValue: Address is in subnet's reserved address range"},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.240/28"}}, "InvalidParameterValue: Address is in subnet's reserved address range"},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.3.16/28"}}, "InvalidParameterValue: Address does not fall within the subnet's address range"},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.17/28"}}, "InvalidParameterValue: Value (10.0.2.17/28) for parameter ipv4Prefixes is invalid."},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.32/27"}}, "InvalidParameterValue: Value (10.0.2.32/27) for parameter ipv4Prefixes is invalid."},
		{false, vpc.NewAddresses{Prefixes: []string{"fd12:3456:789a:2:5::/80"}}, "InvalidParameterValue: Value (fd12:3456:789a:2:5::/80) for parameter ipv4Prefixes is invalid."},
		{true, vpc.NewAddresses{Prefixes: []string{"::ffff:10.0.2.32/124"}}, "InvalidParameterValue: Value (::ffff:10.0.2.32/124) for parameter ipv6Prefixes is invalid."},
		{false, vpc.NewAddresses{Prefixes: []string{"10.0.2.96/28", "10.0.2.96/28"}}, "InvalidParameterValue: Address 10.0.2.96/28 was specified more than once."},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2.99", "10.0.2.99"}}, "InvalidParameterValue: Address 10.0.2.99 was specified more than once."},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2.2"}}, "InvalidParameterValue: Address is in subnet's reserved address range"},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.1.5"}}, "InvalidParameterValue: Address does not fall within the subnet's address range"},
		{false, vpc.NewAddresses{Addresses: []string{"10.0.2"}}, "InvalidParameterValue: Value (10.0.2) for parameter privateIpAddresses is invalid."},
		{true, vpc.NewAddresses{Interface: plain.ID, Count: 1}, "InvalidParameterValue: The subnet '" + string(l.small.ID) + "' does not have an IPv6 CIDR block associated with it."},
		{false, vpc.NewAddresses{Interface: plain.ID, Count: 11}, "InsufficientFreeAddressesInSubnet: Insufficient free addresses in subnet '" + string(l.small.ID) + "'"},
		{false, vpc.NewAddresses{Interface: plain.ID, PrefixCount: 1}, "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks to satisfy the request."},
	} {
		if tt.in.Interface == "" {
			tt.in.Interface = e.ID
		}
		assign := l.AssignPrivateIPAddresses
		if tt.ipv6 {
			assign = l.AssignIPv6Addresses
		}
		_, c, err := assign(tt.in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt.in)
		}
	}
}

// What an interface has already does not count again; a lowered quota takes nothing away.
func TestAddressQuota(t *testing.T) {
	l := newLAN(t)
	l.setQuota(vpc.AddressesPerInterface, 3)
	e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{
		Primary: "10.0.2.9", Secondary: []string{"10.0.2.10", "10.0.2.11"}, IPv6Count: new(3),
	}})
	_, c, err := l.AssignPrivateIPAddresses(vpc.NewAddresses{Interface: e.ID, Addresses: []string{"10.0.2.10"}})
	if err != nil || !c.Empty() {
		t.Errorf("an own address again: got %v, %v", c, err)
	}
	for _, in := range []vpc.NewAddresses{{Count: 1}, {PrefixCount: 1}, {Addresses: []string{"10.0.2.12"}}, {Prefixes: []string{"10.0.2.32/28"}}} {
		in.Interface = e.ID
		_, _, err := l.AssignPrivateIPAddresses(in)
		refused(t, err, "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit.")
	}
	l.setQuota(vpc.AddressesPerInterface, 1)
	_, c, err = l.UnassignPrivateIPAddresses(vpc.OldAddresses{Interface: e.ID, Addresses: []string{"10.0.2.10"}})
	l.do(c, err)
}

func TestUnassignAddresses(t *testing.T) {
	l := newLAN(t)
	e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, PrimaryIPv6: true, Addresses: vpc.Addresses{
		Primary: "10.0.2.9", Secondary: []string{"10.0.2.10", "10.0.2.11"}, IPv6: []string{"fd12:3456:789a:2::9", "fd12:3456:789a:2::a"},
	}})
	given, c, err := l.AssignIPv6Addresses(vpc.NewAddresses{Interface: e.ID, PrefixCount: 1})
	l.do(c, err)
	given4, c, err := l.AssignPrivateIPAddresses(vpc.NewAddresses{Interface: e.ID, PrefixCount: 1})
	l.do(c, err)
	some := "InvalidParameterValue: Some of the specified addresses are not assigned to interface " + string(e.ID)
	for _, tt := range []struct {
		ipv6 bool
		in   vpc.OldAddresses
		want string
	}{
		{false, vpc.OldAddresses{}, "MissingParameter: The request must contain the parameter privateIpAddress or ipv4Prefix"},
		{true, vpc.OldAddresses{}, "MissingParameter: The request must contain the parameter ipv6Addresses or ipv6Prefix"},
		{false, vpc.OldAddresses{Addresses: []string{"10.0.2.10", "10.0.2.12"}}, some},
		{false, vpc.OldAddresses{Addresses: []string{given4.Prefixes[0].Addr().Next().String()}}, some},
		{true, vpc.OldAddresses{Addresses: []string{"fd12:3456:789a:2::b"}}, some},
		{false, vpc.OldAddresses{Prefixes: []string{"10.0.3.32/28"}}, some},
		{false, vpc.OldAddresses{Prefixes: []string{given.Prefixes[0].String()}}, some},
		{false, vpc.OldAddresses{Prefixes: []string{"ten"}}, "InvalidParameterValue: Value (ten) for parameter ipv4Prefixes is invalid."},
		{false, vpc.OldAddresses{Addresses: []string{"ten"}}, "InvalidParameterValue: Value (ten) for parameter privateIpAddresses is invalid."},
		{
			false,
			vpc.OldAddresses{Addresses: []string{"10.0.2.9"}},
			"InvalidParameterValue: Value (10.0.2.9) for parameter privateIpAddresses is invalid. The primary address of a network interface cannot be unassigned.",
		},
		{
			true,
			vpc.OldAddresses{Addresses: []string{"fd12:3456:789a:2::9"}},
			"InvalidParameterValue: Value (fd12:3456:789a:2::9) for parameter ipv6Addresses is invalid. The primary address of a network interface cannot be unassigned.",
		},
	} {
		tt.in.Interface = e.ID
		unassign := l.UnassignPrivateIPAddresses
		if tt.ipv6 {
			unassign = l.UnassignIPv6Addresses
		}
		_, c, err := unassign(tt.in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt.in)
		}
	}
	before := l.AvailableAddresses(l.dual)
	back, c, err := l.UnassignPrivateIPAddresses(vpc.OldAddresses{
		Interface: e.ID, Addresses: []string{"10.0.2.10", "10.0.2.10"}, Prefixes: []string{given4.Prefixes[0].String()},
	})
	l.do(c, err)
	if got, want := fmt.Sprint(back.Addresses, l.NetworkInterface(e.ID).IPv4, l.NetworkInterface(e.ID).IPv4Prefixes, l.AvailableAddresses(l.dual)-before),
		"[10.0.2.10] [10.0.2.9 10.0.2.11] [] 17"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, c, err = l.UnassignIPv6Addresses(vpc.OldAddresses{
		Interface: e.ID, Addresses: []string{"FD12:3456:789a:2::a"}, Prefixes: []string{given.Prefixes[0].String()},
	})
	l.do(c, err)
	if got := l.NetworkInterface(e.ID); len(got.IPv6) != 1 || len(got.IPv6Prefixes) != 0 || !slices.Equal(back.Prefixes, given.Prefixes) {
		t.Errorf("got %v %v, unassigned %v", got.IPv6, got.IPv6Prefixes, back)
	}
}

// addressStep assigns or unassigns addresses or prefixes, for TestRandomWalk.
func (w *walk) addressStep(enis []*vpc.NetworkInterface) (string, vpc.Change, error) {
	id := pick(w, enis, func(e *vpc.NetworkInterface) vpc.InterfaceID { return e.ID }, "eni-12345678")
	e := w.NetworkInterface(id)
	if e == nil {
		e = &vpc.NetworkInterface{}
	}
	assign, unassign := w.AssignPrivateIPAddresses, w.UnassignPrivateIPAddresses
	has, delegated := e.IPv4, e.IPv4Prefixes
	ipv6 := w.r.IntN(2) == 0
	if ipv6 {
		assign, unassign = w.AssignIPv6Addresses, w.UnassignIPv6Addresses
		has, delegated = e.IPv6, e.IPv6Prefixes
	}
	switch w.r.IntN(5) {
	case 0:
		_, c, err := assign(vpc.NewAddresses{Interface: id, Count: 1 + w.r.IntN(2)})
		return "assign", c, err
	case 1:
		_, c, err := assign(vpc.NewAddresses{Interface: id, PrefixCount: 1 + w.r.IntN(2)})
		return "assign", c, err
	case 2: // what may be free, or in somebody's prefix
		in := vpc.NewAddresses{Interface: id}
		for range 1 + w.r.IntN(2) {
			in.Addresses = append(in.Addresses, fmt.Sprintf("10.0.%d.%d", w.r.IntN(3), w.r.IntN(64)))
		}
		_, c, err := w.AssignPrivateIPAddresses(in)
		return "assign", c, err
	case 3:
		other := w.NetworkInterface(pick(w, enis, func(e *vpc.NetworkInterface) vpc.InterfaceID { return e.ID }, ""))
		if other == nil {
			return "reassign", vpc.Change{}, &vpc.Error{Code: vpc.CodeInvalidParameter}
		}
		in := vpc.NewAddresses{Interface: id, AllowReassignment: true}
		for _, a := range other.IPv4[w.r.IntN(2):] {
			in.Addresses = append(in.Addresses, a.String())
		}
		_, c, err := w.AssignPrivateIPAddresses(in)
		if c.Empty() {
			return "assign", c, err
		}
		return "reassign", c, err
	default:
		in := vpc.OldAddresses{Interface: id}
		for _, a := range has {
			if w.r.IntN(3) == 0 {
				in.Addresses = append(in.Addresses, a.String())
			}
		}
		for _, p := range delegated {
			if w.r.IntN(2) == 0 {
				in.Prefixes = append(in.Prefixes, p.String())
			}
		}
		_, c, err := unassign(in)
		return "unassign", c, err
	}
}

// interfaceChange is a change of one attribute, sensible or not.
func (w *walk) interfaceChange(groups []vpc.GroupID) vpc.InterfaceChange {
	flag := new(w.r.IntN(2) == 0)
	switch w.r.IntN(6) {
	case 0:
		return vpc.InterfaceChange{PrimaryIPv6: flag}
	case 1:
		return vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{UDP: int32(w.r.IntN(70)), UDPStream: int32(w.r.IntN(200))}}
	case 2:
		return vpc.InterfaceChange{SourceDestCheck: flag}
	default:
		return vpc.InterfaceChange{Groups: groups}
	}
}

// instanceChange is a change of one attribute, sensible or not.
func (w *walk) instanceChange(groups []vpc.GroupID) vpc.InstanceChange {
	flag := new(w.r.IntN(4) == 0)
	switch w.r.IntN(6) {
	case 0:
		return vpc.InstanceChange{DisableAPIStop: flag}
	case 1:
		return vpc.InstanceChange{DisableAPITermination: flag}
	case 2:
		return vpc.InstanceChange{Type: new([]string{"t3.nano", "nano"}[w.r.IntN(2)])}
	case 3:
		return vpc.InstanceChange{UserData: new([]byte("#!"))}
	default:
		return vpc.InstanceChange{Groups: groups}
	}
}

// wrongAddresses returns what is wrong with an interface's prefixes, the number of its addresses, its
// primary IPv6 address and its timeouts.
func wrongAddresses(s *vpc.State, e *vpc.NetworkInterface, n *vpc.Subnet) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	quota := s.Quota(vpc.AddressesPerInterface)
	if len(e.IPv4)+len(e.IPv4Prefixes) > quota || len(e.IPv6)+len(e.IPv6Prefixes) > quota {
		bad("%s has %d, %d, %d and %d addresses and prefixes", e.ID, len(e.IPv4), len(e.IPv4Prefixes), len(e.IPv6), len(e.IPv6Prefixes))
	}
	if t := e.Tracking; t.TCPEstablished < 0 || t.TCPEstablished > 432_000 || t.UDP < 0 || t.UDP > 60 || t.UDPStream < 0 || t.UDPStream > 180 {
		bad("%s has the timeouts %+v", e.ID, t)
	}
	if e.PrimaryIPv6 && len(e.IPv6) == 0 {
		bad("%s has lost its primary IPv6 address", e.ID)
	}
	for _, p := range slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes) {
		block, bits := n.CIDR, 28
		if p.Addr().Is6() {
			bits = 80
			block = netip.Prefix{}
			if len(n.IPv6CIDRs) > 0 {
				block = n.IPv6CIDRs[0].CIDR
			}
		}
		if p.Bits() != bits || p != p.Masked() || !block.Contains(p.Addr()) {
			bad("%s has the prefix %s in %s", e.ID, p, block)
		}
		for _, router := range n.Routers() {
			if p.Contains(router) {
				bad("%s has the prefix %s with the router %s", e.ID, p, router)
			}
		}
		for other := range s.InterfacesOfVPC(e.VPC) {
			if slices.ContainsFunc(slices.Concat(other.IPv4, other.IPv6), p.Contains) ||
				other.ID != e.ID && slices.ContainsFunc(slices.Concat(other.IPv4Prefixes, other.IPv6Prefixes), p.Overlaps) {
				bad("%s has the prefix %s, of which %s has something", e.ID, p, other.ID)
			}
		}
		if at := s.InterfaceAt(e.VPC, p.Addr()); at == nil || at.ID != e.ID {
			bad("%s has the prefix %s, but %v is found", e.ID, p, at)
		}
	}
	return wrong
}

func associated(g *vpc.SecurityGroup, v vpc.VPCID) bool {
	return slices.ContainsFunc(g.Associations, func(a vpc.GroupAssociation) bool { return a.VPC == v && a.Ended.IsZero() })
}
