package datapath_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// listView is eniA, with a rule for each of the named prefix lists: ICMP of types of its own, which
// opens no connection, so that every packet is judged. All lists are known to the host.
func listView(lists map[vpc.PrefixListID][]string, named ...vpc.PrefixListID) *ruleset.View {
	var rules []vpc.Rule
	for i, id := range named {
		rules = append(rules, vpc.Rule{
			ID: vpc.RuleID(fmt.Sprintf("sgr-%d", 9-i)), Protocol: vpc.ICMP, From: 9, To: int32(i), Peer: vpc.Peer{PrefixList: id},
		}, vpc.Rule{
			ID: vpc.RuleID(fmt.Sprintf("sgr-%d", 19-i)), Protocol: vpc.ICMP, From: 10, To: -1, Peer: vpc.Peer{PrefixList: id},
		}, vpc.Rule{
			ID: vpc.RuleID(fmt.Sprintf("sgr-%d", 29-i)), Protocol: vpc.ICMPv6, From: 200, To: -1, Peer: vpc.Peer{PrefixList: id},
		})
	}
	v := view(rules...)
	v.Lists = map[vpc.PrefixListID][]netip.Prefix{}
	for id, cidrs := range lists {
		for _, c := range cidrs {
			v.Lists[id] = append(v.Lists[id], netip.MustParsePrefix(c))
		}
	}
	return v
}

// agree asks the programs and the evaluator about a packet from each address, of each type.
func (h *host) agree(what string, v *ruleset.View, addrs []netip.Addr) {
	h.t.Helper()
	for _, a := range addrs {
		ps := []ruleset.Packet{{Src: a, Dst: own6, Protocol: 58, ICMPType: 200}}
		if a.Is4() {
			ps = nil
			for code := range uint8(4) {
				ps = append(ps, ruleset.Packet{Src: a, Dst: own4, Protocol: 1, ICMPType: 9, ICMPCode: code})
			}
			ps = append(ps, ruleset.Packet{Src: a, Dst: own4, Protocol: 1, ICMPType: 10, ICMPCode: 3})
		}
		for _, p := range ps {
			want := ruleset.Evaluate(v, eniA, ruleset.Ingress, p)
			if got := h.run(eniA, ruleset.Ingress, packetFrame(p, otherMAC, mac, 0).bytes()); got != want {
				h.t.Fatalf("%s: ICMP %d/%d from %s: got %+v, the evaluator says %+v; lists %v", what, p.ICMPType, p.ICMPCode, a, got, want, v.Lists)
			}
		}
	}
}

// TestLists leads the programs through random lists, one edit after another, some by the next agent
// and some after an agent that died in the middle, and compares them with the evaluator.
func TestLists(t *testing.T) {
	t.Parallel()
	cidrs := []string{
		"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.48/28", "10.0.0.50/32", "10.0.0.51/32", "198.51.100.0/24",
		"198.51.100.7/32", "128.0.0.0/1", "::/0", "fd00::/8", "fd00:1:2:100::/64", "fd00:1:2:100::50/128", "2001:db8::/32",
	}
	addrs := []netip.Addr{
		peer4, netip.MustParseAddr("10.0.0.51"), netip.MustParseAddr("10.0.0.64"), netip.MustParseAddr("10.0.1.1"),
		netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("9.9.9.9"), remote4, netip.MustParseAddr("198.51.100.8"),
		peer6, netip.MustParseAddr("fd00:1:2:100::51"), netip.MustParseAddr("fd00:9::1"), remote6,
	}
	names := []vpc.PrefixListID{"pl-0", "pl-1", "pl-2", "pl-3"}
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	r := rand.New(rand.NewPCG(1, 2))
	random := func() *ruleset.View {
		lists := map[vpc.PrefixListID][]string{}
		for _, id := range names {
			if r.IntN(6) == 0 {
				continue // deleted, or named by no rule
			}
			for _, i := range r.Perm(len(cidrs))[:r.IntN(6)] {
				lists[id] = append(lists[id], cidrs[i])
			}
		}
		return listView(lists, names[:1+r.IntN(len(names))]...)
	}
	steps := 25
	if os.Getenv("SOAK") != "" {
		steps = 500
	}
	for step := range steps {
		v := random()
		v.Revision = int64(step + 1)
		switch r.IntN(4) {
		case 0:
			h.restart()
			h.compiler = ruleset.Compiler{}
		case 1:
			must(t, h.d.DieBuilding(h.compiler.Compile(random())))
			h.agree(fmt.Sprintf("step %d, half-built", step), h.viewOr(view()), addrs)
			h.restart()
			h.compiler = ruleset.Compiler{}
			h.agree(fmt.Sprintf("step %d, adopted", step), h.viewOr(view()), addrs)
		}
		h.apply(v)
		h.agree(fmt.Sprintf("step %d", step), v, addrs)
		if r.IntN(2) == 0 {
			must(t, h.d.Settle())
			h.agree(fmt.Sprintf("step %d, settled", step), v, addrs)
		}
	}
	h.apply(view())
	must(t, h.d.Settle())
	if holds, err := h.d.Holds(); err != nil || holds.Lines > 4 || holds.Sets != 0 {
		t.Errorf("without lists the pool holds %+v, %v", holds, err)
	}
}

