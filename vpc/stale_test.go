package vpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// peer puts a peering connection, as its own actions would.
func (a *account) peer(id vpc.PeeringID, status vpc.PeeringStatus, requester, accepter vpc.VPCID) {
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.PeeringConnection{
		ID: id, Created: a.env.Now, Status: status, Requester: requester, Accepter: accepter,
	}}})
}

// stale returns group, direction and named groups of the stale rules of a VPC.
func (a *account) stale(v vpc.VPCID) (out []string) {
	a.t.Helper()
	list, _, err := a.DescribeStaleSecurityGroups(v, vpc.Page{})
	if err != nil {
		a.t.Error(err)
	}
	for _, g := range list {
		for direction, permissions := range map[string][]vpc.Permission{"ingress": g.Ingress, "egress": g.Egress} {
			for _, p := range permissions {
				for _, peer := range p.Peers {
					out = append(out, fmt.Sprintf("%s %s %s %s %q %s %s", g.Group.Name, direction, p.Protocol, peer.VPC, peer.Account, peer.Peering, peer.PeeringStatus))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestRulesThatNameGroupsOfPeers(t *testing.T) {
	a := newAccount(t)
	here, there := a.create(otherVPC, "here"), a.create(defaultVPC, "there")
	ssh := permission("tcp", ports(22, 22), vpc.PermissionPeer{Group: there.ID}, ip4("10.0.0.0/8"))
	all := permission("-1", nil, vpc.PermissionPeer{GroupName: "there"})
	const foreign = "InvalidGroup.NotFound: You have specified two resources that belong to different networks."

	for _, status := range []vpc.PeeringStatus{vpc.PeeringPending, vpc.PeeringRejected, vpc.PeeringExpired, vpc.PeeringFailed, vpc.PeeringDeleted} {
		a.peer("pcx-11111111", status, otherVPC, defaultVPC)
		_, err := a.authorize(here.ID, false, ssh)
		refused(t, err, foreign)
	}
	a.peer("pcx-11111111", vpc.PeeringActive, otherVPC, defaultVPC)
	rules, err := a.authorize(here.ID, false, ssh)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.authorize(here.ID, true, all); err != nil {
		t.Fatal(err)
	}
	if r := rules[0]; r.PeerVPC != defaultVPC || r.Peering != "pcx-11111111" || rules[1].PeerVPC != "" {
		t.Errorf("got %+v", rules)
	}
	_, err = a.authorize(here.ID, false, permission("tcp", ports(22, 22), vpc.PermissionPeer{Group: there.ID}))
	refused(t, err, fmt.Sprintf(`InvalidPermission.Duplicate: the specified rule "peer: %s, TCP, from port: 22, to port: 22, ALLOW" already exists`, there.ID))

	// What describes a rule says over what it reaches the group.
	want := vpc.Reference{
		Group: there.ID, Account: "123456789012", VPC: defaultVPC,
		Peering: "pcx-11111111", PeeringStatus: vpc.PeeringActive,
	}
	if got := a.Reference(here, rules[0]); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	pair := a.Permissions(a.SecurityGroup(here.ID), false)[0].Peers[0]
	if pair.VPC != defaultVPC || pair.Peering != "pcx-11111111" || pair.PeeringStatus != "active" || pair.Account != "123456789012" {
		t.Errorf("got %+v", pair)
	}
	references := func() (out []vpc.GroupReference) {
		out, err := a.DescribeSecurityGroupReferences([]vpc.GroupID{there.ID, here.ID})
		if err != nil {
			t.Error(err)
		}
		return out
	}
	if got, want := references(), []vpc.GroupReference{{Group: there.ID, Referring: otherVPC, Peering: "pcx-11111111"}}; !slices.Equal(got, want) {
		t.Errorf("references: got %+v, want %+v", got, want)
	}
	if got := a.stale(otherVPC); got != nil {
		t.Errorf("stale: got %v, want none", got)
	}

	// The connection ends: both rules are stale, and the other group does not know of them.
	row := func(direction, protocol, account, pcx, status string) string {
		return fmt.Sprintf("here %s %s %s %q %s %s", direction, protocol, defaultVPC, account, pcx, status)
	}
	a.peer("pcx-11111111", vpc.PeeringDeleted, otherVPC, defaultVPC)
	both := func(account, pcx, status string) []string {
		return []string{row("egress", "-1", account, pcx, status), row("ingress", "tcp", account, pcx, status)}
	}
	if got, want := a.stale(otherVPC), both("123456789012", "pcx-11111111", "deleted"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := references(); got != nil {
		t.Errorf("references: got %+v, want none", got)
	}
	// Forgotten, it is still named.
	a.apply(vpc.Change{Deletes: []vpc.Key{{Kind: vpc.KindPeering, ID: "pcx-11111111"}}})
	if got, want := a.stale(otherVPC), both("123456789012", "pcx-11111111", "deleted"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A new one makes the rules good again.
	a.peer("pcx-22222222", vpc.PeeringActive, defaultVPC, otherVPC)
	if got := a.stale(otherVPC); got != nil {
		t.Errorf("stale: got %v, want none", got)
	}
	if got := a.Reference(here, rules[0]).Peering; got != "pcx-22222222" {
		t.Errorf("got %s, want the connection that there is", got)
	}
	// Rules of peers do not keep a group from being deleted. They count all the same.
	if err := a.remove(there); err != nil {
		t.Fatal(err)
	}
	if got, want := a.stale(otherVPC), both("", "pcx-22222222", "active"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	a.setQuota(vpc.RulesPerSecurityGroup, 2)
	_, err = a.authorize(here.ID, false, permission("-1", nil, ip4("0.0.0.0/0")))
	refused(t, err, "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached.")
	for _, f := range []struct {
		name  string
		value string
		want  int
	}{
		{"ip-permission.group-id", string(there.ID), 1},
		{"egress.ip-permission.group-id", string(there.ID), 1},
		{"ip-permission.user-id", "*", 0},
		{"ip-permission.group-name", "*", 0},
	} {
		groups, _, err := a.DescribeSecurityGroups(vpc.GroupQuery{Filters: filtered(f.name, f.value)})
		if err != nil || len(groups) != f.want {
			t.Errorf("%s=%s: got %d groups, %v; want %d", f.name, f.value, len(groups), err, f.want)
		}
	}
	// They are revoked like any other.
	out, c, err := a.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: here.ID}, Rules: []vpc.RuleID{rules[0].ID}})
	if a.done(c, err) != nil || len(out.Rules) != 1 || len(a.stale(otherVPC)) != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestStaleGroupsComeInPages(t *testing.T) {
	a := newAccount(t)
	a.peer("pcx-11111111", vpc.PeeringActive, otherVPC, defaultVPC)
	there := a.create(defaultVPC, "there")
	for i := range 7 {
		g := a.create(otherVPC, fmt.Sprint("g", i))
		if _, err := a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{Group: there.ID})); err != nil {
			t.Fatal(err)
		}
	}
	a.env.Now = a.env.Now.Add(time.Minute)
	if err := a.remove(there); err != nil {
		t.Fatal(err)
	}
	first, next, err := a.DescribeStaleSecurityGroups(otherVPC, vpc.Page{Max: new(int32(5))})
	if err != nil || len(first) != 5 || next == "" {
		t.Fatalf("got %d, %q, %v", len(first), next, err)
	}
	rest, end, err := a.DescribeStaleSecurityGroups(otherVPC, vpc.Page{Max: new(int32(5)), Token: next})
	if err != nil || len(rest) != 2 || end != "" || rest[1].Group.Name != "g6" {
		t.Errorf("got %+v, %q, %v", rest, end, err)
	}
	_, _, err = a.DescribeStaleSecurityGroups(defaultVPC, vpc.Page{Token: next})
	refused(t, err, fmt.Sprintf("InvalidNextToken: The token '%s' is invalid", next))
	_, _, err = a.DescribeStaleSecurityGroups("vpc-12345678", vpc.Page{})
	refused(t, err, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist")
	_, _, err = a.DescribeStaleSecurityGroups("", vpc.Page{})
	refused(t, err, "MissingParameter: The request must contain the parameter vpcId")
}

func TestReferencesOfUnknownGroups(t *testing.T) {
	a := newAccount(t)
	g, h := a.create(otherVPC, "g"), a.create(otherVPC, "h")
	if _, err := a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{Group: h.ID}, vpc.PermissionPeer{Group: g.ID})); err != nil {
		t.Fatal(err)
	}
	if got, err := a.DescribeSecurityGroupReferences([]vpc.GroupID{g.ID, h.ID}); err != nil || got != nil {
		t.Errorf("of the same VPC: got %+v, %v; want none", got, err)
	}
	_, err := a.DescribeSecurityGroupReferences([]vpc.GroupID{g.ID, "sg-12345678"})
	refused(t, err, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist")
	_, err = a.DescribeSecurityGroupReferences(nil)
	refused(t, err, "MissingParameter: The request must contain the parameter groupId")
}

func TestRulesThatNamePrefixLists(t *testing.T) {
	a := newAccount(t)
	a.list("pl-11111111", false, 50)
	a.list("pl-22222222", true, 20)
	g := a.create("", "g")
	list := func(id vpc.PrefixListID) vpc.PermissionPeer {
		return vpc.PermissionPeer{PrefixList: id, Description: "d"}
	}
	rules, err := a.authorize(g.ID, false, permission("tcp", ports(443, 443), list("pl-11111111"), list("pl-22222222")))
	if err != nil || len(rules) != 2 || rules[0].Peer.PrefixList != "pl-11111111" || rules[0].Description != "d" {
		t.Fatalf("got %+v, %v", rules, err)
	}
	_, err = a.authorize(g.ID, false, permission("tcp", ports(443, 443), list("pl-11111111")))
	refused(t, err, `InvalidPermission.Duplicate: the specified rule "peer: pl-11111111, TCP, from port: 443, to port: 443, ALLOW" already exists`)
	// MaxEntries weigh, not entries; each in its family and direction: 50 of 60, and 20 of 60.
	const full = "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached."
	_, err = a.authorize(g.ID, false, permission("-1", nil, list("pl-11111111")))
	refused(t, err, full)
	for _, id := range []vpc.PrefixListID{"pl-22222222"} {
		for i := range int32(2) {
			if _, err := a.authorize(g.ID, false, permission("udp", ports(i, i), list(id))); err != nil {
				t.Fatalf("%d more of 20: %v", i+1, err)
			}
		}
	}
	_, err = a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{IPv6: "::/0"}))
	refused(t, err, full)
	_, err = a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{Group: g.ID})) // counts in both
	refused(t, err, full)
	if _, err := a.authorize(g.ID, false, permission("-1", nil, ip4("0.0.0.0/0"))); err != nil {
		t.Errorf("IPv4 has room for 10: %v", err)
	}
	if _, err := a.authorize(g.ID, true, permission("udp", ports(53, 53), list("pl-11111111"))); err != nil {
		t.Errorf("egress has a quota of its own: %v", err)
	}
	groups, _, err := a.DescribeSecurityGroups(vpc.GroupQuery{Filters: filtered("egress.ip-permission.prefix-list-id", "pl-1*")})
	if err != nil || len(groups) != 1 {
		t.Errorf("got %v, %v", groups, err)
	}
	out, c, err := a.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: g.ID}, Permissions: []vpc.Permission{
		permission("6", ports(443, 443), list("pl-11111111")),
		permission("6", ports(443, 443), vpc.PermissionPeer{PrefixList: "pl-12345678"}),
	}})
	if a.done(c, err) != nil || len(out.Rules) != 1 || len(out.Unknown) != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// A rule is stale exactly if none of the VPCs that carry its group reaches one that carries the named
