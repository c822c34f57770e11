package lab_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/agent/machinetest"
	"github.com/sallyport/sallyport/vpc"
)

// TestMain: a lab removes every bridge, rule and route of labs that it does not want.
func TestMain(m *testing.M) { machinetest.Main(m.Run) }

// The addresses are of a documentation block (RFC 5737, TEST-NET-3) and of a ULA prefix, so that
// they collide with no lab that runs on this machine.
func guest(n int) lab.Guest {
	id := fmt.Sprintf("%017x", 0xfeed0000+n)
	return lab.Guest{
		ID: vpc.InstanceID("i-" + id), Run: true,
		Interfaces: []lab.Interface{{
			ENI: vpc.InterfaceID("eni-" + id), MAC: vpc.MAC{2, 0, 0x5e, 0, 0x53, byte(n)},
			Addresses: []netip.Prefix{
				netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/25", 10+n)),
				netip.MustParsePrefix(fmt.Sprintf("fd5a:11:22::%d/64", 10+n)),
			},
			VPC: "vpc-0000000000000feed", Subnet: "subnet-0000000000000feed",
			Routers: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/25"), netip.MustParsePrefix("fd5a:11:22::1/64")},
		}},
	}
}

type status struct {
	sync.Mutex
	of map[vpc.InstanceID]string
}

func newLab(t *testing.T, dir string) (*lab.Lab, *status) {
	t.Helper()
	st := &status{of: map[vpc.InstanceID]string{}}
	return lab.New(lab.Options{
		Dir: dir,
		Bind: func(_ context.Context, dev string, _ vpc.InterfaceID) error {
			l, err := netlink.LinkByName(dev)
			if err != nil {
				return err
			}
			if st.get("bound "+vpc.InstanceID(dev)) == "" && l.Attrs().Flags&net.FlagUp != 0 {
				return fmt.Errorf("%s is up before it is bound", dev)
			}
			st.set("bound "+vpc.InstanceID(dev), "yes")
			return nil
		},
		Status: func(id vpc.InstanceID, running bool, reason string) {
			st.set(id, fmt.Sprintf("running=%t %s", running, reason))
		},
	}), st
}

func (s *status) set(id vpc.InstanceID, v string) { s.Lock(); s.of[id] = v; s.Unlock() }
func (s *status) get(id vpc.InstanceID) string    { s.Lock(); defer s.Unlock(); return s.of[id] }

// until waits for cond, for at most a minute.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not true after a minute: %s", what)
		}
	}
}

