package datapath_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// What layouts 3 and 4 know and layout 2 did not: rules that are counted, flows that nobody tracks, and observed
// ones. Rules of eniB: tracked lets in eniA's subnet, web everybody, all lets everything out.
const (
	flowsTracked, flowsWeb, flowsAll = olderRuleIn, 33, 34
	flowsWebPort, flowsObservedPort  = 8080, 5000

	layout3Everyone      = 1 << 0  // INTERVAL_EVERYONE
	layout3OpenEgressTCP = 1 << 12 // ENI_OPEN_EGRESS_TCP4
)

// flows are those that an agent of layout 3 or 4 left.
type flows struct {
	*older
	tracked, untracked stream
	packets            map[uint32]uint64 // by rule of eniB, so far
	observed           uint64
}

func newFlows(t *testing.T, layout uint64) *flows {
	t.Helper()
	f := &flows{older: newBareOlder(t, layout, datapath.Options{})}
	for i, rule := range []uint32{flowsWeb, flowsAll} {
		f.put("rule_slots", [2]uint32{olderB, rule}, uint32(olderPlaceIn+1+i))
	}
	guests := olderGuests()
	f.filter(guests[0])
	f.observeUntil = 1 << 62 // jiffies: for good
	f.filter(guests[1], layout3OpenEgressTCP)
	f.allow(olderOutOfA, "0.0.0.0/0", olderRuleOut, ports(vpc.TCP, 0, 1<<16), ports(vpc.UDP, 0, 1<<16))
	all := ports(vpc.TCP, 0, 1<<16)
	f.write(olderOutOfB, "0.0.0.0/0", olderInterval{all[0], all[1], flowsAll, layout3Everyone})
	tracked, web := ports(vpc.TCP, 80, 1), ports(vpc.TCP, flowsWebPort, 1)
	f.write(olderIntoB, "10.0.0.0/24", olderInterval{tracked[0], tracked[1], flowsTracked, 0}, olderInterval{web[0], web[1], flowsWeb, layout3Everyone})
	f.tracked, f.untracked = f.dial(80), f.dial(flowsWebPort)
	f.write(olderIntoB, "10.0.0.0/24", olderInterval{web[0], web[1], flowsWeb, layout3Everyone})
	for range 10 {
		f.talk("before")
	}
	f.put("event_budgets", uint32(olderSlotOfB), [2]uint64{0, 7})
	f.packets = map[uint32]uint64{}
	for rule, place := range map[uint32]uint32{flowsTracked: olderPlaceIn, flowsWeb: olderPlaceIn + 1} {
		var cpus [][5]uint64
		must(t, f.maps["rule_counts"].Lookup(place, &cpus))
		for _, c := range cpus {
			f.packets[rule] += c[0]
		}
		if f.packets[rule] < 10 {
			t.Fatalf("layout %d has counted %d packets of rule %d", layout, f.packets[rule], rule)
		}
	}
	var cpus [][]byte
	must(t, f.maps["counters"].Lookup(uint32(2*olderSlotOfB), &cpus))
	for _, c := range cpus {
		f.observed += binary.NativeEndian.Uint64(c[32*8:])
	}
	if f.observed < 10 {
		t.Fatalf("layout %d has counted %d observed packets", layout, f.observed)
	}
	return f
}

// talk has each flow carry something.
func (f *flows) talk(when string) {
	f.t.Helper()
	if err := f.tracked.echo(); err != nil {
		f.t.Errorf("%s: the tracked connection: %v", when, err)
	}
	if err := f.untracked.echo(); err != nil {
		f.t.Errorf("%s: the untracked flow: %v", when, err)
	}
	if err := f.observe(); err != nil {
		f.t.Errorf("%s: the observed flow: %v", when, err)
	}
}

func (f *flows) observe() error {
	return streamtest.Exchange(f.a, f.b, trackedSource, flowsObservedPort, 1)
}

