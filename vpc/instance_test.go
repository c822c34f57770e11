package vpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// run launches lab guests; the zero Image, Min and Max mean one of netns.
func (a *account) run(in vpc.NewInstances) []*vpc.Instance {
	a.t.Helper()
	list, c, err := a.RunInstances(a.env, one(in))
	return made(a, list, c, err)
}

func one(in vpc.NewInstances) vpc.NewInstances {
	if in.Image == "" {
		in.Image = vpc.ImageNetns
	}
	if in.Min == 0 && in.Max == 0 {
		in.Min, in.Max = 1, 1
	}
	return in
}

// running launches one lab guest and has its host report that it runs.
func (a *account) running(in vpc.NewInstances) *vpc.Instance {
	a.t.Helper()
	i := a.run(in)[0]
	a.do(a.GuestRunning(a.env, i.ID))
	return a.Instance(i.ID)
}

func TestRunInstancesInTheDefaultVPC(t *testing.T) {
	a := bootstrapped(t)
	list := a.run(vpc.NewInstances{
		Min: 1, Max: 2, UserData: []byte("nc -l 80"), KeyName: "k",
		TagSpecifications: append(tagged("instance", "Name", "web"), tagged("network-interface", "of", "web")...),
	})
	if len(list) != 2 || list[0].Reservation != list[1].Reservation || list[1].LaunchIndex != 1 {
		t.Fatalf("got %+v, want two of one reservation", list)
	}
	for _, i := range list {
		i = a.Instance(i.ID)
		e := a.PrimaryInterface(i.ID)
		if i.State != vpc.Pending || i.Host != "host-1" || i.Type != "m1.small" || string(i.UserData) != "nc -l 80" || i.Tags["Name"] != "web" {
			t.Errorf("got instance %+v", i)
		}
		if e.Subnet != a.subnets(a.Installation().DefaultVPC)[0].ID || !e.Attachment.DeleteOnTermination || e.Tags["of"] != "web" ||
			!slices.Equal(e.Groups, []vpc.GroupID{a.DefaultGroup(e.VPC).ID}) {
			t.Errorf("got interface %+v of %+v", e, e.Attachment)
		}
	}
	named := a.run(vpc.NewInstances{GroupNames: []string{"default"}, Zone: "us-east-1b"})[0]
	if got := a.Subnet(a.PrimaryInterface(named.ID).Subnet).Zone; got != "us-east-1b" {
		t.Errorf("zone: got %s, want us-east-1b", got)
	}
}

func TestRunInstancesWithInterfaces(t *testing.T) {
	l := newLAN(t)
	existing := l.interfaceIn(l.small.ID)
	i := l.run(vpc.NewInstances{Interfaces: []vpc.LaunchENI{
		{DeviceIndex: new(1), Existing: existing.ID},
		{DeviceIndex: new(0), Subnet: l.dual.ID, Groups: []vpc.GroupID{l.group.ID}, Description: "first", Addresses: vpc.Addresses{Primary: "10.0.2.77", IPv6Count: new(1)}},
		{DeviceIndex: new(2), Subnet: l.small.ID, DeleteOnTermination: new(false)},
	}})[0]
	var got []string
	for _, e := range l.InterfacesByIndex(i.ID) {
		got = append(got, fmt.Sprint(e.Attachment.DeviceIndex, e.Attachment.DeleteOnTermination, e.Subnet == l.small.ID, e.ID == existing.ID))
	}
	if want := []string{"0 true false false", "1 false true true", "2 false true false"}; !slices.Equal(got, want) {
		t.Errorf("interfaces: got %q, want %q", got, want)
	}
	if e := l.PrimaryInterface(i.ID); e.IPv4[0].String() != "10.0.2.77" || len(e.IPv6) != 1 || e.Description != "first" {
		t.Errorf("got primary %+v", e)
	}
}

