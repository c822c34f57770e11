package datapath_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// wantRules fails unless the rules of all ENIs counted so: "eni rule: packets bytes connections".
func (h *host) wantRules(want ...string) {
	h.t.Helper()
	counts, err := h.d.RuleCounts()
	must(h.t, err)
	var got []string
	for _, c := range counts {
		got = append(got, fmt.Sprintf("%s %d: %d %d %d", strings.TrimPrefix(string(c.ENI), "eni-0000000000000000"), c.Rule, c.Packets, c.Bytes, c.Connections))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.t.Errorf("RuleCounts() = %q, want %q", got, want)
	}
}

// both is two ENIs with the same groups and rules.
func both(rules ...vpc.Rule) *ruleset.View {
	v := view(rules...)
	b := v.ENIs[eniA]
	b.ID, b.MAC, b.Addresses = eniB, otherMAC, []netip.Addr{peer4}
	v.ENIs[eniB] = b
	return v
}

// size is the length of the IP packet in a frame.
func size(f frame) int { return len(f.bytes()) - 14 }

// TestRuleCounts: a rule counts what it lets through and what belongs to the connections that it
// opened, on each ENI apart, until that is detached.
func TestRuleCounts(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.attach(eniB)
	h.apply(both(
		rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"), rule(true, vpc.TCP, 81, 81, "198.51.100.0/24"),
		rule(false, vpc.ICMP, 3, -1, "198.51.100.0/24"),
	))
	h.wantRules()
	in := tcp(remote4, own4, 1, 80, syn)
	n := size(in)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, in.reply(), ruleset.ReasonTracked)
	h.wantRules(fmt.Sprintf("a 1: 3 %d 1", 3*n))
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 82, syn), ruleset.ReasonNoRule)
	h.want(eniB, ruleset.Egress, tcp(peer4, remote4, 2, 81, syn).with("B", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonRule)
	h.wantRules(fmt.Sprintf("a 1: 4 %d 2", 4*n), fmt.Sprintf("b 2: 1 %d 1", n))

	// Time, restarts and revisions that change nothing for the rule.
	counts, err := h.d.RuleCounts()
	must(t, err)
	first := counts[0]
	if since := time.Since(first.First); first.First != first.Last || since > time.Minute || since < -2*time.Second {
		t.Errorf("First %s, Last %s, want now", first.First, first.Last)
	}
	must(t, h.d.Advance(time.Hour))
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 3, 80, syn), ruleset.ReasonRule)
	h.restart()
	h.apply(both(
		rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"), rule(true, vpc.TCP, 81, 81, "198.51.100.0/24"),
		rule(true, vpc.TCP, 83, 83, "198.51.100.0/24"),
	))
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 3, 80, syn), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 3, 83, syn), ruleset.ReasonRule)
	h.wantRules(fmt.Sprintf("a 1: 6 %d 3", 6*n), fmt.Sprintf("a 3: 1 %d 1", n), fmt.Sprintf("b 2: 1 %d 1", n))
	counts, err = h.d.RuleCounts()
	must(t, err)
	if got := counts[0].Last.Sub(counts[0].First); got < time.Hour-2*time.Second || got > time.Hour+2*time.Second {
		t.Errorf("from the first to the last packet: %s, want 1h", got)
	}

	h.do(func() { must(t, h.d.Detach(h.devices[eniA])) })
	h.wantRules(fmt.Sprintf("b 2: 1 %d 1", n))
	h.do(func() { must(t, h.d.Attach(h.devices[eniA], "g0", eniA)) })
	h.wantRules(fmt.Sprintf("b 2: 1 %d 1", n))
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	h.wantRules(fmt.Sprintf("a 1: 1 %d 1", n), fmt.Sprintf("b 2: 1 %d 1", n))
}

