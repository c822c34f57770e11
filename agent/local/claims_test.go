package local_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/agent/local"
	"github.com/sallyport/sallyport/agent/machinetest"
	"github.com/sallyport/sallyport/vpc"
)

const (
	eniA vpc.InterfaceID = "eni-0000000000000000a"
	eniB vpc.InterfaceID = "eni-0000000000000000b"
)

// TestMain: claims look at every device.
func TestMain(m *testing.M) { machinetest.Main(m.Run) }

// host is what claims see of a machine: a filter that records, in which an ENI is on one device at a
// time as in the datapath, and a control plane that records.
type host struct {
	dir string

	mu       sync.Mutex
	attached map[int]vpc.InterfaceID
	replaced map[int]bool // devices whose filter went with another
	history  []string
	fail     func(eni vpc.InterfaceID) error
	bound    map[vpc.InterfaceID]string // by the last report of each
}

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{dir: t.TempDir(), attached: map[int]vpc.InterfaceID{}, replaced: map[int]bool{}, bound: map[vpc.InterfaceID]string{}}
}

func (h *host) Attach(ifindex int, device string, eni vpc.InterfaceID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		if err := h.fail(eni); err != nil {
			return err
		}
	}
	for i, other := range h.attached {
		if eni != "" && other == eni && i != ifindex {
			return fmt.Errorf("%s is carried by %d already", eni, i)
		}
	}
	h.attached[ifindex] = eni
	delete(h.replaced, ifindex)
	h.history = append(h.history, fmt.Sprintf("attach %s %s", device, eni))
	return nil
}

func (h *host) Detach(ifindex int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.attached, ifindex)
	h.history = append(h.history, "detach")
	return nil
}

func (h *host) Foreign(int) []string { return nil }

func (h *host) Filters(ifindex int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.attached[ifindex]
	_, err := netlink.LinkByIndex(ifindex)
	return ok && err == nil && !h.replaced[ifindex]
}

func (h *host) report(c local.Claim, bound bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if bound {
		h.bound[c.ENI] = c.Device
	} else {
		delete(h.bound, c.ENI)
	}
}

// filtered says how a device is filtered: "no", "for nobody" or the ENI.
func (h *host) filtered(ifindex int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch eni, ok := h.attached[ifindex]; {
	case !ok:
		return "no"
	case eni == "":
		return "for nobody"
	default:
		return string(eni)
	}
}

func (h *host) reported() map[vpc.InterfaceID]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.bound)
}

func (h *host) failing(fn func(vpc.InterfaceID) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fn
}

// claims are those of an agent that starts now.
func (h *host) claims(t *testing.T) *local.Claims {
	t.Helper()
	c, err := h.tryClaims(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *host) tryClaims(t *testing.T) (*local.Claims, error) {
	h.mu.Lock()
	attached, replaced := maps.Clone(h.attached), maps.Clone(h.replaced)
	h.mu.Unlock()
	return local.New(local.Options{
		Filter: h, Report: h.report, Replaced: replaced, Dir: h.dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, attached)
}

// run runs the watch of devices until the test ends.
func run(t *testing.T, c *local.Claims) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// device makes a veth pair, removes it with the test, and returns its first end's ifindex.
func device(t *testing.T, name string) int {
	t.Helper()
	ip(t, "link", "add", name, "type", "veth", "peer", "name", name+"p")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	return ifindex(t, name)
}

func ifindex(t *testing.T, name string) int {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func bind(t *testing.T, c *local.Claims, device string, eni vpc.InterfaceID) local.Claim {
	t.Helper()
	claim, err := c.Bind(device, eni, "", local.Explicit)
	if err != nil {
		t.Fatalf("Bind(%s, %s): %v", device, eni, err)
	}
	return claim
}

// claim returns the claim of a device, or one of zero values.
func claim(c *local.Claims, device string) local.Claim {
	all := c.List()
	if i := slices.IndexFunc(all, func(c local.Claim) bool { return c.Device == device }); i >= 0 {
		return all[i]
	}
	return local.Claim{}
}

// until waits for cond, for at most a minute: longer than the time between two looks at all devices.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not true after a minute: %s", what)
		}
	}
}

