package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// table is a ruleset.Table in the pool, under a number of its own. What it allows CIDRs never changes.
type table struct {
	number uint32
	name   guestNameKey
	source *ruleset.Table
	rules  []uint32     // that it can name: ruleNumbers
	open   guestEniFlag // openFlags
	cidrs  guestAddressTrees
	block  span   // of cidrs
	ports  []tree // that cidrs refer to
	// What it allows sets: the newest last. A set finds its place in the one in force before a member
	// refers to it and leaves after none does; where there is no place, a bigger one is made aside.
	roots []root
}

// root is a struct table of the pool and the port sets of sets behind it.
type root struct {
	line uint32
	sets uint32 // numbers below have a place
	upTo uint64 // sets that were born later are not in it
}

// tables is all that the pool holds of tables and sets. It writes what no packet finds yet; retain is
// for after a grace period.
type tables struct {
	names    *names
	pool     *pool
	ports    *portSets
	sets     *sets
	byNumber map[uint32]*table
	bySource map[*ruleset.Table]*table
	writes   *int
	text     []byte // room for what a name is a hash of
	cutter   cutter
}

func newTables(n *names, p *pool, writes *int) *tables {
	return &tables{
		names: n, pool: p, ports: newPortSets(p), sets: newSets(), writes: writes,
		byNumber: map[uint32]*table{}, bySource: map[*ruleset.Table]*table{},
	}
}

// find returns the table with that content, built now if there is none. It has the number that the
// agent before gave to that content, if it is still in force, else a new one.
func (ts *tables) find(source *ruleset.Table) (*table, error) {
	if t := ts.bySource[source]; t != nil {
		return t, nil
	}
	name := ts.nameOf(source)
	number := ts.names.find(guestKindKIND_TABLE, name)
	if t := ts.byNumber[number]; t != nil {
		return ts.known(source, t), nil
	}
	t := &table{number: number, name: nameKey(guestKindKIND_TABLE, name)}
	if err := ts.build(t, source); err != nil {
		ts.free(t)
		return nil, err
	}
	if number == 0 {
		var err error
		if t.number, err = ts.names.number(guestKindKIND_TABLE, name); err != nil {
			ts.free(t)
			return nil, err
		}
	}
	*ts.writes++
	ts.byNumber[t.number] = t
	return ts.known(source, t), nil
}

// build writes what a table allows CIDRs.
func (ts *tables) build(t *table, source *ruleset.Table) error {
	ts.cutter.begin()
	t.ports = make([]tree, 0, len(source.CIDRs))
	for _, c := range source.CIDRs {
		ports, err := ts.ports.store(c.Ports, source.Everyone)
		if err != nil {
			return fmt.Errorf("store %s: %w", c.CIDR, err)
		}
		t.ports = append(t.ports, ports)
		if c.CIDR.Bits() == 0 {
			t.open = openFlags(source)
		}
		// The longest CIDR stands for all that hold it.
		family := &ts.cutter.ipv6
		if c.CIDR.Addr().Is4() {
			family = &ts.cutter.ipv4
		}
		family.add(firstPoint(c.CIDR), uint8(c.CIDR.Bits()), uint32(ports))
	}
	var err error
	if t.cidrs, t.block, err = ts.cutter.write(ts.pool); err != nil {
		return fmt.Errorf("store %d CIDRs: %w", len(source.CIDRs), err)
	}
	return nil
}

// openFlags says what a table lets everybody send, as ENIs whose ingress it is have it.
func openFlags(source *ruleset.Table) (flags guestEniFlag) {
	for _, o := range []struct {
		flag     guestEniFlag
		protocol vpc.Protocol
		ipv6     bool
	}{
		{guestEniFlagENI_OPEN_INGRESS_TCP4, vpc.TCP, false},
		{guestEniFlagENI_OPEN_INGRESS_TCP6, vpc.TCP, true},
		{guestEniFlagENI_OPEN_INGRESS_UDP4, vpc.UDP, false},
		{guestEniFlagENI_OPEN_INGRESS_UDP6, vpc.UDP, true},
	} {
		if source.Open(o.protocol, o.ipv6) {
			flags |= o.flag
		}
	}
	return flags
}

// known remembers which pointer means the table, the newest of those that do.
func (ts *tables) known(source *ruleset.Table, t *table) *table {
	delete(ts.bySource, t.source)
	t.source = source
	ts.bySource[source] = t
	return t
}

// complete makes sure that the table says what it allows to each set, and returns its root's line.
func (ts *tables) complete(t *table) (uint32, error) {
	var last root
	if n := len(t.roots); n > 0 {
		if last = t.roots[n-1]; last.upTo == ts.sets.born {
			return last.line, nil
		}
	}
	type allowed struct {
		set   uint32
		ports []ruleset.Interval
	}
	var all []allowed
	next := root{line: last.line, sets: last.sets, upTo: ts.sets.born}
	for _, number := range ts.sets.since(last.upTo) {
		of := &ts.sets.of[number]
		ports := t.source.PortsOf(of.groups)
		if of.lists != nil {
			ports = t.source.PortsOfLists(of.lists)
		}
		if len(ports) != 0 {
			all = append(all, allowed{number, ports})
			next.sets = max(next.sets, number+1)
		}
	}
	if next.line == 0 || next.sets > last.sets {
		// Room for as many again: sets that come one by one shall not copy it each time.
		if next.sets > last.sets {
			next.sets = (2*next.sets + wordsInLine - 1) / wordsInLine * wordsInLine
		}
		lines := next.lines()
		line, err := ts.pool.alloc(lines)
		if err != nil {
			return 0, err
		}
		next.line = line
		*(*guestTable)(unsafe.Pointer(ts.pool.line(line))) = guestTable{Cidrs: t.cidrs, Sets: next.sets}
		for i := uint32(1); i < lines; i++ {
			*ts.pool.line(line + i) = guestLine{}
		}
		for set := range last.sets {
			ports := *ts.place(last, set)
			ts.ports.hold(tree(ports))
			*ts.place(next, set) = ports
		}
		t.roots = append(t.roots, next)
		*ts.writes++
	}
	for _, a := range all {
		ports, err := ts.ports.store(a.ports, t.source.Everyone)
		if err != nil {
			return 0, fmt.Errorf("store what a set is allowed: %w", err)
		}
		*ts.place(next, a.set) = uint32(ports)
		*ts.writes++
	}
	t.roots[len(t.roots)-1] = next
	return next.line, nil
}

