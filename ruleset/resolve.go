package ruleset

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// Resolve returns what a host needs to know of a State. It costs what the View holds, whatever else
// the State does: it asks only for the host's interfaces, their groups, and what those name.
// Names and addresses in the View are sorted; descriptions and tags of rules are left out.
func Resolve(s *vpc.State, host vpc.HostID) *View {
	v, _ := ResolveScope(s, host)
	return v
}

// ResolveInterfaces is Resolve for any interfaces, on one host or not.
func ResolveInterfaces(s *vpc.State, interfaces iter.Seq[*vpc.NetworkInterface]) *View {
	v, _ := resolve(s, interfaces)
	return v
}

// ResolveScope is Resolve, and returns too what that View depends on.
func ResolveScope(s *vpc.State, host vpc.HostID) (*View, *Scope) {
	v, c := resolve(s, s.InterfacesOfHost(host))
	c.host = host
	return v, c
}

func resolve(s *vpc.State, interfaces iter.Seq[*vpc.NetworkInterface]) (*View, *Scope) {
	v := emptyView(s)
	c := &Scope{
		carried: map[vpc.GroupID]bool{}, groups: map[vpc.GroupID]bool{}, lists: map[vpc.PrefixListID]bool{},
		domains: map[vpc.VPCID][]vpc.VPCID{},
	}
	for e := range interfaces {
		v.ENIs[e.ID] = resolveENI(s, e)
		addDomain(c.domains, s, e.VPC)
		for _, id := range e.Groups {
			c.carried[id] = true
		}
	}
	for id := range c.carried {
		c.addGroup(v, s, id)
		addNamed(c.groups, c.lists, v.Groups[id].Rules)
	}
	for id := range c.lists {
		c.addList(v, s, id)
	}
	for id := range c.groups {
		for e := range s.InterfacesOfGroup(id) {
			if _, ok := v.Members[e.ID]; !ok {
				c.addMember(v, e)
			}
		}
	}
	return v, c
}

func emptyView(s *vpc.State) *View {
	return &View{
		Revision: s.Revision(),
		ENIs:     map[vpc.InterfaceID]ENI{},
		Groups:   map[vpc.GroupID]Group{},
		Members:  map[vpc.InterfaceID]Member{},
		Lists:    map[vpc.PrefixListID][]netip.Prefix{},
	}
}

// addDomain notes that this host has interfaces in a VPC: there mean something the addresses of that
// VPC and of its active peers.
func addDomain(domains map[vpc.VPCID][]vpc.VPCID, s *vpc.State, id vpc.VPCID) {
	if slices.Contains(domains[id], id) {
		return
	}
	add := func(of vpc.VPCID) {
		at, found := slices.BinarySearch(domains[of], id)
		if !found {
			domains[of] = slices.Insert(domains[of], at, id)
		}
	}
	add(id)
	for peer := range s.ActivePeers(id) {
		add(peer)
	}
}

func resolveENI(s *vpc.State, e *vpc.NetworkInterface) ENI {
	eni := ENI{
		ID:              e.ID,
		Domain:          e.VPC,
		MAC:             e.MAC,
		Addresses:       addresses(e),
		Prefixes:        delegated(e),
		Groups:          sortedSet(e.Groups),
		SourceDestCheck: e.SourceDestCheck,
		Observe:         s.ObservesUntil(e),
		Timeouts: Timeouts{
			TCPEstablished: time.Duration(e.Tracking.TCPEstablished) * time.Second,
			UDPStream:      time.Duration(e.Tracking.UDPStream) * time.Second,
			UDP:            time.Duration(e.Tracking.UDP) * time.Second,
		},
	}
	if n := s.Subnet(e.Subnet); n != nil {
		eni.Routers = n.Routers()
	}
	return eni
}

func resolveGroup(g *vpc.SecurityGroup) Group {
	rules := make([]vpc.Rule, len(g.Rules))
	for i, r := range g.Rules {
		// What no packet can depend on makes no Delta; whether a peer is stale shows in the members.
		r.Description, r.Changed, r.Tags, r.First, r.PeerVPC, r.Peering = "", 0, nil, 0, "", ""
		rules[i] = r
	}
	return Group{ID: g.ID, Rules: rules}
}

// addNamed adds the groups and prefix lists that are a peer of some rule.
func addNamed(groups map[vpc.GroupID]bool, lists map[vpc.PrefixListID]bool, rules []vpc.Rule) {
	for _, r := range rules {
		if r.Peer.Group != "" {
			groups[r.Peer.Group] = true
		}
		if r.Peer.PrefixList != "" {
			lists[r.Peer.PrefixList] = true
		}
	}
}

// entries returns the CIDRs of a prefix list, sorted by address, then length.
func entries(of []vpc.PrefixListEntry) []netip.Prefix {
	cidrs := make([]netip.Prefix, len(of))
	for i, e := range of {
		cidrs[i] = e.CIDR
	}
	slices.SortFunc(cidrs, netip.Prefix.Compare)
	return cidrs
}

// delegated returns the prefixes of an interface, of both families, sorted; nil: none.
func delegated(e *vpc.NetworkInterface) []netip.Prefix {
	if len(e.IPv4Prefixes)+len(e.IPv6Prefixes) == 0 {
		return nil
	}
	ps := slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes)
	slices.SortFunc(ps, netip.Prefix.Compare)
	return ps
}

// addresses returns the private addresses of an interface, of both families, sorted.
func addresses(e *vpc.NetworkInterface) []netip.Addr {
	as := slices.Concat(e.IPv4, e.IPv6)
	slices.SortFunc(as, netip.Addr.Compare)
	return as
}

// sortedSet returns a sorted copy without repetitions.
func sortedSet[T cmp.Ordered](s []T) []T {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
