package vpc_test

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// prefixListStep takes an action that has to do with prefix lists.
func (w *walk) prefixListStep(g vpc.GroupID) (string, vpc.Change, error) {
	lists := slices.Collect(w.PrefixLists())
	id := pick(w, lists, func(l *vpc.PrefixList) vpc.PrefixListID { return l.ID }, "pl-12345678")
	version := int64(1)
	if l := w.PrefixList(id); l != nil {
		version = l.Version - int64(w.r.IntN(20)/19) // seldom an old one
	}
	cidr := func() string { return fmt.Sprintf("10.%d.0.0/16", w.r.IntN(6)) }
	switch w.r.IntN(8) {
	case 0:
		_, c, err := w.CreatePrefixList(w.env, vpc.NewPrefixList{
			Name: "l", Family: []string{"IPv4", "IPv6"}[w.r.IntN(8)/7], MaxEntries: 1 + w.r.IntN(25),
			Entries: []vpc.NewPrefixListEntry{{CIDR: cidr()}},
		})
		return "create list", c, err
	case 1:
		_, c, err := w.DeletePrefixList(id)
		return "delete list", c, err
	case 2:
		_, c, err := w.RestorePrefixListVersion(id, version-int64(w.r.IntN(4)), version)
		return "restore list", c, err
	case 3:
		_, c, err := w.ModifyPrefixList(id, vpc.PrefixListChange{MaxEntries: new(w.r.IntN(40)), Name: fmt.Sprint("l", w.r.IntN(3))})
		return "resize list", c, err
	case 4:
		_, _, c, err := w.AuthorizeSecurityGroup(w.env, vpc.NewRules{
			Group: vpc.GroupRef{ID: g}, Egress: w.r.IntN(2) == 0,
			Permissions: []vpc.Permission{permission("-1", nil, vpc.PermissionPeer{PrefixList: id})},
		})
		return "name list", c, err
	case 5:
		_, c, err := w.RevokeSecurityGroup(vpc.OldRules{
			Group: vpc.GroupRef{ID: g}, Egress: w.r.IntN(2) == 0,
			Permissions: []vpc.Permission{permission("-1", nil, vpc.PermissionPeer{PrefixList: id})},
		})
		return "no longer name list", c, err
	default:
		in := vpc.PrefixListChange{CurrentVersion: &version}
		for range w.r.IntN(3) {
			in.Add = append(in.Add, vpc.NewPrefixListEntry{CIDR: cidr(), Description: fmt.Sprint(w.r.IntN(3))})
		}
		for range w.r.IntN(2) {
			in.Remove = append(in.Remove, cidr())
		}
		_, c, err := w.ModifyPrefixList(id, in)
		return "modify list", c, err
	}
}

// prefixListInvariants returns what is wrong with the prefix lists of a State.
func prefixListInvariants(s *vpc.State) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	versions := 0
	for l := range s.PrefixLists() {
		kept := int(l.Version - l.Oldest + 1)
		if versions += kept; l.Oldest < 1 || kept < 1 || kept > s.Quota(vpc.VersionsPerPrefixList) {
			bad("%s keeps versions %d to %d", l.ID, l.Oldest, l.Version)
		}
		for n := l.Oldest; n <= l.Version; n++ {
			if s.Get((&vpc.PrefixListVersion{List: l.ID, Number: n}).Key()) == nil {
				bad("%s has no version %d", l.ID, n)
			}
		}
		entries := s.PrefixListEntries(l.ID)
		if len(entries) > l.MaxEntries {
			bad("%s has %d entries of %d", l.ID, len(entries), l.MaxEntries)
		}
		for i, e := range entries {
			if e.CIDR != e.CIDR.Masked() || e.CIDR.Addr().Is6() != l.IPv6 || i > 0 && entries[i-1].CIDR.Compare(e.CIDR) >= 0 {
				bad("%s has the entry %s after %v", l.ID, e.CIDR, entries[:i])
			}
		}
	}
	if n := s.Count(vpc.KindPrefixListVersion); n != versions {
		bad("there are %d versions, the lists have %d", n, versions)
	}
	for g := range s.SecurityGroups() {
		weight := map[bool]int{} // by direction; this walk knows only one family of peers with weight
		for _, r := range g.Rules {
			if id := r.Peer.PrefixList; id != "" {
				if l := s.PrefixList(id); l == nil {
					bad("%s names %s, which is gone", r.ID, id)
				} else if !l.IPv6 {
					weight[r.Egress] += l.MaxEntries
				}
			}
		}
		if most := s.Quota(vpc.RulesPerSecurityGroup); weight[false] > most || weight[true] > most {
			bad("%s has lists of %v, more than %d", g.ID, weight, most)
		}
	}
	return wrong
}
