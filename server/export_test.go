package server

import "time"

// SetLimits makes a server give up on slow clients sooner than anybody would want to.
func (s *Server) SetLimits(wait time.Duration, bodies int64) {
	s.limits = limits{readHeader: wait, read: wait, write: wait, idle: wait, bodies: bodies}
}
