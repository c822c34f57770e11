package datapath_test

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
)

// TestLinkCarriesNothing: what passes without a rule takes no data along, and goes no further than
// the link.
func TestLinkCarriesNothing(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view())
	metadata := netip.MustParseAddr("fd00:ec2::254")
	option := func(kind byte, length int) []byte {
		return append([]byte{kind, byte(length / 8)}, make([]byte, length-2)...)
	}
	trailer := func(f frame) frame { return f.with(f.String()+", trailer", func(f *frame) { f.mangle = pad(1400) }) }
	report := func(records, length int) frame {
		return mld(143, ownFE80, mldV2).with("MLD report", func(f *frame) {
			f.records, f.data = uint16(records), make([]byte, length)
		})
	}
	offer := dhcp(2, router4, own4, 67, 68, mac)
	long := func(f frame) frame {
		return f.with(f.String()+", long", func(f *frame) { f.data = append(bytes.Clone(f.data), make([]byte, 1100)...) })
	}
	h.play(
		// Neighbours are asked for at their own address or that of those who share its end.
		step{out, nd(135, own6, solicited(peer6), peer6), ruleset.ReasonLink},
		step{out, nd(135, own6, peer6, peer6), ruleset.ReasonLink},
		step{out, nd(135, own6, routerFE80, routerFE80), ruleset.ReasonLink},
		step{out, nd(135, own6, router6, router6), ruleset.ReasonLink},
		step{out, nd(135, own6, solicited(own6), peer6), ruleset.ReasonND},
		step{out, nd(135, own6, allNodes, peer6), ruleset.ReasonND},
		step{out, nd(135, own6, peer6, router6), ruleset.ReasonND},
		step{out, nd(135, own6, remote6, remote6), ruleset.ReasonND},
		step{out, nd(135, own6, metadata, metadata), ruleset.ReasonND},
		step{out, nd(135, own6, netip.MustParseAddr("ff0e::1"), peer6), ruleset.ReasonND},
		step{out, nd(135, own6, allNodes, allNodes), ruleset.ReasonND},
		step{out, nd(135, zero6, own6, own6), ruleset.ReasonND},
		step{out, nd(135, zero6, remote6, own6), ruleset.ReasonND},
		step{out, nd(136, own6, remote6, own6), ruleset.ReasonND},
		step{out, nd(136, own6, metadata, own6), ruleset.ReasonND},
		step{out, nd(136, own6, routers6, own6), ruleset.ReasonND},
		step{out, nd(136, own6, netip.MustParseAddr("ff0e::1"), own6), ruleset.ReasonND},
		step{out, nd(133, own6, remote6, netip.Addr{}), ruleset.ReasonND},
		step{out, nd(133, ownFE80, routerFE80, netip.Addr{}), ruleset.ReasonND},
		step{out, nd(133, ownFE80, allNodes, netip.Addr{}), ruleset.ReasonND},
		step{in, nd(135, zero6, solicited(own6), own6), ruleset.ReasonLink},
		step{in, nd(135, remote6, own6, own6), ruleset.ReasonND},
		step{in, nd(136, remote6, own6, routerFE80), ruleset.ReasonND},
		step{in, nd(136, zero6, allNodes, own6), ruleset.ReasonND},

		// Options are known ones.
		step{out, nd(135, own6, solicited(peer6), peer6, option(14, 32)...), ruleset.ReasonLink},
		step{out, nd(135, own6, solicited(peer6), peer6, option(14, 40)...), ruleset.ReasonND},
		step{out, nd(135, own6, solicited(peer6), peer6, option(253, 8)...), ruleset.ReasonND},
		step{out, nd(135, own6, solicited(peer6), peer6, option(253, 1200)...), ruleset.ReasonND},
		step{out, nd(135, own6, solicited(peer6), peer6, bytes.Repeat(option(14, 32), 2)...), ruleset.ReasonND},
		step{out, nd(136, own6, peer6, own6, option(14, 8)...), ruleset.ReasonND},
		step{out, nd(133, ownFE80, routers6, netip.Addr{}, option(253, 8)...), ruleset.ReasonND},
		step{in, nd(135, peer6, own6, own6, option(253, 1200)...), ruleset.ReasonND},
		step{in, nd(136, peer6, own6, peer6, option(253, 8)...), ruleset.ReasonND},
		step{in, nd(136, peer6, own6, peer6, option(2, 16)...), ruleset.ReasonND},
		step{in, nd(136, peer6, own6, netip.Addr{}), ruleset.ReasonND},
		step{out, trailer(nd(135, own6, solicited(peer6), peer6)), ruleset.ReasonMalformed},
		step{in, trailer(nd(136, peer6, own6, peer6)), ruleset.ReasonMalformed},

		// Reports are as long as their records.
		step{out, report(50, 1000), ruleset.ReasonLink},
		step{out, report(1, 40), ruleset.ReasonND},
		step{out, report(65, 1300), ruleset.ReasonND},
		step{out, mld(143, ownFE80, allNodes), ruleset.ReasonND},
		step{out, mld(143, ownFE80, netip.MustParseAddr("ff0e::1")), ruleset.ReasonND},
		step{out, mld(131, ownFE80, netip.MustParseAddr("ff0e::1")), ruleset.ReasonND},
		step{out, mld(131, ownFE80, solicited(own6)).with("long MLD", func(f *frame) { f.data = make([]byte, 1000) }), ruleset.ReasonND},

		// ARP
		step{out, arp(1, mac, own4, router4).with("padded ARP", func(f *frame) { f.mangle = pad(18) }), ruleset.ReasonLink},
		step{out, trailer(arp(1, mac, own4, router4)), ruleset.ReasonARP},
		step{in, arp(1, otherMAC, peer4, own4).with("ARP in", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonLink},
		step{in, trailer(arp(1, otherMAC, peer4, own4).with("ARP in", func(f *frame) { f.srcMAC = otherMAC })), ruleset.ReasonARP},
		step{in, arp(9, otherMAC, peer4, own4).with("ARP 9 in", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonARP},
		step{in, arp(2, routerMAC, router4, own4).with("ARP for another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonARP},

		// DHCP comes from the subnet's router, DHCPv6 from the link.
		step{in, offer, ruleset.ReasonLink},
		step{in, dhcp(1, router4, own4, 67, 68, mac), ruleset.ReasonDHCP},
		step{in, dhcp(2, remote4, own4, 67, 68, mac), ruleset.ReasonNoRule},
		step{in, dhcp(2, peer4, own4, 67, 68, mac), ruleset.ReasonNoRule},
		step{in, dhcp(2, peer4, limited4, 67, 68, mac), ruleset.ReasonMulticast},
		step{in, trailer(offer), ruleset.ReasonMalformed},
		step{out, long(dhcp(1, zero4, limited4, 68, 67, mac)), ruleset.ReasonDHCP},
		step{in, dhcpv6(2, routerFE80, ownFE80, 547, 546), ruleset.ReasonLink},
		step{in, dhcpv6(7, routerFE80, ownFE80, 547, 546), ruleset.ReasonLink},
		step{in, dhcpv6(10, routerFE80, ownFE80, 547, 546), ruleset.ReasonLink},
		step{in, dhcpv6(1, routerFE80, ownFE80, 547, 546), ruleset.ReasonDHCP},
		step{in, dhcpv6(7, routerFE80, own6, 547, 546), ruleset.ReasonDestinationAddress},
		step{in, dhcpv6(7, remote6, own6, 547, 546), ruleset.ReasonNoRule},
		step{out, dhcpv6(11, ownFE80, dhcpV6, 546, 547), ruleset.ReasonLink},
		step{out, dhcpv6(2, ownFE80, dhcpV6, 546, 547), ruleset.ReasonDHCP},
		step{out, dhcpv6(12, ownFE80, dhcpV6, 546, 547), ruleset.ReasonDHCP},
		step{out, dhcpv6(33, ownFE80, dhcpV6, 546, 547), ruleset.ReasonDHCP},
		step{out, dhcpv6(1, own6, dhcpV6, 546, 547), ruleset.ReasonSourceAddress},
		step{out, long(dhcpv6(1, ownFE80, dhcpV6, 546, 547)), ruleset.ReasonDHCP},
	)
}

// TestImpossibleAddresses: no rule lets a packet go where none can go, or come whence none can come.
func TestImpossibleAddresses(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))
	for dst, want := range map[string]ruleset.Reason{
		"127.0.0.1": ruleset.ReasonDestinationAddress, "0.0.0.0": ruleset.ReasonDestinationAddress,
		"0.1.2.3": ruleset.ReasonDestinationAddress, "240.0.0.1": ruleset.ReasonDestinationAddress,
		"255.255.255.254": ruleset.ReasonDestinationAddress, own4.String(): ruleset.ReasonDestinationAddress,
		second4.String(): ruleset.ReasonDestinationAddress, "128.0.0.1": ruleset.ReasonRule,
		"1.0.0.1": ruleset.ReasonRule,
	} {
		h.want(eniA, ruleset.Egress, tcp(own4, netip.MustParseAddr(dst), 1, 80, syn), want)
	}
	for dst, want := range map[string]ruleset.Reason{
		"::": ruleset.ReasonDestinationAddress, "::1": ruleset.ReasonDestinationAddress,
		"::ffff:169.254.169.254": ruleset.ReasonDestinationAddress, "::ffff:10.0.0.50": ruleset.ReasonDestinationAddress,
		"64:ff9b::a9fe:a9fe": ruleset.ReasonDestinationAddress, own6.String(): ruleset.ReasonDestinationAddress,
		"64:ff9c::1": ruleset.ReasonRule, "::1:0:0:1": ruleset.ReasonRule,
	} {
		h.want(eniA, ruleset.Egress, tcp(own6, netip.MustParseAddr(dst), 1, 80, syn), want)
	}
	for _, src := range []string{"127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", own4.String(), second4.String()} {
		h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr(src), own4, 80, 80, syn), ruleset.ReasonSourceAddress)
	}
	for _, src := range []string{"::1", "::", "::ffff:10.0.0.50", "ff0e::1", own6.String()} {
		h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr(src), own6, 80, 80, syn), ruleset.ReasonSourceAddress)
	}
}

