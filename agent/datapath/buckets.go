package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"unsafe"
)

// buckets is a hash table in the pool, from addresses of one family to numbers by epoch, 0 for none;
// bpf/members.h reads it. A bucket is one line. A key is in one of its two buckets or in the stash,
// one more line of the same form. Packets look while it is changed:
//
//   - Only the idle epoch's numbers are written.
//   - A key is written only where the number of the epoch that counts is 0.
//   - In each epoch a key has a number in at most one place: the programs join what all places say.
//
// So a key moves as all else changes: in the next epoch it is somewhere else, and its old place is
// free after the grace period that follows.
type buckets struct {
	pool  *pool
	uses  *uses
	ipv6  bool
	first uint32 // line of the first bucket
	count uint32 // of buckets
	seed  uint32 // drawn: who chooses addresses does not choose their buckets
	stash uint32 // line; 0: none yet
	taken int    // places with a number in either epoch
	live  [2]int // keys, by epoch
	dirty []place
}

// place is one of the ways of a line.
type place struct {
	line uint32
	way  int
}

// uses is how often the tables of a host hold each number, in either epoch.
type uses []uint32

func (u *uses) change(from, to uint32) {
	if from != 0 {
		(*u)[from]--
	}
	if to != 0 {
		if n := int(to) + 1 - len(*u); n > 0 {
			*u = append(*u, make([]uint32, n)...)
		}
		(*u)[to]++
	}
}

// memberKey is an address as it stands in a packet, in native words; the second is of IPv6 alone.
type memberKey struct{ first, second uint64 }

