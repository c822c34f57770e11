package vpc_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

// TestRandomWalk takes random actions, sensible and not, one after another, and after each asks what
// must be true of every State. A refused action must change nothing.
func TestRandomWalk(t *testing.T) {
	done := map[string]int{}
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &walk{account: bootstrapped(t), r: rand.New(rand.NewPCG(seed, 1))}
			w.do(w.RegisterHost(w.env, vpc.Host{ID: "host-2", Lab: true}))
			i := *w.Installation()
			i.Quotas = map[vpc.QuotaName]int{vpc.VersionsPerPrefixList: 4}
			w.do(vpc.Change{Puts: []vpc.Object{&i}}, nil)
			for range 1200 {
				name, c, err := w.step()
				if err == nil {
					done[name]++
				} else if vpc.CodeOf(err) == "" {
					t.Fatalf("%s: %v is no refusal", name, err)
				}
				if err != nil && !c.Empty() {
					t.Fatalf("%s: refused with %v, but there is a change", name, err)
				}
				keys := map[vpc.Key]bool{}
				for _, o := range c.Puts {
					keys[o.Key()] = true
				}
				for _, k := range c.Deletes {
					keys[k] = true
				}
				if len(keys) != len(c.Puts)+len(c.Deletes) {
					t.Fatalf("%s: the change names an object twice: %+v", name, c)
				}
				w.apply(c)
				if wrong := invariants(w.State); len(wrong) > 0 {
					t.Fatalf("after %s (%v):\n%v", name, err, wrong)
				}
			}
		})
	}
	for _, name := range []string{
		"modify list", "restore list", "delete list", "name list", "ask", "analyse", "delete path", "delete analysis", "run", "attach", "detach", "bind", "unbind", "stopped", "terminate", "delete subnet", "delete vpc", "assign", "reassign", "unassign", "modify interface", "modify instance",
		"peer", "accept peering", "delete peering", "associate", "disassociate", "authorize", "revoke", "modify rules", "describe rule", "carry",
		"create peering", "reject peering", "add block", "add IPv6 block", "remove block",
		"add subnet block", "remove subnet block", "create subnet in a further block", "forget",
	} {
		if done[name] == 0 {
			t.Errorf("%s never succeeded: the walk is too narrow (%v)", name, done)
		}
	}
}

type walk struct {
	*account
	r *rand.Rand
}

// pick returns one of the ids, or sometimes an unknown one.
func pick[T any, ID ~string](w *walk, list []T, id func(T) ID, unknown ID) ID {
	if len(list) == 0 || w.r.IntN(30) == 0 {
		return unknown
	}
	return id(list[w.r.IntN(len(list))])
}

