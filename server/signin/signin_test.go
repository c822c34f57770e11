package signin_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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

func TestSignIn(t *testing.T) {
	d := newDesk(t)
	for name, tt := range map[string]struct {
		body, user string
		role       vpc.Role
	}{
		"password": {byPassword("ann", password), "ann", vpc.Reader},
		"token":    {byToken(d.token("admin", d.admin)), "admin", vpc.Administrator},
	} {
		a := d.in(tt.body)
		if a.UserName != tt.user || a.Role != string(tt.role) || a.Region != storetest.Region || a.Account != string(storetest.Account) {
			t.Errorf("%s: signed in as %+v", name, a)
		}
		if got := a.Expiration.Sub(d.env().Now); got > 15*time.Minute || got < 14*time.Minute {
			t.Errorf("%s: the keys are good for %v, want 15m", name, got)
		}
		if got := a.SessionExpiration.Sub(d.env().Now); got > 12*time.Hour || got < 12*time.Hour-time.Minute {
			t.Errorf("%s: the session is good for %v, want 12h", name, got)
		}
		caller := d.servers[0].keys.Caller(vpc.AccessKeyID(a.AccessKeyId))
		if want := (vpc.Caller{User: tt.user, Role: tt.role, Key: vpc.AccessKeyID(a.AccessKeyId), Session: true}); caller != want || !d.works(0, a) {
			t.Errorf("%s: the keys are of %+v, want %+v", name, caller, want)
		}
		c := a.cookie
		if c.Name != "sallyport-4580" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || c.Domain != "" ||
			c.MaxAge < 43_100 || c.MaxAge > 43_200 {
			t.Errorf("%s: the cookie is %s", name, c.Raw)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", name, a.header)
		}
		// What is in the store is neither cookie nor token nor secret.
		for o := range d.state().Objects() {
			kept, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{c.Value, a.SecretAccessKey, a.SessionToken, password} {
				if bytes.Contains(kept, []byte(secret)) {
					t.Errorf("%s: %s holds a secret", name, kept)
				}
			}
		}
		log := d.log.String()
		for _, secret := range []string{c.Value, a.SecretAccessKey, a.SessionToken, password} {
			if strings.Contains(log, secret) {
				t.Errorf("%s: the log holds %q", name, secret)
			}
		}
	}
}

// Under TLS the cookie is Secure, and only the server itself can have set it.
func TestCookieUnderTLS(t *testing.T) {
	d := newDeskOn(t, httptest.NewTLSServer, storetest.New(t))
	own := func(r *http.Request) { r.Header.Set("Origin", "https://console.example:4580") }
	a := d.ask(0, http.MethodPost, byPassword("ann", password), nil, own)
	if c := a.cookie; c == nil || c.Name != "__Host-sallyport-4580" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Fatalf("the cookie is %v", c)
	}
	d.ask(0, http.MethodPost, `{}`, a.cookie, own).want(t, "renewal", http.StatusOK, "")
	plain := &http.Cookie{Name: "sallyport-4580", Value: a.cookie.Value}
	d.ask(0, http.MethodPost, `{}`, plain, own).want(t, "a cookie that a plain page can have set", http.StatusUnauthorized, vpc.CodeAuthFailure)
}

// Of all who use one token at once, on two servers, one gets in.
func TestTokenIsUsedOnce(t *testing.T) {
	d := twoServers(t)
	for range 5 {
		token := d.token("admin", d.admin)
		var got [16]answer
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = d.ask(i%2, http.MethodPost, byToken(token), nil) })
		}
		wg.Wait()
		in := 0
		for _, a := range got {
			switch {
			case a.status == http.StatusOK:
				in++
			case a.cookie != nil || a.AccessKeyId != "" || a.Code != "AuthFailure" && a.Code != "RequestLimitExceeded":
				t.Errorf("who came late got %d %s", a.status, a.text)
			}
		}
		if in != 1 {
			t.Fatalf("one token let %d in", in)
		}
		d.wait(0)
		for i := range d.servers { // tokens of one address have an allowance, too
			d.newHandler(i)
		}
	}
	if n := d.state().Count(vpc.KindConsoleSession); n != 5 {
		t.Errorf("there are %d sessions, want 5", n)
	}
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

