package e2e_test

import "testing"

// TestConsole has people use the console in a real browser, against the whole product, and looks at packets.
func TestConsole(t *testing.T) {
	d := startDev(t, t.TempDir())
	c := &consoleTest{world: ipv4World(t, d), b: startBrowser(t)}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"an administrator's first day", c.firstDay},
		{"an interface", c.oneInterface},
		{"wrong input", c.wrongInput},
		{"two administrators", c.twoAdministrators},
		{"a session that ends", c.sessionEnds},
		{"a server that restarts", c.serverRestarts},
		{"the keyboard", c.keyboard},
		{"every page", c.everyPage},
	} {
		t.Run(part.name, part.test)
	}
}

// consoleTest is what the parts of TestConsole share.
type consoleTest struct {
	*world
	b *browser
}
