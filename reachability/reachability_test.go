package reachability_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/vpc"
)

// world is an account with interfaces that devices carry.
type world struct {
	t *testing.T
	*vpc.State
	env  vpc.Env
	vpcs []vpc.VPCID // 10.0.0.0/16, 10.1.0.0/16, not peered
}

func newWorld(t *testing.T) *world {
	t.Helper()
	n := 0
	w := &world{t: t, State: new(vpc.State), env: vpc.Env{
		Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ID:  func(prefix string) string { n++; return fmt.Sprintf("%s-%017x", prefix, n) },
	}}
	w.do(w.Bootstrap(w.env, vpc.NewInstallation{
		Account: "123456789012", Region: "us-east-1", ULA: netip.MustParsePrefix("fd12:3456:789a::/48"),
	}))
	w.do(w.RegisterHost(w.env, vpc.Host{ID: "host-1", Lab: true}))
	for i := range 2 {
		v, c, err := w.CreateVPC(w.env, vpc.NewVPC{CIDR: fmt.Sprintf("10.%d.0.0/16", i)})
		w.do(c, err)
		_, c, err = w.CreateSubnet(w.env, vpc.NewSubnet{VPC: v.ID, CIDR: fmt.Sprintf("10.%d.0.0/24", i)})
		w.do(c, err)
		w.vpcs = append(w.vpcs, v.ID)
	}
	return w
}

func (w *world) do(c vpc.Change, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	w.State = w.Apply(c, w.Revision()+1)
}

// group makes a group without rules.
func (w *world) group(v vpc.VPCID, name string) vpc.GroupID {
	w.t.Helper()
	g, c, err := w.CreateSecurityGroup(w.env, vpc.NewSecurityGroup{VPC: v, Name: name, Description: name})
	w.do(c, err)
	w.revoke(g.ID, g.Rules[0].ID)
	return g.ID
}

func (w *world) subnet(v vpc.VPCID) vpc.SubnetID {
	for n := range w.SubnetsOfVPC(v) {
		return n.ID
	}
	return ""
}

// eni makes an interface that a device carries.
func (w *world) eni(v vpc.VPCID, address string, groups ...vpc.GroupID) vpc.InterfaceID {
	w.t.Helper()
	e, c, err := w.CreateNetworkInterface(w.env, vpc.NewInterface{
		Subnet: w.subnet(v), Groups: groups, Addresses: vpc.Addresses{Primary: address},
	})
	w.do(c, err)
	w.do(w.Bind(w.env, "host-1", e.ID, "tap-"+address, ""))
	return e.ID
}

// newRule is "egress tcp 80-90" to or from a CIDR, a group or a prefix list.
func newRule(g vpc.GroupID, rule, peer string) vpc.NewRules {
	var direction, protocol string
	var from, to int32
	if n, _ := fmt.Sscanf(rule, "%s %s %d-%d", &direction, &protocol, &from, &to); n < 4 {
		to = from
	}
	p := vpc.PermissionPeer{}
	switch {
	case strings.HasPrefix(peer, "sg-"):
		p.Group = vpc.GroupID(peer)
	case strings.HasPrefix(peer, "pl-"):
		p.PrefixList = vpc.PrefixListID(peer)
	default:
		p.IPv4 = peer
	}
	return vpc.NewRules{
		Group: vpc.GroupRef{ID: g}, Egress: direction == "egress",
		Permissions: []vpc.Permission{{Protocol: protocol, From: &from, To: &to, Peers: []vpc.PermissionPeer{p}}},
	}
}

func (w *world) allow(g vpc.GroupID, rule, peer string) vpc.RuleID {
	w.t.Helper()
	_, rules, c, err := w.AuthorizeSecurityGroup(w.env, newRule(g, rule, peer))
	w.do(c, err)
	return rules[0].ID
}

func (w *world) revoke(g vpc.GroupID, id vpc.RuleID) {
	w.t.Helper()
	egress := slices.ContainsFunc(w.SecurityGroup(g).Rules, func(r vpc.Rule) bool { return r.ID == id && r.Egress })
	_, c, err := w.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: g}, Egress: egress, Rules: []vpc.RuleID{id}})
	w.do(c, err)
}

