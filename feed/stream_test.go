package feed_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/vpc"
)

// raw opens a stream that says whatever the test wants.
func (w *world) raw(host vpc.HostID) feedpb.Feed_StreamClient {
	w.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.addr, grpc.WithTransportCredentials(credentials.NewTLS(w.agentTLS(host))))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute) // for a server that never answers
	w.Cleanup(cancel)
	rpc, err := feedpb.NewFeedClient(conn).Stream(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return rpc
}

func (w *world) say(rpc feedpb.Feed_StreamClient, ms ...*feedpb.FromAgent) {
	w.Helper()
	for _, m := range ms {
		if err := rpc.Send(m); err != nil {
			w.Fatal(err)
		}
	}
}

func helloMessage(h *feedpb.Hello) *feedpb.FromAgent {
	return &feedpb.FromAgent{Message: &feedpb.FromAgent_Hello{Hello: h}}
}

func bindMessage(b *feedpb.Bindings) *feedpb.FromAgent {
	return &feedpb.FromAgent{Message: &feedpb.FromAgent_Bindings{Bindings: b}}
}

func statusMessage(s *feedpb.GuestStatus) *feedpb.FromAgent {
	return &feedpb.FromAgent{Message: &feedpb.FromAgent_GuestStatus{GuestStatus: s}}
}

func countersMessage(enis ...*feedpb.ENICounters) *feedpb.FromAgent {
	return &feedpb.FromAgent{Message: &feedpb.FromAgent_Counters{Counters: &feedpb.Counters{Enis: enis}}}
}

func ackMessage(a *feedpb.Ack) *feedpb.FromAgent {
	return &feedpb.FromAgent{Message: &feedpb.FromAgent_Ack{Ack: a}}
}

// delta returns the next Delta of a stream.
func (w *world) delta(rpc feedpb.Feed_StreamClient) *feedpb.Delta {
	w.Helper()
	for {
		m, err := rpc.Recv()
		if err != nil {
			w.Fatal(err)
		}
		if d := m.GetDelta(); d != nil {
			return d
		}
	}
}

// end reads a stream to its end and returns the code.
func end(rpc feedpb.Feed_StreamClient) codes.Code {
	for {
		if _, err := rpc.Recv(); err != nil {
			return status.Code(err)
		}
	}
}

// What no agent sends ends the stream and leaves the state as it was.
func TestMalformedMessages(t *testing.T) {
	w := newWorld(t)
	lab := func(h *feedpb.Hello) *feedpb.FromAgent {
		h.Lab = true
		return helloMessage(h)
	}
	good := lab(&feedpb.Hello{})
	eni := &feedpb.ResourceName{Type: feedpb.ResourceType_RESOURCE_TYPE_ENI, Name: string(eniWeb), Version: 1}
	a := w.agent("h1") // from now on the host is known, so that a Hello writes nothing
	w.waitInForce("h1", w.state().Revision())
	a.stop()
	for name, messages := range map[string][]*feedpb.FromAgent{
		"ack before hello":           {ackMessage(&feedpb.Ack{})},
		"nothing":                    {{}},
		"negative revision":          {lab(&feedpb.Hello{Revision: -1})},
		"resource of unknown type":   {lab(&feedpb.Hello{Have: []*feedpb.ResourceName{{Type: 99, Name: "x"}}})},
		"resource of no type":        {lab(&feedpb.Hello{Have: []*feedpb.ResourceName{{Name: "x"}}})},
		"resource without name":      {lab(&feedpb.Hello{Have: []*feedpb.ResourceName{{Type: eni.Type}}})},
		"resource twice":             {lab(&feedpb.Hello{Have: []*feedpb.ResourceName{eni, eni}})},
		"binding without device":     {lab(&feedpb.Hello{Bindings: []*feedpb.Binding{{Eni: string(eniWeb)}}})},
		"eni bound twice":            {lab(&feedpb.Hello{Bindings: []*feedpb.Binding{{Eni: string(eniWeb), Device: "a"}, {Eni: string(eniWeb), Device: "b"}}})},
		"second hello":               {good, good},
		"nothing after hello":        {good, {}},
		"ack of what was never sent": {good, ackMessage(&feedpb.Ack{Nonce: 77, Revision: 1})},
		"second binding malformed": {good, bindMessage(&feedpb.Bindings{Bound: []*feedpb.Binding{
			{Eni: string(eniWeb), Device: "tap1"}, {Eni: string(eniDB), Device: "a-device-of-20-chars"},
		}})},
		"unbinds nothing": {good, bindMessage(&feedpb.Bindings{
			Bound: []*feedpb.Binding{{Eni: string(eniWeb), Device: "tap1"}}, Unbound: []string{""},
		})},
		"guest in unknown state": {good, statusMessage(&feedpb.GuestStatus{Instance: "i-00000000000000001", State: 7})},
		"guest in no state":      {good, statusMessage(&feedpb.GuestStatus{Instance: "i-00000000000000001"})},
		"guest without id":       {good, statusMessage(&feedpb.GuestStatus{State: feedpb.GuestState_GUEST_STATE_RUNNING})},
		"counter of reason 256":  {good, countersMessage(&feedpb.ENICounters{Egress: &feedpb.DirectionCounters{Packets: map[uint32]uint64{256: 1}}})},
		"drop for reason 256":    {good, countersMessage(&feedpb.ENICounters{Ingress: &feedpb.DirectionCounters{Last: map[uint32]int64{256: 1}}})},
		"counters of one twice":  {good, countersMessage(&feedpb.ENICounters{Eni: string(eniWeb)}, &feedpb.ENICounters{Eni: string(eniWeb)})},
		"rule counted twice":     {good, countersMessage(&feedpb.ENICounters{Rules: []*feedpb.RuleCounters{{Rule: 1}, {Rule: 1}}})},
		"too many rules":         {good, countersMessage(&feedpb.ENICounters{Rules: slices.Repeat([]*feedpb.RuleCounters{{Rule: 1}}, 1<<17+1)})},
		"too many samples":       {good, countersMessage(&feedpb.ENICounters{Drops: slices.Repeat([]*feedpb.DropSample{{}}, 257)})},
		"sample of port 65536":   {good, countersMessage(&feedpb.ENICounters{Drops: []*feedpb.DropSample{{Port: 1 << 16}}})},
		"sample of half a flow":  {good, countersMessage(&feedpb.ENICounters{Drops: []*feedpb.DropSample{{Remote: []byte{1, 2, 3, 4}}}})},
		"sample both ways":       {good, countersMessage(&feedpb.ENICounters{Drops: []*feedpb.DropSample{{Direction: 7}}})},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.state().Revision()
			rpc := w.raw("h1")
			w.say(rpc, messages...)
			if got := end(rpc); got != codes.InvalidArgument {
				t.Errorf("the stream ended with %v, want %v", got, codes.InvalidArgument)
			}
			if got := w.state().Revision(); got != before {
				t.Errorf("the state went from revision %d to %d", before, got)
			}
		})
	}
}

