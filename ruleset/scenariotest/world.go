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
	Groups   []Group
	ENIs     []ENI
	Outsides []Outside

	rules uint32 // number of the last rule
}

// VPC is a network with its blocks.
type VPC struct {
	ID   vpc.VPCID
	IPv4 netip.Prefix
	IPv6 netip.Prefix // a /56, or invalid: none
}

// Group is a security group. It has EC2's default outbound rules unless the file gives it others.
type Group struct {
	ID            vpc.GroupID
	VPC           vpc.VPCID
	DefaultEgress bool // as loaded: the rules labelled …/default4 and …/default6 are EC2's own
	Rules         []Rule
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
}

// RuleOf is a rule and the group it is in.
type RuleOf struct {
	Group vpc.GroupID
	Rule  Rule
}

// clone returns a World that a Change may be made to.
func (w *World) clone() *World {
	n := *w
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
	case c.Revoke != nil:
		g := w.group(c.Revoke.Group)
		i := slices.IndexFunc(g.Rules, func(r Rule) bool { return r.Label == c.Revoke.Rule.Label })
		if i < 0 {
			return fmt.Errorf("there is no rule %s", c.Revoke.Rule.Label)
		}
		g.Rules = slices.Delete(g.Rules, i, i+1)
	case c.SetGroups != nil:
		w.eni(c.SetGroups.ID).Groups = c.SetGroups.Groups
	case c.Launch != nil:
		w.ENIs = append(w.ENIs, *c.Launch)
	}
	return nil
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

// SubnetOf returns the subnet of an interface.
func (w *World) SubnetOf(e ENI) Subnet {
	v := w.vpc(e.VPC)
	n := Subnet{VPC: v.ID, IPv4: netip.PrefixFrom(e.IPv4[0], 24).Masked()}
	if v.IPv6.IsValid() {
		a := v.IPv6.Addr() // without an IPv6 address of its own: the first /64
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
		c.Puts = append(c.Puts, o)
	}
	for _, g := range w.Groups {
		o := &vpc.SecurityGroup{ID: g.ID, VPC: g.VPC, Name: string(g.ID), Description: string(g.ID)}
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
		c.Puts = append(c.Puts, &vpc.NetworkInterface{
			ID: e.ID, VPC: e.VPC, Subnet: n.ID, MAC: e.MAC, IPv4: e.IPv4, IPv6: e.IPv6, Groups: e.Groups,
			SourceDestCheck: true, Binding: &vpc.Binding{Host: Host, Device: string(e.ID)},
		})
	}
	return new(vpc.State).Apply(c, w.Revision)
}
