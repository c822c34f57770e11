package datapath_test

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// pair is two guests, eniA and eniB, on a bridge of one host.
type pair struct {
	*host
	a, b streamtest.End
}

func newPair(t *testing.T, o datapath.Options) *pair {
	t.Helper()
	p := newBarePair(t, o)
	p.open()
	for _, eni := range []vpc.InterfaceID{eniA, eniB} {
		p.do(func() { must(t, p.d.Attach(p.devices[eni], gapDevice(eni), eni)) })
	}
	return p
}

// gapDevice is the host's side of a guest.
func gapDevice(eni vpc.InterfaceID) string { return "gap" + string(eni[len(eni)-1]) }

// newBarePair is a pair that nothing filters.
func newBarePair(t *testing.T, o datapath.Options) *pair {
	t.Helper()
	p := &pair{host: newBareHost(t, o)}
	p.do(func() {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		must(t, netlink.LinkAdd(bridge))
		must(t, netlink.LinkSetUp(bridge))
	})
	p.a = p.guest(eniA, mac, own4)
	p.b = p.guest(eniB, otherMAC, peer4)
	return p
}

// guest makes a guest with one address.
func (p *pair) guest(eni vpc.InterfaceID, hardware vpc.MAC, a netip.Addr) streamtest.End {
	p.t.Helper()
	ns := newNamespace(p.t)
	name := gapDevice(eni)
	p.devices[eni] = p.device(name)
	p.do(func() {
		peer, err := netlink.LinkByName(name + "p")
		must(p.t, err)
		must(p.t, netlink.LinkSetNsFd(peer, int(ns)))
		bridge, err := netlink.LinkByName("br0")
		must(p.t, err)
		side, err := netlink.LinkByName(name)
		must(p.t, err)
		must(p.t, netlink.LinkSetMaster(side, bridge))
		must(p.t, netlink.LinkSetUp(side))
	})
	must(p.t, streamtest.In(ns, func() error {
		l, err := netlink.LinkByName(name + "p")
		must(p.t, err)
		must(p.t, netlink.LinkSetHardwareAddr(l, hardware[:]))
		must(p.t, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
		return netlink.LinkSetUp(l)
	}))
	return streamtest.End{NS: ns, Device: name + "p", Addr: a}
}

// newNamespace makes a network namespace that ends with the test.
func newNamespace(t testing.TB) (ns netns.NsHandle) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(t, err)
	defer old.Close()
	ns, err = netns.New()
	must(t, err)
	must(t, netns.Set(old))
	t.Cleanup(func() { must(t, ns.Close()) })
	return ns
}

// Where the packets of a gap test go: the ports that are open throughout, those that never are at the
// receiver's gate or at the sender's, and the connection that was made under a rule that is gone.
const (
	openPort, openPorts = 20000, 30000
	shutIn, shutOut     = 7000, 8000
	shutPorts           = 1000
	trackedPort         = 9

	trackedSource = 1100
)

func gapLanes() []streamtest.Lane {
	return []streamtest.Lane{
		{Name: "a tracked connection", Share: 4, Source: trackedSource, Destination: trackedPort},
		{Name: "new connections", Share: 4, Source: 1200, Sources: 16, Destination: openPort, Ports: openPorts},
		{Name: "not let in", Source: 1300, Sources: 16, Destination: shutIn, Ports: shutPorts, Forbidden: true},
		{Name: "not let out", Source: 1400, Sources: 16, Destination: shutOut, Ports: shutPorts, Forbidden: true},
	}
}

