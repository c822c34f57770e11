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
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sallyport/sallyport/server"
)

// authority issues certificates below a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", nil)
	return a
}

// issue writes NAME.crt and NAME.key: the authority's own, or one that it signs.
func (a *authority) issue(name string, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	must(a.t, os.WriteFile(a.file(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(a.t, os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// A cluster that wants certificates, and a user with a password.
func TestEtcdThatAsksWhoOneIs(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("etcd", ca.cert)
	ca.issue("server", ca.cert)
	endpoint := "https://" + freeAddr(t)
	u, err := url.Parse(endpoint)
	must(t, err)
	conf := embed.NewConfig()
	conf.Dir = t.TempDir()
	conf.ListenPeerUrls = nil
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{*u}, []url.URL{*u}
	conf.TickMs, conf.ElectionMs = 10, 100
	conf.MaxTxnOps, conf.MaxRequestBytes = 4096, 8<<20
	conf.ClientTLSInfo = transport.TLSInfo{
		CertFile: ca.file("etcd.crt"), KeyFile: ca.file("etcd.key"), TrustedCAFile: ca.file("ca.crt"), ClientCertAuth: true,
	}
	conf.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	etcd, err := embed.StartEtcd(conf)
	must(t, err)
	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()

	password := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("correct horse\n"), 0o600))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	pair, err := tls.LoadX509KeyPair(ca.file("server.crt"), ca.file("server.key"))
	must(t, err)
	root, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, Logger: zap.NewNop(),
	})
	must(t, err)
	defer root.Close()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := root.RoleAdd(ctx, "keys"); return err },
		func(ctx context.Context) error {
			_, err := root.RoleGrantPermission(ctx, "keys", "/sallyport/", clientv3.GetPrefixRangeEnd("/sallyport/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func(ctx context.Context) error { _, err := root.UserAdd(ctx, "sallyport", "correct horse"); return err },
		func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, "sallyport", "keys"); return err },
		func(ctx context.Context) error { _, err := root.UserAdd(ctx, "root", "staple"); return err },
		func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, "root", "root"); return err },
		func(ctx context.Context) error { _, err := root.AuthEnable(ctx); return err },
	} {
		must(t, step(t.Context()))
	}

	c := config(t, filepath.Join(t.TempDir(), "data"))
	c.Endpoints = []string{endpoint}
	c.Etcd = server.EtcdClient{
		CA: ca.file("ca.crt"), Cert: ca.file("server.crt"), Key: ca.file("server.key"), User: "sallyport", PasswordFile: password,
	}
	stop := start(t, c)
	if account, err := whoAmI(t, c, http.DefaultClient); err != nil || account == "" {
		t.Errorf("GetCallerIdentity = %q, %v", account, err)
	}
	stop()

	must(t, os.WriteFile(password, []byte("wrong\n"), 0o600))
	s, err := server.New(c)
	must(t, err)
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("Run with the wrong password = %v", err)
	}
}

func TestBadEtcdClient(t *testing.T) {
	ca := newAuthority(t)
	must(t, os.WriteFile(ca.file("empty"), []byte("\n"), 0o600))
	for name, tt := range map[string]struct {
		endpoints string
		client    server.EtcdClient
		want      string
	}{
		"no cluster":          {"", server.EtcdClient{CA: ca.file("ca.crt")}, "--endpoints"},
		"no key":              {"https://h:1", server.EtcdClient{Cert: ca.file("ca.crt")}, "--etcd-key"},
		"no password":         {"https://h:1", server.EtcdClient{User: "u"}, "--etcd-password-file"},
		"certificate, http":   {"http://h:1", server.EtcdClient{CA: ca.file("ca.crt")}, "https"},
		"password, http":      {"http://h:1", server.EtcdClient{User: "u", PasswordFile: ca.file("ca.key")}, "readable"},
		"one of them is http": {"https://h:1,http://h:2", server.EtcdClient{CA: ca.file("ca.crt")}, "every one"},
		"no such file":        {"https://h:1", server.EtcdClient{CA: ca.file("none")}, "no such file"},
		"no authority":        {"https://h:1", server.EtcdClient{CA: ca.file("ca.key")}, "holds no certificate"},
		"no certificate":      {"https://h:1", server.EtcdClient{Cert: ca.file("ca.key"), Key: ca.file("ca.key")}, "certificate for etcd"},
		"empty password":      {"https://h:1", server.EtcdClient{User: "u", PasswordFile: ca.file("empty")}, "is empty"},
	} {
		c := config(t, t.TempDir())
		if c.Etcd = tt.client; tt.endpoints != "" {
			c.Endpoints = strings.Split(tt.endpoints, ",")
		}
		if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: New = %v, want an error with %q", name, err, tt.want)
		}
	}
}
