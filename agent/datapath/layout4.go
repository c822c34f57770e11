package datapath

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
)

// Layout 4: connections in buckets of shared memory, which have no room for all of them; the others stand
// beside the buckets, in a kernel map. What is counted is as in layout 3. Its structs are as they were, and
// change no more; testdata/layout4.o has its programs.

type layout4Connection struct {
	Key            layout3ConnectionKey
	Seen, Created  uint32
	Stamp          [2]uint32
	Tables         uint64
	Packets, Bytes [2]uint64
	Revision       uint64
	By             [2]layout3Admission
	Next           [2]uint32
}

type layout4Bucket struct {
	Tags, Times [8]uint64
	Ways        [8]layout4Connection
}

type layout4Overflow struct {
	Tag        uint64
	Connection layout4Connection
}

type layout4Eni struct {
	Number, BucketMask uint32
	Secrets            [5]uint64
	Quota, Pad         uint32
	Config             [2][13]uint64
}

const (
	layout4ChunkBuckets = 1 << 10 // of one map of flows
	layout4FlowChunks   = 1 << 7  // of one slot

	// layout4Looks is how often an entry is looked at that programs write all the time. One that is passed over
	// is found when they write no more, and connections are visited again.
	layout4Looks = 1000
)

func openLayout4(dir string) (*older, error) {
	m, err := openOlder(dir, int(unsafe.Sizeof(layout4Eni{})), slices.Concat(countedMaps, []string{"connections", "flows"})...)
	if err != nil {
		return nil, err
	}
	m.connections = func(visit func(uint32, bool, layout3ConnectionKey, layout3Connection) error) error {
		for slot, a := range m.devices {
			// Half-open ones last: if there is no room for all, it is they that are not carried over. One that
			// is established meanwhile is found when they are visited again.
			for _, established := range []bool{true, false} {
				if a.ENI == "" {
					continue
				}
				if err := m.visitLayout4(uint32(slot), established, func(o layout4Overflow) error {
					return visit(uint32(slot), established, o.Connection.Key, o.convert())
				}); err != nil {
					return fmt.Errorf("connections of slot %d: %w", slot, err)
				}
			}
		}
		return nil
	}
	return m.readCounted()
}

// visitLayout4 visits established entries of a slot or the others, in the order in which they move: from the buckets
// to those beside them.
func (m *olderMaps) visitLayout4(slot uint32, established bool, visit func(layout4Overflow) error) error {
	enis := unsafe.Slice((*layout4Eni)(unsafe.Pointer(unsafe.SliceData(m.enis))), len(m.devices))
	for left, at := enis[slot].BucketMask+1, slot*layout4FlowChunks; left > 0; at++ {
		here := min(left, layout4ChunkBuckets)
		left -= here
		if err := inside(m.byName["flows"], at, func(inner *ebpf.Map) error {
			buckets, err := mapArray[layout4Bucket](inner)
			if err != nil {
				return err
			}
			for i := range buckets[:here] {
				if err := buckets[i].visit(established, visit); err != nil {
					return errors.Join(err, unmapArray(buckets))
				}
			}
			return unmapArray(buckets)
		}); err != nil {
			return err
		}
	}
	return inside(m.byName["connections"], slot, func(inner *ebpf.Map) error {
		return each(inner, func(k layout3ConnectionKey, first layout4Overflow) error {
			if first.isEstablished() != established {
				return nil
			}
			o, ok, err := readLayout4(first, func() (now layout4Overflow, err error) {
				err = inner.Lookup(k, &now)
				return now, err
			})
			if !ok || o.isEstablished() != established || o.Connection.Key != k { // whose memory another key got
				return err
			}
			return visit(o)
		})
	})
}

func (b *layout4Bucket) visit(established bool, visit func(layout4Overflow) error) error {
	var fence atomic.Uint32
	for way := range b.Tags {
		if !isLive(atomic.LoadUint64(&b.Tags[way])) {
			continue
		}
		look := func() (layout4Overflow, error) {
			o := layout4Overflow{atomic.LoadUint64(&b.Tags[way]), b.Ways[way]}
			fence.Add(1) // what was read is read before the tag is again
			return o, nil
		}
		first, _ := look()
		o, ok, err := readLayout4(first, look)
		if ok && o.isEstablished() == established {
			err = visit(o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readLayout4 looks at an entry once more, until it was the same three times: what the second look has seen lies
// between two looks at the same tag, and is of one moment. Not ok: there is nothing, or what a program writes.
func readLayout4(now layout4Overflow, look func() (layout4Overflow, error)) (o layout4Overflow, ok bool, err error) {
	same := 0
	for range layout4Looks {
		switch {
		case !isLive(now.Tag):
			return o, false, nil
		case now.Tag&flagChanging != 0:
			same = 0
			runtime.Gosched()
		case same > 0 && isSameEntry(now.Tag, o.Tag):
			same++
		default:
			same = 1
		}
		if same == 3 {
			o.Tag = now.Tag
			return o, true, nil
		}
		o = now
		if now, err = look(); err != nil {
			return o, false, notThere(err)
		}
	}
	return o, false, nil
}

func (o *layout4Overflow) isEstablished() bool {
	return flagsOf(o.Tag)&guestConnectionFlagCONNECTION_ESTABLISHED != 0
}

// convert says what an entry is in layout 3.
func (o *layout4Overflow) convert() layout3Connection {
	c := &o.Connection
	return layout3Connection{
		Created: uint64(c.Created), Seen: uint64(c.Seen), Packets: c.Packets, Bytes: c.Bytes,
		Revision: c.Revision, Tables: c.Tables, By: c.By, Flags: flagsOf(o.Tag), Next: c.Next,
	}
}
