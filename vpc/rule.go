package vpc

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// identity is what two rules of one group may not share. Descriptions and tags are no part of it.
type identity struct {
	egress   bool
	protocol Protocol
	from, to int32
	peer     Peer
}

func (r Rule) identity() identity { return identity{r.Egress, r.Protocol, r.From, r.To, r.Peer} }

// takeNumbers returns the first of n rule numbers that nobody had.
func (d *draft) takeNumbers(n int) (uint32, error) {
	old := d.Installation()
	if old == nil {
		return 0, errors.New("number rules: the state has no installation")
	}
	i := *old
	first := max(i.NextRule, 1)
	if uint64(first)+uint64(n) > math.MaxInt32 { // hosts keep one bit of a number for themselves
		return 0, errors.New("number rules: all numbers are used up")
	}
	i.NextRule = first + uint32(n)
	d.put(&i)
	return first, nil
}

// numberRules gives new rules their ids and numbers.
func (d *draft) numberRules(env Env, rules []Rule) error {
	next, err := d.takeNumbers(len(rules))
	if err != nil {
		return err
	}
	for k := range rules {
		rules[k].ID = RuleID(env.ID("sgr"))
		rules[k].Number = next + uint32(k)
	}
	return nil
}

// order is that of creation.
func (r Rule) order() uint32 { return cmp.Or(r.First, r.Number) }

// RuleARN returns the ARN of a rule.
func (s *State) RuleARN(r Rule) string { return s.arn("security-group-rule", string(r.ID)) }

// NewRules is what AuthorizeSecurityGroupIngress and -Egress are told.
type NewRules struct {
	Group             GroupRef
	Egress            bool
	Permissions       []Permission
	Flat              FlatPermission // instead of Permissions; ingress only
	TagSpecifications []TagSpecification
}

// AuthorizeSecurityGroup adds a rule for each peer, or, if one of them cannot be, none. It returns
// the group as it will be and the new rules.
func (s *State) AuthorizeSecurityGroup(env Env, in NewRules) (*SecurityGroup, []Rule, Change, error) {
	fail := func(err error) (*SecurityGroup, []Rule, Change, error) { return nil, nil, Change{}, err }
	tags, err := specifiedTags(in.TagSpecifications, "security-group-rule")
	if err != nil {
		return fail(err)
	}
	old, err := s.findGroupByRef(in.Group)
	if err != nil {
		return fail(err)
	}
	permissions, err := eitherForm(in.Permissions, in.Flat, in.Egress)
	if err != nil {
		return fail(err)
	}
	if len(permissions) == 0 && in.Egress {
		return fail(Errorf(CodeMissingParameter, "The request must contain the parameter ipPermissions"))
	}
	if len(permissions) == 0 { // the flat form, with nothing in it
		_, err := in.Flat.permissions()
		return fail(err)
	}
	rules, err := s.rules(permissions, resolve{group: old, egress: in.Egress, mustExist: true, described: true})
	if err != nil {
		return fail(err)
	}
	existing := old.byIdentity()
	for i, r := range rules {
		if existing[r.identity()] != "" {
			return fail(errDuplicateRule(r))
		}
		rules[i].Tags = tags["security-group-rule"]
	}
	if err := s.underRuleQuota(old.Rules, slices.Concat(old.Rules, rules), in.Egress); err != nil {
		return fail(err)
	}
	d := s.draft()
	if err := d.numberRules(env, rules); err != nil {
		return fail(err)
	}
	g := *old
	g.Rules = slices.Concat(old.Rules, rules)
	g.EgressModified = g.EgressModified || in.Egress
	d.put(&g)
	return &g, rules, d.change(), nil
}

func errDuplicateRule(r Rule) *Error {
	return Errorf(CodeInvalidPermissionDuplicate, `the specified rule "%s" already exists`, r)
}

// eitherForm returns the permissions of a request, which come in one form or the other.
func eitherForm(permissions []Permission, flat FlatPermission, egress bool) ([]Permission, error) {
	switch {
	case flat.empty():
		return permissions, nil
	case len(permissions) > 0:
		return nil, Errorf(CodeInvalidParameterCombination,
			"The parameter ipPermissions cannot be used with the parameters of a single permission")
	case egress: // EC2's model has the members and calls them not supported
		return nil, nil
	default:
		return flat.permissions()
	}
}

