package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// permission makes one with ports, or without if they are absent.
func permission(protocol string, ports []int32, peers ...vpc.PermissionPeer) vpc.Permission {
	p := vpc.Permission{Protocol: protocol, Peers: peers}
	if len(ports) > 0 {
		p.From = &ports[0]
	}
	if len(ports) > 1 {
		p.To = &ports[1]
	}
	return p
}

func ports(n ...int32) []int32 { return n }

func ip4(cidr string) vpc.PermissionPeer { return vpc.PermissionPeer{IPv4: cidr} }

func TestAuthorizeMakesCanonicalRules(t *testing.T) {
	tests := []struct {
		p    vpc.Permission
		want string
		flat bool // From and To are -1
	}{
		{permission("TCP", ports(80, 81), ip4("100.68.0.18/18")), "peer: 100.68.0.0/18, TCP, from port: 80, to port: 81, ALLOW", false},
		{permission("6", ports(0, 65535), ip4("1.2.3.4/32")), "peer: 1.2.3.4/32, TCP, from port: 0, to port: 65535, ALLOW", false},
		{permission("17", ports(53, 53), vpc.PermissionPeer{IPv6: "FD00:0::1/64"}), "peer: fd00::/64, UDP, from port: 53, to port: 53, ALLOW", false},
		{permission("icmp", ports(-1, -1), ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, ICMP, type: ALL, code: ALL, ALLOW", true},
		{permission("1", ports(8, 0), ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, ICMP, type: 8, code: 0, ALLOW", false},
		{permission("icmp", ports(3, -1), ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, ICMP, type: 3, code: ALL, ALLOW", false},
		{permission("58", nil, vpc.PermissionPeer{IPv6: "::/0"}), "peer: ::/0, ICMPv6, type: ALL, code: ALL, ALLOW", true},
		{permission("-1", nil, ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, ALL, ALLOW", true},
		{permission("-1", ports(0, 0), ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, ALL, ALLOW", true},
		{permission("50", ports(1, 2), ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, protocol: 50, ALLOW", true},
		{permission("0", nil, ip4("0.0.0.0/0")), "peer: 0.0.0.0/0, protocol: 0, ALLOW", true},
	}
	for _, tt := range tests {
		a := newAccount(t)
		g := a.create(otherVPC, "g")
		rules, err := a.authorize(g.ID, false, tt.p)
		if err != nil || len(rules) != 1 || rules[0].String() != tt.want {
			t.Errorf("%+v: got %v, %v; want %s", tt.p, rules, err, tt.want)
			continue
		}
		if r := rules[0]; r.ID == "" || r.Number == 0 || r.Egress || (r.From == -1 && r.To == -1) != tt.flat {
			t.Errorf("%+v: got %+v", tt.p, r)
		}
		_, err = a.authorize(g.ID, false, tt.p)
		refused(t, err, fmt.Sprintf(`InvalidPermission.Duplicate: the specified rule "%s" already exists`, tt.want))
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	a := newAccount(t)
	g, foreign := a.create(otherVPC, "g"), a.create("", "foreign")
	any4 := ip4("0.0.0.0/0")
	const (
		noPeer = "InvalidParameterValue: Invalid permission: exactly one of remote-security-group, remote-ip-range, remote-ipv6-range, or prefix-list-id must be present."
		text   = "InvalidParameterValue: Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
		tcp    = "InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with TCP/UDP."
		icmp   = "InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with ICMP."
		twice  = "InvalidParameterValue: The same permission must not appear multiple times"
	)
	tests := []struct {
		p    []vpc.Permission
		want string
	}{
		{nil, "MissingParameter: Missing source specification: include source security group or CIDR information"},
		{[]vpc.Permission{permission("tcp", ports(1, 2))}, noPeer},
		{[]vpc.Permission{permission("tcp", ports(1, 2), vpc.PermissionPeer{Description: "x"})}, noPeer},
		{[]vpc.Permission{permission("", ports(1, 2), any4)}, "InvalidParameterValue: Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."},
		{[]vpc.Permission{permission("all", nil, any4)}, "InvalidParameterValue: Invalid value 'all' for IP protocol. Unknown protocol."},
		{[]vpc.Permission{permission("esp", nil, any4)}, "InvalidParameterValue: Invalid value 'esp' for IP protocol. Unknown protocol."},
		{[]vpc.Permission{permission("256", nil, any4)}, "InvalidParameterValue: Invalid value '256' for IP protocol. Unknown protocol."},
		{[]vpc.Permission{permission("-2", nil, any4)}, "InvalidParameterValue: Invalid value '-2' for IP protocol. Unknown protocol."},
		{[]vpc.Permission{permission("+6", ports(1, 1), any4)}, "InvalidParameterValue: Invalid value '+6' for IP protocol. Unknown protocol."},
		{[]vpc.Permission{permission("tcp", nil, any4)}, tcp},
		{[]vpc.Permission{permission("udp", ports(5), any4)}, tcp},
		{[]vpc.Permission{permission("tcp", ports(-1, -1), any4)}, "InvalidParameterValue: TCP/UDP (from) port (-1) out of range"},
		{[]vpc.Permission{permission("tcp", ports(0, 70000), any4)}, "InvalidParameterValue: TCP/UDP (to) port (70000) out of range"},
		{[]vpc.Permission{permission("tcp", ports(80, 70), any4)}, "InvalidParameterValue: Invalid TCP/UDP port range (80:70)"},
		{[]vpc.Permission{permission("icmp", nil, any4)}, icmp},
		{[]vpc.Permission{permission("icmpv6", ports(1), any4)}, icmp},
		{[]vpc.Permission{permission("icmp", ports(256, 0), any4)}, "InvalidParameterValue: ICMP type (256) out of range"},
		{[]vpc.Permission{permission("icmp", ports(8, 65535), any4)}, "InvalidParameterValue: ICMP code (65535) out of range"},
		{[]vpc.Permission{permission("icmp", ports(-1, 0), any4)}, "InvalidParameterValue: ICMP code (0) out of range"},
		{[]vpc.Permission{permission("-1", nil, ip4("10.0.0.1"))}, "InvalidParameterValue: CIDR block 10.0.0.1 is malformed"},
		{[]vpc.Permission{permission("-1", nil, ip4("10.0.0.0/33"))}, "InvalidParameterValue: CIDR block 10.0.0.0/33 is malformed"},
		{[]vpc.Permission{permission("-1", nil, ip4("::/0"))}, "InvalidParameterValue: CIDR block ::/0 is malformed"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{IPv6: "10.0.0.0/8"})}, "InvalidParameterValue: CIDR block 10.0.0.0/8 is malformed"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{IPv6: "fe80::%eth0/64"})}, "InvalidParameterValue: CIDR block fe80::%eth0/64 is malformed"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{IPv6: "::ffff:10.0.0.0/104"})}, "InvalidParameterValue: CIDR block ::ffff:10.0.0.0/104 is malformed"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{IPv4: "0.0.0.0/0", Description: "<>"})}, text},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{PrefixList: "pl-12345678"})}, "InvalidPrefixListID.NotFound: The prefix list ID 'pl-12345678' does not exist"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{PrefixList: "pl-x"})}, `InvalidPrefixListId.Malformed: Invalid id: "pl-x" (expecting "pl-...")`},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: "web"})}, `InvalidGroupId.Malformed: Invalid id: "web" (expecting "sg-...")`},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: "sg-12345678"})}, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: g.ID, Account: "210987654321"})}, fmt.Sprintf("InvalidGroup.NotFound: The security group '%s' does not exist", g.ID)},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: foreign.ID})}, "InvalidGroup.NotFound: You have specified two resources that belong to different networks."},
		{[]vpc.Permission{permission("-1", nil, vpc.PermissionPeer{GroupName: "foreign"})}, "InvalidGroup.NotFound: You have specified two resources that belong to different networks."},
		{[]vpc.Permission{permission("-1", nil, any4, any4)}, twice},
		{[]vpc.Permission{permission("-1", nil, any4), permission("-1", ports(0, 0), vpc.PermissionPeer{IPv4: "1.2.3.4/0", Description: "other"})}, twice},
	}
	for _, tt := range tests {
		_, err := a.authorize(g.ID, false, tt.p...)
		refused(t, err, tt.want)
	}
	_, err := a.authorize(g.ID, true)
	refused(t, err, "MissingParameter: The request must contain the parameter ipPermissions")
	_, err = a.authorize(g.ID, true, permission("-1", nil, ip4("1.2.3.4/0")))
	refused(t, err, `InvalidPermission.Duplicate: the specified rule "peer: 0.0.0.0/0, ALL, ALLOW" already exists`)
	if g := a.SecurityGroup(g.ID); len(g.Rules) != 2 || g.EgressModified {
		t.Errorf("a refused call left %+v", g)
	}
}

