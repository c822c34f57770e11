package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// Connection is a flow that an ENI has an entry for: a tracked connection, one that the rules alone
// let through, or one that passes because the ENI observes.
type Connection struct {
	Protocol      uint8
	Local, Remote netip.Addr // the guest's side and the other
	// Of TCP and UDP. Of an ICMP query LocalPort is its id and RemotePort the type of the request; of
	// other protocols both are 0.
	LocalPort, RemotePort uint16
	ByGuest               bool // the guest sent the first packet
	Established           bool
	Untracked             bool   // both directions are open to everybody: it has no claim to go on when they are not
	Observed              bool   // no rule allows it
	Closing               bool   // an RST or a FIN was seen
	Rule                  uint32 // that let its first packet through; 0: none, it is Observed
	Revision              int64  // of that rule
	Created, Seen         time.Time
	Packets, Bytes        [2]uint64 // by ruleset.Direction; bytes from the IP header on
}

// ErrNotAttached is the error of Connections and Cut for an ENI that no device here carries.
var ErrNotAttached = errors.New("no device of this host carries it")

// Connections returns the entries of an ENI, in no order. Those that come, go or become established
// while it reads may be missed or be there twice; those that are past their timeout are left out.
func (d *Datapath) Connections(eni vpc.InterfaceID) ([]Connection, error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return nil, fmt.Errorf("list connections of %s: %w", eni, err)
	}
	var list []Connection
	err = d.visit(slot, func(v visited) error {
		if !v.isChanging() && !v.isVoid() && !v.expired() {
			list = append(list, v.export())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list connections of %s: %w", eni, err)
	}
	return list, nil
}

// Cut ends the connections of an ENI that which chooses, and returns how many there were. A packet of
// one is judged by the rules from now on: its own, and for the flow to go on as a connection, as if its
// first packet came now. So what the other side may still send of it opens nothing. Whatever which chooses of
// the connections that there were when Cut was called is gone when it returns, packets on their way included;
// those that began since are not asked about.
func (d *Datapath) Cut(eni vpc.InterfaceID, which func(Connection) bool) (int, error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return 0, fmt.Errorf("cut connections of %s: %w", eni, err)
	}
	start, err := d.now()
	if err != nil {
		return 0, fmt.Errorf("cut connections of %s: %w", eni, err)
	}
	cut, remembered := 0, 0 // beside the buckets, where nothing displaces it
	found := false
	remove := func(v visited) error {
		if v.isChanging() {
			found = true // and the next scan sees what it has become
			return nil
		}
		if v.isVoid() && v.at == nil {
			remembered++
		}
		if v.isVoid() || v.expired() || v.createdSince(start) || !which(v.export()) {
			return nil
		}
		if v.at == nil {
			remembered++
		}
		found = true
		err := v.cut(remembered <= int(v.p.connections.MaxEntries()/8))
		if err == nil {
			cut++
		}
		return err
	}
	// A packet that was on its way may have put a second entry of a flow where the scan had been. So there is
	// another one once all of them are through, until it finds nothing.
	for scan := range maxScans {
		found, remembered = false, 0
		err := d.visit(slot, remove)
		if err == nil && scan > 0 && !found {
			return cut, nil
		}
		if err == nil {
			err = gracePeriod()
		}
		if err != nil {
			return cut, fmt.Errorf("cut connections of %s: %w", eni, err)
		}
	}
	return cut, fmt.Errorf("cut connections of %s: after %d scans there still were some", eni, maxScans)
}

// maxScans of Cut: each takes a grace period, and the more there are, the fewer packets are on their way that came
// before.
const maxScans = 32

// createdSince says whether a flow began after that moment.
func (v visited) createdSince(ticks uint64) bool {
	if ahead := v.connection.Created - uint32(v.ticks); ahead != 0 && age(v.connection.Created, v.ticks) == 0 {
		return true // after the look at the clock
	}
	return v.ticks > ticks && uint64(age(v.connection.Created, v.ticks)) < v.ticks-ticks
}

