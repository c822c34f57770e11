// Package hostiletest is what a hostile guest sends, and a hostile neighbour sends to a guest: raw
// frames that mean to get past the filter, to forge addresses, or to be taken for somebody else. The
// same table is played on veths and by a guest with a kernel of its own.
package hostiletest

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Trick is frames that must not come out at the far side of the filter, though they would if one check
// were not made.
type Trick struct {
	Name      string
	Direction ruleset.Direction // of Frames; Egress: the guest sends them, Ingress: somebody sends them to it

	// Open: every rule allows everything, so that no rule is to thank. Otherwise those of Rules.
	Open bool

	Before []Step         // passes: what the trick builds on
	Frames []Frame        // none passes
	Reason ruleset.Reason // for that
}

// Step is a frame one way.
type Step struct {
	Direction ruleset.Direction
	Frame     Frame
}

// The guest, its neighbour in the same subnet, their router, and somebody far away.
var (
	MAC        = vpc.MAC{2, 0, 0, 0, 0, 0x11}
	Addresses  = []netip.Addr{own4, own6}
	Routers    = []netip.Addr{router4, router6, routerFE80}
	peerMAC    = vpc.MAC{2, 0, 0, 0, 0, 0x22}
	routerMAC  = vpc.MAC{2, 0, 0, 0, 0, 1}
	broadcast  = vpc.MAC{255, 255, 255, 255, 255, 255}
	own4       = netip.MustParseAddr("10.0.0.11")
	peer4      = netip.MustParseAddr("10.0.0.50")
	router4    = netip.MustParseAddr("10.0.0.1")
	remote4    = netip.MustParseAddr("198.51.100.7")
	own6       = netip.MustParseAddr("fd00:1:2:100::11")
	peer6      = netip.MustParseAddr("fd00:1:2:100::50")
	router6    = netip.MustParseAddr("fd00:1:2:100::1")
	remote6    = netip.MustParseAddr("2001:db8:ffff::1")
	ownFE80    = netip.MustParseAddr("fe80::ff:fe00:11")
	peerFE80   = netip.MustParseAddr("fe80::ff:fe00:22")
	routerFE80 = netip.MustParseAddr("fe80::ff:fe00:1")

	zero4     = netip.IPv4Unspecified()
	zero6     = netip.IPv6Unspecified()
	limited4  = netip.MustParseAddr("255.255.255.255")
	allNodes  = netip.MustParseAddr("ff02::1")
	metadata4 = netip.MustParseAddr("169.254.169.254")
	metadata6 = netip.MustParseAddr("fd00:ec2::254")
)

// Rules are those in force where a trick is not Open: the guest may send TCP to port 443 and UDP to
// port 53 of everybody, and gets TCP to its port 80 from everybody.
func Rules() []vpc.Rule {
	var rules []vpc.Rule
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		peer := vpc.Peer{CIDR: netip.MustParsePrefix(all)}
		rules = append(rules,
			vpc.Rule{Egress: true, Protocol: vpc.TCP, From: 443, To: 443, Peer: peer},
			vpc.Rule{Egress: true, Protocol: vpc.UDP, From: 53, To: 53, Peer: peer},
			vpc.Rule{Protocol: vpc.TCP, From: 80, To: 80, Peer: peer},
		)
	}
	return rules
}

// Mark is a frame that passes in one direction whatever the rules: ARP about address 10.0.x.y. It says
// that all frames before it have come out, or never will.
func Mark(d ruleset.Direction, n uint16) Frame {
	about := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	if d == ruleset.Egress {
		return arp(1, MAC, broadcast, MAC, own4, about)
	}
	return arp(1, routerMAC, broadcast, routerMAC, router4, about)
}

// IsMark tells the number of a mark, which may have been padded on its way.
func IsMark(d ruleset.Direction, frame []byte) (n uint16, is bool) {
	if len(frame) < 42 {
		return 0, false
	}
	n = uint16(frame[40])<<8 | uint16(frame[41])
	return n, slices.Equal(Mark(d, n).Data, frame[:42])
}

// Tricks are all of them. Their names are unique.
func Tricks() []Trick {
	return slices.Concat(forgeries(), destinations(), claims(), tags(), headers(), offload(), stateless(), fragments(), towards())
}

