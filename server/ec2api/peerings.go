package ec2api

import (
	"net/netip"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) peeringActions() {
	handle(a, wire.CreateVpcPeeringConnection, createVpcPeeringConnection)
	handle(a, wire.AcceptVpcPeeringConnection, acceptVpcPeeringConnection)
	handle(a, wire.RejectVpcPeeringConnection, rejectVpcPeeringConnection)
	handle(a, wire.DeleteVpcPeeringConnection, deleteVpcPeeringConnection)
	handle(a, wire.DescribeVpcPeeringConnections, describeVpcPeeringConnections)
	handle(a, wire.ModifyVpcPeeringConnectionOptions, modifyVpcPeeringConnectionOptions)
}

func createVpcPeeringConnection(
	c *call, in *wire.CreateVpcPeeringConnectionRequest,
) (*wire.CreateVpcPeeringConnectionResult, error) {
	var out *wire.CreateVpcPeeringConnectionResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		p, change, err := s.CreatePeering(c.env, vpc.NewPeering{
			Requester:         vpc.VPCID(wire.Value(in.VpcId)),
			Accepter:          vpc.VPCID(wire.Value(in.PeerVpcId)),
			Owner:             vpc.AccountID(wire.Value(in.PeerOwnerId)),
			Region:            wire.Value(in.PeerRegion),
			TagSpecifications: tagSpecifications(in.TagSpecifications),
		})
		if err != nil {
			return change, err
		}
		w := wirePeering(s, p)
		if !change.Empty() { // as EC2 answers; what became of it shows in the next call
			w.Status = &wire.VpcPeeringConnectionStateReason{
				Code: new("initiating-request"), Message: new("Initiating Request to " + string(s.Installation().Account)),
			}
			w.ExpirationTime = new(p.Created.Add(vpc.PeeringWaits))
		}
		out = &wire.CreateVpcPeeringConnectionResult{VpcPeeringConnection: &w}
		return change, nil
	})
	return out, err
}

func acceptVpcPeeringConnection(
	c *call, in *wire.AcceptVpcPeeringConnectionRequest,
) (*wire.AcceptVpcPeeringConnectionResult, error) {
	var out *wire.AcceptVpcPeeringConnectionResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		p, change, err := s.AcceptPeering(c.env, vpc.PeeringID(wire.Value(in.VpcPeeringConnectionId)))
		if err != nil {
			return change, err
		}
		w := wirePeering(s, p) // the answer is EC2's; what became of it shows in the next call
		w.Status = &wire.VpcPeeringConnectionStateReason{Code: new("provisioning"), Message: new("Provisioning")}
		out = &wire.AcceptVpcPeeringConnectionResult{VpcPeeringConnection: &w}
		return change, nil
	})
	return out, err
}

func rejectVpcPeeringConnection(
	c *call, in *wire.RejectVpcPeeringConnectionRequest,
) (*wire.RejectVpcPeeringConnectionResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.RejectPeering(c.env, vpc.PeeringID(wire.Value(in.VpcPeeringConnectionId)))
	})
	return &wire.RejectVpcPeeringConnectionResult{Return: new(true)}, err
}

func deleteVpcPeeringConnection(
	c *call, in *wire.DeleteVpcPeeringConnectionRequest,
) (*wire.DeleteVpcPeeringConnectionResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeletePeering(c.env, vpc.PeeringID(wire.Value(in.VpcPeeringConnectionId)))
	})
	return &wire.DeleteVpcPeeringConnectionResult{Return: new(true)}, err
}

