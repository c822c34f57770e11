package vpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) newPrefixList(family string, most int, cidrs ...string) *vpc.PrefixList {
	a.t.Helper()
	l, c, err := a.CreatePrefixList(a.env, vpc.NewPrefixList{Name: "l", Family: family, MaxEntries: most, Entries: entries(cidrs...)})
	return made(a, l, c, err)
}

func entries(cidrs ...string) (out []vpc.NewPrefixListEntry) {
	for _, c := range cidrs {
		out = append(out, vpc.NewPrefixListEntry{CIDR: c})
	}
	return out
}

// modify changes a list at its present version.
func (a *account) modify(id vpc.PrefixListID, in vpc.PrefixListChange) error {
	in.CurrentVersion = &a.PrefixList(id).Version
	_, c, err := a.ModifyPrefixList(id, in)
	if err == nil {
		a.apply(c)
	}
	return err
}

// quota sets quotas as an operator does.
func (a *account) quota(name vpc.QuotaName, n int) {
	i := *a.Installation()
	i.Quotas = map[vpc.QuotaName]int{name: n}
	a.apply(vpc.Change{Puts: []vpc.Object{&i}})
}

func fromList(id vpc.PrefixListID) vpc.Permission {
	return permission("tcp", ports(443, 443), vpc.PermissionPeer{PrefixList: id})
}

// cidrsOf reads all pages of a version.
func (a *account) cidrsOf(id vpc.PrefixListID, version *int64, size *int32) (cidrs []string, pages int) {
	a.t.Helper()
	for p := (vpc.Page{Max: size}); ; pages++ {
		list, next, err := a.PrefixListVersionEntries(id, version, p)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, e := range list {
			cidrs = append(cidrs, e.CIDR.String())
		}
		if p.Token = next; next == "" {
			return cidrs, pages + 1
		}
	}
}

