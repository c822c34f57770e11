package ruleset

import (
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Port returns the packet's place in the 24-bit space of a Table: protocol<<16 with the destination
// port, or the ICMP type and code.
func (p Packet) Port() uint32 {
	first := uint32(p.Protocol) << 16
	switch vpc.Protocol(p.Protocol) {
	case vpc.TCP, vpc.UDP:
		return first | uint32(p.DstPort)
	case vpc.ICMP, vpc.ICMPv6:
		return first | uint32(p.ICMPType)<<8 | uint32(p.ICMPCode)
	default:
		return first
	}
}

// Judge judges one packet at one gate the way the datapath does: from compiled tables and members,
// ignoring connections.
func (t Tables) Judge(m Members, eni vpc.InterfaceID, d Direction, p Packet) Verdict {
	table, reason := t.at(eni, d, p)
	if reason != ReasonNone {
		return Verdict{Reason: reason}
	}
	remote := p.remote(d)
	return table.Judge(t.ListsAt(remote), m.GroupsAt(t.ENIs[eni].Domain, remote), p)
}

// at returns the table of a gate, or why a packet does not get to it.
func (t Tables) at(eni vpc.InterfaceID, d Direction, p Packet) (*Table, Reason) {
	e, ok := t.ENIs[eni]
	if !ok {
		return nil, ReasonUnbound
	}
	if reason := e.judgedBefore(d, p); reason != ReasonNone {
		return nil, reason
	}
	table := e.Ingress
	if d == Egress {
		table = e.Egress
	}
	if table == nil {
		return nil, ReasonNoTable
	}
	return table, ReasonNone
}

// Judge judges a packet by this table, given the prefix lists that hold the remote end and the groups
// that it is in. Rules for CIDRs are named before rules for lists, and those before rules for groups,
// so the next is asked only if none of the former allows the packet.
func (t *Table) Judge(lists []vpc.PrefixListID, groups []vpc.GroupID, p Packet) Verdict {
	rule := Find(t.longest(p.remote(t.Direction)), p.Port())
	if rule == 0 {
		rule = Find(t.PortsOfLists(lists), p.Port())
	}
	if rule == 0 {
		rule = Find(t.PortsOf(groups), p.Port())
	}
	if rule == 0 {
		return Verdict{Reason: ReasonNoRule}
	}
	return Verdict{Allow, ReasonRule, rule}
}

// longest returns the intervals of the longest prefix that contains an address.
func (t *Table) longest(a netip.Addr) []Interval {
	var best CIDRPorts
	for _, c := range t.CIDRs {
		if c.CIDR.Contains(a) && (!best.CIDR.IsValid() || c.CIDR.Bits() > best.CIDR.Bits()) {
			best = c
		}
	}
	return best.Ports
}

// ListsAt returns the prefix lists, of those named by rules, that hold an address. It scans: the
// datapath has an index.
func (t Tables) ListsAt(a netip.Addr) []vpc.PrefixListID {
	var lists []vpc.PrefixListID
	for id, cidrs := range t.Lists {
		if holds(cidrs, a) {
			lists = append(lists, id)
		}
	}
	return sortedSet(lists)
}

// GroupsAt returns the groups, of those named by rules, of the member that holds an address in a
// domain. It scans: the datapath has an index.
func (m Members) GroupsAt(domain vpc.VPCID, a netip.Addr) []vpc.GroupID {
	var groups []vpc.GroupID
	for _, member := range m {
		if slices.Contains(member.Domains, domain) && (slices.Contains(member.Addresses, a) || holds(member.Prefixes, a)) {
			groups = append(groups, member.Groups...)
		}
	}
	return sortedSet(groups)
}
