package datapath_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestAnswersAtOnce: two answers to one question, on two CPUs at the same moment. The first moves the
// connection to the established ones; the second finds it all the same.
func TestAnswersAtOnce(t *testing.T) {
	// Room for all of them in the buckets.
	h := newHost(t, datapath.Options{MaxHalfOpen: 1 << 16})
	h.attach(eniA)
	h.apply(view(rule(true, vpc.UDP, 53, 53, "0.0.0.0/0")))
	const rounds = 30_000
	question := func(i int64) frame { return udp(own4, remote4, uint16(1024+i), 53) }
	var round, ready, lost atomic.Int64
	var asked, done [2]chan struct{}
	for i := range 2 {
		asked[i], done[i] = make(chan struct{}), make(chan struct{})
		go h.do(func() {
			for range asked[i] {
				answer := question(round.Load()).reply().bytes()
				for ready.Add(1); ready.Load() < 2; {
					runtime.Gosched() // where there is one CPU
				}
				if v, err := h.d.Run(ruleset.Ingress, h.devices[eniA], answer); err != nil || v.Reason != ruleset.ReasonTracked {
					lost.Add(1)
				}
				done[i] <- struct{}{}
			}
		})
	}
	for i := range int64(rounds) {
		h.want(eniA, ruleset.Egress, question(i), ruleset.ReasonRule)
		round.Store(i)
		ready.Store(0)
		for i := range 2 {
			asked[i] <- struct{}{}
		}
		for i := range 2 {
			<-done[i]
		}
	}
	for i := range 2 {
		close(asked[i])
	}
	if n := lost.Load(); n != 0 {
		t.Errorf("%d of %d answers were dropped beside another one", n, rounds)
	}
}
