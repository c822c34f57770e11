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
	h := newHost(t, datapath.Options{})
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
	if _, err := h.d.Cut("eni-nowhere", even); !errors.Is(err, datapath.ErrNotAttached) {
		t.Errorf("of an ENI that is not here: %v", err)
	}
}
