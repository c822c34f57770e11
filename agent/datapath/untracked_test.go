package datapath_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// openWeb lets everybody in on port 80 of TCP and 53 of UDP, and the guest out to everybody: rules 1
// to 6, those for what comes in first.
func openWeb(more ...vpc.Rule) *ruleset.View {
	return view(append([]vpc.Rule{
		rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 80, 80, "::/0"),
		rule(false, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.UDP, 53, 53, "::/0"),
		rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(true, vpc.AllProtocols, -1, -1, "::/0"),
	}, more...)...)
}

// handshake plays the first three packets of a connection from outside, and wants one reason for all.
func (h *host) handshake(f frame, want ruleset.Reason) (established frame) {
	h.t.Helper()
	answer := f.reply()
	answer.flags = syn | ack
	established = f
	established.flags = ack
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, answer, want)
	h.want(eniA, ruleset.Ingress, established, want)
	return established
}

// TestUntrackedEntry: an untracked flow has one entry with the rules of both directions, through all
// changes that leave it untracked; it is never established.
func TestUntrackedEntry(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]frame{
		"IPv4": tcp(remote4, own4, 4000, 80, syn),
		"IPv6": tcp(remote6, own6, 4000, 80, syn),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, datapath.Options{}.WithTestClock())
			h.attach(eniA)
			v := openWeb()
			v.Revision = 7
			h.apply(v)
			established := h.handshake(f, ruleset.ReasonRule)
			in, out := uint32(1), uint32(5)
			if f.src.Is6() {
				in, out = 2, 6
			}
			entry := func(packets [2]uint64, revision int64) {
				t.Helper()
				list, err := h.d.Connections(eniA)
				must(t, err)
				if len(list) != 1 {
					t.Fatalf("got %d entries, want one: %+v", len(list), list)
				}
				c := list[0]
				if !c.Untracked || c.Established || c.ByGuest || c.Rule != in || c.Packets != packets || c.Revision != revision {
					t.Errorf("got %+v, want it untracked, by rule %d of revision %d, with packets %v", c, in, revision, packets)
				}
			}
			rules := func() {
				t.Helper()
				if got := h.run(eniA, ruleset.Egress, established.reply().bytes()); got.Rule != out {
					t.Errorf("an answer passes by rule %d, want %d", got.Rule, out)
				}
				if got := h.run(eniA, ruleset.Ingress, established.bytes()); got.Rule != in {
					t.Errorf("what is asked passes by rule %d, want %d", got.Rule, in)
				}
			}
			rules()
			entry([2]uint64{3, 2}, 7)
			// Judged again after a change, by the guest's packet first.
			v = openWeb(rule(false, vpc.TCP, 22, 22, "10.0.0.0/8"))
			v.Revision = 8
			h.apply(v)
			rules()
			entry([2]uint64{4, 3}, 8)
			// A description makes no new tables.
			v = openWeb(rule(false, vpc.TCP, 22, 22, "10.0.0.0/8"))
			v.Revision = 9
			h.apply(v)
			rules()
			entry([2]uint64{5, 4}, 8)
			// It is not forgotten as a handshake is.
			must(t, h.d.Advance(time.Hour))
			swept, err := h.d.Sweep()
			must(t, err)
			if swept != 0 {
				t.Errorf("Sweep() = %d, want 0", swept)
			}
			entry([2]uint64{5, 4}, 8)
			rules()
			entry([2]uint64{6, 5}, 8)
		})
	}
}

// TestUntrackedQuota: untracked flows pass however many there are, need no room among the
// established ones, and turn into tracked ones neither when they are displaced nor when they are not.
func TestUntrackedQuota(t *testing.T) {
	t.Parallel()
	const many = 5000
	h := newHost(t, datapath.Options{MaxHalfOpen: 1024, MaxConnections: 16})
	h.attach(eniA)
	h.apply(openWeb())
	client := func(i int) frame {
		return tcp(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), own4, 2000, 80, syn)
	}
	for i := range many {
		h.handshake(client(i), ruleset.ReasonRule)
	}
	for i := range many {
		f := client(i)
		f.flags = ack
		h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonRule)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	}
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) == 0 || len(list) > 1024 {
		t.Errorf("%d entries, want some, and 1024 at most", len(list))
	}
	for _, c := range list {
		if !c.Untracked || c.Established || c.ByGuest {
			t.Fatalf("an entry is not that of an untracked flow from outside: %+v", c)
		}
	}
	// What the guest begins is tracked, and has the room.
	f := tcp(own4, remote4, 3000, 443, syn)
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, f.reply().with("SYN, ACK", func(f *frame) { f.flags = syn | ack }), ruleset.ReasonTracked)
}

// TestUntrackedEnds: a FIN or RST ends an untracked flow as it does a tracked one, and what is new on
// its ports is.
func TestUntrackedEnds(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(openWeb())
	f := tcp(remote4, own4, 4000, 80, syn)
	established := h.handshake(f, ruleset.ReasonRule)
	reset := established.reply()
	reset.flags = rst | ack
	h.want(eniA, ruleset.Egress, reset, ruleset.ReasonRule)
	must(t, h.d.Advance(5*time.Second))
	h.handshake(f, ruleset.ReasonRule)
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 || !list[0].Untracked || list[0].Packets != [2]uint64{2, 1} {
		t.Errorf("after an RST: got %+v, want one entry with the packets since then", list)
	}
	h.want(eniA, ruleset.Egress, reset, ruleset.ReasonRule)
	must(t, h.d.Advance(11*time.Second))
	list, err = h.d.Connections(eniA)
	must(t, err)
	if len(list) != 0 {
		t.Errorf("11 seconds after an RST there is %+v", list)
	}
}

