package main

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func TestExplained(t *testing.T) {
	gate := func(allowed bool, observes time.Duration) *wire.ReachabilityGate {
		g := &wire.ReachabilityGate{Allowed: &allowed}
		if observes != 0 {
			g.ObservesUntil = new(time.Now().Add(observes))
		}
		return g
	}
	const no, observed = "the packet does not get there", "the rules refuse the packet: it passes only because of an observation"
	for name, tt := range map[string]struct {
		out  wire.ExplainReachabilityResult
		want string // empty: it passes
	}{
		"allowed":         {wire.ExplainReachabilityResult{Allowed: new(true), Ingress: gate(true, 0)}, ""},
		"refused":         {wire.ExplainReachabilityResult{Ingress: gate(false, 0)}, no},
		"observed":        {wire.ExplainReachabilityResult{Egress: gate(true, 0), Ingress: gate(false, time.Hour)}, observed},
		"one observes":    {wire.ExplainReachabilityResult{Egress: gate(false, 0), Ingress: gate(false, time.Hour)}, no},
		"no way":          {wire.ExplainReachabilityResult{Explanations: []wire.Explanation{{}}}, no},
		"in the way, too": {wire.ExplainReachabilityResult{Ingress: gate(false, time.Hour), Explanations: []wire.Explanation{{}}}, no},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := explained(&tt.out); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("explained: got %q, want %q", got, tt.want)
			}
		})
	}
}
