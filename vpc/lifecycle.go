package vpc

import "time"

// terminatedFor is how long a terminated instance stays visible. Source: EC2 user guide, "Terminate
// EC2 instances": "remains visible in the console for a short time".
const terminatedFor = time.Hour

// String returns EC2's name of the state.
func (s InstanceState) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case ShuttingDown:
		return "shutting-down"
	case Terminated:
		return "terminated"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	default:
		return "unknown"
	}
}

// StateChange is what an action did to one instance.
type StateChange struct {
	Instance          InstanceID
	Previous, Current InstanceState
}

// GuestRunning records that the host of a lab guest runs it: a pending instance is running. Any
// other instance stays what it is: the report is late. The caller has checked that the report comes
// from the instance's host.
func (s *State) GuestRunning(_ Env, id InstanceID) (Change, error) {
	d := s.draft()
	if i := d.Instance(id); i != nil && i.State == Pending {
		d.setState(i, Running, "")
	}
	return d.change(), nil
}

// GuestStopped records that the host of a lab guest does not run it, or no longer: its interfaces
// are bound to nothing, a stopping instance is stopped, one that is shutting down is terminated, and
// what was to be deleted with it is. reason says why a guest that should run does not: such an
// instance is stopped; without a reason the report is late and changes nothing. The caller has
// checked that the report comes from the instance's host.
func (s *State) GuestStopped(env Env, id InstanceID, reason string) (Change, error) {
	d := s.draft()
	i := d.Instance(id)
	if i == nil {
		return Change{}, nil
	}
	switch i.State {
	case Stopping:
		d.release(i)
		d.setState(i, Stopped, i.Reason)
	case ShuttingDown:
		d.terminate(env, i)
	case Pending, Running:
		if reason == "" {
			break
		}
		d.release(i)
		d.setState(i, Stopped, "Server.InternalError: "+reason)
	case Stopped, Terminated:
	}
	return d.change(), nil
}

func (d *draft) setState(i *Instance, state InstanceState, reason string) *Instance {
	c := *i
	c.State, c.Reason = state, reason
	d.put(&c)
	return &c
}

// release ends the bindings of an instance's interfaces.
func (d *draft) release(i *Instance) {
	for _, eni := range d.InterfacesByIndex(i.ID) {
		if eni.Binding != nil {
			c := *eni
			c.Binding = nil
			d.put(&c)
		}
	}
}

// terminate ends an instance whose guest is gone.
func (d *draft) terminate(env Env, i *Instance) {
	for _, eni := range d.InterfacesByIndex(i.ID) {
		if eni.Attachment.DeleteOnTermination {
			d.delete(eni.Key())
			continue
		}
		c := *eni
		c.Attachment, c.Binding = nil, nil
		d.put(&c)
	}
	c := *i
	c.State, c.Terminated, c.Host, c.UserData = Terminated, env.Now, "", nil
	if c.Reason == "" {
		c.Reason = userInitiated(env.Now)
	}
	d.put(&c)
}

// Forget returns the State as calls see it, without the instances that were terminated and the peering
// connections that ended long ago, and what removes them for good: as many of them as one write may
// take along. A peering connection that nobody accepted in time is expired in it.
func (s *State) Forget(env Env) (*State, Change) {
	expired, gone := s.outdatedPeerings(env)
	for i := range via(s, instancesByState, Terminated.String(), s.instanceByID) {
		if env.Now.Sub(i.Terminated) > terminatedFor {
			gone = append(gone, i.Key())
		}
	}
	if len(gone)+len(expired) == 0 {
		return s, Change{}
	}
	return s.Apply(Change{Puts: expired, Deletes: gone}, s.revision), Change{Deletes: gone[:min(len(gone), maxInstancesOfCall)]}
}

// userInitiated is EC2's StateTransitionReason of a stop or terminate call.
func userInitiated(now time.Time) string { return "User initiated " + reasonTime(now) }

func reasonTime(now time.Time) string { return now.UTC().Format("(2006-01-02 15:04:05 GMT)") }

