package scenariotest

import (
	"errors"
	"fmt"
)

// throughout is the packets that go on while the changes of a scenario are made.
type throughout struct {
	engine Engine
	check  func(Step, Outcome, bool) error
	going  []going
	port   uint16 // of the last packet that was played
}

type going struct {
	step Step
	end  func() (sent, arrived int, err error) // nil: the engine is no Streamer
}

// begin lets the packets of a step go on. wrong is what went otherwise than the step says; err, that
// the engine cannot go on.
func (t *throughout) begin(step Step) (wrong, err error) {
	g := going{step: step}
	if s, ok := t.engine.(Streamer); ok {
		if g.end, err = s.Stream(*step.Flow); err != nil {
			return nil, err
		}
	}
	t.going = append(t.going, g)
	return t.play(g)
}

// changed is called after each change.
func (t *throughout) changed() (wrong, err error) {
	for _, g := range t.going {
		w, err := t.play(g)
		if wrong = errors.Join(wrong, w); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

// play plays a packet, where the engine sends none itself.
func (t *throughout) play(g going) (wrong, err error) {
	if g.end != nil {
		return nil, nil
	}
	f := *g.step.Flow
	t.port++ // below those of all other flows
	f.Packet.SrcPort, f.ID = t.port, t.port
	got, err := t.engine.Start(f)
	if err != nil {
		return nil, err
	}
	if err := t.check(g.step, got, t.engine.Verdicts()); err != nil {
		return fmt.Errorf("%s: %w", g.step.Line, err), nil
	}
	return nil, nil
}

// end ends all of it.
func (t *throughout) end() (wrong, err error) {
	for _, g := range t.going {
		if g.end == nil {
			continue
		}
		sent, arrived, endErr := g.end()
		err = errors.Join(err, endErr)
		if endErr == nil && (sent == 0 || g.step.Allow && arrived != sent || !g.step.Allow && arrived != 0) {
			wrong = errors.Join(wrong, fmt.Errorf("%s: of %d packets %d arrived", g.step.Line, sent, arrived))
		}
	}
	t.going = nil
	return wrong, err
}
