package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/agent/datapath/streamtest"
)

// Where the packets of TestNoGap go: ports open to the sender's address, open to its groups, never let
// in, never let out; and those of connections whose rule is gone.
const (
	gapByCIDR, gapByGroup = 20000, 30000
	gapShutIn, gapShutOut = 7000, 8000
	gapPorts              = 10000
	gapShutPorts          = 1000
	gapTracked            = 9
	gapTCP                = 5432
)

// TestNoGap: while rules, groups and members change as fast as the server can, and while the agent is
// killed and comes back, traffic that is allowed throughout loses no packet, and traffic that is
// forbidden throughout passes none.
func TestNoGap(t *testing.T) {
	deaths := map[string]int{"tcx": 10, "clsact": 3}
	if os.Getenv("SOAK") != "" {
		deaths = map[string]int{"tcx": 100, "clsact": 100}
	}
	for attach, kills := range deaths {
		t.Run(attach, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			g := newGap(t, startDev(t, t.TempDir(), "--attach", attach))
			s, err := streamtest.Start(streamtest.Options{From: g.end(t, g.sender), To: g.end(t, g.receiver), Host: hostNamespace(t), Rate: 70_000, Max: 64 << 20, Lanes: []streamtest.Lane{
				{Name: "a tracked connection", Share: 3, Source: 1100, Destination: gapTracked},
				{Name: "new connections, by address", Share: 3, Source: 1200, Sources: 16, Destination: gapByCIDR, Ports: gapPorts},
				{Name: "new connections, by group", Share: 3, Source: 1300, Sources: 16, Destination: gapByGroup, Ports: gapPorts},
				{Name: "not let in", Source: 1400, Sources: 16, Destination: gapShutIn, Ports: gapShutPorts, Forbidden: true},
				{Name: "not let out", Source: 1500, Sources: 16, Destination: gapShutOut, Ports: gapShutPorts, Forbidden: true},
			}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			began := time.Now()
			changes := g.change(ctx)
			g.killAgents(t, kills, rand.New(rand.NewPCG(seed, 0)))
			stop()
			n, err := changes()
			if err != nil {
				t.Errorf("change: %v", err)
			}
			took := time.Since(began)
			if err := g.inForce(t.Context()); err != nil {
				t.Errorf("the last change: %v", err)
			}
			r, err := s.Stop()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d changes (%.0f/s) and %d deaths of the agent: %s", n, float64(n)/took.Seconds(), kills, r)
			if err := r.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// gap is two guests between whom packets go, and what changes beside them.
type gap struct {
	*client
	d                *dev
	w                *world
	sender, receiver guest
	third            string // an interface without a guest

	// The groups of the sender, by turns, besides its own; a group that the sender is never in.
	carriers  [2]string
	stranger  string
	own, gate string // groups that the sender and the receiver are always in
	byCIDR    string // the rule of the receiver's that is modified
}

func newGap(t *testing.T, d *dev) *gap {
	t.Helper()
	g := &gap{client: newClient(t, d), d: d, w: ipv4World(t, d)}
	all := g.w.permission("-1", 0, 0, anyone)
	udp := func(from, n int, peer string) string { return g.w.permission("udp", from, from+n-1, peer) }
	for name, id := range map[string]*string{"carrier-0": &g.carriers[0], "carrier-1": &g.carriers[1], "stranger": &g.stranger, "own": &g.own, "gate": &g.gate} {
		*id = g.w.group(t, name)
		if name != "gate" && name != "stranger" {
			g.w.rules(t, "revoke", "egress", *id, all)
		}
	}
	// Out: to the open ports by each carrier, another way; to those that are not let in, always.
	g.w.rules(t, "authorize", "egress", g.carriers[0], udp(gapByCIDR, 2*gapPorts, anyone))
	g.w.rules(t, "authorize", "egress", g.carriers[1], udp(gapByCIDR, 2*gapPorts, g.gate))
	g.w.rules(t, "authorize", "egress", g.own, udp(gapShutIn, gapShutPorts, anyone), udp(gapTracked, 1, anyone), g.w.permission("tcp", gapTCP, gapTCP, anyone))
	// In: to the group ports by each carrier; to those that are not let out, always.
	g.w.rules(t, "authorize", "ingress", g.gate,
		udp(gapByGroup, gapPorts, g.carriers[0]), udp(gapByGroup, gapPorts, g.carriers[1]), udp(gapShutOut, gapShutPorts, anyone),
		udp(gapTracked, 1, g.own), g.w.permission("tcp", gapTCP, gapTCP, g.own)) // not from anyone: that would not be tracked
	g.byCIDR = d.query(t, "SecurityGroupRules[0].SecurityGroupRuleId", "authorize-security-group-ingress", "--group-id", g.gate,
		"--ip-permissions", fmt.Sprintf("IpProtocol=udp,FromPort=%d,ToPort=%d,IpRanges=[{CidrIp=172.31.0.0/16}]", gapByCIDR, gapByCIDR+gapPorts-1))
	g.sender, g.receiver = g.w.run(t, g.own, g.carriers[0]), g.w.run(t, g.gate)
	g.third = d.query(t, "NetworkInterface.NetworkInterfaceId", "create-network-interface", "--subnet-id", g.w.subnet, "--groups", g.stranger)

	// Two connections, whose rules go.
	g.receiver.serve(t, gapTCP)
	conn, err := g.sender.dial(g.receiver.addr, gapTCP)
	if err != nil {
		t.Fatal(err)
	}
	if err := streamtest.Exchange(g.end(t, g.sender), g.end(t, g.receiver), 1100, gapTracked, 3); err != nil {
		t.Fatal(err)
	}
	g.w.rules(t, "revoke", "egress", g.own, udp(gapTracked, 1, anyone), g.w.permission("tcp", gapTCP, gapTCP, anyone))
	g.w.rules(t, "revoke", "ingress", g.gate, udp(gapTracked, 1, g.own), g.w.permission("tcp", gapTCP, gapTCP, g.own))
	g.sender.expect(t, silence, g.receiver.addr, gapTCP, "no rule any more")
	g.keepTalking(t, conn)
	return g
}

func (g *gap) end(t *testing.T, at guest) streamtest.End {
	t.Helper()
	e, err := at.end(at.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.NS.Close() })
	return e
}

// end is a lab guest as an end of a stream. The caller closes its namespace.
func (p place) end(a netip.Addr) (streamtest.End, error) {
	ns, err := netns.GetFromName(string(p))
	return streamtest.End{NS: ns, Device: "eth0", Addr: a}, err
}

func hostNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// change makes changes until ctx ends, several at once, each worker as fast as the server answers. What
// it returns waits for their end, and says how many there were.
func (g *gap) change(ctx context.Context) (wait func() (int, error)) {
	var workers errgroup.Group
	var n atomic.Int64
	cidrs := []string{"172.31.0.0/16", "172.16.0.0/12", "0.0.0.0/0", g.sender.addr.String() + "/32"}
	work := func(change func(ctx context.Context, i int) error) {
		workers.Go(func() error {
			// A call that has begun is ended: what it does would be undone half.
			for i := 0; ctx.Err() == nil; i++ {
				if err := change(context.WithoutCancel(ctx), i); err != nil {
					return err
				}
				n.Add(1)
			}
			return nil
		})
	}
	// A rule: what it says changes, and the sender's address is always in it.
	work(func(ctx context.Context, i int) error {
		_, err := g.ModifySecurityGroupRules(ctx, &ec2.ModifySecurityGroupRulesInput{GroupId: &g.gate, SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
			SecurityGroupRuleId: &g.byCIDR, SecurityGroupRule: &types.SecurityGroupRuleRequest{
				IpProtocol: aws.String("udp"), FromPort: aws.Int32(gapByCIDR), ToPort: aws.Int32(gapByCIDR + gapPorts - 1), CidrIpv4: &cidrs[i%len(cidrs)],
			},
		}}})
		return err
	})
	// The sender's groups: by each of the two it may send, and is let in.
	work(func(ctx context.Context, i int) error {
		groups := [][]string{{g.own, g.carriers[1]}, {g.own, g.carriers[0], g.carriers[1]}, {g.own, g.carriers[0]}}
		_, err := g.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &g.sender.eni, Groups: groups[i%len(groups)]})
		return err
	})
	// Rules that would let in what is forbidden, from a group that others are in, and to it.
	work(func(ctx context.Context, i int) error {
		in := []types.IpPermission{{
			IpProtocol: aws.String("udp"), FromPort: aws.Int32(gapShutIn), ToPort: aws.Int32(gapShutIn + gapShutPorts - 1),
			UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &g.stranger}},
		}}
		out := []types.IpPermission{{
			IpProtocol: aws.String("udp"), FromPort: aws.Int32(gapShutOut), ToPort: aws.Int32(gapShutOut + gapShutPorts - 1),
			UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &g.stranger}},
		}}
		var err error
		switch i % 4 {
		case 0:
			_, err = g.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &g.gate, IpPermissions: in})
		case 1:
			_, err = g.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &g.own, IpPermissions: out})
		case 2:
			_, err = g.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &g.gate, IpPermissions: in})
		case 3:
			_, err = g.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &g.own, IpPermissions: out})
		}
		return err
	})
	// Members: an interface goes from group to group, others come and go.
	work(func(ctx context.Context, i int) error {
		groups := [][]string{{g.carriers[0]}, {g.stranger}, {g.stranger, g.carriers[1]}}
		_, err := g.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &g.third, Groups: groups[i%len(groups)]})
		return err
	})
	work(func(ctx context.Context, _ int) error {
		out, err := g.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: &g.w.subnet, Groups: []string{g.stranger, g.carriers[0]}})
		if err != nil {
			return err
		}
		_, err = g.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: out.NetworkInterface.NetworkInterfaceId})
		return err
	})
	return func() (int, error) { return int(n.Load()), workers.Wait() }
}

// killAgents kills the agent again and again, at whatever it is about: dev starts another.
func (g *gap) killAgents(t *testing.T, n int, chance *rand.Rand) {
	t.Helper()
	last := 0
	for range n {
		var pid int
		eventually(t, "there is an agent again", func() error {
			out, err := exec.Command("pgrep", "-P", fmt.Sprint(g.d.cmd.Process.Pid), "-f", sallyport+" agent ").Output()
			if err != nil {
				return err
			}
			if _, err := fmt.Sscan(string(out), &pid); err != nil {
				return err
			}
			if pid == last {
				return fmt.Errorf("%d is the one that was killed", pid)
			}
			return nil
		})
		last = pid
		time.Sleep(time.Duration(chance.Int64N(int64(1500 * time.Millisecond)))) // a moment, not a wait: any is as good
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// keepTalking says a word on a connection again and again until the test ends; each is answered.
func (g *gap) keepTalking(t *testing.T, conn net.Conn) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		defer conn.Close()
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := echo(conn, "word"); err != nil {
				done <- fmt.Errorf("after %d words: %w", i, err)
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("a TCP connection whose rules are gone: %v", err)
		}
	})
}
