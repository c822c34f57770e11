package datapath_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// guest is a namespace at the other end of a filtered veth, with the addresses of eniA.
type guest struct {
	*host
	ns netns.NsHandle
}

// newGuest connects a guest to a host that is its router, and attaches the host's side.
func newGuest(t *testing.T, o datapath.Options) *guest {
	t.Helper()
	g := &guest{host: newHost(t, o)}
	g.devices[eniA] = g.device("g0")
	func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		old, err := netns.Get()
		must(t, err)
		defer old.Close()
		g.ns, err = netns.New()
		must(t, err)
		must(t, netns.Set(old))
	}()
	t.Cleanup(func() { must(t, g.ns.Close()) })
	setUp := func(name string, hardware vpc.MAC, addresses ...string) {
		l, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetHardwareAddr(l, hardware[:]))
		for _, a := range addresses {
			parsed, err := netlink.ParseAddr(a)
			must(t, err)
			parsed.Flags = unix.IFA_F_NODAD
			must(t, netlink.AddrAdd(l, parsed))
		}
		must(t, netlink.LinkSetUp(l))
	}
	g.do(func() {
		must(t, g.d.Attach(g.devices[eniA], "g0", eniA))
		peer, err := netlink.LinkByName("g0p")
		must(t, err)
		must(t, netlink.LinkSetNsFd(peer, int(g.ns)))
		setUp("g0", routerMAC, "10.0.0.1/24", "fd00:1:2:100::1/64")
	})
	g.inside(func() { setUp("g0p", mac, "10.0.0.11/24", "fd00:1:2:100::11/64") })
	return g
}

// inside runs f in the guest.
func (g *guest) inside(f func()) {
	outer := *g.host
	outer.ns = g.ns
	outer.do(f)
}

// connect opens a connection from one side to a listener on the other and says how it went. The
// listener is there either way, so that only the filter decides.
func (g *guest) connect(toGuest bool, to netip.AddrPort, timeout time.Duration) error {
	g.t.Helper()
	here, there := g.inside, g.do
	if toGuest {
		here, there = g.do, g.inside
	}
	var listener net.Listener
	there(func() {
		var err error
		listener, err = net.Listen("tcp", to.String())
		must(g.t, err)
	})
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	var err error
	here(func() {
		// The socket is made on this thread, in this namespace: no other goroutine dials.
		d := net.Dialer{Timeout: timeout, FallbackDelay: -1}
		var c net.Conn
		if c, err = d.DialContext(context.Background(), "tcp", to.String()); err != nil {
			return
		}
		defer c.Close()
		must(g.t, c.SetDeadline(time.Now().Add(time.Minute)))
		// Much enough for segmentation offload.
		sent := make([]byte, 1<<20)
		go func() { _, _ = c.Write(sent) }()
		_, err = io.ReadFull(c, make([]byte, len(sent)))
	})
	return err
}

// stream is an open connection to a guest.
type stream struct {
	t    testing.TB
	conn net.Conn
}

