package e2e_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// TestObserve: who hit which rule, what was dropped, and rules that are tried without dropping, with
// packets of a lab guest.
func TestObserve(t *testing.T) {
	d := startDev(t, t.TempDir())
	o := &observer{client: newClient(t, d), d: d, w: ipv4World(t, d)}
	o.group = o.w.group(t, "web")
	o.web = d.query(t, "SecurityGroupRules[0].SecurityGroupRuleId", "authorize-security-group-ingress", "--group-id", o.group,
		"--ip-permissions", o.w.permission("tcp", 80, 80, anyone))
	o.never = d.query(t, "SecurityGroupRules[0].SecurityGroupRuleId", "authorize-security-group-ingress", "--group-id", o.group,
		"--ip-permissions", o.w.permission("tcp", 9999, 9999, anyone))
	o.guest = o.w.run(t, o.group)
	for _, port := range []int{80, 81} {
		o.serve(t, port)
	}
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"a rule counts what it let through", o.hits},
		{"a drop is named", o.drop},
		{"counts survive the agent", o.agentDies},
		{"what would be dropped passes and is listed", o.observes},
		{"what passed ends with the observation", o.ends},
		{"an observation ends by itself", o.expires},
		{"a group observes", o.groupObserves},
	} {
		if !t.Run(step.name, step.test) {
			t.FailNow() // what follows stands on it
		}
	}
}

// observer is a guest of a group that lets in TCP port 80, and 9999, which nobody tries.
type observer struct {
	*client
	guest
	d                 *dev
	w                 *world
	group, web, never string
}

// rule returns what a rule counted on the guest's interface.
func (o *observer) rule(id string) (wire.RuleCounterInterface, error) {
	out, err := further(context.Background(), o.client, wire.DescribeRuleCountersCall, &wire.DescribeRuleCountersRequest{
		SecurityGroupRuleIds: []string{id}, NetworkInterfaceIds: []string{o.eni},
	})
	if err != nil {
		return wire.RuleCounterInterface{}, err
	}
	if len(out.RuleCounters) != 1 || len(out.RuleCounters[0].Interfaces) != 1 {
		return wire.RuleCounterInterface{}, fmt.Errorf("%d rules, want one, on one interface", len(out.RuleCounters))
	}
	return out.RuleCounters[0].Interfaces[0], nil
}

// counts waits until a rule has opened so many connections on the guest's interface.
func (o *observer) counts(t *testing.T, id string, connections int64) (c wire.RuleCounterInterface) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s let in %d connections", id, connections), func() (err error) {
		if c, err = o.rule(id); err == nil && wire.Value(c.Connections) != connections {
			err = fmt.Errorf("it counts %d connections, %d packets: %s", wire.Value(c.Connections), wire.Value(c.Packets), wire.Value(c.Message))
		}
		return err
	})
	return c
}

func (o *observer) hits(t *testing.T) {
	outside.expect(t, answers, o.addr, 80, "its group lets in 80")
	c := o.counts(t, o.web, 1)
	if n := wire.Value(c.Packets); n < 6 { // a handshake, data and its echo, the end
		t.Errorf("the rule counts %d packets, want those of a whole connection", n)
	}
	if n := wire.Value(c.Bytes); n < 6*40 {
		t.Errorf("the rule counts %d bytes of %d packets", n, wire.Value(c.Packets))
	}
	if c.FirstHit == nil || c.LastHit == nil || time.Since(*c.FirstHit) > time.Minute || c.LastHit.Before(*c.FirstHit) {
		t.Errorf("the rule was hit from %v to %v, want just now", c.FirstHit, c.LastHit)
	}
	if c.AsOf == nil || time.Since(*c.AsOf) > time.Minute {
		t.Errorf("the host said so at %v, want just now", c.AsOf)
	}
	held, err := outside.dial(o.addr, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	now := func(want int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d connections are open by %s", want, o.web), func() error {
			c, err := o.rule(o.web)
			if err == nil && (c.ConnectionsNow == nil || *c.ConnectionsNow != want) {
				err = fmt.Errorf("connections now: %d", wire.Value(c.ConnectionsNow))
			}
			return err
		})
	}
	now(1) // the one before has ended
	held.Close()
	now(0)
	if never, err := o.rule(o.never); err != nil || never.Packets == nil || *never.Packets != 0 || never.LastHit != nil || never.Message != nil {
		t.Errorf("a rule that nothing hit: %+v, %v; want zeros", never, err)
	}
	code, out, stderr := command(t, sallyport, "rule-counters", "--unused", o.group, "--data-dir", o.d.dir)
	if code != 0 || !strings.Contains(out, o.never) || strings.Contains(out, o.web) {
		t.Errorf("sallyport rule-counters --unused: %d %s%s", code, out, stderr)
	}
}

// drops returns what was dropped at the guest's interface.
func (o *observer) drops() (wire.InterfaceDrops, error) {
	out, err := further(context.Background(), o.client, wire.DescribeDropsCall, &wire.DescribeDropsRequest{NetworkInterfaceIds: []string{o.eni}})
	if err != nil {
		return wire.InterfaceDrops{}, err
	}
	if len(out.InterfaceDrops) != 1 {
		return wire.InterfaceDrops{}, fmt.Errorf("%d interfaces", len(out.InterfaceDrops))
	}
	return out.InterfaceDrops[0], nil
}

