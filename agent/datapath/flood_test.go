package datapath_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestPromise11Floods one guest cannot hurt another: half-open connections, established ones, drops and
// fragments, as many as a flood brings. Meanwhile numbered packets go over a connection of the flooded
// interface and over one of another, which no rule would let begin again: none is lost. The other one's
// half-open connection, and its fragments under way, are there afterwards. Those of the flooded one are
// not, which shows that it was one.
func TestPromise11Floods(t *testing.T) {
	packets := 50_000
	if os.Getenv("SOAK") != "" {
		packets = 1_000_000
	}
	f := newFlood(t)
	for _, tt := range []struct {
		name  string
		flood func(*flood, int)
		hurts func(*flood) error // the flooded interface; nil if the flood was none
	}{
		{"half-open connections", (*flood).halfOpen, func(f *flood) error {
			if f.holds(eniA, 7000, false) {
				return errors.New("a half-open connection of before is still there")
			}
			return nil
		}},
		{"established connections", (*flood).established, func(f *flood) error {
			if f.last != ruleset.ReasonConnectionLimit {
				return errors.New("the last connection of the flood was not refused")
			}
			return nil
		}},
		{"drops", (*flood).drops, func(f *flood) error {
			if f.last != ruleset.ReasonNoRule {
				return errors.New("the last packet was not dropped")
			}
			return nil
		}},
		{"fragments", (*flood).fragments, func(f *flood) error {
			rest := f.datagram(own4)[1].bytes()
			copy(rest[26:], []byte{11, 0, 0, 0})
			if v := f.run(eniA, ruleset.Ingress, rest); v.Reason != ruleset.ReasonFragment {
				return errors.New("the rest of its own first datagram passes")
			}
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			f.onOneCPU(func() {
				f.begin()
				r := f.during(func() { tt.flood(f, packets) })
				for _, s := range r {
					if err := s.Err(); err != nil {
						t.Error(err)
					}
				}
				if err := tt.hurts(f); err != nil {
					t.Errorf("it was no flood: %v", err)
				}
			})
			f.unharmed()
		})
	}
	t.Run("a connection that is lost is seen", func(t *testing.T) {
		f.t = t
		r := f.during(func() {
			_, err := f.d.Cut(eniA, func(datapath.Connection) bool { return true })
			must(t, err)
		})
		if r[0].Err() == nil || r[1].Err() != nil {
			t.Errorf("eniA has lost its connections: got %v for it and %v for the other", r[0].Err(), r[1].Err())
		}
	})
}

// flood is eniA, which is flooded, and eniB, which sends to it and to eniC.
type flood struct {
	*pair
	c    streamtest.End
	last ruleset.Reason // of a flood's last packet
}

const (
	eniC = vpc.InterfaceID("eni-0000000000000000c")
	room = 2048 // of each, for established connections
)

var (
	macC  = vpc.MAC{2, 0, 0, 0, 0, 0x33}
	peerC = netip.MustParseAddr("10.0.0.60")
)

func newFlood(t *testing.T) *flood {
	t.Helper()
	f := &flood{pair: newPair(t, datapath.Options{MaxConnections: room})}
	f.c = f.guest(eniC, macC, peerC)
	f.do(func() { must(t, f.d.Attach(f.devices[eniC], gapDevice(eniC), eniC)) })
	const hour = time.Hour
	f.d.SetTimeouts(hour, hour, hour, hour, hour, hour, hour)
	connect := []vpc.Rule{rule(false, vpc.UDP, trackedPort, trackedPort, "0.0.0.0/0")}
	serve := []vpc.Rule{rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.UDP, 53, 53, "0.0.0.0/0")}
	f.apply(floodView(1, connect, rule(true, vpc.UDP, trackedPort, trackedPort, "10.0.0.0/24")))
	must(t, streamtest.Exchange(f.b, f.a, trackedSource, trackedPort, 3))
	must(t, streamtest.Exchange(f.b, f.c, trackedSource+1, trackedPort, 3))
	f.apply(floodView(2, serve, rule(true, vpc.TCP, 1, 1, "0.0.0.0/0")))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.d.ReadEvents(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("read events: %v", err)
		}
	})
	return f
}

// floodView gives eniA and eniC some rules, and eniB one.
func floodView(revision int64, served []vpc.Rule, b vpc.Rule) *ruleset.View {
	v := view(served...)
	v.Revision = revision
	b.Number = 100
	v.Groups[sgB] = ruleset.Group{ID: sgB, Rules: []vpc.Rule{b}}
	for id, e := range map[vpc.InterfaceID]ruleset.ENI{
		eniB: {MAC: otherMAC, Addresses: []netip.Addr{peer4}, Groups: []vpc.GroupID{sgB}},
		eniC: {MAC: macC, Addresses: []netip.Addr{peerC}, Groups: []vpc.GroupID{sgA}},
	} {
		e.ID, e.Domain, e.Routers, e.SourceDestCheck = id, dom, []netip.Addr{router4}, true
		v.ENIs[id] = e
	}
	return v
}

// begin leaves each interface a half-open connection and a datagram of which the first fragment has passed.
func (f *flood) begin() {
	f.t.Helper()
	for eni, own := range map[vpc.InterfaceID]netip.Addr{eniA: own4, eniC: peerC} {
		_, err := f.d.Cut(eni, func(c datapath.Connection) bool { return c.Remote == remote4 })
		must(f.t, err)
		f.want(eni, ruleset.Ingress, tcp(remote4, own, 7000, 80, syn), ruleset.ReasonRule)
		v := f.run(eni, ruleset.Ingress, f.datagram(own)[0].bytes())
		if v.Action != ruleset.Allow {
			f.t.Errorf("the first fragment of a datagram to %s: %s", eni, v.Reason)
		}
	}
}

