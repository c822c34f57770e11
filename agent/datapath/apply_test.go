package datapath_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// groupView is eniA, which lets members of one group in by TCP 80, with two members elsewhere.
func groupView(named vpc.GroupID, members map[string][]vpc.GroupID) *ruleset.View {
	r := rule(false, vpc.TCP, 80, 80, string(named))
	r.Number = map[vpc.GroupID]uint32{sgA: 1, sgB: 2, sgC: 3}[named]
	v := view(r)
	for a, groups := range members {
		id := vpc.InterfaceID("eni-" + a)
		v.Members[id] = ruleset.Member{
			ID: id, Domains: []vpc.VPCID{dom}, Groups: groups,
			Addresses: []netip.Addr{netip.MustParseAddr(a)},
		}
	}
	return v
}

// TestApplyAgain: what is in force already is not written again. The next agent writes it once, under
// the numbers that it has.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := groupView(sgB, map[string][]vpc.GroupID{"10.0.0.50": {sgB}, "10.0.0.51": {sgB, sgC}, "10.0.0.52": {sgC}})
	v.Groups[sgA].Rules[0].Peer.Group = sgB
	h.apply(v)
	must(t, h.d.Settle())
	writes, epoch := h.d.Writes(), h.d.Epoch()
	tables, number := h.d.TablesOf(eniA)
	h.apply(v)
	h.compiler = ruleset.Compiler{} // equal, but not the same pointers
	h.apply(v)
	if got := h.d.Writes(); got != writes {
		t.Errorf("%d writes for what was in force", got-writes)
	}

	h.restart()
	h.compiler = ruleset.Compiler{}
	h.apply(v)
	if got := h.d.Epoch(); got != epoch+1 {
		t.Errorf("epoch %d, want %d", got, epoch+1)
	}
	must(t, h.d.Settle())
	writes = h.d.Writes()
	h.apply(v)
	if got := h.d.Writes(); got != writes {
		t.Errorf("%d writes by the next agent for what it has written", got-writes)
	}
	if gotTables, gotNumber := h.d.TablesOf(eniA); gotTables != tables || gotNumber != number {
		t.Errorf("numbers after a restart: tables %x, ENI %d, want %x and %d", gotTables, gotNumber, tables, number)
	}
	h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.51"), own4, 1, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.52"), own4, 1, 80, syn), ruleset.ReasonNoRule)
}

// TestApplyLeavesNothing: whatever was in force before, the maps hold what a fresh host would.
func TestApplyLeavesNothing(t *testing.T) {
	t.Parallel()
	views := map[string]func() *ruleset.View{
		"none":  func() *ruleset.View { return view() },
		"cidrs": func() *ruleset.View { return view(append(allowAll(), rule(false, vpc.TCP, 1, 9, "10.0.0.0/8"))...) },
		"group": func() *ruleset.View { return groupView(sgB, map[string][]vpc.GroupID{"10.0.0.50": {sgB}}) },
		"groups": func() *ruleset.View {
			return groupView(sgC, map[string][]vpc.GroupID{"10.0.0.50": {sgB, sgC}, "10.0.0.51": {sgC}, "10.0.0.52": {sgB}})
		},
		"moved": func() *ruleset.View { return groupView(sgB, map[string][]vpc.GroupID{"10.0.0.51": {sgB}}) },
		"lists": func() *ruleset.View {
			return listView(map[vpc.PrefixListID][]string{"pl-1": {"10.0.0.0/8", "10.0.0.0/24"}, "pl-2": {"10.0.0.0/16"}}, "pl-1", "pl-2")
		},
		"prefixes": func() *ruleset.View {
			v := delegatedView()
			m := v.Members["eni-m"]
			m.Domains = m.Domains[:1]
			v.Members["eni-m"] = m
			return v
		},
		"no ENI": func() *ruleset.View { v := view(); clear(v.ENIs); return v },
	}
	fresh := map[string]datapath.Leftovers{}
	for name, v := range views {
		h := newHost(t, datapath.Options{})
		h.attach(eniA)
		h.apply(v())
		must(t, h.d.Settle())
		var err error
		fresh[name], err = h.d.Holds()
		must(t, err)
	}
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(true, vpc.TCP, 1, 1, "0.0.0.0/0")))
	for from := range views {
		for to, v := range views {
			h.apply(views[from]())
			h.apply(v())
			must(t, h.d.Settle())
			got, err := h.d.Holds()
			must(t, err)
			want := fresh[to]
			if got != want {
				t.Errorf("from %s to %s the maps hold %+v, want %+v", from, to, got, want)
			}
		}
	}
}