// group.
func TestRulesOverAnAssociationAndAPeer(t *testing.T) {
	a := newAccount(t)
	a.apply(vpc.Change{Puts: []vpc.Object{&vpc.VPC{ID: thirdVPC}}})
	g, there := a.create(otherVPC, "g"), a.create(defaultVPC, "there")
	all := permission("-1", nil, vpc.PermissionPeer{Group: there.ID})
	a.peer("pcx-11111111", vpc.PeeringActive, thirdVPC, defaultVPC)
	_, err := a.authorize(g.ID, false, all)
	refused(t, err, "InvalidGroup.NotFound: You have specified two resources that belong to different networks.")
	if err := a.associate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	rules, err := a.authorize(g.ID, false, all)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, stale bool) {
		t.Helper()
		if got := a.Reference(a.SecurityGroup(g.ID), rules[0]); got.Stale != stale || got.Peering == "" {
			t.Errorf("%s: got %+v, want stale %t", what, got, stale)
		}
	}
	check("associated, and peered there", false)
	references, err := a.DescribeSecurityGroupReferences([]vpc.GroupID{there.ID})
	if want := (vpc.GroupReference{Group: there.ID, Referring: thirdVPC, Peering: "pcx-11111111"}); err != nil || len(references) != 1 || references[0] != want {
		t.Errorf("got %+v, %v; want %+v", references, err, want)
	}
	if err := a.disassociate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	check("no longer associated", true)
	a.peer("pcx-22222222", vpc.PeeringActive, otherVPC, defaultVPC)
	check("peered at home", false)
	a.peer("pcx-22222222", vpc.PeeringDeleted, otherVPC, defaultVPC)
	check("no longer peered", true)
	if err := a.associate(g.ID, thirdVPC); err != nil {
		t.Fatal(err)
	}
	check("associated again", false)
	a.peer("pcx-11111111", vpc.PeeringDeleted, thirdVPC, defaultVPC)
	check("no longer peered there", true)
}
