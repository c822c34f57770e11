package iam

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"github.com/sallyport/sallyport/vpc"
)

// How passwords are hashed. Source: RFC 9106 (argon2id); OWASP, "Password Storage Cheat Sheet".
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashBytes   = 32
	saltBytes   = 16
)

// Bounds on passwords.
const (
	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// hash is what is kept of a password, with all that it takes to make it again.
type hash struct {
	Salt, Sum    []byte
	Memory, Time uint32 // KiB, passes
	Threads      uint8
}

func newHash(password string) hash {
	h := hash{Salt: make([]byte, saltBytes), Memory: hashMemory, Time: hashTime, Threads: hashThreads}
	rand.Read(h.Salt)
	h.Sum = argon2.IDKey([]byte(password), h.Salt, h.Time, h.Memory, h.Threads, hashBytes)
	return h
}

func (h hash) matches(password string) bool {
	sum := argon2.IDKey([]byte(password), h.Salt, h.Time, h.Memory, h.Threads, hashBytes)
	return subtle.ConstantTimeCompare(sum, h.Sum) == 1
}

// hashing lets few passwords be hashed at a time: each takes 19 MiB, and a core for some 20 ms.
var hashing = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

// inTurn does something that hashes, unless ctx ends before it is its turn.
func inTurn(ctx context.Context, do func() error) error {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return do()
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn to hash a password: %w", ctx.Err())
	}
}

// normal returns a password in the form that is hashed: the same, however a keyboard composes characters.
// Source: RFC 8265, section 4.2 (OpaqueString).
func normal(password string) (string, error) {
	if len(password) > maxPassword || !utf8.ValidString(password) {
		return "", errors.New("it is too long, or no text")
	}
	return precis.OpaqueString.String(password)
}

// NewPassword hashes and seals a password for a user. It is refused with InvalidParameterValue if it is too
// short, too long, or has characters that nobody can type.
func (k *Keys) NewPassword(ctx context.Context, user, password string) (sealed []byte, err error) {
	text, err := normal(password)
	if err != nil || utf8.RuneCountInString(text) < minPassword {
		return nil, vpc.Errorf(vpc.CodeInvalidParameterValue,
			"The password is invalid. Expecting at least %d characters, at most %d bytes, and no control characters.", minPassword, maxPassword)
	}
	err = inTurn(ctx, func() error {
		sealed, err = k.seal.password(user, text)
		return err
	})
	return sealed, err
}

// password returns what to store of a password of a user.
func (s *seal) password(user, text string) ([]byte, error) {
	kept, err := json.Marshal(newHash(text))
	if err != nil {
		return nil, fmt.Errorf("keep the hash of a password: %w", err)
	}
	return s.aead.Seal(nil, nil, kept, boundPassword(user)), nil
}

// boundPassword is what a sealed password is good for: it is no other user's, and no key's secret.
func boundPassword(user string) []byte { return []byte("password\x00" + user) }

// CheckPassword returns the sealed password of a user, if it is the given one. Else it is refused with
// AuthFailure, whose message is for the audit log alone: that there is no such user, that the user is disabled
// or has no password takes as long to find as that the password is wrong.
//
// The State is asked for, and may, which can refuse to look, when it is the caller's turn.
func (k *Keys) CheckPassword(ctx context.Context, user, password string, may func() error) (sealed []byte, err error) {
	text, unfit := normal(password)
	err = inTurn(ctx, func() error {
		if err := may(); err != nil {
			return err
		}
		s, err := k.store.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		of, kept, reason := user, k.decoyPassword, "The password is wrong."
		switch u := s.User(user); {
		case u == nil:
			of, reason = "", "There is no such user."
		case len(u.Password) == 0:
			of, reason = "", "The user has no password."
		case u.Disabled:
			of, reason = "", "The user is disabled."
		default:
			kept = u.Password
		}
		opened, err := k.seal.aead.Open(nil, nil, kept, boundPassword(of))
		if err != nil {
			return fmt.Errorf("the password of user %s was not sealed with %s", user, k.seal.file)
		}
		var h hash
		if err := json.Unmarshal(opened, &h); err != nil {
			return fmt.Errorf("read the hash of a password: %w", err)
		}
		if !h.matches(text) || of == "" || unfit != nil {
			return vpc.Errorf(vpc.CodeAuthFailure, "%s", reason)
		}
		sealed = kept
		return nil
	})
	return sealed, err
}