// TestOpenConnections: what an ENI has, by the rule that admitted it, as of the last sweep.
func TestOpenConnections(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.attach(eniB)
	v := view(
		rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"), rule(true, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.ICMP, -1, -1, "0.0.0.0/0"),
	)
	b := v.ENIs[eniA]
	b.ID = eniB
	v.ENIs[eniB] = b
	h.apply(v)
	sweep := func() { h.do(func() { _, err := h.d.Sweep(); must(t, err) }) }
	want := func(what string, want map[vpc.InterfaceID]map[uint32]uint64) {
		t.Helper()
		if got := h.d.OpenConnections(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	if got := h.d.OpenConnections(); got != nil {
		t.Errorf("before the first sweep: %v, want nil", got)
	}
	first := tcp(remote4, own4, 1, 80, syn)
	h.want(eniA, ruleset.Ingress, first, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonTracked)
	first.flags = ack
	h.want(eniA, ruleset.Ingress, first, ruleset.ReasonTracked)                       // established
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 80, syn), ruleset.ReasonRule) // half-open
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 82, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Egress, udp(own4, remote4, 4000, 53), ruleset.ReasonRule)
	h.want(eniB, ruleset.Ingress, icmp(remote4, own4, 8, 0, 7), ruleset.ReasonRule)
	want("not swept yet", nil)
	sweep()
	want("of every state", map[vpc.InterfaceID]map[uint32]uint64{eniA: {1: 2, 2: 1}, eniB: {3: 1}})

	reset := tcp(remote4, own4, 2, 80, rst)
	h.want(eniA, ruleset.Ingress, reset, ruleset.ReasonTracked)
	sweep()
	want("reset", map[vpc.InterfaceID]map[uint32]uint64{eniA: {1: 1, 2: 1}, eniB: {3: 1}})

	must(t, h.d.Advance(10*time.Minute)) // only what is established lives so long
	sweep()
	want("expired", map[vpc.InterfaceID]map[uint32]uint64{eniA: {1: 1}, eniB: {}})
	h.do(func() { _, err := h.d.Cut(eniA, func(datapath.Connection) bool { return true }); must(t, err) })
	sweep()
	want("cut", map[vpc.InterfaceID]map[uint32]uint64{eniA: {}, eniB: {}})
	h.do(func() { must(t, h.d.Detach(h.devices[eniB])) })
	sweep()
	want("detached", map[vpc.InterfaceID]map[uint32]uint64{eniA: {}})
}

// TestRuleCountsSegments: a packet that the kernel has yet to cut counts as what it will be.
func TestRuleCountsSegments(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "198.51.100.0/24")))
	in := tcp(remote4, own4, 1, 80, syn)
	data := in.reply()
	data.flags, data.data = ack, make([]byte, 2500)
	h.do(func() {
		const gsoSegs, gsoSize = 164, 176 // in struct __sk_buff
		run := func(program string, f frame, at, value int) {
			context := make([]byte, 192)
			binary.NativeEndian.PutUint32(context[40:], uint32(h.devices[eniA]))
			binary.NativeEndian.PutUint32(context[at:], uint32(value))
			_, err := h.d.Programs()[program].Run(&ebpf.RunOptions{Data: f.bytes(), Context: context})
			must(t, err)
		}
		run("to_guest", in, gsoSegs, 7)
		run("from_guest", data, gsoSize, 1000) // as a virtual machine sends it
		data.data = data.data[:2000]
		run("from_guest", data, gsoSize, 1000)
	})
	h.wantRules(fmt.Sprintf("a 1: 12 %d 1", size(in)+2*size(data)+500))
	counters, err := h.d.Counters()
	must(t, err)
	if got := counters[eniA]; got[ruleset.ReasonRule] != 7 || got[ruleset.ReasonTracked] != 5 {
		t.Errorf("packets: %v, want 7 by the rule and 3 + 2 of the connection", got)
	}
}

