package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
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
	for _, which := range []whichMap{halfOpen, established} {
		err := d.visit(slot, which, func(v visited) error {
			if !v.isVoid() && !v.expired(v.key, v.connection) {
				list = append(list, v.export())
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list connections of %s: %w", eni, err)
		}
	}
	return list, nil
}

// Cut ends the connections of an ENI that which chooses, and returns how many there were. A packet of
// one is judged by the rules from now on: its own, and for the flow to go on as a connection, as if its
// first packet came now. So what the other side may still send of it opens nothing. Whatever which chooses of the connections that there
// were when Cut was called is gone when it returns, packets on their way included.
func (d *Datapath) Cut(eni vpc.InterfaceID, which func(Connection) bool) (int, error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return 0, fmt.Errorf("cut connections of %s: %w", eni, err)
	}
	cut := 0
	remove := func(v visited) error {
		if v.isVoid() || v.expired(v.key, v.connection) || !which(v.export()) {
			return nil
		}
		err := v.cut()
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err == nil {
			cut++
		}
		return err
	}
	// A half-open one may become established at this moment. Once the packets that were on their way are
	// through it cannot any more, and then it is found among the established.
	err = d.visit(slot, halfOpen, remove)
	if err == nil {
		err = gracePeriod()
	}
	if err == nil {
		err = d.visit(slot, established, remove)
	}
	if err != nil {
		return cut, fmt.Errorf("cut connections of %s: %w", eni, err)
	}
	return cut, nil
}

// isVoid says whether an entry only remembers who began what was cut, or what was observed until now.
func (v visited) isVoid() bool {
	flags := v.connection.Flags
	return flags&guestConnectionFlagCONNECTION_CUT != 0 ||
		flags&guestConnectionFlagCONNECTION_OBSERVED != 0 && v.ticks >= v.config.ObserveUntil
}

// cut removes an entry. Of TCP and UDP who began it is remembered, as of an untracked flow whose rules
// changed: else the next packet of a server that may send anywhere would begin it anew, as its own.
func (v visited) cut() error {
	if v.key.Protocol != unix.IPPROTO_TCP && v.key.Protocol != unix.IPPROTO_UDP {
		return v.in.Delete(v.key)
	}
	c := v.connection
	c.Tables = 0
	clear(c.By[:])
	c.Flags &^= guestConnectionFlagCONNECTION_TRACKED | guestConnectionFlagCONNECTION_OBSERVED | guestConnectionFlagCONNECTION_ESTABLISHED
	c.Flags |= guestConnectionFlagCONNECTION_UNTRACKED | guestConnectionFlagCONNECTION_CUT
	if v.in == v.halfOpen {
		return v.in.Update(v.key, c, ebpf.UpdateExist)
	}
	// Beside the established one, which hides it until it is gone.
	if err := v.halfOpen.Put(v.key, c); err != nil {
		v.d.log.Warn("a connection that was cut is not remembered", "err", err)
	}
	return v.in.Delete(v.key)
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

// whichMap names one of a slot's two maps of connections.
type whichMap int

const (
	established whichMap = iota
	halfOpen
)

func (p private) at(which whichMap) *ebpf.Map {
	if which == halfOpen {
		return p.halfOpen
	}
	return p.connections
}

// visited is an entry, and what it takes to understand it.
type visited struct {
	d          *Datapath
	in         *ebpf.Map
	halfOpen   *ebpf.Map       // of the same slot
	config     *guestEniConfig // in force
	ticks      uint64          // jiffies
	now        time.Time       // at ticks
	key        guestConnectionKey
	connection guestConnection
}

// batch is how many connections are read with one call, and with the lock held.
const batch = 1024

// visit calls f for each entry of one map of a slot. It holds the lock for a batch at a time, so that
// no Apply waits for a big map; entries that come and go meanwhile may be missed. It ends when
// the slot gets another ENI.
func (d *Datapath) visit(slot uint32, which whichMap, f func(visited) error) error {
	keys, values := make([]guestConnectionKey, batch), make([]guestConnection, batch)
	var cursor ebpf.MapBatchCursor
	var in *ebpf.Map
	next := func() (last bool, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		p, ok := d.private[slot]
		if !ok || in != nil && in != p.at(which) {
			return true, nil
		}
		in = p.at(which)
		v := visited{d: d, in: in, halfOpen: p.halfOpen, config: &d.enis[slot].Config[d.epoch()], now: time.Now()}
		if v.ticks, err = d.clock(); err != nil {
			return true, err
		}
		n, err := in.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, unix.ENOSPC) { // one bucket is bigger than that
			keys, values = make([]guestConnectionKey, 2*len(keys)), make([]guestConnection, 2*len(values))
			return false, nil
		}
		last = errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return true, fmt.Errorf("read connections: %w", err)
		}
		for i := range n {
			v.key, v.connection = keys[i], values[i]
			if err := f(v); err != nil {
				return true, err
			}
		}
		return last, nil
	}
	for {
		if last, err := next(); last || err != nil {
			return err
		}
	}
}

func (v visited) export() Connection {
	k, c := v.key, v.connection
	return Connection{
		Protocol: k.Protocol,
		Local:    fromAddress(k.Family, k.Local), Remote: fromAddress(k.Family, k.Remote),
		LocalPort: bits.ReverseBytes16(k.LocalPort), RemotePort: bits.ReverseBytes16(k.RemotePort),
		ByGuest:     c.Flags&guestConnectionFlagCONNECTION_BY_GUEST != 0,
		Established: c.Flags&guestConnectionFlagCONNECTION_ESTABLISHED != 0,
		Untracked:   c.Flags&guestConnectionFlagCONNECTION_UNTRACKED != 0,
		Observed:    c.Flags&guestConnectionFlagCONNECTION_OBSERVED != 0,
		Closing:     c.Flags&(flagFins|guestConnectionFlagCONNECTION_RST) != 0,
		Rule:        v.admittedBy(), Revision: int64(c.Revision),
		Created: v.time(c.Created), Seen: v.time(c.Seen),
		Packets: c.Packets, Bytes: c.Bytes,
	}
}

// admittedBy returns the number of the rule that let the first packet through; 0: none did.
func (v visited) admittedBy() uint32 {
	if v.connection.Flags&guestConnectionFlagCONNECTION_BY_GUEST != 0 {
		return v.connection.By[1].Rule
	}
	return v.connection.By[0].Rule
}

// time is when the programs' clock said ticks.
func (v visited) time(ticks uint64) time.Time {
	ago := int64(v.ticks - ticks)
	hz := int64(v.d.hz)
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
