package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

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
}

// candidates are measured in this order, turned by one with each repetition. The first is what the
// others are compared with.
func candidates(l layout) []filter {
	none := filter{name: "none", apply: noFilter}
	if l == routed {
		return []filter{none, nftFilter(60), sallyportFilter(60)}
	}
	return []filter{
		none,
		{name: "empty programs", apply: emptyPrograms},
		nftFilter(60), nftFilter(960), sallyportFilter(60), sallyportFilter(960),
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

// allow is one of the rules of guest B, which the nftables and the Sallyport candidates share.
type allow struct {
	protocol vpc.Protocol
	from, to uint16
	cidr     netip.Prefix // or, if it is invalid, whoever is in group clients
}

// clients are the members of the group that two rules name. Guest A is none of them.
const clientCount = 1000

func clients() (addrs []netip.Addr) {
	for i := range clientCount {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)}))
	}
	return addrs
}

// rules returns n rules: two for the traffic, two that name a group, the others for neighbours of
// other subnets, each with a port of its own. The traffic's come last.
func rules(n int) (list []allow) {
	list = []allow{
		{protocol: vpc.TCP, from: 443, to: 443},
		{protocol: vpc.UDP, from: 5000, to: 5009},
	}
	for i := range n - 4 {
		list = append(list, allow{
			protocol: vpc.TCP, from: 1000 + uint16(i), to: 1000 + uint16(i),
			cidr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i/200), byte(i % 200), 0}), 24),
		})
	}
	here := netip.PrefixFrom(addrA, 24).Masked()
	return append(list,
		allow{protocol: vpc.UDP, from: framePort, to: roundTripPort, cidr: here},
		allow{protocol: vpc.TCP, from: connectionPort, to: throughputPort, cidr: here})
}

func noFilter(*world) (func() error, error) { return func() error { return nil }, nil }

