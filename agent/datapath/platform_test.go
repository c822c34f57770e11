package datapath_test

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestPlatformServices: what the operator declared passes without rules, exactly, and opens nothing.
func TestPlatformServices(t *testing.T) {
	t.Parallel()
	const in, out, platform, dropped = ruleset.Ingress, ruleset.Egress, ruleset.ReasonPlatform, ruleset.ReasonLinkLocal
	dns, dns6, metadata := netip.MustParseAddr("169.254.169.253"), netip.MustParseAddr("fd00:ec2::253"), netip.MustParseAddr("169.254.169.254")
	resolver := netip.MustParseAddr("10.0.0.2")
	o := datapath.Options{PlatformServices: []datapath.PlatformService{
		{Protocol: unix.IPPROTO_UDP, Addr: netip.AddrPortFrom(dns, 53)},
		{Protocol: unix.IPPROTO_TCP, Addr: netip.AddrPortFrom(dns6, 53)},
		{Protocol: unix.IPPROTO_UDP, Addr: netip.AddrPortFrom(resolver, 53)},
	}}
	h := newHost(t, o)
	h.attach(eniA)
	h.apply(view())
	query, query6, inside := udp(own4, dns, 1000, 53), tcp(own6, dns6, 1000, 53, syn), udp(own4, resolver, 1000, 53)
	large := query.reply().with("a large answer", func(f *frame) { f.data = make([]byte, 3000) }).split(1, 1480)
	h.play(
		step{out, query, platform}, step{in, query.reply(), platform},
		step{out, query6, platform}, step{in, query6.reply(), platform}, step{in, query6.reply(), platform},
		step{out, inside, platform}, step{in, inside.reply(), platform},
		step{in, large[1], dropped}, step{in, large[0], platform}, step{in, large[1], platform},
		// Nothing else at those addresses, and nothing else of theirs.
		step{out, udp(own4, dns, 1000, 54), dropped}, step{out, tcp(own4, dns, 1000, 53, syn), dropped},
		step{out, udp(own6, dns6, 1000, 53), dropped}, step{out, icmp(own4, dns, 8, 0, 1), dropped},
		step{out, udp(own4, metadata, 1000, 53), dropped}, step{out, udp(own4, dns, 53, 1000), dropped},
		step{in, udp(dns, own4, 1000, 53), dropped}, step{in, udp(dns, own4, 54, 1000), dropped},
		step{out, udp(own4, resolver, 1000, 54), ruleset.ReasonNoRule},
		// From and to the ENI's own addresses.
		step{out, udp(second4, dns, 1000, 53), platform},
		step{out, udp(peer4, dns, 1000, 53), dropped}, step{in, udp(dns, peer4, 53, 1000), dropped},
		step{out, udp(peer4, resolver, 1000, 53), ruleset.ReasonSourceAddress},
		step{in, query.reply().with("for all, by MAC", func(f *frame) { f.dstMAC = broadcast }), dropped},
		step{out, query.with("another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC},
	)
	if list, err := h.d.Connections(eniA); err != nil || len(list) != 0 {
		t.Errorf("Connections() = %v, %v; want none", list, err)
	}
	// A guest that routes gets them for itself alone.
	v := view(allowAll()...)
	eni := v.ENIs[eniA]
	eni.SourceDestCheck = false
	v.ENIs[eniA] = eni
	h.apply(v)
	h.play(
		step{out, query, platform}, step{out, udp(peer4, dns, 1000, 53), dropped},
		step{out, inside, ruleset.ReasonPlatform}, step{out, udp(peer4, resolver, 1000, 53), ruleset.ReasonRule},
	)
	// The next agent declares less.
	h.options.PlatformServices = o.PlatformServices[1:]
	h.restart()
	h.play(step{out, query, dropped}, step{out, query6, platform})
	h.options.PlatformServices = nil
	h.restart()
	h.play(step{out, query6, dropped})
}

// TestPlatformServiceMistakes are refused before anything is in force.
func TestPlatformServiceMistakes(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]datapath.PlatformService{
		"ICMP":       {Protocol: unix.IPPROTO_ICMP, Addr: netip.MustParseAddrPort("169.254.169.253:53")},
		"port 0":     {Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("169.254.169.253:0")},
		"no address": {Protocol: unix.IPPROTO_UDP},
		"loopback":   {Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("127.0.0.1:53")},
		"multicast":  {Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("[ff02::fb]:5353")},
		"of a link":  {Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("[fe80::1]:53")},
		"mapped":     {Protocol: unix.IPPROTO_UDP, Addr: netip.MustParseAddrPort("[::ffff:10.0.0.2]:53")},
	} {
		mustFail(t, s.Validate(), name)
	}
	must(t, datapath.PlatformService{Protocol: unix.IPPROTO_TCP, Addr: netip.MustParseAddrPort("[fd00:ec2::254]:80")}.Validate())
}

// TestLinkLocal: which fe80 addresses a guest may claim, and whose router advertisements it gets.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	const in, out, link, no = ruleset.Ingress, ruleset.Egress, ruleset.ReasonLink, ruleset.ReasonND
	private, router := netip.MustParseAddr("fe80::1234:5678:9abc:def0"), netip.MustParseAddr("fe80::1")
	o := datapath.Options{Routers: []netip.Addr{router}}
	h := newHost(t, o)
	h.attach(eniA)
	v := view(allowAll()...)
	eni := v.ENIs[eniA]
	eni.Routers = []netip.Addr{router4, router6} // as a server says it
	v.ENIs[eniA] = eni
	h.apply(v)
	claims := func(a netip.Addr) []frame {
		return []frame{
			nd(136, a, peer6, a, lladdr(2, mac)...), nd(135, a, solicited(peer6), peer6, lladdr(1, mac)...),
			nd(135, zero6, solicited(a), a), nd(133, a, routers6, netip.Addr{}, lladdr(1, mac)...), mld(143, a, mldV2),
		}
	}
	each := func(frames []frame, want ruleset.Reason) {
		t.Helper()
		for _, f := range frames {
			h.play(step{out, f, want})
		}
	}
	advertisement := func(a netip.Addr) frame { return nd(134, a, allNodes, netip.Addr{}, make([]byte, 8)...) }
	each(claims(ownFE80), link)
	each(claims(private), no)
	each(claims(router), no)
	h.play(step{in, advertisement(router), link}, step{in, advertisement(routerFE80), no}, step{in, advertisement(private), no})
	h.play(step{in, nd(136, peer6, private, peer6, lladdr(2, otherMAC)...), ruleset.ReasonDestinationAddress})

	h.options.AnyLinkLocal = true
	h.restart()
	h.apply(v)
	each(claims(ownFE80), link)
	each(claims(private), link)
	each(claims(router), no)
	h.play(
		step{in, advertisement(router), link}, step{in, advertisement(private), no},
		step{in, nd(136, peer6, private, peer6, lladdr(2, otherMAC)...), link},
		step{out, dhcpv6(1, private, dhcpV6, 546, 547), link}, step{out, dhcpv6(1, router, dhcpV6, 546, 547), ruleset.ReasonSourceAddress},
		step{out, tcp(private, peer6, 1, 80, syn), ruleset.ReasonLinkLocal},
		step{out, nd(134, private, allNodes, netip.Addr{}, make([]byte, 8)...), no},
		step{out, nd(136, peer6, allNodes, peer6, lladdr(2, mac)...), no},
	)
	_, err := datapath.Open(datapath.Options{Pins: h.options.Pins, Routers: []netip.Addr{router6}})
	mustFail(t, err, "a router outside fe80::/10")
}