// fromGuest are tricks of one frame each under open rules.
func fromGuest(reason ruleset.Reason, frames ...named) []Trick {
	return each(ruleset.Egress, true, reason, frames)
}

type named struct {
	name  string
	frame Frame
}

func each(d ruleset.Direction, open bool, reason ruleset.Reason, frames []named) []Trick {
	tricks := make([]Trick, len(frames))
	for i, f := range frames {
		tricks[i] = Trick{Name: f.name, Direction: d, Open: open, Frames: []Frame{f.frame}, Reason: reason}
	}
	return tricks
}

// addr is netip.MustParseAddr.
func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// forgeries are packets of the guest that say they are somebody else's.
func forgeries() []Trick {
	from := func(mac vpc.MAC) Frame { return tcp(own4, remote4, 443, syn).between(mac, routerMAC) }
	source4 := func(a string) Frame { return tcp(addr(a), remote4, 443, syn).out() }
	source6 := func(a string) Frame { return tcp(addr(a), remote6, 443, syn).out() }
	return slices.Concat(
		fromGuest(ruleset.ReasonSourceMAC,
			named{"the neighbour's MAC", from(peerMAC)},
			named{"the router's MAC", from(routerMAC)},
			named{"no MAC", from(vpc.MAC{})},
			named{"a MAC with the group bit", from(vpc.MAC{3, 0, 0, 0, 0, 0x11})},
			named{"the neighbour's MAC and address", tcp(peer4, remote4, 443, syn).between(peerMAC, routerMAC)},
		),
		fromGuest(ruleset.ReasonSourceAddress,
			named{"the neighbour's IPv4 address", source4(peer4.String())},
			named{"the router's IPv4 address", source4(router4.String())},
			named{"the IPv4 address of somebody far away", source4("203.0.113.9")},
			named{"from 0.0.0.0", source4("0.0.0.0")},
			named{"from 127.0.0.1", source4("127.0.0.1")},
			named{"from 255.255.255.255", source4("255.255.255.255")},
			named{"from a multicast group", source4("224.0.0.1")},
			named{"from the subnet's broadcast address", source4("10.0.0.255")},
			named{"the neighbour's IPv6 address", source6(peer6.String())},
			named{"the router's IPv6 address", source6(router6.String())},
			named{"from ::", source6("::")},
			named{"from ::1", source6("::1")},
			named{"from the neighbour's IPv4 address, mapped", source6("::ffff:10.0.0.50")},
			named{"from its own IPv4 address, mapped", source6("::ffff:10.0.0.11")},
			named{"from an IPv6 group", source6("ff02::1")},
			named{"SYN|ACK in the neighbour's name", tcp(peer4, remote4, 4242, syn|ack).out()},
			named{"RST in the neighbour's name", tcp(peer4, remote4, 4242, rst|ack).out()},
			named{"RST in the far end's name, to the neighbour", tcp(remote4, peer4, 4242, rst).between(MAC, peerMAC)},
			named{"echo request in the neighbour's name: it gets the answers", icmp(peer4, remote4, 8, 0).out()},
		),
		fromGuest(ruleset.ReasonLinkLocal,
			named{"from 169.254.1.1", source4("169.254.1.1")},
			named{"from the metadata service, to the neighbour", tcp(metadata4, peer4, 4242, syn|ack).between(MAC, peerMAC)},
			named{"from the neighbour's fe80 address", udp(peerFE80, routerFE80, 53).out()},
			named{"from the router's fe80 address", udp(routerFE80, peerFE80, 53).between(MAC, peerMAC)},
		),
	)
}

