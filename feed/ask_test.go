package feed_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

func someConnection(eni vpc.InterfaceID, port uint16) inquiry.Connection {
	return inquiry.Connection{
		Flow: inquiry.Flow{
			ENI: eni, Protocol: 6, Local: netip.MustParseAddr("10.0.1.11"), Remote: netip.MustParseAddr("192.0.2.7"),
			LocalPort: 80, RemotePort: port, First: ruleset.Ingress,
		},
		State: inquiry.Established, Observed: true, Rule: 1, Revision: 7, Age: time.Hour, Idle: 1500 * time.Millisecond,
		Packets: [2]uint64{3, 4}, Bytes: [2]uint64{300, 400},
		Today: ruleset.Verdict{Action: ruleset.Drop, Reason: ruleset.ReasonNoRule},
	}
}

// answers starts an agent that answers as it is told, and waits until it may be asked.
func (w *world) answers(host vpc.HostID, answer func(context.Context, inquiry.Question) (inquiry.Answer, error)) *agent {
	w.Helper()
	a := w.agentOf(host, func(o *feed.ClientOptions) { o.Answer = answer })
	w.wait(string(host)+" is connected", func() bool { _, connected, _ := w.feed.InForce(host); return connected })
	return a
}

// TestAsk wants each kind of question and answer to arrive as it was sent.
func TestAsk(t *testing.T) {
	w := newWorld(t)
	all := inquiry.Selection{
		ENIs: []vpc.InterfaceID{eniWeb, eniDB}, Rules: []uint32{1, 2}, Remotes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Protocols: []uint8{6, 17}, LocalPorts: []inquiry.Ports{{From: 1, To: 80}}, RemotePorts: []inquiry.Ports{{From: 0, To: 65535}},
		States: inquiry.States(), Directions: []ruleset.Direction{ruleset.Ingress, ruleset.Egress}, Refused: new(true), Observed: new(false),
	}
	packet := ruleset.Packet{
		Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"), Protocol: 58, ICMPType: 128, ICMPCode: 3, SrcPort: 9, DstPort: 65535,
	}
	for name, tt := range map[string]struct {
		question inquiry.Question
		answer   inquiry.Answer
	}{
		"connections": {
			inquiry.Question{Connections: &inquiry.Connections{Selection: all, After: someConnection(eniDB, 1).Flow, Limit: 2}},
			inquiry.Answer{Connections: []inquiry.Connection{someConnection(eniDB, 2), someConnection(eniDB, 3)}, More: true},
		},
		"cut":   {inquiry.Question{Cut: &all}, inquiry.Answer{Cut: map[vpc.InterfaceID]int{eniWeb: 3}}},
		"probe": {inquiry.Question{Probe: &inquiry.Probe{ENI: eniWeb, Direction: ruleset.Egress, Packet: packet}}, inquiry.Answer{Verdict: ruleset.Verdict{Action: ruleset.Observe, Reason: ruleset.ReasonNoRule, Rule: 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got inquiry.Question
			host := vpc.HostID("host-" + name)
			w.answers(host, func(_ context.Context, q inquiry.Question) (inquiry.Answer, error) {
				got = q
				return tt.answer, nil
			})
			answer, err := w.feed.Ask(t.Context(), host, tt.question)
			if err != nil || !reflect.DeepEqual(got, tt.question) || !reflect.DeepEqual(answer, tt.answer) {
				t.Errorf("err %v\ngot  %+v\nwant %+v\ngot  %+v\nwant %+v", err, got, tt.question, answer, tt.answer)
			}
		})
	}
}

var whichConnections = inquiry.Question{Connections: &inquiry.Connections{
	Selection: inquiry.Selection{ENIs: []vpc.InterfaceID{eniWeb}}, Limit: 10,
}}

// TestAskWithoutAnswer wants each reason for none to be told from the others.
func TestAskWithoutAnswer(t *testing.T) {
	w := newWorld(t)
	w.answers("refuses", func(context.Context, inquiry.Question) (inquiry.Answer, error) {
		return inquiry.Answer{}, errors.New("the table cannot be read")
	})
	w.answers("hangs", func(ctx context.Context, _ inquiry.Question) (inquiry.Answer, error) {
		<-ctx.Done()
		return inquiry.Answer{}, ctx.Err()
	})
	old := w.agent("old") // knows no questions
	w.wait("old is connected", func() bool { _, connected, _ := w.feed.InForce("old"); return connected })
	for host, want := range map[vpc.HostID]string{
		"refuses": "the table cannot be read",
		"hangs":   feed.ErrNoAnswer.Error(),
		"old":     feed.ErrTooOld.Error(),
		"nobody":  feed.ErrNotConnected.Error(),
	} {
		if _, err := w.feed.Ask(t.Context(), host, whichConnections); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", host, err, want)
		}
	}
	if !old.Connected() {
		t.Error("the question ended the stream of an agent that does not know it")
	}
	if _, err := w.feed.Ask(t.Context(), "refuses", inquiry.Question{}); err == nil {
		t.Error("nothing was asked, and no error came")
	}
}

