package signin_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/signin"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

const password = "correct horse battery"

// desk is where people sign in: the handlers of servers on one etcd, with a clock of their own.
type desk struct {
	t       *testing.T
	servers []*oneServer
	audit   *auditLog
	log     *syncBuffer
	ahead   atomic.Int64 // of the real clock, in nanoseconds
	admin   vpc.AccessKeyID
}

type oneServer struct {
	*httptest.Server
	store *store.Store
	keys  *iam.Keys
}

// auditLog fails where a test tells it to.
type auditLog struct {
	*audit.Log
	notReady, notWritten error
}

func (l *auditLog) Ready() error { return cmp.Or(l.notReady, l.Log.Ready()) }

func (l *auditLog) Write(r audit.Record) error { return cmp.Or(l.notWritten, l.Log.Write(r)) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newDesk starts one server, with a reader ann who has a password and a key.
func newDesk(t *testing.T) *desk {
	t.Helper()
	return newDeskOn(t, httptest.NewServer, storetest.New(t))
}

func newDeskOn(t *testing.T, start func(http.Handler) *httptest.Server, stores ...*store.Store) *desk {
	t.Helper()
	d := &desk{t: t, log: &syncBuffer{}}
	records, err := audit.Open(audit.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	d.audit = &auditLog{Log: records}
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir := t.TempDir()
	for _, st := range stores {
		keys, err := iam.Bootstrap(t.Context(), st, iam.Options{Dir: dir, Account: storetest.Account, Region: storetest.Region, Env: d.env})
		if err != nil {
			t.Fatal(err)
		}
		h, err := signin.New(signin.Config{Store: st, Keys: keys, Audit: d.audit, Log: log, Env: d.env})
		if err != nil {
			t.Fatal(err)
		}
		s := start(h)
		t.Cleanup(s.Close)
		d.servers = append(d.servers, &oneServer{s, st, keys})
	}
	for k := range d.state().AccessKeys() {
		d.admin = k.ID
	}
	sealed, err := d.servers[0].keys.NewPassword(t.Context(), "ann", password)
	if err != nil {
		t.Fatal(err)
	}
	d.update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.CreateUser(d.env(), vpc.NewUser{Name: "ann", Role: vpc.Reader})
		return c, err
	})
	d.update(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("ann", sealed) })
	return d
}

// twoServers starts two on one etcd.
func twoServers(t *testing.T) *desk {
	t.Helper()
	etcd := storetest.Etcd(t)
	return newDeskOn(t, httptest.NewServer,
		storetest.Start(t, store.Options{Endpoints: etcd}), storetest.Start(t, store.Options{Endpoints: etcd}))
}

func (d *desk) env() vpc.Env {
	return vpc.Env{Now: time.Now().Add(time.Duration(d.ahead.Load())).UTC(), ID: vpc.RandomID}
}

func (d *desk) wait(t time.Duration) { d.ahead.Add(int64(t)) }

func (d *desk) state() *vpc.State {
	d.t.Helper()
	s, err := d.servers[0].store.Read(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) update(fn func(*vpc.State) (vpc.Change, error)) {
	d.t.Helper()
	if _, err := d.servers[0].store.Update(context.Background(), fn); err != nil {
		d.t.Fatal(err)
	}
}

// key gives a user another key.
func (d *desk) key(user string) vpc.AccessKeyID {
	d.t.Helper()
	k, _ := d.servers[0].keys.NewKey(user)
	d.update(func(s *vpc.State) (vpc.Change, error) { _, c, err := s.CreateAccessKey(d.env(), k); return c, err })
	return k.ID
}

// token makes one that signs a user in, asked for with a key.
func (d *desk) token(user string, key vpc.AccessKeyID) string {
	d.t.Helper()
	stored, token := d.servers[0].keys.NewSignInToken(vpc.Caller{User: user, Key: key})
	d.update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.CreateSignInToken(d.env(), stored, 15*time.Minute)
		return c, err
	})
	return token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	cookie *http.Cookie // that was set; nil: none was
	text   string

	Code, Message                              string
	AccessKeyId, SecretAccessKey, SessionToken string
	UserName, Role, Region, Account            string
	Expiration, SessionExpiration              time.Time
}

// ask sends a request to a server as a page of its own does, with a session's cookie if there is one; set changes it.
func (d *desk) ask(server int, method, body string, cookie *http.Cookie, set ...func(*http.Request)) answer {
	d.t.Helper()
	s := d.servers[server]
	r, err := http.NewRequest(method, s.URL+"/session", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Host = "console.example:4580" // the same for both servers
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "http://console.example:4580")
	if cookie != nil {
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	for _, f := range set {
		f(r)
	}
	w, err := s.Client().Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	a := answer{status: w.StatusCode, header: w.Header, text: string(text)}
	if len(text) > 0 && w.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(text, &a); err != nil {
			d.t.Fatalf("%s: %v", text, err)
		}
	}
	for _, c := range w.Cookies() {
		a.cookie = c
	}
	return a
}

func (d *desk) post(body string, cookie *http.Cookie) answer {
	d.t.Helper()
	return d.ask(0, http.MethodPost, body, cookie)
}

func byPassword(user, password string) string {
	b, _ := json.Marshal(map[string]string{"UserName": user, "Password": password})
	return string(b)
}

func byToken(token string) string { return `{"Token":"` + token + `"}` }

// in signs in, and must get in.
func (d *desk) in(body string) answer {
	d.t.Helper()
	a := d.post(body, nil)
	if a.status != http.StatusOK || a.cookie == nil || a.cookie.Value == "" {
		d.t.Fatalf("sign in: %d %s", a.status, a.text)
	}
	return a
}

func (a answer) want(t *testing.T, what string, status int, code vpc.Code) {
	t.Helper()
	if a.status != status || a.Code != string(code) {
		t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.text, status, code)
	}
}

// works reports whether a server lets the keys of an answer sign.
func (d *desk) works(server int, a answer) bool {
	k, ok := d.servers[server].keys.Lookup(a.AccessKeyId)
	return ok && k.Secret == a.SecretAccessKey && d.env().Now.Before(k.Expires)
}

// newHandler starts a server again: it has forgotten who failed.
func (d *desk) newHandler(i int) {
	h, err := signin.New(signin.Config{
		Store: d.servers[i].store, Keys: d.servers[i].keys, Audit: d.audit, Log: slog.New(slog.DiscardHandler), Env: d.env,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.servers[i].Config.Handler = h
}

func keyOf(s *vpc.State, user string) vpc.AccessKeyID {
	for k := range s.KeysOfUser(user) {
		if !k.IsSession() {
			return k.ID
		}
	}
	return ""
}

// records returns the newest records, the last one first.
func (d *desk) records(n int) []audit.Record {
	d.t.Helper()
	got, _, err := d.audit.Read(d.t.Context(), audit.Query{Max: n})
	if err != nil || len(got) == 0 {
		d.t.Fatalf("read the audit log: %d records, %v", len(got), err)
	}
	return got
}
