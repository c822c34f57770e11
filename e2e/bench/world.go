package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// family is that of a packet's addresses.
type family int

const (
	ipv4 family = 4
	ipv6 family = 6
)

func (f family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// addresses are those of the guests and of the host's ends of their veth pairs, the same in every world.
type addresses struct {
	a, b, c                   netip.Addr
	routerA, routerB, routerC netip.Addr
	bridged, routed           int // bits of a guest's subnet
}

var network = map[family]addresses{
	ipv4: {
		a: netip.MustParseAddr("10.77.0.10"), b: netip.MustParseAddr("10.77.1.20"), c: netip.MustParseAddr("10.77.2.30"),
		routerA: netip.MustParseAddr("10.77.0.1"), routerB: netip.MustParseAddr("10.77.1.1"), routerC: netip.MustParseAddr("10.77.2.1"),
		bridged: 16, routed: 24,
	},
	ipv6: {
		a: netip.MustParseAddr("2001:db8:77:a::10"), b: netip.MustParseAddr("2001:db8:77:b::20"), c: netip.MustParseAddr("2001:db8:77:c::30"),
		routerA: netip.MustParseAddr("2001:db8:77:a::1"), routerB: netip.MustParseAddr("2001:db8:77:b::1"),
		routerC: netip.MustParseAddr("2001:db8:77:c::1"), bridged: 48, routed: 64,
	},
}

var (
	macA    = [6]byte{2, 0, 0, 0, 0x77, 0x0a}
	macB    = [6]byte{2, 0, 0, 0, 0x77, 0x0b}
	macC    = [6]byte{2, 0, 0, 0, 0x77, 0x0c}
	macHost = [3][6]byte{{2, 0, 0, 0, 0x77, 0xa0}, {2, 0, 0, 0, 0x77, 0xb0}, {2, 0, 0, 0, 0x77, 0xc0}} // towards A, B and C
)

// layout is what stands between the guests in the host.
type layout string

const (
	bridged layout = "bridged" // one bridge; both guests are in one subnet
	routed  layout = "routed"  // the host forwards; each guest has a subnet of its own
)

// world is one candidate's: guest A – veth – host – veth – guest B, and C, an uplink of the host that no
// candidate filters. Host, A and B are a namespace each, so that nothing of the machine's own firewall
// is measured; the other end of the uplink lies idle in A's.
type world struct {
	filter
	layout     layout
	host, a, b namespace
	// The host's ends of the veth pairs.
	deviceA, deviceB, deviceC int
	sinkB, sinkA              *sink
	generator                 *generator
	filtered                  func() error // undoes the filter
	forget                    func() error // of all connections, where netfilter does not know them; nil: there are none
}

// The names of devices: the host's end of each pair, and what a guest calls its own.
const (
	hostA    = "vetha"
	hostB    = "vethb"
	hostC    = "vethc"
	beyondC  = "uplink"
	inGuest  = "eth0"
	bridgeIf = "br0"
)

func newWorld(l layout, f filter, g *generator) (_ *world, err error) {
	w := &world{filter: f, layout: l, generator: g}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the %s world of %s: %w", l, f.name, errors.Join(err, w.close()))
		}
	}()
	for _, ns := range []*namespace{&w.host, &w.a, &w.b} {
		if *ns, err = newNamespace(); err != nil {
			return nil, err
		}
	}
	if err := w.host.do(w.makeHost); err != nil {
		return nil, err
	}
	if err := w.a.do(func() error {
		far, err := netlink.LinkByName(beyondC)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(far)
	}); err != nil {
		return nil, err
	}
	for _, g := range []struct {
		ns   namespace
		self guest
	}{
		{w.a, guest{macA, macHost[0], macB, func(n addresses) (self, router, peer netip.Addr) { return n.a, n.routerA, n.b }}},
		{w.b, guest{macB, macHost[1], macA, func(n addresses) (self, router, peer netip.Addr) { return n.b, n.routerB, n.a }}},
	} {
		if err := g.ns.do(func() error { return g.self.make(l) }); err != nil {
			return nil, err
		}
	}
	if w.sinkB, err = newSink(w.b, toPort); err != nil {
		return nil, err
	}
	if w.sinkA, err = newSink(w.a, fromPort); err != nil {
		return nil, err
	}
	if w.filtered, err = f.apply(w); err != nil {
		return nil, err
	}
	return w, nil
}

// close takes everything down; the namespaces go with their last descriptor.
func (w *world) close() error {
	var errs []error
	if w.filtered != nil {
		errs = append(errs, w.filtered())
	}
	for _, s := range []*sink{w.sinkA, w.sinkB} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	for _, ns := range []namespace{w.host, w.a, w.b} {
		if ns != 0 {
			errs = append(errs, netnsClose(ns))
		}
	}
	return errors.Join(errs...)
}

