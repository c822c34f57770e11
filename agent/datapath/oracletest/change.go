package oracletest

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Changes of the rules under what was begun before them.

// change puts a View in force, which is the base of what comes next. What was begun before goes on after it.
func (s *sequence) change(c *Case, view int) (steps []Step) {
	steps = s.burst(8)
	if s.chance(35) && !c.Limits.Displaces {
		if s.chance(60) {
			steps = append(steps, s.closing(c)...)
		} else {
			steps = append(steps, s.unobserving(c)...)
		}
	}
	s.view = c.Views[view]
	steps = append(steps, Step{Kind: Apply, View: view})
	rest := s.rest()
	steps = slices.Concat(steps, rest, s.aftermath(), s.burst(8))
	if s.chance(40) {
		steps = append(steps, Step{Kind: Wait, Ticks: pick(s.random, []uint64{6, 6, 31}) * s.hz})
	}
	return append(steps, rest...)
}

// apply puts another View in force, for a while.
func (s *sequence) apply(c *Case, v *ruleset.View) Step {
	s.view = v
	c.Views = append(c.Views, v)
	return Step{Kind: Apply, View: len(c.Views) - 1}
}

// closing lets everybody have everything, and then less of it one way, with flows alive and untouched in
// between.
func (s *sequence) closing(c *Case) (steps []Step) {
	base := s.view
	all := func(egress bool, cidr netip.Prefix) vpc.Rule {
		return vpc.Rule{
			ID: "sgr-all", Number: 20_000 + uint32(s.IntN(100)), Egress: egress,
			Protocol: vpc.AllProtocols, From: -1, To: -1, Peer: vpc.Peer{CIDR: cidr},
		}
	}
	var both []vpc.Rule
	for i, egress := range []bool{true, true, false, false} {
		r := all(egress, everybody[i%2])
		r.Number += 100 * uint32(i)
		both = append(both, r)
	}
	closed := s.direction()
	var less []vpc.Rule
	for _, r := range both {
		if r.Egress == (closed == ruleset.Egress) {
			switch s.IntN(3) {
			case 0: // half of all addresses
				r.Peer.CIDR = netip.PrefixFrom(r.Peer.CIDR.Addr(), 1)
			case 1: // most ports
				r.Protocol, r.From, r.To = vpc.TCP, 0, 5000
			default: // hardly any
				r.Protocol, r.From, r.To = vpc.TCP, 22, 80
			}
		}
		less = append(less, r)
	}
	steps = append(steps, s.apply(c, ruled(base, both)))
	flows := s.flows(20)
	for _, t := range flows {
		if s.chance(70) {
			steps = append(steps, s.opening(t, 1+s.IntN(3))...)
		}
		if s.chance(30) {
			steps = append(steps, s.errorAbout(t, s.direction()))
		}
	}
	steps = append(steps, s.begun(flows[:8])...)
	steps = append(steps, s.apply(c, ruled(base, less)))
	rest := s.rest()
	steps = append(steps, rest[:min(len(rest), 16)]...)
	for _, t := range flows {
		d := s.direction()
		if s.chance(50) {
			steps = append(steps, s.errorAbout(t, closed))
		}
		steps = append(steps, s.goesOn(t, d), s.goesOn(t, 1-d))
		if s.chance(20) {
			steps = append(steps, s.errorAbout(t, s.direction()))
		}
	}
	for _, t := range s.flows(10) { // nothing is remembered of them
		t.protocol = protocolTCP
		steps = append(steps, s.goesOn(t, 1-closed))
	}
	return steps
}

// unobserving lets interfaces observe what no rule allows, and then not, with flows and fragments in between.
func (s *sequence) unobserving(c *Case) (steps []Step) {
	observing := *ruled(s.view, nil)
	over := observing
	observing.ENIs, over.ENIs = maps.Clone(observing.ENIs), maps.Clone(over.ENIs)
	for id, e := range observing.ENIs {
		e.Observe = time.Unix(1_000_000, 0)
		observing.ENIs[id] = e
		e.Observe = time.Time{}
		over.ENIs[id] = e
	}
	steps = append(steps, s.apply(c, &observing))
	flows := s.flows(12)
	for _, t := range flows {
		steps = append(steps, s.opening(t, 1+s.IntN(3))...)
		if s.chance(60) {
			steps = append(steps, s.errorAbout(t, s.direction()))
		}
	}
	steps = append(steps, s.begun(flows)...)
	steps = append(steps, s.apply(c, &over))
	rest := s.rest()
	for _, t := range flows[:4] {
		rest = append(rest, s.goesOn(t, s.direction()))
	}
	return append(steps, rest...)
}

