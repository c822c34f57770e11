package reachability_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestMissingRules adds what is said to be missing until a packet passes: one rule at each gate that
// refuses it, and no more.
func TestMissingRules(t *testing.T) {
	w := newWorld(t)
	v := w.vpcs[0]
	a, b := w.group(v, "a"), w.group(v, "b")
	src, dst := w.eni(v, "10.0.0.10", a), w.eni(v, "10.0.0.20", b)
	port := func(n int32) *int32 { return &n }
	for name, q := range map[string]vpc.NewReachability{
		"between interfaces": {Source: string(src), Destination: string(dst), Protocol: "tcp", Port: port(22)},
		"their addresses":    {Source: "10.0.0.10", Destination: string(dst), Protocol: "udp", Port: port(0)},
		"to outside":         {Source: string(src), Destination: "192.0.2.1", Protocol: "icmp"},
		"from outside":       {Source: "192.0.2.1", Destination: string(dst), Protocol: "icmp", ICMPType: port(3), ICMPCode: port(4)},
		"protocol 47":        {Source: string(src), Destination: string(dst), Protocol: "47"},
	} {
		t.Run(name, func(t *testing.T) {
			state := w.State
			defer func() { w.State = state }()
			asked, err := w.CheckReachability(q)
			if err != nil {
				t.Fatal(err)
			}
			first := reachability.Follow(w.State, asked)
			if first.Allowed() || len(first.Explanations) > 0 {
				t.Fatalf("before any rule: %+v", first)
			}
			for _, g := range first.Gates() {
				if reachability.Follow(w.State, asked).Allowed() {
					t.Error("it passes before a rule was added at each gate")
				}
				m := g.Missing
				if m == nil {
					t.Fatalf("nothing is missing at the %s gate: %+v", g.Direction, g)
				}
				group := *w.SecurityGroup(m.Group)
				rule := m.Rule
				rule.ID, rule.Number = "sgr-00000000000000099", 99
				group.Rules = append(slices.Clone(group.Rules), rule)
				w.do(vpc.Change{Puts: []vpc.Object{&group}}, nil)
			}
			then := reachability.Follow(w.State, asked)
			if !then.Allowed() {
				t.Errorf("with what was missing: %+v", then)
			}
			for _, g := range then.Gates() {
				if g.Missing != nil || len(g.Rules) != 1 || g.Rule != 99 {
					t.Errorf("the %s gate: %+v, want the rule that was added", g.Direction, g)
				}
			}
		})
	}
}

// TestFollow is about ends that are not simply two interfaces.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	v := w.vpcs[0]
	open := w.group(v, "open")
	w.allow(open, "egress -1 -1", "0.0.0.0/0")
	w.allow(open, "ingress tcp 22", "10.0.0.0/24")
	w.allow(open, "ingress tcp 22", "0.0.0.0/0")
	src, dst := w.eni(v, "10.0.0.10", open), w.eni(v, "10.0.0.20", open)
	far := w.group(w.vpcs[1], "far")
	other := w.eni(w.vpcs[1], "10.1.0.10", far)
	instance := w.NetworkInterface(dst).Attachment.Instance
	ask := func(from, to string) reachability.Trace {
		t.Helper()
		q, err := w.CheckReachability(vpc.NewReachability{Source: from, Destination: to, Protocol: "tcp", Port: new(int32(22))})
		if err != nil {
			t.Fatal(err)
		}
		return reachability.Follow(w.State, q)
	}
	if tr := ask(string(src), string(instance)); !tr.Allowed() || len(tr.Ingress.Rules) != 2 ||
		tr.Ingress.Rules[0].Rule.Peer.CIDR.Bits() != 0 || tr.Packet.Dst != netip.MustParseAddr("10.0.0.20") {
		t.Errorf("to an instance: %+v, want both rules, the one for everybody first", tr)
	}
	if tr := ask("192.0.2.1", string(dst)); !tr.Allowed() || tr.Egress != nil || tr.Ingress == nil {
		t.Errorf("from outside: %+v, want one gate", tr)
	}
	code := func(tr reachability.Trace) reachability.Code {
		if len(tr.Explanations) == 0 {
			return ""
		}
		return tr.Explanations[0].Code
	}
	if tr := ask(string(src), string(other)); tr.Allowed() || code(tr) != reachability.DisconnectedVPCs {
		t.Errorf("to a VPC that is no peer: %+v", tr)
	}
	if tr := ask("10.0.0.10", string(src)); tr.Allowed() || code(tr) != reachability.NoPath {
		t.Errorf("to itself: %+v", tr)
	}
	if tr := ask(string(src), "2001:db8::1"); tr.Allowed() || code(tr) != reachability.NoPath {
		t.Errorf("to a family that it has not: %+v", tr)
	}
	w.do(w.Unbind(w.env, "host-1", dst))
	if tr := ask(string(src), string(dst)); tr.Allowed() || code(tr) != reachability.BadState || tr.Ingress.Action != ruleset.Allow {
		t.Errorf("to a guest that is gone: %+v, want the rules' word, and what is in the way", tr)
	}
}
