package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// bounds are what a run is limited to: definitions of ways.pml.
type bounds []string

// What the model is exhausted with each time. SOAK=1 adds the rest.
var (
	always = []bounds{
		{"APART", "SETUP=1", "PACKETS=2"},
		{"SETUP=5", "PACKETS=2"},
		{"CUT", "SETUP=2"},
	}
	atLength = []bounds{
		{"CUT"},
		{"SWEEP", "SETUP=1"},
		{"SWEEP", "SETUP=2"},
		{"SWEEP", "SETUP=3"},
		{"SWEEP", "SETUP=4"},
		{"SWEEP", "SETUP=5"},
		{"SWEEP", "SETUP=6"},
		{"CUT", "SETUP=4", "WAYS=3"},
		{"SWEEP", "SETUP=7"},
		{"CUT", "SETUP=6"},
		{"CUT", "SETUP=7"},
		{"CUT", "SETUP=8"},
		{"SETUP=7", "PACKETS=2"},
		{"SETUP=7", "CPUS=3"},
		{"SETUP=2", "CPUS=3"},
		{"SETUP=4", "CPUS=3"},
		{"SETUP=1", "PACKETS=2"},
		{"PACKETS=2"},
		{"APART", "CUT", "SETUP=2"},
		{"APART", "SWEEP", "SETUP=1"},
		{"APART", "SETUP=5", "PACKETS=2"},
		{"APART", "SETUP=2", "CPUS=3"},
		{"APART", "SETUP=1", "CPUS=3"},
		{"SETUP=1", "CPUS=3"},
	}
)

// broken are the deliberate mistakes that ways.pml knows, and bounds in which each shows.
var broken = []struct {
	name   string
	bounds bounds
}{
	{"NO_SECOND_READ", bounds{"CUT", "SETUP=2"}},
	{"NO_RESCAN", bounds{"CUT", "SETUP=2"}},
	{"NO_VERSION", bounds{"CUT", "SETUP=2"}},
	{"EARLY_PUBLISH", bounds{"CUT", "SETUP=2"}},
	{"CUT_BY_STORE", bounds{"CUT", "SETUP=2"}},
	{"HIGHER_GOES", bounds{"SWEEP", "SETUP=5"}},
	{"NO_MARGIN", bounds{"SWEEP", "SETUP=4"}},
	{"KEY_FIRST", bounds{"SETUP=5"}},
	{"KEY_LAST", bounds{"SETUP=5"}},
	{"STORE_BUFFER", bounds{"SETUP=2"}},
	{"ONE_LOOK", bounds{"APART", "SETUP=1", "PACKETS=2"}},
	{"OVERFLOW_FIRST", bounds{"SETUP=5"}},
	{"EMPTY_FIRST", bounds{"SETUP=5"}},
	{"NO_OVERFLOW_LOOK", bounds{"SETUP=5", "PACKETS=2"}},
	{"NO_BUCKET_LOOK", bounds{"SETUP=5", "PACKETS=2"}},
	{"MARK_BY_OR", bounds{"SETUP=5"}},
	{"NO_COPY_CHECK", bounds{"SETUP=5"}},
	{"NO_RECOUNT", bounds{"SETUP=5"}},
	{"CLAIM_BY_STORE", bounds{"SETUP=2"}},
	{"TWO_SCANS", bounds{"CUT", "SETUP=5"}},
	{"SWEEP_BY_STORE", bounds{"SWEEP", "SETUP=1"}},
	{"SAME_VERSION", bounds{"SETUP=3"}},
	{"AMEND_WHATEVER", bounds{"SWEEP", "SETUP=1"}},
	{"YIELD_WHATEVER", bounds{"SETUP=7", "PACKETS=2"}},
	{"REMOVE_BY_KEY", bounds{"SWEEP", "SETUP=6"}},
}

// TestModel: nothing that ways.pml asserts fails, in whatever order the steps come.
func TestModel(t *testing.T) {
	runs := always
	if os.Getenv("SOAK") != "" {
		runs = append(runs, atLength...)
	}
	for _, b := range runs {
		t.Run(strings.Join(b, " "), func(t *testing.T) {
			t.Parallel()
			got := check(t, b)
			if got.violated != "" {
				t.Errorf("violated: %s", got.violated)
			}
			t.Logf("%s states", got.states)
		})
	}
}

// TestBrokenModels: each mistake breaks something that is asserted. Some of them, drawn, without SOAK=1.
func TestBrokenModels(t *testing.T) {
	chosen := rand.Perm(len(broken))
	if os.Getenv("SOAK") == "" {
		chosen = chosen[:4]
	}
	for _, i := range chosen {
		t.Run(broken[i].name, func(t *testing.T) {
			t.Parallel()
			got := check(t, append(bounds{"BROKEN=" + broken[i].name}, broken[i].bounds...))
			if got.violated == "" {
				t.Errorf("no order of %s states is wrong with the mistake", got.states)
			}
			t.Logf("after %s states: %s", got.states, got.violated)
		})
	}
}

type outcome struct{ states, violated string }

var (
	states   = regexp.MustCompile(`(?m)^\s*(\S+) states, stored`)
	violated = regexp.MustCompile(`(?m)^pan:1: (.*) \(at depth`)
	finished = regexp.MustCompile(`(?m)^Full statespace search for:`)
)

// check lets spin make a checker of the model and runs it.
func check(t *testing.T, b bounds) outcome {
	t.Helper()
	source, err := filepath.Abs("ways.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := make([]string, 0, len(b)+2)
	for _, define := range b {
		args = append(args, "-D"+define)
	}
	run(t, dir, "spin", append(args, "-a", source)...)
	optimize, slots := "-O1", "-w22"
	if os.Getenv("SOAK") != "" {
		optimize, slots = "-O2", "-w26"
	}
	run(t, dir, "clang-19", "-w", optimize, "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=1024", "-o", "pan", "pan.c")
	out := run(t, dir, filepath.Join(dir, "pan"), "-m200000", slots, "-n")
	found := states.FindStringSubmatch(out)
	if found == nil || !finished.MatchString(out) || strings.Contains(out, "max search depth too small") {
		t.Fatalf("the search was not whole:\n%s", out)
	}
	o := outcome{states: found[1]}
	if wrong := violated.FindStringSubmatch(out); wrong != nil {
		o.violated = wrong[1]
	}
	if strings.Contains(out, "errors: 0") != (o.violated == "") {
		t.Fatalf("not understood:\n%s", out)
	}
	return o
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s (spin is a package of Debian's; make test-model installs it): %w\n%s", name, strings.Join(args, " "), err, out))
	}
	return string(out)
}
