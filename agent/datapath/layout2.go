package datapath

import (
	"fmt"

	"github.com/sallyport/sallyport/ruleset"
)

// Layout 2, of the first version: one map of connections and one of half-open ones for all ENIs, no
// untracked flows and no counters of rules. Its structs are as they were, and change no more;
// testdata/layout2.o has its programs.

type layout2ConnectionKey struct {
	Eni                   uint32
	LocalPort, RemotePort uint16
	Protocol              uint8
	Family                uint8
	Query                 uint8
	Pad                   uint8
	Local, Remote         guestAddress
}

type layout2Connection struct {
	Created, Seen  uint64
	Packets, Bytes [2]uint64
	Revision       uint64
	Rule           uint32
	Flags          guestConnectionFlag
	Next           [2]uint32
}

type layout2Counts struct{ Packets [32]uint64 }

// layout2Eni is the size of a struct eni.
const layout2Eni = 136

func openLayout2(dir string) (*older, error) {
	m, err := openOlder(dir, layout2Eni, "connections", "half_open", "counters")
	if err != nil {
		return nil, err
	}
	m.counts = func(slot uint32, direction ruleset.Direction) (all []layout3Counts, err error) {
		var cpus []layout2Counts
		if err := m.byName["counters"].Lookup(2*slot+uint32(direction), &cpus); err != nil {
			return nil, err
		}
		for _, cpu := range cpus {
			all = append(all, layout3Counts{Packets: cpu.Packets})
		}
		return all, nil
	}
	m.lost = func(uint32) (uint64, error) { return 0, nil }
	m.ruleCounts = func(uint32) ([]layout3RuleCount, error) { return nil, nil }
	m.connections = func(visit func(uint32, bool, layout3ConnectionKey, layout3Connection) error) error {
		for _, name := range []string{"connections", "half_open"} {
			if err := each(m.byName[name], func(k layout2ConnectionKey, c layout2Connection) error {
				slot, ok := m.slots[k.Eni]
				if !ok {
					return nil
				}
				key, connection := k.convert(c)
				return visit(slot, name == "connections", key, connection)
			}); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	return m.older, nil
}

// convert says what a connection is in layout 3.
func (k layout2ConnectionKey) convert(c layout2Connection) (layout3ConnectionKey, layout3Connection) {
	direction := ruleset.Ingress
	if c.Flags&guestConnectionFlagCONNECTION_BY_GUEST != 0 {
		direction = ruleset.Egress
	}
	connection := layout3Connection{
		Created: c.Created, Seen: c.Seen, Packets: c.Packets, Bytes: c.Bytes,
		Revision: c.Revision, Flags: c.Flags, Next: c.Next,
	}
	connection.By[direction].Rule = c.Rule
	return layout3ConnectionKey{
		LocalPort: k.LocalPort, RemotePort: k.RemotePort, Protocol: k.Protocol, Family: k.Family, Query: k.Query,
		Local: k.Local, Remote: k.Remote,
	}, connection
}
