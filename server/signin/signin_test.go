package signin_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

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
