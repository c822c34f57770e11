package feed_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// What the store of every test begins with.
const (
	testVPC    vpc.VPCID       = "vpc-00000000000000001"
	testSubnet vpc.SubnetID    = "subnet-00000000000000001"
	sgWeb      vpc.GroupID     = "sg-00000000000000001" // tcp 80 from anywhere
	sgDB       vpc.GroupID     = "sg-00000000000000002" // tcp 5432 from sgWeb
	eniWeb     vpc.InterfaceID = "eni-00000000000000001"
	eniDB      vpc.InterfaceID = "eni-00000000000000002"
	eniWeb2    vpc.InterfaceID = "eni-00000000000000003"
)

func universe() []vpc.Object {
	eni := func(id vpc.InterfaceID, n byte, groups ...vpc.GroupID) *vpc.NetworkInterface {
		return &vpc.NetworkInterface{
			ID: id, VPC: testVPC, Subnet: testSubnet, MAC: vpc.MAC{2, 0, 0, 0, 0, n},
			IPv4: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, n})}, Groups: groups, SourceDestCheck: true,
		}
	}
	return []vpc.Object{
		&vpc.Installation{Account: storetest.Account, Region: storetest.Region, NextRule: 100},
		&vpc.VPC{ID: testVPC, CIDRs: []vpc.CIDRAssociation{{ID: "vpc-cidr-assoc-00000001", CIDR: netip.MustParsePrefix("10.0.0.0/16")}}},
		&vpc.Subnet{ID: testSubnet, VPC: testVPC, CIDR: netip.MustParsePrefix("10.0.1.0/24")},
		group(sgWeb, ingress(1, 80, vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")})),
		group(sgDB, ingress(2, 5432, vpc.Peer{Group: sgWeb})),
		eni(eniWeb, 11, sgWeb),
		eni(eniDB, 12, sgDB),
		eni(eniWeb2, 13, sgWeb),
	}
}

func group(id vpc.GroupID, rules ...vpc.Rule) *vpc.SecurityGroup {
	return &vpc.SecurityGroup{ID: id, VPC: testVPC, Name: string(id), Rules: rules}
}

func ingress(number uint32, port int32, peer vpc.Peer) vpc.Rule {
	return vpc.Rule{
		ID: vpc.RuleID(fmt.Sprintf("sgr-%017d", number)), Number: number,
		Protocol: vpc.TCP, From: port, To: port, Peer: peer,
	}
}

// webOpen is sgWeb with these ports open to the world.
func webOpen(ports ...int32) *vpc.SecurityGroup {
	g := group(sgWeb)
	for _, p := range ports {
		g.Rules = append(g.Rules, ingress(uint32(p), p, vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")}))
	}
	return g
}

// world is a real store, a feed server on a real socket, and the authority that both ends trust.
type world struct {
	*testing.T
	dir   string
	ca    *feed.CA
	store *store.Store
	feed  *feed.Server
	addr  string
	stop  func() // ends the feed server, as its process's death would
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: filepath.Join(t.TempDir(), "pki"), store: storetest.New(t)}
	var err error
	if w.ca, err = feed.OpenCA(w.dir, nil); err != nil {
		t.Fatal(err)
	}
	w.put(universe()...)
	w.serve("127.0.0.1:0")
	return w
}

// serve starts a feed server that remembers nothing.
func (w *world) serve(addr string) {
	w.Helper()
	w.serveWith(addr, func(*feed.ServerOptions) {})
}

func (w *world) serveWith(addr string, change func(*feed.ServerOptions)) {
	w.Helper()
	conf, err := w.ca.ServerTLS()
	if err != nil {
		w.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.Fatal(err)
	}
	w.addr = l.Addr().String()
	o := feed.ServerOptions{Store: w.store, TLS: conf, Log: testLog(w.T), AskTimeout: 200 * time.Millisecond}
	change(&o)
	server := feed.NewServer(o)
	w.feed = server
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(w.stop)
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// put writes objects and returns the revision.
func (w *world) put(objects ...vpc.Object) int64 {
	w.Helper()
	return w.change(vpc.Change{Puts: objects})
}

func (w *world) change(c vpc.Change) int64 {
	w.Helper()
	revision, err := w.store.Update(w.Context(), func(*vpc.State) (vpc.Change, error) { return c, nil })
	if err != nil {
		w.Fatal(err)
	}
	return revision
}

func (w *world) state() *vpc.State {
	w.Helper()
	s, err := w.store.Read(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// wait fails the test unless the condition comes true in time.
func (w *world) wait(what string, condition func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(end) {
			w.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *world) waitInForce(host vpc.HostID, revision int64) {
	w.Helper()
	w.wait(fmt.Sprintf("revision %d is in force on %s", revision, host), func() bool {
		got, connected, _ := w.feed.InForce(host)
		return connected && got >= revision
	})
}

// agent is a host's end with a View in place of a datapath.
type agent struct {
	*feed.Client
	w    *world
	stop func()

	mu      sync.Mutex
	view    *ruleset.View
	guests  map[vpc.InstanceID]feed.Guest
	updates []*feed.Update // all that were applied
	results []feed.BindingResult
	fail    error         // what applying returns
	block   chan struct{} // applying waits until it is closed; nil: it does not
	waiting int           // how many wait for block
}

func (w *world) agentTLS(host vpc.HostID) *tls.Config {
	w.Helper()
	if err := w.ca.IssueAgent(host); err != nil {
		w.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(w.dir, "agent.crt"), filepath.Join(w.dir, "agent.key"))
	if err != nil {
		w.Fatal(err)
	}
	conf, err := feed.AgentTLS(filepath.Join(w.dir, "ca.crt"), filepath.Join(w.dir, "agent.crt"), filepath.Join(w.dir, "agent.key"))
	if err != nil {
		w.Fatal(err)
	}
	// Several hosts share this test's directory: each keeps the certificate that it has now.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return conf
}

// agent starts one that claims these bindings.
func (w *world) agent(host vpc.HostID, bindings ...feed.Binding) *agent {
	w.Helper()
	return w.agentOf(host, func(*feed.ClientOptions) {}, bindings...)
}

// agentOf starts one with options of its own.
func (w *world) agentOf(host vpc.HostID, change func(*feed.ClientOptions), bindings ...feed.Binding) *agent {
	w.Helper()
	a := &agent{w: w, guests: map[vpc.InstanceID]feed.Guest{}}
	o := feed.ClientOptions{
		Server: w.addr, TLS: w.agentTLS(host), Lab: true, Log: testLog(w.T).With("agent", host),
		Bound: func(r feed.BindingResult) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.results = append(a.results, r)
		},
	}
	change(&o)
	a.Client = feed.NewClient(o)
	for _, b := range bindings {
		if err := a.Bind(b); err != nil {
			w.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Follow(ctx, a.apply) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.Errorf("Follow = %v, want context.Canceled", err)
		}
	})
	w.Cleanup(a.stop)
	return a
}

func (a *agent) apply(ctx context.Context, u *feed.Update) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if block := a.block; block != nil {
		a.waiting++
		a.mu.Unlock()
		select {
		case <-block:
		case <-ctx.Done():
		}
		a.mu.Lock()
		a.waiting--
	}
	if a.fail != nil {
		return a.fail
	}
	view, err := a.view.Apply(u.Delta)
	if err != nil {
		return err
	}
	a.view = view
	if u.Snapshot {
		clear(a.guests)
	}
	maps.Copy(a.guests, u.Guests)
	for _, id := range u.RemovedGuests {
		delete(a.guests, id)
	}
	a.updates = append(a.updates, u)
	return nil
}

// set changes how the agent behaves.
func (a *agent) set(change func(*agent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// took returns the updates that were applied since it was last called, in words.
func (a *agent) took() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, u := range a.updates {
		out = append(out, inWords(u))
	}
	a.updates = nil
	return out
}

func inWords(u *feed.Update) string {
	var parts []string
	if u.Snapshot {
		parts = append(parts, "snapshot")
	}
	parts = append(parts, names("+", keys(u.Delta.ENIs))...)
	parts = append(parts, names("+", keys(u.Delta.Groups))...)
	parts = append(parts, names("+member ", keys(u.Delta.Members))...)
	parts = append(parts, names("+", keys(u.Delta.Lists))...)
	parts = append(parts, names("+", keys(u.Guests))...)
	parts = append(parts, names("-", u.Delta.RemovedENIs)...)
	parts = append(parts, names("-", u.Delta.RemovedGroups)...)
	parts = append(parts, names("-member ", u.Delta.RemovedMembers)...)
	parts = append(parts, names("-", u.Delta.RemovedLists)...)
	parts = append(parts, names("-", u.RemovedGuests)...)
	return strings.Join(parts, " ")
}

func keys[K cmp.Ordered, V any](m map[K]V) []K {
	var out []K
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// names shortens sg-00000000000000001 to sg-1.
func names[T ~string](mark string, ids []T) []string {
	var out []string
	for _, id := range ids {
		prefix, number, _ := strings.Cut(string(id), "-")
		out = append(out, mark+prefix+"-"+strings.TrimLeft(number, "0"))
	}
	return out
}

func (a *agent) wantTook(want ...string) {
	a.w.Helper()
	if got := a.took(); !slices.Equal(got, want) {
		a.w.Errorf("updates:\ngot  %q\nwant %q", got, want)
	}
}

// wantView compares what the agent has with what the State says, and its guests too.
func (a *agent) wantView(host vpc.HostID) {
	a.w.Helper()
	want := ruleset.Resolve(a.w.state(), host)
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := ruleset.Diff(a.view, want); !d.Empty() {
		a.w.Errorf("the agent's view is not the state's: %+v", d)
	}
}

func (a *agent) wantBound(want ...feed.BindingResult) {
	a.w.Helper()
	a.w.wait(fmt.Sprintf("%d bindings are answered", len(want)), func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.results) >= len(want)
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.results, want) {
		a.w.Errorf("answers to bindings:\ngot  %+v\nwant %+v", a.results, want)
	}
	a.results = nil
}

func TestDeltaComesInForce(t *testing.T) {
	w := newWorld(t)
	web := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1", GuestName: "web"})
	web.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"})
	w.waitInForce("h1", w.state().Revision())
	web.wantView("h1")
	if got := web.took(); len(got) == 0 || !strings.HasPrefix(got[0], "snapshot") {
		t.Errorf("updates of a new host: got %q, want a snapshot first", got)
	}
	if got := w.state().NetworkInterface(eniWeb).Binding; got.Host != "h1" || got.Device != "tap1" {
		t.Errorf("binding: got %+v, want tap1 of h1", got)
	}

	w.waitInForce("h1", w.put(webOpen(80, 443)))
	web.wantTook("+sg-1")
	web.wantView("h1")

	// The database names sg-1: its host learns the members, wherever they are.
	db := w.agent("h2", feed.Binding{ENI: eniDB, Device: "tap1"})
	db.wantBound(feed.BindingResult{ENI: eniDB, Device: "tap1"})
	w.waitInForce("h2", w.state().Revision())
	db.wantView("h2")
	if v := db.view; len(v.ENIs) != 1 || len(v.Groups) != 1 || len(v.Members) != 2 {
		t.Errorf("the view of h2 has %d ENIs, %d groups, %d members; want 1, 1, 2", len(v.ENIs), len(v.Groups), len(v.Members))
	}
	web.took()
	db.took()

	// What concerns another host alone is in force here without a word.
	revision := w.put(webOpen(80))
	w.waitInForce("h2", revision)
	w.waitInForce("h1", revision)
	db.wantTook()
	web.wantTook("+sg-1")

	// The last interface goes: so does all that it needed.
	db.Unbind(eniDB)
	w.wait("the database is unbound", func() bool { return w.state().NetworkInterface(eniDB).Binding == nil })
	w.waitInForce("h2", w.state().Revision())
	db.wantTook("-eni-2 -sg-2 -member eni-1 -member eni-3")
}

// A prefix list is a resource of its own: whoever names it, an edit is that one list.
func TestPrefixListIsOneResource(t *testing.T) {
	const list, sg = vpc.PrefixListID("pl-00000000000000001"), vpc.GroupID("sg-00000000000000009")
	w := newWorld(t)
	version := func(n int64, entries ...string) []vpc.Object {
		v := &vpc.PrefixListVersion{List: list, Number: n}
		for _, e := range entries {
			v.Entries = append(v.Entries, vpc.PrefixListEntry{CIDR: netip.MustParsePrefix(e)})
		}
		return []vpc.Object{&vpc.PrefixList{ID: list, Version: n, MaxEntries: 10}, v}
	}
	w.put(append(version(1, "10.0.0.0/8"), webOpen(80), group(sg, ingress(3, 22, vpc.Peer{PrefixList: list})))...)
	eni := *w.state().NetworkInterface(eniWeb)
	eni.Groups = []vpc.GroupID{sgWeb, sg}
	w.put(&eni)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"}, feed.Binding{ENI: eniWeb2, Device: "tap2"})
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"}, feed.BindingResult{ENI: eniWeb2, Device: "tap2"})
	w.waitInForce("h1", w.state().Revision())
	a.wantView("h1")
	a.took()

	w.waitInForce("h1", w.put(version(2, "10.0.0.0/8", "192.0.2.0/24")...))
	a.wantTook("+pl-1")
	a.wantView("h1")

	// Restored: what it held before.
	w.waitInForce("h1", w.put(version(3, "10.0.0.0/8")...))
	a.wantTook("+pl-1")
	a.wantView("h1")

	w.waitInForce("h1", w.put(group(sg)))
	a.wantTook("+sg-9 -pl-1")
	a.wantView("h1")
}

// With a peering connection come the members of the other VPC's groups, and the routes of guests; with
// its end they go.
func TestPeering(t *testing.T) {
	const other, sgOther, eniOther = vpc.VPCID("vpc-00000000000000002"), vpc.GroupID("sg-00000000000000008"), vpc.InterfaceID("eni-00000000000000008")
	const id vpc.InstanceID = "i-00000000000000001"
	w := newWorld(t)
	eni := *w.state().NetworkInterface(eniDB)
	eni.Attachment = &vpc.Attachment{ID: "eni-attach-00000001", Instance: id}
	eni.IPv4Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.1.32/28")}
	theirs := group(sgOther)
	theirs.VPC = other
	pcx := vpc.PeeringConnection{ID: "pcx-00000000000000001", Requester: other, Accepter: testVPC, Status: vpc.PeeringPending}
	w.put(
		&vpc.VPC{ID: other, CIDRs: []vpc.CIDRAssociation{{ID: "vpc-cidr-assoc-00000002", CIDR: netip.MustParsePrefix("10.9.0.0/16")}}},
		theirs, group(sgDB, ingress(2, 5432, vpc.Peer{Group: sgOther})),
		&vpc.NetworkInterface{
			ID: eniOther, VPC: other, MAC: vpc.MAC{2, 0, 0, 0, 0, 8}, Groups: []vpc.GroupID{sgOther}, SourceDestCheck: true,
			IPv4: []netip.Addr{netip.MustParseAddr("10.9.0.8")}, IPv4Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.16/28")},
		},
		&eni, &vpc.Instance{ID: id, Image: vpc.ImageNetns, State: vpc.Pending, Host: "h1"}, &pcx,
	)
	a := w.agent("h1", feed.Binding{ENI: eniDB, Device: "tap1"})
	a.wantBound(feed.BindingResult{ENI: eniDB, Device: "tap1"})
	w.waitInForce("h1", w.state().Revision())
	a.took()
	if got, want := fmt.Sprint(a.guests[id].Interfaces[0].Addresses), "[10.0.1.12/24 10.0.1.32/24]"; got != want {
		t.Errorf("addresses of the guest: got %s, want %s", got, want)
	}

	pcx.Status = vpc.PeeringActive
	w.waitInForce("h1", w.put(&pcx))
	a.wantTook("+member eni-8 +i-1")
	a.wantView("h1")
	if got := a.guests[id].Interfaces[0].Peers; !slices.Equal(got, []vpc.VPCID{other}) {
		t.Errorf("peers of the guest's VPC: got %v, want %s", got, other)
	}
	if got := a.view.Members[eniOther]; len(got.Prefixes) != 1 || !slices.Equal(got.Domains, []vpc.VPCID{testVPC}) {
		t.Errorf("the member in the peer: %+v", got)
	}

	ended := pcx
	ended.Status = vpc.PeeringDeleted
	w.waitInForce("h1", w.put(&ended))
	a.wantTook("+i-1 -member eni-8")
	a.wantView("h1")
}

func TestInForceOfUnknownHost(t *testing.T) {
	w := newWorld(t)
	if revision, connected, problem := w.feed.InForce("nobody"); revision != 0 || connected || problem != "" {
		t.Errorf("InForce of an unknown host = %d, %v, %q; want 0, false, none", revision, connected, problem)
	}
	a := w.agent("h1")
	w.waitInForce("h1", w.state().Revision())
	a.stop()
	w.wait("h1 is known to be gone", func() bool { _, connected, _ := w.feed.InForce("h1"); return !connected })
	if revision, _, _ := w.feed.InForce("h1"); revision != w.state().Revision() {
		t.Errorf("a host that went has revision %d in force, want the last: %d", revision, w.state().Revision())
	}
}

// A server dies and another takes over, which remembers nothing: the host gets the difference.
func TestReconnectResumes(t *testing.T) {
	w := newWorld(t)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"}, feed.Binding{ENI: eniDB, Device: "tap2"})
	w.wait("both are bound", func() bool { return w.state().NetworkInterface(eniDB).Binding != nil })
	w.waitInForce("h1", w.state().Revision())
	a.took()
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"}, feed.BindingResult{ENI: eniDB, Device: "tap2"})

	w.stop()
	w.wait("the agent sees it", func() bool { return !a.Connected() })
	eni := *w.state().NetworkInterface(eniWeb2)
	eni.Groups = []vpc.GroupID{sgDB} // no member of sg-1 any more
	w.change(vpc.Change{Puts: []vpc.Object{webOpen(80, 8080), &eni}})
	w.serve(w.addr)
	w.waitInForce("h1", w.state().Revision())
	a.wantTook("+sg-1 -member eni-3")
	a.wantView("h1")
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"}, feed.BindingResult{ENI: eniDB, Device: "tap2"})

	// Nothing happened meanwhile: nothing is sent, and what it has is in force.
	w.stop()
	w.wait("the agent sees it", func() bool { return !a.Connected() })
	w.serve(w.addr)
	w.waitInForce("h1", w.state().Revision())
	a.wantTook()
}

// An agent that lost what it had gets a snapshot, and its host's bindings are what it says now.
func TestLostStateGetsSnapshot(t *testing.T) {
	w := newWorld(t)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"}, feed.Binding{ENI: eniDB, Device: "tap2"})
	w.wait("both are bound", func() bool { return w.state().NetworkInterface(eniDB).Binding != nil })
	w.waitInForce("h1", w.state().Revision())
	a.stop()

	// eniWeb has moved to another device, eniDB has gone, eniWeb2 came.
	a = w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap7"}, feed.Binding{ENI: eniWeb2, Device: "tap8"})
	w.wait("the bindings are what the agent says", func() bool {
		s := w.state()
		one, two, three := s.NetworkInterface(eniWeb).Binding, s.NetworkInterface(eniDB).Binding, s.NetworkInterface(eniWeb2).Binding
		return one != nil && one.Device == "tap7" && two == nil && three != nil && three.Device == "tap8"
	})
	w.waitInForce("h1", w.state().Revision())
	a.wantView("h1")
	a.wantTook("snapshot +eni-1 +eni-3 +sg-1")
}

// A host that is busy gets one Delta for all that happened meanwhile.
func TestSlowHostGetsMergedDeltas(t *testing.T) {
	w := newWorld(t)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"})
	w.wait("it is bound", func() bool { return w.state().NetworkInterface(eniWeb).Binding != nil })
	before := w.state().Revision()
	w.waitInForce("h1", before)
	a.took()

	block := make(chan struct{})
	a.set(func(a *agent) { a.block = block })
	first := w.put(webOpen(80, 1))
	w.wait("the agent works on it", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.waiting == 1
	})
	var last int64
	for port := int32(2); port <= 40; port++ {
		last = w.put(webOpen(80, port))
	}
	if got, _, _ := w.feed.InForce("h1"); got < before || got >= first {
		t.Errorf("while revision %d is not acknowledged, %d is in force; want %d", first, got, before)
	}
	a.set(func(a *agent) { a.block = nil })
	close(block)
	w.waitInForce("h1", last)
	a.wantTook("+sg-1", "+sg-1")
	a.wantView("h1")
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"}) // once: the stream did not break
}

// What a host cannot apply is a problem that the API can show, until it can.
func TestRefusedDelta(t *testing.T) {
	w := newWorld(t)
	a := w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"})
	w.wait("it is bound", func() bool { return w.state().NetworkInterface(eniWeb).Binding != nil })
	before := w.state().Revision()
	w.waitInForce("h1", before)
	a.took()

	a.set(func(a *agent) { a.fail = errors.New("map sp_tables is full") })
	revision := w.put(webOpen(80, 443))
	w.wait("the problem is known", func() bool { _, _, problem := w.feed.InForce("h1"); return problem != "" })
	got, connected, problem := w.feed.InForce("h1")
	if got != before || !connected || problem != "map sp_tables is full" {
		t.Errorf("InForce = %d, %v, %q; want %d, true, the problem", got, connected, problem, before)
	}

	// It is tried again without anybody's doing.
	a.set(func(a *agent) { a.fail = nil })
	w.waitInForce("h1", revision)
	if _, _, problem := w.feed.InForce("h1"); problem != "" {
		t.Errorf("problem %q is still told after it healed", problem)
	}
	a.wantTook("+sg-1")

	// What is taken back needs no Delta, and is no problem any more.
	a.set(func(a *agent) { a.fail = errors.New("no") })
	w.put(webOpen(22))
	w.wait("the problem is known", func() bool { _, _, problem := w.feed.InForce("h1"); return problem != "" })
	revision = w.put(webOpen(80, 443))
	w.waitInForce("h1", revision)
	if _, _, problem := w.feed.InForce("h1"); problem != "" {
		t.Errorf("problem %q is still told of a change that was taken back", problem)
	}
	a.wantTook()
}

func TestBindingRefused(t *testing.T) {
	w := newWorld(t)
	w.agent("h1", feed.Binding{ENI: eniWeb, Device: "tap1"}).wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"})
	other := w.agent("h2")
	w.waitInForce("h2", w.state().Revision())
	before := w.state().Revision()
	for _, tt := range []struct {
		eni  vpc.InterfaceID
		want string
	}{
		{eniWeb, "InvalidNetworkInterface.InUse"},
		{"eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"},
		{"tap9", "InvalidNetworkInterfaceId.Malformed"},
	} {
		if err := other.Bind(feed.Binding{ENI: tt.eni, Device: "tap9"}); err != nil {
			t.Fatal(err)
		}
		w.wait("the claim is answered", func() bool { other.mu.Lock(); defer other.mu.Unlock(); return len(other.results) == 1 })
		other.set(func(a *agent) {
			if got := a.results[0]; got.ENI != tt.eni || got.Device != "tap9" || !strings.HasPrefix(got.Error, tt.want+": ") {
				t.Errorf("claim of %s: got %+v, want code %s", tt.eni, got, tt.want)
			}
			a.results = nil
		})
		other.Unbind(tt.eni)
	}
	if got := w.state(); got.Revision() != before || got.NetworkInterface(eniWeb).Binding.Host != "h1" {
		t.Errorf("refused claims changed the state from revision %d to %d", before, got.Revision())
	}
	for _, b := range []feed.Binding{{ENI: eniDB}, {Device: "tap1"}, {ENI: eniDB, Device: "a-name-with-16-ch"}} {
		if err := other.Bind(b); err == nil {
			t.Errorf("Bind(%+v) was not refused", b)
		}
	}
}

func TestGuests(t *testing.T) {
	const id vpc.InstanceID = "i-00000000000000001"
	w := newWorld(t)
	a, other := w.agent("h1"), w.agent("h2")
	w.waitInForce("h1", w.state().Revision())
	w.waitInForce("h2", w.state().Revision())
	a.took()
	other.took()

	eni := *w.state().NetworkInterface(eniWeb)
	eni.Attachment = &vpc.Attachment{ID: "eni-attach-00000001", Instance: id}
	instance := vpc.Instance{ID: id, Image: vpc.ImageNetns, State: vpc.Pending, Host: "h1", UserData: []byte("#!/bin/sh\n")}
	w.waitInForce("h1", w.put(&eni, &instance))
	a.wantTook("+i-1")
	got, want := a.guests[id], feed.Guest{ID: id, Run: true, UserData: instance.UserData, Interfaces: []feed.GuestInterface{{
		ENI: eniWeb, MAC: eni.MAC, VPC: testVPC, Subnet: testSubnet,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.11/24")},
		Routers:   []netip.Prefix{netip.MustParsePrefix("10.0.1.1/24")},
		VPCCIDRs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
	}}}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("guest:\ngot  %+v\nwant %+v", got, want)
	}

	// A host has no say in another's guests, nor in their interfaces.
	other.ReportGuest(feed.GuestStatus{Instance: id, Running: true})
	if err := other.Bind(feed.Binding{ENI: eniWeb, Device: "tap1"}); err != nil {
		t.Fatal(err)
	}
	w.wait("the claim is refused", func() bool { other.mu.Lock(); defer other.mu.Unlock(); return len(other.results) == 1 })
	if other.results[0].Error == "" {
		t.Error("a host has bound the interface of another host's guest")
	}
	if got := w.state().Instance(id).State; got != vpc.Pending {
		t.Errorf("another host's report made the guest %v", got)
	}

	isState := func(want vpc.InstanceState) func() bool {
		return func() bool { return w.state().Instance(id).State == want }
	}
	if err := a.Bind(feed.Binding{ENI: eniWeb, Device: "spl1"}); err != nil {
		t.Fatal(err)
	}
	a.ReportGuest(feed.GuestStatus{Instance: id, Running: true})
	w.wait("the guest is running", isState(vpc.Running))
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "spl1"})
	w.waitInForce("h1", w.state().Revision())
	a.wantView("h1")
	a.took()

	instance.State = vpc.Stopping
	w.waitInForce("h1", w.put(&instance))
	a.wantTook("+i-1")
	if a.guests[id].Run {
		t.Error("a stopping guest is to run")
	}
	a.ReportGuest(feed.GuestStatus{Instance: id})
	w.wait("the guest is stopped", isState(vpc.Stopped))
	w.wait("its interface is unbound", func() bool { return w.state().NetworkInterface(eniWeb).Binding == nil })
	w.waitInForce("h1", w.state().Revision())
	w.wait("the agent forgets it", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.guests) == 0 })
	a.Unbind(eniWeb)

	// It starts again, in vain.
	instance.State = vpc.Pending
	w.waitInForce("h1", w.put(&instance))
	a.ReportGuest(feed.GuestStatus{Instance: id, Reason: "no namespace"})
	w.wait("the guest is stopped", isState(vpc.Stopped))
	if got := w.state().Instance(id).Reason; !strings.Contains(got, "no namespace") {
		t.Errorf("reason of a guest that could not be made: %q", got)
	}
	w.waitInForce("h1", w.state().Revision())

	// And once more: a reconnect does not repeat what was reported of the last time.
	w.waitInForce("h1", w.put(&instance))
	w.stop()
	w.wait("the agent sees it", func() bool { return !a.Connected() })
	a.ReportCounters(feed.Counters{})
	w.serve(w.addr)
	counters := func() feed.Counters { c, _ := w.feed.Counters("h1"); return c }
	w.wait("all reports are there", func() bool { return counters() != nil }) // counters come last
	if got := w.state().Instance(id).State; got != vpc.Pending {
		t.Errorf("a late report made the guest %v", got)
	}
	other.wantTook()
}

