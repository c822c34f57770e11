package datapath_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// olderLayouts are those that Open upgrades from.
var olderLayouts = []uint64{2, 3, 4}

// newestOlder is the one before ours. What is the same for all is tested with it alone.
const newestOlder = 4

// TestUpgrade moves two guests from an older layout to ours under traffic, with agents that come and go
// before the first Apply, and then five that die in the middle of that, each a step later.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, layout := range olderLayouts {
		t.Run(fmt.Sprint(layout), func(t *testing.T) {
			t.Parallel()
			for _, mode := range modes(t) {
				deaths := mode == datapath.TCX && layout == newestOlder || os.Getenv("SOAK") != ""
				t.Run(string(mode), func(t *testing.T) {
					t.Parallel()
					upgrade(t, layout, mode, deaths)
				})
			}
		})
	}
}

func upgrade(t *testing.T, layout uint64, mode datapath.Mode, deaths bool) {
	views := gapViews()
	l := newOlder(t, layout, datapath.Options{Attach: mode})
	counted := l.counted(ruleset.ReasonTracked)
	s, err := streamtest.Start(streamtest.Options{From: l.a, To: l.b, Host: l.ns, Lanes: gapLanes(), Rate: 70_000, Max: 16 << 20})
	must(t, err)
	s.WaitFor(t.Context(), 5_000)
	begins := func() {
		t.Helper()
		l.host.open()
		l.wantLayouts(map[string]uint64{"maps": layout, fmt.Sprintf("layout%d", datapath.Layout): datapath.Layout})
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
	for _, layout := range olderLayouts {
		t.Run(fmt.Sprint(layout), func(t *testing.T) {
			t.Parallel()
			upgradeWaits(t, layout)
		})
	}
}

func upgradeWaits(t *testing.T, layout uint64) {
	for name, tt := range map[string]struct {
		do     func(l *older)
		passes bool // from eniA's device, before the first Apply
	}{
		"nothing":        {func(*older) {}, true},
		"the same again": {func(l *older) { must(t, l.d.Attach(l.devices[eniA], "gapa", eniA)) }, true},
		"a new name":     {func(l *older) { must(t, l.d.Attach(l.devices[eniA], "gap0", eniA)) }, true},
		"closed":         {func(l *older) { must(t, l.d.Attach(l.devices[eniA], "gapa", "")) }, false},
		"another ENI": {func(l *older) {
			must(t, l.d.Attach(l.devices[eniA], "gapa", "eni-0000000000000000c"))
		}, false},
		"detached": {func(l *older) { must(t, l.d.Detach(l.devices[eniA])) }, true},
		"detached and attached": {func(l *older) {
			must(t, l.d.Detach(l.devices[eniA]))
			must(t, l.d.Attach(l.devices[eniA], "gapa", eniA))
		}, false},
	} {
		if layout != newestOlder && name != "nothing" && name != "another ENI" && os.Getenv("SOAK") == "" {
			continue // what is done with it is the same in all
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newOlder(t, layout, datapath.Options{})
			l.host.open()
			l.do(func() { tt.do(l) })
			arrives := func(when string, passes bool) {
				t.Helper()
				if got := l.arrives(1000, openPort); got != passes {
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
	for _, layout := range olderLayouts {
		t.Run(fmt.Sprint(layout), func(t *testing.T) {
			t.Parallel()
			upgradeBegunAgain(t, layout)
		})
	}
}

func upgradeBegunAgain(t *testing.T, layout uint64) {
	const eniC = vpc.InterfaceID("eni-0000000000000000c")
	for name, tt := range map[string]struct {
		first, second vpc.InterfaceID // of the devices gapa and gapb, by then
		slotA, slotB  uint32
	}{
		"nothing":     {eniA, eniB, olderSlotOfA, olderSlotOfB},
		"other slots": {eniA, eniB, olderSlotOfB, olderSlotOfA},
		"another ENI": {eniC, eniB, olderSlotOfA, olderSlotOfB},
		"the ENI of the other, which has another": {eniB, eniC, olderSlotOfB, olderSlotOfA},
	} {
		if layout != newestOlder && name != "other slots" && os.Getenv("SOAK") == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newOlder(t, layout, datapath.Options{})
			l.host.open()
			must(t, l.d.Close())

			none := make([]byte, datapath.OlderENI(layout))
			binary.NativeEndian.PutUint32(none, 1003)
			binary.NativeEndian.PutUint32(none[4:], layout4BucketMask) // the others have padding there
			enis := map[vpc.InterfaceID][]byte{eniC: none}
			private := map[vpc.InterfaceID]map[olderInner]*ebpf.Map{eniC: l.private()}
			for _, g := range olderGuests() {
				v, err := l.maps["enis"].LookupBytes(g.slot)
				must(t, err)
				enis[g.eni] = v
				private[g.eni] = map[olderInner]*ebpf.Map{}
				for _, i := range olderPrivate[layout] {
					var m *ebpf.Map
					must(t, l.maps[i.all].Lookup(i.at(g.slot), &m))
					defer m.Close()
					private[g.eni][i] = m
				}
			}
			want := []datapath.Attachment{
				{Ifindex: l.devices[eniA], Name: "gapa", ENI: tt.first}, {Ifindex: l.devices[eniB], Name: "gapb", ENI: tt.second},
			}
			for i, slot := range []uint32{tt.slotA, tt.slotB} {
				v := olderDevice{Ifindex: uint32(want[i].Ifindex), Mode: 1}
				copy(v.Name[:], want[i].Name)
				copy(v.ENI[:], want[i].ENI)
				l.put("devices", slot, v)
				l.put("enis", slot, enis[want[i].ENI])
				l.give(slot, private[want[i].ENI])
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

// arrives sends a word from a port of eniA's guest to one of eniB's and says whether it comes.
func (l *older) arrives(from, to uint16) bool {
	l.t.Helper()
	var sender, receiver net.PacketConn
	for _, of := range []struct {
		at   streamtest.End
		port uint16
		c    *net.PacketConn
	}{{l.a, from, &sender}, {l.b, to, &receiver}} {
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

// wantCarried fails unless the tracked connections and the counters of the older layout are in ours.
func (l *older) wantCarried(counted uint64) {
	l.t.Helper()
	list, err := l.d.Connections(eniB)
	must(l.t, err)
	for _, protocol := range []vpc.Protocol{vpc.TCP, vpc.UDP} {
		if !slices.ContainsFunc(list, func(c datapath.Connection) bool {
			return c.Protocol == uint8(protocol) && c.Rule == olderRuleIn && c.Established && c.Revision == 7 && c.Packets[ruleset.Ingress] > 2
		}) {
			l.t.Errorf("no connection of protocol %d is as it was", protocol)
		}
	}
	counters, err := l.d.Counters()
	must(l.t, err)
	if got := counters[eniA][ruleset.ReasonTracked]; got <= counted {
		l.t.Errorf("eniA has %d tracked packets, the older layout had counted %d", got, counted)
	}
}

// TestOlderStructs holds the structs of older layouts against the types that their programs were made with.
func TestOlderStructs(t *testing.T) {
	t.Parallel()
	for _, layout := range olderLayouts {
		spec, err := ebpf.LoadCollectionSpec(fmt.Sprintf("testdata/layout%d.o", layout))
		must(t, err)
		structs := datapath.OlderStructs(layout)
		if structs["eni"].Size == 0 {
			structs["eni"] = datapath.StructOf{Size: datapath.OlderENI(layout)}
		}
		for name, got := range structs {
			var want *btf.Struct
			must(t, spec.Types.TypeByName(name, &want))
			if int(want.Size) != got.Size {
				t.Errorf("layout %d: struct %s has %d bytes, want %d", layout, name, got.Size, want.Size)
			}
			var offsets []int
			for _, m := range want.Members {
				offsets = append(offsets, int(m.Offset.Bytes()))
			}
			if got.Offsets != nil && !slices.Equal(got.Offsets, offsets) {
				t.Errorf("layout %d: the fields of struct %s are at %v, want %v", layout, name, got.Offsets, offsets)
			}
		}
	}
}
