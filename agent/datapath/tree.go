package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"
)

// tree refers to a search tree of the pool, as tree.h has it: what each number of a space has. 0 is
// the tree in which every number has 0.
type tree uint32

const (
	treeLevelsBits = 4               // TREE_LEVELS_BITS
	nextWord       = uint32(1) << 31 // NEXT_WORD
)

// Of a node and a leaf, how many children and ranges it has.
const (
	nodeFanout = uint32(len(guestTreeNode{}.Ends) + 1)
	leafFanout = uint32(len(guestTreeLeaf{}.Values))
)

// ranges cuts a space into ranges that follow each other: the last number of each, and what its
// numbers have. The last one ends with the space. No two neighbours have the same.
type ranges struct {
	ends   []uint32
	values []uint32
}

// add appends a range, which begins where the one before ends.
func (r *ranges) add(end, value uint32) {
	if n := len(r.ends); n > 0 && r.values[n-1] == value {
		r.ends[n-1] = end
		return
	}
	r.ends, r.values = append(r.ends, end), append(r.values, value)
}

// empty says that all of the space has 0.
func (r *ranges) empty() bool { return len(r.ends) == 1 && r.values[0] == 0 }

// lines is how many lines a tree of the ranges takes.
func (r *ranges) lines() uint32 {
	if r.empty() {
		return 0
	}
	width := (uint32(len(r.ends)) + leafFanout - 1) / leafFanout
	lines := width
	for width > 1 {
		width = (width + nodeFanout - 1) / nodeFanout
		lines += width
	}
	return lines
}

// write makes a tree of the ranges in the lines from first on, which must be as many as lines says:
// first its leaves, then each level above, its root last.
func (r *ranges) write(p *pool, first uint32) (tree, error) {
	if r.empty() {
		return 0, nil
	}
	count := uint32(len(r.ends))
	width := (count + leafFanout - 1) / leafFanout
	for i := range width {
		from, to := i*leafFanout, min((i+1)*leafFanout, count)
		leaf := (*guestTreeLeaf)(unsafe.Pointer(p.line(first + i)))
		*leaf = guestTreeLeaf{}
		putEnds(leaf.Ends[:], r.ends[from:to])
		copy(leaf.Values[:], r.values[from:to])
	}
	levels := uint32(1)
	for covers := leafFanout; width > 1; levels++ { // covers: ranges of each child
		child := first
		first += width
		for i := uint32(0); i*nodeFanout < width; i++ {
			node := (*guestTreeNode)(unsafe.Pointer(p.line(first + i)))
			node.Child = child + i*nodeFanout
			for c := range uint32(len(node.Ends)) {
				node.Ends[c] = r.ends[min((i*nodeFanout+c+1)*covers, count)-1]
			}
		}
		covers *= nodeFanout
		width = (width + nodeFanout - 1) / nodeFanout
	}
	if levels > uint32(guestLimitMAX_TREE_LEVELS) {
		return 0, fmt.Errorf("%d ranges are more than a tree can hold", count)
	}
	return tree(first<<treeLevelsBits | levels), nil
}

// putEnds writes the ends of ranges, but for the last one of a full line: whoever is above all others is
// there. Nothing is above the last number of the space, which fills the rest.
func putEnds(line, ends []uint32) {
	for i := copy(line, ends); i < len(line); i++ {
		line[i] = ^uint32(0)
	}
}

// point is an address as a number: IPv4's in the lower half alone.
type point struct{ upper, lower uint64 }

func (a point) less(b point) bool {
	return a.upper < b.upper || a.upper == b.upper && a.lower < b.lower
}

func (a point) before() point {
	if a.lower == 0 {
		a.upper--
	}
	a.lower--
	return a
}

func (a point) after() point {
	a.lower++
	if a.lower == 0 {
		a.upper++
	}
	return a
}

