package vpc_test

import (
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// setQuota is what an operator does.
func (a *account) setQuota(name vpc.QuotaName, value int) {
	a.t.Helper()
	_, c, err := a.SetQuota(name, &value)
	if err != nil {
		a.t.Fatalf("set quota %s: %v", name, err)
	}
	a.apply(c)
}

func TestLowerQuotaRefusesOnlyMore(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g")
	for _, cidr := range []string{"10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"} {
		if _, err := a.authorize(g.ID, false, permission("-1", nil, ip4(cidr))); err != nil {
			t.Fatal(err)
		}
	}
	a.setQuota(vpc.RulesPerSecurityGroup, 2)
	const full = "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached."
	_, err := a.authorize(g.ID, false, permission("-1", nil, ip4("13.0.0.0/8")))
	refused(t, err, full)
	_, err = a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{Group: g.ID}))
	refused(t, err, full)
	if _, err := a.authorize(g.ID, false, permission("-1", nil, vpc.PermissionPeer{IPv6: "::/0"})); err != nil {
		t.Errorf("the other family has room: %v", err)
	}
	a.setQuota(vpc.SecurityGroupsPerRegion, 1)
	_, _, err = a.CreateSecurityGroup(a.env, vpc.NewSecurityGroup{Name: "h", Description: "h"})
	refused(t, err, "SecurityGroupLimitExceeded: The maximum number of security groups has been reached.")
}
