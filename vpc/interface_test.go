package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// lan is an account with a second VPC: a small subnet without IPv6, one with, and a group.
type lan struct {
	*account
	vpc         *vpc.VPC
	small, dual *vpc.Subnet
	group       *vpc.SecurityGroup
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{account: bootstrapped(t)}
	l.vpc = l.newVPC("10.0.0.0/16", true)
	l.small = l.newSubnet(vpc.NewSubnet{VPC: l.vpc.ID, CIDR: "10.0.1.0/28"})
	l.dual = l.newSubnet(vpc.NewSubnet{VPC: l.vpc.ID, CIDR: "10.0.2.0/24", IPv6CIDR: "fd12:3456:789a:2::/64"})
	l.group = l.create(l.vpc.ID, "web")
	return l
}

func TestCreateNetworkInterface(t *testing.T) {
	l := newLAN(t)
	plain := l.interfaceIn(l.small.ID)
	if !slices.Equal(plain.Groups, []vpc.GroupID{l.DefaultGroup(l.vpc.ID).ID}) || !plain.SourceDestCheck ||
		plain.Status() != "available" || len(plain.IPv4) != 1 || len(plain.IPv6) != 0 {
		t.Errorf("got %+v, want one IPv4 address, the default group, available", plain)
	}
	if plain.MAC[0] != 0x02 {
		t.Errorf("MAC %v is not locally administered", plain.MAC)
	}
	full := l.newInterface(vpc.NewInterface{
		Subnet: l.dual.ID, Description: "d", Groups: []vpc.GroupID{l.group.ID, l.group.ID},
		Addresses: vpc.Addresses{
			Primary: "10.0.2.9", Secondary: []string{"10.0.2.8", "10.0.2.7"}, IPv6: []string{"fd12:3456:789a:2::9"}, IPv6Count: nil,
		},
		TagSpecifications: tagged("network-interface", "Name", "n"),
	})
	if got, want := fmt.Sprint(full.IPv4, full.IPv6, full.Groups, full.Tags, full.Description),
		fmt.Sprint("[10.0.2.9 10.0.2.8 10.0.2.7] [fd12:3456:789a:2::9] [", l.group.ID, "] map[Name:n]d"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	counted := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{SecondaryCount: 2, IPv6Count: new(2)}})
	if len(counted.IPv4) != 3 || len(counted.IPv6) != 2 {
		t.Errorf("counts: got %v %v, want 3 IPv4 and 2 IPv6 addresses", counted.IPv4, counted.IPv6)
	}
	l.do(l.ModifySubnet(l.dual.ID, vpc.SubnetChange{AssignIPv6AddressOnCreation: new(true)}))
	if e := l.interfaceIn(l.dual.ID); len(e.IPv6) != 1 {
		t.Errorf("in a subnet that assigns IPv6 addresses: got %v, want one", e.IPv6)
	}
}

func TestAddressesAreUniqueAndNeverReserved(t *testing.T) {
	l := newLAN(t)
	seen := map[netip.Addr]bool{}
	macs := map[vpc.MAC]bool{}
	for range 5 { // 2 each of 11
		e := l.newInterface(vpc.NewInterface{Subnet: l.small.ID, Addresses: vpc.Addresses{SecondaryCount: 1}})
		for _, a := range e.IPv4 {
			if seen[a] || !l.small.CIDR.Contains(a) {
				t.Errorf("address %s is taken or not of the subnet", a)
			}
			seen[a] = true
		}
		if macs[e.MAC] {
			t.Errorf("MAC %s is taken", e.MAC)
		}
		macs[e.MAC] = true
	}
	for _, reserved := range []string{"10.0.1.0", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.15"} {
		if seen[netip.MustParseAddr(reserved)] {
			t.Errorf("the reserved address %s was given out", reserved)
		}
	}
	_, c, err := l.CreateNetworkInterface(l.env, vpc.NewInterface{Subnet: l.small.ID, Addresses: vpc.Addresses{SecondaryCount: 1}})
	refused(t, err, "InsufficientFreeAddressesInSubnet: Insufficient free addresses in subnet '"+string(l.small.ID)+"'")
	if !c.Empty() {
		t.Error("a refusal changes something")
	}
	l.interfaceIn(l.small.ID) // the eleventh
	if got := l.AvailableAddresses(l.small); got != 0 {
		t.Errorf("available addresses: got %d, want 0", got)
	}
	_, _, err = l.CreateNetworkInterface(l.env, vpc.NewInterface{Subnet: l.small.ID})
	refused(t, err, "InsufficientFreeAddressesInSubnet: Insufficient free addresses in subnet '"+string(l.small.ID)+"'")
}

