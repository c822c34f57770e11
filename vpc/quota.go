package vpc

import (
	"maps"
	"net/netip"
	"slices"
)

// QuotaName names a bound on what an account may have, as the operator sets it.
type QuotaName string

// The quotas. What counts how stands in the VPC user guide, "Amazon VPC quotas".
const (
	SecurityGroupsPerRegion    QuotaName = "security-groups-per-region" // default groups included
	RulesPerSecurityGroup      QuotaName = "rules-per-security-group"   // ingress and egress, IPv4 and IPv6 each by themselves
	SecurityGroupsPerInterface QuotaName = "security-groups-per-interface"
	VPCsPerRegion              QuotaName = "vpcs-per-region"
	SubnetsPerVPC              QuotaName = "subnets-per-vpc"
	CIDRsPerVPC                QuotaName = "ipv4-cidrs-per-vpc"
	InterfacesPerRegion        QuotaName = "network-interfaces-per-region"
	AddressesPerInterface      QuotaName = "addresses-per-interface" // of each family, prefixes included: EC2's depends on the instance type
	PrefixListsPerRegion       QuotaName = "prefix-lists-per-region"
	EntriesPerPrefixList       QuotaName = "entries-per-prefix-list"  // what MaxEntries may be
	VersionsPerPrefixList      QuotaName = "versions-per-prefix-list" // beyond it the oldest goes
	PeeringsPerVPC             QuotaName = "active-peerings-per-vpc"
	OutstandingPeerings        QuotaName = "outstanding-peerings" // requests that wait for their acceptance
	InsightsPathsPerRegion     QuotaName = "insights-paths-per-region"
	InsightsAnalysesPerRegion  QuotaName = "insights-analyses-per-region"
	InstancesPerHost           QuotaName = "instances-per-host" // lab guests that run or are to run: ours, EC2 has no such bound
)

// quotas are the default of each and the most that an operator may set.
var quotas = map[QuotaName]struct{ initial, most int }{
	SecurityGroupsPerRegion:    {2500, 100_000},
	RulesPerSecurityGroup:      {60, 1000},
	SecurityGroupsPerInterface: {5, 16},
	VPCsPerRegion:              {5, 1000},
	SubnetsPerVPC:              {200, 10_000},
	CIDRsPerVPC:                {5, 50},
	InterfacesPerRegion:        {5000, 1_000_000},
	AddressesPerInterface:      {50, 500},
	PrefixListsPerRegion:       {100, 10_000},
	EntriesPerPrefixList:       {1000, 1000},
	VersionsPerPrefixList:      {1000, 1000},
	PeeringsPerVPC:             {50, 125},
	OutstandingPeerings:        {25, 1000},
	InsightsPathsPerRegion:     {100, 10_000},
	InsightsAnalysesPerRegion:  {1000, 100_000},
	InstancesPerHost:           {1000, 10_000},
}

// Quota returns what is in force: what the operator set, else EC2's default.
func (s *State) Quota(name QuotaName) int {
	if i := s.Installation(); i != nil {
		if n, ok := i.Quotas[name]; ok {
			return n
		}
	}
	return quotas[name].initial
}

// underRuleQuota refuses rules that are more than one direction of a group may have. A CIDR counts in
// its own family, a reference to a group in both, a prefix list in its family as often as it may have
// entries. A family that does not grow is not refused: the quota may have been lowered.
func (s *State) underRuleQuota(before, after []Rule, egress bool) error {
	was4, was6 := s.weigh(before, egress)
	is4, is6 := s.weigh(after, egress)
	quota := s.Quota(RulesPerSecurityGroup)
	if is4 > max(quota, was4) || is6 > max(quota, was6) {
		return Errorf(CodeRulesPerSecurityGroupLimitExceeded,
			"The maximum number of rules per security group has been reached.")
	}
	return nil
}

// weigh returns what the rules of one direction count for in each family.
func (s *State) weigh(rules []Rule, egress bool) (ipv4, ipv6 int) {
	for _, r := range rules {
		if r.Egress != egress {
			continue
		}
		l := s.PrefixList(r.Peer.PrefixList)
		switch {
		case l != nil && l.IPv6:
			ipv6 += l.MaxEntries
		case l != nil:
			ipv4 += l.MaxEntries
		case r.Peer.CIDR == netip.Prefix{}:
			ipv4++
			ipv6++
		case r.Peer.CIDR.Addr().Is4():
			ipv4++
		default:
			ipv6++
		}
	}
	return ipv4, ipv6
}

// maxRulesOfInterface bounds rules per group times groups per interface. Source: VPC user guide,
// "Amazon VPC quotas", security groups.
const maxRulesOfInterface = 1000

// QuotaSetting is one quota as it stands.
type QuotaSetting struct {
	Name                    QuotaName
	Value, Default, Maximum int
}

// Quotas returns the named quotas, or all of them, in order of their names.
func (s *State) Quotas(names []QuotaName) ([]QuotaSetting, error) {
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(quotas))
	}
	out := make([]QuotaSetting, 0, len(names))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		q, ok := quotas[name]
		if !ok {
			return nil, errNoQuota(name)
		}
		out = append(out, QuotaSetting{name, s.Quota(name), q.initial, q.most})
	}
	return out, nil
}

// SetQuota sets a quota, or with nil takes it back to its default. What is there already stays: a
// lower quota only refuses more.
func (s *State) SetQuota(name QuotaName, value *int) (QuotaSetting, Change, error) {
	q, ok := quotas[name]
	if !ok {
		return QuotaSetting{}, Change{}, errNoQuota(name)
	}
	d := s.draft()
	self := *d.Installation()
	self.Quotas = maps.Clone(self.Quotas)
	switch {
	case value == nil:
		delete(self.Quotas, name)
	case *value < 0 || *value > q.most:
		return QuotaSetting{}, Change{}, Errorf(CodeInvalidParameterValue,
			"Value ( %d ) for parameter value is invalid. Expecting 0 to %d.", *value, q.most)
	default:
		if self.Quotas == nil {
			self.Quotas = map[QuotaName]int{}
		}
		self.Quotas[name] = *value
	}
	if !maps.Equal(self.Quotas, d.Installation().Quotas) {
		d.put(&self)
	}
	if d.Quota(RulesPerSecurityGroup)*d.Quota(SecurityGroupsPerInterface) > maxRulesOfInterface {
		return QuotaSetting{}, Change{}, Errorf(CodeInvalidParameterValue,
			"The quotas %s and %s may not be more than %d when multiplied.", RulesPerSecurityGroup, SecurityGroupsPerInterface, maxRulesOfInterface)
	}
	return QuotaSetting{name, d.Quota(name), q.initial, q.most}, d.change(), nil
}

func errNoQuota(name QuotaName) *Error {
	return Errorf(CodeInvalidParameterValue, "Value (%s) for parameter quotaName is invalid. There is no such quota.", name)
}
