package oracletest

import (
	"encoding/binary"
	"net/netip"

	"github.com/sallyport/sallyport/ruleset"
)

// Numbers of IANA, by their own names.
const (
	protocolHopByHop = 0
	protocolICMP     = 1
	protocolTCP      = 6
	protocolUDP      = 17
	protocolRouting  = 43
	protocolFragment = 44
	protocolICMPv6   = 58
	protocolOptions  = 60
	protocolMobility = 135
	protocolHIP      = 139
	protocolShim6    = 140

	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// packet is what is read from a frame.
type packet struct {
	etherType        uint16
	srcMAC, dstMAC   [6]byte
	src, dst         netip.Addr
	protocol         uint8
	hopLimit         uint8
	length           int    // of the IP packet, as its header says
	payload          []byte // behind the IP headers, up to that length
	extended         bool   // IPv6: there are extension headers
	routerAlert      bool   // … a hop-by-hop header with a router alert of MLD, and nothing else
	part             part
	fragmentID       uint32
	offset           int    // of a fragment, in bytes
	before           []byte // of a first fragment: all that it carries, where payload may begin later
	header           int    // bytes of payload that are the protocol's header, where that is known
	srcPort, dstPort uint16
	icmpType         uint8
	icmpCode         uint8
	icmpID           uint16
	flags            uint8 // TCP
	sequence, ack    uint32
}

// part is which part of an IP packet a packet is.
type part uint8

const (
	whole part = iota
	first      // with the headers
	later      // without
)

func (q *question) partOf(id uint32, offset int) {
	q.part, q.fragmentID, q.offset, q.before = first, id, offset, q.payload
	if offset != 0 {
		q.part = later
	}
}

// ethernet reads the frame from its first byte.
func (q *question) ethernet() ruleset.Reason {
	if len(q.frame) < 14 {
		q.cover("short frame")
		return ruleset.ReasonMalformed
	}
	copy(q.dstMAC[:], q.frame[0:6])
	copy(q.srcMAC[:], q.frame[6:12])
	q.etherType = binary.BigEndian.Uint16(q.frame[12:])
	if q.fromGuest() && q.srcMAC != q.eni.MAC {
		q.cover("another MAC")
		return ruleset.ReasonSourceMAC
	}
	switch q.etherType {
	case typeARP:
		return q.arp(q.frame[14:])
	case typeIPv4:
		return q.ipv4(q.frame[14:])
	case typeIPv6:
		return q.ipv6(q.frame[14:])
	}
	q.cover("other Ethernet type")
	return ruleset.ReasonEtherType
}

// ipv4 reads RFC 791's header.
func (q *question) ipv4(b []byte) ruleset.Reason {
	if len(b) < 20 {
		q.cover("short IPv4 header")
		return ruleset.ReasonMalformed
	}
	header := int(b[0]&0x0f) * 4
	q.length = int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]>>4 != 4:
		q.cover("IPv4 of another version")
		return ruleset.ReasonMalformed
	case header < 20 || q.length < header:
		q.cover("IPv4 header that contradicts itself")
		return ruleset.ReasonMalformed
	case q.length > len(b):
		q.cover("IPv4 packet that is cut off")
		return ruleset.ReasonMalformed
	case !q.wellFormedOptions(b[20:header]):
		return ruleset.ReasonMalformed
	}
	q.src, q.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	q.hopLimit, q.protocol = b[8], b[9]
	q.payload = b[header:q.length]
	if field := binary.BigEndian.Uint16(b[6:]); field&0x3fff != 0 {
		q.partOf(uint32(binary.BigEndian.Uint16(b[4:])), int(field&0x1fff)*8)
		if q.part == later {
			q.cover("IPv4 fragment")
			return ruleset.ReasonNone
		}
		q.cover("first IPv4 fragment")
	}
	return q.transport()
}

// wellFormedOptions says whether IPv4's options can be read to their end and hold no source route.
func (q *question) wellFormedOptions(b []byte) bool {
	for len(b) > 0 {
		switch {
		case b[0] == 0: // end
			q.cover("IPv4 options with an end")
			return true
		case b[0] == 1: // no operation
			b = b[1:]
		case b[0] == 131 || b[0] == 137: // loose, strict
			q.cover("source route")
			return false
		case len(b) < 2 || b[1] < 2 || int(b[1]) > len(b):
			q.cover("IPv4 options that contradict themselves")
			return false
		default:
			q.cover("IPv4 option")
			b = b[b[1]:]
		}
	}
	return true
}

// ipv6 reads RFC 8200's header and those that follow it.
func (q *question) ipv6(b []byte) ruleset.Reason {
	if len(b) < 40 {
		q.cover("short IPv6 header")
		return ruleset.ReasonMalformed
	}
	q.length = 40 + int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case b[0]>>4 != 6:
		q.cover("IPv6 of another version")
		return ruleset.ReasonMalformed
	case q.length > len(b):
		q.cover("IPv6 packet that is cut off")
		return ruleset.ReasonMalformed
	}
	q.protocol, q.hopLimit = b[6], b[7]
	q.src, q.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	q.payload = b[40:q.length]
	if isExtension(q.protocol) {
		if reason := q.extensions(); reason != ruleset.ReasonNone || q.part == later {
			return reason
		}
	}
	return q.transport()
}

// What is walked past before the header that a rule names. docs/limits.md, "What a packet may be".
const (
	maxExtensions     = 8
	maxExtensionBytes = 256
	maxIPv6Options    = 16 // in one header
)

func isExtension(kind uint8) bool {
	switch kind {
	case protocolHopByHop, protocolRouting, protocolFragment, protocolOptions, protocolMobility, protocolHIP, protocolShim6:
		return true
	}
	return false
}

