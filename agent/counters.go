package agent

import (
	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/vpc"
)

// reportCounters tells the server what the datapath has counted.
func (a *Agent) reportCounters() error {
	counts, err := a.datapath.Counts()
	if err != nil {
		return err
	}
	rules, err := a.datapath.RuleCounts()
	if err != nil {
		return err
	}
	a.feed.ReportCounters(counters(counts, rules, a.datapath.OpenConnections(), a.datapath.RecentDrops()))
	return nil
}

// counters puts together what the feed says of each interface.
func counters(
	counts []datapath.Counts, rules []datapath.RuleCount, open map[vpc.InterfaceID]map[uint32]uint64, drops []datapath.DropSample,
) feed.Counters {
	all := feed.Counters{}
	change := func(id vpc.InterfaceID, f func(*feed.ENICounters)) {
		e := all[id]
		f(&e)
		all[id] = e
	}
	for _, c := range counts {
		change(c.ENI, func(e *feed.ENICounters) {
			e.Directions[c.Direction] = feed.DirectionCounters{Packets: c.Packets, Last: c.Last, Observed: c.Observed}
			e.LostEvents += c.LostEvents
		})
	}
	for _, r := range rules {
		change(r.ENI, func(e *feed.ENICounters) {
			if e.Rules == nil {
				e.Rules = map[uint32]feed.RuleCounter{}
			}
			e.Rules[r.Rule] = feed.RuleCounter{
				Packets: r.Packets, Bytes: r.Bytes, Connections: r.Connections, First: r.First, Last: r.Last,
			}
		})
	}
	for id, rules := range open {
		change(id, func(e *feed.ENICounters) { e.Open = rules })
	}
	for _, d := range drops {
		change(d.ENI, func(e *feed.ENICounters) {
			e.Drops = append(e.Drops, feed.DropSample{
				Direction: d.Direction, Reason: d.Reason, Observed: d.Observed, Protocol: d.Protocol,
				Local: d.Local, Remote: d.Remote, Port: d.Port, Count: d.Count, Last: d.Last,
			})
		})
	}
	return all
}