func (w *world) list(cidrs ...string) vpc.PrefixListID {
	w.t.Helper()
	in := vpc.NewPrefixList{Name: "l", Family: "IPv4", MaxEntries: 5}
	for _, c := range cidrs {
		in.Entries = append(in.Entries, vpc.NewPrefixListEntry{CIDR: c})
	}
	l, c, err := w.CreatePrefixList(w.env, in)
	w.do(c, err)
	return l.ID
}

func (w *world) peer() vpc.PeeringID {
	w.t.Helper()
	p, c, err := w.CreatePeering(w.env, vpc.NewPeering{Requester: w.vpcs[0], Accepter: w.vpcs[1]})
	w.do(c, err)
	_, c, err = w.AcceptPeering(w.env, p.ID)
	w.do(c, err)
	return p.ID
}

func (w *world) ask(src, dst vpc.InterfaceID, port int32) reachability.Findings {
	return reachability.Analyze(w.State, &vpc.InsightsPath{
		Source: string(src), Destination: string(dst), Protocol: vpc.TCP, DestinationPort: port,
	}, reachability.Components{})
}

// said is an answer in one line: the ids on the way, or the codes with their directions.
func said(f reachability.Findings) string {
	var words []string
	for _, s := range f.Forward {
		word := s.Component
		if s.Rule != nil {
			word = string(s.Rule.ID)
		}
		words = append(words, word)
	}
	for _, e := range f.Explanations {
		words = append(words, strings.TrimSpace(string(e.Code)+" "+e.Direction))
	}
	return strings.Join(words, " ")
}

func expect(t *testing.T, what string, f reachability.Findings, want ...any) {
	t.Helper()
	if got, want := said(f), strings.TrimSuffix(fmt.Sprintln(want...), "\n"); got != want {
		t.Errorf("%s: got %s\nwant %s", what, got, want)
	}
	if f.Found() != (len(f.Explanations) == 0) {
		t.Errorf("%s: found %t with %d explanations", what, f.Found(), len(f.Explanations))
	}
}

