package datapath

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/sallyport/sallyport/ruleset"
)

// blocks keeps lists of intervals in the intervals map, each content once. It writes memory that no
// packet reads yet; release is for after a grace period.
type blocks struct {
	memory []guestInterval // the map itself
	of     map[string]*block
	at     map[guestPorts]*block
	free   []span // sorted by first, never adjacent
}

type block struct {
	ports   guestPorts
	content string
	uses    int
}

func newBlocks(memory []guestInterval) *blocks {
	return &blocks{
		memory: memory,
		of:     map[string]*block{},
		at:     map[guestPorts]*block{},
		free:   []span{{0, uint32(len(memory))}},
	}
}

// content is a list as a key: its bytes in the map.
func content(list []guestInterval) string {
	if len(list) == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(list)*int(unsafe.Sizeof(list[0]))))
}

// store returns where the list stands, written now if it is new, and counts one use of it. everyone
// has the rules that are for everybody.
func (b *blocks) store(list []ruleset.Interval, everyone map[uint32]bool) (guestPorts, error) {
	if len(list) > int(guestLimitMAX_BLOCK) {
		return guestPorts{}, fmt.Errorf("%d intervals for one peer are more than the %d that are searched", len(list), guestLimitMAX_BLOCK)
	}
	if len(list) == 0 {
		return guestPorts{}, nil
	}
	twin := make([]guestInterval, len(list))
	for i, v := range list {
		twin[i] = guestInterval{From: v.From, To: v.To, Rule: v.Rule}
		if everyone[v.Rule] {
			twin[i].Flags = guestIntervalFlagINTERVAL_EVERYONE
		}
	}
	key := content(twin)
	if found := b.of[key]; found != nil {
		found.uses++
		return found.ports, nil
	}
	need := uint32(len(twin))
	i := slices.IndexFunc(b.free, func(s span) bool { return s.count >= need })
	if i < 0 {
		return guestPorts{}, fmt.Errorf("no room for %d more intervals in a map of %d", need, len(b.memory))
	}
	first := b.free[i].first
	copy(b.memory[first:], twin)
	b.take(i, first, need)
	b.add(&block{ports: guestPorts{First: first, Count: need}, content: key, uses: 1})
	return guestPorts{First: first, Count: need}, nil
}

func (b *blocks) add(v *block) {
	b.of[v.content] = v
	b.at[v.ports] = v
}

// take removes [first, first+count) from the free span i, which holds it.
func (b *blocks) take(i int, first, count uint32) {
	s := b.free[i]
	var rest []span
	if first > s.first {
		rest = append(rest, span{s.first, first - s.first})
	}
	if end := first + count; end < s.first+s.count {
		rest = append(rest, span{end, s.first + s.count - end})
	}
	b.free = slices.Replace(b.free, i, i+1, rest...)
}

// adopt counts one use of a block that a former agent wrote.
func (b *blocks) adopt(ports guestPorts) error {
	if ports.Count == 0 {
		return nil
	}
	if found := b.at[ports]; found != nil {
		found.uses++
		return nil
	}
	i := slices.IndexFunc(b.free, func(s span) bool {
		return s.first <= ports.First && uint64(ports.First)+uint64(ports.Count) <= uint64(s.first)+uint64(s.count)
	})
	if i < 0 {
		return fmt.Errorf("intervals %d to %d belong to two blocks", ports.First, ports.First+ports.Count-1)
	}
	b.take(i, ports.First, ports.Count)
	v := &block{ports: ports, content: content(b.memory[ports.First : ports.First+ports.Count]), uses: 1}
	b.at[ports] = v
	if b.of[v.content] == nil {
		b.of[v.content] = v
	}
	return nil
}

// release takes one use back; the last one frees the block.
func (b *blocks) release(ports guestPorts) {
	v := b.at[ports]
	if v == nil {
		return
	}
	if v.uses--; v.uses > 0 {
		return
	}
	delete(b.at, ports)
	if b.of[v.content] == v {
		delete(b.of, v.content)
	}
	i, _ := slices.BinarySearchFunc(b.free, ports.First, func(s span, first uint32) int {
		return int(int64(s.first) - int64(first))
	})
	b.free = slices.Insert(b.free, i, span{ports.First, ports.Count})
	if i+1 < len(b.free) && b.free[i].first+b.free[i].count == b.free[i+1].first {
		b.free[i].count += b.free[i+1].count
		b.free = slices.Delete(b.free, i+1, i+2)
	}
	if i > 0 && b.free[i-1].first+b.free[i-1].count == b.free[i].first {
		b.free[i-1].count += b.free[i].count
		b.free = slices.Delete(b.free, i, i+1)
	}
}
