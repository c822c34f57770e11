package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/dump"
	"github.com/sallyport/sallyport/vpc"
)

// How often Run looks at all devices, and tries again what was refused, and how long it waits before
// it starts a watch that broke again.
const (
	lookInterval  = 10 * time.Second
	retryInterval = 30 * time.Second
	watchDelay    = time.Second
)

// Run watches the host's devices until ctx ends: aliases make claims, a device that disappears ends
// its own. What the kernel does not announce (an alternative name) is found within lookInterval.
func (c *Claims) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.watch(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("watch of devices broke, starts again", "err", err)
			select {
			case <-time.After(watchDelay):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func (c *Claims) watch(ctx context.Context) error {
	events, done, broken := make(chan netlink.LinkUpdate, 64), make(chan struct{}), make(chan error, 1)
	if err := netlink.LinkSubscribeWithOptions(events, done, netlink.LinkSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case broken <- err:
			default:
			}
		},
	}); err != nil {
		close(done)
		return fmt.Errorf("subscribe to devices: %w", err)
	}
	defer func() {
		close(done)
		for range events { // until the subscription has ended, which a full channel would keep it from
		}
	}()
	// Everything once, now that no event is missed.
	if err := c.look(); err != nil {
		return err
	}
	look, again := time.NewTicker(lookInterval), time.NewTicker(retryInterval)
	defer look.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-look.C:
			if err := c.look(); err != nil {
				return err
			}
		case <-again.C:
			c.mu.Lock()
			c.retry(func(*Claim) bool { return true })
			c.mu.Unlock()
		case e, ok := <-events:
			switch {
			case !ok:
				return errors.New("the subscription ended")
			case e.Family != unix.AF_UNSPEC:
				// A bridge's word about a port: that it left is announced as an RTM_DELLINK, but the
				// device is still there.
			case e.Header.Type == unix.RTM_DELLINK:
				delete(c.odd, int(e.Index))
				c.gone(int(e.Index))
			default:
				c.seen(e.Link)
			}
		}
	}
}

// look compares the claims with all devices.
func (c *Claims) look() error {
	links, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	present := map[int]bool{}
	for _, l := range links {
		present[l.Attrs().Index] = true
		c.replaced(l)
		c.seen(l)
	}
	c.mu.Lock()
	claimed := slices.Collect(maps.Keys(c.claims))
	c.mu.Unlock()
	for _, i := range claimed {
		if present[i] {
			continue
		}
		// It may have come, and been bound, after the list was made.
		if _, err := netlink.LinkByIndex(i); errors.As(err, new(netlink.LinkNotFoundError)) {
			c.gone(i)
		}
	}
	return nil
}

// seen claims a device whose alias or alternative name says so, and follows a change of name.
func (c *Claims) seen(l netlink.Link) {
	if c.known(l) {
		return
	}
	c.warn(l)
	eni := named(l)
	if eni == "" {
		return
	}
	if _, err := c.Bind(l.Attrs().Name, eni, "", Alias); err != nil {
		c.log.Error("claim by alias", "device", l.Attrs().Name, "eni", eni, "err", err)
	}
}

// replaced ends the claim of a device whose index another one has, though nobody has said so, and closes
// that: it is one that somebody meant to be filtered, or one whose filter was removed by hand.
func (c *Claims) replaced(l netlink.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.claims[l.Attrs().Index]
	if s == nil || s.State == Refused || c.opts.Filter.Filters(s.Ifindex) {
		return
	}
	c.log.Warn("claimed device is another by now, or its filter is gone", "device", s.Device, "eni", s.ENI)
	c.end(s)
	if named(l) == "" {
		n := &Claim{Device: l.Attrs().Name, Ifindex: s.Ifindex, Source: Explicit, turn: c.next()}
		c.claims[n.Ifindex] = n
		_ = c.close(n) // the claim says why not
	}
	if err := c.save(); err != nil {
		c.log.Error("record claims", "err", err)
	}
}

// known reports whether a device is claimed, and takes over its name.
func (c *Claims) known(l netlink.Link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.claims[l.Attrs().Index]
	if s == nil {
		return false
	}
	if s.Device == l.Attrs().Name {
		return true
	}
	c.log.Info("claimed device renamed", "device", l.Attrs().Name, "was", s.Device, "eni", s.ENI)
	s.Device = l.Attrs().Name
	if s.reported {
		c.opts.Report(*s, true)
	}
	if err := c.save(); err != nil {
		c.log.Error("record claims", "err", err)
	}
	return true
}

// names returns what a device's alias and alternative names say, without the spaces around it.
func names(l netlink.Link) []string {
	all := append([]string{l.Attrs().Alias}, l.Attrs().AltNames...)
	for i, n := range all {
		all[i] = strings.TrimSpace(n)
	}
	return all
}

// named returns the ENI that a device's alias or alternative name is, or "".
func named(l netlink.Link) vpc.InterfaceID {
	for _, n := range names(l) {
		if ENIPattern.MatchString(n) {
			return vpc.InterfaceID(n)
		}
	}
	return ""
}

// warn tells, once, of a name that looks as if it should claim the device, and does not.
func (c *Claims) warn(l netlink.Link) {
	i, odd := l.Attrs().Index, ""
	for _, n := range names(l) {
		if strings.HasPrefix(strings.ToLower(n), "eni-") && !ENIPattern.MatchString(n) {
			odd = n
		}
	}
	if odd == c.odd[i] {
		return
	}
	delete(c.odd, i)
	if odd != "" {
		c.odd[i] = odd
		c.log.Warn("a device's name is not the id of a network interface: it claims nothing", "device", l.Attrs().Name, "name", odd)
	}
}

func (c *Claims) gone(ifindex int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.claims[ifindex]
	if s == nil || c.opts.Filter.Filters(ifindex) { // another has its index, and is claimed
		return
	}
	c.end(s)
	if err := c.save(); err != nil {
		c.log.Error("record claims", "err", err)
	}
}
