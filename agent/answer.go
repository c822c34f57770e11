package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// inForce is what this host enforces. It is immutable.
type inForce struct {
	tables  ruleset.Tables
	members ruleset.Members
}

// judgedAtOnce is how many connections are gathered before members and lists are looked at for them.
const judgedAtOnce = 50_000

// answer answers a question of the server, beside whatever else the agent does.
func (a *Agent) answer(ctx context.Context, q inquiry.Question) (out inquiry.Answer, err error) {
	now := a.inForce.Load()
	if now == nil {
		return out, errors.New("the agent has nothing in force yet that it heard of from a server")
	}
	switch {
	case q.Connections != nil:
		out.Connections, out.More, err = a.connections(ctx, now, q.Connections)
	case q.Cut != nil:
		out.Cut, err = a.cut(ctx, now, q.Cut)
	case q.Probe != nil:
		out.Verdict, err = a.datapath.Probe(q.Probe.ENI, q.Probe.Direction, q.Probe.Packet)
	default:
		err = errors.New("the question is empty")
	}
	return out, err
}

// connections returns the first of what is asked for, and whether there is more.
func (a *Agent) connections(ctx context.Context, now *inForce, q *inquiry.Connections) ([]inquiry.Connection, bool, error) {
	enough := judgedAtOnce
	if q.Refused == nil { // then all that are gathered belong to the answer
		enough = q.Limit + 1
	}
	var page []inquiry.Connection
	behind := slices.DeleteFunc(interfaces(q.ENIs), func(eni vpc.InterfaceID) bool { return eni < q.After.ENI })
	for len(behind) > 0 && len(page) <= q.Limit {
		some, rest, err := a.gather(ctx, behind, &q.Selection, q.After, enough)
		if err != nil {
			return nil, false, err
		}
		if q.Refused == nil && len(page)+len(some) > q.Limit {
			some = some[:q.Limit+1-len(page)]
		}
		judge := judgeOf(now, some)
		for i := range some {
			some[i].Today = judge.Judge(some[i].ENI, some[i].First, some[i].Packet())
		}
		page = append(page, slices.DeleteFunc(some, func(c inquiry.Connection) bool { return !q.Match(&c) })...)
		behind = rest
	}
	more := len(page) > q.Limit
	return page[:min(len(page), q.Limit)], more, nil
}

// interfaces returns a sorted copy, each once.
func interfaces(enis []vpc.InterfaceID) []vpc.InterfaceID {
	enis = slices.Clone(enis)
	slices.Sort(enis)
	return slices.Compact(enis)
}

// gather returns the connections of the first interfaces that match, whatever the rules in force say of
// them, until there are enough: sorted, each once, behind after; and the interfaces that it did not get to.
func (a *Agent) gather(
	ctx context.Context, enis []vpc.InterfaceID, s *inquiry.Selection, after inquiry.Flow, enough int,
) (all []inquiry.Connection, rest []vpc.InterfaceID, err error) {
	unjudged := *s
	unjudged.Refused = nil
	for len(enis) > 0 && len(all) < enough {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		list, err := a.datapath.Connections(enis[0])
		if err != nil && !errors.Is(err, datapath.ErrNotAttached) { // it may have gone a moment ago
			return nil, nil, err
		}
		moment := time.Now()
		for _, d := range list {
			if c := connection(enis[0], &d, moment); after.Compare(c.Flow) < 0 && unjudged.Match(&c) {
				all = append(all, c)
			}
		}
		enis = enis[1:]
	}
	slices.SortStableFunc(all, func(x, y inquiry.Connection) int { return x.Compare(y.Flow) })
	// One that became established meanwhile is there twice.
	all = slices.CompactFunc(all, func(x, y inquiry.Connection) bool { return x.Compare(y.Flow) == 0 })
	return all, enis, nil
}

func judgeOf(now *inForce, cs []inquiry.Connection) *ruleset.Judge {
	remotes := make([]netip.Addr, len(cs))
	for i := range cs {
		remotes[i] = cs[i].Remote
	}
	return ruleset.NewJudge(now.tables, now.members, remotes)
}

func connection(eni vpc.InterfaceID, d *datapath.Connection, now time.Time) inquiry.Connection {
	c := inquiry.Connection{
		Flow: inquiry.Flow{
			ENI: eni, Protocol: d.Protocol, Local: d.Local, Remote: d.Remote, LocalPort: d.LocalPort, RemotePort: d.RemotePort,
		},
		State: inquiry.HalfOpen, Observed: d.Observed, Rule: d.Rule, Revision: d.Revision,
		Age: now.Sub(d.Created), Idle: now.Sub(d.Seen), Packets: d.Packets, Bytes: d.Bytes,
	}
	if d.ByGuest {
		c.First = ruleset.Egress
	}
	switch {
	case d.Untracked:
		c.State = inquiry.Untracked
	case d.Closing:
		c.State = inquiry.Closing
	case d.Established:
		c.State = inquiry.Established
	}
	return c
}

// cut ends connections and returns how many, by interface.
func (a *Agent) cut(ctx context.Context, now *inForce, s *inquiry.Selection) (map[vpc.InterfaceID]int, error) {
	out := map[vpc.InterfaceID]int{}
	behind := interfaces(s.ENIs)
	for len(behind) > 0 {
		enis, rest := behind, behind[:0]
		judge := judgeOf(now, nil)
		if s.Refused != nil {
			some, left, err := a.gather(ctx, behind, s, inquiry.Flow{}, judgedAtOnce)
			if err != nil {
				return nil, err
			}
			judge, enis, rest = judgeOf(now, some), behind[:len(behind)-len(left)], left
		}
		for _, eni := range enis {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n, err := a.datapath.Cut(eni, func(d datapath.Connection) bool {
				c := connection(eni, &d, time.Time{})
				if s.Refused != nil {
					if !judge.Knows(c.Remote) { // it began since: the rules in force let it
						return false
					}
					c.Today = judge.Judge(eni, c.First, c.Packet())
				}
				return s.Match(&c)
			})
			if err != nil && !errors.Is(err, datapath.ErrNotAttached) {
				return nil, fmt.Errorf("cut: %w", err)
			}
			if n > 0 {
				out[eni] = n
			}
		}
		behind = rest
	}
	a.log.Info("connections cut", "enis", len(out))
	return out, nil
}
