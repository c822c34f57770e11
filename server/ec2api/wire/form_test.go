package wire_test

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func decode[In, Out any](t testing.TB, op wire.Op[In, Out], body string) (*In, error) {
	t.Helper()
	f, err := wire.ParseForm("", body)
	if err != nil {
		return nil, err
	}
	return op.Decode(f)
}

func TestDecode(t *testing.T) {
	group := func(want *wire.AuthorizeSecurityGroupEgressRequest) any { return want }
	for name, tt := range map[string]struct {
		body string
		want any
	}{
		"order is by number, gaps are fine": {
			"GroupId=sg-1&IpPermissions.10.FromPort=10&IpPermissions.9.FromPort=9&IpPermissions.2.FromPort=2",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId: new("sg-1"), IpPermissions: []wire.IpPermission{{FromPort: new(int32(2))}, {FromPort: new(int32(9))}, {FromPort: new(int32(10))}},
			}),
		},
		"an empty list": {
			"GroupId=sg-1&IpPermissions=&TagSpecification.1.Tag=",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId: new("sg-1"), IpPermissions: []wire.IpPermission{},
				TagSpecifications: []wire.TagSpecification{{Tags: []wire.Tag{}}},
			}),
		},
		"groups by EC2's name": {
			"GroupId=sg-1&IpPermissions.1.Groups.1.GroupId=sg-2",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId: new("sg-1"), IpPermissions: []wire.IpPermission{{UserIdGroupPairs: []wire.UserIdGroupPair{{GroupId: new("sg-2")}}}},
			}),
		},
		"groups by the member's name": {
			"GroupId=sg-1&IpPermissions.1.UserIdGroupPairs.1.GroupId=sg-2",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId: new("sg-1"), IpPermissions: []wire.IpPermission{{UserIdGroupPairs: []wire.UserIdGroupPair{{GroupId: new("sg-2")}}}},
			}),
		},
		"an empty value is a value": {
			"GroupId=sg-1&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId:           new("sg-1"),
				TagSpecifications: []wire.TagSpecification{{Tags: []wire.Tag{{Key: new("k"), Value: new("")}}}},
			}),
		},
		"zero is not absent": {
			"GroupId=sg-1&FromPort=0&ToPort=-1&DryRun=false",
			group(&wire.AuthorizeSecurityGroupEgressRequest{
				GroupId: new("sg-1"), FromPort: new(int32(0)), ToPort: new(int32(-1)), DryRun: new(false),
			}),
		},
		"blanks and UTF-8": {
			"GroupId=sg-1&CidrIp=a+b%20c%2B%C3%A9%26",
			group(&wire.AuthorizeSecurityGroupEgressRequest{GroupId: new("sg-1"), CidrIp: new("a b c+é&")}),
		},
		"booleans of other languages": {
			"GroupId=sg-1&DryRun=True", group(&wire.AuthorizeSecurityGroupEgressRequest{GroupId: new("sg-1"), DryRun: new(true)}),
		},
		"what selects and signs": {
			"Action=AuthorizeSecurityGroupEgress&Version=2016-11-15&GroupId=sg-1&X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Date=c" +
				"&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=d&X-Amz-Security-Token=e&SignatureVersion=4&AWSAccessKeyId=f",
			group(&wire.AuthorizeSecurityGroupEgressRequest{GroupId: new("sg-1")}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(t, wire.AuthorizeSecurityGroupEgress, tt.body)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Decode(%s) = %+v, %v, want %+v", tt.body, got, err, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for body, want := range map[string]string{
		// Unknown parameters, at every place.
		"GroupId=sg-1&Foo=1":     "UnknownParameter: The parameter Foo is not recognized",
		"GroupId=sg-1&groupid=1": "UnknownParameter: The parameter groupid is not recognized",
		"Foo=1":                  "UnknownParameter: The parameter Foo is not recognized",
		"GroupId=sg-1&IpPermissions.1.Foo.2.Bar=1":   "UnknownParameter: The parameter IpPermissions.1.Foo.2.Bar is not recognized",
		"GroupId=sg-1&IpPermissions.1.Groups.1.Foo=": "UnknownParameter: The parameter IpPermissions.1.Groups.1.Foo is not recognized",
		"GroupId.1=sg-1":                                      "UnknownParameter: The parameter GroupId.1 is not recognized",
		"GroupId=sg-1&GroupId.1=sg-1":                         "UnknownParameter: The parameter GroupId.1 is not recognized",
		"GroupId=sg-1&DryRun.1=true":                          "UnknownParameter: The parameter DryRun.1 is not recognized",
		"GroupId=sg-1&Version.1=a":                            "UnknownParameter: The parameter Version.1 is not recognized",
		"GroupId=sg-1&IpPermissions=x":                        "UnknownParameter: The parameter IpPermissions is not recognized",
		"GroupId=sg-1&IpPermissions.1=x":                      "UnknownParameter: The parameter IpPermissions.1 is not recognized",
		"GroupId=sg-1&IpPermissions.0.FromPort=1":             "UnknownParameter: The parameter IpPermissions.0.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions.01.FromPort=1":            "UnknownParameter: The parameter IpPermissions.01.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions.-1.FromPort=1":            "UnknownParameter: The parameter IpPermissions.-1.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions.x.FromPort=1":             "UnknownParameter: The parameter IpPermissions.x.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions.9999999999.FromPort=1":    "UnknownParameter: The parameter IpPermissions.9999999999.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions.FromPort=1":               "UnknownParameter: The parameter IpPermissions.FromPort is not recognized",
		"GroupId=sg-1&IpPermissions..FromPort=1":              "UnknownParameter: The parameter IpPermissions..FromPort is not recognized",
		"GroupId=sg-1&=1":                                     "UnknownParameter: The parameter  is not recognized",
		"GroupId=sg-1&IpPermissions.1.IpRanges.1.CidrIp.1=10": "UnknownParameter: The parameter IpPermissions.1.IpRanges.1.CidrIp.1 is not recognized",
		// Values.
		"GroupId=sg-1&FromPort=":           "InvalidParameterValue: Value () for parameter FromPort is invalid. Expecting an integer of 32 bits.",
		"GroupId=sg-1&FromPort=x":          "InvalidParameterValue: Value (x) for parameter FromPort is invalid. Expecting an integer of 32 bits.",
		"GroupId=sg-1&FromPort=1.5":        "InvalidParameterValue: Value (1.5) for parameter FromPort is invalid. Expecting an integer of 32 bits.",
		"GroupId=sg-1&FromPort=4294967376": "InvalidParameterValue: Value (4294967376) for parameter FromPort is invalid. Expecting an integer of 32 bits.",
		"GroupId=sg-1&DryRun=":             "InvalidParameterValue: Value () for parameter DryRun is invalid. Expecting true or false.",
		"GroupId=sg-1&DryRun=yes":          "InvalidParameterValue: Value (yes) for parameter DryRun is invalid. Expecting true or false.",
		"GroupId=sg-1&IpPermissions.1=":    "InvalidRequest: The request received was invalid.",
		"GroupId=sg-1&IpPermissions.1.Groups.1.GroupId=sg-2&IpPermissions.1.UserIdGroupPairs.1.GroupId=sg-3": "InvalidParameterCombination: The parameter IpPermissions.1.UserIdGroupPairs is given under two names.",
		// Required members.
		"":         "MissingParameter: The request must contain the parameter groupId",
		"GroupId=": "MissingParameter: The request must contain the parameter groupId",
		// The form itself.
		"GroupId=sg-1&GroupId=sg-1":              "MalformedQueryString: The parameter GroupId is given more than once.",
		"GroupId=%zz":                            "MalformedQueryString: The body contains a syntax error.",
		"GroupId=sg-1;DryRun=true":               "MalformedQueryString: The body contains a syntax error.",
		"GroupId=%ff":                            "InvalidCharacter: The parameter GroupId contains an invalid character.",
		"GroupId=a%00b":                          "InvalidCharacter: The parameter GroupId contains an invalid character.",
		"GroupId=%EF%BF%BF":                      "InvalidCharacter: The parameter GroupId contains an invalid character.",
		"%00=a":                                  "InvalidCharacter: The request has a parameter whose name contains an invalid character.",
		strings.Repeat("a.", 20) + "a=1":         "InvalidRequest: The request has a parameter whose name is too long or too deep.",
		strings.Repeat("a", 600) + "=1":          "InvalidRequest: The request has a parameter whose name is too long or too deep.",
		many(10_001, "IpPermissions.%d.ToPort="): "InvalidRequest: The request has more than 10000 parameters.",
	} {
		_, err := decode(t, wire.AuthorizeSecurityGroupEgress, body)
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Error() != want {
			t.Errorf("Decode(%.80s)\n got %v\nwant %s", body, err, want)
		}
	}
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&"+format, i+1)
	}
	return b.String()
}

