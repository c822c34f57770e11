package ec2api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

const describe = "Action=DescribeSecurityGroups&Version=2016-11-15"

func TestWhoMayNotPass(t *testing.T) {
	e := newEndpoint(t)
	unsigned, _ := http.NewRequest(http.MethodPost, e.url, strings.NewReader(describe))
	changed := e.signed(http.MethodPost, "", describe, adminKey, "ec2")
	changed.Body = http.NoBody
	changed.ContentLength = 0
	changed.URL.RawQuery = describe
	late := e.signed(http.MethodPost, "", describe, adminKey, "ec2")
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string
	}{
		{"unsigned", unsigned, 403, "MissingAuthenticationToken"},
		{"changed on the way", changed, 401, "AuthFailure"},
		{"unknown key", e.signed(http.MethodPost, "", describe, "AKIAUNKNOWN", "ec2"), 401, "AuthFailure"},
		{"not allowed", e.signed(http.MethodPost, "", describe, guestKey, "ec2"), 403, "UnauthorizedOperation"},
		{"not allowed, dry run", e.signed(http.MethodPost, "", describe+"&DryRun=true", guestKey, "ec2"), 403, "UnauthorizedOperation"},
		{"signed for another service", e.signed(http.MethodPost, "", describe, adminKey, "sts"), 401, "AuthFailure"},
		{"signed for EC2, not STS", e.signed(http.MethodPost, "", "Action=GetCallerIdentity&Version=2011-06-15", adminKey, "ec2"), 403, "SignatureDoesNotMatch"},
		{"unknown key at STS", e.signed(http.MethodPost, "", "Action=GetCallerIdentity&Version=2011-06-15", "AKIAUNKNOWN", "sts"), 403, "InvalidClientTokenId"},
		{"no action", e.signed(http.MethodPost, "", "Version=2016-11-15", adminKey, "ec2"), 400, "MissingAction"},
		{"bad escapes", e.signed(http.MethodPost, "", describe+"&x=%zz", adminKey, "ec2"), 400, "MalformedQueryString"},
		{"too large", e.signed(http.MethodPost, "", describe+"&x="+strings.Repeat("x", 1<<20), adminKey, "ec2"), 400, "InvalidRequest"},
		{"twice", e.signed(http.MethodPost, "?"+describe+"&DryRun=true", describe+"&DryRun=false", adminKey, "ec2"), 400, "MalformedQueryString"},
		{"signed long ago", late, 400, "RequestExpired"},
	}
	before := e.state()
	for _, tt := range tests {
		if tt.r == late {
			e.mu.Lock()
			e.now = e.now.Add(time.Hour)
			e.mu.Unlock()
		}
		a := e.send(tt.r)
		refusal, id, err := wire.ParseError([]byte(a.body))
		if err != nil || a.status != tt.status || refusal.Code != tt.code {
			t.Errorf("%s: got %d %v %v, want %d %s", tt.name, a.status, refusal, err, tt.status, tt.code)
		}
		if id == "" || id != a.header.Get("x-amzn-RequestId") {
			t.Errorf("%s: request id %q in the body, %q in the header", tt.name, id, a.header.Get("x-amzn-RequestId"))
		}
	}
	if d := difference(before, e.state()); d != "" {
		t.Errorf("the state changed:\n%s", d)
	}
}

func TestGuestMayAskWhoItIs(t *testing.T) {
	e := newEndpoint(t)
	a := e.send(e.signed(http.MethodPost, "", "Action=GetCallerIdentity&Version=2011-06-15", guestKey, "sts"))
	if a.status != http.StatusOK || !strings.Contains(a.body, "<Arn>arn:aws:iam::123456789012:user/guest</Arn>") {
		t.Errorf("got %d\n%s", a.status, a.body)
	}
}

