package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// private is the maps that the ENI of one slot has for itself: what it fills is full for nobody
// else.
type private struct {
	connections, halfOpen, fragments *ebpf.Map
}

func (p private) close() error {
	return errors.Join(p.connections.Close(), p.halfOpen.Close(), p.fragments.Close())
}

// outer pairs each map by slot with the one of a slot, and with what a new one is like.
type outer struct {
	slots *ebpf.Map
	of    **ebpf.Map
	inner *ebpf.MapSpec
}

func (d *Datapath) outer(p *private) []outer {
	return []outer{
		{d.objects.Connections, &p.connections, d.inner[guestMapConnections]},
		{d.objects.HalfOpen, &p.halfOpen, d.inner[guestMapHalfOpen]},
		{d.objects.Fragments, &p.fragments, d.inner[guestMapFragments]},
	}
}

// givePrivate makes sure that a slot has its maps: those that are pinned, else new ones.
func (d *Datapath) givePrivate(slot uint32) error {
	if _, ok := d.private[slot]; ok {
		return nil
	}
	var p private
	for _, o := range d.outer(&p) {
		err := o.slots.Lookup(slot, o.of)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			if *o.of, err = ebpf.NewMap(o.inner); err == nil {
				err = o.slots.Put(slot, *o.of)
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("make the map %s of slot %d: %w", o.inner.Name, slot, err), p.close())
		}
	}
	d.private[slot] = p
	return nil
}

// takePrivate removes the maps of a slot, with all that they hold. No packet may be on its way to
// them.
func (d *Datapath) takePrivate(slot uint32) error {
	var p private
	for _, o := range d.outer(&p) {
		if err := deleteKey(o.slots, slot); err != nil {
			return fmt.Errorf("remove the map %s of slot %d: %w", o.inner.Name, slot, err)
		}
	}
	p, ok := d.private[slot]
	if !ok {
		return nil
	}
	delete(d.private, slot)
	return p.close()
}
