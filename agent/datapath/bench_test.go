package datapath_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// BenchmarkPacket is the cost of one packet in one program, beside one that does nothing. What is new
// each time has its port changed by a program before ours, whose own cost is that of its empty case.
//
// All cases run by turns, and each says its median: a machine that others use slows all of them alike.
func BenchmarkPacket(b *testing.B) {
	h := newHost(b, datapath.Options{})
	h.attach(eniA)
	v := view(
		rule(false, vpc.TCP, 80, 80, "0.0.0.0/0"), rule(false, vpc.TCP, 80, 80, "::/0"),
		rule(false, vpc.UDP, 53, 53, "0.0.0.0/0"), rule(false, vpc.UDP, 53, 53, "::/0"),
		// Open both ways: not tracked.
		rule(false, vpc.UDP, 0, 65535, "::/0"), rule(true, vpc.UDP, 0, 65535, "::/0"),
	)
	eni := v.ENIs[eniA]
	eni.Addresses = []netip.Addr{own4, own6} // as most have
	v.ENIs[eniA] = eni
	h.apply(v)
	empty := asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}
	program := func(instructions asm.Instructions) *ebpf.Program {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: instructions})
		must(b, err)
		b.Cleanup(func() { must(b, p.Close()) })
		return p
	}
	// renewed changes the source port in front of a program.
	renewed := func(offset int16, next *ebpf.Program) *ebpf.Program {
		calls, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		must(b, err)
		b.Cleanup(func() { must(b, calls.Close()) })
		must(b, calls.Put(uint32(0), next))
		const data, dataEnd = 76, 80 // offsets in struct __sk_buff
		return program(append(asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
			asm.LoadMem(asm.R3, asm.R1, dataEnd, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, int32(offset)+2),
			asm.JGT.Reg(asm.R4, asm.R3, "end"),
			asm.LoadMem(asm.R5, asm.R2, offset, asm.Half),
			asm.Add.Imm(asm.R5, 1),
			asm.StoreMem(asm.R2, offset, asm.R5, asm.Half),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, calls.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			empty[0].WithSymbol("end"),
		}, empty[1:]...))
	}
	programs := h.d.Programs()
	to, from := programs["to_guest"], programs["from_guest"]

	type benchmark struct {
		name    string
		above   int // the case whose cost is not the packet's: an index
		program *ebpf.Program
		frame   frame
		runs    []float64
	}
	const still, moving4, moving6 = 0, 1, 2
	port4, port6 := int16(14+20), int16(14+40)
	syn4, syn6 := tcp(remote4, own4, 1000, 80, syn), tcp(remote6, own6, 1000, 80, syn)
	nothing := program(empty)
	cases := []*benchmark{
		{name: "empty", program: nothing, frame: syn4},
		{name: "empty,new,IPv4", above: moving4, program: renewed(port4, nothing), frame: syn4},
		{name: "empty,new,IPv6", above: moving6, program: renewed(port6, nothing), frame: syn6},
	}
	for _, family := range []struct {
		name     string
		tcp, udp frame
	}{{"IPv4", syn4, udp(remote4, own4, 1000, 53)}, {"IPv6", syn6, udp(remote6, own6, 1000, 53)}} {
		t, u := family.tcp, family.udp
		admitted, answered := ruleset.ReasonTracked, ruleset.ReasonTracked
		if family.name == "IPv6" { // UDP is not tracked
			admitted, answered = ruleset.ReasonRule, ruleset.ReasonRule
		}
		h.want(eniA, ruleset.Ingress, t, ruleset.ReasonRule)
		t.flags = syn | ack
		h.want(eniA, ruleset.Egress, t.reply(), ruleset.ReasonTracked)
		t.flags = ack
		h.want(eniA, ruleset.Ingress, t, ruleset.ReasonTracked)
		h.want(eniA, ruleset.Ingress, u, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, u.reply(), answered)
		h.want(eniA, ruleset.Ingress, u, admitted)
		kind := ",tracked,"
		if family.name == "IPv6" {
			kind = ",untracked,"
		}
		cases = append(
			cases,
			&benchmark{name: "TCP,established,in," + family.name, program: to, frame: t},
			&benchmark{name: "TCP,established,out," + family.name, program: from, frame: t.reply()},
			&benchmark{name: "UDP" + kind + "in," + family.name, program: to, frame: u},
			&benchmark{name: "UDP" + kind + "out," + family.name, program: from, frame: u.reply()},
		)
	}
	for i, f := range []frame{syn4, syn6} {
		family := []string{"IPv4", "IPv6"}[i]
		denied := f
		denied.dstPort = 81
		spoofed := f.reply()
		spoofed.src = []frame{tcp(peer4, remote4, 1, 1, 0), tcp(peer6, remote6, 1, 1, 0)}[i].src
		h.want(eniA, ruleset.Ingress, denied, ruleset.ReasonNoRule)
		h.want(eniA, ruleset.Egress, spoofed, ruleset.ReasonSourceAddress)
		cases = append(
			cases,
			&benchmark{name: "TCP,new,in," + family, above: moving4 + i, program: renewed([]int16{port4, port6}[i], to), frame: f},
			&benchmark{name: "TCP,denied,in," + family, program: to, frame: denied},
			&benchmark{name: "TCP,spoofed,out," + family, program: from, frame: spoofed},
		)
	}

	const rounds, packets = 60, 5_000
	for range rounds {
		for _, c := range cases {
			h.do(func() {
				ns, err := datapath.Repeat(c.program, h.devices[eniA], c.frame.bytes(), packets)
				must(b, err)
				c.runs = append(c.runs, ns)
			})
		}
	}
	median := func(c *benchmark) float64 {
		slices.Sort(c.runs)
		return c.runs[len(c.runs)/2]
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportMetric(median(c), "ns/packet")
			b.ReportMetric(median(c)-median(cases[c.above]), "ns-above-empty")
			b.ReportMetric(median(c)/median(cases[c.above]), "x-empty")
			b.ReportMetric(0, "ns/op")
		})
	}
}
