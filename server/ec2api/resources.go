package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) resourceActions() {
	handle(a, wire.SelectResources, selectResources)
	handle(a, wire.DescribeResourceValues, describeResourceValues)
}

const resourcesPage = 100 // if no size is asked for

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
