package lab_test

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/vpc"
)

// neighbour is a guest of another VPC.
func neighbour(n int, peers ...vpc.VPCID) lab.Guest {
	g := guest(n)
	i := &g.Interfaces[0]
	i.VPC, i.Subnet, i.Peers = "vpc-000000000000beef", "subnet-000000000000beef", peers
	i.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.200/25"), netip.MustParsePrefix("fd5a:33:44::200/64")}
	i.Routers = []netip.Prefix{netip.MustParsePrefix("203.0.113.129/25"), netip.MustParsePrefix("fd5a:33:44::1/64")}
	return g
}

// in runs a command in a guest and returns what it says.
func in(t *testing.T, g lab.Guest, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", string(g.ID)}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", args, err, out)
	}
	return string(out)
}

// TestPeers: guests of two VPCs reach one another while their VPCs are peers, and at no other time;
// which of them comes first makes no difference.
func TestPeers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() {
		if err := lab.Purge(dir); err != nil {
			t.Errorf("Purge: %v", err)
		}
	})
	a, b := guest(1), neighbour(2)
	peered := func(yes bool) {
		a.Interfaces[0].Peers, b.Interfaces[0].Peers = nil, nil
		if yes {
			a.Interfaces[0].Peers = []vpc.VPCID{b.Interfaces[0].VPC}
			b.Interfaces[0].Peers = []vpc.VPCID{a.Interfaces[0].VPC}
		}
	}
	for _, step := range []struct {
		what   string
		guests []*lab.Guest
		peered bool
	}{
		{"strangers", []*lab.Guest{&a, &b}, false},
		{"peers", []*lab.Guest{&a, &b}, true},
		{"peers no more", []*lab.Guest{&a, &b}, false},
		{"one alone, with a peer that has no guest", []*lab.Guest{&b}, true},
		{"the other comes", []*lab.Guest{&a, &b}, true},
		{"the first goes", []*lab.Guest{&a}, true},
		{"and comes again", []*lab.Guest{&a, &b}, true},
		{"strangers again", []*lab.Guest{&a, &b}, false},
	} {
		peered(step.peered)
		var guests []lab.Guest
		for _, g := range step.guests {
			guests = append(guests, *g)
		}
		if err := l.Reconcile(t.Context(), guests); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if len(guests) < 2 {
			continue
		}
		for _, to := range []string{"203.0.113.200", "fd5a:33:44::200"} {
			if got := pings(a, to); got != step.peered {
				t.Errorf("%s: a reaches %s: %v, want %v", step.what, to, got, step.peered)
			}
		}
		for _, to := range []string{"203.0.113.11", "fd5a:11:22::11"} {
			if got := pings(b, to); got != step.peered {
				t.Errorf("%s: b reaches %s: %v, want %v", step.what, to, got, step.peered)
			}
		}
	}
}

// TestAddressesOfRunningGuest: an address that is assigned appears on a running guest, and goes when it
// is unassigned, by the next agent too. What somebody gave the guest by hand stays.
func TestAddressesOfRunningGuest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() {
		if err := lab.Purge(dir); err != nil {
			t.Errorf("Purge: %v", err)
		}
	})
	a := guest(1)
	second := guest(3).Interfaces[0]
	second.Index = 1
	a.Interfaces = append(a.Interfaces, second)
	reconcile := func(l *lab.Lab) {
		t.Helper()
		if err := l.Reconcile(t.Context(), []lab.Guest{a}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(has, hasNot []string) {
		t.Helper()
		addrs := in(t, a, "ip", "-o", "addr")
		rules := in(t, a, "ip", "rule") + in(t, a, "ip", "-6", "rule")
		for _, x := range has {
			if !strings.Contains(addrs, " "+x+" ") {
				t.Errorf("the guest has no %s:\n%s", x, addrs)
			}
		}
		for _, x := range hasNot {
			if strings.Contains(addrs, " "+x+" ") {
				t.Errorf("the guest has %s still:\n%s", x, addrs)
			}
			if x, _, _ := strings.Cut(x, "/"); strings.Contains(rules, "from "+x+" ") {
				t.Errorf("the guest has a rule for %s still:\n%s", x, rules)
			}
		}
	}
	reconcile(l)
	in(t, a, "ip", "addr", "add", "203.0.113.77/25", "dev", "eth0")
	before := []string{"203.0.113.11/25", "fd5a:11:22::11/64", "203.0.113.13/25", "fd5a:11:22::13/64", "203.0.113.77/25"}
	more := [][]string{{"203.0.113.20/25", "fd5a:11:22::20/64"}, {"203.0.113.21/25", "fd5a:11:22::21/64"}}
	want(before, append(more[0], more[1]...))

	old := [][]netip.Prefix{a.Interfaces[0].Addresses, a.Interfaces[1].Addresses}
	for n := range a.Interfaces {
		for _, x := range more[n] {
			a.Interfaces[n].Addresses = append(slices.Clip(a.Interfaces[n].Addresses), netip.MustParsePrefix(x))
		}
	}
	reconcile(l)
	want(append(before, append(more[0], more[1]...)...), nil)
	for _, to := range []string{"203.0.113.20", "fd5a:11:22::20", "203.0.113.21", "fd5a:11:22::21"} {
		if out, err := exec.Command("ping", "-n", "-c1", "-W1", to).CombinedOutput(); err != nil {
			t.Errorf("the host does not reach %s: %s", to, out)
		}
	}

	for n := range a.Interfaces {
		a.Interfaces[n].Addresses = old[n]
	}
	next, st2 := newLab(t, dir)
	for n := range a.Interfaces {
		st2.set("bound "+vpc.InstanceID(lab.DeviceName(a.Interfaces[n].ENI)), "yes")
	}
	reconcile(next)
	want(before, append(more[0], more[1]...))
}
