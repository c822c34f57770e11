// Package storetest gives tests a real store on a real etcd in a temporary directory.
package storetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

// Account and Region are those of every store that this package starts.
const (
	Account vpc.AccountID = "123456789012"
	Region  string        = "us-east-1"
)

// New returns a store that is ready, on an embedded etcd of its own. It ends with the test.
func New(t testing.TB) *store.Store {
	return Start(t, store.Options{Dir: t.TempDir()})
}

// Start runs a store with these options, and Account, Region, a Timeout that a loaded machine keeps
// and the test's log where they are empty, until the test ends. It is ready when Start returns.
func Start(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.Account == "" {
		o.Account = Account
	}
	if o.Region == "" {
		o.Region = Region
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := store.New(o)
	if err != nil {
		t.Fatal(err)
	}
	Run(t, s)
	return s
}

// Run runs a store until the test ends, or until stop is called, which waits for its end. The store
// is ready when Run returns.
func Run(t testing.TB, s *store.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx)
		close(ended)
	}()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("store: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case <-s.Ready():
	case err := <-ended:
		t.Fatalf("store: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("store is not ready after 2 min")
	}
	return stop
}

// Etcd returns the endpoints of an etcd of its own that ends with the test: for several stores.
func Etcd(t testing.TB) []string {
	t.Helper()
	e, err := store.StartEtcd(context.Background(), t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return []string{e.Endpoint()}
}