func TestRunInstancesRefuses(t *testing.T) {
	l := newLAN(t)
	used := l.PrimaryInterface(l.run(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})[0].ID)
	free := l.interfaceIn(l.dual.ID)
	elsewhere := l.newSubnet(vpc.NewSubnet{VPC: l.vpc.ID, CIDR: "10.0.9.0/24", Zone: "us-east-1b"})
	def := l.subnets(l.Installation().DefaultVPC)[0]
	foreign := l.DefaultGroup(def.VPC)
	enis := func(list ...vpc.LaunchENI) vpc.NewInstances { return vpc.NewInstances{Interfaces: list} }
	zero := vpc.LaunchENI{DeviceIndex: new(0), Subnet: l.dual.ID}
	with := func(change func(*vpc.NewInstances)) vpc.NewInstances {
		in := one(enis(zero))
		change(&in)
		return in
	}
	for _, tt := range []struct {
		in   vpc.NewInstances
		want string
	}{
		{vpc.NewInstances{Image: "ami-12345678"}, "InvalidAMIID.NotFound: The image id '[ami-12345678]' does not exist"},
		{vpc.NewInstances{Image: "netns"}, `InvalidAMIID.Malformed: Invalid id: "netns" (expecting "ami-...")`},
		{
			vpc.NewInstances{Image: vpc.ImageExternal},
			"UnsupportedOperation: The image '" + vpc.ImageExternal + "' stands for guests that were not started through this API: it cannot be run.",
		},
		{
			vpc.NewInstances{Min: 2, Max: 1},
			"InvalidParameterValue: Value (1) for parameter maxCount is invalid. It must be greater than or equal to minCount (2).",
		},
		{
			vpc.NewInstances{Min: 0, Max: 1},
			"InvalidParameterValue: Value (0) for parameter minCount is invalid. The minimum number of instances must be greater than 0.",
		},
		{
			vpc.NewInstances{Min: 1, Max: 0},
			"InvalidParameterValue: Value (0) for parameter maxCount is invalid. The maximum number of instances must be greater than 0.",
		},
		{vpc.NewInstances{UserData: make([]byte, 16385)}, "InvalidParameterValue: User data is limited to 16384 bytes"},
		{vpc.NewInstances{Zone: "us-east-1z"}, "InvalidParameterValue: Invalid availability zone: [us-east-1z]"},
		{
			with(func(in *vpc.NewInstances) { in.Primary.Groups = []vpc.GroupID{l.group.ID} }),
			"InvalidParameterCombination: Network interfaces and an instance-level security groups may not be specified on the same request",
		},
		{
			with(func(in *vpc.NewInstances) { in.GroupNames = []string{"default"} }),
			"InvalidParameterCombination: Network interfaces and an instance-level security groups may not be specified on the same request",
		},
		{
			with(func(in *vpc.NewInstances) { in.Primary.Subnet = l.dual.ID }),
			"InvalidParameterCombination: Network interfaces and an instance-level subnet ID may not be specified on the same request",
		},
		{
			with(func(in *vpc.NewInstances) { in.Primary.Addresses.Primary = "10.0.2.9" }),
			"InvalidParameterCombination: Network interfaces and an instance-level private IP address may not be specified on the same request",
		},
		{
			vpc.NewInstances{GroupNames: []string{"default"}, Primary: vpc.LaunchENI{Subnet: def.ID}},
			"InvalidParameterCombination: The parameter groupName cannot be used with the parameter subnet",
		},
		{
			vpc.NewInstances{GroupNames: []string{"nope"}},
			"InvalidGroup.NotFound: The security group 'nope' does not exist in default VPC '" + string(def.VPC) + "'",
		},
		{
			vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID, Groups: []vpc.GroupID{foreign.ID}}},
			"InvalidParameter: Security group " + string(foreign.ID) + " and subnet " + string(l.dual.ID) + " belong to different networks.",
		},
		{
			vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: "subnet-12345678"}},
			"InvalidSubnetID.NotFound: The subnet ID 'subnet-12345678' does not exist",
		},
		{
			vpc.NewInstances{Zone: "us-east-1b", Primary: vpc.LaunchENI{Subnet: l.dual.ID}},
			"InvalidParameterValue: The availability zone 'us-east-1b' does not match the subnet '" + string(l.dual.ID) + "'.",
		},
		{
			enis(vpc.LaunchENI{DeviceIndex: new(1), Subnet: l.dual.ID}),
			"InvalidParameterCombination: When specifying network interfaces, you must include a device at index 0.",
		},
		{enis(vpc.LaunchENI{Subnet: l.dual.ID}), "MissingParameter: The request must contain the parameter NetworkInterface.1.DeviceIndex"},
		{enis(zero, zero), "InvalidParameterValue: Each network interface requires a unique device index."},
		{
			enis(zero, vpc.LaunchENI{DeviceIndex: new(1), Subnet: def.ID}),
			"InvalidParameterCombination: The network interfaces of an instance must be in the same VPC.",
		},
		{
			enis(zero, vpc.LaunchENI{DeviceIndex: new(1), Subnet: elsewhere.ID}),
			"InvalidParameterCombination: You may not attach a network interface to an instance if they are not in the same availability zone",
		},
		{enis(vpc.LaunchENI{DeviceIndex: new(0), Existing: used.ID}), "InvalidNetworkInterface.InUse: Interface: [" + string(used.ID) + "] in use."},
		{
			enis(vpc.LaunchENI{DeviceIndex: new(0), Existing: free.ID}, vpc.LaunchENI{DeviceIndex: new(1), Existing: free.ID}),
			"InvalidNetworkInterface.InUse: Interface: [" + string(free.ID) + "] in use.",
		},
		{
			enis(vpc.LaunchENI{DeviceIndex: new(0), Existing: "eni-12345678"}),
			"InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist",
		},
		{
			vpc.NewInstances{Min: 2, Max: 2, Primary: vpc.LaunchENI{Subnet: l.dual.ID, Addresses: vpc.Addresses{Primary: "10.0.2.9"}}},
			"InvalidParameterCombination: A private IP address may not be specified when launching more than one instance.",
		},
		{
			vpc.NewInstances{Min: 12, Max: 12, Primary: vpc.LaunchENI{Subnet: l.small.ID}},
			"InsufficientFreeAddressesInSubnet: Insufficient free addresses in subnet '" + string(l.small.ID) + "'",
		},
		{
			vpc.NewInstances{Min: 1000, Max: 1000, Interfaces: []vpc.LaunchENI{zero, {DeviceIndex: new(1)}, {DeviceIndex: new(2)}, {DeviceIndex: new(3)}}},
			"ResourceCountExceeded: One request may make at most 2000 instances and network interfaces together. Launch fewer instances at a time.",
		},
		{
			vpc.NewInstances{Min: 1, Max: 1000, UserData: make([]byte, 16<<10)},
			"ResourceCountExceeded: The instances of one request may have at most 2097152 bytes of user data together. Launch fewer instances at a time.",
		},
		{
			vpc.NewInstances{ClientToken: strings.Repeat("t", 65)},
			"InvalidParameterValue: Value (" + strings.Repeat("t", 65) + ") for parameter clientToken is invalid. It may have 64 ASCII characters.",
		},
		{vpc.NewInstances{Type: "huge"}, "InvalidParameterValue: Invalid value 'huge' for InstanceType."},
		{
			vpc.NewInstances{TagSpecifications: tagged("vpc", "a", "b")},
			"InvalidParameterValue: 'vpc' is not a valid taggable resource type for this operation.",
		},
	} {
		in := tt.in
		if in.Max == 0 && !strings.Contains(tt.want, "Count") {
			in = one(in)
		}
		if in.Image == "" {
			in.Image = vpc.ImageNetns
		}
		_, c, err := l.RunInstances(l.env, in)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%s: a refusal changes something", tt.want)
		}
	}
}

