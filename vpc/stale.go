package vpc

import (
	"iter"
	"slices"
)

// A rule may name a group whose members can be in reach of its own group's: both are carried in one VPC,
// or in VPCs that are peered. When what joined them ends the rule stays, stale: it matches nobody, counts
// for the quota, and works again once they are joined again. Inside one VPC there is no stale rule, since
// a group that is named there cannot be deleted. Source: VPC peering guide, "Identify and delete stale
// security group rules".

// reach yields the VPCs whose interfaces may carry the group, its own first.
func (g *SecurityGroup) reach() iter.Seq[VPCID] {
	return func(yield func(VPCID) bool) {
		if !yield(g.VPC) {
			return
		}
		for _, a := range g.Associations {
			if a.Ended.IsZero() && !yield(a.VPC) {
				return
			}
		}
	}
}

// shareVPC reports whether there is a VPC whose interfaces may carry both groups.
func shareVPC(a, b *SecurityGroup) bool {
	for v := range a.reach() {
		if b.reaches(v) {
			return true
		}
	}
	return false
}

// activePeering returns the active peering connection of two VPCs, nil if there is none.
func (s *State) activePeering(a, b VPCID) *PeeringConnection {
	for p := range s.PeeringsOfVPC(a) {
		if p.Status == PeeringActive && p.Other(a) == b {
			return p
		}
	}
	return nil
}

// peering returns an active peering connection from a VPC that carries g to one of the others, nil if
// there is none.
func (s *State) peering(g *SecurityGroup, others iter.Seq[VPCID]) *PeeringConnection {
	for mine := range g.reach() {
		for other := range others {
			if p := s.activePeering(mine, other); p != nil {
				return p
			}
		}
	}
	return nil
}

// Reference is what is known of the group that a rule names.
type Reference struct {
	Group         GroupID
	Account       AccountID // "": a peer's group, that is gone
	VPC           VPCID     // "": that of the rule's own group
	Peering       PeeringID // "": none joins the VPCs, and none did
	PeeringStatus PeeringStatus
	Stale         bool
}

// Reference returns what is known of the group that a rule of g names; the rule's peer is a group.
func (s *State) Reference(g *SecurityGroup, r Rule) Reference {
	out := Reference{Group: r.Peer.Group, Account: s.Installation().Account, VPC: r.PeerVPC}
	if r.PeerVPC == "" { // it pins the group
		return out
	}
	var pcx *PeeringConnection
	named := s.SecurityGroup(r.Peer.Group)
	if named == nil {
		pcx = s.peering(g, slices.Values([]VPCID{r.PeerVPC}))
		out.Stale = true
	} else {
		pcx = s.peering(g, named.reach())
		out.Stale = pcx == nil && !shareVPC(g, named)
	}
	if pcx == nil {
		pcx = s.Peering(r.Peering)
	}
	switch {
	case pcx != nil:
		out.Peering, out.PeeringStatus = pcx.ID, pcx.Status
	case r.Peering != "": // it ended so long ago that it is forgotten
		out.Peering, out.PeeringStatus = r.Peering, PeeringDeleted
	}
	if named == nil && out.Peering != "" { // clients that see no connection rely on the account
		out.Account = ""
	}
	return out
}

func (s *State) stale(g *SecurityGroup, r Rule) bool {
	return r.PeerVPC != "" && s.Reference(g, r).Stale
}

// StaleGroup is a group with its stale rules.
type StaleGroup struct {
	Group           *SecurityGroup
	Ingress, Egress []Permission
}

// DescribeStaleSecurityGroups returns the groups of a VPC that have stale rules, in order of creation,
// and the token of the next page.
func (s *State) DescribeStaleSecurityGroups(id VPCID, page Page) ([]StaleGroup, string, error) {
	v, err := s.findVPC(id)
	if err != nil {
		return nil, "", err
	}
	var out []StaleGroup
	for g := range s.GroupsOfVPC(v.ID) {
		in := func(egress bool) []Permission {
			return s.permissions(g, func(r Rule) bool { return r.Egress == egress && s.stale(g, r) })
		}
		if stale := (StaleGroup{g, in(false), in(true)}); len(stale.Ingress)+len(stale.Egress) > 0 {
			out = append(out, stale)
		}
	}
	key := func(g StaleGroup) string { return createdKey(g.Group.Created, g.Group.ID) }
	return paginate(out, "stale-security-group "+string(v.ID), key, page)
}

// GroupReference is a group, and a peered VPC with a rule that names it.
type GroupReference struct {
	Group     GroupID
	Referring VPCID
	Peering   PeeringID
}

// DescribeSecurityGroupReferences returns the VPCs at the other end of a peering connection that have
// rules which name the groups, each once per group. An unknown group fails the whole call.
func (s *State) DescribeSecurityGroupReferences(ids []GroupID) ([]GroupReference, error) {
	if len(ids) == 0 {
		return nil, errMissing("groupId")
	}
	var out []GroupReference
	for _, id := range ids {
		g, err := s.findGroup(id)
		if err != nil {
			return nil, err
		}
		for other := range s.GroupsReferencing(g.ID) {
			for v := range other.reach() {
				if pcx := s.activePeering(g.VPC, v); pcx != nil {
					if ref := (GroupReference{g.ID, v, pcx.ID}); !slices.Contains(out, ref) {
						out = append(out, ref)
					}
				}
			}
		}
	}
	return out, nil
}
