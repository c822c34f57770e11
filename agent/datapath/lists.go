package datapath

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/vpc"
)

// listIndex mirrors the trie that says which prefix lists hold an address, once for all tables: under
// each CIDR is the number of the set of lists that hold all of it. Its values count by epoch, as in
// an epochMap. But a lookup ends at the longest CIDR, so a CIDR that only one epoch knows carries
// for the other what the next shorter one says.
type listIndex struct {
	m      *ebpf.Map
	have   map[netip.Prefix]guestListSets
	dirty  bool // values differ by epoch, or a CIDR says what the next shorter one does
	writes *int
}

func loadListIndex(m *ebpf.Map, writes *int) (*listIndex, error) {
	x := &listIndex{m: m, have: map[netip.Prefix]guestListSets{}, dirty: true, writes: writes}
	var key guestListKey
	var value guestListSets
	it := m.Iterate()
	for it.Next(&key, &value) {
		x.have[listCIDR(key)] = value
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read prefix lists: %w", err)
	}
	return x, nil
}

// walk calls do with each CIDR, shorter ones before those that they contain, and with what the next
// shorter one says, zeros if there is none. do returns what the CIDR itself says from then on.
func walk(cidrs []netip.Prefix, do func(p netip.Prefix, above guestListSets) (guestListSets, error)) error {
	slices.SortFunc(cidrs, netip.Prefix.Compare)
	type level struct {
		cidr netip.Prefix
		says guestListSets
	}
	var path []level // each contains the next
	for _, p := range slices.Compact(cidrs) {
		for len(path) > 0 && !path[len(path)-1].cidr.Contains(p.Addr()) {
			path = path[:len(path)-1]
		}
		var above guestListSets
		if len(path) > 0 {
			above = path[len(path)-1].says
		}
		says, err := do(p, above)
		if err != nil {
			return err
		}
		path = append(path, level{p, says})
	}
	return nil
}

// assign makes the next epoch say what want does: the number of the set under each CIDR whose set is
// another than that of the next shorter one.
func (x *listIndex) assign(next int, want map[netip.Prefix]uint32) error {
	all := slices.AppendSeq(slices.Collect(maps.Keys(x.have)), maps.Keys(want))
	return walk(all, func(p netip.Prefix, above guestListSets) (guestListSets, error) {
		old, known := x.have[p]
		says := old
		if !known {
			says = above
		}
		says.Of[next] = above.Of[next]
		if number, ok := want[p]; ok {
			says.Of[next] = number
		}
		if says == old && known || says == above && !known {
			return says, nil
		}
		return says, x.put(p, says)
	})
}

// settle makes both epochs say what one does. No packet may be in the other.
func (x *listIndex) settle(epoch int) error {
	if !x.dirty {
		return nil
	}
	err := walk(slices.Collect(maps.Keys(x.have)), func(p netip.Prefix, above guestListSets) (guestListSets, error) {
		says := x.have[p]
		says.Of[1-epoch] = says.Of[epoch]
		switch {
		case says == above:
			*x.writes++
			if err := deleteKey(x.m, listKey(p)); err != nil {
				return says, err
			}
			delete(x.have, p)
		case says != x.have[p]:
			return says, x.put(p, says)
		}
		return says, nil
	})
	x.dirty = err != nil
	return err
}

func (x *listIndex) put(p netip.Prefix, says guestListSets) error {
	x.dirty = true
	*x.writes++
	if err := x.m.Put(listKey(p), says); err != nil {
		return full(err, x.m)
	}
	x.have[p] = says
	return nil
}

// buildLists writes which set of prefix lists holds an address.
func (d *Datapath) buildLists(lists map[vpc.PrefixListID][]netip.Prefix) error {
	if d.applied != nil && maps.EqualFunc(d.applied.Lists, lists, slices.Equal[[]netip.Prefix]) {
		return nil
	}
	holders := map[netip.Prefix][]vpc.PrefixListID{}
	for id, cidrs := range lists {
		for _, p := range cidrs {
			holders[p] = append(holders[p], id)
		}
	}
	// The set of a CIDR is that of the next shorter one, and the lists that name it itself.
	sets := map[uint32][]vpc.PrefixListID{0: nil}
	want := map[netip.Prefix]uint32{}
	err := walk(slices.Collect(maps.Keys(holders)), func(p netip.Prefix, above guestListSets) (guestListSets, error) {
		all := slices.Concat(sets[above.Of[0]], holders[p])
		slices.Sort(all)
		all = slices.Compact(all)
		number, err := d.names.number(guestKindKIND_LIST_SET, setName(all))
		if err != nil {
			return above, err
		}
		sets[number] = all
		if _, ok := d.tables.sets[number]; !ok {
			d.tables.sets[number] = set{lists: all}
		}
		if number != above.Of[0] {
			want[p] = number
		}
		return guestListSets{Of: [2]uint32{number, number}}, nil
	})
	if err != nil {
		return err
	}
	return d.lists.assign(1-d.epoch(), want)
}

// listBits is LIST_BITS: the family is matched whole.
const listBits = 32

func listKey(p netip.Prefix) guestListKey {
	family, words := address(p.Addr())
	return guestListKey{Bits: listBits + uint32(p.Bits()), Family: family, Address: words}
}

func listCIDR(k guestListKey) netip.Prefix {
	var b [16]byte
	for i, word := range k.Address.Words {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	a := netip.AddrFrom16(b)
	if k.Family == guestFamilyFAMILY_IPV4 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(a, int(k.Bits)-listBits)
}