func (h *host) viewOr(v *ruleset.View) *ruleset.View {
	if h.view != nil {
		return h.view
	}
	return v
}

// TestListsAreStoredOnce: a list costs its entries, however many tables name it, and an edit writes the list
// anew, once, and no table. The mistake that this sees is a copy in each table.
func TestListsAreStoredOnce(t *testing.T) {
	t.Parallel()
	const tables, entries = 60, 1000
	views := func(copied bool, edit string) *ruleset.View {
		list := make([]string, 0, entries)
		for i := range entries {
			list = append(list, fmt.Sprintf("192.%d.%d.0/24", i/128, i%128*2))
		}
		v := listView(map[vpc.PrefixListID][]string{"pl-1": append(list, edit)}, "pl-1")
		for i := range tables {
			id := vpc.InterfaceID(fmt.Sprintf("eni-%d", i))
			group := vpc.GroupID(fmt.Sprintf("sg-%d", i))
			rules := []vpc.Rule{{ID: "sgr-x", Number: uint32(100 + i), Protocol: vpc.TCP, From: int32(i), To: int32(i), Peer: vpc.Peer{PrefixList: "pl-1"}}}
			if copied {
				rules = nil
				for j, cidr := range v.Lists["pl-1"] {
					rules = append(rules, vpc.Rule{ID: vpc.RuleID(fmt.Sprintf("sgr-%d", j)), Number: uint32(100 + i), Protocol: vpc.TCP, From: int32(i), To: int32(i), Peer: vpc.Peer{CIDR: cidr}})
				}
			}
			v.Groups[group] = ruleset.Group{ID: group, Rules: rules}
			v.ENIs[id] = ruleset.ENI{ID: id, Domain: dom, MAC: mac, Groups: []vpc.GroupID{group}, SourceDestCheck: true}
		}
		return v
	}
	// A few of the ENIs are here: the others' tables are not built.
	promise := func(copied bool, enis int) (writes, lines int) {
		h := newHost(t, datapath.Options{})
		for i := range enis {
			h.attach(vpc.InterfaceID(fmt.Sprintf("eni-%d", i)))
		}
		h.apply(views(copied, "203.0.113.0/24"))
		must(t, h.d.Settle())
		before := h.d.Writes()
		h.apply(views(copied, "203.0.114.0/24"))
		must(t, h.d.Settle())
		holds, err := h.d.Holds()
		must(t, err)
		return h.d.Writes() - before, holds.Lines
	}
	// A leaf has room for four entries, and a table is a root, its port sets and what it allows sets.
	const most = entries/4*17/16 + 8*tables
	if writes, lines := promise(false, tables); writes > 6 || lines > most {
		t.Errorf("an edit takes %d writes with %d tables, want at most 6; the pool holds %d lines, want at most %d", writes, tables, lines, most)
	}
	if _, lines := promise(true, 3); lines < 3*entries/4 {
		t.Errorf("with a copy in each of 3 tables the pool holds %d lines: the test sees nothing", lines)
	}
}

// TestListsNeverHalf: while entries come and go, longer ones under shorter ones, no packet is dropped
// that all revisions pass, and none passes that all drop.
func TestListsNeverHalf(t *testing.T) {
	t.Parallel()
	views := []*ruleset.View{
		listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.0/24"}, "pl-2": {"10.0.0.51/32"}}, "pl-1"),
		listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.50/32"}, "pl-2": {"10.0.0.0/16"}}, "pl-1"),
		listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.48/31", "10.0.0.50/32"}, "pl-2": {"10.0.0.0/24"}}, "pl-1"),
		listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.51/32"}, "pl-3": {"10.0.0.50/32"}}, "pl-3"),
	}
	for _, v := range views { // whatever the list, all codes of a type
		v.Groups[sgA].Rules[0].To = -1
	}
	good, bad := icmp(peer4, own4, 9, 0, 0), icmp(netip.MustParseAddr("10.0.1.51"), own4, 9, 0, 0)
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for i, v := range views {
		v.Revision = int64(i + 1)
	}
	h.apply(views[0])
	endGood, endBad := h.sending(eniA, good), h.sending(eniA, bad)
	for range 20 {
		for _, v := range []*ruleset.View{views[1], views[2], views[3], views[0]} {
			h.apply(v)
		}
	}
	_, dropped := endGood()
	passed, _ := endBad()
	if dropped != 0 || passed != 0 {
		t.Errorf("%d packets were dropped that all revisions pass, %d passed that all drop", dropped, passed)
	}
}
