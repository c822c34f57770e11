package datapath_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestFlowsAreSpread: the hash spreads over buckets and fingerprints what guests really do: ports and addresses
// one after the other.
func TestFlowsAreSpread(t *testing.T) {
	t.Parallel()
	const buckets, flows = 1 << 11, 1 << 13 // two chunks, and four to a bucket
	h := newHost(t, datapath.Options{MaxHalfOpen: 8 * buckets})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(false, vpc.AllProtocols, -1, -1, "::/0")))
	for name, tt := range map[string]struct {
		first frame
		at    int // of two bytes that are counted up
	}{
		"ports":               {udp(remote4, own4, 1, 53), 34},
		"addresses":           {udp(remote4, own4, 1, 53), 28},
		"networks":            {udp(remote4, own4, 1, 53), 26},
		"ports of IPv6":       {udp(remote6, own6, 1, 53), 54},
		"interface ids":       {udp(remote6, own6, 1, 53), 36},
		"networks of IPv6":    {udp(remote6, own6, 1, 53), 26},
		"ids of ICMP queries": {icmp(remote4, own4, 8, 0, 7), 38},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, h.d.ForgetAll())
			b := tt.first.bytes()
			h.do(func() {
				for i := range flows {
					binary.BigEndian.PutUint16(b[tt.at:], 0x0b00+uint16(i))
					v, err := h.d.Run(ruleset.Ingress, h.devices[eniA], b)
					must(t, err)
					if v.Action != ruleset.Allow {
						t.Fatalf("flow %d: %s", i, v.Reason)
					}
				}
			})
			loads, fingerprints, err := h.d.Buckets(eniA)
			must(t, err)
			// Chi-squared with so many degrees of freedom is nearly normal. Full buckets hide little of it.
			const mean = float64(flows) / buckets
			chi, total := 0.0, 0
			for _, n := range loads {
				chi += (float64(n) - mean) * (float64(n) - mean) / mean
				total += n
			}
			if limit := buckets + 5*math.Sqrt(2*buckets); chi > limit {
				t.Errorf("chi-squared over buckets is %.0f, want %.0f at most: %v", chi, limit, loads)
			}
			if total < flows*95/100 {
				t.Errorf("%d of %d flows are there", total, flows)
			}
			if len(fingerprints) < total-2 {
				t.Errorf("%d fingerprints of %d flows", len(fingerprints), total)
			}
		})
	}
}

// TestFullBucket: one bucket is all that there is. No established connection is lost, however many half-open
// ones come; those that find no room in it stand beside it, and end like any other. There is room for a
// half-open one always.
func TestFullBucket(t *testing.T) {
	t.Parallel()
	options := datapath.Options{MaxConnections: bucketQuota, MaxHalfOpen: 8}.WithTestClock()
	for name, o := range map[string]datapath.Options{"as here": options, "reads in order": options.WithWeakOrder()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fillBucket(newHost(t, o))
		})
	}
}

const bucketQuota = 20