// extensions walks over the extension headers of RFC 8200.
func (q *question) extensions() ruleset.Reason {
	q.extended = true
	if len(q.payload) >= 8 {
		switch [8]byte(q.payload) {
		case [8]byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0}, [8]byte{protocolICMPv6, 0, 5, 2, 0, 0, 0, 0}:
			q.routerAlert = q.protocol == protocolHopByHop
		}
	}
	protocol, rest, fragment, reason := q.walk(q.protocol, q.payload)
	q.protocol, q.payload = protocol, rest
	if fragment.is && (fragment.offset != 0 || fragment.more) {
		q.partOf(fragment.id, fragment.offset)
		q.before = fragment.before
		if q.part == later {
			q.cover("IPv6 fragment")
		} else {
			q.cover("first IPv6 fragment")
			if reason == ruleset.ReasonNone && len(rest) != len(fragment.before) {
				q.cover("headers in a fragment")
				return ruleset.ReasonFragment
			}
		}
	} else if fragment.is {
		q.cover("fragment that is whole")
	}
	return reason
}

// fragmentHeader is what IPv6's says.
type fragmentHeader struct {
	is     bool
	id     uint32
	offset int // in bytes
	more   bool
	before []byte // what follows it, up to the end of the packet
}

// walk goes from a header of that kind to the first one that is no extension header, or to what follows the
// fragment header of a fragment that is not the first.
func (q *question) walk(kind uint8, b []byte) (protocol uint8, rest []byte, f fragmentHeader, reason ruleset.Reason) {
	walked := 0
	for n := 0; isExtension(kind); n++ {
		if len(b) < 8 {
			q.cover("extension header that is cut off")
			return kind, b, f, ruleset.ReasonMalformed
		}
		length := 8 * (int(b[1]) + 1)
		switch kind {
		case protocolFragment:
			if f.is {
				q.cover("two fragment headers")
				return kind, b, f, ruleset.ReasonExtensionHeader
			}
			length = 8
			field := binary.BigEndian.Uint16(b[2:])
			f = fragmentHeader{is: true, id: binary.BigEndian.Uint32(b[4:]), offset: int(field &^ 7), more: field&1 != 0, before: b[8:]}
		case protocolHopByHop:
			if n != 0 {
				q.cover("hop-by-hop header that is not the first")
				return kind, b, f, ruleset.ReasonExtensionHeader
			}
		case protocolRouting:
			if b[3] != 0 {
				q.cover("routing header with somewhere to go")
				return kind, b, f, ruleset.ReasonExtensionHeader
			}
		case protocolMobility, protocolHIP, protocolShim6:
			if b[0] != 59 { // no next header
				q.cover("extension header that says too much")
				return kind, b, f, ruleset.ReasonExtensionHeader
			}
			q.cover("extension header that is the protocol")
			return kind, b, f, ruleset.ReasonNone
		}
		if length > len(b) {
			q.cover("extension header longer than the packet")
			return kind, b, f, ruleset.ReasonMalformed
		}
		if walked += length; walked > maxExtensionBytes || n == maxExtensions {
			q.cover("too many extension headers")
			return kind, b, f, ruleset.ReasonExtensionHeader
		}
		if (kind == protocolHopByHop || kind == protocolOptions) && !q.wellFormedIPv6Options(b[2:length]) {
			q.cover("IPv6 options that may not be")
			return kind, b, f, ruleset.ReasonExtensionHeader
		}
		q.cover("extension header")
		kind, b = b[0], b[length:]
		if f.offset != 0 {
			break
		}
	}
	return kind, b, f, ruleset.ReasonNone
}

// wellFormedIPv6Options says whether the options can be read to their end, and none of them says another
// length (RFC 2675) or another sender (RFC 6275).
func (q *question) wellFormedIPv6Options(b []byte) bool {
	for n := 0; len(b) > 0; n++ {
		switch {
		case n == maxIPv6Options:
			return false
		case b[0] == 0: // Pad1
			b = b[1:]
		case b[0] == 194 || b[0] == 201 || len(b) < 2 || len(b) < 2+int(b[1]):
			return false
		default:
			b = b[2+int(b[1]):]
		}
	}
	return true
}

// transport reads the ports, or what stands for them.
func (q *question) transport() ruleset.Reason {
	b := q.payload
	switch q.protocol {
	case protocolTCP:
		if len(b) < 20 {
			q.cover("short TCP header")
			return ruleset.ReasonMalformed
		}
		if header := int(b[12]>>4) * 4; header < 20 || header > len(b) {
			q.cover("TCP header that contradicts itself")
			return ruleset.ReasonMalformed
		}
		q.header = int(b[12]>>4) * 4
		q.ports(b)
		q.sequence, q.ack, q.flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
	case protocolUDP:
		if len(b) < 8 {
			q.cover("short UDP header")
			return ruleset.ReasonMalformed
		}
		q.header = 8
		q.ports(b)
	case protocolICMP, protocolICMPv6:
		if (q.protocol == protocolICMPv6) != q.src.Is6() {
			q.cover("ICMP of the other family")
			return ruleset.ReasonMalformed
		}
		if len(b) < 8 {
			q.cover("short ICMP header")
			return ruleset.ReasonMalformed
		}
		q.header = 8
		q.icmpType, q.icmpCode, q.icmpID = b[0], b[1], binary.BigEndian.Uint16(b[4:])
		if q.isICMPError() && q.part != whole {
			q.cover("ICMP error in fragments")
			return ruleset.ReasonFragment
		}
	default:
		q.cover("other protocol")
	}
	return ruleset.ReasonNone
}

func (q *question) ports(b []byte) {
	q.srcPort, q.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}
