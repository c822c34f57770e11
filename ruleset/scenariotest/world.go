package scenariotest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Host is where every interface of a World is bound.
const Host vpc.HostID = "host-1"

// World is what exists at one moment of a scenario. Ids are the names in the file: eni-a, sg-app.
type World struct {
	Revision int64 // grows by one with each Change; 1 when loaded
	VPCs     []VPC
	Peerings []Peering // that have not ended
	Lists    []List
	Groups   []Group
	ENIs     []ENI
	Outsides []Outside

	rules uint32 // number of the last rule
}

// VPC is a network with its blocks.
type VPC struct {
	ID   vpc.VPCID
	IPv4 netip.Prefix
	IPv6 netip.Prefix   // a /56, or invalid: none
	More []netip.Prefix // further IPv4 blocks
}

// Peering is a peering connection between two VPCs.
type Peering struct {
	Requester, Accepter vpc.VPCID
	Active              bool // accepted
}

// List is a managed prefix list.
type List struct {
	ID       vpc.PrefixListID
	Versions [][]netip.Prefix // what it held in each; the last counts
}

// Entries are those of the current version.
func (l List) Entries() []netip.Prefix { return l.Versions[len(l.Versions)-1] }

// Group is a security group. It has EC2's default outbound rules unless the file gives it others.
type Group struct {
	ID            vpc.GroupID
	VPC           vpc.VPCID
	Associated    []vpc.VPCID // further VPCs whose interfaces may carry it
	DefaultEgress bool        // as loaded: the rules labelled …/default4 and …/default6 are EC2's own
	Rules         []Rule

	egressModified bool // the outbound rules were: a block brings none any more
}

// Rule is a rule with its name in the file: sg-app/1 is the first one written for sg-app, counting
// those authorized later and never counting again.
type Rule struct {
	Label string
	vpc.Rule
}

// ENI is an interface on a guest of its own.
type ENI struct {
	ID     vpc.InterfaceID
	VPC    vpc.VPCID
	MAC    vpc.MAC
	IPv4   []netip.Addr
	IPv6   []netip.Addr
	Groups []vpc.GroupID
	// Prefixes are delegated to it: /28 or /80.
	Prefixes          []netip.Prefix
	NoSourceDestCheck bool
}

