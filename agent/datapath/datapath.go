// Package datapath enforces compiled tables on the host side of guests' NICs: it loads and attaches
// the eBPF programs of bpf/, keeps their maps equal to the Tables and Members of package ruleset,
// and reads what they counted. How tables are stored is its secret; nothing above it knows maps.
//
// Everything is pinned to a bpffs: when the process ends, filters, tables and connections stay in
// force, and the next Open adopts them without touching a packet.
package datapath

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// DefaultPins is where maps and links are pinned.
const DefaultPins = "/sys/fs/bpf/sallyport"

// Mode is how the programs hang on a device.
type Mode string

// The modes.
const (
	Auto   Mode = ""       // TCX where the kernel has it, else Clsact
	TCX    Mode = "tcx"    // links; Linux 6.6
	Clsact Mode = "clsact" // direct-action filters; any kernel
)

// How many established connections an ENI may have, and how many places its table, unless Options say otherwise.
const (
	DefaultMaxConnections = uint32(guestLimitMAX_CONNECTIONS)
	DefaultMaxHalfOpen    = uint32(guestLimitMAX_HALF_OPEN)
)

// Options says how to open a Datapath.
type Options struct {
	Pins   string       // directory in a bpffs; empty: DefaultPins
	Attach Mode         // empty: Auto; devices that hang otherwise are moved over at Open
	Log    *slog.Logger // nil: discard

	// How many established connections each ENI may have, and how many places its table: half-open ones and
	// untracked flows have no others. 0: 32,768 and 8,192. An ENI that is attached keeps what it has.
	MaxConnections, MaxHalfOpen uint32

	PlatformServices []PlatformService
	AnyLinkLocal     bool         // ENIs may use any fe80 address but the routers'; false: the one that is derived from the MAC
	Routers          []netip.Addr // fe80 addresses, whose router advertisements guests get

	// For tests.
	showVerdicts bool              // in the control block of each packet
	testClock    bool              // the clock is state.TestClock
	testExcuses  bool              // nothing is dropped for the reasons in state.TestExcused
	testProbes   bool              // struct sk_buff is read by probes, as before Linux 6.2
	testWeak     bool              // the programs order their reads, as CPUs need it that do not
	sizes        map[string]uint32 // of further maps, by name
}

// Datapath is the programs and maps of one host. It is safe for concurrent use.
type Datapath struct {
	log     *slog.Logger
	pins    string
	mapPins string // the directory of our maps
	mode    Mode
	upgrade *upgrade // nil: none is under way

	anyLinkLocal bool
	routers      []netip.Addr

	objects     objects
	probing     sync.Mutex
	probes      *probes // nil: nobody has asked yet
	loadProbes  func() (*probes, error)
	memory      memory
	state       *guestState
	enis        []guestEni               // by slot
	occupancies []guestOccupancy         // by slot
	inner       map[string]*ebpf.MapSpec // of the maps by slot, by name
	buckets     uint32                   // of the flows of a slot that is given its maps

	mu        sync.Mutex
	names     *names
	pool      *pool
	tables    *tables
	addresses *epochMap[guestAddressKey]
	members   *members
	lists     [2]*lists // by epoch; nil: what the agent before had
	takenOver bool      // nothing is left of what the agent before had written
	rules     *rulePlaces
	recent    recent
	open      map[vpc.InterfaceID]map[uint32]uint64 // connections by rule, as the last Sweep saw them; nil: none did
	slots     map[uint32]Attachment                 // of every device
	devices   map[int]device                        // by ifindex
	private   map[uint32]*private                   // by slot, of those that carry an ENI
	hz        uint32                                // jiffies per second
	timeouts  guestTimeouts
	// In jiffies, each instant read from the clock once: an Apply that changes nothing shall write nothing.
	observations   map[time.Time]uint64
	testClock      bool
	applied        *ruleset.Tables // nil before the first Apply
	appliedMembers ruleset.Members // nil before the first Apply
	pending        bool            // the last change is not settled
	passed         func() error    // waits until no packet is judged by what was before it; at most once
	settling       sync.WaitGroup  // of changes, beside their callers
	writes         int             // to maps, so far
}

// objects are what is in the kernel for as long as the Datapath is open.
type objects struct {
	guestMaps
	FromGuest, ToGuest, ReadClock, ChangeOverflow *ebpf.Program
}

func (o *objects) Close() error {
	return errors.Join(o.guestMaps.Close(), o.FromGuest.Close(), o.ToGuest.Close(), o.ReadClock.Close(),
		o.ChangeOverflow.Close())
}

// memory is the maps that the process shares with the programs.
type memory struct {
	mappings []func() error // for Close
	devices  []guestDevice  // by slot
}

