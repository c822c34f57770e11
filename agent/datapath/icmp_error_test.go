package datapath_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestICMPErrors: an error passes if it goes to the sender of a packet of a connection that is there.
func TestICMPErrors(t *testing.T) {
	t.Parallel()
	const in, out, whole = ruleset.Ingress, ruleset.Egress, 1000
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(view(
		rule(false, vpc.AllProtocols, -1, -1, "198.51.100.0/24"), rule(false, vpc.AllProtocols, -1, -1, "2001:db8::/32"),
		rule(true, vpc.TCP, 443, 443, "198.51.100.0/24"), rule(true, vpc.TCP, 443, 443, "2001:db8::/32"),
		rule(true, vpc.UDP, 53, 53, "198.51.100.0/24"), rule(true, vpc.UDP, 53, 53, "2001:db8::/32"),
		rule(true, vpc.ICMP, 8, 0, "198.51.100.0/24"), rule(true, vpc.ICMPv6, 128, 0, "2001:db8::/32"),
		rule(true, vpc.Protocol(unix.IPPROTO_SCTP), -1, -1, "198.51.100.0/24"),
	))
	const ok, tracked, no = ruleset.ReasonRule, ruleset.ReasonTracked, ruleset.ReasonICMPError
	for _, family := range []struct {
		own, remote, router, peer netip.Addr
		header                    int // of IP
		types, others             []uint8
	}{
		{own4, remote4, router4, peer4, 20, []uint8{3, 11, 12}, []uint8{4, 5}},
		{own6, remote6, router6, peer6, 40, []uint8{1, 2, 3, 4}, []uint8{0, 5, 100, 127}},
	} {
		own, remote, router := family.own, family.remote, family.router
		web := tcp(own, remote, 1000, 443, syn)
		ssh := tcp(remote, own, 1001, 22, syn)
		dns := udp(own, remote, 1002, 53)
		ping := icmp(own, remote, 8, 0, 7)
		if own.Is6() {
			ping.icmpType = 128
		}
		// Nothing is there yet, though rules would allow it.
		for _, f := range []frame{web, dns, ping} {
			h.play(step{in, icmpError(router, family.types[0], 0, f, whole), no})
		}
		h.play(step{out, web, ok}, step{in, ssh, ok}, step{out, dns, ok}, step{out, ping, ok})
		for _, f := range []frame{web, ssh.reply(), dns, ping} {
			for _, icmpType := range family.types {
				h.play(step{in, icmpError(router, icmpType, 4, f, whole), tracked}, step{in, icmpError(remote, icmpType, 1, f, whole), tracked})
			}
			for _, icmpType := range family.others {
				h.play(step{in, icmpError(router, icmpType, 1, f, whole), no})
			}
			h.play(step{in, icmpError(router, family.types[0], 4, f, family.header+8), tracked})
			for _, n := range []int{0, 7, family.header - 1, family.header, family.header + 7} {
				h.play(step{in, icmpError(router, family.types[0], 4, f, n), no})
			}
			// What stands behind the packet is not quoted.
			short := icmpError(router, family.types[0], 4, f, family.header+7)
			h.play(step{in, short.with("padded, "+short.String(), func(f *frame) { f.mangle = pad(20) }), no})
			// To another than the sender of what is quoted.
			stray := icmpError(own, family.types[0], 4, f, whole)
			stray.dst = remote
			h.play(step{out, stray, no})
			if own.Is4() {
				stray.src, stray.dst = router, second4
				h.play(step{in, stray, no})
			}
			h.play(step{in, icmpError(own, family.types[0], 4, f, whole), ruleset.ReasonSourceAddress})
		}
		// Errors of the guest about what it got.
		for _, f := range []frame{ssh, web.reply(), dns.reply()} {
			h.play(step{out, icmpError(own, family.types[0], 3, f, whole), tracked}, step{in, icmpError(router, family.types[0], 3, f, whole), ruleset.ReasonDestinationAddress})
		}
		// Other ports, other ends, another request; errors about errors and about later fragments.
		h.play(
			step{in, icmpError(router, family.types[0], 4, tcp(own, remote, 1003, 443, syn), whole), no},
			step{in, icmpError(router, family.types[0], 4, udp(own, remote, 1000, 443), whole), no},
			step{in, icmpError(router, family.types[0], 4, tcp(own, family.peer, 1000, 443, syn), whole), no},
			step{in, icmpError(router, family.types[0], 4, icmp(own, remote, ping.icmpType, 0, 8), whole), no},
			step{in, icmpError(router, family.types[0], 4, ping.reply().with("its reply", func(f *frame) { f.src, f.dst = f.dst, f.src }), whole), no},
			step{in, icmpError(router, family.types[0], 4, icmpError(own, family.types[0], 4, web, whole), whole), no},
			step{in, icmpError(router, family.types[0], 4, piece(own, remote, unix.IPPROTO_TCP, 1, 8, false, web.l4()), whole), no},
			step{in, icmpError(router, family.types[0], 4, piece(own, remote, unix.IPPROTO_TCP, 1, 0, true, web.l4()), whole), tracked},
		)
		// It keeps nothing alive.
		must(t, h.d.Advance(29*time.Second))
		h.play(step{in, icmpError(router, family.types[0], 4, dns, whole), tracked})
		must(t, h.d.Advance(2*time.Second))
		h.play(step{in, icmpError(router, family.types[0], 4, dns, whole), no}, step{in, icmpError(router, family.types[0], 4, web, whole), tracked})
	}
	sctp := frame{src: own4, dst: remote4, protocol: unix.IPPROTO_SCTP, data: make([]byte, 4)}
	h.play(
		step{in, icmpError(router4, 3, 2, sctp, whole), no}, step{out, sctp, ok}, step{in, icmpError(router4, 3, 2, sctp, whole), tracked},
		step{in, icmpError(router4, 3, 2, sctp, 20), tracked},
	)
	h.play(step{out, tcp(own4, remote4, 1000, 443, syn), ok}) // it has expired
	options := tcp(own4, remote4, 1000, 443, ack).with("IPv4 options", func(f *frame) { f.options = []byte{1, 1, 1, 1} })
	h.play(step{in, icmpError(router4, 3, 4, options, whole), tracked}, step{in, icmpError(router4, 3, 4, options, 28), no})
	extended := tcp(own6, remote6, 1000, 443, ack).with("IPv6 options", func(f *frame) {
		f.next, f.options = unix.IPPROTO_DSTOPTS, extension(unix.IPPROTO_TCP)
	})
	h.play(step{in, icmpError(router6, 2, 0, extended, whole), tracked}, step{in, icmpError(router6, 2, 0, extended, 48), no})
	wrong := icmpError(router4, 3, 4, tcp(own4, remote4, 1000, 443, ack), whole)
	for name, spoil := range map[string]func([]byte) []byte{"version": put(14+28, 0x55), "header length": put(14+28, 0x44)} {
		h.play(step{in, wrong.with("wrong "+name, func(f *frame) { f.mangle = spoil }), no})
	}
	// A rule for ICMP lets all pass, what it quotes or not.
	h.apply(view(rule(false, vpc.ICMP, 3, -1, "10.0.0.0/24")))
	h.play(
		step{in, icmpError(router4, 3, 4, tcp(own4, remote4, 9, 9, syn), whole), ok},
		step{in, icmpError(router4, 3, 4, tcp(own4, remote4, 1000, 443, syn), whole), tracked},
		step{in, icmpError(router4, 11, 0, tcp(own4, remote4, 9, 9, syn), whole), no},
	)
}

