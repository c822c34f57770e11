package hostiletest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// Frame is what a sender with a packet socket hands to its NIC.
type Frame struct {
	Data []byte // from the Ethernet header on, without a checksum at its end

	// Unless both are 0, somebody on the way is asked to write the Internet checksum of what begins at
	// Start into the two bytes that stand Offset further on. Source: struct virtio_net_hdr.
	Start, Offset uint16
}

// Header is the frame's struct virtio_net_hdr, which precedes it on a socket with PACKET_VNET_HDR.
func (f Frame) Header() []byte {
	const needsChecksum = 1
	h := make([]byte, 10)
	if f.Start != 0 || f.Offset != 0 {
		h[0] = needsChecksum
		binary.NativeEndian.PutUint16(h[6:], f.Start)
		binary.NativeEndian.PutUint16(h[8:], f.Offset)
	}
	return h
}

func ethernet(src, dst vpc.MAC, etherType uint16, payload ...byte) Frame {
	b := slices.Concat(dst[:], src[:])
	return Frame{Data: append(binary.BigEndian.AppendUint16(b, etherType), payload...)}
}

// packet is an IP packet, or a part of one.
type packet struct {
	src, dst         netip.Addr
	protocol         uint8
	srcPort, dstPort uint16 // TCP and UDP
	flags            uint8  // TCP
	kind, code       uint8  // ICMP
	data             []byte // behind the protocol's header, and alone with protocols not named here
	raw              []byte // instead of all that

	hops     uint8    // 0: 64
	id       uint16   // IPv4
	fragment uint16   // IPv4: flags and offset in units of 8 bytes
	options  []byte   // IPv4
	headers  []header // IPv6: extension headers

	from, to int // to is not 0: only these bytes behind the IP headers
}

// header is an IPv6 extension header. Its first byte becomes the number of the next one.
type header struct {
	kind uint8
	body []byte
}

const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
)

// bytes are the packet with right lengths and checksums.
func (p packet) bytes() []byte {
	body := p.body()
	if p.to != 0 {
		body = body[p.from:p.to]
	}
	if p.hops == 0 {
		p.hops = 64
	}
	if p.src.Is4() {
		b := []byte{0x40 | byte(5+len(p.options)/4), 0}
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(p.options)+len(body)))
		b = binary.BigEndian.AppendUint16(b, p.id)
		b = binary.BigEndian.AppendUint16(b, p.fragment)
		b = append(b, p.hops, p.protocol, 0, 0)
		b = slices.Concat(b, p.src.AsSlice(), p.dst.AsSlice(), p.options)
		binary.BigEndian.PutUint16(b[10:], checksum(b))
		return append(b, body...)
	}
	next := p.protocol
	for _, h := range slices.Backward(p.headers) {
		h.body = bytes.Clone(h.body)
		h.body[0] = next
		body = append(h.body, body...)
		next = h.kind
	}
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(body)))
	return slices.Concat(b, []byte{next, p.hops}, p.src.AsSlice(), p.dst.AsSlice(), body)
}

// body is the protocol's header and data.
func (p packet) body() []byte {
	if p.raw != nil {
		return p.raw
	}
	var b []byte
	at := -1 // of the checksum
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.srcPort), p.dstPort)
	switch p.protocol {
	case unix.IPPROTO_TCP:
		b, at = append(ports, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, p.flags, 1, 0, 0, 0, 0, 0), 16
	case unix.IPPROTO_UDP:
		b, at = append(binary.BigEndian.AppendUint16(ports, uint16(8+len(p.data))), 0, 0), 6
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b, at = []byte{p.kind, p.code, 0, 0, 0, 7, 0, 1}, 2
	}
	b = append(b, p.data...)
	if at < 0 {
		return b
	}
	var pseudo []byte
	if p.protocol != unix.IPPROTO_ICMP {
		pseudo = slices.Concat(p.src.AsSlice(), p.dst.AsSlice())
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
		pseudo = append(pseudo, 0, 0, 0, p.protocol)
	}
	binary.BigEndian.PutUint16(b[at:], checksum(append(pseudo, b...)))
	return b
}

// checksum is the Internet checksum. Source: RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// IsSound reports whether the checksum of a frame with a TCP segment over IPv4, without options, is right.
func IsSound(frame []byte) bool {
	segment := frame[34:]
	pseudo := append(bytes.Clone(frame[26:34]), 0, unix.IPPROTO_TCP)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(segment)))
	return checksum(append(pseudo, segment...)) == 0
}

// with returns a changed copy.
func (p packet) with(change func(*packet)) packet {
	change(&p)
	return p
}

