package scenariotest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Engine plays packets. Evaluate and Table are here; others come with what they need.
type Engine interface {
	// Name is what a file calls the engine in "except".
	Name() string
	// Verdicts reports whether an Outcome tells what each gate said, not only what arrived.
	Verdicts() bool
	// Load makes a new World; whatever an earlier one left is gone, connections too.
	Load(w *World) error
	// Change makes the difference between the last World and this one, described by c, and returns
	// once it is in force. Connections live on.
	Change(w *World, c Change) error
	// Start sends the first packet of a flow. A flow without a name is a probe: nothing that it
	// leaves behind may make a later packet pass.
	Start(f Flow) (Outcome, error)
	// Send sends another packet of a flow with a name, from its near end, or as a reply from the far.
	Send(f Flow, reply bool) (Outcome, error)
	// Fail sends an ICMP error about the first packet of a flow with a name, from its far end.
	Fail(f Flow) (Outcome, error)
}

// Streamer is an Engine whose packets take time, so that changes can be made while they are on their way.
type Streamer interface {
	// Stream sends packets like the first of a flow without end, each of a flow of its own. What it
	// returns ends that and says how many were sent and how many of them arrived.
	Stream(f Flow) (end func() (sent, arrived int, err error), err error)
}

// Flow is what one end says to another.
type Flow struct {
	Name     string // of an open flow; empty: a probe
	From, To End
	// Packet is the first one. Its source port, with TCP and UDP, was used by no earlier flow of
	// the scenario; nor was ID, an identifier for ICMP echo.
	Packet ruleset.Packet
	ID     uint16
}

// End is where a flow begins or ends.
type End struct {
	ENI     vpc.InterfaceID // empty: outside, where no gate is
	Outside string
	Addr    netip.Addr
}

func (e End) String() string {
	if e.ENI != "" {
		return fmt.Sprintf("%s (%s)", e.ENI, e.Addr)
	}
	return fmt.Sprintf("%s (%s)", e.Outside, e.Addr)
}

// Outcome is what became of a packet.
type Outcome struct {
	Passed bool // it reached the far end
	// Egress and Ingress are what the sender's and the receiver's gate said; nil: there is no such
	// gate, the packet never got there, or the engine does not see verdicts.
	Egress, Ingress *ruleset.Verdict
}

// answers pairs the ICMP queries with their answers. Source: RFC 792, RFC 4443.
var answers = map[[2]uint8]uint8{
	{1, 8}: 0, {1, 13}: 14, {1, 15}: 16, {1, 17}: 18, {58, 128}: 129,
}

// Error returns the ICMP error of the far end that says that the first packet is too big.
func (f Flow) Error() ruleset.Packet {
	p := ruleset.Packet{Src: f.Packet.Dst, Dst: f.Packet.Src, Protocol: uint8(vpc.ICMP), ICMPType: 3, ICMPCode: 4}
	if p.Src.Is6() {
		p.Protocol, p.ICMPType, p.ICMPCode = uint8(vpc.ICMPv6), 2, 0
	}
	return p
}

// ErrorBody returns what follows the first 4 bytes of Error on the wire: an MTU, and the IP header of the
// first packet with 8 bytes of what it carries. Source: RFC 792, RFC 1191, RFC 4443.
func (f Flow) ErrorBody() []byte {
	const mtu = 1400
	p := f.Packet
	b := []byte{0, 0, mtu >> 8, mtu & 0xff}
	if p.Src.Is4() {
		b = append(b, 0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, p.Protocol, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, 0, 8, p.Protocol, 64)
	}
	b = append(append(b, p.Src.AsSlice()...), p.Dst.AsSlice()...)
	switch vpc.Protocol(p.Protocol) {
	case vpc.ICMP, vpc.ICMPv6:
		b = append(b, p.ICMPType, p.ICMPCode, 0, 0)
		b = binary.BigEndian.AppendUint16(b, f.ID)
		return append(b, 0, 1)
	default:
		b = binary.BigEndian.AppendUint16(b, p.SrcPort)
		b = binary.BigEndian.AppendUint16(b, p.DstPort)
		return append(b, 0, 0, 0, 0)
	}
}

// Reply returns the packet that answers the first one. An ICMP message that is no query has none.
func (f Flow) Reply() (ruleset.Packet, error) {
	p := f.Packet
	p.Src, p.Dst = p.Dst, p.Src
	p.SrcPort, p.DstPort = p.DstPort, p.SrcPort
	switch vpc.Protocol(p.Protocol) {
	case vpc.ICMP, vpc.ICMPv6:
		t, ok := answers[[2]uint8{p.Protocol, p.ICMPType}]
		if !ok {
			return p, fmt.Errorf("nothing answers ICMP type %d of protocol %d", p.ICMPType, p.Protocol)
		}
		p.ICMPType, p.ICMPCode = t, 0
	}
	return p, nil
}