// isVoid says whether an entry only remembers who began what was cut, or what was observed until now.
func (v visited) isVoid() bool {
	return v.flags()&guestConnectionFlagCONNECTION_CUT != 0 ||
		v.flags()&guestConnectionFlagCONNECTION_OBSERVED != 0 && v.ticks >= v.config.ObserveUntil
}

// cut ends a connection. Of TCP and UDP who began it is remembered if that is wanted, as of an untracked flow whose
// rules changed: else the next packet of a server that may send anywhere would begin it anew, as its own.
func (v visited) cut(remember bool) error {
	if !remember || v.key.Protocol != unix.IPPROTO_TCP && v.key.Protocol != unix.IPPROTO_UDP {
		return v.remove()
	}
	const gone = guestConnectionFlagCONNECTION_TRACKED | guestConnectionFlagCONNECTION_OBSERVED | guestConnectionFlagCONNECTION_ESTABLISHED
	return v.become(nextVersion(v.tag)&^uint64(gone) | uint64(guestConnectionFlagCONNECTION_UNTRACKED|guestConnectionFlagCONNECTION_CUT))
}

func (d *Datapath) slotOf(eni vpc.InterfaceID) (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for slot, a := range d.slots {
		if a.ENI == eni && eni != "" {
			return slot, nil
		}
	}
	return 0, ErrNotAttached
}

// visited is an entry, and what it takes to understand it.
type visited struct {
	d          *Datapath
	slot       uint32
	p          *private
	config     *guestEniConfig // in force
	ticks      uint64          // jiffies
	now        time.Time       // at ticks
	at         *uint64         // its tag, in a bucket; nil: it stands beside them
	tag        uint64          // as it was with the rest
	key        guestConnectionKey
	connection guestConnection
}

func (v visited) flags() guestConnectionFlag { return flagsOf(v.tag) }

// isChanging says whether a program was just writing what the entry says of rules. Only of one beside the buckets is that
// ever seen.
func (v visited) isChanging() bool { return v.tag&flagChanging != 0 }

// batch is how many connections are read with one call, and with the lock held.
const batch = 1024

// visit calls f for each entry of a slot, first those in buckets: nothing moves back there. One that moves may be
// visited twice.
func (d *Datapath) visit(slot uint32, f func(visited) error) error {
	if err := d.visitWays(slot, f); err != nil {
		return err
	}
	return d.visitOverflow(slot, f)
}

// visitWays calls f for each entry in the buckets of a slot, again for one that f finds changed. It holds the
// lock for a batch at a time, so that no Apply waits for a big table. It ends when the slot gets another ENI.
func (d *Datapath) visitWays(slot uint32, f func(visited) error) error {
	var v *visited
	next := 0
	some := func() (last bool, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if v, err = d.look(slot, v); v == nil || err != nil {
			return true, err
		}
		buckets := v.p.buckets
		for ; next < len(buckets); next++ {
			if next%(batch/ways) == batch/ways-1 {
				next++
				return next == len(buckets), v.visitBucket(&buckets[next-1], f)
			}
			if err := v.visitBucket(&buckets[next], f); err != nil {
				return true, err
			}
		}
		return true, nil
	}
	for {
		if last, err := some(); last || err != nil {
			return err
		}
	}
}

