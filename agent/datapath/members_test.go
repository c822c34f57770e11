package datapath_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
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
