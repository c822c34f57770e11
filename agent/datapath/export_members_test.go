package datapath

import (
	"net/netip"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// MemberTables are the tables of members in a pool of their own, with an epoch of their own.
type MemberTables struct {
	ms      *members
	pool    Pool
	now     int
	old     ruleset.Members
	numbers map[string]uint32
}

// NewMemberTables makes empty tables.
func NewMemberTables(p Pool) *MemberTables {
	return &MemberTables{ms: newMembers(p.pool), pool: p, numbers: map[string]uint32{}}
}

// NumberOf is the number of a set of groups, a new one if it has none.
func (t *MemberTables) NumberOf(groups []vpc.GroupID) uint32 {
	name := setName(groups)
	if t.numbers[name] == 0 {
		t.numbers[name] = uint32(len(t.numbers)) + 1
	}
	return t.numbers[name]
}

// Build writes m to the idle epoch, and returns how much that was.
func (t *MemberTables) Build(m ruleset.Members) (int, error) {
	return t.ms.build(t.old, m, nil, 1-t.now, t.NumberOf)
}

// Patch is Build with what is known of the change.
func (t *MemberTables) Patch(m ruleset.Members, p *ruleset.MemberPatch) (int, error) {
	return t.ms.build(t.old, m, p, 1-t.now, t.NumberOf)
}

// Flip lets the idle epoch count, which says m.
func (t *MemberTables) Flip(m ruleset.Members) { t.now, t.old = 1-t.now, m }

// Settle ends a change, or what was built of one.
func (t *MemberTables) Settle() { t.ms.settle(t.now) }

// Epoch is the one that counts.
func (t *MemberTables) Epoch() int { return t.now }

// Used is how many lines there are.
func (t *MemberTables) Used() uint32 { return t.pool.used }

// UsesOf reports whether some member has the number of a set of groups.
func (t *MemberTables) UsesOf(groups []vpc.GroupID) bool { return t.ms.used(t.NumberOf(groups)) }

func (t *MemberTables) table(id vpc.VPCID, epoch int, a netip.Addr, delegated bool) *buckets {
	v := t.ms.domains[id]
	if v == nil {
		return nil
	}
	kind := members6
	if a.Is4() {
		kind = members4
	}
	if delegated {
		kind += delegated4
	}
	return v.tables[epoch][kind]
}

// Look is what an epoch says of an address or a delegated prefix, as the programs look: from the line of
// the domain, all places joined.
func (t *MemberTables) Look(id vpc.VPCID, epoch int, a netip.Addr, delegated bool) (number uint32) {
	line := t.ms.line(id, epoch)
	if line == 0 {
		return 0
	}
	kind := 0
	if !a.Is4() {
		kind++
	}
	if delegated {
		kind += 2
	}
	w := t.pool.line(line).Words[4*kind:]
	if w[0] == 0 {
		return 0
	}
	b := &buckets{pool: t.pool.pool, ipv6: !a.Is4(), first: w[0], count: w[1], seed: w[2], stash: w[3]}
	k := memberKeyOf(a)
	homes := b.homes(k)
	join := func(line uint32) {
		for way := range b.ways() {
			if at := (place{line, way}); b.key(at) == k {
				number |= b.number(at, epoch)
			}
		}
	}
	join(homes[0])
	join(homes[1])
	if number == 0 && b.stash != 0 {
		join(b.stash)
	}
	return number
}

// Stashed is how many addresses of one form stand in the stash of a domain.
func (t *MemberTables) Stashed(id vpc.VPCID, like netip.Addr) (n int) {
	b := t.table(id, t.now, like, false)
	if b == nil || b.stash == 0 {
		return 0
	}
	for way := range b.ways() {
		if b.number(place{b.stash, way}, t.now) != 0 {
			n++
		}
	}
	return n
}

// Buckets is the two buckets of an address in the epoch that counts, and where the table begins.
func (t *MemberTables) Buckets(id vpc.VPCID, a netip.Addr) (homes [2]uint32, first uint32) {
	b := t.table(id, t.now, a, false)
	return b.homes(memberKeyOf(a)), b.first
}

// Load is the share of the ways of a table that are taken.
func (t *MemberTables) Load(id vpc.VPCID, like netip.Addr) float64 {
	b := t.table(id, t.now, like, false)
	return float64(b.taken) / float64(b.capacity())
}

// Fill makes one table of addresses of one family, the number of each its place in the list and 1, and
// checks it. It returns the addresses that it does not find.
func Fill(p Pool, addresses []netip.Addr) (lost []netip.Addr, err error) {
	entries := make([]memberEntry, len(addresses))
	for i, a := range addresses {
		entries[i] = memberEntry{memberKeyOf(a), uint32(i)&maxNumber | 1}
	}
	var u uses
	b, err := newBuckets(p.pool, &u, !addresses[0].Is4(), entries)
	if err != nil {
		return nil, err
	}
	get := func(k memberKey, epoch int) uint32 {
		at, ok := b.find(k, epoch)
		if !ok {
			return 0
		}
		return b.number(at, epoch)
	}
	for i, e := range entries {
		if get(e.key, 0) != e.number || get(e.key, 1) != e.number {
			lost = append(lost, addresses[i])
		}
	}
	return lost, nil
}

// MemberTables are those that are in force.
func (d *Datapath) MemberTables() *MemberTables {
	d.settling.Wait()
	return &MemberTables{ms: d.members, pool: Pool{pool: d.pool}, now: d.epoch()}
}
