package datapath

import (
	"crypto/sha256"
	"fmt"

	"github.com/cilium/ebpf"
)

// numbersAtOnce is how many numbers one write of the counter reserves. Those that a dead agent had
// reserved and not used are lost, which costs nothing.
const numbersAtOnce = 1024

// names gives numbers to ENIs and tables: the same to the next agent, and
// never one twice while the machine is up. It is a mirror of the map; callers hold the lock.
type names struct {
	m        *ebpf.Map
	known    map[guestNameKey]guestName
	last     uint32 // drawn
	reserved uint32 // as the map says
}

func loadNames(m *ebpf.Map) (*names, error) {
	n := &names{m: m, known: map[guestNameKey]guestName{}}
	var key guestNameKey
	var value guestName
	for it := m.Iterate(); ; {
		if !it.Next(&key, &value) {
			if err := it.Err(); err != nil {
				return nil, fmt.Errorf("read names: %w", err)
			}
			break
		}
		n.known[key] = value
	}
	n.last = n.known[guestNameKey{}].Number
	n.reserved = n.last
	delete(n.known, guestNameKey{})
	return n, nil
}

func nameKey(kind guestKind, name string) guestNameKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", kind, name))
	return guestNameKey{Hash: [16]uint8(sum[:])}
}

// draw returns a number that nothing has had yet.
func (n *names) draw() (uint32, error) {
	if n.last == n.reserved {
		if n.reserved > ^uint32(0)-numbersAtOnce {
			return 0, fmt.Errorf("draw a number: all %d are used up; they start anew with the machine", n.reserved)
		}
		value := guestName{Number: n.reserved + numbersAtOnce, Kind: guestKindKIND_LAST}
		if err := n.m.Put(guestNameKey{}, value); err != nil {
			return 0, fmt.Errorf("draw a number: %w", full(err, n.m))
		}
		n.reserved += numbersAtOnce
	}
	n.last++
	return n.last, nil
}

// find returns the number of a name, or 0.
func (n *names) find(kind guestKind, name string) uint32 {
	return n.known[nameKey(kind, name)].Number
}

// put records a number that was drawn.
func (n *names) put(kind guestKind, name string, number uint32) error {
	key, value := nameKey(kind, name), guestName{Number: number, Kind: kind}
	if err := n.m.Put(key, value); err != nil {
		return fmt.Errorf("record a name: %w", full(err, n.m))
	}
	n.known[key] = value
	return nil
}

// number returns the number of a name, a new one if it has none.
func (n *names) number(kind guestKind, name string) (uint32, error) {
	if number := n.find(kind, name); number != 0 {
		return number, nil
	}
	number, err := n.draw()
	if err != nil {
		return 0, err
	}
	return number, n.put(kind, name, number)
}

// retain forgets the names of a kind whose numbers are not kept. Their numbers stay used.
func (n *names) retain(kind guestKind, keep func(number uint32) bool) error {
	for key, value := range n.known {
		if value.Kind != kind || keep(value.Number) {
			continue
		}
		if err := n.forget(key); err != nil {
			return err
		}
	}
	return nil
}

// forget removes a name, if there is one.
func (n *names) forget(key guestNameKey) error {
	if _, ok := n.known[key]; !ok {
		return nil
	}
	if err := deleteKey(n.m, key); err != nil {
		return fmt.Errorf("forget a name: %w", err)
	}
	delete(n.known, key)
	return nil
}
