package ec2api

import (
	"errors"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) ruleEditActions() {
	handle(a, wire.EditSecurityGroupRules, editSecurityGroupRules)
	handle(a, wire.CreateSecurityGroupWithRules, createSecurityGroupWithRules)
}

func editSecurityGroupRules(
	c *call, in *wire.EditSecurityGroupRulesRequest,
) (out *wire.EditSecurityGroupRulesResult, err error) {
	edit := vpc.RuleEdit{
		Group:    vpc.GroupID(wire.Value(in.GroupId)),
		Revision: wire.Value(in.Revision),
		Add:      ruleAdditions(in.AddRules),
		Modify:   ruleUpdates(in.ModifyRules),
		Remove:   ids[vpc.RuleID](in.RemoveRuleIds),
		Preview:  c.preview,
	}
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		edited, change, err := s.EditSecurityGroupRules(c.env, edit)
		if err != nil {
			return change, err
		}
		out = &wire.EditSecurityGroupRulesResult{}
		out.Changes, out.Problems, out.Warnings, out.Rules = editedRules(s, edited)
		return change, nil
	})
	return out, err
}

func createSecurityGroupWithRules(
	c *call, in *wire.CreateSecurityGroupWithRulesRequest,
) (out *wire.CreateSecurityGroupWithRulesResult, err error) {
	group := vpc.GroupWithRules{
		NewSecurityGroup: vpc.NewSecurityGroup{
			Name: wire.Value(in.GroupName), Description: wire.Value(in.Description), VPC: vpc.VPCID(wire.Value(in.VpcId)),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
		},
		Rules:   ruleAdditions(in.AddRules),
		Preview: c.preview,
	}
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		made, change, err := s.CreateSecurityGroupWithRules(c.env, group)
		if err != nil {
			return change, err
		}
		out = &wire.CreateSecurityGroupWithRulesResult{}
		out.Changes, out.Problems, out.Warnings, out.Rules = editedRules(s, made)
		if !group.Preview {
			out.GroupId, out.SecurityGroupArn = text(made.Group.ID), text(s.SecurityGroupARN(made.Group))
			out.Tags = tagSet(made.Group.Tags)
		}
		return change, nil
	})
	return out, err
}

func ruleAdditions(in []wire.SecurityGroupRuleAddition) []vpc.RuleAddition {
	out := make([]vpc.RuleAddition, len(in))
	for i, a := range in {
		out[i] = vpc.RuleAddition{Egress: wire.Value(a.IsEgress), RuleUpdate: vpc.RuleUpdate{
			Protocol: wire.Value(a.IpProtocol), From: a.FromPort, To: a.ToPort,
			IPv4: wire.Value(a.CidrIpv4), IPv6: wire.Value(a.CidrIpv6),
			PrefixList:  vpc.PrefixListID(wire.Value(a.PrefixListId)),
			Group:       vpc.GroupID(wire.Value(a.ReferencedGroupId)),
			Description: wire.Value(a.Description),
		}}
	}
	return out
}

// editedRules shows what an edit does, in view of the State before it. A group that is new there names
// itself as it was told to.
func editedRules(s *vpc.State, in vpc.EditedRules) (
	changes []wire.SecurityGroupRuleChange, problems []wire.SecurityGroupRuleProblem,
	warnings []wire.SecurityGroupRuleWarning, rules []wire.SecurityGroupRule,
) {
	show := func(r vpc.Rule) wire.SecurityGroupRule {
		w := securityGroupRule(s, vpc.GroupRule{Group: in.Group, Rule: r})
		if r.ID == "" {
			w.SecurityGroupRuleArn = nil
			if s.SecurityGroup(in.Group.ID) == nil {
				w.GroupId = nil
				if r.Peer.Group == in.Group.ID {
					w.ReferencedGroupInfo.GroupId = text(vpc.SelfReference)
				}
			}
		}
		return w
	}
	for _, c := range in.Changes {
		w := wire.SecurityGroupRuleChange{Row: text(c.Row), Kind: new("modified")}
		if c.Before != nil {
			w.Before = new(show(*c.Before))
		} else {
			w.Kind = new("added")
		}
		if c.After != nil {
			w.After = new(show(*c.After))
		} else {
			w.Kind = new("removed")
		}
		changes = append(changes, w)
	}
	for _, p := range in.Problems {
		w := wire.SecurityGroupRuleProblem{Row: text(p.Row), Member: text(p.Member), Message: new(p.Err.Error())}
		if refusal, ok := errors.AsType[*vpc.Error](p.Err); ok {
			w.Code, w.Message = text(refusal.Code), &refusal.Message
		}
		problems = append(problems, w)
	}
	for _, p := range in.Warnings {
		warnings = append(warnings, wire.SecurityGroupRuleWarning{
			Row: text(p.Row), SecurityGroupRuleId: text(p.Rule), Level: text(p.Level), Message: &p.Message,
		})
	}
	for _, r := range in.Group.Rules {
		rules = append(rules, show(r))
	}
	return changes, problems, warnings, rules
}