func (w *world) makeHost() error {
	err := errors.Join(quietIPv6(), setSysctl("net/ipv4/ip_forward", w.layout == routed), setSysctl("net/ipv6/conf/all/forwarding", w.layout == routed))
	if err != nil {
		return err
	}
	master := 0
	if w.layout == bridged {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeIf}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("make the bridge: %w", err)
		}
		if err := errors.Join(netlink.LinkSetUp(bridge), netlink.BridgeSetMcastSnoop(bridge, false)); err != nil {
			return fmt.Errorf("set up the bridge: %w", err)
		}
		master = bridge.Attrs().Index
		// A new namespace starts with 1: then every bridged packet would see the netfilter hooks.
		if err := errors.Join(setSysctl("net/bridge/bridge-nf-call-iptables", w.netfilter),
			setSysctl("net/bridge/bridge-nf-call-ip6tables", w.netfilter)); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		name, peer    string
		ns            namespace
		index         *int
		mac, guestMAC [6]byte
		addresses     func(addresses) (router, neighbor netip.Addr)
	}{
		{hostA, inGuest, w.a, &w.deviceA, macHost[0], macA, func(n addresses) (router, neighbor netip.Addr) { return n.routerA, n.a }},
		{hostB, inGuest, w.b, &w.deviceB, macHost[1], macB, func(n addresses) (router, neighbor netip.Addr) { return n.routerB, n.b }},
		{hostC, beyondC, w.a, &w.deviceC, macHost[2], macC, func(n addresses) (router, neighbor netip.Addr) { return n.routerC, n.c }},
	} {
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: p.name, MasterIndex: master, HardwareAddr: p.mac[:]},
			PeerName:  p.peer, PeerNamespace: netlink.NsFd(p.ns),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		made, err := netlink.LinkByName(p.name)
		if err != nil {
			return err
		}
		*p.index = made.Attrs().Index
		if err := netlink.LinkSetUp(made); err != nil {
			return err
		}
		if w.layout != routed {
			continue
		}
		for _, n := range network {
			router, guest := p.addresses(n)
			if err := errors.Join(address(made, router, n.routed), neighbor(made, guest, p.guestMAC)); err != nil {
				return err
			}
		}
	}
	return nil
}

// guest is one guest's network, as it is set up inside.
type guest struct {
	mac, routerMAC, peerMAC [6]byte
	addresses               func(addresses) (self, router, peer netip.Addr)
}

// make sets the guest up; nobody has to ask for anybody's MAC.
func (g guest) make(l layout) error {
	if err := quietIPv6(); err != nil {
		return err
	}
	// A client port per connection; some cells make many in a short time.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("10000 65000"), 0); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	device, err := netlink.LinkByName(inGuest)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetHardwareAddr(device, g.mac[:]), netlink.LinkSetUp(device)); err != nil {
		return err
	}
	for _, n := range network {
		self, router, peer := g.addresses(n)
		if l == bridged {
			err = errors.Join(address(device, self, n.bridged), neighbor(device, peer, g.peerMAC))
		} else {
			err = errors.Join(address(device, self, n.routed), neighbor(device, router, g.routerMAC),
				netlink.RouteAdd(&netlink.Route{LinkIndex: device.Attrs().Index, Gw: router.AsSlice()}))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// address gives l an address, which is usable at once.
func address(l netlink.Link, a netip.Addr, bits int) error {
	return netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}, Flags: unix.IFA_F_NODAD})
}

func neighbor(l netlink.Link, a netip.Addr, mac [6]byte) error {
	return netlink.NeighAdd(&netlink.Neigh{
		LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac[:],
	})
}

// quietIPv6 keeps devices that are made in this namespace from looking for routers and from addresses
// of their own making.
func quietIPv6() error {
	return errors.Join(setSysctl("net/ipv6/conf/default/addr_gen_mode", true), // 1: none
		setSysctl("net/ipv6/conf/default/accept_ra", false), setSysctl("net/ipv6/conf/default/accept_dad", false))
}

// setSysctl writes a switch of this thread's network namespace. One that is not there is off.
func setSysctl(name string, on bool) error {
	value := []byte("0")
	if on {
		value = []byte("1")
	}
	err := os.WriteFile("/proc/sys/"+name, value, 0)
	if !on && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// liveFrames makes the host's ends able to take frames of the generator (on), or as they come.
// The kernel takes them for a veth only with NAPI, which generic receive offload turns on; with
// sockets as the source it would merge packets, so it is off then.
func (w *world) liveFrames(on bool) error {
	return w.host.do(func() error {
		return errors.Join(setOffload(hostA, gro, on), setOffload(hostB, gro, on), setOffload(hostC, gro, on))
	})
}

// offload is what `ethtool -K` can turn on and off, by the number of its ioctl.
type offload uint32

// The offloads. Source: linux/ethtool.h.
const (
	tso offload = 0x1f
	gso offload = 0x24
	gro offload = 0x2c
)

func setOffload(device string, o offload, on bool) error {
	value := struct{ cmd, data uint32 }{cmd: uint32(o)}
	if on {
		value.data = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], device)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("set an offload (%#x) of %s: %w", uint32(o), device, errno)
	}
	return nil
}

// namespace is a network namespace without a name: it goes with the process.
type namespace netns.NsHandle

func newNamespace() (namespace, error) {
	var ns namespace
	err := onThread(func() error {
		h, err := netns.New() // this thread moves; nobody else will use it
		ns = namespace(h)
		return err
	})
	return ns, err
}

func netnsClose(ns namespace) error { h := netns.NsHandle(ns); return h.Close() }

// do runs f on a thread inside of the namespace. A socket or a process belongs to the namespace in
// which it is made.
func (ns namespace) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(netns.NsHandle(ns)); err != nil {
			return fmt.Errorf("enter a namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- f()
	}()
	return <-done
}

// stayOn keeps this thread, which ends with its work, on one CPU.
func stayOn(cpu int) error {
	var cpus unix.CPUSet
	cpus.Set(cpu)
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("stay on CPU %d: %w", cpu, err)
	}
	return nil
}

// stayAloneOn is stayOn, before what else wants this CPU, so that the clock measures this thread's work
// alone. Where that is not permitted the figures have more noise, and are not wrong.
func stayAloneOn(cpu int) error {
	if err := stayOn(cpu); err != nil {
		return err
	}
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	return nil
}
