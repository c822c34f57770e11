package vpc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// third leaves out what a sign-in made.
func third[T, U any](_ T, _ U, c vpc.Change, err error) (vpc.Change, error) { return c, err }

// Sign-in tokens are bounded; what has ended does not count, and is forgotten an hour later with another write.
func TestSignInIsBoundedAndForgotten(t *testing.T) {
	a := people(t)
	make := func(n int) (vpc.Change, error) {
		return second(a.CreateSignInToken(a.env, vpc.SignInToken{ID: vpc.SignInTokenID(fmt.Sprint("t", n)), User: "admin", Parent: "AKIA1"}, time.Hour))
	}
	first := a.env
	for n := range 100 {
		a.env.Now = first.Now.Add(time.Duration(n) * time.Second)
		a.do(make(n))
	}
	a.do(make(100))
	if a.Count(vpc.KindSignInToken) != 100 || a.SignInToken("t0") != nil || a.SignInToken("t100") == nil {
		t.Errorf("one more: there are %d, want 100, and the first one gone", a.Count(vpc.KindSignInToken))
	}
	a.env = first
	for what, token := range map[string]vpc.SignInToken{
		"no key":         {ID: "x", User: "admin"},
		"another's key":  {ID: "x", User: "ann", Parent: "AKIA1"},
		"an unknown key": {ID: "x", User: "admin", Parent: "AKIA9"},
	} {
		later := a.env
		later.Now = later.Now.Add(2 * time.Hour)
		if _, _, err := a.CreateSignInToken(later, token, time.Minute); vpc.CodeOf(err) != vpc.CodeAccessDenied {
			t.Errorf("a token asked for with %s: %v, want AccessDenied", what, err)
		}
	}
	a.do(third(a.SignIn(a.env, vpc.SignIn{Session: "s1", Key: vpc.AccessKey{ID: "ASIA1", User: "admin"}, Token: "t7"})))
	if a.Count(vpc.KindSignInToken) != 99 || a.SignInToken("t7") != nil {
		t.Errorf("%d tokens are left, and t7: %+v", a.Count(vpc.KindSignInToken), a.SignInToken("t7"))
	}
	if _, _, _, err := a.SignIn(a.env, vpc.SignIn{Session: "s2", Key: vpc.AccessKey{ID: "ASIA2", User: "admin"}, Token: "t7"}); vpc.CodeOf(err) != vpc.CodeAuthFailure {
		t.Errorf("the same token again: %v", err)
	}
	if _, _, _, err := a.SignIn(a.env, vpc.SignIn{Session: "s2", Key: vpc.AccessKey{ID: "ASIA2", User: "ann"}, Token: "t8"}); vpc.CodeOf(err) != vpc.CodeAuthFailure {
		t.Errorf("another user with it: %v", err)
	}
	if _, _, _, err := a.SignIn(a.env, vpc.SignIn{Session: "s2", Key: vpc.AccessKey{ID: "ASIA2", User: "admin"}}); vpc.CodeOf(err) != vpc.CodeAuthFailure {
		t.Errorf("neither token nor password: %v", err)
	}

	for _, tt := range []struct {
		after                  time.Duration
		tokens, sessions, keys int
	}{
		{time.Hour, 99, 1, 2},
		{90 * time.Minute, 99, 1, 1}, // the session's key was good for 15 minutes
		{2*time.Hour + 10*time.Minute, 0, 1, 1},
		{3*time.Hour + 10*time.Minute, 0, 0, 1},
	} {
		later := a.env
		later.Now = later.Now.Add(tt.after)
		c := a.ForgetSessions(later, vpc.Change{Puts: []vpc.Object{a.Installation()}})
		s := a.Apply(c, a.Revision()+1)
		if s.Count(vpc.KindSignInToken) != tt.tokens || s.Count(vpc.KindConsoleSession) != tt.sessions || s.Count(vpc.KindAccessKey) != tt.keys {
			t.Errorf("after %v there are %d tokens, %d sessions, %d keys; want %+v", tt.after,
				s.Count(vpc.KindSignInToken), s.Count(vpc.KindConsoleSession), s.Count(vpc.KindAccessKey), tt)
		}
	}
}

// A password that was right when it was looked at, and is another one now, lets nobody in.
func TestPasswordChangesWhileSigningIn(t *testing.T) {
	a := people(t)
	in := vpc.SignIn{Session: "s1", Key: vpc.AccessKey{ID: "ASIA1", User: "admin"}, Password: []byte("old")}
	a.do(a.SetPassword("admin", []byte("old")))
	a.do(third(a.SignIn(a.env, in)))
	a.do(a.SetPassword("admin", []byte("new")))
	if a.Count(vpc.KindConsoleSession) != 0 || a.Usable("ASIA1") != nil {
		t.Error("the session goes on")
	}
	if _, _, _, err := a.SignIn(a.env, in); vpc.CodeOf(err) != vpc.CodeAuthFailure {
		t.Errorf("with the old password: %v", err)
	}
	a.do(a.SetPassword("admin", nil))
	in.Password = nil
	if _, _, _, err := a.SignIn(a.env, in); vpc.CodeOf(err) != vpc.CodeAuthFailure {
		t.Errorf("without a password: %v", err)
	}
}

// Who was thrown out by disabling the key that a link was made with stays out when the key is enabled again.
func TestEnablingAKeyRevivesNothing(t *testing.T) {
	a := people(t)
	a.do(second(a.CreateAccessKey(a.env, vpc.AccessKey{ID: "AKIA2", User: "admin"})))
	for _, id := range []vpc.SignInTokenID{"t1", "t2"} {
		a.do(second(a.CreateSignInToken(a.env, vpc.SignInToken{ID: id, User: "admin", Parent: "AKIA2"}, time.Hour)))
	}
	a.do(third(a.SignIn(a.env, vpc.SignIn{Session: "s1", Key: vpc.AccessKey{ID: "ASIA1", User: "admin"}, Token: "t1"})))
	for _, disabled := range []bool{true, false} {
		a.do(a.ModifyAccessKey("AKIA2", disabled))
		if a.Usable("ASIA1") != nil || a.UsableConsoleSession(a.env, "s1") != nil || a.UsableSignInToken(a.env, "t2") != nil {
			t.Errorf("with disabled=%t: the session's key %v, the session %v, the token %v", disabled,
				a.Usable("ASIA1"), a.UsableConsoleSession(a.env, "s1"), a.UsableSignInToken(a.env, "t2"))
		}
	}
}
