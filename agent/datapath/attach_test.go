package datapath_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// links returns the ids of the pinned links, by their pins.
func (h *host) links() map[string]link.ID {
	h.t.Helper()
	dir := filepath.Join(h.options.Pins, "links")
	entries, err := os.ReadDir(dir)
	must(h.t, err)
	ids := map[string]link.ID{}
	for _, e := range entries {
		l, err := link.LoadPinnedLink(filepath.Join(dir, e.Name()), nil)
		must(h.t, err)
		info, err := l.Info()
		must(h.t, err)
		ids[e.Name()] = info.ID
		must(h.t, l.Close())
	}
	return ids
}

// filters returns the names of the direct-action filters on a device, of both hooks.
func (h *host) filters(ifindex int) (names []string) {
	h.t.Helper()
	h.do(func() {
		l, err := netlink.LinkByIndex(ifindex)
		must(h.t, err)
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			list, err := netlink.FilterList(l, parent)
			must(h.t, err)
			for _, f := range list {
				names = append(names, f.(*netlink.BpfFilter).Name)
			}
		}
	})
	return names
}

// ours are the names of our filters on this host, as a user lists them.
func (h *host) ours() []string {
	return []string{"sallyport_from_guest " + h.options.Pins, "sallyport_to_guest " + h.options.Pins}
}

// TestAdopt: an agent that dies leaves all in force, and the next one takes it over.
func TestAdopt(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			h := newHost(t, datapath.Options{Attach: mode})
			ifindex := h.attach(eniA)
			h.attach("")
			h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
			f := tcp(remote4, own4, 4000, 80, syn)
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonRule)
			_, number := h.d.TablesOf(eniA)
			attached, links := h.d.Attached(), h.links()
			wantLinks, wantFilters := 4, 0
			if mode == datapath.Clsact {
				wantLinks, wantFilters = 0, 2
			}
			if len(links) != wantLinks || len(h.filters(ifindex)) != wantFilters {
				t.Fatalf("%d links and filters %q, want %d and %d", len(links), h.filters(ifindex), wantLinks, wantFilters)
			}

			h.restart()
			if got := h.d.Attached(); !slices.Equal(got, attached) {
				t.Errorf("attached after a restart: %v, want %v", got, attached)
			}
			if got := h.links(); fmt.Sprint(got) != fmt.Sprint(links) {
				t.Errorf("links after a restart: %v, want the same %v", got, links)
			}
			if got := h.filters(ifindex); len(got) != wantFilters {
				t.Errorf("filters after a restart: %q, want %d", got, wantFilters)
			}
			// The new programs, before any Apply, with the old tables and connections.
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
			h.want(eniA, ruleset.Egress, f.reply(), ruleset.ReasonTracked)
			h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 4001, 80, syn), ruleset.ReasonRule)
			h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 4001, 81, syn), ruleset.ReasonNoRule)
			if _, got := h.d.TablesOf(eniA); got != number {
				t.Errorf("the ENI's number is %d, want %d", got, number)
			}
			h.apply(view())
			h.want(eniA, ruleset.Ingress, tcp(remote4, own4, 4002, 80, syn), ruleset.ReasonNoRule)
			h.want(eniA, ruleset.Ingress, f, ruleset.ReasonTracked)
		})
	}
}

// TestHighIndex: a device with an index beyond the array has its slot in the hash beside it, and none of
// the two finds the other's.
func TestHighIndex(t *testing.T) {
	for _, ifindex := range []int{1<<16 - 1, 1 << 16, 1<<31 - 1} {
		t.Run(fmt.Sprint(ifindex), func(t *testing.T) {
			h := newHost(t, datapath.Options{})
			h.do(func() {
				must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "high", Index: ifindex}, PeerName: "highp"}))
				must(t, h.d.Attach(ifindex, "high", eniA))
			})
			h.devices[eniA] = ifindex
			h.apply(view(rule(false, vpc.TCP, 80, 80, "0.0.0.0/0")))
			in := ruleset.Ingress
			h.want(eniA, in, tcp(remote4, own4, 1000, 80, syn), ruleset.ReasonRule)
			h.restart()
			h.want(eniA, in, tcp(remote4, own4, 1001, 80, syn), ruleset.ReasonRule)
			h.do(func() { must(t, h.d.Detach(ifindex)) })
			h.want(eniA, in, tcp(remote4, own4, 1002, 80, syn), ruleset.ReasonUnbound)
			h.devices[eniB] = h.device("low")
			h.do(func() { must(t, h.d.Attach(h.devices[eniB], "low", eniB)) })
			h.want(eniA, in, tcp(remote4, own4, 1003, 80, syn), ruleset.ReasonUnbound)
			h.want(eniB, in, tcp(remote4, own4, 1004, 80, syn), ruleset.ReasonNoTable)
		})
	}
}

