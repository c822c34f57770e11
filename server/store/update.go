package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/vpc"
)

// Update writes what fn makes of the newest State, durably, and returns the revision of the write.
//
// fn must be pure: it runs again when another server wrote first. An error of fn is returned as it
// is and nothing is written; it is a refusal in view of every write acknowledged before. An empty
// Change writes nothing either; the revision is then that of the State that fn saw. After ErrUnknown
// nobody knows whether the write happened; after any other error it did not, and will not.
//
// ctx counts until fn runs; from then on Update waits for the outcome, at most Options.Timeout.
func (s *Store) Update(ctx context.Context, fn func(*vpc.State) (vpc.Change, error)) (revision int64, err error) {
	if err := s.waitReady(ctx); err != nil {
		return 0, err
	}
	u := &update{fn: fn, answered: make(chan struct{})}
	select {
	case s.queue <- u:
	case <-s.done:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the writes before this one: %w", context.Cause(ctx))
	}
	<-u.answered // whoever takes an update from the queue answers it
	return u.revision, u.err
}

// update is one waiting call of Update.
type update struct {
	fn       func(*vpc.State) (vpc.Change, error)
	answered chan struct{}
	revision int64
	err      error
}

func (u *update) answer(revision int64, err error) {
	u.revision, u.err = revision, err
	close(u.answered)
}

// A batch is bounded well below what a transaction may hold: from here on the fsync is shared by
// enough, and nobody waits long for others. A single update may be larger.
const (
	batchUpdates = 1024
	batchOps     = 1024
	batchBytes   = 1 << 20

	fenceOps      = 2       // fence and marker
	bytesPerOp    = 64      // what the encoding of a transaction adds to a key and a value, amply
	fenceBytes    = 4 << 10 // the same for fence, marker and the else branch
	maxChangeOps  = maxTxnOps - fenceOps
	maxChangeSize = maxRequestBytes - fenceBytes
)

// batch is what one transaction commits: updates that ran one after another, each on the State that
// the one before it left.
type batch struct {
	updates []*update
	results []result
	base    *vpc.State // what the first one saw
	next    *vpc.State // what the last one left; its revision is not the final one
	writes  map[vpc.Key]write
	bytes   int
}

// write is the value to put under a key; nil deletes the key.
type write []byte

// result is what an update came to, if the batch is committed.
type result struct {
	err   error // a refusal
	wrote bool  // it, or an update before it in the batch, has changed something
}

// run runs as many of the updates as fit into one batch, but at least one, on the newest State.
func (s *Store) run(updates []*update) *batch {
	base, _ := s.newest()
	b := &batch{base: base, next: base, writes: map[vpc.Key]write{}}
	for _, u := range updates {
		c, err := call(u.fn, b.next)
		var next *vpc.State
		var writes map[vpc.Key]write
		var size int
		if err == nil && !c.Empty() {
			next, writes, size, err = s.encode(b.next, c)
		}
		if err != nil {
			writes = nil
		}
		full := len(b.writes)+len(writes) > batchOps || b.bytes+size > batchBytes
		if len(writes) > 0 && len(b.writes) > 0 && full {
			return b // this one runs again, first in the next batch
		}
		maps.Copy(b.writes, writes) // a later write of the same key replaces an earlier one
		if len(writes) > 0 {
			b.next, b.bytes = next, b.bytes+size
		}
		b.updates = append(b.updates, u)
		b.results = append(b.results, result{err: err, wrote: len(b.writes) > 0})
	}
	return b
}

// call runs fn. A panic is an error of that update alone, as it would be in a handler of its own.
func call(fn func(*vpc.State) (vpc.Change, error), on *vpc.State) (c vpc.Change, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("update panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(on)
}

// encode returns the writes of a Change, their size, and the State after them. That State holds what
// was decoded from the bytes: exactly what another server, or this one after a restart, will hold.
func (s *Store) encode(on *vpc.State, c vpc.Change) (next *vpc.State, writes map[vpc.Key]write, size int, err error) {
	writes = make(map[vpc.Key]write, len(c.Puts)+len(c.Deletes))
	kept := vpc.Change{Deletes: c.Deletes}
	for _, k := range c.Deletes {
		writes[k] = nil
		size += len(s.keys.object(k)) + bytesPerOp
	}
	for _, o := range c.Puts {
		k := o.Key()
		value, err := json.Marshal(o)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("encode %s %s: %w", k.Kind, k.ID, err)
		}
		stored, err := vpc.New(k.Kind)
		if err == nil {
			err = json.Unmarshal(value, stored) // there can be no field that is unknown
		}
		if err != nil {
			return nil, nil, 0, fmt.Errorf("%s %s cannot be read back: %w", k.Kind, k.ID, err)
		}
		kept.Puts = append(kept.Puts, stored)
		writes[k] = value
		size += len(s.keys.object(k)) + len(value) + bytesPerOp
	}
	for k := range writes {
		if got, ok, err := s.keys.key(s.keys.object(k)); err != nil || !ok || got != k {
			return nil, nil, 0, fmt.Errorf("%q is no key of an object", k)
		}
	}
	switch {
	case len(writes) != len(c.Puts)+len(c.Deletes):
		return nil, nil, 0, errors.New("a change names the same object twice")
	case len(writes) > maxChangeOps || size > maxChangeSize:
		return nil, nil, 0, fmt.Errorf("%w: %d objects, %d bytes; it holds %d and %d", ErrTooLarge, len(writes), size, maxChangeOps, maxChangeSize)
	}
	return on.Apply(kept, on.Revision()), writes, size, nil
}

// ops returns the transaction's writes, without fence and marker.
func (s *Store) ops(b *batch) []clientv3.Op {
	ops := make([]clientv3.Op, 0, len(b.writes)+fenceOps)
	for k, value := range b.writes {
		if value == nil {
			ops = append(ops, clientv3.OpDelete(s.keys.object(k)))
		} else {
			ops = append(ops, clientv3.OpPut(s.keys.object(k), string(value)))
		}
	}
	return ops
}

// answer tells each update of a committed batch its result.
func (b *batch) answer(revision int64) {
	for i, u := range b.updates {
		switch r := b.results[i]; {
		case r.err != nil:
			u.answer(0, r.err)
		case r.wrote:
			u.answer(revision, nil)
		default:
			u.answer(b.base.Revision(), nil)
		}
	}
}
