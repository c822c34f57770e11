package vpc

import (
	"errors"
	"slices"
)

// Replacement is what ReplaceSecurityGroup is told: to put a group in the place of another on interfaces
// that carry it and in rules that name it. At least one of them is asked for.
type Replacement struct {
	Group, By     GroupID
	AllInterfaces bool
	Interfaces    []InterfaceID // instead of all
	AllRules      bool          // its own too
	Rules         []RuleID      // instead of all
}

// Replaced is what a Replacement changes. Problems are what would be refused by itself, in order: the
// whole is refused with the first one.
type Replaced struct {
	Interfaces []ReplacedInterface
	Rules      []ReplacedRule
	Problems   []ReplacementProblem
}

// ReplacedInterface is an interface before and after.
type ReplacedInterface struct{ Before, After *NetworkInterface }

// ReplacedRule is a rule before and after.
type ReplacedRule struct{ Before, After GroupRule }

// ReplacementProblem is an interface or a rule that cannot have the other group.
type ReplacementProblem struct {
	Interface InterfaceID // or
	Rule      RuleID
	Refusal   *Error
}

// ReplaceSecurityGroup puts a group in the place of another. What is refused by
// ModifyNetworkInterfaceAttribute or ModifySecurityGroupRules is refused here: it is those calls, of
// which all are done or none. An interface that carries both loses the one. The Change is empty if there
// are problems.
func (s *State) ReplaceSecurityGroup(in Replacement) (Replaced, Change, error) {
	fail := func(err error) (Replaced, Change, error) { return Replaced{}, Change{}, err }
	switch {
	case in.AllInterfaces && len(in.Interfaces) > 0:
		return fail(errCombination("allNetworkInterfaces", "networkInterfaceIds"))
	case in.AllRules && len(in.Rules) > 0:
		return fail(errCombination("allSecurityGroupRules", "securityGroupRuleIds"))
	case !in.AllInterfaces && !in.AllRules && len(in.Interfaces)+len(in.Rules) == 0:
		return fail(Errorf(CodeMissingParameter, "The request must contain at least one of: allNetworkInterfaces, "+
			"networkInterfaceIds, allSecurityGroupRules, or securityGroupRuleIds"))
	}
	g, err := s.findGroup(in.Group)
	if err != nil {
		return fail(err)
	}
	by, err := s.findGroup(in.By)
	if err != nil {
		return fail(err)
	}
	if g.ID == by.ID {
		return fail(Errorf(CodeInvalidParameterValue, "The security group '%s' cannot be replaced by itself.", g.ID))
	}
	enis, err := s.replacedOn(g, in)
	if err != nil {
		return fail(err)
	}
	rules, err := s.replacedIn(g, in)
	if err != nil {
		return fail(err)
	}
	d := s.draft()
	var out Replaced
	for _, e := range enis {
		change, err := d.ModifyNetworkInterface(e.ID, InterfaceChange{Groups: replaceGroup(e.Groups, g.ID, by.ID)})
		if err != nil {
			if err := out.problem(ReplacementProblem{Interface: e.ID}, err); err != nil {
				return fail(err)
			}
			continue
		}
		d.put(change.Puts...)
		out.Interfaces = append(out.Interfaces, ReplacedInterface{e, d.NetworkInterface(e.ID)})
	}
	for len(rules) > 0 { // those of one group are next to each other
		n := slices.IndexFunc(rules, func(r GroupRule) bool { return r.Group.ID != rules[0].Group.ID })
		if n < 0 {
			n = len(rules)
		}
		if err := d.replaceIn(rules[:n], by.ID, &out); err != nil {
			return fail(err)
		}
		rules = rules[n:]
	}
	if len(out.Problems) > 0 {
		return out, Change{}, nil
	}
	return out, d.change(), nil
}

// problem notes a refusal, and returns an error of any other sort.
func (r *Replaced) problem(p ReplacementProblem, err error) error {
	if !errors.As(err, &p.Refusal) {
		return err
	}
	r.Problems = append(r.Problems, p)
	return nil
}

// replaceIn replaces the group that rules of one group name. All at once, and if that is refused one by
// one, to learn which of them it is.
func (d *draft) replaceIn(rules []GroupRule, by GroupID, out *Replaced) error {
	group := rules[0].Group.ID
	updates := make([]RuleUpdate, len(rules))
	for i, r := range rules {
		updates[i] = RuleUpdate{
			Rule: r.Rule.ID, Protocol: r.Rule.Protocol.String(), From: &r.Rule.From, To: &r.Rule.To,
			Group: by, Description: r.Rule.Description,
		}
	}
	change, err := d.ModifySecurityGroupRules(group, updates)
	if err == nil {
		d.put(change.Puts...)
	}
	for i, r := range rules {
		if err != nil {
			change, err := d.ModifySecurityGroupRules(group, updates[i:i+1])
			if err != nil {
				if err := out.problem(ReplacementProblem{Rule: r.Rule.ID}, err); err != nil {
					return err
				}
				continue
			}
			d.put(change.Puts...)
		}
		now := d.SecurityGroup(group)
		n, err := now.ruleWithID(r.Rule.ID)
		if err != nil {
			return err
		}
		out.Rules = append(out.Rules, ReplacedRule{r, GroupRule{now, now.Rules[n]}})
	}
	return nil
}

// replacedOn returns the interfaces on which a group is to be replaced. One that does not carry it is
// refused.
func (s *State) replacedOn(g *SecurityGroup, in Replacement) ([]*NetworkInterface, error) {
	if in.AllInterfaces {
		return slices.Collect(s.InterfacesOfGroup(g.ID)), nil
	}
	if len(in.Interfaces) == 0 {
		return nil, nil
	}
	enis, err := asked(in.Interfaces, nil, s.findInterface, func(*NetworkInterface) bool { return true })
	if err != nil {
		return nil, err
	}
	for _, e := range enis {
		if !slices.Contains(e.Groups, g.ID) {
			return nil, Errorf(CodeInvalidParameterValue,
				"The network interface '%s' does not carry the security group '%s'.", e.ID, g.ID)
		}
	}
	return enis, nil
}

// replacedIn returns the rules in which a group is to be replaced, those of one group next to each other.
// One that does not name it is refused.
func (s *State) replacedIn(g *SecurityGroup, in Replacement) ([]GroupRule, error) {
	if in.AllRules {
		return slices.Collect(s.rulesNaming(g)), nil
	}
	wanted := map[RuleID]bool{}
	for _, id := range in.Rules {
		if _, err := ParseRuleID(string(id)); err != nil {
			return nil, err
		}
		of := s.GroupOfRule(id)
		if of == nil {
			return nil, errNoRule(id)
		}
		if n, err := of.ruleWithID(id); err != nil || of.Rules[n].Peer.Group != g.ID {
			return nil, Errorf(CodeInvalidParameterValue,
				"The security group rule '%s' does not name the security group '%s'.", id, g.ID)
		}
		wanted[id] = true
	}
	var rules []GroupRule
	if len(wanted) > 0 {
		for r := range s.rulesNaming(g) {
			if wanted[r.Rule.ID] {
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// replaceGroup returns the groups with by in the place of g, each once.
func replaceGroup(groups []GroupID, g, by GroupID) (out []GroupID) {
	for _, id := range groups {
		if id == g {
			id = by
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
