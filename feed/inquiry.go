package feed

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Questions and answers as Go values and back; as in convert.go, reading refuses what no peer writes.

const maxInquiryError = 1024 // bytes that are kept of why a host could not answer

func questionToPB(id int64, q inquiry.Question) *feedpb.Ask {
	p := &feedpb.Ask{Id: id}
	switch {
	case q.Connections != nil:
		c := &feedpb.ConnectionsQuestion{Selection: selectionToPB(&q.Connections.Selection), Limit: uint32(q.Connections.Limit)}
		if q.Connections.After != (inquiry.Flow{}) {
			c.After = flowToPB(q.Connections.After)
		}
		p.Question = &feedpb.Ask_Connections{Connections: c}
	case q.Cut != nil:
		p.Question = &feedpb.Ask_Cut{Cut: selectionToPB(q.Cut)}
	case q.Probe != nil:
		p.Question = &feedpb.Ask_Probe{Probe: &feedpb.Probe{
			Eni: string(q.Probe.ENI), Direction: directionToPB(q.Probe.Direction),
			Source: q.Probe.Packet.Src.AsSlice(), Destination: q.Probe.Packet.Dst.AsSlice(),
			Protocol: uint32(q.Probe.Packet.Protocol), SourcePort: uint32(q.Probe.Packet.SrcPort), DestinationPort: uint32(q.Probe.Packet.DstPort),
			IcmpType: uint32(q.Probe.Packet.ICMPType), IcmpCode: uint32(q.Probe.Packet.ICMPCode),
		}}
	}
	return p
}

func questionFromPB(p *feedpb.Ask) (q inquiry.Question, err error) {
	switch p := p.GetQuestion().(type) {
	case *feedpb.Ask_Connections:
		c := &inquiry.Connections{Limit: int(p.Connections.GetLimit())}
		if c.Selection, err = selectionFromPB(p.Connections.GetSelection()); err != nil {
			return q, err
		}
		if p.Connections.GetAfter() != nil {
			if c.After, err = flowFromPB(p.Connections.GetAfter()); err != nil {
				return q, err
			}
		}
		q.Connections = c
	case *feedpb.Ask_Cut:
		s, err := selectionFromPB(p.Cut)
		if err != nil {
			return q, err
		}
		q.Cut = &s
	case *feedpb.Ask_Probe:
		if q.Probe, err = probeFromPB(p.Probe); err != nil {
			return q, err
		}
	default:
		return q, fmt.Errorf("question of unknown type %T", p)
	}
	return q, q.Check()
}

func probeFromPB(p *feedpb.Probe) (*inquiry.Probe, error) {
	out := &inquiry.Probe{ENI: vpc.InterfaceID(p.GetEni())}
	var err error
	if out.Direction, err = directionFromPB(p.GetDirection()); err != nil {
		return nil, err
	}
	if out.Packet.Src, err = addrFromPB(p.GetSource()); err != nil {
		return nil, err
	}
	if out.Packet.Dst, err = addrFromPB(p.GetDestination()); err != nil {
		return nil, err
	}
	return out, narrow(
		field(&out.Packet.Protocol, p.GetProtocol()), field(&out.Packet.SrcPort, p.GetSourcePort()), field(&out.Packet.DstPort, p.GetDestinationPort()),
		field(&out.Packet.ICMPType, p.GetIcmpType()), field(&out.Packet.ICMPCode, p.GetIcmpCode()),
	)
}

// narrow puts numbers into fields of fewer bits and returns an error if one does not fit.
func narrow(fits ...bool) error {
	for i, ok := range fits {
		if !ok {
			return fmt.Errorf("number %d is too large", i+1)
		}
	}
	return nil
}

func field[T ~uint8 | ~uint16](to *T, n uint32) bool {
	*to = T(n)
	return uint32(*to) == n
}

func selectionToPB(s *inquiry.Selection) *feedpb.Selection {
	p := &feedpb.Selection{
		Enis: stringsOf(s.ENIs), Rules: s.Rules, Remotes: prefixesToPB(s.Remotes), LocalPorts: portsToPB(s.LocalPorts),
		RemotePorts: portsToPB(s.RemotePorts), Refused: s.Refused, Observed: s.Observed,
	}
	for _, n := range s.Protocols {
		p.Protocols = append(p.Protocols, uint32(n))
	}
	for _, state := range s.States {
		p.States = append(p.States, feedpb.ConnectionState(state))
	}
	for _, d := range s.Directions {
		p.Directions = append(p.Directions, directionToPB(d))
	}
	return p
}

