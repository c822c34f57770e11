package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// An upgrade moves a host from the maps of an older layout to ours without a gap.
//
// The directory "maps" holds the layout that is in force, "layout5" the one that an upgrade builds.
// Open loads our programs on maps of their own, and gives every device of the older maps its slot and
// its ENI there. What filters the devices is the older programs with the older maps, until the first
// Apply has put all that the server says into ours. Then the connections are copied, the programs of
// every device replaced in place, the connections copied again that came up meanwhile, and the two
// directories exchanged. Until that moment whoever comes next finds the older layout in force: an agent
// of ours begins again, one of the older version takes its devices back.

// upgrade is one that is under way.
type upgrade struct {
	*older
	from     uint64
	dir      string            // of its maps
	waiting  map[int]uint32    // slot by ifindex: devices that the older programs filter until the first Apply
	replaced map[int]bool      // of them: those with our programs
	places   map[uint32]uint32 // where rules are counted in ours, by their place in the older maps
	carried  map[carried]bool  // connections that were copied
	noRoom   int               // of them: those for which there was no room
}

type carried struct {
	slot        uint32
	established bool
	key         layout3ConnectionKey
}

// findLayout decides which maps are ours: those in force, or new ones if those are of an older layout.
func (d *Datapath) findLayout() error {
	inForce := filepath.Join(d.pins, "maps")
	d.mapPins = inForce
	layout, err := pinnedLayout(inForce)
	if err != nil {
		return err
	}
	ours := filepath.Join(d.pins, fmt.Sprintf("layout%d", guestLimitLAYOUT))
	if layout == 0 || layout == uint64(guestLimitLAYOUT) {
		return d.removeOlder()
	}
	open, known := olders[layout]
	if !known {
		return fmt.Errorf("the maps below %s have layout %d, this program knows %d; what they enforce stays in force. "+
			"Start the version that made them, or remove them with: sallyport dev --purge",
			inForce, layout, guestLimitLAYOUT)
	}
	old, err := open(inForce)
	if err != nil {
		return fmt.Errorf("read the maps of layout %d: %w", layout, err)
	}
	d.mapPins = ours
	d.upgrade = &upgrade{
		older: old, from: layout, dir: inForce,
		waiting: map[int]uint32{}, replaced: map[int]bool{}, places: map[uint32]uint32{}, carried: map[carried]bool{},
	}
	for slot, a := range old.devices {
		if a.ENI != "" {
			d.upgrade.waiting[a.Ifindex] = uint32(slot)
		}
	}
	d.log.Info("upgrade begins", "from", layout, "to", int(guestLimitLAYOUT))
	return nil
}

// pinnedLayout is the layout of maps; 0: there are none, or none that was ever used.
func pinnedLayout(dir string) (uint64, error) {
	path := filepath.Join(dir, guestMapState)
	m, err := ebpf.LoadPinnedMap(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	defer m.Close()
	value, err := m.LookupBytes(uint32(0))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	if len(value) < 8 {
		return 0, fmt.Errorf("%s holds %d bytes: not sallyport's", path, len(value))
	}
	return *(*uint64)(unsafe.Pointer(&value[0])), nil
}

// removeOlder removes the maps of an upgrade that has ended.
func (d *Datapath) removeOlder() error {
	entries, err := os.ReadDir(d.pins)
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "layout") {
			if err := os.RemoveAll(filepath.Join(d.pins, e.Name())); err != nil {
				return fmt.Errorf("remove the maps of another layout: %w", err)
			}
		}
	}
	return nil
}

// waits says whether the older programs filter a device, for the ENI that it has, or have until now.
func (d *Datapath) waits(v device) bool {
	if d.upgrade == nil {
		return false
	}
	slot, ok := d.upgrade.waiting[v.Ifindex]
	return ok && d.upgrade.devices[slot].ENI == v.ENI
}

// waitNoMore notes that the older maps say nothing of a device any more.
func (d *Datapath) waitNoMore(ifindex int, forget bool) {
	if d.upgrade == nil {
		return
	}
	slot, ok := d.upgrade.waiting[ifindex]
	if !ok {
		return
	}
	if d.upgrade.disown(slot); forget {
		d.upgrade.forget(slot)
	}
	delete(d.upgrade.waiting, ifindex)
}

