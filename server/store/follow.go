package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/vpc"
)

const pageSize = 1000 // objects per read when the whole state is read

// connectParams: an etcd that was away is tried again within a second.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 3 * time.Second,
}

// check refuses a store of a newer layout and an etcd with too small limits.
func (s *Store) check(ctx context.Context, endpoints []string) error {
	at := strings.Join(endpoints, ",")
	if s.lone {
		at = s.opts.Dir
	}
	attempt, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	// Everything that sorts after this layout: /sallyport/v2/, /sallyport/v10/.
	resp, err := s.kv.Get(attempt, clientv3.GetPrefixRangeEnd(root+layout+"/"),
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(root)), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	if err != nil && !s.lone && attempt.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no etcd answers at %s: is it running? Name its endpoints with --endpoints (%w)", at, err)
	}
	if err != nil {
		return fmt.Errorf("read from etcd at %s: %w", at, err)
	}
	what := "data directory"
	if !s.lone {
		what = "etcd at"
	}
	if len(resp.Kvs) > 0 {
		return fmt.Errorf("%s %s has layout %s, this program knows %s: use a newer sallyport",
			what, at, layoutOf(string(resp.Kvs[0].Key)), layout)
	}
	other, err := s.otherRegion(attempt)
	if err != nil {
		return fmt.Errorf("read from etcd at %s: %w", at, err)
	}
	if other != "" {
		return fmt.Errorf("%s %s belongs to region %s and has nothing of %s: start with --region %s, or keep another region elsewhere",
			what, at, other, s.opts.Region, other)
	}
	if s.lone {
		return nil
	}
	return s.checkLimits(ctx, at)
}

// otherRegion returns a region that the store holds in place of this one; empty if it holds this one,
// or none. Otherwise a mistyped region would begin a second, empty world beside the one that is meant.
func (s *Store) otherRegion(ctx context.Context) (string, error) {
	self := s.keys.object((*vpc.Installation)(nil).Key())
	resp, err := s.kv.Get(ctx, self, clientv3.WithCountOnly())
	if err != nil || resp.Count > 0 {
		return "", err
	}
	account := s.keys.account()
	for _, from := range []struct{ first, end string }{
		{account, s.keys.prefix},
		{clientv3.GetPrefixRangeEnd(s.keys.prefix), clientv3.GetPrefixRangeEnd(account)},
	} {
		resp, err := s.kv.Get(ctx, from.first, clientv3.WithRange(from.end), clientv3.WithLimit(1), clientv3.WithKeysOnly())
		if err != nil {
			return "", err
		}
		if len(resp.Kvs) > 0 {
			region, _, _ := strings.Cut(strings.TrimPrefix(string(resp.Kvs[0].Key), account), "/")
			return region, nil
		}
	}
	return "", nil
}

// checkLimits sends an external etcd the largest transactions that we may ever send, as reads.
func (s *Store) checkLimits(ctx context.Context, at string) error {
	const flags = "start etcd with --max-txn-ops=4096 --max-request-bytes=8388608 or more"
	ctx, cancel := context.WithTimeout(ctx, max(s.opts.Timeout, 30*time.Second)) // they take longer than others
	defer cancel()
	ops := make([]clientv3.Op, maxTxnOps)
	for i := range ops {
		ops[i] = clientv3.OpGet(s.keys.fence, clientv3.WithCountOnly())
	}
	_, err := s.kv.Txn(ctx).Then(ops...).Commit()
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		return fmt.Errorf("etcd at %s allows too few operations per transaction: %s", at, flags)
	} else if err != nil {
		return fmt.Errorf("try a transaction on etcd at %s: %w", at, err)
	}
	// etcd checks the size of what is written; gRPC before it the size of any request, with this
	// much added. Source: etcd server/etcdserver/api/v3rpc/grpc.go, grpcOverheadBytes.
	const overhead = 512 << 10
	large := strings.Repeat("x", maxRequestBytes+overhead-4096)
	_, err = s.kv.Txn(ctx).If(clientv3.Compare(clientv3.Value(s.keys.fence), "=", large)).Commit()
	if status.Code(err) == codes.ResourceExhausted {
		return fmt.Errorf("etcd at %s refuses a request of %d bytes: %s", at, len(large), flags)
	} else if err != nil {
		return fmt.Errorf("try a large request on etcd at %s: %w", at, err)
	}
	return nil
}

// follow reads the whole State, then applies what the watch brings, and begins again when the watch
// has fallen behind etcd's history. It returns an error when the store holds what it cannot read.
func (s *Store) follow(ctx context.Context) error {
	for synced := false; ; {
		n, revision, err := s.load(ctx)
		if err == nil {
			s.publish(n)
			if !synced {
				synced = true
				close(s.ready)
			}
			err = s.watch(ctx, revision+1)
		}
		var bad *unreadableError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &bad):
			return err
		}
		s.opts.Log.Warn("reading the whole state again", "err", err)
		if !sleep(ctx, retryPause) {
			return nil
		}
	}
}

