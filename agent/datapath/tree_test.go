package datapath_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// searcher compares the programs' search in a tree with one from the first range to the last.
type searcher struct {
	t      testing.TB
	pool   datapath.Pool
	search datapath.Search
}

func newSearcher(t testing.TB, pool datapath.Pool) searcher {
	t.Helper()
	search, err := datapath.NewSearch(pool)
	must(t, err)
	t.Cleanup(func() { must(t, search.Close()) })
	return searcher{t, pool, search}
}

// rangesTo gives each range a value that no neighbour has; the space ends with the last one.
func rangesTo(ends []uint32, value func(i int) uint32) ([]uint32, []uint32) {
	slices.Sort(ends)
	ends = slices.Compact(append(ends, ^uint32(0)))
	values := make([]uint32, len(ends))
	for i := range values {
		values[i] = value(i)
	}
	return ends, values
}

// agree looks at both sides of each end, or of so many of them, and at both ends of the space.
func (s searcher) agree(ends, values []uint32, most int) {
	s.t.Helper()
	root, lines, err := datapath.Tree(s.pool, ends, values)
	must(s.t, err)
	must(s.t, s.pool.Publish())
	ask := []uint32{0, 1, 1<<32 - 2, 1<<32 - 1, 1<<31 - 1, 1 << 31}
	for i := range min(len(ends), most) {
		if len(ends) > most {
			i = rand.IntN(len(ends))
		}
		ask = append(ask, ends[i]-1, ends[i], ends[i]+1)
	}
	for _, x := range ask {
		i, _ := slices.BinarySearch(ends, x)
		if len(ends) <= most {
			i = slices.IndexFunc(ends, func(end uint32) bool { return x <= end })
		}
		got, err := s.search.Find(root, x)
		must(s.t, err)
		if got != values[i] {
			s.t.Fatalf("of %d ranges %#x has %d, want %d: that of the range to %#x", len(ends), x, got, values[i], ends[i])
		}
	}
	s.pool.FreeTree(root, lines)
}

// TestTree holds the search against a slow one: trees of every depth up to several chunks, with ranges
// of one number, at both ends of the space, and of random length.
func TestTree(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 64)
	s := newSearcher(t, pool)
	before := pool.Used()
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 15, 16, 17, 40, 41, 47, 48, 49, 127, 128, 129, 383, 384, 385, 1000, 2047, 2048, 2049, 4000, 300_000} {
		for name, end := range map[string]func(i int) uint32{
			"random":      func(int) uint32 { return r.Uint32() },
			"from 0 on":   func(i int) uint32 { return uint32(i) },
			"to the last": func(i int) uint32 { return ^uint32(i) },
		} {
			t.Run(fmt.Sprintf("%d %s", n, name), func(t *testing.T) {
				s.t = t
				ends := make([]uint32, n)
				for i := range ends {
					ends[i] = end(i)
				}
				first := uint32(r.IntN(2)) // 0 is a value like any other
				all, values := rangesTo(ends, func(i int) uint32 { return first + uint32(i) })
				s.agree(all, values, 3000)
			})
		}
	}
	if pool.Used() != before {
		t.Errorf("%d lines are used, want %d", pool.Used(), before)
	}
}

// TestTreeIsNotThere: a tree whose lines the programs do not find has 0 for every number.
func TestTreeIsNotThere(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 4)
	s := newSearcher(t, pool)
	ends := make([]uint32, 20)
	for i := range ends {
		ends[i] = uint32(i)
	}
	all, values := rangesTo(ends, func(i int) uint32 { return uint32(i + 1) })
	root, _, err := datapath.Tree(pool, all, values)
	must(t, err)
	find := func(x uint32) uint32 {
		value, err := s.search.Find(root, x)
		must(t, err)
		return value
	}
	if got := find(3); got != 0 {
		t.Errorf("before it is published 3 has %d", got)
	}
	must(t, pool.Publish())
	if got := find(3); got != 4 {
		t.Errorf("3 has %d, want 4", got)
	}
	next, err := pool.Again(1)
	must(t, err)
	must(t, next.DropFormer())
	if got := find(3); got != 0 {
		t.Errorf("when it is gone 3 has %d", got)
	}
}

// FuzzTree makes the ends of ranges of what it is given.
func FuzzTree(f *testing.F) {
	pool, err := datapath.NewPool(64)
	must(f, err)
	search := newSearcher(f, pool)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe})
	many := make([]byte, 8*100)
	for i := range many {
		many[i] = byte(i * i)
	}
	f.Add(many)
	f.Fuzz(func(t *testing.T, b []byte) {
		var ends []uint32
		for ; len(b) >= 4; b = b[4:] {
			ends = append(ends, binary.BigEndian.Uint32(b))
		}
		search.t = t
		all, values := rangesTo(ends, func(i int) uint32 { return uint32(i % 3) })
		search.agree(all, values, 100)
	})
}

