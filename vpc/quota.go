package vpc

import "net/netip"

// Quotas bound what an account may have.
type Quotas struct {
	SecurityGroups             int // default groups included
	RulesPerSecurityGroup      int // ingress and egress, IPv4 and IPv6 each by themselves
	SecurityGroupsPerInterface int
	VPCs                       int
	SubnetsPerVPC              int
	NetworkInterfaces          int
	InstancesPerHost           int // lab guests that run or are to run: ours, EC2 has no such bound
}

// Quotas returns what is in force: EC2's defaults. Source: VPC user guide, "Amazon VPC quotas".
func (*State) Quotas() Quotas {
	return Quotas{
		SecurityGroups:             2500,
		RulesPerSecurityGroup:      60,
		SecurityGroupsPerInterface: 5,
		VPCs:                       5,
		SubnetsPerVPC:              200,
		NetworkInterfaces:          5000,
		InstancesPerHost:           1000,
	}
}

// underRuleQuota refuses rules that are more than one direction of a group may have. A CIDR counts in
// its own family, a reference to a group in both.
func (s *State) underRuleQuota(rules []Rule, egress bool) error {
	var ipv4, ipv6 int
	for _, r := range rules {
		switch {
		case r.Egress != egress:
		case r.Peer.CIDR == netip.Prefix{}:
			ipv4++
			ipv6++
		case r.Peer.CIDR.Addr().Is4():
			ipv4++
		default:
			ipv6++
		}
	}
	if max(ipv4, ipv6) > s.Quotas().RulesPerSecurityGroup {
		return Errorf(CodeRulesPerSecurityGroupLimitExceeded,
			"The maximum number of rules per security group has been reached.")
	}
	return nil
}
