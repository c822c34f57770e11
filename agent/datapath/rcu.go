package datapath

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// gracePeriod waits until every program run that had started is over. It is what stands between
// "no packet can find it" and "free it": a delay by the clock would not do, since a virtual CPU can
// sleep for seconds inside of a program.
func gracePeriod() error {
	const global = 1 // MEMBARRIER_CMD_GLOBAL: synchronize_rcu. Kernels with nohz_full refuse it.
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno == 0 {
		return nil
	}
	return gracePeriodByMaps()
}

// gracePeriodByMaps works everywhere: the kernel waits for RCU after an update of a map of maps
// (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
func gracePeriodByMaps() error {
	maps := graceMaps()
	if maps.err != nil {
		return fmt.Errorf("wait for an RCU grace period: %w", maps.err)
	}
	if err := maps.outer.Put(uint32(0), maps.inner); err != nil {
		return fmt.Errorf("wait for an RCU grace period: %w", err)
	}
	return nil
}

// graceMaps makes the pair of maps once per process.
var graceMaps = sync.OnceValue(func() (g struct {
	outer, inner *ebpf.Map
	err          error
},
) {
	spec := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	if g.inner, g.err = ebpf.NewMap(spec); g.err == nil {
		g.outer, g.err = ebpf.NewMap(&ebpf.MapSpec{
			Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: spec,
		})
	}
	return g
})
