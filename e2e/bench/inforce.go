package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// latency is what a step took, once per sample.
type latency struct {
	Name         string
	Milliseconds []float64
}

// probeInterval is how often a probe is sent. Timers of this kernel add some microseconds.
const probeInterval = 50 * time.Microsecond

// inForce measures how long it takes until a new rule lets packets through: from outside, probes go to
// a guest all the time; each sample opens a port of its own, and the time when the first probe that
// arrives had been sent is when the rule was in force, at the latest.
func inForce(ctx context.Context, s sizes, r *report, stderr io.Writer) (err error) {
	d, err := startDev(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	g, err := d.launch(ctx)
	if err != nil {
		return fmt.Errorf("start a guest: %w", err)
	}
	if err := d.inForce(ctx, s, r, g, "1 ENI"); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "in-force: making %d ENIs\n", s.Crowd)
	if err := d.makeENIs(ctx, g, s.Crowd-1); err != nil {
		return fmt.Errorf("make %d ENIs: %w", s.Crowd, err)
	}
	return d.inForce(ctx, s, r, g, fmt.Sprintf("%s ENIs", thousands(s.Crowd)))
}

// inForce adds the latencies with so many ENIs on the host.
func (d *dev) inForce(ctx context.Context, s sizes, r *report, g labGuest, enis string) error {
	var call, opened, seen, after, acknowledged latency
	call.Name = enis + ": AuthorizeSecurityGroupIngress, the call itself"
	opened.Name = enis + ": its return → the first packet passes"
	seen.Name = enis + ": its beginning → the first packet passes"
	after.Name = enis + ": its return → the first packet passes, right after another change"
	acknowledged.Name = enis + ": its return → DescribeEnforcement says so"
	add := func(l *latency, v time.Duration) {
		l.Milliseconds = append(l.Milliseconds, float64(v.Nanoseconds())/1e6)
	}
	kinds := []sampling{{pause: apart}, {}, {pause: apart, ask: true}}
	for i := range len(kinds) * s.Samples {
		kind := kinds[i%len(kinds)]
		x, err := d.sample(ctx, g, 20000+i, kind)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("open port %d: %w", 20000+i, err)
		}
		switch {
		case kind.ask:
			add(&acknowledged, x.acknowledged-x.returned)
		case kind.pause == 0:
			add(&after, x.passed-x.returned)
		default:
			add(&call, x.returned-x.called)
			add(&opened, x.passed-x.returned)
			add(&seen, x.passed-x.called)
		}
	}
	r.InForce = append(r.InForce, call, opened, after, seen, acknowledged)
	limit := 5.0
	if enis != "1 ENI" {
		limit = 50
	}
	for _, kind := range []struct {
		name string
		of   latency
	}{{"a change that stands alone", opened}, {"right after another", after}} {
		r.goal(goal{
			Name:     fmt.Sprintf("from call to wire with %s on the host, %s, p99", enis, kind.name),
			Measured: quantile(kind.of.Milliseconds, 0.99), Limit: limit, Unit: "ms",
		})
	}
	return nil
}

// labGuest is the guest that the probes go to.
type labGuest struct {
	group, eni string
	addr       netip.Addr
	ns         namespace
}

// rulesBefore is how many rules the guest's group has already: with the one that is added and
// removed it stays below the quota of 60.
const rulesBefore = 58

func (d *dev) launch(ctx context.Context) (g labGuest, err error) {
	group, err := d.client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: aws.String("bench"), Description: aws.String("probed by make bench"),
	})
	if err != nil {
		return g, err
	}
	g.group = *group.GroupId
	var ranges []types.IpRange
	for i := range rulesBefore {
		ranges = append(ranges, types.IpRange{CidrIp: aws.String(fmt.Sprintf("10.1.%d.0/24", i))})
	}
	if _, err := d.client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: &g.group, IpPermissions: []types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: ranges,
		}},
	}); err != nil {
		return g, err
	}
	images, err := d.client.DescribeImages(ctx, &ec2.DescribeImagesInput{
		Filters: []types.Filter{{Name: aws.String("name"), Values: []string{"netns"}}},
	})
	if err != nil {
		return g, err
	}
	if len(images.Images) != 1 {
		return g, fmt.Errorf("%d images are named netns, want 1", len(images.Images))
	}
	made, err := d.client.RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), SecurityGroupIds: []string{g.group},
	})
	if err != nil {
		return g, err
	}
	i := made.Instances[0]
	g.eni = *i.NetworkInterfaces[0].NetworkInterfaceId
	if g.addr, err = netip.ParseAddr(*i.PrivateIpAddress); err != nil {
		return g, err
	}
	if err := ec2.NewInstanceRunningWaiter(d.client, func(o *ec2.InstanceRunningWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	}).Wait(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}}, 30*time.Second); err != nil {
		return g, err
	}
	if err := d.waitInForce(ctx, d.revision.Load(), g.eni); err != nil {
		return g, err
	}
	h, err := netns.GetFromName(*i.InstanceId)
	g.ns = namespace(h)
	return g, err
}

