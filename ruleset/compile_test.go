package ruleset_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// rule makes an ingress rule; peer is a CIDR or a group.
func rule(id vpc.RuleID, number uint32, proto vpc.Protocol, from, to int32, peer string) vpc.Rule {
	r := vpc.Rule{ID: id, Number: number, Protocol: proto, From: from, To: to}
	if cidr, err := netip.ParsePrefix(peer); err == nil {
		r.Peer.CIDR = cidr
	} else {
		r.Peer.Group = vpc.GroupID(peer)
	}
	return r
}

func egress(r vpc.Rule) vpc.Rule {
	r.Egress = true
	return r
}

// oneENI is a View of eni-1 at 10.0.0.5 and fd00::5, with the given groups.
func oneENI(groups map[vpc.GroupID][]vpc.Rule, members ...ruleset.Member) *ruleset.View {
	v := &ruleset.View{
		Revision: 1, ENIs: map[vpc.InterfaceID]ruleset.ENI{},
		Groups: map[vpc.GroupID]ruleset.Group{}, Members: map[vpc.InterfaceID]ruleset.Member{},
	}
	e := ruleset.ENI{ID: "eni-1", Domain: "vpc-a", Addresses: addrs("10.0.0.5", "fd00::5"), SourceDestCheck: true}
	for id, rules := range groups {
		v.Groups[id] = ruleset.Group{ID: id, Rules: rules}
		e.Groups = append(e.Groups, id)
	}
	slices.Sort(e.Groups)
	v.ENIs[e.ID] = e
	for _, m := range members {
		v.Members[m.ID] = m
	}
	return v
}

func member(id vpc.InterfaceID, address string, groups ...vpc.GroupID) ruleset.Member {
	return ruleset.Member{ID: id, Domains: []vpc.VPCID{"vpc-a"}, Addresses: addrs(address), Groups: groups}
}

func tcp(src, dst string, port uint16) ruleset.Packet {
	return ruleset.Packet{
		Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Protocol: 6, SrcPort: 40000, DstPort: port,
	}
}

func allowed(rule uint32) ruleset.Verdict {
	return ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule, Rule: rule}
}

var noRule = ruleset.Verdict{Reason: ruleset.ReasonNoRule}

// both asks evaluator and table.
func both(t *testing.T, v *ruleset.View, d ruleset.Direction, p ruleset.Packet, want ruleset.Verdict) {
	t.Helper()
	if got := ruleset.Evaluate(v, "eni-1", d, p); got != want {
		t.Errorf("Evaluate(%s %+v) = %+v, want %+v", d, p, got, want)
	}
	tables, members := new(ruleset.Compiler).Compile(v)
	if got := tables.Judge(members, "eni-1", d, p); got != want {
		t.Errorf("Judge(%s %+v) = %+v, want %+v", d, p, got, want)
	}
}

func TestPromise01ClosedByDefault(t *testing.T) {
	v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": nil})
	both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80), noRule)
	both(t, v, ruleset.Egress, tcp("10.0.0.5", "10.0.0.9", 80), noRule)

	nothing := new(ruleset.Verdict)
	if nothing.Action != ruleset.Drop {
		t.Error("a verdict that nobody set does not drop")
	}
	none := ruleset.Tables{ENIs: map[vpc.InterfaceID]ruleset.ENITables{"eni-1": {ENI: v.ENIs["eni-1"]}}}
	want := ruleset.Verdict{Reason: ruleset.ReasonNoTable}
	if got := none.Judge(nil, "eni-1", ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80)); got != want {
		t.Errorf("without a table: %+v, want %+v", got, want)
	}
	want = ruleset.Verdict{Reason: ruleset.ReasonUnbound}
	if got := none.Judge(nil, "eni-2", ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80)); got != want {
		t.Errorf("unknown interface: %+v, want %+v", got, want)
	}
}

func TestPromise02TwoGates(t *testing.T) {
	in := rule("sgr-1", 1, vpc.TCP, 80, 80, "10.0.0.0/24")
	out := egress(rule("sgr-2", 2, vpc.TCP, 80, 80, "10.0.0.0/24"))
	for name, tt := range map[string]struct {
		rules       []vpc.Rule
		in, outward ruleset.Verdict
	}{
		"neither": {nil, noRule, noRule},
		"ingress": {[]vpc.Rule{in}, allowed(1), noRule},
		"egress":  {[]vpc.Rule{out}, noRule, allowed(2)},
		"both":    {[]vpc.Rule{in, out}, allowed(1), allowed(2)},
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": tt.rules})
			both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80), tt.in)
			both(t, v, ruleset.Egress, tcp("10.0.0.5", "10.0.0.9", 80), tt.outward)
		})
	}
}

