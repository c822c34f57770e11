package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestModifyInstance(t *testing.T) {
	l := newLAN(t)
	i := l.run(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})[0]
	groups := vpc.InstanceChange{Groups: []vpc.GroupID{l.group.ID}}
	_, err := l.ModifyInstance(i.ID, groups)
	refused(t, err, "IncorrectInstanceState: The instance '"+string(i.ID)+"' is not in the 'running' or 'stopped' state.")
	l.do(l.GuestRunning(l.env, i.ID))
	l.do(l.ModifyInstance(i.ID, groups))
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{SourceDestCheck: new(false)}))
	if e := l.PrimaryInterface(i.ID); !slices.Equal(e.Groups, groups.Groups) || e.SourceDestCheck {
		t.Errorf("got %+v", e)
	}
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{Groups: []vpc.GroupID{l.DefaultGroup(l.Installation().DefaultVPC).ID}})
	refused(t, err, "InvalidGroup.NotFound: You have specified two resources that belong to different networks.")
	var six []vpc.GroupID
	for n := range 6 {
		six = append(six, l.create(l.vpc.ID, fmt.Sprint("g", n)).ID)
	}
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{Groups: six})
	refused(t, err, "SecurityGroupsPerInstanceLimitExceeded: The maximum number of security groups per instance has been reached.")
	_, _, err = l.RunInstances(l.env, one(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID, Groups: six}}))
	refused(t, err, "SecurityGroupsPerInstanceLimitExceeded: The maximum number of security groups per instance has been reached.")
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{})
	refused(t, err, "InvalidParameterCombination: No attributes specified.")
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{SourceDestCheck: new(true), DisableAPITermination: new(true)})
	refused(t, err, "InvalidParameterCombination: Fields for multiple attribute types specified")

	two := l.running(vpc.NewInstances{Interfaces: []vpc.LaunchENI{
		{DeviceIndex: new(0), Subnet: l.dual.ID}, {DeviceIndex: new(1), Subnet: l.dual.ID},
	}})
	_, err = l.ModifyInstance(two.ID, groups)
	refused(t, err, "InvalidInstanceID: There are multiple interfaces attached to instance '"+string(two.ID)+"'. Please specify an interface ID for the operation instead.")
}

func TestModifyStoppedInstance(t *testing.T) {
	l := newLAN(t)
	i := l.running(vpc.NewInstances{Type: "t3.nano", Primary: vpc.LaunchENI{Subnet: l.dual.ID}})
	for _, in := range []vpc.InstanceChange{{Type: new("t3.micro")}, {UserData: new([]byte("x"))}} {
		_, err := l.ModifyInstance(i.ID, in)
		refused(t, err, "IncorrectInstanceState: The instance '"+string(i.ID)+"' is not in the 'stopped' state.")
	}
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{DisableAPIStop: new(true)}))
	_, _, err := l.StopInstances(l.env, []vpc.InstanceID{i.ID})
	refused(t, err, "OperationNotPermitted: The instance '"+string(i.ID)+"' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.")
	_, _, err = l.TerminateInstances(l.env, []vpc.InstanceID{i.ID})
	refused(t, err, "OperationNotPermitted: The instance '"+string(i.ID)+"' may not be terminated. Modify its 'disableApiStop' instance attribute and try again.")
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{DisableAPIStop: new(false)}))
	_, c, err := l.StopInstances(l.env, []vpc.InstanceID{i.ID})
	l.do(c, err)
	l.do(l.GuestStopped(l.env, i.ID, ""))
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{Type: new("t3.micro")}))
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{UserData: new([]byte("#!/bin/sh"))}))
	l.do(l.ModifyInstance(i.ID, vpc.InstanceChange{TerminateOnShutdown: new(true)}))
	if now := l.Instance(i.ID); now.Type != "t3.micro" || string(now.UserData) != "#!/bin/sh" || !now.TerminateOnShutdown {
		t.Errorf("got %+v", now)
	}
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{Type: new("Big One")})
	refused(t, err, "InvalidParameterValue: Invalid value 'Big One' for InstanceType.")
	_, err = l.ModifyInstance(i.ID, vpc.InstanceChange{UserData: new(make([]byte, 16<<10+1))})
	refused(t, err, "InvalidParameterValue: User data is limited to 16384 bytes")

	eni := l.interfaceIn(l.dual.ID)
	l.do(l.Bind(l.env, "host-1", eni.ID, "tap0", "vm"))
	l.do(l.Unbind(l.env, "host-1", eni.ID))
	external := l.NetworkInterface(eni.ID).Attachment.Instance
	_, err = l.ModifyInstance(external, vpc.InstanceChange{UserData: new([]byte("x"))})
	refused(t, err, "UnsupportedOperation: The instance '"+string(external)+
		"' stands for a guest that was not started through this API: it cannot be given user data here.")
}

