package ec2api

import (
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) observationActions() {
	handle(a, wire.ModifyObservation, modifyObservation)
	handle(a, wire.DescribeObservations, describeObservations)
}

func modifyObservation(c *call, in *wire.ModifyObservationRequest) (*wire.ModifyObservationResult, error) {
	out := &wire.ModifyObservationResult{}
	return out, c.update(func(s *vpc.State) (vpc.Change, error) {
		o, change, err := s.ModifyObservation(c.env, vpc.ObservationChange{
			Interface: vpc.InterfaceID(wire.Value(in.NetworkInterfaceId)),
			Group:     vpc.GroupID(wire.Value(in.GroupId)),
			Seconds:   in.DurationSeconds,
			Until:     in.Until,
		})
		if err == nil {
			w := observation(o)
			out.Observation = &w
		}
		return change, err
	})
}

func describeObservations(c *call, in *wire.DescribeObservationsRequest) (*wire.DescribeObservationsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	all, next, err := s.DescribeObservations(c.env, vpc.ObservationQuery{
		Interfaces: ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Groups:     ids[vpc.GroupID](in.GroupIds),
		Page:       page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeObservationsResult{NextToken: token(next)}
	for _, o := range all {
		out.Observations = append(out.Observations, observation(o))
	}
	return out, nil
}

func observation(o vpc.Observation) wire.Observation {
	return wire.Observation{NetworkInterfaceId: text(o.Interface), GroupId: text(o.Group), Until: moment(o.Until)}
}

// moment returns a time, nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
