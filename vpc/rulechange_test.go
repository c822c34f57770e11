package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) modifyRules(g vpc.GroupID, updates ...vpc.RuleUpdate) error {
	a.t.Helper()
	before := a.SecurityGroup(g)
	var rules []vpc.Rule
	if before != nil {
		rules = slices.Clone(before.Rules)
	}
	c, err := a.ModifySecurityGroupRules(g, updates)
	if before != nil && fmt.Sprint(rules) != fmt.Sprint(before.Rules) {
		a.t.Error("the action wrote into the state that it was given")
	}
	if err == nil {
		a.apply(c)
	} else if !c.Empty() {
		a.t.Errorf("refused with a change: %+v", c)
	}
	return err
}

// list puts a prefix list, as its own actions would.
func (a *account) list(id vpc.PrefixListID, ipv6 bool, maxEntries int) {
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.PrefixList{ID: id, Name: string(id), IPv6: ipv6, MaxEntries: maxEntries}}})
}

func TestModifySecurityGroupRules(t *testing.T) {
	a := newAccount(t)
	a.list("pl-11111111", false, 2)
	a.list("pl-22222222", true, 2)
	g, h := a.create(otherVPC, "g"), a.create(otherVPC, "h")
	rules, err := a.authorize(g.ID, false,
		permission("tcp", ports(22, 22), vpc.PermissionPeer{IPv4: "10.0.0.0/8", Description: "old"}),
		permission("tcp", ports(22, 22), ip4("11.0.0.0/8")),
		permission("-1", nil, vpc.PermissionPeer{PrefixList: "pl-11111111"}),
		permission("-1", nil, vpc.PermissionPeer{Group: g.ID}))
	if err != nil {
		t.Fatal(err)
	}
	tagged := *a.SecurityGroup(g.ID)
	tagged.Rules = slices.Clone(tagged.Rules)
	tagged.Rules[2].Tags = vpc.Tags{"k": "v"}
	a.apply(vpc.Change{Puts: []vpc.Object{&tagged}})
	egress6 := g.Rules[1]
	next := a.Installation().NextRule

	// Ingress and egress in one call, and two rules that change places.
	err = a.modifyRules(g.ID,
		vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "6", From: new(int32(22)), To: new(int32(22)), IPv4: "11.9.9.9/8"},
		vpc.RuleUpdate{Rule: rules[1].ID, Protocol: "tcp", From: new(int32(22)), To: new(int32(22)), IPv4: "10.0.0.0/8", Description: "new"},
		vpc.RuleUpdate{Rule: rules[2].ID, Protocol: "17", From: new(int32(53)), To: new(int32(53)), PrefixList: "pl-22222222"},
		vpc.RuleUpdate{Rule: rules[3].ID, Protocol: "-1", Group: g.ID, Description: "only the text"},
		vpc.RuleUpdate{Rule: egress6.ID, Protocol: "icmpv6", IPv6: "fd00::1/16"},
	)
	if err != nil {
		t.Fatal(err)
	}
	now := a.SecurityGroup(g.ID)
	var got []string
	for _, r := range now.Rules {
		got = append(got, fmt.Sprintf("%s %d %d %s %q", r.ID, r.Number-next, r.First, r, r.Description))
	}
	was := func(r vpc.Rule) uint32 { return r.Number - next }
	want := []string{
		fmt.Sprintf(`%s %d 0 peer: 0.0.0.0/0, ALL, ALLOW ""`, g.Rules[0].ID, was(g.Rules[0])),
		fmt.Sprintf(`%s 3 %d peer: fd00::/16, ICMPv6, type: ALL, code: ALL, ALLOW ""`, egress6.ID, egress6.Number),
		fmt.Sprintf(`%s 0 %d peer: 11.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW ""`, rules[0].ID, rules[0].Number),
		fmt.Sprintf(`%s 1 %d peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW "new"`, rules[1].ID, rules[1].Number),
		fmt.Sprintf(`%s 2 %d peer: pl-22222222, UDP, from port: 53, to port: 53, ALLOW ""`, rules[2].ID, rules[2].Number),
		fmt.Sprintf(`%s %d 0 peer: %s, ALL, ALLOW "only the text"`, rules[3].ID, was(rules[3]), g.ID),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !now.EgressModified || now.Rules[2].Tags["k"] != "v" || a.Installation().NextRule != next+4 {
		t.Errorf("egress modified %t, tags %v, next number %d; want true, k=v, %d", now.EgressModified, now.Rules[2].Tags, a.Installation().NextRule, next+4)
	}
	// A second change of a rule keeps its place in the order of creation.
	if err := a.modifyRules(g.ID, vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", IPv4: "11.0.0.0/8"}); err != nil {
		t.Error(err)
	}
	described, _, err := a.DescribeSecurityGroupRules(vpc.RuleQuery{Filters: []vpc.Filter{{Name: "group-id", Values: []string{string(g.ID)}}}})
	if err != nil || len(described) != 6 || described[2].Rule.ID != rules[0].ID || described[5].Rule.ID != rules[3].ID {
		t.Errorf("order: got %+v, %v", described, err)
	}
	// What changes nothing writes nothing.
	c, err := a.ModifySecurityGroupRules(g.ID, []vpc.RuleUpdate{{Rule: rules[0].ID, Protocol: "-1", From: new(int32(0)), IPv4: "11.1.1.1/8"}})
	if err != nil || len(c.Deletes) > 0 || a.Apply(c, 99).Installation() != a.Installation() {
		t.Errorf("a change to the same: got %+v, %v", c, err)
	}

	const (
		oneOf = "MissingParameter: The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId"
		only  = "InvalidParameterCombination: Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified"
	)
	ok := vpc.RuleUpdate{Rule: rules[1].ID, Protocol: "-1", IPv4: "12.0.0.0/8"}
	kind := func(id vpc.RuleID, parameter, words string) string {
		return fmt.Sprintf("InvalidParameterValue: Invalid rule type for security group rule '%s'. You may not specify %s for an existing %s rule.", id, parameter, words)
	}
	theirs := h.Rules[0].ID
	refusals := []struct {
		u    vpc.RuleUpdate
		want string
	}{
		{vpc.RuleUpdate{Rule: "sgr-12345678", Protocol: "-1", IPv4: "12.0.0.0/8"}, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-12345678' does not exist"},
		{vpc.RuleUpdate{Rule: theirs, Protocol: "-1", IPv4: "12.0.0.0/8"}, fmt.Sprintf("InvalidSecurityGroupRuleId.NotFound: The security group rule ID '%s' does not exist", theirs)},
		{vpc.RuleUpdate{Rule: "sgr", Protocol: "-1", IPv4: "12.0.0.0/8"}, `InvalidSecurityGroupRuleId.Malformed: Invalid id: "sgr" (expecting "sgr-...")`},
		{vpc.RuleUpdate{Rule: rules[0].ID, IPv4: "12.0.0.0/8"}, "InvalidParameterValue: Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "tcp", IPv4: "12.0.0.0/8"}, "InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with TCP/UDP."},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "gre", IPv4: "12.0.0.0/8"}, "InvalidParameterValue: Invalid value 'gre' for IP protocol. Unknown protocol."},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1"}, oneOf},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", IPv4: "12.0.0.0/8", IPv6: "::/0"}, only},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", IPv4: "12.0.0.0"}, "InvalidParameterValue: CIDR block 12.0.0.0 is malformed"},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", IPv6: "::/0"}, kind(rules[0].ID, "CidrIpv6", "IPv4 CIDR")},
		{vpc.RuleUpdate{Rule: egress6.ID, Protocol: "-1", IPv4: "0.0.0.0/0"}, kind(egress6.ID, "CidrIpv4", "IPv6 CIDR")},
		{vpc.RuleUpdate{Rule: rules[2].ID, Protocol: "-1", Group: g.ID}, kind(rules[2].ID, "ReferencedGroupId", "prefix list")},
		{vpc.RuleUpdate{Rule: rules[3].ID, Protocol: "-1", PrefixList: "pl-11111111"}, kind(rules[3].ID, "PrefixListId", "referenced group")},
		{vpc.RuleUpdate{Rule: rules[2].ID, Protocol: "-1", PrefixList: "pl-12345678"}, "InvalidPrefixListID.NotFound: The prefix list ID 'pl-12345678' does not exist"},
		{vpc.RuleUpdate{Rule: rules[3].ID, Protocol: "-1", Group: "sg-12345678"}, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", IPv4: "12.0.0.0/8", Description: "é"}, "InvalidParameterValue: Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"},
		{vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "tcp", From: new(int32(22)), To: new(int32(22)), IPv4: "10.0.0.0/8"}, `InvalidPermission.Duplicate: the specified rule "peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW" already exists`},
		{vpc.RuleUpdate{Rule: rules[1].ID, Protocol: "-1", IPv4: "13.0.0.0/8"}, fmt.Sprintf("InvalidParameterValue: The security group rule ID '%s' must not appear multiple times", rules[1].ID)},
	}
	for _, tt := range refusals {
		updates := []vpc.RuleUpdate{ok, tt.u}
		if vpc.CodeOf(a.modifyRules(g.ID, tt.u)) == vpc.CodeInvalidPermissionDuplicate {
			updates = updates[1:] // the first update would make room for the second
		}
		refused(t, a.modifyRules(g.ID, updates...), tt.want)
	}
	refused(t, a.modifyRules("sg-12345678", ok), "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist")
	refused(t, a.modifyRules(g.ID), "MissingParameter: The request must contain the parameter SecurityGroupRule")
}

