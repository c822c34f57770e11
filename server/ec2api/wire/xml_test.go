package wire_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestEncode compares whole answers with testdata/NAME.xml. There a line ends after each closing tag, for people's sake.
func TestEncode(t *testing.T) {
	for name, got := range map[string][]byte{
		"describe-security-groups": wire.DescribeSecurityGroups.Encode(nil, "request-1", &wire.DescribeSecurityGroupsResult{
			SecurityGroups: []wire.SecurityGroup{{
				GroupId: new("sg-1"), GroupName: new("a<b>&\"c'"), Description: new("line\nnext\ttab\r é 東京 \x00\xff"), OwnerId: new(""),
				IpPermissionsEgress: []wire.IpPermission{{
					IpProtocol: new("-1"), IpRanges: []wire.IpRange{{CidrIp: new("0.0.0.0/0")}},
				}},
				Tags: []wire.Tag{{Key: new("k"), Value: new("")}},
			}, {GroupId: new("sg-2"), Tags: []wire.Tag{}}},
			NextToken: new("more"),
		}),
		"describe-vpcs-none": wire.DescribeVpcs.Encode(nil, "request-1", &wire.DescribeVpcsResult{}),
		"create-vpc": wire.CreateVpc.Encode(nil, "request-1", &wire.CreateVpcResult{
			Vpc: &wire.Vpc{IsDefault: new(false), VpcId: new("vpc-1")},
		}),
		"delete-vpc":            wire.DeleteVpc.Encode(nil, "request-1", &wire.DeleteVpcResult{}),
		"delete-security-group": wire.DeleteSecurityGroup.Encode(nil, "request-1", &wire.DeleteSecurityGroupResult{Return: new(true)}),
		"run-instances": wire.RunInstances.Encode(nil, "request-1", &wire.Reservation{
			ReservationId: new("r-1"),
			Instances: []wire.Instance{{
				AmiLaunchIndex: new(int32(0)),
				LaunchTime:     new(time.Date(2026, 1, 2, 4, 4, 5, 6e6, time.FixedZone("", 3600))),
				State:          &wire.InstanceState{Code: new(int32(16)), Name: new("running")},
			}},
		}),
		"get-caller-identity": wire.GetCallerIdentity.Encode(nil, "request-1", &wire.GetCallerIdentityResult{
			Account: new("123456789012"), Arn: new("arn:aws:iam::123456789012:root"), UserId: new("123456789012"),
		}),
		"describe-enforcement": wire.DescribeEnforcement.Encode(nil, "request-1", &wire.DescribeEnforcementResult{
			Enforcements: []wire.Enforcement{{
				NetworkInterfaceId: new("eni-1"), HostId: new("h-1"), Device: new("tap7"), BoundState: new("bound"),
				RevisionInForce: new(int64(1) << 40), InForce: new(true),
			}},
			Revision: new(int64(7)), InForce: new(true),
		}),
		"error":            wire.EC2.AppendError(nil, "request-1", "InvalidGroup.NotFound", "The security group 'a&b' does not exist", 400),
		"error-sallyport":  wire.Sallyport.AppendError(nil, "request-1", "InternalError", "An internal error has occurred", 500),
		"error-sts":        wire.STS.AppendError(nil, "request-1", "InvalidClientTokenId", "The security token included in the request is invalid.", 403),
		"error-sts-server": wire.STS.AppendError(nil, "request-1", "InternalFailure", "", 500),
	} {
		t.Run(name, func(t *testing.T) {
			checkNames(t, got)
			text := strings.ReplaceAll(strings.ReplaceAll(string(got), "><", ">\n<"), ">\n</", "></")
			path := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text+"\n" != string(want) {
				t.Errorf("got\n%s\nwant\n%s", text, want)
			}
		})
	}
}

// checkNames reads a document with another parser than ours: it is well-formed.
func checkNames(t *testing.T, doc []byte) {
	t.Helper()
	var v struct {
		XMLName xml.Name
	}
	if err := xml.Unmarshal(doc, &v); err != nil {
		t.Errorf("not well-formed: %v\n%s", err, doc)
	}
}

