package datapath

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// Sweep reclaims connections that are past their timeout, established ones some seconds later, and returns
// how many there were. Packets see such a connection as absent anyway, so that nothing but memory depends
// on when Sweep runs: every few seconds will do. It also ends the last Apply, if no other has come since, and counts for
// OpenConnections.
func (d *Datapath) Sweep() (int, error) {
	enis, err := d.beginSweep()
	if err != nil {
		return 0, err
	}
	swept := 0
	open := map[vpc.InterfaceID]map[uint32]uint64{}
	for _, slot := range slices.Sorted(maps.Keys(enis)) {
		n, rules, err := d.sweepSlot(slot)
		swept += n
		if err != nil {
			return swept, fmt.Errorf("sweep: %w", err)
		}
		open[enis[slot]] = rules
	}
	d.counted(open, enis)
	return swept, d.freeRuleCounters()
}

// sweepSlot sweeps one slot and counts what is open there by rule.
func (d *Datapath) sweepSlot(slot uint32) (swept int, rules map[uint32]uint64, err error) {
	rules = map[uint32]uint64{}
	before, touched := d.beginSlot(slot)
	var found occupancy
	look := func(v visited) error {
		if !v.isReclaimable() {
			found.add(v)
			if !v.isChanging() && !v.isVoid() && !ended(v.flags()) && !v.expired() {
				rules[v.connection.By.Rule]++
			}
			return nil
		}
		err := v.remove()
		if err == nil {
			swept++
		}
		return err
	}
	if touched {
		if err = d.visitWays(slot, look); err == nil && found.entries == 0 {
			d.setEmpty(slot)
		}
	}
	if err == nil {
		err = d.visitOverflow(slot, look)
	}
	if err == nil && !found.is(before) {
		err = d.recount(slot, before)
	}
	return swept, rules, err
}

// occupancy is what a slot has: as struct occupancy says, or as a sweep has found it.
type occupancy struct {
	entries                 int // in buckets
	established, overflowed uint64
}

// occupancy is what the programs have counted in a slot. d.mu is held: Close takes that memory away.
func (d *Datapath) occupancy(slot uint32) occupancy {
	o := &d.occupancies[slot]
	return occupancy{established: atomic.LoadUint64(&o.Established), overflowed: atomic.LoadUint64(&o.Overflowed)}
}

func (o *occupancy) add(v visited) {
	if v.flags()&guestConnectionFlagCONNECTION_ESTABLISHED != 0 {
		o.established++
	}
	if v.at == nil {
		o.overflowed++
	} else {
		o.entries++
	}
}

// is says whether so much was found as was counted.
func (o *occupancy) is(counted occupancy) bool {
	return uint32(o.established) == uint32(counted.established) && uint32(o.overflowed) == uint32(counted.overflowed)
}

// recount counts what a slot has, if nothing was counted since before: an agent may have died between taking an
// entry out and counting it. A program that had counted then, and not yet put its entry in, is over by now.
func (d *Datapath) recount(slot uint32, before occupancy) error {
	if !d.stands(slot, before) {
		return nil
	}
	if err := gracePeriod(); err != nil {
		return err
	}
	var found occupancy
	if err := d.visit(slot, func(v visited) error { found.add(v); return nil }); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.private[slot]; !ok || found.is(before) {
		return nil
	}
	const changed = 1 << 32
	o := &d.occupancies[slot]
	mended := atomic.CompareAndSwapUint64(&o.Established, before.established, before.established&^(changed-1)+changed+found.established)
	if atomic.CompareAndSwapUint64(&o.Overflowed, before.overflowed, before.overflowed&^(changed-1)+changed+found.overflowed) && mended {
		d.log.Warn("connections were counted anew", "eni", string(d.slots[slot].ENI),
			"established", found.established, "beside_buckets", found.overflowed)
	}
	return nil
}

// stands says whether nothing was counted in a slot since before.
func (d *Datapath) stands(slot uint32, before occupancy) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.private[slot]
	return ok && d.occupancy(slot) == before
}

// beginSlot returns what a slot has, and whether anything may be in its buckets: something was, or was put there since.
func (d *Datapath) beginSlot(slot uint32) (has occupancy, touched bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.private[slot]
	if !ok { // not any more
		return occupancy{}, false
	}
	if atomic.LoadUint32(&d.occupancies[slot].Touched) != 0 {
		// Whoever publishes an entry from now on says so again.
		atomic.StoreUint32(&d.occupancies[slot].Touched, 0)
		p.empty = false
	}
	return d.occupancy(slot), !p.empty
}

func (d *Datapath) setEmpty(slot uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.private[slot]; ok {
		p.empty = true
	}
}