// TestRuleCountersFreed: the counter of a rule that is gone stays while a connection counts there, and
// serves another rule, from zero, after that.
func TestRuleCountersFreed(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock().WithSizes(map[string]uint32{"rule_counts": 3}))
	h.attach(eniA)
	web, dns := rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"), rule(false, vpc.UDP, 53, 53, "198.51.100.0/24")
	web.Number, dns.Number = 1, 2
	h.apply(view(web, dns))
	in := tcp(remote4, own4, 1, 80, syn)
	n := size(in)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	places := func(want int) {
		t.Helper()
		if got, err := h.d.RulePlaces(); err != nil || got != want {
			t.Errorf("RulePlaces() = %d, %v; want %d", got, err, want)
		}
	}
	sweep := func() {
		t.Helper()
		_, err := h.d.Sweep()
		must(t, err)
	}
	places(2)
	ssh := rule(false, vpc.TCP, 22, 22, "198.51.100.0/24")
	ssh.Number = 3
	h.apply(view(ssh))
	places(2) // no room yet
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, 22, syn), ruleset.ReasonRule)
	sweep()
	sweep()
	places(1) // of the connection
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonTracked)
	h.wantRules(fmt.Sprintf(" 0: 1 %d 1", n), fmt.Sprintf("a 1: 2 %d 1", 2*n))
	h.apply(view(ssh, dns))
	places(2)
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 22, syn), ruleset.ReasonRule)

	must(t, h.d.Advance(time.Hour))
	sweep() // the connections expire
	sweep()
	places(1) // of dns
	h.apply(view(ssh, dns))
	h.restart()
	h.apply(view(ssh, dns))
	places(2)
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 3, 22, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, udp(remote4, own4, 3, 53), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonNoRule)
}

// TestRuleCountersFull: what finds no room is counted together, and said once.
func TestRuleCountersFull(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHost(t, datapath.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}.WithTestClock().
		WithSizes(map[string]uint32{"rule_counts": 2}))
	h.attach(eniA)
	rules := []vpc.Rule{rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 81, 81, "0.0.0.0/0"), rule(false, vpc.TCP, 82, 82, "0.0.0.0/0")}
	h.apply(view(rules...))
	n := size(tcp(remote4, own4, 1, 80, syn))
	for port := uint16(80); port <= 82; port++ {
		h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, port, syn), ruleset.ReasonRule)
	}
	h.wantRules(fmt.Sprintf(" 0: 2 %d 2", 2*n), fmt.Sprintf("a 1: 1 %d 1", n))
	h.apply(view(append(rules, rule(false, vpc.TCP, 83, 83, "0.0.0.0/0"))...))
	if got := strings.Count(log.String(), "rules are counted together"); got != 1 {
		t.Errorf("logged %d times that rules are counted together, want once:\n%s", got, log.String())
	}
}

// TestRuleCountersOfOneLine: of rules whose counters are looked for in one line of memory as many have one as it has
// words, through a restart, too; the others are counted together.
func TestRuleCountersOfOneLine(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	eni, err := h.d.NumberOf(eniA)
	must(t, err)
	const words, others = 8, 2
	rules := []vpc.Rule{rule(false, vpc.TCP, 1, 1, "0.0.0.0/0")}
	rules[0].Number = 1
	for number := uint32(2); len(rules) < words+others; number++ {
		if datapath.RuleLine(eni, number) == datapath.RuleLine(eni, 1) {
			port := int32(len(rules) + 1)
			next := rule(false, vpc.TCP, port, port, "0.0.0.0/0")
			next.Number = number
			rules = append(rules, next)
		}
	}
	send := func(remotePort uint16) {
		t.Helper()
		for i := range rules {
			h.want(eniA, ruleset.Ingress, tcp(remote4, own4, remotePort, uint16(i+1), syn), ruleset.ReasonRule)
		}
	}
	h.apply(view(rules...))
	send(1)
	h.restart()
	h.apply(view(rules...))
	send(2)
	n := size(tcp(remote4, own4, 1, 1, syn))
	want := []string{fmt.Sprintf(" 0: %d %d %d", 2*others, 2*others*n, 2*others)}
	for _, r := range rules[:words] {
		want = append(want, fmt.Sprintf("a %d: 2 %d 2", r.Number, 2*n))
	}
	h.wantRules(want...)
}