// flowsView says what the older maps did: the rule of the tracked connection is gone.
func flowsView(web bool, observe time.Time) *ruleset.View {
	v := gapViews()[0]
	numbered := func(r vpc.Rule, n uint32) vpc.Rule { r.Number = n; return r }
	v.Groups[sgA] = ruleset.Group{ID: sgA, Rules: []vpc.Rule{numbered(rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), olderRuleOut)}}
	rules := []vpc.Rule{numbered(rule(true, vpc.TCP, 0, 65535, "0.0.0.0/0"), flowsAll)}
	if web {
		rules = append(rules, numbered(rule(false, vpc.TCP, flowsWebPort, flowsWebPort, "0.0.0.0/0"), flowsWeb))
	}
	v.Groups[sgB] = ruleset.Group{ID: sgB, Rules: rules}
	eni := v.ENIs[eniB]
	eni.Observe = observe
	v.ENIs[eniB] = eni
	return v
}

// TestUpgradeFlows: what an upgrade carries over goes on as it does when an agent of the same layout is
// restarted, wherever one dies in the middle.
func TestUpgradeFlows(t *testing.T) {
	t.Parallel()
	for _, layout := range olderLayouts[1:] {
		t.Run(fmt.Sprint(layout), func(t *testing.T) {
			t.Parallel()
			t.Run("whole", func(t *testing.T) {
				t.Parallel()
				upgradeFlows(t, layout, 0)
			})
			if layout != newestOlder && os.Getenv("SOAK") == "" {
				return
			}
			for done := range 5 {
				t.Run(fmt.Sprintf("dead after step %d", done+1), func(t *testing.T) {
					t.Parallel()
					upgradeFlows(t, layout, done+1)
				})
			}
		})
	}
}

func upgradeFlows(t *testing.T, layout uint64, dead int) {
	f := newFlows(t, layout)
	before := time.Now()
	f.host.open()
	f.talk("while the older programs filter")
	observed := flowsView(true, time.Now().Add(time.Hour))
	if dead > 0 {
		tables, members := f.compiler.Compile(observed)
		f.do(func() { must(t, f.d.DieUpgrading(tables, members, dead)) })
		f.talk("after a death")
		for rule, c := range f.ruleCounts() { // by our programs, if they are on the device by then
			f.packets[rule] = max(f.packets[rule], c.Packets)
		}
		f.restart()
	}
	f.apply(observed)
	f.talk("after the upgrade")
	for range 3 { // what nothing names any more goes with the second
		_, err := f.d.Sweep()
		must(t, err)
	}
	counts := f.ruleCounts()
	for rule, least := range f.packets {
		if c := counts[rule]; c.Packets <= least || c.First.After(before) {
			t.Errorf("of rule %d there is counted %+v, want more than %d packets", rule, c, least)
		}
		if got := counts[rule].Connections; rule != flowsAll && got != 1 {
			t.Errorf("rule %d has begun %d connections, want 1", rule, got)
		}
	}
	f.talk("after sweeps")
	for rule, c := range f.ruleCounts() {
		if c.Packets <= counts[rule].Packets {
			t.Errorf("packets that rule %d lets through are counted no more", rule)
		}
	}
	list, err := f.d.Connections(eniB)
	must(t, err)
	for what, is := range map[string]func(datapath.Connection) bool{
		"the tracked connection": func(c datapath.Connection) bool { return c.Established && c.Rule == flowsTracked && c.Revision == 7 },
		"the untracked flow":     func(c datapath.Connection) bool { return c.Untracked && c.Rule == flowsWeb },
		"the observed flow":      func(c datapath.Connection) bool { return c.Observed && c.RemotePort == trackedSource },
	} {
		if !slices.ContainsFunc(list, func(c datapath.Connection) bool {
			return is(c) && c.Packets[ruleset.Ingress] > 10 && c.Created.Before(before.Add(20*time.Millisecond)) // which are a few ticks
		}) {
			t.Errorf("%s is not what it was: %+v", what, list)
		}
	}
	all, err := f.d.Counts()
	must(t, err)
	for _, c := range all {
		if c.ENI == eniB && c.Direction == ruleset.Ingress && (c.LostEvents < 7 || c.Observed <= f.observed) {
			t.Errorf("counted are %d observed packets and %d lost events, there were %d and 7", c.Observed, c.LostEvents, f.observed)
		}
	}

	// And ends as it would have.
	f.apply(flowsView(false, time.Time{}))
	if err := f.tracked.echo(); err != nil {
		t.Errorf("the tracked connection: %v", err)
	}
	if f.untracked.echoFor(300*time.Millisecond) == nil {
		t.Error("the untracked flow outlives its rule")
	}
	if f.arrives(trackedSource, flowsObservedPort) {
		t.Error("the observed flow outlives the observation")
	}
}

