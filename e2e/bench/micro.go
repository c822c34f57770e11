package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// lone is a Datapath of its own, in a namespace of its own, with one ENI, whose programs are run
// one packet after the other.
type lone struct {
	ns     namespace
	pins   string
	d      *datapath.Datapath
	device int
	// The programs that hang on the device.
	fromGuest, toGuest *ebpf.Program
}

// The addresses of the ENI of a lone.
var (
	own4 = network[ipv4].b
	own6 = network[ipv6].b
)

func newLone(name string, o datapath.Options, t ruleset.Tables) (_ *lone, err error) {
	l := &lone{pins: filepath.Join(pinsBase, name)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the datapath of %s: %w", name, errors.Join(err, l.close()))
		}
	}()
	if l.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	o.Pins = l.pins
	err = l.ns.do(func() (err error) {
		if l.device, err = newDevice("guest"); err != nil {
			return err
		}
		if l.d, err = datapath.Open(o); err != nil {
			return err
		}
		if err := l.d.Attach(l.device, "guest", eniB); err != nil {
			return err
		}
		if l.fromGuest, err = attachedProgram(l.device, ebpf.AttachTCXIngress); err != nil {
			return err
		}
		l.toGuest, err = attachedProgram(l.device, ebpf.AttachTCXEgress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, l.d.Apply(t, nil)
}

func (l *lone) close() error {
	var errs []error
	for _, p := range []*ebpf.Program{l.fromGuest, l.toGuest} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if l.ns != 0 {
		errs = append(errs, l.ns.do(func() error {
			var err error
			if l.d != nil {
				err = l.d.Close()
			}
			return errors.Join(err, datapath.Purge(l.pins))
		}), netnsClose(l.ns))
	}
	return errors.Join(errs...)
}

// newDevice makes a veth pair in this thread's namespace and returns the index of one end, at which
// nothing comes or goes: both are down.
func newDevice(name string) (int, error) {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}); err != nil {
		return 0, fmt.Errorf("make the device %s: %w", name, err)
	}
	return indexOf(name)
}

// attachedProgram is the first program of a device's hook.
func attachedProgram(device int, hook ebpf.AttachType) (*ebpf.Program, error) {
	chain, err := link.QueryPrograms(link.QueryOptions{Target: device, Attach: hook})
	if err != nil {
		return nil, fmt.Errorf("ask for the programs of a device: %w", err)
	}
	if len(chain.Programs) != 1 {
		return nil, fmt.Errorf("%d programs hang on a device, want 1", len(chain.Programs))
	}
	return ebpf.NewProgramFromID(chain.Programs[0].ID)
}

// remotes are the addresses that flows come from: the first of ranges that lie stride apart, by the
// word of an address in which they differ.
type remotes struct {
	ranges, stride, spread uint32
	lastWord               bool // of an IPv6 address; false: its second
}

// Where the addresses begin; ranges differ in the last word of IPv4, and in one of IPv6's.
const (
	firstRemote4  = 11 << 24
	firstRemote6  = 1 << 24
	remotesPrefix = "2001:db8::"
)

// addr is the first address of a range.
func (r remotes) addr(i int, ipv6 bool) netip.Addr {
	word := uint32(i) * r.stride
	if !ipv6 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, firstRemote4+word)))
	}
	b := netip.MustParseAddr(remotesPrefix).As16()
	at := 4
	if r.lastWord {
		at = 12
	}
	binary.BigEndian.PutUint32(b[at:], firstRemote6+word)
	return netip.AddrFrom16(b)
}

// packets says which packets a run sends through a program.
type packets struct {
	ipv6    bool
	out     bool // from the guest
	port    uint16
	remotes remotes
	mask    uint32 // of the flows to draw from; 0: one after the other, from next on
	next    uint64
	one     bool // flow 0 alone

	local    netip.Addr // of the ENI; invalid: that of a lone, and its MAC
	localMAC [6]byte
}