func TestGuestLifecycle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, st := newLab(t, dir)
	t.Cleanup(func() {
		if err := lab.Purge(dir); err != nil {
			t.Errorf("Purge: %v", err)
		}
	})
	a, b := guest(1), guest(2)
	a.UserData = []byte("#!/bin/sh\necho caps $(grep CapBnd /proc/self/status)\necho pins: $(ls -A /sys/fs/bpf)\nls /run/sallyport\necho pid $$\n" +
		"exec socat TCP6-LISTEN:8080,fork,reuseaddr,ipv6only=0 EXEC:'echo hello from guest'\n")
	if err := l.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
		t.Fatal(err)
	}
	if got := st.get(a.ID); got != "running=true " {
		t.Errorf("status of a = %q, want running", got)
	}

	for _, addr := range []string{"203.0.113.11:8080", "[fd5a:11:22::11]:8080"} {
		var body []byte
		until(t, "the host reaches "+addr, func() bool {
			c, err := net.DialTimeout("tcp", addr, 10*time.Second)
			if err != nil {
				return false
			}
			defer c.Close()
			if got := c.LocalAddr().(*net.TCPAddr).IP.String(); got != "198.51.100.1" && got != "2001:db8:ffff::1" {
				t.Errorf("the host speaks to %s as %s, want the outside address", addr, got)
			}
			body, err = io.ReadAll(c)
			return err == nil
		})
		if got := strings.TrimSpace(string(body)); got != "hello from guest" {
			t.Errorf("%s said %q", addr, got)
		}
	}
	// From guest to guest, on the bridge.
	if out, err := exec.Command("ip", "netns", "exec", string(b.ID), "ping", "-c1", "-W2", "203.0.113.11").CombinedOutput(); err != nil {
		t.Errorf("b does not reach a: %v\n%s", err, out)
	}
	// And to nothing else.
	if out, err := exec.Command("ip", "netns", "exec", string(b.ID), "ping", "-c1", "-W2", "192.0.2.77").CombinedOutput(); err == nil {
		t.Errorf("b reaches an address outside of its VPC:\n%s", out)
	}

	log, err := os.ReadFile(filepath.Join(dir, string(a.ID), "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pins:\n", "cannot access '/run/sallyport'", "CapBnd:\t00000000000024eb"} {
		if !strings.Contains(strings.ReplaceAll(string(log), "CapBnd: ", "CapBnd:\t"), want) {
			t.Errorf("the console's log lacks %q:\n%s", want, log)
		}
	}

	// Another agent adopts: same device, same process.
	link, err := netlink.LinkByName(lab.DeviceName(a.Interfaces[0].ENI))
	if err != nil {
		t.Fatal(err)
	}
	l2, st2 := newLab(t, dir)
	st2.set("bound "+vpc.InstanceID(link.Attrs().Name), "yes")
	st2.set("bound "+vpc.InstanceID(lab.DeviceName(b.Interfaces[0].ENI)), "yes")
	before, _ := os.ReadFile(filepath.Join(dir, string(a.ID), "init"))
	if err := l2.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
		t.Fatal(err)
	}
	again, err := netlink.LinkByName(link.Attrs().Name)
	if err != nil || again.Attrs().Index != link.Attrs().Index {
		t.Errorf("adoption made %s anew (%v)", link.Attrs().Name, err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, string(a.ID), "init")); string(after) != string(before) {
		t.Errorf("adoption started the guest's first process anew: %q, was %q", after, before)
	}

	// A second interface while it runs, then none.
	b.Interfaces = append(b.Interfaces, guest(3).Interfaces...)
	b.Interfaces[1].Index = 1
	if err := l2.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ping", "-c1", "-W2", "203.0.113.13").CombinedOutput(); err != nil {
		t.Errorf("the second interface does not answer: %v\n%s", err, out)
	}
	b.Interfaces = b.Interfaces[:1]
	a.Run = false
	if err := l2.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
		t.Fatal(err)
	}
	if got := st2.get(a.ID); got != "running=false " {
		t.Errorf("status of a = %q, want stopped", got)
	}
	if _, err := netns.GetFromName(string(a.ID)); err == nil {
		t.Error("the namespace of a stopped guest is still there")
	}
	if _, err := netlink.LinkByName(lab.DeviceName(guest(3).Interfaces[0].ENI)); err == nil {
		t.Error("a detached interface is still there")
	}

	if err := l2.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName(lab.BridgeName("subnet-0000000000000feed")); err == nil {
		t.Error("Close left the bridge")
	}
	if out, _ := exec.Command("ip", "rule").CombinedOutput(); strings.Contains(string(out), "spb-") {
		t.Errorf("Close left a rule:\n%s", out)
	}
}

func TestGuestOnTheHostsOwnNetworkIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, st := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	other := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "spt-lab0"}}
	if err := netlink.LinkAdd(other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(other) })
	addr, _ := netlink.ParseAddr("203.0.113.200/24")
	if err := netlink.AddrAdd(other, addr); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(other); err != nil {
		t.Fatal(err)
	}
	g := guest(1)
	if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
		t.Fatal(err)
	}
	want := "running=false the host already uses 203.0.113.0/25 (route 203.0.113.0/24 via spt-lab0)"
	if got := st.get(g.ID); got != want {
		t.Errorf("status = %q, want %q", got, want)
	}
	if _, err := netns.GetFromName(string(g.ID)); err == nil {
		t.Error("a refused guest left its namespace")
	}
}
