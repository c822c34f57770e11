package lab_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/agent/lab"
)

func TestOwn(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	ca := func(installation, cert string) string {
		t.Helper()
		path := filepath.Join(root, installation, "pki", "ca.crt")
		sh(t, "mkdir -p %s; echo %s > %s", filepath.Dir(path), cert, path)
		return path
	}
	own := func(caFile, want string) {
		t.Helper()
		got := ""
		if err := lab.Own(dir, caFile); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Own(%s) = %q, want %q", caFile, got, want)
		}
	}
	const remedy = " on this machine; to remove them, run `sallyport dev --purge`"
	a, b := ca("a", "one"), ca("b", "two")
	own(a, "")
	own(b, "") // a has no guests
	own(a, "")
	if err := l.Reconcile(t.Context(), []lab.Guest{guest(1)}); err != nil {
		t.Fatal(err)
	}
	own(a, "")
	own(b, "lab guests of another installation, that of "+filepath.Join(root, "a")+", are"+remedy)
	own(ca("a", "three"), "lab guests of an earlier installation in "+filepath.Join(root, "a")+" are"+remedy)
	sh(t, "rm -r %s", dir)
	own(b, "lab guests of an unknown installation are"+remedy)
	if err := lab.Purge(dir); err != nil {
		t.Fatal(err)
	}
	own(b, "")
	if err := lab.Purge(dir); err != nil {
		t.Fatal(err)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) > 0 {
		t.Errorf("Purge left %v, %v", es, err)
	}
}
