package server

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// limits are what one client may cost. A request is a form of at most 1 MB; the longest answers are lists.
type limits struct {
	readHeader time.Duration // until the header is there
	read       time.Duration // until the body is there, too
	write      time.Duration // until the answer is taken, from when the header was there
	idle       time.Duration // between requests: longer than SDKs keep a connection that they do not use
	bodies     int64         // bytes that all bodies together may have in memory, beyond freeBody of each
}

func defaultLimits() limits {
	return limits{
		readHeader: 10 * time.Second, read: 30 * time.Second, write: time.Minute, idle: 2 * time.Minute, bodies: 64 << 20,
	}
}

// freeBody is the part of each body that needs no room among the others: all but the longest requests.
const freeBody = 64 << 10 // bytes

// bodies bounds what the bodies of all requests together have in memory: long ones are refused while
// there is no room, short ones never.
type bodies struct{ left atomic.Int64 }

func newBodies(room int64) *bodies {
	b := &bodies{}
	b.left.Store(room)
	return b
}

func (b *bodies) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := &body{ReadCloser: r.Body, of: b}
		defer func() { b.left.Add(m.taken) }()
		r.Body = m
		next.ServeHTTP(w, r)
	})
}

// body is one that is read.
type body struct {
	io.ReadCloser
	of          *bodies
	read, taken int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if more := b.read - freeBody - b.taken; more > 0 {
		if b.of.left.Add(-more) < 0 {
			b.of.left.Add(more)
			return 0, vpc.Errorf(vpc.CodeRequestLimitExceeded, "Request limit exceeded.")
		}
		b.taken += more
	}
	return n, err
}
