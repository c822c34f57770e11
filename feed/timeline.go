package feed

import (
	"sort"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// timeline remembers when something reached its last revisions: at least keep of them. The zero value
// knows nothing.
type timeline struct{ marks []mark } // by growing revision

type mark struct {
	revision int64
	at       time.Time
}

// How many revisions a server remembers of itself, and of each host.
const (
	keepKnown     = 1024
	keepConfirmed = 64
)

// reached notes that a revision is reached now. An older one than the last changes nothing.
func (t *timeline) reached(revision int64, keep int) {
	n := len(t.marks)
	if n > 0 && t.marks[n-1].revision >= revision {
		return
	}
	if n >= 2*keep {
		t.marks = append(t.marks[:0], t.marks[n-keep:]...)
	}
	t.marks = append(t.marks, mark{revision, time.Now()})
}

// when returns when a revision was reached, itself or within a later one. It is not known of what is
// not reached, and of what was reached by the first mark that is remembered: it may have been before.
func (t *timeline) when(revision int64) (time.Time, bool) {
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].revision >= revision })
	if i == 0 || i == len(t.marks) {
		return time.Time{}, false
	}
	return t.marks[i].at, true
}

// Took returns how long it took from when this server knew a revision until a host had confirmed it.
// It is not known of a host that has not, of what was before the server started or the host connected,
// and once much has been written since.
func (s *Server) Took(id vpc.HostID, revision int64) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[id]
	if h == nil {
		return 0, false
	}
	known, ok := s.known.when(revision)
	confirmed, also := h.confirmed.when(revision)
	return max(confirmed.Sub(known), 0), ok && also
}

// knows notes that this server knows a revision.
func (s *Server) knows(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.reached(revision, keepKnown)
}

// Changed returns a channel that is closed when what InForce says of any host changes. Ask for it before
// InForce.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// tell wakes who waits for a change. The caller holds the lock.
func (s *Server) tell() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// inForce notes what the stream's host has in force, and what keeps it from a newer revision.
func (s *Server) inForce(st *stream, revision int64, problem string) {
	s.note(st, func(h *host) {
		h.revision, h.problem = revision, problem
		h.confirmed.reached(revision, keepConfirmed)
		s.tell()
	})
}
