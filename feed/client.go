package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/vpc"
)

// ClientOptions are the options of a Client.
type ClientOptions struct {
	Server  string      // host:port
	TLS     *tls.Config // required; presents the host's certificate: AgentTLS
	Version string      // of this program
	Lab     bool        // this host runs lab guests
	// Bound is called with the answer to each Bind, and again after each reconnect. It must not
	// block. nil: answers are dropped.
	Bound func(BindingResult)
	// Answer answers a question of the server. It is called beside Follow's apply and beside itself, and
	// should end when ctx does. nil: this agent answers none.
	Answer func(context.Context, inquiry.Question) (inquiry.Answer, error)
	Log    *slog.Logger // nil: discard
}

// Client is an agent's end of the feed. It keeps what the agent reports and says all of it again
// after a reconnect, so that nobody need know when one happened. It is safe for concurrent use, but
// for Follow, which runs once.
type Client struct {
	o    ClientOptions
	wake chan struct{} // cap 1: there is something to send

	// What Follow alone touches.
	revision int64    // of the last Update that was applied
	have     versions // that the Updates so far have led to

	mu        sync.Mutex
	connected bool
	working   bool // on a Delta of the open stream
	bindings  map[vpc.InterfaceID]Binding
	guests    map[vpc.InstanceID]GuestStatus
	counters  Counters
	unsent    unsent
}

// unsent is what the open stream has not been told yet: names alone, so it is no longer than what
// there is to know.
type unsent struct {
	ack      *feedpb.Ack
	bound    map[vpc.InterfaceID]bool
	unbound  map[vpc.InterfaceID]bool
	guests   map[vpc.InstanceID]bool
	counters bool
	answers  []*feedpb.Answer
}

// NewClient returns a Client that does nothing before Follow.
func NewClient(o ClientOptions) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Bound == nil {
		o.Bound = func(BindingResult) {}
	}
	return &Client{
		o:        o,
		wake:     make(chan struct{}, 1),
		have:     versions{},
		bindings: map[vpc.InterfaceID]Binding{},
		guests:   map[vpc.InstanceID]GuestStatus{},
	}
}

// Connected reports whether a server has accepted this host and the stream is open.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// Bind claims that a device carries an ENI, until Unbind. A claim of the same ENI replaces the
// older one. It returns an error, and claims nothing, if the ENI or the device cannot be one; the
// server's answer comes through ClientOptions.Bound.
func (c *Client) Bind(b Binding) error {
	if err := b.validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.bindings[b.ENI]; ok && old.Device != b.Device {
		c.unsent.unbound = add(c.unsent.unbound, b.ENI)
	}
	c.bindings[b.ENI] = b
	c.unsent.bound = add(c.unsent.bound, b.ENI)
	c.poke()
	return nil
}

// Unbind ends the claim of an ENI; an unknown one does nothing.
func (c *Client) Unbind(eni vpc.InterfaceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.bindings[eni]; !ok {
		return
	}
	delete(c.bindings, eni)
	delete(c.unsent.bound, eni)
	c.unsent.unbound = add(c.unsent.unbound, eni)
	c.poke()
}

// ReportGuest says what became of a lab guest. The last word about a guest counts; it is said again
// after a reconnect until an Update contradicts it or removes the guest.
func (c *Client) ReportGuest(s GuestStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests[s.Instance] = s
	c.unsent.guests = add(c.unsent.guests, s.Instance)
	c.poke()
}

// ReportCounters says what was counted; the last word counts. The Client owns n from now on.
func (c *Client) ReportCounters(n Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counters = n
	c.unsent.counters = true
	c.poke()
}

func add[K comparable](set map[K]bool, k K) map[K]bool {
	if set == nil {
		set = map[K]bool{}
	}
	set[k] = true
	return set
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// How long the agent waits before it connects again: at random around a time that grows from
// shortest to longest, and starts over after a stream that lasted.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 10 * time.Second
	lasting      = 10 * time.Second
)

