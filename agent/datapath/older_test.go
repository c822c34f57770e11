package datapath_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// older is what an agent of an older layout left: its programs on its maps, which these tests write as
// it did. See bpf/maps.h of that version, whose programs testdata/layout2.o and so on have.
type older struct {
	*pair
	layout    uint64
	spec      *ebpf.CollectionSpec
	maps      map[string]*ebpf.Map
	intervals uint32       // written so far
	pool      *ebpf.Memory // in layout 4: its first chunk
	lines     uint32       // of it, written so far
	open      stream       // a TCP connection whose rule is gone

	observeUntil uint64 // jiffies: of guests that filter tells of
	bucketMask   uint32 // in layout 4: of such guests
}

type (
	olderTimeouts    [8]uint32
	layout2EniConfig struct {
		Tables        uint64
		Domain, Flags uint32
		MAC           [6]byte
		_             [2]byte
		Timeouts      olderTimeouts
		Prefix64      [2]uint32
	}
	layout2Eni struct {
		Number, Pad uint32
		Config      [2]layout2EniConfig
	}
	layout3EniConfig struct {
		layout2EniConfig
		ObserveUntil uint64 // jiffies
	}
	layout3Eni struct {
		Number, Pad uint32
		Config      [2]layout3EniConfig
	}
	layout4EniConfig struct {
		Tables, Roots uint64
		Domain, Flags uint32
		MAC           [6]byte
		_             [2]byte
		Timeouts      olderTimeouts
		Prefix64      [2]uint32
		ObserveUntil  uint64 // jiffies
		Own6          [16]byte
		Own4          [4]byte
		_             uint32
	}
	layout4Eni struct {
		Number, BucketMask uint32
		Secrets            [5]uint64
		Quota, Pad         uint32
		Config             [2]layout4EniConfig
	}
	layout4Leaf struct {
		Ends   [7]uint32
		Uses   uint32
		Values [8]uint32
	}
	olderAddress struct {
		Scope, Family uint32
		Address       [16]byte
	}
	olderPrefix struct {
		Bits, Table, Family uint32
		Address             [16]byte
	}
	olderInterval struct{ From, To, Rule, Flags uint32 }
	olderDevice   struct {
		Ifindex, Mode uint32
		Name          [16]byte
		ENI           [32]byte
	}
)

// Numbers that an agent of an older layout drew.
const (
	olderA, olderB             = 1001, 1002
	olderOutOfA, olderIntoB    = 2001, 2002
	olderNothing               = 2003
	olderOutOfB                = 2004
	olderRuleOut, olderRuleIn  = 31, 32
	olderSlotOfA, olderSlotOfB = 3, 5
	olderPlaceOut              = 17 // of a rule's counter
	olderPlaceIn               = 29
)

// Of layout 4.
const (
	layout4Quota      = 1 << 15
	layout4FlowChunks = 1 << 7  // of a slot, in the map of all flows
	layout4BucketMask = 2047    // of two chunks
	layout4Everyone   = 1 << 31 // FOR_EVERYONE
	layout4Lines      = 5       // of the pool: those below are tables
)

// olderPrivate are the maps that each slot has for itself: in which map of all, and where among those of the slot.
var olderPrivate = map[uint64][]olderInner{
	3: {{"connections", 0}, {"half_open", 0}, {"fragments", 0}},
	4: {{"connections", 0}, {"flows", 0}, {"flows", 1}, {"fragments", 0}},
}

type olderInner struct {
	all string
	nth uint32
}

// at is where a slot has that map.
func (i olderInner) at(slot uint32) uint32 {
	if i.all == "flows" {
		return slot*layout4FlowChunks + i.nth
	}
	return slot
}

// olderGuest is one that the older programs filter.
type olderGuest struct {
	eni          vpc.InterfaceID
	slot, number uint32
	mac          vpc.MAC
	addr         netip.Addr
	tables       uint64
}

func olderGuests() []olderGuest {
	return []olderGuest{
		{eniA, olderSlotOfA, olderA, mac, own4, olderNothing<<32 | olderOutOfA},
		{eniB, olderSlotOfB, olderB, otherMAC, peer4, olderIntoB<<32 | olderOutOfB},
	}
}

// newOlder makes two guests that an older layout filters as gapViews do. Its tracked connections are made,
// and their rule is gone.
func newOlder(t *testing.T, layout uint64, o datapath.Options) *older {
	t.Helper()
	l := newBareOlder(t, layout, o)
	for _, g := range olderGuests() {
		l.filter(g)
	}
	l.allow(olderOutOfA, "0.0.0.0/0", olderRuleOut, ports(vpc.TCP, 80, 1), ports(vpc.UDP, 0, shutOut), ports(vpc.UDP, openPort, openPorts))
	l.allow(olderIntoB, "10.0.0.0/24", olderRuleIn, ports(vpc.TCP, 80, 1), ports(vpc.UDP, trackedPort, 1))
	must(t, streamtest.Exchange(l.a, l.b, trackedSource, trackedPort, 3))
	l.open = l.dial(80)
	l.allow(olderIntoB, "10.0.0.0/24", olderRuleIn, ports(vpc.UDP, shutOut, shutPorts), ports(vpc.UDP, openPort, openPorts))
	return l
}

