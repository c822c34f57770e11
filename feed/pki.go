package feed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// How long certificates are valid. One is renewed when a third of its time is left.
const (
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 365 * 24 * time.Hour
	// backdate is how far a host's clock may be behind the one that issued a certificate.
	backdate = time.Hour
)

// CA issues the certificates of one installation: a server's to servers, a host's to agents. Both
// ends trust it alone. Keys are ECDSA P-256; files are 0600, in the directory:
// {ca,server,agent}.{crt,key}.
type CA struct {
	dir  string
	now  func() time.Time
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenCA opens the authority that is kept in a directory, and makes both at the first time.
// now is the clock; nil: the system's.
func OpenCA(dir string, now func() time.Time) (*CA, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificate directory: %w", err)
	}
	ca := &CA{dir: dir, now: now}
	if err := ca.open(); err != nil {
		return nil, fmt.Errorf("open the certificate authority in %s: %w", dir, err)
	}
	return ca, nil
}

// open reads key and certificate. Another process may do the same at this moment: the first to
// write a file wins, and everybody reads what is there.
func (ca *CA) open() error {
	keyFile, certFile := filepath.Join(ca.dir, "ca.key"), filepath.Join(ca.dir, "ca.crt")
	// The certificate is looked for first, since the key is written first: whoever finds a certificate finds its key.
	_, certErr := os.Stat(certFile)
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		if certErr == nil {
			return fmt.Errorf("%s is there, but its key %s is not", certFile, keyFile)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		b, err := keyPEM(key)
		if err != nil {
			return err
		}
		if err := writeFile(keyFile, b, false); err != nil {
			return err
		}
	}
	key, err := readKey(keyFile)
	if err != nil {
		return err
	}
	if _, err := os.Stat(certFile); errors.Is(err, fs.ErrNotExist) {
		template := ca.template("Sallyport feed CA", caValidity)
		template.IsCA, template.BasicConstraintsValid = true, true
		template.MaxPathLenZero = true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return err
		}
		if err := writeFile(certFile, certPEM(der), false); err != nil {
			return err
		}
	}
	ca.key = key
	if ca.cert, err = readCert(certFile); err != nil {
		return err
	}
	if public, ok := ca.cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return fmt.Errorf("%s is not the certificate of %s", certFile, keyFile)
	}
	return nil
}

// ServerTLS returns the configuration of a server's end of the feed, which admits agents of this
// authority alone. Its certificate, for the names (DNS or IP) beside those of loopback, is issued
// or renewed as needed, now and whenever an agent connects.
func (ca *CA) ServerTLS(names ...string) (*tls.Config, error) {
	names = append([]string{"localhost", "127.0.0.1", "::1"}, names...)
	var mu sync.Mutex
	current := func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		return ca.leaf("server", "sallyport server", x509.ExtKeyUsageServerAuth, names)
	}
	if _, err := current(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current() },
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      ca.pool(),
		Time:           ca.now,
	}, nil
}

// IssueAgent makes agent.crt and agent.key the certificate of a host, unless they are and have more
// than a third of their time left.
func (ca *CA) IssueAgent(host vpc.HostID) error {
	if err := CheckHostID(host); err != nil {
		return err
	}
	_, err := ca.leaf("agent", string(host), x509.ExtKeyUsageClientAuth, nil)
	return err
}

// AgentTLS returns the configuration of an agent's end of the feed: it talks to servers of the
// authority in caFile alone. Its own certificate is read anew for each connection.
func AgentTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	ca, err := readCert(caFile)
	if err != nil {
		return nil, err
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		return nil, fmt.Errorf("read the agent's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &c, err
		},
	}, nil
}

func (ca *CA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// leaf returns the certificate in dir/file.crt, and issues a new one if it is missing, would soon
// expire, or is not for this authority, subject, usage and names.
func (ca *CA) leaf(file, subject string, usage x509.ExtKeyUsage, names []string) (*tls.Certificate, error) {
	certFile, keyFile := filepath.Join(ca.dir, file+".crt"), filepath.Join(ca.dir, file+".key")
	if c, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && ca.good(c.Leaf, subject, usage, names) {
		return &c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := ca.template(subject, leafValidity)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("issue the certificate of %s: %w", subject, err)
	}
	b, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	// Whoever reads between the two writes sees a pair that does not match, and tries again later.
	if err := errors.Join(writeFile(keyFile, b, true), writeFile(certFile, certPEM(der), true)); err != nil {
		return nil, fmt.Errorf("write the certificate of %s: %w", subject, err)
	}
	c, err := tls.X509KeyPair(certPEM(der), b)
	return &c, err
}

func (ca *CA) good(c *x509.Certificate, subject string, usage x509.ExtKeyUsage, names []string) bool {
	now := ca.now()
	_, err := c.Verify(x509.VerifyOptions{
		Roots: ca.pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err == nil && c.Subject.CommonName == subject &&
		c.NotAfter.Sub(now) > c.NotAfter.Sub(c.NotBefore)/3 &&
		!slices.ContainsFunc(names, func(n string) bool { return c.VerifyHostname(n) != nil })
}

func (ca *CA) template(subject string, validity time.Duration) *x509.Certificate {
	now := ca.now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: subject},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(validity),
	} // a nil serial number is drawn at random
}

// hostIDs are names that are safe in certificates, the store's keys and file names.
var hostIDs = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// CheckHostID returns an error if a certificate cannot name a host so.
func CheckHostID(id vpc.HostID) error {
	if !hostIDs.MatchString(string(id)) {
		return fmt.Errorf("host id %q: 1 to 64 letters, digits, dots, dashes and underscores are one", id)
	}
	return nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func readCert(file string) (*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return c, nil
}

func readKey(file string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s holds no private key", file)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of type %T, not ECDSA", file, k)
	}
	return key, nil
}

// writeFile writes a whole file with mode 0600 or none. Without replace, one that is there stays.
func writeFile(file string, b []byte, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(f.Name(), file)
	}
	if err := os.Link(f.Name(), file); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
