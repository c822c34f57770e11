package feed_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
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

func openCA(t *testing.T, dir string, at time.Time) *feed.CA {
	t.Helper()
	ca, err := feed.OpenCA(dir, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issueAgent(t *testing.T, ca *feed.CA, dir string, host vpc.HostID) tls.Certificate {
	t.Helper()
	if err := ca.IssueAgent(host); err != nil {
		t.Fatal(err)
	}
	return pair(t, dir, "agent")
}

func pair(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serverTLS(t *testing.T, ca *feed.CA) *tls.Config {
	t.Helper()
	conf, err := ca.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// Either end refuses who is not of its authority, whose time is over, or who plays the other's part.
func TestWrongCertificates(t *testing.T) {
	now := time.Now()
	long := now.Add(-2 * 365 * 24 * time.Hour)
	ours, theirs := t.TempDir(), t.TempDir()
	old := openCA(t, ours, long) // the authority outlives its first certificates
	expiredAgent := issueAgent(t, old, ours, "h1")
	serverTLS(t, old)
	expiredServer := pair(t, ours, "server")
	ca := openCA(t, ours, now)
	good := issueAgent(t, ca, ours, "h1")
	server := serverTLS(t, ca)
	goodServer := pair(t, ours, "server")
	foreign := openCA(t, theirs, now)
	foreignAgent := issueAgent(t, foreign, theirs, "h1")
	serverTLS(t, foreign)
	foreignServer := pair(t, theirs, "server")

	agent, err := feed.AgentTLS(filepath.Join(ours, "ca.crt"), filepath.Join(ours, "agent.crt"), filepath.Join(ours, "agent.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		agent, server tls.Certificate
		maxVersion    uint16
		want          string // part of the error of the side that refuses; empty: accepted
	}{
		"both good":                 {agent: good, server: goodServer},
		"agent without":             {server: goodServer, want: "client didn't provide a certificate"},
		"agent of another CA":       {agent: foreignAgent, server: goodServer, want: "signed by unknown authority"},
		"agent expired":             {agent: expiredAgent, server: goodServer, want: "has expired"},
		"server's as agent's":       {agent: goodServer, server: goodServer, want: "incompatible key usage"},
		"server of another CA":      {agent: good, server: foreignServer, want: "signed by unknown authority"},
		"server expired":            {agent: good, server: expiredServer, want: "has expired"},
		"agent's as server's":       {agent: good, server: good, want: "certificate is not valid for any names"},
		"TLS 1.2 alone":             {agent: good, server: goodServer, maxVersion: tls.VersionTLS12, want: "unsupported versions"},
		"named agent's as server's": {agent: good, server: namedAgent(t, ours), want: "incompatible key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := server.Clone(), agent.Clone()
			s.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &tt.server, nil }
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.agent, nil }
			c.ServerName = "localhost"
			if tt.maxVersion != 0 {
				c.MinVersion, c.MaxVersion = 0, tt.maxVersion
			}
			got := handshake(t, s, c)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("handshake: got %q, want %q", got, tt.want)
			}
		})
	}
}

// namedAgent returns an agent's certificate with the name of a server, which no CA here issues: it
// is signed with the authority's key.
func namedAgent(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	authority := pair(t, dir, "ca")
	agent := pair(t, dir, "agent")
	template := *agent.Leaf
	template.DNSNames = []string{"localhost"}
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.Leaf, agent.Leaf.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: agent.PrivateKey}
}

// handshake returns the errors of both ends.
func handshake(t *testing.T, server, client *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			refused <- err
			return
		}
		defer c.Close()
		refused <- c.(*tls.Conn).HandshakeContext(t.Context())
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		defer c.Close()
	}
	var text string
	for _, err := range []error{err, <-refused} {
		if err != nil {
			text += err.Error() + "; "
		}
	}
	return text
}

