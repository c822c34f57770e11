package datapath

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// lists is which set of prefix lists holds an address, once for all tables. It never changes.
type lists struct {
	trees guestAddressTrees
	block span
	sets  []uint32 // that it leads to
}

// buildLists writes which set of prefix lists holds an address.
func (d *Datapath) buildLists(of map[vpc.PrefixListID][]netip.Prefix) error {
	if d.applied != nil && maps.EqualFunc(d.applied.Lists, of, sameList) {
		return nil
	}
	ids := slices.Sorted(maps.Keys(of))
	ipv4, ipv6 := listRuns(ids, of)
	next := &lists{}
	var c cutter
	c.begin()
	d.flatten(&c.ipv4, ids, ipv4, next)
	d.flatten(&c.ipv6, ids, ipv6, next)
	var err error
	if next.trees, next.block, err = c.write(d.pool); err != nil {
		return err
	}
	d.lists[1-d.epoch()] = next
	d.state.Lists[1-d.epoch()] = next.trees
	d.writes++
	return nil
}

// sameList tells in no time that a list is the one that it was.
func sameList(a, b []netip.Prefix) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// flatten makes ranges of entries: each has the number of the set of lists that hold it.
func (d *Datapath) flatten(f *flat, ids []vpc.PrefixListID, entries []listEntry, into *lists) {
	type pair struct {
		above uint32
		list  int32
	}
	with := map[pair]uint32{} // number of a set and one list more
	f.ends, f.values = make([]point, 0, 2*len(entries)+1), make([]uint32, 0, 2*len(entries)+1)
	sets := d.tables.sets
	last, number := pair{list: -1}, uint32(0)
	for _, e := range entries {
		if at := (pair{f.above(e.first), e.list}); at != last {
			last = at
			var known bool
			if number, known = with[at]; !known {
				all := append(slices.Clone(sets.of[at.above].lists), ids[e.list])
				slices.Sort(all)
				number = sets.lists(slices.Compact(all))
				with[at] = number
				into.sets = append(into.sets, number)
			}
		}
		f.add(e.first, e.bits, number)
	}
}

// listEntry is a CIDR of the list at an index.
type listEntry struct {
	first point
	list  int32
	bits  uint8
}

// before is the order in which CIDRs are flattened: each before those that it holds.
func (e listEntry) before(other listEntry) bool {
	return e.first.less(other.first) || e.first == other.first && e.bits < other.bits
}

// listRuns returns the entries of all lists in order. Lists are sorted, as in a View, or else become so.
func listRuns(ids []vpc.PrefixListID, of map[vpc.PrefixListID][]netip.Prefix) (ipv4, ipv6 []listEntry) {
	var runs [2][]int // where each list begins
	four, all := 0, 0
	for _, id := range ids {
		all += len(of[id])
		for _, p := range of[id] {
			if p.Addr().Is4() {
				four++
			}
		}
	}
	ipv4, ipv6 = make([]listEntry, 0, four), make([]listEntry, 0, all-four)
	for i, id := range ids {
		runs[0], runs[1] = append(runs[0], len(ipv4)), append(runs[1], len(ipv6))
		for _, p := range of[id] {
			e := listEntry{first: firstPoint(p), list: int32(i), bits: uint8(p.Bits())}
			if p.Addr().Is4() {
				ipv4 = append(ipv4, e)
			} else {
				ipv6 = append(ipv6, e)
			}
		}
	}
	return mergeRuns(ipv4, runs[0]), mergeRuns(ipv6, runs[1])
}

func mergeRuns(entries []listEntry, starts []int) []listEntry {
	compare := func(a, b listEntry) int {
		switch {
		case a.before(b):
			return -1
		case b.before(a):
			return 1
		}
		return cmp.Compare(a.list, b.list)
	}
	for i, start := range starts {
		end := len(entries)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if run := entries[start:end]; !slices.IsSortedFunc(run, compare) {
			slices.SortFunc(run, compare)
		}
	}
	var into []listEntry
	if len(starts) > 1 {
		into = make([]listEntry, 0, len(entries))
	}
	for len(starts) > 1 {
		var merged []int
		into = into[:0]
		for i := 0; i < len(starts); i += 2 {
			merged = append(merged, len(into))
			middle, end := len(entries), len(entries)
			if i+1 < len(starts) {
				middle = starts[i+1]
			}
			if i+2 < len(starts) {
				end = starts[i+2]
			}
			a, b := entries[starts[i]:middle], entries[middle:end]
			for len(a) > 0 && len(b) > 0 {
				if b[0].before(a[0]) {
					into, b = append(into, b[0]), b[1:]
				} else {
					into, a = append(into, a[0]), a[1:]
				}
			}
			into = append(append(into, a...), b...)
		}
		entries, into, starts = into, entries, merged
	}
	return entries
}
