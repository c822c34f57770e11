package server

import (
	"crypto/tls"
	"log/slog"
	"sync"
)

// certificate is the API's, read from its files for each connection: a renewed one counts from the
// next on. While the files do not fit together the last good one stays.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu   sync.Mutex
	last *tls.Certificate
}

func newCertificate(certFile, keyFile string, log *slog.Logger) *certificate {
	return &certificate{certFile: certFile, keyFile: keyFile, log: log}
}

// get implements tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	switch {
	case err == nil:
		c.last = &pair
	case c.last == nil:
		return nil, err
	default:
		c.log.Warn("certificate not read, the last one stays", "err", err)
	}
	return c.last, nil
}
