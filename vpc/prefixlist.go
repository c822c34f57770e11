package vpc

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of prefix lists that no operator sets. Source: EC2 API reference, CreateManagedPrefixList.
const (
	maxEntriesOfCall       = 100 // additions, and removals
	maxPrefixListText      = 255 // characters of a name or of an entry's description
	reservedPrefixListName = "com.amazonaws"
	maxNamedInMessage      = 10 // resources that a state message lists
)

// NewPrefixListEntry is an entry as a client writes it.
type NewPrefixListEntry struct {
	CIDR        string // without host bits, of the list's family
	Description string
}

// NewPrefixList is what CreateManagedPrefixList is told.
type NewPrefixList struct {
	Name              string
	Family            string // IPv4 or IPv6
	MaxEntries        int
	Entries           []NewPrefixListEntry
	TagSpecifications []TagSpecification
	ClientToken       string // "": none
}

// CreatePrefixList makes a list at version 1. The same ClientToken with the same request returns the
// list that it made the first time.
func (s *State) CreatePrefixList(env Env, in NewPrefixList) (*PrefixList, Change, error) {
	fail := func(err error) (*PrefixList, Change, error) { return nil, Change{}, err }
	hash := requestHash(in)
	if in.ClientToken != "" {
		if made := s.PrefixList(PrefixListID(s.one(byClientToken, string(KindPrefixList)+"/"+in.ClientToken))); made != nil {
			if made.TokenHash != hash {
				return fail(errTokenReused())
			}
			return made, Change{}, nil
		}
	}
	tags, err := specifiedTags(in.TagSpecifications, "prefix-list")
	if err != nil {
		return fail(err)
	}
	if err := validPrefixListName(in.Name); err != nil {
		return fail(err)
	}
	if in.Family != "IPv4" && in.Family != "IPv6" {
		return fail(errValue(in.Family, "addressFamily"))
	}
	if err := s.validMaxEntries(in.MaxEntries); err != nil {
		return fail(err)
	}
	l := &PrefixList{
		ID: PrefixListID(env.ID("pl")), Created: env.Now, Name: in.Name, IPv6: in.Family == "IPv6",
		MaxEntries: in.MaxEntries, Version: 1, Oldest: 1, Tags: tags["prefix-list"],
	}
	entries, err := l.edited(nil, in.Entries, nil)
	if err != nil {
		return fail(err)
	}
	if s.Count(KindPrefixList) >= s.Quota(PrefixListsPerRegion) {
		return fail(Errorf(CodeResourceLimitExceeded, "The maximum number of prefix lists has been reached."))
	}
	if in.ClientToken != "" {
		l.ClientToken, l.TokenHash = in.ClientToken, hash
	}
	d := s.draft()
	d.put(l, &PrefixListVersion{List: l.ID, Number: 1, Entries: entries})
	return l, d.change(), nil
}

// PrefixListChange is what ModifyManagedPrefixList is told.
type PrefixListChange struct {
	Name           string // "": as it is
	MaxEntries     *int   // nil: as it is
	CurrentVersion *int64 // that the caller saw: needed to change entries
	Add            []NewPrefixListEntry
	Remove         []string // CIDRs
}

// ModifyPrefixList changes a list's entries, which makes a new version, or its name and size, which
// does not. Adding a CIDR that is there sets its description. If a group that names the list has no
// room for the new size, the list stays as it is, but for its state: modify-failed, with the reason.
func (s *State) ModifyPrefixList(id PrefixListID, in PrefixListChange) (*PrefixList, Change, error) {
	fail := func(err error) (*PrefixList, Change, error) { return nil, Change{}, err }
	old, err := s.findPrefixList(id)
	if err != nil {
		return fail(err)
	}
	edits := len(in.Add)+len(in.Remove) > 0
	switch {
	case edits && in.MaxEntries != nil:
		return fail(Errorf(CodeInvalidParameterCombination,
			"You cannot modify the entries and the maximum number of entries for the prefix list in the same request."))
	case edits && in.CurrentVersion == nil:
		return fail(errMissing("CurrentVersion"))
	case !edits && in.MaxEntries == nil && in.Name == "":
		return fail(Errorf(CodeInvalidPrefixListModification, "The request does not modify the prefix list."))
	}
	if in.CurrentVersion != nil {
		if err := old.mustBeAt(*in.CurrentVersion); err != nil {
			return fail(err)
		}
	}
	l := *old
	l.Modified, l.Restored, l.Failed = true, false, ""
	if in.Name != "" {
		if err := validPrefixListName(in.Name); err != nil {
			return fail(err)
		}
		l.Name = in.Name
	}
	d := s.draft()
	if edits {
		entries, err := old.edited(s.PrefixListEntries(id), in.Add, in.Remove)
		if err != nil {
			return fail(err)
		}
		d.newVersion(&l, entries)
	}
	if in.MaxEntries != nil {
		if err := s.validMaxEntries(*in.MaxEntries); err != nil {
			return fail(err)
		}
		if len(s.PrefixListEntries(id)) > *in.MaxEntries {
			return fail(errTooManyEntries())
		}
		l.MaxEntries = *in.MaxEntries
	}
	d.put(&l)
	if l.MaxEntries > old.MaxEntries {
		if full := d.groupsOverQuota(id); len(full) > 0 {
			failed := *old
			failed.Modified, failed.Restored = true, false
			failed.Failed = fmt.Sprintf("The following resources do not support the new maximum number of entries: %s",
				strings.Join(full[:min(len(full), maxNamedInMessage)], ", "))
			d = s.draft()
			d.put(&failed)
			return &failed, d.change(), nil
		}
	}
	return &l, d.change(), nil
}

