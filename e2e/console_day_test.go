package e2e_test

import (
	"strings"
	"testing"
)

// day is what the steps of the first day share.
type day struct {
	*consoleTest
	whole       *testing.T // what a step leaves running ends with the whole day
	alice       *person
	webSG, dbSG string
	web, db     guest
}

// firstDay is what an administrator does first, by hand, with the packets looked at after each step.
func (c *consoleTest) firstDay(t *testing.T) {
	s := &day{consoleTest: c, whole: t, alice: c.b.signIn(t, c.d, "alice", window{})}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"creates web and db", s.createGroups},
		{"launches a guest in each", s.launch},
		{"lets herself in by SSH", s.sshFromMyIP},
		{"swaps the groups of a running instance", s.swapGroups},
		{"closes a port", s.closePort},
		{"deletes a group that is in use", s.deleteGroup},
		{"terminates a guest", s.terminate},
	} {
		if !t.Run(step.name, step.do) {
			t.FailNow() // what follows stands on it
		}
	}
}

func (s *day) createGroups(t *testing.T) {
	s.webSG = s.alice.createGroup(t, "web", "Web servers",
		ruleRow{kind: "HTTP TCP 80", source: "Anywhere-IPv4"}, ruleRow{kind: "HTTPS TCP 443", source: "Anywhere-IPv4"})
	s.dbSG = s.alice.createGroup(t, "db", "Databases", ruleRow{kind: "PostgreSQL TCP 5432", peer: s.webSG})
}

func (s *day) launch(t *testing.T) {
	s.web, s.db = s.launchByHand(t, "web-1", "web"), s.launchByHand(t, "db-1", "db")
	for _, g := range []guest{s.web, s.db} {
		for _, port := range []int{22, 80, 443, 5432, 8080} {
			g.serve(s.whole, port) // so that only groups keep one closed
		}
	}
	outside.expect(t, answers, s.web.addr, 80, "web serves anybody")
	outside.expect(t, answers, s.web.addr, 443, "web serves anybody")
	outside.expect(t, silence, s.web.addr, 8080, "no rule for 8080")
	s.web.expect(t, answers, s.db.addr, 5432, "db serves group web")
	outside.expect(t, silence, s.db.addr, 5432, "outside is not in group web")
	outside.expect(t, silence, s.web.addr, 22, "nobody may ssh yet")
}

// launchByHand launches a lab guest in a group, and waits until it runs.
func (s *day) launchByHand(t *testing.T, name, group string) guest {
	t.Helper()
	s.alice.visit(t, "#/Instances")
	s.alice.click(t, button("Launch instances"))
	s.alice.fill(t, textbox("Name").nth(0), name)
	s.alice.click(t, element{Role: "radio", Name: "Select existing security group"})
	s.alice.addGroup(t, group)
	s.alice.click(t, button("Launch instance").exactly())
	s.alice.see(t, text("Launched i-"))
	s.alice.see(t, row(name).with("Running"))
	id := s.d.query(t, "Reservations[0].Instances[0].InstanceId", "describe-instances",
		"--filters", "Name=tag:Name,Values="+name, "Name=instance-state-name,Values=pending,running")
	g := s.running(t, id)
	s.d.inForce(t)
	return g
}

// addGroup adds a group to the list of those that an interface is to have.
func (p *person) addGroup(t *testing.T, name string) {
	t.Helper()
	p.fill(t, combobox("Select security groups"), name)
	p.click(t, option(name+" sg-"))
	p.see(t, button("Remove "+name).exactly())
}

func (s *day) sshFromMyIP(t *testing.T) {
	s.alice.visit(t, "#/SecurityGroups/"+s.webSG)
	s.alice.click(t, button("Edit inbound rules"))
	s.alice.addRule(t, 2, ruleRow{kind: "SSH TCP 22", source: "My IP", description: "The administrator"})
	s.alice.see(t, text(outsideIPv4.String()+"/32"))
	s.alice.saveRules(t)
	s.alice.see(t, text("In force on 2 of 2 interfaces")) // db names web
	s.d.inForce(t)
	outside.expect(t, answers, s.web.addr, 22, "the administrator's address may ssh")
	s.db.expect(t, silence, s.web.addr, 22, "nobody else may")
}

func (s *day) swapGroups(t *testing.T) {
	s.alice.swap(t, s.web, "web-1", "web", "db")
	s.d.inForce(t)
	outside.expect(t, silence, s.web.addr, 80, "it left group web")
	s.web.expect(t, silence, s.db.addr, 5432, "it left group web")

	s.alice.swap(t, s.web, "web-1", "db", "web")
	s.d.inForce(t)
	outside.expect(t, answers, s.web.addr, 80, "it is back in group web")
	s.web.expect(t, answers, s.db.addr, 5432, "it is back in group web")
}

// swap takes a running instance out of one group and puts it into another, by a right click.
func (p *person) swap(t *testing.T, g guest, name, from, to string) {
	t.Helper()
	p.visit(t, "#/Instances")
	p.rightClick(t, text(name).exactly().in(row(string(g.place))))
	p.click(t, menuItem("Security"))
	p.click(t, menuItem("Change security groups"))
	p.addGroup(t, to)
	p.click(t, button("Remove "+from).exactly())
	p.click(t, button("Save").exactly())
	p.gone(t, button("Save").exactly())
	p.see(t, text("Security groups of "+g.eni+" changed"))
	p.see(t, text("In force on 1 of 1 interface"))
}

