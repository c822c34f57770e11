package hostiletest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// headers are packets of the guest whose headers lie, or lead elsewhere.
func headers() []Trick {
	four, six := tcp(own4, remote4, 443, syn), tcp(own6, remote6, 443, syn)
	route := func(kind byte) []byte { return []byte{kind, 7, 4, 169, 254, 169, 254, 0} }
	options := func(o ...byte) Frame { return four.with(func(p *packet) { p.options = o }).out() }
	lie := func(p packet, at int, value byte) Frame { return p.out().mangled(set(14+at, value)) }
	headers := func(h ...header) Frame { return six.with(func(p *packet) { p.headers = h }).out() }
	named4 := []named{
		{"loose source route to the metadata service", options(route(131)...)},
		{"strict source route", options(route(137)...)},
		{"source route behind 32 times nothing", options(append(bytes.Repeat([]byte{1}, 32), route(131)...)...)},
		{"source route behind a router alert", options(append([]byte{148, 4, 0, 0}, route(131)...)...)},
		{"IPv4 option of no length", options(7, 0, 0, 0)},
		{"IPv4 option longer than the header", options(7, 9, 4, 0)},
		{"IPv4 header of 16 bytes", lie(four, 0, 0x44)},
		{"IPv4 header longer than the packet", lie(four, 0, 0x4f)},
		{"version 5", lie(four, 0, 0x55)},
		{"IPv4 as IPv6", ethernet(MAC, routerMAC, unix.ETH_P_IPV6, four.bytes()...)},
		{"IPv6 as IPv4", ethernet(MAC, routerMAC, unix.ETH_P_IP, six.bytes()...)},
		{"IPv4 packet longer than its frame", lie(four, 2, 1)},
		{"IPv4 packet shorter than its header", lie(four, 3, 19)},
		{"IPv4 packet that ends in its TCP header", four.with(func(p *packet) { p.to = 16 }).out()},
		{"IPv4 packet that ends at its TCP ports, and a frame that goes on", four.with(func(p *packet) { p.to = 4 }).out().mangled(pad(60))},
		{"IPv4 header alone", four.out().mangled(func(b []byte) []byte { b[17] = 20; return b[:34] })},
		{"IPv4 frame of an Ethernet header alone", four.out().mangled(cut(14))},
		{"frame cut in its IPv4 header", four.out().mangled(cut(14 + 12))},
		{"TCP header of 16 bytes", lie(four, 20+12, 4<<4)},
		{"TCP header longer than the packet", lie(four, 20+12, 15<<4)},
		{"UDP header of 4 bytes", udp(own4, remote4, 53).with(func(p *packet) { p.to = 4 }).out()},
		{"ICMP header of 4 bytes", icmp(own4, remote4, 8, 0).with(func(p *packet) { p.to = 4 }).out()},
		{"ICMPv6 over IPv4", other(unix.IPPROTO_ICMPV6, own4, remote4, 134, 0, 0, 0, 0, 0, 0, 0).out()},
	}
	named6 := []named{
		{"ICMP over IPv6", other(unix.IPPROTO_ICMP, own6, remote6, 8, 0, 0, 0, 0, 0, 0, 0).out()},
		{"IPv6 packet longer than its frame", lie(six, 4, 1)},
		{"IPv6 packet that ends in its TCP header", six.with(func(p *packet) { p.to = 16 }).out()},
		{"IPv6 packet that says it has no length", lie(six, 5, 0)},
		{"frame cut in its IPv6 header", six.out().mangled(cut(14 + 30))},
		{"hop-by-hop header cut short", six.with(func(p *packet) { p.headers = []header{padding(unix.IPPROTO_HOPOPTS)} }).out().mangled(cut(14 + 40 + 4))},
	}
	return slices.Concat(
		fromGuest(ruleset.ReasonMalformed, named4...),
		fromGuest(ruleset.ReasonMalformed, named6...),
		fromGuest(ruleset.ReasonMalformed,
			named{"an extension header longer than the packet", headers(header{unix.IPPROTO_DSTOPTS, []byte{0, 200, 1, 4, 0, 0, 0, 0}})},
		),
		fromGuest(ruleset.ReasonExtensionHeader,
			named{"routing header of type 0, to the neighbour", headers(routing(0, peer6))},
			named{"routing header of type 2", headers(routing(2, peer6))},
			named{"segment routing header", headers(routing(4, peer6))},
			named{"20 extension headers", headers(slices.Repeat([]header{padding(unix.IPPROTO_DSTOPTS)}, 20)...)},
			named{"hop-by-hop header behind another", headers(padding(unix.IPPROTO_DSTOPTS), padding(unix.IPPROTO_HOPOPTS))},
			named{"jumbogram", headers(header{unix.IPPROTO_HOPOPTS, []byte{0, 0, 0xc2, 4, 0, 1, 0, 0}})},
		),
	)
}

