package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/vpc"
)

// stream is one host's, at the server. Its run goroutine alone sends and decides; it holds at most
// one Delta that waits for its ack, and between two looks only at the newest State.
type stream struct {
	server *Server
	host   vpc.HostID
	rpc    feedpb.Feed_StreamServer
	log    *slog.Logger
	cancel context.CancelCauseFunc

	answers   bool // the agent knows questions
	questions *questions
	done      <-chan struct{} // closed when the stream ends

	effects  sync.Mutex // held while the stream changes the store
	replaced bool       // a newer stream of the host took over

	have     versions       // what the agent has, as far as it said so
	snapshot bool           // what the agent has is not known: the next Delta replaces it
	sent     *feedpb.Delta  // not yet answered; nil: none
	then     func(versions) // changes have once the agent accepts sent
	known    *known         // what have, with sent, is equal to; nil: of no State
	nonce    int64          // of the last Delta
	due      bool           // something happened that may make a Delta necessary
	retry    time.Duration  // between the last refusal and the next try; 0: the last Delta was accepted
	again    <-chan time.Time
}

// A refused Delta is tried again, as what was in the way may be gone, at growing intervals.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

const maxProblem = 1024 // bytes that are kept of why an agent refused a Delta

// malformedError says that the agent sent what no agent sends.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return "malformed message: " + e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Errorf(format, args...)}
}

// hello is the first message of a stream.
type hello struct {
	version  string
	lab      bool
	revision int64
	have     versions
	bindings map[vpc.InterfaceID]Binding
	answers  bool
}

func helloFromPB(m *feedpb.FromAgent) (*hello, error) {
	p := m.GetHello()
	if p == nil {
		return nil, malformed("the first message is no Hello")
	}
	if p.GetRevision() < 0 {
		return nil, malformed("revision %d", p.GetRevision())
	}
	have, err := versionsFromPB(p.GetHave())
	if err != nil {
		return nil, &malformedError{err}
	}
	bindings, err := bindingsFromPB(p.GetBindings())
	if err != nil {
		return nil, &malformedError{err}
	}
	return &hello{p.GetVersion(), p.GetLab(), p.GetRevision(), have, bindings, p.GetAnswers()}, nil
}

// replace ends the stream because its host opened another, and waits for the change to the store
// that it is making.
func (st *stream) replace() {
	st.cancel(errReplaced)
	st.effects.Lock()
	defer st.effects.Unlock()
	st.replaced = true
}

// update changes the store, unless the stream was replaced. A refusal is a *vpc.Error.
func (st *stream) update(ctx context.Context, action func(*vpc.State, vpc.Env) (vpc.Change, error)) (int64, error) {
	st.effects.Lock()
	defer st.effects.Unlock()
	if st.replaced {
		return 0, errReplaced
	}
	return st.server.store.Update(ctx, func(s *vpc.State) (vpc.Change, error) {
		return action(s, st.server.env())
	})
}

// run serves the host until ctx ends, the agent goes (nil), or something fails.
func (st *stream) run(ctx context.Context, h *hello) error {
	state, err := st.register(ctx, h)
	if err != nil {
		return err
	}
	st.server.knows(state.Revision())
	st.have = h.have
	switch {
	case h.revision == 0:
		st.have, st.snapshot = versions{}, true
	case h.revision > state.Revision():
		// The store is synced, so what the agent has comes from a life that this store lost.
		st.log.Warn("host is ahead of the store, sending a snapshot", "revision", h.revision)
		st.have, st.snapshot = versions{}, true
	}

	messages := make(chan *feedpb.FromAgent)
	received := make(chan error, 1)
	go func() { received <- st.receive(ctx, messages) }()

	states := make(chan *vpc.State)
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		for s := range st.server.store.Watch(watching) {
			select {
			case states <- s:
			case <-watching.Done():
				return
			}
		}
	})

	st.due = true
	for {
		if err := st.push(state); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-received:
			return err
		case m := <-messages:
			if err := st.handle(ctx, m); err != nil {
				return err
			}
		case s := <-states:
			if s.Revision() <= state.Revision() {
				continue // never back to what a read has overtaken
			}
			state, st.due = s, true
			st.server.knows(s.Revision())
		case a := <-st.questions.asking:
			if m := st.questions.send(a); m != nil {
				if err := st.rpc.Send(m); err != nil {
					return fmt.Errorf("ask: %w", err)
				}
			}
		case <-st.again:
			st.due = true
		}
	}
}

