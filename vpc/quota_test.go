package vpc_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// setQuota is what an operator does; 0 for nil would be a quota of nothing.
func (a *account) setQuota(name vpc.QuotaName, value int) {
	a.t.Helper()
	_, c, err := a.ModifyQuota(name, &value)
	if err != nil {
		a.t.Fatalf("set quota %s: %v", name, err)
	}
	a.apply(c)
}

func TestModifyQuota(t *testing.T) {
	a := newAccount(t)
	modify := func(name vpc.QuotaName, value *int) (vpc.QuotaInForce, error) {
		q, c, err := a.ModifyQuota(name, value)
		if err == nil {
			a.apply(c)
		} else if !c.Empty() {
			t.Errorf("refused with a change: %+v", c)
		}
		return q, err
	}
	q, err := modify(vpc.VPCsPerRegion, new(7))
	if want := (vpc.QuotaInForce{Name: vpc.VPCsPerRegion, Value: 7, Default: 5, Maximum: 1000}); err != nil || q != want || a.Quota(vpc.VPCsPerRegion) != 7 {
		t.Errorf("got %+v, %v; want %+v", q, err, want)
	}
	q, err = modify(vpc.VPCsPerRegion, nil)
	if err != nil || q.Value != 5 || a.Quota(vpc.VPCsPerRegion) != 5 || len(a.Installation().Quotas) != 0 {
		t.Errorf("back to the default: got %+v, %v", q, err)
	}
	if _, c, err := a.ModifyQuota(vpc.VPCsPerRegion, nil); err != nil || !c.Empty() {
		t.Errorf("nothing to change: got %+v, %v", c, err)
	}

	_, err = modify("vpcs", new(1))
	refused(t, err, "InvalidParameterValue: The quota 'vpcs' does not exist")
	_, err = modify(vpc.VPCsPerRegion, new(1001))
	refused(t, err, "InvalidParameterValue: Value (1001) for parameter value is invalid. Expecting a value between 0 and 1000.")
	_, err = modify(vpc.VPCsPerRegion, new(-1))
	refused(t, err, "InvalidParameterValue: Value (-1) for parameter value is invalid. Expecting a value between 0 and 1000.")

	// Rules per group times groups per interface: 60 × 16 is under 1,000, 200 × 5 is just it.
	const tooMany = "InvalidParameterValue: 201 rules per security group and 5 security groups per network interface are more than 1000 rules per network interface."
	_, err = modify(vpc.RulesPerSecurityGroup, new(201))
	refused(t, err, tooMany)
	if _, err := modify(vpc.RulesPerSecurityGroup, new(200)); err != nil {
		t.Error(err)
	}
	_, err = modify(vpc.SecurityGroupsPerInterface, new(6))
	refused(t, err, "InvalidParameterValue: 200 rules per security group and 6 security groups per network interface are more than 1000 rules per network interface.")
	if _, err := modify(vpc.SecurityGroupsPerInterface, new(1)); err != nil {
		t.Error(err)
	}
	if _, err := modify(vpc.RulesPerSecurityGroup, new(1000)); err != nil {
		t.Error(err)
	}
	_, err = modify(vpc.SecurityGroupsPerInterface, nil)
	refused(t, err, "InvalidParameterValue: 1000 rules per security group and 5 security groups per network interface are more than 1000 rules per network interface.")

	some, err := a.DescribeQuotas([]vpc.QuotaName{vpc.VPCsPerRegion, vpc.RulesPerSecurityGroup, vpc.VPCsPerRegion})
	if err != nil || len(some) != 2 || some[0].Name != vpc.RulesPerSecurityGroup || some[0].Value != 1000 || some[0].Default != 60 {
		t.Errorf("got %+v, %v", some, err)
	}
	all, err := a.DescribeQuotas(nil)
	if err != nil || len(all) < 10 || !slices.IsSortedFunc(all, func(a, b vpc.QuotaInForce) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Errorf("got %+v, %v", all, err)
	}
	_, err = a.DescribeQuotas([]vpc.QuotaName{"x"})
	refused(t, err, "InvalidParameterValue: The quota 'x' does not exist")
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
