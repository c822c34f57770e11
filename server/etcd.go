package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/server/store"
)

// EtcdClient says how a server and an etcd cluster know each other. Its files are PEM; empty fields are
// for a cluster that does not ask.
type EtcdClient struct {
	CA           string // the authorities of the cluster's certificates; empty: the system's
	Cert, Key    string // this server's certificate, read again for each connection
	User         string
	PasswordFile string // its first line is the password
}

// client reads what the files hold.
func (e EtcdClient) client(endpoints []string) (store.EtcdClient, error) {
	var c store.EtcdClient
	if e == (EtcdClient{}) {
		return c, nil
	}
	switch {
	case len(endpoints) == 0:
		return c, errors.New("--etcd-… is about a cluster: name it with --endpoints")
	case (e.Cert == "") != (e.Key == ""):
		return c, errors.New("a client certificate needs its key: give both --etcd-cert and --etcd-key, or neither")
	case (e.User == "") != (e.PasswordFile == ""):
		return c, errors.New("give both --etcd-user and --etcd-password-file, or neither")
	case !slices.ContainsFunc(endpoints, func(u string) bool { return !strings.HasPrefix(u, "https:") }):
	case e.CA != "" || e.Cert != "":
		return c, errors.New("certificates are for TLS: every one of --endpoints must begin with https")
	case slices.ContainsFunc(endpoints, func(u string) bool { return strings.HasPrefix(u, "http:") }):
		return c, errors.New("a password would be readable on the way: every one of --endpoints must begin with https")
	}
	if e.CA != "" || e.Cert != "" {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if e.CA != "" {
		pem, err := os.ReadFile(e.CA)
		if err != nil {
			return c, fmt.Errorf("read etcd's authorities: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return c, fmt.Errorf("read etcd's authorities: %s holds no certificate", e.CA)
		}
	}
	if e.Cert != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(e.Cert, e.Key)
			if err != nil {
				return nil, fmt.Errorf("read the certificate for etcd: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(nil); err != nil {
			return c, err
		}
		c.TLS.GetClientCertificate = load
	}
	if e.PasswordFile != "" {
		text, err := os.ReadFile(e.PasswordFile)
		if err != nil {
			return c, fmt.Errorf("read etcd's password: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if c.User, c.Password = e.User, strings.TrimSuffix(line, "\r"); c.Password == "" {
			return c, fmt.Errorf("read etcd's password: the first line of %s is empty", e.PasswordFile)
		}
	}
	return c, nil
}
