package vpc

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What a list shows: objects of one type, filtered and sorted by properties. A property is a filter of
// the type's Describe call, or one of those in resourcefields.go.

// ResourceFilter is one condition on an object.
type ResourceFilter struct {
	Property string // "": free text, in any of the properties that the type has for it
	Operator string // one of resourceOperators; "": contains
	Value    string
}

// ResourceQuery asks for a page of the objects of one type.
type ResourceQuery struct {
	Type       string           // security-group, network-interface, …
	Scope      []ResourceFilter // hold in any case
	Filters    []ResourceFilter
	Any        bool   // one of Filters is enough
	SortBy     string // a property; "": in order of creation
	Descending bool   // objects without a value come last all the same
	Offset     int
	Max        int
}

// Resources are the ids of a page, and how many objects there are in all.
type Resources struct {
	IDs     []string
	Matched int // pass scope and filters
	Total   int // pass the scope
}

// SelectResources returns the objects that pass, in the order that is asked for; equal ones by id.
func (s *State) SelectResources(q ResourceQuery) (Resources, error) {
	t, err := resourceTypeNamed(q.Type)
	if err != nil {
		return Resources{}, err
	}
	return t.choose(s.remembering(), q)
}

// ResourceValueQuery asks which values a property has.
type ResourceValueQuery struct {
	Type     string
	Property string
	Contains string // without regard to case; "": all
	Scope    []ResourceFilter
	Max      int
}

// ResourceValue is a value and the number of objects that have it.
type ResourceValue struct {
	Value string
	Count int
}

// ResourceValues returns the values in their order, and whether there are more.
func (s *State) ResourceValues(q ResourceValueQuery) (values []ResourceValue, more bool, err error) {
	t, err := resourceTypeNamed(q.Type)
	if err != nil {
		return nil, false, err
	}
	return t.values(s.remembering(), q)
}

func resourceTypeNamed(name string) (resourceLister, error) {
	t, ok := resourceTypes[name]
	if !ok {
		return nil, errValue(name, "resourceType")
	}
	return t, nil
}

// resourceLister is a resourceType with its objects' type erased.
type resourceLister interface {
	choose(*State, ResourceQuery) (Resources, error)
	values(*State, ResourceValueQuery) ([]ResourceValue, bool, error)
}

// resourceType is one type of object as lists see it.
type resourceType[T any] struct {
	all     func(*State) iter.Seq[T]
	id      func(T) string
	created func(T) string // an order
	fields  Fields[T]
	tags    func(T) Tags
	text    []string // the properties that free text looks at, besides the tags
}

func (t resourceType[T]) choose(s *State, q ResourceQuery) (Resources, error) {
	scope, err := t.where(s, q.Scope, false)
	if err != nil {
		return Resources{}, err
	}
	where, err := t.where(s, q.Filters, q.Any)
	if err != nil {
		return Resources{}, err
	}
	order, err := t.order(s, q.SortBy)
	if err != nil {
		return Resources{}, err
	}
	if q.Offset < 0 {
		return Resources{}, errValue(q.Offset, "offset")
	}
	if q.Max < 1 || q.Max > maxPage {
		return Resources{}, errValue(q.Max, "maxResults")
	}
	type sorted struct{ key, id string }
	var found []sorted
	var out Resources
	for o := range t.all(s) {
		if !scope(o) {
			continue
		}
		out.Total++
		if where(o) {
			found = append(found, sorted{order(o), t.id(o)})
		}
	}
	out.Matched = len(found)
	slices.SortFunc(found, func(a, b sorted) int {
		c := strings.Compare(a.key, b.key)
		switch {
		case c == 0:
			return strings.Compare(a.id, b.id)
		case a.key == "":
			return 1
		case b.key == "":
			return -1
		case q.Descending:
			return -c
		}
		return c
	})
	for _, f := range found[min(q.Offset, len(found)):min(q.Offset+q.Max, len(found))] {
		out.IDs = append(out.IDs, f.id)
	}
	return out, nil
}

