package vpc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The fuzz tests of what callers write. Each knows, by other means than the code does, what EC2 takes.

func fuzzState(tb testing.TB, groups int) *State {
	tb.Helper()
	n := 0
	env := Env{Now: time.Unix(1_800_000_000, 0).UTC(), ID: func(prefix string) string { n++; return fmt.Sprintf("%s-%017x", prefix, n) }}
	s := new(State)
	c, err := s.Bootstrap(env, NewInstallation{Account: "123456789012", Region: "us-east-1", ULA: netip.MustParsePrefix("fd00:5a11:9007::/48")})
	if err != nil {
		tb.Fatal(err)
	}
	s = s.Apply(c, 1)
	for i := range groups {
		_, c, err := s.CreateSecurityGroup(env, NewSecurityGroup{Name: fmt.Sprint("g", i), Description: "d"})
		if err != nil {
			tb.Fatal(err)
		}
		s = s.Apply(c, 1)
	}
	return s
}

func FuzzID(f *testing.F) {
	for _, s := range []string{
		"sg-0123456789abcdef0", "sg-01234567", "sg-0123456789ABCDEF0", "sgr-", "eni-0123456789abcdef", "eni-attach-01234567",
		"vpc-é1234567", "i-01234567\n", " subnet-01234567", "pl-01234567-", "", "-",
	} {
		f.Add(s)
	}
	parsers := map[string]func(string) error{
		"vpc": parse(ParseVPCID), "subnet": parse(ParseSubnetID), "sg": parse(ParseGroupID), "sgr": parse(ParseRuleID),
		"pl": parse(ParsePrefixListID), "pcx": parse(ParsePeeringID), "eni": parse(ParseInterfaceID),
		"eni-attach": parse(ParseAttachmentID), "i": parse(ParseInstanceID), "ami": parse(ParseImageID),
		"nip": parse(ParseInsightsPathID), "nia": parse(ParseInsightsAnalysisID),
	}
	f.Fuzz(func(t *testing.T, s string) {
		for prefix, parse := range parsers {
			want := regexp.MustCompile(`\A` + prefix + `-([0-9a-f]{8}|[0-9a-f]{17})\z`).MatchString(s)
			err := parse(s)
			if (err == nil) != want || err != nil && !strings.HasSuffix(string(CodeOf(err)), "alformed") {
				t.Errorf("%s id %q: %v, want it taken: %v", prefix, s, err, want)
			}
		}
	})
}

// wellFormed says, octet by octet, whether a text is a CIDR as EC2 takes it.
func wellFormed(s string, v6 bool) bool {
	address, bits, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(bits)
	if !ok || err != nil || strconv.Itoa(n) != bits || n < 0 {
		return false
	}
	if v6 {
		ip := net.ParseIP(address)
		return ip != nil && strings.Contains(address, ":") && ip.To4() == nil && n <= 128
	}
	octets := strings.Split(address, ".")
	for _, o := range octets {
		if v, err := strconv.Atoi(o); err != nil || strconv.Itoa(v) != o || v < 0 || v > 255 {
			return false
		}
	}
	return len(octets) == 4 && n <= 32
}