// destinations are packets of the guest to where nothing of it may go.
func destinations() []Trick {
	to4 := func(a string) Frame { return tcp(own4, addr(a), 80, syn).out() }
	to6 := func(a string) Frame { return tcp(own6, addr(a), 80, syn).out() }
	return slices.Concat(
		fromGuest(ruleset.ReasonLinkLocal,
			named{"to the metadata service", to4(metadata4.String())},
			named{"to the metadata service over IPv6", to6(metadata6.String())},
			named{"to the container credentials of ECS", to4("169.254.170.2")},
			named{"to the metadata service by UDP port 53", udp(own4, addr("169.254.169.253"), 53).out()},
			named{"to a service on the router's fe80 address", to6(routerFE80.String())},
		),
		fromGuest(ruleset.ReasonDestinationAddress,
			named{"to the metadata service, mapped into IPv6", to6("::ffff:169.254.169.254")},
			named{"to the metadata service through NAT64", to6("64:ff9b::a9fe:a9fe")},
			named{"to the metadata service, IPv4-compatible", to6("::169.254.169.254")},
			named{"to the host's 127.0.0.1", to4("127.0.0.1")},
			named{"to the host's ::1", to6("::1")},
			named{"to 0.0.0.0, which is localhost to some", to4("0.0.0.0")},
			named{"to ::", to6("::")},
			named{"to 240.0.0.1", to4("240.0.0.1")},
			named{"to itself: land", to4(own4.String())},
			named{"to itself over IPv6", to6(own6.String())},
		),
		fromGuest(ruleset.ReasonMulticast,
			named{"to everybody", udp(own4, limited4, 53).out()},
			named{"to the subnet's broadcast address, in a broadcast frame", icmp(own4, addr("10.0.0.255"), 8, 0).between(MAC, broadcast)},
			named{"smurf: echo request to everybody", icmp(own4, limited4, 8, 0).out()},
			named{"smurf over IPv6: echo request to all nodes", icmp(own6, allNodes, 128, 0).out()},
			named{"multicast DNS", udp(own4, addr("224.0.0.251"), 5353).out()},
			named{"multicast DNS over IPv6", udp(own6, addr("ff02::fb"), 5353).out()},
			named{"hole 196: one address in a broadcast frame", tcp(own4, peer4, 443, syn).between(MAC, broadcast)},
			named{"a group's address in a frame for one", udp(own4, addr("224.0.0.251"), 5353).between(MAC, peerMAC)},
			named{"IGMP query, as a router", other(unix.IPPROTO_IGMP, own4, addr("224.0.0.1"), 0x11, 100, 0xee, 0x9b, 0, 0, 0, 0).out()},
			named{"VRRP: takes over the router's address", other(112, own4, addr("224.0.0.18"), make([]byte, 20)...).out()},
		),
	)
}

