package iam

import (
	"container/list"
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/vpc"
)

// How wrong credentials are slowed down. Each address, each access key, and each key at an address has
// an allowance of failures of its own.
const (
	freeFailures   = 20   // that are answered at once
	failuresPerSec = 2    // after that
	maxWaiting     = 16   // answers that wait on account of one of them: half a second later each
	maxAllWaiting  = 512  // answers that wait at all
	maxTallies     = 8192 // that are remembered; beyond it the one that was not needed for longest goes
	userTallies    = 4096 // of users whose passwords were wrong: they share these, and none ever goes
)

// How wrong passwords are: there are fewer to try. Each address, each user, and each user at an address has
// an allowance.
const (
	freePasswords    = 10
	passwordInterval = 5 * time.Second // after that
	maxPasswords     = 4               // answers that wait
)

// Attempts slows down who signs with wrong credentials again and again. What is signed well is never
// slowed down, with one exception: while 16 answers about one key wait at one address, further requests
// of that key from there are refused before they are looked at.
type Attempts struct {
	failures
	verify func(*http.Request, []byte) (sigv4.Identity, error)
}

// NewAttempts wraps a verifier's method.
func NewAttempts(verify func(*http.Request, []byte) (sigv4.Identity, error)) *Attempts {
	return &Attempts{newFailures(freeFailures, time.Second/failuresPerSec, maxWaiting), verify}
}

// Verify verifies a request, and holds the answer back if it fails once too often.
func (a *Attempts) Verify(r *http.Request, body []byte) (sigv4.Identity, error) {
	source := SourceOf(r.RemoteAddr)
	key := sigv4.ClaimedKey(r)
	if a.crowded("pair " + source + " " + key) {
		return sigv4.Identity{}, errTooMany()
	}
	id, err := a.verify(r, body)
	if !isGuess(err) {
		return id, err
	}
	return sigv4.Identity{}, a.hold(r.Context(), err, "pair "+source+" "+key, "source "+source, "key "+key)
}

// SignIns slows down who guesses passwords. When the allowance of an address or a user is used up nothing is
// looked at any more, not even the right password, from however many addresses they come: so their number is
// bounded. A sign-in token lets a user in all the same.
type SignIns struct {
	failures
	seed maphash.Seed
}

// NewSignIns returns one that has seen no failure.
func NewSignIns() *SignIns {
	return &SignIns{newFailures(freePasswords, passwordInterval, maxPasswords), maphash.MakeSeed()}
}

// passwordNames returns the names of the allowances of a source with a user, a source, and a user. That of a user
// lasts: else who has many addresses and makes up users could push it out, and guess on.
func (a *SignIns) passwordNames(source, user string) []string {
	sum := maphash.String(a.seed, user) // one that is made up, and as long as it may be, takes no more room than others
	return []string{
		"pair " + source + " " + strconv.FormatUint(sum, 36), "source " + source,
		lasting + strconv.FormatUint(sum%userTallies, 10),
	}
}

// lasting begins the names of tallies that never go.
const lasting = "user "

// MayTryPassword refuses with RequestLimitExceeded if a password of a user from a source is not looked at now.
func (a *SignIns) MayTryPassword(source, user string) error {
	return a.may(a.passwordNames(source, user)...)
}

// WrongPassword returns the error that says so, after the wait that is due.
func (a *SignIns) WrongPassword(ctx context.Context, err error, source, user string) error {
	return a.hold(ctx, err, a.passwordNames(source, user)...)
}

// MayTryToken refuses with RequestLimitExceeded if a token from a source is not looked at now.
func (a *SignIns) MayTryToken(source string) error { return a.may("tokens " + source) }

// WrongToken returns the error that says so, after the wait that is due.
func (a *SignIns) WrongToken(ctx context.Context, err error, source string) error {
	return a.hold(ctx, err, "tokens "+source)
}

// failures are counted by names, of which each has an allowance: so many at once, then one in an interval,
// whose answers wait in a queue.
type failures struct {
	free     int
	interval time.Duration
	queue    int

	mu      sync.Mutex
	tallies map[string]*list.Element // of *tally, by its name
	recent  *list.List               // of them, the last one used in front
	kept    *list.List               // of those that never go
	waiting int
}

// tally is what is remembered of a name.
type tally struct {
	name    string
	allowed *rate.Limiter
	waiting int
}

func newFailures(free int, interval time.Duration, queue int) failures {
	return failures{free: free, interval: interval, queue: queue, tallies: map[string]*list.Element{}, recent: list.New(), kept: list.New()}
}

// hold returns err after the wait that is due, or at once that there were too many.
func (f *failures) hold(ctx context.Context, err error, names ...string) error {
	wait, done, ok := f.fail(names...)
	if !ok {
		return errTooMany()
	}
	defer done()
	if wait > 0 {
		sleep(ctx, wait)
	}
	return err
}

// may refuses if an answer about one of the names would find no place in its queue, also if those in it hung
// up.
func (f *failures) may(names ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, name := range names {
		if e := f.tallies[name]; e != nil && e.Value.(*tally).allowed.TokensAt(now)-1 < -float64(f.queue) {
			return errTooMany()
		}
	}
	return nil
}

func errTooMany() error {
	return vpc.Errorf(vpc.CodeRequestLimitExceeded, "Request limit exceeded.")
}

// isGuess reports whether a refusal says something about a key, its secret or its token.
func isGuess(err error) bool {
	e, ok := errors.AsType[*sigv4.Error](err)
	return ok && (e.Kind == sigv4.UnknownKey || e.Kind == sigv4.WrongSecret || e.Kind == sigv4.WrongToken)
}

// SourceOf returns the address of the other end: of IPv6 its /64, which is what one customer has.
func SourceOf(remote string) string {
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
func (f *failures) crowded(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.tallies[name]
	return e != nil && e.Value.(*tally).waiting >= f.queue
}

// fail counts a failure and returns how long its answer waits; done is called afterwards. ok is false if
// no more may wait.
func (f *failures) fail(names ...string) (wait time.Duration, done func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	tallies, full := make([]*tally, len(names)), f.waiting >= maxAllWaiting
	for i, name := range names {
		tallies[i] = f.tally(name)
		full = full || tallies[i].waiting >= f.queue
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
	if wait > time.Duration(f.queue)*f.interval { // many hung up: their turns count as long as they last, but make no longer queue
		for _, r := range reserved {
			r.CancelAt(now)
		}
		return 0, nil, false
	}
	if wait == 0 {
		return 0, func() {}, true
	}
	add := func(n int) {
		f.waiting += n
		for _, t := range tallies {
			t.waiting += n
		}
	}
	add(1)
	return wait, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		add(-1)
	}, true
}

// tally returns what is remembered under a name. The caller holds mu.
func (f *failures) tally(name string) *tally {
	if e := f.tallies[name]; e != nil {
		f.recent.MoveToFront(e) // unless it is kept
		return e.Value.(*tally)
	}
	t := &tally{name: name, allowed: rate.NewLimiter(rate.Every(f.interval), f.free)}
	if strings.HasPrefix(name, lasting) {
		f.tallies[name] = f.kept.PushFront(t)
		return t
	}
	if f.recent.Len() >= maxTallies {
		oldest := f.recent.Back()
		delete(f.tallies, oldest.Value.(*tally).name)
		f.recent.Remove(oldest)
	}
	f.tallies[name] = f.recent.PushFront(t)
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
