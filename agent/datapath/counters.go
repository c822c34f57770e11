package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Counters returns how many packets each attached ENI had, of both directions, by reason; zeros are
// left out. They count from the moment of Attach, live through restarts of the agent, and only grow.
// The packets of all devices without an ENI count for the empty id.
func (d *Datapath) Counters() (map[vpc.InterfaceID]map[ruleset.Reason]uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[vpc.InterfaceID]map[ruleset.Reason]uint64{"": {}}
	of := map[uint32]vpc.InterfaceID{0: ""}
	for slot, a := range d.slots {
		of[slot] = a.ENI
		all[a.ENI] = map[ruleset.Reason]uint64{}
	}
	for slot, eni := range of {
		for _, direction := range []ruleset.Direction{ruleset.Ingress, ruleset.Egress} {
			counts, err := d.counts(slot, direction)
			if err != nil {
				return nil, err
			}
			for reason, n := range counts {
				all[eni][reason] += n
			}
		}
	}
	return all, nil
}

// counts sums what all CPUs counted for one direction of a slot.
func (d *Datapath) counts(slot uint32, direction ruleset.Direction) (map[ruleset.Reason]uint64, error) {
	var cpus []guestCounts
	if err := d.objects.Counters.Lookup(2*slot+uint32(direction), &cpus); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	sum := map[ruleset.Reason]uint64{}
	for _, cpu := range cpus {
		for reason, n := range cpu.Packets {
			if n != 0 {
				sum[ruleset.Reason(reason)] += n
			}
		}
	}
	return sum, nil
}

// resetCounters zeroes a slot that another ENI had.
func (d *Datapath) resetCounters(slot uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("reset counters: %w", err)
	}
	for _, direction := range []ruleset.Direction{ruleset.Ingress, ruleset.Egress} {
		if err := d.objects.Counters.Put(2*slot+uint32(direction), make([]guestCounts, cpus)); err != nil {
			return fmt.Errorf("reset counters: %w", err)
		}
	}
	return nil
}
