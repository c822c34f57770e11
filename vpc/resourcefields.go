package vpc

import (
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
)

// resourceTypes are the types of object that there are lists of, under the names that tags use.
var resourceTypes = map[string]resourceLister{
	string(KindInstance):      instanceResources,
	string(KindInterface):     interfaceResources,
	string(KindPrefixList):    prefixListResources,
	string(KindSecurityGroup): groupResources,
	ruleResource:              ruleResources,
	string(KindSubnet):        subnetResources,
	string(KindVPC):           vpcResources,
	string(KindPeering):       peeringResources,
}

const ruleResource = "security-group-rule" // no Kind: rules are part of their group

// kindOf says how the values of a property are compared; those that are not named here as texts, which
// is right for times as well.
func kindOf(property string) propertyKind {
	property = strings.TrimPrefix(property, "network-interface.")
	property = strings.TrimPrefix(property, "egress.")
	return propertyKinds[property]
}

var propertyKinds = func() map[string]propertyKind {
	kinds := map[string]propertyKind{}
	for _, name := range []string{
		"addresses.private-ip-address", "accepter-vpc-info.cidr-block", "cidr", "cidr-block",
		"cidr-block-association.cidr-block", "cidrBlock", "ip-permission.cidr", "ip-permission.ipv6-cidr",
		"ipv6-address", "ipv6-addresses.ipv6-address", "ipv6-cidr", "ipv6-cidr-block-association.ipv6-cidr-block",
		"prefix", "private-ip-address", "requester-vpc-info.cidr-block", "source-or-destination",
	} {
		kinds[name] = addressKind
	}
	for _, name := range []string{
		"attachment.device-index", "available-ip-address-count", "entry-count", "from-port", "group-count",
		"inbound-rule-count", "instance-state-code", "ip-permission.from-port", "ip-permission.to-port",
		"launch-index", "max-entries", "network-interface-count", "outbound-rule-count", "referencing-group-count",
		"rule-count", "security-group-count", "subnet-count", "to-port", "version",
	} {
		kinds[name] = numberKind
	}
	return kinds
}()

// with returns the fields with further ones.
func (f Fields[T]) with(more Fields[T]) Fields[T] {
	f = maps.Clone(f)
	maps.Copy(f, more)
	return f
}

func length[T any](seq iter.Seq[T]) []string {
	n := 0
	for range seq {
		n++
	}
	return []string{strconv.Itoa(n)}
}

var interfaceResources = resourceType[*NetworkInterface]{
	all:     (*State).NetworkInterfaces,
	id:      func(e *NetworkInterface) string { return string(e.ID) },
	created: func(e *NetworkInterface) string { return createdKey(e.Created, e.ID) },
	tags:    (*NetworkInterface).tags,
	fields: interfaceFields.with(Fields[*NetworkInterface]{
		"bound": func(_ *State, e *NetworkInterface) []string { return boolean(e.Binding != nil) },
		"device": func(_ *State, e *NetworkInterface) []string {
			if e.Binding == nil {
				return nil
			}
			return []string{e.Binding.Device}
		},
		"group-count": func(_ *State, e *NetworkInterface) []string { return []string{strconv.Itoa(len(e.Groups))} },
		"host": func(_ *State, e *NetworkInterface) []string {
			if e.Binding == nil {
				return nil
			}
			return []string{string(e.Binding.Host)}
		},
		"instance-name": func(s *State, e *NetworkInterface) []string {
			if e.Attachment == nil {
				return nil
			}
			if i := s.Instance(e.Attachment.Instance); i != nil {
				return some(i.Tags["Name"])
			}
			return nil
		},
		"ipv6-address": interfaceIPv6,
		"prefix": func(_ *State, e *NetworkInterface) []string {
			return append(texts(e.IPv4Prefixes), texts(e.IPv6Prefixes)...)
		},
	}),
	text: []string{
		"network-interface-id", "description", "private-ip-address", "ipv6-address", "prefix", "group-id", "group-name",
		"attachment.instance-id", "instance-name", "mac-address", "subnet-id", "vpc-id", "availability-zone", "status",
	},
}

var groupResources = resourceType[*SecurityGroup]{
	all:     (*State).SecurityGroups,
	id:      func(g *SecurityGroup) string { return string(g.ID) },
	created: func(g *SecurityGroup) string { return createdKey(g.Created, g.ID) },
	tags:    (*SecurityGroup).tags,
	fields: groupFields.with(Fields[*SecurityGroup]{
		"inbound-rule-count": func(_ *State, g *SecurityGroup) []string { return countRules(g, false) },
		"network-interface-count": func(s *State, g *SecurityGroup) []string {
			return length(s.lookup(enisByGroup, string(g.ID)))
		},
		"outbound-rule-count": func(_ *State, g *SecurityGroup) []string { return countRules(g, true) },
		"referencing-group-count": func(s *State, g *SecurityGroup) []string {
			return length(s.lookup(groupsByReference, string(g.ID)))
		},
		"rule-count": func(_ *State, g *SecurityGroup) []string { return []string{strconv.Itoa(len(g.Rules))} },
	}),
	text: []string{"group-id", "group-name", "description", "vpc-id"},
}

func countRules(g *SecurityGroup, egress bool) []string {
	n := 0
	for _, r := range g.Rules {
		if r.Egress == egress {
			n++
		}
	}
	return []string{strconv.Itoa(n)}
}