func (w *walk) step() (string, vpc.Change, error) {
	vpcs, subnets := slices.Collect(w.VPCs()), slices.Collect(w.Subnets())
	groups, enis := slices.Collect(w.SecurityGroups()), slices.Collect(w.NetworkInterfaces())
	instances := slices.Collect(w.Instances())
	aVPC := func() vpc.VPCID { return pick(w, vpcs, func(v *vpc.VPC) vpc.VPCID { return v.ID }, "vpc-12345678") }
	aSubnet := func() vpc.SubnetID {
		return pick(w, subnets, func(n *vpc.Subnet) vpc.SubnetID { return n.ID }, "subnet-12345678")
	}
	aGroup := func() vpc.GroupID {
		return pick(w, groups, func(g *vpc.SecurityGroup) vpc.GroupID { return g.ID }, "sg-12345678")
	}
	someGroups := func() (ids []vpc.GroupID) {
		for range w.r.IntN(3) {
			ids = append(ids, aGroup())
		}
		return ids
	}
	anENI := func() vpc.InterfaceID {
		return pick(w, enis, func(e *vpc.NetworkInterface) vpc.InterfaceID { return e.ID }, "eni-12345678")
	}
	anInstance := func() vpc.InstanceID {
		return pick(w, instances, func(i *vpc.Instance) vpc.InstanceID { return i.ID }, "i-12345678")
	}
	host := vpc.HostID(fmt.Sprint("host-", 1+w.r.IntN(2)))
	addresses := vpc.Addresses{SecondaryCount: w.r.IntN(3), IPv6Count: new(w.r.IntN(2))}
	if w.r.IntN(3) == 0 {
		addresses.Primary = fmt.Sprintf("10.0.%d.%d", w.r.IntN(3), w.r.IntN(20))
	}
	if w.r.IntN(4) == 0 {
		addresses.SecondaryCount, addresses.IPv4PrefixCount = 0, 1
		addresses.IPv6Count, addresses.IPv6PrefixCount = nil, w.r.IntN(2)
	}
	var c vpc.Change
	var err error
	if w.r.IntN(7) == 0 {
		return w.netStep(aVPC, aSubnet)
	}
	token := []string{"", "", "", "t1", "t2"}[w.r.IntN(5)]
	switch w.r.IntN(44) {
	case 42, 43:
		return w.insightsStep(anENI(), anENI())
	case 40, 41:
		c, err = w.ModifyInstance(anInstance(), w.instanceChange(someGroups()))
		return "modify instance", c, err
	case 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39:
		return w.groupStep(aGroup(), aGroup(), aVPC())
	case 24, 25, 26, 27:
		return w.addressStep(enis)
	case 20, 21, 22, 23:
		return w.prefixListStep(aGroup())
	case 0:
		_, c, err = w.CreateVPC(w.env, vpc.NewVPC{CIDR: "10.0.0.0/16", IPv6: w.r.IntN(2) == 0})
		return "create vpc", c, err
	case 1:
		c, err = w.DeleteVPC(w.env, aVPC())
		return "delete vpc", c, err
	case 2:
		in := vpc.NewSubnet{VPC: aVPC(), CIDR: fmt.Sprintf("10.0.%d.0/%d", w.r.IntN(3), 26+w.r.IntN(3))}
		if v := w.VPC(in.VPC); v != nil && len(v.IPv6CIDRs) > 0 {
			a := v.IPv6CIDRs[0].CIDR.Addr().As16()
			a[7] = byte(w.r.IntN(3))
			in.IPv6CIDR = netip.PrefixFrom(netip.AddrFrom16(a), 64).String()
		}
		_, c, err = w.CreateSubnet(w.env, in)
		return "create subnet", c, err
	case 3:
		c, err = w.DeleteSubnet(aSubnet())
		return "delete subnet", c, err
	case 4:
		_, c, err = w.CreateSecurityGroup(w.env, vpc.NewSecurityGroup{VPC: aVPC(), Name: fmt.Sprint("g", w.r.IntN(3)), Description: "d"})
		return "create group", c, err
	case 5:
		_, c, err = w.DeleteSecurityGroup(vpc.GroupRef{ID: aGroup()})
		return "delete group", c, err
	case 6:
		_, c, err = w.CreateNetworkInterface(w.env, vpc.NewInterface{
			Subnet: aSubnet(), Groups: someGroups(), Addresses: addresses, PrimaryIPv6: w.r.IntN(6) == 0, ClientToken: token,
		})
		return "create interface", c, err
	case 7:
		c, err = w.DeleteNetworkInterface(anENI())
		return "delete interface", c, err
	case 8:
		c, err = w.ModifyNetworkInterface(anENI(), w.interfaceChange(someGroups()))
		return "modify interface", c, err
	case 9:
		in := one(vpc.NewInstances{Min: 1, Max: 1 + w.r.IntN(3), ClientToken: token})
		switch w.r.IntN(3) {
		case 0:
			in.Primary = vpc.LaunchENI{Subnet: aSubnet(), Groups: someGroups()}
		case 1:
			in.Interfaces = []vpc.LaunchENI{
				{DeviceIndex: new(0), Subnet: aSubnet(), Groups: someGroups()}, {DeviceIndex: new(1), Existing: anENI()},
			}
		}
		_, c, err = w.RunInstances(w.env, in)
		return "run", c, err
	case 10, 18, 19: // seldom possible: more often tried, with what may fit
		enis = slices.DeleteFunc(enis, func(e *vpc.NetworkInterface) bool { return e.Attachment != nil })
		instances = slices.DeleteFunc(instances, func(i *vpc.Instance) bool { return i.State != vpc.Running })
		_, c, err = w.AttachNetworkInterface(w.env, vpc.NewAttachment{
			Interface: anENI(), Instance: anInstance(), DeviceIndex: w.r.IntN(4),
		})
		return "attach", c, err
	case 11:
		id := vpc.AttachmentID("eni-attach-12345678")
		for _, e := range enis {
			if e.Attachment != nil && (e.Attachment.DeviceIndex > 0 || w.r.IntN(10) == 0) {
				id = e.Attachment.ID
			}
		}
		c, err = w.DetachNetworkInterface(id)
		return "detach", c, err
	case 12:
		c, err = w.Bind(w.env, host, anENI(), fmt.Sprint("tap", w.r.IntN(8)), []string{"", "vm-1", "vm-2"}[w.r.IntN(3)])
		return "bind", c, err
	case 13:
		c, err = w.Unbind(w.env, host, anENI())
		return "unbind", c, err
	case 14:
		c, err = w.GuestRunning(w.env, anInstance())
		return "running", c, err
	case 15:
		c, err = w.GuestStopped(w.env, anInstance(), []string{"", "broken"}[w.r.IntN(2)])
		return "stopped", c, err
	case 16:
		act := []func(vpc.Env, []vpc.InstanceID) ([]vpc.StateChange, vpc.Change, error){w.StartInstances, w.StopInstances}[w.r.IntN(2)]
		_, c, err = act(w.env, []vpc.InstanceID{anInstance(), anInstance()})
		return "start or stop", c, err
	default: // 17
		_, c, err = w.TerminateInstances(w.env, []vpc.InstanceID{anInstance()})
		return "terminate", c, err
	}
}