// Each rule of a path is taken away and given back: the answer and its code follow, whatever the
// rules name, in one VPC and over a peering connection.
func TestEachRuleDecides(t *testing.T) {
	for _, peered := range []bool{false, true} {
		for _, kind := range []string{"cidr", "group", "list"} {
			t.Run(fmt.Sprintf("%s peered=%t", kind, peered), func(t *testing.T) {
				w := newWorld(t)
				from, to, hop := w.vpcs[0], w.vpcs[0], string(w.vpcs[0])
				remote := "10.0.0.20"
				if peered {
					to, hop, remote = w.vpcs[1], string(w.peer()), "10.1.0.20"
				}
				clients, servers := w.group(from, "clients"), w.group(to, "servers")
				src, dst := w.eni(from, "10.0.0.10", clients), w.eni(to, remote, servers)
				source, destination := "10.0.0.0/24", remote+"/32"
				switch kind {
				case "group":
					source, destination = string(clients), string(servers)
				case "list":
					source, destination = string(w.list("192.0.2.0/24", source)), string(w.list(destination))
				}
				expect(t, "without rules", w.ask(src, dst, 443),
					"SG_HAS_NO_RULES egress SG_HAS_NO_RULES ingress")
				w.allow(clients, "egress udp 443", destination)
				w.allow(servers, "ingress tcp 444-450", source)
				expect(t, "other rules", w.ask(src, dst, 443),
					"ENI_SG_RULES_MISMATCH egress ENI_SG_RULES_MISMATCH ingress")
				out, in := w.allow(clients, "egress tcp 400-500", destination), w.allow(servers, "ingress tcp 443", source)
				expect(t, "both", w.ask(src, dst, 443), src, out, hop, in, dst)
				expect(t, "the other way", w.ask(dst, src, 443), "SG_HAS_NO_RULES egress SG_HAS_NO_RULES ingress")

				w.revoke(clients, out)
				expect(t, "no egress rule", w.ask(src, dst, 443), "ENI_SG_RULES_MISMATCH egress")
				out = w.allow(clients, "egress tcp 443", destination)
				expect(t, "egress again", w.ask(src, dst, 443), src, out, hop, in, dst)
				w.revoke(servers, in)
				expect(t, "no ingress rule", w.ask(src, dst, 443), "ENI_SG_RULES_MISMATCH ingress")
				in = w.allow(servers, "ingress tcp 0-65535", source)
				expect(t, "ingress again", w.ask(src, dst, 443), src, out, hop, in, dst)
				expect(t, "another port", w.ask(src, dst, 442), "ENI_SG_RULES_MISMATCH egress")
				expect(t, "any port", w.ask(src, dst, 0), src, out, hop, in, dst)

				f := w.ask(src, dst, 0)
				if h := *f.Forward[0].Out; h.DestinationPorts != (reachability.Ports{From: 443, To: 443}) || h.Source.String() != "10.0.0.10" || h.Destination.String() != remote {
					t.Errorf("packets %+v, want those to port 443", h)
				}
				if back := *f.Return[0].Out; back.SourcePorts != (reachability.Ports{From: 443, To: 443}) || back.Source.String() != remote || f.Return[2].Component != string(src) {
					t.Errorf("answers %+v by %+v", back, f.Return)
				}
				if peered {
					for p := range w.PeeringsOfVPC(from) {
						w.do(w.DeletePeering(w.env, p.ID))
					}
					expect(t, "peering deleted", w.ask(src, dst, 443), "DISCONNECTED_VPCS")
					return
				}
				if kind == "list" {
					id := vpc.PrefixListID(source)
					_, c, err := w.ModifyPrefixList(id, vpc.PrefixListChange{CurrentVersion: new(int64(1)), Remove: []string{"10.0.0.0/24"}})
					w.do(c, err)
					expect(t, "entry removed", w.ask(src, dst, 443), "ENI_SG_RULES_MISMATCH ingress")
					_, c, err = w.RestorePrefixListVersion(id, 1, 2)
					w.do(c, err)
					expect(t, "entry restored", w.ask(src, dst, 443), src, out, hop, in, dst)
				}
				if kind == "group" {
					other := w.group(from, "others")
					w.allow(other, "egress tcp 443", destination)
					w.do(w.ModifyNetworkInterface(src, vpc.InterfaceChange{Groups: []vpc.GroupID{other}}))
					expect(t, "member no more", w.ask(src, dst, 443), "ENI_SG_RULES_MISMATCH ingress")
				}
			})
		}
	}
}

// Either gate admits packets, but not the same ones.
func TestGatesMustAgreeOnAPort(t *testing.T) {
	w := newWorld(t)
	a, b := w.group(w.vpcs[0], "a"), w.group(w.vpcs[0], "b")
	src, dst := w.eni(w.vpcs[0], "10.0.0.10", a), w.eni(w.vpcs[0], "10.0.0.20", b)
	out := w.allow(a, "egress tcp 80-90", "0.0.0.0/0")
	w.allow(b, "ingress tcp 91-100", "0.0.0.0/0")
	expect(t, "80-90 and 91-100", w.ask(src, dst, 0), "ENI_SG_RULES_MISMATCH ingress")
	in := w.allow(b, "ingress tcp 10-80", "0.0.0.0/0")
	expect(t, "80-90 and 10-80", w.ask(src, dst, 0), src, out, w.vpcs[0], in, dst)
}