// emptyPrograms is the floor of any filter at these hooks: four programs that pass everything.
func emptyPrograms(w *world) (func() error, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "spt_bench_empty", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	var links []link.Link
	undo := func() error {
		var errs []error
		for _, l := range links {
			errs = append(errs, l.Close())
		}
		return errors.Join(append(errs, program.Close())...)
	}
	err = w.host.do(func() error {
		for _, device := range []int{w.deviceA, w.deviceB} {
			for _, hook := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				l, err := link.AttachTCX(link.TCXOptions{Interface: device, Program: program, Attach: hook})
				if err != nil {
					return err
				}
				links = append(links, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// nftFilter is nftables as a careful administrator writes it for bridged guests: connection tracking
// first, in one lookup; the guests' chains found by a verdict map; rules as sets of address,
// protocol and port. Nothing of it is linear in the rules. It checks no addresses of senders, which
// Sallyport does.
func nftFilter(n int) filter {
	apply := func(w *world) (func() error, error) {
		err := w.host.do(func() error {
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader(nftRules(n))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("nft -f -: %w: %s", err, bytes.TrimSpace(out))
			}
			return nil
		})
		return func() error { return nil }, err
	}
	return filter{name: fmt.Sprintf("nftables %d", n), netfilter: true, filters: true, apply: apply}
}

func nftRules(n int) string {
	var blocks, groupPorts, members []string
	for _, r := range rules(n) {
		port := fmt.Sprintf("%s . %d-%d", r.protocol, r.from, r.to)
		if r.from == r.to {
			port = fmt.Sprintf("%s . %d", r.protocol, r.from)
		}
		if r.cidr.IsValid() {
			blocks = append(blocks, fmt.Sprintf("%s . %s", r.cidr, port))
		} else {
			groupPorts = append(groupPorts, port)
		}
	}
	for _, a := range clients() {
		members = append(members, a.String())
	}
	return fmt.Sprintf(`
table inet bench {
	set clients { type ipv4_addr; elements = { %[1]s } }
	set b_blocks { type ipv4_addr . inet_proto . inet_service; flags interval; elements = { %[2]s } }
	set b_clients { type inet_proto . inet_service; flags interval; elements = { %[3]s } }
	chain a_egress {
		meta l4proto . th dport { tcp . %[6]d-65535, udp . %[6]d-65535 } return
		drop
	}
	chain b_egress { return; }
	chain a_ingress { drop; }
	chain b_ingress {
		ip saddr . meta l4proto . th dport @b_blocks accept
		ip saddr @clients meta l4proto . th dport @b_clients accept
		drop
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr vmap { %[4]s : jump a_egress, %[5]s : jump b_egress }
		ip daddr vmap { %[4]s : jump a_ingress, %[5]s : jump b_ingress }
	}
}
`, strings.Join(members, ", "), strings.Join(blocks, ", "), strings.Join(groupPorts, ", "), addrA, addrB, lowestPort)
}

// pinsBase holds a directory of pins for each of our worlds.
const pinsBase = "/sys/fs/bpf/spt-bench"

// sallyportFilter is what an agent does with a View of n rules: 60 rules are the most that one group
// has, so more of them are in more groups of the same interface.
func sallyportFilter(n int) filter {
	apply := func(w *world) (func() error, error) {
		pins := filepath.Join(pinsBase, fmt.Sprintf("%s-%d", w.layout, n))
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
			if d, err = datapath.Open(datapath.Options{Pins: pins}); err != nil {
				return err
			}
			if err := d.Attach(w.deviceA, hostA, eniA); err != nil {
				return err
			}
			if err := d.Attach(w.deviceB, hostB, eniB); err != nil {
				return err
			}
			return d.Apply(new(ruleset.Compiler).Compile(view(n)))
		})
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		return undo, nil
	}
	return filter{name: fmt.Sprintf("Sallyport %d", n), filters: true, apply: apply}
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
// inbound rules.
func view(n int) *ruleset.View {
	v := &ruleset.View{Revision: 1, Groups: map[vpc.GroupID]ruleset.Group{}, Members: map[vpc.InterfaceID]ruleset.Member{}}
	number := uint32(0)
	add := func(g vpc.GroupID, r vpc.Rule) {
		number++
		r.Number, r.ID = number, vpc.RuleID(fmt.Sprintf("sgr-%017x", number))
		v.Groups[g] = ruleset.Group{ID: g, Rules: append(v.Groups[g].Rules, r)}
	}
	for _, protocol := range []vpc.Protocol{vpc.TCP, vpc.UDP} {
		add(openGroup, vpc.Rule{
			Egress: true, Protocol: protocol, From: lowestPort, To: 65535,
			Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")},
		})
	}
	groupsOfB := []vpc.GroupID{openGroup}
	for i, r := range rules(n) {
		g := vpc.GroupID(fmt.Sprintf("sg-%017x", 0xb00+i/mostRules))
		if i%mostRules == 0 {
			groupsOfB = append(groupsOfB, g)
		}
		peer := vpc.Peer{CIDR: r.cidr}
		if !r.cidr.IsValid() {
			peer = vpc.Peer{Group: clientsOf}
		}
		add(g, vpc.Rule{Protocol: r.protocol, From: int32(r.from), To: int32(r.to), Peer: peer})
	}
	for i, a := range clients() {
		id := vpc.InterfaceID(fmt.Sprintf("eni-%017x", 0xc0000+i))
		v.Members[id] = ruleset.Member{
			ID: id, Domains: []vpc.VPCID{domain}, Addresses: []netip.Addr{a}, Groups: []vpc.GroupID{clientsOf},
		}
	}
	eni := func(id vpc.InterfaceID, mac [6]byte, a, router netip.Addr, groups ...vpc.GroupID) ruleset.ENI {
		return ruleset.ENI{
			ID: id, Domain: domain, MAC: vpc.MAC(mac), Addresses: []netip.Addr{a}, Routers: []netip.Addr{router},
			Groups: groups, SourceDestCheck: true,
		}
	}
	v.ENIs = map[vpc.InterfaceID]ruleset.ENI{
		eniA: eni(eniA, macA, addrA, routerA, openGroup), eniB: eni(eniB, macB, addrB, routerB, groupsOfB...),
	}
	return v
}

// forgetConnections empties nf_conntrack of a world, whose flows would fill it: it holds 262,144.
func (w *world) forgetConnections() error {
	if !w.netfilter {
		return nil
	}
	return w.host.do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
}

func indexOf(device string) (int, error) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", device, err)
	}
	return l.Attrs().Index, nil
}
