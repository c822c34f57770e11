package oracletest

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/ruleset"
)

// The connections of one interface: what was begun may be answered, whatever the rules say by then.
// docs/limits.md, "Connections".

// Times after which a connection that nobody uses is gone.
const (
	reclaimMargin   = 10 * time.Second
	establishedTime = 432_000 * time.Second // EC2's
	handshakeTime   = 60 * time.Second      // ours, as the next two and ICMP's
	finishingTime   = 120 * time.Second     // after one FIN
	finishedTime    = 10 * time.Second      // after both, or an RST
	udpTime         = 30 * time.Second      // EC2's
	udpStreamTime   = 180 * time.Second     // EC2's
	icmpTime        = 30 * time.Second
	otherTime       = 600 * time.Second // EC2's
)

// How far from what was acknowledged an end may stand.
const (
	resetNear  = 128 << 10
	finishNear = 16 << 20
)

// flow is what the packets of a connection have in common, from the guest's side.
type flow struct {
	protocol              uint8
	local, remote         netip.Addr
	localPort, remotePort uint16
	// Of ICMP's queries, in place of ports: what was asked, by whom.
	id             uint16
	asked          uint8 // type of the request
	askedByGuest   bool
	askedBySomeone bool
}

// connection is what a flow has become.
type connection struct {
	byGuest     bool // began it
	answered    bool
	established bool
	untracked   bool   // the rules alone decide, for each direction
	observed    bool   // no rule allows it
	rule        uint32 // that let the first packet through
	seen        uint64
	packets     [2]int // by direction
	finished    [2]bool
	reset       bool
	next        [2]number // sequence number that the other side waits for, by the direction that has it to send
}

// number is a sequence number that was acknowledged, or none yet.
type number struct {
	known bool
	is    uint32
}

func (q *question) flow() flow {
	f := flow{protocol: q.protocol, local: q.local(), remote: q.remote()}
	switch q.protocol {
	case protocolTCP, protocolUDP:
		f.localPort, f.remotePort = q.localPort(), q.remotePort()
	case protocolICMP, protocolICMPv6:
		if request, answer, ok := q.query(); ok {
			f.id, f.asked, f.askedBySomeone = q.icmpID, request, true
			f.askedByGuest = q.fromGuest() != answer
		}
	}
	return f
}

// query tells which request an ICMP message is, or answers; not ok: it is neither.
func (q *question) query() (request uint8, answer, ok bool) {
	if q.icmpCode != 0 {
		return 0, false, false
	}
	if q.protocol == protocolICMPv6 {
		return 128, q.icmpType == 129, q.icmpType == 128 || q.icmpType == 129
	}
	switch q.icmpType {
	case 8, 13, 15, 17: // echo, timestamp, information, address mask
		return q.icmpType, false, true
	case 0:
		return 8, true, true
	case 14, 16, 18:
		return q.icmpType - 1, true, true
	}
	return 0, false, false
}

func (q *question) isICMP() bool { return q.protocol == protocolICMP || q.protocol == protocolICMPv6 }

func (q *question) isICMPError() bool {
	switch q.protocol {
	case protocolICMP:
		return q.icmpType == 3 || q.icmpType == 4 || q.icmpType == 5 || q.icmpType == 11 || q.icmpType == 12
	case protocolICMPv6:
		return q.icmpType < 128
	}
	return false
}

// opensNothing says whether the packet can begin no connection: of ICMP, only requests do.
func (q *question) opensNothing() bool {
	if !q.isICMP() {
		return false
	}
	_, answer, ok := q.query()
	return !ok || answer
}

// tracked judges a packet of a connection; not ok: there is none that it belongs to.
func (q *question) tracked() (Decision, bool) {
	if q.isICMP() {
		if _, _, ok := q.query(); !ok {
			return Decision{}, false
		}
	}
	f := q.flow()
	if c := q.established[f]; c != nil && q.belongs(c) {
		if q.isSYN() { // it may begin another, whose predecessor's end nobody saw: today's rules decide
			q.cover("SYN amid a connection")
			q.amid = c
			return Decision{}, false
		}
		q.cover("hit: established")
		return q.belonging(c), true
	}
	c := q.halfOpen[f]
	if c == nil || !q.belongs(c) {
		q.cover("miss")
		return Decision{}, false
	}
	if c.untracked {
		q.cover("hit: untracked")
		q.entry = c
		return Decision{}, false
	}
	if c.observed && !q.observing() { // it says who began it, and lets nothing pass
		q.cover("no longer observed")
		q.entry = c
		return Decision{}, false
	}
	decision := q.belonging(c)
	decision.forget = func() { delete(q.halfOpen, f) }
	if c.observed {
		q.cover("hit: observed")
		decision.Verdict = ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonNoRule}
		return decision, true
	}
	if !q.establishes(c) {
		q.cover("hit: half-open")
		return decision, true
	}
	if _, ok := q.established[f]; !ok && len(q.established) >= q.Established {
		q.cover("full")
		refused := because(ruleset.ReasonConnectionLimit)
		refused.forget = decision.forget
		return refused, true
	}
	q.cover("hit: becomes established")
	decision.happen = func() {
		delete(q.halfOpen, f)
		c.established = true
		q.established[f] = c
		q.happens(c)
	}
	return decision, true
}

func (q *question) belonging(c *connection) Decision {
	d := because(ruleset.ReasonTracked)
	d.Rule = c.rule
	d.happen = func() { q.happens(c) }
	return d
}

