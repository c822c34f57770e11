package ec2api

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) reachabilityActions() { handle(a, wire.ExplainReachability, explainReachability) }

func explainReachability(c *call, in *wire.ExplainReachabilityRequest) (*wire.ExplainReachabilityResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	q, err := s.CheckReachability(vpc.NewReachability{
		Source: wire.Value(in.Source), Destination: wire.Value(in.Destination), Protocol: wire.Value(in.Protocol),
		Port: in.Port, ICMPType: in.IcmpType, ICMPCode: in.IcmpCode,
	})
	if err != nil {
		return nil, err
	}
	t := reachability.Follow(s, q)
	out := &wire.ExplainReachabilityResult{Allowed: new(t.Allowed()), Revision: new(s.Revision())}
	if t.Packet.Src.IsValid() {
		out.SourceAddress, out.DestinationAddress = new(t.Packet.Src.String()), new(t.Packet.Dst.String())
	}
	for _, e := range t.Explanations {
		out.Explanations = append(out.Explanations, explanation(s, e))
	}
	for _, g := range t.Gates() {
		w := c.reachabilityGate(s, g)
		if wire.Value(in.Confirm) {
			w.Confirmation = c.confirm(s, g, t.Packet)
		}
		if g.Direction == ruleset.Egress {
			out.Egress = w
		} else {
			out.Ingress = w
		}
	}
	return out, nil
}

func (c *call) reachabilityGate(s *vpc.State, g *reachability.Gate) *wire.ReachabilityGate {
	w := &wire.ReachabilityGate{
		Allowed: new(g.Action == ruleset.Allow), Direction: new(g.Direction.String()),
		NetworkInterfaceId: text(g.Interface.ID), Reason: new(g.Reason.String()),
	}
	if b := g.Interface.Binding; b != nil {
		w.HostId = text(b.Host)
	}
	if a := g.Interface.Attachment; a != nil {
		w.InstanceId = text(a.Instance)
	}
	if until := s.ObservesUntil(g.Interface); until.After(c.env.Now) {
		w.ObservesUntil = &until
	}
	for _, r := range g.Rules {
		if group := s.SecurityGroup(r.Group); group != nil {
			rule := r.Rule
			if i := slices.IndexFunc(group.Rules, func(whole vpc.Rule) bool { return whole.ID == rule.ID }); i >= 0 {
				rule = group.Rules[i] // with its description and tags
			}
			w.Rules = append(w.Rules, securityGroupRule(s, vpc.GroupRule{Group: group, Rule: rule}))
		}
	}
	if m := g.Missing; m != nil {
		if group := s.SecurityGroup(m.Group); group != nil {
			missing := securityGroupRule(s, vpc.GroupRule{Group: group, Rule: m.Rule})
			missing.SecurityGroupRuleArn = nil // there is none yet
			w.MissingRule = &missing
		}
	}
	return w
}

// confirm asks the interface's own program.
func (c *call) confirm(s *vpc.State, g *reachability.Gate, p ruleset.Packet) *wire.ReachabilityConfirmation {
	b := g.Interface.Binding
	if b == nil {
		return &wire.ReachabilityConfirmation{Message: new("No device carries the interface.")}
	}
	ctx, cancel := context.WithTimeout(c.ctx, askingTime)
	defer cancel()
	a, err := c.Hosts.Ask(ctx, b.Host, inquiry.Question{Probe: &inquiry.Probe{ENI: g.Interface.ID, Direction: g.Direction, Packet: p}})
	if err != nil {
		return &wire.ReachabilityConfirmation{Message: new(sentence(err.Error()))}
	}
	have, _, _ := c.Enforcement.InForce(b.Host)
	reason := a.Verdict.Reason
	if reason == ruleset.ReasonICMPError { // no rule allows it, nor a connection that it would quote
		reason = ruleset.ReasonNoRule
	}
	// Where the interface observes, the rules refuse and the packet passes.
	agrees := reason == g.Reason && a.Verdict.Rule == g.Rule && (a.Verdict.Action == ruleset.Allow) == (g.Action == ruleset.Allow)
	w := &wire.ReachabilityConfirmation{
		Action: new(a.Verdict.Action.String()), Agrees: &agrees, Reason: new(a.Verdict.Reason.String()), RevisionInForce: &have,
	}
	if n := a.Verdict.Rule; n != 0 {
		w.RuleNumber = new(int64(n))
		if gr, ok := s.RulesByNumber(map[uint32]bool{n: true})[n]; ok {
			w.SecurityGroupRuleId = text(gr.Rule.ID)
		}
	}
	switch {
	case !agrees && have < s.Revision():
		w.Message = new("The host does not have the newest revision in force yet.")
	case !agrees:
		w.Message = new("The program says something else than the groups.")
	case a.Verdict.Action == ruleset.Observe:
		w.Message = new("No rule allows the packet; it passes because the interface observes.")
	}
	return w
}
