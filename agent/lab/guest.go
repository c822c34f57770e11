package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/dump"
	"github.com/sallyport/sallyport/vpc"
)

// present lists the guests that exist on this host: each has a directory, made before anything
// else of it and removed last, and devices that name it, should the directory be lost.
func (l *Lab) present() ([]vpc.InstanceID, error) {
	ids, err := guestNames(l.opts.Dir)
	if err != nil {
		return nil, err
	}
	all, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var devices []vpc.InstanceID
	for _, link := range all {
		if w := aliased(link); link.Type() == "veth" && len(w) == 2 && idPattern.MatchString(w[0]) {
			devices = append(devices, vpc.InstanceID(w[0]))
		}
	}
	return union(ids, devices), nil
}

// namedGuests lists the guests that have a network namespace by their name.
func namedGuests() ([]vpc.InstanceID, error) { return guestNames("/run/netns") }

// guestNames lists what in a directory has the name of a guest: what is removed by its name must be ours.
func guestNames(dir string) ([]vpc.InstanceID, error) {
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list guests: %w", err)
	}
	var ids []vpc.InstanceID
	for _, e := range es {
		if idPattern.MatchString(e.Name()) {
			ids = append(ids, vpc.InstanceID(e.Name()))
		}
	}
	return ids, nil
}

func union(a, b []vpc.InstanceID) []vpc.InstanceID {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

var idPattern = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

func (l *Lab) dir(id vpc.InstanceID) string { return filepath.Join(l.opts.Dir, string(id)) }

// run makes a guest, or what is missing of it.
func (l *Lab) run(ctx context.Context, g Guest) error {
	if err := os.MkdirAll(l.dir(g.ID), 0o700); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	ns, err := l.ensureNamespace(g.ID)
	if err != nil {
		return fmt.Errorf("make namespace: %w", err)
	}
	defer ns.Close()
	if err := l.removeInterfaces(g.ID, g.Interfaces); err != nil {
		return err
	}
	for _, i := range g.Interfaces {
		if err := l.ensureInterface(ctx, g.ID, i, ns); err != nil {
			return fmt.Errorf("%s: %w", i.ENI, err)
		}
	}
	return l.ensureInit(g, ns)
}

// remove ends a guest's processes and removes its devices and namespace.
func (l *Lab) remove(id vpc.InstanceID) error {
	if err := l.stopInit(id); err != nil {
		return err
	}
	if err := l.removeInterfaces(id, nil); err != nil {
		return err
	}
	if err := netns.DeleteNamed(string(id)); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove namespace: %w", err)
	}
	// A mount point that lost its mount is a plain file, and EINVAL above.
	if err := os.Remove(filepath.Join("/run/netns", string(id))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace: %w", err)
	}
	if err := os.RemoveAll(l.dir(id)); err != nil {
		return fmt.Errorf("remove its directory: %w", err)
	}
	return nil
}

// removeInterfaces removes the guest's devices but those in keep. Deleting the device is what ends
// its binding: at no moment is it there without its filter.
func (l *Lab) removeInterfaces(id vpc.InstanceID, keep []Interface) error {
	wanted := map[string]bool{}
	for _, i := range keep {
		wanted[string(i.ENI)] = true
	}
	all, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, link := range all {
		words := aliased(link)
		if link.Type() != "veth" || len(words) != 2 || words[0] != string(id) || wanted[words[1]] {
			continue
		}
		if err := ignoreGone(netlink.LinkDel(link)); err != nil {
			return fmt.Errorf("remove %s: %w", link.Attrs().Name, err)
		}
	}
	return nil
}

