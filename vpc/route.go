package vpc

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// Route tables and network ACLs cannot be changed, so they are not stored: what a VPC has of them is
// worked out from it and its peers. Their ids are the VPC's own, with another prefix.

// RouteTable is the main route table of a VPC, the only one, which all its subnets use.
type RouteTable struct {
	ID          string        // rtb-…
	Association AssociationID // with the VPC, as its main one: rtbassoc-…
	VPC         *VPC
	Routes      []Route // its own blocks first, then those of its active peers
}

// Route says where packets for a block go.
type Route struct {
	Destination netip.Prefix
	Peering     PeeringID // empty: local
}

// RouteTable returns the main route table of a VPC.
func (s *State) RouteTable(v *VPC) *RouteTable {
	digits := digitsOf(string(v.ID))
	t := &RouteTable{ID: "rtb-" + digits, Association: AssociationID("rtbassoc-" + digits), VPC: v}
	for _, p := range v.prefixes() {
		t.Routes = append(t.Routes, Route{Destination: p})
	}
	for p := range s.PeeringsOfVPC(v.ID) {
		peer := s.VPC(p.Other(v.ID))
		if p.Status != PeeringActive || peer == nil {
			continue
		}
		for _, block := range peer.prefixes() {
			t.Routes = append(t.Routes, Route{block, p.ID})
		}
	}
	return t
}

// digitsOf returns an id without its prefix.
func digitsOf(id string) string { return id[strings.LastIndex(id, "-")+1:] }

// RouteTableQuery selects route tables: those with the ids, or all, that pass the filters.
type RouteTableQuery struct {
	IDs     []string
	Filters []Filter
	Page    Page
}

// DescribeRouteTables returns the route tables in the order in which their VPCs were made, and the
// token of the next page. An unknown id fails the whole call.
func (s *State) DescribeRouteTables(in RouteTableQuery) ([]*RouteTable, string, error) {
	match, err := routeTableFields.Where(s, in.Filters, func(*RouteTable) Tags { return nil })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, ofVPCs(s, s.RouteTable), func(id string) (*RouteTable, error) {
		v, err := s.vpcOf(id, "rtb", "routeTable", CodeInvalidRouteTableIDMalformed, CodeInvalidRouteTableIDNotFound)
		if err != nil {
			return nil, err
		}
		return s.RouteTable(v), nil
	}, match)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "rtb", func(t *RouteTable) string { return createdKey(t.VPC.Created, t.ID) }, in.Page)
}

// ofVPCs yields what every VPC has one of.
func ofVPCs[T any](s *State, of func(*VPC) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range s.VPCs() {
			if !yield(of(v)) {
				return
			}
		}
	}
}

// vpcOf returns the VPC whose own a thing with that id is.
func (s *State) vpcOf(id, prefix, noun string, malformed, notFound Code) (*VPC, error) {
	if _, err := parseID[string](id, prefix, malformed); err != nil {
		return nil, err
	}
	if v := s.VPC(VPCID("vpc-" + digitsOf(id))); v != nil {
		return v, nil
	}
	return nil, Errorf(notFound, "The %s ID '%s' does not exist", noun, id)
}

// route makes a filter of what the routes of a table have, those with "" left out.
func route(of func(Route) string) func(*State, *RouteTable) []string {
	return func(_ *State, t *RouteTable) []string {
		var out []string
		for _, r := range t.Routes {
			if v := of(r); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
}

// Origin returns how EC2 says that the route came to be: with the table, or by a call.
func (r Route) Origin() string {
	if r.Peering == "" {
		return "CreateRouteTable"
	}
	return "CreateRoute"
}

// Gateway returns EC2's name of a target that is no resource: local.
func (r Route) Gateway() string {
	if r.Peering == "" {
		return "local"
	}
	return ""
}

var routeTableID = func(_ *State, t *RouteTable) []string { return []string{t.ID} }

var routeTableFields = Fields[*RouteTable]{
	"association.gateway-id":                 none[*RouteTable],
	"association.main":                       constant[*RouteTable]("true"),
	"association.route-table-association-id": func(_ *State, t *RouteTable) []string { return []string{string(t.Association)} },
	"association.route-table-id":             routeTableID,
	"association.subnet-id":                  none[*RouteTable], // of explicit ones
	"owner-id":                               owner[*RouteTable],
	"route-table-id":                         routeTableID,
	"route.destination-cidr-block": route(func(r Route) string {
		if !r.Destination.Addr().Is4() {
			return ""
		}
		return r.Destination.String()
	}),
	"route.destination-ipv6-cidr-block": route(func(r Route) string {
		if r.Destination.Addr().Is4() {
			return ""
		}
		return r.Destination.String()
	}),
	"route.destination-prefix-list-id":      none[*RouteTable],
	"route.egress-only-internet-gateway-id": none[*RouteTable],
	"route.gateway-id":                      route(Route.Gateway),
	"route.instance-id":                     none[*RouteTable],
	"route.nat-gateway-id":                  none[*RouteTable],
	"route.origin":                          route(Route.Origin),
	"route.state":                           constant[*RouteTable]("active"),
	"route.transit-gateway-id":              none[*RouteTable],
	"route.vpc-peering-connection-id":       route(func(r Route) string { return string(r.Peering) }),
	"vpc-id":                                func(_ *State, t *RouteTable) []string { return []string{string(t.VPC.ID)} },
}

// NetworkACL is the default network ACL of a VPC, the only one: it lets everything pass.
type NetworkACL struct {
	ID           string // acl-…
	VPC          *VPC
	Associations []NetworkACLAssociation // with all subnets of the VPC
	Entries      []NetworkACLEntry       // egress first, each direction by number
}

// NetworkACLAssociation ties a subnet to an ACL.
type NetworkACLAssociation struct {
	ID     AssociationID // aclassoc-…
	Subnet SubnetID
}

// NetworkACLEntry allows or denies all protocols of a block.
type NetworkACLEntry struct {
	Egress bool
	Number int
	CIDR   netip.Prefix // all of a family
	Allow  bool
}

// Action returns allow or deny.
func (e NetworkACLEntry) Action() string {
	if e.Allow {
		return "allow"
	}
	return "deny"
}

// NetworkACL returns the default network ACL of a VPC. Source: VPC user guide, "Default network ACL".
func (s *State) NetworkACL(v *VPC) *NetworkACL {
	a := &NetworkACL{ID: "acl-" + digitsOf(string(v.ID)), VPC: v}
	for n := range s.SubnetsOfVPC(v.ID) {
		a.Associations = append(a.Associations, NetworkACLAssociation{AssociationID("aclassoc-" + digitsOf(string(n.ID))), n.ID})
	}
	for _, egress := range []bool{true, false} {
		a.Entries = append(a.Entries, NetworkACLEntry{egress, 100, anyIPv4, true})
		if len(v.IPv6CIDRs) > 0 {
			a.Entries = append(a.Entries, NetworkACLEntry{egress, 101, anyIPv6, true})
		}
		a.Entries = append(a.Entries, NetworkACLEntry{egress, 32767, anyIPv4, false})
		if len(v.IPv6CIDRs) > 0 {
			a.Entries = append(a.Entries, NetworkACLEntry{egress, 32768, anyIPv6, false})
		}
	}
	return a
}

// NetworkACLQuery selects network ACLs: those with the ids, or all, that pass the filters.
type NetworkACLQuery struct {
	IDs     []string
	Filters []Filter
	Page    Page
}

// DescribeNetworkACLs returns the network ACLs in the order in which their VPCs were made, and the
// token of the next page. An unknown id fails the whole call.
func (s *State) DescribeNetworkACLs(in NetworkACLQuery) ([]*NetworkACL, string, error) {
	match, err := networkACLFields.Where(s, in.Filters, func(*NetworkACL) Tags { return nil })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, ofVPCs(s, s.NetworkACL), func(id string) (*NetworkACL, error) {
		v, err := s.vpcOf(id, "acl", "networkAcl", CodeInvalidNetworkACLIDMalformed, CodeInvalidNetworkACLIDNotFound)
		if err != nil {
			return nil, err
		}
		return s.NetworkACL(v), nil
	}, match)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "acl", func(a *NetworkACL) string { return createdKey(a.VPC.Created, a.ID) }, in.Page)
}