// TestApplyFails: what does not fit changes nothing and leaves nothing behind.
func TestApplyFails(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	good := groupView(sgB, map[string][]vpc.GroupID{"10.0.0.50": {sgB}})
	h.apply(good)
	must(t, h.d.Settle())
	before, err := h.d.Holds()
	must(t, err)
	tables, _ := h.d.TablesOf(eniA)

	bad := groupView(sgC, map[string][]vpc.GroupID{"10.0.0.50": {sgC}, "10.0.0.51": {sgC}})
	for i := range 20 {
		bad.Groups[sgA] = ruleset.Group{ID: sgA, Rules: append(bad.Groups[sgA].Rules,
			vpc.Rule{Number: uint32(100 + i), Protocol: vpc.TCP, From: int32(i), To: int32(i), Peer: vpc.Peer{CIDR: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i))}})}
	}
	compiled, members := h.compiler.Compile(bad)
	e := compiled.ENIs[eniA]
	e.Egress = &ruleset.Table{CIDRs: []ruleset.CIDRPorts{
		{CIDR: netip.MustParsePrefix("192.0.2.0/24"), Ports: []ruleset.Interval{{From: 1, To: 1, Rule: 9}}},
		{CIDR: netip.MustParsePrefix("198.51.100.0/24"), Ports: []ruleset.Interval{{From: 1, To: 1, Rule: 1 << 31}}},
	}}
	compiled.ENIs = maps.Clone(compiled.ENIs)
	compiled.ENIs[eniA] = e
	err = h.d.Apply(compiled, members)
	mustFail(t, err, "Apply of a table that does not fit")
	if !strings.Contains(err.Error(), "number 2147483648 of a rule") || !strings.Contains(err.Error(), string(eniA)) {
		t.Errorf("the error says too little: %v", err)
	}
	after, err := h.d.Holds()
	must(t, err)
	if after != before {
		t.Errorf("the maps hold %+v, want %+v as before", after, before)
	}
	if got, _ := h.d.TablesOf(eniA); got != tables {
		t.Errorf("tables %x are in force, want %x as before", got, tables)
	}
	h.want(eniA, ruleset.Ingress, tcp(peer4, own4, 1, 80, syn), ruleset.ReasonRule)
	h.apply(groupView(sgC, map[string][]vpc.GroupID{"10.0.0.51": {sgC}}))
	h.want(eniA, ruleset.Ingress, tcp(peer4, own4, 2, 80, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.51"), own4, 2, 80, syn), ruleset.ReasonRule)
}

// TestApplyFull fails in each map that can be full, in the middle of a change.
func TestApplyFull(t *testing.T) {
	t.Parallel()
	good := func() *ruleset.View {
		return groupView(sgB, map[string][]vpc.GroupID{"10.0.0.50": {sgB}, "10.0.0.51": {sgC}})
	}
	crowded := groupView(sgC, map[string][]vpc.GroupID{"10.0.0.50": {sgC}})
	r := crowded.Groups[sgA].Rules
	for i := range 10 {
		r = append(r, vpc.Rule{Number: uint32(100 + i), Protocol: vpc.TCP, From: int32(i), To: int32(i), Peer: vpc.Peer{CIDR: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i))}})
		a := netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		id := vpc.InterfaceID("eni-" + a.String())
		crowded.Members[id] = ruleset.Member{
			ID: id, Domains: []vpc.VPCID{dom}, Addresses: []netip.Addr{a},
			Groups: []vpc.GroupID{sgC, vpc.GroupID(fmt.Sprintf("sg-z%d", i))},
		}
	}
	crowded.Groups[sgA] = ruleset.Group{ID: sgA, Rules: r}
	crowded.Lists = map[vpc.PrefixListID][]netip.Prefix{}
	for i := range 4 * datapath.ChunkLines { // a leaf has room for four and what is between them
		crowded.Lists["pl-1"] = append(crowded.Lists["pl-1"], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i << 1)}), 32))
	}
	eni := crowded.ENIs[eniA]
	for i := range 10 {
		eni.Addresses = append(eni.Addresses, netip.AddrFrom4([4]byte{10, 0, 2, byte(i)}))
	}
	crowded.ENIs[eniA] = eni

	for name, size := range map[string]uint32{"pool": 1, "addresses": 8, "names": 4} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, datapath.Options{}.WithSizes(map[string]uint32{name: size}))
			h.attach(eniA)
			h.apply(good())
			must(t, h.d.Settle())
			before, err := h.d.Holds()
			must(t, err)
			err = h.d.Apply(h.compiler.Compile(crowded))
			mustFail(t, err, "Apply of more than there is room for")
			if want := fmt.Sprintf("full with %d entries", size); !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			after, err := h.d.Holds()
			must(t, err)
			if after != before {
				t.Errorf("the maps hold %+v, want %+v as before", after, before)
			}
			for i, v := range []*ruleset.View{nil, good()} {
				if v != nil {
					h.apply(v)
				}
				h.want(eniA, ruleset.Ingress, tcp(peer4, own4, uint16(2*i+1), 80, syn), ruleset.ReasonRule)
				h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.51"), own4, uint16(2*i+2), 80, syn), ruleset.ReasonNoRule)
				h.want(eniA, ruleset.Egress, tcp(netip.MustParseAddr("10.0.2.1"), remote4, 1, 80, syn), ruleset.ReasonSourceAddress)
			}
		})
	}
}

