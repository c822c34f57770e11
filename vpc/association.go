package vpc

import "slices"

// associatedWith reports whether interfaces of that further VPC may carry the group.
func (g *SecurityGroup) associatedWith(v VPCID) bool {
	return slices.ContainsFunc(g.Associations, func(a GroupAssociation) bool {
		return a.VPC == v && a.Ended.IsZero()
	})
}

// canCarry reports whether interfaces of a VPC may carry a group: it is one of the VPC's own, or is
// associated with it.
func (*State) canCarry(v VPCID, g *SecurityGroup) bool {
	return g.VPC == v || g.associatedWith(v)
}