func (s *day) closePort(t *testing.T) {
	s.alice.visit(t, "#/SecurityGroups/"+s.webSG+"/inbound")
	s.alice.click(t, button("Delete rule "+s.ruleID(t, s.webSG, 80)))
	s.alice.see(t, text("1 removed"))
	s.alice.saveRules(t)
	s.alice.see(t, text("In force on 2 of 2 interfaces")) // db names web
	s.d.inForce(t)
	outside.expect(t, silence, s.web.addr, 80, "80 is closed")
	outside.expect(t, answers, s.web.addr, 443, "443 is not")
	outside.expect(t, answers, s.web.addr, 22, "22 is not")
}

// ruleID is the id of a group's inbound rule for a TCP port.
func (c *consoleTest) ruleID(t *testing.T, group string, port int) string {
	t.Helper()
	var out struct {
		SecurityGroupRules []struct {
			SecurityGroupRuleId string
			FromPort            int
			IsEgress            bool
		}
	}
	c.d.aws(t, &out, "describe-security-group-rules", "--filters", "Name=group-id,Values="+group)
	for _, r := range out.SecurityGroupRules {
		if !r.IsEgress && r.FromPort == port {
			return r.SecurityGroupRuleId
		}
	}
	t.Fatalf("%s has no inbound rule for port %d", group, port)
	return ""
}

// deleteGroup is told what stands in the way.
func (s *day) deleteGroup(t *testing.T) {
	s.alice.visit(t, "#/SecurityGroups")
	s.alice.rightClick(t, text("Web servers").in(row(s.webSG)))
	s.alice.click(t, menuItem("Delete security groups"))
	s.alice.see(t, text("The security group cannot be deleted."))
	s.alice.see(t, text("network interface carries"))
	s.alice.see(t, text("rule of another group names"))
	s.alice.click(t, button("Cancel").in(dialog("Delete security group")))
	outside.expect(t, answers, s.web.addr, 443, "nothing changed")
}

func (s *day) terminate(t *testing.T) {
	s.alice.visit(t, "#/Instances")
	s.alice.rightClick(t, text("db-1").exactly().in(row(string(s.db.place))))
	s.alice.click(t, menuItem("Instance state"))
	s.alice.click(t, menuItem("Terminate (delete) instance"))
	s.alice.click(t, button("Terminate (delete)").in(dialog("Terminate")))
	s.alice.see(t, row(string(s.db.place)).with("Terminated"))
	s.web.expect(t, silence, s.db.addr, 5432, "it is gone")
}

// What people do with rules.

// ruleRow is a row of the rule editor, as somebody fills it in. Empty fields are left as they are.
type ruleRow struct {
	kind, ports  string
	source, peer string // kind of source; CIDR, or the id of a group or list
	description  string
}

// rowAt is a row of the editor.
func rowAt(n int) element {
	return element{Role: "group", Name: "Security group rule ID"}.nth(n)
}

// addRule adds an inbound row to the editor, and fills it in. n is how many there are before.
func (p *person) addRule(t *testing.T, n int, r ruleRow) {
	t.Helper()
	p.click(t, button("Add rule").nth(0))
	p.editRule(t, n, r)
}

func (p *person) editRule(t *testing.T, n int, r ruleRow) {
	t.Helper()
	if r.kind != "" {
		p.choose(t, button("Type ").nth(0).in(rowAt(n)), option(r.kind))
	}
	if r.ports != "" {
		p.fill(t, textbox("Port range").in(rowAt(n)), r.ports)
	}
	if r.source != "" {
		p.choose(t, button("Source type").in(rowAt(n)), option(r.source))
	}
	if r.peer != "" {
		p.fill(t, combobox("Source").in(rowAt(n)), r.peer)
		p.click(t, option(r.peer).nth(0))
		p.see(t, button("Remove "+r.peer).in(rowAt(n)))
	}
	if r.description != "" {
		p.fill(t, textbox("Description").in(rowAt(n)), r.description)
	}
}

// saveRules saves what the editor holds, and waits until that is done.
func (p *person) saveRules(t *testing.T) {
	t.Helper()
	p.click(t, button("Save rules"))
	p.see(t, text("were modified"))
	p.gone(t, button("Save rules"))
}

// createGroup creates a group in the default VPC, and returns its id.
func (p *person) createGroup(t *testing.T, name, description string, inbound ...ruleRow) string {
	t.Helper()
	p.visit(t, "#/SecurityGroups")
	p.click(t, button("Create security group").nth(0))
	p.fill(t, textbox("Security group name"), name)
	p.fill(t, textbox("Description").nth(0), description)
	for n, r := range inbound {
		p.addRule(t, n, r)
	}
	p.click(t, button("Create security group"))
	p.see(t, heading(" - "+name))
	p.see(t, text("("+name+") was created"))
	_, id, found := strings.Cut(p.address(t), "#/SecurityGroups/")
	if !found || !strings.HasPrefix(id, "sg-") {
		t.Fatalf("after a group was created the address is %s", p.address(t))
	}
	return id
}
