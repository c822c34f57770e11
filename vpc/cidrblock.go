package vpc

import (
	"net/netip"
	"slices"
)

// NewVPCBlock is what an AssociateVpcCidrBlock call asks for: a CIDR, or IPv6.
type NewVPCBlock struct {
	VPC  VPCID
	CIDR string // IPv4; host bits are cleared
	IPv6 bool   // a /56 of the installation's ULA prefix
}

// AssociateVPCBlock adds a block to a VPC and returns the VPC with it, last of its family.
func (s *State) AssociateVPCBlock(env Env, in NewVPCBlock) (*VPC, Change, error) {
	v, err := s.findVPC(in.VPC)
	if err != nil {
		return nil, Change{}, err
	}
	c := *v
	d := s.draft()
	switch {
	case in.CIDR != "" && in.IPv6:
		return nil, Change{}, errCombination("cidrBlock", "amazonProvidedIpv6CidrBlock")
	case in.CIDR != "":
		block, err := s.secondaryBlock(v, in.CIDR)
		if err != nil {
			return nil, Change{}, err
		}
		c.CIDRs = append(slices.Clip(v.CIDRs), CIDRAssociation{AssociationID(env.ID("vpc-cidr-assoc")), block})
	case in.IPv6:
		if len(v.IPv6CIDRs) > 0 {
			return nil, Change{}, errTooManyBlocks(v.ID, 1)
		}
		block, err := d.freeIPv6Block()
		if err != nil {
			return nil, Change{}, err
		}
		c.IPv6CIDRs = []CIDRAssociation{{AssociationID(env.ID("vpc-cidr-assoc")), block}}
	default:
		return nil, Change{}, Errorf(CodeMissingParameter,
			"Either 'cidrBlock' or 'amazonProvidedIpv6CidrBlock' should be provided.")
	}
	d.putVPC(&c)
	if in.IPv6 {
		if err := d.addIPv6Egress(env, v.ID); err != nil {
			return nil, Change{}, err
		}
	}
	return &c, d.change(), nil
}

// secondaryBlock checks a further IPv4 block of a VPC: it may overlap neither with those that the VPC
// has, nor with those of its active peers, nor with those of another peer of a peer.
func (s *State) secondaryBlock(v *VPC, text string) (netip.Prefix, error) {
	block, err := parseBlock(text, "cidrBlock", true)
	if err != nil {
		return block, err
	}
	if block.Bits() < 16 || block.Bits() > 28 || unusableBlock(block) {
		return block, Errorf(CodeInvalidVpcRange, "The CIDR '%s' is invalid.", text)
	}
	if restrictedBlock(v, block) {
		return block, Errorf(CodeInvalidVpcRange, "The CIDR '%s' is restricted. Use a CIDR from the same private "+
			"address range as the current VPC CIDR, or use a publicly-routable CIDR. For additional restrictions, "+
			"see https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html", text)
	}
	if most := s.Quota(CIDRsPerVPC); len(v.CIDRs) >= most {
		return block, errTooManyBlocks(v.ID, most)
	}
	if slices.ContainsFunc(v.prefixes(), block.Overlaps) {
		return block, Errorf(CodeInvalidVpcRange, "The CIDR '%s' overlaps with a CIDR block of the VPC.", text)
	}
	for peer := range s.ActivePeers(v.ID) {
		if slices.ContainsFunc(s.VPC(peer).prefixes(), block.Overlaps) {
			return block, Errorf(CodeInvalidVpcRange, "The CIDR '%s' overlaps with a CIDR block of the peer VPC '%s'.", text, peer)
		}
		for other := range s.ActivePeers(peer) {
			if other != v.ID && slices.ContainsFunc(s.VPC(other).prefixes(), block.Overlaps) {
				return block, Errorf(CodeInvalidVpcRange, "The CIDR '%s' overlaps with a CIDR block of VPC '%s', "+
					"which is a peer of the peer VPC '%s', too.", text, other, peer)
			}
		}
	}
	return block, nil
}

// The ranges that restrict what may be added to a VPC.
var (
	privateRanges = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	}
	servicesRange   = netip.MustParsePrefix("198.19.0.0/16")
	defaultVPCRange = netip.MustParsePrefix("172.31.0.0/16")
	firstOfTen      = netip.MustParsePrefix("10.0.0.0/16")
	firstTwoOfTen   = netip.MustParsePrefix("10.0.0.0/15")
)

