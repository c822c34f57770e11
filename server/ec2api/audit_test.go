package ec2api_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// newest returns the newest record.
func (e *endpoint) newest() audit.Record {
	e.t.Helper()
	page, _, err := e.audit.Read(e.t.Context(), audit.Query{Max: 1})
	if err != nil {
		e.t.Fatal(err)
	}
	if len(page) == 0 {
		return audit.Record{}
	}
	return page[0]
}

// Whatever may change something has its record once the answer is there, allowed or not; what reads has
// none; and no record holds what is secret.
func TestEveryChangeIsRecorded(t *testing.T) {
	e := newEndpoint(t)
	reader := e.key("ann", vpc.Reader)
	for name, op := range wire.Operations {
		for _, creds := range []string{adminKey, reader.AccessKeyID} {
			before := e.newest()
			key := reader
			key.AccessKeyID = creds
			a := e.callAs(key, name, "DryRun", "true", "UserData", "c2VjcmV0", "Value", "c2VjcmV0", "TokenCode", "123456")
			if strings.Contains(a.body, "<Code>InvalidAction</Code>") {
				continue
			}
			now := e.newest()
			if !op.Changes() {
				if now.Seq != before.Seq {
					t.Errorf("%s is recorded: %+v", name, now)
				}
				continue
			}
			if now.Seq != before.Seq+1 || now.Action != name || now.Key != creds || now.RequestID != a.header.Get("x-amzn-RequestId") {
				t.Errorf("%s by %s: the newest record is %+v", name, creds, now)
			}
			if (now.Code == "") != (a.status == http.StatusOK) || now.Code != "" && !strings.Contains(a.body, "<Code>"+now.Code+"</Code>") {
				t.Errorf("%s by %s: recorded as %q, answered %d %s", name, creds, now.Code, a.status, a.body)
			}
			for _, p := range []string{"UserData", "TokenCode"} {
				if got := now.Parameters[p]; got != "(secret)" {
					t.Errorf("%s by %s: %s is recorded as %q", name, creds, p, got)
				}
			}
		}
	}
}

// What somebody known asks for in a way that is refused before anything is decoded is recorded, too.
func TestUnreadableChangesAreRecorded(t *testing.T) {
	e := newEndpoint(t)
	for body, want := range map[string]string{
		"Action=CreateVpc&Version=2016-11-15&CidrBlock=a&CidrBlock=b": "MalformedQueryString",
		"Action=CreateVpc&Version=2016-11-15&CidrBlock=%01":           "InvalidCharacter",
		"CidrBlock=%zz&Action=CreateVpc&Version=2016-11-15":           "MalformedQueryString",
		"Action=CreateVpc&Version=1&CidrBlock=10.0.0.0/16":            "NoSuchVersion",
		"Action=CreateVpc&CidrBlock=10.0.0.0/16":                      "MissingParameter",
		"Action=CreateVpc&Version=2011-06-15":                         "InvalidAction",
		"Action=GetSessionToken&Version=2011-06-15":                   "SignatureDoesNotMatch", // it is signed for EC2
		"Action=DescribeVpcs&Version=2016-11-15&MaxResults=%01":       "",
		"Action=MakeVpc&Version=2016-11-15":                           "",
	} {
		before := e.newest().Seq
		a := e.send(e.signed(http.MethodPost, "", body, adminKey, "ec2"))
		now := e.newest()
		if want == "" {
			if now.Seq != before || a.status != http.StatusBadRequest {
				t.Errorf("%s: answered %d, recorded %+v", body, a.status, now)
			}
			continue
		}
		if now.Seq != before+1 || now.Code != want || now.User != "admin" || !strings.Contains(body, "Action="+now.Action) ||
			a.status == http.StatusOK {
			t.Errorf("%s: answered %d %s, recorded %+v; want %s", body, a.status, a.body, now, want)
		}
	}
}

// Without a log nothing is changed; reading goes on.
func TestNoAuditNoChange(t *testing.T) {
	e := newEndpoint(t)
	create := url.Values{"Action": {"CreateSecurityGroup"}, "GroupName": {"g"}, "GroupDescription": {"d"}}
	before := e.state()
	e.audit.notReady = errors.New("no room at /secret/path")
	a := e.call(create)
	a.want(t, "without a log", 503, "Unavailable")
	if d := difference(before, e.state()); d != "" || strings.Contains(a.body, "/secret/path") {
		t.Errorf("it changed\n%s\nand said %s", d, a.body)
	}
	e.call(url.Values{"Action": {"DescribeVpcs"}}).want(t, "reading", 200, "")

	// The disk broke in between: the client may not hear of a success.
	e.audit.notReady, e.audit.notWritten = nil, errors.New("broken")
	e.call(create).want(t, "record not written", 500, "InternalError")

	e.audit.notWritten = nil
	e.call(create).want(t, "with the log again", 400, "InvalidGroup.Duplicate")
	if got := e.newest(); got.Code != "InvalidGroup.Duplicate" {
		t.Errorf("the newest record is %+v", got)
	}
}

// A record is bounded, whatever the request is.
func TestLongRequestsAreCut(t *testing.T) {
	e := newEndpoint(t)
	form := url.Values{"Action": {"CreateTags"}, "ResourceId.1": {strings.Repeat("é", 1000)}}
	for i := range 900 {
		form.Set("Tag."+string(rune('1'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10))+".Key", strings.Repeat("k", 500))
	}
	e.call(form)
	r := e.newest()
	size := 0
	for k, v := range r.Parameters {
		size += len(k) + len(v)
	}
	if r.Action != "CreateTags" || !r.Truncated || size < 30<<10 || size > 34<<10 {
		t.Errorf("the record has %d bytes of parameters, truncated: %t", size, r.Truncated)
	}
	if got := r.Parameters["ResourceId.1"]; got != strings.Repeat("é", 512)+"…" {
		t.Errorf("a long value is recorded as %q", got)
	}
}

func TestAuditIsForAdministrators(t *testing.T) {
	e := newEndpoint(t)
	e.callAs(e.key("ann", vpc.Reader), "DescribeAuditRecords").want(t, "a reader", 403, "UnauthorizedOperation")
	e.callAs(e.key("bob", vpc.Administrator), "DescribeAuditRecords").want(t, "an administrator", 200, "")
}
