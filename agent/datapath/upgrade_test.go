package datapath_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// layout2 is what an agent of layout 2 left: its programs on its maps, which these tests write as it
// did. See bpf/maps.h of that version, whose programs testdata/layout2.o has.
type layout2 struct {
	*pair
	maps      map[string]*ebpf.Map
	intervals uint32 // written so far
	open      stream // a TCP connection whose rule is gone
}

type (
	layout2Timeouts  [8]uint32
	layout2EniConfig struct {
		Tables        uint64
		Domain, Flags uint32
		MAC           [6]byte
		_             [2]byte
		Timeouts      layout2Timeouts
		Prefix64      [2]uint32
	}
	layout2Eni struct {
		Number, Pad uint32
		Config      [2]layout2EniConfig
	}
	layout2Address struct {
		Scope, Family uint32
		Address       [16]byte
	}
	layout2Prefix struct {
		Bits, Table, Family uint32
		Address             [16]byte
	}
	layout2Device struct {
		Ifindex, Mode uint32
		Name          [16]byte
		ENI           [32]byte
	}
)

// Numbers that an agent of layout 2 drew.
const (
	layout2A, layout2B             = 1001, 1002
	layout2OutOfA, layout2IntoB    = 2001, 2002
	layout2Nothing                 = 2003
	layout2RuleOut, layout2RuleIn  = 31, 32
	layout2SlotOfA, layout2SlotOfB = 3, 5
)

// newLayout2 makes two guests that layout 2 filters as gapViews do. Its tracked connections are made,
// and their rule is gone.
func newLayout2(t *testing.T, o datapath.Options) *layout2 {
	t.Helper()
	l := &layout2{pair: newBarePair(t, o)}
	for _, dir := range []string{"maps", "links"} {
		must(t, os.MkdirAll(filepath.Join(l.options.Pins, dir), 0o700))
	}
	spec, err := ebpf.LoadCollectionSpec("testdata/layout2.o")
	must(t, err)
	programs, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: filepath.Join(l.options.Pins, "maps")}})
	must(t, err)
	l.maps = programs.Maps
	t.Cleanup(programs.Close)

	l.put("state", uint32(0), [4]uint64{2, 0, 7, 7})
	for _, g := range []struct {
		eni          vpc.InterfaceID
		slot, number uint32
		mac          vpc.MAC
		addr         netip.Addr
		tables       uint64
		name         string
	}{
		{eniA, layout2SlotOfA, layout2A, mac, own4, layout2Nothing<<32 | layout2OutOfA, "gapa"},
		{eniB, layout2SlotOfB, layout2B, otherMAC, peer4, layout2IntoB<<32 | layout2Nothing, "gapb"},
	} {
		config := layout2EniConfig{Tables: g.tables, Domain: 1, Flags: 1, MAC: g.mac}
		hz, err := datapath.TicksPerSecond()
		must(t, err)
		for i := range config.Timeouts {
			config.Timeouts[i] = 600 * hz
		}
		l.put("enis", g.slot, layout2Eni{Number: g.number, Config: [2]layout2EniConfig{config, config}})
		l.put("slots", uint32(l.devices[g.eni]), g.slot)
		v := layout2Device{Ifindex: uint32(l.devices[g.eni]), Mode: 1}
		if o.Attach == datapath.Clsact {
			v.Mode = 2
		}
		copy(v.Name[:], g.name)
		copy(v.ENI[:], g.eni)
		l.put("devices", g.slot, v)
		key := layout2Address{Scope: g.number, Family: 4}
		copy(key.Address[:], g.addr.AsSlice())
		l.put("addresses", key, [3]uint32{1, 1})
		l.attach2(l.devices[g.eni], programs, o.Attach)
	}
	l.allow(layout2OutOfA, "0.0.0.0/0", layout2RuleOut, ports(vpc.TCP, 80, 1), ports(vpc.UDP, 0, shutOut), ports(vpc.UDP, openPort, openPorts))
	l.allow(layout2IntoB, "10.0.0.0/24", layout2RuleIn, ports(vpc.TCP, 80, 1), ports(vpc.UDP, trackedPort, 1))
	must(t, streamtest.Exchange(l.a, l.b, trackedSource, trackedPort, 3))
	l.open = l.dial()
	l.allow(layout2IntoB, "10.0.0.0/24", layout2RuleIn, ports(vpc.UDP, shutOut, shutPorts), ports(vpc.UDP, openPort, openPorts))
	return l
}

