package vpc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// filterOf reads "name=value".
func filterOf(s string) []vpc.Filter {
	name, value, _ := strings.Cut(s, "=")
	return []vpc.Filter{{Name: name, Values: []string{value}}}
}

func idsOf[T, ID any](list []T, id func(T) ID) []ID {
	var out []ID
	for _, o := range list {
		out = append(out, id(o))
	}
	return out
}

func TestCreateSubnet(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.0.0.0/16", true)
	n := a.newSubnet(vpc.NewSubnet{
		VPC: v.ID, CIDR: "10.0.1.9/24", IPv6CIDR: "fd12:3456:789a:1::/64", Zone: "us-east-1b",
		TagSpecifications: tagged("subnet", "Name", "s"),
	})
	if n.CIDR.String() != "10.0.1.0/24" || n.IPv6CIDRs[0].CIDR.String() != "fd12:3456:789a:1::/64" || n.Zone != "us-east-1b" ||
		n.Tags["Name"] != "s" || n.DefaultForZone || a.AvailableAddresses(n) != 251 {
		t.Errorf("got %+v", n)
	}
	if n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.2.0/24", ZoneID: "use1-az3"}); n.Zone != "us-east-1c" {
		t.Errorf("zone id use1-az3: got zone %s, want us-east-1c", n.Zone)
	}
	if n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.3.0/24"}); n.Zone != "us-east-1a" {
		t.Errorf("no zone: got zone %s, want us-east-1a", n.Zone)
	}
	for _, tt := range []struct {
		in   vpc.NewSubnet
		want string
	}{
		{vpc.NewSubnet{VPC: "vpc-12345678", CIDR: "10.0.9.0/24"}, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist"},
		{vpc.NewSubnet{VPC: "x", CIDR: "10.0.9.0/24"}, `InvalidVpcID.Malformed: Invalid id: "x" (expecting "vpc-...")`},
		{vpc.NewSubnet{VPC: v.ID}, "MissingParameter: Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9"}, "InvalidParameterValue: Value (10.0.9) for parameter cidrBlock is invalid. This is not a valid CIDR block."},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.1.0.0/24"}, "InvalidSubnet.Range: The CIDR '10.1.0.0/24' is invalid."},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.0.0/15"}, "InvalidSubnet.Range: The CIDR '10.0.0.0/15' is invalid."},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/29"}, "InvalidSubnet.Range: The CIDR '10.0.9.0/29' is invalid."},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.1.128/25"}, "InvalidSubnet.Conflict: The CIDR '10.0.1.128/25' conflicts with another subnet"},
		{vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.0.0/16"}, "InvalidSubnet.Conflict: The CIDR '10.0.0.0/16' conflicts with another subnet"},
		{
			vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/24", IPv6CIDR: "fd12:3456:789a:1::/64"},
			"InvalidSubnet.Conflict: The CIDR 'fd12:3456:789a:1::/64' conflicts with another subnet",
		},
		{
			vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/24", IPv6CIDR: "fd12:3456:789a::/60"},
			"InvalidSubnet.Range: The CIDR 'fd12:3456:789a::/60' is invalid.",
		},
		{
			vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/24", IPv6CIDR: "fd12:3456:789a:100::/64"},
			"InvalidSubnet.Range: The CIDR 'fd12:3456:789a:100::/64' is invalid.",
		},
		{
			vpc.NewSubnet{VPC: a.Installation().DefaultVPC, CIDR: "172.31.48.0/24", IPv6CIDR: "fd12:3456:789a::/64"},
			"InvalidSubnet.Range: The CIDR 'fd12:3456:789a::/64' is invalid.",
		},
		{
			vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/24", Zone: "us-east-1d"},
			"InvalidParameterValue: Value (us-east-1d) for parameter availabilityZone is invalid. Subnets can currently only be " +
				"created in the following availability zones: us-east-1a, us-east-1b, us-east-1c.",
		},
		{
			vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.9.0/24", Zone: "us-east-1a", ZoneID: "use1-az1"},
			"InvalidParameterCombination: The parameter availabilityZone cannot be used with the parameter availabilityZoneId",
		},
	} {
		_, c, err := a.CreateSubnet(a.env, tt.in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt.in)
		}
	}
}

