package vpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestTagsOfEveryKind(t *testing.T) {
	l := newLAN(t)
	i := l.run(vpc.NewInstances{})[0]
	e := l.PrimaryInterface(i.ID)
	ids := []string{
		string(l.vpc.ID), string(l.small.ID), string(l.group.ID), string(l.group.Rules[0].ID), string(e.ID), string(i.ID),
	}
	kinds := []string{"vpc", "subnet", "security-group", "security-group-rule", "network-interface", "instance"}
	l.do(l.CreateTags(ids, []vpc.Tag{{Key: "a", Value: new("1")}, {Key: "b"}}))
	all, _, err := l.DescribeTags(vpc.TagQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, d := range all {
		got = append(got, fmt.Sprint(d.Resource, " ", d.Type, " ", d.Key, "=", d.Value))
	}
	for n, id := range ids {
		want = append(want, fmt.Sprint(id, " ", kinds[n], " a=1"), fmt.Sprint(id, " ", kinds[n], " b="))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if c, err := l.CreateTags(ids, []vpc.Tag{{Key: "a", Value: new("1")}}); err != nil || !c.Empty() {
		t.Errorf("the same tags again: got %v, %v, want no change", c, err)
	}

	count := func(filter string) int {
		t.Helper()
		list, _, err := l.DescribeTags(vpc.TagQuery{Filters: filterOf(filter)})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		return len(list)
	}
	for filter, want := range map[string]int{
		"key=a": 6, "value=1": 6, "resource-type=security-group-rule": 2, "resource-id=" + ids[0]: 2, "tag:a=1": 6, "tag:a=2": 0,
	} {
		if got := count(filter); got != want {
			t.Errorf("%s: got %d, want %d", filter, got, want)
		}
	}

	l.do(l.DeleteTags(ids[:1], []vpc.Tag{{Key: "a", Value: new("")}, {Key: "none"}}))
	if got := count("resource-id=" + ids[0]); got != 2 {
		t.Errorf("deleting a key with another value: %d tags left, want 2", got)
	}
	l.do(l.DeleteTags(ids[:1], []vpc.Tag{{Key: "a"}}))
	l.do(l.DeleteTags(ids[:1], []vpc.Tag{{Key: "b", Value: new("")}}))
	if got := count("resource-id=" + ids[0]); got != 0 {
		t.Errorf("deleting both keys: %d tags left, want 0", got)
	}
	l.do(l.DeleteTags(ids, nil))
	if got := count("key=*"); got != 0 {
		t.Errorf("deleting all tags: %d left", got)
	}
}

func TestTagsRefuse(t *testing.T) {
	l := newLAN(t)
	v := string(l.vpc.ID)
	var fifty []vpc.Tag
	for n := range 50 {
		fifty = append(fifty, vpc.Tag{Key: fmt.Sprint("k", n), Value: new("")})
	}
	l.do(l.CreateTags([]string{string(l.small.ID)}, fifty))
	a := []vpc.Tag{{Key: "a", Value: new("1")}}
	for _, tt := range []struct {
		ids  []string
		tags []vpc.Tag
		want string
	}{
		{nil, a, "MissingParameter: The request must contain the parameter resourceIdSet"},
		{[]string{v}, nil, "MissingParameter: The request must contain the parameter tagSet"},
		{[]string{v, "lamp-12345678"}, a, "InvalidID: The ID 'lamp-12345678' is not valid"},
		{[]string{v, "lamp"}, a, "InvalidID: The ID 'lamp' is not valid"},
		{[]string{v, "vpc-12345678"}, a, "InvalidVpcID.NotFound: The vpc ID 'vpc-12345678' does not exist"},
		{[]string{"subnet-12345678"}, a, "InvalidSubnetID.NotFound: The subnet ID 'subnet-12345678' does not exist"},
		{[]string{"sg-12345678"}, a, "InvalidGroup.NotFound: The security group 'sg-12345678' does not exist"},
		{[]string{"sgr-12345678"}, a, "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-12345678' does not exist"},
		{[]string{"eni-12345678"}, a, "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-12345678' does not exist"},
		{[]string{"i-12345678"}, a, "InvalidInstanceID.NotFound: The instance ID 'i-12345678' does not exist"},
		{[]string{v}, []vpc.Tag{{Key: "aws:x"}}, "InvalidParameterValue: Tag keys starting with 'aws:' are reserved for internal use"},
		{[]string{v}, []vpc.Tag{{Key: "a"}, {Key: "a"}}, "InvalidParameterValue: Duplicate tag key 'a' specified."},
		{[]string{v}, []vpc.Tag{{Key: strings.Repeat("k", 129)}}, "InvalidParameterValue: Tag key exceeds the maximum length of 128 characters"},
		{[]string{v, string(l.small.ID)}, a, "TagLimitExceeded: The maximum number of Tags for a resource has been reached."},
	} {
		c, err := l.CreateTags(tt.ids, tt.tags)
		refused(t, err, tt.want)
		if !c.Empty() {
			t.Errorf("%v: a refusal changes something", tt.ids)
		}
	}
}
