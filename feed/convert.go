package feed

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// The messages as Go values and back. Reading refuses what no peer of this version writes: a wrong
// length, an unknown number, nothing or two things where one belongs.

// maxTimeout is the longest timeout of a connection that EC2 knows, in seconds.
const maxTimeout = 432_000

func eniToPB(e ruleset.ENI) *feedpb.ENI {
	p := &feedpb.ENI{
		Domain:          string(e.Domain),
		Mac:             e.MAC[:],
		Addresses:       addrsToPB(e.Addresses),
		Routers:         addrsToPB(e.Routers),
		Groups:          stringsOf(e.Groups),
		SourceDestCheck: e.SourceDestCheck,
		Prefixes:        prefixesToPB(e.Prefixes),

		TcpEstablishedTimeout: uint32(e.Timeouts.TCPEstablished / time.Second),
		UdpStreamTimeout:      uint32(e.Timeouts.UDPStream / time.Second),
		UdpTimeout:            uint32(e.Timeouts.UDP / time.Second),
	}
	if !e.Observe.IsZero() {
		p.ObserveUntil = e.Observe.Unix()
	}
	return p
}

func eniFromPB(id vpc.InterfaceID, p *feedpb.ENI) (e ruleset.ENI, err error) {
	e = ruleset.ENI{
		ID:              id,
		Domain:          vpc.VPCID(p.GetDomain()),
		Groups:          idsOf[vpc.GroupID](p.GetGroups()),
		SourceDestCheck: p.GetSourceDestCheck(),
	}
	for _, v := range []struct {
		to      *time.Duration
		seconds uint32
	}{
		{&e.Timeouts.TCPEstablished, p.GetTcpEstablishedTimeout()},
		{&e.Timeouts.UDPStream, p.GetUdpStreamTimeout()},
		{&e.Timeouts.UDP, p.GetUdpTimeout()},
	} {
		if v.seconds > maxTimeout {
			return e, fmt.Errorf("a timeout of %d seconds", v.seconds)
		}
		*v.to = time.Duration(v.seconds) * time.Second
	}
	if p.GetObserveUntil() != 0 {
		e.Observe = time.Unix(p.GetObserveUntil(), 0).UTC()
	}
	if e.MAC, err = macFromPB(p.GetMac()); err != nil {
		return e, err
	}
	if e.Addresses, err = addrsFromPB(p.GetAddresses()); err != nil {
		return e, err
	}
	if e.Routers, err = addrsFromPB(p.GetRouters()); err != nil {
		return e, err
	}
	e.Prefixes, err = maskedFromPB(p.GetPrefixes())
	return e, err
}

func groupToPB(g ruleset.Group) *feedpb.Group {
	out := &feedpb.Group{Rules: make([]*feedpb.Rule, len(g.Rules))}
	for i, r := range g.Rules {
		p := &feedpb.Rule{
			Id:         string(r.ID),
			Number:     r.Number,
			Egress:     r.Egress,
			Protocol:   int32(r.Protocol),
			From:       r.From,
			To:         r.To,
			PeerGroup:  string(r.Peer.Group),
			PrefixList: string(r.Peer.PrefixList),
		}
		if r.Peer.CIDR.IsValid() {
			p.Cidr = prefixToPB(r.Peer.CIDR)
		}
		out.Rules[i] = p
	}
	return out
}

func groupFromPB(id vpc.GroupID, p *feedpb.Group) (ruleset.Group, error) {
	g := ruleset.Group{ID: id, Rules: make([]vpc.Rule, len(p.GetRules()))}
	for i, r := range p.GetRules() {
		rule, err := ruleFromPB(r)
		if err != nil {
			return g, fmt.Errorf("rule %q: %w", r.GetId(), err)
		}
		g.Rules[i] = rule
	}
	return g, nil
}