// TestAdoptOtherMode moves a device over from one way to hang to the other.
func TestAdoptOtherMode(t *testing.T) {
	if !slices.Contains(modes(t), datapath.TCX) {
		h := newHost(t, datapath.Options{Attach: datapath.TCX})
		ifindex := h.device("g0")
		h.do(func() {
			if err := h.d.Attach(ifindex, "g0", eniA); err == nil || !strings.Contains(err.Error(), "v6.6") {
				t.Errorf("Attach with tcx before Linux 6.6: %v, want which kernel it needs", err)
			}
			if got := h.d.Attached(); len(got) != 0 {
				t.Errorf("attached: %v, want none", got)
			}
		})
		return
	}
	h := newHost(t, datapath.Options{Attach: datapath.TCX})
	ifindex := h.attach(eniA)
	h.apply(view(rule(true, vpc.TCP, 80, 80, "0.0.0.0/0")))
	h.want(eniA, ruleset.Egress, tcp(own4, remote4, 1, 80, syn), ruleset.ReasonRule)
	for _, mode := range []datapath.Mode{datapath.Clsact, datapath.TCX, datapath.Clsact} {
		h.options.Attach = mode
		h.restart()
		links, filters := len(h.links()), h.filters(ifindex)
		if mode == datapath.TCX && (links != 2 || len(filters) != 0) || mode == datapath.Clsact && (links != 0 || !slices.Equal(filters, h.ours())) {
			t.Errorf("with %s: %d links, filters %q", mode, links, filters)
		}
		h.want(eniA, ruleset.Egress, tcp(own4, remote4, 1, 80, syn), ruleset.ReasonTracked)
	}
}

// TestAdoptWithoutDevice: a device that went away while no agent ran is forgotten, and so is its ENI.
func TestAdoptWithoutDevice(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			h := newHost(t, datapath.Options{Attach: mode})
			h.attach(eniA)
			kept := h.attach(eniB)
			h.apply(view(allowAll()...))
			must(t, h.d.Close())
			h.do(func() {
				l, err := netlink.LinkByName("g0")
				must(t, err)
				must(t, netlink.LinkDel(l))
			})
			h.open()
			if got := h.d.Attached(); len(got) != 1 || got[0].Ifindex != kept || got[0].ENI != eniB {
				t.Errorf("attached: %v, want %s alone", got, eniB)
			}
			h.device("again")
			h.do(func() {
				l, err := netlink.LinkByName("again")
				must(t, err)
				must(t, h.d.Attach(l.Attrs().Index, "again", eniA))
			})
		})
	}
}

// TestReclaim: half of a change that a dead agent made is in force for no packet, and gone after the next Apply.
func TestReclaim(t *testing.T) {
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	v := groupView(sgB, map[string][]vpc.GroupID{"10.0.0.50": {sgB}})
	h.apply(v)
	must(t, h.d.Settle())
	want, err := h.d.Holds()
	must(t, err)
	next := groupView(sgC, map[string][]vpc.GroupID{"10.0.0.50": {sgC}, "10.0.0.51": {sgC}})
	fewer := next.ENIs[eniA]
	fewer.Addresses = []netip.Addr{own4, own6}
	next.ENIs[eniA] = fewer
	must(t, h.d.DieBuilding(h.compiler.Compile(next)))
	half, err := h.d.Holds()
	must(t, err)
	if half == want {
		t.Fatal("nothing was built")
	}
	h.restart()
	h.want(eniA, ruleset.Ingress, tcp(peer4, own4, 1, 80, syn), ruleset.ReasonRule)
	h.want(eniA, ruleset.Ingress, tcp(peer4, second4, 1, 80, syn), ruleset.ReasonRule)
	h.apply(v)
	got, err := h.d.Holds()
	must(t, err)
	if got != want {
		t.Errorf("the maps hold %+v, want %+v", got, want)
	}
	h.want(eniA, ruleset.Ingress, tcp(peer4, own4, 2, 80, syn), ruleset.ReasonRule)
}