// OldRules is what RevokeSecurityGroupIngress and -Egress are told.
type OldRules struct {
	Group       GroupRef
	Egress      bool
	Rules       []RuleID
	Permissions []Permission   // instead of Rules
	Flat        FlatPermission // instead of both; ingress only
}

// Revoked is what RevokeSecurityGroup did.
type Revoked struct {
	Group   *SecurityGroup // as it will be
	Rules   []Rule
	Unknown []Permission // did not match a rule, in the default VPC only
}

// RevokeSecurityGroup removes rules of one direction of a group by their ids or by their properties;
// a description does not count. What matches no rule fails the call, with nothing removed, but in the
// default VPC it is only reported. Source: EC2 API reference, RevokeSecurityGroupIngress.
func (s *State) RevokeSecurityGroup(in OldRules) (Revoked, Change, error) {
	fail := func(err error) (Revoked, Change, error) { return Revoked{}, Change{}, err }
	old, err := s.findGroupByRef(in.Group)
	if err != nil {
		return fail(err)
	}
	permissions, err := eitherForm(in.Permissions, in.Flat, in.Egress)
	if err != nil {
		return fail(err)
	}
	out := Revoked{Group: old}
	var gone map[RuleID]bool
	switch {
	case len(in.Rules) > 0 && len(permissions) > 0:
		return fail(errCombination("ipPermissions", "securityGroupRuleIds"))
	case len(in.Rules) > 0:
		gone, err = old.rulesWithIDs(in.Rules, in.Egress)
	case len(permissions) > 0:
		gone, out.Unknown, err = s.rulesLike(old, permissions, in.Egress)
	default:
		err = Errorf(CodeMissingParameter, "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
	}
	if err != nil {
		return fail(err)
	}
	if len(gone) == 0 {
		return out, Change{}, nil
	}
	g := *old
	g.Rules = nil
	for _, r := range old.Rules {
		if gone[r.ID] {
			out.Rules = append(out.Rules, r)
		} else {
			g.Rules = append(g.Rules, r)
		}
	}
	g.EgressModified = g.EgressModified || in.Egress
	out.Group = &g
	d := s.draft()
	d.put(&g)
	return out, d.change(), nil
}

// rulesWithIDs checks that the group has rules with all of the ids in that direction.
func (g *SecurityGroup) rulesWithIDs(ids []RuleID, egress bool) (map[RuleID]bool, error) {
	found := map[RuleID]bool{}
	for _, id := range ids {
		n, err := g.ruleWithID(id)
		if err != nil {
			return nil, err
		}
		if g.Rules[n].Egress != egress {
			return nil, errNoRule(id)
		}
		found[id] = true
	}
	return found, nil
}

func errNoRule(id RuleID) *Error {
	return Errorf(CodeInvalidSecurityGroupRuleIDNotFound, "The security group rule ID '%s' does not exist", id)
}

func errNoPermission() *Error {
	return Errorf(CodeInvalidPermissionNotFound, "The specified rule does not exist in this security group.")
}

// rulesLike returns the rules of g that the permissions describe, and what describes none.
func (s *State) rulesLike(g *SecurityGroup, permissions []Permission, egress bool) (
	map[RuleID]bool, []Permission, error,
) {
	wanted, err := s.rules(permissions, resolve{group: g, egress: egress})
	if err != nil {
		return nil, nil, err
	}
	byIdentity := g.byIdentity()
	v := s.VPC(g.VPC)
	found := map[RuleID]bool{}
	var unknown []Permission
	next := 0 // of wanted: one for each peer, in order
	for _, p := range permissions {
		left := Permission{Protocol: p.Protocol, From: p.From, To: p.To}
		for _, peer := range p.Peers {
			id, ok := byIdentity[wanted[next].identity()]
			next++
			switch {
			case ok:
				found[id] = true
			case v != nil && v.IsDefault:
				if peer.Group != "" || peer.GroupName != "" {
					peer.Account = cmp.Or(peer.Account, s.Installation().Account)
				}
				left.Peers = append(left.Peers, peer)
			default:
				return nil, nil, errNoPermission()
			}
		}
		if len(left.Peers) > 0 {
			unknown = append(unknown, left)
		}
	}
	return found, unknown, nil
}

// byIdentity returns the ids of the rules by what they are.
func (g *SecurityGroup) byIdentity() map[identity]RuleID {
	ids := make(map[identity]RuleID, len(g.Rules))
	for _, r := range g.Rules {
		ids[r.identity()] = r.ID
	}
	return ids
}

// GroupRule is a rule with the group that it belongs to.
type GroupRule struct {
	Group *SecurityGroup
	Rule  Rule
}

// RuleQuery selects rules: those with the ids, or all, that pass the filters.
type RuleQuery struct {
	IDs     []RuleID
	Filters []Filter
	Page    Page
}

// DescribeSecurityGroupRules returns the rules in order of creation and the token of the next page.
// An unknown id fails the whole call, a malformed group in a filter too; an unknown group matches
// nothing.
func (s *State) DescribeSecurityGroupRules(q RuleQuery) ([]GroupRule, string, error) {
	fail := func(err error) ([]GroupRule, string, error) { return nil, "", err }
	where, err := groupRuleFields.Where(s, q.Filters, func(r GroupRule) Tags { return r.Rule.Tags })
	if err != nil {
		return fail(err)
	}
	for _, f := range q.Filters {
		for _, v := range f.Values {
			if _, err := ParseGroupID(v); err != nil && f.Name == "group-id" && !strings.ContainsAny(v, `*?\`) {
				return fail(Errorf(CodeInvalidGroupIDMalformed, "The security group ID '%s' is malformed", v))
			}
		}
	}
	asked := map[RuleID]bool{}
	var rules []GroupRule
	add := func(g *SecurityGroup) {
		for _, r := range g.Rules {
			if gr := (GroupRule{g, r}); (len(q.IDs) == 0 || asked[r.ID]) && where(gr) {
				rules = append(rules, gr)
			}
		}
	}
	if len(q.IDs) == 0 {
		for g := range s.SecurityGroups() {
			add(g)
		}
	}
	var groups []*SecurityGroup
	for _, id := range q.IDs {
		if _, err := ParseRuleID(string(id)); err != nil {
			return fail(err)
		}
		g := s.GroupOfRule(id)
		if g == nil {
			return fail(errNoRule(id))
		}
		asked[id] = true
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		add(g)
	}
	key := func(r GroupRule) string { return fmt.Sprintf("%010d", r.Rule.order()) }
	return paginate(rules, "security-group-rule", key, q.Page)
}

// groupRuleFields are the filters of DescribeSecurityGroupRules.
var groupRuleFields = Fields[GroupRule]{
	"group-id":               func(_ *State, r GroupRule) []string { return []string{string(r.Group.ID)} },
	"security-group-rule-id": func(_ *State, r GroupRule) []string { return []string{string(r.Rule.ID)} },
}

// ruleFields are what DescribeSecurityGroups can filter by of one rule, "" if the rule has no such
// thing.
var ruleFields = map[string]func(*State, Rule) string{
	"cidr":           func(_ *State, r Rule) string { ipv4, _ := r.Peer.cidrs(); return ipv4 },
	"ipv6-cidr":      func(_ *State, r Rule) string { _, ipv6 := r.Peer.cidrs(); return ipv6 },
	"prefix-list-id": func(_ *State, r Rule) string { return string(r.Peer.PrefixList) },
	"group-id":       func(_ *State, r Rule) string { return string(r.Peer.Group) },
	"group-name": func(s *State, r Rule) string {
		if g := s.SecurityGroup(r.Peer.Group); g != nil {
			return g.Name
		}
		return ""
	},
	"user-id": func(s *State, r Rule) string {
		if r.Peer.Group == "" || r.Peering != "" && s.SecurityGroup(r.Peer.Group) == nil {
			return ""
		}
		return string(s.Installation().Account)
	},
	"protocol":  func(_ *State, r Rule) string { return r.Protocol.String() },
	"from-port": func(_ *State, r Rule) string { return r.portText(r.From) },
	"to-port":   func(_ *State, r Rule) string { return r.portText(r.To) },
}

// portText returns a port, ICMP type or code, "" for a protocol that has none.
func (r Rule) portText(n int32) string {
	if !r.Protocol.HasPorts() {
		return ""
	}
	return strconv.Itoa(int(n))
}
