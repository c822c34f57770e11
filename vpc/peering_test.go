package vpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

func (a *account) newPeering(requester, accepter vpc.VPCID) *vpc.PeeringConnection {
	a.t.Helper()
	p, c, err := a.CreatePeering(a.env, vpc.NewPeering{Requester: requester, Accepter: accepter})
	return made(a, p, c, err)
}

func (a *account) accepted(p *vpc.PeeringConnection) *vpc.PeeringConnection {
	a.t.Helper()
	p, c, err := a.AcceptPeering(a.env, p.ID)
	return made(a, p, c, err)
}

// Every status, with every action: what it becomes, or that it is refused.
func TestPeeringTransitions(t *testing.T) {
	accept := func(a *account, id vpc.PeeringID) (vpc.Change, error) {
		_, c, err := a.AcceptPeering(a.env, id)
		return c, err
	}
	reject := func(a *account, id vpc.PeeringID) (vpc.Change, error) { return a.RejectPeering(a.env, id) }
	del := func(a *account, id vpc.PeeringID) (vpc.Change, error) { return a.DeletePeering(a.env, id) }
	const refused = vpc.PeeringStatus("")
	for _, tt := range []struct {
		from                   vpc.PeeringStatus
		accept, reject, delete vpc.PeeringStatus
	}{
		{vpc.PeeringPending, vpc.PeeringActive, vpc.PeeringRejected, vpc.PeeringDeleted},
		{vpc.PeeringActive, refused, refused, vpc.PeeringDeleted},
		{vpc.PeeringRejected, refused, refused, refused},
		{vpc.PeeringExpired, refused, refused, refused},
		{vpc.PeeringFailed, refused, refused, refused},
		{vpc.PeeringDeleted, refused, refused, refused},
	} {
		for _, act := range []struct {
			name, to string
			do       func(*account, vpc.PeeringID) (vpc.Change, error)
			want     vpc.PeeringStatus
		}{
			{"accept", "provisioning", accept, tt.accept},
			{"reject", "rejecting", reject, tt.reject},
			{"delete", "deleting", del, tt.delete},
		} {
			t.Run(string(tt.from)+" "+act.name, func(t *testing.T) {
				a := bootstrapped(t)
				one, two := a.newVPC("10.1.0.0/16", true), a.newVPC("10.2.0.0/16", false)
				p := a.newPeering(one.ID, two.ID)
				switch tt.from {
				case vpc.PeeringPending:
				case vpc.PeeringActive:
					a.do(accept(a, p.ID))
				case vpc.PeeringRejected:
					a.do(reject(a, p.ID))
				case vpc.PeeringDeleted:
					a.do(del(a, p.ID))
				case vpc.PeeringFailed:
					p = a.newPeering(one.ID, one.ID)
				case vpc.PeeringExpired:
					a.env.Now = a.env.Now.Add(vpc.PeeringWaits)
					a.State, _ = a.Forget(a.env)
				}
				if got := a.Peering(p.ID).Status; got != tt.from {
					t.Fatalf("before: got %s, want %s", got, tt.from)
				}
				c, err := act.do(a, p.ID)
				if act.want == refused {
					want := fmt.Sprintf("InvalidStateTransition: Invalid state transition for %s, attempted to transition from %s to %s", p.ID, tt.from, act.to)
					if err == nil || err.Error() != want || !c.Empty() {
						t.Errorf("got %v, want %s", err, want)
					}
					return
				}
				a.do(c, err)
				got := a.Peering(p.ID)
				if got.Status != act.want || got.Ended.IsZero() != (act.want == vpc.PeeringActive) {
					t.Errorf("got %+v, want %s", got, act.want)
				}
				if peers := slices.Collect(a.ActivePeers(two.ID)); slices.Contains(peers, one.ID) != (act.want == vpc.PeeringActive) {
					t.Errorf("active peers of %s: %v", two.ID, peers)
				}
			})
		}
	}
}

func TestPeeringIsForgotten(t *testing.T) {
	for status, visible := range map[vpc.PeeringStatus]time.Duration{
		vpc.PeeringRejected: 2 * time.Hour,
		vpc.PeeringDeleted:  2 * time.Hour,
		vpc.PeeringFailed:   2 * time.Hour,
		vpc.PeeringExpired:  9 * 24 * time.Hour, // seven of them pending
		vpc.PeeringActive:   0,                  // for ever
	} {
		a := bootstrapped(t)
		one, two := a.newVPC("10.1.0.0/16", true), a.newVPC("10.2.0.0/16", false)
		p := a.newPeering(one.ID, two.ID)
		switch status {
		case vpc.PeeringRejected:
			a.do(a.RejectPeering(a.env, p.ID))
		case vpc.PeeringDeleted:
			a.do(a.DeletePeering(a.env, p.ID))
		case vpc.PeeringFailed:
			p = a.newPeering(one.ID, one.ID)
		case vpc.PeeringActive:
			a.accepted(p)
			visible = 1000 * time.Hour
		case vpc.PeeringExpired, vpc.PeeringPending:
		}
		since := a.Peering(p.ID).Ended
		if since.IsZero() {
			since = p.Created
		}
		at := func(d time.Duration) *vpc.PeeringConnection {
			s, c := a.Forget(vpc.Env{Now: since.Add(d)})
			if got := s.Peering(p.ID); (got == nil) != slices.Contains(c.Deletes, p.Key()) || len(c.Puts) > 0 {
				t.Errorf("%s: what is shown (%+v) is not what is written (%+v)", status, got, c)
			}
			return s.Peering(p.ID)
		}
		if got := at(visible); got == nil || got.Status != status {
			t.Errorf("%s: got %+v after %v", status, got, visible)
		}
		if got := at(visible + 1); (got == nil) != (status != vpc.PeeringActive) {
			t.Errorf("%s: got %+v a moment later", status, got)
		}
	}
}

