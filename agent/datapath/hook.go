package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/dump"
)

// hooks are the two places where our programs hang, seen from the device.
var hooks = [2]struct {
	name   string // of the program
	tcx    ebpf.AttachType
	parent uint32 // of clsact filters
}{
	{guestProgFromGuest, ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS},
	{guestProgToGuest, ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS},
}

// hookInfo is one of hooks.
type hookInfo = struct {
	name   string
	tcx    ebpf.AttachType
	parent uint32
}

// hook is a place on a device where a program of ours hangs; its link is nil with clsact.
type hook struct {
	link link.Link
}

func (h hook) close() error {
	if h.link == nil {
		return nil
	}
	return h.link.Close()
}

func (d *Datapath) program(i int) *ebpf.Program {
	return [2]*ebpf.Program{d.objects.FromGuest, d.objects.ToGuest}[i]
}

func (d *Datapath) linkPin(ifindex int, h hookInfo) string {
	return filepath.Join(d.linkPins(), fmt.Sprintf("%d-%s", ifindex, h.name))
}

// attachTCX makes a pinned link at the head of the chain, or replaces the program of the one there.
func (d *Datapath) attachTCX(v *device, i int, h hookInfo) error {
	pin := d.linkPin(v.Ifindex, h)
	if v.hooks[i].link == nil {
		found, err := link.LoadPinnedLink(pin, nil)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read %s: %w", pin, err)
		}
		v.hooks[i].link = found
		if err != nil {
			v.hooks[i].link = nil
		}
	}
	if found := v.hooks[i].link; found != nil {
		if linkedTo(found) == v.Ifindex {
			return found.Update(d.program(i))
		}
		// It belonged to a device that is gone.
		if err := errors.Join(removePin(pin), found.Close()); err != nil {
			return err
		}
		v.hooks[i].link = nil
	}
	made, err := link.AttachTCX(link.TCXOptions{
		Interface: v.Ifindex, Program: d.program(i), Attach: h.tcx, Anchor: link.Head(),
	})
	if err != nil {
		return err
	}
	if err := made.Pin(pin); err != nil {
		return errors.Join(fmt.Errorf("pin the link: %w", err), made.Close())
	}
	v.hooks[i].link = made
	return nil
}

// linkedTo is the ifindex of a tcx link; 0 once its device is gone.
func linkedTo(l link.Link) int {
	info, err := l.Info()
	if err != nil || info.TCX() == nil {
		return 0
	}
	return int(info.TCX().Ifindex)
}

func (d *Datapath) detachTCX(v device, i int, h hookInfo) error {
	return errors.Join(removePin(d.linkPin(v.Ifindex, h)), v.hooks[i].close())
}

func removePin(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a pin: %w", err)
	}
	return nil
}

// Our filters are of the first priority, with a handle that others do not happen to use.
const (
	filterPriority = 1
	filterHandle   = 0x5a11
)

// filterName is how our filters are known: those of other pins are another's.
func filterName(pins string, h hookInfo) string {
	if pins == DefaultPins {
		return "sallyport_" + h.name
	}
	return "sallyport_" + h.name + " " + pins
}

// attachClsact adds our filter, or replaces its program atomically.
func (d *Datapath) attachClsact(ifindex int, h hookInfo) error {
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	}
	if err := netlink.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add the clsact qdisc: %w", err)
	}
	i := 0
	if h.name == guestProgToGuest {
		i = 1
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: h.parent, Handle: filterHandle,
			Protocol: unix.ETH_P_ALL, Priority: filterPriority,
		},
		Fd:           d.program(i).FD(),
		Name:         filterName(d.pins, h),
		DirectAction: true,
	}
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("add the filter: %w", err)
	}
	return nil
}

// clsactFilter finds our filter on a device; nil: there is none.
func clsactFilter(pins string, ifindex int, h hookInfo) (*netlink.BpfFilter, error) {
	filters, err := clsactFilters(ifindex, h)
	for _, f := range filters {
		if f.Name == filterName(pins, h) {
			return f, err
		}
	}
	return nil, err
}

// clsactFilters lists the BPF filters of a hook in their order; none if the device is gone.
func clsactFilters(ifindex int, h hookInfo) ([]*netlink.BpfFilter, error) {
	device, err := netlink.LinkByIndex(ifindex)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find device %d: %w", ifindex, err)
	}
	all, err := dump.Whole(func() ([]netlink.Filter, error) { return netlink.FilterList(device, h.parent) })
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	var filters []*netlink.BpfFilter
	for _, f := range all {
		if f, ok := f.(*netlink.BpfFilter); ok {
			filters = append(filters, f)
		}
	}
	return filters, nil
}