func memberKeyOf(a netip.Addr) memberKey {
	if a.Is4() {
		b := a.As4()
		return memberKey{first: uint64(binary.NativeEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return memberKey{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

func (k memberKey) address(ipv6 bool) netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], k.first)
	binary.NativeEndian.PutUint64(b[8:], k.second)
	if ipv6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

// memberEntry is a key with its number, from 1 to maxNumber.
type memberEntry struct {
	key    memberKey
	number uint32
}

// The form of a line: the keys of its ways, then their numbers in the one epoch, then in the other. An
// IPv4 number is a word; those beside IPv6 keys share two words for each epoch.
const (
	ways4, ways6 = 5, 3
	numberBits   = 21 // beside an IPv6 key
	numbers6     = 12 // word where they begin
	maxNumber    = 1<<numberBits - 1
)

// How full a table is, in percent of its ways, and how hard a place is looked for.
const (
	newLoad      = 60 // of a new one
	mostLoad     = 80 // above it is made anew, bigger
	leastLoad    = 15 // below it is made anew, smaller, unless it has but few buckets
	leastBuckets = 4
	kicks        = 500
	tries        = 8 // each with a seed of its own and a quarter bigger
)

var (
	errFull  = errors.New("no room for a member")
	errTwice = errors.New("an address is two members'")
)

// newBuckets makes a table of these entries, whose keys differ.
func newBuckets(p *pool, u *uses, ipv6 bool, entries []memberEntry) (*buckets, error) {
	ways := ways4
	if ipv6 {
		ways = ways6
	}
	count := max(leastBuckets, uint64(len(entries))*100/uint64(newLoad*ways)+1)
	for range tries {
		if count > 1<<27 {
			return nil, fmt.Errorf("%d members in one domain are too many", len(entries))
		}
		b := &buckets{pool: p, uses: u, ipv6: ipv6, count: uint32(count), seed: rand.Uint32()}
		err := b.fill(entries)
		if err == nil {
			return b, nil
		}
		b.release()
		if !errors.Is(err, errFull) {
			return nil, err
		}
		count += count/4 + 1
	}
	return nil, fmt.Errorf("%d members: %w", len(entries), errFull)
}

// linesAtOnce is how many lines are filled together: as much as is near to a CPU.
const linesAtOnce = 256

// fill puts entries into an empty table. Where each goes hangs only on how many its buckets have by then, so that
// is decided first, and then line after line is written: a table of a million is more than caches hold.
func (b *buckets) fill(entries []memberEntry) (err error) {
	if b.first, err = b.pool.alloc(b.count); err != nil {
		b.count = 0
		return err
	}
	for line := range b.count {
		*b.pool.line(b.first + line) = guestLine{}
	}
	taken := make([]uint8, b.count)       // ways of each line
	lines := make([]uint32, len(entries)) // of each entry; 0: no room
	next := make([]int, (b.count+linesAtOnce-1)/linesAtOnce+1)
	for i, e := range entries {
		homes := b.homes(e.key)
		line := homes[0]
		if taken[homes[1]-b.first] < taken[line-b.first] {
			line = homes[1]
		}
		if at := line - b.first; int(taken[at]) < b.ways() {
			taken[at]++
			lines[i] = line
			next[at/linesAtOnce+1]++
		}
	}
	for i := range len(next) - 1 {
		next[i+1] += next[i]
	}
	type placed struct {
		key          memberKey
		number, line uint32
	}
	sorted := make([]placed, next[len(next)-1])
	for i, e := range entries {
		if lines[i] != 0 {
			to := &next[(lines[i]-b.first)/linesAtOnce]
			sorted[*to] = placed{e.key, e.number, lines[i]}
			*to++
		}
	}
	for _, e := range sorted {
		if b.holds(e.line, e.key) {
			return fmt.Errorf("%s: %w", e.key.address(b.ipv6), errTwice)
		}
		taken[e.line-b.first]--
		b.begin(place{e.line, int(taken[e.line-b.first])}, memberEntry{e.key, e.number})
	}
	for _, e := range sorted { // one in each of its buckets?
		if homes := b.homes(e.key); e.line != homes[0] && b.holds(homes[0], e.key) {
			return fmt.Errorf("%s: %w", e.key.address(b.ipv6), errTwice)
		}
	}
	for i, e := range entries {
		if lines[i] != 0 {
			continue
		}
		if _, ok := b.find(e.key, 0); ok {
			return fmt.Errorf("%s: %w", e.key.address(b.ipv6), errTwice)
		}
		homes := b.homes(e.key)
		at, ok := b.room(homes[:]...)
		if !ok {
			if at, err = b.kick(&e); err != nil {
				return err
			}
		}
		b.begin(at, e)
	}
	return nil
}

// holds reports whether a line has a key with a number.
func (b *buckets) holds(line uint32, k memberKey) bool {
	words := &b.pool.line(line).Words
	if !b.ipv6 {
		for way := range ways4 {
			if words[way] == uint32(k.first) && words[ways4+way] != 0 {
				return true
			}
		}
		return false
	}
	for way := range ways6 {
		if at := (place{line, way}); b.key(at) == k && b.number(at, 0) != 0 {
			return true
		}
	}
	return false
}

// begin gives a free place to a key, in both epochs.
func (b *buckets) begin(at place, e memberEntry) {
	b.setKey(at, e.key)
	words := &b.pool.line(at.line).Words
	if b.ipv6 {
		*b.numbers(at, 0) |= uint64(e.number) << (numberBits * at.way)
		*b.numbers(at, 1) |= uint64(e.number) << (numberBits * at.way)
	} else {
		words[ways4+at.way], words[2*ways4+at.way] = e.number, e.number
	}
	b.taken++
	b.live[0]++
	b.live[1]++
	b.uses.change(0, e.number)
	b.uses.change(0, e.number)
}

// kick makes keys give way to one whose buckets are full, until one of them finds room: that one is left
// in e, with its place. Only for a table that no packet reads.
func (b *buckets) kick(e *memberEntry) (place, error) {
	homes := b.homes(e.key)
	from := homes[rand.IntN(2)]
	for range kicks {
		at := place{from, rand.IntN(b.ways())}
		out := memberEntry{b.key(at), b.number(at, 0)}
		b.setKey(at, e.key)
		b.write(at, 0, e.number)
		b.write(at, 1, e.number)
		*e = out
		homes = b.homes(e.key)
		if at, ok := b.room(homes[:]...); ok {
			return at, nil
		}
		if homes[0] == from {
			from = homes[1]
		} else {
			from = homes[0]
		}
	}
	return b.stashRoom()
}

// release gives the lines back. No packet may read them any more.
func (b *buckets) release() {
	for at := range b.places() {
		b.uses.change(b.number(at, 0), 0)
		b.uses.change(b.number(at, 1), 0)
	}
	if b.count != 0 {
		b.pool.release(b.first, b.count)
	}
	if b.stash != 0 {
		b.pool.release(b.stash, 1)
	}
}

// places is every place, those of the stash last.
func (b *buckets) places() func(yield func(place) bool) {
	return func(yield func(place) bool) {
		for line := b.first; line != b.first+b.count; line++ {
			for way := range b.ways() {
				if !yield(place{line, way}) {
					return
				}
			}
		}
		for way := range b.ways() {
			if b.stash == 0 || !yield(place{b.stash, way}) {
				return
			}
		}
	}
}

// entries is what the table holds in an epoch.
func (b *buckets) entries(epoch int) []memberEntry {
	all := make([]memberEntry, 0, b.taken)
	for at := range b.places() {
		if number := b.number(at, epoch); number != 0 {
			all = append(all, memberEntry{b.key(at), number})
		}
	}
	return all
}

func (b *buckets) ways() int {
	if b.ipv6 {
		return ways6
	}
	return ways4
}

func (b *buckets) capacity() int { return int(b.count) * b.ways() }

// homes is the lines of a key's buckets, which may be one. The twin of number_of in bpf/members.h.
func (b *buckets) homes(k memberKey) [2]uint32 {
	x := k.first ^ uint64(b.seed)*0x9e3779b97f4a7c15
	if b.ipv6 {
		x *= 0xd6e8feb86659fd93
		x ^= x>>32 ^ k.second
	}
	// The finalizer of MurmurHash3.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return [2]uint32{
		b.first + uint32(x&0xffffffff*uint64(b.count)>>32),
		b.first + uint32(x>>32*uint64(b.count)>>32),
	}
}

func (b *buckets) key(at place) memberKey {
	words := &b.pool.line(at.line).Words
	if b.ipv6 {
		k := (*[2]uint64)(unsafe.Pointer(&words[4*at.way]))
		return memberKey{k[0], k[1]}
	}
	return memberKey{first: uint64(words[at.way])}
}

func (b *buckets) setKey(at place, k memberKey) {
	words := &b.pool.line(at.line).Words
	if b.ipv6 {
		*(*[2]uint64)(unsafe.Pointer(&words[4*at.way])) = [2]uint64{k.first, k.second}
	} else {
		words[at.way] = uint32(k.first)
	}
}

// numbers is where the numbers of an epoch stand beside IPv6 keys.
func (b *buckets) numbers(at place, epoch int) *uint64 {
	return (*uint64)(unsafe.Pointer(&b.pool.line(at.line).Words[numbers6+2*epoch]))
}

func (b *buckets) number(at place, epoch int) uint32 {
	if b.ipv6 {
		return uint32(*b.numbers(at, epoch)>>(numberBits*at.way)) & maxNumber
	}
	return b.pool.line(at.line).Words[ways4*(1+epoch)+at.way]
}

func (b *buckets) free(at place) bool { return b.number(at, 0) == 0 && b.number(at, 1) == 0 }

// write says what a place holds in an epoch.
func (b *buckets) write(at place, epoch int, number uint32) {
	was, free := b.number(at, epoch), b.free(at)
	if b.ipv6 {
		all := b.numbers(at, epoch)
		*all = *all&^(maxNumber<<(numberBits*at.way)) | uint64(number)<<(numberBits*at.way)
	} else {
		b.pool.line(at.line).Words[ways4*(1+epoch)+at.way] = number
	}
	b.uses.change(was, number)
	if was == 0 && number != 0 {
		b.live[epoch]++
	} else if was != 0 && number == 0 {
		b.live[epoch]--
	}
	if now := b.free(at); free && !now {
		b.taken++
	} else if !free && now {
		b.taken--
	}
}

// assign says what a place holds from the next epoch on.
func (b *buckets) assign(at place, next int, number uint32) {
	b.write(at, next, number)
	b.dirty = append(b.dirty, at)
}

// put gives a free place to a key.
func (b *buckets) put(at place, k memberKey, next int, number uint32) {
	b.setKey(at, k)
	b.assign(at, next, number)
}

// find is where a key has a number, in either epoch; where it has it in the next one if there are two
// such places.
func (b *buckets) find(k memberKey, next int) (found place, ok bool) {
	homes := b.homes(k)
	for _, line := range [...]uint32{homes[0], homes[1], b.stash} {
		for way := range b.ways() {
			at := place{line, way}
			if line == 0 || b.key(at) != k || b.free(at) {
				continue
			}
			if b.number(at, next) != 0 {
				return at, true
			}
			found, ok = at, true
		}
	}
	return found, ok
}

// remove takes a key out of the next epoch.
func (b *buckets) remove(k memberKey, next int) {
	if at, ok := b.find(k, next); ok && b.number(at, next) != 0 {
		b.assign(at, next, 0)
	}
}

// add puts a key in, from the next epoch on. errFull: the table has to be made anew, and holds what it
// held before.
func (b *buckets) add(k memberKey, next int, number uint32) error {
	if at, ok := b.find(k, next); ok {
		if b.number(at, next) != 0 {
			return fmt.Errorf("%s: %w", k.address(b.ipv6), errTwice)
		}
		b.assign(at, next, number)
		return nil
	}
	if (b.taken+1)*100 > b.capacity()*mostLoad {
		return errFull
	}
	homes := b.homes(k)
	if at, ok := b.room(homes[:]...); ok {
		b.put(at, k, next, number)
		return nil
	}
	// The place that another key leaves now is free when this change is settled.
	b.leave(homes, next)
	at, err := b.stashRoom()
	if err != nil {
		return err
	}
	b.put(at, k, next, number)
	return nil
}

// room is the first free place of the emptiest of some lines.
func (b *buckets) room(lines ...uint32) (found place, ok bool) {
	most := 0
	for _, line := range lines {
		n, at := 0, place{}
		for way := range b.ways() {
			if p := (place{line, way}); b.free(p) {
				n++
				if n == 1 {
					at = p
				}
			}
		}
		if n > most {
			most, found = n, at
		}
	}
	return found, most > 0
}

// leave makes one key of two full buckets move to its other bucket, if there is one that can. One place
// is enough that will be free anyway.
func (b *buckets) leave(homes [2]uint32, next int) {
	var leaver, to place
	for _, line := range homes {
		for way := range b.ways() {
			at := place{line, way}
			if b.number(at, next) == 0 {
				return
			}
			others := b.homes(b.key(at))
			if p, ok := b.room(others[:]...); ok {
				leaver, to = at, p
			}
		}
	}
	if to.line != 0 {
		b.move(leaver, to, next)
	}
}

// move moves a key to a free place.
func (b *buckets) move(from, to place, next int) {
	b.put(to, b.key(from), next, b.number(from, next))
	b.assign(from, next, 0)
}

// stashRoom is a free place in the stash, or errFull.
func (b *buckets) stashRoom() (place, error) {
	if b.stash == 0 {
		line, err := b.pool.alloc(1)
		if err != nil {
			return place{}, err
		}
		*b.pool.line(line) = guestLine{}
		b.stash = line
	}
	at, ok := b.room(b.stash)
	if !ok {
		return place{}, errFull
	}
	return at, nil
}

// drain moves keys from the stash to where others have left.
func (b *buckets) drain(next int) {
	for way := range b.ways() {
		at := place{b.stash, way}
		if b.stash == 0 || b.number(at, next) == 0 {
			continue
		}
		homes := b.homes(b.key(at))
		if to, ok := b.room(homes[:]...); ok {
			b.move(at, to, next)
		} else {
			b.leave(homes, next)
		}
	}
}

// settle makes both epochs say what one does. No packet may be in the other.
func (b *buckets) settle(epoch int) {
	for _, at := range b.dirty {
		b.write(at, 1-epoch, b.number(at, epoch))
	}
	b.dirty = b.dirty[:0]
}
