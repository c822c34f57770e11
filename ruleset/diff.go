package ruleset

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Diff returns the Delta that turns one View into another; from nil or at revision 0 gives a
// snapshot. What is removed is sorted. The Delta shares values with the Views.
func Diff(from, to *View) Delta {
	if from == nil || from.Revision == 0 {
		from = &View{}
	}
	d := Delta{From: from.Revision, To: to.Revision}
	d.ENIs, d.RemovedENIs = difference(from.ENIs, to.ENIs, sameENI)
	d.Groups, d.RemovedGroups = difference(from.Groups, to.Groups, sameGroup)
	d.Members, d.RemovedMembers = difference(from.Members, to.Members, sameMember)
	d.Lists, d.RemovedLists = difference(from.Lists, to.Lists, slices.Equal[[]netip.Prefix])
	return d
}

// Empty reports whether nothing changes but the revision.
func (d Delta) Empty() bool {
	return len(d.ENIs)+len(d.Groups)+len(d.Members)+len(d.Lists)+
		len(d.RemovedENIs)+len(d.RemovedGroups)+len(d.RemovedMembers)+len(d.RemovedLists) == 0
}

// Apply returns the next View; v, which may be nil for a snapshot, stays as it is. It refuses a
// Delta that starts at another revision, names a thing twice, or files one under a wrong name.
// Removing what is not there is no error.
func (v *View) Apply(d Delta) (*View, error) {
	if d.From == 0 {
		v = &View{} // a snapshot: what it does not name is gone
	} else if v == nil || v.Revision != d.From {
		var at int64
		if v != nil {
			at = v.Revision
		}
		return nil, fmt.Errorf("delta from revision %d to %d does not fit a view at %d", d.From, d.To, at)
	}
	n := &View{Revision: d.To}
	var err error
	if n.ENIs, err = patch(v.ENIs, d.ENIs, d.RemovedENIs, func(id vpc.InterfaceID, e ENI) bool { return e.ID == id }); err != nil {
		return nil, fmt.Errorf("interfaces of delta to revision %d: %w", d.To, err)
	}
	if n.Groups, err = patch(v.Groups, d.Groups, d.RemovedGroups, func(id vpc.GroupID, g Group) bool { return g.ID == id }); err != nil {
		return nil, fmt.Errorf("groups of delta to revision %d: %w", d.To, err)
	}
	if n.Members, err = patch(v.Members, d.Members, d.RemovedMembers, func(id vpc.InterfaceID, m Member) bool { return m.ID == id }); err != nil {
		return nil, fmt.Errorf("members of delta to revision %d: %w", d.To, err)
	}
	n.patch = &MemberPatch{v.Members, n.Members, slices.AppendSeq(slices.Clone(d.RemovedMembers), maps.Keys(d.Members))}
	anywhere := func(vpc.PrefixListID, []netip.Prefix) bool { return true } // a list does not say its id
	if n.Lists, err = patch(v.Lists, d.Lists, d.RemovedLists, anywhere); err != nil {
		return nil, fmt.Errorf("prefix lists of delta to revision %d: %w", d.To, err)
	}
	return n, nil
}

func difference[K ~string, V any](from, to map[K]V, same func(a, b V) bool) (changed map[K]V, removed []K) {
	for k, b := range to {
		if a, ok := from[k]; !ok || !same(a, b) {
			if changed == nil {
				changed = map[K]V{}
			}
			changed[k] = b
		}
	}
	for k := range from {
		if _, ok := to[k]; !ok {
			removed = append(removed, k)
		}
	}
	slices.Sort(removed)
	return changed, removed
}

func patch[K ~string, V any](old, changed map[K]V, removed []K, fits func(K, V) bool) (map[K]V, error) {
	if len(changed) == 0 && len(removed) == 0 && old != nil {
		return old, nil // immutable, so shared
	}
	n := maps.Clone(old)
	if n == nil {
		n = make(map[K]V, len(changed))
	}
	for k, v := range changed {
		if !fits(k, v) {
			return nil, fmt.Errorf("what is filed under %q has another id", k)
		}
		n[k] = v
	}
	seen := make(map[K]bool, len(removed))
	for _, k := range removed {
		if _, ok := changed[k]; ok {
			return nil, fmt.Errorf("%q is both changed and removed", k)
		}
		if seen[k] {
			return nil, fmt.Errorf("%q is removed twice", k)
		}
		seen[k] = true
		delete(n, k)
	}
	return n, nil
}

func sameENI(a, b ENI) bool {
	return a.ID == b.ID && a.Domain == b.Domain && a.MAC == b.MAC &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Routers, b.Routers) &&
		slices.Equal(a.Groups, b.Groups) && a.SourceDestCheck == b.SourceDestCheck &&
		a.Timeouts == b.Timeouts && a.Observe.Equal(b.Observe)
}

func sameGroup(a, b Group) bool { return a.ID == b.ID && slices.EqualFunc(a.Rules, b.Rules, sameRule) }

func sameMember(a, b Member) bool {
	return a.ID == b.ID && slices.Equal(a.Domains, b.Domains) &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Groups, b.Groups)
}

// sameRule compares what packets can depend on.
func sameRule(a, b vpc.Rule) bool {
	return a.ID == b.ID && a.Number == b.Number && a.Egress == b.Egress &&
		a.Protocol == b.Protocol && a.From == b.From && a.To == b.To && a.Peer == b.Peer
}
