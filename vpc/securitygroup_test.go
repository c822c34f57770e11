package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

const (
	defaultVPC = vpc.VPCID("vpc-00000000000000001")
	otherVPC   = vpc.VPCID("vpc-00000000000000002") // with IPv6
)

// account is a State that grows by actions, with ids and a clock that count.
type account struct {
	t *testing.T
	*vpc.State
	env vpc.Env
}

// newAccount has two VPCs without groups: the default one, and one with IPv6.
func newAccount(t *testing.T) *account {
	t.Helper()
	n := 0
	a := &account{t: t, State: new(vpc.State), env: vpc.Env{
		Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ID:  func(prefix string) string { n++; return fmt.Sprintf("%s-%017x", prefix, n) },
	}}
	a.apply(vpc.Change{Puts: []vpc.Object{
		&vpc.Installation{Account: "123456789012", Region: "us-east-1", NextRule: 1, DefaultVPC: defaultVPC},
		&vpc.VPC{ID: defaultVPC, IsDefault: true},
		&vpc.VPC{ID: otherVPC, IPv6CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("fd00:1::/56")}}},
	}})
	return a
}

func (a *account) apply(c vpc.Change) {
	a.State = a.Apply(c, a.Revision()+1)
	a.env.Now = a.env.Now.Add(time.Second)
}

func (a *account) create(v vpc.VPCID, name string) *vpc.SecurityGroup {
	a.t.Helper()
	g, c, err := a.CreateSecurityGroup(a.env, vpc.NewSecurityGroup{Name: name, Description: name, VPC: v})
	if err != nil {
		a.t.Fatalf("create group %s: %v", name, err)
	}
	a.apply(c)
	return g
}

func (a *account) authorize(g vpc.GroupID, egress bool, p ...vpc.Permission) ([]vpc.Rule, error) {
	_, rules, c, err := a.AuthorizeSecurityGroup(a.env, vpc.NewRules{
		Group: vpc.GroupRef{ID: g}, Egress: egress, Permissions: p,
	})
	if err == nil {
		a.apply(c)
	}
	return rules, err
}

// refused fails the test unless err is that refusal.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if vpc.CodeOf(err) == "" {
		t.Errorf("got %v, want the refusal %s", err, want)
	} else if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCreateSecurityGroup(t *testing.T) {
	a := newAccount(t)
	plain := a.create("", "web  ")
	if plain.VPC != defaultVPC || plain.Name != "web" {
		t.Errorf("got group %q in %s, want web in the default VPC", plain.Name, plain.VPC)
	}
	if got, want := ruleTexts(plain), "egress peer: 0.0.0.0/0, ALL, ALLOW"; got != want {
		t.Errorf("rules without IPv6: got %s, want %s", got, want)
	}
	dual := a.create(otherVPC, "web")
	if got, want := ruleTexts(dual), "egress peer: 0.0.0.0/0, ALL, ALLOW; egress peer: ::/0, ALL, ALLOW"; got != want {
		t.Errorf("rules with IPv6: got %s, want %s", got, want)
	}
	if dual.EgressModified {
		t.Error("a new group counts as modified")
	}
	if a.SecurityGroup(dual.ID).Rules[1].Number != 3 || a.Installation().NextRule != 4 {
		t.Errorf("rule numbers: got %d, next %d; want 3, next 4", dual.Rules[1].Number, a.Installation().NextRule)
	}
}

func ruleTexts(g *vpc.SecurityGroup) string {
	var texts []string
	for _, r := range g.Rules {
		direction := "ingress "
		if r.Egress {
			direction = "egress "
		}
		texts = append(texts, direction+r.String())
	}
	return strings.Join(texts, "; ")
}

