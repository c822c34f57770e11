package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/dump"
	"github.com/sallyport/sallyport/agent/lab"
)

// minKernel is the oldest kernel that the programs are written for: Debian 12's own.
var minKernel = [2]int{6, 1}

// Preflight returns what keeps an agent from running on this machine: no root, a kernel that is too
// old or has no BTF, another agent. It changes nothing.
func Preflight(c Config) error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: it loads BPF programs and makes network namespaces; try sudo")
	}
	if err := checkKernel(); err != nil {
		return err
	}
	unlock, err := lock(c)
	if err != nil {
		return err
	}
	unlock()
	return nil
}

func checkKernel() error {
	release, v, err := kernel()
	if err != nil {
		return err
	}
	if v[0] < minKernel[0] || v[0] == minKernel[0] && v[1] < minKernel[1] {
		return fmt.Errorf("the kernel is %s; Sallyport needs %d.%d or newer", release, minKernel[0], minKernel[1])
	}
	if _, err := os.Stat(kernelBTF); err != nil {
		return fmt.Errorf("the kernel %s does not describe its types (%w); Sallyport needs one built with CONFIG_DEBUG_INFO_BTF", release, err)
	}
	return nil
}

// kernelBTF is the kernel's description of its own types, by which programs find what they read of it.
const kernelBTF = "/sys/kernel/btf/vmlinux"

// kernel returns the running kernel's release and its first two numbers.
func kernel() (release string, v [2]int, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", v, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	release = unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &v[0], &v[1]); err != nil {
		return "", v, fmt.Errorf("read the kernel's release %q: %w", release, err)
	}
	return release, v, nil
}

// lock makes this process the one agent of a run directory and of the pins until it ends or calls
// unlock. A bpf file system holds no lock files: the lock of the pins is at lockDir, so that agents
// with other run directories meet there.
func lock(c Config) (unlock func(), err error) {
	run, err := lockFile(filepath.Join(c.RunDir, "agent.lock"))
	if err != nil {
		return nil, err
	}
	pins, err := lockFile(pinsLock(c.Pins))
	if err != nil {
		run()
		return nil, err
	}
	return func() { pins(); run() }, nil
}

const lockDir = "/run/sallyport"

// pinsLock returns the path of the lock of a pins directory, the same for all its names.
func pinsLock(pins string) string {
	if abs, err := filepath.Abs(pins); err == nil {
		pins = abs
	}
	// The directory may not be there yet.
	dir, rest := pins, ""
	for dir != "/" {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			pins = filepath.Join(real, rest)
			break
		}
		dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest)
	}
	sum := sha256.Sum256([]byte(pins))
	return filepath.Join(lockDir, "pins-"+hex.EncodeToString(sum[:8])+".lock")
}

func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the agent's lock: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the agent's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("another agent runs on this machine (it holds %s); stop it first", path)
	}
	return func() { _ = f.Close() }, nil
}

// CheckLabCIDR returns an error that names the route if the host already uses addresses of a block
// that lab guests are to have.
func CheckLabCIDR(block netip.Prefix) error {
	routes, err := dump.Whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		a, _ := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		dst := netip.PrefixFrom(a.Unmap(), bits)
		if bits == 0 || !dst.Overlaps(block) {
			continue
		}
		device := "?"
		if l, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			if device = l.Attrs().Name; lab.IsLab(l) {
				continue
			}
		}
		return fmt.Errorf("the host has a route to %s (via %s), which lab guests would use (%s); choose another block with --lab-cidr",
			dst, device, block)
	}
	return nil
}

// Purge removes everything that agents left on this machine: lab guests, filters, pins, claims. It
// refuses while an agent runs.
func Purge(c Config) error {
	if err := Preflight(c); err != nil {
		return err
	}
	unlock, err := lock(c)
	if err != nil {
		return err
	}
	defer unlock()
	if err := lab.Purge(filepath.Join(c.RunDir, "lab")); err != nil {
		return fmt.Errorf("lab guests remain, and so all filters stay in force: %w", err)
	}
	claims := os.Remove(filepath.Join(c.RunDir, "claims.json"))
	if errors.Is(claims, os.ErrNotExist) {
		claims = nil
	}
	return errors.Join(datapath.Purge(c.Pins), claims)
}

// oneLine keeps an error that joins several to one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
