package datapath_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

const narrow = 1300 // the MTU between the guest's router and the next one

// journey is a guest and a machine far away. Between their routers the MTU is narrow; neither of them
// sees that on its own link.
type journey struct {
	*guest
	far netns.NsHandle
}

// Addresses of the far machine: one for each that must not know what another has learnt of the way.
var farAddresses = []string{
	"198.51.100.7/24", "198.51.100.8/24", "198.51.100.9/24", "198.51.100.10/24",
	"2001:db8:ffff::7/64", "2001:db8:ffff::8/64", "2001:db8:ffff::9/64", "2001:db8:ffff::a/64",
}

func newJourney(t *testing.T, o datapath.Options) *journey {
	t.Helper()
	j := &journey{guest: newGuest(t, o)}
	router := newNamespace(t)
	j.far = newNamespace(t)
	link := func(name string, mtu int, at netns.NsHandle) {
		l := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, PeerName: name + "p", PeerMTU: uint32(mtu)}
		must(t, netlink.LinkAdd(l))
		peer, err := netlink.LinkByName(name + "p")
		must(t, err)
		must(t, netlink.LinkSetNsFd(peer, int(at)))
	}
	up := func(name string, addresses ...string) {
		l, err := netlink.LinkByName(name)
		must(t, err)
		for _, a := range addresses {
			parsed, err := netlink.ParseAddr(a)
			must(t, err)
			parsed.Flags = unix.IFA_F_NODAD
			must(t, netlink.AddrAdd(l, parsed))
		}
		must(t, netlink.LinkSetUp(l))
	}
	route := func(to, via string) {
		dst, err := netlink.ParseIPNet(to)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via)}))
	}
	forward := func() {
		for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			must(t, os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0))
		}
	}
	j.do(func() {
		link("r0", narrow, router)
		up("r0", "192.0.2.1/30", "2001:db8:1::1/64")
		forward()
		route("198.51.100.0/24", "192.0.2.2")
		route("2001:db8:ffff::/64", "2001:db8:1::2")
	})
	j.at(router, func() {
		up("r0p", "192.0.2.2/30", "2001:db8:1::2/64")
		link("f0", 1500, j.far)
		up("f0", "198.51.100.1/24", "2001:db8:ffff::ff/64")
		forward()
		route("10.0.0.0/24", "192.0.2.1")
		route("fd00:1:2:100::/64", "2001:db8:1::1")
	})
	j.at(j.far, func() {
		up("lo")
		up("f0p", farAddresses...)
		route("10.0.0.0/24", "198.51.100.1")
		route("fd00:1:2:100::/64", "2001:db8:ffff::ff")
	})
	j.inside(func() {
		route("198.51.100.0/24", router4.String())
		route("2001:db8:ffff::/64", router6.String())
	})
	return j
}

// at runs f in a namespace.
func (j *journey) at(ns netns.NsHandle, f func()) {
	other := *j.host
	other.ns = ns
	other.do(f)
}

// send sends a mebibyte from one side to the other over a connection that the sender opens, or else the
// receiver, and says whether it arrived.
func (j *journey) send(fromGuest, byReceiver bool, guest, far netip.Addr) error {
	j.t.Helper()
	const port = 443
	sender, receiver := func(f func()) { j.at(j.far, f) }, j.inside
	client, server := far, guest
	if fromGuest {
		sender, receiver = j.inside, func(f func()) { j.at(j.far, f) }
		client, server = guest, far
	}
	if byReceiver {
		client, server = server, client
	}
	listen, dial := receiver, sender
	if byReceiver {
		listen, dial = sender, receiver
	}
	var listener *net.TCPListener
	listen(func() {
		var err error
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(server, port)))
		must(j.t, err)
	})
	defer listener.Close()
	until := time.Now().Add(20 * time.Second)
	must(j.t, listener.SetDeadline(until))
	accepted := make(chan *net.TCPConn, 1)
	go func() {
		c, _ := listener.AcceptTCP()
		accepted <- c
	}()
	var dialled *net.TCPConn
	var err error
	dial(func() {
		d := net.Dialer{Deadline: until, FallbackDelay: -1, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0))}
		var c net.Conn
		if c, err = d.Dial("tcp", netip.AddrPortFrom(server, port).String()); err == nil {
			dialled = c.(*net.TCPConn)
		}
	})
	if err != nil {
		return err
	}
	defer dialled.Close()
	other := <-accepted
	if other == nil {
		return errors.New("nothing to accept")
	}
	defer other.Close()
	from, to := dialled, other
	if byReceiver {
		from, to = other, dialled
	}
	must(j.t, from.SetDeadline(until))
	must(j.t, to.SetDeadline(until))
	sent := make([]byte, 1<<20)
	go func() { _, _ = from.Write(sent) }()
	_, err = io.ReadFull(to, make([]byte, len(sent)))
	return err
}

