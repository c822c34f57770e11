package vpc

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// randomObject returns an object of one of few ids, so that they are often replaced, with index
// values of few kinds, so that they are often shared.
func randomObject(r *rand.Rand) Object {
	some := func(prefix string) string { return fmt.Sprintf("%s-%d", prefix, r.IntN(5)) }
	switch r.IntN(6) {
	case 0:
		return &VPC{ID: VPCID(some("vpc"))}
	case 1:
		return &Subnet{ID: SubnetID(some("subnet")), VPC: VPCID(some("vpc"))}
	case 2:
		g := &SecurityGroup{ID: GroupID(some("sg")), VPC: VPCID(some("vpc")), Name: some("Name")}
		for range r.IntN(10) {
			g.Rules = append(g.Rules, Rule{ID: RuleID(some("sgr")), Peer: Peer{Group: GroupID(some("sg"))}})
		}
		return g
	case 3:
		e := &NetworkInterface{ID: InterfaceID(some("eni")), VPC: VPCID(some("vpc")), Subnet: SubnetID(some("subnet"))}
		e.Groups = []GroupID{GroupID(some("sg")), GroupID(some("sg"))} // perhaps the same twice
		e.IPv4 = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(5))})}
		if r.IntN(2) == 0 {
			e.Attachment = &Attachment{ID: AttachmentID(some("eni-attach")), Instance: InstanceID(some("i"))}
			e.Binding = &Binding{Host: HostID(some("host"))}
			e.ClientToken = some("token")
		}
		return e
	case 4:
		i := &Instance{ID: InstanceID(some("i")), Host: HostID(some("host")), ClientToken: some("token")}
		if r.IntN(2) == 0 {
			i.State = Terminated
		}
		return i
	default:
		return &Installation{NextRule: r.Uint32()}
	}
}

// However a State came to be, its index and counts are those of a State made of its objects at once.
func TestApplyKeepsTheIndexTrue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := new(State)
	for range 300 {
		before := dump(s)
		var c Change
		used := map[Key]bool{}
		for range r.IntN(5) {
			if o := randomObject(r); !used[o.Key()] {
				used[o.Key()] = true
				if r.IntN(3) == 0 {
					c.Deletes = append(c.Deletes, o.Key())
				} else {
					c.Puts = append(c.Puts, o)
				}
			}
		}
		next := s.Apply(c, s.Revision()+1)
		if after := dump(s); !slices.Equal(before, after) {
			t.Fatalf("Apply changed its receiver:\n%v\n%v", before, after)
		}
		afresh := new(State).Apply(Change{Puts: slices.Collect(next.Objects())}, next.Revision())
		if got, want := dump(next), dump(afresh); !slices.Equal(got, want) {
			t.Fatalf("after %+v:\ngot  %v\nwant %v", c, got, want)
		}
		s = next
	}
}

// dump is all that a State holds.
func dump(s *State) []string {
	var out []string
	for o := range s.Objects() {
		out = append(out, fmt.Sprintf("%v %+v", o.Key(), o))
	}
	index := s.index
	index.Scan(func(k string, _ struct{}) bool {
		out = append(out, fmt.Sprintf("%q", k))
		return true
	})
	for _, k := range slices.Sorted(maps.Keys(s.counts)) {
		if s.counts[k] != 0 {
			out = append(out, fmt.Sprint(k, s.counts[k]))
		}
	}
	return append(out, fmt.Sprintf("%p", s.installation))
}

func TestDraftWritesEachKeyOnce(t *testing.T) {
	kept, gone, put := &VPC{ID: "vpc-kept"}, &VPC{ID: "vpc-gone"}, &VPC{ID: "vpc-put"}
	s := new(State).Apply(Change{Puts: []Object{kept, gone}}, 7)
	d := s.draft()
	d.put(kept)                               // as it is: nothing to write
	d.put(&VPC{ID: "vpc-passing"})            // comes
	d.delete((&VPC{ID: "vpc-passing"}).Key()) // and goes
	d.put(&VPC{ID: "vpc-put", IsDefault: true})
	d.put(put)
	d.put(&VPC{ID: "vpc-gone", IsDefault: true})
	d.delete(gone.Key(), Key{KindVPC, "vpc-never"})
	if d.VPC("vpc-gone") != nil || d.VPC("vpc-put") != put || s.VPC("vpc-gone") == nil {
		t.Error("the draft does not show its own steps, or they reach the State it began with")
	}
	c := d.change()
	if len(c.Puts) != 1 || c.Puts[0] != Object(put) || len(c.Deletes) != 1 || c.Deletes[0] != gone.Key() {
		t.Errorf("got %+v, want vpc-put put and vpc-gone deleted", c)
	}
}

