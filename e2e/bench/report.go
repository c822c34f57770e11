package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is everything that a run measured.
type report struct {
	Machine   facts
	Quick     bool
	Sizes     sizes
	Tables    []*table
	Generator []float64 // ns per frame of the generator alone
	InForce   []latency
	Datapath  *datapathFigures `json:",omitempty"`
	API       *apiFigures      `json:",omitempty"`
	Lists     *listFigures     `json:",omitempty"`
	Goals     []goal           // add with goal
}

// table is one layout's rows.
type table struct {
	Layout     layout
	Candidates []string // the first is what the others are compared with
	Rows       []*row
}

// row is one kind of traffic.
type row struct {
	Name, Unit string
	Values     map[string][]float64 // by candidate, one per repetition
}

// add returns the table's own copies of rows.
func (t *table) add(rows []row) (added []*row) {
	for _, x := range rows {
		x.Values = map[string][]float64{}
		added = append(added, &x)
	}
	t.Rows = append(t.Rows, added...)
	return added
}

// median of values, which stay as they are.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile q of values, interpolated between neighbours; 0 of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func (r *report) header(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s, kernel %s, %d CPUs (%s), BPF JIT %s, nf_conntrack_max %s, load average %.2f at the start\n",
		m.Time.Format("2006-01-02 15:04 MST"), m.Kernel, m.CPUs, m.CPU, m.JIT, m.Conntack, m.Load)
	if m.Load > 0.7 {
		fmt.Fprintln(w, "The machine was busy: take the ratios with a grain of salt, and nothing else.")
	}
	if r.Quick {
		fmt.Fprintln(w, "A quick run: too rough to quote.")
	}
}

// traffic prints a table per layout: medians, minimum and maximum, what that is more than the first
// candidate's, and the ratio to it.
func (r *report) traffic(w io.Writer) {
	for _, t := range r.Tables {
		t.print(w)
	}
	if len(r.Generator) > 0 {
		fmt.Fprintf(w, "The generator alone, which is in each packet row: %s ns (%s – %s).\n",
			number(median(r.Generator)), number(slices.Min(r.Generator)), number(slices.Max(r.Generator)))
	}
	fmt.Fprintf(w, "Medians (min – max) of %d repetitions, candidates by turns. In each, what is allowed arrived and what is not did not.\n",
		r.Sizes.Repetitions)
}

func (t *table) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\t%s\t\n", t.Layout, strings.Join(t.Candidates, "\t"))
	for _, x := range t.Rows {
		base := median(x.Values[t.Candidates[0]])
		fmt.Fprintf(w, "%s, %s", x.Name, x.Unit)
		for _, c := range t.Candidates {
			fmt.Fprintf(w, "\t%s", number(median(x.Values[c])))
		}
		fmt.Fprint(w, "\t\n  min – max")
		for _, c := range t.Candidates {
			fmt.Fprintf(w, "\t%s – %s", number(slices.Min(x.Values[c])), number(slices.Max(x.Values[c])))
		}
		if x.Unit == "ns" {
			fmt.Fprint(w, "\t\n  more than none")
			for _, c := range t.Candidates {
				fmt.Fprintf(w, "\t%+.0f", median(x.Values[c])-base)
			}
		}
		fmt.Fprint(w, "\t\n  ratio to none")
		for _, c := range t.Candidates {
			fmt.Fprintf(w, "\t%.2f", median(x.Values[c])/base)
		}
		fmt.Fprint(w, "\t\n")
	}
	_ = w.Flush()
}

// number is v with at least three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func (r *report) inForce(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nuntil a rule is in force\tp50 ms\tp99 ms\tmin – max\tsamples\t\n")
	for _, l := range r.InForce {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f – %.2f\t%d\t\n", l.Name,
			median(l.Milliseconds), quantile(l.Milliseconds, 0.99), slices.Min(l.Milliseconds), slices.Max(l.Milliseconds), len(l.Milliseconds))
	}
	_ = t.Flush()
}

// write stores the report as JSON.
func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
