package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/dump"
	"github.com/sallyport/sallyport/vpc"
)

// The host side of a lab: one bridge per subnet, which holds the subnet's router addresses; routes
// to the subnets that prefer the outside addresses as source; and one rule per bridge, so that a
// guest reaches its own VPC, the peers of that and the host, and no other network.

const (
	bridgePrefix = "spb-"
	vethPrefix   = "spv-"
	// routeProtocol marks our routes and rules: the kernel keeps it, and hands it back.
	routeProtocol = 0x5a
	rulePriority  = 5800
)

// deviceName is the prefix and the last 11 digits of an id: as long as a name may be.
func deviceName(prefix, id string) string {
	return prefix + id[max(0, len(id)-11):]
}

// BridgeName is the bridge of a subnet, DeviceName the host's end of an ENI's veth pair.
func BridgeName(id vpc.SubnetID) string { return deviceName(bridgePrefix, string(id)) }

// DeviceName is the host's end of the veth pair of an ENI.
func DeviceName(id vpc.InterfaceID) string { return deviceName(vethPrefix, string(id)) }

// alias is what a lab device carries as ifalias, to be known again. It is no claim: a claim is an
// ENI id alone.
func alias(parts ...string) string { return "sallyport lab " + strings.Join(parts, " ") }

// aliased returns the words after "sallyport lab", or nil for a device that is not a lab's.
func aliased(l netlink.Link) []string {
	rest, ok := strings.CutPrefix(l.Attrs().Alias, "sallyport lab ")
	if !ok {
		return nil
	}
	return strings.Fields(rest)
}

// table is the routing table of a VPC, derived from its id so that it needs no register. Numbers
// below 2^30 are left to others.
func table(id vpc.VPCID) int {
	h := sha256.Sum256([]byte(id))
	return 1<<30 | int(binary.BigEndian.Uint32(h[:])>>3)
}

// ensureNetwork makes the bridge of an interface's subnet, if it is not there, with its addresses,
// routes and rule.
func ensureNetwork(i Interface) (netlink.Link, error) {
	if err := checkOverlap(i); err != nil {
		return nil, err
	}
	name := BridgeName(i.Subnet)
	br, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		if br, err = addBridge(name, i); err != nil {
			return nil, fmt.Errorf("make bridge %s: %w", name, err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("find bridge %s: %w", name, err)
	} else if br.Type() == "bridge" && unfinished(br) { // an agent died before it was whole
		if err := netlink.LinkDel(br); err != nil {
			return nil, fmt.Errorf("remove the unfinished bridge %s: %w", name, err)
		}
		if br, err = addBridge(name, i); err != nil {
			return nil, fmt.Errorf("make bridge %s: %w", name, err)
		}
	}
	if got := aliased(br); len(got) != 2 || got[0] != string(i.VPC) || got[1] != string(i.Subnet) {
		return nil, refuse("the device %s is not this lab's; remove it", name)
	}
	if err := ensureOutside(i); err != nil {
		return nil, err
	}
	for _, r := range i.Routers {
		a := &netlink.Addr{
			IPNet: ipNet(r),
			Flags: unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD,
		}
		if err := netlink.AddrReplace(br, a); err != nil {
			return nil, fmt.Errorf("give %s to %s: %w", r, name, err)
		}
	}
	if err := netlink.LinkSetUp(br); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return br, ensureRoutes(br, i)
}

// unfinished reports whether a device of our name was left by an agent that died before it was whole:
// the alias comes last, and only then is it set up.
func unfinished(l netlink.Link) bool {
	return l.Attrs().Alias == "" && l.Attrs().Flags&net.FlagUp == 0
}

func addBridge(name string, i Interface) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	// A fixed address: otherwise the bridge takes its lowest port's, and changes it as guests come.
	h := sha256.Sum256([]byte(i.Subnet))
	attrs.HardwareAddr = append(net.HardwareAddr{0x02}, h[:5]...)
	snooping := false // a bridge without a querier drops the multicast that neighbour discovery needs
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
		return nil, err
	}
	br, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	undo := func(err error) (netlink.Link, error) { return nil, errors.Join(err, netlink.LinkDel(br)) }
	for _, s := range []sysctl{
		{"net/ipv4/conf/" + name + "/forwarding", "1"},
		{"net/ipv4/conf/" + name + "/send_redirects", "0"},
		{"net/ipv4/conf/" + name + "/arp_announce", "2"}, // ask as the router, not as the outside
		{"net/ipv4/conf/" + name + "/arp_ignore", "1"},   // answer for the router alone
		{"net/ipv6/conf/" + name + "/accept_ra", "0"},
		{"net/ipv6/conf/" + name + "/accept_dad", "0"}, // it asks from its link-local address, from the first packet on
		{"net/ipv6/conf/" + name + "/disable_ipv6", "0"},
	} {
		if err := s.write(); err != nil && !s.withoutIPv6(err) {
			return undo(err)
		}
	}
	if err := forwardIPv6(name); err != nil {
		return undo(err)
	}
	// Last: it says that the bridge is whole.
	if err := netlink.LinkSetAlias(br, alias(string(i.VPC), string(i.Subnet))); err != nil {
		return undo(err)
	}
	return netlink.LinkByName(name)
}