func TestPromise03Union(t *testing.T) {
	v := oneENI(map[vpc.GroupID][]vpc.Rule{
		"sg-1": {rule("sgr-1", 1, vpc.TCP, 80, 80, "10.0.0.0/8"), rule("sgr-2", 2, vpc.TCP, 81, 81, "10.0.0.0/24")},
		"sg-2": {rule("sgr-3", 3, vpc.TCP, 82, 82, "10.0.0.9/32"), rule("sgr-4", 4, vpc.TCP, 83, 83, "sg-x")},
		"sg-3": {rule("sgr-5", 5, vpc.TCP, 84, 84, "sg-y")},
	}, member("eni-9", "10.0.0.9", "sg-x", "sg-y"))
	for port := uint16(80); port <= 84; port++ {
		both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", port), allowed(uint32(port)-79))
	}
	both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 85), noRule)
	both(t, v, ruleset.Ingress, tcp("10.0.0.8", "10.0.0.5", 82), noRule)
	both(t, v, ruleset.Ingress, tcp("10.0.0.8", "10.0.0.5", 84), noRule)
}

func TestNamedRule(t *testing.T) {
	everyone := rule("sgr-9", 1, vpc.TCP, 80, 80, "0.0.0.0/0")
	long := rule("sgr-8", 2, vpc.TCP, 80, 80, "10.0.0.0/24")
	short := rule("sgr-7", 3, vpc.TCP, 80, 80, "10.0.0.0/8")
	group := rule("sgr-6", 4, vpc.TCP, 80, 80, "sg-x")
	group2 := rule("sgr-5", 5, vpc.TCP, 80, 80, "sg-y")
	group3 := rule("sgr-4", 6, vpc.TCP, 0, 65535, "sg-x")
	all := rule("sgr-3", 7, vpc.AllProtocols, -1, -1, "10.0.0.0/8")
	for name, tt := range map[string]struct {
		rules []vpc.Rule
		want  uint32
	}{
		"everyone before all":            {[]vpc.Rule{group, short, long, everyone, all}, 1},
		"longer CIDR before shorter":     {[]vpc.Rule{group, short, long}, 2},
		"CIDR before group":              {[]vpc.Rule{group, group2, short}, 3},
		"one group":                      {[]vpc.Rule{group}, 4},
		"two groups: smaller rule id":    {[]vpc.Rule{group, group2}, 5},
		"same group: smaller rule id":    {[]vpc.Rule{group, group3, group2}, 6},
		"same CIDR: smaller rule id":     {[]vpc.Rule{short, all}, 7},
		"order of writing plays no part": {[]vpc.Rule{all, short}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": tt.rules}, member("eni-9", "10.0.0.9", "sg-x", "sg-y"))
			both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80), allowed(tt.want))
		})
	}
}

