package vpc

import (
	"iter"
	"net/netip"
	"strings"
)

// The typed ways into a State. A getter returns nil for what is not there; a sequence is ordered by
// id. The objects belong to the State: never write to them.

func (s *State) VPC(id VPCID) *VPC          { return get[VPC](s, KindVPC, string(id)) }
func (s *State) Subnet(id SubnetID) *Subnet { return get[Subnet](s, KindSubnet, string(id)) }
func (s *State) SecurityGroup(id GroupID) *SecurityGroup {
	return get[SecurityGroup](s, KindSecurityGroup, string(id))
}

func (s *State) NetworkInterface(id InterfaceID) *NetworkInterface {
	return get[NetworkInterface](s, KindInterface, string(id))
}

func (s *State) Instance(id InstanceID) *Instance { return get[Instance](s, KindInstance, string(id)) }
func (s *State) Host(id HostID) *Host             { return get[Host](s, KindHost, string(id)) }
func (s *State) AccessKey(id AccessKeyID) *AccessKey {
	return get[AccessKey](s, KindAccessKey, string(id))
}

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

// InterfaceAt returns the interface that holds a private address in a VPC.
func (s *State) InterfaceAt(vpc VPCID, a netip.Addr) *NetworkInterface {
	return s.eni(s.one(eniByAddress, string(vpc)+"/"+a.String()))
}

// InterfaceWithMAC returns the interface with that MAC address.
func (s *State) InterfaceWithMAC(m MAC) *NetworkInterface { return s.eni(s.one(eniByMAC, m.String())) }

// InterfaceOfAttachment returns the interface with that attachment.
func (s *State) InterfaceOfAttachment(id AttachmentID) *NetworkInterface {
	return s.eni(s.one(eniByAttachment, string(id)))
}
