package oracletest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
)

// What passes without a rule: ARP, neighbour discovery, MLD reports and DHCP, as docs/limits.md
// ("What a packet may be") has it; and what no rule lets through.

const (
	maxFrame       = 64   // of the link layer: what senders pad a short frame to, with a checksum
	maxNeighbour   = 72   // bytes of a neighbour's solicitation or advertisement
	maxOptions     = 4    // in one of those
	maxNonce       = 32   // bytes
	maxReportCount = 64   // groups in a report
	maxDHCP        = 1024 // bytes of a guest's message, with the UDP header
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allRouters  = netip.MustParseAddr("ff02::2")
	allReports  = netip.MustParseAddr("ff02::16")
	allDHCP     = netip.MustParseAddr("ff02::1:2")
	everybody4  = netip.MustParseAddr("255.255.255.255")
	onLink      = netip.MustParsePrefix("fe80::/10")
	linkGroups  = netip.MustParsePrefix("ff02::/16")
	solicitedTo = netip.MustParsePrefix("ff02::1:ff00:0/104")
	platform    = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fd00:ec2::/32")}
)

// arp judges RFC 826's message for IPv4 over Ethernet. It ends the question.
func (q *question) arp(b []byte) ruleset.Reason {
	if len(b) < 28 {
		q.cover("short ARP")
		return ruleset.ReasonMalformed
	}
	operation := binary.BigEndian.Uint16(b[6:])
	senderMAC, sender, target := [6]byte(b[8:14]), netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	switch {
	case [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4}:
		q.cover("ARP of something else")
	case operation != 1 && operation != 2:
		q.cover("ARP that neither asks nor answers")
	case len(q.frame) > maxFrame:
		q.cover("ARP with more behind it than padding")
	case senderMAC != q.srcMAC:
		q.cover("ARP about another MAC")
	case !q.fromGuest():
		q.cover("ARP to the guest")
		return ruleset.ReasonLink
	case sender.IsUnspecified() && operation == 1 && q.own(target):
		q.cover("ARP probe")
		return ruleset.ReasonLink
	case q.own(sender):
		q.cover("ARP from the guest")
		return ruleset.ReasonLink
	default:
		q.cover("ARP that claims another's address")
	}
	return ruleset.ReasonARP
}

// link judges what is no business of rules; none: they are asked.
func (q *question) link() ruleset.Reason {
	reason := ruleset.ReasonNone
	switch {
	case q.part == later:
	case q.protocol == protocolICMPv6 && (q.icmpType >= 130 && q.icmpType <= 137 || q.icmpType == 143):
		if q.fromGuest() {
			reason = q.neighbourFromGuest()
		} else {
			reason = q.neighbourToGuest()
		}
	case q.protocol == protocolUDP:
		if q.fromGuest() {
			reason = q.dhcpFromGuest()
		} else {
			reason = q.dhcpToGuest()
		}
	}
	switch {
	case reason != ruleset.ReasonLink:
	case len(q.frame) > maxFrame && len(q.frame) > 14+q.length:
		q.cover("link layer with more behind it than padding")
		return ruleset.ReasonMalformed
	case q.part != whole:
		q.cover("link layer in fragments")
		return ruleset.ReasonFragment
	case q.extended && !q.routerAlert:
		q.cover("link layer with extension headers")
		return ruleset.ReasonExtensionHeader
	}
	return reason
}

