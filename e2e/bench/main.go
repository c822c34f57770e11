// Command bench sends the same traffic through no filter, nftables, iptables and Sallyport, all in one
// run, and prints what each costs; then what single programs, changes and memory cost beside the kernel's
// own maps, how long after an API call's return a rule is in force on the wire, what a host with many NICs
// costs, and how much the API carries. At the end it holds the figures against Sallyport's goals.
// `make bench` runs it; docs/benchmarks.md says what the rows mean.
//
// All traffic stays in network namespaces that it makes, which have no names and go with the process,
// and, for the time until a rule is in force, between this host and a lab guest of a `sallyport dev` of
// its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sizes is how much is measured.
type sizes struct {
	Repetitions int           // of each cell
	Frames      uint32        // of a packet cell
	NewFlows    uint32        // of the cell where each packet starts one; nf_conntrack holds 262,144
	Flood       uint32        // new flows of the flood
	Sockets     time.Duration // of a cell of connections or throughput
	RoundTrips  int           // of a latency cell
	Samples     int           // of the time until a rule is in force
	Crowd       int           // ENIs on one host
	Quick       bool
}

var (
	full  = sizes{Repetitions: 5, Frames: 128_000, NewFlows: 48_000, Flood: 2_000_000, Sockets: 500 * time.Millisecond, RoundTrips: 4000, Samples: 100, Crowd: 1000}
	quick = sizes{Repetitions: 2, Frames: 32_000, NewFlows: 16_000, Flood: 200_000, Sockets: 150 * time.Millisecond, RoundTrips: 500, Samples: 10, Crowd: 100, Quick: true}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// parts are what a run consists of, in this order. print writes paragraphs and tables with an empty line
// between them; a table is lines of cells that a tab ends, the first line its head.
var parts = []part{
	{name: "packets", root: true, run: measurePackets, print: (*report).packets},
	{name: "sockets", root: true, run: measureSockets, print: (*report).sockets},
	{
		name: "datapath", root: true,
		run: func(ctx context.Context, s sizes, r *report, stderr io.Writer) (err error) {
			size := fullMicro
			if s.Quick {
				size = quickMicro
			}
			if r.Datapath, err = measureDatapath(ctx, size, stderr); err != nil {
				return err
			}
			r.Datapath.goals(r, size)
			return nil
		},
		print: func(r *report, w io.Writer) { r.Datapath.print(w) },
	},
	{name: "in-force", root: true, run: inForce, print: (*report).inForce},
	{
		name: "scale", root: true,
		run: func(ctx context.Context, s sizes, r *report, stderr io.Writer) (err error) {
			nics, repetitions := 2000, 5
			if s.Quick {
				nics, repetitions = 100, 2
			}
			r.Scale, err = measureScale(ctx, nics, repetitions, stderr)
			return err
		},
		print: func(r *report, w io.Writer) { r.Scale.print(w) },
	},
	{
		name: "api",
		run: func(ctx context.Context, s sizes, r *report, stderr io.Writer) (err error) {
			r.API, err = measureAPI(ctx, s.Quick, stderr)
			return err
		},
		print: func(r *report, w io.Writer) { r.API.print(w) },
	},
	{
		name: "console",
		run: func(ctx context.Context, s sizes, r *report, stderr io.Writer) (err error) {
			r.Lists, err = measureLists(ctx, s.Quick, stderr)
			return err
		},
		print: func(r *report, w io.Writer) { r.Lists.print(w) },
	},
}

type part struct {
	name  string
	root  bool // needs it
	run   func(ctx context.Context, s sizes, r *report, stderr io.Writer) error
	print func(r *report, w io.Writer)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	quickly := f.Bool("quick", false, "fewer and shorter repetitions: figures too rough to quote")
	file := f.String("json", "", "write every measured value to this `file`, too")
	docs := f.String("docs", "", "put the tables into this `file` of Markdown, between its markers")
	plots := f.String("plots", "", "write plots as SVG into this `directory`")
	strict := f.Bool("strict", false, "end with an error if a goal is not met")
	only := f.String("only", "", "`parts` to run, with commas between: of "+strings.Join(names, ", ")+"; empty: all")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	wanted := names
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("unknown part %q: there are %s", name, strings.Join(names, ", "))
		}
		if parts[i].root && os.Geteuid() != 0 {
			return errors.New("this needs root: it makes network namespaces and loads BPF programs; use make bench")
		}
	}
	unlock, err := lockBench()
	if err != nil {
		return err
	}
	defer unlock()
	// The collector's own threads would be measured with the rest.
	debug.SetGCPercent(800)

	s := full
	if *quickly {
		s = quick
	}
	r := &report{Sizes: s}
	if r.Machine, err = machine(); err != nil {
		return err
	}
	writeText(stdout, r.header())
	var errs []error
	for _, p := range parts {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		before := len(r.Goals)
		start := time.Now()
		err := p.run(ctx, s, r, stderr)
		fmt.Fprintf(stderr, "%s: took %s\n", p.name, time.Since(start).Round(time.Second))
		var page strings.Builder
		if err == nil {
			p.print(r, &page)
			writeText(stdout, page.String())
			_ = printGoals(&page, r.Goals[before:]) // said at the end
			if *docs != "" {
				err = r.intoDocs(*docs, p.name, page.String())
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		// Now, and all of it again after each part: what was measured took its time, whatever becomes of the next ones.
		if *file != "" {
			errs = append(errs, r.write(*file))
		}
		if ctx.Err() != nil {
			break
		}
	}
	var page strings.Builder
	missed := printGoals(&page, r.Goals)
	writeText(stdout, page.String())
	if !*strict {
		missed = nil
	}
	if *plots != "" {
		errs = append(errs, r.plots(*plots))
	}
	return errors.Join(append(errs, missed)...)
}
