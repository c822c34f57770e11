package datapath_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestConnectionsOf: what an ENI has open, and nobody else's.
func TestConnectionsOf(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.attach(eniB)
	v := view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(true, vpc.UDP, 53, 53, "::/0"))
	v.Revision = 77
	b := v.ENIs[eniA]
	b.ID = eniB
	v.ENIs[eniB] = b
	h.apply(v)

	web := tcp(remote4, own4, 4000, 80, syn)
	h.want(eniA, ruleset.Ingress, web, ruleset.ReasonRule)
	must(t, h.d.Advance(2*time.Second))
	web.flags = ack
	h.want(eniA, ruleset.Egress, web.reply(), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, web, ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, icmp(remote4, own4, 8, 0, 7), ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, udp(own6, remote6, 4000, 53), ruleset.ReasonRule)
	h.want(eniB, ruleset.Ingress, udp(remote4, own4, 1, 2), ruleset.ReasonRule)
	must(t, h.d.Advance(5*time.Second))

	got, err := h.d.Connections(eniA)
	must(t, err)
	now := time.Now()
	if len(got) != 3 {
		t.Fatalf("got %d connections, want 3: %+v", len(got), got)
	}
	slices.SortFunc(got, func(a, b datapath.Connection) int { return cmp.Compare(a.Protocol, b.Protocol) })
	for i, want := range []datapath.Connection{
		{
			Protocol: unix.IPPROTO_ICMP, Local: own4, Remote: remote4, LocalPort: 7, RemotePort: 8,
			Rule: 1, Packets: [2]uint64{1, 0}, Created: now.Add(-5 * time.Second), Seen: now.Add(-5 * time.Second),
		},
		{
			Protocol: unix.IPPROTO_TCP, Local: own4, Remote: remote4, LocalPort: 80, RemotePort: 4000, Established: true,
			Rule: 1, Packets: [2]uint64{2, 1}, Created: now.Add(-7 * time.Second), Seen: now.Add(-5 * time.Second),
		},
		{
			Protocol: unix.IPPROTO_UDP, Local: own6, Remote: remote6, LocalPort: 4000, RemotePort: 53, ByGuest: true,
			Rule: 2, Packets: [2]uint64{0, 1}, Created: now.Add(-5 * time.Second), Seen: now.Add(-5 * time.Second),
		},
	} {
		for _, at := range [][2]*time.Time{{&got[i].Created, &want.Created}, {&got[i].Seen, &want.Seen}} {
			if off := at[0].Sub(*at[1]).Abs(); off > time.Second {
				t.Errorf("%d: %s is %s off", i, *at[0], off)
			}
			*at[1] = *at[0]
		}
		want.Revision, want.Bytes = 77, got[i].Bytes
		if got[i] != want {
			t.Errorf("%d:\ngot  %+v\nwant %+v", i, got[i], want)
		}
	}

	must(t, h.d.Advance(time.Minute)) // beyond what ICMP and UDP live
	if got, err = h.d.Connections(eniA); err != nil || len(got) != 1 || !got[0].Established {
		t.Errorf("a minute later: %+v, %v, want the established one", got, err)
	}
	if _, err := h.d.Connections("eni-nowhere"); !errors.Is(err, datapath.ErrNotAttached) {
		t.Errorf("of an ENI that is not here: %v", err)
	}
}

// TestCut: the connections that are chosen end, half-open or established, and no others.
func TestCut(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 1 << 15}) // so many that no bucket is full
	h.attach(eniA)
	h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
	open := func(port uint16, establish bool) frame {
		f := udp(remote4, own4, port, 53)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
		if establish {
			h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
		}
		return f
	}
	const many = 3000 // more than a batch
	for i := range many {
		open(uint16(10_000+i), i%2 == 0)
	}
	h.apply(view())
	even := func(c datapath.Connection) bool { return c.RemotePort%4 < 2 }
	for _, want := range []int{many / 2, 0} {
		got, err := h.d.Cut(eniA, even)
		must(t, err)
		if got != want {
			t.Errorf("Cut() = %d, want %d", got, want)
		}
	}
	for i := range many {
		f, want := udp(remote4, own4, uint16(10_000+i), 53), ruleset.ReasonTracked
		if (10_000+i)%4 < 2 {
			want = ruleset.ReasonNoRule
		}
		h.want(eniA, ruleset.Egress, f.reply(), want)
	}
	if left, err := h.d.Connections(eniA); err != nil || len(left) != many/2 {
		t.Errorf("%d connections are left, %v, want %d", len(left), err, many/2)
	}
	if _, err := h.d.Cut("eni-nowhere", even); !errors.Is(err, datapath.ErrNotAttached) {
		t.Errorf("of an ENI that is not here: %v", err)
	}
}

// TestCutLooksAgain: a flow that comes up behind the scan ends as well, if it is from before.
func TestCutLooksAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		since time.Duration // the cut began
		cut   int
	}{"from before": {0, 2}, "since": {time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
			h.attach(eniA)
			h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
			gre := frame{src: remote4, dst: own4, protocol: unix.IPPROTO_GRE, data: make([]byte, 8)}
			for range 8 {
				gre.src = gre.src.Next()
				h.want(eniA, ruleset.Ingress, gre, ruleset.ReasonRule)
			}
			// All but the one that is looked at last; nobody remembers who began them.
			looks := 0
			if n, err := h.d.Cut(eniA, func(datapath.Connection) bool { looks++; return looks < 8 }); err != nil || n != 7 {
				t.Fatalf("Cut() = %d, %v, want 7", n, err)
			}
			begun := udp(remote4, own4, 2, 53)
			behind := false
			n, err := h.d.Cut(eniA, func(datapath.Connection) bool {
				if !behind {
					behind = true
					must(t, h.d.Advance(tt.since))
					h.want(eniA, ruleset.Ingress, begun, ruleset.ReasonRule)
				}
				return true
			})
			must(t, err)
			left, err := h.d.Connections(eniA)
			must(t, err)
			if n != tt.cut || len(left) != 2-tt.cut {
				t.Errorf("cut %d and left %+v, want %d cut", n, left, tt.cut)
			}
		})
	}
}