func TestCreateSecurityGroupRefuses(t *testing.T) {
	a := newAccount(t)
	a.create("", "Web")
	const set = "strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
	tag := func(kind string, tags ...vpc.Tag) []vpc.TagSpecification {
		return []vpc.TagSpecification{{ResourceType: kind, Tags: tags}}
	}
	value := new("v")
	tests := []struct {
		in   vpc.NewSecurityGroup
		want string
	}{
		{vpc.NewSecurityGroup{Name: "wEB "}, "InvalidGroup.Duplicate: The security group 'wEB' already exists for VPC '" + string(defaultVPC) + "'"},
		{vpc.NewSecurityGroup{Name: "SG-1"}, "InvalidParameterValue: Value (SG-1) for parameter GroupName is invalid. Group names may not be in the format sg-*."},
		{vpc.NewSecurityGroup{Name: "Default "}, "InvalidParameterValue: Cannot use reserved security group name: default"},
		{vpc.NewSecurityGroup{Name: "späti"}, "InvalidParameterValue: Value (späti) for parameter GroupName is invalid. Character sets beyond ASCII are not supported."},
		{vpc.NewSecurityGroup{Name: "  "}, "InvalidParameterValue: Invalid security group name. Valid names are " + set},
		{vpc.NewSecurityGroup{Name: "a", Description: "ä"}, "InvalidParameterValue: Value (ä) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported."},
		{vpc.NewSecurityGroup{Name: "a", Description: "a|b"}, "InvalidParameterValue: Invalid security group description. Valid descriptions are " + set},
		{vpc.NewSecurityGroup{Name: "a", Description: strings.Repeat("x", 256)}, "InvalidParameterValue: Invalid security group description. Valid descriptions are " + set},
		{vpc.NewSecurityGroup{Name: "a", VPC: "vpc-1"}, `InvalidVpcID.Malformed: Invalid id: "vpc-1" (expecting "vpc-...")`},
		{vpc.NewSecurityGroup{Name: "a", VPC: "vpc-12345678"}, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist"},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("instance", vpc.Tag{Key: "k", Value: value})}, "InvalidParameterValue: 'instance' is not a valid taggable resource type for this operation."},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("")}, "InvalidParameter: Tag specification resource type must have a value"},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("security-group")}, "InvalidParameterValue: Tag specification must have at least one tag"},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("security-group", vpc.Tag{Key: "k"})}, "InvalidParameterValue: Tag value cannot be null. Use empty string instead."},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("security-group", vpc.Tag{Key: "aws:k", Value: value})}, "InvalidParameterValue: Tag keys starting with 'aws:' are reserved for internal use"},
		{vpc.NewSecurityGroup{Name: "a", TagSpecifications: tag("security-group", vpc.Tag{Key: "k", Value: value}, vpc.Tag{Key: "k", Value: value})}, "InvalidParameterValue: Duplicate tag key 'k' specified."},
	}
	for _, tt := range tests {
		if tt.in.Description == "" {
			tt.in.Description = "d"
		}
		_, _, err := a.CreateSecurityGroup(a.env, tt.in)
		refused(t, err, tt.want)
	}

	self := *a.Installation()
	self.DefaultVPC = ""
	a.apply(vpc.Change{Puts: []vpc.Object{&self}})
	_, _, err := a.CreateSecurityGroup(a.env, vpc.NewSecurityGroup{Name: "a", Description: "d"})
	refused(t, err, "VPCIdNotSpecified: No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.")
}

func TestSecurityGroupQuota(t *testing.T) {
	a := newAccount(t)
	for i := range a.Quota(vpc.SecurityGroupsPerRegion) {
		a.create(otherVPC, fmt.Sprint("g", i))
	}
	_, _, err := a.CreateSecurityGroup(a.env, vpc.NewSecurityGroup{Name: "more", Description: "d", VPC: otherVPC})
	refused(t, err, "SecurityGroupLimitExceeded: The maximum number of security groups has been reached.")
}

func TestDeleteSecurityGroup(t *testing.T) {
	a := newAccount(t)
	g, user := a.create(otherVPC, "g"), a.create(otherVPC, "user")
	remove := func(ref vpc.GroupRef) error {
		_, c, err := a.DeleteSecurityGroup(ref)
		a.apply(c)
		return err
	}

	// Its own rule does not pin it, the rule of another group does, in either direction.
	self := vpc.Permission{Protocol: "-1", Peers: []vpc.PermissionPeer{{Group: g.ID}}}
	if _, err := a.authorize(g.ID, false, self); err != nil {
		t.Fatal(err)
	}
	for _, egress := range []bool{false, true} {
		rules, err := a.authorize(user.ID, egress, self)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, remove(vpc.GroupRef{ID: g.ID}), fmt.Sprintf("DependencyViolation: resource %s has a dependent object", g.ID))
		_, c, err := a.RevokeSecurityGroup(vpc.OldRules{
			Group: vpc.GroupRef{ID: user.ID}, Egress: egress, Rules: []vpc.RuleID{rules[0].ID},
		})
		if err != nil {
			t.Fatal(err)
		}
		a.apply(c)
	}

	// So does an interface, attached or not.
	eni := &vpc.NetworkInterface{ID: "eni-12345678", VPC: otherVPC, Groups: []vpc.GroupID{g.ID}}
	a.apply(vpc.Change{Puts: []vpc.Object{eni}})
	refused(t, remove(vpc.GroupRef{ID: g.ID}), fmt.Sprintf("DependencyViolation: resource %s has a dependent object", g.ID))
	a.apply(vpc.Change{Deletes: []vpc.Key{eni.Key()}})

	if err := remove(vpc.GroupRef{ID: g.ID}); err != nil {
		t.Errorf("delete a group that only names itself: %v", err)
	}
	if a.SecurityGroup(g.ID) != nil || a.GroupOfRule(g.Rules[0].ID) != nil {
		t.Error("the group or one of its rules is still there")
	}

	refused(t, remove(vpc.GroupRef{ID: g.ID}), fmt.Sprintf("InvalidGroup.NotFound: The security group '%s' does not exist", g.ID))
	refused(t, remove(vpc.GroupRef{ID: "sg-G"}), `InvalidGroupId.Malformed: Invalid id: "sg-G" (expecting "sg-...")`)
	refused(t, remove(vpc.GroupRef{Name: "user"}), fmt.Sprintf("InvalidGroup.NotFound: The security group 'user' does not exist in default VPC '%s'", defaultVPC))
	refused(t, remove(vpc.GroupRef{}), "MissingParameter: The request must contain the parameter groupName or groupId")
	refused(t, remove(vpc.GroupRef{ID: "sg-12345678", Name: "user"}), "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist")
	if err := remove(vpc.GroupRef{ID: a.create(otherVPC, "by id").ID, Name: "any"}); err != nil {
		t.Errorf("with an id and a name the id counts: %v", err)
	}

	theDefault := &vpc.SecurityGroup{ID: "sg-12345678", VPC: otherVPC, Name: "default"}
	a.apply(vpc.Change{Puts: []vpc.Object{theDefault}})
	refused(t, remove(vpc.GroupRef{ID: theDefault.ID}), `CannotDelete: the specified group: "sg-12345678" name: "default" cannot be deleted by a user`)

	a.create("", "named")
	if err := remove(vpc.GroupRef{Name: "NAMED "}); err != nil {
		t.Errorf("delete by name in the default VPC: %v", err)
	}
}

