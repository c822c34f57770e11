package reachability_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

const mostPort = 13 // beyond it no rule tells ports apart

// tryAll asks both gates about every packet that a path may mean.
func tryAll(w *world, p *vpc.InsightsPath, src, dst *vpc.NetworkInterface) bool {
	view := ruleset.Resolve(w.State, "host-1")
	within := func(a netip.Addr, filters ...netip.Prefix) bool {
		for _, f := range filters {
			if f.IsValid() && !f.Contains(a) {
				return false
			}
		}
		return true
	}
	ports := func(port int32, ranges ...[2]int32) bool {
		for _, r := range ranges {
			if r != [2]int32{} && (port < r[0] || port > r[1]) {
				return false
			}
		}
		return true
	}
	for _, from := range own(src) {
		for _, to := range own(dst) {
			if !within(from, p.AtSource.Source, p.AtDestination.Source) || !within(to, p.AtSource.Destination, p.AtDestination.Destination) {
				continue
			}
			for port := range int32(mostPort + 1) {
				if p.DestinationPort != 0 && p.DestinationPort != port || !ports(port, p.AtSource.DestinationPorts, p.AtDestination.DestinationPorts) {
					continue
				}
				packet := ruleset.Packet{Src: from, Dst: to, Protocol: uint8(p.Protocol), DstPort: uint16(port)}
				if ruleset.Evaluate(view, src.ID, ruleset.Egress, packet).Action == ruleset.Allow &&
					ruleset.Evaluate(view, dst.ID, ruleset.Ingress, packet).Action == ruleset.Allow {
					return true
				}
			}
		}
	}
	return false
}

// own returns all addresses of an interface, those of its prefixes too.
func own(e *vpc.NetworkInterface) []netip.Addr {
	as := e.IPv4
	for _, p := range e.IPv4Prefixes {
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			as = append(as, a)
		}
	}
	return as
}

