package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// command runs one of sallyport's own commands on dev's data directory, wants an exit code, and decodes
// its JSON into out, if not nil.
func (d *dev) command(t *testing.T, code int, out any, args ...string) (stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, sallyport, append(args, "--data-dir", d.dir, "--output", "json")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, said.String())
	}
	if out != nil && len(stdout) > 0 {
		if err := json.Unmarshal(stdout, out); err != nil {
			t.Fatalf("%s: %v in %s", strings.Join(args, " "), err, stdout)
		}
	}
	return said.String()
}

func (d *dev) connections(t *testing.T, args ...string) []wire.Connection {
	t.Helper()
	var out wire.DescribeConnectionsResult
	d.command(t, 0, &out, append([]string{"connections"}, args...)...)
	return out.Connections
}

// explain asks with the programs' word, and wants all of them to agree.
func (d *dev) explain(t *testing.T, allowed bool, args ...string) (out wire.ExplainReachabilityResult) {
	t.Helper()
	code := 1
	if allowed {
		code = 0
	}
	d.command(t, code, &out, append([]string{"explain-reachability", "--confirm"}, args...)...)
	if wire.Value(out.Allowed) != allowed {
		t.Errorf("explain %v: allowed is %t, want %t", args, wire.Value(out.Allowed), allowed)
	}
	for _, g := range []*wire.ReachabilityGate{out.Egress, out.Ingress} {
		if g == nil {
			continue
		}
		if c := g.Confirmation; c == nil || !wire.Value(c.Agrees) {
			t.Errorf("explain %v: %s of %s is not confirmed: %+v", args, wire.Value(g.Direction), wire.Value(g.NetworkInterfaceId), c)
		}
	}
	return out
}

// TestExplaining asks why a connection does not come about, adds what is missing, takes it away again,
// finds the connection that lives on, and ends it.
func TestExplaining(t *testing.T) {
	d := startDev(t, t.TempDir())
	t.Run("ipv4", func(t *testing.T) { explaining(t, ipv4World(t, d)) })
	t.Run("ipv6", func(t *testing.T) { explaining(t, ipv6World(t, d)) })
	t.Run("two interfaces", func(t *testing.T) { explainingBoth(t, ipv4World(t, d)) })
}

func explaining(t *testing.T, w *world) {
	d := w.d
	group := w.group(t, "explained")
	everything := []string{"IpProtocol=-1,IpRanges=[{CidrIp=0.0.0.0/0}]"}
	if w.v6 {
		everything = append(everything, "IpProtocol=-1,Ipv6Ranges=[{CidrIpv6=::/0}]")
	}
	w.rules(t, "revoke", "egress", group, everything...) // else the guest's own packets would begin it anew
	g := w.run(t, group)
	server := g.accept(t, 22)
	from, ssh := w.outsideAddr().String(), w.permission("tcp", 22, 22, w.outsideAddr().String())

	asked := []string{from, string(g.place), "tcp", "22"}
	before := d.explain(t, false, asked...)
	missing := before.Ingress.MissingRule
	if missing == nil || wire.Value(missing.GroupId) != group || wire.Value(missing.FromPort) != 22 ||
		wire.Value(missing.CidrIpv4)+wire.Value(missing.CidrIpv6) != netip.PrefixFrom(w.outsideAddr(), w.outsideAddr().BitLen()).String() {
		t.Fatalf("missing is %+v, want tcp 22 from %s in %s", missing, from, group)
	}
	outside.expect(t, silence, g.addr, 22, "nothing allows it")

	w.rules(t, "authorize", "ingress", group, ssh)
	rule := d.explain(t, true, asked...).Ingress.Rules[0].SecurityGroupRuleId
	if none := d.connections(t, g.eni, "--state", "established"); len(none) != 0 {
		t.Errorf("before any connection there are %+v", none)
	}
	client, err := outside.dial(g.addr, 22)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted := <-server
	defer accepted.Close()
	mustPass(t, client, accepted)
	mustPass(t, accepted, client)

	port := client.LocalAddr().(*net.TCPAddr).Port
	mine := func(args ...string) wire.Connection {
		t.Helper()
		cs := d.connections(t, append([]string{g.eni, "--remote-port", fmt.Sprint(port), "--protocol", "tcp", "--remote-cidr", from}, args...)...)
		if len(cs) != 1 {
			t.Fatalf("connections %v: got %+v, want one", args, cs)
		}
		return cs[0]
	}
	c := mine()
	if wire.Value(c.State) != "established" || wire.Value(c.Direction) != "ingress" || wire.Value(c.SecurityGroupRuleId) != wire.Value(rule) ||
		wire.Value(c.SecurityGroupId) != group || !wire.Value(c.AllowedByRules) || wire.Value(c.LocalAddress) != g.addr.String() || wire.Value(c.LocalPort) != 22 ||
		wire.Value(c.RemoteAddress) != from || wire.Value(c.InstanceId) != string(g.place) || wire.Value(c.PacketsIngress) < 3 || wire.Value(c.BytesEgress) < 60 {
		t.Errorf("got %+v", c)
	}
	if refused := d.connections(t, g.eni, "--refused"); len(refused) != 0 {
		t.Errorf("refused today: got %+v, want none", refused)
	}

	w.rules(t, "revoke", "ingress", group, ssh)
	mustPass(t, client, accepted) // tracked
	mustPass(t, accepted, client)
	d.explain(t, false, asked...)
	if c := mine("--refused"); wire.Value(c.AllowedByRules) || c.SecurityGroupRuleId != nil || wire.Value(c.RuleNumber) == 0 {
		t.Errorf("after the revocation: got %+v", c)
	}
	if said := d.command(t, 0, nil, "cut-connections", "--group", group, "--refused", "--dry-run"); !strings.Contains(said, "would have succeeded") {
		t.Errorf("dry run said %q", said)
	}
	mustPass(t, client, accepted)

	var cut wire.CutConnectionsResult
	d.command(t, 0, &cut, "cut-connections", "--group", group, "--refused")
	if wire.Value(cut.Count) != 1 || len(cut.Cuts) != 1 || wire.Value(cut.Cuts[0].NetworkInterfaceId) != g.eni || !wire.Value(cut.Complete) {
		t.Errorf("cut %+v, want one connection of %s", cut, g.eni)
	}
	mustNotPass(t, client, accepted)
	mustNotPass(t, accepted, client)
	if left := d.connections(t, g.eni, "--remote-port", fmt.Sprint(port)); len(left) != 0 {
		t.Errorf("after the cut: %+v", left)
	}
	// A rule that comes back lets the stream go on, from its middle: TCP sends again what was lost.
	w.rules(t, "authorize", "ingress", group, ssh)
	eventually(t, "the stream goes on", func() error {
		_ = accepted.SetReadDeadline(time.Now().Add(time.Second))
		_, err := accepted.Read(make([]byte, 64))
		return err
	})
}

