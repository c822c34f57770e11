package e2e_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/ruleset/scenariotest"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// The actions of scenarios about prefix lists, peering, associations, addresses and attributes, and
// what the lab makes of them.

// madeList is a prefix list that was made for a scenario.
type madeList struct {
	id       string
	versions []int64 // that stand for the scenario's, in order: a call takes 100 entries, and makes a version
}

func (l *madeList) current() int64 { return l.versions[len(l.versions)-1] }

// act makes the calls of a Change that packets_test.go does not know.
func (e *packets) act(c scenariotest.Change) error {
	switch {
	case c.ModifyRule != nil:
		return e.modifyRule(*c.ModifyRule)
	case c.Describe != nil:
		return e.describe(*c.Describe)
	case c.ModifyList != nil:
		return e.modifyList(*c.ModifyList)
	case c.RestoreList != nil:
		return e.restoreList(*c.RestoreList)
	case c.CreatePeering != nil:
		return e.createPeering(*c.CreatePeering)
	case c.AcceptPeering != nil:
		_, err := e.AcceptVpcPeeringConnection(e.ctx, &ec2.AcceptVpcPeeringConnectionInput{VpcPeeringConnectionId: e.peering(*c.AcceptPeering)})
		return err
	case c.DeletePeering != nil:
		return e.deletePeering(*c.DeletePeering)
	case c.Associate != nil:
		return e.associate(*c.Associate)
	case c.Disassociate != nil:
		_, err := e.DisassociateSecurityGroupVpc(e.ctx, &ec2.DisassociateSecurityGroupVpcInput{
			GroupId: aws.String(e.groups[c.Disassociate.Group]), VpcId: &e.vpcs[c.Disassociate.VPC].id,
		})
		return err
	case c.Assign != nil:
		return e.assign(*c.Assign)
	case c.Unassign != nil:
		return e.unassign(*c.Unassign)
	case c.SourceDestCheck != nil:
		return e.sourceDestCheck(*c.SourceDestCheck)
	case c.AssociateBlock != nil:
		return e.associateBlock(*c.AssociateBlock)
	default:
		return fmt.Errorf("the lab knows no such change: %+v", c)
	}
}

func (e *packets) modifyRule(r scenariotest.RuleOf) error {
	p, err := e.permission(r)
	if err != nil {
		return err
	}
	in := types.SecurityGroupRuleRequest{IpProtocol: p.IpProtocol, FromPort: p.FromPort, ToPort: p.ToPort}
	if p.FromPort == nil {
		in.FromPort, in.ToPort = aws.Int32(-1), aws.Int32(-1)
	}
	switch {
	case len(p.UserIdGroupPairs) > 0:
		in.ReferencedGroupId = p.UserIdGroupPairs[0].GroupId
	case len(p.PrefixListIds) > 0:
		in.PrefixListId = p.PrefixListIds[0].PrefixListId
	case len(p.IpRanges) > 0:
		in.CidrIpv4 = p.IpRanges[0].CidrIp
	default:
		in.CidrIpv6 = p.Ipv6Ranges[0].CidrIpv6
	}
	_, err = e.ModifySecurityGroupRules(e.ctx, &ec2.ModifySecurityGroupRulesInput{
		GroupId: aws.String(e.groups[r.Group]),
		SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
			SecurityGroupRuleId: aws.String(e.rules[r.Rule.Label]), SecurityGroupRule: &in,
		}},
	})
	return err
}

func (e *packets) describe(r scenariotest.RuleOf) (err error) {
	group := aws.String(e.groups[r.Group])
	text := []types.SecurityGroupRuleDescription{{
		SecurityGroupRuleId: aws.String(e.rules[r.Rule.Label]), Description: aws.String(r.Rule.Description),
	}}
	if r.Rule.Egress {
		_, err = e.UpdateSecurityGroupRuleDescriptionsEgress(e.ctx, &ec2.UpdateSecurityGroupRuleDescriptionsEgressInput{
			GroupId: group, SecurityGroupRuleDescriptions: text,
		})
	} else {
		_, err = e.UpdateSecurityGroupRuleDescriptionsIngress(e.ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{
			GroupId: group, SecurityGroupRuleDescriptions: text,
		})
	}
	return err
}

