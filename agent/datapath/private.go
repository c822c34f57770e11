package datapath

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// private is the maps that the ENI of one slot has for itself: what it fills is full for nobody
// else.
type private struct {
	flows, connections, fragments *ebpf.Map
	buckets                       []guestBucket // of flows, in shared memory
	empty                         bool          // they were when a sweep last looked
}

func (p *private) close() error {
	var err error
	if p.buckets != nil {
		err = unmapArray(p.buckets)
	}
	return errors.Join(err, p.flows.Close(), p.connections.Close(), p.fragments.Close())
}

// outer pairs each map by slot with the one of a slot, and with what a new one is like.
type outer struct {
	slots *ebpf.Map
	of    **ebpf.Map
	inner *ebpf.MapSpec
}

// outer returns all of them. The kernel waits for RCU in every change of a map of maps, and changes side by side
// wait for the same: they are done atOnce.
func (d *Datapath) outer(p *private) []outer {
	return []outer{
		{d.objects.Connections, &p.connections, d.inner[guestMapConnections]},
		{d.objects.Fragments, &p.fragments, d.inner[guestMapFragments]},
		{d.objects.Flows, &p.flows, d.inner[guestMapFlows]},
	}
}

// givePrivate makes sure that a slot has its maps: those that are pinned, else new ones.
func (d *Datapath) givePrivate(slot uint32) error {
	if _, ok := d.private[slot]; ok {
		return nil
	}
	p := new(private)
	made, err := d.findOrMake(slot, p)
	if err == nil {
		err = atOnce(made, func(o outer) error {
			if err := o.slots.Put(slot, *o.of); err != nil {
				return fmt.Errorf("put the map %s of slot %d: %w", o.inner.Name, slot, err)
			}
			return nil
		})
	}
	if err == nil {
		if p.buckets, err = mapArray[guestBucket](p.flows); err != nil {
			err = fmt.Errorf("slot %d: %w", slot, err)
		}
	}
	if err != nil {
		return errors.Join(err, p.close())
	}
	d.private[slot] = p
	return nil
}

// findOrMake returns those that it had to make: no program finds them yet.
func (d *Datapath) findOrMake(slot uint32, p *private) (made []outer, err error) {
	for _, o := range d.outer(p) {
		err := o.slots.Lookup(slot, o.of)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			made = append(made, o)
			if *o.of, err = ebpf.NewMap(o.inner); err == nil && o.of == &p.flows {
				err = d.describe(slot, p)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("make the map %s of slot %d: %w", o.inner.Name, slot, err)
		}
	}
	return made, nil
}

// describe tells the programs of a slot's flows, before they can find them.
func (d *Datapath) describe(slot uint32, p *private) error {
	eni := &d.enis[slot]
	seed := make([]byte, 8)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	eni.Seed, eni.BucketMask, eni.Quota = binary.NativeEndian.Uint64(seed), p.flows.MaxEntries()-1, p.connections.MaxEntries()
	d.occupancies[slot] = guestOccupancy{}
	return nil
}

// takePrivate removes the maps of a slot, with all that they hold. No packet may be on its way to
// them.
func (d *Datapath) takePrivate(slot uint32) error {
	if err := atOnce(d.outer(new(private)), func(o outer) error {
		if err := deleteKey(o.slots, slot); err != nil {
			return fmt.Errorf("remove the map %s of slot %d: %w", o.inner.Name, slot, err)
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
