package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
)

// facts are the machine's, as they bear on the figures.
type facts struct {
	Time         time.Time
	Kernel       string
	CPU          string
	CPUs         int
	JIT          string  // net.core.bpf_jit_enable
	Load         float64 // of the minute before; much above 0: others were at work
	ConntrackMax string  `json:"NFConntrackMax"`
}

func machine() (facts, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return facts{}, err
	}
	m := facts{
		Time: time.Now().UTC().Truncate(time.Second), Kernel: unix.ByteSliceToString(u.Release[:]),
		CPUs: runtime.NumCPU(), CPU: runtime.GOARCH,
		JIT: sysctl("net/core/bpf_jit_enable"), ConntrackMax: sysctl("net/netfilter/nf_conntrack_max"),
	}
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &m.Load)
	}
	return m, nil
}

func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}

// lockBench makes this the one bench of the machine, and removes what one that was killed left:
// nothing but pins.
func lockBench() (unlock func(), err error) {
	const path = "/run/sallyport-bench.lock"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another bench runs (it holds %s): %w", path, err), f.Close())
	}
	entries, err := os.ReadDir(pinsBase)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, f.Close())
	}
	for _, e := range entries {
		if err := datapath.Purge(pinsBase + "/" + e.Name()); err != nil {
			return nil, errors.Join(fmt.Errorf("remove what an earlier bench left: %w", err), f.Close())
		}
	}
	return func() {
		_ = os.Remove(pinsBase)
		_ = f.Close()
	}, nil
}