// ensureInterface makes the veth pair of an ENI and binds the host's end before it is up.
func (l *Lab) ensureInterface(ctx context.Context, id vpc.InstanceID, i Interface, ns netns.NsHandle) error {
	l.network.Lock()
	br, err := ensureNetwork(i)
	l.network.Unlock()
	if err != nil {
		return err
	}
	name := DeviceName(i.ENI)
	host, err := netlink.LinkByName(name)
	fresh := errors.As(err, new(netlink.LinkNotFoundError))
	if fresh {
		host, err = addVeth(name, id, i, ns, br)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if !fresh && host.Type() == "veth" && unfinished(host) { // and so it was never bound
		if err := netlink.LinkDel(host); err != nil {
			return fmt.Errorf("remove the unfinished %s: %w", name, err)
		}
		if host, err = addVeth(name, id, i, ns, br); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
	}
	if w := aliased(host); len(w) != 2 || w[0] != string(id) || w[1] != string(i.ENI) {
		return refuse("the device %s is not this guest's; remove it", name)
	}
	if host.Attrs().MasterIndex != br.Attrs().Index { // the bridge was removed, and made again
		if err := netlink.LinkSetMaster(host, br); err != nil {
			return fmt.Errorf("put %s on %s: %w", name, br.Attrs().Name, err)
		}
	}
	bindErr := l.opts.Bind(ctx, name, i.ENI)
	if bindErr != nil && host.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("bind %s: %w", name, bindErr)
	}
	if err := netlink.LinkSetUp(host); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	if err := l.configure(id, i, ns); err != nil {
		return err
	}
	if bindErr != nil {
		return fmt.Errorf("bind %s: %w", name, bindErr)
	}
	return nil
}

func addVeth(name string, id vpc.InstanceID, i Interface, ns netns.NsHandle, br netlink.Link) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.MasterIndex = br.Attrs().Index
	veth := &netlink.Veth{
		LinkAttrs: attrs,
		PeerName:  fmt.Sprintf("eth%d", i.Index), PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: i.MAC[:],
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, err
	}
	host, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	for _, s := range []sysctl{ // the host itself must not speak on a guest's wire
		{"net/ipv6/conf/" + name + "/disable_ipv6", "1"},
	} {
		if err := s.write(); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, netlink.LinkDel(host))
		}
	}
	if err := netlink.LinkSetAlias(host, alias(string(id), string(i.ENI))); err != nil {
		return nil, errors.Join(err, netlink.LinkDel(host))
	}
	return netlink.LinkByName(name)
}

// configure gives the guest's end its addresses and routes, and takes away the addresses that it gave
// before. A secondary interface has a table of its own, as EC2's own images set it up: answers leave
// by the interface that was asked.
func (l *Lab) configure(id vpc.InstanceID, i Interface, ns netns.NsHandle) error {
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	defer h.Close()
	name := fmt.Sprintf("eth%d", i.Index)
	eth, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	given := givenFile(filepath.Join(l.dir(id), name+".addresses"))
	before, err := given.read()
	if err != nil {
		return err
	}
	if !slices.Equal(before, i.Addresses) {
		// Both, until the change is done: an agent that dies in it leaves nothing that nobody takes away.
		if err := given.write(slices.Concat(before, i.Addresses)); err != nil {
			return err
		}
	}
	for _, a := range i.Addresses {
		if err := h.AddrReplace(eth, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("give %s to %s: %w", a, name, err)
		}
	}
	for _, a := range before {
		if slices.Contains(i.Addresses, a) {
			continue
		}
		if err := ignoreGone(h.AddrDel(eth, &netlink.Addr{IPNet: ipNet(a)})); err != nil {
			return fmt.Errorf("take %s from %s: %w", a, name, err)
		}
		if i.Index > 0 {
			if err := ignoreGone(h.RuleDel(sourceRule(i, a))); err != nil {
				return fmt.Errorf("take the rule of %s from %s: %w", a, name, err)
			}
		}
	}
	if err := given.write(i.Addresses); err != nil {
		return err
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	for _, r := range i.Routers {
		if !slices.ContainsFunc(i.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == r.Addr().Is4() }) {
			continue // a subnet of both families; this interface is in one
		}
		route := &netlink.Route{
			LinkIndex: eth.Attrs().Index, Dst: ipNet(netip.PrefixFrom(zero(r.Addr()), 0)), Gw: r.Addr().AsSlice(),
		}
		if i.Index > 0 {
			route.Table = 1000 + i.Index
		}
		if err := h.RouteReplace(route); err != nil {
			return fmt.Errorf("default route of %s: %w", name, err)
		}
	}
	if i.Index == 0 {
		return nil
	}
	for _, a := range i.Addresses {
		if err := h.RuleAdd(sourceRule(i, a)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("route by source %s: %w", a.Addr(), err)
		}
	}
	return nil
}