func describeVpcPeeringConnections(
	c *call, in *wire.DescribeVpcPeeringConnectionsRequest,
) (*wire.DescribeVpcPeeringConnectionsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribePeerings(vpc.PeeringQuery{
		IDs:     ids[vpc.PeeringID](in.VpcPeeringConnectionIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeVpcPeeringConnectionsResult{NextToken: token(next)}
	for _, p := range list {
		out.VpcPeeringConnections = append(out.VpcPeeringConnections, wirePeering(s, p))
	}
	return out, nil
}

func modifyVpcPeeringConnectionOptions(
	c *call, in *wire.ModifyVpcPeeringConnectionOptionsRequest,
) (*wire.ModifyVpcPeeringConnectionOptionsResult, error) {
	var out *wire.ModifyVpcPeeringConnectionOptionsResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		p, change, err := s.ModifyPeeringOptions(vpc.PeeringID(wire.Value(in.VpcPeeringConnectionId)),
			peeringOptions(in.RequesterPeeringConnectionOptions), peeringOptions(in.AccepterPeeringConnectionOptions))
		if err != nil {
			return change, err
		}
		out = &wire.ModifyVpcPeeringConnectionOptionsResult{}
		if in.RequesterPeeringConnectionOptions != nil {
			out.RequesterPeeringConnectionOptions = new(wire.PeeringConnectionOptions(wirePeeringOptions(p.RequesterOptions)))
		}
		if in.AccepterPeeringConnectionOptions != nil {
			out.AccepterPeeringConnectionOptions = new(wire.PeeringConnectionOptions(wirePeeringOptions(p.AccepterOptions)))
		}
		return change, nil
	})
	return out, err
}

func peeringOptions(in *wire.PeeringConnectionOptionsRequest) *vpc.PeeringOptionsChange {
	if in == nil {
		return nil
	}
	return &vpc.PeeringOptionsChange{
		AllowDNSResolutionFromRemoteVPC:            in.AllowDnsResolutionFromRemoteVpc,
		AllowEgressFromLocalClassicLinkToRemoteVPC: in.AllowEgressFromLocalClassicLinkToRemoteVpc,
		AllowEgressFromLocalVPCToRemoteClassicLink: in.AllowEgressFromLocalVpcToRemoteClassicLink,
	}
}

func wirePeeringOptions(o vpc.PeeringOptions) wire.VpcPeeringConnectionOptionsDescription {
	return wire.VpcPeeringConnectionOptionsDescription{
		AllowDnsResolutionFromRemoteVpc:            &o.AllowDNSResolutionFromRemoteVPC,
		AllowEgressFromLocalClassicLinkToRemoteVpc: &o.AllowEgressFromLocalClassicLinkToRemoteVPC,
		AllowEgressFromLocalVpcToRemoteClassicLink: &o.AllowEgressFromLocalVPCToRemoteClassicLink,
	}
}

func wirePeering(s *vpc.State, p *vpc.PeeringConnection) wire.VpcPeeringConnection {
	w := wire.VpcPeeringConnection{
		AccepterVpcInfo:  wirePeeringSide(s, p, p.Accepter, p.AccepterCIDRs, p.AccepterOptions),
		RequesterVpcInfo: wirePeeringSide(s, p, p.Requester, p.RequesterCIDRs, p.RequesterOptions),
		Status: &wire.VpcPeeringConnectionStateReason{
			Code: text(p.Status), Message: text(s.PeeringStatusMessage(p)),
		},
		Tags:                   tagSet(p.Tags),
		VpcPeeringConnectionId: text(p.ID),
	}
	if p.Status == vpc.PeeringPending {
		w.ExpirationTime = new(p.Created.Add(vpc.PeeringWaits))
	}
	return w
}

func wirePeeringSide(
	s *vpc.State, p *vpc.PeeringConnection, id vpc.VPCID, blocks []netip.Prefix, options vpc.PeeringOptions,
) *wire.VpcPeeringConnectionVpcInfo {
	w := &wire.VpcPeeringConnectionVpcInfo{
		OwnerId: text(s.Installation().Account),
		Region:  &s.Installation().Region,
		VpcId:   text(id),
	}
	for _, b := range blocks {
		if !b.Addr().Is4() {
			w.Ipv6CidrBlockSet = append(w.Ipv6CidrBlockSet, wire.Ipv6CidrBlock{Ipv6CidrBlock: text(b.String())})
			continue
		}
		if w.CidrBlock == nil {
			w.CidrBlock = text(b.String())
		}
		w.CidrBlockSet = append(w.CidrBlockSet, wire.CidrBlock{CidrBlock: text(b.String())})
	}
	if p.Status == vpc.PeeringActive {
		w.PeeringOptions = new(wirePeeringOptions(options))
	}
	return w
}
