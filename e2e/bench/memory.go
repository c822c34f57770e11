package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
)

// memoryRow is what one thing of a kind takes.
type memoryRow struct {
	Name      string
	Things    int
	Accounted float64 // bytes each, by what the kernel says of its BPF maps
	Available float64 // bytes each, by MemAvailable: what it costs in fact, and others' with it
}

// memoryUse is what there was at one time.
type memoryUse struct {
	maps      map[ebpf.MapID]uint64 // bytes of each map of the machine
	available uint64                // bytes
}

func memoryNow() (memoryUse, error) {
	u := memoryUse{maps: map[ebpf.MapID]uint64{}}
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return u, fmt.Errorf("list the maps: %w", err)
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return u, fmt.Errorf("open map %d: %w", id, err)
		}
		info, err := m.Info()
		if err := errors.Join(err, m.Close()); err != nil {
			return u, fmt.Errorf("ask map %d: %w", id, err)
		}
		u.maps[id], _ = info.Memlock()
	}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return u, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "MemAvailable:"); ok {
			if _, err := fmt.Sscan(value, &u.available); err != nil {
				return u, fmt.Errorf("read MemAvailable: %w", err)
			}
			u.available <<= 10
		}
	}
	return u, nil
}

// more is what this takes beyond what there was before, by both accounts.
func (u memoryUse) more(before memoryUse) (accounted, available float64) {
	for id, n := range u.maps {
		accounted += float64(n) - float64(before.maps[id])
	}
	for id, n := range before.maps {
		if _, ok := u.maps[id]; !ok {
			accounted -= float64(n)
		}
	}
	return accounted, float64(before.available) - float64(u.available)
}

// memory adds a row: what things take beyond what there was before, and beyond what there would be without
// them.
func (r *microRun) memory(before memoryUse, without [2]float64, name string, things int) error {
	now, err := memoryNow()
	if err != nil {
		return err
	}
	accounted, available := now.more(before)
	r.f.Memory = append(r.f.Memory, memoryRow{name, things, (accounted - without[0]) / float64(things), (available - without[1]) / float64(things)})
	return nil
}

func printMemory(w io.Writer, rows []memoryRow) {
	fmt.Fprint(w, "\nmemory, bytes each\tby the kernel's account of its maps\tby MemAvailable\t\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", r.Name, number(r.Accounted), number(r.Available))
	}
}