func TestIntervals(t *testing.T) {
	const tcp0, icmp0 = 6 << 16, 1 << 16
	for name, tt := range map[string]struct {
		rules []vpc.Rule
		want  []ruleset.Interval // of 10.0.0.0/24
	}{
		"one port":   {[]vpc.Rule{rule("sgr-1", 1, vpc.TCP, 80, 80, "10.0.0.0/24")}, []ruleset.Interval{{tcp0 + 80, tcp0 + 80, 1}}},
		"all ports":  {[]vpc.Rule{rule("sgr-1", 1, vpc.TCP, 0, 65535, "10.0.0.0/24")}, []ruleset.Interval{{tcp0, tcp0 + 65535, 1}}},
		"everything": {[]vpc.Rule{rule("sgr-1", 1, vpc.AllProtocols, -1, -1, "10.0.0.0/24")}, []ruleset.Interval{{0, ruleset.LastPort, 1}}},
		"protocol 255": {
			[]vpc.Rule{rule("sgr-1", 1, 255, -1, -1, "10.0.0.0/24")},
			[]ruleset.Interval{{255 << 16, ruleset.LastPort, 1}},
		},
		"all codes of a type": {
			[]vpc.Rule{rule("sgr-1", 1, vpc.ICMP, 8, -1, "10.0.0.0/24")},
			[]ruleset.Interval{{icmp0 + 8<<8, icmp0 + 8<<8 + 255, 1}},
		},
		"one code": {
			[]vpc.Rule{rule("sgr-1", 1, vpc.ICMP, 3, 4, "10.0.0.0/24")},
			[]ruleset.Interval{{icmp0 + 3<<8 + 4, icmp0 + 3<<8 + 4, 1}},
		},
		"neighbours of one rule are one": {
			[]vpc.Rule{
				rule("sgr-1", 1, vpc.TCP, 0, 100, "10.0.0.0/24"), rule("sgr-2", 2, vpc.TCP, 50, 60, "10.0.0.0/24"),
			},
			[]ruleset.Interval{{tcp0, tcp0 + 100, 1}},
		},
		"neighbours of two rules are two": {
			[]vpc.Rule{
				rule("sgr-1", 1, vpc.TCP, 80, 80, "10.0.0.0/24"), rule("sgr-2", 2, vpc.TCP, 81, 81, "10.0.0.0/24"),
			},
			[]ruleset.Interval{{tcp0 + 80, tcp0 + 80, 1}, {tcp0 + 81, tcp0 + 81, 2}},
		},
		"the named rule cuts the other": {
			[]vpc.Rule{
				rule("sgr-2", 2, vpc.TCP, 0, 100, "10.0.0.0/24"), rule("sgr-1", 1, vpc.TCP, 50, 60, "10.0.0.0/24"),
			},
			[]ruleset.Interval{{tcp0, tcp0 + 49, 2}, {tcp0 + 50, tcp0 + 60, 1}, {tcp0 + 61, tcp0 + 100, 2}},
		},
		"containing prefixes are in it": {
			[]vpc.Rule{
				rule("sgr-1", 1, vpc.TCP, 80, 80, "10.0.0.0/24"), rule("sgr-2", 2, vpc.TCP, 22, 22, "10.0.0.0/8"),
				rule("sgr-3", 3, vpc.TCP, 80, 90, "0.0.0.0/0"), rule("sgr-4", 4, vpc.TCP, 1, 1, "10.0.0.0/25"),
				rule("sgr-5", 5, vpc.TCP, 1, 1, "::/0"),
			},
			[]ruleset.Interval{{tcp0 + 22, tcp0 + 22, 2}, {tcp0 + 80, tcp0 + 90, 3}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": tt.rules})
			tables, _ := new(ruleset.Compiler).Compile(v)
			table := tables.ENIs["eni-1"].Ingress
			i := slices.IndexFunc(table.CIDRs, func(c ruleset.CIDRPorts) bool { return c.CIDR.String() == "10.0.0.0/24" })
			if i < 0 || !slices.Equal(table.CIDRs[i].Ports, tt.want) {
				t.Errorf("CIDRs %v, want %v at 10.0.0.0/24", table.CIDRs, tt.want)
			}
			if !slices.IsSortedFunc(table.CIDRs, func(a, b ruleset.CIDRPorts) int {
				if c := a.CIDR.Addr().Compare(b.CIDR.Addr()); c != 0 {
					return c
				}
				return a.CIDR.Bits() - b.CIDR.Bits()
			}) {
				t.Errorf("CIDRs are not sorted: %v", table.CIDRs)
			}
		})
	}
}

