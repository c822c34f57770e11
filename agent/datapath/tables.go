package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// table is a ruleset.Table in the maps, under a number of its own. Its prefixes never change; a set
// is added before a member points to it and leaves after none does.
type table struct {
	number   uint32
	name     guestNameKey   // zero while it is half-built
	source   *ruleset.Table // nil until an Apply names it
	prefixes map[guestPrefixKey]guestPorts
	rules    []uint32              // that it can name: ruleNumbers
	sets     map[uint32]guestPorts // Count 0: looked at, nothing is allowed, nothing is in the map
}

// set is a member set, which of the groups that are named on this host a member is in, or a set of
// the prefix lists that hold an address.
type set struct {
	groups []vpc.GroupID // sorted
	lists  []vpc.PrefixListID
}

// tables is all that the maps hold of tables, sets and their intervals.
type tables struct {
	names    *names
	blocks   *blocks
	prefixes *ebpf.Map
	setPorts *ebpf.Map
	byNumber map[uint32]*table
	bySource map[*ruleset.Table]*table
	sets     map[uint32]set
	writes   *int
}

// loadTables reads what a former agent left: whole tables, which have a name, and half-built ones.
func loadTables(n *names, b *blocks, prefixes, setPorts *ebpf.Map, writes *int) (*tables, error) {
	ts := &tables{
		names: n, blocks: b, prefixes: prefixes, setPorts: setPorts, writes: writes,
		byNumber: map[uint32]*table{},
		bySource: map[*ruleset.Table]*table{},
		sets:     map[uint32]set{},
	}
	for key, v := range n.known {
		if v.Kind == guestKindKIND_TABLE {
			ts.at(v.Number).name = key
		}
	}
	var ports guestPorts
	var prefix guestPrefixKey
	it := prefixes.Iterate()
	for it.Next(&prefix, &ports) {
		ts.at(prefix.Table).prefixes[prefix] = ports
		if err := b.adopt(ports); err != nil {
			return nil, fmt.Errorf("read prefixes: %w", err)
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read prefixes: %w", err)
	}
	var key guestSetKey
	it = setPorts.Iterate()
	for it.Next(&key, &ports) {
		ts.at(key.Table).sets[key.Set] = ports
		if err := b.adopt(ports); err != nil {
			return nil, fmt.Errorf("read member sets: %w", err)
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read member sets: %w", err)
	}
	return ts, nil
}

func (ts *tables) at(number uint32) *table {
	t := ts.byNumber[number]
	if t == nil {
		t = &table{number: number, prefixes: map[guestPrefixKey]guestPorts{}, sets: map[uint32]guestPorts{}}
		ts.byNumber[number] = t
	}
	return t
}

// find returns the table with that content, built now under a new number if there is none. A
// table that could not be built whole is left to retain.
func (ts *tables) find(source *ruleset.Table) (*table, error) {
	if t := ts.bySource[source]; t != nil {
		return t, nil
	}
	name := tableName(source)
	if number := ts.names.find(guestKindKIND_TABLE, name); number != 0 {
		return ts.known(source, ts.at(number)), nil
	}
	number, err := ts.names.draw()
	if err != nil {
		return nil, err
	}
	t := ts.at(number)
	for _, c := range source.CIDRs {
		ports, err := ts.blocks.store(c.Ports, source.Everyone)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", c.CIDR, err)
		}
		key := prefixKey(number, c.CIDR)
		*ts.writes++
		if err := ts.prefixes.Put(key, ports); err != nil {
			ts.blocks.release(ports)
			return nil, fmt.Errorf("store %s: %w", c.CIDR, full(err, ts.prefixes))
		}
		t.prefixes[key] = ports
	}
	*ts.writes++
	if err := ts.names.put(guestKindKIND_TABLE, name, number); err != nil {
		return nil, err
	}
	t.name = nameKey(guestKindKIND_TABLE, name)
	return ts.known(source, t), nil
}

// known remembers which pointer means the table, the newest of those that do.
func (ts *tables) known(source *ruleset.Table, t *table) *table {
	delete(ts.bySource, t.source)
	t.source = source
	ts.bySource[source] = t
	return t
}

// add makes sure that the table says what it allows to the members or addresses of a set.
func (ts *tables) add(t *table, number uint32) error {
	if _, ok := t.sets[number]; ok {
		return nil
	}
	of := ts.sets[number]
	allowed := t.source.PortsOf(of.groups)
	if of.lists != nil {
		allowed = t.source.PortsOfLists(of.lists)
	}
	ports, err := ts.blocks.store(allowed, t.source.Everyone)
	if err != nil {
		return err
	}
	if ports.Count != 0 {
		*ts.writes++
		if err := ts.setPorts.Put(guestSetKey{Table: t.number, Set: number}, ports); err != nil {
			ts.blocks.release(ports)
			return fmt.Errorf("store a member set: %w", full(err, ts.setPorts))
		}
	}
	t.sets[number] = ports
	return nil
}

// retain frees the tables and sets that are not kept. No packet may look at them any more.
func (ts *tables) retain(keepTable, keepSet func(number uint32) bool) error {
	for _, t := range ts.byNumber {
		gone := !keepTable(t.number)
		if gone {
			// The name goes first: what is left without one is half-built.
			if err := ts.names.forget(t.name); err != nil {
				return err
			}
			delete(ts.bySource, t.source)
		}
		for number, ports := range t.sets {
			if !gone && keepSet(number) {
				continue
			}
			if ports.Count != 0 {
				*ts.writes++
				if err := deleteKey(ts.setPorts, guestSetKey{Table: t.number, Set: number}); err != nil {
					return fmt.Errorf("free a member set: %w", err)
				}
			}
			ts.blocks.release(ports)
			delete(t.sets, number)
		}
		if !gone {
			continue
		}
		for key, ports := range t.prefixes {
			*ts.writes++
			if err := deleteKey(ts.prefixes, key); err != nil {
				return fmt.Errorf("free a prefix: %w", err)
			}
			ts.blocks.release(ports)
			delete(t.prefixes, key)
		}
		delete(ts.byNumber, t.number)
	}
	maps.DeleteFunc(ts.sets, func(number uint32, _ set) bool { return !keepSet(number) })
	return nil
}

// tableName is a hash of all that a table allows: equal tables are stored once, and the next agent
// finds them again.
func tableName(t *ruleset.Table) string {
	h := sha256.New()
	number := func(n uint32) { h.Write(binary.BigEndian.AppendUint32(nil, n)) }
	list := func(intervals []ruleset.Interval) {
		number(uint32(len(intervals)))
		for _, i := range intervals {
			number(i.From)
			number(i.To)
			number(i.Rule)
		}
	}
	number(uint32(len(t.CIDRs)))
	for _, c := range t.CIDRs {
		fmt.Fprintf(h, "%s\n", c.CIDR)
		list(c.Ports)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Lists)) {
		fmt.Fprintf(h, "%s\n", id)
		list(t.Lists[id])
	}
	for _, group := range slices.Sorted(maps.Keys(t.Peers)) {
		fmt.Fprintf(h, "%s\n", group)
		list(t.Peers[group])
	}
	return string(h.Sum(nil))
}