// forwardIPv6 lets the bridge forward. Kernels before 6.17 forward IPv6 only where all interfaces
// do, and an interface that forwards ignores router advertisements: the others get their own
// setting back.
func forwardIPv6(bridge string) error {
	force := sysctl{"net/ipv6/conf/" + bridge + "/force_forwarding", "1"}
	if err := force.write(); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	v, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	if errors.Is(err, os.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	if err != nil || strings.TrimSpace(string(v)) == "1" {
		return err
	}
	all, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	if err := (sysctl{"net/ipv6/conf/all/forwarding", "1"}).write(); err != nil {
		return err
	}
	for _, l := range all {
		if aliased(l) == nil {
			err := (sysctl{"net/ipv6/conf/" + l.Attrs().Name + "/forwarding", "0"}).write()
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// ensureOutside gives lo the outside addresses of the families of a subnet.
func ensureOutside(i Interface) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	for _, p := range Outside {
		if !slices.ContainsFunc(i.Routers, func(r netip.Prefix) bool { return r.Addr().Is4() == p.Addr().Is4() }) {
			continue
		}
		if p.Addr().Is6() && !hasIPv6() {
			return refuse("IPv6 is off on this host (net.ipv6.conf.lo.disable_ipv6), and the subnet has it")
		}
		if err := netlink.AddrReplace(lo, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("give %s to lo: %w", p, err)
		}
	}
	return nil
}

// ensureRoutes writes the routes to a subnet into the main table, for the host, and into the tables of
// the VPC and its peers, for their guests; whatever else a guest asks for is unreachable.
func ensureRoutes(br netlink.Link, i Interface) error {
	tbl := table(i.VPC)
	tables := []int{unix.RT_TABLE_MAIN, tbl}
	for _, peer := range i.Peers {
		tables = append(tables, table(peer))
	}
	for _, r := range i.Routers {
		for _, t := range tables {
			route := &netlink.Route{
				LinkIndex: br.Attrs().Index, Dst: ipNet(r.Masked()), Src: outside(r.Addr()).AsSlice(),
				Table: t, Protocol: routeProtocol, Scope: netlink.SCOPE_LINK,
			}
			if r.Addr().Is6() {
				route.Scope = netlink.SCOPE_UNIVERSE
			}
			if err := netlink.RouteReplace(route); err != nil {
				return fmt.Errorf("route %s: %w", r.Masked(), err)
			}
		}
		whole := netip.PrefixFrom(zero(r.Addr()), 0)
		if err := netlink.RouteReplace(&netlink.Route{
			Dst: ipNet(whole), Table: tbl, Protocol: routeProtocol, Type: unix.RTN_UNREACHABLE, Priority: 1 << 20,
		}); err != nil {
			return fmt.Errorf("close the rest of %s's routes: %w", i.VPC, err)
		}
		rule := bridgeRule(br.Attrs().Name, tbl, r.Addr())
		if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("send %s to its VPC's table: %w", br.Attrs().Name, err)
		}
	}
	return nil
}

// joinPeers makes the routes between VPCs those of the peers that there are now. Of a subnet without
// a bridge they come with the bridge.
func (l *Lab) joinPeers(guests []Guest) error {
	l.network.Lock()
	defer l.network.Unlock()
	tables := map[int][]int{} // by ifindex of a bridge: of those who may have a route to it
	var errs []error
	for _, g := range guests {
		for _, i := range g.Interfaces {
			br, err := netlink.LinkByName(BridgeName(i.Subnet))
			if err != nil || !g.Run || tables[br.Attrs().Index] != nil {
				continue
			}
			if got := aliased(br); len(got) != 2 || got[1] != string(i.Subnet) {
				continue // not ours: the guest is refused
			}
			may := []int{unix.RT_TABLE_MAIN, table(i.VPC)}
			for _, peer := range i.Peers {
				may = append(may, table(peer))
			}
			tables[br.Attrs().Index] = may
			errs = append(errs, ensureRoutes(br, i))
		}
	}
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := dump.Whole(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(f, &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Protocol: routeProtocol},
				netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		})
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list routes: %w", err))...)
		}
		for _, r := range routes {
			if may := tables[r.LinkIndex]; may != nil && !slices.Contains(may, r.Table) {
				errs = append(errs, ignoreGone(netlink.RouteDel(&r)))
			}
		}
	}
	return errors.Join(errs...)
}

