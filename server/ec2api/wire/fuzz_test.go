package wire_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// sayable reports whether XML 1.0 has all characters of a text. Source: XML 1.0, production 2.
func sayable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

// FuzzForm: a form is taken if and only if net/url can read query and body, no parameter is given twice
// (once in each with the same value is once), XML can carry all of it, and it is within bounds.
func FuzzForm(f *testing.F) {
	f.Add("Action=A", "Version=2016-11-15&GroupId.1=sg-1")
	f.Add("a=1&a=1", "")
	f.Add("a=1", "a=1&b=%00")
	f.Add("a=1", "a=2")
	f.Add("", "a=%zz;b=1")
	f.Add("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1", "=&&=")
	f.Add("%ff=1", "x=%EF%BF%BE")
	f.Fuzz(func(t *testing.T, query, body string) {
		q, queryErr := url.ParseQuery(query)
		b, bodyErr := url.ParseQuery(body)
		want := queryErr == nil && bodyErr == nil && strings.Count(query, "&")+strings.Count(body, "&") < 10_000
		names := map[string]bool{}
		for _, part := range []url.Values{q, b} {
			for name, values := range part {
				names[name] = true
				want = want && len(values) == 1 && sayable(name) && sayable(values[0]) && len(name) <= 512 && strings.Count(name, ".") < 16
				if other, both := q[name]; both && !slices.Equal(other, part[name]) {
					want = false
				}
			}
		}
		form, err := wire.ParseForm(query, body)
		if (err == nil) != want {
			t.Fatalf("%q %q: %v, want it taken: %v", query, body, err, want)
		}
		if err != nil {
			typed(t, err)
			return
		}
		for name := range names {
			if (name == "Action" || name == "Version") && !hasBelow(names, name) {
				got, said := map[string]string{"Action": form.Action(), "Version": form.Version()}[name], q.Get(name)
				if !q.Has(name) {
					said = b.Get(name)
				}
				if got != said {
					t.Fatalf("%q %q: %s is %q, want %q", query, body, name, got, said)
				}
			}
		}
		if op, err := wire.Lookup(form); err == nil {
			if _, err := op.Decode(form); err != nil {
				typed(t, err)
			}
		} else {
			typed(t, err)
		}
	})
}

func hasBelow(names map[string]bool, name string) bool {
	for n := range names {
		if strings.HasPrefix(n, name+".") {
			return true
		}
	}
	return false
}
