package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
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

// known is a State of which it is known what a host is to have, and what that depends on.
type known struct {
	state *vpc.State
	scope *ruleset.Scope
}

// everything returns what a host is to have in a State: its View and its lab guests.
func everything(s *vpc.State, host vpc.HostID) (map[key]*feedpb.Resource, *known) {
	v, scope := ruleset.ResolveScope(s, host)
	rs := resources(v)
	for i := range s.InstancesOfHost(host) {
		addGuest(rs, s, host, i)
	}
	return rs, &known{s, scope}
}

// since returns the names of all that the host is not to have in a State as it was when k was the
// newest, and what of it the host is to have now. ok is false if that takes a look at everything.
func (k *known) since(s *vpc.State, host vpc.HostID) (touched map[key]bool, want map[key]*feedpb.Resource, ok bool) {
	changed, ok := s.ChangedSince(k.state.Revision())
	if !ok {
		return nil, nil, false
	}
	parts, ok := k.scope.Touched(k.state, s, changed)
	if !ok {
		return nil, nil, false
	}
	touched, want = map[key]bool{}, resources(k.scope.Resolve(s, parts))
	addKeys(touched, feedpb.ResourceType_RESOURCE_TYPE_ENI, parts.ENIs)
	addKeys(touched, feedpb.ResourceType_RESOURCE_TYPE_GROUP, parts.Groups)
	addKeys(touched, feedpb.ResourceType_RESOURCE_TYPE_MEMBER, parts.Members)
	addKeys(touched, feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST, parts.Lists)
	instances := map[vpc.InstanceID]bool{}
	for _, c := range changed {
		for _, o := range []vpc.Object{k.state.Get(c), s.Get(c)} {
			switch o := o.(type) {
			case *vpc.Instance:
				instances[o.ID] = true
			case *vpc.NetworkInterface:
				if o.Attachment != nil {
					instances[o.Attachment.Instance] = true
				}
			}
		}
	}
	addKeys(touched, feedpb.ResourceType_RESOURCE_TYPE_GUEST, instances)
	for id := range instances {
		addGuest(want, s, host, s.Instance(id))
	}
	return touched, want, true
}

func addKeys[ID ~string](to map[key]bool, kind feedpb.ResourceType, ids map[ID]bool) {
	for id := range ids {
		to[key{kind, string(id)}] = true
	}
}

// resources returns the resources of a View, or of a part of one.
func resources(v *ruleset.View) map[key]*feedpb.Resource {
	rs := make(map[key]*feedpb.Resource, len(v.ENIs)+len(v.Groups)+len(v.Members)+len(v.Lists))
	for id, e := range v.ENIs {
		put(rs, feedpb.ResourceType_RESOURCE_TYPE_ENI, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Eni{Eni: eniToPB(e)}})
	}
	for id, g := range v.Groups {
		put(rs, feedpb.ResourceType_RESOURCE_TYPE_GROUP, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Group{Group: groupToPB(g)}})
	}
	for id, m := range v.Members {
		put(rs, feedpb.ResourceType_RESOURCE_TYPE_MEMBER, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Member{Member: memberToPB(m)}})
	}
	for id, entries := range v.Lists {
		put(rs, feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST, &feedpb.Resource{
			Name: string(id), Body: &feedpb.Resource_PrefixList{PrefixList: &feedpb.PrefixList{Entries: prefixesToPB(entries)}},
		})
	}
	return rs
}

// put adds a resource and gives it its version.
func put(rs map[key]*feedpb.Resource, kind feedpb.ResourceType, r *feedpb.Resource) {
	r.Version = digest(r)
	rs[key{kind, r.GetName()}] = r
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

// difference returns the Delta from what a host has of some resources to what it is to have of them,
// sorted by type and name, without nonce; nil if there is none.
func difference(have versions, want map[key]*feedpb.Resource, among iter.Seq[key]) *feedpb.Delta {
	d := &feedpb.Delta{}
	changed := make([]key, 0)
	for k := range among {
		r, wanted := want[k]
		switch v, had := have[k]; {
		case wanted && (!had || v != r.GetVersion()):
			changed = append(changed, k)
		case had && !wanted:
			d.Removed = append(d.Removed, &feedpb.ResourceName{Type: k.kind, Name: k.name, Version: v})
		}
	}
	slices.SortFunc(changed, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	for _, k := range changed {
		d.Changed = append(d.Changed, want[k])
	}
	slices.SortFunc(d.Removed, compareNames)
	if len(d.Changed) == 0 && len(d.Removed) == 0 {
		return nil
	}
	return d
}

// either yields the keys of what a host has or is to have.
func either(have versions, want map[key]*feedpb.Resource) iter.Seq[key] {
	return func(yield func(key) bool) {
		for k := range want {
			if !yield(k) {
				return
			}
		}
		for k := range have {
			if _, ok := want[k]; !ok && !yield(k) {
				return
			}
		}
	}
}

// after returns what changes what a host has to what it has once it applied d.
func after(d *feedpb.Delta) (func(versions), error) {
	removed, changed := make([]key, len(d.GetRemoved())), make([]key, len(d.GetChanged()))
	var err error
	for i, p := range d.GetRemoved() {
		if removed[i], err = keyFromPB(p); err != nil {
			return nil, err
		}
	}
	for i, r := range d.GetChanged() {
		if changed[i], err = keyOf(r); err != nil {
			return nil, err
		}
	}
	return func(vs versions) {
		if d.GetSnapshot() {
			clear(vs)
		}
		for _, k := range removed {
			delete(vs, k)
		}
		for i, k := range changed {
			vs[k] = d.GetChanged()[i].GetVersion()
		}
	}, nil
}

// addGuest adds a lab guest that a host is to run or to stop, if the instance is one.
func addGuest(rs map[key]*feedpb.Resource, s *vpc.State, host vpc.HostID, i *vpc.Instance) {
	if i == nil || i.Host != host || i.Image != vpc.ImageNetns {
		return
	}
	g := Guest{ID: i.ID, UserData: i.UserData}
	switch i.State {
	case vpc.Pending, vpc.Running:
		g.Run = true
	case vpc.Stopping, vpc.ShuttingDown:
	case vpc.Stopped, vpc.Terminated:
		return
	default:
		return // an unknown state runs nothing
	}
	for e := range s.InterfacesOfInstance(i.ID) {
		g.Interfaces = append(g.Interfaces, guestInterface(s, e))
	}
	slices.SortFunc(g.Interfaces, func(a, b GuestInterface) int {
		return cmp.Compare(a.DeviceIndex, b.DeviceIndex)
	})
	put(rs, feedpb.ResourceType_RESOURCE_TYPE_GUEST, &feedpb.Resource{Name: string(g.ID), Body: &feedpb.Resource_Guest{Guest: guestToPB(g)}})
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
