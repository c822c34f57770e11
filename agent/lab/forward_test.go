package lab_test

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/agent/lab"
)

func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func pings(from lab.Guest, to string) bool {
	return exec.Command("ip", "netns", "exec", string(from.ID), "ping", "-c1", "-W2", to).Run() == nil
}

// The host's firewall drops what it forwards, as Docker's does: guests of two subnets reach each
// other, nothing else is let through, and afterwards the firewall is as it was.
func TestForwardPolicyDrop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	nft(t, "add table inet spt_lab")
	t.Cleanup(func() { nft(t, "delete table inet spt_lab") })
	nft(t, "add chain inet spt_lab forward { type filter hook forward priority 0; policy drop; }")
	nft(t, "add rule inet spt_lab forward ip daddr 192.0.2.1 counter drop")
	nft(t, "add chain inet spt_lab other { type filter hook forward priority 1; policy accept; }")
	before := nft(t, "-s", "list", "ruleset")

	a, b := guest(1), guest(2)
	i := &b.Interfaces[0]
	i.Subnet = "subnet-000000000000feed2"
	i.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.140/25"), netip.MustParsePrefix("fd5a:11:22:1::140/64")}
	i.Routers = []netip.Prefix{netip.MustParsePrefix("203.0.113.129/25"), netip.MustParsePrefix("fd5a:11:22:1::1/64")}
	for range 2 { // the second time it is there already
		if err := l.Reconcile(t.Context(), []lab.Guest{a, b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(nft(t, "list", "ruleset"), "sallyport lab"); got != 1 {
		t.Errorf("%d rules of ours, want 1:\n%s", got, nft(t, "list", "ruleset"))
	}
	for _, to := range []string{"203.0.113.140", "fd5a:11:22:1::140"} {
		if !pings(a, to) {
			t.Errorf("a does not reach %s in the other subnet", to)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if after := nft(t, "-s", "list", "ruleset"); after != before {
		t.Errorf("the firewall is not as it was:\ngot\n%s\nwant\n%s", after, before)
	}
}
