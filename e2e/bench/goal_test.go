package main

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestGoals(t *testing.T) {
	for _, tt := range []struct {
		goal
		met  bool
		says string
	}{
		{goal{Name: "denied", Measured: 0.56, Limit: 0.7}, true, "denied  0.56      ≤ 0.70  met"},
		{goal{Name: "denied", Measured: 0.7, Limit: 0.7}, true, "met"},
		{goal{Name: "denied", Measured: 0.71, Limit: 0.7}, false, "NOT met"},
		{goal{Name: "denied", Measured: 0.71, Limit: 0.7, Floor: 0.65}, false, "NOT met; the floor is 0.65"},
		{goal{Name: "share", Measured: 86, Limit: 86, AtLeast: true, Unit: "%"}, true, "share  86.0 %    ≥ 86.0 %  met"},
		{goal{Name: "share", Measured: 85.9, Limit: 86, AtLeast: true, Unit: "%"}, false, "NOT met"},
		{goal{Name: "nothing was measured", Measured: math.NaN(), Limit: 1}, false, "NOT met"},
		{goal{Name: "nothing was measured", Measured: math.NaN(), Limit: 1, AtLeast: true}, false, "NOT met"},
	} {
		var r report
		r.goal(tt.goal)
		var page, said strings.Builder
		err := printGoals(&page, r.Goals)
		writeText(&said, page.String())
		if (err == nil) != tt.met || err != nil && !errors.Is(err, errGoals) || r.Goals[0].Met != tt.met {
			t.Errorf("%s, measured %v, wanted %s: %v, want it met: %v", tt.Name, tt.Measured, tt.limit(), err, tt.met)
		}
		if !strings.Contains(said.String(), tt.says) {
			t.Errorf("%s: printed\n%s\nwant it to contain %q", tt.Name, said.String(), tt.says)
		}
	}
	if err := printGoals(nil, nil); err != nil {
		t.Errorf("a run without goals: %v", err)
	}
}
