package ruleset

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Resolve returns what a host needs to know of a State. It costs what the View holds, whatever else
// the State does: it asks only for the host's interfaces, their groups and those groups' members.
// Names and addresses in the View are sorted; descriptions and tags of rules are left out.
func Resolve(s *vpc.State, host vpc.HostID) *View {
	v := &View{
		Revision: s.Revision(),
		ENIs:     map[vpc.InterfaceID]ENI{},
		Groups:   map[vpc.GroupID]Group{},
		Members:  map[vpc.InterfaceID]Member{},
	}
	for e := range s.InterfacesOfHost(host) {
		v.ENIs[e.ID] = resolveENI(s, e)
		for _, id := range e.Groups {
			if _, ok := v.Groups[id]; ok {
				continue
			}
			if g := s.SecurityGroup(id); g != nil {
				v.Groups[id] = resolveGroup(g)
			}
		}
	}
	for id := range named(v.Groups) {
		for e := range s.InterfacesOfGroup(id) {
			m, ok := v.Members[e.ID]
			if !ok {
				m = Member{ID: e.ID, Domains: []vpc.VPCID{e.VPC}, Addresses: addresses(e)}
			}
			m.Groups = append(m.Groups, id)
			v.Members[e.ID] = m
		}
	}
	for _, m := range v.Members {
		slices.Sort(m.Groups) // in place: each slice was made above
	}
	return v
}

func resolveENI(s *vpc.State, e *vpc.NetworkInterface) ENI {
	eni := ENI{
		ID:              e.ID,
		Domain:          e.VPC,
		MAC:             e.MAC,
		Addresses:       addresses(e),
		Groups:          sortedSet(e.Groups),
		SourceDestCheck: e.SourceDestCheck,
	}
	if n := s.Subnet(e.Subnet); n != nil {
		eni.Routers = n.Routers()
	}
	return eni
}

func resolveGroup(g *vpc.SecurityGroup) Group {
	rules := make([]vpc.Rule, len(g.Rules))
	for i, r := range g.Rules {
		r.Description, r.Tags = "", nil // what no packet can depend on makes no Delta
		rules[i] = r
	}
	return Group{ID: g.ID, Rules: rules}
}

// named returns the groups that are a peer of some rule.
func named(groups map[vpc.GroupID]Group) map[vpc.GroupID]bool {
	names := map[vpc.GroupID]bool{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Peer.Group != "" {
				names[r.Peer.Group] = true
			}
		}
	}
	return names
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
