package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/ruleset/scenariotest"
	"github.com/sallyport/sallyport/vpc"
)

// packets plays scenarios with the whole product: groups and rules by API calls, an interface as a
// lab guest of its own, packets from sockets in its namespace or, for outside, in the host. It sees
// what arrives. IPv4 addresses are as the scenario has them; of its IPv6 block, each VPC has another.
type packets struct {
	*client
	ctx   context.Context
	image string
	vpcs  map[vpc.VPCID]*network

	// Of the scenario that is played.
	played    int // so far; makes names of groups unique
	world     *scenariotest.World
	groups    map[vpc.GroupID]string
	lists     map[vpc.PrefixListID]*madeList
	longLists bool // which quotas were changed for
	peerings  []madePeering
	rules     map[string]string // label → sgr-…
	guests    map[vpc.InterfaceID]scenarioGuest
	taps      map[string]*tap  // by guest, or by bridge
	talks     map[string]talk  // by name of the flow
	words     uint64           // said so far
	probed    map[channel]bool // by probes that passed
	silent    []*watch         // what was taken for dropped
	borrowed  []netip.Addr
}

// network is a VPC that was made, and its subnets by IPv4 block.
type network struct {
	id           string
	scenario     scenariotest.VPC
	ipv6         netip.Prefix // the /56 that stands for the scenario's; invalid: none
	subnets      map[netip.Prefix]string
	more         []string // associations of further blocks
	moreIPv6     *moreIPv6
	defaultRules map[string]netip.Prefix // by end of label
}

type scenarioGuest struct{ instance, eni, subnet string }

func newPackets(t *testing.T, d *dev) *packets {
	t.Helper()
	e := &packets{client: newClient(t, d), ctx: t.Context(), vpcs: map[vpc.VPCID]*network{}}
	out, err := e.DescribeImages(e.ctx, &ec2.DescribeImagesInput{
		Filters: []types.Filter{{Name: aws.String("name"), Values: []string{"netns"}}},
	})
	if err != nil || len(out.Images) != 1 {
		t.Fatalf("find the image of lab guests: %v, %v", out, err)
	}
	e.image = *out.Images[0].ImageId
	return e
}

func (e *packets) Name() string   { return "packets" }
func (e *packets) Verdicts() bool { return false }

func (e *packets) Load(w *scenariotest.World) error {
	if err := e.unload(); err != nil {
		return err
	}
	e.played++
	e.world = w
	e.groups, e.rules, e.lists = map[vpc.GroupID]string{}, map[string]string{}, map[vpc.PrefixListID]*madeList{}
	e.guests, e.taps = map[vpc.InterfaceID]scenarioGuest{}, map[string]*tap{}
	e.talks, e.probed = map[string]talk{}, map[channel]bool{}
	for _, v := range w.VPCs {
		if err := e.network(v); err != nil {
			return err
		}
	}
	for _, o := range w.Outsides {
		if err := e.borrow(o.Addresses); err != nil {
			return err
		}
	}
	for _, p := range w.Peerings {
		if err := errors.Join(e.createPeering(p), e.act(scenariotest.Change{AcceptPeering: &p})); err != nil {
			return err
		}
	}
	for _, l := range w.Lists {
		if err := e.list(l); err != nil {
			return err
		}
	}
	for _, g := range w.Groups { // all of them before a rule names one
		if err := e.group(g); err != nil {
			return err
		}
		for _, v := range g.Associated {
			if err := e.associate(scenariotest.Association{Group: g.ID, VPC: v}); err != nil {
				return err
			}
		}
	}
	for _, g := range w.Groups {
		for _, r := range g.Rules {
			if e.rules[r.Label] != "" {
				continue // EC2's own
			}
			if err := e.authorize(scenariotest.RuleOf{Group: g.ID, Rule: r}); err != nil {
				return err
			}
		}
	}
	return e.launch(w.ENIs...)
}

func (e *packets) Change(w *scenariotest.World, c scenariotest.Change) error {
	e.world = w
	switch {
	case c.Authorize != nil:
		if err := e.authorize(*c.Authorize); err != nil {
			return err
		}
	case c.Revoke != nil:
		if err := e.revoke(*c.Revoke); err != nil {
			return err
		}
	case c.SetGroups != nil:
		if _, err := e.ModifyNetworkInterfaceAttribute(e.ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
			NetworkInterfaceId: aws.String(e.guests[c.SetGroups.ID].eni), Groups: e.ids(c.SetGroups.Groups),
		}); err != nil {
			return err
		}
	case c.Launch != nil:
		return e.launch(*c.Launch)
	default:
		if err := e.act(c); err != nil {
			return err
		}
	}
	if err := e.inForce(e.ctx); err != nil {
		return err
	}
	return e.labFollows()
}