// What happens while no server answers is said as soon as one does.
func TestReportsSurviveReconnect(t *testing.T) {
	const id vpc.InstanceID = "i-00000000000000001"
	w := newWorld(t)
	a := w.agent("h1")
	w.waitInForce("h1", w.put(&vpc.Instance{ID: id, Image: vpc.ImageNetns, State: vpc.Pending, Host: "h1"}))
	w.stop()
	w.wait("the agent sees it", func() bool { return !a.Connected() })
	a.ReportGuest(feed.GuestStatus{Instance: id, Running: true})
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	counted := feed.Counters{
		eniWeb: {
			Directions: [2]feed.DirectionCounters{
				{Packets: map[ruleset.Reason]uint64{ruleset.ReasonRule: 7, ruleset.ReasonNoRule: 3}, Last: map[ruleset.Reason]time.Time{ruleset.ReasonNoRule: at}},
				{Packets: map[ruleset.Reason]uint64{200: 1}, Observed: 5},
			},
			Rules: map[uint32]feed.RuleCounter{4: {Packets: 7, Bytes: 700, Connections: 2, First: at, Last: at.Add(time.Hour)}},
			Drops: []feed.DropSample{
				{
					Direction: ruleset.Egress, Reason: ruleset.ReasonNoRule, Observed: true, Protocol: 17, Port: 53, Count: 3, Last: at.Add(time.Millisecond),
					Local: netip.MustParseAddr("fd00::1"), Remote: netip.MustParseAddr("2001:db8::1"),
				},
				{Reason: ruleset.ReasonARP, Count: 1, Last: at},
			},
			LostEvents: 9,
			Open:       map[uint32]uint64{4: 2, 0: 1},
		},
		eniDB: {Open: map[uint32]uint64{}},
		"":    {Rules: map[uint32]feed.RuleCounter{0: {Packets: 1, First: at, Last: at}}},
	}
	a.ReportCounters(counted)
	if err := a.Bind(feed.Binding{ENI: eniWeb, Device: "tap1"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(feed.Binding{ENI: eniDB, Device: "tap2"}); err != nil {
		t.Fatal(err)
	}
	a.Unbind(eniDB)
	w.serve(w.addr)
	w.wait("the guest is running", func() bool { return w.state().Instance(id).State == vpc.Running })
	w.wait("the counters are there", func() bool { c, _ := w.feed.Counters("h1"); return c != nil })
	got, reported := w.feed.Counters("h1")
	if fmt.Sprint(got) != fmt.Sprint(counted) {
		t.Errorf("counters: got %v, want %v", got, counted)
	}
	if ago := time.Since(reported); ago < 0 || ago > time.Minute {
		t.Errorf("the counters were reported at %v", reported)
	}
	a.wantBound(feed.BindingResult{ENI: eniWeb, Device: "tap1"})
	if b := w.state().NetworkInterface(eniDB).Binding; b != nil {
		t.Errorf("an interface that was bound and unbound in the dark is bound: %+v", b)
	}
}
