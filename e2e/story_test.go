package e2e_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestStory is the product in one story: groups, guests, packets that pass and packets that do not,
// with the real aws CLI, for IPv4 and IPv6, attached by tcx and by clsact.
func TestStory(t *testing.T) {
	for _, attach := range []string{"tcx", "clsact"} {
		t.Run(attach, func(t *testing.T) {
			d := startDev(t, t.TempDir(), "--attach", attach)
			t.Run("ipv4", func(t *testing.T) { (&story{world: ipv4World(t, d)}).tell(t) })
			t.Run("ipv6", func(t *testing.T) { (&story{world: ipv6World(t, d)}).tell(t) })
		})
	}
}

// story is what its steps share.
type story struct {
	*world
	whole                         *testing.T // what a step leaves running ends with the whole story
	webSG, dbSG, sshSG, defaultSG string
	web, web2, db, admin          guest
	toDB, ssh                     net.Conn // opened early, alive to the end
}

func (s *story) tell(t *testing.T) {
	s.whole = t
	for _, step := range []struct {
		name string
		tell func(*testing.T)
	}{
		{"1 three guests", s.threeGuests},
		{"2 who reaches whom", s.whoReachesWhom},
		{"3 stateful, and the union", s.stateful},
		{"4 a second web", s.secondWeb},
		{"5 groups change in place", s.groupsInPlace},
		{"6 forgery", s.forgery},
		{"7 death and return", s.deathAndReturn},
		{"8 wrong calls", s.wrongCalls},
	} {
		if !t.Run(step.name, step.tell) {
			t.FailNow() // what follows stands on it
		}
	}
}

func (s *story) threeGuests(t *testing.T) {
	s.webSG, s.dbSG, s.sshSG, s.defaultSG = s.group(t, "web"), s.group(t, "db"), s.group(t, "ssh"), s.defaultGroup(t)
	s.admin = s.run(t, s.defaultSG)
	s.rules(t, "authorize", "ingress", s.webSG, s.permission("tcp", 80, 80, anyone), s.permission("tcp", 443, 443, anyone))
	s.rules(t, "authorize", "ingress", s.dbSG, s.permission("tcp", 5432, 5432, s.webSG))
	s.rules(t, "authorize", "ingress", s.sshSG, s.permission("tcp", 22, 22, s.admin.addr.String()))
	s.web, s.db = s.run(t, s.webSG, s.sshSG), s.run(t, s.dbSG, s.sshSG)
	s.serveAll()
}

// serveAll answers on every port of the story in every guest, so that only groups keep one closed.
func (s *story) serveAll() {
	for _, g := range []guest{s.web, s.db, s.admin} {
		for _, port := range []int{22, 80, 443, 5432, 8080} {
			g.serve(s.whole, port)
		}
	}
}

func (s *story) whoReachesWhom(t *testing.T) {
	outside.expect(t, answers, s.web.addr, 80, "web serves anybody")
	outside.expect(t, answers, s.web.addr, 443, "web serves anybody")
	outside.expect(t, silence, s.web.addr, 8080, "no rule for 8080")
	if outside.ping(false, s.web.addr) {
		t.Error("ping of web is answered before a rule allows it")
	}
	echoRequest := s.permission("icmp", 8, 0, anyone)
	if s.v6 {
		echoRequest = s.permission("icmpv6", 128, 0, anyone)
	}
	s.rules(t, "authorize", "ingress", s.webSG, echoRequest)
	if !outside.ping(true, s.web.addr) {
		t.Error("ping of web is not answered after a rule allows it")
	}

	s.web.expect(t, answers, s.db.addr, 5432, "db serves group web")
	outside.expect(t, silence, s.db.addr, 5432, "outside is not in group web")
	s.admin.expect(t, silence, s.db.addr, 5432, "admin is not in group web")
	s.admin.expect(t, answers, s.web.addr, 22, "the admin's address may ssh")
	s.admin.expect(t, answers, s.db.addr, 22, "the admin's address may ssh")
	outside.expect(t, silence, s.web.addr, 22, "outside may not ssh")
	outside.expect(t, silence, s.db.addr, 22, "outside may not ssh")

	// web and db are both in group ssh: that alone gives them nothing.
	s.web.expect(t, silence, s.db.addr, 22, "members of a group get nothing from that")
	s.db.expect(t, silence, s.web.addr, 22, "members of a group get nothing from that")
	second := s.run(t, s.defaultSG)
	s.admin.serve(s.whole, 9999)
	second.expect(t, answers, s.admin.addr, 9999, "the default group names itself")
	outside.expect(t, silence, s.admin.addr, 9999, "outside is not in the default group")
	s.d.aws(t, nil, "terminate-instances", "--instance-ids", string(second.place))
}