// unload ends what the last scenario left: flows, guests, addresses. Its groups stay: nobody is in them.
func (e *packets) unload() error {
	errs := []error{e.late()}
	for _, t := range e.talks {
		t.close()
	}
	for _, t := range e.taps {
		t.close()
	}
	e.silent = nil
	var ids []string
	for _, g := range e.guests {
		ids = append(ids, g.instance)
	}
	if len(ids) > 0 {
		if _, err := e.TerminateInstances(e.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
			return err
		}
		errs = append(errs, e.states(ids, types.InstanceStateNameTerminated))
	}
	e.guests = nil
	errs = append(errs, e.undo())
	for _, a := range e.borrowed {
		errs = append(errs, netlink.AddrDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}, hostAddr(a)))
	}
	e.borrowed = nil
	return errors.Join(errs...)
}

// network makes a VPC like v, unless there is one.
func (e *packets) network(v scenariotest.VPC) error {
	if n := e.vpcs[v.ID]; n != nil {
		if n.scenario.IPv4 != v.IPv4 || n.scenario.IPv6 != v.IPv6 {
			return fmt.Errorf("%s was another VPC in an earlier scenario: %v, now %v", v.ID, n.scenario, v)
		}
		return nil
	}
	out, err := e.CreateVpc(e.ctx, &ec2.CreateVpcInput{
		CidrBlock: aws.String(v.IPv4.String()), AmazonProvidedIpv6CidrBlock: aws.Bool(v.IPv6.IsValid()),
	})
	if err != nil {
		return err
	}
	n := &network{
		id: *out.Vpc.VpcId, scenario: v, subnets: map[netip.Prefix]string{},
		defaultRules: map[string]netip.Prefix{"default4": netip.MustParsePrefix("0.0.0.0/0")},
	}
	e.vpcs[v.ID] = n
	if !v.IPv6.IsValid() {
		return nil
	}
	n.defaultRules["default6"] = netip.MustParsePrefix("::/0")
	vpcs, err := e.DescribeVpcs(e.ctx, &ec2.DescribeVpcsInput{VpcIds: []string{n.id}})
	if err != nil {
		return err
	}
	n.ipv6, err = netip.ParsePrefix(*vpcs.Vpcs[0].Ipv6CidrBlockAssociationSet[0].Ipv6CidrBlock)
	if err == nil && n.ipv6.Bits() != v.IPv6.Bits() {
		err = fmt.Errorf("%s has %s, want a /%d", n.id, n.ipv6, v.IPv6.Bits())
	}
	return err
}

// subnet returns the subnet of an interface. The nth /24 of the VPC has its nth /64, so that scenarios
// can share subnets.
func (e *packets) subnet(i scenariotest.ENI) (string, error) {
	n, s := e.vpcs[i.VPC], e.world.SubnetOf(i)
	in := &ec2.CreateSubnetInput{VpcId: &n.id, CidrBlock: aws.String(s.IPv4.String())}
	if n.ipv6.IsValid() {
		if got := netip.PrefixFrom(n.real(s.IPv6.Addr()), 64); got != n.nth(s.IPv4) {
			return "", fmt.Errorf("%s: a guest in %s has addresses of %s, want %s", i.ID, s.IPv4, got, n.nth(s.IPv4))
		}
		in.Ipv6CidrBlock = aws.String(n.nth(s.IPv4).String())
	}
	if id := n.subnets[s.IPv4]; id != "" {
		return id, nil
	}
	out, err := e.CreateSubnet(e.ctx, in)
	if err != nil {
		return "", err
	}
	n.subnets[s.IPv4] = *out.Subnet.SubnetId
	return n.subnets[s.IPv4], nil
}

