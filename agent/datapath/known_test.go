package datapath_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// talk lets a flow begin and go on until its packets go the short way in both directions, and returns one
// that does, from the guest.
func (h *host) talk(eni vpc.InterfaceID, out frame, reason ruleset.Reason) frame {
	h.t.Helper()
	first := out
	if out.protocol == unix.IPPROTO_TCP {
		first.flags = syn
		out.flags = ack
	}
	h.want(eni, ruleset.Egress, first, ruleset.ReasonRule)
	answer := out.reply()
	if out.protocol == unix.IPPROTO_TCP {
		answer.flags = syn | ack
	}
	h.want(eni, ruleset.Ingress, answer, reason)
	answer.flags = out.flags
	for range 3 {
		h.want(eni, ruleset.Egress, out, reason)
		h.want(eni, ruleset.Ingress, answer, reason)
	}
	return out
}

// change applies the view with another eniA.
func (h *host) change(v *ruleset.View, change func(*ruleset.ENI)) {
	h.t.Helper()
	next := *v
	eni := v.ENIs[eniA]
	eni.Addresses, eni.Routers = slices.Clone(eni.Addresses), slices.Clone(eni.Routers)
	change(&eni)
	next.ENIs = map[vpc.InterfaceID]ruleset.ENI{eniA: eni}
	h.apply(&next)
}

// TestKnownFlows: what a flow has passed once is asked again when the answer may be another.
func TestKnownFlows(t *testing.T) {
	t.Parallel()
	tracked := []vpc.Rule{
		rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(true, vpc.AllProtocols, -1, -1, "::/0"),
	}
	t.Run("tracked", func(t *testing.T) {
		t.Parallel()
		testKnownFlows(t, tracked, ruleset.ReasonTracked)
	})
	t.Run("untracked", func(t *testing.T) {
		t.Parallel()
		testKnownFlows(t, allowAll(), ruleset.ReasonRule)
	})
}

func testKnownFlows(t *testing.T, rules []vpc.Rule, reason ruleset.Reason) {
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	v := view(rules...)
	h.apply(v)
	flows := []frame{
		tcp(second4, remote4, 1000, 80, 0), udp(second4, remote4, 1000, 80),
		tcp(own6, remote6, 1000, 80, 0), udp(own6, remote6, 1000, 80),
	}
	for i, f := range flows {
		flows[i] = h.talk(eniA, f, reason)
	}
	if n, err := h.d.Stamped(eniA); err != nil || n != len(flows) {
		t.Fatalf("%d flows are stamped in both directions, %v; want %d", n, err, len(flows))
	}
	// both wants each flow's packets to be judged so.
	both := func(out, in ruleset.Reason) {
		t.Helper()
		for _, f := range flows {
			h.want(eniA, ruleset.Egress, f, out)
			h.want(eniA, ruleset.Ingress, f.reply(), in)
		}
	}
	// again wants all to go on, and to be stamped.
	again := func() {
		t.Helper()
		both(reason, reason)
		both(reason, reason)
	}
	from := func(mac vpc.MAC, want ruleset.Reason) {
		t.Helper()
		for _, f := range flows {
			f.srcMAC = mac
			h.want(eniA, ruleset.Egress, f, want)
		}
	}
	from(otherMAC, ruleset.ReasonSourceMAC)
	for _, f := range flows {
		answer := f.reply()
		f.dstMAC, answer.dstMAC = broadcast, vpc.MAC{1, 0, 0x5e, 0, 0, 1}
		h.want(eniA, ruleset.Egress, f, ruleset.ReasonMulticast)
		h.want(eniA, ruleset.Ingress, answer, ruleset.ReasonMulticast)
	}
	again()

	// The addresses go, and come again.
	h.change(v, func(eni *ruleset.ENI) { eni.Addresses = []netip.Addr{own4} })
	both(ruleset.ReasonSourceAddress, ruleset.ReasonDestinationAddress)
	h.apply(v)
	again()

	// The check is switched off, the addresses go, and the check comes again.
	h.change(v, func(eni *ruleset.ENI) { eni.SourceDestCheck, eni.Addresses = false, []netip.Addr{own4} })
	again()
	h.change(v, func(eni *ruleset.ENI) { eni.Addresses = []netip.Addr{own4} })
	both(ruleset.ReasonSourceAddress, ruleset.ReasonDestinationAddress)
	h.apply(v)
	again()

	// The MAC changes.
	h.change(v, func(eni *ruleset.ENI) { eni.MAC = otherMAC })
	from(mac, ruleset.ReasonSourceMAC)
	from(otherMAC, reason)
	h.apply(v)
	again()

	// A service of the platform is declared where a flow goes: as before, the flow goes on.
	for _, f := range flows {
		h.options.PlatformServices = append(h.options.PlatformServices, datapath.PlatformService{
			Protocol: f.protocol, Addr: netip.AddrPortFrom(f.dst, f.dstPort),
		})
	}
	h.restart()
	again()
	h.apply(v)
	again()

	// The rules go: with them what is not tracked.
	h.apply(view())
	if reason == ruleset.ReasonTracked {
		again()
	} else {
		both(ruleset.ReasonPlatform, ruleset.ReasonPlatform)
		both(ruleset.ReasonPlatform, ruleset.ReasonPlatform)
	}

	// Past its end it is none, however often it was seen.
	must(t, h.d.Advance(6*24*time.Hour))
	both(ruleset.ReasonPlatform, ruleset.ReasonPlatform)
}

