package ec2api_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

const (
	adminKey = "AKIAIOSFODNN7ADMIN00" // may everything
	guestKey = "AKIAIOSFODNN7GUEST00" // may nothing
	secret   = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// endpoint is the API on a real store and a real socket, with a clock and ids that count.
type endpoint struct {
	t     testing.TB
	store *store.Store
	audit *auditLog
	url   string
	hosts hosts
	asked *asked

	mu    sync.Mutex
	now   time.Time
	count map[string]int // ids given, by prefix
}

// newEndpoint starts one with the objects of a first start, and two keys.
func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	return newEndpointOn(t, func(s ec2api.Store) ec2api.Store { return s })
}

// newEndpointOn lets the API see the store through what wrap returns.
func newEndpointOn(t testing.TB, wrap func(ec2api.Store) ec2api.Store) *endpoint {
	t.Helper()
	return newEndpointOf(t, []*store.Store{storetest.New(t)}, wrap)
}

// newTwoServers starts one whose requests go to two servers by turns, each with a store of its own on
// one etcd.
func newTwoServers(t testing.TB) *endpoint {
	t.Helper()
	etcd := storetest.Etcd(t)
	stores := []*store.Store{
		storetest.Start(t, store.Options{Endpoints: etcd}), storetest.Start(t, store.Options{Endpoints: etcd}),
	}
	return newEndpointOf(t, stores, func(s ec2api.Store) ec2api.Store { return upToDate{s} })
}

// upToDate learns of the other server's writes before it writes: otherwise an action may run twice, and
// use up ids that the sessions count on.
type upToDate struct{ ec2api.Store }

func (s upToDate) Update(ctx context.Context, fn func(*vpc.State) (vpc.Change, error)) (int64, error) {
	if _, err := s.Read(ctx); err != nil {
		return 0, err
	}
	return s.Store.Update(ctx, fn)
}