// nth is the /64 of a subnet: the nth /24 has the nth.
func (n *network) nth(subnet netip.Prefix) netip.Prefix {
	b := n.ipv6.Addr().As16()
	b[7] += subnet.Addr().As4()[2]
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// real is the address that stands for one of a scenario.
func (n *network) real(a netip.Addr) netip.Addr {
	if !n.scenario.IPv6.Contains(a) {
		return a
	}
	b, real := a.As16(), n.ipv6.Addr().As16()
	copy(b[:7], real[:7]) // a /56
	b[7] += real[7] - n.scenario.IPv6.Addr().As16()[7]
	return netip.AddrFrom16(b)
}

func (e *packets) real(a netip.Addr) netip.Addr {
	for _, v := range e.world.VPCs {
		if a = e.vpcs[v.ID].real(a); e.vpcs[v.ID].ipv6.Contains(a) {
			return a
		}
	}
	return a
}

// realCIDR is the block that stands for one of a scenario.
func (e *packets) realCIDR(p netip.Prefix) (netip.Prefix, error) {
	for _, v := range e.world.VPCs {
		n := e.vpcs[v.ID]
		switch {
		case !v.IPv6.IsValid() || !p.Overlaps(v.IPv6):
		case p.Bits() >= v.IPv6.Bits():
			return netip.PrefixFrom(n.real(p.Addr()), p.Bits()), nil
		case !p.Contains(n.ipv6.Addr()):
			return p, fmt.Errorf("%s contains %s, but not %s, which stands for it", p, v.IPv6, n.ipv6)
		}
	}
	return p, nil
}

func (e *packets) group(g scenariotest.Group) error {
	n := e.vpcs[g.VPC]
	name := fmt.Sprintf("%d %s", e.played, g.ID)
	out, err := e.CreateSecurityGroup(e.ctx, &ec2.CreateSecurityGroupInput{
		VpcId: &n.id, GroupName: &name, Description: &name,
	})
	if err != nil {
		return err
	}
	e.groups[g.ID] = *out.GroupId
	rules, err := e.DescribeSecurityGroupRules(e.ctx, &ec2.DescribeSecurityGroupRulesInput{
		Filters: []types.Filter{{Name: aws.String("group-id"), Values: []string{*out.GroupId}}},
	})
	if err != nil {
		return err
	}
	if len(rules.SecurityGroupRules) != len(n.defaultRules) {
		return fmt.Errorf("a new group has %d rules, want %d", len(rules.SecurityGroupRules), len(n.defaultRules))
	}
	var ids []string
	for _, r := range rules.SecurityGroupRules {
		ids = append(ids, *r.SecurityGroupRuleId)
		for end, to := range n.defaultRules {
			if aws.ToString(r.CidrIpv4) == to.String() || aws.ToString(r.CidrIpv6) == to.String() {
				e.rules[string(g.ID)+"/"+end] = *r.SecurityGroupRuleId
			}
		}
	}
	if g.DefaultEgress {
		return nil
	}
	_, err = e.RevokeSecurityGroupEgress(e.ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: out.GroupId, SecurityGroupRuleIds: ids})
	return err
}

// permission is what a rule allows, as the calls want it.
func (e *packets) permission(r scenariotest.RuleOf) (types.IpPermission, error) {
	p := types.IpPermission{IpProtocol: aws.String(fmt.Sprint(r.Rule.Protocol))}
	if r.Rule.Protocol.HasPorts() {
		p.FromPort, p.ToPort = aws.Int32(r.Rule.From), aws.Int32(r.Rule.To)
	}
	switch peer := r.Rule.Peer; {
	case peer.Group != "":
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: aws.String(e.groups[peer.Group])}}
	case peer.PrefixList != "":
		p.PrefixListIds = []types.PrefixListId{{PrefixListId: aws.String(e.lists[peer.PrefixList].id)}}
	case peer.CIDR.IsValid():
		cidr, err := e.realCIDR(peer.CIDR)
		if err != nil {
			return p, fmt.Errorf("%s: %w", r.Rule.Label, err)
		}
		if cidr.Addr().Is4() {
			p.IpRanges = []types.IpRange{{CidrIp: aws.String(cidr.String())}}
		} else {
			p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String(cidr.String())}}
		}
	default:
		return p, fmt.Errorf("%s: the lab knows no such peer: %+v", r.Rule.Label, peer)
	}
	return p, nil
}

func (e *packets) authorize(r scenariotest.RuleOf) error {
	p, err := e.permission(r)
	if err != nil {
		return err
	}
	id, permissions := aws.String(e.groups[r.Group]), []types.IpPermission{p}
	var made []types.SecurityGroupRule
	if r.Rule.Egress {
		out, err := e.AuthorizeSecurityGroupEgress(e.ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: permissions})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Rule.Label, err)
		}
		made = out.SecurityGroupRules
	} else {
		out, err := e.AuthorizeSecurityGroupIngress(e.ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: id, IpPermissions: permissions})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Rule.Label, err)
		}
		made = out.SecurityGroupRules
	}
	if len(made) != 1 {
		return fmt.Errorf("%s: authorize made %d rules, want 1", r.Rule.Label, len(made))
	}
	e.rules[r.Rule.Label] = *made[0].SecurityGroupRuleId
	return nil
}

func (e *packets) revoke(r scenariotest.RuleOf) (err error) {
	group, rules := aws.String(e.groups[r.Group]), []string{e.rules[r.Rule.Label]}
	if r.Rule.Egress {
		_, err = e.RevokeSecurityGroupEgress(e.ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: group, SecurityGroupRuleIds: rules})
	} else {
		_, err = e.RevokeSecurityGroupIngress(e.ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group, SecurityGroupRuleIds: rules})
	}
	return err
}

