package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// The test binary is also the server that TestPromise08Durable kills.
const (
	childDir  = "SALLYPORT_STORE_TEST_DIR"
	childMode = "SALLYPORT_STORE_TEST_MODE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child writes from many callers at once, for ever, and prints each write that was acknowledged.
func child(dir, mode string) error {
	s, err := store.New(store.Options{Dir: dir, Account: storetest.Account, Region: storetest.Region})
	if err != nil {
		return err
	}
	if mode == "early" {
		s.Inject(func(kv clientv3.KV) clientv3.KV { return &earlyKV{KV: kv} },
			func(w clientv3.Watcher) clientv3.Watcher { return w }, func(l clientv3.Lease) clientv3.Lease { return l })
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	var out sync.Mutex
	for c := range 8 {
		go func() {
			for k := 0; ; k++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), c, k)
				if _, err := s.Update(context.Background(), increment(id)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(id)
				out.Unlock()
			}
		}()
	}
	return <-ended
}

// earlyKV is a broken variant: it acknowledges a transaction, and sends it when it finds the time.
type earlyKV struct {
	clientv3.KV
	mu sync.Mutex // keeps them in order
}

func (k *earlyKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	if !commits(op) {
		return k.KV.Do(ctx, op)
	}
	cmps, _, _ := op.Txn()
	fence := cmps[0].GetCompare().GetModRevision()
	k.mu.Lock()
	go func() {
		defer k.mu.Unlock()
		time.Sleep(time.Millisecond) // an fsync on a slow disk
		if resp, err := k.KV.Do(context.WithoutCancel(ctx), op); err != nil || !resp.Txn().Succeeded {
			fmt.Fprintln(os.Stderr, "early:", err)
		}
	}()
	resp := &clientv3.TxnResponse{Succeeded: true, Header: &etcdserverpb.ResponseHeader{Revision: max(fence+1, 2)}}
	return resp.OpResponse(), nil
}

// killed runs rounds of a child on one directory, each killed with SIGKILL in the middle of its
// writes, and returns the ids that were acknowledged and are gone.
func killed(t *testing.T, mode string, rounds, writes int) (acknowledged int, lost []string) {
	t.Helper()
	dir := t.TempDir()
	var ids []string
	for range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n := 0
		for lines := bufio.NewScanner(stdout); lines.Scan(); { // to the end: what was printed before the kill counts
			ids = append(ids, lines.Text())
			if n++; n == writes {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); n < writes {
			t.Fatalf("the child ended by itself after %d writes: %v\n%s", n, err, stderr.String())
		}
		s, err := store.New(store.Options{Dir: dir, Account: storetest.Account, Region: storetest.Region, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		stop := storetest.Run(t, s)
		state := read(t, s)
		for _, id := range ids {
			if state.Host(vpc.HostID(id)) == nil {
				lost = append(lost, id)
			}
		}
		if got, want := int(state.Installation().NextRule), state.Count(vpc.KindHost); got != want {
			t.Errorf("half a change: the counter is %d with %d hosts", got, want)
		}
		stop()
	}
	return len(ids), lost
}

// Promise 8, acknowledged means durable: the server is killed amid its writes, again and again.
func TestPromise08Durable(t *testing.T) {
	n, lost := killed(t, "", 4, 400)
	if len(lost) > 0 {
		t.Errorf("%d of %d acknowledged writes are lost: %v", len(lost), n, lost)
	}
	t.Logf("%d acknowledged, %d lost", n, len(lost))
	t.Run("broken variant", func(t *testing.T) {
		if n, lost := killed(t, "early", 4, 400); len(lost) == 0 {
			t.Errorf("the test does not see that writes are acknowledged too early: %d acknowledged, none lost", n)
		} else {
			t.Logf("%d acknowledged, %d lost", n, len(lost))
		}
	})
}

// Promise 8, acknowledged means visible: a read on another server, begun after the answer, sees it.
func TestPromise08Visible(t *testing.T) {
	stale := func(t *testing.T, change func(clientv3.KV) clientv3.KV) (stale int) {
		endpoints := storetest.Etcd(t)
		var stores []*store.Store
		for range 2 {
			s, err := store.New(store.Options{Endpoints: endpoints, Account: storetest.Account, Region: storetest.Region, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			s.Inject(change, func(w clientv3.Watcher) clientv3.Watcher { return &slowWatcher{w} }, func(l clientv3.Lease) clientv3.Lease { return l })
			storetest.Run(t, s)
			stores = append(stores, s)
		}
		for i := range 100 {
			writer, reader := stores[i%2], stores[(i+1)%2]
			revision := update(t, writer, putHost(fmt.Sprint(i)))
			if n := read(t, reader); n.Revision() < revision || n.Host(vpc.HostID(fmt.Sprint(i))) == nil {
				stale++
			}
		}
		return stale
	}
	if n := stale(t, func(kv clientv3.KV) clientv3.KV { return kv }); n != 0 {
		t.Errorf("%d of 100 reads on the other server do not show what was acknowledged", n)
	}
	t.Run("broken variant", func(t *testing.T) {
		if n := stale(t, func(kv clientv3.KV) clientv3.KV { return &headlessKV{kv} }); n == 0 {
			t.Error("the test does not see that reads skip the head revision")
		} else {
			t.Logf("%d of 100 reads are stale", n)
		}
	})
}

// slowWatcher brings the news later than any read could: who does not ask for the newest write cannot
// be right by luck.
type slowWatcher struct{ clientv3.Watcher }

func (w *slowWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	in, out := w.Watcher.Watch(ctx, key, opts...), make(chan clientv3.WatchResponse)
	go func() {
		defer close(out)
		for resp := range in {
			time.Sleep(10 * time.Millisecond)
			select {
			case out <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// headlessKV is a broken variant: nobody asks etcd what the newest write is.
type headlessKV struct{ clientv3.KV }

func (k *headlessKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	resp, err := k.KV.Get(ctx, key, opts...)
	if err == nil && key == prefix+"fence" {
		resp.Kvs = nil
	}
	return resp, err
}
