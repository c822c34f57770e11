package ruleset

import (
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// Explanation is a verdict of one gate with everything that speaks for it.
type Explanation struct {
	Verdict
	Rules []GroupRule // all that allow the packet, the named one first
}

// GroupRule is a rule with the group that holds it.
type GroupRule struct {
	Group vpc.GroupID
	Rule  vpc.Rule
}

// Explain judges one packet at one gate of one interface, ignoring connections, and lists every
// rule that allows it.
func Explain(v *View, eni vpc.InterfaceID, d Direction, p Packet) Explanation {
	e, ok := v.ENIs[eni]
	if !ok {
		return Explanation{Verdict: Verdict{Reason: ReasonUnbound}}
	}
	if reason := e.judgedBefore(d, p); reason != ReasonNone {
		return Explanation{Verdict: Verdict{Reason: reason}}
	}
	var rules []GroupRule
	for _, g := range e.Groups {
		for _, r := range v.Groups[g].Rules {
			if v.allows(e, r, d, p) {
				rules = append(rules, GroupRule{g, r})
			}
		}
	}
	if len(rules) == 0 {
		return Explanation{Verdict: Verdict{Reason: ReasonNoRule}}
	}
	slices.SortFunc(rules, func(a, b GroupRule) int { return byPrecedence(a.Rule, b.Rule) })
	return Explanation{Verdict{Allow, ReasonRule, rules[0].Rule.Number}, rules}
}
