package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/local"
	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// TestBind: devices that Sallyport did not make. A bridge of the operator's, guests on veth pairs and
// a tap, bound by command and by alias.
func TestBind(t *testing.T) {
	b := newBinder(t, startDev(t, t.TempDir()))
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"an unknown interface keeps a device closed", b.unknown},
		{"a bound device passes what rules allow", b.bound},
		{"it has an instance whose groups can be changed", b.instance},
		{"filtering survives the agent", b.agentDies},
		{"a second claim waits for its turn", b.secondClaim},
		{"unbind", b.unbind},
		{"a tap of an adopted guest", b.adoptTap},
	} {
		if !t.Run(step.name, step.test) {
			t.FailNow() // what follows stands on it
		}
	}
}

// binder is an operator with a bridge, a VPC for what is on it, and two groups: web lets in TCP port
// 80, alt 8080.
type binder struct {
	*client
	d             *dev
	whole         *testing.T
	bridge        netlink.Link
	subnet        string
	web, alt      string
	eni           *types.NetworkInterface
	first, second place
}

const (
	spareENI = "eni-00000000000000000"
	deviceA  = "spt-bind-a"
	deviceB  = "spt-bind-b"
	deviceT  = "spt-bind-t"
)

var (
	bindRouter = netip.MustParsePrefix("10.77.1.1/24")
	bindGuest  = netip.MustParsePrefix("10.77.1.10/24")
	bindTap    = netip.MustParseAddr("10.77.1.40")
)

func newBinder(t *testing.T, d *dev) *binder {
	t.Helper()
	b := &binder{client: newClient(t, d), d: d, whole: t}
	ctx := t.Context()
	v, err := b.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.77.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: v.Vpc.VpcId, CidrBlock: aws.String(bindRouter.Masked().String())})
	if err != nil {
		t.Fatal(err)
	}
	b.subnet = *s.Subnet.SubnetId
	group := func(name string, port int32) string {
		g, err := b.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{VpcId: v.Vpc.VpcId, GroupName: &name, Description: &name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: g.GroupId, IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port, CidrIp: aws.String("0.0.0.0/0"),
		}); err != nil {
			t.Fatal(err)
		}
		return *g.GroupId
	}
	b.web, b.alt = group("web", 80), group("alt", 8080)
	n, err := b.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
		SubnetId: &b.subnet, PrivateIpAddress: aws.String(bindGuest.Addr().String()), Groups: []string{b.web},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.eni = n.NetworkInterface

	attrs := netlink.NewLinkAttrs()
	attrs.Name = "spt-bind"
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0, 0, 0x77, 0, 0x01} // else it is a port's, and changes with them
	snooping := false
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}))
	if b.bridge, err = netlink.LinkByName(attrs.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(b.bridge) })
	must(t, netlink.AddrAdd(b.bridge, &netlink.Addr{IPNet: &net.IPNet{
		IP: bindRouter.Addr().AsSlice(), Mask: net.CIDRMask(bindRouter.Bits(), 32),
	}}))
	must(t, netlink.LinkSetUp(b.bridge))
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guest makes a namespace with the interface's MAC and address. Its device is on the bridge, and down.
func (b *binder) guest(t *testing.T, device string) (p place, host netlink.Link) {
	t.Helper()
	mac, err := net.ParseMAC(*b.eni.MacAddress)
	must(t, err)
	p = place(device)
	must(t, outside.in(func() error { // its thread ends, in the new namespace
		ns, err := netns.NewNamed(device)
		if err == nil {
			err = ns.Close()
		}
		return err
	}))
	b.whole.Cleanup(func() { _ = netns.DeleteNamed(device) })
	ns, err := netns.GetFromName(device)
	must(t, err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = device, b.bridge.Attrs().Index
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: mac,
	}))
	host, err = netlink.LinkByName(device)
	must(t, err)
	b.whole.Cleanup(func() { _ = netlink.LinkDel(host) })
	must(t, p.in(func() error {
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return errors.Join(
			netlink.AddrAdd(eth, &netlink.Addr{IPNet: &net.IPNet{IP: bindGuest.Addr().AsSlice(), Mask: net.CIDRMask(bindGuest.Bits(), 32)}}),
			netlink.LinkSetUp(eth),
		)
	}))
	p.serve(b.whole, 80)
	p.serve(b.whole, 8080)
	return p, host
}

