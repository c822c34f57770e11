package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The agent's side of bpf/entry.h: it reads the entries in the buckets of a slot through shared memory, and removes and
// cuts them with one exchange of their tag each. For those beside the buckets a program makes that exchange.

const (
	tagFlags   uint64 = 0xffff
	tagVersion uint64 = 0xffff_0000

	flagBusy     = uint64(guestConnectionFlagCONNECTION_BUSY)
	flagChanging = uint64(guestConnectionFlagCONNECTION_CHANGING)

	moreIngress  = uint64(guestConnectionFlagCONNECTION_MORE_INGRESS) // and then MORE_EGRESS
	countedBytes = guestLimitCOUNTED_BYTES

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
		// What it has counted more is there only with the flag that says so.
		if now := atomic.LoadUint64(&b.Tags[way]); isSameEntry(now, tag) && isLive(now) && (now^tag)&(moreIngress|moreIngress<<1) == 0 {
			return now, c, true
		}
	}
}

// Of struct connection.

// key is whose entry it is. Its inverse is setKey; both are the twins of set_key in bpf/entry.h.
func (c *guestConnection) key() guestConnectionKey {
	var k guestConnectionKey
	*(*uint64)(unsafe.Pointer(&k)) = c.Name
	if k.Family == uint8(guestFamilyFAMILY_IPV4) {
		k.Remote.Words[0], k.Local.Words[0] = uint32(c.Peer), uint32(c.Peer>>32)
		return k
	}
	*(*[2]uint64)(unsafe.Pointer(&k.Remote)) = [2]uint64{c.Peer, c.Rest[0]}
	*(*[2]uint64)(unsafe.Pointer(&k.Local)) = [2]uint64{c.Rest[1], c.Rest[2]}
	return k
}

// protocol is that of its key.
func (c *guestConnection) protocol() uint8 {
	return uint8(c.Name >> (8 * unsafe.Offsetof(guestConnectionKey{}.Protocol)))
}

func (c *guestConnection) setKey(k guestConnectionKey) {
	c.Name = *(*uint64)(unsafe.Pointer(&k))
	if k.Family == uint8(guestFamilyFAMILY_IPV4) {
		c.Peer = uint64(k.Remote.Words[0]) | uint64(k.Local.Words[0])<<32
		return
	}
	remote, local := *(*[2]uint64)(unsafe.Pointer(&k.Remote)), *(*[2]uint64)(unsafe.Pointer(&k.Local))
	c.Peer, c.Rest = remote[0], [...]uint64{remote[1], local[0], local[1]}
}

// revisionAt is the twin of revision_in in bpf/entry.h.
func (c *guestConnection) revisionAt() *uint64 {
	if c.protocol() == unix.IPPROTO_TCP {
		return &c.Revision
	}
	return (*uint64)(unsafe.Pointer(&c.Next))
}

// counts is what an entry with this tag has counted, by direction.
func (c *guestConnection) counts(tag uint64) (packets, bytes [2]uint64) {
	for d, n := range c.Counts {
		packets[d], bytes[d] = n>>countedBytes, n&(1<<countedBytes-1)
		if tag&(moreIngress<<d) != 0 {
			packets[d] += c.More[d] >> 32 << (63 - countedBytes)
			bytes[d] += c.More[d] & math.MaxUint32 << (countedBytes - 1)
		}
	}
	return packets, bytes
}

// setCounts is its inverse.
func (c *guestConnection) setCounts(tag *uint64, packets, bytes [2]uint64) {
	const maxPackets, maxBytes = 1<<(63-countedBytes) - 1, 1<<(countedBytes-1) - 1
	for d := range c.Counts {
		c.Counts[d] = packets[d]&maxPackets<<countedBytes | bytes[d]&maxBytes
		c.More[d] = packets[d]>>(63-countedBytes)<<32 | bytes[d]>>(countedBytes-1)
		if c.More[d] != 0 {
			*tag |= moreIngress << d
		}
	}
}

// errChanged is the error of what was done to an entry that became another one meanwhile, or got another flag.
var errChanged = errors.New("the entry has changed")

// become gives the entry another tag in place of the one that was read, and counts the connection that is gone then.
func (v visited) become(to uint64) error {
	if v.at == nil {
		return v.d.changeOverflow(v.slot, v.key, v.tag, to)
	}
	if !atomic.CompareAndSwapUint64(v.at, v.tag, to) {
		return errChanged
	}
	if flagsOf(v.tag&^to)&guestConnectionFlagCONNECTION_ESTABLISHED != 0 {
		atomic.AddUint64(&v.d.occupancies[v.slot].Established, oneLess)
	}
	return nil
}

// remove takes the entry out.
func (v visited) remove() error {
	to := v.tag &^ tagFlags
	if v.at == nil {
		to |= flagBusy
	}
	return v.become(to)
}

// changeOverflow lets a program exchange the tag of an entry that stands beside the buckets of a slot, where the agent
// has no memory of it.
func (d *Datapath) changeOverflow(slot uint32, k guestConnectionKey, was, to uint64) error {
	frame, err := binary.Append(nil, binary.NativeEndian, guestOverflowExchange{Tag: was, To: to, Key: k, Slot: slot})
	if err != nil {
		return err
	}
	ret, err := d.objects.ChangeOverflow.Run(&ebpf.RunOptions{Data: frame, DataOut: frame})
	if err != nil {
		return fmt.Errorf("change a connection: %w", err)
	}
	if ret != 0 {
		return fmt.Errorf("change a connection: the program says %d", ret)
	}
	if binary.NativeEndian.Uint64(frame) != was {
		return errChanged
	}
	return nil
}

// putOverflow puts an entry beside the buckets of a slot, as one that was never there.
func (d *Datapath) putOverflow(slot uint32, p *private, o guestOverflow) error {
	occupancy := &d.occupancies[slot]
	established := flagsOf(o.Tag)&guestConnectionFlagCONNECTION_ESTABLISHED != 0
	changes := atomic.AddUint64(&occupancy.Overflowed, oneMore) >> 32 // before anybody can look for it
	o.Tag = o.Tag&^tagVersion | changes<<16&tagVersion
	if established {
		atomic.AddUint64(&occupancy.Established, oneMore)
	}
	err := p.connections.Update(o.Connection.key(), o, ebpf.UpdateNoExist)
	if err != nil {
		atomic.AddUint64(&occupancy.Overflowed, oneLess)
		if established {
			atomic.AddUint64(&occupancy.Established, oneLess)
		}
	}
	return err
}
