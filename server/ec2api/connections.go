package ec2api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) connectionActions() {
	handle(a, wire.DescribeConnections, describeConnections)
	handle(a, wire.CutConnections, cutConnections)
}

const (
	askedAtOnce     = 16               // hosts
	askingTime      = 20 * time.Second // for all hosts of one call
	inForceTime     = 5 * time.Second  // for a host to get what was written before a cut
	interfacesOfCut = 64               // of one question: each waits for packets that are on their way
)

// selected is what a call says of connections.
type selected struct {
	filters             []wire.Filter
	enis, groups, rules []string
	refused, observed   *bool
}

// on is what one host is asked about.
type on struct {
	host vpc.HostID
	enis []vpc.InterfaceID
}

// read returns what is selected, and the hosts that it concerns, in the order of their names.
func (w selected) read(s *vpc.State) (sel inquiry.Selection, hosts []on, err error) {
	sel = inquiry.Selection{Refused: w.refused, Observed: w.observed}
	if err := sel.AddFilters(filters(w.filters)); err != nil {
		return sel, nil, err
	}
	enis, rules, err := s.ConnectionsOf(vpc.ConnectionQuery{
		IDs: ids[vpc.InterfaceID](w.enis), Groups: ids[vpc.GroupID](w.groups), Rules: ids[vpc.RuleID](w.rules),
	})
	switch {
	case err != nil:
		return sel, nil, err
	case len(rules) > 0 && len(sel.Rules) > 0:
		return sel, nil, vpc.Errorf(vpc.CodeInvalidParameterCombination,
			"The parameter securityGroupRuleId cannot be used with the filter rule-number")
	case len(rules) > inquiry.MaxValues:
		return sel, nil, vpc.Errorf(vpc.CodeInvalidParameterValue, "The maximum number of security group rule IDs on a single call is %d", inquiry.MaxValues)
	}
	sel.Rules = append(sel.Rules, rules...)
	for _, e := range enis {
		if n := len(hosts); n == 0 || hosts[n-1].host != e.Binding.Host {
			hosts = append(hosts, on{host: e.Binding.Host})
		}
		last := &hosts[len(hosts)-1]
		last.enis = append(last.enis, e.ID)
	}
	return sel, hosts, nil
}

// answered is what one host said.
type answered struct {
	on
	inquiry.Answer
	err error
}

// ask asks several hosts at once and returns their answers in the same order.
func (c *call) ask(ctx context.Context, hosts []on, question func(context.Context, on) (inquiry.Answer, error)) []answered {
	out := make([]answered, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() {
			out[i].on = h
			if out[i].err = ctx.Err(); out[i].err == nil {
				out[i].Answer, out[i].err = question(ctx, h)
			}
		})
	}
	all.Wait()
	return out
}

// unanswered is a host that gave no answer, and why.
func (a answered) unanswered() wire.UnansweredHost {
	message := sentence(a.err.Error())
	if errors.Is(a.err, context.DeadlineExceeded) {
		message = "There was no time left to ask the host."
	}
	w := wire.UnansweredHost{HostId: text(a.host), Message: &message}
	for _, e := range a.enis {
		w.NetworkInterfaceIds = append(w.NetworkInterfaceIds, string(e))
	}
	return w
}

// sentence makes one of an error's text.
func sentence(s string) string {
	r := []rune(s)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return strings.TrimSuffix(string(r), ".") + "."
}