// A host may have few questions open, however often it is asked; those that nobody waits for count
// until the host has answered them.
func TestAskIsBounded(t *testing.T) {
	w := newWorld(t)
	rpc := w.raw("h1")
	w.say(rpc, helloMessage(&feedpb.Hello{Answers: true}))
	w.delta(rpc)
	for n := range 8 {
		if _, err := w.feed.Ask(t.Context(), "h1", whichConnections); !errors.Is(err, feed.ErrNoAnswer) {
			t.Fatalf("question %d: got %v, want %v", n+1, err, feed.ErrNoAnswer)
		}
	}
	if _, err := w.feed.Ask(t.Context(), "h1", whichConnections); !errors.Is(err, feed.ErrBusy) {
		t.Errorf("one more: got %v, want %v", err, feed.ErrBusy)
	}
	w.say(rpc, &feedpb.FromAgent{Message: &feedpb.FromAgent_Answer{Answer: &feedpb.Answer{Id: 3}}})
	w.wait("a late answer makes room", func() bool {
		_, err := w.feed.Ask(t.Context(), "h1", whichConnections)
		return errors.Is(err, feed.ErrNoAnswer)
	})
}

// An agent that applies a change answers meanwhile.
func TestAskWhileApplying(t *testing.T) {
	w := newWorld(t)
	a := w.agentOf("h1", func(o *feed.ClientOptions) {
		o.Answer = func(context.Context, inquiry.Question) (inquiry.Answer, error) {
			return inquiry.Answer{Verdict: ruleset.Verdict{Rule: 3}}, nil
		}
	}, feed.Binding{ENI: eniWeb, Device: "tap1"})
	w.waitInForce("h1", w.state().Revision())
	block := make(chan struct{})
	a.set(func(a *agent) { a.block = block })
	w.put(webOpen(80, 81))
	w.wait("the agent applies", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.waiting > 0
	})
	if answer, err := w.feed.Ask(t.Context(), "h1", whichConnections); err != nil || answer.Verdict.Rule != 3 {
		t.Errorf("got %+v, %v", answer, err)
	}
	a.set(func(a *agent) { a.block = nil })
	close(block)
	w.waitInForce("h1", w.state().Revision())
}

// Whoever waits for the answer of a host that goes is told at once.
func TestAskOfHostThatGoes(t *testing.T) {
	w := newWorld(t)
	w.serveWith("127.0.0.1:0", func(o *feed.ServerOptions) { o.AskTimeout = time.Hour })
	asked := make(chan struct{})
	a := w.answers("h1", func(ctx context.Context, _ inquiry.Question) (inquiry.Answer, error) {
		close(asked)
		<-ctx.Done()
		return inquiry.Answer{}, ctx.Err()
	})
	result := make(chan error, 1)
	go func() {
		_, err := w.feed.Ask(context.WithoutCancel(t.Context()), "h1", whichConnections)
		result <- err
	}()
	<-asked
	a.stop()
	if err := <-result; !errors.Is(err, feed.ErrNotConnected) {
		t.Errorf("got %v, want %v", err, feed.ErrNotConnected)
	}
}