// Follow keeps this host at the server's revision until ctx ends, and returns ctx's error. It calls
// apply for one Update after another. nil from apply says that the Update is in force; an error is
// reported to the server, the last good state must still stand, and the next Update starts from
// there. Each reconnect costs the difference alone. While no server answers, nothing is called.
//
// The server ends the bindings of this host that were not claimed when it connects, and their ENIs
// leave the View: an agent that adopts devices claims them before it calls Follow.
func (c *Client) Follow(ctx context.Context, apply func(context.Context, *Update) error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = shortestWait, longestWait
	for {
		start := time.Now()
		err := c.stream(ctx, apply)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(start) > lasting {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		c.o.Log.Warn("feed stream ended", "server", c.o.Server, "revision", c.revision, "retry_in", pause, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// stream connects and serves one stream until it ends; the error says why.
func (c *Client) stream(ctx context.Context, apply func(context.Context, *Update) error) error {
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := grpc.NewClient(
		"passthrough:///"+c.o.Server, // one server, named by the operator: the dialer resolves it each time
		grpc.WithTransportCredentials(credentials.NewTLS(c.o.TLS)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxDelta)),
	)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	rpc, err := feedpb.NewFeedClient(conn).Stream(streaming)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := rpc.Send(&feedpb.FromAgent{Message: &feedpb.FromAgent_Hello{Hello: c.hello()}}); err != nil {
		return ended(rpc, err)
	}
	deltas := make(chan *feedpb.Delta, 1)
	broken := make(chan error, 2) // from sender and receiver
	var both sync.WaitGroup
	defer both.Wait()
	defer cancel()
	both.Go(func() { broken <- c.receive(streaming, rpc, deltas) })
	both.Go(func() { broken <- c.send(streaming, rpc) })
	for {
		select {
		case d := <-deltas:
			// Applying goes on when the stream breaks: the next Hello says what came of it.
			c.answer(c.apply(ctx, d, apply))
		case err := <-broken:
			return err
		}
	}
}

// hello says all that the server does not know of a new stream, and marks it as said.
func (c *Client) hello() *feedpb.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &feedpb.Hello{
		Version:  c.o.Version,
		Lab:      c.o.Lab,
		Revision: c.revision,
		Have:     c.have.toPB(),
		Answers:  c.o.Answer != nil,
	}
	for _, eni := range slices.Sorted(maps.Keys(c.bindings)) {
		h.Bindings = append(h.Bindings, bindingToPB(c.bindings[eni]))
	}
	c.working = false
	c.unsent = unsent{counters: c.counters != nil}
	for id := range c.guests {
		c.unsent.guests = add(c.unsent.guests, id)
	}
	c.poke()
	return h
}

// receive hands on Deltas until the stream ends.
func (c *Client) receive(ctx context.Context, rpc feedpb.Feed_StreamClient, deltas chan<- *feedpb.Delta) error {
	if _, err := rpc.Header(); err != nil { // comes once the server has registered the host
		return ended(rpc, err)
	}
	c.setConnected(true)
	defer c.setConnected(false)
	c.o.Log.Info("feed connected", "server", c.o.Server)
	var answering sync.WaitGroup
	defer answering.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free := make(chan struct{}, maxOpen)
	for {
		m, err := rpc.Recv()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		switch m := m.GetMessage().(type) {
		case *feedpb.FromServer_Delta:
			if !c.expect() {
				return errors.New("the server sent a Delta before the ack of the last")
			}
			deltas <- m.Delta // the last was taken before it was answered
		case *feedpb.FromServer_Binding:
			c.o.Bound(BindingResult{
				ENI: vpc.InterfaceID(m.Binding.GetEni()), Device: m.Binding.GetDevice(), Error: m.Binding.GetError(),
			})
		case *feedpb.FromServer_Ask:
			q, err := questionFromPB(m.Ask)
			if err != nil || c.o.Answer == nil {
				return fmt.Errorf("the server asked what cannot be answered: %w", err)
			}
			select {
			case free <- struct{}{}:
			default:
				return errors.New("the server asked more than one host may be asked at a time")
			}
			answering.Go(func() {
				a := c.consider(ctx, m.Ask.GetId(), q)
				<-free // before the server knows: it may ask again at once
				c.sendAnswer(a)
			})
		default:
			return fmt.Errorf("the server sent a message of unknown type %T", m)
		}
	}
}

func (c *Client) setConnected(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = yes
}

// apply reads a Delta, has it put in force, and returns what to answer.
func (c *Client) apply(ctx context.Context, d *feedpb.Delta, apply func(context.Context, *Update) error) *feedpb.Ack {
	refuse := func(err error) *feedpb.Ack {
		c.o.Log.Error("revision not in force", "revision", d.GetRevision(), "err", err)
		return &feedpb.Ack{Nonce: d.GetNonce(), Revision: c.revision, Error: err.Error()}
	}
	u, err := updateFromPB(d, c.revision)
	if err != nil {
		return refuse(fmt.Errorf("read the delta: %w", err))
	}
	then, err := after(d)
	if err != nil {
		return refuse(fmt.Errorf("read the delta: %w", err))
	}
	c.forget(u)
	if err := apply(ctx, u); err != nil {
		return refuse(err)
	}
	c.revision = u.Revision
	then(c.have)
	return &feedpb.Ack{Nonce: d.GetNonce(), Revision: u.Revision}
}

// forget drops what was reported of guests that the Update removes or wants otherwise.
func (c *Client) forget(u *Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.guests, func(id vpc.InstanceID, s GuestStatus) bool {
		g, named := u.Guests[id]
		if !named {
			return u.Snapshot || slices.Contains(u.RemovedGuests, id)
		}
		return g.Run != s.Running
	})
}

// expect reports whether the stream may bring a Delta now.
func (c *Client) expect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := !c.working
	c.working = true
	return ok
}

