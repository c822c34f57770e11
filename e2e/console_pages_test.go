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
	contrast := []string{"color-contrast"} // the slowest: once in light, once in dark
	pages := c.pages(t)
	alice := c.b.signIn(t, c.d, "alice", window{})
	for _, page := range pages {
		alice.visit(t, page.hash)
		alice.see(t, page.there)
		alice.gone(t, element{Text: "Loading", Exact: true})
		alice.accessible(t, page.hash+", light", nil)
		alice.fits(t, page.hash)
		alice.picture(t, page.picture, "")

		alice.must(t, nil, "scheme", map[string]any{"dark": true})
		alice.accessible(t, page.hash+", dark", map[string]any{"only": contrast})
		alice.picture(t, page.picture, "-dark")
		alice.must(t, nil, "scheme", map[string]any{"dark": false})

		alice.must(t, nil, "resize", map[string]any{"width": phone, "height": high})
		alice.see(t, page.there)
		alice.accessible(t, page.hash+", on a phone", map[string]any{"without": contrast})
		alice.fits(t, page.hash+", on a phone")
		alice.must(t, nil, "resize", map[string]any{"width": desk, "height": high})
	}
}

// accessible checks that axe finds nothing serious. which are the rules that it goes by; nil: all.
func (p *person) accessible(t *testing.T, where string, which map[string]any) {
	t.Helper()
	var found []string
	p.must(t, &found, "axe", which)
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
	instance := string(g.place)
	list := c.d.query(t, "PrefixList.PrefixListId", "create-managed-prefix-list", "--prefix-list-name", "offices",
		"--max-entries", "5", "--address-family", "IPv4", "--entries", "Cidr=192.0.2.0/24,Description=Head office")
	other := c.d.query(t, "Vpc.VpcId", "create-vpc", "--cidr-block", "10.70.0.0/16")
	peering := c.d.query(t, "VpcPeeringConnection.VpcPeeringConnectionId",
		"create-vpc-peering-connection", "--vpc-id", c.vpc, "--peer-vpc-id", other)
	return []visited{
		{"#/SecurityGroups", row("pages"), "security-groups"},
		{"#/SecurityGroups/" + group, tabNamed("Inbound rules"), "security-group"},
		{"#/SecurityGroups/" + group + "?tab=used-by", row(instance), "used-by"},
		{"#/SecurityGroups/" + group + "/inbound", button("Save rules"), "edit-inbound-rules"},
		{"#/SecurityGroups/" + group + "/outbound", button("Save rules"), ""},
		{"#/CreateSecurityGroup", button("Create security group"), ""},
		{"#/CopySecurityGroup/" + group, button("Create security group"), ""},
		{"#/SecurityGroups/" + group + "/replace", heading("Replace"), ""},
		{"#/StaleRules/" + c.vpc, heading("Stale rules"), ""},
		{"#/Instances", row(instance), "instances"},
		{"#/Instances/" + instance, tabNamed("Security"), "instance"},
		{"#/Instances/" + instance + "/ChangeSecurityGroups", button("Remove pages"), "change-security-groups"},
		{"#/LaunchInstance", button("Launch instance").exactly(), "launch-instance"},
		{"#/NetworkInterfaces", row(g.eni), ""},
		{"#/NetworkInterfaces/" + g.eni, tabNamed("Tags"), ""},
		{"#/CreateNetworkInterface", heading("Create network interface"), ""},
		{"#/NetworkInterfaces/" + g.eni + "/ChangeSecurityGroups", button("Remove pages"), ""},
		{"#/PrefixLists", row("offices"), "prefix-lists"},
		{"#/PrefixLists/" + list, tabNamed("Entries"), "prefix-list"},
		{"#/PrefixLists/" + list + "/modify", button("Save"), ""},
		{"#/CreatePrefixList", button("Create prefix list"), ""},
		{"#/Vpcs", row(c.vpc), ""},
		{"#/Vpcs/" + c.vpc, tabNamed("Tags"), ""},
		{"#/CreateVpc", button("Create VPC"), ""},
		{"#/Subnets", row(c.subnet), ""},
		{"#/Subnets/" + c.subnet, tabNamed("Tags"), ""},
		{"#/CreateSubnet", button("Create subnet"), ""},
		{"#/PeeringConnections", row(peering), ""},
		{"#/PeeringConnections/" + peering, tabNamed("Tags"), ""},
		{"#/CreatePeeringConnection", button("Create peering connection"), ""},
		{"#/Search?q=port:443+from:world", row("pages"), "search"},
		{"#/Why?from=" + outsideIPv4.String() + "&to=" + instance + "&port=443", heading("Why"), "why"},
	}
}
