package oracletest

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/ruleset"
)

// Fragments: the first is judged as any packet, and the others have its fate.

// fragmentTime is how long the others may take (RFC 8200: 60 s; Linux: 30 s).
const fragmentTime = 30 * time.Second

// parcel is what the fragments of one packet have in common.
type parcel struct {
	direction     ruleset.Direction
	id            uint32
	protocol      uint8 // IPv4's; IPv6 reassembles by addresses and id alone
	local, remote netip.Addr
}

// fate is what became of a first fragment.
type fate struct {
	ruleset.Verdict
	seen   uint64
	header int            // bytes of what is fragmented that were judged
	view   *ruleset.View  // in force then, if the rules alone decided: they decide again once another is
	packet ruleset.Packet // as the rules saw it
}

func (q *question) parcel() parcel {
	p := parcel{direction: q.direction, id: q.fragmentID, protocol: q.protocol, local: q.local(), remote: q.remote()}
	if q.src.Is6() {
		p.protocol = 0
	}
	return p
}

// leads adds to a first fragment's decision what it means for the others.
func (q *question) leads(d Decision) Decision {
	happen := d.happen
	p := q.parcel()
	f := &fate{Verdict: d.Verdict, seen: q.now, header: len(q.before) - len(q.payload) + q.header, packet: q.asRulesSeeIt()}
	if d.byRules {
		f.view = q.view
	}
	d.happen = func() {
		if happen != nil {
			happen()
		}
		if d.Action == ruleset.Drop { // whatever had the same id before is not to be completed
			delete(q.fates, p)
		} else {
			q.fates[p] = f
		}
	}
	return d
}

// first is the fate of the first fragment that this one follows; nil: none that it may follow.
func (q *question) firstFate() *fate {
	f := q.fates[q.parcel()]
	switch {
	case f == nil:
		q.cover("fragment before its first")
	case q.now > f.seen+q.ticks(fragmentTime):
		q.cover("fragment too late")
	case q.offset < f.header:
		q.cover("fragment that overlaps a header")
	case f.Action == ruleset.Observe && !q.observing():
		q.cover("fragment no longer observed")
	case q.offset+len(q.payload) > 65535:
		q.cover("fragment beyond the end")
	default:
		return f
	}
	return nil
}

// follows judges a fragment that is not the first.
func (q *question) follows(f *fate) Decision {
	if f == nil {
		return because(ruleset.ReasonFragment)
	}
	if f.view == nil || f.view == q.view {
		q.cover("fragment follows its first")
		d := because(f.Reason)
		d.Verdict = f.Verdict
		return d
	}
	q.cover("fragment after a change")
	if reason := q.self(); reason != ruleset.ReasonNone {
		return because(reason)
	}
	if q.isService() {
		return because(ruleset.ReasonPlatform)
	}
	v := ruleset.Evaluate(q.view, q.eni.ID, q.direction, f.packet)
	if v.Action != ruleset.Allow && q.observing() {
		return q.observes(v.Reason)
	}
	d := because(v.Reason)
	d.Verdict = v
	return d
}
