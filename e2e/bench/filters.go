package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// filter is one candidate.
type filter struct {
	name      string
	netfilter bool // bridged packets see the netfilter hooks, connections are nf_conntrack's
	filters   bool // what is not allowed is dropped
	// apply puts the filter in force in a world and returns what takes it away.
	apply func(w *world) (undo func() error, err error)
	// slow is by what the number of frames and flows is divided, so that a candidate that takes long
	// for each does not take most of the run; 0 is 1.
	slow uint32
}

// The names of candidates that goals speak of.
const (
	unfiltered = "none"
	nothing    = "empty programs"
	portAlone  = "a port alone"
	nftGood    = "nftables 60"
	ours       = "Sallyport 60"
	oursMany   = "Sallyport 960"
)

// candidates are measured in this order, turned by one with each repetition. The first is what the
// others are compared with.
func candidates(l layout) []filter {
	none := filter{name: unfiltered, apply: noFilter}
	empty := filter{name: nothing, apply: emptyPrograms}
	port := filter{name: portAlone, filters: true, apply: portPrograms}
	if l == routed {
		return []filter{none, empty, port, nftFilter(60), sallyportFilter(60, 0)}
	}
	return []filter{
		none, empty, port,
		nftFilter(60), nftFilter(960), nftLinear(60), nftLinear(960),
		iptablesFilter(60, 1), iptablesFilter(960, 1), iptablesFilter(60, 100),
		sallyportFilter(60, 0), sallyportFilter(960, 0), sallyportFilter(60, 1<<15),
	}
}

// The ports of the traffic.
const (
	framePort      = 8000 // UDP: the frames
	framePorts     = 64
	roundTripPort  = 8100 // UDP
	connectionPort = 9000 // TCP, and the next few
	throughputPort = 9020 // TCP
	closedPort     = 7000 // both: no rule of B allows it
	unsendablePort = 7    // both: no rule of A allows it
	lowestPort     = 100  // to which A may send
)

// allow is one of the rules of guest B, which all candidates share.
type allow struct {
	protocol vpc.Protocol
	from, to uint16
	cidr     netip.Prefix // or, if it is invalid, whoever is in group clients
}

// clients are the members of the group that two rules name. Guest A is none of them.
const clientCount = 1000

func clients(f family) (addrs []netip.Addr) {
	for i := range clientCount {
		a := netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)})
		if f == ipv6 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x99, 14: byte(i >> 8), 15: byte(i)})
		}
		addrs = append(addrs, a)
	}
	return addrs
}

// rules returns the n rules of a family: two for the traffic, two that name a group and are those of
// the other family, too, the others for neighbours of other subnets, each with a port of its own. The
// traffic's come last.
func rules(n int, f family) (list []allow) {
	list = []allow{
		{protocol: vpc.TCP, from: 443, to: 443},
		{protocol: vpc.UDP, from: 5000, to: 5009},
	}
	for i := range n - 4 {
		block := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i/200), byte(i % 200), 0}), 24)
		if f == ipv6 {
			block = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 1, 0, byte(i >> 8), byte(i)}), 64)
		}
		list = append(list, allow{protocol: vpc.TCP, from: 1000 + uint16(i), to: 1000 + uint16(i), cidr: block})
	}
	net := network[f]
	here := netip.PrefixFrom(net.a, net.routed).Masked()
	return append(list,
		allow{protocol: vpc.UDP, from: framePort, to: roundTripPort, cidr: here},
		allow{protocol: vpc.TCP, from: connectionPort, to: throughputPort, cidr: here})
}

func noFilter(*world) (func() error, error) { return func() error { return nil }, nil }

// emptyPrograms is the floor of any filter at these hooks: four programs that pass everything.
func emptyPrograms(w *world) (func() error, error) {
	all := asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}
	return attachPrograms(w, map[ebpf.AttachType]asm.Instructions{ebpf.AttachTCXIngress: all, ebpf.AttachTCXEgress: all})
}

