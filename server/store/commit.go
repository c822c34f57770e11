package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/vpc"
)

// commitAll takes waiting updates from the queue and commits them in batches until ctx ends. What it
// took it answers: a batch under way is finished.
func (s *Store) commitAll(ctx context.Context) error {
	for {
		var waiting []*update
		select {
		case <-ctx.Done():
			return nil
		case u := <-s.queue:
			waiting = append(waiting, u)
		}
	drain:
		for len(waiting) < batchUpdates {
			select {
			case u := <-s.queue:
				waiting = append(waiting, u)
			default:
				break drain
			}
		}
		for len(waiting) > 0 {
			waiting = waiting[s.settle(ctx, waiting):]
		}
	}
}

// settle runs the first updates, commits them together, answers them, and returns how many they
// were. When another server wrote first it runs them again, unless the store is about to close.
func (s *Store) settle(running context.Context, waiting []*update) int {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), s.opts.Timeout)
	defer cancel()
	running, cancelWait := context.WithTimeout(running, s.opts.Timeout)
	defer cancelWait()
	for {
		b := s.run(waiting)
		revision, err := s.commit(ctx, b)
		if conflict, ok := errors.AsType[*conflictError](err); ok {
			// Nothing of the batch was or will be written.
			if _, err = s.waitFor(running, conflict.head); err == nil {
				err = running.Err()
			}
			if err == nil {
				continue
			}
			err = fmt.Errorf("%w, and then: %w", conflict, err)
		}
		if err == nil {
			b.answer(revision)
			return len(b.updates)
		}
		if len(b.updates) > 1 && neverWritten(err) {
			waiting = waiting[:1] // one of them may be what etcd refuses
			continue
		}
		for _, u := range b.updates {
			u.answer(0, err)
		}
		return len(b.updates)
	}
}

// conflictError: another server's write came first. The batch was not written and never will be.
type conflictError struct{ head int64 }

func (e *conflictError) Error() string {
	return fmt.Sprintf("another server wrote revision %d first", e.head)
}

// commit writes a batch, publishes the State after it and returns its revision. On ErrUnknown it may
// have happened or happen later; on any other error it did not and will not.
func (s *Store) commit(ctx context.Context, b *batch) (int64, error) {
	base := b.base.Revision()
	if len(b.writes) == 0 {
		if s.lone {
			return base, nil
		}
		// A refusal is as good as the State it was made of.
		head, err := s.headRevision(ctx)
		if err == nil && head != base {
			err = &conflictError{head}
		}
		return base, err
	}
	id, ops := s.opts.ID(), s.ops(b)
	s.setPending(id, b.next)
	var revision int64
	for {
		lease, err := s.markerLease(ctx)
		if err != nil {
			return 0, err
		}
		revision, err = s.write(ctx, base, id, s.fenced(base, id, lease, ops))
		if errors.Is(err, rpctypes.ErrLeaseNotFound) && ctx.Err() == nil {
			s.leased = 0 // etcd forgot it: get another
			continue
		}
		if err != nil {
			return 0, err
		}
		break
	}
	s.publish(b.next.Apply(vpc.Change{}, revision))
	return revision, nil
}

// fenced returns a transaction that does the writes if the fence still is at the revision base, and
// otherwise reads what came in between. It leaves id in this server's marker.
func (s *Store) fenced(base int64, id string, lease clientv3.LeaseID, writes []clientv3.Op) clientv3.Op {
	writes = append(slices.Clone(writes),
		clientv3.OpPut(s.keys.fence, ""),
		clientv3.OpPut(s.marker, id, clientv3.WithLease(lease)))
	return clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.keys.fence), "=", base)},
		writes, s.outcome())
}

// outcome reads fence and marker together.
func (s *Store) outcome() []clientv3.Op {
	return []clientv3.Op{clientv3.OpGet(s.keys.fence), clientv3.OpGet(s.marker)}
}