var networkACLID = func(_ *State, a *NetworkACL) []string { return []string{a.ID} }

// aclEntry makes a filter of what the entries of an ACL have, those with "" left out.
func aclEntry(of func(NetworkACLEntry) string) func(*State, *NetworkACL) []string {
	return func(_ *State, a *NetworkACL) []string {
		var out []string
		for _, e := range a.Entries {
			if v := of(e); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
}

var networkACLFields = Fields[*NetworkACL]{
	"association.association-id": func(_ *State, a *NetworkACL) (out []string) {
		for _, x := range a.Associations {
			out = append(out, string(x.ID))
		}
		return out
	},
	"association.network-acl-id": networkACLID,
	"association.subnet-id": func(_ *State, a *NetworkACL) (out []string) {
		for _, x := range a.Associations {
			out = append(out, string(x.Subnet))
		}
		return out
	},
	"default": constant[*NetworkACL]("true"),
	"entry.cidr": aclEntry(func(e NetworkACLEntry) string {
		if e.CIDR != anyIPv4 {
			return ""
		}
		return e.CIDR.String()
	}),
	"entry.egress":    aclEntry(func(e NetworkACLEntry) string { return strconv.FormatBool(e.Egress) }),
	"entry.icmp.code": none[*NetworkACL],
	"entry.icmp.type": none[*NetworkACL],
	"entry.ipv6-cidr": aclEntry(func(e NetworkACLEntry) string {
		if e.CIDR != anyIPv6 {
			return ""
		}
		return e.CIDR.String()
	}),
	"entry.port-range.from": none[*NetworkACL],
	"entry.port-range.to":   none[*NetworkACL],
	"entry.protocol":        constant[*NetworkACL]("-1"),
	"entry.rule-action":     aclEntry(NetworkACLEntry.Action),
	"entry.rule-number":     aclEntry(func(e NetworkACLEntry) string { return strconv.Itoa(e.Number) }),
	"network-acl-id":        networkACLID,
	"owner-id":              owner[*NetworkACL],
	"vpc-id":                func(_ *State, a *NetworkACL) []string { return []string{string(a.VPC.ID)} },
}

// InternetGatewayQuery selects internet gateways. There are none.
type InternetGatewayQuery struct {
	IDs     []string
	Filters []Filter
	Page    Page
}

// CheckInternetGateways refuses a query that is wrong, and so one for a gateway: there are none.
func (s *State) CheckInternetGateways(in InternetGatewayQuery) error {
	none := none[struct{}]
	fields := Fields[struct{}]{
		"attachment.state": none, "attachment.vpc-id": none, "internet-gateway-id": none, "owner-id": none,
	}
	if _, err := fields.Where(s, in.Filters, func(struct{}) Tags { return nil }); err != nil {
		return err
	}
	if len(in.IDs) > 0 {
		id, err := parseID[string](in.IDs[0], "igw", CodeInvalidInternetGatewayIDMalformed)
		if err != nil {
			return err
		}
		return Errorf(CodeInvalidInternetGatewayIDNotFound, "The internetGateway ID '%s' does not exist", id)
	}
	_, _, err := paginate[string](nil, "igw", nil, in.Page)
	return err
}