// sallyport runs a command, and returns its exit code, output and message.
func (b *binder) sallyport(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return command(t, sallyport, args...)
}

func command(t *testing.T, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// bindings returns what `sallyport bindings` tells, by device.
func (b *binder) bindings(t *testing.T) (map[string]local.Claim, error) {
	t.Helper()
	code, out, stderr := b.sallyport(t, "bindings", "--output", "json")
	if code != 0 {
		return nil, errorString(stderr)
	}
	var all []local.Claim
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("%w in %s", err, out)
	}
	claims := map[string]local.Claim{}
	for _, c := range all {
		claims[c.Device] = c
	}
	return claims, nil
}

// becomes waits until a device's claim is in a state.
func (b *binder) becomes(t *testing.T, device string, want local.State) (c local.Claim) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %s", device, want), func() error {
		all, err := b.bindings(t)
		if err != nil {
			return err
		}
		if c = all[device]; c.State != want {
			return fmt.Errorf("its claim is %+v", c)
		}
		return nil
	})
	return c
}

// ports checks which of a guest's ports the host reaches.
func (b *binder) ports(t *testing.T, at80, at8080 outcome, why string) {
	t.Helper()
	outside.expect(t, at80, bindGuest.Addr(), 80, why)
	outside.expect(t, at8080, bindGuest.Addr(), 8080, why)
}

func (b *binder) unknown(t *testing.T) {
	var host netlink.Link
	b.first, host = b.guest(t, deviceA)
	code, out, stderr := b.sallyport(t, "bind", deviceA, spareENI)
	want := "sallyport: refused: InvalidNetworkInterfaceID.NotFound: The networkInterface ID '" + spareENI + "' does not exist; " + deviceA + " stays closed until it is unbound\n"
	if code != 1 || stderr != want || !strings.Contains(out, "refused") {
		t.Errorf("bind to an unknown interface:\ngot  %d %s%s\nwant 1 %s", code, out, stderr, want)
	}
	must(t, netlink.LinkSetUp(host))
	b.ports(t, silence, silence, "no such interface")
	b.first.expect(t, silence, bindRouter.Addr(), 80, "no such interface")
	if code, _, stderr := b.sallyport(t, "unbind", deviceA); code != 0 {
		t.Errorf("unbind a device that was refused: %d %s", code, stderr)
	}
}

func (b *binder) bound(t *testing.T) {
	if code, _, stderr := b.sallyport(t, "bind", deviceA, *b.eni.NetworkInterfaceId, "--guest", "vm7", "--wait"); code != 0 {
		t.Fatalf("bind: %d %s", code, stderr)
	}
	b.ports(t, answers, silence, "its group lets in 80")
	outside.serve(t, 7777)
	b.first.expect(t, answers, bindRouter.Addr(), 7777, "all may go out")
}

func (b *binder) instance(t *testing.T) {
	i := b.instanceOf(t)
	if i.State.Name != types.InstanceStateNameRunning || len(i.Tags) != 1 || *i.Tags[0].Key != "Name" || *i.Tags[0].Value != "vm7" {
		t.Errorf("the interface has the instance %s with tags %v, want a running one named vm7", i.State.Name, i.Tags)
	}
	if _, err := b.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{
		InstanceId: i.InstanceId, Groups: []string{b.alt},
	}); err != nil {
		t.Fatal(err)
	}
	must(t, b.inForce(t.Context(), *b.eni.NetworkInterfaceId))
	b.ports(t, silence, answers, "its group is another now")
}

func (b *binder) instanceOf(t *testing.T) types.Instance {
	t.Helper()
	out, err := b.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{
		{Name: aws.String("network-interface.network-interface-id"), Values: []string{*b.eni.NetworkInterfaceId}},
	}})
	must(t, err)
	if len(out.Reservations) != 1 || len(out.Reservations[0].Instances) != 1 {
		t.Fatalf("the interface has no instance: %+v", out.Reservations)
	}
	return out.Reservations[0].Instances[0]
}

func (b *binder) agentDies(t *testing.T) {
	before, err := b.bindings(t)
	must(t, err)
	c, err := outside.dial(bindGuest.Addr(), 8080)
	must(t, err)
	defer c.Close()
	must(t, echo(c, "before"))
	must(t, syscall.Kill(b.d.child(t, "agent"), syscall.SIGKILL))
	if err := echo(c, "with the agent dead"); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	b.ports(t, silence, answers, "filtering goes on without the agent")
	eventually(t, "the agent is back with the same binding", func() error {
		after, err := b.bindings(t)
		if err == nil && !reflect.DeepEqual(after[deviceA], before[deviceA]) {
			err = fmt.Errorf("the claim is %+v, was %+v", after[deviceA], before[deviceA])
		}
		return err
	})
	if err := echo(c, "after"); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	b.ports(t, silence, answers, "and with it again")
}

