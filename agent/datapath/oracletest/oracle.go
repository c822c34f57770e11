// Package oracletest judges frames at the gates of interfaces the slow and obvious way, and makes up
// configurations and sequences of packets to ask about: what the datapath is tested against.
//
// It reads a frame's bytes itself, asks ruleset.Evaluate about rules, and keeps connections in Go maps.
// It shares nothing with the programs but bytes in and verdict out: no type, no constant, no layout. What
// it knows is what the documents say: docs/limits.md, docs/security.md, RFCs. Where they leave something
// open, a constant or a comment here says what is expected.
package oracletest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Limits are the sizes that the datapath was opened with.
type Limits struct {
	Established int  // connections of one interface that may be established
	Displaces   bool // half-open connections are so few that they may be displaced: not known when
}

// Oracle knows what the interfaces of one host may send and receive. It is not for concurrent use.
type Oracle struct {
	Limits
	TicksPerSecond uint64         // of the clock
	Covered        map[string]int // how often each branch was taken

	ObserveUntil map[vpc.InterfaceID]uint64 // ticks; until then what no rule allows passes

	// Of the host.
	Services     []Service
	AnyLinkLocal bool         // interfaces may have any fe80 address but a router's
	Routers      []netip.Addr // beside those of the View

	now   uint64 // ticks
	view  *ruleset.View
	gates map[vpc.InterfaceID]*gate

	openings map[opening]bool
}

// Service is one that the platform offers: no rule is asked about what goes there or comes from there.
type Service struct {
	Protocol uint8
	At       netip.AddrPort
}

// gate is an interface with a device, and what was seen of its packets.
type gate struct {
	halfOpen, established map[flow]*connection
	fates                 map[parcel]*fate
}

// New returns an oracle of a host without interfaces whose clock stands at now.
func New(l Limits, ticksPerSecond, now uint64) *Oracle {
	return &Oracle{
		Limits: l, TicksPerSecond: ticksPerSecond, Covered: map[string]int{},
		ObserveUntil: map[vpc.InterfaceID]uint64{},
		now:          now, gates: map[vpc.InterfaceID]*gate{}, openings: map[opening]bool{},
	}
}

// Attach gives an interface a device. What it had before is forgotten.
func (o *Oracle) Attach(eni vpc.InterfaceID) {
	o.gates[eni] = &gate{halfOpen: map[flow]*connection{}, established: map[flow]*connection{}, fates: map[parcel]*fate{}}
}

// Detach takes an interface off its device.
func (o *Oracle) Detach(eni vpc.InterfaceID) { delete(o.gates, eni) }

// Apply puts a View in force.
func (o *Oracle) Apply(v *ruleset.View) { o.view = v }

// SetNow moves the clock, in ticks.
func (o *Oracle) SetNow(now uint64) { o.now = now }

// ticks is a time in ticks of the clock.
func (o *Oracle) ticks(d time.Duration) uint64 {
	return uint64(d/time.Second) * o.TicksPerSecond
}

// cover counts a branch. The argument is always a literal: the test finds all that there are.
func (o *Oracle) cover(branch string) { o.Covered[branch]++ }

// Decision is a verdict and what becomes of the connections when the packet is taken to have happened.
type Decision struct {
	ruleset.Verdict
	happen  func() // nil: nothing
	byRules bool   // the rules alone decided: nothing stands for it when they change

	// forget makes the gate as if a half-open connection that the verdict rests on had been displaced by
	// others; nil: it rests on none.
	forget func()

	// remembered is what an untracked flow's verdict may be instead, from before the interface got an address
	// that is the other end's: it is kept until the rules change, if there is room.
	remembered *Decision
}

// Remembered is what else the verdict may be; not ok: nothing.
func (d Decision) Remembered() (Decision, bool) {
	if d.remembered == nil {
		return Decision{}, false
	}
	return *d.remembered, true
}

// Happen lets the packet have been seen.
func (d Decision) Happen() {
	if d.happen != nil {
		d.happen()
	}
}

// Displaced forgets what the verdict rests on, if it may have been displaced. The packet must then be
// judged again.
func (d Decision) Displaced() bool {
	if d.forget == nil {
		return false
	}
	d.forget()
	return true
}

func because(r ruleset.Reason) Decision {
	d := Decision{Verdict: ruleset.Verdict{Reason: r}}
	if slices.Contains([]ruleset.Reason{ruleset.ReasonRule, ruleset.ReasonTracked, ruleset.ReasonLink, ruleset.ReasonPlatform}, r) {
		d.Action = ruleset.Allow
	}
	return d
}

// Judge says what becomes of a frame at a gate.
func (o *Oracle) Judge(eni vpc.InterfaceID, d ruleset.Direction, frame []byte) Decision {
	decision := o.judge(eni, d, frame)
	o.Covered["reason "+decision.Reason.String()]++
	return decision
}

