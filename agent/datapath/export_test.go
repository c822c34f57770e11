package datapath

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// The ways to wait for programs that run.
var GracePeriod, GoRound, RCUGracePeriod = gracePeriod, goRound, rcuGracePeriod

// ParseCPUs reads a list of CPUs.
var ParseCPUs = parseCPUs

// WithVerdicts makes each packet carry its verdict, so that Run can tell it.
func (o Options) WithVerdicts() Options {
	o.showVerdicts = true
	return o
}

// WithTestClock makes time stand still at 1,000,000 jiffies until Advance.
func (o Options) WithTestClock() Options {
	o.testClock = true
	return o
}

// Advance moves the test clock.
func (d *Datapath) Advance(by time.Duration) error {
	hz, err := ticksPerSecond()
	if err != nil {
		return err
	}
	ticks := uint64(by.Abs()) * uint64(hz) / uint64(time.Second)
	if by < 0 {
		ticks = -ticks
	}
	atomic.AddUint64(&d.state.TestClock, ticks)
	return nil
}

// WithExcuses lets Excuse work.
func (o Options) WithExcuses() Options {
	o.testExcuses = true
	return o
}

// Excuse leaves out the checks that reasons stand for: what would be dropped for them passes. Without
// any, all are made again.
func (d *Datapath) Excuse(reasons ...ruleset.Reason) {
	var bits uint64
	for _, r := range reasons {
		bits |= 1 << r
	}
	atomic.StoreUint64(&d.state.TestExcused, bits)
}

// WithProbes makes the programs look at struct sk_buff as before Linux 6.2.
func (o Options) WithProbes() Options {
	o.testProbes = true
	return o
}

// WithWeakOrder makes the programs order their reads, as on arm64.
func (o Options) WithWeakOrder() Options {
	o.testWeak = true
	return o
}

// ReclaimMargin is how long an established connection that is past its timeout is left alone.
const ReclaimMargin = time.Duration(guestLimitRECLAIM_MARGIN) * time.Second

// WithSizes makes maps smaller than they are.
func (o Options) WithSizes(sizes map[string]uint32) Options {
	o.sizes = sizes
	return o
}

// Layout is the version of the maps.
const Layout = uint64(guestLimitLAYOUT)

// CEnum returns the values of an enum of the programs.
func CEnum(name string) (map[string]uint64, error) {
	spec, err := loadGuest()
	if err != nil {
		return nil, err
	}
	var enum *btf.Enum
	if err := spec.Types.TypeByName(name, &enum); err != nil {
		return nil, err
	}
	values := map[string]uint64{}
	for _, v := range enum.Values {
		values[v.Name] = v.Value
	}
	return values, nil
}

// Run sends a frame through the program of one direction, as if it came by the device, and returns
// the verdict.
func (d *Datapath) Run(direction ruleset.Direction, ifindex int, frame []byte) (ruleset.Verdict, error) {
	program := d.objects.FromGuest
	if direction == ruleset.Ingress {
		program = d.objects.ToGuest
	}
	in, out := make([]byte, skbLength), make([]byte, skbLength)
	binary.NativeEndian.PutUint32(in[skbIfindex:], uint32(ifindex))
	code, err := program.Run(&ebpf.RunOptions{Data: frame, Context: in, ContextOut: out})
	if err != nil {
		return ruleset.Verdict{}, err
	}
	return verdictOf(code, out)
}

// SetTimeouts takes effect with the next Apply.
func (d *Datapath) SetTimeouts(tcpEstablished, tcpSyn, tcpClosed, udp, udpStream, icmp, other time.Duration) {
	hz, err := ticksPerSecond()
	if err != nil {
		panic(err)
	}
	ticks := func(v time.Duration) uint32 { return uint32(v * time.Duration(hz) / time.Second) }
	d.timeouts = guestTimeouts{
		TcpEstablished: ticks(tcpEstablished), TcpSyn: ticks(tcpSyn),
		TcpClosing: ticks(tcpClosed), TcpClosed: ticks(tcpClosed),
		Udp: ticks(udp), UdpStream: ticks(udpStream), Icmp: ticks(icmp), Other: ticks(other),
	}
}

// Closed is how many TCP connections of an ENI have ended, by an RST or two FINs.
func (d *Datapath) Closed(eni vpc.InterfaceID) (n int, err error) {
	slot, err := d.slotOf(eni)
	if err == nil {
		err = d.visit(slot, func(v visited) error {
			if v.key.Protocol == unix.IPPROTO_TCP && timeout(v.tag, v.connection, guestTimeouts{TcpClosed: 1}) == 1 {
				n++
			}
			return nil
		})
	}
	return n, err
}

// Stamped is how many flows of an ENI have passed the link layer in both directions.
func (d *Datapath) Stamped(eni vpc.InterfaceID) (n int, err error) {
	slot, err := d.slotOf(eni)
	if err != nil {
		return 0, err
	}
	return n, d.visit(slot, func(v visited) error {
		if v.connection.Stamp[0] != 0 && v.connection.Stamp[1] != 0 {
			n++
		}
		return nil
	})
}

// Writes is how many writes to maps and shared memory Apply has made.
func (d *Datapath) Writes() int {
	d.settling.Wait()
	return d.writes
}

// Epoch counts the changes that were put in force.
func (d *Datapath) Epoch() uint64 { return d.state.Epoch }

