package vpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// thirdVPC is one more, that is not the default one.
const thirdVPC = vpc.VPCID("vpc-00000000000000003")

func (a *account) associate(g vpc.GroupID, v vpc.VPCID) error {
	a.t.Helper()
	state, c, err := a.AssociateSecurityGroupVPC(a.env, g, v)
	if err == nil && state != vpc.Associating {
		a.t.Errorf("associate: got the state %s", state)
	}
	return a.done(c, err)
}

func (a *account) disassociate(g vpc.GroupID, v vpc.VPCID) error {
	a.t.Helper()
	state, c, err := a.DisassociateSecurityGroupVPC(a.env, g, v)
	if err == nil && state != vpc.Disassociating {
		a.t.Errorf("disassociate: got the state %s", state)
	}
	return a.done(c, err)
}

// done applies what an action wants, if it was not refused.
func (a *account) done(c vpc.Change, err error) error {
	a.t.Helper()
	if err == nil {
		a.apply(c)
	} else if !c.Empty() {
		a.t.Errorf("refused with a change: %+v", c)
	}
	return err
}

func (a *account) remove(g *vpc.SecurityGroup) error {
	a.t.Helper()
	_, c, err := a.DeleteSecurityGroup(vpc.GroupRef{ID: g.ID})
	return a.done(c, err)
}

func filtered(name string, values ...string) []vpc.Filter {
	return []vpc.Filter{{Name: name, Values: values}}
}

// associations returns group, VPC and state of what is shown.
func (a *account) associations(filters ...vpc.Filter) (out []string) {
	a.t.Helper()
	list, _, err := a.DescribeSecurityGroupVPCAssociations(a.env, vpc.AssociationQuery{Filters: filters})
	if err != nil {
		a.t.Error(err)
	}
	for _, l := range list {
		out = append(out, fmt.Sprint(l.Group.Name, " ", l.VPC, " ", l.State()))
	}
	return out
}

func TestGroupAssociation(t *testing.T) {
	a := newAccount(t)
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.VPC{ID: thirdVPC}}})
	ofDefault, g := a.create("", "d"), a.create(otherVPC, "g")
	standard := &vpc.SecurityGroup{ID: "sg-12345678", VPC: otherVPC, Name: "default"}
	a.apply(vpc.Change{Puts: []vpc.Object{standard}})

	inDefault := "InvalidParameterValue: Security groups cannot be associated with a default VPC, nor can those of a default VPC with another VPC."
	refused(t, a.associate(standard.ID, thirdVPC), "InvalidParameterValue: The security group 'sg-12345678' is a default security group and cannot be associated with another VPC.")
	refused(t, a.associate(ofDefault.ID, thirdVPC), inDefault)
	refused(t, a.associate(g.ID, defaultVPC), inDefault)
	refused(t, a.associate(g.ID, otherVPC), fmt.Sprintf("InvalidParameterValue: The security group '%s' belongs to the VPC '%s' already.", g.ID, otherVPC))
	refused(t, a.associate("sg-87654321", thirdVPC), "InvalidGroup.NotFound: The security group 'sg-87654321' does not exist")
	refused(t, a.associate("g", thirdVPC), `InvalidGroupId.Malformed: Invalid id: "g" (expecting "sg-...")`)
	refused(t, a.associate(g.ID, "vpc-12345678"), "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist")
	refused(t, a.associate(g.ID, ""), "MissingParameter: The request must contain the parameter vpcId")
	notAssociated := fmt.Sprintf("InvalidParameterValue: The security group '%s' is not associated with the VPC '%s'.", g.ID, thirdVPC)
	refused(t, a.disassociate(g.ID, thirdVPC), notAssociated)

	if err := a.associate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	refused(t, a.associate(g.ID, thirdVPC), fmt.Sprintf("InvalidParameterValue: The security group '%s' is already associated with the VPC '%s'.", g.ID, thirdVPC))
	row := "g " + string(thirdVPC)
	for _, f := range [][]vpc.Filter{
		nil, filtered("group-id", string(g.ID)), filtered("vpc-id", string(thirdVPC)), filtered("state", "associated"),
		filtered("group-owner-id", "123456789012"), filtered("vpc-owner-id", "1234*"),
	} {
		if got, want := a.associations(f...), []string{row + " associated"}; !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", f, got, want)
		}
	}
	_, _, err := a.DescribeSecurityGroupVPCAssociations(a.env, vpc.AssociationQuery{Filters: filtered("tag-key", "x")})
	refused(t, err, "InvalidParameterValue: The filter 'tag-key' is invalid")

	// An interface of that VPC, then the association itself pins the group.
	eni := &vpc.NetworkInterface{ID: "eni-12345678", VPC: thirdVPC, Groups: []vpc.GroupID{g.ID}}
	a.apply(vpc.Change{Puts: []vpc.Object{eni}})
	dependent := fmt.Sprintf("DependencyViolation: resource %s has a dependent object", g.ID)
	refused(t, a.disassociate(g.ID, thirdVPC), dependent)
	a.apply(vpc.Change{Deletes: []vpc.Key{eni.Key()}})
	refused(t, a.remove(g), dependent)
	_, err = a.DeleteVPC(a.env, thirdVPC)
	refused(t, err, fmt.Sprintf("DependencyViolation: The vpc '%s' has dependencies and cannot be deleted.", thirdVPC))
	if err := a.disassociate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	refused(t, a.disassociate(g.ID, thirdVPC), notAssociated)

	// What ended is shown for a while, and makes place for a new one.
	if got, want := a.associations(), []string{row + " disassociated"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	a.env.Now = a.env.Now.Add(time.Hour)
	if got := a.associations(); got != nil {
		t.Errorf("an hour later: got %v", got)
	}
	for range 2 {
		if err := a.associate(g.ID, thirdVPC); err != nil {
			t.Fatal(err)
		}
		if got, want := a.associations(), []string{row + " associated"}; !slices.Equal(got, want) {
			t.Errorf("associated again: got %v, want %v", got, want)
		}
		if err := a.disassociate(g.ID, thirdVPC); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.SecurityGroup(g.ID).Associations); n != 1 {
		t.Errorf("%d associations are kept, want 1", n)
	}
	if err := a.remove(g); err != nil {
		t.Errorf("delete a group with nothing but an ended association: %v", err)
	}
	if got := a.associations(); got != nil {
		t.Errorf("of a group that is gone: got %v", got)
	}
}

