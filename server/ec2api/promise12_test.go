package ec2api_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// vocabulary is what the calls of TestPromise12 are made of: for the parameters of all actions a value
// that is right more often than not, then ones that are nearly right, or of something else.
var vocabulary = func() map[string][]string {
	id := func(prefix string) []string {
		return []string{prefix + "-00000000000000001", prefix + "-00000000000000002", prefix + "-00000000000000003", prefix + "-0123456789abcdef0", prefix + "-", "", "x"}
	}
	numbers := []string{"5", "22", "1", "0", "-1", "255", "256", "1000", "65535", "65536", "2147483647", "2147483648", "-2147483648", "x", ""}
	names := []string{"web", "db", "", "default", "sg-1", "ä", "<&>", strings.Repeat("n", 256), "aws:x", "*"}
	blocks := []string{"10.0.0.0/16", "172.31.48.0/20", "10.0.0.1/8", "172.31.0.0/20", "0.0.0.0/0", "::/0", "fd00::/64", "10.0.0.0", "300.0.0.0/8", "10.0.0.0/33", ""}
	addresses := []string{"172.31.0.10", "172.31.0.11", "172.31.0.1", "10.0.0.9", "::1", "fd00::1", "x", ""}
	prefixes := []string{"172.31.0.32/28", "172.31.0.48/28", "172.31.0.0/28", "172.31.0.33/28", "172.31.0.32/27", "10.0.0.0/28", "fd00::/80", "x", ""}
	yes := []string{"true", "false", "x"}
	return map[string][]string{
		"GroupName": names, "GroupDescription": names, "Description": names, "Description.Value": names,
		"GroupName.1": names, "SourceSecurityGroupName": names, "ClientToken": {"t", "u", ""},
		"GroupId": id("sg"), "ReplacementGroupId": id("sg"), "GroupId.1": id("sg"), "SecurityGroupId.1": id("sg"), "SecurityGroupId.2": id("sg"),
		"VpcId": id("vpc"), "VpcId.1": id("vpc"), "SubnetId": id("subnet"), "SubnetId.1": id("subnet"),
		"NetworkInterfaceId": id("eni"), "NetworkInterfaceId.1": id("eni"), "InstanceId": id("i"), "InstanceId.1": id("i"),
		"AttachmentId": id("eni-attach"), "SecurityGroupRuleId.1": id("sgr"), "SecurityGroupRuleId.2": id("sgr"),
		"ImageId": id("ami"), "ImageId.1": id("ami"), "Attachment.AttachmentId": id("eni-attach"),
		"ResourceId.1": slices.Concat(id("sg"), id("sgr"), id("vpc"), id("eni"), id("tgw")), "ResourceId.2": id("subnet"),
		"CidrBlock": blocks, "Ipv6CidrBlock": blocks, "CidrIp": blocks, "DeviceIndex": numbers, "Revision": numbers,
		"FromPort": numbers, "ToPort": numbers, "IpProtocol": {"tcp", "-1", "icmp", "58", "256", "all", ""},
		"IpPermissions.1.IpProtocol": {"tcp", "UDP", "icmp", "58", "-1", "50", "256", "all", ""},
		"IpPermissions.1.FromPort":   numbers, "IpPermissions.1.ToPort": numbers,
		"IpPermissions.1.IpRanges.1.CidrIp": blocks, "IpPermissions.1.Ipv6Ranges.1.CidrIpv6": {"fd00::/64", "::/0", "10.0.0.0/8", ""},
		"IpPermissions.1.Groups.1.GroupId": id("sg"), "IpPermissions.1.PrefixListIds.1.PrefixListId": id("pl"),
		"IpPermissions.1.IpRanges.1.Description": names,
		"PrivateIpAddress":                       addresses, "PrivateIpAddresses.1.PrivateIpAddress": addresses, "Ipv6Address.1": addresses,
		"PrivateIpAddresses.1.Primary": yes, "SecondaryPrivateIpAddressCount": numbers,
		"PrivateIpAddress.1": addresses, "Ipv6Addresses.1": addresses, "AllowReassignment": yes,
		"Ipv4Prefix.1": prefixes, "Ipv4Prefix.1.Ipv4Prefix": prefixes, "Ipv6Prefix.1": prefixes, "Ipv6Prefix.1.Ipv6Prefix": prefixes,
		"Ipv4PrefixCount": numbers, "Ipv6PrefixCount": numbers, "EnablePrimaryIpv6": yes,
		"ConnectionTrackingSpecification.UdpTimeout":            {"30", "29", "61", "x"},
		"ConnectionTrackingSpecification.TcpEstablishedTimeout": {"60", "432000", "432001", "-1", "2147483648"},
		"NetworkInterface.1.DeviceIndex":                        {"0", "1", "-1"}, "NetworkInterface.1.SubnetId": id("subnet"),
		"NetworkInterface.1.NetworkInterfaceId": id("eni"), "NetworkInterface.1.Ipv4Prefix.1.Ipv4Prefix": prefixes,
		"UserData.Value": {"ZWNobw==", "%", ""}, "InstanceType.Value": {"t3.micro", "x", ""}, "DisableApiStop.Value": yes,
		"Ipv6AddressCount": numbers, "MacAddress": {"02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "x", ""},
		"MinCount": {"1", "2", "0", "x"}, "MaxCount": {"1", "2", "0", "x"}, "MaxResults": numbers, "NextToken": {"x", ""},
		"UserData": {"ZWNobw==", "%", ""}, "InstanceType": {"t3.micro", "x", ""}, "Force": yes,
		"Filter.1.Name": {"vpc-id", "group-id", "tag:x", "x", ""}, "Filter.1.Value.1": {"*", "x", "foobar", ""},
		"TagSpecification.1.ResourceType": {"security-group", "security-group-rule", "vpc", "subnet", "network-interface", "instance", "x", ""},
		"TagSpecification.1.Tag.1.Key":    names, "TagSpecification.1.Tag.1.Value": names,
		"Tag.1.Key": names, "Tag.1.Value": names, "AvailabilityZone": {"us-east-1a", "x", ""},
		"SourceDestCheck.Value": yes, "AmazonProvidedIpv6CidrBlock": yes, "Attribute": names,
		"MapPublicIpOnLaunch.Value": yes, "DryRun": {"false", "false", "true", "x"},
		"RegionName.1": names, "ZoneName.1": names, "ZoneId.1": names, "AttributeName.1": {"default-vpc", "x", ""},
		"PrefixListId": id("pl"), "PrefixListId.1": id("pl"), "PrefixListName": append([]string{"com.amazonaws.x"}, names...),
		"AddressFamily": {"IPv4", "IPv4", "IPv6", "ipv4", ""}, "MaxEntries": numbers,
		"CurrentVersion": {"1", "2", "0", "-1", "x", ""}, "PreviousVersion": {"1", "2", "0", "x"}, "TargetVersion": {"1", "9", "0", "x"},
		"Entry.1.Cidr": blocks, "AddEntry.1.Cidr": blocks, "AddEntry.1.Description": names, "RemoveEntry.1.Cidr": blocks,
		"NetworkInsightsPathId": id("nip"), "NetworkInsightsPathId.1": id("nip"),
		"NetworkInsightsAnalysisId": id("nia"), "NetworkInsightsAnalysisId.1": id("nia"),
		"Source": id("eni"), "Destination": append(id("eni")[1:], id("i")...), "Protocol": {"tcp", "udp", "icmp", ""},
		"SourceIp": addresses, "DestinationIp": addresses, "DestinationPort": numbers,
		"FilterAtSource.SourceAddress": addresses, "FilterAtDestination.DestinationPortRange.FromPort": numbers,
		"FilterAtDestination.DestinationPortRange.ToPort": numbers, "FilterInArn.1": id("arn:aws:ec2:us-east-1:123456789012:vpc/vpc"),
		"FlowLogId.1": id("fl"), "ResourceType": {"VPC", "NetworkInterface", "TransitGateway", "vpc", ""}, "TrafficType": {"ALL", "x", ""},
		"LogDestinationType": {"s3", "x", ""}, "LogDestination": {"arn:aws:s3:::x", "x", ""}, "LogGroupName": names,
	}
}()

// known returns the names of the vocabulary that an action takes, in order.
func known(op *wire.Operation) []string {
	var names []string
	for name, values := range vocabulary {
		form, err := wire.NewForm(url.Values{name: values[:1]})
		if err != nil {
			panic(err)
		}
		var refused *wire.Error
		if _, err := op.Decode(form); !errors.As(err, &refused) || refused.Code != "UnknownParameter" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// randomForm asks for an action with some of the parameters that it takes.
func randomForm(r *rand.Rand, op *wire.Operation) url.Values {
	form := url.Values{"Action": {op.Name}, "Version": {op.Service.Version}}
	few := 1 + r.IntN(4) // of five
	for _, name := range known(op) {
		required := name == "GroupDescription" || name == "MinCount" || name == "MaxCount"
		if values := vocabulary[name]; required || r.IntN(5) < few {
			form.Set(name, values[r.IntN(1+r.IntN(len(values)))])
		}
	}
	if r.IntN(50) == 0 {
		form.Set("Bogus", "x")
	}
	return form
}

// badCalls makes many calls, most of them wrong, and returns how many were refused and what is not
// as it should be: a change after a refusal, a refusal without a code, a failure of the server.
func badCalls(e *endpoint, seed uint64, calls int) (refused int, wrong []string) {
	r := rand.New(rand.NewPCG(12, seed))
	var actions []string
	for name := range wire.Operations {
		actions = append(actions, name)
	}
	slices.Sort(actions)
	for range calls {
		form := randomForm(r, wire.Operations[actions[r.IntN(len(actions))]])
		before := e.state()
		a := e.call(form)
		if a.status == http.StatusOK {
			continue
		}
		refused++
		refusal, _, err := wire.ParseError([]byte(a.body))
		if err != nil || refusal.Code == "" || refusal.Message == "" || strings.Contains(refusal.Code, "Internal") {
			wrong = append(wrong, fmt.Sprintf("%v: got %d %v %v", form, a.status, refusal, err))
		}
		if d := difference(before, e.state()); d != "" {
			wrong = append(wrong, fmt.Sprintf("%v: %v, and yet a change:\n%s", form, refusal, d))
		}
	}
	return refused, wrong
}

// Bad input gets an exact error, and changes nothing.
func TestPromise12(t *testing.T) {
	const calls = 500
	for seed := range uint64(6) { // each begins with what a first start leaves
		refused, wrong := badCalls(newEndpoint(t), seed, calls)
		for _, w := range wrong {
			t.Error(w)
		}
		if refused < calls/4 || refused == calls {
			t.Errorf("%d of %d calls were refused: the calls are too good, or too bad, to tell anything", refused, calls)
		}
	}
}

// A server that writes a little in spite of a refusal is found out.
func TestPromise12IsTested(t *testing.T) {
	e := newEndpointOn(t, func(s ec2api.Store) ec2api.Store { return leaky{s} })
	if _, wrong := badCalls(e, 0, 50); len(wrong) == 0 {
		t.Error("a change after a refusal was not noticed")
	}
}

// leaky writes half of what a refused change might have been.
type leaky struct{ ec2api.Store }

func (l leaky) Update(ctx context.Context, fn func(*vpc.State) (vpc.Change, error)) (int64, error) {
	var refusal error
	revision, err := l.Store.Update(ctx, func(s *vpc.State) (vpc.Change, error) {
		change, err := fn(s)
		if refusal = err; err != nil {
			i := *s.Installation()
			i.NextRule++
			return vpc.Change{Puts: []vpc.Object{&i}}, nil
		}
		return change, nil
	})
	if refusal != nil {
		return 0, refusal
	}
	return revision, err
}
