package scenariotest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/sallyport/sallyport/ruleset"
)

// Result is what came of one scenario on one engine.
type Result struct {
	Scenario, Engine string
	Verdict          string // "pass", "FAIL" or "-": the file says that the engine cannot play it
	Note             string // the reason for "-"
}

// Run plays every scenario of a directory on an engine, each as a subtest, and returns the results.
// A scenario that the engine does not play is a failure unless the file says why.
func Run(t *testing.T, dir string, e Engine) []Result {
	t.Helper()
	scenarios, err := ParseFS(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	for _, s := range scenarios {
		r := Result{Scenario: s.Name, Engine: e.Name()}
		if reason, ok := s.Except[e.Name()]; ok {
			r.Verdict, r.Note = "-", reason
			results = append(results, r)
			continue
		}
		r.Verdict = "FAIL" // unless the subtest comes to its end; one that -run leaves out is no pass
		t.Run(s.Name, func(t *testing.T) {
			if err := Play(s, e); err != nil {
				t.Error(err)
				return
			}
			r.Verdict = "pass"
		})
		results = append(results, r)
	}
	return results
}

// Play plays a scenario and returns all that went otherwise than it says. An engine that cannot go
// on ends it.
func Play(s *Scenario, e Engine) error {
	if err := e.Load(s.World); err != nil {
		return fmt.Errorf("%s: load: %w", s.Name, err)
	}
	var wrong []error
	t := throughout{engine: e, check: s.check, port: 10000}
	for _, step := range s.Steps {
		saw, err := s.play(step, e, &t)
		if saw != nil {
			wrong = append(wrong, fmt.Errorf("%s\n\t%w", step.Line, saw))
		}
		if err != nil {
			_, endErr := t.end()
			return errors.Join(append(wrong, fmt.Errorf("%s\n\t%w", step.Line, err), endErr)...)
		}
	}
	saw, err := t.end()
	return errors.Join(append(wrong, saw, err)...)
}

// play plays a step. wrong is what went otherwise than the scenario says; err, that the engine cannot
// go on.
func (s *Scenario) play(step Step, e Engine, t *throughout) (wrong, err error) {
	var got Outcome
	switch {
	case step.Change != nil:
		if err := e.Change(step.World, *step.Change); err != nil {
			return nil, err
		}
		return t.changed()
	case step.How == Throughout:
		return t.begin(step)
	case step.How == Ended:
		return t.end()
	case step.How == First:
		got, err = e.Start(*step.Flow)
	case step.How == Failed:
		got, err = e.Fail(*step.Flow)
	default:
		got, err = e.Send(*step.Flow, step.How == Replied)
	}
	if err != nil {
		return nil, err
	}
	return s.check(step, got, e.Verdicts()), nil
}

// check compares an Outcome with what a step says.
func (s *Scenario) check(step Step, got Outcome, verdicts bool) error {
	var wrong []error
	if got.Passed != step.Allow {
		wrong = append(wrong, fmt.Errorf("got %s", s.say(got)))
	}
	if verdicts {
		wrong = append(wrong, s.checkGates(step, got)...)
	}
	return errors.Join(wrong...)
}

func (s *Scenario) checkGates(step Step, got Outcome) (wrong []error) {
	from, to := step.Flow.From, step.Flow.To
	if step.How.back() {
		from, to = to, from
	}
	for _, gate := range []struct {
		name string
		at   End
		want string
		got  *ruleset.Verdict
		met  bool // the packet came here
	}{
		{"egress", from, step.Egress, got.Egress, from.ENI != ""},
		{"ingress", to, step.Ingress, got.Ingress, to.ENI != "" && (got.Egress == nil || got.Egress.Action != ruleset.Drop)},
	} {
		switch {
		case gate.met != (gate.got != nil):
			wrong = append(wrong, fmt.Errorf("%s of %s: a verdict is there: %v, want %v", gate.name, gate.at, gate.got != nil, gate.met))
		case gate.want != "" && !gate.met:
			wrong = append(wrong, fmt.Errorf("%s of %s: the packet never got there, want %s", gate.name, gate.at, gate.want))
		case gate.want != "" && s.word(*gate.got) != gate.want:
			wrong = append(wrong, fmt.Errorf("%s of %s: got %s, want %s", gate.name, gate.at, s.word(*gate.got), gate.want))
		case gate.met && got.Passed && gate.got.Action == ruleset.Drop:
			wrong = append(wrong, fmt.Errorf("%s of %s: the packet passed, but the verdict is %s", gate.name, gate.at, s.word(*gate.got)))
		}
	}
	return wrong
}

// word is a verdict as a file says it: the rule's label, or the reason.
func (s *Scenario) word(v ruleset.Verdict) string {
	if v.Reason != ruleset.ReasonRule {
		return v.Reason.String()
	}
	if label, ok := s.labels[v.Rule]; ok {
		return label
	}
	return fmt.Sprintf("unknown rule %d", v.Rule)
}

func (s *Scenario) say(o Outcome) string {
	says := "drop"
	if o.Passed {
		says = "allow"
	}
	if o.Egress != nil {
		says += " egress " + s.word(*o.Egress)
	}
	if o.Ingress != nil {
		says += " ingress " + s.word(*o.Ingress)
	}
	return says
}

// Print writes scenario × engine, then the reasons of what was not played.
func Print(w io.Writer, results []Result) error {
	var scenarios, engines []string
	cells := map[[2]string]string{}
	var notes []string
	for _, r := range results {
		scenarios = appendNew(scenarios, r.Scenario)
		engines = appendNew(engines, r.Engine)
		cells[[2]string{r.Scenario, r.Engine}] = r.Verdict
		if r.Note != "" {
			notes = append(notes, fmt.Sprintf("- %s on %s: %s", r.Scenario, r.Engine, r.Note))
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "scenario\t%s\n", strings.Join(engines, "\t"))
	for _, s := range scenarios {
		row := make([]string, len(engines))
		for i, e := range engines {
			if row[i] = cells[[2]string{s, e}]; row[i] == "" {
				row[i] = "not run"
			}
		}
		fmt.Fprintf(tw, "%s\t%s\n", s, strings.Join(row, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, strings.Join(notes, "\n"))
	return err
}

func appendNew(to []string, s string) []string {
	if slices.Contains(to, s) {
		return to
	}
	return append(to, s)
}