func selectionFromPB(p *feedpb.Selection) (s inquiry.Selection, err error) {
	s = inquiry.Selection{ENIs: idsOf[vpc.InterfaceID](p.GetEnis()), Rules: p.GetRules()}
	if p != nil {
		s.Refused, s.Observed = p.Refused, p.Observed
	}
	for _, r := range p.GetRemotes() {
		c, err := cidrFromPB(r)
		if err != nil {
			return s, err
		}
		s.Remotes = append(s.Remotes, c)
	}
	for _, n := range p.GetProtocols() {
		if n > math.MaxUint8 {
			return s, fmt.Errorf("protocol %d", n)
		}
		s.Protocols = append(s.Protocols, uint8(n))
	}
	if s.LocalPorts, err = portsFromPB(p.GetLocalPorts()); err != nil {
		return s, err
	}
	if s.RemotePorts, err = portsFromPB(p.GetRemotePorts()); err != nil {
		return s, err
	}
	for _, w := range p.GetStates() {
		state, err := stateFromPB(w)
		if err != nil {
			return s, err
		}
		s.States = append(s.States, state)
	}
	for _, w := range p.GetDirections() {
		d, err := directionFromPB(w)
		if err != nil {
			return s, err
		}
		s.Directions = append(s.Directions, d)
	}
	return s, nil
}

func portsToPB(ranges []inquiry.Ports) []*feedpb.Ports {
	var out []*feedpb.Ports
	for _, r := range ranges {
		out = append(out, &feedpb.Ports{From: uint32(r.From), To: uint32(r.To)})
	}
	return out
}

func portsFromPB(ps []*feedpb.Ports) ([]inquiry.Ports, error) {
	var out []inquiry.Ports
	for _, p := range ps {
		var r inquiry.Ports
		if err := narrow(field(&r.From, p.GetFrom()), field(&r.To, p.GetTo())); err != nil {
			return nil, fmt.Errorf("ports %d to %d", p.GetFrom(), p.GetTo())
		}
		out = append(out, r)
	}
	return out, nil
}

func stateFromPB(p feedpb.ConnectionState) (inquiry.State, error) {
	for _, s := range inquiry.States() {
		if int32(s) == int32(p) { // the numbers are the same
			return s, nil
		}
	}
	return 0, fmt.Errorf("connection in unknown state %v", p)
}

func directionToPB(d ruleset.Direction) feedpb.Direction {
	if d == ruleset.Egress {
		return feedpb.Direction_DIRECTION_EGRESS
	}
	return feedpb.Direction_DIRECTION_INGRESS
}

func directionFromPB(p feedpb.Direction) (ruleset.Direction, error) {
	switch p {
	case feedpb.Direction_DIRECTION_INGRESS:
		return ruleset.Ingress, nil
	case feedpb.Direction_DIRECTION_EGRESS:
		return ruleset.Egress, nil
	default:
		return 0, fmt.Errorf("unknown direction %v", p)
	}
}

func flowToPB(f inquiry.Flow) *feedpb.Flow {
	return &feedpb.Flow{
		Eni: string(f.ENI), Protocol: uint32(f.Protocol), Local: f.Local.AsSlice(), Remote: f.Remote.AsSlice(),
		LocalPort: uint32(f.LocalPort), RemotePort: uint32(f.RemotePort), First: directionToPB(f.First),
	}
}

func flowFromPB(p *feedpb.Flow) (f inquiry.Flow, err error) {
	f.ENI = vpc.InterfaceID(p.GetEni())
	if f.Local, err = addrFromPB(p.GetLocal()); err != nil {
		return f, err
	}
	if f.Remote, err = addrFromPB(p.GetRemote()); err != nil {
		return f, err
	}
	if f.First, err = directionFromPB(p.GetFirst()); err != nil {
		return f, err
	}
	return f, narrow(field(&f.Protocol, p.GetProtocol()), field(&f.LocalPort, p.GetLocalPort()), field(&f.RemotePort, p.GetRemotePort()))
}

func verdictToPB(v ruleset.Verdict) *feedpb.Verdict {
	return &feedpb.Verdict{Action: uint32(v.Action), Reason: uint32(v.Reason), Rule: v.Rule}
}

// verdictFromPB keeps reasons that this program has no name for: the agent may be newer.
func verdictFromPB(p *feedpb.Verdict) (v ruleset.Verdict, err error) {
	v.Rule = p.GetRule()
	if err := narrow(field(&v.Action, p.GetAction()), field(&v.Reason, p.GetReason())); err != nil {
		return v, err
	}
	if v.Action > ruleset.Observe {
		return v, fmt.Errorf("unknown action %d", v.Action)
	}
	return v, nil
}

