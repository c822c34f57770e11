package ruleset_test

import (
	"maps"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestScopeEqualsResolve walks at random from State to State, one object or some at a time, and compares what a Scope
// finds by the keys of what changed with all that changed.
func TestScopeEqualsResolve(t *testing.T) {
	small, touched, unlike := 0, 0, 0
	for seed := range uint64(60) {
		u := newUniverse(seed)
		// The same objects as they may be instead.
		var choice [][]vpc.Object
		for range 4 {
			var objects []vpc.Object
			for o := range u.state().Objects() {
				objects = append(objects, o)
			}
			choice = append(choice, objects)
		}
		s := new(vpc.State).Apply(vpc.Change{Puts: choice[0]}, 1)
		type end struct {
			at    *vpc.State
			view  *ruleset.View
			scope *ruleset.Scope
		}
		ends := map[vpc.HostID]*end{}
		for _, host := range hosts {
			view, scope := ruleset.ResolveScope(s, host)
			ends[host] = &end{s, view, scope}
		}
		for range 60 {
			var c vpc.Change
			named := map[vpc.Key]bool{}
			for range 1 + u.IntN(3) {
				o := pick(u, pick(u, choice))
				if named[o.Key()] {
					continue
				}
				named[o.Key()] = true
				if u.IntN(8) == 0 {
					c.Deletes = append(c.Deletes, o.Key())
				} else {
					c.Puts = append(c.Puts, vary(u, o))
				}
			}
			s = s.Apply(c, s.Revision()+1)
			for host, e := range ends {
				if u.IntN(4) == 0 {
					continue // it looks again later
				}
				want, scope := ruleset.ResolveScope(s, host)
				keys, ok := s.ChangedSince(e.at.Revision())
				if !ok {
					t.Fatalf("seed %d: revision %d has forgotten %d", seed, s.Revision(), e.at.Revision())
				}
				all := ruleset.Diff(e.view, want)
				if parts, ok := e.scope.Touched(e.at, s, keys); ok {
					got := ruleset.Diff(only(e.view, parts), e.scope.Resolve(s, parts))
					if d := ruleset.Diff(apply(t, only(e.view, parts), got), only(want, parts)); !d.Empty() {
						t.Fatalf("seed %d: %s: what is found of %v is not what is there", seed, host, keys)
					}
					if outside := ruleset.Diff(without(e.view, parts), without(want, parts)); !outside.Empty() {
						t.Fatalf("seed %d: %s: %v were changed, and more is different: %+v", seed, host, keys, outside)
					}
					small++
					if !all.Empty() {
						touched++
					}
					scope = e.scope // which is to hold still
				} else {
					unlike++
				}
				ends[host] = &end{s, want, scope}
			}
		}
	}
	if small < 1000 || touched < 300 || unlike < 300 {
		t.Errorf("%d changes were found by their keys, %d of them touched a host, %d took a whole look: the walk is too narrow", small, touched, unlike)
	}
}

// vary sometimes changes a little of an object that carries others' fate: most others differ in all.
func vary(u universe, o vpc.Object) vpc.Object {
	switch o := o.(type) {
	case *vpc.NetworkInterface:
		c := *o
		if u.IntN(2) == 0 {
			c.SourceDestCheck = !c.SourceDestCheck
		}
		if u.IntN(4) == 0 {
			c.Binding = nil
		}
		if u.IntN(4) == 0 {
			c.Observe = time.Unix(u.Int64N(2), 0)
		}
		return &c
	case *vpc.SecurityGroup:
		c := *o
		if n := len(c.Rules); n > 0 && u.IntN(2) == 0 {
			c.Rules = c.Rules[:n-1]
		}
		if u.IntN(4) == 0 {
			c.Observe = time.Unix(u.Int64N(2), 0)
		}
		return &c
	default:
		return o
	}
}

// only returns the named parts of a View.
func only(v *ruleset.View, p ruleset.Parts) *ruleset.View { return filter(v, p, true) }

func without(v *ruleset.View, p ruleset.Parts) *ruleset.View { return filter(v, p, false) }

func filter(v *ruleset.View, p ruleset.Parts, keep bool) *ruleset.View {
	n := &ruleset.View{
		Revision: v.Revision, ENIs: maps.Clone(v.ENIs), Groups: maps.Clone(v.Groups), Members: maps.Clone(v.Members), Lists: maps.Clone(v.Lists),
	}
	maps.DeleteFunc(n.ENIs, func(id vpc.InterfaceID, _ ruleset.ENI) bool { return p.ENIs[id] != keep })
	maps.DeleteFunc(n.Groups, func(id vpc.GroupID, _ ruleset.Group) bool { return p.Groups[id] != keep })
	maps.DeleteFunc(n.Members, func(id vpc.InterfaceID, _ ruleset.Member) bool { return p.Members[id] != keep })
	for id := range v.Lists {
		if p.Lists[id] != keep {
			delete(n.Lists, id)
		}
	}
	return n
}

func apply(t *testing.T, v *ruleset.View, d ruleset.Delta) *ruleset.View {
	t.Helper()
	n, err := v.Apply(d)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