func fillBucket(h *host) {
	t := h.t
	const quota, many = bucketQuota, 500
	h.attach(eniA)
	h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
	web := func(port int) frame { return tcp(remote4, own4, uint16(port), 80, syn) }
	var open []frame
	wantCounts := func(established, beside int) {
		t.Helper()
		e, o := h.d.Occupancy(eniA)
		if e != established || o != beside {
			t.Errorf("%d are established and %d stand beside the bucket, want %d and %d", e, o, established, beside)
		}
		if list, err := h.d.Connections(eniA); err != nil {
			t.Error(err)
		} else {
			n := 0
			for _, c := range list {
				if c.Established {
					n++
				}
			}
			if n != established {
				t.Errorf("%d of the connections are established, want %d", n, established)
			}
		}
	}
	flood := func() {
		t.Helper()
		for i := range many {
			h.want(eniA, ruleset.Ingress, tcp(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), own4, 2000, 80, syn), ruleset.ReasonRule)
		}
		for _, f := range open {
			h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
		}
	}
	for i := range quota {
		open = append(open, h.handshake(web(1000+i), ruleset.ReasonTracked))
		wantCounts(i+1, max(0, i+1-6))
	}
	flood()
	wantCounts(quota, quota-6)
	// One more is refused, wherever it would stand.
	f := web(3000)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	f.flags = ack
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonConnectionLimit)
	wantCounts(quota, quota-6)

	// Some of both end, by a cut; then there is room for as many.
	cut := func(c datapath.Connection) bool { return c.Established && c.RemotePort%2 == 0 }
	n, err := h.d.Cut(eniA, cut)
	must(t, err)
	if n != quota/2 {
		t.Errorf("cut %d, want %d", n, quota/2)
	}
	if e, _ := h.d.Occupancy(eniA); e != quota/2 {
		t.Errorf("after the cut %d are established, want %d", e, quota/2)
	}
	open = open[:0]
	for i := 1; i < quota; i += 2 {
		f := web(1000 + i)
		f.flags = ack
		open = append(open, f)
	}
	flood()

	// The end of time for all of them: what a sweep takes out has its room back.
	must(t, h.d.Advance(432_001*time.Second+datapath.ReclaimMargin))
	for range 2 {
		if _, err := h.d.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	wantCounts(0, 0)
	open = open[:0]
	for i := range quota {
		open = append(open, h.handshake(web(4000+i), ruleset.ReasonTracked))
	}
	flood()
	must(t, h.d.Advance(432_001*time.Second+datapath.ReclaimMargin))
	swept, err := h.d.Sweep()
	must(t, err)
	if swept != quota+2 {
		t.Errorf("Sweep() = %d, want %d: all that were established, and two half-open ones", swept, quota+2)
	}
	wantCounts(0, 0)
}

// TestReclaimMargin: an established connection that is past its timeout is absent for packets at once, and leaves its
// place some seconds later, to a sweep or to another flow. One that is closed leaves it at once.
func TestReclaimMargin(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
	h.attach(eniA)
	const idle = 30 * time.Second
	for name, tt := range map[string]struct{ closed, swept bool }{
		"swept":             {false, true},
		"displaced":         {false, false},
		"swept, closed":     {true, true},
		"displaced, closed": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			h.fresh(t)
			must(t, h.d.ForgetAll())
			h.d.SetTimeouts(idle, 10*idle, idle/10, idle, idle, idle, idle)
			h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
			const n = 6
			var open []frame
			for i := range n {
				open = append(open, h.handshake(tcp(remote4, own4, uint16(1000+i), 80, syn), ruleset.ReasonTracked))
			}
			port := uint16(3000)
			take := func(want int) {
				t.Helper()
				if tt.swept {
					swept, err := h.d.Sweep()
					must(t, err)
					if swept != want {
						t.Errorf("Sweep() = %d, want %d", swept, want)
					}
				} else {
					for range 8 {
						h.want(eniA, ruleset.Ingress, tcp(remote4, own4, port, 80, syn), ruleset.ReasonRule)
						port++
					}
				}
				if e, _ := h.d.Occupancy(eniA); e != n-want {
					t.Errorf("%d are established, want %d", e, n-want)
				}
			}
			if tt.closed {
				for _, f := range open {
					f.flags = rst
					h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
				}
				must(t, h.d.Advance(idle/10+time.Second))
				take(n)
				return
			}
			must(t, h.d.Advance(idle+time.Second))
			for _, f := range open {
				h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonNoRule)
			}
			take(0)
			must(t, h.d.Advance(datapath.ReclaimMargin))
			take(n)
		})
	}
}

