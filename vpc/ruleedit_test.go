package vpc_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) edit(in vpc.RuleEdit) (vpc.EditedRules, error) {
	a.t.Helper()
	before := fmt.Sprintf("%+v", a.SecurityGroup(in.Group))
	out, c, err := a.EditSecurityGroupRules(a.env, in)
	if now := fmt.Sprintf("%+v", a.SecurityGroup(in.Group)); now != before {
		a.t.Errorf("the action wrote into the state that it was given:\n%s\n%s", before, now)
	}
	if (err != nil || in.Preview) && !c.Empty() {
		a.t.Errorf("refused or only previewed (%t), with a change: %+v", in.Preview, c)
	}
	a.apply(c)
	return out, err
}

func tcp(port int32, cidr string) vpc.RuleUpdate {
	return vpc.RuleUpdate{Protocol: "tcp", From: &port, To: &port, IPv4: cidr}
}

func ingress(u vpc.RuleUpdate) vpc.RuleAddition { return vpc.RuleAddition{RuleUpdate: u} }

func of(id vpc.RuleID, u vpc.RuleUpdate) vpc.RuleUpdate { u.Rule = id; return u }

// An edit comes to what EC2's own calls come to one after another, for every edit that they can make: first
// what goes, then what is modified, then what comes. And one of which any part is refused changes nothing.
func TestEditIsTheCallsOneAfterAnother(t *testing.T) {
	const edits = 2000
	r := rand.New(rand.NewPCG(1, 2))
	made, refused := 0, 0
	for range edits {
		one, many := newAccount(t), newAccount(t)
		g := one.create(otherVPC, "g").ID
		if other := many.create(otherVPC, "g").ID; other != g {
			t.Fatalf("two accounts with different ids: %s, %s", g, other)
		}
		var rules []vpc.Rule
		for i := range int32(4) {
			now, err := one.authorize(g, false, permission("tcp", ports(i, i), ip4("10.0.0.0/8")))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := many.authorize(g, false, permission("tcp", ports(i, i), ip4("10.0.0.0/8"))); err != nil {
				t.Fatal(err)
			}
			rules = append(rules, now...)
		}
		in := vpc.RuleEdit{Group: g}
		for _, i := range r.Perm(len(rules)) {
			switch r.IntN(3) {
			case 0:
				in.Remove = append(in.Remove, rules[i].ID)
			case 1:
				in.Modify = append(in.Modify, of(rules[i].ID, tcp(r.Int32N(8), "10.0.0.0/8")))
			}
		}
		for range r.IntN(3) {
			in.Add = append(in.Add, ingress(tcp(r.Int32N(8), "10.0.0.0/8")))
		}
		if len(in.Remove)+len(in.Modify)+len(in.Add) == 0 {
			continue
		}
		before := text(one.SecurityGroup(g))
		preview := in
		preview.Preview = true
		foreseen, err := one.edit(preview)
		if err != nil {
			t.Fatalf("preview: %v", err)
		}
		_, err = one.edit(in)
		if (err == nil) != (len(foreseen.Problems) == 0) || err != nil && err.Error() != foreseen.Problems[0].Err.Error() {
			t.Fatalf("%+v: got %v, the preview said %+v", in, err, foreseen.Problems)
		}
		if err != nil {
			if refused++; text(one.SecurityGroup(g)) != before {
				t.Fatalf("%+v was refused (%v), and made of\n%s\n%s", in, err, before, text(one.SecurityGroup(g)))
			}
			continue
		}
		made++
		if got, want := text(foreseen.Group), text(one.SecurityGroup(g)); got != want {
			t.Fatalf("the preview showed\n%s\nit came to\n%s", got, want)
		}
		if len(in.Remove) > 0 {
			_, c, err := many.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: g}, Rules: in.Remove})
			if err != nil {
				t.Fatal(err)
			}
			many.apply(c)
		}
		if len(in.Modify) > 0 {
			if err := many.modifyRules(g, in.Modify...); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range in.Add {
			if _, err := many.authorize(g, false, permission(a.Protocol, ports(*a.From, *a.To), ip4(a.IPv4))); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := text(one.SecurityGroup(g)), text(many.SecurityGroup(g)); got != want {
			t.Fatalf("%+v\ngot  %s\nwant %s", in, got, want)
		}
	}
	if made < edits/10 || refused < edits/10 {
		t.Errorf("%d edits were made and %d refused: too few of one to say anything", made, refused)
	}
}

// text says what a group allows, without what tells apart two rules that allow the same.
func text(g *vpc.SecurityGroup) string {
	var lines []string
	for _, r := range g.Rules {
		lines = append(lines, fmt.Sprintf("egress %t %s %q", r.Egress, r, r.Description))
	}
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n") + fmt.Sprintf("\nmodified %t", g.EgressModified)
}

