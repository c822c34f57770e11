package ruleset

import (
	"net/netip"

	"github.com/sallyport/sallyport/vpc"
)

// A Judge judges many packets as Tables.Judge does. It looks at members, prefix lists and CIDRs once
// each, so that it costs what they and the packets add up to, never the one times the other. It is not
// safe for concurrent use.
type Judge struct {
	tables  Tables
	remotes masked
	members map[netip.Addr][]Member // that hold the remote
	lists   map[netip.Addr][]vpc.PrefixListID
	longest map[*Table]map[netip.Addr]CIDRPorts
	found   map[judged][3][]Interval // by CIDR, lists and groups
}

type judged struct {
	table  *Table
	domain vpc.VPCID
	remote netip.Addr
}

// NewJudge prepares to judge packets whose remote end is one of these addresses.
func NewJudge(t Tables, m Members, remotes []netip.Addr) *Judge {
	j := &Judge{
		tables: t, remotes: masked{all: map[netip.Addr]bool{}, by: map[length]map[netip.Prefix][]netip.Addr{}},
		members: map[netip.Addr][]Member{}, lists: map[netip.Addr][]vpc.PrefixListID{},
		longest: map[*Table]map[netip.Addr]CIDRPorts{}, found: map[judged][3][]Interval{},
	}
	for _, a := range remotes {
		j.remotes.all[a] = true
	}
	for _, member := range m {
		for _, a := range member.Addresses {
			if j.remotes.all[a] {
				j.members[a] = append(j.members[a], member)
			}
		}
		for _, p := range member.Prefixes {
			for _, a := range j.remotes.in(p) {
				j.members[a] = append(j.members[a], member)
			}
		}
	}
	for id, cidrs := range t.Lists {
		for _, c := range cidrs {
			for _, a := range j.remotes.in(c) {
				j.lists[a] = append(j.lists[a], id)
			}
		}
	}
	return j
}

// Knows reports whether an address is one of those that the Judge was made for.
func (j *Judge) Knows(a netip.Addr) bool { return j.remotes.all[a] }

// Judge judges one packet at one gate, ignoring connections. The packet's remote end must be known.
func (j *Judge) Judge(eni vpc.InterfaceID, d Direction, p Packet) Verdict {
	table, reason := j.tables.at(eni, d, p)
	if reason != ReasonNone {
		return Verdict{Reason: reason}
	}
	for _, ports := range j.portsAt(judged{table, j.tables.ENIs[eni].Domain, p.remote(d)}) {
		if rule := Find(ports, p.Port()); rule != 0 {
			return Verdict{Allow, ReasonRule, rule}
		}
	}
	return Verdict{Reason: ReasonNoRule}
}

// portsAt returns what a table allows an address, in the order in which it is asked.
func (j *Judge) portsAt(k judged) [3][]Interval {
	if ports, ok := j.found[k]; ok {
		return ports
	}
	longest, ok := j.longest[k.table]
	if !ok {
		longest = map[netip.Addr]CIDRPorts{}
		for _, c := range k.table.CIDRs {
			for _, a := range j.remotes.in(c.CIDR) {
				if old, ok := longest[a]; !ok || c.CIDR.Bits() > old.CIDR.Bits() {
					longest[a] = c
				}
			}
		}
		j.longest[k.table] = longest
	}
	var groups []vpc.GroupID
	for _, m := range j.members[k.remote] {
		for _, domain := range m.Domains {
			if domain == k.domain {
				groups = append(groups, m.Groups...)
			}
		}
	}
	ports := [3][]Interval{longest[k.remote].Ports, k.table.PortsOfLists(j.lists[k.remote]), k.table.PortsOf(groups)}
	j.found[k] = ports
	return ports
}

// masked finds those of some addresses that a prefix holds.
type masked struct {
	all map[netip.Addr]bool
	by  map[length]map[netip.Prefix][]netip.Addr
}

type length struct {
	family int // bits of an address
	bits   int
}

func (m *masked) in(p netip.Prefix) []netip.Addr {
	l := length{p.Addr().BitLen(), p.Bits()}
	by, ok := m.by[l]
	if !ok {
		by = map[netip.Prefix][]netip.Addr{}
		for a := range m.all {
			if a.BitLen() == l.family {
				of := netip.PrefixFrom(a, l.bits).Masked()
				by[of] = append(by[of], a)
			}
		}
		m.by[l] = by
	}
	return by[p]
}
