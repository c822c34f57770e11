package e2e_test

import (
	"strings"
	"testing"
)

// TestPurge: what a dev left that was killed keeps another one from starting, until it is removed.
func TestPurge(t *testing.T) {
	killed := startDev(t, t.TempDir())
	w := ipv4World(t, killed)
	g := w.run(t, w.group(t, "left"))
	killed.kill(t)

	program := []string{sallyport, "dev", "--data-dir", t.TempDir(), "--listen", freePort(t), "--feed-listen", freePort(t)}
	got := refuse(t, 0, program...)
	if got.code != 1 || !oneLine(got.stderr) || !strings.Contains(got.stderr, killed.dir) || !strings.Contains(got.stderr, "sallyport dev --purge") {
		t.Errorf("beside guests of another installation: %d %s", got.code, got.stderr)
	}
	if there := leftovers(t); !strings.Contains(there, string(g.place)) {
		t.Errorf("the guest %s is not among what is left:\n%s", g.place, there)
	}
	if got := refuse(t, 0, sallyport, "dev", "--purge"); got.code != 0 || got.stderr != "" {
		t.Errorf("purge: %d %s", got.code, got.stderr)
	}
	if there := leftovers(t); there != "" {
		t.Errorf("after the purge there is still\n%s", there)
	}
	startDev(t, t.TempDir())
}