func TestBind(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	one, two := device(t, "spt-loc1"), device(t, "spt-loc2")
	if got := bind(t, c, "spt-loc1", eniA); got.State != local.Closed || got.Ifindex != one {
		t.Errorf("Bind = %+v, want closed on %d", got, one)
	}
	bind(t, c, "spt-loc1", eniA) // again
	if got, want := h.history, []string{"attach spt-loc1 " + string(eniA)}; !slices.Equal(got, want) {
		t.Errorf("filter: %q, want %q", got, want)
	}
	for name, tt := range map[string]struct {
		device string
		eni    vpc.InterfaceID
		want   string
	}{
		"another ENI":    {"spt-loc1", eniB, "is claimed for " + string(eniA)},
		"unknown device": {"spt-none", eniB, `no device "spt-none"`},
		"no device":      {"", eniB, `no device ""`},
		"malformed ENI":  {"spt-loc2", "eni-XYZ", "is not the id of a network interface"},
		"ENI and more":   {"spt-loc2", eniB + "\n", "is not the id of a network interface"},
		"loopback":       {"lo", eniB, "loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Bind(tt.device, tt.eni, "", local.Explicit)
			if !errors.Is(err, local.ErrUsage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Bind(%q, %q): %v, want %q", tt.device, tt.eni, err, tt.want)
			}
		})
	}
	if got := h.filtered(two); got != "no" {
		t.Errorf("a device that nothing claims is filtered: %s", got)
	}

	// The answer, the rules, and the end of the rules.
	c.Answered(eniA, "spt-loc1", "")
	if got := claim(c, "spt-loc1").State; got != local.Waiting {
		t.Errorf("accepted: %s, want waiting", got)
	}
	c.InForce(func(id vpc.InterfaceID) bool { return id == eniA })
	if got := claim(c, "spt-loc1").State; got != local.Bound {
		t.Errorf("rules in force: %s, want bound", got)
	}
	c.InForce(func(vpc.InterfaceID) bool { return false })
	if got := claim(c, "spt-loc1").State; got != local.Waiting {
		t.Errorf("rules gone: %s, want waiting", got)
	}
	if err := c.Unbind("spt-loc1"); err != nil {
		t.Fatal(err)
	}
	if got := h.filtered(one); got != "no" || len(h.reported()) > 0 || len(c.List()) > 0 {
		t.Errorf("unbound: filtered %s, reported %v, listed %v", got, h.reported(), c.List())
	}
	if err := c.Unbind("spt-loc1"); !errors.Is(err, local.ErrUsage) {
		t.Errorf("Unbind twice: %v", err)
	}
}

// The ENI's rules are in force already when it moves to another device: nothing new comes from the
// control plane that would say so.
func TestRebindFindsRulesInForce(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	device(t, "spt-loc1")
	device(t, "spt-loc2")
	bind(t, c, "spt-loc1", eniA)
	c.InForce(func(id vpc.InterfaceID) bool { return id == eniA })
	if err := c.Unbind("spt-loc1"); err != nil {
		t.Fatal(err)
	}
	bind(t, c, "spt-loc2", eniA)
	c.Answered(eniA, "spt-loc1", "") // late
	if got := claim(c, "spt-loc2").State; got != local.Closed {
		t.Errorf("after another device's answer: %s, want closed", got)
	}
	c.Answered(eniA, "spt-loc2", "")
	if got := claim(c, "spt-loc2").State; got != local.Bound {
		t.Errorf("got %s, want bound", got)
	}
}

