package feed

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Inside the package, since the messages are nobody else's business.

func addrs(ss ...string) []netip.Addr {
	out := make([]netip.Addr, len(ss))
	for i, s := range ss {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

func prefixes(ss ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Everything that a host is told arrives as it was, and a field that is added to a type but not to
// the messages is noticed: no field of these values is zero.
func TestMessagesCarryEverything(t *testing.T) {
	eni := ruleset.ENI{
		ID: "eni-1", Domain: "vpc-1", MAC: vpc.MAC{2, 0, 0, 0, 0, 1}, Addresses: addrs("10.0.0.5", "fd00::5"),
		Routers: addrs("10.0.0.1", "fd00::1"), Groups: []vpc.GroupID{"sg-1", "sg-2"}, SourceDestCheck: true,
		Prefixes: prefixes("10.0.0.16/28", "fd00:0:0:0:1::/80"),
		Timeouts: ruleset.Timeouts{TCPEstablished: 60 * time.Second, UDPStream: 61 * time.Second, UDP: 31 * time.Second},
		Observe:  time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC),
	}
	group := ruleset.Group{ID: "sg-1", Rules: []vpc.Rule{
		{ID: "sgr-1", Number: 1, Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1, Peer: vpc.Peer{CIDR: prefixes("::/0")[0]}},
		{ID: "sgr-2", Number: 1<<32 - 1, Protocol: vpc.TCP, From: 1, To: 65535, Peer: vpc.Peer{Group: "sg-2"}},
		{ID: "sgr-3", Number: 3, Protocol: 255, From: 2, To: 3, Peer: vpc.Peer{PrefixList: "pl-1"}},
		{ID: "sgr-4", Number: 4, Protocol: vpc.ICMP, From: 8, To: -1, Peer: vpc.Peer{CIDR: prefixes("10.0.0.0/8")[0]}},
	}}
	member := ruleset.Member{
		ID: "eni-2", Domains: []vpc.VPCID{"vpc-1", "vpc-2"}, Addresses: addrs("10.0.0.6", "fd00::6"), Groups: []vpc.GroupID{"sg-2"},
		Prefixes: prefixes("10.0.0.32/28", "fd00:0:0:0:2::/80"),
	}
	list := prefixes("10.0.0.0/8", "10.0.0.0/24", "192.0.2.0/24")
	guest := Guest{ID: "i-1", Run: true, UserData: []byte{0, 255}, Interfaces: []GuestInterface{{
		ENI: "eni-1", DeviceIndex: 1, MAC: eni.MAC, Addresses: prefixes("10.0.0.5/24", "fd00::5/64"), VPC: "vpc-1",
		Subnet: "subnet-1", Routers: prefixes("10.0.0.1/24", "fd00::1/64"), VPCCIDRs: prefixes("10.0.0.0/16", "fd00::/56"),
		Peers: []vpc.VPCID{"vpc-2"},
	}}}
	for _, v := range []any{eni, group, member, guest, guest.Interfaces[0]} {
		for i := range reflect.TypeOf(v).NumField() {
			if reflect.ValueOf(v).Field(i).IsZero() {
				t.Errorf("the test leaves %T.%s zero", v, reflect.TypeOf(v).Field(i).Name)
			}
		}
	}
	sent := &feedpb.Delta{Nonce: 1, Revision: 7, Changed: []*feedpb.Resource{
		{Name: "eni-1", Body: &feedpb.Resource_Eni{Eni: eniToPB(eni)}},
		{Name: "sg-1", Body: &feedpb.Resource_Group{Group: groupToPB(group)}},
		{Name: "eni-2", Body: &feedpb.Resource_Member{Member: memberToPB(member)}},
		{Name: "i-1", Body: &feedpb.Resource_Guest{Guest: guestToPB(guest)}},
		{Name: "pl-1", Body: &feedpb.Resource_PrefixList{PrefixList: &feedpb.PrefixList{Entries: prefixesToPB(list)}}},
	}, Removed: []*feedpb.ResourceName{
		{Type: feedpb.ResourceType_RESOURCE_TYPE_ENI, Name: "eni-3"},
		{Type: feedpb.ResourceType_RESOURCE_TYPE_GROUP, Name: "sg-3"},
		{Type: feedpb.ResourceType_RESOURCE_TYPE_MEMBER, Name: "eni-4"},
		{Type: feedpb.ResourceType_RESOURCE_TYPE_GUEST, Name: "i-3"},
		{Type: feedpb.ResourceType_RESOURCE_TYPE_PREFIX_LIST, Name: "pl-3"},
	}}
	b, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	received := new(feedpb.Delta)
	if err := proto.Unmarshal(b, received); err != nil {
		t.Fatal(err)
	}
	got, err := updateFromPB(received, 5)
	if err != nil {
		t.Fatal(err)
	}
	want := &Update{
		Revision: 7,
		Delta: ruleset.Delta{
			From: 5, To: 7,
			ENIs:        map[vpc.InterfaceID]ruleset.ENI{"eni-1": eni},
			Groups:      map[vpc.GroupID]ruleset.Group{"sg-1": group},
			Members:     map[vpc.InterfaceID]ruleset.Member{"eni-2": member},
			Lists:       map[vpc.PrefixListID][]netip.Prefix{"pl-1": list},
			RemovedENIs: []vpc.InterfaceID{"eni-3"}, RemovedGroups: []vpc.GroupID{"sg-3"}, RemovedMembers: []vpc.InterfaceID{"eni-4"},
			RemovedLists: []vpc.PrefixListID{"pl-3"},
		},
		Guests:        map[vpc.InstanceID]Guest{"i-1": guest},
		RemovedGuests: []vpc.InstanceID{"i-3"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("update:\ngot  %+v\nwant %+v", got, want)
	}
}

// An agent takes nothing that it does not understand: it says so, and keeps what it has.
func TestMalformedDelta(t *testing.T) {
	rule := func(change func(*feedpb.Rule)) *feedpb.Resource {
		r := &feedpb.Rule{Id: "sgr-1", Number: 1, Protocol: 6, From: 1, To: 1, PeerGroup: "sg-2"}
		change(r)
		return &feedpb.Resource{Name: "sg-1", Body: &feedpb.Resource_Group{Group: &feedpb.Group{Rules: []*feedpb.Rule{r}}}}
	}
	eni := func(change func(*feedpb.ENI)) *feedpb.Resource {
		e := &feedpb.ENI{Domain: "vpc-1", Mac: make([]byte, 6), Addresses: [][]byte{{10, 0, 0, 1}}}
		change(e)
		return &feedpb.Resource{Name: "eni-1", Body: &feedpb.Resource_Eni{Eni: e}}
	}
	cidr := func(length uint32, address ...byte) func(*feedpb.Rule) {
		return func(r *feedpb.Rule) {
			r.PeerGroup, r.Cidr = "", &feedpb.Prefix{Address: address, Length: length}
		}
	}
	list := func(entries ...string) *feedpb.Resource {
		return &feedpb.Resource{Name: "pl-1", Body: &feedpb.Resource_PrefixList{
			PrefixList: &feedpb.PrefixList{Entries: prefixesToPB(prefixes(entries...))},
		}}
	}
	mapped := netip.MustParseAddr("::ffff:10.0.0.1").As16()
	for name, tt := range map[string]struct {
		resource *feedpb.Resource
		want     string // part of the error; empty: accepted
	}{
		"good rule":             {rule(func(*feedpb.Rule) {}), ""},
		"good eni":              {eni(func(*feedpb.ENI) {}), ""},
		"good cidr":             {rule(cidr(8, 10, 0, 0, 0)), ""},
		"no body":               {&feedpb.Resource{Name: "x"}, "unknown type"},
		"no name":               {&feedpb.Resource{Body: &feedpb.Resource_Group{}}, "no name"},
		"MAC of 5 bytes":        {eni(func(e *feedpb.ENI) { e.Mac = e.Mac[:5] }), "MAC of 5 bytes"},
		"MAC of 7 bytes":        {eni(func(e *feedpb.ENI) { e.Mac = make([]byte, 7) }), "MAC of 7 bytes"},
		"address of 5 bytes":    {eni(func(e *feedpb.ENI) { e.Addresses[0] = make([]byte, 5) }), "address of bytes"},
		"IPv4 mapped in IPv6":   {eni(func(e *feedpb.ENI) { e.Routers = [][]byte{mapped[:]} }), "address of bytes"},
		"rule number 0":         {rule(func(r *feedpb.Rule) { r.Number = 0 }), "number 0"},
		"protocol -2":           {rule(func(r *feedpb.Rule) { r.Protocol = -2 }), "protocol -2"},
		"protocol 256":          {rule(func(r *feedpb.Rule) { r.Protocol = 256 }), "protocol 256"},
		"no peer":               {rule(func(r *feedpb.Rule) { r.PeerGroup = "" }), "0 peers"},
		"two peers":             {rule(func(r *feedpb.Rule) { r.PrefixList = "pl-1" }), "2 peers"},
		"cidr too long":         {rule(cidr(33, 10, 0, 0, 0)), "33 bits"},
		"cidr with host bits":   {rule(cidr(8, 10, 1, 0, 0)), "host bits"},
		"cidr of no address":    {rule(cidr(8)), "address of bytes"},
		"prefix with host bits": {eni(func(e *feedpb.ENI) { e.Prefixes = prefixesToPB(prefixes("10.0.0.17/28")) }), "host bits"},
		"good list":             {list("10.0.0.0/8", "10.0.0.0/24"), ""},
		"list out of order":     {list("10.0.0.0/24", "10.0.0.0/8"), "10.0.0.0/8 after 10.0.0.0/24"},
		"list with one twice":   {list("10.0.0.0/8", "10.0.0.0/8"), "10.0.0.0/8 after 10.0.0.0/8"},
		"list with host bits":   {list("10.0.0.1/8"), "host bits"},
		"guest without eni": {&feedpb.Resource{Name: "i-1", Body: &feedpb.Resource_Guest{Guest: &feedpb.Guest{
			Interfaces: []*feedpb.Guest_Interface{{Mac: make([]byte, 6)}},
		}}}, "no id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := updateFromPB(&feedpb.Delta{Revision: 1, Changed: []*feedpb.Resource{tt.resource}}, 0)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	for _, d := range []*feedpb.Delta{
		{},
		{Revision: -1},
		{Revision: 1, Removed: []*feedpb.ResourceName{{Type: 99, Name: "x"}}},
		{Revision: 1, Removed: []*feedpb.ResourceName{{Type: feedpb.ResourceType_RESOURCE_TYPE_ENI}}},
	} {
		if _, err := updateFromPB(d, 0); err == nil {
			t.Errorf("%v was accepted", d)
		}
	}
}

// FuzzDelta: whatever arrives, it is read or refused, and what was read says the same when it is
// written again.
func FuzzDelta(f *testing.F) {
	seed := &feedpb.Delta{Revision: 1, Changed: []*feedpb.Resource{
		{Name: "eni-1", Body: &feedpb.Resource_Eni{Eni: &feedpb.ENI{Mac: make([]byte, 6), Addresses: [][]byte{{10, 0, 0, 1}}}}},
		{Name: "sg-1", Body: &feedpb.Resource_Group{Group: &feedpb.Group{Rules: []*feedpb.Rule{{Number: 1, PeerGroup: "sg-1"}}}}},
	}}
	b, err := proto.Marshal(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := new(feedpb.Delta)
		if proto.Unmarshal(b, d) != nil {
			return
		}
		u, err := updateFromPB(d, 1)
		if err != nil {
			return
		}
		again := &feedpb.Delta{Revision: u.Revision, Snapshot: u.Snapshot, Removed: d.GetRemoved()}
		for _, id := range slices.Sorted(maps.Keys(u.Delta.ENIs)) {
			again.Changed = append(again.Changed, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Eni{Eni: eniToPB(u.Delta.ENIs[id])}})
		}
		for _, id := range slices.Sorted(maps.Keys(u.Delta.Groups)) {
			again.Changed = append(again.Changed, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Group{Group: groupToPB(u.Delta.Groups[id])}})
		}
		for _, id := range slices.Sorted(maps.Keys(u.Delta.Members)) {
			again.Changed = append(again.Changed, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Member{Member: memberToPB(u.Delta.Members[id])}})
		}
		for _, id := range slices.Sorted(maps.Keys(u.Delta.Lists)) {
			again.Changed = append(again.Changed, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_PrefixList{
				PrefixList: &feedpb.PrefixList{Entries: prefixesToPB(u.Delta.Lists[id])},
			}})
		}
		for _, id := range slices.Sorted(maps.Keys(u.Guests)) {
			again.Changed = append(again.Changed, &feedpb.Resource{Name: string(id), Body: &feedpb.Resource_Guest{Guest: guestToPB(u.Guests[id])}})
		}
		second, err := updateFromPB(again, 1)
		if err != nil || !reflect.DeepEqual(u, second) {
			t.Errorf("read, written and read again:\ngot  %+v (%v)\nwant %+v", second, err, u)
		}
	})
}
