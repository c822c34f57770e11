package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// report is everything that a run measured.
type report struct {
	Machine   facts
	Sizes     sizes
	Packets   []*table
	Sockets   []*table
	Generator []float64 // ns per frame of the generator alone
	SetUp     []float64 // ms per run of the generator, in no row
	Flood     floodFigures
	InForce   []latency
	Datapath  *datapathFigures `json:",omitempty"`
	Scale     *scaleFigures    `json:",omitempty"`
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
	Family     string `json:",omitempty"` // of packets: IPv4 or IPv6
	Name, Unit string
	Values     map[string][]float64 // by candidate, one per repetition
}

func (r row) String() string {
	if r.Family == "" {
		return r.Name
	}
	return r.Family + ", " + r.Name
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

// header says when and where this was measured.
func (r *report) header() string {
	m := r.Machine
	s := fmt.Sprintf("%s, kernel %s, %d CPUs (%s), BPF JIT %s, nf_conntrack_max %s, load average %.2f at the start.",
		m.Time.Format("2006-01-02 15:04 MST"), m.Kernel, m.CPUs, m.CPU, m.JIT, m.ConntrackMax, m.Load)
	if m.Load > 0.7 {
		s += " The machine was busy: take the ratios with a grain of salt, and nothing else."
	}
	if r.Sizes.Quick {
		s += " A quick run: too rough to quote."
	}
	return s + "\n"
}

// packets writes tables by layout and family, of a candidate per line, and what the generator costs.
func (r *report) packets(w io.Writer) {
	for _, t := range r.Packets {
		for _, f := range []family{ipv4, ipv6} {
			t.packets(w, f.String(), median(r.Generator))
		}
	}
	fmt.Fprintf(w, "ns per packet, medians of %d repetitions, candidates by turns: the whole path, what it is more than none's, "+
		"and the packets per second as a share of none's, without the generator. It alone takes %s ns per packet (%s – %s), which the "+
		"first two figures hold; it uses its frames again, and what the kernel takes to set them up for a run, %s ms, is in none of them. "+
		"In each, what is allowed arrived and what is not did not.\n",
		r.Sizes.Repetitions, number(median(r.Generator)), number(slices.Min(r.Generator)), number(slices.Max(r.Generator)), number(median(r.SetUp)))
	fmt.Fprintf(w, "\nA flood of %d new flows through Sallyport took %d of %d established ones with it.\n", r.Flood.New, r.Flood.Lost, r.Flood.Established)
}

func (t *table) packets(w io.Writer, family string, generator float64) {
	var rows []*row
	for _, x := range t.Rows {
		if x.Family == family {
			rows = append(rows, x)
		}
	}
	t.grid(w, fmt.Sprintf("%s, %s", t.Layout, family), rows, func(x *row, candidate string) string {
		base, v := median(x.Values[t.Candidates[0]]), median(x.Values[candidate])
		if candidate == t.Candidates[0] {
			return number(v)
		}
		return fmt.Sprintf("%s %+.0f, %.0f %%", number(v), v-base, 100*x.share(base, v, generator))
	})
	t.grid(w, fmt.Sprintf("%s, %s%s", t.Layout, family, minMax), rows, (*row).spread)
}

// share is the packets per second at v ns as a share of those at base ns, both without what the
// generator takes, where it made them.
func (x *row) share(base, v, generator float64) float64 {
	if x.Name == fromGuest {
		generator = 0
	}
	return (base - generator) / (v - generator)
}

func (x *row) spread(candidate string) string {
	return fmt.Sprintf("%s – %s", number(slices.Min(x.Values[candidate])), number(slices.Max(x.Values[candidate])))
}

func (r *report) sockets(w io.Writer) {
	for _, t := range r.Sockets {
		t.grid(w, string(t.Layout), t.Rows, func(x *row, candidate string) string {
			return fmt.Sprintf("%s (%s)", number(median(x.Values[candidate])), x.spread(candidate))
		})
	}
	fmt.Fprintf(w, "Medians (min – max) of %d repetitions, candidates by turns.\n", r.Sizes.Repetitions)
}

// grid writes a table with a line per candidate and a column per row.
func (t *table) grid(w io.Writer, title string, rows []*row, cell func(x *row, candidate string) string) {
	fmt.Fprintf(w, "%s\t", title)
	for _, x := range rows {
		if x.Unit == "ns" {
			fmt.Fprintf(w, "%s\t", x.Name)
		} else {
			fmt.Fprintf(w, "%s, %s\t", x.Name, x.Unit)
		}
	}
	for _, c := range t.Candidates {
		fmt.Fprintf(w, "\n%s\t", c)
		for _, x := range rows {
			fmt.Fprintf(w, "%s\t", cell(x, c))
		}
	}
	fmt.Fprint(w, "\n\n")
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
	fmt.Fprint(w, "until a rule is in force\tp50 ms\tp99 ms\tmin – max\tsamples\t\n")
	for _, l := range r.InForce {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f – %.2f\t%d\t\n", l.Name,
			median(l.Milliseconds), quantile(l.Milliseconds, 0.99), slices.Min(l.Milliseconds), slices.Max(l.Milliseconds), len(l.Milliseconds))
	}
}

// write stores the report as JSON.
func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