// What no agent answers ends the stream, and whoever asked gets an error.
func TestMalformedAnswers(t *testing.T) {
	w := newWorld(t)
	flow := func(port uint32) *feedpb.Flow {
		return &feedpb.Flow{
			Eni: string(eniWeb), Protocol: 6, Local: []byte{10, 0, 1, 11}, Remote: []byte{192, 0, 2, 7}, LocalPort: 80, RemotePort: port, First: feedpb.Direction_DIRECTION_INGRESS,
		}
	}
	connection := func(port uint32, change func(*feedpb.Connection)) *feedpb.Connection {
		c := &feedpb.Connection{Flow: flow(port), State: feedpb.ConnectionState_CONNECTION_STATE_ESTABLISHED}
		change(c)
		return c
	}
	nothing := func(*feedpb.Connection) {}
	many := &feedpb.Answer{Id: 1}
	for n := range uint32(11) {
		many.Connections = append(many.Connections, connection(n, nothing))
	}
	for name, answer := range map[string]*feedpb.Answer{
		"to what was not asked":   {Id: 2},
		"more than asked for":     many,
		"out of order":            {Id: 1, Connections: []*feedpb.Connection{connection(2, nothing), connection(1, nothing)}},
		"the same twice":          {Id: 1, Connections: []*feedpb.Connection{connection(1, nothing), connection(1, nothing)}},
		"of another interface":    {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.Flow.Eni = string(eniDB) })}},
		"without addresses":       {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.Flow.Local = nil })}},
		"port 65536":              {Id: 1, Connections: []*feedpb.Connection{connection(65536, nothing)}},
		"in no state":             {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.State = 0 })}},
		"in no direction":         {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.Flow.First = 0 })}},
		"unknown action":          {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.Today = &feedpb.Verdict{Action: 3} })}},
		"older than the universe": {Id: 1, Connections: []*feedpb.Connection{connection(1, func(c *feedpb.Connection) { c.AgeMilliseconds = 1 << 63 })}},
		"more behind none":        {Id: 1, More: true},
		"cut unasked":             {Id: 1, Cut: map[string]uint64{string(eniWeb): 1}},
	} {
		t.Run(name, func(t *testing.T) {
			rpc := w.raw("h1")
			w.say(rpc, helloMessage(&feedpb.Hello{Answers: true}))
			w.delta(rpc)
			result := make(chan error, 1)
			go func() {
				_, err := w.feed.Ask(context.WithoutCancel(t.Context()), "h1", whichConnections)
				result <- err
			}()
			for {
				m, err := rpc.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if ask := m.GetAsk(); ask != nil {
					if ask.GetId() != 1 {
						t.Fatalf("the first question has id %d", ask.GetId())
					}
					break
				}
			}
			w.say(rpc, &feedpb.FromAgent{Message: &feedpb.FromAgent_Answer{Answer: answer}})
			if got := end(rpc); got != codes.InvalidArgument {
				t.Errorf("the stream ended with %v, want %v", got, codes.InvalidArgument)
			}
			if err := <-result; err == nil {
				t.Error("the answer was taken")
			}
		})
	}
}

// A server that asks what nobody can answer has its stream ended.
func TestMalformedQuestions(t *testing.T) {
	for name, q := range map[string]inquiry.Question{
		"nothing":              {},
		"two things":           {Cut: &inquiry.Selection{}, Probe: &inquiry.Probe{}},
		"no connections":       {Connections: &inquiry.Connections{}},
		"too many connections": {Connections: &inquiry.Connections{Limit: inquiry.MaxConnections + 1}},
		"of no interface":      {Cut: &inquiry.Selection{ENIs: []vpc.InterfaceID{""}}},
		"ports backwards":      {Cut: &inquiry.Selection{LocalPorts: []inquiry.Ports{{From: 2, To: 1}}}},
		"unknown state":        {Cut: &inquiry.Selection{States: []inquiry.State{9}}},
		"unknown direction":    {Cut: &inquiry.Selection{Directions: []ruleset.Direction{2}}},
		"probe without packet": {Probe: &inquiry.Probe{ENI: eniWeb}},
		"too many values":      {Cut: &inquiry.Selection{Rules: make([]uint32, inquiry.MaxValues+1)}},
	} {
		if err := q.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
