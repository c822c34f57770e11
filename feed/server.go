package feed

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/feed/feedpb"
	"github.com/sallyport/sallyport/vpc"
)

// Store is what the feed needs of the control plane's state; server/store says what the methods do.
type Store interface {
	Read(context.Context) (*vpc.State, error)
	Update(context.Context, func(*vpc.State) (vpc.Change, error)) (revision int64, err error)
	Watch(context.Context) iter.Seq[*vpc.State]
}

// ServerOptions are the options of a Server.
type ServerOptions struct {
	Store Store          // required
	TLS   *tls.Config    // required; must demand client certificates: CA.ServerTLS
	Env   func() vpc.Env // clock and ids for an action; nil: the time, and vpc.RandomID
	Log   *slog.Logger   // nil: discard

	AskTimeout time.Duration // how long a host may take to answer; 0: 5 s
}

// Server is the control plane's end of the feed. It is safe for concurrent use.
type Server struct {
	store Store
	tls   *tls.Config
	env   func() vpc.Env
	log   *slog.Logger

	askTimeout time.Duration

	mu      sync.Mutex
	hosts   map[vpc.HostID]*host // every host that was seen since the start
	known   timeline             // of what any stream has seen
	changed chan struct{}        // nil: nobody waits
}

// host is what the server knows of one. Server.mu guards it.
type host struct {
	stream   *stream // nil: not connected
	revision int64   // in force
	problem  string  // why a newer one is not; empty: none known
	counters Counters
	reported time.Time // when it sent them

	confirmed timeline // since it connected
}

// NewServer returns a Server that does nothing yet.
func NewServer(o ServerOptions) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env == nil {
		o.Env = func() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} }
	}
	return &Server{
		store: o.Store, tls: o.TLS, env: o.Env, log: o.Log, askTimeout: cmp.Or(o.AskTimeout, askTimeout),
		hosts: map[vpc.HostID]*host{},
	}
}

// Sizes of messages. A snapshot names every member of every group that the host needs, and a Hello
// every resource of the host: a million of them are some 100 MB and 60 MB.
const (
	maxDelta     = 512 << 20
	maxFromAgent = 128 << 20
)

// How a dead peer is found out: the server asks after this time of silence, and waits this long.
const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// Serve answers the agents that connect to l until ctx ends, and closes l. Its store must be synced.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.tls)),
		grpc.MaxRecvMsgSize(maxFromAgent),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2}),
		// One stream per connection and little to say: small buffers keep thousands of hosts cheap.
		grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10),
	)
	feedpb.RegisterFeedServer(srv, service{Server: s})
	// Streams have no end of their own that a graceful stop could wait for.
	defer context.AfterFunc(ctx, srv.Stop)()
	if err := srv.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve the feed: %w", err)
	}
	return nil
}

// Connected returns how many hosts are connected to this server.
func (s *Server) Connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.hosts {
		if h.stream != nil {
			n++
		}
	}
	return n
}

// InForce returns the newest revision that a host is known to enforce, whether it is connected to
// this server, and what it last reported to stand in the way of a newer one. A State that changes
// nothing for the host is in force as soon as that is found out.
func (s *Server) InForce(id vpc.HostID) (revision int64, connected bool, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[id]
	if h == nil {
		return 0, false, ""
	}
	return h.revision, h.stream != nil, h.problem
}

// Counters returns what a host last reported, and when; nil: nothing yet. The caller must not change it.
func (s *Server) Counters(id vpc.HostID) (Counters, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[id]; h != nil {
		return h.counters, h.reported
	}
	return nil, time.Time{}
}

// service keeps the wire's types out of Server's methods.
type service struct {
	*Server
	feedpb.UnimplementedFeedServer
}

var errReplaced = errors.New("the host opened a newer stream")

// Stream serves one agent until it goes, misbehaves, or comes again.
func (s service) Stream(rpc feedpb.Feed_StreamServer) error {
	id, err := hostOf(rpc.Context())
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	log := s.log.With("host", id)
	m, err := rpc.Recv()
	if err != nil {
		return err
	}
	hello, err := helloFromPB(m)
	if err != nil {
		return s.refused(log, err)
	}
	ctx, cancel := context.WithCancelCause(rpc.Context())
	defer cancel(nil)
	st := &stream{
		server: s.Server, host: id, rpc: rpc, log: log, cancel: cancel,
		answers: hello.answers, questions: newQuestions(), done: ctx.Done(),
	}
	s.enter(st, hello.revision)
	defer s.leave(st)
	log.Info("host connected", "revision", hello.revision, "version", hello.version, "lab", hello.lab)
	err = st.run(ctx, hello)
	if cause := context.Cause(ctx); errors.Is(cause, errReplaced) {
		log.Info("host connected again, ending its older stream")
		return status.Error(codes.Aborted, cause.Error())
	}
	if malformed := (*malformedError)(nil); errors.As(err, &malformed) {
		return s.refused(log, err)
	}
	if ctx.Err() != nil || err == nil {
		log.Info("host disconnected")
		return nil
	}
	log.Warn("stream ended", "err", err)
	return status.Error(codes.Unavailable, "the server cannot serve the feed now")
}

func (s *Server) refused(log *slog.Logger, err error) error {
	log.Error("message refused", "err", err)
	return status.Error(codes.InvalidArgument, err.Error())
}

// enter makes st the stream of its host, which says that it has a revision in force. When it
// returns, an older stream changes nothing any more.
func (s *Server) enter(st *stream, revision int64) {
	s.mu.Lock()
	h := s.hosts[st.host]
	if h == nil {
		h = &host{}
		s.hosts[st.host] = h
	}
	old := h.stream
	h.stream, h.revision, h.problem, h.confirmed = st, revision, "", timeline{}
	h.confirmed.reached(revision, keepConfirmed)
	s.tell()
	s.mu.Unlock()
	if old != nil {
		old.replace()
	}
}

func (s *Server) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[st.host]; h.stream == st {
		h.stream = nil
		s.tell()
	}
}

// note changes what is known of the stream's host, unless a newer stream took over.
func (s *Server) note(st *stream, change func(*host)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[st.host]; h.stream == st {
		change(h)
	}
}

// hostOf returns the name in the certificate of the peer, which TLS has verified.
func hostOf(ctx context.Context) (vpc.HostID, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return "", errors.New("no verified certificate")
	}
	id := vpc.HostID(info.State.VerifiedChains[0][0].Subject.CommonName)
	return id, CheckHostID(id)
}