func TestCreateNetworkInterfaceRefuses(t *testing.T) {
	l := newLAN(t)
	foreign := l.DefaultGroup(l.Installation().DefaultVPC)
	taken := l.interfaceIn(l.dual.ID)
	var six []vpc.GroupID
	for n := range 6 {
		six = append(six, l.create(l.vpc.ID, fmt.Sprint("g", n)).ID)
	}
	with := func(a vpc.Addresses) vpc.NewInterface { return vpc.NewInterface{Subnet: l.dual.ID, Addresses: a} }
	groups := func(g ...vpc.GroupID) vpc.NewInterface { return vpc.NewInterface{Subnet: l.dual.ID, Groups: g} }
	for _, tt := range []struct {
		in   vpc.NewInterface
		want string
	}{
		{vpc.NewInterface{Subnet: "subnet-12345678"}, "InvalidSubnetID.NotFound: The subnet ID 'subnet-12345678' does not exist"},
		{vpc.NewInterface{Subnet: "s"}, `InvalidSubnetID.Malformed: Invalid id: "s" (expecting "subnet-...")`},
		{groups("sg-12345678"), "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{groups("web"), "InvalidGroup.NotFound: The security group 'web' does not exist"},
		{groups("sg-web"), `InvalidGroupId.Malformed: Invalid id: "sg-web" (expecting "sg-...")`},
		{groups(foreign.ID), "InvalidParameter: Security group " + string(foreign.ID) + " and subnet " + string(l.dual.ID) + " belong to different networks."},
		{groups(six...), "SecurityGroupsPerInterfaceLimitExceeded: The maximum number of security groups per interface has been reached."},
		{with(vpc.Addresses{Primary: "10.0.1.5"}), "InvalidParameterValue: Address does not fall within the subnet's address range"},
		{with(vpc.Addresses{Primary: "10.0.2.0"}), "InvalidParameterValue: Address is in subnet's reserved address range"},
		{with(vpc.Addresses{Primary: "10.0.2.3"}), "InvalidParameterValue: Address is in subnet's reserved address range"},
		{with(vpc.Addresses{Primary: "10.0.2.255"}), "InvalidParameterValue: Address is in subnet's reserved address range"},
		{with(vpc.Addresses{IPv6: []string{"fd12:3456:789a:2::1"}}), "InvalidParameterValue: Address is in subnet's reserved address range"},
		{with(vpc.Addresses{Primary: taken.IPv4[0].String()}), "InvalidIPAddress.InUse: Address " + taken.IPv4[0].String() + " is in use."},
		{with(vpc.Addresses{Primary: "ten"}), "InvalidParameterValue: Value (ten) for parameter privateIpAddress is invalid."},
		{with(vpc.Addresses{Primary: "fd12:3456:789a:2::9"}), "InvalidParameterValue: Value (fd12:3456:789a:2::9) for parameter privateIpAddress is invalid."},
		{with(vpc.Addresses{IPv6: []string{"::ffff:10.0.2.9"}}), "InvalidParameterValue: Value (::ffff:10.0.2.9) for parameter ipv6Addresses is invalid."},
		{with(vpc.Addresses{Primary: "10.0.2.9", Secondary: []string{"10.0.2.9"}}), "InvalidParameterValue: Address 10.0.2.9 was specified more than once."},
		{
			with(vpc.Addresses{Secondary: []string{"10.0.2.9"}, SecondaryCount: 1}),
			"InvalidParameterCombination: The parameter secondaryPrivateIpAddressCount cannot be used with the parameter privateIpAddresses",
		},
		{
			with(vpc.Addresses{IPv6: []string{"fd12:3456:789a:2::9"}, IPv6Count: new(1)}),
			"InvalidParameterCombination: The parameter ipv6AddressCount cannot be used with the parameter ipv6Addresses",
		},
		{with(vpc.Addresses{SecondaryCount: -1}), "InvalidParameterValue: Value (-1) for parameter secondaryPrivateIpAddressCount is invalid."},
		{with(vpc.Addresses{SecondaryCount: 50}), "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."},
		{with(vpc.Addresses{IPv6Count: new(51)}), "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."},
		{
			vpc.NewInterface{Subnet: l.small.ID, Addresses: vpc.Addresses{IPv6Count: new(1)}},
			"InvalidParameterValue: The subnet '" + string(l.small.ID) + "' does not have an IPv6 CIDR block associated with it.",
		},
		{
			vpc.NewInterface{Subnet: l.dual.ID, Description: strings.Repeat("x", 256)},
			"InvalidParameterValue: Value (" + strings.Repeat("x", 256) + ") for parameter description is invalid. It may have 255 characters.",
		},
		{
			vpc.NewInterface{Subnet: l.dual.ID, TagSpecifications: tagged("vpc", "a", "b")},
			"InvalidParameterValue: 'vpc' is not a valid taggable resource type for this operation.",
		},
	} {
		_, c, err := l.CreateNetworkInterface(l.env, tt.in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt.in)
		}
	}
}

