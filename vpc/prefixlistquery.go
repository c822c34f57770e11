package vpc

import (
	"fmt"
	"slices"
)

const prefixListEntriesPage = 100 // of GetManagedPrefixListEntries, if no size is asked for

// PrefixListQuery selects lists: those with the ids, or all, that pass the filters.
type PrefixListQuery struct {
	IDs     []PrefixListID
	Filters []Filter
	Page    Page // of 1 to 100
}

// DescribePrefixLists returns the managed lists in order of creation and the token of the next page.
// An unknown id fails the whole call.
func (s *State) DescribePrefixLists(q PrefixListQuery) ([]*PrefixList, string, error) {
	match, err := prefixListFields.Where(s, q.Filters, func(l *PrefixList) Tags { return l.Tags })
	if err != nil {
		return nil, "", err
	}
	lists, err := asked(q.IDs, s.PrefixLists(), s.findPrefixList, match)
	if err != nil {
		return nil, "", err
	}
	q.Page.Least = 1
	return paginate(lists, "prefix-list", func(l *PrefixList) string { return createdKey(l.Created, l.ID) }, q.Page)
}

var prefixListFields = Fields[*PrefixList]{
	"owner-id":         func(s *State, _ *PrefixList) []string { return []string{string(s.Installation().Account)} },
	"prefix-list-id":   func(_ *State, l *PrefixList) []string { return []string{string(l.ID)} },
	"prefix-list-name": func(_ *State, l *PrefixList) []string { return []string{l.Name} },
}

// PrefixListVersionEntries returns the entries of a version, nil for the current one, in order of
// their CIDRs, and the token of the next page.
func (s *State) PrefixListVersionEntries(id PrefixListID, version *int64, p Page) ([]PrefixListEntry, string, error) {
	l, err := s.findPrefixList(id)
	if err != nil {
		return nil, "", err
	}
	number := l.Version
	if version != nil {
		number = *version
	}
	v, err := s.prefixListVersion(l, number)
	if err != nil {
		return nil, "", err
	}
	if p.Max == nil {
		p.Max = new(int32(prefixListEntriesPage))
	}
	p.Least = 1
	key := func(e PrefixListEntry) string { return fmt.Sprintf("%x/%03d", e.CIDR.Addr().AsSlice(), e.CIDR.Bits()) }
	return paginate(v.Entries, "prefix-list-entry "+string(id), key, p)
}

// PrefixListAssociations returns the groups with a rule that names a list, in order of creation, and
// the token of the next page.
func (s *State) PrefixListAssociations(id PrefixListID, p Page) ([]*SecurityGroup, string, error) {
	if _, err := s.findPrefixList(id); err != nil {
		return nil, "", err
	}
	groups := slices.Collect(s.GroupsNamingPrefixList(id))
	key := func(g *SecurityGroup) string { return createdKey(g.Created, g.ID) }
	return paginate(groups, "prefix-list-association "+string(id), key, p)
}

// ServicePrefixLists answers DescribePrefixLists: the lists of AWS's own services, of which there are
// none here.
func (s *State) ServicePrefixLists(ids []PrefixListID, filters []Filter, p Page) error {
	if _, err := servicePrefixListFields.Where(s, filters, nil); err != nil {
		return err
	}
	if _, _, err := paginate([]*PrefixList(nil), "service-prefix-list", nil, p); err != nil {
		return err
	}
	if len(ids) > 0 {
		if _, err := ParsePrefixListID(string(ids[0])); err != nil {
			return err
		}
		return errNoPrefixList(ids[0])
	}
	return nil
}

var servicePrefixListFields = Fields[*PrefixList]{
	"prefix-list-id":   prefixListFields["prefix-list-id"],
	"prefix-list-name": prefixListFields["prefix-list-name"],
}
