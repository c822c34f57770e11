package ruleset

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Scope says which parts of a State are in the View of one host. It is immutable, and holds until
// Touched says otherwise.
type Scope struct {
	host    vpc.HostID
	carried map[vpc.GroupID]bool      // by the host's interfaces
	groups  map[vpc.GroupID]bool      // named by a rule of those
	lists   map[vpc.PrefixListID]bool // named by a rule of those
	domains map[vpc.VPCID][]vpc.VPCID // by VPC: those of this host that its addresses mean something in
}

// Parts are names of parts of a View, each once.
type Parts struct {
	ENIs    map[vpc.InterfaceID]bool
	Groups  map[vpc.GroupID]bool
	Members map[vpc.InterfaceID]bool
	Lists   map[vpc.PrefixListID]bool
}

// Touched returns what of the View can differ between two States, if the Scope is of the first, and
// the objects with these keys are all that differ. ok is false if more can differ: another Scope is
// needed, and a whole View.
func (c *Scope) Touched(was, now *vpc.State, keys []vpc.Key) (p Parts, ok bool) {
	p = Parts{
		map[vpc.InterfaceID]bool{}, map[vpc.GroupID]bool{}, map[vpc.InterfaceID]bool{}, map[vpc.PrefixListID]bool{},
	}
	for _, k := range keys {
		before, after := was.Get(k), now.Get(k)
		switch k.Kind {
		case vpc.KindInterface:
			a, _ := before.(*vpc.NetworkInterface)
			b, _ := after.(*vpc.NetworkInterface)
			id := vpc.InterfaceID(k.ID)
			if c.here(a) || c.here(b) {
				if !c.here(a) || !c.here(b) || a.VPC != b.VPC || !slices.Equal(a.Groups, b.Groups) {
					return p, false
				}
				p.ENIs[id] = true
			}
			p.Members[id] = true
		case vpc.KindSecurityGroup:
			id := vpc.GroupID(k.ID)
			if !c.carried[id] {
				continue
			}
			a, _ := before.(*vpc.SecurityGroup)
			b, _ := after.(*vpc.SecurityGroup)
			if a == nil || b == nil || !a.Observe.Equal(b.Observe) || !sameNames(a, b) {
				return p, false
			}
			p.Groups[id] = true
		case vpc.KindPrefixList:
			if id := vpc.PrefixListID(k.ID); c.lists[id] {
				p.Lists[id] = true
			}
		case vpc.KindPrefixListVersion:
			for _, o := range []vpc.Object{before, after} {
				if v, _ := o.(*vpc.PrefixListVersion); v != nil && c.lists[v.List] {
					p.Lists[v.List] = true
				}
			}
		case vpc.KindInstallation, vpc.KindInstance, vpc.KindHost, vpc.KindAccessKey, vpc.KindUser, vpc.KindConsoleSession,
			vpc.KindSignInToken, vpc.KindInsightsPath, vpc.KindInsightsAnalysis:
		default: // a subnet, a VPC, a peering connection: rare, and many depend on it
			return p, false
		}
	}
	return p, true
}

// Resolve returns those of some parts that are in the View at a State for which the Scope holds.
func (c *Scope) Resolve(s *vpc.State, p Parts) *View {
	v := emptyView(s)
	for id := range p.ENIs {
		if e := s.NetworkInterface(id); c.here(e) {
			v.ENIs[id] = resolveENI(s, e)
		}
	}
	for id := range p.Groups {
		c.addGroup(v, s, id)
	}
	for id := range p.Members {
		c.addMember(v, s.NetworkInterface(id))
	}
	for id := range p.Lists {
		c.addList(v, s, id)
	}
	return v
}

func (c *Scope) here(e *vpc.NetworkInterface) bool {
	return e != nil && e.Binding != nil && e.Binding.Host == c.host
}

func (c *Scope) addGroup(v *View, s *vpc.State, id vpc.GroupID) {
	if g := s.SecurityGroup(id); g != nil && c.carried[id] {
		v.Groups[id] = resolveGroup(g)
	}
}

func (c *Scope) addList(v *View, s *vpc.State, id vpc.PrefixListID) {
	if c.lists[id] && s.PrefixList(id) != nil {
		v.Lists[id] = entries(s.PrefixListEntries(id))
	}
}

// addMember adds an interface that carries a group which is named, and whose addresses mean something
// here: a rule that names another's group is stale, or the member is elsewhere in its group.
func (c *Scope) addMember(v *View, e *vpc.NetworkInterface) {
	if e == nil || c.domains[e.VPC] == nil {
		return
	}
	var groups []vpc.GroupID
	for _, id := range e.Groups {
		if c.groups[id] {
			groups = append(groups, id)
		}
	}
	if groups != nil {
		slices.Sort(groups)
		v.Members[e.ID] = Member{
			ID: e.ID, Domains: c.domains[e.VPC], Addresses: addresses(e), Prefixes: delegated(e), Groups: slices.Compact(groups),
		}
	}
}

// sameNames reports whether the rules of two groups name the same groups and prefix lists.
func sameNames(a, b *vpc.SecurityGroup) bool {
	aGroups, aLists, bGroups, bLists := map[vpc.GroupID]bool{}, map[vpc.PrefixListID]bool{}, map[vpc.GroupID]bool{}, map[vpc.PrefixListID]bool{}
	addNamed(aGroups, aLists, a.Rules)
	addNamed(bGroups, bLists, b.Rules)
	return maps.Equal(aGroups, bGroups) && maps.Equal(aLists, bLists)
}
