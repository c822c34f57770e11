package ruleset

import (
	"net/netip"
	"reflect"

	"github.com/sallyport/sallyport/vpc"
)

// Interval is a range of the 24-bit number protocol<<16|port that a rule allows. For ICMP and
// ICMPv6 the port is type<<8|code; a protocol without ports has its whole range.
type Interval struct {
	From, To uint32 // inclusive
	Rule     uint32 // vpc.Rule.Number of the rule that is named when several allow
}

// Table is one direction of one set of groups, compiled: interfaces with the same groups share it.
// It is immutable.
type Table struct {
	Direction Direction
	Groups    []vpc.GroupID // whose rules it holds, sorted
	// CIDRs is sorted by address, then length. The longest prefix that contains an address stands
	// for all that do: its intervals are their union.
	CIDRs []CIDRPorts
	// Lists has what each named prefix list allows, by that list. An address that several hold is
	// judged by the union: PortsOfLists. What a list holds is in Tables: an edit changes no table.
	Lists map[vpc.PrefixListID][]Interval
	// Peers has what each named group allows, by that group. A packet from a member of several is
	// judged by the union: PortsOf.
	Peers map[vpc.GroupID][]Interval

	// Everyone has the rules whose peer is 0.0.0.0/0 or ::/0, by number.
	Everyone map[uint32]bool

	ids map[uint32]vpc.RuleID // of the rules in Lists and Peers, by number: PortsOf breaks ties by id
}

// CIDRPorts is a prefix and the intervals, sorted and disjoint, that it is allowed.
type CIDRPorts struct {
	CIDR  netip.Prefix // masked; IPv4 and IPv6 never mix
	Ports []Interval
}

// Tables is what the datapath is to enforce: both directions for every interface of the host.
type Tables struct {
	Revision int64
	ENIs     map[vpc.InterfaceID]ENITables
	Lists    map[vpc.PrefixListID][]netip.Prefix // the CIDRs of each list that a table names; as in a View
	Patch    *MemberPatch                        // of the Members that come with them; nil: it is not known
}

// ENITables is an interface with its two tables. Pointers are shared between interfaces and kept
// from one compilation to the next where nothing changed, so that comparing pointers finds changes.
type ENITables struct {
	ENI
	Ingress, Egress *Table
}

// Members is who is in which groups: stored once per host, used by all tables.
type Members map[vpc.InterfaceID]Member

// MemberPatch says in what two maps of Members differ, so that nobody has to compare all of them. It
// knows the maps by identity, and holds on to them.
type MemberPatch struct {
	before, after Members
	ids           []vpc.InterfaceID
}

// Between returns the members that may differ between two maps. ok is false if it does not know these.
func (p *MemberPatch) Between(before, after Members) (ids []vpc.InterfaceID, ok bool) {
	switch {
	case sameMap(before, after):
		return nil, true
	case p != nil && sameMap(p.before, before) && sameMap(p.after, after):
		return p.ids, true
	}
	return nil, false
}

func sameMap(a, b Members) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
