package sallyport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// A mutant is a deliberate mistake in the code, and a claim: this test sees it.
type mutant struct {
	name string // the mistake, in a few words
	test string // which fails with it: a pattern of go test -run whose parts are whole names
	old  string // stands exactly once in the file
	new  string
}

const (
	programs = "agent/datapath/bpf"
	datapath = "agent/datapath"
	rules    = "ruleset"

	fewest = 250 // mutants
)

// TestMutants makes each mistake of bpfMutants and goMutants in a copy and wants its test to fail, which passes
// without it. The tests of agent/datapath need root: TEST_EXEC is the command that starts them as root, empty if
// this is root. MUTANTS=n makes n of them, drawn by MUTANTS_SEED, or by a seed of the moment.
func TestMutants(t *testing.T) {
	bpfMutants, goMutants, drawn := draw(t)
	caught := make([]string, 0, drawn)
	start := time.Now()
	r := newMutantRunner(t)
	t.Run("all", func(t *testing.T) {
		tests := map[string][]string{} // by package
		for _, files := range []map[string][]mutant{bpfMutants, goMutants} {
			for _, file := range slices.Sorted(maps.Keys(files)) {
				for _, m := range files[file] {
					at := len(caught)
					caught = append(caught, "")
					where := filepath.Dir(file)
					if where == programs {
						where = datapath
					}
					tests[where] = append(tests[where], m.test)
					t.Run(m.name, func(t *testing.T) {
						t.Parallel()
						said := r.run(t, where, r.make(t, file, m), m.test)
						if !said.failed {
							t.Fatalf("%s with the mistake passes %s, which therefore sees too little", file, m.test)
						}
						caught[at] = fmt.Sprintf("%s\t%s\t%s\t%s", file, m.name, m.test, said.message)
					})
				}
			}
		}
		for where, names := range tests {
			slices.Sort(names)
			t.Run("no mistake in "+where, func(t *testing.T) {
				t.Parallel()
				b := build{binary: r.unbroken[where]}
				if where == datapath {
					b.object = r.compile(t, programs)
				}
				if said := r.run(t, where, b, slices.Compact(names)...); said.failed {
					t.Errorf("without any mistake:\n%s", said.output)
				}
			})
		}
	})
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	n := 0
	fmt.Fprintln(w, "file\tmistake\tcaught by\tsaying")
	for _, line := range caught {
		if line != "" {
			n++
			fmt.Fprintln(w, line)
		}
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("%d of %d mutants caught in %s", n, len(caught), time.Since(start).Round(time.Second))
}

// draw returns as many mutants as MUTANTS says, without it all, in the order of the files.
func draw(t *testing.T) (bpf, golang map[string][]mutant, n int) {
	t.Helper()
	all := 0
	for _, files := range []map[string][]mutant{bpfMutants, goMutants} {
		for _, ms := range files {
			all += len(ms)
		}
	}
	if n = all; n < fewest {
		t.Errorf("%d mutants, want at least %d", n, fewest)
	}
	if s := os.Getenv("MUTANTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > all {
			t.Fatalf("MUTANTS=%s: want a number of 1 to %d", s, all)
		}
	}
	seed := uint64(time.Now().UnixMicro())
	if s := os.Getenv("MUTANTS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MUTANTS_SEED: %v", err)
		}
	}
	left := rand.New(rand.NewPCG(seed, 0)).Perm(all)[:n]
	slices.Sort(left)
	drawn := [2]map[string][]mutant{{}, {}}
	at := 0
	for i, files := range []map[string][]mutant{bpfMutants, goMutants} {
		for _, file := range slices.Sorted(maps.Keys(files)) {
			for _, m := range files[file] {
				if len(left) > 0 && left[0] == at {
					drawn[i][file] = append(drawn[i][file], m)
					left = left[1:]
				}
				at++
			}
		}
	}
	if n < all {
		t.Logf("%d mutants drawn by MUTANTS_SEED=%d; make test-mutants makes all", n, seed)
	}
	return drawn[0], drawn[1], n
}

// TestMutantsFit: a mistake that cannot be made any more says so where the code has changed, at once.
func TestMutantsFit(t *testing.T) {
	for _, files := range []map[string][]mutant{bpfMutants, goMutants} {
		for _, file := range slices.Sorted(maps.Keys(files)) {
			for _, m := range files[file] {
				if _, err := m.apply(file); err != nil {
					t.Errorf("%q: %v", m.name, err)
				}
			}
		}
	}
}