func detachClsact(pins string, ifindex int, h hookInfo) error {
	filter, err := clsactFilter(pins, ifindex, h)
	if err != nil || filter == nil {
		return err
	}
	if err := netlink.FilterDel(filter); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove the filter: %w", err)
	}
	return nil
}

// Filters says whether a device is still the one that was attached, with a filter of ours.
func (d *Datapath) Filters(ifindex int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.devices[ifindex]
	if !ok {
		return false
	}
	there, err := d.isThere(&v)
	return there || err != nil // not known: then nothing is undone
}

// isThere says whether a device is still the one that was attached. An ifindex may come again, and so
// may a name: the filter ends with the device, and has to be there too.
func (d *Datapath) isThere(v *device) (bool, error) {
	l, err := netlink.LinkByIndex(v.Ifindex)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find device %d: %w", v.Ifindex, err)
	}
	for _, h := range hooks {
		pinned, err := link.LoadPinnedLink(d.linkPin(v.Ifindex, h), nil)
		if err == nil {
			there := linkedTo(pinned) == v.Ifindex
			if err := pinned.Close(); err != nil {
				return false, err
			}
			if there {
				return true, nil
			}
		}
		filter, err := clsactFilter(d.pins, v.Ifindex, h)
		if err != nil {
			return false, err
		}
		if filter != nil {
			return true, nil
		}
	}
	// An agent died between the entry and the filter, of which the mode is noted last.
	return v.mode == 0 && l.Attrs().Name == v.Name, nil
}

// Foreign names the programs that see a device's packets before ours: in the chain of its ingress or
// egress hook. What they let through we judge; what they drop or redirect we never see.
func (d *Datapath) Foreign(ifindex int) []string {
	d.mu.Lock()
	v, ok := d.devices[ifindex]
	waits := ok && d.waits(v)
	d.mu.Unlock()
	if !ok || waits { // ours is not there until the upgrade has ended
		return nil
	}
	var found []string
	for i, h := range hooks {
		found = append(found, d.foreignTCX(v, i, h)...)
		if v.mode != guestDeviceModeDEVICE_CLSACT {
			continue
		}
		filters, err := clsactFilters(ifindex, h)
		if err != nil {
			d.log.Warn("list filters", "device", v.Name, "err", err)
		}
		for _, f := range filters {
			if f.Name == filterName(d.pins, h) {
				break
			}
			found = append(found, fmt.Sprintf("%s: filter %s", h.name, f.Name))
		}
	}
	return found
}

func (d *Datapath) foreignTCX(v device, i int, h hookInfo) []string {
	chain, err := link.QueryPrograms(link.QueryOptions{Target: v.Ifindex, Attach: h.tcx})
	if err != nil {
		if !errors.Is(err, ebpf.ErrNotSupported) {
			d.log.Warn("list programs", "device", v.Name, "err", err)
		}
		return nil
	}
	own, err := d.program(i).Info()
	if err != nil {
		return nil
	}
	ownID, _ := own.ID()
	var found []string
	for _, p := range chain.Programs {
		if p.ID == ownID {
			break
		}
		name := fmt.Sprintf("program %d", p.ID)
		if program, err := ebpf.NewProgramFromID(p.ID); err == nil {
			if info, err := program.Info(); err == nil {
				name = "program " + info.Name
			}
			_ = program.Close()
		}
		found = append(found, fmt.Sprintf("%s: %s", h.name, name))
	}
	return found
}

// Purge removes every filter, link and map that was pinned below a directory: devices are open from
// then on. It works on what any version left behind.
func Purge(pins string) error {
	if pins == "" {
		pins = DefaultPins
	}
	var errs []error
	links, err := dump.Whole(netlink.LinkList)
	if err != nil {
		errs = append(errs, fmt.Errorf("list devices: %w", err))
	}
	for _, l := range links {
		for _, h := range hooks {
			errs = append(errs, detachClsact(pins, l.Attrs().Index, h))
		}
	}
	if err := os.RemoveAll(pins); err != nil {
		errs = append(errs, fmt.Errorf("remove pins: %w", err))
	}
	return errors.Join(errs...)
}
