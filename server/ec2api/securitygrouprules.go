package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) securityGroupRuleActions() {
	handle(a, wire.AuthorizeSecurityGroupIngress, authorizeIngress)
	handle(a, wire.AuthorizeSecurityGroupEgress, authorizeEgress)
	handle(a, wire.RevokeSecurityGroupIngress, revokeIngress)
	handle(a, wire.RevokeSecurityGroupEgress, revokeEgress)
	handle(a, wire.DescribeSecurityGroupRules, describeSecurityGroupRules)
	handle(a, wire.ModifySecurityGroupRules, modifySecurityGroupRules)
	handle(a, wire.UpdateSecurityGroupRuleDescriptionsIngress, updateDescriptionsIngress)
	handle(a, wire.UpdateSecurityGroupRuleDescriptionsEgress, updateDescriptionsEgress)
}

func authorizeIngress(
	c *call, in *wire.AuthorizeSecurityGroupIngressRequest,
) (*wire.AuthorizeSecurityGroupIngressResult, error) {
	rules, err := authorize(c, vpc.NewRules{
		Group:       groupRef(in.GroupId, in.GroupName),
		Permissions: permissions(in.IpPermissions),
		Flat: flat(in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp,
			in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId),
		TagSpecifications: tagSpecifications(in.TagSpecifications),
	})
	return &wire.AuthorizeSecurityGroupIngressResult{Return: new(true), SecurityGroupRules: rules}, err
}

func authorizeEgress(
	c *call, in *wire.AuthorizeSecurityGroupEgressRequest,
) (*wire.AuthorizeSecurityGroupEgressResult, error) {
	rules, err := authorize(c, vpc.NewRules{
		Group:       groupRef(in.GroupId, nil),
		Egress:      true,
		Permissions: permissions(in.IpPermissions),
		Flat: flat(in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp,
			in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId),
		TagSpecifications: tagSpecifications(in.TagSpecifications),
	})
	return &wire.AuthorizeSecurityGroupEgressResult{Return: new(true), SecurityGroupRules: rules}, err
}

// flat collects the members of the older form, which four requests have.
func flat(protocol *string, from, to *int32, cidr, groupName, groupOwner *string) vpc.FlatPermission {
	return vpc.FlatPermission{
		Protocol: wire.Value(protocol), From: from, To: to, CIDR: wire.Value(cidr),
		GroupName: wire.Value(groupName), GroupAccount: vpc.AccountID(wire.Value(groupOwner)),
	}
}

func authorize(c *call, in vpc.NewRules) ([]wire.SecurityGroupRule, error) {
	var out []wire.SecurityGroupRule
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		g, rules, change, err := s.AuthorizeSecurityGroup(c.env, in)
		out = nil
		for _, r := range rules {
			out = append(out, securityGroupRule(s, vpc.GroupRule{Group: g, Rule: r}))
		}
		return change, err
	})
	return out, err
}

func revokeIngress(
	c *call, in *wire.RevokeSecurityGroupIngressRequest,
) (*wire.RevokeSecurityGroupIngressResult, error) {
	revoked, unknown, err := revoke(c, vpc.OldRules{
		Group:       groupRef(in.GroupId, in.GroupName),
		Rules:       ids[vpc.RuleID](in.SecurityGroupRuleIds),
		Permissions: permissions(in.IpPermissions),
		Flat: flat(in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp,
			in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId),
	})
	return &wire.RevokeSecurityGroupIngressResult{
		Return: new(true), RevokedSecurityGroupRules: revoked, UnknownIpPermissions: unknown,
	}, err
}

func revokeEgress(
	c *call, in *wire.RevokeSecurityGroupEgressRequest,
) (*wire.RevokeSecurityGroupEgressResult, error) {
	revoked, unknown, err := revoke(c, vpc.OldRules{
		Group:       groupRef(in.GroupId, nil),
		Egress:      true,
		Rules:       ids[vpc.RuleID](in.SecurityGroupRuleIds),
		Permissions: permissions(in.IpPermissions),
		Flat: flat(in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp,
			in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId),
	})
	return &wire.RevokeSecurityGroupEgressResult{
		Return: new(true), RevokedSecurityGroupRules: revoked, UnknownIpPermissions: unknown,
	}, err
}

func revoke(c *call, in vpc.OldRules) (
	revoked []wire.RevokedSecurityGroupRule, unknown []wire.IpPermission, err error,
) {
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		out, change, err := s.RevokeSecurityGroup(in)
		if err != nil {
			return change, err
		}
		revoked = []wire.RevokedSecurityGroupRule{}
		for _, r := range out.Rules {
			revoked = append(revoked, revokedRule(out.Group, r))
		}
		unknown = nil
		if len(out.Unknown) > 0 { // otherwise the element is absent
			unknown = ipPermissions(out.Unknown)
		}
		return change, nil
	})
	return revoked, unknown, err
}

func modifySecurityGroupRules(
	c *call, in *wire.ModifySecurityGroupRulesRequest,
) (*wire.ModifySecurityGroupRulesResult, error) {
	updates := ruleUpdates(in.SecurityGroupRules)
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifySecurityGroupRules(vpc.GroupID(wire.Value(in.GroupId)), updates)
	})
	return &wire.ModifySecurityGroupRulesResult{Return: new(true)}, err
}

