package ec2api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// callAs is call with other credentials than the administrator's; values are Name, Value and so on.
func (e *endpoint) callAs(creds aws.Credentials, action string, values ...string) answer {
	e.t.Helper()
	op := wire.Operations[action]
	form := url.Values{"Action": {action}, "Version": {op.Service.Version}}
	for i := 0; i < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	body, service := form.Encode(), "ec2"
	if op.Service == &wire.STS {
		service = "sts"
	}
	r, err := http.NewRequest(http.MethodPost, e.url+"/", strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, storetest.Region, e.clock()); err != nil {
		e.t.Fatal(err)
	}
	return e.send(r)
}

// want checks how a call was answered; code is "" for success.
func (a answer) want(t *testing.T, what string, status int, code string) {
	t.Helper()
	if a.status != status || code != "" && !strings.Contains(a.body, "<Code>"+code+"</Code>") {
		t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}

// key makes a key for a user, who is made too if need be, and returns its credentials.
func (e *endpoint) key(user string, role vpc.Role) aws.Credentials {
	e.t.Helper()
	admin := aws.Credentials{AccessKeyID: adminKey, SecretAccessKey: secret}
	if e.state().User(user) == nil {
		if a := e.callAs(admin, "CreateUser", "UserName", user, "Role", string(role)); a.status != http.StatusOK {
			e.t.Fatalf("CreateUser: %d %s", a.status, a.body)
		}
	}
	out, err := wire.CreateAccessKeyCall.Parse([]byte(e.callAs(admin, "CreateAccessKey", "UserName", user).body))
	if err != nil {
		e.t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: *out.AccessKey.AccessKeyId, SecretAccessKey: string(*out.SecretAccessKey)}
}

var sessionText = regexp.MustCompile(`<AccessKeyId>(.*)</AccessKeyId>.*<SessionToken>(.*)</SessionToken>`)

func (e *endpoint) session(creds aws.Credentials) aws.Credentials {
	e.t.Helper()
	a := e.callAs(creds, "GetSessionToken", "DurationSeconds", "900")
	m := sessionText.FindStringSubmatch(a.body)
	if m == nil {
		e.t.Fatalf("GetSessionToken: %d %s", a.status, a.body)
	}
	return aws.Credentials{AccessKeyID: m[1], SecretAccessKey: secret, SessionToken: m[2]}
}

func TestSession(t *testing.T) {
	e := newEndpoint(t)
	ann := e.key("ann", vpc.Administrator)
	s := e.session(ann)
	e.callAs(s, "DescribeVpcs").want(t, "read", 200, "")
	e.callAs(s, "CreateSecurityGroup", "GroupName", "g", "GroupDescription", "d").want(t, "write", 200, "")
	if a := e.callAs(s, "GetCallerIdentity"); !strings.Contains(a.body, ":user/ann</Arn>") {
		t.Errorf("the session is of %s", a.body)
	}
	e.callAs(s, "GetSessionToken").want(t, "a session of a session", 403, "AccessDenied")
	for action, values := range map[string][]string{
		"CreateUser":      {"UserName", "bob", "Role", "reader"},
		"ModifyUser":      {"UserName", "ann", "Role", "reader"},
		"DeleteUser":      {"UserName", "ann"},
		"CreateAccessKey": {"UserName", "ann"},
		"ModifyAccessKey": {"AccessKeyId", ann.AccessKeyID, "Disabled", "true"},
		"DeleteAccessKey": {"AccessKeyId", ann.AccessKeyID},
	} {
		e.callAs(s, action, values...).want(t, action+" with a session", 403, "UnauthorizedOperation")
	}

	bare, wrong, other := s, s, s
	bare.SessionToken, wrong.SessionToken = "", s.SessionToken+"x"
	other.AccessKeyID = ann.AccessKeyID
	for name, creds := range map[string]aws.Credentials{"no token": bare, "wrong token": wrong, "another key's token": other} {
		e.callAs(creds, "DescribeVpcs").want(t, name, 401, "AuthFailure")
		e.callAs(creds, "GetCallerIdentity").want(t, name+" at STS", 403, "InvalidClientTokenId")
	}

	e.wait("15m")
	e.callAs(s, "DescribeVpcs").want(t, "after its end", 400, "RequestExpired")
	e.callAs(s, "GetCallerIdentity").want(t, "after its end at STS", 403, "ExpiredToken")
	e.callAs(ann, "DescribeVpcs").want(t, "the key itself", 200, "")
}

// A session does not outlive what it was made from.
func TestSessionEndsWithItsKey(t *testing.T) {
	e := newEndpoint(t)
	admin := aws.Credentials{AccessKeyID: adminKey, SecretAccessKey: secret}
	for name, end := range map[string]func(key aws.Credentials){
		"key disabled": func(k aws.Credentials) {
			e.callAs(admin, "ModifyAccessKey", "AccessKeyId", k.AccessKeyID, "Disabled", "true")
		},
		"key deleted":   func(k aws.Credentials) { e.callAs(admin, "DeleteAccessKey", "AccessKeyId", k.AccessKeyID) },
		"user disabled": func(aws.Credentials) { e.callAs(admin, "ModifyUser", "UserName", "ann", "Disabled", "true") },
		"user deleted":  func(aws.Credentials) { e.callAs(admin, "DeleteUser", "UserName", "ann") },
	} {
		key := e.key("ann", vpc.Administrator)
		s := e.session(key)
		e.callAs(s, "DescribeVpcs").want(t, name+", before", 200, "")
		end(key)
		for what, creds := range map[string]aws.Credentials{"key": key, "session": s} {
			e.callAs(creds, "DescribeVpcs").want(t, name+": "+what, 401, "AuthFailure")
			e.callAs(creds, "GetCallerIdentity").want(t, name+": "+what+" at STS", 403, "InvalidClientTokenId")
		}
		e.callAs(admin, "ModifyUser", "UserName", "ann", "Disabled", "false")
		if e.state().User("ann") != nil {
			e.callAs(admin, "DeleteUser", "UserName", "ann").want(t, "clean up", 200, "")
		}
	}
	for k := range e.state().AccessKeys() {
		if k.User == "ann" {
			t.Errorf("%s is left", k.ID)
		}
	}
}

// A reader's calls change nothing, whatever operation they ask for, but make sessions of their own.
func TestReader(t *testing.T) {
	e := newEndpoint(t)
	reader := e.key("ann", vpc.Reader)
	before := e.state()
	for name, op := range wire.Operations {
		if op == wire.GetSessionToken.Operation || op == wire.CreateSignInToken.Operation || op == wire.SetPassword.Operation {
			continue // of their own
		}
		a := e.callAs(reader, name)
		if op.Changes() != (a.status == http.StatusForbidden) && !strings.Contains(a.body, "<Code>InvalidAction</Code>") && name != "DescribeAuditRecords" {
			t.Errorf("%s: got %d %s; it changes something: %t", name, a.status, a.body, op.Changes())
		}
	}
	if d := difference(before, e.state()); d != "" || before.Revision() != e.state().Revision() {
		t.Errorf("the state changed:\n%s", d)
	}
	e.callAs(reader, "DescribeUsers").want(t, "users", 200, "")
	if a := e.callAs(reader, "DescribeUsers"); strings.Count(a.body, "<item>") != 1 || !strings.Contains(a.body, "<userName>ann<") {
		t.Errorf("a reader sees the users %s", a.body)
	}
	if a := e.callAs(reader, "DescribeAccessKeys"); strings.Count(a.body, "<item>") != 1 || !strings.Contains(a.body, reader.AccessKeyID) {
		t.Errorf("a reader sees the keys %s", a.body)
	}
	e.callAs(reader, "DescribeUsers", "UserName.1", "admin").want(t, "another user", 403, "UnauthorizedOperation")
	e.callAs(reader, "DescribeAccessKeys", "UserName", "admin").want(t, "another's keys", 403, "UnauthorizedOperation")
	s := e.session(reader)
	e.callAs(s, "DescribeVpcs").want(t, "a reader's session reads", 200, "")
	e.callAs(s, "CreateVpc", "CidrBlock", "10.0.0.0/16").want(t, "a reader's session writes", 403, "UnauthorizedOperation")
}

// What reads by its name writes nothing: else a reader could.
func TestWhatReadsWritesNothing(t *testing.T) {
	e := newEndpoint(t)
	before := e.state().Revision()
	for name, op := range wire.Operations {
		if op.Changes() {
			continue
		}
		e.call(url.Values{"Action": {name}})
		for _, id := range []string{"sg-00000000000000001", "vpc-00000000000000001"} {
			e.call(url.Values{"Action": {name}, "GroupId": {id}, "VpcId": {id}})
		}
		if now := e.state().Revision(); now != before {
			t.Fatalf("%s wrote revision %d after %d", name, now, before)
		}
	}
}

// A user's sessions are bounded, and those that have ended do not count.
func TestSessionsAreBounded(t *testing.T) {
	e := newEndpoint(t)
	ann := e.key("ann", vpc.Reader)
	const bound = 1000
	e.update(func(s *vpc.State) (vpc.Change, error) {
		var c vpc.Change
		for i := range bound {
			k, _, _ := (&keyMaker{}).NewSession(vpc.Caller{User: "ann", Key: vpc.AccessKeyID(ann.AccessKeyID)}, 0)
			k.ID = vpc.AccessKeyID("ASIA" + strings.Repeat("A", 12) + string(rune('A'+i/100)) + string(rune('A'+i/10%10)) + string(rune('A'+i%10)) + "A")
			k.Expires = e.clock().Add(10 * time.Minute)
			c.Puts = append(c.Puts, &k)
		}
		return c, nil
	})
	e.callAs(ann, "GetSessionToken").want(t, "one too many", 400, "LimitExceeded")
	e.wait("11m")
	e.callAs(ann, "GetSessionToken").want(t, "after the others' end", 200, "")
	e.wait("2h")
	e.callAs(ann, "GetSessionToken", "DurationSeconds", "900").want(t, "the next write", 200, "")
	if n := e.state().Count(vpc.KindAccessKey); n != 5 { // admin, guest, ann and her two sessions
		t.Errorf("%d keys are left, want 5", n)
	}
}

// tookAway takes a right away after a call was let in, before it writes: as another server does of which
// this one has not heard.
type tookAway struct {
	ec2api.Store
	take func(*vpc.State) (vpc.Change, error) // nil: nothing
}

func (s *tookAway) Update(ctx context.Context, fn func(*vpc.State) (vpc.Change, error)) (int64, error) {
	if take := s.take; take != nil {
		s.take = nil
		if _, err := s.Store.Update(ctx, take); err != nil {
			return 0, err
		}
	}
	return s.Store.Update(ctx, fn)
}

// No write comes after the end of the right to it, however late the server hears of that.
func TestRightsCountWhereItIsWritten(t *testing.T) {
	late := &tookAway{}
	e := newEndpointOn(t, func(s ec2api.Store) ec2api.Store { late.Store = s; return late })
	bob := e.key("bob", vpc.Administrator)
	create := func() answer { return e.callAs(bob, "CreateVpc", "CidrBlock", "10.7.0.0/16") }
	for _, tt := range []struct {
		what   string
		take   func(*vpc.State) (vpc.Change, error)
		status int
		code   string
		give   func(*vpc.State) (vpc.Change, error)
	}{
		{
			"key disabled", func(s *vpc.State) (vpc.Change, error) {
				return s.ModifyAccessKey(vpc.AccessKeyID(bob.AccessKeyID), true)
			},
			http.StatusUnauthorized, "AuthFailure",
			func(s *vpc.State) (vpc.Change, error) {
				return s.ModifyAccessKey(vpc.AccessKeyID(bob.AccessKeyID), false)
			},
		},
		{
			"made a reader", func(s *vpc.State) (vpc.Change, error) {
				_, c, err := s.ModifyUser("bob", vpc.UserChange{Role: new(vpc.Reader)})
				return c, err
			},
			http.StatusForbidden, "UnauthorizedOperation",
			func(s *vpc.State) (vpc.Change, error) {
				_, c, err := s.ModifyUser("bob", vpc.UserChange{Role: new(vpc.Administrator)})
				return c, err
			},
		},
	} {
		before := e.state().Count(vpc.KindVPC)
		late.take = tt.take
		create().want(t, tt.what, tt.status, tt.code)
		if got := e.state().Count(vpc.KindVPC); got != before {
			t.Errorf("%s: there are %d VPCs, want %d", tt.what, got, before)
		}
		e.update(tt.give)
	}
	create().want(t, "with all rights", http.StatusOK, "")
}
