package datapath_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestFragments: the first fragment is judged, the others follow it, and nothing that was judged can be
// exchanged afterwards.
func TestFragments(t *testing.T) {
	t.Parallel()
	const in, out = ruleset.Ingress, ruleset.Egress
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	open := []vpc.Rule{
		rule(false, vpc.UDP, 53, 53, "198.51.100.0/24"), rule(false, vpc.UDP, 53, 53, "2001:db8::/32"),
		rule(false, vpc.TCP, 80, 80, "198.51.100.0/24"), rule(false, vpc.TCP, 80, 80, "2001:db8::/32"),
		rule(false, vpc.Protocol(47), -1, -1, "198.51.100.0/24"),
	}
	h.apply(view(open...))
	const ok, tracked, no, noRule = ruleset.ReasonRule, ruleset.ReasonTracked, ruleset.ReasonFragment, ruleset.ReasonNoRule
	ports := uint16(1000)
	for _, family := range []struct{ own, remote, peer netip.Addr }{{own4, remote4, peer4}, {own6, remote6, peer6}} {
		own, remote := family.own, family.remote
		dns := func() frame {
			ports++
			f := udp(remote, own, ports, 53)
			f.data = make([]byte, 92)
			return f
		}
		web := func(port uint16) frame {
			ports++
			f := tcp(remote, own, ports, port, syn)
			f.data = make([]byte, 76)
			return f
		}
		raw := func(id uint32, offset int, more bool, n int) frame {
			return piece(remote, own, unix.IPPROTO_UDP, id, offset, more, make([]byte, n))
		}
		one := dns().split(1, 16, 56)
		h.play(step{in, one[0], ok}, step{in, one[1], ok}, step{in, one[2], ok}, step{in, one[2], ok})
		// Of the same connection, and as answers.
		h.play(step{in, one[0], tracked}, step{in, one[1], tracked})
		answer := udp(own, remote, 53, ports).with("answer", func(f *frame) { f.data = make([]byte, 92) }).split(1, 16)
		h.play(step{out, answer[1], no}, step{out, answer[0], tracked}, step{out, answer[1], tracked})
		// The other way round, and of others.
		h.play(step{out, piece(own, remote, unix.IPPROTO_UDP, 2, 16, false, make([]byte, 8)), no})
		h.play(step{in, piece(family.peer, own, unix.IPPROTO_UDP, 1, 16, false, make([]byte, 8)), no}, step{in, raw(9, 16, false, 8), no})
		if own.Is4() {
			h.play(step{in, piece(remote, own, unix.IPPROTO_TCP, 1, 16, false, make([]byte, 8)), no})
			h.play(step{in, piece(remote4, peer4, unix.IPPROTO_UDP, 1, 16, false, make([]byte, 8)), ruleset.ReasonDestinationAddress})
		} else {
			// The others' protocol does not count.
			h.play(step{in, piece(remote, own, unix.IPPROTO_TCP, 1, 16, false, make([]byte, 8)), tracked})
		}
		// What was judged is not written over.
		two := web(80).split(3, 40)
		h.play(step{in, two[0], ok}, step{in, raw(3, 8, true, 8).as(unix.IPPROTO_TCP), no}, step{in, raw(3, 16, true, 8).as(unix.IPPROTO_TCP), no})
		h.play(step{in, raw(3, 24, true, 8).as(unix.IPPROTO_TCP), ok}, step{in, two[1], ok})
		h.play(step{in, raw(3, 65528, false, 8).as(unix.IPPROTO_TCP), no}, step{in, raw(3, 65520, false, 8).as(unix.IPPROTO_TCP), ok})
		// Tiny ones have no whole header.
		for _, end := range []int{8, 16} {
			h.play(step{in, web(80).split(4, end)[0], no}, step{in, web(80).split(4, end)[1], no})
		}
		options := web(80).with("with TCP options", func(f *frame) { f.mangle = nil })
		tiny := options.split(5, 24)[0]
		tiny.payload[len(tiny.payload)-24+12] = 8 << 4 // a header of 32
		h.play(step{in, tiny, no})
		// Refused, and none is left of what had the id.
		three := dns().split(6, 16)
		h.play(step{in, three[0], ok}, step{in, three[1], ok}, step{in, web(22).split(6, 24)[0].as(unix.IPPROTO_UDP), noRule}, step{in, three[1], no})
		// Late.
		four := dns().split(7, 16)
		h.play(step{in, four[0], ok})
		must(t, h.d.Advance(30*time.Second))
		h.play(step{in, four[1], ok})
		must(t, h.d.Advance(time.Second))
		h.play(step{in, four[1], no})
		// The addresses are the ENI's own all the same, and the frame is for one.
		h.play(step{in, four[0], ok}, step{in, four[1].with("to all, by MAC", func(f *frame) { f.dstMAC = broadcast }), ruleset.ReasonMulticast})
	}
	// A protocol whose header nobody looks at.
	gre := frame{src: remote4, dst: own4, protocol: unix.IPPROTO_GRE, data: make([]byte, 64)}.split(8, 8)
	h.play(step{in, gre[0], ok}, step{in, gre[1], ok})
	// ICMP errors have no parts, nor has what passes without a rule.
	h.apply(view(allowAll()...))
	unreachable := icmpError(remote4, 3, 3, udp(own4, remote4, 7, 7), 28)
	h.play(step{in, unreachable.split(10, 16)[0], no}, step{in, unreachable.split(10, 16)[1], no})
	h.play(step{out, dhcp(1, zero4, limited4, 68, 67, mac).split(11, 128)[0].with("DHCP", func(f *frame) { f.dstMAC = broadcast }), no})
	h.play(step{out, nd(135, own6, solicited(peer6), peer6, lladdr(1, mac)...).with("ND", func(f *frame) {
		f.next, f.options = unix.IPPROTO_FRAGMENT, fragmentHeader(unix.IPPROTO_ICMPV6, 1, 0, true)
	}), no})
	atomic := tcp(remote6, own6, 999, 80, syn).with("atomic", func(f *frame) {
		f.next, f.options = unix.IPPROTO_FRAGMENT, fragmentHeader(unix.IPPROTO_TCP, 12, 0, false)
	})
	h.play(step{in, atomic, ok}, step{in, piece(remote6, own6, unix.IPPROTO_TCP, 12, 24, false, make([]byte, 8)), no})
}

