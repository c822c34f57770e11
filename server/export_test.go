package server

import (
	"net/http"
	"net/netip"
	"time"
)

// UntilAnswered is what a start does until the store answers.
var UntilAnswered = untilAnswered[int]

// ResolveProxies shows a handler the address of a client as a server with these trusted proxies does.
func ResolveProxies(trusted []netip.Prefix, next http.Handler) http.Handler {
	return proxies(trusted).resolve(next)
}

// SetLimits makes a server give up on slow clients sooner than anybody would want to.
func (s *Server) SetLimits(wait time.Duration, bodies int64) {
	s.limits = limits{readHeader: wait, read: wait, write: wait, idle: wait, bodies: bodies}
}
