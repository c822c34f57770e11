package oracletest

import (
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// What becomes of a flow when the rules let one of its packets through: it is tracked, or, if everybody may
// have it and everybody may have every port the other way, left to the rules (EC2 user guide, "Untracked
// connections").

// begins decides about a packet that the rules let through by own.
func (q *question) begins(own ruleset.Verdict) Decision {
	d := because(ruleset.ReasonRule)
	d.Rule = own.Rule
	back := 1 - q.direction
	switch {
	case q.amid != nil:
		d.byRules = true
		d.happen = func() { q.happens(q.amid) }
		return d
	case q.entry != nil && q.entry.byGuest != q.fromGuest():
		// An answer passes by rules of its own; the flow is judged as if its first packet came now.
		began := q.evaluate(back)
		if began.Action != ruleset.Allow {
			q.cover("untracked: only the answer is still allowed")
			d.byRules = true
			d.happen = func() { q.happens(q.entry) }
			return d
		}
		return q.becomes(d, began, back)
	case q.entry == nil && q.protocol == protocolTCP && !q.isSYN() && q.everybody(own) && q.open(q.direction) && !q.open(back):
		// It may be the answer of an untracked flow that is not remembered, and shall not begin one the other way.
		if began := q.evaluate(back); q.everybody(began) {
			q.cover("untracked: the answer of one not remembered")
			return q.becomes(d, began, back)
		}
	}
	return q.becomes(d, own, q.direction)
}

// becomes says what a flow is from now on whose first packet went that way and passes by that rule.
func (q *question) becomes(d Decision, began ruleset.Verdict, direction ruleset.Direction) Decision {
	c := &connection{seen: q.now}
	if q.entry != nil {
		*c = *q.entry
	}
	c.byGuest, c.rule, c.untracked, c.observed = direction == ruleset.Egress, began.Rule, false, false
	switch {
	case q.everybody(began) && q.open(1-direction):
		q.cover("a rule, the flow is untracked")
		c.untracked = true
		d.byRules = true
	case q.entry != nil:
		q.cover("untracked: becomes tracked")
	default:
		q.cover("a rule, opens a connection")
	}
	d.happen = func() { q.put(c) }
	return d
}

// observes lets pass what no rule allows.
func (q *question) observes(reason ruleset.Reason) Decision {
	d := Decision{Verdict: ruleset.Verdict{Action: ruleset.Observe, Reason: reason}}
	if q.opensNothing() || q.amid != nil || q.part == later {
		q.cover("observed, opens nothing")
		return d
	}
	q.cover("observed, opens an entry")
	byGuest := q.fromGuest()
	if q.entry != nil {
		byGuest = q.entry.byGuest
	}
	d.happen = func() { q.put(&connection{seen: q.now, byGuest: byGuest, observed: true}) }
	return d
}

// put remembers a connection, and this packet as one of it.
func (q *question) put(c *connection) {
	f := q.flow()
	delete(q.established, f) // it is past its time, or its end: else the packet would belong to it
	q.halfOpen[f] = c
	q.happens(c)
}

// evaluate asks the rules of one direction about the flow, as if it had begun that way.
func (q *question) evaluate(d ruleset.Direction) ruleset.Verdict {
	p := q.asRulesSeeIt()
	if d != q.direction {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	return ruleset.Evaluate(q.view, q.eni.ID, d, p)
}

// everybody says whether the rule of a verdict is for all addresses: such a rule is named before others.
func (q *question) everybody(v ruleset.Verdict) bool {
	if v.Action != ruleset.Allow {
		return false
	}
	for _, g := range q.eni.Groups {
		for _, r := range q.view.Groups[g].Rules {
			if r.Number == v.Rule {
				return r.Peer.CIDR.IsValid() && r.Peer.CIDR.Bits() == 0
			}
		}
	}
	return false
}

// opening is what open has found out once.
type opening struct {
	view     *ruleset.View
	eni      vpc.InterfaceID
	d        ruleset.Direction
	protocol uint8
	v6       bool
}

// open says whether a direction lets everybody of the packet's family have all ports of its protocol.
func (q *question) open(d ruleset.Direction) bool {
	if q.protocol != protocolTCP && q.protocol != protocolUDP {
		return false
	}
	key := opening{q.view, q.eni.ID, d, q.protocol, q.src.Is6()}
	if is, ok := q.openings[key]; ok {
		return is
	}
	var ports [65536]bool
	for _, g := range q.eni.Groups {
		for _, r := range q.view.Groups[g].Rules {
			peer := r.Peer.CIDR
			if r.Egress != (d == ruleset.Egress) || !peer.IsValid() || peer.Bits() != 0 || peer.Addr().Is6() != key.v6 ||
				r.Peer.Group != "" || r.Peer.PrefixList != "" || r.Number == 0 {
				continue
			}
			switch {
			case r.Protocol == vpc.AllProtocols:
				for i := range ports {
					ports[i] = true
				}
			case r.Protocol == vpc.Protocol(q.protocol):
				for i := r.From; i <= r.To && 0 <= i && r.To <= 65535; i++ {
					ports[i] = true
				}
			}
		}
	}
	q.openings[key] = !slices.Contains(ports[:], false)
	return q.openings[key]
}