func TestPrefixListOfAThousandEntries(t *testing.T) {
	a := bootstrapped(t)
	l := a.newPrefixList("IPv4", 1000)
	var want []string
	for n := range 10 {
		var cidrs []string
		for i := range 100 {
			cidrs = append(cidrs, fmt.Sprintf("10.%d.%d.0/24", n, i))
		}
		if err := a.modify(l.ID, vpc.PrefixListChange{Add: entries(cidrs...)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, cidrs...)
	}
	if got := a.PrefixList(l.ID).Version; got != 11 {
		t.Errorf("version %d after ten changes, want 11", got)
	}
	for size, pages := range map[int32]int{0: 10, 100: 10, 7: 143, 1: 1000} {
		var most *int32 // 0: none is asked for
		if size > 0 {
			most = &size
		}
		if got, n := a.cidrsOf(l.ID, nil, most); !slices.Equal(got, want) || n != pages {
			t.Errorf("pages of %d: %d entries on %d pages, want 1000 on %d, in order", size, len(got), n, pages)
		}
	}
	if got, _ := a.cidrsOf(l.ID, new(int64(4)), nil); !slices.Equal(got, want[:300]) {
		t.Errorf("version 4 has %d entries, want the first 300", len(got))
	}
	refused(t, a.modify(l.ID, vpc.PrefixListChange{Add: entries("192.0.2.0/24")}),
		"PrefixListMaxEntriesExceeded: You've reached the maximum number of entries for the prefix list.")
	if err := a.modify(l.ID, vpc.PrefixListChange{Add: entries("192.0.2.0/24"), Remove: []string{"10.0.0.0/24"}}); err != nil {
		t.Errorf("one for another: %v", err)
	}
	refused(t, a.modify(l.ID, vpc.PrefixListChange{Remove: append(slices.Clone(want[1:101]), want[101])}),
		"InvalidParameterValue: The request cannot contain more than 100 entry additions or removals.")
	refused(t, a.modify(l.ID, vpc.PrefixListChange{Add: entries(want[:101]...)}),
		"InvalidParameterValue: The request cannot contain more than 100 entry additions or removals.")
}

func TestPrefixListKeepsItsVersions(t *testing.T) {
	a := bootstrapped(t)
	a.quota(vpc.VersionsPerPrefixList, 3)
	l := a.newPrefixList("IPv6", 9, "2001:db8::/48")
	for n := range 4 {
		if err := a.modify(l.ID, vpc.PrefixListChange{Add: entries(fmt.Sprintf("2001:db8:%d::/48", n+1))}); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.Count(vpc.KindPrefixListVersion); got != 3 {
		t.Errorf("%d versions are kept, want 3", got)
	}
	_, _, err := a.PrefixListVersionEntries(l.ID, new(int64(2)), vpc.Page{})
	refused(t, err, "InvalidParameterValue: The specified value for version is not valid. The prefix list has no version (2).")
	_, _, err = a.RestorePrefixListVersion(l.ID, 2, 5)
	refused(t, err, "InvalidParameterValue: The specified value for version is not valid. The prefix list has no version (2).")
	before, _ := a.cidrsOf(l.ID, new(int64(3)), nil)
	restored, c, err := a.RestorePrefixListVersion(l.ID, 3, 5)
	made(a, restored, c, err)
	if got, _ := a.cidrsOf(l.ID, nil, nil); !slices.Equal(got, before) || a.PrefixListState(restored) != "restore-complete" {
		t.Errorf("restored: got %v, %s, want %v", got, a.PrefixListState(restored), before)
	}
	a.quota(vpc.VersionsPerPrefixList, 1)
	if err := a.modify(l.ID, vpc.PrefixListChange{Remove: []string{"2001:db8::/48"}}); err != nil {
		t.Fatal(err)
	}
	if got := a.Count(vpc.KindPrefixListVersion); got != 1 {
		t.Errorf("%d versions are kept, want 1", got)
	}
	_, c, err = a.DeletePrefixList(l.ID)
	a.do(c, err)
	if a.Count(vpc.KindPrefixList) != 0 || a.Count(vpc.KindPrefixListVersion) != 0 {
		t.Error("something of the list is left")
	}
}

// A list that grows beyond what its groups have room for stays as it is, and says which they are.
func TestPrefixListGrowsOnlyWithItsGroups(t *testing.T) {
	a := bootstrapped(t)
	l := a.newPrefixList("IPv4", 50, "10.0.0.0/8")
	v := a.Installation().DefaultVPC
	fits := a.create(v, "fits")
	if _, err := a.authorize(fits.ID, false, fromList(l.ID)); err != nil {
		t.Fatal(err)
	}
	if err := a.modify(l.ID, vpc.PrefixListChange{MaxEntries: new(60)}); err != nil || a.PrefixList(l.ID).MaxEntries != 60 {
		t.Fatalf("grown to the quota: %v, %+v", err, a.PrefixList(l.ID))
	}
	if err := a.modify(l.ID, vpc.PrefixListChange{MaxEntries: new(50)}); err != nil {
		t.Fatal(err)
	}
	var full []string
	for n := range 12 {
		g := a.create(v, fmt.Sprint("full-", n))
		other := permission("tcp", ports(1, 9), ip4("192.0.2.0/24"))
		if _, err := a.authorize(g.ID, n%2 == 0, fromList(l.ID), other); err != nil {
			t.Fatal(err)
		}
		full = append(full, string(g.ID))
	}
	for range 9 { // the egress rules that groups begin with count, too
		if err := a.modify(l.ID, vpc.PrefixListChange{MaxEntries: new(a.PrefixList(l.ID).MaxEntries + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.PrefixListState(a.PrefixList(l.ID)); got != "modify-failed" {
		t.Errorf("state %s, want modify-failed: with 59 some groups have 61 egress rules", got)
	}
	before := a.PrefixList(l.ID)
	if before.MaxEntries != 58 {
		t.Errorf("the list has room for %d, want 58", before.MaxEntries)
	}
	if err := a.modify(l.ID, vpc.PrefixListChange{MaxEntries: new(60), Name: "new"}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(full)
	got := a.PrefixList(l.ID)
	if got.Name != "l" || got.MaxEntries != 58 || got.Version != 1 ||
		got.Failed != "The following resources do not support the new maximum number of entries: "+strings.Join(full[:10], ", ") {
		t.Errorf("got %+v, want the list as it was, naming ten of %v", got, full)
	}
	if err := a.modify(l.ID, vpc.PrefixListChange{Name: "new"}); err != nil || a.PrefixListState(a.PrefixList(l.ID)) != "modify-complete" {
		t.Errorf("after a failure: %v, %+v", err, a.PrefixList(l.ID))
	}
	_, _, err := a.DeletePrefixList(l.ID)
	refused(t, err, "DependencyViolation: resource "+string(l.ID)+" has a dependent object")
}

func TestPrefixListQuotas(t *testing.T) {
	a := bootstrapped(t)
	a.quota(vpc.PrefixListsPerRegion, 1)
	a.newPrefixList("IPv4", 1)
	_, _, err := a.CreatePrefixList(a.env, vpc.NewPrefixList{Name: "l", Family: "IPv4", MaxEntries: 1})
	refused(t, err, "ResourceLimitExceeded: The maximum number of prefix lists has been reached.")
	a.quota(vpc.EntriesPerPrefixList, 10)
	_, _, err = a.CreatePrefixList(a.env, vpc.NewPrefixList{Name: "l", Family: "IPv4", MaxEntries: 11})
	refused(t, err, "InvalidParameterValue: Value (11) for parameter maxEntries is invalid. It must be between 1 and 10.")
}

func TestPrefixListTexts(t *testing.T) {
	a := bootstrapped(t)
	long := strings.Repeat("ä", 256)
	_, _, err := a.CreatePrefixList(a.env, vpc.NewPrefixList{Name: long, Family: "IPv4", MaxEntries: 1})
	refused(t, err, "InvalidParameterValue: Value ("+long+") for parameter prefixListName is invalid. It may have 255 characters.")
	l := a.newPrefixList("IPv4", 1)
	refused(t, a.modify(l.ID, vpc.PrefixListChange{Add: []vpc.NewPrefixListEntry{{CIDR: "10.0.0.0/8", Description: long}}}),
		"InvalidParameterValue: Value ("+long+") for parameter description is invalid. It may have 255 characters.")
	for _, cidr := range []string{"10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "010.0.0.0/8", "::ffff:10.0.0.0/104", "fd00::/64", "", "10.0.0.0/08"} {
		refused(t, a.modify(l.ID, vpc.PrefixListChange{Add: entries(cidr)}), "InvalidParameterValue: The specified CIDR ("+cidr+
			") is not valid. For example, specify a CIDR in the following form: 10.0.0.0/16.")
	}
}
