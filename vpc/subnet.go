package vpc

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// NewSubnet is what a CreateSubnet call asks for.
type NewSubnet struct {
	VPC               VPCID
	CIDR              string // IPv4; host bits are cleared
	IPv6CIDR          string // a /64 of the VPC's block; empty: none
	Zone              string // name; empty: the first zone, unless ZoneID is given
	ZoneID            string
	TagSpecifications []TagSpecification
}

// CreateSubnet makes a subnet in a VPC.
func (s *State) CreateSubnet(env Env, in NewSubnet) (*Subnet, Change, error) {
	v, err := s.findVPC(in.VPC)
	if err != nil {
		return nil, Change{}, err
	}
	if in.CIDR == "" {
		return nil, Change{}, Errorf(CodeMissingParameter, "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
	}
	block, err := parseBlock(in.CIDR, "cidrBlock", true)
	if err != nil {
		return nil, Change{}, err
	}
	if block.Bits() < 16 || block.Bits() > 28 || !within(v.CIDRs, block) {
		return nil, Change{}, Errorf(CodeInvalidSubnetRange, "The CIDR '%s' is invalid.", in.CIDR)
	}
	zone, err := s.subnetZone(in)
	if err != nil {
		return nil, Change{}, err
	}
	tags, err := specifiedTags(in.TagSpecifications, "subnet")
	if err != nil {
		return nil, Change{}, err
	}
	n := &Subnet{
		ID: SubnetID(env.ID("subnet")), VPC: v.ID, Created: env.Now,
		Zone: zone.Name, CIDR: block, Tags: tags["subnet"],
	}
	if in.IPv6CIDR != "" {
		block6, err := s.subnetIPv6Block(v, in.IPv6CIDR)
		if err != nil {
			return nil, Change{}, err
		}
		n.IPv6CIDRs = []CIDRAssociation{{ID: AssociationID(env.ID("subnet-cidr-assoc")), CIDR: block6}}
	}
	count := 0
	for other := range s.SubnetsOfVPC(v.ID) {
		count++
		if other.CIDR.Overlaps(block) {
			return nil, Change{}, errSubnetConflict(in.CIDR)
		}
	}
	if count >= s.Quota(SubnetsPerVPC) {
		return nil, Change{}, Errorf(CodeSubnetLimitExceeded, "The maximum number of subnets has been reached.")
	}
	d := s.draft()
	d.put(n)
	return n, d.change(), nil
}

func (s *State) subnetZone(in NewSubnet) (Zone, error) {
	zones := s.Zones()
	if in.Zone == "" && in.ZoneID == "" {
		return zones[0], nil
	}
	if in.Zone != "" && in.ZoneID != "" {
		return Zone{}, errCombination("availabilityZone", "availabilityZoneId")
	}
	for _, z := range zones {
		if z.Name == in.Zone || z.ID == in.ZoneID {
			return z, nil
		}
	}
	value, parameter, names := in.Zone, "availabilityZone", make([]string, len(zones))
	for i, z := range zones {
		names[i] = z.Name
	}
	if in.ZoneID != "" {
		value, parameter = in.ZoneID, "availabilityZoneId"
		for i, z := range zones {
			names[i] = z.ID
		}
	}
	return Zone{}, Errorf(CodeInvalidParameterValue, "Value (%s) for parameter %s is invalid. Subnets can currently "+
		"only be created in the following availability zones: %s.", value, parameter, strings.Join(names, ", "))
}

func within(blocks []CIDRAssociation, p netip.Prefix) bool {
	return slices.ContainsFunc(blocks, func(a CIDRAssociation) bool {
		return a.CIDR.Bits() <= p.Bits() && a.CIDR.Contains(p.Addr())
	})
}

func errSubnetConflict(cidr string) *Error {
	return Errorf(CodeInvalidSubnetConflict, "The CIDR '%s' conflicts with another subnet", cidr)
}

// DeleteSubnet removes a subnet. It refuses one with interfaces.
func (s *State) DeleteSubnet(id SubnetID) (Change, error) {
	n, err := s.findSubnet(id)
	if err != nil {
		return Change{}, err
	}
	for range s.InterfacesOfSubnet(n.ID) {
		return Change{}, Errorf(CodeDependencyViolation, "The subnet '%s' has dependencies and cannot be deleted.", n.ID)
	}
	d := s.draft()
	d.delete(n.Key())
	return d.change(), nil
}

// SubnetChange is what a ModifySubnetAttribute call asks for: exactly one field is set. All but
// AssignIPv6AddressOnCreation are kept and shown: there are no public addresses and no names to give.
type SubnetChange struct {
	MapPublicIPOnLaunch         *bool
	AssignIPv6AddressOnCreation *bool
	EnableDNS64                 *bool
	ResourceNameDNSA            *bool
	ResourceNameDNSAAAA         *bool
	HostnameType                *string
}

// ModifySubnet changes one attribute of a subnet.
func (s *State) ModifySubnet(id SubnetID, in SubnetChange) (Change, error) {
	n, err := s.findSubnet(id)
	if err != nil {
		return Change{}, err
	}
	c := *n
	var given []string
	for _, flag := range []struct {
		name     string
		from, to *bool
	}{
		{"mapPublicIpOnLaunch", in.MapPublicIPOnLaunch, &c.MapPublicIPOnLaunch},
		{"assignIpv6AddressOnCreation", in.AssignIPv6AddressOnCreation, &c.AssignIPv6AddressOnCreation},
		{"enableDns64", in.EnableDNS64, &c.EnableDNS64},
		{"enableResourceNameDnsARecordOnLaunch", in.ResourceNameDNSA, &c.ResourceNameDNSA},
		{"enableResourceNameDnsAAAARecordOnLaunch", in.ResourceNameDNSAAAA, &c.ResourceNameDNSAAAA},
	} {
		if flag.from != nil {
			given = append(given, flag.name)
			*flag.to = *flag.from
		}
	}
	if in.HostnameType != nil {
		given = append(given, "privateDnsHostnameTypeOnLaunch")
		c.HostnameType = *in.HostnameType
	}
	switch {
	case len(given) == 0:
		return Change{}, errNoAttributes()
	case len(given) > 1:
		return Change{}, errManyAttributes(given...)
	case in.HostnameType != nil && c.HostnameType != HostnameIPName && c.HostnameType != HostnameResourceName:
		return Change{}, errValue(c.HostnameType, "privateDnsHostnameTypeOnLaunch")
	case c.AssignIPv6AddressOnCreation && len(n.IPv6CIDRs) == 0:
		return Change{}, errNoIPv6(n)
	}
	if c.HostnameType == HostnameIPName {
		c.HostnameType = ""
	}
	d := s.draft()
	d.put(&c)
	return d.change(), nil
}

// What instances of a subnet are named after.
const (
	HostnameIPName       = "ip-name"
	HostnameResourceName = "resource-name"
)

// Hostnames returns the subnet's HostnameType as EC2 spells it.
func (n *Subnet) Hostnames() string {
	if n.HostnameType == "" {
		return HostnameIPName
	}
	return n.HostnameType
}

func errNoAttributes() *Error {
	return Errorf(CodeInvalidParameterCombination, "No attributes specified.")
}

// findSubnet returns the subnet with that id, or InvalidSubnetID.Malformed or
// InvalidSubnetID.NotFound.
func (s *State) findSubnet(id SubnetID) (*Subnet, error) {
	if _, err := ParseSubnetID(string(id)); err != nil {
		return nil, err
	}
	if n := s.Subnet(id); n != nil {
		return n, nil
	}
	return nil, Errorf(CodeInvalidSubnetIDNotFound, "The subnet ID '%s' does not exist", id)
}

// SubnetQuery selects subnets: those with the ids, or all, that pass the filters.
type SubnetQuery struct {
	IDs     []SubnetID // not together with Page.Max
	Filters []Filter
	Page    Page
}

// DescribeSubnets returns the subnets in order of creation and the token of the next page. An unknown
// id fails the whole call.
func (s *State) DescribeSubnets(in SubnetQuery) ([]*Subnet, string, error) {
	if len(in.IDs) > 0 && in.Page.Max != nil {
		return nil, "", errCombination("SubnetIds", "MaxResults")
	}
	match, err := subnetFields.Where(s, in.Filters, func(n *Subnet) Tags { return n.Tags })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, s.Subnets(), s.findSubnet, match)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "subnet", func(n *Subnet) string { return createdKey(n.Created, n.ID) }, in.Page)
}