// TestTables: of random CIDRs that hold each other the longest stands for an address, at each of their
// borders, for both families.
func TestTables(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 8)
	s := newSearcher(t, pool)
	find := func(ipv4, ipv6 uint32, a netip.Addr) uint32 {
		root := ipv6 | datapath.NextWord
		if a.Is4() {
			root = ipv4 | datapath.NextWord
		}
		for b := a.AsSlice(); len(b) > 0 && root&datapath.NextWord != 0; b = b[4:] {
			var err error
			root, err = s.search.Find(root&^datapath.NextWord, binary.BigEndian.Uint32(b))
			must(t, err)
		}
		return root
	}
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 300 {
		seen := map[netip.Prefix]uint32{}
		for range r.IntN(40) {
			// Few bits differ, so that they hold each other and have neighbours.
			var six [16]byte
			var four [4]byte
			for _, at := range []int{0, 3, 4, 7, 8, 11, 12, 15} {
				six[at] = []byte{0, 0x01, 0x80, 0xff}[r.IntN(4)]
				four[at/4] ^= six[at]
			}
			if r.IntN(3) == 0 { // at the end of the space, and of parts of it
				for i := range six {
					six[i] = 0xff
				}
				four = [4]byte(six[:4])
			}
			p := netip.PrefixFrom(netip.AddrFrom4(four), []int{0, 1, 8, 24, 31, 32, r.IntN(33)}[r.IntN(7)])
			if r.IntN(2) == 0 {
				p = netip.PrefixFrom(netip.AddrFrom16(six), []int{0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, r.IntN(129)}[r.IntN(14)])
			}
			seen[p.Masked()] = uint32(r.IntN(5)) // neighbours may have the same, and 0 as any other
		}
		cidrs, values := make([]netip.Prefix, 0, len(seen)), make([]uint32, 0, len(seen))
		for p := range seen {
			cidrs = append(cidrs, p)
		}
		slices.SortFunc(cidrs, netip.Prefix.Compare)
		ask := []netip.Addr{
			netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255}), netip.IPv6Unspecified(),
			netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		}
		for _, p := range cidrs {
			values = append(values, seen[p])
			first, last := p.Addr(), lastAddr(p)
			for _, a := range []netip.Addr{first.Prev(), first, first.Next(), last.Prev(), last, last.Next()} {
				if a.IsValid() {
					ask = append(ask, a)
				}
			}
		}
		ipv4, ipv6, free, err := pool.AddressTrees(cidrs, values)
		must(t, err)
		must(t, pool.Publish())
		for _, a := range ask {
			want, bits := uint32(0), -1
			for i, p := range cidrs {
				if p.Contains(a) && p.Bits() > bits {
					want, bits = values[i], p.Bits()
				}
			}
			if got := find(ipv4, ipv6, a); got != want {
				t.Fatalf("round %d: %s has %d, want %d: %v have %v", round, a, got, want, cidrs, values)
			}
		}
		free()
	}
	if pool.Used() != 0 {
		t.Errorf("%d lines are used by nothing", pool.Used())
	}
}

// lastAddr is the last address of a CIDR.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// TestPortSetIsShared: equal port sets are one, small or big, until the last of their users goes.
func TestPortSetIsShared(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 2)
	sets := pool.PortSets()
	list := func(n int) (list []ruleset.Interval) {
		for i := range uint32(n) {
			list = append(list, ruleset.Interval{From: 10 * i, To: 10*i + 4, Rule: i + 1})
		}
		return list
	}
	for _, n := range []int{1, 3, 4, 5, 100} {
		store := func(everyone map[uint32]bool) uint32 {
			root, err := sets.Store(list(n), everyone)
			must(t, err)
			return root
		}
		first, again := store(nil), store(nil)
		if first != again || first == 0 {
			t.Errorf("%d intervals stand at %#x and %#x", n, first, again)
		}
		lines := pool.Used()
		if other := store(map[uint32]bool{1: true}); other == first {
			t.Errorf("%d intervals for everybody are those for some", n)
		} else {
			sets.Release(other)
		}
		sets.Release(first)
		if got := pool.Used(); got != lines {
			t.Fatalf("%d intervals that are in use still are freed: %d lines, want %d", n, got, lines)
		}
		sets.Release(again)
		if got := pool.Used(); got != 0 {
			t.Errorf("%d intervals that nobody uses have %d lines", n, got)
		}
	}
	if root, err := sets.Store(nil, nil); root != 0 || err != nil {
		t.Errorf("no interval: %d, %v", root, err)
	}
}

