package vpc

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// defaultVPCBlock is what EC2 gives a default VPC.
var defaultVPCBlock = netip.MustParsePrefix("172.31.0.0/16")

// NewInstallation says what the first start writes.
type NewInstallation struct {
	Account AccountID
	Region  string       // us-east-1
	ULA     netip.Prefix // a /48 of fd00::/8, drawn at random: VPCs get their IPv6 blocks from it
	VPCCIDR netip.Prefix // of the default VPC, IPv4, /16 to /24; zero: 172.31.0.0/16
}

// Bootstrap makes what every installation begins with: its own record, and the default VPC with a
// default subnet per zone and the default group. It refuses a State that has an Installation. Its
// errors are plain ones: what they name was given by the operator, not by a client.
func (s *State) Bootstrap(env Env, in NewInstallation) (Change, error) {
	if s.Installation() != nil {
		return Change{}, errors.New("the installation exists already")
	}
	if len(in.Account) != 12 || strings.Trim(string(in.Account), "0123456789") != "" {
		return Change{}, fmt.Errorf("account %q is not 12 digits", in.Account)
	}
	if in.Region == "" {
		return Change{}, errors.New("the installation needs a region")
	}
	if in.ULA.Bits() != 48 || in.ULA != in.ULA.Masked() || !netip.MustParsePrefix("fd00::/8").Contains(in.ULA.Addr()) {
		return Change{}, fmt.Errorf("%v is not a /48 of fd00::/8", in.ULA)
	}
	block := in.VPCCIDR
	if !block.IsValid() {
		block = defaultVPCBlock
	}
	if !block.Addr().Is4() || block.Bits() < 16 || block.Bits() > 24 || block != block.Masked() || unusableBlock(block) {
		return Change{}, fmt.Errorf("%v cannot be the default VPC's block: it takes an IPv4 block of /16 to /24", block)
	}
	d := s.draft()
	d.put(&Installation{Account: in.Account, Region: in.Region, ULA: in.ULA, NextRule: 1})
	if _, err := d.createDefaultVPC(env, block); err != nil {
		return Change{}, fmt.Errorf("create the default VPC: %w", err)
	}
	return d.change(), nil
}

// CreateDefaultVPC makes the default VPC again after it was deleted, with EC2's block, whatever the
// first one had.
func (s *State) CreateDefaultVPC(env Env) (*VPC, Change, error) {
	if s.Installation().DefaultVPC != "" {
		return nil, Change{}, Errorf(CodeDefaultVpcAlreadyExists, "A Default VPC already exists for this account in this region.")
	}
	if err := s.underVPCQuota(); err != nil {
		return nil, Change{}, err
	}
	d := s.draft()
	v, err := d.createDefaultVPC(env, defaultVPCBlock)
	if err != nil {
		return nil, Change{}, err
	}
	return v, d.change(), nil
}

// createDefaultVPC adds the default VPC with a subnet in each zone: the first quarters of sixteenths
// of the block, 172.31.0.0/20, 172.31.16.0/20, 172.31.32.0/20.
func (d *draft) createDefaultVPC(env Env, block netip.Prefix) (*VPC, error) {
	v, err := d.addVPC(env, VPC{
		CIDRs:     []CIDRAssociation{{ID: AssociationID(env.ID("vpc-cidr-assoc")), CIDR: block}},
		IsDefault: true, DNSSupport: true, DNSHostnames: true,
	})
	if err != nil {
		return nil, err
	}
	self := *d.Installation()
	self.DefaultVPC = v.ID
	d.put(&self)
	for n, zone := range d.Zones() {
		d.put(&Subnet{
			ID: SubnetID(env.ID("subnet")), VPC: v.ID, Created: env.Now, Zone: zone.Name,
			CIDR: subBlock(block, block.Bits()+4, n), DefaultForZone: true, MapPublicIPOnLaunch: true,
		})
	}
	return v, nil
}

// subBlock returns the nth block of a length inside of an IPv4 or IPv6 block; the length is at most
// 64, n fits in the bits between.
func subBlock(block netip.Prefix, bits, n int) netip.Prefix {
	a := block.Masked().Addr().AsSlice()
	for i := 0; i < bits-block.Bits(); i++ {
		if n>>i&1 == 1 {
			bit := bits - 1 - i
			a[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, bits)
}

// Zone is an availability zone.
type Zone struct {
	Name string // us-east-1a
	ID   string // use1-az1
}

// Zones returns the three zones of the installation's region, in order of their names.
func (s *State) Zones() []Zone {
	region := s.Installation().Region
	var zones []Zone
	for n, letter := range []string{"a", "b", "c"} {
		zones = append(zones, Zone{region + letter, fmt.Sprintf("%s-az%d", shortRegion(region), n+1)})
	}
	return zones
}

// zone returns the zone of that name or id.
func (s *State) zone(nameOrID string) (Zone, bool) {
	for _, z := range s.Zones() {
		if z.Name == nameOrID || z.ID == nameOrID {
			return z, true
		}
	}
	return Zone{}, false
}

// shortRegion abbreviates a region as zone ids do: us-east-1 is use1, ap-southeast-2 is apse2.
func shortRegion(region string) string {
	parts := strings.Split(region, "-")
	for i := 1; i < len(parts); i++ {
		if parts[i] == "" {
			continue
		}
		short := parts[i][:1]
		for _, second := range []string{"east", "west"} {
			if rest, ok := strings.CutSuffix(parts[i], second); ok && rest != "" {
				short += second[:1]
			}
		}
		if i == len(parts)-1 {
			short = parts[i]
		}
		parts[i] = short
	}
	return strings.Join(parts, "")
}
