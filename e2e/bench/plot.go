package main

import (
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// chart is panels of bars, two panels beside each other.
type chart struct {
	Title  string
	Note   string // what the bars are, and when they were measured
	Panels []panel
}

// panel is bars of one unit, on a scale of its own.
type panel struct {
	Title string
	Unit  string
	// Most is where the scale ends, and bars that are longer are cut; 0: at the longest.
	Most float64
	Bars []bar
}

// bar is a median with the least and the most that was measured.
type bar struct {
	Name             string
	Value, Low, High float64
	Ours             bool // stands out
}

// The measures of a chart, in pixels.
const (
	panelWidth  = 460
	namesWidth  = 170
	valuesWidth = 70
	barHeight   = 20
	titleHeight = 52
	panelHead   = 30
	margin      = 16
)

// svg draws the chart, with colours for readers of light and of dark pages, on a ground of its own: an
// image does not learn which of the two a page is that shows it.
func (c chart) svg() string {
	var body strings.Builder
	height := float64(titleHeight)
	for i := 0; i < len(c.Panels); i += 2 {
		row := c.Panels[i:min(i+2, len(c.Panels))]
		most := 0
		for j, p := range row {
			p.draw(&body, margin+float64(j)*panelWidth, height)
			most = max(most, len(p.Bars))
		}
		height += panelHead + float64(most)*barHeight + margin
	}
	width := 2*margin + panelWidth*min(2, max(1, len(c.Panels)))
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%.0[2]f" viewBox="0 0 %[1]d %.0[2]f" role="img" aria-label="%[3]s">
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.head { font-weight: 600 }
.note { fill: #59636e }
.ground { fill: #ffffff }
.bar { fill: #afb8c1 }
.ours { fill: #0969da }
.range { stroke: #59636e; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note { fill: #9198a1 }
.ground { fill: #0d1117 }
.bar { fill: #656c76 }
.ours { fill: #4493f8 }
.range { stroke: #b7bdc8 }
}
</style>
<rect class="ground" width="100%%" height="100%%" rx="6"/>
<text class="title" x="%[4]d" y="24">%[3]s</text>
<text class="note" x="%[4]d" y="42">%[5]s</text>
%[6]s</svg>
`, width, height, html.EscapeString(c.Title), margin, html.EscapeString(c.Note), body.String())
}

func (p panel) draw(w *strings.Builder, x, y float64) {
	most := p.Most
	if most == 0 {
		for _, b := range p.Bars {
			most = max(most, b.High, b.Value)
		}
	}
	const length = panelWidth - namesWidth - valuesWidth
	scale := func(v float64) float64 {
		if most == 0 {
			return 0
		}
		return length * min(max(v, 0), most) / most
	}
	fmt.Fprintf(w, `<text class="head" x="%.0f" y="%.0f">%s, %s</text>`+"\n", x, y+16, html.EscapeString(p.Title), html.EscapeString(p.Unit))
	for i, b := range p.Bars {
		top, left := y+panelHead+float64(i)*barHeight, x+namesWidth
		class, value := "bar", number(b.Value)
		if b.Ours {
			class = "ours"
		}
		if b.Value > most { // a cut bar ends in a gap
			value = "⋯ " + value
		}
		middle := top + barHeight/2 - 2
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left-6, middle+4, html.EscapeString(b.Name))
		fmt.Fprintf(w, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2"/>`, class, left, top, scale(b.Value), barHeight-5)
		if b.High > b.Low && b.Value <= most {
			fmt.Fprintf(w, `<line class="range" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left+scale(b.Low), left+scale(b.High), middle, middle)
		}
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f">%s</text>`+"\n", left+max(scale(b.Value), scale(min(b.High, most)))+6, middle+4, value)
	}
}

// plots writes what was measured as bench-*.svg.
func (r *report) plots(dir string) error {
	var errs []error
	for _, charts := range []map[string]chart{r.packetCharts(), r.datapathCharts()} {
		for name, c := range charts {
			errs = append(errs, os.WriteFile(filepath.Join(dir, "bench-"+name+".svg"), []byte(c.svg()), 0o644))
		}
	}
	return errors.Join(errs...)
}

// datapathCharts are a chart for each table of programs.
func (r *report) datapathCharts() map[string]chart {
	charts := map[string]chart{}
	if r.Datapath == nil {
		return charts
	}
	for _, t := range r.Datapath.Tables {
		c := chart{
			Title: "What a program costs: " + t.Name,
			Note:  "ns more than an empty program, median with minimum and maximum; " + r.when(),
		}
		for _, x := range t.Rows {
			p := panel{Title: x.Name, Unit: "ns"}
			for _, candidate := range t.Candidates {
				p.Bars = append(p.Bars, barOf(candidate, x.Values[candidate], 0))
			}
			c.Panels = append(c.Panels, p)
		}
		charts["program-"+strings.ReplaceAll(t.Name, " ", "-")] = c
	}
	return charts
}

// when is the day of the run, and how busy the machine was.
func (r *report) when() string {
	return fmt.Sprintf("%s, load average %.2f", r.Machine.Time.Format("2006-01-02"), r.Machine.Load)
}

// barOf shows values, less what is not the candidate's own.
func barOf(candidate string, values []float64, less float64) bar {
	return bar{
		Name: candidate, Value: median(values) - less, Low: quantile(values, 0) - less, High: quantile(values, 1) - less,
		Ours: strings.HasPrefix(candidate, "Sallyport"),
	}
}

// packetCharts are a chart for each few rows of packets.
func (r *report) packetCharts() map[string]chart {
	charts := map[string]chart{}
	note := fmt.Sprintf("ns per packet, median with minimum and maximum of %d repetitions, without the generator; %s", r.Sizes.Repetitions, r.when())
	for _, t := range r.Packets {
		for name, rows := range map[string][]string{
			"established": {establishedOne, establishedMany, fromGuest},
			"first":       {firstPacket},
			"denied":      {deniedSender, deniedOutside, deniedReceiver},
		} {
			c := chart{Title: fmt.Sprintf("What a packet costs, %s", t.Layout), Note: note}
			for _, row := range rows {
				for _, f := range []family{ipv4, ipv6} {
					c.Panels = append(c.Panels, t.panel(f, row, median(r.Generator)))
				}
			}
			charts[fmt.Sprintf("%s-%s", t.Layout, name)] = c
		}
	}
	return charts
}

func (t *table) panel(f family, name string, generator float64) panel {
	p := panel{Title: fmt.Sprintf("%s, %s", f, name), Unit: "ns"}
	for _, x := range t.Rows {
		if x.Family != f.String() || x.Name != name {
			continue
		}
		if x.Name == fromGuest {
			generator = 0
		}
		base := median(x.Values[unfiltered]) - generator
		for _, c := range t.Candidates {
			p.Bars = append(p.Bars, barOf(c, x.Values[c], generator))
		}
		// Some candidates cost fifty times as much as the others.
		for _, b := range p.Bars {
			if b.Value <= 8*base {
				p.Most = max(p.Most, b.Value, b.High)
			}
		}
	}
	return p
}