// StartInstances starts stopped instances, on the host they were on if it still runs lab guests.
// What runs already stays as it is.
func (s *State) StartInstances(env Env, ids []InstanceID) ([]StateChange, Change, error) {
	d := s.draft()
	changes, err := d.eachInstance(ids, func(i *Instance) error {
		switch i.State {
		case Pending, Running:
			return nil
		case Stopped:
		case ShuttingDown, Terminated, Stopping:
			return errIncorrectInstanceState(i, "started")
		default:
			return errIncorrectInstanceState(i, "started")
		}
		if i.Image == ImageExternal {
			return errExternal(i, "started")
		}
		enis := d.InterfacesByIndex(i.ID)
		if len(enis) == 0 {
			return Errorf(CodeIncorrectInstanceState, "The instance '%s' has no network interface.", i.ID)
		}
		host, err := d.place(enis[0].VPC, i.Host)
		if err != nil {
			return err
		}
		c := *i
		c.State, c.Reason, c.Host, c.Launched = Pending, "", host, env.Now
		d.put(&c)
		return nil
	})
	if err != nil {
		return nil, Change{}, err
	}
	return changes, d.change(), nil
}

// StopInstances stops instances; their interfaces stay. What is stopped already stays as it is.
func (s *State) StopInstances(env Env, ids []InstanceID) ([]StateChange, Change, error) {
	d := s.draft()
	changes, err := d.eachInstance(ids, func(i *Instance) error {
		switch i.State {
		case Stopping, Stopped:
			return nil
		case Pending, Running:
		case ShuttingDown, Terminated:
			return errIncorrectInstanceState(i, "stopped")
		default:
			return errIncorrectInstanceState(i, "stopped")
		}
		if i.Image == ImageExternal {
			return errExternal(i, "stopped")
		}
		if i.DisableAPIStop {
			return errProtected(i, "stopped", "disableApiStop")
		}
		d.setState(i, Stopping, userInitiated(env.Now))
		return nil
	})
	if err != nil {
		return nil, Change{}, err
	}
	return changes, d.change(), nil
}

// TerminateInstances ends instances: at once if no host runs them, else when the host reports that
// the guest is gone. What is terminated already stays as it is.
func (s *State) TerminateInstances(env Env, ids []InstanceID) ([]StateChange, Change, error) {
	d := s.draft()
	changes, err := d.eachInstance(ids, func(i *Instance) error {
		if i.State == ShuttingDown || i.State == Terminated {
			return nil
		}
		switch {
		case i.DisableAPITermination:
			return errProtected(i, "terminated", "disableApiTermination")
		case i.DisableAPIStop: // as in EC2: what may not be stopped may not be terminated
			return errProtected(i, "terminated", "disableApiStop")
		case i.State == Stopped:
			c := *i
			c.Reason = userInitiated(env.Now)
			d.terminate(env, &c)
		case i.Image == ImageExternal:
			return errExternal(i, "terminated")
		default:
			d.setState(i, ShuttingDown, userInitiated(env.Now))
		}
		return nil
	})
	if err != nil {
		return nil, Change{}, err
	}
	return changes, d.change(), nil
}

// eachInstance does something to each of the named instances, and says what became of them.
func (d *draft) eachInstance(ids []InstanceID, do func(*Instance) error) ([]StateChange, error) {
	instances, err := d.findInstances(ids)
	if err != nil {
		return nil, err
	}
	var changes []StateChange
	for _, i := range instances {
		if err := do(i); err != nil {
			return nil, err
		}
		changes = append(changes, StateChange{i.ID, i.State, d.Instance(i.ID).State})
	}
	return changes, nil
}

func errIncorrectInstanceState(i *Instance, verb string) *Error {
	return Errorf(CodeIncorrectInstanceState, "The instance '%s' is not in a state from which it can be %s.", i.ID, verb)
}

// errProtected refuses what an attribute of an instance forbids.
func errProtected(i *Instance, verb, attribute string) *Error {
	return Errorf(CodeOperationNotPermitted,
		"The instance '%s' may not be %s. Modify its '%s' instance attribute and try again.", i.ID, verb, attribute)
}

func errExternal(i *Instance, verb string) *Error {
	return Errorf(CodeUnsupportedOperation,
		"The instance '%s' stands for a guest that was not started through this API: it cannot be %s here.", i.ID, verb)
}
