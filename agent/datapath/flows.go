package datapath

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// The agent's side of bpf/entry.h: it reads the entries of a slot through shared memory, and removes and
// cuts them with one exchange of their tag each.

const (
	tagFlags   uint64 = 0xffff
	tagVersion uint64 = 0xffff_0000

	flagBusy     = uint64(guestConnectionFlagCONNECTION_BUSY)
	flagChanging = uint64(guestConnectionFlagCONNECTION_CHANGING)

	oneMore uint64 = 1<<32 + 1 // of struct occupancy
	oneLess uint64 = 1<<32 - 1
)

func flagsOf(tag uint64) guestConnectionFlag { return guestConnectionFlag(tag & tagFlags) }

func isLive(tag uint64) bool { return tag&tagFlags != 0 && tag&flagBusy == 0 }

func isSameEntry(tag, other uint64) bool { return (tag^other)&^tagFlags == 0 }

func nextVersion(tag uint64) uint64 { return tag&^tagVersion | (tag+1<<16)&tagVersion }

// ways is how many ways a bucket has.
const ways = len(guestBucket{}.Tags)

// bucketsFor is how many buckets have so many ways: a power of two, and no more than an ENI can have.
func bucketsFor(entries uint32) uint32 {
	return min(1<<bits.Len32((max(entries, 1)-1)/uint32(ways)), chunkBuckets*maxFlowChunks)
}

// readWay returns what stands in a way of a bucket, as it was at one moment; not ok: nothing.
func readWay(b *guestBucket, way int) (tag uint64, c guestConnection, ok bool) {
	var fence atomic.Uint32
	for {
		tag = atomic.LoadUint64(&b.Tags[way])
		switch {
		case !isLive(tag):
			return 0, c, false
		case tag&flagChanging != 0: // a program is at it, for some nanoseconds
			runtime.Gosched()
			continue
		}
		c = b.Ways[way]
		fence.Add(1) // what was read is read before the tag is again
		if now := atomic.LoadUint64(&b.Tags[way]); isSameEntry(now, tag) && isLive(now) {
			return now, c, true
		}
	}
}

// exchange gives the entry that was read another tag, or flags that it got meanwhile as well: to says
// which, from the one it has. False: another entry stands there now.
func exchange(at *uint64, was uint64, to func(tag uint64) uint64) (from uint64, ok bool) {
	for {
		tag := atomic.LoadUint64(at)
		if !isSameEntry(tag, was) || !isLive(tag) || tag&flagChanging != 0 {
			return 0, false
		}
		if atomic.CompareAndSwapUint64(at, tag, to(tag)) {
			return tag, true
		}
	}
}

// lessEstablished notes that a connection is gone which had this tag.
func (d *Datapath) lessEstablished(slot uint32, tag uint64) {
	if flagsOf(tag)&guestConnectionFlagCONNECTION_ESTABLISHED != 0 {
		atomic.AddUint64(&d.occupancies[slot].Established, oneLess)
	}
}

// putOverflow puts an entry beside the buckets of a slot.
func (d *Datapath) putOverflow(slot uint32, p *private, o guestOverflow) error {
	occupancy := &d.occupancies[slot]
	established := flagsOf(o.Tag)&guestConnectionFlagCONNECTION_ESTABLISHED != 0
	atomic.AddUint64(&occupancy.Overflowed, oneMore) // before anybody can look for it
	if established {
		atomic.AddUint64(&occupancy.Established, oneMore)
	}
	err := p.connections.Update(o.Connection.Key, o, ebpf.UpdateNoExist)
	if err != nil {
		atomic.AddUint64(&occupancy.Overflowed, oneLess)
		if established {
			atomic.AddUint64(&occupancy.Established, oneLess)
		}
	}
	return err
}

// takeOverflow removes an entry that stands beside the buckets.
func (d *Datapath) takeOverflow(slot uint32, p *private, k guestConnectionKey) (guestOverflow, error) {
	var o guestOverflow
	if err := p.connections.LookupAndDelete(k, &o); err != nil {
		return o, err
	}
	atomic.AddUint64(&d.occupancies[slot].Overflowed, oneLess)
	d.lessEstablished(slot, o.Tag)
	return o, nil
}
