package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// metrics are what Prometheus asks for. What the embedded etcd and the Go runtime have to say is in
// Prometheus's default registry already, the size of the database among it.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	sessions *prometheus.CounterVec
	registry *prometheus.Registry
}

// newMetrics makes those of a server. newest returns the State, hosts how many are connected.
func newMetrics(newest func() *vpc.State, hosts func() int) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_ec2api_requests_total",
			Help: "Requests that were answered, by action (empty: none that there is) and error code (OK: none).",
		}, []string{"action", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sallyport_ec2api_request_duration_seconds",
			Help:    "Time from the header of a request to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9), // to 6.5 s
		}, []string{"action"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_signin_requests_total",
			Help: "Requests about sessions of the console, by what was asked for (password, token, renewal, end) and error code (OK: none).",
		}, []string{"what", "code"}),
		registry: prometheus.NewRegistry(),
	}
	m.registry.MustRegister(
		m.requests, m.duration, m.sessions, stateCollector{newest},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sallyport_feed_hosts", Help: "Hosts that are connected to this server.",
		}, func() float64 { return float64(hosts()) }),
	)
	return m
}

// observe counts an answer.
func (m *metrics) observe(op *wire.Operation, code string, took time.Duration) {
	action := ""
	if op != nil {
		action = op.Name
	}
	if code == "" {
		code = "OK"
	}
	m.requests.WithLabelValues(action, code).Inc()
	m.duration.WithLabelValues(action).Observe(took.Seconds())
}

// observeSession counts an answer about a session of the console.
func (m *metrics) observeSession(what, code string) {
	m.sessions.WithLabelValues(what, cmp.Or(code, "OK")).Inc()
}

// stateCollector describes the newest State whenever it is asked.
type stateCollector struct{ newest func() *vpc.State }

var (
	objectsDesc  = prometheus.NewDesc("sallyport_store_objects", "Objects in the state.", []string{"kind"}, nil)
	revisionDesc = prometheus.NewDesc("sallyport_store_revision", "Revision of the newest state that this server has.", nil, nil)
)

func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- objectsDesc
	ch <- revisionDesc
}

func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.newest()
	for kind, n := range s.Counts() {
		ch <- prometheus.MustNewConstMetric(objectsDesc, prometheus.GaugeValue, float64(n), string(kind))
	}
	ch <- prometheus.MustNewConstMetric(revisionDesc, prometheus.GaugeValue, float64(s.Revision()))
}

// handler serves /metrics, and on loopback Go's profiles: whoever can ask for those can slow the server
// down and look into it.
func (m *metrics) handler(local bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{m.registry, prometheus.DefaultGatherer}, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
	}))
	if local {
		mux.HandleFunc("GET /debug/pprof/", notForPages(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", notForPages(pprof.Cmdline))
		mux.HandleFunc("GET /debug/pprof/profile", notForPages(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", notForPages(pprof.Symbol))
		mux.HandleFunc("GET /debug/pprof/trace", notForPages(pprof.Trace))
	}
	return mux
}

// notForPages refuses what a page in a browser on this machine sends: under a name that leads here (DNS
// rebinding), or from another site.
func notForPages(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		site := r.Header.Get("Sec-Fetch-Site")
		if !loopback(host) || site != "" && site != "none" && site != "same-origin" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// serveMetrics answers on a listener of its own until ctx ends.
func (s *Server) serveMetrics(ctx context.Context, l net.Listener, m *metrics) error {
	a, ok := l.Addr().(*net.TCPAddr)
	srv := &http.Server{
		Handler:           m.handler(ok && a.IP.IsLoopback()),
		ReadHeaderTimeout: s.limits.readHeader,
		ReadTimeout:       s.limits.read,
		WriteTimeout:      2 * time.Minute, // a profile takes as long as it is asked to
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    maxHeader,
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
