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
	Fresh            uint64 // frames that were set up for this run; the others are those again
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
	atFresh
)

// The actions of XDP.
const (
	xdpDrop = 1
	xdpPass = 2
)

// format is where things are in the frames of a family: Ethernet, IP, UDP without checksum (which
// nf_conntrack would otherwise add up in software, as no NIC has), 18 bytes.
type format struct {
	size        int
	etherType   uint16
	ttl         int // the four bytes that hold the TTL, and what changes with it
	protocol    int
	ports       int // source, then destination
	payload     int
	source, end int // both addresses
}

var formats = map[family]format{
	ipv4: {size: 60, etherType: unix.ETH_P_IP, ttl: 22, protocol: 23, source: 26, end: 34, ports: 34, payload: 42},
	ipv6: {size: 80, etherType: unix.ETH_P_IPV6, ttl: 18, protocol: 20, source: 22, end: 54, ports: 54, payload: 62},
}

// generator makes frames in the kernel, as a NIC's driver would: BPF_PROG_TEST_RUN with live frames
// runs an XDP program that writes the ports of each, and hands them to the network stack as received
// by a device, 64 at a time. It knows when it made the first and the last, so that what it takes to
// set a run up is not in a measurement.
//
// The kernel sets up 64 frames a run and uses those again and again: they come back when the network
// stack is done with them. The program marks what it has seen, so that a run knows it.
type generator struct {
	state    *ebpf.Map
	programs map[family]*ebpf.Program
	cpu      int
}

// mark is what the program writes into the payload of a frame. framesOfRun is how many the kernel
// has in use at once.
const (
	mark        = 0x53505442
	framesOfRun = 64
)

func newGenerator(cpu int) (_ *generator, err error) {
	g := &generator{programs: map[family]*ebpf.Program{}, cpu: cpu}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the generator: %w", errors.Join(err, g.close()))
		}
	}()
	if g.state, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "spt_bench_gen", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(binary.Size(generatorState{})), MaxEntries: 1,
	}); err != nil {
		return nil, err
	}
	for f := range formats {
		if g.programs[f], err = ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "spt_bench_gen", Type: ebpf.XDP, Instructions: generatorCode(formats[f], g.state), License: "Apache-2.0",
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
	}
	return g, nil
}

func generatorCode(f format, state *ebpf.Map) asm.Instructions {
	setPort := func(at int16, offset int) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R9),
			asm.LoadMem(asm.R2, asm.R8, at, asm.DWord),
			asm.RSh.Reg(asm.R1, asm.R2),
			asm.LoadMem(asm.R2, asm.R8, at+8, asm.DWord),
			asm.And.Reg(asm.R1, asm.R2),
			asm.LoadMem(asm.R2, asm.R8, at+16, asm.DWord),
			asm.Add.Reg(asm.R1, asm.R2),
			asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.StoreMem(asm.R7, int16(offset), asm.R1, asm.Half),
		}
	}
	code := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // its end
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.Add.Imm(asm.R4, int32(f.size)),
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
		asm.JNE.Reg(asm.R9, asm.R1, "is it fresh"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R8, atLast, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, int16(f.payload), asm.Word).WithSymbol("is it fresh"),
		asm.JEq.Imm(asm.R1, mark, "write"),
		asm.Mov.Imm(asm.R1, mark),
		asm.StoreMem(asm.R7, int16(f.payload), asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R8, atFresh, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R8, atFresh, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atStart, asm.DWord).WithSymbol("write"),
		asm.Add.Reg(asm.R9, asm.R1),
		asm.LoadMem(asm.R1, asm.R8, atMAC, asm.DWord),
		asm.StoreMem(asm.R7, 0, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R8, atMACEnd, asm.DWord),
		asm.StoreMem(asm.R7, 8, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, asm.R8, atTTL, asm.DWord),
		asm.StoreMem(asm.R7, int16(f.ttl), asm.R1, asm.Word),
	}
	code = append(code, setPort(atSource, f.ports)...)
	code = append(code, setPort(atDestination, f.ports+2)...)
	return append(code,
		asm.LoadMem(asm.R0, asm.R8, atAction, asm.DWord),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	)
}

