package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// putHost returns an update that adds a host, and refuses one that exists.
func putHost(id string) func(*vpc.State) (vpc.Change, error) {
	return func(s *vpc.State) (vpc.Change, error) {
		if s.Host(vpc.HostID(id)) != nil {
			return vpc.Change{}, vpc.Errorf("Duplicate", "host %s exists", id)
		}
		return vpc.Change{Puts: []vpc.Object{&vpc.Host{ID: vpc.HostID(id)}}}, nil
	}
}

func deleteHost(id string) func(*vpc.State) (vpc.Change, error) {
	return func(s *vpc.State) (vpc.Change, error) {
		return vpc.Change{Deletes: []vpc.Key{{Kind: vpc.KindHost, ID: id}}}, nil
	}
}

func hosts(s *vpc.State) string {
	var ids []string
	for h := range s.Hosts() {
		ids = append(ids, string(h.ID))
	}
	return strings.Join(ids, " ")
}

func update(t *testing.T, s *store.Store, fn func(*vpc.State) (vpc.Change, error)) int64 {
	t.Helper()
	revision, err := s.Update(t.Context(), fn)
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	return revision
}

func read(t *testing.T, s *store.Store) *vpc.State {
	t.Helper()
	n, err := s.Read(t.Context())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return n
}

func etcdClient(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUpdate(t *testing.T) {
	s := storetest.New(t)
	first := update(t, s, putHost("a"))
	if n := read(t, s); hosts(n) != "a" || n.Revision() != first || first == 0 {
		t.Errorf("after the first update: got %q at %d, want %q at %d", hosts(n), n.Revision(), "a", first)
	}

	if _, err := s.Update(t.Context(), putHost("a")); vpc.CodeOf(err) != "Duplicate" {
		t.Errorf("a refusal: got %v, want Duplicate as it is", err)
	}
	if got := update(t, s, func(*vpc.State) (vpc.Change, error) { return vpc.Change{}, nil }); got != first {
		t.Errorf("an empty change: got revision %d, want that of the state, %d", got, first)
	}
	if n := read(t, s); n.Revision() != first {
		t.Errorf("a refusal and an empty change moved the state from %d to %d", first, n.Revision())
	}

	second := update(t, s, deleteHost("a"))
	if n := read(t, s); hosts(n) != "" || n.Revision() != second || second <= first {
		t.Errorf("after the delete: got %q at %d, want nothing at %d", hosts(n), n.Revision(), second)
	}
}

func TestUpdateRefusesBadChanges(t *testing.T) {
	s := storetest.New(t)
	many := make([]vpc.Object, 5000)
	for i := range many {
		many[i] = &vpc.Host{ID: vpc.HostID(fmt.Sprint("h", i))}
	}
	for name, tt := range map[string]struct {
		change vpc.Change
		want   string
	}{
		"twice": {vpc.Change{Puts: []vpc.Object{&vpc.Host{ID: "a"}}, Deletes: []vpc.Key{{Kind: vpc.KindHost, ID: "a"}}}, "names the same object twice"},
		"no id": {vpc.Change{Puts: []vpc.Object{&vpc.Host{}}}, "no key of an object"},
		"many":  {vpc.Change{Puts: many}, "too large for one transaction: 5000 objects"},
		"large": {vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: "i-1", UserData: make([]byte, 7<<20)}}}, "too large for one transaction: 1 objects"},
	} {
		t.Run(name, func(t *testing.T) {
			// Others in the same batch are not concerned.
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() { update(t, s, putHost(fmt.Sprint(name, i))) })
			}
			_, err := s.Update(t.Context(), func(*vpc.State) (vpc.Change, error) { return tt.change, nil })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			wg.Wait()
		})
	}
	t.Run("panic", func(t *testing.T) {
		_, err := s.Update(t.Context(), func(*vpc.State) (vpc.Change, error) { panic("oops") })
		if err == nil || !strings.Contains(err.Error(), "oops") {
			t.Errorf("got %v, want an error that says oops", err)
		}
	})
	// The largest that fits, in one transaction.
	revision := update(t, s, func(*vpc.State) (vpc.Change, error) { return vpc.Change{Puts: many[:4000]}, nil })
	if n := read(t, s); n.Count(vpc.KindHost) != 4020 || n.Revision() != revision {
		t.Errorf("got %d hosts at %d, want 4020 at %d", n.Count(vpc.KindHost), n.Revision(), revision)
	}
}