// A rule may grow into the quota and not beyond, and a full group's rules may change.
func TestModifyHoldsTheQuota(t *testing.T) {
	a := newAccount(t)
	a.setQuota(vpc.RulesPerSecurityGroup, 10)
	a.list("pl-11111111", false, 4)
	a.list("pl-22222222", false, 9)
	a.list("pl-33333333", true, 10)
	g := a.create(otherVPC, "g")
	rules, err := a.authorize(g.ID, false,
		permission("-1", nil, vpc.PermissionPeer{PrefixList: "pl-11111111"}, ip4("10.0.0.0/8"), ip4("11.0.0.0/8")))
	if err != nil {
		t.Fatal(err)
	}
	list := func(id vpc.PrefixListID) vpc.RuleUpdate {
		return vpc.RuleUpdate{Rule: rules[0].ID, Protocol: "-1", PrefixList: id}
	}
	refused(t, a.modifyRules(g.ID, list("pl-22222222")), "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached.")
	if err := a.modifyRules(g.ID, list("pl-33333333")); err != nil {
		t.Errorf("into the other family: %v", err)
	}
	a.setQuota(vpc.RulesPerSecurityGroup, 1)
	if err := a.modifyRules(g.ID, vpc.RuleUpdate{Rule: rules[1].ID, Protocol: "-1", IPv4: "12.0.0.0/8"}); err != nil {
		t.Errorf("no more than before: %v", err)
	}
}

