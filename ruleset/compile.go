package ruleset

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/vpc"
)

// LastPort is the end of the 24-bit space of protocol<<16|port.
const LastPort = 1<<24 - 1

// Compiler turns Views into Tables. Between two calls it remembers the tables, so that one that is
// still right keeps its pointer. The zero value is ready; it is not safe for concurrent use.
type Compiler struct {
	cache map[tableKey]compiled
}

type tableKey struct {
	direction Direction
	groups    string // sorted ids, each ended by a space
}

// compiled is a table with the rules that it was made from.
type compiled struct {
	rules []vpc.Rule
	table *Table
}

// Compile returns what the datapath is to enforce for a View. Members and Lists are the View's own
// maps.
func (c *Compiler) Compile(v *View) (Tables, Members) {
	t := Tables{Revision: v.Revision, ENIs: make(map[vpc.InterfaceID]ENITables, len(v.ENIs)), Lists: v.Lists, Patch: v.patch}
	next := make(map[tableKey]compiled, len(c.cache))
	for id, eni := range v.ENIs {
		groups := sortedSet(eni.Groups)
		t.ENIs[id] = ENITables{
			ENI:     eni,
			Ingress: c.table(v, next, Ingress, groups),
			Egress:  c.table(v, next, Egress, groups),
		}
	}
	c.cache = next // tables that no interface uses any more are forgotten
	return t, Members(v.Members)
}

// table returns the table of one direction of some groups: from next, where this compilation has
// met it already, else the last compilation's if it came from the same rules, else a new one.
func (c *Compiler) table(v *View, next map[tableKey]compiled, d Direction, groups []vpc.GroupID) *Table {
	key := tableKey{direction: d}
	var b strings.Builder
	for _, g := range groups {
		b.WriteString(string(g))
		b.WriteByte(' ')
	}
	key.groups = b.String()
	if done, ok := next[key]; ok {
		return done.table
	}
	var rules []vpc.Rule
	for _, g := range groups {
		for _, r := range v.Groups[g].Rules { // a group that the View does not hold allows nothing
			if direction(r) == d && enforceable(r) {
				rules = append(rules, r)
			}
		}
	}
	slices.SortFunc(rules, byPrecedence)
	old, ok := c.cache[key]
	if !ok || !slices.EqualFunc(old.rules, rules, sameRule) {
		old = compiled{rules: rules, table: compile(d, groups, rules)}
	}
	next[key] = old
	return old.table
}

// compile makes a table of enforceable rules in order of precedence.
func compile(d Direction, groups []vpc.GroupID, rules []vpc.Rule) *Table {
	t := &Table{
		Direction: d, Groups: groups, ids: map[uint32]vpc.RuleID{}, Everyone: map[uint32]bool{},
		Lists: map[vpc.PrefixListID][]Interval{}, Peers: map[vpc.GroupID][]Interval{},
	}
	of := map[netip.Prefix][]int{} // the rules of a CIDR, in order of precedence
	for i, r := range rules {
		switch peer := r.Peer; {
		case peer.Group != "":
			t.Peers[peer.Group] = append(t.Peers[peer.Group], ports(r))
			t.ids[r.Number] = r.ID
		case peer.PrefixList != "":
			t.Lists[peer.PrefixList] = append(t.Lists[peer.PrefixList], ports(r))
			t.ids[r.Number] = r.ID
		default:
			of[peer.CIDR] = append(of[peer.CIDR], i)
			if peer.CIDR.Bits() == 0 {
				t.Everyone[r.Number] = true
			}
		}
	}
	// A longest match finds one CIDR, so each holds what all that contain it allow: those come before it,
	// and end before the next that is in none of them.
	var holders []netip.Prefix
	for _, cidr := range slices.SortedFunc(maps.Keys(of), netip.Prefix.Compare) {
		for n := len(holders); n > 0 && !holders[n-1].Contains(cidr.Addr()); n-- {
			holders = holders[:n-1]
		}
		holders = append(holders, cidr)
		var which []int
		for _, h := range holders {
			which = append(which, of[h]...)
		}
		slices.Sort(which)
		allowed := make([]Interval, len(which))
		for k, i := range which {
			allowed[k] = ports(rules[i])
		}
		t.CIDRs = append(t.CIDRs, CIDRPorts{CIDR: cidr, Ports: union(allowed)})
	}
	for id, allowed := range t.Lists {
		t.Lists[id] = union(allowed)
	}
	for g, allowed := range t.Peers {
		t.Peers[g] = union(allowed)
	}
	return t
}

