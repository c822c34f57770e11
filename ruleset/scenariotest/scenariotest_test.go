package scenariotest_test

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
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
		"throughout by TCP":     {head + "throughout drop eni-a -> eni-a tcp 80", "UDP over IPv4 between two interfaces"},
		"throughout outside":    {head + "throughout allow eni-a -> net udp 80", "UDP over IPv4 between two interfaces"},
		"throughout by a rule":  {head + "throughout allow eni-a -> eni-a udp 80 egress sg-a/default4", "name none"},
		"throughout send":       {head + "throughout send w", "wants allow, drop or end"},
		"end of nothing":        {head + "throughout end", "nothing goes on"},
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
		"group of no peer": {
			"vpc vpc-b 10.1.0.0/16\ngroup sg-b in vpc-b\ngroup sg-a\n  ingress all from sg-b\neni eni-a 10.0.0.11 sg-a\ndrop eni-a -> eni-a tcp 1",
			"no group of vpc-main or a peer of it",
		},
		"peering with itself":      {head + "create-peering vpc-main vpc-main", "joins two VPCs"},
		"accept what is not there": {"vpc vpc-b 10.1.0.0/16\n" + head + "accept-peering vpc-main vpc-b", "cannot accept-peering now"},
		"peering after a step":     {"vpc vpc-b 10.1.0.0/16\n" + head + "allow eni-a -> net tcp 80\npeering vpc-main vpc-b", "before the first step"},
		"unknown list":             {"group sg-a\n  ingress all from pl-x\n", `no prefix list "pl-x"`},
		"list of two families":     {"list pl-a 10.0.0.0/8 ::/0\n", "another family"},
		"list with one twice":      {"list pl-a 10.0.0.0/8 10.0.0.0/8\n", "pl-a has 10.0.0.0/8 already"},
		"list beyond the end":      {"list pl-a 255.255.255.255/32*2\n", "beyond the last address"},
		"empty list":               {"list pl-a\n", "pl-a wants an entry"},
		"remove no entry":          {"list pl-a 10.0.0.0/8\n" + head + "modify-list pl-a remove 10.1.0.0/16", "pl-a has no entry 10.1.0.0/16"},
		"restore no version":       {"list pl-a 10.0.0.0/8\n" + head + "restore-list pl-a 1", "no earlier version 1"},
		"modify nothing":           {"list pl-a 10.0.0.0/8\n" + head + "modify-list pl-a", "changes nothing"},
		"unassign the primary":     {head + "unassign eni-a 10.0.0.11", "the primary address"},
		"unassign what is not":     {head + "unassign eni-a 10.0.0.12", "eni-a has no 10.0.0.12"},
		"assign what is taken":     {head + "assign eni-a 10.0.0.11", "eni-a has 10.0.0.11 already"},
		"prefix over an address":   {head + "assign eni-a 10.0.0.0/28", "eni-a has 10.0.0.11 already"},
		"prefix of another size":   {head + "assign eni-a 10.0.0.32/27", "is no /28"},
		"reassign a prefix":        {head + "assign eni-a 10.0.0.32/28 reassign", "only IPv4 addresses"},
		"own address as foreign":   {head + "drop eni-a!10.0.0.11 -> net tcp 1", "not its own"},
		"foreign address as own":   {head + "drop eni-a@10.0.0.12 -> net tcp 1", "no such address"},
		"check neither on nor off": {head + "source-dest-check eni-a maybe", "on or off"},
		"associate with its own":   {head + "associate sg-a vpc-main", "a further VPC"},
		"disassociate a carrier": {
			"vpc vpc-b 10.1.0.0/16\ngroup sg-a in vpc-main vpc-b\neni eni-a in vpc-b 10.1.0.11 sg-a\ndisassociate sg-a vpc-b", "eni-a carries sg-a",
		},
		"modify to another kind": {"group sg-a\n  ingress all from sg-a\nmodify sg-a/1 ingress all from 10.0.0.0/8", "keeps the kind"},
		"modify to egress":       {"group sg-a\n  ingress all from sg-a\nmodify sg-a/1 egress all to sg-a", "keeps its direction"},
		"a second IPv6 block":    {head + "block vpc-main fd00:1:2:200::/56", "one IPv6 block"},
		"overlapping block":      {head + "block vpc-main 10.0.0.0/8", "vpc-main has 10.0.0.0/16 already"},
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
			return func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) (ruleset.Verdict, bool) {
				return mistake(ruleset.Evaluate(v, eni, d, p), d), ruleset.Untracked(v, eni, d, p)
			}
		}
	})
}

// mistaken returns an engine that sees another View than it was given.
func mistaken(mistake func(*ruleset.View)) scenariotest.Engine {
	return scenariotest.Pure("mistaken", func() func(*ruleset.View) scenariotest.Judge {
		return func(v *ruleset.View) scenariotest.Judge {
			seen := *v
			seen.ENIs, seen.Members, seen.Lists = maps.Clone(v.ENIs), maps.Clone(v.Members), maps.Clone(v.Lists)
			mistake(&seen)
			return func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) (ruleset.Verdict, bool) {
				return ruleset.Evaluate(&seen, eni, d, p), ruleset.Untracked(&seen, eni, d, p)
			}
		}
	})
}

// eachMember and eachENI are mistakes about every one.
func eachMember(change func(*ruleset.View, *ruleset.Member)) scenariotest.Engine {
	return mistaken(func(v *ruleset.View) {
		for id, m := range v.Members {
			change(v, &m)
			v.Members[id] = m
		}
	})
}

