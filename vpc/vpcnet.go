package vpc

import (
	"net/netip"
	"slices"
	"strings"
)

// NewVPC is what a CreateVpc call asks for.
type NewVPC struct {
	CIDR              string // IPv4; host bits are cleared
	IPv6              bool   // a /56 of the installation's ULA prefix
	TagSpecifications []TagSpecification
}

// Blocks that a VPC cannot have. Source: VPC user guide, "VPC CIDR blocks".
var unusableBlocks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast
}

func unusableBlock(p netip.Prefix) bool {
	return slices.ContainsFunc(unusableBlocks, p.Overlaps)
}

// CreateVPC makes a VPC with its default group. It may use the addresses of another VPC.
func (s *State) CreateVPC(env Env, in NewVPC) (*VPC, Change, error) {
	if in.CIDR == "" {
		return nil, Change{}, Errorf(CodeMissingParameter, "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
	}
	block, err := parseBlock(in.CIDR, "cidrBlock", true)
	if err != nil {
		return nil, Change{}, err
	}
	if block.Bits() < 16 || block.Bits() > 28 || unusableBlock(block) {
		return nil, Change{}, Errorf(CodeInvalidVpcRange, "The CIDR '%s' is invalid.", in.CIDR)
	}
	tags, err := specifiedTags(in.TagSpecifications, "vpc")
	if err != nil {
		return nil, Change{}, err
	}
	if err := s.underVPCQuota(); err != nil {
		return nil, Change{}, err
	}
	d := s.draft()
	v := VPC{
		CIDRs:      []CIDRAssociation{{ID: AssociationID(env.ID("vpc-cidr-assoc")), CIDR: block}},
		DNSSupport: true, Tags: tags["vpc"],
	}
	if in.IPv6 {
		block, err := d.freeIPv6Block()
		if err != nil {
			return nil, Change{}, err
		}
		v.IPv6CIDRs = []CIDRAssociation{{ID: AssociationID(env.ID("vpc-cidr-assoc")), CIDR: block}}
	}
	made, err := d.addVPC(env, v)
	if err != nil {
		return nil, Change{}, err
	}
	return made, d.change(), nil
}

// underVPCQuota refuses one more VPC than an account may have.
func (s *State) underVPCQuota() error {
	if s.Count(KindVPC) >= s.Quota(VPCsPerRegion) {
		return Errorf(CodeVpcLimitExceeded, "The maximum number of VPCs has been reached.")
	}
	return nil
}

// addVPC puts a VPC under a new id, with its default group.
func (d *draft) addVPC(env Env, v VPC) (*VPC, error) {
	v.ID, v.Created = VPCID(env.ID("vpc")), env.Now
	d.put(&v)
	return &v, d.addDefaultGroup(env, &v)
}

// freeIPv6Block takes the next /56 of the installation's prefix that no VPC has.
func (d *draft) freeIPv6Block() (netip.Prefix, error) {
	self := *d.Installation()
	used := map[netip.Prefix]bool{}
	for v := range d.VPCs() {
		for _, a := range v.IPv6CIDRs {
			used[a.CIDR] = true
		}
	}
	for range 256 {
		block := subBlock(self.ULA, 56, int(self.NextIPv6))
		self.NextIPv6++ // from 255 to 0
		if !used[block] {
			d.put(&self)
			return block, nil
		}
	}
	return netip.Prefix{}, Errorf(CodeVpcLimitExceeded, "The maximum number of IPv6 blocks has been reached.")
}

// DeleteVPC removes a VPC with its default group, and with the requests to peer with it. It refuses
// one with subnets, interfaces, other groups, those of other VPCs that are associated with it included,
// or active peering connections.
func (s *State) DeleteVPC(env Env, id VPCID) (Change, error) {
	v, err := s.findVPC(id)
	if err != nil {
		return Change{}, err
	}
	d := s.draft()
	pinned := false
	for range d.SubnetsOfVPC(v.ID) {
		pinned = true
	}
	for range d.InterfacesOfVPC(v.ID) {
		pinned = true
	}
	for range d.ActivePeers(v.ID) {
		pinned = true
	}
	for range d.GroupsAssociatedWith(v.ID) {
		pinned = true
	}
	var groups []*SecurityGroup
	for g := range d.GroupsOfVPC(v.ID) {
		pinned = pinned || g.Name != defaultGroupName
		groups = append(groups, g)
	}
	if pinned {
		return Change{}, Errorf(CodeDependencyViolation, "The vpc '%s' has dependencies and cannot be deleted.", v.ID)
	}
	for _, g := range groups {
		d.delete(g.Key())
	}
	for p := range s.PeeringsOfVPC(v.ID) {
		if p.Status == PeeringPending {
			d.endPeering(env, p, PeeringDeleted)
		}
	}
	d.delete(v.Key())
	if self := *d.Installation(); self.DefaultVPC == v.ID {
		self.DefaultVPC = ""
		d.put(&self)
	}
	return d.change(), nil
}

// findVPC returns the VPC with that id, or MissingParameter, InvalidVpcID.Malformed or
// InvalidVpcID.NotFound.
func (s *State) findVPC(id VPCID) (*VPC, error) {
	if id == "" {
		return nil, errMissing("vpcId")
	}
	return s.vpcOrDefault(id)
}

func errMissing(parameter string) *Error {
	return Errorf(CodeMissingParameter, "The request must contain the parameter %s", parameter)
}

// parseBlock reads a CIDR block of one family as a client writes it, and clears the host bits.
func parseBlock(text, parameter string, is4 bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4() != is4 || p.Addr().Is4In6() {
		return p, Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter %s is invalid. This is not a valid CIDR block.", text, parameter)
	}
	return p.Masked(), nil
}

// VPCAttribute is the name of a VPC's attribute as DescribeVpcAttribute knows it.
type VPCAttribute string

// The attributes of a VPC.
const (
	EnableDNSSupport                 VPCAttribute = "enableDnsSupport"
	EnableDNSHostnames               VPCAttribute = "enableDnsHostnames"
	EnableNetworkAddressUsageMetrics VPCAttribute = "enableNetworkAddressUsageMetrics"
)

// DescribeVPCAttribute returns the VPC and the value of one of its attributes.
func (s *State) DescribeVPCAttribute(id VPCID, name VPCAttribute) (*VPC, bool, error) {
	v, err := s.findVPC(id)
	if err != nil {
		return nil, false, err
	}
	c := *v
	at := c.attribute(name)
	if at == nil {
		return nil, false, Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter attribute is invalid. Unknown attribute.", name)
	}
	return v, *at, nil
}

// attribute returns where the value of an attribute is, nil for an unknown one.
func (v *VPC) attribute(name VPCAttribute) *bool {
	switch name {
	case EnableDNSSupport:
		return &v.DNSSupport
	case EnableDNSHostnames:
		return &v.DNSHostnames
	case EnableNetworkAddressUsageMetrics:
		return &v.UsageMetrics
	default:
		return nil
	}
}

// ModifyVPC changes attributes of a VPC: exactly one per call. They are stored and shown; there is no
// DNS and there are no metrics.
func (s *State) ModifyVPC(id VPCID, in map[VPCAttribute]bool) (Change, error) {
	v, err := s.findVPC(id)
	if err != nil {
		return Change{}, err
	}
	names := make([]string, 0, len(in))
	c := *v
	for name, value := range in {
		names = append(names, string(name))
		*c.attribute(name) = value
	}
	switch {
	case len(names) == 0:
		return Change{}, errNoAttributes()
	case len(names) > 1:
		slices.Sort(names)
		return Change{}, errManyAttributes(names...)
	case c.DNSHostnames && !v.DNSHostnames && !v.DNSSupport:
		return Change{}, Errorf(CodeInvalidParameterCombination, "DNS hostnames need DNS support: enable it first.")
	}
	d := s.draft()
	d.put(&c)
	return d.change(), nil
}

// errManyAttributes refuses more than one attribute in a call, which EC2 names.
func errManyAttributes(names ...string) *Error {
	text := "Fields for multiple attribute types specified"
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	return Errorf(CodeInvalidParameterCombination, "%s", text)
}

// VPCQuery selects VPCs: those with the ids, or all, that pass the filters.
type VPCQuery struct {
	IDs     []VPCID // not together with Page.Max
	Filters []Filter
	Page    Page
}

// DescribeVPCs returns the VPCs in order of creation and the token of the next page. An unknown id
// fails the whole call.
func (s *State) DescribeVPCs(in VPCQuery) ([]*VPC, string, error) {
	if len(in.IDs) > 0 && in.Page.Max != nil {
		return nil, "", errCombination("VpcIds", "MaxResults")
	}
	match, err := vpcFields.Where(s, in.Filters, func(v *VPC) Tags { return v.Tags })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, s.VPCs(), s.findVPC, match)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "vpc", func(v *VPC) string { return createdKey(v.Created, v.ID) }, in.Page)
}