// frame is that of flow 0.
func (p packets) frame() []byte {
	local, remote := own4, p.remotes.addr(0, false)
	if p.ipv6 {
		local, remote = own6, p.remotes.addr(0, true)
	}
	mac := macB
	if p.local.IsValid() {
		local, mac = p.local, p.localMAC
	}
	src, dst, srcPort, dstPort := remote, local, uint16(0x8000), p.port
	srcMAC, dstMAC := macHost[1], mac
	if p.out {
		src, dst, srcPort, dstPort = local, remote, p.port, 0x8000
		srcMAC, dstMAC = mac, macHost[1]
	}
	f := append(dstMAC[:], srcMAC[:]...)
	const data = 18 // bytes of it: no frame is shorter
	if p.ipv6 {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8+data, unix.IPPROTO_UDP, 64)
	} else {
		f = append(f, 8, 0, 0x45, 0, 0, 28+data, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
	}
	f = append(append(f, src.AsSlice()...), dst.AsSlice()...)
	f = binary.BigEndian.AppendUint16(f, srcPort)
	f = binary.BigEndian.AppendUint16(f, dstPort)
	return append(f, append([]byte{0, 8 + data, 0, 0}, make([]byte, data)...)...)
}

// sent is what drive is to do.
func (p packets) sent() referenceTraffic {
	t := referenceTraffic{
		Next: p.next, Mask: p.mask, Ranges: p.remotes.ranges, Stride: p.remotes.stride, Spread: p.remotes.spread,
		Base: firstRemote4, WordAt: 26, PortAt: 34,
	}
	if p.out {
		t.WordAt, t.PortAt = 30, 36
	}
	if p.ipv6 {
		t.Base, t.WordAt, t.PortAt = firstRemote6, 22+4, 54
		if p.out {
			t.WordAt, t.PortAt = 38+4, 56
		}
		if p.remotes.lastWord {
			t.WordAt += 8
		}
	}
	if p.mask != 0 {
		t.Next = 0x9e3779b97f4a7c15 // a xorshift never starts at 0
	}
	if p.one {
		t.Ranges = 0
	}
	return t
}

// micro runs programs.
type micro struct {
	referenceObjects
	ns     namespace // of the reference programs
	device int
	cpu    int
}

func newMicro(cpu int) (_ *micro, err error) {
	m := &micro{cpu: cpu}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if err := loadReferenceObjects(&m.referenceObjects, nil); err != nil {
		return nil, fmt.Errorf("load the reference programs: %w", err)
	}
	if m.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	err = m.ns.do(func() error {
		m.device, err = newDevice("guest")
		return err
	})
	return m, err
}

func (m *micro) close() error {
	err := m.Close()
	if m.ns != 0 {
		err = errors.Join(err, netnsClose(m.ns))
	}
	return err
}

// The answers of programs.
const (
	passes = 1<<32 - 1 // TC_ACT_UNSPEC
	drops  = 2         // TC_ACT_SHOT
)

// program is one that is measured: of a lone, or a reference.
type program struct {
	*ebpf.Program
	of *lone // nil: a reference
}

// run sends n packets through a program and returns the nanoseconds that one took, what leads to it
// included. The last one's answer must be the wanted one.
func (m *micro) run(p program, k packets, n int, want uint32) (float64, error) {
	ns, device := m.ns, m.device
	if p.of != nil {
		ns, device = p.of.ns, p.of.device
	}
	if err := m.Target.Put(uint32(0), p.Program); err != nil {
		return 0, fmt.Errorf("set the target: %w", err)
	}
	if err := m.Sent.Set(k.sent()); err != nil {
		return 0, fmt.Errorf("set the flows: %w", err)
	}
	context := make([]byte, skbLength)
	binary.NativeEndian.PutUint32(context[skbIfindex:], uint32(device))
	var took time.Duration
	var code uint32
	err := ns.do(func() (err error) {
		if err := stayOn(m.cpu); err != nil {
			return err
		}
		// As for the generator of frames: where it is not permitted the figures have more noise.
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
		start := time.Now()
		code, err = m.Drive.Run(&ebpf.RunOptions{Data: k.frame(), Context: context, Repeat: uint32(n)})
		took = time.Since(start)
		return err
	})
	if err == nil && code != want {
		err = fmt.Errorf("%w: the last of %d packets got %d, want %d", errWrong, n, int32(code), int32(want))
	}
	return float64(took.Nanoseconds()) / float64(n), err
}