// firstPoint is the first address of a CIDR.
func firstPoint(p netip.Prefix) point {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		return point{lower: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := p.Addr().As16()
	return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// lastPoint is the last address of the CIDR that begins at one and has so many bits that vary.
func lastPoint(first point, vary uint8) point {
	// A shift by 64 and more leaves 0, and 0 - 1 is all bits.
	first.lower |= 1<<vary - 1
	if vary > 64 {
		first.upper |= 1<<(vary-64) - 1
	}
	return first
}

// flat is what a family's addresses have: ranges as in ranges, over points.
type flat struct {
	ends   []point
	values []uint32
	open   []flatCIDR // that hold the next address; each holds those after it
	next   point      // the first address that is not in a range yet
	bits   uint8      // of the family's addresses
	last   point      // … and the last of them
	whole  bool       // all are in ranges
}

type flatCIDR struct {
	last  point
	value uint32
}

// begin begins anew, for CIDRs of a family.
func (f *flat) begin(ipv4 bool) {
	*f = flat{ends: f.ends[:0], values: f.values[:0], open: f.open[:0], bits: 128}
	if ipv4 {
		f.bits = 32
	}
	f.last = lastPoint(point{}, f.bits)
}

// add adds a CIDR, after all that begin before it or hold it: its addresses have a value.
func (f *flat) add(first point, bits uint8, value uint32) {
	f.above(first)
	f.open = append(f.open, flatCIDR{lastPoint(first, f.bits-bits), value})
}

// above ends what ends before an address, at which the next CIDR begins, and returns what the address has without it.
func (f *flat) above(first point) uint32 {
	for len(f.open) > 0 && f.open[len(f.open)-1].last.less(first) {
		f.closeLast()
	}
	above := uint32(0)
	if len(f.open) > 0 {
		above = f.open[len(f.open)-1].value
	}
	if f.next.less(first) {
		f.put(first.before(), above)
	}
	return above
}

func (f *flat) closeLast() {
	c := f.open[len(f.open)-1]
	f.open = f.open[:len(f.open)-1]
	if !f.whole && !c.last.less(f.next) {
		f.put(c.last, c.value)
	}
}

func (f *flat) put(end point, value uint32) {
	if n := len(f.ends); n > 0 && f.values[n-1] == value {
		f.ends[n-1] = end
	} else {
		f.ends, f.values = append(f.ends, end), append(f.values, value)
	}
	f.next, f.whole = end.after(), end == f.last
}

// finish ends the space.
func (f *flat) finish() {
	for len(f.open) > 0 {
		f.closeLast()
	}
	if !f.whole {
		f.put(f.last, 0)
	}
}

// cutter makes trees of what addresses have: one for each word of theirs. It may be used again.
type cutter struct {
	ipv4, ipv6 flat
	// The trees in the order in which they are written. A value with nextWord is the index of one that comes
	// before.
	trees []span
	all   ranges
	begun [4]ranges // by word: those on the way to where it is
}

func (c *cutter) begin() {
	c.ipv4.begin(true)
	c.ipv6.begin(false)
}

// write makes the trees of both families, in one block of lines.
func (c *cutter) write(p *pool) (trees guestAddressTrees, block span, err error) {
	c.trees, c.all.ends, c.all.values = c.trees[:0], c.all.ends[:0], c.all.values[:0]
	c.ipv4.finish()
	c.ipv6.finish()
	c.cut(&c.ipv4, 3, 0, point{}) // an IPv4 address is the last word of its point
	four := len(c.trees) - 1
	c.cut(&c.ipv6, 0, 0, point{})
	six := len(c.trees) - 1
	for i := range c.trees {
		r := c.tree(i)
		block.count += r.lines()
	}
	if block.count == 0 {
		return trees, block, nil
	}
	if block.first, err = p.alloc(block.count); err != nil {
		return trees, block, err
	}
	roots := make([]uint32, len(c.trees))
	next := block.first
	for i := range c.trees {
		r := c.tree(i)
		for j, value := range r.values {
			if value&nextWord != 0 {
				r.values[j] = nextWord | roots[value&^nextWord]
			}
		}
		root, err := r.write(p, next)
		if err != nil {
			p.release(block.first, block.count)
			return trees, block, err
		}
		roots[i] = uint32(root)
		next += r.lines()
	}
	return guestAddressTrees{Ipv4: roots[four], Ipv6: roots[six]}, block, nil
}

// cut makes the tree of a word, of all addresses that begin with the words before as a point does. The range
// at an index holds that point; it returns the index of the one that holds what follows them.
func (c *cutter) cut(f *flat, word, i int, first point) int {
	last := lastPoint(first, uint8(32*(4-word)))
	r := &c.begun[word]
	r.ends, r.values = r.ends[:0], r.values[:0]
	for next := uint64(0); next < 1<<32; {
		end, value := f.ends[i], f.values[i]
		if !end.less(last) {
			r.add(^uint32(0), value)
			if end == last {
				i++
			}
			break
		}
		number, whole := end.word(word)
		if whole {
			r.add(number, value)
			i++
		} else {
			if uint64(number) > next {
				r.add(number-1, value)
			}
			i = c.cut(f, word+1, i, firstWith(end, word))
			r.add(number, nextWord|uint32(len(c.trees)-1))
		}
		next = uint64(number) + 1
	}
	c.trees = append(c.trees, span{uint32(len(c.all.ends)), uint32(len(r.ends))})
	c.all.ends, c.all.values = append(c.all.ends, r.ends...), append(c.all.values, r.values...)
	return i
}

// tree is one of those that were made.
func (c *cutter) tree(i int) ranges {
	from, to := c.trees[i].first, c.trees[i].first+c.trees[i].count
	return ranges{c.all.ends[from:to], c.all.values[from:to]}
}

// word is a word of an address, and whether it is the last address that begins with that.
func (a point) word(i int) (word uint32, last bool) {
	half := a.upper
	if i >= 2 {
		half = a.lower
	}
	return uint32(half >> (32 * (1 - i&1))), a == lastPoint(a, uint8(32*(3-i)))
}

// firstWith is the first address that has the same words up to one.
func firstWith(a point, word int) point {
	switch word {
	case 0:
		return point{upper: a.upper &^ (1<<32 - 1)}
	case 1:
		return point{upper: a.upper}
	default:
		return point{a.upper, a.lower &^ (1<<32 - 1)}
	}
}