// An ack of another revision than the Delta's is no ack.
func TestAckOfWrongRevision(t *testing.T) {
	w := newWorld(t)
	rpc := w.raw("h1")
	w.say(rpc, helloMessage(&feedpb.Hello{}))
	d := w.delta(rpc)
	w.say(rpc, ackMessage(&feedpb.Ack{Nonce: d.GetNonce(), Revision: d.GetRevision() + 1}))
	if got := end(rpc); got != codes.InvalidArgument {
		t.Errorf("the stream ended with %v, want %v", got, codes.InvalidArgument)
	}
	if revision, _, _ := w.feed.InForce("h1"); revision != 0 {
		t.Errorf("revision %d is in force, want none", revision)
	}
}

// A host that is ahead of the store has a state that the store lost: it gets a snapshot.
func TestHostAheadOfStore(t *testing.T) {
	w := newWorld(t)
	rpc := w.raw("h1")
	w.say(rpc, helloMessage(&feedpb.Hello{Revision: 1 << 40, Have: []*feedpb.ResourceName{
		{Type: feedpb.ResourceType_RESOURCE_TYPE_GROUP, Name: "sg-0000000000000dead", Version: 1},
	}}))
	if d := w.delta(rpc); !d.GetSnapshot() || len(d.GetChanged())+len(d.GetRemoved()) != 0 {
		t.Errorf("got %v, want an empty snapshot", d)
	}
}

// Removals are said by name to a host that may keep the rest.
func TestRemovalOfWhatIsNotWanted(t *testing.T) {
	w := newWorld(t)
	rpc := w.raw("h1")
	w.say(rpc, helloMessage(&feedpb.Hello{Revision: 1, Have: []*feedpb.ResourceName{
		{Type: feedpb.ResourceType_RESOURCE_TYPE_GROUP, Name: "sg-0000000000000dead", Version: 1},
		{Type: feedpb.ResourceType_RESOURCE_TYPE_GUEST, Name: "i-0000000000000dead", Version: 2},
	}}))
	d := w.delta(rpc)
	if d.GetSnapshot() || len(d.GetChanged()) != 0 || len(d.GetRemoved()) != 2 ||
		d.GetRemoved()[0].GetName() != "sg-0000000000000dead" || d.GetRemoved()[1].GetName() != "i-0000000000000dead" {
		t.Errorf("got %v, want the removal of both", d)
	}
}

// The newer stream of a host replaces the older one.
func TestSecondStreamReplacesFirst(t *testing.T) {
	w := newWorld(t)
	first := w.raw("h1")
	w.say(first, helloMessage(&feedpb.Hello{}))
	w.delta(first)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"})
	if got := end(first); got != codes.Aborted {
		t.Errorf("the first stream ended with %v, want %v", got, codes.Aborted)
	}
	w.wait("it is bound", func() bool { return w.state().NetworkInterface(eniWeb).Binding != nil })
	w.waitInForce("h1", w.state().Revision())
	a.wantView("h1")
}