// stateless are packets of the guest that no rule allows and that belong to nothing.
func stateless() []Trick {
	inner := tcp(own4, remote4, 443, syn).bytes()
	inner6 := tcp(own6, remote6, 443, syn).bytes()
	from := func(port uint16, p packet) Frame { return p.with(func(p *packet) { p.srcPort = port }).out() }
	foreign := quotation(tcp(remote4, peer4, 5000, ack))
	foreign6 := tcp(remote6, peer6, 5000, ack).bytes()[:48]
	var flags []named
	for _, f := range []struct {
		name  string
		flags uint8
	}{
		{"null", 0},
		{"FIN", fin},
		{"Xmas", fin | psh | urg},
		{"ACK", ack},
		{"SYN|FIN", syn | fin},
		{"SYN|RST", syn | rst},
		{"SYN|ACK", syn | ack},
		{"RST", rst},
		{"every flag", 255},
	} {
		flags = append(flags, named{"scan of a closed port: " + f.name, tcp(own4, remote4, 22, f.flags).out()})
	}
	return slices.Concat(
		each(ruleset.Egress, false, ruleset.ReasonNoRule, flags),
		each(ruleset.Egress, false, ruleset.ReasonNoRule, []named{
			{"from port 53 to a closed one", from(53, udp(own4, remote4, 5000))},
			{"from port 443 to a closed one", from(443, tcp(own6, remote6, 22, syn|ack))},
			{"to port 0", tcp(own4, remote4, 0, syn).out()},
			{"TCP by UDP's rule", tcp(own4, remote4, 53, syn).out()},
			{"UDP by TCP's rule: QUIC", udp(own4, remote4, 443, make([]byte, 40)...).out()},
			{"UDP-Lite by UDP's rule", other(unix.IPPROTO_UDPLITE, own4, remote4, 0x10, 0x92, 0, 53, 0, 8, 0, 0).out()},
			{"IPv4 in IPv4", other(unix.IPPROTO_IPIP, own4, remote4, inner...).out()},
			{"IPv6 in IPv4", other(unix.IPPROTO_IPV6, own4, remote4, inner6...).out()},
			{"IPv6 in IPv6", other(unix.IPPROTO_IPV6, own6, remote6, inner6...).out()},
			{"GRE", other(unix.IPPROTO_GRE, own4, remote4, append([]byte{0, 0, 8, 0}, inner...)...).out()},
			{"Ethernet in IPv4", other(97, own4, remote4, append([]byte{0x30, 0}, tcp(own4, remote4, 443, syn).out().Data...)...).out()},
			{"ESP", other(unix.IPPROTO_ESP, own4, remote4, make([]byte, 40)...).out()},
			{"AH before TCP", other(unix.IPPROTO_AH, own4, remote4, append([]byte{unix.IPPROTO_TCP, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, inner[20:]...)...).out()},
			{"SCTP", other(unix.IPPROTO_SCTP, own4, remote4, 0x10, 0x92, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0).out()},
			{"L2TP", other(unix.IPPROTO_L2TP, own4, remote4, 0, 0, 0, 1, 0, 0).out()},
			{"VXLAN", udp(own4, remote4, 4789, append([]byte{8, 0, 0, 0, 0, 0, 5, 0}, tcp(own4, remote4, 443, syn).out().Data...)...).out()},
			{"Teredo", udp(own4, remote4, 3544, inner6...).out()},
			{"a protocol that nobody has", other(253, own4, remote4, inner...).out()},
			{"no next header", other(59, own6, remote6, inner6...).out()},
			{"ICMP tunnel: echo request", icmp(own4, remote4, 8, 0, make([]byte, 60)...).out()},
			{"ICMP tunnel: echo reply to nothing", icmp(own4, remote4, 0, 0, make([]byte, 60)...).out()},
			{"ICMP timestamp request", icmp(own4, remote4, 13, 0, make([]byte, 12)...).out()},
			{"node information query", icmp(own6, peer6, 139, 0, make([]byte, 24)...).out()},
		}),
		each(ruleset.Egress, false, ruleset.ReasonICMPError, []named{
			{"ICMP redirect of the neighbour's connection", icmp(own4, peer4, 5, 1, foreign...).with(gateway(own4)).between(MAC, peerMAC)},
			{"unreachable: ends the neighbour's connection", icmp(own4, peer4, 3, 3, quotation(tcp(peer4, remote4, 443, syn))...).between(MAC, peerMAC)},
			{"fragmentation needed, MTU 68, of the neighbour's connection", icmp(own4, remote4, 3, 4, foreign...).with(gateway(netip.AddrFrom4([4]byte{0, 0, 0, 68}))).out()},
			{"source quench", icmp(own4, peer4, 4, 0, foreign...).between(MAC, peerMAC)},
			{"time exceeded that quotes what the guest never got", icmp(own4, remote4, 11, 0, quotation(udp(remote4, own4, 5000))...).out()},
			{"ICMP error that quotes the guest's own packet", icmp(own4, remote4, 3, 3, quotation(tcp(own4, remote4, 443, syn))...).out()},
			{"ICMP error that quotes half a header", icmp(own4, remote4, 3, 3, foreign[:10]...).out()},
			{"ICMP error that quotes no port", icmp(own4, remote4, 3, 3, foreign[:22]...).out()},
			{"ICMP error that quotes nothing", icmp(own4, remote4, 3, 3).out()},
			{"ICMP error about an ICMP error", icmp(own4, remote4, 3, 3, quotation(icmp(remote4, own4, 3, 3, foreign...))...).out()},
			{"too big, of the neighbour's connection", icmp(own6, remote6, 2, 0, foreign6...).out()},
			{"ICMPv6 error that quotes IPv4", icmp(own6, remote6, 1, 4, foreign...).out()},
			{"ICMPv6 error with a tunnel in it", icmp(own6, remote6, 100, 0, make([]byte, 1000)...).out()},
		}),
	)
}

// gateway fills in an ICMP error's second word, which a redirect and an MTU need.
func gateway(a netip.Addr) func(*packet) {
	return func(p *packet) {
		// It stands where an echo has id and sequence number: in no field of packet.
		whole := p.body()
		copy(whole[4:], a.AsSlice())
		binary.BigEndian.PutUint16(whole[2:], 0)
		binary.BigEndian.PutUint16(whole[2:], checksum(whole))
		p.raw = whole
	}
}

// fragments are packets of the guest in pieces. Where there is something before them, that is a
// packet that a rule allows; the pieces mean to change it where somebody puts them together, or to go
// along with it.
func fragments() []Trick {
	const more = unix.IP_MF
	// Pieces are those of a TCP segment to port 443 with 40 bytes of data, or another.
	web := tcp(own4, remote4, 443, syn).with(func(p *packet) { p.data = make([]byte, 40) })
	web6 := tcp(own6, remote6, 443, syn).with(func(p *packet) { p.data = make([]byte, 40) })
	shell, shell6 := web.with(toShell), web6.with(toShell)
	of := func(p packet, id uint16, at, end int, flags uint16) Frame {
		return p.with(func(p *packet) {
			p.id, p.from, p.to, p.fragment = id, at, end, uint16(at/8)|flags
		}).out()
	}
	of6 := func(p packet, id byte, at, end int, more bool, before ...header) Frame {
		return p.with(func(p *packet) {
			p.from, p.to, p.headers = at, end, append(before, piece(id, uint16(at/8), more))
		}).out()
	}
	trick := func(name string, reason ruleset.Reason, before []Frame, frames ...Frame) Trick {
		t := Trick{Name: name, Direction: ruleset.Egress, Frames: frames, Reason: reason}
		for _, f := range before {
			t.Before = append(t.Before, Step{ruleset.Egress, f})
		}
		return t
	}
	moved := func(f Frame, at uint16) Frame {
		return f.mangled(func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[20:], at)
			binary.BigEndian.PutUint16(b[24:], 0)
			binary.BigEndian.PutUint16(b[24:], checksum(b[14:34]))
			return b
		})
	}
	first := func(id uint16) []Frame { return []Frame{of(web, id, 0, 24, more)} }
	first6 := func(id byte) []Frame { return []Frame{of6(web6, id, 0, 24, true)} }
	const frag = ruleset.ReasonFragment
	return []Trick{
		trick("tiny first fragment: the ports alone", frag, nil, of(web, 1, 0, 8, more)),
		trick("first fragment without a byte of the header", frag, nil, moved(web.with(func(p *packet) { p.id, p.from, p.to = 2, 40, 40 }).out(), more)),
		trick("first fragment that ends in the TCP header, and the rest of it", frag, nil,
			of(web, 3, 0, 16, more), of(web, 3, 16, 60, 0)),
		trick("second fragment without its first", frag, nil, of(web, 4, 24, 60, 0)),
		trick("last fragment first", frag, nil, of(web, 5, 40, 60, 0), of(web, 5, 24, 40, more)),
		trick("first fragment to a closed port", ruleset.ReasonNoRule, nil, of(shell, 6, 0, 24, more)),
		trick("second fragment of what was refused", frag, nil, of(shell, 7, 24, 60, 0)),
		trick("fragment that reaches over the end of any packet: ping of death", frag, nil, moved(of(web, 8, 24, 60, 0), 0x1fff)),
		trick("fragment of a forged source", ruleset.ReasonSourceAddress, nil, of(web.with(func(p *packet) { p.src = peer4 }), 9, 0, 24, more)),
		trick("second fragment to the metadata service", ruleset.ReasonLinkLocal, nil, of(web.with(func(p *packet) { p.dst = metadata4 }), 10, 24, 60, 0)),
		trick("second fragment to all", ruleset.ReasonMulticast, nil, of(web.with(func(p *packet) { p.dst = limited4 }), 11, 24, 60, 0)),
		trick("DHCP answer in fragments", ruleset.ReasonDHCP, nil, of(bootp(2, own4, limited4, 67, 68, peerMAC), 12, 0, 200, more)),
		trick("IPv6 tiny first fragment", frag, nil, of6(web6, 1, 0, 8, true)),
		trick("IPv6 second fragment without its first", frag, nil, of6(web6, 2, 24, 60, false)),
		trick("IPv6 fragment to a closed port", ruleset.ReasonNoRule, nil, of6(shell6, 3, 0, 24, true)),
		trick("atomic fragment to a closed port", ruleset.ReasonNoRule, nil, of6(shell6, 4, 0, 60, false)),
		trick("a fragment header in a fragment", ruleset.ReasonExtensionHeader, nil, of6(shell6, 5, 0, 60, false, piece(6, 0, false))),
		trick("IPv6 first fragment that ends before its protocol: RFC 7112", frag, nil,
			web6.with(func(p *packet) { p.to, p.headers = 8, []header{piece(7, 0, true), padding(unix.IPPROTO_DSTOPTS)} }).out().
				mangled(func(b []byte) []byte { b[19] = 16; return b[:14+40+16] })),
		trick("router advertisement in fragments", ruleset.ReasonND, nil, of6(icmp(ownFE80, allNodes, 134, 0, make([]byte, 24)...).with(func(p *packet) { p.hops = 255 }), 8, 0, 16, true)),
		trick("router advertisement in an atomic fragment", ruleset.ReasonND, nil, of6(icmp(ownFE80, allNodes, 134, 0, make([]byte, 24)...).with(func(p *packet) { p.hops = 255 }), 9, 0, 32, false)),
		trick("fragment of an unknown packet that says TCP in IPv6", frag, nil, of6(web6, 10, 8, 16, true)),

		// The first one passes; what comes after it is not what it said.
		trick("fragment over the TCP header of an allowed one", frag, first(20), of(shell, 20, 16, 60, 0)),
		trick("fragment over all but the ports of an allowed one", frag, first(21), of(shell, 21, 8, 60, 0)),
		trick("another first fragment, to a closed port", ruleset.ReasonNoRule, first(22), of(shell, 22, 0, 24, more)),
		trick("the rest of the allowed one that another replaced", frag, nil, of(web, 22, 24, 60, 0)),
		trick("another first fragment, of the ports alone", frag, first(23), of(shell, 23, 0, 8, more)),
		trick("the rest of an allowed one, to somebody else", frag, first(24), of(web.with(func(p *packet) { p.dst = addr("198.51.100.8") }), 24, 24, 60, 0)),
		trick("the rest of an allowed one, of another protocol", frag, first(25), of(web.with(func(p *packet) { p.protocol = unix.IPPROTO_UDP }), 25, 24, 48, 0)),
		trick("the rest of an allowed one, from the neighbour", ruleset.ReasonSourceAddress, first(26), of(web.with(func(p *packet) { p.src = peer4 }), 26, 24, 60, 0)),
		trick("the rest of an allowed one, from the neighbour's MAC", ruleset.ReasonSourceMAC, first(27), of(web, 27, 24, 60, 0).mangled(set(11, 0x22))),
		trick("an allowed one that grows over the end of any packet", frag, first(28), moved(of(web, 28, 24, 60, 0), 0x1fff)),
		trick("IPv6 fragment over the TCP header of an allowed one", frag, first6(20), of6(shell6, 20, 16, 60, false)),
		trick("IPv6 fragment over all but the ports of an allowed one", frag, first6(21), of6(shell6, 21, 8, 60, false)),
		trick("the rest of an allowed IPv6 one, of another id", frag, first6(22), of6(web6, 23, 24, 60, false)),
		// Another first fragment of the same id, with less before its TCP header, would let a later one stand on that
		// of this one.
		trick("IPv6 first fragment whose TCP header stands further back", frag, nil, web6.with(func(p *packet) {
			p.headers = []header{piece(24, 0, true), padding(unix.IPPROTO_DSTOPTS), padding(unix.IPPROTO_DSTOPTS)}
		}).out()),
		{
			Name: "the rest of an allowed one, the other way", Direction: ruleset.Ingress, Reason: frag,
			Before: []Step{{ruleset.Egress, first(29)[0]}},
			Frames: []Frame{web.with(func(p *packet) { p.src, p.dst, p.id, p.from, p.to, p.fragment = remote4, own4, 29, 24, 60, 3 }).in()},
		},
	}
}

