package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// datapathFigures is what one program costs a packet, beside the kernel's own maps, and what changes
// and memory cost.
type datapathFigures struct {
	Empty   []float64 // ns of an empty program with the same harness, which is taken off every value below
	Tables  []*microTable
	Changes []latency
	Memory  []memoryRow
}

// microTable is the rows of one kind of packet.
type microTable struct {
	Name       string
	Candidates []string
	Rows       []*row // ns more than an empty program
}

// The candidates.
const (
	sallyportIn  = "Sallyport in"
	sallyportOut = "Sallyport out"
	kernelHash   = "kernel hash"
	kernelLRU    = "kernel LRU"
	conntrack    = "nf_conntrack"
	aLine        = "a line of memory"
	lruTrie      = "LRU + LPM trie"
	twoTrie      = "hash + LRU + LPM trie"
)

// microSizes is how much of it is measured.
type microSizes struct {
	Packets, Repetitions int
	Flows                []uint32 // established, powers of 2
	CIDRs, Members       []int
	Entries              int // of a prefix list
}

var (
	fullMicro = microSizes{
		Packets: 200_000, Repetitions: 7, Flows: []uint32{1, 1 << 14, 1 << 17},
		CIDRs: []int{1, 960, 100_000}, Members: []int{1000, 100_000, 1_000_000}, Entries: 100_000,
	}
	quickMicro = microSizes{
		Packets: 50_000, Repetitions: 3, Flows: []uint32{1, 1 << 14, 1 << 17},
		CIDRs: []int{1, 960, 100_000}, Members: []int{1000, 100_000}, Entries: 100_000,
	}
)

func (s microSizes) most() (flows uint32, members int) {
	return slices.Max(s.Flows), slices.Max(s.Members)
}

// microRun is a run of the part.
type microRun struct {
	*micro
	sizes  microSizes
	ctx    context.Context
	stderr io.Writer
	f      *datapathFigures
	plain  [2]float64 // memory of a Datapath with one ENI, by both accounts
}