// TestSearch holds the search of the programs against the slow one, for port sets of every depth.
func TestSearch(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 60, 127, 1000, 1023, 1024, 1025, 10_000} {
		table := &ruleset.Table{Direction: ruleset.Ingress, CIDRs: []ruleset.CIDRPorts{{CIDR: netip.MustParsePrefix("198.51.100.0/24")}}}
		for i := range uint32(n) {
			table.CIDRs[0].Ports = append(table.CIDRs[0].Ports, ruleset.Interval{From: 6<<16 | (10 + 4*i), To: 6<<16 | (11 + 4*i), Rule: i + 1})
		}
		must(t, h.d.Apply(ruleset.Tables{ENIs: map[vpc.InterfaceID]ruleset.ENITables{
			eniA: {ENI: view().ENIs[eniA], Ingress: table, Egress: &ruleset.Table{}},
		}}, nil))
		for _, i := range []int{-1, 0, 1, 2, n/2 - 1, n / 2, n/2 + 1, n - 2, n - 1, n} {
			for port := 10 + 4*i - 1; port <= 10+4*i+2; port++ {
				if port < 1 {
					continue
				}
				want := ruleset.Find(table.CIDRs[0].Ports, 6<<16|uint32(port))
				got := h.run(eniA, ruleset.Ingress, tcp(remote4, own4, uint16(n), uint16(port), rst|ack).bytes())
				if got.Reason != ruleset.ReasonTracked && got.Rule != want {
					t.Fatalf("%d intervals, port %d: rule %d, want %d", n, port, got.Rule, want)
				}
			}
		}
	}
}

// sending sends packets in through one gate without a pause until end is called, which returns how
// many passed and how many did not. The frames should open no connection, or only the first of each
// is judged by the rules.
func (h *host) sending(eni vpc.InterfaceID, frames ...frame) (end func() (passed, dropped int)) {
	var wg sync.WaitGroup
	var once sync.Once
	started, stop := make(chan struct{}), make(chan struct{})
	passed, dropped := 0, 0
	device := h.devices[eni]
	wg.Go(func() {
		h.do(func() {
			defer once.Do(func() { close(started) })
			for {
				for _, f := range frames {
					v, err := h.d.Run(ruleset.Ingress, device, f.bytes())
					if err != nil {
						h.t.Errorf("run: %v", err)
						return
					}
					if v.Action == ruleset.Allow {
						passed++
					} else {
						dropped++
					}
				}
				once.Do(func() { close(started) })
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	})
	<-started
	return func() (int, int) {
		close(stop)
		wg.Wait()
		return passed, dropped
	}
}