// ports returns the interval of an enforceable rule.
func ports(r vpc.Rule) Interval {
	first := uint32(r.Protocol) << 16
	last := first | 0xffff
	switch r.Protocol {
	case vpc.AllProtocols:
		first, last = 0, LastPort
	case vpc.TCP, vpc.UDP:
		first, last = first|uint32(r.From), first|uint32(r.To)
	case vpc.ICMP, vpc.ICMPv6:
		switch {
		case r.From == -1: // all types
		case r.To == -1: // all codes of a type
			first |= uint32(r.From) << 8
			last = first | 0xff
		default:
			first |= uint32(r.From)<<8 | uint32(r.To)
			last = first
		}
	}
	return Interval{From: first, To: last, Rule: r.Number}
}

// union returns sorted, disjoint intervals that cover what the given ones cover. Where several do,
// the first given one is named. Neighbours are joined only if they name the same rule. The union of one
// interval is the same slice.
func union(in []Interval) []Interval {
	if len(in) == 1 {
		return in
	}
	// Cut the space at every border, then let each interval take the pieces that are still free.
	cuts := make([]uint32, 0, 2*len(in))
	for _, i := range in {
		cuts = append(cuts, i.From, i.To+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	names := make([]uint32, len(cuts)) // of the piece from cuts[k] up to cuts[k+1]; 0: free
	free := make([]int, len(cuts)+1)   // some piece at or after k, and not after the first free one
	for k := range free {
		free[k] = k
	}
	firstFree := func(k int) int {
		for free[k] != k {
			free[k] = free[free[k]]
			k = free[k]
		}
		return k
	}
	for _, i := range in {
		from, _ := slices.BinarySearch(cuts, i.From)
		to, _ := slices.BinarySearch(cuts, i.To+1)
		for k := firstFree(from); k < to; k = firstFree(k) {
			names[k] = i.Rule
			free[k] = k + 1
		}
	}
	var out []Interval
	for k, rule := range names {
		if rule == 0 {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Rule == rule && out[n-1].To+1 == cuts[k] {
			out[n-1].To = cuts[k+1] - 1
			continue
		}
		out = append(out, Interval{From: cuts[k], To: cuts[k+1] - 1, Rule: rule})
	}
	return out
}

// PortsOf returns what members of all the given groups may send or receive: the union of what each
// group may, in the form and with the precedence of a peer's intervals. Groups that the table does
// not name add nothing. The slice may be shared with the table: never write to it.
func (t *Table) PortsOf(groups []vpc.GroupID) []Interval { return portsOf(t, t.Peers, groups) }

// PortsOfLists returns what an address that all the given prefix lists hold may send or receive, as
// PortsOf does for groups.
func (t *Table) PortsOfLists(lists []vpc.PrefixListID) []Interval { return portsOf(t, t.Lists, lists) }

func portsOf[ID ~string](t *Table, allowed map[ID][]Interval, ids []ID) []Interval {
	var all []Interval
	peers := 0
	for _, id := range sortedSet(ids) {
		if is := allowed[id]; len(is) > 0 {
			all = append(all, is...)
			peers++
		}
	}
	if peers < 2 {
		return all
	}
	slices.SortStableFunc(all, func(a, b Interval) int {
		return cmp.Or(cmp.Compare(t.ids[a.Rule], t.ids[b.Rule]), cmp.Compare(a.Rule, b.Rule))
	})
	return union(all)
}

// Find returns the rule of the interval that holds a number of the 24-bit space, or 0.
func Find(is []Interval, port uint32) (rule uint32) {
	k, found := slices.BinarySearchFunc(is, port, func(i Interval, port uint32) int {
		switch {
		case i.To < port:
			return -1
		case i.From > port:
			return 1
		default:
			return 0
		}
	})
	if !found {
		return 0
	}
	return is[k].Rule
}
