package vpc

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Permission is what the API says of rules: one protocol and port range for any number of peers.
// Each peer is a rule of its own.
type Permission struct {
	Protocol string // tcp, 6, -1; "": none was given
	From, To *int32
	Peers    []PermissionPeer
}

// PermissionPeer is the far side of one rule as the API says it. One of the first four is set; a
// peer with none of them was sent empty.
type PermissionPeer struct {
	IPv4        string // 10.1.2.3/8 is accepted: host bits are cleared
	IPv6        string
	PrefixList  PrefixListID
	Group       GroupID
	GroupName   string    // instead of Group: of a group in the default VPC
	Account     AccountID // of the group; "" in a request: ours; in an answer: a peer's group, that is gone
	Description string

	// Of a group in another VPC; in answers only.
	VPC           VPCID
	Peering       PeeringID // "": none was ever needed
	PeeringStatus PeeringStatus
}

// FlatPermission is the older form of one permission, without IPv6 and descriptions.
type FlatPermission struct {
	Protocol     string
	From, To     *int32
	CIDR         string
	GroupName    string // alone: all of ICMP, TCP and UDP from the group
	GroupAccount AccountID
}

func (f FlatPermission) empty() bool { return f == FlatPermission{} }

// permissions returns what f stands for.
func (f FlatPermission) permissions() ([]Permission, error) {
	if f.GroupName != "" {
		switch {
		case f.CIDR != "":
			return nil, errCombination("sourceSecurityGroupName", "cidrIp")
		case f.Protocol != "":
			return nil, errCombination("sourceSecurityGroupName", "ipProtocol")
		case f.From != nil:
			return nil, errCombination("sourceSecurityGroupName", "fromPort")
		case f.To != nil:
			return nil, errCombination("sourceSecurityGroupName", "toPort")
		}
		peers := []PermissionPeer{{GroupName: f.GroupName, Account: f.GroupAccount}}
		all, none, last := int32(-1), int32(0), int32(65535)
		return []Permission{
			{Protocol: "icmp", From: &all, To: &all, Peers: peers},
			{Protocol: "tcp", From: &none, To: &last, Peers: peers},
			{Protocol: "udp", From: &none, To: &last, Peers: peers},
		}, nil
	}
	if f.CIDR == "" && f.GroupAccount != "" {
		return nil, Errorf(CodeMissingParameter, "Source group ID missing.")
	}
	if f.CIDR == "" {
		return nil, Errorf(CodeMissingParameter,
			"Missing source specification: include source security group or CIDR information")
	}
	if p, err := ParseProtocol(f.Protocol); err == nil && p == ICMPv6 {
		return nil, errUnknownProtocol(f.Protocol)
	}
	return []Permission{{
		Protocol: f.Protocol, From: f.From, To: f.To,
		Peers: []PermissionPeer{{IPv4: f.CIDR}},
	}}, nil
}

// resolve says how the peers of a permission are looked at.
type resolve struct {
	group     *SecurityGroup // whose rules they are
	egress    bool
	mustExist bool // the groups and prefix lists: a new rule needs them, an old one is only compared
	described bool // a description counts, and must be well-formed
}

// rules returns one rule for each peer of the permissions, canonical, without ids.
func (s *State) rules(permissions []Permission, how resolve) ([]Rule, error) {
	var rules []Rule
	seen := map[identity]bool{}
	for _, p := range permissions {
		protocol, from, to, err := p.ports()
		if err != nil {
			return nil, err
		}
		if len(p.Peers) == 0 {
			return nil, errNoPeer()
		}
		for _, named := range p.Peers {
			r, err := s.rule(Rule{Egress: how.egress, Protocol: protocol, From: from, To: to}, named, how)
			if err != nil {
				return nil, err
			}
			if seen[r.identity()] {
				return nil, errTwice()
			}
			seen[r.identity()] = true
			rules = append(rules, r)
		}
	}
	return rules, nil
}

func errTwice() *Error {
	return Errorf(CodeInvalidParameterValue, "The same permission must not appear multiple times")
}

func errRuleDescription() *Error {
	return Errorf(CodeInvalidParameterValue, "Invalid rule description. Valid descriptions are %s", textAdvice)
}

