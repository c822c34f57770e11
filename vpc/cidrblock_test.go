package vpc_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) newBlock(in vpc.NewVPCBlock) *vpc.VPC {
	a.t.Helper()
	v, c, err := a.AssociateVPCBlock(a.env, in)
	return made(a, v, c, err)
}

// Which blocks may be added to a VPC of which primary block: EC2's table of restrictions.
func TestSecondaryBlocks(t *testing.T) {
	const ok, restricted, invalid = "", "restricted", "invalid"
	for _, tt := range []struct{ primary, block, want string }{
		{"10.5.0.0/16", "10.6.0.0/16", ok},
		{"10.5.0.0/16", "10.0.0.0/16", ok},
		{"10.5.0.0/16", "100.64.0.0/16", ok},
		{"10.5.0.0/16", "203.0.113.0/24", ok},
		{"10.5.0.0/16", "198.18.0.0/26", ok},
		{"10.5.0.0/16", "198.19.0.0/26", restricted},
		{"10.5.0.0/16", "172.16.0.0/16", restricted},
		{"10.5.0.0/16", "192.168.0.0/24", restricted},
		{"10.0.0.0/24", "10.0.1.0/24", restricted},
		{"10.1.0.0/16", "10.0.0.0/16", restricted},
		{"10.1.0.0/16", "10.2.0.0/16", ok},
		{"172.16.0.0/16", "172.17.0.0/16", ok},
		{"172.16.0.0/16", "172.31.0.0/24", restricted},
		{"172.16.0.0/16", "10.2.0.0/16", restricted},
		{"192.168.0.0/24", "192.168.1.0/24", ok},
		{"192.168.0.0/24", "10.2.0.0/16", restricted},
		{"198.51.100.0/24", "100.64.0.0/16", ok},
		{"198.51.100.0/24", "10.2.0.0/16", restricted},
		{"198.51.100.0/24", "192.168.0.0/16", restricted},
		{"100.64.0.0/24", "198.51.100.0/24", ok},
		{"10.5.0.0/16", "10.6.0.0/15", invalid},
		{"10.5.0.0/16", "10.6.0.0/29", invalid},
		{"10.5.0.0/16", "127.0.0.0/16", invalid},
		{"10.5.0.0/16", "169.254.0.0/16", invalid},
		{"10.5.0.0/16", "224.0.0.0/16", invalid},
	} {
		a := bootstrapped(t)
		v := a.newVPC(tt.primary, false)
		got, c, err := a.AssociateVPCBlock(a.env, vpc.NewVPCBlock{VPC: v.ID, CIDR: tt.block})
		want := map[string]string{
			restricted: "InvalidVpc.Range: The CIDR '" + tt.block + "' is restricted. Use a CIDR from the same private address range " +
				"as the current VPC CIDR, or use a publicly-routable CIDR. For additional restrictions, " +
				"see https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html",
			invalid: "InvalidVpc.Range: The CIDR '" + tt.block + "' is invalid.",
		}[tt.want]
		switch {
		case err == nil && (want != "" || got.CIDRs[1].CIDR.String() != tt.block || c.Empty()):
			t.Errorf("%s beside %s: got %+v, want %s", tt.block, tt.primary, got, want)
		case err != nil && (err.Error() != want || !c.Empty()):
			t.Errorf("%s beside %s: got %v, want %s", tt.block, tt.primary, err, want)
		}
	}
}

