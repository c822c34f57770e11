package datapath_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// memberTest holds tables of members against the members themselves.
type memberTest struct {
	*datapath.MemberTables
	t    testing.TB
	want ruleset.Members
}

func newMemberTest(t testing.TB) *memberTest {
	p, err := datapath.NewPool(256)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return &memberTest{datapath.NewMemberTables(p), t, ruleset.Members{}}
}

// change puts m in force, or gives it up after it was built.
func (mt *memberTest) change(m ruleset.Members, giveUp bool) {
	mt.t.Helper()
	_, err := mt.Build(m)
	must(mt.t, err)
	mt.same(mt.Epoch(), mt.want, m)
	if !giveUp {
		mt.same(1-mt.Epoch(), m, mt.want)
		mt.Flip(m)
		mt.want = m
	}
	mt.Settle()
	for epoch := range 2 {
		mt.same(epoch, mt.want, m)
	}
}

// same fails unless an epoch says of all addresses of both who has them in want.
func (mt *memberTest) same(epoch int, want, other ruleset.Members) {
	mt.t.Helper()
	type key struct {
		domain    vpc.VPCID
		address   netip.Addr
		delegated bool
	}
	numbers := map[key]uint32{}
	add := func(m ruleset.Member, number uint32) {
		for _, id := range m.Domains {
			for _, a := range m.Addresses {
				numbers[key{id, a, false}] = number
			}
			for _, p := range m.Prefixes {
				numbers[key{id, p.Addr(), true}] = number
			}
		}
	}
	for _, m := range other {
		add(m, 0)
	}
	for _, m := range want {
		add(m, mt.NumberOf(m.Groups))
	}
	for k, number := range numbers {
		if got := mt.Look(k.domain, epoch, k.address, k.delegated); got != number {
			mt.t.Fatalf("epoch %d of %d: %v has the number %d, want %d", epoch, mt.Epoch(), k, got, number)
		}
	}
}

// member is an ENI with one address in dom.
func member(a netip.Addr, groups ...vpc.GroupID) ruleset.Member {
	return ruleset.Member{ID: vpc.InterfaceID("eni-" + a.String()), Domains: []vpc.VPCID{dom}, Addresses: []netip.Addr{a}, Groups: groups}
}

func address4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

func address6(upper, lower uint64) netip.Addr {
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, upper), lower)))
}

// TestMembersChange changes, removes and gives up at random: each epoch says what it should at each
// moment, and when all are gone no line is left.
func TestMembersChange(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			mt := newMemberTest(t)
			domains := []vpc.VPCID{"vpc-1", "vpc-2", "vpc-3"}
			groups := []vpc.GroupID{"sg-1", "sg-2", "sg-3", "sg-4"}
			// The more of them, the fewer are free for others: addresses move between members.
			space := uint32(100) << (3 * (seed % 4))
			for range 120 {
				m := maps.Clone(mt.want)
				for range 1 + r.IntN(1<<r.IntN(9)) {
					id := vpc.InterfaceID(fmt.Sprint("eni-", r.Uint32N(space)))
					if r.IntN(3) == 0 {
						delete(m, id)
						continue
					}
					n := r.Uint32N(space)
					member := ruleset.Member{
						ID: id, Domains: domains[:1+r.IntN(3)], Groups: groups[:1+r.IntN(4)],
						Addresses: []netip.Addr{address4(0x0a000000 + n), address6(0xfd00<<48, uint64(n))},
						Prefixes:  []netip.Prefix{netip.PrefixFrom(address4(0x0b000000+n<<4), 28), netip.PrefixFrom(address6(0xfd01<<48, uint64(n)<<48), 80)},
					}
					for other, v := range m {
						if v.Addresses[0] == member.Addresses[0] {
							delete(m, other)
						}
					}
					m[id] = member
				}
				mt.change(m, r.IntN(5) == 0)
				for n := range groups {
					used := false
					for _, v := range mt.want {
						used = used || len(v.Groups) == n+1
					}
					if got := mt.UsesOf(groups[:n+1]); got != used {
						t.Fatalf("a number is used: %v, want %v", got, used)
					}
				}
			}
			mt.change(ruleset.Members{}, false)
			if got := mt.Used(); got != 0 {
				t.Errorf("%d lines are left", got)
			}
		})
	}
}