func describeConnections(c *call, in *wire.DescribeConnectionsRequest) (*wire.DescribeConnectionsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	sel, hosts, err := selected{
		in.Filters, in.NetworkInterfaceIds, in.SecurityGroupIds, in.SecurityGroupRuleIds, in.RefusedByRules, in.Observed,
	}.read(s)
	if err != nil {
		return nil, err
	}
	limit := inquiry.MaxConnections
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	host, after, err := connectionsToken(wire.Value(in.NextToken))
	if err != nil {
		return nil, err
	}
	for len(hosts) > 0 && hosts[0].host < host {
		hosts = hosts[1:]
	}
	out := &wire.DescribeConnectionsResult{Complete: new(true)}
	var found []inquiry.Connection
	ctx, cancel := context.WithTimeout(c.ctx, askingTime)
	defer cancel()
	for len(hosts) > 0 && out.NextToken == nil {
		n := min(askedAtOnce, len(hosts))
		answers := c.ask(ctx, hosts[:n], func(ctx context.Context, h on) (inquiry.Answer, error) {
			q := &inquiry.Connections{Selection: sel, Limit: limit - len(found)}
			if q.ENIs = h.enis; h.host == host {
				q.After = after
			}
			return c.Hosts.Ask(ctx, h.host, inquiry.Question{Connections: q})
		})
		hosts = hosts[n:]
		for i, a := range answers {
			if a.err != nil {
				out.UnansweredHosts = append(out.UnansweredHosts, a.unanswered())
				*out.Complete = false
				continue
			}
			room := limit - len(found)
			cut := len(a.Connections) > room
			found = append(found, a.Connections[:min(len(a.Connections), room)]...)
			behind := cut || a.More || len(found) == limit && (i+1 < len(answers) || len(hosts) > 0)
			if behind && len(found) > 0 {
				out.NextToken = new(newConnectionsToken(a.host, found[len(found)-1].Flow))
				break
			}
		}
	}
	out.Connections = connections(s, found)
	return out, nil
}

// The place of a page's last connection, as text: host and flow.
const connectionsTokenFormat = "%s %s %d %s %d %s %d %d"

func newConnectionsToken(host vpc.HostID, f inquiry.Flow) string {
	return vpc.NewToken("connection", fmt.Sprintf(connectionsTokenFormat,
		host, f.ENI, f.Protocol, f.Local, f.LocalPort, f.Remote, f.RemotePort, f.First))
}

func connectionsToken(token string) (host vpc.HostID, f inquiry.Flow, err error) {
	if token == "" {
		return "", f, nil
	}
	text, ok := vpc.ParseToken("connection", token)
	words := strings.Split(text, " ")
	if !ok || len(words) != strings.Count(connectionsTokenFormat, "%") {
		return "", f, vpc.Errorf(vpc.CodeInvalidNextToken, "The token '%s' is invalid", token)
	}
	number := func(s string, bits int) uint64 {
		n, nErr := strconv.ParseUint(s, 10, bits)
		err = cmp.Or(err, nErr)
		return n
	}
	address := func(s string) netip.Addr {
		a, aErr := netip.ParseAddr(s)
		err = cmp.Or(err, aErr)
		return a
	}
	f = inquiry.Flow{
		ENI: vpc.InterfaceID(words[1]), Protocol: uint8(number(words[2], 8)),
		Local: address(words[3]), LocalPort: uint16(number(words[4], 16)),
		Remote: address(words[5]), RemotePort: uint16(number(words[6], 16)), First: ruleset.Direction(number(words[7], 1)),
	}
	if err != nil { // the token is one of ours
		return "", f, fmt.Errorf("read the token of a page of connections: %w", err)
	}
	return vpc.HostID(words[0]), f, nil
}

// connections shows what hosts said, with what the State knows of it.
func connections(s *vpc.State, found []inquiry.Connection) []wire.Connection {
	numbers := map[uint32]bool{}
	for _, f := range found {
		numbers[f.Rule], numbers[f.Today.Rule] = true, true
	}
	delete(numbers, 0)
	rules := s.RulesByNumber(numbers)
	out := make([]wire.Connection, len(found))
	for i := range found {
		f := &found[i]
		w := wire.Connection{
			AgeSeconds: seconds(f.Age), IdleSeconds: seconds(f.Idle), AllowedByRules: new(!f.Refused()),
			BytesEgress: count(f.Bytes[ruleset.Egress]), BytesIngress: count(f.Bytes[ruleset.Ingress]),
			PacketsEgress: count(f.Packets[ruleset.Egress]), PacketsIngress: count(f.Packets[ruleset.Ingress]),
			Direction: new(f.First.String()), NetworkInterfaceId: text(f.ENI), Observed: &f.Observed,
			LocalAddress: new(f.Local.String()), RemoteAddress: new(f.Remote.String()),
			Protocol: new(vpc.Protocol(f.Protocol).String()), Revision: &f.Revision, State: new(f.State.String()),
		}
		switch vpc.Protocol(f.Protocol) {
		case vpc.TCP, vpc.UDP:
			w.LocalPort, w.RemotePort = new(int32(f.LocalPort)), new(int32(f.RemotePort))
		case vpc.ICMP, vpc.ICMPv6:
			w.IcmpId, w.IcmpType = new(int32(f.LocalPort)), new(int32(f.RemotePort))
		}
		if f.Rule != 0 {
			w.RuleNumber = new(int64(f.Rule))
		}
		if gr, ok := rules[f.Rule]; ok {
			w.SecurityGroupRuleId, w.SecurityGroupId = text(gr.Rule.ID), text(gr.Group.ID)
		}
		if gr, ok := rules[f.Today.Rule]; ok {
			w.TodaysSecurityGroupRuleId = text(gr.Rule.ID)
		}
		if e := s.NetworkInterface(f.ENI); e != nil {
			if e.Binding != nil {
				w.HostId = text(e.Binding.Host)
			}
			if e.Attachment != nil {
				w.InstanceId = text(e.Attachment.Instance)
			}
			if remote := reachability.Holder(s, e.VPC, f.Remote); remote != nil {
				w.RemoteNetworkInterfaceId = text(remote.ID)
			}
		}
		out[i] = w
	}
	return out
}

