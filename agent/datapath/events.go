package datapath

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// DropSample is packets of one kind that were dropped lately, or that would have been.
type DropSample struct {
	ENI       vpc.InterfaceID
	Direction ruleset.Direction
	Reason    ruleset.Reason
	Observed  bool       // no rule allows them, and they passed because the ENI observes; counted once per flow
	Protocol  uint8      // IANA number; 0 with Local and Remote when the packet was not read so far
	Local     netip.Addr // the guest's side, of the last one
	Remote    netip.Addr
	Port      uint16 // the destination's, of TCP and UDP; else 0
	Count     uint64 // that were told: of a flood a part
	Last      time.Time
}

// MaxDropSamples is how many kinds of drops are remembered of one ENI.
const MaxDropSamples = 32

// RecentDrops returns what ReadEvents has learned of the drops of attached ENIs, sorted by ENI, the
// latest first. An agent that starts knows none but what nobody has read.
func (d *Datapath) RecentDrops() []DropSample {
	d.mu.Lock()
	enis := map[uint32]vpc.InterfaceID{}
	for slot, a := range d.slots {
		if number := d.enis[slot].Number; number != 0 {
			enis[number] = a.ENI
		}
	}
	d.mu.Unlock()
	return d.recent.samples(enis)
}

// ReadEvents takes in what the programs tell until ctx ends, and returns its error then. Nothing in
// the packet path waits for it.
func (d *Datapath) ReadEvents(ctx context.Context) error {
	r, err := ringbuf.NewReader(d.objects.Events)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	var record ringbuf.Record
	var wall func(uint64) time.Time
	var set time.Time
	for {
		if err := r.ReadInto(&record); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("read events: %w", err)
		}
		if len(record.RawSample) < int(unsafe.Sizeof(guestEvent{})) {
			return fmt.Errorf("read events: one of %d bytes", len(record.RawSample))
		}
		e := *(*guestEvent)(unsafe.Pointer(unsafe.SliceData(record.RawSample)))
		if time.Since(set) > time.Second { // not for each event of a flood
			if wall, err = d.wallClock(); err != nil {
				return fmt.Errorf("read events: %w", err)
			}
			set = time.Now()
		}
		d.recent.take(e, wall(e.At))
	}
}

// recent is what was dropped lately. It has a lock of its own: events come while tables are built.
type recent struct {
	mu   sync.Mutex
	enis map[uint32]*eniDrops // by number
}

type eniDrops struct {
	samples map[sampleKey]*sample // at most MaxDropSamples
	last    [2]map[ruleset.Reason]time.Time
	counted [2]map[ruleset.Reason]uint64 // when lasts was asked before; nil: never
	looked  time.Time
}

type sampleKey struct {
	direction ruleset.Direction
	reason    ruleset.Reason
	observed  bool
	protocol  uint8
	remote    netip.Addr
	port      uint16
}

type sample struct {
	local netip.Addr
	count uint64
	last  time.Time
}

func (r *recent) of(number uint32) *eniDrops {
	if r.enis == nil {
		r.enis = map[uint32]*eniDrops{}
	}
	e := r.enis[number]
	if e == nil {
		e = &eniDrops{samples: map[sampleKey]*sample{}}
		for d := range e.last {
			e.last[d] = map[ruleset.Reason]time.Time{}
		}
		r.enis[number] = e
	}
	return e
}

// take notes an event.
func (r *recent) take(event guestEvent, at time.Time) {
	reason, direction := ruleset.Reason(event.Reason), ruleset.Direction(event.Direction)
	observed := event.Observed != 0
	if event.Eni == 0 || direction > ruleset.Egress || (!observed && reason.Allows()) {
		return
	}
	k := event.Key
	key := sampleKey{direction: direction, reason: reason, observed: observed, protocol: k.Protocol}
	var local netip.Addr
	if k.Family != 0 { // it was read so far
		local, key.remote = fromAddress(k.Family, k.Local), fromAddress(k.Family, k.Remote)
	}
	if k.Protocol == unix.IPPROTO_TCP || k.Protocol == unix.IPPROTO_UDP {
		port := k.RemotePort
		if direction == ruleset.Ingress {
			port = k.LocalPort
		}
		key.port = bits.ReverseBytes16(port)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.of(event.Eni)
	if !observed {
		e.last[direction][reason] = at
	}
	s := e.samples[key]
	if s == nil {
		e.makeRoom()
		s = &sample{}
		e.samples[key] = s
	}
	s.local, s.last = local, at
	s.count++
}

// makeRoom forgets the sample that is the oldest.
func (e *eniDrops) makeRoom() {
	if len(e.samples) < MaxDropSamples {
		return
	}
	var oldest sampleKey
	var at time.Time
	for key, s := range e.samples {
		if at.IsZero() || s.last.Before(at) {
			oldest, at = key, s.last
		}
	}
	delete(e.samples, oldest)
}

// lasts returns when the last packet was dropped for each reason: as an event said, or, where that
// was lost in a flood, now, if there are more of them than at the last look.
func (r *recent) lasts(number uint32, direction ruleset.Direction, packets map[ruleset.Reason]uint64, now time.Time) map[ruleset.Reason]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.of(number)
	before := e.counted[direction]
	out := map[ruleset.Reason]time.Time{}
	for reason, n := range packets {
		if reason.Allows() {
			continue
		}
		if before != nil && n > before[reason] && e.last[direction][reason].Before(e.looked) {
			e.last[direction][reason] = now.UTC()
		}
		if at := e.last[direction][reason]; !at.IsZero() {
			out[reason] = at.Truncate(time.Second)
		}
	}
	e.counted[direction] = packets
	if direction == ruleset.Egress { // the second of the two
		e.looked = now
	}
	return out
}

// samples returns those of the ENIs that are given by number, and forgets all others.
func (r *recent) samples(enis map[uint32]vpc.InterfaceID) []DropSample {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []DropSample
	for number, e := range r.enis {
		id := enis[number]
		if id == "" {
			delete(r.enis, number)
			continue
		}
		for k, s := range e.samples {
			list = append(list, DropSample{
				ENI: id, Direction: k.direction, Reason: k.reason, Observed: k.observed, Protocol: k.protocol,
				Local: s.local, Remote: k.remote, Port: k.port, Count: s.count, Last: s.last,
			})
		}
	}
	slices.SortFunc(list, func(a, b DropSample) int { return cmp.Or(cmp.Compare(a.ENI, b.ENI), b.Last.Compare(a.Last)) })
	return list
}
