package oracletest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

func ethernet(src, dst vpc.MAC, etherType uint16, payload []byte) []byte {
	b := append(append(make([]byte, 0, 14+len(payload)), dst[:]...), src[:]...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// datagram is an IP packet to be.
type datagram struct {
	src, dst netip.Addr
	protocol uint8
	hopLimit uint8  // 0: 64
	id       uint16 // IPv4
	fragment uint16 // IPv4's field
	options  []byte // IPv4's
	headers  []byte // IPv6's extension headers, whole; their chain ends in protocol
	first    uint8  // type of the first of headers
	payload  []byte
}

func (d datagram) bytes() []byte {
	if d.hopLimit == 0 {
		d.hopLimit = 64
	}
	if d.src.Is4() {
		b := []byte{0x40 | byte(5+len(d.options)/4), 0}
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(d.options)+len(d.payload)))
		b = binary.BigEndian.AppendUint16(b, d.id)
		b = binary.BigEndian.AppendUint16(b, d.fragment)
		b = append(b, d.hopLimit, d.protocol, 0, 0)
		b = append(append(b, d.src.AsSlice()...), d.dst.AsSlice()...)
		return append(append(b, d.options...), d.payload...)
	}
	next := d.protocol
	if d.headers != nil {
		next = d.first
	}
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(d.headers)+len(d.payload)))
	b = append(b, next, d.hopLimit)
	b = append(append(b, d.src.AsSlice()...), d.dst.AsSlice()...)
	return append(append(b, d.headers...), d.payload...)
}

func (d datagram) etherType() uint16 {
	if d.src.Is4() {
		return typeIPv4
	}
	return typeIPv6
}

func tcpSegment(srcPort, dstPort uint16, seq, ack uint32, flags uint8, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	return append(append(b, 5<<4, flags, 1, 0, 0, 0, 0, 0), data...)
}

func udpDatagram(srcPort, dstPort uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	return append(append(b, 0, 0), data...)
}

func icmpMessage(kind, code uint8, id, last uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind, code, 0, 0}, id)
	return append(binary.BigEndian.AppendUint16(b, last), data...)
}

func arpMessage(operation uint16, senderMAC vpc.MAC, sender, target netip.Addr) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1, 8, 0, 6, 4}, operation)
	b = append(append(b, senderMAC[:]...), sender.AsSlice()...)
	return append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

// Describe says in one line what a frame is.
func Describe(frame []byte) string {
	o := New(Limits{}, 1, 0)
	q := &question{Oracle: o, direction: ruleset.Ingress, frame: frame}
	reason := q.ethernet()
	text := fmt.Sprintf("%d bytes, %x > %x type %04x", len(frame), q.srcMAC, q.dstMAC, q.etherType)
	if q.src.IsValid() {
		text = fmt.Sprintf("%d bytes, %x > %x, %s > %s protocol %d", len(frame), q.srcMAC, q.dstMAC, q.src, q.dst, q.protocol)
		switch q.protocol {
		case protocolTCP:
			text += fmt.Sprintf(" ports %d > %d flags %s seq %d ack %d", q.srcPort, q.dstPort, flagNames(q.flags), q.sequence, q.ack)
		case protocolUDP:
			text += fmt.Sprintf(" ports %d > %d", q.srcPort, q.dstPort)
		case protocolICMP, protocolICMPv6:
			text += fmt.Sprintf(" type %d code %d id %d", q.icmpType, q.icmpCode, q.icmpID)
		}
	}
	if reason != ruleset.ReasonNone {
		text += fmt.Sprintf(" (%s) %x", reason, frame[min(14, len(frame)):])
	}
	return text
}

func flagNames(flags uint8) string {
	var b strings.Builder
	for i, c := range "FSRPAUEC" {
		if flags>>i&1 != 0 {
			b.WriteRune(c)
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}
