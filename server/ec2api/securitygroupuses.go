package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// Who uses a group, and another one in its place.

func (a *api) securityGroupUseActions() {
	handle(a, wire.DescribeSecurityGroupUses, describeSecurityGroupUses)
	handle(a, wire.ReplaceSecurityGroup, replaceSecurityGroup)
}

func describeSecurityGroupUses(
	c *call, in *wire.DescribeSecurityGroupUsesRequest,
) (*wire.DescribeSecurityGroupUsesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	groups, next, err := s.SecurityGroupUses(c.env, vpc.UsesQuery{
		Groups: ids[vpc.GroupID](in.GroupIds),
		Most:   in.MaxUses,
		Page:   page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupUsesResult{NextToken: token(next)}
	for _, g := range groups {
		out.SecurityGroupUses = append(out.SecurityGroupUses, securityGroupUses(s, g))
	}
	return out, nil
}

func securityGroupUses(s *vpc.State, u vpc.GroupUses) wire.SecurityGroupUses {
	w := wire.SecurityGroupUses{
		Deletable: new(len(u.Blockers) == 0), GroupId: text(u.Group.ID), GroupName: &u.Group.Name, VpcId: text(u.Group.VPC),
		NetworkInterfaceCount: new(int32(u.InterfaceCount)), RuleCount: new(int32(u.RuleCount)),
	}
	for _, b := range u.Blockers {
		w.Blockers = append(w.Blockers, wire.DeleteBlocker{
			Type: text(b.Kind), Code: text(b.Refusal.Code), Message: &b.Refusal.Message,
			Count: new(int32(b.Count)), ResourceIds: b.IDs,
		})
	}
	for _, e := range u.Interfaces {
		w.NetworkInterfaces = append(w.NetworkInterfaces, groupUseInterface(s, e))
	}
	for _, r := range u.Rules {
		rule := securityGroupRule(s, r.GroupRule)
		w.Rules = append(w.Rules, wire.SecurityGroupUseRule{
			Blocks: &r.Blocks, Stale: &r.Stale, GroupName: &r.Group.Name, VpcId: text(r.Group.VPC), Rule: &rule,
		})
	}
	for _, a := range u.Associations {
		w.VpcAssociations = append(w.VpcAssociations, groupVpcAssociation(s, a))
	}
	return w
}

func groupUseInterface(s *vpc.State, e *vpc.NetworkInterface) wire.SecurityGroupUseInterface {
	w := wire.SecurityGroupUseInterface{
		BoundState: new("unbound"), Description: text(e.Description), Groups: groupIdentifiers(s, e.Groups),
		Name: text(e.Tags["Name"]), NetworkInterfaceId: text(e.ID), SubnetId: text(e.Subnet), VpcId: text(e.VPC),
	}
	if len(e.IPv4) > 0 {
		w.PrivateIpAddress = new(e.IPv4[0].String())
	}
	if e.Binding != nil {
		w.BoundState = new("bound")
	}
	if e.Attachment != nil {
		w.InstanceId = text(e.Attachment.Instance)
		if i := s.Instance(e.Attachment.Instance); i != nil {
			w.InstanceName = text(i.Tags["Name"])
		}
	}
	return w
}

// replaceSecurityGroup swaps one group for another, or, in a preview, says what that would change and
// what would refuse it.
func replaceSecurityGroup(
	c *call, in *wire.ReplaceSecurityGroupRequest,
) (*wire.ReplaceSecurityGroupResult, error) {
	asked := vpc.Replacement{
		Group:         vpc.GroupID(wire.Value(in.GroupId)),
		By:            vpc.GroupID(wire.Value(in.ReplacementGroupId)),
		AllInterfaces: wire.Value(in.AllNetworkInterfaces),
		Interfaces:    ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		AllRules:      wire.Value(in.AllSecurityGroupRules),
		Rules:         ids[vpc.RuleID](in.SecurityGroupRuleIds),
	}
	var out *wire.ReplaceSecurityGroupResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		done, change, err := s.ReplaceSecurityGroup(asked)
		if err == nil && len(done.Problems) > 0 && !c.preview {
			err = done.Problems[0].Refusal
		}
		if err != nil {
			return vpc.Change{}, err
		}
		out = replaced(s, done)
		return change, nil
	})
	return out, err
}

func replaced(s *vpc.State, done vpc.Replaced) *wire.ReplaceSecurityGroupResult {
	out := &wire.ReplaceSecurityGroupResult{}
	for _, i := range done.Interfaces {
		w := wire.ReplacedInterface{
			NetworkInterfaceId: text(i.Before.ID), GroupIds: ids[string](i.Before.Groups), NewGroupIds: ids[string](i.After.Groups),
		}
		if a := i.Before.Attachment; a != nil {
			w.InstanceId = text(a.Instance)
		}
		out.NetworkInterfaces = append(out.NetworkInterfaces, w)
	}
	for _, r := range done.Rules {
		before, after := securityGroupRule(s, r.Before), securityGroupRule(s, r.After)
		out.SecurityGroupRules = append(out.SecurityGroupRules, wire.ReplacedRule{Before: &before, After: &after})
	}
	for _, p := range done.Problems {
		out.Problems = append(out.Problems, wire.ReplacementProblem{
			NetworkInterfaceId: text(p.Interface), SecurityGroupRuleId: text(p.Rule),
			Code: text(p.Refusal.Code), Message: &p.Refusal.Message,
		})
	}
	return out
}
