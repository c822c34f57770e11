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
	d.inner[guestMapFlows].MaxEntries = bucketsFor(halfOpen)
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
