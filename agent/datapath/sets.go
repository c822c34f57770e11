package datapath

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/vpc"
)

// set is a member set, which of the groups that are named on this host a member is in, or a set of
// the prefix lists that hold an address. It is known by its number, by which each table has what it
// allows it: numbers are small, and used again once no packet can come by the old meaning.
type set struct {
	groups []vpc.GroupID // sorted
	lists  []vpc.PrefixListID
	name   string
	born   uint64 // counts up from 1; 0: the number is free
}

// sets are those that members and prefix lists refer to. Number 0 is none.
type sets struct {
	of      []set // by number
	numbers map[string]uint32
	free    []uint32
	born    uint64   // of the youngest
	young   []uint32 // by age, the youngest last; those that are gone stay until there are many
}

func newSets() *sets { return &sets{of: make([]set, 1), numbers: map[string]uint32{}} }

// groups returns the number of the set of some groups, sorted.
func (s *sets) groups(ids []vpc.GroupID) uint32 {
	return s.number(set{groups: ids, name: "groups " + setName(ids)})
}

// lists returns the number of a set of prefix lists, sorted.
func (s *sets) lists(ids []vpc.PrefixListID) uint32 {
	return s.number(set{lists: ids, name: "lists " + setName(ids)})
}

func (s *sets) number(v set) uint32 {
	if number, ok := s.numbers[v.name]; ok {
		return number
	}
	number := uint32(len(s.of))
	if n := len(s.free); n > 0 {
		number, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.of = append(s.of, set{})
	}
	s.born++
	v.born = s.born
	s.of[number], s.numbers[v.name] = v, number
	s.young = append(s.young, number)
	return number
}

// since returns the sets that are younger than one, the youngest first.
func (s *sets) since(born uint64) (numbers []uint32) {
	for i := len(s.young) - 1; i >= 0 && s.of[s.young[i]].born > born; i-- {
		numbers = append(numbers, s.young[i])
	}
	return numbers
}

// drop frees the numbers of sets that nothing refers to any more.
func (s *sets) drop(numbers []uint32) {
	for _, number := range numbers {
		delete(s.numbers, s.of[number].name)
		s.of[number] = set{}
		s.free = append(s.free, number)
	}
	if len(numbers) > 0 {
		s.young = slices.DeleteFunc(s.young, func(number uint32) bool { return s.of[number].born == 0 })
	}
}

// unkept returns the sets that are not kept.
func (s *sets) unkept(keep func(number uint32) bool) (numbers []uint32) {
	for _, number := range s.young {
		if !keep(number) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func setName[ID ~string](ids []ID) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(string(id))
		b.WriteByte(' ')
	}
	return b.String()
}
