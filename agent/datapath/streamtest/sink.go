package streamtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// magic is what a numbered packet begins with; the number of its stream follows in 4 bytes, and its own
// in 8.
const magic = "SPTN"

const (
	payloadSize = 18 // with it, a frame of 60 bytes: the smallest
	payloadAt   = 14 + 20 + 8
	// Of the sink's memory: 1 + the highest number that came, then a byte for each number.
	seenAt = 8
)

// sink is a program at the ingress of a guest's own device that counts how often each number came, and
// ends the packet there. Everything else goes on to the guest.
type sink struct {
	memory  *ebpf.Map
	program *ebpf.Program
	mapped  []byte
	free    func() error
}

func newSink(at End, stream uint32, numbers int) (_ *sink, err error) {
	s := &sink{free: func() error { return nil }}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a sink: %w", errors.Join(err, s.close()))
		}
	}()
	if s.memory, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "spt_stream_sink", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(seenAt + numbers), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}); err != nil {
		return nil, err
	}
	if s.mapped, err = unix.Mmap(s.memory.FD(), 0, seenAt+numbers, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	const tcNext, tcDrop = -1, 2
	if s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "spt_stream_sink", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R7, asm.R1, 76, asm.Word), // data
			asm.LoadMem(asm.R3, asm.R1, 80, asm.Word), // data_end
			asm.Mov.Reg(asm.R4, asm.R7),
			asm.Add.Imm(asm.R4, payloadAt+payloadSize),
			asm.JGT.Reg(asm.R4, asm.R3, "next"),
			asm.LoadMem(asm.R2, asm.R7, 12, asm.Half),
			asm.JNE.Imm(asm.R2, 0x0008, "next"), // IPv4, as it is in memory
			asm.LoadMem(asm.R2, asm.R7, 14+9, asm.Byte),
			asm.JNE.Imm(asm.R2, unix.IPPROTO_UDP, "next"),
			asm.LoadMem(asm.R2, asm.R7, payloadAt, asm.Word),
			asm.JNE.Imm(asm.R2, int32(binary.NativeEndian.Uint32([]byte(magic))), "next"),
			asm.LoadMem(asm.R2, asm.R7, payloadAt+4, asm.Word),
			asm.JNE.Imm(asm.R2, int32(stream), "next"),
			asm.LoadMem(asm.R2, asm.R7, payloadAt+8, asm.DWord),
			asm.JGE.Imm(asm.R2, int32(numbers), "next"),
			asm.LoadMapValue(asm.R8, s.memory.FD(), 0),
			asm.Mov.Reg(asm.R4, asm.R8),
			asm.Add.Reg(asm.R4, asm.R2),
			asm.LoadMem(asm.R5, asm.R4, seenAt, asm.Byte),
			asm.Add.Imm(asm.R5, 1),
			asm.StoreMem(asm.R4, seenAt, asm.R5, asm.Byte),
			asm.Add.Imm(asm.R2, 1),
			asm.LoadMem(asm.R5, asm.R8, 0, asm.DWord),
			asm.JGE.Reg(asm.R5, asm.R2, "drop"),
			asm.StoreMem(asm.R8, 0, asm.R2, asm.DWord),
			asm.Mov.Imm(asm.R0, tcDrop).WithSymbol("drop"),
			asm.Return(),
			asm.Mov.Imm(asm.R0, tcNext).WithSymbol("next"),
			asm.Return(),
		},
	}); err != nil {
		return nil, err
	}
	return s, In(at.NS, func() error { return s.attach(at, stream) })
}

// attach adds the program as a filter of clsact, which every kernel has.
func (s *sink) attach(at End, stream uint32) error {
	l, err := netlink.LinkByName(at.Device)
	if err != nil {
		return err
	}
	index := l.Attrs().Index
	if err := netlink.QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add the clsact qdisc: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: stream, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: s.program.FD(), Name: "spt_stream_sink", DirectAction: true,
	}
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("add the filter: %w", err)
	}
	s.free = func() error { return In(at.NS, func() error { return netlink.FilterDel(filter) }) }
	return nil
}

// highest is 1 + the highest number that came.
func (s *sink) highest() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(unsafe.SliceData(s.mapped))))
}

// seen is how often each number came.
func (s *sink) seen() []byte { return s.mapped[seenAt:] }

func (s *sink) close() error {
	err := s.free()
	if s.mapped != nil {
		err = errors.Join(err, unix.Munmap(s.mapped))
	}
	if s.program != nil {
		err = errors.Join(err, s.program.Close())
	}
	if s.memory != nil {
		err = errors.Join(err, s.memory.Close())
	}
	return err
}