// ruled is a View all of whose groups have those rules alone.
func ruled(v *ruleset.View, rules []vpc.Rule) *ruleset.View {
	n := *v
	n.Revision++
	n.Groups = map[vpc.GroupID]ruleset.Group{}
	for at, id := range groups[:5] {
		g := ruleset.Group{ID: id}
		for _, r := range rules {
			r.Number += 1000 * uint32(at)
			g.Rules = append(g.Rules, r)
		}
		n.Groups[id] = g
	}
	return &n
}

// flows are new ones of TCP and UDP between interfaces' own addresses and others'.
func (s *sequence) flows(n int) (flows []*talk) {
	strangers := slices.Concat(strangers, members4, members6)
	for range n {
		e := s.eni(pick(s.random, Interfaces))
		t := &talk{
			eni: e.ID, mac: e.MAC, local: s.at(e, s.chance(50)), byGuest: s.chance(50), protocol: protocolTCP,
			ports: [2]uint16{pick(s.random, []uint16{22, 80, 443, 1000}), uint16(2000 + s.IntN(6000))},
			seq:   [2]uint32{s.Uint32(), s.Uint32()}, phase: 3,
		}
		if s.chance(35) {
			t.protocol = protocolUDP
		}
		for t.remote = pick(s.random, strangers); t.remote.Is6() != t.local.Is6(); {
			t.remote = pick(s.random, strangers)
		}
		flows = append(flows, t)
	}
	s.talks = append(s.talks, flows...)
	return flows
}

// opening is a flow's first packets, at most three.
func (s *sequence) opening(t *talk, packets int) (steps []Step) {
	d := ruleset.Ingress
	if t.byGuest {
		d = ruleset.Egress
	}
	for _, flags := range []uint8{flagSYN, flagSYN | flagACK, flagACK}[:packets] {
		steps = append(steps, s.framed(t, d, t.packet(d, flags)))
		d = 1 - d
	}
	return steps
}

// begun is the first fragments of flows' packets; the others are still to come.
func (s *sequence) begun(flows []*talk) (steps []Step) {
	for _, t := range flows {
		d := s.direction()
		p := t.packet(d, flagACK)
		p.payload = append(p.payload, make([]byte, 40)...)
		steps = append(steps, s.fragmented(t, d, p))
	}
	return steps
}

// goesOn is a packet amid a flow.
func (s *sequence) goesOn(t *talk, d ruleset.Direction) Step {
	return s.framed(t, d, t.packet(d, flagACK))
}

// errorAbout is an ICMP error about a packet that went that way.
func (s *sequence) errorAbout(t *talk, went ruleset.Direction) Step {
	p := t.packet(went, flagACK)
	e := datagram{src: p.dst, dst: p.src, protocol: protocolICMP, payload: icmpMessage(3, 4, 0, 1400, p.bytes())}
	if e.src.Is6() {
		e.protocol, e.payload = protocolICMPv6, icmpMessage(2, 0, 0, 1400, p.bytes())
	}
	return s.framed(t, 1-went, e)
}

// packet is what a talk of TCP or UDP says one way.
func (t *talk) packet(d ruleset.Direction, flags uint8) datagram {
	p := datagram{src: t.local, dst: t.remote, protocol: t.protocol}
	srcPort, dstPort := t.ports[0], t.ports[1]
	if d == ruleset.Ingress {
		p.src, p.dst, srcPort, dstPort = p.dst, p.src, dstPort, srcPort
	}
	p.payload = udpDatagram(srcPort, dstPort, nil)
	if t.protocol == protocolTCP {
		p.payload = tcpSegment(srcPort, dstPort, t.seq[d], t.seq[1-d], flags, nil)
	}
	return p
}

// burst is what is said just before or after a change.
func (s *sequence) burst(n int) (steps []Step) {
	for range n {
		switch {
		case s.chance(40):
			t := s.talk()
			d := s.direction()
			steps = append(steps, s.fragmented(t, d, s.say(t, &d)))
		case s.chance(35):
			steps = append(steps, s.icmpError())
		default:
			steps = append(steps, s.conversation())
		}
	}
	return steps
}

// aftermath is what recent talks of TCP and UDP go on with, both ways.
func (s *sequence) aftermath() (steps []Step) {
	for _, t := range s.talks[max(0, len(s.talks)-10):] {
		if t.protocol != protocolTCP && t.protocol != protocolUDP {
			continue
		}
		for _, d := range []ruleset.Direction{ruleset.Egress, ruleset.Ingress, ruleset.Egress} {
			if t.byGuest { // the answer first
				d = 1 - d
			}
			steps = append(steps, s.goesOn(t, d))
			if s.chance(30) {
				steps = append(steps, s.errorAbout(t, d))
			}
		}
	}
	return steps
}

// rest is the fragments that are still to come.
func (s *sequence) rest() []Step {
	rest := s.pending
	s.pending = nil
	return rest
}