// TestCutBeside: what stands beside the buckets ends as well, even if a packet changes it while it is looked at. What a
// program is writing is left alone, and said to be there.
func TestCutBeside(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 8}.WithTestClock())
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	web := func(i int) frame { return tcp(remote4, own4, uint16(1000+i), 80, syn) }
	const many = 7
	var last frame
	for i := range many {
		last = h.handshake(web(i), ruleset.ReasonTracked)
	}
	last.flags = rst
	for range 2 {
		looks := 0
		n, err := h.d.Cut(eniA, func(c datapath.Connection) bool {
			if c.RemotePort != 1000+many-1 {
				return false
			}
			if looks++; looks == 1 {
				h.want(eniA, ruleset.Ingress, last, ruleset.ReasonTracked)
			}
			return true
		})
		if err != nil || n != 1 || looks != 2 {
			t.Fatalf("Cut() = %d, %v after %d looks, want 1 after 2", n, err, looks)
		}
		if e, o := h.d.Occupancy(eniA); e != many-1 || o != 1 {
			t.Errorf("%d are established and %d stand beside the bucket, want %d and one that says who began it", e, o, many-1)
		}
		last = h.handshake(web(many-1), ruleset.ReasonTracked)
		last.flags = rst
	}

	must(t, h.d.ForgetAll())
	h.want(eniA, ruleset.Ingress, web(0), ruleset.ReasonRule)
	must(t, h.d.Displace(eniA))
	must(t, h.d.Advance(time.Hour))
	if n, err := h.d.Sweep(); n != 0 || err != nil {
		t.Errorf("Sweep() = %d, %v, want 0", n, err)
	}
	if n, err := h.d.Cut(eniA, func(datapath.Connection) bool { return true }); n != 0 || err == nil {
		t.Errorf("Cut() = %d, %v, want an error", n, err)
	}
	if _, o := h.d.Occupancy(eniA); o != 1 {
		t.Errorf("%d stand beside the bucket, want 1", o)
	}
}

// TestCutIsNotTurnedRound: what a server may send anyway does not begin its client's connection anew.
func TestCutIsNotTurnedRound(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	everything := rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0")
	ssh := rule(false, vpc.TCP, 22, 22, "198.51.100.0/24")
	dns := rule(false, vpc.UDP, 53, 53, "198.51.100.0/24")
	all := func(datapath.Connection) bool { return true }
	cut := func(want int) {
		t.Helper()
		got, err := h.d.Cut(eniA, all)
		must(t, err)
		left, err := h.d.Connections(eniA)
		must(t, err)
		if got != want || len(left) != 0 {
			t.Errorf("cut %d and left %+v, want %d and none", got, left, want)
		}
	}
	for name, state := range map[string]struct {
		port     uint16
		answered bool
	}{"established": {4000, true}, "half-open": {4001, false}} {
		t.Run(name, func(t *testing.T) {
			h.apply(view(everything, ssh, dns))
			stream, query := tcp(remote4, own4, state.port, 22, syn), udp(remote4, own4, state.port, 53)
			h.want(eniA, ruleset.Ingress, stream, ruleset.ReasonRule)
			h.want(eniA, ruleset.Ingress, query, ruleset.ReasonRule)
			stream.flags = ack
			if state.answered {
				h.want(eniA, ruleset.Egress, stream.reply(), ruleset.ReasonTracked)
				h.want(eniA, ruleset.Ingress, stream, ruleset.ReasonTracked)
				h.want(eniA, ruleset.Egress, query.reply(), ruleset.ReasonTracked)
			}
			h.apply(view(everything))
			h.want(eniA, ruleset.Ingress, stream, ruleset.ReasonTracked)
			cut(2)
			for range 2 { // the server's packets pass by their own rule, and open nothing
				h.want(eniA, ruleset.Ingress, stream, ruleset.ReasonNoRule)
				h.want(eniA, ruleset.Egress, stream.reply(), ruleset.ReasonRule)
				h.want(eniA, ruleset.Ingress, query, ruleset.ReasonNoRule)
				h.want(eniA, ruleset.Egress, query.reply(), ruleset.ReasonRule)
			}
			cut(0)
			h.apply(view(everything, ssh, dns)) // allowed again: they go on, as the client's
			h.want(eniA, ruleset.Egress, stream.reply(), ruleset.ReasonRule)
			h.want(eniA, ruleset.Ingress, stream, ruleset.ReasonTracked)
			h.want(eniA, ruleset.Ingress, query, ruleset.ReasonRule)
			h.want(eniA, ruleset.Egress, query.reply(), ruleset.ReasonTracked)
			again, err := h.d.Connections(eniA)
			must(t, err)
			if len(again) != 2 || again[0].ByGuest || again[1].ByGuest || again[0].Untracked || again[1].Untracked {
				t.Errorf("allowed again: %+v, want both as the client began them", again)
			}
			cut(2)
		})
	}
}
