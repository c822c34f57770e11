package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// scaleFigures is what a host with many NICs costs.
type scaleFigures struct {
	NICs   int
	Flows  int // established, on all NICs together
	Steps  []latency
	CPU    []latency // of the same steps, in the same order: of the process, and of the kernel on its behalf
	Memory []memoryRow
}

// scaleRun is a run of the part.
type scaleRun struct {
	f *scaleFigures
	c *crowd
}

// step times one.
func (r *scaleRun) step(name string, do func() error) error {
	before, start := cpuTime(), time.Now()
	err := do()
	r.took(name, time.Since(start), cpuTime()-before)
	return err
}

func (r *scaleRun) took(name string, wall, cpu time.Duration) {
	r.f.Steps = addLatency(r.f.Steps, name, wall)
	r.f.CPU = addLatency(r.f.CPU, name, cpu)
}

func addLatency(list []latency, name string, took time.Duration) []latency {
	ms := float64(took.Nanoseconds()) / 1e6
	for i := range list {
		if list[i].Name == name {
			list[i].Milliseconds = append(list[i].Milliseconds, ms)
			return list
		}
	}
	return append(list, latency{name, []float64{ms}})
}

// cpuTime is what this process has used so far, in the kernel too.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const flowsPerNIC = 32

// measureScale makes a Datapath with many NICs, whose ENIs have tables of their own, restarts it, and
// sweeps it.
func measureScale(ctx context.Context, nics, repetitions int, stderr io.Writer) (_ *scaleFigures, err error) {
	fmt.Fprintf(stderr, "scale: %d NICs\n", nics)
	r := &scaleRun{f: &scaleFigures{NICs: nics, Flows: nics * flowsPerNIC}}
	view := crowdView(nics)
	before, err := memoryNow()
	if err != nil {
		return nil, err
	}
	if r.c, err = newCrowd("scale", datapath.Options{}, 0); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.c.close()) }()
	r.c.view = view
	bare, err := memoryNow()
	if err != nil {
		return nil, err
	}
	if err := r.c.ns.do(func() error { return r.attach(ctx, nics) }); err != nil {
		return nil, err
	}
	var compiler ruleset.Compiler
	if err := r.step("the first tables of all, compiled and in force", func() error {
		return r.c.d.Apply(compiler.Compile(r.c.view))
	}); err != nil {
		return nil, err
	}
	now, err := memoryNow()
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		name     string
		from, to memoryUse
		things   int
	}{{"Datapath without NICs", before, bare, 1}, {"NIC with an ENI, and a group of its own with two rules", bare, now, nics}} {
		accounted, heap := m.to.more(m.from)
		r.f.Memory = append(r.f.Memory, memoryRow{m.name, m.things, accounted / float64(m.things), heap / float64(m.things)})
	}
	if err := r.changes(ctx, &compiler, repetitions); err != nil {
		return nil, err
	}
	if err := r.sweeps("sweep without connections", repetitions); err != nil {
		return nil, err
	}
	if err := r.connect(ctx, nics); err != nil {
		return nil, err
	}
	if err := r.sweeps(fmt.Sprintf("sweep with %s connections", thousands(r.f.Flows)), repetitions); err != nil {
		return nil, err
	}
	return r.f, r.restart(ctx, repetitions)
}

// attach makes the NICs and attaches them, one after the other, as an agent's first start does.
func (r *scaleRun) attach(ctx context.Context, nics int) error {
	var wall, cpu time.Duration
	for i := range nics {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		device := fmt.Sprintf("guest%d", i)
		index, err := newDevice(device)
		if err != nil {
			return err
		}
		r.c.devices = append(r.c.devices, index)
		before, start := cpuTime(), time.Now()
		if err := r.step("a NIC attached", func() error { return r.c.d.Attach(index, device, crowdENI(i)) }); err != nil {
			return err
		}
		wall, cpu = wall+time.Since(start), cpu+cpuTime()-before
	}
	r.took("all of them", wall, cpu)
	return nil
}

