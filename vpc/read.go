package vpc

import (
	"iter"
	"net/netip"
	"strings"
)

// The typed ways into a State. A getter returns nil for what is not there; a sequence is ordered by
// id. The objects belong to the State: never write to them.

func (s *State) VPC(id VPCID) *VPC { return get[VPC](s, KindVPC, string(id)) }

func (s *State) Subnet(id SubnetID) *Subnet {
	if s.found == nil {
		return get[Subnet](s, KindSubnet, string(id))
	}
	n, ok := s.found.subnets[id]
	if !ok {
		n = get[Subnet](s, KindSubnet, string(id))
		s.found.subnets[id] = n
	}
	return n
}

func (s *State) SecurityGroup(id GroupID) *SecurityGroup {
	if s.found == nil {
		return get[SecurityGroup](s, KindSecurityGroup, string(id))
	}
	g, ok := s.found.groups[id]
	if !ok {
		g = get[SecurityGroup](s, KindSecurityGroup, string(id))
		s.found.groups[id] = g
	}
	return g
}

func (s *State) NetworkInterface(id InterfaceID) *NetworkInterface {
	return get[NetworkInterface](s, KindInterface, string(id))
}

func (s *State) Instance(id InstanceID) *Instance { return get[Instance](s, KindInstance, string(id)) }
func (s *State) Host(id HostID) *Host             { return get[Host](s, KindHost, string(id)) }
func (s *State) AccessKey(id AccessKeyID) *AccessKey {
	return get[AccessKey](s, KindAccessKey, string(id))
}

func (s *State) PrefixList(id PrefixListID) *PrefixList {
	return get[PrefixList](s, KindPrefixList, string(id))
}

func (s *State) Peering(id PeeringID) *PeeringConnection {
	return get[PeeringConnection](s, KindPeering, string(id))
}

func (s *State) InsightsPath(id InsightsPathID) *InsightsPath {
	return get[InsightsPath](s, KindInsightsPath, string(id))
}

func (s *State) InsightsAnalysis(id InsightsAnalysisID) *InsightsAnalysis {
	return get[InsightsAnalysis](s, KindInsightsAnalysis, string(id))
}

func (s *State) User(name string) *User { return get[User](s, KindUser, name) }

func (s *State) ConsoleSession(id ConsoleSessionID) *ConsoleSession {
	return get[ConsoleSession](s, KindConsoleSession, string(id))
}

func (s *State) SignInToken(id SignInTokenID) *SignInToken {
	return get[SignInToken](s, KindSignInToken, string(id))
}

func (s *State) PrefixLists() iter.Seq[*PrefixList] { return all[*PrefixList](s, KindPrefixList) }

func (s *State) Peerings() iter.Seq[*PeeringConnection] {
	return all[*PeeringConnection](s, KindPeering)
}

func (s *State) InsightsPaths() iter.Seq[*InsightsPath] {
	return all[*InsightsPath](s, KindInsightsPath)
}

func (s *State) InsightsAnalyses() iter.Seq[*InsightsAnalysis] {
	return all[*InsightsAnalysis](s, KindInsightsAnalysis)
}

func (s *State) Users() iter.Seq[*User]           { return all[*User](s, KindUser) }
func (s *State) AccessKeys() iter.Seq[*AccessKey] { return all[*AccessKey](s, KindAccessKey) }

func (s *State) VPCs() iter.Seq[*VPC]       { return all[*VPC](s, KindVPC) }
func (s *State) Subnets() iter.Seq[*Subnet] { return all[*Subnet](s, KindSubnet) }
func (s *State) SecurityGroups() iter.Seq[*SecurityGroup] {
	return all[*SecurityGroup](s, KindSecurityGroup)
}

func (s *State) NetworkInterfaces() iter.Seq[*NetworkInterface] {
	return all[*NetworkInterface](s, KindInterface)
}
func (s *State) Instances() iter.Seq[*Instance] { return all[*Instance](s, KindInstance) }
func (s *State) Hosts() iter.Seq[*Host]         { return all[*Host](s, KindHost) }

// via yields the objects whose ids an index lists.
func via[T any](s *State, name indexName, value string, byID func(string) *T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for id := range s.lookup(name, value) {
			if o := byID(id); o != nil && !yield(o) {
				return
			}
		}
	}
}

func (s *State) eni(id string) *NetworkInterface  { return s.NetworkInterface(InterfaceID(id)) }
func (s *State) group(id string) *SecurityGroup   { return s.SecurityGroup(GroupID(id)) }
func (s *State) subnet(id string) *Subnet         { return s.Subnet(SubnetID(id)) }
func (s *State) instanceByID(id string) *Instance { return s.Instance(InstanceID(id)) }

// GroupsOfVPC yields the groups of a VPC, the default one included.
func (s *State) GroupsOfVPC(id VPCID) iter.Seq[*SecurityGroup] {
	return via(s, groupsByVPC, string(id), s.group)
}

// GroupNamed returns the group of that name, compared without regard to case or trailing spaces.
func (s *State) GroupNamed(vpc VPCID, name string) *SecurityGroup {
	name = strings.ToLower(strings.TrimRight(name, " "))
	return s.group(s.one(groupByName, string(vpc)+"/"+name))
}

