// Package local learns from this host which device is which ENI: from explicit binds over a Unix
// socket, and from a device's alias or alternative name that equals the ENI's id. The first claim
// of an ENI holds until its device disappears; a later one is refused, and its device stays closed.
package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/vpc"
)

// State is how far a claim has come. Whatever it is, the device is filtered; only in Bound may
// packets pass.
type State string

// The states of a claim.
const (
	Closed  State = "closed"  // claimed; the control plane has not answered yet
	Waiting State = "waiting" // accepted; no rules are in force yet
	Bound   State = "bound"   // rules are in force
	Refused State = "refused" // stays closed; Message says why
)

// Source is what made the claim.
type Source string

// The sources, in the order in which they are asked.
const (
	Explicit Source = "explicit" // over the socket
	Alias    Source = "alias"    // ifalias or altname
)

// Claim ties a device of this host to an ENI.
type Claim struct {
	Device  string          `json:"device"`
	Ifindex int             `json:"ifindex"`
	ENI     vpc.InterfaceID `json:"eni"`
	Source  Source          `json:"source"`
	Guest   string          `json:"guest,omitempty"` // domain, container or pod, when known
	State   State           `json:"state"`
	Message string          `json:"message,omitempty"`
	// Before names the programs of others that see the device's packets before ours: what they
	// redirect is never judged.
	Before []string `json:"before,omitempty"`

	turn     int  // claims of one ENI take it in the order in which they came
	reported bool // the control plane was told, and not told otherwise
}

// Filter is what filters devices. *datapath.Datapath is one.
type Filter interface {
	// Attach closes the device, and lets the ENI's tables open it; with no ENI nothing opens it.
	Attach(ifindex int, device string, eni vpc.InterfaceID) error
	Detach(ifindex int) error
	// Filters says whether a device is still the one that was attached: another may have its index.
	Filters(ifindex int) bool
	// Foreign names the programs that stand before ours on a device.
	Foreign(ifindex int) []string
}

// Options of Claims.
type Options struct {
	Filter Filter
	// Report tells the control plane of a claim that came (bound) or went. It must not block.
	Report func(c Claim, bound bool)
	// Replaced are devices that the filter closed, by ifindex: they have the name and the index of one
	// that was claimed, and are others.
	Replaced map[int]bool
	Dir      string       // where claims survive the agent: /run/sallyport
	Log      *slog.Logger // nil: discard
}

// Claims is the claims of this host. It is safe for concurrent use.
type Claims struct {
	opts Options
	log  *slog.Logger

	mu      sync.Mutex
	claims  map[int]*Claim             // by ifindex
	last    int                        // turn of the newest claim
	rules   func(vpc.InterfaceID) bool // which ENIs have rules in force
	changed chan struct{}              // closed and replaced at every change

	odd map[int]string // by ifindex: names that were warned of. Run's alone
}

// ErrUsage is wrapped by refusals that the caller can mend: no such device, device already claimed.
var ErrUsage = errors.New("refused")

// ENIPattern is the form of an ENI id.
var ENIPattern = regexp.MustCompile(`^eni-([0-9a-f]{8}|[0-9a-f]{17})$`)

