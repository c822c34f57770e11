package datapath

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// private is the maps that the ENI of one slot has for itself: what it fills is full for nobody
// else.
type private struct {
	connections, fragments *ebpf.Map
	flows                  []*ebpf.Map
	buckets                []guestBucket // of flows, in shared memory
	empty                  bool          // they were when a sweep last looked
}

func (p *private) close() error {
	var err error
	if p.buckets != nil {
		err = unmapBuckets(p.buckets)
	}
	for _, m := range append([]*ebpf.Map{p.connections, p.fragments}, p.flows...) {
		err = errors.Join(err, m.Close())
	}
	return err
}

// outer pairs each map of maps with one of a slot's, its place there, and what a new one is like.
type outer struct {
	all   *ebpf.Map
	at    uint32
	of    **ebpf.Map
	inner *ebpf.MapSpec
}

// outer returns all of them. The kernel waits for RCU in every change of a map of maps, and changes side by side
// wait for the same: they are done atOnce.
func (d *Datapath) outer(slot uint32, p *private) []outer {
	all := []outer{
		{d.objects.Connections, slot, &p.connections, d.inner[guestMapConnections]},
		{d.objects.Fragments, slot, &p.fragments, d.inner[guestMapFragments]},
	}
	for i := range p.flows {
		all = append(all, outer{d.objects.Flows, slot*maxFlowChunks + uint32(i), &p.flows[i], d.inner[guestMapFlows]})
	}
	return all
}

// givePrivate makes sure that a slot has its maps: those that are pinned, or new ones if one of them is missing, since
// no packet is let to such a slot.
func (d *Datapath) givePrivate(slot uint32) error {
	if _, ok := d.private[slot]; ok {
		return nil
	}
	p, err := d.findPrivate(slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		if err = d.takePrivate(slot); err == nil { // where there were more places
			p, err = d.makePrivate(slot)
		}
	}
	if err == nil {
		p.buckets, err = mapBuckets(p.flows, d.enis[slot].BucketMask+1)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("maps of slot %d: %w", slot, err), p.close())
	}
	d.private[slot] = p
	return nil
}

func (d *Datapath) findPrivate(slot uint32) (*private, error) {
	p := &private{flows: make([]*ebpf.Map, flowChunks(d.enis[slot].BucketMask+1))}
	for _, o := range d.outer(slot, p) {
		if err := o.all.Lookup(o.at, o.of); err != nil {
			return &private{}, errors.Join(fmt.Errorf("find one of %s: %w", o.inner.Name, err), p.close())
		}
	}
	return p, nil
}

func (d *Datapath) makePrivate(slot uint32) (*private, error) {
	p := &private{flows: make([]*ebpf.Map, flowChunks(d.buckets))}
	all := d.outer(slot, p)
	for _, o := range all {
		var err error
		if *o.of, err = ebpf.NewMap(o.inner); err != nil {
			return p, fmt.Errorf("make one of %s: %w", o.inner.Name, err)
		}
	}
	if err := d.describe(slot, p); err != nil {
		return p, err
	}
	return p, atOnce(all, func(o outer) error {
		if err := o.all.Put(o.at, *o.of); err != nil {
			return fmt.Errorf("put one of %s: %w", o.inner.Name, err)
		}
		return nil
	})
}

// describe tells the programs of a slot's flows, before they can find them.
func (d *Datapath) describe(slot uint32, p *private) error {
	eni := &d.enis[slot]
	if err := binary.Read(rand.Reader, binary.NativeEndian, &eni.Secrets); err != nil {
		return err
	}
	eni.BucketMask, eni.Quota = d.buckets-1, p.connections.MaxEntries()
	d.occupancies[slot] = guestOccupancy{}
	return nil
}

const (
	chunkBuckets  = uint32(guestLimitCHUNK_BUCKETS)
	maxFlowChunks = uint32(guestLimitMAX_FLOW_CHUNKS)
)

// flowChunks is how many maps hold so many buckets.
func flowChunks(buckets uint32) uint32 { return (buckets + chunkBuckets - 1) / chunkBuckets }

// mapBuckets makes the memory of such maps ours, one after the other.
func mapBuckets(chunks []*ebpf.Map, buckets uint32) (_ []guestBucket, err error) {
	const chunk = unsafe.Sizeof(guestBucket{}) * uintptr(chunkBuckets) // whole pages
	for _, m := range chunks {
		if m.ValueSize() != uint32(unsafe.Sizeof(guestBucket{})) || m.MaxEntries() != chunkBuckets {
			return nil, fmt.Errorf("map memory: %d values of %d bytes", m.MaxEntries(), m.ValueSize())
		}
	}
	first, err := unix.MmapPtr(-1, 0, nil, chunk*uintptr(len(chunks)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	all := unsafe.Slice((*guestBucket)(first), buckets)
	for i, m := range chunks {
		at := unsafe.Add(first, chunk*uintptr(i))
		if _, err := unix.MmapPtr(m.FD(), 0, at, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			return nil, errors.Join(fmt.Errorf("map memory: %w", err), unmapBuckets(all))
		}
	}
	return all, nil
}

func unmapBuckets(all []guestBucket) error {
	const chunk = unsafe.Sizeof(guestBucket{}) * uintptr(chunkBuckets)
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(all)), chunk*uintptr(flowChunks(uint32(len(all)))))
}

// takePrivate removes the maps of a slot, with all that they hold. No packet may be on its way to
// them.
func (d *Datapath) takePrivate(slot uint32) error {
	all := d.outer(slot, &private{flows: make([]*ebpf.Map, flowChunks(d.enis[slot].BucketMask+1))})
	if err := atOnce(all, func(o outer) error {
		if err := deleteKey(o.all, o.at); err != nil {
			return fmt.Errorf("remove one of %s of slot %d: %w", o.inner.Name, slot, err)
		}
		return nil
	}); err != nil {
		return err
	}
	p, ok := d.private[slot]
	if !ok {
		return nil
	}
	delete(d.private, slot)
	return p.close()
}
