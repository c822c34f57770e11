package vpc

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestIPv6EgressOfUnmodifiedGroups(t *testing.T) {
	n := 0
	env := Env{Now: time.Unix(0, 0), ID: func(p string) string { n++; return fmt.Sprintf("%s-%017x", p, n) }}
	v := &VPC{ID: "vpc-1"}
	d := new(State).Apply(Change{Puts: []Object{&Installation{NextRule: 1}, v, &VPC{ID: "vpc-2"}}}, 1).draft()
	if err := d.addDefaultGroup(env, v); err != nil {
		t.Fatal(err)
	}
	modified, err := d.newGroup(env, v, "modified", "d", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *modified
	c.EgressModified = true
	d.put(&c)
	elsewhere, err := d.newGroup(env, d.VPC("vpc-2"), "elsewhere", "d", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time every group has it
		if err := d.addIPv6Egress(env, v.ID); err != nil {
			t.Fatal(err)
		}
	}
	texts := func(g *SecurityGroup) (out []string) {
		for _, r := range g.Rules {
			out = append(out, fmt.Sprint(r.Number, " ", r.Peer))
		}
		return out
	}
	standard := d.DefaultGroup(v.ID)
	if got, want := texts(standard), []string{"1 0.0.0.0/0", "2 " + string(standard.ID), "5 ::/0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, id := range []GroupID{modified.ID, elsewhere.ID} {
		if got := d.SecurityGroup(id); len(got.Rules) != 1 {
			t.Errorf("%s: got %v, want the one rule it had", got.Name, texts(got))
		}
	}
	if standard.EgressModified {
		t.Error("the rule counts as a change of the egress rules")
	}
}
