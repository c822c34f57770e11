package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// timed adds what a step took to the latencies of its name.
func (r *microRun) timed(name string, step func() error) error {
	start := time.Now()
	err := step()
	r.f.Changes = addLatency(r.f.Changes, name, time.Since(start))
	return err
}

func printLatencies(w io.Writer, title string, list []latency) {
	fmt.Fprintf(w, "\n%s\tp50 ms\tp99 ms\tmin – max\tsamples\t\n", title)
	for _, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s – %s\t%d\t\n", l.Name, number(median(l.Milliseconds)), number(quantile(l.Milliseconds, 0.99)),
			number(slices.Min(l.Milliseconds)), number(slices.Max(l.Milliseconds)), len(l.Milliseconds))
	}
}

// The changes that goals are about.
const (
	switched = "960 rules put in force in the place of 960 others"
	listEdit = "edit of a list of 1,000 entries that 500 tables name: delta, compile, in force"
)

// changes is how long it takes to put others in force, by Apply: before it returns, packets are judged by
// the new ones. A former change is over when one begins.
func (r *microRun) changes() error {
	fmt.Fprintln(r.stderr, "datapath: changes")
	if err := r.switchTables(); err != nil {
		return fmt.Errorf("switch tables: %w", err)
	}
	if err := r.editList(); err != nil {
		return fmt.Errorf("edit a prefix list: %w", err)
	}
	return nil
}

func (r *microRun) switchTables() (err error) {
	var tables [2]ruleset.Tables
	for i := range tables {
		from := cidrRemotes(960)
		t := &ruleset.Table{Direction: ruleset.Ingress}
		for j, c := range from.cidrs(false) {
			t.CIDRs = append(t.CIDRs, ruleset.CIDRPorts{CIDR: c, Ports: allowedPorts(960*i + j + 1)})
		}
		tables[i] = tablesOf(t, nil)
	}
	l, err := newLone("changes", datapath.Options{}, tables[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for i := range 10 * r.sizes.Repetitions {
		if _, err := l.d.Sweep(); err != nil { // ends the last change
			return err
		}
		t := tables[(i+1)%2]
		t.Revision = int64(i + 2)
		if err := r.timed(switched, func() error { return l.d.Apply(t, nil) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *microRun) editList() (err error) {
	c, err := newCrowd("edits", datapath.Options{MaxConnections: 64, MaxHalfOpen: 64}, 500)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var compiler ruleset.Compiler
	if err := c.d.Apply(compiler.Compile(c.view)); err != nil {
		return err
	}
	entries := c.view.Lists[sharedList]
	for i := range 3 * r.sizes.Repetitions {
		if _, err := c.d.Sweep(); err != nil {
			return err
		}
		// One entry goes and another comes.
		edited := slices.Clone(entries)
		edited[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(i), 0}), 24)
		slices.SortFunc(edited, netip.Prefix.Compare)
		delta := ruleset.Delta{
			From: c.view.Revision, To: c.view.Revision + 1, Lists: map[vpc.PrefixListID][]netip.Prefix{sharedList: edited},
		}
		if err := r.timed(listEdit, func() (err error) {
			if c.view, err = c.view.Apply(delta); err != nil {
				return err
			}
			return c.d.Apply(compiler.Compile(c.view))
		}); err != nil {
			return err
		}
	}
	return nil
}