// dropOutdated forgets the devices of an upgrade that was broken off, where an agent of the older version
// has given the device, the ENI or the slot to another since: the older layout is the one in force.
func (d *Datapath) dropOutdated() error {
	if d.upgrade == nil {
		return nil
	}
	for slot, twin := range d.memory.devices {
		v := device{
			Attachment: Attachment{Ifindex: int(twin.Ifindex), Name: getString(twin.Name[:]), ENI: vpc.InterfaceID(getString(twin.Eni[:]))},
			slot:       uint32(slot),
		}
		if v.Ifindex == 0 || !d.upgrade.contradicts(v) {
			continue
		}
		if err := errors.Join(d.dropSlot(v.Ifindex), d.release(v)); err != nil {
			return fmt.Errorf("forget device %s: %w", v.Name, err)
		}
		d.memory.devices[slot] = guestDevice{}
		delete(d.slots, v.slot)
		delete(d.devices, v.Ifindex)
	}
	return nil
}

// contradicts says whether the older maps say otherwise of a device of ours. Of what we have taken from
// them they say nothing: see waitNoMore.
func (u *upgrade) contradicts(v device) bool {
	for ifindex, slot := range u.waiting {
		same := [3]bool{ifindex == v.Ifindex, u.devices[slot].ENI == v.ENI, slot == v.slot}
		if same != [3]bool{} && same != [3]bool{true, true, true} {
			return true
		}
	}
	return false
}

// takeOver remembers the devices of the older maps, in their slots. adoptDevices has seen those that an
// agent had taken over that died.
func (d *Datapath) takeOver() error {
	if d.upgrade == nil {
		return nil
	}
	for slot, a := range d.upgrade.devices {
		if _, known := d.devices[a.Ifindex]; known || a.Ifindex == 0 {
			continue
		}
		if err := d.adopt(device{Attachment: a, slot: uint32(slot), mode: d.upgrade.modes[slot]}); err != nil {
			return err
		}
	}
	return nil
}

// finishUpgrade puts our programs and maps in force, and ends the upgrade. What they say is whole. What
// a dead agent had done of it is done again, which changes nothing.
func (d *Datapath) finishUpgrade() error {
	for _, step := range d.upgradeSteps() {
		if err := step(); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
	}
	return nil
}

func (d *Datapath) upgradeSteps() []func() error {
	if d.upgrade == nil {
		return nil
	}
	return []func() error{d.placeRules, d.carryConnections, d.replacePrograms, d.carryConnections, d.endUpgrade}
}

// replacePrograms replaces the programs of the devices that wait. When it returns, the older ones write
// nothing more to their maps.
func (d *Datapath) replacePrograms() error {
	var errs []error
	for _, v := range d.devices {
		if !d.waits(v) || d.upgrade.replaced[v.Ifindex] {
			continue
		}
		err := d.carryCounts(v.slot)
		if err == nil {
			err = d.attachPrograms(&v)
			d.remember(v)
		}
		if err == nil {
			d.upgrade.replaced[v.Ifindex] = true
			continue
		}
		there, lookErr := d.isThere(&v)
		switch {
		case lookErr != nil:
			errs = append(errs, err, lookErr)
		case there:
			errs = append(errs, fmt.Errorf("%s keeps its older program: %w", v.Name, err))
		default:
			errs = append(errs, d.forget(v))
		}
	}
	return errors.Join(append(errs, gracePeriod())...)
}

// endUpgrade puts our maps where those in force are, at one stroke, and removes the others.
func (d *Datapath) endUpgrade() error {
	u := d.upgrade
	if err := unix.Renameat2(unix.AT_FDCWD, u.dir, unix.AT_FDCWD, d.mapPins, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange %s and %s: %w", u.dir, d.mapPins, err)
	}
	d.mapPins, d.upgrade = u.dir, nil
	d.log.Info("upgraded", "from", u.from, "to", int(guestLimitLAYOUT), "devices", len(u.replaced), "connections", len(u.carried), "without_room", u.noRoom)
	return errors.Join(u.close(), d.removeOlder())
}

// placeRules gives each rule that the older maps count a place in ours, before a connection that names
// it is copied: rules that are in force have theirs, others may live on in connections alone.
func (d *Datapath) placeRules() error {
	u := d.upgrade
	of := func(r countedRule) ruleKey { return ruleKey{d.enis[r.slot].Number, r.rule} }
	var more []ruleKey
	for _, r := range u.rules {
		if key := of(r); d.waitsIn(r.slot) && d.rules.at[key] == 0 {
			more = append(more, key)
		}
	}
	more = more[:min(len(more), len(d.rules.free))]
	if _, err := d.rules.put(more); err != nil {
		return fmt.Errorf("carry counters over: %w", err)
	}
	for _, r := range u.rules {
		u.places[r.place] = d.rules.at[of(r)]
	}
	return d.carryRuleCount(0)
}