// mtu is what the guest has learnt of the way to an address.
func (j *journey) mtu(to netip.Addr) (mtu int) {
	j.inside(func() {
		routes, err := netlink.RouteGet(to.AsSlice())
		must(j.t, err)
		mtu = routes[0].MTU
	})
	return mtu
}

func far(i int) netip.Addr { return netip.MustParsePrefix(farAddresses[i]).Addr() }

// TestPathMTU: what is too big for a link far away is found out by ICMP errors that no rule names.
func TestPathMTU(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			j := newJourney(t, datapath.Options{Attach: mode})
			check := func(i int, own netip.Addr, byGuest bool) {
				t.Helper()
				if err := j.send(true, !byGuest, own, far(i)); err != nil {
					t.Errorf("a mebibyte from %s to %s, opened by the guest: %v: %v", own, far(i), byGuest, err)
				}
				if got := j.mtu(far(i)); got != narrow {
					t.Errorf("the guest's path MTU to %s is %d, want %d", far(i), got, narrow)
				}
			}
			j.apply(view(rule(true, vpc.TCP, 443, 443, "198.51.100.0/24"), rule(true, vpc.TCP, 443, 443, "2001:db8::/32")))
			check(0, own4, true)
			check(4, own6, true)
			if err := j.send(false, true, own4, far(0)); err != nil {
				t.Errorf("a mebibyte to the guest: %v", err)
			}
			if err := j.send(false, true, own6, far(4)); err != nil {
				t.Errorf("a mebibyte to the guest, IPv6: %v", err)
			}
			j.apply(view(rule(false, vpc.TCP, 443, 443, "198.51.100.0/24"), rule(false, vpc.TCP, 443, 443, "2001:db8::/32")))
			check(1, own4, false)
			check(5, own6, false)
			// Untracked: open to everybody, both ways.
			tracked := j.counted(ruleset.ReasonTracked)
			j.apply(view(
				rule(true, vpc.TCP, 0, 65535, "0.0.0.0/0"), rule(true, vpc.TCP, 0, 65535, "::/0"),
				rule(false, vpc.TCP, 0, 65535, "0.0.0.0/0"), rule(false, vpc.TCP, 0, 65535, "::/0"),
			))
			check(2, own4, true)
			check(6, own6, true)
			check(3, own4, false)
			check(7, own6, false)
			if got := j.counted(ruleset.ReasonTracked); got != tracked {
				t.Errorf("%d packets of untracked flows are tracked", got-tracked)
			}
			if got := j.counted(ruleset.ReasonICMPError); got != 0 {
				t.Errorf("%d ICMP errors were dropped, want 0", got)
			}
		})
	}
}

// counted is how many packets of eniA had that verdict.
func (j *journey) counted(reason ruleset.Reason) uint64 {
	counters, err := j.d.Counters()
	must(j.t, err)
	return counters[eniA][reason]
}