// TestUntrackedEndStands: a change of the rules leaves an untracked flow that has ended its ten seconds,
// whichever side speaks first after it.
func TestUntrackedEndStands(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	closes := func(f *frame) { f.flags = fin | ack }
	resets := func(f *frame) { f.flags = rst | ack }
	for _, tt := range []struct {
		name    string
		ends    []ruleset.Direction // who says it
		how     func(*frame)
		speaks  ruleset.Direction // after the change
		remains bool              // eleven seconds after the end
	}{
		{"RST, the client speaks", []ruleset.Direction{out}, resets, in, false},
		{"RST, the guest speaks", []ruleset.Direction{in}, resets, out, false},
		{"both FINs, the client speaks", []ruleset.Direction{in, out}, closes, in, false},
		{"both FINs, the guest speaks", []ruleset.Direction{out, in}, closes, out, false},
		{"one FIN, the client speaks", []ruleset.Direction{out}, closes, in, true},
		{"no end", nil, nil, in, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, datapath.Options{}.WithTestClock())
			h.attach(eniA)
			h.apply(openWeb())
			says := map[ruleset.Direction]frame{in: h.handshake(tcp(remote4, own4, 4000, 80, syn), ruleset.ReasonRule)}
			says[out] = says[in].reply()
			for _, d := range tt.ends {
				h.want(eniA, d, says[d].with(tt.name, tt.how), ruleset.ReasonRule)
			}
			must(t, h.d.Advance(5*time.Second))
			h.apply(openWeb(rule(false, vpc.TCP, 22, 22, "10.0.0.0/8")))
			h.want(eniA, tt.speaks, says[tt.speaks], ruleset.ReasonRule)
			must(t, h.d.Advance(6*time.Second))
			list, err := h.d.Connections(eniA)
			must(t, err)
			if got := len(list) == 1; got != tt.remains {
				t.Errorf("got %+v, want one entry %v", list, tt.remains)
			}
		})
	}
}

// TestSweepWithoutView: while no View names an interface a sweep takes none of its connections, since nobody
// knows their timeouts; it does again once one names it.
func TestSweepWithoutView(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		rules *ruleset.View
		want  ruleset.Reason // of the packets after the first
	}{
		{"tracked", view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")), ruleset.ReasonTracked},
		{"untracked", openWeb(), ruleset.ReasonRule},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, datapath.Options{}.WithTestClock())
			h.attach(eniA)
			sweep := func(want int) {
				t.Helper()
				swept, err := h.d.Sweep()
				must(t, err)
				if swept != want {
					t.Errorf("Sweep() = %d, want %d", swept, want)
				}
			}
			h.apply(tt.rules)
			established := h.handshake(tcp(remote4, own4, 4000, 80, syn), tt.want)
			h.apply(&ruleset.View{Revision: 2})
			h.want(eniA, ruleset.Ingress, established, ruleset.ReasonNoTable)
			must(t, h.d.Advance(time.Hour))
			sweep(0)
			h.apply(tt.rules)
			h.want(eniA, ruleset.Ingress, established, tt.want)
			h.want(eniA, ruleset.Egress, established.reply(), tt.want)
			must(t, h.d.Advance(432_001*time.Second+datapath.ReclaimMargin))
			sweep(1)
		})
	}
}

// TestTimeoutsOfENI: an interface's own timeouts count, for connections that there are as well; what it
// does not say is EC2's default.
func TestTimeoutsOfENI(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	set := func(own ruleset.Timeouts) {
		v := view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"))
		eni := v.ENIs[eniA]
		eni.Timeouts = own
		v.ENIs[eniA] = eni
		h.apply(v)
	}
	web, dns := tcp(remote4, own4, 4000, 80, syn), udp(remote4, own4, 4000, 53)
	established := web
	established.flags = ack
	for _, tt := range []struct {
		name  string
		own   ruleset.Timeouts
		open  func()
		last  frame
		lives time.Duration
	}{
		{"TCP, default", ruleset.Timeouts{UDP: time.Minute}, func() { h.handshake(web, ruleset.ReasonTracked) }, established, 432_000 * time.Second},
		{"TCP", ruleset.Timeouts{TCPEstablished: time.Minute}, func() { h.handshake(web, ruleset.ReasonTracked) }, established, time.Minute},
		{"UDP, default", ruleset.Timeouts{TCPEstablished: time.Minute}, func() { h.want(eniA, ruleset.Ingress, dns, ruleset.ReasonRule) }, dns, 30 * time.Second},
		{"UDP", ruleset.Timeouts{UDP: 45 * time.Second}, func() { h.want(eniA, ruleset.Ingress, dns, ruleset.ReasonRule) }, dns, 45 * time.Second},
		{"UDP stream", ruleset.Timeouts{UDPStream: 70 * time.Second}, func() {
			h.want(eniA, ruleset.Ingress, dns, ruleset.ReasonRule)
			for range 2 {
				h.want(eniA, ruleset.Egress, dns.reply(), ruleset.ReasonTracked)
				h.want(eniA, ruleset.Ingress, dns, ruleset.ReasonTracked)
			}
		}, dns, 70 * time.Second},
	} {
		for _, late := range []bool{false, true} {
			h.fresh(t)
			set(ruleset.Timeouts{})
			tt.open()
			set(tt.own)
			by, want := tt.lives-time.Second, ruleset.ReasonTracked
			if late {
				by, want = tt.lives+time.Second, ruleset.ReasonNoRule
			}
			must(t, h.d.Advance(by))
			t.Run(tt.name, func(t *testing.T) { h.want(eniA, ruleset.Egress, tt.last.reply(), want) })
		}
	}
}
