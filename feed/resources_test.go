package feed

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// TestSinceEqualsEverything changes this and that at random, and compares what a host is to have by what
// changed with what it is to have by all that there is.
func TestSinceEqualsEverything(t *testing.T) {
	const host vpc.HostID = "h1"
	r := rand.New(rand.NewPCG(1, 2))
	s := new(vpc.State).Apply(vpc.Change{Puts: []vpc.Object{
		&vpc.VPC{ID: "vpc-1", CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("10.0.0.0/16")}}},
		&vpc.Subnet{ID: "subnet-1", VPC: "vpc-1", CIDR: netip.MustParsePrefix("10.0.1.0/24")},
	}}, 1)
	_, known := everything(s, host)
	have := versions{}
	small, deltas := 0, 0
	for range 5000 {
		for range 1 + r.IntN(2) {
			s = s.Apply(vpc.Change{Puts: []vpc.Object{randomObject(r, s)}}, s.Revision()+1)
		}
		want, next := everything(s, host)
		all := difference(have, want, either(have, want))
		d := all
		if touched, some, ok := known.since(s, host); ok {
			small++
			d = difference(have, some, maps.Keys(touched))
			if all != nil {
				deltas++
			}
			known.state = s
		} else {
			known = next
		}
		if got, want := fmt.Sprint(d), fmt.Sprint(all); got != want {
			t.Fatalf("revision %d:\ngot  %s\nwant %s", s.Revision(), got, want)
		}
		if d == nil {
			continue
		}
		then, err := after(d)
		if err != nil {
			t.Fatal(err)
		}
		then(have)
	}
	if small < 1000 || deltas < 500 {
		t.Errorf("%d changes were found by what changed, %d of them touched the host: the walk is too narrow", small, deltas)
	}
}

// randomObject returns one of few objects as it may be instead.
func randomObject(r *rand.Rand, s *vpc.State) vpc.Object {
	some := func(prefix string, n int) string { return fmt.Sprintf("%s-%d", prefix, 1+r.IntN(n)) }
	instance, list := vpc.InstanceID(some("i", 2)), vpc.PrefixListID("pl-1")
	switch r.IntN(20) {
	case 0, 1, 2, 3:
		peers := []vpc.Peer{
			{CIDR: netip.MustParsePrefix("10.0.0.0/8")},
			{CIDR: netip.MustParsePrefix("192.0.2.0/24")},
			{Group: "sg-1"},
			{PrefixList: list},
		}
		g := &vpc.SecurityGroup{ID: vpc.GroupID(some("sg", 3)), VPC: "vpc-1", Rules: []vpc.Rule{{ID: "sgr-1", Number: 1, Peer: vpc.Peer{Group: "sg-2"}}}}
		for i := range uint32(r.IntN(3)) {
			g.Rules = append(g.Rules, vpc.Rule{Number: 2 + i, Protocol: vpc.TCP, To: r.Int32N(3), Peer: peers[r.IntN(len(peers))]})
		}
		g.Observe = time.Unix(r.Int64N(2), 0)
		return g
	case 4, 5, 6, 7, 8, 9:
		e := vpc.NetworkInterface{ID: vpc.InterfaceID(some("eni", 4)), VPC: "vpc-1", Subnet: "subnet-1", Groups: []vpc.GroupID{"sg-1"}}
		if old := s.NetworkInterface(e.ID); old != nil {
			e = *old
		}
		e.IPv4 = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(4 + r.IntN(40))})}
		switch r.IntN(7) {
		case 5:
			e.Observe = time.Unix(r.Int64N(2), 0)
		case 0:
			e.Groups = []vpc.GroupID{vpc.GroupID(some("sg", 3))}
		case 1:
			e.Binding = &vpc.Binding{Host: vpc.HostID(some("h", 2)), Device: "tap1"}
		case 2:
			e.Binding = nil
		case 3:
			e.Attachment = &vpc.Attachment{Instance: instance}
		case 4:
			e.Attachment = nil
		}
		return &e
	case 10, 11, 12, 13:
		return &vpc.Instance{
			ID: instance, Image: vpc.ImageNetns, UserData: fmt.Append(nil, r.IntN(3)),
			State: []vpc.InstanceState{vpc.Pending, vpc.Running, vpc.Stopping, vpc.Stopped}[r.IntN(4)],
			Host:  []vpc.HostID{"h1", "h1", "h2"}[r.IntN(3)],
		}
	case 14, 15:
		return &vpc.PrefixList{ID: list, Version: 1 + r.Int64N(2)}
	case 16, 17, 18:
		return &vpc.PrefixListVersion{List: list, Number: 1 + r.Int64N(2), Entries: []vpc.PrefixListEntry{
			{CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(4)), 0}), 24)},
		}}
	default:
		n := *s.Subnet("subnet-1")
		n.IPv6CIDRs = []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::/64", r.IntN(2)))}}
		return &n
	}
}