const entriesOfCall = 100

// list makes a prefix list. A rule that names it counts as often as the list may have entries, so a
// long one needs another quota of rules, and that one of groups of an interface.
func (e *packets) list(l scenariotest.List) error {
	entries, size := l.Entries(), max(10, len(l.Entries()))
	if size > 50 {
		if err := e.quotas(aws.Int32(1000), aws.Int32(1)); err != nil {
			return err
		}
		e.longLists = true
	}
	family := "IPv4"
	if entries[0].Addr().Is6() {
		family = "IPv6"
	}
	out, err := e.CreateManagedPrefixList(e.ctx, &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String(fmt.Sprintf("%d %s", e.played, l.ID)), AddressFamily: &family, MaxEntries: aws.Int32(int32(size)),
	})
	if err != nil {
		return err
	}
	made := &madeList{id: *out.PrefixList.PrefixListId, versions: []int64{*out.PrefixList.Version}}
	e.lists[l.ID] = made
	for some := range slices.Chunk(entries, entriesOfCall) {
		if err := e.modifyList(scenariotest.ListChange{List: l.ID, Add: some}); err != nil {
			return err
		}
	}
	made.versions = made.versions[len(made.versions)-1:]
	return nil
}

// quotas sets, or with nil resets, how many rules a group and how many groups an interface may have.
func (e *packets) quotas(rules, groups *int32) error {
	// Fewer groups first, and more of them last: the product has a bound, too.
	set := []wire.ModifyQuotaRequest{
		{QuotaName: aws.String(string(vpc.SecurityGroupsPerInterface)), Value: groups},
		{QuotaName: aws.String(string(vpc.RulesPerSecurityGroup)), Value: rules},
	}
	if rules == nil {
		slices.Reverse(set)
	}
	for i := range set {
		if _, err := further(e.ctx, e.client, wire.ModifyQuotaCall, &set[i]); err != nil {
			return fmt.Errorf("set the quota %s: %w", *set[i].QuotaName, err)
		}
	}
	return nil
}

func (e *packets) modifyList(c scenariotest.ListChange) error {
	l := e.lists[c.List]
	in := &ec2.ModifyManagedPrefixListInput{PrefixListId: &l.id, CurrentVersion: aws.Int64(l.current())}
	for _, p := range c.Add {
		real, err := e.realCIDR(p)
		if err != nil {
			return err
		}
		in.AddEntries = append(in.AddEntries, types.AddPrefixListEntry{Cidr: aws.String(real.String())})
	}
	for _, p := range c.Remove {
		real, err := e.realCIDR(p)
		if err != nil {
			return err
		}
		in.RemoveEntries = append(in.RemoveEntries, types.RemovePrefixListEntry{Cidr: aws.String(real.String())})
	}
	out, err := e.ModifyManagedPrefixList(e.ctx, in)
	if err != nil {
		return err
	}
	l.versions = append(l.versions, *out.PrefixList.Version)
	return nil
}

func (e *packets) restoreList(c scenariotest.ListVersion) error {
	l := e.lists[c.List]
	out, err := e.RestoreManagedPrefixListVersion(e.ctx, &ec2.RestoreManagedPrefixListVersionInput{
		PrefixListId: &l.id, CurrentVersion: aws.Int64(l.current()), PreviousVersion: aws.Int64(l.versions[c.Version-1]),
	})
	if err != nil {
		return err
	}
	l.versions = append(l.versions, *out.PrefixList.Version)
	return nil
}

// madePeering is a peering connection that has not ended.
type madePeering struct {
	of scenariotest.Peering
	id string
}

func (e *packets) createPeering(p scenariotest.Peering) error {
	out, err := e.CreateVpcPeeringConnection(e.ctx, &ec2.CreateVpcPeeringConnectionInput{
		VpcId: &e.vpcs[p.Requester].id, PeerVpcId: &e.vpcs[p.Accepter].id,
	})
	if err != nil {
		return err
	}
	e.peerings = append(e.peerings, madePeering{p, *out.VpcPeeringConnection.VpcPeeringConnectionId})
	return nil
}