func measureDatapath(ctx context.Context, s microSizes, stderr io.Writer) (_ *datapathFigures, err error) {
	m, err := newMicro(runtime.NumCPU() - 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	r := &microRun{micro: m, sizes: s, ctx: ctx, stderr: stderr, f: &datapathFigures{}}
	for _, part := range []func() error{r.established, r.fresh, r.members, r.changes} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return r.f, nil
}

// runner is what is measured in one cell: a candidate and its packets.
type runner struct {
	name string
	program
	packets *packets // its next goes on from one run to the next
	want    uint32
	reason  ruleset.Reason // of a lone's packets
}

// measure fills a row: the candidates by turns, after an empty program with the same packets.
func (r *microRun) measure(t *microTable, name string, runners []runner) error {
	x := &row{Name: name, Unit: "ns", Values: map[string][]float64{}}
	t.Rows = append(t.Rows, x)
	fmt.Fprintf(r.stderr, "datapath: %s, %s\n", t.Name, name)
	for i := range r.sizes.Repetitions {
		for j := range runners {
			c := runners[(i+j)%len(runners)]
			if r.ctx.Err() != nil {
				return errors.New("interrupted")
			}
			empty, err := r.run(program{Program: r.Empty}, *c.packets, r.sizes.Packets, passes)
			if err != nil {
				return fmt.Errorf("an empty program: %w", err)
			}
			ns, err := r.judged(c, r.sizes.Packets)
			if err != nil {
				return fmt.Errorf("%s, %s, %s: %w", t.Name, name, c.name, err)
			}
			r.f.Empty = append(r.f.Empty, empty)
			x.Values[c.name] = append(x.Values[c.name], ns-empty)
		}
	}
	return nil
}

// judged runs a candidate once, and checks that the packets of a lone were judged for the reason that the
// row is about.
func (r *microRun) judged(c runner, n int) (float64, error) {
	before, err := c.counted()
	if err != nil {
		return 0, err
	}
	ns, err := r.run(c.program, *c.packets, n, c.want)
	if err != nil {
		return 0, err
	}
	if c.packets.mask == 0 && !c.packets.one {
		c.packets.next += uint64(n)
	}
	after, err := c.counted()
	if got := after - before; err == nil && c.of != nil && int(got) != n {
		err = fmt.Errorf("%w: %d of %d packets were judged for the reason %s", errWrong, got, n, c.reason)
	}
	return ns, err
}

// counted is how many packets a lone has judged for the runner's reason.
func (c runner) counted() (uint64, error) {
	if c.of == nil {
		return 0, nil
	}
	counters, err := c.of.d.Counters()
	return counters[eniB][c.reason], err
}

var families = []struct {
	name string
	ipv6 bool
}{{"IPv4", false}, {"IPv6", true}}

// established is packets of flows that are there.
func (r *microRun) established() error {
	var err error
	if r.plain, err = r.emptyENI(); err != nil {
		return err
	}
	t := &microTable{Name: "established", Candidates: []string{sallyportIn, sallyportOut, kernelHash, kernelLRU, conntrack, aLine}}
	r.f.Tables = append(r.f.Tables, t)
	for _, family := range families {
		var filled uint32 // flows in the kernel's own tables so far
		for _, flows := range r.sizes.Flows {
			if err := r.establishedOf(t, family.name, family.ipv6, flows, &filled); err != nil {
				return err
			}
		}
	}
	return nil
}

// emptyENI is the memory of a Datapath with one ENI that has no flows.
func (r *microRun) emptyENI() (u [2]float64, err error) {
	before, err := memoryNow()
	if err != nil {
		return u, err
	}
	l, err := newLone("plain", datapath.Options{}, tablesOf(cidrRemotes(64).cidrTable(), nil))
	if err != nil {
		return u, err
	}
	now, err := memoryNow()
	u[0], u[1] = now.more(before)
	return u, errors.Join(err, l.close())
}

func (r *microRun) establishedOf(t *microTable, family string, ipv6 bool, flows uint32, filled *uint32) (err error) {
	before, err := memoryNow()
	if err != nil {
		return err
	}
	from := cidrRemotes(64)
	l, err := newLone("established", datapath.Options{
		MaxConnections: max(2*flows, datapath.DefaultMaxConnections), MaxHalfOpen: max(2*flows, datapath.DefaultMaxHalfOpen),
	}, tablesOf(from.cidrTable(), nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	in, out := program{l.toGuest, l}, program{l.fromGuest, l}
	p := packets{ipv6: ipv6, port: openPort, remotes: from}
	answers := p
	answers.out = true
	// Twice, so that each is a stream; by parts, as half-open ones displace each other.
	for range 2 {
		const part = 1024
		for p.next = 0; p.next < uint64(flows); p.next += part {
			n := min(part, int(flows))
			answers.next = p.next
			if _, err := r.run(in, p, n, passes); err != nil {
				return fmt.Errorf("begin flows: %w", err)
			}
			if _, err := r.run(out, answers, n, passes); err != nil {
				return fmt.Errorf("answer flows: %w", err)
			}
		}
	}
	if most, _ := r.sizes.most(); flows == most {
		if err := r.memory(before, r.plain, fmt.Sprintf("flow, of an ENI with %s of %s in a table of twice as many", thousands(int(flows)), family), int(flows)); err != nil {
			return err
		}
	}
	for _, fill := range []*ebpf.Program{r.FillMaps, r.FillConntrack} {
		p.next = uint64(*filled)
		if _, err := r.run(program{Program: fill}, p, int(flows-*filled), passes); err != nil {
			return fmt.Errorf("fill the kernel's tables: %w", err)
		}
	}
	*filled = flows
	p.mask, p.one = flows-1, flows == 1
	answers.mask, answers.one = p.mask, p.one
	return r.measure(t, establishedName(family, int(flows)), []runner{
		{sallyportIn, in, &p, passes, ruleset.ReasonTracked},
		{sallyportOut, out, &answers, passes, ruleset.ReasonTracked},
		{kernelHash, program{Program: r.LookupHash}, &p, passes, 0},
		{kernelLRU, program{Program: r.LookupLru}, &p, passes, 0},
		{conntrack, program{Program: r.LookupConntrack}, &p, passes, 0},
		{aLine, program{Program: r.CountLine}, &p, passes, 0},
	})
}

func establishedName(family string, flows int) string {
	if flows == 1 {
		return family + ", 1 flow"
	}
	return fmt.Sprintf("%s, %s flows by chance", family, thousands(flows))
}

// fresh is the first packet of a flow, the entry for it included.
func (r *microRun) fresh() error {
	t := &microTable{Name: "first packet", Candidates: []string{sallyportIn, lruTrie, twoTrie}}
	r.f.Tables = append(r.f.Tables, t)
	for _, n := range r.sizes.CIDRs {
		from := cidrRemotes(n)
		if err := r.fillTries(from); err != nil {
			return err
		}
		l, err := newLone("fresh", datapath.Options{}, tablesOf(from.cidrTable(), nil))
		if err != nil {
			return err
		}
		err = r.freshOf(t, l, from, cidrsName(n))
		if err := errors.Join(err, l.close()); err != nil {
			return err
		}
	}
	// The same addresses in one prefix list that one rule names, in each family.
	from := cidrRemotes(r.sizes.Entries)
	if err := r.fillTries(from); err != nil {
		return err
	}
	const list vpc.PrefixListID = "pl-00000000000000001"
	empty := tablesOf(&ruleset.Table{Direction: ruleset.Ingress, Lists: map[vpc.PrefixListID][]ruleset.Interval{list: allowedPorts(1)}},
		map[vpc.PrefixListID][]netip.Prefix{list: {}})
	l, err := newLone("fresh", datapath.Options{}, empty)
	if err != nil {
		return err
	}
	full := empty
	full.Revision++
	full.Lists = map[vpc.PrefixListID][]netip.Prefix{list: slices.Concat(from.cidrs(false), from.cidrs(true))}
	err = func() error {
		before, err := memoryNow()
		if err != nil {
			return err
		}
		if err := l.d.Apply(full, nil); err != nil {
			return err
		}
		if err := r.memory(before, [2]float64{}, fmt.Sprintf("entry of a prefix list of %s, IPv4 and IPv6 by halves", thousands(2*r.sizes.Entries)), 2*r.sizes.Entries); err != nil {
			return err
		}
		return r.freshOf(t, l, from, fmt.Sprintf("%s list entries", thousands(r.sizes.Entries)))
	}()
	return errors.Join(err, l.close())
}

func cidrsName(n int) string {
	if n == 1 {
		return "1 CIDR"
	}
	return thousands(n) + " CIDRs"
}

func (r *microRun) freshOf(t *microTable, l *lone, from remotes, name string) error {
	for _, family := range families {
		p := packets{ipv6: family.ipv6, port: freshPort, remotes: from}
		reference := p // of both: they share their LRU
		if err := r.measure(t, family.name+", "+name, []runner{
			{sallyportIn, program{l.toGuest, l}, &p, passes, ruleset.ReasonRule},
			{lruTrie, program{Program: r.OpenLru}, &reference, passes, 0},
			{twoTrie, program{Program: r.OpenTwo}, &reference, passes, 0},
		}); err != nil {
			return err
		}
	}
	return nil
}

// fillTries makes the reference's tries hold what the rules of a table do.
func (r *microRun) fillTries(from remotes) error {
	for _, f := range []struct {
		ipv6 bool
		trie *ebpf.Map
	}{{false, r.Cidrs4}, {true, r.Cidrs6}} {
		for _, c := range from.cidrs(f.ipv6) {
			key := referenceLpmKey{Bits: uint32(c.Bits()), Address: words(c.Addr())}
			if err := f.trie.Put(key, uint64(openPort)<<32|freshPort); err != nil {
				return fmt.Errorf("fill a trie: %w", err)
			}
		}
	}
	return nil
}

// words is an address as the reference programs have it, in network order.
func words(a netip.Addr) (w [4]uint32) {
	b := a.AsSlice()
	for i := range len(b) / 4 {
		w[i] = uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24
	}
	return w
}

const (
	aMember  = "Sallyport, its member lookup"
	whole    = "Sallyport, the whole packet"
	noMember = "… where no rule names a group"
)

// members is packets from members of a group to a port that nobody may reach.
func (r *microRun) members() error {
	t := &microTable{Name: "denied", Candidates: []string{aMember, kernelHash, whole, noMember}}
	r.f.Tables = append(r.f.Tables, t)
	plain, err := newLone("denied", datapath.Options{}, tablesOf(cidrRemotes(1).cidrTable(), nil))
	if err != nil {
		return err
	}
	for _, n := range r.sizes.Members {
		for _, family := range families {
			if err == nil {
				err = r.membersOf(t, plain, n, family.name, family.ipv6)
			}
		}
	}
	return errors.Join(err, plain.close())
}

func (r *microRun) membersOf(t *microTable, plain *lone, n int, family string, ipv6 bool) (err error) {
	from := memberRemotes(n)
	members := from.members(ipv6)
	table := cidrRemotes(1).cidrTable()
	table.Peers = map[vpc.GroupID][]ruleset.Interval{clientsOf: allowedPorts(3)}
	l, err := newLone("members", datapath.Options{}, tablesOf(table, nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	before, err := memoryNow()
	if err != nil {
		return err
	}
	tables := tablesOf(table, nil)
	tables.Revision++
	if _, err := l.d.Sweep(); err != nil { // ends the last change
		return err
	}
	if err := r.timed(fmt.Sprintf("%s members loaded, %s", thousands(n), family), func() error {
		return l.d.Apply(tables, members)
	}); err != nil {
		return err
	}
	if _, most := r.sizes.most(); n == most {
		if err := r.memory(before, [2]float64{}, fmt.Sprintf("member, of %s, %s", thousands(n), family), n); err != nil {
			return err
		}
	}
	if err := r.fillMembers(from, ipv6); err != nil {
		return err
	}
	p := packets{ipv6: ipv6, port: forbiddenPort, remotes: from, mask: 1<<24 - 1}
	denied := func(name string, l *lone) runner {
		return runner{name, program{l.toGuest, l}, &p, drops, ruleset.ReasonNoRule}
	}
	const parsed = "parsed"
	if err := r.measure(t, fmt.Sprintf("%s, %s members", family, thousands(n)), []runner{
		denied(whole, l), denied(noMember, plain),
		{kernelHash, program{Program: r.LookupMember}, &p, drops, 0},
		{parsed, program{Program: r.ParseOnly}, &p, drops, 0},
	}); err != nil {
		return err
	}
	values := t.Rows[len(t.Rows)-1].Values
	minus := func(from, other string) (list []float64) {
		for i, v := range values[from] {
			list = append(list, v-values[other][i])
		}
		return list
	}
	values[aMember], values[kernelHash] = minus(whole, noMember), minus(kernelHash, parsed)
	delete(values, parsed)
	return nil
}

// fillMembers makes the reference's hash hold the members, and nobody else.
func (r *microRun) fillMembers(from remotes, ipv6 bool) error {
	keys := make([]referenceMemberKey, 0, from.ranges)
	sets := make([]uint32, from.ranges)
	var key referenceMemberKey
	old := r.Members.Iterate()
	for set := uint32(0); old.Next(&key, &set); {
		keys = append(keys, key)
	}
	if err := old.Err(); err != nil {
		return fmt.Errorf("read the members: %w", err)
	}
	if len(keys) > 0 {
		if _, err := r.Members.BatchDelete(keys, nil); err != nil {
			return fmt.Errorf("remove the members: %w", err)
		}
	}
	keys = keys[:0]
	for i := range sets {
		keys = append(keys, referenceMemberKey{Domain: 1, Address: words(from.addr(i, ipv6))})
		sets[i] = 1
	}
	if _, err := r.Members.BatchUpdate(keys, sets, nil); err != nil {
		return fmt.Errorf("fill the members: %w", err)
	}
	return nil
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rowOf finds the values of a candidate in a row.
func (f *datapathFigures) rowOf(table, name, candidate string) []float64 {
	for _, t := range f.Tables {
		for _, x := range t.Rows {
			if t.Name == table && x.Name == name {
				return x.Values[candidate]
			}
		}
	}
	return nil
}

// print says what was measured.
func (f *datapathFigures) print(w io.Writer) {
	for _, t := range f.Tables {
		fmt.Fprintf(w, "\n%s, ns per program\t%s\t\n", t.Name, strings.Join(t.Candidates, "\t"))
		for _, x := range t.Rows {
			fmt.Fprint(w, x.Name)
			for _, c := range t.Candidates {
				fmt.Fprintf(w, "\t%s", number(median(x.Values[c])))
			}
			fmt.Fprint(w, "\t\n  min – max")
			for _, c := range t.Candidates {
				fmt.Fprintf(w, "\t%s – %s", number(slices.Min(x.Values[c])), number(slices.Max(x.Values[c])))
			}
			fmt.Fprint(w, "\t\n  ratio to Sallyport")
			for _, c := range t.Candidates {
				fmt.Fprintf(w, "\t%.2f", median(x.Values[c])/median(x.Values[t.Candidates[0]]))
			}
			fmt.Fprint(w, "\t\n")
		}
	}
	fmt.Fprintf(w, "\nAn empty program with the same harness takes %s ns (%s – %s), which is taken off everywhere above.\n",
		number(median(f.Empty)), number(slices.Min(f.Empty)), number(slices.Max(f.Empty)))
	printLatencies(w, "changes", f.Changes)
	printMemory(w, f.Memory)
}

// goals are those of a single program, and of changes.
func (f *datapathFigures) goals(r *report, s microSizes) {
	flows, members := s.most()
	for _, family := range families {
		of := func(table, name, candidate string) float64 { return median(f.rowOf(table, name, candidate)) }
		one := establishedName(family.name, 1)
		slower := max(of("established", one, sallyportIn), of("established", one, sallyportOut))
		r.goal(goal{Name: family.name + ", one established flow: ns above an empty program", Measured: slower, Limit: 25, Unit: "ns"})
		r.goal(goal{Name: "… nf_conntrack's lookup alone ÷ that", Measured: of("established", one, conntrack) / slower, Limit: 3, AtLeast: true})
		many := establishedName(family.name, int(flows))
		r.goal(goal{
			Name:     fmt.Sprintf("%s, %s established flows ÷ kernel hash", family.name, thousands(int(flows))),
			Measured: max(of("established", many, sallyportIn), of("established", many, sallyportOut)) / of("established", many, kernelHash), Limit: 0.5,
			Floor: of("established", many, aLine) / of("established", many, kernelHash),
		})
		fresh := func(n int, candidate string) float64 {
			return of("first packet", family.name+", "+cidrsName(n), candidate)
		}
		r.goal(goal{Name: family.name + ", first packet with 960 CIDRs ÷ LRU and LPM trie", Measured: fresh(960, sallyportIn) / fresh(960, lruTrie), Limit: 0.4})
		r.goal(goal{Name: family.name + ", first packet with 960 CIDRs ÷ with 1", Measured: fresh(960, sallyportIn) / fresh(1, sallyportIn), Limit: 1.15})
		r.goal(goal{Name: family.name + ", first packet with 100,000 CIDRs ÷ with 1", Measured: fresh(100_000, sallyportIn) / fresh(1, sallyportIn), Limit: 1.5})
		r.goal(goal{
			Name:     family.name + ", first packet with 100,000 list entries ÷ with 1 CIDR",
			Measured: of("first packet", family.name+", 100,000 list entries", sallyportIn) / fresh(1, sallyportIn), Limit: 1.5,
		})
		name := fmt.Sprintf("%s, %s members", family.name, thousands(members))
		r.goal(goal{Name: name + " ÷ kernel hash", Measured: of("denied", name, aMember) / of("denied", name, kernelHash), Limit: 0.5})
	}
	for _, g := range []struct {
		change string
		limit  float64 // ms
	}{
		{switched, 0.1}, {"1,000,000 members loaded, IPv4", 250}, {"1,000,000 members loaded, IPv6", 250}, {listEdit, 100},
	} {
		for _, l := range f.Changes {
			if l.Name == g.change {
				r.goal(goal{Name: g.change, Measured: median(l.Milliseconds), Limit: g.limit, Unit: "ms"})
			}
		}
	}
}
