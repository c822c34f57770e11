package datapath_test

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/machinetest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

func TestMain(m *testing.M) { machinetest.Main(m.Run) }

// host is a network namespace with a Datapath of its own.
type host struct {
	t        testing.TB
	ns       netns.NsHandle
	options  datapath.Options
	d        *datapath.Datapath
	compiler ruleset.Compiler
	view     *ruleset.View
	devices  map[vpc.InterfaceID]int
}

var hosts atomic.Int32

func newHost(t testing.TB, o datapath.Options) *host {
	t.Helper()
	h := newBareHost(t, o)
	h.open()
	return h
}

// newBareHost is a host that no Datapath was ever opened on.
func newBareHost(t testing.TB, o datapath.Options) *host {
	t.Helper()
	o.Pins = fmt.Sprintf("/sys/fs/bpf/spt-datapath-%d-%d", os.Getpid(), hosts.Add(1))
	h := &host{t: t, options: o.WithVerdicts(), devices: map[vpc.InterfaceID]int{}}
	func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		old, err := netns.Get()
		must(t, err)
		defer old.Close()
		h.ns, err = netns.New()
		must(t, err)
		must(t, netns.Set(old))
	}()
	t.Cleanup(func() {
		h.do(func() {
			if h.d != nil {
				must(t, h.d.Close())
			}
			must(t, datapath.Purge(o.Pins))
		})
		must(t, h.ns.Close())
	})
	return h
}

// onCPU runs f in a thread that stays on the nth CPU, from 0, of those that it may run on, of which the first follows the last.
func onCPU(t testing.TB, n int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &all))
	n %= all.Count()
	for cpu := 0; one.Count() == 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if n--; n < 0 {
			one.Set(cpu)
		}
	}
	must(t, unix.SchedSetaffinity(0, &one))
	defer func() { must(t, unix.SchedSetaffinity(0, &all)) }()
	f()
}

// do runs f in the host's namespace.
func (h *host) do(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(h.t, err)
	defer old.Close()
	must(h.t, netns.Set(h.ns))
	defer func() { must(h.t, netns.Set(old)) }()
	f()
}

func (h *host) open() {
	h.t.Helper()
	h.do(func() {
		var err error
		h.d, err = datapath.Open(h.options)
		must(h.t, err)
	})
}

// restart is an agent that dies and another that comes.
func (h *host) restart() {
	h.t.Helper()
	must(h.t, h.d.Close())
	h.open()
}

// device makes a veth pair and returns the host side's index.
func (h *host) device(name string) int {
	h.t.Helper()
	index := 0
	h.do(func() {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}
		must(h.t, netlink.LinkAdd(link))
		made, err := netlink.LinkByName(name)
		must(h.t, err)
		index = made.Attrs().Index
	})
	return index
}

// attach makes a device for an ENI and attaches it.
func (h *host) attach(eni vpc.InterfaceID) int {
	h.t.Helper()
	name := fmt.Sprintf("g%d", len(h.devices))
	h.devices[eni] = h.device(name)
	h.do(func() { must(h.t, h.d.Attach(h.devices[eni], name, eni)) })
	return h.devices[eni]
}

// fresh lets eniA begin anew, without connections, for a subtest.
func (h *host) fresh(t *testing.T) {
	t.Helper()
	outer := h.t
	h.t = t
	t.Cleanup(func() { h.t = outer })
	h.do(func() {
		must(t, h.d.Detach(h.devices[eniA]))
		must(t, h.d.Attach(h.devices[eniA], "g0", eniA))
	})
}

// apply puts a View in force.
func (h *host) apply(v *ruleset.View) {
	h.t.Helper()
	h.view = v
	must(h.t, h.d.Apply(h.compiler.Compile(v)))
}

// run sends a frame through a gate.
func (h *host) run(eni vpc.InterfaceID, direction ruleset.Direction, frame []byte) (v ruleset.Verdict) {
	h.t.Helper()
	h.do(func() {
		var err error
		if v, err = h.d.Run(direction, h.devices[eni], frame); err != nil {
			h.t.Fatalf("run frame %x: %v", frame, err)
		}
	})
	return v
}

