package datapath_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/oracletest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// casePackets is how many packets one random configuration sees.
const casePackets = 4000

// leastCovered is how often a million decisions take each branch of the oracle.
const leastCovered = 1000

// TestOracle: verdict, reason and rule of the programs are the oracle's, for random configurations and
// sequences of packets that take each branch of the oracle leastCovered times. ORACLE_SEED and
// ORACLE_DECISIONS say which and how many; SOAK=1 means 100 million.
func TestOracle(t *testing.T) {
	t.Parallel()
	decisions, seed := 1_000_000, uint64(time.Now().UnixNano())>>10
	if os.Getenv("SOAK") != "" {
		decisions = 100_000_000
	}
	if s := os.Getenv("ORACLE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	if s := os.Getenv("ORACLE_DECISIONS"); s != "" {
		var err error
		decisions, err = strconv.Atoi(s)
		must(t, err)
	}
	t.Logf("%d decisions from ORACLE_SEED=%d on", decisions, seed)
	start := time.Now()
	workers := min(3*runtime.NumCPU(), 1+decisions/casePackets/10) // a change waits for grace periods most of the time
	covered := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			// Each has seeds of its own, one after another.
			got, err := differ(t, hostsOptions[w%len(hostsOptions)], seed+uint64(w)<<32, decisions/workers)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for branch, n := range got {
				covered[branch] += n
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	var b strings.Builder
	for _, branch := range branches(t) {
		fmt.Fprintf(&b, "%10d %s\n", covered[branch], branch)
		if decisions >= 1_000_000 && covered[branch] < leastCovered && !onTheWire[branch] {
			t.Errorf("%q was taken %d times, want %d", branch, covered[branch], leastCovered)
		}
	}
	t.Logf("%s, how often what was taken:\n%s", time.Since(start).Round(time.Second), b.String())
}

// hostsOptions are what operators set.
var hostsOptions = []datapath.Options{
	{PlatformServices: platformServices(), AnyLinkLocal: true, Routers: []netip.Addr{netip.MustParseAddr("fe80::99")}},
	{},
}

func platformServices() (services []datapath.PlatformService) {
	for _, s := range oracletest.Services {
		services = append(services, datapath.PlatformService{Protocol: s.Protocol, Addr: s.At})
	}
	return services
}

// onTheWire are the branches that no test run takes, since the kernel refuses such frames.
var onTheWire = map[string]bool{"short frame": true, "short IPv4 header": true, "short IPv6 header": true}

// branches are all that the oracle has, and all reasons.
func branches(t *testing.T) (all []string) {
	t.Helper()
	files, err := os.ReadDir("oracletest")
	must(t, err)
	literal := regexp.MustCompile(`\.cover\("([^"]+)"\)`)
	for _, f := range files {
		b, err := os.ReadFile("oracletest/" + f.Name())
		must(t, err)
		for _, m := range literal.FindAllSubmatch(b, -1) {
			all = append(all, string(m[1]))
		}
	}
	for _, r := range ruleset.Reasons()[1:] {
		all = append(all, "reason "+r.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// differ plays random cases, of consecutive seeds, until so many packets were judged, and says where the
// programs first differ from the oracle, as briefly as it can. It counts what the oracle took.
func differ(t testing.TB, o datapath.Options, seed uint64, decisions int) (covered map[string]int, err error) {
	t.Helper()
	p := newPlayer(t, o)
	for n := 0; n < decisions; n += casePackets {
		c := oracletest.NewCase(seed, casePackets, p.hz)
		at, bad := p.play(c)
		if bad != nil {
			c.Steps = c.Steps[:at+1]
			small := oracletest.Shrink(c, 30*time.Second, func(c oracletest.Case) bool {
				_, err := p.play(c)
				return err != nil
			})
			_, again := p.play(small)
			return p.covered, fmt.Errorf("%w\nORACLE_SEED=%d ORACLE_DECISIONS=%d shows it\nin short: %w\n%s", bad, seed, casePackets, again, small)
		}
		seed++
	}
	return p.covered, nil
}

// player plays cases on the programs and on the oracle.
type player struct {
	*host
	hz      uint64
	limits  oracletest.Limits // that the interfaces were attached with
	covered map[string]int
	wire    *realWire // nil: the kernel's test run
}

func newPlayer(t testing.TB, o datapath.Options) *player {
	t.Helper()
	hz, err := datapath.TicksPerSecond()
	must(t, err)
	p := &player{host: newHost(t, o.WithTestClock()), hz: uint64(hz), covered: map[string]int{}}
	for _, id := range oracletest.Interfaces {
		p.attach(id)
	}
	return p
}

// play returns the step at which the two differ, and how.
func (p *player) play(c oracletest.Case) (at int, err error) {
	p.do(func() { at, err = p.playHere(c) })
	return at, err
}

func (p *player) playHere(c oracletest.Case) (int, error) {
	if c.Limits != p.limits {
		p.limits = c.Limits
		p.setLimits()
		for _, id := range oracletest.Interfaces {
			p.anew(id)
		}
	}
	for _, id := range oracletest.Interfaces {
		must(p.t, p.d.Attach(p.devices[id], p.name(id), id)) // the last case may have ended without
	}
	must(p.t, p.d.ForgetAll())
	o := oracletest.New(c.Limits, p.hz, p.d.TestTime())
	o.Covered = p.covered
	o.AnyLinkLocal, o.Routers = p.options.AnyLinkLocal, p.options.Routers
	for _, s := range p.options.PlatformServices {
		o.Services = append(o.Services, oracletest.Service{Protocol: s.Protocol, At: s.Addr})
	}
	for _, id := range oracletest.Interfaces {
		o.Attach(id)
	}
	for i, s := range c.Steps {
		switch s.Kind {
		case oracletest.Send:
			if err := p.send(o, c.Limits, s); err != nil {
				return i, fmt.Errorf("step %d, %s: %w", i, s, err)
			}
		case oracletest.Wait:
			must(p.t, p.d.Advance(time.Duration(s.Ticks)*time.Second/time.Duration(p.hz)))
			o.SetNow(p.d.TestTime())
		case oracletest.Apply:
			if err := p.change(o, c.Views[s.View]); err != nil {
				return i, err
			}
		case oracletest.Detach:
			must(p.t, p.d.Attach(p.devices[s.ENI], p.name(s.ENI), ""))
			o.Detach(s.ENI)
		case oracletest.Attach:
			p.anew(s.ENI)
			o.Attach(s.ENI)
			p.observe(o)
		case oracletest.Sweep:
			_, err := p.d.Sweep()
			must(p.t, err)
			o.Sweep()
		}
	}
	return 0, nil
}

// change puts a View in force in both. When an observation ends, in jiffies, the datapath says, which must
// be what the View says but for the time that this takes.
func (p *player) change(o *oracletest.Oracle, v *ruleset.View) error {
	now := *v
	now.ENIs = maps.Clone(v.ENIs)
	for id, e := range now.ENIs {
		if !e.Observe.IsZero() {
			e.Observe = time.Now().Add(time.Duration(e.Observe.Unix()) * time.Second)
			now.ENIs[id] = e
		}
	}
	must(p.t, p.d.Apply(p.compiler.Compile(&now)))
	o.Apply(v)
	p.observe(o)
	for id, e := range v.ENIs {
		until, attached := o.ObserveUntil[id]
		if !attached {
			continue
		}
		want := uint64(0)
		if !e.Observe.IsZero() {
			want = p.d.TestTime() + uint64(e.Observe.Unix())*p.hz
		}
		if until > want+p.hz || until+10*p.hz < want {
			return fmt.Errorf("%s observes until %d, want %d", id, until, want)
		}
	}
	return nil
}

// observe tells the oracle until when attached interfaces observe.
func (p *player) observe(o *oracletest.Oracle) {
	clear(o.ObserveUntil)
	for _, a := range p.d.Attached() {
		if a.ENI != "" {
			o.ObserveUntil[a.ENI] = p.d.ObserveUntil(a.ENI)
		}
	}
}

func (p *player) setLimits() {
	halfOpen := uint32(8192)
	if p.limits.Displaces {
		halfOpen = 16
	}
	p.d.SetLimits(uint32(p.limits.Established), halfOpen)
}

// anew takes an interface off its device and gives it back.
func (p *player) anew(id vpc.InterfaceID) {
	must(p.t, p.d.Attach(p.devices[id], p.name(id), ""))
	must(p.t, p.d.Attach(p.devices[id], p.name(id), id))
}

// name is that of an interface's device.
func (p *player) name(id vpc.InterfaceID) string {
	return fmt.Sprintf("g%d", slices.Index(oracletest.Interfaces, id))
}

// send sends a frame through a gate and compares.
func (p *player) send(o *oracletest.Oracle, l oracletest.Limits, s oracletest.Step) error {
	run := p.d.Run
	if p.wire != nil {
		run = p.wire.run
	}
	got, err := run(s.Direction, p.devices[s.ENI], s.Frame)
	if errors.Is(err, errUnsendable) {
		return nil
	}
	if err != nil {
		return err
	}
	want := o.Judge(s.ENI, s.Direction, s.Frame)
	if !p.same(got, want) && l.Displaces && want.Displaced() {
		want = o.Judge(s.ENI, s.Direction, s.Frame)
	}
	if other, ok := want.Remembered(); ok && p.same(got, other) {
		want = other
	}
	if !p.same(got, want) {
		return fmt.Errorf("the programs say %s %s rule %d, the oracle %s %s rule %d",
			got.Action, got.Reason, got.Rule, want.Action, want.Reason, want.Rule)
	}
	want.Happen()
	return nil
}

// same says whether the programs' verdict is the oracle's. The wire does not tell which rule decided, nor
// why what is observed passed.
func (p *player) same(got ruleset.Verdict, want oracletest.Decision) bool {
	if p.wire == nil {
		return got == want.Verdict
	}
	return got.Action == want.Action && (got.Reason == want.Reason || got.Action == ruleset.Observe)
}
