package datapath_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/vpc"
)

// TestSecondOpinion: nftables with conntrack, told the same rules, lets the same packets of TCP, UDP and
// echo through, of connections that stand, begin or may not begin.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	ours, theirs := newRouter(t), newRouter(t)
	ours.do(func() { must(t, ours.d.Attach(ours.devices[eniA], "g0", eniA)) })
	passed, dropped := map[string]int{}, map[string]int{}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		rules := randomRules(r)
		ours.do(func() { // without what the last rules let through
			must(t, ours.d.Attach(ours.devices[eniA], "g0", ""))
			must(t, ours.d.Attach(ours.devices[eniA], "g0", eniA))
		})
		ours.apply(view(rules...))
		theirs.nft(rules)
		var conversations []*conversation
		for range 12 {
			conversations = append(conversations, randomConversation(r))
		}
		for range 60 {
			c := conversations[r.IntN(len(conversations))]
			f, fromGuest, what := c.next(r)
			ours.send(f, fromGuest)
			theirs.send(f, fromGuest)
			got, want := ours.arrives(10*time.Millisecond), theirs.arrives(10*time.Millisecond)
			if got != want { // or it is late
				got, want = got || ours.arrives(time.Second), want || theirs.arrives(time.Second)
			}
			if got != want {
				t.Fatalf("seed %d, from the guest %v, %s (%s): it passes %v, nftables says %v\n%s", seed, fromGuest, f, what, got, want, ruleText(rules))
			}
			if got {
				c.passed()
				passed[what]++
			} else {
				dropped[what]++
			}
		}
	}
	for _, what := range []string{"TCP begins", "TCP answers", "UDP begins", "UDP answers", "echo begins", "echo answers"} {
		for _, family := range []string{"4", "6"} {
			if passed[what+family] == 0 || dropped[what+family] == 0 && strings.HasSuffix(what, "begins") {
				t.Errorf("%s over IPv%s: %d passed, %d dropped: that says little", what, family, passed[what+family], dropped[what+family])
			}
		}
	}
}

// router is a host between a guest and a remote machine, who say nothing by themselves.
type router struct {
	*host
	sockets [2]int // at the guest's end and at the remote machine's
	sent    uint64
	mark    []byte // at the end of the last frame
	to      int    // the socket where it is to arrive
}

func newRouter(t *testing.T) *router {
	t.Helper()
	r := &router{host: newHost(t, datapath.Options{})}
	r.devices[eniA] = r.device("g0")
	r.device("r0")
	ends := &host{t: t, ns: newNamespace(t)}
	set := func(name, value string) { must(t, os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)) }
	r.do(func() {
		for _, name := range []string{"g0p", "r0p"} {
			l, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetNsFd(l, int(ends.ns)))
		}
	})
	ends.do(func() {
		set("ipv6/conf/all/disable_ipv6", "1")
		for i, end := range []struct {
			name string
			mac  vpc.MAC
		}{{"g0p", mac}, {"r0p", otherMAC}} {
			l, err := netlink.LinkByName(end.name)
			must(t, err)
			must(t, netlink.LinkSetHardwareAddr(l, end.mac[:]))
			must(t, netlink.LinkSetUp(l))
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})))
			must(t, err)
			t.Cleanup(func() { must(t, unix.Close(fd)) })
			must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}), Ifindex: l.Attrs().Index}))
			r.sockets[i] = fd
		}
	})
	r.do(func() {
		set("ipv4/ip_forward", "1")
		set("ipv6/conf/all/forwarding", "1")
		for _, side := range []struct {
			name      string
			mac       vpc.MAC
			addresses []string
			peers     []netip.Addr
			peer      vpc.MAC
		}{
			{"g0", routerMAC, []string{"10.0.0.1/24", "fd00:1:2:100::1/64"}, []netip.Addr{own4, own6}, mac},
			{"r0", vpc.MAC{2, 0, 0, 0, 0, 0x33}, []string{"198.51.100.1/24", "2001:db8:ffff::99/64"}, []netip.Addr{remote4, remote6}, otherMAC},
		} {
			l, err := netlink.LinkByName(side.name)
			must(t, err)
			must(t, netlink.LinkSetHardwareAddr(l, side.mac[:]))
			must(t, netlink.LinkSetUp(l))
			for _, a := range side.addresses {
				parsed, err := netlink.ParseAddr(a)
				must(t, err)
				parsed.Flags = unix.IFA_F_NODAD
				must(t, netlink.AddrAdd(l, parsed))
			}
			for _, a := range side.peers {
				must(t, netlink.NeighSet(&netlink.Neigh{
					LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: side.peer[:],
				}))
			}
		}
	})
	return r
}

