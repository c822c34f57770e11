package ruleset_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Promises 1 to 3 are in compile_test.go; what breaks them all is in mutants_go_test.go in the root.

// explained reports whether a verdict says why: allowed by a rule that exists, or dropped for a reason.
func explained(v ruleset.Verdict, rules map[uint32]bool) bool {
	switch v.Action {
	case ruleset.Allow:
		return v.Reason == ruleset.ReasonRule && rules[v.Rule]
	case ruleset.Drop:
		return v.Reason != ruleset.ReasonNone && v.Reason != ruleset.ReasonRule && v.Rule == 0
	default:
		return false
	}
}

func TestPromise09VerdictHasAReason(t *testing.T) {
	for seed := range uint64(100) {
		u := newUniverse(seed)
		v := ruleset.Resolve(u.state(), hosts[0])
		tables, members := new(ruleset.Compiler).Compile(v)
		for _, id := range slices.Sorted(maps.Keys(v.ENIs)) {
			rules := map[uint32]bool{}
			for _, g := range v.ENIs[id].Groups {
				for _, r := range v.Groups[g].Rules {
					rules[r.Number] = r.Number != 0
				}
			}
			for range 30 {
				d := pick(u, directions)
				if got := tables.Judge(members, id, d, u.packetAt(v.ENIs[id], d)); !explained(got, rules) {
					t.Fatalf("a verdict without a reason: %+v", got)
				}
			}
		}
	}
}

// size is what a table costs the datapath to hold.
func size(t *ruleset.Table) int {
	n := 0
	for _, c := range t.CIDRs {
		n += 1 + len(c.Ports)
	}
	for _, ports := range t.Peers {
		n += 1 + len(ports)
	}
	return n
}

func TestPromise10TablesDoNotKnowMembers(t *testing.T) {
	groups := map[vpc.GroupID][]vpc.Rule{"sg-1": {
		rule("sgr-1", 1, vpc.TCP, 80, 80, "sg-x"), rule("sgr-2", 2, vpc.TCP, 22, 22, "sg-y"),
		rule("sgr-3", 3, vpc.TCP, 443, 443, "0.0.0.0/0"),
	}}
	var many []ruleset.Member
	for i := range 2000 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
		many = append(many, member(vpc.InterfaceID(fmt.Sprintf("eni-m-%d", i)), a, "sg-x", "sg-y"))
	}
	var c ruleset.Compiler
	one, _ := c.Compile(oneENI(groups, many[0]))
	all, members := c.Compile(oneENI(groups, many...))
	if len(members) != len(many) {
		t.Fatalf("%d members, want %d", len(members), len(many))
	}
	if one.ENIs["eni-1"].Ingress != all.ENIs["eni-1"].Ingress {
		t.Error("more members made another table")
	}

	expanded := *all.ENIs["eni-1"].Ingress // what must never be: a line for each rule and member
	for _, m := range members {
		for _, a := range m.Addresses {
			expanded.CIDRs = append(expanded.CIDRs, ruleset.CIDRPorts{
				CIDR: netip.PrefixFrom(a, a.BitLen()), Ports: expanded.PortsOf(m.Groups),
			})
		}
	}
	const most = 10
	if got := size(all.ENIs["eni-1"].Ingress); got > most {
		t.Errorf("the table of three rules has %d lines, want at most %d", got, most)
	}
	if size(&expanded) <= most {
		t.Error("a table that expands members is not found out")
	}
}
