package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) routeActions() {
	handle(a, wire.DescribeInternetGateways, describeInternetGateways)
	handle(a, wire.DescribeNetworkAcls, describeNetworkAcls)
	handle(a, wire.DescribeRouteTables, describeRouteTables)
}

func describeInternetGateways(
	c *call, in *wire.DescribeInternetGatewaysRequest,
) (*wire.DescribeInternetGatewaysResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	return &wire.DescribeInternetGatewaysResult{}, s.CheckInternetGateways(vpc.InternetGatewayQuery{
		IDs:     in.InternetGatewayIds,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
}

func describeRouteTables(c *call, in *wire.DescribeRouteTablesRequest) (*wire.DescribeRouteTablesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeRouteTables(vpc.RouteTableQuery{
		IDs:     in.RouteTableIds,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeRouteTablesResult{NextToken: token(next)}
	for _, t := range list {
		w := wire.RouteTable{
			Associations: []wire.RouteTableAssociation{{
				AssociationState:        &wire.RouteTableAssociationState{State: new("associated")},
				Main:                    new(true),
				RouteTableAssociationId: text(t.Association),
				RouteTableId:            &t.ID,
			}},
			OwnerId:      text(s.Installation().Account),
			RouteTableId: &t.ID,
			VpcId:        text(t.VPC.ID),
		}
		for _, r := range t.Routes {
			route := wire.Route{
				GatewayId:              text(r.Gateway()),
				Origin:                 text(r.Origin()),
				State:                  new("active"),
				VpcPeeringConnectionId: text(r.Peering),
			}
			if destination := text(r.Destination.String()); r.Destination.Addr().Is4() {
				route.DestinationCidrBlock = destination
			} else {
				route.DestinationIpv6CidrBlock = destination
			}
			w.Routes = append(w.Routes, route)
		}
		out.RouteTables = append(out.RouteTables, w)
	}
	return out, nil
}

func describeNetworkAcls(c *call, in *wire.DescribeNetworkAclsRequest) (*wire.DescribeNetworkAclsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeNetworkACLs(vpc.NetworkACLQuery{
		IDs:     in.NetworkAclIds,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkAclsResult{NextToken: token(next)}
	for _, a := range list {
		w := wire.NetworkAcl{
			IsDefault:    new(true),
			NetworkAclId: &a.ID,
			OwnerId:      text(s.Installation().Account),
			VpcId:        text(a.VPC.ID),
		}
		for _, x := range a.Associations {
			w.Associations = append(w.Associations, wire.NetworkAclAssociation{
				NetworkAclAssociationId: text(x.ID), NetworkAclId: &a.ID, SubnetId: text(x.Subnet),
			})
		}
		for _, e := range a.Entries {
			entry := wire.NetworkAclEntry{
				Egress: &e.Egress, Protocol: new("-1"), RuleAction: text(e.Action()), RuleNumber: new(int32(e.Number)),
			}
			if block := text(e.CIDR.String()); e.CIDR.Addr().Is4() {
				entry.CidrBlock = block
			} else {
				entry.Ipv6CidrBlock = block
			}
			w.Entries = append(w.Entries, entry)
		}
		out.NetworkAcls = append(out.NetworkAcls, w)
	}
	return out, nil
}