func (t resourceType[T]) values(s *State, q ResourceValueQuery) ([]ResourceValue, bool, error) {
	scope, err := t.where(s, q.Scope, false)
	if err != nil {
		return nil, false, err
	}
	field := t.fields.field(q.Property, t.tags)
	if field == nil {
		return nil, false, errValue(q.Property, "propertyKey")
	}
	if q.Max < 1 || q.Max > maxPage {
		return nil, false, errValue(q.Max, "maxResults")
	}
	counts := map[string]int{}
	seen := map[string]bool{} // of one object, which may have thousands
	for o := range t.all(s) {
		if !scope(o) {
			continue
		}
		clear(seen)
		for _, v := range field(s, o) {
			if v != "" && !seen[v] {
				seen[v] = true
				counts[v]++
			}
		}
	}
	wanted := strings.ToLower(q.Contains)
	type sorted struct {
		key string
		ResourceValue
	}
	var found []sorted
	kind := kindOf(q.Property)
	for v, n := range counts {
		if strings.Contains(strings.ToLower(v), wanted) {
			found = append(found, sorted{kind.key(v), ResourceValue{v, n}})
		}
	}
	slices.SortFunc(found, func(a, b sorted) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	var out []ResourceValue
	for _, f := range found[:min(q.Max, len(found))] {
		out = append(out, f.ResourceValue)
	}
	return out, len(found) > q.Max, nil
}

// order returns what objects are sorted by; "" for one without a value.
func (t resourceType[T]) order(s *State, property string) (func(T) string, error) {
	if property == "" {
		return t.created, nil
	}
	field := t.fields.field(property, t.tags)
	if field == nil {
		return nil, errValue(property, "sortBy")
	}
	kind := kindOf(property)
	return func(o T) string {
		if values := field(s, o); len(values) > 0 && values[0] != "" {
			return kind.key(values[0])
		}
		return ""
	}, nil
}

// maxResourceFilters bounds what one call may cost: each is looked at for every object, and free text in some fifteen
// of its properties. 200 of them on 100,000 interfaces took half a minute.
const maxResourceFilters = 20

// where returns the test for all of the filters, or for any. No filter lets everything pass.
func (t resourceType[T]) where(s *State, filters []ResourceFilter, anyOf bool) (func(T) bool, error) {
	if len(filters) > maxResourceFilters {
		return nil, Errorf(CodeFilterLimitExceeded,
			"The maximum number of filters of one list is %d", maxResourceFilters)
	}
	tests := make([]func(T) bool, len(filters))
	for i, f := range filters {
		test, err := t.test(s, f)
		if err != nil {
			return nil, err
		}
		tests[i] = test
	}
	return func(o T) bool {
		for _, test := range tests {
			if test(o) == anyOf {
				return anyOf
			}
		}
		return !anyOf || len(tests) == 0
	}, nil
}

// test returns the test of one filter. A negation holds if the plain condition does not, so also for an
// object without a value.
func (t resourceType[T]) test(s *State, f ResourceFilter) (func(T) bool, error) {
	kind := kindOf(f.Property)
	match, negated, err := kind.match(f.Operator, f.Value)
	if err != nil {
		return nil, err
	}
	if f.Property == "" {
		return func(o T) bool { return t.anywhere(s, o, match) != negated }, nil
	}
	field := t.fields.field(f.Property, t.tags)
	if field == nil {
		return nil, Errorf(CodeInvalidParameterValue, "The filter '%s' is invalid", f.Property)
	}
	if f.Value == "" && strings.HasSuffix(f.Operator, "=") { // has it no value?
		return func(o T) bool {
			empty := !slices.ContainsFunc(field(s, o), func(v string) bool { return v != "" })
			return empty != negated
		}, nil
	}
	return func(o T) bool { return slices.ContainsFunc(field(s, o), match) != negated }, nil
}

func (t resourceType[T]) anywhere(s *State, o T, match func(string) bool) bool {
	for _, name := range t.text {
		if slices.ContainsFunc(t.fields[name](s, o), match) {
			return true
		}
	}
	for k, v := range t.tags(o) {
		if match(k) || match(v) {
			return true
		}
	}
	return false
}

// propertyKind says how the texts of a property are compared.
type propertyKind uint8

const (
	textKind    propertyKind = iota // without regard to case
	numberKind                      // by value
	addressKind                     // addresses and blocks, by value
)

// key returns what sorts as the values do. It is never "".
func (k propertyKind) key(v string) string {
	switch k {
	case numberKind:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return string(binary.BigEndian.AppendUint64(nil, uint64(n)^1<<63))
		}
	case addressKind:
		if p, ok := readBlock(v); ok {
			a := p.Addr().As16()
			family := byte(4)
			if p.Addr().Is6() {
				family = 6
			}
			return string(append(append([]byte{family}, a[:]...), byte(p.Bits())))
		}
	case textKind:
	}
	return strings.ToLower(v)
}

// readBlock reads an address, as the block of it alone, or a block.
func readBlock(v string) (netip.Prefix, bool) {
	if strings.Contains(v, "/") {
		p, err := netip.ParsePrefix(v)
		return p.Masked(), err == nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// match returns the test of one value, and whether the filter wants it not to hold.
func (k propertyKind) match(operator, value string) (test func(string) bool, negated bool, err error) {
	lower := strings.ToLower(value)
	plain := strings.TrimPrefix(operator, "!")
	negated = plain != operator
	switch plain {
	case "=":
		if p, ok := readBlock(value); ok && k == addressKind { // however it is spelled
			value = p.String()
			if !strings.Contains(lower, "/") {
				value = p.Addr().String()
			}
		}
		return func(v string) bool { return v == value }, negated, nil
	case ":", "":
		if p, ok := readBlock(value); ok && k == addressKind && strings.Contains(value, "/") {
			return func(v string) bool {
				inner, ok := readBlock(v)
				return ok && p.Bits() <= inner.Bits() && p.Contains(inner.Addr())
			}, negated, nil
		}
		return func(v string) bool { return strings.Contains(strings.ToLower(v), lower) }, negated, nil
	case "^":
		return func(v string) bool { return strings.HasPrefix(strings.ToLower(v), lower) }, negated, nil
	}
	bound := k.key(value)
	compare := map[string]func(int) bool{
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
	}[operator]
	if compare == nil {
		return nil, false, errValue(operator, "operator")
	}
	if k == numberKind {
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return nil, false, errValue(value, "value")
		}
	}
	if k == addressKind {
		if _, ok := readBlock(value); !ok {
			return nil, false, errValue(value, "value")
		}
	}
	return func(v string) bool { return compare(strings.Compare(k.key(v), bound)) }, false, nil
}