// New reads the claims that an earlier agent left, closes their devices again, if they are not
// closed still, and reports them. attached is what the filter holds already, device by ifindex: such
// a device is the one that was claimed, whatever its name is by now. A device whose claim is not
// known stays closed, and is listed, until it is unbound or bound.
func New(o Options, attached map[int]vpc.InterfaceID) (*Claims, error) {
	c := &Claims{
		opts: o, log: o.Log, claims: map[int]*Claim{}, changed: make(chan struct{}), odd: map[int]string{},
		rules: func(vpc.InterfaceID) bool { return false },
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	saved, err := c.load()
	if err != nil {
		return nil, err
	}
	for _, i := range slices.Sorted(maps.Keys(attached)) {
		if !slices.ContainsFunc(saved, func(s Claim) bool { return s.Ifindex == i }) {
			saved = append(saved, Claim{Ifindex: i, ENI: attached[i], Source: Explicit})
		}
	}
	// Who holds an ENI goes on holding it.
	holds := func(s Claim) bool { return s.ENI != "" && attached[s.Ifindex] == s.ENI }
	slices.SortStableFunc(saved, func(a, b Claim) int {
		switch {
		case holds(a) == holds(b):
			return 0
		case holds(a):
			return -1
		default:
			return 1
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range saved {
		link, err := netlink.LinkByIndex(s.Ifindex)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find device %d: %w", s.Ifindex, err)
		}
		if _, same := attached[s.Ifindex]; !same && s.Device != link.Attrs().Name {
			continue // the device is gone, and its number another's by now
		}
		if c.opts.Replaced[s.Ifindex] && named(link) != s.ENI {
			s = Claim{Ifindex: s.Ifindex, Source: Explicit}
		}
		s.Device = link.Attrs().Name
		s.turn, s.reported = c.next(), false
		c.claims[s.Ifindex] = &s
		c.close(&s)
	}
	return c, c.save()
}

// next is the turn of a new claim.
func (c *Claims) next() int { c.last++; return c.last }

// close attaches the filter: for the claim's ENI, and reports it, if it is the claim's turn; else for
// nobody. If the filter cannot be had for the ENI, the device stays closed and the claim refused. It
// returns an error only if the device is not closed.
func (c *Claims) close(s *Claim) error {
	eni := s.ENI
	s.State, s.Message = Closed, ""
	switch first := c.first(s.ENI); {
	case s.ENI == "":
		s.State, s.Message = Refused, "filtered by an earlier agent, for an interface that is not known any more; bind or unbind it"
	case first != nil && first != s:
		eni = ""
		s.State, s.Message = Refused, fmt.Sprintf("%s is bound to %s", s.ENI, first.Device)
	}
	err := c.opts.Filter.Attach(s.Ifindex, s.Device, eni)
	if err != nil {
		s.State, s.Message = Refused, "filter: "+err.Error()
		if err := c.opts.Filter.Attach(s.Ifindex, s.Device, ""); err != nil {
			s.Message = "NOT FILTERED: " + err.Error()
			c.log.Error("filter a claimed device", "device", s.Device, "eni", s.ENI, "err", err)
			return fmt.Errorf("filter %s: %w", s.Device, err)
		}
	}
	if s.State == Refused {
		c.log.Warn("claim refused, device stays closed", "device", s.Device, "eni", s.ENI, "err", s.Message)
		return nil
	}
	for _, o := range c.claims {
		if o.ENI == s.ENI {
			o.reported = false // by ENI, the newest report counts
		}
	}
	s.reported = true
	c.opts.Report(*s, true)
	return nil
}

// first returns the claim whose turn it is to hold an ENI: the oldest whose device is there; or nil.
func (c *Claims) first(eni vpc.InterfaceID) *Claim {
	var first *Claim
	for _, o := range c.claims {
		if eni != "" && o.ENI == eni && (first == nil || o.turn < first.turn) {
			first = o
		}
	}
	return first
}

// Bind claims a device for an ENI. From its return on the device is filtered: closed until the
// control plane accepts the claim and the ENI's rules are in force. Claiming again what is claimed
// is no error.
func (c *Claims) Bind(device string, eni vpc.InterfaceID, guest string, source Source) (Claim, error) {
	if !ENIPattern.MatchString(string(eni)) {
		return Claim{}, fmt.Errorf("%w: %q is not the id of a network interface (eni-…)", ErrUsage, eni)
	}
	if !nameable(device) {
		return Claim{}, fmt.Errorf("%w: %q is no name of a device", ErrUsage, device)
	}
	link, err := netlink.LinkByName(device)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return Claim{}, fmt.Errorf("%w: this host has no device %q", ErrUsage, device)
	}
	if err != nil {
		return Claim{}, fmt.Errorf("find %s: %w", device, err)
	}
	if link.Attrs().Flags&net.FlagLoopback != 0 {
		return Claim{}, fmt.Errorf("%w: %s is this host's own loopback", ErrUsage, device)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := link.Attrs().Index
	s := &Claim{Device: link.Attrs().Name, Ifindex: i, ENI: eni, Source: source, Guest: guest}
	old := c.claims[i]
	if old != nil && old.State != Refused && !c.opts.Filter.Filters(i) {
		c.end(old) // its device is gone, and this one has its index
		old = nil
	}
	switch {
	case old == nil || old.ENI == "":
		s.turn = c.next()
	case old.ENI != eni:
		return Claim{}, fmt.Errorf("%w: %s is claimed for %s; unbind it first", ErrUsage, old.Device, old.ENI)
	case old.State != Refused:
		return *old, nil
	default:
		s.turn, s.reported = old.turn, old.reported
	}
	// The device of before may be gone, and its end not yet heard of.
	if first := c.first(eni); first != nil && first.Ifindex != i {
		if _, err := netlink.LinkByIndex(first.Ifindex); errors.As(err, new(netlink.LinkNotFoundError)) {
			c.end(first)
		}
	}
	c.claims[i] = s
	if err := c.close(s); err != nil {
		if old != nil {
			return Claim{}, err // it goes on being tried
		}
		delete(c.claims, i)
		return Claim{}, errors.Join(err, c.opts.Filter.Detach(i))
	}
	c.log.Info("device claimed", "device", s.Device, "eni", eni, "source", source, "state", s.State)
	return *s, c.save()
}

// maxName is the longest alternative name of a device, in bytes (ALTIFNAMSIZ without its end); a
// name itself has at most 15.
const maxName = 127

// nameable reports whether a device may be called so. The kernel reads a name up to its first NUL:
// with more behind it, another device would be meant.
func nameable(device string) bool {
	return len(device) <= maxName && !strings.ContainsAny(device, "\x00/")
}

// Unbind gives a device up: it is filtered no longer. The device is named as Bind takes it, or as
// List shows it.
func (c *Claims) Unbind(device string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s *Claim
	if !nameable(device) {
		return fmt.Errorf("%w: %q is no name of a device", ErrUsage, device)
	}
	link, err := netlink.LinkByName(device)
	if err == nil {
		s = c.claims[link.Attrs().Index]
	}
	if s == nil {
		return fmt.Errorf("%w: %s is not bound", ErrUsage, device)
	}
	if eni := named(link); eni != "" {
		fix := fmt.Sprintf("ip link set dev %s alias ''", link.Attrs().Name)
		if strings.TrimSpace(link.Attrs().Alias) != string(eni) {
			fix = fmt.Sprintf("ip link property del dev %s altname %s", link.Attrs().Name, eni)
		}
		return fmt.Errorf("%w: a name of %s is %s, which would claim it again; remove it: %s", ErrUsage, device, eni, fix)
	}
	if err := c.opts.Filter.Detach(s.Ifindex); err != nil {
		return fmt.Errorf("release %s: %w", device, err)
	}
	c.drop(s)
	return c.save()
}

// drop forgets a claim, and lets the next one of its ENI have its turn.
func (c *Claims) drop(s *Claim) {
	delete(c.claims, s.Ifindex)
	c.log.Info("device released", "device", s.Device, "eni", s.ENI)
	if s.reported {
		c.opts.Report(*s, false)
	}
	c.retry(func(o *Claim) bool { return o.ENI == s.ENI })
}

// end drops the claim of a device that is gone.
func (c *Claims) end(s *Claim) {
	if err := c.opts.Filter.Detach(s.Ifindex); err != nil {
		c.log.Error("release a device that is gone", "device", s.Device, "err", err)
	}
	c.drop(s)
}

// retry claims again what was refused, if it is its turn.
func (c *Claims) retry(which func(*Claim) bool) {
	for _, o := range c.claims {
		if o.State == Refused && which(o) && c.first(o.ENI) == o {
			_ = c.close(o) // the claim says why not
		}
	}
	c.note()
}

// Answered records what the control plane says of a claim; problem is empty if it accepts.
func (c *Claims) Answered(eni vpc.InterfaceID, device, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.claims {
		if s.ENI != eni || s.Device != device || !s.reported || s.State == Refused {
			continue
		}
		switch {
		case problem != "":
			s.State, s.Message = Refused, problem
			c.log.Warn("claim refused, device stays closed", "device", device, "eni", eni, "err", problem)
			if err := c.opts.Filter.Attach(i, device, ""); err != nil {
				c.log.Error("close a refused device", "device", device, "err", err)
			}
		case s.State == Closed && c.rules(eni):
			s.State = Bound // the rules that the ENI's device of before had
		case s.State == Closed:
			s.State = Waiting
		}
	}
	c.note()
}

// InForce records which ENIs have rules in force. It keeps has until the next call.
func (c *Claims) InForce(has func(vpc.InterfaceID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = has
	for _, s := range c.claims {
		switch {
		case s.State != Refused && has(s.ENI):
			s.State = Bound
		case s.State == Bound:
			s.State = Waiting
		}
	}
	c.note()
}

// List returns the claims by device.
func (c *Claims) List() []Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	cs := make([]Claim, 0, len(c.claims))
	for i, s := range c.claims {
		s.Before = c.opts.Filter.Foreign(i)
		cs = append(cs, *s)
	}
	slices.SortFunc(cs, func(a, b Claim) int { return cmp.Compare(a.Device, b.Device) })
	return cs
}

// Wait returns a device's claim of an ENI once done is true of it or ctx ends, whichever comes first.
func (c *Claims) Wait(ctx context.Context, ifindex int, eni vpc.InterfaceID, done func(Claim) bool) (Claim, error) {
	for {
		c.mu.Lock()
		s, changed := c.claims[ifindex], c.changed
		var now Claim
		if s != nil {
			now = *s
		}
		c.mu.Unlock()
		if s == nil || now.ENI != eni {
			return Claim{}, fmt.Errorf("%w: the device is gone, or was unbound", ErrUsage)
		}
		if done(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, nil
		}
	}
}

// note wakes whoever waits for a change.
func (c *Claims) note() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Claims) path() string { return filepath.Join(c.opts.Dir, "claims.json") }

func (c *Claims) load() ([]Claim, error) {
	b, err := os.ReadFile(c.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	var saved []Claim
	err = json.Unmarshal(b, &saved)
	for _, s := range saved {
		if err == nil && (s.Ifindex <= 0 || s.ENI != "" && !ENIPattern.MatchString(string(s.ENI))) {
			err = fmt.Errorf("device %d is claimed for %q", s.Ifindex, s.ENI)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read claims: %s is damaged (%w): filters stay as they are; to go on, "+
			"remove the file: what the filters hold is kept, and devices that were refused stay closed", c.path(), err)
	}
	return saved, nil
}

// save records the claims, for an agent that comes after this one, and wakes those who wait.
func (c *Claims) save() error {
	c.note()
	saved := make([]Claim, 0, len(c.claims))
	for _, s := range c.claims {
		saved = append(saved, *s)
	}
	slices.SortFunc(saved, func(a, b Claim) int { return cmp.Compare(a.turn, b.turn) })
	b, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("record claims: %w", err)
	}
	tmp := c.path() + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("record claims: %w", err)
	}
	if err := os.Rename(tmp, c.path()); err != nil {
		return fmt.Errorf("record claims: %w", err)
	}
	return nil
}
