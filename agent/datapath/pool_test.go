package datapath_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/agent/datapath"
)

func newPool(t *testing.T, chunks uint32) datapath.Pool {
	t.Helper()
	p, err := datapath.NewPool(chunks)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// TestPool allocates and releases at random: no line is given twice, what is written stays, and when
// all is released the pool is whole again.
func TestPool(t *testing.T) {
	t.Parallel()
	type block struct{ first, count uint32 }
	p := newPool(t, 8)
	r := rand.New(rand.NewPCG(1, 1))
	var blocks []block
	used := uint32(0)
	check := func(b block) {
		for line := b.first; line < b.first+b.count; line++ {
			if got := p.Words(line)[0]; got != b.first {
				t.Fatalf("line %d of the block at %d belongs to %d", line, b.first, got)
			}
		}
	}
	for range 20_000 {
		count := uint32(1 + r.IntN(3))
		if r.IntN(50) == 0 {
			count = uint32(1 + r.IntN(int(datapath.ChunkLines)*3/2))
		}
		if r.IntN(2) == 0 && used+count < 4*datapath.ChunkLines {
			first, err := p.Alloc(count)
			must(t, err)
			if first == 0 {
				t.Fatal("line 0 was given")
			}
			for line := first; line < first+count; line++ {
				p.Words(line)[0] = first
			}
			blocks = append(blocks, block{first, count})
			used += count
		} else if len(blocks) > 0 {
			i := r.IntN(len(blocks))
			check(blocks[i])
			p.Release(blocks[i].first, blocks[i].count)
			used -= blocks[i].count
			blocks = slices.Delete(blocks, i, i+1)
		}
		if p.Used() != used {
			t.Fatalf("%d lines are used, want %d", p.Used(), used)
		}
	}
	for _, b := range blocks {
		check(b)
		p.Release(b.first, b.count)
	}
	if p.Used() != 0 || p.Spans() != 1 {
		t.Errorf("with nothing allocated %d lines are used, and %d spans are free", p.Used(), p.Spans())
	}
}

// TestPoolNext: the programs find what was published and nothing before, and a next agent leaves that
// alone until it is dropped.
func TestPoolNext(t *testing.T) {
	t.Parallel()
	p := newPool(t, 6)
	found := func(p datapath.Pool, want ...uint32) {
		t.Helper()
		got, err := p.Chunks()
		must(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("the programs find chunks %v, want %v", got, want)
		}
	}
	big, err := p.Alloc(datapath.ChunkLines + 5)
	must(t, err)
	found(p)
	must(t, p.Publish())
	found(p, 0, 1)
	must(t, p.Publish())

	next, err := p.Again(1)
	must(t, err)
	defer func() { must(t, next.Close()) }()
	first, err := next.Alloc(1)
	must(t, err)
	if first < 2*datapath.ChunkLines {
		t.Errorf("line %d was given: it is the former agent's", first)
	}
	_, err = next.Alloc(4 * datapath.ChunkLines)
	mustFail(t, err, "more than there is room for")
	if !strings.Contains(err.Error(), "full with 6 entries") {
		t.Errorf("got %v, which does not say what is full", err)
	}
	must(t, next.Publish())
	found(next, 0, 1, 2)
	p.Words(big)[3] = 7
	must(t, next.DropFormer())
	found(next, 2)
	if _, err := next.Alloc(2*datapath.ChunkLines - 1); err != nil {
		t.Errorf("what the former agent had is not free: %v", err)
	}
	must(t, next.Publish())
	found(next, 0, 1, 2)
	if p.Words(big)[3] != 7 {
		t.Error("a chunk that is dropped went from under those who have it mapped")
	}
}

// TestPoolAfterDeaths: agents that die leave nothing but what is in force.
func TestPoolAfterDeaths(t *testing.T) {
	t.Parallel()
	p := newPool(t, 6)
	agent := func(epoch uint64) {
		t.Helper()
		next, err := p.Again(epoch)
		must(t, err)
		_, err = next.Alloc(1)
		must(t, err)
		must(t, next.Publish())
		must(t, next.Close())
	}
	found := func(epoch uint64, want ...uint32) {
		t.Helper()
		next, err := p.Again(epoch)
		must(t, err)
		must(t, next.Close())
		if got, err := p.Chunks(); err != nil || !slices.Equal(got, want) {
			t.Errorf("at epoch %d there are chunks %v, %v; want %v", epoch, got, err, want)
		}
	}
	agent(0) // in force from epoch 1 on
	found(1, 0)
	for range 8 { // die before theirs is
		agent(1)
	}
	found(1, 0)
	agent(1) // in force from epoch 2 on; dies before it has removed the former one's
	found(2, 1)
}
