package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// The workload: every operation adds 1 to a counter and makes a host of its own. So an operation
// that is lost, or happens twice, or overwrites another, shows in the history of the two.

// operation is one call of Update and what its caller was told.
type operation struct {
	id       string
	told     outcome
	revision int64 // if told committed
	err      error
}

type outcome string

const (
	committed outcome = "committed"
	refused   outcome = "refused" // a *vpc.Error
	failed    outcome = "failed"  // another error: it did not happen
	unknown   outcome = "unknown" // it may have happened
)

func increment(id string) func(*vpc.State) (vpc.Change, error) {
	return func(s *vpc.State) (vpc.Change, error) {
		if s.Host(vpc.HostID(id)) != nil {
			return vpc.Change{}, vpc.Errorf("Duplicate", "host %s exists", id)
		}
		i := vpc.Installation{}
		if s.Installation() != nil {
			i = *s.Installation()
		}
		i.NextRule++
		return vpc.Change{Puts: []vpc.Object{&i, &vpc.Host{ID: vpc.HostID(id)}}}, nil
	}
}

// do runs one operation and takes down what came of it.
func do(ctx context.Context, s *store.Store, id string) operation {
	revision, err := s.Update(ctx, increment(id))
	o := operation{id: id, revision: revision, err: err}
	switch {
	case err == nil:
		o.told = committed
	case vpc.CodeOf(err) != "":
		o.told = refused
	case errors.Is(err, store.ErrUnknown):
		o.told = unknown
	default:
		o.told = failed
	}
	return o
}

// write is one revision of etcd, as a watch that no fault touches saw it.
type write struct {
	revision int64
	fenced   bool
	counter  int64 // -1: not written
	hosts    []string
}

const prefix = "/sallyport/v1/" + string(storetest.Account) + "/" + storetest.Region + "/"

// recorder collects the writes from the first revision on.
type recorder struct {
	client *clientv3.Client
	mu     sync.Mutex
	writes []write
	moved  chan struct{}
}

func record(t *testing.T, endpoints []string) *recorder {
	t.Helper()
	r := &recorder{client: etcdClient(t, endpoints), moved: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	events := r.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1))
	go func() {
		for resp := range events {
			r.mu.Lock()
			for _, e := range resp.Events {
				r.add(t, e)
			}
			r.mu.Unlock()
			select {
			case r.moved <- struct{}{}:
			default:
			}
		}
	}()
	return r
}

func (r *recorder) add(t *testing.T, e *clientv3.Event) {
	n := len(r.writes)
	if n == 0 || r.writes[n-1].revision != e.Kv.ModRevision {
		r.writes = append(r.writes, write{revision: e.Kv.ModRevision, counter: -1})
		n++
	}
	w := &r.writes[n-1]
	switch key := strings.TrimPrefix(string(e.Kv.Key), prefix); {
	case key == "fence":
		w.fenced = true
	case strings.HasPrefix(key, "commit/"):
	case strings.HasPrefix(key, "host/"):
		w.hosts = append(w.hosts, strings.TrimPrefix(key, "host/"))
	case key == "installation/self":
		var i vpc.Installation
		if err := json.Unmarshal(e.Kv.Value, &i); err != nil {
			t.Errorf("read the counter: %v", err)
		}
		w.counter = int64(i.NextRule)
	default:
		t.Errorf("unexpected key %s", key)
	}
}

// history returns everything that was written before the call.
func (r *recorder) history(t *testing.T) []write {
	t.Helper()
	resp, err := r.client.Get(t.Context(), prefix+"fence")
	if err != nil {
		t.Fatal(err)
	}
	var head int64
	if len(resp.Kvs) == 1 {
		head = resp.Kvs[0].ModRevision
	}
	for {
		r.mu.Lock()
		writes := r.writes
		r.mu.Unlock()
		if n := len(writes); head == 0 || n > 0 && writes[n-1].revision >= head {
			return writes
		}
		select {
		case <-r.moved:
		case <-t.Context().Done():
			t.Fatal("the recorder does not reach the head")
		}
	}
}

// violations compares what callers were told with what happened. None: every write happened whole,
// once, and on top of the one before it, and nobody was told wrong.
func violations(operations []operation, history []write) []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	var counter int64
	happened := map[string]int64{}
	for _, w := range history {
		if w.counter < 0 && len(w.hosts) == 0 {
			continue
		}
		if !w.fenced {
			report("revision %d passed the fence", w.revision)
		}
		if w.counter != counter+int64(len(w.hosts)) {
			report("lost update: revision %d makes the counter %d, after %d and with %d more", w.revision, w.counter, counter, len(w.hosts))
		}
		counter = w.counter
		for _, h := range w.hosts {
			if before := happened[h]; before != 0 {
				report("%s happened twice, at %d and %d", h, before, w.revision)
			}
			happened[h] = w.revision
		}
	}
	for _, o := range operations {
		switch at := happened[o.id]; o.told {
		case committed:
			if at != o.revision {
				report("%s was acknowledged at %d, but happened at %d", o.id, o.revision, at)
			}
		case refused: // each id is used once: nobody has a reason to refuse it
			report("%s was refused with %v; it happened at %d", o.id, o.err, at)
		case failed:
			if at != 0 {
				report("%s was told to have failed with %v, but happened at %d", o.id, o.err, at)
			}
		case unknown:
		}
	}
	return found
}

// count says how many operations had each outcome.
func count(operations []operation) map[outcome]int {
	n := map[outcome]int{}
	for _, o := range operations {
		n[o.told]++
	}
	return n
}