var ruleResources = resourceType[GroupRule]{
	all: func(s *State) iter.Seq[GroupRule] {
		return func(yield func(GroupRule) bool) {
			for g := range s.SecurityGroups() {
				for _, r := range g.Rules {
					if !yield(GroupRule{g, r}) {
						return
					}
				}
			}
		}
	},
	id:      func(r GroupRule) string { return string(r.Rule.ID) },
	created: func(r GroupRule) string { return fmt.Sprintf("%010d", r.Rule.order()) },
	tags:    func(r GroupRule) Tags { return r.Rule.Tags },
	fields: func() Fields[GroupRule] {
		f := groupRuleFields.with(Fields[GroupRule]{
			"description": func(_ *State, r GroupRule) []string { return some(r.Rule.Description) },
			"direction": func(_ *State, r GroupRule) []string {
				if r.Rule.Egress {
					return []string{"egress"}
				}
				return []string{"ingress"}
			},
			"group-name":            func(_ *State, r GroupRule) []string { return []string{r.Group.Name} },
			"referenced-group-id":   func(_ *State, r GroupRule) []string { return some(string(r.Rule.Peer.Group)) },
			"referenced-group-name": func(s *State, r GroupRule) []string { return some(ruleFields["group-name"](s, r.Rule)) },
			"source-or-destination": func(_ *State, r GroupRule) []string { return []string{r.Rule.Peer.String()} },
			"vpc-id":                func(_ *State, r GroupRule) []string { return []string{string(r.Group.VPC)} },
		})
		for _, name := range []string{"cidr", "ipv6-cidr", "prefix-list-id", "protocol", "from-port", "to-port"} {
			f[name] = func(s *State, r GroupRule) []string { return some(ruleFields[name](s, r.Rule)) }
		}
		return f
	}(),
	text: []string{
		"security-group-rule-id", "group-id", "group-name", "description", "source-or-destination", "referenced-group-name",
		"protocol", "from-port", "to-port",
	},
}

var instanceResources = resourceType[*Instance]{
	all:     (*State).Instances,
	id:      func(i *Instance) string { return string(i.ID) },
	created: launchKey,
	tags:    (*Instance).tags,
	fields: instanceFields.with(Fields[*Instance]{
		"host": func(_ *State, i *Instance) []string { return some(string(i.Host)) },
		"network-interface-count": func(s *State, i *Instance) []string {
			return length(s.lookup(enisByInstance, string(i.ID)))
		},
	}),
	text: []string{
		"instance-id", "instance-state-name", "instance-type", "network-interface.private-ip-address",
		"network-interface.ipv6-address", "network-interface.group-id", "network-interface.group-name",
		"network-interface.network-interface-id", "vpc-id", "subnet-id", "availability-zone", "host",
	},
}

var prefixListResources = resourceType[*PrefixList]{
	all:     (*State).PrefixLists,
	id:      func(l *PrefixList) string { return string(l.ID) },
	created: func(l *PrefixList) string { return createdKey(l.Created, l.ID) },
	tags:    (*PrefixList).tags,
	fields: prefixListFields.with(Fields[*PrefixList]{
		"address-family": func(_ *State, l *PrefixList) []string {
			if l.IPv6 {
				return []string{"IPv6"}
			}
			return []string{"IPv4"}
		},
		"cidr": func(s *State, l *PrefixList) []string {
			var blocks []string
			for _, e := range s.PrefixListEntries(l.ID) {
				blocks = append(blocks, e.CIDR.String())
			}
			return blocks
		},
		"entry-count": func(s *State, l *PrefixList) []string { return []string{strconv.Itoa(len(s.PrefixListEntries(l.ID)))} },
		"max-entries": func(_ *State, l *PrefixList) []string { return []string{strconv.Itoa(l.MaxEntries)} },
		"referencing-group-count": func(s *State, l *PrefixList) []string {
			return length(s.lookup(groupsByPrefixList, string(l.ID)))
		},
		"version": func(_ *State, l *PrefixList) []string { return []string{strconv.FormatInt(l.Version, 10)} },
	}),
	text: []string{"prefix-list-id", "prefix-list-name", "address-family", "cidr"},
}

var subnetResources = resourceType[*Subnet]{
	all:     (*State).Subnets,
	id:      func(n *Subnet) string { return string(n.ID) },
	created: func(n *Subnet) string { return createdKey(n.Created, n.ID) },
	tags:    (*Subnet).tags,
	fields: subnetFields.with(Fields[*Subnet]{
		"network-interface-count": func(s *State, n *Subnet) []string {
			return length(s.lookup(enisBySubnet, string(n.ID)))
		},
	}),
	text: []string{
		"subnet-id", "vpc-id", "cidr-block", "ipv6-cidr-block-association.ipv6-cidr-block", "availability-zone",
	},
}

var vpcResources = resourceType[*VPC]{
	all:     (*State).VPCs,
	id:      func(v *VPC) string { return string(v.ID) },
	created: func(v *VPC) string { return createdKey(v.Created, v.ID) },
	tags:    (*VPC).tags,
	fields: vpcFields.with(Fields[*VPC]{
		"network-interface-count": func(s *State, v *VPC) []string { return length(s.lookup(enisByVPC, string(v.ID))) },
		"security-group-count":    func(s *State, v *VPC) []string { return length(s.lookup(groupsByVPC, string(v.ID))) },
		"subnet-count":            func(s *State, v *VPC) []string { return length(s.lookup(subnetsByVPC, string(v.ID))) },
	}),
	text: []string{"vpc-id", "cidr-block-association.cidr-block", "ipv6-cidr-block-association.ipv6-cidr-block"},
}

var peeringResources = resourceType[*PeeringConnection]{
	all:     (*State).Peerings,
	id:      func(p *PeeringConnection) string { return string(p.ID) },
	created: func(p *PeeringConnection) string { return createdKey(p.Created, p.ID) },
	tags:    (*PeeringConnection).tags,
	fields:  peeringFields,
	text: []string{
		"vpc-peering-connection-id", "requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id",
		"requester-vpc-info.cidr-block", "accepter-vpc-info.cidr-block", "status-code",
	},
}