func TestRunInstancesGivesWhatFits(t *testing.T) {
	l := newLAN(t)
	if got := len(l.run(vpc.NewInstances{Min: 1, Max: 20, Primary: vpc.LaunchENI{Subnet: l.small.ID}})); got != 11 {
		t.Errorf("between 1 and 20 in a subnet with 11 addresses: got %d", got)
	}
	if got := l.Count(vpc.KindInterface); got != 11 {
		t.Errorf("got %d interfaces, want 11", got)
	}
}

func TestRunInstancesTokenIsIdempotent(t *testing.T) {
	a := bootstrapped(t)
	in := one(vpc.NewInstances{Min: 2, Max: 2, ClientToken: "t"})
	first := a.run(in)
	again, c, err := a.RunInstances(a.env, in)
	if err != nil || !c.Empty() || len(again) != 2 || again[0].ID != first[0].ID || again[1].ID != first[1].ID {
		t.Errorf("the same token: got %v, %v, want the same two and no change", again, err)
	}
	in.Max = 3
	_, _, err = a.RunInstances(a.env, in)
	refused(t, err, "IdempotentParameterMismatch: The client token you have provided is associated with a resource that was made with different parameters.")
}

func TestPlacement(t *testing.T) {
	a := bootstrapped(t)
	a.do(a.RegisterHost(a.env, vpc.Host{ID: "host-1"}))
	_, _, err := a.RunInstances(a.env, one(vpc.NewInstances{}))
	refused(t, err, "InsufficientInstanceCapacity: No host runs lab guests: none has connected with an agent that was started with --lab.")

	_, _, err = a.RunInstances(a.env, one(vpc.NewInstances{GroupNames: []string{"no-such"}}))
	if got := vpc.CodeOf(err); got != "InvalidGroup.NotFound" {
		t.Errorf("an unknown group where no host runs guests: got %v, want InvalidGroup.NotFound", err)
	}

	a.do(a.RegisterHost(a.env, vpc.Host{ID: "host-1", Lab: true}))
	a.do(a.RegisterHost(a.env, vpc.Host{ID: "host-2", Lab: true}))
	hosts := map[vpc.HostID]int{}
	for _, i := range a.run(vpc.NewInstances{Min: 4, Max: 4}) {
		hosts[i.Host]++
	}
	if hosts["host-1"] != 2 || hosts["host-2"] != 2 {
		t.Errorf("four guests on two hosts: got %v, want two each", hosts)
	}

	twin := a.newVPC("172.31.0.0/16", false) // the default VPC's addresses
	n := a.newSubnet(vpc.NewSubnet{VPC: twin.ID, CIDR: "172.31.0.0/24"})
	_, _, err = a.RunInstances(a.env, one(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: n.ID}}))
	refused(t, err, "InsufficientInstanceCapacity: Every host that runs lab guests has some of another VPC whose addresses overlap with those of '"+string(twin.ID)+"'.")
}

