package lab_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/vpc"
)

func sh(t *testing.T, format string, args ...any) {
	t.Helper()
	script := fmt.Sprintf(format, args...)
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// An agent died half way; the next one makes the guest whole.
func TestGuestHalfMade(t *testing.T) {
	for name, left := range map[string]func(t *testing.T, dir string, g lab.Guest){
		"bridge without alias": func(t *testing.T, _ string, g lab.Guest) {
			sh(t, "ip link add %s type bridge", lab.BridgeName(g.Interfaces[0].Subnet))
		},
		"veth without alias": func(t *testing.T, _ string, g lab.Guest) {
			sh(t, "ip netns add %s; ip link add %s type veth peer name eth0 netns %s", g.ID, lab.DeviceName(g.Interfaces[0].ENI), g.ID)
		},
		"namespace that was not set up": func(t *testing.T, dir string, g lab.Guest) {
			sh(t, "mkdir -p %s/%s; ip netns add %s", dir, g.ID, g.ID)
		},
		"name without namespace": func(t *testing.T, _ string, g lab.Guest) {
			sh(t, "touch /run/netns/%s", g.ID)
		},
		"directory alone": func(t *testing.T, dir string, g lab.Guest) {
			sh(t, "mkdir -p %s/%s; echo 1 1 > %s/%s/init", dir, g.ID, dir, g.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lab")
			l, st := newLab(t, dir)
			g := guest(1)
			t.Cleanup(func() {
				if err := lab.Purge(dir); err != nil {
					t.Errorf("Purge: %v", err)
				}
			})
			left(t, dir, g)
			if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
				t.Fatal(err)
			}
			if got := st.get(g.ID); got != "running=true " {
				t.Errorf("status = %q, want running", got)
			}
			for _, to := range []string{"203.0.113.11", "fd5a:11:22::11"} {
				if out, err := exec.Command("ping", "-c1", "-W2", to).CombinedOutput(); err != nil {
					t.Errorf("the host does not reach %s: %v\n%s", to, err, out)
				}
			}
			if !pings(g, "127.0.0.1") {
				t.Error("the guest's lo is not up")
			}
		})
	}
}

// The guest's first process was killed, or its namespace's name removed: the next look mends it.
func TestGuestHurt(t *testing.T) {
	for name, hurt := range map[string]string{
		"first process killed": "kill -9 $(cut -d' ' -f1 %[1]s/%[2]s/init); while ip netns pids %[2]s | grep -q .; do sleep 0.02; done",
		"namespace unnamed":    "ip netns del %[2]s",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lab")
			l, _ := newLab(t, dir)
			g := guest(1)
			g.UserData = []byte("#!/bin/sh\necho started\nsleep 1000 &\n")
			t.Cleanup(func() { _ = lab.Purge(dir) })
			if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
				t.Fatal(err)
			}
			started := func(want int) {
				t.Helper()
				until(t, fmt.Sprintf("user data started %d times", want), func() bool {
					log, _ := os.ReadFile(filepath.Join(dir, string(g.ID), "console.log"))
					return strings.Count(string(log), "started") == want
				})
			}
			started(1)
			sh(t, hurt, dir, g.ID)
			until(t, "it is whole again", func() bool {
				err := l.Reconcile(t.Context(), []lab.Guest{g})
				if err != nil {
					t.Log(err)
				}
				return err == nil
			})
			started(2)
			if !pings(g, "203.0.113.1") {
				t.Error("the guest does not reach its router")
			}
		})
	}
}

func TestUserData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	ends, forks, large, none := guest(1), guest(2), guest(3), guest(4)
	ends.UserData = []byte("#!/bin/sh\nexit 7\n")
	forks.UserData = []byte("#!/bin/sh\n(sleep 0.2; echo late) &\nread -r x || echo no input\n")
	large.UserData = append([]byte("#!/bin/sh\necho whole $(wc -c < \"$0\")\nexit 0\n"), make([]byte, 16<<10)...)
	large.UserData = large.UserData[:16<<10]
	none.UserData = []byte("#cloud-config\n")
	if err := l.Reconcile(t.Context(), []lab.Guest{ends, forks, large, none}); err != nil {
		t.Fatal(err)
	}
	for g, want := range map[vpc.InstanceID]string{
		ends.ID: "user data ended with status 7", forks.ID: "no input\nlate", large.ID: "whole 16384", none.ID: "",
	} {
		until(t, fmt.Sprintf("the console of %s says %q", g, want), func() bool {
			log, err := os.ReadFile(filepath.Join(dir, string(g), "console.log"))
			return err == nil && strings.Contains(string(log), want)
		})
	}
	if !pings(ends, "203.0.113.12") {
		t.Error("a guest whose user data ended does not run")
	}
}