func TestAuthorizeIsAllOrNothing(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g")
	_, err := a.authorize(g.ID, false, permission("tcp", ports(22, 22), ip4("10.0.0.0/8"), ip4("11.0.0.0/8"),
		vpc.PermissionPeer{IPv6: "fd00::/8"}, vpc.PermissionPeer{Group: g.ID, Description: "its own"}))
	if err != nil {
		t.Fatal(err)
	}
	before := a.SecurityGroup(g.ID)
	if len(before.Rules) != 6 || before.EgressModified {
		t.Fatalf("got %+v, want 2 + 4 rules and egress as it was", before)
	}
	_, err = a.authorize(g.ID, false, permission("tcp", ports(22, 22), ip4("12.0.0.0/8"), ip4("11.0.0.0/8")))
	refused(t, err, `InvalidPermission.Duplicate: the specified rule "peer: 11.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW" already exists`)
	if a.SecurityGroup(g.ID) != before {
		t.Error("a refused call changed the group")
	}
	numbers := map[uint32]bool{}
	for _, r := range before.Rules {
		numbers[r.Number] = true
	}
	if len(numbers) != len(before.Rules) || numbers[0] {
		t.Errorf("rule numbers %v are not unique or have a 0", numbers)
	}
}

func TestAuthorizeFlatForm(t *testing.T) {
	a := newAccount(t)
	g, from := a.create("", "g"), a.create("", "from")
	authorize := func(egress bool, f vpc.FlatPermission) (*vpc.SecurityGroup, error) {
		g, _, c, err := a.AuthorizeSecurityGroup(a.env, vpc.NewRules{Group: vpc.GroupRef{Name: "G"}, Egress: egress, Flat: f})
		if err == nil {
			a.apply(c)
		}
		return g, err
	}
	if _, err := authorize(false, vpc.FlatPermission{Protocol: "tcp", From: new(int32(22)), To: new(int32(22)), CIDR: "10.1.2.3/8"}); err != nil {
		t.Error(err)
	}
	if _, err := authorize(false, vpc.FlatPermission{GroupName: "FROM", GroupAccount: "123456789012"}); err != nil {
		t.Error(err)
	}
	want := fmt.Sprintf("egress peer: 0.0.0.0/0, ALL, ALLOW; "+
		"ingress peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW; "+
		"ingress peer: %[1]s, ICMP, type: ALL, code: ALL, ALLOW; "+
		"ingress peer: %[1]s, TCP, from port: 0, to port: 65535, ALLOW; "+
		"ingress peer: %[1]s, UDP, from port: 0, to port: 65535, ALLOW", from.ID)
	if got := ruleTexts(a.SecurityGroup(g.ID)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_, err := authorize(false, vpc.FlatPermission{Protocol: "tcp", From: new(int32(22)), To: new(int32(22))})
	refused(t, err, "MissingParameter: Missing source specification: include source security group or CIDR information")
	_, err = authorize(false, vpc.FlatPermission{GroupAccount: "123456789012"})
	refused(t, err, "MissingParameter: Source group ID missing.")
	_, err = authorize(false, vpc.FlatPermission{Protocol: "icmpv6", CIDR: "0.0.0.0/0"})
	refused(t, err, "InvalidParameterValue: Invalid value 'icmpv6' for IP protocol. Unknown protocol.")
	_, err = authorize(false, vpc.FlatPermission{GroupName: "from", CIDR: "0.0.0.0/0"})
	refused(t, err, "InvalidParameterCombination: The parameter sourceSecurityGroupName cannot be used with the parameter cidrIp")
	_, err = authorize(true, vpc.FlatPermission{Protocol: "-1", CIDR: "10.0.0.0/8"})
	refused(t, err, "MissingParameter: The request must contain the parameter ipPermissions")
}

func TestRuleQuotaCountsFamiliesAndDirections(t *testing.T) {
	a := newAccount(t)
	g, other := a.create("", "g"), a.create("", "other")
	limit := a.Quota(vpc.RulesPerSecurityGroup)
	fill := func(n int, format string) (peers []vpc.PermissionPeer) {
		for i := range n {
			p := vpc.PermissionPeer{IPv4: fmt.Sprintf(format, i)}
			if format[0] == 'f' {
				p = vpc.PermissionPeer{IPv6: p.IPv4}
			}
			peers = append(peers, p)
		}
		return peers
	}
	const full = "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached."
	_, err := a.authorize(g.ID, false, permission("-1", nil, fill(limit+1, "10.0.0.%d/32")...))
	refused(t, err, full)
	for _, add := range [][]vpc.PermissionPeer{
		fill(limit-1, "10.0.0.%d/32"), fill(limit-1, "fd00::%d/128"), {{Group: other.ID}},
	} {
		if _, err := a.authorize(g.ID, false, permission("-1", nil, add...)); err != nil {
			t.Fatalf("within the quota: %v", err)
		}
	}
	for _, more := range []vpc.PermissionPeer{ip4("1.1.1.1/32"), {IPv6: "fd01::/16"}, {Group: g.ID}} {
		_, err := a.authorize(g.ID, false, permission("-1", nil, more))
		refused(t, err, full)
	}
	// Egress has 0.0.0.0/0 already.
	if _, err := a.authorize(g.ID, true, permission("-1", nil, fill(limit-1, "10.0.0.%d/32")...)); err != nil {
		t.Errorf("egress shares the quota of ingress: %v", err)
	}
	_, err = a.authorize(g.ID, true, permission("-1", nil, ip4("1.1.1.1/32")))
	refused(t, err, full)
}

func TestRevoke(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g")
	rules, err := a.authorize(g.ID, false,
		permission("tcp", ports(22, 22), ip4("10.0.0.0/8"), vpc.PermissionPeer{IPv4: "11.0.0.0/8", Description: "d"}),
		permission("-1", nil, vpc.PermissionPeer{Group: g.ID}))
	if err != nil {
		t.Fatal(err)
	}
	egress := g.Rules[0].ID
	revoke := func(in vpc.OldRules) (vpc.Revoked, error) {
		in.Group.ID = g.ID
		out, c, err := a.RevokeSecurityGroup(in)
		if err == nil {
			a.apply(c)
		} else if !c.Empty() {
			t.Errorf("refused with a change: %+v", c)
		}
		return out, err
	}
	const none = "InvalidPermission.NotFound: The specified rule does not exist in this security group."
	refusals := []struct {
		in   vpc.OldRules
		want string
	}{
		{vpc.OldRules{}, "MissingParameter: Either 'ipPermissions' or 'securityGroupRuleIds' should be provided."},
		{vpc.OldRules{Egress: true, Flat: vpc.FlatPermission{Protocol: "-1"}}, "MissingParameter: Either 'ipPermissions' or 'securityGroupRuleIds' should be provided."},
		{vpc.OldRules{Rules: []vpc.RuleID{rules[0].ID, "sgr-12345678"}}, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-12345678' does not exist"},
		{vpc.OldRules{Rules: []vpc.RuleID{"sg-12345678"}}, `InvalidSecurityGroupRuleId.Malformed: Invalid id: "sg-12345678" (expecting "sgr-...")`},
		{vpc.OldRules{Rules: []vpc.RuleID{egress}}, fmt.Sprintf("InvalidSecurityGroupRuleId.NotFound: The security group rule ID '%s' does not exist", egress)},
		{vpc.OldRules{Rules: []vpc.RuleID{rules[0].ID}, Permissions: []vpc.Permission{{}}}, "InvalidParameterCombination: The parameter ipPermissions cannot be used with the parameter securityGroupRuleIds"},
		{vpc.OldRules{Permissions: []vpc.Permission{permission("tcp", ports(22, 22), ip4("10.0.0.0/8"), ip4("12.0.0.0/8"))}}, none},
		{vpc.OldRules{Permissions: []vpc.Permission{permission("tcp", ports(22, 23), ip4("10.0.0.0/8"))}}, none},
		{vpc.OldRules{Permissions: []vpc.Permission{permission("tcp", ports(22, 22), ip4("10.0.0.0/9"))}}, none},
		{vpc.OldRules{Egress: true, Permissions: []vpc.Permission{permission("tcp", ports(22, 22), ip4("10.0.0.0/8"))}}, none},
		{vpc.OldRules{Permissions: []vpc.Permission{permission("-1", nil, vpc.PermissionPeer{Group: "sg-12345678"})}}, none},
	}
	for _, tt := range refusals {
		_, err := revoke(tt.in)
		refused(t, err, tt.want)
	}
	if n := len(a.SecurityGroup(g.ID).Rules); n != 5 {
		t.Fatalf("refused calls left %d rules of 5", n)
	}

	// By properties: host bits, the protocol's number, ports of -1 and descriptions make no difference.
	out, err := revoke(vpc.OldRules{Permissions: []vpc.Permission{
		permission("6", ports(22, 22), ip4("11.9.9.9/8")),
		permission("-1", ports(0, 0), vpc.PermissionPeer{Group: g.ID, Account: "123456789012", Description: "<ignored>"}),
	}})
	if err != nil || len(out.Rules) != 2 || out.Rules[0].ID != rules[1].ID || out.Rules[1].ID != rules[2].ID || out.Unknown != nil {
		t.Errorf("got %+v, %v; want the second and third rule", out, err)
	}
	if out.Group.EgressModified {
		t.Error("an ingress rule counts as egress")
	}
	// By id.
	out, err = revoke(vpc.OldRules{Egress: true, Rules: []vpc.RuleID{egress, egress}})
	if err != nil || len(out.Rules) != 1 || !out.Group.EgressModified {
		t.Errorf("got %+v, %v; want one rule and egress modified", out, err)
	}
	if got, want := ruleTexts(a.SecurityGroup(g.ID)), "egress peer: ::/0, ALL, ALLOW; ingress peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRevokeInDefaultVPCReportsUnknown(t *testing.T) {
	a := newAccount(t)
	g := a.create("", "g")
	if _, err := a.authorize(g.ID, false, permission("tcp", ports(22, 22), ip4("10.0.0.0/8"))); err != nil {
		t.Fatal(err)
	}
	out, c, err := a.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{Name: "g"}, Permissions: []vpc.Permission{
		permission("tcp", ports(22, 22), ip4("12.0.0.0/8"), ip4("10.0.0.0/8")),
		permission("udp", ports(1, 1), ip4("10.0.0.0/8")),
	}})
	if err != nil || len(out.Rules) != 1 || len(c.Puts) != 1 {
		t.Fatalf("got %+v, %+v, %v; want one rule revoked", out, c, err)
	}
	var unknown []string
	for _, p := range out.Unknown {
		for _, peer := range p.Peers {
			unknown = append(unknown, p.Protocol+" "+peer.IPv4)
		}
	}
	if want := []string{"tcp 12.0.0.0/8", "udp 10.0.0.0/8"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown: got %v, want %v", unknown, want)
	}
	_, c, err = a.RevokeSecurityGroup(vpc.OldRules{
		Group: vpc.GroupRef{ID: g.ID}, Egress: true, Permissions: []vpc.Permission{permission("-1", nil, vpc.PermissionPeer{IPv6: "::/0"})},
	})
	if err != nil || !c.Empty() {
		t.Errorf("nothing to revoke: got %+v, %v; want no change and no error", c, err)
	}
}

