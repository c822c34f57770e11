package datapath_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestCrowd a table of two buckets, every CPU at it: each sends packets of the same flows, that open, are
// answered, displace each other, move out of their bucket, expire and are cut, while the agent sweeps, cuts and lists.
// Some connections were established before. Whatever happens:
//
//   - each of their packets passes, and is counted once: none is lost or hidden, none is another's;
//   - what nobody asked for is never taken for an answer;
//   - an entry is of one flow, whole: its rule, ports and addresses belong together;
//   - whenever no packet is on its way a flow has one entry, two ways of each bucket are left to those that open, and as
//     many connections are counted as there are.
//
// model/ways.pml is the same with fewer packets and every order of them.
func TestCrowd(t *testing.T) {
	for _, tt := range []struct {
		name string
		kept int
	}{
		{"in the buckets", 4},
		{"in the buckets and beside them", 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(t, tt.kept)
			length := 5 * time.Second
			if os.Getenv("SOAK") != "" {
				length = 3 * time.Minute
			}
			begun := time.Now()
			for (time.Since(begun) < length || !c.isOne()) && time.Since(begun) < length+time.Minute && !t.Failed() {
				c.turmoil(200 * time.Millisecond)
				c.rest()
			}
			t.Logf("%d packets in %d rounds; %d opened, %d answered, %d cut, %d swept; time went by %s, most at rest: %+v",
				c.packets.Load(), c.rounds, c.opened.Load(), c.answered.Load(), c.cut.Load(), c.swept.Load(),
				time.Duration(c.rounds)*pass, c.most)
			if !c.isOne() {
				t.Error("it was no crowd: of what there is to happen something did not")
			}
		})
	}
}

const (
	crowdFlows = 48               // that come and go
	crowdQuota = 40               // established connections
	pass       = 25 * time.Second // less than the timeout, twice of it more
)

type crowd struct {
	*host
	kept     int
	frames   [3][][2][]byte // by kind, flow and direction
	sent     []atomic.Uint64
	packets  atomic.Int64
	opened   atomic.Int64
	answered atomic.Int64
	cut      atomic.Int64
	swept    atomic.Int64
	rounds   int
	most     datapath.Standing
}

const (
	kept    = iota // established before, always answered in time
	coming         // opens, is answered, and goes
	unasked        // nobody ever asks
)

// crowdAddress returns the remote address and the local port of a flow, each of which says the whole.
func crowdAddress(kind, flow int) (remote netip.Addr, port uint16) {
	return netip.AddrFrom4([4]byte{11, 0, byte(kind), byte(flow)}), uint16(1024 + kind<<8 + flow)
}

func newCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	c := &crowd{
		host: newHost(t, datapath.Options{MaxHalfOpen: 16, MaxConnections: crowdQuota}.WithTestClock()),
		kept: n, sent: make([]atomic.Uint64, n),
	}
	c.attach(eniA)
	const timeout = 30 * time.Second
	c.d.SetTimeouts(timeout, timeout, timeout, timeout, timeout, timeout, timeout)
	c.apply(view(rule(true, vpc.UDP, 53, 53, "11.0.0.0/24"), rule(true, vpc.UDP, 53, 53, "11.0.1.0/24")))
	for kind, flows := range []int{kept: n, coming: crowdFlows, unasked: 64} {
		for i := range flows {
			remote, port := crowdAddress(kind, i)
			f := udp(own4, remote, port, 53)
			c.frames[kind] = append(c.frames[kind], [2][]byte{f.reply().bytes(), f.bytes()})
		}
	}
	for i := range n {
		if v := c.run(eniA, ruleset.Egress, c.frames[kept][i][1]); v.Reason != ruleset.ReasonRule {
			t.Fatalf("flow %d: %s", i, v.Reason)
		}
		if v := c.run(eniA, ruleset.Ingress, c.frames[kept][i][0]); v.Reason != ruleset.ReasonTracked {
			t.Fatalf("the answer to flow %d: %s", i, v.Reason)
		}
	}
	// What they count is soon more than a word holds.
	must(t, c.d.Raise(eniA, 1<<23-100, 1<<39-10_000))
	list, err := c.d.Connections(eniA)
	must(t, err)
	for _, k := range list {
		c.sent[k.Remote.As4()[3]].Store(k.Packets[0] + k.Packets[1])
	}
	return c
}

// isOne says whether everything has happened that is to happen, where the CPUs are not others' all the time.
func (c *crowd) isOne() bool {
	return c.opened.Load() != 0 && c.answered.Load() != 0 && c.cut.Load() != 0 && c.swept.Load() != 0 && c.most.Overflowed != 0
}

// crowdRule is what lets a kind of flow out.
func crowdRule(kind byte) uint32 { return uint32(kind) + 1 }

// turmoil is all of them at once, for a while. Time goes by in it, but not before each connection that is kept has had a
// packet, and not while a packet is on its way that began two passes ago: a sender may be taken off its CPU in the middle of a
// program, and then writes what time it was when it began.
func (c *crowd) turmoil(length time.Duration) {
	var stop atomic.Bool
	var done, agents sync.WaitGroup
	workers := 2 * runtime.NumCPU()
	turns := make([]atomic.Uint64, workers)
	for i := range workers {
		done.Go(func() {
			onCPU(c.t, i%runtime.NumCPU(), func() { c.send(uint64(c.rounds)<<8|uint64(i), &turns[i], &stop) })
		})
	}
	agents.Go(func() { c.agent(&stop) })
	for until := time.Now().Add(length); time.Now().Before(until); {
		more := func(counts []atomic.Uint64, by uint64) {
			before := make([]uint64, len(counts))
			for i := range counts {
				before[i] = counts[i].Load()
			}
			for i := range counts {
				for counts[i].Load() < before[i]+by && time.Now().Before(until.Add(time.Second)) {
					runtime.Gosched()
				}
			}
		}
		more(turns, 1)
		more(c.sent, 1)
		if time.Now().Before(until) {
			if err := c.d.Advance(pass); err != nil {
				c.t.Error(err)
			}
			c.rounds++
		}
	}
	stop.Store(true)
	done.Wait()
	agents.Wait()
}

