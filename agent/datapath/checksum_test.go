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
	port := func(o datapath.Options, f hostiletest.Frame) (port uint16, sound bool) {
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
		must(t, tap.Fds[0].SetReadDeadline(time.Now().Add(5*time.Second)))
		buf := make([]byte, 2048)
		w.send(ruleset.Egress, f)
		w.send(ruleset.Egress, hostiletest.Mark(ruleset.Egress, 1))
		n, err := tap.Fds[0].Read(buf)
		must(t, err)
		if _, is := hostiletest.IsMark(ruleset.Egress, buf[:n]); is {
			return 0, true
		}
		return binary.BigEndian.Uint16(buf[36:]), hostiletest.IsSound(buf[:n])
	}
	if got, sound := port(datapath.Options{}, hostiletest.Offloaded()); got != 443 || !sound {
		t.Errorf("a SYN to port 443 came out to port %d, its checksum right: %v", got, sound)
	}
	if got, _ := port(datapath.Options{}, hostiletest.PortSwap()); got != 0 {
		t.Errorf("what would become a SYN to port 22 came out, to port %d", got)
	}
	if got, _ := port(datapath.Options{}.Without(ruleset.ReasonMalformed), hostiletest.PortSwap()); got != 22 {
		t.Errorf("without the check it came out to port %d, want 22: the test sees nothing", got)
	}
}