func answerToPB(id int64, a inquiry.Answer) *feedpb.Answer {
	p := &feedpb.Answer{Id: id, More: a.More, Verdict: verdictToPB(a.Verdict)}
	for i := range a.Connections {
		p.Connections = append(p.Connections, connectionToPB(&a.Connections[i]))
	}
	for eni, n := range a.Cut {
		if p.Cut == nil {
			p.Cut = map[string]uint64{}
		}
		p.Cut[string(eni)] = uint64(n)
	}
	return p
}

func connectionToPB(c *inquiry.Connection) *feedpb.Connection {
	return &feedpb.Connection{
		Flow: flowToPB(c.Flow), State: feedpb.ConnectionState(c.State), Observed: c.Observed, Rule: c.Rule, Revision: c.Revision,
		AgeMilliseconds: uint64(max(c.Age, 0).Milliseconds()), IdleMilliseconds: uint64(max(c.Idle, 0).Milliseconds()),
		PacketsIngress: c.Packets[ruleset.Ingress], PacketsEgress: c.Packets[ruleset.Egress],
		BytesIngress: c.Bytes[ruleset.Ingress], BytesEgress: c.Bytes[ruleset.Egress], Today: verdictToPB(c.Today),
	}
}

func connectionFromPB(p *feedpb.Connection) (c inquiry.Connection, err error) {
	if c.Flow, err = flowFromPB(p.GetFlow()); err != nil {
		return c, err
	}
	if c.State, err = stateFromPB(p.GetState()); err != nil {
		return c, err
	}
	if c.Today, err = verdictFromPB(p.GetToday()); err != nil {
		return c, err
	}
	if c.Age, err = millisecondsFromPB(p.GetAgeMilliseconds()); err != nil {
		return c, err
	}
	if c.Idle, err = millisecondsFromPB(p.GetIdleMilliseconds()); err != nil {
		return c, err
	}
	c.Observed, c.Rule, c.Revision = p.GetObserved(), p.GetRule(), p.GetRevision()
	c.Packets = [2]uint64{ruleset.Ingress: p.GetPacketsIngress(), ruleset.Egress: p.GetPacketsEgress()}
	c.Bytes = [2]uint64{ruleset.Ingress: p.GetBytesIngress(), ruleset.Egress: p.GetBytesEgress()}
	return c, nil
}

func millisecondsFromPB(n uint64) (time.Duration, error) {
	if n > math.MaxInt64/uint64(time.Millisecond) {
		return 0, fmt.Errorf("%d ms", n)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// answerFromPB reads the answer to a question: with what was not asked for it is refused.
func answerFromPB(p *feedpb.Answer, q inquiry.Question) (a inquiry.Answer, err error) {
	a.More = p.GetMore()
	switch asked := q.Connections; {
	case asked == nil && (len(p.GetConnections()) > 0 || a.More):
		return a, fmt.Errorf("connections that nobody asked for")
	case asked != nil && len(p.GetConnections()) > asked.Limit:
		return a, fmt.Errorf("%d connections of at most %d", len(p.GetConnections()), asked.Limit)
	case asked != nil && a.More && len(p.GetConnections()) == 0:
		return a, fmt.Errorf("more connections behind none")
	}
	before := inquiry.Flow{}
	if q.Connections != nil {
		before = q.Connections.After
	}
	for _, w := range p.GetConnections() {
		c, err := connectionFromPB(w)
		if err != nil {
			return a, err
		}
		if before.Compare(c.Flow) >= 0 {
			return a, fmt.Errorf("connections out of order")
		}
		if before = c.Flow; !slices.Contains(q.Connections.ENIs, c.ENI) {
			return a, fmt.Errorf("a connection of ENI %q, which was not asked about", c.ENI)
		}
		a.Connections = append(a.Connections, c)
	}
	if q.Cut == nil && len(p.GetCut()) > 0 {
		return a, fmt.Errorf("cut connections that were not to be")
	}
	for eni, n := range p.GetCut() {
		if !slices.Contains(q.Cut.ENIs, vpc.InterfaceID(eni)) || n > math.MaxInt32 {
			return a, fmt.Errorf("%d connections cut of ENI %q", n, eni)
		}
		if a.Cut == nil {
			a.Cut = map[vpc.InterfaceID]int{}
		}
		a.Cut[vpc.InterfaceID(eni)] = int(n)
	}
	a.Verdict, err = verdictFromPB(p.GetVerdict())
	return a, err
}