// belongs says whether a packet of the same flow belongs to this connection: it is not past its time,
// and a TCP connection that ends is not begun anew.
func (q *question) belongs(c *connection) bool {
	if q.expired(c) {
		q.cover("expired")
		return false
	}
	if q.protocol != protocolTCP {
		return true
	}
	if c.over() && (q.flags&flagSYN != 0 || q.flags&(flagFIN|flagRST|flagACK) == 0) {
		q.cover("begun anew after its end")
		return false
	}
	if (c.finished[0] || c.finished[1]) && q.flags&(flagSYN|flagACK) == flagSYN {
		q.cover("begun anew while it ends")
		return false
	}
	return true
}

// expired says whether a connection is past its time.
func (q *question) expired(c *connection) bool {
	return q.now > c.seen+q.timeout(c)
}

// reclaimed says whether a sweep takes a connection, which leaves an established one that is not over some time.
func (q *question) reclaimed(c *connection) bool {
	if c.established && !c.over() {
		return q.now > c.seen+q.timeout(c)+q.ticks(reclaimMargin)
	}
	return q.expired(c)
}

// observing says whether what no rule allows passes.
func (q *question) observing() bool { return q.now < q.ObserveUntil[q.eni.ID] }

// isSYN says whether a packet asks for a TCP connection.
func (q *question) isSYN() bool {
	return q.protocol == protocolTCP && q.flags&(flagSYN|flagACK) == flagSYN
}

// settled says whether a handshake is over, as far as it was looked at: of what is not tracked, only
// whether there was an answer.
func (c *connection) settled() bool {
	return c.established || (c.untracked || c.observed) && c.answered
}

// over says whether both sides have ended it, or one at once.
func (c *connection) over() bool { return c.reset || c.finished[0] && c.finished[1] }

// timeout of a connection in ticks.
func (q *question) timeout(c *connection) uint64 {
	switch q.protocol {
	case protocolTCP:
		switch {
		case c.over():
			q.cover("timeout: finished")
			return q.ticks(finishedTime)
		case c.finished[0] || c.finished[1]:
			q.cover("timeout: finishing")
			return q.ticks(finishingTime)
		case c.settled():
			q.cover("timeout: established")
			return q.ticks(or(q.eni.Timeouts.TCPEstablished, establishedTime))
		}
		q.cover("timeout: handshake")
		return q.ticks(handshakeTime)
	case protocolUDP:
		if c.packets[0] > 1 && c.packets[1] > 1 { // more than one request and response
			q.cover("timeout: UDP stream")
			return q.ticks(or(q.eni.Timeouts.UDPStream, udpStreamTime))
		}
		q.cover("timeout: UDP")
		return q.ticks(or(q.eni.Timeouts.UDP, udpTime))
	case protocolICMP, protocolICMPv6:
		q.cover("timeout: ICMP")
		return q.ticks(icmpTime)
	}
	q.cover("timeout: other")
	return q.ticks(otherTime)
}

func or(own, usual time.Duration) time.Duration {
	if own == 0 {
		return usual
	}
	return own
}

// establishes says whether this packet makes a half-open connection an established one: the first
// answer; of TCP, the answer to that (docs/decisions/0008).
func (q *question) establishes(c *connection) bool {
	answers := q.fromGuest() != c.byGuest
	if q.protocol != protocolTCP {
		return answers
	}
	return !answers && c.answered && q.flags&(flagSYN|flagRST|flagACK) == flagACK
}

// happens notes a packet of a connection.
func (q *question) happens(c *connection) {
	d := q.direction
	other := 1 - d
	c.packets[d]++
	if q.protocol != protocolTCP || !c.over() { // what comes after the end does not put it off
		c.seen = q.now
	}
	if q.fromGuest() != c.byGuest {
		c.answered = true
	}
	if q.protocol != protocolTCP {
		return
	}
	// Somebody who sees only addresses and ports ends nothing that is established.
	sees := !c.settled() || !c.next[d].known || !c.next[other].known
	near := func(by uint32) bool {
		return q.flags&flagACK != 0 && within(q.sequence, c.next[d].is, by) && within(q.ack, c.next[other].is, by)
	}
	if q.flags&flagFIN != 0 {
		if sees || near(finishNear) {
			q.cover("FIN")
			c.finished[d] = true
		} else {
			q.cover("FIN that nobody believes")
		}
	}
	if q.flags&flagRST != 0 {
		if sees || q.sequence == c.next[d].is || near(resetNear) {
			q.cover("RST")
			c.reset = true
		} else {
			q.cover("RST that nobody believes")
		}
	}
	if q.flags&(flagACK|flagRST) == flagACK {
		c.next[other] = number{true, q.ack}
	}
}

// within says whether a sequence number is at most so far before, or less than so far behind another.
func within(a, b, by uint32) bool {
	d := int64(int32(a - b))
	return -int64(by) <= d && d < int64(by)
}

// Sweep forgets what is past its time.
func (o *Oracle) Sweep() {
	for id, g := range o.gates {
		eni, ok := o.view.ENIs[id]
		if !ok {
			continue // nobody knows its timeouts
		}
		for _, m := range []map[flow]*connection{g.halfOpen, g.established} {
			for f, c := range m {
				q := question{Oracle: o, eni: eni, packet: packet{protocol: f.protocol}}
				if q.reclaimed(c) {
					delete(m, f)
				}
			}
		}
	}
}
