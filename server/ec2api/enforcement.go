package ec2api

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) enforcementActions() { handle(a, wire.DescribeEnforcement, describeEnforcement) }

// How often a call that waits looks again, also when no host said anything: devices come to carry
// interfaces. Looking may take it a part of the time, and all that wait look one after another: together
// they keep no more than one core busy.
const (
	enforcementPause = 5 * time.Millisecond
	enforcementRound = 250 * time.Millisecond
	enforcementShare = 5 // 1/5 of the time
)

// maxWaiting is how many calls may wait at a time. Each holds a connection and its answer; one more is told to come
// again.
const maxWaiting = 1000

// describeEnforcement says whether a revision is in force on interfaces: those that were named, or all
// that a device carries. An interface that none carries has nothing in force.
func describeEnforcement(
	c *call, in *wire.DescribeEnforcementRequest,
) (*wire.DescribeEnforcementResult, error) {
	wait := time.Duration(wire.Value(in.WaitTimeSeconds)) * time.Second
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	var out *wire.DescribeEnforcementResult
	for asked := *in; ; {
		if out != nil {
			select {
			case c.looking <- struct{}{}:
			case <-c.Stopping:
				return out, nil
			case <-ctx.Done():
				return out, nil
			}
		}
		begun, changed := time.Now(), c.Enforcement.Changed()
		now, err := func() (*wire.DescribeEnforcementResult, error) {
			if out != nil {
				defer func() { <-c.looking }()
			}
			return c.enforcements(&asked)
		}()
		if err != nil || *now.InForce || wait == 0 {
			return now, err
		}
		if out == nil {
			select {
			case c.waiting <- struct{}{}:
				defer func() { <-c.waiting }()
			default:
				return nil, vpc.Errorf(vpc.CodeRequestLimitExceeded, "Request limit exceeded.")
			}
		}
		out = now
		asked.Revision = out.Revision // what is written meanwhile was not asked for
		again := time.After(enforcementRound)
		pause := time.After(max(enforcementPause, (enforcementShare-1)*time.Since(begun)))
		for range 2 {
			select {
			case <-changed:
				changed = nil
			case <-again:
			case <-c.Stopping:
				return out, nil
			case <-ctx.Done():
				return out, nil
			}
			again = pause
		}
	}
}

// enforcements answers at once.
func (c *call) enforcements(in *wire.DescribeEnforcementRequest) (*wire.DescribeEnforcementResult, error) {
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
		IDs:         ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Groups:      ids[vpc.GroupID](in.SecurityGroupIds),
		PrefixLists: ids[vpc.PrefixListID](in.PrefixListIds),
		Page:        page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	of := standings{c: c, revision: revision, hosts: map[vpc.HostID]standing{}}
	inForce, measured := 0, 0
	var took time.Duration
	known := true           // of all that had to confirm the revision
	for _, e := range all { // on whatever page they are
		if !of.inForce(e) {
			continue
		}
		inForce++
		if e.Binding.Since <= revision {
			h := of.host(e.Binding.Host)
			took, known, measured = max(took, h.took), known && h.measured, measured+1
		}
	}
	out := &wire.DescribeEnforcementResult{
		InForce: new(inForce == len(all)), InForceCount: new(int32(inForce)), InterfaceCount: new(int32(len(all))),
		NextToken: token(next), Revision: &revision,
	}
	if *out.InForce && known && measured > 0 {
		out.TookMilliseconds = new(took.Milliseconds())
	}
	for _, e := range shown {
		out.Enforcements = append(out.Enforcements, of.enforcement(e))
	}
	return out, nil
}

// standings is how hosts stand to a revision, each asked for once.
type standings struct {
	c        *call
	revision int64
	hosts    map[vpc.HostID]standing
}

type standing struct {
	have      int64
	connected bool
	problem   string
	took      time.Duration
	measured  bool // took is known
}

func (of standings) host(id vpc.HostID) standing {
	h, ok := of.hosts[id]
	if !ok {
		h.have, h.connected, h.problem = of.c.Enforcement.InForce(id)
		h.took, h.measured = of.c.Enforcement.Took(id, of.revision)
		of.hosts[id] = h
	}
	return h
}

// inForce says whether the revision is in force on an interface: its host is connected and has it, and
// has what is since the device carries the interface.
func (of standings) inForce(e *vpc.NetworkInterface) bool {
	if e.Binding == nil {
		return false
	}
	h := of.host(e.Binding.Host)
	return h.connected && h.have >= max(of.revision, e.Binding.Since)
}

func (of standings) enforcement(e *vpc.NetworkInterface) wire.Enforcement {
	w := wire.Enforcement{
		BoundState: new("unbound"), InForce: new(of.inForce(e)), NetworkInterfaceId: text(e.ID),
		Message: new("No device carries the interface."),
	}
	if e.Binding == nil {
		return w
	}
	h := of.host(e.Binding.Host)
	w.BoundState, w.HostId, w.Device = new("bound"), text(e.Binding.Host), &e.Binding.Device
	w.RevisionInForce, w.Message = &h.have, text(h.problem)
	switch {
	case !h.connected:
		w.Message = new("The host is not connected. What it had in force stays in force.")
	case *w.InForce && h.measured && e.Binding.Since <= of.revision:
		w.TookMilliseconds = new(h.took.Milliseconds())
	case !*w.InForce && h.problem == "":
		w.Message = new("The host has not confirmed it yet.")
	}
	return w
}
