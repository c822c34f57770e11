package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) securityGroupActions() {
	handle(a, wire.CreateSecurityGroup, createSecurityGroup)
	handle(a, wire.DeleteSecurityGroup, deleteSecurityGroup)
	handle(a, wire.DescribeSecurityGroups, describeSecurityGroups)
	handle(a, wire.GetSecurityGroupsForVpc, getSecurityGroupsForVpc)
	handle(a, wire.AssociateSecurityGroupVpc, associateSecurityGroupVpc)
	handle(a, wire.DisassociateSecurityGroupVpc, disassociateSecurityGroupVpc)
	handle(a, wire.DescribeSecurityGroupVpcAssociations, describeSecurityGroupVpcAssociations)
	handle(a, wire.DescribeSecurityGroupReferences, describeSecurityGroupReferences)
	handle(a, wire.DescribeStaleSecurityGroups, describeStaleSecurityGroups)
}

func createSecurityGroup(c *call, in *wire.CreateSecurityGroupRequest) (*wire.CreateSecurityGroupResult, error) {
	var out *wire.CreateSecurityGroupResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		g, change, err := s.CreateSecurityGroup(c.env, vpc.NewSecurityGroup{
			Name:              wire.Value(in.GroupName),
			Description:       wire.Value(in.Description),
			VPC:               vpc.VPCID(wire.Value(in.VpcId)),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
		})
		if err != nil {
			return change, err
		}
		out = &wire.CreateSecurityGroupResult{
			Return:           new(true),
			GroupId:          text(g.ID),
			SecurityGroupArn: text(s.SecurityGroupARN(g)),
			Tags:             tagSet(g.Tags),
		}
		return change, nil
	})
	return out, err
}

func deleteSecurityGroup(c *call, in *wire.DeleteSecurityGroupRequest) (*wire.DeleteSecurityGroupResult, error) {
	var out *wire.DeleteSecurityGroupResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		g, change, err := s.DeleteSecurityGroup(groupRef(in.GroupId, in.GroupName))
		if err != nil {
			return change, err
		}
		out = &wire.DeleteSecurityGroupResult{GroupId: text(g.ID), Return: new(true)}
		return change, nil
	})
	return out, err
}

func groupRef(id, name *string) vpc.GroupRef {
	return vpc.GroupRef{ID: vpc.GroupID(wire.Value(id)), Name: wire.Value(name)}
}

func describeSecurityGroups(
	c *call, in *wire.DescribeSecurityGroupsRequest,
) (*wire.DescribeSecurityGroupsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	groups, next, err := s.DescribeSecurityGroups(vpc.GroupQuery{
		IDs:     ids[vpc.GroupID](in.GroupIds),
		Names:   in.GroupNames,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupsResult{
		SecurityGroups: make([]wire.SecurityGroup, 0, len(groups)), NextToken: token(next),
	}
	for _, g := range groups {
		out.SecurityGroups = append(out.SecurityGroups, securityGroup(s, g))
	}
	return out, nil
}

func securityGroup(s *vpc.State, g *vpc.SecurityGroup) wire.SecurityGroup {
	return wire.SecurityGroup{
		Description:         &g.Description,
		GroupId:             text(g.ID),
		GroupName:           &g.Name,
		IpPermissions:       ipPermissions(s.Permissions(g, false)),
		IpPermissionsEgress: ipPermissions(s.Permissions(g, true)),
		OwnerId:             text(s.Installation().Account),
		SecurityGroupArn:    text(s.SecurityGroupARN(g)),
		Tags:                tagSet(g.Tags),
		VpcId:               text(g.VPC),
	}
}

// ipPermissions never returns nil: EC2 answers an empty element.
func ipPermissions(permissions []vpc.Permission) []wire.IpPermission {
	out := make([]wire.IpPermission, 0, len(permissions))
	for _, p := range permissions {
		w := wire.IpPermission{
			FromPort:         p.From,
			IpProtocol:       text(p.Protocol),
			IpRanges:         []wire.IpRange{},
			Ipv6Ranges:       []wire.Ipv6Range{},
			PrefixListIds:    []wire.PrefixListId{},
			ToPort:           p.To,
			UserIdGroupPairs: []wire.UserIdGroupPair{},
		}
		for i := range p.Peers {
			peer := &p.Peers[i]
			description := text(peer.Description)
			switch {
			case peer.IPv4 != "":
				w.IpRanges = append(w.IpRanges, wire.IpRange{CidrIp: &peer.IPv4, Description: description})
			case peer.IPv6 != "":
				w.Ipv6Ranges = append(w.Ipv6Ranges, wire.Ipv6Range{CidrIpv6: &peer.IPv6, Description: description})
			case peer.PrefixList != "":
				w.PrefixListIds = append(w.PrefixListIds,
					wire.PrefixListId{PrefixListId: text(peer.PrefixList), Description: description})
			default:
				w.UserIdGroupPairs = append(w.UserIdGroupPairs, groupPair(*peer))
			}
		}
		out = append(out, w)
	}
	return out
}

func groupPair(p vpc.PermissionPeer) wire.UserIdGroupPair {
	return wire.UserIdGroupPair{
		Description: text(p.Description), GroupId: text(p.Group), GroupName: text(p.GroupName),
		UserId: text(p.Account), VpcId: text(p.VPC),
		VpcPeeringConnectionId: text(p.Peering), PeeringStatus: text(p.PeeringStatus),
	}
}

func permissions(in []wire.IpPermission) []vpc.Permission {
	out := make([]vpc.Permission, len(in))
	for i, w := range in {
		p := vpc.Permission{Protocol: wire.Value(w.IpProtocol), From: w.FromPort, To: w.ToPort}
		for _, r := range w.IpRanges {
			p.Peers = append(p.Peers, vpc.PermissionPeer{
				IPv4: wire.Value(r.CidrIp), Description: wire.Value(r.Description),
			})
		}
		for _, r := range w.Ipv6Ranges {
			p.Peers = append(p.Peers, vpc.PermissionPeer{
				IPv6: wire.Value(r.CidrIpv6), Description: wire.Value(r.Description),
			})
		}
		for _, l := range w.PrefixListIds {
			p.Peers = append(p.Peers, vpc.PermissionPeer{
				PrefixList: vpc.PrefixListID(wire.Value(l.PrefixListId)), Description: wire.Value(l.Description),
			})
		}
		for _, g := range w.UserIdGroupPairs {
			p.Peers = append(p.Peers, vpc.PermissionPeer{
				Group: vpc.GroupID(wire.Value(g.GroupId)), GroupName: wire.Value(g.GroupName),
				Account: vpc.AccountID(wire.Value(g.UserId)), Description: wire.Value(g.Description),
			})
		}
		out[i] = p
	}
	return out
}
