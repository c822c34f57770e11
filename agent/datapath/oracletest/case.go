package oracletest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Case is a host's configurations and what happens to it, made of one number.
type Case struct {
	Seed   uint64
	Limits Limits
	Views  []*ruleset.View
	Steps  []Step // the first applies the first View
}

// Kind is what a step does.
type Kind uint8

// The kinds of steps.
const (
	Send   Kind = iota // a frame arrives at a gate
	Wait               // time passes
	Apply              // a View comes into force
	Detach             // an interface loses its device
	Attach             // … and gets it, or another, with nothing remembered
	Sweep              // the agent reclaims what is past its time
)

// Step is one thing that happens.
type Step struct {
	Kind      Kind
	ENI       vpc.InterfaceID
	Direction ruleset.Direction
	Frame     []byte
	Ticks     uint64
	View      int // index into Views
}

func (s Step) String() string {
	switch s.Kind {
	case Send:
		return fmt.Sprintf("%s of %s: %s", s.Direction, s.ENI[len(s.ENI)-1:], Describe(s.Frame))
	case Wait:
		return fmt.Sprintf("%d ticks pass", s.Ticks)
	case Apply:
		return fmt.Sprintf("view %d comes into force", s.View)
	case Detach:
		return fmt.Sprintf("%s is detached", s.ENI)
	case Attach:
		return fmt.Sprintf("%s is attached anew", s.ENI)
	default:
		return "the agent sweeps"
	}
}

func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, limits %+v\n", c.Seed, c.Limits)
	used := map[int]bool{}
	for _, s := range c.Steps {
		if s.Kind == Apply {
			used[s.View] = true
		}
	}
	for i, v := range c.Views {
		if !used[i] {
			continue
		}
		fmt.Fprintf(&b, "view %d:\n", i)
		for _, id := range Interfaces {
			if e, ok := v.ENIs[id]; ok {
				fmt.Fprintf(&b, "  %s: %+v\n", id, e)
			}
		}
		for _, id := range groups {
			for _, r := range v.Groups[id].Rules {
				fmt.Fprintf(&b, "  %s: rule %d %s egress %v protocol %d %d-%d %s%s%s\n", id, r.Number, r.ID, r.Egress, r.Protocol, r.From, r.To,
					cidrText(r.Peer.CIDR), r.Peer.PrefixList, r.Peer.Group)
			}
		}
		for _, id := range lists {
			if len(v.Lists[id]) > 0 {
				fmt.Fprintf(&b, "  %s: %v\n", id, v.Lists[id])
			}
		}
		for _, id := range slices.Sorted(maps.Keys(v.Members)) {
			fmt.Fprintf(&b, "  member %+v\n", v.Members[id])
		}
	}
	for i, s := range c.Steps {
		fmt.Fprintf(&b, "%4d %s\n", i, s)
	}
	return b.String()
}

func cidrText(p netip.Prefix) string {
	if p == (netip.Prefix{}) {
		return ""
	}
	return p.String()
}

// NewCase makes up a case with about that many packets.
func NewCase(seed uint64, packets int, ticksPerSecond uint64) Case {
	r := random{rand.New(rand.NewPCG(seed, 4))}
	c := Case{Seed: seed, Limits: Limits{Established: 32768}}
	switch seed / 8 % 5 { // the same for a while: to change them takes time
	case 0:
		c.Limits.Established = 1 + int(seed/8%11)
	case 1:
		c.Limits.Displaces = true
	}
	c.Views = []*ruleset.View{r.view()}
	changes := packets / 500
	if r.chance(40) {
		changes *= 4
		c.Views[0] = r.opened(c.Views[0])
	}
	for range 1 + changes {
		next := r.changed(c.Views[len(c.Views)-1])
		if r.chance(30) {
			next = pick(r, c.Views)
		}
		c.Views = append(c.Views, next)
	}
	if c.Limits.Displaces {
		// Only of a tracked connection it shows whether it was displaced.
		for i, v := range c.Views {
			c.Views[i] = narrow(v)
		}
	}
	s := sequence{random: r, hz: ticksPerSecond, view: c.Views[0]}
	for i := range s.weights {
		s.weights[i] = r.IntN(10) * r.IntN(3)
	}
	s.weights[converse] += 26
	s.weights[linkLayer] += 17
	s.weights[odd] += 4
	s.weights[spoiled] += 6
	s.weights[garbage] /= 4
	c.Steps = []Step{{Kind: Apply}}
	var detached vpc.InterfaceID
	planned := len(c.Views)
	for n := 0; n < packets; {
		switch x := r.IntN(10_000); {
		case r.IntN(packets) < changes:
			after := s.change(&c, min(1+n*planned/packets, planned-1))
			c.Steps = append(c.Steps, after...)
			n += len(after)
		case detached != "" && x < 150: // not for long
			c.Steps = append(c.Steps, Step{Kind: Attach, ENI: detached})
			detached = ""
		case x < 21:
			detached = pick(r, Interfaces)
			c.Steps = append(c.Steps, Step{Kind: Detach, ENI: detached})
		case x < 26:
			c.Steps = append(c.Steps, Step{Kind: Sweep})
		case x < 340:
			c.Steps = append(c.Steps, Step{Kind: Wait, Ticks: s.while()})
			if r.chance(50) {
				rest := s.rest()
				c.Steps = append(c.Steps, rest...)
				n += len(rest)
			}
		default:
			c.Steps = append(c.Steps, s.packet())
			n++
		}
	}
	for i, step := range c.Steps {
		if step.Kind == Send {
			c.Steps[i].Frame = testable(step.Frame)
		}
	}
	return c
}

// testable makes a frame as long as the kernel's test run wants it: it refuses those that end in their IP
// header.
func testable(frame []byte) []byte {
	want := 14
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		want = 14 + 20
	case typeIPv6:
		want = 14 + 40
	}
	return append(frame, make([]byte, max(0, want-len(frame)))...)
}
