package datapath_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/ruleset/scenariotest"
	"github.com/sallyport/sallyport/vpc"
)

const scenarios = "../../ruleset/testdata"

// engine plays scenarios on the BPF programs: each packet goes through from_guest of its sender and
// to_guest of its receiver.
type engine struct {
	*host
	macs map[vpc.InterfaceID]vpc.MAC
}

func (e *engine) Name() string   { return "bpf" }
func (e *engine) Verdicts() bool { return true }

func (e *engine) Load(w *scenariotest.World) (err error) {
	e.do(func() {
		for _, a := range e.d.Attached() {
			if err == nil {
				err = e.d.Detach(a.Ifindex)
			}
		}
	})
	if err != nil {
		return err
	}
	e.view, e.macs = nil, map[vpc.InterfaceID]vpc.MAC{}
	return e.Change(w, scenariotest.Change{})
}

func (e *engine) Change(w *scenariotest.World, c scenariotest.Change) (err error) {
	for _, eni := range w.ENIs {
		e.macs[eni.ID] = eni.MAC
		if e.devices[eni.ID] == 0 {
			e.devices[eni.ID] = e.device(fmt.Sprintf("s%d", len(e.devices)))
		}
		e.do(func() {
			if err == nil {
				err = e.d.Attach(e.devices[eni.ID], string(eni.ID), eni.ID)
			}
		})
	}
	if err != nil {
		return err
	}
	v, err := e.view.Apply(ruleset.Diff(e.view, ruleset.Resolve(w.State(), scenariotest.Host)))
	if err != nil {
		return err
	}
	e.view = v
	before := e.d.Writes()
	if err := e.d.Apply(e.compiler.Compile(v)); err != nil {
		return err
	}
	if n := e.d.Writes() - before; c.Describe != nil && n != 0 {
		return fmt.Errorf("a description makes %d writes", n)
	}
	return nil
}

func (e *engine) Start(f scenariotest.Flow) (scenariotest.Outcome, error) {
	o, err := e.pass(f, f.From, f.To, f.Packet, syn)
	if err != nil || f.Name != "" {
		return o, err
	}
	// A probe. With TCP, UDP and ICMP no later packet can belong to what it opened.
	switch vpc.Protocol(f.Packet.Protocol) {
	case vpc.TCP, vpc.UDP, vpc.ICMP, vpc.ICMPv6:
		return o, nil
	}
	if o.Egress != nil && o.Egress.Reason == ruleset.ReasonRule {
		err = e.d.Forget(f.From.ENI, ruleset.Egress, f.Packet)
	}
	if o.Ingress != nil && o.Ingress.Reason == ruleset.ReasonRule {
		err = errors.Join(err, e.d.Forget(f.To.ENI, ruleset.Ingress, f.Packet))
	}
	return o, err
}

func (e *engine) Send(f scenariotest.Flow, reply bool) (scenariotest.Outcome, error) {
	if !reply {
		return e.pass(f, f.From, f.To, f.Packet, ack)
	}
	p, err := f.Reply()
	if err != nil {
		return scenariotest.Outcome{}, err
	}
	return e.pass(f, f.To, f.From, p, syn|ack)
}

func (e *engine) Fail(f scenariotest.Flow) (scenariotest.Outcome, error) {
	return e.pass(f, f.To, f.From, f.Error(), 0)
}

func (e *engine) pass(f scenariotest.Flow, from, to scenariotest.End, p ruleset.Packet, flags uint8) (o scenariotest.Outcome, err error) {
	src, dst := routerMAC, routerMAC
	if from.ENI != "" {
		src = e.macs[from.ENI]
	}
	if to.ENI != "" {
		dst = e.macs[to.ENI]
	}
	packet := packetFrame(p, src, dst, f.ID)
	if p.Protocol == unix.IPPROTO_TCP {
		packet.flags = flags
	}
	if p == f.Error() {
		body := f.ErrorBody()
		packet.srcPort, packet.records, packet.data = 0, binary.BigEndian.Uint16(body[2:]), body[4:]
	}
	gate := func(eni vpc.InterfaceID, d ruleset.Direction) *ruleset.Verdict {
		v := e.run(eni, d, packet.bytes())
		return &v
	}
	if from.ENI != "" {
		if o.Egress = gate(from.ENI, ruleset.Egress); o.Egress.Action == ruleset.Drop {
			return o, nil
		}
	}
	if to.ENI != "" {
		if o.Ingress = gate(to.ENI, ruleset.Ingress); o.Ingress.Action == ruleset.Drop {
			return o, nil
		}
	}
	o.Passed = true
	return o, nil
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	e := &engine{host: newHost(t, datapath.Options{})}
	results := scenariotest.Run(t, scenarios, e)
	if err := scenariotest.Print(os.Stdout, results); err != nil {
		t.Error(err)
	}
}
