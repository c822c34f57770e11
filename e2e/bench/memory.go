package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	maps      uint64 // bytes of the BPF maps that this process holds
	available uint64 // bytes of the machine
}

func memoryNow() (u memoryUse, err error) {
	const fds = "/proc/self/fdinfo"
	entries, err := os.ReadDir(fds)
	if err != nil {
		return u, err
	}
	seen := map[string]bool{} // by id
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(fds, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // it was the directory's own
		}
		if err != nil {
			return u, err
		}
		var bytes uint64
		id := ""
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			switch name {
			case "map_id":
				id = value
			case "memlock":
				if _, err := fmt.Sscan(value, &bytes); err != nil {
					return u, fmt.Errorf("read what a map takes: %w", err)
				}
			}
		}
		if id != "" && !seen[id] {
			seen[id] = true
			u.maps += bytes
		}
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
	return float64(u.maps) - float64(before.maps), float64(before.available) - float64(u.available)
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
