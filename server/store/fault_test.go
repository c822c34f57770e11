package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// fault is what happens to one request to etcd.
type fault string

const (
	none       fault = "none"
	cutBefore  fault = "cut before it is sent"
	dropAnswer fault = "done, but the answer is lost"
	late       fault = "given up, and done later" // it was on its way
)

var errCut = status.Error(codes.Unavailable, "the connection was cut by the test")

// line is the connection of one store to etcd.
type line struct {
	next   func(n int64, op clientv3.Op) fault // of the nth request, from 1
	change func(clientv3.Op) clientv3.Op       // nil: as it is; for broken variants
	delay  time.Duration                       // of late requests
	broken func() bool                         // whether a watch breaks now

	n      atomic.Int64
	lateMu sync.Mutex     // a WaitGroup takes no work while one waits for it
	late   sync.WaitGroup // requests still on their way
}

func (l *line) inject(s *store.Store) {
	s.Inject(
		func(kv clientv3.KV) clientv3.KV { return &faultyKV{kv, l} },
		func(w clientv3.Watcher) clientv3.Watcher { return &faultyWatcher{w, l} },
		func(g clientv3.Lease) clientv3.Lease { return &faultyLease{g, l} },
	)
}

// pass lets a request through, or not.
func pass[T any](ctx context.Context, l *line, op clientv3.Op, send func(context.Context) (T, error)) (T, error) {
	var zero T
	switch l.next(l.n.Add(1), op) {
	case none:
		return send(ctx)
	case cutBefore:
		return zero, errCut
	case dropAnswer:
		// Not with the caller's time limit: etcd does what it got, whoever listens.
		if _, err := send(context.WithoutCancel(ctx)); err != nil {
			return zero, err
		}
		return zero, errCut
	case late:
		l.lateMu.Lock()
		l.late.Go(func() {
			time.Sleep(l.delay)
			_, _ = send(context.WithoutCancel(ctx)) // nobody listens
		})
		l.lateMu.Unlock()
		return zero, context.DeadlineExceeded
	}
	panic("unknown fault")
}

// settle waits for the requests that are still on their way.
func (l *line) settle() {
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	l.late.Wait()
}

type faultyKV struct {
	clientv3.KV
	l *line
}

func (k *faultyKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	if k.l.change != nil {
		op = k.l.change(op)
	}
	return pass(ctx, k.l, op, func(ctx context.Context) (clientv3.OpResponse, error) { return k.KV.Do(ctx, op) })
}

func (k *faultyKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return pass(ctx, k.l, clientv3.OpGet(key, opts...), func(ctx context.Context) (*clientv3.GetResponse, error) {
		return k.KV.Get(ctx, key, opts...)
	})
}

type faultyLease struct {
	clientv3.Lease
	l *line
}

func (g *faultyLease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	return pass(ctx, g.l, clientv3.Op{}, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return g.Lease.Grant(ctx, ttl) })
}

type faultyWatcher struct {
	clientv3.Watcher
	l *line
}

