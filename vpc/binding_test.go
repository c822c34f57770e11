package vpc_test

import (
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestBindExternalGuest(t *testing.T) {
	l := newLAN(t)
	e := l.interfaceIn(l.small.ID)
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{Groups: []vpc.GroupID{l.group.ID}}))
	l.do(l.Bind(l.env, "host-1", e.ID, "tap7", "vm-1"))
	bound := l.NetworkInterface(e.ID)
	i := l.Instance(bound.Attachment.Instance)
	if *bound.Binding != (vpc.Binding{Host: "host-1", Device: "tap7", Since: l.Revision()}) || i.Image != vpc.ImageExternal || i.State != vpc.Running ||
		i.Host != "host-1" || i.Tags["Name"] != "vm-1" || bound.Attachment.DeviceIndex != 0 || bound.Status() != "in-use" {
		t.Fatalf("got %+v of %+v", bound, i)
	}
	if c, err := l.Bind(l.env, "host-1", e.ID, "tap7", "vm-1"); err != nil || !c.Empty() {
		t.Errorf("the same claim again: got %v, %v, want no change", c, err)
	}
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{Groups: []vpc.GroupID{l.DefaultGroup(l.vpc.ID).ID}}))

	// What the agent does with guests is not ours to do with this one.
	for verb, act := range map[string]func(vpc.Env, []vpc.InstanceID) ([]vpc.StateChange, vpc.Change, error){
		"stopped": l.StopInstances, "terminated": l.TerminateInstances,
	} {
		_, _, err := act(l.env, []vpc.InstanceID{i.ID})
		refused(t, err, "UnsupportedOperation: The instance '"+string(i.ID)+"' stands for a guest that was not started through this API: it cannot be "+verb+" here.")
	}
	spare := l.interfaceIn(l.small.ID)
	_, _, err := l.AttachNetworkInterface(l.env, vpc.NewAttachment{Interface: spare.ID, Instance: i.ID, DeviceIndex: 1})
	refused(t, err, "UnsupportedOperation: The instance '"+string(i.ID)+"' stands for a guest that was not started through this API: bind its device to the interface instead.")

	// A second device of the same guest is a second interface of the same instance.
	l.do(l.Bind(l.env, "host-1", spare.ID, "tap8", "vm-1"))
	if got := l.NetworkInterface(spare.ID).Attachment; got.Instance != i.ID || got.DeviceIndex != 1 {
		t.Errorf("second device: got %+v, want device 1 of %s", got, i.ID)
	}
	_, err = l.DetachNetworkInterface(l.NetworkInterface(spare.ID).Attachment.ID)
	refused(t, err, "UnsupportedOperation: Device tap8 of host host-1 carries the network interface: unbind it there.")

	l.do(l.Unbind(l.env, "host-1", e.ID))
	if got := l.Instance(i.ID).State; got != vpc.Running {
		t.Errorf("with one device left: got %v, want running", got)
	}
	l.do(l.Unbind(l.env, "host-1", spare.ID))
	if got := l.Instance(i.ID).State; got != vpc.Stopped {
		t.Errorf("with no device left: got %v, want stopped", got)
	}
	if got := l.NetworkInterface(e.ID).Groups[0]; got != l.DefaultGroup(l.vpc.ID).ID {
		t.Errorf("its group after the end of the binding: got %s", got)
	}
	_, _, err = l.StartInstances(l.env, []vpc.InstanceID{i.ID})
	refused(t, err, "UnsupportedOperation: The instance '"+string(i.ID)+"' stands for a guest that was not started through this API: it cannot be started here.")

	l.do(l.Bind(l.env, "host-2", e.ID, "vnet0", "vm-1")) // it has moved
	if got := l.Instance(i.ID); got.State != vpc.Running || got.Host != "host-2" {
		t.Errorf("bound again elsewhere: got %+v", got)
	}
	l.do(l.Unbind(l.env, "host-2", e.ID))
	_, c, err := l.TerminateInstances(l.env, []vpc.InstanceID{i.ID})
	l.do(c, err)
	if l.NetworkInterface(e.ID).Status() != "available" || l.Instance(i.ID).State != vpc.Terminated {
		t.Errorf("terminated: got %+v, %+v", l.NetworkInterface(e.ID), l.Instance(i.ID))
	}
	l.do(l.Bind(l.env, "host-1", e.ID, "tap7", ""))
	if got := l.Instance(l.NetworkInterface(e.ID).Attachment.Instance); got.ID == i.ID || got.Tags["Name"] != "tap7" {
		t.Errorf("bound without a guest's name: got %+v, want a new instance named tap7", got)
	}
}