// restrictedBlock reports whether a VPC may not have a block beside its primary one: private ranges
// do not mix, nor do they with public ones; and each has some that is never added. Source: VPC user
// guide, "IPv4 CIDR block association restrictions".
func restrictedBlock(v *VPC, block netip.Prefix) bool {
	if servicesRange.Overlaps(block) {
		return true
	}
	primary := v.CIDRs[0].CIDR
	for _, private := range privateRanges {
		if private.Overlaps(block) && !private.Overlaps(primary) {
			return true
		}
	}
	if defaultVPCRange.Overlaps(block) {
		return true
	}
	return firstOfTen.Overlaps(block) && slices.ContainsFunc(v.prefixes(), firstTwoOfTen.Overlaps)
}

func errTooManyBlocks(id VPCID, most int) *Error {
	return Errorf(CodeCidrLimitExceeded, "This network '%s' has met its maximum number of allowed CIDRs: %d", id, most)
}

// putVPC puts a VPC whose blocks have changed, and tells its peering connections.
func (d *draft) putVPC(v *VPC) {
	d.put(v)
	for p := range d.base.PeeringsOfVPC(v.ID) {
		c := *p
		switch {
		case p.Requester == v.ID && p.alive():
			c.RequesterCIDRs = v.prefixes()
		case p.Accepter == v.ID && p.Status == PeeringActive:
			c.AccepterCIDRs = v.prefixes()
		default:
			continue
		}
		d.put(&c)
	}
}

// DisassociateVPCBlock removes a block from a VPC. It returns the VPC and the block. It refuses the
// primary block, and one with subnets in it.
func (s *State) DisassociateVPCBlock(id AssociationID) (*VPC, CIDRAssociation, Change, error) {
	if err := parseAssociationID(id, "vpc"); err != nil {
		return nil, CIDRAssociation{}, Change{}, err
	}
	has := func(a CIDRAssociation) bool { return a.ID == id }
	for v := range s.VPCs() {
		c, n := *v, slices.IndexFunc(v.CIDRs, has)
		var gone CIDRAssociation
		switch n6 := slices.IndexFunc(v.IPv6CIDRs, has); {
		case n == 0:
			return nil, gone, Change{}, Errorf(CodeOperationNotPermitted, "The vpc CIDR block with association ID %s "+
				"may not be disassociated. It is the primary IPv4 CIDR block of the VPC", id)
		case n > 0:
			gone = v.CIDRs[n]
			c.CIDRs = without(v.CIDRs, n)
		case n6 >= 0:
			gone = v.IPv6CIDRs[n6]
			c.IPv6CIDRs = without(v.IPv6CIDRs, n6)
		default:
			continue
		}
		for n := range s.SubnetsOfVPC(v.ID) {
			if slices.ContainsFunc(n.prefixes(), gone.CIDR.Overlaps) {
				return nil, gone, Change{}, Errorf(CodeInvalidCidrBlockInUse,
					"The vpc %s currently has a subnet within CIDR block %s", v.ID, gone.CIDR)
			}
		}
		d := s.draft()
		d.putVPC(&c)
		return &c, gone, d.change(), nil
	}
	return nil, CIDRAssociation{}, Change{}, Errorf(CodeInvalidVpcCidrBlockAssociationIDNotFound,
		"The vpc CIDR block with association ID %s does not exist", id)
}

// AssociateSubnetBlock gives a subnet a /64 of its VPC's IPv6 block and returns it with it.
func (s *State) AssociateSubnetBlock(env Env, id SubnetID, text string) (*Subnet, Change, error) {
	n, err := s.findSubnet(id)
	if err != nil {
		return nil, Change{}, err
	}
	if text == "" {
		return nil, Change{}, errMissing("ipv6CidrBlock")
	}
	block, err := s.subnetIPv6Block(s.VPC(n.VPC), text)
	if err != nil {
		return nil, Change{}, err
	}
	if len(n.IPv6CIDRs) > 0 {
		return nil, Change{}, Errorf(CodeCidrLimitExceeded,
			"This subnet '%s' has met its maximum number of allowed IPv6 CIDRs: 1", n.ID)
	}
	c := *n
	c.IPv6CIDRs = []CIDRAssociation{{AssociationID(env.ID("subnet-cidr-assoc")), block}}
	d := s.draft()
	d.put(&c)
	return &c, d.change(), nil
}

