package ruleset_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

var directions = []ruleset.Direction{ruleset.Ingress, ruleset.Egress}

// disagreement is a packet on which the tables and the evaluator differ.
type disagreement struct {
	eni       vpc.InterfaceID
	direction ruleset.Direction
	packet    ruleset.Packet
	got, want ruleset.Verdict
}

// compare asks the tables about one random universe and returns where they first differ from the
// evaluator, and how often the evaluator allowed. mutants_test.go in the root holds it against
// mistakes.
func compare(seed uint64) (bad *disagreement, allowed int) {
	u := newUniverse(seed)
	s := u.state()
	for _, host := range hosts {
		v := ruleset.Resolve(s, host)
		tables, members := new(ruleset.Compiler).Compile(v)
		for _, id := range slices.Sorted(maps.Keys(v.ENIs)) {
			for range 60 {
				d := pick(u, directions)
				p := u.packetAt(v.ENIs[id], d)
				want := ruleset.Evaluate(v, id, d, p)
				if want.Action == ruleset.Allow {
					allowed++
				}
				if got := tables.Judge(members, id, d, p); got != want && bad == nil {
					bad = &disagreement{id, d, p, got, want}
				}
			}
		}
	}
	return bad, allowed
}

// TestTablesEqualEvaluator: the compiled tables give the evaluator's verdict, reason and named rule.
func TestTablesEqualEvaluator(t *testing.T) {
	universes := 1500
	if testing.Short() {
		universes = 200
	}
	total := 0
	for seed := range uint64(universes) {
		bad, allowed := compare(seed)
		if bad != nil {
			t.Fatalf("seed %d: %s %s of %+v = %+v, the evaluator says %+v",
				seed, bad.eni, bad.direction, bad.packet, bad.got, bad.want)
		}
		total += allowed
	}
	if total < 10*universes {
		t.Errorf("only %d packets were allowed in %d universes: they prove little", total, universes)
	}
}

func FuzzTables(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if bad, _ := compare(seed); bad != nil {
			t.Errorf("%s %s of %+v = %+v, the evaluator says %+v", bad.eni, bad.direction, bad.packet, bad.got, bad.want)
		}
	})
}

// TestResolveEqualsScan compares Resolve with a scan over the whole State.
func TestResolveEqualsScan(t *testing.T) {
	for seed := range uint64(300) {
		s := newUniverse(seed).state()
		for _, host := range hosts {
			got, want := ruleset.Resolve(s, host), scan(s, host)
			if d := ruleset.Diff(want, got); !d.Empty() {
				t.Fatalf("seed %d, %s: Resolve differs from a scan:\ngot  %+v\nwant %+v", seed, host, got, want)
			}
		}
	}
}

func scan(s *vpc.State, host vpc.HostID) *ruleset.View {
	v := &ruleset.View{
		Revision: s.Revision(), ENIs: map[vpc.InterfaceID]ruleset.ENI{},
		Groups: map[vpc.GroupID]ruleset.Group{}, Members: map[vpc.InterfaceID]ruleset.Member{},
		Lists: map[vpc.PrefixListID][]netip.Prefix{},
	}
	for e := range s.NetworkInterfaces() {
		if e.Binding == nil || e.Binding.Host != host {
			continue
		}
		v.ENIs[e.ID] = ruleset.ENI{
			ID: e.ID, Domain: e.VPC, MAC: e.MAC, Addresses: bothFamilies(e), Prefixes: delegated(e), Routers: addrs("10.0.0.1", "fd00::1"),
			Groups: slices.Sorted(slices.Values(e.Groups)), SourceDestCheck: e.SourceDestCheck,
			Timeouts: ruleset.Timeouts{
				TCPEstablished: time.Second * time.Duration(e.Tracking.TCPEstablished),
				UDPStream:      time.Second * time.Duration(e.Tracking.UDPStream), UDP: time.Second * time.Duration(e.Tracking.UDP),
			},
		}
		for _, g := range e.Groups {
			v.Groups[g] = ruleset.Group{ID: g, Rules: s.SecurityGroup(g).Rules}
		}
	}
	for e := range s.NetworkInterfaces() {
		var groups []vpc.GroupID
		for _, id := range slices.Sorted(slices.Values(e.Groups)) {
			for _, g := range v.Groups {
				if slices.ContainsFunc(g.Rules, func(r vpc.Rule) bool { return r.Peer.Group == id }) {
					groups = append(groups, id)
					break
				}
			}
		}
		if groups != nil {
			m := ruleset.Member{ID: e.ID, Addresses: bothFamilies(e), Prefixes: delegated(e), Groups: groups}
			for _, domain := range vpcs {
				joined := domain == e.VPC
				for p := range s.Peerings() {
					if p.Status == vpc.PeeringActive && (p.Requester == e.VPC && p.Accepter == domain || p.Accepter == e.VPC && p.Requester == domain) {
						joined = true
					}
				}
				here := slices.ContainsFunc(slices.Collect(maps.Values(v.ENIs)), func(e ruleset.ENI) bool { return e.Domain == domain })
				if joined && here {
					m.Domains = append(m.Domains, domain)
				}
			}
			if m.Domains != nil {
				v.Members[e.ID] = m
			}
		}
	}
	for l := range s.PrefixLists() {
		for _, g := range v.Groups {
			if slices.ContainsFunc(g.Rules, func(r vpc.Rule) bool { return r.Peer.PrefixList == l.ID }) {
				v.Lists[l.ID] = []netip.Prefix{}
			}
		}
		if _, ok := v.Lists[l.ID]; ok {
			for _, e := range s.PrefixListEntries(l.ID) {
				v.Lists[l.ID] = append(v.Lists[l.ID], e.CIDR)
			}
			slices.SortFunc(v.Lists[l.ID], netip.Prefix.Compare)
		}
	}
	return v
}

func delegated(e *vpc.NetworkInterface) []netip.Prefix {
	return slices.SortedFunc(slices.Values(slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes)), netip.Prefix.Compare)
}

func bothFamilies(e *vpc.NetworkInterface) []netip.Addr {
	return slices.SortedFunc(slices.Values(slices.Concat(e.IPv4, e.IPv6)), netip.Addr.Compare)
}