func TestQueryAndBodyMakeOneForm(t *testing.T) {
	const twice = "MalformedQueryString: The parameter GroupId is given more than once."
	for _, tt := range []struct{ query, body, want string }{
		{"GroupId=sg-1", "DryRun=true", ""},
		{"GroupId=sg-1&Action=A", "GroupId=sg-1&Action=A", ""},
		{"GroupId=sg-1", "GroupId=sg-2", twice},
		{"GroupId=sg-1&GroupId=sg-1", "GroupId=sg-1&GroupId=sg-1", twice},
		{"GroupId=sg-1&GroupId=sg-1", "GroupId=sg-1", twice},
		{"", "GroupId=sg-1&GroupId=sg-1", twice},
	} {
		got := ""
		if _, err := wire.ParseForm(tt.query, tt.body); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("query %q and body %q: got %q, want %q", tt.query, tt.body, got, tt.want)
		}
	}
}

func TestDecodeConstraints(t *testing.T) {
	for name, tt := range map[string]struct {
		decode func(testing.TB) error
		want   string
	}{
		"too small": {
			of(wire.DescribeVpcs, "MaxResults=3"),
			"InvalidParameterValue: Value ( 3 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
		},
		"smallest": {of(wire.DescribeVpcs, "MaxResults=5"), ""},
		"largest":  {of(wire.DescribeVpcs, "MaxResults=1000"), ""},
		"too large": {
			of(wire.DescribeVpcs, "MaxResults=1001"),
			"InvalidParameterValue: Value ( 1001 ) for parameter maxResults is invalid. Expecting a value less than 1000.",
		},
		"not of the enum": {
			of(wire.CreateVpc, "InstanceTenancy=none"),
			"InvalidParameterValue: Value (none) for parameter InstanceTenancy is invalid. Expecting one of: default, dedicated, host.",
		},
		"open enums": {of(wire.RunInstances, "ImageId=ami-1&MinCount=1&MaxCount=1&InstanceType=netns.future"), ""},
		"required, given empty": {
			of(wire.CreateSecurityGroup, "GroupName=a&GroupDescription="),
			"MissingParameter: The request must contain the parameter GroupDescription",
		},
		"required list, given empty": {
			of(wire.StartInstances, "InstanceId="),
			"MissingParameter: The request must contain the parameter InstanceId",
		},
		"base64": {
			of(wire.ModifyInstanceAttribute, "InstanceId=i-1&UserData.Value=a-secret"),
			"InvalidParameterValue: The parameter UserData.Value is not valid base64.",
		},
		"time": {
			of(wire.RunInstances, "ImageId=a&MinCount=1&MaxCount=1&InstanceMarketOptions.SpotOptions.ValidUntil=tomorrow"),
			"InvalidParameterValue: Value (tomorrow) for parameter InstanceMarketOptions.SpotOptions.ValidUntil is invalid. " +
				"Expecting a time as 2006-01-02T15:04:05Z.",
		},
	} {
		got := ""
		if err := tt.decode(t); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tt.want)
		}
	}
}