// SubnetARN returns the ARN of a subnet.
func (s *State) SubnetARN(n *Subnet) string { return s.arn("subnet", string(n.ID)) }

// arn names a resource for all of AWS.
func (s *State) arn(kind, id string) string {
	self := s.Installation()
	return "arn:aws:ec2:" + self.Region + ":" + string(self.Account) + ":" + kind + "/" + id
}

var (
	subnetZoneName = func(_ *State, n *Subnet) []string { return []string{n.Zone} }
	subnetZoneID   = func(s *State, n *Subnet) []string { return []string{s.ZoneID(n.Zone)} }
	subnetBlock    = func(_ *State, n *Subnet) []string { return []string{n.CIDR.String()} }
	subnetDefault  = func(_ *State, n *Subnet) []string { return boolean(n.DefaultForZone) }
)

var subnetFields = Fields[*Subnet]{
	"availability-zone":    subnetZoneName,
	"availabilityZone":     subnetZoneName,
	"availability-zone-id": subnetZoneID,
	"availabilityZoneId":   subnetZoneID,
	"available-ip-address-count": func(s *State, n *Subnet) []string {
		return []string{strconv.Itoa(s.AvailableAddresses(n))}
	},
	"cidr":                            subnetBlock,
	"cidr-block":                      subnetBlock,
	"cidrBlock":                       subnetBlock,
	"customer-owned-ipv4-pool":        none[*Subnet],
	"default-for-az":                  subnetDefault,
	"defaultForAz":                    subnetDefault,
	"enable-dns64":                    func(_ *State, n *Subnet) []string { return boolean(n.EnableDNS64) },
	"enable-lni-at-device-index":      none[*Subnet],
	"ipv6-native":                     constant[*Subnet]("false"),
	"map-customer-owned-ip-on-launch": constant[*Subnet]("false"),
	"map-public-ip-on-launch":         func(_ *State, n *Subnet) []string { return boolean(n.MapPublicIPOnLaunch) },
	"ipv6-cidr-block-association.ipv6-cidr-block":      func(_ *State, n *Subnet) []string { return blocks(n.IPv6CIDRs) },
	"ipv6-cidr-block-association.association-id":       func(_ *State, n *Subnet) []string { return associations(n.IPv6CIDRs) },
	"ipv6-cidr-block-association.state":                func(_ *State, n *Subnet) []string { return each(n.IPv6CIDRs, "associated") },
	"outpost-arn":                                      none[*Subnet],
	"owner-id":                                         owner[*Subnet],
	"private-dns-name-options-on-launch.hostname-type": func(_ *State, n *Subnet) []string { return []string{n.Hostnames()} },
	"private-dns-name-options-on-launch.enable-resource-name-dns-a-record": func(_ *State, n *Subnet) []string {
		return boolean(n.ResourceNameDNSA)
	},
	"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": func(_ *State, n *Subnet) []string {
		return boolean(n.ResourceNameDNSAAAA)
	},
	"state":      constant[*Subnet]("available"),
	"subnet-arn": func(s *State, n *Subnet) []string { return []string{s.SubnetARN(n)} },
	"subnet-id":  func(_ *State, n *Subnet) []string { return []string{string(n.ID)} },
	"vpc-id":     func(_ *State, n *Subnet) []string { return []string{string(n.VPC)} },
}

