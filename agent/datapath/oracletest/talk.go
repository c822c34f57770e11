package oracletest

import (
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// talk is a conversation of a guest, as its two ends see it.
type talk struct {
	eni           vpc.InterfaceID
	mac           vpc.MAC
	local, remote netip.Addr
	protocol      uint8
	ports         [2]uint16 // local, remote
	id            uint16    // ICMP
	request       uint8     // ICMP
	byGuest       bool
	phase         int
	seq           [2]uint32 // by direction: what comes next
}

func (s *sequence) talk() *talk {
	if len(s.talks) > 0 && s.chance(93) {
		return pick(s.random, s.talks[max(0, len(s.talks)-30):])
	}
	e := s.eni(pick(s.random, Interfaces))
	v6 := s.chance(50)
	t := &talk{
		eni: e.ID, mac: e.MAC, local: s.at(e, v6), byGuest: s.chance(50), id: uint16(s.IntN(4)),
		ports: [2]uint16{pick(s.random, []uint16{22, 80, 443, 53, 1000}), pick(s.random, []uint16{1000, 4000, 53, 80, 65535})},
		seq:   [2]uint32{s.Uint32(), s.Uint32()},
	}
	v6 = t.local.Is6()
	t.remote = s.other(v6)
	if s.chance(19) {
		t.ports[1] = pick(s.random, []uint16{53, 80})
		for t.remote = pick(s.random, services); t.remote.Is6() != v6; {
			t.remote = pick(s.random, services)
		}
	}
	if !e.SourceDestCheck && s.chance(30) {
		t.local = s.other(v6)
	}
	switch s.IntN(12) {
	case 0, 1, 2, 3, 4:
		t.protocol = protocolTCP
	case 5, 6, 7:
		t.protocol = protocolUDP
	case 8, 9, 10:
		t.protocol, t.request = protocolICMP, pick(s.random, []uint8{8, 8, 8, 13, 15, 17})
		if v6 {
			t.protocol, t.request = protocolICMPv6, 128
		}
	default:
		t.protocol = pick(s.random, []uint8{47, 50, 51, 132, 2, 255, 4, 41})
	}
	s.talks = append(s.talks, t)
	return t
}

// conversation sends the next packet of a talk, or one that does not come next.
func (s *sequence) conversation() Step {
	t := s.talk()
	d := s.direction()
	if t.phase == 0 || s.chance(30) {
		d = ruleset.Ingress
		if t.byGuest {
			d = ruleset.Egress
		}
	}
	p := s.say(t, &d)
	if s.chance(4) && p.src.Is4() {
		p.options = pick(s.random, [][]byte{
			{1, 1, 1, 0},
			{148, 4, 0, 0},
			{7, 7, 4, 0, 0, 0, 0, 0},
			{0, 131, 7, 4},
			{131, 7, 4, 1, 2, 3, 4, 0},
			{137, 3, 4, 1},
			{7, 0, 0, 0},
			{7, 1, 1, 1},
			{7, 5, 0, 0},
			{1, 1, 1, 7},
			{148, 4, 0, 0, 131, 3, 4, 0},
			append(slices.Repeat([]byte{1}, 36), 148, 4, 0, 0),
		})
	}
	if s.chance(2) && p.src.Is4() {
		p.fragment = pick(s.random, []uint16{0x4000, 0x8000, 0x2000, 0x2001, 1, 0x1fff, 0x3000})
	}
	if s.chance(22) && p.src.Is6() {
		p.first, p.headers = s.headers(p.protocol)
	}
	if s.chance(6) {
		return s.fragmented(t, d, p)
	}
	return s.framed(t, d, p)
}

// framed puts a talk's packet on the wire.
func (s *sequence) framed(t *talk, d ruleset.Direction, p datagram) Step {
	src, dst := routerMAC, t.mac
	if d == ruleset.Egress {
		src, dst = dst, src
	}
	switch s.IntN(150) {
	case 0:
		src = otherMAC
	case 1:
		dst = everyMAC
	case 2:
		dst = vpc.MAC{0x33, 0x33, 0, 0, 0, 1}
	}
	frame := ethernet(src, dst, p.etherType(), p.bytes())
	if s.chance(5) {
		frame = append(frame, make([]byte, s.IntN(40))...)
	}
	return Step{ENI: t.eni, Direction: d, Frame: frame}
}

// say is what one side of a talk says next.
func (s *sequence) say(t *talk, d *ruleset.Direction) datagram {
	data := make([]byte, s.IntN(3)*8)
	message := func() []byte {
		switch t.protocol {
		case protocolTCP:
			return s.segment(t, d, data)
		case protocolUDP:
			t.phase++
			if *d == ruleset.Egress {
				return udpDatagram(t.ports[0], t.ports[1], data)
			}
			return udpDatagram(t.ports[1], t.ports[0], data)
		case protocolICMP, protocolICMPv6:
			return s.query(t, *d, data)
		}
		t.phase++
		return data
	}()
	p := datagram{src: t.remote, dst: t.local, protocol: t.protocol, payload: message}
	if *d == ruleset.Egress {
		p.src, p.dst = t.local, t.remote
	}
	return p
}

// query asks, answers, or says something else by ICMP.
func (s *sequence) query(t *talk, d ruleset.Direction, data []byte) []byte {
	t.phase++
	kind, code := t.request, uint8(0)
	if (d == ruleset.Egress) != t.byGuest {
		kind = t.request + 1
		if t.request == 8 {
			kind = 0
		}
	}
	switch s.IntN(40) {
	case 0:
		code = 1
	case 1:
		kind = byte(s.Uint32())
	case 2, 3:
		kind, code = pick(s.random, []byte{1, 2, 3, 4, 5, 9, 10, 11, 12, 100, 127, 200}), byte(s.IntN(5))
	case 4:
		t.byGuest = !t.byGuest
	}
	return icmpMessage(kind, code, t.id, uint16(s.IntN(4)), data)
}

// segment is what one side of a TCP connection sends next, with numbers that are right, near or wrong.
func (s *sequence) segment(t *talk, d *ruleset.Direction, data []byte) []byte {
	opener, answerer := ruleset.Ingress, ruleset.Egress
	if t.byGuest {
		opener, answerer = answerer, opener
	}
	flags := uint8(flagACK)
	switch {
	case s.chance(68):
		switch t.phase {
		case 0:
			*d, flags = opener, flagSYN
			t.phase++
		case 1:
			*d, flags = answerer, flagSYN|flagACK
			t.phase++
		case 2:
			*d = opener
			t.phase++
		default:
			if s.chance(20) {
				flags = pick(s.random, []uint8{flagFIN | flagACK, flagFIN | flagACK, flagRST, flagRST | flagACK})
				t.phase++
			}
			if s.chance(28) { // amid it all
				*d, flags = opener, flagSYN
			}
			if t.phase > 8 && s.chance(50) {
				t.phase = 0
			}
		}
	case s.chance(50):
		flags = pick(s.random, []uint8{flagSYN, flagSYN, flagSYN | flagACK, flagACK, flagFIN | flagACK, flagFIN, flagRST, flagRST | flagACK})
	default:
		flags = byte(s.Uint32())
	}
	seq, ack := t.seq[*d], t.seq[1-*d]
	off := []uint32{
		1, 2, resetNear - 1, resetNear, resetNear + 1, finishNear - 1, finishNear, finishNear + 1, 1000, 1 << 20, 1 << 31, s.Uint32(),
	}
	often := 12
	if flags&(flagFIN|flagRST) != 0 {
		often = 40
	}
	if s.chance(often) {
		seq += pick(s.random, off) * pick(s.random, []uint32{1, ^uint32(0)})
	}
	if s.chance(often) {
		ack += pick(s.random, off) * pick(s.random, []uint32{1, ^uint32(0)})
	}
	if s.chance(2) {
		ack = 0
	}
	if s.chance(80) {
		t.seq[*d] += uint32(len(data))
		if flags&(flagSYN|flagFIN) != 0 {
			t.seq[*d]++
		}
	}
	srcPort, dstPort := t.ports[0], t.ports[1]
	if *d == ruleset.Ingress {
		srcPort, dstPort = dstPort, srcPort
	}
	return tcpSegment(srcPort, dstPort, seq, ack, flags, data)
}
