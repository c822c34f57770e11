package ec2api

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) resourceActions() {
	handle(a, wire.SelectResources, selectResources)
	handle(a, wire.DescribeResourceValues, describeResourceValues)
	handle(a, wire.SearchResources, searchResources)
}

// How many results there are if no number is asked for.
const (
	resourcesPage = 100
	searchPage    = 50
)

func selectResources(c *call, in *wire.SelectResourcesRequest) (*wire.SelectResourcesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	found, err := s.SelectResources(vpc.ResourceQuery{
		Type:       wire.Value(in.ResourceType),
		Scope:      resourceFilters(in.Scope),
		Filters:    resourceFilters(in.Filters),
		Any:        wire.Value(in.Operation) == "or",
		SortBy:     wire.Value(in.SortBy),
		Descending: wire.Value(in.Descending),
		Offset:     int(wire.Value(in.Offset)),
		Max:        most(in.MaxResults, resourcesPage),
	})
	if err != nil {
		return nil, err
	}
	return &wire.SelectResourcesResult{
		ResourceIds: found.IDs, MatchedCount: new(int32(found.Matched)), TotalCount: new(int32(found.Total)), Revision: &c.revision,
	}, nil
}

func describeResourceValues(
	c *call, in *wire.DescribeResourceValuesRequest,
) (*wire.DescribeResourceValuesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	values, more, err := s.ResourceValues(vpc.ResourceValueQuery{
		Type:     wire.Value(in.ResourceType),
		Property: wire.Value(in.PropertyKey),
		Contains: wire.Value(in.Contains),
		Scope:    resourceFilters(in.Scope),
		Max:      most(in.MaxResults, resourcesPage),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeResourceValuesResult{Truncated: &more}
	for _, v := range values {
		out.Values = append(out.Values, wire.ResourceValue{Value: &v.Value, Count: new(int32(v.Count))})
	}
	return out, nil
}

func searchResources(c *call, in *wire.SearchResourcesRequest) (*wire.SearchResourcesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	found, err := s.Search(vpc.SearchQuery{
		Text: wire.Value(in.Query), Types: in.ResourceTypes, Max: most(in.MaxResults, searchPage),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.SearchResourcesResult{MatchedCount: new(int32(found.Matched)), Revision: &c.revision}
	for _, t := range slices.Sorted(maps.Keys(found.Counts)) {
		out.Counts = append(out.Counts, wire.SearchCount{ResourceType: &t, Count: new(int32(found.Counts[t]))})
	}
	for _, h := range found.Hits {
		w := wire.SearchHit{
			ResourceType: &h.Type, ResourceId: &h.ID, Name: text(h.Name), VpcId: text(h.VPC), Reason: text(h.Reason),
		}
		if h.Rule != nil {
			w.SecurityGroupRule, w.SecurityGroupName = new(securityGroupRule(s, *h.Rule)), &h.Rule.Group.Name
		}
		out.Hits = append(out.Hits, w)
	}
	return out, nil
}

func resourceFilters(in []wire.ResourceFilter) []vpc.ResourceFilter {
	out := make([]vpc.ResourceFilter, len(in))
	for i, f := range in {
		out[i] = vpc.ResourceFilter{
			Property: wire.Value(f.PropertyKey), Operator: wire.Value(f.Operator), Value: wire.Value(f.Value),
		}
	}
	return out
}

// most returns how many results are asked for.
func most(maxResults *int32, usual int) int {
	if maxResults == nil {
		return usual
	}
	return int(*maxResults)
}
