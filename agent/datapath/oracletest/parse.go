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
	routerAlert      bool   // IPv6: a hop-by-hop header with a router alert of MLD, and nothing else
	srcPort, dstPort uint16
	icmpType         uint8
	icmpCode         uint8
	icmpID           uint16
	flags            uint8 // TCP
	sequence, ack    uint32
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
	if fragment := binary.BigEndian.Uint16(b[6:]); fragment&0x3fff != 0 {
		q.cover("IPv4 fragment")
		return ruleset.ReasonFragment
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
	if q.protocol == protocolHopByHop {
		if len(q.payload) < 8 {
			q.cover("hop-by-hop header that is cut off")
			return ruleset.ReasonMalformed
		}
		switch [8]byte(q.payload) {
		case [8]byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0}, [8]byte{protocolICMPv6, 0, 5, 2, 0, 0, 0, 0}:
			q.routerAlert, q.protocol, q.payload = true, protocolICMPv6, q.payload[8:]
		default:
			q.cover("hop-by-hop header")
			return ruleset.ReasonExtensionHeader
		}
	}
	switch q.protocol {
	case protocolFragment:
		q.cover("IPv6 fragment")
		return ruleset.ReasonFragment
	case protocolHopByHop, protocolRouting, protocolOptions, protocolMobility, protocolHIP, protocolShim6:
		q.cover("extension header")
		return ruleset.ReasonExtensionHeader
	}
	return q.transport()
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
		q.ports(b)
		q.sequence, q.ack, q.flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
	case protocolUDP:
		if len(b) < 8 {
			q.cover("short UDP header")
			return ruleset.ReasonMalformed
		}
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
		q.icmpType, q.icmpCode, q.icmpID = b[0], b[1], binary.BigEndian.Uint16(b[4:])
	default:
		q.cover("other protocol")
	}
	return ruleset.ReasonNone
}

func (q *question) ports(b []byte) {
	q.srcPort, q.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}