// nft tells nftables the rules, and forgets all connections.
func (r *router) nft(rules []vpc.Rule) {
	r.t.Helper()
	var b strings.Builder
	b.WriteString("flush ruleset\ntable inet t {\n chain f {\n  type filter hook forward priority 0; policy drop;\n  ct state established accept\n")
	for _, rule := range rules {
		device, end, family := `iifname "r0"`, "saddr", "ip"
		if rule.Egress {
			device, end = `iifname "g0"`, "daddr"
		}
		if rule.Peer.CIDR.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "  %s %s %s %s ", device, family, end, rule.Peer.CIDR)
		switch rule.Protocol {
		case vpc.TCP:
			fmt.Fprintf(&b, "tcp dport %d-%d", rule.From, rule.To)
		case vpc.UDP:
			fmt.Fprintf(&b, "udp dport %d-%d", rule.From, rule.To)
		case vpc.ICMP:
			b.WriteString("icmp type echo-request")
		case vpc.ICMPv6:
			b.WriteString("icmpv6 type echo-request")
		}
		b.WriteString(" ct state new accept\n")
	}
	b.WriteString(" }\n}\n")
	r.do(func() {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(b.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("nft: %v\n%s\n%s", err, out, b.String())
		}
		// Checksums of the test's packets are left out, as by cards that write them later.
		must(r.t, os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_checksum", []byte("0"), 0))
		for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, everyFlow{})
			must(r.t, err)
		}
	})
}

// everyFlow matches all.
type everyFlow struct{}

func (everyFlow) MatchConntrackFlow(*netlink.ConntrackFlow) bool { return true }

// send sends a frame from one side.
func (r *router) send(f frame, fromGuest bool) {
	r.t.Helper()
	r.sent++
	r.mark = binary.BigEndian.AppendUint64([]byte("sallyport"), r.sent)
	f.data = r.mark
	f.srcMAC, f.dstMAC = otherMAC, vpc.MAC{2, 0, 0, 0, 0, 0x33}
	from := r.sockets[1]
	r.to = r.sockets[0]
	if fromGuest {
		f.srcMAC, f.dstMAC = mac, routerMAC
		from, r.to = r.to, from
	}
	b := f.bytes()
	if f.src.Is4() {
		binary.BigEndian.PutUint16(b[24:], ipv4Checksum(b[14:34]))
	}
	if _, err := unix.Write(from, b); err != nil {
		r.t.Fatalf("send %s: %v", f, err)
	}
}