// GroupOfRule returns the group that holds a rule.
func (s *State) GroupOfRule(id RuleID) *SecurityGroup { return s.group(s.one(groupByRule, string(id))) }

// GroupsReferencing yields the groups with a rule that names g, g itself included if one does.
func (s *State) GroupsReferencing(g GroupID) iter.Seq[*SecurityGroup] {
	return via(s, groupsByReference, string(g), s.group)
}

// GroupsNamingPrefixList yields the groups with a rule that names a prefix list.
func (s *State) GroupsNamingPrefixList(id PrefixListID) iter.Seq[*SecurityGroup] {
	return via(s, groupsByPrefixList, string(id), s.group)
}

// GroupsAssociatedWith yields the groups of other VPCs that interfaces of a VPC may carry.
func (s *State) GroupsAssociatedWith(id VPCID) iter.Seq[*SecurityGroup] {
	return via(s, groupsByAssociation, string(id), s.group)
}

// PrefixListEntries returns what a list holds now, sorted by CIDR; nil if there is no such list.
func (s *State) PrefixListEntries(id PrefixListID) []PrefixListEntry {
	l := s.PrefixList(id)
	if l == nil {
		return nil
	}
	v := get[PrefixListVersion](s, KindPrefixListVersion, prefixListVersionID(id, l.Version))
	if v == nil {
		return nil
	}
	return v.Entries
}

// PeeringsOfVPC yields the peering connections of a VPC, from either side, ended ones too.
func (s *State) PeeringsOfVPC(id VPCID) iter.Seq[*PeeringConnection] {
	return via(s, peeringsByVPC, string(id), func(pcx string) *PeeringConnection { return s.Peering(PeeringID(pcx)) })
}

// ActivePeers yields the VPCs with which a VPC has an active peering connection. Two VPCs have at
// most one.
func (s *State) ActivePeers(id VPCID) iter.Seq[VPCID] {
	return func(yield func(VPCID) bool) {
		for p := range s.PeeringsOfVPC(id) {
			if p.Status == PeeringActive && !yield(p.Other(id)) {
				return
			}
		}
	}
}

// Other returns the VPC at the other end of a connection.
func (p *PeeringConnection) Other(id VPCID) VPCID {
	if p.Requester == id {
		return p.Accepter
	}
	return p.Requester
}

// SubnetsOfVPC yields the subnets of a VPC.
func (s *State) SubnetsOfVPC(id VPCID) iter.Seq[*Subnet] {
	return via(s, subnetsByVPC, string(id), s.subnet)
}

// InterfacesOfGroup yields the interfaces that carry a group: its members.
func (s *State) InterfacesOfGroup(id GroupID) iter.Seq[*NetworkInterface] {
	return via(s, enisByGroup, string(id), s.eni)
}

// InterfacesOfSubnet yields the interfaces in a subnet.
func (s *State) InterfacesOfSubnet(id SubnetID) iter.Seq[*NetworkInterface] {
	return via(s, enisBySubnet, string(id), s.eni)
}

// InterfacesOfVPC yields the interfaces in a VPC.
func (s *State) InterfacesOfVPC(id VPCID) iter.Seq[*NetworkInterface] {
	return via(s, enisByVPC, string(id), s.eni)
}

// InterfacesOfInstance yields the interfaces attached to an instance, in no particular order.
func (s *State) InterfacesOfInstance(id InstanceID) iter.Seq[*NetworkInterface] {
	return via(s, enisByInstance, string(id), s.eni)
}

// InterfacesOfHost yields the interfaces bound to devices of a host.
func (s *State) InterfacesOfHost(id HostID) iter.Seq[*NetworkInterface] {
	return via(s, enisByHost, string(id), s.eni)
}

// InstancesOfHost yields the instances placed on a host.
func (s *State) InstancesOfHost(id HostID) iter.Seq[*Instance] {
	return via(s, instancesByHost, string(id), s.instanceByID)
}

// InterfaceAt returns the interface that holds a private address in a VPC, by itself or in a delegated
// prefix.
func (s *State) InterfaceAt(vpc VPCID, a netip.Addr) *NetworkInterface {
	if id := s.one(eniByAddress, string(vpc)+"/"+a.String()); id != "" {
		return s.eni(id)
	}
	return s.InterfaceWithPrefix(vpc, delegable(a))
}

// InterfaceWithPrefix returns the interface that a prefix of a VPC is delegated to.
func (s *State) InterfaceWithPrefix(vpc VPCID, p netip.Prefix) *NetworkInterface {
	return s.eni(s.one(eniByPrefix, string(vpc)+"/"+p.String()))
}

// InterfaceWithMAC returns the interface with that MAC address.
func (s *State) InterfaceWithMAC(m MAC) *NetworkInterface { return s.eni(s.one(eniByMAC, m.String())) }

// InterfaceOfAttachment returns the interface with that attachment.
func (s *State) InterfaceOfAttachment(id AttachmentID) *NetworkInterface {
	return s.eni(s.one(eniByAttachment, string(id)))
}
