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
	treeLevelsBits = 4             // TREE_LEVELS_BITS
	lowerHalf      = tree(1 << 31) // LOWER_HALF
)

// Of a node and a leaf, how many children and ranges it has.
const (
	nodeFanout     = uint32(len(guestTreeNode{}.Ends) + 1)
	leafFanout     = uint32(len(guestTreeLeaf{}.Values))
	wideNodeFanout = uint32(len(guestWideNode{}.Ends) + 1)
	wideLeafFanout = uint32(len(guestWideLeaf{}.Values))
)

// ranges cuts a space into ranges that follow each other: the last number of each, and what its
// numbers have. The last one ends with the space. No two neighbours have the same.
type ranges[K uint32 | uint64] struct {
	ends   []K
	values []uint32
}

// add appends a range, which begins where the one before ends.
func (r *ranges[K]) add(end K, value uint32) {
	if n := len(r.ends); n > 0 && r.values[n-1] == value {
		r.ends[n-1] = end
		return
	}
	r.ends, r.values = append(r.ends, end), append(r.values, value)
}

// empty says that all of the space has 0.
func (r *ranges[K]) empty() bool { return len(r.ends) == 1 && r.values[0] == 0 }

// fanouts are how many ranges a leaf has and how many children a node.
func (r *ranges[K]) fanouts() (leaf, node uint32) {
	if unsafe.Sizeof(K(0)) == 8 {
		return wideLeafFanout, wideNodeFanout
	}
	return leafFanout, nodeFanout
}

// lines is how many lines a tree of the ranges takes.
func (r *ranges[K]) lines() uint32 {
	if r.empty() {
		return 0
	}
	leaf, node := r.fanouts()
	width := (uint32(len(r.ends)) + leaf - 1) / leaf
	lines := width
	for width > 1 {
		width = (width + node - 1) / node
		lines += width
	}
	return lines
}

// write makes a tree of the ranges in the lines from first on, which must be as many as lines says:
// first its leaves, then each level above, its root last.
func (r *ranges[K]) write(p *pool, first uint32) (tree, error) {
	if r.empty() {
		return 0, nil
	}
	leaf, node := r.fanouts()
	count := uint32(len(r.ends))
	width := (count + leaf - 1) / leaf
	for i := range width {
		from, to := i*leaf, min((i+1)*leaf, count)
		putLeaf(p.line(first+i), r.ends[from:to], r.values[from:to])
	}
	levels := uint32(1)
	ends := make([]K, 0, node)
	for covers := leaf; width > 1; levels++ { // covers: ranges of each child
		child := first
		first += width
		for i := uint32(0); i*node < width; i++ {
			ends = ends[:0]
			for c := i * node; c < min((i+1)*node, width); c++ {
				ends = append(ends, r.ends[min((c+1)*covers, count)-1])
			}
			putNode(p.line(first+i), ends, child+i*node)
		}
		covers *= node
		width = (width + node - 1) / node
	}
	if levels > uint32(guestLimitMAX_TREE_LEVELS) {
		return 0, fmt.Errorf("%d ranges are more than a tree can hold", count)
	}
	return tree(first<<treeLevelsBits | levels), nil
}

func putLeaf[K uint32 | uint64](line *guestLine, ends []K, values []uint32) {
	switch ends := any(ends).(type) {
	case []uint32:
		leaf := (*guestTreeLeaf)(unsafe.Pointer(line))
		*leaf = guestTreeLeaf{}
		putEnds(leaf.Ends[:], ends)
		copy(leaf.Values[:], values)
	case []uint64:
		leaf := (*guestWideLeaf)(unsafe.Pointer(line))
		*leaf = guestWideLeaf{}
		putEnds(leaf.Ends[:], ends)
		copy(leaf.Values[:], values)
	}
}

