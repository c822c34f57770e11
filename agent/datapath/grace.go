package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// gracePeriod waits until every program run that had started is over. It is what stands between
// "no packet can find it" and "free it": a delay by the clock would not do, since a virtual CPU can
// sleep for seconds inside of a program.
//
// It goes round the CPUs, which takes some tenths of a millisecond, or waits for the kernel's RCU, ten
// milliseconds or a hundred, where that is not possible or takes longer. See docs/decisions/0016.
func gracePeriod() error {
	if rounds.Add(1) > maxRounds {
		rounds.Add(-1)
		return rcuGracePeriod()
	}
	over := make(chan error, 1)
	go func() {
		defer rounds.Add(-1)
		over <- goRound()
	}()
	select {
	case err := <-over:
		if err == nil {
			return nil
		}
	case <-time.After(roundTimeout):
	}
	return rcuGracePeriod()
}

const (
	// roundTimeout is how long a CPU may keep one waiting, as it does whose thread outranks it.
	roundTimeout = 50 * time.Millisecond
	// maxRounds are under way at most, those included that nobody waits for any more.
	maxRounds = 16
)

var rounds atomic.Int32

// goRound runs on one CPU after the other. The kernel runs the programs of a device with soft
// interrupts off, so a thread that runs on a CPU is not in the middle of one, and the switch to it is a
// full memory barrier. A CPU that comes later has run none that started before.
func goRound() error {
	if err := canGoRound(); err != nil {
		return err
	}
	// Not those of the list that are online: to a container some tools show fewer.
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	list, err := os.ReadFile(sysCPUs + "offline")
	if err != nil {
		return err
	}
	offline, err := parseCPUs(string(list))
	if err != nil {
		return err
	}
	runtime.LockOSThread() // and never unlocked: the thread, which is like no other now, ends here
	// Before those of ordinary priority. Without the right to that it takes its turn.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	for cpu := range possible {
		if offline[cpu] {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		// It returns there, or fails if the agent may not run there.
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("run on CPU %d: %w", cpu, err)
		}
	}
	return nil
}

// canGoRound fails where a round says nothing, since a real-time kernel lets another thread run in the
// middle of a program; and where some CPUs are kept free of all threads that were not sent there.
var canGoRound = sync.OnceValue(func() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	if v := unix.ByteSliceToString(name.Version[:]); strings.Contains(v, "PREEMPT_RT") {
		return fmt.Errorf("the kernel is a real-time one: %s", v)
	}
	isolated, err := os.ReadFile(sysCPUs + "isolated")
	if err == nil && len(bytes.TrimSpace(isolated)) > 0 {
		err = fmt.Errorf("CPUs %s are isolated", bytes.TrimSpace(isolated))
	}
	return err
})

const sysCPUs = "/sys/devices/system/cpu/"

// parseCPUs reads one of the kernel's lists, like 0-3,8.
func parseCPUs(list string) (map[int]bool, error) {
	cpus := map[int]bool{}
	if list = strings.TrimSpace(list); list == "" {
		return cpus, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, lastErr := strconv.Atoi(to)
		if err := errors.Join(err, lastErr); err != nil {
			return nil, fmt.Errorf("read the list of CPUs %q: %w", list, err)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus[cpu] = true
		}
	}
	return cpus, nil
}

// rcuGracePeriod waits for RCU: after an update of a map of maps the kernel does so, and from Linux
// 6.19 on in the expedited way: some 0.1 ms where membarrier takes ten or, on a busy host, a hundred.
// Source: kernel/bpf/syscall.c, maybe_wait_bpf_programs.
func rcuGracePeriod() error {
	outer, inner, err := graceMaps()
	if err == nil {
		err = outer.Put(uint32(0), inner)
	}
	if err != nil {
		return fmt.Errorf("wait for an RCU grace period: %w", err)
	}
	return nil
}

var grace struct {
	sync.Mutex
	outer, inner *ebpf.Map
}

// graceMaps makes the pair of maps once per process.
func graceMaps() (outer, inner *ebpf.Map, err error) {
	grace.Lock()
	defer grace.Unlock()
	spec := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	if grace.inner == nil {
		if grace.inner, err = ebpf.NewMap(spec); err != nil {
			return nil, nil, err
		}
	}
	if grace.outer == nil {
		grace.outer, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: spec})
	}
	return grace.outer, grace.inner, err
}