func TestSecondClaimStaysClosedUntilItsTurn(t *testing.T) {
	for name, release := range map[string]func(t *testing.T, c *local.Claims){
		"first unbound": func(t *testing.T, c *local.Claims) {
			if err := c.Unbind("spt-loc1"); err != nil {
				t.Error(err)
			}
		},
		"first deleted": func(t *testing.T, _ *local.Claims) { ip(t, "link", "del", "spt-loc1") },
		"first moved to another namespace": func(t *testing.T, _ *local.Claims) {
			ip(t, "netns", "add", "spt-loc")
			t.Cleanup(func() { ip(t, "netns", "del", "spt-loc") })
			ip(t, "link", "set", "spt-loc1", "netns", "spt-loc")
		},
		"first refused, then unbound": func(t *testing.T, c *local.Claims) {
			c.Answered(eniA, "spt-loc1", "InvalidNetworkInterfaceID.NotFound")
			if err := c.Unbind("spt-loc1"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c := h.claims(t)
			run(t, c)
			// The second has the smaller ifindex.
			two, one := device(t, "spt-loc2"), device(t, "spt-loc1")
			bind(t, c, "spt-loc1", eniA)
			got := bind(t, c, "spt-loc2", eniA)
			if want := string(eniA) + " is bound to spt-loc1"; got.State != local.Refused || got.Message != want {
				t.Errorf("second claim: %s %q, want refused, %q", got.State, got.Message, want)
			}
			if got := h.filtered(two); got != "for nobody" {
				t.Errorf("device of the second claim is filtered %s", got)
			}
			if got := h.reported()[eniA]; got != "spt-loc1" {
				t.Errorf("reported %q", got)
			}
			release(t, c)
			until(t, "the second has its turn", func() bool { return claim(c, "spt-loc2").State == local.Closed })
			if got := h.filtered(two); got != string(eniA) {
				t.Errorf("filtered %s, want %s", got, eniA)
			}
			if got := h.filtered(one); got != "no" {
				t.Errorf("the first is filtered %s still", got)
			}
			if got := h.reported()[eniA]; got != "spt-loc2" {
				t.Errorf("reported %q, want the second", got)
			}
		})
	}
}

// A hook that makes a device anew binds it before the end of the old one was heard of.
func TestClaimOfADeadDeviceIsNoHindrance(t *testing.T) {
	h := newHost(t)
	c := h.claims(t) // does not watch
	device(t, "spt-loc1")
	bind(t, c, "spt-loc1", eniA)
	ip(t, "link", "del", "spt-loc1")
	again := device(t, "spt-loc1")
	if got := bind(t, c, "spt-loc1", eniA); got.State != local.Closed {
		t.Errorf("%s %q, want closed", got.State, got.Message)
	}
	if got := h.filtered(again); got != string(eniA) {
		t.Errorf("filtered %s", got)
	}
}

// What the server refuses is closed for good, holds its turn, and is taken back when it is unbound,
// so that the server does not accept it later for a device that is open.
func TestServerRefuses(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	one, two := device(t, "spt-loc1"), device(t, "spt-loc2")
	bind(t, c, "spt-loc1", eniA)
	bind(t, c, "spt-loc2", eniA)
	c.Answered(eniA, "spt-loc1", "no such interface")
	if got := claim(c, "spt-loc1"); got.State != local.Refused || got.Message != "no such interface" {
		t.Errorf("refused: %+v", got)
	}
	if a, b := h.filtered(one), h.filtered(two); a != "for nobody" || b != "for nobody" {
		t.Errorf("filtered: %s, %s; want both for nobody", a, b)
	}
	c.InForce(func(vpc.InterfaceID) bool { return true })
	if got := claim(c, "spt-loc1").State; got != local.Refused {
		t.Errorf("rules in force made a refused claim %s", got)
	}
	// Asking again asks again.
	if got := bind(t, c, "spt-loc1", eniA); got.State != local.Closed {
		t.Errorf("again: %s %q", got.State, got.Message)
	}
	c.Answered(eniA, "spt-loc1", "still none")
	if err := c.Unbind("spt-loc2"); err != nil {
		t.Fatal(err)
	}
	if got := h.reported()[eniA]; got != "spt-loc1" {
		t.Errorf("unbinding the second took back the first's claim: reported %q", got)
	}
	if err := c.Unbind("spt-loc1"); err != nil {
		t.Fatal(err)
	}
	if got := h.reported(); len(got) > 0 {
		t.Errorf("the control plane still believes in %v", got)
	}
}