func TestTokensThatDoNot(t *testing.T) {
	d := newDesk(t)
	for name, spoil := range map[string]func(token *string, key vpc.AccessKeyID){
		"made up":       func(token *string, _ vpc.AccessKeyID) { *token += "A" },
		"empty":         func(token *string, _ vpc.AccessKeyID) { *token = "" },
		"in other case": func(token *string, _ vpc.AccessKeyID) { *token = strings.ToLower(*token) },
		"the stored id": func(token *string, _ vpc.AccessKeyID) { *token = string(iam.SignInTokenID(*token)) },
		"too late":      func(*string, vpc.AccessKeyID) { d.wait(15 * time.Minute) },
		"key disabled": func(_ *string, key vpc.AccessKeyID) {
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.ModifyAccessKey(key, true) })
		},
		"key deleted": func(_ *string, key vpc.AccessKeyID) {
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteAccessKey(key) })
		},
		"user disabled": func(*string, vpc.AccessKeyID) {
			d.update(func(s *vpc.State) (vpc.Change, error) {
				_, c, err := s.ModifyUser("bob", vpc.UserChange{Disabled: new(true)})
				return c, err
			})
		},
		"password changed": func(*string, vpc.AccessKeyID) {
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("bob", []byte("x")) })
		},
		"user deleted and made again": func(*string, vpc.AccessKeyID) {
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteUser("bob") })
			d.update(func(s *vpc.State) (vpc.Change, error) {
				_, c, err := s.CreateUser(d.env(), vpc.NewUser{Name: "bob", Role: vpc.Administrator})
				return c, err
			})
		},
	} {
		d.newHandler(0)
		d.update(func(s *vpc.State) (vpc.Change, error) {
			_, c, err := s.CreateUser(d.env(), vpc.NewUser{Name: "bob", Role: vpc.Administrator})
			return c, err
		})
		key := d.key("bob")
		token := d.token("bob", key)
		spoil(&token, key)
		a := d.post(byToken(token), nil)
		a.want(t, name, http.StatusUnauthorized, vpc.CodeAuthFailure)
		if a.cookie != nil {
			t.Errorf("%s: a cookie is set: %s", name, a.cookie.Raw)
		}
		d.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteUser("bob") })
	}
	if n := d.state().Count(vpc.KindConsoleSession); n != 0 {
		t.Errorf("there are %d sessions, want none", n)
	}
}