func TestHostsFillUp(t *testing.T) {
	a := bootstrapped(t)
	a.run(vpc.NewInstances{Min: 1000, Max: 1000})
	_, _, err := a.RunInstances(a.env, one(vpc.NewInstances{}))
	refused(t, err, "InsufficientInstanceCapacity: Every host that could run the lab guest has 1000 already.")
}

func TestInstanceLife(t *testing.T) {
	l := newLAN(t)
	spare := l.interfaceIn(l.small.ID)
	i := l.run(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})[0]
	primary := l.PrimaryInterface(i.ID)
	state := func() vpc.InstanceState { return l.Instance(i.ID).State }
	expect := func(step string, want vpc.InstanceState) {
		t.Helper()
		if got := state(); got != want {
			t.Errorf("after %s: got %v, want %v", step, got, want)
		}
	}
	change := func(list []vpc.StateChange, c vpc.Change, err error) string {
		t.Helper()
		l.do(c, err)
		return fmt.Sprint(list[0].Previous, " ", list[0].Current)
	}
	_, _, err := l.AttachNetworkInterface(l.env, vpc.NewAttachment{Interface: spare.ID, Instance: i.ID, DeviceIndex: 1})
	refused(t, err, "IncorrectInstanceState: The instance '"+string(i.ID)+"' is not in the 'running' or 'stopped' state.")

	l.do(l.Bind(l.env, "host-1", primary.ID, "spA0", string(i.ID)))
	expect("its device is bound", vpc.Pending)
	l.do(l.GuestRunning(l.env, i.ID))
	expect("the host's report", vpc.Running)
	attached, c, err := l.AttachNetworkInterface(l.env, vpc.NewAttachment{Interface: spare.ID, Instance: i.ID, DeviceIndex: 1})
	l.do(c, err)
	if got := l.NetworkInterface(spare.ID); got.Attachment.DeleteOnTermination || got.Status() != "in-use" || attached.Attachment.ID == "" {
		t.Errorf("attached later: got %+v", got.Attachment)
	}

	if got := change(l.StopInstances(l.env, []vpc.InstanceID{i.ID})); got != "running stopping" {
		t.Errorf("stop: got %s", got)
	}
	if got := change(l.StopInstances(l.env, []vpc.InstanceID{i.ID})); got != "stopping stopping" {
		t.Errorf("stop again: got %s", got)
	}
	_, _, err = l.StartInstances(l.env, []vpc.InstanceID{i.ID})
	refused(t, err, "IncorrectInstanceState: The instance '"+string(i.ID)+"' is not in a state from which it can be started.")
	l.do(l.GuestStopped(l.env, i.ID, ""))
	expect("the guest has gone", vpc.Stopped)
	if e := l.NetworkInterface(primary.ID); e.Binding != nil || e.Attachment == nil {
		t.Errorf("stopped: got binding %v, attachment %v, want none and one", e.Binding, e.Attachment)
	}
	if got := l.Instance(i.ID).Reason; !strings.HasPrefix(got, "User initiated (2026-01-02 ") {
		t.Errorf("reason: got %q", got)
	}
	l.do(l.GuestRunning(l.env, i.ID)) // too late
	expect("a late report", vpc.Stopped)

	if got := change(l.StartInstances(l.env, []vpc.InstanceID{i.ID})); got != "stopped pending" {
		t.Errorf("start: got %s", got)
	}
	l.do(l.GuestStopped(l.env, i.ID, "")) // too late
	expect("a late report", vpc.Pending)
	l.do(l.GuestStopped(l.env, i.ID, "no bridge"))
	expect("a failure", vpc.Stopped)
	if got := l.Instance(i.ID).Reason; got != "Server.InternalError: no bridge" {
		t.Errorf("reason: got %q", got)
	}
	change(l.StartInstances(l.env, []vpc.InstanceID{i.ID}))
	l.do(l.GuestRunning(l.env, i.ID))

	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{DisableAPITermination: new(true)}))
	_, _, err = l.TerminateInstances(l.env, []vpc.InstanceID{i.ID})
	refused(t, err, "OperationNotPermitted: The instance '"+string(i.ID)+"' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.")
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{DisableAPITermination: new(false)}))
	if got := change(l.TerminateInstances(l.env, []vpc.InstanceID{i.ID})); got != "running shutting-down" {
		t.Errorf("terminate: got %s", got)
	}
	if l.NetworkInterface(primary.ID) == nil {
		t.Error("the interface is gone before the guest is")
	}
	l.do(l.GuestStopped(l.env, i.ID, ""))
	expect("the guest has gone", vpc.Terminated)
	if l.NetworkInterface(primary.ID) != nil {
		t.Error("the primary interface survives")
	}
	if e := l.NetworkInterface(spare.ID); e == nil || e.Status() != "available" {
		t.Errorf("the interface that was attached later: got %+v, want it available", e)
	}
	if got := change(l.TerminateInstances(l.env, []vpc.InstanceID{i.ID})); got != "terminated terminated" {
		t.Errorf("terminate again: got %s", got)
	}
	l.env.Now = l.env.Now.Add(59 * time.Minute)
	if seen, gone := l.Forget(l.env); seen.Instance(i.ID) == nil || !gone.Empty() {
		t.Error("a terminated instance is gone within the hour")
	}
	l.env.Now = l.env.Now.Add(2 * time.Minute)
	seen, gone := l.Forget(l.env)
	if seen.Instance(i.ID) != nil {
		t.Error("a terminated instance is seen for good")
	}
	l.do(gone, nil)
	if l.Instance(i.ID) != nil {
		t.Error("a terminated instance stays for good")
	}
}

