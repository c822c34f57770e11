package vpc

import "slices"

// A rule may name a group of its own VPC, of a VPC that is peered with it, and of one that shares a
// VPC with it by an association. When what joined them ends the rule stays, stale: it matches nobody,
// counts for the quota, and works again once they are joined again. Inside one VPC there is no stale
// rule, since a group that is named there cannot be deleted. Source: VPC peering guide, "Identify and
// delete stale security group rules".

// activePeering returns the active peering connection of two VPCs, nil if there is none.
func (s *State) activePeering(a, b VPCID) *PeeringConnection {
	for p := range s.PeeringsOfVPC(a) {
		if p.Status == PeeringActive && p.Other(a) == b {
			return p
		}
	}
	return nil
}

// shareVPC reports whether there is a VPC whose interfaces may carry both groups.
func shareVPC(a, b *SecurityGroup) bool {
	return b.reaches(a.VPC) || slices.ContainsFunc(a.Associations, func(with GroupAssociation) bool {
		return with.Ended.IsZero() && b.reaches(with.VPC)
	})
}

// Reference is what is known of the group that a rule names.
type Reference struct {
	Group         GroupID
	Name          string    // "": the group is gone
	Account       AccountID // "": the group is gone
	VPC           VPCID     // "": that of the rule's own group
	Peering       PeeringID // "": none joins the VPCs, and none did
	PeeringStatus PeeringStatus
	Stale         bool
}

// Reference returns what is known of the group that a rule of g names; the rule's peer is a group.
func (s *State) Reference(g *SecurityGroup, r Rule) Reference {
	out := Reference{Group: r.Peer.Group, VPC: r.PeerVPC}
	named := s.SecurityGroup(r.Peer.Group)
	if named != nil {
		out.Name, out.Account = named.Name, s.Installation().Account
	}
	if r.PeerVPC == "" {
		return out
	}
	pcx := s.activePeering(g.VPC, r.PeerVPC)
	out.Stale = named == nil || pcx == nil && !shareVPC(g, named)
	if pcx == nil {
		pcx = s.Peering(r.Peering)
	}
	switch {
	case pcx != nil:
		out.Peering, out.PeeringStatus = pcx.ID, pcx.Status
	case r.Peering != "": // it ended so long ago that it is forgotten
		out.Peering, out.PeeringStatus = r.Peering, PeeringDeleted
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
			if other.VPC == g.VPC {
				continue
			}
			if pcx := s.activePeering(g.VPC, other.VPC); pcx != nil {
				if ref := (GroupReference{g.ID, other.VPC, pcx.ID}); !slices.Contains(out, ref) {
					out = append(out, ref)
				}
			}
		}
	}
	return out, nil
}
