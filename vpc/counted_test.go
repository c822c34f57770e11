package vpc_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestCountedRules(t *testing.T) {
	a := bootstrapped(t)
	subnet := a.subnets(a.Installation().DefaultVPC)[0].ID
	web, db := a.create("", "web"), a.create("", "db")
	bound := a.newInterface(vpc.NewInterface{Subnet: subnet, Groups: []vpc.GroupID{web.ID}}).ID
	idle := a.newInterface(vpc.NewInterface{Subnet: subnet, Groups: []vpc.GroupID{web.ID, db.ID}}).ID
	a.do(a.Bind(a.env, "host-1", bound, "tap1", ""))
	rules := func(q vpc.CountedQuery) (out []string, next string) {
		t.Helper()
		list, next, err := a.CountedRules(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			line := r.Group.Name + ":"
			for _, e := range r.Interfaces {
				line += " " + string(e.ID)
			}
			out = append(out, line)
		}
		return out, next
	}
	want := func(q vpc.CountedQuery, want ...string) {
		t.Helper()
		if got, _ := rules(q); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("CountedRules(%+v) = %q, want %q", q, got, want)
		}
	}
	// Each group has one rule but for the default one's two.
	want(vpc.CountedQuery{}, "default:", "default:", "web: "+string(bound), "db:")
	want(vpc.CountedQuery{Groups: []vpc.GroupID{db.ID}}, "db:")
	want(vpc.CountedQuery{Interfaces: []vpc.InterfaceID{idle}}, "web: "+string(idle), "db: "+string(idle))
	want(vpc.CountedQuery{Interfaces: []vpc.InterfaceID{bound}, Groups: []vpc.GroupID{db.ID}})
	id := a.SecurityGroup(web.ID).Rules[0].ID
	want(vpc.CountedQuery{Rules: []vpc.RuleID{id}}, "web: "+string(bound))
	want(vpc.CountedQuery{Rules: []vpc.RuleID{id}, Groups: []vpc.GroupID{db.ID}})
	for range 5 {
		a.create("", fmt.Sprint("more-", a.Revision()))
	}
	first, next := rules(vpc.CountedQuery{Page: vpc.Page{Max: new(int32(5))}})
	rest, end := rules(vpc.CountedQuery{Page: vpc.Page{Max: new(int32(5)), Token: next}})
	if len(first) != 5 || len(rest) != 4 || end != "" {
		t.Errorf("in pages: %d and %d rules, then %q; want 5 and 4", len(first), len(rest), end)
	}

	for _, tt := range []struct {
		q    vpc.CountedQuery
		want string
	}{
		{vpc.CountedQuery{Rules: []vpc.RuleID{"sgr-0123456789abcdef0"}}, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-0123456789abcdef0' does not exist"},
		{vpc.CountedQuery{Groups: []vpc.GroupID{"sg-0123456789abcdef0"}}, "InvalidGroup.NotFound: The security group 'sg-0123456789abcdef0' does not exist"},
		{vpc.CountedQuery{Interfaces: []vpc.InterfaceID{"eni-0123456789abcdef0"}}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-0123456789abcdef0' does not exist"},
	} {
		_, _, err := a.CountedRules(tt.q)
		refused(t, err, tt.want)
	}
}