// TestConnectionCountsGoOn: what a connection has counted does not end where the word of a direction is full.
func TestConnectionCountsGoOn(t *testing.T) {
	t.Parallel()
	const packets, bytes = 1<<23 - 2, 1<<39 - 100
	for _, local := range []netip.Addr{own4, own6} {
		h := newHost(t, datapath.Options{}.WithTestClock())
		h.attach(eniA)
		h.apply(view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.UDP, 53, 53, "::/0")))
		remote := remote4
		if local.Is6() {
			remote = remote6
		}
		in, out := udp(remote, local, 1, 53), udp(local, remote, 53, 1)
		h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, out, ruleset.ReasonTracked)
		const rounds, each = 3, 4
		for range rounds {
			must(t, h.d.Raise(eniA, packets, bytes))
			for range each {
				h.want(eniA, ruleset.Ingress, in, ruleset.ReasonTracked)
				h.want(eniA, ruleset.Egress, out, ruleset.ReasonTracked)
			}
		}
		list, err := h.d.Connections(eniA)
		must(t, err)
		wantPackets := uint64(rounds*(packets+each) + 1)
		wantIn, wantOut := uint64(rounds*(bytes+each*size(in))+size(in)), uint64(rounds*(bytes+each*size(out))+size(out))
		if len(list) != 1 || list[0].Packets != [2]uint64{wantPackets, wantPackets} || list[0].Bytes != [2]uint64{wantIn, wantOut} {
			t.Errorf("%s: %+v, want %d packets each way, %d bytes in and %d out", local, list, wantPackets, wantIn, wantOut)
		}
	}
}

// TestCountsKept: an upgrade takes over counts of any size.
func TestCountsKept(t *testing.T) {
	t.Parallel()
	packets, bytes := [2]uint64{1<<24 + 3, 1}, [2]uint64{1<<52 + 7, 1 << 39}
	if gotPackets, gotBytes := datapath.CountsKept(packets, bytes); gotPackets != packets || gotBytes != bytes {
		t.Errorf("%v packets and %v bytes are %v and %v", packets, bytes, gotPackets, gotBytes)
	}
}

// listen lets ReadEvents take in what there is.
func (h *host) listen() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	d := h.d
	go func() { done <- d.ReadEvents(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			h.t.Errorf("ReadEvents: %v", err)
		}
	})
}

// wantDrops waits until RecentDrops are those, whatever their order.
func (h *host) wantDrops(want ...string) {
	h.t.Helper()
	var got []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = nil
		for _, s := range h.d.RecentDrops() {
			line := fmt.Sprintf("%s %s %s %d %s %d x%d", strings.TrimPrefix(string(s.ENI), "eni-0000000000000000"), s.Direction, s.Reason, s.Protocol, s.Remote, s.Port, s.Count)
			if s.Observed {
				line += " observed"
			}
			got = append(got, line)
		}
		if sameLines(got, want) {
			return
		}
	}
	h.t.Errorf("RecentDrops() = %q, want %q", got, want)
}

func sameLines(a, b []string) bool {
	seen := map[string]int{}
	for _, line := range a {
		seen[line]++
	}
	for _, line := range b {
		seen[line]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestRecentDrops: what is dropped can be told by its far side, port and reason.
func TestRecentDrops(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, 81, syn), ruleset.ReasonNoRule) // before anybody listens
	h.listen()
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 81, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, udp(own6, remote6, 1, 53), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Egress, icmp(own4, remote4, 8, 0, 1), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Egress, arp(1, otherMAC, own4, router4), ruleset.ReasonARP)
	h.wantDrops(
		"a ingress no-rule 6 198.51.100.7 81 x2",
		"a egress no-rule 17 2001:db8:ffff::1 53 x1",
		"a egress no-rule 1 198.51.100.7 0 x1",
		"a egress arp 0 invalid IP 0 x1",
	)
	counts, err := h.d.Counts()
	must(t, err)
	for _, c := range counts {
		if at := c.Last[ruleset.ReasonNoRule]; c.ENI == eniA && (at.IsZero() || time.Since(at) > time.Minute) {
			t.Errorf("%s: last drop for no-rule at %s, want now", c.Direction, at)
		}
		if at := c.Last[ruleset.ReasonRule]; !at.IsZero() {
			t.Errorf("%s: a drop for reason rule at %s", c.Direction, at)
		}
	}
	h.do(func() { must(t, h.d.Detach(h.devices[eniA])) })
	h.wantDrops()
}

