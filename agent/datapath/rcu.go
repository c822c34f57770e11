package datapath

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

// gracePeriod waits until every program run that had started is over. It is what stands between
// "no packet can find it" and "free it": a delay by the clock would not do, since a virtual CPU can
// sleep for seconds inside of a program.
//
// After an update of a map of maps the kernel waits for RCU, and from Linux 6.19 on in the expedited
// way: some 0.1 ms where membarrier takes ten or, on a busy host, a hundred.
// Source: kernel/bpf/syscall.c, maybe_wait_bpf_programs.
func gracePeriod() error {
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
