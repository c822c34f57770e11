package vpc

import (
	"slices"
	"time"
)

// associatedWith reports whether interfaces of that further VPC may carry the group.
func (g *SecurityGroup) associatedWith(v VPCID) bool {
	return slices.ContainsFunc(g.Associations, func(a GroupAssociation) bool {
		return a.VPC == v && a.Ended.IsZero()
	})
}

// reaches reports whether interfaces of a VPC may carry the group: it is the group's own, or one that
// it is associated with.
func (g *SecurityGroup) reaches(v VPCID) bool { return g.VPC == v || g.associatedWith(v) }

// AssociationState is EC2's name of what became of an association.
type AssociationState string

// The states of an association. The answers of the calls say what goes on, though it is done by then:
// clients wait for the state that follows.
const (
	Associating    AssociationState = "associating"
	Associated     AssociationState = "associated"
	Disassociating AssociationState = "disassociating"
	Disassociated  AssociationState = "disassociated"
)

// AssociateSecurityGroupVPC lets interfaces of a further VPC carry a group. Neither a default group
// can be associated, nor the default VPC take part. Source: EC2 API reference, AssociateSecurityGroupVpc.
func (s *State) AssociateSecurityGroupVPC(env Env, group GroupID, with VPCID) (AssociationState, Change, error) {
	fail := func(err error) (AssociationState, Change, error) { return "", Change{}, err }
	g, v, err := s.groupAndVPC(group, with)
	if err != nil {
		return fail(err)
	}
	own := s.VPC(g.VPC)
	switch {
	case g.Name == defaultGroupName:
		return fail(Errorf(CodeInvalidParameterValue,
			"The security group '%s' is a default security group and cannot be associated with another VPC.", g.ID))
	case v.IsDefault || own != nil && own.IsDefault:
		return fail(Errorf(CodeInvalidParameterValue,
			"Security groups cannot be associated with a default VPC, nor can those of a default VPC with another VPC."))
	case g.VPC == v.ID:
		return fail(Errorf(CodeInvalidParameterValue,
			"The security group '%s' belongs to the VPC '%s' already.", g.ID, v.ID))
	case g.associatedWith(v.ID):
		return fail(Errorf(CodeInvalidParameterValue,
			"The security group '%s' is already associated with the VPC '%s'.", g.ID, v.ID))
	}
	d := s.draft()
	d.reassociate(env, g, GroupAssociation{VPC: v.ID, Created: env.Now})
	return Associating, d.change(), nil
}

// DisassociateSecurityGroupVPC ends an association that no interface needs. Rules that it had joined
// become stale.
func (s *State) DisassociateSecurityGroupVPC(env Env, group GroupID, from VPCID) (AssociationState, Change, error) {
	fail := func(err error) (AssociationState, Change, error) { return "", Change{}, err }
	g, v, err := s.groupAndVPC(group, from)
	if err != nil {
		return fail(err)
	}
	n := slices.IndexFunc(g.Associations, func(a GroupAssociation) bool { return a.VPC == v.ID && a.Ended.IsZero() })
	if n < 0 {
		return fail(Errorf(CodeInvalidParameterValue,
			"The security group '%s' is not associated with the VPC '%s'.", g.ID, v.ID))
	}
	for e := range s.InterfacesOfGroup(g.ID) {
		if e.VPC == v.ID {
			return fail(errDependentObject(g.ID))
		}
	}
	d := s.draft()
	ended := g.Associations[n]
	ended.Ended = env.Now
	d.reassociate(env, g, ended)
	return Disassociating, d.change(), nil
}

func (s *State) groupAndVPC(group GroupID, id VPCID) (*SecurityGroup, *VPC, error) {
	g, err := s.findGroup(group)
	if err != nil {
		return nil, nil, err
	}
	v, err := s.findVPC(id)
	return g, v, err
}

