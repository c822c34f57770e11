package vpc

import "slices"

// RegisterHost records a host when its agent connects, or that it now runs lab guests, or no longer.
func (s *State) RegisterHost(_ Env, h Host) (Change, error) {
	if h.ID == "" {
		return Change{}, Errorf(CodeInvalidParameterValue, "A host needs a name.")
	}
	d := s.draft()
	if old := d.Host(h.ID); old == nil || *old != h {
		d.put(&h)
	}
	return d.change(), nil
}

// Bind records that a device of a host carries an interface. The caller has made sure that the host
// is who it says. Refused are an unknown interface, one that another host or another device of the
// same host carries, and one of a lab guest that is stopped or belongs on another host. The same
// claim again changes nothing. What the device carried before is unbound: a device carries one
// interface.
//
// An interface without an attachment gets an instance of image "external", named guest or, without
// one, device; the interfaces of one guest of one host share their instance while it runs.
func (s *State) Bind(env Env, host HostID, id InterfaceID, device, guest string) (Change, error) {
	d := s.draft()
	eni := d.NetworkInterface(id)
	switch {
	case host == "" || device == "":
		return Change{}, Errorf(CodeInvalidParameterValue, "A binding names a host and a device.")
	case eni == nil:
		return Change{}, errInterfaceNotFound(id)
	case eni.Binding != nil && (eni.Binding.Host != host || eni.Binding.Device != device):
		return Change{}, Errorf(CodeInvalidNetworkInterfaceInUse, "Interface: [%s] in use. Device %s of host %s carries it.",
			id, eni.Binding.Device, eni.Binding.Host)
	}
	instance, attached := (*Instance)(nil), eni.Attachment != nil
	if !attached && eni.Binding != nil {
		return Change{}, nil // detached from a lab guest whose host has yet to remove the device
	}
	if attached {
		if instance = d.Instance(eni.Attachment.Instance); instance == nil {
			return Change{}, errInstancesNotFound([]InstanceID{eni.Attachment.Instance})
		}
		if instance.Image != ImageExternal && instance.Host != host {
			return Change{}, Errorf(CodeOperationNotPermitted,
				"Interface %s belongs to instance %s, which runs on host %s.", id, instance.ID, instance.Host)
		}
		if instance.Image != ImageExternal && instance.State == Stopped {
			return Change{}, Errorf(CodeIncorrectInstanceState,
				"Interface %s belongs to instance %s, which is stopped.", id, instance.ID)
		}
	}
	for other := range d.InterfacesOfHost(host) {
		if other.ID != id && other.Binding.Device == device {
			d.unbind(env, other)
		}
	}
	c := *eni
	c.Binding = &Binding{Host: host, Device: device, Since: s.Revision() + 1}
	if !attached {
		name := guest
		if name == "" {
			name = device
		}
		instance = d.externalGuest(host, guest)
		if instance == nil {
			instance = &Instance{
				ID: InstanceID(env.ID("i")), Reservation: ReservationID(env.ID("r")),
				Image: ImageExternal, Type: defaultInstanceType,
				State: Running, Host: host, Created: env.Now, Launched: env.Now, Tags: Tags{"Name": name},
			}
			d.put(instance)
		}
		c.Attachment = &Attachment{
			ID: AttachmentID(env.ID("eni-attach")), Instance: instance.ID,
			DeviceIndex: d.freeDeviceIndex(instance.ID), Time: env.Now,
		}
	}
	if instance.Image == ImageExternal && (instance.State != Running || instance.Host != host) {
		i := *instance
		i.State, i.Reason, i.Host, i.Launched = Running, "", host, env.Now
		d.put(&i)
	}
	if !attached || eni.Binding == nil {
		d.put(&c)
	}
	return d.change(), nil
}

// externalGuest returns the running external instance of that name on a host, or nil.
func (d *draft) externalGuest(host HostID, name string) *Instance {
	if name == "" {
		return nil
	}
	for i := range d.InstancesOfHost(host) {
		if i.Image == ImageExternal && i.State == Running && i.Tags["Name"] == name {
			return i
		}
	}
	return nil
}

// Unbind records that no device of a host carries an interface any more; if none did, nothing
// changes. An external instance whose last interface this was is Stopped: it keeps the interface,
// and with it the groups.
func (s *State) Unbind(env Env, host HostID, id InterfaceID) (Change, error) {
	d := s.draft()
	if eni := d.NetworkInterface(id); eni != nil && eni.Binding != nil && eni.Binding.Host == host {
		d.unbind(env, eni)
	}
	return d.change(), nil
}

func (d *draft) unbind(env Env, eni *NetworkInterface) {
	c := *eni
	c.Binding = nil
	d.put(&c)
	if eni.Attachment == nil {
		return
	}
	instance := d.Instance(eni.Attachment.Instance)
	if instance == nil || instance.Image != ImageExternal || instance.State != Running {
		return
	}
	for other := range d.InterfacesOfInstance(instance.ID) {
		if other.Binding != nil {
			return
		}
	}
	i := *instance
	i.State, i.Reason = Stopped, "Unbound "+reasonTime(env.Now)
	d.put(&i)
}

// freeDeviceIndex returns the lowest device index at which an instance has no interface.
func (d *draft) freeDeviceIndex(id InstanceID) int {
	used := map[int]bool{}
	for eni := range d.InterfacesOfInstance(id) {
		used[eni.Attachment.DeviceIndex] = true
	}
	for n := range len(used) {
		if !used[n] {
			return n
		}
	}
	return len(used)
}

// EnforcementQuery selects interfaces: those with the ids, and of those that a device carries the ones
// whose filter a change of one of the groups or prefix lists concerns. An empty query selects all that a
// device carries.
type EnforcementQuery struct {
	IDs         []InterfaceID
	Groups      []GroupID
	PrefixLists []PrefixListID
	Page        Page
}

// Enforced returns all the interfaces of the query, those of them that are on the page, in order of
// creation, and the token of the next page. An unknown id fails the whole call.
func (s *State) Enforced(q EnforcementQuery) (all, shown []*NetworkInterface, next string, err error) {
	fail := func(err error) ([]*NetworkInterface, []*NetworkInterface, string, error) { return nil, nil, "", err }
	concerned := map[InterfaceID]bool{}
	for _, id := range q.IDs {
		if _, err := s.findInterface(id); err != nil {
			return fail(err)
		}
		concerned[id] = true
	}
	carried := func(groups ...*SecurityGroup) {
		for _, g := range groups {
			for e := range s.InterfacesOfGroup(g.ID) {
				if e.Binding != nil {
					concerned[e.ID] = true
				}
			}
		}
	}
	for _, id := range q.Groups {
		g, err := s.findGroup(id)
		if err != nil {
			return fail(err)
		}
		carried(g)
		carried(slices.Collect(s.GroupsReferencing(id))...)
	}
	for _, id := range q.PrefixLists {
		if _, err := s.findPrefixList(id); err != nil {
			return fail(err)
		}
		carried(slices.Collect(s.GroupsNamingPrefixList(id))...)
	}
	if len(q.IDs)+len(q.Groups)+len(q.PrefixLists) == 0 {
		for e := range s.NetworkInterfaces() {
			if e.Binding != nil {
				all = append(all, e)
			}
		}
	}
	for id := range concerned {
		all = append(all, s.NetworkInterface(id))
	}
	shown, next, err = paginate(all, "enforcement", func(e *NetworkInterface) string { return createdKey(e.Created, e.ID) }, q.Page)
	return all, shown, next, err
}