func TestAlias(t *testing.T) {
	h := newHost(t)
	one := device(t, "spt-loc1")
	ip(t, "link", "set", "spt-loc1", "alias", string(eniA))
	c := h.claims(t)
	run(t, c)
	until(t, "an alias from before is seen", func() bool { return h.filtered(one) == string(eniA) })

	two := device(t, "spt-loc2")
	ip(t, "link", "set", "spt-loc2", "up") // what is down changes its alias in silence
	ip(t, "link", "set", "spt-loc2", "alias", "no claim")
	ip(t, "link", "set", "spt-loc2", "alias", string(eniB))
	until(t, "an alias is seen", func() bool { return h.filtered(two) == string(eniB) })
	if got := claim(c, "spt-loc2").Source; got != local.Alias {
		t.Errorf("source %q", got)
	}

	three := device(t, "spt-loc3")
	ip(t, "link", "set", "spt-loc3", "alias", string(eniA))
	ip(t, "link", "set", "spt-loc3", "up")
	until(t, "the same alias twice closes the second device", func() bool { return h.filtered(three) == "for nobody" })

	if err := c.Unbind("spt-loc2"); !errors.Is(err, local.ErrUsage) || !strings.Contains(err.Error(), "ip link set dev spt-loc2 alias ''") {
		t.Errorf("Unbind of a device with its alias: %v", err)
	}
	if got := h.filtered(two); got != string(eniB) {
		t.Errorf("filtered %s after a refused unbind", got)
	}
	ip(t, "link", "set", "spt-loc2", "alias", "")
	if err := c.Unbind("spt-loc2"); err != nil {
		t.Error(err)
	}

	// The kernel does not announce alternative names, nor any change of a device that is down.
	four := device(t, "spt-loc4")
	ip(t, "link", "property", "add", "dev", "spt-loc4", "altname", string(eniB))
	until(t, "an alternative name is seen", func() bool { return h.filtered(four) == string(eniB) })
	if err := c.Unbind(string(eniB)); !errors.Is(err, local.ErrUsage) || !strings.Contains(err.Error(), "altname") {
		t.Errorf("Unbind of a device with its alternative name: %v", err)
	}
}