// ports are n ports of a protocol from the first on, as an interval has them.
func ports(p vpc.Protocol, first, n uint32) [2]uint32 {
	return [2]uint32{uint32(p)<<16 | first, uint32(p)<<16 | (first + n - 1)}
}

// dial opens a TCP connection from eniA to eniB, which answers with what it gets.
func (l *layout2) dial() stream {
	l.t.Helper()
	s := stream{t: l.t}
	must(l.t, streamtest.In(l.b.NS, func() error {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(peer4, 80).String())
		if err != nil {
			return err
		}
		go func() {
			c, err := listener.Accept()
			_ = listener.Close()
			if err == nil {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}
		}()
		return nil
	}))
	must(l.t, streamtest.In(l.a.NS, func() (err error) {
		s.conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(peer4, 80).String(), 10*time.Second)
		return err
	}))
	l.t.Cleanup(func() { _ = s.conn.Close() })
	must(l.t, s.echo())
	return s
}

// tracked is how many packets of tracked connections the maps of layout 2 have counted, of eniA.
func (l *layout2) tracked() (n uint64) {
	l.t.Helper()
	for _, at := range []uint32{2 * layout2SlotOfA, 2*layout2SlotOfA + 1} {
		var cpus [][32]uint64
		must(l.t, l.maps["counters"].Lookup(at, &cpus))
		for _, c := range cpus {
			n += c[ruleset.ReasonTracked]
		}
	}
	return n
}

func (l *layout2) put(name string, key, value any) {
	l.t.Helper()
	if err := l.maps[name].Put(key, value); err != nil {
		l.t.Fatalf("layout 2: write %s: %v", name, err)
	}
}

// allow lets a table allow ports of a prefix, in ascending order.
func (l *layout2) allow(table uint32, cidr string, rule uint32, ports ...[2]uint32) {
	l.t.Helper()
	first := l.intervals
	for _, p := range ports {
		l.put("intervals", l.intervals, [4]uint32{p[0], p[1], rule, 0})
		l.intervals++
	}
	prefix := netip.MustParsePrefix(cidr)
	key := layout2Prefix{Bits: 64 + uint32(prefix.Bits()), Table: table, Family: 4}
	copy(key.Address[:], prefix.Addr().AsSlice())
	l.put("prefixes", key, [2]uint32{first, uint32(len(ports))})
}

func (l *layout2) attach2(ifindex int, programs *ebpf.Collection, mode datapath.Mode) {
	for name, at := range map[string]struct {
		tcx    ebpf.AttachType
		parent uint32
	}{
		"from_guest": {ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS},
		"to_guest":   {ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS},
	} {
		l.do(func() {
			if mode != datapath.Clsact {
				made, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: programs.Programs[name], Attach: at.tcx, Anchor: link.Head()})
				must(l.t, err)
				must(l.t, made.Pin(filepath.Join(l.options.Pins, "links", fmt.Sprintf("%d-%s", ifindex, name))))
				must(l.t, made.Close())
				return
			}
			_ = netlink.QdiscAdd(&netlink.GenericQdisc{ // it may be there
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact",
			})
			must(l.t, netlink.FilterAdd(&netlink.BpfFilter{
				FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: at.parent, Handle: 0x5a11, Protocol: unix.ETH_P_ALL, Priority: 1},
				Fd:          programs.Programs[name].FD(), Name: "sallyport_" + name + " " + l.options.Pins, DirectAction: true,
			}))
		})
	}
}

// wantLayouts fails unless the directories of maps, and the layout of each, are these.
func (l *layout2) wantLayouts(want map[string]uint64) {
	l.t.Helper()
	got := map[string]uint64{}
	entries, err := os.ReadDir(l.options.Pins)
	must(l.t, err)
	for _, e := range entries {
		state, err := ebpf.LoadPinnedMap(filepath.Join(l.options.Pins, e.Name(), "state"), nil)
		if err != nil {
			continue
		}
		value, err := state.LookupBytes(uint32(0))
		must(l.t, err)
		must(l.t, state.Close())
		got[e.Name()] = binary.NativeEndian.Uint64(value)
	}
	if !maps.Equal(got, want) {
		l.t.Errorf("there are the layouts %v, want %v", got, want)
	}
}

// TestUpgrade moves two guests from layout 2 to ours under traffic, with agents that come and go
// before the first Apply, and, the second time, four that die in the middle of that, each a step later.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) { upgrade(t, mode, false) })
		t.Run(string(mode)+", deaths", func(t *testing.T) { upgrade(t, mode, true) })
	}
}