// Open loads the programs and takes over what is pinned: devices stay attached, their programs are
// replaced in place, tables and connections stay in force. It mounts the bpffs if it is missing.
// Only one Datapath may be open on the same pins; the caller holds a lock for that.
func Open(o Options) (_ *Datapath, err error) {
	if o.Pins == "" {
		o.Pins = DefaultPins
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch o.Attach {
	case Auto, TCX, Clsact:
	default:
		return nil, fmt.Errorf("unknown way to attach %q: use tcx or clsact", o.Attach)
	}
	d := &Datapath{
		log: o.Log, pins: o.Pins, mode: o.Attach, anyLinkLocal: o.AnyLinkLocal, routers: o.Routers, testClock: o.testClock,
		slots: map[uint32]Attachment{}, devices: map[int]device{},
		observations: map[time.Time]uint64{},
		private:      map[uint32]*private{}, inner: map[string]*ebpf.MapSpec{},
	}
	for _, router := range o.Routers {
		if err := checkRouter(router); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.hz, err = ticksPerSecond(); err != nil {
		return nil, err
	}
	d.timeouts = defaultTimeouts(d.hz)
	if err := ensureBPFFS(o.Pins); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.linkPins(), 0o700); err != nil {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	if err := d.findLayout(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.mapPins, 0o700); err != nil {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	if err := d.load(o); err != nil {
		return nil, fmt.Errorf("load the programs: %w", err)
	}
	if err := d.read(); err != nil {
		return nil, fmt.Errorf("adopt what is pinned below %s: %w", d.pins, err)
	}
	if err := d.adoptDevices(); err != nil {
		return nil, fmt.Errorf("adopt devices: %w", err)
	}
	return d, nil
}

func (d *Datapath) linkPins() string { return filepath.Join(d.pins, "links") }

// load puts the programs into the kernel, on the pinned maps where there are any.
func (d *Datapath) load(o Options) error {
	spec, err := loadGuest()
	if err != nil {
		return err
	}
	if err := spec.Variables[guestVarShowVerdicts].Set(o.showVerdicts); err != nil {
		return err
	}
	if err := spec.Variables[guestVarTestClock].Set(o.testClock); err != nil {
		return err
	}
	if err := spec.Variables[guestVarTestExcuses].Set(o.testExcuses); err != nil {
		return err
	}
	if err := spec.Variables[guestVarGeneration].Set(rand.Uint32()); err != nil {
		return err
	}
	if err := spec.Variables[guestVarTestProbes].Set(o.testProbes); err != nil {
		return err
	}
	// Of the CPUs that Linux knows these keep their reads in order.
	if err := spec.Variables[guestVarWeakOrder].Set(o.testWeak || runtime.GOARCH != "amd64"); err != nil {
		return err
	}
	if err := spec.Variables[guestVarHasPlatform].Set(len(o.PlatformServices) > 0); err != nil {
		return err
	}
	if err := spec.Variables[guestVarTicksPerSecond].Set(d.hz); err != nil {
		return err
	}
	for name, size := range map[string]uint32{
		guestMapConnections: o.MaxConnections, guestMapFlows: 0, guestMapFragments: 0, guestMapPool: 0,
	} {
		inner := spec.Maps[name].InnerMap
		if size != 0 {
			inner.MaxEntries = size
		}
		d.inner[name] = inner
	}
	d.buckets = bucketsFor(cmp.Or(o.MaxHalfOpen, DefaultMaxHalfOpen))
	for name, size := range o.sizes {
		if size != 0 {
			spec.Maps[name].MaxEntries = size
		}
		if err := keepSize(spec.Maps[name], filepath.Join(d.mapPins, name)); err != nil {
			return err
		}
	}
	d.loadProbes = func() (*probes, error) {
		d.mu.Lock()
		pins := d.mapPins
		d.mu.Unlock()
		p := &probes{}
		return p, loadPrograms(spec, pins, map[string]**ebpf.Program{
			guestProgProbeFromGuest: &p.FromGuest, guestProgProbeToGuest: &p.ToGuest,
		})
	}
	err = spec.Copy().LoadAndAssign(&d.objects.guestMaps, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: d.mapPins}})
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		return fmt.Errorf("the maps below %s are those of another version of sallyport; what they enforce stays in force. "+
			"Start that version, or remove them with: sallyport dev --purge (%w)", d.pins, err)
	}
	if err != nil {
		return err
	}
	if err := loadPrograms(spec, d.mapPins, map[string]**ebpf.Program{
		guestProgFromGuest: &d.objects.FromGuest, guestProgToGuest: &d.objects.ToGuest, guestProgReadClock: &d.objects.ReadClock,
		guestProgChangeOverflow: &d.objects.ChangeOverflow,
	}); err != nil {
		return err
	}
	return setPlatform(d.objects.Platform, o.PlatformServices)
}

