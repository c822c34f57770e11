// Package inquiry says what a server may ask a host, and what the host answers: which connections its
// interfaces have, how many of them it ended, what its programs would do with a packet. It is pure.
package inquiry

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Bounds of one question and its answer.
const (
	MaxConnections = 1000 // in one answer
	MaxInterfaces  = 4096 // named by one question: as many as a host has
	MaxValues      = 1000 // of each other part of a Selection
)

// Question is what a host is asked. Exactly one field is set.
type Question struct {
	Connections *Connections
	Cut         *Selection // end the connections
	Probe       *Probe
}

// Connections asks for the connections of a Selection, in the order of Flow.Compare.
type Connections struct {
	Selection
	After Flow // only those behind it; zero: from the first
	Limit int  // 1 to MaxConnections
}

// Selection says which connections are meant: those of the interfaces that pass every condition. An
// empty condition is none.
type Selection struct {
	ENIs                    []vpc.InterfaceID // an interface that the host does not carry has none
	Rules                   []uint32          // numbers of rules: one of them admitted the connection
	Remotes                 []netip.Prefix    // masked
	Protocols               []uint8
	LocalPorts, RemotePorts []Ports // protocols without ports have none
	States                  []State
	Directions              []ruleset.Direction // of the first packet
	Refused                 *bool               // whether the rules in force would refuse the first packet
	Observed                *bool               // whether no rule admitted it, only observation
}

// Ports is a range, both ends included.
type Ports struct{ From, To uint16 }

// Probe asks what the interface's own program does with a packet that belongs to no connection.
type Probe struct {
	ENI       vpc.InterfaceID
	Direction ruleset.Direction
	Packet    ruleset.Packet
}

// Answer is what a host answers; only the fields of the question are set.
type Answer struct {
	Connections []Connection
	More        bool                    // there are connections behind the last one
	Cut         map[vpc.InterfaceID]int // how many ended, of each interface with some
	Verdict     ruleset.Verdict
}

// State of a connection.
type State uint8

// The states, in words.
const (
	HalfOpen    State = iota + 1 // not answered yet: it may be displaced
	Established                  // answered: it stays until it is closed, idle for too long, or cut
	Closing                      // a FIN or RST was seen
	Untracked                    // open to everybody both ways: rules judge each packet, as long as nothing changes
)

var stateWords = [...]string{HalfOpen: "half-open", Established: "established", Closing: "closing", Untracked: "untracked"}

// States returns every state.
func States() []State { return []State{HalfOpen, Established, Closing, Untracked} }

func (s State) String() string {
	if s == 0 || int(s) >= len(stateWords) {
		return fmt.Sprintf("state-%d", uint8(s))
	}
	return stateWords[s]
}

// Flow is what tells a connection of a host from all others.
type Flow struct {
	ENI           vpc.InterfaceID
	Protocol      uint8
	Local, Remote netip.Addr
	// Of TCP and UDP the ports; of ICMP the id of the query and the type of the request; else 0.
	LocalPort, RemotePort uint16
	First                 ruleset.Direction // of the packet that started it
}

// Compare orders flows by interface, then by the rest.
func (f Flow) Compare(g Flow) int {
	return cmp.Or(
		cmp.Compare(f.ENI, g.ENI), cmp.Compare(f.Protocol, g.Protocol),
		f.Local.Compare(g.Local), cmp.Compare(f.LocalPort, g.LocalPort),
		f.Remote.Compare(g.Remote), cmp.Compare(f.RemotePort, g.RemotePort), cmp.Compare(f.First, g.First),
	)
}

// Packet is the packet that started the flow, as far as rules look at it.
func (f Flow) Packet() ruleset.Packet {
	p := ruleset.Packet{Protocol: f.Protocol, Src: f.Local, Dst: f.Remote}
	from, to := f.LocalPort, f.RemotePort
	switch vpc.Protocol(f.Protocol) {
	case vpc.ICMP, vpc.ICMPv6:
		p.ICMPType, from, to = uint8(f.RemotePort), 0, 0
	}
	if f.First == ruleset.Ingress {
		p.Src, p.Dst, from, to = p.Dst, p.Src, to, from
	}
	p.SrcPort, p.DstPort = from, to
	return p
}

