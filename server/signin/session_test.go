package signin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/vpc"
)

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
