package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// foreignEtcd is an etcd that somebody else configured.
func foreignEtcd(t *testing.T, configure func(*embed.Config)) []string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(cfg.Dir, "c.sock")}}
	cfg.AdvertiseClientUrls = cfg.ListenClientUrls
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.MaxTxnOps, cfg.MaxRequestBytes = 4096, 8<<20
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	configure(cfg)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return []string{cfg.ListenClientUrls[0].String()}
}

func TestExternalEtcdMustHoldATransaction(t *testing.T) {
	for name, tt := range map[string]struct {
		configure func(*embed.Config)
		want      string // empty: accepted
	}{
		"as needed": {func(*embed.Config) {}, ""},
		"as etcd comes": {func(c *embed.Config) {
			c.MaxTxnOps, c.MaxRequestBytes = embed.DefaultMaxTxnOps, embed.DefaultMaxRequestBytes
		}, "too few operations per transaction: start etcd with --max-txn-ops=4096 --max-request-bytes=8388608"},
		"small requests": {func(c *embed.Config) { c.MaxRequestBytes = embed.DefaultMaxRequestBytes }, "--max-request-bytes=8388608"},
		"almost":         {func(c *embed.Config) { c.MaxRequestBytes = 8<<20 - 8192 }, "--max-request-bytes=8388608"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.New(store.Options{Endpoints: foreignEtcd(t, tt.configure), Account: storetest.Account, Region: storetest.Region, Timeout: 5 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want an error with %q", err, tt.want)
				}
				return
			}
			storetest.Run(t, s)
			// The largest change that the store lets through is one that etcd takes.
			update(t, s, func(*vpc.State) (vpc.Change, error) {
				var c vpc.Change
				for i := range 4094 {
					c.Puts = append(c.Puts, &vpc.Host{ID: vpc.HostID(fmt.Sprint("h", i))})
				}
				return c, nil
			})
			var tooLarge bool
			for size := 6_260_000; !tooLarge; size += 10_000 {
				_, err := s.Update(t.Context(), func(*vpc.State) (vpc.Change, error) {
					return vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: "i-1", UserData: make([]byte, size)}}}, nil
				})
				if tooLarge = errors.Is(err, store.ErrTooLarge); err != nil && !tooLarge {
					t.Fatalf("%d bytes: %v", size, err)
				}
			}
		})
	}
}

// A watch that fell behind etcd's history reads everything again, deletions included.
func TestWatchAfterCompaction(t *testing.T) {
	endpoints := storetest.Etcd(t)
	var cut atomic.Bool
	l := &line{next: func(int64, clientv3.Op) fault {
		if cut.Load() {
			return cutBefore
		}
		return none
	}, broken: cut.Load}
	behind, _ := connected(t, l, store.Options{Endpoints: endpoints})
	writer := storetest.Start(t, store.Options{Endpoints: endpoints})
	update(t, writer, putHost("goes"))
	update(t, writer, putHost("stays"))
	if got := hosts(read(t, behind)); got != "goes stays" {
		t.Fatalf("before: got hosts %q", got)
	}
	cut.Store(true)
	update(t, writer, deleteHost("goes"))
	revision := update(t, writer, putHost("new"))
	c := etcdClient(t, endpoints)
	if _, err := c.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	update(t, writer, putHost("newer"))
	cut.Store(false)
	if got, want := hosts(read(t, behind)), "new newer stays"; got != want {
		t.Errorf("after: got hosts %q, want %q", got, want)
	}
}

// Somebody who writes past the fence is found out: the State would be no longer what a transaction saw.
func TestWritePastTheFence(t *testing.T) {
	endpoints := storetest.Etcd(t)
	s, err := store.New(store.Options{Endpoints: endpoints, Account: storetest.Account, Region: storetest.Region, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	<-s.Ready()
	if _, err := etcdClient(t, endpoints).Put(t.Context(), prefix+"host/x", `{"ID":"x"}`); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "written past the fence") {
			t.Errorf("got %v, want an error that says so", err)
		}
	case <-time.After(time.Minute):
		t.Error("the store goes on")
	}
}

// A lease that etcd lost, and with it the marker, costs nobody a write.
func TestMarkerLeaseLost(t *testing.T) {
	endpoints := storetest.Etcd(t)
	s := storetest.Start(t, store.Options{Endpoints: endpoints})
	update(t, s, putHost("a"))
	c := etcdClient(t, endpoints)
	leases, err := c.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("got leases %v, %v; want one", leases, err)
	}
	if _, err := c.Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Get(t.Context(), prefix+"commit/", clientv3.WithPrefix()); err != nil || len(resp.Kvs) != 0 {
		t.Fatalf("the marker outlives its lease: %v, %v", resp, err)
	}
	update(t, s, putHost("b"))
	if got := hosts(read(t, s)); got != "a b" {
		t.Errorf("got hosts %q, want %q", got, "a b")
	}
}