// TestUpgradeBuckets: connections of layout 4 live on, wherever they stand; where there is no room for all now, it is
// half-open ones that do not.
func TestUpgradeBuckets(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mask   uint32
		beside int // of 10 connections
	}{
		"one":        {0, 4},
		"two chunks": {layout4BucketMask, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upgradeBuckets(t, tt.mask, tt.beside)
		})
	}
}

func upgradeBuckets(t *testing.T, mask uint32, wantBeside int) {
	const connections = 10
	l := newBareOlder(t, 4, datapath.Options{MaxConnections: connections})
	l.bucketMask = mask
	for _, g := range olderGuests() {
		l.filter(g)
	}
	l.allow(olderOutOfA, "0.0.0.0/0", olderRuleOut, ports(vpc.UDP, 0, 1<<16))
	l.allow(olderIntoB, "10.0.0.0/24", olderRuleIn, ports(vpc.UDP, 0, 1<<16))
	talk := func(when string) {
		t.Helper()
		for i := range uint16(connections) {
			if err := streamtest.Exchange(l.a, l.b, trackedSource+i, trackedPort, 2); err != nil {
				t.Errorf("%s: connection %d: %v", when, i, err)
			}
		}
	}
	talk("new")
	for i := range uint16(3) {
		if !l.arrives(1000+i, openPort) {
			t.Errorf("a packet that begins a flow does not arrive")
		}
	}
	var inner *ebpf.Map
	must(t, l.maps["connections"].Lookup(uint32(olderSlotOfB), &inner))
	defer inner.Close()
	beside := 0
	var key, value []byte
	it := inner.Iterate()
	for it.Next(&key, &value) {
		beside++
	}
	must(t, it.Err())
	if beside != wantBeside {
		t.Fatalf("%d connections stand beside the buckets, want %d", beside, wantBeside)
	}
	l.allow(olderIntoB, "10.0.0.0/24", olderRuleIn, ports(vpc.UDP, openPort, openPorts))
	l.host.open()
	talk("while the older programs filter")
	l.apply(gapViews()[0])
	l.wantLayouts(map[string]uint64{"maps": datapath.Layout})
	talk("after the upgrade")
	for _, eni := range []vpc.InterfaceID{eniA, eniB} {
		if established, _ := l.d.Occupancy(eni); established != connections {
			t.Errorf("%s has %d established connections, want %d", eni, established, connections)
		}
	}
	list, err := l.d.Connections(eniB)
	must(t, err)
	n := 0
	for _, c := range list {
		if c.Established && c.Rule == olderRuleIn && c.Revision == 7 && c.Packets[ruleset.Ingress] >= 6 {
			n++
		}
	}
	if n != connections {
		t.Errorf("%d connections are as they were, want %d: %+v", n, connections, list)
	}
}

