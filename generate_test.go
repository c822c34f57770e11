package sallyport_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGenerate runs `make generate` on a copy of the tree, so that a dirty one is judged as it
// stands and nothing in it is touched, and wants no byte of any file changed.
func TestGenerate(t *testing.T) {
	if changes := generate(t, copyTree(t)); len(changes) > 0 {
		t.Errorf("make generate changes what is committed; run it and commit:\n%s", strings.Join(changes, "\n"))
	}
}

// TestGenerateSeesOneByte changes one byte in each generated file of a copy, and wants the check
// of TestGenerate to name exactly these files.
func TestGenerateSeesOneByte(t *testing.T) {
	dir := copyTree(t)
	var want []string
	objects := 0
	for _, file := range files(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		var at int // of the byte to change
		switch mark := []byte("DO NOT EDIT"); {
		case strings.HasSuffix(file, "_bpfel.o"):
			objects++
			at = len(data) / 2
		case isGenerated(file) && bytes.Contains(data, mark):
			at = bytes.Index(data, mark)
		default:
			continue
		}
		data[at] ^= 0x20
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, file+" changed")
	}
	if objects == 0 {
		t.Fatal("no *_bpfel.o in the tree: there is nothing to try the check on")
	}
	if got := generate(t, dir); !slices.Equal(got, want) {
		t.Errorf("one byte was changed in each generated file:\ngot  %q\nwant %q", got, want)
	}
}

func isGenerated(file string) bool {
	return strings.HasSuffix(file, "_gen.go") || strings.HasSuffix(file, "_gen.ts") || strings.HasSuffix(file, "_bpfel.go") || strings.HasSuffix(file, ".pb.go")
}

// generate runs `make generate` in dir, and returns a sorted line for each file that it changed,
// made or removed.
func generate(t *testing.T, dir string) []string {
	t.Helper()
	tools := os.Getenv("TOOLS")
	if tools == "" {
		var err error
		if tools, err = filepath.Abs(".cache/tools"); err != nil {
			t.Fatal(err)
		}
	}
	before := hashes(t, dir)
	cmd := exec.CommandContext(t.Context(), "make", "-C", dir, "generate", "TOOLS="+tools)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make generate: %v\n%s", err, out)
	}
	after := hashes(t, dir)

	var changes []string
	for file := range maps.Keys(before) {
		switch now, ok := after[file]; {
		case !ok:
			changes = append(changes, file+" removed")
		case now != before[file]:
			changes = append(changes, file+" changed")
		}
	}
	for file := range maps.Keys(after) {
		if _, ok := before[file]; !ok {
			changes = append(changes, file+" made")
		}
	}
	slices.Sort(changes)
	return changes
}

// copyTree copies the checkout to a temporary directory, with its times: make compares them.
func copyTree(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, file := range files(t, ".") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, file)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(target, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// files lists the regular files below dir in lexical order, without what .gitignore names.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			list = append(list, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("walk %s: %w", dir, err))
	}
	return list
}

func hashes(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	sums := map[string][sha256.Size]byte{}
	for _, file := range files(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		sums[file] = sha256.Sum256(data)
	}
	return sums
}