func TestUpdateRuleDescriptions(t *testing.T) {
	a := newAccount(t)
	g := a.create("", "g")
	rules, err := a.authorize(g.ID, false,
		permission("tcp", ports(22, 22), vpc.PermissionPeer{IPv4: "10.0.0.0/8", Description: "ten"}, vpc.PermissionPeer{IPv4: "11.0.0.0/8", Description: "eleven"}))
	if err != nil {
		t.Fatal(err)
	}
	egress := g.Rules[0].ID
	update := func(in vpc.NewDescriptions) error {
		if in.Group == (vpc.GroupRef{}) {
			in.Group.ID = g.ID
		}
		c, err := a.UpdateSecurityGroupRuleDescriptions(in)
		if err == nil {
			a.apply(c)
		} else if !c.Empty() {
			t.Errorf("refused with a change: %+v", c)
		}
		return err
	}
	texts := func() string {
		var out []string
		for _, r := range a.SecurityGroup(g.ID).Rules {
			out = append(out, r.Description)
		}
		return fmt.Sprintf("%q", out)
	}
	byID := func(id vpc.RuleID, text string) []vpc.RuleDescription {
		return []vpc.RuleDescription{{Rule: id, Description: text}}
	}
	for _, step := range []struct {
		in   vpc.NewDescriptions
		want string
	}{
		{vpc.NewDescriptions{Rules: byID(rules[0].ID, "10 & more")}, `["" "10 & more" "eleven"]`},
		{vpc.NewDescriptions{Group: vpc.GroupRef{Name: "G"}, Permissions: []vpc.Permission{
			permission("6", ports(22, 22), vpc.PermissionPeer{IPv4: "11.1.1.1/8", Description: "by name"}, ip4("10.0.0.0/8")),
		}}, `["" "" "by name"]`},
		{vpc.NewDescriptions{Rules: byID(rules[1].ID, "")}, `["" "" ""]`},
		{vpc.NewDescriptions{Egress: true, Permissions: []vpc.Permission{
			permission("-1", ports(0, 0), vpc.PermissionPeer{IPv4: "0.0.0.0/0", Description: "all"}),
		}}, `["all" "" ""]`},
	} {
		if err := update(step.in); err != nil || texts() != step.want {
			t.Errorf("%+v: got %s, %v; want %s", step.in, texts(), err, step.want)
		}
	}
	if now := a.SecurityGroup(g.ID); now.EgressModified || now.Rules[1].Number != rules[0].Number {
		t.Errorf("a description counts as a change of the rule: %+v", now)
	}

	const text = "InvalidParameterValue: Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
	noRule := func(id vpc.RuleID) string {
		return fmt.Sprintf("InvalidSecurityGroupRuleId.NotFound: The security group rule ID '%s' does not exist", id)
	}
	none := "InvalidPermission.NotFound: The specified rule does not exist in this security group."
	refusals := []struct {
		in   vpc.NewDescriptions
		want string
	}{
		{vpc.NewDescriptions{}, "MissingParameter: Either 'ipPermissions' or 'securityGroupRuleDescriptions' should be provided."},
		{vpc.NewDescriptions{Rules: byID(rules[0].ID, ""), Permissions: []vpc.Permission{{}}}, "InvalidParameterCombination: The parameter ipPermissions cannot be used with the parameter securityGroupRuleDescriptions"},
		{vpc.NewDescriptions{Rules: byID("sgr-12345678", "")}, noRule("sgr-12345678")},
		{vpc.NewDescriptions{Rules: byID("x", "")}, `InvalidSecurityGroupRuleId.Malformed: Invalid id: "x" (expecting "sgr-...")`},
		{vpc.NewDescriptions{Rules: byID(egress, "")}, noRule(egress)},
		{vpc.NewDescriptions{Egress: true, Rules: byID(rules[0].ID, "")}, noRule(rules[0].ID)},
		{vpc.NewDescriptions{Rules: append(byID(rules[0].ID, "a"), byID(rules[0].ID, "b")...)}, fmt.Sprintf("InvalidParameterValue: The security group rule ID '%s' must not appear multiple times", rules[0].ID)},
		{vpc.NewDescriptions{Rules: byID(rules[0].ID, "<")}, text},
		{vpc.NewDescriptions{Permissions: []vpc.Permission{permission("tcp", ports(22, 22), vpc.PermissionPeer{IPv4: "10.0.0.0/8", Description: "<"})}}, text},
		{vpc.NewDescriptions{Permissions: []vpc.Permission{permission("tcp", ports(22, 22), vpc.PermissionPeer{IPv4: "10.0.0.0/8", Description: "x"}, ip4("12.0.0.0/8"))}}, none},
		{vpc.NewDescriptions{Egress: true, Permissions: []vpc.Permission{permission("tcp", ports(22, 22), ip4("10.0.0.0/8"))}}, none},
		{vpc.NewDescriptions{Group: vpc.GroupRef{ID: "sg-12345678"}, Rules: byID(rules[0].ID, "")}, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
	}
	before := texts()
	for _, tt := range refusals {
		refused(t, update(tt.in), tt.want)
	}
	_, err = a.UpdateSecurityGroupRuleDescriptions(vpc.NewDescriptions{Rules: byID(rules[0].ID, "")})
	refused(t, err, "MissingParameter: The request must contain the parameter groupName or groupId")
	if texts() != before {
		t.Errorf("refused calls changed %s to %s", before, texts())
	}
}
