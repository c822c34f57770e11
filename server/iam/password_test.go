package iam_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

func TestPasswords(t *testing.T) {
	st := storetest.New(t)
	keys := bootstrap(t, st, options(t.TempDir()))
	check := func(user, password string) error {
		_, err := keys.CheckPassword(t.Context(), user, password, func() error { return nil })
		return err
	}
	for password, want := range map[string]vpc.Code{
		"twelve chars": "", strings.Repeat("x", 256): "", "äöüäöüäöüäöü": "", "  spaces at both ends  ": "",
		"elevenchars": vpc.CodeInvalidParameterValue, strings.Repeat("x", 257): vpc.CodeInvalidParameterValue,
		"with\x00zero bytes": vpc.CodeInvalidParameterValue, "with a\nnew line": vpc.CodeInvalidParameterValue,
		"äöüäöü": vpc.CodeInvalidParameterValue, "": vpc.CodeInvalidParameterValue, "not UTF-8 \xff\xfe\xfd": vpc.CodeInvalidParameterValue,
	} {
		sealed, err := keys.NewPassword(t.Context(), iam.Administrator, password)
		if vpc.CodeOf(err) != want {
			t.Errorf("NewPassword(%q): %v, want %q", password, err, want)
		}
		if want != "" {
			continue
		}
		if _, err := st.Update(t.Context(), func(s *vpc.State) (vpc.Change, error) { return s.SetPassword(iam.Administrator, sealed) }); err != nil {
			t.Fatal(err)
		}
		if err := check(iam.Administrator, password); err != nil {
			t.Errorf("CheckPassword(%q): %v", password, err)
		}
		for _, wrong := range []string{password + "x", strings.ToUpper(password), strings.TrimSpace(password + " x"), ""} {
			if err := check(iam.Administrator, wrong); vpc.CodeOf(err) != vpc.CodeAuthFailure {
				t.Errorf("CheckPassword(%q) of %q: %v, want AuthFailure", wrong, password, err)
			}
		}
	}

	// The same characters, composed by another keyboard.
	sealed, err := keys.NewPassword(t.Context(), iam.Administrator, "sallyport m\u00fcnchen")
	if err != nil {
		t.Fatal(err)
	}
	set := func(user string) {
		if _, err := st.Update(t.Context(), func(s *vpc.State) (vpc.Change, error) { return s.SetPassword(user, sealed) }); err != nil {
			t.Fatal(err)
		}
	}
	set(iam.Administrator)
	if err := check(iam.Administrator, "sallyport mu\u0308nchen"); err != nil {
		t.Errorf("the same in decomposed characters: %v", err)
	}

	// What is moved to another user opens for nobody, and that is no wrong password.
	if _, err := st.Update(t.Context(), func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.CreateUser(options("").Env(), vpc.NewUser{Name: "mallory", Role: vpc.Reader})
		return c, err
	}); err != nil {
		t.Fatal(err)
	}
	set("mallory")
	if err := check("mallory", "sallyport m\u00fcnchen"); err == nil || vpc.CodeOf(err) != "" {
		t.Errorf("another user's password: %v, want an internal error", err)
	}
}

// Whoever there is not takes as much work as whoever there is.
func TestCheckPasswordTakesAsLong(t *testing.T) {
	st := storetest.New(t)
	keys := bootstrap(t, st, options(t.TempDir()))
	sealed, err := keys.NewPassword(t.Context(), iam.Administrator, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Update(t.Context(), func(s *vpc.State) (vpc.Change, error) { return s.SetPassword(iam.Administrator, sealed) }); err != nil {
		t.Fatal(err)
	}
	cost := func(user, password string) time.Duration {
		best := time.Hour
		for range 8 {
			start := time.Now()
			if _, err := keys.CheckPassword(t.Context(), user, password, func() error { return nil }); vpc.CodeOf(err) != vpc.CodeAuthFailure {
				t.Fatalf("CheckPassword(%s): %v", user, err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	known := cost(iam.Administrator, "wrong password")
	for user, password := range map[string]string{"nobody": "wrong password", iam.Administrator: "\x00"} {
		if got := cost(user, password); got < known/2 || got > known*2 {
			t.Errorf("a password of %q takes %v, a wrong one of a known user %v", user, got, known)
		}
	}
}

// From however many addresses, and whether they wait or hang up: a user's password is tried ten times, then
// once in five seconds.
func TestGuessesOfManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := iam.NewSignIns()
		wrong := vpc.Errorf(vpc.CodeAuthFailure, "wrong")
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		looked := 0
		for i := range 10_000 {
			source := fmt.Sprintf("2001:db8:%x::/64", i)
			if a.MayTryPassword(source, "ann") != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			looked++
			_ = a.WrongPassword(gone, wrong, source, "ann")
		}
		if most := 10 + 4 + 10_000/10/5 + 1; looked > most || looked < most-10 {
			t.Errorf("%d guesses were looked at in 1,000 s, want about %d", looked, most)
		}
		if err := a.MayTryPassword("192.0.2.1", "bob"); err != nil {
			t.Errorf("another user from another address: %v", err)
		}
	})
}

// Answers to failures come one after another, those of users apart.
func TestWrongPasswordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := iam.NewSignIns()
		wrong := vpc.Errorf(vpc.CodeAuthFailure, "wrong")
		for n := range 20 {
			start := time.Now()
			if err := a.WrongPassword(t.Context(), wrong, "192.0.2.1", "ann"); vpc.CodeOf(err) != vpc.CodeAuthFailure {
				t.Errorf("failure %d: %v", n+1, err)
			}
			if took, want := time.Since(start), n >= 10; took > 0 != want || took > 5*time.Second {
				t.Errorf("failure %d took %v, slowed down: %t", n+1, took, want)
			}
		}
		for n := range 20 { // one after another there is always a turn
			if err := a.MayTryPassword("192.0.2.1", "ann"); err != nil {
				t.Errorf("try %d: %v", n, err)
			}
		}
	})
}