// ZoneID returns the id of the zone of that name, "" for an unknown one.
func (s *State) ZoneID(name string) string {
	z, _ := s.zone(name)
	return z.ID
}

// What the tables of filters share.

func constant[T any](value string) func(*State, T) []string {
	return func(*State, T) []string { return []string{value} }
}

func none[T any](*State, T) []string { return nil }

func owner[T any](s *State, _ T) []string { return []string{string(s.Installation().Account)} }

func boolean(b bool) []string { return []string{strconv.FormatBool(b)} }

func blocks(list []CIDRAssociation) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.CIDR.String()
	}
	return out
}

func associations(list []CIDRAssociation) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = string(a.ID)
	}
	return out
}

// each returns the value once per element.
func each[T any](list []T, value string) []string {
	return slices.Repeat([]string{value}, len(list))
}

// asked returns the objects that match: of those with the given ids, or of all if there are none. An
// id that is malformed or unknown is an error.
func asked[ID comparable, T any](
	ids []ID, all iter.Seq[T], find func(ID) (T, error), match func(T) bool,
) ([]T, error) {
	var out []T
	if len(ids) == 0 {
		for o := range all {
			if match(o) {
				out = append(out, o)
			}
		}
		return out, nil
	}
	seen := map[ID]bool{}
	for _, id := range ids {
		o, err := find(id)
		if err != nil {
			return nil, err
		}
		if !seen[id] && match(o) {
			out = append(out, o)
		}
		seen[id] = true
	}
	return out, nil
}
