package vpc

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Ranks of what has to do with an address or block. Rules come behind what has it, the more of the
// world they cover the further behind.
const (
	rankSubnet = 3
	rankVPC    = 4
	rankList   = 5
	rankMember = 6
	rankRule   = 10
	rankOwn    = 500 // what a group itself may do
)

// blockWord is an address or a block, which was spelled as text says: who has it, and what covers it.
func (s *State) blockWord(wanted netip.Prefix, text string) searchWord {
	single := wanted.IsSingleIP() && !strings.Contains(text, "/")
	name := wanted.String()
	if single {
		name = wanted.Addr().String()
	}
	var e *end
	if single {
		e = s.end(name)
	}
	blocks := func(rank int, list ...netip.Prefix) (match, bool) {
		for _, p := range list {
			if distance, how, ok := relation(p, wanted); ok {
				return match{rank + distance, fmt.Sprintf("%s %s %s", p, how, name)}, true
			}
		}
		return match{}, false
	}
	return searchWord{
		object: func(c *candidate) (match, bool) {
			switch o := c.object.(type) {
			case *NetworkInterface:
				return holds(o, wanted, name, single)
			case *Instance:
				for e := range s.InterfacesOfInstance(o.ID) {
					if m, ok := holds(e, wanted, name, single); ok {
						return match{m.rank + 1, fmt.Sprintf("its %s: %s", e.ID, m.reason)}, true
					}
				}
			case *Subnet:
				if m, ok := blocks(0, append(prefixes(o.IPv6CIDRs), o.CIDR)...); ok {
					return match{min(m.rank, rankSubnet), m.reason}, true
				}
			case *VPC:
				if m, ok := blocks(0, append(prefixes(o.IPv6CIDRs), prefixes(o.CIDRs)...)...); ok {
					return match{min(m.rank, rankVPC), m.reason}, true
				}
			case *PrefixList:
				for _, entry := range s.PrefixListEntries(o.ID) {
					if m, ok := blocks(0, entry.CIDR); ok {
						return match{min(m.rank, rankList), "its entry " + m.reason}, true
					}
				}
			}
			return match{}, false
		},
		rule: func(c *candidate) (match, bool) {
			if single {
				m, ok := e.peer(s, c.rule)
				return match{m.rank + rankMember, ruleWords(c.rule) + m.reason}, ok
			}
			if p := c.rule.Peer.CIDR; p.IsValid() {
				distance, how, ok := relation(p, wanted)
				return match{rankRule + distance, fmt.Sprintf("%s, which %s %s", ruleWords(c.rule), how, name)}, ok
			}
			for _, entry := range s.PrefixListEntries(c.rule.Peer.PrefixList) {
				if m, ok := blocks(rankRule, entry.CIDR); ok {
					return match{m.rank, ruleWords(c.rule) + ", whose entry " + m.reason}, true
				}
			}
			return match{}, false
		},
	}
}

func prefixes(list []CIDRAssociation) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, a := range list {
		out[i] = a.CIDR
	}
	return out
}

// holds says whether an interface has an address of a block, or a delegated prefix that has to do with it.
func holds(e *NetworkInterface, wanted netip.Prefix, name string, single bool) (match, bool) {
	for _, list := range [][]netip.Addr{e.IPv4, e.IPv6} {
		for _, a := range list {
			switch {
			case !wanted.Contains(a):
			case single:
				return match{0, "it has " + name}, true
			default:
				return match{rankRule, fmt.Sprintf("its %s lies in %s", a, name)}, true
			}
		}
	}
	for _, list := range [][]netip.Prefix{e.IPv4Prefixes, e.IPv6Prefixes} {
		for _, p := range list {
			if _, how, ok := relation(p, wanted); ok {
				return match{1, fmt.Sprintf("its prefix %s %s %s", p, how, name)}, true
			}
		}
	}
	return match{}, false
}

// ruleFlow is what port:, protocol:, from: and to: say of packets that a rule lets through.
type ruleFlow struct {
	ports, protocols    bool
	from, to            int32
	protocol            Protocol
	source, destination *end
}

func (f ruleFlow) match(s *State, c *candidate) (match, bool) {
	r := c.rule
	if f.ports && r.Protocol != AllProtocols && (r.Protocol != TCP && r.Protocol != UDP || r.From > f.from || r.To < f.to) {
		return match{}, false
	}
	if f.protocols && r.Protocol != f.protocol && r.Protocol != AllProtocols {
		return match{}, false
	}
	far, near := f.source, f.destination
	if r.Egress {
		far, near = near, far
	}
	if f.source == nil && f.destination == nil && r.Egress {
		return match{}, false // who asks for a port asks who may come in by it
	}
	out := match{0, ruleWords(r)}
	if far != nil {
		m, ok := far.peer(s, r)
		if !ok {
			return match{}, false
		}
		out = match{m.rank, out.reason + m.reason}
	}
	if near != nil {
		if !slices.Contains(near.groups, c.object.(*SecurityGroup).ID) {
			return match{}, false
		}
		if far == nil { // it is about the rule's own group, whoever is at the other end
			out.rank = rankOwn
		}
	}
	if r.Protocol == AllProtocols && (f.ports || f.protocols) {
		out.rank += 2 // what names the port is closer
	}
	return out, true
}