func of[In, Out any](op wire.Op[In, Out], body string) func(testing.TB) error {
	return func(t testing.TB) error {
		_, err := decode(t, op, body)
		return err
	}
}

func TestDecodeTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z":           time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.678Z":       time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
		"2026-01-02T03:04:05%2B01:00":    time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.000000001Z": time.Date(2026, 1, 2, 3, 4, 5, 1, time.UTC),
	} {
		got, err := decode(t, wire.RunInstances, "ImageId=a&MinCount=1&MaxCount=1&InstanceMarketOptions.SpotOptions.ValidUntil="+in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if u := got.InstanceMarketOptions.SpotOptions.ValidUntil; *u != want {
			t.Errorf("%s = %v, want %v", in, u, want)
		}
	}
}

// TestSecret: user data is neither printed nor marshalled by accident.
func TestSecret(t *testing.T) {
	in, err := decode(t, wire.RunInstances, "ImageId=a&MinCount=1&MaxCount=1&UserData=aGk")
	if err != nil || string(*in.UserData) != "aGk" {
		t.Fatalf("UserData = %q, %v", string(wire.Value(in.UserData)), err)
	}
	text, err := in.UserData.MarshalText()
	for _, s := range []string{fmt.Sprint(*in.UserData), fmt.Sprintf("%v %+v %#v %s %q", in.UserData, *in.UserData, *in.UserData, *in.UserData, *in.UserData), string(text)} {
		if err != nil || strings.Contains(s, "aGk") {
			t.Errorf("the secret is revealed: %s, %v", s, err)
		}
	}
}

func TestQueryAndBodyAreOne(t *testing.T) {
	f, err := wire.ParseForm("Action=DescribeVpcs&Version=2016-11-15", "VpcId.1=vpc-1")
	if err != nil {
		t.Fatal(err)
	}
	in, err := wire.DescribeVpcs.Decode(f)
	if err != nil || len(in.VpcIds) != 1 {
		t.Errorf("Decode = %+v, %v", in, err)
	}
	if _, err := wire.ParseForm("Action=DescribeVpcs", "Action=DeleteVpc"); err == nil {
		t.Error("an Action in query and body was accepted")
	}
	if _, err := wire.NewForm(url.Values{"a": {}}); err != nil {
		t.Errorf("a name without values: %v", err)
	}
	if _, err := wire.NewForm(make10001()); err == nil {
		t.Error("10,001 parameters were accepted")
	}
}