// TestFragmentHeaders: in IPv6 the protocol's header is the first thing in the first fragment, whole. Were
// there options before it, another first fragment without them would let a later one stand on it.
func TestFragmentHeaders(t *testing.T) {
	t.Parallel()
	const in, no = ruleset.Ingress, ruleset.ReasonFragment
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.UDP, 53, 53, "::/0")))
	options := extension(unix.IPPROTO_UDP, slices.Repeat([]byte{1, 0}, 7)...)
	dns := udp(remote6, own6, 1, 53).with("DNS behind options", func(f *frame) {
		f.next, f.options, f.data = unix.IPPROTO_DSTOPTS, options, make([]byte, 64)
	})
	late := func(id uint32, offset int) frame {
		return piece(remote6, own6, unix.IPPROTO_DSTOPTS, id, offset, true, make([]byte, 8))
	}
	for _, end := range []int{8, 16, 32} {
		h.want(eniA, in, dns.split(uint32(end), end)[0], no)
		h.want(eniA, in, late(uint32(end), 8), no)
		h.want(eniA, in, late(uint32(end), 16), no)
		h.want(eniA, in, late(uint32(end), len(options)+8), no)
	}
	twice := piece(remote6, own6, unix.IPPROTO_FRAGMENT, 50, 0, true, append(fragmentHeader(unix.IPPROTO_UDP, 51, 0, true), udp(remote6, own6, 1, 53).l4()...))
	h.want(eniA, in, twice, ruleset.ReasonExtensionHeader)
}