func ruleFromPB(p *feedpb.Rule) (vpc.Rule, error) {
	r := vpc.Rule{
		ID:       vpc.RuleID(p.GetId()),
		Number:   p.GetNumber(),
		Egress:   p.GetEgress(),
		Protocol: vpc.Protocol(p.GetProtocol()),
		From:     p.GetFrom(),
		To:       p.GetTo(),
		Peer: vpc.Peer{
			Group:      vpc.GroupID(p.GetPeerGroup()),
			PrefixList: vpc.PrefixListID(p.GetPrefixList()),
		},
	}
	if r.Number == 0 {
		return r, fmt.Errorf("number 0")
	}
	if p.GetProtocol() < int32(vpc.AllProtocols) || p.GetProtocol() > math.MaxUint8 {
		return r, fmt.Errorf("protocol %d", p.GetProtocol())
	}
	peers := 0
	if p.GetCidr() != nil {
		var err error
		if r.Peer.CIDR, err = cidrFromPB(p.GetCidr()); err != nil {
			return r, err
		}
		peers++
	}
	if r.Peer.Group != "" {
		peers++
	}
	if r.Peer.PrefixList != "" {
		peers++
	}
	if peers != 1 {
		return r, fmt.Errorf("names %d peers, not 1", peers)
	}
	return r, nil
}

func memberToPB(m ruleset.Member) *feedpb.Member {
	return &feedpb.Member{
		Domains:   stringsOf(m.Domains),
		Addresses: addrsToPB(m.Addresses),
		Groups:    stringsOf(m.Groups),
		Prefixes:  prefixesToPB(m.Prefixes),
	}
}

func memberFromPB(id vpc.InterfaceID, p *feedpb.Member) (m ruleset.Member, err error) {
	m = ruleset.Member{
		ID:      id,
		Domains: idsOf[vpc.VPCID](p.GetDomains()),
		Groups:  idsOf[vpc.GroupID](p.GetGroups()),
	}
	if m.Addresses, err = addrsFromPB(p.GetAddresses()); err != nil {
		return m, err
	}
	m.Prefixes, err = maskedFromPB(p.GetPrefixes())
	return m, err
}

func guestToPB(g Guest) *feedpb.Guest {
	out := &feedpb.Guest{Run: g.Run, UserData: g.UserData}
	for _, i := range g.Interfaces {
		out.Interfaces = append(out.Interfaces, &feedpb.Guest_Interface{
			Eni:           string(i.ENI),
			DeviceIndex:   uint32(i.DeviceIndex),
			Mac:           i.MAC[:],
			Addresses:     prefixesToPB(i.Addresses),
			Vpc:           string(i.VPC),
			Subnet:        string(i.Subnet),
			SubnetRouters: prefixesToPB(i.Routers),
			VpcCidrs:      prefixesToPB(i.VPCCIDRs),
			Peers:         stringsOf(i.Peers),
		})
	}
	return out
}

func guestFromPB(id vpc.InstanceID, p *feedpb.Guest) (Guest, error) {
	g := Guest{ID: id, Run: p.GetRun(), UserData: p.GetUserData()}
	for _, q := range p.GetInterfaces() {
		i, err := guestInterfaceFromPB(q)
		if err != nil {
			return g, fmt.Errorf("interface %q: %w", q.GetEni(), err)
		}
		g.Interfaces = append(g.Interfaces, i)
	}
	return g, nil
}

func guestInterfaceFromPB(p *feedpb.Guest_Interface) (i GuestInterface, err error) {
	i = GuestInterface{
		ENI:         vpc.InterfaceID(p.GetEni()),
		DeviceIndex: int(p.GetDeviceIndex()),
		VPC:         vpc.VPCID(p.GetVpc()),
		Subnet:      vpc.SubnetID(p.GetSubnet()),
		Peers:       idsOf[vpc.VPCID](p.GetPeers()),
	}
	if i.ENI == "" {
		return i, fmt.Errorf("no id")
	}
	if i.MAC, err = macFromPB(p.GetMac()); err != nil {
		return i, err
	}
	if i.Addresses, err = prefixesFromPB(p.GetAddresses()); err != nil {
		return i, err
	}
	if i.Routers, err = prefixesFromPB(p.GetSubnetRouters()); err != nil {
		return i, err
	}
	i.VPCCIDRs, err = prefixesFromPB(p.GetVpcCidrs())
	return i, err
}

