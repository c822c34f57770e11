package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// key names a resource on one host.
type key struct {
	kind feedpb.ResourceType
	name string
}

// versions says which resources a host has, and in which version.
type versions map[key]int64

func keyFromPB(p *feedpb.ResourceName) (key, error) {
	k := key{p.GetType(), p.GetName()}
	switch k.kind {
	case feedpb.ResourceType_RESOURCE_TYPE_ENI, feedpb.ResourceType_RESOURCE_TYPE_GROUP,
		feedpb.ResourceType_RESOURCE_TYPE_MEMBER, feedpb.ResourceType_RESOURCE_TYPE_GUEST,
		feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST:
	default:
		return k, fmt.Errorf("resource %q of unknown type %v", k.name, k.kind)
	}
	if k.name == "" {
		return k, fmt.Errorf("resource of type %v without a name", k.kind)
	}
	return k, nil
}

func keyOf(r *feedpb.Resource) (key, error) {
	switch r.GetBody().(type) {
	case *feedpb.Resource_Eni:
		return key{feedpb.ResourceType_RESOURCE_TYPE_ENI, r.GetName()}, nil
	case *feedpb.Resource_Group:
		return key{feedpb.ResourceType_RESOURCE_TYPE_GROUP, r.GetName()}, nil
	case *feedpb.Resource_Member:
		return key{feedpb.ResourceType_RESOURCE_TYPE_MEMBER, r.GetName()}, nil
	case *feedpb.Resource_Guest:
		return key{feedpb.ResourceType_RESOURCE_TYPE_GUEST, r.GetName()}, nil
	case *feedpb.Resource_PrefixList:
		return key{feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST, r.GetName()}, nil
	default:
		return key{}, fmt.Errorf("resource %q with a body of unknown type %T", r.GetName(), r.GetBody())
	}
}

// toPB returns the names with their versions, sorted.
func (vs versions) toPB() []*feedpb.ResourceName {
	out := make([]*feedpb.ResourceName, 0, len(vs))
	for k, v := range vs {
		out = append(out, &feedpb.ResourceName{Type: k.kind, Name: k.name, Version: v})
	}
	slices.SortFunc(out, compareNames)
	return out
}

func compareNames(a, b *feedpb.ResourceName) int {
	return cmp.Or(cmp.Compare(a.GetType(), b.GetType()), cmp.Compare(a.GetName(), b.GetName()))
}

func versionsFromPB(ps []*feedpb.ResourceName) (versions, error) {
	vs := make(versions, len(ps))
	for _, p := range ps {
		k, err := keyFromPB(p)
		if err != nil {
			return nil, err
		}
		if _, ok := vs[k]; ok {
			return nil, fmt.Errorf("resource %q is named twice", k.name)
		}
		vs[k] = p.GetVersion()
	}
	return vs, nil
}

// resources returns what a host is to have in a State: its View and its lab guests.
func resources(s *vpc.State, host vpc.HostID) map[key]*feedpb.Resource {
	v := ruleset.Resolve(s, host)
	rs := make(map[key]*feedpb.Resource, len(v.ENIs)+len(v.Groups)+len(v.Members)+len(v.Lists))
	for id, e := range v.ENIs {
		rs[key{feedpb.ResourceType_RESOURCE_TYPE_ENI, string(id)}] = &feedpb.Resource{
			Name: string(id), Body: &feedpb.Resource_Eni{Eni: eniToPB(e)},
		}
	}
	for id, g := range v.Groups {
		rs[key{feedpb.ResourceType_RESOURCE_TYPE_GROUP, string(id)}] = &feedpb.Resource{
			Name: string(id), Body: &feedpb.Resource_Group{Group: groupToPB(g)},
		}
	}
	for id, m := range v.Members {
		rs[key{feedpb.ResourceType_RESOURCE_TYPE_MEMBER, string(id)}] = &feedpb.Resource{
			Name: string(id), Body: &feedpb.Resource_Member{Member: memberToPB(m)},
		}
	}
	for id, entries := range v.Lists {
		rs[key{feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST, string(id)}] = &feedpb.Resource{
			Name: string(id), Body: &feedpb.Resource_PrefixList{PrefixList: &feedpb.PrefixList{Entries: prefixesToPB(entries)}},
		}
	}
	for _, g := range guests(s, host) {
		rs[key{feedpb.ResourceType_RESOURCE_TYPE_GUEST, string(g.ID)}] = &feedpb.Resource{
			Name: string(g.ID), Body: &feedpb.Resource_Guest{Guest: guestToPB(g)},
		}
	}
	for _, r := range rs {
		r.Version = digest(r)
	}
	return rs
}