// claims are messages of the guest about addresses that are not its own, and in roles that it has not.
func claims() []Trick {
	claim := func(source, about netip.Addr, options ...byte) Frame {
		return nd(136, source, allNodes, about, options...).out()
	}
	ask := func(options ...byte) Frame { return nd(135, own6, solicited(peer6), peer6, options...).out() }
	advertise := icmp(ownFE80, allNodes, 134, 0, append([]byte{7, 8, 0, 0, 0, 0, 0, 0}, option(sourceMAC, MAC)...)...).
		with(func(p *packet) { p.hops = 255 })
	alert := header{unix.IPPROTO_HOPOPTS, []byte{0, 0, 5, 2, 0, 0, 1, 0}}
	return slices.Concat(
		fromGuest(ruleset.ReasonARP,
			named{"ARP answer: the neighbour's address is here", arp(2, MAC, broadcast, MAC, peer4, own4)},
			named{"ARP answer: the router's address is here", arp(2, MAC, peerMAC, MAC, router4, peer4)},
			named{"ARP announcement of the router's address", arp(1, MAC, broadcast, MAC, router4, router4)},
			named{"ARP answer that names the neighbour's MAC", arp(2, MAC, broadcast, peerMAC, own4, peer4)},
			named{"ARP probe that keeps the neighbour from its address", arp(1, MAC, broadcast, MAC, zero4, peer4)},
			named{"ARP from 127.0.0.1", arp(1, MAC, broadcast, MAC, addr("127.0.0.1"), router4)},
			named{"ARP of another operation", arp(8, MAC, broadcast, MAC, own4, peer4)},
			named{"ARP of other address lengths", arp(1, MAC, broadcast, MAC, own4, peer4).mangled(set(18, 8))},
			named{"ARP with a message behind it", arp(1, MAC, broadcast, MAC, own4, peer4).mangled(pad(1000))},
		),
		fromGuest(ruleset.ReasonND,
			named{"ND: the neighbour's address is here", claim(own6, peer6, option(targetMAC, MAC)...)},
			named{"ND: the router's address is here", claim(ownFE80, routerFE80, option(targetMAC, MAC)...)},
			named{"ND in the neighbour's name", claim(peer6, peer6, option(targetMAC, MAC)...)},
			named{"ND: the own address is at the neighbour's MAC", claim(own6, own6, option(targetMAC, peerMAC)...)},
			named{"ND: a second option with another MAC", claim(own6, own6, slices.Concat(option(targetMAC, MAC), option(targetMAC, peerMAC))...)},
			named{"ND question that names the neighbour's MAC", ask(option(sourceMAC, peerMAC)...)},
			named{"ND question from beyond a router", nd(135, own6, solicited(peer6), peer6).with(func(p *packet) { p.hops = 64 }).out()},
			named{"ND question with a message in an unknown option", ask(append([]byte{253, 4}, make([]byte, 30)...)...)},
			named{"ND option of no length", ask(1, 0, 2, 0, 0, 0, 0, 0x11)},
			named{"DAD that keeps the neighbour from its address", nd(135, zero6, solicited(peer6), peer6).out()},
			named{"router advertisement", advertise.out()},
			named{"router advertisement in the router's name", advertise.with(func(p *packet) { p.src = routerFE80 }).out()},
			named{"ND redirect", nd(137, ownFE80, peer6, remote6, remote6.AsSlice()...).between(MAC, peerMAC)},
			named{"ND redirect in the router's name", nd(137, routerFE80, peer6, remote6, ownFE80.AsSlice()...).between(MAC, peerMAC)},
			named{"MLD query", icmp(ownFE80, allNodes, 130, 0, make([]byte, 16)...).with(func(p *packet) { p.hops, p.headers = 1, []header{alert} }).out()},
			named{"router advertisement behind a router alert", advertise.with(func(p *packet) { p.headers = []header{alert} }).out()},
			named{"router solicitation to the neighbour", icmp(ownFE80, peerFE80, 133, 0).with(func(p *packet) { p.hops = 255 }).between(MAC, peerMAC)},
		),
		fromGuest(ruleset.ReasonND,
			named{"router advertisement behind destination options", advertise.with(func(p *packet) { p.headers = []header{padding(unix.IPPROTO_DSTOPTS)} }).out()},
		),
		fromGuest(ruleset.ReasonDHCP,
			named{"DHCP offer to everybody", bootp(2, own4, limited4, 67, 68, peerMAC).out()},
			named{"DHCP offer to the neighbour", bootp(2, own4, peer4, 67, 68, peerMAC).between(MAC, peerMAC)},
			named{"DHCP request for the neighbour's MAC", bootp(1, zero4, limited4, 68, 67, peerMAC).out()},
			named{"DHCP answer from a client's port", bootp(2, zero4, limited4, 68, 67, MAC).out()},
			named{"DHCP with more than an answer needs", bootp(1, zero4, limited4, 68, 67, MAC).with(func(p *packet) { p.data = append(p.data, make([]byte, 1000)...) }).out()},
			named{"DHCPv6 advertisement", udp(ownFE80, peerFE80, 546, 2, 1, 2, 3).with(func(p *packet) { p.srcPort = 547 }).between(MAC, peerMAC)},
			named{"DHCPv6 relay", udp(ownFE80, addr("ff02::1:2"), 547, append([]byte{12}, make([]byte, 40)...)...).with(func(p *packet) { p.srcPort = 546 }).out()},
		),
		fromGuest(ruleset.ReasonMalformed,
			named{"ARP cut short", arp(1, MAC, broadcast, MAC, own4, peer4).mangled(cut(14 + 20))},
			named{"ND answer without its target", icmp(own6, allNodes, 136, 0, 0, 0).with(func(p *packet) { p.hops = 255 }).out()},
			named{"ND question with a message behind it", ask().mangled(pad(1000))},
		),
	)
}