// TestICMPErrorNamesTheRule of the connection that it is about.
func TestICMPErrorNamesTheRule(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 22, 22, "198.51.100.0/24"), rule(true, vpc.TCP, 443, 443, "198.51.100.0/24")))
	web := tcp(own4, remote4, 1000, 443, syn)
	h.want(eniA, ruleset.Egress, web, ruleset.ReasonRule)
	got := h.run(eniA, ruleset.Ingress, icmpError(router4, 3, 4, web, 28).bytes())
	if want := (ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonTracked, Rule: 2}); got != want {
		t.Errorf("an error about a connection: %+v, want %+v", got, want)
	}
}

// TestICMPErrorsOfUntrackedFlows: the rules decide about the packet that is quoted, in its direction.
func TestICMPErrorsOfUntrackedFlows(t *testing.T) {
	t.Parallel()
	const in, out, ok, no = ruleset.Ingress, ruleset.Egress, ruleset.ReasonRule, ruleset.ReasonICMPError
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	everybody := []vpc.Rule{
		rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 80, 80, "::/0"),
		rule(true, vpc.TCP, 0, 65535, "0.0.0.0/0"), rule(true, vpc.TCP, 0, 65535, "::/0"),
	}
	h.apply(view(everybody...))
	for i, family := range []struct {
		own, remote, router netip.Addr
		tooBig              [2]uint8
	}{{own4, remote4, router4, [2]uint8{3, 4}}, {own6, remote6, router6, [2]uint8{2, 0}}} {
		web := tcp(family.remote, family.own, 1000, 80, syn)
		about := func(f frame) frame { return icmpError(family.router, family.tooBig[0], family.tooBig[1], f, 1000) }
		from := func(f frame) frame { return icmpError(family.own, family.tooBig[0], family.tooBig[1], f, 1000) }
		other := tcp(family.own, family.remote, 81, 1001, ack)
		// With an entry and without.
		h.play(step{in, about(web.reply()), ok})
		h.play(step{in, web, ok}, step{out, web.reply(), ok}, step{in, about(web.reply()), ok}, step{out, from(web), ok})
		h.play(step{in, about(other), no}, step{out, from(other.reply()), no})
		h.play(step{out, from(tcp(family.remote, family.own, 1002, 80, syn)), ok})
		h.play(step{in, about(udp(family.own, family.remote, 80, 1000)), no})
		got := h.run(eniA, in, about(web.reply()).bytes())
		if want := (ruleset.Verdict{Action: ruleset.Allow, Reason: ok, Rule: uint32(3 + i)}); got != want {
			t.Errorf("an error about an answer: %+v, want %+v, the rule of the answer", got, want)
		}
		// It keeps nothing alive, and opens nothing.
		h.apply(view())
		h.play(step{in, about(web.reply()), no}, step{out, from(web), no})
		h.apply(view(everybody...))
	}
	// The guest speaks for its own addresses, and nobody about those where it cannot be.
	h.play(
		step{out, icmpError(own4, 3, 4, tcp(remote4, peer4, 1000, 80, syn), 1000), no},
		step{in, icmpError(router4, 3, 4, tcp(own4, netip.MustParseAddr("169.254.169.254"), 80, 1000, ack), 1000), no},
	)
}