// with is the View after some members came or changed and others went.
func with(t *testing.T, v *ruleset.View, come []ruleset.Member, gone ...vpc.InterfaceID) *ruleset.View {
	t.Helper()
	d := ruleset.Delta{From: v.Revision, To: v.Revision + 1, Members: map[vpc.InterfaceID]ruleset.Member{}, RemovedMembers: gone}
	for _, m := range come {
		d.Members[m.ID] = m
	}
	next, err := v.Apply(d)
	must(t, err)
	return next
}

// patch puts the members of a View in force, from what the View knows of the change.
func (mt *memberTest) patch(v *ruleset.View) (writes int) {
	mt.t.Helper()
	var c ruleset.Compiler
	tables, m := c.Compile(v)
	writes, err := mt.Patch(m, tables.Patch)
	must(mt.t, err)
	mt.Flip(m)
	mt.want = m
	mt.Settle()
	return writes
}

// forms are ways in which addresses are given out.
var forms = map[string]func(n int) netip.Addr{
	"IPv4 in a row":    func(n int) netip.Addr { return address4(0x0a000000 + uint32(n)) },
	"IPv4 in networks": func(n int) netip.Addr { return address4(uint32(n)<<12 | 1) },
	"IPv4 at random":   func(n int) netip.Addr { return address4(uint32(n) * 0x9e3779b1) },
	"IPv6 in a row":    func(n int) netip.Addr { return address6(0xfd00<<48, uint64(n)) },
	"IPv6 in subnets":  func(n int) netip.Addr { return address6(0xfd00<<48+uint64(n), 1) },
	"IPv6 at random":   func(int) netip.Addr { return address6(rand.Uint64(), rand.Uint64()) },
}

// TestMembersOneByOne adds members one at a time, then removes them: each change is one write, and
// tables that are made anew, keys that move and stashes lose nobody.
func TestMembersOneByOne(t *testing.T) {
	t.Parallel()
	for name, address := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mt := newMemberTest(t)
			v := &ruleset.View{Revision: 1, Members: map[vpc.InterfaceID]ruleset.Member{}}
			mt.patch(v)
			stashed, made, first := 0, 0, uint32(0)
			var ids []vpc.InterfaceID
			for n := range 2500 {
				m := member(address(n), sgB)
				ids = append(ids, m.ID)
				v = with(t, v, []ruleset.Member{m})
				if got := mt.patch(v); got != 1 {
					t.Fatalf("%d writes for one member", got)
				}
				for epoch := range 2 {
					if got := mt.Look(dom, epoch, m.Addresses[0], false); got != mt.NumberOf(m.Groups) {
						t.Fatalf("%s has the number %d", m.ID, got)
					}
				}
				stashed += mt.Stashed(dom, m.Addresses[0])
				if _, now := mt.Buckets(dom, m.Addresses[0]); now != first {
					first = now
					made++
				}
				if n%500 == 0 {
					mt.same(0, mt.want, nil)
				}
			}
			mt.same(0, mt.want, nil)
			mt.same(1, mt.want, nil)
			t.Logf("made anew %d times; %d times a key was in the stash after a change; full to %.0f %%", made, stashed, 100*mt.Load(dom, address(0)))
			if made > 40 {
				t.Errorf("the table was made anew %d times for 2500 members", made)
			}
			all := mt.want
			for i, id := range ids {
				v = with(t, v, nil, id)
				mt.patch(v)
				if i%500 == 0 {
					mt.same(0, mt.want, all)
				}
			}
			if got := mt.Used(); got != 0 {
				t.Errorf("%d lines are left", got)
			}
		})
	}
}