// TestCall: our own client's side of our own actions, every member both ways.
func TestCall(t *testing.T) {
	tested := map[string]bool{}
	trip(t, tested, wire.DescribeEnforcement, wire.DescribeEnforcementCall)
	trip(t, tested, wire.AdoptNetworkInterface, wire.AdoptNetworkInterfaceCall)
	trip(t, tested, wire.DescribeQuotas, wire.DescribeQuotasCall)
	trip(t, tested, wire.ModifyQuota, wire.ModifyQuotaCall)
	trip(t, tested, wire.ModifyObservation, wire.ModifyObservationCall)
	trip(t, tested, wire.DescribeObservations, wire.DescribeObservationsCall)
	trip(t, tested, wire.DescribeRuleCounters, wire.DescribeRuleCountersCall)
	trip(t, tested, wire.DescribeDrops, wire.DescribeDropsCall)
	trip(t, tested, wire.CreateUser, wire.CreateUserCall)
	trip(t, tested, wire.DescribeUsers, wire.DescribeUsersCall)
	trip(t, tested, wire.ModifyUser, wire.ModifyUserCall)
	trip(t, tested, wire.DeleteUser, wire.DeleteUserCall)
	trip(t, tested, wire.CreateAccessKey, wire.CreateAccessKeyCall)
	trip(t, tested, wire.DescribeAccessKeys, wire.DescribeAccessKeysCall)
	trip(t, tested, wire.ModifyAccessKey, wire.ModifyAccessKeyCall)
	trip(t, tested, wire.DeleteAccessKey, wire.DeleteAccessKeyCall)
	trip(t, tested, wire.SetPassword, wire.SetPasswordCall)
	trip(t, tested, wire.CreateSignInToken, wire.CreateSignInTokenCall)
	trip(t, tested, wire.DescribeAuditRecords, wire.DescribeAuditRecordsCall)
	trip(t, tested, wire.DescribeConnections, wire.DescribeConnectionsCall)
	trip(t, tested, wire.CutConnections, wire.CutConnectionsCall)
	trip(t, tested, wire.ExplainReachability, wire.ExplainReachabilityCall)
	trip(t, tested, wire.EditSecurityGroupRules, wire.EditSecurityGroupRulesCall)
	trip(t, tested, wire.CreateSecurityGroupWithRules, wire.CreateSecurityGroupWithRulesCall)
	trip(t, tested, wire.DescribeSecurityGroupUses, wire.DescribeSecurityGroupUsesCall)
	trip(t, tested, wire.ReplaceSecurityGroup, wire.ReplaceSecurityGroupCall)
	trip(t, tested, wire.SelectResources, wire.SelectResourcesCall)
	trip(t, tested, wire.DescribeResourceValues, wire.DescribeResourceValuesCall)
	trip(t, tested, wire.SearchResources, wire.SearchResourcesCall)
	trip(t, tested, wire.DescribeCallerAddress, wire.DescribeCallerAddressCall)
	for name, op := range wire.Operations {
		if op.Service == &wire.Sallyport && !tested[name] {
			t.Errorf("%s is not tested", name)
		}
	}
}

func trip[In, Out any](t *testing.T, tested map[string]bool, op wire.Op[In, Out], call wire.Call[In, Out]) {
	t.Helper()
	tested[op.Name] = true
	in, out := new(In), new(Out)
	new(filler).fill(reflect.ValueOf(in).Elem())
	new(filler).fill(reflect.ValueOf(out).Elem())
	for name, value := range map[string]string{"Role": "reader", "ResourceType": "vpc", "Operation": "or"} { // enums
		if field := reflect.ValueOf(in).Elem().FieldByName(name); field.IsValid() {
			field.Set(reflect.ValueOf(&value))
		}
	}
	if wait := reflect.ValueOf(in).Elem().FieldByName("WaitTimeSeconds"); wait.IsValid() { // 20 at most
		wait.Set(reflect.ValueOf(new(int32(7))))
	}
	form, err := wire.ParseForm("", call.Form(in).Encode())
	if err != nil {
		t.Fatal(err)
	}
	if found, err := wire.Lookup(form); err != nil || found != op.Operation {
		t.Errorf("%s: Lookup = %v, %v", op.Name, found, err)
	}
	if got, err := op.Decode(form); err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("%s: request\n got %+v, %v\nwant %+v", op.Name, got, err, in)
	}
	if got, err := call.Parse(op.Encode(nil, "request-1", out)); err != nil || !reflect.DeepEqual(got, out) {
		t.Errorf("%s: result\n got %+v, %v\nwant %+v", op.Name, got, err, out)
	}
}