// Whatever ends a session ends its keys, on every server.
func TestSessionEnds(t *testing.T) {
	d := twoServers(t)
	all := func(fn func(*vpc.State) (vpc.Change, error)) func(answer) {
		return func(answer) { d.update(fn) }
	}
	for name, tt := range map[string]struct {
		end func(answer)
		by  string // "": only who signed in with the token
	}{
		"signed out": {func(a answer) {
			d.ask(0, http.MethodDelete, "", a.cookie).want(t, "sign out", http.StatusNoContent, "")
		}, "any"},
		"user disabled": {all(func(s *vpc.State) (vpc.Change, error) {
			_, c, err := s.ModifyUser("bob", vpc.UserChange{Disabled: new(true)})
			return c, err
		}), "any"},
		"user deleted":     {all(func(s *vpc.State) (vpc.Change, error) { return s.DeleteUser("bob") }), "any"},
		"password changed": {all(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("bob", []byte("x")) }), "any"},
		"password removed": {all(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("bob", nil) }), "any"},
		"its key deleted": {func(a answer) {
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteAccessKey(vpc.AccessKeyID(a.AccessKeyId)) })
		}, "any"},
		"its key disabled": {func(a answer) {
			d.update(func(s *vpc.State) (vpc.Change, error) {
				return s.ModifyAccessKey(vpc.AccessKeyID(a.AccessKeyId), true)
			})
		}, "any"},
		"two hours without use": {func(answer) { d.wait(2 * time.Hour) }, "any"},
		"twelve hours of use": {func(a answer) {
			for range 12 {
				d.ask(0, http.MethodPost, `{}`, a.cookie).want(t, "renewal", http.StatusOK, "")
				d.wait(time.Hour)
			}
		}, "any"},
		"user's key deleted": {all(func(s *vpc.State) (vpc.Change, error) { return s.DeleteAccessKey(keyOf(s, "bob")) }), ""},
		"user's key disabled": {all(func(s *vpc.State) (vpc.Change, error) {
			return s.ModifyAccessKey(keyOf(s, "bob"), true)
		}), ""},
	} {
		for by, endsToo := range map[string]bool{"password": tt.by != "", "token": true} {
			d.newHandler(0)
			d.newHandler(1)
			d.update(func(s *vpc.State) (vpc.Change, error) {
				_, c, err := s.CreateUser(d.env(), vpc.NewUser{Name: "bob", Role: vpc.Administrator})
				return c, err
			})
			sealed, err := d.servers[0].keys.NewPassword(t.Context(), "bob", password)
			if err != nil {
				t.Fatal(err)
			}
			d.update(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("bob", sealed) })
			body := byPassword("bob", password)
			if key := d.key("bob"); by == "token" {
				body = byToken(d.token("bob", key))
			}
			a := d.in(body)
			renewed := d.ask(1, http.MethodPost, `{}`, a.cookie)
			renewed.want(t, name+": renewal on the other server", http.StatusOK, "")
			if !d.works(0, a) {
				t.Fatalf("%s: the keys do not work", name)
			}
			tt.end(a)
			for server := range d.servers {
				for which, keys := range map[string]answer{"first": a, "renewed": renewed} {
					until := time.Now().Add(10 * time.Second)
					for d.works(server, keys) == endsToo && time.Now().Before(until) {
						time.Sleep(time.Millisecond) // the other server hears of it
					}
					if d.works(server, keys) == endsToo {
						t.Errorf("%s, by %s: the %s keys work on server %d: %t", name, by, which, server, endsToo)
					}
				}
				again := d.ask(server, http.MethodPost, `{}`, a.cookie)
				if (again.status == http.StatusUnauthorized) != endsToo {
					t.Errorf("%s, by %s: a renewal gets %d %s", name, by, again.status, again.text)
				}
				if endsToo && (again.cookie == nil || again.cookie.MaxAge >= 0 || again.cookie.Value != "") {
					t.Errorf("%s, by %s: the cookie stays: %v", name, by, again.cookie)
				}
			}
			if d.state().User("bob") != nil {
				d.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteUser("bob") })
			}
		}
	}
	if s := d.state(); s.Count(vpc.KindConsoleSession) != 0 || s.Count(vpc.KindSignInToken) != 0 || s.Count(vpc.KindAccessKey) != 1 {
		t.Errorf("left over: %d sessions, %d tokens, %d keys", s.Count(vpc.KindConsoleSession), s.Count(vpc.KindSignInToken), s.Count(vpc.KindAccessKey))
	}
}

func keyOf(s *vpc.State, user string) vpc.AccessKeyID {
	for k := range s.KeysOfUser(user) {
		if !k.IsSession() {
			return k.ID
		}
	}
	return ""
}

func TestRenewal(t *testing.T) {
	d := newDesk(t)
	first := d.in(byPassword("ann", password))
	got := map[string]bool{first.AccessKeyId: true}
	for range 40 {
		d.wait(time.Second)
		a := d.post(`{}`, first.cookie)
		if a.want(t, "renewal", http.StatusOK, ""); a.UserName != "ann" || !d.works(0, a) || got[a.AccessKeyId] {
			t.Fatalf("renewed as %s", a.text)
		}
		if a.cookie != nil {
			t.Errorf("a renewal sets the cookie %s", a.cookie.Raw)
		}
		got[a.AccessKeyId] = true
	}
	n := 0
	for k := range d.state().KeysOfUser("ann") {
		if n++; !got[string(k.ID)] {
			t.Errorf("%s was given to nobody", k.ID)
		}
	}
	if n != 32 {
		t.Errorf("the session has %d keys, want the 32 newest", n)
	}
	d.update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.ModifyUser("ann", vpc.UserChange{Role: new(vpc.Administrator)})
		return c, err
	})
	if a := d.post(`{}`, first.cookie); a.Role != string(vpc.Administrator) {
		t.Errorf("after another role the session is of a %s", a.Role)
	}
	d.post(`{}`, nil).want(t, "without a cookie", http.StatusUnauthorized, vpc.CodeAuthFailure)
	for name, value := range map[string]string{
		"another": first.cookie.Value + "A", "the stored id": string(iam.ConsoleSessionID(first.cookie.Value)), "a key": first.AccessKeyId,
	} {
		a := d.post(`{}`, &http.Cookie{Name: first.cookie.Name, Value: value})
		a.want(t, name+" as cookie", http.StatusUnauthorized, vpc.CodeAuthFailure)
	}
}

