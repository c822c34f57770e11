package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// screenshots is where `make screenshots` wants the pictures of docs/console.md.
var screenshots = os.Getenv("SCREENSHOTS")

// visited is a page, with something on it that is there when it has loaded.
type visited struct {
	hash    string
	there   element
	picture string // the name of its picture in docs/console.md; "": none
}

// everyPage looks at every page in light and dark, at a desk and on a phone: axe finds nothing serious, and
// nothing is wider than the window.
func (c *consoleTest) everyPage(t *testing.T) {
	const desk, phone, high = 1280, 360, 900
	pages := c.pages(t)
	alice := c.b.signIn(t, c.d, "alice", window{})
	for _, page := range pages {
		alice.visit(t, page.hash)
		alice.see(t, page.there)
		alice.gone(t, element{Text: "Loading", Exact: true})
		alice.accessible(t, page.hash+", light")
		alice.fits(t, page.hash)
		alice.picture(t, page.picture, "")

		alice.must(t, nil, "scheme", map[string]any{"dark": true})
		alice.accessible(t, page.hash+", dark", "color-contrast")
		alice.picture(t, page.picture, "-dark")
		alice.must(t, nil, "scheme", map[string]any{"dark": false})

		alice.must(t, nil, "resize", map[string]any{"width": phone, "height": high})
		alice.see(t, page.there)
		alice.accessible(t, page.hash+", on a phone")
		alice.fits(t, page.hash+", on a phone")
		alice.must(t, nil, "resize", map[string]any{"width": desk, "height": high})
	}
}

// accessible checks that axe finds nothing serious, by all its rules if none is named.
func (p *person) accessible(t *testing.T, where string, rules ...string) {
	t.Helper()
	var found []string
	more := map[string]any{}
	if len(rules) > 0 {
		more["rules"] = rules
	}
	p.must(t, &found, "axe", more)
	if len(found) > 0 {
		t.Errorf("axe on %s:\n%s", where, strings.Join(found, "\n"))
	}
}

// fits checks that nobody has to scroll sideways.
func (p *person) fits(t *testing.T, where string) {
	t.Helper()
	var wider int
	p.must(t, &wider, "overflow", nil)
	if wider > 0 {
		t.Errorf("%s is %d pixels wider than the window", where, wider)
	}
}

// picture writes a picture of what is to be seen, if pictures are wanted and this one has a name.
func (p *person) picture(t *testing.T, name, variant string) {
	t.Helper()
	if screenshots == "" || name == "" {
		return
	}
	p.must(t, nil, "screenshot", map[string]any{"file": filepath.Join(screenshots, name+variant+".png")})
}

// pages are all that the console has, with something on each.
func (c *consoleTest) pages(t *testing.T) []visited {
	t.Helper()
	group := c.group(t, "pages")
	c.rules(t, "authorize", "ingress", group, c.permission("tcp", 443, 443, anyone))
	g := c.run(t, group)
	return []visited{
		{"#/SecurityGroups", row("pages"), "security-groups"},
		{"#/SecurityGroups/" + group, tabNamed("Inbound rules"), "security-group"},
		{"#/SecurityGroups/" + group + "/replace", heading("Replace"), ""},
		{"#/StaleRules/" + c.vpc, heading("Stale rules"), ""},
		{"#/Instances", row(string(g.place)), "instances"},
		{"#/Instances/" + string(g.place), tabNamed("Security"), "instance"},
	}
}