// counted keeps what Sweep has counted, of slots that have the same ENI as when it began.
func (d *Datapath) counted(open map[vpc.InterfaceID]map[uint32]uint64, enis map[uint32]vpc.InterfaceID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for slot, eni := range enis {
		if d.slots[slot].ENI != eni {
			delete(open, eni)
		}
	}
	d.open = open
}

// OpenConnections returns how many connections each ENI had when Sweep last looked: what Connections
// lists without those of TCP that have ended, by the rule that let the first packet through; 0: none did,
// it observes. It is nil before the first Sweep, and lacks an ENI that was attached since.
func (d *Datapath) OpenConnections() map[vpc.InterfaceID]map[uint32]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// beginSweep settles what is pending and returns the slots that have connections, with their ENIs.
func (d *Datapath) beginSweep() (map[uint32]vpc.InterfaceID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil {
		return nil, fmt.Errorf("sweep: %w", os.ErrClosed)
	}
	if err := d.settle(); err != nil {
		return nil, fmt.Errorf("reclaim what the last change left: %w", err)
	}
	if d.applied != nil { // and Apply has said what kept it from that
		if err := d.finishUpgrade(); err != nil {
			return nil, err
		}
	}
	enis := map[uint32]vpc.InterfaceID{}
	for slot := range d.private {
		enis[slot] = d.slots[slot].ENI
	}
	return enis, nil
}

// expired is the twin of is_expired in connection.h.
func (v visited) expired() bool { return v.isPast(0) }

// isReclaimable says whether an entry may be taken from its flow, as is_over in bucket.h does.
func (v visited) isReclaimable() bool {
	if v.isChanging() {
		return false
	}
	if f := v.flags(); f&guestConnectionFlagCONNECTION_ESTABLISHED != 0 && !ended(f) {
		return v.isPast(uint64(guestLimitRECLAIM_MARGIN) * uint64(v.d.hz))
	}
	return v.isPast(0)
}

// staleLook is how long after a look at the clock nothing is said to be past its end any more: who was stopped in
// between would take what was seen since for the oldest of all.
const staleLook = 10 * time.Second

// isPast says whether an entry is so many jiffies past its timeout.
func (v visited) isPast(margin uint64) bool {
	if v.config.Tables == 0 { // closed, as long as no View names the ENI: it has no timeouts
		return false
	}
	if time.Since(v.now) > staleLook {
		return false
	}
	return uint64(age(v.connection.Seen, v.ticks)) > uint64(timeout(v.tag, v.connection, v.config.Timeouts))+margin
}

// age is the twin of age_of in entry.h.
func age(seen uint32, ticks uint64) uint32 {
	age := uint32(ticks) - seen
	if age > math.MaxUint32-1<<16+1 {
		return 0
	}
	return age
}

const flagFins = guestConnectionFlagCONNECTION_FIN_INGRESS | guestConnectionFlagCONNECTION_FIN_EGRESS

// ended says whether a connection of TCP is over: both sides have closed it, or one has reset it.
func ended(flags guestConnectionFlag) bool {
	return flags&guestConnectionFlagCONNECTION_RST != 0 || flags&flagFins == flagFins
}

// settled is the twin of is_settled in entry.h.
func settled(flags guestConnectionFlag) bool {
	const answered = guestConnectionFlagCONNECTION_ANSWERED
	return flags&guestConnectionFlagCONNECTION_ESTABLISHED != 0 ||
		flags&(guestConnectionFlagCONNECTION_TRACKED|answered) == answered
}

// timeout is the twin of timeout_of in entry.h, in jiffies.
func timeout(tag uint64, c guestConnection, t guestTimeouts) uint32 {
	flags := flagsOf(tag)
	switch c.protocol() {
	case unix.IPPROTO_TCP:
		switch {
		case ended(flags):
			return t.TcpClosed
		case flags&flagFins != 0:
			return t.TcpClosing
		case settled(flags):
			return t.TcpEstablished
		}
		return t.TcpSyn
	case unix.IPPROTO_UDP:
		if packets, _ := c.counts(tag); packets[0] > 1 && packets[1] > 1 {
			return t.UdpStream
		}
		return t.Udp
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return t.Icmp
	}
	return t.Other
}

// now is the programs' clock, in jiffies.
func (d *Datapath) now() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock()
}

// clock is the same. d.mu is held.
func (d *Datapath) clock() (uint64, error) {
	if d.state == nil {
		return 0, os.ErrClosed
	}
	if d.testClock {
		return atomic.LoadUint64(&d.state.TestClock), nil
	}
	frame := make([]byte, 64)
	if _, err := d.objects.ReadClock.Run(&ebpf.RunOptions{Data: frame, DataOut: frame}); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return binary.NativeEndian.Uint64(frame), nil
}