func TestTerminateAtOnceWhatNoHostRuns(t *testing.T) {
	a := bootstrapped(t)
	i := a.running(vpc.NewInstances{})
	_, c, err := a.StopInstances(a.env, []vpc.InstanceID{i.ID})
	a.do(c, err)
	a.do(a.GuestStopped(a.env, i.ID, ""))
	list, c, err := a.TerminateInstances(a.env, []vpc.InstanceID{i.ID})
	a.do(c, err)
	if list[0].Current != vpc.Terminated || a.Count(vpc.KindInterface) != 0 {
		t.Errorf("got %v and %d interfaces, want terminated and none", list[0].Current, a.Count(vpc.KindInterface))
	}
}

func TestInstancesAreAllKnownOrNoneChanges(t *testing.T) {
	a := bootstrapped(t)
	i := a.running(vpc.NewInstances{})
	for _, tt := range []struct {
		ids  []vpc.InstanceID
		want string
	}{
		{[]vpc.InstanceID{i.ID, "i-12345678"}, "InvalidInstanceID.NotFound: The instance ID 'i-12345678' does not exist"},
		{[]vpc.InstanceID{"i-12345678", i.ID, "i-87654321"}, "InvalidInstanceID.NotFound: The instance IDs 'i-12345678, i-87654321' do not exist"},
		{[]vpc.InstanceID{i.ID, "x"}, `InvalidInstanceID.Malformed: Invalid id: "x" (expecting "i-...")`},
		{nil, "InvalidParameterCombination: No instances specified"},
	} {
		_, c, err := a.StopInstances(a.env, tt.ids)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%v: a refusal changes something", tt.ids)
		}
	}
}