// TestKnownFlowOfDHCP: a flow to another's DHCP server goes by the rules, until that is the ENI's router.
func TestKnownFlowOfDHCP(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := view(rule(true, vpc.UDP, 67, 67, "0.0.0.0/0"))
	h.apply(v)
	f := h.talk(eniA, udp(own4, peer4, 68, 67), ruleset.ReasonTracked)
	h.change(v, func(eni *ruleset.ENI) { eni.Routers = append(eni.Routers, peer4) })
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonDHCP)
	h.want(eniA, ruleset.Ingress, f.reply(), ruleset.ReasonDHCP)
}

// TestKnownFlowOfPortZero: a later fragment has no ports, which is not the same as ports 0.
func TestKnownFlowOfPortZero(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))
	for _, f := range []frame{udp(own4, remote4, 0, 0), udp(own6, remote6, 0, 0)} {
		h.talk(eniA, f, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, piece(f.src, f.dst, unix.IPPROTO_UDP, 1, 64, false, make([]byte, 64)), ruleset.ReasonFragment)
	}
}

// TestKnownConnections: the short way is none for what says something of the connection itself.
func TestKnownConnections(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	rules := []vpc.Rule{rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0")}
	h.apply(view(rules...))
	port := uint16(2000)
	begin := func() frame {
		port++
		h.apply(view(rules...))
		return h.talk(eniA, tcp(own4, remote4, port, 80, 0), ruleset.ReasonTracked)
	}
	with := func(f frame, flags uint8) frame {
		f.flags = flags
		return f
	}
	closed := func(want int) {
		t.Helper()
		if got, err := h.d.Closed(eniA); err != nil || got != want {
			t.Errorf("%d connections have ended, %v; want %d", got, err, want)
		}
	}
	// A SYN is judged by today's rules.
	f := begin()
	h.apply(view())
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, with(f, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonTracked)

	// An RST ends it, and what comes after does not put that off.
	f = begin()
	h.want(eniA, ruleset.Egress, with(f, rst|ack), ruleset.ReasonTracked)
	closed(1)
	h.apply(view())
	for range 3 {
		h.want(eniA, ruleset.Egress, f, ruleset.ReasonTracked)
		must(t, h.d.Advance(4*time.Second))
	}
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonNoRule)

	// So do two FINs.
	f = begin()
	h.want(eniA, ruleset.Egress, with(f, fin|ack), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, with(f.reply(), fin|ack), ruleset.ReasonTracked)
	h.apply(view())
	for range 3 {
		h.want(eniA, ruleset.Ingress, f.reply(), ruleset.ReasonTracked)
		must(t, h.d.Advance(4*time.Second))
	}
	h.want(eniA, ruleset.Ingress, f.reply(), ruleset.ReasonNoRule)

	// What is cut is.
	f = begin()
	h.apply(view())
	if _, err := h.d.Cut(eniA, func(datapath.Connection) bool { return true }); err != nil {
		t.Fatal(err)
	}
	h.want(eniA, ruleset.Egress, f, ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Ingress, f.reply(), ruleset.ReasonNoRule)
}

// TestSameHash: flows whose keys have the same hash are flows of their own, whatever differs.
func TestSameHash(t *testing.T) {
	t.Parallel()
	type ends struct{ remote, local string }
	h := newHost(t, datapath.Options{}.WithTestClock())
	h.attach(eniA)
	must(t, h.d.ForgetSecrets(eniA))
	for name, flows := range map[string][2]ends{
		// The words of a key are multiplied, half by half, and what that gives is added.
		"IPv4":        {{"100.64.0.8", "10.0.0.50"}, {"50.32.0.4", "20.0.0.100"}},
		"IPv6 remote": {{"2001:db8:1:2:2001:db8:3:4", "2001:db8::5"}, {"2001:db8:3:4:2001:db8:1:2", "2001:db8::5"}},
		"IPv6 local":  {{"2001:db8::5", "2001:db8:1:2:2001:db8:3:4"}, {"2001:db8::5", "2001:db8:3:4:2001:db8:1:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := view(rule(false, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.UDP, 53, 53, "::/0"))
			eni := v.ENIs[eniA]
			eni.Addresses = nil
			var in [len(flows)]frame
			for i, f := range flows {
				local := netip.MustParseAddr(f.local)
				if !slices.Contains(eni.Addresses, local) {
					eni.Addresses = append(eni.Addresses, local)
				}
				in[i] = udp(netip.MustParseAddr(f.remote), local, 1, 53)
			}
			v.ENIs[eniA] = eni
			h.apply(v)
			before, err := h.d.Standing(eniA)
			must(t, err)
			for _, f := range in {
				h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
			}
			for range 2 { // the second time they are known
				for _, f := range in {
					h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
				}
			}
			s, err := h.d.Standing(eniA)
			must(t, err)
			if s.Shared == before.Shared {
				t.Error("the two entries have no fingerprint in common: this test sees nothing")
			}
		})
	}
}
