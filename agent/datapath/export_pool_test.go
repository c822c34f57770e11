package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/sallyport/sallyport/ruleset"
)

// Pool is a pool on a map of its own.
type Pool struct {
	*pool
	m *ebpf.Map
}

// ChunkLines is how many lines a pool grows by.
const ChunkLines = chunkLines

// NewPool makes a pool of so many chunks at most.
func NewPool(chunks uint32) (Pool, error) {
	spec, err := loadGuest()
	if err != nil {
		return Pool{}, err
	}
	outer := spec.Maps[guestMapPool].Copy()
	outer.Pinning, outer.MaxEntries = ebpf.PinNone, chunks
	m, err := ebpf.NewMap(outer)
	if err != nil {
		return Pool{}, err
	}
	p, err := loadPool(m, outer.InnerMap, 0)
	return Pool{p, m}, err
}

// Again is the pool as an agent finds it that begins at an epoch.
func (p Pool) Again(epoch uint64) (Pool, error) {
	next, err := loadPool(p.m, p.spec, epoch)
	return Pool{next, p.m}, err
}

// Close ends it; the map stays for the next.
func (p Pool) Close() error { return p.close() }

// Alloc, Release, Publish and DropFormer are the pool's own.
func (p Pool) Alloc(count uint32) (uint32, error) { return p.alloc(count) }
func (p Pool) Release(first, count uint32)        { p.release(first, count) }
func (p Pool) Publish() error                     { return p.publish() }
func (p Pool) DropFormer() error                  { return p.dropFormer() }
func (p Pool) Words(number uint32) *[16]uint32    { return &p.line(number).Words }
func (p Pool) Used() uint32                       { return p.used }
func (p Pool) Spans() int                         { return len(p.spans) }

// Chunks are the numbers of the chunks that the programs find.
func (p Pool) Chunks() (numbers []uint32, err error) {
	var number, id uint32
	it := p.m.Iterate()
	for it.Next(&number, &id) {
		numbers = append(numbers, number)
	}
	return numbers, it.Err()
}

// Tree writes a tree of ranges, which have no two neighbours with one value, and returns what refers to
// it and how many lines it has, the last of which is its root's.
func Tree(p Pool, ends, values []uint32) (root, lines uint32, err error) {
	r := ranges{ends, values}
	lines = r.lines()
	if lines == 0 {
		return 0, 0, nil
	}
	first, err := p.alloc(lines)
	if err != nil {
		return 0, 0, err
	}
	t, err := r.write(p.pool, first)
	return uint32(t), lines, err
}

// FreeTree frees what Tree made.
func (p Pool) FreeTree(root, lines uint32) {
	if lines > 0 {
		p.release(root>>treeLevelsBits-lines+1, lines)
	}
}

// AddressTrees writes the trees of CIDRs, in order, each with a value.
func (p Pool) AddressTrees(cidrs []netip.Prefix, values []uint32) (ipv4, ipv6 uint32, free func(), err error) {
	var cut cutter
	cut.begin()
	for i, c := range cidrs {
		family := &cut.ipv6
		if c.Addr().Is4() {
			family = &cut.ipv4
		}
		family.add(firstPoint(c), uint8(c.Bits()), values[i])
	}
	trees, block, err := cut.write(p.pool)
	return trees.Ipv4, trees.Ipv6, func() { p.release(block.first, block.count) }, err
}

// NextWord marks a value that refers to a tree over the next word.
const NextWord = nextWord

// Search is the programs' own search, in a program of its own.
type Search struct{ program *ebpf.Program }

// NewSearch loads the search in the trees of a pool.
func NewSearch(p Pool) (Search, error) {
	const function = "tree_value"
	spec, err := loadGuest()
	if err != nil {
		return Search{}, err
	}
	// The tree and the number stand where the frame has its MAC addresses.
	instructions := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		asm.LoadMem(asm.R3, asm.R1, 76, asm.Word), // data and data_end of struct __sk_buff
		asm.LoadMem(asm.R4, asm.R1, 80, asm.Word),
		asm.Mov.Reg(asm.R5, asm.R3),
		asm.Add.Imm(asm.R5, 12),
		asm.JGT.Reg(asm.R5, asm.R4, "end"),
		asm.LoadMem(asm.R1, asm.R3, 0, asm.Word),
		asm.LoadMem(asm.R2, asm.R3, 8, asm.Word),
		asm.Call.Label(function),
		asm.Return().WithSymbol("end"),
	}
	found := false
	for _, instruction := range spec.Programs["to_guest"].Instructions {
		if symbol := instruction.Symbol(); symbol != "" {
			if found && symbol != function {
				break
			}
			found = symbol == function
		}
		if !found {
			continue
		}
		symbol, reference := instruction.Symbol(), instruction.Reference()
		instruction.Metadata = asm.Metadata{} // its types are those of another program
		if instruction.IsLoadFromMap() {
			if reference != guestMapPool {
				return Search{}, fmt.Errorf("%s looks at the map %s", function, reference)
			}
			if err := instruction.AssociateMap(p.m); err != nil {
				return Search{}, err
			}
		}
		if symbol != "" {
			instruction = instruction.WithSymbol(symbol)
		}
		instructions = append(instructions, instruction)
	}
	if len(instructions) == 10 {
		return Search{}, errors.New("there is no such function")
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: instructions})
	return Search{program}, err
}

// Find returns the value of a number in a tree.
func (s Search) Find(root, x uint32) (uint32, error) {
	return s.program.Run(&ebpf.RunOptions{Data: searched(root, x)})
}

// Time is how long one of n searches takes.
func (s Search) Time(root, x, n uint32) (time.Duration, error) {
	start := time.Now()
	_, err := s.program.Run(&ebpf.RunOptions{Data: searched(root, x), Repeat: n})
	return time.Since(start) / time.Duration(n), err
}

func searched(root, x uint32) []byte {
	frame := make([]byte, 64)
	binary.NativeEndian.PutUint32(frame, root)
	binary.NativeEndian.PutUint32(frame[8:], x)
	return frame
}

// Close ends it.
func (s Search) Close() error { return s.program.Close() }

// PortSets are those of a pool.
type PortSets struct{ *portSets }

// PortSets makes the port sets of a pool.
func (p Pool) PortSets() PortSets { return PortSets{newPortSets(p.pool)} }

// Store and Release are the port sets' own.
func (s PortSets) Store(list []ruleset.Interval, everyone map[uint32]bool) (uint32, error) {
	t, err := s.store(list, everyone)
	return uint32(t), err
}
func (s PortSets) Release(root uint32) { s.release(tree(root)) }
