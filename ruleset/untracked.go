package ruleset

import (
	"math"
	"net/netip"

	"github.com/sallyport/sallyport/vpc"
)

// A flow of TCP or UDP is untracked if the rule that lets its first packet through is for everybody,
// and the table of the other direction lets everybody send all ports of that protocol: then the
// rules alone decide on each of its packets, both ways, and a change of them cuts it at once. ICMP
// and other protocols are always tracked.
// Source: EC2 user guide, "Untracked connections".

// Untracked reports whether a packet that begins a flow, and gets this verdict by these tables in
// that direction, begins an untracked one.
func (t Tables) Untracked(eni vpc.InterfaceID, d Direction, p Packet, v Verdict) bool {
	e, ok := t.ENIs[eni]
	if !ok || v.Action != Allow || v.Reason != ReasonRule {
		return false
	}
	own, other := e.Ingress, e.Egress
	if d == Egress {
		own, other = other, own
	}
	return own.Everyone[v.Rule] && other.Open(vpc.Protocol(p.Protocol), p.remote(d).Is6())
}

// Open reports whether a table lets everybody of a family send all ports of TCP or UDP. It is false
// for every other protocol.
func (t *Table) Open(protocol vpc.Protocol, ipv6 bool) bool {
	if protocol != vpc.TCP && protocol != vpc.UDP {
		return false
	}
	everybody := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if ipv6 {
		everybody = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	for _, c := range t.CIDRs {
		if c.CIDR == everybody {
			return covers(c.Ports, uint32(protocol)<<16, uint32(protocol)<<16|0xffff)
		}
	}
	return false
}

// covers reports whether sorted, disjoint intervals hold all numbers from first to last.
func covers(is []Interval, first, last uint32) bool {
	for _, i := range is {
		if i.From > first {
			return false
		}
		if i.To >= last {
			return true
		}
		if i.To >= first {
			first = i.To + 1
		}
	}
	return false
}

// Untracked reports the same as Tables.Untracked, the slow and obvious way.
func Untracked(v *View, eni vpc.InterfaceID, d Direction, p Packet) bool {
	if protocol := vpc.Protocol(p.Protocol); protocol != vpc.TCP && protocol != vpc.UDP {
		return false
	}
	e := v.ENIs[eni]
	// everybody reports whether a rule for everybody lets a packet through in a direction.
	everybody := func(d Direction, p Packet) bool {
		for _, g := range e.Groups {
			for _, r := range v.Groups[g].Rules {
				if r.Peer.CIDR.IsValid() && r.Peer.CIDR.Bits() == 0 && v.allows(e, r, d, p) {
					return true
				}
			}
		}
		return false
	}
	if Evaluate(v, eni, d, p).Action != Allow || !everybody(d, p) {
		return false
	}
	answer := p
	answer.Src, answer.Dst = p.Dst, p.Src
	open := func(port int32) bool {
		answer.DstPort = uint16(port)
		return everybody(1-d, answer)
	}
	// A gap begins at the first port of all or behind a rule.
	if !open(0) {
		return false
	}
	for _, g := range e.Groups {
		for _, r := range v.Groups[g].Rules {
			if after := r.To + 1; r.Protocol == vpc.Protocol(p.Protocol) && after > 0 && after <= math.MaxUint16 && !open(after) {
				return false
			}
		}
	}
	return true
}
