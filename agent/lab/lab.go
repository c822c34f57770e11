// Package lab runs lab guests: network namespaces on bridges of the host, with the addresses of
// their ENIs, in which user data runs. They are for trying things and for tests, not isolation.
// A guest is bound as any other: through the agent's socket.
package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// Outside is the host as lab guests see it: addresses of its own, on lo.
var Outside = []netip.Prefix{
	netip.PrefixFrom(vpc.LabOutside[0], 32),
	netip.PrefixFrom(vpc.LabOutside[1], 128),
}

// Guest is a lab guest as it should be.
type Guest struct {
	ID         vpc.InstanceID // the namespace's name
	Run        bool           // false: its namespace is to be gone
	UserData   []byte         // a script that starts with #!, run once per start; anything else is ignored
	Interfaces []Interface    // by device index, the primary first
}

// Interface is one ENI of a guest.
type Interface struct {
	ENI       vpc.InterfaceID
	Index     int // eth<Index> in the guest
	MAC       vpc.MAC
	Addresses []netip.Prefix // each with its subnet's length; of a delegated prefix the first
	VPC       vpc.VPCID
	Subnet    vpc.SubnetID
	Routers   []netip.Prefix // the subnet's router of each family, with the subnet's length
	VPCCIDRs  []netip.Prefix // all blocks of the VPC
	Peers     []vpc.VPCID    // whose guests it reaches, too
}

// Options of a Lab.
type Options struct {
	// Bind claims a host device for an ENI, before the device is up, and returns when the ENI's rules
	// are in force on it. It is idempotent.
	Bind func(ctx context.Context, device string, eni vpc.InterfaceID) error
	// Status is told when a guest runs and when it is gone; reason says why it could not be made.
	Status func(id vpc.InstanceID, running bool, reason string)
	Dir    string       // what must survive the agent: /run/sallyport/lab
	Log    *slog.Logger // nil: discard
}

// Lab keeps the host's namespaces equal to the guests wanted. Reconcile and Close must not run at
// the same time.
type Lab struct {
	opts Options
	log  *slog.Logger

	network sync.Mutex // held while the host's bridges, routes and rules change
	mu      sync.Mutex
	told    map[vpc.InstanceID]bool   // the last Status of each guest: running or not
	failed  map[vpc.InstanceID]string // why a guest could not be made; not tried again until stopped
}

// New returns a Lab. It starts nothing.
func New(o Options) *Lab {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Lab{opts: o, log: log, told: map[vpc.InstanceID]bool{}, failed: map[vpc.InstanceID]string{}}
}

// Reconcile makes what is on the host equal to guests, which are all that the host is to have. What
// an earlier agent made is adopted as it is: running guests notice nothing. An error means that
// something is left to do; the caller tries again.
func (l *Lab) Reconcile(ctx context.Context, guests []Guest) error {
	wanted := make(map[vpc.InstanceID]bool, len(guests))
	subnets := map[vpc.SubnetID]bool{}
	for _, g := range guests {
		wanted[g.ID] = true
		for _, i := range g.Interfaces {
			if g.Run {
				subnets[i.Subnet] = true
			}
		}
	}
	var (
		errs []error
		mu   sync.Mutex
		wg   sync.WaitGroup
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	l.mu.Lock()
	gone := func(id vpc.InstanceID) bool { return !wanted[id] }
	maps.DeleteFunc(l.told, func(id vpc.InstanceID, _ bool) bool { return gone(id) })
	maps.DeleteFunc(l.failed, func(id vpc.InstanceID, _ string) bool { return gone(id) })
	l.mu.Unlock()
	present, err := l.present()
	if err != nil {
		return err
	}
	for _, id := range present {
		if !wanted[id] {
			guests = append(guests, Guest{ID: id})
		}
	}
	each := func(run bool) {
		for _, g := range guests {
			if g.Run != run {
				continue
			}
			wg.Go(func() {
				if err := l.reconcile(ctx, g, wanted[g.ID]); err != nil {
					fail(fmt.Errorf("guest %s: %w", g.ID, err))
				}
			})
		}
		wg.Wait()
	}
	// First what goes: its addresses may be those of a guest that comes.
	each(false)
	if err := removeNetworks(subnets); err != nil {
		fail(err)
	}
	if err := l.joinPeers(guests); err != nil {
		fail(err)
	}
	if len(subnets) > 0 {
		if err := ensureForward(l.log); err != nil {
			l.log.Warn("cannot tell whether the host's firewall drops what guests send each other", "err", err)
		}
	}
	each(true)
	return errors.Join(errs...)
}

func (l *Lab) reconcile(ctx context.Context, g Guest, report bool) error {
	if !g.Run {
		if err := l.remove(g.ID); err != nil {
			return err
		}
		l.mu.Lock()
		delete(l.failed, g.ID)
		l.mu.Unlock()
		if report {
			l.tell(g.ID, false, "")
		}
		return nil
	}
	l.mu.Lock()
	reason := l.failed[g.ID]
	l.mu.Unlock()
	if reason != "" {
		return nil
	}
	start := time.Now()
	err := l.run(ctx, g)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		l.mu.Lock()
		l.failed[g.ID] = refused.reason
		l.mu.Unlock()
		l.log.Warn("guest cannot run here", "instance", g.ID, "err", refused)
		rmErr := l.remove(g.ID)
		l.tell(g.ID, false, refused.reason)
		return rmErr
	case err != nil:
		return err
	}
	if l.tell(g.ID, true, "") {
		l.log.Info("guest runs", "instance", g.ID, "took", time.Since(start))
	}
	return nil
}

// tell reports a guest's state, once per change.
func (l *Lab) tell(id vpc.InstanceID, running bool, reason string) bool {
	l.mu.Lock()
	was, known := l.told[id]
	if known && was == running && reason == "" {
		l.mu.Unlock()
		return false
	}
	l.told[id] = running
	l.mu.Unlock()
	l.opts.Status(id, running, reason)
	return true
}

// Close removes every guest, bridge, route and rule of the lab from the host. What they were is in
// the control plane, which makes them again.
func (l *Lab) Close() error { return Purge(l.opts.Dir) }

// Purge removes what labs left on this host, their guests with it, also those whose directory is lost.
func Purge(dir string) error {
	l := New(Options{Dir: dir, Status: func(vpc.InstanceID, bool, string) {}})
	present, err := l.present()
	if err != nil {
		return err
	}
	named, err := namedGuests()
	if err != nil {
		return err
	}
	var (
		errs []error
		mu   sync.Mutex
		wg   sync.WaitGroup
	)
	for _, id := range union(present, named) {
		wg.Go(func() {
			if err := errors.Join(l.stopLost(id), l.remove(id)); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("guest %s: %w", id, err))
			}
		})
	}
	wg.Wait()
	errs = append(errs, removeNetworks(nil))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, ownerFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget whose guests were here: %w", err)
	}
	return nil
}

// refusal is an error that trying again does not mend.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }
