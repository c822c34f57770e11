package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// flows says which ports the frames of a cell have. The ith has source port
// Source.Base + (i >> Source.Shift & Source.Mask), and the same of Destination.
type flows struct{ Source, Destination ports }

type ports struct{ Shift, Mask, Base uint64 }

// reply is the same flows from the other side.
func (f flows) reply() flows { return flows{f.Destination, f.Source} }

// generatorState is the generator's memory, shared with the program below; its fields are 8 bytes
// each, in this order.
type generatorState struct {
	Made        uint64 // frames so far
	Wanted      uint64 // those beyond it are dropped where they are made
	First, Last uint64 // when the first and the last wanted frame were made, ns of CLOCK_MONOTONIC
	Start       uint64 // i of the first
	Flows       flows
	Action      uint64 // of XDP: pass or drop
	// What a router changes, as it is in memory: a page comes back to the generator as it was left,
	// and is written again. Both MACs in 8 and 4 bytes; TTL, protocol and checksum in 4.
	MAC, MACEnd, TTL uint64
}

// The layout of generatorState.
const (
	atMade = 8 * iota
	atWanted
	atFirst
	atLast
	atStart
	atSource
	_
	_
	atDestination
	_
	_
	atAction
	atMAC
	atMACEnd
	atTTL
)

// The actions of XDP.
const (
	xdpDrop = 1
	xdpPass = 2
)

// The frames: Ethernet, IPv4, UDP without checksum, 18 bytes.
const (
	frameSize  = 60
	ttlAt      = 14 + 8
	protocolAt = 14 + 9
	sourceAt   = 14 + 20
)

// generator makes frames in the kernel, as a NIC's driver would: BPF_PROG_TEST_RUN with live frames
// runs an XDP program that writes the ports of each, and hands them to the network stack as received
// by a device, 64 at a time. It knows when it made the first and the last, so that what it takes to
// set a run up is not in a measurement.
type generator struct {
	state   *ebpf.Map
	program *ebpf.Program
	cpu     int
}

func newGenerator(cpu int) (*generator, error) {
	state, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "spt_bench_gen", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(binary.Size(generatorState{})), MaxEntries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("make the generator's map: %w", err)
	}
	setPort := func(at int16, offset int16) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R9),
			asm.LoadMem(asm.R2, asm.R8, at, asm.DWord),
			asm.RSh.Reg(asm.R1, asm.R2),
			asm.LoadMem(asm.R2, asm.R8, at+8, asm.DWord),
			asm.And.Reg(asm.R1, asm.R2),
			asm.LoadMem(asm.R2, asm.R8, at+16, asm.DWord),
			asm.Add.Reg(asm.R1, asm.R2),
			asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.StoreMem(asm.R7, offset, asm.R1, asm.Half),
		}
	}
	code := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // its end
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.Add.Imm(asm.R4, frameSize),
		asm.JGT.Reg(asm.R4, asm.R3, "drop"),
		asm.LoadMapValue(asm.R8, state.FD(), 0),
		asm.LoadMem(asm.R9, asm.R8, atMade, asm.DWord), // i
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R8, atMade, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atWanted, asm.DWord),
		asm.JGE.Reg(asm.R9, asm.R1, "drop"),
		asm.JNE.Imm(asm.R9, 0, "is it the last"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R8, atFirst, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atWanted, asm.DWord).WithSymbol("is it the last"),
		asm.Add.Imm(asm.R1, -1),
		asm.JNE.Reg(asm.R9, asm.R1, "write"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R8, atLast, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atStart, asm.DWord).WithSymbol("write"),
		asm.Add.Reg(asm.R9, asm.R1),
		asm.LoadMem(asm.R1, asm.R8, atMAC, asm.DWord),
		asm.StoreMem(asm.R7, 0, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atMACEnd, asm.DWord),
		asm.StoreMem(asm.R7, 8, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R8, atTTL, asm.DWord),
		asm.StoreMem(asm.R7, ttlAt, asm.R1, asm.Word),
	}
	code = append(code, setPort(atSource, sourceAt)...)
	code = append(code, setPort(atDestination, sourceAt+2)...)
	code = append(code,
		asm.LoadMem(asm.R0, asm.R8, atAction, asm.DWord),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "spt_bench_gen", Type: ebpf.XDP, Instructions: code, License: "Apache-2.0",
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the generator: %w", err), state.Close())
	}
	return &generator{state: state, program: program, cpu: cpu}, nil
}

func (g *generator) close() error { return errors.Join(g.program.Close(), g.state.Close()) }

// burst is what a run of the generator is to do.
type burst struct {
	device   int // in the host's namespace: whom the frames come from
	from, to end
	flows    flows
	start    uint64 // i of the first frame
	count    uint32
	action   uint64 // 0: pass
}