func (o *Oracle) judge(eni vpc.InterfaceID, d ruleset.Direction, frame []byte) Decision {
	g, ok := o.gates[eni]
	if !ok {
		o.cover("no device")
		return because(ruleset.ReasonUnbound)
	}
	if o.view == nil {
		return because(ruleset.ReasonNoTable)
	}
	e, ok := o.view.ENIs[eni]
	if !ok {
		o.cover("not in the view")
		return because(ruleset.ReasonNoTable)
	}
	q := &question{Oracle: o, gate: g, eni: e, direction: d, frame: frame}
	decision := q.answer()
	if q.part == first {
		return q.leads(decision)
	}
	return decision
}

func (q *question) answer() Decision {
	if reason := q.ethernet(); reason != ruleset.ReasonNone {
		if reason == ruleset.ReasonMalformed && q.part == first {
			q.cover("first fragment without its headers")
			return because(ruleset.ReasonFragment)
		}
		return because(reason)
	}
	if reason := q.link(); reason != ruleset.ReasonNone {
		return because(reason)
	}
	var of *fate
	if q.part == later {
		of = q.firstFate()
		q.service = of != nil && of.Reason == ruleset.ReasonPlatform
	}
	if reason := q.addresses(); reason != ruleset.ReasonNone {
		return because(reason)
	}
	if q.part == later {
		return q.follows(of)
	}
	if decision, ok := q.tracked(); ok {
		return decision
	}
	if reason := q.self(); reason != ruleset.ReasonNone {
		d := because(reason)
		if q.entry != nil {
			remembered := q.rules()
			d.remembered = &remembered
		}
		return d
	}
	if q.isService() {
		q.cover("service of the platform")
		return because(ruleset.ReasonPlatform)
	}
	if q.isICMPError() {
		if decision, ok := q.related(); ok {
			return decision
		}
	}
	return q.rules()
}

// self drops what comes from the guest's own addresses or goes there: nobody on the wire has them.
func (q *question) self() ruleset.Reason {
	switch {
	case !q.own(q.remote()):
		return ruleset.ReasonNone
	case q.fromGuest():
		q.cover("to itself")
		return ruleset.ReasonDestinationAddress
	}
	q.cover("from itself")
	return ruleset.ReasonSourceAddress
}

// question is a frame at a gate.
type question struct {
	*Oracle
	*gate
	packet
	eni       ruleset.ENI
	direction ruleset.Direction
	frame     []byte
	amid      *connection // that is established while this packet asks for another
	entry     *connection // of the flow, if that is untracked
	service   bool        // a later fragment of what a service of the platform sends or gets
}

func (q *question) fromGuest() bool { return q.direction == ruleset.Egress }

// local and remote are the two ends as the guest sees them.
func (q *question) local() netip.Addr {
	if q.fromGuest() {
		return q.src
	}
	return q.dst
}

func (q *question) remote() netip.Addr {
	if q.fromGuest() {
		return q.dst
	}
	return q.src
}

func (q *question) localPort() uint16 {
	if q.fromGuest() {
		return q.srcPort
	}
	return q.dstPort
}

func (q *question) remotePort() uint16 {
	if q.fromGuest() {
		return q.dstPort
	}
	return q.srcPort
}

// own says whether an address is the interface's, by itself or by a delegated prefix.
func (q *question) own(a netip.Addr) bool {
	return slices.Contains(q.eni.Addresses, a) ||
		slices.ContainsFunc(q.eni.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// router says whether an address is the router's of the interface's subnet.
func (q *question) router(a netip.Addr) bool {
	return !q.own(a) && (slices.Contains(q.eni.Routers, a) || slices.Contains(q.Routers, a))
}

// rules asks the rules about a packet that belongs to nothing that was seen before.
func (q *question) rules() Decision {
	own := q.evaluate(q.direction)
	if own.Action != ruleset.Allow {
		reason := own.Reason
		if q.isICMPError() {
			q.cover("no rule for an ICMP error")
			reason = ruleset.ReasonICMPError
		}
		if q.observing() {
			return q.observes(reason)
		}
		q.cover("no rule")
		return because(reason)
	}
	if q.opensNothing() {
		q.cover("a rule, opens nothing")
		d := because(ruleset.ReasonRule)
		d.Rule, d.byRules = own.Rule, true
		return d
	}
	return q.begins(own)
}

// isService says whether the other end is a service of the platform, and this one the interface's own.
func (q *question) isService() bool {
	if q.dstMAC[0]&1 != 0 || !q.own(q.local()) {
		return false
	}
	if q.part == later {
		return q.service
	}
	return slices.Contains(q.Services, Service{q.protocol, netip.AddrPortFrom(q.remote(), q.remotePort())})
}

func (q *question) asRulesSeeIt() ruleset.Packet {
	return ruleset.Packet{
		Src: q.src, Dst: q.dst, Protocol: q.protocol,
		SrcPort: q.srcPort, DstPort: q.dstPort, ICMPType: q.icmpType, ICMPCode: q.icmpCode,
	}
}