func (f *flood) datagram(to netip.Addr) []frame {
	return udp(remote4, to, 7000, 53).with("datagram", func(f *frame) { f.data = make([]byte, 64) }).split(7000, 32)
}

// unharmed wants eniC to have what it had, and to be able to have more.
func (f *flood) unharmed() {
	f.t.Helper()
	if !f.holds(eniC, 7000, false) {
		f.t.Error("another interface has lost a half-open connection")
	}
	answer := tcp(peerC, remote4, 80, 7000, syn|ack)
	answer.srcMAC = macC
	f.want(eniC, ruleset.Egress, answer, ruleset.ReasonTracked)
	f.want(eniC, ruleset.Ingress, tcp(remote4, peerC, 7000, 80, ack), ruleset.ReasonTracked)
	if !f.holds(eniC, 7000, true) {
		f.t.Error("another interface cannot establish a connection")
	}
	if v := f.run(eniC, ruleset.Ingress, f.datagram(peerC)[1].bytes()); v.Action != ruleset.Allow {
		f.t.Errorf("the rest of a datagram to another interface: %s", v.Reason)
	}
	f.want(eniC, ruleset.Ingress, tcp(remote4, peerC, 7001, 22, syn), ruleset.ReasonNoRule)
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if slices.ContainsFunc(f.d.RecentDrops(), func(s datapath.DropSample) bool { return s.ENI == eniC }) {
			return
		}
		if time.Now().After(until) {
			f.t.Error("a drop of another interface is not told of")
			return
		}
	}
}

// holds reports whether an interface has a connection with a port of remote4, which is established or not.
func (f *flood) holds(eni vpc.InterfaceID, port uint16, established bool) bool {
	f.t.Helper()
	list, err := f.d.Connections(eni)
	must(f.t, err)
	return slices.ContainsFunc(list, func(c datapath.Connection) bool {
		return c.Remote == remote4 && c.RemotePort == port && c.Protocol == unix.IPPROTO_TCP && c.Established == established
	})
}

// during sends over the connections of eniA and eniC for as long as something takes, and at least 5,000
// packets each.
func (f *flood) during(do func()) (results [2]streamtest.Result) {
	f.t.Helper()
	var streams [2]*streamtest.Stream
	for i, to := range []streamtest.End{f.a, f.c} {
		var err error
		streams[i], err = streamtest.Start(streamtest.Options{
			From: f.b, To: to, Host: f.ns, Rate: 10_000, Max: 16 << 20,
			Lanes: []streamtest.Lane{{Name: "over the connection", Source: trackedSource + uint16(i), Destination: trackedPort}},
		})
		must(f.t, err)
	}
	do()
	for i, s := range streams {
		s.WaitFor(f.t.Context(), 5_000)
		var err error
		results[i], err = s.Stop()
		must(f.t, err)
	}
	return results
}

// onOneCPU runs the programs of what it is given on one CPU: the kernel's LRU maps keep a CPU's newest entries, some
// hundred, until that same CPU makes more, so a flood on another displaces all but these.
func (f *flood) onOneCPU(do func()) {
	f.t.Helper()
	onCPU(f.t, 0, do)
}

// each runs frames through the gates of eniA, one after the other, n times, each time with another remote
// address.
func (f *flood) each(n int, frames ...frame) {
	f.t.Helper()
	raw := make([][]byte, len(frames))
	for i, fr := range frames {
		raw[i] = fr.bytes()
	}
	f.do(func() {
		for i := range n {
			for k, b := range raw {
				direction, at := ruleset.Ingress, 26 // of the remote address
				if frames[k].src == own4 {
					direction, at = ruleset.Egress, 30
				}
				binary.BigEndian.PutUint32(b[at:], 0x0b000000+uint32(i))
				v, err := f.d.Run(direction, f.devices[eniA], b)
				must(f.t, err)
				f.last = v.Reason
			}
		}
	})
}

func (f *flood) halfOpen(n int) {
	f.each(n, tcp(remote4, own4, 4000, 80, syn))
	if f.last != ruleset.ReasonRule {
		f.t.Errorf("the last SYN: %s", f.last)
	}
}

// established is handshakes, from the first to the last packet, three times the quota at least.
func (f *flood) established(n int) {
	f.each(max(n/5, 3*room), tcp(remote4, own4, 4000, 80, syn), tcp(own4, remote4, 80, 4000, syn|ack), tcp(remote4, own4, 4000, 80, ack))
	if f.last == ruleset.ReasonConnectionLimit {
		_, err := f.d.Cut(eniA, func(c datapath.Connection) bool { return c.LocalPort == 80 })
		must(f.t, err)
	}
}

func (f *flood) drops(n int) { f.each(n, tcp(remote4, own4, 4000, 22, syn)) }

// fragments is first fragments of datagrams that are never whole, and a fifth as many that have no first.
func (f *flood) fragments(n int) {
	parts := f.datagram(own4)
	f.each(n, parts[0])
	if f.last != ruleset.ReasonRule {
		f.t.Errorf("the last first fragment: %s", f.last)
	}
	f.each(n/5, parts[1].with("stray", func(f *frame) { f.mangle = func(b []byte) []byte { b[19] ^= 0xff; return b } }))
	if f.last != ruleset.ReasonFragment {
		f.t.Errorf("the last fragment without a first: %s", f.last)
	}
}