func TestCallForm(t *testing.T) {
	got := wire.AdoptNetworkInterfaceCall.Form(&wire.AdoptNetworkInterfaceRequest{
		SubnetId: new("subnet-1"), MacAddress: new("02:00:00:00:00:01"), Ipv6Addresses: []string{"::1", "::2"},
		SecurityGroupIds: []string{"sg-1"}, DryRun: new(true),
		TagSpecifications: []wire.TagSpecification{{
			ResourceType: new("network-interface"), Tags: []wire.Tag{{Key: new("a"), Value: new("b")}},
		}},
	}).Encode()
	want := "Action=AdoptNetworkInterface&DryRun=true&Ipv6Address.1=%3A%3A1&Ipv6Address.2=%3A%3A2&MacAddress=02%3A00%3A00%3A00%3A00%3A01" +
		"&SecurityGroupId.1=sg-1&SubnetId=subnet-1&TagSpecification.1.ResourceType=network-interface&TagSpecification.1.Tag.1.Key=a" +
		"&TagSpecification.1.Tag.1.Value=b&Version=2026-11-01"
	if got != want {
		t.Errorf("Form\n got %s\nwant %s", got, want)
	}
}

func TestCallParse(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"unknown elements are skipped": {"<DescribeEnforcementResponse><new><a/></new></DescribeEnforcementResponse>", ""},
		"another answer":               {"<Response/>", "unexpected element Response"},
		"not a number":                 {"<DescribeEnforcementResponse><revision>x</revision></DescribeEnforcementResponse>", "element revision"},
		"nothing":                      {"", "one root element"},
		"cut off":                      {"<DescribeEnforcementResponse>", "EOF"},
		"html":                         {"<!doctype html><p>hello<br></p>", "syntax error"},
		"too deep":                     {strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), "too deep"},
	} {
		_, err := wire.DescribeEnforcementCall.Parse([]byte(tt.body))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Parse: %v, want %q", name, err, tt.want)
		}
	}
}

func TestParseError(t *testing.T) {
	for _, s := range []*wire.Service{&wire.EC2, &wire.STS, &wire.Sallyport} {
		got, id, err := wire.ParseError(s.AppendError(nil, "request-1", "DependencyViolation", "a <b>", 400))
		if want := (wire.Error{Code: "DependencyViolation", Message: "a <b>"}); err != nil || *got != want || id != "request-1" {
			t.Errorf("%s: ParseError = %v, %s, %v", s.Name, got, id, err)
		}
	}
	if _, _, err := wire.ParseError([]byte("<html/>")); err == nil {
		t.Error("ParseError of something else: no error")
	}
}

// FuzzText: a parser that is not ours reads every text as it was, except for what XML cannot carry.
func FuzzText(f *testing.F) {
	f.Add("a<b>&\"' \t\r\n")
	f.Add("\x00\x1f\ufffe\uffff\ufffd\xff\xed\xa0\x80é😀")
	f.Fuzz(func(t *testing.T, s string) {
		doc := wire.CreateVpc.Encode(nil, s, &wire.CreateVpcResult{Vpc: &wire.Vpc{VpcId: &s}})
		var got struct {
			RequestID string `xml:"requestId"`
			VpcID     string `xml:"vpc>vpcId"`
		}
		if err := xml.Unmarshal(doc, &got); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		var b bytes.Buffer // encoding/xml's own notion of what cannot be carried
		if err := xml.EscapeText(&b, []byte(s)); err != nil {
			t.Fatal(err)
		}
		var want string
		if err := xml.Unmarshal([]byte("<a>"+b.String()+"</a>"), &want); err != nil {
			t.Fatal(err)
		}
		if got.VpcID != want || got.RequestID != want {
			t.Errorf("text %q arrives as %q, want %q", s, got.VpcID, want)
		}
	})
}

// BenchmarkEncode writes 1,000 groups of the default form, 2 rules each.
func BenchmarkEncode(b *testing.B) {
	out := &wire.DescribeSecurityGroupsResult{}
	for range 1000 {
		out.SecurityGroups = append(out.SecurityGroups, wire.SecurityGroup{
			GroupId: new("sg-0123456789abcdef0"), GroupName: new("web"), Description: new("what may reach the web servers"),
			OwnerId: new("123456789012"), VpcId: new("vpc-0123456789abcdef0"),
			IpPermissions: []wire.IpPermission{{
				IpProtocol: new("tcp"), FromPort: new(int32(80)), ToPort: new(int32(80)),
				IpRanges: []wire.IpRange{{CidrIp: new("0.0.0.0/0"), Description: new("anybody")}},
			}},
			IpPermissionsEgress: []wire.IpPermission{{IpProtocol: new("-1"), IpRanges: []wire.IpRange{{CidrIp: new("0.0.0.0/0")}}}},
			Tags:                []wire.Tag{{Key: new("Name"), Value: new("web")}},
		})
	}
	var buf []byte
	for b.Loop() {
		buf = wire.DescribeSecurityGroups.Encode(buf[:0], "request-1", out)
	}
	b.SetBytes(int64(len(buf)))
}
