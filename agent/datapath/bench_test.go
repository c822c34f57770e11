package datapath_test

import (
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// BenchmarkPacket is the cost of one packet in one program, with the harness: read_clock is next to
// nothing, and what any program costs here.
func BenchmarkPacket(b *testing.B) {
	h := newHost(b, datapath.Options{})
	h.attach(eniA)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	f := tcp(remote4, own4, 1000, 80, syn)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	f.flags = ack
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
	for _, tt := range []struct {
		name    string
		program string
		frame   frame
	}{
		{"harness", "read_clock", f},
		{"established in", "to_guest", f},
		{"established out", "from_guest", f.reply()},
		{"denied", "to_guest", tcp(remote4, own4, 1000, 81, ack)},
		{"spoofed", "from_guest", tcp(peer4, remote4, 1000, 81, ack)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			h.do(func() {
				ns, err := h.d.Repeat(tt.program, h.devices[eniA], tt.frame.bytes(), b.N)
				must(b, err)
				b.ReportMetric(float64(ns), "ns/packet")
				b.ReportMetric(0, "ns/op")
			})
		})
	}
}
