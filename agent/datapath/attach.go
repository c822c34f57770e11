package datapath

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
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
}

// device is a filtered device: what the map says of it, and its links.
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
	if err := d.apply(*d.applied, d.members); err != nil {
		return fmt.Errorf("attach %s: it stays closed: %w", name, err)
	}
	return nil
}

func (d *Datapath) attach(ifindex int, name string, eni vpc.InterfaceID) error {
	var twin guestDevice
	if len(name) >= len(twin.Name) || len(eni) >= len(twin.Eni) {
		return fmt.Errorf("the name or the id %q is too long", eni)
	}
	for _, other := range d.devices {
		if eni != "" && other.ENI == eni && other.Ifindex != ifindex {
			return fmt.Errorf("%s is carried by %s already", eni, other.Name)
		}
	}
	old, known := d.devices[ifindex]
	if known && old.ENI == eni {
		old.Name = name
		return d.hook(old)
	}
	v := device{Attachment: Attachment{Ifindex: ifindex, Name: name, ENI: eni}, mode: old.mode, hooks: old.hooks}
	var err error
	if v.slot, err = d.takeSlot(v.Attachment); err != nil {
		return err
	}
	if err := d.hook(v); err != nil {
		if !known {
			err = errors.Join(err, d.forget(v))
		} else {
			err = errors.Join(err, d.freeSlot(v))
		}
		return err
	}
	if known {
		return d.freeSlot(old)
	}
	return nil
}

// takeSlot gives an ENI its number and a closed entry.
func (d *Datapath) takeSlot(a Attachment) (uint32, error) {
	if a.ENI == "" {
		return 0, nil
	}
	for slot := uint32(1); slot < uint32(len(d.enis)); slot++ {
		if _, taken := d.slots[slot]; taken {
			continue
		}
		number, err := d.names.number(guestKindKIND_ENI, string(a.ENI))
		if err != nil {
			return 0, err
		}
		if err := d.resetCounters(slot); err != nil {
			return 0, err
		}
		d.enis[slot] = guestEni{Number: number}
		d.slots[slot] = a
		return slot, nil
	}
	return 0, fmt.Errorf("%d devices are all that one host can have", len(d.enis)-1)
}

// freeSlot closes a slot that no device points to any more and forgets its ENI and connections.
func (d *Datapath) freeSlot(v device) error {
	if v.slot == 0 {
		return nil
	}
	if err := gracePeriod(); err != nil {
		return err
	}
	// The entry goes last: an agent that dies before finds it and does the rest.
	if err := errors.Join(
		d.cutENI(d.enis[v.slot].Number),
		d.names.forget(nameKey(guestKindKIND_ENI, string(v.ENI))),
	); err != nil {
		return err
	}
	d.enis[v.slot] = guestEni{}
	delete(d.slots, v.slot)
	d.pending = true // its tables may have no other user
	return nil
}

// hook writes the device's entry and makes sure that both programs hang on it.
func (d *Datapath) hook(v device) error {
	if _, err := netlink.LinkByIndex(v.Ifindex); err != nil {
		return fmt.Errorf("find device %d: %w", v.Ifindex, err)
	}
	was := v.mode
	twin := guestDevice{Slot: v.slot, Mode: was}
	setString(twin.Name[:], v.Name)
	setString(twin.Eni[:], string(v.ENI))
	// First who it is, then the filter: a program that finds no entry drops everything.
	if err := d.objects.Devices.Put(uint32(v.Ifindex), twin); err != nil {
		return fmt.Errorf("write the device's entry: %w", full(err, d.objects.Devices))
	}
	if err := d.attachPrograms(&v); err != nil {
		return err
	}
	if v.mode != was {
		twin.Mode = v.mode
		if err := d.objects.Devices.Put(uint32(v.Ifindex), twin); err != nil {
			return fmt.Errorf("write the device's entry: %w", err)
		}
	}
	d.devices[v.Ifindex] = v
	if v.slot != 0 {
		d.slots[v.slot] = v.Attachment
	}
	return nil
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
	var errs []error
	for _, mode := range []guestDeviceMode{guestDeviceModeDEVICE_TCX, guestDeviceModeDEVICE_CLSACT} {
		errs = append(errs, d.detachMode(v, mode))
	}
	errs = append(errs, deleteKey(d.objects.Devices, uint32(v.Ifindex)))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	delete(d.devices, v.Ifindex)
	return d.freeSlot(v)
}

func (d *Datapath) detachMode(v device, mode guestDeviceMode) error {
	var errs []error
	for i, h := range hooks {
		if mode == guestDeviceModeDEVICE_TCX {
			errs = append(errs, d.detachTCX(v, i, h))
		} else {
			errs = append(errs, detachClsact(v.Ifindex, h))
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

// adoptDevices takes over the devices of the pinned map: new programs for those that are there, and
// an end for those that are not.
func (d *Datapath) adoptDevices() error {
	var ifindex uint32
	var twin guestDevice
	found := map[uint32]guestDevice{}
	it := d.objects.Devices.Iterate()
	for it.Next(&ifindex, &twin) {
		found[ifindex] = twin
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	for ifindex, twin := range found {
		v := device{
			Attachment: Attachment{Ifindex: int(ifindex), Name: getString(twin.Name[:]), ENI: vpc.InterfaceID(getString(twin.Eni[:]))},
			slot:       twin.Slot,
			mode:       twin.Mode,
		}
		if v.slot != 0 {
			d.slots[v.slot] = v.Attachment
		}
		there, err := d.isThere(&v)
		if err != nil {
			return err
		}
		if there {
			d.devices[v.Ifindex] = v
			if err := d.hook(v); err != nil {
				// The program of the agent before filters it, by the same maps; one guest's trouble
				// shall not keep the others from their rules.
				d.log.Error("device keeps its old program", "device", v.Name, "ifindex", v.Ifindex, "eni", string(v.ENI), "err", err)
			}
			continue
		}
		d.log.Info("device gone", "device", v.Name, "ifindex", v.Ifindex, "eni", string(v.ENI))
		if err := d.forget(v); err != nil {
			return fmt.Errorf("forget device %s: %w", v.Name, err)
		}
	}
	return d.removeStrays(found)
}

// removeStrays clears entries of slots that no device points to: an agent died while it detached.
func (d *Datapath) removeStrays(found map[uint32]guestDevice) error {
	for slot := 1; slot < len(d.enis); slot++ {
		if _, taken := d.slots[uint32(slot)]; taken || d.enis[slot].Number == 0 {
			continue
		}
		if err := d.cutENI(d.enis[slot].Number); err != nil {
			return err
		}
		d.enis[slot] = guestEni{}
	}
	entries, err := os.ReadDir(d.linkPins())
	if err != nil {
		return fmt.Errorf("read link pins: %w", err)
	}
	for _, e := range entries {
		var ifindex uint32
		if _, err := fmt.Sscanf(e.Name(), "%d-", &ifindex); err == nil {
			if _, ok := found[ifindex]; ok {
				continue
			}
		}
		if err := os.Remove(d.linkPins() + "/" + e.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a link without device: %w", err)
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