// dial opens a connection from the host to a server in the guest that answers with what it gets.
func (g *guest) dial(to netip.AddrPort) stream {
	g.t.Helper()
	g.inside(func() {
		listener, err := net.Listen("tcp", to.String())
		must(g.t, err)
		go func() {
			c, err := listener.Accept()
			_ = listener.Close()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
	})
	s := stream{t: g.t}
	g.do(func() {
		d := net.Dialer{Timeout: 10 * time.Second}
		var err error
		s.conn, err = d.DialContext(context.Background(), "tcp", to.String())
		must(g.t, err)
	})
	g.t.Cleanup(func() { _ = s.conn.Close() })
	must(g.t, s.echo())
	return s
}

// echo says whether a byte comes back within some seconds.
func (s stream) echo() error { return s.echoFor(5 * time.Second) }

func (s stream) echoFor(wait time.Duration) error {
	must(s.t, s.conn.SetDeadline(time.Now().Add(wait)))
	b := []byte{1}
	if _, err := s.conn.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(s.conn, b)
	return err
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestEndsOnTheWire: what real sides send to end a connection is believed, with data under way too.
func TestEndsOnTheWire(t *testing.T) {
	t.Parallel()
	g := newGuest(t, datapath.Options{})
	g.apply(view(rule(false, vpc.TCP, 80, 80, "10.0.0.0/24")))
	closed := func() int {
		n, err := g.d.Closed(eniA)
		must(t, err)
		return n
	}
	want := 0
	for range 5 {
		for name, end := range map[string]func(*net.TCPConn){
			"FIN":             func(*net.TCPConn) {},
			"FIN behind data": func(c *net.TCPConn) { _, _ = c.Write(make([]byte, 100_000)) },
			"RST":             func(c *net.TCPConn) { must(t, c.SetLinger(0)) },
			"RST behind data": func(c *net.TCPConn) {
				_, _ = c.Write(make([]byte, 100_000))
				must(t, c.SetLinger(0))
			},
		} {
			c := g.dial(netip.AddrPortFrom(own4, 80)).conn.(*net.TCPConn)
			end(c)
			must(t, c.Close())
			want++
			for until := time.Now().Add(time.Minute); closed() != want; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(until) {
					t.Fatalf("%s: %d connections have ended after a minute, want %d", name, closed(), want)
				}
			}
		}
	}
}

// TestOnTheWire lets real packets decide, with both ways to attach and both families.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			g := newGuest(t, datapath.Options{Attach: mode})
			open := func(want bool, toGuest bool, a netip.Addr, port uint16) {
				t.Helper()
				timeout := 500 * time.Millisecond
				if want {
					timeout = 10 * time.Second // the kernel may just have given up on a neighbour
				}
				err := g.connect(toGuest, netip.AddrPortFrom(a, port), timeout)
				if (err == nil) != want || (err != nil && !isTimeout(err)) {
					t.Errorf("to guest %v, %s:%d: %v, want it open: %v (in silence if not)", toGuest, a, port, err, want)
				}
			}
			open(false, true, own4, 80)
			open(false, false, router6, 80)
			g.apply(view(
				rule(false, vpc.TCP, 80, 80, "10.0.0.0/24"), rule(false, vpc.TCP, 80, 80, "fd00:1:2:100::/64"),
				rule(true, vpc.TCP, 443, 443, "0.0.0.0/0"), rule(true, vpc.TCP, 443, 443, "::/0"),
			))
			for _, a := range []netip.Addr{own4, own6} {
				open(true, true, a, 80)
				open(false, true, a, 81)
			}
			for _, a := range []netip.Addr{router4, router6} {
				open(true, false, a, 443)
				open(false, false, a, 80)
			}
			g.restart()
			g.apply(view(rule(false, vpc.TCP, 80, 80, "10.0.0.0/24")))
			open(true, true, own4, 80)
			open(false, true, own6, 80)
			open(false, false, router4, 443)
		})
	}
}

// TestFramesOnTheWire sends what PROG_TEST_RUN cannot: tags that the kernel takes out of the frame
// before the program sees it, and packets that end in their IP header.
func TestFramesOnTheWire(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			g := newGuest(t, datapath.Options{Attach: mode})
			g.apply(view(allowAll()...))
			out4, out6 := tcp(own4, remote4, 1000, 80, syn), tcp(own6, remote6, 1000, 80, syn)
			tagged := append([]byte{0, 5, 8, 0}, out4.ip()...)
			for _, tt := range []struct {
				frame frame
				want  ruleset.Reason
			}{
				{out4, ruleset.ReasonRule},
				{frame{what: "VLAN", etherType: unix.ETH_P_8021Q, payload: tagged}, ruleset.ReasonEtherType},
				{frame{what: "VLAN 0", etherType: unix.ETH_P_8021Q, payload: append([]byte{0, 0, 8, 0}, out4.ip()...)}, ruleset.ReasonEtherType},
				{frame{what: "QinQ", etherType: unix.ETH_P_8021AD, payload: append([]byte{0, 5, 0x81, 0}, tagged...)}, ruleset.ReasonEtherType},
				{out4.with("cut in the IPv4 header", func(f *frame) { f.mangle = cut(14 + 12) }), ruleset.ReasonMalformed},
				{out6.with("cut in the IPv6 header", func(f *frame) { f.mangle = cut(14 + 30) }), ruleset.ReasonMalformed},
				{frame{what: "ARP of nothing", etherType: unix.ETH_P_ARP, payload: []byte{0}}, ruleset.ReasonMalformed},
				{out4.with("another MAC", func(f *frame) { f.srcMAC = otherMAC }), ruleset.ReasonSourceMAC},
				{tcp(peer4, remote4, 1, 80, syn), ruleset.ReasonSourceAddress},
				{arp(2, mac, router4, peer4), ruleset.ReasonARP},
			} {
				g.sends(tt.frame, false, tt.want)
			}
		})
	}
}

