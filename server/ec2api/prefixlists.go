package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) prefixListActions() {
	handle(a, wire.CreateManagedPrefixList, createManagedPrefixList)
	handle(a, wire.ModifyManagedPrefixList, modifyManagedPrefixList)
	handle(a, wire.DeleteManagedPrefixList, deleteManagedPrefixList)
	handle(a, wire.RestoreManagedPrefixListVersion, restoreManagedPrefixListVersion)
	handle(a, wire.DescribeManagedPrefixLists, describeManagedPrefixLists)
	handle(a, wire.GetManagedPrefixListEntries, getManagedPrefixListEntries)
	handle(a, wire.GetManagedPrefixListAssociations, getManagedPrefixListAssociations)
	handle(a, wire.DescribePrefixLists, describePrefixLists)
}

func createManagedPrefixList(
	c *call, in *wire.CreateManagedPrefixListRequest,
) (*wire.CreateManagedPrefixListResult, error) {
	entries, err := prefixListEntries(in.Entries)
	if err != nil {
		return nil, err
	}
	var out *wire.CreateManagedPrefixListResult
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		l, change, err := s.CreatePrefixList(c.env, vpc.NewPrefixList{
			Name:              wire.Value(in.PrefixListName),
			Family:            wire.Value(in.AddressFamily),
			MaxEntries:        int(wire.Value(in.MaxEntries)),
			Entries:           entries,
			TagSpecifications: tagSpecifications(in.TagSpecifications),
			ClientToken:       wire.Value(in.ClientToken),
		})
		if err != nil {
			return change, err
		}
		out = &wire.CreateManagedPrefixListResult{PrefixList: managedPrefixList(s, l)}
		return change, nil
	})
	return out, err
}

func modifyManagedPrefixList(
	c *call, in *wire.ModifyManagedPrefixListRequest,
) (*wire.ModifyManagedPrefixListResult, error) {
	if err := refuseUnsupported(
		asked("ipamPrefixListResolverSyncEnabled", wire.Value(in.IpamPrefixListResolverSyncEnabled)),
	); err != nil {
		return nil, err
	}
	add, err := prefixListEntries(in.AddEntries)
	if err != nil {
		return nil, err
	}
	if in.RemoveEntries != nil && len(in.RemoveEntries) == 0 {
		return nil, errEmptyList()
	}
	change := vpc.PrefixListChange{
		Name:           wire.Value(in.PrefixListName),
		CurrentVersion: in.CurrentVersion,
		Add:            add,
	}
	for _, e := range in.RemoveEntries {
		change.Remove = append(change.Remove, wire.Value(e.Cidr))
	}
	if in.MaxEntries != nil {
		change.MaxEntries = new(int(*in.MaxEntries))
	}
	l, err := c.changePrefixList(func(s *vpc.State) (*vpc.PrefixList, vpc.Change, error) {
		return s.ModifyPrefixList(vpc.PrefixListID(wire.Value(in.PrefixListId)), change)
	})
	return &wire.ModifyManagedPrefixListResult{PrefixList: l}, err
}

func deleteManagedPrefixList(
	c *call, in *wire.DeleteManagedPrefixListRequest,
) (*wire.DeleteManagedPrefixListResult, error) {
	l, err := c.changePrefixList(func(s *vpc.State) (*vpc.PrefixList, vpc.Change, error) {
		return s.DeletePrefixList(vpc.PrefixListID(wire.Value(in.PrefixListId)))
	})
	if err != nil {
		return nil, err
	}
	l.State, l.StateMessage = new("delete-complete"), nil
	return &wire.DeleteManagedPrefixListResult{PrefixList: l}, nil
}

func restoreManagedPrefixListVersion(
	c *call, in *wire.RestoreManagedPrefixListVersionRequest,
) (*wire.RestoreManagedPrefixListVersionResult, error) {
	l, err := c.changePrefixList(func(s *vpc.State) (*vpc.PrefixList, vpc.Change, error) {
		return s.RestorePrefixListVersion(
			vpc.PrefixListID(wire.Value(in.PrefixListId)), wire.Value(in.PreviousVersion), wire.Value(in.CurrentVersion))
	})
	return &wire.RestoreManagedPrefixListVersionResult{PrefixList: l}, err
}

