package vpc

import (
	"maps"
	"slices"
)

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