// groupsOverQuota returns the ids of the groups that a list makes too large.
func (d *draft) groupsOverQuota(id PrefixListID) []string {
	var full []string
	for g := range d.GroupsNamingPrefixList(id) {
		others := slices.DeleteFunc(slices.Clone(g.Rules), func(r Rule) bool { return r.Peer.PrefixList == id })
		if d.underRuleQuota(others, g.Rules, false) != nil || d.underRuleQuota(others, g.Rules, true) != nil {
			full = append(full, string(g.ID))
		}
	}
	return full
}

// RestorePrefixListVersion makes a new version with the entries of an earlier one.
func (s *State) RestorePrefixListVersion(id PrefixListID, previous, current int64) (*PrefixList, Change, error) {
	fail := func(err error) (*PrefixList, Change, error) { return nil, Change{}, err }
	old, err := s.findPrefixList(id)
	if err != nil {
		return fail(err)
	}
	if err := old.mustBeAt(current); err != nil {
		return fail(err)
	}
	v, err := s.prefixListVersion(old, previous)
	if err != nil {
		return fail(err)
	}
	if previous == current {
		return fail(Errorf(CodeInvalidPrefixListModification, "The version (%d) is the current version of the prefix list.", previous))
	}
	if len(v.Entries) > old.MaxEntries {
		return fail(errTooManyEntries())
	}
	l := *old
	l.Modified, l.Restored, l.Failed = false, true, ""
	d := s.draft()
	d.newVersion(&l, v.Entries)
	d.put(&l)
	return &l, d.change(), nil
}

// newVersion gives a list entries and forgets the versions that are beyond the quota. The list itself
// is the caller's to put.
func (d *draft) newVersion(l *PrefixList, entries []PrefixListEntry) {
	l.Version++
	d.put(&PrefixListVersion{List: l.ID, Number: l.Version, Entries: entries})
	for keep := int64(max(d.Quota(VersionsPerPrefixList), 1)); l.Version-l.Oldest >= keep; l.Oldest++ {
		d.delete(Key{KindPrefixListVersion, prefixListVersionID(l.ID, l.Oldest)})
	}
}

// DeletePrefixList deletes a list with all its versions, if no rule names it.
func (s *State) DeletePrefixList(id PrefixListID) (*PrefixList, Change, error) {
	l, err := s.findPrefixList(id)
	if err != nil {
		return nil, Change{}, err
	}
	for range s.GroupsNamingPrefixList(id) {
		return nil, Change{}, Errorf(CodeDependencyViolation, "resource %s has a dependent object", id)
	}
	d := s.draft()
	for n := l.Oldest; n <= l.Version; n++ {
		d.delete(Key{KindPrefixListVersion, prefixListVersionID(id, n)})
	}
	d.delete(l.Key())
	return l, d.change(), nil
}

// PrefixListState returns EC2's word for the state of a list. Changes are done when they are answered,
// so none is in progress.
func (s *State) PrefixListState(l *PrefixList) string {
	action := "create"
	switch {
	case l.Restored:
		action = "restore"
	case l.Modified:
		action = "modify"
	}
	if l.Failed != "" {
		return action + "-failed"
	}
	return action + "-complete"
}

// PrefixListARN returns the ARN of a list.
func (s *State) PrefixListARN(l *PrefixList) string { return s.arn("prefix-list", string(l.ID)) }

