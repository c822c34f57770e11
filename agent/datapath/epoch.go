package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// epochMap mirrors a map whose values count by epoch. A change writes the idle epoch's value, where
// no packet looks; after the flip, or after a failure, settle makes the other equal to what counts.
type epochMap[K comparable] struct {
	m      *ebpf.Map
	have   map[K]guestByEpoch
	dirty  map[K]struct{} // both values may differ
	writes *int           // counts writes to the kernel
}

func loadEpochMap[K comparable](m *ebpf.Map, writes *int) (*epochMap[K], error) {
	e := &epochMap[K]{m: m, have: map[K]guestByEpoch{}, dirty: map[K]struct{}{}, writes: writes}
	var key K
	var value guestByEpoch
	it := m.Iterate()
	for it.Next(&key, &value) {
		e.have[key] = value
		if value.Of[0] != value.Of[1] {
			e.dirty[key] = struct{}{}
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read map: %w", err)
	}
	return e, nil
}

// set gives a key the value that it has from the next epoch on; 0 removes it.
func (e *epochMap[K]) set(key K, next int, value uint32) error {
	v := e.have[key]
	if v.Of[next] == value {
		return nil
	}
	v.Of[next] = value
	if err := e.put(key, v); err != nil {
		return err
	}
	e.dirty[key] = struct{}{}
	return nil
}

// put writes in place where there is an element: see struct by_epoch.
func (e *epochMap[K]) put(key K, v guestByEpoch) error {
	*e.writes++
	if err := e.m.Update(key, v, ebpf.UpdateLock); err != nil {
		return err
	}
	e.have[key] = v
	return nil
}

// settle makes both values what the epoch that counts says. No packet may be in the other epoch.
func (e *epochMap[K]) settle(epoch int) error {
	for key := range e.dirty {
		v := e.have[key]
		if v.Of[0] != v.Of[1] || v.Of[epoch] == 0 {
			v.Of[1-epoch] = v.Of[epoch]
			if v.Of[epoch] != 0 {
				if err := e.put(key, v); err != nil {
					return err
				}
			} else {
				*e.writes++
				if err := deleteKey(e.m, key); err != nil {
					return err
				}
				delete(e.have, key)
			}
		}
		delete(e.dirty, key)
	}
	return nil
}

// deleteKey deletes a key that may be gone already.
func deleteKey(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
