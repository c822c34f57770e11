// Package agent is the agent of one host, put together: it follows the feed, compiles what it says,
// keeps the datapath and the lab equal to it, and learns which device is which ENI. Run as root.
package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
)

// Config of an Agent.
type Config struct {
	Server   string // host:port of the server's feed; required
	CAFile   string // PEM; the authority that both ends trust; required
	CertFile string // PEM; names this host; required
	KeyFile  string // PEM; required
	RunDir   string // lock, socket, claims, lab guests
	Pins     string // where programs and maps are pinned, below a bpf file system
	Attach   datapath.Mode
	Lab      bool // run lab guests
	// What one ENI may have: established connections, and places in the table where its flows stand.
	MaxConnections, MaxHalfOpen uint32
	// What guests may do beyond EC2's rules, by default nothing.
	PlatformServices []datapath.PlatformService
	LinkLocal        LinkLocal    // empty: LinkLocalDerived
	LinkLocalRouters []netip.Addr // fe80 addresses whose router advertisements guests get
	Version          string       // of this program, told to the server
	Log              *slog.Logger
	// Ready is called when the agent first has in force what the server says. nil: nothing.
	Ready func()
}

// DefaultConfig returns the defaults of every field that has one.
func DefaultConfig() Config {
	return Config{
		Server: "127.0.0.1:4581",
		RunDir: "/run/sallyport",
		Pins:   datapath.DefaultPins,
		Attach: datapath.Auto,

		MaxConnections: datapath.DefaultMaxConnections,
		MaxHalfOpen:    datapath.DefaultMaxHalfOpen,
	}
}

// The least and the most of either. Places take their memory, 144 bytes each, at once, and 8,192 at least.
const (
	fewestConnections = 1 << 10
	mostConnections   = 1 << 20
)

// ParseAttach reads the name of a way to attach: auto, tcx or clsact.
func ParseAttach(s string) (datapath.Mode, error) {
	switch m := datapath.Mode(s); m {
	case datapath.TCX, datapath.Clsact:
		return m, nil
	default:
		if s == "auto" {
			return datapath.Auto, nil
		}
		return "", fmt.Errorf("--attach is auto, tcx or clsact, not %q", s)
	}
}

// LinkLocal is which link-local IPv6 addresses a guest may use.
type LinkLocal string

// The ways to use link-local addresses.
const (
	LinkLocalDerived LinkLocal = "derived" // the one that RFC 4291 derives from the interface's MAC
	LinkLocalAny     LinkLocal = "any"     // any but the routers': guests with privacy addresses, or more than one
)

// ParseLinkLocal reads derived or any.
func ParseLinkLocal(s string) (LinkLocal, error) {
	switch l := LinkLocal(s); l {
	case LinkLocalDerived, LinkLocalAny:
		return l, nil
	default:
		return "", fmt.Errorf("--link-local is derived or any, not %q", s)
	}
}

// ParsePlatformServices reads services such as udp/169.254.169.253:53 and tcp/[fd00:ec2::254]:80.
func ParsePlatformServices(list []string) ([]datapath.PlatformService, error) {
	var services []datapath.PlatformService
	for _, s := range list {
		refuse := func(why any) error {
			return fmt.Errorf("--platform-services: %q: %v; write them like udp/169.254.169.253:53 or tcp/[fd00:ec2::254]:80", s, why)
		}
		protocol, addr, _ := strings.Cut(s, "/")
		var p datapath.PlatformService
		var err error
		if p.Addr, err = netip.ParseAddrPort(addr); err != nil {
			return nil, refuse("that is no address with a port")
		}
		p.Protocol = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}[protocol]
		if err := p.Validate(); err != nil {
			return nil, refuse(err)
		}
		if slices.Contains(services, p) {
			return nil, refuse("it is there twice")
		}
		services = append(services, p)
	}
	return services, nil
}

// ParseLinkLocalRouters reads addresses such as fe80::1.
func ParseLinkLocalRouters(list []string) ([]netip.Addr, error) {
	var routers []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() != "" {
			return nil, fmt.Errorf("--link-local-routers: %q is no address in fe80::/10, without a zone", s)
		}
		routers = append(routers, a)
	}
	return routers, nil
}
