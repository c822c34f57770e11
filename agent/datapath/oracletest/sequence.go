package oracletest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Case is a host's configurations and what happens to it, made of one number.
type Case struct {
	Seed   uint64
	Limits Limits
	Views  []*ruleset.View
	Steps  []Step // the first applies the first View
}

// Kind is what a step does.
type Kind uint8

// The kinds of steps.
const (
	Send   Kind = iota // a frame arrives at a gate
	Wait               // time passes
	Apply              // a View comes into force
	Detach             // an interface loses its device
	Attach             // … and gets it, or another, with nothing remembered
	Sweep              // the agent reclaims what is past its time
)

// Step is one thing that happens.
type Step struct {
	Kind      Kind
	ENI       vpc.InterfaceID
	Direction ruleset.Direction
	Frame     []byte
	Ticks     uint64
	View      int // index into Views
}

func (s Step) String() string {
	switch s.Kind {
	case Send:
		return fmt.Sprintf("%s of %s: %s", s.Direction, s.ENI[len(s.ENI)-1:], Describe(s.Frame))
	case Wait:
		return fmt.Sprintf("%d ticks pass", s.Ticks)
	case Apply:
		return fmt.Sprintf("view %d comes into force", s.View)
	case Detach:
		return fmt.Sprintf("%s is detached", s.ENI)
	case Attach:
		return fmt.Sprintf("%s is attached anew", s.ENI)
	default:
		return "the agent sweeps"
	}
}

func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, limits %+v\n", c.Seed, c.Limits)
	used := map[int]bool{}
	for _, s := range c.Steps {
		if s.Kind == Apply {
			used[s.View] = true
		}
	}
	for i, v := range c.Views {
		if !used[i] {
			continue
		}
		fmt.Fprintf(&b, "view %d:\n", i)
		for _, id := range Interfaces {
			if e, ok := v.ENIs[id]; ok {
				fmt.Fprintf(&b, "  %s: %+v\n", id, e)
			}
		}
		for _, id := range groups {
			for _, r := range v.Groups[id].Rules {
				fmt.Fprintf(&b, "  %s: rule %d %s egress %v protocol %d %d-%d %s%s%s\n", id, r.Number, r.ID, r.Egress, r.Protocol, r.From, r.To,
					cidrText(r.Peer.CIDR), r.Peer.PrefixList, r.Peer.Group)
			}
		}
		for _, id := range lists {
			if len(v.Lists[id]) > 0 {
				fmt.Fprintf(&b, "  %s: %v\n", id, v.Lists[id])
			}
		}
		for _, id := range slices.Sorted(maps.Keys(v.Members)) {
			fmt.Fprintf(&b, "  member %+v\n", v.Members[id])
		}
	}
	for i, s := range c.Steps {
		fmt.Fprintf(&b, "%4d %s\n", i, s)
	}
	return b.String()
}

func cidrText(p netip.Prefix) string {
	if p == (netip.Prefix{}) {
		return ""
	}
	return p.String()
}

// NewCase makes up a case with about that many packets.
func NewCase(seed uint64, packets int, ticksPerSecond uint64) Case {
	r := random{rand.New(rand.NewPCG(seed, 4))}
	c := Case{Seed: seed, Limits: Limits{Established: 32768}}
	switch seed / 8 % 5 { // the same for a while: to change them takes time
	case 0:
		c.Limits.Established = 1 + int(seed/8%11)
	case 1:
		c.Limits.Displaces = true
	}
	c.Views = []*ruleset.View{r.view()}
	changes := packets / 500
	if r.chance(40) {
		changes *= 4
		c.Views[0] = r.opened(c.Views[0])
	}
	for range 1 + changes {
		next := r.changed(c.Views[len(c.Views)-1])
		if r.chance(30) {
			next = pick(r, c.Views)
		}
		c.Views = append(c.Views, next)
	}
	if c.Limits.Displaces {
		// Only of a tracked connection it shows whether it was displaced.
		for i, v := range c.Views {
			c.Views[i] = narrow(v)
		}
	}
	s := sequence{random: r, hz: ticksPerSecond, view: c.Views[0]}
	for i := range s.weights {
		s.weights[i] = r.IntN(10) * r.IntN(3)
	}
	s.weights[converse] += 26
	s.weights[linkLayer] += 17
	s.weights[odd] += 4
	s.weights[spoiled] += 6
	s.weights[garbage] /= 4
	c.Steps = []Step{{Kind: Apply}}
	var detached vpc.InterfaceID
	planned := len(c.Views)
	for n := 0; n < packets; {
		switch x := r.IntN(10_000); {
		case r.IntN(packets) < changes:
			after := s.change(&c, min(1+n*planned/packets, planned-1))
			c.Steps = append(c.Steps, after...)
			n += len(after)
		case detached != "" && x < 150: // not for long
			c.Steps = append(c.Steps, Step{Kind: Attach, ENI: detached})
			detached = ""
		case x < 21:
			detached = pick(r, Interfaces)
			c.Steps = append(c.Steps, Step{Kind: Detach, ENI: detached})
		case x < 26:
			c.Steps = append(c.Steps, Step{Kind: Sweep})
		case x < 340:
			c.Steps = append(c.Steps, Step{Kind: Wait, Ticks: s.while()})
			if r.chance(50) {
				rest := s.rest()
				c.Steps = append(c.Steps, rest...)
				n += len(rest)
			}
		default:
			c.Steps = append(c.Steps, s.packet())
			n++
		}
	}
	for i, step := range c.Steps {
		if step.Kind == Send {
			c.Steps[i].Frame = testable(step.Frame)
		}
	}
	return c
}

// testable makes a frame as long as the kernel's test run wants it: it refuses those that end in their IP
// header.
func testable(frame []byte) []byte {
	want := 14
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		want = 14 + 20
	case typeIPv6:
		want = 14 + 40
	}
	return append(frame, make([]byte, max(0, want-len(frame)))...)
}

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
