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

// cell is one kind of traffic through one world; it returns what it measured, one value per row.
type cell struct {
	rows []row
	run  func(w *world, s sizes, repetition int) ([]float64, error)
}

// The flows of the frames.
var (
	oneFlow   = flows{ports{Base: 20000}, ports{Base: framePort}}
	manyFlows = flows{ports{Mask: manyCount - 1, Base: 20000}, ports{Base: framePort}}
	// Two million flows before one comes again.
	newFlows        = flows{ports{Mask: 1<<15 - 1, Base: 16384}, ports{Shift: 15, Mask: framePorts - 1, Base: framePort}}
	closedFlows     = flows{ports{Mask: 1<<15 - 1, Base: 16384}, ports{Base: closedPort}}
	unsendableFlows = flows{ports{Mask: 1<<15 - 1, Base: 16384}, ports{Base: unsendablePort}}
)

const manyCount = 1 << 14

func packetCells() []cell {
	packets := func(name string, run func(w *world, s sizes, repetition int) (float64, error)) cell {
		return cell{[]row{{Name: name, Unit: "ns"}}, func(w *world, s sizes, repetition int) ([]float64, error) {
			if err := w.forgetConnections(); err != nil {
				return nil, fmt.Errorf("flush connections: %w", err)
			}
			ns, err := run(w, s, repetition)
			return []float64{ns}, err
		}}
	}
	return []cell{
		packets("established packet, 1 flow", func(w *world, s sizes, _ int) (float64, error) {
			return w.established(oneFlow, 1, s)
		}),
		packets("established packet, 16,384 flows", func(w *world, s sizes, _ int) (float64, error) {
			return w.established(manyFlows, manyCount, s)
		}),
		packets("first packet of a new flow", func(w *world, s sizes, repetition int) (float64, error) {
			return w.frames(burst{flows: newFlows, start: uint64(repetition) * uint64(s.NewFlows), count: s.NewFlows}, sunkAllowed)
		}),
		packets("packet that the receiver's rules deny", func(w *world, s sizes, _ int) (float64, error) {
			return w.frames(burst{flows: closedFlows, count: s.NewFlows}, sunkDenied)
		}),
		packets("packet that the sender's rules deny", func(w *world, s sizes, _ int) (float64, error) {
			return w.frames(burst{flows: unsendableFlows, count: s.NewFlows}, sunkDenied)
		}),
	}
}

// established has each flow go once there, once back and once there again, then measures.
func (w *world) established(f flows, count uint32, s sizes) (float64, error) {
	there := burst{flows: f, count: count}
	for _, step := range []func() error{
		func() error { _, err := w.frames(there, sunkAllowed); return err },
		func() error { return w.answers(f, count) },
		func() error { _, err := w.frames(there, sunkAllowed); return err },
	} {
		if err := step(); err != nil {
			return 0, fmt.Errorf("establish flows: %w", err)
		}
	}
	there.count = s.Frames
	return w.frames(there, sunkAllowed)
}

// frames sends a burst from A to B, checks that all or none arrived, as the filter must, and returns
// the time per frame in ns.
func (w *world) frames(b burst, kind int) (float64, error) {
	b.device, b.from, b.to = w.deviceA, end{macA, addrA}, end{w.nextHop(macB, 0), addrB}
	return w.burst(b, w.sinkB, kind)
}

// answers sends the same flows back from B to A.
func (w *world) answers(f flows, count uint32) error {
	_, err := w.burst(burst{
		device: w.deviceB, from: end{macB, addrB}, to: end{w.nextHop(macA, 1), addrA}, flows: f.reply(), count: count,
	}, w.sinkA, sunkAllowed)
	return err
}

// nextHop is the MAC to which a guest sends: its peer's, or that of the host's end of its own veth pair.
func (w *world) nextHop(peer [6]byte, side int) [6]byte {
	if w.layout == routed {
		return macHost[side]
	}
	return peer
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
	for _, c := range []struct {
		what  string
		flows flows
		kind  int
	}{
		{"allowed", newFlows, sunkAllowed},
		{"denied by the receiver", closedFlows, sunkDenied},
		{"denied by the sender", unsendableFlows, sunkDenied},
	} {
		if _, err := w.frames(burst{flows: c.flows, start: 1 << 20, count: 64}, c.kind); err != nil {
			return fmt.Errorf("check with frames %s: %w", c.what, err)
		}
	}
	return nil
}

// traffic measures every cell in every world; only names one of its two parts.
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
	for _, l := range []layout{bridged, routed} {
		if err := trafficThrough(ctx, l, s, r, g, only, stderr); err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	return nil
}

func trafficThrough(ctx context.Context, l layout, s sizes, r *report, g *generator, only string, stderr io.Writer) (err error) {
	var worlds []*world
	defer func() {
		for _, w := range slices.Backward(worlds) {
			err = errors.Join(err, w.close())
		}
	}()
	t := &table{Layout: l}
	for _, f := range candidates(l) {
		w, err := newWorld(l, f, g)
		if err != nil {
			return err
		}
		worlds = append(worlds, w)
		t.Candidates = append(t.Candidates, f.name)
	}
	r.Tables = append(r.Tables, t)
	if only != "sockets" {
		if l == bridged {
			if r.Generator, err = generatorAlone(worlds[0], s); err != nil {
				return err
			}
		}
		if err := turns(ctx, s, t, worlds, packetCells(), true, stderr); err != nil {
			return err
		}
	}
	if only != "packets" && l == bridged {
		return turns(ctx, s, t, worlds, socketCells(), false, stderr)
	}
	return nil
}

// generatorAlone measures frames that are made and dropped before the network stack sees them: what
// of each packet row is the generator's. It returns ns per frame.
func generatorAlone(w *world, s sizes) (values []float64, err error) {
	if err := w.liveFrames(true); err != nil {
		return nil, err
	}
	for range s.Repetitions {
		if err := w.host.do(func() error {
			took, err := w.generator.run(burst{
				device: w.deviceA, from: end{macA, addrA}, to: end{macB, addrB}, flows: manyFlows, count: s.Frames, action: xdpDrop,
			})
			values = append(values, float64(took.Nanoseconds())/float64(s.Frames))
			return err
		}); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// turns runs each cell in each world in each repetition, so that what else the machine does falls on
// all of them alike.
func turns(ctx context.Context, s sizes, t *table, worlds []*world, cells []cell, live bool, stderr io.Writer) error {
	for _, w := range worlds {
		if err := w.liveFrames(live); err != nil {
			return err
		}
	}
	var rows [][]*row // by cell
	for _, c := range cells {
		rows = append(rows, t.add(c.rows))
	}
	for repetition := range s.Repetitions {
		for k, c := range cells {
			for i := range worlds {
				if ctx.Err() != nil {
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
				for j, v := range values {
					rows[k][j].Values[w.name] = append(rows[k][j].Values[w.name], v)
				}
			}
		}
		fmt.Fprintf(stderr, "%s %s, %s and so on: %d of %d\n",
			time.Now().UTC().Format(time.TimeOnly), t.Layout, cells[0].rows[0].Name, repetition+1, s.Repetitions)
	}
	return nil
}