// invariants returns what is wrong with a State.
func invariants(s *vpc.State) (wrong []string) {
	wrong = slices.Concat(prefixListInvariants(s), groupInvariants(s), netInvariants(s), insightsInvariants(s))
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for v := range s.VPCs() {
		if g := s.DefaultGroup(v.ID); g == nil || g.VPC != v.ID {
			bad("%s has no default group", v.ID)
		}
	}
	if id := s.Installation().DefaultVPC; id != "" && s.VPC(id) == nil {
		bad("the default VPC %s is gone", id)
	}
	blocks := map[vpc.VPCID][]netip.Prefix{}
	for n := range s.Subnets() {
		if s.VPC(n.VPC) == nil {
			bad("%s is of no VPC", n.ID)
		}
		mine := []netip.Prefix{n.CIDR}
		for _, a := range n.IPv6CIDRs {
			mine = append(mine, a.CIDR)
		}
		for _, p := range mine {
			if slices.ContainsFunc(blocks[n.VPC], p.Overlaps) {
				bad("%s: %s overlaps with another subnet", n.ID, p)
			}
		}
		blocks[n.VPC] = append(blocks[n.VPC], mine...)
		if s.AvailableAddresses(n) < 0 {
			bad("%s has %d addresses left", n.ID, s.AvailableAddresses(n))
		}
	}
	taken := map[string]vpc.InterfaceID{} // addresses, MACs, device indexes, devices
	claim := func(e *vpc.NetworkInterface, what ...any) {
		k := fmt.Sprint(what...)
		if other, ok := taken[k]; ok {
			bad("%s and %s both have %s", e.ID, other, k)
		}
		taken[k] = e.ID
	}
	bound := map[vpc.InstanceID]int{}
	launches := map[string]vpc.ReservationID{} // by token
	for e := range s.NetworkInterfaces() {
		n := s.Subnet(e.Subnet)
		if n == nil || n.VPC != e.VPC {
			bad("%s is in no subnet of its VPC", e.ID)
			continue
		}
		claim(e, "MAC ", e.MAC)
		if e.ClientToken != "" {
			claim(e, "token ", e.ClientToken)
		}
		for _, a := range e.IPv4 {
			claim(e, e.VPC, a)
			if !n.CIDR.Contains(a) || slices.Contains(n.Routers(), a) {
				bad("%s has %s in %s", e.ID, a, n.CIDR)
			}
		}
		wrong = append(wrong, wrongAddresses(s, e, n)...)
		for _, a := range e.IPv6 {
			claim(e, e.VPC, a)
			if len(n.IPv6CIDRs) == 0 || !n.IPv6CIDRs[0].CIDR.Contains(a) || slices.Contains(n.Routers(), a) {
				bad("%s has %s", e.ID, a)
			}
		}
		if len(e.IPv4) == 0 || len(e.Groups) == 0 || len(e.Groups) > s.Quota(vpc.SecurityGroupsPerInterface) {
			bad("%s has addresses %v and groups %v", e.ID, e.IPv4, e.Groups)
		}
		for _, id := range e.Groups {
			if g := s.SecurityGroup(id); g == nil || g.VPC != e.VPC && !associated(g, e.VPC) {
				bad("%s has the group %s", e.ID, id)
			}
		}
		if b := e.Binding; b != nil {
			claim(e, b.Host, " ", b.Device)
			if e.Attachment != nil {
				bound[e.Attachment.Instance]++
			}
		}
		if a := e.Attachment; a != nil {
			claim(e, a.Instance, " ", a.DeviceIndex)
			if i := s.Instance(a.Instance); i == nil || i.State == vpc.Terminated {
				bad("%s is attached to %+v", e.ID, i)
			}
		}
	}
	for i := range s.Instances() {
		if other, ok := launches[i.ClientToken]; ok && other != i.Reservation {
			bad("%s and %s both have the token %s", i.Reservation, other, i.ClientToken)
		} else if i.ClientToken != "" {
			launches[i.ClientToken] = i.Reservation
		}
		primary := s.PrimaryInterface(i.ID)
		switch {
		case i.State == vpc.Terminated:
			if primary != nil || i.Host != "" || i.Terminated.IsZero() {
				bad("%s is terminated: %+v", i.ID, i)
			}
		case primary == nil:
			bad("%s has no primary interface", i.ID)
		case i.Image == vpc.ImageExternal && (i.State == vpc.Running) != (bound[i.ID] > 0):
			bad("%s is %s with %d devices", i.ID, i.State, bound[i.ID])
		case i.Image == vpc.ImageNetns && i.State == vpc.Stopped && bound[i.ID] > 0:
			bad("%s is stopped with %d devices", i.ID, bound[i.ID])
		}
	}
	return wrong
}