// digest returns a version that is equal only for equal content. Users write that content, so the
// hash is one in which nobody can make two rule sets meet. Another release may encode in another
// way; then a reconnect sends more than it had to.
func digest(r *feedpb.Resource) int64 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode resource %q: %v", r.GetName(), err)) // ids are ASCII: cannot happen
	}
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// difference returns the Delta from what a host has to what it is to have, sorted by type and name,
// without nonce; nil if there is none.
func difference(have versions, want map[key]*feedpb.Resource) *feedpb.Delta {
	d := &feedpb.Delta{}
	changed := make([]key, 0)
	for k, r := range want {
		if v, ok := have[k]; !ok || v != r.GetVersion() {
			changed = append(changed, k)
		}
	}
	slices.SortFunc(changed, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	for _, k := range changed {
		d.Changed = append(d.Changed, want[k])
	}
	for k, v := range have {
		if _, ok := want[k]; !ok {
			d.Removed = append(d.Removed, &feedpb.ResourceName{Type: k.kind, Name: k.name, Version: v})
		}
	}
	slices.SortFunc(d.Removed, compareNames)
	if len(d.Changed) == 0 && len(d.Removed) == 0 {
		return nil
	}
	return d
}

// after returns what a host has once it applied d. What it had stays as it was.
func (vs versions) after(d *feedpb.Delta) (versions, error) {
	n := versions{}
	if !d.GetSnapshot() {
		maps.Copy(n, vs)
	}
	for _, p := range d.GetRemoved() {
		k, err := keyFromPB(p)
		if err != nil {
			return nil, err
		}
		delete(n, k)
	}
	for _, r := range d.GetChanged() {
		k, err := keyOf(r)
		if err != nil {
			return nil, err
		}
		n[k] = r.GetVersion()
	}
	return n, nil
}

// guests returns the lab guests that a host is to run or to stop.
func guests(s *vpc.State, host vpc.HostID) []Guest {
	var gs []Guest
	for i := range s.InstancesOfHost(host) {
		if i.Image != vpc.ImageNetns {
			continue
		}
		g := Guest{ID: i.ID, UserData: i.UserData}
		switch i.State {
		case vpc.Pending, vpc.Running:
			g.Run = true
		case vpc.Stopping, vpc.ShuttingDown:
		case vpc.Stopped, vpc.Terminated:
			continue
		default:
			continue // an unknown state runs nothing
		}
		for e := range s.InterfacesOfInstance(i.ID) {
			g.Interfaces = append(g.Interfaces, guestInterface(s, e))
		}
		slices.SortFunc(g.Interfaces, func(a, b GuestInterface) int {
			return cmp.Compare(a.DeviceIndex, b.DeviceIndex)
		})
		gs = append(gs, g)
	}
	return gs
}

func guestInterface(s *vpc.State, e *vpc.NetworkInterface) GuestInterface {
	i := GuestInterface{
		ENI:         e.ID,
		DeviceIndex: e.Attachment.DeviceIndex,
		MAC:         e.MAC,
		VPC:         e.VPC,
		Subnet:      e.Subnet,
	}
	var nets []netip.Prefix // of the subnet
	if n := s.Subnet(e.Subnet); n != nil {
		nets = append(nets, n.CIDR)
		for _, a := range n.IPv6CIDRs {
			nets = append(nets, a.CIDR)
		}
		i.Routers = inNets(n.Routers(), nets)
	}
	own := slices.Concat(e.IPv4, e.IPv6)
	for _, p := range slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes) {
		own = append(own, p.Addr())
	}
	i.Addresses = inNets(own, nets)
	if v := s.VPC(e.VPC); v != nil {
		for _, a := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
			i.VPCCIDRs = append(i.VPCCIDRs, a.CIDR)
		}
	}
	i.Peers = slices.Sorted(s.ActivePeers(e.VPC))
	return i
}

// inNets gives each address the length of the network that contains it.
func inNets(as []netip.Addr, nets []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range as {
		for _, n := range nets {
			if n.Contains(a) {
				out = append(out, netip.PrefixFrom(a, n.Bits()))
			}
		}
	}
	return out
}