// waitsIn says whether the device in a slot is one that waits.
func (d *Datapath) waitsIn(slot uint32) bool { return d.waits(d.devices[d.slots[slot].Ifindex]) }

// carryConnections copies the connections of the devices that wait to our maps, those alone that were
// not copied before, and never over one that our programs have made.
func (d *Datapath) carryConnections() error {
	u := d.upgrade
	err := u.connections(func(slot uint32, established bool, k layout3ConnectionKey, c layout3Connection) error {
		at := carried{slot, established, k}
		p, ok := d.private[slot]
		if !ok || u.carried[at] || !d.waitsIn(slot) {
			return nil
		}
		u.carried[at] = true
		err := d.putOverflow(slot, p, k.convert(c, u.places))
		if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOMEM) {
			u.noRoom++
			return nil
		}
		if errors.Is(err, ebpf.ErrKeyExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("carry connections over: %w", err)
	}
	return nil
}

// carryCounts lets what is counted of a slot go on from where it is. What our programs count on a device
// that a dead agent had replaced them on is more already, and stays.
func (d *Datapath) carryCounts(slot uint32) error {
	fail := func(err error) error { return fmt.Errorf("carry counters over: %w", err) }
	lost, err := d.upgrade.lost(slot)
	if err != nil {
		return fail(err)
	}
	for _, direction := range []ruleset.Direction{ruleset.Ingress, ruleset.Egress} {
		before, err := d.upgrade.counts(slot, direction)
		if err != nil {
			return fail(err)
		}
		at := 2*slot + uint32(direction)
		var cpus []guestCounts
		if err := d.objects.Counters.Lookup(at, &cpus); err != nil {
			return fail(err)
		}
		more := false
		if direction == ruleset.Ingress { // the older ones count it in one place for both, and on no CPU
			more = raise(&cpus[0].Lost, lost)
		}
		for i := range min(len(cpus), len(before)) {
			for reason, n := range before[i].Packets {
				more = raise(&cpus[i].Packets[reason], n) || more
			}
			more = raise(&cpus[i].Observed, before[i].Observed) || more
		}
		if !more {
			continue
		}
		if err := d.objects.Counters.Put(at, cpus); err != nil {
			return fail(err)
		}
	}
	for _, r := range d.upgrade.rules {
		if r.slot == slot {
			if err := d.carryRuleCount(r.place); err != nil {
				return err
			}
		}
	}
	return nil
}

// carryRuleCount lets what is counted at a place of the older maps go on at ours, if there is one; place 0
// is that of the rules that found no room.
func (d *Datapath) carryRuleCount(place uint32) error {
	fail := func(err error) error { return fmt.Errorf("carry the counter of a rule over: %w", err) }
	at := d.upgrade.places[place]
	if at == 0 && place != 0 {
		return nil
	}
	before, err := d.upgrade.ruleCounts(place)
	if err != nil {
		return fail(err)
	}
	var cpus []guestRuleCount
	if err := d.objects.RuleCounts.Lookup(at, &cpus); err != nil {
		return fail(err)
	}
	more := false
	for i := range min(len(cpus), len(before)) {
		old, c := before[i], &cpus[i]
		more = raise(&c.Packets, old.Packets) || more
		more = raise(&c.Bytes, old.Bytes) || more
		more = raise(&c.Connections, old.Connections) || more
		more = raise(&c.Last, old.Last) || more
		if old.First != 0 && (c.First == 0 || c.First > old.First) {
			c.First, more = old.First, true
		}
	}
	if !more {
		return nil
	}
	if err := d.objects.RuleCounts.Put(at, cpus); err != nil {
		return fail(err)
	}
	return nil
}

// raise makes a number at least as high as another, and says whether it was lower.
func raise(n *uint64, least uint64) bool {
	if *n >= least {
		return false
	}
	*n = least
	return true
}

// each visits the elements of a map in batches. Those that come and go meanwhile may be missed.
func each[K, V any](m *ebpf.Map, visit func(K, V) error) error {
	keys, values := make([]K, batch), make([]V, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, unix.ENOSPC) { // one bucket is bigger than that
			keys, values = make([]K, 2*len(keys)), make([]V, 2*len(values))
			continue
		}
		last := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return err
		}
		for i := range n {
			if err := visit(keys[i], values[i]); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}