func TestBlocksPerVPC(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.5.0.0/16", false)
	for n := range 4 {
		v = a.newBlock(vpc.NewVPCBlock{VPC: v.ID, CIDR: fmt.Sprintf("10.%d.0.0/16", 10+n)})
	}
	_, _, err := a.AssociateVPCBlock(a.env, vpc.NewVPCBlock{VPC: v.ID, CIDR: "10.20.0.0/16"})
	if want := fmt.Sprintf("CidrLimitExceeded: This network '%s' has met its maximum number of allowed CIDRs: 5", v.ID); err == nil || err.Error() != want {
		t.Errorf("a sixth block: got %v, want %s", err, want)
	}
	v = a.newBlock(vpc.NewVPCBlock{VPC: v.ID, IPv6: true}) // counts by itself
	_, _, err = a.AssociateVPCBlock(a.env, vpc.NewVPCBlock{VPC: v.ID, IPv6: true})
	if want := fmt.Sprintf("CidrLimitExceeded: This network '%s' has met its maximum number of allowed CIDRs: 1", v.ID); err == nil || err.Error() != want {
		t.Errorf("a second IPv6 block: got %v, want %s", err, want)
	}
	_, gone, c, err := a.DisassociateVPCBlock(v.CIDRs[2].ID)
	a.do(c, err)
	left := a.VPC(v.ID)
	if gone != v.CIDRs[2] || len(left.CIDRs) != 4 || slices.Contains(left.CIDRs, gone) {
		t.Errorf("after one is gone: %+v and %+v", gone, left)
	}
	a.newBlock(vpc.NewVPCBlock{VPC: v.ID, CIDR: "10.20.0.0/16"})
}

// A request to peer does not keep a block away that overlaps: it fails when it is accepted.
func TestBlockAgainstPeeringRequest(t *testing.T) {
	a := bootstrapped(t)
	one, two := a.newVPC("10.5.0.0/16", false), a.newVPC("10.6.0.0/16", false)
	p := a.newPeering(one.ID, two.ID)
	a.newBlock(vpc.NewVPCBlock{VPC: one.ID, CIDR: "10.6.128.0/24"})
	if got := a.Peering(p.ID).RequesterCIDRs; len(got) != 2 {
		t.Errorf("the request shows %v", got)
	}
	if p = a.accepted(p); p.Status != vpc.PeeringFailed || p.Ended.IsZero() {
		t.Errorf("got %+v, want it failed", p)
	}
	for range a.ActivePeers(one.ID) {
		t.Error("there is an active peer")
	}
}

func TestDisassociateSubnetBlock(t *testing.T) {
	a := bootstrapped(t)
	v := a.newVPC("10.5.0.0/16", true)
	block := v.IPv6CIDRs[0].CIDR.Addr().String() + "/64"
	n := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.5.0.0/24", IPv6CIDR: block})
	other := a.newSubnet(vpc.NewSubnet{VPC: v.ID, CIDR: "10.5.1.0/24"})
	_, _, err := a.AssociateSubnetBlock(a.env, other.ID, block)
	refused(t, err, "InvalidSubnet.Conflict: The CIDR '"+block+"' conflicts with another subnet")
	_, _, err = a.AssociateSubnetBlock(a.env, n.ID, "fd12:3456:789a:1::/64")
	refused(t, err, "CidrLimitExceeded: This subnet '"+string(n.ID)+"' has met its maximum number of allowed IPv6 CIDRs: 1")
	e := a.newInterface(vpc.NewInterface{Subnet: n.ID, Addresses: vpc.Addresses{IPv6Count: new(1)}})
	_, _, _, err = a.DisassociateSubnetBlock(n.IPv6CIDRs[0].ID)
	if vpc.CodeOf(err) != vpc.CodeInvalidCidrBlockInUse {
		t.Errorf("with an address in use: got %v", err)
	}
	a.do(a.DeleteNetworkInterface(e.ID))
	left, gone, c, err := a.DisassociateSubnetBlock(n.IPv6CIDRs[0].ID)
	a.do(c, err)
	if len(left.IPv6CIDRs) != 0 || gone != n.IPv6CIDRs[0] {
		t.Errorf("got %+v and %+v", left, gone)
	}
	again, c, err := a.AssociateSubnetBlock(a.env, other.ID, block)
	if got := made(a, again, c, err).IPv6CIDRs[0]; got.CIDR.String() != block || got.ID == gone.ID {
		t.Errorf("given to another subnet: got %+v", got)
	}
}