// Who signs in again in the same browser has left the session before; who signs in often loses the oldest.
func TestSessionsAreReplaced(t *testing.T) {
	d := newDesk(t)
	first := d.in(byPassword("ann", password))
	second := d.post(byToken(d.token("admin", d.admin)), first.cookie)
	second.want(t, "another user in the same browser", http.StatusOK, "")
	d.post(`{}`, first.cookie).want(t, "the session before", http.StatusUnauthorized, vpc.CodeAuthFailure)
	if d.works(0, first) || !d.works(0, second) {
		t.Errorf("keys work: before %t, after %t", d.works(0, first), d.works(0, second))
	}
	wrong := d.post(byPassword("ann", "wrong password"), second.cookie)
	wrong.want(t, "a wrong password beside a session", http.StatusUnauthorized, vpc.CodeAuthFailure)
	d.post(`{}`, second.cookie).want(t, "the session after that", http.StatusOK, "")

	var last answer
	for range 33 {
		d.wait(time.Second)
		last = d.in(byPassword("ann", password))
	}
	n := 0
	for o := range d.state().Objects() {
		if cs, ok := o.(*vpc.ConsoleSession); ok && cs.User == "ann" {
			n++
		}
	}
	if n != 32 || !d.works(0, last) {
		t.Errorf("ann has %d sessions, want 32", n)
	}
}

// Other sites can neither sign anybody in, nor renew, nor sign out.
func TestOtherSites(t *testing.T) {
	d := newDesk(t)
	a := d.in(byPassword("ann", password))
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
				r.Header.Del(name)
			}
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	for name, tt := range map[string]struct {
		set    func(*http.Request)
		status int
	}{
		"cross-site":                {header("Sec-Fetch-Site", "cross-site"), 403},
		"another port or subdomain": {header("Sec-Fetch-Site", "same-site"), 403},
		"an old browser":            {header("Origin", "https://evil.example"), 403},
		"a sandboxed frame":         {header("Origin", "null"), 403},
		"the address bar":           {header("Sec-Fetch-Site", "none"), 200},
		"the console itself":        {header("Sec-Fetch-Site", "same-origin"), 200},
		"curl":                      {header(), 200},
		"a form":                    {header("Content-Type", "application/x-www-form-urlencoded"), 400},
		"a form of plain text":      {header("Content-Type", "text/plain"), 400},
		"no type":                   {func(r *http.Request) { r.Header.Del("Content-Type") }, 400},
	} {
		for what, body := range map[string]string{"renewal": `{}`, "sign-in": byPassword("ann", password)} {
			got := d.ask(0, http.MethodPost, body, a.cookie, tt.set)
			if got.status != tt.status || (got.AccessKeyId != "") != (tt.status == 200) {
				t.Errorf("%s, %s: got %d %s, want %d", name, what, got.status, got.text, tt.status)
			}
			if got.status == http.StatusOK && what == "sign-in" {
				a = got
			}
		}
		if tt.status == 403 {
			d.ask(0, http.MethodDelete, "", a.cookie, tt.set).want(t, name+", sign-out", 403, vpc.CodeUnauthorizedOperation)
		}
	}
	d.post(`{}`, a.cookie).want(t, "after all of that", http.StatusOK, "")
}

