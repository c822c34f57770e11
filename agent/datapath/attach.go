package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/vpc"
)

// Attachment is a device that is filtered.
type Attachment struct {
	Ifindex int
	Name    string          // when it was attached
	ENI     vpc.InterfaceID // empty: it carries none, and everything is dropped
	// Replaced: when Open looked, another device had the index and the name of the one that was attached.
	// It is closed.
	Replaced bool
}

// device is a filtered device: its slot, which it keeps until Detach, and its links.
type device struct {
	Attachment
	slot  uint32
	mode  guestDeviceMode
	hooks [2]hook // from_guest, to_guest
}

func (v device) close() error {
	return errors.Join(v.hooks[0].close(), v.hooks[1].close())
}

// Attach filters a device from now on. With an ENI it stays closed until Apply has tables for that;
// tables that Apply has had already are in force at once. Without one it drops everything. A device
// that is attached changes its ENI without a gap; for the same pair Attach makes sure that the
// filter is there. An ENI that another device carries is an error.
func (d *Datapath) Attach(ifindex int, name string, eni vpc.InterfaceID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.attach(ifindex, name, eni); err != nil {
		return fmt.Errorf("attach %s: %w", name, err)
	}
	d.log.Info("device attached", "device", name, "ifindex", ifindex, "eni", string(eni))
	if d.applied == nil || d.applied.ENIs[eni].ID == "" {
		return nil
	}
	if err := d.apply(*d.applied, d.appliedMembers); err != nil {
		return fmt.Errorf("attach %s: it stays closed: %w", name, err)
	}
	return nil
}

func (d *Datapath) attach(ifindex int, name string, eni vpc.InterfaceID) error {
	var twin guestDevice
	if len(name) >= len(twin.Name) || len(eni) >= len(twin.Eni) {
		return fmt.Errorf("the name or the id %q is too long", eni)
	}
	link, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return fmt.Errorf("find device %d: %w", ifindex, err)
	}
	// The programs read an Ethernet header first; without one a packet's own bytes would pass for it.
	if kind := link.Attrs().EncapType; eni != "" && kind != "ether" {
		return fmt.Errorf("frames of this device are not Ethernet but %q: bind a tap, veth or other Ethernet device", kind)
	}
	for _, other := range d.devices {
		if eni == "" || other.ENI != eni || other.Ifindex == ifindex {
			continue
		}
		if there, err := d.isThere(&other); err != nil || there {
			return errors.Join(fmt.Errorf("%s is carried by %s already", eni, other.Name), err)
		}
		if err := d.forget(other); err != nil { // it is gone, and nobody has said so yet
			return err
		}
	}
	v, known := d.devices[ifindex]
	if known {
		// Another device may have its index by now, and nobody has said so yet.
		if known, err = d.isThere(&v); err == nil && !known {
			err = d.forget(v)
		}
		if err != nil {
			return err
		}
	}
	if !known {
		slot, err := d.freeSlot()
		if err != nil {
			return err
		}
		v = device{slot: slot}
	}
	if known && v.ENI != eni {
		if err := d.release(v); err != nil {
			return err
		}
	}
	v.Attachment = Attachment{Ifindex: ifindex, Name: name, ENI: eni}
	if d.waits(v) { // and goes on to
		d.remember(v)
		return nil
	}
	if err := d.hook(v); err != nil {
		if !known {
			err = errors.Join(err, d.forget(v))
		}
		return err
	}
	d.waitNoMore(ifindex, false)
	return nil
}

// freeSlot finds a slot that no device has. Slot 0 is for those that nobody knows.
func (d *Datapath) freeSlot() (uint32, error) {
	for slot := uint32(1); slot < uint32(len(d.enis)); slot++ {
		if _, taken := d.slots[slot]; !taken {
			return slot, d.resetCounters(slot)
		}
	}
	return 0, fmt.Errorf("%d devices are all that one host can have", len(d.enis)-1)
}

// release closes a device and forgets its ENI, with all connections.
func (d *Datapath) release(v device) error {
	eni := &d.enis[v.slot]
	number := eni.Number
	atomic.StoreUint32(&eni.Number, 0)
	if err := gracePeriod(); err != nil {
		return err
	}
	if err := d.takePrivate(v.slot); err != nil {
		return err
	}
	if err := d.names.forget(nameKey(guestKindKIND_ENI, string(v.ENI))); err != nil {
		return err
	}
	d.rules.drop(func(key ruleKey, _ uint32) bool { return key.eni == number })
	*eni = guestEni{}
	v.ENI = ""
	d.remember(v)
	d.pending = true // its tables may have no other user
	return d.resetCounters(v.slot)
}

