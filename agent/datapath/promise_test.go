package datapath_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// The promises of docs/promises.md that the programs keep. What breaks them is in mutants_bpf_test.go and
// mutants_go_test.go in the root.

// TestPromise01 closed by default: from Attach on nothing passes until tables are in force, and then
// only what a rule allows.
func TestPromise01ClosedByDefault(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	closed := func(when string) {
		for _, f := range []frame{
			tcp(own4, remote4, 1, 80, syn), udp(own6, remote6, 1, 53), icmp(own4, remote4, 8, 0, 1),
			arp(1, mac, own4, router4), nd(135, own6, peer6, peer6), dhcp(1, zero4, limited4, 68, 67, mac),
		} {
			for _, direction := range []ruleset.Direction{ruleset.Egress, ruleset.Ingress} {
				if v := h.run(eniA, direction, f.bytes()); v.Action != ruleset.Drop {
					t.Errorf("%s: %s of %s passed: %s", when, direction, f, v.Reason)
				}
			}
		}
	}
	h.attach(eniA)
	closed("attached, no tables")
	h.apply(view(allowAll()...))
	gone := view(allowAll()...)
	clear(gone.ENIs)
	h.apply(gone)
	closed("no longer in the View")
	h.apply(view())
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 2, 80, syn), ruleset.ReasonNoRule)
	h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 2, 80, syn), ruleset.ReasonNoRule)
}

// TestPromise04 stateful: what a tracked connection started may come back, whatever the rules say by
// then; nothing else may.
func TestPromise04Stateful(t *testing.T) {
	t.Parallel()
	open := view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 80, 80, "::/0"))
	for name, change := range map[string]func(*host){
		"nothing changed":    func(*host) {},
		"every rule revoked": func(h *host) { h.apply(view()) },
		"agent restarted":    (*host).restart,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, datapath.Options{})
			h.attach(eniA)
			for _, f := range []frame{tcp(remote4, own4, 4000, 80, syn), tcp(remote6, own6, 4000, 80, syn)} {
				h.apply(open)
				h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
				f.flags = ack
				h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
				h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
				change(h)
				h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
				h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
			}
		})
	}
}

// TestPromise05 outside the guest: no frame that claims another's address leaves it, though every
// rule is open. TestVerdicts has the whole table.
func TestPromise05Spoofing(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))
	for _, f := range []frame{
		tcp(peer4, remote4, 1, 80, syn), tcp(peer6, remote6, 1, 80, syn),
		tcp(own4, remote4, 1, 80, syn).with("another MAC", func(f *frame) { f.srcMAC = otherMAC }),
		arp(2, mac, peer4, router4), arp(2, otherMAC, own4, router4), arp(2, mac, router4, peer4),
		nd(136, own6, allNodes, peer6, lladdr(2, mac)...), nd(136, own6, allNodes, own6, lladdr(2, otherMAC)...),
		nd(134, ownFE80, allNodes, netip.Addr{}, make([]byte, 8)...), dhcp(2, own4, limited4, 67, 68, otherMAC),
	} {
		if got := h.run(eniA, ruleset.Egress, f.bytes()); got.Action != ruleset.Drop {
			t.Errorf("left the guest: %s", f)
		}
	}
}

// TestPromise06 never half a change: while a member moves between groups, and the rules move with it,
// no packet is dropped that both revisions pass, and none passes that both drop.
func TestPromise06NeverHalf(t *testing.T) {
	t.Parallel()
	const member, stranger = "10.0.0.50", "10.0.0.51"
	// In both views the member gets in, by different groups; the stranger by neither, though each
	// half of a change would let it in: it is in the group that the other revision names.
	first := groupView(sgB, map[string][]vpc.GroupID{member: {sgB}, stranger: {sgC}})
	second := groupView(sgC, map[string][]vpc.GroupID{member: {sgC}, stranger: {sgB}})
	// In the third the member's address has another owner, and the table has CIDRs besides.
	third := groupView(sgC, map[string][]vpc.GroupID{stranger: {sgB}})
	third.Members["eni-another"] = ruleset.Member{
		ID: "eni-another", Domains: []vpc.VPCID{dom}, Groups: []vpc.GroupID{sgC}, Addresses: []netip.Addr{netip.MustParseAddr(member)},
	}
	for _, v := range []*ruleset.View{first, second, third} {
		r := &v.Groups[sgA].Rules[0]
		r.Protocol, r.From, r.To = vpc.ICMP, -1, -1
	}
	// Judged by the rules each time: no request, so no connection.
	good, bad := icmp(netip.MustParseAddr(member), own4, 9, 0, 0), icmp(netip.MustParseAddr(stranger), own4, 9, 0, 0)

	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	for i, v := range []*ruleset.View{first, second, third} {
		v.Revision = int64(i + 1)
	}
	h.apply(first)
	endGood, endBad := h.sending(eniA, good), h.sending(eniA, bad)
	for range 100 {
		for _, v := range []*ruleset.View{second, third, first} {
			h.apply(v)
		}
	}
	_, dropped := endGood()
	passed, _ := endBad()
	if dropped != 0 || passed != 0 {
		t.Errorf("%d packets were dropped that both revisions pass, %d passed that both drop", dropped, passed)
	}
}

