package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) newVPC(cidr string, ipv6 bool) *vpc.VPC {
	a.t.Helper()
	v, c, err := a.CreateVPC(a.env, vpc.NewVPC{CIDR: cidr, IPv6: ipv6})
	return made(a, v, c, err)
}

func (a *account) newSubnet(in vpc.NewSubnet) *vpc.Subnet {
	a.t.Helper()
	n, c, err := a.CreateSubnet(a.env, in)
	return made(a, n, c, err)
}

// tagged is a specification with one tag.
func tagged(kind, key, value string) []vpc.TagSpecification {
	return []vpc.TagSpecification{{ResourceType: kind, Tags: []vpc.Tag{{Key: key, Value: &value}}}}
}

func TestCreateVPC(t *testing.T) {
	a := bootstrapped(t)
	v, c, err := a.CreateVPC(a.env, vpc.NewVPC{
		CIDR: "10.0.3.4/16", IPv6: true, TagSpecifications: tagged("vpc", "Name", "two"),
	})
	a.do(c, err)
	if v.CIDRs[0].CIDR.String() != "10.0.0.0/16" || v.IPv6CIDRs[0].CIDR.String() != "fd12:3456:789a::/56" || v.Tags["Name"] != "two" {
		t.Errorf("got %+v, want 10.0.0.0/16, fd12:3456:789a::/56, Name=two", v)
	}
	want := "egress peer: 0.0.0.0/0, ALL, ALLOW; egress peer: ::/0, ALL, ALLOW; ingress peer: " +
		string(a.DefaultGroup(v.ID).ID) + ", ALL, ALLOW"
	if got := ruleTexts(a.DefaultGroup(v.ID)); got != want {
		t.Errorf("default group: got %s, want %s", got, want)
	}
	second := a.newVPC("10.0.0.0/16", true) // the same addresses are legal
	if got := second.IPv6CIDRs[0].CIDR.String(); got != "fd12:3456:789a:100::/56" {
		t.Errorf("second IPv6 block: got %s", got)
	}
}

func TestIPv6BlocksComeAroundAgain(t *testing.T) {
	a := bootstrapped(t)
	kept := a.newVPC("10.0.0.0/16", true)
	seen := map[string]bool{kept.IPv6CIDRs[0].CIDR.String(): true}
	for n := range 256 {
		v := a.newVPC("10.0.0.0/16", true)
		block := v.IPv6CIDRs[0].CIDR.String()
		if n < 255 && seen[block] {
			t.Fatalf("block %s was given twice in round %d", block, n)
		}
		seen[block] = true
		if block == kept.IPv6CIDRs[0].CIDR.String() {
			t.Fatalf("block %s is in use and was given again", block)
		}
		a.do(a.DeleteVPC(a.env, v.ID))
	}
	if len(seen) != 256 {
		t.Errorf("got %d blocks, want all 256", len(seen))
	}
}

func TestCreateVPCRefuses(t *testing.T) {
	a := bootstrapped(t)
	for _, tt := range []struct {
		in   vpc.NewVPC
		want string
	}{
		{vpc.NewVPC{}, "MissingParameter: Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."},
		{vpc.NewVPC{CIDR: "ten"}, "InvalidParameterValue: Value (ten) for parameter cidrBlock is invalid. This is not a valid CIDR block."},
		{vpc.NewVPC{CIDR: "10.0.0.0"}, "InvalidParameterValue: Value (10.0.0.0) for parameter cidrBlock is invalid. This is not a valid CIDR block."},
		{vpc.NewVPC{CIDR: "fd00::/64"}, "InvalidParameterValue: Value (fd00::/64) for parameter cidrBlock is invalid. This is not a valid CIDR block."},
		{vpc.NewVPC{CIDR: "10.0.0.0/15"}, "InvalidVpc.Range: The CIDR '10.0.0.0/15' is invalid."},
		{vpc.NewVPC{CIDR: "10.0.0.0/29"}, "InvalidVpc.Range: The CIDR '10.0.0.0/29' is invalid."},
		{vpc.NewVPC{CIDR: "169.254.0.0/20"}, "InvalidVpc.Range: The CIDR '169.254.0.0/20' is invalid."},
		{vpc.NewVPC{CIDR: "10.0.0.0/16", TagSpecifications: tagged("subnet", "a", "b")}, "InvalidParameterValue: 'subnet' is not a valid taggable resource type for this operation."},
	} {
		_, c, err := a.CreateVPC(a.env, tt.in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt.in)
		}
	}
	for n := range 4 {
		a.newVPC(fmt.Sprintf("10.%d.0.0/16", n), false)
	}
	_, _, err := a.CreateVPC(a.env, vpc.NewVPC{CIDR: "10.0.0.0/16"})
	refused(t, err, "VpcLimitExceeded: The maximum number of VPCs has been reached.")
}

