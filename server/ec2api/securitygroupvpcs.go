package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// Groups beyond their own VPC: associated with further ones, named by the rules of peered ones.

func getSecurityGroupsForVpc(
	c *call, in *wire.GetSecurityGroupsForVpcRequest,
) (*wire.GetSecurityGroupsForVpcResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	groups, next, err := s.GetSecurityGroupsForVPC(vpc.VPCGroupQuery{
		VPC:     vpc.VPCID(wire.Value(in.VpcId)),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.GetSecurityGroupsForVpcResult{
		SecurityGroupForVpcs: []wire.SecurityGroupForVpc{}, NextToken: token(next),
	}
	for _, g := range groups {
		w := wire.SecurityGroupForVpc{
			Description: &g.Description, GroupId: text(g.ID), GroupName: &g.Name,
			OwnerId: text(s.Installation().Account), PrimaryVpcId: text(g.VPC), Tags: tagSet(g.Tags),
		}
		if w.Tags == nil {
			w.Tags = []wire.Tag{} // here the element is always there
		}
		out.SecurityGroupForVpcs = append(out.SecurityGroupForVpcs, w)
	}
	return out, nil
}

func associateSecurityGroupVpc(
	c *call, in *wire.AssociateSecurityGroupVpcRequest,
) (*wire.AssociateSecurityGroupVpcResult, error) {
	var state vpc.AssociationState
	err := c.update(func(s *vpc.State) (change vpc.Change, err error) {
		state, change, err = s.AssociateSecurityGroupVPC(
			c.env, vpc.GroupID(wire.Value(in.GroupId)), vpc.VPCID(wire.Value(in.VpcId)))
		return change, err
	})
	return &wire.AssociateSecurityGroupVpcResult{State: text(state)}, err
}

func disassociateSecurityGroupVpc(
	c *call, in *wire.DisassociateSecurityGroupVpcRequest,
) (*wire.DisassociateSecurityGroupVpcResult, error) {
	var state vpc.AssociationState
	err := c.update(func(s *vpc.State) (change vpc.Change, err error) {
		state, change, err = s.DisassociateSecurityGroupVPC(
			c.env, vpc.GroupID(wire.Value(in.GroupId)), vpc.VPCID(wire.Value(in.VpcId)))
		return change, err
	})
	return &wire.DisassociateSecurityGroupVpcResult{State: text(state)}, err
}

func describeSecurityGroupVpcAssociations(
	c *call, in *wire.DescribeSecurityGroupVpcAssociationsRequest,
) (*wire.DescribeSecurityGroupVpcAssociationsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	associations, next, err := s.DescribeSecurityGroupVPCAssociations(c.env, vpc.AssociationQuery{
		Filters: filters(in.Filters), Page: page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupVpcAssociationsResult{
		SecurityGroupVpcAssociations: []wire.SecurityGroupVpcAssociation{}, NextToken: token(next),
	}
	for _, a := range associations {
		out.SecurityGroupVpcAssociations = append(out.SecurityGroupVpcAssociations, groupVpcAssociation(s, a))
	}
	return out, nil
}

func groupVpcAssociation(s *vpc.State, a vpc.AssociatedVPC) wire.SecurityGroupVpcAssociation {
	account := text(s.Installation().Account)
	return wire.SecurityGroupVpcAssociation{
		GroupId: text(a.Group.ID), GroupOwnerId: account,
		VpcId: text(a.VPC), VpcOwnerId: account, State: text(a.State()),
	}
}

func describeSecurityGroupReferences(
	c *call, in *wire.DescribeSecurityGroupReferencesRequest,
) (*wire.DescribeSecurityGroupReferencesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	references, err := s.DescribeSecurityGroupReferences(ids[vpc.GroupID](in.GroupId))
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupReferencesResult{SecurityGroupReferenceSet: []wire.SecurityGroupReference{}}
	for _, r := range references {
		out.SecurityGroupReferenceSet = append(out.SecurityGroupReferenceSet, wire.SecurityGroupReference{
			GroupId: text(r.Group), ReferencingVpcId: text(r.Referring), VpcPeeringConnectionId: text(r.Peering),
		})
	}
	return out, nil
}

func describeStaleSecurityGroups(
	c *call, in *wire.DescribeStaleSecurityGroupsRequest,
) (*wire.DescribeStaleSecurityGroupsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	groups, next, err := s.DescribeStaleSecurityGroups(
		vpc.VPCID(wire.Value(in.VpcId)), page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeStaleSecurityGroupsResult{
		StaleSecurityGroupSet: []wire.StaleSecurityGroup{}, NextToken: token(next),
	}
	for _, g := range groups {
		out.StaleSecurityGroupSet = append(out.StaleSecurityGroupSet, wire.StaleSecurityGroup{
			Description: &g.Group.Description, GroupId: text(g.Group.ID), GroupName: &g.Group.Name,
			StaleIpPermissions:       stalePermissions(s, g.Ingress),
			StaleIpPermissionsEgress: stalePermissions(s, g.Egress),
			VpcId:                    text(g.Group.VPC),
		})
	}
	return out, nil
}

// stalePermissions returns nil for none: the element is absent then. In it only groups are named.
func stalePermissions(s *vpc.State, permissions []vpc.Permission) []wire.StaleIpPermission {
	var out []wire.StaleIpPermission
	for _, p := range permissions {
		w := wire.StaleIpPermission{FromPort: p.From, IpProtocol: text(p.Protocol), ToPort: p.To}
		for _, peer := range p.Peers {
			pair := groupPair(peer)
			if g := s.SecurityGroup(peer.Group); g != nil {
				pair.GroupName = &g.Name // here, other than elsewhere
			}
			w.UserIdGroupPairs = append(w.UserIdGroupPairs, pair)
		}
		out = append(out, w)
	}
	return out
}
