package reachability

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// question is a path between two interfaces.
type question struct {
	path     *vpc.InsightsPath
	by       Components
	src, dst *vpc.NetworkInterface
	view     *ruleset.View // of both
	ports    Ports         // of the destination
	from     Ports         // of the source: no rule asks for them
}

// answer looks for a packet. A gate looks at the remote address and the destination port alone, once
// the local address is the interface's own; CIDRs are nested or disjoint, and so are port ranges as
// far as their lower ends go: if a packet passes, so does one whose addresses and port are among the
// lower ends that candidates and candidatePorts return.
func (q *question) answer(hop Step) Findings {
	froms, why := q.addresses(q.src, q.path.SourceIP, "SOURCE_ADDRESS", func(f vpc.InsightsFilter) netip.Prefix { return f.Source })
	tos, more := q.addresses(q.dst, q.path.DestinationIP, "DESTINATION_ADDRESS", func(f vpc.InsightsFilter) netip.Prefix { return f.Destination })
	why = append(why, more...)
	asked := Ports{0, 65535}
	if n := q.path.DestinationPort; n != 0 {
		asked = Ports{n, n}
	}
	q.from, more = q.narrow(Ports{0, 65535}, "SOURCE_PORT_RANGE", func(f vpc.InsightsFilter) [2]int32 { return f.SourcePorts })
	why = append(why, more...)
	q.ports, more = q.narrow(asked, "DESTINATION_PORT_RANGE", func(f vpc.InsightsFilter) [2]int32 { return f.DestinationPorts })
	if why = append(why, more...); len(why) > 0 {
		return Findings{Explanations: why}
	}
	sources, destinations := q.candidates(froms), q.candidates(tos)
	forgetMembers(q.view, slices.Concat(sources, destinations))
	return q.search(q.unlike(sources), q.unlike(destinations), hop)
}

// addresses returns what an end's address may be: its own, or the one that is asked for, within the
// filters. An interface that does not check may have whatever the filters name.
func (q *question) addresses(
	e *vpc.NetworkInterface, asked netip.Addr, what string, of func(vpc.InsightsFilter) netip.Prefix,
) ([]netip.Prefix, []Explanation) {
	var may []netip.Prefix
	for _, a := range slices.Concat(e.IPv4, e.IPv6) {
		may = append(may, single(a)...)
	}
	may = slices.Concat(may, e.IPv4Prefixes, e.IPv6Prefixes)
	filters := q.filters()
	switch {
	case asked.IsValid():
		may = single(asked)
	case !e.SourceDestCheck:
		for _, f := range filters {
			if c := of(f.filter); c.IsValid() {
				may = append(may, c)
			}
		}
	}
	for _, f := range filters {
		c := of(f.filter)
		if !c.IsValid() {
			continue
		}
		var within []netip.Prefix
		for _, p := range may {
			switch {
			case !p.Overlaps(c):
			case p.Bits() > c.Bits():
				within = append(within, p)
			default:
				within = append(within, c)
			}
		}
		if may = within; len(may) == 0 {
			return nil, []Explanation{{Code: Code(f.name + what), Addresses: []netip.Prefix{c}, Interface: e.ID}}
		}
	}
	return may, nil
}

// narrow returns the ports within the filters.
func (q *question) narrow(p Ports, what string, of func(vpc.InsightsFilter) [2]int32) (Ports, []Explanation) {
	for _, f := range q.filters() {
		r := of(f.filter)
		if r == [2]int32{} {
			continue
		}
		p = Ports{max(p.From, r[0]), min(p.To, r[1])}
		if p.From > p.To {
			return p, []Explanation{{Code: Code(f.name + what), Ports: &Ports{r[0], r[1]}}}
		}
	}
	return p, nil
}

type namedFilter struct {
	name   string // how the codes about it begin
	filter vpc.InsightsFilter
}

// filters are those of both ends: nothing on the way changes a header, so both are about every packet.
func (q *question) filters() []namedFilter {
	return []namedFilter{{"FILTER_AT_SOURCE_", q.path.AtSource}, {"FILTER_AT_DESTINATION_", q.path.AtDestination}}
}