func TestTwoVPCsWithTheSameAddresses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, st := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	a, b := guest(1), guest(2)
	b.Interfaces[0].VPC, b.Interfaces[0].Subnet = "vpc-000000000000feed2", "subnet-000000000000feed2"
	if err := l.Reconcile(t.Context(), []lab.Guest{a}); err != nil {
		t.Fatal(err)
	}
	if err := l.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
		t.Fatal(err)
	}
	want := "running=false lab guests of vpc-0000000000000feed already use 203.0.113.0/25 (bridge " +
		lab.BridgeName(a.Interfaces[0].Subnet) + ")"
	if got := st.get(b.ID); got != want {
		t.Errorf("status = %q, want %q", got, want)
	}
	if !pings(a, "203.0.113.1") {
		t.Error("the first VPC's guest does not reach its router any more")
	}
}

func TestHostWithoutIPv6(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, st := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	sh(t, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
	t.Cleanup(func() { sh(t, "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0") })
	v4, dual := guest(1), guest(2)
	i := &v4.Interfaces[0]
	i.Subnet, i.VPC = "subnet-000000000000feed2", "vpc-000000000000feed2"
	i.Addresses, i.Routers = []netip.Prefix{netip.MustParsePrefix("203.0.113.140/25")}, []netip.Prefix{netip.MustParsePrefix("203.0.113.129/25")}
	if err := l.Reconcile(t.Context(), []lab.Guest{v4, dual}); err != nil {
		t.Fatal(err)
	}
	if got := st.get(v4.ID); got != "running=true " || !pings(v4, "198.51.100.1") {
		t.Errorf("an IPv4 guest: status %q, or does not reach the host", got)
	}
	if got, want := st.get(dual.ID), "running=false IPv6 is off on this host"; !strings.HasPrefix(got, want) {
		t.Errorf("a guest with IPv6: status %q, want %q", got, want)
	}
}

// A guest takes the place of one with the same addresses in another VPC.
func TestVPCInPlaceOfAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, st := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	a, b := guest(1), guest(2)
	b.Interfaces[0].VPC, b.Interfaces[0].Subnet = "vpc-000000000000feed2", "subnet-000000000000feed2"
	for _, g := range []lab.Guest{a, b} {
		if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
			t.Fatal(err)
		}
		if got := st.get(g.ID); got != "running=true " {
			t.Errorf("status of %s = %q, want running", g.ID, got)
		}
	}
}

func TestBridgeDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	g := guest(1)
	for range 2 {
		if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
			t.Fatal(err)
		}
		if !pings(g, "203.0.113.1") {
			t.Fatal("the guest does not reach its router")
		}
		sh(t, "ip link del %s", lab.BridgeName(g.Interfaces[0].Subnet))
	}
}

func TestPurgeWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	g, bare := guest(1), guest(2)
	bare.Interfaces = nil
	if err := l.Reconcile(t.Context(), []lab.Guest{g, bare}); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(filepath.Join(dir, string(g.ID), "init"))
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "rm -r %s", dir)
	if err := lab.Purge(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", "{ ip -o link; ls /run/netns; } | grep -e sp[bv]- -e feed000").Output(); err == nil {
		t.Errorf("Purge left\n%s", out)
	}
	pid, _, _ := strings.Cut(string(record), " ")
	until(t, "the first process is gone", func() bool {
		cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		return len(cmdline) == 0
	})
}

// What stands in the lab's directory and is no guest's is not removed by its name.
func TestPurgeKeepsWhatIsNotALabs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	sh(t, "mkdir -p %s/spt-lab-keep; ip netns add spt-lab-keep", dir)
	t.Cleanup(func() { sh(t, "ip netns del spt-lab-keep") })
	if err := lab.Purge(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/run/netns/spt-lab-keep"); err != nil {
		t.Errorf("Purge removed another's namespace: %v", err)
	}
}