// TestLayout: maps of another layout are refused in words, and their filters stay.
func TestLayout(t *testing.T) {
	h := newHost(t, datapath.Options{})
	ifindex := h.attach(eniA)
	hooks := func() int { return len(h.links()) + len(h.filters(ifindex)) }
	must(t, h.d.Close())
	state, err := ebpf.LoadPinnedMap(filepath.Join(h.options.Pins, "maps", "state"), nil)
	must(t, err)
	defer state.Close()
	set := func(layout uint64) {
		value, err := state.LookupBytes(uint32(0))
		must(t, err)
		binary.NativeEndian.PutUint64(value, layout)
		must(t, state.Put(uint32(0), value))
	}
	set(datapath.Layout + 1)
	h.do(func() {
		_, err = datapath.Open(h.options)
	})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("layout %d, this program knows %d", datapath.Layout+1, datapath.Layout)) || !strings.Contains(err.Error(), "--purge") {
		t.Errorf("Open on a newer layout: %v", err)
	}
	if got := hooks(); got != 2 {
		t.Errorf("%d links and filters are left, want 2", got)
	}
	set(datapath.Layout)
	h.open()
}

// TestAttachRefusesTun: a device without Ethernet headers carries no ENI, and stays closed when it is
// claimed.
func TestAttachRefusesTun(t *testing.T) {
	h := newHost(t, datapath.Options{})
	h.do(func() {
		tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1, Flags: netlink.TUNTAP_NO_PI}
		must(t, netlink.LinkAdd(tun))
		defer func() { must(t, tun.Fds[0].Close()) }()
		link, err := netlink.LinkByName("tun0")
		must(t, err)
		ifindex := link.Attrs().Index
		err = h.d.Attach(ifindex, "tun0", eniA)
		if err == nil || !strings.Contains(err.Error(), "not Ethernet") {
			t.Errorf("Attach of a TUN device: %v, want a refusal", err)
		}
		if got := h.d.Attached(); len(got) != 0 {
			t.Errorf("Attached() = %v after a refusal, want none", got)
		}
		must(t, h.d.Attach(ifindex, "tun0", "")) // closed
	})
}

// TestAttach: one device per ENI; the same again is nothing; a claim may become an ENI.
func TestAttach(t *testing.T) {
	h := newHost(t, datapath.Options{})
	a, b := h.device("a"), h.device("b")
	h.devices[eniA] = a
	h.do(func() {
		must(t, h.d.Attach(a, "a", ""))
		h.want(eniA, ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonUnbound)
		h.apply(view(allowAll()...))
		must(t, h.d.Attach(a, "a", eniA)) // its tables are known already
		h.want(eniA, ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonLink)
		must(t, h.d.Attach(a, "a", eniA))
		h.want(eniA, ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonLink)
		mustFail(t, h.d.Attach(b, "b", eniA), "a second device for one ENI")
		mustFail(t, h.d.Attach(9999, "none", eniB), "a device that is not there")
		must(t, h.d.Attach(b, "b", eniB))
		must(t, h.d.Attach(a, "a", ""))
		h.want(eniA, ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonUnbound)
		must(t, h.d.Attach(a, "renamed", ""))
	})
	want := []datapath.Attachment{{Ifindex: a, Name: "renamed"}, {Ifindex: b, Name: "b", ENI: eniB}}
	if got := h.d.Attached(); !slices.Equal(got, want) {
		t.Errorf("Attached() = %v, want %v", got, want)
	}
	h.do(func() {
		for range 2 {
			must(t, h.d.Detach(a))
			must(t, h.d.Detach(b))
		}
	})
	if got := h.d.Attached(); len(got) != 0 {
		t.Errorf("Attached() = %v, want none", got)
	}
	if _, err := datapath.Open(datapath.Options{Attach: "xdp"}); err == nil {
		t.Error("Open accepts an unknown way to attach")
	}
}

