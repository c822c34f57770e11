package feed_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/vpc"
)

// TestTook: how long a host took is known of revisions that it confirmed since it connected, until much was written
// since, and of nothing else.
func TestTook(t *testing.T) {
	w := newWorld(t)
	before := w.state().Revision()
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"})
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"})
	w.waitInForce("h1", before)
	took := func(revision int64) (time.Duration, bool) { return w.feed.Took("h1", revision) }
	if d, known := took(before); known {
		t.Errorf("what was there before took %v", d)
	}
	must := func(what string, revision int64, least, most time.Duration) {
		t.Helper()
		w.waitInForce("h1", revision)
		if d, known := took(revision); !known || d < least || d > most {
			t.Errorf("%s took %v (known: %t), want %v to %v", what, d, known, least, most)
		}
	}

	// A change that is nothing to the host, and one whose Delta the agent is slow to put in force.
	must("what does not concern the host", w.put(&vpc.User{Name: "ann"}), 0, time.Minute)
	block := make(chan struct{})
	a.set(func(a *agent) { a.block = block })
	slow := w.put(webOpen(80))
	w.wait("the agent is at it", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.waiting > 0 })
	if d, known := took(slow); known {
		t.Errorf("what is not in force yet took %v", d)
	}
	const held = 50 * time.Millisecond
	time.Sleep(held) // this is what is measured
	a.set(func(a *agent) { a.block = nil })
	close(block)
	must("a slow change", slow, held, time.Minute)
	if _, known := took(slow + 1); known {
		t.Error("it is known how long took what was never written")
	}
	if _, known := w.feed.Took("h2", slow); known {
		t.Error("it is known how long an unknown host took")
	}

	// It is forgotten, not made up.
	for range 140 {
		w.waitInForce("h1", w.put(&vpc.User{Name: "ann"}))
	}
	if d, known := took(slow); known {
		t.Errorf("after 140 revisions a change took %v", d)
	}
	last := w.put(&vpc.User{Name: "ann"})
	must("the last one", last, 0, time.Minute)

	// And what was before a reconnect, or before the server, is not known.
	w.stop()
	w.wait("the agent sees it", func() bool { return !a.Connected() })
	w.serve(w.addr)
	w.waitInForce("h1", last)
	if d, known := took(last); known {
		t.Errorf("to another server a change took %v", d)
	}
}

// TestChanged: who waits hears of what comes in force, of hosts that come and of those that go.
func TestChanged(t *testing.T) {
	w := newWorld(t)
	hears := func(what string, changed <-chan struct{}) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("nobody was told that %s", what)
		}
	}
	changed := w.feed.Changed()
	a := w.agent("h1")
	hears("a host came", changed)
	w.waitInForce("h1", w.state().Revision())
	changed = w.feed.Changed()
	if changed != w.feed.Changed() {
		t.Error("each who waits has a channel of its own")
	}
	revision := w.put(&vpc.User{Name: "ann"})
	hears("a revision is in force", changed)
	w.waitInForce("h1", revision)
	changed = w.feed.Changed()
	a.stop()
	hears("a host went", changed)
}
