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
	picture string // the name of its picture
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
		alice.picture(t, page.picture, "-phone")
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

// picture writes a picture of the whole page, if pictures are wanted.
func (p *person) picture(t *testing.T, name, variant string) {
	t.Helper()
	if screenshots == "" {
		return
	}
	p.must(t, nil, "screenshot", map[string]any{"file": filepath.Join(screenshots, name+variant+".png"), "full": true})
}

// pages are all that the console has, with something on each: of a shop whose customers reach the storefront, which
// keeps its orders in a database.
func (c *consoleTest) pages(t *testing.T) []visited {
	t.Helper()
	named := func(id, name string) string {
		c.d.aws(t, nil, "create-tags", "--resources", id, "--tags", "Key=Name,Value="+name)
		return id
	}
	group := func(name, description string) string {
		return c.d.query(t, "GroupId", "create-security-group", "--vpc-id", c.vpc, "--group-name", name, "--description", description)
	}
	list := named(c.d.query(t, "PrefixList.PrefixListId", "create-managed-prefix-list", "--prefix-list-name", "offices",
		"--max-entries", "5", "--address-family", "IPv4", "--entries", "Cidr=192.0.2.0/25,Description=Head office",
		"Cidr=203.0.113.16/28,Description=Warehouse"), "Offices")
	store := named(group("storefront", "What customers reach"), "Storefront")
	orders := named(group("orders", "The database of orders"), "Orders")
	c.rules(t, "authorize", "ingress", store,
		"IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0,Description=Customers}]",
		"IpProtocol=tcp,FromPort=80,ToPort=80,IpRanges=[{CidrIp=0.0.0.0/0,Description=Sent on to HTTPS}]",
		"IpProtocol=tcp,FromPort=22,ToPort=22,PrefixListIds=[{PrefixListId="+list+",Description=Operators}]")
	c.rules(t, "authorize", "ingress", orders,
		"IpProtocol=tcp,FromPort=5432,ToPort=5432,UserIdGroupPairs=[{GroupId="+store+",Description=Orders of the storefront}]")
	g, db := c.run(t, store), c.run(t, orders)
	instance := named(string(g.place), "storefront-1")
	named(string(db.place), "orders-1")
	for _, port := range []int{80, 443} { // so that there is something to count
		g.serve(t, port)
		conn, err := outside.dial(g.addr, port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	other := named(c.d.query(t, "Vpc.VpcId", "create-vpc", "--cidr-block", "10.70.0.0/16"), "Suppliers")
	peering := c.d.query(t, "VpcPeeringConnection.VpcPeeringConnectionId",
		"create-vpc-peering-connection", "--vpc-id", c.vpc, "--peer-vpc-id", other)
	return []visited{
		{"#/SecurityGroups", row("storefront"), "security-groups"},
		{"#/SecurityGroups/" + store, tabNamed("Inbound rules"), "security-group"},
		{"#/SecurityGroups/" + store + "?tab=used-by", row(instance), "used-by"},
		{"#/SecurityGroups/" + store + "/inbound", button("Save rules"), "edit-inbound-rules"},
		{"#/SecurityGroups/" + store + "/outbound", button("Save rules"), "edit-outbound-rules"},
		{"#/CreateSecurityGroup", button("Create security group"), "create-security-group"},
		{"#/CopySecurityGroup/" + store, button("Create security group"), "copy-security-group"},
		{"#/SecurityGroups/" + store + "/replace", heading("Replace"), "replace-security-group"},
		{"#/StaleRules/" + c.vpc, heading("Stale rules"), "stale-rules"},
		{"#/Instances", row(instance), "instances"},
		{"#/Instances/" + instance, tabNamed("Security"), "instance"},
		{"#/Instances/" + instance + "/ChangeSecurityGroups", button("Remove storefront"), "change-security-groups"},
		{"#/LaunchInstance", button("Launch instance").exactly(), "launch-instance"},
		{"#/NetworkInterfaces", row(g.eni), "network-interfaces"},
		{"#/NetworkInterfaces/" + g.eni, tabNamed("Tags"), "network-interface"},
		{"#/CreateNetworkInterface", heading("Create network interface"), "create-network-interface"},
		{"#/NetworkInterfaces/" + g.eni + "/ChangeSecurityGroups", button("Remove storefront"), "change-groups-of-interface"},
		{"#/PrefixLists", row("offices"), "prefix-lists"},
		{"#/PrefixLists/" + list, tabNamed("Entries"), "prefix-list"},
		{"#/PrefixLists/" + list + "/modify", button("Save"), "modify-prefix-list"},
		{"#/CreatePrefixList", button("Create prefix list"), "create-prefix-list"},
		{"#/Vpcs", row(c.vpc), "vpcs"},
		{"#/Vpcs/" + c.vpc, tabNamed("Tags"), "vpc"},
		{"#/CreateVpc", button("Create VPC"), "create-vpc"},
		{"#/Subnets", row(c.subnet), "subnets"},
		{"#/Subnets/" + c.subnet, tabNamed("Tags"), "subnet"},
		{"#/CreateSubnet", button("Create subnet"), "create-subnet"},
		{"#/PeeringConnections", row(peering), "peering-connections"},
		{"#/PeeringConnections/" + peering, tabNamed("Tags"), "peering-connection"},
		{"#/CreatePeeringConnection", button("Create peering connection"), "create-peering-connection"},
		{"#/Search?q=port:443+from:world", row("storefront"), "search"},
		{"#/Why?from=" + string(g.place) + "&to=" + string(db.place) + "&port=5432", heading("The way of the packet"), "why"},
	}
}