// TestICMPErrorsForOthers: a guest that routes gets and sends errors about what it forwards, and one
// with a delegated prefix about all addresses in it.
func TestICMPErrorsForOthers(t *testing.T) {
	t.Parallel()
	const in, out, whole = ruleset.Ingress, ruleset.Egress, 1000
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := delegatedView()
	eni := v.ENIs[eniA]
	behind := netip.MustParseAddr("192.0.2.7")
	h.apply(v)
	web := tcp(netip.MustParseAddr("10.0.0.70"), remote4, 1, 80, syn)
	h.play(step{out, web, ruleset.ReasonRule}, step{in, icmpError(router4, 3, 4, web, whole), ruleset.ReasonTracked})

	eni.SourceDestCheck = false
	v.ENIs[eniA] = eni
	h.apply(v)
	forwarded := tcp(behind, remote4, 2, 80, syn)
	h.play(
		step{in, icmpError(router4, 3, 4, forwarded, whole), ruleset.ReasonICMPError},
		step{out, forwarded, ruleset.ReasonRule}, step{in, forwarded.reply(), ruleset.ReasonTracked},
		step{in, icmpError(router4, 3, 4, forwarded, whole), ruleset.ReasonTracked},
		// The guest itself is the router that has no way for an answer.
		step{out, icmpError(own4, 3, 1, forwarded.reply(), whole), ruleset.ReasonTracked},
		step{out, icmpError(own4, 3, 1, tcp(remote4, behind, 80, 3, ack), whole), ruleset.ReasonICMPError},
	)
}
