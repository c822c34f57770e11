package datapath

import (
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/vpc"
)

// SetLimits is how many connections ENIs that are attached from now on may have.
func (d *Datapath) SetLimits(established, halfOpen uint32) {
	d.inner[guestMapConnections].MaxEntries = established
	d.buckets = bucketsFor(halfOpen)
}

// ForgetAll forgets all connections and fragments, as if every ENI had been attached anew.
func (d *Datapath) ForgetAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for slot, p := range d.private {
		clear(p.buckets)
		d.occupancies[slot] = guestOccupancy{}
		for _, m := range []*ebpf.Map{p.connections, p.fragments} {
			var keys [][]byte
			var key, value []byte
			it := m.Iterate()
			for it.Next(&key, &value) {
				keys = append(keys, slices.Clone(key))
			}
			if err := it.Err(); err != nil {
				return err
			}
			for _, key := range keys {
				if err := m.Delete(key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// TestTime is the test clock, in jiffies.
func (d *Datapath) TestTime() uint64 { return atomic.LoadUint64(&d.state.TestClock) }

// ObserveUntil is when an ENI stops observing, in jiffies; 0: it does not.
func (d *Datapath) ObserveUntil(eni vpc.InterfaceID) uint64 {
	for slot, a := range d.slots {
		if a.ENI == eni {
			return d.enis[slot].Config[d.epoch()].ObserveUntil
		}
	}
	return 0
}

// Buckets returns how many entries each bucket of an ENI has, and the fingerprints of all.
func (d *Datapath) Buckets(eni vpc.InterfaceID) (loads []int, fingerprints map[uint32]bool, err error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return nil, nil, err
	}
	fingerprints = map[uint32]bool{}
	for i := range d.private[slot].buckets {
		n := 0
		for _, tag := range d.private[slot].buckets[i].Tags {
			if isLive(tag) {
				n++
				fingerprints[uint32(tag>>32)] = true
			}
		}
		loads = append(loads, n)
	}
	return loads, fingerprints, nil
}

// Occupancy is how many connections of an ENI are established, and how many entries stand beside the buckets, as
// the programs count them.
func (d *Datapath) Occupancy(eni vpc.InterfaceID) (established, beside int) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return -1, -1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.occupancy(slot)
	return int(int32(o.established)), int(int32(o.overflowed))
}

// Miscount makes the counts of an ENI's connections wrong by so many.
func (d *Datapath) Miscount(eni vpc.InterfaceID, established, beside uint64) {
	if slot, err := d.slotOf(eni); err == nil {
		atomic.AddUint64(&d.occupancies[slot].Established, established)
		atomic.AddUint64(&d.occupancies[slot].Overflowed, beside)
	}
}
