package ec2api

import (
	"net/netip"
	"strconv"

	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// How Reachability Analyzer shows what was found.

func pathComponents(s *vpc.State, steps []reachability.Step) (out []wire.PathComponent) {
	for i, step := range steps {
		c := wire.PathComponent{
			AttachedTo:     component(s, step.AttachedTo),
			Component:      component(s, step.Component),
			DestinationVpc: component(s, step.DestinationVPC),
			InboundHeader:  packetHeader(step.In),
			OutboundHeader: packetHeader(step.Out),
			SequenceNumber: new(int32(i + 1)),
			SourceVpc:      component(s, step.SourceVPC),
			Subnet:         component(s, step.Subnet),
			Vpc:            component(s, step.VPC),
		}
		if r := step.Rule; r != nil {
			c.SecurityGroupRule = analysisRule(*r)
		}
		out = append(out, c)
	}
	return out
}

// component returns what stands for an id, nil for none. A group has its name with it, as long as it
// is there.
func component[ID ~string](s *vpc.State, id ID) *wire.AnalysisComponent {
	if id == "" {
		return nil
	}
	c := &wire.AnalysisComponent{Arn: text(s.ARN(string(id))), Id: text(id)}
	if g := s.SecurityGroup(vpc.GroupID(id)); g != nil {
		c.Name = &g.Name
	}
	return c
}

func packetHeader(h *reachability.Header) *wire.AnalysisPacketHeader {
	if h == nil {
		return nil
	}
	return &wire.AnalysisPacketHeader{
		DestinationAddresses:  []string{cidrOf(h.Destination)},
		DestinationPortRanges: []wire.PortRange{portRange(h.DestinationPorts)},
		Protocol:              new(strconv.Itoa(int(h.Protocol))),
		SourceAddresses:       []string{cidrOf(h.Source)},
		SourcePortRanges:      []wire.PortRange{portRange(h.SourcePorts)},
	}
}

func cidrOf(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

func portRange(p reachability.Ports) wire.PortRange {
	return wire.PortRange{From: &p.From, To: &p.To}
}

func analysisRule(r vpc.Rule) *wire.AnalysisSecurityGroupRule {
	w := &wire.AnalysisSecurityGroupRule{
		Direction:       new("ingress"),
		PrefixListId:    text(r.Peer.PrefixList),
		Protocol:        new("all"),
		SecurityGroupId: text(r.Peer.Group),
	}
	if r.Egress {
		w.Direction = new("egress")
	}
	if r.Peer.CIDR.IsValid() {
		w.Cidr = new(r.Peer.CIDR.String())
	}
	if r.Protocol != vpc.AllProtocols {
		w.Protocol = text(r.Protocol.String())
		p := portRange(reachability.Ports{From: r.From, To: r.To})
		w.PortRange = &p
	}
	return w
}

func explanation(s *vpc.State, e reachability.Explanation) wire.Explanation {
	w := wire.Explanation{
		Component:        component(s, e.Component),
		DestinationVpc:   component(s, e.DestinationVPC),
		Direction:        text(e.Direction),
		ExplanationCode:  text(e.Code),
		NetworkInterface: component(s, e.Interface),
		SecurityGroup:    component(s, e.Group),
		SourceVpc:        component(s, e.SourceVPC),
		State:            text(e.State),
		Subnet:           component(s, e.Subnet),
		Vpc:              component(s, e.VPC),
	}
	for _, g := range e.Groups {
		w.SecurityGroups = append(w.SecurityGroups, *component(s, g))
	}
	for _, a := range e.Addresses {
		w.Addresses = append(w.Addresses, a.String())
	}
	if e.Ports != nil {
		w.PortRanges = []wire.PortRange{portRange(*e.Ports)}
	}
	return w
}
