package oracletest

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ruleset"
)

// Shrink takes out of a failing case what it does not need to fail: steps, then rules, lists and members.
// It tries for so long at most, and returns what still fails.
func Shrink(c Case, within time.Duration, fails func(Case) bool) Case {
	end := time.Now().Add(within)
	try := func(smaller Case) bool {
		if time.Now().After(end) || !fails(smaller) {
			return false
		}
		c = smaller
		return true
	}
	for changed := true; changed && time.Now().Before(end); {
		changed = false
		for size := len(c.Steps) / 2; size > 0; size /= 2 {
			for at := len(c.Steps) - size; at > 0; at -= size { // the first brings the first View
				if at+size > len(c.Steps) {
					continue
				}
				smaller := c
				smaller.Steps = slices.Delete(slices.Clone(c.Steps), at, at+size)
				if try(smaller) {
					changed = true
				}
			}
		}
		used := map[int]bool{}
		for _, s := range c.Steps {
			if s.Kind == Apply {
				used[s.View] = true
			}
		}
		for i := range c.Views {
			if !used[i] {
				continue
			}
			for _, smaller := range withoutOne(c.Views[i]) {
				views := slices.Clone(c.Views)
				views[i] = smaller(c.Views[i])
				candidate := c
				candidate.Views = views
				if views[i] != nil && try(candidate) {
					changed = true
				}
			}
		}
	}
	return c
}

// withoutOne returns ways to take one thing out of a View; nil where it is gone already.
func withoutOne(v *ruleset.View) (ways []func(*ruleset.View) *ruleset.View) {
	for id, g := range v.Groups {
		for _, rule := range g.Rules {
			ways = append(ways, func(v *ruleset.View) *ruleset.View {
				n := *v
				n.Groups = maps.Clone(v.Groups)
				g := n.Groups[id]
				for i, r := range g.Rules {
					if r.Number == rule.Number {
						g.Rules = slices.Delete(slices.Clone(g.Rules), i, i+1)
						n.Groups[id] = g
						return &n
					}
				}
				return nil
			})
		}
	}
	for id := range v.Members {
		ways = append(ways, func(v *ruleset.View) *ruleset.View {
			n := *v
			n.Members = maps.Clone(v.Members)
			delete(n.Members, id)
			return &n
		})
	}
	for id := range v.Lists {
		ways = append(ways, func(v *ruleset.View) *ruleset.View {
			if len(v.Lists[id]) == 0 {
				return nil
			}
			n := *v
			n.Lists = maps.Clone(v.Lists)
			n.Lists[id] = nil
			return &n
		})
	}
	return ways
}
