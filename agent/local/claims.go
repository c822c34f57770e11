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
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/dump"
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
}

// Filter is what filters devices. *datapath.Datapath is one.
type Filter interface {
	// Attach closes the device, and lets the ENI's tables open it; with no ENI nothing opens it.
	Attach(ifindex int, device string, eni vpc.InterfaceID) error
	Detach(ifindex int) error
	// Foreign names the programs that stand before ours on a device.
	Foreign(ifindex int) []string
}

// Options of Claims.
type Options struct {
	Filter Filter
	// Report tells the control plane of a claim that came (bound) or went. It must not block.
	Report func(c Claim, bound bool)
	Dir    string       // where claims survive the agent: /run/sallyport
	Log    *slog.Logger // nil: discard
}

// Claims is the claims of this host. It is safe for concurrent use.
type Claims struct {
	opts Options
	log  *slog.Logger

	mu      sync.Mutex
	claims  map[int]*Claim // by ifindex
	changed chan struct{}  // closed and replaced at every change
}

// ErrUsage is wrapped by refusals that the caller can mend: no such device, device already claimed.
var ErrUsage = errors.New("refused")

// ENIPattern is the form of an ENI id.
var ENIPattern = regexp.MustCompile(`^eni-([0-9a-f]{8}|[0-9a-f]{17})$`)