func TestStatesAndTopology(t *testing.T) {
	w := newWorld(t)
	g := w.group(w.vpcs[0], "g")
	out := w.allow(g, "egress tcp 80", "10.0.0.0/8")
	in := w.allow(g, "ingress tcp 80", "10.0.0.0/8")
	src := w.eni(w.vpcs[0], "10.0.0.10", g)
	list, c, err := w.RunInstances(w.env, vpc.NewInstances{
		Image: vpc.ImageNetns, Min: 1, Max: 1, Primary: vpc.LaunchENI{Subnet: w.subnet(w.vpcs[0]), Groups: []vpc.GroupID{g}},
	})
	w.do(c, err)
	guest := list[0].ID
	ask := func(from, to string, by reachability.Components) reachability.Findings {
		return reachability.Analyze(w.State, &vpc.InsightsPath{Source: from, Destination: to, Protocol: vpc.TCP, DestinationPort: 80}, by)
	}
	all := reachability.Components{}
	f := ask(string(src), string(guest), all)
	expect(t, "pending", f, "BAD_STATE")
	if e := f.Explanations[0]; e.State != "pending" || e.Component != string(guest) {
		t.Errorf("got %+v, want that the instance is pending", e)
	}
	w.do(w.GuestRunning(w.env, guest))
	eni := w.PrimaryInterface(guest).ID
	expect(t, "running", ask(string(src), string(guest), all), src, out, w.vpcs[0], in, eni)
	expect(t, "from the instance", ask(string(guest), string(src), all), eni, out, w.vpcs[0], in, src)
	expect(t, "to itself", ask(string(guest), string(eni), all), "NO_PATH")
	expect(t, "gone", ask(string(src), "eni-0123456789abcdef0", all), "UNKNOWN_RESOURCE")
	expect(t, "through", ask(string(src), string(guest), reachability.Components{Through: []string{string(w.vpcs[0]), string(g), string(guest)}}), src, out, w.vpcs[0], in, eni)
	expect(t, "through another", ask(string(src), string(guest), reachability.Components{Through: []string{"pcx-0123456789abcdef0"}}), "COMPONENT_FILTER_RESTRICTION")
	expect(t, "without", ask(string(src), string(guest), reachability.Components{Without: []string{string(g)}}), "COMPONENT_FILTER_RESTRICTION")

	other := w.group(w.vpcs[0], "other") // says the same: a way around g
	second := w.allow(other, "ingress tcp 80", "10.0.0.0/8")
	w.do(w.ModifyNetworkInterface(eni, vpc.InterfaceChange{Groups: []vpc.GroupID{g, other}}))
	sg := w.group(w.vpcs[0], "sender")
	send := w.allow(sg, "egress tcp 80", "10.0.0.0/8")
	w.do(w.ModifyNetworkInterface(src, vpc.InterfaceChange{Groups: []vpc.GroupID{g, sg}}))
	expect(t, "around a group", ask(string(src), string(guest), reachability.Components{Without: []string{string(g)}}), src, send, w.vpcs[0], second, eni)

	loose, c, err := w.CreateNetworkInterface(w.env, vpc.NewInterface{Subnet: w.subnet(w.vpcs[0]), Groups: []vpc.GroupID{g}})
	w.do(c, err)
	expect(t, "attached to nothing", ask(string(src), string(loose.ID), all), "UNASSOCIATED_COMPONENT")
	far := w.eni(w.vpcs[1], "10.1.0.20", w.group(w.vpcs[1], "far"))
	expect(t, "another VPC", ask(string(src), string(far), all), "DISCONNECTED_VPCS")
	_, c, err = w.TerminateInstances(w.env, []vpc.InstanceID{guest})
	w.do(c, err)
	w.do(w.GuestStopped(w.env, guest, ""))
	expect(t, "terminated", ask(string(src), string(guest), all), "BAD_STATE")
}