func TestInterfaceTokenIsIdempotent(t *testing.T) {
	l := newLAN(t)
	in := vpc.NewInterface{Subnet: l.small.ID, ClientToken: "t"}
	first := l.newInterface(in)
	again, c, err := l.CreateNetworkInterface(l.env, in)
	if err != nil || again.ID != first.ID || !c.Empty() {
		t.Errorf("the same token: got %v %v, want %s and no change", again, err, first.ID)
	}
	for _, token := range []string{strings.Repeat("t", 256), "t\x00", "tök"} {
		_, _, err = l.CreateNetworkInterface(l.env, vpc.NewInterface{Subnet: l.small.ID, ClientToken: token})
		refused(t, err, "InvalidParameterValue: Value ("+token+") for parameter clientToken is invalid. It may have 255 ASCII characters.")
	}
	in.Description = "other"
	_, _, err = l.CreateNetworkInterface(l.env, in)
	refused(t, err, "IdempotentParameterMismatch: The client token you have provided is associated with a resource that was made with different parameters.")
}

func TestAdoptNetworkInterface(t *testing.T) {
	l := newLAN(t)
	e, c, err := l.AdoptNetworkInterface(l.env, vpc.NewAdopted{
		Subnet: l.dual.ID, MAC: "52:54:00:AA:bb:01", IPv4: "10.0.2.50", IPv6: []string{"fd12:3456:789a:2::50"}, Groups: []vpc.GroupID{l.group.ID},
	})
	l.do(c, err)
	if got, want := fmt.Sprint(e.MAC, e.IPv4, e.IPv6), "52:54:00:aa:bb:01 [10.0.2.50] [fd12:3456:789a:2::50]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for mac, want := range map[string]string{
		"52:54:00:aa:bb:01": "InvalidParameterValue: Value (52:54:00:aa:bb:01) for parameter macAddress is invalid. The network interface '" + string(e.ID) + "' has it.",
		"01:00:5e:00:00:01": "InvalidParameterValue: Value (01:00:5e:00:00:01) for parameter macAddress is invalid.",
		"00:00:00:00:00:00": "InvalidParameterValue: Value (00:00:00:00:00:00) for parameter macAddress is invalid.",
		"525400aabb02":      "InvalidParameterValue: Value (525400aabb02) for parameter macAddress is invalid.",
	} {
		_, _, err := l.AdoptNetworkInterface(l.env, vpc.NewAdopted{Subnet: l.dual.ID, MAC: mac})
		refused(t, err, want)
	}
}

