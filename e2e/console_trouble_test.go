package e2e_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// wrongInput is told in the server's own words, beside the field, and changes nothing.
func (c *consoleTest) wrongInput(t *testing.T) {
	group := c.group(t, "wrong")
	before := c.d.query(t, "SecurityGroupRules[].SecurityGroupRuleId", "describe-security-group-rules")
	bob := c.b.signIn(t, c.d, "bob", window{})
	bob.visit(t, "#/SecurityGroups/"+group+"/inbound")
	bob.addRule(t, 0, ruleRow{kind: "Custom TCP", ports: "80-70000", peer: "192.0.2.300/24"})
	bob.click(t, button("Save rules"))
	bob.see(t, text("port (70000) out of range"))
	bob.see(t, text("CIDR block 192.0.2.300/24 is malformed"))
	bob.see(t, text("to solve first"))
	bob.accessible(t, "the editor with problems", nil)

	// What is wrong is named until it is right, and only then.
	bob.fill(t, textbox("Port range").in(rowAt(0)), "8080")
	bob.click(t, button("Remove 192.0.2.300/24"))
	bob.editRule(t, 0, ruleRow{peer: "192.0.2.0/24"})
	bob.see(t, text("1 added"))
	bob.addRule(t, 1, ruleRow{kind: "Custom TCP", ports: "8080", peer: "192.0.2.0/24"})
	bob.click(t, button("Save rules"))
	bob.see(t, text("to solve first")) // twice the same

	bob.visit(t, "#/CreateSecurityGroup")
	bob.fill(t, textbox("Security group name"), "sg-mine")
	bob.fill(t, textbox("Description").nth(0), "Name that looks like an ID")
	bob.click(t, button("Create security group"))
	bob.see(t, text("sg-"))
	bob.see(t, element{CSS: "[aria-invalid=true]"})

	if after := c.d.query(t, "SecurityGroupRules[].SecurityGroupRuleId", "describe-security-group-rules"); after != before {
		t.Errorf("rules changed: they were %s, and are %s", before, after)
	}
}

// twoAdministrators edit the same group: who saves later sees what the other did first.
func (c *consoleTest) twoAdministrators(t *testing.T) {
	group := c.group(t, "shared")
	c.rules(t, "authorize", "ingress", group, c.permission("tcp", 8001, 8001, anyone), c.permission("tcp", 8002, 8002, anyone))
	first := c.ruleID(t, group, 8001)
	carol, dave := c.b.signIn(t, c.d, "carol", window{}), c.b.signIn(t, c.d, "dave", window{})
	for _, p := range []*person{carol, dave} {
		p.visit(t, "#/SecurityGroups/"+group+"/inbound")
		p.see(t, button("Delete rule "+first))
	}
	// Both change the same rule.
	carol.fill(t, textbox("Port range").in(rowWith(first)), "9001")
	carol.saveRules(t)
	dave.fill(t, textbox("Port range").in(rowWith(first)), "7001")
	dave.click(t, button("Save rules"))
	dave.see(t, text("changed this group since you opened it"))
	ports := func() string {
		return c.d.query(t, "sort(SecurityGroupRules[?IsEgress==`false`].to_string(FromPort))",
			"describe-security-group-rules", "--filters", "Name=group-id,Values="+group)
	}
	if got, want := strings.Fields(ports()), "8002 9001"; strings.Join(got, " ") != want {
		t.Errorf("after a save that was refused the ports are %s, want %s", got, want)
	}
	// He looks, and wants his own.
	dave.click(t, button("Put my edits on top of theirs"))
	dave.saveRules(t)
	if got, want := strings.Fields(ports()), "7001 8002"; strings.Join(got, " ") != want {
		t.Errorf("after both saved the ports are %s, want %s", got, want)
	}
}

// rowWith is the row of a rule that there is already.
func rowWith(rule string) element {
	return element{Role: "group", Name: "Security group rule ID"}.with(rule)
}

