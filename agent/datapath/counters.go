package datapath

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Counters returns how many packets each attached ENI had, of both directions, by reason; zeros are
// left out. What passed because the ENI observes is not among them. They count from the moment of
// Attach, live through restarts of the agent, and only grow. The packets of all devices without an
// ENI count for the empty id.
func (d *Datapath) Counters() (map[vpc.InterfaceID]map[ruleset.Reason]uint64, error) {
	counts, err := d.Counts()
	if err != nil {
		return nil, err
	}
	all := map[vpc.InterfaceID]map[ruleset.Reason]uint64{}
	for _, c := range counts {
		if all[c.ENI] == nil {
			all[c.ENI] = map[ruleset.Reason]uint64{}
		}
		for reason, n := range c.Packets {
			all[c.ENI][reason] += n
		}
	}
	return all, nil
}

// Counts is what one ENI had in one direction since it was attached.
type Counts struct {
	ENI       vpc.InterfaceID // empty: all devices without one
	Direction ruleset.Direction
	Packets   map[ruleset.Reason]uint64 // that passed or were dropped for a reason; zeros are left out
	Observed  uint64                    // packets that no rule allows, and that passed because the ENI observes
	// When the last packet was dropped for a reason, to some seconds; of what was dropped since
	// Open alone.
	Last map[ruleset.Reason]time.Time
	// Events that were not made of its packets, since there were too many.
	LostEvents uint64
}

// Counts returns what every attached ENI had, sorted by ENI and direction. Values live through
// restarts of the agent, and only grow.
func (d *Datapath) Counts() ([]Counts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []Counts
	of := map[uint32]vpc.InterfaceID{0: ""}
	for slot, a := range d.slots {
		of[slot] = a.ENI
	}
	unbound := [2]Counts{{Direction: ruleset.Ingress}, {Direction: ruleset.Egress}}
	now := time.Now()
	for slot, eni := range of {
		for _, direction := range []ruleset.Direction{ruleset.Ingress, ruleset.Egress} {
			c, err := d.counts(slot, direction)
			if err != nil {
				return nil, err
			}
			if eni == "" {
				unbound[direction].add(c)
				continue
			}
			c.ENI = eni
			c.Last = d.recent.lasts(d.enis[slot].Number, direction, c.Packets, now)
			list = append(list, c)
		}
	}
	list = append(list, unbound[:]...)
	slices.SortFunc(list, func(a, b Counts) int {
		return cmp.Or(cmp.Compare(a.ENI, b.ENI), cmp.Compare(a.Direction, b.Direction))
	})
	return list, nil
}

func (c *Counts) add(o Counts) {
	if c.Packets == nil {
		c.Packets = map[ruleset.Reason]uint64{}
	}
	for reason, n := range o.Packets {
		c.Packets[reason] += n
	}
	c.Observed += o.Observed
	c.LostEvents += o.LostEvents
}

// counts sums what all CPUs counted for one direction of a slot.
func (d *Datapath) counts(slot uint32, direction ruleset.Direction) (Counts, error) {
	var cpus []guestCounts
	if err := d.objects.Counters.Lookup(2*slot+uint32(direction), &cpus); err != nil {
		return Counts{}, fmt.Errorf("read counters: %w", err)
	}
	sum := Counts{Direction: direction, Packets: map[ruleset.Reason]uint64{}}
	for _, cpu := range cpus {
		for reason, n := range cpu.Packets {
			if n != 0 {
				sum.Packets[ruleset.Reason(reason)] += n
			}
		}
		sum.Observed += cpu.Observed
		sum.LostEvents += cpu.Lost
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
	if err := d.objects.EventBudgets.Put(slot, guestEventBudget{}); err != nil {
		return fmt.Errorf("reset the budget of events: %w", err)
	}
	return nil
}

// wallClock returns what turns the programs' jiffies into a time, for as long as the machine's clock
// is not set.
func (d *Datapath) wallClock() (func(jiffies uint64) time.Time, error) {
	ticks, err := d.clock()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	return func(jiffies uint64) time.Time {
		// The difference in two parts: nanoseconds of a long one times the rate would overflow.
		ago := int64(ticks - jiffies)
		hz := int64(d.hz)
		return now.Add(-time.Duration(ago/hz)*time.Second - time.Duration(ago%hz)*time.Second/time.Duration(hz))
	}, nil
}
