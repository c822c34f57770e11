package datapath_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/hostiletest"
	"github.com/sallyport/sallyport/ruleset"
)

// TestPromise05OwnKernel outside the guest: root in a virtual machine with a kernel of its own sees
// nothing of the filter at its tap, does what could switch one off, and then plays every trick: all come
// out of the tap as long as it is not filtered, and none afterwards.
func TestPromise05OwnKernel(t *testing.T) {
	t.Parallel()
	w := newVirtualWire(t)
	tricks := hostiletest.Tricks()
	w.unfiltered = true
	playTricks(t, w, tricks, true)

	w.unfiltered = false
	w.do(func() { must(t, w.d.Attach(w.devices[eniA], "tap0", eniA)) })
	w.apply(hostileView(allowAll()))
	w.order("tamper")
	for line := w.line(); line != "done"; line = w.line() {
		t.Log(line)
		if strings.HasPrefix(line, "tamper: sees") && !strings.HasPrefix(line, "tamper: sees 0") {
			t.Errorf("in the guest: %s", line)
		}
	}
	playTricks(t, w, tricks, false)
}

// virtualWire is a virtual machine at a tap, and f0 as in vethWire.
type virtualWire struct {
	*host
	far        int // packet socket
	marks      uint16
	stdin      io.Writer
	lines      chan string // of its console; closed when it is gone
	unfiltered bool        // no View can be applied
}

const guestKernel = "../../.cache/guest-kernel"

func newVirtualWire(t *testing.T) *virtualWire {
	t.Helper()
	w := &virtualWire{host: newHost(t, datapath.Options{}), lines: make(chan string, 100)}
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR, Queues: 1,
	}
	w.device("f0")
	w.do(func() {
		must(t, netlink.LinkAdd(tap))
		quiet(t, "all", "default", "tap0", "f0", "f0p")
		patch(t, "tap0", "f0")
		patch(t, "f0", "tap0")
		w.far = packetSocket(t, "f0p")
	})
	w.devices[eniA] = tap.Attrs().Index

	kernel := filepath.Join(guestKernel, "vmlinuz")
	if _, err := os.Stat(kernel); err != nil {
		t.Fatalf("there is no kernel for a guest, and this is not left out for that: make guest-kernel fetches one (%v)", err)
	}
	qemu := exec.Command("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35,accel=tcg", "-cpu", "max", "-m", "192", "-kernel", kernel, "-initrd", initramfs(t, "./hostiletest/guest"),
		"-append", "console=ttyS0 quiet loglevel=0 panic=-1 ipv6.disable=1 net.ifnames=0 rdinit=/init",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-netdev", "tap,id=net,fd=3", "-device", "virtio-net-pci,netdev=net,romfile=,mac="+hostiletest.MAC.String())
	qemu.ExtraFiles = tap.Fds // 3 is the first
	var stderr bytes.Buffer
	qemu.Stderr = &stderr
	var err error
	w.stdin, err = qemu.StdinPipe()
	must(t, err)
	stdout, err := qemu.StdoutPipe()
	must(t, err)
	must(t, qemu.Start())
	must(t, tap.Fds[0].Close())
	t.Cleanup(func() {
		_ = qemu.Process.Kill()
		_ = qemu.Wait()
		if stderr.Len() > 0 {
			t.Logf("QEMU says: %s", stderr.String())
		}
	})
	go func() {
		defer close(w.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	for w.line() != "ready" {
	}
	return w
}

// initramfs is an archive with a guest's program and what its kernel needs to have a NIC.
func initramfs(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	root, archive := filepath.Join(dir, "root"), filepath.Join(dir, "initramfs")
	must(t, os.CopyFS(filepath.Join(root, "modules"), os.DirFS(filepath.Join(guestKernel, "modules"))))
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(root, "init"), program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest's program: %v\n%s", err, out)
	}
	pack := exec.Command("sh", "-ec", "find . | cpio --quiet -o -H newc >"+archive)
	pack.Dir = root
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("pack the guest's files: %v\n%s", err, out)
	}
	return archive
}

// line is the next one that the guest says, within a minute.
func (w *virtualWire) line() string {
	w.t.Helper()
	select {
	case line, ok := <-w.lines:
		if !ok {
			w.t.Fatal("the guest is gone")
		}
		if strings.HasPrefix(line, "over: ") {
			w.t.Fatalf("the guest: %s", line)
		}
		return line
	case <-time.After(time.Minute):
		w.t.Fatal("the guest has said nothing for a minute")
	}
	return ""
}

func (w *virtualWire) order(line string) {
	w.t.Helper()
	_, err := fmt.Fprintln(w.stdin, line)
	must(w.t, err)
}

func (w *virtualWire) apply(v *ruleset.View) {
	if !w.unfiltered {
		w.host.apply(v)
	}
}

func (w *virtualWire) send(name string, d ruleset.Direction, f hostiletest.Frame) {
	w.t.Helper()
	if d == ruleset.Ingress {
		sendFrame(w.t, w.far, name, f)
		return
	}
	w.order(fmt.Sprintf("send %x %x %s", f.Header(), f.Data, name))
	if got := w.line(); got != "sent "+name {
		w.t.Errorf("the guest was to send %s: %s", name, got)
	}
}

// passed sends a second mark to the guest once it has got the first: its kernel hands on what came with
// that, but is of no protocol that it knows, afterwards.
func (w *virtualWire) passed(d ruleset.Direction) (frames int) {
	w.t.Helper()
	if d == ruleset.Egress {
		w.marks++
		w.send("mark", d, hostiletest.Mark(d, w.marks))
		return countFrames(w.t, w.far, d, w.marks)
	}
	for range 2 {
		w.marks++
		w.send("mark", d, hostiletest.Mark(d, w.marks))
		line := w.line()
		mark, n := uint16(0), 0
		if _, err := fmt.Sscanf(line, "passed %d %d", &mark, &n); err != nil || mark != w.marks {
			w.t.Fatalf("after mark %d the guest says %q", w.marks, line)
		}
		frames += n
	}
	return frames
}