// changes edits one group, which one ENI carries.
func (r *scaleRun) changes(ctx context.Context, compiler *ruleset.Compiler, repetitions int) error {
	for i := range 3 * repetitions {
		if _, err := r.c.d.Sweep(); err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		v := r.c.view
		id := v.ENIs[crowdENI(i)].Groups[1]
		g := v.Groups[id]
		g.Rules = append([]vpc.Rule{{
			ID: "sgr-0000000000000000b", Number: 1 << 20, Protocol: vpc.TCP, From: 443, To: 443,
			Peer: vpc.Peer{CIDR: netip.MustParsePrefix("192.0.2.0/24")},
		}}, g.Rules...)
		delta := ruleset.Delta{From: v.Revision, To: v.Revision + 1, Groups: map[vpc.GroupID]ruleset.Group{id: g}}
		if err := r.step("one more rule of one ENI: delta, compiled, in force", func() (err error) {
			if r.c.view, err = v.Apply(delta); err != nil {
				return err
			}
			return r.c.d.Apply(compiler.Compile(r.c.view))
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *scaleRun) sweeps(name string, repetitions int) error {
	for range repetitions {
		if err := r.step(name, func() error {
			_, err := r.c.d.Sweep()
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// connect makes each ENI begin connections that its neighbour answers.
func (r *scaleRun) connect(ctx context.Context, nics int) (err error) {
	m, err := newMicro(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	out, err := r.c.program(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	in, err := r.c.program(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	for i := range nics {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		e := r.c.view.ENIs[crowdENI(i)]
		l := &lone{ns: r.c.ns, device: r.c.devices[i]}
		p := packets{
			port: 8000, remotes: cidrRemotes(16), local: e.Addresses[0], localMAC: e.MAC, out: true,
		}
		for _, side := range []struct {
			program
			out bool
		}{{program{out, l}, true}, {program{in, l}, false}} {
			p.out = side.out
			if _, err := m.run(side.program, p, flowsPerNIC, passes); err != nil {
				return fmt.Errorf("connect from NIC %d: %w", i, err)
			}
		}
	}
	return nil
}

// restart ends the Datapath and opens it again, as an agent's end and the next one's start do, which makes sure
// of each claim then.
func (r *scaleRun) restart(ctx context.Context, repetitions int) error {
	for range repetitions {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err := r.c.ns.do(r.c.d.Close); err != nil {
			return err
		}
		if err := r.step("opened again: all NICs adopted", func() error {
			return r.c.ns.do(func() (err error) {
				r.c.d, err = datapath.Open(datapath.Options{Pins: r.c.pins})
				return err
			})
		}); err != nil {
			return err
		}
		if got := len(r.c.d.Attached()); got != r.f.NICs {
			return fmt.Errorf("%d NICs were adopted, want %d", got, r.f.NICs)
		}
		if err := r.step("… and each of them attached anew", func() error {
			return r.c.ns.do(func() error {
				for _, a := range r.c.d.Attached() {
					if err := r.c.d.Attach(a.Ifindex, a.Name, a.ENI); err != nil {
						return err
					}
				}
				return nil
			})
		}); err != nil {
			return err
		}
		var compiler ruleset.Compiler
		if err := r.step("… and the first tables", func() error { return r.c.d.Apply(compiler.Compile(r.c.view)) }); err != nil {
			return err
		}
	}
	return nil
}

func (f *scaleFigures) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s NICs\tp50 ms\tp99 ms\tmin – max\tof CPU time: p50 ms\tmin – max\tsamples\t\n", thousands(f.NICs))
	spread := func(ms []float64) string { return number(slices.Min(ms)) + " – " + number(slices.Max(ms)) }
	for i, l := range f.Steps {
		cpu := f.CPU[i].Milliseconds
		fmt.Fprintf(to, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", l.Name, number(median(l.Milliseconds)), number(quantile(l.Milliseconds, 0.99)),
			spread(l.Milliseconds), number(median(cpu)), spread(cpu), len(cpu))
	}
	printMemory(to, f.Memory)
}
