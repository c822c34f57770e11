package scenariotest_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/ruleset/scenariotest"
	"github.com/sallyport/sallyport/vpc"
)

const head = "group sg-a\neni eni-a 10.0.0.11 fd00:1:2:100::11 sg-a\noutside net 198.51.100.1\n"

func TestParseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown verb":          {head + "permit eni-a -> net tcp 80", `"permit" begins no line`},
		"nothing happens":       {head, "has no step"},
		"unknown end":           {head + "allow eni-b -> net tcp 80", `neither an interface nor an outside "eni-b"`},
		"two families":          {head + "allow eni-a@fd00:1:2:100::11 -> net tcp 80", "two families"},
		"no such family":        {head + "allow eni-a -> net ipv6 tcp 80", "no such address"},
		"no arrow":              {head + "allow eni-a to net tcp 80", "goes from one end"},
		"no protocol":           {head + "allow eni-a -> net", `"" is no protocol`},
		"protocol by number":    {head + "allow eni-a -> net 6 80", "protocol 6 is written tcp"},
		"all is no packet":      {head + "allow eni-a -> net all", `"all" is no protocol`},
		"port range of packet":  {head + "allow eni-a -> net tcp 80-90", "a packet has one port"},
		"type without code":     {head + "allow eni-a -> net icmp 8/all", "one type and code"},
		"port 65536":            {head + "allow eni-a -> net tcp 65536", "out of range"},
		"unknown reason":        {head + "drop net -> eni-a tcp 80 ingress because", `"because" is neither a rule nor a reason`},
		"reason rule":           {head + "allow eni-a -> net tcp 80 egress rule", `"rule" is neither a rule nor a reason`},
		"gate of outside":       {head + "drop net -> eni-a tcp 80 egress no-rule", "has no gate"},
		"too much":              {head + "allow eni-a -> net tcp 80 please", `"please" is too much`},
		"unknown group":         {"eni eni-a 10.0.0.11 sg-x\n", `no group "sg-x"`},
		"unknown peer":          {"group sg-a\n  ingress all from sg-x\neni eni-a 10.0.0.11 sg-a\ndrop eni-a -> eni-a tcp 1", "sg-a/1 names sg-x"},
		"host bits":             {"group sg-a\n  ingress all from 10.0.0.1/8\n", "host bits"},
		"empty range":           {"group sg-a\n  ingress tcp 90-80 from 10.0.0.0/8\n", "is empty"},
		"from in egress":        {"group sg-a\n  egress all from 10.0.0.0/8\n", `ends with "to"`},
		"rule of nothing":       {"  ingress all from 10.0.0.0/8\n", "a rule of the group above"},
		"address of no block":   {"group sg-a\neni eni-a 192.0.2.1 sg-a\n", "192.0.2.1 is not in vpc-main"},
		"address taken":         {head + "eni eni-b 10.0.0.11 sg-a\n", "eni-a has 10.0.0.11 already"},
		"group twice":           {head + "group sg-a\n", "wants a new name"},
		"group after a step":    {head + "allow eni-a -> net tcp 80\ngroup sg-b", "before the first step"},
		"revoke twice":          {head + "revoke sg-a/default4\nrevoke sg-a/default4\n", "wants a rule that is there"},
		"flow not opened":       {head + "allow send web", `no flow "web"`},
		"flow opened twice":     {head + "open w: eni-a -> net tcp 80\nopen w: eni-a -> net tcp 80", "wants a new name"},
		"except without reason": {head + "except packets", "an engine and a reason"},
		"other VPC": {
			"vpc vpc-b 10.0.0.0/16\ngroup sg-b in vpc-b\ngroup sg-a\neni eni-a 10.0.0.11 sg-a sg-b\n",
			"sg-b is in another VPC",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenariotest.Parse("x.txtar", []byte("-- s --\n"+tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseSaysWhere(t *testing.T) {
	_, err := scenariotest.Parse("x.txtar", []byte("words\nmore\n-- one --\n"+head+"allow eni-a -> net tcp 80\n-- two --\n\nwhat\n"))
	if err == nil || !strings.Contains(err.Error(), "x.txtar:10: what") {
		t.Errorf("Parse = %v, want line 10", err)
	}
}

func TestWorlds(t *testing.T) {
	all, err := scenariotest.Parse("x.txtar", []byte("-- s --\n"+head+
		"allow eni-a -> net tcp 80\nrevoke sg-a/default4\nauthorize sg-a egress tcp 80 to sg-a\neni eni-b 10.0.1.12 sg-a\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := all[0]
	worlds := []*scenariotest.World{s.World}
	for _, step := range s.Steps {
		if step.World != nil {
			worlds = append(worlds, step.World)
		}
	}
	for i, want := range []struct {
		labels string
		enis   int
	}{
		{"sg-a/default4 sg-a/default6", 1},
		{"sg-a/default6", 1},
		{"sg-a/default6 sg-a/1", 1},
		{"sg-a/default6 sg-a/1", 2},
	} {
		w := worlds[i]
		var labels []string
		for _, r := range w.Groups[0].Rules {
			labels = append(labels, r.Label)
		}
		if got := strings.Join(labels, " "); got != want.labels || len(w.ENIs) != want.enis || w.Revision != int64(i+1) {
			t.Errorf("world %d: rules %s, %d interfaces, revision %d; want %s, %d, %d", i, got, len(w.ENIs), w.Revision, want.labels, want.enis, i+1)
		}
		state := w.State()
		if got := state.Count(vpc.KindInterface); got != want.enis {
			t.Errorf("world %d: the State has %d interfaces, want %d", i, got, want.enis)
		}
	}
}

// wrong returns an engine whose verdicts a mistake has changed.
func wrong(mistake func(ruleset.Verdict, ruleset.Direction) ruleset.Verdict) scenariotest.Engine {
	return scenariotest.Pure("wrong", func() func(*ruleset.View) scenariotest.Judge {
		return func(v *ruleset.View) scenariotest.Judge {
			return func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
				return mistake(ruleset.Evaluate(v, eni, d, p), d)
			}
		}
	})
}

// memoryless forgets connections; with cut only those that a change could concern.
type memoryless struct {
	scenariotest.Engine
	cut   bool
	world *scenariotest.World
}

func (m *memoryless) Load(w *scenariotest.World) error {
	m.world = w
	return m.Engine.Load(w)
}

func (m *memoryless) Change(w *scenariotest.World, c scenariotest.Change) error {
	m.world = w
	if m.cut {
		return m.Engine.Load(w)
	}
	return m.Engine.Change(w, c)
}

func (m *memoryless) Send(f scenariotest.Flow, reply bool) (scenariotest.Outcome, error) {
	if !m.cut {
		if err := m.Engine.Load(m.world); err != nil {
			return scenariotest.Outcome{}, err
		}
	}
	return m.Engine.Send(f, reply)
}

// blind sees only what arrives, as an engine with real packets does.
type blind struct{ scenariotest.Engine }

func (blind) Verdicts() bool { return false }

func (b blind) Start(f scenariotest.Flow) (scenariotest.Outcome, error) {
	o, err := b.Engine.Start(f)
	return scenariotest.Outcome{Passed: o.Passed}, err
}

func (b blind) Send(f scenariotest.Flow, reply bool) (scenariotest.Outcome, error) {
	o, err := b.Engine.Send(f, reply)
	return scenariotest.Outcome{Passed: o.Passed}, err
}

// TestScenariosSee: the scenarios find an engine out that breaks a promise, even by arrivals alone.
func TestScenariosSee(t *testing.T) {
	scenarios, err := scenariotest.ParseFS(os.DirFS("../testdata"))
	if err != nil {
		t.Fatal(err)
	}
	right := func(v ruleset.Verdict, _ ruleset.Direction) ruleset.Verdict { return v }
	for name, tt := range map[string]struct {
		engine scenariotest.Engine
		sees   bool // verdicts must be looked at
		fails  bool
	}{
		"no mistake":          {wrong(right), false, false},
		"no mistake, blind":   {blind{wrong(right)}, false, false},
		"no memory":           {&memoryless{Engine: wrong(right)}, false, true},
		"a change cuts":       {&memoryless{Engine: wrong(right), cut: true}, false, true},
		"names no rule":       {wrong(func(v ruleset.Verdict, _ ruleset.Direction) ruleset.Verdict { v.Rule = 0; return v }), true, true},
		"open by default":     {wrong(func(v ruleset.Verdict, _ ruleset.Direction) ruleset.Verdict { v.Action = ruleset.Allow; return v }), false, true},
		"closed for good":     {wrong(func(ruleset.Verdict, ruleset.Direction) ruleset.Verdict { return ruleset.Verdict{} }), false, true},
		"no gate at senders":  {wrong(open(ruleset.Egress)), false, true},
		"no gate at the goal": {wrong(open(ruleset.Ingress)), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			engines := []scenariotest.Engine{tt.engine}
			if tt.fails && !tt.sees {
				engines = append(engines, blind{tt.engine})
			}
			for _, e := range engines {
				var all []error
				for _, s := range scenarios {
					all = append(all, scenariotest.Play(s, e))
				}
				if err := errors.Join(all...); (err != nil) != tt.fails {
					t.Errorf("verdicts seen %v: Play = %v, want a failure: %v", e.Verdicts(), err, tt.fails)
				}
			}
		})
	}
}

func open(gate ruleset.Direction) func(ruleset.Verdict, ruleset.Direction) ruleset.Verdict {
	return func(v ruleset.Verdict, d ruleset.Direction) ruleset.Verdict {
		if d == gate {
			return ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonPlatform}
		}
		return v
	}
}

func TestPlaySaysWhatWentWrong(t *testing.T) {
	all, err := scenariotest.Parse("x.txtar", []byte("-- s --\n"+head+
		"drop eni-a -> net tcp 80\nallow net -> eni-a tcp 80\nallow eni-a -> net tcp 81 egress sg-a/default6\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = scenariotest.Play(all[0], scenariotest.Evaluate())
	want := `x.txtar:5: drop eni-a -> net tcp 80
	got allow egress sg-a/default4
x.txtar:6: allow net -> eni-a tcp 80
	got drop ingress no-rule
x.txtar:7: allow eni-a -> net tcp 81 egress sg-a/default6
	egress of eni-a (10.0.0.11): got sg-a/default4, want sg-a/default6`
	if err == nil || err.Error() != want {
		t.Errorf("Play:\ngot  %v\nwant %s", err, want)
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := scenariotest.Print(&b, []scenariotest.Result{
		{"a/one", "evaluate", "pass", ""},
		{"a/two", "evaluate", "FAIL", ""},
		{"a/two", "packets", "-", "no socket"},
	}); err != nil {
		t.Fatal(err)
	}
	want := `scenario  evaluate  packets
a/one     pass      not run
a/two     FAIL      -
- a/two on packets: no socket
`
	if b.String() != want {
		t.Errorf("Print:\ngot\n%s\nwant\n%s", b.String(), want)
	}
}

// FuzzParse: no text makes Parse panic, and what it accepts can be played.
func FuzzParse(f *testing.F) {
	f.Add("-- s --\n" + head + "open w: eni-a -> net tcp 80\nallow reply w\nrevoke sg-a/default4\ndrop eni-a -> net icmp 8/0 egress no-rule\n")
	f.Add("-- s --\ngroup sg-a\n  egress none\n  ingress icmp 8/all from sg-a\neni eni-a 10.0.0.11 sg-a\ngroups eni-a sg-a\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := scenariotest.Parse("x.txtar", []byte(text))
		if err != nil {
			return
		}
		for _, s := range all {
			_ = scenariotest.Play(s, scenariotest.Table()) // its outcome is the text's affair
		}
	})
}
