package oracletest

import (
	"encoding/binary"
	"net/netip"

	"github.com/sallyport/sallyport/ruleset"
)

// ICMP errors: one belongs to the connection of the packet that it quotes, if that packet is the
// receiver's. It opens no connection and keeps none alive.

// related judges an ICMP error by what it quotes; not ok: the rules decide.
func (q *question) related() (Decision, bool) {
	if q.src.Is4() && q.icmpType != 3 && q.icmpType != 11 && q.icmpType != 12 || q.src.Is6() && (q.icmpType < 1 || q.icmpType > 4) {
		q.cover("ICMP error that is about no packet")
		return Decision{}, false
	}
	quoted, ok := q.quoted()
	if !ok {
		q.cover("ICMP error with a bad quote")
		return Decision{}, false
	}
	f := quoted.flow()
	c, half := q.established[f], false
	if c == nil || quoted.expired(c) {
		c, half = q.halfOpen[f], true
	}
	if c != nil && quoted.expired(c) {
		c = nil
	}
	switch {
	case c == nil:
		if !quoted.couldBeUntracked() {
			q.cover("ICMP error about nothing known")
			return Decision{}, false
		}
		q.cover("ICMP error about what would be untracked")
	case c.observed && q.observing():
		q.cover("ICMP error about what is observed")
		return Decision{}, false
	case c.untracked || c.observed:
		q.cover("ICMP error about an untracked flow")
	default:
		q.cover("ICMP error about a connection")
		d := because(ruleset.ReasonTracked)
		d.Rule = c.rule
		if half {
			d.forget = func() { delete(q.halfOpen, f) }
		}
		return d, true
	}
	// The rules decide about the packet that is quoted.
	v := quoted.evaluate(quoted.direction)
	if v.Action != ruleset.Allow {
		q.cover("ICMP error about what no rule allows")
		return Decision{}, false
	}
	d := because(ruleset.ReasonRule)
	d.Rule = v.Rule
	return d, true
}

// couldBeUntracked says whether a packet that nothing is remembered of may belong to an untracked flow,
// whoever began it.
func (q *question) couldBeUntracked() bool {
	if isLinkLocal(q.remote()) || q.eni.SourceDestCheck && !q.own(q.local()) {
		return false
	}
	back := 1 - q.direction
	return q.everybody(q.evaluate(q.direction)) && q.open(back) || q.open(q.direction) && q.everybody(q.evaluate(back))
}

// quoted is the packet that an error quotes, as a question at the gate that it passed: the other
// direction's.
func (q *question) quoted() (*question, bool) {
	b := q.payload[8:]
	n := &question{Oracle: q.Oracle, gate: q.gate, eni: q.eni, direction: 1 - q.direction}
	if q.src.Is4() {
		if len(b) < 20 {
			return nil, false
		}
		header := int(b[0]&15) * 4
		if b[0]>>4 != 4 || header < 20 || header > len(b) || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return nil, false
		}
		n.src, n.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		n.protocol, b = b[9], b[header:]
	} else {
		if len(b) < 40 || b[0]>>4 != 6 {
			return nil, false
		}
		n.src, n.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		protocol, rest, fragment, reason := n.walk(b[6], b[40:])
		if reason != ruleset.ReasonNone || fragment.offset != 0 {
			return nil, false
		}
		n.protocol, b = protocol, rest
	}
	if n.src != q.dst { // it goes to whom it is about
		return nil, false
	}
	switch n.protocol {
	case protocolTCP, protocolUDP:
		if len(b) < 8 {
			return nil, false
		}
		n.ports(b)
	case protocolICMP, protocolICMPv6:
		if len(b) < 8 || n.protocol != q.protocol {
			return nil, false
		}
		n.icmpType, n.icmpCode, n.icmpID = b[0], b[1], binary.BigEndian.Uint16(b[4:])
		if _, _, ok := n.query(); !ok {
			return nil, false
		}
	}
	return n, true
}