// Spaces around an id are no part of it; what only looks like an id claims nothing, and is told once.
func TestOddAlias(t *testing.T) {
	h, log := newHost(t), &lines{}
	c, err := local.New(local.Options{Filter: h, Report: h.report, Dir: h.dir, Log: slog.New(slog.NewTextHandler(log, nil))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, two := device(t, "spt-loc1"), device(t, "spt-loc2")
	ip(t, "link", "set", "spt-loc1", "alias", " "+string(eniA)+" ")
	ip(t, "link", "set", "spt-loc2", "alias", strings.ToUpper(string(eniB)))
	run(t, c)
	until(t, "an alias with spaces is seen", func() bool { return h.filtered(one) == string(eniA) })
	if err := c.Unbind("spt-loc1"); !errors.Is(err, local.ErrUsage) || !strings.Contains(err.Error(), "ip link set dev spt-loc1 alias ''") {
		t.Errorf("Unbind of a device with its alias: %v", err)
	}
	told := func() int { return log.count("it claims nothing", "device=spt-loc2", strings.ToUpper(string(eniB))) }
	until(t, "an alias in capitals is told", func() bool { return told() > 0 })
	ip(t, "link", "set", "spt-loc2", "up") // seen again
	ip(t, "link", "set", "spt-loc1", "alias", "")
	three := device(t, "spt-loc3")
	ip(t, "link", "set", "spt-loc3", "up", "alias", string(eniB))
	until(t, "a later alias is seen", func() bool { return h.filtered(three) == string(eniB) })
	if n := told(); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	if got := h.filtered(two); got != "no" {
		t.Errorf("a device with an alias that is no id is filtered: %s", got)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many lines have all of the words.
func (l *lines) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

func TestClaimFollowsItsDevice(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	run(t, c)
	one := device(t, "spt-loc1")
	bind(t, c, "spt-loc1", eniA)
	ip(t, "link", "set", "spt-loc1", "name", "spt-loc9")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "spt-loc9").Run() })
	until(t, "the new name is known", func() bool { return claim(c, "spt-loc9").ENI == eniA && h.reported()[eniA] == "spt-loc9" })
	c.Answered(eniA, "spt-loc9", "")
	if got := claim(c, "spt-loc9").State; got != local.Waiting {
		t.Errorf("%s, want waiting", got)
	}

	// Into a bridge and out of it: the kernel announces the latter as the end of a device.
	ip(t, "link", "add", "spt-locb", "type", "bridge")
	t.Cleanup(func() { ip(t, "link", "del", "spt-locb") })
	ip(t, "link", "set", "spt-loc9", "master", "spt-locb")
	ip(t, "link", "set", "spt-loc9", "nomaster")
	device(t, "spt-loc2") // what is announced later has been seen, then that has been seen too
	ip(t, "link", "set", "spt-loc2", "alias", string(eniB))
	ip(t, "link", "set", "spt-loc2", "up")
	until(t, "the watch is that far", func() bool { return claim(c, "spt-loc2").ENI == eniB })
	if got := h.filtered(one); got != string(eniA) {
		t.Fatalf("a device that left a bridge is filtered: %s", got)
	}
	if err := c.Unbind("spt-loc9"); err != nil {
		t.Error(err)
	}
}

func TestFilterFails(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	one := device(t, "spt-loc1")
	h.failing(func(vpc.InterfaceID) error { return errors.New("no memory") })
	if _, err := c.Bind("spt-loc1", eniA, "", local.Explicit); err == nil || !strings.Contains(err.Error(), "no memory") {
		t.Errorf("Bind without a filter: %v", err)
	}
	if got := c.List(); len(got) > 0 || len(h.reported()) > 0 {
		t.Errorf("a claim without a filter is listed: %v, reported: %v", got, h.reported())
	}
	// The filter alone for the ENI cannot be had: the device is closed, and the claim says why.
	h.failing(func(eni vpc.InterfaceID) error {
		if eni == "" {
			return nil
		}
		return errors.New("the table of interfaces is full")
	})
	got := bind(t, c, "spt-loc1", eniA)
	if got.State != local.Refused || !strings.Contains(got.Message, "is full") || h.filtered(one) != "for nobody" {
		t.Errorf("Bind = %+v, filtered %s; want refused and closed", got, h.filtered(one))
	}
	h.failing(nil)
	if got := bind(t, c, "spt-loc1", eniA); got.State != local.Closed || h.filtered(one) != string(eniA) {
		t.Errorf("Bind again = %+v, filtered %s", got, h.filtered(one))
	}
}

func TestRestart(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	two, one := device(t, "spt-loc2"), device(t, "spt-loc1")
	three := device(t, "spt-loc3")
	bind(t, c, "spt-loc1", eniA)
	bind(t, c, "spt-loc2", eniA) // refused; has the smaller ifindex
	bind(t, c, "spt-loc3", eniB)
	ip(t, "link", "set", "spt-loc1", "name", "spt-loc9")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "spt-loc9").Run() })
	ip(t, "link", "del", "spt-loc3")
	h.mu.Lock()
	delete(h.attached, three) // the filter went with the device
	clear(h.bound)
	h.mu.Unlock()

	c = h.claims(t)
	if got := claim(c, "spt-loc9"); got.ENI != eniA || got.State != local.Closed || h.filtered(one) != string(eniA) {
		t.Errorf("the first claim, renamed meanwhile: %+v, filtered %s", got, h.filtered(one))
	}
	if got := claim(c, "spt-loc2"); got.State != local.Refused || h.filtered(two) != "for nobody" {
		t.Errorf("the second claim: %+v, filtered %s", got, h.filtered(two))
	}
	if got, want := h.reported(), (map[vpc.InterfaceID]string{eniA: "spt-loc9"}); !maps.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}

	// The filters are gone (an upgrade, a purge by hand): the claims close their devices again.
	h.mu.Lock()
	clear(h.attached)
	h.mu.Unlock()
	h.claims(t)
	if a, b := h.filtered(one), h.filtered(two); a != string(eniA) || b != "for nobody" {
		t.Errorf("without pins: filtered %s and %s", a, b)
	}

	// The file is gone: what the filters hold is kept; the way out of a closed device is to unbind it.
	if err := os.Remove(filepath.Join(h.dir, "claims.json")); err != nil {
		t.Fatal(err)
	}
	c = h.claims(t)
	if got := claim(c, "spt-loc9"); got.ENI != eniA || got.State != local.Closed {
		t.Errorf("without the file: %+v", got)
	}
	if got := claim(c, "spt-loc2"); got.State != local.Refused || h.filtered(two) != "for nobody" {
		t.Errorf("without the file: %+v, filtered %s", got, h.filtered(two))
	}
	if got := bind(t, c, "spt-loc2", eniB); got.State != local.Closed {
		t.Errorf("bound anew: %+v", got)
	}
}