// TestExtensionHeaders: what stands behind IPv6 extension headers is judged; what cannot be, is dropped.
func TestExtensionHeaders(t *testing.T) {
	t.Parallel()
	const in, rule4, no, malformed = ruleset.Ingress, ruleset.ReasonRule, ruleset.ReasonExtensionHeader, ruleset.ReasonMalformed
	const hop, routing, options, tcp6 = 0, 43, 60, unix.IPPROTO_TCP
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(
		rule(false, vpc.TCP, 80, 80, "2001:db8::/32"), rule(false, vpc.Protocol(50), -1, -1, "::/0"), rule(false, vpc.Protocol(51), -1, -1, "::/0"),
		rule(false, vpc.Protocol(59), -1, -1, "::/0"), rule(false, vpc.Protocol(135), -1, -1, "::/0"), rule(false, vpc.Protocol(139), -1, -1, "::/0"),
		rule(true, vpc.AllProtocols, -1, -1, "::/0"),
	))
	chain := func(headers ...[]byte) []byte {
		all := []byte{}
		for _, h := range headers {
			all = append(all, h...)
		}
		return all
	}
	many := func(n int) []byte {
		var all []byte
		for i := range n {
			next := byte(options)
			if i == n-1 {
				next = tcp6
			}
			all = append(all, extension(next)...)
		}
		return all
	}
	padN := func(next byte, n int) []byte {
		return extension(next, append([]byte{1, byte(n - 4)}, make([]byte, n-4)...)...)
	}
	for i, tt := range []struct {
		what    string
		next    uint8
		headers []byte
		want    ruleset.Reason
	}{
		{"hop-by-hop", hop, extension(tcp6), rule4},
		{"hop-by-hop router alert", hop, extension(tcp6, 5, 2, 0, 0), rule4},
		{"destination options", options, extension(tcp6), rule4},
		{"all in order", hop, chain(extension(options), extension(routing), extension(44, 0, 0, 0), fragmentHeader(options, 1, 0, false), extension(tcp6)), rule4},
		{"routing, segments left 0", routing, extension(tcp6, 4, 0), rule4},
		{"routing type 0, segments left 0", routing, extension(tcp6, append([]byte{0, 0, 0, 0, 0, 0}, peer6.AsSlice()...)...), rule4},
		{"routing type 0, segments left 1", routing, extension(tcp6, append([]byte{0, 1, 0, 0, 0, 0}, peer6.AsSlice()...)...), no},
		{"routing type 4, segments left 1", routing, extension(tcp6, append([]byte{4, 1, 0, 0, 0, 0}, peer6.AsSlice()...)...), no},
		{"hop-by-hop behind another", options, chain(extension(hop), extension(tcp6)), no},
		{"two fragment headers", 44, chain(fragmentHeader(44, 1, 0, false), fragmentHeader(tcp6, 2, 0, false)), no},
		{"8 headers", options, many(8), rule4},
		{"9 headers", options, many(9), no},
		{"the 9th is that of a fragment", options, chain(slices.Repeat(extension(options), 7), extension(44), fragmentHeader(tcp6, 1, 8, true)), no},
		{"256 bytes", options, padN(tcp6, 256), rule4},
		{"264 bytes", options, chain(padN(options, 256), extension(tcp6)), no},
		{"longer than the packet", options, []byte{tcp6, 30, 1, 4, 0, 0, 0, 0}, malformed},
		{"jumbo payload", hop, extension(tcp6, 0xc2, 4, 0, 1, 0, 0), no},
		{"home address", options, extension(tcp6, append([]byte{201, 16}, peer6.AsSlice()...)...), no},
		{"an option past its header", options, extension(tcp6, 1, 20), no},
		{"17 options", options, extension(tcp6, append([]byte{1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0}, 1, 2, 0, 0)...), no},
		{"a closed port behind them", options, extension(tcp6), ruleset.ReasonNoRule},
	} {
		f := tcp(remote6, own6, uint16(1000+i), 80, syn).with(tt.what, func(f *frame) { f.next, f.options = tt.next, tt.headers })
		if tt.want == ruleset.ReasonNoRule {
			f.dstPort = 81
		}
		h.play(step{in, f, tt.want})
		if tt.want == rule4 { // the same connection, with or without
			h.play(step{in, tcp(remote6, own6, uint16(1000+i), 80, ack), ruleset.ReasonTracked})
		}
	}
	// Protocols by number.
	other := func(protocol uint8, data ...byte) frame {
		return frame{src: remote6, dst: own6, protocol: protocol, data: append(data, make([]byte, 24)...)}
	}
	h.play(
		step{in, other(50), rule4}, step{in, other(51, tcp6, 4), rule4}, step{in, other(59), rule4},
		step{in, other(135, 59, 0), rule4}, step{in, other(139, 59, 1), rule4},
		step{in, other(135, tcp6, 0), no}, step{in, other(139, tcp6, 0), no}, step{in, other(140, 59, 0), ruleset.ReasonNoRule},
	)
	// What passes without a rule has none of them, but for MLD's router alert.
	before := func(f frame, next uint8, headers []byte) frame {
		return f.with(f.String()+" behind headers", func(f *frame) { f.next, f.options = next, headers })
	}
	const out = ruleset.Egress
	solicitation := nd(135, own6, solicited(peer6), peer6, lladdr(1, mac)...)
	h.play(
		step{out, before(solicitation, options, extension(58)), no},
		step{out, before(solicitation, hop, routerAlert()), ruleset.ReasonND},
		step{out, before(solicitation, 44, fragmentHeader(58, 1, 0, false)), no},
		step{out, before(mld(143, ownFE80, mldV2), hop, chain(extension(options, 5, 2, 0, 0), extension(58))), ruleset.ReasonND},
		step{out, before(mld(143, ownFE80, mldV2), hop, extension(58, 5, 2, 0, 1)), ruleset.ReasonND},
		step{out, before(dhcpv6(1, ownFE80, dhcpV6, 546, 547), options, extension(17)), no},
	)
}