// updateFromPB reads a Delta that follows the given revision.
func updateFromPB(p *feedpb.Delta, from int64) (*Update, error) {
	if p.GetSnapshot() {
		from = 0
	}
	if p.GetRevision() <= 0 {
		return nil, fmt.Errorf("revision %d", p.GetRevision())
	}
	u := &Update{
		Revision: p.GetRevision(),
		Snapshot: p.GetSnapshot(),
		Delta: ruleset.Delta{
			From:    from,
			To:      p.GetRevision(),
			ENIs:    map[vpc.InterfaceID]ruleset.ENI{},
			Groups:  map[vpc.GroupID]ruleset.Group{},
			Members: map[vpc.InterfaceID]ruleset.Member{},
			Lists:   map[vpc.PrefixListID][]netip.Prefix{},
		},
		Guests: map[vpc.InstanceID]Guest{},
	}
	for _, r := range p.GetChanged() {
		if err := u.change(r); err != nil {
			return nil, fmt.Errorf("resource %q: %w", r.GetName(), err)
		}
	}
	for _, r := range p.GetRemoved() {
		k, err := keyFromPB(r)
		if err != nil {
			return nil, err
		}
		switch k.kind {
		case feedpb.ResourceType_RESOURCE_TYPE_ENI:
			u.Delta.RemovedENIs = append(u.Delta.RemovedENIs, vpc.InterfaceID(k.name))
		case feedpb.ResourceType_RESOURCE_TYPE_GROUP:
			u.Delta.RemovedGroups = append(u.Delta.RemovedGroups, vpc.GroupID(k.name))
		case feedpb.ResourceType_RESOURCE_TYPE_MEMBER:
			u.Delta.RemovedMembers = append(u.Delta.RemovedMembers, vpc.InterfaceID(k.name))
		case feedpb.ResourceType_RESOURCE_TYPE_GUEST:
			u.RemovedGuests = append(u.RemovedGuests, vpc.InstanceID(k.name))
		case feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST:
			u.Delta.RemovedLists = append(u.Delta.RemovedLists, vpc.PrefixListID(k.name))
		default:
			return nil, fmt.Errorf("remove a resource of type %v", k.kind)
		}
	}
	return u, nil
}

func (u *Update) change(r *feedpb.Resource) error {
	if r.GetName() == "" {
		return fmt.Errorf("no name")
	}
	switch body := r.GetBody().(type) {
	case *feedpb.Resource_Eni:
		e, err := eniFromPB(vpc.InterfaceID(r.GetName()), body.Eni)
		if err != nil {
			return err
		}
		u.Delta.ENIs[e.ID] = e
	case *feedpb.Resource_Group:
		g, err := groupFromPB(vpc.GroupID(r.GetName()), body.Group)
		if err != nil {
			return err
		}
		u.Delta.Groups[g.ID] = g
	case *feedpb.Resource_Member:
		m, err := memberFromPB(vpc.InterfaceID(r.GetName()), body.Member)
		if err != nil {
			return err
		}
		u.Delta.Members[m.ID] = m
	case *feedpb.Resource_Guest:
		g, err := guestFromPB(vpc.InstanceID(r.GetName()), body.Guest)
		if err != nil {
			return err
		}
		u.Guests[g.ID] = g
	case *feedpb.Resource_PrefixList:
		entries, err := maskedFromPB(body.PrefixList.GetEntries())
		if err != nil {
			return err
		}
		u.Delta.Lists[vpc.PrefixListID(r.GetName())] = entries
	default:
		return fmt.Errorf("body of unknown type %T", body)
	}
	return nil
}

func bindingToPB(b Binding) *feedpb.Binding {
	return &feedpb.Binding{Eni: string(b.ENI), Device: b.Device, GuestName: b.GuestName}
}

// maxDevice is the longest name of a network device. Source: IFNAMSIZ in linux/if.h, less the NUL.
const maxDevice = 15

func bindingFromPB(p *feedpb.Binding) (Binding, error) {
	b := Binding{ENI: vpc.InterfaceID(p.GetEni()), Device: p.GetDevice(), GuestName: p.GetGuestName()}
	return b, b.validate()
}

// validate checks the form alone: a wrong ENI id is the user's mistake and gets a BindingResult.
func (b Binding) validate() error {
	if b.ENI == "" || b.Device == "" || len(b.Device) > maxDevice {
		return fmt.Errorf("binding of ENI %q to device %q", b.ENI, b.Device)
	}
	return nil
}

