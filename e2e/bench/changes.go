package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// timed adds what a step took to the latencies of its name.
func (r *microRun) timed(name string, step func() error) error {
	start := time.Now()
	err := step()
	r.f.Changes = addLatency(r.f.Changes, name, time.Since(start))
	return err
}

func printLatencies(w io.Writer, title string, list []latency) {
	fmt.Fprintf(w, "\n%s\tp50 ms\tp99 ms\tmin – max\tsamples\t\n", title)
	for _, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s – %s\t%d\t\n", l.Name, number(median(l.Milliseconds)), number(quantile(l.Milliseconds, 0.99)),
			number(slices.Min(l.Milliseconds)), number(slices.Max(l.Milliseconds)), len(l.Milliseconds))
	}
}

// The changes that goals are about.
const (
	switched = "960 rules put in force in the place of 960 others"
	listEdit = "edit of a list of 1,000 entries that 500 tables name: delta, compile, in force"
)

// changes is how long it takes to put others in force, by Apply: before it returns, packets are judged by
// the new ones. A former change is over when one begins.
func (r *microRun) changes() error {
	fmt.Fprintln(r.stderr, "datapath: changes")
	if err := r.switchTables(); err != nil {
		return fmt.Errorf("switch tables: %w", err)
	}
	if err := r.editList(); err != nil {
		return fmt.Errorf("edit a prefix list: %w", err)
	}
	return nil
}

func (r *microRun) switchTables() (err error) {
	var tables [2]ruleset.Tables
	for i := range tables {
		from := cidrRemotes(960)
		t := &ruleset.Table{Direction: ruleset.Ingress}
		for j, c := range from.cidrs(false) {
			t.CIDRs = append(t.CIDRs, ruleset.CIDRPorts{CIDR: c, Ports: allowedPorts(960*i + j + 1)})
		}
		tables[i] = tablesOf(t, nil)
	}
	l, err := newLone("changes", datapath.Options{}, tables[0], nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for i := range 10 * r.sizes.Repetitions {
		if _, err := l.d.Sweep(); err != nil { // ends the last change
			return err
		}
		t := tables[(i+1)%2]
		t.Revision = int64(i + 2)
		if err := r.timed(switched, func() error { return l.d.Apply(t, nil) }); err != nil {
			return err
		}
	}
	return nil
}

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

func (r *microRun) editList() (err error) {
	c, err := newCrowd("edits", datapath.Options{MaxConnections: 64, MaxHalfOpen: 64}, 500)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var compiler ruleset.Compiler
	if err := c.d.Apply(compiler.Compile(c.view)); err != nil {
		return err
	}
	entries := c.view.Lists[sharedList]
	for i := range 3 * r.sizes.Repetitions {
		if _, err := c.d.Sweep(); err != nil {
			return err
		}
		// One entry goes and another comes.
		edited := slices.Clone(entries)
		edited[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(i), 0}), 24)
		slices.SortFunc(edited, netip.Prefix.Compare)
		delta := ruleset.Delta{
			From: c.view.Revision, To: c.view.Revision + 1, Lists: map[vpc.PrefixListID][]netip.Prefix{sharedList: edited},
		}
		if err := r.timed(listEdit, func() (err error) {
			if c.view, err = c.view.Apply(delta); err != nil {
				return err
			}
			return c.d.Apply(compiler.Compile(c.view))
		}); err != nil {
			return err
		}
	}
	return nil
}