// toShell changes the port to one that no rule opens.
func toShell(p *packet) { p.dstPort = 22 }

// towards are frames to the guest: of a neighbour, or of whoever sends over the router.
func towards() []Trick {
	const in = ruleset.Ingress
	closed := func(reason ruleset.Reason, frames ...named) []Trick { return each(in, false, reason, frames) }
	open := func(reason ruleset.Reason, frames ...named) []Trick { return each(in, true, reason, frames) }
	near := func(p packet) Frame { return p.between(peerMAC, groupMAC(p.dst, MAC)) }
	quoted := quotation(tcp(own4, remote4, 443, syn).with(func(p *packet) { p.srcPort = 4343 }))
	advertise := icmp(peerFE80, allNodes, 134, 0, append([]byte{7, 8, 0, 0, 0, 0, 0, 0}, option(sourceMAC, peerMAC)...)...).
		with(func(p *packet) { p.hops = 255 })
	from4 := func(a string) Frame { return tcp(addr(a), own4, 80, syn).in() }
	from6 := func(a string) Frame { return tcp(addr(a), own6, 80, syn).in() }
	return slices.Concat(
		closed(ruleset.ReasonNoRule,
			named{"in: to a closed port", near(tcp(peer4, own4, 22, syn))},
			named{"in: to a closed port, over IPv6", near(tcp(peer6, own6, 22, syn))},
			named{"in: answer to what was never asked", tcp(remote4, own4, 4242, syn|ack).in()},
			named{"in: DNS answer to nobody", udp(remote4, own4, 5353, make([]byte, 40)...).with(func(p *packet) { p.srcPort = 53 }).in()},
			named{"in: ACK scan", tcp(remote4, own4, 22, ack).in()},
			named{"in: Xmas scan", tcp(remote4, own4, 22, fin|psh|urg).in()},
			named{"in: blind RST to no connection", tcp(remote4, own4, 22, rst).in()},
			named{"in: echo request", icmp(remote4, own4, 8, 0).in()},
			named{"in: IPv4 in IPv4", other(unix.IPPROTO_IPIP, remote4, own4, tcp(peer4, own4, 22, syn).bytes()...).in()},
			named{"in: DHCP offer of a neighbour", near(bootp(2, peer4, own4, 67, 68, MAC))},
		),
		closed(ruleset.ReasonICMPError,
			named{"in: unreachable, of a connection that is none", icmp(remote4, own4, 3, 3, quoted...).in()},
			named{"in: ICMP redirect of a neighbour", near(icmp(peer4, own4, 5, 1, quoted...))},
			named{"in: fragmentation needed, of a connection that is none", icmp(remote4, own4, 3, 4, quoted...).in()},
		),
		open(ruleset.ReasonDestinationAddress,
			named{"in: for another's address", near(tcp(remote4, peer4, 80, syn))},
			named{"in: for the subnet's broadcast address", near(icmp(peer4, addr("10.0.0.255"), 8, 0))},
			named{"in: for 127.0.0.1", near(tcp(peer4, addr("127.0.0.1"), 80, syn))},
			named{"in: for another's IPv6 address", near(tcp(remote6, peer6, 80, syn))},
		),
		open(ruleset.ReasonSourceAddress,
			named{"in: from 127.0.0.1", from4("127.0.0.1")},
			named{"in: from the guest's own address: land", from4(own4.String())},
			named{"in: from 0.0.0.0", from4("0.0.0.0")},
			named{"in: from a multicast group", from4("224.0.0.1")},
			named{"in: from ::1", from6("::1")},
			named{"in: from ::", from6("::")},
			named{"in: from the guest's own IPv6 address", from6(own6.String())},
		),
		open(ruleset.ReasonLinkLocal,
			named{"in: as the metadata service", tcp(metadata4, own4, 80, syn).in()},
			named{"in: from a neighbour's fe80 address", near(tcp(peerFE80, ownFE80, 80, syn))},
		),
		open(ruleset.ReasonMulticast,
			named{"in: smurf", near(icmp(peer4, limited4, 8, 0))},
			named{"in: multicast DNS", near(udp(peer4, addr("224.0.0.251"), 5353))},
			named{"in: one address in a broadcast frame", tcp(peer4, own4, 80, syn).between(peerMAC, broadcast)},
			named{"in: DHCP offer of a neighbour to all", near(bootp(2, peer4, limited4, 67, 68, MAC))},
		),
		open(ruleset.ReasonND,
			named{"in: router advertisement of a neighbour", advertise.between(peerMAC, groupMAC(allNodes, MAC))},
			named{"in: ND redirect", near(nd(137, routerFE80, own6, remote6, peerFE80.AsSlice()...))},
			named{"in: ND from beyond a router", nd(136, peer6, own6, peer6, option(targetMAC, peerMAC)...).with(func(p *packet) { p.hops = 64 }).in()},
			named{"in: ND from somebody far away", nd(136, remote6, own6, router6, option(targetMAC, peerMAC)...).in()},
			named{"in: ND with a message in an unknown option", near(nd(135, peer6, own6, own6, append([]byte{253, 4}, make([]byte, 30)...)...))},
		),
		open(ruleset.ReasonARP,
			named{"in: ARP answer that names another MAC", arp(2, peerMAC, MAC, routerMAC, router4, own4)},
			named{"in: ARP with a message behind it", arp(1, peerMAC, broadcast, peerMAC, peer4, own4).mangled(pad(1000))},
		),
		open(ruleset.ReasonEtherType,
			named{"in: VLAN tag", ethernet(peerMAC, MAC, unix.ETH_P_8021Q, append([]byte{0, 5, 8, 0}, tcp(peer4, own4, 80, syn).bytes()...)...)},
			named{"in: LLDP", ethernet(peerMAC, vpc.MAC{1, 0x80, 0xc2, 0, 0, 0x0e}, unix.ETH_P_LLDP, make([]byte, 46)...)},
		),
		open(ruleset.ReasonMalformed,
			named{"in: source route", tcp(remote4, own4, 80, syn).with(func(p *packet) { p.options = []byte{131, 7, 4, 10, 0, 0, 50, 0} }).in()},
			named{"in: TCP header of 16 bytes", tcp(remote4, own4, 80, syn).in().mangled(set(14+20+12, 4<<4))},
		),
		open(ruleset.ReasonExtensionHeader,
			named{"in: routing header of type 0", tcp(remote6, own6, 80, syn).with(func(p *packet) { p.headers = []header{routing(0, peer6)} }).in()},
		),
		closed(ruleset.ReasonFragment,
			named{"in: second fragment without its first", tcp(remote4, own4, 80, syn).with(func(p *packet) { p.data, p.from, p.to, p.fragment = make([]byte, 40), 24, 60, 3 }).in()},
			named{"in: tiny first fragment", tcp(remote4, own4, 80, syn).with(func(p *packet) { p.to, p.fragment = 8, unix.IP_MF }).in()},
		),
	)
}