// tags are frames of the guest that are no plain IP packets, with one in them where that is possible.
func tags() []Trick {
	inner := tcp(own4, remote4, 443, syn).bytes()
	in := func(etherType uint16, before ...byte) Frame {
		return ethernet(MAC, routerMAC, etherType, append(before, inner...)...)
	}
	group := func(last byte, etherType uint16, payload ...byte) Frame {
		return ethernet(MAC, vpc.MAC{1, 0x80, 0xc2, 0, 0, last}, etherType, append(payload, make([]byte, 46)...)...)
	}
	spanningTree := []byte{0x42, 0x42, 3, 0, 0, 0, 0, 0}
	return fromGuest(ruleset.ReasonEtherType,
		named{"VLAN tag", in(unix.ETH_P_8021Q, 0, 5, 8, 0)},
		named{"VLAN 0: a tag of no VLAN", in(unix.ETH_P_8021Q, 0, 0, 8, 0)},
		named{"VLAN tag of the neighbour's network", in(unix.ETH_P_8021Q, 0, 1, 8, 0)},
		named{"two VLAN tags: hopping", in(unix.ETH_P_8021Q, 0, 1, 0x81, 0, 0, 5, 8, 0)},
		named{"QinQ", in(unix.ETH_P_8021AD, 0, 5, 0x81, 0, 0, 6, 8, 0)},
		named{"QinQ of before the standard", in(0x9100, 0, 5, 8, 0)},
		named{"VLAN tag before ARP for the router's address", ethernet(MAC, broadcast, unix.ETH_P_8021Q,
			append([]byte{0, 5}, arp(2, MAC, broadcast, MAC, router4, peer4).Data[12:]...)...)},
		named{"PPPoE session", in(unix.ETH_P_PPP_SES, 0x11, 0, 0, 1, 0, 42, 0, 0x21)},
		named{"MPLS", in(unix.ETH_P_MPLS_UC, 0, 1, 1, 64)},
		named{"MAC in MAC", in(unix.ETH_P_8021AH, append([]byte{0, 0, 0, 5}, tcp(peer4, remote4, 443, syn).between(peerMAC, routerMAC).Data[:14]...)...)},
		named{"transparent Ethernet bridging", in(unix.ETH_P_TEB, tcp(own4, remote4, 443, syn).between(peerMAC, routerMAC).Data[:14]...)},
		named{"network service header", in(unix.ETH_P_NSH, 0, 0x42, 1, 1, 0, 0, 5, 1)},
		named{"802.3 with SNAP", in(uint16(len(inner)+8), 0xaa, 0xaa, 3, 0, 0, 0, 8, 0)},
		named{"802.3 with LLC", in(uint16(len(inner)+3), 6, 6, 3)},
		named{"RARP: a guest that has moved", ethernet(MAC, broadcast, unix.ETH_P_RARP, arp(3, MAC, broadcast, MAC, own4, own4).Data[14:]...)},
		named{"spanning tree: becomes the root", group(0, uint16(3+len(spanningTree)), spanningTree...)},
		named{"LLDP", group(0x0e, unix.ETH_P_LLDP, 2, 7, 4)},
		named{"LACP", group(2, unix.ETH_P_SLOW, 1, 1)},
		named{"pause: silences the switch", group(1, unix.ETH_P_PAUSE, 0, 1, 0xff, 0xff)},
		named{"802.1X", group(3, unix.ETH_P_PAE, 2, 1)},
		named{"MACsec", in(unix.ETH_P_MACSEC, 0x20, 0, 0, 0, 0, 1)},
		named{"FCoE", ethernet(MAC, peerMAC, unix.ETH_P_FCOE, make([]byte, 60)...)},
		named{"ATA over Ethernet: the host's disks", ethernet(MAC, broadcast, unix.ETH_P_AOE, make([]byte, 60)...)},
		named{"Wake-on-LAN", ethernet(MAC, broadcast, 0x0842, make([]byte, 102)...)},
		named{"loopback of Ethernet's first days", ethernet(MAC, peerMAC, 0x9000, make([]byte, 46)...)},
		named{"IPX", ethernet(MAC, broadcast, unix.ETH_P_IPX, make([]byte, 46)...)},
		named{"an experiment's Ethernet type", in(0x88b5)},
	)
}