func TestModifyNetworkInterface(t *testing.T) {
	l := newLAN(t)
	e := l.interfaceIn(l.small.ID)
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{Groups: []vpc.GroupID{l.group.ID}}))
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{Description: new("x")}))
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{SourceDestCheck: new(false)}))
	now := l.NetworkInterface(e.ID)
	if !slices.Equal(now.Groups, []vpc.GroupID{l.group.ID}) || now.Description != "x" || now.SourceDestCheck {
		t.Errorf("got %+v", now)
	}
	dual := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Addresses: vpc.Addresses{IPv6Count: new(1)}})
	l.do(l.ModifyNetworkInterface(dual.ID, vpc.InterfaceChange{PrimaryIPv6: new(false)}))
	l.do(l.ModifyNetworkInterface(dual.ID, vpc.InterfaceChange{PrimaryIPv6: new(true)}))
	l.do(l.ModifyNetworkInterface(dual.ID, vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{TCPEstablished: 60, UDP: 30}}))
	l.do(l.ModifyNetworkInterface(dual.ID, vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{UDP: 60, UDPStream: 180}}))
	l.do(l.ModifyNetworkInterface(dual.ID, vpc.InterfaceChange{PublicIPAddress: new(false)}))
	if now, want := l.NetworkInterface(dual.ID), (vpc.ConnectionTracking{TCPEstablished: 60, UDP: 60, UDPStream: 180}); now.Tracking != want || !now.PrimaryIPv6 {
		t.Errorf("got %+v", now)
	}
	foreign := l.DefaultGroup(l.Installation().DefaultVPC)
	for _, tt := range []struct {
		id   vpc.InterfaceID
		in   vpc.InterfaceChange
		want string
	}{
		{"eni-12345678", vpc.InterfaceChange{}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{"eni", vpc.InterfaceChange{}, `InvalidNetworkInterfaceId.Malformed: Invalid id: "eni" (expecting "eni-...")`},
		{e.ID, vpc.InterfaceChange{}, "InvalidParameterCombination: No attributes specified."},
		{e.ID, vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{}}, "InvalidParameterCombination: No attributes specified."},
		{
			e.ID,
			vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{TCPEstablished: 432_001}},
			"InvalidParameterValue: Value (432001) for parameter tcpEstablishedTimeout is invalid. It must be between 60 and 432000 seconds.",
		},
		{
			e.ID,
			vpc.InterfaceChange{Tracking: &vpc.ConnectionTracking{UDP: -1}},
			"InvalidParameterValue: Value (-1) for parameter udpTimeout is invalid. It must be between 30 and 60 seconds.",
		},
		{e.ID, vpc.InterfaceChange{PublicIPAddress: new(true)}, "UnsupportedOperation: The value given for parameter associatePublicIpAddress is not supported."},
		{e.ID, vpc.InterfaceChange{PrimaryIPv6: new(true)}, "InvalidParameterCombination: The network interface has no IPv6 address that could be its primary one."},
		{
			dual.ID,
			vpc.InterfaceChange{PrimaryIPv6: new(false)},
			"OperationNotPermitted: The primary IPv6 address of the network interface '" + string(dual.ID) + "' cannot be disabled once it was enabled.",
		},
		{e.ID, vpc.InterfaceChange{Attachment: &vpc.AttachmentChange{ID: "ela-attach-1"}}, "OperationNotPermitted: You are not allowed to manage 'ela-attach' attachments."},
		{
			e.ID,
			vpc.InterfaceChange{Description: new(""), SourceDestCheck: new(true)},
			"InvalidParameterCombination: Fields for multiple attribute types specified",
		},
		{
			e.ID,
			vpc.InterfaceChange{Groups: []vpc.GroupID{foreign.ID}},
			"InvalidGroup.NotFound: You have specified two resources that belong to different networks.",
		},
		{
			e.ID,
			vpc.InterfaceChange{Attachment: &vpc.AttachmentChange{ID: "eni-attach-12345678"}},
			"InvalidAttachmentID.NotFound: The network interface attachment ID 'eni-attach-12345678' does not exist",
		},
		{
			e.ID,
			vpc.InterfaceChange{Attachment: &vpc.AttachmentChange{ID: "eni-12345678"}},
			`InvalidNetworkInterfaceAttachmentId.Malformed: Invalid id: "eni-12345678" (expecting "eni-attach-...")`,
		},
	} {
		_, err := l.ModifyNetworkInterface(tt.id, tt.in)
		refused(t, err, tt.want)
	}
}

