package datapath_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/hostiletest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestHostileTricks plays every trick on veths. With the filter nothing of one comes out at the far side,
// whatever an observer there counts; without the one check that it is meant for, all of it does.
func TestHostileTricks(t *testing.T) {
	t.Parallel()
	tricks := hostiletest.Tricks()
	if len(tricks) < 60 {
		t.Errorf("there are %d tricks, want at least 60", len(tricks))
	}
	byReason := map[ruleset.Reason][]hostiletest.Trick{}
	names := map[string]bool{}
	for _, trick := range tricks {
		if names[trick.Name] {
			t.Errorf("two tricks are called %q", trick.Name)
		}
		names[trick.Name] = true
		byReason[trick.Reason] = append(byReason[trick.Reason], trick)
	}
	w := newWire(t, datapath.Options{}.WithExcuses())
	for reason, tricks := range byReason {
		t.Run(fmt.Sprintf("without %s", reason), func(t *testing.T) {
			w.d.Excuse(reason)
			playTricks(t, w, tricks, true)
		})
	}
	w.d.Excuse()
	playTricks(t, w, tricks, false)
}

// A wire leads through the filter of eniA.
type wire interface {
	apply(*ruleset.View)
	send(name string, d ruleset.Direction, f hostiletest.Frame)
	// passed is how many frames have come out since the last call.
	passed(ruleset.Direction) int
}

// playTricks wants all frames of the tricks to come out, or none.
func playTricks(t *testing.T, w wire, tricks []hostiletest.Trick, all bool) {
	// Or one frame may overtake another, in the queue of another CPU.
	onCPU(t, 0, func() { playInTurn(t, w, tricks, all) })
}

func playInTurn(t *testing.T, w wire, tricks []hostiletest.Trick, all bool) {
	for _, open := range []bool{true, false} {
		rules := hostiletest.Rules()
		if open {
			rules = allowAll()
		}
		w.apply(hostileView(rules))
		for _, trick := range tricks {
			if trick.Open != open {
				continue
			}
			for i, s := range trick.Before {
				w.send("before "+trick.Name, s.Direction, s.Frame)
				if got := w.passed(s.Direction); got != 1 {
					t.Errorf("%s: of what is before it, frame %d came out %d times", trick.Name, i, got)
				}
			}
			want := 0
			for _, f := range trick.Frames {
				w.send(trick.Name, trick.Direction, f)
				if all {
					want++
				}
			}
			if got := w.passed(trick.Direction); got != want {
				t.Errorf("%s: %d frames came out, want %d", trick.Name, got, want)
			}
		}
	}
}

// hostileView is eniA as the tricks know it.
func hostileView(rules []vpc.Rule) *ruleset.View {
	v := view(rules...)
	eni := v.ENIs[eniA]
	eni.MAC, eni.Addresses, eni.Routers = hostiletest.MAC, hostiletest.Addresses, hostiletest.Routers
	v.ENIs[eniA] = eni
	return v
}

// vethWire is g0, which is filtered and whose other end g0p is the guest's, and f0, to which everything
// goes that comes out of g0, and from which everything comes that goes there. Nobody has an address: no
// frame is sent but those of the test.
type vethWire struct {
	*host
	ends  [2]int // sockets, by the direction for which they send; the other one receives
	marks uint16
}

func newWire(t *testing.T, o datapath.Options) *vethWire {
	t.Helper()
	w := &vethWire{host: newHost(t, o)}
	w.attach(eniA)
	w.device("f0")
	w.do(func() {
		quiet(t, "all", "default", "g0", "g0p", "f0", "f0p")
		patch(t, "g0", "f0")
		patch(t, "f0", "g0")
		w.ends = [2]int{ruleset.Egress: packetSocket(t, "g0p"), ruleset.Ingress: packetSocket(t, "f0p")}
	})
	return w
}

// quiet sets devices up without IPv6, of which each would speak at once.
func quiet(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0))
		if name == "all" || name == "default" {
			continue
		}
		l, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(l))
	}
}

// patch leads what comes in from one device out of another, whatever it is: no bridge, which would look
// at it. It stands behind the filter.
func patch(t *testing.T, from, to string) {
	t.Helper()
	src, err := netlink.LinkByName(from)
	must(t, err)
	dst, err := netlink.LinkByName(to)
	must(t, err)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(dst.Attrs().Index)), asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(), asm.Return(),
		},
	})
	must(t, err)
	defer program.Close()
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: src.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	}
	if err := netlink.QdiscAdd(qdisc); !errors.Is(err, unix.EEXIST) {
		must(t, err)
	}
	must(t, netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: src.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: 100, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: "patch", DirectAction: true,
	}))
}

// packetSocket sends and gets all frames of a device; what it sends has a struct virtio_net_hdr.
func packetSocket(t *testing.T, name string) int {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300 /* ETH_P_ALL */, Ifindex: l.Attrs().Index}))
	return fd
}

func (w *vethWire) send(name string, d ruleset.Direction, f hostiletest.Frame) {
	w.t.Helper()
	sendFrame(w.t, w.ends[d], name, f)
}

func (w *vethWire) passed(d ruleset.Direction) int {
	w.t.Helper()
	w.marks++
	w.send("mark", d, hostiletest.Mark(d, w.marks))
	return countFrames(w.t, w.ends[1-d], d, w.marks)
}

func sendFrame(t testing.TB, fd int, name string, f hostiletest.Frame) {
	t.Helper()
	if _, err := unix.Write(fd, append(f.Header(), f.Data...)); err != nil {
		t.Errorf("send %s: %v", name, err)
	}
}

// countFrames counts what comes before a mark.
func countFrames(t testing.TB, fd int, d ruleset.Direction, mark uint16) (frames int) {
	t.Helper()
	buf := make([]byte, 1<<16)
	header := len(hostiletest.Frame{}.Header())
	for ; ; frames++ {
		n, err := unix.Read(fd, buf)
		if err != nil {
			t.Fatalf("wait for mark %d: %v", mark, err)
		}
		if got, is := hostiletest.IsMark(d, buf[header:n]); is && got == mark {
			return frames
		}
	}
}
