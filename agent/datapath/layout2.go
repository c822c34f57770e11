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

// Layout 2, of the first version: one map of connections and one of half-open ones for all ENIs. Its
// structs are as they were, and change no more; testdata/layout2.o has its programs.

type layout2Device struct {
	Ifindex uint32
	Mode    guestDeviceMode
	Name    [16]int8
	Eni     [32]int8
}

type layout2ConnectionKey struct {
	Eni                   uint32
	LocalPort, RemotePort uint16
	Protocol              uint8
	Family                uint8
	Query                 uint8
	Pad                   uint8
	Local, Remote         guestAddress
}

type layout2Connection struct {
	Created, Seen  uint64
	Packets, Bytes [2]uint64
	Revision       uint64
	Rule           uint32
	Flags          guestConnectionFlag
	Next           [2]uint32
}

type layout2Counts struct{ Packets [32]uint64 }

// layout2Eni is the size of a struct eni, whose first field is the number of the ENI.
const layout2Eni = 136

func openLayout2(dir string) (_ *older, err error) {
	maps := map[string]*ebpf.Map{}
	var mappings [][]byte
	o := &older{close: func() error {
		var errs []error
		for _, b := range mappings {
			errs = append(errs, unix.Munmap(b))
		}
		for _, m := range maps {
			errs = append(errs, m.Close())
		}
		return errors.Join(errs...)
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	for _, name := range []string{"devices", "enis", "connections", "half_open", "counters"} {
		if maps[name], err = ebpf.LoadPinnedMap(filepath.Join(dir, name), nil); err != nil {
			delete(maps, name)
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	memory := func(m *ebpf.Map, size int) ([]byte, error) {
		if int(m.ValueSize()) != size {
			return nil, fmt.Errorf("values of %d bytes, want %d", m.ValueSize(), size)
		}
		b, err := unix.Mmap(m.FD(), 0, size*int(m.MaxEntries()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err == nil {
			mappings = append(mappings, b)
		}
		return b, err
	}
	enis, err := memory(maps["enis"], layout2Eni)
	if err != nil {
		return nil, fmt.Errorf("map enis: %w", err)
	}
	raw, err := memory(maps["devices"], int(unsafe.Sizeof(layout2Device{})))
	if err != nil {
		return nil, fmt.Errorf("map devices: %w", err)
	}
	devices := unsafe.Slice((*layout2Device)(unsafe.Pointer(unsafe.SliceData(raw))), maps["devices"].MaxEntries())
	number := func(slot uint32) *uint32 { return (*uint32)(unsafe.Pointer(&enis[layout2Eni*slot])) }
	slots := map[uint32]uint32{} // by number of the ENI
	for slot, v := range devices {
		o.devices = append(o.devices, Attachment{
			Ifindex: int(v.Ifindex), Name: getString(v.Name[:]), ENI: vpc.InterfaceID(getString(v.Eni[:])),
		})
		o.modes = append(o.modes, v.Mode)
		if n := *number(uint32(slot)); n != 0 && v.Ifindex != 0 {
			slots[n] = uint32(slot)
		}
	}
	o.disown = func(slot uint32) {
		*number(slot) = 0
		devices[slot].Eni = [32]int8{}
	}
	o.forget = func(slot uint32) { devices[slot] = layout2Device{} }
	o.counts = func(slot uint32, direction ruleset.Direction) (all []guestCounts, err error) {
		var cpus []layout2Counts
		if err := maps["counters"].Lookup(2*slot+uint32(direction), &cpus); err != nil {
			return nil, err
		}
		for _, cpu := range cpus {
			all = append(all, guestCounts{Packets: cpu.Packets})
		}
		return all, nil
	}
	o.connections = func(visit func(uint32, bool, guestConnectionKey, guestConnection) error) error {
		for _, name := range []string{"connections", "half_open"} {
			if err := each(maps[name], func(k layout2ConnectionKey, c layout2Connection) error {
				slot, ok := slots[k.Eni]
				if !ok {
					return nil
				}
				key, connection := k.convert(c)
				return visit(slot, name == "connections", key, connection)
			}); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	return o, nil
}

// convert says what a connection is in our layout.
func (k layout2ConnectionKey) convert(c layout2Connection) (guestConnectionKey, guestConnection) {
	direction := ruleset.Ingress
	if c.Flags&guestConnectionFlagCONNECTION_BY_GUEST != 0 {
		direction = ruleset.Egress
	}
	connection := guestConnection{
		Created: c.Created, Seen: c.Seen, Packets: c.Packets, Bytes: c.Bytes,
		Revision: c.Revision, Flags: c.Flags, Next: c.Next,
	}
	connection.By[direction].Rule = c.Rule
	return guestConnectionKey{
		LocalPort: k.LocalPort, RemotePort: k.RemotePort, Protocol: k.Protocol, Family: k.Family, Query: k.Query,
		Local: k.Local, Remote: k.Remote,
	}, connection
}
