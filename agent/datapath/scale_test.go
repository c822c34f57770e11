package datapath_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestScale compares the programs with the compiled tables' own judge, and some packets with the
// evaluator, under 960 rules that name CIDRs, twenty groups with 120,000 members of both families and
// twenty prefix lists of 5,000 entries, and after changes to them.
func TestScale(t *testing.T) {
	const members, each, named = 120_000, 5_000, 20
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	r := rand.New(rand.NewPCG(3, 4))
	random4 := func() netip.Addr { return address4(0x0a000000 | r.Uint32N(1<<24)) }
	random6 := func() netip.Addr { return address6(0xfd00<<48|r.Uint64N(1<<20), r.Uint64()) }
	random := func() netip.Addr {
		if r.IntN(2) == 0 {
			return random4()
		}
		return random6()
	}
	cidr := func(least int) netip.Prefix { // of so many bits or more in IPv4, four times as many in IPv6
		a := random()
		p, err := a.Prefix(a.BitLen() / 32 * (least + r.IntN(33-least)))
		must(t, err)
		return p
	}
	var rules []vpc.Rule
	for n := range 960 {
		from := int32(2000 + r.IntN(1000)) // no port of what has checks of its own
		v := vpc.Rule{
			ID: vpc.RuleID(fmt.Sprintf("sgr-%d", n)), Number: uint32(n + 1), Egress: r.IntN(2) == 0,
			Protocol: []vpc.Protocol{vpc.TCP, vpc.UDP}[r.IntN(2)], From: from, To: from + int32(r.IntN(400)),
		}
		switch {
		case n < named:
			v.Peer.Group = vpc.GroupID(fmt.Sprintf("sg-%d", n))
		case n < 2*named:
			v.Peer.PrefixList = vpc.PrefixListID(fmt.Sprintf("pl-%d", n-named))
		default:
			v.Peer.CIDR = cidr(14)
		}
		rules = append(rules, v)
	}
	v := view(rules...)
	v.Lists = map[vpc.PrefixListID][]netip.Prefix{}
	list := func() []netip.Prefix {
		found := map[netip.Prefix]bool{}
		for len(found) < each {
			found[cidr(24)] = true
		}
		return sortedPrefixes(found)
	}
	for n := range named {
		v.Lists[vpc.PrefixListID(fmt.Sprintf("pl-%d", n))] = list()
	}
	taken := map[netip.Addr]bool{}
	newMember := func() ruleset.Member {
		a := random()
		for taken[a] {
			a = random()
		}
		taken[a] = true
		m := member(a)
		for n := range named {
			if r.IntN(named/2) == 0 {
				m.Groups = append(m.Groups, vpc.GroupID(fmt.Sprintf("sg-%d", n)))
			}
		}
		return m
	}
	var ids []vpc.InterfaceID
	for range members {
		m := newMember()
		v.Members[m.ID] = m
		ids = append(ids, m.ID)
	}

	for step := range 4 {
		tables, all := h.compiler.Compile(v)
		must(t, h.d.Apply(tables, all))
		if step > 0 {
			must(t, h.d.Settle())
		}
		var remotes []netip.Addr
		for range 800 {
			remotes = append(remotes, random(), v.Members[ids[r.IntN(len(ids))]].Addresses[0])
			p := v.Lists[vpc.PrefixListID(fmt.Sprintf("pl-%d", r.IntN(named)))][r.IntN(each)].Addr()
			remotes = append(remotes, p)
			if q := p.Prev(); q.IsValid() {
				remotes = append(remotes, q)
			}
		}
		judge := ruleset.NewJudge(tables, all, remotes)
		allowed, byGroup, byList := 0, 0, 0
		for i, remote := range remotes {
			own := own4
			if remote.Is6() {
				own = own6
			}
			p := ruleset.Packet{Src: own, Dst: remote, Protocol: []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP}[r.IntN(2)], SrcPort: 4000, DstPort: uint16(2000 + r.IntN(1400))}
			direction := ruleset.Egress
			if r.IntN(2) == 0 {
				direction, p.Src, p.Dst = ruleset.Ingress, p.Dst, p.Src
			}
			if remote.IsUnspecified() || remote.IsMulticast() || remote.IsLoopback() {
				continue
			}
			got, want := h.probe(direction, p), judge.Judge(eniA, direction, p)
			if got != want {
				t.Fatalf("step %d, %s %+v: got %+v, the tables say %+v", step, direction, p, got, want)
			}
			if i%200 == 0 {
				if slow := ruleset.Evaluate(v, eniA, direction, p); got != slow {
					t.Fatalf("step %d, %s %+v: got %+v, the evaluator says %+v", step, direction, p, got, slow)
				}
			}
			switch {
			case got.Action != ruleset.Allow:
				continue
			case got.Rule <= named:
				byGroup++
			case got.Rule <= 2*named:
				byList++
			}
			allowed++
		}
		t.Logf("step %d: %d of %d packets pass, %d by a group and %d by a list", step, allowed, len(remotes), byGroup, byList)
		if byGroup < 20 || byList < 20 || allowed > len(remotes)*9/10 {
			t.Error("the packets prove little")
		}
		// Some members come, go and change; a list is another.
		d := ruleset.Delta{From: v.Revision, To: v.Revision + 1, Members: map[vpc.InterfaceID]ruleset.Member{}, Lists: map[vpc.PrefixListID][]netip.Prefix{}}
		for i := range 1000 << step {
			m := newMember()
			if at := r.IntN(len(ids)); i%2 == 0 {
				if _, ok := d.Members[ids[at]]; ok {
					continue
				}
				d.RemovedMembers = append(d.RemovedMembers, ids[at])
				ids[at] = m.ID
			} else {
				ids = append(ids, m.ID)
			}
			d.Members[m.ID] = m
		}
		d.Lists["pl-3"] = list()
		var err error
		v, err = v.Apply(d)
		must(t, err)
	}
}