// remember writes down what a slot is for the next agent, and for this one.
func (d *Datapath) remember(v device) {
	twin := guestDevice{Ifindex: uint32(v.Ifindex), Mode: v.mode}
	setString(twin.Name[:], v.Name)
	setString(twin.Eni[:], string(v.ENI))
	d.memory.devices[v.slot] = twin
	d.slots[v.slot] = v.Attachment
	d.devices[v.Ifindex] = v
}

// hook makes sure that the device has its number and both programs.
func (d *Datapath) hook(v device) error {
	d.remember(v)
	// The kernel waits for RCU in both, so side by side. Until the device has a number its programs drop everything.
	var beside sync.WaitGroup
	var err error
	if slot := v.slot; v.ENI != "" {
		beside.Go(func() { err = d.givePrivate(slot) })
	}
	attachErr := d.attachPrograms(&v) // not in another goroutine: this one may be in a network namespace of its own
	beside.Wait()
	d.remember(v) // its links, even if not all
	if err = errors.Join(err, attachErr); err != nil {
		return err
	}
	return d.identify(v)
}

// identify makes sure that a device has its slot and its number, and the maps of its ENI.
func (d *Datapath) identify(v device) error {
	d.remember(v)
	// First what it has, then who it is.
	if v.ENI != "" {
		if err := d.givePrivate(v.slot); err != nil {
			return err
		}
	}
	if v.ENI != "" && d.enis[v.slot].Number == 0 {
		number, err := d.names.number(guestKindKIND_ENI, string(v.ENI))
		if err != nil {
			return err
		}
		atomic.StoreUint32(&d.enis[v.slot].Number, number)
	}
	slots := d.slotsOf(v.Ifindex)
	var slot uint32
	if err := slots.Lookup(uint32(v.Ifindex), &slot); err != nil || slot != v.slot {
		if err := slots.Put(uint32(v.Ifindex), v.slot); err != nil {
			return fmt.Errorf("write the device's slot: %w", full(err, slots))
		}
	}
	return nil
}

// slotsOf is the map in which an ifindex has its slot.
func (d *Datapath) slotsOf(ifindex int) *ebpf.Map {
	if uint32(ifindex) < d.objects.Slots.MaxEntries() {
		return d.objects.Slots
	}
	return d.objects.HighSlots
}

// dropSlot makes an ifindex one that nobody knows.
func (d *Datapath) dropSlot(ifindex int) error {
	if slots := d.slotsOf(ifindex); slots != d.objects.Slots {
		return deleteKey(slots, uint32(ifindex))
	}
	return d.objects.Slots.Put(uint32(ifindex), uint32(0))
}

// attachPrograms hangs both programs on the device, or replaces those that hang there. A device
// that is to hang otherwise gets the new filter before it loses the old one.
func (d *Datapath) attachPrograms(v *device) error {
	want := guestDeviceModeDEVICE_TCX
	if d.mode == Clsact {
		want = guestDeviceModeDEVICE_CLSACT
	}
	err := d.attachMode(v, want)
	if want == guestDeviceModeDEVICE_TCX && d.mode == Auto && errors.Is(err, ebpf.ErrNotSupported) {
		want = guestDeviceModeDEVICE_CLSACT
		err = d.attachMode(v, want)
	}
	if err != nil {
		return err
	}
	if v.mode != want && v.mode != 0 {
		if err := d.detachMode(*v, v.mode); err != nil {
			return err
		}
	}
	v.mode = want
	return nil
}

func (d *Datapath) attachMode(v *device, mode guestDeviceMode) error {
	for i, h := range hooks {
		var err error
		if mode == guestDeviceModeDEVICE_TCX {
			err = d.attachTCX(v, i, h)
		} else {
			err = d.attachClsact(v.Ifindex, h)
		}
		if err != nil {
			return fmt.Errorf("attach %s: %w", h.name, err)
		}
	}
	return nil
}

// Detach removes the filter and the connections of the ENI. A device that is not attached is no
// error, one that is gone neither.
func (d *Datapath) Detach(ifindex int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.devices[ifindex]
	if !ok {
		return nil
	}
	if err := d.forget(v); err != nil {
		return fmt.Errorf("detach %s: %w", v.Name, err)
	}
	d.log.Info("device detached", "device", v.Name, "ifindex", ifindex, "eni", string(v.ENI))
	return nil
}