// portPrograms is the floor of any filter that denies there: what goes to one port is dropped, by a look at
// nothing else.
func portPrograms(w *world) (func() error, error) {
	return attachPrograms(w, map[ebpf.AttachType]asm.Instructions{
		ebpf.AttachTCXIngress: dropPort(unsendablePort), ebpf.AttachTCXEgress: dropPort(closedPort),
	})
}

// dropPort drops TCP and UDP to a port, whose headers follow that of IP at once, and passes everything else.
func dropPort(port uint16) asm.Instructions {
	const (
		data, dataEnd = 76, 80 // in struct __sk_buff; source: linux/bpf.h
		etherType     = 12     // in a frame, and then where the port is
		port4, port6  = 14 + 20 + 2, 14 + 40 + 2
	)
	network := func(v uint16) int32 {
		return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
	}
	return asm.Instructions{
		asm.Mov.Imm(asm.R0, -1), // TC_ACT_UNSPEC
		asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, dataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, port6+2),
		asm.JGT.Reg(asm.R4, asm.R3, "over"),
		asm.LoadMem(asm.R5, asm.R2, etherType, asm.Half),
		asm.LoadMem(asm.R4, asm.R2, port4, asm.Half),
		asm.JEq.Imm(asm.R5, network(unix.ETH_P_IP), "look"),
		asm.JNE.Imm(asm.R5, network(unix.ETH_P_IPV6), "over"),
		asm.LoadMem(asm.R4, asm.R2, port6, asm.Half),
		asm.JNE.Imm(asm.R4, network(port), "over").WithSymbol("look"),
		asm.Mov.Imm(asm.R0, 2), // TC_ACT_SHOT
		asm.Return().WithSymbol("over"),
	}
}