// write brings a transaction through, whatever happens to the connection, and finds out whether it
// was committed.
//
// It is safe to send it again as it is: as long as the fence has not moved, at most one copy can be
// written; the moment one is, the fence moves and the marker holds its id. Only this server writes
// the marker, one transaction at a time, so a fence that moved without the marker was moved by
// somebody else, and no copy that is still on its way can be written any more.
func (s *Store) write(ctx context.Context, base int64, id string, txn clientv3.Op) (int64, error) {
	for {
		resp, err := s.do(ctx, txn)
		if err == nil && resp.Succeeded {
			return resp.Header.Revision, nil
		}
		if err != nil && neverWritten(err) {
			return 0, fmt.Errorf("commit: %w", err)
		}
		if err != nil {
			cause := err
			if resp, err = s.askOutcome(ctx); err != nil {
				return 0, fmt.Errorf("%w: %w; asked for the outcome: %w", ErrUnknown, cause, err)
			}
			err = cause
		}
		head, committed := s.outcomeOf(resp, id)
		switch {
		case committed != 0:
			return committed, nil
		case head != base:
			return 0, &conflictError{head}
		case errors.Is(err, rpctypes.ErrNoSpace):
			return 0, fmt.Errorf("commit: %w", err) // answered, so no copy is on its way
		case !sleep(ctx, retryPause):
			return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
}

// do sends a transaction once. It waits for a part of the time that ctx has, so that there is time
// left to try again.
func (s *Store) do(ctx context.Context, txn clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout/4)
	defer cancel()
	resp, err := s.kv.Do(ctx, txn)
	if err != nil {
		return nil, err
	}
	return resp.Txn(), nil
}

// askOutcome reads fence and marker, linearizably, until it is answered or ctx ends.
func (s *Store) askOutcome(ctx context.Context) (*clientv3.TxnResponse, error) {
	for {
		resp, err := s.do(ctx, clientv3.OpTxn(nil, s.outcome(), nil))
		if err == nil || !sleep(ctx, retryPause) {
			return resp, err
		}
	}
}

// outcomeOf returns the revision of the fence, and that of the marker if it holds the id; else 0.
func (s *Store) outcomeOf(resp *clientv3.TxnResponse, id string) (head, committed int64) {
	head = revisionOf(resp.Responses[0].GetResponseRange().Kvs)
	if kvs := resp.Responses[1].GetResponseRange().Kvs; len(kvs) == 1 && string(kvs[0].Value) == id {
		committed = kvs[0].ModRevision
	}
	return head, committed
}

// neverWritten reports whether etcd refused a transaction before writing anything. Running out of
// space is not among them: etcd may notice that after it has written.
// Source: etcd server/etcdserver/apply/quota.go, quotaApplierV3.Txn.
func neverWritten(err error) bool {
	for _, refusal := range []error{
		rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrEmptyKey, rpctypes.ErrDuplicateKey,
		rpctypes.ErrLeaseNotFound, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken, rpctypes.ErrUserEmpty,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// markerTTL bounds how long the marker of a server that is gone stays. It is looked at within
// seconds of being written.
const markerTTL = time.Hour

// markerLease returns a lease with at least half of markerTTL left.
func (s *Store) markerLease(ctx context.Context) (clientv3.LeaseID, error) {
	if s.leased != 0 && time.Since(s.granted) < markerTTL/2 {
		return s.leased, nil
	}
	for {
		before := time.Now()
		attempt, cancel := context.WithTimeout(ctx, s.opts.Timeout/4)
		resp, err := s.lease.Grant(attempt, int64(markerTTL/time.Second))
		cancel()
		if err == nil {
			s.leased, s.granted = resp.ID, before
			return s.leased, nil
		}
		if !sleep(ctx, retryPause) {
			return 0, fmt.Errorf("get a lease for the commit marker: %w", err)
		}
	}
}