// TestUpgradeEntries: of an entry of layout 4 its flags are carried over, and what it says is of one moment, while
// programs write it.
func TestUpgradeEntries(t *testing.T) {
	t.Parallel()
	flag, err := datapath.CEnum("connection_flag")
	must(t, err)
	flags := func(names ...string) (all uint64) {
		for _, name := range names {
			all |= flag["CONNECTION_"+name]
		}
		return all
	}
	closing := flags("TRACKED", "BY_GUEST", "ANSWERED", "ESTABLISHED", "NEXT_INGRESS", "NEXT_EGRESS", "FIN_INGRESS")
	reset, cut := flags("TRACKED", "RST", "FIN_EGRESS"), flags("UNTRACKED", "CUT", "BY_GUEST", "ANSWERED")
	tracked, observed := flags("TRACKED"), flags("OBSERVED")
	busy, changing := flags("BUSY"), flags("UNTRACKED", "CHANGING")
	type looks = []datapath.Layout4Look // tag and revision; the last one stays
	const v1, v2, v3 = 0xcafe_0001_0000, 0xcafe_0002_0000, 0xcafe_0003_0000
	for name, tt := range map[string]struct {
		looks looks
		want  datapath.Layout4Look // zeros: it is passed over
	}{
		"closing":                  {looks{{v1 | closing, 7}}, datapath.Layout4Look{closing, 7}},
		"reset":                    {looks{{v1 | reset, 7}}, datapath.Layout4Look{reset, 7}},
		"cut":                      {looks{{v1 | cut, 7}}, datapath.Layout4Look{cut, 7}},
		"observed":                 {looks{{observed, 7}}, datapath.Layout4Look{observed, 7}},
		"nothing":                  {looks{{v1, 7}}, datapath.Layout4Look{}},
		"begins":                   {looks{{v1 | busy, 7}}, datapath.Layout4Look{}},
		"is changed for ever":      {looks{{v1 | changing, 7}}, datapath.Layout4Look{}},
		"has changed":              {looks{{v1 | changing, 7}, {v1 | cut, 8}}, datapath.Layout4Look{cut, 8}},
		"goes":                     {looks{{v1 | tracked, 7}, {v1 | tracked, 7}, {v1, 7}}, datapath.Layout4Look{}},
		"is another's":             {looks{{v1 | tracked, 7}, {v2 | tracked, 8}}, datapath.Layout4Look{tracked, 8}},
		"gets flags":               {looks{{v1 | tracked, 7}, {v1 | closing, 7}}, datapath.Layout4Look{closing, 7}},
		"has been written halfway": {looks{{v1 | tracked, 7}, {v1 | tracked, 8}, {v2 | cut, 8}}, datapath.Layout4Look{cut, 8}},
		"is seen with its tag":     {looks{{v1 | tracked, 7}, {v2 | tracked, 7}, {v2 | tracked, 8}}, datapath.Layout4Look{tracked, 8}},
		"changes all the time": {looks{
			{v1 | tracked, 7}, {v2 | tracked, 8}, {v2 | changing, 9}, {v2 | tracked, 10}, {v3 | tracked, 11},
		}, datapath.Layout4Look{tracked, 11}},
	} {
		if got := datapath.CarryLayout4(tt.looks); got != tt.want {
			t.Errorf("what %s has after the upgrade flags and revision %#x, want %#x", name, got, tt.want)
		}
	}
}

// TestUpgradePurged: what removes the filters removes both layouts of an upgrade that has begun.
func TestUpgradePurged(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		l := newOlder(t, newestOlder, datapath.Options{Attach: mode})
		l.host.open()
		must(t, l.d.Close())
		l.d = nil
		l.do(func() { must(t, datapath.Purge(l.options.Pins)) })
		if _, err := os.Stat(l.options.Pins); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %s is there still: %v", mode, l.options.Pins, err)
		}
		for end := time.Now().Add(time.Minute); !l.arrives(1000, shutIn); { // the kernel removes a link in its own time
			if time.Now().After(end) {
				t.Fatalf("%s: what no rule allowed does not arrive when there is no filter", mode)
			}
		}
	}
}

// ruleCounts are those of eniB.
func (f *flows) ruleCounts() map[uint32]datapath.RuleCount {
	f.t.Helper()
	list, err := f.d.RuleCounts()
	must(f.t, err)
	counts := map[uint32]datapath.RuleCount{}
	for _, c := range list {
		if c.ENI == eniB {
			counts[c.Rule] = c
		}
	}
	return counts
}