func TestPeeringOfTheSamePair(t *testing.T) {
	a := bootstrapped(t)
	one, two := a.newVPC("10.1.0.0/16", false), a.newVPC("10.2.0.0/16", false)
	p := a.newPeering(one.ID, two.ID)
	again, c, err := a.CreatePeering(a.env, vpc.NewPeering{Requester: one.ID, Accepter: two.ID})
	if err != nil || again.ID != p.ID || !c.Empty() {
		t.Errorf("asked again: got %+v, %+v, %v, want %s", again, c, err, p.ID)
	}
	reversed := a.newPeering(two.ID, one.ID)
	a.accepted(p)
	_, c, err = a.AcceptPeering(a.env, reversed.ID)
	want := "VpcPeeringConnectionAlreadyExists: The vpc peering connection identified by " + string(reversed.ID) + " already exists."
	if err == nil || err.Error() != want || !c.Empty() {
		t.Errorf("accepting the reverse: got %v, want %s", err, want)
	}
	a.do(a.DeletePeering(a.env, p.ID))
	a.accepted(reversed)
	if next := a.newPeering(one.ID, two.ID); next.ID == p.ID {
		t.Error("a deleted connection was given again")
	}
}

func TestPeeringQuotas(t *testing.T) {
	a := bootstrapped(t)
	self := *a.Installation()
	self.Quotas = map[vpc.QuotaName]int{vpc.PeeringsPerVPC: 1, vpc.OutstandingPeerings: 2, vpc.VPCsPerRegion: 10}
	a.apply(vpc.Change{Puts: []vpc.Object{&self}})
	var vpcs []*vpc.VPC
	for n := range 5 {
		vpcs = append(vpcs, a.newVPC(fmt.Sprintf("10.%d.0.0/16", n), false))
	}
	first, second := a.newPeering(vpcs[0].ID, vpcs[1].ID), a.newPeering(vpcs[2].ID, vpcs[0].ID)
	_, _, err := a.CreatePeering(a.env, vpc.NewPeering{Requester: vpcs[3].ID, Accepter: vpcs[4].ID})
	if got := vpc.CodeOf(err); got != vpc.CodeOutstandingVpcPeeringConnectionLimitExceeded {
		t.Errorf("a third request: got %v", err)
	}
	a.accepted(first)
	if _, _, err := a.AcceptPeering(a.env, second.ID); vpc.CodeOf(err) != vpc.CodeVpcPeeringConnectionsPerVpcLimitExceeded {
		t.Errorf("a second active one: got %v", err)
	}
	_, _, err = a.CreatePeering(a.env, vpc.NewPeering{Requester: vpcs[3].ID, Accepter: vpcs[1].ID})
	if vpc.CodeOf(err) != vpc.CodeVpcPeeringConnectionsPerVpcLimitExceeded {
		t.Errorf("a request to one that has its active one: got %v", err)
	}
	a.do(a.DeletePeering(a.env, first.ID))
	a.accepted(second)
}

// In a VPC an address means one interface: two of its peers cannot have the same addresses, whichever
// side asks, and whichever comes first.
func TestPeersOfOneVPCNeverOverlap(t *testing.T) {
	for name, ends := range map[string]func(hub, far vpc.VPCID) (vpc.VPCID, vpc.VPCID){
		"hub asks": func(hub, far vpc.VPCID) (vpc.VPCID, vpc.VPCID) { return hub, far },
		"far asks": func(hub, far vpc.VPCID) (vpc.VPCID, vpc.VPCID) { return far, hub },
	} {
		t.Run(name, func(t *testing.T) {
			a := bootstrapped(t)
			hub := a.newVPC("10.1.0.0/16", false)
			one, twin, third := a.newVPC("10.2.0.0/16", false), a.newVPC("10.2.0.0/16", false), a.newVPC("10.3.0.0/16", false)
			early := a.newPeering(ends(hub.ID, twin.ID))
			if p := a.accepted(a.newPeering(ends(hub.ID, one.ID))); p.Status != vpc.PeeringActive {
				t.Fatalf("the first: got %s", p.Status)
			}
			if p := a.accepted(early); p.Status != vpc.PeeringFailed {
				t.Errorf("asked for before, accepted after: got %s, want %s", p.Status, vpc.PeeringFailed)
			}
			if p := a.newPeering(ends(hub.ID, twin.ID)); p.Status != vpc.PeeringFailed {
				t.Errorf("asked for after: got %s, want %s", p.Status, vpc.PeeringFailed)
			}
			if p := a.accepted(a.newPeering(ends(hub.ID, third.ID))); p.Status != vpc.PeeringActive {
				t.Errorf("another: got %s, want %s", p.Status, vpc.PeeringActive)
			}
			_, c, err := a.AssociateVPCBlock(a.env, vpc.NewVPCBlock{VPC: third.ID, CIDR: "10.2.128.0/20"})
			if vpc.CodeOf(err) != vpc.CodeInvalidVpcRange || !c.Empty() {
				t.Errorf("a further block that the other peer has: got %v", err)
			}
		})
	}
}