// TestRulesThatMakeNoSense allow nothing, whichever way they came into a State.
func TestRulesThatMakeNoSense(t *testing.T) {
	for name, r := range map[string]vpc.Rule{
		"no peer":         {ID: "sgr-1", Number: 1, Protocol: vpc.AllProtocols},
		"two peers":       {ID: "sgr-1", Number: 1, Protocol: vpc.AllProtocols, Peer: vpc.Peer{CIDR: cidrs[0], Group: "sg-x"}},
		"prefix list":     {ID: "sgr-1", Number: 1, Protocol: vpc.AllProtocols, Peer: vpc.Peer{PrefixList: "pl-1"}},
		"list and CIDR":   {ID: "sgr-1", Number: 1, Protocol: vpc.AllProtocols, Peer: vpc.Peer{PrefixList: "pl-1", CIDR: cidrs[0]}},
		"no number":       rule("sgr-1", 0, vpc.AllProtocols, -1, -1, "0.0.0.0/0"),
		"host bits":       rule("sgr-1", 1, vpc.AllProtocols, -1, -1, "10.0.0.9/8"),
		"ports reversed":  rule("sgr-1", 1, vpc.TCP, 81, 79, "0.0.0.0/0"),
		"ports of -1":     rule("sgr-1", 1, vpc.TCP, -1, -1, "0.0.0.0/0"),
		"port 65536":      rule("sgr-1", 1, vpc.TCP, 0, 65536, "0.0.0.0/0"),
		"protocol 256":    rule("sgr-1", 1, 256, -1, -1, "0.0.0.0/0"),
		"protocol -2":     rule("sgr-1", 1, -2, -1, -1, "0.0.0.0/0"),
		"code of no type": rule("sgr-1", 1, vpc.ICMP, -1, 0, "0.0.0.0/0"),
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": {r}}, member("eni-9", "10.0.0.9", "sg-x"))
			both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80), noRule)
			both(t, v, ruleset.Ingress, ruleset.Packet{Src: addresses4[4], Dst: addresses4[1], Protocol: 1}, noRule)
			both(t, v, ruleset.Ingress, ruleset.Packet{Src: addresses4[4], Dst: addresses4[1]}, noRule)
		})
	}
}

// TestCompilerKeepsPointers: comparing pointers finds exactly the tables that changed.
func TestCompilerKeepsPointers(t *testing.T) {
	in, out := rule("sgr-1", 1, vpc.TCP, 80, 80, "sg-x"), egress(rule("sgr-2", 2, vpc.TCP, 80, 80, "0.0.0.0/0"))
	view := func(rules ...vpc.Rule) *ruleset.View {
		v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": rules, "sg-2": nil}, member("eni-9", "10.0.0.9", "sg-x"))
		twin := v.ENIs["eni-1"]
		twin.ID, twin.Groups = "eni-2", []vpc.GroupID{"sg-2", "sg-1"}
		v.ENIs["eni-2"] = twin
		return v
	}
	var c ruleset.Compiler
	first, _ := c.Compile(view(in, out))
	a := first.ENIs["eni-1"]
	if b := first.ENIs["eni-2"]; a.Ingress != b.Ingress || a.Egress != b.Egress {
		t.Error("interfaces with the same groups do not share tables")
	}
	described := in
	described.Description, described.Tags = "web", vpc.Tags{"k": "v"}
	for name, tt := range map[string]struct {
		rules             []vpc.Rule
		keepsIn, keepsOut bool
	}{
		"nothing":         {[]vpc.Rule{in, out}, true, true},
		"description":     {[]vpc.Rule{described, out}, true, true},
		"order of rules":  {[]vpc.Rule{out, in}, true, true},
		"ingress revoked": {[]vpc.Rule{out}, false, true},
		"egress added":    {[]vpc.Rule{in, out, egress(rule("sgr-3", 3, vpc.UDP, 53, 53, "::/0"))}, true, false},
		"other number":    {[]vpc.Rule{rule("sgr-1", 4, vpc.TCP, 80, 80, "sg-x"), out}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c ruleset.Compiler
			before, _ := c.Compile(view(in, out))
			after, _ := c.Compile(view(tt.rules...))
			a, b := before.ENIs["eni-1"], after.ENIs["eni-1"]
			if got := a.Ingress == b.Ingress; got != tt.keepsIn {
				t.Errorf("keeps the ingress table: %v, want %v", got, tt.keepsIn)
			}
			if got := a.Egress == b.Egress; got != tt.keepsOut {
				t.Errorf("keeps the egress table: %v, want %v", got, tt.keepsOut)
			}
		})
	}
}

