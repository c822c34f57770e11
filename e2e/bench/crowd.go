package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// crowd is a Datapath with many ENIs, each with a group of its own.
type crowd struct {
	ns   namespace
	pins string
	d    *datapath.Datapath
	view *ruleset.View

	devices []int
}

func newCrowd(name string, o datapath.Options, n int) (_ *crowd, err error) {
	c := &crowd{pins: filepath.Join(pinsBase, name), view: crowdView(n)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	o.Pins = c.pins
	return c, c.ns.do(func() (err error) {
		if c.d, err = datapath.Open(o); err != nil {
			return err
		}
		for i := range n {
			device := fmt.Sprintf("guest%d", i)
			index, err := newDevice(device)
			if err != nil {
				return err
			}
			if err := c.d.Attach(index, device, crowdENI(i)); err != nil {
				return err
			}
			c.devices = append(c.devices, index)
		}
		return nil
	})
}

func (c *crowd) close() error {
	if c.ns == 0 {
		return nil
	}
	return errors.Join(c.ns.do(func() error {
		var err error
		if c.d != nil {
			err = c.d.Close()
		}
		return errors.Join(err, datapath.Purge(c.pins))
	}), netnsClose(c.ns))
}

// program is the one that hangs on all devices.
func (c *crowd) program(toGuest bool) (p *ebpf.Program, err error) {
	hook := ebpf.AttachTCXIngress
	if toGuest {
		hook = ebpf.AttachTCXEgress
	}
	err = c.ns.do(func() error {
		p, err = attachedProgram(c.devices[0], hook)
		return err
	})
	return p, err
}

func crowdENI(i int) vpc.InterfaceID { return vpc.InterfaceID(fmt.Sprintf("eni-%017x", 0xe0000+i)) }

const sharedList vpc.PrefixListID = "pl-00000000000000001"

// crowdView is a host's with n ENIs, each with a group of its own that names one prefix list of 1,000
// entries and the group of all.
func crowdView(n int) *ruleset.View {
	v := &ruleset.View{
		Revision: 1, ENIs: map[vpc.InterfaceID]ruleset.ENI{}, Groups: map[vpc.GroupID]ruleset.Group{},
		Members: map[vpc.InterfaceID]ruleset.Member{}, Lists: map[vpc.PrefixListID][]netip.Prefix{},
	}
	v.Lists[sharedList] = cidrRemotes(1000).cidrs(false)
	all := vpc.GroupID(fmt.Sprintf("sg-%017x", 0xa))
	v.Groups[all] = ruleset.Group{ID: all, Rules: []vpc.Rule{{
		ID: "sgr-0000000000000000a", Number: 1, Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1,
		Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")},
	}}}
	for i := range n {
		id, own := crowdENI(i), vpc.GroupID(fmt.Sprintf("sg-%017x", 0xe0000+i))
		address := netip.AddrFrom4([4]byte{10, 32, byte(i >> 8), byte(i)})
		rule := func(number int, peer vpc.Peer) vpc.Rule {
			return vpc.Rule{
				ID: vpc.RuleID(fmt.Sprintf("sgr-%017x", number)), Number: uint32(number), Protocol: vpc.TCP,
				From: int32(1000 + i), To: int32(1000 + i), Peer: peer,
			}
		}
		v.Groups[own] = ruleset.Group{ID: own, Rules: []vpc.Rule{
			rule(2*i+2, vpc.Peer{PrefixList: sharedList}), rule(2*i+3, vpc.Peer{Group: all}),
		}}
		v.ENIs[id] = ruleset.ENI{
			ID: id, Domain: domain, MAC: vpc.MAC{2, 0, 0, 1, byte(i >> 8), byte(i)}, Addresses: []netip.Addr{address},
			Routers: []netip.Addr{netip.AddrFrom4([4]byte{10, 32, 255, 1})}, Groups: []vpc.GroupID{all, own}, SourceDestCheck: true,
		}
		v.Members[id] = ruleset.Member{
			ID: id, Domains: []vpc.VPCID{domain}, Addresses: []netip.Addr{address}, Groups: []vpc.GroupID{all},
		}
	}
	return v
}
