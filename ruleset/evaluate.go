package ruleset

import (
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Evaluate judges one packet at one gate of one interface, ignoring connections: the slow and
// obvious way, against which everything faster is tested.
func Evaluate(v *View, eni vpc.InterfaceID, d Direction, p Packet) Verdict {
	return Explain(v, eni, d, p).Verdict
}

// local and remote name the two ends of a packet as the interface sees them.
func (p Packet) local(d Direction) netip.Addr {
	if d == Egress {
		return p.Src
	}
	return p.Dst
}

func (p Packet) remote(d Direction) netip.Addr {
	if d == Egress {
		return p.Dst
	}
	return p.Src
}

// wellFormed reports whether the rules can be asked at all.
func (p Packet) wellFormed() bool {
	return p.Src.IsValid() && p.Dst.IsValid() && p.Src.Is4() == p.Dst.Is4() && !p.Src.Is4In6() && !p.Dst.Is4In6()
}

// judgedBefore returns the reason why a packet is dropped before the rules are asked, or ReasonNone.
func (e ENI) judgedBefore(d Direction, p Packet) Reason {
	switch {
	case !p.wellFormed():
		return ReasonMalformed
	case !e.SourceDestCheck || slices.Contains(e.Addresses, p.local(d)) || holds(e.Prefixes, p.local(d)):
		return ReasonNone
	case d == Egress:
		return ReasonSourceAddress
	default:
		return ReasonDestinationAddress
	}
}

// allows reports whether a rule of a group that e carries allows a packet.
func (v *View) allows(e ENI, r vpc.Rule, d Direction, p Packet) bool {
	return enforceable(r) && direction(r) == d && matchesPeer(v, e, r.Peer, p.remote(d)) && matchesPorts(r, p)
}

func matchesPeer(v *View, e ENI, peer vpc.Peer, remote netip.Addr) bool {
	switch {
	case peer.PrefixList != "":
		return holds(v.Lists[peer.PrefixList], remote)
	case peer.Group == "":
		return peer.CIDR.Contains(remote) // never across families
	}
	for _, m := range v.Members {
		if slices.Contains(m.Groups, peer.Group) &&
			slices.Contains(m.Domains, e.Domain) && (slices.Contains(m.Addresses, remote) || holds(m.Prefixes, remote)) {
			return true
		}
	}
	return false
}

// holds reports whether one of the prefixes contains an address.
func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func matchesPorts(r vpc.Rule, p Packet) bool {
	if r.Protocol == vpc.AllProtocols {
		return true
	}
	if r.Protocol != vpc.Protocol(p.Protocol) {
		return false
	}
	switch r.Protocol {
	case vpc.TCP, vpc.UDP:
		return r.From <= int32(p.DstPort) && int32(p.DstPort) <= r.To
	case vpc.ICMP, vpc.ICMPv6:
		return (r.From == -1 || r.From == int32(p.ICMPType)) && (r.To == -1 || r.To == int32(p.ICMPCode))
	default:
		return true
	}
}
