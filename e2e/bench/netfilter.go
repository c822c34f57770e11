package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// feed runs a command in the host's namespace of a world with a text as its input.
func (w *world) feed(input, command string, args ...string) error {
	return w.host.do(func() error {
		cmd := exec.Command(command, args...)
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
		}
		return nil
	})
}

// nothingToUndo: tables and sets go with their namespace.
func nothingToUndo() error { return nil }

// nftFilter is nftables as a careful administrator writes it for bridged guests: connection tracking
// first, in one lookup; the guests' chains found by a verdict map; rules as sets of address,
// protocol and port. Nothing of it is linear in the rules. It checks no addresses of senders, which
// Sallyport does.
func nftFilter(n int) filter {
	sets := func(s *strings.Builder) {
		var groupPorts []string
		for _, f := range []family{ipv4, ipv6} {
			var blocks []string
			for _, r := range rules(n, f) {
				port := fmt.Sprintf("%s . %s", r.protocol, r.ports("-"))
				if r.cidr.IsValid() {
					blocks = append(blocks, fmt.Sprintf("%s . %s", r.cidr, port))
				} else if f == ipv4 {
					groupPorts = append(groupPorts, port)
				}
			}
			fmt.Fprintf(s, "set blocks_%s { type %s . inet_proto . inet_service; flags interval; elements = { %s } }\n",
				nftFamily[f], nftType[f], strings.Join(blocks, ", "))
		}
		fmt.Fprintf(s, "set client_ports { type inet_proto . inet_service; flags interval; elements = { %s } }\n", strings.Join(groupPorts, ", "))
	}
	chain := func(s *strings.Builder, f family) {
		fmt.Fprintf(s, "%[1]s saddr . meta l4proto . th dport @blocks_%[1]s accept\n", nftFamily[f])
		fmt.Fprintf(s, "%[1]s saddr @clients_%[1]s meta l4proto . th dport @client_ports accept\n", nftFamily[f])
	}
	return nft(filter{name: fmt.Sprintf("nftables %d", n)}, sets, chain)
}

// nftLinear is the same with a line for each rule.
func nftLinear(n int) filter {
	chain := func(s *strings.Builder, f family) {
		for _, r := range rules(n, f) {
			peer := "@clients_" + nftFamily[f]
			if r.cidr.IsValid() {
				peer = r.cidr.String()
			}
			fmt.Fprintf(s, "%s saddr %s %s dport %s accept\n", nftFamily[f], peer, r.protocol, r.ports("-"))
		}
	}
	fl := filter{name: fmt.Sprintf("nftables linear %d", n)}
	if n > 100 {
		fl.slow = 8
	}
	return nft(fl, func(*strings.Builder) {}, chain)
}

// The families, as nft names them and the type of their addresses.
var (
	nftFamily = map[family]string{ipv4: "ip", ipv6: "ip6"}
	nftType   = map[family]string{ipv4: "ipv4_addr", ipv6: "ipv6_addr"}
)

// ports is the rule's port or range of ports.
func (r allow) ports(separator string) string {
	if r.from == r.to {
		return fmt.Sprint(r.from)
	}
	return fmt.Sprintf("%d%s%d", r.from, separator, r.to)
}

// nft is what both kinds of nftables share; sets adds further sets, chain writes the rules of B.
func nft(f filter, sets func(*strings.Builder), chain func(*strings.Builder, family)) filter {
	f.netfilter, f.filters = true, true
	f.apply = func(w *world) (func() error, error) {
		s := new(strings.Builder)
		fmt.Fprintln(s, "table inet bench {")
		sets(s)
		for f, name := range nftFamily {
			fmt.Fprintf(s, "set clients_%s { type %s; elements = { %s } }\n", name, nftType[f], join(clients(f), ", "))
			fmt.Fprintf(s, "chain b_ingress_%s {\n", name)
			chain(s, f)
			fmt.Fprint(s, "drop\n}\n")
		}
		four, six := network[ipv4], network[ipv6]
		fmt.Fprintf(s, `
	chain a_egress {
		meta l4proto . th dport { tcp . %[1]d-65535, udp . %[1]d-65535 } return
		drop
	}
	chain b_egress { return; }
	chain a_ingress { drop; }
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr vmap { %[2]s : jump a_egress, %[3]s : jump b_egress }
		ip daddr vmap { %[2]s : jump a_ingress, %[3]s : jump b_ingress_ip }
		ip6 saddr vmap { %[4]s : jump a_egress, %[5]s : jump b_egress }
		ip6 daddr vmap { %[4]s : jump a_ingress, %[5]s : jump b_ingress_ip6 }
	}
}
`, lowestPort, four.a, four.b, six.a, six.b)
		return nothingToUndo, w.feed(s.String(), "nft", "-f", "-")
	}
	return f
}

