package datapath_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
)

// TestGracePeriod: whoever waits for one waits for a program that runs meanwhile, on any CPU, in each of the ways.
func TestGracePeriod(t *testing.T) {
	run, said := longRun(t)
	for name, wait := range map[string]func() error{
		"any way": datapath.GracePeriod, "round": datapath.GoRound, "RCU": datapath.RCUGracePeriod,
	} {
		for cpu := range runtime.NumCPU() {
			t.Run(fmt.Sprintf("%s, CPU %d", name, cpu), func(t *testing.T) {
				said.reset()
				done := make(chan error)
				go func() { done <- run(cpu) }()
				for !said.is(began) {
					runtime.Gosched()
				}
				begun := time.Now()
				must(t, wait())
				if !said.is(ended) {
					t.Errorf("over after %v, when the program still ran", time.Since(begun))
				}
				must(t, <-done)
				if d := time.Since(begun); d < 5*time.Millisecond {
					t.Errorf("the program ran for %v only, which says little", d)
				}
			})
		}
	}
}

// TestGracePeriods: many at once, as many interfaces at a time may ask for them.
func TestGracePeriods(t *testing.T) {
	done := make(chan error)
	const n = 100
	for range n {
		go func() { done <- datapath.GracePeriod() }()
	}
	for range n {
		must(t, <-done)
	}
}

// TestParseCPUs: a CPU that is taken for an offline one is not waited for.
func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{"": nil, "\n": nil, "3\n": {3}, "2-4,8\n": {2, 3, 4, 8}, "1,16-17": {1, 16, 17}} {
		cpus, err := datapath.ParseCPUs(list)
		if got := slices.Sorted(maps.Keys(cpus)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"x", "1-", "-", "1,,2", "1-2-3"} {
		if cpus, err := datapath.ParseCPUs(list); err == nil {
			t.Errorf("%q: %v, want an error", list, cpus)
		}
	}
}

// progress is what a program has written to a map.
type progress struct {
	t      *testing.T
	memory *ebpf.Memory
}

const began, ended = 0, 8 // where

func (p progress) is(at int64) bool {
	b := make([]byte, 1)
	_, err := p.memory.ReadAt(b, at)
	must(p.t, err)
	return b[0] != 0
}

func (p progress) reset() {
	_, err := p.memory.WriteAt(make([]byte, 16), 0)
	must(p.t, err)
}

// longRun makes a program that copies memory for a tenth of a second or so, and says when it began and ended.
func longRun(t *testing.T) (run func(cpu int) error, said progress) {
	t.Helper()
	const size, copies = 1 << 22, 1000
	words, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
	must(t, err)
	t.Cleanup(func() { words.Close() })
	said.t = t
	said.memory, err = words.Memory()
	must(t, err)
	data := make([]*ebpf.Map, 2)
	for i := range data {
		data[i], err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
		must(t, err)
		t.Cleanup(func() { data[i].Close() })
	}
	lookUp := func(m *ebpf.Map, to asm.Register) asm.Instructions {
		return asm.Instructions{
			asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(to, asm.R0),
		}
	}
	code := asm.Instructions{asm.StoreImm(asm.RFP, -4, 0, asm.Word)}
	code = append(code, lookUp(words, asm.R6)...)
	code = append(code, lookUp(data[0], asm.R7)...)
	code = append(code, asm.Mov.Imm(asm.R8, 1), asm.StoreMem(asm.R6, began, asm.R8, asm.DWord))
	for range copies {
		code = append(code,
			asm.LoadMapPtr(asm.R1, data[1].FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.Mov.Reg(asm.R3, asm.R7), asm.Mov.Imm(asm.R4, 0), asm.FnMapUpdateElem.Call())
	}
	code = append(code, asm.StoreMem(asm.R6, ended, asm.R8, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: code, License: "GPL"})
	must(t, err)
	t.Cleanup(func() { program.Close() })
	run = func(cpu int) error {
		runtime.LockOSThread() // and never unlocked: see the CPU
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		_, err := program.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		return err
	}
	return run, said
}