// TestZeroIsNobody: an ENI without an address of a family does not have the address of zeros.
func TestZeroIsNobody(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for _, own := range []netip.Addr{own4, own6} {
		v := view(allowAll()...)
		eni := v.ENIs[eniA]
		eni.Addresses = []netip.Addr{own}
		v.ENIs[eniA] = eni
		h.apply(v)
		zero, remote := zero6, remote6
		if own.Is6() {
			zero, remote = zero4, remote4
		}
		h.want(eniA, ruleset.Ingress, tcp(remote, zero, 1, 80, syn), ruleset.ReasonDestinationAddress)
		h.want(eniA, ruleset.Egress, tcp(zero, remote, 1, 80, syn), ruleset.ReasonSourceAddress)
	}
	h.want(eniA, ruleset.Egress, arp(1, mac, zero4, zero4), ruleset.ReasonARP)
}

// TestIPv4Options: a source route would lead past the address that was judged.
func TestIPv4Options(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))
	for name, tt := range map[string]struct {
		options []byte
		want    ruleset.Reason
	}{
		"router alert":           {[]byte{148, 4, 0, 0}, ruleset.ReasonRule},
		"record route":           {[]byte{7, 7, 4, 0, 0, 0, 0, 0}, ruleset.ReasonRule},
		"40 times nothing":       {bytes.Repeat([]byte{1}, 40), ruleset.ReasonRule},
		"source route at an end": {[]byte{0, 131, 7, 4}, ruleset.ReasonRule},
		"loose":                  {[]byte{131, 7, 4, 169, 254, 169, 254, 0}, ruleset.ReasonMalformed},
		"strict":                 {[]byte{137, 7, 4, 169, 254, 169, 254, 0}, ruleset.ReasonMalformed},
		"loose after 33 bytes":   {append(bytes.Repeat([]byte{1}, 33), 131, 7, 4, 1, 2, 3, 4), ruleset.ReasonMalformed},
		"loose after an option":  {[]byte{148, 4, 0, 0, 131, 3, 4, 0}, ruleset.ReasonMalformed},
		"without length":         {[]byte{7, 0, 0, 0}, ruleset.ReasonMalformed},
		"of length 1":            {[]byte{7, 1, 0, 0}, ruleset.ReasonMalformed},
		"longer than the header": {[]byte{7, 5, 0, 0}, ruleset.ReasonMalformed},
		"cut before its length":  {[]byte{1, 1, 1, 7}, ruleset.ReasonMalformed},
	} {
		f := frame{what: name, src: own4, dst: remote4, protocol: unix.IPPROTO_ICMP, icmpType: 3, options: tt.options}
		h.want(eniA, ruleset.Egress, f, tt.want)
		f.src, f.dst = remote4, own4
		h.want(eniA, ruleset.Ingress, f, tt.want)
	}
}