// ruleWords says what a rule lets through.
func ruleWords(r *Rule) string {
	what := r.Protocol.String()
	switch {
	case r.Protocol == AllProtocols:
		what = "all traffic"
	case r.Protocol == ICMP || r.Protocol == ICMPv6:
		if r.From >= 0 {
			what += fmt.Sprintf(" type %d", r.From)
		}
	case !r.Protocol.HasPorts():
		what = "protocol " + what
	case r.From == r.To:
		what += fmt.Sprintf(" %d", r.From)
	case r.From == 0 && r.To == 65535:
		what += " on all ports"
	default:
		what += fmt.Sprintf(" %d-%d", r.From, r.To)
	}
	if r.Egress {
		return fmt.Sprintf("lets %s out to %s", what, r.Peer)
	}
	return fmt.Sprintf("lets %s in from %s", what, r.Peer)
}

// end is one end of a flow, as a person names it.
type end struct {
	name   string
	world  bool
	blocks []netip.Prefix
	groups []GroupID // of the interfaces there, or the group that was named
	lists  []PrefixListID
	member map[GroupID]InterfaceID // of groups that an address is in: by which interface
}

// end finds what a person means: world, an address, a block, an id, or the name of a group, list or
// instance. What there is not matches nothing.
func (s *State) end(text string) *end {
	e := &end{name: text, member: map[GroupID]InterfaceID{}}
	lower := strings.ToLower(text)
	at := func(eni *NetworkInterface) {
		for _, g := range eni.Groups {
			e.member[g] = eni.ID
			if !slices.Contains(e.groups, g) {
				e.groups = append(e.groups, g)
			}
		}
	}
	has := func(eni *NetworkInterface) {
		for _, a := range slices.Concat(eni.IPv4, eni.IPv6) {
			e.blocks = append(e.blocks, netip.PrefixFrom(a, a.BitLen()))
		}
		at(eni)
	}
	if slices.Contains([]string{"world", "anywhere", "internet", "any", "*"}, lower) {
		e.world = true
		return e
	}
	if p, ok := readBlock(text); ok {
		e.blocks = []netip.Prefix{p}
		if p.IsSingleIP() {
			for v := range s.VPCs() {
				if eni := s.InterfaceAt(v.ID, p.Addr()); eni != nil {
					at(eni)
				}
			}
		}
		return e
	}
	if g := s.SecurityGroup(GroupID(lower)); g != nil {
		e.groups = []GroupID{g.ID}
		return e
	}
	if l := s.PrefixList(PrefixListID(lower)); l != nil {
		e.lists = []PrefixListID{l.ID}
		return e
	}
	if eni := s.NetworkInterface(InterfaceID(lower)); eni != nil {
		has(eni)
		return e
	}
	if i := s.Instance(InstanceID(lower)); i != nil {
		for eni := range s.InterfacesOfInstance(i.ID) {
			has(eni)
		}
		return e
	}
	for g := range s.SecurityGroups() {
		if strings.EqualFold(g.Name, text) || strings.EqualFold(g.Tags["Name"], text) {
			e.groups = append(e.groups, g.ID)
		}
	}
	for l := range s.PrefixLists() {
		if strings.EqualFold(l.Name, text) {
			e.lists = append(e.lists, l.ID)
		}
	}
	if len(e.groups) > 0 || len(e.lists) > 0 {
		return e
	}
	for i := range s.Instances() {
		if strings.EqualFold(i.Tags["Name"], text) {
			for eni := range s.InterfacesOfInstance(i.ID) {
				has(eni)
			}
		}
	}
	return e
}

// peer says whether the far side of a rule is, covers or lies in this end, and what there is to add to
// the words of the rule.
func (e *end) peer(s *State, r *Rule) (match, bool) {
	p := r.Peer
	if p.Group != "" {
		if by, ok := e.member[p.Group]; ok {
			return match{0, fmt.Sprintf(", of which %s is a member", by)}, true
		}
		return match{}, slices.Contains(e.groups, p.Group)
	}
	if slices.Contains(e.lists, p.PrefixList) && p.PrefixList != "" {
		return match{}, true
	}
	cidrs, listed := []netip.Prefix{p.CIDR}, ""
	if p.PrefixList != "" {
		cidrs = nil
		for _, entry := range s.PrefixListEntries(p.PrefixList) {
			cidrs = append(cidrs, entry.CIDR)
		}
	}
	for _, c := range cidrs {
		if p.PrefixList != "" {
			listed = fmt.Sprintf(", which holds %s", c)
		}
		if e.world && c.Bits() == 0 {
			return match{0, listed}, true
		}
		for _, b := range e.blocks {
			if distance, how, ok := relation(c, b); ok {
				if how == "lies in" {
					return match{distance, listed + fmt.Sprintf(", part of %s", b)}, true
				}
				return match{distance, listed}, true
			}
		}
	}
	return match{}, false
}
