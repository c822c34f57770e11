package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/server/store"
)

// ports counts those that were tried: of two servers each has its own, also when neither listens yet.
var ports atomic.Int32

func init() { ports.Store(mathrand.Int32N(20_000)) }

// freeAddr returns a loopback address that nobody listens on. Its port is below those that the kernel gives to clients, and
// to whoever asks for any: of them another test might have it by then.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+ports.Add(1)%20_000)); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func config(t testing.TB, dir string) server.Config {
	c := server.DefaultConfig()
	c.DataDir, c.Listen, c.FeedListen, c.LocalAgent = dir, freeAddr(t), freeAddr(t), "h1"
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return c
}

// start runs a server until the test ends or stop is called. It is ready when start returns.
func start(t testing.TB, c server.Config) (stop func()) {
	t.Helper()
	return startLimited(t, c, nil)
}

// startLimited is start with the limits that set sets.
func startLimited(t testing.TB, c server.Config, set func(*server.Server)) (stop func()) {
	t.Helper()
	ready := make(chan struct{})
	c.Ready = func() { close(ready) }
	s, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx)
		close(ended)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil after its context ended", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the server is not ready after a minute")
	}
	return stop
}

var credentialLines = regexp.MustCompile(`(?s)aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)\n`)

// whoAmI calls GetCallerIdentity with the administrator's credentials.
func whoAmI(t *testing.T, c server.Config, client *http.Client) (string, error) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(c.DataDir, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	m := credentialLines.FindStringSubmatch(string(file))
	if m == nil {
		t.Fatalf("no credentials in %q", file)
	}
	scheme := "http://"
	if c.TLSCert != "" {
		scheme = "https://"
	}
	out, err := sts.New(sts.Options{
		Region: c.Region, BaseEndpoint: aws.String(scheme + c.Listen), HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider(m[1], m[2], ""), RetryMaxAttempts: 1,
	}).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Account), nil
}

func TestServer(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	stop := start(t, c)
	account, err := whoAmI(t, c, http.DefaultClient)
	if err != nil || account != "123456789012" {
		t.Errorf("GetCallerIdentity = %q, %v; want account 123456789012", account, err)
	}
	followOnce(t, c)
	stop()

	// The next start on the same directory knows the same keys, and answers on the same ports.
	before, err := os.ReadFile(filepath.Join(c.DataDir, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	start(t, c)
	if account, err := whoAmI(t, c, http.DefaultClient); err != nil || account != "123456789012" {
		t.Errorf("GetCallerIdentity after a restart = %q, %v; want account 123456789012", account, err)
	}
	after, err := os.ReadFile(filepath.Join(c.DataDir, "credentials"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the credentials changed with a restart (%v)", err)
	}
}

// followOnce connects as this machine's agent does, and waits for the first update.
func followOnce(t *testing.T, c server.Config) {
	t.Helper()
	pki := filepath.Join(c.DataDir, "pki")
	conf, err := feed.AgentTLS(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "agent.crt"), filepath.Join(pki, "agent.key"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got *feed.Update
	err = feed.NewClient(feed.ClientOptions{Server: c.FeedListen, TLS: conf, Log: c.Log}).Follow(ctx,
		func(_ context.Context, u *feed.Update) error {
			got = u
			cancel()
			return nil
		})
	if !errors.Is(err, context.Canceled) || got == nil || !got.Snapshot {
		t.Errorf("the agent's first update is %+v (%v), want a snapshot", got, err)
	}
}

// What cannot work is refused by New in one line that says what to do.
func TestBadConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*server.Config)
		want   string
	}{
		"no directory":             {func(c *server.Config) { c.DataDir = "" }, "--data-dir"},
		"every address":            {func(c *server.Config) { c.Listen = ":4580" }, "--insecure-http"},
		"an address of the net":    {func(c *server.Config) { c.Listen = "192.0.2.1:4580" }, "--tls-cert"},
		"every address of IPv6":    {func(c *server.Config) { c.Listen = "[::]:4580" }, "--insecure-http"},
		"a name":                   {func(c *server.Config) { c.Listen = "host.example.com:4580" }, "--insecure-http"},
		"no port":                  {func(c *server.Config) { c.Listen = "127.0.0.1" }, "--listen"},
		"no port for agents":       {func(c *server.Config) { c.FeedListen = "127.0.0.1" }, "--feed-listen"},
		"certificate without key":  {func(c *server.Config) { c.TLSCert = "x" }, "--tls-key"},
		"key without certificate":  {func(c *server.Config) { c.TLSKey = "x" }, "--tls-cert"},
		"region with a slash":      {func(c *server.Config) { c.Region = "a/b" }, "us-east-1"},
		"no region":                {func(c *server.Config) { c.Region = "" }, "us-east-1"},
		"default VPC too small":    {func(c *server.Config) { c.DefaultVPCCIDR = netip.MustParsePrefix("10.0.0.0/24") }, "/16"},
		"default VPC of IPv6":      {func(c *server.Config) { c.DefaultVPCCIDR = netip.MustParsePrefix("fd00::/16") }, "IPv4"},
		"port too big":             {func(c *server.Config) { c.Listen = "127.0.0.1:99999" }, "--listen"},
		"port no number":           {func(c *server.Config) { c.FeedListen = "127.0.0.1:xx" }, "--feed-listen"},
		"no certificate":           {func(c *server.Config) { c.TLSCert, c.TLSKey = "none", "none" }, "certificate"},
		"endpoint no URL":          {func(c *server.Config) { c.Endpoints = []string{"etcd:2379"} }, "--endpoints"},
		"endpoint of nothing":      {func(c *server.Config) { c.Endpoints = []string{"http://"} }, "--endpoints"},
		"endpoint with a password": {func(c *server.Config) { c.Endpoints = []string{"https://root:hunter2@etcd:2379"} }, "--etcd-password-file"},
		"metrics without a port":   {func(c *server.Config) { c.MetricsListen = "127.0.0.1" }, "--metrics-listen"},
		"host id":                  {func(c *server.Config) { c.LocalAgent = "a b" }, "--local-agent"},
		"default VPC not a prefix": {func(c *server.Config) { c.DefaultVPCCIDR = netip.MustParsePrefix("10.1.2.3/16") }, "IPv4"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, t.TempDir())
			tt.change(&c)
			if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") ||
				strings.Contains(err.Error(), "hunter2") {
				t.Errorf("New = %v, want an error that names %s", err, tt.want)
			}
		})
	}
	for name, change := range map[string]func(*server.Config){
		"loopback":           func(*server.Config) {},
		"localhost":          func(c *server.Config) { c.Listen = "localhost:4580" },
		"loopback of IPv6":   func(c *server.Config) { c.Listen = "[::1]:4580" },
		"insecure on demand": func(c *server.Config) { c.Listen, c.InsecureHTTP = ":4580", true },
		"TLS": func(c *server.Config) {
			c.Listen, c.TLSCert, c.TLSKey = ":4580", c.DataDir+"/a", c.DataDir+"/b"
			issue(t, *c)
		},
		"own etcd, own host": func(c *server.Config) {
			c.Endpoints, c.LocalAgent = []string{"https://etcd.example:2379"}, "h7.example"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, t.TempDir())
			change(&c)
			if _, err := server.New(c); err != nil {
				t.Errorf("New = %v, want nil", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// symlink returns the path of a link to a directory.
func symlink(t *testing.T, dir string) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	return link
}

// The cases of a directory that is another user's need root: they are in the command's sessions.
func TestDataDirOfOthers(t *testing.T) {
	own := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(own, 0o755))
	for name, dir := range map[string]string{"own": own, "own link": symlink(t, own), "none": own + "/none"} {
		if err := server.CheckDataDir(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, mode := range []os.FileMode{0o777, 0o775} {
		c := config(t, t.TempDir())
		must(t, os.Chmod(c.DataDir, mode))
		s, err := server.New(c)
		must(t, err)
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "0700") {
			t.Errorf("Run in a directory of mode %o = %v", mode, err)
		}
		if made, err := os.ReadDir(c.DataDir); err != nil || len(made) > 0 {
			t.Errorf("it made %v (%v)", made, err)
		}
	}
	if err := server.CheckDataDir("server_test.go"); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("a file: %v", err)
	}
}

// A taken port is told before anything is written.
func TestPortTaken(t *testing.T) {
	for name, set := range map[string]func(*server.Config, string){
		"--listen":      func(c *server.Config, addr string) { c.Listen = addr },
		"--feed-listen": func(c *server.Config, addr string) { c.FeedListen = addr },

		"--metrics-listen": func(c *server.Config, addr string) { c.MetricsListen = addr },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c := config(t, filepath.Join(t.TempDir(), "data"))
			set(&c, l.Addr().String())
			s, err := server.New(c)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") || !strings.Contains(err.Error(), name) {
				t.Errorf("Run = %v, want that the address is taken, and %s", err, name)
			}
			if _, err := os.Stat(c.DataDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data directory is there (%v)", err)
			}
		})
	}
}