// TestFragmentsAfterAChange: fragments of what is allowed before and after a change pass it, those of
// what a rule no longer allows do not, and a tracked connection's go on.
func TestFragmentsAfterAChange(t *testing.T) {
	t.Parallel()
	const in = ruleset.Ingress
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	dns, web := rule(false, vpc.UDP, 53, 53, "198.51.100.0/24"), rule(false, vpc.TCP, 80, 80, "198.51.100.0/24")
	unreachable := rule(false, vpc.ICMP, 14, -1, "198.51.100.0/24")
	h.apply(view(dns, web, unreachable))
	query := udp(remote4, own4, 1, 53).with("query", func(f *frame) { f.data = make([]byte, 64) }).split(1, 16)
	// An answer to nothing: a packet that a rule allows and that opens nothing.
	stray := icmp(remote4, own4, 14, 0, 1).with("stray", func(f *frame) { f.data = make([]byte, 64) }).split(2, 16)
	h.play(step{in, query[0], ruleset.ReasonRule}, step{in, stray[0], ruleset.ReasonRule})
	h.apply(view(web, unreachable))
	h.play(step{in, query[1], ruleset.ReasonRule}, step{in, stray[1], ruleset.ReasonRule})
	h.apply(view(web))
	h.play(step{in, query[1], ruleset.ReasonRule}, step{in, stray[1], ruleset.ReasonNoRule})
}

// TestFragmentsOfUntrackedFlows are let through by the rules of the moment.
func TestFragmentsOfUntrackedFlows(t *testing.T) {
	t.Parallel()
	const in = ruleset.Ingress
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	all := []vpc.Rule{rule(false, vpc.UDP, 0, 65535, "0.0.0.0/0"), rule(true, vpc.UDP, 0, 65535, "0.0.0.0/0")}
	h.apply(view(all...))
	query := udp(remote4, own4, 1, 53).with("query", func(f *frame) { f.data = make([]byte, 64) }).split(1, 16)
	h.play(step{in, query[0], ruleset.ReasonRule}, step{in, query[1], ruleset.ReasonRule})
	h.apply(view(append(all, rule(false, vpc.TCP, 1, 1, "0.0.0.0/0"))...))
	h.play(step{in, query[1], ruleset.ReasonRule})
	h.apply(view(all[1:]...))
	h.play(step{in, query[1], ruleset.ReasonNoRule}, step{in, query[0], ruleset.ReasonNoRule}, step{in, query[1], ruleset.ReasonFragment})
}

// TestFragmentsObserved pass as their first one did, as long as that is observed.
func TestFragmentsObserved(t *testing.T) {
	t.Parallel()
	const in = ruleset.Ingress
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	h.apply(observing(time.Now().Add(10 * time.Second)))
	observed := ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonNoRule}
	dns := udp(remote4, own4, 1, 53).with("query", func(f *frame) { f.data = make([]byte, 64) })
	query := dns.split(1, 16)
	h.want(eniA, in, query[1], ruleset.ReasonFragment)
	h.wantVerdict(in, query[0], observed)
	h.wantVerdict(in, query[1], observed)
	// An error about what is observed, too.
	h.wantVerdict(ruleset.Egress, icmpError(own4, 3, 3, dns, 28), ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonICMPError})
	must(t, h.d.Advance(15*time.Second))
	h.play(step{in, query[1], ruleset.ReasonFragment}, step{in, query[0], ruleset.ReasonNoRule})
	h.play(step{ruleset.Egress, icmpError(own4, 3, 3, dns, 28), ruleset.ReasonICMPError})
}

// as is a fragment of another protocol.
func (f frame) as(protocol uint8) frame {
	f.payload = slices.Clone(f.payload)
	if f.src.Is4() {
		f.payload[9] = protocol
	} else {
		f.payload[40] = protocol
	}
	f.what += fmt.Sprintf(", as protocol %d", protocol)
	return f
}