// New reads the claims that an earlier agent left and closes their devices again, if they are not
// closed still. attached is what the filter holds already, device by ifindex.
func New(o Options, attached map[int]vpc.InterfaceID) (*Claims, error) {
	c := &Claims{opts: o, log: o.Log, claims: map[int]*Claim{}, changed: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	saved, err := c.load()
	if err != nil {
		return nil, err
	}
	for i, eni := range attached {
		if !slices.ContainsFunc(saved, func(s Claim) bool { return s.Ifindex == i }) && eni != "" {
			saved = append(saved, Claim{Ifindex: i, ENI: eni, Source: Explicit})
		}
	}
	for _, s := range saved {
		link, err := netlink.LinkByIndex(s.Ifindex)
		if err != nil || s.Device != "" && s.Device != link.Attrs().Name {
			continue // the device is gone; its number may be another's by now
		}
		s.Device = link.Attrs().Name
		if err := c.close(&s); err != nil {
			return nil, err
		}
		c.claims[s.Ifindex] = &s
	}
	return c, nil
}

// close attaches the filter for a claim that holds its ENI, or for nobody if another holds it.
func (c *Claims) close(s *Claim) error {
	eni := s.ENI
	s.State, s.Message = Closed, ""
	if holder := c.holder(s.ENI); holder != nil && holder.Ifindex != s.Ifindex {
		eni = ""
		s.State, s.Message = Refused, fmt.Sprintf("%s is bound to %s", s.ENI, holder.Device)
	}
	if err := c.opts.Filter.Attach(s.Ifindex, s.Device, eni); err != nil {
		return fmt.Errorf("filter %s: %w", s.Device, err)
	}
	return nil
}

// holder returns the claim that holds an ENI, or nil.
func (c *Claims) holder(eni vpc.InterfaceID) *Claim {
	for _, o := range c.claims {
		if o.ENI == eni && o.State != Refused {
			return o
		}
	}
	return nil
}

// Bind claims a device for an ENI. From its return on the device is filtered: closed until the
// control plane accepts the claim and the ENI's rules are in force. Claiming again what is claimed
// is no error.
func (c *Claims) Bind(device string, eni vpc.InterfaceID, guest string, source Source) (Claim, error) {
	if !ENIPattern.MatchString(string(eni)) {
		return Claim{}, fmt.Errorf("%w: %q is not the id of a network interface (eni-…)", ErrUsage, eni)
	}
	link, err := netlink.LinkByName(device)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return Claim{}, fmt.Errorf("%w: this host has no device %q", ErrUsage, device)
	}
	if err != nil {
		return Claim{}, fmt.Errorf("find %s: %w", device, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := link.Attrs().Index
	if old := c.claims[i]; old != nil {
		if old.ENI != eni {
			return Claim{}, fmt.Errorf("%w: %s is claimed for %s; unbind it first", ErrUsage, old.Device, old.ENI)
		}
		if old.State != Refused {
			return *old, nil
		}
	}
	s := &Claim{Device: link.Attrs().Name, Ifindex: i, ENI: eni, Source: source, Guest: guest}
	if err := c.close(s); err != nil {
		return Claim{}, err
	}
	c.claims[i] = s
	c.log.Info("device claimed", "device", s.Device, "eni", eni, "source", source, "state", s.State)
	if s.State != Refused {
		c.opts.Report(*s, true)
	} else {
		c.log.Warn("claim refused, device stays closed", "device", s.Device, "eni", eni, "err", s.Message)
	}
	return *s, c.save()
}

// Unbind gives a device up: it is filtered no longer.
func (c *Claims) Unbind(device string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.claims {
		if s.Device != device {
			continue
		}
		if link, err := netlink.LinkByIndex(i); err == nil && named(link) == s.ENI {
			return fmt.Errorf("%w: the alias of %s still names %s; clear it: ip link set dev %s alias ''",
				ErrUsage, device, s.ENI, device)
		}
		if err := c.opts.Filter.Detach(i); err != nil {
			return fmt.Errorf("release %s: %w", device, err)
		}
		return c.drop(s)
	}
	return fmt.Errorf("%w: %s is not bound", ErrUsage, device)
}

// drop forgets a claim, and lets one that was refused because of it try again.
func (c *Claims) drop(s *Claim) error {
	delete(c.claims, s.Ifindex)
	c.log.Info("device released", "device", s.Device, "eni", s.ENI)
	if s.State != Refused {
		c.opts.Report(*s, false)
		c.retry(func(o *Claim) bool { return o.ENI == s.ENI })
	}
	return c.save()
}

// retry claims again what was refused.
func (c *Claims) retry(which func(*Claim) bool) {
	for _, o := range c.claims {
		if o.State != Refused || !which(o) || c.holder(o.ENI) != nil {
			continue
		}
		if err := c.close(o); err != nil {
			o.State, o.Message = Refused, err.Error()
			continue
		}
		c.opts.Report(*o, true)
	}
}

// Answered records what the control plane says of a claim; problem is empty if it accepts.
func (c *Claims) Answered(eni vpc.InterfaceID, device, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.claims {
		if s.ENI != eni || s.Device != device || s.State == Refused {
			continue
		}
		switch {
		case problem != "":
			s.State, s.Message = Refused, problem
			c.log.Warn("claim refused, device stays closed", "device", device, "eni", eni, "err", problem)
			if err := c.opts.Filter.Attach(i, device, ""); err != nil {
				c.log.Error("close a refused device", "device", device, "err", err)
			}
		case s.State == Closed:
			s.State = Waiting
		}
	}
	c.note()
}

// InForce records which ENIs have rules in force.
func (c *Claims) InForce(has func(vpc.InterfaceID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
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

// Wait returns a device's claim once done is true of it or ctx ends, whichever comes first.
func (c *Claims) Wait(ctx context.Context, ifindex int, done func(Claim) bool) (Claim, error) {
	for {
		c.mu.Lock()
		s, changed := c.claims[ifindex], c.changed
		var now Claim
		if s != nil {
			now = *s
		}
		c.mu.Unlock()
		if s == nil {
			return Claim{}, fmt.Errorf("%w: the device is gone", ErrUsage)
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

// Run watches the host's devices until ctx ends: aliases make claims, a device that disappears ends
// its own. Claims that the control plane refused are tried again every half minute.
func (c *Claims) Run(ctx context.Context) error {
	again := time.NewTicker(30 * time.Second)
	defer again.Stop()
	for ctx.Err() == nil {
		if err := c.watch(ctx, again.C); err != nil && ctx.Err() == nil {
			c.log.Warn("watch of devices broke, starts again", "err", err)
		}
	}
	return nil
}

func (c *Claims) watch(ctx context.Context, again <-chan time.Time) error {
	events, done, broken := make(chan netlink.LinkUpdate, 64), make(chan struct{}), make(chan error, 1)
	defer close(done)
	if err := netlink.LinkSubscribeWithOptions(events, done, netlink.LinkSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case broken <- err:
			default:
			}
		},
	}); err != nil {
		return fmt.Errorf("subscribe to devices: %w", err)
	}
	// Everything once, now that no event is missed.
	links, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	present := map[int]bool{}
	for _, l := range links {
		present[l.Attrs().Index] = true
		c.seen(l)
	}
	c.gone(func(i int) bool { return !present[i] })
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-again:
			c.mu.Lock()
			c.retry(func(*Claim) bool { return true })
			c.mu.Unlock()
		case e, ok := <-events:
			switch {
			case !ok:
				return errors.New("the subscription ended")
			case e.Header.Type == unix.RTM_DELLINK:
				c.gone(func(i int) bool { return i == int(e.Index) })
			default:
				c.seen(e.Link)
			}
		}
	}
}

// seen claims a device whose alias or alternative name says so, and follows a change of name.
func (c *Claims) seen(l netlink.Link) {
	c.mu.Lock()
	if s := c.claims[l.Attrs().Index]; s != nil {
		s.Device = l.Attrs().Name
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	eni := named(l)
	if eni == "" {
		return
	}
	if _, err := c.Bind(l.Attrs().Name, eni, "", Alias); err != nil {
		c.log.Error("claim by alias", "device", l.Attrs().Name, "eni", eni, "err", err)
	}
}

// named returns the ENI that a device's alias or alternative name is, or "".
func named(l netlink.Link) vpc.InterfaceID {
	for _, n := range append([]string{l.Attrs().Alias}, l.Attrs().AltNames...) {
		if ENIPattern.MatchString(n) {
			return vpc.InterfaceID(n)
		}
	}
	return ""
}

func (c *Claims) gone(which func(ifindex int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.claims {
		if !which(i) {
			continue
		}
		if err := c.opts.Filter.Detach(i); err != nil {
			c.log.Error("release a device that is gone", "device", s.Device, "err", err)
		}
		if err := c.drop(s); err != nil {
			c.log.Error("record claims", "err", err)
		}
	}
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
	if err := json.Unmarshal(b, &saved); err != nil {
		return nil, fmt.Errorf("read claims: %s: %w", c.path(), err)
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
	slices.SortFunc(saved, func(a, b Claim) int { return cmp.Compare(a.Ifindex, b.Ifindex) })
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