// between is the packet in a frame.
func (p packet) between(src, dst vpc.MAC) Frame {
	etherType := uint16(unix.ETH_P_IP)
	if p.src.Is6() {
		etherType = unix.ETH_P_IPV6
	}
	return ethernet(src, dst, etherType, p.bytes()...)
}

// out is the packet as the guest sends it to its router, or to a group; in as it comes from there.
func (p packet) out() Frame { return p.between(MAC, groupMAC(p.dst, routerMAC)) }
func (p packet) in() Frame  { return p.between(routerMAC, groupMAC(p.dst, MAC)) }

// groupMAC is where frames for an address go, if it is one for many.
func groupMAC(a netip.Addr, otherwise vpc.MAC) vpc.MAC {
	switch b := a.AsSlice(); {
	case a == limited4:
		return broadcast
	case a.Is4() && a.IsMulticast():
		return vpc.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	case a.IsMulticast():
		return vpc.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
	}
	return otherwise
}

// mangled is the frame after a change of its bytes.
func (f Frame) mangled(change func([]byte) []byte) Frame {
	f.Data = change(bytes.Clone(f.Data))
	return f
}

// set puts a byte.
func set(at int, value byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = value; return b }
}

// cut shortens, pad lengthens.
func cut(length int) func([]byte) []byte { return func(b []byte) []byte { return b[:length] } }

func pad(n int) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, make([]byte, n)...) }
}

func tcp(src, dst netip.Addr, dstPort uint16, flags uint8) packet {
	return packet{src: src, dst: dst, protocol: unix.IPPROTO_TCP, srcPort: 4242, dstPort: dstPort, flags: flags}
}

func udp(src, dst netip.Addr, dstPort uint16, data ...byte) packet {
	return packet{src: src, dst: dst, protocol: unix.IPPROTO_UDP, srcPort: 4242, dstPort: dstPort, data: data}
}

func icmp(src, dst netip.Addr, kind, code uint8, data ...byte) packet {
	p := packet{src: src, dst: dst, protocol: unix.IPPROTO_ICMP, kind: kind, code: code, data: data}
	if src.Is6() {
		p.protocol = unix.IPPROTO_ICMPV6
	}
	return p
}

// other is a packet of a protocol that has no ports.
func other(protocol uint8, src, dst netip.Addr, data ...byte) packet {
	return packet{src: src, dst: dst, protocol: protocol, data: data}
}

// nd is a message of neighbour discovery, about target unless that is invalid.
func nd(kind uint8, src, dst, target netip.Addr, options ...byte) packet {
	p := icmp(src, dst, kind, 0, append(target.AsSlice(), options...)...)
	p.hops = 255
	return p
}

// Options of neighbour discovery with a link-layer address.
const (
	sourceMAC = 1
	targetMAC = 2
)

func option(kind byte, m vpc.MAC) []byte { return append([]byte{kind, 1}, m[:]...) }

// arp is an ARP message; op 1 asks, 2 answers.
func arp(op byte, ethSrc, ethDst, sender vpc.MAC, senderIP, targetIP netip.Addr) Frame {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, sender[:]...)
	return ethernet(ethSrc, ethDst, unix.ETH_P_ARP, slices.Concat(b, senderIP.AsSlice(), make([]byte, 6), targetIP.AsSlice())...)
}

// bootp is a DHCP message about a client's MAC: 1 of a client, 2 of a server.
func bootp(op byte, src, dst netip.Addr, srcPort, dstPort uint16, client vpc.MAC) packet {
	p := udp(src, dst, dstPort, make([]byte, 240)...)
	p.srcPort, p.data[0] = srcPort, op
	copy(p.data[28:], client[:])
	return p
}

// solicited is the solicited-node address of a.
func solicited(a netip.Addr) netip.Addr {
	b := netip.MustParseAddr("ff02::1:ff00:0").As16()
	from := a.As16()
	copy(b[13:], from[13:])
	return netip.AddrFrom16(b)
}

// Extension headers that say nothing: 8 bytes, a PadN of 4.
func padding(kind uint8) header { return header{kind, []byte{0, 0, 1, 4, 0, 0, 0, 0}} }

// routing is a routing header of a type, with one address to go.
func routing(kind uint8, to netip.Addr) header {
	return header{unix.IPPROTO_ROUTING, append([]byte{0, 2, kind, 1, 0, 0, 0, 0}, to.AsSlice()...)}
}

// piece is a fragment header; at is in units of 8 bytes.
func piece(id byte, at uint16, more bool) header {
	offset := at << 3
	if more {
		offset |= 1
	}
	return header{unix.IPPROTO_FRAGMENT, append(binary.BigEndian.AppendUint16([]byte{0, 0}, offset), 0, 0, 0, id)}
}
