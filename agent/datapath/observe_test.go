package datapath_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// observing is a View whose eniA observes.
func observing(until time.Time, rules ...vpc.Rule) *ruleset.View {
	v := view(rules...)
	eni := v.ENIs[eniA]
	eni.Observe = until
	v.ENIs[eniA] = eni
	return v
}

// wantVerdict fails unless a gate says all of it.
func (h *host) wantVerdict(d ruleset.Direction, f frame, want ruleset.Verdict) {
	h.t.Helper()
	if got := h.run(eniA, d, f.bytes()); got != want {
		h.t.Errorf("%s of %s: got %+v, want %+v", d, f, got, want)
	}
}

// TestObserve: what no rule allows passes until a moment, and not a packet of it after that.
func TestObserve(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	h := newHost(t, datapath.Options{MaxConnections: 16}.WithTestClock())
	h.attach(eniA)
	until := time.Now().Add(time.Hour)
	h.apply(observing(until, rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))

	observed := ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonNoRule}
	ssh := tcp(remote4, own4, 4000, 22, syn)
	established := ssh
	established.flags = ack
	answer := ssh.reply()
	answer.flags = syn | ack
	flow := func(want ruleset.Verdict) {
		t.Helper()
		h.wantVerdict(in, ssh, want)
		h.wantVerdict(out, answer, want)
		h.wantVerdict(in, established, want)
		h.wantVerdict(out, established.reply(), want)
	}
	flow(observed)
	h.wantVerdict(in, icmp(remote4, own4, 3, 1, 0), ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonICMPError})
	h.wantVerdict(in, icmp(remote4, own4, 0, 0, 7), observed)

	list, err := h.d.Connections(eniA)
	must(t, err)
	if len(list) != 1 || !list[0].Observed || list[0].Established || list[0].Rule != 0 || list[0].Packets != [2]uint64{2, 2} {
		t.Errorf("got %+v, want one observed entry with all packets", list)
	}

	// What a rule allows is as ever, and so is what is no matter of rules.
	web := tcp(remote4, own4, 4000, 80, syn)
	webEstablished := h.handshake(web, ruleset.ReasonTracked)
	h.want(eniA, out, tcp(peer4, remote4, 1, 80, syn), ruleset.ReasonSourceAddress)
	h.want(eniA, in, tcp(remote4, peer4, 1, 80, syn), ruleset.ReasonDestinationAddress)
	h.want(eniA, in, web.with("short", func(f *frame) { f.mangle = cut(14 + 20 + 8) }), ruleset.ReasonMalformed)
	for port := range uint16(15) {
		h.handshake(tcp(remote4, own4, 5000+port, 80, syn), ruleset.ReasonTracked)
	}
	last := tcp(remote4, own4, 6000, 80, syn)
	h.want(eniA, in, last, ruleset.ReasonRule)
	h.want(eniA, out, last.reply(), ruleset.ReasonTracked)
	last.flags = ack
	h.want(eniA, in, last, ruleset.ReasonConnectionLimit)

	sweep := func(want int) {
		t.Helper()
		swept, err := h.d.Sweep()
		must(t, err)
		if swept != want {
			t.Errorf("Sweep() = %d, want %d", swept, want)
		}
	}
	must(t, h.d.Advance(59*time.Minute))
	sweep(1) // the one that was refused
	h.wantVerdict(in, established, observed)
	must(t, h.d.Advance(2*time.Minute))
	if list, err = h.d.Connections(eniA); err != nil || slices.ContainsFunc(list, func(c datapath.Connection) bool { return c.Observed }) {
		t.Errorf("after the end: %+v, %v, want nothing that is observed", list, err)
	}
	dropped := ruleset.Verdict{Reason: ruleset.ReasonNoRule}
	flow(dropped)
	h.want(eniA, in, icmp(remote4, own4, 3, 1, 0), ruleset.ReasonICMPError)
	h.want(eniA, out, webEstablished.reply(), ruleset.ReasonTracked)

	// Again, and called off.
	h.apply(observing(time.Now().Add(time.Hour)))
	flow(observed)
	h.apply(view())
	flow(dropped)
}

// TestObserveIsNotTurnedRound: when an observation ends, what the guest may send to everybody does not
// begin anew, as its own, what somebody else began.
func TestObserveIsNotTurnedRound(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	outbound := rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0")
	for name, before := range map[string]*ruleset.View{
		"never allowed":         observing(time.Now().Add(20*time.Second), outbound),
		"untracked and revoked": openWeb(),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, datapath.Options{}.WithTestClock())
			h.attach(eniA)
			web, dns := tcp(remote4, own4, 4000, 80, syn), udp(remote4, own4, 4000, 53)
			flow := func(client, server ruleset.Verdict) {
				t.Helper()
				for _, f := range []frame{web, dns} {
					h.wantVerdict(in, f, client)
					h.wantVerdict(out, f.reply(), server)
					h.wantVerdict(in, f, client)
				}
				web.flags = ack
			}
			h.apply(before)
			for _, f := range []frame{web, dns} {
				h.run(eniA, in, f.bytes())
				h.run(eniA, out, f.reply().bytes())
			}
			observed := ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonNoRule}
			dropped := ruleset.Verdict{Reason: ruleset.ReasonNoRule}
			allowed := ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule, Rule: 1}
			h.apply(observing(time.Now().Add(20*time.Second), outbound))
			flow(observed, observed)
			must(t, h.d.Advance(21*time.Second))
			flow(dropped, allowed)
			// A packet of its own direction may let it go on, as a connection of who began it.
			h.apply(view(outbound, rule(false, vpc.AllProtocols, -1, -1, "198.51.100.0/24")))
			for _, f := range []frame{web, dns} {
				h.want(eniA, in, f, ruleset.ReasonRule)
				h.want(eniA, out, f.reply(), ruleset.ReasonTracked)
			}
		})
	}
}

// TestObserveWritesOnce: a moment is translated once, by whatever agent.
func TestObserveWritesOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for name, until := range map[string]time.Time{
		"to come":   time.Now().Add(time.Hour).Truncate(time.Second).UTC(),
		"just over": time.Now().Add(-time.Minute),
		"long ago":  time.Unix(1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			h.apply(observing(until))
			writes := h.d.Writes()
			h.apply(observing(until.Local()))
			if n := h.d.Writes() - writes; n != 0 {
				t.Errorf("the same again makes %d writes", n)
			}
			before := h.d.ObserveUntil(eniA)
			h.restart()
			h.apply(observing(until))
			if got := h.d.ObserveUntil(eniA); got != before {
				t.Errorf("after a restart it observes until %d, want %d as before", got, before)
			}
			want := ruleset.Verdict{Reason: ruleset.ReasonNoRule}
			if until.After(time.Now()) {
				want.Action = ruleset.Observe
			}
			h.wantVerdict(ruleset.Ingress, tcp(remote4, own4, 1, 22, syn), want)
		})
	}
}
