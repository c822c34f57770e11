package datapath_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// frame is an Ethernet frame with an IP packet, unless payload says all that follows the addresses.
type frame struct {
	what             string // for messages
	srcMAC, dstMAC   vpc.MAC
	etherType        uint16 // 0: by the family of src
	src, dst         netip.Addr
	protocol         uint8
	srcPort, dstPort uint16
	flags            uint8  // TCP
	icmpType, code   uint8  // and id in srcPort
	records          uint16 // ICMP's last two bytes
	data             []byte // after the protocol's header; alone if it has none
	hopLimit         uint8  // 0: 64
	fragment         uint16 // IPv4's field
	options          []byte // IPv4's, or what stands between an IPv6 header and the protocol's
	next             uint8  // of the IPv6 header, with options
	payload          []byte // instead of IP
	mangle           func([]byte) []byte
}

const (
	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

func (f frame) String() string {
	if f.what != "" {
		return f.what
	}
	return fmt.Sprintf("%s -> %s protocol %d, %d -> %d, type %d, flags %d", f.src, f.dst, f.protocol, f.srcPort, f.dstPort, f.icmpType, f.flags)
}

func (f frame) bytes() []byte {
	if f.srcMAC == (vpc.MAC{}) {
		f.srcMAC = mac
	}
	if f.dstMAC == (vpc.MAC{}) {
		f.dstMAC = routerMAC
	}
	b := append(append([]byte{}, f.dstMAC[:]...), f.srcMAC[:]...)
	if f.etherType == 0 {
		f.etherType = unix.ETH_P_IP
		if f.src.Is6() {
			f.etherType = unix.ETH_P_IPV6
		}
	}
	b = binary.BigEndian.AppendUint16(b, f.etherType)
	if f.payload != nil {
		b = append(b, f.payload...)
	} else {
		b = append(b, f.ip()...)
	}
	if f.mangle != nil {
		b = f.mangle(b)
	}
	return b
}

func (f frame) ip() []byte {
	l4 := f.l4()
	if f.hopLimit == 0 {
		f.hopLimit = 64
	}
	if f.src.Is4() {
		b := []byte{0x40 | byte(5+len(f.options)/4), 0}
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(f.options)+len(l4)))
		b = append(b, 0, 0)
		b = binary.BigEndian.AppendUint16(b, f.fragment)
		b = append(b, f.hopLimit, f.protocol, 0, 0)
		b = append(append(b, f.src.AsSlice()...), f.dst.AsSlice()...)
		return append(append(b, f.options...), l4...)
	}
	next := f.protocol
	if f.options != nil {
		next = f.next
	}
	b := []byte{0x60, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.options)+len(l4)))
	b = append(b, next, f.hopLimit)
	b = append(append(b, f.src.AsSlice()...), f.dst.AsSlice()...)
	return append(append(b, f.options...), l4...)
}

func (f frame) l4() []byte {
	var b []byte
	switch f.protocol {
	case unix.IPPROTO_TCP:
		b = binary.BigEndian.AppendUint16(b, f.srcPort)
		b = binary.BigEndian.AppendUint16(b, f.dstPort)
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, f.flags, 1, 0, 0, 0, 0, 0)
	case unix.IPPROTO_UDP:
		b = binary.BigEndian.AppendUint16(b, f.srcPort)
		b = binary.BigEndian.AppendUint16(b, f.dstPort)
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(f.data)))
		b = append(b, 0, 0)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b = append(b, f.icmpType, f.code, 0, 0)
		b = binary.BigEndian.AppendUint16(b, f.srcPort)
		b = binary.BigEndian.AppendUint16(b, f.records)
	}
	return append(b, f.data...)
}

// with returns a changed copy.
func (f frame) with(what string, change func(*frame)) frame {
	f.what = what
	change(&f)
	return f
}

// reply is the frame that answers f.
func (f frame) reply() frame {
	f.src, f.dst = f.dst, f.src
	f.srcMAC, f.dstMAC = f.dstMAC, f.srcMAC
	switch f.protocol {
	case unix.IPPROTO_ICMP:
		f.icmpType = 0
	case unix.IPPROTO_ICMPV6:
		f.icmpType = 129
	default:
		f.srcPort, f.dstPort = f.dstPort, f.srcPort
	}
	return f
}