// Two people who opened the same group: what one of them changed, in any way, the other may not change
// without having seen it; the rest may be edited.
func TestEditOfWhatChangedSince(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g")
	rules, err := a.authorize(g.ID, false, permission("tcp", ports(22, 22),
		ip4("10.0.0.0/8"), ip4("11.0.0.0/8"), ip4("12.0.0.0/8"), ip4("13.0.0.0/8")))
	if err != nil {
		t.Fatal(err)
	}
	seen := a.Revision()
	for _, other := range []vpc.RuleEdit{
		{Modify: []vpc.RuleUpdate{of(rules[0].ID, tcp(2222, "10.0.0.0/8"))}},
		{Remove: []vpc.RuleID{rules[3].ID}, Add: []vpc.RuleAddition{ingress(tcp(23, "13.0.0.0/8"))}},
	} {
		other.Group, other.Revision = g.ID, seen
		if _, err := a.edit(other); err != nil {
			t.Fatal(err)
		}
	}
	c, err := a.UpdateSecurityGroupRuleDescriptions(vpc.NewDescriptions{
		Group: vpc.GroupRef{ID: g.ID}, Rules: []vpc.RuleDescription{{Rule: rules[1].ID, Description: "theirs"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.apply(c)
	for name, tt := range map[string]struct {
		in   vpc.RuleEdit
		want vpc.Code
	}{
		"modified, modify":       {vpc.RuleEdit{Modify: []vpc.RuleUpdate{of(rules[0].ID, tcp(22, "10.1.0.0/16"))}}, vpc.CodeSecurityGroupRevisionMismatch},
		"modified, remove":       {vpc.RuleEdit{Remove: []vpc.RuleID{rules[0].ID}}, vpc.CodeSecurityGroupRevisionMismatch},
		"described, remove":      {vpc.RuleEdit{Remove: []vpc.RuleID{rules[1].ID}}, vpc.CodeSecurityGroupRevisionMismatch},
		"removed, modify":        {vpc.RuleEdit{Modify: []vpc.RuleUpdate{of(rules[3].ID, tcp(22, "10.1.0.0/16"))}}, vpc.CodeInvalidSecurityGroupRuleIDNotFound},
		"added by both":          {vpc.RuleEdit{Add: []vpc.RuleAddition{ingress(tcp(23, "13.0.0.0/8"))}}, vpc.CodeInvalidPermissionDuplicate},
		"untouched, with theirs": {vpc.RuleEdit{Remove: []vpc.RuleID{rules[2].ID, rules[0].ID}}, vpc.CodeSecurityGroupRevisionMismatch},
		"of the future":          {vpc.RuleEdit{Remove: []vpc.RuleID{rules[2].ID}, Revision: 1 << 40}, vpc.CodeInvalidParameterValue},
		"untouched":              {vpc.RuleEdit{Modify: []vpc.RuleUpdate{of(rules[2].ID, tcp(22, "12.1.0.0/16"))}}, ""},
	} {
		in := tt.in
		in.Group, in.Preview = g.ID, tt.want == "" // so that the order does not count
		if in.Revision == 0 {
			in.Revision = seen
		}
		if out, err := a.edit(in); vpc.CodeOf(err) != tt.want || len(out.Problems) > 0 {
			t.Errorf("%s: got %v %+v, want %q", name, err, out.Problems, tt.want)
		}
		in.Revision, in.Preview = a.Revision(), true
		out, err := a.edit(in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range out.Problems {
			if vpc.CodeOf(p.Err) == vpc.CodeSecurityGroupRevisionMismatch {
				t.Errorf("%s, by somebody who has seen it: %v", name, p.Err)
			}
		}
	}
}

func TestRuleWarnings(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g").ID
	a.apply(vpc.Change{Puts: []vpc.Object{
		&vpc.PrefixList{ID: "pl-11111111", MaxEntries: 2, Version: 1},
		&vpc.PrefixListVersion{List: "pl-11111111", Number: 1, Entries: []vpc.PrefixListEntry{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}},
	}})
	span := func(protocol string, from, to int32, ipv4 string) vpc.RuleUpdate {
		return vpc.RuleUpdate{Protocol: protocol, From: &from, To: &to, IPv4: ipv4}
	}
	for _, tt := range []struct {
		rule   vpc.RuleUpdate
		egress bool
		level  vpc.WarningLevel
		says   string
	}{
		{span("tcp", 22, 22, "0.0.0.0/0"), false, vpc.WarningSevere, "Every IPv4 address may reach SSH. "},
		{vpc.RuleUpdate{Protocol: "tcp", From: new(int32(3389)), To: new(int32(3389)), IPv6: "::/0"}, false, vpc.WarningSevere, "Every IPv6 address may reach RDP. "},
		{span("tcp", 20, 22, "0.0.0.0/0"), false, vpc.WarningSevere, "FTP and SSH. "},
		{span("tcp", 0, 65535, "0.0.0.0/0"), false, vpc.WarningSevere, "FTP, SSH, Telnet, NetBIOS and "},
		{span("udp", 11211, 11211, "0.0.0.0/0"), false, vpc.WarningSevere, "Memcached"},
		{span("-1", -1, -1, "0.0.0.0/0"), false, vpc.WarningSevere, "everything"},
		{vpc.RuleUpdate{Protocol: "-1", PrefixList: "pl-11111111"}, false, vpc.WarningSevere, "pl-11111111, which holds 0.0.0.0/0"},
		{span("tcp", 443, 443, "0.0.0.0/0"), false, vpc.WarningOpen, "may reach this"},
		{span("udp", 22, 22, "0.0.0.0/0"), false, vpc.WarningOpen, "may reach this"},
		{span("icmp", 22, -1, "0.0.0.0/0"), false, vpc.WarningOpen, "may reach this"},
		{span("tcp", 22, 22, "0.0.0.0/0"), true, vpc.WarningEgress, "Members may send to every IPv4 address"},
		{span("tcp", 22, 22, "10.0.0.0/8"), false, "", ""},
		{span("tcp", 22, 22, "0.0.0.0/1"), false, "", ""},
	} {
		out, err := a.edit(vpc.RuleEdit{Group: g, Preview: true, Add: []vpc.RuleAddition{{Egress: tt.egress, RuleUpdate: tt.rule}}})
		if err != nil || len(out.Problems) > 0 {
			t.Fatal(tt.rule, err, out.Problems)
		}
		var got vpc.RuleWarning
		for _, w := range out.Warnings {
			if w.Row == "AddRule.1" {
				got = w
			}
		}
		if got.Level != tt.level || !strings.Contains(got.Message, tt.says) {
			t.Errorf("%+v: got %q %q, want %q %q", tt.rule, got.Level, got.Message, tt.level, tt.says)
		}
	}
}

// What a group that is made with rules has, a group that was made and then edited has, too.
func TestGroupWithRules(t *testing.T) {
	a := newAccount(t)
	all := func(c string) vpc.RuleAddition {
		return vpc.RuleAddition{Egress: true, RuleUpdate: vpc.RuleUpdate{Protocol: "-1", IPv4: c}}
	}
	for name, tt := range map[string]struct {
		rules    []vpc.RuleAddition
		want     []string
		modified bool
	}{
		"as EC2 makes it": {
			[]vpc.RuleAddition{all("0.0.0.0/0"), {Egress: true, RuleUpdate: vpc.RuleUpdate{Protocol: "-1", IPv6: "::/0"}}},
			[]string{"peer: 0.0.0.0/0, ALL, ALLOW", "peer: ::/0, ALL, ALLOW"},
			false,
		},
		"IPv4 alone": {[]vpc.RuleAddition{all("0.0.0.0/0")}, []string{"peer: 0.0.0.0/0, ALL, ALLOW"}, true},
		"closed":     {nil, nil, true},
		"itself": {
			[]vpc.RuleAddition{all("10.0.0.0/8"), {RuleUpdate: vpc.RuleUpdate{Protocol: "-1", Group: vpc.SelfReference}}},
			[]string{"peer: 10.0.0.0/8, ALL, ALLOW", "peer: SELF, ALL, ALLOW"},
			true,
		},
	} {
		out, c, err := a.CreateSecurityGroupWithRules(a.env, vpc.GroupWithRules{
			NewSecurityGroup: vpc.NewSecurityGroup{Name: name, Description: "d", VPC: otherVPC}, Rules: tt.rules,
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a.apply(c)
		g := a.SecurityGroup(out.Group.ID)
		var got []string
		for _, r := range g.Rules {
			got = append(got, strings.ReplaceAll(r.String(), string(g.ID), "SELF"))
			if owner := a.GroupOfRule(r.ID); r.ID == "" || r.Number == 0 || owner != g {
				t.Errorf("%s: %+v of %v", name, r, owner)
			}
		}
		if !slices.Equal(got, tt.want) || g.EgressModified != tt.modified {
			t.Errorf("%s: got %q, egress modified %t; want %q, %t", name, got, g.EgressModified, tt.want, tt.modified)
		}
	}
	for name, in := range map[string]vpc.GroupWithRules{
		"a bad rule": {NewSecurityGroup: vpc.NewSecurityGroup{Name: "new", Description: "d", VPC: otherVPC}, Rules: []vpc.RuleAddition{all("10.0.0.0")}},
		"a bad name": {NewSecurityGroup: vpc.NewSecurityGroup{Name: "sg-new", Description: "d", VPC: otherVPC}, Rules: []vpc.RuleAddition{all("10.0.0.0/8")}},
	} {
		if _, c, err := a.CreateSecurityGroupWithRules(a.env, in); vpc.CodeOf(err) != vpc.CodeInvalidParameterValue || !c.Empty() {
			t.Errorf("%s: got %v, %+v", name, err, c)
		}
	}
}