// times of a sample, since the process began.
type times struct{ called, returned, passed, acknowledged time.Duration }

var began = time.Now()

// apart is how long after the last change a sample comes that is to stand alone: a host waits for a grace
// period of the kernel between two changes, some 10 ms, or 100 and more on a busy machine.
const apart = 200 * time.Millisecond

// sampling is how a sample is taken.
type sampling struct {
	pause time.Duration // since the last one
	ask   bool          // when it is in force: this takes CPU time from what else is measured
}

// sample opens a port of the guest to everybody, and closes it again.
func (d *dev) sample(ctx context.Context, g labGuest, port int, how sampling) (x times, err error) {
	p, err := newProbe(g, d.ns, port)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	// What is probed for must be closed at first.
	select {
	case <-p.first:
		return x, fmt.Errorf("%w: a packet passed before the rule was there", errWrong)
	case <-time.After(how.pause):
	}
	permissions := []types.IpPermission{{
		IpProtocol: aws.String("udp"), FromPort: aws.Int32(int32(port)), ToPort: aws.Int32(int32(port)),
		IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}
	x.called = time.Since(began)
	if _, err := d.client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: &g.group, IpPermissions: permissions,
	}); err != nil {
		return x, err
	}
	x.returned = time.Since(began)
	revision := d.revision.Load()
	for yes := !how.ask; !yes; {
		if yes, err = d.isInForce(ctx, revision, g.eni); err != nil {
			return x, err
		}
		x.acknowledged = time.Since(began)
		if !yes && x.acknowledged-x.returned > 10*time.Second {
			return x, errors.New("it is not in force after 10 s")
		}
	}
	var first uint64
	select {
	case first = <-p.first:
	case <-time.After(10 * time.Second):
		return x, fmt.Errorf("%w: no packet passed within 10 s", errWrong)
	}
	sent := p.end()
	if first >= uint64(len(sent)) {
		return x, fmt.Errorf("packet %d arrived, of %d", first, len(sent))
	}
	x.passed = sent[first].after
	// What was sent after the answer must have passed.
	if before := sent[max(first, 1)-1].before; how.ask && first > 0 && before > x.acknowledged {
		return x, fmt.Errorf("%w: acknowledged, and a packet sent %v later was dropped", errWrong, before-x.acknowledged)
	}
	_, err = d.client.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{
		GroupId: &g.group, IpPermissions: permissions,
	})
	return x, err
}

// probe sends packets from outside to a port of a guest, each with its number.
type probe struct {
	receiver int
	first    chan uint64 // the first that arrived
	stop     atomic.Bool
	done     chan error // of both threads
	sent     []sending
	sentAll  chan struct{}
}

// sending is the time before and after a packet was handed to the kernel. The filter judges it
// in between.
type sending struct{ before, after time.Duration }

func newProbe(g labGuest, outside namespace, port int) (*probe, error) {
	p := &probe{first: make(chan uint64, 1), done: make(chan error, 2), sentAll: make(chan struct{})}
	if err := g.ns.do(func() (err error) {
		if p.receiver, err = socket(ipv4, unix.SOCK_DGRAM); err != nil {
			return err
		}
		return unix.Bind(p.receiver, at(g.addr, port))
	}); err != nil {
		return nil, fmt.Errorf("listen in the guest: %w", err)
	}
	go func() {
		p.done <- onThread(func() error {
			var b [8]byte
			for !p.stop.Load() {
				n, _, err := unix.Recvfrom(p.receiver, b[:], 0)
				if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || n == 0 {
					continue
				}
				if err != nil {
					return fmt.Errorf("receive in the guest: %w", err)
				}
				select {
				case p.first <- binary.NativeEndian.Uint64(b[:]):
				default: // not the first
				}
			}
			return nil
		})
	}()
	go func() {
		defer close(p.sentAll)
		p.done <- outside.do(func() error { return p.send(at(g.addr, port)) })
	}()
	return p, nil
}

func (p *probe) send(to unix.Sockaddr) error {
	// As fine as timers are: by default the kernel may be 50 µs late.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return err
	}
	fd, err := socket(ipv4, unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	pause := unix.NsecToTimespec(probeInterval.Nanoseconds())
	var b [8]byte
	for !p.stop.Load() {
		binary.NativeEndian.PutUint64(b[:], uint64(len(p.sent)))
		before := time.Since(began)
		if err := unix.Sendto(fd, b[:], 0, to); err != nil {
			return fmt.Errorf("send a probe: %w", err)
		}
		p.sent = append(p.sent, sending{before, time.Since(began)})
		if err := unix.Nanosleep(&pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

// end ends the probing and returns what was sent.
func (p *probe) end() []sending {
	p.stop.Store(true)
	<-p.sentAll
	return p.sent
}

func (p *probe) close() error {
	p.stop.Store(true)
	_ = unix.Shutdown(p.receiver, unix.SHUT_RDWR) // wakes the receiver
	return errors.Join(<-p.done, <-p.done, unix.Close(p.receiver))
}