func join(addrs []netip.Addr, separator string) string {
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return strings.Join(list, separator)
}

// iptablesFilter is iptables with ipset in the shape that OpenStack's Neutron gives it for ports on
// bridges (its hybrid driver): connection tracking zones by port, two chains that list the host's
// ports one after the other, a chain for each port and direction with a line for each rule, a chain
// for its addresses, groups as ipsets. Of pairs of ports like our two ours is the last, as Neutron
// sorts them by name. Left out are its comments.
// Source: neutron/agent/linux/iptables_firewall.py and iptables_manager.py of openstack/neutron.
func iptablesFilter(n, pairs int) filter {
	f := filter{name: fmt.Sprintf("iptables %d", n), netfilter: true, filters: true}
	if n > 100 {
		f.slow = 4
	}
	if pairs > 1 {
		f.name, f.slow = fmt.Sprintf("%s, %d port pairs", f.name, pairs), 16
	}
	f.apply = func(w *world) (func() error, error) {
		for f, command := range map[family]string{ipv4: "iptables-legacy-restore", ipv6: "ip6tables-legacy-restore"} {
			var set strings.Builder
			fmt.Fprintf(&set, "create %s hash:net family %s\n", clientSet[f], map[family]string{ipv4: "inet", ipv6: "inet6"}[f])
			for _, a := range clients(f) {
				fmt.Fprintf(&set, "add %s %s\n", clientSet[f], a)
			}
			if err := errors.Join(w.feed(set.String(), "ipset", "restore"), w.feed(iptablesRules(n, pairs, f), command)); err != nil {
				return nothingToUndo, err
			}
		}
		return nothingToUndo, nil
	}
	return f
}

var clientSet = map[family]string{ipv4: "NIPv4clients", ipv6: "NIPv6clients"}

// neutronPort is one port as Neutron's chains know it.
type neutronPort struct {
	device  string
	mac     [6]byte
	addr    netip.Addr
	ingress []string // rules that let in
	egress  []string // rules that let out
}

