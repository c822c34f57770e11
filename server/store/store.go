// Package store keeps a vpc.State in etcd, embedded or external: Read, Update, Watch.
//
// Every transaction compares one fence key with the revision that its updates saw, and writes it:
// writes are serializable, whatever the updates read. The State is held in memory, fed by a watch
// and by the store's own commits.
package store

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/vpc"
)

// Options say where the state is.
type Options struct {
	Dir       string        // data directory of the embedded etcd; required without Endpoints
	Endpoints []string      // external etcd, as URLs; empty: run the embedded one
	Client    EtcdClient    // how this server shows the external etcd who it is
	Account   vpc.AccountID // required
	Region    string        // required
	Timeout   time.Duration // of one update or read, from its first attempt to the answer; 0: 5 s
	ID        func() string // makes ids of servers and of their commits, never the same twice; nil: random
	Log       *slog.Logger  // nil: discard
}

// EtcdClient is what an external etcd wants to see, and what it shows. The zero value is for one that
// anybody may use.
type EtcdClient struct {
	TLS            *tls.Config // of endpoints with https; nil: the system's authorities, no certificate
	User, Password string
}

// ErrClosed is returned by calls on a Store whose Run has ended.
var ErrClosed = errors.New("store is closed")

// ErrUnknown says that nobody can know whether an update was committed. It may still happen.
var ErrUnknown = errors.New("it is unknown whether the update was committed")

// ErrTooLarge says that one update changes more than a transaction can hold.
var ErrTooLarge = errors.New("change is too large for one transaction")

// Store is the state of one account and region. Its methods are safe for concurrent use; all but
// New wait until Run has read the state.
type Store struct {
	opts Options
	keys keys
	lone bool // nobody else writes: the embedded etcd is ours alone

	marker  string // this server's commit marker
	queue   chan *update
	heads   chan struct{} // wakes the reader of the head revision
	ready   chan struct{}
	done    chan struct{}
	running atomic.Bool

	kv      clientv3.KV
	watcher clientv3.Watcher
	lease   clientv3.Lease
	leased  clientv3.LeaseID // of the marker; used by the committer only
	granted time.Time

	mu      sync.Mutex
	head    *vpc.State    // newest
	changed chan struct{} // closed, and made anew, when head changes
	next    *headRead     // the head read that new readers share; nil: none is waited for

	pendingID string     // of the transaction on its way, or of the last one
	pending   *vpc.State // after it, but for the revision

	wrap func(*Store) // set by tests: puts faults between the store and its client
}

// New checks the options. It starts nothing.
func New(o Options) (*Store, error) {
	if o.Dir == "" && len(o.Endpoints) == 0 {
		return nil, errors.New("store: name a data directory or the endpoints of an etcd")
	}
	if o.Account == "" || o.Region == "" || strings.Contains(string(o.Account)+o.Region, "/") {
		return nil, fmt.Errorf("store: account %q, region %q: both are needed, without a slash", o.Account, o.Region)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.ID == nil {
		o.ID = rand.Text
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		opts:    o,
		keys:    newKeys(o.Account, o.Region),
		lone:    len(o.Endpoints) == 0,
		queue:   make(chan *update),
		heads:   make(chan struct{}, 1),
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
		head:    new(vpc.State),
		changed: make(chan struct{}),
	}
	s.marker = s.keys.commit + o.ID()
	return s, nil
}

// Run opens the store and keeps its State up to date until ctx ends; that is no error. It may be
// called once.
func (s *Store) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("store: Run was called before")
	}
	defer close(s.done)
	endpoints := s.opts.Endpoints
	var failed <-chan error // never, for an external etcd
	var e *Etcd
	if s.lone {
		var err error
		e, err = StartEtcd(ctx, s.opts.Dir, s.opts.Log)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		defer e.Close()
		endpoints, failed = []string{e.Endpoint()}, e.Err()
	}
	c, err := dial(endpoints, s.opts.Client, s.opts.Log)
	if err != nil {
		return fmt.Errorf("connect to etcd at %s: %w", strings.Join(endpoints, ","), err)
	}
	defer c.Close()
	s.kv, s.watcher, s.lease = c.KV, c.Watcher, c.Lease
	if s.lone {
		direct := e.client()
		defer direct.Close()
		s.kv, s.watcher, s.lease = direct.KV, direct.Watcher, direct.Lease
	}
	if s.wrap != nil {
		s.wrap(s)
	}
	if err := s.check(ctx, endpoints); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.follow(ctx) })
	g.Go(func() error { return s.commitAll(ctx) })
	g.Go(func() error { return s.readHeads(ctx) })
	if s.lone {
		g.Go(func() error { return maintain(ctx, c.Maintenance, endpoints[0], s.opts.Log) })
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("etcd stopped: %w", err)
		}
	})
	return g.Wait()
}

// Ready is closed once the State has been read.
func (s *Store) Ready() <-chan struct{} { return s.ready }

func (s *Store) waitReady(ctx context.Context) error {
	select {
	case <-s.ready:
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
	}
	select {
	case <-s.done:
		return ErrClosed
	default:
		return nil
	}
}

// newest returns the newest State that this server knows, and what is closed when there is a newer.
func (s *Store) newest() (*vpc.State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head, s.changed
}

// publish makes n the newest State unless a newer one is known already. What a State holds follows
// from its revision alone, so it does not matter who made it.
func (s *Store) publish(n *vpc.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Revision() <= s.head.Revision() {
		return
	}
	s.head = n
	close(s.changed)
	s.changed = make(chan struct{})
}

// setPending says what the State will be once the transaction with that id is committed. It can be
// committed only on top of the State that it was made of.
func (s *Store) setPending(id string, next *vpc.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pendingID, s.pending = id, next
}

// pendingAs returns the State after the transaction with that id; nil if it is not the last one.
func (s *Store) pendingAs(id string) *vpc.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pendingID != id {
		return nil
	}
	return s.pending
}

// waitFor returns the first State that this server has at the revision or later.
func (s *Store) waitFor(ctx context.Context, revision int64) (*vpc.State, error) {
	for {
		n, changed := s.newest()
		if n.Revision() >= revision {
			return n, nil
		}
		select {
		case <-changed:
		case <-s.done:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for revision %d: %w", revision, context.Cause(ctx))
		}
	}
}

// Watch yields the current State as soon as it is known, and then the newest one after each change;
// what came in between is left out. It ends with ctx or with Run.
func (s *Store) Watch(ctx context.Context) iter.Seq[*vpc.State] {
	return func(yield func(*vpc.State) bool) {
		if s.waitReady(ctx) != nil {
			return
		}
		for {
			n, changed := s.newest()
			if !yield(n) {
				return
			}
			select {
			case <-changed:
			case <-s.done:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
