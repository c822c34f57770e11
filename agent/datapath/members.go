package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// members is who has which address, by domain: for each the number of the set of groups that its owner
// is in. Nothing of it is read back by the next agent, which makes its own.
type members struct {
	pool    *pool
	uses    uses
	domains map[vpc.VPCID]*domain
	dirty   map[*domain]struct{} // their epochs may differ
}

func newMembers(p *pool) *members {
	return &members{pool: p, domains: map[vpc.VPCID]*domain{}, dirty: map[*domain]struct{}{}}
}

// domain is the members of a VPC and its peers: addresses and delegated prefixes, of either family.
type domain struct {
	tables [2][domainTables]*buckets // by epoch; nil: nobody
	line   [2]uint32                 // by epoch, as struct member_table has them; 0: nobody in any
}

// The tables of a domain, in the order of enum member_form.
const (
	members4 = iota
	members6
	delegated4
	delegated6
	domainTables
)

// memberChange is what a change does to one table: who is removed, then who is added.
type memberChange struct {
	removed []memberKey
	added   []memberEntry
}

// line is what an ENI of a domain has in its config from the next epoch on.
func (ms *members) line(id vpc.VPCID, next int) uint32 {
	if v := ms.domains[id]; v != nil {
		return v.line[next]
	}
	return 0
}

// used reports whether some member has a number in either epoch.
func (ms *members) used(number uint32) bool {
	return int64(number) < int64(len(ms.uses)) && ms.uses[number] != 0
}

// build makes the next epoch say what now does, where the one that counts says what old did. numberOf
// has the numbers of sets of groups. It costs what differs, where patch knows that, and returns how much
// it is.
func (ms *members) build(old, now ruleset.Members, patch *ruleset.MemberPatch, next int, numberOf func([]vpc.GroupID) uint32) (writes int, err error) {
	changes, err := differences(old, now, patch, numberOf)
	if err != nil {
		return 0, err
	}
	for id, all := range changes {
		v := ms.domains[id]
		if v == nil {
			v = &domain{}
			ms.domains[id] = v
		}
		ms.dirty[v] = struct{}{}
		for kind, c := range all {
			if len(c.removed)+len(c.added) == 0 {
				continue
			}
			writes += len(c.removed) + len(c.added)
			if v.tables[next][kind], err = ms.change(v.tables[next][kind], kind, c, next); err != nil {
				return writes, fmt.Errorf("members in %s: %w", id, err)
			}
		}
		if err := ms.describe(v, next); err != nil {
			return writes, fmt.Errorf("members in %s: %w", id, err)
		}
	}
	return writes, nil
}

// change changes one table, or makes another in its place.
func (ms *members) change(b *buckets, kind int, c memberChange, next int) (*buckets, error) {
	ipv6 := kind == members6 || kind == delegated6
	if b == nil {
		return newBuckets(ms.pool, &ms.uses, ipv6, c.added)
	}
	b.drain(next)
	for _, k := range c.removed {
		b.remove(k, next)
	}
	for i, e := range c.added {
		err := b.add(e.key, next, e.number)
		if errors.Is(err, errFull) {
			return newBuckets(ms.pool, &ms.uses, ipv6, append(b.entries(next), c.added[i:]...))
		}
		if err != nil {
			return b, err
		}
	}
	switch live := b.live[next]; {
	case live == 0:
		return nil, nil
	case live*100 < b.capacity()*leastLoad && b.count > leastBuckets:
		return newBuckets(ms.pool, &ms.uses, ipv6, b.entries(next))
	}
	return b, nil
}

// describe writes what the programs have to know of a domain's tables.
func (ms *members) describe(v *domain, next int) error {
	tables := v.tables[next]
	if tables == [domainTables]*buckets{} {
		v.line[next] = 0
		return nil
	}
	if tables != v.tables[1-next] {
		line, err := ms.pool.alloc(1)
		if err != nil {
			return err
		}
		*ms.pool.line(line) = guestLine{}
		v.line[next] = line
	}
	// In place, no more than a stash comes up, where the epoch that counts has nobody.
	line := ms.pool.line(v.line[next])
	for kind, b := range tables {
		if b != nil {
			copy(line.Words[4*kind:], []uint32{b.first, b.count, b.seed})
			atomic.StoreUint32(&line.Words[4*kind+3], b.stash) // after what it holds
		}
	}
	return nil
}

// settle makes both epochs say what one does. No packet may be in the other.
func (ms *members) settle(epoch int) {
	for v := range ms.dirty {
		for kind, b := range v.tables[epoch] {
			if other := v.tables[1-epoch][kind]; other != nil && other != b {
				other.release()
			}
			if b != nil {
				b.settle(epoch)
			}
		}
		v.tables[1-epoch] = v.tables[epoch]
		if v.line[1-epoch] != v.line[epoch] && v.line[1-epoch] != 0 {
			ms.pool.release(v.line[1-epoch], 1)
		}
		v.line[1-epoch] = v.line[epoch]
	}
	clear(ms.dirty)
}

// buildMembers writes who is in which set of groups.
func (d *Datapath) buildMembers(m ruleset.Members, patch *ruleset.MemberPatch) error {
	writes, err := d.members.build(d.appliedMembers, m, patch, 1-d.epoch(), d.tables.sets.groups)
	d.writes += writes
	return err
}