// TablesOf returns the table numbers that are in force for an ENI, and its own number.
func (d *Datapath) TablesOf(eni vpc.InterfaceID) (tables uint64, number uint32) {
	d.settling.Wait()
	for slot, a := range d.slots {
		if a.ENI == eni {
			return d.enis[slot].Config[d.epoch()].Tables, d.enis[slot].Number
		}
	}
	return 0, 0
}

// Leftovers counts what there is: member sets and sets of prefix lists, members' addresses, own addresses
// and routers, names, and lines of the pool that are not free.
type Leftovers struct{ Sets, Members, Addresses, Names, Lines int }

// Holds reads the kernel's maps, not their mirrors, where there are any.
func (d *Datapath) Holds() (Leftovers, error) {
	d.settling.Wait()
	l := Leftovers{Sets: len(d.tables.sets.numbers), Lines: int(d.pool.used)}
	for m, n := range map[*ebpf.Map]*int{
		d.objects.Names: &l.Names, d.objects.Addresses: &l.Addresses,
	} {
		var key, value []byte
		it := m.Iterate()
		for it.Next(&key, &value) {
			*n++
		}
		if err := it.Err(); err != nil {
			return l, err
		}
	}
	for _, v := range d.members.domains {
		for _, b := range v.tables[d.epoch()] {
			if b != nil {
				l.Members += len(b.entries(d.epoch()))
			}
		}
	}
	return l, nil
}

// Settle ends the last change now.
func (d *Datapath) Settle() error {
	d.settling.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settle()
}

// Programs are the loaded programs, for tests that look at them.
func (d *Datapath) Programs() map[string]*ebpf.Program {
	return map[string]*ebpf.Program{
		"from_guest": d.objects.FromGuest, "to_guest": d.objects.ToGuest, "read_clock": d.objects.ReadClock, "change_overflow": d.objects.ChangeOverflow,
	}
}

// Clock is the programs' clock, in jiffies.
func (d *Datapath) Clock() (uint64, error) { return d.clock() }

// TicksPerSecond is the kernel's HZ.
var TicksPerSecond = ticksPerSecond

// Forget removes the half-open connection of a packet without ports.
func (d *Datapath) Forget(eni vpc.InterfaceID, direction ruleset.Direction, p ruleset.Packet) error {
	local, remote := p.Src, p.Dst
	if direction == ruleset.Ingress {
		local, remote = remote, local
	}
	key := guestConnectionKey{Protocol: p.Protocol}
	family, words := address(local)
	key.Family, key.Local = uint8(family), words
	_, key.Remote = address(remote)
	slot, err := d.slotOf(eni)
	if err != nil {
		return err
	}
	return d.visit(slot, func(v visited) error {
		if v.key == key && v.at != nil {
			return v.remove()
		}
		return nil
	})
}

// DieBuilding does half of an Apply, as an agent that is killed then.
func (d *Datapath) DieBuilding(t ruleset.Tables, m ruleset.Members) error {
	d.settling.Wait()
	return d.build(t, m)
}

// Repeat runs a program n times on a frame that came by a device, and returns the nanoseconds of one run,
// without those in which the thread, to which the caller is locked, had to wait for a CPU.
func Repeat(program *ebpf.Program, ifindex int, frame []byte, n int) (float64, error) {
	in := make([]byte, skbLength)
	binary.NativeEndian.PutUint32(in[skbIfindex:], uint32(ifindex))
	var start, end unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &start); err != nil {
		return 0, err
	}
	if _, err := program.Run(&ebpf.RunOptions{Data: frame, Context: in, Repeat: uint32(n)}); err != nil {
		return 0, err
	}
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &end)
	return float64(end.Nano()-start.Nano()) / float64(n), err
}

// Written is all that packets have left behind in the maps, as text: connections, fragments, counts and
// what is left of the budgets for events.
func (d *Datapath) Written() (string, error) {
	ms := []*ebpf.Map{d.objects.Counters, d.objects.RuleCounts, d.objects.EventBudgets}
	var b strings.Builder
	d.mu.Lock()
	for _, slot := range slices.Sorted(maps.Keys(d.private)) {
		p := d.private[slot]
		ms = append(ms, p.connections, p.fragments)
		for i := range p.buckets {
			if p.buckets[i] != (guestBucket{}) {
				fmt.Fprintf(&b, "%d %d %x\n", slot, i, p.buckets[i])
			}
		}
	}
	d.mu.Unlock()
	for i, m := range ms {
		var key []byte
		var value any = new([]byte)
		if m.Type() == ebpf.PerCPUArray {
			value = new([][]byte)
		}
		var lines []string
		it := m.Iterate()
		for it.Next(&key, value) {
			if line := fmt.Sprintf("%d %x %x\n", i, key, value); strings.Trim(strings.SplitN(line, " ", 3)[2], "&[]0 \n") != "" {
				lines = append(lines, line)
			}
		}
		if err := it.Err(); err != nil {
			return "", err
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String(), nil
}

// RulePlaces is how many pairs of an ENI and a rule have counters of their own, as the kernel's map says.
func (d *Datapath) RulePlaces() (int, error) {
	p, err := loadRulePlaces(d.rules.lines, d.objects.RuleCounts, d.log)
	if err != nil {
		return 0, err
	}
	return len(p.at), nil
}
