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

// The kinds of packets, which are rows of each family.
const (
	establishedOne  = "established, 1 flow"
	establishedMany = "established, 16,384 flows"
	firstPacket     = "first packet of a flow"
	deniedSender    = "denied by the sender's rules"
	deniedReceiver  = "denied by the receiver's rules"
	deniedOutside   = "denied by the receiver's, from outside"
	fromGuest       = "established, sendmmsg in the guest"
)

// packetCells are frames of the generator.
func packetCells() (cells []cell) {
	for _, f := range []family{ipv4, ipv6} {
		packets := func(name string, run func(w *world, s sizes, repetition int) (float64, error)) {
			cells = append(cells, cell{[]row{{Family: f.String(), Name: name, Unit: "ns"}}, func(w *world, s sizes, repetition int) ([]float64, error) {
				if err := w.forgetConnections(); err != nil {
					return nil, fmt.Errorf("flush connections: %w", err)
				}
				ns, err := run(w, s, repetition)
				return []float64{ns}, err
			}})
		}
		packets(establishedOne, func(w *world, s sizes, _ int) (float64, error) {
			return w.established(f, oneFlow, 1, s)
		})
		packets(establishedMany, func(w *world, s sizes, _ int) (float64, error) {
			return w.established(f, manyFlows, manyCount, s)
		})
		packets(firstPacket, func(w *world, s sizes, repetition int) (float64, error) {
			n := w.fewer(s.NewFlows)
			return w.frames(burst{family: f, flows: newFlows, start: uint64(repetition) * uint64(n), count: n}, sunkAllowed)
		})
		packets(deniedSender, func(w *world, s sizes, _ int) (float64, error) {
			return w.frames(burst{family: f, flows: unsendableFlows, count: w.fewer(s.NewFlows)}, sunkDenied)
		})
		packets(deniedReceiver, func(w *world, s sizes, _ int) (float64, error) {
			return w.frames(burst{family: f, flows: closedFlows, count: w.fewer(s.NewFlows)}, sunkDenied)
		})
		packets(deniedOutside, func(w *world, s sizes, _ int) (float64, error) {
			return w.frames(burst{family: f, flows: closedFlows, count: w.fewer(s.NewFlows), outside: true}, sunkDenied)
		})
	}
	return cells
}

// fewer is n, or less in a world where each packet takes long.
func (w *world) fewer(n uint32) uint32 { return n / max(w.slow, 1) }

// mostRounds is how often flows are started again until all of them have been answered. Of flows that
// nobody has answered yet a guest has less room than some cells have flows.
const mostRounds = 64

// established has each flow go there and back, and once there again, then measures.
func (w *world) established(f family, which flows, count uint32, s sizes) (float64, error) {
	there := burst{family: f, flows: which, count: count}
	for round := 1; ; round++ {
		if _, err := w.frames(there, sunkAllowed); err != nil {
			return 0, fmt.Errorf("start flows: %w", err)
		}
		answered, err := w.answers(f, which, count)
		if err == nil && round == mostRounds {
			err = expect(answered, uint64(count))
		}
		if err != nil {
			return 0, fmt.Errorf("answer flows: %w", err)
		}
		if answered == uint64(count) {
			break
		}
	}
	if _, err := w.frames(there, sunkAllowed); err != nil {
		return 0, fmt.Errorf("go on with flows: %w", err)
	}
	there.count = w.fewer(s.Frames)
	return w.frames(there, sunkAllowed)
}

// frames sends a burst from A, or from outside, to B, checks that all or none arrived, as the filter must, and returns
// the time per frame in ns.
func (w *world) frames(b burst, kind int) (float64, error) {
	n := network[b.family]
	b.device, b.from, b.to = w.deviceA, end{macA, n.a}, end{w.nextHop(macB, 0), n.b}
	if b.outside {
		b.device, b.from, b.to = w.deviceC, end{macC, n.c}, end{w.nextHop(macB, 2), n.b}
	}
	want := uint64(b.count)
	if kind == sunkDenied && w.filters {
		want = 0
	}
	ns, got, err := w.burst(b, w.sinkB, kind, want)
	if err != nil {
		return 0, err
	}
	return ns, expect(got, want)
}

// answers sends the same flows back from B to A, and returns how many arrived.
func (w *world) answers(f family, which flows, count uint32) (uint64, error) {
	n := network[f]
	_, got, err := w.burst(burst{
		family: f, device: w.deviceB, from: end{macB, n.b}, to: end{w.nextHop(macA, 1), n.a}, flows: which.reply(), count: count,
	}, w.sinkA, sunkAllowed, uint64(count))
	return got, err
}

// nextHop is the MAC to which a guest sends: its peer's, or that of the host's end of its own veth pair.
func (w *world) nextHop(peer [6]byte, side int) [6]byte {
	if w.layout == routed {
		return macHost[side]
	}
	return peer
}

// burst makes frames, of which want are expected at the sink, and returns the time per frame in ns and
// how many arrived.
func (w *world) burst(b burst, s *sink, kind int, want uint64) (ns float64, got uint64, err error) {
	before, err := s.read()
	if err != nil {
		return 0, 0, err
	}
	var took time.Duration
	if err := w.host.do(func() error { took, err = w.generator.run(b); return err }); err != nil {
		return 0, 0, err
	}
	got, err = s.await(before, kind, want)
	return float64(took.Nanoseconds()) / float64(b.count), got, err
}

