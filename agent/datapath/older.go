package datapath

import (
	"errors"
	"fmt"
	"path/filepath"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// older is what the maps of an older layout hold that ours takes over, as layout 3 has it: one that is
// older still turns it into that.
type older struct {
	devices []Attachment // by slot; zero: none
	modes   []guestDeviceMode
	// connections visits every connection, with the slot of its ENI.
	connections func(visit func(slot uint32, established bool, k layout3ConnectionKey, c layout3Connection) error) error
	// counts are the counters of a slot, of each CPU; lost is how many events of it were not made.
	counts func(slot uint32, direction ruleset.Direction) ([]layout3Counts, error)
	lost   func(slot uint32) (uint64, error)
	// rules are those that are counted, of every slot; ruleCounts is what a place holds, of each CPU. Place
	// 0 is shared by those that found no room.
	rules      []countedRule
	ruleCounts func(place uint32) ([]layout3RuleCount, error)
	// disown closes a device that carries its ENI no more; forget ends its filtering. For an agent of
	// that layout, if one comes back.
	disown, forget func(slot uint32)
	close          func() error
}

type countedRule struct{ slot, rule, place uint32 }

// olders opens the maps of each layout that Open upgrades from.
var olders = map[uint64]func(dir string) (*older, error){2: openLayout2, 3: openLayout3, 4: openLayout4}

// olderMaps are the maps of an older layout.
type olderMaps struct {
	*older
	dir      string
	byName   map[string]*ebpf.Map
	mappings [][]byte
	enis     []byte            // by slot: struct eni
	slots    map[uint32]uint32 // by number of the ENI
}

// openOlder reads what all older layouts hold alike: which device carries which ENI. sizeOfENI is that of a
// struct eni, whose first field is the number of the ENI. It opens the maps of these names, too.
func openOlder(dir string, sizeOfENI int, names ...string) (_ *olderMaps, err error) {
	m := &olderMaps{older: &older{}, dir: dir, byName: map[string]*ebpf.Map{}, slots: map[uint32]uint32{}}
	m.close = m.closeAll
	defer func() {
		if err != nil {
			err = errors.Join(err, m.closeAll())
		}
	}()
	for _, name := range names {
		if _, err := m.open(name); err != nil {
			return nil, err
		}
	}
	m.enis, err = m.memory("enis", sizeOfENI)
	if err != nil {
		return nil, err
	}
	raw, err := m.memory("devices", int(unsafe.Sizeof(layout3Device{})))
	if err != nil {
		return nil, err
	}
	devices := unsafe.Slice((*layout3Device)(unsafe.Pointer(unsafe.SliceData(raw))), m.byName["devices"].MaxEntries())
	number := func(slot uint32) *uint32 { return (*uint32)(unsafe.Pointer(&m.enis[sizeOfENI*int(slot)])) }
	for slot, v := range devices {
		m.devices = append(m.devices, Attachment{
			Ifindex: int(v.Ifindex), Name: getString(v.Name[:]), ENI: vpc.InterfaceID(getString(v.Eni[:])),
		})
		m.modes = append(m.modes, v.Mode)
		if n := *number(uint32(slot)); n != 0 && v.Ifindex != 0 {
			m.slots[n] = uint32(slot)
		}
	}
	m.disown = func(slot uint32) {
		*number(slot) = 0
		devices[slot].Eni = [32]int8{}
	}
	m.forget = func(slot uint32) { devices[slot] = layout3Device{} }
	return m, nil
}

func (m *olderMaps) open(name string) (*ebpf.Map, error) {
	if m.byName[name] == nil {
		opened, err := ebpf.LoadPinnedMap(filepath.Join(m.dir, name), nil)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		m.byName[name] = opened
	}
	return m.byName[name], nil
}

// memory maps an array map, whose values have a size.
func (m *olderMaps) memory(name string, size int) ([]byte, error) {
	array, err := m.open(name)
	if err != nil {
		return nil, err
	}
	if int(array.ValueSize()) != size {
		return nil, fmt.Errorf("map %s: values of %d bytes, want %d", name, array.ValueSize(), size)
	}
	b, err := unix.Mmap(array.FD(), 0, size*int(array.MaxEntries()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	m.mappings = append(m.mappings, b)
	return b, nil
}

func (m *olderMaps) closeAll() error {
	var errs []error
	for _, b := range m.mappings {
		errs = append(errs, unix.Munmap(b))
	}
	for _, opened := range m.byName {
		errs = append(errs, opened.Close())
	}
	m.mappings, m.byName = nil, nil
	return errors.Join(errs...)
}