// TestTwins: two CPUs may begin a flow at once. When it moves out of its bucket both entries go, and what is begun
// while it stands beside the buckets does not stay.
func TestTwins(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0")))
	dns := func(i int) frame { return udp(remote4, own4, uint16(1000+i), 53) }
	wantEntries := func(what string, want int) {
		t.Helper()
		if list, err := h.d.Connections(eniA); err != nil || len(list) != want {
			t.Errorf("%s: %v and %d entries, want %d: %+v", what, err, len(list), want, list)
		}
	}
	for i := range 7 {
		h.want(eniA, ruleset.Ingress, dns(i), ruleset.ReasonRule)
		if i == 6 {
			must(t, h.d.Twin(eniA))
		}
		h.want(eniA, ruleset.Egress, dns(i).reply(), ruleset.ReasonTracked)
	}
	if e, o := h.d.Occupancy(eniA); e != 7 || o != 1 {
		t.Errorf("%d are established and %d stand beside the bucket, want 7 and 1", e, o)
	}
	wantEntries("after the move", 7)

	must(t, h.d.ForgetAll())
	h.want(eniA, ruleset.Ingress, dns(0), ruleset.ReasonRule)
	must(t, h.d.Displace(eniA))
	must(t, h.d.Advance(time.Hour)) // so that it must be begun anew, which another CPU does
	h.want(eniA, ruleset.Ingress, dns(0), ruleset.ReasonRule)
	wantEntries("beside the bucket", 0)

	// Most find their entry that is past its end before its twin, and begin it anew.
	for i := range 6 {
		must(t, h.d.ForgetAll())
		h.want(eniA, ruleset.Ingress, dns(i), ruleset.ReasonRule)
		must(t, h.d.Advance(time.Hour))
		must(t, h.d.Twin(eniA))
		h.do(func() {
			_, err := h.d.Run(ruleset.Ingress, h.devices[eniA], dns(i).bytes())
			must(t, err)
		})
		wantEntries("in the bucket", 1)
	}
}

// TestTakenOver: what stands beside the buckets and is past its end keeps no connection of its flow in the bucket.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0")))
	dns := func(i int) frame { return udp(remote4, own4, uint16(1000+i), 53) }
	for i := range 7 {
		h.want(eniA, ruleset.Ingress, dns(i), ruleset.ReasonRule)
		if i < 6 {
			h.want(eniA, ruleset.Egress, dns(i).reply(), ruleset.ReasonTracked)
		}
	}
	must(t, h.d.CopyOut(eniA, time.Minute))
	if e, o := h.d.Occupancy(eniA); e != 7 || o != 1 {
		t.Fatalf("%d are established and %d stand beside the bucket, want 7 and 1", e, o)
	}
	h.want(eniA, ruleset.Egress, dns(6).reply(), ruleset.ReasonTracked)
	s, err := h.d.Standing(eniA)
	must(t, err)
	if s.Established != 7 || s.Found != 7 || s.Overflowed != 1 || s.Fullest != 6 {
		t.Errorf("after the answer: %+v, want 7 connections, one of them beside the bucket", s)
	}
	list, err := h.d.Connections(eniA)
	must(t, err)
	for _, c := range list {
		if !c.Established || c.Packets != [2]uint64{1, 1} {
			t.Errorf("%+v, want it established, with a packet each way", c)
		}
	}
	if len(list) != 7 {
		t.Errorf("%d connections are listed, want 7", len(list))
	}
}

// TestSeenNeverGoesBack: a packet that began before another one, and is counted after it, leaves the time of that one.
func TestSeenNeverGoesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	const timeout = 30 * time.Second
	h.d.SetTimeouts(timeout, timeout, timeout, timeout, timeout, timeout, timeout)
	h.apply(view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.AllProtocols, -1, -1, "198.51.100.0/24")))
	gre := frame{src: remote4, dst: own4, protocol: unix.IPPROTO_GRE, data: make([]byte, 8)}
	for name, f := range map[string]frame{"the short way": udp(remote4, own4, 1000, 53), "the long way": gre} {
		t.Run(name, func(t *testing.T) {
			h.fresh(t)
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
			h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
			must(t, h.d.Advance(20*time.Second))
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
			must(t, h.d.Advance(-20*time.Second))
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
			must(t, h.d.Advance(20*time.Second+timeout-time.Second))
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
		})
	}
}