// apply returns the file with the mistake.
func (m mutant) apply(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("stands %d times in %s, want once; mend the mutant:\n%s", n, file, m.old)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

// mutantRunner makes mutants in temporary directories and runs tests on them.
type mutantRunner struct {
	root     string            // of the module
	flags    []string          // of the compiler
	exec     []string          // starts a test binary as root
	unbroken map[string]string // test binaries, by package
}

// build is a test binary; object, if not empty, is the BPF object that it loads instead of its own.
type build struct{ binary, object string }

func newMutantRunner(t *testing.T) *mutantRunner {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := &mutantRunner{root: root, exec: strings.Fields(os.Getenv("TEST_EXEC")), unbroken: map[string]string{}}
	gen, err := os.ReadFile(filepath.Join(datapath, "gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, flags, ok := strings.Cut(string(gen), " -- ")
	if !ok {
		t.Fatal("gen.go names no flags of the compiler behind --")
	}
	r.flags = strings.Fields(flags)
	for _, where := range []string{datapath, rules} {
		r.unbroken[where] = filepath.Join(t.TempDir(), "unbroken.test")
		if out, err := r.command(t, "go", "test", "-c", "-ldflags=-w", "-o", r.unbroken[where], "./"+where).CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", where, err, out)
		}
	}
	return r
}

func (r *mutantRunner) command(t *testing.T, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // tests have limits of their own
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	return cmd
}

// make builds a mutant.
func (r *mutantRunner) make(t *testing.T, file string, m mutant) build {
	t.Helper()
	broken, err := m.apply(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if filepath.Dir(file) == programs {
		if err := os.CopyFS(dir, os.DirFS(programs)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), broken, 0o600); err != nil {
			t.Fatal(err)
		}
		return build{binary: r.unbroken[datapath], object: r.compile(t, dir)}
	}
	replacement, overlay, binary := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "broken.test")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(r.root, file): replacement}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(replacement, broken, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := r.command(t, "go", "test", "-c", "-ldflags=-w", "-overlay", overlay, "-o", binary, "./"+filepath.Dir(file)).CombinedOutput(); err != nil {
		t.Fatalf("a mutant must build: %v\n%s", err, out)
	}
	return build{binary: binary}
}

// compile compiles the BPF programs of a directory as bpf2go does. What a mistake leaves unused is no error.
func (r *mutantRunner) compile(t *testing.T, dir string) (object string) {
	t.Helper()
	object = filepath.Join(t.TempDir(), "guest.o")
	args := append(slices.Clone(r.flags), "-w", "-target", "bpfel", "-c", filepath.Join(dir, "guest.bpf.c"), "-o", object)
	if out, err := r.command(t, "clang-19", args...).CombinedOutput(); err != nil {
		t.Fatalf("a mutant must build: %v\n%s", err, out)
	}
	return object
}

// outcome is what tests say.
type outcome struct {
	failed  bool
	message string // the first
	output  string
}

// What go test prints for a test that failed, and for what it said.
var (
	failed  = regexp.MustCompile(`(?m)^--- FAIL: `)
	message = regexp.MustCompile(`(?m)^\s+\S+:\d+: (.{1,100})`)
)

// run runs tests. All that is not a test that passed or failed is an error: a program that the kernel refuses is
// no mistake that a test has found.
func (r *mutantRunner) run(t *testing.T, where string, b build, tests ...string) outcome {
	t.Helper()
	patterns := make([]string, len(tests))
	for i, test := range tests {
		patterns[i] = "^" + strings.ReplaceAll(test, "/", "$/^") + "$"
	}
	args := append(slices.Clone(r.exec), b.binary, "-test.run", strings.Join(patterns, "|"), "-test.v", "-test.failfast",
		"-test.timeout", (time.Duration(len(tests)) * 5 * time.Minute).String())
	if b.object != "" {
		args = append(args, "-object", b.object)
	}
	cmd := r.command(t, args[0], args[1:]...)
	cmd.Dir = filepath.Join(r.root, where)
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	switch {
	case strings.Contains(out, "load the programs"):
		t.Fatalf("the kernel refuses the mutant:\n%s", out)
	case strings.Contains(out, "no tests to run"):
		t.Fatalf("there is no test %s", tests)
	case err != nil && !failed.MatchString(out):
		t.Fatalf("%v, and no test failed:\n%s", err, out)
	}
	o := outcome{failed: err != nil, output: out}
	if said := message.FindStringSubmatch(out); said != nil {
		o.message = said[1]
	}
	return o
}
