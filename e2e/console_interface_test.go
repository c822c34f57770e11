package e2e_test

import (
	"net"
	"testing"
)

// oneInterface is tried, watched and changed from its own page, with the packets looked at after each step.
func (c *consoleTest) oneInterface(t *testing.T) {
	s := &interfacePage{consoleTest: c, whole: t, heidi: c.b.signIn(t, c.d, "heidi", window{})}
	s.group, s.other = c.group(t, "watched"), c.group(t, "other")
	// One address, so that the connection is tracked: what is open to all is judged by the rules alone.
	c.rules(t, "authorize", "ingress", s.group, c.permission("tcp", 5000, 5000, outsideIPv4.String()))
	c.rules(t, "authorize", "ingress", s.other, c.permission("tcp", 5001, 5001, outsideIPv4.String()))
	s.guest = c.run(t, s.group)
	for _, port := range []int{5000, 5001} {
		s.serve(t, port)
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"observes", s.observes},
		{"ends that", s.endsThat},
		{"cuts what today's rules refuse", s.cuts},
		{"changes its groups", s.changesGroups},
		{"attaches and detaches another", s.attachesAnother},
	} {
		if !t.Run(step.name, step.do) {
			t.FailNow() // what follows stands on it
		}
	}
}

// interfacePage is somebody at the page of a guest's interface.
type interfacePage struct {
	*consoleTest
	guest
	whole        *testing.T // what a step leaves open ends with the whole
	heidi        *person
	group, other string   // let in TCP ports 5000 and 5001 from outside
	held         net.Conn // to port 5001, which only observing lets through
}

// talk opens a connection from outside, and says a word on it.
func (s *interfacePage) talk(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := outside.dial(s.addr, port)
	if err != nil {
		t.Fatal(err)
	}
	s.whole.Cleanup(func() { _ = conn.Close() })
	must(t, echo(conn, "hello"))
	return conn
}

// act opens the page of an interface and takes one of its actions.
func (s *interfacePage) act(t *testing.T, eni, action string) {
	t.Helper()
	s.heidi.visit(t, "#/NetworkInterfaces/"+eni)
	s.heidi.click(t, button("Actions"))
	s.heidi.click(t, menuItem(action).exactly())
}

func (s *interfacePage) observes(t *testing.T) {
	outside.expect(t, silence, s.addr, 5001, "no rule lets 5001 in")
	s.act(t, s.eni, "Observe")
	s.heidi.click(t, button("Observe").exactly().in(dialog("Observe")))
	s.heidi.see(t, text(s.eni+" observes."))
	s.heidi.see(t, text("In force on 1 of 1 interface"))
	s.held = s.talk(t, 5001)
	s.heidi.visit(t, "#/NetworkInterfaces/"+s.eni+"?tab=drops")
	s.heidi.see(t, row("5001").with("Passed: it observes"))
	s.heidi.see(t, row("5001").with("Dropped"))
	s.heidi.visit(t, "#/NetworkInterfaces/"+s.eni+"?tab=connections")
	s.heidi.see(t, row(":5001").with("No rule: it observed"))
}

func (s *interfacePage) endsThat(t *testing.T) {
	s.act(t, s.eni, "Observe")
	s.heidi.see(t, text("It observes until"))
	s.heidi.click(t, button("End it now"))
	s.heidi.see(t, text(s.eni+" does not observe any more."))
	s.d.inForce(t)
	if err := echoFor(patience, s.held, "after"); err == nil {
		t.Error("a connection that no rule allows outlives the observation")
	}
	outside.expect(t, silence, s.addr, 5001, "it observes no more")
	outside.expect(t, answers, s.addr, 5000, "its group lets 5000 in")
}

func (s *interfacePage) cuts(t *testing.T) {
	conn := s.talk(t, 5000)
	s.heidi.visit(t, "#/NetworkInterfaces/"+s.eni+"?tab=connections")
	s.heidi.see(t, row(":5000").with("Allow it"))
	s.rules(t, "revoke", "ingress", s.group, s.permission("tcp", 5000, 5000, outsideIPv4.String()))
	must(t, echo(conn, "a rule that is revoked cuts no tracked connection"))
	s.heidi.see(t, row(":5000").with("Refuse it"))
	s.heidi.click(t, button("Cut those that today's rules refuse"))
	s.heidi.see(t, text(" cut.")) // one connection, and what is left of those before
	if err := echoFor(patience, conn, "after"); err == nil {
		t.Error("a connection goes on after it was cut")
	}
	s.heidi.gone(t, row(":5000"))
}

func (s *interfacePage) changesGroups(t *testing.T) {
	s.heidi.visit(t, "#/NetworkInterfaces/"+s.eni)
	s.heidi.click(t, element{Role: "link", Name: "Change security groups"})
	s.heidi.addGroup(t, "other")
	s.heidi.click(t, button("Remove watched").exactly())
	s.heidi.click(t, button("Save").exactly())
	s.heidi.see(t, text("Security groups of "+s.eni+" changed"))
	s.heidi.see(t, text("In force on 1 of 1 interface"))
	outside.expect(t, answers, s.addr, 5001, "its new group lets 5001 in")
}

func (s *interfacePage) attachesAnother(t *testing.T) {
	eni := s.d.query(t, "NetworkInterface.NetworkInterfaceId", "create-network-interface", "--subnet-id", s.subnet, "--groups", s.other)
	second := mustAddr(t, s.d.query(t, "NetworkInterfaces[0].PrivateIpAddress", "describe-network-interfaces", "--network-interface-ids", eni))
	s.act(t, eni, "Attach")
	s.heidi.choose(t, element{Role: "button", Name: "Instance"}.in(dialog("Attach "+eni)), option(string(s.place)))
	s.heidi.click(t, button("Attach").exactly().in(dialog("Attach "+eni)))
	s.heidi.see(t, text(eni+" is attached to "+string(s.place)))
	// It is in force before the lab has given the guest its address.
	outside.comesTo(t, answers, second, 5001, "the second interface lets 5001 in")
	outside.expect(t, silence, second, 5000, "its group does not let 5000 in")

	s.act(t, eni, "Detach")
	s.heidi.click(t, button("Detach").exactly().in(dialog("Detach")))
	s.heidi.see(t, text(eni+" detached."))
	outside.comesTo(t, silence, second, 5001, "nobody has the address") // the page does not say when it is in force
	outside.expect(t, answers, s.addr, 5001, "the first interface stays")
}