// ownLinkLocal is the address that RFC 4291 derives from the interface's MAC.
func (q *question) ownLinkLocal() netip.Addr {
	m := q.eni.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// isOwnLinkLocal says whether the interface may use a link-local address.
func (q *question) isOwnLinkLocal(a netip.Addr) bool {
	if q.AnyLinkLocal {
		return onLink.Contains(a) && !q.router(a)
	}
	return a == q.ownLinkLocal()
}

func (q *question) ownOnLink(a netip.Addr) bool {
	return q.isOwnLinkLocal(a) || !onLink.Contains(a) && q.own(a)
}

// isOnLink says whether an address cannot be reached but over the interface's own link.
func (q *question) isOnLink(a netip.Addr) bool {
	if onLink.Contains(a) {
		return true
	}
	if in(platform, a) {
		return false
	}
	return q.router(a) || q.subnet().Contains(a)
}

// subnet is the interface's /64: that of its first address, prefix or router that is not link-local.
func (q *question) subnet() netip.Prefix {
	known := slices.Clone(q.eni.Addresses)
	for _, p := range q.eni.Prefixes {
		known = append(known, p.Addr())
	}
	for _, a := range append(known, q.eni.Routers...) {
		if a.Is6() && !a.IsLinkLocalUnicast() {
			return netip.PrefixFrom(a, 64).Masked()
		}
	}
	return netip.Prefix{}
}

// solicitedNode is where neighbours ask for an address.
func solicitedNode(a netip.Addr) netip.Addr {
	group, last := solicitedTo.Addr().As16(), a.As16()
	copy(group[13:], last[13:])
	return netip.AddrFrom16(group)
}

func (q *question) neighbourFromGuest() ruleset.Reason {
	switch q.icmpType {
	case 131, 132, 143: // MLD reports and done
		return q.report()
	}
	if q.routerAlert || q.hopLimit != 255 || q.icmpCode != 0 {
		q.cover("ND from afar")
		return ruleset.ReasonND
	}
	if q.icmpType == 133 { // router solicitation
		if (q.src.IsUnspecified() || q.ownOnLink(q.src)) && q.dst == allRouters && q.knownOptions(8) {
			q.cover("RS from the guest")
			return ruleset.ReasonLink
		}
		q.cover("RS that claims or carries what it may not")
		return ruleset.ReasonND
	}
	if q.icmpType != 135 && q.icmpType != 136 {
		q.cover("ND that is the router's")
		return ruleset.ReasonND
	}
	if len(q.payload) < 24 {
		q.cover("ND without a target")
		return ruleset.ReasonMalformed
	}
	target := netip.AddrFrom16([16]byte(q.payload[8:24]))
	if target.IsMulticast() || !q.knownOptions(24) {
		q.cover("ND that carries what it may not")
		return ruleset.ReasonND
	}
	switch {
	case q.icmpType == 136 && q.ownOnLink(q.src) && q.ownOnLink(target) && (q.dst == allNodes || q.isOnLink(q.dst)):
		q.cover("NA from the guest")
		return ruleset.ReasonLink
	case q.icmpType == 136:
		q.cover("NA that claims what it may not")
	case q.src.IsUnspecified() && q.ownOnLink(target) && q.dst == solicitedNode(target):
		q.cover("DAD from the guest")
		return ruleset.ReasonLink
	case q.ownOnLink(q.src) && q.dst == solicitedNode(target): // the target may be anybody: the group is the link's
		q.cover("NS from the guest")
		return ruleset.ReasonLink
	case q.ownOnLink(q.src) && q.dst == target && q.isOnLink(target):
		q.cover("NS from the guest to one neighbour")
		return ruleset.ReasonLink
	default:
		q.cover("NS that claims what it may not")
	}
	return ruleset.ReasonND
}

func (q *question) neighbourToGuest() ruleset.Reason {
	if q.routerAlert || q.hopLimit != 255 || q.icmpCode != 0 {
		q.cover("ND to the guest from afar")
		return ruleset.ReasonND
	}
	switch {
	case q.icmpType == 134 && q.router(q.src):
		q.cover("RA to the guest")
	case q.icmpType == 135 && (q.isOnLink(q.src) || q.src.IsUnspecified()) && q.knownOptions(24):
		q.cover("NS to the guest")
	case q.icmpType == 136 && q.isOnLink(q.src) && q.knownOptions(24):
		q.cover("NA to the guest")
	default:
		q.cover("ND that is none of the guest's")
		return ruleset.ReasonND
	}
	if q.dst == allNodes || solicitedTo.Contains(q.dst) || q.ownOnLink(q.dst) {
		return ruleset.ReasonLink
	}
	q.cover("ND to another")
	return ruleset.ReasonDestinationAddress
}

// knownOptions says whether nothing but link-layer addresses and, in a solicitation, a nonce follow a
// header of that length, and whether the guest says nothing but its own MAC.
func (q *question) knownOptions(header int) bool {
	if len(q.payload) < header || len(q.payload) > maxNeighbour {
		return false
	}
	b := q.payload[header:]
	for n := 0; len(b) > 0; n++ {
		if len(b) < 8 || n == maxOptions {
			return false
		}
		length := int(b[1]) * 8
		if length == 0 || length > len(b) {
			return false
		}
		switch b[0] {
		case 1, 2: // source, target link-layer address
			if length != 8 || q.fromGuest() && [6]byte(b[2:8]) != [6]byte(q.eni.MAC) {
				return false
			}
		case 14: // nonce
			if length > maxNonce || q.icmpType != 135 {
				return false
			}
		default:
			return false
		}
		b = b[length:]
	}
	return true
}

// report judges what the guest says of multicast groups.
func (q *question) report() ruleset.Reason {
	ok := q.routerAlert && q.hopLimit == 1 && linkGroups.Contains(q.dst) && (q.src.IsUnspecified() || q.isOwnLinkLocal(q.src))
	if q.icmpType == 143 {
		records := int(binary.BigEndian.Uint16(q.payload[6:]))
		ok = ok && q.dst == allReports && records <= maxReportCount && len(q.payload) <= 8+20*records
	} else {
		ok = ok && len(q.payload) == 24
	}
	if !ok {
		q.cover("MLD that may not be")
		return ruleset.ReasonND
	}
	q.cover("MLD from the guest")
	return ruleset.ReasonLink
}

func (q *question) dhcpFromGuest() ruleset.Reason {
	if q.src.Is6() {
		switch {
		case q.srcPort == 547 || q.dstPort == 546:
			q.cover("DHCPv6 server in the guest")
			return ruleset.ReasonDHCP
		case q.srcPort != 546 || q.dstPort != 547 || q.dst != allDHCP:
			return ruleset.ReasonNone
		case !q.isOwnLinkLocal(q.src):
			q.cover("DHCPv6 from another")
			return ruleset.ReasonSourceAddress
		// Solicit, request, confirm, renew, rebind, release, decline, information-request.
		case len(q.payload) > maxDHCP || len(q.payload) < 12 || !slices.Contains([]byte{1, 3, 4, 5, 6, 8, 9, 11}, q.payload[8]):
			q.cover("DHCPv6 that is no client's")
			return ruleset.ReasonDHCP
		}
		q.cover("DHCPv6 from the guest")
		return ruleset.ReasonLink
	}
	switch {
	case q.srcPort == 67 || q.dstPort == 68:
		q.cover("DHCP server in the guest")
		return ruleset.ReasonDHCP
	case q.srcPort != 68 || q.dstPort != 67 || q.dst != everybody4 && !q.router(q.dst):
		return ruleset.ReasonNone // the rules decide about other servers
	case !q.src.IsUnspecified() && !q.own(q.src):
		q.cover("DHCP from another")
		return ruleset.ReasonSourceAddress
	case len(q.payload) > maxDHCP || !q.bootp(1):
		q.cover("DHCP that is no client's")
		return ruleset.ReasonDHCP
	}
	q.cover("DHCP from the guest")
	return ruleset.ReasonLink
}

func (q *question) dhcpToGuest() ruleset.Reason {
	if q.src.Is6() {
		switch {
		case q.srcPort != 547 || q.dstPort != 546 || !onLink.Contains(q.src):
			return ruleset.ReasonNone
		case !q.isOwnLinkLocal(q.dst):
			q.cover("DHCPv6 for another")
			return ruleset.ReasonDestinationAddress
		case len(q.payload) < 12 || !slices.Contains([]byte{2, 7, 10}, q.payload[8]): // advertise, reply, reconfigure
			q.cover("DHCPv6 that is no server's")
			return ruleset.ReasonDHCP
		}
		q.cover("DHCPv6 to the guest")
		return ruleset.ReasonLink
	}
	switch {
	case q.srcPort != 67 || q.dstPort != 68 || !q.router(q.src):
		return ruleset.ReasonNone
	case q.dst != everybody4 && !q.own(q.dst):
		q.cover("DHCP for another")
		return ruleset.ReasonDestinationAddress
	case !q.bootp(2):
		q.cover("DHCP that is no server's")
		return ruleset.ReasonDHCP
	}
	q.cover("DHCP to the guest")
	return ruleset.ReasonLink
}

// bootp says whether the message is of that operation, and about the interface's MAC (RFC 951).
func (q *question) bootp(operation byte) bool {
	return len(q.payload) >= 8+28+6 && q.payload[8] == operation && [6]byte(q.payload[36:42]) == [6]byte(q.eni.MAC)
}

var (
	nowhere4 = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}
	nowhere6 = []netip.Prefix{netip.MustParsePrefix("::/128"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("::ffff:0:0/96")}
	// Where nothing that leaves a guest can go.
	unreachable = append([]netip.Prefix{
		netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"),
	}, nowhere4...)
)

func in(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func isLinkLocal(a netip.Addr) bool { return onLink.Contains(a) || in(platform, a) }

func isMany(a netip.Addr) bool { return a.IsMulticast() || a == everybody4 }

func isNobody(a netip.Addr) bool { return isMany(a) || in(nowhere4, a) || in(nowhere6, a) }

// addresses judges what a VPC does not carry, and whose the guest's end is.
func (q *question) addresses() ruleset.Reason {
	checked := q.eni.SourceDestCheck
	switch {
	case (isLinkLocal(q.src) || isLinkLocal(q.dst)) && q.isService():
		q.cover("service of the platform in its own range")
		return ruleset.ReasonPlatform
	case isLinkLocal(q.src) || isLinkLocal(q.dst):
		q.cover("link-local")
		return ruleset.ReasonLinkLocal
	case q.fromGuest() && isNobody(q.src):
		q.cover("from nobody")
		return ruleset.ReasonSourceAddress
	case q.fromGuest() && checked && !q.own(q.src):
		q.cover("from another's address")
		return ruleset.ReasonSourceAddress
	case q.dstMAC[0]&1 != 0 || isMany(q.dst):
		q.cover("to many")
		return ruleset.ReasonMulticast
	case !q.fromGuest() && isNobody(q.src):
		q.cover("to the guest from nobody")
		return ruleset.ReasonSourceAddress
	case q.dst.Is4In6():
		q.cover("to an IPv4 address in IPv6's clothes")
		return ruleset.ReasonDestinationAddress
	case q.fromGuest() && in(unreachable, q.dst):
		q.cover("to nowhere")
		return ruleset.ReasonDestinationAddress
	case !q.fromGuest() && checked && !q.own(q.dst):
		q.cover("to another's address")
		return ruleset.ReasonDestinationAddress
	}
	if !checked {
		q.cover("not checked")
	}
	return ruleset.ReasonNone
}