// Updates that wait together see each other's changes, and each key is written once.
func TestUpdatesSeeEachOther(t *testing.T) {
	s := storetest.New(t)
	const workers, rounds = 16, 50
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range rounds {
				update(t, s, func(s *vpc.State) (vpc.Change, error) {
					i := vpc.Installation{}
					if s.Installation() != nil {
						i = *s.Installation()
					}
					i.NextRule++
					return vpc.Change{Puts: []vpc.Object{&i}}, nil
				})
				update(t, s, putHost(fmt.Sprint(w)))
				update(t, s, deleteHost(fmt.Sprint(w)))
			}
		})
	}
	wg.Wait()
	n := read(t, s)
	if got := n.Installation().NextRule; got != workers*rounds {
		t.Errorf("counter is %d after %d increments", got, workers*rounds)
	}
	if hosts(n) != "" {
		t.Errorf("hosts %q are left, want none", hosts(n))
	}
}

// What a caller does to its objects later does not reach the State.
func TestStateHoldsWhatIsStored(t *testing.T) {
	s := storetest.New(t)
	i := &vpc.Instance{ID: "i-1", Launched: time.Now(), Tags: vpc.Tags{"Name": "before"}, UserData: []byte{}}
	update(t, s, func(*vpc.State) (vpc.Change, error) { return vpc.Change{Puts: []vpc.Object{i}}, nil })
	i.Tags["Name"] = "after"
	got := read(t, s).Instance("i-1")
	if got.Tags["Name"] != "before" {
		t.Errorf("the tag in the State is %q, want %q", got.Tags["Name"], "before")
	}
	if !got.Launched.Equal(i.Launched) || got.Launched != got.Launched.Round(0) {
		t.Errorf("the time in the State is %v, want %v without a monotonic clock", got.Launched, i.Launched)
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	var revision int64
	for round, want := range []string{"a", "a b", "a b c"} {
		s, err := store.New(store.Options{Dir: dir, Account: storetest.Account, Region: storetest.Region, Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		stop := storetest.Run(t, s)
		if n := read(t, s); n.Revision() != revision {
			t.Errorf("round %d begins at revision %d, want %d", round, n.Revision(), revision)
		}
		revision = update(t, s, putHost(string(rune('a'+round))))
		if got := hosts(read(t, s)); got != want {
			t.Errorf("round %d: got hosts %q, want %q", round, got, want)
		}
		stop()
		if _, err := s.Read(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Read after the end: got %v, want ErrClosed", err)
		}
		if _, err := s.Update(t.Context(), putHost("z")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Update after the end: got %v, want ErrClosed", err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	run := func(t *testing.T, o store.Options) error {
		t.Helper()
		o.Account, o.Region = storetest.Account, storetest.Region
		s, err := store.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return s.Run(ctx)
	}
	put := func(t *testing.T, dir, key, value string) {
		t.Helper()
		e, err := store.StartEtcd(t.Context(), dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		c := etcdClient(t, []string{e.Endpoint()})
		defer c.Close()
		if _, err := c.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ key, value, want string }{
		"newer layout":    {"/sallyport/v2/x", "", "has layout 2, this program knows 1: use a newer sallyport"},
		"layout 10":       {"/sallyport/v10/x/y", "", "has layout 10, this program knows 1"},
		"other region":    {"/sallyport/v1/123456789012/eu-west-1/installation/self", "{}", "belongs to region eu-west-1 and has nothing of us-east-1: start with --region eu-west-1"},
		"a later region":  {"/sallyport/v1/123456789012/us-east-10/installation/self", "{}", "belongs to region us-east-10 and has nothing of us-east-1"},
		"unknown kind":    {"/sallyport/v1/123456789012/us-east-1/no-such-kind/x-1", "{}", "unknown kind of object"},
		"unknown field":   {"/sallyport/v1/123456789012/us-east-1/host/a", `{"ID":"a","Quarantined":true}`, "Quarantined"},
		"torn value":      {"/sallyport/v1/123456789012/us-east-1/host/a", `{"ID":`, "decode host a"},
		"under wrong key": {"/sallyport/v1/123456789012/us-east-1/host/a", `{"ID":"b"}`, "host b is stored under the key of host a"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, tt.key, tt.value)
			if err := run(t, store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("second server", func(t *testing.T) {
		dir := t.TempDir()
		storetest.Start(t, store.Options{Dir: dir})
		if err := run(t, store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another server") {
			t.Errorf("got %v, want an error that says that the directory is in use", err)
		}
	})
	t.Run("path too long for a socket", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
		s := storetest.Start(t, store.Options{Dir: dir})
		update(t, s, putHost("a"))
	})
	t.Run("no etcd there", func(t *testing.T) {
		err := run(t, store.Options{Endpoints: []string{"unix://" + t.TempDir() + "/none"}, Timeout: 300 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "etcd answers at unix://") {
			t.Errorf("got %v, want an error that names the endpoint", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]store.Options{
		"no place":   {Account: "1", Region: "r"},
		"no account": {Dir: "d", Region: "r"},
		"no region":  {Dir: "d", Account: "1"},
		"slash":      {Dir: "d", Account: "1", Region: "r/s"},
	} {
		if _, err := store.New(o); err == nil {
			t.Errorf("%s: New(%+v) took it", name, o)
		}
	}
}

// Each consumer sees revisions rise, and the newest in the end; at once if nothing changes.
func TestWatch(t *testing.T) {
	s := storetest.New(t)
	update(t, s, putHost("first"))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var last int64
			for n := range s.Watch(t.Context()) {
				if n.Revision() <= last {
					t.Errorf("revision %d after %d", n.Revision(), last)
				}
				last = n.Revision()
				if n.Host("last") != nil {
					return
				}
			}
			t.Error("the watch ended before the last update")
		})
	}
	for i := range 200 {
		update(t, s, putHost(fmt.Sprint(i)))
	}
	update(t, s, putHost("last"))
	wg.Wait()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range s.Watch(ctx) {
		cancel() // the watch ends with its context
	}
}

// Several servers on one etcd: what one acknowledged, the other reads.
func TestReadYourWritesOnAnyServer(t *testing.T) {
	endpoints := storetest.Etcd(t)
	a := storetest.Start(t, store.Options{Endpoints: endpoints})
	b := storetest.Start(t, store.Options{Endpoints: endpoints})
	for i := range 100 {
		writer, reader := a, b
		if i%2 == 1 {
			writer, reader = b, a
		}
		id := fmt.Sprint(i)
		revision := update(t, writer, putHost(id))
		n := read(t, reader)
		if n.Host(vpc.HostID(id)) == nil || n.Revision() < revision {
			t.Fatalf("host %s was written at %d; the other server reads revision %d without it", id, revision, n.Revision())
		}
		// A refusal counts as a read.
		if _, err := reader.Update(t.Context(), putHost(id)); vpc.CodeOf(err) != "Duplicate" {
			t.Fatalf("a second host %s: got %v, want Duplicate", id, err)
		}
	}
	var got []vpc.Object
	for o := range read(t, b).Objects() {
		got = append(got, o)
	}
	if want := slices.Collect(read(t, a).Objects()); len(want) != 100 || !reflect.DeepEqual(got, want) {
		t.Errorf("the two servers hold different objects:\n%v\n%v", want, got)
	}
}