// packetFrame is a packet of the rules as a frame.
func packetFrame(p ruleset.Packet, src, dst vpc.MAC, id uint16) frame {
	f := frame{
		srcMAC: src, dstMAC: dst, src: p.Src, dst: p.Dst, protocol: p.Protocol,
		srcPort: p.SrcPort, dstPort: p.DstPort, icmpType: p.ICMPType, code: p.ICMPCode, flags: ack,
	}
	if p.Protocol == unix.IPPROTO_ICMP || p.Protocol == unix.IPPROTO_ICMPV6 {
		f.srcPort = id
	}
	return f
}

func tcp(src, dst netip.Addr, srcPort, dstPort uint16, flags uint8) frame {
	return frame{src: src, dst: dst, protocol: unix.IPPROTO_TCP, srcPort: srcPort, dstPort: dstPort, flags: flags}
}

func udp(src, dst netip.Addr, srcPort, dstPort uint16) frame {
	return frame{src: src, dst: dst, protocol: unix.IPPROTO_UDP, srcPort: srcPort, dstPort: dstPort}
}

func icmp(src, dst netip.Addr, icmpType, code uint8, id uint16) frame {
	f := frame{src: src, dst: dst, protocol: unix.IPPROTO_ICMP, icmpType: icmpType, code: code, srcPort: id}
	if src.Is6() {
		f.protocol = unix.IPPROTO_ICMPV6
	}
	return f
}

// arp is an ARP message; op 1 asks, 2 answers.
func arp(op uint16, senderMAC vpc.MAC, sender, target netip.Addr) frame {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, senderMAC[:]...), sender.AsSlice()...)
	b = append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
	return frame{
		what:   fmt.Sprintf("ARP %d from %s %s for %s", op, senderMAC, sender, target),
		dstMAC: broadcast, etherType: unix.ETH_P_ARP, payload: b,
	}
}

// nd is a neighbour discovery message; target and option may be absent.
func nd(icmpType uint8, src, dst, target netip.Addr, option ...byte) frame {
	f := frame{
		what: fmt.Sprintf("ND %d from %s to %s for %s, option %x", icmpType, src, dst, target, option),
		src:  src, dst: dst, protocol: unix.IPPROTO_ICMPV6, icmpType: icmpType, hopLimit: 255,
	}
	if target.IsValid() {
		f.data = append(f.data, target.AsSlice()...)
	}
	f.data = append(f.data, option...)
	if dst.IsMulticast() {
		d := dst.As16()
		f.dstMAC = vpc.MAC{0x33, 0x33, d[12], d[13], d[14], d[15]}
	}
	return f
}

// lladdr is the option with a link-layer address; kind 1 is the source's, 2 the target's.
func lladdr(kind byte, m vpc.MAC) []byte { return append([]byte{kind, 1}, m[:]...) }

// dhcp is a BOOTP message about a MAC.
func dhcp(op byte, src, dst netip.Addr, srcPort, dstPort uint16, about vpc.MAC) frame {
	f := udp(src, dst, srcPort, dstPort)
	f.what = fmt.Sprintf("DHCP %d from %s:%d to %s:%d about %s", op, src, srcPort, dst, dstPort, about)
	f.data = make([]byte, 240)
	f.data[0] = op
	copy(f.data[28:], about[:])
	if dst == limited4 {
		f.dstMAC = broadcast
	}
	return f
}

// solicited is the solicited-node address of target.
func solicited(target netip.Addr) netip.Addr {
	b := netip.MustParseAddr("ff02::1:ff00:0").As16()
	t := target.As16()
	copy(b[13:], t[13:])
	return netip.AddrFrom16(b)
}