func TestDescribeSecurityGroups(t *testing.T) {
	a := newAccount(t)
	b := a.create("", "b*")
	c := a.create(otherVPC, "c")
	d := a.create(otherVPC, "d")
	ports := vpc.Permission{Protocol: "tcp", From: new(int32(22)), To: new(int32(23)), Peers: []vpc.PermissionPeer{
		{IPv4: "10.0.0.0/8"}, {IPv6: "fd00::/8"}, {Group: c.ID},
	}}
	if _, err := a.authorize(d.ID, false, ports); err != nil {
		t.Fatal(err)
	}
	tagged := *a.SecurityGroup(c.ID)
	tagged.Tags = vpc.Tags{"Name": "sea", "empty": ""}
	a.apply(vpc.Change{Puts: []vpc.Object{&tagged}})

	all := []string{"b*", "c", "d"}
	filter := func(name string, values ...string) []vpc.Filter {
		return []vpc.Filter{{Name: name, Values: values}}
	}
	tests := []struct {
		q    vpc.GroupQuery
		want []string
	}{
		{vpc.GroupQuery{}, all},
		{vpc.GroupQuery{IDs: []vpc.GroupID{d.ID, b.ID, d.ID}}, []string{"b*", "d"}},
		{vpc.GroupQuery{Names: []string{"B*"}}, []string{"b*"}},
		{vpc.GroupQuery{IDs: []vpc.GroupID{d.ID, c.ID}, Filters: filter("group-name", "d")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("group-name", "*")}, all},
		{vpc.GroupQuery{Filters: filter("group-name", `b\*`)}, []string{"b*"}},
		{vpc.GroupQuery{Filters: filter("group-name", "?")}, []string{"c", "d"}},
		{vpc.GroupQuery{Filters: filter("group-name", "C", "d", "x")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("vpc-id", string(otherVPC))}, []string{"c", "d"}},
		{vpc.GroupQuery{Filters: filter("owner-id", "1234*")}, all},
		{vpc.GroupQuery{Filters: filter("description", "c")}, []string{"c"}},
		{vpc.GroupQuery{Filters: filter("tag:Name", "s*")}, []string{"c"}},
		{vpc.GroupQuery{Filters: filter("tag:empty", "")}, []string{"c"}},
		{vpc.GroupQuery{Filters: filter("tag-key", "name")}, nil},
		{vpc.GroupQuery{Filters: filter("tag-key", "Name")}, []string{"c"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.cidr", "10.0.0.0/8")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.ipv6-cidr", "fd00::/8")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.group-id", string(c.ID))}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.group-name", "c")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.user-id", "123456789012")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.from-port", "22")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("ip-permission.to-port", "22")}, nil},
		{vpc.GroupQuery{Filters: filter("ip-permission.protocol", "tcp")}, []string{"d"}},
		{vpc.GroupQuery{Filters: filter("egress.ip-permission.protocol", "-1")}, all},
		{vpc.GroupQuery{Filters: filter("egress.ip-permission.ipv6-cidr", "::/0")}, []string{"c", "d"}},
		{vpc.GroupQuery{Filters: append(filter("vpc-id", string(otherVPC)), filter("group-name", "b*", "c")...)}, []string{"c"}},
	}
	for _, tt := range tests {
		groups, _, err := a.DescribeSecurityGroups(tt.q)
		var got []string
		for _, g := range groups {
			got = append(got, g.Name)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v, %v; want %v", tt.q, got, err, tt.want)
		}
	}

	refusals := []struct {
		q    vpc.GroupQuery
		want string
	}{
		{vpc.GroupQuery{IDs: []vpc.GroupID{b.ID, "sg-12345678"}}, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{vpc.GroupQuery{IDs: []vpc.GroupID{"sg-x"}}, `InvalidGroupId.Malformed: Invalid id: "sg-x" (expecting "sg-...")`},
		{vpc.GroupQuery{Names: []string{"c"}}, fmt.Sprintf("InvalidGroup.NotFound: The security group 'c' does not exist in default VPC '%s'", defaultVPC)},
		{vpc.GroupQuery{Filters: filter("Group-name", "c")}, "InvalidParameterValue: The filter 'Group-name' is invalid"},
		{vpc.GroupQuery{Filters: filter("tag:", "c")}, "InvalidParameterValue: The filter 'tag:' is invalid"},
		{vpc.GroupQuery{Filters: filter("vpc-id")}, "MissingParameter: The request must contain the parameter Filter.1.Value"},
		{vpc.GroupQuery{Filters: filter("vpc-id", slices.Repeat([]string{"x"}, 201)...)}, "FilterLimitExceeded: The maximum number of filter values specified on a single call is 200"},
		{vpc.GroupQuery{Page: vpc.Page{Max: new(int32(4))}}, "InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5."},
		{vpc.GroupQuery{Page: vpc.Page{Max: new(int32(1001))}}, "InvalidParameterValue: Value ( 1001 ) for parameter maxResults is invalid. Expecting a value less than 1000."},
		{vpc.GroupQuery{Page: vpc.Page{Token: "x"}}, "InvalidNextToken: The token 'x' is invalid"},
	}
	for _, tt := range refusals {
		_, _, err := a.DescribeSecurityGroups(tt.q)
		refused(t, err, tt.want)
	}
}