func TestBindRefuses(t *testing.T) {
	l := newLAN(t)
	e := l.interfaceIn(l.small.ID)
	l.do(l.Bind(l.env, "host-1", e.ID, "tap7", ""))
	lab := l.PrimaryInterface(l.run(vpc.NewInstances{})[0].ID)
	stopped := l.PrimaryInterface(l.run(vpc.NewInstances{})[0].ID)
	l.do(l.GuestStopped(l.env, stopped.Attachment.Instance, "no bridge"))
	for _, tt := range []struct {
		host   vpc.HostID
		eni    vpc.InterfaceID
		device string
		want   string
	}{
		{"host-1", "eni-12345678", "tap9", "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{"host-1", e.ID, "tap8", "InvalidNetworkInterface.InUse: Interface: [" + string(e.ID) + "] in use. Device tap7 of host host-1 carries it."},
		{"host-2", e.ID, "tap7", "InvalidNetworkInterface.InUse: Interface: [" + string(e.ID) + "] in use. Device tap7 of host host-1 carries it."},
		{
			"host-2", lab.ID, "spA0",
			"OperationNotPermitted: Interface " + string(lab.ID) + " belongs to instance " + string(lab.Attachment.Instance) + ", which runs on host host-1.",
		},
		{
			"host-1", stopped.ID, "spA0",
			"IncorrectInstanceState: Interface " + string(stopped.ID) + " belongs to instance " + string(stopped.Attachment.Instance) + ", which is stopped.",
		},
		{"host-1", lab.ID, "", "InvalidParameterValue: A binding names a host and a device."},
	} {
		c, err := l.Bind(l.env, tt.host, tt.eni, tt.device, "")
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%+v: a refusal changes something", tt)
		}
	}
	if c, err := l.Unbind(l.env, "host-2", e.ID); err != nil || !c.Empty() {
		t.Errorf("unbind by another host: got %v, %v, want no change", c, err)
	}
	if c, err := l.Unbind(l.env, "host-1", "eni-12345678"); err != nil || !c.Empty() {
		t.Errorf("unbind of nothing: got %v, %v, want no change", c, err)
	}
}

func TestBindTakesTheDeviceOver(t *testing.T) {
	l := newLAN(t)
	old, fresh := l.interfaceIn(l.small.ID), l.interfaceIn(l.small.ID)
	l.do(l.Bind(l.env, "host-1", old.ID, "tap7", ""))
	l.do(l.Bind(l.env, "host-1", fresh.ID, "tap7", ""))
	o := l.NetworkInterface(old.ID)
	if o.Binding != nil || l.Instance(o.Attachment.Instance).State != vpc.Stopped {
		t.Errorf("the interface before: got %+v, want it unbound and its instance stopped", o)
	}
	if l.NetworkInterface(fresh.ID).Binding == nil {
		t.Error("the new interface is not bound")
	}
}

func TestBindAgainAfterDetach(t *testing.T) {
	l := newLAN(t)
	i := l.running(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})
	e := l.interfaceIn(l.dual.ID)
	at, c, err := l.AttachNetworkInterface(l.env, vpc.NewAttachment{Interface: e.ID, Instance: i.ID, DeviceIndex: 1})
	l.do(c, err)
	l.do(l.Bind(l.env, "host-1", e.ID, "spt1", string(i.ID)))
	l.do(l.DetachNetworkInterface(at.Attachment.ID))
	if c, err := l.Bind(l.env, "host-1", e.ID, "spt1", string(i.ID)); err != nil || !c.Empty() {
		t.Errorf("the old claim again: got %v, %v, want no change and no external instance", c, err)
	}
	l.do(l.Unbind(l.env, "host-1", e.ID))
	if got := l.NetworkInterface(e.ID); got.Binding != nil || got.Attachment != nil {
		t.Errorf("after the device is gone: got %+v", got)
	}
}

func TestRegisterHost(t *testing.T) {
	a := bootstrapped(t)
	if c, err := a.RegisterHost(a.env, vpc.Host{ID: "host-1", Lab: true}); err != nil || !c.Empty() {
		t.Errorf("the same again: got %v, %v, want no change", c, err)
	}
	a.do(a.RegisterHost(a.env, vpc.Host{ID: "host-1"}))
	if a.Host("host-1").Lab {
		t.Error("the host still runs lab guests")
	}
	_, err := a.RegisterHost(a.env, vpc.Host{})
	refused(t, err, "InvalidParameterValue: A host needs a name.")
}