// loadPrograms loads programs, by name, on the maps that are pinned. It does so side by side: the verifier takes
// some tenths of a second for each.
func loadPrograms(spec *ebpf.CollectionSpec, pins string, programs map[string]**ebpf.Program) error {
	return atOnce(slices.Collect(maps.Keys(programs)), func(name string) error {
		one := spec.Copy()
		one.Programs = map[string]*ebpf.ProgramSpec{name: one.Programs[name]}
		c, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: pins}})
		if err != nil {
			return err
		}
		defer c.Close()
		*programs[name] = c.DetachProgram(name)
		return nil
	})
}

// atOnce does the same to each of a list, at once.
func atOnce[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, x := range list {
		all.Go(func() { errs[i] = do(x) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// keepSize makes a map as big as the pinned one, if there is one.
func keepSize(spec *ebpf.MapSpec, path string) error {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	spec.MaxEntries = m.MaxEntries()
	return m.Close()
}

// read maps the shared memory and mirrors the maps.
func (d *Datapath) read() error {
	o := &d.objects
	states, err := mapMemory[guestState](d, o.State)
	if err != nil {
		return err
	}
	d.state = &states[0]
	d.state.Layout = uint64(guestLimitLAYOUT)
	if d.testClock && d.state.TestClock == 0 {
		d.state.TestClock = 1_000_000
	}
	if d.enis, err = mapMemory[guestEni](d, o.Enis); err != nil {
		return err
	}
	if d.occupancies, err = mapMemory[guestOccupancy](d, o.Occupancies); err != nil {
		return err
	}
	if d.memory.devices, err = mapMemory[guestDevice](d, o.Devices); err != nil {
		return err
	}
	if d.names, err = loadNames(o.Names); err != nil {
		return err
	}
	if d.pool, err = loadPool(o.Pool, d.inner[guestMapPool], d.state.Epoch); err != nil {
		return err
	}
	d.tables = newTables(d.names, d.pool, &d.writes)
	if d.addresses, err = loadEpochMap[guestAddressKey](o.Addresses, &d.writes); err != nil {
		return err
	}
	d.members = newMembers(d.pool)
	lines, err := mapMemory[guestRuleLine](d, o.RulePlaces)
	if err != nil {
		return err
	}
	if d.rules, err = loadRulePlaces(lines, o.RuleCounts, d.log); err != nil {
		return err
	}
	d.pending, d.passed = true, sync.OnceValue(gracePeriod) // the agent before may have died in the middle
	return nil
}

// mapMemory maps an array map whose values are T, until Close.
func mapMemory[T any](d *Datapath, m *ebpf.Map) ([]T, error) {
	values, err := mapArray[T](m)
	if err != nil {
		return nil, err
	}
	d.memory.mappings = append(d.memory.mappings, func() error { return unmapArray(values) })
	return values, nil
}

// mapArray maps an array map whose values are T. The kernel rounds values up to 8 bytes; T is so.
func mapArray[T any](m *ebpf.Map) ([]T, error) {
	size := int(unsafe.Sizeof(*(*T)(nil)))
	if size%8 != 0 || uint32(size) != m.ValueSize() {
		return nil, fmt.Errorf("map memory: values of %d bytes, want %d", m.ValueSize(), size)
	}
	b, err := unix.Mmap(m.FD(), 0, size*int(m.MaxEntries()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), m.MaxEntries()), nil
}

func unmapArray[T any](values []T) error {
	var t T
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(t))))
}

// Close lets go of everything and leaves it in force.
func (d *Datapath) Close() error {
	d.settling.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, unmap := range d.memory.mappings {
		errs = append(errs, unmap())
	}
	if d.pool != nil {
		errs = append(errs, d.pool.close())
		d.pool = nil
	}
	d.memory, d.state, d.enis = memory{}, nil, nil
	for _, v := range d.devices {
		errs = append(errs, v.close())
	}
	for _, p := range d.private {
		errs = append(errs, p.close())
	}
	d.devices, d.private = map[int]device{}, map[uint32]*private{}
	if d.upgrade != nil {
		errs = append(errs, d.upgrade.close())
		d.upgrade = nil
	}
	if d.probes != nil {
		errs = append(errs, d.probes.FromGuest.Close(), d.probes.ToGuest.Close())
		d.probes = nil
	}
	return errors.Join(append(errs, d.objects.Close())...)
}

const bpffsRoot = "/sys/fs/bpf"

// ensureBPFFS makes sure that dir is or can be made inside of a bpffs, and mounts the usual one.
func ensureBPFFS(dir string) error {
	at := filepath.Clean(dir)
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(at, &fs)
		if err == nil && fs.Type == unix.BPF_FS_MAGIC {
			return nil
		}
		if err == nil || at == filepath.Dir(at) {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look at %s: %w", at, err)
		}
		at = filepath.Dir(at)
	}
	if at != bpffsRoot {
		return fmt.Errorf("%s is not in a bpffs: mount one there, or choose a directory below %s", dir, bpffsRoot)
	}
	if err := unix.Mount("bpf", bpffsRoot, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount the bpffs at %s: %w", bpffsRoot, err)
	}
	return nil
}