func putNode[K uint32 | uint64](line *guestLine, ends []K, child uint32) {
	switch ends := any(ends).(type) {
	case []uint32:
		node := (*guestTreeNode)(unsafe.Pointer(line))
		putEnds(node.Ends[:], ends)
		node.Child = child
	case []uint64:
		node := (*guestWideNode)(unsafe.Pointer(line))
		putEnds(node.Ends[:], ends)
		node.Child, node.Pad = child, 0
	}
}

// putEnds writes the ends of ranges or children, but for the last one of a full line: whoever is above
// all others is there. Nothing is above the last number of the space, which fills the rest.
func putEnds[K uint32 | uint64](line, ends []K) {
	for i := copy(line, ends); i < len(line); i++ {
		line[i] = ^K(0)
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

// newFlat is for so many CIDRs of a family.
func newFlat(ipv4 bool, cidrs int) *flat {
	f := &flat{bits: 128}
	if ipv4 {
		f.bits = 32
	}
	f.last = lastPoint(point{}, f.bits)
	f.ends, f.values = make([]point, 0, 2*cidrs+1), make([]uint32, 0, 2*cidrs+1)
	return f
}

// add adds a CIDR, after all that begin before it or hold it: its addresses have what value says, which
// is told what they had without it.
func (f *flat) add(first point, bits uint8, value func(above uint32) uint32) {
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
	f.open = append(f.open, flatCIDR{lastPoint(first, f.bits-bits), value(above)})
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

// addressTrees writes the trees of both families into one block of lines.
func addressTrees(p *pool, ipv4, ipv6 *flat) (trees guestAddressTrees, block span, err error) {
	ipv4.finish()
	ipv6.finish()
	four := ranges[uint32]{ends: make([]uint32, 0, len(ipv4.ends)), values: make([]uint32, 0, len(ipv4.ends))}
	for i, end := range ipv4.ends {
		four.add(uint32(end.lower), ipv4.values[i])
	}
	six := cutHalves(ipv6)
	block.count = four.lines() + six.upper.lines()
	for i := range six.lower {
		block.count += six.lower[i].lines()
	}
	if block.count == 0 {
		return trees, block, nil
	}
	if block.first, err = p.alloc(block.count); err != nil {
		return trees, block, err
	}
	next := block.first
	for i, value := range six.upper.values {
		if tree(value)&lowerHalf != 0 {
			lower := &six.lower[tree(value)&^lowerHalf]
			root, err := lower.write(p, next)
			if err != nil {
				p.release(block.first, block.count)
				return trees, block, err
			}
			next += lower.lines()
			six.upper.values[i] = uint32(root | lowerHalf)
		}
	}
	upper, err := six.upper.write(p, next)
	if err == nil {
		var root tree
		root, err = four.write(p, next+six.upper.lines())
		trees = guestAddressTrees{Ipv4: uint32(root), Ipv6: uint32(upper)}
	}
	if err != nil {
		p.release(block.first, block.count)
	}
	return trees, block, err
}

// halves is what IPv6 addresses have by their upper half; a value with lowerHalf is the index of what
// they have by their lower half.
type halves struct {
	upper ranges[uint64]
	lower []ranges[uint64]
}

func cutHalves(f *flat) (h halves) {
	var start point
	var cut ranges[uint64] // of start.upper, whose beginning is in it
	finish := func() {
		h.upper.add(start.upper, uint32(lowerHalf)|uint32(len(h.lower)))
		h.lower = append(h.lower, cut)
		cut = ranges[uint64]{}
	}
	const all = ^uint64(0)
	for i, end := range f.ends {
		value := f.values[i]
		if len(cut.ends) > 0 {
			if start.upper == end.upper {
				cut.add(end.lower, value)
				if end.lower == all {
					finish()
				}
				start = end.after()
				continue
			}
			cut.add(all, value)
			finish()
			start = point{upper: start.upper + 1}
		}
		switch {
		case end.lower == all:
			h.upper.add(end.upper, value)
		case start.upper < end.upper:
			h.upper.add(end.upper-1, value)
			fallthrough
		default:
			cut.add(end.lower, value)
		}
		start = end.after()
	}
	return h
}
