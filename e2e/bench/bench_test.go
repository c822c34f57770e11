package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/agent/machinetest"
)

func TestMain(m *testing.M) { machinetest.Main(m.Run) }

// TestChecksSee proves that no cell can pass with a filter that does not filter as it says.
func TestChecksSee(t *testing.T) {
	dropAll := func(w *world) (func() error, error) {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.SchedCLS, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, License: "Apache-2.0",
		})
		if err != nil {
			return nil, err
		}
		var l link.Link
		err = w.host.do(func() error {
			l, err = link.AttachTCX(link.TCXOptions{Interface: w.deviceB, Program: program, Attach: ebpf.AttachTCXEgress})
			return err
		})
		if err != nil {
			return nil, err
		}
		return func() error { return errors.Join(l.Close(), program.Close()) }, nil
	}
	ipv4Alone := func(w *world) (func() error, error) {
		return nothingToUndo, w.feed(fmt.Sprintf(`table ip bench {
			chain forward { type filter hook forward priority filter; th dport { %d, %d } drop; }
		}`, closedPort, unsendablePort), "nft", "-f", "-")
	}
	type tried struct {
		filter
		ok bool
	}
	g, err := newGenerator(0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	for _, l := range []layout{bridged, routed} {
		list := []tried{
			{filter{name: "none", apply: noFilter}, true},
			{nftFilter(60), true},
			{nftLinear(60), true},
			{sallyportFilter(60, 0), true},
			{filter{name: "one that lets all through", filters: true, apply: noFilter}, false},
			{filter{name: "one that drops all", filters: true, apply: dropAll}, false},
			{filter{name: "one that nobody knows of", apply: dropAll}, false},
			{filter{name: "one that filters IPv4 alone", filters: true, netfilter: true, apply: ipv4Alone}, false},
		}
		if l == bridged {
			list = append(list, tried{iptablesFilter(60, 1), true}, tried{iptablesFilter(60, 2), true})
		}
		for _, tt := range list {
			t.Run(fmt.Sprintf("%s %s", l, tt.name), func(t *testing.T) {
				w, err := newWorld(l, tt.filter, g)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := w.close(); err != nil {
						t.Error(err)
					}
				}()
				if err := w.liveFrames(true); err != nil {
					t.Fatal(err)
				}
				if err := w.check(); (err == nil) != tt.ok || err != nil && !errors.Is(err, errWrong) {
					t.Errorf("frames: %v, want it to pass: %v", err, tt.ok)
				}
				if err := w.liveFrames(false); err != nil {
					t.Fatal(err)
				}
				if tt.filters { // what drops all passes this one: frames showed it
					if err := w.deniedTCP(); (err == nil) != (tt.name != "one that lets all through") {
						t.Errorf("connection: %v", err)
					}
				}
			})
		}
	}
}

// TestRun measures too little to say anything, in all layouts, with all candidates and kinds of traffic.
func TestRun(t *testing.T) {
	s := sizes{Repetitions: 1, Frames: 2048, NewFlows: 1024, Flood: 10_000, Sockets: 20 * time.Millisecond, RoundTrips: 50}
	r := &report{Sizes: s}
	if err := errors.Join(measurePackets(t.Context(), s, r, io.Discard), measureSockets(t.Context(), s, r, io.Discard)); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	r.packets(&page)
	r.sockets(&page)
	for _, f := range candidates(bridged) {
		if !strings.Contains(page.String(), "\n"+f.name+"\t") {
			t.Errorf("found no line of %s in\n%s", f.name, page.String())
		}
	}
	for _, x := range append(r.Packets, r.Sockets...) {
		for _, row := range x.Rows {
			for _, c := range x.Candidates {
				if v := median(row.Values[c]); v <= 0 || math.IsNaN(v) {
					t.Errorf("%s, %s, %s: got %v", x.Layout, row, c, v)
				}
			}
		}
	}
	for _, want := range []string{"bridged, IPv6: established packets, share of the unfiltered rate", "routed, IPv4: established packet, added cost ÷ nftables'"} {
		if !slices.ContainsFunc(r.Goals, func(g goal) bool { return g.Name == want }) {
			t.Errorf("found no goal %q in %v", want, r.Goals)
		}
	}
	dir := t.TempDir()
	if err := errors.Join(r.plots(dir), r.write(filepath.Join(dir, "bench.json"))); err != nil {
		t.Fatal(err)
	}
	if svgs, err := filepath.Glob(filepath.Join(dir, "bench-*.svg")); err != nil || len(svgs) != len(r.packetCharts()) || len(svgs) == 0 {
		t.Errorf("got plots %v, %v", svgs, err)
	}
}

// TestRules holds what the candidates get against what the table says.
func TestRules(t *testing.T) {
	for _, n := range []int{60, 960} {
		v, inbound := view(n), map[family]int{}
		for _, g := range v.ENIs[eniB].Groups {
			ofGroup := map[family]int{}
			for _, r := range v.Groups[g].Rules {
				if r.Egress {
					continue
				}
				if r.Peer.Group != "" || r.Peer.CIDR.Addr().Is4() {
					ofGroup[ipv4]++
				}
				if r.Peer.Group != "" || r.Peer.CIDR.Addr().Is6() {
					ofGroup[ipv6]++
				}
			}
			for f, count := range ofGroup {
				if count > mostRules {
					t.Errorf("%d rules: %s has %d of %s", n, g, count, f)
				}
				inbound[f] += count
			}
		}
		for _, f := range []family{ipv4, ipv6} {
			if got := len(rules(n, f)); got != n {
				t.Errorf("rules(%d, %s) has %d", n, f, got)
			}
			if inbound[f] != n {
				t.Errorf("%d rules: B has %d inbound of %s", n, inbound[f], f)
			}
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{3}, 0.99, 3},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{0, 100}, 0.99, 99},
	} {
		before := slices.Clone(tt.values)
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.values, tt.q, got, tt.want)
		}
		if !slices.Equal(before, tt.values) {
			t.Errorf("quantile changed its values to %v", tt.values)
		}
	}
}