func TestAttachAndDetach(t *testing.T) {
	l := newLAN(t)
	i := l.running(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})
	primary := l.PrimaryInterface(i.ID)
	e := l.interfaceIn(l.small.ID)
	farther := l.newSubnet(vpc.NewSubnet{VPC: l.vpc.ID, CIDR: "10.0.9.0/24", Zone: "us-east-1b"})
	far := l.interfaceIn(farther.ID)
	foreign := l.interfaceIn(l.subnets(l.Installation().DefaultVPC)[0].ID)
	for _, tt := range []struct {
		in   vpc.NewAttachment
		want string
	}{
		{vpc.NewAttachment{"eni-12345678", i.ID, 1}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{vpc.NewAttachment{e.ID, "i-12345678", 1}, "InvalidInstanceID.NotFound: The instance ID 'i-12345678' does not exist"},
		{vpc.NewAttachment{primary.ID, i.ID, 1}, "InvalidNetworkInterface.InUse: Interface: [" + string(primary.ID) + "] in use."},
		{vpc.NewAttachment{e.ID, i.ID, 0}, "InvalidParameterValue: Instance '" + string(i.ID) + "' already has an interface attached at device index '0'."},
		{vpc.NewAttachment{e.ID, i.ID, 15}, "InvalidParameterValue: Value (15) for parameter deviceIndex is invalid."},
		{
			vpc.NewAttachment{far.ID, i.ID, 1},
			"InvalidParameterCombination: You may not attach a network interface to an instance if they are not in the same availability zone",
		},
		{
			vpc.NewAttachment{foreign.ID, i.ID, 1},
			"InvalidParameterCombination: You may not attach a network interface to an instance if they are not in the same VPC",
		},
	} {
		_, _, err := l.AttachNetworkInterface(l.env, tt.in)
		refused(t, err, tt.want)
	}
	at, c, err := l.AttachNetworkInterface(l.env, vpc.NewAttachment{Interface: e.ID, Instance: i.ID, DeviceIndex: 3})
	l.do(c, err)
	_, err = l.DeleteNetworkInterface(e.ID)
	refused(t, err, "InvalidParameterValue: Network interface '"+string(e.ID)+"' is currently in use.")
	l.do(l.ModifyNetworkInterface(e.ID, vpc.InterfaceChange{Attachment: &vpc.AttachmentChange{ID: at.Attachment.ID, DeleteOnTermination: true}}))
	if !l.NetworkInterface(e.ID).Attachment.DeleteOnTermination {
		t.Error("DeleteOnTermination was not set")
	}

	for id, want := range map[vpc.AttachmentID]string{
		primary.Attachment.ID: "OperationNotPermitted: The network interface at device index 0 and networkCard index 0 cannot be detached.",
		"eni-attach-12345678": "InvalidAttachmentID.NotFound: The network interface attachment ID 'eni-attach-12345678' does not exist",
		"eni-12345678":        `InvalidNetworkInterfaceAttachmentId.Malformed: Invalid id: "eni-12345678" (expecting "eni-attach-...")`,
	} {
		_, err := l.DetachNetworkInterface(id)
		refused(t, err, want)
	}
	l.do(l.DetachNetworkInterface(at.Attachment.ID))
	l.do(l.DeleteNetworkInterface(e.ID))
}