func (e *packets) ids(groups []vpc.GroupID) (ids []string) {
	for _, g := range groups {
		ids = append(ids, e.groups[g])
	}
	return ids
}

// launch starts a guest for each interface, and waits until all run and are filtered.
func (e *packets) launch(enis ...scenariotest.ENI) error {
	guests := make([]scenarioGuest, len(enis))
	for i, eni := range enis {
		var err error
		if guests[i].subnet, err = e.subnet(eni); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for i, eni := range enis {
		g.Go(func() error {
			spec := types.InstanceNetworkInterfaceSpecification{
				DeviceIndex: aws.Int32(0), SubnetId: &guests[i].subnet, Groups: e.ids(eni.Groups), DeleteOnTermination: aws.Bool(true),
			}
			for j, a := range eni.IPv4 {
				spec.PrivateIpAddresses = append(spec.PrivateIpAddresses,
					types.PrivateIpAddressSpecification{PrivateIpAddress: aws.String(a.String()), Primary: aws.Bool(j == 0)})
			}
			for _, a := range eni.IPv6 {
				spec.Ipv6Addresses = append(spec.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(e.real(a).String())})
			}
			out, err := e.RunInstances(e.ctx, &ec2.RunInstancesInput{
				ImageId: &e.image, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
				NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{spec},
			})
			if err != nil {
				return fmt.Errorf("%s: %w", eni.ID, err)
			}
			guests[i].instance = *out.Instances[0].InstanceId
			guests[i].eni = *out.Instances[0].NetworkInterfaces[0].NetworkInterfaceId
			return nil
		})
	}
	err := g.Wait()
	var ids, bound []string
	for i, eni := range enis {
		if guests[i].instance != "" {
			e.guests[eni.ID] = guests[i]
			ids, bound = append(ids, guests[i].instance), append(bound, guests[i].eni)
		}
	}
	if err != nil {
		return err
	}
	if err := e.states(ids, types.InstanceStateNameRunning); err != nil {
		return fmt.Errorf("start guests: %w", err)
	}
	for _, eni := range enis {
		if err := e.assign(scenariotest.Addresses{ENI: eni.ID, Prefixes: eni.Prefixes}); err != nil {
			return err
		}
	}
	if err := e.inForce(e.ctx, bound...); err != nil {
		return err
	}
	if err := e.labFollows(); err != nil {
		return err
	}
	return e.listen()
}

// states waits until instances are in a state.
func (e *packets) states(ids []string, want types.InstanceStateName) error {
	return until(e.ctx, func() (bool, error) {
		out, err := e.DescribeInstances(e.ctx, &ec2.DescribeInstancesInput{InstanceIds: ids})
		if err != nil {
			return false, err
		}
		n := 0
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				if i.State.Name == want {
					n++
				}
			}
		}
		return n == len(ids), nil
	})
}

// borrow gives addresses to lo while the scenario is played. The lab's own are there already.
func (e *packets) borrow(addrs []netip.Addr) error {
	for _, a := range addrs {
		if slices.ContainsFunc(lab.Outside, func(p netip.Prefix) bool { return p.Addr() == a }) {
			continue
		}
		if err := netlink.AddrAdd(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}, hostAddr(a)); err != nil {
			return fmt.Errorf("give %s to lo: %w", a, err)
		}
		e.borrowed = append(e.borrowed, a)
	}
	return nil
}

func hostAddr(a netip.Addr) *netlink.Addr {
	bits := a.BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, bits)}, Flags: unix.IFA_F_NODAD}
}

// listen opens a tap in each guest, and one on each bridge: what comes through it to the host is what
// arrives outside.
func (e *packets) listen() error {
	for _, g := range e.guests {
		bridge := lab.BridgeName(vpc.SubnetID(g.subnet))
		for _, at := range []struct {
			name, device string
			place        place
		}{{g.instance, "eth0", place(g.instance)}, {bridge, bridge, outside}} {
			if e.taps[at.name] != nil {
				continue
			}
			t, err := openTap(at.place, at.device)
			if err != nil {
				return fmt.Errorf("listen at %s: %w", at.name, err)
			}
			e.taps[at.name] = t
		}
	}
	return nil
}

// at returns the place of an end, and the taps that see what arrives there.
func (e *packets) at(end scenariotest.End) (place, []*tap) {
	if end.ENI != "" {
		id := e.guests[end.ENI].instance
		return place(id), []*tap{e.taps[id]}
	}
	var bridges []*tap
	for name, t := range e.taps {
		if strings.HasPrefix(name, "spb-") {
			bridges = append(bridges, t)
		}
	}
	return outside, bridges
}
