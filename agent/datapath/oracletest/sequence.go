package oracletest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// What a packet is.
const (
	converse   = iota // belongs to a conversation, more or less
	linkLayer         // ARP, neighbour discovery, MLD, DHCP
	odd               // addresses and protocols that make no sense
	spoiled           // one of the above with some bytes changed, cut or appended
	garbage           // nothing
	packetKind        // how many there are
)

// sequence makes up packets that have to do with each other.
type sequence struct {
	random
	hz      uint64
	view    *ruleset.View
	weights [packetKind]int
	talks   []*talk
	pending []Step // fragments that are still to come
}

// while is how long nothing happens: mostly not long, often just up to or past one of the timeouts.
func (s *sequence) while() uint64 {
	if s.chance(50) {
		return 1 + s.Uint64N(3*s.hz)
	}
	seconds := pick(s.random, []uint64{6, 6, 10, 10, 30, 30, 30, 60, 60, 120, 180, 180, 600, 432_000})
	return seconds*s.hz + s.Uint64N(3) - 1
}

func (s *sequence) packet() Step {
	if n := len(s.pending); n > 0 && s.chance(40) {
		at := 0
		if s.chance(20) {
			at = s.IntN(n)
		}
		step := s.pending[at]
		if s.chance(90) {
			s.pending = slices.Delete(s.pending, at, at+1)
		}
		return step
	}
	total := 0
	for _, w := range s.weights {
		total += w
	}
	at, kind := s.IntN(total), 0
	for at >= s.weights[kind] {
		at -= s.weights[kind]
		kind++
	}
	switch kind {
	case linkLayer:
		return s.linkLayer()
	case odd:
		if s.chance(40) {
			return s.icmpError()
		}
		return s.odd()
	case spoiled:
		step := s.conversation()
		if s.chance(40) {
			step = s.linkLayer()
		}
		if s.chance(30) {
			step.Frame = s.shorten(step.Frame)
		} else {
			step.Frame = s.spoil(step.Frame)
		}
		return step
	case garbage:
		step := Step{ENI: pick(s.random, Interfaces), Direction: s.direction()}
		b := make([]byte, 34+s.IntN(60))
		for i := range b {
			b[i] = byte(s.Uint32())
		}
		e := s.eni(step.ENI)
		copy(b[6:], e.MAC[:])
		b[0] &^= byte(s.IntN(2))
		binary.BigEndian.PutUint16(b[12:], pick(s.random, []uint16{typeIPv4, typeIPv6, typeIPv6, typeARP, 0x8100, 0x88a8, 0x88cc, 0x8035, 38, 0x86dc}))
		if s.chance(50) {
			b[14] = pick(s.random, []byte{0x45, 0x46, 0x60, 0x4f})
			binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
		}
		step.Frame = b
		return step
	}
	return s.conversation()
}

func (s *sequence) direction() ruleset.Direction { return ruleset.Direction(s.IntN(2)) }

// eni is the interface as it is, or was.
func (s *sequence) eni(id vpc.InterfaceID) ruleset.ENI {
	if e, ok := s.view.ENIs[id]; ok {
		return e
	}
	at := slices.Index(Interfaces, id)
	return ruleset.ENI{ID: id, MAC: vpc.MAC{2, 0, 0, 0, 0, byte(0x11 + at)}, Addresses: []netip.Addr{own4[0], own6[0]}}
}

// at is an address of an interface, of a family if it has one of that.
func (s *sequence) at(e ruleset.ENI, v6 bool) netip.Addr {
	var own []netip.Addr
	for _, a := range e.Addresses {
		if a.Is6() == v6 {
			own = append(own, a)
		}
	}
	for _, p := range e.Prefixes {
		if p.Addr().Is6() == v6 {
			own = append(own, p.Addr(), p.Addr().Next())
		}
	}
	if own == nil {
		return e.Addresses[0]
	}
	return pick(s.random, own)
}

var someone = slices.Concat(members4, members6, strangers, delegated, own4, own6, []netip.Addr{router4, router6})

// other is an address of a family that is mostly somebody else's.
func (s *sequence) other(v6 bool) netip.Addr {
	for {
		a := pick(s.random, someone)
		if a.Is6() == v6 {
			return a
		}
	}
}

