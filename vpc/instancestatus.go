package vpc

import (
	"slices"
	"strconv"
)

// InstanceHealth is what is known of how an instance, or the host that it is on, does.
type InstanceHealth string

// Values of an InstanceHealth. Nothing here looks into a guest: it is ok if its host says that it runs.
const (
	HealthOK               InstanceHealth = "ok"
	HealthInsufficientData InstanceHealth = "insufficient-data" // its host is not connected
	HealthNotApplicable    InstanceHealth = "not-applicable"    // it is not running
)

// InstanceStatusQuery selects instances: those with the ids, or all, that pass the filters.
type InstanceStatusQuery struct {
	IDs       []InstanceID // not together with Page.Max
	All       bool         // false: running ones alone
	Connected func(HostID) bool
	Filters   []Filter
	Page      Page
}

// DescribeInstanceStatus returns the instances in order of launch and the token of the next page. An
// unknown id fails the whole call.
func (s *State) DescribeInstanceStatus(in InstanceStatusQuery) ([]*Instance, string, error) {
	health := func(_ *State, i *Instance) []string { return []string{string(i.Health(in.Connected))} }
	fields := Fields[*Instance]{
		"availability-zone":          instanceFields["availability-zone"],
		"availability-zone-id":       instanceFields["availability-zone-id"],
		"instance-state-code":        func(_ *State, i *Instance) []string { return []string{strconv.Itoa(int(i.State))} },
		"instance-state-name":        func(_ *State, i *Instance) []string { return []string{i.State.String()} },
		"instance-status.status":     health,
		"system-status.status":       health,
		"attached-ebs-status.status": none[*Instance],
		"operator.managed":           constant[*Instance]("false"),
		"operator.principal":         none[*Instance],
	}
	for _, name := range []string{ // there are no events, and nobody tests whether a guest can be reached
		"event.code", "event.description", "event.instance-event-id", "event.not-after", "event.not-before",
		"event.not-before-deadline", "instance-status.reachability", "system-status.reachability",
	} {
		fields[name] = none[*Instance]
	}
	if len(in.IDs) > 0 && in.Page.Max != nil {
		return nil, "", errCombination("instancesSet", "maxResults")
	}
	where, err := fields.Where(s, in.Filters, func(i *Instance) Tags { return i.Tags })
	if err != nil {
		return nil, "", err
	}
	list := slices.Collect(s.Instances())
	if len(in.IDs) > 0 {
		if list, err = s.findInstances(in.IDs); err != nil {
			return nil, "", err
		}
	}
	list = slices.DeleteFunc(list, func(i *Instance) bool { return !in.All && i.State != Running || !where(i) })
	return paginate(list, "instance-status", launchKey, in.Page)
}

// Health returns how an instance does, given which hosts are connected.
func (i *Instance) Health(connected func(HostID) bool) InstanceHealth {
	switch {
	case i.State != Running:
		return HealthNotApplicable
	case !connected(i.Host):
		return HealthInsufficientData
	default:
		return HealthOK
	}
}
