package ruleset_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// A rule that names a group allows what the group's interfaces send that are in the domain of the
// interface, and a rule that clients are shown as stale allows nothing; however VPCs are peered and
// groups associated.
func TestStaleRulesMatchNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	stale, allowed := 0, 0
	for range 200 {
		s, groups, enis := joinedState(r)
		for _, g := range groups {
			if s.Reference(g, g.Rules[0]).Stale {
				stale++
			}
		}
		view := ruleset.ResolveInterfaces(s, slices.Values(enis))
		for _, e := range enis {
			for _, from := range enis {
				if e == from {
					continue
				}
				want := false
				for _, id := range e.Groups {
					g := s.SecurityGroup(id)
					near := from.VPC == e.VPC || slices.Contains(slices.Collect(s.ActivePeers(e.VPC)), from.VPC)
					if matches := near && slices.Contains(from.Groups, g.Rules[0].Peer.Group); matches {
						want = true
						if ref := s.Reference(g, g.Rules[0]); ref.Stale {
							t.Errorf("%s in %s: %+v matches %s of %s", g.ID, e.VPC, ref, from.ID, from.VPC)
						}
					}
				}
				v := ruleset.Evaluate(view, e.ID, ruleset.Ingress, ruleset.Packet{Src: from.IPv4[0], Dst: e.IPv4[0], Protocol: 17})
				if got := v.Action == ruleset.Allow; got != want {
					t.Errorf("%s to %s: got %+v, want allowed %t", from.ID, e.ID, v, want)
				}
				if want {
					allowed++
				}
			}
		}
	}
	if stale < 100 || allowed < 100 {
		t.Errorf("%d stale rules and %d packets that pass show little", stale, allowed)
	}
}

// joinedState has a few VPCs, some of them peered, groups that are associated with some, each with one
// rule that names a group, and interfaces that carry what they may.
func joinedState(r *rand.Rand) (*vpc.State, []*vpc.SecurityGroup, []*vpc.NetworkInterface) {
	puts := []vpc.Object{&vpc.Installation{Account: "123456789012"}}
	aVPC := func() vpc.VPCID { return vpc.VPCID(fmt.Sprint("vpc-0000000", r.IntN(4))) }
	for i := range 4 {
		puts = append(puts, &vpc.VPC{ID: vpc.VPCID(fmt.Sprint("vpc-0000000", i))})
		for j := range i {
			if r.IntN(2) == 0 {
				puts = append(puts, &vpc.PeeringConnection{
					ID:        vpc.PeeringID(fmt.Sprintf("pcx-%d%d", i, j)),
					Requester: vpc.VPCID(fmt.Sprint("vpc-0000000", i)), Accepter: vpc.VPCID(fmt.Sprint("vpc-0000000", j)),
					Status: []vpc.PeeringStatus{vpc.PeeringActive, vpc.PeeringDeleted}[r.IntN(2)],
				})
			}
		}
	}
	groups := make([]*vpc.SecurityGroup, 6)
	for i := range groups {
		groups[i] = &vpc.SecurityGroup{ID: vpc.GroupID(fmt.Sprint("sg-", i)), VPC: aVPC()}
		if v := aVPC(); v != groups[i].VPC && r.IntN(2) == 0 {
			groups[i].Associations = []vpc.GroupAssociation{{VPC: v}}
		}
		puts = append(puts, groups[i])
	}
	for i, g := range groups {
		peer := groups[r.IntN(len(groups))]
		g.Rules = []vpc.Rule{{
			ID: vpc.RuleID(fmt.Sprint("sgr-", i)), Number: uint32(i + 1), Protocol: vpc.AllProtocols, From: -1, To: -1,
			Peer: vpc.Peer{Group: peer.ID},
		}}
		if peer.VPC != g.VPC {
			g.Rules[0].PeerVPC = peer.VPC
		}
	}
	s := new(vpc.State).Apply(vpc.Change{Puts: puts}, 1)
	var enis []*vpc.NetworkInterface
	for i := range 8 {
		e := &vpc.NetworkInterface{ID: vpc.InterfaceID(fmt.Sprint("eni-", i)), VPC: aVPC(), SourceDestCheck: true}
		e.IPv4 = []netip.Addr{netip.AddrFrom4([4]byte{10, e.VPC[len(e.VPC)-1] - '0', 0, byte(4 + i)})}
		may, _, err := s.GetSecurityGroupsForVPC(vpc.VPCGroupQuery{VPC: e.VPC})
		if err != nil {
			panic(err)
		}
		if len(may) == 0 {
			continue
		}
		e.Groups = []vpc.GroupID{may[r.IntN(len(may))].ID}
		if more := may[r.IntN(len(may))].ID; more != e.Groups[0] {
			e.Groups = append(e.Groups, more)
		}
		enis = append(enis, e)
		s = s.Apply(vpc.Change{Puts: []vpc.Object{e}}, 1)
	}
	return s, groups, enis
}