// rule completes a rule with its peer and description.
func (s *State) rule(r Rule, named PermissionPeer, how resolve) (Rule, error) {
	var err error
	if r.Peer, err = s.peer(named, how); err != nil {
		return Rule{}, err
	}
	if how.described {
		if !validText(named.Description) {
			return Rule{}, errRuleDescription()
		}
		r.Description = named.Description
	}
	if p := s.SecurityGroup(r.Peer.Group); how.mustExist && p != nil && p.VPC != how.group.VPC {
		pcx := s.peering(how.group, p.reach())
		if pcx == nil && !shareVPC(how.group, p) {
			return Rule{}, Errorf(CodeInvalidGroupNotFound,
				"You have specified two resources that belong to different networks.")
		}
		r.PeerVPC = p.VPC
		if pcx != nil {
			r.Peering = pcx.ID
		}
	}
	return r, nil
}

func errNoPeer() *Error {
	return Errorf(CodeInvalidParameterValue, "Invalid permission: exactly one of remote-security-group, "+
		"remote-ip-range, remote-ipv6-range, or prefix-list-id must be present.")
}

// ports returns the protocol and ports as a rule has them.
func (p Permission) ports() (protocol Protocol, from, to int32, err error) {
	protocol, err = ParseProtocol(p.Protocol)
	if err != nil {
		return 0, 0, 0, err
	}
	switch protocol {
	case TCP, UDP:
		if p.From == nil || p.To == nil {
			return 0, 0, 0, errPortsMissing("TCP/UDP")
		}
		from, to = *p.From, *p.To
		switch {
		case from < 0 || from > 65535:
			err = Errorf(CodeInvalidParameterValue, "TCP/UDP (from) port (%d) out of range", from)
		case to < 0 || to > 65535:
			err = Errorf(CodeInvalidParameterValue, "TCP/UDP (to) port (%d) out of range", to)
		case from > to:
			err = Errorf(CodeInvalidParameterValue, "Invalid TCP/UDP port range (%d:%d)", from, to)
		}
		return protocol, from, to, err
	case ICMP, ICMPv6:
		if protocol == ICMPv6 && p.From == nil && p.To == nil {
			return protocol, -1, -1, nil
		}
		if p.From == nil || p.To == nil {
			return 0, 0, 0, errPortsMissing("ICMP")
		}
		from, to = *p.From, *p.To
		switch {
		case from < -1 || from > 255:
			err = Errorf(CodeInvalidParameterValue, "ICMP type (%d) out of range", from)
		case to < -1 || to > 255 || from == -1 && to != -1:
			err = Errorf(CodeInvalidParameterValue, "ICMP code (%d) out of range", to)
		}
		return protocol, from, to, err
	default: // all of the protocol, whatever ports were sent
		return protocol, -1, -1, nil
	}
}

func errPortsMissing(with string) *Error {
	return Errorf(CodeInvalidParameterValue,
		"Invalid value for portRange. Must specify both from and to ports with %s.", with)
}

// protocolNames are the names that EC2 knows, in either case.
var protocolNames = map[Protocol]string{TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPv6: "icmpv6"}

// String returns tcp, udp, icmp, icmpv6, a number, or -1 for all.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// HasPorts reports whether rules of the protocol have ports, or an ICMP type and code.
func (p Protocol) HasPorts() bool {
	_, ok := protocolNames[p]
	return ok
}