// edited returns the entries of a list with some removed and some added, sorted.
func (l *PrefixList) edited(now []PrefixListEntry, add []NewPrefixListEntry, remove []string) ([]PrefixListEntry, error) {
	if len(add) > maxEntriesOfCall || len(remove) > maxEntriesOfCall {
		return nil, Errorf(CodeInvalidParameterValue,
			"The request cannot contain more than %d entry additions or removals.", maxEntriesOfCall)
	}
	entries := make(map[netip.Prefix]string, len(now)+len(add)) // CIDR → description
	for _, e := range now {
		entries[e.CIDR] = e.Description
	}
	said := map[netip.Prefix]bool{}
	for _, text := range remove {
		c, err := l.parseCIDR(text)
		if err != nil {
			return nil, err
		}
		if said[c] {
			return nil, errEntryTwice(text)
		}
		said[c] = true
		if _, ok := entries[c]; !ok {
			return nil, Errorf(CodeInvalidPrefixListModification, "An entry with the CIDR (%s) does not exist.", text)
		}
		delete(entries, c)
	}
	added := map[netip.Prefix]bool{}
	for _, e := range add {
		c, err := l.parseCIDR(e.CIDR)
		if err != nil {
			return nil, err
		}
		if utf8.RuneCountInString(e.Description) > maxPrefixListText {
			return nil, Errorf(CodeInvalidParameterValue,
				"Value (%s) for parameter description is invalid. It may have %d characters.", e.Description, maxPrefixListText)
		}
		switch description, ok := entries[c]; {
		case said[c]:
			return nil, Errorf(CodeInvalidParameterValue,
				"Request cannot contain Cidr %s in both AddPrefixListEntries and RemovePrefixListEntries", e.CIDR)
		case added[c]:
			return nil, errEntryTwice(e.CIDR)
		case ok && description == e.Description:
			return nil, Errorf(CodeInvalidPrefixListModification,
				"An entry with the CIDR (%s) and description (%s) already exists.", e.CIDR, e.Description)
		}
		added[c] = true
		entries[c] = e.Description
	}
	if len(entries) > l.MaxEntries {
		return nil, errTooManyEntries()
	}
	out := make([]PrefixListEntry, 0, len(entries))
	for c, description := range entries {
		out = append(out, PrefixListEntry{c, description})
	}
	slices.SortFunc(out, func(a, b PrefixListEntry) int { return a.CIDR.Compare(b.CIDR) })
	return out, nil
}

// parseCIDR reads an entry of the list. Unlike a rule's, it may have no host bits.
func (l *PrefixList) parseCIDR(s string) (netip.Prefix, error) {
	c, err := netip.ParsePrefix(s)
	if err != nil || c != c.Masked() || c.Addr().Is4In6() || c.Addr().Is6() != l.IPv6 {
		return netip.Prefix{}, Errorf(CodeInvalidParameterValue,
			"The specified CIDR (%s) is not valid. For example, specify a CIDR in the following form: %s.", s, l.exampleCIDR())
	}
	return c, nil
}

func (l *PrefixList) exampleCIDR() string {
	if l.IPv6 {
		return "2001:db8::/32"
	}
	return "10.0.0.0/16"
}

// mustBeAt refuses a version that is not the current one.
func (l *PrefixList) mustBeAt(version int64) error {
	if version < 1 {
		return Errorf(CodeInvalidParameterValue, "The specified value for version is not valid. The value must be greater than (1).")
	}
	if version != l.Version {
		return Errorf(CodePrefixListVersionMismatch, "The prefix list has the incorrect version number.")
	}
	return nil
}

func (s *State) validMaxEntries(n int) error {
	if most := s.Quota(EntriesPerPrefixList); n < 1 || n > most {
		return Errorf(CodeInvalidParameterValue,
			"Value (%d) for parameter maxEntries is invalid. It must be between 1 and %d.", n, most)
	}
	return nil
}

func validPrefixListName(name string) error {
	switch {
	case name == "":
		return errMissing("PrefixListName")
	case strings.HasPrefix(name, reservedPrefixListName):
		return Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter prefixListName is invalid. The name cannot start with %s.", name, reservedPrefixListName)
	case utf8.RuneCountInString(name) > maxPrefixListText:
		return Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter prefixListName is invalid. It may have %d characters.", name, maxPrefixListText)
	}
	return nil
}

func errEntryTwice(cidr string) *Error {
	return Errorf(CodeInvalidParameterValue, "The request contains the CIDR (%s) more than once.", cidr)
}

func errTooManyEntries() *Error {
	return Errorf(CodePrefixListMaxEntriesExceeded, "You've reached the maximum number of entries for the prefix list.")
}

// findPrefixList returns the list with that id, or InvalidPrefixListId.Malformed or
// InvalidPrefixListID.NotFound.
func (s *State) findPrefixList(id PrefixListID) (*PrefixList, error) {
	if _, err := ParsePrefixListID(string(id)); err != nil {
		return nil, err
	}
	if l := s.PrefixList(id); l != nil {
		return l, nil
	}
	return nil, errNoPrefixList(id)
}

func errNoPrefixList(id PrefixListID) *Error {
	return Errorf(CodeInvalidPrefixListIDNotFound, "The prefix list ID '%s' does not exist", id)
}

// prefixListVersion returns a version of a list that is kept.
func (s *State) prefixListVersion(l *PrefixList, number int64) (*PrefixListVersion, error) {
	v := get[PrefixListVersion](s, KindPrefixListVersion, prefixListVersionID(l.ID, number))
	if number < 1 || v == nil {
		return nil, Errorf(CodeInvalidParameterValue,
			"The specified value for version is not valid. The prefix list has no version (%d).", number)
	}
	return v, nil
}