func TestAnswerHeaders(t *testing.T) {
	e := newEndpoint(t)
	a := e.send(e.signed(http.MethodGet, "?"+describe, "", adminKey, "ec2"))
	if a.status != http.StatusOK {
		t.Fatalf("GET with a query string: got %d\n%s", a.status, a.body)
	}
	if got, want := a.header.Get("x-sallyport-revision"), strconv.FormatInt(e.state().Revision(), 10); got != want {
		t.Errorf("revision of a read: got %q, want %q", got, want)
	}
	if _, err := http.ParseTime(a.header.Get("Date")); err != nil {
		t.Errorf("the Date header, by which clients set their clocks: %v", err)
	}
	if got := a.header.Get("Content-Type"); got != "text/xml;charset=UTF-8" {
		t.Errorf("content type: got %q", got)
	}
	if id := a.header.Get("x-amzn-RequestId"); id == "" || !strings.Contains(a.body, "<requestId>"+id+"</requestId>") {
		t.Errorf("request id %q is not that of the body", id)
	}
	a = e.call(url.Values{"Action": {"CreateSecurityGroup"}, "GroupName": {"g"}, "GroupDescription": {"g"}})
	if got, want := a.header.Get("x-sallyport-revision"), strconv.FormatInt(e.state().Revision(), 10); got != want {
		t.Errorf("revision of a write: got %q, want %q", got, want)
	}
	a = e.call(url.Values{"Action": {"CreateSecurityGroup"}, "GroupName": {"g"}, "GroupDescription": {"again"}})
	if got, want := a.header.Get("x-sallyport-revision"), strconv.FormatInt(e.state().Revision(), 10); a.status != http.StatusBadRequest || got != want {
		t.Errorf("revision of a refused write: got %d, %q, want 400, %q", a.status, got, want)
	}
}

// The console is beside the API, and is not its own to serve.
func TestOtherPaths(t *testing.T) {
	e := newEndpoint(t)
	tests := []struct {
		method, path string
		status       int
		text         string
	}{
		{http.MethodGet, "/", 403, "<Code>MissingAuthenticationToken</Code>"},
		{http.MethodHead, "/", 403, ""},
		{http.MethodGet, "/favicon.ico", 404, ""},
		{http.MethodPut, "/", 405, ""},
	}
	for _, tt := range tests {
		r, err := http.NewRequest(tt.method, e.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := e.send(r)
		if a.status != tt.status || !strings.Contains(a.body, tt.text) {
			t.Errorf("%s %s: got %d %s, want %d %s", tt.method, tt.path, a.status, a.body, tt.status, tt.text)
		}
	}
}

// Of many clients that want the same name, one gets it; the others are told so; and no rule number
// is given twice.
func TestConcurrentCalls(t *testing.T) {
	e := newEndpoint(t)
	const clients = 20
	status := make([]int, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			status[i] = e.call(url.Values{
				"Action": {"CreateSecurityGroup"}, "GroupName": {"one"}, "GroupDescription": {"d"},
			}).status
			own := e.call(url.Values{
				"Action": {"CreateSecurityGroup"}, "GroupName": {fmt.Sprint("own-", i)}, "GroupDescription": {"d"},
			})
			if own.status != http.StatusOK {
				t.Errorf("own name: got %d\n%s", own.status, own.body)
			}
		})
	}
	wg.Wait()
	won := 0
	for _, s := range status {
		if s == http.StatusOK {
			won++
		} else if s != http.StatusBadRequest {
			t.Errorf("got status %d, want 200 or 400", s)
		}
	}
	if won != 1 {
		t.Errorf("%d calls got the name, want 1", won)
	}
	numbers := map[uint32]bool{}
	for g := range e.state().SecurityGroups() {
		for _, r := range g.Rules {
			if numbers[r.Number] || r.Number == 0 {
				t.Errorf("rule number %d is given twice, or 0", r.Number)
			}
			numbers[r.Number] = true
		}
	}
}

// brokenStore fails as it is told: no store that works can be made to.
type brokenStore struct{ fail func() error }

