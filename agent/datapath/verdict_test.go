package datapath_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestReasons holds the C enum and ruleset.Reason together, number by number and word by word.
func TestReasons(t *testing.T) {
	t.Parallel()
	got, err := datapath.CEnum("reason")
	must(t, err)
	want := map[string]uint64{"REASON_NONE": 0, "REASONS": uint64(len(ruleset.Reasons()))}
	for _, r := range ruleset.Reasons()[1:] {
		want["REASON_"+strings.ToUpper(strings.ReplaceAll(r.String(), "-", "_"))] = uint64(r)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the programs' reasons:\ngot  %v\nwant %v", got, want)
	}
}

// TestVerdicts sends one packet of each kind through one gate. Rules allow everything, so that
// whatever is dropped is dropped for another reason.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))

	out4, out6 := tcp(own4, remote4, 1000, 80, syn), tcp(own6, remote6, 1000, 80, syn)
	in4, in6 := tcp(remote4, own4, 1000, 80, syn), tcp(remote6, own6, 1000, 80, syn)
	frag6 := []byte{unix.IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 1}
	v4Options := []byte{1, 1, 1, 0} // no operation, end

	for _, tt := range []struct {
		direction ruleset.Direction
		frame     frame
		want      ruleset.Reason
	}{
		// Ethernet
		{ruleset.Egress, out4, ruleset.ReasonRule},
		{ruleset.Egress, out6, ruleset.ReasonRule},
		{ruleset.Ingress, in4, ruleset.ReasonRule},
		{ruleset.Ingress, in6, ruleset.ReasonRule},
		{ruleset.Egress, out4.with("another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC},
		{ruleset.Egress, out6.with("another MAC, v6", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC},
		{ruleset.Egress, out4.with("to any MAC", func(f *frame) { f.dstMAC = otherMAC }), ruleset.ReasonRule},
		{ruleset.Ingress, in4.with("from any MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonRule},
		{ruleset.Egress, frame{what: "VLAN", etherType: unix.ETH_P_8021Q, payload: append([]byte{0, 5, 8, 0}, out4.ip()...)}, ruleset.ReasonEtherType},
		{ruleset.Ingress, frame{what: "VLAN in", etherType: unix.ETH_P_8021Q, payload: append([]byte{0, 5, 8, 0}, in4.ip()...)}, ruleset.ReasonEtherType},
		{ruleset.Egress, frame{what: "QinQ", etherType: unix.ETH_P_8021AD, payload: make([]byte, 60)}, ruleset.ReasonEtherType},
		{ruleset.Egress, frame{what: "LLDP", etherType: 0x88cc, payload: make([]byte, 60)}, ruleset.ReasonEtherType},
		{ruleset.Egress, frame{what: "BPDU", etherType: 38, payload: make([]byte, 60)}, ruleset.ReasonEtherType},
		{ruleset.Egress, frame{what: "PPPoE", etherType: 0x8863, payload: make([]byte, 60)}, ruleset.ReasonEtherType},
		{ruleset.Ingress, frame{what: "RARP in", etherType: 0x8035, payload: make([]byte, 60)}, ruleset.ReasonEtherType},

		// IPv4
		{ruleset.Egress, out4.with("options", func(f *frame) { f.options = v4Options; f.srcPort = 2 }), ruleset.ReasonRule},
		{ruleset.Egress, out4.with("cut in TCP", func(f *frame) { f.mangle = cut(14 + 20 + 8) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("version 5", func(f *frame) { f.mangle = put(14, 0x55) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("header of 16", func(f *frame) { f.mangle = put(14, 0x44) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("header longer than the packet", func(f *frame) { f.mangle = put(14, 0x4f) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("longer than the frame", func(f *frame) { f.mangle = put(16, 1) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("no length", func(f *frame) { f.mangle = put(17, 0) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("padded", func(f *frame) { f.srcPort = 3; f.mangle = pad(100) }), ruleset.ReasonRule},
		{ruleset.Egress, out4.with("TCP header of 16", func(f *frame) { f.mangle = put(14+20+12, 4<<4) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("TCP header longer than the packet", func(f *frame) { f.mangle = put(14+20+12, 15<<4) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("ends in TCP, padded", func(f *frame) { f.mangle = func(b []byte) []byte { return put(17, 30)(pad(50)(b)) } }), ruleset.ReasonMalformed},
		{ruleset.Egress, out4.with("first fragment", func(f *frame) { f.fragment = 0x2000 }), ruleset.ReasonRule},
		{ruleset.Egress, out4.with("next fragment", func(f *frame) { f.fragment = 0x2001 }), ruleset.ReasonFragment},
		{ruleset.Egress, out4.with("last fragment", func(f *frame) { f.fragment = 0x0001 }), ruleset.ReasonFragment},
		{ruleset.Ingress, in4.with("first fragment in", func(f *frame) { f.fragment = 0x2000 }), ruleset.ReasonRule},
		{ruleset.Egress, out4.with("don't fragment", func(f *frame) { f.fragment = 0x4000; f.srcPort = 4 }), ruleset.ReasonRule},
		{ruleset.Egress, frame{what: "ICMPv6 in IPv4", src: own4, dst: remote4, protocol: unix.IPPROTO_ICMPV6}, ruleset.ReasonMalformed},

		// IPv6
		{ruleset.Egress, out6.with("version 4", func(f *frame) { f.mangle = put(14, 0x40) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out6.with("longer than the frame", func(f *frame) { f.mangle = put(14+5, 200) }), ruleset.ReasonMalformed},
		{ruleset.Egress, out6.with("first fragment, v6", func(f *frame) { f.next = unix.IPPROTO_FRAGMENT; f.options = frag6 }), ruleset.ReasonRule},
		{ruleset.Egress, out6.with("hop-by-hop", func(f *frame) { f.next = 0; f.options = []byte{6, 0, 1, 4, 0, 0, 0, 0} }), ruleset.ReasonRule},
		{ruleset.Egress, out6.with("routing", func(f *frame) { f.next = 43; f.options = []byte{6, 0, 0, 0, 0, 0, 0, 0} }), ruleset.ReasonRule},
		{ruleset.Egress, out6.with("destination options", func(f *frame) { f.next = 60; f.options = []byte{6, 0, 1, 4, 0, 0, 0, 0} }), ruleset.ReasonRule},
		{ruleset.Egress, frame{what: "padding in the last byte of the frame", src: own6, dst: remote6, protocol: unix.IPPROTO_GRE, next: 60, options: []byte{unix.IPPROTO_GRE, 0, 0, 0, 0, 0, 0, 0}}, ruleset.ReasonRule},
		{ruleset.Egress, icmp(own6, remote6, 128, 0, 1).with("echo with router alert", func(f *frame) { f.options = routerAlert() }), ruleset.ReasonRule},
		{ruleset.Ingress, in6.with("fragment in", func(f *frame) { f.next = unix.IPPROTO_FRAGMENT; f.options = frag6 }), ruleset.ReasonRule},
		{ruleset.Egress, frame{what: "ICMP in IPv6", src: own6, dst: remote6, protocol: unix.IPPROTO_ICMP}, ruleset.ReasonMalformed},

		// Whose addresses
		{ruleset.Egress, tcp(peer4, remote4, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Egress, tcp(router4, remote4, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Egress, tcp(peer6, remote6, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Egress, tcp(second4, remote4, 1, 80, syn), ruleset.ReasonRule},
		{ruleset.Egress, tcp(zero4, remote4, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Egress, udp(zero4, limited4, 1, 9), ruleset.ReasonSourceAddress},
		{ruleset.Egress, tcp(zero6, remote6, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Egress, tcp(netip.MustParseAddr("::ffff:10.0.0.11"), remote6, 1, 80, syn), ruleset.ReasonSourceAddress},
		{ruleset.Ingress, tcp(remote4, peer4, 1, 80, syn), ruleset.ReasonDestinationAddress},
		{ruleset.Ingress, tcp(remote6, peer6, 1, 80, syn), ruleset.ReasonDestinationAddress},
		{ruleset.Ingress, tcp(router4, own4, 1, 80, syn), ruleset.ReasonRule},

		// Link-local addresses, multicast, broadcast
		{ruleset.Egress, tcp(own4, netip.MustParseAddr("169.254.169.254"), 1, 80, syn), ruleset.ReasonLinkLocal},
		{ruleset.Egress, udp(own4, netip.MustParseAddr("169.254.1.2"), 1, 53), ruleset.ReasonLinkLocal},
		{ruleset.Egress, tcp(own6, netip.MustParseAddr("fd00:ec2::254"), 1, 80, syn), ruleset.ReasonLinkLocal},
		{ruleset.Egress, tcp(own6, routerFE80, 1, 80, syn), ruleset.ReasonLinkLocal},
		{ruleset.Egress, tcp(netip.MustParseAddr("169.254.0.5"), remote4, 1, 80, syn), ruleset.ReasonLinkLocal},
		{ruleset.Ingress, tcp(netip.MustParseAddr("169.254.169.254"), own4, 80, 1, syn), ruleset.ReasonLinkLocal},
		{ruleset.Ingress, tcp(routerFE80, ownFE80, 80, 1, syn), ruleset.ReasonLinkLocal},
		{ruleset.Egress, udp(own4, netip.MustParseAddr("224.0.0.251"), 5353, 5353), ruleset.ReasonMulticast},
		{ruleset.Egress, udp(own4, limited4, 1, 9), ruleset.ReasonMulticast},
		{ruleset.Egress, udp(own6, netip.MustParseAddr("ff05::2"), 1, 9), ruleset.ReasonMulticast},
		{ruleset.Egress, frame{what: "IGMP query", src: own4, dst: netip.MustParseAddr("224.0.0.1"), protocol: unix.IPPROTO_IGMP, data: []byte{0x11, 0, 0, 0, 0, 0, 0, 0}}, ruleset.ReasonMulticast},
		{ruleset.Egress, udp(own4, remote4, 1, 9).with("to all, by MAC", func(f *frame) { f.dstMAC = broadcast }), ruleset.ReasonMulticast},
		{ruleset.Ingress, udp(remote4, own4, 1, 9).with("for all, by MAC", func(f *frame) { f.dstMAC = broadcast }), ruleset.ReasonMulticast},
		{ruleset.Ingress, udp(remote4, netip.MustParseAddr("224.0.0.251"), 5353, 5353), ruleset.ReasonMulticast},
		{ruleset.Ingress, udp(remote4, limited4, 1, 9), ruleset.ReasonMulticast},

		// ARP
		{ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonLink},
		{ruleset.Egress, arp(1, mac, second4, router4), ruleset.ReasonLink},
		{ruleset.Egress, arp(2, mac, own4, peer4), ruleset.ReasonLink},
		{ruleset.Egress, arp(1, mac, own4, own4), ruleset.ReasonLink},
		{ruleset.Egress, arp(1, mac, zero4, own4), ruleset.ReasonLink},
		{ruleset.Egress, arp(1, mac, zero4, peer4), ruleset.ReasonARP},
		{ruleset.Egress, arp(2, mac, zero4, own4), ruleset.ReasonARP},
		{ruleset.Egress, arp(2, mac, router4, peer4), ruleset.ReasonARP},
		{ruleset.Egress, arp(1, mac, peer4, peer4), ruleset.ReasonARP},
		{ruleset.Egress, arp(2, otherMAC, own4, peer4), ruleset.ReasonARP},
		{ruleset.Egress, arp(3, mac, own4, peer4), ruleset.ReasonARP},
		{ruleset.Egress, arp(1, mac, own4, router4).with("ARP of tokens", func(f *frame) { f.mangle = put(15, 6) }), ruleset.ReasonARP},
		{ruleset.Egress, arp(1, mac, own4, router4).with("short ARP", func(f *frame) { f.mangle = cut(30) }), ruleset.ReasonMalformed},
		{ruleset.Egress, arp(1, mac, own4, router4).with("ARP from another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC},
		{ruleset.Ingress, arp(1, routerMAC, router4, own4).with("ARP question in", func(f *frame) { f.srcMAC = routerMAC }), ruleset.ReasonLink},
		{ruleset.Ingress, arp(2, otherMAC, peer4, own4).with("ARP answer in", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonLink},

		// Neighbour discovery
		{ruleset.Egress, nd(135, own6, solicited(peer6), peer6, lladdr(1, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, ownFE80, solicited(peer6), peer6, lladdr(1, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, own6, peer6, peer6), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, zero6, solicited(own6), own6), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, zero6, solicited(own6), own6, 14, 1, 1, 2, 3, 4, 5, 6), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, zero6, solicited(ownFE80), ownFE80), ruleset.ReasonLink},
		{ruleset.Egress, nd(135, zero6, solicited(peer6), peer6), ruleset.ReasonND},
		{ruleset.Egress, nd(135, peer6, solicited(own6), own6, lladdr(1, mac)...), ruleset.ReasonND},
		{ruleset.Egress, nd(135, own6, solicited(peer6), peer6, lladdr(1, otherMAC)...), ruleset.ReasonND},
		{ruleset.Egress, nd(135, own6, solicited(peer6), peer6, 1, 0, 0, 0, 0, 0, 0, 0), ruleset.ReasonND},
		{ruleset.Egress, nd(135, own6, solicited(peer6), peer6, 1, 2, 2, 0, 0, 0, 0, 0x11), ruleset.ReasonND},
		{ruleset.Egress, nd(135, own6, solicited(peer6), peer6).with("NS from far", func(f *frame) { f.hopLimit = 64 }), ruleset.ReasonND},
		{ruleset.Egress, nd(135, own6, solicited(peer6), netip.Addr{}), ruleset.ReasonMalformed},
		{ruleset.Egress, nd(136, own6, peer6, own6, lladdr(2, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(136, ownFE80, peer6, ownFE80, lladdr(2, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(136, own6, allNodes, own6, lladdr(2, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(136, own6, peer6, peer6, lladdr(2, mac)...), ruleset.ReasonND},
		{ruleset.Egress, nd(136, own6, peer6, router6, lladdr(2, mac)...), ruleset.ReasonND},
		{ruleset.Egress, nd(136, own6, peer6, own6, lladdr(2, otherMAC)...), ruleset.ReasonND},
		{ruleset.Egress, nd(136, router6, peer6, own6, lladdr(2, mac)...), ruleset.ReasonND},
		{ruleset.Egress, nd(136, zero6, allNodes, own6, lladdr(2, mac)...), ruleset.ReasonND},
		{ruleset.Egress, nd(133, ownFE80, routers6, netip.Addr{}, lladdr(1, mac)...), ruleset.ReasonLink},
		{ruleset.Egress, nd(133, zero6, routers6, netip.Addr{}), ruleset.ReasonLink},
		{ruleset.Egress, nd(133, ownFE80, routers6, netip.Addr{}, lladdr(1, otherMAC)...), ruleset.ReasonND},
		{ruleset.Egress, nd(133, routerFE80, routers6, netip.Addr{}), ruleset.ReasonND},
		{ruleset.Egress, nd(134, ownFE80, allNodes, netip.Addr{}, make([]byte, 8)...), ruleset.ReasonND},
		{ruleset.Egress, nd(134, routerFE80, allNodes, netip.Addr{}, make([]byte, 8)...), ruleset.ReasonND},
		{ruleset.Egress, nd(137, ownFE80, peer6, peer6, make([]byte, 16)...), ruleset.ReasonND},
		{ruleset.Egress, mld(143, ownFE80, mldV2), ruleset.ReasonLink},
		{ruleset.Egress, mld(143, zero6, mldV2), ruleset.ReasonLink},
		{ruleset.Egress, mld(131, ownFE80, solicited(own6)), ruleset.ReasonLink},
		{ruleset.Egress, mld(132, ownFE80, routers6), ruleset.ReasonLink},
		{ruleset.Egress, mld(143, routerFE80, mldV2), ruleset.ReasonND},
		{ruleset.Egress, mld(143, ownFE80, peer6), ruleset.ReasonND},
		{ruleset.Egress, mld(130, ownFE80, allNodes), ruleset.ReasonND},
		{ruleset.Egress, mld(143, ownFE80, mldV2).with("report without router alert", func(f *frame) { f.options = nil }), ruleset.ReasonND},
		{ruleset.Ingress, nd(135, peer6, solicited(own6), own6, lladdr(1, otherMAC)...), ruleset.ReasonLink},
		{ruleset.Ingress, nd(135, routerFE80, own6, own6, lladdr(1, routerMAC)...), ruleset.ReasonLink},
		{ruleset.Ingress, nd(136, peer6, own6, peer6, lladdr(2, otherMAC)...), ruleset.ReasonLink},
		{ruleset.Ingress, nd(136, peer6, allNodes, peer6, lladdr(2, otherMAC)...), ruleset.ReasonLink},
		{ruleset.Ingress, nd(136, peer6, remote6, peer6), ruleset.ReasonDestinationAddress},
		{ruleset.Ingress, nd(136, peer6, own6, peer6).with("NA from far", func(f *frame) { f.hopLimit = 254 }), ruleset.ReasonND},
		{ruleset.Ingress, nd(134, routerFE80, allNodes, netip.Addr{}, make([]byte, 8)...), ruleset.ReasonLink},
		{ruleset.Ingress, nd(134, netip.MustParseAddr("fe80::bad"), allNodes, netip.Addr{}, make([]byte, 8)...), ruleset.ReasonND},
		{ruleset.Ingress, nd(137, routerFE80, own6, own6, make([]byte, 16)...), ruleset.ReasonND},
		{ruleset.Ingress, nd(133, netip.MustParseAddr("fe80::2"), routers6, netip.Addr{}), ruleset.ReasonND},

		// DHCP
		{ruleset.Egress, dhcp(1, zero4, limited4, 68, 67, mac), ruleset.ReasonLink},
		{ruleset.Egress, dhcp(1, own4, router4, 68, 67, mac), ruleset.ReasonLink},
		{ruleset.Egress, dhcp(1, peer4, limited4, 68, 67, mac), ruleset.ReasonSourceAddress},
		{ruleset.Egress, dhcp(1, zero4, limited4, 68, 67, otherMAC), ruleset.ReasonDHCP},
		{ruleset.Egress, dhcp(2, zero4, limited4, 68, 67, mac), ruleset.ReasonDHCP},
		{ruleset.Egress, dhcp(1, own4, remote4, 68, 67, mac), ruleset.ReasonRule},
		{ruleset.Egress, dhcp(2, own4, limited4, 67, 68, otherMAC), ruleset.ReasonDHCP},
		{ruleset.Egress, dhcp(2, own4, peer4, 67, 68, otherMAC), ruleset.ReasonDHCP},
		{ruleset.Egress, dhcp(2, own4, peer4, 5000, 68, otherMAC), ruleset.ReasonDHCP},
		{ruleset.Egress, dhcpv6(1, ownFE80, dhcpV6, 546, 547), ruleset.ReasonLink},
		{ruleset.Egress, udp(routerFE80, dhcpV6, 546, 547), ruleset.ReasonSourceAddress},
		{ruleset.Egress, udp(own6, peer6, 547, 546), ruleset.ReasonDHCP},
		{ruleset.Ingress, dhcp(2, router4, own4, 67, 68, mac), ruleset.ReasonLink},
		{ruleset.Ingress, dhcp(2, router4, limited4, 67, 68, mac), ruleset.ReasonLink},
		{ruleset.Ingress, dhcp(2, router4, limited4, 67, 68, otherMAC), ruleset.ReasonDHCP},
		{ruleset.Ingress, dhcp(2, router4, peer4, 67, 68, mac), ruleset.ReasonDestinationAddress},
		{ruleset.Ingress, dhcp(1, zero4, limited4, 68, 67, otherMAC), ruleset.ReasonMulticast},
		{ruleset.Ingress, dhcpv6(2, routerFE80, ownFE80, 547, 546), ruleset.ReasonLink},
		{ruleset.Ingress, udp(routerFE80, netip.MustParseAddr("fe80::9"), 547, 546), ruleset.ReasonDestinationAddress},
	} {
		h.want(eniA, tt.direction, tt.frame, tt.want)
	}
}

// TestNotForRules: with no rule at all the link layer works, and nothing else does.
func TestNotForRules(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view())
	for _, tt := range []struct {
		direction ruleset.Direction
		frame     frame
		want      ruleset.Reason
	}{
		{ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonLink},
		{ruleset.Ingress, nd(135, peer6, own6, own6), ruleset.ReasonLink},
		{ruleset.Egress, dhcp(1, zero4, limited4, 68, 67, mac), ruleset.ReasonLink},
		{ruleset.Egress, dhcp(1, own4, remote4, 68, 67, mac), ruleset.ReasonNoRule},
		{ruleset.Egress, tcp(own4, router4, 1, 80, syn), ruleset.ReasonNoRule},
		{ruleset.Ingress, tcp(router4, own4, 1, 80, syn), ruleset.ReasonNoRule},
		{ruleset.Ingress, icmp(router4, own4, 8, 0, 1), ruleset.ReasonNoRule},
		{ruleset.Ingress, icmp(router4, own4, 3, 4, 0), ruleset.ReasonICMPError},
		{ruleset.Ingress, icmp(peer6, own6, 2, 0, 0), ruleset.ReasonICMPError},
		{ruleset.Egress, icmp(own4, router4, 11, 0, 0), ruleset.ReasonICMPError},
		{ruleset.Ingress, icmp(router4, own4, 0, 0, 1), ruleset.ReasonNoRule},
	} {
		h.want(eniA, tt.direction, tt.frame, tt.want)
	}
}

// TestOtherProtocols are allowed by number, in both families, and come back by addresses.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	numbers := []uint8{unix.IPPROTO_IPIP, unix.IPPROTO_IPV6, unix.IPPROTO_GRE, unix.IPPROTO_ESP, unix.IPPROTO_AH, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE, 89, 112, 253}
	var rules []vpc.Rule
	for _, n := range numbers {
		rules = append(rules, rule(true, vpc.Protocol(n), -1, -1, "198.51.100.0/24"), rule(true, vpc.Protocol(n), -1, -1, "2001:db8::/32"))
	}
	h.apply(view(rules...))
	for _, n := range numbers {
		for _, f := range []frame{{src: own4, dst: remote4, protocol: n, data: make([]byte, 1)}, {src: own6, dst: remote6, protocol: n, data: make([]byte, 40)}} {
			h.play(step{in, f.reply(), ruleset.ReasonNoRule}, step{out, f, ruleset.ReasonRule}, step{in, f.reply(), ruleset.ReasonTracked})
			other := f
			other.protocol = 254
			h.play(step{out, other, ruleset.ReasonNoRule})
		}
	}
}

// TestSourceDestCheckOff: a guest that routes sends and receives what is not its own, still by rules
// and from its MAC.
func TestSourceDestCheckOff(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := view(rule(true, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"))
	eni := v.ENIs[eniA]
	eni.SourceDestCheck = false
	v.ENIs[eniA] = eni
	h.apply(v)
	h.want(eniA, ruleset.Egress, tcp(peer4, remote4, 1, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, tcp(remote4, peer4, 2, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, tcp(peer4, remote4, 1, 81, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Egress, tcp(peer4, remote4, 3, 80, syn).with("another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC)
	for _, src := range []string{"0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255"} {
		h.want(eniA, ruleset.Egress, tcp(netip.MustParseAddr(src), remote4, 1, 80, syn), ruleset.ReasonSourceAddress)
	}
	h.want(eniA, ruleset.Egress, tcp(netip.MustParseAddr("169.254.169.254"), remote4, 1, 80, syn), ruleset.ReasonLinkLocal)
	h.want(eniA, ruleset.Egress, arp(2, mac, peer4, remote4), ruleset.ReasonARP)
}

// TestUnbound: a device that is claimed and carries no ENI lets nothing through, neither does one
// that is not attached at all.
func TestUnbound(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach("")
	h.apply(view(allowAll()...))
	h.want("", ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonUnbound)
	h.want("", ruleset.Ingress, tcp(remote4, own4, 1, 80, syn), ruleset.ReasonUnbound)
	h.devices[eniB] = h.device("free")
	h.want(eniB, ruleset.Ingress, tcp(remote4, own4, 1, 80, syn), ruleset.ReasonUnbound)
	counters, err := h.d.Counters()
	must(t, err)
	if got := fmt.Sprint(counters); got != "map[:map[unbound:3]]" {
		t.Errorf("Counters() = %s, want 3 unbound packets", got)
	}
}

// TestCounters counts by reason, both directions together.
func TestCounters(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	in := tcp(remote4, own4, 1, 80, syn)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, in.reply(), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 1, 81, syn), ruleset.ReasonNoRule)
	h.restart()
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 1, 81, syn), ruleset.ReasonNoRule)
	counters, err := h.d.Counters()
	must(t, err)
	want := map[ruleset.Reason]uint64{ruleset.ReasonRule: 1, ruleset.ReasonTracked: 2, ruleset.ReasonNoRule: 2}
	if got := counters[eniA]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Counters()[%s] = %v, want %v", eniA, got, want)
	}
}

// cut, put and pad spoil a frame.
func cut(at int) func([]byte) []byte { return func(b []byte) []byte { return b[:at] } }

func put(at int, value byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[at] = value
		return b
	}
}

func pad(n int) func([]byte) []byte {
	return func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, n)...) }
}
