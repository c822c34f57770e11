package scenariotest

import (
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Judge judges a packet at one gate of one interface, without connections, and says whether it would
// begin an untracked flow.
type Judge func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) (v ruleset.Verdict, untracked bool)

// pure is an engine in memory: a Judge per View, and what the gates know of flows.
type pure struct {
	name   string
	judges func() func(*ruleset.View) Judge
	next   func(*ruleset.View) Judge
	view   *ruleset.View
	judge  Judge
	known  map[connection]entry
}

// entry is what a gate knows of a flow.
type entry struct {
	untracked bool
	direction ruleset.Direction // of the first packet
	first     ruleset.Packet
}

// connection is the entry of one flow at one interface. Flows of a scenario differ by name.
type connection struct {
	eni  vpc.InterfaceID
	flow string
}

// Evaluate returns the engine that asks the slow evaluator.
func Evaluate() Engine {
	return Pure("evaluate", func() func(*ruleset.View) Judge {
		return func(v *ruleset.View) Judge {
			return func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) (ruleset.Verdict, bool) {
				return ruleset.Evaluate(v, eni, d, p), ruleset.Untracked(v, eni, d, p)
			}
		}
	})
}

// Table returns the engine that asks compiled tables, with one Compiler through all changes.
func Table() Engine {
	return Pure("table", func() func(*ruleset.View) Judge {
		var c ruleset.Compiler
		return func(v *ruleset.View) Judge {
			tables, members := c.Compile(v)
			return func(eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) (ruleset.Verdict, bool) {
				v := tables.Judge(members, eni, d, p)
				return v, tables.Untracked(eni, d, p, v)
			}
		}
	})
}

// Pure returns an engine that adds connections to a Judge. It calls judges once for each scenario,
// and what that returns for each View.
func Pure(name string, judges func() func(*ruleset.View) Judge) Engine {
	return &pure{name: name, judges: judges}
}

func (e *pure) Name() string { return e.name }

func (e *pure) Verdicts() bool { return true }

func (e *pure) Load(w *World) error {
	e.view, e.known, e.next = nil, map[connection]entry{}, e.judges()
	return e.Change(w, Change{})
}

// Change follows a World as an agent does: by a Delta.
func (e *pure) Change(w *World, _ Change) error {
	v, err := e.view.Apply(ruleset.Diff(e.view, ruleset.Resolve(w.State(), Host)))
	if err != nil {
		return err
	}
	e.view, e.judge = v, e.next(v)
	return nil
}

func (e *pure) Start(f Flow) (Outcome, error) { return e.pass(f, f.From, f.To, f.Packet), nil }

func (e *pure) Send(f Flow, reply bool) (Outcome, error) {
	if !reply {
		return e.pass(f, f.From, f.To, f.Packet), nil
	}
	p, err := f.Reply()
	if err != nil {
		return Outcome{}, err
	}
	return e.pass(f, f.To, f.From, p), nil
}

// Fail asks each gate about the packet that is quoted, which went the other way, if the flow is known
// there; else about the error.
func (e *pure) Fail(f Flow) (o Outcome, err error) {
	for _, gate := range []struct {
		eni    vpc.InterfaceID
		d      ruleset.Direction // of the error
		quoted ruleset.Direction
		got    **ruleset.Verdict
	}{{f.To.ENI, ruleset.Egress, ruleset.Ingress, &o.Egress}, {f.From.ENI, ruleset.Ingress, ruleset.Egress, &o.Ingress}} {
		if gate.eni == "" {
			continue
		}
		v, _ := e.judge(gate.eni, gate.quoted, f.Packet)
		switch now, ok := e.known[connection{gate.eni, f.Name}]; {
		case ok && !now.untracked:
			v = ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonTracked}
		case !ok || v.Action == ruleset.Drop:
			if v, _ = e.judge(gate.eni, gate.d, f.Error()); v.Reason == ruleset.ReasonNoRule {
				v.Reason = ruleset.ReasonICMPError
			}
		}
		if *gate.got = &v; v.Action == ruleset.Drop {
			return o, nil
		}
	}
	o.Passed = true
	return o, nil
}

func (e *pure) pass(f Flow, from, to End, p ruleset.Packet) (o Outcome) {
	if from.ENI != "" {
		v := e.gate(f, from.ENI, ruleset.Egress, p)
		if o.Egress = &v; v.Action == ruleset.Drop {
			return o
		}
	}
	if to.ENI != "" {
		v := e.gate(f, to.ENI, ruleset.Ingress, p)
		if o.Ingress = &v; v.Action == ruleset.Drop {
			return o
		}
	}
	o.Passed = true
	return o
}

func (e *pure) gate(f Flow, eni vpc.InterfaceID, d ruleset.Direction, p ruleset.Packet) ruleset.Verdict {
	c := connection{eni, f.Name}
	now, ok := e.known[c]
	if ok && !now.untracked {
		return ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonTracked}
	}
	v, untracked := e.judge(eni, d, p)
	if v.Action == ruleset.Drop || f.Name == "" {
		return v
	}
	if !ok {
		now = entry{direction: d, first: p}
	}
	if d != now.direction {
		// An answer passes by rules of its own; what becomes of the flow is for those of its first packet.
		var first ruleset.Verdict
		if first, untracked = e.judge(eni, now.direction, now.first); first.Action == ruleset.Drop {
			return v
		}
	}
	now.untracked = untracked
	e.known[c] = now
	return v
}