// TestPromise07 stays up: with no agent at all the last tables are in force, connections live on, and
// idle ones expire.
func TestPromise07StaysUp(t *testing.T) {
	t.Parallel()
	const idle = 4 * time.Second
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, datapath.Options{Attach: mode})
			g.d.SetTimeouts(idle, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour)
			g.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
			reader, err := datapath.Open(datapath.Options{Pins: g.options.Pins + "-clock"}) // for its clock alone
			must(t, err)
			defer func() {
				must(t, reader.Close())
				must(t, datapath.Purge(g.options.Pins+"-clock"))
			}()
			live := g.dial(netip.AddrPortFrom(own4, 80))
			lost := g.dial(netip.AddrPortFrom(own4, 80))
			g.apply(view(rule(false, vpc.TCP, 81, 81, "0.0.0.0/0")))
			seen := clock(t, reader)
			must(t, g.d.Close())
			g.d = nil
			for until := ticks(t, seen, 2*idle); clock(t, reader) < until; time.Sleep(idle / 10) {
				if err := live.echo(); err != nil {
					t.Errorf("a connection in use: %v", err)
					break
				}
			}
			if err := lost.echo(); err == nil {
				t.Error("an idle connection never expired")
			}
			if err := g.connect(true, netip.AddrPortFrom(own4, 81), 10*time.Second); err != nil {
				t.Errorf("what a rule allows: %v", err)
			}
			if err := g.connect(true, netip.AddrPortFrom(own4, 80), idle); err == nil {
				t.Error("what no rule allows passes")
			}
		})
	}
}

// TestPromise10 flat cost: however many rules and members there are, a packet takes the same few
// look-ups. What could grow is the depth of trees, which has a fixed bound, and the number of entries,
// which must be the sum of rules and members and never their product.
func TestPromise10FlatCost(t *testing.T) {
	t.Parallel()
	member := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	grow := func(rules, members int, named bool) (holds datapath.Leftovers) {
		h := newHost(t, datapath.Options{})
		h.attach(eniA)
		v := view()
		var list []vpc.Rule
		for i := range rules {
			peers := []string{string(sgB)}
			if !named { // the mistake: a rule for each member
				peers = nil
				for m := range members {
					peers = append(peers, member(m).String()+"/32")
				}
			}
			for _, peer := range peers {
				r := rule(false, vpc.TCP, int32(i*2), int32(i*2), peer)
				r.Number = uint32(len(list) + 1)
				list = append(list, r)
			}
		}
		v.Groups[sgA] = ruleset.Group{ID: sgA, Rules: list}
		for i := range members {
			id := vpc.InterfaceID(fmt.Sprintf("eni-%d", i))
			v.Members[id] = ruleset.Member{
				ID: id, Domains: []vpc.VPCID{dom}, Groups: []vpc.GroupID{sgB}, Addresses: []netip.Addr{member(i)},
			}
		}
		h.apply(v)
		h.want(eniA, ruleset.Ingress, tcp(member(members-1), own4, 1, uint16(2*(rules-1)), syn), ruleset.ReasonRule)
		holds, err := h.d.Holds()
		must(t, err)
		return holds
	}
	// A leaf has room for four rules and what is between them, a bucket for five members.
	promise := func(one, many datapath.Leftovers, rules, members int) bool {
		return many.Members-one.Members == members-1 && many.Lines-one.Lines <= rules/4*17/16+members/2+2 && many.Sets == one.Sets
	}
	one := grow(1, 1, true)
	if many := grow(1000, 1000, true); !promise(one, many, 1000, 1000) {
		t.Errorf("1000 rules and members hold %+v, one of each %+v", many, one)
	}
	if many := grow(20, 20, false); promise(grow(1, 1, false), many, 20, 20) {
		t.Errorf("a rule for each member is not seen: %+v", many)
	}
}

// TestPromise11 one guest cannot hurt another: whoever floods one ENI with connections, or fills it,
// takes no room from another, nor from what the flooded one has established.
func TestPromise11Connections(t *testing.T) {
	t.Parallel()
	const established, halfOpen = 64, 1024
	h := newHost(t, datapath.Options{MaxConnections: established, MaxHalfOpen: halfOpen})
	h.attach(eniA)
	h.attach(eniB)
	v := view(rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"))
	b := v.ENIs[eniA]
	b.ID = eniB
	v.ENIs[eniB] = b
	h.apply(v)
	start := func(eni vpc.InterfaceID, port uint16) frame {
		f := tcp(remote4, own4, port, 80, syn)
		h.want(eni, ruleset.Ingress, f, ruleset.ReasonRule)
		f.flags = ack
		return f
	}
	establish := func(eni vpc.InterfaceID, f frame) {
		h.want(eni, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
		h.want(eni, ruleset.Ingress, f, ruleset.ReasonTracked)
	}
	for port := range uint16(established / 2) {
		establish(eniA, start(eniA, 1000+port))
		establish(eniB, start(eniB, 1000+port))
	}
	half := start(eniB, 2000)

	for i := range 4 * halfOpen { // the guest answers each, and nobody acknowledges
		f := tcp(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), own4, 1, 80, syn)
		h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
		h.run(eniA, ruleset.Egress, f.reply().bytes())
	}
	for port := range uint16(established / 2) {
		establish(eniA, start(eniA, 3000+port))
	}
	full := start(eniA, 4000)
	h.want(eniA, ruleset.Egress, full.reply(), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, full, ruleset.ReasonConnectionLimit)

	establish(eniB, half)
	establish(eniB, start(eniB, 4000))
	for port := range uint16(established / 2) {
		for _, eni := range []vpc.InterfaceID{eniA, eniB} {
			f := tcp(remote4, own4, 1000+port, 80, ack)
			h.want(eni, ruleset.Ingress, f, ruleset.ReasonTracked)
			h.want(eni, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
		}
	}
}