// newBareOlder loads the older programs; two guests are there, which nothing filters.
func newBareOlder(t *testing.T, layout uint64, o datapath.Options) *older {
	t.Helper()
	l := &older{pair: newBarePair(t, o), layout: layout, bucketMask: layout4BucketMask}
	for _, dir := range []string{"maps", "links"} {
		must(t, os.MkdirAll(filepath.Join(l.options.Pins, dir), 0o700))
	}
	var err error
	l.spec, err = ebpf.LoadCollectionSpec(fmt.Sprintf("testdata/layout%d.o", layout))
	must(t, err)
	hz, err := datapath.TicksPerSecond()
	must(t, err)
	for name, value := range map[string]any{"ticks_per_second": hz, "generation": uint32(4711), "weak_order": runtime.GOARCH != "amd64"} {
		if v := l.spec.Variables[name]; v != nil {
			must(t, v.Set(value))
		}
	}
	programs, err := ebpf.NewCollectionWithOptions(l.spec, ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: filepath.Join(l.options.Pins, "maps")}})
	must(t, err)
	l.maps = programs.Maps
	t.Cleanup(programs.Close)
	state := make([]uint64, l.maps["state"].ValueSize()/8)
	state[0], state[2], state[3] = layout, 7, 7 // revisions
	l.put("state", uint32(0), state)
	if layout == 4 {
		chunk := l.inner("pool")
		l.put("pool", uint32(0), chunk)
		l.pool, err = chunk.Memory()
		must(t, err)
		l.lines = layout4Lines
	}
	for _, g := range olderGuests() {
		l.attachOlder(l.devices[g.eni], programs, o.Attach)
		l.give(g.slot, l.private())
	}
	if layout >= 3 {
		l.put("rule_slots", [2]uint32{olderA, olderRuleOut}, uint32(olderPlaceOut))
		l.put("rule_slots", [2]uint32{olderB, olderRuleIn}, uint32(olderPlaceIn))
	}
	return l
}

// private makes the maps that one slot has for itself; none in layout 2.
func (l *older) private() map[olderInner]*ebpf.Map {
	l.t.Helper()
	all := map[olderInner]*ebpf.Map{}
	for _, i := range olderPrivate[l.layout] {
		all[i] = l.inner(i.all)
	}
	return all
}

func (l *older) inner(name string) *ebpf.Map {
	l.t.Helper()
	m, err := ebpf.NewMap(l.spec.Maps[name].InnerMap)
	must(l.t, err)
	l.t.Cleanup(func() { _ = m.Close() })
	return m
}

// give gives a slot such maps.
func (l *older) give(slot uint32, private map[olderInner]*ebpf.Map) {
	l.t.Helper()
	for i, m := range private {
		l.put(i.all, i.at(slot), m)
	}
}

// filter tells the maps of a guest and its device.
func (l *older) filter(g olderGuest, flags ...uint32) {
	l.t.Helper()
	config := layout3EniConfig{layout2EniConfig: layout2EniConfig{Tables: g.tables, Domain: 1, Flags: 1, MAC: g.mac}, ObserveUntil: l.observeUntil}
	for _, flag := range flags {
		config.Flags |= flag
	}
	hz, err := datapath.TicksPerSecond()
	must(l.t, err)
	for i := range config.Timeouts {
		config.Timeouts[i] = 600 * hz
	}
	l.putENI(g, config)
	l.put("slots", uint32(l.devices[g.eni]), g.slot)
	v := olderDevice{Ifindex: uint32(l.devices[g.eni]), Mode: 1}
	if l.options.Attach == datapath.Clsact {
		v.Mode = 2
	}
	copy(v.Name[:], gapDevice(g.eni))
	copy(v.ENI[:], g.eni)
	l.put("devices", g.slot, v)
	key := olderAddress{Scope: g.number, Family: 4}
	copy(key.Address[:], g.addr.AsSlice())
	l.put("addresses", key, [3]uint32{1, 1})
}

func (l *older) putENI(g olderGuest, c layout3EniConfig) {
	l.t.Helper()
	switch l.layout {
	case 2:
		l.put("enis", g.slot, layout2Eni{Number: g.number, Config: [2]layout2EniConfig{c.layout2EniConfig, c.layout2EniConfig}})
	case 3:
		l.put("enis", g.slot, layout3Eni{Number: g.number, Config: [2]layout3EniConfig{c, c}})
	case 4:
		config := layout4EniConfig{ // without a domain: nobody is a member
			Tables: c.Tables, Roots: uint64(layout4Root(uint32(c.Tables>>32)))<<32 | uint64(layout4Root(uint32(c.Tables))),
			Flags: c.Flags, MAC: c.MAC, Timeouts: c.Timeouts, ObserveUntil: c.ObserveUntil, Own4: g.addr.As4(),
		}
		l.put("enis", g.slot, layout4Eni{
			Number: g.number, BucketMask: l.bucketMask, Secrets: [5]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 1, 2, 3},
			Quota: layout4Quota, Config: [2]layout4EniConfig{config, config},
		})
	}
}

