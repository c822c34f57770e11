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
// CIDRs, neighbouring ports, two VPCs with the same addresses, rules that make no sense.
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
	vpcs  = []vpc.VPCID{"vpc-a", "vpc-b"}
	hosts = []vpc.HostID{"host-a", "host-b"}

	addresses4 = addrs("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.9", "10.0.1.4", "10.1.0.4", "192.0.2.9")
	addresses6 = addrs("fd00::4", "fd00::5", "fd00::6", "fd00::9", "fd00:0:0:1::4", "fd01::4", "2001:db8::9")
	strangers  = addrs("203.0.113.7", "10.0.0.8", "2001:db8::8", "fd00::8")
	cidrs      = prefixes("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/24", "10.0.0.4/30", "10.0.0.5/32",
		"192.0.2.0/24", "128.0.0.0/1", "::/0", "fd00::/8", "fd00::/64", "fd00::4/126", "fd00::5/128", "2001:db8::/32")
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
	for i, v := range vpcs {
		groups, foreign := groupsOf(v), groupsOf(vpcs[1-i])
		subnet := &vpc.Subnet{
			ID: vpc.SubnetID("subnet-" + v[4:]), VPC: v, CIDR: netip.MustParsePrefix("10.0.0.0/24"),
			IPv6CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("fd00::/64")}},
		}
		c.Puts = append(c.Puts, &vpc.VPC{ID: v}, subnet)
		for _, id := range groups[:4] {
			g := &vpc.SecurityGroup{ID: id, VPC: v}
			for range u.IntN(9) {
				number++
				g.Rules = append(g.Rules, u.rule(number, append(groups, foreign[0])))
			}
			c.Puts = append(c.Puts, g)
		}
		free4, free6 := some(u, 8, addresses4), some(u, 8, addresses6)
		for i := range 6 {
			e := &vpc.NetworkInterface{
				ID: vpc.InterfaceID(fmt.Sprintf("eni-%s-%d", v[4:], i)), VPC: v, Subnet: subnet.ID,
				MAC: vpc.MAC{2, 0, 0, 0, v[4], byte(i)},
				// The last is a group of the other VPC, as associations between VPCs will allow.
				Groups:          some(u, 1+u.IntN(3), append(slices.Clone(groups[:4]), foreign[0])),
				SourceDestCheck: u.IntN(5) > 0,
			}
			n4, n6 := 1, min(u.IntN(3), len(free6))
			if i < 2 { // the pool has two more than interfaces
				n4 += u.IntN(2)
			}
			e.IPv4, free4 = free4[:n4], free4[n4:]
			e.IPv6, free6 = free6[:n6], free6[n6:]
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
	if u.IntN(3) > 0 {
		r.Peer.CIDR = pick(u, cidrs)
	} else {
		r.Peer.Group = pick(u, groups)
	}
	switch u.IntN(40) { // what must allow nothing
	case 0:
		r.Peer.CIDR = pick(u, nonsense)
	case 1:
		r.Peer.PrefixList = "pl-1"
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
	pool := slices.Concat(addresses4, addresses6, strangers)
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
	remotes := slices.Concat(addresses4, strangers[:2])
	if local.Is6() {
		remotes = slices.Concat(addresses6, strangers[2:])
	}
	p.Src, p.Dst = local, pick(u, remotes)
	if d == ruleset.Ingress {
		p.Src, p.Dst = p.Dst, p.Src
	}
	return p
}