func TestDescribeSecurityGroupRules(t *testing.T) {
	a := newAccount(t)
	g, h := a.create(otherVPC, "g"), a.create(otherVPC, "h")
	filter := func(name string, values ...string) []vpc.Filter {
		return []vpc.Filter{{Name: name, Values: values}}
	}
	tests := []struct {
		q    vpc.RuleQuery
		want []vpc.RuleID
	}{
		{vpc.RuleQuery{}, []vpc.RuleID{g.Rules[0].ID, g.Rules[1].ID, h.Rules[0].ID, h.Rules[1].ID}},
		{vpc.RuleQuery{IDs: []vpc.RuleID{h.Rules[1].ID, g.Rules[1].ID, g.Rules[1].ID}}, []vpc.RuleID{g.Rules[1].ID, h.Rules[1].ID}},
		{vpc.RuleQuery{Filters: filter("group-id", string(h.ID))}, []vpc.RuleID{h.Rules[0].ID, h.Rules[1].ID}},
		{vpc.RuleQuery{Filters: filter("group-id", "sg-12345678")}, nil},
		{vpc.RuleQuery{Filters: filter("security-group-rule-id", string(g.Rules[0].ID))}, []vpc.RuleID{g.Rules[0].ID}},
		{vpc.RuleQuery{Filters: filter("tag-key", "*")}, nil},
	}
	for _, tt := range tests {
		rules, _, err := a.DescribeSecurityGroupRules(tt.q)
		var got []vpc.RuleID
		for _, r := range rules {
			got = append(got, r.Rule.ID)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v, %v; want %v", tt.q, got, err, tt.want)
		}
	}
	_, _, err := a.DescribeSecurityGroupRules(vpc.RuleQuery{IDs: []vpc.RuleID{g.Rules[0].ID, "sgr-12345678"}})
	refused(t, err, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-12345678' does not exist")
	_, _, err = a.DescribeSecurityGroupRules(vpc.RuleQuery{Filters: filter("group-id", "foobar")})
	refused(t, err, "InvalidGroupId.Malformed: The security group ID 'foobar' is malformed")
}

func TestPermissionsGroupRules(t *testing.T) {
	a := newAccount(t)
	g := a.create(otherVPC, "g")
	_, err := a.authorize(g.ID, false,
		permission("tcp", ports(22, 22), ip4("10.0.0.0/8")),
		permission("47", nil, ip4("10.0.0.0/8")),
		permission("tcp", ports(22, 22), vpc.PermissionPeer{Group: g.ID}))
	if err != nil {
		t.Fatal(err)
	}
	in, out := a.Permissions(a.SecurityGroup(g.ID), false), a.Permissions(a.SecurityGroup(g.ID), true)
	if len(in) != 2 || len(in[0].Peers) != 2 || *in[0].From != 22 || in[0].Peers[1].Group != g.ID || in[1].Protocol != "47" || in[1].From != nil {
		t.Errorf("ingress: got %+v", in)
	}
	if len(out) != 1 || len(out[0].Peers) != 2 || out[0].Protocol != "-1" || out[0].From != nil || out[0].Peers[1].IPv6 != "::/0" {
		t.Errorf("egress: got %+v", out)
	}
}
