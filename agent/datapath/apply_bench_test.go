package datapath_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// attachMany attaches ENIs with devices that nothing hangs on, named after their place.
func (h *host) attachMany(count int) []vpc.InterfaceID {
	h.t.Helper()
	ids := make([]vpc.InterfaceID, count)
	h.do(func() {
		for i := range ids {
			ids[i] = vpc.InterfaceID(fmt.Sprintf("eni-%d", i))
			name := fmt.Sprintf("m%d", i)
			must(h.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}))
			link, err := netlink.LinkByName(name)
			must(h.t, err)
			must(h.t, h.d.Attach(link.Attrs().Index, name, ids[i]))
			h.devices[ids[i]] = link.Attrs().Index
		}
	})
	return ids
}

// manyView is a view with many ENIs, each in a group of its own and one that all share, which has rules.
func manyView(ids []vpc.InterfaceID, rules ...vpc.Rule) *ruleset.View {
	v := view()
	clear(v.ENIs)
	v.Groups["sg-all"] = ruleset.Group{ID: "sg-all", Rules: rules}
	for i, id := range ids {
		own := vpc.GroupID(fmt.Sprintf("sg-own%d", i))
		v.Groups[own] = ruleset.Group{ID: own, Rules: []vpc.Rule{{
			ID: "sgr-own", Number: uint32(100_000 + i), Protocol: vpc.TCP, From: 22, To: 22, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("192.0.2.0/24")},
		}}}
		v.ENIs[id] = ruleset.ENI{
			ID: id, Domain: dom, MAC: mac, Groups: []vpc.GroupID{"sg-all", own}, SourceDestCheck: true,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})},
		}
	}
	return v
}

func slash24(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 7), byte(i << 1), 0}), 24)
}

// BenchmarkApply is the CPU's time that Apply takes, without what is done after a grace period.
func BenchmarkApply(b *testing.B) {
	// alternate applies two views by turns, compiled before.
	alternate := func(b *testing.B, h *host, views ...*ruleset.View) {
		b.Helper()
		apply := func(v *ruleset.View) time.Duration {
			tables, members := h.compiler.Compile(v)
			must(b, h.d.Settle())
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var start, end unix.Timespec
			must(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &start))
			must(b, h.d.Apply(tables, members))
			must(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &end))
			return time.Duration(end.Nano() - start.Nano())
		}
		apply(views[0])
		var spent []time.Duration
		for b.Loop() {
			spent = append(spent, apply(views[(len(spent)+1)%len(views)]))
		}
		slices.Sort(spent)
		b.ReportMetric(float64(spent[len(spent)/2].Microseconds()), "µs/Apply")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("960 rules", func(b *testing.B) {
		h := newHost(b, datapath.Options{})
		h.attach(eniA)
		rules := func(first int) (rules []vpc.Rule) {
			for i := range 960 {
				rules = append(rules, vpc.Rule{
					ID: vpc.RuleID(fmt.Sprintf("sgr-%d", i)), Number: uint32(first + i), Protocol: vpc.TCP, From: int32(first + i), To: int32(first + i), Peer: vpc.Peer{CIDR: slash24(i)},
				})
			}
			return rules
		}
		one, other := rules(1), rules(1)
		other[500].From, other[500].Number = 80, 5000
		b.Run("one differs", func(b *testing.B) { alternate(b, h, view(one...), view(other...)) })
		b.Run("all differ", func(b *testing.B) { alternate(b, h, view(one...), view(rules(2000)...)) })
	})
	b.Run("100,000 entries", func(b *testing.B) {
		h := newHost(b, datapath.Options{})
		h.attach(eniA)
		entries := func(lists, first int) *ruleset.View {
			v := listView(map[vpc.PrefixListID][]string{}, "pl-0")
			for l := range lists {
				id := vpc.PrefixListID(fmt.Sprintf("pl-%d", l))
				for i := range 100_000 / lists {
					a := uint32(first + (i*lists+l)*2)
					v.Lists[id] = append(v.Lists[id], netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(a >> 16), byte(a >> 8), byte(a)}), 32))
				}
			}
			return v
		}
		b.Run("in one list", func(b *testing.B) { alternate(b, h, entries(1, 0), entries(1, 1)) })
		b.Run("in 100 lists", func(b *testing.B) { alternate(b, h, entries(100, 0), entries(100, 1)) })
	})
	b.Run("500 tables, a list of 1,000", func(b *testing.B) {
		h := newHost(b, datapath.Options{})
		ids := h.attachMany(500)
		v := func(edit int) *ruleset.View {
			v := manyView(ids, vpc.Rule{ID: "sgr-1", Number: 1, Protocol: vpc.TCP, From: 443, To: 443, Peer: vpc.Peer{PrefixList: "pl-1"}})
			v.Lists = map[vpc.PrefixListID][]netip.Prefix{}
			for i := range 1000 {
				v.Lists["pl-1"] = append(v.Lists["pl-1"], slash24(i))
			}
			v.Lists["pl-1"][500] = netip.PrefixFrom(slash24(500).Addr(), edit)
			return v
		}
		alternate(b, h, v(25), v(26))
	})
	b.Run("1,000 ENIs, one rule", func(b *testing.B) {
		h := newHost(b, datapath.Options{})
		ids := h.attachMany(1000)
		rules := func(port int32) (rules []vpc.Rule) {
			for i := range 60 {
				rules = append(rules, vpc.Rule{
					ID: vpc.RuleID(fmt.Sprintf("sgr-%d", i)), Number: uint32(i + 1), Protocol: vpc.TCP, From: int32(i), To: int32(i), Peer: vpc.Peer{CIDR: slash24(i)},
				})
			}
			rules[30].To, rules[30].From = port, port
			return rules
		}
		own := manyView(ids, rules(1)...)
		next := manyView(ids, rules(1)...)
		g := next.Groups["sg-own7"]
		g.Rules = []vpc.Rule{g.Rules[0]}
		g.Rules[0].From, g.Rules[0].Number = 23, 777_777
		next.Groups["sg-own7"] = g
		b.Run("of one", func(b *testing.B) { alternate(b, h, own, next) })
		b.Run("of all", func(b *testing.B) { alternate(b, h, own, manyView(ids, rules(8080)...)) })
	})
}