// want fails unless the gate says so, and lets the frame pass for such a reason alone. Nothing is observed here.
func (h *host) want(eni vpc.InterfaceID, direction ruleset.Direction, f frame, reason ruleset.Reason) {
	h.t.Helper()
	action := ruleset.Drop
	if passes(reason) {
		action = ruleset.Allow
	}
	if got := h.run(eni, direction, f.bytes()); got.Reason != reason || got.Action != action {
		h.t.Errorf("%s of %s, %s: got %s %s, want %s %s", direction, eni, f, got.Action, got.Reason, action, reason)
	}
}

// modes are the ways to attach that the kernel has: by its version, so that a tcx that does not work
// where it should fails.
func modes(t testing.TB) []datapath.Mode {
	t.Helper()
	var name unix.Utsname
	must(t, unix.Uname(&name))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	must(t, err)
	if major > 6 || major == 6 && minor >= 6 {
		return []datapath.Mode{datapath.TCX, datapath.Clsact}
	}
	return []datapath.Mode{datapath.Clsact}
}

func passes(r ruleset.Reason) bool {
	return r >= ruleset.ReasonRule && r <= ruleset.ReasonPlatform
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustFail(t testing.TB, err error, what string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error", what)
	}
}

// What most tests use: one guest, its router and a remote machine.
var (
	mac       = vpc.MAC{2, 0, 0, 0, 0, 0x11}
	otherMAC  = vpc.MAC{2, 0, 0, 0, 0, 0x22}
	routerMAC = vpc.MAC{2, 0, 0, 0, 0, 1}
	broadcast = vpc.MAC{255, 255, 255, 255, 255, 255}

	own4    = netip.MustParseAddr("10.0.0.11")
	second4 = netip.MustParseAddr("10.0.0.12")
	router4 = netip.MustParseAddr("10.0.0.1")
	remote4 = netip.MustParseAddr("198.51.100.7")
	peer4   = netip.MustParseAddr("10.0.0.50")

	own6       = netip.MustParseAddr("fd00:1:2:100::11")
	ownFE80    = netip.MustParseAddr("fe80::ff:fe00:11")
	router6    = netip.MustParseAddr("fd00:1:2:100::1")
	routerFE80 = netip.MustParseAddr("fe80::ff:fe00:1")
	remote6    = netip.MustParseAddr("2001:db8:ffff::1")
	peer6      = netip.MustParseAddr("fd00:1:2:100::50")
)

const (
	eniA vpc.InterfaceID = "eni-0000000000000000a"
	eniB vpc.InterfaceID = "eni-0000000000000000b"
	dom  vpc.VPCID       = "vpc-00000000000000001"
	sgA  vpc.GroupID     = "sg-0000000000000000a"
	sgB  vpc.GroupID     = "sg-0000000000000000b"
	sgC  vpc.GroupID     = "sg-0000000000000000c"
)

// view is one ENI, eniA, with the group sgA and these rules.
func view(rules ...vpc.Rule) *ruleset.View {
	for i := range rules {
		if rules[i].Number == 0 {
			rules[i].Number = uint32(i + 1)
		}
	}
	return &ruleset.View{
		Revision: 1,
		ENIs: map[vpc.InterfaceID]ruleset.ENI{eniA: {
			ID: eniA, Domain: dom, MAC: mac,
			Addresses:       []netip.Addr{own4, second4, own6},
			Routers:         []netip.Addr{router4, router6, routerFE80},
			Groups:          []vpc.GroupID{sgA},
			SourceDestCheck: true,
		}},
		Groups:  map[vpc.GroupID]ruleset.Group{sgA: {ID: sgA, Rules: rules}},
		Members: map[vpc.InterfaceID]ruleset.Member{},
	}
}

func rule(egress bool, protocol vpc.Protocol, from, to int32, peer string) vpc.Rule {
	r := vpc.Rule{Egress: egress, Protocol: protocol, From: from, To: to}
	if p, err := netip.ParsePrefix(peer); err == nil {
		r.Peer.CIDR = p
	} else {
		r.Peer.Group = vpc.GroupID(peer)
	}
	return r
}

// allowAll are rules that let everything pass both ways.
func allowAll() []vpc.Rule {
	return []vpc.Rule{
		rule(true, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(true, vpc.AllProtocols, -1, -1, "::/0"),
		rule(false, vpc.AllProtocols, -1, -1, "0.0.0.0/0"), rule(false, vpc.AllProtocols, -1, -1, "::/0"),
	}
}