func make10001() url.Values {
	v := url.Values{}
	for i := range 10_001 {
		v.Set(fmt.Sprint("a", i), "")
	}
	return v
}

func TestLookup(t *testing.T) {
	for query, want := range map[string]string{
		"Action=RunInstances&Version=2016-11-15":        "ec2 RunInstances",
		"Action=RunInstances&Version=2010-08-31":        "ec2 RunInstances",
		"Action=GetCallerIdentity&Version=2011-06-15":   "sts GetCallerIdentity",
		"Action=DescribeEnforcement&Version=2026-11-01": "sallyport DescribeEnforcement",
		"Action=DescribeEnforcement&Version=2016-11-15": "InvalidAction: The action DescribeEnforcement is not valid for this web service.",
		"Action=RunInstances&Version=2026-11-01":        "InvalidAction: The action RunInstances is not valid for this web service.",
		"Action=Foo&Version=2016-11-15":                 "InvalidAction: The action Foo is not valid for this web service.",
		"Action=AttachVolume&Version=2016-11-15":        "InvalidAction: The action AttachVolume is not valid for this web service.",
		"Version=2016-11-15":                            "MissingAction: The request must contain the parameter Action",
		"Action=RunInstances":                           "MissingParameter: The request must contain the parameter Version",
		"Action=RunInstances&Version=latest":            "NoSuchVersion: The requested version (latest) of service ec2 does not exist",
		"Action=RunInstances&Version=1999-01-01":        "NoSuchVersion: The requested version (1999-01-01) of service ec2 does not exist",
		"Action=RunInstances&Version=2016-13-45":        "NoSuchVersion: The requested version (2016-13-45) of service ec2 does not exist",
		"Action.1=RunInstances&Version=2016-11-15":      "MissingAction: The request must contain the parameter Action",
	} {
		f, err := wire.ParseForm(query, "")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if op, err := wire.Lookup(f); err != nil {
			got = err.Error()
		} else {
			got = op.Service.Name + " " + op.Name
		}
		if got != want {
			t.Errorf("Lookup(%s) = %s, want %s", query, got, want)
		}
	}
}

// FuzzDecode: no form panics, every refusal is typed, and what is accepted says the same after a trip over the wire.
func FuzzDecode(f *testing.F) {
	f.Add("GroupId=sg-1&IpPermissions.1.Groups.2.GroupId=sg-2&IpPermissions.3.IpRanges.1.CidrIp=10.0.0.0/8&FromPort=80")
	f.Add("SubnetId=subnet-1&Ipv6Address.2=::1&Ipv6Address.10=::2&TagSpecification.1.Tag.1.Key=a&DryRun=true")
	f.Add("NetworkInterfaceId.1=eni-1&Revision=7&MaxResults=5&Filter.1.Value.=a")
	f.Add("InstanceId=i-1&UserData.Value=aGk%3D&Attribute=userData")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := wire.ParseForm("", body)
		if err != nil {
			typed(t, err)
			return
		}
		for _, op := range wire.Operations {
			if _, err := op.Decode(form); err != nil {
				typed(t, err)
			}
		}
		again(t, form, wire.DescribeEnforcement, wire.DescribeEnforcementCall)
		again(t, form, wire.AdoptNetworkInterface, wire.AdoptNetworkInterfaceCall)
	})
}

func typed(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code == "" || e.Message == "" {
		t.Fatalf("not a *wire.Error with code and message: %v", err)
	}
}

func again[In, Out any](t *testing.T, form *wire.Form, op wire.Op[In, Out], call wire.Call[In, Out]) {
	t.Helper()
	in, err := op.Decode(form)
	if err != nil {
		return
	}
	sent := call.Form(in)
	form, err = wire.NewForm(sent)
	if err != nil {
		t.Fatal(err)
	}
	in, err = op.Decode(form)
	if err != nil {
		t.Fatal(err)
	}
	if got := call.Form(in); !reflect.DeepEqual(got, sent) {
		t.Fatalf("sent %v, got %v", sent, got)
	}
}

func BenchmarkDecode(b *testing.B) {
	body := "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&IpPermissions.1.IpProtocol=tcp" +
		"&IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0%2F8"
	for b.Loop() {
		f, err := wire.ParseForm("", body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := wire.AuthorizeSecurityGroupIngress.Decode(f); err != nil {
			b.Fatal(err)
		}
	}
}
