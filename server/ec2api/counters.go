package ec2api

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) counterActions() {
	handle(a, wire.DescribeRuleCounters, describeRuleCounters)
	handle(a, wire.DescribeDrops, describeDrops)
}

// describeRuleCounters says what rules have let through: those that were named, or all of what was
// named, on the interfaces that a device carries. Nothing is left out because nothing hit it: that is
// what people look for.
func describeRuleCounters(
	c *call, in *wire.DescribeRuleCountersRequest,
) (*wire.DescribeRuleCountersResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	rules, next, err := s.CountedRules(vpc.CountedQuery{
		Rules:      ids[vpc.RuleID](in.SecurityGroupRuleIds),
		Groups:     ids[vpc.GroupID](in.GroupIds),
		Interfaces: ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Page:       page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeRuleCountersResult{NextToken: token(next)}
	seen := c.reports()
	for _, r := range rules {
		out.RuleCounters = append(out.RuleCounters, ruleCounter(r, seen))
	}
	return out, nil
}

func ruleCounter(r vpc.CountedRule, seen reports) wire.RuleCounter {
	var total feed.RuleCounter
	var open *uint64
	var oldest time.Time
	w := wire.RuleCounter{SecurityGroupRuleId: text(r.Rule.ID), GroupId: text(r.Group.ID), Direction: new("ingress")}
	if r.Rule.Egress {
		w.Direction = new("egress")
	}
	for _, e := range r.Interfaces {
		report := seen.of(e)
		n, hit := report.counters.Rules[r.Rule.Number]
		if _, shared := report.host[""].Rules[0]; shared && !hit && report.message == "" {
			report.message = "The host counts rules together for which it has no counter left; this may be one of them."
		}
		w.Interfaces = append(w.Interfaces, wire.RuleCounterInterface{
			NetworkInterfaceId: text(e.ID), HostId: report.id, Message: text(report.message),
			Packets: count(n.Packets), Bytes: count(n.Bytes), Connections: count(n.Connections),
			FirstHit: moment(n.First), LastHit: moment(n.Last), AsOf: moment(report.at),
		})
		if report.counters.Open != nil {
			now := report.counters.Open[r.Rule.Number]
			w.Interfaces[len(w.Interfaces)-1].ConnectionsNow = count(now)
			if open == nil {
				open = new(uint64)
			}
			*open += now
		}
		if !report.at.IsZero() && (oldest.IsZero() || report.at.Before(oldest)) {
			oldest = report.at
		}
		total.Packets += n.Packets
		total.Bytes += n.Bytes
		total.Connections += n.Connections
		if !n.First.IsZero() && (total.First.IsZero() || n.First.Before(total.First)) {
			total.First = n.First
		}
		if n.Last.After(total.Last) {
			total.Last = n.Last
		}
	}
	w.Packets, w.Bytes, w.Connections = count(total.Packets), count(total.Bytes), count(total.Connections)
	w.FirstHit, w.LastHit, w.AsOf = moment(total.First), moment(total.Last), moment(oldest)
	if open != nil {
		w.ConnectionsNow = count(*open)
	}
	return w
}

// describeDrops says what was dropped at interfaces: those that were named, or all that a device
// carries.
func describeDrops(c *call, in *wire.DescribeDropsRequest) (*wire.DescribeDropsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	_, shown, next, err := s.Enforced(vpc.EnforcementQuery{
		IDs:  ids[vpc.InterfaceID](in.NetworkInterfaceIds),
		Page: page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeDropsResult{NextToken: token(next)}
	seen := c.reports()
	for _, e := range shown {
		w := interfaceDrops(e, seen.of(e))
		if until := s.ObservesUntil(e); until.After(c.env.Now) {
			w.ObservesUntil = &until
		}
		out.InterfaceDrops = append(out.InterfaceDrops, w)
	}
	return out, nil
}

func interfaceDrops(e *vpc.NetworkInterface, r report) wire.InterfaceDrops {
	w := wire.InterfaceDrops{
		NetworkInterfaceId: text(e.ID), BoundState: new("unbound"), HostId: r.id, Message: text(r.message),
		UntoldEvents: count(r.counters.LostEvents),
	}
	if e.Binding != nil {
		w.BoundState = new("bound")
	}
	for d, counts := range r.counters.Directions {
		direction := ruleset.Direction(d).String()
		for _, reason := range slices.Sorted(maps.Keys(counts.Packets)) {
			if reason.Allows() || counts.Packets[reason] == 0 {
				continue
			}
			w.Drops = append(w.Drops, wire.Drop{
				Direction: &direction, Reason: new(reason.String()), Packets: count(counts.Packets[reason]), LastTime: moment(counts.Last[reason]),
			})
		}
		if counts.Observed != 0 {
			w.ObservedPackets = append(w.ObservedPackets, wire.ObservedPackets{Direction: &direction, Packets: count(counts.Observed)})
		}
	}
	for _, d := range r.counters.Drops {
		sample := wire.DropSample{
			Direction: new(d.Direction.String()), Reason: new(d.Reason.String()), Observed: &d.Observed,
			Count: count(d.Count), LastTime: moment(d.Last),
		}
		if d.Remote.IsValid() {
			sample.LocalAddress, sample.RemoteAddress = new(d.Local.String()), new(d.Remote.String())
			sample.Protocol = new(vpc.Protocol(d.Protocol).String())
		}
		if d.Port != 0 {
			sample.Port = new(int32(d.Port))
		}
		w.Samples = append(w.Samples, sample)
	}
	return w
}

// report is what a host last said of an interface, and why there is nothing, or not all.
type report struct {
	host     feed.Counters
	at       time.Time
	id       *string // of the host; nil: no device carries the interface
	counters feed.ENICounters
	message  string
}

// reports asks once for what each host said, for an answer about many interfaces.
type reports struct {
	c     *call
	hosts map[vpc.HostID]report
}

func (c *call) reports() reports { return reports{c, map[vpc.HostID]report{}} }

func (rs reports) of(e *vpc.NetworkInterface) report {
	if e.Binding == nil {
		return report{message: "No device carries the interface."}
	}
	r, known := rs.hosts[e.Binding.Host]
	if !known {
		_, connected, _ := rs.c.Enforcement.InForce(e.Binding.Host)
		r = report{id: text(e.Binding.Host)}
		r.host, r.at = rs.c.Enforcement.Counters(e.Binding.Host)
		switch {
		case !connected && r.host == nil:
			r.message = "The host is not connected. What it counts is not known here."
		case !connected:
			r.message = "The host is not connected. This is what it last said."
		}
		rs.hosts[e.Binding.Host] = r
	}
	counters, told := r.host[e.ID]
	if r.counters = counters; !told && r.message == "" {
		r.message = "The host has not said yet what it counts here."
	}
	return r
}

func count(n uint64) *int64 { return new(int64(n)) }