func TestAddressesAndFilters(t *testing.T) {
	w := newWorld(t)
	g := w.group(w.vpcs[0], "g")
	out := w.allow(g, "egress tcp 80", "10.0.0.0/8")
	in := w.allow(g, "ingress tcp 80", "10.0.0.0/8")
	src, dst := w.eni(w.vpcs[0], "10.0.0.10", g), w.eni(w.vpcs[0], "10.0.0.20", g)
	found := fmt.Sprint(src, " ", out, " ", w.vpcs[0], " ", in, " ", dst)
	addr, cidr := netip.MustParseAddr, netip.MustParsePrefix
	tests := map[string]struct {
		p    vpc.InsightsPath
		want string
	}{
		"own address":              {vpc.InsightsPath{SourceIP: addr("10.0.0.10")}, found},
		"foreign source":           {vpc.InsightsPath{SourceIP: addr("10.0.0.11")}, "ENI_ADDRESS_RESTRICTION egress"},
		"foreign destination":      {vpc.InsightsPath{DestinationIP: addr("10.0.0.21")}, "ENI_SOURCE_DEST_CHECK_RESTRICTION ingress"},
		"both":                     {vpc.InsightsPath{SourceIP: addr("10.0.0.11"), DestinationIP: addr("10.0.0.21")}, "ENI_ADDRESS_RESTRICTION egress ENI_SOURCE_DEST_CHECK_RESTRICTION ingress"},
		"another family":           {vpc.InsightsPath{SourceIP: addr("fd00::1")}, "NO_PATH"},
		"source filter":            {vpc.InsightsPath{AtSource: vpc.InsightsFilter{Source: cidr("10.0.0.0/28")}}, found},
		"source filter elsewhere":  {vpc.InsightsPath{AtSource: vpc.InsightsFilter{Source: cidr("10.0.0.0/29")}}, "FILTER_AT_SOURCE_SOURCE_ADDRESS"},
		"at destination":           {vpc.InsightsPath{AtDestination: vpc.InsightsFilter{Source: cidr("10.0.1.0/24")}}, "FILTER_AT_DESTINATION_SOURCE_ADDRESS"},
		"destination at source":    {vpc.InsightsPath{AtSource: vpc.InsightsFilter{Destination: cidr("10.0.1.0/24")}}, "FILTER_AT_SOURCE_DESTINATION_ADDRESS"},
		"destination":              {vpc.InsightsPath{AtDestination: vpc.InsightsFilter{Destination: cidr("10.0.0.21/32")}}, "FILTER_AT_DESTINATION_DESTINATION_ADDRESS"},
		"ports":                    {vpc.InsightsPath{AtSource: vpc.InsightsFilter{DestinationPorts: [2]int32{70, 90}}, AtDestination: vpc.InsightsFilter{DestinationPorts: [2]int32{80, 100}}}, found},
		"ports that no rule has":   {vpc.InsightsPath{AtSource: vpc.InsightsFilter{DestinationPorts: [2]int32{81, 90}}}, "ENI_SG_RULES_MISMATCH egress ENI_SG_RULES_MISMATCH ingress"},
		"ports that do not meet":   {vpc.InsightsPath{AtSource: vpc.InsightsFilter{DestinationPorts: [2]int32{70, 80}}, AtDestination: vpc.InsightsFilter{DestinationPorts: [2]int32{81, 90}}}, "FILTER_AT_DESTINATION_DESTINATION_PORT_RANGE"},
		"source ports":             {vpc.InsightsPath{AtSource: vpc.InsightsFilter{SourcePorts: [2]int32{1024, 2048}}}, found},
		"source ports do not meet": {vpc.InsightsPath{AtSource: vpc.InsightsFilter{SourcePorts: [2]int32{1024, 2048}}, AtDestination: vpc.InsightsFilter{SourcePorts: [2]int32{1, 2}}}, "FILTER_AT_DESTINATION_SOURCE_PORT_RANGE"},
		"udp":                      {vpc.InsightsPath{Protocol: vpc.UDP}, "ENI_SG_RULES_MISMATCH egress ENI_SG_RULES_MISMATCH ingress"},
	}
	for name, tt := range tests {
		tt.p.Source, tt.p.Destination = string(src), string(dst)
		if tt.p.Protocol == 0 {
			tt.p.Protocol = vpc.TCP
		}
		expect(t, name, reachability.Analyze(w.State, &tt.p, reachability.Components{}), tt.want)
	}

	byAddress := func(a string) reachability.Findings {
		return reachability.Analyze(w.State, &vpc.InsightsPath{Source: string(src), DestinationIP: addr(a), Protocol: vpc.TCP}, reachability.Components{})
	}
	expect(t, "destination by address", byAddress("10.0.0.20"), found)
	expect(t, "nobody's address", byAddress("10.0.0.99"), "NO_POSSIBLE_DESTINATION")

	check := false
	w.do(w.ModifyNetworkInterface(src, vpc.InterfaceChange{SourceDestCheck: &check}))
	foreign := vpc.InsightsPath{Source: string(src), Destination: string(dst), SourceIP: addr("10.0.0.11"), Protocol: vpc.TCP}
	expect(t, "foreign source, unchecked", reachability.Analyze(w.State, &foreign, reachability.Components{}), found)
	foreign.SourceIP = addr("192.0.2.1") // its egress rule is about destinations; the ingress rule is not for this one
	expect(t, "foreign source that no rule is for", reachability.Analyze(w.State, &foreign, reachability.Components{}), "ENI_SG_RULES_MISMATCH ingress")
}