// address is an address as the maps have it, with its family.
func address(a netip.Addr) (guestFamily, guestAddress) {
	var b [16]byte
	family := guestFamilyFAMILY_IPV6
	if a.Is4() {
		family = guestFamilyFAMILY_IPV4
		v4 := a.As4()
		copy(b[:], v4[:])
	} else {
		b = a.As16()
	}
	var out guestAddress
	for i := range out.Words {
		out.Words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return family, out
}

// addressKey is an address as one ENI or domain means it.
func addressKey(scope uint32, a netip.Addr) guestAddressKey {
	family, words := address(a)
	return guestAddressKey{Scope: scope, Family: family, Address: words}
}

// delegatedKey is a delegated prefix as one ENI or domain means it. The programs look for two sizes,
// one of each family.
func delegatedKey(scope uint32, p netip.Prefix) (guestAddressKey, error) {
	size := 80
	if p.Addr().Is4() {
		size = 28
	}
	if p.Bits() != size || p != p.Masked() {
		return guestAddressKey{}, fmt.Errorf("the delegated prefix %s is no /%d", p, size)
	}
	key := addressKey(scope, p.Addr())
	key.Family |= guestFamilyFAMILY_DELEGATED
	return key, nil
}

// prefixBits is PREFIX_BITS: table and family are matched whole.
const prefixBits = 64

func prefixKey(table uint32, p netip.Prefix) guestPrefixKey {
	family, words := address(p.Addr())
	return guestPrefixKey{Bits: prefixBits + uint32(p.Bits()), Table: table, Family: family, Address: words}
}

// full says which map an error is about, when it means that the map is full.
func full(err error, m *ebpf.Map) error {
	if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the map is full with %d entries: %w", m.MaxEntries(), err)
	}
	return err
}
