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
	Machine    facts
	Quick      bool
	Sizes      sizes
	Candidates []string  // the first is what the others are compared with
	Generator  []float64 // ns per frame of the generator alone
	Rows       []*row
	InForce    []latency
}

// row is one kind of traffic.
type row struct {
	Name, Unit   string
	HigherBetter bool
	Values       map[string][]float64 // by candidate, one per repetition
}

func (r *report) add(x row) {
	x.Values = map[string][]float64{}
	r.Rows = append(r.Rows, &x)
}

func (r *report) measured(name, candidate string, v float64) {
	for _, x := range r.Rows {
		if x.Name == name {
			x.Values[candidate] = append(x.Values[candidate], v)
			return
		}
	}
	panic("no such row: " + name)
}

// median of values, which stay as they are; NaN never.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile q of values by nearest rank below, interpolated.
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

// traffic prints the rows: medians, minimum and maximum, and each median as a multiple of that of the first
// candidate.
func (r *report) traffic(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n\t%s\t\n", strings.Join(r.Candidates, "\t"))
	for _, x := range r.Rows {
		fmt.Fprintf(t, "%s, %s", x.Name, x.Unit)
		for _, c := range r.Candidates {
			fmt.Fprintf(t, "\t%s", number(median(x.Values[c])))
		}
		fmt.Fprint(t, "\t\n  min – max")
		for _, c := range r.Candidates {
			fmt.Fprintf(t, "\t%s – %s", number(slices.Min(x.Values[c])), number(slices.Max(x.Values[c])))
		}
		fmt.Fprint(t, "\t\n  ratio to none")
		base := median(x.Values[r.Candidates[0]])
		for _, c := range r.Candidates {
			fmt.Fprintf(t, "\t%.2f", median(x.Values[c])/base)
		}
		fmt.Fprint(t, "\t\n")
	}
	if len(r.Generator) > 0 {
		fmt.Fprintf(t, "generator alone, ns (in each packet row)\t%s\t\n  min – max\t%s – %s\t\n",
			number(median(r.Generator)), number(slices.Min(r.Generator)), number(slices.Max(r.Generator)))
	}
	_ = t.Flush()
	fmt.Fprintf(w, "Medians of %d repetitions, candidates by turns; in each, what is allowed arrived, what is not did not.\n", r.Sizes.Repetitions)
}

// number has three digits that count.
func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
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
