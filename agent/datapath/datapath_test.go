package datapath_test

import (
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

func TestFirst(t *testing.T) {
	h := newHost(t, datapath.Options{Attach: datapath.TCX})
	h.attach(eniA)
	f := tcp(remote4, own4, 5000, 80, syn)
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonNoTable)
	h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
	h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
	h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 5000, 80, syn), ruleset.ReasonNoRule)
}
