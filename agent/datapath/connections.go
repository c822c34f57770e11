package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batch is how many connections are read with one call.
const batch = 4096

// eachConnection reads a map of connections in batches. Those that come and go meanwhile may be
// missed.
func eachConnection(m *ebpf.Map, visit func(guestConnectionKey, guestConnection) error) error {
	keys, values := make([]guestConnectionKey, batch), make([]guestConnection, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, unix.ENOSPC) { // one bucket is bigger than that
			keys, values = make([]guestConnectionKey, 2*len(keys)), make([]guestConnection, 2*len(values))
			continue
		}
		last := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return fmt.Errorf("read connections: %w", err)
		}
		for i := range n {
			if err := visit(keys[i], values[i]); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// Sweep reclaims connections that are past their timeout and returns how many there were. Packets
// see such a connection as absent anyway, so that nothing but memory depends on when Sweep runs:
// every few seconds will do. It also ends the last Apply, if no other has come since.
func (d *Datapath) Sweep() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.settle(); err != nil {
		return 0, fmt.Errorf("reclaim what the last change left: %w", err)
	}
	now, err := d.clock()
	if err != nil {
		return 0, err
	}
	swept := 0
	for slot, p := range d.private {
		timeouts := d.enis[slot].Config[d.epoch()].Timeouts
		// The twin of is_expired in connection.h.
		expired := func(k guestConnectionKey, c guestConnection) bool {
			return int64(now-c.Seen) > int64(timeout(k, c, timeouts))
		}
		for _, m := range p.connectionMaps() {
			if err := eachConnection(m, func(k guestConnectionKey, c guestConnection) error {
				if !expired(k, c) {
					return nil
				}
				gone, err := takeOut(m, k, expired)
				if gone {
					swept++
				}
				return err
			}); err != nil {
				return swept, fmt.Errorf("sweep: %w", err)
			}
		}
	}
	return swept, nil
}

// takeOut removes an expired connection. Where a packet has opened it anew between the look and the
// removal it goes back in, unless the next packet was faster.
func takeOut(m *ebpf.Map, k guestConnectionKey, expired func(guestConnectionKey, guestConnection) bool) (bool, error) {
	var c guestConnection
	err := m.LookupAndDelete(k, &c)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if expired(k, c) {
		return true, nil
	}
	if err := m.Update(k, c, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return false, err
	}
	return false, nil
}

// timeout is the twin of timeout_of in connection.h, in jiffies.
func timeout(k guestConnectionKey, c guestConnection, t guestTimeouts) uint32 {
	const fins = guestConnectionFlagCONNECTION_FIN_INGRESS | guestConnectionFlagCONNECTION_FIN_EGRESS
	switch k.Protocol {
	case unix.IPPROTO_TCP:
		switch {
		case c.Flags&guestConnectionFlagCONNECTION_RST != 0, c.Flags&fins == fins:
			return t.TcpClosed
		case c.Flags&fins != 0:
			return t.TcpClosing
		case c.Flags&guestConnectionFlagCONNECTION_ESTABLISHED != 0:
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
