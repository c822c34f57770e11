package vpc_test

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// groupStep takes an action on groups beyond their VPC, or on their rules.
func (w *walk) groupStep(g, other vpc.GroupID, v vpc.VPCID) (string, vpc.Change, error) {
	peerings := slices.Collect(w.Peerings())
	aPeering := func() vpc.PeeringID {
		return pick(w, peerings, func(p *vpc.PeeringConnection) vpc.PeeringID { return p.ID }, "pcx-12345678")
	}
	egress := w.r.IntN(3) == 0
	aPeer := func() vpc.PermissionPeer {
		return []vpc.PermissionPeer{
			{IPv4: fmt.Sprintf("10.%d.0.0/16", w.r.IntN(3))},
			{IPv6: fmt.Sprintf("fd00:%d::/32", w.r.IntN(3))},
			{Group: other},
			{Group: g},
		}[w.r.IntN(4)]
	}
	var rules []vpc.Rule
	if named := w.SecurityGroup(g); named != nil {
		rules = named.Rules
	}
	aRule := func() vpc.RuleID {
		return pick(w, rules, func(r vpc.Rule) vpc.RuleID { return r.ID }, "sgr-12345678")
	}
	switch w.r.IntN(16) {
	case 15:
		out, c, err := w.ReplaceSecurityGroup(vpc.Replacement{Group: other, By: g, AllInterfaces: w.r.IntN(2) == 0, AllRules: true})
		if err == nil && len(out.Problems) > 0 {
			err = out.Problems[0].Refusal
		}
		return "replace", c, err
	case 9, 10, 11:
		enis := slices.Collect(w.NetworkInterfaces())
		id := pick(w, enis, func(e *vpc.NetworkInterface) vpc.InterfaceID { return e.ID }, "eni-12345678")
		groups := []vpc.GroupID{g}
		if eni := w.NetworkInterface(id); eni != nil { // what it may have; groups that are associated come last
			may, _, err := w.GetSecurityGroupsForVPC(vpc.VPCGroupQuery{VPC: eni.VPC})
			if err != nil || len(may) == 0 {
				return "carry", vpc.Change{}, fmt.Errorf("groups for %s: %v, %w", eni.VPC, may, err)
			}
			groups = []vpc.GroupID{may[len(may)-1].ID}
		}
		c, err := w.ModifyNetworkInterface(id, vpc.InterfaceChange{Groups: groups})
		return "carry", c, err
	case 0: // such that it can be peered
		_, c, err := w.CreateVPC(w.env, vpc.NewVPC{CIDR: fmt.Sprintf("10.%d.0.0/16", w.r.IntN(4)), IPv6: w.r.IntN(2) == 0})
		return "create vpc", c, err
	case 1:
		in := vpc.NewPeering{Requester: v, Accepter: v}
		if named := w.SecurityGroup(other); named != nil {
			in.Accepter = named.VPC
		}
		_, c, err := w.CreatePeering(w.env, in)
		return "peer", c, err
	case 2:
		_, c, err := w.AcceptPeering(w.env, aPeering())
		return "accept peering", c, err
	case 3:
		if w.r.IntN(3) > 0 { // let most of them live
			break
		}
		c, err := w.DeletePeering(w.env, aPeering())
		return "delete peering", c, err
	case 4:
		_, c, err := w.AssociateSecurityGroupVPC(w.env, g, v)
		return "associate", c, err
	case 5:
		all, _, err := w.DescribeSecurityGroupVPCAssociations(w.env, vpc.AssociationQuery{})
		if err != nil {
			return "disassociate", vpc.Change{}, err
		}
		if len(all) > 0 && w.r.IntN(5) > 0 {
			a := all[w.r.IntN(len(all))]
			g, v = a.Group.ID, a.VPC
		}
		_, c, err := w.DisassociateSecurityGroupVPC(w.env, g, v)
		return "disassociate", c, err
	case 6:
		_, c, err := w.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: g}, Egress: egress, Rules: []vpc.RuleID{aRule()}})
		return "revoke", c, err
	case 7:
		var updates []vpc.RuleUpdate
		for range 1 + w.r.IntN(2) {
			u := vpc.RuleUpdate{Rule: aRule(), Protocol: []string{"-1", "50"}[w.r.IntN(2)], Description: fmt.Sprint(w.r.IntN(2))}
			for _, r := range rules { // of the rule's own kind
				switch {
				case r.ID != u.Rule:
				case r.Peer.PrefixList != "":
					u.PrefixList = r.Peer.PrefixList
				case r.Peer.Group != "":
					u.Group = other
				case r.Peer.CIDR.Addr().Is4():
					u.IPv4 = fmt.Sprintf("10.%d.0.0/16", w.r.IntN(3))
				default:
					u.IPv6 = fmt.Sprintf("fd00:%d::/32", w.r.IntN(3))
				}
			}
			updates = append(updates, u)
		}
		c, err := w.ModifySecurityGroupRules(g, updates)
		return "modify rules", c, err
	case 8:
		c, err := w.UpdateSecurityGroupRuleDescriptions(vpc.NewDescriptions{
			Group: vpc.GroupRef{ID: g}, Egress: egress, Rules: []vpc.RuleDescription{{Rule: aRule(), Description: fmt.Sprint(w.r.IntN(3))}},
		})
		return "describe rule", c, err
	}
	_, _, c, err := w.AuthorizeSecurityGroup(w.env, vpc.NewRules{
		Group: vpc.GroupRef{ID: g}, Egress: egress,
		Permissions: []vpc.Permission{permission([]string{"-1", "50"}[w.r.IntN(2)], nil, aPeer(), aPeer())},
	})
	return "authorize", c, err
}