func TestGetSecurityGroupsForVPC(t *testing.T) {
	a := newAccount(t)
	a.apply(vpc.Change{Puts: []vpc.Object{
		&vpc.VPC{ID: thirdVPC},
		&vpc.SecurityGroup{ID: "sg-12345678", VPC: thirdVPC, Name: "default", Description: "d"},
	}})
	own, further := a.create(thirdVPC, "own"), a.create(otherVPC, "further")
	a.create(otherVPC, "not")
	if err := a.associate(further.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		filters []vpc.Filter
		want    []string
	}{
		{nil, []string{"default", "own", "further"}},
		{filtered("group-id", string(own.ID)), []string{"own"}},
		{filtered("group-name", "f*"), []string{"further"}},
		{filtered("description", "own"), []string{"own"}},
		{filtered("owner-id", "123456789012"), []string{"default", "own", "further"}},
		{filtered("primary-vpc-id", string(otherVPC)), []string{"further"}},
	}
	for _, tt := range tests {
		groups, _, err := a.GetSecurityGroupsForVPC(vpc.VPCGroupQuery{VPC: thirdVPC, Filters: tt.filters})
		var got []string
		for _, g := range groups {
			got = append(got, g.Name)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, %v; want %v", tt.filters, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		q    vpc.VPCGroupQuery
		want string
	}{
		{vpc.VPCGroupQuery{}, "MissingParameter: The request must contain the parameter vpcId"},
		{vpc.VPCGroupQuery{VPC: "vpc-12345678"}, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist"},
		{vpc.VPCGroupQuery{VPC: "x"}, `InvalidVpcID.Malformed: Invalid id: "x" (expecting "vpc-...")`},
		{vpc.VPCGroupQuery{VPC: thirdVPC, Filters: filtered("vpc-id", "x")}, "InvalidParameterValue: The filter 'vpc-id' is invalid"},
		{vpc.VPCGroupQuery{VPC: thirdVPC, Page: vpc.Page{Token: "x"}}, "InvalidNextToken: The token 'x' is invalid"},
	} {
		_, _, err := a.GetSecurityGroupsForVPC(tt.q)
		refused(t, err, tt.want)
	}
}

// Groups that are carried in one VPC may name each other, whichever VPC they were made in.
func TestReferencesOverAssociations(t *testing.T) {
	a := newAccount(t)
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.VPC{ID: thirdVPC}}})
	g, there := a.create(otherVPC, "g"), a.create(thirdVPC, "there")
	name := func(g, peer *vpc.SecurityGroup, egress bool) error {
		_, err := a.authorize(g.ID, egress, permission("-1", nil, vpc.PermissionPeer{Group: peer.ID}))
		return err
	}
	const foreign = "InvalidGroup.NotFound: You have specified two resources that belong to different networks."
	refused(t, name(g, there, false), foreign)
	refused(t, name(there, g, false), foreign)
	if err := a.associate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	if err := name(g, there, false); err != nil {
		t.Fatal(err)
	}
	if err := name(there, g, true); err != nil {
		t.Fatal(err)
	}
	rule := a.SecurityGroup(there.ID).Rules[1]
	want := vpc.Reference{Group: g.ID, Account: "123456789012", VPC: otherVPC}
	if got := a.Reference(there, rule); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	refused(t, a.remove(there), fmt.Sprintf("DependencyViolation: resource %s has a dependent object", there.ID))

	// Without the association both rules are stale; neither pins.
	if err := a.disassociate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	refused(t, name(g, there, true), foreign)
	want.Stale = true
	if got := a.Reference(there, rule); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, v := range []vpc.VPCID{otherVPC, thirdVPC} {
		if stale, _, err := a.DescribeStaleSecurityGroups(v, vpc.Page{}); err != nil || len(stale) != 1 {
			t.Errorf("stale in %s: got %+v, %v", v, stale, err)
		}
	}
	if err := a.remove(there); err != nil {
		t.Errorf("a stale rule pins: %v", err)
	}
	_, c, err := a.RevokeSecurityGroup(vpc.OldRules{
		Group: vpc.GroupRef{ID: g.ID}, Permissions: []vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: there.ID})},
	})
	if a.done(c, err) != nil {
		t.Errorf("revoke a stale rule by what it says: %v", err)
	}
	if stale, _, err := a.DescribeStaleSecurityGroups(otherVPC, vpc.Page{}); err != nil || len(stale) != 0 {
		t.Errorf("after it was revoked: got %+v, %v", stale, err)
	}

	// Both of other VPCs, and carried in a third one.
	third := a.create(thirdVPC, "third")
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.VPC{ID: "vpc-00000000000000004"}}})
	for _, id := range []vpc.GroupID{g.ID, third.ID} {
		if err := a.associate(id, "vpc-00000000000000004"); err != nil {
			t.Fatal(err)
		}
	}
	if err := name(g, third, false); err != nil {
		t.Error(err)
	}
}
