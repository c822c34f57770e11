package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) tagActions() {
	handle(a, wire.CreateTags, createTags)
	handle(a, wire.DeleteTags, deleteTags)
	handle(a, wire.DescribeTags, describeTags)
}

func createTags(c *call, in *wire.CreateTagsRequest) (*wire.CreateTagsResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) { return s.CreateTags(in.Resources, tags(in.Tags)) })
	return &wire.CreateTagsResult{}, err
}

func deleteTags(c *call, in *wire.DeleteTagsRequest) (*wire.DeleteTagsResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteTags(in.Resources, tags(in.Tags)) })
	return &wire.DeleteTagsResult{}, err
}

func describeTags(c *call, in *wire.DescribeTagsRequest) (*wire.DescribeTagsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeTags(vpc.TagQuery{
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeTagsResult{NextToken: token(next)}
	for _, t := range list {
		out.Tags = append(out.Tags, wire.TagDescription{
			Key: &t.Key, ResourceId: &t.Resource, ResourceType: &t.Type, Value: &t.Value,
		})
	}
	return out, nil
}
