package vpc

import (
	"cmp"
	"net/netip"
	"slices"
)

// ConnectionQuery selects connections by what the State knows of them: those of the interfaces with the
// ids, or of all; that carry one of the groups; and that one of the rules admitted.
type ConnectionQuery struct {
	IDs    []InterfaceID
	Groups []GroupID
	Rules  []RuleID
}

// ConnectionsOf returns the interfaces that devices carry, sorted by host and id, and the numbers of the
// rules. An unknown id fails the whole call.
func (s *State) ConnectionsOf(q ConnectionQuery) (enis []*NetworkInterface, rules []uint32, err error) {
	for _, id := range q.Groups {
		if _, err := s.findGroup(id); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range q.Rules {
		r, err := s.findRule(id)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, r.Number)
	}
	enis, err = asked(q.IDs, s.NetworkInterfaces(), s.findInterface, func(e *NetworkInterface) bool {
		return e.Binding != nil && (len(q.Groups) == 0 || slices.ContainsFunc(e.Groups, func(g GroupID) bool { return slices.Contains(q.Groups, g) }))
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(enis, func(a, b *NetworkInterface) int {
		return cmp.Or(cmp.Compare(a.Binding.Host, b.Binding.Host), cmp.Compare(a.ID, b.ID))
	})
	return enis, rules, nil
}

func (s *State) findRule(id RuleID) (Rule, error) {
	if _, err := ParseRuleID(string(id)); err != nil {
		return Rule{}, err
	}
	if g := s.GroupOfRule(id); g != nil {
		for _, r := range g.Rules {
			if r.ID == id {
				return r, nil
			}
		}
	}
	return Rule{}, errNoRule(id)
}

// RulesByNumber returns those of the numbered rules that there are. A rule that was revoked, or
// modified since, is not among them.
func (s *State) RulesByNumber(numbers map[uint32]bool) map[uint32]GroupRule {
	found := map[uint32]GroupRule{}
	if len(numbers) == 0 {
		return found
	}
	for g := range s.SecurityGroups() {
		for _, r := range g.Rules {
			if numbers[r.Number] {
				found[r.Number] = GroupRule{g, r}
			}
		}
	}
	return found
}

// NewReachability is what ExplainReachability is told.
type NewReachability struct {
	Source, Destination string // id or ARN of an interface or instance, or an address
	Protocol            string // tcp, udp, icmp, icmpv6 or a number
	Port                *int32 // of the destination: TCP and UDP
	ICMPType, ICMPCode  *int32 // nil: of an echo request
}

// Reachability is a question about one packet. Each end is an id or an address; not both are addresses.
type Reachability struct {
	Source, Destination     string // ids
	SourceIP, DestinationIP netip.Addr
	Protocol                Protocol
	Port                    uint16
	ICMPType, ICMPCode      uint8
}

// CheckReachability reads a question; its ends are there.
func (s *State) CheckReachability(in NewReachability) (q Reachability, err error) {
	if q.Protocol, err = ParseProtocol(in.Protocol); err != nil {
		return q, err
	}
	if q.Protocol == AllProtocols {
		return q, Errorf(CodeInvalidParameterValue, "Value (%s) for parameter protocol is invalid. A packet has one protocol.", in.Protocol)
	}
	ports, icmp := q.Protocol == TCP || q.Protocol == UDP, q.Protocol == ICMP || q.Protocol == ICMPv6
	switch {
	case ports && in.Port == nil:
		return q, errMissing("port")
	case !ports && in.Port != nil:
		return q, errCombination("port", "protocol "+q.Protocol.String())
	case !icmp && in.ICMPType != nil:
		return q, errCombination("icmpType", "protocol "+q.Protocol.String())
	case !icmp && in.ICMPCode != nil:
		return q, errCombination("icmpCode", "protocol "+q.Protocol.String())
	case ports:
		q.Port = uint16(*in.Port)
	case icmp:
		q.ICMPType = 8
		if q.Protocol == ICMPv6 {
			q.ICMPType = 128
		}
		if in.ICMPType != nil {
			q.ICMPType = uint8(*in.ICMPType)
		}
		if in.ICMPCode != nil {
			q.ICMPCode = uint8(*in.ICMPCode)
		}
	}
	if q.Source, q.SourceIP, err = s.reachabilityEnd("source", in.Source); err != nil {
		return q, err
	}
	if q.Destination, q.DestinationIP, err = s.reachabilityEnd("destination", in.Destination); err != nil {
		return q, err
	}
	switch {
	case q.Source == "" && q.Destination == "":
		return q, Errorf(CodeInvalidParameterValue, "The source or the destination must be a network interface or an instance.")
	case q.Source == q.Destination:
		return q, Errorf(CodeInvalidParameterValue, "The source and the destination must not be the same.")
	}
	return q, nil
}

func (s *State) reachabilityEnd(parameter, text string) (id string, a netip.Addr, err error) {
	if _, err := netip.ParseAddr(text); err == nil {
		a, err := insightsAddress(parameter, text)
		return "", a, err
	}
	if id, err = s.insightsEnd(parameter, text); CodeOf(err) == CodeInvalidParameterValue {
		err = Errorf(CodeInvalidParameterValue, "Value (%s) for parameter %s is invalid. "+
			"Expecting the ID or ARN of a network interface or an instance, or an IP address.", text, parameter)
	}
	return id, a, err
}