func (w *faultyWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	ctx, cancel := context.WithCancel(ctx)
	in, out := w.Watcher.Watch(ctx, key, opts...), make(chan clientv3.WatchResponse)
	go func() {
		defer cancel()
		defer close(out)
		for resp := range in {
			broken := w.l.broken != nil && w.l.broken()
			if broken && resp.Header.Revision%2 == 0 {
				resp = clientv3.WatchResponse{Canceled: true, CompactRevision: resp.Header.Revision} // as if it was too slow
			} else if broken {
				return
			}
			select {
			case out <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// commits reports whether a request is a transaction that writes.
func commits(op clientv3.Op) bool {
	if !op.IsTxn() {
		return false
	}
	_, then, _ := op.Txn()
	for _, o := range then {
		if o.IsPut() {
			return true
		}
	}
	return false
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// connected starts a store whose requests go over a line. Without endpoints it has an embedded etcd,
// whose endpoint is returned.
func connected(t *testing.T, l *line, o store.Options) (*store.Store, string) {
	t.Helper()
	o.Account, o.Region, o.Log = storetest.Account, storetest.Region, quiet()
	endpoint := ""
	if len(o.Endpoints) == 0 {
		o.Dir = t.TempDir()
		endpoint = "unix://" + filepath.Join(o.Dir, "client.sock")
	} else {
		endpoint = o.Endpoints[0]
	}
	s, err := store.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l.inject(s)
	storetest.Run(t, s)
	return s, endpoint
}

// window makes one fault happen to the requests from the first to the last one after it was opened.
type window struct {
	f        fault
	from, to atomic.Int64
}

func (w *window) next(n int64, _ clientv3.Op) fault {
	if from := w.from.Load(); from != 0 && n >= from && n <= w.to.Load() {
		return w.f
	}
	return none
}

// open counts from the next request of the line on, which is 0.
func (w *window) open(l *line, first, last int64) {
	w.from.Store(0)
	start := l.n.Load() + 1
	w.to.Store(start + last)
	w.from.Store(start + first)
}

func (w *window) close() { w.from.Store(0) }

// eachFault runs a test for each kind of fault, on a lone server and on one of several.
func eachFault(t *testing.T, delay, timeout time.Duration, test func(t *testing.T, s *store.Store, l *line, w *window, endpoint string)) {
	for _, servers := range []string{"lone", "several"} {
		for _, f := range []fault{cutBefore, dropAnswer, late} {
			t.Run(fmt.Sprintf("%s/%s", servers, f), func(t *testing.T) {
				t.Parallel()
				w := &window{f: f}
				l := &line{delay: delay, next: w.next}
				o := store.Options{Timeout: timeout}
				if servers == "several" {
					o.Endpoints = storetest.Etcd(t)
				}
				s, endpoint := connected(t, l, o)
				test(t, s, l, w, endpoint)
			})
		}
	}
}

// Each fault, at each request of a commit: the caller is told the truth, and that is a success, since
// the connection comes back in time.
func TestCommitSurvivesAFaultAtEveryPoint(t *testing.T) {
	eachFault(t, 70*time.Millisecond, 20*time.Second, func(t *testing.T, s *store.Store, l *line, w *window, endpoint string) {
		r := record(t, []string{endpoint})
		var operations []operation
		// One request, or three in a row, of the lease (only the first time), the transaction, the
		// question for its outcome, the transaction again.
		for first := range int64(4) {
			for _, length := range []int64{0, 2} {
				w.open(l, first, first+length)
				for i := range 3 {
					operations = append(operations, do(t.Context(), s, fmt.Sprintf("%d-%d-%d", first, length, i)))
				}
				l.settle()
			}
		}
		for _, v := range violations(operations, r.history(t)) {
			t.Error(v)
		}
		if n := count(operations); n[committed] != len(operations) {
			t.Errorf("got %v, want all committed: %v", n, operations)
		}
	})
}

// While etcd cannot be reached, callers get an error that is no refusal. Afterwards the store goes
// on from what really happened.
func TestCommitWhileEtcdIsAway(t *testing.T) {
	eachFault(t, 500*time.Millisecond, 300*time.Millisecond, func(t *testing.T, s *store.Store, l *line, w *window, endpoint string) {
		r := record(t, []string{endpoint})
		var operations []operation
		for first := range int64(3) {
			w.open(l, first, 1<<40)
			var away []operation
			for i := 0; i < 2 || int64(i) <= first; i++ { // one request each, until the fault
				away = append(away, do(t.Context(), s, fmt.Sprintf("%d-away-%d", first, i)))
			}
			w.close()
			if n := count(away); n[unknown]+n[failed] == 0 {
				t.Errorf("got %v while etcd was away, want one unknown or failed", n)
			}
			var after []operation
			for i := 0; count(after)[committed] < 3; i++ { // the machine may be slow
				after = append(after, do(t.Context(), s, fmt.Sprintf("%d-after-%d", first, i)))
			}
			operations = slices.Concat(operations, away, after)
			l.settle()
		}
		for _, v := range violations(operations, r.history(t)) {
			t.Error(v)
		}
	})
}

// workload runs operations on stores, from many callers at once, until each has done n. stale are the
// reads on another server, after a write was acknowledged, that did not show it.
func workload(t *testing.T, stores []*store.Store, callers, n int) (operations []operation, stale []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, s := range stores {
		other := stores[(i+1)%len(stores)]
		for c := range callers {
			wg.Go(func() {
				for k := range n {
					o := do(t.Context(), s, fmt.Sprintf("%d-%d-%d", i, c, k))
					seen, err := other.Read(t.Context())
					mu.Lock()
					operations = append(operations, o)
					if o.told == committed && err == nil && (seen.Revision() < o.revision || seen.Host(vpc.HostID(o.id)) == nil) {
						stale = append(stale, fmt.Sprintf("%s was acknowledged at %d, and then a read shows revision %d without it", o.id, o.revision, seen.Revision()))
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return operations, stale
}

// random faults with this chance each, in bursts that outlast a store's patience now and then.
func randomFaults(seed uint64, chance float64) func(int64, clientv3.Op) fault {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	var until time.Time
	return func(n int64, _ clientv3.Op) fault {
		mu.Lock()
		defer mu.Unlock()
		if n < 5 {
			return none // while it starts
		}
		if rng.Float64() < 0.01 {
			until = time.Now().Add(1200 * time.Millisecond)
		}
		if time.Now().Before(until) || rng.Float64() < chance {
			return []fault{cutBefore, dropAnswer, late}[rng.IntN(3)]
		}
		return none
	}
}

func TestManyUpdatesUnderFaults(t *testing.T) {
	for servers, n := range map[string]int{"lone": 1, "two": 2} {
		t.Run(servers, func(t *testing.T) {
			t.Parallel()
			var endpoints []string
			if n > 1 {
				endpoints = storetest.Etcd(t)
			}
			var stores []*store.Store
			var lines []*line
			var endpoint string
			for i := range n {
				seed := rand.Uint64()
				t.Logf("server %d: seed %d", i, seed)
				var mu sync.Mutex
				rng := rand.New(rand.NewPCG(seed, 2))
				l := &line{delay: 100 * time.Millisecond, next: randomFaults(seed, 0.15), broken: func() bool {
					mu.Lock()
					defer mu.Unlock()
					return rng.Float64() < 0.05
				}}
				s, at := connected(t, l, store.Options{Endpoints: endpoints, Timeout: time.Second})
				stores, lines, endpoint = append(stores, s), append(lines, l), at
			}
			r := record(t, []string{endpoint})
			operations, stale := workload(t, stores, 8, 30)
			for _, l := range lines {
				l.settle()
			}
			history := r.history(t)
			for _, v := range append(stale, violations(operations, history)...) {
				t.Error(v)
			}
			told := count(operations)
			t.Logf("%v in %d revisions", told, len(history))
			if told[committed] < len(operations)/2 {
				t.Errorf("got %v of %d operations, want half of them committed", told, len(operations))
			}
		})
	}
}

// The checker sees what the fence and the marker prevent.
func TestCheckerCatchesBrokenVariants(t *testing.T) {
	run := func(t *testing.T, change func(clientv3.Op) clientv3.Op, next func(int64, clientv3.Op) fault) []string {
		endpoints := storetest.Etcd(t)
		var stores []*store.Store
		var lines []*line
		for range 2 {
			l := &line{next: next, change: change}
			s, _ := connected(t, l, store.Options{Endpoints: endpoints})
			stores, lines = append(stores, s), append(lines, l)
		}
		r := record(t, endpoints)
		operations, stale := workload(t, stores, 4, 50)
		for _, l := range lines {
			l.settle()
		}
		return append(stale, violations(operations, r.history(t))...)
	}
	expect := func(t *testing.T, found []string, want string) {
		t.Helper()
		t.Logf("%d violations", len(found))
		for _, v := range found {
			if strings.Contains(v, want) {
				t.Log(v)
				return
			}
		}
		t.Errorf("none of %d violations says %q", len(found), want)
	}
	healthy := func(int64, clientv3.Op) fault { return none }
	answersLost := func(n int64, op clientv3.Op) fault {
		if commits(op) && n%3 == 0 {
			return dropAnswer
		}
		return none
	}
	t.Run("as it is", func(t *testing.T) {
		for _, v := range run(t, nil, answersLost) {
			t.Error(v)
		}
	})
	t.Run("no fence", func(t *testing.T) {
		expect(t, run(t, func(op clientv3.Op) clientv3.Op {
			if !commits(op) {
				return op
			}
			_, then, otherwise := op.Txn()
			return clientv3.OpTxn(nil, then, otherwise)
		}, healthy), "lost update")
	})
	t.Run("no marker", func(t *testing.T) {
		expect(t, run(t, withoutMarker, answersLost), "was refused with Duplicate")
	})
}

// withoutMarker is a broken variant: a commit leaves nothing by which it could be known again.
func withoutMarker(op clientv3.Op) clientv3.Op {
	if !commits(op) {
		return op
	}
	cmps, then, otherwise := op.Txn()
	var kept []clientv3.Op
	for _, o := range then {
		if !strings.HasPrefix(string(o.KeyBytes()), prefix+"commit/") {
			kept = append(kept, o)
		}
	}
	return clientv3.OpTxn(cmps, kept, otherwise)
}

// proxy is a Unix socket before etcd's whose connections a test cuts.
type proxy struct {
	mu    sync.Mutex
	conns []net.Conn
}

func startProxy(t *testing.T, to string) (*proxy, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", strings.TrimPrefix(to, "unix://"))
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go p.copy(in, out)
			go p.copy(out, in)
		}
	}()
	return p, "unix://" + path
}

func (p *proxy) copy(to, from net.Conn) {
	buf := make([]byte, 512) // small, so that a cut tears a message
	for {
		n, err := from.Read(buf)
		if _, e := to.Write(buf[:n]); err != nil || e != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// Real connections, cut at any byte.
func TestManyUpdatesWhileConnectionsAreCut(t *testing.T) {
	endpoints := storetest.Etcd(t)
	var stores []*store.Store
	var proxies []*proxy
	for range 2 {
		p, endpoint := startProxy(t, endpoints[0])
		s, err := store.New(store.Options{Endpoints: []string{endpoint}, Account: storetest.Account, Region: storetest.Region, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		storetest.Run(t, s)
		stores, proxies = append(stores, s), append(proxies, p)
	}
	r := record(t, endpoints)
	stop, cuts := make(chan struct{}), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(60 * time.Millisecond)):
				proxies[rand.IntN(2)].cut()
				cuts++
			}
		}
	})
	operations, stale := workload(t, stores, 8, 20)
	close(stop)
	wg.Wait()
	history := r.history(t)
	for _, v := range append(stale, violations(operations, history)...) {
		t.Error(v)
	}
	t.Logf("%v in %d revisions with %d cuts", count(operations), len(history), cuts)
	if n := count(operations); n[committed] < len(operations)/2 || cuts == 0 {
		t.Errorf("got %v of %d operations with %d cuts, want half of them committed", n, len(operations), cuts)
	}
	if _, err := stores[0].Read(t.Context()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read after the cuts: %v", err)
	}
}