func (c *Client) answer(a *feedpb.Ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working = false
	c.unsent.ack = a
	c.poke()
}

// consider answers a question.
func (c *Client) consider(ctx context.Context, id int64, q inquiry.Question) *feedpb.Answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout) // nobody waits longer
	defer cancel()
	a, err := c.o.Answer(ctx, q)
	if err != nil {
		return &feedpb.Answer{Id: id, Error: strings.ToValidUTF8(err.Error(), "?")}
	}
	return answerToPB(id, a)
}

func (c *Client) sendAnswer(a *feedpb.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent.answers = append(c.unsent.answers, a)
	c.poke()
}

// send tells the stream what there is to tell until ctx ends.
func (c *Client) send(ctx context.Context, rpc feedpb.Feed_StreamClient) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		}
		for _, m := range c.news() {
			if err := rpc.Send(m); err != nil {
				// Recv knows why.
				<-ctx.Done()
				return ctx.Err()
			}
		}
	}
}

// news returns what the stream has not been told, and marks it as told.
func (c *Client) news() []*feedpb.FromAgent {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.unsent
	c.unsent = unsent{}
	var ms []*feedpb.FromAgent
	if len(n.bound)+len(n.unbound) > 0 {
		b := &feedpb.Bindings{Unbound: stringsOf(slices.Sorted(maps.Keys(n.unbound)))}
		for _, eni := range slices.Sorted(maps.Keys(n.bound)) {
			b.Bound = append(b.Bound, bindingToPB(c.bindings[eni]))
		}
		ms = append(ms, &feedpb.FromAgent{Message: &feedpb.FromAgent_Bindings{Bindings: b}})
	}
	for _, id := range slices.Sorted(maps.Keys(n.guests)) {
		if s, ok := c.guests[id]; ok {
			ms = append(ms, &feedpb.FromAgent{Message: &feedpb.FromAgent_GuestStatus{GuestStatus: guestStatusToPB(s)}})
		}
	}
	if n.ack != nil {
		ms = append(ms, &feedpb.FromAgent{Message: &feedpb.FromAgent_Ack{Ack: n.ack}})
	}
	for _, a := range n.answers {
		ms = append(ms, &feedpb.FromAgent{Message: &feedpb.FromAgent_Answer{Answer: a}})
	}
	if n.counters {
		ms = append(ms, &feedpb.FromAgent{Message: &feedpb.FromAgent_Counters{Counters: countersToPB(c.counters)}})
	}
	return ms
}

// ended returns why a stream ended that could not be sent to.
func ended(rpc feedpb.Feed_StreamClient, err error) error {
	if errors.Is(err, io.EOF) {
		_, err = rpc.Recv()
	}
	return fmt.Errorf("connect: %w", err)
}
