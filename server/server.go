// Package server is the control plane put together: the store, the feed to the agents, and the API
// on one endpoint.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/console"
	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/signin"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

// account is the one that every installation has.
const account vpc.AccountID = "123456789012"

// Config of a Server.
type Config struct {
	// DataDir holds, each made at the first start: etcd/ (unless Endpoints are given), pki/ (the
	// feed's authority and certificates), audit/ (the log of what calls changed), credentials (the
	// administrator's, in AWS's format) and secret.key, which seals the secrets of access keys in the
	// store. Required.
	DataDir    string
	Endpoints  []string // of an etcd cluster, as URLs; empty: run one in this process
	Etcd       EtcdClient
	Listen     string // host:port of the API
	FeedListen string // host:port for agents
	Region     string
	// DefaultVPCCIDR is the block of the default VPC, which the first start makes: IPv4, /16 to /20.
	DefaultVPCCIDR netip.Prefix
	// TLSCert and TLSKey are PEM files, read again when they change. Without them the API speaks
	// HTTP, on loopback addresses alone unless InsecureHTTP is set.
	TLSCert, TLSKey string
	InsecureHTTP    bool
	// TrustedProxies are before the API: what they say in X-Forwarded-For of where a request came from is
	// believed, and nobody else.
	TrustedProxies []netip.Prefix
	// MetricsListen is host:port for Prometheus, and on loopback for Go's profiles; empty: neither.
	MetricsListen string
	// LocalAgent is the host id for which pki/agent.crt is issued and renewed; empty: none.
	LocalAgent vpc.HostID
	Log        *slog.Logger // nil: discard
	// Ready is called once, when API and feed are served. nil: nothing.
	Ready func()
}

// DefaultConfig returns the defaults of every field that has one.
func DefaultConfig() Config {
	name, _ := os.Hostname() // without a name there is no local agent
	return Config{
		Listen:         "127.0.0.1:4580",
		FeedListen:     "127.0.0.1:4581",
		Region:         "us-east-1",
		DefaultVPCCIDR: netip.MustParsePrefix("172.31.0.0/16"),
		LocalAgent:     vpc.HostID(name),
	}
}

const (
	shutdownTimeout = 5 * time.Second // for requests on their way
	maxHeader       = 64 << 10        // bytes; a session token has some kilobytes
	renewInterval   = 24 * time.Hour  // between looks at the local agent's certificate
)

var regions = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Server is the control plane.
type Server struct {
	conf   Config
	store  *store.Store
	limits limits
}

// New checks the configuration. It starts nothing and writes nothing.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func() {}
	}
	if c.DataDir == "" {
		return nil, errors.New("name a data directory (--data-dir)")
	}
	if !regions.MatchString(c.Region) {
		return nil, fmt.Errorf("region %q: want a name such as us-east-1", c.Region)
	}
	if p := c.DefaultVPCCIDR; !p.Addr().Is4() || p != p.Masked() || p.Bits() < 16 || p.Bits() > 20 {
		return nil, fmt.Errorf("default VPC block %v: want IPv4 from /16 to /20, such as 172.31.0.0/16", p)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, errors.New("TLS needs a certificate and its key: give both --tls-cert and --tls-key, or neither")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if _, _, err := net.SplitHostPort(c.FeedListen); err != nil {
		return nil, fmt.Errorf("--feed-listen: %w", err)
	}
	if _, _, err := net.SplitHostPort(c.MetricsListen); err != nil && c.MetricsListen != "" {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	for flag, addr := range map[string]string{"--listen": c.Listen, "--feed-listen": c.FeedListen, "--metrics-listen": c.MetricsListen} {
		_, port, _ := net.SplitHostPort(addr)
		if addr == "" {
			continue
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, fmt.Errorf("%s %q: want a port up to 65535", flag, addr)
		}
	}
	if c.TLSCert == "" && !c.InsecureHTTP && !loopback(host) {
		return nil, fmt.Errorf("--listen %s is not loopback: give --tls-cert and --tls-key, or --insecure-http to "+
			"let anyone on the way read what is said", c.Listen)
	}
	if c.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return nil, fmt.Errorf("read the API's certificate: %w", err)
		}
	}
	for _, e := range c.Endpoints {
		if strings.Contains(e, "@") { // not shown: it may be a password
			return nil, errors.New("--endpoints: a URL with a user or password is seen by others and used by nobody; " +
				"give --etcd-user and --etcd-password-file")
		}
		u, err := url.Parse(e)
		if err != nil || u.Host == "" && u.Path == "" || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme) {
			return nil, fmt.Errorf("--endpoints %q: want a URL such as http://192.0.2.1:2379", e)
		}
	}
	if c.LocalAgent != "" {
		if err := feed.CheckHostID(c.LocalAgent); err != nil {
			return nil, fmt.Errorf("--local-agent: %w", err)
		}
	}
	etcd, err := c.Etcd.client(c.Endpoints)
	if err != nil {
		return nil, err
	}
	o := store.Options{Endpoints: c.Endpoints, Client: etcd, Account: account, Region: c.Region, Log: c.Log}
	if len(c.Endpoints) == 0 {
		o.Dir = filepath.Join(c.DataDir, "etcd")
	}
	st, err := store.New(o)
	if err != nil {
		return nil, err
	}
	return &Server{c, st, defaultLimits()}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Run serves until ctx ends, which is no error, or something fails. Requests on their way are