func TestSubnetLifetime(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.0.0.0/16", true)
	n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.1.0/24"})

	on := new(true)
	a.do(a.ModifySubnet(n.ID, vpc.SubnetChange{MapPublicIPOnLaunch: on}))
	if !a.Subnet(n.ID).MapPublicIPOnLaunch {
		t.Error("MapPublicIPOnLaunch was not set")
	}
	_, err := a.ModifySubnet(n.ID, vpc.SubnetChange{AssignIPv6AddressOnCreation: on})
	refused(t, err, "InvalidParameterValue: The subnet '"+string(n.ID)+"' does not have an IPv6 CIDR block associated with it.")
	_, err = a.ModifySubnet(n.ID, vpc.SubnetChange{})
	refused(t, err, "InvalidParameterCombination: No attributes specified.")
	_, err = a.ModifySubnet(n.ID, vpc.SubnetChange{AssignIPv6AddressOnCreation: on, MapPublicIPOnLaunch: on})
	refused(t, err, "InvalidParameterCombination: Fields for multiple attribute types specified: mapPublicIpOnLaunch, assignIpv6AddressOnCreation")
	_, err = a.ModifySubnet("subnet-1", vpc.SubnetChange{MapPublicIPOnLaunch: on})
	refused(t, err, `InvalidSubnetID.Malformed: Invalid id: "subnet-1" (expecting "subnet-...")`)

	eni := a.interfaceIn(n.ID)
	if got := a.AvailableAddresses(n); got != 250 {
		t.Errorf("available addresses with one interface: got %d, want 250", got)
	}
	_, err = a.DeleteSubnet(n.ID)
	refused(t, err, "DependencyViolation: The subnet '"+string(n.ID)+"' has dependencies and cannot be deleted.")
	a.do(a.DeleteNetworkInterface(eni.ID))
	a.do(a.DeleteSubnet(n.ID))
	_, err = a.DeleteSubnet(n.ID)
	refused(t, err, "InvalidSubnetID.NotFound: The subnet ID '"+string(n.ID)+"' does not exist")
}

func TestDescribeSubnets(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.0.0.0/16", true)
	n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.0.1.0/24", IPv6CIDR: "fd12:3456:789a:1::/64", Zone: "us-east-1b"})
	def := a.subnets(a.Installation().DefaultVPC)
	for filter, want := range map[string][]vpc.SubnetID{
		"availability-zone=us-east-1b":   {def[1].ID, n.ID},
		"availabilityZone=us-east-1c":    {def[2].ID},
		"availability-zone-id=use1-az1":  {def[0].ID},
		"availabilityZoneId=use1-az1":    {def[0].ID},
		"available-ip-address-count=251": {n.ID},
		"cidr-block=10.0.1.0/24":         {n.ID},
		"cidrBlock=10.0.*":               {n.ID},
		"cidr=172.31.0.0/20":             {def[0].ID},
		"default-for-az=false":           {n.ID},
		"defaultForAz=true":              {def[0].ID, def[1].ID, def[2].ID},
		"ipv6-cidr-block-association.ipv6-cidr-block=fd12:3456:789a:1::/64": {n.ID},
		"ipv6-cidr-block-association.state=associated":                      {n.ID},
		"ipv6-native=true":              nil,
		"map-public-ip-on-launch=false": {n.ID},
		"outpost-arn=*":                 nil,
		"owner-id=999999999999":         nil,
		"state=pending":                 nil,
		"subnet-arn=arn:aws:ec2:us-east-1:123456789012:subnet/" + string(n.ID): {n.ID},
		"subnet-id=" + string(n.ID): {n.ID},
		"vpc-id=" + string(v.ID):    {n.ID},
	} {
		got, _, err := a.DescribeSubnets(vpc.SubnetQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		if ids := idsOf(got, func(n *vpc.Subnet) vpc.SubnetID { return n.ID }); !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, want %v", filter, ids, want)
		}
	}
}
