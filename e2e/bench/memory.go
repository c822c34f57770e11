package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
)

// memoryRow is what one thing of a kind takes.
type memoryRow struct {
	Name      string
	Things    int
	Accounted float64 // bytes each, by what the kernel says of its BPF maps
	Heap      float64 // bytes each, of what this process keeps of it
}

// memoryUse is what there was at one time.
type memoryUse struct {
	maps uint64 // bytes of the BPF maps that this process holds, and of those in them
	heap uint64 // bytes that it can reach
}

func memoryNow() (u memoryUse, err error) {
	const fds = "/proc/self/fdinfo"
	entries, err := os.ReadDir(fds)
	if err != nil {
		return u, err
	}
	maps := map[ebpf.MapID]uint64{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(fds, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // it was the directory's own
		}
		if err != nil {
			return u, err
		}
		_, value, found := strings.Cut(string(b), "\nmap_id:")
		if !found {
			continue
		}
		var id ebpf.MapID
		if _, err := fmt.Sscan(value, &id); err != nil {
			return u, fmt.Errorf("read the id of a map: %w", err)
		}
		if err := addMap(maps, id); err != nil {
			return u, err
		}
	}
	for _, n := range maps {
		u.maps += n
	}
	// Twice: what a finalizer still holds goes with the second.
	runtime.GC()
	runtime.GC()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	u.heap = heap.HeapAlloc
	return u, nil
}

// addMap notes what a map takes, and the maps that it holds.
func addMap(maps map[ebpf.MapID]uint64, id ebpf.MapID) error {
	if _, ok := maps[id]; ok {
		return nil
	}
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open map %d: %w", id, err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return fmt.Errorf("ask map %d: %w", id, err)
	}
	maps[id], _ = info.Memlock()
	if m.Type() != ebpf.ArrayOfMaps {
		return nil
	}
	for slot := range m.MaxEntries() {
		var inner uint32
		err := m.Lookup(slot, &inner)
		if err == nil {
			err = addMap(maps, ebpf.MapID(inner))
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("read map %d: %w", id, err)
		}
	}
	return nil
}

// more is what this takes beyond what there was before, by both accounts.
func (u memoryUse) more(before memoryUse) (accounted, heap float64) {
	return float64(u.maps) - float64(before.maps), float64(u.heap) - float64(before.heap)
}

// memory adds a row: what things take beyond what there was before, and beyond what there would be without
// them.
func (r *microRun) memory(before memoryUse, without [2]float64, name string, things int) error {
	now, err := memoryNow()
	if err != nil {
		return err
	}
	accounted, heap := now.more(before)
	r.f.Memory = append(r.f.Memory, memoryRow{name, things, (accounted - without[0]) / float64(things), (heap - without[1]) / float64(things)})
	return nil
}

func printMemory(w io.Writer, rows []memoryRow) {
	fmt.Fprint(w, "\nmemory, bytes each\tby the kernel's account of its maps\tin the agent's heap\t\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", r.Name, number(r.Accounted), number(r.Heap))
	}
}
