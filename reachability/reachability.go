// Package reachability answers whether one end may send packets to another, and if not, why not: the
// questions of EC2's Reachability Analyzer. It looks for one packet that both gates allow, and every
// verdict is that of ruleset.Explain. It is pure, like ruleset.
package reachability

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Code says why no packet gets through. Source: Reachability Analyzer guide, "Explanation codes".
type Code string

// The codes that can be the answer here.
const (
	RulesMismatch         Code = "ENI_SG_RULES_MISMATCH"             // no rule of the interface's groups admits the packet
	NoRules               Code = "SG_HAS_NO_RULES"                   // the group has no rule in that direction
	AddressRestriction    Code = "ENI_ADDRESS_RESTRICTION"           // the source is not the interface's own, and it checks
	SourceDestCheck       Code = "ENI_SOURCE_DEST_CHECK_RESTRICTION" // the destination is not
	DisconnectedVPCs      Code = "DISCONNECTED_VPCS"                 // two VPCs without an active peering connection
	BadState              Code = "BAD_STATE"                         // an instance that does not run
	Unassociated          Code = "UNASSOCIATED_COMPONENT"            // an interface that no guest and no device has
	UnknownResource       Code = "UNKNOWN_RESOURCE"                  // what the path names is gone
	NoPossibleDestination Code = "NO_POSSIBLE_DESTINATION"           // no interface has the address
	NoPath                Code = "NO_PATH"                           // the ends have no address family in common, or are one
	ComponentFilter       Code = "COMPONENT_FILTER_RESTRICTION"      // only by components that the analysis leaves out
)

// Findings is the answer to one question.
type Findings struct {
	Forward      []Step        `json:",omitempty"` // from the source to the destination; none: no packet gets there
	Return       []Step        `json:",omitempty"` // the way of the answers: what is tracked may come back
	Explanations []Explanation `json:",omitempty"` // why no packet gets there, in the order of the way
}

// Found reports whether some packet gets from the source to the destination.
func (f Findings) Found() bool { return len(f.Forward) > 0 }

// Step is a component that packets pass.
type Step struct {
	Component      string       // id of an interface, group, VPC or peering connection
	AttachedTo     string       `json:",omitempty"` // of an interface: its instance
	Subnet         vpc.SubnetID `json:",omitempty"`
	VPC            vpc.VPCID    `json:",omitempty"`
	SourceVPC      vpc.VPCID    `json:",omitempty"` // of a peering connection, as
	DestinationVPC vpc.VPCID    `json:",omitempty"` // the packets pass it
	Rule           *vpc.Rule    `json:",omitempty"` // of a group: the one that admits them
	In, Out        *Header      `json:",omitempty"` // of the packets that come and go
}

// Header are the packets that were found to pass.
type Header struct {
	Protocol                      vpc.Protocol
	Source, Destination           netip.Addr
	SourcePorts, DestinationPorts Ports
}

// Ports is a range, both ends included.
type Ports struct{ From, To int32 }

// Explanation is one reason. Fields that do not belong to its code are zero.
type Explanation struct {
	Code           Code
	Direction      string          `json:",omitempty"` // ingress or egress, of the interface
	Component      string          `json:",omitempty"`
	State          string          `json:",omitempty"` // of the component
	Interface      vpc.InterfaceID `json:",omitempty"`
	Subnet         vpc.SubnetID    `json:",omitempty"`
	VPC            vpc.VPCID       `json:",omitempty"`
	SourceVPC      vpc.VPCID       `json:",omitempty"`
	DestinationVPC vpc.VPCID       `json:",omitempty"`
	Group          vpc.GroupID     `json:",omitempty"`
	Groups         []vpc.GroupID   `json:",omitempty"`
	Addresses      []netip.Prefix  `json:",omitempty"`
	Ports          *Ports          `json:",omitempty"`
}

// Components narrows the ways that count, by ids.
type Components struct {
	Through []string // all of these must be on the way
	Without []string // none of these may be
}

// Analyze looks at a State for a packet that gets along a path. An instance stands for each of its
// interfaces.
func Analyze(s *vpc.State, p *vpc.InsightsPath, by Components) Findings {
	sources, why := ends(s, p.Source)
	if p.Destination == "" {
		var explanations []Explanation
		for _, src := range sources {
			f := Findings{}
			if dst := Holder(s, src.VPC, wantedDestination(p)); dst != nil {
				f = between(s, p, by, src, dst)
			} else {
				f.Explanations = []Explanation{{Code: NoPossibleDestination, Addresses: single(wantedDestination(p))}}
			}
			if f.Found() {
				return f
			}
			explanations = append(explanations, f.Explanations...)
		}
		return Findings{Explanations: distinct(append(why, explanations...))}
	}
	destinations, whyNot := ends(s, p.Destination)
	why = append(why, whyNot...)
	for _, src := range sources {
		for _, dst := range destinations {
			f := between(s, p, by, src, dst)
			if f.Found() {
				return f
			}
			why = append(why, f.Explanations...)
		}
	}
	return Findings{Explanations: distinct(why)}
}