// run makes the frames of a burst, all on one CPU, and returns the time from the first to the last.
// The caller is in the host's namespace.
func (g *generator) run(b burst) (time.Duration, error) {
	if b.action == 0 {
		b.action = xdpPass
	}
	frame := frameOf(b.from, b.to)
	s := generatorState{
		Wanted: uint64(b.count), Start: b.start, Flows: b.flows, Action: b.action,
		MAC:    binary.NativeEndian.Uint64(frame),
		MACEnd: uint64(binary.NativeEndian.Uint32(frame[8:])),
		TTL:    uint64(binary.NativeEndian.Uint32(frame[ttlAt:])),
	}
	if err := g.state.Put(uint32(0), s); err != nil {
		return 0, fmt.Errorf("set the generator up: %w", err)
	}
	if err := stayOn(g.cpu); err != nil {
		return 0, err
	}
	// Before what else wants this CPU, so that the clock measures the frames alone. Where that is
	// not permitted the figures have more noise, and are not wrong.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	const liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	_, err := g.program.Run(&ebpf.RunOptions{
		Data: frame, Repeat: b.count, Flags: liveFrames,
		Context: struct{ Data, DataEnd, DataMeta, Ifindex, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ifindex: uint32(b.device)},
	})
	if err != nil {
		return 0, fmt.Errorf("generate frames: %w", err)
	}
	if err := g.state.Lookup(uint32(0), &s); err != nil {
		return 0, fmt.Errorf("read the generator: %w", err)
	}
	if s.Made < s.Wanted {
		return 0, fmt.Errorf("the generator made %d frames of %d", s.Made, s.Wanted)
	}
	return time.Duration(s.Last - s.First), nil
}

// end is one side of the frames.
type end struct {
	mac  [6]byte
	addr netip.Addr
}

func frameOf(from, to end) []byte {
	f := make([]byte, frameSize)
	copy(f[0:], to.mac[:])
	copy(f[6:], from.mac[:])
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip := f[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], frameSize-14)
	copy(ip[12:], from.addr.AsSlice())
	copy(ip[16:], to.addr.AsSlice())
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(f[sourceAt+4:], frameSize-14-20)
	return f
}

// sink counts the frames that reach a guest, and ends them there: a tcx program on the guest's own
// device. Everything else goes on to the guest's sockets.
type sink struct {
	counts  *ebpf.Map
	program *ebpf.Program
	link    link.Link
}

// Which port of a frame tells the kind: the destination's where the frames go, the source's where
// the answers come from.
const (
	fromPort = sourceAt
	toPort   = sourceAt + 2
)

// The kinds that a sink counts.
const (
	sunkAllowed = iota // ports framePort and up
	sunkDenied         // closedPort and unsendablePort
)

func newSink(ns namespace, portAt int16) (_ *sink, err error) {
	s := &sink{}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a sink: %w", errors.Join(err, s.close()))
		}
	}()
	if s.counts, err = ebpf.NewMap(&ebpf.MapSpec{Name: "spt_bench_sink", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1}); err != nil {
		return nil, err
	}
	const tcNext, tcDrop = -1, 2
	code := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 76, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 80, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.Add.Imm(asm.R4, 42),
		asm.JGT.Reg(asm.R4, asm.R3, "next"),
		asm.LoadMem(asm.R2, asm.R7, 12, asm.Half),
		asm.JNE.Imm(asm.R2, 0x0008, "next"), // IPv4, as it is in memory
		asm.LoadMem(asm.R2, asm.R7, protocolAt, asm.Byte),
		asm.JNE.Imm(asm.R2, unix.IPPROTO_UDP, "next"),
		asm.LoadMem(asm.R2, asm.R7, portAt, asm.Half),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.LoadMapValue(asm.R8, s.counts.FD(), 0),
		asm.Mov.Imm(asm.R1, 1),
		asm.JEq.Imm(asm.R2, closedPort, "denied"),
		asm.JEq.Imm(asm.R2, unsendablePort, "denied"),
		asm.JLT.Imm(asm.R2, framePort, "next"),
		asm.JGE.Imm(asm.R2, framePort+framePorts, "next"),
		asm.AddAtomic.Mem(asm.R8, asm.R1, asm.DWord, 8*sunkAllowed),
		asm.Ja.Label("drop"),
		asm.AddAtomic.Mem(asm.R8, asm.R1, asm.DWord, 8*sunkDenied).WithSymbol("denied"),
		asm.Mov.Imm(asm.R0, tcDrop).WithSymbol("drop"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcNext).WithSymbol("next"),
		asm.Return(),
	}
	if s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "spt_bench_sink", Type: ebpf.SchedCLS, Instructions: code, License: "Apache-2.0",
	}); err != nil {
		return nil, err
	}
	err = ns.do(func() error {
		index, err := indexOf(inGuest)
		if err != nil {
			return err
		}
		s.link, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: s.program, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// read returns the counts of both kinds so far.
func (s *sink) read() (counts [2]uint64, err error) {
	err = s.counts.Lookup(uint32(0), &counts)
	return counts, err
}

func (s *sink) close() error {
	var errs []error
	if s.link != nil {
		errs = append(errs, s.link.Close())
	}
	if s.program != nil {
		errs = append(errs, s.program.Close())
	}
	if s.counts != nil {
		errs = append(errs, s.counts.Close())
	}
	return errors.Join(errs...)
}