// TestMembersAdversary adds members that all belong into two buckets, as whoever knew the seed could
// choose them: one by one, and at once.
func TestMembersAdversary(t *testing.T) {
	t.Parallel()
	for name, address := range forms {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " at once ", atOnce), func(t *testing.T) {
				t.Parallel()
				mt := newMemberTest(t)
				v := &ruleset.View{Revision: 1, Members: map[vpc.InterfaceID]ruleset.Member{}}
				var many []ruleset.Member
				for n := range 200 {
					many = append(many, member(address(n), sgA))
				}
				v = with(t, v, many)
				mt.patch(v)
				for round := range 3 {
					want, first := mt.Buckets(dom, many[0].Addresses[0])
					var meet []ruleset.Member
					for n := 1000 * (round + 1); len(meet) < 30 && n < 2_000_000; n++ {
						a := address(n)
						if got, _ := mt.Buckets(dom, a); (got == want || got == [2]uint32{want[1], want[0]}) && a != many[0].Addresses[0] {
							meet = append(meet, member(a, sgB))
						}
					}
					if len(meet) < 12 {
						t.Fatalf("only %d addresses meet", len(meet))
					}
					before := mt.want
					if atOnce {
						v = with(t, v, meet)
						mt.patch(v)
					}
					for _, m := range meet {
						if !atOnce {
							v = with(t, v, []ruleset.Member{m})
							mt.patch(v)
						}
						mt.same(0, mt.want, before)
					}
					if _, now := mt.Buckets(dom, many[0].Addresses[0]); now == first {
						t.Errorf("%d members who meet found room in one line of two", len(meet))
					}
				}
			})
		}
	}
}

// TestMembersMany loses nobody of a million.
func TestMembersMany(t *testing.T) {
	for name, address := range forms {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 256)
			addresses := make([]netip.Addr, 1_000_000)
			for n := range addresses {
				addresses[n] = address(n)
			}
			lost, err := datapath.Fill(p, addresses)
			must(t, err)
			if len(lost) > 0 {
				t.Errorf("%d of %d are lost, among them %s", len(lost), len(addresses), lost[0])
			}
		})
	}
}

// TestMembersTwice refuses an address that is two members', and changes nothing.
func TestMembersTwice(t *testing.T) {
	t.Parallel()
	for _, a := range []netip.Addr{peer4, peer6} {
		mt := newMemberTest(t)
		one, other := member(a, sgA), member(a, sgB)
		other.ID += "another"
		for _, before := range []ruleset.Members{{}, {one.ID: one}, {"eni-1": member(own4, sgA), "eni-2": member(own6, sgA)}} {
			mt.change(before, false)
			_, err := mt.Build(ruleset.Members{one.ID: one, other.ID: other})
			mustFail(t, err, "an address that is two members'")
			if !strings.Contains(err.Error(), a.String()) {
				t.Errorf("the error says too little: %v", err)
			}
			mt.Settle()
			for epoch := range 2 {
				mt.same(epoch, before, ruleset.Members{one.ID: one})
			}
		}
		// But it may move.
		mt.change(ruleset.Members{one.ID: one}, false)
		mt.change(ruleset.Members{other.ID: other}, false)
	}
	// Among so many that its two buckets are different ones.
	for name, address := range forms {
		p := newPool(t, 256)
		addresses := make([]netip.Addr, 1000)
		for n := range addresses {
			addresses[n] = address(n)
		}
		if _, err := datapath.Fill(p, append(addresses, addresses[0])); err == nil || !strings.Contains(err.Error(), addresses[0].String()) {
			t.Errorf("%s: an address that is there twice among many: %v", name, err)
		}
	}
}

// TestMembersOfManyDomains: room for all members is not made in each domain.
func TestMembersOfManyDomains(t *testing.T) {
	mt := newMemberTest(t)
	all := ruleset.Members{}
	const members, domains = 50_000, 100
	for n := range members {
		m := member(address4(0x0a000000+uint32(n)), sgB)
		m.Domains = []vpc.VPCID{vpc.VPCID(fmt.Sprintf("vpc-%d", n%domains))}
		all[m.ID] = m
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := mt.Build(all)
	must(t, err)
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / members; got > 500 {
		t.Errorf("%d bytes for each of %d members in %d domains", got, members, domains)
	}
}
