package datapath

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// RuleCount is what one rule has let through on one ENI, in its direction and, of tracked
// connections, back.
type RuleCount struct {
	ENI            vpc.InterfaceID
	Rule           uint32    // vpc.Rule.Number
	Packets, Bytes uint64    // a segmented packet counts its segments; bytes are from the IP header on
	Connections    uint64    // flows that began, untracked ones too
	First, Last    time.Time // to the second
}

// RuleCounts returns what was counted by rule since the ENI was attached, of rules that had a packet,
// sorted by ENI and number. Values live through restarts of the agent and only grow; those of a rule
// that is not in force any more go with its last connection. Where a host has too many pairs of ENI
// and rule, what found no room is counted together, under the empty id and number 0.
func (d *Datapath) RuleCounts() ([]RuleCount, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wall, err := d.wallClock()
	if err != nil {
		return nil, err
	}
	counts, err := d.rules.read()
	if err != nil {
		return nil, err
	}
	enis := map[uint32]vpc.InterfaceID{}
	for slot, a := range d.slots {
		enis[d.enis[slot].Number] = a.ENI
	}
	var list []RuleCount
	add := func(eni vpc.InterfaceID, rule, at uint32) {
		if c := counts[at]; c.Packets != 0 {
			list = append(list, RuleCount{
				ENI: eni, Rule: rule, Packets: c.Packets, Bytes: c.Bytes, Connections: c.Connections,
				First: wall(c.First).Truncate(time.Second), Last: wall(c.Last).Truncate(time.Second),
			})
		}
	}
	add("", 0, 0)
	for key, at := range d.rules.at {
		if eni := enis[key.eni]; eni != "" {
			add(eni, key.rule, at)
		}
	}
	slices.SortFunc(list, func(a, b RuleCount) int { return cmp.Or(cmp.Compare(a.ENI, b.ENI), cmp.Compare(a.Rule, b.Rule)) })
	return list, nil
}

// ruleKey is a rule as it is counted.
type ruleKey struct{ eni, rule uint32 } // the ENI's number

// The twins of what bpf/maps.h says of struct rule_line.
const (
	ruleFactor   = 0x9e3779b97f4a7c15
	ruleInverse  = 0xf1de83e19937733d // ruleFactor times that is 1
	ruleLineBits = int(guestLimitRULE_LINE_BITS)
)

// word is the line of a key, and what stands there, without a place.
func (k ruleKey) word() (line, word uint64) {
	x := (uint64(k.eni)<<32 | uint64(k.rule)) * ruleFactor
	return x >> (64 - ruleLineBits), x << ruleLineBits
}

// ruleKeyOf is the key of a word in a line, and its place.
func ruleKeyOf(line int, word uint64) (k ruleKey, place uint32) {
	x := (uint64(line)<<(64-ruleLineBits) | word>>ruleLineBits) * ruleInverse
	return ruleKey{eni: uint32(x >> 32), rule: uint32(x)}, uint32(word & (1<<ruleLineBits - 1))
}

// rulePlaces says where each rule is counted on each ENI: the mirror of rule_places. Place 0 is what
// the rules share that found no room. Callers hold the lock.
type rulePlaces struct {
	lines  []guestRuleLine // shared memory
	counts *ebpf.Map
	log    *slog.Logger
	cpus   int
	at     map[ruleKey]uint32
	of     map[uint32][]uint32 // by number of the ENI: its rules that have a place, sorted
	free   []uint32            // places that nobody has; the next is the last
	placed map[uint32]uint64   // by number of the ENI: the tables word all of whose rules have their place
	idle   map[uint32]bool     // places of rules not in force that nothing named when it was last looked
	full   bool                // so it was said
	// At this epoch every rule that has a place was in force.
	noneRetired bool
	looked      uint64
}

func loadRulePlaces(lines []guestRuleLine, counts *ebpf.Map, log *slog.Logger) (*rulePlaces, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("read rule counters: %w", err)
	}
	p := &rulePlaces{
		lines: lines, counts: counts, log: log, cpus: cpus,
		at: map[ruleKey]uint32{}, of: map[uint32][]uint32{}, placed: map[uint32]uint64{}, idle: map[uint32]bool{},
	}
	taken := make([]bool, counts.MaxEntries())
	for line := range lines {
		for _, word := range lines[line].Words {
			if word == 0 {
				continue
			}
			key, place := ruleKeyOf(line, word)
			if place == 0 || int(place) >= len(taken) || taken[place] {
				return nil, fmt.Errorf("read rule counters: rule %d of ENI number %d has place %d", key.rule, key.eni, place)
			}
			p.at[key], taken[place] = place, true
			p.of[key.eni] = append(p.of[key.eni], key.rule)
		}
	}
	for _, rules := range p.of {
		slices.Sort(rules)
	}
	for place := len(taken) - 1; place > 0; place-- {
		if !taken[place] {
			p.free = append(p.free, uint32(place))
		}
	}
	return p, nil
}