// ParseProtocol is the inverse of String, in either case.
func ParseProtocol(s string) (Protocol, error) {
	if s == "" {
		return 0, Errorf(CodeInvalidParameterValue,
			"Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.")
	}
	for p, name := range protocolNames {
		if strings.EqualFold(s, name) {
			return p, nil
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 || n > 255 || strconv.Itoa(n) != s {
		return 0, errUnknownProtocol(s)
	}
	return Protocol(n), nil
}

func errUnknownProtocol(s string) *Error {
	return Errorf(CodeInvalidParameterValue, "Invalid value '%s' for IP protocol. Unknown protocol.", s)
}

// peer returns the far side as a rule has it.
func (s *State) peer(p PermissionPeer, how resolve) (Peer, error) {
	switch {
	case p.IPv4 != "":
		c, err := parseCIDR(p.IPv4)
		if err != nil || !c.Addr().Is4() {
			return Peer{}, errCIDR(p.IPv4)
		}
		return Peer{CIDR: c}, nil
	case p.IPv6 != "":
		c, err := parseCIDR(p.IPv6)
		if err != nil || !c.Addr().Is6() {
			return Peer{}, errCIDR(p.IPv6)
		}
		return Peer{CIDR: c}, nil
	case p.PrefixList != "":
		id, err := ParsePrefixListID(string(p.PrefixList))
		if err == nil && how.mustExist && s.PrefixList(id) == nil {
			return Peer{}, errNoPrefixList(id)
		}
		return Peer{PrefixList: id}, err
	case p.Group != "" || p.GroupName != "":
		return s.groupPeer(p, how)
	default:
		return Peer{}, errNoPeer()
	}
}

func (s *State) groupPeer(p PermissionPeer, how resolve) (Peer, error) {
	if p.Group != "" && p.GroupName != "" {
		return Peer{}, errCombination("groupName", "groupId")
	}
	if p.Account != "" && p.Account != s.Installation().Account {
		// No other account is served, so whatever it is said to have is not there.
		return Peer{}, errNoGroup(string(p.Group) + p.GroupName)
	}
	if p.Group != "" && !how.mustExist {
		id, err := ParseGroupID(string(p.Group))
		return Peer{Group: id}, err
	}
	g, err := s.findGroupByRef(GroupRef{p.Group, p.GroupName})
	if err != nil {
		return Peer{}, err
	}
	return Peer{Group: g.ID}, nil
}

// parseCIDR clears the host bits. IPv4 written as IPv6 is no CIDR: no packet has such an address.
func parseCIDR(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, errCIDR(s)
	}
	return p.Masked(), nil
}

func errCIDR(s string) *Error {
	return Errorf(CodeInvalidParameterValue, "CIDR block %s is malformed", s)
}

// Permissions returns the rules of one direction of a group as EC2 shows them: what has the same
// protocol and ports is one permission. From and To are nil for protocols without ports.
func (s *State) Permissions(g *SecurityGroup, egress bool) []Permission {
	return s.permissions(g, func(r Rule) bool { return r.Egress == egress })
}

// permissions returns those rules of a group that are to be shown.
func (s *State) permissions(g *SecurityGroup, show func(Rule) bool) []Permission {
	type ports struct {
		protocol Protocol
		from, to int32
	}
	n := 0
	for i := range g.Rules {
		if show(g.Rules[i]) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	list, at := make([]Permission, 0, n), make(map[ports]int, n)
	peers := make([]PermissionPeer, 0, n) // most permissions have one
	for n := range g.Rules {
		r := &g.Rules[n]
		if !show(*r) {
			continue
		}
		k := ports{r.Protocol, r.From, r.To}
		i, ok := at[k]
		if !ok {
			i = len(list)
			at[k] = i
			p := Permission{Protocol: r.Protocol.String()}
			if r.Protocol.HasPorts() {
				p.From, p.To = &r.From, &r.To // nobody writes to a rule
			}
			peers = append(peers, s.permissionPeer(g, *r))
			p.Peers = peers[len(peers)-1 : len(peers) : len(peers)]
			list = append(list, p)
			continue
		}
		list[i].Peers = append(list[i].Peers, s.permissionPeer(g, *r))
	}
	return list
}

func (s *State) permissionPeer(g *SecurityGroup, r Rule) PermissionPeer {
	p := PermissionPeer{PrefixList: r.Peer.PrefixList, Group: r.Peer.Group, Description: r.Description}
	p.IPv4, p.IPv6 = r.Peer.cidrs()
	if p.Group != "" {
		named := s.Reference(g, r)
		p.Account, p.VPC, p.Peering, p.PeeringStatus = named.Account, named.VPC, named.Peering, named.PeeringStatus
	}
	return p
}

// cidrs returns the CIDR of a peer under its family.
func (p Peer) cidrs() (ipv4, ipv6 string) {
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")]byte // String would allocate twice
	switch {
	case !p.CIDR.IsValid():
		return "", ""
	case p.CIDR.Addr().Is4():
		return string(p.CIDR.AppendTo(text[:0])), ""
	default:
		return "", string(p.CIDR.AppendTo(text[:0]))
	}
}

// String returns the CIDR, or the id of the group or prefix list.
func (p Peer) String() string {
	if p.CIDR.IsValid() {
		return p.CIDR.String()
	}
	return string(p.Group) + string(p.PrefixList)
}

// String returns the rule in the words of EC2's error messages:
// peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW
func (r Rule) String() string {
	var ports string
	switch r.Protocol {
	case TCP, UDP:
		ports = fmt.Sprintf("%s, from port: %d, to port: %d", strings.ToUpper(r.Protocol.String()), r.From, r.To)
	case ICMP, ICMPv6:
		all := func(n int32) string {
			if n == -1 {
				return "ALL"
			}
			return strconv.Itoa(int(n))
		}
		name := "ICMP"
		if r.Protocol == ICMPv6 {
			name = "ICMPv6"
		}
		ports = fmt.Sprintf("%s, type: %s, code: %s", name, all(r.From), all(r.To))
	case AllProtocols:
		ports = "ALL"
	default:
		ports = fmt.Sprintf("protocol: %d", r.Protocol)
	}
	return fmt.Sprintf("peer: %s, %s, ALLOW", r.Peer, ports)
}