func TestDeleteVPC(t *testing.T) {
	a := bootstrapped(t)
	before := slices.Collect(a.Objects())
	v := a.newVPC("10.0.0.0/16", false)
	pinned := "DependencyViolation: The vpc '" + string(v.ID) + "' has dependencies and cannot be deleted."

	g := a.create(v.ID, "web")
	_, err := a.DeleteVPC(a.env, v.ID)
	refused(t, err, pinned)
	_, c, err := a.DeleteSecurityGroup(vpc.GroupRef{ID: g.ID})
	a.do(c, err)

	n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.1.0/24"})
	_, err = a.DeleteVPC(a.env, v.ID)
	refused(t, err, pinned)
	a.do(a.DeleteSubnet(n.ID))

	a.do(a.DeleteVPC(a.env, v.ID))
	if got := len(slices.Collect(a.Objects())); got != len(before) {
		t.Errorf("after all is deleted: got %d objects, want %d", got, len(before))
	}
	_, err = a.DeleteVPC(a.env, v.ID)
	refused(t, err, "InvalidVpcID.NotFound: The vpc ID '"+string(v.ID)+"' does not exist")
	_, err = a.DeleteVPC(a.env, "vpc-x")
	refused(t, err, `InvalidVpcID.Malformed: Invalid id: "vpc-x" (expecting "vpc-...")`)
	_, err = a.DeleteVPC(a.env, "")
	refused(t, err, "MissingParameter: The request must contain the parameter vpcId")

	for _, n := range a.subnets(a.Installation().DefaultVPC) {
		a.do(a.DeleteSubnet(n.ID))
	}
	a.do(a.DeleteVPC(a.env, a.Installation().DefaultVPC))
	if a.Installation().DefaultVPC != "" {
		t.Errorf("the deleted VPC is still the default")
	}
}

func TestDescribeVPCs(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.0.0.0/16", true)
	a.do(a.CreateTags([]string{string(v.ID)}, []vpc.Tag{{Key: "Name", Value: new("two")}}))
	def := a.Installation().DefaultVPC
	for filter, want := range map[string][]vpc.VPCID{
		"cidr=10.0.0.0/16": {v.ID},
		"cidr-block-association.cidr-block=172.31.0.0/16":                 {def},
		"cidr-block-association.state=associated":                         {def, v.ID},
		"cidr-block-association.association-id=" + string(v.CIDRs[0].ID):  {v.ID},
		"ipv6-cidr-block-association.ipv6-cidr-block=fd12:3456:789a::/56": {v.ID},
		"ipv6-cidr-block-association.ipv6-pool=Amazon":                    {v.ID},
		"ipv6-cidr-block-association.state=associated":                    {v.ID},
		"is-default=true":        {def},
		"isDefault=false":        {v.ID},
		"owner-id=123456789012":  {def, v.ID},
		"state=available":        {def, v.ID},
		"state=pending":          nil,
		"tag:Name=t?o":           {v.ID},
		"tag-key=Name":           {v.ID},
		"vpc-id=" + string(def):  {def},
		"dhcp-options-id=dopt-1": nil,
	} {
		got, _, err := a.DescribeVPCs(vpc.VPCQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		if ids := idsOf(got, func(v *vpc.VPC) vpc.VPCID { return v.ID }); !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, want %v", filter, ids, want)
		}
	}
	_, _, err := a.DescribeVPCs(vpc.VPCQuery{Filters: filterOf("colour=red")})
	refused(t, err, "InvalidParameterValue: The filter 'colour' is invalid")
	_, _, err = a.DescribeVPCs(vpc.VPCQuery{IDs: []vpc.VPCID{def}, Page: vpc.Page{Max: new(int32(5))}})
	refused(t, err, "InvalidParameterCombination: The parameter VpcIds cannot be used with the parameter MaxResults")
	_, _, err = a.DescribeVPCs(vpc.VPCQuery{IDs: []vpc.VPCID{def, "vpc-12345678"}})
	refused(t, err, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist")
}