// TestHeadersInFragments: a header that is not in the linear part of the kernel's buffer is read all
// the same, and is no way around the filter.
func TestHeadersInFragments(t *testing.T) {
	t.Parallel()
	g := newGuest(t, datapath.Options{})
	for name, run := range map[string]func(func()){"g0": g.do, "g0p": g.inside} {
		run(func() {
			l, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetMTU(l, 9000))
		})
	}
	g.apply(view(allowAll()...))
	big := func(f frame) frame { f.data = make([]byte, 6000); return f }
	for _, tt := range []struct {
		frame frame
		want  ruleset.Reason
	}{
		{big(udp(own4, remote4, 1000, 53)), ruleset.ReasonRule},
		{big(udp(own6, remote6, 1000, 53)), ruleset.ReasonRule},
		{big(udp(peer4, remote4, 1000, 53)), ruleset.ReasonSourceAddress},
		{big(udp(peer6, remote6, 1000, 53)), ruleset.ReasonSourceAddress},
	} {
		g.sends(tt.frame, true, tt.want)
	}
}

// sends sends a frame out of the guest and waits until it is counted.
func (g *guest) sends(f frame, fragments bool, want ruleset.Reason) {
	g.t.Helper()
	count := func() uint64 {
		counters, err := g.d.Counters()
		must(g.t, err)
		return counters[eniA][want]
	}
	before := count()
	g.inside(func() {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		must(g.t, err)
		defer unix.Close(fd)
		l, err := netlink.LinkByName("g0p")
		must(g.t, err)
		b := f.bytes()
		if fragments {
			// Behind a virtio_net_hdr that says where the headers end, all else of a frame of more
			// than a page goes into fragments (net/packet/af_packet.c, packet_snd).
			must(g.t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
			b = append([]byte{0, 0, 14, 0, 0, 0, 0, 0, 0, 0}, b...)
		}
		must(g.t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}))
	})
	g.wait(fmt.Sprintf("%s is counted as %s", f, want), func() bool { return count() > before })
}

// wait waits for a condition, at most a minute.
func (g *guest) wait(what string, is func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Errorf("still not: %s", what)
			return
		}
	}
}

// TestTap: a tap is filtered as a veth is; the hypervisor's end is a file.
func TestTap(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			g := &guest{host: newHost(t, datapath.Options{Attach: mode})}
			tap := &netlink.Tuntap{
				LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP,
				Flags: netlink.TUNTAP_NO_PI, Queues: 1,
			}
			g.do(func() {
				must(t, netlink.LinkAdd(tap))
				must(t, netlink.LinkSetUp(tap))
				must(t, g.d.Attach(tap.Attrs().Index, "tap0", eniA))
			})
			t.Cleanup(func() { must(t, tap.Fds[0].Close()) })
			g.devices[eniA] = tap.Attrs().Index
			g.apply(view(allowAll()...))
			for _, tt := range []struct {
				frame frame
				want  ruleset.Reason
			}{
				{tcp(own4, remote4, 1000, 80, syn), ruleset.ReasonRule},
				{tcp(peer4, remote4, 1000, 80, syn), ruleset.ReasonSourceAddress},
			} {
				before, err := g.d.Counters()
				must(t, err)
				_, err = tap.Fds[0].Write(tt.frame.bytes())
				must(t, err)
				g.wait(fmt.Sprintf("%s is counted as %s", tt.frame, tt.want), func() bool {
					after, err := g.d.Counters()
					must(t, err)
					return after[eniA][tt.want] > before[eniA][tt.want]
				})
			}
		})
	}
}