func upgrade(t *testing.T, mode datapath.Mode, deaths bool) {
	views := gapViews()
	l := newLayout2(t, datapath.Options{Attach: mode})
	counted := l.tracked()
	s, err := streamtest.Start(streamtest.Options{From: l.a, To: l.b, Host: l.ns, Lanes: gapLanes(), Rate: 70_000, Max: 16 << 20})
	must(t, err)
	s.WaitFor(t.Context(), 5_000)
	begins := func() {
		t.Helper()
		l.host.open()
		l.wantLayouts(map[string]uint64{"maps": 2, fmt.Sprintf("layout%d", datapath.Layout): datapath.Layout})
		l.do(func() { must(t, l.d.Attach(l.devices[eniA], "gapa", eniA)) }) // as the agent does
		want := []datapath.Attachment{{Ifindex: l.devices[eniA], Name: "gapa", ENI: eniA}, {Ifindex: l.devices[eniB], Name: "gapb", ENI: eniB}}
		if got := l.d.Attached(); !slices.Equal(got, want) {
			t.Errorf("attached: %v, want %v", got, want)
		}
		s.WaitFor(t.Context(), 5_000)
	}
	begins() // and finds no server
	must(t, l.d.Close())
	begins()
	if steps := l.d.UpgradeSteps(); deaths {
		for done := range steps {
			tables, members := l.compiler.Compile(views[done%len(views)])
			l.do(func() { must(t, l.d.DieUpgrading(tables, members, done)) })
			s.WaitFor(t.Context(), 5_000)
			must(t, l.d.Close())
			begins()
		}
	}
	l.do(func() { l.apply(views[0]) })
	l.wantLayouts(map[string]uint64{"maps": datapath.Layout})
	s.WaitFor(t.Context(), 5_000)
	l.restart()
	for _, v := range views {
		l.apply(v)
		s.WaitFor(t.Context(), 2_000)
	}
	r, err := s.Stop()
	must(t, err)
	if err := r.Err(); err != nil {
		t.Error(err)
	} else {
		t.Log(r)
	}
	l.wantCarried(counted)
	if err := l.open.echo(); err != nil {
		t.Errorf("the TCP connection: %v", err)
	}
}

// TestUpgradeWaits: while the older programs filter a device, what the agent does with it holds at once.
func TestUpgradeWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do     func(l *layout2)
		passes bool // from eniA's device, before the first Apply
	}{
		"nothing":        {func(*layout2) {}, true},
		"the same again": {func(l *layout2) { must(t, l.d.Attach(l.devices[eniA], "gapa", eniA)) }, true},
		"a new name":     {func(l *layout2) { must(t, l.d.Attach(l.devices[eniA], "gap0", eniA)) }, true},
		"closed":         {func(l *layout2) { must(t, l.d.Attach(l.devices[eniA], "gapa", "")) }, false},
		"another ENI": {func(l *layout2) {
			must(t, l.d.Attach(l.devices[eniA], "gapa", "eni-0000000000000000c"))
		}, false},
		"detached": {func(l *layout2) { must(t, l.d.Detach(l.devices[eniA])) }, true},
		"detached and attached": {func(l *layout2) {
			must(t, l.d.Detach(l.devices[eniA]))
			must(t, l.d.Attach(l.devices[eniA], "gapa", eniA))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout2(t, datapath.Options{})
			l.host.open()
			l.do(func() { tt.do(l) })
			arrives := func(when string, passes bool) {
				t.Helper()
				if got := l.arrives(); got != passes {
					t.Errorf("%s a packet arrives: %v, want %v", when, got, passes)
				}
			}
			arrives("before a restart", tt.passes)
			l.restart()
			arrives("after a restart", tt.passes)
			v := gapViews()[0]
			if name == "closed" || name == "another ENI" {
				delete(v.ENIs, eniA)
			}
			l.apply(v)
			l.wantLayouts(map[string]uint64{"maps": datapath.Layout})
			arrives("after Apply", tt.passes || name == "detached and attached")
		})
	}
}