// await waits until want of a kind more than before have reached the sink, and returns how many have.
func (s *sink) await(before [2]uint64, kind int, want uint64) (got uint64, err error) {
	// The last few may still be on their way; what must not come gets as long to show up.
	for deadline := time.Now().Add(20 * time.Millisecond); ; time.Sleep(time.Millisecond) {
		after, err := s.read()
		if err != nil {
			return 0, err
		}
		got = after[kind] - before[kind]
		if got == want && want > 0 || time.Now().After(deadline) {
			return got, nil
		}
	}
}

// expect is errWrong unless as many arrived as must.
func expect(got, want uint64) error {
	if got != want {
		return fmt.Errorf("%w: %d packets arrived, want %d", errWrong, got, want)
	}
	return nil
}

// errWrong is a filter that let through what it must drop, or the other way round.
var errWrong = errors.New("the traffic was not filtered as it must be")

// check sends a few frames of each family that are allowed and a few that are not.
func (w *world) check() error {
	for _, f := range []family{ipv4, ipv6} {
		for _, c := range []struct {
			what    string
			flows   flows
			kind    int
			outside bool
		}{
			{"allowed", newFlows, sunkAllowed, false},
			{"denied by the receiver", closedFlows, sunkDenied, false},
			{"denied by the receiver, from outside,", closedFlows, sunkDenied, true},
			{"denied by the sender", unsendableFlows, sunkDenied, false},
		} {
			if _, err := w.frames(burst{family: f, flows: c.flows, start: 1 << 20, count: 64, outside: c.outside}, c.kind); err != nil {
				return fmt.Errorf("check with %s frames %s: %w", f, c.what, err)
			}
		}
	}
	return nil
}

// measurePackets measures what packets cost, bridged and routed, and what a flood does.
func measurePackets(ctx context.Context, s sizes, r *report, stderr io.Writer) error {
	for _, l := range []layout{bridged, routed} {
		err := withWorlds(l, func(worlds []*world) (err error) {
			t := newTable(l)
			r.Packets = append(r.Packets, t)
			if l == bridged {
				if err := generatorAlone(worlds[0], s, r); err != nil {
					return err
				}
				if r.Flood, err = flood(worlds, s); err != nil {
					return fmt.Errorf("flood: %w", err)
				}
			}
			if err := turns(ctx, s, t, worlds, packetCells(), true, stderr); err != nil {
				return err
			}
			return turns(ctx, s, t, worlds, guestCells(), false, stderr)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	r.packetGoals()
	return nil
}

// measureSockets measures what programs in the guests get, bridged.
func measureSockets(ctx context.Context, s sizes, r *report, stderr io.Writer) error {
	return withWorlds(bridged, func(worlds []*world) error {
		t := newTable(bridged)
		r.Sockets = append(r.Sockets, t)
		return turns(ctx, s, t, worlds, socketCells(), false, stderr)
	})
}

// withWorlds makes a world for each candidate, and takes them down after f.
func withWorlds(l layout, f func([]*world) error) (err error) {
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
	for _, f := range candidates(l) {
		w, err := newWorld(l, f, g)
		if err != nil {
			return err
		}
		worlds = append(worlds, w)
	}
	return f(worlds)
}

func newTable(l layout) *table {
	t := &table{Layout: l}
	for _, f := range candidates(l) {
		t.Candidates = append(t.Candidates, f.name)
	}
	return t
}

// generatorAlone measures frames that are made and dropped before the network stack sees them: what
// of each packet row is the generator's, ns per frame; and what a run takes beside its frames, which is
// in no row, ms.
func generatorAlone(w *world, s sizes, r *report) error {
	if err := w.liveFrames(true); err != nil {
		return err
	}
	for range s.Repetitions {
		for _, f := range []family{ipv4, ipv6} {
			n := network[f]
			if err := w.host.do(func() error {
				began := time.Now()
				took, err := w.generator.run(burst{
					family: f, device: w.deviceA, from: end{macA, n.a}, to: end{macB, n.b}, flows: manyFlows, count: s.Frames, action: xdpDrop,
				})
				r.Generator = append(r.Generator, float64(took.Nanoseconds())/float64(s.Frames))
				r.SetUp = append(r.SetUp, float64((time.Since(began)-took).Microseconds())/1000)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// floodFigures is what a flood of new flows did to those that were established before.
type floodFigures struct {
	New, Established, Lost int
}

// flood establishes flows through Sallyport, then starts many more than it has room for, and counts
// whose answers do not arrive any more: nothing but its connection lets an answer into A.
func flood(worlds []*world, s sizes) (floodFigures, error) {
	f := floodFigures{New: int(s.Flood), Established: 1000}
	for _, w := range worlds {
		if w.name != ours {
			continue
		}
		if err := w.liveFrames(true); err != nil {
			return f, err
		}
		if _, err := w.established(ipv4, manyFlows, uint32(f.Established), sizes{Frames: uint32(f.Established)}); err != nil {
			return f, err
		}
		// None of them is one of manyFlows, which all go to the first port.
		if _, err := w.frames(burst{family: ipv4, flows: newFlows, start: 1 << newFlows.Destination.Shift, count: s.Flood}, sunkAllowed); err != nil {
			return f, err
		}
		got, err := w.answers(ipv4, manyFlows, uint32(f.Established))
		f.Lost = f.Established - int(got)
		return f, err
	}
	return f, fmt.Errorf("no candidate is named %s", ours)
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
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.rows[0], w.name, err)
				}
				for j, v := range values {
					rows[k][j].Values[w.name] = append(rows[k][j].Values[w.name], v)
				}
			}
		}
		for _, w := range worlds {
			if !live {
				break
			}
			if err := w.check(); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
		fmt.Fprintf(stderr, "%s %s, %s and so on: %d of %d\n",
			time.Now().UTC().Format(time.TimeOnly), t.Layout, cells[0].rows[0], repetition+1, s.Repetitions)
	}
	return nil
}