// TestSweepBesideClose: whoever looks at connections while the datapath is closed finds that it is.
func TestSweepBesideClose(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 1 << 12})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0")))
	for i := range 100 {
		h.want(eniA, ruleset.Ingress, udp(remote4, own4, uint16(1000+i), 53), ruleset.ReasonRule)
	}
	var done sync.WaitGroup
	var begun sync.WaitGroup
	closed := make(chan struct{})
	for _, look := range []func(){
		func() { _, _ = h.d.Sweep() },
		func() { _, _ = h.d.Connections(eniA) },
		func() { _, _ = h.d.Cut(eniA, func(datapath.Connection) bool { return true }) },
	} {
		begun.Add(1)
		done.Go(func() {
			look()
			begun.Done()
			for {
				select {
				case <-closed:
					look()
					return
				default:
					look()
				}
			}
		})
	}
	begun.Wait()
	must(t, h.d.Close())
	close(closed)
	done.Wait()
	if _, err := h.d.Sweep(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a sweep of what is closed: %v, want %v", err, os.ErrClosed)
	}
}

// TestRecount: what an agent has left uncounted that died is counted by a sweep.
func TestRecount(t *testing.T) {
	t.Parallel()
	const quota = 16
	h := newHost(t, datapath.Options{MaxConnections: quota, MaxHalfOpen: 8})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	for i := range quota / 2 {
		h.handshake(tcp(remote4, own4, uint16(1000+i), 80, syn), ruleset.ReasonTracked)
	}
	h.d.Miscount(eniA, quota, 3)
	f := tcp(remote4, own4, 2000, 80, syn)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	f.flags = ack
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonConnectionLimit)
	_, err := h.d.Sweep()
	must(t, err)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
	if e, o := h.d.Occupancy(eniA); e != quota/2+1 || o != quota/2+1-6 {
		t.Errorf("%d established, %d beside the bucket, want %d and %d", e, o, quota/2+1, quota/2+1-6)
	}
}

// TestOldestGoes: a new flow takes the place of the one that was seen longest ago, of those past their end first.
func TestOldestGoes(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
	gre := frame{src: remote4, dst: own4, protocol: 47, data: make([]byte, 8)}
	dns := func(i int) frame { return udp(remote4, own4, uint16(1000+i), 53) }
	has := func(want string) {
		t.Helper()
		list, err := h.d.Connections(eniA)
		must(t, err)
		got := ""
		for port := range 20 {
			for _, c := range list {
				if c.RemotePort == uint16(1000+port) {
					got += fmt.Sprint(port, " ")
				}
			}
		}
		for _, c := range list {
			if c.Protocol == 47 {
				got += "gre"
			}
		}
		if got != want {
			t.Errorf("there are %q, want %q", got, want)
		}
	}
	h.want(eniA, ruleset.Ingress, gre, ruleset.ReasonRule) // good for ten minutes
	for i := range 7 {
		must(t, h.d.Advance(time.Second))
		h.want(eniA, ruleset.Ingress, dns(i), ruleset.ReasonRule)
	}
	has("0 1 2 3 4 5 6 gre")
	must(t, h.d.Advance(time.Second))
	h.want(eniA, ruleset.Ingress, dns(0), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, gre, ruleset.ReasonTracked)
	must(t, h.d.Advance(time.Second))
	h.want(eniA, ruleset.Ingress, dns(7), ruleset.ReasonRule)
	has("0 2 3 4 5 6 7 gre")
	must(t, h.d.Advance(40*time.Second)) // all of UDP is past its end, and gre is the oldest
	for i := range 7 {
		h.want(eniA, ruleset.Ingress, dns(10+i), ruleset.ReasonRule)
	}
	has("10 11 12 13 14 15 16 gre")
}
