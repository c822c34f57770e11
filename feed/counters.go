package feed

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Counters is what a host counted at its interfaces since their devices were attached: it starts over
// with the machine and with each binding. The empty id stands for devices without an interface.
type Counters map[vpc.InterfaceID]ENICounters

// ENICounters is what was counted at one interface. Values only grow, but for Open.
type ENICounters struct {
	Directions [2]DirectionCounters   // by ruleset.Direction
	Rules      map[uint32]RuleCounter // by number, those that had a packet; 0, of the empty id: those without a counter of their own
	Drops      []DropSample           // the latest, the newest first
	LostEvents uint64                 // that Drops lacks, since there were too many
	Open       map[uint32]uint64      // connections that there are, by the number of the rule that admitted them; nil: not counted yet
}

// DirectionCounters is the packets of one direction.
type DirectionCounters struct {
	Packets  map[ruleset.Reason]uint64    // nil: none
	Last     map[ruleset.Reason]time.Time // drop, in whole seconds, of those since the agent started; nil: none
	Observed uint64                       // packets that passed because the interface observes
}

// RuleCounter is what a rule let through.
type RuleCounter struct {
	Packets, Bytes uint64
	Connections    uint64    // flows that began
	First, Last    time.Time // in whole seconds
}

// DropSample is packets of one kind that were dropped, or would have been.
type DropSample struct {
	Direction     ruleset.Direction
	Reason        ruleset.Reason
	Observed      bool // they passed because the interface observes
	Protocol      uint8
	Local, Remote netip.Addr // the guest's side and the other; zero: they were not read so far
	Port          uint16     // the destination's; 0: there is none
	Count         uint64     // that were told
	Last          time.Time  // in whole milliseconds
}

// Bounds of one report, which an agent is far below.
const (
	maxRuleCounters = 1 << 17 // of one host, and as many rules with open connections
	maxDropSamples  = 1 << 8  // of one interface
)

func countersToPB(c Counters) *feedpb.Counters {
	out := &feedpb.Counters{}
	for _, id := range slices.Sorted(maps.Keys(c)) {
		e := c[id]
		p := &feedpb.ENICounters{
			Eni: string(id), LostEvents: e.LostEvents, Open: e.Open, OpenKnown: e.Open != nil,
			Ingress: dirCountersToPB(e.Directions[ruleset.Ingress]), Egress: dirCountersToPB(e.Directions[ruleset.Egress]),
		}
		for _, number := range slices.Sorted(maps.Keys(e.Rules)) {
			r := e.Rules[number]
			p.Rules = append(p.Rules, &feedpb.RuleCounters{
				Rule: number, Packets: r.Packets, Bytes: r.Bytes, Connections: r.Connections, First: r.First.Unix(), Last: r.Last.Unix(),
			})
		}
		for _, d := range e.Drops {
			s := &feedpb.DropSample{
				Direction: directionToPB(d.Direction), Reason: uint32(d.Reason), Observed: d.Observed, Protocol: uint32(d.Protocol),
				Port: uint32(d.Port), Count: d.Count, Last: d.Last.UnixMilli(),
			}
			if d.Remote.IsValid() {
				s.Local, s.Remote = d.Local.AsSlice(), d.Remote.AsSlice()
			}
			p.Drops = append(p.Drops, s)
		}
		out.Enis = append(out.Enis, p)
	}
	return out
}

func dirCountersToPB(d DirectionCounters) *feedpb.DirectionCounters {
	p := &feedpb.DirectionCounters{Observed: d.Observed}
	for reason, n := range d.Packets {
		if p.Packets == nil {
			p.Packets = map[uint32]uint64{}
		}
		p.Packets[uint32(reason)] = n
	}
	for reason, at := range d.Last {
		if p.Last == nil {
			p.Last = map[uint32]int64{}
		}
		p.Last[uint32(reason)] = at.Unix()
	}
	return p
}