// headers are extension headers before a protocol, as they should be or not.
func (s *sequence) headers(protocol uint8) (first uint8, b []byte) {
	n := 1 + s.IntN(3)
	if s.chance(20) {
		n = 7 + s.IntN(5)
		if s.chance(70) { // nothing wrong but their number
			for range n {
				b = append([]byte{protocol, 0, 1, 4, 0, 0, 0, 0}, b...)
				protocol = protocolOptions
			}
			return protocol, b
		}
	}
	if s.chance(12) {
		a := []byte{protocol, 0, 0, 0, 1, 2, 3, 4}
		return protocolFragment, append([]byte{protocolFragment, 0, 0, 0, 1, 2, 3, 4}, a...)
	}
	next := protocol
	for i := range n {
		kind := pick(s.random, []uint8{protocolOptions, protocolOptions, protocolRouting, protocolHopByHop})
		if i < n-1 && kind == protocolHopByHop && s.chance(80) {
			kind = protocolOptions // it comes first, and we begin at the end
		}
		body := []byte{next, 0, 1, 4, 0, 0, 0, 0}
		switch kind {
		case protocolRouting:
			body = []byte{next, 0, 4, 0, 0, 0, 0, 0}
			if s.chance(45) {
				body[3] = 1
			}
		default:
			switch s.IntN(12) {
			case 0:
				body = []byte{next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			case 1:
				body = []byte{next, 0, 5, 2, 0, 0, byte(s.IntN(2)), 0}
			case 2:
				body = []byte{next, 0, 0, 0, 0, 0, 0, 0}
			case 3:
				body = append([]byte{next, byte(s.IntN(3)), pick(s.random, []byte{194, 201, 1, 5, 0}), byte(s.IntN(8))}, make([]byte, 20)...)
				body = body[:8*(1+int(body[1]))]
			case 4: // many options
				body = append([]byte{next, 3}, make([]byte, 30)...)
				for at := range body[2:] {
					if s.chance(30) {
						body[2+at] = 1
					}
				}
			case 5: // long
				length := s.IntN(20)
				body = append([]byte{next, byte(length), 1, byte(min(255, 8*(length+1)-4))}, make([]byte, 8*(length+1)-4)...)
			}
		}
		switch s.IntN(12) {
		case 0, 4:
			kind, body = pick(s.random, []uint8{protocolMobility, protocolHIP, protocolShim6}), []byte{59, 0, 0, 0, 0, 0, 0, 0}
			if s.chance(50) {
				body[0] = next
			}
		case 1:
			body[1] = byte(s.IntN(256))
		case 2:
			body = body[:1+s.IntN(len(body))]
		case 3:
			kind, body = protocolFragment, []byte{next, 0, 0, 0, 1, 2, 3, byte(s.IntN(4))}
			if s.chance(50) {
				body[3] = pick(s.random, []byte{1, 8, 9, 6})
			}
		}
		b = append(body, b...)
		next = kind
	}
	return next, b
}

// fragmented cuts a packet into pieces, or what could pass for that.
func (s *sequence) fragmented(t *talk, d ruleset.Direction, p datagram) Step {
	whole, protocol := append(p.payload, make([]byte, 8*s.IntN(6))...), p.protocol
	p.fragment, p.id = 0, uint16(s.IntN(6))
	step := 8 * (1 + s.IntN(5))
	if s.chance(60) {
		step = 24 + 8*s.IntN(4)
	}
	var pieces []Step
	piece := func(at, end int) {
		n := p
		field := uint16(at)
		if end < len(whole) {
			field |= 1
		}
		if n.src.Is4() {
			n.fragment = field >> 3
			if field&1 != 0 {
				n.fragment |= 0x2000
			}
		} else {
			header := []byte{protocol, 0, byte(field >> 8), byte(field), 0, 0, 0, byte(p.id)}
			n.first, n.headers = protocolFragment, header
			if at == 0 && p.headers == nil && s.chance(15) {
				n.headers = append(header, protocol, 0, 1, 4, 0, 0, 0, 0)
				n.headers[0] = protocolOptions
			} else if at == 0 && p.headers != nil && s.chance(70) { // some stand behind it
				n.headers = append(slices.Clone(header), p.headers...)
				n.headers[0] = p.first
			} else if s.chance(10) { // or before it
				n.first, n.headers = protocolOptions, append([]byte{protocolFragment, 0, 1, 4, 0, 0, 0, 0}, header...)
			}
		}
		n.payload = whole[min(at, len(whole)):min(end, len(whole))]
		if at >= len(whole) {
			n.payload = make([]byte, 16)
		}
		pieces = append(pieces, s.framed(t, d, n))
	}
	for at := 0; at < max(1, len(whole)); at += step {
		piece(at, at+step)
	}
	switch s.IntN(8) {
	case 0:
		piece(8, len(whole)) // over a header, perhaps
	case 1:
		piece(65528, 1<<16)
	case 2:
		piece(16, 24)
	case 3:
		whole = slices.Clone(whole)
		if len(whole) > 3 {
			whole[3]++ // another port, the same packet
		}
		piece(0, step)
		piece(step, len(whole))
	case 4:
		slices.Reverse(pieces)
	case 5:
		s.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	}
	if len(s.pending) < 40 {
		s.pending = append(s.pending, pieces[1:]...)
	}
	return pieces[0]
}

// icmpError answers a talk's packet with an ICMP error, or with something like one.
func (s *sequence) icmpError() Step {
	t := s.talk()
	d := s.direction()
	about := *t // what is quoted has been said, or not
	went := 1 - d
	quoted := s.say(&about, &went)
	d = 1 - went
	if s.chance(10) {
		quoted.src, quoted.dst = quoted.dst, quoted.src
	}
	if s.chance(5) {
		quoted.fragment = pick(s.random, []uint16{1, 0x2000, 0x4000})
	}
	if s.chance(10) && quoted.src.Is6() {
		quoted.first, quoted.headers = s.headers(quoted.protocol)
	}
	if s.chance(5) && quoted.src.Is4() {
		quoted.options = []byte{1, 1, 1, 0}
	}
	quote := quoted.bytes()
	switch s.IntN(11) {
	case 0:
		quote = quote[:s.IntN(len(quote)+1)]
	case 1:
		quote[s.IntN(min(len(quote), 44))] ^= 1 << s.IntN(8)
	case 2, 3:
		quote = quote[:min(len(quote), 28)]
		if quoted.src.Is6() {
			quote = quoted.bytes()
			quote = quote[:min(len(quote), 48)]
		}
	}
	p := datagram{src: quoted.dst, dst: quoted.src, protocol: protocolICMP}
	kind := pick(s.random, []byte{3, 3, 3, 11, 11, 12, 4, 5})
	if p.src.Is6() {
		p.protocol = protocolICMPv6
		kind = pick(s.random, []byte{1, 1, 2, 2, 3, 4, 5, 100, 127})
	}
	if s.chance(30) && d == ruleset.Ingress { // from somebody on the way
		p.src = s.other(p.src.Is6())
	}
	if s.chance(5) {
		p.dst = s.other(p.src.Is6())
	}
	p.payload = icmpMessage(kind, byte(s.IntN(5)), 0, 1400, quote)
	if s.chance(5) {
		return s.fragmented(t, d, p)
	}
	return s.framed(t, d, p)
}

// odd sends from or to where nobody is, or what no protocol is.
func (s *sequence) odd() Step {
	t := *s.talk()
	d := s.direction()
	for range 1 + s.IntN(2) {
		a := pick(s.random, impossible)
		if s.chance(45) {
			a = netip.AddrFrom16(pick(s.random, own4).As16()) // in IPv6's clothes
		}
		if s.chance(25) {
			a = s.other(t.local.Is6())
		}
		for a.Is6() != t.local.Is6() {
			a = pick(s.random, impossible)
		}
		if s.chance(50) {
			t.remote = a
		} else {
			t.local = a
		}
	}
	if s.chance(10) {
		t.remote = t.local
	}
	p := s.say(&t, &d)
	if s.chance(20) {
		p.protocol = pick(s.random, []byte{protocolICMP, protocolICMPv6, byte(s.Uint32())})
	}
	return s.framed(&t, d, p)
}

// shorten takes the end off an IP packet, whose header agrees.
func (s *sequence) shorten(b []byte) []byte {
	switch binary.BigEndian.Uint16(b[12:]) {
	case typeIPv4:
		header := int(b[14]&15) * 4
		n := min(header+s.IntN(24), len(b)-14)
		binary.BigEndian.PutUint16(b[16:], uint16(n))
		b = b[:14+n]
	case typeIPv6:
		n := min(s.IntN(24), len(b)-54)
		binary.BigEndian.PutUint16(b[18:], uint16(n))
		b = b[:54+n]
	default:
		b = b[:min(len(b), 14+s.IntN(30))]
	}
	if s.chance(30) {
		b = append(b, make([]byte, s.IntN(40))...)
	}
	return b
}

// spoil changes, cuts or lengthens a frame.
func (s *sequence) spoil(b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + s.IntN(3) {
		switch s.IntN(6) {
		case 0, 1:
			at := s.IntN(len(b))
			if s.chance(70) {
				at = min(12+s.IntN(50), len(b)-1)
			}
			b[at] ^= 1 << s.IntN(8)
		case 2:
			b[min(12+s.IntN(50), len(b)-1)] = pick(s.random, []byte{0, 1, 255, byte(s.Uint32())})
		case 3:
			b = b[:max(34, s.IntN(len(b)+1))]
			for len(b) > 0 && s.chance(50) && len(b) < 60 {
				b = append(b, 0)
			}
		case 4:
			b = append(b, make([]byte, s.IntN(100))...)
		case 5: // a length within
			at := 14
			if b[14]>>4 == 4 {
				at = pick(s.random, []int{14, 14 + 20 + 12})
			} else if len(b) > 66 {
				at = pick(s.random, []int{19, 54 + 12})
			}
			if s.chance(10) { // another version
				b[14] ^= 0x10
			} else if at < len(b) {
				b[at] ^= byte(s.Uint32())
				if at == 14 {
					b[at] = b[at]&15 | 0x40
				}
			}
		}
		if len(b) < 34 {
			b = append(b, make([]byte, 34-len(b))...)
		}
	}
	return b
}