const wordsInLine = uint32(len(guestLine{}.Words))

// lines is how many lines a root takes, with its port sets.
func (r root) lines() uint32 { return 1 + r.sets/wordsInLine }

// place is where a root has the port set of a set.
func (ts *tables) place(r root, set uint32) *uint32 {
	return &ts.pool.line(r.line + 1 + set/wordsInLine).Words[set%wordsInLine]
}

// retain frees the tables and roots that are not in force, and the sets that are not kept. No packet
// may look at them any more.
func (ts *tables) retain(inForce func(number uint32) bool, isRoot func(line uint32) bool, keepSet func(number uint32) bool) error {
	for _, t := range ts.byNumber {
		t.roots = slices.DeleteFunc(t.roots, func(r root) bool {
			if isRoot(r.line) {
				return false
			}
			ts.freeRoot(r)
			return true
		})
		if inForce(t.number) {
			continue
		}
		if err := ts.names.forget(t.name); err != nil {
			return err
		}
		ts.free(t)
		delete(ts.byNumber, t.number)
		delete(ts.bySource, t.source)
	}
	gone := ts.sets.unkept(keepSet)
	if len(gone) == 0 {
		return nil
	}
	for _, t := range ts.byNumber {
		for _, r := range t.roots {
			for _, set := range gone {
				if set < r.sets {
					place := ts.place(r, set)
					ts.ports.release(tree(*place))
					*place = 0
				}
			}
		}
	}
	ts.sets.drop(gone)
	return nil
}

func (ts *tables) freeRoot(r root) {
	for set := range r.sets {
		ts.ports.release(tree(*ts.place(r, set)))
	}
	ts.pool.release(r.line, r.lines())
}

func (ts *tables) free(t *table) {
	for _, r := range t.roots {
		ts.freeRoot(r)
	}
	for _, ports := range t.ports {
		ts.ports.release(ports)
	}
	ts.pool.release(t.block.first, t.block.count)
	t.roots, t.ports, t.block = nil, nil, span{}
}

// nameOf is a hash of all that a table allows: equal tables are stored once, and the next agent finds them
// again.
func (ts *tables) nameOf(t *ruleset.Table) string {
	text := ts.text[:0]
	number := func(n int) { text = binary.NativeEndian.AppendUint32(text, uint32(n)) }
	list := func(intervals []ruleset.Interval) {
		number(len(intervals))
		// Three words each, as they stand: agents of one machine read them alike.
		text = append(text, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(intervals))), len(intervals)*int(unsafe.Sizeof(ruleset.Interval{})))...)
	}
	number(len(t.CIDRs))
	for _, c := range t.CIDRs {
		a := c.CIDR.Addr()
		text = append(text, byte(a.BitLen()), byte(c.CIDR.Bits()))
		if a.Is4() {
			b := a.As4()
			text = append(text, b[:]...)
		} else {
			b := a.As16()
			text = append(text, b[:]...)
		}
		list(c.Ports)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Lists)) {
		text = fmt.Appendf(text, "%s\n", id)
		list(t.Lists[id])
	}
	for _, group := range slices.Sorted(maps.Keys(t.Peers)) {
		text = fmt.Appendf(text, "%s\n", group)
		list(t.Peers[group])
	}
	ts.text = text
	sum := sha256.Sum256(text)
	return string(sum[:])
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

// addressKey is an address as one ENI means it.
func addressKey(scope uint32, a netip.Addr) guestAddressKey {
	family, words := address(a)
	return guestAddressKey{Scope: scope, Family: family, Address: words}
}

// checkDelegated refuses a prefix that the programs do not look for: they know one size of each family.
func checkDelegated(p netip.Prefix) error {
	size := 80
	if p.Addr().Is4() {
		size = 28
	}
	if p.Bits() != size || p != p.Masked() {
		return fmt.Errorf("the delegated prefix %s is no /%d", p, size)
	}
	return nil
}

// delegatedKey is a delegated prefix as one ENI means it.
func delegatedKey(scope uint32, p netip.Prefix) (guestAddressKey, error) {
	if err := checkDelegated(p); err != nil {
		return guestAddressKey{}, err
	}
	key := addressKey(scope, p.Addr())
	key.Family |= guestFamilyFAMILY_DELEGATED
	return key, nil
}

// full says which map an error is about, when it means that the map is full.
func full(err error, m *ebpf.Map) error {
	if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the map is full with %d entries: %w", m.MaxEntries(), err)
	}
	return err
}