// countersFromPB keeps reasons that this program has no name for: the agent may be newer.
func countersFromPB(p *feedpb.Counters) (Counters, error) {
	c := make(Counters, len(p.GetEnis()))
	rules, open := 0, 0
	for _, e := range p.GetEnis() {
		id := vpc.InterfaceID(e.GetEni())
		if _, ok := c[id]; ok {
			return nil, fmt.Errorf("counters of ENI %q twice", id)
		}
		if rules += len(e.GetRules()); rules > maxRuleCounters {
			return nil, fmt.Errorf("counters of %d rules", rules)
		}
		if open += len(e.GetOpen()); open > maxRuleCounters {
			return nil, fmt.Errorf("open connections of %d rules", open)
		}
		counters, err := eniCountersFromPB(e)
		if err != nil {
			return nil, fmt.Errorf("counters of ENI %q: %w", id, err)
		}
		c[id] = counters
	}
	return c, nil
}

func eniCountersFromPB(p *feedpb.ENICounters) (e ENICounters, err error) {
	e.LostEvents = p.GetLostEvents()
	if p.GetOpenKnown() {
		e.Open = maps.Clone(p.GetOpen())
		if e.Open == nil {
			e.Open = map[uint32]uint64{}
		}
	}
	for d, from := range map[ruleset.Direction]*feedpb.DirectionCounters{ruleset.Ingress: p.GetIngress(), ruleset.Egress: p.GetEgress()} {
		if e.Directions[d], err = dirCountersFromPB(from); err != nil {
			return e, err
		}
	}
	for _, r := range p.GetRules() {
		if _, ok := e.Rules[r.GetRule()]; ok {
			return e, fmt.Errorf("rule %d twice", r.GetRule())
		}
		if e.Rules == nil {
			e.Rules = make(map[uint32]RuleCounter, len(p.GetRules()))
		}
		e.Rules[r.GetRule()] = RuleCounter{
			Packets: r.GetPackets(), Bytes: r.GetBytes(), Connections: r.GetConnections(),
			First: time.Unix(r.GetFirst(), 0).UTC(), Last: time.Unix(r.GetLast(), 0).UTC(),
		}
	}
	if len(p.GetDrops()) > maxDropSamples {
		return e, fmt.Errorf("%d samples of drops", len(p.GetDrops()))
	}
	for _, s := range p.GetDrops() {
		d, err := dropSampleFromPB(s)
		if err != nil {
			return e, fmt.Errorf("sample of drops: %w", err)
		}
		e.Drops = append(e.Drops, d)
	}
	return e, nil
}

func dirCountersFromPB(p *feedpb.DirectionCounters) (d DirectionCounters, err error) {
	d.Observed = p.GetObserved()
	for number, n := range p.GetPackets() {
		reason, err := reasonFromPB(number)
		if err != nil {
			return d, err
		}
		if d.Packets == nil {
			d.Packets = make(map[ruleset.Reason]uint64, len(p.GetPackets()))
		}
		d.Packets[reason] = n
	}
	for number, at := range p.GetLast() {
		reason, err := reasonFromPB(number)
		if err != nil {
			return d, err
		}
		if d.Last == nil {
			d.Last = make(map[ruleset.Reason]time.Time, len(p.GetLast()))
		}
		d.Last[reason] = time.Unix(at, 0).UTC()
	}
	return d, nil
}

func reasonFromPB(number uint32) (ruleset.Reason, error) {
	if number > math.MaxUint8 {
		return 0, fmt.Errorf("reason %d", number)
	}
	return ruleset.Reason(number), nil
}

func dropSampleFromPB(p *feedpb.DropSample) (d DropSample, err error) {
	d = DropSample{Observed: p.GetObserved(), Count: p.GetCount(), Last: time.UnixMilli(p.GetLast()).UTC()}
	if err := narrow(field(&d.Protocol, p.GetProtocol()), field(&d.Port, p.GetPort())); err != nil {
		return d, err
	}
	if d.Direction, err = directionFromPB(p.GetDirection()); err != nil {
		return d, err
	}
	if d.Reason, err = reasonFromPB(p.GetReason()); err != nil {
		return d, err
	}
	if len(p.GetLocal())+len(p.GetRemote()) == 0 {
		return d, nil
	}
	if d.Local, err = addrFromPB(p.GetLocal()); err != nil {
		return d, err
	}
	d.Remote, err = addrFromPB(p.GetRemote())
	return d, err
}
