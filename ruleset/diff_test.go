package ruleset_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestAnyViewReachesAnyOther: whatever two Views, the Delta between them leads from one to the other.
func TestAnyViewReachesAnyOther(t *testing.T) {
	var views []*ruleset.View
	for seed := range uint64(12) {
		s := newUniverse(seed).state()
		for _, host := range append(hosts, "host-without-interfaces") {
			v := ruleset.Resolve(s, host)
			v.Revision = int64(len(views)) + 1
			views = append(views, v)
		}
	}
	for _, from := range append(views, nil, &ruleset.View{}) {
		for _, to := range views {
			got, err := from.Apply(ruleset.Diff(from, to))
			if err != nil {
				t.Fatalf("Apply: %v", err)
			}
			if got.Revision != to.Revision {
				t.Errorf("revision %d, want %d", got.Revision, to.Revision)
			}
			for _, d := range []ruleset.Delta{ruleset.Diff(got, to), ruleset.Diff(to, got)} {
				if !d.Empty() {
					t.Fatalf("after Apply there is still a difference: %+v", d)
				}
			}
		}
	}
}

// TestApplyKeepsTheOld: the View before a Delta is what it was.
func TestApplyKeepsTheOld(t *testing.T) {
	from := ruleset.Resolve(newUniverse(1).state(), hosts[0])
	same := ruleset.Resolve(newUniverse(1).state(), hosts[0])
	to := ruleset.Resolve(newUniverse(2).state(), hosts[0])
	if _, err := from.Apply(ruleset.Diff(from, to)); err != nil {
		t.Fatal(err)
	}
	if d := ruleset.Diff(same, from); !d.Empty() {
		t.Errorf("Apply wrote to its receiver: %+v", d)
	}
}

func TestApplyRefuses(t *testing.T) {
	at7 := &ruleset.View{Revision: 7}
	for name, tt := range map[string]struct {
		view  *ruleset.View
		delta ruleset.Delta
		want  string // part of the error; empty: accepted
	}{
		"fits":              {at7, ruleset.Delta{From: 7, To: 8}, ""},
		"older":             {at7, ruleset.Delta{From: 7, To: 6}, ""},
		"snapshot on a nil": {nil, ruleset.Delta{To: 8}, ""},
		"other revision":    {at7, ruleset.Delta{From: 6, To: 8}, "does not fit a view at 7"},
		"nothing to change": {nil, ruleset.Delta{From: 6, To: 8}, "does not fit a view at 0"},
		"unknown removed":   {at7, ruleset.Delta{From: 7, To: 8, RemovedGroups: []vpc.GroupID{"sg-1"}}, ""},
		"removed twice": {
			at7, ruleset.Delta{From: 7, To: 8, RemovedENIs: []vpc.InterfaceID{"eni-1", "eni-1"}},
			`"eni-1" is removed twice`,
		},
		"changed and removed": {at7, ruleset.Delta{
			From: 7, To: 8,
			Groups:        map[vpc.GroupID]ruleset.Group{"sg-1": {ID: "sg-1"}},
			RemovedGroups: []vpc.GroupID{"sg-1"},
		}, `"sg-1" is both changed and removed`},
		"wrong name": {at7, ruleset.Delta{
			From: 7, To: 8, Members: map[vpc.InterfaceID]ruleset.Member{"eni-1": {ID: "eni-2"}},
		}, `"eni-2" is filed under "eni-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.view.Apply(tt.delta)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Apply = %v, want %q", err, tt.want)
			}
		})
	}
}