// arrives says whether the frame that was sent last is at the other side, or gets there in time. A veth
// hands it over before send returns.
func (r *router) arrives(within time.Duration) bool {
	r.t.Helper()
	got := make([]byte, 2048)
	for end := time.Now().Add(within); ; {
		n, _, err := unix.Recvfrom(r.to, got, unix.MSG_DONTWAIT)
		switch {
		case err == nil && n > len(r.mark) && string(got[n-len(r.mark):n]) == string(r.mark):
			return true
		case err == nil:
		case !errors.Is(err, unix.EAGAIN):
			r.t.Fatalf("receive: %v", err)
		case time.Now().After(end):
			return false
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

func ipv4Checksum(header []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		if i != 10 {
			sum += uint32(binary.BigEndian.Uint16(header[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func randomRules(r *rand.Rand) (rules []vpc.Rule) {
	cidrs := []string{"0.0.0.0/0", "198.51.100.0/24", "198.51.100.7/32", "203.0.113.0/24", "::/0", "2001:db8::/32", "2001:db8:ffff::1/128", "fd00::/8"}
	for range 4 + r.IntN(8) {
		cidr := cidrs[r.IntN(len(cidrs))]
		protocol, from, to := []vpc.Protocol{vpc.TCP, vpc.UDP, vpc.ICMP}[r.IntN(3)], int32(0), int32(65535)
		switch {
		case protocol == vpc.ICMP:
			from, to = 8, 0
			if strings.Contains(cidr, ":") {
				protocol, from = vpc.ICMPv6, 128
			}
		case r.IntN(3) > 0:
			from = []int32{0, 53, 80, 1000}[r.IntN(4)]
			to = from + []int32{0, 1, 900}[r.IntN(3)]
		}
		rules = append(rules, rule(r.IntN(2) == 0, protocol, from, to, cidr))
	}
	for i := range rules {
		rules[i].Number = uint32(i + 1)
	}
	return rules
}

func ruleText(rules []vpc.Rule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "rule %d: egress %v protocol %d %d-%d %s\n", r.Number, r.Egress, r.Protocol, r.From, r.To, r.Peer.CIDR)
	}
	return b.String()
}

// conversation is a flow whose packets come in their order: what comes next depends on what has passed.
type conversation struct {
	protocol   uint8
	v6         bool
	byGuest    bool
	port, from uint16 // of the side that is asked, and of the one that asks
	step       int
}

func randomConversation(r *rand.Rand) *conversation {
	return &conversation{
		protocol: []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP}[r.IntN(3)], v6: r.IntN(2) == 0, byGuest: r.IntN(2) == 0,
		port: []uint16{53, 54, 80, 81, 1000, 1500}[r.IntN(6)], from: uint16(2000 + r.IntN(50000)),
	}
}

func (c *conversation) passed() { c.step++ }

// next is the frame that comes next: the beginning until it has passed, then answers and more.
func (c *conversation) next(r *rand.Rand) (f frame, fromGuest bool, what string) {
	answer := c.step == 1 || c.step > 1 && r.IntN(2) == 0
	if c.protocol == unix.IPPROTO_TCP && c.step == 2 {
		answer = false
	}
	src, dst := remote4, own4
	if c.v6 {
		src, dst = remote6, own6
	}
	if c.byGuest != answer {
		src, dst = dst, src
	}
	kind := map[bool]string{false: " begins", true: " answers"}[answer]
	if c.step > 0 && !answer {
		kind = " goes on"
	}
	family := map[bool]string{false: "4", true: "6"}[c.v6]
	srcPort, dstPort := c.from, c.port
	if answer {
		srcPort, dstPort = dstPort, srcPort
	}
	switch c.protocol {
	case unix.IPPROTO_TCP:
		flags := uint8(ack)
		switch c.step {
		case 0:
			flags = syn
		case 1:
			flags = syn | ack
		}
		f = tcp(src, dst, srcPort, dstPort, flags)
		f.mangle = numbers(c.step, answer)
		return f, c.byGuest != answer, "TCP" + kind + family
	case unix.IPPROTO_UDP:
		return udp(src, dst, srcPort, dstPort), c.byGuest != answer, "UDP" + kind + family
	}
	types := [2]uint8{8, 0}
	if c.v6 {
		types = [2]uint8{128, 129}
	}
	icmpType := types[0]
	if answer {
		icmpType = types[1]
	}
	return icmp(src, dst, icmpType, 0, c.from), c.byGuest != answer, "echo" + kind + family
}

// numbers gives a TCP segment sequence numbers that conntrack believes.
func numbers(step int, answer bool) func([]byte) []byte {
	return func(b []byte) []byte {
		at := 14 + 20
		if b[12] == 0x86 {
			at = 14 + 40
		}
		seq, acked := uint32(1000), uint32(5001)
		if answer {
			seq, acked = 5000, 1001
		}
		switch {
		case step == 0:
			acked = 0
		case step > 1:
			seq++
		}
		binary.BigEndian.PutUint32(b[at+4:], seq)
		binary.BigEndian.PutUint32(b[at+8:], acked)
		return b
	}
}