// sourceRule sends what a secondary interface's address says to the interface's own table.
func sourceRule(i Interface, a netip.Prefix) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Table, r.Priority = family(a.Addr()), 1000+i.Index, 1000+i.Index
	r.Src = ipNet(netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
	return r
}

// givenFile says which addresses the lab gave an interface, one a line. Others that stand there are
// somebody else's, who tries something, and stay.
type givenFile string

func (f givenFile) read() ([]netip.Prefix, error) {
	b, err := os.ReadFile(string(f))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read which addresses were given: %w", err)
	}
	var all []netip.Prefix
	for line := range strings.FieldsSeq(string(b)) {
		if a, err := netip.ParsePrefix(line); err == nil { // a line may be cut short
			all = append(all, a)
		}
	}
	return all, nil
}

func (f givenFile) write(all []netip.Prefix) error {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintln(&b, a)
	}
	if err := os.WriteFile(string(f), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("record which addresses were given: %w", err)
	}
	return nil
}

// ensureNamespace returns the guest's network namespace. One that does not exist is made; as long as
// the guest's first process does not run, an agent may have died before it was set up.
func (l *Lab) ensureNamespace(id vpc.InstanceID) (netns.NsHandle, error) {
	ns, err := netns.GetFromName(string(id))
	if err == nil && !isNamespace(ns) {
		// A name whose mount is missing.
		if err := errors.Join(ns.Close(), os.Remove(filepath.Join("/run/netns", string(id)))); err != nil {
			return ns, err
		}
		err = os.ErrNotExist
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := l.stopInit(id); err != nil { // it runs in a namespace that lost its name
			return ns, err
		}
		if err := makeNamespace(string(id)); err != nil {
			return ns, err
		}
		if ns, err = netns.GetFromName(string(id)); err != nil {
			return ns, err
		}
	case err != nil:
		return ns, err
	}
	if _, err := l.initPID(id); err == nil {
		return ns, nil
	}
	if err := setUpNamespace(ns); err != nil {
		return ns, errors.Join(err, ns.Close())
	}
	return ns, nil
}

func isNamespace(ns netns.NsHandle) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(ns), &st) == nil && st.Type == unix.NSFS_MAGIC
}

func makeNamespace(name string) error {
	return onThread(func() error {
		ns, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		return ns.Close()
	})
}

// setUpNamespace sets what a guest's network namespace starts with, and lo up.
func setUpNamespace(ns netns.NsHandle) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		for _, s := range []sysctl{
			// Two interfaces may stand in one subnet: each answers for its own addresses alone.
			{"net/ipv4/conf/all/arp_ignore", "1"},
			{"net/ipv4/conf/all/arp_announce", "2"},
			{"net/ipv6/conf/all/accept_ra", "0"},
			{"net/ipv6/conf/default/accept_ra", "0"},
			{"net/ipv4/ping_group_range", "0 2147483647"},
			{"net/ipv4/ip_unprivileged_port_start", "0"},
		} {
			if err := s.write(); err != nil && !s.withoutIPv6(err) {
				return err
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
}

// The main thread does not end with a goroutine that is locked to it: it would stay in a guest's
// namespace for good, and keep that alive. So it is the main goroutine's alone.
func init() { runtime.LockOSThread() }

// onThread runs fn on a thread that ends with it: whatever namespace fn entered ends with the
// thread, and no other goroutine ever sees it.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- fn()
	}()
	return <-done
}
