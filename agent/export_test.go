package agent

import (
	"context"
	"log/slog"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
)

// Lock is lock, for tests.
var Lock = lock

// Answering answers questions for an agent that has these in force.
func Answering(d *datapath.Datapath, t ruleset.Tables, m ruleset.Members) func(context.Context, inquiry.Question) (inquiry.Answer, error) {
	a := &Agent{datapath: d, log: slog.New(slog.DiscardHandler)}
	a.inForce.Store(&inForce{t, m})
	return a.answer
}
