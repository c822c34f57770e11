package vpc

import (
	"net/netip"
	"time"
)

// PeeringWaits is how long a peering connection waits for its acceptance, from its creation on.
const PeeringWaits = 7 * 24 * time.Hour

// How long one that has ended stays visible. Source: VPC peering guide, "VPC peering connection
// lifecycle".
const (
	peeringEndedFor   = 2 * time.Hour // rejected, failed, deleted: both VPCs are of one account
	peeringExpiredFor = 2 * 24 * time.Hour
)

// NewPeering is what a CreateVpcPeeringConnection call asks for.
type NewPeering struct {
	Requester         VPCID
	Accepter          VPCID
	Owner             AccountID // of the accepter; empty: this account
	Region            string    // of the accepter; empty: this one
	TagSpecifications []TagSpecification
}

// CreatePeering asks for a peering connection. It fails if the VPCs' blocks overlap, or those of their
// peers: not the call, but the connection. If the requester has asked the same before, and that connection is alive, it is
// that one, and the change is empty.
func (s *State) CreatePeering(env Env, in NewPeering) (*PeeringConnection, Change, error) {
	requester, err := s.findVPC(in.Requester)
	if err != nil {
		return nil, Change{}, err
	}
	if in.Accepter == "" {
		return nil, Change{}, errMissing("peerVpcId")
	}
	if _, err := ParseVPCID(string(in.Accepter)); err != nil {
		return nil, Change{}, err
	}
	self := s.Installation()
	if in.Owner != "" && in.Owner != self.Account {
		return nil, Change{}, Errorf(CodeUnsupportedOperation, "VPCs of other accounts cannot be peered with.")
	}
	if in.Region != "" && in.Region != self.Region {
		return nil, Change{}, Errorf(CodeUnsupportedOperation, "VPCs of other regions cannot be peered with.")
	}
	accepter, err := s.findVPC(in.Accepter)
	if err != nil {
		return nil, Change{}, err
	}
	tags, err := specifiedTags(in.TagSpecifications, "vpc-peering-connection")
	if err != nil {
		return nil, Change{}, err
	}
	for p := range s.PeeringsOfVPC(requester.ID) {
		if p.Requester == requester.ID && p.Accepter == accepter.ID && p.alive() {
			return p, Change{}, nil
		}
	}
	p := &PeeringConnection{
		ID: PeeringID(env.ID("pcx")), Requester: requester.ID, Accepter: accepter.ID,
		RequesterCIDRs: requester.prefixes(), Status: PeeringPending, Created: env.Now, Tags: tags["vpc-peering-connection"],
	}
	if s.overlapAsPeers(requester, accepter) {
		p.Status, p.Ended = PeeringFailed, env.Now
	} else if err := s.underPeeringQuota(p); err != nil {
		return nil, Change{}, err
	}
	d := s.draft()
	d.put(p)
	return p, d.change(), nil
}

// overlapAsPeers reports whether two VPCs cannot be peers: their blocks overlap, or those of one overlap
// those of another peer of the other. In each VPC an address means one interface, its peers' included.
func (s *State) overlapAsPeers(a, b *VPC) bool {
	if overlap(a, b) {
		return true
	}
	for peer := range s.ActivePeers(a.ID) {
		if peer != b.ID && overlap(s.VPC(peer), b) {
			return true
		}
	}
	for peer := range s.ActivePeers(b.ID) {
		if peer != a.ID && overlap(s.VPC(peer), a) {
			return true
		}
	}
	return false
}

// underPeeringQuota refuses a request for one more connection than there may be.
func (s *State) underPeeringQuota(p *PeeringConnection) error {
	if err := s.underActivePeeringQuota(p); err != nil {
		return err
	}
	outstanding := 0
	for other := range s.Peerings() {
		if other.Status == PeeringPending {
			outstanding++
		}
	}
	if outstanding >= s.Quota(OutstandingPeerings) {
		return Errorf(CodeOutstandingVpcPeeringConnectionLimitExceeded,
			"The maximum number of outstanding VPC peering connection requests has been reached.")
	}
	return nil
}

// underActivePeeringQuota refuses one more active connection than either VPC may have.
func (s *State) underActivePeeringQuota(p *PeeringConnection) error {
	for _, id := range []VPCID{p.Requester, p.Accepter} {
		active := 0
		for range s.ActivePeers(id) {
			active++
		}
		if active >= s.Quota(PeeringsPerVPC) {
			return Errorf(CodeVpcPeeringConnectionsPerVpcLimitExceeded,
				"The maximum number of VPC peering connections for VPC '%s' has been reached.", id)
		}
	}
	return nil
}

