package signin_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

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
