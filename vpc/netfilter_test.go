package vpc_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// Every filter of peering connections, route tables and network ACLs: a value that one of two objects
// has, "" for a filter that nothing passes.
func TestNetworkFilters(t *testing.T) {
	a := bootstrapped(t)
	one, two := a.newVPC("10.1.0.0/16", true), a.newVPC("10.2.0.0/16", false)
	n := a.newSubnet(vpc.NewSubnet{VPC: one.ID, CIDR: "10.1.0.0/24"})
	p := a.accepted(a.newPeering(one.ID, two.ID))
	a.do(a.CreateTags([]string{string(p.ID)}, []vpc.Tag{{Key: "Name", Value: new("x")}}))
	pending := a.newPeering(a.Installation().DefaultVPC, two.ID)
	digits := strings.TrimPrefix(string(one.ID), "vpc-")

	peerings := func(f []vpc.Filter) (ids []string, err error) {
		list, _, err := a.DescribePeerings(vpc.PeeringQuery{Filters: f})
		for _, p := range list {
			ids = append(ids, string(p.ID))
		}
		return ids, err
	}
	tables := func(f []vpc.Filter) (ids []string, err error) {
		list, _, err := a.DescribeRouteTables(vpc.RouteTableQuery{Filters: f})
		for _, t := range list {
			ids = append(ids, t.ID)
		}
		return ids, err
	}
	acls := func(f []vpc.Filter) (ids []string, err error) {
		list, _, err := a.DescribeNetworkACLs(vpc.NetworkACLQuery{Filters: f})
		for _, l := range list {
			ids = append(ids, l.ID)
		}
		return ids, err
	}
	all := func(ids ...string) string { return strings.Join(ids, " ") }
	rtb := func(v vpc.VPCID) string { return "rtb-" + strings.TrimPrefix(string(v), "vpc-") }
	acl := func(v vpc.VPCID) string { return "acl-" + strings.TrimPrefix(string(v), "vpc-") }
	first := a.Installation().DefaultVPC
	everyTable, everyACL := all(rtb(first), rtb(one.ID), rtb(two.ID)), all(acl(first), acl(one.ID), acl(two.ID))
	both := all(string(p.ID), string(pending.ID))

	for _, tt := range []struct {
		describe    func([]vpc.Filter) ([]string, error)
		name, value string
		want        string
	}{
		{peerings, "accepter-vpc-info.cidr-block", "10.2.0.0/16", string(p.ID)}, // not of the request: it is not shown
		{peerings, "accepter-vpc-info.owner-id", "123456789012", both},
		{peerings, "accepter-vpc-info.vpc-id", string(two.ID), both},
		{peerings, "requester-vpc-info.cidr-block", "10.1.0.0/16", string(p.ID)},
		{peerings, "requester-vpc-info.owner-id", "123456789012", both},
		{peerings, "requester-vpc-info.vpc-id", string(one.ID), string(p.ID)},
		{peerings, "expiration-time", pending.Created.Add(vpc.PeeringWaits).Format("2006-01-02T15:04:05.000Z"), string(pending.ID)},
		{peerings, "status-code", "active", string(p.ID)},
		{peerings, "status-message", "Pending Acceptance by 123456789012", string(pending.ID)},
		{peerings, "tag:Name", "x", string(p.ID)},
		{peerings, "tag-key", "Name", string(p.ID)},
		{peerings, "vpc-peering-connection-id", string(p.ID), string(p.ID)},

		{tables, "association.gateway-id", "*", ""},
		{tables, "association.main", "true", everyTable},
		{tables, "association.main", "false", ""},
		{tables, "association.route-table-association-id", "rtbassoc-" + digits, rtb(one.ID)},
		{tables, "association.route-table-id", rtb(one.ID), rtb(one.ID)},
		{tables, "association.subnet-id", "*", ""},
		{tables, "owner-id", "123456789012", everyTable},
		{tables, "route-table-id", rtb(two.ID), rtb(two.ID)},
		{tables, "route.destination-cidr-block", "10.2.0.0/16", all(rtb(one.ID), rtb(two.ID))},
		{tables, "route.destination-ipv6-cidr-block", one.IPv6CIDRs[0].CIDR.String(), all(rtb(one.ID), rtb(two.ID))},
		{tables, "route.destination-prefix-list-id", "*", ""},
		{tables, "route.egress-only-internet-gateway-id", "*", ""},
		{tables, "route.gateway-id", "local", everyTable},
		{tables, "route.instance-id", "*", ""},
		{tables, "route.nat-gateway-id", "*", ""},
		{tables, "route.origin", "CreateRouteTable", everyTable},
		{tables, "route.origin", "CreateRoute", all(rtb(one.ID), rtb(two.ID))},
		{tables, "route.state", "active", everyTable},
		{tables, "route.transit-gateway-id", "*", ""},
		{tables, "route.vpc-peering-connection-id", string(p.ID), all(rtb(one.ID), rtb(two.ID))},
		{tables, "tag-key", "*", ""},
		{tables, "vpc-id", string(one.ID), rtb(one.ID)},

		{acls, "association.association-id", "aclassoc-" + strings.TrimPrefix(string(n.ID), "subnet-"), acl(one.ID)},
		{acls, "association.network-acl-id", acl(one.ID), acl(one.ID)},
		{acls, "association.subnet-id", string(n.ID), acl(one.ID)},
		{acls, "default", "true", everyACL},
		{acls, "entry.cidr", "0.0.0.0/0", everyACL},
		{acls, "entry.egress", "true", everyACL},
		{acls, "entry.icmp.code", "*", ""},
		{acls, "entry.icmp.type", "*", ""},
		{acls, "entry.ipv6-cidr", "::/0", acl(one.ID)},
		{acls, "entry.port-range.from", "*", ""},
		{acls, "entry.port-range.to", "*", ""},
		{acls, "entry.protocol", "-1", everyACL},
		{acls, "entry.rule-action", "allow", everyACL},
		{acls, "entry.rule-number", "101", acl(one.ID)},
		{acls, "network-acl-id", acl(two.ID), acl(two.ID)},
		{acls, "owner-id", "123456789012", everyACL},
		{acls, "tag:Name", "*", ""},
		{acls, "vpc-id", string(one.ID), acl(one.ID)},
	} {
		got, err := tt.describe([]vpc.Filter{{Name: tt.name, Values: []string{tt.value}}})
		if err != nil || all(got...) != tt.want {
			t.Errorf("%s = %s: got %v, %v, want %s", tt.name, tt.value, got, err, tt.want)
		}
	}
}
