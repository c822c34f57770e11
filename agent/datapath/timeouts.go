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

// ticks is a length of time in jiffies.
func (d *Datapath) ticks(t time.Duration) uint64 {
	return uint64(t/time.Second)*uint64(d.hz) + uint64(t%time.Second)*uint64(d.hz)/uint64(time.Second)
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
