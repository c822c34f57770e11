package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/agent/local"
	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Agent keeps one host equal to what the server says of it.
type Agent struct {
	c   Config
	log *slog.Logger

	datapath *datapath.Datapath
	claims   *local.Claims
	feed     *feed.Client
	lab      *lab.Lab // nil: this host runs no lab guests

	// What apply alone touches.
	view     *ruleset.View
	guests   map[vpc.InstanceID]feed.Guest
	compiler ruleset.Compiler

	inForce atomic.Pointer[inForce] // nil: nothing yet

	wanted chan wish // cap 1: the newest
	ready  sync.Once
}

const (
	// How often what only grows or expires is looked at: first the connections, then what was counted of them.
	sweepInterval = 5 * time.Second
	labRetry      = time.Second
)

// New returns an Agent that has started nothing.
func New(c Config) (*Agent, error) {
	for _, f := range []struct{ flag, value string }{
		{"server", c.Server},
		{"ca-file", c.CAFile},
		{"cert-file", c.CertFile},
		{"key-file", c.KeyFile},
		{"run-dir", c.RunDir},
		{"pins", c.Pins},
	} {
		if f.value == "" {
			return nil, fmt.Errorf("--%s is empty", f.flag)
		}
	}
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return nil, fmt.Errorf("--server: %w", err)
	}
	for flag, n := range map[string]uint32{"max-connections": c.MaxConnections, "connection-places": c.MaxHalfOpen} {
		if n < fewestConnections || n > mostConnections {
			return nil, fmt.Errorf("--%s is %d: use %d to %d", flag, n, fewestConnections, mostConnections)
		}
	}
	a := &Agent{
		c: c, log: c.Log,
		view:   &ruleset.View{},
		guests: map[vpc.InstanceID]feed.Guest{},
		wanted: make(chan wish, 1),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.c.Ready == nil {
		a.c.Ready = func() {}
	}
	return a, nil
}

// Socket is the path of the agent's Unix socket.
func (c Config) Socket() string { return filepath.Join(c.RunDir, "agent.sock") }

// Run runs the agent until ctx ends. Filters and connections stay in force after it; lab guests are
// removed if ctx ended it, and stay if it failed.
func (a *Agent) Run(ctx context.Context) error {
	if err := Preflight(a.c); err != nil {
		return err
	}
	unlock, err := lock(a.c)
	if err != nil {
		return err
	}
	defer unlock()
	labDir := filepath.Join(a.c.RunDir, "lab")
	if a.c.Lab {
		if err := lab.Own(labDir, a.c.CAFile); err != nil {
			return err
		}
	}
	creds, err := feed.AgentTLS(a.c.CAFile, a.c.CertFile, a.c.KeyFile)
	if err != nil {
		return err
	}
	if a.datapath, err = datapath.Open(datapath.Options{
		Pins: a.c.Pins, Attach: a.c.Attach, Log: a.log,
		MaxConnections: a.c.MaxConnections, MaxHalfOpen: a.c.MaxHalfOpen,
		PlatformServices: a.c.PlatformServices, AnyLinkLocal: a.c.LinkLocal == LinkLocalAny, Routers: a.c.LinkLocalRouters,
	}); err != nil {
		return err
	}
	defer a.datapath.Close()
	a.feed = feed.NewClient(feed.ClientOptions{
		Server: a.c.Server, TLS: creds, Version: a.c.Version, Lab: a.c.Lab, Log: a.log,
		Bound:  func(r feed.BindingResult) { a.claims.Answered(r.ENI, r.Device, r.Error) },
		Answer: a.answer,
	})
	attached, replaced := map[int]vpc.InterfaceID{}, map[int]bool{}
	for _, at := range a.datapath.Attached() {
		attached[at.Ifindex], replaced[at.Ifindex] = at.ENI, at.Replaced
	}
	a.claims, err = local.New(local.Options{Filter: a.datapath, Report: a.report, Replaced: replaced, Dir: a.c.RunDir, Log: a.log}, attached)
	if err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.claims.Run(ctx) })
	g.Go(func() error { return a.claims.Serve(ctx, a.c.Socket()) })
	g.Go(func() error { return a.feed.Follow(ctx, a.apply) })
	g.Go(func() error { return a.housekeep(ctx) })
	g.Go(func() error { return a.datapath.ReadEvents(ctx) })
	if a.c.Lab {
		socket := local.NewClient(a.c.Socket())
		a.lab = lab.New(lab.Options{
			Bind: func(ctx context.Context, device string, eni vpc.InterfaceID) error {
				return bind(ctx, socket, device, eni)
			},
			Status: func(id vpc.InstanceID, running bool, reason string) {
				a.feed.ReportGuest(feed.GuestStatus{Instance: id, Running: running, Reason: reason})
			},
			Dir: labDir, Log: a.log,
		})
		g.Go(func() error { return a.runLab(ctx) })
	}
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
		if a.lab != nil {
			err = a.lab.Close()
		}
	}
	return err
}

