// Package sigv4 checks an AWS Signature Version 4, in the Authorization header or in the query string of a presigned
// request. It knows the request and the secret, nothing of accounts, storage or routing.
//
// Source: "AWS Signature Version 4 for API requests", IAM User Guide; what differs for S3 is left out.
package sigv4

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	dayLayout  = "20060102"
	maxExpires = 7 * 24 * time.Hour // of a presigned request
	maxCached  = 1024               // signing keys
)

// Options of a Verifier.
type Options struct {
	Region   string           // that requests must be signed for
	Services []string         // that requests may be signed for; empty: ec2, sts
	Now      func() time.Time // nil: time.Now
	MaxSkew  time.Duration    // between the caller's clock and ours; 0: 15 min, as EC2

	// Lookup returns what an access key signs with. It is called once per request, from many
	// goroutines, and takes as long for a key that does not exist.
	Lookup func(accessKeyID string) (key Key, ok bool)
}

// Key is what requests are signed with.
type Key struct {
	Secret  string
	Token   []byte    // SHA-256 of the session token that must come along; nil: none may
	Expires time.Time // of a session; zero: never
}

// Verifier checks signatures. It may be used by many goroutines at once.
type Verifier struct {
	o     Options
	decoy Key // of those that do not exist: they take as long as the others

	mu   sync.Mutex
	keys map[scope][]byte // signing keys by scope; bounded by maxCached
}

// scope is what a signing key is made from.
type scope struct{ secret, day, region, service string }

// Identity is who signed.
type Identity struct {
	AccessKeyID string
	Service     string    // of the scope: one of Options.Services
	Time        time.Time // of signing, by the caller's clock
	Presigned   bool      // the signature was in the query string
}

// New returns a Verifier. Options.Region and Options.Lookup must be set.
func New(o Options) (*Verifier, error) {
	if o.Region == "" || o.Lookup == nil {
		return nil, errors.New("sigv4 needs a region and a lookup of keys")
	}
	if len(o.Services) == 0 {
		o.Services = []string{"ec2", "sts"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = 15 * time.Minute
	}
	return &Verifier{o: o, decoy: Key{Secret: rand.Text()}, keys: map[scope][]byte{}}, nil
}

// Verify says who signed r, whose whole body is given, as raw bytes and before anything parsed them: the caller bounds
// its size. It reads neither r.Body nor r.Form. Every error is an *[Error].
func (v *Verifier) Verify(r *http.Request, body []byte) (Identity, error) {
	s, err := read(r)
	if err != nil {
		return Identity{}, err
	}
	if err := s.covers(r); err != nil {
		return Identity{}, err
	}
	if err := v.inScope(s); err != nil {
		return Identity{}, err
	}
	if err := v.inTime(s); err != nil {
		return Identity{}, err
	}
	request, err := canonical(r, s, body)
	if err != nil {
		return Identity{}, err
	}

	// From here on an unknown key goes the way of a known one, to the same comparison.
	key, known := v.o.Lookup(s.accessKeyID)
	if !known || key.Secret == "" {
		key, known = v.decoy, false
	}
	digest := sha256.Sum256([]byte(request))
	toSign := strings.Join([]string{
		algorithm, s.time.Format(timeLayout), s.day + "/" + s.region + "/" + s.service + "/" + terminator,
		hex.EncodeToString(digest[:]),
	}, "\n")
	signed := v.signed(scope{key.Secret, s.day, s.region, s.service}, toSign, s.signature)
	switch {
	case !known:
		return Identity{}, refuse(UnknownKey, "unknown access key")
	case !signed:
		return Identity{}, refuse(WrongSecret, "the signature does not match")
	case !key.comesWith(s.token):
		return Identity{}, refuse(WrongToken, "the session token is not that of the access key")
	case !key.Expires.IsZero() && !v.o.Now().Before(key.Expires):
		return Identity{}, refuse(ExpiredToken, "Request has expired.")
	}
	if sum := contentHash(r); sum != nil && !(len(sum) == 1 && hmac.Equal([]byte(sum[0]), []byte(hashOf(body)))) {
		return Identity{}, refuse(WrongSecret, "X-Amz-Content-Sha256 is not the hash of the body")
	}
	return Identity{AccessKeyID: s.accessKeyID, Service: s.service, Time: s.time, Presigned: s.presigned}, nil
}

// contentHash returns what the caller says the hash of the body is; nil: nothing.
func contentHash(r *http.Request) []string {
	const name = "X-Amz-Content-Sha256"
	sums := slices.Clone(r.Header.Values(name))
	params, _ := parseQuery(r.URL.RawQuery) // canonical has read it without an error
	for _, p := range params {
		if p.name == name {
			sums = append(sums, p.value)
		}
	}
	return sums
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func (v *Verifier) inScope(s *signature) error {
	switch {
	case s.day != s.time.Format(dayLayout):
		return refuse(BadScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	case s.region != v.o.Region:
		return refuse(BadScope, fmt.Sprintf("Credential should be scoped to a valid region, not '%.40s'.", s.region))
	case !slices.Contains(v.o.Services, s.service):
		return refuse(BadScope, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", v.o.Services[0]))
	}
	return nil
}

// inTime holds the clock against the signature: a presigned one lives as long as it says, any other as long as the
// clocks may differ.
func (v *Verifier) inTime(s *signature) error {
	now := v.o.Now().UTC()
	from, until := s.time.Add(-v.o.MaxSkew), s.time.Add(v.o.MaxSkew)
	if s.presigned {
		until = s.time.Add(s.expires)
	}
	if now.Before(from) || now.After(until) {
		return refuse(Expired, fmt.Sprintf("Request has expired. Timestamp date is %s. Current date is %s.",
			s.time.Format(time.RFC3339), now.Format(time.RFC3339)))
	}
	return nil
}

// comesWith reports whether a request with that session token, "" for none, may be signed with the key.
func (k Key) comesWith(token string) bool {
	if k.Token == nil {
		return token == ""
	}
	sum := sha256.Sum256([]byte(token))
	return hmac.Equal(sum[:], k.Token)
}

// signed reports whether the signature of a text is that of the scope. A wrong one takes as long
// whether the signing key was at hand or not: a stranger does not learn whose it is. Only what was
// right is kept, so that existing secrets alone, and the few days that inTime lets pass, make scopes.
func (v *Verifier) signed(s scope, text, signature string) bool {
	k, kept := v.kept(s)
	if !kept {
		k = s.key()
	}
	if hmac.Equal([]byte(hex.EncodeToString(mac(k, text))), []byte(signature)) {
		if !kept {
			v.keep(s, k)
		}
		return true
	}
	if kept {
		s.key()
	}
	return false
}

// key makes the signing key of a scope.
func (s scope) key() []byte {
	k := []byte("AWS4" + s.secret)
	for _, part := range []string{s.day, s.region, s.service, terminator} {
		k = mac(k, part)
	}
	return k
}

func (v *Verifier) kept(s scope) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[s]
	return k, ok
}

func (v *Verifier) keep(s scope, k []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.keys) >= maxCached {
		clear(v.keys)
	}
	v.keys[s] = k
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func refuse(k Kind, reason string) *Error { return &Error{k, reason} }