func (s *story) stateful(t *testing.T) {
	outside.serve(s.whole, 7777)
	s.web.expect(t, answers, s.outsideAddr(), 7777, "answers come back without an inbound rule")

	var err error
	if s.toDB, err = s.web.dial(s.db.addr, 5432); err != nil {
		t.Fatalf("web -> db: %v", err)
	}
	if s.ssh, err = s.admin.dial(s.web.addr, 22); err != nil {
		t.Fatalf("admin -> web: %v", err)
	}
	s.alive(t, "when they were opened")

	everything := s.permission("-1", 0, 0, anyone)
	s.rules(t, "revoke", "egress", s.webSG, everything)
	s.web.expect(t, answers, s.outsideAddr(), 7777, "group ssh still allows it: the union")
	s.rules(t, "revoke", "egress", s.sshSG, everything)
	s.web.expect(t, silence, s.outsideAddr(), 7777, "no group allows it any more")
	s.web.expect(t, silence, s.db.addr, 5432, "no group allows it any more")
	outside.expect(t, answers, s.web.addr, 80, "answers pass without an outbound rule")
	s.alive(t, "after all outbound rules are gone")

	s.rules(t, "revoke", "ingress", s.sshSG, s.permission("tcp", 22, 22, s.admin.addr.String()))
	s.admin.expect(t, silence, s.web.addr, 22, "the rule is gone")
	s.alive(t, "after the rule of one is gone")

	s.rules(t, "authorize", "egress", s.webSG, everything)
	s.rules(t, "authorize", "egress", s.sshSG, everything)
	s.rules(t, "authorize", "ingress", s.sshSG, s.permission("tcp", 22, 22, s.admin.addr.String()))
}

// alive checks that the connections that were opened early still carry bytes.
func (s *story) alive(t *testing.T, when string) {
	t.Helper()
	if err := echo(s.toDB, "to db "+when); err != nil {
		t.Errorf("web -> db:5432 is dead %s: %v", when, err)
	}
	if err := echo(s.ssh, "ssh "+when); err != nil {
		t.Errorf("admin -> web:22 is dead %s: %v", when, err)
	}
}

func (s *story) secondWeb(t *testing.T) {
	s.web2 = s.run(t, s.webSG)
	for _, port := range []int{80, 8080} {
		s.web2.serve(s.whole, port)
	}
	s.web2.expect(t, answers, s.db.addr, 5432, "a new member of web reaches db at once")
	for _, w := range []guest{s.web, s.web2} {
		outside.expect(t, silence, w.addr, 8080, "no rule for 8080 yet")
	}
	s.rules(t, "authorize", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))
	for _, w := range []guest{s.web, s.web2} {
		outside.expect(t, answers, w.addr, 8080, "a rule opens 8080 on every member")
	}
	s.rules(t, "revoke", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))
	for _, w := range []guest{s.web, s.web2} {
		outside.expect(t, silence, w.addr, 8080, "revoking closes it on every member")
	}
}

func (s *story) groupsInPlace(t *testing.T) {
	s.d.aws(t, nil, "modify-instance-attribute", "--instance-id", string(s.web2.place), "--groups", s.sshSG)
	s.d.inForce(t)
	outside.expect(t, silence, s.web2.addr, 80, "web2 left group web")
	s.web2.expect(t, silence, s.db.addr, 5432, "web2 left group web")
	s.d.aws(t, nil, "modify-network-interface-attribute", "--network-interface-id", s.web2.eni, "--groups", s.webSG)
	s.d.inForce(t)
	outside.expect(t, answers, s.web2.addr, 80, "web2 is back in group web")
	s.web2.expect(t, answers, s.db.addr, 5432, "web2 is back in group web")

	// A second interface on a running guest, in a group of its own.
	args := []string{"create-network-interface", "--subnet-id", s.subnet, "--groups", s.dbSG}
	address := "NetworkInterface.PrivateIpAddress"
	if s.v6 {
		args, address = append(args, "--ipv6-address-count", "1"), "NetworkInterface.Ipv6Addresses[0].Ipv6Address"
	}
	eni := s.d.query(t, "NetworkInterface.NetworkInterfaceId", args...)
	address = s.d.query(t, "NetworkInterfaces[0]."+address[len("NetworkInterface."):],
		"describe-network-interfaces", "--network-interface-ids", eni)
	attachment := s.d.query(t, "AttachmentId", "attach-network-interface",
		"--network-interface-id", eni, "--instance-id", string(s.web2.place), "--device-index", "1")
	s.bound(t, eni)
	s.web2.serve(s.whole, 5432)
	second := mustAddr(t, address)
	// It is in force before the lab has given the guest its address.
	s.web.comesTo(t, answers, second, 5432, "the second interface, which is in db, serves group web")
	outside.expect(t, silence, second, 80, "the second interface is not in web")
	outside.expect(t, answers, s.web2.addr, 80, "the first interface is in web")
	s.web.expect(t, silence, s.web2.addr, 5432, "the first interface is not in db")
	s.d.aws(t, nil, "detach-network-interface", "--attachment-id", attachment)
	eventually(t, "the detached interface can be deleted", func() error {
		r := s.d.tryAWS(t, "delete-network-interface", "--network-interface-id", eni)
		if r.code != 0 {
			return errorString(r.stderr)
		}
		return nil
	})
}