// report tells the server of a claim that came or went.
func (a *Agent) report(c local.Claim, bound bool) {
	if !bound {
		a.feed.Unbind(c.ENI)
		return
	}
	if err := a.feed.Bind(feed.Binding{ENI: c.ENI, Device: c.Device, GuestName: c.Guest}); err != nil {
		a.log.Error("report a claim", "device", c.Device, "eni", c.ENI, "err", err)
	}
}

// apply puts an Update in force. On an error the last good state stays, in the datapath and here.
func (a *Agent) apply(_ context.Context, u *feed.Update) error {
	base, guests := a.view, maps.Clone(a.guests)
	if u.Snapshot {
		base, guests = &ruleset.View{}, map[vpc.InstanceID]feed.Guest{}
	}
	view, err := base.Apply(u.Delta)
	if err != nil {
		return err
	}
	tables, members := a.compiler.Compile(view)
	if err := a.datapath.Apply(tables, members); err != nil {
		return errors.New(oneLine(err))
	}
	a.claims.InForce(func(id vpc.InterfaceID) bool { _, ok := tables.ENIs[id]; return ok })
	maps.Copy(guests, u.Guests)
	for _, id := range u.RemovedGuests {
		delete(guests, id)
	}
	a.view, a.guests = view, guests
	a.inForce.Store(&inForce{tables, members})
	if !a.c.Lab {
		a.ready.Do(a.c.Ready)
		return nil
	}
	w := wish{labGuests(guests), u.Snapshot || len(u.Guests)+len(u.RemovedGuests) > 0}
	select { // replaces a wish that was not looked at yet
	case old := <-a.wanted:
		w.other = w.other || old.other
	default:
	}
	a.wanted <- w
	return nil
}

// wish is the lab guests that there shall be.
type wish struct {
	guests []lab.Guest
	other  bool // than those of the wish before
}

func labGuests(guests map[vpc.InstanceID]feed.Guest) []lab.Guest {
	gs := make([]lab.Guest, 0, len(guests))
	for _, id := range slices.Sorted(maps.Keys(guests)) {
		g := guests[id]
		l := lab.Guest{ID: id, Run: g.Run, UserData: g.UserData}
		for _, i := range g.Interfaces {
			l.Interfaces = append(l.Interfaces, lab.Interface{
				ENI: i.ENI, Index: i.DeviceIndex, MAC: i.MAC, Addresses: i.Addresses,
				VPC: i.VPC, Subnet: i.Subnet, Routers: i.Routers, VPCCIDRs: i.VPCCIDRs, Peers: i.Peers,
			})
		}
		gs = append(gs, l)
	}
	return gs
}

// runLab keeps the lab equal to the newest wish. The agent is ready once the first is fulfilled. A change of
// rules alone makes it look whether all is still there, but not at once: it would take the CPU from the
// change, and look at every device of the host each time.
func (a *Agent) runLab(ctx context.Context) error {
	var w wish
	var retry <-chan time.Time // nil: there is nothing to look at again
	for {
		select {
		case <-ctx.Done():
			return nil
		case w = <-a.wanted:
			if !w.other {
				if retry == nil {
					retry = time.After(labRetry)
				}
				continue
			}
		case <-retry:
		}
		retry = nil
		if err := a.lab.Reconcile(ctx, w.guests); err != nil && ctx.Err() == nil {
			a.log.Warn("lab guests are not as wanted yet, tries again", "err", oneLine(err))
			retry = time.After(labRetry)
			continue
		}
		a.ready.Do(a.c.Ready)
	}
}

// bind claims a lab guest's device through the socket, as anything else does, and waits until the
// rules are in force.
func bind(ctx context.Context, socket *local.Client, device string, eni vpc.InterfaceID) error {
	c, err := socket.Bind(ctx, local.BindRequest{Device: device, ENI: eni, InForce: true})
	switch {
	case err != nil:
		return err
	case c.State != local.Bound:
		return fmt.Errorf("%s is %s: %s", device, c.State, c.Message)
	}
	return nil
}

func (a *Agent) housekeep(ctx context.Context) error {
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	report := func() {
		if err := a.reportCounters(); err != nil {
			a.log.Error("read counters", "err", err)
		}
	}
	report() // what the agent before had counted
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			if n, err := a.datapath.Sweep(); err != nil {
				a.log.Error("sweep connections", "err", err)
			} else if n > 0 {
				a.log.Debug("connections expired", "count", n)
			}
			report()
		}
	}
}
