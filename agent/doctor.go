package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/local"
)

// Severity says how much a Finding stands in the way.
type Severity string

// The severities.
const (
	Good    Severity = "ok"
	Warning Severity = "warning" // works, but not as one might think
	Problem Severity = "problem" // Sallyport does not work here
)

// Finding is what one check of Diagnose found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`
	Fix      string   `json:"fix,omitempty"` // what to do about it
}

// Diagnose looks for what on this host stands in the way of filters and lab guests. It changes
// nothing. block is what lab guests are to use.
func Diagnose(ctx context.Context, c Config, block netip.Prefix) []Finding {
	fs := []Finding{
		diagnoseRoot(), diagnoseKernel(), diagnoseBPFFS(c), diagnoseJIT(), diagnoseIPv6(),
		diagnoseBridgeNetfilter(), diagnoseForward(), diagnoseRoutes(block), diagnoseAgent(c),
	}
	return append(fs, diagnosePrograms(ctx, c)...)
}

func diagnoseRoot() Finding {
	if os.Geteuid() != 0 {
		return Finding{"root", Problem, "this is not root", "run it as root: agents load BPF programs"}
	}
	return Finding{"root", Good, "root", ""}
}

func diagnoseKernel() Finding {
	if err := checkKernel(); err != nil {
		return Finding{"kernel", Problem, err.Error(), "boot another kernel; Debian 12's own will do"}
	}
	release, v, _ := kernel() // checkKernel has asked before
	if v[0] < 6 || v[0] == 6 && v[1] < 6 {
		return Finding{"kernel", Good, release + "; older than 6.6, so programs are attached by clsact", ""}
	}
	return Finding{"kernel", Good, release + "; programs are attached by tcx", ""}
}

func diagnoseBPFFS(c Config) Finding {
	const name = "bpf file system"
	var st unix.Statfs_t
	root := strings.TrimSuffix(c.Pins, "/sallyport")
	if err := unix.Statfs(root, &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		return Finding{name, Good, "not mounted on " + root + "; the agent mounts it", ""}
	}
	return Finding{name, Good, "mounted on " + root, ""}
}

func diagnoseJIT() Finding {
	const name = "BPF JIT"
	b, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	switch {
	case err != nil || strings.TrimSpace(string(b)) != "0":
		return Finding{name, Good, "on", ""}
	default:
		return Finding{name, Warning, "off: every packet is interpreted", "sysctl -w net.core.bpf_jit_enable=1"}
	}
}

func diagnoseIPv6() Finding {
	const name = "IPv6"
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	if err != nil || strings.TrimSpace(string(b)) == "1" {
		return Finding{name, Warning, "off on this host: lab guests have IPv4 alone", "sysctl -w net.ipv6.conf.all.disable_ipv6=0"}
	}
	return Finding{name, Good, "on", ""}
}

func diagnoseBridgeNetfilter() Finding {
	const name = "br_netfilter"
	var on []string
	for _, s := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"} {
		if b, err := os.ReadFile("/proc/sys/net/bridge/" + s); err == nil && strings.TrimSpace(string(b)) == "1" {
			on = append(on, "net.bridge."+s)
		}
	}
	if len(on) == 0 {
		return Finding{name, Good, "bridged frames do not pass the host's own firewall", ""}
	}
	return Finding{
		name, Warning, "bridged frames pass the host's own firewall too (" + strings.Join(on, ", ") + ")",
		"if frames that groups allow are lost: sysctl -w " + strings.Join(on, "=0 ") + "=0, or accept them in its forward chain",
	}
}

// diagnoseForward looks for base chains on the forward hook that drop by default.
func diagnoseForward() Finding {
	const name = "forward policy"
	out, err := exec.Command("nft", "-j", "list", "chains").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return Finding{name, Warning, "cannot be seen: nft is not installed", "apt-get install nftables"}
	}
	var list struct {
		Nftables []struct {
			Chain *struct{ Family, Table, Name, Hook, Policy string }
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		return Finding{name, Warning, "cannot be seen: " + err.Error(), ""}
	}
	for _, o := range list.Nftables {
		if c := o.Chain; c != nil && c.Hook == "forward" && c.Policy == "drop" {
			return Finding{
				name, Warning,
				fmt.Sprintf("chain %s %s %s drops what it does not accept; a lab adds a rule for its bridges, but between other guests of this host traffic may be lost", c.Family, c.Table, c.Name),
				fmt.Sprintf("nft insert rule %s %s %s iifname BRIDGE oifname BRIDGE accept", c.Family, c.Table, c.Name),
			}
		}
	}
	return Finding{name, Good, "no chain drops forwarded packets by default", ""}
}

func diagnoseRoutes(block netip.Prefix) Finding {
	if err := CheckLabCIDR(block); err != nil {
		return Finding{"routes", Warning, err.Error(), "sallyport dev --lab-cidr with another block"}
	}
	return Finding{"routes", Good, block.String() + " is free for lab guests", ""}
}

func diagnoseAgent(c Config) Finding {
	if os.Geteuid() != 0 {
		return Finding{"agent", Warning, "cannot be seen without root", ""}
	}
	unlock, err := lock(c)
	if err != nil {
		return Finding{"agent", Good, "one runs on this machine", ""}
	}
	unlock()
	return Finding{"agent", Good, "none runs on this machine", ""}
}

// diagnosePrograms asks the agent on which devices a program stands before ours.
func diagnosePrograms(ctx context.Context, c Config) []Finding {
	const name = "other tc programs"
	claims, err := local.NewClient(c.Socket()).Bindings(ctx)
	if err != nil {
		return []Finding{{name, Good, "no agent to ask: none is bound", ""}}
	}
	var fs []Finding
	for _, claim := range claims {
		if len(claim.Before) > 0 {
			fs = append(fs, Finding{
				name, Warning, claim.Device + ": " + strings.Join(claim.Before, ", "),
				"a program that stands before Sallyport's may pass packets by it: attach it after",
			})
		}
	}
	if fs == nil {
		fs = []Finding{{name, Good, fmt.Sprintf("none before ours on %d bound devices", len(claims)), ""}}
	}
	return fs
}