// answered first. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	if err := CheckDataDir(s.conf.DataDir); err != nil {
		return err
	}
	var certificate *certificate
	if s.conf.TLSCert != "" {
		certificate = newCertificate(s.conf.TLSCert, s.conf.TLSKey, s.conf.Log)
		if _, err := certificate.get(nil); err != nil {
			return fmt.Errorf("read the API's certificate: %w", err)
		}
	}
	api, err := listen(s.conf.Listen, "--listen")
	if err != nil {
		return err
	}
	defer api.Close()
	agents, err := listen(s.conf.FeedListen, "--feed-listen")
	if err != nil {
		return err
	}
	defer agents.Close()
	var watchers net.Listener
	if s.conf.MetricsListen != "" {
		if watchers, err = listen(s.conf.MetricsListen, "--metrics-listen"); err != nil {
			return err
		}
		defer watchers.Close()
	}
	if err := os.MkdirAll(s.conf.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := CheckDataDir(s.conf.DataDir); err != nil { // somebody may have made it meanwhile
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	g.Go(func() error { return s.store.Run(storing) })
	g.Go(func() error {
		defer stopStore() // last: requests on their way still write
		select {
		case <-s.store.Ready():
		case <-ctx.Done():
			return nil
		}
		return s.serve(ctx, listeners{api, agents, watchers}, certificate)
	})
	return g.Wait()
}

func listen(addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken: is Sallyport running already? Stop what listens there, or choose another address with %s", addr, flag)
	}
	return l, err
}

// listeners are where a server is asked; metrics is nil if nobody may ask for them.
type listeners struct{ api, feed, metrics net.Listener }