func bindingsFromPB(ps []*feedpb.Binding) (map[vpc.InterfaceID]Binding, error) {
	bs := make(map[vpc.InterfaceID]Binding, len(ps))
	for _, p := range ps {
		b, err := bindingFromPB(p)
		if err != nil {
			return nil, err
		}
		if _, ok := bs[b.ENI]; ok {
			return nil, fmt.Errorf("ENI %q is bound twice", b.ENI)
		}
		bs[b.ENI] = b
	}
	return bs, nil
}

func guestStatusToPB(s GuestStatus) *feedpb.GuestStatus {
	p := &feedpb.GuestStatus{Instance: string(s.Instance), State: feedpb.GuestState_GUEST_STATE_STOPPED, Reason: s.Reason}
	if s.Running {
		p.State = feedpb.GuestState_GUEST_STATE_RUNNING
	}
	return p
}

func guestStatusFromPB(p *feedpb.GuestStatus) (GuestStatus, error) {
	s := GuestStatus{Instance: vpc.InstanceID(p.GetInstance()), Reason: p.GetReason()}
	if _, err := vpc.ParseInstanceID(p.GetInstance()); err != nil {
		return s, err
	}
	switch p.GetState() {
	case feedpb.GuestState_GUEST_STATE_RUNNING:
		s.Running = true
	case feedpb.GuestState_GUEST_STATE_STOPPED:
	default:
		return s, fmt.Errorf("guest %s in unknown state %v", s.Instance, p.GetState())
	}
	return s, nil
}

func macFromPB(b []byte) (m vpc.MAC, err error) {
	if copy(m[:], b) != len(m) || len(b) != len(m) {
		return m, fmt.Errorf("MAC of %d bytes", len(b))
	}
	return m, nil
}

func addrsToPB(as []netip.Addr) [][]byte {
	out := make([][]byte, len(as))
	for i, a := range as {
		out[i] = a.AsSlice()
	}
	return out
}

func addrsFromPB(bs [][]byte) ([]netip.Addr, error) {
	out := make([]netip.Addr, len(bs))
	for i, b := range bs {
		a, err := addrFromPB(b)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

func addrFromPB(b []byte) (netip.Addr, error) {
	a, ok := netip.AddrFromSlice(b)
	if !ok || a.Is4In6() {
		return a, fmt.Errorf("address of bytes %x", b)
	}
	return a, nil
}

func prefixToPB(p netip.Prefix) *feedpb.Prefix {
	return &feedpb.Prefix{Address: p.Addr().AsSlice(), Length: uint32(p.Bits())}
}

func prefixFromPB(p *feedpb.Prefix) (netip.Prefix, error) {
	a, err := addrFromPB(p.GetAddress())
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.GetLength() > uint32(a.BitLen()) {
		return netip.Prefix{}, fmt.Errorf("prefix of %d bits at %s", p.GetLength(), a)
	}
	return netip.PrefixFrom(a, int(p.GetLength())), nil
}

func prefixesToPB(ps []netip.Prefix) []*feedpb.Prefix {
	out := make([]*feedpb.Prefix, len(ps))
	for i, p := range ps {
		out[i] = prefixToPB(p)
	}
	return out
}

func prefixesFromPB(ps []*feedpb.Prefix) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(ps))
	for i, p := range ps {
		var err error
		if out[i], err = prefixFromPB(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// cidrFromPB reads a prefix without host bits.
func cidrFromPB(p *feedpb.Prefix) (netip.Prefix, error) {
	cidr, err := prefixFromPB(p)
	if err == nil && cidr != cidr.Masked() {
		err = fmt.Errorf("CIDR %s has host bits", cidr)
	}
	return cidr, err
}

// maskedFromPB reads prefixes without host bits, sorted, none twice: as a View has them.
func maskedFromPB(ps []*feedpb.Prefix) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(ps))
	for i, p := range ps {
		var err error
		if out[i], err = cidrFromPB(p); err != nil {
			return nil, err
		}
		if i > 0 && out[i-1].Compare(out[i]) >= 0 {
			return nil, fmt.Errorf("%s after %s", out[i], out[i-1])
		}
	}
	return out, nil
}

func stringsOf[T ~string](ids []T) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func idsOf[T ~string](ss []string) []T {
	out := make([]T, len(ss))
	for i, s := range ss {
		out[i] = T(s)
	}
	return out
}
