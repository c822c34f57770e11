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

// engine judges like Tables.Judge.
type engine func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict

func tableEngine(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
	return t.Judge(m, eni, d, p)
}

var directions = []ruleset.Direction{ruleset.Ingress, ruleset.Egress}

// disagreement is a packet on which an engine and the evaluator differ.
type disagreement struct {
	eni       vpc.InterfaceID
	direction ruleset.Direction
	packet    ruleset.Packet
	got, want ruleset.Verdict
}

// compare asks an engine about one random universe and returns where it first differs from the
// evaluator, and how often the evaluator allowed.
func compare(seed uint64, judge engine) (bad *disagreement, allowed int) {
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
				if got := judge(tables, members, id, d, p); got != want && bad == nil {
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
		bad, allowed := compare(seed, tableEngine)
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
		if bad, _ := compare(seed, tableEngine); bad != nil {
			t.Errorf("%s %s of %+v = %+v, the evaluator says %+v", bad.eni, bad.direction, bad.packet, bad.got, bad.want)
		}
	})
}

// broken holds engines with one mistake each. TestTablesSee demands that the comparison finds it.
var broken = map[string]engine{
	"open by default": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		v := t.Judge(m, eni, d, p)
		if v.Reason == ruleset.ReasonNoRule {
			v.Action = ruleset.Allow
		}
		return v
	},
	"one gate": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		if d == ruleset.Egress {
			return ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule}
		}
		return t.Judge(m, eni, d, p)
	},
	"no union of containing CIDRs": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		return rebuilt(t, eni, ownPortsOnly).Judge(m, eni, d, p)
	},
	"only the first group of a member": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		first := ruleset.Members{}
		for id, member := range m {
			member.Groups = member.Groups[:1]
			first[id] = member
		}
		return t.Judge(first, eni, d, p)
	},
	"members of every domain": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		everywhere := ruleset.Members{}
		for id, member := range m {
			member.Domains = vpcs
			everywhere[id] = member
		}
		for id, e := range t.ENIs {
			// Groups of another VPC are never named here, so the mistake shows only if both VPCs' groups are one.
			e.Ingress, e.Egress = anyGroup(e.Ingress), anyGroup(e.Egress)
			t.ENIs[id] = e
		}
		return t.Judge(everywhere, eni, d, p)
	},
	"no peers": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		alone := ruleset.Members{}
		for id, member := range m {
			member.Domains = []vpc.VPCID{"vpc-" + vpc.VPCID(id[4:5])}
			alone[id] = member
		}
		return t.Judge(alone, eni, d, p)
	},
	"members without their prefixes": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		bare := ruleset.Members{}
		for id, member := range m {
			member.Prefixes = nil
			bare[id] = member
		}
		return t.Judge(bare, eni, d, p)
	},
	"only the first entry of a list": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		t.Lists = maps.Clone(t.Lists)
		for id, entries := range t.Lists {
			t.Lists[id] = entries[:min(1, len(entries))]
		}
		return t.Judge(m, eni, d, p)
	},
	"only one list of an address": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		remote := p.Src
		if d == ruleset.Egress {
			remote = p.Dst
		}
		t.Lists = maps.Clone(t.Lists)
		for _, id := range t.ListsAt(remote)[min(1, len(t.ListsAt(remote))):] {
			delete(t.Lists, id)
		}
		return t.Judge(m, eni, d, p)
	},
	"first port of an interval only": func(t ruleset.Tables, m ruleset.Members, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
		return rebuilt(t, eni, func(c ruleset.CIDRPorts, _ *ruleset.Table) []ruleset.Interval {
			c.Ports = slices.Clone(c.Ports)
			for i := range c.Ports {
				c.Ports[i].To = c.Ports[i].From
			}
			return c.Ports
		}).Judge(m, eni, d, p)
	},
}

func TestTablesSee(t *testing.T) {
	for name, judge := range broken {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				if bad, _ := compare(seed, judge); bad != nil {
					return
				}
			}
			t.Error("200 universes do not show the mistake")
		})
	}
}

// rebuilt returns tables whose CIDR intervals a mistake has rewritten.
func rebuilt(t ruleset.Tables, eni vpc.InterfaceID, ports func(ruleset.CIDRPorts, *ruleset.Table) []ruleset.Interval) ruleset.Tables {
	e := t.ENIs[eni]
	for _, table := range []**ruleset.Table{&e.Ingress, &e.Egress} {
		n := **table
		n.CIDRs = slices.Clone(n.CIDRs)
		for i, c := range n.CIDRs {
			n.CIDRs[i].Ports = ports(c, *table)
		}
		*table = &n
	}
	return ruleset.Tables{Revision: t.Revision, ENIs: map[vpc.InterfaceID]ruleset.ENITables{eni: e}, Lists: t.Lists}
}

// ownPortsOnly leaves a prefix what no shorter prefix already grants by the same rule.
func ownPortsOnly(c ruleset.CIDRPorts, t *ruleset.Table) []ruleset.Interval {
	var own []ruleset.Interval
	for _, i := range c.Ports {
		inherited := slices.ContainsFunc(t.CIDRs, func(o ruleset.CIDRPorts) bool {
			return o.CIDR.Bits() < c.CIDR.Bits() && o.CIDR.Contains(c.CIDR.Addr()) &&
				slices.ContainsFunc(o.Ports, func(p ruleset.Interval) bool { return p.Rule == i.Rule })
		})
		if !inherited {
			own = append(own, i)
		}
	}
	return own
}

// anyGroup gives the groups of the other VPC what a table gives to its own.
func anyGroup(t *ruleset.Table) *ruleset.Table {
	n := *t
	n.Peers = maps.Clone(t.Peers)
	for g, ports := range t.Peers {
		for _, v := range vpcs {
			n.Peers["sg-"+vpc.GroupID(v[4:])+g[4:]] = ports
		}
	}
	return &n
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