// TestMembersFound asks the programs for members wherever they are kept: in either bucket, in each place
// of a line, in the stash.
func TestMembersFound(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"IPv4 in a row", "IPv6 in a row", "IPv6 in subnets"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, datapath.Options{})
			h.attach(eniA)
			v := view(rule(false, vpc.TCP, 80, 80, string(sgB)))
			address := func(n int) netip.Addr {
				a := forms[form](n + 1000)
				if a.Is4() {
					a = address4(0x0a020000 + uint32(n))
				}
				return a
			}
			var many []ruleset.Member
			for n := range 300 {
				many = append(many, member(address(n), sgB))
			}
			v = with(t, v, many)
			h.apply(v)
			for n := 300; h.d.MemberTables().Stashed(dom, many[0].Addresses[0]) == 0; n++ {
				tables := h.d.MemberTables()
				want, _ := tables.Buckets(dom, many[0].Addresses[0])
				if got, _ := tables.Buckets(dom, address(n)); got == want {
					many = append(many, member(address(n), sgB))
					v = with(t, v, many[len(many)-1:])
					h.apply(v)
					must(t, h.d.Settle())
				}
			}
			own := own4
			if many[0].Addresses[0].Is6() {
				own = own6
			}
			for n := -1000; n < 3000; n++ {
				a := address(n)
				_, is := v.Members["eni-"+vpc.InterfaceID(a.String())]
				p := ruleset.Packet{Src: a, Dst: own, Protocol: unix.IPPROTO_TCP, SrcPort: 4000, DstPort: 80}
				if got := h.probe(ruleset.Ingress, p); (got.Action == ruleset.Allow) != is {
					t.Fatalf("from %s: %+v; a member: %v", a, got, is)
				}
			}
			for _, m := range many {
				p := ruleset.Packet{Src: m.Addresses[0], Dst: own, Protocol: unix.IPPROTO_TCP, SrcPort: 4000, DstPort: 80}
				if got := h.probe(ruleset.Ingress, p); got.Reason != ruleset.ReasonRule {
					t.Fatalf("from %s, a member: %+v", m.Addresses[0], got)
				}
			}
		})
	}
}

func sortedPrefixes(found map[netip.Prefix]bool) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(found), netip.Prefix.Compare)
}
