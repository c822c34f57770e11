package ec2api_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// asked stands for the hosts: it answers questions with what a test told it.
type asked struct {
	mu          sync.Mutex
	connections map[vpc.HostID][]inquiry.Connection
	verdicts    map[string]ruleset.Verdict // by host, interface and direction
	silent      map[vpc.HostID]string
}

func newAsked() *asked {
	return &asked{
		connections: map[vpc.HostID][]inquiry.Connection{}, verdicts: map[string]ruleset.Verdict{}, silent: map[vpc.HostID]string{},
	}
}

// learn reads an event of a session; testdata/README says what they are.
func (a *asked) learn(what string, words []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	host := vpc.HostID(words[0])
	if what == "silent" {
		a.silent[host] = strings.Join(words[1:], " ")
		return nil
	}
	var failed error
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 32)
		failed = errors.Join(failed, err)
		return uint32(n)
	}
	direction := func(s string) ruleset.Direction {
		if s == ruleset.Egress.String() {
			return ruleset.Egress
		}
		return ruleset.Ingress
	}
	if what == "verdict" {
		v := ruleset.Verdict{Rule: number(words[5])}
		for _, action := range []ruleset.Action{ruleset.Allow, ruleset.Observe} {
			if action.String() == words[3] {
				v.Action = action
			}
		}
		var err error
		v.Reason, err = ruleset.ParseReason(words[4])
		a.verdicts[strings.Join(words[:3], " ")] = v
		return errors.Join(failed, err)
	}
	protocol, err := vpc.ParseProtocol(words[2])
	if err != nil {
		return err
	}
	local, err := netip.ParseAddrPort(words[3])
	if err != nil {
		return err
	}
	remote, err := netip.ParseAddrPort(words[4])
	if err != nil {
		return err
	}
	c := inquiry.Connection{
		Flow: inquiry.Flow{
			ENI: vpc.InterfaceID(words[1]), Protocol: uint8(protocol), Local: local.Addr(), LocalPort: local.Port(),
			Remote: remote.Addr(), RemotePort: remote.Port(), First: direction(words[5]),
		},
		Rule: number(words[7]), Revision: int64(number(words[8])), Age: time.Hour, Idle: 90 * time.Second,
		Packets: [2]uint64{10, 20}, Bytes: [2]uint64{1000, 2000},
	}
	c.Observed = c.Rule == 0
	for _, s := range inquiry.States() {
		if s.String() == words[6] {
			c.State = s
		}
	}
	if reason, err := ruleset.ParseReason(words[9]); err == nil {
		c.Today.Reason = reason
	} else {
		c.Today = ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule, Rule: number(words[9])}
	}
	a.connections[host] = append(a.connections[host], c)
	return failed
}

// Ask implements ec2api.Hosts.
func (a *asked) Ask(ctx context.Context, host vpc.HostID, q inquiry.Question) (out inquiry.Answer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := errors.Join(q.Check(), ctx.Err()); err != nil {
		return out, err
	}
	if why := a.silent[host]; why != "" {
		return out, errors.New(why)
	}
	switch {
	case q.Connections != nil:
		slices.SortFunc(a.connections[host], func(x, y inquiry.Connection) int { return x.Compare(y.Flow) })
		for _, c := range a.connections[host] {
			if slices.Contains(q.Connections.ENIs, c.ENI) && q.Connections.After.Compare(c.Flow) < 0 && q.Connections.Match(&c) {
				out.Connections = append(out.Connections, c)
			}
		}
		out.More = len(out.Connections) > q.Connections.Limit
		out.Connections = out.Connections[:min(len(out.Connections), q.Connections.Limit)]
	case q.Cut != nil:
		out.Cut = map[vpc.InterfaceID]int{}
		a.connections[host] = slices.DeleteFunc(a.connections[host], func(c inquiry.Connection) bool {
			cut := slices.Contains(q.Cut.ENIs, c.ENI) && q.Cut.Match(&c)
			if cut {
				out.Cut[c.ENI]++
			}
			return cut
		})
	case q.Probe != nil:
		v, ok := a.verdicts[fmt.Sprintf("%s %s %s", host, q.Probe.ENI, q.Probe.Direction)]
		if !ok {
			return out, errors.New("no device carries it")
		}
		out.Verdict = v
	}
	return out, nil
}