// changePrefixList writes what fn does to one list and returns the list as it will be.
func (c *call) changePrefixList(
	fn func(*vpc.State) (*vpc.PrefixList, vpc.Change, error),
) (out *wire.ManagedPrefixList, err error) {
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		l, change, err := fn(s)
		if err != nil {
			return change, err
		}
		out = managedPrefixList(s, l)
		return change, nil
	})
	return out, err
}

func describeManagedPrefixLists(
	c *call, in *wire.DescribeManagedPrefixListsRequest,
) (*wire.DescribeManagedPrefixListsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	lists, next, err := s.DescribePrefixLists(vpc.PrefixListQuery{
		IDs:     ids[vpc.PrefixListID](in.PrefixListIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeManagedPrefixListsResult{PrefixLists: []wire.ManagedPrefixList{}, NextToken: token(next)}
	for _, l := range lists {
		out.PrefixLists = append(out.PrefixLists, *managedPrefixList(s, l))
	}
	return out, nil
}

func getManagedPrefixListEntries(
	c *call, in *wire.GetManagedPrefixListEntriesRequest,
) (*wire.GetManagedPrefixListEntriesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	entries, next, err := s.PrefixListVersionEntries(
		vpc.PrefixListID(wire.Value(in.PrefixListId)), in.TargetVersion, page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &wire.GetManagedPrefixListEntriesResult{Entries: []wire.PrefixListEntry{}, NextToken: token(next)}
	for _, e := range entries {
		out.Entries = append(out.Entries, wire.PrefixListEntry{
			Cidr: new(e.CIDR.String()), Description: text(e.Description),
		})
	}
	return out, nil
}

func getManagedPrefixListAssociations(
	c *call, in *wire.GetManagedPrefixListAssociationsRequest,
) (*wire.GetManagedPrefixListAssociationsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	groups, next, err := s.PrefixListAssociations(
		vpc.PrefixListID(wire.Value(in.PrefixListId)), page(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &wire.GetManagedPrefixListAssociationsResult{
		PrefixListAssociations: []wire.PrefixListAssociation{}, NextToken: token(next),
	}
	for _, g := range groups {
		out.PrefixListAssociations = append(out.PrefixListAssociations, wire.PrefixListAssociation{
			ResourceId: text(g.ID), ResourceOwner: text(s.Installation().Account),
		})
	}
	return out, nil
}

// describePrefixLists is about the lists of AWS's services, which are not here.
func describePrefixLists(c *call, in *wire.DescribePrefixListsRequest) (*wire.DescribePrefixListsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := s.ServicePrefixLists(
		ids[vpc.PrefixListID](in.PrefixListIds), filters(in.Filters), page(in.MaxResults, in.NextToken),
	); err != nil {
		return nil, err
	}
	return &wire.DescribePrefixListsResult{}, nil
}

// prefixListEntries refuses a list that was sent empty: it is not the same as none.
func prefixListEntries(in []wire.AddPrefixListEntry) ([]vpc.NewPrefixListEntry, error) {
	if in != nil && len(in) == 0 {
		return nil, errEmptyList()
	}
	out := make([]vpc.NewPrefixListEntry, len(in))
	for i, e := range in {
		out[i] = vpc.NewPrefixListEntry{CIDR: wire.Value(e.Cidr), Description: wire.Value(e.Description)}
	}
	return out, nil
}

func errEmptyList() error {
	return vpc.Errorf(vpc.CodeInvalidRequest, "The request received was invalid.")
}

func managedPrefixList(s *vpc.State, l *vpc.PrefixList) *wire.ManagedPrefixList {
	family := "IPv4"
	if l.IPv6 {
		family = "IPv6"
	}
	return &wire.ManagedPrefixList{
		AddressFamily:  &family,
		MaxEntries:     new(int32(l.MaxEntries)),
		OwnerId:        text(s.Installation().Account),
		PrefixListArn:  text(s.PrefixListARN(l)),
		PrefixListId:   text(l.ID),
		PrefixListName: &l.Name,
		State:          text(s.PrefixListState(l)),
		StateMessage:   text(l.Failed),
		Tags:           tagSet(l.Tags),
		Version:        &l.Version,
	}
}