func TestDescribeInstanceStatus(t *testing.T) {
	l := newLAN(t)
	first := l.running(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}, TagSpecifications: tagged("instance", "Name", "one")})
	second := l.run(vpc.NewInstances{Primary: vpc.LaunchENI{Subnet: l.dual.ID}})[0]
	one, two, both := []vpc.InstanceID{first.ID}, []vpc.InstanceID{second.ID}, []vpc.InstanceID{first.ID, second.ID}
	there := true
	ask := func(in vpc.InstanceStatusQuery) []vpc.InstanceID {
		t.Helper()
		in.Connected = func(h vpc.HostID) bool { return there && h == "host-1" }
		list, _, err := l.DescribeInstanceStatus(in)
		if err != nil {
			t.Fatal(err)
		}
		return idsOf(list, func(i *vpc.Instance) vpc.InstanceID { return i.ID })
	}
	if got := ask(vpc.InstanceStatusQuery{IDs: both}); !slices.Equal(got, one) {
		t.Errorf("running ones: got %v, want %v", got, one)
	}
	for filter, want := range map[string][]vpc.InstanceID{
		"availability-zone=us-east-1a":        both,
		"event.code=*":                        nil,
		"instance-state-code=0":               two,
		"instance-state-name=running":         one,
		"instance-status.reachability=*":      nil,
		"instance-status.status=ok":           one,
		"system-status.status=not-applicable": two,
		"system-status.status=impaired":       nil,
		"instance-status.status=*":            both,
		"tag:Name=one":                        one,
	} {
		if got := ask(vpc.InstanceStatusQuery{All: true, Filters: filterOf(filter)}); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
	there = false
	if got := ask(vpc.InstanceStatusQuery{Filters: filterOf("system-status.status=insufficient-data")}); !slices.Equal(got, one) {
		t.Errorf("without the host: got %v, want %v", got, one)
	}
}

func TestDescribeInstanceTypes(t *testing.T) {
	l := newLAN(t)
	l.run(vpc.NewInstances{Type: "x9.huge", Primary: vpc.LaunchENI{Subnet: l.dual.ID}})
	got, _, err := l.DescribeInstanceTypes(vpc.InstanceTypeQuery{})
	if err != nil || !slices.Contains(got, "x9.huge") || !slices.Contains(got, "m1.small") || !slices.IsSorted(got) {
		t.Errorf("got %v, %v: want what is used and the default, in order", got, err)
	}
	got, _, err = l.DescribeInstanceTypes(vpc.InstanceTypeQuery{Names: []string{"z1.b", "z1.a", "z1.b"}, Filters: filterOf("instance-type=z1.*")})
	if err != nil || !slices.Equal(got, []string{"z1.a", "z1.b"}) {
		t.Errorf("got %v, %v: want both that were named", got, err)
	}
	_, _, err = l.DescribeInstanceTypes(vpc.InstanceTypeQuery{Names: []string{"z1.b", "Z", "y"}})
	refused(t, err, "InvalidInstanceType: The following supplied instance types do not exist: [Z, y]")
}