// sessionEnds in the middle of a form: nothing of it is lost.
func (c *consoleTest) sessionEnds(t *testing.T) {
	const password = "correct horse battery staple"
	erin := c.b.signIn(t, c.d, "erin", window{})
	erin.visit(t, "#/CreateSecurityGroup")
	erin.fill(t, textbox("Security group name"), "kept")
	erin.fill(t, textbox("Description").nth(0), "Filled in before the session ended")

	// A new password ends what its user is signed in with.
	set := exec.Command(sallyport, "users", "set-password", "admin", "--data-dir", c.d.dir)
	set.Stdin = strings.NewReader(password + "\n")
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("set a password: %v\n%s", err, out)
	}
	erin.click(t, button("Create security group"))
	again := dialog("Sign in again")
	erin.see(t, again)
	erin.accessible(t, "signing in again", nil)
	erin.fill(t, field("Password").in(again), "wrong")
	erin.click(t, button("Sign in").in(again))
	erin.see(t, text("The user name or the password is wrong."))
	erin.fill(t, field("Password").in(again), password)
	erin.click(t, button("Sign in").in(again))
	erin.gone(t, again)
	erin.see(t, heading(" - kept")) // the click was not lost, either

	// Another tab learns of it at once when she signs out.
	erin.must(t, nil, "tab", map[string]any{"url": erin.url})
	erin.see(t, heading("Security groups"))
	erin.click(t, button("admin"))
	erin.click(t, menuItem("Sign out"))
	erin.see(t, heading("Sign in to Sallyport"))
	erin.must(t, nil, "firstTab", nil)
	erin.see(t, heading("Sign in to Sallyport"))
	erin.accessible(t, "the page to sign in with", nil)
	erin.must(t, nil, "reload", nil)
	erin.see(t, heading("Sign in to Sallyport"))
}

// serverRestarts in the middle of a form: one tries again, and goes on.
func (c *consoleTest) serverRestarts(t *testing.T) {
	frank := c.b.signIn(t, c.d, "frank", window{})
	frank.expect("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", ": 502", ": 503") // while it is away
	group := c.group(t, "restart")
	frank.visit(t, "#/SecurityGroups/"+group+"/inbound")
	frank.addRule(t, 0, ruleRow{kind: "HTTPS TCP 443", source: "Anywhere-IPv4"})
	if err := syscall.Kill(c.d.child(t, "server"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is back", func() error {
		if r := c.d.tryAWS(t, "describe-vpcs"); r.code != 0 {
			return errorString(r.stderr)
		}
		return nil
	})
	frank.saveRules(t)
	c.ruleID(t, group, 443)
}

// keyboard creates a group without a mouse.
func (c *consoleTest) keyboard(t *testing.T) {
	grace := c.b.signIn(t, c.d, "grace", window{})
	tabTo := func(name string) {
		t.Helper()
		grace.must(t, nil, "tabTo", map[string]any{"text": name})
	}
	tabTo(`button "Create security group"`)
	grace.press(t, "Enter")
	grace.see(t, heading("Create security group"))
	tabTo(`textbox "Security group name"`)
	grace.write(t, "typed")
	tabTo(`textbox "Description"`)
	grace.write(t, "Made with the keyboard alone")
	tabTo(`button "Add rule"`)
	grace.press(t, "Enter")
	grace.see(t, rowAt(1)) // beside the outbound rule that every group begins with
	eventually(t, "the new row has the focus", func() error {
		if what := grace.focused(t); !strings.Contains(what, `button "Type Custom TCP`) {
			return errorString("the focus is on " + what)
		}
		return nil
	})
	grace.press(t, "Enter")
	grace.write(t, "HTTPS")
	grace.see(t, option("HTTPS TCP 443"))
	grace.press(t, "ArrowDown", "Enter")
	grace.see(t, button("Type HTTPS"))
	tabTo(`button "Source type`)
	grace.press(t, "Enter")
	grace.see(t, option("Anywhere-IPv6"))
	grace.press(t, "ArrowDown", "ArrowDown", "Enter")
	grace.see(t, text("::/0").in(rowAt(0)))
	tabTo(`button "Create security group"`)
	grace.press(t, "Enter")
	grace.see(t, heading(" - typed"))
	got := c.d.query(t, "SecurityGroups[].IpPermissions[].Ipv6Ranges[].CidrIpv6", "describe-security-groups",
		"--filters", "Name=group-name,Values=typed")
	if got != "::/0" {
		t.Errorf("the group lets %q in, want ::/0", got)
	}
}
