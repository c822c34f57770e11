package vpc_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// Whatever a client sends as an address or a prefix is refused, or is one of the subnet, held by the
// interface alone, and taken back by the same text.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"10.0.2.9", "10.0.2.09", "10.0.2.0", "10.0.2.255", "10.0.3.1", "10.0.2.16/28", "10.0.2.17/28", "10.0.2.0/28", "10.0.2.16/028",
		"::ffff:10.0.2.9", "::ffff:10.0.2.16/124", "fd12:3456:789a:2::9", "FD12:3456:789A:2:0::9", "fd12:3456:789a:2::9%eth0",
		"fd12:3456:789a:2:5::/80", "fd12:3456:789a:2::/80", "fd12:3456:789a:2:5::1/80", "fd12:3456:789a:3::/80", "", "/", "1.2.3.4/", "\x00",
	} {
		f.Add(s, false, false)
		f.Add(s, true, false)
		f.Add(s, false, true)
		f.Add(s, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, ipv6, asPrefix bool) {
		l := newLAN(t)
		e := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.100"}})
		assign, unassign := (*vpc.State).AssignPrivateIPAddresses, (*vpc.State).UnassignPrivateIPAddresses
		block, bits := l.dual.CIDR, 28
		if ipv6 {
			assign, unassign = (*vpc.State).AssignIPv6Addresses, (*vpc.State).UnassignIPv6Addresses
			block, bits = l.dual.IPv6CIDRs[0].CIDR, 80
		}
		in, back := vpc.NewAddresses{Interface: e.ID}, vpc.OldAddresses{Interface: e.ID}
		if asPrefix {
			in.Prefixes, back.Prefixes = []string{text}, []string{text}
		} else {
			bits = block.Addr().BitLen()
			in.Addresses, back.Addresses = []string{text}, []string{text}
		}
		given, c, err := assign(l.State, in)
		if err != nil {
			if vpc.CodeOf(err) == "" || !c.Empty() {
				t.Fatalf("%q: %v is no refusal, or changes something", text, err)
			}
			return
		}
		own := given.Prefixes
		for _, a := range given.Addresses {
			own = append(own, netip.PrefixFrom(a, a.BitLen()))
		}
		if len(own) != 1 || own[0].Bits() != bits || own[0] != own[0].Masked() || !block.Contains(own[0].Addr()) {
			t.Fatalf("%q gave %v, want one /%d in %s", text, own, bits, block)
		}
		if slices.Contains(l.dual.Routers(), own[0].Addr()) {
			t.Fatalf("%q gave the router's address", text)
		}
		if l.apply(c); text == "10.0.2.100" { // the primary, which it has already
			return
		}
		if at := l.InterfaceAt(l.vpc.ID, own[0].Addr()); at == nil || at.ID != e.ID {
			t.Fatalf("%q gave %s, but %v is found there", text, own[0], at)
		}
		_, c, err = unassign(l.State, back)
		if err != nil {
			t.Fatalf("%q was taken, but not back: %v", text, err)
		}
		l.apply(c)
		if at := l.InterfaceAt(l.vpc.ID, own[0].Addr()); at != nil {
			t.Fatalf("%q was taken back, but %s still has it", text, at.ID)
		}
	})
}