func bridgeRule(bridge string, tbl int, family netip.Addr) *netlink.Rule {
	r := netlink.NewRule()
	r.IifName, r.Table, r.Priority = bridge, tbl, rulePriority
	r.Family = unix.AF_INET
	if family.Is6() {
		r.Family = unix.AF_INET6
	}
	return r
}

// checkOverlap refuses a subnet whose addresses the host, or another VPC's lab guests, already use.
func checkOverlap(i Interface) error {
	for _, r := range i.Routers {
		routes, err := routesOf(family(r.Addr()), unix.RT_TABLE_MAIN)
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		for _, route := range routes {
			if route.Dst == nil {
				continue
			}
			dst, ok := prefix(route.Dst)
			if !ok || dst.Bits() == 0 || !dst.Overlaps(r.Masked()) {
				continue
			}
			link, err := netlink.LinkByIndex(route.LinkIndex)
			if err != nil {
				continue // it went meanwhile
			}
			if words := aliased(link); len(words) > 0 {
				if words[0] == string(i.VPC) {
					continue
				}
				return refuse("lab guests of %s already use %s (bridge %s)", words[0], r.Masked(), link.Attrs().Name)
			}
			return refuse("the host already uses %s (route %s via %s)", r.Masked(), dst, link.Attrs().Name)
		}
	}
	return nil
}

// removeNetworks removes the bridges of subnets that are not in keep, with their routes and rules;
// with none left, the outside addresses too.
func removeNetworks(keep map[vpc.SubnetID]bool) error {
	all, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	var errs []error
	left := 0
	tables := map[int]bool{}
	for _, l := range all {
		words := aliased(l)
		if l.Type() != "bridge" || len(words) != 2 {
			continue
		}
		if keep[vpc.SubnetID(words[1])] {
			left++
			tables[table(vpc.VPCID(words[0]))] = true
			continue
		}
		if err := netlink.LinkDel(l); err != nil { // its routes go with it
			errs = append(errs, fmt.Errorf("remove %s: %w", l.Attrs().Name, err))
		}
	}
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		errs = append(errs, removeRules(f, tables))
	}
	if left == 0 {
		errs = append(errs, removeOutside(), removeForward())
	}
	return errors.Join(errs...)
}

// removeRules removes our rules whose bridge is gone, and what is left in tables nobody uses.
func removeRules(family int, keep map[int]bool) error {
	rules, err := dump.Whole(func() ([]netlink.Rule, error) { return netlink.RuleList(family) })
	if err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	var errs []error
	for _, r := range rules {
		if r.Priority != rulePriority || !strings.HasPrefix(r.IifName, bridgePrefix) {
			continue
		}
		if _, err := netlink.LinkByName(r.IifName); err == nil {
			continue
		}
		r.Family = family
		errs = append(errs, ignoreGone(netlink.RuleDel(&r)))
		if keep[r.Table] {
			continue
		}
		routes, err := routesOf(family, r.Table)
		errs = append(errs, err)
		for _, route := range routes {
			errs = append(errs, ignoreGone(netlink.RouteDel(&route)))
		}
	}
	return errors.Join(errs...)
}

// routesOf lists the routes of one family in a table.
func routesOf(family, table int) ([]netlink.Route, error) {
	return dump.Whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
}

func removeOutside() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	var errs []error
	for _, p := range Outside {
		errs = append(errs, ignoreGone(netlink.AddrDel(lo, &netlink.Addr{IPNet: ipNet(p)})))
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	for _, gone := range []error{unix.ENOENT, unix.ESRCH, unix.EADDRNOTAVAIL, unix.ENODEV} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

type sysctl struct{ path, value string }

// withoutIPv6 reports whether err is a kernel without IPv6, for a setting of it.
func (s sysctl) withoutIPv6(err error) bool {
	return strings.HasPrefix(s.path, "net/ipv6/") && errors.Is(err, os.ErrNotExist)
}

// hasIPv6 reports whether lo can have IPv6 addresses.
func hasIPv6() bool {
	v, err := os.ReadFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	return err == nil && strings.TrimSpace(string(v)) == "0"
}

func (s sysctl) write() error {
	if err := os.WriteFile(filepath.Join("/proc/sys", s.path), []byte(s.value), 0); err != nil {
		return fmt.Errorf("set %s to %s: %w", s.path, s.value, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// outside returns the outside address of a's family.
func outside(a netip.Addr) netip.Addr {
	i := slices.IndexFunc(Outside, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
	return Outside[i].Addr()
}

// IsLab reports whether a device belongs to a lab.
func IsLab(l netlink.Link) bool { return aliased(l) != nil }