func TestParseIDs(t *testing.T) {
	tests := []struct {
		text, want string
		parse      func(string) error
	}{
		{"sg-0123456789abcdef0", "", parse(ParseGroupID)},
		{"sg-01234567", "", parse(ParseGroupID)},
		{"sg-0123456", `InvalidGroupId.Malformed: Invalid id: "sg-0123456" (expecting "sg-...")`, parse(ParseGroupID)},
		{"sg-0123456789ABCDEF0", `InvalidGroupId.Malformed: Invalid id: "sg-0123456789ABCDEF0" (expecting "sg-...")`, parse(ParseGroupID)},
		{"sgr-01234567", `InvalidGroupId.Malformed: Invalid id: "sgr-01234567" (expecting "sg-...")`, parse(ParseGroupID)},
		{"", `InvalidSecurityGroupRuleId.Malformed: Invalid id: "" (expecting "sgr-...")`, parse(ParseRuleID)},
		{"x", `InvalidVpcID.Malformed: Invalid id: "x" (expecting "vpc-...")`, parse(ParseVPCID)},
		{"x", `InvalidSubnetID.Malformed: Invalid id: "x" (expecting "subnet-...")`, parse(ParseSubnetID)},
		{"x", `InvalidNetworkInterfaceId.Malformed: Invalid id: "x" (expecting "eni-...")`, parse(ParseInterfaceID)},
		{"eni-attach-01234567", `InvalidNetworkInterfaceId.Malformed: Invalid id: "eni-attach-01234567" (expecting "eni-...")`, parse(ParseInterfaceID)},
		{"eni-01234567", `InvalidNetworkInterfaceAttachmentId.Malformed: Invalid id: "eni-01234567" (expecting "eni-attach-...")`, parse(ParseAttachmentID)},
		{"x", `InvalidInstanceID.Malformed: Invalid id: "x" (expecting "i-...")`, parse(ParseInstanceID)},
		{"x", `InvalidPrefixListId.Malformed: Invalid id: "x" (expecting "pl-...")`, parse(ParsePrefixListID)},
		{RandomID("i"), "", parse(ParseInstanceID)},
	}
	for _, tt := range tests {
		got := ""
		if err := tt.parse(tt.text); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func parse[T any](fn func(string) (T, error)) func(string) error {
	return func(s string) error { _, err := fn(s); return err }
}

// matchSlowly is pattern.match as its definition reads.
func matchSlowly(p pattern, s []rune) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	switch p[0].kind {
	case anyRun:
		return matchSlowly(p[1:], s) || len(s) > 0 && matchSlowly(p, s[1:])
	case anyOne:
		return len(s) > 0 && matchSlowly(p[1:], s[1:])
	default:
		return len(s) > 0 && s[0] == p[0].char && matchSlowly(p[1:], s[1:])
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"", "*", "a*b", `\*`, `a\`, "*a*b*", "?ä"} {
		f.Add(p, "aabab")
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 12 || len(s) > 24 {
			t.Skip("too long for the slow way")
		}
		if got, want := newPattern(p).match(s), matchSlowly(newPattern(p), []rune(s)); got != want {
			t.Errorf("%q matches %q: got %v, want %v", p, s, got, want)
		}
	})
}

func TestPatternIsFast(t *testing.T) {
	var p, s string
	for range 100 {
		p += "a*"
	}
	for range 5000 {
		s += "a"
	}
	if newPattern(p + "b").match(s) { // 2^100 ways to fail, if each were tried
		t.Error("a match without a b")
	}
}

// However a State came to be, it knows what may differ from an earlier one, or says that it does not.
func TestChangedSince(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := new(State).Apply(Change{Puts: []Object{&Installation{}}}, 1)
	type write struct {
		to   int64 // revision
		keys []Key
	}
	var writes []write
	knew, forgot, number := 0, 0, 0
	for range 500 {
		next, made := s, write{to: s.revision + 1 + r.Int64N(3)}
		for range 1 + r.IntN(3) { // a transaction of so many updates
			number++
			put, gone := &VPC{ID: VPCID(fmt.Sprintf("vpc-%d", number))}, Key{KindVPC, fmt.Sprintf("vpc-%d", number-1)}
			c := Change{Puts: []Object{put}, Deletes: []Key{gone}}
			if r.IntN(100) == 0 { // a large one
				for range mostStepKeys {
					c.Deletes = append(c.Deletes, Key{KindUser, "nobody"})
				}
			}
			before := next
			next = before.Apply(c, before.revision)
			_ = before.Apply(Change{Puts: []Object{randomObject(r)}}, before.revision) // one that is not written
			made.keys = append(made.keys, put.Key(), gone)
		}
		s = next.Apply(Change{}, made.to)
		writes = append(writes, made)
		for i := len(writes) - 1; i > 0; i-- { // back to what it has forgotten
			since := writes[i-1].to
			keys, ok := s.ChangedSince(since)
			if !ok {
				forgot++
				break
			}
			knew++
			for _, w := range writes[i:] {
				for _, k := range w.keys {
					if !slices.Contains(keys, k) {
						t.Fatalf("revision %d does not know that revision %d, after %d, changed %v", s.revision, w.to, since, k)
					}
				}
			}
		}
	}
	if knew < 5000 || forgot < 300 {
		t.Errorf("it knew %d times and did not %d times: the test is too narrow", knew, forgot)
	}
	if keys, ok := s.ChangedSince(s.revision); !ok || len(keys) > 0 {
		t.Errorf("since itself: %v, %v", keys, ok)
	}
	// Read anew, at once or in pages, it knows nothing of what was before.
	for _, read := range []*State{
		new(State).Apply(Change{Puts: slices.Collect(s.Objects())}, s.revision),
		new(State).Apply(Change{}, s.revision).Apply(Change{Puts: slices.Collect(s.Objects())}, s.revision),
	} {
		if _, ok := read.ChangedSince(s.revision - 1); ok {
			t.Error("a State that was read at once knows what was before")
		}
	}
}
