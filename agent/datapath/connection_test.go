package datapath_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// step is a packet through one gate of eniA and what becomes of it.
type step struct {
	direction ruleset.Direction
	frame     frame
	want      ruleset.Reason
}

func (h *host) play(steps ...step) {
	h.t.Helper()
	for _, s := range steps {
		h.want(eniA, s.direction, s.frame, s.want)
	}
}

// TestConnections plays what a connection of each kind opens, and what it does not.
func TestConnections(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	inbound := rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")
	inbound6 := rule(false, vpc.AllProtocols, -1, -1, "::/0")
	request := func(id uint16) frame { return icmp(remote4, own4, 8, 0, id) }
	reset := func(f frame) frame { return f.with("RST", func(f *frame) { f.flags = rst }) }
	finish := func(f frame) frame { return f.with("FIN", func(f *frame) { f.flags = fin | ack }) }
	say := func(f frame, flags uint8) frame { f.flags = flags; return f }
	web := tcp(remote4, own4, 4000, 80, syn)
	web6 := tcp(remote6, own6, 4000, 80, syn)
	dns := udp(remote4, own4, 4000, 53)
	gre := frame{src: remote4, dst: own4, protocol: unix.IPPROTO_GRE, data: make([]byte, 8)}

	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for name, steps := range map[string][]step{
		"TCP": {
			{out, web.reply(), ruleset.ReasonNoRule},
			{in, web, ruleset.ReasonRule},
			{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
			{out, say(web.reply(), ack), ruleset.ReasonTracked},
			{out, tcp(own4, remote4, 81, 4000, syn), ruleset.ReasonNoRule},
			{out, tcp(own4, remote4, 80, 4001, syn), ruleset.ReasonNoRule},
			{out, tcp(own4, router4, 80, 4000, syn), ruleset.ReasonNoRule},
			{out, tcp(second4, remote4, 80, 4000, syn), ruleset.ReasonNoRule},
			{out, udp(own4, remote4, 80, 4000), ruleset.ReasonNoRule},
		},
		"TCP over IPv6": {
			{out, web6.reply(), ruleset.ReasonNoRule},
			{in, web6, ruleset.ReasonRule},
			{out, web6.reply(), ruleset.ReasonTracked},
			{out, web.reply(), ruleset.ReasonNoRule},
		},
		"TCP in the middle is judged as new": {
			{in, say(web, ack), ruleset.ReasonRule},
			{out, say(web.reply(), ack), ruleset.ReasonTracked},
		},
		"TCP with the ports of one that was reset": {
			{in, web, ruleset.ReasonRule},
			{out, reset(web.reply()), ruleset.ReasonTracked},
			{out, say(web.reply(), ack), ruleset.ReasonTracked},
			{out, say(web.reply(), syn), ruleset.ReasonNoRule},
			{in, web, ruleset.ReasonRule},
			{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
		},
		"TCP with the ports of one that ended": {
			{in, web, ruleset.ReasonRule},
			{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
			{in, finish(web), ruleset.ReasonTracked},
			{out, finish(web.reply()), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
			{out, say(web.reply(), syn), ruleset.ReasonNoRule},
			{in, web, ruleset.ReasonRule},
			{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
		},
		"UDP": {
			{out, dns.reply(), ruleset.ReasonNoRule},
			{in, dns, ruleset.ReasonRule},
			{out, dns.reply(), ruleset.ReasonTracked},
			{in, dns, ruleset.ReasonTracked},
			{out, tcp(own4, remote4, 53, 4000, syn), ruleset.ReasonNoRule},
		},
		"GRE": {
			{out, gre.reply(), ruleset.ReasonNoRule},
			{in, gre, ruleset.ReasonRule},
			{out, gre.reply(), ruleset.ReasonTracked},
			{out, gre.reply().with("ESP", func(f *frame) { f.protocol = unix.IPPROTO_ESP }), ruleset.ReasonNoRule},
		},
		"an echo request opens its reply and no request": {
			{out, request(7).reply(), ruleset.ReasonNoRule},
			{in, request(7), ruleset.ReasonRule},
			{out, request(7).reply(), ruleset.ReasonTracked},
			{out, request(7).reply(), ruleset.ReasonTracked},
			{in, request(7), ruleset.ReasonTracked},
			{out, icmp(own4, remote4, 8, 0, 7), ruleset.ReasonNoRule},
			{out, request(8).reply(), ruleset.ReasonNoRule},
			{out, icmp(own4, remote4, 14, 0, 7), ruleset.ReasonNoRule},
			{out, icmp(own4, remote4, 0, 1, 7), ruleset.ReasonNoRule},
		},
		"an echo reply opens nothing": {
			{in, icmp(remote4, own4, 0, 0, 7), ruleset.ReasonRule},
			{in, icmp(remote4, own4, 0, 0, 7), ruleset.ReasonRule},
			{out, icmp(own4, remote4, 8, 0, 7), ruleset.ReasonNoRule},
			{out, icmp(own4, remote4, 0, 0, 7), ruleset.ReasonNoRule},
		},
		"echo over IPv6": {
			{in, icmp(remote6, own6, 128, 0, 7), ruleset.ReasonRule},
			{out, icmp(own6, remote6, 129, 0, 7), ruleset.ReasonTracked},
			{out, icmp(own6, remote6, 128, 0, 7), ruleset.ReasonNoRule},
		},
		"a timestamp request opens its reply": {
			{in, icmp(remote4, own4, 13, 0, 7), ruleset.ReasonRule},
			{out, icmp(own4, remote4, 14, 0, 7), ruleset.ReasonTracked},
			{out, icmp(own4, remote4, 0, 0, 7), ruleset.ReasonNoRule},
		},
		"an ICMP error opens nothing": {
			{in, icmp(remote4, own4, 3, 4, 0), ruleset.ReasonRule},
			{in, icmp(remote4, own4, 3, 4, 0), ruleset.ReasonRule},
			{out, icmp(own4, remote4, 3, 4, 0), ruleset.ReasonICMPError},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.fresh(t)
			h.apply(view(inbound, inbound6))
			h.play(steps...)
		})
	}
}

// TestClosing: what comes after the end, or amid it, and what does not bring it about.
func TestClosing(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	const short, long = 100 * time.Millisecond, time.Hour
	web := tcp(remote4, own4, 4000, 80, syn)
	say := func(f frame, flags uint8) frame { f.flags = flags; return f }
	handshake := []step{
		{in, web, ruleset.ReasonRule},
		{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
		{in, say(web, ack), ruleset.ReasonTracked},
	}
	// The sequence number that nobody waits for: of somebody who does not see the connection.
	blind := func(flags uint8) frame {
		return say(web, flags).with("blind", func(f *frame) { f.mangle = put(14+20+4, 0xde) })
	}
	acknowledge := func(n uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[14+20+8:], n)
			return b
		}
	}
	late := func(b []byte) []byte { return put(14+20+6, 4)(b) } // 1024 bytes behind what is acknowledged
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	for name, steps := range map[string][]step{
		"a SYN after the server's FIN is new": {
			{out, say(web.reply(), fin|ack), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
			{in, web, ruleset.ReasonNoRule},
			{out, say(web.reply(), syn), ruleset.ReasonNoRule},
			{in, say(web, fin|ack), ruleset.ReasonTracked},
		},
		"a SYN after the client's FIN is new": {
			{in, say(web, fin|ack), ruleset.ReasonTracked},
			{in, web, ruleset.ReasonNoRule},
			{in, say(web, syn|0x40), ruleset.ReasonNoRule},
			{out, say(web.reply(), ack), ruleset.ReasonTracked},
		},
		"after both only what ends it passes": {
			{in, say(web, fin|ack), ruleset.ReasonTracked},
			{out, say(web.reply(), fin|ack), ruleset.ReasonTracked},
			{in, web, ruleset.ReasonNoRule},
			{in, say(web, syn|ack), ruleset.ReasonNoRule},
			{out, say(web.reply(), syn|ack), ruleset.ReasonNoRule},
			{in, say(web, syn|fin), ruleset.ReasonNoRule},
			{in, say(web, syn|rst), ruleset.ReasonNoRule},
			{in, say(web, 0), ruleset.ReasonNoRule},
			{in, say(web, 0x20), ruleset.ReasonNoRule},
			{in, say(web, ack), ruleset.ReasonTracked},
			{out, say(web.reply(), fin|ack), ruleset.ReasonTracked},
			{in, say(web, rst), ruleset.ReasonTracked},
		},
		"after an RST too": {
			{out, say(web.reply(), rst), ruleset.ReasonTracked},
			{in, say(web, syn|ack), ruleset.ReasonNoRule},
			{in, web, ruleset.ReasonNoRule},
			{in, say(web, ack), ruleset.ReasonTracked},
		},
		"a blind FIN ends nothing": {
			{in, blind(fin | ack), ruleset.ReasonTracked},
			{in, blind(fin), ruleset.ReasonTracked},
		},
		"a blind acknowledgement of 0 makes no blind end believed": {
			{in, say(web, ack).with("blind ACK", func(f *frame) { f.mangle = acknowledge(0) }), ruleset.ReasonTracked},
			{in, blind(fin | ack), ruleset.ReasonTracked},
			{in, blind(rst), ruleset.ReasonTracked},
		},
		"an RST behind data that is not acknowledged ends it": {
			{out, say(web.reply(), rst|ack).with("late RST", func(f *frame) { f.mangle = late }), ruleset.ReasonTracked},
			{in, web, ruleset.ReasonNoRule},
		},
		"a FIN behind data that is not acknowledged ends it": {
			{out, say(web.reply(), fin|ack).with("late FIN", func(f *frame) { f.mangle = late }), ruleset.ReasonTracked},
			{in, web, ruleset.ReasonNoRule},
		},
		"a blind RST ends nothing": {
			{in, blind(rst), ruleset.ReasonTracked},
			{in, blind(rst | ack), ruleset.ReasonTracked},
			{in, say(web, rst).with("RST nearby", func(f *frame) { f.mangle = late }), ruleset.ReasonTracked},
			{in, say(web, ack), ruleset.ReasonTracked},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.fresh(t)
			h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
			h.play(handshake...)
			h.apply(view())
			h.play(steps...)
			list, err := h.d.Connections(eniA)
			must(t, err)
			if ends := !strings.Contains(name, "blind"); len(list) != 1 || list[0].Closing != ends {
				t.Errorf("got %+v, want one connection that ends: %v", list, ends)
			}
		})
	}

	h.d.SetTimeouts(long, long, short, long, long, long, long)
	t.Run("an idle connection survives a blind RST", func(t *testing.T) {
		h.fresh(t)
		h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
		h.play(handshake...)
		h.apply(view())
		h.play(step{in, blind(rst), ruleset.ReasonTracked}, step{in, blind(rst | ack), ruleset.ReasonTracked}, step{in, blind(fin | ack), ruleset.ReasonTracked})
		h.tickPast(clock(t, h.d), short)
		h.play(step{out, say(web.reply(), ack), ruleset.ReasonTracked})
	})
	t.Run("what comes after the end does not put it off", func(t *testing.T) {
		h.fresh(t)
		h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
		h.play(handshake...)
		h.apply(view())
		h.play(step{in, say(web, fin|ack), ruleset.ReasonTracked})
		h.play(step{out, say(web.reply(), fin|ack), ruleset.ReasonTracked})
		start := clock(t, h.d)
		for range 5 {
			h.run(eniA, in, say(web, ack).bytes())
			h.tickPast(clock(t, h.d), short/4)
		}
		h.tickPast(start, short)
		h.play(step{in, say(web, ack), ruleset.ReasonNoRule})
	})
}

// TestBlindEndEstablishes: of a connection that was in the middle when it began here, the packet that makes it an
// established one ends it no more than a later one would, if its numbers make no sense.
func TestBlindEndEstablishes(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	amid := tcp(remote4, own4, 4000, 80, ack)
	h.play(
		step{ruleset.Ingress, amid, ruleset.ReasonRule},
		step{ruleset.Egress, amid.reply(), ruleset.ReasonTracked},
		step{ruleset.Ingress, amid.with("blind FIN", func(f *frame) { f.flags, f.mangle = fin|ack, put(14+20+4, 0xde) }), ruleset.ReasonTracked},
	)
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 || !list[0].Established || list[0].Closing {
		t.Errorf("got %+v, want one that is established and does not end", list)
	}
}

// TestSYNAmid: a SYN amid an established connection may be another's, whose end nobody saw here. It
// passes if today's rules let it, and whatever they say the connection lives on.
func TestSYNAmid(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	web := tcp(remote4, own4, 4000, 80, syn)
	established := web
	established.flags = ack
	again := []step{
		{in, web, ruleset.ReasonRule},
		{out, web.reply().with("SYN, ACK", func(f *frame) { f.flags = syn | ack }), ruleset.ReasonTracked},
		{in, established, ruleset.ReasonTracked},
	}
	h.play(again...)
	h.play(again...)
	h.play(step{out, tcp(own4, remote4, 80, 4000, syn), ruleset.ReasonNoRule})
	h.apply(view())
	h.play(
		step{in, web, ruleset.ReasonNoRule},
		step{in, established, ruleset.ReasonTracked},
		step{out, established.reply(), ruleset.ReasonTracked},
	)
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 || !list[0].Established || list[0].Closing {
		t.Errorf("got %+v, want the one that was there", list)
	}
}

// TestConnectionEntry says what an entry records.
func TestConnectionEntry(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := view(rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"))
	v.Revision = 77
	v.Groups[sgA].Rules[0].Number = 4711
	h.apply(v)
	f := tcp(remote4, own4, 4000, 80, syn)
	answer := f.reply()
	answer.data = make([]byte, 100)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, answer, ruleset.ReasonTracked)
	if got := h.run(eniA, ruleset.Egress, answer.bytes()); got.Rule != 4711 {
		t.Errorf("a tracked packet names rule %d, want 4711", got.Rule)
	}
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("got %d entries, want one for both directions: %+v", len(list), list)
	}
	got := list[0]
	want := datapath.Connection{
		Protocol: unix.IPPROTO_TCP, Local: own4, Remote: remote4, LocalPort: 80, RemotePort: 4000, Rule: 4711, Revision: 77,
		Packets: [2]uint64{1, 2}, Bytes: [2]uint64{40, 280}, Created: got.Created, Seen: got.Seen,
	}
	if got != want {
		t.Errorf("entry:\ngot  %+v\nwant %+v", got, want)
	}
	tick := 10 * time.Millisecond // at most
	if now := time.Now(); got.Created.After(got.Seen) || got.Seen.After(now.Add(tick)) || now.Sub(got.Created) > time.Minute {
		t.Errorf("created %s, seen %s, now %s: want them close, in this order", got.Created, got.Seen, now)
	}
}

// TestTimeouts: past its timeout an entry is absent for the packet path itself, before any sweep.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	const short, long = 100 * time.Millisecond, time.Hour
	say := func(f frame, flags uint8) frame { f.flags = flags; return f }
	web := tcp(remote4, own4, 4000, 80, syn)
	dns := udp(remote4, own4, 4000, 53)
	ping := icmp(remote4, own4, 8, 0, 7)
	gre := frame{src: remote4, dst: own4, protocol: unix.IPPROTO_GRE, data: make([]byte, 8)}
	handshake := []step{
		{in, web, ruleset.ReasonRule},
		{out, say(web.reply(), syn|ack), ruleset.ReasonTracked},
		{in, say(web, ack), ruleset.ReasonTracked},
	}

	type timeouts struct{ established, syn, closed, udp, stream, icmp, other time.Duration }
	all := timeouts{long, long, long, long, long, long, long}
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	for name, tt := range map[string]struct {
		change  func(*timeouts) // makes one of them short
		steps   []step
		late    frame // leaves after that time
		expired bool  // then, or only the control: another timeout was short
	}{
		"SYN":                  {func(v *timeouts) { v.syn = short }, handshake[:1], say(web.reply(), syn|ack), true},
		"SYN answered":         {func(v *timeouts) { v.syn = short }, handshake[:2], say(web.reply(), ack), true},
		"established":          {func(v *timeouts) { v.established = short }, handshake, say(web.reply(), ack), true},
		"established, not SYN": {func(v *timeouts) { v.syn = short }, handshake, say(web.reply(), ack), false},
		"RST":                  {func(v *timeouts) { v.closed = short }, append(handshake[:3:3], step{in, say(web, rst), ruleset.ReasonTracked}), say(web.reply(), ack), true},
		"FIN":                  {func(v *timeouts) { v.closed = short }, append(handshake[:3:3], step{out, say(web.reply(), fin|ack), ruleset.ReasonTracked}), say(web.reply(), ack), true},
		"established anew, not FIN": {func(v *timeouts) { v.closed = short }, slices.Concat(handshake, []step{
			{in, say(web, fin|ack), ruleset.ReasonTracked}, {out, say(web.reply(), fin|ack), ruleset.ReasonTracked},
		}, handshake), say(web.reply(), ack), false},
		"established anew, not one FIN": {func(v *timeouts) { v.closed = short }, slices.Concat(handshake, []step{
			{in, say(web, fin|ack), ruleset.ReasonTracked},
		}, handshake), say(web.reply(), ack), false},
		"UDP":                   {func(v *timeouts) { v.udp = short }, []step{{in, dns, ruleset.ReasonRule}}, dns.reply(), true},
		"UDP answered":          {func(v *timeouts) { v.udp = short }, []step{{in, dns, ruleset.ReasonRule}, {out, dns.reply(), ruleset.ReasonTracked}}, dns.reply(), true},
		"UDP asked twice":       {func(v *timeouts) { v.udp = short }, []step{{in, dns, ruleset.ReasonRule}, {in, dns, ruleset.ReasonTracked}, {out, dns.reply(), ruleset.ReasonTracked}}, dns.reply(), true},
		"UDP stream":            {func(v *timeouts) { v.stream = short }, []step{{in, dns, ruleset.ReasonRule}, {out, dns.reply(), ruleset.ReasonTracked}, {in, dns, ruleset.ReasonTracked}, {out, dns.reply(), ruleset.ReasonTracked}}, dns.reply(), true},
		"UDP stream, not UDP":   {func(v *timeouts) { v.udp = short }, []step{{in, dns, ruleset.ReasonRule}, {out, dns.reply(), ruleset.ReasonTracked}, {in, dns, ruleset.ReasonTracked}, {out, dns.reply(), ruleset.ReasonTracked}}, dns.reply(), false},
		"ICMP":                  {func(v *timeouts) { v.icmp = short }, []step{{in, ping, ruleset.ReasonRule}}, ping.reply(), true},
		"others":                {func(v *timeouts) { v.other = short }, []step{{in, gre, ruleset.ReasonRule}}, gre.reply(), true},
		"others, answered":      {func(v *timeouts) { v.other = short }, []step{{in, gre, ruleset.ReasonRule}, {out, gre.reply(), ruleset.ReasonTracked}}, gre.reply(), true},
		"others, not UDP, ICMP": {func(v *timeouts) { v.udp, v.icmp, v.syn = short, short, short }, []step{{in, gre, ruleset.ReasonRule}}, gre.reply(), false},
	} {
		t.Run(name, func(t *testing.T) {
			h.fresh(t)
			v := all
			tt.change(&v)
			h.d.SetTimeouts(v.established, v.syn, v.closed, v.udp, v.stream, v.icmp, v.other)
			h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
			h.play(tt.steps...)
			h.tickPast(clock(t, h.d), short)
			want := ruleset.ReasonTracked
			if tt.expired {
				want = ruleset.ReasonNoRule
			}
			h.want(eniA, out, tt.late, want)
			if tt.expired {
				must(t, h.d.Advance(datapath.ReclaimMargin))
			}
			swept, err := h.d.Sweep()
			must(t, err)
			if (swept == 1) != tt.expired {
				t.Errorf("Sweep() = %d, expired is %v", swept, tt.expired)
			}
			if !tt.expired {
				return
			}
			// The same packets open it again.
			h.play(tt.steps[0])
		})
	}
}

// tickPast waits until the programs' clock is past a time from then; a test clock goes on.
func (h *host) tickPast(then uint64, d time.Duration) {
	h.t.Helper()
	for until := ticks(h.t, then, d); clock(h.t, h.d) <= until; time.Sleep(time.Millisecond) {
		must(h.t, h.d.Advance(10*time.Millisecond))
	}
}

// ticks is the programs' clock at a time after then.
func ticks(t testing.TB, then uint64, after time.Duration) uint64 {
	t.Helper()
	hz, err := datapath.TicksPerSecond()
	must(t, err)
	return then + uint64(after)*uint64(hz)/uint64(time.Second) + 1
}

func clock(t testing.TB, d *datapath.Datapath) uint64 {
	t.Helper()
	now, err := d.Clock()
	must(t, err)
	return now
}

// TestExpiredIsReopened: an entry past its timeout does not hide the one that the rules open anew.
func TestExpiredIsReopened(t *testing.T) {
	t.Parallel()
	const short = 100 * time.Millisecond
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.d.SetTimeouts(short, time.Hour, short, short, short, short, short)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	web := tcp(remote4, own4, 4000, 80, syn)
	established := web
	established.flags = ack
	for i := range 2 {
		if i > 0 {
			h.tickPast(clock(t, h.d), short)
		}
		h.want(eniA, ruleset.Ingress, web, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, web.reply(), ruleset.ReasonTracked)
		h.want(eniA, ruleset.Ingress, established, ruleset.ReasonTracked)
	}
	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 || !list[0].Established || list[0].Packets != [2]uint64{2, 1} {
		t.Errorf("got %+v, want one entry, the second one's", list)
	}
}

// TestFlood: half-open connections displace half-open ones, and never one that is established.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{MaxHalfOpen: 1024, MaxConnections: 128})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0")))
	open := func(port uint16) {
		f := tcp(remote4, own4, port, 80, syn)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
		f.flags = ack
		h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
	}
	for port := range uint16(32) {
		open(1000 + port)
		f := udp(remote4, own4, 1000+port, 53)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	}
	// Three times as many SYNs as there is room, from many addresses; the guest answers each.
	for i := range 3 * 1024 {
		f := tcp(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), own4, 2000, 80, syn)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
		f.flags = ack
		h.run(eniA, ruleset.Ingress, f.bytes()) // as if it had been answered
		h.run(eniA, ruleset.Egress, f.reply().bytes())
	}
	for port := range uint16(32) {
		f := tcp(own4, remote4, 80, 1000+port, ack)
		h.want(eniA, ruleset.Egress, f, ruleset.ReasonTracked)
		h.want(eniA, ruleset.Egress, udp(own4, remote4, 53, 1000+port), ruleset.ReasonTracked)
	}
	list, err := h.d.Connections(eniA)
	must(t, err)
	established := 0
	for _, c := range list {
		if c.Established {
			established++
		}
	}
	if established != 64 {
		t.Errorf("%d connections are established, want the 64 from before the flood", established)
	}

	// There is room for 64 more. Then one is refused, not let through untracked.
	for port := range uint16(64) {
		open(2000 + port)
	}
	f := udp(remote4, own4, 5000, 53)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonConnectionLimit)
	h.want(eniA, ruleset.Egress, udp(own4, remote4, 53, 1000), ruleset.ReasonTracked)
}

// TestDetachCuts: connections end with the ENI's attachment, and only its own.
func TestDetachCuts(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.attach(eniB)
	v := view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"))
	b := v.ENIs[eniA]
	b.ID = eniB
	v.ENIs[eniB] = b
	h.apply(v)
	f := udp(remote4, own4, 5000, 53)
	for _, eni := range []vpc.InterfaceID{eniA, eniB} {
		h.want(eni, ruleset.Ingress, f, ruleset.ReasonRule)
		h.want(eni, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	}
	h.do(func() {
		must(t, h.d.Detach(h.devices[eniA]))
		h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonUnbound)
		must(t, h.d.Attach(h.devices[eniA], "g0", eniA))
	})
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonNoRule)
	h.want(eniB, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	for eni, want := range map[vpc.InterfaceID]int{eniA: 0, eniB: 1} {
		list, err := h.d.Connections(eni)
		must(t, err)
		if len(list) != want {
			t.Errorf("%s has %d entries left, want %d", eni, len(list), want)
		}
	}
}