func (g *generator) close() error {
	var errs []error
	for _, p := range g.programs {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if g.state != nil {
		errs = append(errs, g.state.Close())
	}
	return errors.Join(errs...)
}

// burst is what a run of the generator is to do.
type burst struct {
	device   int // in the host's namespace: whom the frames come from
	family   family
	from, to end
	flows    flows
	start    uint64 // i of the first frame
	count    uint32
	outside  bool   // from C, not from A
	action   uint64 // 0: pass
}

// run makes the frames of a burst, all on one CPU, and returns the time from the first to the last:
// what the kernel takes to set frames up before, some 25 ms, and to take them down is not in it. The
// caller is in the host's namespace.
func (g *generator) run(b burst) (time.Duration, error) {
	if b.action == 0 {
		b.action = xdpPass
	}
	at := formats[b.family]
	frame := frameOf(b.family, b.from, b.to)
	s := generatorState{
		Wanted: uint64(b.count), Start: b.start, Flows: b.flows, Action: b.action,
		MAC:    binary.NativeEndian.Uint64(frame),
		MACEnd: uint64(binary.NativeEndian.Uint32(frame[8:])),
		TTL:    uint64(binary.NativeEndian.Uint32(frame[at.ttl:])),
	}
	if err := g.state.Put(uint32(0), s); err != nil {
		return 0, fmt.Errorf("set the generator up: %w", err)
	}
	if err := stayAloneOn(g.cpu); err != nil {
		return 0, err
	}
	const liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	_, err := g.programs[b.family].Run(&ebpf.RunOptions{
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
	// Each time the network stack is late the kernel takes others.
	const most = 8 * framesOfRun
	if s.Fresh > most {
		return 0, fmt.Errorf("%d of %d frames were set up while the clock ran, want at most %d", s.Fresh, s.Made, most)
	}
	return time.Duration(s.Last - s.First), nil
}

// end is one side of the frames.
type end struct {
	mac  [6]byte
	addr netip.Addr
}

func frameOf(family family, from, to end) []byte {
	at := formats[family]
	f := make([]byte, at.size)
	copy(f[0:], to.mac[:])
	copy(f[6:], from.mac[:])
	binary.BigEndian.PutUint16(f[12:], at.etherType)
	copy(f[at.source:], append(from.addr.AsSlice(), to.addr.AsSlice()...))
	binary.BigEndian.PutUint16(f[at.ports+4:], uint16(at.size-at.ports))
	f[at.protocol] = unix.IPPROTO_UDP
	ip := f[14:at.end]
	if family == ipv6 {
		ip[0], ip[7] = 0x60, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(at.size-at.end))
		return f
	}
	ip[0], ip[8] = 0x45, 64
	binary.BigEndian.PutUint16(ip[2:], uint16(at.size-14))
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
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
	fromPort = 0
	toPort   = 2
)

// The kinds that a sink counts.
const (
	sunkAllowed = iota // ports framePort and up
	sunkDenied         // closedPort and unsendablePort
)

func newSink(ns namespace, port int) (_ *sink, err error) {
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
		asm.Add.Imm(asm.R4, 14),
		asm.JGT.Reg(asm.R4, asm.R3, "next"),
		asm.LoadMem(asm.R5, asm.R7, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R5, asm.Half),
	}
	for _, f := range []family{ipv4, ipv6} {
		at, other := formats[f], fmt.Sprintf("not %s", f)
		code = append(code,
			asm.JNE.Imm(asm.R5, int32(at.etherType), other),
			asm.Mov.Reg(asm.R4, asm.R7),
			asm.Add.Imm(asm.R4, int32(at.payload)),
			asm.JGT.Reg(asm.R4, asm.R3, "next"),
			asm.LoadMem(asm.R2, asm.R7, int16(at.protocol), asm.Byte),
			asm.JNE.Imm(asm.R2, unix.IPPROTO_UDP, "next"),
			asm.LoadMem(asm.R2, asm.R7, int16(at.ports+port), asm.Half),
			asm.Ja.Label("port"),
			asm.Mov.Imm(asm.R0, tcNext).WithSymbol(other))
	}
	code = append(code,
		asm.Return(),
		asm.HostTo(asm.BE, asm.R2, asm.Half).WithSymbol("port"),
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
	)
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