// Groups come and go while a client pages: what is there throughout is seen exactly once.
func TestPagesAreStable(t *testing.T) {
	a := newAccount(t)
	var groups []*vpc.SecurityGroup
	for i := range 17 {
		groups = append(groups, a.create(otherVPC, fmt.Sprint("g", i)))
	}
	var got []string
	q := vpc.GroupQuery{Page: vpc.Page{Max: new(int32(5))}}
	for page := range 5 {
		list, next, err := a.DescribeSecurityGroups(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range list {
			got = append(got, g.Name)
		}
		if page == 0 { // the last one of the page, and one to come
			a.apply(vpc.Change{Deletes: []vpc.Key{groups[4].Key(), groups[6].Key()}})
			a.create(otherVPC, "late")
		}
		if q.Page.Token = next; next == "" {
			break
		}
		if _, _, err := a.DescribeSecurityGroupRules(vpc.RuleQuery{Page: q.Page}); vpc.CodeOf(err) != vpc.CodeInvalidNextToken {
			t.Errorf("the token of another call: got %v, want InvalidNextToken", err)
		}
	}
	want := []string{"g0", "g1", "g2", "g3", "g4", "g5", "g7", "g8", "g9", "g10", "g11", "g12", "g13", "g14", "g15", "g16", "late"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