// peering returns the id of the connection of two VPCs.
func (e *packets) peering(p scenariotest.Peering) *string {
	return &e.peerings[e.peeringAt(p)].id
}

func (e *packets) peeringAt(p scenariotest.Peering) int {
	return slices.IndexFunc(e.peerings, func(m madePeering) bool {
		return m.of.Requester == p.Requester && m.of.Accepter == p.Accepter || m.of.Requester == p.Accepter && m.of.Accepter == p.Requester
	})
}

func (e *packets) deletePeering(p scenariotest.Peering) error {
	at := e.peeringAt(p)
	_, err := e.DeleteVpcPeeringConnection(e.ctx, &ec2.DeleteVpcPeeringConnectionInput{VpcPeeringConnectionId: &e.peerings[at].id})
	e.peerings = slices.Delete(e.peerings, at, at+1)
	return err
}

func (e *packets) associate(a scenariotest.Association) error {
	_, err := e.AssociateSecurityGroupVpc(e.ctx, &ec2.AssociateSecurityGroupVpcInput{
		GroupId: aws.String(e.groups[a.Group]), VpcId: &e.vpcs[a.VPC].id,
	})
	return err
}

// associateBlock gives a VPC a further block. With an IPv6 block, each of its subnets gets a /64.
func (e *packets) associateBlock(b scenariotest.Block) error {
	n := e.vpcs[b.VPC]
	in := &ec2.AssociateVpcCidrBlockInput{VpcId: &n.id}
	if b.CIDR.Addr().Is4() {
		in.CidrBlock = aws.String(b.CIDR.String())
	} else {
		in.AmazonProvidedIpv6CidrBlock = aws.Bool(true)
	}
	out, err := e.AssociateVpcCidrBlock(e.ctx, in)
	if err != nil {
		return err
	}
	if b.CIDR.Addr().Is4() {
		n.more = append(n.more, *out.CidrBlockAssociation.AssociationId)
		return nil
	}
	n.moreIPv6 = &moreIPv6{vpc: *out.Ipv6CidrBlockAssociation.AssociationId}
	if n.ipv6, err = netip.ParsePrefix(*out.Ipv6CidrBlockAssociation.Ipv6CidrBlock); err != nil {
		return err
	}
	n.scenario.IPv6 = b.CIDR
	for cidr, id := range n.subnets {
		made, err := e.AssociateSubnetCidrBlock(e.ctx, &ec2.AssociateSubnetCidrBlockInput{
			SubnetId: aws.String(id), Ipv6CidrBlock: aws.String(n.nth(cidr).String()),
		})
		if err != nil {
			return err
		}
		n.moreIPv6.subnets = append(n.moreIPv6.subnets, *made.Ipv6CidrBlockAssociation.AssociationId)
	}
	return nil
}

// moreIPv6 are the associations of an IPv6 block that a VPC got in a scenario.
type moreIPv6 struct {
	vpc     string
	subnets []string
}

func (e *packets) disassociateIPv6(n *network) error {
	var errs []error
	for _, id := range n.moreIPv6.subnets {
		_, err := e.DisassociateSubnetCidrBlock(e.ctx, &ec2.DisassociateSubnetCidrBlockInput{AssociationId: aws.String(id)})
		errs = append(errs, err)
	}
	_, err := e.DisassociateVpcCidrBlock(e.ctx, &ec2.DisassociateVpcCidrBlockInput{AssociationId: &n.moreIPv6.vpc})
	n.moreIPv6, n.ipv6, n.scenario.IPv6 = nil, netip.Prefix{}, netip.Prefix{}
	return errors.Join(append(errs, err)...)
}

// wireAddresses are addresses as the calls want them, by family.
type wireAddresses struct{ addresses, prefixes []string }

func (e *packets) wireAddresses(a scenariotest.Addresses) (v4, v6 wireAddresses, err error) {
	of := func(x netip.Addr) *wireAddresses {
		if x.Is4() {
			return &v4
		}
		return &v6
	}
	for _, x := range a.Addresses {
		of(x).addresses = append(of(x).addresses, e.real(x).String())
	}
	for _, p := range a.Prefixes {
		real, err := e.realCIDR(p)
		if err != nil {
			return v4, v6, err
		}
		of(p.Addr()).prefixes = append(of(p.Addr()).prefixes, real.String())
	}
	return v4, v6, nil
}

