package ec2api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// slowStore takes its time, and counts who reads.
type slowStore struct {
	brokenStore
	state         *vpc.State
	reads, inside atomic.Int64
	most          atomic.Int64 // at once, after the first reads of all who wait
	first         int64
}

func (s *slowStore) Read(context.Context) (*vpc.State, error) {
	n, again := s.inside.Add(1), s.reads.Add(1) > s.first
	defer s.inside.Add(-1)
	for most := s.most.Load(); again && n > most && !s.most.CompareAndSwap(most, n); {
		most = s.most.Load()
	}
	time.Sleep(5 * time.Millisecond)
	return s.state, nil
}

// neverInForce is the API over a store in which one interface waits for what is never in force, and a form that asks
// for it.
func neverInForce(t *testing.T, st *slowStore, stopping <-chan struct{}) (api http.Handler, form string) {
	t.Helper()
	eni := &vpc.NetworkInterface{ID: "eni-00000000000000001"}
	st.state = new(vpc.State).Apply(vpc.Change{Puts: []vpc.Object{eni}}, 7)
	api, err := ec2api.New(ec2api.Config{
		Store: st, Enforcement: hosts{}, Hosts: newAsked(), Keys: &keyMaker{}, Log: slog.New(slog.DiscardHandler), Stopping: stopping,
		Verify: func(*http.Request, []byte) (sigv4.Identity, error) {
			return sigv4.Identity{AccessKeyID: adminKey, Service: "ec2"}, nil
		},
		Caller:    func(vpc.AccessKeyID) vpc.Caller { return vpc.Caller{User: "admin"} },
		Authorize: func(vpc.Caller, *wire.Operation) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return api, "Action=DescribeEnforcement&Version=" + wire.DescribeEnforcement.Service.Version + "&NetworkInterfaceId.1=" + string(eni.ID)
}

func post(h http.Handler, form string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form)))
	return w
}

// However many wait for what is never in force, they look again one after another.
func TestManyWaitForEnforcement(t *testing.T) {
	const waiting = 50
	st := &slowStore{first: waiting}
	api, form := neverInForce(t, st, nil)
	var all sync.WaitGroup
	for range waiting {
		all.Go(func() {
			start := time.Now()
			w := post(api, form+"&WaitTimeSeconds=2")
			if took := time.Since(start); w.Code != 200 || !strings.Contains(w.Body.String(), "<inForce>false</inForce>") || took < 2*time.Second {
				t.Errorf("after %v: %d %s", took, w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if again, most := st.reads.Load()-waiting, st.most.Load(); again < 10 || most > 10 { // of the first, some may still be at it
		t.Errorf("they looked again %d times, up to %d at once; want one after another", again, most)
	}
}

// One more than may wait is told to come again; who does not wait is answered.
func TestTooManyWaitForEnforcement(t *testing.T) {
	const most = 1000
	stopping := make(chan struct{})
	api, form := neverInForce(t, &slowStore{first: most}, stopping)
	answers := make(chan *httptest.ResponseRecorder, most+1)
	for range most + 1 {
		go func() { answers <- post(api, form+"&WaitTimeSeconds=20") }()
	}
	if w := <-answers; w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "RequestLimitExceeded") {
		t.Errorf("the first answer: %d %s, want RequestLimitExceeded", w.Code, w.Body)
	}
	if w := post(api, form); w.Code != 200 {
		t.Errorf("one that does not wait: %d %s", w.Code, w.Body)
	}
	close(stopping)
	for range most {
		if w := <-answers; w.Code != 200 {
			t.Errorf("one that waited: %d %s", w.Code, w.Body)
		}
	}
	if w := post(api, form+"&WaitTimeSeconds=1"); w.Code != 200 { // there is room again
		t.Errorf("after they have gone: %d %s", w.Code, w.Body)
	}
}
