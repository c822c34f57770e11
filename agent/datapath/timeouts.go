package datapath

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
)

// defaultTimeouts are EC2's where it publishes them, in jiffies.
// Source: EC2 user guide, "Connection tracking timeouts"; the others are ours.
func defaultTimeouts(hz uint32) guestTimeouts {
	return guestTimeouts{
		TcpEstablished: 432000 * hz,
		TcpSyn:         60 * hz,
		TcpClosing:     120 * hz,
		TcpClosed:      10 * hz,
		Udp:            30 * hz,
		UdpStream:      180 * hz,
		Icmp:           30 * hz,
		Other:          600 * hz,
	}
}

// timeoutsOf are the timeouts of an ENI: its own where it has some.
func (d *Datapath) timeoutsOf(own ruleset.Timeouts) guestTimeouts {
	t := d.timeouts
	for _, v := range []struct {
		to  *uint32
		own time.Duration
	}{
		{&t.TcpEstablished, own.TCPEstablished},
		{&t.UdpStream, own.UDPStream},
		{&t.Udp, own.UDP},
	} {
		if v.own > 0 {
			*v.to = uint32(min(d.ticks(v.own), math.MaxUint32))
		}
	}
	return t
}

// instant is a time that is equal to others of the same moment.
func instant(t time.Time) time.Time { return t.UTC().Round(0) }

// ticks is a length of time in jiffies.
func (d *Datapath) ticks(t time.Duration) uint64 {
	return uint64(t/time.Second)*uint64(d.hz) + uint64(t%time.Second)*uint64(d.hz)/uint64(time.Second)
}

// observeUntil is an instant on the programs' clock; 0: none. What another agent has written for it
// stays.
func (d *Datapath) observeUntil(t time.Time) (uint64, error) {
	if t.IsZero() {
		return 0, nil
	}
	t = instant(t)
	if ticks, ok := d.observations[t]; ok {
		return ticks, nil
	}
	now, err := d.clock()
	if err != nil {
		return 0, err
	}
	ticks := uint64(1) // long ago
	if left := time.Until(t); left > 0 {
		ticks = now + d.ticks(left)
	} else if ago := d.ticks(-left); ago < now {
		ticks = now - ago
	}
	for slot := range d.slots {
		written := d.enis[slot].Config[d.epoch()].ObserveUntil
		if written != 0 && max(written, ticks)-min(written, ticks) < uint64(d.hz) {
			ticks = written
		}
	}
	d.observations[t] = ticks
	return ticks, nil
}

// ticksPerSecond is the kernel's HZ: the coarse clocks advance with each tick.
func ticksPerSecond() (uint32, error) {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return 0, fmt.Errorf("read the length of a tick: %w", err)
	}
	n := resolution.Nano()
	if n <= 0 || n > int64(time.Second) {
		return 0, fmt.Errorf("a tick of %d ns makes no sense", n)
	}
	return uint32(math.Round(float64(time.Second) / float64(n))), nil
}