// An etcd that is full refuses writes, and nothing else; what was refused did not happen. Maintenance
// makes room.
func TestEtcdIsFull(t *testing.T) {
	const quota = 4 << 20
	endpoints := foreignEtcd(t, func(c *embed.Config) { c.QuotaBackendBytes = quota })
	s := storetest.Start(t, store.Options{Endpoints: endpoints, Log: quiet()})
	written := 0
	writeOne := func() error {
		_, err := s.Update(t.Context(), func(*vpc.State) (vpc.Change, error) {
			return vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: "i-1", LaunchIndex: written + 1, UserData: make([]byte, 100_000)}}}, nil
		})
		if err == nil {
			written++
		}
		return err
	}
	var full error
	for full == nil && written < 200 {
		full = writeOne()
	}
	if !errors.Is(full, rpctypes.ErrNoSpace) || errors.Is(full, store.ErrUnknown) {
		t.Fatalf("got %v after %d writes, want an error that says that there is no space", full, written)
	}
	n := read(t, s)
	if got := n.Instance("i-1").LaunchIndex; got != written {
		t.Errorf("the State shows write %d, after %d were acknowledged and one failed", got, written)
	}
	if err := writeOne(); err == nil {
		t.Error("a write succeeds before there is room")
	}
	c := etcdClient(t, endpoints)
	if _, err := c.Compact(t.Context(), n.Revision(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for !strings.Contains(log.String(), "takes writes again") { // freed pages are counted when the backend commits
		if err := store.MaintainOnce(t.Context(), c, endpoints[0], 0, quota, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeOne(); err != nil {
		t.Errorf("after maintenance: %v\n%s", err, log.String())
	}
}

func TestMaintenance(t *testing.T) {
	endpoints := storetest.Etcd(t)
	s := storetest.Start(t, store.Options{Endpoints: endpoints})
	c := etcdClient(t, endpoints)
	var revision int64
	for range 60 { // one object, written again and again: history
		revision = update(t, s, func(*vpc.State) (vpc.Change, error) {
			return vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: "i-1", UserData: make([]byte, 100_000)}}}, nil
		})
	}
	if _, err := c.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	size := func() (total, used int64) {
		st, err := c.Status(t.Context(), endpoints[0])
		if err != nil {
			t.Fatal(err)
		}
		return st.DbSize, st.DbSizeInUse
	}
	for { // freed pages are counted when the backend commits
		if total, used := size(); used < total/2 {
			break
		}
		update(t, s, func(*vpc.State) (vpc.Change, error) { return vpc.Change{Puts: []vpc.Object{&vpc.Host{ID: "a"}}}, nil })
	}
	maintain := func(defragAbove, quota int64) string {
		var log bytes.Buffer
		if err := store.MaintainOnce(context.Background(), c, endpoints[0], defragAbove, quota, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	before, _ := size()
	if got := maintain(before, 1<<30); got != "" {
		t.Errorf("a small file: got log %q, want nothing", got)
	}
	if got := maintain(0, 1<<30); !strings.Contains(got, "defragmented") {
		t.Errorf("half of the file is free: got log %q, want that it was defragmented", got)
	}
	after, used := size()
	if after >= before/2 {
		t.Errorf("the file has %d bytes after %d", after, before)
	}
	if got := maintain(before, used*10/9); !strings.Contains(got, "almost full") {
		t.Errorf("at nine tenths of the quota: got log %q, want a warning", got)
	}
	if read(t, s).Instance("i-1") == nil {
		t.Error("after all, what was stored is gone")
	}
}

// There is no member that lags behind, so etcd's log of large writes is not kept in memory for one.
func TestLargeWritesAreNotKeptInMemory(t *testing.T) {
	s := storetest.Start(t, store.Options{Endpoints: storetest.Etcd(t)})
	write := func() {
		update(t, s, func(*vpc.State) (vpc.Change, error) {
			return vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: "i-1", UserData: make([]byte, 300_000)}}}, nil
		})
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	write()
	before := heap()
	const writes = 200 // of 400 kB, in base64
	for range writes {
		write()
	}
	if after, most := heap(), before+writes*400_000/2; after > most {
		t.Errorf("after %d writes got %d MB in use, before %d; want at most %d", writes, after>>20, before>>20, most>>20)
	}
}

// What looks after the embedded etcd does not disturb those who write and watch meanwhile: history is
// compacted up to the newest write, under open watches, and the file is defragmented.
func TestHousekeepingUnderLoad(t *testing.T) {
	s, endpoint := connected(t, &line{next: func(int64, clientv3.Op) fault { return none }}, store.Options{Timeout: time.Minute})
	r := record(t, []string{endpoint})
	update(t, s, func(*vpc.State) (vpc.Change, error) {
		return vpc.Change{Puts: []vpc.Object{&vpc.Installation{}}}, nil
	})
	r.history(t) // its watch is open
	c := etcdClient(t, []string{endpoint})
	done, rounds := make(chan struct{}), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			resp, err := c.Get(t.Context(), prefix+"fence")
			if err == nil {
				_, err = c.Compact(t.Context(), resp.Header.Revision)
			}
			if err == nil && rounds%10 == 0 {
				_, err = c.Defragment(t.Context(), endpoint)
			}
			if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
				t.Errorf("housekeeping: %v", err)
				return
			}
			rounds++
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	operations, stale := workload(t, []*store.Store{s}, 8, 60)
	close(done)
	wg.Wait()
	for _, v := range append(stale, violations(operations, r.history(t))...) {
		t.Error(v)
	}
	if n := count(operations); n[committed] != len(operations) || rounds < 3 {
		t.Errorf("%v of %d operations in %d rounds of housekeeping, want all committed", n, len(operations), rounds)
	}
}