// place gives each rule of the two tables in an ENI's word a place, before a packet can be judged by it. Where
// there is no room, and on any error, the rule is counted in place 0: no rule waits for its counter.
func (p *rulePlaces) place(eni uint32, word uint64, tables map[uint32]*table) {
	if p.placed[eni] == word || p.full && len(p.free) == 0 {
		return
	}
	var keys []ruleKey
	for _, direction := range []int{32, 0} {
		had := p.of[eni]
		for _, rule := range tables[uint32(word>>direction)].ruleNumbers() {
			for len(had) > 0 && had[0] < rule {
				had = had[1:]
			}
			if len(had) == 0 || had[0] != rule {
				keys = append(keys, ruleKey{eni, rule})
			}
		}
	}
	room := min(len(keys), len(p.free))
	placed, err := p.put(keys[:room])
	if placed == len(keys) {
		p.placed[eni] = word
		return
	}
	delete(p.placed, eni) // tried again with the next change
	if !p.full {
		p.full = true
		p.log.Warn("rules are counted together: no room for their counters", "uncounted", len(keys)-placed, "room", p.counts.MaxEntries()-1, "err", err)
	}
}

// put writes the places of so many rules as it can, zeroed before.
func (p *rulePlaces) put(keys []ruleKey) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	places := slices.Clone(p.free[len(p.free)-len(keys):])
	if _, err := p.counts.BatchUpdate(places, make([]guestRuleCount, len(keys)*p.cpus), nil); err != nil {
		return 0, fmt.Errorf("zero rule counters: %w", err)
	}
	n := 0
	more := map[uint32]bool{}
	for _, key := range keys {
		line, word := key.word()
		words := &p.lines[line].Words
		at := slices.Index(words[:], 0)
		if at < 0 {
			continue
		}
		atomic.StoreUint64(&words[at], word|uint64(places[n]))
		p.at[key] = places[n]
		p.of[key.eni] = append(p.of[key.eni], key.rule)
		more[key.eni] = true
		n++
	}
	p.free = slices.Delete(p.free, len(p.free)-len(places), len(p.free)-len(places)+n)
	for eni := range more {
		slices.Sort(p.of[eni])
	}
	return n, nil
}

// drop frees the places of rules that no packet can name any more.
func (p *rulePlaces) drop(gone func(ruleKey, uint32) bool) {
	fewer := map[uint32]bool{}
	defer func() {
		for eni := range fewer {
			delete(p.placed, eni)
			p.of[eni] = slices.DeleteFunc(p.of[eni], func(rule uint32) bool { return p.at[ruleKey{eni, rule}] == 0 })
			if len(p.of[eni]) == 0 {
				delete(p.of, eni)
			}
		}
	}()
	for key, place := range p.at {
		if !gone(key, place) {
			continue
		}
		line, word := key.word()
		words := &p.lines[line].Words
		atomic.StoreUint64(&words[slices.Index(words[:], word|uint64(place))], 0)
		delete(p.at, key)
		fewer[key.eni] = true
		p.free = append(p.free, place)
		p.full = false
	}
}

// read sums what all CPUs counted, by place.
func (p *rulePlaces) read() (map[uint32]guestRuleCount, error) {
	const batch = 1024
	sums := make(map[uint32]guestRuleCount, len(p.at)+1)
	wanted := make(map[uint32]bool, len(p.at)+1)
	wanted[0] = true
	highest := uint32(0)
	for _, place := range p.at {
		wanted[place] = true
		highest = max(highest, place)
	}
	keys, values := make([]uint32, batch), make([]guestRuleCount, batch*p.cpus)
	var cursor ebpf.MapBatchCursor
	for done := uint32(0); done <= highest; {
		n, err := p.counts.BatchLookup(&cursor, keys, values, nil)
		last := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return nil, fmt.Errorf("read rule counters: %w", err)
		}
		for i, place := range keys[:n] {
			if wanted[place] {
				sums[place] = sumOf(values[i*p.cpus : (i+1)*p.cpus])
			}
		}
		if last || n == 0 {
			break
		}
		done += uint32(n)
	}
	return sums, nil
}

