package ruleset_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// A universe is a small random State, and packets that are likely to meet its borders: nested
// CIDRs, neighbouring ports, two VPCs with the same addresses and a third that is the peer of one of
// them, prefix lists, delegated prefixes, rules that make no sense.
type universe struct{ *rand.Rand }

func newUniverse(seed uint64) universe { return universe{rand.New(rand.NewPCG(seed, 24))} }

func pick[T any](u universe, from []T) T { return from[u.IntN(len(from))] }

// some returns n different elements, or all.
func some[T any](u universe, n int, from []T) []T {
	from = slices.Clone(from)
	u.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:min(n, len(from))]
}

var (
	vpcs  = []vpc.VPCID{"vpc-a", "vpc-b", "vpc-c"}
	lists = []vpc.PrefixListID{"pl-0", "pl-1", "pl-2", "pl-3", "pl-nowhere"}
	hosts = []vpc.HostID{"host-a", "host-b"}

	addresses4 = addrs("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.9", "10.0.1.4", "10.1.0.4", "192.0.2.9")
	addresses6 = addrs("fd00::4", "fd00::5", "fd00::6", "fd00::9", "fd00:0:0:1::4", "fd01::4", "2001:db8::9")
	// Of the third VPC: peers never overlap.
	peers4 = addrs("10.64.0.4", "10.64.0.5", "10.64.0.6", "10.64.0.7", "10.64.0.9", "10.64.1.4", "10.65.0.4", "192.0.2.10")
	peers6 = addrs("fd64::4", "fd64::5", "fd64::6", "fd64::9", "fd64:0:0:1::4", "fd65::4", "2001:db8::10")

	strangers4 = addrs("203.0.113.7", "10.0.0.8", "10.0.2.16", "10.0.2.31", "10.0.2.32", "10.0.2.48", "10.64.2.17")
	strangers6 = addrs("2001:db8::8", "fd00::8", "fd00:0:0:2:1::", "fd00:0:0:2:1::ffff", "fd00:0:0:2:2::1", "fd64:0:0:2:1::1")

	// What is delegated to interfaces, if not to others.
	delegations      = prefixes("10.0.2.16/28", "10.0.2.32/28", "fd00:0:0:2:1::/80", "fd00:0:0:2:2::/80")
	peersDelegations = prefixes("10.64.2.16/28", "10.64.2.32/28", "fd64:0:0:2:1::/80", "fd64:0:0:2:2::/80")

	cidrs = prefixes("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/24", "10.0.0.4/30", "10.0.0.5/32",
		"192.0.2.0/24", "128.0.0.0/1", "10.64.0.0/16", "10.0.2.0/27", "10.0.2.16/32",
		"::/0", "fd00::/8", "fd00::/64", "fd00::4/126", "fd00::5/128", "2001:db8::/32", "fd00:0:0:2:1::/80")
	nonsense = []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00::5/64")}

	portBorders = []int32{0, 1, 22, 79, 80, 81, 443, 65534, 65535}
	icmpBorders = []int32{0, 3, 8, 128, 255}
	protocols   = []vpc.Protocol{vpc.AllProtocols, vpc.TCP, vpc.TCP, vpc.UDP, vpc.ICMP, vpc.ICMPv6, 0, 5, 7, 47, 255}
)

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

// groups of one VPC; the last is carried by nobody and exists nowhere.
func groupsOf(v vpc.VPCID) (ids []vpc.GroupID) {
	for i := range 5 {
		ids = append(ids, vpc.GroupID(fmt.Sprintf("sg-%s-%d", v[4:], i)))
	}
	return ids
}

