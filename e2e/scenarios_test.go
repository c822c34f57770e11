package e2e_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ruleset/scenariotest"
)

const scenarios = "../ruleset/testdata"

// TestScenarios plays the rule scenarios on all four engines and prints what came of it: the slow
// evaluator, the compiled tables, the BPF programs, and real packets between lab guests.
func TestScenarios(t *testing.T) {
	var results []scenariotest.Result
	for _, e := range []scenariotest.Engine{scenariotest.Evaluate(), scenariotest.Table()} {
		t.Run(e.Name(), func(t *testing.T) { results = append(results, scenariotest.Run(t, scenarios, e)...) })
	}
	t.Run("bpf", func(t *testing.T) { results = append(results, runBPF(t)...) })
	t.Run("packets", func(t *testing.T) {
		e := newPackets(t, startDev(t, t.TempDir()))
		defer func() {
			if err := e.unload(); err != nil {
				t.Error(err)
			}
		}()
		results = append(results, scenariotest.Run(t, scenarios, e)...)
	})
	if err := scenariotest.Print(os.Stdout, results); err != nil {
		t.Error(err)
	}
}

// runBPF runs the test in which agent/datapath plays the scenarios on its programs, and reads the
// results that it prints: the engine needs what only that package's tests may touch.
func runBPF(t *testing.T) (results []scenariotest.Result) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestScenarios$", "../agent/datapath")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
	in := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		name, verdict, ok := strings.Cut(lines.Text(), "  ")
		verdict = strings.TrimSpace(verdict)
		switch {
		case ok && name == "scenario" && verdict == "bpf":
			in = true
		case !in || !ok:
			in = false
		default:
			results = append(results, scenariotest.Result{Scenario: name, Engine: "bpf", Verdict: verdict})
		}
	}
	if len(results) == 0 {
		t.Errorf("%s printed no results:\n%s", cmd, out)
	}
	return results
}