// explainingBoth is about a connection that has an entry at each end.
func explainingBoth(t *testing.T, w *world) {
	d := w.d
	clients, servers := w.group(t, "explained-clients"), w.group(t, "explained-servers")
	open := w.permission("tcp", 22, 22, clients)
	w.rules(t, "authorize", "ingress", servers, open)
	a, b := w.run(t, clients), w.run(t, servers)
	server := b.accept(t, 22)
	out := d.explain(t, true, a.eni, b.eni, "tcp", "22")
	if len(out.Egress.Rules) != 1 || len(out.Ingress.Rules) != 1 {
		t.Errorf("got %+v and %+v, want a rule at each gate", out.Egress, out.Ingress)
	}
	client, err := a.dial(b.addr, 22)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted := <-server
	defer accepted.Close()
	mustPass(t, client, accepted)
	if both := d.connections(t, a.eni, b.eni, "--protocol", "tcp"); len(both) != 2 || wire.Value(both[0].RemoteNetworkInterfaceId) == "" {
		t.Errorf("got %+v, want an entry at each end that names the other", both)
	}
	w.rules(t, "revoke", "ingress", servers, open)
	refused := d.connections(t, a.eni, b.eni, "--refused")
	if len(refused) != 1 || wire.Value(refused[0].NetworkInterfaceId) != b.eni {
		t.Errorf("refused today: got %+v, want the entry of %s alone", refused, b.eni)
	}
	var cut wire.CutConnectionsResult
	d.command(t, 0, &cut, "cut", a.eni, b.eni, "--refused")
	if wire.Value(cut.Count) != 1 {
		t.Errorf("cut %+v, want one", cut)
	}
	mustNotPass(t, client, accepted)
	mustPass(t, accepted, client) // by rules of its own, at either end, and opens nothing
	mustNotPass(t, client, accepted)
	out = d.explain(t, false, a.eni, b.eni, "tcp", "22")
	if m := out.Ingress.MissingRule; m == nil || m.ReferencedGroupInfo == nil || wire.Value(m.ReferencedGroupInfo.GroupId) != clients {
		t.Errorf("missing is %+v, want a rule for %s", m, clients)
	}
}

// accept takes one TCP connection to a port in a place.
func (p place) accept(t *testing.T, port int) <-chan net.Conn {
	t.Helper()
	var l net.Listener
	if err := p.in(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		t.Fatalf("listen on port %d in %q: %v", port, p, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	return accepted
}

func mustPass(t *testing.T, from, to net.Conn) {
	t.Helper()
	if err := pass(from, to, limit); err != nil {
		t.Errorf("%s -> %s: %v", from.LocalAddr(), to.LocalAddr(), err)
	}
}

func mustNotPass(t *testing.T, from, to net.Conn) {
	t.Helper()
	if err := pass(from, to, patience); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s -> %s: got %v, want silence", from.LocalAddr(), to.LocalAddr(), err)
	}
}

// pass says a word at one end and waits for it at the other.
func pass(from, to net.Conn, wait time.Duration) error {
	const word = "word"
	if _, err := from.Write([]byte(word)); err != nil {
		return err
	}
	if err := to.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	buf := make([]byte, len(word))
	if _, err := to.Read(buf); err != nil {
		return err
	}
	if string(buf) != word {
		return fmt.Errorf("%q arrived", buf)
	}
	return nil
}