// candidates returns the lower ends of all that the rules tell apart within the prefixes.
func (q *question) candidates(within []netip.Prefix) []netip.Addr {
	var all []netip.Addr
	add := func(a netip.Addr) {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for _, p := range within {
		add(p.Addr())
		if p.IsSingleIP() {
			continue
		}
		for _, c := range q.cidrs() {
			if p.Contains(c.Addr()) {
				add(c.Addr())
			}
		}
	}
	return all
}

// ruleCIDRs are those that rules name, in lists or not.
func (q *question) ruleCIDRs() []netip.Prefix {
	var all []netip.Prefix
	for _, g := range q.view.Groups {
		for _, r := range g.Rules {
			if r.Peer.CIDR.IsValid() {
				all = append(all, r.Peer.CIDR)
			}
		}
	}
	for _, l := range q.view.Lists {
		all = append(all, l...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// cidrs are those that rules name and those of members.
func (q *question) cidrs() []netip.Prefix {
	all := q.ruleCIDRs()
	for _, m := range q.view.Members {
		all = append(all, m.Prefixes...)
		for _, a := range m.Addresses {
			all = append(all, single(a)...)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// forgetMembers leaves out the members that no address is about: there may be very many. The View was
// made for one question.
func forgetMembers(v *ruleset.View, about []netip.Addr) {
	for id, m := range v.Members {
		if !slices.ContainsFunc(about, func(a netip.Addr) bool {
			return slices.Contains(m.Addresses, a) || contains(m.Prefixes, a)
		}) {
			delete(v.Members, id)
		}
	}
}

// unlike returns the first of the addresses that all rules treat alike: those in the same CIDRs and of
// the same members.
func (q *question) unlike(as []netip.Addr) (out []netip.Addr) {
	cidrs := q.ruleCIDRs()
	seen := map[string]bool{}
	for _, a := range as {
		key := make([]byte, 1, 1+len(cidrs)+len(q.view.Members))
		if a.Is6() {
			key[0] = 1
		}
		for _, c := range cidrs {
			key = append(key, bit(c.Contains(a)))
		}
		for _, id := range slices.Sorted(maps.Keys(q.view.Members)) {
			m := q.view.Members[id]
			key = append(key, bit(slices.Contains(m.Addresses, a) || contains(m.Prefixes, a)))
		}
		for _, e := range []*vpc.NetworkInterface{q.src, q.dst} { // whose own it is
			key = append(key, bit(slices.Contains(e.IPv4, a) || slices.Contains(e.IPv6, a) ||
				contains(e.IPv4Prefixes, a) || contains(e.IPv6Prefixes, a)))
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, a)
		}
	}
	return out
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// at returns the view with only the rules that are about a port: there may be very many others.
func (q *question) at(port int32) *ruleset.View {
	v := *q.view
	v.Groups = make(map[vpc.GroupID]ruleset.Group, len(q.view.Groups))
	for id, g := range q.view.Groups {
		var rules []vpc.Rule
		for _, r := range g.Rules {
			if r.Protocol == vpc.AllProtocols || r.Protocol == q.path.Protocol && r.From <= port && port <= r.To {
				rules = append(rules, r)
			}
		}
		v.Groups[id] = ruleset.Group{ID: id, Rules: rules}
	}
	return &v
}

// candidatePorts returns the lower ends of all that the rules of the two ends tell apart, sorted.
func (q *question) candidatePorts() []int32 {
	ports := []int32{q.ports.From}
	for _, g := range slices.Concat(q.src.Groups, q.dst.Groups) {
		for _, r := range q.view.Groups[g].Rules {
			if r.Protocol == q.path.Protocol && q.ports.From < r.From && r.From <= q.ports.To {
				ports = append(ports, r.From)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func (q *question) packet(src, dst netip.Addr, port int32) ruleset.Packet {
	return ruleset.Packet{
		Src: src, Dst: dst, Protocol: uint8(q.path.Protocol), SrcPort: uint16(q.from.From), DstPort: uint16(port),
	}
}

// search asks the gates about the candidates of both families.
func (q *question) search(sources, destinations []netip.Addr, hop Step) Findings {
	var sending, receiving gate
	restricted := false // a packet would pass, but for q.by
	common := false     // there is a family that both ends have
	ports := q.candidatePorts()
	for _, of := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		from, to := ofFamily(sources, of), ofFamily(destinations, of)
		if len(from) == 0 || len(to) == 0 {
			continue
		}
		common = true
		first, view := from[0], q.at(q.ports.From)
		from = slices.DeleteFunc(from, func(a netip.Addr) bool {
			return ruleset.Explain(view, q.src.ID, ruleset.Egress, q.packet(a, to[0], q.ports.From)).Reason == ruleset.ReasonSourceAddress
		})
		to = slices.DeleteFunc(to, func(a netip.Addr) bool {
			return ruleset.Explain(view, q.dst.ID, ruleset.Ingress, q.packet(first, a, q.ports.From)).Reason == ruleset.ReasonDestinationAddress
		})
		sending.own = sending.own || len(from) > 0
		receiving.own = receiving.own || len(to) > 0
		if len(from) == 0 || len(to) == 0 {
			continue
		}
		for _, port := range ports {
			var out, in []pass
			view := q.at(port)
			for _, a := range to {
				out = addPasses(out, a, ruleset.Explain(view, q.src.ID, ruleset.Egress, q.packet(from[0], a, port)))
			}
			for _, a := range from {
				in = addPasses(in, a, ruleset.Explain(view, q.dst.ID, ruleset.Ingress, q.packet(a, to[0], port)))
			}
			sending.allows = sending.allows || len(out) > 0
			receiving.allows = receiving.allows || len(in) > 0
			for _, o := range out {
				for _, i := range in {
					f := q.steps(o, i, hop)
					if q.by.admit(f.Forward) {
						return f
					}
					restricted = true
				}
			}
		}
	}
	switch {
	case !common:
		return Findings{Explanations: []Explanation{{Code: NoPath}}}
	case restricted:
		return Findings{Explanations: []Explanation{{Code: ComponentFilter}}}
	}
	return Findings{Explanations: q.explain(sources, destinations, sending, receiving)}
}

// gate is what was seen of one.
type gate struct {
	own    bool // an address is the interface's own, or need not be
	allows bool // some packet
}

// pass is a rule that admits packets with a remote address.
type pass struct {
	remote netip.Addr
	rule   ruleset.GroupRule
}

// addPasses adds what admits a packet: one rule of each group, the named one first. Which of them it is
// makes no difference to Components.
func addPasses(all []pass, remote netip.Addr, e ruleset.Explanation) []pass {
	for _, r := range e.Rules {
		if !slices.ContainsFunc(all, func(p pass) bool { return p.rule.Group == r.Group }) {
			all = append(all, pass{remote, r})
		}
	}
	return all
}

// admit reports whether a way counts.
func (c Components) admit(steps []Step) bool {
	passed := map[string]bool{}
	for _, s := range steps {
		for _, id := range []string{s.Component, s.AttachedTo, string(s.Subnet), string(s.VPC), string(s.SourceVPC), string(s.DestinationVPC)} {
			passed[id] = true
		}
	}
	return !slices.ContainsFunc(c.Through, func(id string) bool { return !passed[id] }) &&
		!slices.ContainsFunc(c.Without, func(id string) bool { return passed[id] })
}

// steps is the way of packets that one rule lets out and another lets in.
func (q *question) steps(out, in pass, hop Step) Findings {
	h := Header{
		Protocol: q.path.Protocol, Source: in.remote, Destination: out.remote,
		SourcePorts: q.from, DestinationPorts: overlap(overlap(q.ports, out.rule.Rule), in.rule.Rule),
	}
	back := Header{h.Protocol, h.Destination, h.Source, h.DestinationPorts, h.SourcePorts}
	source, destination := end(q.src), end(q.dst)
	f := Findings{
		Forward: []Step{source, admitted(out.rule), hop, admitted(in.rule), destination},
		Return:  []Step{destination, hop, source},
	}
	if hop.SourceVPC != "" {
		f.Return[1].SourceVPC, f.Return[1].DestinationVPC = hop.DestinationVPC, hop.SourceVPC
	}
	f.Forward[0].Out, f.Forward[4].In = &h, &h
	f.Return[0].Out, f.Return[2].In = &back, &back
	return f
}

func end(e *vpc.NetworkInterface) Step {
	s := Step{Component: string(e.ID), Subnet: e.Subnet, VPC: e.VPC}
	if e.Attachment != nil {
		s.AttachedTo = string(e.Attachment.Instance)
	}
	return s
}

func admitted(r ruleset.GroupRule) Step {
	return Step{Component: string(r.Group), Rule: &r.Rule}
}

// overlap returns the ports that a rule admits, of those that are asked about.
func overlap(p Ports, r vpc.Rule) Ports {
	if r.From < 0 { // of all protocols
		return p
	}
	return Ports{max(p.From, r.From), min(p.To, r.To)}
}

func ofFamily(as []netip.Addr, is func(netip.Addr) bool) (out []netip.Addr) {
	for _, a := range as {
		if is(a) {
			out = append(out, a)
		}
	}
	return out
}

// explain says which gates are shut. If each admits packets, but not the same, it is the receiver's
// that does not admit what arrives.
func (q *question) explain(sources, destinations []netip.Addr, sending, receiving gate) []Explanation {
	foreign := func(code Code, d ruleset.Direction, e *vpc.NetworkInterface, as []netip.Addr) Explanation {
		x := Explanation{Code: code, Direction: d.String(), Interface: e.ID, Subnet: e.Subnet, VPC: e.VPC}
		for _, a := range as {
			x.Addresses = append(x.Addresses, single(a)...)
		}
		return x
	}
	var why []Explanation
	switch {
	case !sending.own:
		why = append(why, foreign(AddressRestriction, ruleset.Egress, q.src, sources))
	case receiving.own && !sending.allows:
		why = append(why, q.shut(ruleset.Egress, q.src)...)
	}
	switch {
	case !receiving.own:
		why = append(why, foreign(SourceDestCheck, ruleset.Ingress, q.dst, destinations))
	case sending.own && (!receiving.allows || sending.allows):
		why = append(why, q.shut(ruleset.Ingress, q.dst)...)
	}
	return why
}

// shut says why a gate admits nothing: its groups have no rules, or none that fits.
func (q *question) shut(d ruleset.Direction, e *vpc.NetworkInterface) (why []Explanation) {
	about := Explanation{Direction: d.String(), Interface: e.ID, Subnet: e.Subnet, VPC: e.VPC}
	some := false
	for _, g := range e.Groups {
		if slices.ContainsFunc(q.view.Groups[g].Rules, func(r vpc.Rule) bool { return r.Egress == (d == ruleset.Egress) }) {
			some = true
			continue
		}
		x := about
		x.Code, x.Group = NoRules, g
		why = append(why, x)
	}
	if some {
		x := about
		x.Code, x.Groups = RulesMismatch, e.Groups
		why = append(why, x)
	}
	return why
}
