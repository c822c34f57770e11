package datapath

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// What the kernel's struct __sk_buff has where.
const (
	skbLength  = 192
	skbIfindex = 40
	skbCB      = 48
)

// probes are the programs that Probe runs. The verifier takes as long for them as for those that filter, which
// do not wait for it: they are loaded when somebody asks.
type probes struct {
	FromGuest, ToGuest *ebpf.Program
}

func (d *Datapath) probe(direction ruleset.Direction) (*ebpf.Program, error) {
	d.probing.Lock()
	defer d.probing.Unlock()
	if d.probes == nil {
		p, err := d.loadProbes()
		if err != nil {
			return nil, fmt.Errorf("load the programs that probe: %w", err)
		}
		d.probes = p
	}
	if direction == ruleset.Ingress {
		return d.probes.ToGuest, nil
	}
	return d.probes.FromGuest, nil
}

// Probe says what the program of an ENI does now with a packet that belongs to no connection. The
// packet is made for it and runs through the same code in a program that is attached to nothing: it
// reaches nobody, and leaves no connection, count or event behind. It fails for an ENI that no device
// carries. Where the ENI has more than one address the packet's own stands.
func (d *Datapath) Probe(eni vpc.InterfaceID, direction ruleset.Direction, p ruleset.Packet) (ruleset.Verdict, error) {
	program, err := d.probe(direction)
	if err != nil {
		return ruleset.Verdict{}, err
	}
	ifindex, mac, err := d.deviceOf(eni)
	if err != nil {
		return ruleset.Verdict{}, err
	}
	frame, err := probeFrame(direction, mac, p)
	if err != nil {
		return ruleset.Verdict{}, fmt.Errorf("probe %s: %w", eni, err)
	}
	in, out := make([]byte, skbLength), make([]byte, skbLength)
	binary.NativeEndian.PutUint32(in[skbIfindex:], uint32(ifindex))
	code, err := program.Run(&ebpf.RunOptions{Data: frame, Context: in, ContextOut: out})
	if err != nil {
		return ruleset.Verdict{}, fmt.Errorf("probe %s: %w", eni, err)
	}
	return verdictOf(code, out)
}

// deviceOf returns the device that carries an ENI, and the MAC that the ENI has there.
func (d *Datapath) deviceOf(eni vpc.InterfaceID) (ifindex int, mac vpc.MAC, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for slot, a := range d.slots {
		if eni != "" && a.ENI == eni {
			return a.Ifindex, d.enis[slot].Config[d.epoch()].Mac, nil
		}
	}
	return 0, mac, fmt.Errorf("probe %s: %w", eni, ErrNotAttached)
}

// verdictOf reads what a program returned and left in the control block.
func verdictOf(code uint32, context []byte) (ruleset.Verdict, error) {
	v := ruleset.Verdict{
		Reason: ruleset.Reason(binary.NativeEndian.Uint32(context[skbCB:])),
		Rule:   binary.NativeEndian.Uint32(context[skbCB+4:]),
	}
	switch code {
	case ^uint32(0): // TC_ACT_UNSPEC: on to the next program
		v.Action = ruleset.Allow
		if v.Reason == ruleset.ReasonNoRule || v.Reason == ruleset.ReasonICMPError {
			v.Action = ruleset.Observe
		}
	case 2: // TC_ACT_SHOT
	default:
		return v, fmt.Errorf("the program returned %d", code)
	}
	return v, nil
}

// elsewhere is the other end's MAC in a probe: locally administered, nobody's.
var elsewhere = vpc.MAC{2, 0, 0, 0, 0, 0xfe}

// probeFrame is a packet as it would leave or reach a guest: the first of a TCP connection, a datagram
// or message without data, or any payload.
func probeFrame(direction ruleset.Direction, mac vpc.MAC, p ruleset.Packet) ([]byte, error) {
	if !p.Src.IsValid() || !p.Dst.IsValid() || p.Src.Is4() != p.Dst.Is4() || p.Src.Is4In6() || p.Dst.Is4In6() {
		return nil, fmt.Errorf("no packet goes from %s to %s", p.Src, p.Dst)
	}
	var l4 []byte
	ports := func() {
		l4 = binary.BigEndian.AppendUint16(l4, p.SrcPort)
		l4 = binary.BigEndian.AppendUint16(l4, p.DstPort)
	}
	const (
		synOffset, syn = 5 << 4, 1 << 1 // a header of 5 words
		window         = 1024
	)
	switch p.Protocol {
	case unix.IPPROTO_TCP:
		ports()
		l4 = append(l4, 0, 0, 0, 1, 0, 0, 0, 0, synOffset, syn)
		l4 = append(binary.BigEndian.AppendUint16(l4, window), 0, 0, 0, 0)
	case unix.IPPROTO_UDP:
		ports()
		l4 = append(l4, 0, 8, 0, 0)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		l4 = append(l4, p.ICMPType, p.ICMPCode, 0, 0, 0, 0, 0, 0)
	default:
		l4 = make([]byte, 32)
	}
	to, from := elsewhere, mac
	if direction == ruleset.Ingress {
		to, from = mac, elsewhere
	}
	frame := append(append([]byte{}, to[:]...), from[:]...)
	const hops = 64
	if p.Src.Is4() {
		frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IP)
		frame = append(frame, 4<<4|5, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(20+len(l4)))
		frame = append(frame, 0, 0, 0, 0, hops, p.Protocol, 0, 0)
	} else {
		frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IPV6)
		frame = append(frame, 6<<4, 0, 0, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(l4)))
		frame = append(frame, p.Protocol, hops)
	}
	frame = append(append(frame, p.Src.AsSlice()...), p.Dst.AsSlice()...)
	return append(frame, l4...), nil
}
