package ruleset_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestJudgeEqualsTables: one that was made for many packets judges each as the tables do.
func TestJudgeEqualsTables(t *testing.T) {
	allowed := 0
	const universes = 300
	for seed := range uint64(universes) {
		u := newUniverse(seed)
		s := u.state()
		for _, host := range hosts {
			v := ruleset.Resolve(s, host)
			tables, members := new(ruleset.Compiler).Compile(v)
			type question struct {
				eni       vpc.InterfaceID
				direction ruleset.Direction
				packet    ruleset.Packet
			}
			var questions []question
			var remotes []netip.Addr
			for _, id := range slices.Sorted(maps.Keys(v.ENIs)) {
				for range 40 {
					q := question{id, pick(u, directions), ruleset.Packet{}}
					q.packet = u.packetAt(v.ENIs[id], q.direction)
					remote := q.packet.Src
					if q.direction == ruleset.Egress {
						remote = q.packet.Dst
					}
					questions, remotes = append(questions, q), append(remotes, remote)
				}
			}
			judge := ruleset.NewJudge(tables, members, remotes)
			for _, q := range questions {
				got, want := judge.Judge(q.eni, q.direction, q.packet), tables.Judge(members, q.eni, q.direction, q.packet)
				if got != want {
					t.Fatalf("seed %d: %+v = %+v, want %+v", seed, q, got, want)
				}
				if got.Action == ruleset.Allow {
					allowed++
				}
			}
		}
	}
	if allowed < 10*universes {
		t.Errorf("only %d packets were allowed in %d universes: they prove little", allowed, universes)
	}
}

// A full connection table and very many members are judged in a moment: one by the other would be minutes.
func TestJudgeIsFast(t *testing.T) {
	const members, connections = 200_000, 40_000
	const eni, group, peer = vpc.InterfaceID("eni-1"), vpc.GroupID("sg-1"), vpc.GroupID("sg-2")
	address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }
	own := netip.MustParseAddr("192.0.2.1")
	v := &ruleset.View{
		ENIs:    map[vpc.InterfaceID]ruleset.ENI{eni: {ID: eni, Domain: "vpc-1", Addresses: []netip.Addr{own}, Groups: []vpc.GroupID{group}}},
		Groups:  map[vpc.GroupID]ruleset.Group{group: {ID: group, Rules: []vpc.Rule{{ID: "sgr-1", Number: 1, Protocol: vpc.TCP, From: 22, To: 22, Peer: vpc.Peer{Group: peer}}}}},
		Members: map[vpc.InterfaceID]ruleset.Member{},
	}
	for n := range 1000 {
		v.Groups[group] = ruleset.Group{ID: group, Rules: append(v.Groups[group].Rules, vpc.Rule{
			ID: vpc.RuleID(fmt.Sprint("sgr-", n+2)), Number: uint32(n + 2), Protocol: vpc.TCP, From: 22, To: 22,
			Peer: vpc.Peer{CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(n >> 8), byte(n)}), 32)},
		})}
	}
	for n := range members {
		id := vpc.InterfaceID(fmt.Sprint("eni-", n+2))
		v.Members[id] = ruleset.Member{ID: id, Domains: []vpc.VPCID{"vpc-1"}, Addresses: []netip.Addr{address(n)}, Groups: []vpc.GroupID{peer}}
	}
	tables, ms := new(ruleset.Compiler).Compile(v)
	remotes := make([]netip.Addr, connections)
	for n := range remotes {
		remotes[n] = address(2 * members / connections * n) // every other is no member
	}
	start, allowed := time.Now(), 0
	judge := ruleset.NewJudge(tables, ms, remotes)
	for _, a := range remotes {
		if judge.Judge(eni, ruleset.Ingress, ruleset.Packet{Src: a, Dst: own, Protocol: 6, DstPort: 22}).Action == ruleset.Allow {
			allowed++
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%d connections took %s", connections, took)
	}
	if want := connections / 2; allowed != want {
		t.Errorf("%d are allowed, want %d", allowed, want)
	}
}