// mld is a message of multicast listener discovery with its router alert: a report of one group in
// version 2, an address in version 1.
func mld(icmpType uint8, src, dst netip.Addr) frame {
	body := make([]byte, 16)
	if icmpType == 143 {
		body = append([]byte{4, 0, 0, 0}, allNodes.AsSlice()...)
	}
	f := nd(icmpType, src, dst, netip.Addr{}, body...)
	f.what = fmt.Sprintf("MLD %d from %s to %s", icmpType, src, dst)
	f.hopLimit, f.options = 1, routerAlert()
	if icmpType == 143 {
		f.records = 1
	}
	return f
}

// dhcpv6 is a DHCPv6 message without options.
func dhcpv6(kind byte, src, dst netip.Addr, srcPort, dstPort uint16) frame {
	f := udp(src, dst, srcPort, dstPort)
	f.what = fmt.Sprintf("DHCPv6 %d from %s to %s", kind, src, dst)
	f.data = []byte{kind, 1, 2, 3}
	return f
}

var (
	zero4    = netip.IPv4Unspecified()
	limited4 = netip.MustParseAddr("255.255.255.255")
	zero6    = netip.IPv6Unspecified()
	allNodes = netip.MustParseAddr("ff02::1")
	routers6 = netip.MustParseAddr("ff02::2")
	mldV2    = netip.MustParseAddr("ff02::16")
	dhcpV6   = netip.MustParseAddr("ff02::1:2")
)

// routerAlert is the hop-by-hop header of MLD messages.
func routerAlert() []byte {
	b, err := hex.DecodeString("3a00050200000100")
	if err != nil {
		panic(err)
	}
	return b
}

// piece is a fragment with these bytes of the payload of a whole packet, which begin at an offset in it.
func piece(src, dst netip.Addr, protocol uint8, id uint32, offset int, more bool, data []byte) frame {
	flag := uint16(0)
	if more {
		flag = 1
	}
	f := frame{
		what: fmt.Sprintf("fragment %d of protocol %d from %s to %s: %d bytes from %d on, more %v", id, protocol, src, dst, len(data), offset, more),
		src:  src, dst: dst, protocol: protocol,
	}
	whole := frame{src: src, dst: dst, protocol: unix.IPPROTO_NONE, data: data}
	if src.Is4() {
		whole.fragment = flag<<13 | uint16(offset/8)
		f.payload = whole.ip()
		f.payload[9] = protocol
		binary.BigEndian.PutUint16(f.payload[4:], uint16(id))
		return f
	}
	whole.next, whole.options = unix.IPPROTO_FRAGMENT, fragmentHeader(protocol, id, offset, more)
	f.payload = whole.ip()
	return f
}

// fragmentHeader is IPv6's.
func fragmentHeader(next uint8, id uint32, offset int, more bool) []byte {
	b := []byte{next, 0, byte(offset >> 8), byte(offset) &^ 7, 0, 0, 0, 0}
	if more {
		b[3] |= 1
	}
	binary.BigEndian.PutUint32(b[4:], id)
	return b
}

// split is a packet in fragments that end at these offsets, and one with the rest.
func (f frame) split(id uint32, ends ...int) (pieces []frame) {
	protocol, payload := f.protocol, f.l4()
	if f.src.Is6() && f.options != nil {
		protocol, payload = f.next, append(bytes.Clone(f.options), payload...)
	}
	from := 0
	for _, end := range append(ends, len(payload)) {
		pieces = append(pieces, piece(f.src, f.dst, protocol, id, from, end < len(payload), payload[from:end]))
		from = end
	}
	return pieces
}

// icmpError is an ICMP error that quotes a packet to its sender, or the first bytes of it.
func icmpError(from netip.Addr, icmpType, code uint8, about frame, bytes int) frame {
	f := icmp(from, about.src, icmpType, code, 0)
	f.what = fmt.Sprintf("ICMP %d/%d from %s to %s about %s", icmpType, code, from, about.src, about)
	f.data = about.payload
	if f.data == nil {
		f.data = about.ip()
	}
	f.data = f.data[:min(bytes, len(f.data))]
	return f
}

// extension is an IPv6 extension header that the next one follows, padded to a multiple of 8 bytes.
func extension(next uint8, body ...byte) []byte {
	b := append([]byte{next, 0}, body...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b)/8 - 1)
	return b
}
