package vpc

import (
	"fmt"
	"maps"
	"slices"
)

// RuleEdit is what EditSecurityGroupRules is told.
type RuleEdit struct {
	Group    GroupID
	Revision int64 // of the State that the caller looked at; 0: rules may be otherwise now
	Add      []RuleAddition
	Modify   []RuleUpdate
	Remove   []RuleID
	Preview  bool // only say what would be, with all problems
}

// RuleAddition is one new rule, told as an update tells what an old one is to become. It has no id.
type RuleAddition struct {
	Egress bool
	RuleUpdate
}

// EditedRules is what an edit makes of a group.
type EditedRules struct {
	Group    *SecurityGroup // as it will be; in a preview new rules have neither id nor number
	Changes  []RuleChange   // in the order of the rules, the new ones last
	Problems []RuleProblem  // of a preview; in it the rows that have some are left out of the other fields
	Warnings []RuleWarning
}

// RuleChange is what becomes of one rule.
type RuleChange struct {
	Row           string // AddRule.1, ModifyRule.2, RemoveRuleId.3: as in the request
	Before, After *Rule  // nil: it is new, it is gone
}

// RuleProblem is one reason to refuse an edit.
type RuleProblem struct {
	Row    string // see RuleChange; "": the edit as a whole
	Member string // of the row, or the request, as the request spells it: CidrIpv4; "": the whole of it
	Err    error
}

// EditSecurityGroupRules adds, modifies and removes rules of both directions of one group: all of it or
// nothing. Duplicates and quotas are judged on the result. A rule that was changed after the revision
// that the caller looked at is not modified or removed.
func (s *State) EditSecurityGroupRules(env Env, in RuleEdit) (EditedRules, Change, error) {
	old, err := s.findGroup(in.Group)
	if err != nil {
		return EditedRules{}, Change{}, err
	}
	if in.Revision > s.revision || in.Revision < 0 {
		return EditedRules{}, Change{}, Errorf(CodeInvalidParameterValue,
			"Value (%d) for parameter revision is invalid. The newest revision is %d.", in.Revision, s.revision)
	}
	if len(in.Add)+len(in.Modify)+len(in.Remove) == 0 && !in.Preview {
		return EditedRules{}, Change{}, errMissing("AddRule, ModifyRule or RemoveRuleId")
	}
	return s.draft().editRules(env, old, in)
}

// ruleEditing is an edit of rules in the making.
type ruleEditing struct {
	rules    []Rule // as they will be
	rows     []string
	old      []*Rule // beside rules, too: what the rule was if it is modified, the rule itself if it stays, nil if it is new
	gone     []RuleChange
	problems []RuleProblem
}

func (e *ruleEditing) problem(row, member string, err error) {
	e.problems = append(e.problems, RuleProblem{row, member, err})
}

func (e *ruleEditing) keep(row string, now Rule, was *Rule) {
	e.rules, e.rows, e.old = append(e.rules, now), append(e.rows, row), append(e.old, was)
}

// editRules puts the group with its rules edited. The draft may hold the group as new.
func (d *draft) editRules(env Env, group *SecurityGroup, in RuleEdit) (EditedRules, Change, error) {
	e := d.planRules(group, in)
	for _, egress := range []bool{false, true} {
		if err := d.underRuleQuota(group.Rules, e.rules, egress); err != nil {
			e.problem("", "", err)
		}
	}
	switch {
	case in.Preview:
	case len(e.problems) > 0:
		return EditedRules{}, Change{}, e.problems[0].Err
	default:
		if err := d.numberEdited(env, e, in.Modify); err != nil {
			return EditedRules{}, Change{}, err
		}
	}
	g := *group
	g.Rules = e.rules
	out := EditedRules{Group: &g, Changes: e.gone, Problems: e.problems, Warnings: d.ruleWarnings(e)}
	for i := range e.rules {
		if e.rows[i] != "" {
			out.Changes = append(out.Changes, RuleChange{e.rows[i], e.old[i], &e.rules[i]})
		}
	}
	for _, c := range out.Changes {
		egress, same := false, false
		for _, r := range []*Rule{c.Before, c.After} {
			egress = egress || r != nil && r.Egress
		}
		if c.Before != nil && c.After != nil {
			same = c.Before.identity() == c.After.identity()
		}
		g.EgressModified = g.EgressModified || egress && !same
	}
	if in.Preview {
		return out, Change{}, nil
	}
	if len(out.Changes) > 0 {
		d.put(&g)
	}
	return out, d.change(), nil
}