// assign takes one call for addresses and one for prefixes: EC2 takes one of them at a time.
func (e *packets) assign(a scenariotest.Addresses) error {
	eni := aws.String(e.guests[a.ENI].eni)
	v4, v6, err := e.wireAddresses(a)
	if err != nil {
		return err
	}
	var errs []error
	if len(v4.addresses) > 0 {
		_, err := e.AssignPrivateIpAddresses(e.ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, PrivateIpAddresses: v4.addresses, AllowReassignment: &a.Reassign})
		errs = append(errs, err)
	}
	if len(v4.prefixes) > 0 {
		_, err := e.AssignPrivateIpAddresses(e.ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, Ipv4Prefixes: v4.prefixes})
		errs = append(errs, err)
	}
	if len(v6.addresses) > 0 {
		_, err := e.AssignIpv6Addresses(e.ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: eni, Ipv6Addresses: v6.addresses})
		errs = append(errs, err)
	}
	if len(v6.prefixes) > 0 {
		_, err := e.AssignIpv6Addresses(e.ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: eni, Ipv6Prefixes: v6.prefixes})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *packets) unassign(a scenariotest.Addresses) error {
	eni := aws.String(e.guests[a.ENI].eni)
	v4, v6, err := e.wireAddresses(a)
	if err != nil {
		return err
	}
	var errs []error
	if len(v4.addresses)+len(v4.prefixes) > 0 {
		_, err := e.UnassignPrivateIpAddresses(e.ctx, &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: eni, PrivateIpAddresses: v4.addresses, Ipv4Prefixes: v4.prefixes,
		})
		errs = append(errs, err)
	}
	if len(v6.addresses)+len(v6.prefixes) > 0 {
		_, err := e.UnassignIpv6Addresses(e.ctx, &ec2.UnassignIpv6AddressesInput{
			NetworkInterfaceId: eni, Ipv6Addresses: v6.addresses, Ipv6Prefixes: v6.prefixes,
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *packets) sourceDestCheck(c scenariotest.SourceDestCheck) (err error) {
	value := &types.AttributeBooleanValue{Value: aws.Bool(c.On)}
	if c.ByInstance {
		_, err = e.ModifyInstanceAttribute(e.ctx, &ec2.ModifyInstanceAttributeInput{
			InstanceId: aws.String(e.guests[c.ENI].instance), SourceDestCheck: value,
		})
	} else {
		_, err = e.ModifyNetworkInterfaceAttribute(e.ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
			NetworkInterfaceId: aws.String(e.guests[c.ENI].eni), SourceDestCheck: value,
		})
	}
	return err
}

// undo ends what would be in the way of the next scenario, which has the same VPCs.
func (e *packets) undo() error {
	var errs []error
	for len(e.peerings) > 0 {
		errs = append(errs, e.deletePeering(e.peerings[0].of))
	}
	for _, n := range e.vpcs {
		for cidr, id := range n.subnets {
			if n.scenario.IPv4.Contains(cidr.Addr()) {
				continue
			}
			_, err := e.DeleteSubnet(e.ctx, &ec2.DeleteSubnetInput{SubnetId: aws.String(id)})
			errs = append(errs, err)
			delete(n.subnets, cidr)
		}
		for _, id := range n.more {
			_, err := e.DisassociateVpcCidrBlock(e.ctx, &ec2.DisassociateVpcCidrBlockInput{AssociationId: aws.String(id)})
			errs = append(errs, err)
		}
		n.more = nil
		if n.moreIPv6 != nil {
			errs = append(errs, e.disassociateIPv6(n))
		}
	}
	if e.longLists {
		errs = append(errs, e.quotas(nil, nil))
		e.longLists = false
	}
	return errors.Join(errs...)
}

// labFollows waits until each guest has the addresses that the lab gives it, and no others that it
// once gave, and until guests of two VPCs have routes to one another if these are peers, and only then.
func (e *packets) labFollows() error {
	var missing string
	err := until(e.ctx, func() (bool, error) {
		for i, a := range e.world.ENIs {
			has, err := e.addressesOf(a)
			if err != nil {
				return false, err
			}
			if want := e.given(a); !slices.Equal(has, want) {
				missing = fmt.Sprintf("%s has %v, want %v", a.ID, has, want)
				return false, nil
			}
			for _, addr := range has {
				if yes, err := e.answers(a.ID, addr); !yes || err != nil {
					missing = fmt.Sprintf("%s does not answer for %s", a.ID, addr)
					return false, err
				}
			}
			for _, b := range e.world.ENIs[:i] {
				if a.VPC == b.VPC {
					continue
				}
				want := e.world.Peered(a.VPC, b.VPC)
				if e.routes(a, b) != want || e.routes(b, a) != want {
					missing = fmt.Sprintf("%s and %s have routes to one another, want %v", a.ID, b.ID, want)
					return false, nil
				}
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", missing, err)
	}
	return nil
}

// given returns the addresses that the lab gives an interface, sorted: its own, and the first of each
// delegated prefix.
func (e *packets) given(i scenariotest.ENI) (all []netip.Addr) {
	for _, a := range slices.Concat(i.IPv4, i.IPv6) {
		all = append(all, e.real(a))
	}
	for _, p := range i.Prefixes {
		all = append(all, e.real(p.Addr()))
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// addressesOf returns the addresses of a guest that have their subnet's length: the lab's.
func (e *packets) addressesOf(i scenariotest.ENI) (all []netip.Addr, err error) {
	err = e.inGuest(i.ID, func(h *netlink.Handle, eth netlink.Link) error {
		list, err := h.AddrList(eth, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range list {
			addr, _ := netip.AddrFromSlice(a.IP)
			if bits, of := a.Mask.Size(); bits < of && !addr.IsLinkLocalUnicast() {
				all = append(all, addr.Unmap())
			}
		}
		return nil
	})
	slices.SortFunc(all, netip.Addr.Compare)
	return all, err
}

func (e *packets) inGuest(id vpc.InterfaceID, do func(*netlink.Handle, netlink.Link) error) error {
	ns, err := netns.GetFromName(e.guests[id].instance)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	return do(h, eth)
}

// routes reports whether the host would forward what a sends to b.
func (e *packets) routes(a, b scenariotest.ENI) bool {
	routes, err := netlink.RouteGetWithOptions(b.IPv4[0].AsSlice(), &netlink.RouteGetOptions{
		Iif: lab.BridgeName(vpc.SubnetID(e.guests[a.ID].subnet)), SrcAddr: a.IPv4[0].AsSlice(),
	})
	return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_UNICAST
}

// hold gives a guest an address that the lab does not give it: another one of a delegated prefix, or
// one that is not its own.
func (e *packets) hold(end scenariotest.End) error {
	eni := slices.IndexFunc(e.world.ENIs, func(i scenariotest.ENI) bool { return i.ID == end.ENI })
	a := e.real(end.Addr)
	if eni < 0 || slices.Contains(e.given(e.world.ENIs[eni]), a) {
		return nil
	}
	if err := e.inGuest(end.ENI, func(h *netlink.Handle, eth netlink.Link) error { return h.AddrReplace(eth, hostAddr(a)) }); err != nil {
		return err
	}
	return until(e.ctx, func() (bool, error) { return e.answers(end.ENI, a) })
}

// answers reports whether a guest's kernel hears who asks for an address: of IPv6 it joins the group of
// those who ask a moment after it has the address.
func (e *packets) answers(id vpc.InterfaceID, a netip.Addr) (yes bool, err error) {
	if a.Is4() {
		return true, nil
	}
	b := a.As16()
	group := fmt.Sprintf("ff0200000000000000000001ff%x", b[13:])
	err = place(e.guests[id].instance).in(func() error {
		joined, err := os.ReadFile("/proc/thread-self/net/igmp6")
		yes = strings.Contains(string(joined), group)
		return err
	})
	return yes, err
}
