package agent_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent"
	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

const answerGroup vpc.GroupID = "sg-00000000000000001"

const (
	flowsOfENI = 1500
	firstPort  = 2001 // above those of DHCP, which are no matter of rules
)

var answerENIs = []vpc.InterfaceID{"eni-00000000000000001", "eni-00000000000000002"}

// ports is the View of two interfaces that may send UDP to so many ports.
func ports(n int32) *ruleset.View {
	v := &ruleset.View{
		Revision: 1, ENIs: map[vpc.InterfaceID]ruleset.ENI{}, Members: map[vpc.InterfaceID]ruleset.Member{},
		Groups: map[vpc.GroupID]ruleset.Group{answerGroup: {ID: answerGroup, Rules: []vpc.Rule{{
			ID: "sgr-00000000000000001", Number: uint32(n), Egress: true, Protocol: vpc.UDP, From: firstPort, To: firstPort + n - 1,
			Peer: vpc.Peer{CIDR: netip.MustParsePrefix("192.0.2.0/24")},
		}}}},
	}
	for i, id := range answerENIs {
		v.ENIs[id] = ruleset.ENI{
			ID: id, Domain: "vpc-00000000000000001", MAC: vpc.MAC{2, 0, 0, 0, 0, byte(i + 1)}, SourceDestCheck: true,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}, Groups: []vpc.GroupID{answerGroup},
		}
	}
	return v
}

// TestAnswers lists, judges and cuts the connections of two interfaces, by pages.
func TestAnswers(t *testing.T) {
	runtime.LockOSThread() // not unlocked: the thread and its network end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("needs root: %v", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pins := fmt.Sprintf("/sys/fs/bpf/spt-queries-%d", os.Getpid())
	// So many places that no bucket is full, where one half-open connection would displace another.
	d, err := datapath.Open(datapath.Options{Pins: pins, MaxHalfOpen: 1 << 16})
	must(err)
	ns, err := netns.Get()
	must(err)
	t.Cleanup(func() {
		must(d.Close())
		must(netns.Set(ns)) // cleanups run on this thread, too: filters are those of its network
		must(datapath.Purge(pins))
		must(ns.Close())
	})
	var compiler ruleset.Compiler
	tables, members := compiler.Compile(ports(flowsOfENI))
	must(d.Apply(tables, members))
	for i, id := range answerENIs {
		name := fmt.Sprintf("g%d", i)
		must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}))
		link, err := netlink.LinkByName(name)
		must(err)
		must(netlink.LinkSetUp(link))
		must(d.Attach(link.Attrs().Index, name, id))
		peer, err := netlink.LinkByName(name + "p")
		must(err)
		must(netlink.LinkSetUp(peer))
		must(sendUDP(peer.Attrs().Index, ports(1).ENIs[id]))
	}

	answer := agent.Answering(d, tables, members)
	list := func(s inquiry.Selection, limit int) (all []inquiry.Connection) {
		t.Helper()
		q := &inquiry.Connections{Selection: s, Limit: limit}
		for {
			a, err := answer(t.Context(), inquiry.Question{Connections: q})
			must(err)
			if len(a.Connections) > limit || a.More && len(a.Connections) != limit {
				t.Fatalf("a page of %d connections, at most %d; more: %t", len(a.Connections), limit, a.More)
			}
			all = append(all, a.Connections...)
			if !a.More {
				return all
			}
			q.After = all[len(all)-1].Flow
		}
	}
	both := inquiry.Selection{ENIs: append(slices.Clone(answerENIs), "eni-00000000000000003")} // one that is not here
	for _, limit := range []int{1000, 700, 500} {                                              // 500 divides them
		all := list(both, limit)
		sorted := slices.IsSortedFunc(all, func(a, b inquiry.Connection) int { return a.Compare(b.Flow) })
		if len(all) != 2*flowsOfENI || !sorted {
			t.Errorf("pages of %d: got %d connections, sorted %t, want %d", limit, len(all), sorted, 2*flowsOfENI)
		}
	}
	first := list(both, 1000)[0]
	if first.ENI != answerENIs[0] || first.First != ruleset.Egress || first.RemotePort != firstPort || first.State != inquiry.HalfOpen ||
		first.Rule != flowsOfENI || first.Packets != [2]uint64{0, 1} || first.Today.Rule != flowsOfENI {
		t.Errorf("the first is %+v", first)
	}

	const left = 1000 // ports that the rules still allow
	tables, members = compiler.Compile(ports(left))
	must(d.Apply(tables, members))
	answer = agent.Answering(d, tables, members)
	refused := both
	refused.Refused = new(true)
	if all := list(refused, 300); len(all) != 2*(flowsOfENI-left) || slices.ContainsFunc(all, func(c inquiry.Connection) bool { return c.RemotePort < firstPort+left }) {
		t.Errorf("refused: got %d, want %d", len(all), 2*(flowsOfENI-left))
	}
	allowed := both
	allowed.Refused = new(false)
	if all := list(allowed, 1000); len(all) != 2*left {
		t.Errorf("not refused: got %d, want %d", len(all), 2*left)
	}
	a, err := answer(t.Context(), inquiry.Question{Cut: &refused})
	must(err)
	if want := map[vpc.InterfaceID]int{answerENIs[0]: flowsOfENI - left, answerENIs[1]: flowsOfENI - left}; !maps.Equal(a.Cut, want) {
		t.Errorf("cut %v, want %v", a.Cut, want)
	}
	if all := list(both, 1000); len(all) != 2*left || slices.ContainsFunc(all, func(c inquiry.Connection) bool { return c.Refused() }) {
		t.Errorf("after the cut: got %d, want %d", len(all), 2*left)
	}
	some := inquiry.Selection{ENIs: answerENIs[:1], RemotePorts: []inquiry.Ports{{From: firstPort, To: firstPort + 9}}}
	if a, err = answer(t.Context(), inquiry.Question{Cut: &some}); err != nil || a.Cut[answerENIs[0]] != 10 || len(list(both, 1000)) != 2*left-10 {
		t.Errorf("cut by ports: got %v, %v", a.Cut, err)
	}
	probe := inquiry.Question{Probe: &inquiry.Probe{ENI: answerENIs[0], Direction: ruleset.Egress, Packet: first.Packet()}}
	if a, err = answer(t.Context(), probe); err != nil || a.Verdict != (ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule, Rule: left}) {
		t.Errorf("probe: got %+v, %v", a.Verdict, err)
	}
}

// sendUDP sends a datagram to each port of the test from an interface, by its guest's side of the device.
func sendUDP(ifindex int, e ruleset.ENI) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for port := range uint16(flowsOfENI) {
		frame := append([]byte{2, 0, 0, 0, 0, 0xfe}, e.MAC[:]...)
		frame = append(frame, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
		frame = append(append(frame, e.Addresses[0].AsSlice()...), 192, 0, 2, 1)
		frame = append(binary.BigEndian.AppendUint16(append(frame, 0x13, 0x88), firstPort+port), 0, 8, 0, 0)
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifindex}); err != nil {
			return err
		}
	}
	return nil
}