func sumOf(cpus []guestRuleCount) (sum guestRuleCount) {
	for _, c := range cpus {
		sum.Packets += c.Packets
		sum.Bytes += c.Bytes
		sum.Connections += c.Connections
		if c.First != 0 && (sum.First == 0 || c.First < sum.First) {
			sum.First = c.First
		}
		sum.Last = max(sum.Last, c.Last)
	}
	return sum
}

// ruleNumbers returns the rules that a table can name, sorted; nil has none.
func (t *table) ruleNumbers() []uint32 {
	if t == nil {
		return nil
	}
	if t.rules == nil && t.source != nil {
		t.rules = rulesOf(t.source)
	}
	return t.rules
}

func rulesOf(t *ruleset.Table) []uint32 {
	numbers := make([]uint32, 0, len(t.CIDRs))
	add := func(intervals []ruleset.Interval) {
		for _, i := range intervals {
			numbers = append(numbers, i.Rule)
		}
	}
	for _, c := range t.CIDRs {
		add(c.Ports)
	}
	for _, intervals := range t.Lists {
		add(intervals)
	}
	for _, intervals := range t.Peers {
		add(intervals)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// freeRuleCounters frees the places of rules that are not in force on their ENI any more and that no
// connection names. It looks twice, with a grace period between: a packet on its way may carry a
// place from a connection that is gone to the fragments behind it.
func (d *Datapath) freeRuleCounters() error {
	epoch, retired, slots := d.retiredPlaces()
	if len(retired) == 0 {
		return nil
	}
	if err := gracePeriod(); err != nil {
		return err
	}
	for slot := range slots {
		if err := d.eachPlace(slot, func(place uint32) { delete(retired, place) }); err != nil {
			return fmt.Errorf("free rule counters: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil || d.state.Epoch != epoch || d.pending { // what was not in force may be so again
		return nil
	}
	d.rules.drop(func(_ ruleKey, place uint32) bool { return retired[place] && d.rules.idle[place] })
	maps.DeleteFunc(retired, func(place uint32, _ bool) bool { return d.rules.idle[place] })
	d.rules.idle = retired
	return nil
}

// retiredPlaces returns the places of rules that are not in force in an epoch, and the slots of their
// ENIs. While a change is not settled there are none: a packet may be judged by what was before.
func (d *Datapath) retiredPlaces() (epoch uint64, retired map[uint32]bool, slots map[uint32]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil || d.applied == nil || d.pending || d.rules.noneRetired && d.rules.looked == d.state.Epoch {
		return 0, nil, nil
	}
	inForce, slotOf := map[ruleKey]bool{}, map[uint32]uint32{}
	for slot := range d.slots {
		eni := &d.enis[slot]
		slotOf[eni.Number] = slot
		word := eni.Config[d.epoch()].Tables
		for _, number := range []uint32{uint32(word >> 32), uint32(word)} {
			if t := d.tables.byNumber[number]; t != nil {
				for _, rule := range t.ruleNumbers() {
					inForce[ruleKey{eni.Number, rule}] = true
				}
			}
		}
	}
	retired, slots = map[uint32]bool{}, map[uint32]bool{}
	for key, place := range d.rules.at {
		if inForce[key] {
			continue
		}
		retired[place] = true
		if slot, ok := slotOf[key.eni]; ok {
			slots[slot] = true
		}
	}
	d.rules.noneRetired, d.rules.looked = len(retired) == 0, d.state.Epoch
	return d.state.Epoch, retired, slots
}

// eachPlace calls visit with the place of each rule that something of a slot passes by. What moves
// on meanwhile moves to what is read later.
func (d *Datapath) eachPlace(slot uint32, visit func(place uint32)) error {
	if err := d.visit(slot, func(v visited) error {
		if v.flags()&guestConnectionFlagCONNECTION_CUT != 0 {
			return nil
		}
		visit(v.connection.By.Counter)
		if v.flags()&guestConnectionFlagCONNECTION_UNTRACKED != 0 {
			visit(v.connection.Answer.Counter)
		}
		return nil
	}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.private[slot]
	if !ok {
		return nil
	}
	size := 2 * int(p.fragments.MaxEntries()) // a bucket never holds more
	keys, values := make([]guestFragmentKey, size), make([]guestFragment, size)
	var cursor ebpf.MapBatchCursor
	n, err := p.fragments.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read fragments: %w", err)
	}
	for _, f := range values[:n] {
		visit(f.By.Counter)
	}
	return nil
}