func TestDescribeInstances(t *testing.T) {
	l := newLAN(t)
	first := l.run(vpc.NewInstances{
		Primary: vpc.LaunchENI{Subnet: l.dual.ID, Groups: []vpc.GroupID{l.group.ID}, Addresses: vpc.Addresses{Primary: "10.0.2.5", IPv6: []string{"fd12:3456:789a:2::5"}}},
		KeyName: "k", ClientToken: "tok", Type: "t3.nano",
		TagSpecifications: append(tagged("instance", "Name", "one"), tagged("network-interface", "Net", "one")...),
	})[0]
	second := l.running(vpc.NewInstances{})
	eni := l.PrimaryInterface(first.ID)
	one, two, both := []vpc.InstanceID{first.ID}, []vpc.InstanceID{second.ID}, []vpc.InstanceID{first.ID, second.ID}
	for filter, want := range map[string][]vpc.InstanceID{
		"availability-zone=us-east-1a":                              both,
		"availability-zone-id=use1-az1":                             both,
		"client-token=tok":                                          one,
		"dns-name=*":                                                nil,
		"image-id=" + vpc.ImageNetns:                                both,
		"instance-id=" + string(second.ID):                          two,
		"instance-state-code=16":                                    two,
		"instance-state-name=pending":                               one,
		"instance-type=t3.*":                                        one,
		"instance.group-id=" + string(l.group.ID):                   one,
		"instance.group-name=default":                               two,
		"ip-address=*":                                              nil,
		"ipv6-address=fd12:3456:789a:2::5":                          one,
		"key-name=k":                                                one,
		"launch-time=2026-01-02T*":                                  both,
		"owner-id=123456789012":                                     both,
		"platform=*":                                                nil,
		"root-device-type=instance-store":                           both,
		"private-dns-name=ip-10-0-2-5.ec2.internal":                 one,
		"private-ip-address=10.0.2.5":                               one,
		"reservation-id=" + string(first.Reservation):               one,
		"source-dest-check=true":                                    both,
		"subnet-id=" + string(l.dual.ID):                            one,
		"tag:Name=one":                                              one,
		"tag-key=Name":                                              one,
		"vpc-id=" + string(l.vpc.ID):                                one,
		"network-interface.network-interface-id=" + string(eni.ID):  one,
		"network-interface.group-id=" + string(l.group.ID):          one,
		"network-interface.addresses.private-ip-address=10.0.2.5":   one,
		"network-interface.addresses.private-dns-name=ip-10-0-2-5*": one,
		"network-interface.addresses.association.public-ip=*":       nil,
		"network-interface.attachment.attachment-id=" + string(eni.Attachment.ID): one,
		"network-interface.attachment.network-card-index=0":                       both,
		"network-interface.ipv6-addresses.ipv6-address=fd12:3456:789a:2::5":       one,
		"network-interface.mac-address=" + eni.MAC.String():                       one,
		"network-interface.status=in-use":                                         both,
		"network-interface.tag-key=Net":                                           one,
		"network-interface.tag-value=one":                                         one,
		"network-interface.vpc-id=" + string(l.vpc.ID):                            one,
	} {
		got, _, err := l.DescribeInstances(vpc.InstanceQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		if ids := idsOf(got, func(i *vpc.Instance) vpc.InstanceID { return i.ID }); !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, want %v", filter, ids, want)
		}
	}
	_, _, err := l.DescribeInstances(vpc.InstanceQuery{IDs: both, Page: vpc.Page{Max: new(int32(5))}})
	refused(t, err, "InvalidParameterCombination: The parameter instancesSet cannot be used with the parameter maxResults")
}

func TestDescribeImages(t *testing.T) {
	a := bootstrapped(t)
	for filter, want := range map[string][]string{
		"name=netns":              {vpc.ImageNetns},
		"name=*":                  {vpc.ImageNetns, vpc.ImageExternal},
		"image-id=ami-12345678":   nil,
		"state=available":         {vpc.ImageNetns, vpc.ImageExternal},
		"owner-id=123456789012":   {vpc.ImageNetns, vpc.ImageExternal},
		"is-public=false":         nil,
		"virtualization-type=hvm": {vpc.ImageNetns, vpc.ImageExternal},
	} {
		got, _, err := a.DescribeImages(vpc.ImageQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		if ids := idsOf(got, func(i *vpc.Image) string { return i.ID }); !slices.Equal(ids, want) {
			t.Errorf("%s: got %v, want %v", filter, ids, want)
		}
	}
	for owner, want := range map[string]int{"self": 2, "123456789012": 2, "amazon": 0} {
		if got, _, err := a.DescribeImages(vpc.ImageQuery{Owners: []string{owner}}); err != nil || len(got) != want {
			t.Errorf("owner %s: got %d images, %v; want %d", owner, len(got), err, want)
		}
	}
	_, _, err := a.DescribeImages(vpc.ImageQuery{IDs: []string{"ami-12345678"}})
	refused(t, err, "InvalidAMIID.NotFound: The image id '[ami-12345678]' does not exist")
}
