package datapath_test

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// delegatedView is view with prefixes delegated to eniA and to a member of sgB, which is in two
// domains.
func delegatedView() *ruleset.View {
	v := view(rule(false, vpc.TCP, 80, 80, string(sgB)), rule(true, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(true, vpc.TCP, 80, 80, "::/0"))
	eni := v.ENIs[eniA]
	eni.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.64/28"), netip.MustParsePrefix("fd00:1:2:100:5::/80")}
	v.ENIs[eniA] = eni
	v.Members["eni-m"] = ruleset.Member{
		ID: "eni-m", Domains: []vpc.VPCID{dom, "vpc-00000000000000002"}, Groups: []vpc.GroupID{sgB},
		Addresses: []netip.Addr{peer4},
		Prefixes:  []netip.Prefix{netip.MustParsePrefix("10.0.0.96/28"), netip.MustParsePrefix("fd00:1:2:100:6::/80")},
	}
	return v
}

// TestDelegatedPrefixes: every address of a delegated prefix is the ENI's own, and its neighbours
// are not; in the same way such an address is its member's.
func TestDelegatedPrefixes(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	steps := func(reason map[string]ruleset.Reason) {
		t.Helper()
		for _, tt := range []struct {
			direction ruleset.Direction
			frame     frame
			want      string
		}{
			{ruleset.Egress, tcp(a("10.0.0.64"), remote4, 1, 80, syn), "own source"},
			{ruleset.Egress, tcp(a("10.0.0.79"), remote4, 1, 80, syn), "own source"},
			{ruleset.Egress, tcp(a("10.0.0.63"), remote4, 1, 80, syn), "foreign source"},
			{ruleset.Egress, tcp(a("10.0.0.80"), remote4, 1, 80, syn), "foreign source"},
			{ruleset.Egress, tcp(a("fd00:1:2:100:5::"), remote6, 1, 80, syn), "own source"},
			{ruleset.Egress, tcp(a("fd00:1:2:100:5:ffff:ffff:ffff"), remote6, 1, 80, syn), "own source"},
			{ruleset.Egress, tcp(a("fd00:1:2:100:4:ffff:ffff:ffff"), remote6, 1, 80, syn), "foreign source"},
			{ruleset.Egress, tcp(a("fd00:1:2:100:6::"), remote6, 1, 80, syn), "foreign source"},
			// The bytes of an IPv4 prefix are no IPv6 prefix.
			{ruleset.Egress, tcp(a("a00:40::"), remote6, 1, 80, syn), "foreign source"},

			{ruleset.Ingress, tcp(peer4, a("10.0.0.70"), 1, 80, syn), "own destination"},
			{ruleset.Ingress, tcp(peer4, a("10.0.0.80"), 1, 80, syn), "foreign destination"},
			{ruleset.Ingress, tcp(peer4, own4, 1, 80, syn), "member"},
			{ruleset.Ingress, tcp(a("10.0.0.96"), own4, 1, 80, syn), "member by prefix"},
			{ruleset.Ingress, tcp(a("10.0.0.111"), own4, 1, 80, syn), "member by prefix"},
			{ruleset.Ingress, tcp(a("10.0.0.95"), own4, 1, 80, syn), "stranger"},
			{ruleset.Ingress, tcp(a("10.0.0.112"), own4, 1, 80, syn), "stranger"},
			{ruleset.Ingress, tcp(a("fd00:1:2:100:6:1:2:3"), own6, 1, 80, syn), "member by prefix"},
			{ruleset.Ingress, tcp(a("fd00:1:2:100:7::"), own6, 1, 80, syn), "stranger"},
			{ruleset.Ingress, tcp(a("fd00:1:2:101:6::1"), own6, 1, 80, syn), "stranger"},

			{ruleset.Egress, arp(1, mac, a("10.0.0.70"), router4), "own ARP"},
			{ruleset.Egress, arp(2, mac, a("10.0.0.79"), router4), "own ARP"},
			{ruleset.Egress, arp(1, mac, zero4, a("10.0.0.64")), "own ARP"}, // a probe
			{ruleset.Egress, arp(2, mac, a("10.0.0.80"), router4), "foreign ARP"},
			{ruleset.Egress, arp(1, mac, zero4, a("10.0.0.96")), "foreign ARP"},
			{ruleset.Egress, nd(136, a("fd00:1:2:100:5::7"), peer6, a("fd00:1:2:100:5::7"), lladdr(2, mac)...), "own ND"},
			{ruleset.Egress, nd(136, own6, peer6, a("fd00:1:2:100:5::7"), lladdr(2, mac)...), "own ND"},
			{ruleset.Egress, nd(135, zero6, solicited(a("fd00:1:2:100:5::7")), a("fd00:1:2:100:5::7")), "own ND"},
			{ruleset.Egress, nd(136, own6, peer6, a("fd00:1:2:100:6::7"), lladdr(2, mac)...), "foreign ND"},
			{ruleset.Egress, nd(135, zero6, solicited(a("fd00:1:2:100:6::7")), a("fd00:1:2:100:6::7")), "foreign ND"},
			{ruleset.Ingress, nd(135, peer6, a("fd00:1:2:100:5::7"), a("fd00:1:2:100:5::7")), "own ND in"},
		} {
			h.want(eniA, tt.direction, tt.frame, reason[tt.want])
		}
	}
	reasons := map[string]ruleset.Reason{
		"own source": ruleset.ReasonRule, "foreign source": ruleset.ReasonSourceAddress,
		"own destination": ruleset.ReasonRule, "foreign destination": ruleset.ReasonDestinationAddress,
		"member": ruleset.ReasonRule, "member by prefix": ruleset.ReasonRule, "stranger": ruleset.ReasonNoRule,
		"own ARP": ruleset.ReasonLink, "foreign ARP": ruleset.ReasonARP,
		"own ND": ruleset.ReasonLink, "foreign ND": ruleset.ReasonND, "own ND in": ruleset.ReasonLink,
	}
	h.apply(delegatedView())
	steps(reasons)
	h.fresh(t)
	h.restart()
	steps(reasons)

	// Unassigned, both: nothing of them is left.
	v := delegatedView()
	eni, member := v.ENIs[eniA], v.Members["eni-m"]
	eni.Prefixes, member.Prefixes = nil, nil
	v.ENIs[eniA], v.Members["eni-m"] = eni, member
	h.fresh(t)
	h.apply(v)
	without := maps.Clone(reasons)
	without["own source"], without["own destination"] = ruleset.ReasonSourceAddress, ruleset.ReasonDestinationAddress
	without["own ARP"], without["own ND"], without["own ND in"] = ruleset.ReasonARP, ruleset.ReasonND, ruleset.ReasonDestinationAddress
	without["member by prefix"] = ruleset.ReasonNoRule
	steps(without)
}

// TestDelegatedElsewhere: in another domain than the members' two, the same addresses are nobody's;
// and what is the ENI's own by its prefix is nobody else's on the wire.
func TestDelegatedElsewhere(t *testing.T) {
	t.Parallel()
	for domain, want := range map[vpc.VPCID]ruleset.Reason{
		dom: ruleset.ReasonRule, "vpc-00000000000000002": ruleset.ReasonRule, "vpc-00000000000000003": ruleset.ReasonNoRule,
	} {
		h := newHost(t, datapath.Options{})
		h.attach(eniA)
		v := delegatedView()
		eni := v.ENIs[eniA]
		eni.Domain = domain
		v.ENIs[eniA] = eni
		h.apply(v)
		h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.97"), own4, 1, 80, syn), want)
		h.want(eniA, ruleset.Ingress, tcp(peer4, own4, 1, 80, syn), want)
		h.want(eniA, ruleset.Egress, tcp(own4, netip.MustParseAddr("10.0.0.65"), 1, 80, syn), ruleset.ReasonDestinationAddress)
		h.want(eniA, ruleset.Ingress, tcp(netip.MustParseAddr("10.0.0.65"), own4, 1, 80, syn), ruleset.ReasonSourceAddress)
	}
}

// TestDelegatedSizes: what the programs could not find is refused, and the last good rules stand.
func TestDelegatedSizes(t *testing.T) {
	t.Parallel()
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(delegatedView())
	for _, bad := range []string{"10.0.0.64/27", "10.0.0.65/28", "fd00:1:2:100:5::/64", "fd00:1:2:100:5::1/80"} {
		v := delegatedView()
		eni := v.ENIs[eniA]
		eni.Prefixes = []netip.Prefix{netip.MustParsePrefix(bad)}
		v.ENIs[eniA] = eni
		mustFail(t, h.d.Apply(h.compiler.Compile(v)), "Apply of an ENI with "+bad)
		v = delegatedView()
		member := v.Members["eni-m"]
		member.Prefixes = eni.Prefixes
		v.Members["eni-m"] = member
		mustFail(t, h.d.Apply(h.compiler.Compile(v)), "Apply of a member with "+bad)
	}
	h.want(eniA, ruleset.Egress, tcp(netip.MustParseAddr("10.0.0.64"), remote4, 1, 80, syn), ruleset.ReasonRule)
}