// planRules works out what the rules will be, and all that is wrong with the rows.
func (s *State) planRules(group *SecurityGroup, in RuleEdit) *ruleEditing {
	e := &ruleEditing{}
	named := map[RuleID]string{} // to the row
	find := func(row string, id RuleID) *Rule {
		n, err := group.ruleWithID(id)
		switch {
		case err != nil:
		case named[id] != "":
			err = errRuleTwice(id)
		case in.Revision != 0 && group.Rules[n].Changed > in.Revision:
			err = errRuleChanged(group.Rules[n], in.Revision)
		default:
			named[id] = row
			return &group.Rules[n]
		}
		e.problem(row, "", err)
		return nil
	}
	modified, removed := map[RuleID]Rule{}, map[RuleID]bool{}
	for i, u := range in.Modify {
		row := fmt.Sprintf("ModifyRule.%d", i+1)
		was := find(row, u.Rule)
		if was == nil {
			continue
		}
		now, problems := s.told(row, group, *was, u)
		if e.problems = append(e.problems, problems...); len(problems) == 0 && !now.says(*was) {
			now.Changed = s.revision + 1
			modified[u.Rule] = now
		}
	}
	for i, id := range in.Remove {
		if find(fmt.Sprintf("RemoveRuleId.%d", i+1), id) != nil {
			removed[id] = true
		}
	}
	seen := map[identity]string{} // to the row that names the rule, "" if none does
	for i := range group.Rules {
		was := &group.Rules[i]
		now, changed := modified[was.ID]
		switch {
		case removed[was.ID]:
			e.gone = append(e.gone, RuleChange{Row: named[was.ID], Before: was})
			continue
		case changed:
			e.keep(named[was.ID], now, was)
		default:
			now = *was
			e.keep("", now, was)
		}
		if other, twice := seen[now.identity()]; twice {
			row := named[was.ID]
			if row == "" {
				row = other // the earlier one came to be like this one
			}
			e.problem(row, "", errDuplicateRule(now))
		}
		seen[now.identity()] = named[was.ID]
	}
	added := map[identity]bool{}
	for i, a := range in.Add {
		row := fmt.Sprintf("AddRule.%d", i+1)
		now, problems := s.told(row, group, Rule{Egress: a.Egress}, a.RuleUpdate)
		if len(problems) > 0 {
			e.problems = append(e.problems, problems...)
			continue
		}
		if _, twice := seen[now.identity()]; twice {
			e.problem(row, "", errDuplicateRule(now))
			continue
		}
		if added[now.identity()] {
			e.problem(row, "", errTwice())
			continue
		}
		added[now.identity()] = true
		e.keep(row, now, nil)
	}
	return e
}

// errRuleChanged is what EC2 says of prefix lists by their versions.
func errRuleChanged(r Rule, revision int64) *Error {
	text := fmt.Sprintf(`"%s"`, r)
	if r.Description != "" {
		text += fmt.Sprintf(` with the description "%s"`, r.Description)
	}
	return Errorf(CodeSecurityGroupRevisionMismatch,
		"The security group rule '%s' was changed after revision %d. It now is %s.", r.ID, revision, text)
}

// numberEdited gives numbers to the rules that allow something else than before, in the order in which
// the edit names them, and ids and numbers to the new ones.
func (d *draft) numberEdited(env Env, e *ruleEditing, updates []RuleUpdate) error {
	var numbered []*Rule
	for _, u := range updates {
		i := slices.IndexFunc(e.rules, func(r Rule) bool { return r.ID == u.Rule })
		if i >= 0 && e.rules[i].identity() != e.old[i].identity() {
			e.rules[i].First = e.old[i].order()
			numbered = append(numbered, &e.rules[i])
		}
	}
	for i := range e.rules {
		if e.old[i] == nil {
			e.rules[i].ID = RuleID(env.ID("sgr"))
			numbered = append(numbered, &e.rules[i])
		}
	}
	if len(numbered) == 0 {
		return nil
	}
	next, err := d.takeNumbers(len(numbered))
	for i, r := range numbered {
		r.Number = next + uint32(i)
	}
	return err
}

