package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/ruleset"
)

// Layout 3: connections in kernel maps of each ENI, established ones and half-open ones apart. Its
// structs are as they were, and change no more; testdata/layout3.o has its programs.

type layout3Device struct {
	Ifindex uint32
	Mode    guestDeviceMode
	Name    [16]int8
	Eni     [32]int8
}

type layout3ConnectionKey struct {
	LocalPort, RemotePort uint16
	Protocol              uint8
	Family                uint8
	Query                 uint8
	Pad                   uint8
	Local, Remote         guestAddress
}

type layout3Admission struct {
	Rule    uint32
	Counter uint32 // its place in rule_counts
}

type layout3Connection struct {
	Created, Seen  uint64
	Packets, Bytes [2]uint64
	Revision       uint64
	Tables         uint64
	By             [2]layout3Admission
	Flags          guestConnectionFlag
	Next           [2]uint32
	Pad            uint32
}

type layout3Counts struct {
	Packets  [32]uint64
	Observed uint64
}

type layout3EventBudget struct{ WholeAt, Lost uint64 }

type layout3RuleKey struct{ Eni, Rule uint32 }

type layout3RuleCount struct {
	Packets, Bytes, Connections uint64
	First, Last                 uint64
}

// layout3Eni is the size of a struct eni.
const layout3Eni = 152

func openLayout3(dir string) (*older, error) {
	m, err := openOlder(dir, layout3Eni, slices.Concat(countedMaps, []string{"connections", "half_open"})...)
	if err != nil {
		return nil, err
	}
	m.connections = func(visit func(uint32, bool, layout3ConnectionKey, layout3Connection) error) error {
		for slot, a := range m.devices {
			for _, name := range []string{"connections", "half_open"} {
				if a.ENI == "" {
					continue
				}
				if err := inside(m.byName[name], uint32(slot), func(inner *ebpf.Map) error {
					return each(inner, func(k layout3ConnectionKey, c layout3Connection) error {
						return visit(uint32(slot), name == "connections", k, c)
					})
				}); err != nil {
					return fmt.Errorf("%s of slot %d: %w", name, slot, err)
				}
			}
		}
		return nil
	}
	return m.readCounted()
}

// countedMaps are those of what is counted, in this layout and the next.
var countedMaps = []string{"counters", "event_budgets", "rule_slots", "rule_counts"}

// readCounted reads them, and closes all maps if it fails.
func (m *olderMaps) readCounted() (*older, error) {
	m.counts = func(slot uint32, direction ruleset.Direction) (cpus []layout3Counts, err error) {
		err = m.byName["counters"].Lookup(2*slot+uint32(direction), &cpus)
		return cpus, err
	}
	m.lost = func(slot uint32) (uint64, error) {
		var budget layout3EventBudget
		err := m.byName["event_budgets"].Lookup(slot, &budget)
		return budget.Lost, err
	}
	m.ruleCounts = func(place uint32) (cpus []layout3RuleCount, err error) {
		err = m.byName["rule_counts"].Lookup(place, &cpus)
		return cpus, err
	}
	if err := each(m.byName["rule_slots"], func(k layout3RuleKey, place uint32) error {
		if slot, ok := m.slots[k.Eni]; ok {
			m.rules = append(m.rules, countedRule{slot, k.Rule, place})
		}
		return nil
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("read rule_slots: %w", err), m.close())
	}
	return m.older, nil
}

// inside gives f the map that a map of maps has at a place, if it has one.
func inside(outer *ebpf.Map, at uint32, f func(inner *ebpf.Map) error) error {
	var inner *ebpf.Map
	err := outer.Lookup(at, &inner)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f(inner), inner.Close())
}

// convert says what a connection is in our layout. Its rules are counted at the places that ours have
// for them, by the older ones; 0 if they have none.
//
// Numbers of tables are another layout's, and might be those of other tables here: what the rules say of
// an untracked flow is asked of ours, as after each change.
func (k layout3ConnectionKey) convert(c layout3Connection, places map[uint32]uint32) guestOverflow {
	tag := uint64(c.Flags)
	connection := guestConnection{Created: uint32(c.Created), Seen: uint32(c.Seen), Next: c.Next}
	connection.setKey(guestConnectionKey{
		LocalPort: k.LocalPort, RemotePort: k.RemotePort, Protocol: k.Protocol, Family: k.Family, Query: k.Query,
		Local: k.Local, Remote: k.Remote,
	})
	*connection.revisionAt() = c.Revision
	connection.setCounts(&tag, c.Packets, c.Bytes)
	first, answer := c.By[ruleset.Ingress], c.By[ruleset.Egress]
	if c.Flags&guestConnectionFlagCONNECTION_BY_GUEST != 0 {
		first, answer = answer, first
	}
	connection.By.Rule, connection.By.Counter = first.Rule, places[first.Counter]
	connection.Answer.Rule, connection.Answer.Counter = answer.Rule, places[answer.Counter]
	return guestOverflow{Tag: tag, Connection: connection}
}
