// Command bench sends the same traffic through no filter, through nftables and through Sallyport, all
// in one run, and prints what each costs as ratios to no filter; then it measures how long after an
// API call's return a rule is in force on the wire, and how much the API carries. `make bench` runs it;
// docs/performance.md says what the rows mean.
//
// All traffic stays in network namespaces that it makes, which have no names and go with the process,
// and, for the second part, between this host and a lab guest of a `sallyport dev` of its own.
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
	"syscall"
	"time"
)

// sizes is how much is measured.
type sizes struct {
	Repetitions int           // of each cell
	Frames      uint32        // of a packet cell
	NewFlows    uint32        // of the cell where each packet starts one; nf_conntrack holds 262,144
	Sockets     time.Duration // of a cell of connections or throughput
	RoundTrips  int           // of a latency cell
	Samples     int           // of the time until a rule is in force
}

var (
	full  = sizes{Repetitions: 7, Frames: 200_000, NewFlows: 100_000, Sockets: 500 * time.Millisecond, RoundTrips: 4000, Samples: 60}
	quick = sizes{Repetitions: 2, Frames: 40_000, NewFlows: 40_000, Sockets: 150 * time.Millisecond, RoundTrips: 500, Samples: 10}
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

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	quickly := f.Bool("quick", false, "fewer and shorter repetitions: under a minute, figures too rough to quote")
	file := f.String("json", "", "write every measured value to this `file`, too")
	strict := f.Bool("strict", false, "end with an error if a goal is not met")
	only := f.String("only", "", "`part` to run: packets, sockets, datapath, in-force, api or console; empty: all of them")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if os.Geteuid() != 0 && *only != "api" && *only != "console" {
		return errors.New("this needs root: it makes network namespaces and loads BPF programs; use make bench")
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
	r := &report{Sizes: s, Quick: *quickly}
	if r.Machine, err = machine(); err != nil {
		return err
	}
	r.header(stdout)
	switch *only {
	case "", "packets", "sockets", "datapath", "in-force", "api", "console":
	default:
		return fmt.Errorf("unknown part %q: packets, sockets, datapath, in-force, api or console", *only)
	}
	if *only == "" || *only == "packets" || *only == "sockets" {
		if err := traffic(ctx, s, r, *only, stderr); err != nil {
			return err
		}
		r.traffic(stdout)
	}
	if *only == "" || *only == "datapath" {
		size := fullMicro
		if *quickly {
			size = quickMicro
		}
		if r.Datapath, err = measureDatapath(ctx, size, stderr); err != nil {
			return fmt.Errorf("datapath: %w", err)
		}
		r.Datapath.print(stdout)
		r.Datapath.goals(r, size)
	}
	if *only == "" || *only == "in-force" {
		if err := inForce(ctx, s, r, stderr); err != nil {
			return fmt.Errorf("time until a rule is in force: %w", err)
		}
		r.inForce(stdout)
	}
	if *only == "" || *only == "api" {
		if r.API, err = measureAPI(ctx, *quickly, stderr); err != nil {
			return fmt.Errorf("API: %w", err)
		}
		r.API.print(stdout)
	}
	if *only == "" || *only == "console" {
		if r.Lists, err = measureLists(ctx, *quickly, stderr); err != nil {
			return fmt.Errorf("lists: %w", err)
		}
		r.Lists.print(stdout)
	}
	missed := r.goals(stdout)
	if !*strict {
		missed = nil
	}
	if *file != "" {
		return errors.Join(r.write(*file), missed)
	}
	return missed
}