// says reports whether two rules are the same to who reads them, their tags aside.
func (r Rule) says(other Rule) bool {
	return r.identity() == other.identity() && r.Description == other.Description &&
		r.PeerVPC == other.PeerVPC && r.Peering == other.Peering
}

// told returns the rule that is to stand in the place of was, which is new if it has no id, or all that
// is wrong with what was told.
func (s *State) told(row string, g *SecurityGroup, was Rule, u RuleUpdate) (Rule, []RuleProblem) {
	var problems []RuleProblem
	problem := func(member string, err error) { problems = append(problems, RuleProblem{row, member, err}) }
	now, member := was, ""
	given := u.peers()
	switch len(given) {
	case 0:
		problem("", Errorf(CodeMissingParameter,
			"The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId"))
	case 1:
		member = given[0].parameter
	default:
		problem("", Errorf(CodeInvalidParameterCombination,
			"Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified"))
	}
	ports := Permission{Protocol: u.Protocol, From: u.From, To: u.To}
	var err error
	if now.Protocol, now.From, now.To, err = ports.ports(); err != nil {
		problem(ports.wrongMember(), err)
	}
	if len(given) == 1 {
		if kind := was.Peer.kind(); was.ID != "" && given[0] != kind {
			problem(member, Errorf(CodeInvalidParameterValue,
				"Invalid rule type for security group rule '%s'. You may not specify %s for an existing %s rule.",
				was.ID, member, kind.words))
		} else {
			now.PeerVPC, now.Peering = "", ""
			now, err = s.rule(now, PermissionPeer{
				IPv4: u.IPv4, IPv6: u.IPv6, PrefixList: u.PrefixList, Group: u.Group,
			}, resolve{group: g, egress: was.Egress, mustExist: true})
			if err != nil {
				problem(member, err)
			}
		}
	}
	if now.Description = u.Description; !validText(u.Description) {
		problem("Description", errRuleDescription())
	}
	return now, problems
}

// wrongMember says which member is at fault if ports refuses.
func (p Permission) wrongMember() string {
	if _, err := ParseProtocol(p.Protocol); err != nil {
		return "IpProtocol"
	}
	if p.From == nil {
		return "FromPort"
	}
	p.From = new(int32(0))
	if _, _, _, err := p.ports(); err != nil { // with the smallest, too
		return "ToPort"
	}
	return "FromPort"
}

// SelfReference stands for the new group in rules that CreateSecurityGroupWithRules is told.
const SelfReference GroupID = "self"

// GroupWithRules is what CreateSecurityGroupWithRules is told.
type GroupWithRules struct {
	NewSecurityGroup
	Rules   []RuleAddition
	Preview bool // see RuleEdit
}

// CreateSecurityGroupWithRules makes a group that has these rules, and not EC2's default ones.
func (s *State) CreateSecurityGroupWithRules(env Env, in GroupWithRules) (EditedRules, Change, error) {
	parts := s.checkNewGroup(in.NewSecurityGroup)
	switch {
	case len(parts.problems) > 0 && !in.Preview:
		return EditedRules{}, Change{}, parts.problems[0].Err
	case parts.vpc == nil: // what rules may name depends on it
		return EditedRules{Group: &SecurityGroup{}, Problems: parts.problems}, Change{}, nil
	}
	d := s.draft()
	g := d.bareGroup(env, parts.vpc, parts.name, in.Description, parts.tags)
	d.put(g)
	rules := slices.Clone(in.Rules)
	for i := range rules {
		if rules[i].Group == SelfReference {
			rules[i].Group = g.ID
		}
	}
	out, change, err := d.editRules(env, g, RuleEdit{Add: rules, Preview: in.Preview})
	if err != nil {
		return EditedRules{}, Change{}, err
	}
	out.Problems = slices.Concat(parts.problems, out.Problems)
	if !in.Preview {
		// As if the default rules had been left alone, if these are they.
		made := *out.Group
		made.EgressModified = !maps.Equal(egressOf(made.Rules), egressOf(defaultRules(parts.vpc)))
		d.put(&made)
		out.Group, change = &made, d.change()
	}
	return out, change, nil
}

func egressOf(rules []Rule) map[identity]bool {
	set := map[identity]bool{}
	for _, r := range rules {
		if r.Egress {
			set[r.identity()] = true
		}
	}
	return set
}
