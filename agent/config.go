// Package agent is the agent of one host, put together: it follows the feed, compiles what it says,
// keeps the datapath and the lab equal to it, and learns which device is which ENI. Run as root.
package agent

import (
	"fmt"
	"log/slog"

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
	Lab      bool   // run lab guests
	Version  string // of this program, told to the server
	Log      *slog.Logger
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
	}
}

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