func (v *visited) visitBucket(b *guestBucket, f func(visited) error) error {
	for way := range ways {
		if atomic.LoadUint64(&b.Tags[way])&tagFlags == 0 {
			continue
		}
		for {
			var ok bool
			if v.tag, v.connection, ok = readWay(b, way); !ok {
				break
			}
			v.at, v.key = &b.Tags[way], v.connection.key()
			err := f(*v)
			if errors.Is(err, errChanged) {
				continue
			}
			if err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// visitOverflow calls f for each entry of a slot beside its buckets. Those that come and go meanwhile may be
// missed.
func (d *Datapath) visitOverflow(slot uint32, f func(visited) error) error {
	keys, values := make([]guestConnectionKey, 0), make([]guestOverflow, 0)
	var cursor ebpf.MapBatchCursor
	var v *visited
	some := func() (last bool, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.private[slot] == nil || v == nil && uint32(atomic.LoadUint64(&d.occupancies[slot].Overflowed)) == 0 {
			return true, nil
		}
		if v, err = d.look(slot, v); v == nil || err != nil {
			return true, err
		}
		if len(keys) == 0 {
			keys, values = make([]guestConnectionKey, batch), make([]guestOverflow, batch)
		}
		n, err := v.p.connections.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, unix.ENOSPC) { // one bucket is bigger than that
			keys, values = make([]guestConnectionKey, 2*len(keys)), make([]guestOverflow, 2*len(values))
			return false, nil
		}
		last = errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return true, fmt.Errorf("read connections: %w", err)
		}
		for i := range n {
			if err := v.visitBeside(keys[i], values[i], f); err != nil {
				return true, err
			}
		}
		return last, nil
	}
	for {
		if last, err := some(); last || err != nil {
			return err
		}
	}
}

// visitBeside calls f for an entry beside the buckets, again if f finds it changed. A program may have written it while it
// was read; what is done to it then finds it changed.
func (v *visited) visitBeside(k guestConnectionKey, o guestOverflow, f func(visited) error) error {
	for isLive(o.Tag) { // else a program moves it here, or away
		v.at, v.key, v.tag, v.connection = nil, k, o.Tag, o.Connection
		err := f(*v)
		if !errors.Is(err, errChanged) {
			return err
		}
		if err := v.p.connections.Lookup(k, &o); err != nil {
			return notThere(err)
		}
	}
	return nil
}

// notThere takes it for no error that an entry is gone.
func notThere(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// look begins to visit entries of a slot, or goes on after were; nil: it is not, or not any more, the ENI's whose
// maps these were.
func (d *Datapath) look(slot uint32, were *visited) (*visited, error) {
	p, ok := d.private[slot]
	if !ok && d.enis != nil && d.enis[slot].Number != 0 {
		return nil, fmt.Errorf("slot %d has maps that are not open", slot)
	}
	if !ok || were != nil && were.p != p {
		return nil, nil
	}
	v := &visited{d: d, slot: slot, p: p, config: &d.enis[slot].Config[d.epoch()], now: time.Now()}
	// Within a tick, which is as exact as the clock is: it is a program, and takes longer than a batch of free places.
	if were != nil && v.now.Sub(were.now) < time.Second/time.Duration(d.hz) {
		v.ticks, v.now = were.ticks, were.now
		return v, nil
	}
	var err error
	v.ticks, err = d.clock()
	return v, err
}

func (v visited) export() Connection {
	k, c, flags := v.key, v.connection, v.flags()
	packets, bytes := c.counts(v.tag)
	return Connection{
		Protocol: k.Protocol,
		Local:    fromAddress(k.Family, k.Local), Remote: fromAddress(k.Family, k.Remote),
		LocalPort: bits.ReverseBytes16(k.LocalPort), RemotePort: bits.ReverseBytes16(k.RemotePort),
		ByGuest:     flags&guestConnectionFlagCONNECTION_BY_GUEST != 0,
		Established: flags&guestConnectionFlagCONNECTION_ESTABLISHED != 0,
		Untracked:   flags&guestConnectionFlagCONNECTION_UNTRACKED != 0,
		Observed:    flags&guestConnectionFlagCONNECTION_OBSERVED != 0,
		Closing:     flags&(flagFins|guestConnectionFlagCONNECTION_RST) != 0,
		Rule:        c.By.Rule, Revision: int64(*c.revisionAt()),
		Created: v.time(c.Created), Seen: v.time(c.Seen),
		Packets: packets, Bytes: bytes,
	}
}

// time is when the programs' clock said ticks.
func (v visited) time(ticks uint32) time.Time {
	ago, hz := int64(age(ticks, v.ticks)), int64(v.d.hz)
	return v.now.Add(-time.Duration(ago/hz)*time.Second - time.Duration(ago%hz)*time.Second/time.Duration(hz)).UTC()
}

// fromAddress is the inverse of address.
func fromAddress(family uint8, a guestAddress) netip.Addr {
	var b []byte
	for _, word := range a.Words {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	if family == uint8(guestFamilyFAMILY_IPV4) {
		b = slices.Clip(b[:4])
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}
