package datapath_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/oracletest"
	"github.com/sallyport/sallyport/ruleset"
)

// errUnsendable is what a device does not take, or changes on the way.
var errUnsendable = errors.New("no frame for a wire")

// realWire sends frames through real devices: from a quiet namespace into the host's ends, and out of them.
// What became of them the counters say.
type realWire struct {
	p           *player
	inside, out int         // packet sockets, in the guests' namespace and in the host's
	peers       map[int]int // the guest's end of a device, by ifindex
}

// newRealWire puts the guests' ends into a namespace where nobody answers.
func newRealWire(p *player) *realWire {
	t := p.t
	w := &realWire{p: p, peers: map[int]int{}}
	socket := func() int {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { must(t, unix.Close(fd)) })
		return fd
	}
	quiet := func() { must(t, os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0)) }
	guests := &host{t: t, ns: newNamespace(t)}
	guests.do(func() {
		quiet()
		w.inside = socket()
	})
	p.do(func() {
		quiet()
		w.out = socket()
		for _, index := range p.devices {
			l, err := netlink.LinkByIndex(index)
			must(t, err)
			peer, err := netlink.LinkByName(l.Attrs().Name + "p")
			must(t, err)
			must(t, netlink.LinkSetNsFd(peer, int(guests.ns)))
			must(t, netlink.LinkSetUp(l))
			guests.do(func() {
				peer, err := netlink.LinkByName(l.Attrs().Name + "p")
				must(t, err)
				must(t, netlink.LinkSetUp(peer))
				w.peers[index] = peer.Attrs().Index
			})
			must(t, netns.Set(p.ns)) // back from do
		}
	})
	return w
}

// run sends a frame and returns what the counters say of it.
func (w *realWire) run(d ruleset.Direction, ifindex int, frame []byte) (v ruleset.Verdict, err error) {
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_8021Q, unix.ETH_P_8021AD: // the kernel takes the tag out before any program sees it
		return v, errUnsendable
	}
	before, err := w.count(ifindex, d)
	if err != nil {
		return v, err
	}
	fd, to := w.inside, w.peers[ifindex]
	if d == ruleset.Ingress {
		fd, to = w.out, ifindex
	}
	// A veth hands a frame over before this returns.
	err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: to})
	if errors.Is(err, unix.EMSGSIZE) {
		return v, errUnsendable
	}
	if err != nil && !errors.Is(err, unix.ENOBUFS) { // which says that the program dropped it
		return v, fmt.Errorf("send: %w", err)
	}
	var after datapath.Counts
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if after, err = w.count(ifindex, d); err != nil {
			return v, err
		}
		if total(after) != total(before) || time.Now().After(end) {
			break
		}
	}
	if n := total(after) - total(before); n != 1 {
		return v, fmt.Errorf("%d packets were counted, want one", n)
	}
	for _, r := range ruleset.Reasons() {
		if after.Packets[r] != before.Packets[r] {
			v.Reason = r
		}
	}
	switch {
	case passes(v.Reason):
		v.Action = ruleset.Allow
	case after.Observed != before.Observed: // and no reason is counted
		v.Action = ruleset.Observe
	}
	return v, nil
}

func total(c datapath.Counts) (n uint64) {
	for _, packets := range c.Packets {
		n += packets
	}
	return n + c.Observed
}

// count returns the counts of one direction of a device.
func (w *realWire) count(ifindex int, d ruleset.Direction) (datapath.Counts, error) {
	counts, err := w.p.d.Counts()
	if err != nil {
		return datapath.Counts{}, err
	}
	sum := datapath.Counts{Packets: map[ruleset.Reason]uint64{}}
	for _, a := range w.p.d.Attached() {
		for _, c := range counts {
			if a.Ifindex == ifindex && c.ENI == a.ENI && c.Direction == d {
				sum.Observed += c.Observed
				for reason, n := range c.Packets {
					sum.Packets[reason] += n
				}
			}
		}
	}
	return sum, nil
}

// TestOracleOnTheWire plays some cases with real packets: verdicts and reasons are those of the test runs.
func TestOracleOnTheWire(t *testing.T) {
	p := newPlayer(t, hostsOptions[0])
	p.wire = newRealWire(p)
	packets := 5000
	if os.Getenv("SOAK") != "" {
		packets = 100_000
	}
	for seed := range uint64(packets / 500) {
		c := oracletest.NewCase(seed+3, 500, p.hz)
		if _, err := p.play(c); err != nil {
			t.Fatalf("case %d: %v", c.Seed, err)
		}
	}
	for _, branch := range []string{"hit: established", "hit: half-open", "a rule, opens a connection", "no rule", "fragment follows its first", "ARP from the guest"} {
		if p.covered[branch] < 5 {
			t.Errorf("%q was taken %d times only", branch, p.covered[branch])
		}
	}
}