// TestRecentDropsBounded: a scan pushes out the oldest, and never grows what is kept.
func TestRecentDropsBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(view())
	h.listen()
	var want []string
	for port := uint16(1); port <= 100; port++ {
		must(t, h.d.Advance(10*time.Millisecond))
		h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, port, syn), ruleset.ReasonNoRule)
		if port > 100-datapath.MaxDropSamples {
			want = append(want, fmt.Sprintf("a ingress no-rule 6 198.51.100.7 %d x1", port))
		}
	}
	h.wantDrops(want...)
}

// TestPromise11Events: a flood of drops at one ENI makes so many events and no more, and takes none
// from another.
func TestPromise11Events(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.attach(eniB)
	h.apply(both())
	lost := func(eni vpc.InterfaceID) uint64 {
		t.Helper()
		counts, err := h.d.Counts()
		must(t, err)
		for _, c := range counts {
			if c.ENI == eni && c.Direction == ruleset.Ingress {
				return c.LostEvents
			}
		}
		t.Fatalf("no counts of %s", eni)
		return 0
	}
	flood := func(n int) {
		t.Helper()
		for range n {
			h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 1, 80, syn), ruleset.ReasonNoRule)
		}
	}
	flood(1000)
	h.want(eniB, ruleset.Ingress, tcp(remote4, peer4, 1, 80, syn), ruleset.ReasonNoRule)
	if a, b := lost(eniA), lost(eniB); a != 800 || b != 0 {
		t.Errorf("lost events: %d and %d, want 800 of the flooded one and 0", a, b)
	}
	h.listen()
	h.wantDrops("a ingress no-rule 6 198.51.100.7 80 x200", "b ingress no-rule 6 198.51.100.7 80 x1")
	must(t, h.d.Advance(time.Second))
	flood(150)
	if got := lost(eniA); got != 850 {
		t.Errorf("lost events: %d, want 850: a second has made room for 100", got)
	}
	h.wantDrops("a ingress no-rule 6 198.51.100.7 80 x300", "b ingress no-rule 6 198.51.100.7 80 x1")
}

// TestObservedCounts: what passes because the ENI observes is no drop, and is told of once per flow.
func TestObservedCounts(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	v := view()
	eni := v.ENIs[eniA]
	eni.Observe = time.Now().Add(time.Hour)
	v.ENIs[eniA] = eni
	h.apply(v)
	h.listen()
	in := tcp(remote4, own4, 1, 80, syn)
	for _, f := range []struct {
		direction ruleset.Direction
		frame     frame
	}{{ruleset.Ingress, in}, {ruleset.Egress, in.reply()}, {ruleset.Ingress, in}} {
		if got := h.run(eniA, f.direction, f.frame.bytes()); got.Action != ruleset.Observe || got.Reason != ruleset.ReasonNoRule {
			t.Errorf("%s %s: got %s %s, want observe no-rule", f.direction, f.frame, got.Action, got.Reason)
		}
	}
	h.want(eniA, ruleset.Egress, arp(1, otherMAC, own4, router4), ruleset.ReasonARP)
	h.wantDrops("a ingress no-rule 6 198.51.100.7 80 x1 observed", "a egress arp 0 invalid IP 0 x1")
	counts, err := h.d.Counts()
	must(t, err)
	var got []string
	for _, c := range counts {
		if c.ENI == eniA {
			got = append(got, fmt.Sprintf("%s %v observed %d", c.Direction, c.Packets, c.Observed))
		}
	}
	if want := "[ingress map[] observed 2 egress map[arp:1] observed 1]"; fmt.Sprint(got) != want {
		t.Errorf("Counts() = %s, want %s", got, want)
	}
	h.wantRules()
}

// TestUntrackedCounts: each direction of an untracked flow counts for its own rule.
func TestUntrackedCounts(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
	in := tcp(remote4, own4, 1, 80, syn)
	n := size(in)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, in.reply(), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, in, ruleset.ReasonRule)
	h.wantRules(fmt.Sprintf("a 1: 2 %d 1", 2*n), fmt.Sprintf("a 2: 1 %d 0", n))
}
