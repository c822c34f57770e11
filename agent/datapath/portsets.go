package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"unsafe"

	"github.com/sallyport/sallyport/ruleset"
)

// portSets keeps what peers may send or receive: trees over protocol<<16|port, each content once. It
// writes lines that no packet reads yet; release is for after a grace period.
type portSets struct {
	pool   *pool
	seed   maphash.Seed
	leaves leafTable // those of one leaf, which counts its uses itself
	big    map[[sha256.Size]byte]*bigPortSet
	bigAt  map[tree]*bigPortSet
	ranges ranges        // room for one list
	leaf   guestTreeLeaf // … and what it becomes
}

type bigPortSet struct {
	content [sha256.Size]byte
	root    tree
	block   span
	uses    int
}

// forEveryone is FOR_EVERYONE.
const forEveryone = uint32(1) << 31

func newPortSets(p *pool) *portSets {
	return &portSets{
		pool: p, seed: maphash.MakeSeed(), leaves: leafTable{slots: make([]leafSlot, leastSlots)},
		big: map[[sha256.Size]byte]*bigPortSet{}, bigAt: map[tree]*bigPortSet{},
	}
}

// store returns the port set of a list of intervals, written now if it is new, and counts one use of
// it. everyone has the rules that are for everybody.
func (s *portSets) store(list []ruleset.Interval, everyone map[uint32]bool) (tree, error) {
	if len(list) == 0 {
		return 0, nil
	}
	r := ranges{s.ranges.ends[:0], s.ranges.values[:0]}
	next := uint32(0)
	for _, v := range list {
		if v.Rule >= forEveryone {
			return 0, fmt.Errorf("the number %d of a rule does not fit", v.Rule)
		}
		if v.From > next {
			r.add(v.From-1, 0)
		}
		value := v.Rule
		if len(everyone) > 0 && everyone[v.Rule] {
			value |= forEveryone
		}
		r.add(v.To, value)
		next = v.To + 1
	}
	r.add(^uint32(0), 0)
	s.ranges = r // as long as it has become
	if len(r.ends) > int(leafFanout) {
		return s.storeBig(&r)
	}
	leaf := &s.leaf
	leaf.Values = [leafFanout]uint32{}
	putEnds(leaf.Ends[:], r.ends)
	copy(leaf.Values[:], r.values)
	hash := s.hash(leaf)
	at := s.leaves.at(hash)
	for ; s.leaves.slots[at].set != 0; at = s.leaves.after(at) {
		if v := s.leaves.slots[at]; v.hash == hash {
			if there := s.at(v.set); there.Ends == leaf.Ends && there.Values == leaf.Values {
				there.Uses++
				return v.set, nil
			}
		}
	}
	line, err := s.pool.alloc(1)
	if err != nil {
		return 0, err
	}
	set := tree(line<<treeLevelsBits | 1)
	leaf.Uses = 1
	*s.at(set) = *leaf
	s.leaves.put(at, leafSlot{hash, set})
	return set, nil
}

// leafTable finds leaves by a hash of what they hold: each stands in the slot that it chooses, or behind, with no
// free slot between.
type leafTable struct {
	slots []leafSlot // a power of 2
	taken int
}

type leafSlot struct {
	hash uint32
	set  tree // 0: free
}

const leastSlots = 64

func (l *leafTable) at(hash uint32) int { return int(hash) & (len(l.slots) - 1) }
func (l *leafTable) after(slot int) int { return (slot + 1) & (len(l.slots) - 1) }
func (l *leafTable) from(a, b int) int  { return (b - a) & (len(l.slots) - 1) }

// put takes a free slot, which is the first one for the hash.
func (l *leafTable) put(slot int, v leafSlot) {
	l.slots[slot] = v
	l.taken++
	if 2*l.taken <= len(l.slots) {
		return
	}
	old := l.slots
	l.slots = make([]leafSlot, 2*len(old))
	for _, v := range old {
		if v.set != 0 {
			at := l.at(v.hash)
			for l.slots[at].set != 0 {
				at = l.after(at)
			}
			l.slots[at] = v
		}
	}
}

// remove takes a set out; those behind it come nearer to the slots that they chose.
func (l *leafTable) remove(hash uint32, set tree) {
	free := l.at(hash)
	for l.slots[free].set != set {
		free = l.after(free)
	}
	for at := l.after(free); l.slots[at].set != 0; at = l.after(at) {
		if chosen := l.at(l.slots[at].hash); l.from(chosen, at) >= l.from(free, at) {
			l.slots[free], free = l.slots[at], at
		}
	}
	l.slots[free] = leafSlot{}
	l.taken--
}

// hash is that of what a leaf holds.
func (s *portSets) hash(leaf *guestTreeLeaf) uint32 {
	uses := leaf.Uses
	leaf.Uses = 0
	hash := maphash.Bytes(s.seed, unsafe.Slice((*byte)(unsafe.Pointer(leaf)), unsafe.Sizeof(*leaf)))
	leaf.Uses = uses
	return uint32(hash)
}

// at is the leaf that a port set is.
func (s *portSets) at(t tree) *guestTreeLeaf {
	return (*guestTreeLeaf)(unsafe.Pointer(s.pool.line(uint32(t >> treeLevelsBits))))
}

func (s *portSets) storeBig(r *ranges) (tree, error) {
	content := make([]byte, 0, 8*len(r.ends))
	for i, end := range r.ends {
		content = binary.NativeEndian.AppendUint32(content, end)
		content = binary.NativeEndian.AppendUint32(content, r.values[i])
	}
	key := sha256.Sum256(content)
	if found := s.big[key]; found != nil {
		found.uses++
		return found.root, nil
	}
	b := &bigPortSet{content: key, block: span{count: r.lines()}, uses: 1}
	var err error
	if b.block.first, err = s.pool.alloc(b.block.count); err != nil {
		return 0, err
	}
	if b.root, err = r.write(s.pool, b.block.first); err != nil {
		s.pool.release(b.block.first, b.block.count)
		return 0, err
	}
	s.big[key], s.bigAt[b.root] = b, b
	return b.root, nil
}

// isLeaf says that a port set is one leaf.
func isLeaf(t tree) bool { return t&(1<<treeLevelsBits-1) == 1 }

// hold counts one more use of a port set.
func (s *portSets) hold(t tree) {
	switch {
	case t == 0:
	case isLeaf(t):
		s.at(t).Uses++
	default:
		s.bigAt[t].uses++
	}
}

// release takes one use back; the last one frees the port set.
func (s *portSets) release(t tree) {
	switch {
	case t == 0:
	case isLeaf(t):
		leaf := s.at(t)
		if leaf.Uses--; leaf.Uses > 0 {
			return
		}
		s.leaves.remove(s.hash(leaf), t)
		s.pool.release(uint32(t>>treeLevelsBits), 1)
	default:
		b := s.bigAt[t]
		if b.uses--; b.uses > 0 {
			return
		}
		delete(s.bigAt, t)
		delete(s.big, b.content)
		s.pool.release(b.block.first, b.block.count)
	}
}
