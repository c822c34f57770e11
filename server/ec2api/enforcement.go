package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) enforcementActions() { handle(a, wire.DescribeEnforcement, describeEnforcement) }

// describeEnforcement says whether a revision is in force on interfaces: those that were named, or all
// that a device carries. An interface that none carries has nothing in force.
func describeEnforcement(
	c *call, in *wire.DescribeEnforcementRequest,
) (*wire.DescribeEnforcementResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	revision := wire.Value(in.Revision)
	switch {
	case revision == 0:
		revision = s.Revision()
	case revision < 0 || revision > s.Revision(): // what was never written is in force nowhere
		return nil, vpc.Errorf(vpc.CodeInvalidParameterValue,
			"Value (%d) for parameter revision is invalid. Expecting 0 to %d, which is the newest.", revision, s.Revision())
	}
	all, shown, next, err := s.Enforced(vpc.EnforcementQuery{
		IDs:  ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Page: page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeEnforcementResult{InForce: new(true), NextToken: token(next), Revision: &revision}
	for _, e := range all { // on whatever page they are
		*out.InForce = *out.InForce && *c.enforcement(e, revision).InForce
	}
	for _, e := range shown {
		out.Enforcements = append(out.Enforcements, c.enforcement(e, revision))
	}
	return out, nil
}

// enforcement says whether a revision is in force on one interface: its host is connected and has it,
// and has what is since the device carries the interface.
func (c *call) enforcement(e *vpc.NetworkInterface, revision int64) wire.Enforcement {
	w := wire.Enforcement{
		BoundState: new("unbound"), InForce: new(false), NetworkInterfaceId: text(e.ID),
		Message: new("No device carries the interface."),
	}
	if e.Binding == nil {
		return w
	}
	have, connected, problem := c.Enforcement.InForce(e.Binding.Host)
	w.BoundState, w.HostId, w.Device = new("bound"), text(e.Binding.Host), &e.Binding.Device
	w.RevisionInForce, w.Message = &have, text(problem)
	switch {
	case !connected:
		w.Message = new("The host is not connected. What it had in force stays in force.")
	case have >= max(revision, e.Binding.Since):
		w.InForce = new(true)
	case problem == "":
		w.Message = new("The host has not confirmed it yet.")
	}
	return w
}