// AcceptPeering makes a pending connection active, or failed if the VPCs' blocks have come to overlap.
func (s *State) AcceptPeering(env Env, id PeeringID) (*PeeringConnection, Change, error) {
	p, err := s.findPeering(id)
	if err != nil {
		return nil, Change{}, err
	}
	if p.Status != PeeringPending {
		return nil, Change{}, errPeeringTransition(p, "provisioning")
	}
	for peer := range s.ActivePeers(p.Requester) {
		if peer == p.Accepter {
			return nil, Change{}, Errorf(CodeVpcPeeringConnectionAlreadyExists,
				"The vpc peering connection identified by %s already exists.", p.ID)
		}
	}
	if err := s.underActivePeeringQuota(p); err != nil {
		return nil, Change{}, err
	}
	requester, accepter := s.VPC(p.Requester), s.VPC(p.Accepter)
	c := *p
	if s.overlapAsPeers(requester, accepter) {
		c.Status, c.Ended = PeeringFailed, env.Now
	} else {
		c.Status = PeeringActive
		c.RequesterCIDRs, c.AccepterCIDRs = requester.prefixes(), accepter.prefixes()
	}
	d := s.draft()
	d.put(&c)
	return &c, d.change(), nil
}

// RejectPeering ends a pending connection.
func (s *State) RejectPeering(env Env, id PeeringID) (Change, error) {
	p, err := s.findPeering(id)
	if err != nil {
		return Change{}, err
	}
	if p.Status != PeeringPending {
		return Change{}, errPeeringTransition(p, "rejecting")
	}
	d := s.draft()
	d.endPeering(env, p, PeeringRejected)
	return d.change(), nil
}

// DeletePeering ends a pending or active connection. Rules that name groups of the other VPC stay,
// and match nobody.
func (s *State) DeletePeering(env Env, id PeeringID) (Change, error) {
	p, err := s.findPeering(id)
	if err != nil {
		return Change{}, err
	}
	if !p.alive() {
		return Change{}, errPeeringTransition(p, "deleting")
	}
	d := s.draft()
	d.endPeering(env, p, PeeringDeleted)
	return d.change(), nil
}

func (d *draft) endPeering(env Env, p *PeeringConnection, status PeeringStatus) {
	c := *p
	c.Status, c.Ended = status, env.Now
	d.put(&c)
}

func errPeeringTransition(p *PeeringConnection, to string) *Error {
	return Errorf(CodeInvalidStateTransition,
		"Invalid state transition for %s, attempted to transition from %s to %s", p.ID, p.Status, to)
}

// PeeringOptionsChange is what a ModifyVpcPeeringConnectionOptions call asks for on one side; nil
// leaves an option as it is.
type PeeringOptionsChange struct {
	AllowDNSResolutionFromRemoteVPC            *bool
	AllowEgressFromLocalClassicLinkToRemoteVPC *bool
	AllowEgressFromLocalVPCToRemoteClassicLink *bool
}

// ModifyPeeringOptions changes the options of an active connection; nil leaves a side as it is.
func (s *State) ModifyPeeringOptions(
	id PeeringID, requester, accepter *PeeringOptionsChange,
) (*PeeringConnection, Change, error) {
	p, err := s.findPeering(id)
	if err != nil {
		return nil, Change{}, err
	}
	if requester == nil && accepter == nil {
		return nil, Change{}, errNoAttributes()
	}
	if p.Status != PeeringActive {
		return nil, Change{}, Errorf(CodeOperationNotPermitted,
			"Peering %s is not active. Peering options can be added only to active peerings.", p.ID)
	}
	c := *p
	requester.apply(&c.RequesterOptions)
	accepter.apply(&c.AccepterOptions)
	d := s.draft()
	if c.RequesterOptions != p.RequesterOptions || c.AccepterOptions != p.AccepterOptions {
		d.put(&c)
	}
	return &c, d.change(), nil
}

func (in *PeeringOptionsChange) apply(o *PeeringOptions) {
	if in == nil {
		return
	}
	set := func(to, from *bool) {
		if from != nil {
			*to = *from
		}
	}
	set(&o.AllowDNSResolutionFromRemoteVPC, in.AllowDNSResolutionFromRemoteVPC)
	set(&o.AllowEgressFromLocalClassicLinkToRemoteVPC, in.AllowEgressFromLocalClassicLinkToRemoteVPC)
	set(&o.AllowEgressFromLocalVPCToRemoteClassicLink, in.AllowEgressFromLocalVPCToRemoteClassicLink)
}