// The feed itself, end to end: an agent of another authority is never a host.
func TestForeignAgentIsNoHost(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	foreign := openCA(t, dir, time.Now())
	issueAgent(t, foreign, dir, "h1")
	conf, err := feed.AgentTLS(filepath.Join(w.dir, "ca.crt"), filepath.Join(dir, "agent.crt"), filepath.Join(dir, "agent.key"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+w.addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rpc, err := feedpb.NewFeedClient(conn).Stream(t.Context())
	if err == nil {
		_, err = rpc.Recv()
	}
	if got := status.Code(err); got != codes.Unavailable {
		t.Errorf("a stream of a foreign agent ended with %v (%v), want %v", got, err, codes.Unavailable)
	}
	if w.state().Host("h1") != nil {
		t.Error("an agent of another authority is registered")
	}
}

func TestCertificatesAreKeptAndRenewed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	start := time.Now()
	day := 24 * time.Hour
	first := issueAgent(t, openCA(t, dir, start), dir, "h1")
	for name, tt := range map[string]struct {
		host vpc.HostID
		at   time.Time
		same bool
	}{
		"next day":             {"h1", start.Add(day), true},
		"after half its time":  {"h1", start.Add(180 * day), true},
		"near its end":         {"h1", start.Add(300 * day), false},
		"for another host":     {"h2", start, false},
		"after it has expired": {"h1", start.Add(400 * day), false},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "pki")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			got := issueAgent(t, openCA(t, copied, tt.at), copied, tt.host)
			if same := got.Leaf.Equal(first.Leaf); same != tt.same {
				t.Errorf("the certificate is the same: %v, want %v", same, tt.same)
			}
			if got.Leaf.Subject.CommonName != string(tt.host) || len(got.Leaf.ExtKeyUsage) != 1 || got.Leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
				t.Errorf("certificate for %q with usages %v, want %q and client authentication alone",
					got.Leaf.Subject.CommonName, got.Leaf.ExtKeyUsage, tt.host)
			}
		})
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode())
		}
	}
	if len(files) != 4 {
		t.Errorf("the directory holds %v, want ca and agent alone", files)
	}
}

// A server's certificate is renewed while it runs.
func TestServerRenewsItsCertificate(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	ca, err := feed.OpenCA(dir, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.ServerTLS("feed.example.com", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	first, err := conf.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "feed.example.com", "192.0.2.1"} {
		if err := first.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	now = now.Add(360 * 24 * time.Hour)
	second, err := conf.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Leaf.Equal(second.Leaf) || second.Leaf.NotAfter.Before(now.Add(300*24*time.Hour)) {
		t.Errorf("five days before its end the certificate is valid until %v", second.Leaf.NotAfter)
	}
}

func TestHostNames(t *testing.T) {
	ca := openCA(t, t.TempDir(), time.Now())
	for _, id := range []vpc.HostID{"", "a/b", "..", "-a", "a b", "ä", vpc.HostID(strings.Repeat("a", 65))} {
		if err := ca.IssueAgent(id); err == nil {
			t.Errorf("a certificate was issued to host %q", id)
		}
	}
	for _, id := range []vpc.HostID{"a", "kvm-7.example.com", vpc.HostID(strings.Repeat("a", 64))} {
		if err := ca.IssueAgent(id); err != nil {
			t.Errorf("host %q: %v", id, err)
		}
	}
}

// Processes that start on an empty directory agree on one authority, also those that come while it is made.
func TestOneAuthority(t *testing.T) {
	for range 8 {
		dir := t.TempDir()
		confs := make(chan *tls.Config, 64)
		for i := range cap(confs) {
			go func() {
				time.Sleep(time.Duration(i) * 20 * time.Microsecond)
				ca, err := feed.OpenCA(dir, nil)
				if err != nil {
					t.Error(err)
					confs <- nil
					return
				}
				conf, err := ca.ServerTLS()
				if err != nil {
					t.Error(err)
				}
				confs <- conf
			}()
		}
		var first *tls.Config
		for range cap(confs) {
			conf := <-confs
			if first == nil {
				first = conf
			}
			if conf != nil && first != nil && !conf.ClientCAs.Equal(first.ClientCAs) {
				t.Error("there are two authorities")
			}
		}
	}
}
