package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

var testULA = netip.MustParsePrefix("fd12:3456:789a::/48")

// bootstrapped is an account as the first start leaves it, with a host that runs lab guests.
func bootstrapped(t *testing.T) *account {
	t.Helper()
	n := 0
	a := &account{t: t, State: new(vpc.State), env: vpc.Env{
		Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ID:  func(prefix string) string { n++; return fmt.Sprintf("%s-%017x", prefix, n) },
	}}
	a.do(a.Bootstrap(a.env, vpc.NewInstallation{Account: "123456789012", Region: "us-east-1", ULA: testULA}))
	a.do(a.RegisterHost(a.env, vpc.Host{ID: "host-1", Lab: true}))
	return a
}

// do applies a change that must not be refused.
func (a *account) do(c vpc.Change, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	a.apply(c)
}

// made applies the change of an action that made something.
func made[T any](a *account, o T, c vpc.Change, err error) T {
	a.t.Helper()
	a.do(c, err)
	return o
}

// subnets returns the subnets of a VPC by zone.
func (a *account) subnets(v vpc.VPCID) []*vpc.Subnet {
	return slices.SortedFunc(a.SubnetsOfVPC(v), func(x, y *vpc.Subnet) int { return int(x.Zone[9]) - int(y.Zone[9]) })
}

func (a *account) interfaceIn(n vpc.SubnetID) *vpc.NetworkInterface {
	a.t.Helper()
	return a.newInterface(vpc.NewInterface{Subnet: n})
}

func (a *account) newInterface(in vpc.NewInterface) *vpc.NetworkInterface {
	a.t.Helper()
	e, c, err := a.CreateNetworkInterface(a.env, in)
	return made(a, e, c, err)
}

func TestBootstrap(t *testing.T) {
	a := bootstrapped(t)
	v := a.VPC(a.Installation().DefaultVPC)
	if v == nil || !v.IsDefault || v.CIDRs[0].CIDR.String() != "172.31.0.0/16" || len(v.IPv6CIDRs) != 0 {
		t.Fatalf("got default VPC %+v, want 172.31.0.0/16 without IPv6", v)
	}
	var got []string
	for _, n := range a.subnets(v.ID) {
		got = append(got, fmt.Sprint(n.Zone, " ", n.CIDR, " ", n.DefaultForZone, " ", a.AvailableAddresses(n)))
	}
	want := []string{
		"us-east-1a 172.31.0.0/20 true 4091", "us-east-1b 172.31.16.0/20 true 4091", "us-east-1c 172.31.32.0/20 true 4091",
	}
	if !slices.Equal(got, want) {
		t.Errorf("subnets: got %v, want %v", got, want)
	}
	g := a.DefaultGroup(v.ID)
	if g == nil || g.Description != "default VPC security group" {
		t.Fatalf("got default group %+v", g)
	}
	if got, want := ruleTexts(g), "egress peer: 0.0.0.0/0, ALL, ALLOW; ingress peer: "+string(g.ID)+", ALL, ALLOW"; got != want {
		t.Errorf("rules of the default group: got %s, want %s", got, want)
	}
	if _, err := a.Bootstrap(a.env, vpc.NewInstallation{Account: "123456789012", Region: "us-east-1", ULA: testULA}); err == nil {
		t.Error("a second Bootstrap is not refused")
	}
}

func TestBootstrapElsewhere(t *testing.T) {
	a := newAccount(t)
	a.State = new(vpc.State)
	a.do(a.Bootstrap(a.env, vpc.NewInstallation{
		Account: "000000000001", Region: "eu-central-1", ULA: testULA, VPCCIDR: netip.MustParsePrefix("10.9.8.0/24"),
	}))
	var got []string
	for n := range a.Subnets() {
		got = append(got, n.Zone+" "+n.CIDR.String()+" "+a.ZoneID(n.Zone))
	}
	slices.Sort(got)
	want := []string{
		"eu-central-1a 10.9.8.0/28 euc1-az1", "eu-central-1b 10.9.8.16/28 euc1-az2", "eu-central-1c 10.9.8.32/28 euc1-az3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("subnets: got %v, want %v", got, want)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	good := vpc.NewInstallation{Account: "123456789012", Region: "us-east-1", ULA: testULA}
	for name, change := range map[string]func(*vpc.NewInstallation){
		"account":           func(in *vpc.NewInstallation) { in.Account = "12345678901x" },
		"region":            func(in *vpc.NewInstallation) { in.Region = "" },
		"ula not local":     func(in *vpc.NewInstallation) { in.ULA = netip.MustParsePrefix("2001:db8::/48") },
		"ula length":        func(in *vpc.NewInstallation) { in.ULA = netip.MustParsePrefix("fd00::/40") },
		"vpc too small":     func(in *vpc.NewInstallation) { in.VPCCIDR = netip.MustParsePrefix("10.0.0.0/25") },
		"vpc with host bit": func(in *vpc.NewInstallation) { in.VPCCIDR = netip.MustParsePrefix("10.0.0.1/16") },
		"vpc loopback":      func(in *vpc.NewInstallation) { in.VPCCIDR = netip.MustParsePrefix("127.0.0.0/16") },
		"vpc ipv6":          func(in *vpc.NewInstallation) { in.VPCCIDR = netip.MustParsePrefix("fd00::/16") },
	} {
		in := good
		change(&in)
		c, err := new(vpc.State).Bootstrap(newAccount(t).env, in)
		if err == nil || !c.Empty() {
			t.Errorf("%s: got %v, want an error and no change", name, err)
		}
	}
}

func TestZoneIDs(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "use1-az1", "eu-central-1": "euc1-az1", "ap-southeast-2": "apse2-az1", "us-gov-west-1": "usgw1-az1",
		"lab": "lab-az1",
	} {
		a := newAccount(t)
		self := *a.Installation()
		self.Region = region
		a.apply(vpc.Change{Puts: []vpc.Object{&self}})
		if got := a.ZoneID(region + "a"); got != want {
			t.Errorf("zone %sa: got id %q, want %q", region, got, want)
		}
	}
}
