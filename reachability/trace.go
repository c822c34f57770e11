package reachability

import (
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// A Trace is what the two gates say of one packet, as the first of a connection.
type Trace struct {
	Packet          ruleset.Packet
	Egress, Ingress *Gate         // of the source and of the destination; nil: outside, with no gate
	Explanations    []Explanation // what keeps the packet away beside the gates
}

// Gate is one direction of one interface.
type Gate struct {
	Interface *vpc.NetworkInterface
	Direction ruleset.Direction
	ruleset.Explanation
	Missing *ruleset.GroupRule // a rule that would let the packet through; nil: it is let through, or no rule helps
}

// Allowed reports whether the packet gets there.
func (t Trace) Allowed() bool {
	for _, g := range t.Gates() {
		if g.Action != ruleset.Allow {
			return false
		}
	}
	return len(t.Explanations) == 0
}

// Gates are those that there are, in the order in which the packet meets them.
func (t Trace) Gates() []*Gate {
	return slices.DeleteFunc([]*Gate{t.Egress, t.Ingress}, func(g *Gate) bool { return g == nil })
}

// Follow asks the gates about a packet. An instance stands for each of its interfaces, and an interface
// for its first address of each family; an address is that of whoever holds it in the other end's VPC
// or a peer, else it is outside. Of several packets the first that gets through counts, else the first.
func Follow(s *vpc.State, q vpc.Reachability) Trace {
	sources, why := traceEnds(s, q.Source, q.SourceIP)
	destinations, whyNot := traceEnds(s, q.Destination, q.DestinationIP)
	if why = append(why, whyNot...); len(why) > 0 {
		return Trace{Explanations: why}
	}
	var first *Trace
	for _, src := range sources {
		for _, dst := range destinations {
			src, dst := src.found(s, dst), dst.found(s, src)
			for _, p := range packets(q, src, dst) {
				t := follow(s, p, src.eni, dst.eni)
				if t.Allowed() {
					return t
				}
				if first == nil {
					first = &t
				}
			}
		}
	}
	if first == nil {
		return Trace{Explanations: []Explanation{{Code: NoPath}}}
	}
	return *first
}

// traceEnd is an interface, an address, or the one at the other.
type traceEnd struct {
	eni *vpc.NetworkInterface
	ip  netip.Addr // zero: any of the interface's first ones
}

func traceEnds(s *vpc.State, id string, ip netip.Addr) ([]traceEnd, []Explanation) {
	if id == "" {
		return []traceEnd{{ip: ip}}, nil
	}
	enis, why := ends(s, id)
	var out []traceEnd
	for _, e := range enis {
		out = append(out, traceEnd{eni: e})
	}
	return out, why
}

// found returns the interface at an address, as the other end sees it.
func (e traceEnd) found(s *vpc.State, other traceEnd) traceEnd {
	if e.eni == nil && other.eni != nil {
		e.eni = Holder(s, other.eni.VPC, e.ip)
	}
	return e
}

// addresses are those that stand for an end, of one family.
func (e traceEnd) addresses(of func(netip.Addr) bool) []netip.Addr {
	all := []netip.Addr{e.ip}
	if !e.ip.IsValid() {
		all = slices.Concat(e.eni.IPv4, e.eni.IPv6)
	}
	all = ofFamily(all, of)
	return all[:min(len(all), 1)]
}

func packets(q vpc.Reachability, src, dst traceEnd) (out []ruleset.Packet) {
	for _, of := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		if q.Protocol == vpc.ICMP && of(netip.IPv6Unspecified()) || q.Protocol == vpc.ICMPv6 && of(netip.IPv4Unspecified()) {
			continue
		}
		for _, from := range src.addresses(of) {
			for _, to := range dst.addresses(of) {
				p := ruleset.Packet{Src: from, Dst: to, Protocol: uint8(q.Protocol), DstPort: q.Port, ICMPType: q.ICMPType, ICMPCode: q.ICMPCode}
				if q.Protocol == vpc.TCP || q.Protocol == vpc.UDP {
					p.SrcPort = ephemeral // no rule asks for it
				}
				out = append(out, p)
			}
		}
	}
	return out
}

const ephemeral = 49152 // the first port that programs get which ask for none. Source: RFC 6335

func follow(s *vpc.State, p ruleset.Packet, src, dst *vpc.NetworkInterface) Trace {
	if src != nil && dst != nil && src.ID == dst.ID {
		return Trace{Packet: p, Explanations: []Explanation{{Code: NoPath, Interface: src.ID}}} // no gate is asked
	}
	t := Trace{Packet: p}
	var both []*vpc.NetworkInterface
	for _, e := range []*vpc.NetworkInterface{src, dst} {
		if e != nil {
			both = append(both, e)
			t.Explanations = append(t.Explanations, usable(s, e)...)
		}
	}
	if src != nil && dst != nil {
		if _, connected := way(s, src, dst); !connected {
			t.Explanations = append(t.Explanations, Explanation{Code: DisconnectedVPCs, SourceVPC: src.VPC, DestinationVPC: dst.VPC})
		}
	}
	view := ruleset.ResolveInterfaces(s, slices.Values(both))
	forgetMembers(view, []netip.Addr{p.Src, p.Dst})
	if src != nil {
		t.Egress = askGate(view, src, dst, ruleset.Egress, p, p.Dst)
	}
	if dst != nil {
		t.Ingress = askGate(view, dst, src, ruleset.Ingress, p, p.Src)
	}
	return t
}

func askGate(v *ruleset.View, e, other *vpc.NetworkInterface, d ruleset.Direction, p ruleset.Packet, remote netip.Addr) *Gate {
	g := &Gate{Interface: e, Direction: d, Explanation: ruleset.Explain(v, e.ID, d, p)}
	if g.Reason != ruleset.ReasonNoRule || len(e.Groups) == 0 {
		return g
	}
	r := vpc.Rule{Number: 1, Egress: d == ruleset.Egress, Protocol: vpc.Protocol(p.Protocol), From: -1, To: -1}
	switch r.Protocol {
	case vpc.TCP, vpc.UDP:
		r.From, r.To = int32(p.DstPort), int32(p.DstPort)
	case vpc.ICMP, vpc.ICMPv6:
		r.From, r.To = int32(p.ICMPType), int32(p.ICMPCode)
	}
	// Another interface is named by a group of its own, where that means the address.
	if other != nil && len(other.Groups) > 0 && (slices.Contains(other.IPv4, remote) || slices.Contains(other.IPv6, remote)) &&
		other.VPC == e.VPC {
		r.Peer.Group = other.Groups[0]
	} else {
		r.Peer.CIDR = netip.PrefixFrom(remote, remote.BitLen())
	}
	g.Missing = &ruleset.GroupRule{Group: e.Groups[0], Rule: r}
	return g
}
