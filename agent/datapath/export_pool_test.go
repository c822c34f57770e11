package datapath

import (
	"github.com/cilium/ebpf"
)

// Pool is a pool on a map of its own.
type Pool struct {
	*pool
	m *ebpf.Map
}

// ChunkLines is how many lines a pool grows by.
const ChunkLines = chunkLines

// NewPool makes a pool of so many chunks at most.
func NewPool(chunks uint32) (Pool, error) {
	spec, err := loadGuest()
	if err != nil {
		return Pool{}, err
	}
	outer := spec.Maps[guestMapPool].Copy()
	outer.Pinning, outer.MaxEntries = ebpf.PinNone, chunks
	m, err := ebpf.NewMap(outer)
	if err != nil {
		return Pool{}, err
	}
	p, err := loadPool(m, outer.InnerMap)
	return Pool{p, m}, err
}

// Again is the pool as the next agent finds it.
func (p Pool) Again() (Pool, error) {
	next, err := loadPool(p.m, p.spec)
	return Pool{next, p.m}, err
}

// Close ends it; the map stays for the next.
func (p Pool) Close() error { return p.close() }

// Alloc, Release, Publish and DropFormer are the pool's own.
func (p Pool) Alloc(count uint32) (uint32, error) { return p.alloc(count) }
func (p Pool) Release(first, count uint32)        { p.release(first, count) }
func (p Pool) Publish() error                     { return p.publish() }
func (p Pool) DropFormer() error                  { return p.dropFormer() }
func (p Pool) Words(number uint32) *[16]uint32    { return &p.line(number).Words }
func (p Pool) Used() uint32                       { return p.used }
func (p Pool) Spans() int                         { return len(p.spans) }

// Chunks are the numbers of the chunks that the programs find.
func (p Pool) Chunks() (numbers []uint32, err error) {
	var number, id uint32
	it := p.m.Iterate()
	for it.Next(&number, &id) {
		numbers = append(numbers, number)
	}
	return numbers, it.Err()
}