// TestAttachAfterLoss: an ENI moves to a new device though nobody detached the one that is gone.
func TestAttachAfterLoss(t *testing.T) {
	h := newHost(t, datapath.Options{})
	h.attach(eniA)
	h.apply(view(allowAll()...))
	h.do(func() {
		l, err := netlink.LinkByName("g0")
		must(t, err)
		must(t, netlink.LinkDel(l))
	})
	h.attach(eniB)
	b := h.devices[eniB]
	h.do(func() { must(t, h.d.Attach(b, "g1", eniA)) })
	if got := h.d.Attached(); len(got) != 1 || got[0].Ifindex != b || got[0].ENI != eniA {
		t.Errorf("Attached() = %v, want %s on %d alone", got, eniA, b)
	}
	h.want(eniB, ruleset.Egress, arp(1, mac, own4, router4), ruleset.ReasonLink)
}

// TestForeign: who stands before us is told, who stands behind us is not.
func TestForeign(t *testing.T) {
	for _, mode := range modes(t) {
		t.Run(string(mode), func(t *testing.T) {
			h := newHost(t, datapath.Options{Attach: mode})
			ifindex := h.device("g0")
			foreign := func(want ...string) {
				t.Helper()
				if got := h.d.Foreign(ifindex); !slices.Equal(got, want) {
					t.Errorf("Foreign() = %q, want %q", got, want)
				}
			}
			h.do(func() {
				if mode == datapath.TCX {
					addProgram(t, ifindex, "early")
				}
				must(t, h.d.Attach(ifindex, "g0", eniA))
				foreign()
				if mode == datapath.TCX {
					addProgram(t, ifindex, "late")
					foreign("from_guest: program late")
					return
				}
				addFilter(t, ifindex, "late")
				foreign("from_guest: filter late")
				if slices.Contains(modes(t), datapath.TCX) { // which always runs before clsact
					addProgram(t, ifindex, "later")
					foreign("from_guest: program later", "from_guest: filter late")
				}
			})
		})
	}
}

// passing is a program that lets everything on to the next.
func passing(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	must(t, err)
	return program
}

// addProgram puts a program at the head of a device's tcx ingress chain.
func addProgram(t *testing.T, ifindex int, name string) {
	t.Helper()
	program := passing(t, name)
	defer program.Close()
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: ifindex, Program: program, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
	})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
}

// addFilter adds a filter of our own priority; the kernel puts the newest first.
func addFilter(t *testing.T, ifindex int, name string) {
	t.Helper()
	program := passing(t, name)
	defer program.Close()
	must(t, netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 7, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: program.FD(), Name: name, DirectAction: true,
	}))
}

// TestPurge leaves nothing.
func TestPurge(t *testing.T) {
	for _, mode := range modes(t) {
		h := newHost(t, datapath.Options{Attach: mode})
		ifindex := h.attach(eniA)
		h.do(func() { must(t, datapath.Purge(h.options.Pins)) })
		if _, err := os.Stat(h.options.Pins); !os.IsNotExist(err) {
			t.Errorf("%s: %s is still there: %v", mode, h.options.Pins, err)
		}
		must(t, h.d.Close())
		h.d = nil
		if got := h.filters(ifindex); len(got) != 0 {
			t.Errorf("%s: filters %q are left", mode, got)
		}
		if mode == datapath.Clsact {
			continue
		}
		h.do(func() {
			chain, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: ebpf.AttachTCXIngress})
			must(t, err)
			if len(chain.Programs) != 0 {
				t.Errorf("%s: programs %v are left", mode, chain.Programs)
			}
		})
	}
}

// TestMountsBPFFS: where no bpffs is mounted Open mounts it. A process of its own finds out: all of its threads have
// another view of what is mounted.
func TestMountsBPFFS(t *testing.T) {
	const child = "SALLYPORT_TEST_MOUNTS"
	if os.Getenv(child) == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMountsBPFFS$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // which makes all mounts private
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestMountsBPFFS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH) == nil {
	}
	d, err := datapath.Open(datapath.Options{Pins: "/sys/fs/bpf/spt-datapath-mount"})
	must(t, err)
	must(t, d.Close())
	var fs unix.Statfs_t
	must(t, unix.Statfs("/sys/fs/bpf", &fs))
	if fs.Type != unix.BPF_FS_MAGIC {
		t.Errorf("/sys/fs/bpf has type %x", fs.Type)
	}
	if _, err := datapath.Open(datapath.Options{Pins: "/tmp/spt-datapath-mount"}); err == nil || !strings.Contains(err.Error(), "not in a bpffs") {
		t.Errorf("Open outside of a bpffs: %v", err)
	}
}
