// The guest is the first and only process of a virtual machine. It takes orders on its serial console,
// a line each, and answers with lines:
//
//	tamper                 as root, looks for a filter and does what could switch one off; "tamper: …", then "done"
//	send HEADER FRAME NAME sends a frame in hexadecimal, behind a struct virtio_net_hdr; "sent NAME"
//
// "passed N COUNT" says that mark N has come in, and how many other frames since the one before.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath/hostiletest"
	"github.com/sallyport/sallyport/ruleset"
)

func main() {
	err := run()
	fmt.Printf("over: %v\n", err)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"bpf", "/sys/fs/bpf"},
	} {
		if err := errors.Join(os.MkdirAll(m.path, 0o755), unix.Mount(m.kind, m.path, m.kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	console, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	os.Stdout = console
	tty, err := unix.IoctlGetTermios(int(console.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	tty.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	tty.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(console.Fd()), unix.TCSETS, tty); err != nil {
		return err
	}
	modules, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, m := range modules { // sorted
		if err := insert(m); err != nil {
			return fmt.Errorf("load %s: %w", m, err)
		}
	}
	fd, err := open()
	if err != nil {
		return err
	}
	fmt.Println("ready")
	lines := bufio.NewReaderSize(console, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		switch words := strings.SplitN(strings.TrimSpace(line), " ", 4); words[0] {
		case "tamper":
			if err := unix.Close(fd); err != nil {
				return err
			}
			tamper()
			if fd, err = open(); err != nil {
				return err
			}
			fmt.Println("done")
		case "send":
			if len(words) != 4 {
				return fmt.Errorf("order %q", line)
			}
			frame, err := hex.DecodeString(words[1] + words[2])
			if err == nil {
				_, err = unix.Write(fd, frame)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", words[3], err)
			}
			fmt.Printf("sent %s\n", words[3])
		default:
			return fmt.Errorf("order %q", line)
		}
	}
}

func insert(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// device waits for the NIC.
func device() (netlink.Link, error) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		l, err := netlink.LinkByName("eth0")
		if err == nil || time.Now().After(deadline) {
			return l, err
		}
	}
}

// open sets the NIC up and returns a packet socket on it, on which it begins to count.
func open() (int, error) {
	l, err := device()
	if err != nil {
		return 0, err
	}
	if err := errors.Join(netlink.LinkSetUp(l), netlink.SetPromiscOn(l)); err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300 /* ETH_P_ALL */, Ifindex: l.Attrs().Index}),
	); err != nil {
		return 0, err
	}
	go count(fd)
	return fd, nil
}

func count(fd int) {
	buf := make([]byte, 1<<16)
	for frames := 0; ; frames++ {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return
		}
		if mark, is := hostiletest.IsMark(ruleset.Ingress, buf[len(hostiletest.Frame{}.Header()):n]); is {
			fmt.Printf("passed %d %d\n", mark, frames)
			frames = -1
		}
	}
}

// tamper tells what of a filter is to be seen in here, and does what root can against one.
func tamper() {
	say := func(what string, err error) {
		if err == nil {
			fmt.Printf("tamper: %s: done\n", what)
		} else {
			fmt.Printf("tamper: %s: %v\n", what, err)
		}
	}
	see := func(what string, n int, err error) {
		fmt.Printf("tamper: sees %d %s (%v)\n", n, what, err)
	}
	l, err := device()
	if err != nil {
		say("find eth0", err)
		return
	}
	programs, _, err := collect(ebpf.ProgramGetNextID)
	see("programs", programs, err)
	maps, _, err := collect(ebpf.MapGetNextID)
	see("maps", maps, err)
	var links int
	for it := new(link.Iterator); it.Next(); links++ {
	}
	see("links", links, nil)
	pins, err := os.ReadDir("/sys/fs/bpf")
	pins = slices.DeleteFunc(pins, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".debug") }) // the kernel's own
	see("pins", len(pins), err)
	filters := 0
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		found, err := netlink.FilterList(l, parent)
		if err == nil {
			filters += len(found)
		}
	}
	see("filters", filters, nil)
	xdp := l.Attrs().Xdp
	attached := 0
	if xdp != nil && xdp.Attached {
		attached = 1
	}
	see("XDP programs", attached, nil)

	say("remove clsact", netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}, QdiscType: "clsact"}))
	say("remove XDP", netlink.LinkSetXdpFd(l, -1))
	say("a larger MTU", netlink.LinkSetMTU(l, 1600))
	say("set down", netlink.LinkSetDown(l))
	say("the neighbour's MAC", netlink.LinkSetHardwareAddr(l, []byte{2, 0, 0, 0, 0, 0x22}))
	say("the neighbour's address", netlink.AddrAdd(l, &netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 0, 0, 50})}))
	say("remove the address", netlink.AddrDel(l, &netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 0, 0, 50})}))
	driver := "/sys/bus/virtio/drivers/virtio_net/"
	bus, err := filepath.EvalSymlinks("/sys/class/net/eth0/device")
	say("find the NIC on its bus", err)
	say("take the NIC from its driver", os.WriteFile(driver+"unbind", []byte(filepath.Base(bus)), 0))
	say("give it back", os.WriteFile(driver+"bind", []byte(filepath.Base(bus)), 0))
}

// collect counts ids.
func collect[ID ~uint32](next func(ID) (ID, error)) (n int, last ID, err error) {
	for {
		id, err := next(last)
		if errors.Is(err, os.ErrNotExist) {
			return n, last, nil
		}
		if err != nil {
			return n, last, err
		}
		last = id
		n++
	}
}