// sampled waits until a sample from the outside to port 81 is listed.
func (o *observer) sampled(t *testing.T, observed bool) (d wire.InterfaceDrops) {
	t.Helper()
	eventually(t, "the packet to port 81 is listed", func() (err error) {
		if d, err = o.drops(); err != nil {
			return err
		}
		if !slices.ContainsFunc(d.Samples, func(s wire.DropSample) bool {
			return wire.Value(s.Direction) == "ingress" && wire.Value(s.Reason) == "no-rule" && wire.Value(s.Observed) == observed &&
				wire.Value(s.Protocol) == "tcp" && wire.Value(s.Port) == 81 &&
				wire.Value(s.RemoteAddress) == o.w.outsideAddr().String() && wire.Value(s.LocalAddress) == o.addr.String()
		}) {
			err = fmt.Errorf("samples are %d, drops %d", len(d.Samples), len(d.Drops))
		}
		return err
	})
	return d
}

func (o *observer) drop(t *testing.T) {
	outside.expect(t, silence, o.addr, 81, "its group does not let in 81")
	d := o.sampled(t, false)
	if !slices.ContainsFunc(d.Drops, func(d wire.Drop) bool {
		return wire.Value(d.Direction) == "ingress" && wire.Value(d.Reason) == "no-rule" && wire.Value(d.Packets) > 0 && d.LastTime != nil
	}) {
		t.Errorf("drops: %+v, want ingress for no-rule", d.Drops)
	}
	if d.ObservesUntil != nil || len(d.ObservedPackets) != 0 {
		t.Errorf("observes until %v: %+v", d.ObservesUntil, d.ObservedPackets)
	}
	code, out, stderr := command(t, sallyport, "drops", o.eni, "--data-dir", o.d.dir)
	if code != 0 || !strings.Contains(out, "no-rule") || !strings.Contains(out, o.w.outsideAddr().String()) {
		t.Errorf("sallyport drops: %d %s%s", code, out, stderr)
	}
}

func (o *observer) agentDies(t *testing.T) {
	old := o.d.child(t, "agent")
	must(t, syscall.Kill(old, syscall.SIGKILL))
	outside.expect(t, answers, o.addr, 80, "with the agent dead")
	c := o.counts(t, o.web, 3)
	if c.Message != nil {
		t.Errorf("message %q", *c.Message)
	}
	o.d.inForce(t)
}

// observe says how long the guest's interface is to observe, 0: no more.
func (o *observer) observe(t *testing.T, long time.Duration) {
	t.Helper()
	if _, err := further(t.Context(), o.client, wire.ModifyObservationCall, &wire.ModifyObservationRequest{
		NetworkInterfaceId: &o.eni, DurationSeconds: new(int64(long / time.Second)),
	}); err != nil {
		t.Fatal(err)
	}
	must(t, o.inForce(t.Context(), o.eni))
}

func (o *observer) observes(t *testing.T) {
	o.observe(t, time.Hour)
	outside.expect(t, answers, o.addr, 81, "it observes")
	d := o.sampled(t, true)
	if d.ObservesUntil == nil || time.Until(*d.ObservesUntil) < 50*time.Minute {
		t.Errorf("observes until %v, want for an hour", d.ObservesUntil)
	}
	if !slices.ContainsFunc(d.ObservedPackets, func(p wire.ObservedPackets) bool {
		return wire.Value(p.Direction) == "ingress" && wire.Value(p.Packets) > 0
	}) {
		t.Errorf("observed packets: %+v, want some of ingress", d.ObservedPackets)
	}
}

func (o *observer) ends(t *testing.T) {
	c := o.talk(t)
	o.observe(t, 0)
	o.silent(t, c)
	outside.expect(t, silence, o.addr, 81, "it observes no more")
	outside.expect(t, answers, o.addr, 80, "its group lets in 80")
	all, err := further(t.Context(), o.client, wire.DescribeObservationsCall, &wire.DescribeObservationsRequest{})
	if err != nil || len(all.Observations) != 0 {
		t.Errorf("observations: %+v, %v; want none", all, err)
	}
}

// talk opens a connection to port 81 that no rule allows.
func (o *observer) talk(t *testing.T) net.Conn {
	t.Helper()
	c, err := outside.dial(o.addr, 81)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	must(t, echo(c, "while it observes"))
	return c
}

func (o *observer) silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := echoFor(patience, c, "after"); err == nil {
		t.Error("a connection that no rule allows outlives the observation")
	}
}

// expires: nobody says that it ends, and no revision comes.
func (o *observer) expires(t *testing.T) {
	const long = 5 * time.Second
	o.observe(t, long)
	began := time.Now()
	c := o.talk(t)
	outside.comesTo(t, silence, o.addr, 81, "port 81 is closed again")
	if took := time.Since(began); took > long+20*time.Second {
		t.Errorf("it observed for %s, want %s", took, long)
	}
	o.silent(t, c)
}

func (o *observer) groupObserves(t *testing.T) {
	code, out, stderr := command(t, sallyport, "observe", "start", o.group, "--for", "10m", "--data-dir", o.d.dir)
	if code != 0 || !strings.Contains(out, o.group) {
		t.Fatalf("sallyport observe start: %d %s%s", code, out, stderr)
	}
	o.d.inForce(t)
	outside.expect(t, answers, o.addr, 81, "its group observes")
	code, _, stderr = command(t, sallyport, "observe", "stop", o.group, "--data-dir", o.d.dir)
	if code != 0 {
		t.Fatalf("sallyport observe stop: %d %s", code, stderr)
	}
	o.d.inForce(t)
	outside.expect(t, silence, o.addr, 81, "its group observes no more")
}