func TestBadRequests(t *testing.T) {
	d := newDesk(t)
	a := d.in(byPassword("ann", password))
	for name, body := range map[string]string{
		"nothing": ``, "no object": `[]`, "no JSON": `UserName=ann`, "a string": `"ann"`,
		"a name alone": `{"UserName":"ann"}`, "a password alone": `{"Password":"x"}`,
		"all of it": `{"UserName":"ann","Password":"` + password + `","Token":"x"}`, "a token and a name": `{"Token":"x","UserName":"ann"}`,
		"another member": `{"Token":"x","Role":"administrator"}`, "another type": `{"Token":7}`,
		"two objects": `{}{}`, "too long": `{"Token":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		got := d.post(body, a.cookie)
		got.want(t, name, http.StatusBadRequest, vpc.CodeInvalidRequest)
		if got.cookie != nil {
			t.Errorf("%s: a cookie is set", name)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions} {
		if got := d.ask(0, method, "", a.cookie); got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d %s", method, got.status, got.text)
		}
	}
	d.ask(0, http.MethodDelete, "", nil).want(t, "sign out of nothing", http.StatusNoContent, "")
}

// What is wrong with a name or a password shows in the audit log, and not to who tries; a name that is no
// user's shows nowhere.
func TestFailuresLookAlike(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"off", "none"} {
		d.update(func(s *vpc.State) (vpc.Change, error) {
			_, c, err := s.CreateUser(d.env(), vpc.NewUser{Name: name, Role: vpc.Reader})
			return c, err
		})
	}
	sealed, err := d.servers[0].keys.NewPassword(t.Context(), "off", password)
	if err != nil {
		t.Fatal(err)
	}
	d.update(func(s *vpc.State) (vpc.Change, error) { return s.SetPassword("off", sealed) })
	d.update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.ModifyUser("off", vpc.UserChange{Disabled: new(true)})
		return c, err
	})
	const want = `{"Code":"AuthFailure","Message":"The user name or the password is wrong."}`
	for _, tt := range []struct{ user, password, logged, reason string }{
		{"ann", "wrong password", "ann", "The password is wrong."},
		{"ann", "", "ann", "The password is wrong."},
		{"ann", strings.Repeat("x", 300), "ann", "The password is wrong."},
		{"ann", "\x00\x01\x02\x03", "ann", "The password is wrong."},
		{"off", password, "off", "The user is disabled."},
		{"none", password, "none", "The user has no password."},
		{"my secret typed here", password, "", "There is no such user."},
		{"", "", "", "There is no such user."},
	} {
		a := d.post(byPassword(tt.user, tt.password), nil)
		if a.status != http.StatusUnauthorized || a.text != want || a.cookie != nil {
			t.Errorf("%q: got %d %s, want %s", tt.user, a.status, a.text, want)
		}
		r := d.records(1)[0]
		if r.User != tt.logged || r.Message != tt.reason || r.Code != "AuthFailure" || r.Action != "SignIn" || r.Revision != 0 {
			t.Errorf("%q: the record is %+v, want user %q and %q", tt.user, r, tt.logged, tt.reason)
		}
	}
	for _, r := range d.records(100) {
		if text, _ := json.Marshal(r); strings.Contains(string(text), "secret typed") || strings.Contains(string(text), "wrong password") {
			t.Errorf("the audit log holds %s", text)
		}
	}
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

func TestAudit(t *testing.T) {
	d := newDesk(t)
	agent := func(r *http.Request) { r.Header.Set("User-Agent", "a browser") }
	a := d.ask(0, http.MethodPost, byPassword("ann", password), nil, agent)
	r := d.records(1)[0]
	if r.Action != "SignIn" || r.User != "ann" || r.Key != a.AccessKeyId || !slices.Equal(r.IDs, []string{a.AccessKeyId}) ||
		r.Source != "127.0.0.1" || r.UserAgent != "a browser" || !maps.Equal(r.Parameters, map[string]string{"Method": "password"}) ||
		r.Code != "" || r.Revision != d.state().Revision() {
		t.Errorf("the record of a sign-in is %+v", r)
	}
	d.post(`{}`, a.cookie)
	if again := d.records(1)[0]; again.Seq != r.Seq {
		t.Errorf("a renewal has the record %+v", again)
	}
	d.ask(0, http.MethodDelete, "", a.cookie)
	if r := d.records(1)[0]; r.Action != "SignOut" || r.User != "ann" || r.Revision != d.state().Revision() || r.Source != "127.0.0.1" {
		t.Errorf("the record of a sign-out is %+v", r)
	}
	seq := d.records(1)[0].Seq
	d.ask(0, http.MethodDelete, "", a.cookie)
	if got := d.records(1)[0].Seq; got != seq {
		t.Error("signing out of what has ended has a record")
	}

	// Without a log nobody gets in; who is in can go on, and leave.
	a = d.in(byPassword("ann", password))
	revision := d.state().Revision()
	d.audit.notReady = io.ErrShortWrite
	d.post(byPassword("ann", password), nil).want(t, "with a full disk", http.StatusServiceUnavailable, vpc.CodeUnavailable)
	if got := d.state().Revision(); got != revision {
		t.Errorf("revision %d was written", got)
	}
	d.post(`{}`, a.cookie).want(t, "renewal with a full disk", http.StatusOK, "")
	d.audit.notReady, d.audit.notWritten = nil, io.ErrShortWrite
	got := d.post(byPassword("ann", password), nil)
	if got.want(t, "with a disk that fails", http.StatusInternalServerError, vpc.CodeInternalError); got.cookie != nil || got.AccessKeyId != "" {
		t.Errorf("without a record somebody got in: %s", got.text)
	}
	d.ask(0, http.MethodDelete, "", a.cookie).want(t, "sign out with a disk that fails", http.StatusNoContent, "")
	d.post(`{}`, a.cookie).want(t, "after that", http.StatusUnauthorized, vpc.CodeAuthFailure)
}

// A password that is guessed has ten tries at once; then nothing is looked at, not even the right one, but a
// token lets its user in.
func TestGuessing(t *testing.T) {
	d := newDesk(t)
	for i := range 10 {
		start := time.Now()
		d.post(byPassword("ann", "wrong password"), nil).want(t, "a guess", http.StatusUnauthorized, vpc.CodeAuthFailure)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("guess %d took %v", i, took)
		}
	}
	// Who hangs up waits no longer, and still uses up what there is.
	for tries, code := 0, 0; code != http.StatusServiceUnavailable; tries++ {
		if tries == 20 {
			t.Fatal("who hangs up guesses on and on")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/session", strings.NewReader(byPassword("ann", "wrong password")))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.servers[0].Config.Handler.ServeHTTP(w, r)
		cancel()
		code = w.Code
	}
	seq := d.records(1)[0].Seq
	if seq > 16 {
		t.Errorf("%d guesses were looked at", seq)
	}
	for _, try := range []string{"wrong password", password} {
		d.post(byPassword("ann", try), nil).want(t, "one too many", http.StatusServiceUnavailable, vpc.CodeRequestLimitExceeded)
	}
	if got := d.records(1)[0].Seq; got != seq {
		t.Error("what was not looked at has a record")
	}
	d.in(byToken(d.token("ann", d.key("ann"))))
}

// What strangers get wrong has few lines in the log.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	d := newDesk(t)
	for i := range 300 {
		r := httptest.NewRequest(http.MethodPost, "/session", strings.NewReader(byToken("x")))
		r.RemoteAddr = "[2001:db8:" + string("0123456789abcdef"[i/16%16]) + string("0123456789abcdef"[i%16]) + string("0123456789abcdef"[i/256]) + "::1]:1"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.servers[0].Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Fatalf("try %d: %d %s", i, w.Code, w.Body)
		}
	}
	if n := len(d.records(1000)); n < 100 || n > 130 {
		t.Errorf("300 failures of strangers have %d records, want about 100", n)
	}
}

// Who hangs up before a password was looked at leaves no record, of whichever user: as many as they like, they
// would push others' out of the log.
func TestHangingUpDoesNotFillTheLog(t *testing.T) {
	d := newDesk(t)
	d.post(byPassword("ann", "wrong password"), nil)
	seq := d.records(1)[0].Seq
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // of those that come to their turn all the same, 14 are looked at
		r := httptest.NewRequestWithContext(gone, http.MethodPost, "/session", strings.NewReader(byPassword("ann", "wrong password")))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/json")
		d.servers[0].Config.Handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, r := range d.records(100) {
		if r.Seq > seq && r.Code != string(vpc.CodeAuthFailure) {
			t.Fatalf("what was not looked at has the record %+v", r)
		}
	}
}