// subnetIPv6Block checks an IPv6 block for a subnet of a VPC: a /64 of the VPC's that no subnet has.
func (s *State) subnetIPv6Block(v *VPC, text string) (netip.Prefix, error) {
	block, err := parseBlock(text, "ipv6CidrBlock", false)
	if err != nil {
		return block, err
	}
	if block.Bits() != 64 || !within(v.IPv6CIDRs, block) {
		return block, Errorf(CodeInvalidSubnetRange, "The CIDR '%s' is invalid.", text)
	}
	for other := range s.SubnetsOfVPC(v.ID) {
		if slices.ContainsFunc(other.prefixes(), block.Overlaps) {
			return block, errSubnetConflict(text)
		}
	}
	return block, nil
}

// DisassociateSubnetBlock takes an IPv6 block from a subnet. It returns the subnet and the block. It
// refuses while the subnet gives its addresses to new interfaces, or an interface has some of it.
func (s *State) DisassociateSubnetBlock(id AssociationID) (*Subnet, CIDRAssociation, Change, error) {
	if err := parseAssociationID(id, "subnet"); err != nil {
		return nil, CIDRAssociation{}, Change{}, err
	}
	for n := range s.Subnets() {
		at := slices.IndexFunc(n.IPv6CIDRs, func(a CIDRAssociation) bool { return a.ID == id })
		if at < 0 {
			continue
		}
		gone := n.IPv6CIDRs[at]
		if n.AssignIPv6AddressOnCreation {
			return nil, gone, Change{}, Errorf(CodeInvalidCidrBlockInUse, "The subnet IPv6 CIDR block with association ID %s "+
				"may not be disassociated, because its subnet has assign-ipv6-address-on-creation set to true.", id)
		}
		for e := range s.InterfacesOfSubnet(n.ID) {
			if slices.ContainsFunc(e.IPv6, gone.CIDR.Contains) || slices.ContainsFunc(e.IPv6Prefixes, gone.CIDR.Overlaps) {
				return nil, gone, Change{}, Errorf(CodeInvalidCidrBlockInUse, "The subnet IPv6 CIDR block with association ID %s "+
					"may not be disassociated, because the network interface '%s' has addresses of it.", id, e.ID)
			}
		}
		c := *n
		c.IPv6CIDRs = without(n.IPv6CIDRs, at)
		d := s.draft()
		d.put(&c)
		return &c, gone, d.change(), nil
	}
	return nil, CIDRAssociation{}, Change{}, Errorf(CodeInvalidSubnetCidrBlockAssociationIDNotFound,
		"The subnet CIDR block with association ID %s does not exist", id)
}

// without returns a list less its nth element, nil if that was the only one.
func without(list []CIDRAssociation, n int) []CIDRAssociation {
	if len(list) == 1 {
		return nil
	}
	return slices.Delete(slices.Clone(list), n, n+1)
}

// parseAssociationID refuses what has not the form of an association's id; of is what has the block,
// vpc or subnet.
func parseAssociationID(id AssociationID, of string) error {
	code := CodeInvalidVpcCidrBlockAssociationIDMalformed
	if of == "subnet" {
		code = CodeInvalidSubnetCidrBlockAssociationIDMalformed
	}
	if _, err := parseID[AssociationID](string(id), of+"-cidr-assoc", code); err != nil {
		return Errorf(code, "The %s CIDR block with association ID %s is malformed", of, id)
	}
	return nil
}

// prefixes returns the blocks of the VPC, IPv4 first, its primary one first of all.
func (v *VPC) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
		out = append(out, a.CIDR)
	}
	return out
}

// prefixes returns the blocks of the subnet, IPv4 first.
func (n *Subnet) prefixes() []netip.Prefix {
	out := []netip.Prefix{n.CIDR}
	for _, a := range n.IPv6CIDRs {
		out = append(out, a.CIDR)
	}
	return out
}