// unreadableError: trying again does not help.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// load reads the whole State at one revision of etcd, which it returns too: the State's own revision
// is that of the last write to it.
func (s *Store) load(ctx context.Context) (*vpc.State, int64, error) {
	known, _ := s.newest()
	resp, err := s.kv.Get(ctx, s.keys.fence)
	if err != nil {
		return nil, 0, fmt.Errorf("read the state: %w", err)
	}
	at, fence := resp.Header.Revision, revisionOf(resp.Kvs)
	if fence < known.Revision() {
		return nil, 0, &unreadableError{fmt.Errorf("etcd went back from revision %d to %d: was it restored from a backup? start the server again", known.Revision(), fence)}
	}
	n := new(vpc.State)
	end := clientv3.GetPrefixRangeEnd(s.keys.prefix)
	for from := s.keys.prefix; ; {
		resp, err := s.kv.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(at), clientv3.WithLimit(pageSize))
		if err != nil {
			return nil, 0, fmt.Errorf("read the state: %w", err)
		}
		c, err := s.puts(resp.Kvs)
		if err != nil {
			return nil, 0, err
		}
		n = n.Apply(c, fence)
		if !resp.More {
			return n, at, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// puts returns the Change that stored objects are, decoded on all CPUs: a restart waits for it.
func (s *Store) puts(kvs []*mvccpb.KeyValue) (vpc.Change, error) {
	parts := make([]vpc.Change, runtime.GOMAXPROCS(0))
	var g errgroup.Group
	for i := range parts {
		g.Go(func() error {
			for _, kv := range kvs[len(kvs)*i/len(parts) : len(kvs)*(i+1)/len(parts)] {
				if err := s.put(&parts[i], kv); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return vpc.Change{}, err
	}
	var c vpc.Change
	for _, p := range parts {
		c.Puts = append(c.Puts, p.Puts...)
	}
	return c, nil
}

// put adds a stored object to a Change; the fence and the markers are none.
func (s *Store) put(c *vpc.Change, kv *mvccpb.KeyValue) error {
	key, ok, err := s.keys.key(string(kv.Key))
	if err != nil {
		return &unreadableError{err}
	}
	if !ok {
		return nil
	}
	o, err := decode(key, kv.Value)
	if err != nil {
		return &unreadableError{err}
	}
	c.Puts = append(c.Puts, o)
	return nil
}

// watch applies everything from a revision of etcd on. It returns when only a full read helps: what
// comes next was compacted.
func (s *Store) watch(ctx context.Context, from int64) error {
	for {
		var err error
		if from, err = s.watchOnce(ctx, from); err != nil {
			return err
		}
		if !sleep(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

// watchOnce watches until the watch ends and returns the revision from which the next one goes on.
func (s *Store) watchOnce(ctx context.Context, from int64) (int64, error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range s.watcher.Watch(ctx, s.keys.prefix, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithProgressNotify()) {
		if err := resp.Err(); errors.Is(err, rpctypes.ErrNoLeader) {
			s.opts.Log.Warn("etcd has no leader")
			return from, nil
		} else if err != nil {
			return from, fmt.Errorf("watch: %w", err)
		}
		if err := s.apply(resp.Events); err != nil {
			return from, err
		}
		// The header's revision may be ahead of the events when a watch catches up.
		if n := len(resp.Events); n > 0 {
			from = resp.Events[n-1].Kv.ModRevision + 1
		} else if resp.IsProgressNotify() {
			from = resp.Header.Revision + 1
		}
	}
	return from, nil
}

// apply publishes one State per revision in the events. etcd sends all events of a revision in one
// answer, in order of revisions.
func (s *Store) apply(events []*clientv3.Event) error {
	for len(events) > 0 {
		revision, same := events[0].Kv.ModRevision, 1
		for same < len(events) && events[same].Kv.ModRevision == revision {
			same++
		}
		if err := s.applyRevision(revision, events[:same]); err != nil {
			return err
		}
		events = events[same:]
	}
	return nil
}

// applyRevision publishes the State after one revision. What is known already is not decoded again:
// a commit of this server's own is published by whoever learns of it first.
func (s *Store) applyRevision(revision int64, events []*clientv3.Event) error {
	n, _ := s.newest()
	if revision <= n.Revision() {
		return nil
	}
	for _, e := range events {
		if string(e.Kv.Key) == s.marker && e.Type == mvccpb.PUT {
			if next := s.pendingAs(string(e.Kv.Value)); next != nil {
				s.publish(next.Apply(vpc.Change{}, revision))
				return nil
			}
		}
	}
	var c vpc.Change
	fenced := false
	for _, e := range events {
		if string(e.Kv.Key) == s.keys.fence {
			fenced = true
		} else if e.Type == mvccpb.PUT {
			if err := s.put(&c, e.Kv); err != nil {
				return err
			}
		} else if key, ok, err := s.keys.key(string(e.Kv.Key)); err != nil {
			return &unreadableError{err}
		} else if ok {
			c.Deletes = append(c.Deletes, key)
		}
	}
	switch {
	case fenced:
		s.publish(n.Apply(c, revision))
	case !c.Empty():
		return &unreadableError{fmt.Errorf("revision %d was written past the fence, by no sallyport: keep other writers out of %s", revision, s.keys.prefix)}
	}
	return nil
}

// revisionOf returns the revision of the one key that was asked for; 0: it does not exist.
func revisionOf(kvs []*mvccpb.KeyValue) int64 {
	if len(kvs) == 0 {
		return 0
	}
	return kvs[0].ModRevision
}

const retryPause = 50 * time.Millisecond

// sleep reports whether ctx lasted through the pause.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