// serve serves API and feed from a store that is ready, until ctx ends.
func (s *Server) serve(ctx context.Context, on listeners, certificate *certificate) error {
	log := s.conf.Log
	keys, err := untilAnswered(ctx, log, func() (*iam.Keys, error) {
		return iam.Bootstrap(ctx, s.store, iam.Options{
			Dir: s.conf.DataDir, Account: account, Region: s.conf.Region, VPCCIDR: s.conf.DefaultVPCCIDR, Env: env, Log: log,
		})
	})
	if err != nil {
		return s.unlessDone(ctx, fmt.Errorf("prepare the installation: %w", err))
	}
	ca, err := feed.OpenCA(filepath.Join(s.conf.DataDir, "pki"), nil)
	if err != nil {
		return err
	}
	feedTLS, err := ca.ServerTLS(feedNames(s.conf.FeedListen)...)
	if err != nil {
		return err
	}
	if err := s.issueAgent(ca); err != nil {
		return err
	}
	fd := feed.NewServer(feed.ServerOptions{Store: s.store, TLS: feedTLS, Env: env, Log: log})
	verifier, err := sigv4.New(sigv4.Options{Region: s.conf.Region, Lookup: keys.Lookup})
	if err != nil {
		return err
	}
	records, err := audit.Open(audit.Options{Dir: filepath.Join(s.conf.DataDir, "audit"), Log: log})
	if err != nil {
		return err
	}
	m := newMetrics(keys.Newest, fd.Connected)
	api, err := ec2api.New(ec2api.Config{
		Store: s.store, Enforcement: fd, Hosts: fd, Verify: iam.NewAttempts(verifier.Verify).Verify, Log: log, Env: env,
		Caller: keys.Caller, Authorize: iam.Authorize, Keys: keys, Audit: records, Observe: m.observe,
		LocalHost: s.conf.LocalAgent, Stopping: ctx.Done(),
	})
	if err != nil {
		return err
	}
	session, err := signin.New(signin.Config{
		Store: s.store, Keys: keys, Audit: records, Log: log, Env: env, Observe: m.observeSession,
	})
	if err != nil {
		return err
	}
	pages, err := console.Handler()
	if err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	recording, stopRecords := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return records.Run(recording) })
	g.Go(func() error {
		defer stopRecords() // last: requests on their way still write
		return s.serveAPI(ctx, on.api, proxies(s.conf.TrustedProxies).resolve(newBodies(s.limits.bodies).limit(route(api, session, pages))), certificate)
	})
	g.Go(func() error { return fd.Serve(ctx, on.feed) })
	if on.metrics != nil {
		g.Go(func() error { return s.serveMetrics(ctx, on.metrics, m) })
		log.Info("serving metrics", "address", on.metrics.Addr().String())
	}
	g.Go(func() error { s.renew(ctx, ca); return nil })
	log.Info("serving", "api", on.api.Addr().String(), "tls", certificate != nil,
		"feed", on.feed.Addr().String(), "region", s.conf.Region)
	s.conf.Ready()
	return g.Wait()
}

// route puts the API and the console on one origin: GET / is the API's if it names an action, else the console's.
func route(api, session, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case r.URL.Path == "/session":
			session.ServeHTTP(w, r)
		case r.URL.Path == "/" && (!read || r.URL.Query().Has("Action")):
			api.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// serveAPI answers requests until ctx ends, and those on their way a little longer.
func (s *Server) serveAPI(ctx context.Context, l net.Listener, handler http.Handler, certificate *certificate) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.limits.readHeader,
		ReadTimeout:       s.limits.read,
		WriteTimeout:      s.limits.write,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.conf.Log.Handler(), slog.LevelDebug), // what strangers get wrong
	}
	ended := make(chan error, 1)
	go func() {
		if certificate == nil {
			ended <- srv.Serve(l)
			return
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}
		ended <- srv.ServeTLS(l, "", "")
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		s.conf.Log.Warn("requests cut off by the shutdown", "err", err)
		_ = srv.Close() // its listener is closed already
	}
	return nil
}

func (s *Server) issueAgent(ca *feed.CA) error {
	if s.conf.LocalAgent == "" {
		return nil
	}
	if err := ca.IssueAgent(s.conf.LocalAgent); err != nil {
		return fmt.Errorf("issue the certificate of this machine's agent: %w", err)
	}
	return nil
}

// renew keeps the local agent's certificate from expiring while the server runs.
func (s *Server) renew(ctx context.Context, ca *feed.CA) {
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.issueAgent(ca); err != nil {
				s.conf.Log.Error("certificate not renewed", "err", err)
			}
		}
	}
}

// untilAnswered does something that may be done twice until the store says in time what came of it: while a
// machine starts its disk may be slow, and a server that gives up would only be started again.
func untilAnswered[T any](ctx context.Context, log *slog.Logger, do func() (T, error)) (T, error) {
	for {
		v, err := do()
		if ctx.Err() != nil || !errors.Is(err, store.ErrUnknown) && !errors.Is(err, context.DeadlineExceeded) {
			return v, err
		}
		log.Warn("the store has not answered in time, asked again", "err", err)
		select { // it may say so at once, where there is nobody to ask
		case <-ctx.Done():
			return v, err
		case <-time.After(time.Second):
		}
	}
}

// unlessDone drops the error of what was given up because ctx ended.
func (s *Server) unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// feedNames returns the names, beside those of loopback, by which agents reach a listener.
func feedNames(addr string) []string {
	host, _, _ := net.SplitHostPort(addr) // New has parsed it
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		name, err := os.Hostname()
		if err != nil {
			return nil
		}
		return []string{name}
	}
	return []string{host}
}

// env is the one source of time and ids.
func env() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} }
