package vpc

import "time"

// MaxObservation is how long an interface or group may observe before somebody says so again: what
// lets everything pass must not be forgotten.
const MaxObservation = 30 * 24 * time.Hour

// Observation is an interface or a group that observes: what no rule allows passes its interfaces, and
// is counted and told of, until the end.
type Observation struct {
	Interface InterfaceID // or
	Group     GroupID
	Until     time.Time // in whole seconds; zero: it does not observe
}

// ObservationChange is what ModifyObservation is told: an interface or a group, and how long or until
// when. An end that is past ends the observation.
type ObservationChange struct {
	Interface InterfaceID
	Group     GroupID
	Seconds   *int64
	Until     *time.Time
}

// ModifyObservation lets an interface, or all interfaces of a group, observe for a while, or ends that.
func (s *State) ModifyObservation(env Env, in ObservationChange) (Observation, Change, error) {
	fail := func(err error) (Observation, Change, error) { return Observation{}, Change{}, err }
	switch {
	case in.Interface == "" && in.Group == "":
		return fail(Errorf(CodeMissingParameter, "The request must contain the parameter networkInterfaceId or groupId"))
	case in.Interface != "" && in.Group != "":
		return fail(errCombination("networkInterfaceId", "groupId"))
	case in.Seconds == nil && in.Until == nil:
		return fail(Errorf(CodeMissingParameter, "The request must contain the parameter durationSeconds or until"))
	case in.Seconds != nil && in.Until != nil:
		return fail(errCombination("durationSeconds", "until"))
	}
	until := env.Now
	if in.Seconds != nil {
		const most = int64(MaxObservation / time.Second)
		if *in.Seconds < 0 || *in.Seconds > most {
			return fail(Errorf(CodeInvalidParameterValue,
				"Value (%d) for parameter durationSeconds is invalid. Expecting 0 to %d, which is 30 days.", *in.Seconds, most))
		}
		until = until.Add(time.Duration(*in.Seconds) * time.Second)
	} else {
		if in.Until.After(env.Now.Add(MaxObservation)) {
			return fail(Errorf(CodeInvalidParameterValue,
				"Value (%s) for parameter until is invalid. Expecting a time within the next 30 days.", apiTime(*in.Until)))
		}
		until = *in.Until
	}
	if until = until.UTC().Truncate(time.Second); !until.After(env.Now) {
		until = time.Time{}
	}
	d := s.draft()
	if in.Group != "" {
		g, err := s.findGroup(in.Group)
		if err != nil {
			return fail(err)
		}
		if !g.Observe.Equal(until) {
			c := *g
			c.Observe = until
			d.put(&c)
		}
	} else {
		eni, err := s.findInterface(in.Interface)
		if err != nil {
			return fail(err)
		}
		if !eni.Observe.Equal(until) {
			c := *eni
			c.Observe = until
			d.put(&c)
		}
	}
	return Observation{in.Interface, in.Group, until}, d.change(), nil
}

// ObservesUntil returns until when an interface observes: the latest end of its own and of its groups.
// It may be past; zero: nothing of it was ever to observe.
func (s *State) ObservesUntil(e *NetworkInterface) time.Time {
	until := e.Observe
	for _, id := range e.Groups {
		if g := s.SecurityGroup(id); g != nil && g.Observe.After(until) {
			until = g.Observe
		}
	}
	return until
}

// ObservationQuery selects what observes: the interfaces and groups with these ids, or, with none, all.
type ObservationQuery struct {
	Interfaces []InterfaceID
	Groups     []GroupID
	Page       Page
}

// DescribeObservations returns the interfaces and groups that observe now, and the token of the next
// page. An unknown id fails the whole call.
func (s *State) DescribeObservations(env Env, q ObservationQuery) ([]Observation, string, error) {
	type item struct {
		Observation
		key string
	}
	var items []item
	both := len(q.Interfaces)+len(q.Groups) == 0
	if both || len(q.Groups) > 0 {
		groups, err := asked(q.Groups, s.SecurityGroups(), s.findGroup, func(g *SecurityGroup) bool { return g.Observe.After(env.Now) })
		if err != nil {
			return nil, "", err
		}
		for _, g := range groups {
			items = append(items, item{Observation{Group: g.ID, Until: g.Observe}, createdKey(g.Created, g.ID)})
		}
	}
	if both || len(q.Interfaces) > 0 {
		enis, err := asked(q.Interfaces, s.NetworkInterfaces(), s.findInterface, func(e *NetworkInterface) bool { return e.Observe.After(env.Now) })
		if err != nil {
			return nil, "", err
		}
		for _, e := range enis {
			items = append(items, item{Observation{Interface: e.ID, Until: e.Observe}, createdKey(e.Created, e.ID)})
		}
	}
	shown, next, err := paginate(items, "observation", func(i item) string { return i.key }, q.Page)
	if err != nil {
		return nil, "", err
	}
	out := make([]Observation, len(shown))
	for n, i := range shown {
		out[n] = i.Observation
	}
	return out, next, nil
}