// TestUpgradeBegunAgain: an upgrade is broken off before the first Apply, an agent of the older version
// takes the devices back and gives them other slots or another ENI, and a second upgrade follows.
func TestUpgradeBegunAgain(t *testing.T) {
	t.Parallel()
	const eniC = vpc.InterfaceID("eni-0000000000000000c")
	for name, tt := range map[string]struct {
		first, second vpc.InterfaceID // of the devices gapa and gapb, by then
		slotA, slotB  uint32
	}{
		"nothing":     {eniA, eniB, layout2SlotOfA, layout2SlotOfB},
		"other slots": {eniA, eniB, layout2SlotOfB, layout2SlotOfA},
		"another ENI": {eniC, eniB, layout2SlotOfA, layout2SlotOfB},
		"the ENI of the other, which has another": {eniB, eniC, layout2SlotOfB, layout2SlotOfA},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout2(t, datapath.Options{})
			l.host.open()
			must(t, l.d.Close())

			enis := map[vpc.InterfaceID]layout2Eni{eniC: {Number: 1003}}
			for eni, slot := range map[vpc.InterfaceID]uint32{eniA: layout2SlotOfA, eniB: layout2SlotOfB} {
				var v layout2Eni
				must(t, l.maps["enis"].Lookup(slot, &v))
				enis[eni] = v
			}
			want := []datapath.Attachment{
				{Ifindex: l.devices[eniA], Name: "gapa", ENI: tt.first}, {Ifindex: l.devices[eniB], Name: "gapb", ENI: tt.second},
			}
			for i, slot := range []uint32{tt.slotA, tt.slotB} {
				v := layout2Device{Ifindex: uint32(want[i].Ifindex), Mode: 1}
				copy(v.Name[:], want[i].Name)
				copy(v.ENI[:], want[i].ENI)
				l.put("devices", slot, v)
				l.put("enis", slot, enis[want[i].ENI])
				l.put("slots", v.Ifindex, slot)
			}

			l.host.open()
			if got := l.d.Attached(); !slices.Equal(got, want) {
				t.Errorf("attached:\ngot  %v\nwant %v", got, want)
			}
			l.apply(gapViews()[0])
			l.wantLayouts(map[string]uint64{"maps": datapath.Layout})
			if tt.first == eniA {
				l.wantCarried(0)
				if err := l.open.echo(); err != nil {
					t.Errorf("the TCP connection: %v", err)
				}
			}
		})
	}
}

// arrives sends a word from eniA's guest to eniB's and says whether it comes.
func (l *layout2) arrives() bool {
	l.t.Helper()
	var sender, receiver net.PacketConn
	for _, of := range []struct {
		at   streamtest.End
		port uint16
		c    *net.PacketConn
	}{{l.a, 1000, &sender}, {l.b, openPort, &receiver}} {
		must(l.t, streamtest.In(of.at.NS, func() (err error) {
			*of.c, err = net.ListenPacket("udp4", netip.AddrPortFrom(of.at.Addr, of.port).String())
			return err
		}))
		defer (*of.c).Close()
	}
	_, err := sender.WriteTo([]byte("hello"), receiver.LocalAddr())
	must(l.t, err)
	must(l.t, receiver.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, _, err = receiver.ReadFrom(make([]byte, 100))
	return err == nil
}

// wantCarried fails unless the tracked connections and the counters of layout 2 are in ours.
func (l *layout2) wantCarried(counted uint64) {
	l.t.Helper()
	list, err := l.d.Connections(eniB)
	must(l.t, err)
	for _, protocol := range []vpc.Protocol{vpc.TCP, vpc.UDP} {
		if !slices.ContainsFunc(list, func(c datapath.Connection) bool {
			return c.Protocol == uint8(protocol) && c.Rule == layout2RuleIn && c.Established && c.Revision == 7 && c.Packets[ruleset.Ingress] > 2
		}) {
			l.t.Errorf("no connection of protocol %d is as layout 2 had it", protocol)
		}
	}
	counters, err := l.d.Counters()
	must(l.t, err)
	if got := counters[eniA][ruleset.ReasonTracked]; got <= counted {
		l.t.Errorf("eniA has %d tracked packets, layout 2 had counted %d", got, counted)
	}
}

// TestLayout2Structs holds the structs of layout 2 against the types that its programs were made with.
func TestLayout2Structs(t *testing.T) {
	t.Parallel()
	spec, err := ebpf.LoadCollectionSpec("testdata/layout2.o")
	must(t, err)
	for name, got := range datapath.Layout2Structs() {
		var want *btf.Struct
		must(t, spec.Types.TypeByName(name, &want))
		if int(want.Size) != got.Size {
			t.Errorf("struct %s has %d bytes, want %d", name, got.Size, want.Size)
		}
		var offsets []int
		for _, m := range want.Members {
			offsets = append(offsets, int(m.Offset.Bytes()))
		}
		if !slices.Equal(got.Offsets, offsets) {
			t.Errorf("the fields of struct %s are at %v, want %v", name, got.Offsets, offsets)
		}
	}
}
