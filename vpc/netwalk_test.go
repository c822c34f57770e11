package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// netStep is the part of the walk that changes blocks and peering connections.
func (w *walk) netStep(aVPC func() vpc.VPCID, aSubnet func() vpc.SubnetID) (string, vpc.Change, error) {
	peerings := slices.Collect(w.Peerings())
	aPeering := func(status vpc.PeeringStatus) vpc.PeeringID {
		list := peerings
		if w.r.IntN(3) > 0 {
			list = slices.DeleteFunc(slices.Clone(list), func(p *vpc.PeeringConnection) bool { return p.Status != status })
		}
		return pick(w, list, func(p *vpc.PeeringConnection) vpc.PeeringID { return p.ID }, "pcx-12345678")
	}
	anAssociation := func() vpc.AssociationID {
		var ids []vpc.AssociationID
		for v := range w.VPCs() {
			for _, a := range slices.Concat(v.CIDRs[w.r.IntN(2):], v.IPv6CIDRs) {
				ids = append(ids, a.ID)
			}
		}
		return pick(w, ids, func(id vpc.AssociationID) vpc.AssociationID { return id }, "vpc-cidr-assoc-12345678")
	}
	secondary := []string{"10.0.0.0/24", "10.2.0.0/16", "10.2.4.0/24", "100.64.0.0/16", "100.64.9.0/24"}[w.r.IntN(5)]
	switch w.r.IntN(12) {
	case 0, 1:
		_, c, err := w.CreatePeering(w.env, vpc.NewPeering{Requester: aVPC(), Accepter: aVPC()})
		return "create peering", c, err
	case 2, 3:
		_, c, err := w.AcceptPeering(w.env, aPeering(vpc.PeeringPending))
		return "accept peering", c, err
	case 4:
		if w.r.IntN(2) == 0 {
			c, err := w.RejectPeering(w.env, aPeering(vpc.PeeringPending))
			return "reject peering", c, err
		}
		c, err := w.DeletePeering(w.env, aPeering(vpc.PeeringActive))
		return "delete peering", c, err
	case 5, 6:
		_, c, err := w.AssociateVPCBlock(w.env, vpc.NewVPCBlock{VPC: aVPC(), CIDR: secondary})
		return "add block", c, err
	case 7:
		_, c, err := w.AssociateVPCBlock(w.env, vpc.NewVPCBlock{VPC: aVPC(), IPv6: true})
		return "add IPv6 block", c, err
	case 8:
		_, _, c, err := w.DisassociateVPCBlock(anAssociation())
		return "remove block", c, err
	case 9:
		n := w.Subnet(aSubnet())
		if n == nil || len(w.VPC(n.VPC).IPv6CIDRs) == 0 {
			_, c, err := w.AssociateSubnetBlock(w.env, aSubnet(), "fd12:3456:789a:1::/64")
			return "add subnet block", c, err
		}
		block := netip.PrefixFrom(w.VPC(n.VPC).IPv6CIDRs[0].CIDR.Addr(), 64)
		if w.r.IntN(2) == 0 && len(n.IPv6CIDRs) > 0 {
			_, _, c, err := w.DisassociateSubnetBlock(n.IPv6CIDRs[0].ID)
			return "remove subnet block", c, err
		}
		_, c, err := w.AssociateSubnetBlock(w.env, n.ID, block.String())
		return "add subnet block", c, err
	case 10:
		p, _ := netip.ParsePrefix(secondary)
		_, c, err := w.CreateSubnet(w.env, vpc.NewSubnet{VPC: aVPC(), CIDR: netip.PrefixFrom(p.Addr(), 28).String()})
		return "create subnet in a further block", c, err
	default:
		w.env.Now = w.env.Now.Add(time.Duration(w.r.IntN(80)) * time.Hour)
		var c vpc.Change
		w.State, c = w.Forget(w.env)
		return "forget", c, nil
	}
}

