package iam_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/vpc"
)

// guesses is an Attempts that knows one key, and counts what it looks at.
type guesses struct {
	*iam.Attempts
	verified atomic.Int64
}

func newGuesses() *guesses {
	g := &guesses{}
	g.Attempts = iam.NewAttempts(func(r *http.Request, _ []byte) (sigv4.Identity, error) {
		g.verified.Add(1)
		if r.Header.Get("Right") == "" {
			return sigv4.Identity{}, &sigv4.Error{Kind: sigv4.WrongSecret, Reason: "wrong"}
		}
		return sigv4.Identity{AccessKeyID: sigv4.ClaimedKey(r)}, nil
	})
	return g
}

// try signs a request from a source with a key, well or not, and returns how long the answer took.
func (g *guesses) try(ctx context.Context, source, key string, right bool) (time.Duration, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	r.RemoteAddr = source
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
	r.Header.Set("X-Amz-Date", "20261122T120000Z")
	if right {
		r.Header.Set("Right", "yes")
	}
	start := time.Now()
	_, err := g.Verify(r, nil)
	return time.Since(start), err
}

const (
	here  = "192.0.2.1:1234"
	there = "192.0.2.2:1234"
)

// One after another: the first failures are free, then two a second; the same client with the right
// secret is not held up, nor anybody else.
func TestFailuresAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		for n := range 40 {
			took, err := g.try(t.Context(), here, "AKIA1", false)
			if err == nil {
				t.Fatal("a wrong secret is let in")
			}
			if want := n >= 20; took > 0 != want || took > 500*time.Millisecond {
				t.Errorf("failure %d took %v, slowed down: %t", n+1, took, want)
			}
			for _, who := range []struct{ source, key string }{{here, "AKIA1"}, {here, "AKIA2"}, {there, "AKIA1"}} {
				if took, err := g.try(t.Context(), who.source, who.key, true); took != 0 || err != nil {
					t.Errorf("after %d failures %s is let in at %s after %v: %v", n+1, who.key, who.source, took, err)
				}
			}
		}
		if took, _ := g.try(t.Context(), there, "AKIA3", false); took != 0 {
			t.Errorf("the first failure of somebody else took %v", took)
		}
		time.Sleep(time.Minute)
		if took, _ := g.try(t.Context(), here, "AKIA1", false); took != 0 {
			t.Errorf("a failure a minute later took %v", took)
		}
	})
}

// Who changes the key at one address, or the address for one key, is slowed down, too.
func TestFailuresOfAddressAndOfKey(t *testing.T) {
	for what, who := range map[string]struct {
		source, key string
		slow        bool
	}{
		"another key at the address": {here, "AKIA2", true},
		"the key at another address": {there, "AKIA1", true},
		"neither":                    {there, "AKIA2", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuesses()
			for range 20 {
				_, _ = g.try(t.Context(), here, "AKIA1", false)
			}
			if took, _ := g.try(t.Context(), who.source, who.key, false); took > 0 != who.slow {
				t.Errorf("%s: took %v, slowed down: %t", what, took, who.slow)
			}
		})
	}
}

// All at once: few wait, the others are refused at once, and of that key at that address not even looked
// at. Everybody else is served at once.
func TestFloodsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		for range 1000 {
			go func() { _, _ = g.try(t.Context(), here, "AKIA1", false) }()
		}
		synctest.Wait()
		if n := g.verified.Load(); n > 20+16+1 {
			t.Errorf("%d of 1000 guesses at once were looked at", n)
		}
		if _, err := g.try(t.Context(), here, "AKIA1", true); vpc.CodeOf(err) != vpc.CodeRequestLimitExceeded {
			t.Errorf("amid the flood the right secret from there gets %v, want RequestLimitExceeded", err)
		}
		for _, who := range []struct{ source, key string }{{here, "AKIA2"}, {there, "AKIA1"}} {
			if took, err := g.try(t.Context(), who.source, who.key, true); took != 0 || err != nil {
				t.Errorf("amid the flood %s is let in at %s after %v: %v", who.key, who.source, took, err)
			}
		}
		time.Sleep(10 * time.Second) // the last one waits 8
		if _, err := g.try(t.Context(), here, "AKIA1", true); err != nil {
			t.Errorf("after the flood: %v", err)
		}
	})
}

