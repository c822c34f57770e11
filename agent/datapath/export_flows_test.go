package datapath

import (
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// Standing is what the connection table of an ENI holds.
type Standing struct {
	Established int // connections, as the programs count them
	Found       int // … as they are found
	Overflowed  int // entries beside the buckets
	Fullest     int // established connections in the bucket that has most
	Busy        int // entries that some program is writing
	Shared      int // entries whose fingerprint another one of their bucket has, too
}

// Standing reads the table of an ENI, tag by tag.
func (d *Datapath) Standing(eni vpc.InterfaceID) (Standing, error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return Standing{}, err
	}
	const established = uint64(guestConnectionFlagCONNECTION_ESTABLISHED)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Standing{Established: int(uint32(atomic.LoadUint64(&d.occupancies[slot].Established)))}
	p := d.private[slot]
	for i := range p.buckets {
		n := 0
		fingerprints := map[uint64]bool{}
		for way := range p.buckets[i].Tags {
			tag := atomic.LoadUint64(&p.buckets[i].Tags[way])
			if isLive(tag) && fingerprints[tag>>32] {
				s.Shared++
			}
			fingerprints[tag>>32] = fingerprints[tag>>32] || isLive(tag)
			if tag&(flagBusy|flagChanging) != 0 {
				s.Busy++
			} else if tag&established != 0 {
				n++
			}
		}
		s.Found += n
		s.Fullest = max(s.Fullest, n)
	}
	var key guestConnectionKey
	var o guestOverflow
	it := p.connections.Iterate()
	for it.Next(&key, &o) {
		s.Overflowed++
		if key != o.Connection.key() {
			return s, fmt.Errorf("the entry of %v beside the buckets is %v's", key, o.Connection.key())
		}
		if isLive(o.Tag) && o.Tag&established != 0 {
			s.Found++
		}
	}
	return s, it.Err()
}

// EstablishedWays is how many ways of a bucket established connections may have.
const EstablishedWays = int(guestLimitMAX_ESTABLISHED_WAYS)

// Twin writes the entry of an ENI's first bucket that was made last into an empty way as well, as if another CPU had
// begun its flow there now.
func (d *Datapath) Twin(eni vpc.InterfaceID) error {
	slot, err := d.slotOf(eni)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := d.clock()
	if err != nil {
		return err
	}
	b := &d.private[slot].buckets[0]
	var from, to int
	for way := range b.Tags {
		if !isLive(b.Tags[way]) {
			to = way
		} else if bits.ReverseBytes16(b.Ways[way].key().RemotePort) > bits.ReverseBytes16(b.Ways[from].key().RemotePort) {
			from = way
		}
	}
	b.Ways[to] = b.Ways[from]
	b.Ways[to].Seen = uint32(now)
	atomic.StoreUint64(&b.Tags[to], nextVersion(b.Tags[from]))
	return nil
}

// Displace moves the one entry of an ENI's first bucket beside the buckets, where it is being changed for ever.
func (d *Datapath) Displace(eni vpc.InterfaceID) error {
	return d.putBeside(eni, func(tag *uint64, o *guestOverflow) {
		o.Tag |= flagChanging
		*tag &^= tagFlags
	})
}

// CopyOut puts the one half-open entry of an ENI's first bucket beside the buckets as well, as an established one that
// was seen so long before it.
func (d *Datapath) CopyOut(eni vpc.InterfaceID, before time.Duration) error {
	return d.putBeside(eni, func(_ *uint64, o *guestOverflow) {
		o.Tag |= uint64(guestConnectionFlagCONNECTION_ESTABLISHED)
		o.Connection.Seen -= uint32(d.ticks(before))
	})
}

func (d *Datapath) putBeside(eni vpc.InterfaceID, change func(*uint64, *guestOverflow)) error {
	slot, err := d.slotOf(eni)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.private[slot].buckets[0]
	way := slices.IndexFunc(b.Tags[:], func(tag uint64) bool {
		return isLive(tag) && flagsOf(tag)&guestConnectionFlagCONNECTION_ESTABLISHED == 0
	})
	o := guestOverflow{Tag: b.Tags[way], Connection: b.Ways[way]}
	change(&b.Tags[way], &o)
	return d.putOverflow(slot, d.private[slot], o)
}

// Raise lets the entries in the buckets of an ENI have counted so many packets and bytes more each way. Where nothing
// was taken off yet there stands what another entry may have left.
func (d *Datapath) Raise(eni vpc.InterfaceID, packets, bytes uint64) error {
	slot, err := d.slotOf(eni)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.private[slot].buckets {
		for way := range ways {
			b := &d.private[slot].buckets[i]
			for direction := range b.Ways[way].Counts {
				if atomic.LoadUint64(&b.Tags[way])&(moreIngress<<direction) == 0 {
					b.Ways[way].More[direction] = 7<<32 | 5
				}
				atomic.AddUint64(&b.Ways[way].Counts[direction], packets<<countedBytes|bytes)
			}
		}
	}
	return nil
}

// CountsKept is what an entry counts that has counted so much.
func CountsKept(packets, bytes [2]uint64) (gotPackets, gotBytes [2]uint64) {
	var c guestConnection
	var tag uint64
	c.setCounts(&tag, packets, bytes)
	return c.counts(tag)
}

// NumberOf is the number of an ENI.
func (d *Datapath) NumberOf(eni vpc.InterfaceID) (uint32, error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return 0, err
	}
	return d.enis[slot].Number, nil
}

// RuleLine is the line in which it stands where a rule is counted on an ENI with this number.
func RuleLine(eni, rule uint32) uint64 {
	line, _ := ruleKey{eni, rule}.word()
	return line
}

// ForgetSecrets lets everybody know which keys of an ENI's connections have the same hash.
func (d *Datapath) ForgetSecrets(eni vpc.InterfaceID) error {
	slot, err := d.slotOf(eni)
	if err == nil {
		d.enis[slot].Secrets = [5]uint64{}
	}
	return err
}