// The layout of struct __sk_buff. Source: linux/bpf.h.
const (
	skbLength  = 192
	skbIfindex = 40
)

// tablesOf are an ENI's whose rules let in UDP to some ports, from CIDRs, lists and groups, and that may
// send nothing but answers: its connections are tracked.
func tablesOf(ingress *ruleset.Table, lists map[vpc.PrefixListID][]netip.Prefix) ruleset.Tables {
	const long = time.Hour // longer than any run
	return ruleset.Tables{
		Revision: 1,
		Lists:    lists,
		ENIs: map[vpc.InterfaceID]ruleset.ENITables{eniB: {
			ENI: ruleset.ENI{
				ID: eniB, Domain: domain, MAC: vpc.MAC(macB), SourceDestCheck: true,
				Addresses: []netip.Addr{own4, own6}, Routers: []netip.Addr{network[ipv4].routerB},
				Timeouts: ruleset.Timeouts{TCPEstablished: long, UDPStream: long, UDP: long},
			},
			Ingress: ingress, Egress: &ruleset.Table{Direction: ruleset.Egress},
		}},
	}
}

// The ports of the packets, of the guest.
const (
	openPort      = 8000 // of flows that are established
	freshPort     = 8001 // of flows that begin
	forbiddenPort = 7000
)

// allowedPorts is what a rule of the given number allows.
func allowedPorts(rule int) []ruleset.Interval {
	const udp = uint32(unix.IPPROTO_UDP) << 16
	return []ruleset.Interval{{From: udp | openPort, To: udp | freshPort, Rule: uint32(rule)}}
}

// cidrs are ranges that neither touch nor contain each other, of one family.
func (r remotes) cidrs(ipv6 bool) []netip.Prefix {
	bits := 29
	if ipv6 {
		bits = 61
	}
	list := make([]netip.Prefix, r.ranges)
	for i := range list {
		list[i] = netip.PrefixFrom(r.addr(i, ipv6), bits)
	}
	return list
}

// cidrRemotes has n ranges of which rules can be made: 8 addresses, or networks, out of 16.
func cidrRemotes(n int) remotes { return remotes{ranges: uint32(n), stride: 16, spread: 7} }

// mostRulesOfENI is about what EC2 lets an interface have of a family.
const mostRulesOfENI = 960

// cidrTable has a rule for each range, of both families; where those are more than an ENI has rules, several
// have the same.
func (r remotes) cidrTable() *ruleset.Table {
	t := &ruleset.Table{Direction: ruleset.Ingress}
	for i, c := range slices.Concat(r.cidrs(false), r.cidrs(true)) {
		t.CIDRs = append(t.CIDRs, ruleset.CIDRPorts{CIDR: c, Ports: allowedPorts(i%(2*mostRulesOfENI) + 1)})
	}
	return t
}

// memberRemotes are n addresses side by side, as those of subnets.
func memberRemotes(n int) remotes { return remotes{ranges: uint32(n), stride: 1, lastWord: true} }

// members of a group that have those addresses, of one family.
func (r remotes) members(ipv6 bool) ruleset.Members {
	groups, domains := []vpc.GroupID{clientsOf}, []vpc.VPCID{domain}
	addresses := make([]netip.Addr, r.ranges)
	m := make(ruleset.Members, r.ranges)
	for i := range addresses {
		addresses[i] = r.addr(i, ipv6)
		id := vpc.InterfaceID(fmt.Sprintf("eni-%017x", 0xc0000+i))
		m[id] = ruleset.Member{ID: id, Domains: domains, Addresses: addresses[i : i+1 : i+1], Groups: groups}
	}
	return m
}