func seconds(d time.Duration) *int64 { return new(int64(d / time.Second)) }

// cutConnections ends connections on each host that has everything in force that was written before the
// call: what was revoked a moment ago would otherwise let them begin again.
func cutConnections(c *call, in *wire.CutConnectionsRequest) (*wire.CutConnectionsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	sel, hosts, err := selected{
		in.Filters, in.NetworkInterfaceIds, in.SecurityGroupIds, in.SecurityGroupRuleIds, in.RefusedByRules, in.Observed,
	}.read(s)
	if err != nil {
		return nil, err
	}
	if len(in.NetworkInterfaceIds)+len(in.SecurityGroupIds)+len(sel.Rules) == 0 {
		return nil, vpc.Errorf(vpc.CodeMissingParameter,
			"The request must contain the parameter networkInterfaceId, securityGroupId or securityGroupRuleId, or the filter rule-number")
	}
	out := &wire.CutConnectionsResult{Complete: new(true), Count: new(int64(0))}
	if c.dryRun {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, askingTime)
	defer cancel()
	for len(hosts) > 0 {
		n := min(askedAtOnce, len(hosts))
		for _, a := range c.ask(ctx, hosts[:n], func(ctx context.Context, h on) (inquiry.Answer, error) {
			return c.cut(ctx, h, sel, s.Revision())
		}) {
			if a.err != nil {
				out.UnansweredHosts = append(out.UnansweredHosts, a.unanswered())
				*out.Complete = false
			}
			for _, eni := range a.enis {
				if n := a.Cut[eni]; n > 0 {
					out.Cuts = append(out.Cuts, wire.ConnectionCut{Count: new(int64(n)), HostId: text(a.host), NetworkInterfaceId: text(eni)})
					*out.Count += int64(n)
				}
			}
		}
		hosts = hosts[n:]
	}
	return out, nil
}

// cut ends connections on one host. With an error it returns what it knows to have been cut.
func (c *call) cut(ctx context.Context, h on, sel inquiry.Selection, revision int64) (inquiry.Answer, error) {
	all := inquiry.Answer{Cut: map[vpc.InterfaceID]int{}}
	if err := c.waitInForce(ctx, h.host, revision); err != nil {
		return all, err
	}
	for enis := h.enis; len(enis) > 0; enis = enis[min(interfacesOfCut, len(enis)):] {
		sel.ENIs = enis[:min(interfacesOfCut, len(enis))]
		a, err := c.Hosts.Ask(ctx, h.host, inquiry.Question{Cut: &sel})
		if err != nil {
			return all, err
		}
		for eni, n := range a.Cut {
			all.Cut[eni] += n
		}
	}
	return all, nil
}

// waitInForce waits until a host has a revision in force.
func (c *call) waitInForce(ctx context.Context, host vpc.HostID, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, inForceTime)
	defer cancel()
	for {
		have, connected, problem := c.Enforcement.InForce(host)
		switch {
		case !connected:
			return errors.New("the host is not connected to this server")
		case have >= revision:
			return nil
		case problem != "":
			return fmt.Errorf("the host does not have the newest revision in force, and nothing was cut: %s", problem)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("the host has not confirmed the newest revision yet, and nothing was cut")
		}
	}
}
