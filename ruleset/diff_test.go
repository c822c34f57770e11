package ruleset_test

import (
	"maps"
	"net/netip"
	"slices"
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
			at7,
			ruleset.Delta{From: 7, To: 8, RemovedENIs: []vpc.InterfaceID{"eni-1", "eni-1"}},
			`"eni-1" is removed twice`,
		},
		"changed and removed": {at7, ruleset.Delta{
			From: 7, To: 8,
			Groups:        map[vpc.GroupID]ruleset.Group{"sg-1": {ID: "sg-1"}},
			RemovedGroups: []vpc.GroupID{"sg-1"},
		}, `"sg-1" is both changed and removed`},
		"wrong name": {at7, ruleset.Delta{
			From: 7, To: 8, Members: map[vpc.InterfaceID]ruleset.Member{"eni-1": {ID: "eni-2"}},
		}, `filed under "eni-1" has another id`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.view.Apply(tt.delta)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Apply = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestDiffSeesEveryField: what a host must know makes a Delta, and nothing else does.
func TestDiffSeesEveryField(t *testing.T) {
	view := func() (*ruleset.View, *ruleset.ENI, *vpc.Rule, *ruleset.Member) {
		r := rule("sgr-1", 1, vpc.TCP, 80, 80, "sg-x")
		r.Description, r.Tags = "web", vpc.Tags{"k": "v"}
		v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": {r}}, member("eni-9", "10.0.0.9", "sg-x"))
		e, m := v.ENIs["eni-1"], v.Members["eni-9"]
		return v, &e, &v.Groups["sg-1"].Rules[0], &m
	}
	for name, tt := range map[string]struct {
		change func(*ruleset.ENI, *vpc.Rule, *ruleset.Member)
		silent bool
	}{
		"nothing":            {func(*ruleset.ENI, *vpc.Rule, *ruleset.Member) {}, true},
		"rule description":   {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Description = "" }, true},
		"rule tags":          {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Tags = nil }, true},
		"domain":             {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.Domain = "vpc-b" }, false},
		"MAC":                {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.MAC[5]++ }, false},
		"addresses":          {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.Addresses = e.Addresses[:1] }, false},
		"routers":            {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.Routers = addrs("10.0.0.1") }, false},
		"groups":             {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.Groups = []vpc.GroupID{"sg-2"} }, false},
		"source/dest check":  {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.SourceDestCheck = false }, false},
		"rule id":            {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.ID = "sgr-2" }, false},
		"rule number":        {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Number = 2 }, false},
		"direction":          {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Egress = true }, false},
		"protocol":           {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Protocol = vpc.UDP }, false},
		"from":               {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.From = 79 }, false},
		"to":                 {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.To = 81 }, false},
		"peer group":         {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Peer.Group = "sg-y" }, false},
		"peer CIDR":          {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Peer = vpc.Peer{CIDR: cidrs[0]} }, false},
		"peer list":          {func(_ *ruleset.ENI, r *vpc.Rule, _ *ruleset.Member) { r.Peer = vpc.Peer{PrefixList: "pl-1"} }, false},
		"prefixes":           {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) { e.Prefixes = delegations[:1] }, false},
		"member's prefixes":  {func(_ *ruleset.ENI, _ *vpc.Rule, m *ruleset.Member) { m.Prefixes = delegations[:1] }, false},
		"member's domains":   {func(_ *ruleset.ENI, _ *vpc.Rule, m *ruleset.Member) { m.Domains = vpcs }, false},
		"member's addresses": {func(_ *ruleset.ENI, _ *vpc.Rule, m *ruleset.Member) { m.Addresses = addresses4[:1] }, false},
		"member's groups":    {func(_ *ruleset.ENI, _ *vpc.Rule, m *ruleset.Member) { m.Groups = []vpc.GroupID{"sg-y"} }, false},
		"no group any more":  {func(_ *ruleset.ENI, _ *vpc.Rule, m *ruleset.Member) { m.Groups = nil }, false},
		"another address too": {func(e *ruleset.ENI, _ *vpc.Rule, _ *ruleset.Member) {
			e.Addresses = append(slices.Clone(e.Addresses), netip.IPv6Unspecified())
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			from, _, _, _ := view()
			to, e, r, m := view()
			tt.change(e, r, m)
			to.ENIs["eni-1"], to.Members["eni-9"] = *e, *m
			if d := ruleset.Diff(from, to); d.Empty() != tt.silent {
				t.Errorf("Diff = %+v, want an empty one: %v", d, tt.silent)
			}
		})
	}
}