// TestAnalyzeEqualsTryingAll compares Analyze with trying every packet, on random rules and paths.
func TestAnalyzeEqualsTryingAll(t *testing.T) {
	found, tries := 0, 200
	for seed := range uint64(tries) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 7))
		cidrs := []string{
			"10.0.0.0/8", "10.0.0.0/24", "10.0.0.10/32", "10.0.0.11/32", "10.0.0.20/32", "10.0.0.21/32",
			"10.0.0.8/29", "10.0.0.32/28", "10.0.0.36/31", "10.0.0.48/28", "10.0.0.50/32", "192.0.2.0/24",
		}
		v := w.vpcs[0]
		a, b := w.group(v, "a"), w.group(v, "b")
		peers := append([]string{string(a), string(b), string(w.list(cidrs[r.IntN(6)], "10.0.0.50/32"))}, cidrs...)
		for range 6 + r.IntN(20) {
			from := r.IntN(mostPort)
			rule := fmt.Sprintf("%s %s %d-%d", []string{"egress", "ingress"}[r.IntN(2)],
				[]string{"tcp", "tcp", "udp"}[r.IntN(3)], from, min(from+r.IntN(8), mostPort-1))
			g := []vpc.GroupID{a, b}[r.IntN(2)]
			if _, _, c, err := w.AuthorizeSecurityGroup(w.env, newRule(g, rule, peers[r.IntN(len(peers))])); err == nil { // else there is one
				w.do(c, nil)
			}
		}
		src, dst := w.eni(v, "10.0.0.10", a), w.eni(v, "10.0.0.20", []vpc.GroupID{a, b}[r.IntN(2)])
		s, d := *w.NetworkInterface(src), *w.NetworkInterface(dst)
		s.IPv4 = append(s.IPv4, netip.MustParseAddr("10.0.0.11"))
		d.IPv4 = append(d.IPv4, netip.MustParseAddr("10.0.0.21"))
		if r.IntN(2) == 0 {
			s.IPv4Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.32/28")}
			d.IPv4Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.48/28")}
		}
		w.do(vpc.Change{Puts: []vpc.Object{&s, &d}}, nil)
		for range 20 {
			p := &vpc.InsightsPath{
				Source: string(src), Destination: string(dst),
				Protocol: []vpc.Protocol{vpc.TCP, vpc.UDP}[r.IntN(2)], DestinationPort: int32(r.IntN(2) * r.IntN(mostPort)),
			}
			filter := func() (f vpc.InsightsFilter) {
				if r.IntN(3) == 0 {
					f.Source = netip.MustParsePrefix(cidrs[r.IntN(len(cidrs))])
				}
				if r.IntN(3) == 0 {
					f.Destination = netip.MustParsePrefix(cidrs[r.IntN(len(cidrs))])
				}
				if from := 1 + r.Int32N(mostPort-1); r.IntN(3) == 0 {
					f.DestinationPorts = [2]int32{from, from + r.Int32N(mostPort-from)}
				}
				return f
			}
			if r.IntN(2) == 0 {
				p.AtSource, p.AtDestination = filter(), filter()
			}
			f := reachability.Analyze(w.State, p, reachability.Components{})
			if want := tryAll(w, p, &s, &d); f.Found() != want || f.Found() == (len(f.Explanations) > 0) {
				t.Fatalf("seed %d, %+v: got %s, want found %t", seed, p, said(f), want)
			}
			if f.Found() {
				found++
				h := f.Forward[0].Out
				view := ruleset.Resolve(w.State, "host-1")
				for _, port := range []int32{h.DestinationPorts.From, h.DestinationPorts.To} {
					packet := ruleset.Packet{Src: h.Source, Dst: h.Destination, Protocol: uint8(p.Protocol), DstPort: uint16(port)}
					if ruleset.Evaluate(view, src, ruleset.Egress, packet).Action != ruleset.Allow ||
						ruleset.Evaluate(view, dst, ruleset.Ingress, packet).Action != ruleset.Allow {
						t.Fatalf("seed %d: %+v is said to pass and does not", seed, packet)
					}
				}
			}
		}
	}
	if found < 2*tries || found > 16*tries {
		t.Errorf("%d of %d paths are found: they prove little", found, 20*tries)
	}
}

// Very many rules, addresses and members are looked at in a moment: each packet by each rule would be
// minutes.
func TestAnalyzeIsFast(t *testing.T) {
	w := newWorld(t)
	v := w.vpcs[0]
	var groups []vpc.GroupID
	var puts []vpc.Object
	for n := range 5 {
		g := *w.SecurityGroup(w.group(v, fmt.Sprint("g", n)))
		groups = append(groups, g.ID)
		for i := range 190 {
			port := int32(2 * (n*200 + i))
			for _, egress := range []bool{true, false} { // on even ports out, on odd ports in
				r := vpc.Rule{Number: uint32(1 + len(g.Rules)), Egress: egress, Protocol: vpc.TCP, From: port, To: port, Peer: vpc.Peer{Group: groups[i%len(groups)]}}
				if !egress {
					r.From, r.To = port+1, port+1
				}
				g.Rules = append(g.Rules, r)
			}
		}
		puts = append(puts, &g)
	}
	src, dst := w.eni(v, "10.0.0.10", groups...), w.eni(v, "10.0.0.20", groups...)
	for n, id := range []vpc.InterfaceID{src, dst} {
		e := *w.NetworkInterface(id)
		for i := range 49 {
			e.IPv4 = append(e.IPv4, netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + 50*n + i)}))
		}
		puts = append(puts, &e)
	}
	for i := range 2500 {
		puts = append(puts, &vpc.NetworkInterface{
			ID: vpc.InterfaceID(fmt.Sprintf("eni-%017x", 1<<20+i)), VPC: v, Groups: groups,
			IPv4: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(1 + i/250), byte(i % 250)})},
		})
	}
	w.do(vpc.Change{Puts: puts}, nil)
	expect(t, "no port in common", w.ask(src, dst, 0), "ENI_SG_RULES_MISMATCH ingress")
}