func (b brokenStore) Read(context.Context) (*vpc.State, error) { return nil, b.fail() }
func (b brokenStore) Update(context.Context, func(*vpc.State) (vpc.Change, error)) (int64, error) {
	return 0, b.fail()
}

// brokenAPI returns the handler on a store that fails, and its log.
func brokenAPI(t *testing.T, fail func() error) (http.Handler, *strings.Builder) {
	t.Helper()
	log := new(strings.Builder)
	api, err := ec2api.New(ec2api.Config{
		Store: brokenStore{fail}, Enforcement: hosts{}, Hosts: newAsked(),
		Verify: func(*http.Request, []byte) (sigv4.Identity, error) {
			return sigv4.Identity{AccessKeyID: adminKey, Service: "ec2"}, nil
		},
		Caller:    func(vpc.AccessKeyID) vpc.Caller { return vpc.Caller{User: "admin"} },
		Authorize: func(vpc.Caller, *wire.Operation) error { return nil },
		Keys:      &keyMaker{},
		Log:       slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return api, log
}

func TestServerErrorsTellNothing(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return fmt.Errorf("etcd at /secret/path is gone") },
		"panic": func() error { panic("at /secret/path") },
	} {
		api, log := brokenAPI(t, fail)
		for _, form := range []string{describe, "Action=DeleteSecurityGroup&Version=2016-11-15&GroupId=sg-12345678"} {
			log.Reset()
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form)))
			refusal, id, err := wire.ParseError(w.Body.Bytes())
			if err != nil || w.Code != 500 || refusal.Code != "InternalError" || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: got %d %s, want 500 InternalError without details", name, w.Code, w.Body)
			}
			if !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "/secret/path") || !strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("%s: the log does not tell: %s", name, log.String())
			}
		}
	}
}

// What the caller asked too much of is the caller's to mend: an SDK tries a 500 again.
func TestTooLargeIsTheCallersMistake(t *testing.T) {
	e := newEndpointOn(t, func(s ec2api.Store) ec2api.Store { return tooSmall{s} })
	a := e.call(url.Values{"Action": {"CreateVpc"}, "CidrBlock": {"10.0.0.0/16"}})
	if a.status != 400 || !strings.Contains(a.body, "<Code>ResourceCountExceeded</Code>") {
		t.Errorf("got %d %s, want 400 ResourceCountExceeded", a.status, a.body)
	}
}

// tooSmall is a store that takes no change.
type tooSmall struct{ ec2api.Store }

func (tooSmall) Update(context.Context, func(*vpc.State) (vpc.Change, error)) (int64, error) {
	return 0, fmt.Errorf("write: %w", store.ErrTooLarge)
}

func TestNoCapacityIsExpected(t *testing.T) {
	full := vpc.Errorf(vpc.CodeInsufficientInstanceCapacity, "full")
	for dryRun, status := range map[string]int{"false": 500, "true": 400} {
		api, log := brokenAPI(t, func() error { return full })
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
			"Action=DeleteSecurityGroup&Version=2016-11-15&GroupId=sg-12345678&DryRun="+dryRun)))
		if w.Code != status || !strings.Contains(w.Body.String(), "<Code>InsufficientInstanceCapacity</Code>") {
			t.Errorf("dry run %s: got %d %s, want %d InsufficientInstanceCapacity", dryRun, w.Code, w.Body, status)
		}
		if !strings.Contains(log.String(), "level=INFO") {
			t.Errorf("dry run %s: want it at INFO in the log, got %s", dryRun, log)
		}
	}
}

// What is described is served: nothing is to come.
func TestEveryOperationIsServed(t *testing.T) {
	e := newEndpoint(t)
	for name := range wire.Operations {
		if a := e.call(url.Values{"Action": {name}, "DryRun": {"true"}}); strings.Contains(a.body, "<Code>InvalidAction</Code>") {
			t.Errorf("%s is described, but not served", name)
		}
	}
}
