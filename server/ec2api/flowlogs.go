package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) flowLogActions() {
	handle(a, wire.CreateFlowLogs, createFlowLogs)
	handle(a, wire.DeleteFlowLogs, deleteFlowLogs)
	handle(a, wire.DescribeFlowLogs, describeFlowLogs)
}

// createFlowLogs writes nothing: see vpc.State.CreateFlowLogs.
func createFlowLogs(c *call, in *wire.CreateFlowLogsRequest) (*wire.CreateFlowLogsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	asked := vpc.NewFlowLogs{
		Resources:              in.ResourceIds,
		ResourceType:           wire.Value(in.ResourceType),
		TrafficType:            wire.Value(in.TrafficType),
		DestinationType:        wire.Value(in.LogDestinationType),
		Destination:            wire.Value(in.LogDestination),
		LogGroup:               wire.Value(in.LogGroupName),
		PermissionARN:          wire.Value(in.DeliverLogsPermissionArn),
		Format:                 wire.Value(in.LogFormat),
		MaxAggregationInterval: in.MaxAggregationInterval,
		TagSpecifications:      tagSpecifications(in.TagSpecifications),
	}
	if o := in.DestinationOptions; o != nil {
		asked.FileFormat = wire.Value(o.FileFormat)
	}
	items, err := s.CreateFlowLogs(asked)
	if err != nil {
		return nil, err
	}
	return &wire.CreateFlowLogsResult{ClientToken: in.ClientToken, Unsuccessful: unsuccessful(items)}, nil
}

func deleteFlowLogs(c *call, in *wire.DeleteFlowLogsRequest) (*wire.DeleteFlowLogsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	items, err := s.DeleteFlowLogs(in.FlowLogIds)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteFlowLogsResult{Unsuccessful: unsuccessful(items)}, nil
}

func describeFlowLogs(c *call, in *wire.DescribeFlowLogsRequest) (*wire.DescribeFlowLogsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	return &wire.DescribeFlowLogsResult{}, s.DescribeFlowLogs(vpc.FlowLogQuery{
		IDs: in.FlowLogIds, Filters: filters(in.Filter), Page: page(in.MaxResults, in.NextToken),
	})
}

func unsuccessful(items []vpc.Unsuccessful) []wire.UnsuccessfulItem {
	out := make([]wire.UnsuccessfulItem, len(items))
	for i, item := range items {
		out[i] = wire.UnsuccessfulItem{
			ResourceId: &item.Resource,
			Error:      &wire.UnsuccessfulItemError{Code: text(item.Error.Code), Message: &item.Error.Message},
		}
	}
	return out
}