// TestPortSetsComeAndGo: whatever comes and goes, equal port sets are one, different ones are not, and those
// that nobody uses have no line.
func TestPortSetsComeAndGo(t *testing.T) {
	t.Parallel()
	pool := newPool(t, 2)
	sets := pool.PortSets()
	r := rand.New(rand.NewPCG(9, 10))
	type used struct {
		root uint32
		uses int
	}
	have := map[int]used{}
	roots := map[uint32]int{}
	for step := range 40_000 {
		rule := 1 + r.IntN(50+step/20)
		v := have[rule]
		if step%2_000 < 1_200 || v.uses == 0 {
			root, err := sets.Store([]ruleset.Interval{{From: 1, To: 2, Rule: uint32(rule)}}, nil)
			must(t, err)
			if v.uses > 0 && root != v.root {
				t.Fatalf("step %d: rule %d has the port set %d, and then %d", step, rule, v.root, root)
			}
			if other, ok := roots[root]; ok && other != rule {
				t.Fatalf("step %d: the rules %d and %d have one port set", step, rule, other)
			}
			have[rule], roots[root] = used{root, v.uses + 1}, rule
		} else {
			sets.Release(v.root)
			v.uses--
			have[rule] = v
			if v.uses == 0 {
				delete(have, rule)
				delete(roots, v.root)
			}
		}
		if got := pool.Used(); int(got) != len(have) {
			t.Fatalf("step %d: %d port sets have %d lines", step, len(have), got)
		}
	}
}

// TestTableGrows leads a table through member sets that come and go, more and more of them, and compares
// the programs with the evaluator, before and after a change is settled.
func TestTableGrows(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	r := rand.New(rand.NewPCG(7, 8))
	const members = 60
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 3, byte(i)}) }
	groups := make([]vpc.GroupID, 7)
	var rules []vpc.Rule
	for i := range groups {
		groups[i] = vpc.GroupID(fmt.Sprintf("sg-%d", i))
		if i != 3 { // members may be in a group that no rule names
			rules = append(rules, vpc.Rule{
				ID: vpc.RuleID(fmt.Sprintf("sgr-%d", i)), Number: uint32(i + 1), Protocol: vpc.ICMP, From: 9, To: int32(i), Peer: vpc.Peer{Group: groups[i]},
			})
		}
	}
	for step := range 40 {
		v := view(rules...)
		for i := range min(members, 1+r.IntN(2*step+2)) {
			m := ruleset.Member{ID: vpc.InterfaceID(fmt.Sprintf("eni-%d", i)), Domains: []vpc.VPCID{dom}, Addresses: []netip.Addr{address(i)}}
			for _, g := range groups {
				if r.IntN(3) == 0 {
					m.Groups = append(m.Groups, g)
				}
			}
			v.Members[m.ID] = m
		}
		h.apply(v)
		for range 2 {
			for i := range members {
				for code := range uint8(len(groups)) {
					p := ruleset.Packet{Src: address(i), Dst: own4, Protocol: 1, ICMPType: 9, ICMPCode: code}
					want := ruleset.Evaluate(v, eniA, ruleset.Ingress, p)
					if got := h.run(eniA, ruleset.Ingress, packetFrame(p, otherMAC, mac, 0).bytes()); got != want {
						t.Fatalf("step %d: code %d from %s: got %+v, the evaluator says %+v", step, code, address(i), got, want)
					}
				}
			}
			must(t, h.d.Settle())
		}
	}
	h.apply(view())
	must(t, h.d.Settle())
	if holds, err := h.d.Holds(); err != nil || holds.Sets != 0 || holds.Lines > 4 {
		t.Errorf("without members the pool holds %+v, %v", holds, err)
	}
}

// TestPoolGrows: while prefix lists grow over several chunks and shrink again no packet is dropped that
// all revisions pass, and none passes that all drop.
func TestPoolGrows(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	good, bad := icmp(peer4, own4, 9, 0, 0), icmp(netip.MustParseAddr("10.0.0.51"), own4, 9, 0, 0)
	views := make([]*ruleset.View, 0, 4)
	for i, size := range []int{0, 100, 70_000, 150_000} {
		v := listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.50/32"}}, "pl-1")
		for n := range uint32(size) {
			a := 11<<24 | n<<1
			v.Lists["pl-1"] = append(v.Lists["pl-1"], netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), 32))
		}
		v.Revision = int64(i + 1)
		views = append(views, v)
	}
	h.apply(views[0])
	must(t, h.d.Settle())
	before, err := h.d.Holds()
	must(t, err)
	endGood, endBad := h.sending(eniA, good), h.sending(eniA, bad)
	for range 3 {
		for _, v := range []*ruleset.View{views[1], views[3], views[2], views[3], views[0]} {
			h.apply(v)
			if n := len(v.Lists["pl-1"]); n > 1 {
				for _, i := range []int{1, n / 2, n - 1} {
					h.want(eniA, ruleset.Ingress, icmp(v.Lists["pl-1"][i].Addr(), own4, 9, 0, 0), ruleset.ReasonRule)
				}
			}
		}
	}
	_, dropped := endGood()
	passed, _ := endBad()
	if dropped != 0 || passed != 0 {
		t.Errorf("%d packets were dropped that all revisions pass, %d passed that all drop", dropped, passed)
	}
	must(t, h.d.Settle())
	if after, err := h.d.Holds(); err != nil || after != before {
		t.Errorf("the pool holds %+v, %v, want %+v as before", after, err, before)
	}
}