func TestDescribeNetworkInterfaces(t *testing.T) {
	l := newLAN(t)
	i := l.run(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID, Groups: []vpc.GroupID{l.group.ID}, Addresses: vpc.Addresses{IPv6Count: new(1), SecondaryCount: 1}}})[0]
	used := l.PrimaryInterface(i.ID)
	free := l.newInterface(vpc.NewInterface{
		Subnet: l.small.ID, Description: "spare", Addresses: vpc.Addresses{Primary: "10.0.1.4"},
		TagSpecifications: tagged("network-interface", "Name", "n"),
	})
	l.do(l.ModifyNetworkInterface(free.ID, vpc.InterfaceChange{SourceDestCheck: new(false)}))
	one, two, both := []vpc.InterfaceID{used.ID}, []vpc.InterfaceID{free.ID}, []vpc.InterfaceID{used.ID, free.ID}
	for filter, want := range map[string][]vpc.InterfaceID{
		"addresses.primary=true":                                 both,
		"addresses.primary=false":                                one,
		"addresses.private-ip-address=" + used.IPv4[1].String():  one,
		"association.public-ip=*":                                nil,
		"attachment.attach-time=2026-01-02T03:*":                 one,
		"attachment.attachment-id=" + string(used.Attachment.ID): one,
		"attachment.delete-on-termination=true":                  one,
		"attachment.device-index=0":                              one,
		"attachment.instance-id=" + string(i.ID):                 one,
		"attachment.instance-owner-id=123456789012":              one,
		"attachment.status=attached":                             one,
		"availability-zone=us-east-1a":                           both,
		"availability-zone-id=use1-az1":                          both,
		"description=spare":                                      two,
		"group-id=" + string(l.group.ID):                         one,
		"group-name=web":                                         one,
		"ipv6-addresses.ipv6-address=" + used.IPv6[0].String():   one,
		"interface-type=interface":                               both,
		"mac-address=" + free.MAC.String():                       two,
		"network-interface-id=" + string(free.ID):                two,
		"operator.managed=false":                                 both,
		"owner-id=123456789012":                                  both,
		"private-dns-name=ip-10-0-1-4.ec2.internal":              two,
		"private-ip-address=10.0.1.4":                            two,
		"requester-id=*":                                         nil,
		"requester-managed=false":                                both,
		"source-dest-check=false":                                two,
		"status=available":                                       two,
		"status=in-use":                                          one,
		"subnet-id=" + string(l.small.ID):                        two,
		"tag:Name=n":                                             two,
		"tag-key=Name":                                           two,
		"vpc-id=" + string(l.vpc.ID):                             both,
	} {
		got, _, err := l.DescribeNetworkInterfaces(vpc.InterfaceQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		if ids := idsOf(got, func(e *vpc.NetworkInterface) vpc.InterfaceID { return e.ID }); !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, want %v", filter, ids, want)
		}
	}
	_, _, err := l.DescribeNetworkInterfaces(vpc.InterfaceQuery{IDs: both, Page: vpc.Page{Max: new(int32(5))}})
	refused(t, err, "InvalidParameterCombination: The parameter networkInterfaceIds cannot be used with the parameter maxResults")
}

// An interface may carry a group of another VPC as long as that is associated with its own.
func TestInterfaceCarriesAssociatedGroup(t *testing.T) {
	l := newLAN(t)
	other := l.newVPC("10.9.0.0/16", false)
	shared := l.create(other.ID, "shared")
	e := l.interfaceIn(l.small.ID)
	foreign := "InvalidGroup.NotFound: You have specified two resources that belong to different networks."
	change := vpc.InterfaceChange{Groups: []vpc.GroupID{shared.ID, l.group.ID}}
	_, err := l.ModifyNetworkInterface(e.ID, change)
	refused(t, err, foreign)
	_, c, err := l.AssociateSecurityGroupVPC(l.env, shared.ID, l.vpc.ID)
	l.do(c, err)
	l.do(l.ModifyNetworkInterface(e.ID, change))
	made := l.newInterface(vpc.NewInterface{Subnet: l.dual.ID, Groups: []vpc.GroupID{shared.ID}})
	if got := l.NetworkInterface(e.ID).Groups; !slices.Equal(got, change.Groups) || !slices.Equal(made.Groups, change.Groups[:1]) {
		t.Errorf("got %v and %v, want %v and its first", got, made.Groups, change.Groups)
	}
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{Groups: []vpc.GroupID{l.group.ID}}))
	l.do(l.DeleteNetworkInterface(made.ID))
	_, c, err = l.DisassociateSecurityGroupVPC(l.env, shared.ID, l.vpc.ID)
	l.do(c, err)
	_, err = l.ModifyNetworkInterface(e.ID, change)
	refused(t, err, foreign)
}
