package vpc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// Whatever a client sends as a permission is refused, or is a rule that means what it says: it comes
// out canonical, is the same rule again when that is sent, and is revoked by it.
func FuzzPermission(f *testing.F) {
	for _, s := range []struct {
		protocol        string
		from, to        int32
		have            uint8
		cidr, text      string
		group, list, v6 bool
	}{
		{"TCP", 22, 22, 3, "10.1.2.3/8", "a & b", false, false, false},
		{"58", 0, 0, 0, "FD00::1/16", "", false, false, true},
		{"icmp", -1, -1, 3, "0.0.0.0/0", "", true, true, false},
		{"-1", 0, 65535, 1, "1.2.3.4/32", "<", false, false, false},
		{"tcp", 65536, -1, 3, "::ffff:1.2.3.4/96", "", false, false, true},
		{"256", 0, 0, 2, "1.2.3.4/033", "", false, false, false},
		{" 6", 1, 1, 3, "fe80::%1/64", "\x00", false, false, true},
	} {
		f.Add(s.protocol, s.from, s.to, s.have, s.cidr, s.text, s.group, s.list, s.v6)
	}
	f.Fuzz(func(t *testing.T, protocol string, from, to int32, have uint8, cidr, text string, group, list, v6 bool) {
		a := newAccount(t)
		a.list("pl-11111111", v6, 3)
		g := a.create(otherVPC, "g")
		p := vpc.Permission{Protocol: protocol}
		if have&1 != 0 {
			p.From = &from
		}
		if have&2 != 0 {
			p.To = &to
		}
		peer := vpc.PermissionPeer{IPv4: cidr, Description: text}
		if v6 {
			peer.IPv4, peer.IPv6 = "", cidr
		}
		p.Peers = append(p.Peers, peer)
		if group {
			p.Peers = append(p.Peers, vpc.PermissionPeer{Group: g.ID})
		}
		if list {
			p.Peers = append(p.Peers, vpc.PermissionPeer{PrefixList: "pl-11111111"})
		}
		rules, err := a.authorize(g.ID, false, p)
		if err != nil {
			if vpc.CodeOf(err) == "" {
				t.Fatalf("%+v: %v is no refusal", p, err)
			}
			return
		}
		for _, r := range rules {
			if c := r.Peer.CIDR; c != c.Masked() || c.Addr().Is4In6() || c.Addr().Zone() != "" || c.IsValid() && c.Addr().Is6() != v6 {
				t.Errorf("%+v: got the CIDR %s", p, c)
			}
			if r.Protocol < -1 || r.Protocol > 255 {
				t.Errorf("%+v: got the protocol %d", p, r.Protocol)
			}
			ported := r.Protocol == vpc.TCP || r.Protocol == vpc.UDP
			if ported && (r.From < 0 || r.From > r.To || r.To > 65535) || !ported && (r.From < -1 || r.To < -1 || r.From > 255 || r.To > 255) {
				t.Errorf("%+v: got ports %d to %d", p, r.From, r.To)
			}
			if len(r.Description) > 255 || strings.ContainsAny(r.Description, "<>\x00") {
				t.Errorf("%+v: got the description %q", p, r.Description)
			}
		}
		shown := a.Permissions(a.SecurityGroup(g.ID), false)
		if _, err := a.authorize(g.ID, false, shown...); vpc.CodeOf(err) != vpc.CodeInvalidPermissionDuplicate {
			t.Errorf("%+v is shown as %+v; sent again: %v", p, shown, err)
		}
		c, err := a.UpdateSecurityGroupRuleDescriptions(vpc.NewDescriptions{Group: vpc.GroupRef{ID: g.ID}, Permissions: shown})
		if err != nil || !c.Empty() {
			t.Errorf("described as it is shown: got %+v, %v", c, err)
		}
		out, c, err := a.RevokeSecurityGroup(vpc.OldRules{Group: vpc.GroupRef{ID: g.ID}, Permissions: shown})
		if a.done(c, err) != nil || len(out.Rules) != len(rules) || len(a.SecurityGroup(g.ID).Rules) != 2 {
			t.Errorf("revoked as it is shown: got %+v, %v", out, err)
		}
	})
}

// Every filter on rules, of both directions, finds the group that has such a rule and no other.
func TestRuleFilters(t *testing.T) {
	a := newAccount(t)
	a.list("pl-11111111", false, 3)
	named := a.create(otherVPC, "named")
	has := map[bool]*vpc.SecurityGroup{false: a.create(otherVPC, "in"), true: a.create(otherVPC, "out")}
	for egress, g := range has {
		_, err := a.authorize(g.ID, egress,
			permission("tcp", ports(22, 23), ip4("10.0.0.0/8")),
			permission("udp", ports(53, 54), vpc.PermissionPeer{IPv6: "fd00::/8"}, vpc.PermissionPeer{Group: named.ID}),
			permission("50", nil, vpc.PermissionPeer{PrefixList: "pl-11111111"}))
		if err != nil {
			t.Fatal(err)
		}
	}
	find := func(filters ...vpc.Filter) (names []string) {
		groups, _, err := a.DescribeSecurityGroups(vpc.GroupQuery{Filters: filters})
		if err != nil {
			t.Error(err)
		}
		for _, g := range groups {
			names = append(names, g.Name)
		}
		return names
	}
	for prefix, want := range map[string]string{"ip-permission.": "in", "egress.ip-permission.": "out"} {
		for name, value := range map[string]string{
			"cidr": "10.0.0.0/8", "ipv6-cidr": "fd00::/8", "from-port": "22", "to-port": "54", "group-id": string(named.ID),
			"group-name": "named", "prefix-list-id": "pl-11111111", "protocol": "50", "user-id": "123456789012",
		} {
			if got := find(filtered(prefix+name, value)[0]); !slices.Equal(got, []string{want}) {
				t.Errorf("%s%s=%s: got %v, want %s", prefix, name, value, got, want)
			}
			if got := find(filtered(prefix+name, "x"+value, value+"x")[0]); got != nil {
				t.Errorf("%s%s: got %v of values that no rule has", prefix, name, got)
			}
			if got := find(filtered(prefix+name, value[:1]+"*"+value[1:])[0]); !slices.Contains(got, want) {
				t.Errorf("%s%s: a wildcard finds %v, want %s among them", prefix, name, got, want)
			}
		}
		// A protocol is compared as it is shown; and each filter may be met by another rule.
		if got := find(filtered(prefix+"protocol", "6", "17", "TCP")[0]); got != nil {
			t.Errorf("protocol by number: got %v", got)
		}
		if got := find(filtered(prefix+"cidr", "10.0.0.0/8")[0], filtered(prefix+"protocol", "udp")[0]); !slices.Equal(got, []string{want}) {
			t.Errorf("filters met by two rules: got %v, want %s", got, want)
		}
	}
}