// TestResolveLeavesOut: a View, which is compared and sent for every change, has no text of rules.
func TestResolveLeavesOut(t *testing.T) {
	s := newUniverse(3).state()
	for _, g := range ruleset.Resolve(s, hosts[0]).Groups {
		for _, r := range g.Rules {
			if r.Description != "" || r.Tags != nil {
				t.Fatalf("rule %s of %s has its description or tags", r.ID, g.ID)
			}
		}
	}
}

// TestDiffSeesLists: a list is a thing of its own: an edit names it alone, whoever names it.
func TestDiffSeesLists(t *testing.T) {
	view := func(cidrs ...string) *ruleset.View {
		v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": {listRule("sgr-1", 1, 80, "pl-1")}})
		v.Lists = map[vpc.PrefixListID][]netip.Prefix{"pl-1": prefixes(cidrs...), "pl-2": prefixes("10.0.0.0/8")}
		return v
	}
	from, to := view("10.0.0.0/24"), view("10.0.0.0/24", "10.0.1.0/24")
	delete(to.Lists, "pl-2")
	d := ruleset.Diff(from, to)
	if len(d.Lists) != 1 || len(d.Lists["pl-1"]) != 2 || !slices.Equal(d.RemovedLists, []vpc.PrefixListID{"pl-2"}) {
		t.Errorf("lists %v, removed %v", d.Lists, d.RemovedLists)
	}
	if len(d.ENIs)+len(d.Groups)+len(d.Members) > 0 {
		t.Errorf("an edit of a list changes more than lists: %+v", d)
	}
	if d := ruleset.Diff(from, view("10.0.0.0/24")); !d.Empty() {
		t.Errorf("nothing changed: %+v", d)
	}
}

// TestMemberPatch: what a View knows of its members' difference holds between the two maps alone that it
// was made of and from.
func TestMemberPatch(t *testing.T) {
	member := func(id vpc.InterfaceID) ruleset.Member { return ruleset.Member{ID: id} }
	first, err := (*ruleset.View)(nil).Apply(ruleset.Delta{To: 1, Members: map[vpc.InterfaceID]ruleset.Member{"eni-1": member("eni-1"), "eni-2": member("eni-2")}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Apply(ruleset.Delta{
		From: 1, To: 2, Members: map[vpc.InterfaceID]ruleset.Member{"eni-3": member("eni-3")}, RemovedMembers: []vpc.InterfaceID{"eni-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	third, err := second.Apply(ruleset.Delta{From: 2, To: 3})
	if err != nil {
		t.Fatal(err)
	}
	var compiler ruleset.Compiler
	tables, _ := compiler.Compile(second)
	unmoved, _ := compiler.Compile(third)
	for name, tt := range map[string]struct {
		patch         *ruleset.MemberPatch
		before, after ruleset.Members
		want          []vpc.InterfaceID
		ok            bool
	}{
		"these two":         {tables.Patch, first.Members, second.Members, []vpc.InterfaceID{"eni-1", "eni-3"}, true},
		"one and the same":  {nil, first.Members, first.Members, nil, true},
		"nothing changed":   {unmoved.Patch, second.Members, third.Members, nil, true},
		"the other way":     {tables.Patch, second.Members, first.Members, nil, false},
		"from another":      {tables.Patch, maps.Clone(first.Members), second.Members, nil, false},
		"to another":        {tables.Patch, first.Members, maps.Clone(second.Members), nil, false},
		"nothing is known":  {nil, first.Members, second.Members, nil, false},
		"from none at all":  {tables.Patch, nil, second.Members, nil, false},
		"none at all twice": {nil, nil, nil, nil, true},
	} {
		ids, ok := tt.patch.Between(tt.before, tt.after)
		slices.Sort(ids)
		if ok != tt.ok || !slices.Equal(ids, tt.want) {
			t.Errorf("%s: %v, %v, want %v, %v", name, ids, ok, tt.want, tt.ok)
		}
	}
}