// reassociate puts the group with a in place of what it has of that VPC, and forgets what ended long
// ago.
func (d *draft) reassociate(env Env, g *SecurityGroup, a GroupAssociation) {
	c := *g
	c.Associations = nil
	for _, old := range g.Associations {
		if old.VPC != a.VPC && !old.forgotten(env.Now) {
			c.Associations = append(c.Associations, old)
		}
	}
	c.Associations = append(c.Associations, a)
	d.put(&c)
}

// endedFor is how long an association stays visible that ended. EC2 does not say for how long.
const endedFor = time.Hour

func (a GroupAssociation) forgotten(now time.Time) bool {
	return !a.Ended.IsZero() && now.Sub(a.Ended) > endedFor
}

// AssociatedVPC is an association with the group that it is of.
type AssociatedVPC struct {
	Group *SecurityGroup
	GroupAssociation
}

// State returns associated or disassociated.
func (a AssociatedVPC) State() AssociationState {
	if a.Ended.IsZero() {
		return Associated
	}
	return Disassociated
}

// AssociationQuery selects associations: all that pass the filters.
type AssociationQuery struct {
	Filters []Filter
	Page    Page
}

// DescribeSecurityGroupVPCAssociations returns the associations in order of creation, those that ended
// a short while ago too, and the token of the next page.
func (s *State) DescribeSecurityGroupVPCAssociations(env Env, q AssociationQuery) ([]AssociatedVPC, string, error) {
	where, err := associationFields.Where(s, q.Filters, nil)
	if err != nil {
		return nil, "", err
	}
	var out []AssociatedVPC
	for g := range s.SecurityGroups() {
		for _, a := range g.Associations {
			if of := (AssociatedVPC{g, a}); !a.forgotten(env.Now) && where(of) {
				out = append(out, of)
			}
		}
	}
	key := func(a AssociatedVPC) string { return createdKey(a.Created, a.Group.ID) + " " + string(a.VPC) }
	return paginate(out, "security-group-vpc-association", key, q.Page)
}

// associationFields are the filters of DescribeSecurityGroupVpcAssociations.
var associationFields = Fields[AssociatedVPC]{
	"group-id":       func(_ *State, a AssociatedVPC) []string { return []string{string(a.Group.ID)} },
	"group-owner-id": owner[AssociatedVPC],
	"state":          func(_ *State, a AssociatedVPC) []string { return []string{string(a.State())} },
	"vpc-id":         func(_ *State, a AssociatedVPC) []string { return []string{string(a.VPC)} },
	"vpc-owner-id":   owner[AssociatedVPC],
}

// VPCGroupQuery selects the groups that interfaces of a VPC may carry, of those that pass the filters.
type VPCGroupQuery struct {
	VPC     VPCID
	Filters []Filter
	Page    Page
}

// GetSecurityGroupsForVPC returns the groups that interfaces of a VPC may carry, in order of creation,
// and the token of the next page.
func (s *State) GetSecurityGroupsForVPC(q VPCGroupQuery) ([]*SecurityGroup, string, error) {
	v, err := s.findVPC(q.VPC)
	if err != nil {
		return nil, "", err
	}
	where, err := vpcGroupFields.Where(s, q.Filters, nil)
	if err != nil {
		return nil, "", err
	}
	groups := slices.AppendSeq(slices.Collect(s.GroupsOfVPC(v.ID)), s.GroupsAssociatedWith(v.ID))
	groups = slices.DeleteFunc(groups, func(g *SecurityGroup) bool { return !where(g) })
	key := func(g *SecurityGroup) string { return createdKey(g.Created, g.ID) }
	return paginate(groups, "security-group-for-vpc "+string(v.ID), key, q.Page)
}

// vpcGroupFields are the filters of GetSecurityGroupsForVpc.
var vpcGroupFields = Fields[*SecurityGroup]{
	"description":    groupFields["description"],
	"group-id":       groupFields["group-id"],
	"group-name":     groupFields["group-name"],
	"owner-id":       groupFields["owner-id"],
	"primary-vpc-id": groupFields["vpc-id"],
}
