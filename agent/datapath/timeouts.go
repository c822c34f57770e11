package datapath

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// defaultTimeouts are EC2's where it publishes them, in jiffies.
// Source: EC2 user guide, "Connection tracking timeouts"; the others are ours.
func defaultTimeouts() (guestTimeouts, error) {
	hz, err := ticksPerSecond()
	return guestTimeouts{
		TcpEstablished: 432000 * hz,
		TcpSyn:         60 * hz,
		TcpClosing:     120 * hz,
		TcpClosed:      10 * hz,
		Udp:            30 * hz,
		UdpStream:      180 * hz,
		Icmp:           30 * hz,
		Other:          600 * hz,
	}, err
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
