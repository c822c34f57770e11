package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// cell is one kind of traffic through one world; it returns what it measured by row.
type cell struct {
	rows []row
	run  func(w *world, s sizes, repetition int) (map[string]float64, error)
}

// The flows of the frames.
var (
	oneFlow   = flows{ports{Base: 20000}, ports{Base: framePort}}
	manyFlows = flows{ports{Mask: 1<<14 - 1, Base: 20000}, ports{Base: framePort}}
	// Two million flows before one comes again.
	newFlows    = flows{ports{Mask: 1<<15 - 1, Base: 16384}, ports{Shift: 15, Mask: framePorts - 1, Base: framePort}}
	deniedFlows = flows{ports{Mask: 1<<15 - 1, Base: 16384}, ports{Base: deniedPort}}
)

const manyCount = 1 << 14

func packetCells() []cell {
	return []cell{
		{[]row{{Name: "established packet, 1 flow", Unit: "ns"}}, func(w *world, s sizes, _ int) (map[string]float64, error) {
			return w.established("established packet, 1 flow", oneFlow, 1, s)
		}},
		{[]row{{Name: "established packet, 16,384 flows", Unit: "ns"}}, func(w *world, s sizes, _ int) (map[string]float64, error) {
			return w.established("established packet, 16,384 flows", manyFlows, manyCount, s)
		}},
		{[]row{{Name: "first packet of a new flow", Unit: "ns"}}, func(w *world, s sizes, repetition int) (map[string]float64, error) {
			if err := w.forgetConnections(); err != nil {
				return nil, fmt.Errorf("flush connections: %w", err)
			}
			ns, err := w.frames(burst{flows: newFlows, start: uint64(repetition) * uint64(s.NewFlows), count: s.NewFlows}, sunkAllowed)
			return map[string]float64{"first packet of a new flow": ns}, err
		}},
		{[]row{{Name: "denied packet", Unit: "ns"}}, func(w *world, s sizes, _ int) (map[string]float64, error) {
			ns, err := w.frames(burst{flows: deniedFlows, count: s.NewFlows}, sunkDenied)
			return map[string]float64{"denied packet": ns}, err
		}},
	}
}

// established has each flow go once there, once back and once there again, then measures.
func (w *world) established(name string, f flows, count uint32, s sizes) (map[string]float64, error) {
	if err := w.forgetConnections(); err != nil {
		return nil, fmt.Errorf("flush connections: %w", err)
	}
	there := burst{flows: f, count: count}
	for _, step := range []func() error{
		func() error { _, err := w.frames(there, sunkAllowed); return err },
		func() error { return w.answers(f, count) },
		func() error { _, err := w.frames(there, sunkAllowed); return err },
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("establish flows: %w", err)
		}
	}
	there.count = s.Frames
	ns, err := w.frames(there, sunkAllowed)
	return map[string]float64{name: ns}, err
}

// frames sends a burst from A to B, checks that all or none arrived, as the filter must, and returns
// the time per frame in ns.
func (w *world) frames(b burst, kind int) (float64, error) {
	b.device, b.from, b.to = w.deviceA, endA, endB
	return w.burst(b, w.sinkB, kind)
}

// answers sends the same flows back from B to A.
func (w *world) answers(f flows, count uint32) error {
	_, err := w.burst(burst{device: w.deviceB, from: endB, to: endA, flows: f.reply(), count: count}, w.sinkA, sunkAllowed)
	return err
}

func (w *world) burst(b burst, s *sink, kind int) (float64, error) {
	before, err := s.read()
	if err != nil {
		return 0, err
	}
	var took time.Duration
	if err := w.host.do(func() error { took, err = w.generator.run(b); return err }); err != nil {
		return 0, err
	}
	want := uint64(b.count)
	if kind == sunkDenied && w.filters {
		want = 0
	}
	var got uint64
	// The last few may still be on their way; what must not come gets as long to show up.
	for deadline := time.Now().Add(20 * time.Millisecond); ; time.Sleep(time.Millisecond) {
		after, err := s.read()
		if err != nil {
			return 0, err
		}
		got = after[kind] - before[kind]
		if got == want && want > 0 || time.Now().After(deadline) {
			break
		}
	}
	if got != want {
		return 0, fmt.Errorf("%w: of %d frames %d arrived, want %d", errWrong, b.count, got, want)
	}
	return float64(took.Nanoseconds()) / float64(b.count), nil
}

// errWrong is a filter that let through what it must drop, or the other way round.
var errWrong = errors.New("the traffic was not filtered as it must be")

// check sends a few frames that are allowed and a few that are not.
func (w *world) check() error {
	if _, err := w.frames(burst{flows: newFlows, start: 1 << 20, count: 64}, sunkAllowed); err != nil {
		return fmt.Errorf("allowed frames: %w", err)
	}
	if _, err := w.frames(burst{flows: deniedFlows, count: 64}, sunkDenied); err != nil {
		return fmt.Errorf("denied frames: %w", err)
	}
	return nil
}

// traffic measures every cell in every world, by turns; only names one of its two parts.
func traffic(ctx context.Context, s sizes, r *report, only string, stderr io.Writer) (err error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	last := 0
	for i := range 1024 {
		if allowed.IsSet(i) {
			last = i
		}
	}
	g, err := newGenerator(last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	var worlds []*world
	defer func() {
		for _, w := range slices.Backward(worlds) {
			err = errors.Join(err, w.close())
		}
	}()
	for _, f := range candidates() {
		w, err := newWorld(f, g)
		if err != nil {
			return err
		}
		worlds = append(worlds, w)
		r.Candidates = append(r.Candidates, f.name)
	}
	if only != "sockets" {
		if err := r.generatorAlone(worlds[0], s); err != nil {
			return err
		}
		if err := turns(ctx, s, r, worlds, packetCells(), true, stderr); err != nil {
			return err
		}
	}
	if only != "packets" {
		if err := turns(ctx, s, r, worlds, socketCells(), false, stderr); err != nil {
			return err
		}
	}
	return nil
}

// generatorAlone measures frames that are made and dropped before the network stack sees them: what
// of each packet row is the generator's.
func (r *report) generatorAlone(w *world, s sizes) error {
	if err := w.liveFrames(true); err != nil {
		return err
	}
	for range s.Repetitions {
		if err := w.host.do(func() error {
			took, err := w.generator.run(burst{
				device: w.deviceA, from: endA, to: endB, flows: manyFlows, count: s.Frames, action: xdpDrop,
			})
			r.Generator = append(r.Generator, float64(took.Nanoseconds())/float64(s.Frames))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// turns runs each cell in each world in each repetition, so that what else the machine does falls on
// all of them alike.
func turns(ctx context.Context, s sizes, r *report, worlds []*world, cells []cell, live bool, stderr io.Writer) error {
	for _, w := range worlds {
		if err := w.liveFrames(live); err != nil {
			return err
		}
	}
	for _, c := range cells {
		for _, row := range c.rows {
			r.add(row)
		}
	}
	for repetition := range s.Repetitions {
		for _, c := range cells {
			for i := range worlds {
				if err := ctx.Err(); err != nil {
					return errors.New("interrupted")
				}
				w := worlds[(i+repetition)%len(worlds)]
				values, err := c.run(w, s, repetition)
				if err == nil && live {
					err = w.check()
				}
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.rows[0].Name, w.name, err)
				}
				for name, v := range values {
					r.measured(name, w.name, v)
				}
			}
		}
		fmt.Fprintf(stderr, "%s repetition %d of %d\n", time.Now().UTC().Format(time.TimeOnly), repetition+1, s.Repetitions)
	}
	return nil
}