func (b *binder) secondClaim(t *testing.T) {
	var host netlink.Link
	b.second, host = b.guest(t, deviceB)
	must(t, netlink.LinkSetAlias(host, *b.eni.NetworkInterfaceId))
	must(t, netlink.LinkSetUp(host)) // of a device that is down the kernel tells nobody its new alias
	if c := b.becomes(t, deviceB, local.Refused); c.Source != local.Alias || !strings.Contains(c.Message, deviceA) {
		t.Errorf("the second claim is %+v, want one by alias with a message that names %s", c, deviceA)
	}
	outside.serve(t, 7777)
	b.second.expect(t, silence, bindRouter.Addr(), 7777, "another device has the interface")
	// The bridge may have seen the interface's MAC at the second device before that was closed. It learns anew where it is.
	b.first.expect(t, answers, bindRouter.Addr(), 7777, "the first device has the interface")
	b.ports(t, silence, answers, "the first device is as it was")

	must(t, netns.DeleteNamed(deviceA)) // a veth goes with its peer
	first, err := netlink.LinkByName(deviceA)
	if err == nil {
		must(t, netlink.LinkDel(first))
	}
	b.becomes(t, deviceB, local.Bound)
	b.second.comesTo(t, answers, bindRouter.Addr(), 7777, "the second guest reaches the router") // it asks for its MAC once a second
	b.ports(t, silence, answers, "it is its turn")
	eventually(t, "its instance runs", func() error {
		if i := b.instanceOf(t); i.State.Name != types.InstanceStateNameRunning {
			return fmt.Errorf("it is %s", i.State.Name)
		}
		return nil
	})
}

func (b *binder) unbind(t *testing.T) {
	code, _, stderr := b.sallyport(t, "unbind", deviceB)
	if code != 1 || !strings.Contains(stderr, *b.eni.NetworkInterfaceId) || !strings.Contains(stderr, "ip link set dev "+deviceB+" alias ''") {
		t.Errorf("unbind a device whose alias names its interface: got %d %s, want 1 and what to do", code, stderr)
	}
	b.ports(t, silence, answers, "it is bound still")
	if code, _, stderr := command(t, "ip", "link", "set", "dev", deviceB, "alias", ""); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := b.sallyport(t, "unbind", deviceB); code != 0 {
		t.Fatalf("unbind: %d %s", code, stderr)
	}
	b.ports(t, answers, answers, "an unbound device is not filtered")
	if all, err := b.bindings(t); err != nil || all[deviceB].ENI != "" {
		t.Errorf("bindings = %v, %v, want none of %s", all, err, deviceB)
	}
	eventually(t, "its instance is stopped", func() error {
		if i := b.instanceOf(t); i.State.Name != types.InstanceStateNameStopped {
			return fmt.Errorf("it is %s", i.State.Name)
		}
		return nil
	})
}