func TestPortsOf(t *testing.T) {
	v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": {
		rule("sgr-2", 1, vpc.TCP, 0, 10, "sg-x"), rule("sgr-1", 2, vpc.TCP, 5, 20, "sg-y"),
	}})
	tables, _ := new(ruleset.Compiler).Compile(v)
	const tcp0 = 6 << 16
	for name, tt := range map[string]struct {
		groups []vpc.GroupID
		want   []ruleset.Interval
	}{
		"none":          {nil, nil},
		"unknown":       {[]vpc.GroupID{"sg-z"}, nil},
		"one":           {[]vpc.GroupID{"sg-x", "sg-z"}, []ruleset.Interval{{tcp0, tcp0 + 10, 1}}},
		"both":          {[]vpc.GroupID{"sg-x", "sg-y"}, []ruleset.Interval{{tcp0, tcp0 + 4, 1}, {tcp0 + 5, tcp0 + 20, 2}}},
		"other order":   {[]vpc.GroupID{"sg-y", "sg-x"}, []ruleset.Interval{{tcp0, tcp0 + 4, 1}, {tcp0 + 5, tcp0 + 20, 2}}},
		"one twice":     {[]vpc.GroupID{"sg-x", "sg-x"}, []ruleset.Interval{{tcp0, tcp0 + 10, 1}}},
		"with stranger": {[]vpc.GroupID{"sg-a", "sg-y"}, []ruleset.Interval{{tcp0 + 5, tcp0 + 20, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tables.ENIs["eni-1"].Ingress.PortsOf(tt.groups); !slices.Equal(got, tt.want) {
				t.Errorf("PortsOf(%v) = %v, want %v", tt.groups, got, tt.want)
			}
		})
	}
}

// TestJudgedBeforeTheRules: what an interface may not send or receive whatever its rules say.
func TestJudgedBeforeTheRules(t *testing.T) {
	everything := []vpc.Rule{
		rule("sgr-1", 1, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule("sgr-2", 2, vpc.AllProtocols, -1, -1, "::/0"),
		egress(rule("sgr-3", 3, vpc.AllProtocols, -1, -1, "0.0.0.0/0")), egress(rule("sgr-4", 4, vpc.AllProtocols, -1, -1, "::/0")),
	}
	drop := func(r ruleset.Reason) ruleset.Verdict { return ruleset.Verdict{Reason: r} }
	for name, tt := range map[string]struct {
		check     bool
		direction ruleset.Direction
		packet    ruleset.Packet
		want      ruleset.Verdict
	}{
		"own source":           {true, ruleset.Egress, tcp("10.0.0.5", "10.0.0.9", 80), allowed(3)},
		"own source, IPv6":     {true, ruleset.Egress, tcp("fd00::5", "fd00::9", 80), allowed(4)},
		"own destination":      {true, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80), allowed(1)},
		"forged source":        {true, ruleset.Egress, tcp("10.0.0.6", "10.0.0.9", 80), drop(ruleset.ReasonSourceAddress)},
		"forged source, IPv6":  {true, ruleset.Egress, tcp("fd00::6", "fd00::9", 80), drop(ruleset.ReasonSourceAddress)},
		"other destination":    {true, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.6", 80), drop(ruleset.ReasonDestinationAddress)},
		"router's source":      {false, ruleset.Egress, tcp("10.0.0.6", "10.0.0.9", 80), allowed(3)},
		"router's destination": {false, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.6", 80), allowed(1)},
		"two families":         {false, ruleset.Ingress, tcp("10.0.0.9", "fd00::5", 80), drop(ruleset.ReasonMalformed)},
		"mapped source":        {false, ruleset.Ingress, tcp("::ffff:10.0.0.9", "fd00::5", 80), drop(ruleset.ReasonMalformed)},
		"mapped destination":   {false, ruleset.Egress, tcp("fd00::5", "::ffff:10.0.0.9", 80), drop(ruleset.ReasonMalformed)},
		"no addresses":         {false, ruleset.Egress, ruleset.Packet{Protocol: 6}, drop(ruleset.ReasonMalformed)},
		"no destination":       {false, ruleset.Egress, ruleset.Packet{Src: addresses4[0]}, drop(ruleset.ReasonMalformed)},
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": everything})
			e := v.ENIs["eni-1"]
			e.SourceDestCheck = tt.check
			v.ENIs["eni-1"] = e
			both(t, v, tt.direction, tt.packet, tt.want)
		})
	}
}