// TestDatagramsOnTheWire: datagrams that need fragments arrive whole, both ways, over the narrow link;
// what nobody listens for is answered by an ICMP error that arrives, too.
func TestDatagramsOnTheWire(t *testing.T) {
	j := newJourney(t, datapath.Options{})
	j.apply(view(
		rule(true, vpc.UDP, 53, 54, "198.51.100.0/24"), rule(true, vpc.UDP, 53, 54, "2001:db8::/32"),
		rule(false, vpc.UDP, 53, 54, "198.51.100.0/24"), rule(false, vpc.UDP, 53, 54, "2001:db8::/32"),
	))
	atFar := func(f func()) { j.at(j.far, f) }
	for _, tt := range []struct {
		name           string
		client, server func(func())
		from, to       netip.Addr
	}{
		{"from the guest", j.inside, atFar, own4, far(0)},
		{"from the guest, IPv6", j.inside, atFar, own6, far(4)},
		{"to the guest", atFar, j.inside, far(1), own4},
		{"to the guest, IPv6", atFar, j.inside, far(5), own6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var server, client, refused *net.UDPConn
			udpAddr := func(a netip.Addr, port uint16) *net.UDPAddr {
				return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, port))
			}
			tt.server(func() {
				var err error
				server, err = net.ListenUDP("udp", udpAddr(tt.to, 53))
				must(t, err)
			})
			defer server.Close()
			go func() {
				b := make([]byte, 10_000)
				for {
					n, from, err := server.ReadFromUDPAddrPort(b)
					if err != nil {
						return
					}
					_, _ = server.WriteToUDPAddrPort(b[:n], from)
				}
			}()
			tt.client(func() {
				var err error
				client, err = net.DialUDP("udp", udpAddr(tt.from, 0), udpAddr(tt.to, 53))
				must(t, err)
				refused, err = net.DialUDP("udp", udpAddr(tt.from, 0), udpAddr(tt.to, 54))
				must(t, err)
			})
			defer client.Close()
			defer refused.Close()
			// Until it has arrived: the first ones find out what fits. Whoever sends IPv6 learns it by
			// an error about a first fragment.
			again := func(c *net.UDPConn, done func(n int, err error) bool) {
				t.Helper()
				for until := time.Now().Add(20 * time.Second); ; {
					_, err := c.Write(make([]byte, 4000))
					if done(0, err) {
						return
					}
					must(t, c.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
					n, err := c.Read(make([]byte, 10_000))
					if done(n, err) {
						return
					}
					if time.Now().After(until) {
						t.Fatalf("4000 bytes from %s to %s: %v", c.LocalAddr(), c.RemoteAddr(), err)
					}
				}
			}
			again(client, func(n int, _ error) bool { return n == 4000 })
			again(refused, func(_ int, err error) bool { return errors.Is(err, syscall.ECONNREFUSED) })
		})
	}
}

// TestSuperPackets: frames beyond 64 KiB, which the kernel segments later or never, pass and count what
// they stand for; so do frames of 9,000 bytes.
func TestSuperPackets(t *testing.T) {
	const largest = 190_000
	g := newGuest(t, datapath.Options{})
	for name, in := range map[string]func(func()){"g0": g.do, "g0p": g.inside} {
		in(func() {
			l, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetMTU(l, 9000))
			for _, set := range []func(netlink.Link, int) error{
				netlink.LinkSetGSOMaxSize, netlink.LinkSetGROMaxSize, netlink.LinkSetGSOIPv4MaxSize, netlink.LinkSetGROIPv4MaxSize,
			} {
				must(t, set(l, largest))
			}
		})
	}
	g.apply(view(rule(false, vpc.TCP, 80, 80, "10.0.0.0/24"), rule(false, vpc.TCP, 80, 80, "fd00:1:2:100::/64")))
	for _, own := range []netip.Addr{own4, own6} {
		var fd int
		g.do(func() {
			l, err := netlink.LinkByName("g0")
			must(t, err)
			fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			protocol := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
			must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: protocol}))
			must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}))
		})
		longest := make(chan int)
		done := make(chan struct{})
		go func() {
			max, b := 0, make([]byte, 64)
			for {
				n, _, err := unix.Recvfrom(fd, b, unix.MSG_TRUNC)
				if n > max && err == nil {
					max = n
				}
				select {
				case <-done:
					longest <- max
					return
				default:
				}
			}
		}()
		for range 8 {
			if err := g.connect(true, netip.AddrPortFrom(own, 80), 10*time.Second); err != nil {
				t.Errorf("a mebibyte to %s and back: %v", own, err)
			}
		}
		close(done)
		if got := <-longest; got <= 1<<16+14 {
			t.Errorf("the longest frame with %s has %d bytes: none was beyond 64 KiB", own, got)
		}
		must(t, unix.Close(fd))
	}
	list, err := g.d.Connections(eniA)
	must(t, err)
	for _, c := range list {
		for d := range c.Packets {
			if c.Protocol == unix.IPPROTO_TCP && c.Bytes[d] > 9000*c.Packets[d] {
				t.Errorf("%+v: more than 9000 bytes in a packet", c)
			}
		}
	}
	if len(list) == 0 {
		t.Error("there are no connections")
	}
}