func FuzzRule(f *testing.F) {
	f.Add("tcp", int32(80), int32(443), "10.1.2.3/8", false, true)
	f.Add("-1", int32(0), int32(0), "0.0.0.0/0", false, false)
	f.Add("icmp", int32(-1), int32(0), "::/0", true, true)
	f.Add("58", int32(256), int32(-1), "fd00::%eth0/64", true, true)
	f.Add("+6", int32(1), int32(0), "10.0.0.0/08", false, true)
	f.Add("UDP", int32(65536), int32(65536), "::ffff:10.0.0.0/104", true, true)
	f.Add("256", int32(-1), int32(-1), "010.0.0.0/8", false, false)
	s := fuzzState(f, 1)
	group := s.GroupNamed(s.Installation().DefaultVPC, "g0").ID
	env := Env{Now: time.Unix(1_800_000_000, 0).UTC(), ID: RandomID}
	f.Fuzz(func(t *testing.T, protocol string, from, to int32, cidr string, v6, ports bool) {
		p := Permission{Protocol: protocol, Peers: []PermissionPeer{{IPv4: cidr}}}
		if v6 {
			p.Peers = []PermissionPeer{{IPv6: cidr}}
		}
		if ports {
			p.From, p.To = &from, &to
		}
		_, rules, c, err := s.AuthorizeSecurityGroup(env, NewRules{Group: GroupRef{ID: group}, Permissions: []Permission{p}})
		if err != nil && (CodeOf(err) == "" || !c.Empty()) {
			t.Fatalf("%+v: %v with the change %+v", p, err, c)
		}
		number, e := strconv.Atoi(protocol)
		named, isNamed := map[string]int{"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}[strings.ToLower(protocol)]
		if isNamed {
			number = named
		}
		want := isNamed || e == nil && strconv.Itoa(number) == protocol && number >= -1 && number <= 255
		switch number {
		case 6, 17:
			want = want && ports && from >= 0 && from <= to && to <= 65535
		case 1, 58:
			all := from == -1 && to == -1
			want = want && (number == 58 && !ports || ports && (all || from >= 0 && from <= 255 && to >= -1 && to <= 255))
		}
		want = want && wellFormed(cidr, v6)
		if (err == nil) != want {
			t.Fatalf("%q %d-%d (%v) %q (%v): %v, want it taken: %v", protocol, from, to, ports, cidr, v6, err, want)
		}
		if err != nil {
			return
		}
		if r := rules[0]; r.Peer.CIDR != r.Peer.CIDR.Masked() || int(r.Protocol) != number {
			t.Fatalf("%q %q: got %+v", protocol, cidr, r)
		}
	})
}

// EC2's filters of DescribeSecurityGroups. Source: EC2 API reference.
var groupFilters = regexp.MustCompile(`\A(description|group-id|group-name|owner-id|vpc-id|tag-key|(?s:tag:.+)|` +
	`(egress\.)?ip-permission\.(cidr|ipv6-cidr|from-port|to-port|group-id|group-name|prefix-list-id|protocol|user-id))\z`)

func FuzzFilter(f *testing.F) {
	f.Add("group-name", "g?", "", uint8(2))
	f.Add("ip-permission.cidr", "10.*", `\*`, uint8(1))
	f.Add("tag:", "*", "", uint8(0))
	f.Add("Group-Name", "g1", "g2", uint8(201))
	f.Add("tag:x", "", "*", uint8(200))
	s := fuzzState(f, 4)
	f.Fuzz(func(t *testing.T, name, a, b string, n uint8) {
		values := []string{a, b}
		for len(values) < int(n) {
			values = append(values, a)
		}
		values = values[:n]
		got, _, err := s.DescribeSecurityGroups(GroupQuery{Filters: []Filter{{Name: name, Values: values}}})
		want := groupFilters.MatchString(name) && n > 0 && n <= 200
		if (err == nil) != want || err != nil && CodeOf(err) == "" {
			t.Fatalf("%q with %d values: %v, want it taken: %v", name, n, err, want)
		}
		if err != nil || name != "group-name" || len(a)+len(b) > 40 {
			return
		}
		for g := range s.SecurityGroups() {
			match := func(v string) bool { return matchSlowly(newPattern(v), []rune(g.Name)) }
			if slices.Contains(got, g) != slices.ContainsFunc(values, match) {
				t.Fatalf("%q: %s is in the answer: %v", values, g.Name, slices.Contains(got, g))
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	s := fuzzState(f, 30)
	_, token, err := s.DescribeSecurityGroups(GroupQuery{Page: Page{Max: new(int32(7))}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(int32(5), token)
	f.Add(int32(1000), token+"\n")
	f.Add(int32(4), "")
	f.Add(int32(1001), NewToken("subnet", "x"))
	f.Add(int32(6), NewToken("security-group", ""))
	f.Fuzz(func(t *testing.T, size int32, token string) {
		groups, next, err := s.DescribeSecurityGroups(GroupQuery{Page: Page{Max: &size, Token: token}})
		inRange := size >= 5 && size <= 1000
		switch {
		case err != nil && (CodeOf(err) == "" || len(groups) > 0 || next != ""):
			t.Fatalf("size %d, token %q: %v with %d groups", size, token, err, len(groups))
		case err == nil && (!inRange || len(groups) > int(size)):
			t.Fatalf("size %d, token %q: %d groups", size, token, len(groups))
		case err != nil && inRange && token == "":
			t.Fatalf("size %d: %v", size, err)
		}
		if !inRange || err != nil || token != "" {
			return
		}
		seen := map[GroupID]bool{}
		for {
			for _, g := range groups {
				if seen[g.ID] {
					t.Fatalf("size %d shows %s twice", size, g.ID)
				}
				seen[g.ID] = true
			}
			if next == "" {
				break
			}
			// Whatever else comes: what is there throughout is shown once.
			if groups, next, err = s.DescribeSecurityGroups(GroupQuery{Page: Page{Max: new(5 + rand.Int32N(9)), Token: next}}); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != s.Count(KindSecurityGroup) {
			t.Fatalf("size %d shows %d of %d groups", size, len(seen), s.Count(KindSecurityGroup))
		}
	})
}
