package vpc

import (
	"slices"
	"strings"
)

// Filter is one condition of a Describe call: the object must have one of the values under the
// name. In a value * stands for any run of characters, ? for one, a backslash takes the meaning
// from the character after it. Names and values are case-sensitive.
type Filter struct {
	Name   string
	Values []string
}

const maxFilterValues = 200 // on a single call

// Fields are the filters that one kind of object knows: by name, the values that an object has
// under it. An object without a value matches no filter of that name.
type Fields[T any] map[string]func(*State, T) []string

// Where returns the test for all of the filters. tags, nil for what has none, adds tag:<key> and
// tag-key. A name that is not in f is refused with InvalidParameterValue.
func (f Fields[T]) Where(s *State, filters []Filter, tags func(T) Tags) (func(T) bool, error) {
	n := 0
	for _, filter := range filters {
		n += len(filter.Values)
	}
	if n > maxFilterValues {
		return nil, Errorf(CodeFilterLimitExceeded,
			"The maximum number of filter values specified on a single call is %d", maxFilterValues)
	}
	tests := make([]func(T) bool, 0, len(filters))
	for i, filter := range filters {
		field := f.field(filter.Name, tags)
		if field == nil {
			return nil, Errorf(CodeInvalidParameterValue, "The filter '%s' is invalid", filter.Name)
		}
		if len(filter.Values) == 0 { // never "everything": the caller may be about to delete the answer
			return nil, Errorf(CodeMissingParameter, "The request must contain the parameter Filter.%d.Value", i+1)
		}
		wanted := newWanted(filter.Values)
		tests = append(tests, func(o T) bool { return slices.ContainsFunc(field(s, o), wanted.match) })
	}
	return func(o T) bool {
		for _, test := range tests {
			if !test(o) {
				return false
			}
		}
		return true
	}, nil
}

func (f Fields[T]) field(name string, tags func(T) Tags) func(*State, T) []string {
	if tags != nil {
		if name == "tag-key" {
			return func(_ *State, o T) []string {
				var keys []string
				for k := range tags(o) {
					keys = append(keys, k)
				}
				return keys
			}
		}
		if key, ok := strings.CutPrefix(name, "tag:"); ok && key != "" {
			return func(_ *State, o T) []string {
				if v, ok := tags(o)[key]; ok {
					return []string{v}
				}
				return nil
			}
		}
	}
	return f[name]
}

// wanted are the values of one filter.
type wanted struct {
	exact    map[string]bool
	patterns []pattern // those with wildcards
}

func newWanted(values []string) wanted {
	w := wanted{exact: make(map[string]bool, len(values))}
	for _, v := range values {
		p := newPattern(v)
		if text, ok := p.text(); ok {
			w.exact[text] = true
		} else {
			w.patterns = append(w.patterns, p)
		}
	}
	return w
}

func (w wanted) match(v string) bool {
	return w.exact[v] || slices.ContainsFunc(w.patterns, func(p pattern) bool { return p.match(v) })
}

// pattern is a filter value, taken apart.
type pattern []token

type token struct {
	char rune
	kind tokenKind
}

type tokenKind uint8

const (
	literal tokenKind = iota
	anyOne            // ?
	anyRun            // *
)

func newPattern(s string) pattern {
	var p pattern
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			p, escaped = append(p, token{char: c}), false
		case c == '\\':
			escaped = true
		case c == '?':
			p = append(p, token{kind: anyOne})
		case c == '*':
			p = append(p, token{kind: anyRun})
		default:
			p = append(p, token{char: c})
		}
	}
	if escaped { // nothing follows it: it means itself
		p = append(p, token{char: '\\'})
	}
	return p
}

// text returns what p stands for if it has no wildcard.
func (p pattern) text() (string, bool) {
	var b strings.Builder
	for _, t := range p {
		if t.kind != literal {
			return "", false
		}
		b.WriteRune(t.char)
	}
	return b.String(), true
}

// match goes back to the last * only: at most len(p) × len(s) steps, whatever the pattern.
func (p pattern) match(s string) bool {
	text := []rune(s)
	i, j := 0, 0           // next of p, next of text
	star, resume := -1, -1 // the last *, and where the text goes on if it takes one more character
	for j < len(text) {
		switch {
		case i < len(p) && p[i].kind == anyRun:
			star, resume = i, j
			i++
		case i < len(p) && (p[i].kind == anyOne || p[i].kind == literal && p[i].char == text[j]):
			i++
			j++
		case star >= 0:
			resume++
			i, j = star+1, resume
		default:
			return false
		}
	}
	for i < len(p) && p[i].kind == anyRun {
		i++
	}
	return i == len(p)
}