// state returns a State at a revision above 0.
func (u universe) state() *vpc.State {
	var c vpc.Change
	number := uint32(0)
	for _, id := range lists[:4] {
		l := &vpc.PrefixList{ID: id, IPv6: u.IntN(2) == 0, Version: 1 + u.Int64N(3)}
		version := &vpc.PrefixListVersion{List: id, Number: l.Version}
		for _, cidr := range some(u, u.IntN(8), cidrs) {
			if cidr.Addr().Is6() == l.IPv6 {
				version.Entries = append(version.Entries, vpc.PrefixListEntry{CIDR: cidr, Description: "d"})
			}
		}
		c.Puts = append(c.Puts, l, version)
	}
	c.Puts = append(c.Puts,
		&vpc.PeeringConnection{ID: "pcx-1", Requester: "vpc-c", Accepter: pick(u, vpcs[:2]), Status: vpc.PeeringActive},
		&vpc.PeeringConnection{ID: "pcx-2", Requester: pick(u, vpcs[:2]), Accepter: "vpc-c", Status: pick(u, []vpc.PeeringStatus{
			vpc.PeeringPending, vpc.PeeringRejected, vpc.PeeringExpired, vpc.PeeringDeleted,
		})})
	for i, v := range vpcs {
		groups, foreign := groupsOf(v), groupsOf(vpcs[(i+1)%3])
		others := append(foreign[:1:1], groupsOf(vpcs[(i+2)%3])[0])
		subnet := &vpc.Subnet{
			ID: vpc.SubnetID("subnet-" + v[4:]), VPC: v, CIDR: netip.MustParsePrefix("10.0.0.0/24"),
			IPv6CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("fd00::/64")}},
		}
		c.Puts = append(c.Puts, &vpc.VPC{ID: v}, subnet)
		for _, id := range groups[:4] {
			g := &vpc.SecurityGroup{ID: id, VPC: v}
			for range u.IntN(9) {
				number++
				g.Rules = append(g.Rules, u.rule(number, append(groups, others...)))
			}
			c.Puts = append(c.Puts, g)
		}
		free4, free6, free := some(u, 8, addresses4), some(u, 8, addresses6), some(u, 3, delegations)
		if v == "vpc-c" {
			free4, free6, free = some(u, 8, peers4), some(u, 8, peers6), some(u, 3, peersDelegations)
		}
		for i := range 6 {
			e := &vpc.NetworkInterface{
				ID: vpc.InterfaceID(fmt.Sprintf("eni-%s-%d", v[4:], i)), VPC: v, Subnet: subnet.ID,
				MAC: vpc.MAC{2, 0, 0, 0, v[4], byte(i)},
				// The last is a group of another VPC that is associated with this one.
				Groups:          some(u, 1+u.IntN(3), append(slices.Clone(groups[:4]), foreign[0])),
				SourceDestCheck: u.IntN(5) > 0,
				Tracking:        vpc.ConnectionTracking{TCPEstablished: 60 + int32(i), UDPStream: 70 + int32(i), UDP: 30 + int32(i)},
			}
			n4, n6 := 1, min(u.IntN(3), len(free6))
			if i < 2 { // the pool has two more than interfaces
				n4 += u.IntN(2)
			}
			e.IPv4, free4 = free4[:n4], free4[n4:]
			e.IPv6, free6 = free6[:n6], free6[n6:]
			for range min(u.IntN(3), len(free)) {
				if p := free[0]; p.Addr().Is4() {
					e.IPv4Prefixes = append(e.IPv4Prefixes, p)
				} else {
					e.IPv6Prefixes = append(e.IPv6Prefixes, p)
				}
				free = free[1:]
			}
			if h := u.IntN(len(hosts) + 1); h < len(hosts) {
				e.Binding = &vpc.Binding{Host: hosts[h], Device: "tap0"}
			}
			c.Puts = append(c.Puts, e)
		}
	}
	return new(vpc.State).Apply(c, 1+u.Int64N(1_000_000))
}

func (u universe) rule(number uint32, groups []vpc.GroupID) vpc.Rule {
	r := vpc.Rule{
		ID:       vpc.RuleID(fmt.Sprintf("sgr-%04x", u.IntN(1<<16))), // not in the order of numbers
		Number:   number,
		Egress:   u.IntN(2) == 0,
		Protocol: pick(u, protocols),
		From:     -1,
		To:       -1,
		Tags:     vpc.Tags{"k": "v"},
	}
	switch r.Protocol {
	case vpc.TCP, vpc.UDP:
		r.From, r.To = pick(u, portBorders), pick(u, portBorders)
		if r.From > r.To {
			r.From, r.To = r.To, r.From
		}
	case vpc.ICMP, vpc.ICMPv6:
		if u.IntN(3) > 0 {
			r.From = pick(u, icmpBorders)
			if u.IntN(2) > 0 {
				r.To = pick(u, icmpBorders)
			}
		}
	}
	switch u.IntN(4) {
	case 0, 1:
		r.Peer.CIDR = pick(u, cidrs)
	case 2:
		r.Peer.PrefixList = pick(u, lists)
	default:
		r.Peer.Group = pick(u, groups)
	}
	switch u.IntN(40) { // what must allow nothing
	case 0:
		r.Peer.CIDR = pick(u, nonsense)
	case 1:
		r.Peer = vpc.Peer{PrefixList: "pl-1", Group: groups[0]}
	case 2:
		r.From, r.To = r.To+1, r.From
	case 3:
		r.Number = 0
	case 4:
		r.Protocol = 256
	case 5:
		r.Peer = vpc.Peer{CIDR: pick(u, cidrs), Group: groups[0]}
	}
	return r
}

func (u universe) packet() ruleset.Packet {
	p := ruleset.Packet{
		Protocol: uint8(max(0, pick(u, protocols))),
		SrcPort:  uint16(pick(u, portBorders)),
		DstPort:  uint16(pick(u, portBorders)),
		ICMPType: uint8(pick(u, icmpBorders)),
		ICMPCode: uint8(pick(u, icmpBorders)),
	}
	pool := slices.Concat(addresses4, addresses6, peers4, peers6, strangers4, strangers6)
	p.Src = pick(u, pool)
	for p.Dst = pick(u, pool); p.Dst.Is4() != p.Src.Is4() && u.IntN(30) > 0; {
		p.Dst = pick(u, pool)
	}
	return p
}

// packetAt returns a packet that has one of the interface's addresses at its local end.
func (u universe) packetAt(e ruleset.ENI, d ruleset.Direction) ruleset.Packet {
	p := u.packet()
	if u.IntN(20) == 0 {
		return p // what anti-spoofing is for
	}
	local := pick(u, e.Addresses)
	if len(e.Prefixes) > 0 && u.IntN(2) == 0 {
		local = pick(u, e.Prefixes).Addr().Next()
	}
	remotes := slices.Concat(addresses4, peers4, strangers4)
	if local.Is6() {
		remotes = slices.Concat(addresses6, peers6, strangers6)
	}
	p.Src, p.Dst = local, pick(u, remotes)
	if d == ruleset.Ingress {
		p.Src, p.Dst = p.Dst, p.Src
	}
	return p
}
