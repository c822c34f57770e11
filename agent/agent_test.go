package agent_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/agent"
	"github.com/sallyport/sallyport/agent/machinetest"
)

func TestMain(m *testing.M) { machinetest.Main(m.Run) }

func TestNewRefuses(t *testing.T) {
	whole := agent.DefaultConfig()
	whole.CAFile, whole.CertFile, whole.KeyFile = "ca.crt", "agent.crt", "agent.key"
	if _, err := agent.New(whole); err != nil {
		t.Errorf("New(whole) = %v", err)
	}
	for want, spoil := range map[string]func(*agent.Config){
		"--server is empty":      func(c *agent.Config) { c.Server = "" },
		"--server: ":             func(c *agent.Config) { c.Server = "192.0.2.1" },
		"--ca-file is empty":     func(c *agent.Config) { c.CAFile = "" },
		"--cert-file is empty":   func(c *agent.Config) { c.CertFile = "" },
		"--key-file is empty":    func(c *agent.Config) { c.KeyFile = "" },
		"--run-dir is empty":     func(c *agent.Config) { c.RunDir = "" },
		"--pins is empty":        func(c *agent.Config) { c.Pins = "" },
		"--max-connections is":   func(c *agent.Config) { c.MaxConnections = 1023 },
		"--connection-places is": func(c *agent.Config) { c.MaxHalfOpen = 1<<20 + 1 },
	} {
		c := whole
		spoil(&c)
		if _, err := agent.New(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
	}
}

func TestOneAgentPerMachine(t *testing.T) {
	c := agent.DefaultConfig()
	c.RunDir = t.TempDir()
	if err := agent.Preflight(c); err != nil {
		t.Fatalf("Preflight: %v", err)
	}
	f, err := os.OpenFile(filepath.Join(c.RunDir, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	c.Pins = "/sys/fs/bpf/spt-agent"
	for name, err := range map[string]error{"Preflight": agent.Preflight(c), "Purge": agent.Purge(c)} {
		if err == nil || !strings.Contains(err.Error(), "another agent runs on this machine") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s beside another agent: %v", name, err)
		}
	}
}

// Two agents with run directories of their own would still write to the same pins.
func TestOneAgentPerPins(t *testing.T) {
	link := filepath.Join(t.TempDir(), "pins")
	if err := os.Symlink("/sys/fs/bpf", link); err != nil {
		t.Fatal(err)
	}
	release, err := agent.Lock(agent.Config{RunDir: t.TempDir(), Pins: "/sys/fs/bpf/spt-agent/a"})
	if err != nil {
		t.Fatal(err)
	}
	for pins, want := range map[string]string{
		"/sys/fs/bpf/spt-agent/a":          "another agent runs on this machine (it holds /run/sallyport/pins-",
		"/sys/fs/bpf/./spt-agent//b/../a/": "another agent runs on this machine",
		link + "/spt-agent/a":              "another agent runs on this machine",
		"/sys/fs/bpf/spt-agent/b":          "",
	} {
		err := agent.Preflight(agent.Config{RunDir: t.TempDir(), Pins: pins})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("Preflight on %s = %v, want %q", pins, err, want)
		}
	}
	release()
	if err := agent.Preflight(agent.Config{RunDir: t.TempDir(), Pins: link + "/spt-agent/a"}); err != nil {
		t.Errorf("Preflight when the other is gone: %v", err)
	}
}

func TestCheckLabCIDR(t *testing.T) {
	if out, err := exec.Command("sh", "-ec",
		"ip link add spt-agent0 type bridge; ip addr add 198.18.7.129/25 dev spt-agent0; ip link set spt-agent0 up").CombinedOutput(); err != nil {
		t.Fatalf("make a device: %v\n%s", err, out)
	}
	for block, want := range map[string]string{
		"198.18.7.0/25":   "",
		"198.18.7.0/24":   "route to 198.18.7.128/25 (via spt-agent0)",
		"198.18.7.200/32": "route to 198.18.7.128/25 (via spt-agent0)",
	} {
		err := agent.CheckLabCIDR(netip.MustParsePrefix(block))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckLabCIDR(%s) = %v, want %q", block, err, want)
		}
	}
}

func TestDiagnose(t *testing.T) {
	c := agent.DefaultConfig()
	c.RunDir = t.TempDir()
	found := map[string]agent.Finding{}
	for _, f := range agent.Diagnose(t.Context(), c, netip.MustParsePrefix("192.0.2.0/24")) {
		found[f.Check] = f
		if f.Found == "" || f.Severity == agent.Problem {
			t.Errorf("%+v on a machine on which the tests run", f)
		}
	}
	for _, check := range []string{
		"root", "kernel", "bpf file system", "BPF JIT", "IPv6", "br_netfilter", "forward policy", "routes", "agent", "other tc programs",
	} {
		if _, ok := found[check]; !ok {
			t.Errorf("%q was not looked at", check)
		}
	}
	if got := found["agent"].Found; got != "none runs on this machine" {
		t.Errorf("agent: %q", got)
	}
}