// Connection is an entry of a host's connection table.
type Connection struct {
	Flow
	State     State
	Observed  bool   // no rule admitted it: it ends with the observation
	Rule      uint32 // that admitted it; 0: none did
	Revision  int64  // at which it was admitted
	Age, Idle time.Duration
	// By the direction of the packets. Bytes count from the IP header on.
	Packets, Bytes [2]uint64
	Today          ruleset.Verdict // of the rules in force on the first packet, as if it were new
}

// Refused reports whether the rules in force would refuse the connection's first packet.
func (c *Connection) Refused() bool { return c.Today.Action != ruleset.Allow }

// Match reports whether a connection passes every condition but the interface.
func (s *Selection) Match(c *Connection) bool {
	return oneOf(s.Rules, c.Rule) && oneOf(s.Protocols, c.Protocol) && oneOf(s.States, c.State) && oneOf(s.Directions, c.First) &&
		(len(s.Remotes) == 0 || slices.ContainsFunc(s.Remotes, func(p netip.Prefix) bool { return p.Contains(c.Remote) })) &&
		within(s.LocalPorts, c, c.LocalPort) && within(s.RemotePorts, c, c.RemotePort) &&
		(s.Refused == nil || *s.Refused == c.Refused()) && (s.Observed == nil || *s.Observed == c.Observed)
}

func oneOf[T comparable](wanted []T, got T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, got)
}

func within(ranges []Ports, c *Connection, port uint16) bool {
	p := vpc.Protocol(c.Protocol)
	return len(ranges) == 0 || (p == vpc.TCP || p == vpc.UDP) &&
		slices.ContainsFunc(ranges, func(r Ports) bool { return r.From <= port && port <= r.To })
}

// Check returns an error unless the question is one that a host can be asked.
func (q Question) Check() error {
	n := 0
	if c := q.Connections; c != nil {
		n++
		if c.Limit < 1 || c.Limit > MaxConnections {
			return fmt.Errorf("asks for %d connections", c.Limit)
		}
		if err := c.check(); err != nil {
			return err
		}
	}
	if q.Cut != nil {
		n++
		if err := q.Cut.check(); err != nil {
			return err
		}
	}
	if p := q.Probe; p != nil {
		n++
		switch {
		case p.ENI == "":
			return fmt.Errorf("probes no interface")
		case p.Direction > ruleset.Egress:
			return fmt.Errorf("probes in direction %d", p.Direction)
		case !p.Packet.Src.IsValid() || !p.Packet.Dst.IsValid() || p.Packet.Src.Is4() != p.Packet.Dst.Is4():
			return fmt.Errorf("probes with a packet from %s to %s", p.Packet.Src, p.Packet.Dst)
		}
	}
	if n != 1 {
		return fmt.Errorf("a question of %d parts", n)
	}
	return nil
}

func (s *Selection) check() error {
	if len(s.ENIs) > MaxInterfaces {
		return fmt.Errorf("names %d interfaces", len(s.ENIs))
	}
	if slices.Contains(s.ENIs, "") {
		return fmt.Errorf("names an interface without id")
	}
	for _, n := range []int{
		len(s.Rules), len(s.Remotes), len(s.Protocols), len(s.LocalPorts), len(s.RemotePorts), len(s.States), len(s.Directions),
	} {
		if n > MaxValues {
			return fmt.Errorf("a condition of %d values", n)
		}
	}
	for _, p := range slices.Concat(s.LocalPorts, s.RemotePorts) {
		if p.From > p.To {
			return fmt.Errorf("ports %d to %d", p.From, p.To)
		}
	}
	for _, state := range s.States {
		if !slices.Contains(States(), state) {
			return fmt.Errorf("unknown state %d", state)
		}
	}
	for _, d := range s.Directions {
		if d > ruleset.Egress {
			return fmt.Errorf("unknown direction %d", d)
		}
	}
	return nil
}
