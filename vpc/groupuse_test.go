package vpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// inUse is an account in whose third VPC every sort of use of the group g is: eni-…1 carries it and other,
// eni-…2 it alone; g, other and the default group have a rule that names it; and it is associated with
// another VPC.
type inUse struct {
	*account
	g, other, by, standard *vpc.SecurityGroup
}

func (a *account) wear(id vpc.InterfaceID, v vpc.VPCID, groups ...vpc.GroupID) {
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.NetworkInterface{ID: id, VPC: v, Groups: groups}}})
}

func newInUse(t *testing.T) *inUse {
	t.Helper()
	a := &inUse{account: newAccount(t)}
	a.standard = &vpc.SecurityGroup{ID: "sg-0000000000000000d", VPC: thirdVPC, Name: "default"}
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.VPC{ID: thirdVPC}, a.standard}})
	a.g, a.other, a.by = a.create(thirdVPC, "g"), a.create(thirdVPC, "other"), a.create(thirdVPC, "by")
	a.wear("eni-00000000000000001", thirdVPC, a.other.ID, a.g.ID)
	a.wear("eni-00000000000000002", thirdVPC, a.g.ID)
	for i, of := range []*vpc.SecurityGroup{a.g, a.other, a.standard} {
		p := permission("tcp", []int32{int32(80 + i), int32(80 + i)}, vpc.PermissionPeer{Group: a.g.ID, Description: "from g"})
		if _, err := a.authorize(of.ID, i == 2, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.associate(a.g.ID, otherVPC); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *inUse) uses(most *int32, ids ...vpc.GroupID) []vpc.GroupUses {
	a.t.Helper()
	out, next, err := a.SecurityGroupUses(a.env, vpc.UsesQuery{Groups: ids, Most: most})
	if err != nil || next != "" {
		a.t.Fatalf("uses of %v: %v, next %q", ids, err, next)
	}
	return out
}

// blockersOf returns kind, count and ids of what stands in the way of a delete.
func blockersOf(u vpc.GroupUses) (out []string) {
	for _, b := range u.Blockers {
		out = append(out, fmt.Sprint(b.Kind, " ", b.Count, " ", strings.Join(b.IDs, " ")))
	}
	return out
}

func TestSecurityGroupUses(t *testing.T) {
	a := newInUse(t)
	u := a.uses(nil, a.g.ID)[0]
	if u.InterfaceCount != 2 || len(u.Interfaces) != 2 || u.Interfaces[1].ID != "eni-00000000000000002" {
		t.Errorf("interfaces: got %d, %v", u.InterfaceCount, u.Interfaces)
	}
	var rules []string
	for _, r := range u.Rules {
		rules = append(rules, fmt.Sprint(r.Group.Name, " ", r.Rule.From, " blocks=", r.Blocks, " stale=", r.Stale))
	}
	slices.Sort(rules)
	want := []string{"default 82 blocks=true stale=false", "g 80 blocks=false stale=false", "other 81 blocks=true stale=false"}
	if !slices.Equal(rules, want) || u.RuleCount != 3 {
		t.Errorf("rules: got %d, %q, want %q", u.RuleCount, rules, want)
	}
	if len(u.Associations) != 1 || u.Associations[0].VPC != otherVPC {
		t.Errorf("associations: got %v", u.Associations)
	}
	ofDefault := a.SecurityGroup(a.standard.ID).Rules[0].ID
	ofOther := a.SecurityGroup(a.other.ID).Rules[1].ID
	got := blockersOf(u)
	if want := []string{
		"network-interface 2 eni-00000000000000001 eni-00000000000000002",
		fmt.Sprintf("security-group-rule 2 %s %s", ofOther, ofDefault),
		"vpc-association 1 " + string(otherVPC),
	}; !slices.Equal(got, want) {
		t.Errorf("blockers: got %q\nwant %q", got, want)
	}
	if got, want := blockersOf(a.uses(new(int32(1)), a.g.ID)[0])[0], "network-interface 2 eni-00000000000000001"; got != want {
		t.Errorf("the first only: got %q, want %q", got, want)
	}
	if got := blockersOf(a.uses(nil, a.by.ID)[0]); got != nil {
		t.Errorf("of a group without uses: %q", got)
	}
	if got, want := blockersOf(a.uses(nil, a.standard.ID)[0]), []string{"default-group 1 "}; !slices.Equal(got, want) {
		t.Errorf("of the default group: got %q, want %q", got, want)
	}
	if got := len(a.uses(nil)); got != a.Count(vpc.KindSecurityGroup) {
		t.Errorf("of all groups: got %d", got)
	}
	_, _, err := a.SecurityGroupUses(a.env, vpc.UsesQuery{Groups: []vpc.GroupID{"sg-12345678"}})
	refused(t, err, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist")
}

// Who asks for all groups gets them in pages, also if no number is named.
func TestUsesOfManyGroups(t *testing.T) {
	a := newInUse(t)
	for n := range 150 {
		a.create(thirdVPC, fmt.Sprint("many-", n))
	}
	query, met := vpc.UsesQuery{}, 0
	for {
		page, next, err := a.SecurityGroupUses(a.env, query)
		if err != nil || len(page) > 100 {
			t.Fatalf("a page of %d groups: %v; want 100 at most", len(page), err)
		}
		if met += len(page); next == "" {
			break
		}
		query.Page.Token = next
	}
	if want := a.Count(vpc.KindSecurityGroup); met != want {
		t.Errorf("%d groups on all pages, want %d", met, want)
	}
}

// Whatever stands in the way, the first blocker has the words of DeleteSecurityGroup, and a group that it
// deletes has none.
func TestBlockersAreTheRefusals(t *testing.T) {
	a := newInUse(t)
	agree := func(g vpc.GroupID) {
		t.Helper()
		u := a.uses(nil, g)[0]
		_, _, err := a.DeleteSecurityGroup(vpc.GroupRef{ID: g})
		if (err == nil) != (len(u.Blockers) == 0) || err != nil && u.Blockers[0].Refusal.Error() != err.Error() {
			t.Errorf("%s: the delete says %v, the blockers are %q", g, err, blockersOf(u))
		}
	}
	all := func() {
		t.Helper()
		for g := range a.SecurityGroups() {
			agree(g.ID)
		}
	}
	all()
	a.apply(vpc.Change{Deletes: []vpc.Key{(&vpc.NetworkInterface{ID: "eni-00000000000000001"}).Key()}})
	all()
	_, c, err := a.ReplaceSecurityGroup(vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllInterfaces: true})
	if a.done(c, err) != nil {
		t.Fatal(err)
	}
	all()
	_, c, err = a.ReplaceSecurityGroup(vpc.Replacement{Group: a.g.ID, By: a.by.ID, AllRules: true})
	if a.done(c, err) != nil {
		t.Fatal(err)
	}
	all()
	if err := a.disassociate(a.g.ID, otherVPC); err != nil {
		t.Fatal(err)
	}
	all()
	if err := a.remove(a.g); err != nil {
		t.Errorf("the group whose blockers are gone: %v", err)
	}
}