// owns reports whether an address is the interface's own.
func (e ENI) owns(a netip.Addr) bool {
	return slices.Contains(e.IPv4, a) || slices.Contains(e.IPv6, a) ||
		slices.ContainsFunc(e.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Outside is a machine that Sallyport does not filter.
type Outside struct {
	Name      string
	Addresses []netip.Addr
}

// Subnet is the part of a VPC that an interface is in: the /24 of its primary IPv4 address and the
// /64 of its first IPv6 address.
type Subnet struct {
	ID   vpc.SubnetID
	VPC  vpc.VPCID
	IPv4 netip.Prefix
	IPv6 netip.Prefix // invalid: the VPC has no IPv6 block
}

// Change is one step of a World. Exactly one field is set.
type Change struct {
	Authorize *RuleOf
	Revoke    *RuleOf
	SetGroups *ENI // with its new groups
	Launch    *ENI

	ModifyRule *RuleOf // to what it says now
	Describe   *RuleOf // with its new description, which no packet can depend on

	ModifyList  *ListChange
	RestoreList *ListVersion

	CreatePeering, AcceptPeering, DeletePeering *Peering

	Associate, Disassociate *Association
	Assign, Unassign        *Addresses
	SourceDestCheck         *SourceDestCheck
	AssociateBlock          *Block
}

// ListChange is a ModifyManagedPrefixList.
type ListChange struct {
	List        vpc.PrefixListID
	Add, Remove []netip.Prefix
}

// ListVersion is a version of a list; the first is 1.
type ListVersion struct {
	List    vpc.PrefixListID
	Version int
}

// Association is one of a group with a further VPC.
type Association struct {
	Group vpc.GroupID
	VPC   vpc.VPCID
}

// Addresses are what an interface is given or gives back.
type Addresses struct {
	ENI       vpc.InterfaceID
	Addresses []netip.Addr
	Prefixes  []netip.Prefix
	Reassign  bool // though another interface has them as secondary ones
}

// SourceDestCheck switches an interface's check on or off.
type SourceDestCheck struct {
	ENI        vpc.InterfaceID
	On         bool
	ByInstance bool // through the instance's attribute, not the interface's
}

// Block is a further IPv4 block of a VPC, or its IPv6 block, of which each subnet has a /64.
type Block struct {
	VPC  vpc.VPCID
	CIDR netip.Prefix
	// Egress are the outbound rules that an IPv6 block brings: sg-a/default6 of each group whose
	// outbound rules were never changed.
	Egress []RuleOf
}

// RuleOf is a rule and the group it is in.
type RuleOf struct {
	Group vpc.GroupID
	Rule  Rule
}

// clone returns a World that a Change may be made to.
func (w *World) clone() *World {
	n := *w
	n.VPCs, n.Peerings, n.Lists = slices.Clone(w.VPCs), slices.Clone(w.Peerings), slices.Clone(w.Lists)
	n.Groups = slices.Clone(w.Groups)
	for i := range n.Groups {
		n.Groups[i].Rules = slices.Clone(n.Groups[i].Rules)
	}
	n.ENIs = slices.Clone(w.ENIs)
	return &n
}

func (w *World) apply(c Change) error {
	w.Revision++
	switch {
	case c.Authorize != nil:
		g := w.group(c.Authorize.Group)
		g.Rules = append(g.Rules, c.Authorize.Rule)
		g.egressModified = g.egressModified || c.Authorize.Rule.Egress
	case c.Revoke != nil:
		g := w.group(c.Revoke.Group)
		i := slices.IndexFunc(g.Rules, func(r Rule) bool { return r.Label == c.Revoke.Rule.Label })
		if i < 0 {
			return fmt.Errorf("there is no rule %s", c.Revoke.Rule.Label)
		}
		g.egressModified = g.egressModified || g.Rules[i].Egress
		g.Rules = slices.Delete(g.Rules, i, i+1)
	case c.SetGroups != nil:
		w.eni(c.SetGroups.ID).Groups = c.SetGroups.Groups
	case c.Launch != nil:
		w.ENIs = append(w.ENIs, *c.Launch)
	case c.ModifyRule != nil:
		w.setRule(*c.ModifyRule)
		g := w.group(c.ModifyRule.Group)
		g.egressModified = g.egressModified || c.ModifyRule.Rule.Egress
	case c.Describe != nil:
		w.setRule(*c.Describe)
	case c.ModifyList != nil:
		return w.list(c.ModifyList.List).modify(*c.ModifyList)
	case c.RestoreList != nil:
		l := w.list(c.RestoreList.List)
		if n := c.RestoreList.Version; n < 1 || n >= len(l.Versions) {
			return fmt.Errorf("%s has no earlier version %d", l.ID, n)
		}
		l.Versions = append(slices.Clip(l.Versions), l.Versions[c.RestoreList.Version-1])
	case c.CreatePeering != nil:
		w.Peerings = append(w.Peerings, *c.CreatePeering)
	case c.AcceptPeering != nil:
		w.peering(*c.AcceptPeering).Active = true
	case c.DeletePeering != nil:
		w.Peerings = slices.DeleteFunc(w.Peerings, func(p Peering) bool { return p.same(*c.DeletePeering) })
	case c.Associate != nil:
		g := w.group(c.Associate.Group)
		g.Associated = append(slices.Clip(g.Associated), c.Associate.VPC)
	case c.Disassociate != nil:
		g := w.group(c.Disassociate.Group)
		g.Associated = slices.DeleteFunc(slices.Clone(g.Associated), func(v vpc.VPCID) bool { return v == c.Disassociate.VPC })
	case c.Assign != nil:
		for i := range w.ENIs {
			for _, a := range c.Assign.Addresses {
				if e := &w.ENIs[i]; c.Assign.Reassign && slices.Contains(e.IPv4, a) {
					if err := e.unassign(Addresses{Addresses: []netip.Addr{a}}); err != nil {
						return err
					}
				}
			}
		}
		w.eni(c.Assign.ENI).assign(*c.Assign)
	case c.Unassign != nil:
		return w.eni(c.Unassign.ENI).unassign(*c.Unassign)
	case c.SourceDestCheck != nil:
		w.eni(c.SourceDestCheck.ENI).NoSourceDestCheck = !c.SourceDestCheck.On
	case c.AssociateBlock != nil:
		v := w.vpc(c.AssociateBlock.VPC)
		if c.AssociateBlock.CIDR.Addr().Is6() {
			v.IPv6 = c.AssociateBlock.CIDR
		} else {
			v.More = append(slices.Clip(v.More), c.AssociateBlock.CIDR)
		}
		for _, r := range c.AssociateBlock.Egress {
			g := w.group(r.Group)
			g.Rules = append(g.Rules, r.Rule)
		}
	}
	return nil
}

func (w *World) setRule(r RuleOf) {
	*find(w.group(r.Group).Rules, func(old *Rule) bool { return old.Label == r.Rule.Label }) = r.Rule
}

func (l *List) modify(c ListChange) error {
	entries := slices.Clone(l.Entries())
	for _, p := range c.Remove {
		i := slices.Index(entries, p)
		if i < 0 {
			return fmt.Errorf("%s has no entry %s", l.ID, p)
		}
		entries = slices.Delete(entries, i, i+1)
	}
	for _, p := range c.Add {
		if slices.Contains(entries, p) {
			return fmt.Errorf("%s has %s already", l.ID, p)
		}
		entries = append(entries, p)
	}
	l.Versions = append(slices.Clip(l.Versions), entries)
	return nil
}

func (e *ENI) assign(a Addresses) {
	e.IPv4, e.IPv6, e.Prefixes = slices.Clip(e.IPv4), slices.Clip(e.IPv6), slices.Concat(e.Prefixes, a.Prefixes)
	for _, a := range a.Addresses {
		if a.Is4() {
			e.IPv4 = append(e.IPv4, a)
		} else {
			e.IPv6 = append(e.IPv6, a)
		}
	}
}

func (e *ENI) unassign(a Addresses) error {
	if slices.Contains(a.Addresses, e.IPv4[0]) {
		return fmt.Errorf("%s is the primary address of %s", e.IPv4[0], e.ID)
	}
	for _, a := range a.Addresses {
		if !slices.Contains(e.IPv4, a) && !slices.Contains(e.IPv6, a) {
			return fmt.Errorf("%s has no %s", e.ID, a)
		}
	}
	for _, p := range a.Prefixes {
		if !slices.Contains(e.Prefixes, p) {
			return fmt.Errorf("%s has no %s", e.ID, p)
		}
	}
	gone := func(has netip.Addr) bool { return slices.Contains(a.Addresses, has) }
	e.IPv4 = slices.DeleteFunc(slices.Clone(e.IPv4), gone)
	e.IPv6 = slices.DeleteFunc(slices.Clone(e.IPv6), gone)
	e.Prefixes = slices.DeleteFunc(slices.Clone(e.Prefixes), func(has netip.Prefix) bool { return slices.Contains(a.Prefixes, has) })
	return nil
}

// same reports whether two connections join the same VPCs.
func (p Peering) same(o Peering) bool {
	return p.Requester == o.Requester && p.Accepter == o.Accepter || p.Requester == o.Accepter && p.Accepter == o.Requester
}

// Peered reports whether two VPCs have an active peering connection.
func (w *World) Peered(a, b vpc.VPCID) bool {
	p := w.peering(Peering{Requester: a, Accepter: b})
	return p != nil && p.Active
}

func find[T any](in []T, is func(*T) bool) *T {
	for i := range in {
		if is(&in[i]) {
			return &in[i]
		}
	}
	return nil
}

func (w *World) vpc(id vpc.VPCID) *VPC {
	return find(w.VPCs, func(v *VPC) bool { return v.ID == id })
}

func (w *World) list(id vpc.PrefixListID) *List {
	return find(w.Lists, func(l *List) bool { return l.ID == id })
}

func (w *World) peering(of Peering) *Peering {
	return find(w.Peerings, func(p *Peering) bool { return p.same(of) })
}

func (w *World) group(id vpc.GroupID) *Group {
	return find(w.Groups, func(g *Group) bool { return g.ID == id })
}

func (w *World) eni(id vpc.InterfaceID) *ENI {
	return find(w.ENIs, func(e *ENI) bool { return e.ID == id })
}

// rule returns the rule with that label, present or not.
func (w *World) rule(label string) (RuleOf, bool) {
	for _, g := range w.Groups {
		for _, r := range g.Rules {
			if r.Label == label {
				return RuleOf{g.ID, r}, true
			}
		}
	}
	return RuleOf{}, false
}

// SubnetOf returns the subnet of an interface. The nth /24 has the nth /64, unless the interface has
// an address of another.
func (w *World) SubnetOf(e ENI) Subnet {
	v := w.vpc(e.VPC)
	n := Subnet{VPC: v.ID, IPv4: netip.PrefixFrom(e.IPv4[0], 24).Masked()}
	if v.IPv6.IsValid() {
		b := v.IPv6.Addr().As16()
		b[7] += n.IPv4.Addr().As4()[2]
		a := netip.AddrFrom16(b)
		if len(e.IPv6) > 0 {
			a = e.IPv6[0]
		}
		n.IPv6 = netip.PrefixFrom(a, 64).Masked()
	}
	n.ID = vpc.SubnetID(fmt.Sprintf("subnet-%s-%s", v.ID, n.IPv4.Addr()))
	return n
}

// State returns the World as the control plane would hold it, with every interface bound to Host
// at a device named like it.
func (w *World) State() *vpc.State {
	var c vpc.Change
	for _, v := range w.VPCs {
		o := &vpc.VPC{ID: v.ID, CIDRs: []vpc.CIDRAssociation{{ID: "vpc-cidr-assoc-4", CIDR: v.IPv4}}}
		if v.IPv6.IsValid() {
			o.IPv6CIDRs = []vpc.CIDRAssociation{{ID: "vpc-cidr-assoc-6", CIDR: v.IPv6}}
		}
		for i, more := range v.More {
			o.CIDRs = append(o.CIDRs, vpc.CIDRAssociation{ID: vpc.AssociationID(fmt.Sprintf("vpc-cidr-assoc-4%d", i)), CIDR: more})
		}
		c.Puts = append(c.Puts, o)
	}
	for i, p := range w.Peerings {
		o := &vpc.PeeringConnection{
			ID: vpc.PeeringID(fmt.Sprintf("pcx-%d", i)), Requester: p.Requester, Accepter: p.Accepter, Status: vpc.PeeringPending,
		}
		if p.Active {
			o.Status = vpc.PeeringActive
		}
		c.Puts = append(c.Puts, o)
	}
	for _, l := range w.Lists {
		n := int64(len(l.Versions))
		version := &vpc.PrefixListVersion{List: l.ID, Number: n}
		for _, cidr := range l.Entries() {
			version.Entries = append(version.Entries, vpc.PrefixListEntry{CIDR: cidr})
		}
		c.Puts = append(c.Puts, &vpc.PrefixList{ID: l.ID, Name: string(l.ID), Version: n, MaxEntries: len(version.Entries)}, version)
	}
	for _, g := range w.Groups {
		o := &vpc.SecurityGroup{ID: g.ID, VPC: g.VPC, Name: string(g.ID), Description: string(g.ID)}
		for _, v := range g.Associated {
			o.Associations = append(o.Associations, vpc.GroupAssociation{VPC: v})
		}
		for _, r := range g.Rules {
			o.Rules = append(o.Rules, r.Rule)
		}
		c.Puts = append(c.Puts, o)
	}
	subnets := map[vpc.SubnetID]bool{}
	for _, e := range w.ENIs {
		n := w.SubnetOf(e)
		if !subnets[n.ID] {
			subnets[n.ID] = true
			o := &vpc.Subnet{ID: n.ID, VPC: n.VPC, CIDR: n.IPv4, Zone: "us-east-1a"}
			if n.IPv6.IsValid() {
				o.IPv6CIDRs = []vpc.CIDRAssociation{{ID: "subnet-cidr-assoc-6", CIDR: n.IPv6}}
			}
			c.Puts = append(c.Puts, o)
		}
		o := &vpc.NetworkInterface{
			ID: e.ID, VPC: e.VPC, Subnet: n.ID, MAC: e.MAC, IPv4: e.IPv4, IPv6: e.IPv6, Groups: e.Groups,
			SourceDestCheck: !e.NoSourceDestCheck, Binding: &vpc.Binding{Host: Host, Device: string(e.ID)},
		}
		for _, p := range e.Prefixes {
			if p.Addr().Is4() {
				o.IPv4Prefixes = append(o.IPv4Prefixes, p)
			} else {
				o.IPv6Prefixes = append(o.IPv6Prefixes, p)
			}
		}
		c.Puts = append(c.Puts, o)
	}
	return new(vpc.State).Apply(c, w.Revision)
}
