package datapath_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/hostiletest"
	"github.com/sallyport/sallyport/ruleset"
)

// TestUnwrittenChecksum: a checksum that a guest leaves to be written is written where the protocol has
// it, or the packet is dropped. The far end is a device that has to be given whole frames.
func TestUnwrittenChecksum(t *testing.T) {
	t.Parallel()
	for name, o := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testUnwrittenChecksum(t, o.WithExcuses())
		})
	}
}

// looks are the ways in which the programs look at struct sk_buff.
var looks = map[string]datapath.Options{"cast": {}, "probes": datapath.Options{}.WithProbes()}

func testUnwrittenChecksum(t *testing.T, o datapath.Options) {
	w := newWire(t, o)
	w.apply(hostileView(hostiletest.Rules()))
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_NO_PI, Queues: 1,
	}
	w.do(func() {
		must(t, netlink.LinkAdd(tap))
		quiet(t, "tap0")
		patch(t, "f0p", "tap0")
	})
	defer tap.Fds[0].Close()
	mark := uint16(0)
	port := func(f hostiletest.Frame) (port uint16, sound bool) {
		mark++
		w.send("SYN", ruleset.Egress, f)
		w.send("mark", ruleset.Egress, hostiletest.Mark(ruleset.Egress, mark))
		must(t, tap.Fds[0].SetReadDeadline(time.Now().Add(time.Minute)))
		for buf := make([]byte, 2048); ; {
			n, err := tap.Fds[0].Read(buf)
			must(t, err)
			if got, is := hostiletest.IsMark(ruleset.Egress, buf[:n]); is && got == mark {
				return port, sound
			}
			port, sound = binary.BigEndian.Uint16(buf[36:]), hostiletest.IsSound(buf[:n])
		}
	}
	if got, sound := port(hostiletest.Offloaded()); got != 443 || !sound {
		t.Errorf("a SYN to port 443 came out to port %d, its checksum right: %v", got, sound)
	}
	if got, _ := port(hostiletest.PortSwap()); got != 0 {
		t.Errorf("what would become a SYN to port 22 came out, to port %d", got)
	}
	w.d.Excuse(ruleset.ReasonMalformed)
	if got, _ := port(hostiletest.PortSwap()); got != 22 {
		t.Errorf("without the check it came out to port %d, want 22: the test sees nothing", got)
	}
}