// alive reports whether the connection joins its VPCs, or may come to.
func (p *PeeringConnection) alive() bool {
	return p.Status == PeeringPending || p.Status == PeeringActive
}

// PeeringStatusMessage says what EC2 says of the connection's status.
func (s *State) PeeringStatusMessage(p *PeeringConnection) string {
	account := string(s.Installation().Account)
	switch p.Status {
	case PeeringPending:
		return "Pending Acceptance by " + account
	case PeeringActive:
		return "Active"
	case PeeringRejected:
		return "Rejected by " + account
	case PeeringExpired:
		return "Expired"
	case PeeringFailed:
		return "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
	case PeeringDeleted:
		return "Deleted by " + account
	default:
		return ""
	}
}

// outdatedPeerings returns the pending connections whose time is up, as the expired ones that they
// are, and the keys of those that ended long ago. What expired needs no write until it is forgotten.
func (s *State) outdatedPeerings(env Env) (expired []Object, gone []Key) {
	for p := range s.Peerings() {
		waited := env.Now.Sub(p.Created)
		switch {
		case p.Status == PeeringActive || p.Status == PeeringPending && waited < PeeringWaits:
		case p.Status == PeeringPending && waited <= PeeringWaits+peeringExpiredFor:
			c := *p
			c.Status, c.Ended = PeeringExpired, p.Created.Add(PeeringWaits)
			expired = append(expired, &c)
		case p.Status == PeeringPending,
			p.Status == PeeringExpired && env.Now.Sub(p.Ended) > peeringExpiredFor, // its tags were changed since
			p.Status != PeeringExpired && env.Now.Sub(p.Ended) > peeringEndedFor:
			gone = append(gone, p.Key())
		}
	}
	return expired, gone
}

// findPeering returns the connection with that id, or InvalidVpcPeeringConnectionId.Malformed or
// InvalidVpcPeeringConnectionID.NotFound.
func (s *State) findPeering(id PeeringID) (*PeeringConnection, error) {
	if _, err := ParsePeeringID(string(id)); err != nil {
		return nil, err
	}
	if p := s.Peering(id); p != nil {
		return p, nil
	}
	return nil, Errorf(CodeInvalidVpcPeeringConnectionIDNotFound, "The vpcPeeringConnection ID '%s' does not exist", id)
}

// PeeringQuery selects peering connections: those with the ids, or all, that pass the filters.
type PeeringQuery struct {
	IDs     []PeeringID
	Filters []Filter
	Page    Page
}

// DescribePeerings returns the connections in order of creation and the token of the next page. An
// unknown id fails the whole call.
func (s *State) DescribePeerings(in PeeringQuery) ([]*PeeringConnection, string, error) {
	match, err := peeringFields.Where(s, in.Filters, func(p *PeeringConnection) Tags { return p.Tags })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, s.Peerings(), s.findPeering, match)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "pcx", func(p *PeeringConnection) string { return createdKey(p.Created, p.ID) }, in.Page)
}

var peeringFields = Fields[*PeeringConnection]{
	"accepter-vpc-info.cidr-block":  func(_ *State, p *PeeringConnection) []string { return firstOf(p.AccepterCIDRs) },
	"accepter-vpc-info.owner-id":    owner[*PeeringConnection],
	"accepter-vpc-info.vpc-id":      func(_ *State, p *PeeringConnection) []string { return []string{string(p.Accepter)} },
	"requester-vpc-info.cidr-block": func(_ *State, p *PeeringConnection) []string { return firstOf(p.RequesterCIDRs) },
	"requester-vpc-info.owner-id":   owner[*PeeringConnection],
	"requester-vpc-info.vpc-id":     func(_ *State, p *PeeringConnection) []string { return []string{string(p.Requester)} },
	"expiration-time": func(_ *State, p *PeeringConnection) []string {
		if p.Status != PeeringPending {
			return nil
		}
		return []string{apiTime(p.Created.Add(PeeringWaits))}
	},
	"status-code":               func(_ *State, p *PeeringConnection) []string { return []string{string(p.Status)} },
	"status-message":            func(s *State, p *PeeringConnection) []string { return []string{s.PeeringStatusMessage(p)} },
	"vpc-peering-connection-id": func(_ *State, p *PeeringConnection) []string { return []string{string(p.ID)} },
}

// firstOf returns the first of the blocks, if there is one.
func firstOf(list []netip.Prefix) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{list[0].String()}
}