// netInvariants returns what is wrong with the blocks and peering connections of a State.
func netInvariants(s *vpc.State) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	of := map[vpc.VPCID][]netip.Prefix{}
	ids := map[vpc.AssociationID]bool{}
	ipv6 := map[netip.Prefix]vpc.VPCID{}
	overlap := func(one, two []netip.Prefix) bool {
		return slices.ContainsFunc(one, func(p netip.Prefix) bool { return slices.ContainsFunc(two, p.Overlaps) })
	}
	for v := range s.VPCs() {
		for _, a := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
			if ids[a.ID] {
				bad("%s: the association %s is there twice", v.ID, a.ID)
			}
			ids[a.ID] = true
			if slices.ContainsFunc(of[v.ID], a.CIDR.Overlaps) {
				bad("%s: %s overlaps with another of its blocks", v.ID, a.CIDR)
			}
			of[v.ID] = append(of[v.ID], a.CIDR)
		}
		for _, a := range v.IPv6CIDRs {
			if other, ok := ipv6[a.CIDR]; ok {
				bad("%s and %s both have %s", v.ID, other, a.CIDR)
			}
			ipv6[a.CIDR] = v.ID
		}
		if len(v.CIDRs) == 0 || len(v.CIDRs) > s.Quota(vpc.CIDRsPerVPC) || len(v.IPv6CIDRs) > 1 {
			bad("%s has the blocks %v", v.ID, of[v.ID])
		}
	}
	for n := range s.Subnets() {
		within := func(p netip.Prefix) bool {
			return slices.ContainsFunc(of[n.VPC], func(b netip.Prefix) bool { return b.Bits() <= p.Bits() && b.Contains(p.Addr()) })
		}
		if !within(n.CIDR) {
			bad("%s: %s is in no block of its VPC", n.ID, n.CIDR)
		}
		for _, a := range n.IPv6CIDRs {
			if !within(a.CIDR) || ids[a.ID] {
				bad("%s: %s %s is in no block of its VPC, or the id is there twice", n.ID, a.ID, a.CIDR)
			}
			ids[a.ID] = true
		}
	}
	pairs := map[[2]vpc.VPCID]bool{}
	for p := range s.Peerings() {
		alive := p.Status == vpc.PeeringPending || p.Status == vpc.PeeringActive
		if alive != p.Ended.IsZero() {
			bad("%s is %s, ended at %v", p.ID, p.Status, p.Ended)
		}
		if !alive {
			continue
		}
		if s.VPC(p.Requester) == nil || s.VPC(p.Accepter) == nil {
			bad("%s is %s, but a VPC is gone", p.ID, p.Status)
			continue
		}
		if !slices.Equal(p.RequesterCIDRs, of[p.Requester]) {
			bad("%s: %v, but %s has %v", p.ID, p.RequesterCIDRs, p.Requester, of[p.Requester])
		}
		if p.Status == vpc.PeeringPending {
			continue
		}
		if !slices.Equal(p.AccepterCIDRs, of[p.Accepter]) {
			bad("%s: %v, but %s has %v", p.ID, p.AccepterCIDRs, p.Accepter, of[p.Accepter])
		}
		if overlap(of[p.Requester], of[p.Accepter]) {
			bad("%s joins %v and %v", p.ID, of[p.Requester], of[p.Accepter])
		}
		pair := [2]vpc.VPCID{min(p.Requester, p.Accepter), max(p.Requester, p.Accepter)}
		if pairs[pair] {
			bad("%v have more than one active connection", pair)
		}
		pairs[pair] = true
		for _, pair := range [][2]vpc.VPCID{{p.Requester, p.Accepter}, {p.Accepter, p.Requester}} {
			if !slices.Contains(slices.Collect(s.ActivePeers(pair[0])), pair[1]) {
				bad("%s is no active peer of %s", pair[1], pair[0])
			}
		}
	}
	return wrong
}