// attachPrograms hangs a program on each of the four hooks that Sallyport uses.
func attachPrograms(w *world, of map[ebpf.AttachType]asm.Instructions) (func() error, error) {
	var made []io.Closer
	undo := func() error {
		var errs []error
		for _, m := range slices.Backward(made) {
			errs = append(errs, m.Close())
		}
		return errors.Join(errs...)
	}
	err := w.host.do(func() error {
		for hook, instructions := range of {
			program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "spt_bench_least", Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: instructions})
			if err != nil {
				return err
			}
			made = append(made, program)
			for _, device := range []int{w.deviceA, w.deviceB} {
				l, err := link.AttachTCX(link.TCXOptions{Interface: device, Program: program, Attach: hook})
				if err != nil {
					return err
				}
				made = append(made, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// pinsBase holds a directory of pins for each of our worlds.
const pinsBase = "/sys/fs/bpf/spt-bench"

// sallyportFilter is what an agent does with a View of n rules of each family: 60 are the most that one
// group has, so more of them are in more groups of the same interface. Its tables of connections have so many
// places, or, with 0, as many as by default.
func sallyportFilter(n int, places uint32) filter {
	name := fmt.Sprintf("Sallyport %d", n)
	if places > 0 {
		name += fmt.Sprintf(", %d places", places)
	}
	apply := func(w *world) (func() error, error) {
		pins := filepath.Join(pinsBase, fmt.Sprintf("%s-%d-%d", w.layout, n, places))
		var d *datapath.Datapath
		undo := func() error {
			return w.host.do(func() error {
				var err error
				if d != nil {
					err = d.Close()
				}
				return errors.Join(err, datapath.Purge(pins))
			})
		}
		err := w.host.do(func() (err error) {
			if d, err = datapath.Open(datapath.Options{Pins: pins, MaxHalfOpen: places}); err != nil {
				return err
			}
			return attachBoth(w, d, n)
		})
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		w.forget = func() error {
			return w.host.do(func() error {
				return errors.Join(d.Detach(w.deviceA), d.Detach(w.deviceB), attachBoth(w, d, n))
			})
		}
		return undo, nil
	}
	return filter{name: name, filters: true, apply: apply}
}

// attachBoth filters A and B by n rules of each family.
func attachBoth(w *world, d *datapath.Datapath, n int) error {
	return errors.Join(d.Attach(w.deviceA, hostA, eniA), d.Attach(w.deviceB, hostB, eniB), d.Apply(new(ruleset.Compiler).Compile(view(n))))
}

const (
	eniA      vpc.InterfaceID = "eni-0000000000000000a"
	eniB      vpc.InterfaceID = "eni-0000000000000000b"
	domain    vpc.VPCID       = "vpc-00000000000000001"
	openGroup vpc.GroupID     = "sg-00000000000000001" // lets A and B send
	clientsOf vpc.GroupID     = "sg-00000000000000002"
	mostRules                 = 60 // of one group and direction, EC2's quota
)

// view is a host's with both guests: A may send to nearly any port and receive nothing, B has n
// inbound rules of each family.
func view(n int) *ruleset.View {
	v := &ruleset.View{Revision: 1, Groups: map[vpc.GroupID]ruleset.Group{}, Members: map[vpc.InterfaceID]ruleset.Member{}}
	number := uint32(0)
	add := func(g vpc.GroupID, r vpc.Rule) {
		number++
		r.Number, r.ID = number, vpc.RuleID(fmt.Sprintf("sgr-%017x", number))
		v.Groups[g] = ruleset.Group{ID: g, Rules: append(v.Groups[g].Rules, r)}
	}
	for _, protocol := range []vpc.Protocol{vpc.TCP, vpc.UDP} {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			add(openGroup, vpc.Rule{
				Egress: true, Protocol: protocol, From: lowestPort, To: 65535, Peer: vpc.Peer{CIDR: netip.MustParsePrefix(all)},
			})
		}
	}
	groupsOfB := []vpc.GroupID{openGroup}
	for _, f := range []family{ipv4, ipv6} {
		for i, r := range rules(n, f) {
			g := vpc.GroupID(fmt.Sprintf("sg-%017x", 0xb00+i/mostRules))
			if i%mostRules == 0 && f == ipv4 {
				groupsOfB = append(groupsOfB, g)
			}
			peer := vpc.Peer{CIDR: r.cidr}
			if !r.cidr.IsValid() {
				if f == ipv6 {
					continue // IPv4's
				}
				peer = vpc.Peer{Group: clientsOf}
			}
			add(g, vpc.Rule{Protocol: r.protocol, From: int32(r.from), To: int32(r.to), Peer: peer})
		}
	}
	members4, members6 := clients(ipv4), clients(ipv6)
	for i := range clientCount {
		id := vpc.InterfaceID(fmt.Sprintf("eni-%017x", 0xc0000+i))
		v.Members[id] = ruleset.Member{
			ID: id, Domains: []vpc.VPCID{domain}, Addresses: []netip.Addr{members4[i], members6[i]}, Groups: []vpc.GroupID{clientsOf},
		}
	}
	eni := func(id vpc.InterfaceID, mac [6]byte, own, routers []netip.Addr, groups ...vpc.GroupID) ruleset.ENI {
		return ruleset.ENI{
			ID: id, Domain: domain, MAC: vpc.MAC(mac), Addresses: own, Routers: routers, Groups: groups, SourceDestCheck: true,
		}
	}
	n4, n6 := network[ipv4], network[ipv6]
	v.ENIs = map[vpc.InterfaceID]ruleset.ENI{
		eniA: eni(eniA, macA, []netip.Addr{n4.a, n6.a}, []netip.Addr{n4.routerA, n6.routerA}, openGroup),
		eniB: eni(eniB, macB, []netip.Addr{n4.b, n6.b}, []netip.Addr{n4.routerB, n6.routerB}, groupsOfB...),
	}
	return v
}

// forgetConnections makes the filter forget all flows: those of one kind of traffic would fill the tables of the next.
func (w *world) forgetConnections() error {
	if w.netfilter {
		return w.host.do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
	}
	if w.forget != nil {
		return w.forget()
	}
	return nil
}

func indexOf(device string) (int, error) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", device, err)
	}
	return l.Attrs().Index, nil
}
