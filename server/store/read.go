package store

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/vpc"
)

// Read returns a State that holds every write acknowledged before the call, by whatever server. An
// error means that nobody could say what the newest write is.
func (s *Store) Read(ctx context.Context) (*vpc.State, error) {
	if err := s.waitReady(ctx); err != nil {
		return nil, err
	}
	if s.lone {
		n, _ := s.newest() // a commit is published before it is acknowledged, and all are ours
		return n, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	r := s.joinHeadRead()
	select {
	case <-r.done:
	case <-s.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("read the head revision: %w", context.Cause(ctx))
	}
	if r.err != nil {
		return nil, r.err
	}
	return s.waitFor(ctx, r.revision)
}

// headRead is one linearizable read of the fence. All who ask before it begins share it; who asks
// later may know of a newer write.
type headRead struct {
	done     chan struct{}
	revision int64
	err      error
}

func (s *Store) joinHeadRead() *headRead {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &headRead{done: make(chan struct{})}
		select {
		case s.heads <- struct{}{}:
		default:
		}
	}
	return s.next
}

// readHeads does one head read after the other while somebody waits for one.
func (s *Store) readHeads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.heads:
		}
		s.mu.Lock()
		r := s.next
		s.next = nil
		s.mu.Unlock()
		r.revision, r.err = s.headRevision(ctx)
		close(r.done)
	}
}

// headRevision asks etcd for the revision of the newest write, ours or another server's.
func (s *Store) headRevision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	resp, err := s.kv.Get(ctx, s.keys.fence)
	if err != nil {
		return 0, fmt.Errorf("read the head revision: %w", err)
	}
	return revisionOf(resp.Kvs), nil
}
