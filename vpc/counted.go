package vpc

import (
	"fmt"
	"slices"
	"strings"
)

// CountedQuery selects rules: those with the ids, of the groups, and of the groups of the interfaces; an
// empty part is no condition.
type CountedQuery struct {
	Rules      []RuleID
	Groups     []GroupID
	Interfaces []InterfaceID
	Page       Page
}

// CountedRule is a rule with the interfaces on which it can be hit: those that carry its group and are
// carried by a device, or were asked for.
type CountedRule struct {
	GroupRule
	Interfaces []*NetworkInterface // in order of creation
}

// CountedRules returns the rules in order of creation, those that nothing hit too, and the token of the
// next page. An unknown id fails the whole call.
func (s *State) CountedRules(q CountedQuery) ([]CountedRule, string, error) {
	fail := func(err error) ([]CountedRule, string, error) { return nil, "", err }
	all := func(*NetworkInterface) bool { return true }
	var enis []*NetworkInterface
	if len(q.Interfaces) > 0 {
		var err error
		if enis, err = asked(q.Interfaces, nil, s.findInterface, all); err != nil {
			return fail(err)
		}
	}
	groups, err := asked(q.Groups, s.SecurityGroups(), s.findGroup, func(g *SecurityGroup) bool {
		return len(enis) == 0 || slices.ContainsFunc(enis, func(e *NetworkInterface) bool { return slices.Contains(e.Groups, g.ID) })
	})
	if err != nil {
		return fail(err)
	}
	wanted := map[RuleID]bool{}
	for _, id := range q.Rules {
		if _, err := ParseRuleID(string(id)); err != nil {
			return fail(err)
		}
		if s.GroupOfRule(id) == nil {
			return fail(errNoRule(id))
		}
		wanted[id] = true
	}
	var rules []GroupRule
	for _, g := range groups {
		for _, r := range g.Rules {
			if len(wanted) == 0 || wanted[r.ID] {
				rules = append(rules, GroupRule{g, r})
			}
		}
	}
	shown, next, err := paginate(rules, "rule-counter", func(r GroupRule) string { return fmt.Sprintf("%010d", r.Rule.order()) }, q.Page)
	if err != nil {
		return fail(err)
	}
	carriers := map[GroupID][]*NetworkInterface{}
	out := make([]CountedRule, len(shown))
	for i, r := range shown {
		list, known := carriers[r.Group.ID]
		if !known {
			list = s.carriers(r.Group.ID, enis)
			carriers[r.Group.ID] = list
		}
		out[i] = CountedRule{r, list}
	}
	return out, next, nil
}

// carriers returns the interfaces of a group that are among those given; with none, those that a device
// carries.
func (s *State) carriers(g GroupID, among []*NetworkInterface) (out []*NetworkInterface) {
	for e := range s.InterfacesOfGroup(g) {
		if len(among) == 0 && e.Binding != nil || slices.Contains(among, e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *NetworkInterface) int {
		return strings.Compare(createdKey(a.Created, a.ID), createdKey(b.Created, b.ID))
	})
	return out
}
