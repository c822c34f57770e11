package main

import "fmt"

// packetGoals holds the rows of packets against the goals. Added costs are what is more than no filter's
// in the same run, so that the generator is in none of them.
func (r *report) packetGoals() {
	generator := median(r.Generator)
	for _, t := range r.Packets {
		for _, f := range []family{ipv4, ipv6} {
			of := func(name, candidate string) float64 { return t.median(f, name, candidate) }
			more := func(name, candidate string) float64 { return of(name, candidate) - of(name, unfiltered) }
			add := func(g goal) {
				g.Name = fmt.Sprintf("%s, %s: %s", t.Layout, f, g.Name)
				r.goal(g)
			}
			toNftables := func(what, name string, limit float64) goal {
				return goal{
					Name:     what + ", added cost ÷ nftables'",
					Measured: more(name, ours) / more(name, nftGood), Limit: limit, Floor: more(name, nothing) / more(name, nftGood),
				}
			}
			if t.Layout == routed {
				add(toNftables("established packet", establishedOne, 1/1.5))
				continue
			}
			share := func(candidate string) float64 {
				return 100 * (of(establishedOne, unfiltered) - generator) / (of(establishedOne, candidate) - generator)
			}
			add(goal{
				Name:     "established packets, share of the unfiltered rate",
				Measured: share(ours), Limit: 86, AtLeast: true, Floor: share(nothing), Unit: "%",
			})
			add(toNftables("established packet", establishedOne, 1./5))
			add(toNftables("first packet of a flow", firstPacket, 1./3))
			// One that the receiver's rules deny and that a guest sends is a new flow of the sender before.
			delivered := of(establishedOne, unfiltered) - generator
			add(goal{
				Name:     "packet that the sender's rules deny ÷ an unfiltered one that arrives",
				Measured: (of(deniedSender, ours) - generator) / delivered, Limit: 0.7,
			})
			add(goal{
				Name:     "packet from outside that the rules deny ÷ an unfiltered one that arrives",
				Measured: (of(deniedOutside, ours) - generator) / delivered, Limit: 0.7,
				Floor: (of(deniedOutside, portAlone) - generator) / delivered,
			})
			add(goal{
				Name:     "first packet of a flow, 960 rules ÷ 60",
				Measured: (of(firstPacket, oursMany) - generator) / (of(firstPacket, ours) - generator), Limit: 1.15,
			})
		}
	}
	r.goal(goal{Name: fmt.Sprintf("established flows of %d that a flood of %d new ones takes", r.Flood.Established, r.Flood.New), Measured: float64(r.Flood.Lost)})
}

// median of a row of packets, 0 if there is none.
func (t *table) median(f family, name, candidate string) float64 {
	for _, x := range t.Rows {
		if x.Family == f.String() && x.Name == name {
			return median(x.Values[candidate])
		}
	}
	return 0
}