// send is one CPU's packets.
func (c *crowd) send(seed uint64, turns *atomic.Uint64, stop *atomic.Bool) {
	c.do(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		for n := 0; !stop.Load(); n++ {
			turns.Add(1)
			i := n % c.kept
			if got := c.pass(kept, i, ruleset.Ingress); got != ruleset.ReasonTracked {
				c.t.Errorf("a packet of a connection that was established before: %s", got)
				return
			}
			c.sent[i].Add(1)
			if got := c.pass(unasked, n%64, ruleset.Ingress); got != ruleset.ReasonNoRule {
				c.t.Errorf("an answer that nobody asked for: %s", got)
				return
			}
			// What the CPUs send of one flow comes close together.
			flow := (n/64 + random.IntN(3)) % crowdFlows
			switch got := c.pass(coming, flow, ruleset.Egress); got {
			case ruleset.ReasonRule:
				c.opened.Add(1)
			case ruleset.ReasonTracked, ruleset.ReasonConnectionLimit:
			default:
				c.t.Errorf("a packet that a rule allows: %s", got)
				return
			}
			switch got := c.pass(coming, flow, ruleset.Ingress); got {
			case ruleset.ReasonTracked:
				c.answered.Add(1)
			case ruleset.ReasonNoRule, ruleset.ReasonConnectionLimit:
			default:
				c.t.Errorf("an answer: %s", got)
				return
			}
		}
	})
}

func (c *crowd) pass(kind, flow int, direction ruleset.Direction) ruleset.Reason {
	frame := c.frames[kind][flow][0]
	if direction == ruleset.Egress {
		frame = c.frames[kind][flow][1]
	}
	v, err := c.d.Run(direction, c.devices[eniA], frame)
	if err != nil {
		c.t.Error(err)
	}
	c.packets.Add(1)
	return v.Reason
}

// agent sweeps, cuts and lists.
func (c *crowd) agent(stop *atomic.Bool) {
	for n := 0; !stop.Load(); n++ {
		swept, err := c.d.Sweep()
		if err != nil {
			c.t.Error(err)
			return
		}
		c.swept.Add(int64(swept))
		remote, _ := crowdAddress(coming, n%crowdFlows)
		cut, err := c.d.Cut(eniA, func(k datapath.Connection) bool { return k.Remote == remote })
		if err != nil {
			c.t.Error(err)
			return
		}
		c.cut.Add(int64(cut))
		c.list()
	}
}

// list wants each entry to be one flow's. It returns how often each flow is there.
func (c *crowd) list() map[string]int {
	list, err := c.d.Connections(eniA)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	flows := map[string]int{}
	for _, k := range list {
		b := k.Remote.As4()
		remote, port := crowdAddress(int(b[2]), int(b[3]))
		if k.Local != own4 || k.Remote != remote || k.LocalPort != port || k.RemotePort != 53 || k.Protocol != unix.IPPROTO_UDP ||
			k.Rule != crowdRule(b[2]) || !k.ByGuest || k.Untracked || k.Observed || k.Closing {
			c.t.Errorf("an entry that is no flow's: %+v", k)
		}
		flows[fmt.Sprintf("%s port %d", k.Remote, k.LocalPort)]++
	}
	return flows
}

// rest looks when no packet is on its way.
func (c *crowd) rest() {
	for flow, n := range c.list() {
		if n != 1 {
			c.t.Errorf("%s has %d entries", flow, n)
		}
	}
	s, err := c.d.Standing(eniA)
	if err != nil {
		c.t.Error(err)
		return
	}
	if s.Established != s.Found {
		c.t.Errorf("%d connections are counted, %d are there", s.Established, s.Found)
	}
	if s.Fullest > datapath.EstablishedWays {
		c.t.Errorf("%d ways of a bucket are established, more than %d", s.Fullest, datapath.EstablishedWays)
	}
	if s.Busy != 0 {
		c.t.Errorf("%d entries are being written, and nobody is", s.Busy)
	}
	if s.Found > crowdQuota {
		c.t.Errorf("%d connections, more than %d", s.Found, crowdQuota)
	}
	c.most.Established, c.most.Found = max(c.most.Established, s.Established), max(c.most.Found, s.Found)
	c.most.Overflowed, c.most.Fullest = max(c.most.Overflowed, s.Overflowed), max(c.most.Fullest, s.Fullest)
	list, err := c.d.Connections(eniA)
	if err != nil {
		c.t.Error(err)
		return
	}
	found := 0
	for _, k := range list {
		b := k.Remote.As4()
		if b[2] != kept {
			continue
		}
		found++
		i := int(b[3])
		if want := c.sent[i].Load(); k.Packets[0]+k.Packets[1] != want || !k.Established {
			c.t.Errorf("flow %d: %d and %d packets are counted, established %t; %d were sent", i, k.Packets[0], k.Packets[1], k.Established, want)
		}
	}
	if found != c.kept {
		c.t.Errorf("%d of %d connections that were established before are there", found, c.kept)
	}
}
