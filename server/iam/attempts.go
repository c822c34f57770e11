package iam

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/vpc"
)

// How wrong credentials are slowed down. Each address, each access key, and each key at an address has
// an allowance of failures of its own.
const (
	freeFailures   = 20  // that are answered at once
	failuresPerSec = 2   // after that
	maxWaiting     = 16  // answers that wait on account of one of them: half a second later each
	maxAllWaiting  = 512 // answers that wait at all
	maxWait        = maxWaiting * time.Second / failuresPerSec
	maxTallies     = 8192 // that are remembered; beyond it the one that was not needed for longest goes
)

// Attempts slows down who signs with wrong credentials again and again. What is signed well is never
// slowed down, with one exception: while 16 answers about one key wait at one address, further requests
// of that key from there are refused before they are looked at.
type Attempts struct {
	verify func(*http.Request, []byte) (sigv4.Identity, error)

	mu      sync.Mutex
	tallies map[string]*list.Element // of *tally, by its name
	recent  *list.List               // of them, the last one used in front
	waiting int
}

// tally is what is remembered of an address, a key, or a key at an address.
type tally struct {
	name    string
	allowed *rate.Limiter
	waiting int
}

// NewAttempts wraps a verifier's method.
func NewAttempts(verify func(*http.Request, []byte) (sigv4.Identity, error)) *Attempts {
	return &Attempts{verify: verify, tallies: map[string]*list.Element{}, recent: list.New()}
}

// Verify verifies a request, and holds the answer back if it fails once too often.
func (a *Attempts) Verify(r *http.Request, body []byte) (sigv4.Identity, error) {
	source := sourceOf(r.RemoteAddr)
	key := sigv4.ClaimedKey(r)
	if a.crowded("pair " + source + " " + key) {
		return sigv4.Identity{}, errTooMany()
	}
	id, err := a.verify(r, body)
	if !isGuess(err) {
		return id, err
	}
	wait, done, ok := a.fail("pair "+source+" "+key, "source "+source, "key "+key)
	if !ok {
		return sigv4.Identity{}, errTooMany()
	}
	defer done()
	if wait > 0 {
		sleep(r.Context(), wait)
	}
	return sigv4.Identity{}, err
}

func errTooMany() error {
	return vpc.Errorf(vpc.CodeRequestLimitExceeded, "Request limit exceeded.")
}

// isGuess reports whether a refusal says something about a key, its secret or its token.
func isGuess(err error) bool {
	e, ok := errors.AsType[*sigv4.Error](err)
	return ok && (e.Kind == sigv4.UnknownKey || e.Kind == sigv4.WrongSecret || e.Kind == sigv4.WrongToken)
}

// sourceOf returns the address of the other end: of IPv6 its /64, which is what one customer has.
func sourceOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap(); addr.Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().String()
	}
	return addr.String()
}

// crowded reports whether as many answers wait on account of a name as may.
func (a *Attempts) crowded(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tallies[name]
	return e != nil && e.Value.(*tally).waiting >= maxWaiting
}

// fail counts a failure and returns how long its answer waits; done is called afterwards. ok is false if
// no more may wait.
func (a *Attempts) fail(names ...string) (wait time.Duration, done func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tallies, full := make([]*tally, len(names)), a.waiting >= maxAllWaiting
	for i, name := range names {
		tallies[i] = a.tally(name)
		full = full || tallies[i].waiting >= maxWaiting
	}
	if full {
		return 0, nil, false
	}
	now := time.Now()
	reserved := make([]*rate.Reservation, len(tallies))
	for i, t := range tallies {
		reserved[i] = t.allowed.ReserveN(now, 1)
		wait = max(wait, reserved[i].DelayFrom(now))
	}
	if wait > maxWait { // many hung up: their turns count as long as they last, but make no longer queue
		for _, r := range reserved {
			r.CancelAt(now)
		}
		return 0, nil, false
	}
	if wait == 0 {
		return 0, func() {}, true
	}
	add := func(n int) {
		a.waiting += n
		for _, t := range tallies {
			t.waiting += n
		}
	}
	add(1)
	return wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		add(-1)
	}, true
}

// tally returns what is remembered under a name. The caller holds mu.
func (a *Attempts) tally(name string) *tally {
	if e := a.tallies[name]; e != nil {
		a.recent.MoveToFront(e)
		return e.Value.(*tally)
	}
	if a.recent.Len() >= maxTallies {
		oldest := a.recent.Back()
		delete(a.tallies, oldest.Value.(*tally).name)
		a.recent.Remove(oldest)
	}
	t := &tally{name: name, allowed: rate.NewLimiter(failuresPerSec, freeFailures)}
	a.tallies[name] = a.recent.PushFront(t)
	return t
}

// sleep waits for a time, or until nobody waits for the answer any more.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
