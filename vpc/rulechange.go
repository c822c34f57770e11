package vpc

import "slices"

// RuleUpdate is what one rule is to become, whole: what it does not say is gone.
type RuleUpdate struct {
	Rule       RuleID
	Protocol   string // "": none was given
	From, To   *int32
	IPv4, IPv6 string // of these four one is set
	PrefixList PrefixListID
	Group      GroupID

	Description string
}

// ModifySecurityGroupRules replaces rules of either direction of one group, all of them or none. A rule
// keeps its id, its tags and the kind of its peer. If it allows something else than before it gets a
// new number: what hosts counted and admitted under the old one was not by this rule.
func (s *State) ModifySecurityGroupRules(group GroupID, updates []RuleUpdate) (Change, error) {
	old, err := s.findGroup(group)
	if err != nil {
		return Change{}, err
	}
	if len(updates) == 0 {
		return Change{}, errMissing("SecurityGroupRule")
	}
	_, change, err := s.draft().editRules(Env{}, old, RuleEdit{Modify: updates})
	return change, err
}

// peerKind is a kind of peer: the parameter that gives it, and what EC2 calls such a rule.
type peerKind struct{ parameter, words string }

var (
	ipv4Peer  = peerKind{"CidrIpv4", "IPv4 CIDR"}
	ipv6Peer  = peerKind{"CidrIpv6", "IPv6 CIDR"}
	listPeer  = peerKind{"PrefixListId", "prefix list"}
	groupPeer = peerKind{"ReferencedGroupId", "referenced group"}
)

func (p Peer) kind() peerKind {
	switch {
	case p.PrefixList != "":
		return listPeer
	case p.Group != "":
		return groupPeer
	case p.CIDR.Addr().Is4():
		return ipv4Peer
	default:
		return ipv6Peer
	}
}

func (u RuleUpdate) peers() (given []peerKind) {
	for _, p := range []struct {
		value string
		kind  peerKind
	}{{u.IPv4, ipv4Peer}, {u.IPv6, ipv6Peer}, {string(u.PrefixList), listPeer}, {string(u.Group), groupPeer}} {
		if p.value != "" {
			given = append(given, p.kind)
		}
	}
	return given
}

// RuleDescription is the new description of one rule; "": none.
type RuleDescription struct {
	Rule        RuleID
	Description string
}

// NewDescriptions is what UpdateSecurityGroupRuleDescriptionsIngress and -Egress are told.
type NewDescriptions struct {
	Group       GroupRef
	Egress      bool
	Rules       []RuleDescription
	Permissions []Permission // instead of Rules
}

// UpdateSecurityGroupRuleDescriptions describes rules of one direction of a group anew, all of them or
// none. They are named by their ids, or by all else that they are.
func (s *State) UpdateSecurityGroupRuleDescriptions(in NewDescriptions) (Change, error) {
	old, err := s.findGroupByRef(in.Group)
	if err != nil {
		return Change{}, err
	}
	var texts map[RuleID]string
	switch {
	case len(in.Rules) > 0 && len(in.Permissions) > 0:
		err = errCombination("ipPermissions", "securityGroupRuleDescriptions")
	case len(in.Rules) > 0:
		texts, err = old.describedByID(in.Rules, in.Egress)
	case len(in.Permissions) > 0:
		texts, err = s.describedLike(old, in.Permissions, in.Egress)
	default:
		err = Errorf(CodeMissingParameter,
			"Either 'ipPermissions' or 'securityGroupRuleDescriptions' should be provided.")
	}
	if err != nil {
		return Change{}, err
	}
	g := *old
	g.Rules = slices.Clone(old.Rules)
	changed := false
	for i, r := range g.Rules {
		if text, ok := texts[r.ID]; ok && text != r.Description {
			g.Rules[i].Description, g.Rules[i].Changed, changed = text, s.revision+1, true
		}
	}
	if !changed {
		return Change{}, nil
	}
	d := s.draft()
	d.put(&g)
	return d.change(), nil
}

// describedByID returns the descriptions by the rules' ids.
func (g *SecurityGroup) describedByID(list []RuleDescription, egress bool) (map[RuleID]string, error) {
	texts := map[RuleID]string{}
	for _, l := range list {
		n, err := g.ruleWithID(l.Rule)
		if err != nil {
			return nil, err
		}
		if g.Rules[n].Egress != egress {
			return nil, errNoRule(l.Rule)
		}
		if _, ok := texts[l.Rule]; ok {
			return nil, errRuleTwice(l.Rule)
		}
		if !validText(l.Description) {
			return nil, errRuleDescription()
		}
		texts[l.Rule] = l.Description
	}
	return texts, nil
}

// describedLike returns the descriptions that the permissions bring, by the ids of the rules that they
// are like.
func (s *State) describedLike(g *SecurityGroup, permissions []Permission, egress bool) (map[RuleID]string, error) {
	wanted, err := s.rules(permissions, resolve{group: g, egress: egress, described: true})
	if err != nil {
		return nil, err
	}
	ids := g.byIdentity()
	texts := map[RuleID]string{}
	for _, r := range wanted {
		id, ok := ids[r.identity()]
		if !ok {
			return nil, errNoPermission()
		}
		texts[id] = r.Description
	}
	return texts, nil
}

func errRuleTwice(id RuleID) *Error {
	return Errorf(CodeInvalidParameterValue, "The security group rule ID '%s' must not appear multiple times", id)
}

// ruleWithID returns the place of a rule in g.Rules.
func (g *SecurityGroup) ruleWithID(id RuleID) (int, error) {
	if _, err := ParseRuleID(string(id)); err != nil {
		return 0, err
	}
	n := slices.IndexFunc(g.Rules, func(r Rule) bool { return r.ID == id })
	if n < 0 {
		return 0, errNoRule(id)
	}
	return n, nil
}