// An ifindex that was a claimed device's is now another's.
func TestRestartWithReusedIfindex(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	one := device(t, "spt-loc1")
	bind(t, c, "spt-loc1", eniA)
	ip(t, "link", "del", "spt-loc1")
	ip(t, "link", "add", "spt-loc2", "index", fmt.Sprint(one), "type", "veth", "peer", "name", "spt-loc2p")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "spt-loc2").Run() })
	h.mu.Lock()
	clear(h.attached)
	h.mu.Unlock()
	c = h.claims(t)
	if got := c.List(); len(got) > 0 || h.filtered(one) != "no" {
		t.Errorf("claims %v, filtered %s", got, h.filtered(one))
	}
}

// A device that has the index and the name of a claimed one that is gone has nothing of its claim.
func TestReplacedDevice(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	one := device(t, "spt-loc1")
	replace := func() {
		ip(t, "link", "del", "spt-loc1")
		ip(t, "link", "add", "spt-loc1", "index", fmt.Sprint(one), "type", "veth", "peer", "name", "spt-loc1q")
		h.mu.Lock()
		h.replaced[one] = true
		h.mu.Unlock()
	}
	bind(t, c, "spt-loc1", eniA)
	c.Answered(eniA, "spt-loc1", "")
	replace()
	if got := bind(t, c, "spt-loc1", eniA); got.State != local.Closed { // the answer was another device's
		t.Errorf("bound again: %+v", got)
	}
	replace()
	c = h.claims(t) // the filter has closed it
	if got := claim(c, "spt-loc1"); got.ENI != "" || got.State != local.Refused || h.filtered(one) != "for nobody" {
		t.Errorf("replaced without an agent: %+v, filtered %s", got, h.filtered(one))
	}
	if got := bind(t, c, "spt-loc1", eniB); got.State != local.Closed || h.filtered(one) != string(eniB) {
		t.Errorf("bound anew: %+v, filtered %s", got, h.filtered(one))
	}

	replace()
	run(t, c)
	until(t, "the new device is closed, and nobody's", func() bool {
		got := claim(c, "spt-loc1")
		return got.ENI == "" && got.State == local.Refused && h.filtered(one) == "for nobody"
	})
}

func TestRestartWithDamagedFile(t *testing.T) {
	for name, content := range map[string]string{
		"cut":       `[{"device":"spt-loc1","ifin`,
		"empty":     ``,
		"no device": `[{"device":"spt-loc1","ifindex":0,"eni":"eni-0000000000000000a"}]`,
		"no ENI":    `[{"device":"spt-loc1","ifindex":7,"eni":"../etc"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			path := filepath.Join(h.dir, "claims.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := h.tryClaims(t)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove the file") {
				t.Errorf("New: %v, want an error that names the file and a way out", err)
			}
		})
	}
}

// Whatever happens at the same time, an ENI is on one device, and everything claimed is filtered.
func TestConcurrentClaims(t *testing.T) {
	h := newHost(t)
	c := h.claims(t)
	run(t, c)
	names := []string{"spt-loc1", "spt-loc2", "spt-loc3", "spt-loc4"}
	for _, n := range names {
		device(t, n)
	}
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() {
			for k := range 50 {
				eni := []vpc.InterfaceID{eniA, eniB}[(i+k)%2]
				if _, err := c.Bind(n, eni, "", local.Explicit); err != nil && !errors.Is(err, local.ErrUsage) {
					t.Error(err)
				}
				c.Answered(eni, n, []string{"", "refused"}[k%2])
				c.InForce(func(vpc.InterfaceID) bool { return k%3 == 0 })
				for _, s := range c.List() {
					if h.filtered(s.Ifindex) == "no" && claim(c, s.Device).ENI == s.ENI && s.Device == n {
						t.Errorf("%s is claimed for %s and not filtered", s.Device, s.ENI)
					}
				}
				if k%5 == 4 {
					if err := c.Unbind(n); err != nil && !errors.Is(err, local.ErrUsage) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, n := range names {
		if err := c.Unbind(n); err != nil && !errors.Is(err, local.ErrUsage) {
			t.Error(err)
		}
	}
	if got := h.reported(); len(got) > 0 || len(h.attached) > 0 {
		t.Errorf("left: reported %v, attached %v", got, h.attached)
	}
}
