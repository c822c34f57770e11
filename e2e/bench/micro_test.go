package main

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
)

// TestProgramsAreSeen proves that no cell can pass in which packets were judged otherwise than its row says.
func TestProgramsAreSeen(t *testing.T) {
	m, err := newMicro(0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	from := cidrRemotes(64)
	l, err := newLone("seen", datapath.Options{}, tablesOf(from.cidrTable(), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	r := &microRun{micro: m}
	for _, family := range families {
		fresh := packets{ipv6: family.ipv6, port: freshPort, remotes: from}
		denied := fresh
		denied.port = forbiddenPort
		old := fresh
		old.one = true
		for _, tt := range []struct {
			name string
			runner
			ok bool
		}{
			{"first packets", runner{"", program{l.toGuest, l}, &fresh, passes, ruleset.ReasonRule}, true},
			{"first packets in the place of established ones", runner{"", program{l.toGuest, l}, &fresh, passes, ruleset.ReasonTracked}, false},
			{"denied", runner{"", program{l.toGuest, l}, &denied, drops, ruleset.ReasonNoRule}, true},
			{"denied in the place of first packets", runner{"", program{l.toGuest, l}, &denied, passes, ruleset.ReasonRule}, false},
			{"one flow in the place of many", runner{"", program{l.toGuest, l}, &old, passes, ruleset.ReasonRule}, false},
			{"an empty program that is said to drop", runner{"", program{m.Empty, nil}, &fresh, drops, 0}, false},
			{"a lookup of what is not there", runner{"", program{m.LookupHash, nil}, &fresh, passes, 0}, false},
		} {
			if _, err := r.judged(tt.runner, 100); (err == nil) != tt.ok || err != nil && !errors.Is(err, errWrong) {
				t.Errorf("%s, %s: %v, want it to pass: %v", family.name, tt.name, err, tt.ok)
			}
		}
	}
}

// TestFlowsDiffer holds the driver against what it is said to do: as many flows as there are.
func TestFlowsDiffer(t *testing.T) {
	m, err := newMicro(0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	for _, ranges := range []int{1, 960} {
		for _, family := range families {
			before, err := m.flows(family.ipv6)
			if err != nil {
				t.Fatal(err)
			}
			const n = 1 << 14
			p := packets{ipv6: family.ipv6, port: uint16(ranges), remotes: cidrRemotes(ranges)}
			if _, err := m.run(program{Program: m.FillMaps}, p, n, passes); err != nil {
				t.Fatal(err)
			}
			after, err := m.flows(family.ipv6)
			if err != nil || after-before != n {
				t.Errorf("%s, %d ranges: %d packets made %d flows: %v", family.name, ranges, n, after-before, err)
			}
		}
	}
}

// flows counts what is in the kernel's hash.
func (m *micro) flows(ipv6 bool) (n int, err error) {
	table := m.Hash4
	if ipv6 {
		table = m.Hash6
	}
	var key, value []byte
	it := table.Iterate()
	for it.Next(&key, &value) {
		n++
	}
	return n, it.Err()
}