// adoptTap: a guest that has a MAC and an address already, behind a tap on which the test speaks.
func (b *binder) adoptTap(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x77, 0, 0x40}
	adopted, err := further(t.Context(), b.client, wire.AdoptNetworkInterfaceCall, &wire.AdoptNetworkInterfaceRequest{
		SubnetId: &b.subnet, MacAddress: aws.String(mac.String()), PrivateIpAddress: aws.String(bindTap.String()),
		SecurityGroupIds: []string{b.web},
	})
	must(t, err)
	eni := wire.Value(adopted.NetworkInterface.NetworkInterfaceId)
	if got := wire.Value(adopted.NetworkInterface.MacAddress); got != mac.String() {
		t.Errorf("the adopted interface has MAC %s, want %s", got, mac)
	}
	tap := b.openGuestTap(t)
	tap.mac = mac
	router := b.bridge.Attrs().HardwareAddr
	whoHas := arp(1, mac, mac, bindTap, make(net.HardwareAddr, 6), bindRouter.Addr())
	isAt := func(f []byte) bool {
		return len(f) >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 2 && bytes.Equal(f[28:32], bindRouter.Addr().AsSlice())
	}

	// With the server not answering, the claim closes the device all the same.
	server := b.d.child(t, "server")
	must(t, syscall.Kill(server, syscall.SIGSTOP))
	resumed := false
	defer func() {
		if !resumed {
			_ = syscall.Kill(server, syscall.SIGCONT)
		}
	}()
	code, out, stderr := b.sallyport(t, "bind", deviceT, eni)
	if code != 0 || !strings.Contains(out, string(local.Closed)) {
		t.Fatalf("bind with the server away: %d %s%s, want a claim that is closed", code, out, stderr)
	}
	must(t, netlink.LinkSetUp(tap.link))
	tap.send(t, whoHas)
	if tap.gets(false, isAt) {
		t.Error("a device passes ARP before the server has accepted its claim")
	}
	resumed = true
	must(t, syscall.Kill(server, syscall.SIGCONT))
	b.becomes(t, deviceT, local.Bound)
	tap.send(t, whoHas)
	if !tap.gets(true, isAt) {
		t.Error("ARP for the router is not answered on a bound device")
	}

	ping := func(wanted bool, from netip.Addr) bool {
		echo := []byte{8, 0, 0, 0, 0x77, from.As4()[3], 0, 1}
		sum := checksum(echo)
		echo[2], echo[3] = byte(sum>>8), byte(sum)
		tap.send(t, ip(mac, router, from, bindRouter.Addr(), unix.IPPROTO_ICMP, 64, echo))
		return tap.gets(wanted, func(f []byte) bool {
			return len(f) >= 42 && f[12] == 8 && f[13] == 0 && f[23] == unix.IPPROTO_ICMP && f[34] == 0 && bytes.Equal(f[38:40], echo[4:6])
		})
	}
	if !ping(true, bindTap) {
		t.Error("a ping that the tap's guest sends is not answered: outbound all is allowed, answers are tracked")
	}
	if ping(false, bindTap.Next()) {
		t.Error("a ping from an address that is not the guest's is answered")
	}
	syn := func(port byte) func([]byte) bool {
		return func(f []byte) bool {
			return len(f) >= 54 && f[12] == 8 && f[23] == unix.IPPROTO_TCP && f[36] == 0 && f[37] == port && f[47]&2 != 0
		}
	}
	for port, want := range map[byte]bool{80: true, 81: false} {
		go func() {
			_, _ = outside.tries(bindTap, int(port))
		}()
		if got := tap.gets(want, syn(port)); got != want {
			t.Errorf("a SYN to port %d reaches the tap's guest: %v, want %v", port, got, want)
		}
	}
}

// guestTap is a tap device, and the guest behind it: the test. It answers ARP for bindTap.
type guestTap struct {
	f      *os.File
	link   netlink.Link
	mac    net.HardwareAddr
	frames chan []byte
}

func (b *binder) openGuestTap(t *testing.T) *guestTap {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	req, err := unix.NewIfreq(deviceT)
	must(t, err)
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	g := &guestTap{f: os.NewFile(uintptr(fd), deviceT), frames: make(chan []byte, 64)}
	t.Cleanup(func() { _ = g.f.Close() }) // the device goes with it
	g.link, err = netlink.LinkByName(deviceT)
	must(t, err)
	must(t, netlink.LinkSetMaster(g.link, b.bridge))
	go func() {
		for {
			buf := make([]byte, 2048)
			n, err := g.f.Read(buf)
			if err != nil && !errors.Is(err, unix.EIO) { // EIO: the device is down
				return
			}
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			f := buf[:n]
			if n >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 1 && bytes.Equal(f[38:42], bindTap.AsSlice()) {
				asker, _ := netip.AddrFromSlice(f[28:32])
				_, _ = g.f.Write(arp(2, g.mac, g.mac, bindTap, bytes.Clone(f[22:28]), asker))
				continue
			}
			select {
			case g.frames <- f:
			default: // nobody waits
			}
		}
	}()
	return g
}

func (g *guestTap) send(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := g.f.Write(frame); err != nil {
		t.Fatalf("write a frame: %v", err)
	}
}

// gets reports whether a frame comes. Whoever wants one waits longer than patience.
func (g *guestTap) gets(wanted bool, is func([]byte) bool) bool {
	wait := patience
	if wanted {
		wait = limit
	}
	end := time.After(wait)
	for {
		select {
		case f := <-g.frames:
			if is(f) {
				return true
			}
		case <-end:
			return false
		}
	}
}