func iptablesRules(n, pairs int, f family) string {
	inbound := func(n int) (list []string) {
		for _, r := range rules(n, f) {
			peer := "-m set --match-set " + clientSet[f] + " src"
			port := fmt.Sprintf("-p %[1]s -m %[1]s --dport %[2]s", r.protocol, r.ports(":"))
			if r.from != r.to {
				port = fmt.Sprintf("-p %[1]s -m %[1]s -m multiport --dports %[2]s", r.protocol, r.ports(":"))
			}
			if r.cidr.IsValid() {
				list = append(list, fmt.Sprintf("-s %s %s -j RETURN", r.cidr, port))
			} else {
				list = append(list, fmt.Sprintf("%s %s -j RETURN", port, peer))
			}
		}
		return list
	}
	outbound := []string{
		fmt.Sprintf("-p tcp -m tcp -m multiport --dports %d:65535 -j RETURN", lowestPort),
		fmt.Sprintf("-p udp -m udp -m multiport --dports %d:65535 -j RETURN", lowestPort),
	}
	net := network[f]
	var ports []neutronPort
	for i := range pairs - 1 { // no device has these names
		a := netip.AddrFrom4([4]byte{10, 76, byte(i), 1})
		if f == ipv6 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x76, 14: byte(i), 15: 1})
		}
		mac := [6]byte{2, 0, 0, 0, 0x76, byte(i)}
		ports = append(ports,
			neutronPort{device: fmt.Sprintf("tap%da", i), mac: mac, addr: a, egress: outbound},
			neutronPort{device: fmt.Sprintf("tap%db", i), mac: mac, addr: a.Next(), ingress: inbound(4), egress: outbound})
	}
	ports = append(ports, neutronPort{device: hostA, mac: macA, addr: net.a, egress: outbound},
		neutronPort{device: hostB, mac: macB, addr: net.b, ingress: inbound(n), egress: []string{"-j RETURN"}})

	raw, filter := new(strings.Builder), new(strings.Builder)
	rule := func(to *strings.Builder, chain string, lines ...string) {
		for _, line := range lines {
			fmt.Fprintf(to, "-A %s %s\n", chain, line)
		}
	}
	fmt.Fprint(raw, "*raw\n:agent-PREROUTING - [0:0]\n-A PREROUTING -j agent-PREROUTING\n")
	fmt.Fprint(filter, "*filter\n:neutron-filter-top - [0:0]\n:agent-local - [0:0]\n:agent-FORWARD - [0:0]\n"+
		":agent-sg-chain - [0:0]\n:agent-sg-fallback - [0:0]\n"+
		"-A FORWARD -j neutron-filter-top\n-A FORWARD -j agent-FORWARD\n-A neutron-filter-top -j agent-local\n-A agent-sg-fallback -j DROP\n")
	var forward []string // each port's come before those of the one before
	for _, p := range ports {
		in, out, spoof := "agent-i"+p.device, "agent-o"+p.device, "agent-s"+p.device
		fmt.Fprintf(filter, ":%s - [0:0]\n:%s - [0:0]\n:%s - [0:0]\n", in, out, spoof)
		rule(raw, "agent-PREROUTING", "-m physdev --physdev-in qvb"+p.device+" -j CT --zone 1",
			"-i qvb"+p.device+" -j CT --zone 1", "-m physdev --physdev-in "+p.device+" -j CT --zone 1")
		to, from := "-m physdev --physdev-out "+p.device+" --physdev-is-bridged", "-m physdev --physdev-in "+p.device+" --physdev-is-bridged"
		forward = append([]string{from + " -j agent-sg-chain", to + " -j agent-sg-chain"}, forward...)
		rule(filter, "agent-sg-chain", to+" -j "+in, from+" -j "+out)

		if f == ipv6 {
			for _, kind := range []int{130, 135, 136} {
				rule(filter, in, fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN", kind))
			}
		}
		rule(filter, in, "-m state --state RELATED,ESTABLISHED -j RETURN")
		rule(filter, in, p.ingress...)
		rule(filter, in, "-m state --state INVALID -j DROP", "-j agent-sg-fallback")

		mac := fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", p.mac[0], p.mac[1], p.mac[2], p.mac[3], p.mac[4], p.mac[5])
		rule(filter, spoof, fmt.Sprintf("-s %s -m mac --mac-source %s -j RETURN", p.addr, mac), "-j DROP")
		if f == ipv4 {
			rule(filter, out, "-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -j RETURN", "-j "+spoof,
				"-p udp -m udp --sport 68 --dport 67 -j RETURN", "-p udp -m udp --sport 67 --dport 68 -j DROP")
		} else {
			for _, kind := range []int{131, 135, 143} {
				rule(filter, out, fmt.Sprintf("-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN", kind))
			}
			rule(filter, out, "-j "+spoof, "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j DROP", "-p ipv6-icmp -j RETURN",
				"-p udp -m udp --sport 546 --dport 547 -j RETURN", "-p udp -m udp --sport 547 --dport 546 -j DROP")
		}
		rule(filter, out, "-m state --state RELATED,ESTABLISHED -j RETURN")
		rule(filter, out, p.egress...)
		rule(filter, out, "-m state --state INVALID -j DROP", "-j agent-sg-fallback")
	}
	rule(filter, "agent-FORWARD", forward...)
	rule(filter, "agent-sg-chain", "-j ACCEPT")
	return raw.String() + "COMMIT\n" + filter.String() + "COMMIT\n"
}
