package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// Sweep reclaims connections that are past their timeout and returns how many there were. Packets
// see such a connection as absent anyway, so that nothing but memory depends on when Sweep runs:
// every few seconds will do. It also ends the last Apply, if no other has come since, and counts for
// OpenConnections.
func (d *Datapath) Sweep() (int, error) {
	enis, err := d.beginSweep()
	if err != nil {
		return 0, err
	}
	swept := 0
	open := map[vpc.InterfaceID]map[uint32]uint64{}
	for _, slot := range slices.Sorted(maps.Keys(enis)) {
		rules := map[uint32]uint64{}
		for _, which := range []whichMap{established, halfOpen} {
			if err := d.visit(slot, which, func(v visited) error {
				if !v.expired(v.key, v.connection) {
					if !v.isVoid() && !ended(v.connection) {
						rules[v.admittedBy()]++
					}
					return nil
				}
				gone, err := v.takeOut()
				if gone {
					swept++
				}
				return err
			}); err != nil {
				return swept, fmt.Errorf("sweep: %w", err)
			}
		}
		open[enis[slot]] = rules
	}
	d.counted(open, enis)
	return swept, d.freeRuleCounters()
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

// takeOut removes an expired connection. Where a packet has opened it anew between the look and the
// removal it goes back in, unless the next packet was faster.
func (v visited) takeOut() (bool, error) {
	var c guestConnection
	err := v.in.LookupAndDelete(v.key, &c)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if v.expired(v.key, c) {
		return true, nil
	}
	if err := v.in.Update(v.key, c, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return false, err
	}
	return false, nil
}

// expired is the twin of is_expired in connection.h.
func (v visited) expired(k guestConnectionKey, c guestConnection) bool {
	if v.config.Tables == 0 { // closed, as long as no View names the ENI: it has no timeouts
		return false
	}
	return int64(v.ticks-c.Seen) > int64(timeout(k, c, v.config.Timeouts))
}

const flagFins = guestConnectionFlagCONNECTION_FIN_INGRESS | guestConnectionFlagCONNECTION_FIN_EGRESS

// ended says whether a connection of TCP is over: both sides have closed it, or one has reset it.
func ended(c guestConnection) bool {
	return c.Flags&guestConnectionFlagCONNECTION_RST != 0 || c.Flags&flagFins == flagFins
}

// settled is the twin of is_settled in connection.h.
func settled(c guestConnection) bool {
	const answered = guestConnectionFlagCONNECTION_ANSWERED
	return c.Flags&guestConnectionFlagCONNECTION_ESTABLISHED != 0 ||
		c.Flags&(guestConnectionFlagCONNECTION_TRACKED|answered) == answered
}

// timeout is the twin of timeout_of in connection.h, in jiffies.
func timeout(k guestConnectionKey, c guestConnection, t guestTimeouts) uint32 {
	switch k.Protocol {
	case unix.IPPROTO_TCP:
		switch {
		case ended(c):
			return t.TcpClosed
		case c.Flags&flagFins != 0:
			return t.TcpClosing
		case settled(c):
			return t.TcpEstablished
		}
		return t.TcpSyn
	case unix.IPPROTO_UDP:
		if c.Packets[0] > 1 && c.Packets[1] > 1 {
			return t.UdpStream
		}
		return t.Udp
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return t.Icmp
	}
	return t.Other
}

// clock is the programs' clock, in jiffies.
func (d *Datapath) clock() (uint64, error) {
	if d.testClock {
		return atomic.LoadUint64(&d.state.TestClock), nil
	}
	frame := make([]byte, 64)
	if _, err := d.objects.ReadClock.Run(&ebpf.RunOptions{Data: frame, DataOut: frame}); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return binary.NativeEndian.Uint64(frame), nil
}
