package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// pool is the memory of what packets are judged by, in lines of 64 bytes that the programs find by
// number. A block is written once, while nothing refers to it; what refers to it counts by epoch; and
// it is released after a grace period. So the pool itself needs no epoch, and grows by a chunk without
// a word of what is in force being moved. Callers hold the lock.
//
// What a former agent wrote is never read: its chunks stay while its last epoch counts, beside ours.
type pool struct {
	m      *ebpf.Map            // the chunks, by number
	spec   *ebpf.MapSpec        // of a chunk
	chunks [][]guestLine        // by number; nil: not ours
	former map[uint32]bool      // chunks of the agent before
	made   map[uint32]*ebpf.Map // ours that the programs do not find yet
	spans  []span               // of free lines: never adjacent, the lowest last
	used   uint32               // lines
}

// span is some lines that follow each other, of however many chunks.
type span struct{ first, count uint32 }

// chunkLines is how many lines a chunk has.
const chunkLines = uint32(guestLimitCHUNK_LINES)

// loadPool begins a pool at an epoch. Of what former agents have left it keeps what is in force: agents may have
// died before they put theirs in force, or before they had removed what theirs stands for.
func loadPool(m *ebpf.Map, spec *ebpf.MapSpec, epoch uint64) (*pool, error) {
	spec = spec.Copy()
	spec.Name = fmt.Sprintf(chunkName, epoch)
	p := &pool{m: m, spec: spec, chunks: make([][]guestLine, m.MaxEntries()), former: map[uint32]bool{}, made: map[uint32]*ebpf.Map{}}
	begun := map[uint32]uint64{} // by chunk: the epoch at which its agent began
	newest := uint64(0)          // of those that were put in force
	for chunk := range m.MaxEntries() {
		var id ebpf.MapID
		err := m.Lookup(chunk, &id)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err == nil {
			begun[chunk], err = chunkBegun(id)
		}
		if err != nil {
			return nil, fmt.Errorf("read the pool: %w", err)
		}
		p.former[chunk] = true
		if begun[chunk] < epoch {
			newest = max(newest, begun[chunk])
		}
	}
	left := &pool{m: m, former: map[uint32]bool{}}
	for chunk, at := range begun {
		if at == epoch || at < newest {
			left.former[chunk] = true
			delete(p.former, chunk)
		}
	}
	if len(left.former) == 0 {
		return p, nil
	}
	return p, errors.Join(gracePeriod(), left.dropFormer())
}

// chunkName is the name of a chunk, with the epoch at which its agent began: what that agent puts in force is so from a
// later one on.
const chunkName = "pool_%x"

func chunkBegun(id ebpf.MapID) (epoch uint64, err error) {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return 0, err
	}
	info, err := m.Info()
	if err == nil {
		_, err = fmt.Sscanf(info.Name, chunkName, &epoch)
	}
	return epoch, errors.Join(err, m.Close())
}

// line is a line that was allocated.
func (p *pool) line(number uint32) *guestLine {
	return &p.chunks[number/chunkLines][number%chunkLines]
}

// alloc returns the number of the first of some lines that follow each other. What they hold is left
// over from before. It never returns 0, which refers to nothing.
func (p *pool) alloc(count uint32) (uint32, error) {
	for i := len(p.spans) - 1; i >= 0; i-- {
		s := &p.spans[i]
		if s.count < count {
			continue
		}
		first := s.first
		s.first += count
		s.count -= count
		if s.count == 0 {
			p.spans = slices.Delete(p.spans, i, i+1)
		}
		p.used += count
		return first, nil
	}
	if err := p.grow(count); err != nil {
		return 0, err
	}
	return p.alloc(count)
}

// release frees lines that no packet can find any more.
func (p *pool) release(first, count uint32) {
	if count == 0 {
		return
	}
	p.used -= count
	p.add(span{first, count})
}

func (p *pool) add(s span) {
	// i is the lowest of those above, i-1 … is counted from the end: the list descends.
	i, _ := slices.BinarySearchFunc(p.spans, s.first, func(v span, first uint32) int {
		return int(int64(first) - int64(v.first))
	})
	if i > 0 && s.first+s.count == p.spans[i-1].first {
		s.count += p.spans[i-1].count
		p.spans = slices.Delete(p.spans, i-1, i)
		i--
	}
	if i < len(p.spans) && p.spans[i].first+p.spans[i].count == s.first {
		p.spans[i].count += s.count
		return
	}
	p.spans = slices.Insert(p.spans, i, s)
}

// grow makes chunks that follow each other, for so many lines and one more.
func (p *pool) grow(lines uint32) error {
	var first int
	need := int(lines/chunkLines) + 1
	for number, run := 0, 0; ; number++ {
		if number == len(p.chunks) {
			return fmt.Errorf("no room for %d more lines in a pool of %d: the map is full with %d entries",
				lines, len(p.chunks)*int(chunkLines), len(p.chunks))
		}
		if run++; p.chunks[number] != nil || p.former[uint32(number)] {
			run = 0
		}
		if run == need {
			first = number - need + 1
			break
		}
	}
	for number := first; number < first+need; number++ {
		m, err := ebpf.NewMap(p.spec)
		if err != nil {
			return fmt.Errorf("make room for %d more lines: %w", lines, err)
		}
		memory, err := mapArray[[chunkLines]guestLine](m)
		if err != nil {
			return errors.Join(fmt.Errorf("make room for %d more lines: %w", lines, err), m.Close())
		}
		p.made[uint32(number)], p.chunks[number] = m, memory[0][:]
		s := span{uint32(number) * chunkLines, chunkLines}
		if number == 0 { // its first line refers to nothing
			s = span{1, chunkLines - 1}
		}
		p.add(s)
	}
	return nil
}

// publish makes the programs find all that was allocated. It comes before anything refers to that.
func (p *pool) publish() error {
	// At once, where the kernel can: it waits for a grace period after each call.
	var numbers, files []uint32
	for number, m := range p.made {
		numbers, files = append(numbers, number), append(files, uint32(m.FD()))
	}
	var atOnce bool
	if len(numbers) > 1 {
		_, err := p.m.BatchUpdate(numbers, files, nil)
		atOnce = err == nil
	}
	for number, m := range p.made {
		if !atOnce {
			if err := p.m.Put(number, m); err != nil {
				return fmt.Errorf("give the programs more lines: %w", err)
			}
		}
		delete(p.made, number)
		if err := m.Close(); err != nil {
			return fmt.Errorf("give the programs more lines: %w", err)
		}
	}
	return nil
}

// dropFormer removes what the agent before had written. No packet may look there any more.
func (p *pool) dropFormer() error {
	for number := range p.former {
		if err := deleteKey(p.m, number); err != nil {
			return fmt.Errorf("free the lines of the agent before: %w", err)
		}
		delete(p.former, number)
	}
	return nil
}

func (p *pool) close() error {
	var errs []error
	for number, memory := range p.chunks {
		if memory != nil {
			errs = append(errs, unmapArray(memory))
			p.chunks[number] = nil
		}
	}
	for _, m := range p.made {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