// The API's certificate is read again when it changes, and a broken one is not taken.
func TestTLSReload(t *testing.T) {
	dir := t.TempDir()
	c := config(t, filepath.Join(dir, "data"))
	c.TLSCert, c.TLSKey = filepath.Join(dir, "api.crt"), filepath.Join(dir, "api.key")
	if _, err := server.New(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New without the certificate's file = %v, want %v", err, os.ErrNotExist)
	}
	first := issue(t, c)
	start(t, c)
	call := func(trusted *x509.Certificate) error {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AddCert(trusted)
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true,
		}}
		_, err := whoAmI(t, c, client)
		return err
	}
	if err := call(first); err != nil {
		t.Error(err)
	}
	second := issue(t, c)
	if err := call(second); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	if err := call(first); err == nil {
		t.Error("the old certificate is still shown")
	}
	if err := os.WriteFile(c.TLSCert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := call(second); err != nil {
		t.Errorf("while the file is broken: %v", err)
	}
}

// issue writes a fresh self-signed certificate to the configured files.
func issue(t *testing.T, c server.Config) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "API"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		c.TLSCert: {Type: "CERTIFICATE", Bytes: der},
		c.TLSKey:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A start goes on when a store that was too slow answers, and ends with what is an answer.
func TestUntilAnswered(t *testing.T) { synctest.Test(t, untilAnswered) }

func untilAnswered(t *testing.T) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	refused := errors.New("refused")
	slow := fmt.Errorf("write: %w", store.ErrUnknown)
	late := fmt.Errorf("read: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		answers []error
		want    error
	}{
		{[]error{nil}, nil}, {[]error{slow, late, slow, nil}, nil}, {[]error{refused}, refused}, {[]error{late, refused}, refused},
	} {
		asked := 0
		n, err := server.UntilAnswered(t.Context(), log, func() (int, error) {
			asked++
			return asked, tt.answers[asked-1]
		})
		if !errors.Is(err, tt.want) || n != len(tt.answers) {
			t.Errorf("%v: %d times, %v", tt.answers, n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.UntilAnswered(ctx, log, func() (int, error) { return 0, slow }); err == nil {
		t.Error("it goes on after its context ended")
	}
}