var vpcFields = Fields[*VPC]{
	"cidr":                              func(_ *State, v *VPC) []string { return []string{v.CIDRs[0].CIDR.String()} },
	"cidr-block":                        func(_ *State, v *VPC) []string { return []string{v.CIDRs[0].CIDR.String()} },
	"cidrBlock":                         func(_ *State, v *VPC) []string { return []string{v.CIDRs[0].CIDR.String()} },
	"cidr-block-association.cidr-block": func(_ *State, v *VPC) []string { return blocks(v.CIDRs) },
	"cidr-block-association.association-id": func(_ *State, v *VPC) []string {
		return associations(v.CIDRs)
	},
	"cidr-block-association.state":                constant[*VPC]("associated"),
	"dhcp-options-id":                             constant[*VPC]("default"),
	"ipv6-cidr-block-association.ipv6-cidr-block": func(_ *State, v *VPC) []string { return blocks(v.IPv6CIDRs) },
	"ipv6-cidr-block-association.ipv6-pool":       func(_ *State, v *VPC) []string { return each(v.IPv6CIDRs, IPv6Pool) },
	"ipv6-cidr-block-association.association-id":  func(_ *State, v *VPC) []string { return associations(v.IPv6CIDRs) },
	"ipv6-cidr-block-association.state":           func(_ *State, v *VPC) []string { return each(v.IPv6CIDRs, "associated") },
	"is-default":                                  func(_ *State, v *VPC) []string { return boolean(v.IsDefault) },
	"isDefault":                                   func(_ *State, v *VPC) []string { return boolean(v.IsDefault) },
	"owner-id":                                    owner[*VPC],
	"state":                                       constant[*VPC]("available"),
	"vpc-id":                                      func(_ *State, v *VPC) []string { return []string{string(v.ID)} },
}

// IPv6Pool is the name of the pool that the VPCs' IPv6 blocks come from, as EC2 calls it.
const IPv6Pool = "Amazon"
