package vpc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) observe(in vpc.ObservationChange) (vpc.Observation, error) {
	a.t.Helper()
	o, c, err := a.ModifyObservation(a.env, in)
	return o, a.done(c, err)
}

func TestModifyObservation(t *testing.T) {
	a := bootstrapped(t)
	eni := a.interfaceIn(a.subnets(a.Installation().DefaultVPC)[0].ID)
	g := eni.Groups[0]
	until := func() time.Time { return a.ObservesUntil(a.NetworkInterface(eni.ID)) }
	wantUntil := func(want time.Time) {
		t.Helper()
		if got := until(); !got.Equal(want) {
			t.Errorf("the interface observes until %s, want %s", got, want)
		}
	}
	wantUntil(time.Time{})

	start := a.env.Now
	o, err := a.observe(vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(3600))})
	if want := start.Add(time.Hour); err != nil || o.Interface != eni.ID || !o.Until.Equal(want) {
		t.Errorf("observe for an hour: %+v, %v; want until %s", o, err, want)
	}
	wantUntil(start.Add(time.Hour))

	// The latest end of its own and of its groups counts.
	later := a.env.Now.Add(2 * time.Hour)
	if _, err := a.observe(vpc.ObservationChange{Group: g, Until: new(later.Add(999 * time.Millisecond))}); err != nil {
		t.Error(err)
	}
	wantUntil(later)
	if _, err := a.observe(vpc.ObservationChange{Group: g, Seconds: new(int64(0))}); err != nil {
		t.Error(err)
	}
	wantUntil(start.Add(time.Hour))
	past := start.Add(-time.Hour)
	if o, err := a.observe(vpc.ObservationChange{Interface: eni.ID, Until: &past}); err != nil || !o.Until.IsZero() {
		t.Errorf("an end that is past: %+v, %v; want none", o, err)
	}
	wantUntil(time.Time{})
	if _, c, err := a.ModifyObservation(a.env, vpc.ObservationChange{Interface: eni.ID, Until: &past}); err != nil || !c.Empty() {
		t.Errorf("ending what does not observe: %+v, %v; want no change", c, err)
	}
	if _, err := a.observe(vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(30 * 24 * 3600))}); err != nil {
		t.Errorf("30 days: %v", err)
	}

	const missing = "MissingParameter: The request must contain the parameter "
	month := a.env.Now.Add(vpc.MaxObservation + time.Second)
	for _, tt := range []struct {
		in   vpc.ObservationChange
		want string
	}{
		{vpc.ObservationChange{Seconds: new(int64(1))}, missing + "networkInterfaceId or groupId"},
		{vpc.ObservationChange{Interface: eni.ID}, missing + "durationSeconds or until"},
		{vpc.ObservationChange{Interface: eni.ID, Group: g, Seconds: new(int64(1))}, "InvalidParameterCombination: The parameter networkInterfaceId cannot be used with the parameter groupId"},
		{vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(1)), Until: &later}, "InvalidParameterCombination: The parameter durationSeconds cannot be used with the parameter until"},
		{vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(-1))}, "InvalidParameterValue: Value (-1) for parameter durationSeconds is invalid. Expecting 0 to 2592000, which is 30 days."},
		{vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(2592001))}, "InvalidParameterValue: Value (2592001) for parameter durationSeconds is invalid. Expecting 0 to 2592000, which is 30 days."},
		{vpc.ObservationChange{Interface: eni.ID, Seconds: new(int64(1 << 62))}, "InvalidParameterValue: Value (4611686018427387904) for parameter durationSeconds is invalid. Expecting 0 to 2592000, which is 30 days."},
		{vpc.ObservationChange{Interface: eni.ID, Until: &month}, fmt.Sprintf("InvalidParameterValue: Value (%s) for parameter until is invalid. Expecting a time within the next 30 days.", month.Format("2006-01-02T15:04:05.000Z"))},
		{vpc.ObservationChange{Interface: "eni-1", Seconds: new(int64(1))}, `InvalidNetworkInterfaceId.Malformed: Invalid id: "eni-1" (expecting "eni-...")`},
		{vpc.ObservationChange{Interface: "eni-0123456789abcdef0", Seconds: new(int64(1))}, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-0123456789abcdef0' does not exist"},
		{vpc.ObservationChange{Group: "sg-0123456789abcdef0", Seconds: new(int64(1))}, "InvalidGroup.NotFound: The security group 'sg-0123456789abcdef0' does not exist"},
	} {
		_, err := a.observe(tt.in)
		refused(t, err, tt.want)
	}
}

func TestDescribeObservations(t *testing.T) {
	a := bootstrapped(t)
	subnet := a.subnets(a.Installation().DefaultVPC)[0].ID
	var enis []vpc.InterfaceID
	for range 7 {
		enis = append(enis, a.interfaceIn(subnet).ID)
	}
	g := a.create("", "web")
	list := func(q vpc.ObservationQuery) (out []string, next string) {
		t.Helper()
		os, next, err := a.DescribeObservations(a.env, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range os {
			out = append(out, string(o.Interface)+string(o.Group))
		}
		return out, next
	}
	want := func(q vpc.ObservationQuery, want ...string) {
		t.Helper()
		if got, _ := list(q); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("DescribeObservations(%+v) = %v, want %v", q, got, want)
		}
	}
	want(vpc.ObservationQuery{})
	var all []string
	for i, id := range enis {
		if _, err := a.observe(vpc.ObservationChange{Interface: id, Seconds: new(int64(1000 + i))}); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(id))
	}
	if _, err := a.observe(vpc.ObservationChange{Group: g.ID, Seconds: new(int64(60))}); err != nil {
		t.Fatal(err)
	}
	all = append(all, string(g.ID))
	want(vpc.ObservationQuery{}, all...)
	want(vpc.ObservationQuery{Interfaces: enis[1:2]}, all[1])
	want(vpc.ObservationQuery{Groups: []vpc.GroupID{g.ID}}, string(g.ID))
	first, next := list(vpc.ObservationQuery{Page: vpc.Page{Max: new(int32(5))}})
	rest, end := list(vpc.ObservationQuery{Page: vpc.Page{Token: next}})
	if got := append(first, rest...); len(first) != 5 || fmt.Sprint(got) != fmt.Sprint(all) || end != "" {
		t.Errorf("in pages: %v, %v, %q, want %v", first, rest, end, all)
	}
	a.env.Now = a.env.Now.Add(10 * time.Minute)
	want(vpc.ObservationQuery{}, all[:7]...)
	want(vpc.ObservationQuery{Groups: []vpc.GroupID{g.ID}})
	_, _, err := a.DescribeObservations(a.env, vpc.ObservationQuery{Groups: []vpc.GroupID{"sg-0123456789abcdef0"}})
	refused(t, err, "InvalidGroup.NotFound: The security group 'sg-0123456789abcdef0' does not exist")
}