// groupInvariants returns what is wrong with the groups of a State and their rules.
func groupInvariants(s *vpc.State) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if n := s.Count(vpc.KindSecurityGroup); n > s.Quota(vpc.SecurityGroupsPerRegion) {
		bad("there are %d groups", n)
	}
	ids, numbers := map[vpc.RuleID]bool{}, map[uint32]bool{}
	for g := range s.SecurityGroups() {
		own := s.VPC(g.VPC)
		if own == nil {
			bad("%s is of no VPC", g.ID)
			continue
		}
		if s.GroupNamed(g.VPC, g.Name) != g {
			bad("%s is not the only %q in its VPC", g.ID, g.Name)
		}
		with := map[vpc.VPCID]bool{g.VPC: true}
		for _, a := range g.Associations {
			v := s.VPC(a.VPC)
			if with[a.VPC] || a.Ended.IsZero() && (v == nil || v.IsDefault || own.IsDefault || g.Name == "default") {
				bad("%s is associated with %+v", g.ID, a)
			}
			with[a.VPC] = true
		}
		seen := map[string]bool{}
		weight := map[string]int{}
		for _, r := range g.Rules {
			if ids[r.ID] || s.GroupOfRule(r.ID) != g {
				bad("%s: rule %s is there twice", g.ID, r.ID)
			}
			if numbers[r.Number] || r.Number == 0 || r.Number >= s.Installation().NextRule || r.First >= r.Number {
				bad("%s: rule number %d, once %d", r.ID, r.Number, r.First)
			}
			if what := fmt.Sprint(r.Egress, r); seen[what] {
				bad("%s: there is another %s", r.ID, what)
			} else {
				seen[what] = true
			}
			ids[r.ID], numbers[r.Number] = true, true
			for family, n := range weights(s, r) {
				weight[fmt.Sprint(family, r.Egress)] += n
			}
			if r.Peer.Group != "" {
				wrong = append(wrong, wrongReference(s, g, r)...)
			}
		}
		for what, n := range weight {
			if n > s.Quota(vpc.RulesPerSecurityGroup) {
				bad("%s: %s counts %d", g.ID, what, n)
			}
		}
	}
	return wrong
}

// weights are what a rule counts for in each family.
func weights(s *vpc.State, r vpc.Rule) map[string]int {
	switch {
	case r.Peer.Group != "":
		return map[string]int{"IPv4": 1, "IPv6": 1}
	case r.Peer.PrefixList != "" && s.PrefixList(r.Peer.PrefixList).IPv6:
		return map[string]int{"IPv6": s.PrefixList(r.Peer.PrefixList).MaxEntries}
	case r.Peer.PrefixList != "":
		return map[string]int{"IPv4": s.PrefixList(r.Peer.PrefixList).MaxEntries}
	case r.Peer.CIDR.Addr().Is4():
		return map[string]int{"IPv4": 1}
	default:
		return map[string]int{"IPv6": 1}
	}
}

// wrongReference returns what is wrong with a rule of g that names a group: it is there, or the rule is
// stale; and the rule is stale exactly if no interface that may carry g has one that may carry the named
// group in its domain, which is its VPC and that VPC's peers.
func wrongReference(s *vpc.State, g *vpc.SecurityGroup, r vpc.Rule) (wrong []string) {
	named := s.SecurityGroup(r.Peer.Group)
	matches := false
	if named != nil {
		for v := range s.VPCs() {
			if v.ID != g.VPC && !associated(g, v.ID) {
				continue
			}
			for _, in := range append(slices.Collect(s.ActivePeers(v.ID)), v.ID) {
				matches = matches || in == named.VPC || associated(named, in)
			}
		}
	}
	if ref := s.Reference(g, r); ref.Stale == matches || (ref.Account == "") != (named == nil && ref.Peering != "") {
		wrong = append(wrong, fmt.Sprintf("%s: %+v; it can match: %t", r.ID, ref, matches))
	}
	if named == nil && r.PeerVPC == "" {
		wrong = append(wrong, fmt.Sprintf("%s names %s of its own VPC, which is gone", r.ID, r.Peer.Group))
	}
	if named != nil && named.VPC != g.VPC && named.VPC != r.PeerVPC {
		wrong = append(wrong, fmt.Sprintf("%s names %s of %s, which is of %s", r.ID, named.ID, r.PeerVPC, named.VPC))
	}
	return wrong
}