// offloaded is p with a checksum left to be written, over what begins at start in the frame, into the two
// bytes at place; the last two bytes of its data are such that they become value.
func offloaded(p packet, start, place int, value uint16) Frame {
	p.data = append(bytes.Clone(p.data), 0, 0)
	f := p.out()
	if start%2 != 0 || len(f.Data)%2 != 0 {
		panic("sums of whole words only")
	}
	sum := checksum(f.Data[start:]) // one's complement, so subtraction is an addition
	for i, v := range binary.BigEndian.AppendUint16(nil, ^checksum(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sum), ^value))) {
		f.Data[len(f.Data)-2+i] = v
	}
	f.Start, f.Offset = uint16(start), uint16(place-start)
	return f
}

// PortSwap is a SYN to port 443 of which the next device that cannot write checksums makes one to port 22.
func PortSwap() Frame { return offloaded(tcp(own4, remote4, 443, syn), 34, 36, 22) }

// Offloaded is a SYN to port 443 as the guest's own kernel leaves it to its NIC.
func Offloaded() Frame {
	f := tcp(own4, remote4, 443, syn).out()
	const header, field = 34, 16
	pseudo := slices.Concat(own4.AsSlice(), remote4.AsSlice(), []byte{0, unix.IPPROTO_TCP, 0, 20})
	binary.BigEndian.PutUint16(f.Data[header+field:], ^checksum(pseudo))
	f.Start, f.Offset = header, field
	return f
}