func (d *Datapath) forget(v device) error {
	v = d.devices[v.Ifindex]
	if err := errors.Join(
		d.detachMode(v, guestDeviceModeDEVICE_TCX),
		d.detachMode(v, guestDeviceModeDEVICE_CLSACT),
		d.dropSlot(v.Ifindex),
		d.release(v),
	); err != nil {
		return err
	}
	d.waitNoMore(v.Ifindex, true)
	// Last: an agent that dies before finds the device and has it detached again.
	d.memory.devices[v.slot] = guestDevice{}
	delete(d.slots, v.slot)
	delete(d.devices, v.Ifindex)
	return nil
}

func (d *Datapath) detachMode(v device, mode guestDeviceMode) error {
	var errs []error
	for i, h := range hooks {
		if mode == guestDeviceModeDEVICE_TCX {
			errs = append(errs, d.detachTCX(v, i, h))
		} else {
			errs = append(errs, detachClsact(d.pins, v.Ifindex, h))
		}
	}
	return errors.Join(errs...)
}

// Attached returns the devices that are filtered, by ifindex. Right after Open it is what the pins
// say, without devices that are gone.
func (d *Datapath) Attached() []Attachment {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Attachment, 0, len(d.devices))
	for _, v := range d.devices {
		list = append(list, v.Attachment)
	}
	slices.SortFunc(list, func(a, b Attachment) int { return a.Ifindex - b.Ifindex })
	return list
}

// adoptDevices takes over the devices that the maps name, ours and then those of an older layout.
func (d *Datapath) adoptDevices() error {
	if err := d.dropOutdated(); err != nil {
		return err
	}
	for slot, twin := range d.memory.devices {
		if twin.Ifindex == 0 {
			continue
		}
		if err := d.adopt(device{
			Attachment: Attachment{
				Ifindex: int(twin.Ifindex), Name: getString(twin.Name[:]), ENI: vpc.InterfaceID(getString(twin.Eni[:])),
			},
			slot: uint32(slot),
			mode: twin.Mode,
		}); err != nil {
			return err
		}
	}
	if err := d.takeOver(); err != nil {
		return err
	}
	return d.removeStrays()
}

// adopt takes over a device: new programs if it is there, and an end if it is not. One that has the
// index and the name of one that is gone is closed: it may be another guest's.
func (d *Datapath) adopt(v device) error {
	d.remember(v)
	there, err := d.isThere(&v)
	switch {
	case err != nil:
		return err
	case !there:
		d.log.Info("device gone", "device", v.Name, "ifindex", v.Ifindex, "eni", string(v.ENI))
		if err := d.forget(v); err != nil {
			return fmt.Errorf("forget device %s: %w", v.Name, err)
		}
		l, err := netlink.LinkByIndex(v.Ifindex)
		if err != nil || l.Attrs().Name != v.Name {
			return nil
		}
		d.log.Warn("another device has its name and index, and is closed", "device", v.Name, "ifindex", v.Ifindex)
		v = device{Attachment: Attachment{Ifindex: v.Ifindex, Name: v.Name, Replaced: true}, slot: v.slot}
	case d.waits(v):
		return d.identify(v)
	}
	if err := d.hook(v); err != nil {
		// The program of the agent before filters it, by the same maps; one guest's trouble shall not
		// keep the others from their rules.
		d.log.Error("device keeps its old program", "device", v.Name, "ifindex", v.Ifindex, "eni", string(v.ENI), "err", err)
	}
	return nil
}

// removeStrays removes links of devices that no slot names: an agent died while it attached.
func (d *Datapath) removeStrays() error {
	entries, err := os.ReadDir(d.linkPins())
	if err != nil {
		return fmt.Errorf("read link pins: %w", err)
	}
	for _, e := range entries {
		var ifindex int
		if _, err := fmt.Sscanf(e.Name(), "%d-", &ifindex); err == nil {
			if _, ok := d.devices[ifindex]; ok {
				continue
			}
		}
		if err := removePin(filepath.Join(d.linkPins(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func setString(to []int8, s string) {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&to[0])), len(to)), s)
}

func getString(from []int8) string {
	s, _, _ := strings.Cut(string(unsafe.Slice((*byte)(unsafe.Pointer(&from[0])), len(from))), "\x00")
	return s
}
