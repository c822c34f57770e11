package datapath_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// probe asks the ENI's program about a packet.
func (h *host) probe(direction ruleset.Direction, p ruleset.Packet) (v ruleset.Verdict) {
	h.t.Helper()
	h.do(func() {
		var err error
		v, err = h.d.Probe(eniA, direction, p)
		must(h.t, err)
	})
	return v
}

func (h *host) written() string {
	h.t.Helper()
	w, err := h.d.Written()
	must(h.t, err)
	return w
}

// TestProbe compares what probes say with the evaluator on random rules and packets, and wants nothing
// of them to be left.
func TestProbe(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	r := rand.New(rand.NewPCG(1, 7))
	pick := func(as ...netip.Addr) netip.Addr { return as[r.IntN(len(as))] }
	allowed := 0
	const rounds, packets = 20, 100
	for round := range rounds {
		var rules []vpc.Rule
		for range 1 + r.IntN(8) {
			protocol := []vpc.Protocol{vpc.TCP, vpc.UDP, vpc.ICMP, vpc.ICMPv6, vpc.AllProtocols, 47}[r.IntN(6)]
			from, to := int32(-1), int32(-1)
			switch protocol {
			case vpc.TCP, vpc.UDP:
				from = r.Int32N(4)
				to = from + r.Int32N(4)
			case vpc.ICMP:
				from = 8 * r.Int32N(2)
			case vpc.ICMPv6:
				from = 128 + r.Int32N(2)
			}
			peer := []string{"0.0.0.0/0", "198.51.100.0/24", "198.51.100.7/32", "::/0", "2001:db8:ffff::/64", string(sgB)}[r.IntN(6)]
			rules = append(rules, rule(r.IntN(2) == 0, protocol, from, to, peer))
		}
		v := view(rules...)
		v.Members[eniB] = ruleset.Member{ID: eniB, Domains: []vpc.VPCID{dom}, Addresses: []netip.Addr{peer4, peer6}, Groups: []vpc.GroupID{sgB}}
		h.apply(v)
		before := h.written()
		for range packets {
			own, remote := pick(own4, second4, peer4), pick(remote4, peer4, netip.MustParseAddr("203.0.113.1"))
			if r.IntN(2) == 0 {
				own, remote = pick(own6, peer6), pick(remote6, peer6)
			}
			p := ruleset.Packet{Src: own, Dst: remote, Protocol: []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, 47}[r.IntN(4)]}
			switch p.Protocol {
			case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
				p.SrcPort, p.DstPort = 4000, uint16(r.IntN(8))
			case unix.IPPROTO_ICMP:
				p.ICMPType = uint8(8 * r.IntN(2))
				if own.Is6() {
					p.Protocol, p.ICMPType = unix.IPPROTO_ICMPV6, uint8(128+r.IntN(2))
				}
			}
			direction := ruleset.Egress
			if r.IntN(2) == 0 {
				direction, p.Src, p.Dst = ruleset.Ingress, p.Dst, p.Src
			}
			got, want := h.probe(direction, p), ruleset.Evaluate(v, eniA, direction, p)
			if own == remote && got.Action == ruleset.Drop { // no packet goes to oneself; the rules do not know
				continue
			}
			if got != want {
				t.Fatalf("round %d, %s %+v: got %+v, want %+v", round, direction, p, got, want)
			}
			if got.Action == ruleset.Allow {
				allowed++
			}
		}
		if after := h.written(); after != before {
			t.Fatalf("probes left something behind:\ngot  %s\nwant %s", after, before)
		}
	}
	if allowed < rounds*packets/20 || allowed > rounds*packets*19/20 {
		t.Errorf("%d of %d packets are allowed: they prove little", allowed, rounds*packets)
	}
}

// A probe is judged as if there were no connections, and a connection is as it was.
func TestProbeIgnoresConnections(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 22, 22, "0.0.0.0/0")))
	packet := ruleset.Packet{Src: remote4, Dst: own4, Protocol: unix.IPPROTO_TCP, SrcPort: 4000, DstPort: 22}
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 4000, 22, syn), ruleset.ReasonRule)
	h.apply(view())
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 22, 4000, syn|ack), ruleset.ReasonTracked)
	before := h.written()
	if got, want := h.probe(ruleset.Ingress, packet), (ruleset.Verdict{Reason: ruleset.ReasonNoRule}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if after := h.written(); after != before {
		t.Errorf("the probe left something behind:\ngot  %s\nwant %s", after, before)
	}
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 4000, 22, ack), ruleset.ReasonTracked)
	if h.written() == before {
		t.Error("a real packet left nothing behind: the comparison sees nothing")
	}
}

// Nothing is known of an ENI that no device carries.
func TestProbeOfNobody(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	packet := ruleset.Packet{Src: own4, Dst: remote4, Protocol: unix.IPPROTO_TCP, DstPort: 80}
	if got, want := h.probe(ruleset.Egress, packet), (ruleset.Verdict{Reason: ruleset.ReasonNoTable}); got != want {
		t.Errorf("attached, without tables: got %+v, want %+v", got, want)
	}
	_, err := h.d.Probe(eniB, ruleset.Egress, packet)
	mustFail(t, err, "an ENI that is not there")
	_, err = h.d.Probe("", ruleset.Egress, packet)
	mustFail(t, err, "no ENI")
	_, err = h.d.Probe(eniA, ruleset.Egress, ruleset.Packet{Src: own4, Dst: remote6})
	mustFail(t, err, "a packet of two families")
	if got := fmt.Sprint(len(h.d.Attached())); got != "1" {
		t.Errorf("%s devices are attached, want 1", got)
	}
}