// receive hands on what the agent sends, one by one. It ends when the handler has returned.
func (st *stream) receive(ctx context.Context, messages chan<- *feedpb.FromAgent) error {
	for {
		m, err := st.rpc.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return nil
		}
	}
}

// register records the host and makes its bindings in the store those of its Hello. It returns a
// State that shows all that was written before.
func (st *stream) register(ctx context.Context, h *hello) (*vpc.State, error) {
	if _, err := st.update(ctx, func(s *vpc.State, env vpc.Env) (vpc.Change, error) {
		return s.RegisterHost(env, vpc.Host{ID: st.host, Lab: h.lab})
	}); err != nil {
		return nil, fmt.Errorf("register the host: %w", err)
	}
	state, err := st.server.store.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if err := st.rpc.SendHeader(nil); err != nil { // tells the agent that it is connected
		return nil, fmt.Errorf("send the header: %w", err)
	}
	for e := range state.InterfacesOfHost(st.host) {
		if b, ok := h.bindings[e.ID]; !ok || b.Device != e.Binding.Device {
			if err := st.unbind(ctx, e.ID); err != nil {
				return nil, err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.bindings)) {
		if err := st.bind(ctx, h.bindings[id]); err != nil {
			return nil, err
		}
	}
	if state, err = st.server.store.Read(ctx); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return state, nil
}

// handle acts on a message after the Hello. Nothing of a malformed one takes effect.
func (st *stream) handle(ctx context.Context, m *feedpb.FromAgent) error {
	switch m := m.GetMessage().(type) {
	case *feedpb.FromAgent_Ack:
		return st.ack(m.Ack)
	case *feedpb.FromAgent_Bindings:
		return st.bindings(ctx, m.Bindings)
	case *feedpb.FromAgent_GuestStatus:
		g, err := guestStatusFromPB(m.GuestStatus)
		if err != nil {
			return &malformedError{err}
		}
		return st.guest(ctx, g)
	case *feedpb.FromAgent_Counters:
		c, err := countersFromPB(m.Counters)
		if err != nil {
			return &malformedError{err}
		}
		st.server.note(st, func(h *host) { h.counters, h.reported = c, time.Now().UTC() })
		return nil
	case *feedpb.FromAgent_Answer:
		return st.questions.answered(m.Answer)
	case *feedpb.FromAgent_Hello:
		return malformed("a second Hello")
	default:
		return malformed("of unknown type %T", m)
	}
}

// push sends what the State changes for the host, unless a Delta is on its way. If that is nothing,
// the State's revision is in force.
func (st *stream) push(s *vpc.State) error {
	if st.sent != nil || !st.due {
		return nil
	}
	st.due, st.again = false, nil
	d := st.news(s)
	if d == nil && st.snapshot {
		d = &feedpb.Delta{} // what the agent has beyond it must go
	}
	if d == nil {
		st.retry = 0
		st.server.inForce(st, s.Revision(), "")
		return nil
	}
	st.nonce++
	d.Nonce, d.Revision, d.Snapshot = st.nonce, s.Revision(), st.snapshot
	then, err := after(d)
	if err != nil {
		return err
	}
	st.sent, st.then = d, then
	if err := st.rpc.Send(&feedpb.FromServer{Message: &feedpb.FromServer_Delta{Delta: d}}); err != nil {
		return fmt.Errorf("send revision %d: %w", d.GetRevision(), err)
	}
	return nil
}

// news returns the Delta from what the agent has to what it is to have in a State; nil if there is none.
func (st *stream) news(s *vpc.State) *feedpb.Delta {
	if st.known != nil {
		if touched, want, ok := st.known.since(s, st.host); ok {
			st.known.state = s
			return difference(st.have, want, maps.Keys(touched))
		}
	}
	want, known := everything(s, st.host)
	st.known = known
	return difference(st.have, want, either(st.have, want))
}

func (st *stream) ack(a *feedpb.Ack) error {
	if st.sent == nil || a.GetNonce() != st.sent.GetNonce() {
		return malformed("ack of nonce %d, which no Delta waits for", a.GetNonce())
	}
	d := st.sent
	if problem := a.GetError(); problem != "" {
		problem = problem[:min(len(problem), maxProblem)]
		st.sent, st.then, st.known = nil, nil, nil
		st.retry = min(max(2*st.retry, firstRetry), lastRetry)
		st.again = time.After(st.retry)
		st.log.Warn("revision not in force", "revision", d.GetRevision(), "err", problem)
		st.server.note(st, func(h *host) { h.problem = problem; st.server.tell() })
		return nil
	}
	if a.GetRevision() != d.GetRevision() {
		return malformed("ack of revision %d with the nonce of revision %d", a.GetRevision(), d.GetRevision())
	}
	st.then(st.have)
	st.snapshot = false
	st.sent, st.then, st.retry, st.due = nil, nil, 0, true // the State may have gone on meanwhile
	st.server.inForce(st, d.GetRevision(), "")
	return nil
}

// bindings ends the claims that went and makes those that came: an ENI that moves from one device
// to another is in both.
func (st *stream) bindings(ctx context.Context, p *feedpb.Bindings) error {
	bound, err := bindingsFromPB(p.GetBound())
	if err != nil {
		return &malformedError{err}
	}
	if slices.Contains(p.GetUnbound(), "") {
		return malformed("unbinds an ENI without id")
	}
	for _, eni := range p.GetUnbound() {
		if err := st.unbind(ctx, vpc.InterfaceID(eni)); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(bound)) {
		if err := st.bind(ctx, bound[id]); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) bind(ctx context.Context, b Binding) error {
	r := &feedpb.BindingResult{Eni: string(b.ENI), Device: b.Device}
	_, err := st.update(ctx, func(s *vpc.State, env vpc.Env) (vpc.Change, error) {
		if _, err := vpc.ParseInterfaceID(string(b.ENI)); err != nil {
			return vpc.Change{}, err
		}
		return s.Bind(env, st.host, b.ENI, b.Device, b.GuestName)
	})
	if refusal := (*vpc.Error)(nil); errors.As(err, &refusal) {
		st.log.Warn("binding refused", "eni", b.ENI, "device", b.Device, "err", refusal)
		r.Error = refusal.Error()
	} else if err != nil {
		return fmt.Errorf("bind %s: %w", b.ENI, err)
	}
	if err := st.rpc.Send(&feedpb.FromServer{Message: &feedpb.FromServer_Binding{Binding: r}}); err != nil {
		return fmt.Errorf("answer the binding of %s: %w", b.ENI, err)
	}
	return nil
}

func (st *stream) unbind(ctx context.Context, eni vpc.InterfaceID) error {
	_, err := st.update(ctx, func(s *vpc.State, env vpc.Env) (vpc.Change, error) {
		return s.Unbind(env, st.host, eni)
	})
	return st.unlessRefused(err, "unbind "+string(eni))
}

// guest records what became of a lab guest of this host. A report about another's is late or
// wrong; it changes nothing.
func (st *stream) guest(ctx context.Context, g GuestStatus) error {
	_, err := st.update(ctx, func(s *vpc.State, env vpc.Env) (vpc.Change, error) {
		if i := s.Instance(g.Instance); i == nil || i.Host != st.host || i.Image != vpc.ImageNetns {
			return vpc.Change{}, nil
		}
		if g.Running {
			return s.GuestRunning(env, g.Instance)
		}
		return s.GuestStopped(env, g.Instance, g.Reason)
	})
	return st.unlessRefused(err, "record the status of guest "+string(g.Instance))
}

// unlessRefused logs a refusal of what needs no answer, and returns any other error.
func (st *stream) unlessRefused(err error, doing string) error {
	if refusal := (*vpc.Error)(nil); errors.As(err, &refusal) {
		st.log.Warn("report refused", "doing", doing, "err", refusal)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