// ports are n ports of a protocol from the first on, as an interval has them.
func ports(p vpc.Protocol, first, n uint32) [2]uint32 {
	return [2]uint32{uint32(p)<<16 | first, uint32(p)<<16 | (first + n - 1)}
}

// dial opens a TCP connection from eniA to a port of eniB, which answers with what it gets.
func (l *older) dial(port uint16) stream {
	l.t.Helper()
	s := stream{t: l.t}
	must(l.t, streamtest.In(l.b.NS, func() error {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(peer4, port).String())
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
		s.conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(peer4, port).String(), 10*time.Second)
		return err
	}))
	l.t.Cleanup(func() { _ = s.conn.Close() })
	must(l.t, s.echo())
	return s
}

// counted is how many packets of eniA the older maps have counted for a reason.
func (l *older) counted(reason ruleset.Reason) (n uint64) {
	l.t.Helper()
	for _, at := range []uint32{2 * olderSlotOfA, 2*olderSlotOfA + 1} {
		var cpus [][]byte
		must(l.t, l.maps["counters"].Lookup(at, &cpus))
		for _, c := range cpus {
			n += binary.NativeEndian.Uint64(c[8*reason:])
		}
	}
	return n
}

func (l *older) put(name string, key, value any) {
	l.t.Helper()
	if err := l.maps[name].Put(key, value); err != nil {
		l.t.Fatalf("layout %d: write %s: %v", l.layout, name, err)
	}
}

// allow lets a table allow ports of a prefix, in ascending order.
func (l *older) allow(table uint32, cidr string, rule uint32, ports ...[2]uint32) {
	l.t.Helper()
	var intervals []olderInterval
	for _, p := range ports {
		intervals = append(intervals, olderInterval{p[0], p[1], rule, 0})
	}
	l.write(table, cidr, intervals...)
}

// write gives a prefix of a table its block of intervals.
func (l *older) write(table uint32, cidr string, block ...olderInterval) {
	l.t.Helper()
	prefix := netip.MustParsePrefix(cidr)
	if l.layout == 4 {
		l.writeTrees(table, prefix, block)
		return
	}
	key := olderPrefix{Bits: 64 + uint32(prefix.Bits()), Table: table, Family: 4}
	copy(key.Address[:], prefix.Addr().AsSlice())
	first := l.intervals
	for _, i := range block {
		l.put("intervals", l.intervals, i)
		l.intervals++
	}
	l.put("prefixes", key, [2]uint32{first, uint32(len(block))})
}

// layout4Root is the line of a table.
func layout4Root(table uint32) uint32 { return table - olderOutOfA + 1 }

// writeTrees gives a table a prefix, its only one: a tree of the ports, one of the addresses, and last the table that
// refers to it.
func (l *older) writeTrees(table uint32, prefix netip.Prefix, block []olderInterval) {
	l.t.Helper()
	for i, b := range block {
		if b.Flags != 0 {
			block[i].Rule |= layout4Everyone
		}
	}
	first := prefix.Addr().As4()
	from := binary.BigEndian.Uint32(first[:])
	addresses := l.writeTree(olderInterval{from, from | uint32(1<<(32-prefix.Bits())-1), l.writeTree(block...), 0})
	l.writePool(layout4Root(table), binary.NativeEndian.AppendUint32(nil, addresses))
}

// writeTree makes a tree of one leaf: numbers of an interval have its rule.
func (l *older) writeTree(intervals ...olderInterval) (reference uint32) {
	l.t.Helper()
	var leaf layout4Leaf
	for i := range leaf.Ends {
		leaf.Ends[i] = math.MaxUint32
	}
	at, next := 0, uint64(0)
	add := func(end, value uint32) {
		if at < len(leaf.Ends) {
			leaf.Ends[at] = end
		}
		leaf.Values[at] = value
		at++
		next = uint64(end) + 1
	}
	for _, i := range intervals {
		if uint64(i.From) > next {
			add(i.From-1, 0)
		}
		add(i.To, i.Rule)
	}
	if next <= math.MaxUint32 {
		add(math.MaxUint32, 0)
	}
	b, err := binary.Append(nil, binary.NativeEndian, leaf)
	must(l.t, err)
	line := l.lines
	l.lines++
	l.writePool(line, b)
	return line<<4 | 1 // level
}

func (l *older) writePool(line uint32, b []byte) {
	l.t.Helper()
	_, err := l.pool.WriteAt(b, 64*int64(line))
	must(l.t, err)
}

func (l *older) attachOlder(ifindex int, programs *ebpf.Collection, mode datapath.Mode) {
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
func (l *older) wantLayouts(want map[string]uint64) {
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