// ends returns the interfaces that an id stands for, or why there are none.
func ends(s *vpc.State, id string) ([]*vpc.NetworkInterface, []Explanation) {
	if e := s.NetworkInterface(vpc.InterfaceID(id)); e != nil {
		return []*vpc.NetworkInterface{e}, nil
	}
	i := s.Instance(vpc.InstanceID(id))
	if i == nil {
		return nil, []Explanation{{Code: UnknownResource, Component: id}}
	}
	enis := slices.SortedFunc(s.InterfacesOfInstance(i.ID), func(a, b *vpc.NetworkInterface) int {
		return cmp.Compare(a.Attachment.DeviceIndex, b.Attachment.DeviceIndex)
	})
	if len(enis) == 0 {
		return nil, []Explanation{{Code: BadState, Component: id, State: i.State.String()}}
	}
	return enis, nil
}

// wantedDestination is the address of a path that names no destination; zero if there is none.
func wantedDestination(p *vpc.InsightsPath) netip.Addr {
	for _, f := range []netip.Prefix{p.AtSource.Destination, p.AtDestination.Destination} {
		if !p.DestinationIP.IsValid() && f.IsValid() && f.IsSingleIP() {
			return f.Addr()
		}
	}
	return p.DestinationIP
}

// Holder returns the interface that has an address, in a VPC or its active peers; nil: none.
func Holder(s *vpc.State, v vpc.VPCID, a netip.Addr) *vpc.NetworkInterface {
	if !a.IsValid() {
		return nil
	}
	for _, v := range append(slices.Collect(s.ActivePeers(v)), v) {
		if e := s.InterfaceAt(v, a); e != nil {
			return e
		}
	}
	return nil
}

// between looks for a packet from one interface to another.
func between(s *vpc.State, p *vpc.InsightsPath, by Components, src, dst *vpc.NetworkInterface) Findings {
	if src.ID == dst.ID {
		return Findings{Explanations: []Explanation{{Code: NoPath, Interface: src.ID}}}
	}
	why := slices.Concat(usable(s, src), usable(s, dst))
	hop, connected := way(s, src, dst)
	if !connected {
		why = append(why, Explanation{Code: DisconnectedVPCs, SourceVPC: src.VPC, DestinationVPC: dst.VPC})
	}
	if len(why) > 0 {
		return Findings{Explanations: why}
	}
	q := &question{path: p, by: by, src: src, dst: dst}
	q.view = ruleset.ResolveInterfaces(s, slices.Values([]*vpc.NetworkInterface{src, dst}))
	return q.answer(hop)
}

// usable says what keeps an interface from having any packets.
func usable(s *vpc.State, e *vpc.NetworkInterface) []Explanation {
	switch {
	case e.Binding != nil:
		return nil
	case e.Attachment == nil:
		return []Explanation{{Code: Unassociated, Component: string(e.ID), Interface: e.ID, Subnet: e.Subnet, VPC: e.VPC}}
	}
	i := s.Instance(e.Attachment.Instance)
	if i == nil || i.State == vpc.Running {
		return nil
	}
	return []Explanation{{
		Code: BadState, Component: string(i.ID), State: i.State.String(), Interface: e.ID, Subnet: e.Subnet, VPC: e.VPC,
	}}
}

// way returns what packets pass between the interfaces' gates: their VPC, or a peering connection.
func way(s *vpc.State, src, dst *vpc.NetworkInterface) (Step, bool) {
	if src.VPC == dst.VPC {
		return Step{Component: string(src.VPC), VPC: src.VPC}, true
	}
	for p := range s.PeeringsOfVPC(src.VPC) {
		if p.Status == vpc.PeeringActive && p.Other(src.VPC) == dst.VPC {
			return Step{Component: string(p.ID), SourceVPC: src.VPC, DestinationVPC: dst.VPC}, true
		}
	}
	return Step{}, false
}

func single(a netip.Addr) []netip.Prefix {
	if !a.IsValid() {
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
}

func contains(ps []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
}

// distinct removes what was said before.
func distinct(why []Explanation) []Explanation {
	var out []Explanation
	for _, e := range why {
		if !slices.ContainsFunc(out, func(o Explanation) bool { return same(o, e) }) {
			out = append(out, e)
		}
	}
	return out
}

func same(a, b Explanation) bool {
	portsOf := func(p *Ports) Ports {
		if p == nil {
			return Ports{-1, -1}
		}
		return *p
	}
	if !slices.Equal(a.Groups, b.Groups) || !slices.Equal(a.Addresses, b.Addresses) || portsOf(a.Ports) != portsOf(b.Ports) {
		return false
	}
	return a.Code == b.Code && a.Direction == b.Direction && a.Component == b.Component && a.State == b.State &&
		a.Interface == b.Interface && a.Group == b.Group && a.SourceVPC == b.SourceVPC && a.DestinationVPC == b.DestinationVPC
}
