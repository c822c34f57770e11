package store_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/server/ec2api"
	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

var administrator = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7ADMIN00", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// nowhere: no host is connected.
type nowhere struct{}

func (nowhere) InForce(vpc.HostID) (int64, bool, string) { return 0, false, "" }
func (nowhere) Changed() <-chan struct{}                 { return nil }

func (nowhere) Took(vpc.HostID, int64) (time.Duration, bool)   { return 0, false }
func (nowhere) Counters(vpc.HostID) (feed.Counters, time.Time) { return nil, time.Time{} }

func (nowhere) Ask(context.Context, vpc.HostID, inquiry.Question) (inquiry.Answer, error) {
	return inquiry.Answer{}, errors.New("no host is connected")
}

// noKeys: nobody asks for any.
type noKeys struct{ ec2api.Keys }

// serveAPI serves the API on a store until the test ends and returns its address.
func serveAPI(t *testing.T, s *store.Store) string {
	t.Helper()
	verifier, err := sigv4.New(sigv4.Options{Region: storetest.Region, Lookup: func(id string) (sigv4.Key, bool) {
		return sigv4.Key{Secret: administrator.SecretAccessKey}, id == administrator.AccessKeyID
	}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := ec2api.New(ec2api.Config{
		Store: s, Enforcement: nowhere{}, Hosts: nowhere{}, Verify: verifier.Verify, Log: slog.New(slog.DiscardHandler),
		Caller: func(id vpc.AccessKeyID) vpc.Caller {
			return vpc.Caller{User: "admin", Role: vpc.Administrator, Key: id}
		},
		Authorize: func(vpc.Caller, *wire.Operation) error { return nil },
		Keys:      noKeys{},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// install makes what the first start makes, with these quotas, and a host that runs lab guests.
func install(t *testing.T, s *store.Store, quotas map[vpc.QuotaName]int) {
	t.Helper()
	env := vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID}
	update(t, s, func(s *vpc.State) (vpc.Change, error) {
		c, err := s.Bootstrap(env, vpc.NewInstallation{
			Account: storetest.Account, Region: storetest.Region, ULA: netip.MustParsePrefix("fd00:5a11:9007::/48"),
		})
		for _, o := range c.Puts {
			if i, ok := o.(*vpc.Installation); ok {
				i.Quotas = quotas
			}
		}
		c.Puts = append(c.Puts, &vpc.Host{ID: "h1", Lab: true},
			&vpc.User{Name: "admin", Role: vpc.Administrator},
			&vpc.AccessKey{ID: vpc.AccessKeyID(administrator.AccessKeyID), User: "admin"})
		return c, err
	})
}

// roundRobin is a reverse proxy that sends each request to the next of the servers, whatever
// connection it came on. It hands Host on unchanged, which clients sign.
func roundRobin(t *testing.T, servers []string) string {
	t.Helper()
	var n atomic.Uint64
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: servers[n.Add(1)%uint64(len(servers))]})
			r.Out.Host = r.In.Host
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Transport: &http.Transport{
			DialContext:         new(net.Dialer).DialContext,
			MaxIdleConnsPerHost: 64,
		},
	})
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String()
}

func newClient(t *testing.T, addr string) *ec2apitest.Client {
	c := ec2apitest.New(addr, storetest.Region, administrator)
	t.Cleanup(c.Close)
	return c
}

// must sends a call that has to succeed.
func must(t *testing.T, c *ec2apitest.Client, action string, parameters ...string) ec2apitest.Answer {
	t.Helper()
	a, err := c.Do(context.Background(), ec2apitest.Form(action, parameters...))
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s %s: %v %d %s", action, strings.Join(parameters, " "), err, a.Status, a.Body)
	}
	return a
}
