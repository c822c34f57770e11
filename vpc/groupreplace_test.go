package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// replace does what is asked, or fails the test.
func (a *inUse) replace(in vpc.Replacement) vpc.Replaced {
	a.t.Helper()
	out, c, err := a.ReplaceSecurityGroup(in)
	if err != nil || len(out.Problems) > 0 {
		a.t.Fatalf("replace: %v, %v", err, out.Problems)
	}
	a.apply(c)
	return out
}

func TestReplaceSecurityGroup(t *testing.T) {
	a := newInUse(t)
	before := a.SecurityGroup(a.other.ID).Rules[1]
	out := a.replace(vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllInterfaces: true, AllRules: true})
	if len(out.Interfaces) != 2 || len(out.Rules) != 3 {
		t.Errorf("got %d interfaces and %d rules, want 2 and 3", len(out.Interfaces), len(out.Rules))
	}
	for id, want := range map[vpc.InterfaceID][]vpc.GroupID{
		"eni-00000000000000001": {a.other.ID, a.by.ID}, // in the place of the other
		"eni-00000000000000002": {a.by.ID},
	} {
		if got := a.NetworkInterface(id).Groups; !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", id, got, want)
		}
	}
	for _, of := range []vpc.GroupID{a.g.ID, a.other.ID, a.standard.ID} {
		for _, r := range a.SecurityGroup(of).Rules {
			if r.Peer.Group == a.g.ID {
				t.Errorf("a rule of %s still names the group", of)
			}
		}
	}
	// It is the same rule, that allows something else: as after ModifySecurityGroupRules.
	after := a.SecurityGroup(a.other.ID).Rules[1]
	if after.ID != before.ID || after.Description != "from g" || after.Number == before.Number || after.First != before.Number ||
		after.Peer.Group != a.by.ID || after.From != before.From {
		t.Errorf("the rule was %+v and is %+v", before, after)
	}
	if !a.SecurityGroup(a.standard.ID).EgressModified {
		t.Error("the outbound rules of the default group do not count as modified")
	}
}

func TestReplaceSecurityGroupInPart(t *testing.T) {
	a := newInUse(t)
	a.wear("eni-00000000000000003", thirdVPC, a.by.ID, a.g.ID, a.other.ID)
	a.replace(vpc.Replacement{Group: a.g.ID, By: a.by.ID, Interfaces: []vpc.InterfaceID{"eni-00000000000000003"}})
	if got, want := a.NetworkInterface("eni-00000000000000003").Groups, []vpc.GroupID{a.by.ID, a.other.ID}; !slices.Equal(got, want) {
		t.Errorf("an interface that carries both: got %v, want %v", got, want)
	}
	rule := a.SecurityGroup(a.other.ID).Rules[1].ID
	a.replace(vpc.Replacement{Group: a.g.ID, By: a.by.ID, Rules: []vpc.RuleID{rule, rule}})
	u := a.uses(nil, a.g.ID)[0]
	if u.InterfaceCount != 2 || u.RuleCount != 2 {
		t.Errorf("left are %d interfaces and %d rules, want 2 and 2", u.InterfaceCount, u.RuleCount)
	}
}

// What one of the calls would refuse is refused for all, and a preview says of each what it is.
func TestReplaceSecurityGroupProblems(t *testing.T) {
	a := newInUse(t)
	duplicate := permission("tcp", []int32{81, 81}, vpc.PermissionPeer{Group: a.by.ID})
	if _, err := a.authorize(a.other.ID, false, duplicate); err != nil {
		t.Fatal(err)
	}
	further := permission("tcp", []int32{443, 443}, vpc.PermissionPeer{Group: a.g.ID})
	if _, err := a.authorize(a.other.ID, false, further); err != nil {
		t.Fatal(err)
	}
	a.wear("eni-00000000000000003", otherVPC, a.g.ID) // where by is not associated
	rule := a.SecurityGroup(a.other.ID).Rules[1].ID
	out, c, err := a.ReplaceSecurityGroup(vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllInterfaces: true, AllRules: true})
	if err != nil || !c.Empty() {
		t.Fatalf("got %v and the change %+v", err, c)
	}
	var got []string
	for _, p := range out.Problems {
		got = append(got, fmt.Sprint(p.Interface, p.Rule, " ", p.Refusal))
	}
	if want := []string{
		"eni-00000000000000003 InvalidGroup.NotFound: You have specified two resources that belong to different networks.",
		string(rule) + ` InvalidPermission.Duplicate: the specified rule "peer: ` + string(a.by.ID) + `, TCP, from port: 81, to port: 81, ALLOW" already exists`,
	}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(out.Interfaces) != 2 || len(out.Rules) != 3 {
		t.Errorf("got %d interfaces and %d rules that could be, want 2 and 3", len(out.Interfaces), len(out.Rules))
	}
}

func TestReplaceSecurityGroupRefuses(t *testing.T) {
	a := newInUse(t)
	foreign := a.create(otherVPC, "foreign")
	enis := []vpc.InterfaceID{"eni-00000000000000001"}
	own := a.SecurityGroup(a.by.ID).Rules[0].ID
	for _, tt := range []struct {
		in   vpc.Replacement
		want string
	}{
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID}, "MissingParameter: The request must contain at least one of: allNetworkInterfaces, networkInterfaceIds, allSecurityGroupRules, or securityGroupRuleIds"},
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllInterfaces: true, Interfaces: enis}, "InvalidParameterCombination: The parameter allNetworkInterfaces cannot be used with the parameter networkInterfaceIds"},
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllRules: true, Rules: []vpc.RuleID{own}}, "InvalidParameterCombination: The parameter allSecurityGroupRules cannot be used with the parameter securityGroupRuleIds"},
		{vpc.Replacement{Group: a.g.ID, By: a.g.ID, AllRules: true}, fmt.Sprintf("InvalidParameterValue: The security group '%s' cannot be replaced by itself.", a.g.ID)},
		{vpc.Replacement{Group: "sg-12345678", By: a.by.ID, AllRules: true}, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{vpc.Replacement{Group: a.g.ID, By: "by", AllRules: true}, `InvalidGroupId.Malformed: Invalid id: "by" (expecting "sg-...")`},
		{vpc.Replacement{Group: a.by.ID, By: a.g.ID, Interfaces: enis}, fmt.Sprintf("InvalidParameterValue: The network interface 'eni-00000000000000001' does not carry the security group '%s'.", a.by.ID)},
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID, Interfaces: []vpc.InterfaceID{"eni-12345678"}}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID, Rules: []vpc.RuleID{own}}, fmt.Sprintf("InvalidParameterValue: The security group rule '%s' does not name the security group '%s'.", own, a.g.ID)},
		{vpc.Replacement{Group: a.g.ID, By: a.by.ID, Rules: []vpc.RuleID{"sgr-12345678"}}, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-12345678' does not exist"},
	} {
		_, c, err := a.ReplaceSecurityGroup(tt.in)
		refused(t, a.done(c, err), tt.want)
	}
	out, _, err := a.ReplaceSecurityGroup(vpc.Replacement{Group: a.g.ID, By: foreign.ID, AllInterfaces: true, AllRules: true})
	if err != nil || len(out.Problems) != 4 { // the rule of g itself may: g is carried there, too
		t.Errorf("by a group of another VPC: got %v, %v; want 4 problems", out.Problems, err)
	}
}