// newEndpointOf starts one that sends each request to the next of the stores' servers.
func newEndpointOf(t testing.TB, stores []*store.Store, wrap func(ec2api.Store) ec2api.Store) *endpoint {
	t.Helper()
	e := &endpoint{
		t: t, store: stores[0], hosts: hosts{}, asked: newAsked(),
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), count: map[string]int{},
	}
	log, err := audit.Open(audit.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e.audit = &auditLog{Log: log}
	verifier, err := sigv4.New(sigv4.Options{
		Region: storetest.Region,
		Now:    e.clock,
		Lookup: func(id string) (sigv4.Key, bool) {
			k := e.state().Usable(vpc.AccessKeyID(id))
			if k == nil {
				return sigv4.Key{}, false
			}
			return sigv4.Key{Secret: secret, Token: k.Token, Expires: k.Expires}, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := &keyMaker{}
	var servers []http.Handler
	for _, st := range stores {
		api, err := ec2api.New(ec2api.Config{
			Store:       wrap(st),
			Enforcement: e.hosts,
			LocalHost:   "host-here",
			Hosts:       e.asked,
			Verify:      verifier.Verify,
			Caller:      func(id vpc.AccessKeyID) vpc.Caller { return e.state().Caller(id) },
			Authorize:   iam.Authorize,
			Keys:        keys,
			Audit:       e.audit,
			Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
			Env:         e.env,
			RequestID:   func() string { return e.id("00000000-0000-0000-0000", 12) },
		})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, api)
	}
	var turn atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		servers[turn.Add(1)%uint64(len(servers))].ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	e.update(func(s *vpc.State) (vpc.Change, error) {
		change, err := s.Bootstrap(e.env(), vpc.NewInstallation{
			Account: storetest.Account, Region: storetest.Region, ULA: netip.MustParsePrefix("fd00:5a11:9007::/48"),
		})
		change.Puts = append(change.Puts,
			&vpc.User{Name: "admin", Role: vpc.Administrator}, &vpc.AccessKey{ID: adminKey, User: "admin"},
			&vpc.User{Name: "guest", Role: "none"}, &vpc.AccessKey{ID: guestKey, User: "guest"})
		return change, err
	})
	return e
}

func (e *endpoint) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// env is a second later each time.
func (e *endpoint) env() vpc.Env {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(time.Second)
	return vpc.Env{Now: e.now, ID: func(prefix string) string { return e.id(prefix, 17) }}
}

// id counts the ids of each prefix from 1.
func (e *endpoint) id(prefix string, digits int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count[prefix]++
	return fmt.Sprintf("%s-%0*x", prefix, digits, e.count[prefix])
}

func (e *endpoint) update(fn func(*vpc.State) (vpc.Change, error)) {
	e.t.Helper()
	if _, err := e.store.Update(context.Background(), fn); err != nil {
		e.t.Fatalf("update: %v", err)
	}
}

func (e *endpoint) state() *vpc.State {
	e.t.Helper()
	s, err := e.store.Read(context.Background())
	if err != nil {
		e.t.Fatalf("read: %v", err)
	}
	return s
}

// call signs a form as the service of its action wants it, posts it, and returns the answer.
func (e *endpoint) call(form url.Values) answer {
	e.t.Helper()
	form = maps.Clone(form) // other goroutines may send the same one
	service := "ec2"
	if op := wire.Operations[form.Get("Action")]; op != nil {
		if !form.Has("Version") {
			form.Set("Version", op.Service.Version)
		}
		if op.Service == &wire.STS {
			service = "sts"
		}
	} else if !form.Has("Version") {
		form.Set("Version", wire.EC2.Version)
	}
	return e.send(e.signed(http.MethodPost, "", form.Encode(), adminKey, service))
}

// signed makes a request with Amazon's own signer.
func (e *endpoint) signed(method, query, body, key, service string) *http.Request {
	e.t.Helper()
	r, err := http.NewRequest(method, e.url+"/"+query, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Host = "localhost:4580"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	err = v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, storetest.Region, e.clock())
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (e *endpoint) send(r *http.Request) answer {
	e.t.Helper()
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return answer{w.StatusCode, w.Header, string(body)}
}

// auditLog fails where a test tells it to.
type auditLog struct {
	*audit.Log
	notReady, notWritten error
}

func (l *auditLog) Ready() error { return cmp.Or(l.notReady, l.Log.Ready()) }

func (l *auditLog) Write(r audit.Record) error { return cmp.Or(l.notWritten, l.Log.Write(r)) }

// keyMaker counts keys and sessions. The secret of all of them is secret.
type keyMaker struct{ keys, sessions, tokens atomic.Int64 }

func (m *keyMaker) NewKey(user string) (key vpc.AccessKey, _ string) {
	return vpc.AccessKey{ID: vpc.AccessKeyID(fmt.Sprintf("AKIA%016d", m.keys.Add(1))), User: user, Sealed: []byte("sealed")}, secret
}

func (m *keyMaker) NewSession(c vpc.Caller, tokenBytes int) (key vpc.AccessKey, _, token string) {
	n := m.sessions.Add(1)
	token = fmt.Sprintf("token-%0*d", max(tokenBytes-6, 4), n)
	sum := sha256.Sum256([]byte(token))
	return vpc.AccessKey{
		ID: vpc.AccessKeyID(fmt.Sprintf("ASIA%016d", n)), User: c.User, Parent: c.Key, Sealed: []byte("sealed"), Token: sum[:],
	}, secret, token
}

func (m *keyMaker) NewSignInToken(c vpc.Caller) (vpc.SignInToken, string) {
	n := m.tokens.Add(1)
	return vpc.SignInToken{ID: vpc.SignInTokenID(fmt.Sprintf("hash-%d", n)), User: c.User, Parent: c.Key}, fmt.Sprintf("sign-in-%d", n)
}

func (m *keyMaker) NewPassword(_ context.Context, user, password string) ([]byte, error) {
	if len(password) < 12 {
		return nil, vpc.Errorf(vpc.CodeInvalidParameterValue, "The password is invalid.")
	}
	return []byte("sealed password of " + user), nil
}

// hosts says what hosts have in force, as a test set it.
type hosts map[vpc.HostID]host

type host struct {
	revision  int64
	connected bool
	problem   string
	took      time.Duration // 0: not known
	counters  feed.Counters
	reported  time.Time
}

func (h hosts) Counters(id vpc.HostID) (feed.Counters, time.Time) {
	return h[id].counters, h[id].reported
}

func (h hosts) Changed() <-chan struct{} { return nil }

func (h hosts) Took(id vpc.HostID, revision int64) (time.Duration, bool) {
	return h[id].took, h[id].took != 0 && h[id].revision >= revision
}

func (h hosts) InForce(id vpc.HostID) (revision int64, connected bool, problem string) {
	return h[id].revision, h[id].connected, h[id].problem
}