// offload are packets of the guest that somebody else is to change behind the filter. Those whose sum
// would begin before the transport's header are refused by the kernel on both ends of the wire.
func offload() []Trick {
	four, six := tcp(own4, remote4, 443, syn), tcp(own6, remote6, 443, syn)
	hello := header{unix.IPPROTO_HOPOPTS, []byte{0, 0, 5, 2, 0, 0, 1, 0}}
	return fromGuest(ruleset.ReasonMalformed,
		named{"checksum over the destination port", PortSwap()},
		named{"checksum over the source port", offloaded(four, 34, 34, 53)},
		named{"checksum over the TCP flags", offloaded(four, 34, 34+12, 5<<12|rst)},
		named{"checksum over an IPv6 destination port", offloaded(six, 54, 56, 22)},
		named{"checksum over a UDP port", offloaded(udp(own4, remote4, 53, 0, 0), 34, 36, 5000)},
		named{"checksum over the length of UDP", offloaded(udp(own4, remote4, 53, 0, 0), 34, 38, 0)},
		named{"checksum over the type of ICMP", offloaded(icmp(own4, remote4, 8, 0), 34, 34, 5<<8)},
		named{"checksum over what an ICMP error quotes", offloaded(icmp(own4, remote4, 3, 3, quotation(tcp(remote4, own4, 4242, ack))...), 34, 34+8+16, 10<<8)},
		named{"checksum over whom ARP asks for", unwritten(arp(1, MAC, broadcast, MAC, own4, peer4), 34, 38)},
		named{"checksum over the target of ND", unwritten(nd(135, own6, solicited(peer6), peer6, option(sourceMAC, MAC)...).out(), 54, 54+8)},
		named{"checksum over an MLD report's router alert", unwritten(icmp(ownFE80, addr("ff02::16"), 143, 0).with(func(p *packet) { p.hops, p.headers = 1, []header{hello} }).out(), 54, 56)},
		named{"checksum over the client of DHCP", unwritten(bootp(1, zero4, limited4, 68, 67, MAC).out(), 42, 42+32)},
	)
}

// quotation is what an ICMP error says of a packet.
func quotation(p packet) []byte { return append(make([]byte, 0, 28), p.bytes()[:28]...) }

// unwritten leaves a checksum over what begins at start to be written at place.
func unwritten(f Frame, start, place int) Frame {
	f.Start, f.Offset = uint16(start), uint16(place-start)
	return f
}
