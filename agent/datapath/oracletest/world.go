package oracletest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// random makes up configurations: nested CIDRs, neighbouring ports, VPCs that share addresses, members
// of peers, delegated prefixes, lists, rules that are open to everybody, rules that make no sense.
type random struct{ *rand.Rand }

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

// some returns n different elements, or all.
func some[T any](r random, n int, from []T) []T {
	from = slices.Clone(from)
	r.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:min(n, len(from))]
}

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

// The interfaces of every configuration.
var Interfaces = []vpc.InterfaceID{"eni-0000000000000000a", "eni-0000000000000000b", "eni-0000000000000000c"}

var (
	domains = []vpc.VPCID{"vpc-a", "vpc-b", "vpc-c"}
	groups  = []vpc.GroupID{"sg-0", "sg-1", "sg-2", "sg-3", "sg-4", "sg-nowhere"}
	lists   = []vpc.PrefixListID{"pl-0", "pl-1", "pl-2", "pl-nowhere"}

	own4 = addrs("10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.16")
	own6 = addrs("fd00:1:2:100::11", "fd00:1:2:100::12", "fd00:1:2:100::13", "fd00:1:2:100::14")

	router4    = netip.MustParseAddr("10.0.0.1")
	router6    = netip.MustParseAddr("fd00:1:2:100::1")
	routerFE80 = netip.MustParseAddr("fe80::ff:fe00:1")
	routerMAC  = vpc.MAC{2, 0, 0, 0, 0, 1}
	otherMAC   = vpc.MAC{2, 0, 0, 0, 0, 0x99}
	everyMAC   = vpc.MAC{255, 255, 255, 255, 255, 255}

	// Of members: the first are in every domain's reach, the last are a peer's.
	members4 = addrs("10.0.0.50", "10.0.0.51", "10.0.0.52", "10.0.0.53", "10.0.1.4", "10.64.0.4", "10.64.0.5", "192.0.2.9")
	members6 = addrs("fd00:1:2:100::50", "fd00:1:2:100::51", "fd00:1:2:101::4", "fd64::4", "fd64::5", "2001:db8::9")

	delegations = prefixes("10.0.0.64/28", "10.0.0.80/28", "10.64.0.16/28", "fd00:1:2:100:5::/80", "fd00:1:2:100:6::/80", "fd64:0:0:0:7::/80")
	delegated   = addrs("10.0.0.64", "10.0.0.79", "10.0.0.80", "10.0.0.63", "10.64.0.17", "10.64.0.31", "10.64.0.32",
		"fd00:1:2:100:5::", "fd00:1:2:100:5:ffff:ffff:ffff", "fd00:1:2:100:6::1", "fd00:1:2:100:4::1", "fd64:0:0:0:7::7")

	strangers = addrs("198.51.100.7", "203.0.113.9", "10.0.0.99", "10.200.0.1", "128.0.0.1",
		"2001:db8:ffff::1", "2001:db8::77", "fd00:1:2:100::99", "fd01::1")
	// What the platform may offer, besides what others have.
	services   = addrs("169.254.169.253", "169.254.169.254", "fd00:ec2::253", "fd00:ec2::123", "10.0.0.50", "198.51.100.7")
	impossible = addrs("0.0.0.0", "0.1.2.3", "127.0.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.251", "169.254.169.254", "169.254.1.2",
		"::", "::1", "::2", "::ffff:10.0.0.50", "::ffff:198.51.100.7", "::10.0.0.50", "64:ff9b::a00:32", "ff02::1", "ff05::2", "fd00:ec2::254", "fe80::99", "febf::1", "fec0::1",
		"64:ff9b:1::1", "0.255.255.255", "1.0.0.1", "239.255.255.255", "223.255.255.255", "169.253.255.255", "169.255.0.1")

	cidrs = prefixes("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.48/30", "10.0.0.50/32", "10.0.0.64/26", "10.0.0.79/32", "10.64.0.0/16",
		"192.0.2.0/24", "198.51.100.0/24", "198.51.100.7/32", "128.0.0.0/1", "0.0.0.0/1",
		"::/0", "fd00::/8", "fd00:1:2:100::/64", "fd00:1:2:100::50/128", "fd00:1:2:100:5::/80", "fd64::/64", "2001:db8::/32", "2001:db8:ffff::1/128", "8000::/1")
	wide     = prefixes("0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "::/1", "fd00::/8", "8000::/1")
	nonsense = []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00::5/64")}

	everybody = prefixes("0.0.0.0/0", "::/0")

	portBorders = []int32{0, 22, 53, 79, 80, 81, 443, 1000, 4000, 65534, 65535}
	ruleTypes   = []int32{0, 3, 8, 11, 13, 1, 2, 128, 129, 255}
	protocols   = []vpc.Protocol{
		vpc.AllProtocols, vpc.AllProtocols, vpc.TCP, vpc.TCP, vpc.TCP, vpc.TCP, vpc.UDP, vpc.UDP, vpc.UDP, vpc.ICMP, vpc.ICMP, vpc.ICMPv6, vpc.ICMPv6,
		0, 2, 44, 47, 50, 132, 255,
	}
)

// Services are what hosts offer where they offer anything.
var Services = []Service{
	{protocolUDP, netip.MustParseAddrPort("169.254.169.253:53")},
	{protocolTCP, netip.MustParseAddrPort("169.254.169.254:80")},
	{protocolUDP, netip.MustParseAddrPort("[fd00:ec2::253]:53")},
	{protocolTCP, netip.MustParseAddrPort("[fd00:ec2::123]:80")},
	{protocolUDP, netip.MustParseAddrPort("10.0.0.50:53")},
	{protocolTCP, netip.MustParseAddrPort("198.51.100.7:80")},
}

func addrs(in ...string) (out []netip.Addr) {
	for _, s := range in {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(in ...string) (out []netip.Prefix) {
	for _, s := range in {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// view returns a configuration.
func (r random) view() *ruleset.View {
	v := &ruleset.View{
		Revision: 1 + r.Int64N(1_000_000),
		ENIs:     map[vpc.InterfaceID]ruleset.ENI{}, Groups: map[vpc.GroupID]ruleset.Group{},
		Members: map[vpc.InterfaceID]ruleset.Member{}, Lists: map[vpc.PrefixListID][]netip.Prefix{},
	}
	number := uint32(0)
	for _, id := range groups[:5] {
		g := ruleset.Group{ID: id}
		for range r.IntN(9) {
			number++
			g.Rules = append(g.Rules, r.rule(number))
		}
		for range r.IntN(3) { // generous, not open to everybody
			number++
			rule := r.rule(number)
			rule.Protocol, rule.From, rule.To = vpc.AllProtocols, -1, -1
			if rule.Peer.Group == "" {
				rule.Peer = vpc.Peer{CIDR: pick(r, wide)}
			}
			g.Rules = append(g.Rules, rule)
		}
		if r.chance(50) { // open to everybody, one way or both
			for _, cidr := range some(r, 1+r.IntN(2), everybody) {
				for _, egress := range some(r, 1+r.IntN(2), []bool{true, false}) {
					number++
					g.Rules = append(g.Rules, r.open(number, egress, cidr)...)
					number += 2
				}
			}
		}
		v.Groups[id] = g
	}
	for _, id := range lists[:3] {
		v.Lists[id] = r.list()
	}
	free4, free6, free := some(r, 6, own4), some(r, 4, own6), some(r, len(delegations), delegations)
	for i, id := range Interfaces {
		e := ruleset.ENI{
			ID: id, Domain: pick(r, domains[:2]), MAC: vpc.MAC{2, 0, 0, 0, 0, byte(0x11 + i)},
			Groups: slices.Sorted(slices.Values(some(r, 1+r.IntN(3), groups[:5]))), SourceDestCheck: r.chance(75),
		}
		n4, n6 := 1+r.IntN(2), min(r.IntN(3), len(free6))
		e.Addresses = append(slices.Clone(free4[:n4]), free6[:n6]...)
		free4, free6 = free4[n4:], free6[n6:]
		for range min(r.IntN(3)*r.IntN(2), len(free)) {
			e.Prefixes = append(e.Prefixes, free[0])
			free = free[1:]
		}
		if r.chance(30) {
			e.Timeouts = ruleset.Timeouts{
				TCPEstablished: pick(r, []time.Duration{0, 60 * time.Second, 350 * time.Second}),
				UDP:            pick(r, []time.Duration{0, 31 * time.Second, 60 * time.Second}),
				UDPStream:      pick(r, []time.Duration{0, 60 * time.Second, 179 * time.Second}),
			}
		}
		if r.chance(20) {
			e.Observe = r.while()
		}
		if r.chance(90) {
			e.Routers = []netip.Addr{router4, router6, routerFE80}
		}
		slices.SortFunc(e.Addresses, netip.Addr.Compare)
		slices.SortFunc(e.Prefixes, netip.Prefix.Compare)
		v.ENIs[id] = e
		if r.chance(60) { // its groups are named by rules
			v.Members[id] = ruleset.Member{ID: id, Domains: []vpc.VPCID{e.Domain}, Addresses: e.Addresses, Prefixes: e.Prefixes, Groups: e.Groups}
		}
	}
	left4, left6 := some(r, len(members4), members4), some(r, len(members6), members6)
	for i := range 6 {
		id := vpc.InterfaceID(fmt.Sprintf("eni-member-%d", i))
		m := ruleset.Member{
			ID: id, Domains: slices.Sorted(slices.Values(some(r, 1+r.IntN(2), domains))),
			Groups: slices.Sorted(slices.Values(some(r, 1+r.IntN(3), groups[:5]))),
		}
		m.Addresses = append(m.Addresses, left4[0])
		left4 = left4[1:]
		if r.chance(70) && len(left6) > 0 {
			m.Addresses = append(m.Addresses, left6[0])
			left6 = left6[1:]
		}
		if r.chance(30) && len(free) > 0 {
			m.Prefixes = append(m.Prefixes, free[0])
			free = free[1:]
		}
		v.Members[id] = m
	}
	return v
}

// opened lets everybody have more.
func (r random) opened(v *ruleset.View) *ruleset.View {
	n := *v
	n.Groups = maps.Clone(v.Groups)
	number := uint32(10_000)
	for _, id := range groups[:5] {
		g := n.Groups[id]
		for _, cidr := range everybody {
			for _, egress := range []bool{true, false} {
				number += 4
				if r.chance(50) {
					g.Rules = append(slices.Clone(g.Rules), r.open(number, egress, cidr)...)
				}
				if r.chance(30) {
					rule := r.rule(number + 3)
					rule.Egress, rule.Peer = egress, vpc.Peer{CIDR: cidr}
					g.Rules = append(slices.Clone(g.Rules), rule)
				}
			}
		}
		n.Groups[id] = g
	}
	return &n
}

// while is how long an interface observes, after 1970: whoever applies the View adds the present.
func (r random) while() time.Time {
	return time.Unix(pick(r, []int64{5, 5, 30, 300, 1_000_000}), 0)
}

// narrow makes every flow of a View a tracked one.
func narrow(v *ruleset.View) *ruleset.View {
	n := *v
	n.ENIs, n.Groups = maps.Clone(v.ENIs), maps.Clone(v.Groups)
	for id, e := range n.ENIs {
		e.Observe = time.Time{}
		n.ENIs[id] = e
	}
	for id, g := range n.Groups {
		g.Rules = slices.Clone(g.Rules)
		for i, rule := range g.Rules {
			if rule.Peer.CIDR.IsValid() && rule.Peer.CIDR.Bits() == 0 {
				g.Rules[i].Peer.CIDR = netip.PrefixFrom(rule.Peer.CIDR.Addr(), 1)
			}
		}
		n.Groups[id] = g
	}
	return &n
}

func (r random) list() []netip.Prefix {
	list := some(r, r.IntN(6), cidrs)
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

// open is what lets everybody of a family in or out, in one rule or in pieces.
func (r random) open(number uint32, egress bool, cidr netip.Prefix) []vpc.Rule {
	make := func(p vpc.Protocol, from, to int32) vpc.Rule {
		number++
		return vpc.Rule{
			ID: vpc.RuleID(fmt.Sprintf("sgr-%04x", r.IntN(1<<16))), Number: number - 1, Egress: egress,
			Protocol: p, From: from, To: to, Peer: vpc.Peer{CIDR: cidr},
		}
	}
	switch r.IntN(4) {
	case 0:
		return []vpc.Rule{make(vpc.TCP, 0, 65535)}
	case 1:
		return []vpc.Rule{make(vpc.UDP, 0, 65535)}
	case 2:
		at := pick(r, portBorders[1:])
		gap := int32(r.IntN(4) / 3) // one port short, now and then
		p := pick(r, []vpc.Protocol{vpc.TCP, vpc.UDP})
		return []vpc.Rule{make(p, 0, at-1), make(p, min(at+gap, 65535), 65535)}
	}
	return []vpc.Rule{make(vpc.AllProtocols, -1, -1)}
}

func (r random) rule(number uint32) vpc.Rule {
	rule := vpc.Rule{
		ID:     vpc.RuleID(fmt.Sprintf("sgr-%04x", r.IntN(1<<16))), // not in the order of numbers
		Number: number, Egress: r.IntN(2) == 0, Protocol: pick(r, protocols), From: -1, To: -1,
	}
	switch rule.Protocol {
	case vpc.TCP, vpc.UDP:
		rule.From, rule.To = pick(r, portBorders), pick(r, portBorders)
		if rule.From > rule.To {
			rule.From, rule.To = rule.To, rule.From
		}
	case vpc.ICMP, vpc.ICMPv6:
		if r.IntN(3) > 0 {
			rule.From = pick(r, ruleTypes)
			if r.IntN(3) == 0 {
				rule.To = pick(r, []int32{0, 1, 4, 255})
			}
		}
	}
	switch r.IntN(5) {
	case 0, 1, 2:
		rule.Peer.CIDR = pick(r, cidrs)
	case 3:
		rule.Peer.PrefixList = pick(r, lists)
	default:
		rule.Peer.Group = pick(r, groups)
	}
	switch r.IntN(60) { // what must allow nothing
	case 0:
		rule.Peer.CIDR = pick(r, nonsense)
	case 1:
		rule.Peer = vpc.Peer{PrefixList: "pl-1", Group: groups[0]}
	case 2:
		rule.From, rule.To = rule.To+1, rule.From
	case 3:
		rule.Protocol = 256
	}
	return rule
}

// changed returns a configuration that differs a little from v.
func (r random) changed(v *ruleset.View) *ruleset.View {
	n := *v
	n.Revision++
	n.ENIs, n.Groups, n.Members, n.Lists = maps.Clone(v.ENIs), maps.Clone(v.Groups), maps.Clone(v.Members), maps.Clone(v.Lists)
	for range 1 + r.IntN(3) {
		switch r.IntN(11) {
		case 8, 9, 10: // what everybody may, few may, or the other way round
			id := pick(r, groups[:5])
			g := n.Groups[id]
			g.Rules = slices.Clone(g.Rules)
			for i, rule := range g.Rules {
				if peer := rule.Peer.CIDR; peer.IsValid() && peer.Bits() <= 1 && r.chance(60) {
					g.Rules[i].Peer.CIDR = netip.PrefixFrom(peer.Addr(), 1-peer.Bits()).Masked()
				}
			}
			n.Groups[id] = g
		case 0, 1: // a rule comes
			id := pick(r, groups[:5])
			g := n.Groups[id]
			number := uint32(0)
			for _, other := range n.Groups {
				for _, rule := range other.Rules {
					number = max(number, rule.Number)
				}
			}
			g.Rules = append(slices.Clone(g.Rules), r.rule(number+1))
			n.Groups[id] = g
		case 2: // a rule goes
			id := pick(r, groups[:5])
			if g := n.Groups[id]; len(g.Rules) > 0 {
				at := r.IntN(len(g.Rules))
				g.Rules = slices.Delete(slices.Clone(g.Rules), at, at+1)
				n.Groups[id] = g
			}
		case 3: // other groups
			if e, ok := n.ENIs[pick(r, Interfaces)]; ok {
				e.Groups = slices.Sorted(slices.Values(some(r, 1+r.IntN(3), groups[:5])))
				n.ENIs[e.ID] = e
			}
		case 4: // a member's other groups
			if m, ok := n.Members[pick(r, slices.Sorted(maps.Keys(n.Members)))]; ok {
				m.Groups = slices.Sorted(slices.Values(some(r, 1+r.IntN(3), groups[:5])))
				n.Members[m.ID] = m
			}
		case 5:
			n.Lists[pick(r, lists[:3])] = r.list()
		case 6:
			if e, ok := n.ENIs[pick(r, Interfaces)]; ok {
				if r.chance(50) {
					e.SourceDestCheck = !e.SourceDestCheck
				} else if e.Observe.IsZero() {
					e.Observe = r.while()
				} else {
					e.Observe = time.Time{}
				}
				n.ENIs[e.ID] = e
			}
		case 7:
			if r.chance(20) { // no longer this host's, or again
				delete(n.ENIs, pick(r, Interfaces))
			} else if e, ok := n.ENIs[pick(r, Interfaces)]; ok && len(e.Addresses) > 1 {
				e.Addresses = e.Addresses[:len(e.Addresses)-1]
				n.ENIs[e.ID] = e
			}
		}
	}
	return &n
}