func (s *story) deathAndReturn(t *testing.T) {
	// The agent alone.
	agent := s.d.child(t, "agent")
	if err := syscall.Kill(agent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.alive(t, "with the agent dead")
	outside.expect(t, answers, s.web.addr, 80, "filtering goes on without the agent")
	outside.expect(t, silence, s.web.addr, 8080, "filtering goes on without the agent")
	s.rules(t, "authorize", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))
	outside.expect(t, answers, s.web.addr, 8080, "the agent is back, and takes new rules")
	s.rules(t, "revoke", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))

	// Everything, while traffic flows.
	flow := s.startFlow(t)
	s.d.kill(t)
	s.alive(t, "with everything dead")
	outside.expect(t, answers, s.web.addr, 80, "filtering goes on without anybody")
	outside.expect(t, silence, s.web.addr, 8080, "filtering goes on without anybody")
	s.d.start(t)
	s.d.inForce(t)
	s.alive(t, "after everything is back")
	flow.stop(t)
	outside.expect(t, answers, s.web.addr, 80, "adopted")
	outside.expect(t, silence, s.web.addr, 8080, "adopted")
	s.rules(t, "authorize", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))
	outside.expect(t, answers, s.web.addr, 8080, "the new agent takes new rules")
	s.rules(t, "revoke", "ingress", s.webSG, s.permission("tcp", 8080, 8080, anyone))

	// Cleanly.
	s.d.aws(t, nil, "create-tags", "--resources", s.webSG, string(s.web.place), s.web.eni, "--tags", "Key=story,Value=told")
	before := s.d.state(t)
	s.d.stop(t)
	lingering(t)
	s.d.start(t)
	s.d.inForce(t)
	if diff := s.d.state(t).diff(before); diff != "" {
		t.Errorf("the state after a clean stop and start differs:\n%s", diff)
	}
	s.serveAll()
	outside.expect(t, answers, s.web.addr, 80, "guests are back under their addresses")
	outside.expect(t, silence, s.web.addr, 8080, "and so are their rules")
	s.web.expect(t, answers, s.db.addr, 5432, "and so are their groups")
}

// flow is a connection that carries a word every few milliseconds.
type flow struct {
	conn   net.Conn
	server place // where its other end is
	done   chan struct{}
	result chan error
}

// startFlow opens a connection from web to db that must never miss a beat.
func (s *story) startFlow(t *testing.T) *flow {
	t.Helper()
	c, err := s.web.dial(s.db.addr, 5432)
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{conn: c, server: s.db.place, done: make(chan struct{}), result: make(chan error, 1)}
	go func() {
		for {
			if err := echo(c, "beat"); err != nil {
				f.result <- err
				return
			}
			select {
			case <-f.done:
				f.result <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return f
}

func (f *flow) stop(t *testing.T) {
	t.Helper()
	defer f.conn.Close()
	close(f.done)
	if err := <-f.result; err != nil {
		t.Errorf("an established connection was interrupted: %v", err)
	}
	again, err := retransmitted(f.conn)
	must(t, err)
	var sockets []*netlink.InetDiagTCPInfoResp
	must(t, f.server.in(func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} { // a server of both has IPv4 connections as IPv6 ones
			some, err := netlink.SocketDiagTCPInfo(family)
			if err != nil {
				return err
			}
			sockets = append(sockets, some...)
		}
		return nil
	}))
	port, found := f.conn.LocalAddr().(*net.TCPAddr).Port, false
	for _, s := range sockets {
		if s.TCPInfo != nil && int(s.InetDiagMsg.ID.DestinationPort) == port {
			again, found = again+s.TCPInfo.Total_retrans, true
		}
	}
	if !found || again > 0 {
		t.Errorf("an established connection had to send %d segments again (its other end was found: %v)", again, found)
	}
}

type errorString string

func (e errorString) Error() string { return string(e) }