func ruleUpdates(in []wire.SecurityGroupRuleUpdate) (updates []vpc.RuleUpdate) {
	for _, u := range in {
		to := u.SecurityGroupRule
		if to == nil {
			to = new(wire.SecurityGroupRuleRequest)
		}
		updates = append(updates, vpc.RuleUpdate{
			Rule:     vpc.RuleID(wire.Value(u.SecurityGroupRuleId)),
			Protocol: wire.Value(to.IpProtocol), From: to.FromPort, To: to.ToPort,
			IPv4: wire.Value(to.CidrIpv4), IPv6: wire.Value(to.CidrIpv6),
			PrefixList:  vpc.PrefixListID(wire.Value(to.PrefixListId)),
			Group:       vpc.GroupID(wire.Value(to.ReferencedGroupId)),
			Description: wire.Value(to.Description),
		})
	}
	return updates
}

func updateDescriptionsIngress(
	c *call, in *wire.UpdateSecurityGroupRuleDescriptionsIngressRequest,
) (*wire.UpdateSecurityGroupRuleDescriptionsIngressResult, error) {
	err := c.updateDescriptions(vpc.NewDescriptions{
		Group:       groupRef(in.GroupId, in.GroupName),
		Rules:       ruleDescriptions(in.SecurityGroupRuleDescriptions),
		Permissions: permissions(in.IpPermissions),
	})
	return &wire.UpdateSecurityGroupRuleDescriptionsIngressResult{Return: new(true)}, err
}

func updateDescriptionsEgress(
	c *call, in *wire.UpdateSecurityGroupRuleDescriptionsEgressRequest,
) (*wire.UpdateSecurityGroupRuleDescriptionsEgressResult, error) {
	err := c.updateDescriptions(vpc.NewDescriptions{
		Group:       groupRef(in.GroupId, in.GroupName),
		Egress:      true,
		Rules:       ruleDescriptions(in.SecurityGroupRuleDescriptions),
		Permissions: permissions(in.IpPermissions),
	})
	return &wire.UpdateSecurityGroupRuleDescriptionsEgressResult{Return: new(true)}, err
}

func (c *call) updateDescriptions(in vpc.NewDescriptions) error {
	return c.update(func(s *vpc.State) (vpc.Change, error) { return s.UpdateSecurityGroupRuleDescriptions(in) })
}

func ruleDescriptions(in []wire.SecurityGroupRuleDescription) []vpc.RuleDescription {
	out := make([]vpc.RuleDescription, len(in))
	for i, w := range in {
		out[i] = vpc.RuleDescription{
			Rule: vpc.RuleID(wire.Value(w.SecurityGroupRuleId)), Description: wire.Value(w.Description),
		}
	}
	return out
}

func describeSecurityGroupRules(
	c *call, in *wire.DescribeSecurityGroupRulesRequest,
) (*wire.DescribeSecurityGroupRulesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	rules, next, err := s.DescribeSecurityGroupRules(vpc.RuleQuery{
		IDs:     ids[vpc.RuleID](in.SecurityGroupRuleIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupRulesResult{
		SecurityGroupRules: []wire.SecurityGroupRule{}, NextToken: token(next),
	}
	for _, r := range rules {
		w := securityGroupRule(s, r)
		if w.Tags == nil {
			w.Tags = []wire.Tag{} // here, other than in the answer of Authorize, the element is always there
		}
		out.SecurityGroupRules = append(out.SecurityGroupRules, w)
	}
	return out, nil
}

func securityGroupRule(s *vpc.State, gr vpc.GroupRule) wire.SecurityGroupRule {
	account := text(s.Installation().Account)
	r := gr.Rule
	w := wire.SecurityGroupRule{
		Description:          text(r.Description),
		FromPort:             &r.From,
		GroupId:              text(gr.Group.ID),
		GroupOwnerId:         account,
		IpProtocol:           text(r.Protocol.String()),
		IsEgress:             &r.Egress,
		PrefixListId:         text(r.Peer.PrefixList),
		SecurityGroupRuleArn: text(s.RuleARN(r)),
		SecurityGroupRuleId:  text(r.ID),
		Tags:                 tagSet(r.Tags),
		ToPort:               &r.To,
	}
	w.CidrIpv4, w.CidrIpv6 = cidrs(r.Peer)
	if r.Peer.Group != "" {
		named := s.Reference(gr.Group, r)
		w.ReferencedGroupInfo = &wire.ReferencedSecurityGroup{
			GroupId: text(named.Group), UserId: text(named.Account), VpcId: text(named.VPC),
			VpcPeeringConnectionId: text(named.Peering), PeeringStatus: text(named.PeeringStatus),
		}
	}
	return w
}

func revokedRule(g *vpc.SecurityGroup, r vpc.Rule) wire.RevokedSecurityGroupRule {
	w := wire.RevokedSecurityGroupRule{
		Description:         text(r.Description),
		FromPort:            &r.From,
		GroupId:             text(g.ID),
		IpProtocol:          text(r.Protocol.String()),
		IsEgress:            &r.Egress,
		PrefixListId:        text(r.Peer.PrefixList),
		ReferencedGroupId:   text(r.Peer.Group),
		SecurityGroupRuleId: text(r.ID),
		ToPort:              &r.To,
	}
	w.CidrIpv4, w.CidrIpv6 = cidrs(r.Peer)
	return w
}

// cidrs returns the CIDR of a peer in the member of its family.
func cidrs(p vpc.Peer) (ipv4, ipv6 *string) {
	switch {
	case !p.CIDR.IsValid():
		return nil, nil
	case p.CIDR.Addr().Is4():
		return text(p.CIDR.String()), nil
	default:
		return nil, text(p.CIDR.String())
	}
}