// Who has many addresses, and makes keys up, costs no more memory than that, and holds up nobody.
func TestManySources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		for n := range 50_000 {
			go func() { _, _ = g.try(t.Context(), fmt.Sprintf("[2001:db8:%x::1]:1", n), "AKIA1", false) }()
		}
		synctest.Wait()
		if n := g.Remembered(); n > 8192 {
			t.Errorf("%d addresses and keys are remembered", n)
		}
		if took, err := g.try(t.Context(), there, "AKIA1", true); took != 0 || err != nil {
			t.Errorf("the right secret takes %v: %v", took, err)
		}
		time.Sleep(time.Minute)
	})
}

// Addresses of one /64 are one source; a client that hangs up does not wait.
func TestSourceAndHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		for n := range 20 {
			_, _ = g.try(t.Context(), fmt.Sprintf("[2001:db8::%x]:1", n), fmt.Sprint("AKIA", n), false)
		}
		if took, _ := g.try(t.Context(), "[2001:db8::ffff]:1", "AKIAX", false); took == 0 {
			t.Error("another address of the same /64 is another source")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if took, _ := g.try(ctx, "[2001:db8::fffe]:1", "AKIAY", false); took != 0 {
			t.Errorf("a client that has hung up waited %v", took)
		}
	})
}

// Who hangs up again and again makes nobody's answer wait longer than who stays does.
func TestHangingUpMakesNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 1000 {
			_, _ = g.try(gone, here, "AKIA1", false)
		}
		for _, who := range []struct{ source, key string }{{here, "AKIA1"}, {here, "AKIA2"}, {there, "AKIA1"}} {
			if took, err := g.try(t.Context(), who.source, who.key, false); took > 8*time.Second || err == nil {
				t.Errorf("a failure of %s at %s then took %v: %v", who.key, who.source, took, err)
			}
		}
		time.Sleep(time.Minute)
		if took, _ := g.try(t.Context(), here, "AKIA1", false); took != 0 {
			t.Errorf("a failure a minute later took %v", took)
		}
	})
}

// What says nothing about a key is not counted.
func TestOtherRefusalsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []sigv4.Kind{sigv4.Unsigned, sigv4.Malformed, sigv4.Expired, sigv4.BadScope, sigv4.ExpiredToken} {
			a := iam.NewAttempts(func(*http.Request, []byte) (sigv4.Identity, error) {
				return sigv4.Identity{}, &sigv4.Error{Kind: kind}
			})
			start := time.Now()
			for range 100 {
				_, _ = a.Verify(httptest.NewRequest(http.MethodPost, "/", nil), nil)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("100 refusals of kind %d took %v", kind, took)
			}
		}
	})
}

// Who has many addresses, and makes users up, does not get a user's used-up allowance forgotten.
func TestPasswordsOfManySourcesAndUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := iam.NewSignIns()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		wrong := func(n int, user string) {
			source := iam.SourceOf(fmt.Sprintf("[2001:db8:%x:%x::1]:1", n>>16, n&0xffff))
			if a.MayTryPassword(source, user) == nil {
				_ = a.WrongPassword(gone, fmt.Errorf("wrong"), source, user)
			}
		}
		for n := range 20 {
			wrong(n, "admin")
		}
		for n := range 10_000 {
			wrong(1000+n, fmt.Sprint("nobody", n))
		}
		if err := a.MayTryPassword("198.51.100.1", "admin"); vpc.CodeOf(err) != vpc.CodeRequestLimitExceeded {
			t.Errorf("after 10,000 users that are made up, another password of admin is looked at: %v", err)
		}
		time.Sleep(time.Minute)
		if err := a.MayTryPassword("198.51.100.1", "admin"); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