// changeOf is what a change does to the tables of a domain.
type changeOf [domainTables]memberChange

// difference collects what differs between two maps of members.
type difference struct {
	domains  map[vpc.VPCID]*changeOf
	numberOf func([]vpc.GroupID) uint32
	numbers  map[string]uint32 // by the groups' ids, each ended by a space
	name     []byte
	many     int // members that come, about
	seen     int // keeps addAll's looks

	// What the last member had: most have the same.
	groups []vpc.GroupID
	number uint32
	domain vpc.VPCID
	change *changeOf
}

// differences is what changes from old to now, by domain and table.
func differences(old, now ruleset.Members, patch *ruleset.MemberPatch, numberOf func([]vpc.GroupID) uint32) (map[vpc.VPCID]*changeOf, error) {
	d := difference{domains: map[vpc.VPCID]*changeOf{}, numberOf: numberOf, numbers: map[string]uint32{}}
	if ids, ok := patch.Between(old, now); ok {
		for _, id := range ids {
			was, before := old[id]
			is, after := now[id]
			if before && after && sameMember(was, is) {
				continue
			}
			if before {
				d.remove(was)
			}
			if after {
				if err := d.add(&is); err != nil {
					return nil, err
				}
			}
		}
		return d.domains, nil
	}
	d.many = max(0, len(now)-len(old))
	kept := 0
	come := make([]ruleset.Member, 0, 64)
	for id, m := range now {
		if was, ok := old[id]; ok {
			kept++
			if sameMember(was, m) {
				continue
			}
			d.remove(was)
		}
		if come = append(come, m); len(come) < cap(come) {
			continue
		}
		if err := d.addAll(come); err != nil {
			return nil, err
		}
		come = come[:0]
	}
	if err := d.addAll(come); err != nil {
		return nil, err
	}
	if kept < len(old) {
		for id, m := range old {
			if _, ok := now[id]; !ok {
				d.remove(m)
			}
		}
	}
	return d.domains, nil
}

func (d *difference) remove(m ruleset.Member) {
	for _, id := range m.Domains {
		c := d.of(id)
		for _, a := range m.Addresses {
			t := &c[formOf(a)]
			t.removed = append(t.removed, memberKeyOf(a))
		}
		for _, p := range m.Prefixes {
			t := &c[delegated4+formOf(p.Addr())]
			t.removed = append(t.removed, memberKeyOf(p.Addr()))
		}
	}
}

// addAll adds some. What they have is all over the memory of the agent: so many are waited for at once.
func (d *difference) addAll(list []ruleset.Member) error {
	for i := range list {
		if m := &list[i]; len(m.Addresses) > 0 && len(m.Domains) > 0 && len(m.Groups) > 0 {
			d.seen += m.Addresses[0].BitLen() + len(m.Domains[0]) + len(m.Groups[0])
		}
	}
	for i := range list {
		if err := d.add(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *difference) add(m *ruleset.Member) error {
	if d.number == 0 || !sameSlice(d.groups, m.Groups) {
		d.name = d.name[:0]
		for _, g := range m.Groups {
			d.name = append(append(d.name, g...), ' ')
		}
		number, ok := d.numbers[string(d.name)]
		if !ok {
			if number = d.numberOf(m.Groups); number > maxNumber {
				return fmt.Errorf("members are in more than %d sets of groups", maxNumber)
			}
			d.numbers[string(d.name)] = number
		}
		d.groups, d.number = m.Groups, number
	}
	for _, id := range m.Domains {
		c := d.of(id)
		for _, a := range m.Addresses {
			t := &c[formOf(a)]
			if t.added == nil && len(d.domains) == 1 { // of many, each has but a share
				t.added = make([]memberEntry, 0, d.many)
			}
			t.added = append(t.added, memberEntry{memberKeyOf(a), d.number})
		}
		for _, p := range m.Prefixes {
			if err := checkDelegated(p); err != nil {
				return fmt.Errorf("%s: %w", m.ID, err)
			}
			t := &c[delegated4+formOf(p.Addr())]
			t.added = append(t.added, memberEntry{memberKeyOf(p.Addr()), d.number})
		}
	}
	return nil
}

func (d *difference) of(id vpc.VPCID) *changeOf {
	if d.change == nil || d.domain != id {
		c := d.domains[id]
		if c == nil {
			c = &changeOf{}
			d.domains[id] = c
		}
		d.domain, d.change = id, c
	}
	return d.change
}

// formOf is the table of an address of its family.
func formOf(a netip.Addr) int {
	if a.Is4() {
		return members4
	}
	return members6
}

func sameMember(a, b ruleset.Member) bool {
	return sameSlice(a.Groups, b.Groups) && sameSlice(a.Addresses, b.Addresses) &&
		sameSlice(a.Prefixes, b.Prefixes) && sameSlice(a.Domains, b.Domains)
}

// sameSlice looks at the elements of two slices only if they are not one.
func sameSlice[T comparable](a, b []T) bool {
	return len(a) == len(b) && (unsafe.SliceData(a) == unsafe.SliceData(b) || slices.Equal(a, b))
}