// gapViews are revisions whose rules, groups and members all differ. In each eniA may send to the open
// ports of eniB; in none may the others get in or out, though a mix of two would let them. A gate that
// let a packet pass in one revision tracks it in the next: so it is always the same gate that is shut.
func gapViews() []*ruleset.View {
	revision := uint32(0)
	revise := func(a, b []vpc.GroupID, egress, ingress []vpc.Rule) *ruleset.View {
		revision++
		for i := range egress {
			egress[i].Number = 100*revision + uint32(i)
		}
		for i := range ingress {
			ingress[i].Number = 100*revision + 50 + uint32(i)
		}
		v := view(egress...)
		v.Revision = int64(revision)
		v.Groups[sgB] = ruleset.Group{ID: sgB, Rules: ingress}
		v.Groups[sgC] = ruleset.Group{ID: sgC}
		v.ENIs[eniB] = ruleset.ENI{
			ID: eniB, Domain: dom, MAC: otherMAC, Addresses: []netip.Addr{peer4}, Routers: []netip.Addr{router4}, SourceDestCheck: true,
		}
		for id, groups := range map[vpc.InterfaceID][]vpc.GroupID{eniA: append(a, sgA), eniB: append(b, sgB)} {
			eni := v.ENIs[id]
			eni.Groups = groups
			v.ENIs[id] = eni
			v.Members[id] = ruleset.Member{ID: id, Domains: []vpc.VPCID{dom}, Groups: groups, Addresses: eni.Addresses}
		}
		return v
	}
	type rules = []vpc.Rule
	udp := func(egress bool, from, n int, peer vpc.GroupID) vpc.Rule {
		return rule(egress, vpc.UDP, int32(from), int32(from+n-1), string(peer))
	}
	const out, in = true, false
	return []*ruleset.View{
		// By CIDRs. What is shut is open to sgC, which nobody is in.
		revise(nil, nil,
			rules{udp(out, 0, shutOut, "0.0.0.0/0"), udp(out, openPort, openPorts, "10.0.0.0/24"), udp(out, shutOut, shutPorts, sgC)},
			rules{udp(in, openPort, openPorts, "10.0.0.0/8"), udp(in, shutIn, shutPorts, sgC), udp(in, shutOut, shutPorts, "0.0.0.0/0")}),
		// By sgC, which both are in now.
		revise([]vpc.GroupID{sgC}, []vpc.GroupID{sgC},
			rules{udp(out, shutIn, shutPorts, "10.0.0.0/8"), udp(out, openPort, openPorts, sgC)},
			rules{udp(in, openPort, openPorts, sgC), udp(in, shutOut, shutPorts, sgA)}),
		// By the groups that they are always in; what is shut, to another address.
		revise(nil, []vpc.GroupID{sgC},
			rules{udp(out, shutIn, shutPorts, sgB), udp(out, openPort, openPorts, sgB), udp(out, shutOut, shutPorts, "10.0.0.51/32")},
			rules{udp(in, openPort, openPorts, sgA), udp(in, shutIn, shutPorts, sgC), udp(in, shutOut, shutPorts, sgA)}),
		// By the longest prefix; sgC changes sides.
		revise([]vpc.GroupID{sgC}, nil,
			rules{udp(out, openPort, openPorts, "10.0.0.50/32"), udp(out, shutIn, shutPorts, "10.0.0.50/32"), udp(out, shutOut, shutPorts, sgC)},
			rules{udp(in, openPort, openPorts, "10.0.0.11/32"), udp(in, shutOut, shutPorts, "10.0.0.11/32")}),
	}
}

// stream puts the first view in force, with the tracked connection, and starts to send.
func (p *pair) stream(first *ruleset.View) *streamtest.Stream {
	p.t.Helper()
	in := rule(false, vpc.UDP, trackedPort, trackedPort, "0.0.0.0/0")
	in.Number = 2
	v := view(rule(true, vpc.UDP, trackedPort, trackedPort, "0.0.0.0/0"))
	v.ENIs[eniB] = first.ENIs[eniB]
	v.Groups[sgB] = ruleset.Group{ID: sgB, Rules: []vpc.Rule{in}}
	p.apply(v)
	must(p.t, streamtest.Exchange(p.a, p.b, trackedSource, trackedPort, 3))
	p.apply(first)
	s, err := streamtest.Start(streamtest.Options{From: p.a, To: p.b, Host: p.ns, Lanes: gapLanes(), Rate: 70_000, Max: 64 << 20})
	must(p.t, err)
	return s
}

// change puts one view after the other in force under a stream, n times, and says what became of that.
func (p *pair) change(n int, apply func(i int, v *ruleset.View)) streamtest.Result {
	p.t.Helper()
	views := gapViews()
	s := p.stream(views[0])
	for i := range n {
		v := *views[(i+1)%len(views)]
		v.Revision = int64(i + 2)
		apply(i, &v)
	}
	s.WaitFor(p.t.Context(), 20_000)
	r, err := s.Stop()
	must(p.t, err)
	return r
}

// TestNoGap: at more than 50,000 packets a second nothing is lost that is allowed throughout, and
// nothing passes that is forbidden throughout, while every part of the rules changes as fast as it can,
// and while agents come and go and replace the programs.
func TestNoGap(t *testing.T) {
	changes, restarts := 1000, 10
	if os.Getenv("SOAK") != "" {
		changes, restarts = 10_000, 100
	}
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t, datapath.Options{Attach: mode})
			r := p.change(changes, func(i int, v *ruleset.View) {
				p.apply(v)
				if i%(changes/restarts) == 0 {
					p.restart() // while the last change is settled, before the next
				}
			})
			if err := r.Err(); err != nil {
				t.Errorf("%d changes, %d restarts: %v", changes, restarts, err)
			} else {
				t.Logf("%d changes, %d restarts: %s", changes, restarts, r)
			}
		})
	}
}

// TestNoGapSees: what loses packets, or lets them pass, for a moment is seen.
func TestNoGapSees(t *testing.T) {
	for _, tt := range []struct {
		name   string
		passes bool // forbidden packets must have passed, too
		change func(p *pair, v *ruleset.View)
	}{
		{"programs detached and attached", false, func(p *pair, v *ruleset.View) {
			p.apply(v)
			p.do(func() {
				must(t, p.d.Detach(p.devices[eniB]))
				must(t, p.d.Attach(p.devices[eniB], "gapb", eniB))
			})
		}},
		{"tables first, then members", true, func(p *pair, v *ruleset.View) {
			half := *v
			half.Members = p.view.Members
			p.apply(&half)
			time.Sleep(5 * time.Millisecond) // in which packets come
			p.apply(v)
		}},
	} {
		p := newPair(t, datapath.Options{})
		r := p.change(40, func(_ int, v *ruleset.View) { tt.change(p, v) })
		if r.Err() == nil || r.Lost() == 0 || r.Passed() == 0 && tt.passes {
			t.Errorf("%s: too little is seen of it: %s", tt.name, r)
		}
	}
}