func eachENI(change func(*ruleset.ENI)) scenariotest.Engine {
	return mistaken(func(v *ruleset.View) {
		for id, e := range v.ENIs {
			change(&e)
			v.ENIs[id] = e
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
		"lists are empty":     {mistaken(func(v *ruleset.View) { clear(v.Lists) }), false, true},
		"lists stay": {func() scenariotest.Engine {
			first := map[vpc.PrefixListID][]netip.Prefix{}
			return mistaken(func(v *ruleset.View) {
				for id, l := range v.Lists {
					if first[id] == nil || v.Revision == 1 {
						first[id] = l
					}
					v.Lists[id] = first[id]
				}
			})
		}(), false, true},
		"no list beyond 100 entries": {mistaken(func(v *ruleset.View) {
			for id, l := range v.Lists {
				v.Lists[id] = l[:min(100, len(l))]
			}
		}), false, true},
		"no peers": {eachMember(func(_ *ruleset.View, m *ruleset.Member) {
			m.Domains = []vpc.VPCID{vpc.VPCID(map[bool]string{true: "vpc-main", false: "vpc-peer"}[strings.HasPrefix(m.Addresses[0].String(), "10.0.")])}
		}), false, true},
		"peers for good": {eachMember(func(_ *ruleset.View, m *ruleset.Member) {
			m.Domains = []vpc.VPCID{"vpc-main", "vpc-peer"}
		}), false, true},
		"primary addresses alone":     {eachMember(func(_ *ruleset.View, m *ruleset.Member) { m.Addresses = m.Addresses[:1] }), false, true},
		"members without prefixes":    {eachMember(func(_ *ruleset.View, m *ruleset.Member) { m.Prefixes = nil }), false, true},
		"interfaces without prefixes": {eachENI(func(e *ruleset.ENI) { e.Prefixes = nil }), false, true},
		"never a check":               {eachENI(func(e *ruleset.ENI) { e.SourceDestCheck = false }), false, true},
		"always a check":              {eachENI(func(e *ruleset.ENI) { e.SourceDestCheck = true }), false, true},
		"a group in its own VPC only": {eachENI(func(e *ruleset.ENI) {
			if e.Domain != "vpc-main" {
				e.Groups = slices.DeleteFunc(slices.Clone(e.Groups), func(g vpc.GroupID) bool { return g == "sg-shared" })
			}
		}), false, true},
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

// streamer sends three packets of each flow; what a change does to them is what it says.
type streamer struct {
	scenariotest.Engine
	lost, passed int
}

func (s *streamer) Stream(f scenariotest.Flow) (func() (int, int, error), error) {
	o, err := s.Start(f)
	return func() (int, int, error) {
		if o.Passed {
			return 3, 3 - s.lost, nil
		}
		return 3, s.passed, nil
	}, err
}

// TestThroughout: what an engine loses or lets pass while changes are made is seen, by those that send
// all the time and by those that do not.
func TestThroughout(t *testing.T) {
	text := "-- s --\n" + head + `eni eni-b 10.0.0.12 sg-a
throughout drop eni-a -> eni-b udp 80
authorize sg-a ingress udp 81 from 10.0.0.11/32
throughout allow eni-a -> eni-b udp 81
`
	gap := "revoke sg-a/1\nauthorize sg-a ingress udp 81 from 10.0.0.11/32\n"
	leak := "authorize sg-a ingress udp 80 from 10.0.0.11/32\nrevoke sg-a/2\n"
	end := "throughout end\n"
	for name, tt := range map[string]struct {
		text   string
		engine scenariotest.Engine
		want   string
	}{
		"nothing wrong":        {text + end + gap + leak, scenariotest.Evaluate(), ""},
		"a gap":                {text + gap + end, scenariotest.Evaluate(), "throughout allow eni-a -> eni-b udp 81: got drop"},
		"a gap, to the end":    {text + gap, scenariotest.Evaluate(), "throughout allow eni-a -> eni-b udp 81: got drop"},
		"a leak":               {text + leak + end, scenariotest.Evaluate(), "throughout drop eni-a -> eni-b udp 80: got allow"},
		"streams":              {text + gap + leak, &streamer{Engine: scenariotest.Evaluate()}, ""}, // a streamer alone knows
		"a packet of a stream": {text, &streamer{Engine: scenariotest.Evaluate(), lost: 1}, "of 3 packets 2 arrived"},
		"one that passes":      {text + end, &streamer{Engine: scenariotest.Evaluate(), passed: 1}, "of 3 packets 1 arrived"},
	} {
		all, err := scenariotest.Parse("x.txtar", []byte(tt.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = scenariotest.Play(all[0], tt.engine)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Play = %v, want %q", name, err, tt.want)
		}
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
	f.Add("-- s --\nvpc vpc-b 10.1.0.0/16\npeering vpc-main vpc-b\nlist pl-a 10.0.0.0/8 198.18.0.0/32*3\ngroup sg-a in vpc-main vpc-b\n  ingress tcp 1 from pl-a\n" +
		"eni eni-a 10.0.0.11 10.0.0.32/28 sg-a\neni eni-b in vpc-b 10.1.0.11 sg-a\nmodify-list pl-a add 10.1.0.0/16\nrestore-list pl-a 1\n" +
		"delete-peering vpc-b vpc-main\nassign eni-a 10.0.0.14\nunassign eni-a 10.0.0.32/28\ndrop eni-a!10.0.0.33 -> eni-b tcp 1\n" +
		"source-dest-check eni-a off by instance\nblock vpc-b fd00:1:2:300::/56\nmodify sg-a/1 ingress tcp 2 from pl-a\ndescribe sg-a/1 x\n")
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