func TestExplain(t *testing.T) {
	v := oneENI(map[vpc.GroupID][]vpc.Rule{
		"sg-1": {rule("sgr-1", 1, vpc.TCP, 80, 80, "sg-x"), rule("sgr-2", 2, vpc.TCP, 80, 80, "10.0.0.0/8")},
		"sg-2": {rule("sgr-3", 3, vpc.TCP, 0, 65535, "0.0.0.0/0"), rule("sgr-4", 4, vpc.TCP, 22, 22, "0.0.0.0/0")},
	}, member("eni-9", "10.0.0.9", "sg-x"))
	got := ruleset.Explain(v, "eni-1", ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80))
	var names []string
	for _, r := range got.Rules {
		names = append(names, string(r.Group)+"/"+string(r.Rule.ID))
	}
	if want := []string{"sg-2/sgr-3", "sg-1/sgr-2", "sg-1/sgr-1"}; !slices.Equal(names, want) || got.Verdict != allowed(3) {
		t.Errorf("Explain = %+v by %v, want %v", got.Verdict, names, want)
	}
}

func TestReasonWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range ruleset.Reasons() {
		word := r.String()
		back, err := ruleset.ParseReason(word)
		if word == "" || seen[word] || err != nil || back != r {
			t.Errorf("reason %d has the word %q, which reads back as %d, %v", r, word, back, err)
		}
		seen[word] = true
	}
	if _, err := ruleset.ParseReason("why-not"); err == nil {
		t.Error("an unknown word is a reason")
	}
}

// withLists is oneENI with prefix lists.
func withLists(lists map[vpc.PrefixListID][]netip.Prefix, rules ...vpc.Rule) *ruleset.View {
	v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": rules}, member("eni-9", "10.0.0.9", "sg-x"))
	v.Lists = lists
	return v
}

func listRule(id vpc.RuleID, number uint32, port int32, list vpc.PrefixListID) vpc.Rule {
	return vpc.Rule{ID: id, Number: number, Protocol: vpc.TCP, From: port, To: port, Peer: vpc.Peer{PrefixList: list}}
}

// TestNamesLists: a rule with a list is named after one with a CIDR, however long, and before one
// with a group; of two the smaller id.
func TestNamesLists(t *testing.T) {
	v := withLists(
		map[vpc.PrefixListID][]netip.Prefix{"pl-1": prefixes("10.0.0.0/24"), "pl-2": prefixes("10.0.0.9/32", "fd00::/64")},
		listRule("sgr-d", 1, 80, "pl-1"), listRule("sgr-c", 2, 80, "pl-2"), listRule("sgr-e", 3, 81, "pl-1"),
		rule("sgr-a", 4, vpc.TCP, 80, 90, "sg-x"), rule("sgr-z", 5, vpc.TCP, 90, 90, "10.0.0.0/8"), listRule("sgr-b", 6, 90, "pl-2"),
		listRule("sgr-0", 7, 99, "pl-nowhere"),
	)
	for port, want := range map[uint16]ruleset.Verdict{80: allowed(2), 81: allowed(3), 82: allowed(4), 90: allowed(5), 99: noRule} {
		both(t, v, ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", port), want)
	}
	both(t, v, ruleset.Ingress, tcp("10.0.0.8", "10.0.0.5", 80), allowed(1))
	both(t, v, ruleset.Ingress, tcp("10.0.1.8", "10.0.0.5", 80), noRule)
	both(t, v, ruleset.Ingress, tcp("fd00::8", "fd00::5", 80), allowed(2))
}

// TestListEditKeepsTables: an edit of a list changes what the list holds, and no table.
func TestListEditKeepsTables(t *testing.T) {
	var c ruleset.Compiler
	v := withLists(map[vpc.PrefixListID][]netip.Prefix{"pl-1": prefixes("10.0.0.0/24")}, listRule("sgr-1", 1, 80, "pl-1"))
	before, _ := c.Compile(v)
	edited, err := v.Apply(ruleset.Delta{From: 1, To: 2, Lists: map[vpc.PrefixListID][]netip.Prefix{"pl-1": prefixes("10.0.1.0/24")}})
	if err != nil {
		t.Fatal(err)
	}
	after, members := c.Compile(edited)
	if before.ENIs["eni-1"].Ingress != after.ENIs["eni-1"].Ingress {
		t.Error("the table was compiled anew")
	}
	if got := after.Judge(members, "eni-1", ruleset.Ingress, tcp("10.0.1.9", "10.0.0.5", 80)); got != allowed(1) {
		t.Errorf("the new entry: %+v", got)
	}
	if got := after.Judge(members, "eni-1", ruleset.Ingress, tcp("10.0.0.9", "10.0.0.5", 80)); got != noRule {
		t.Errorf("the entry that went: %+v", got)
	}
}
