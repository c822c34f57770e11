// Package iam keeps accounts, access keys, and who may call which action.
//
// Secrets of access keys must be kept in a form that can be read, since a signature is checked by
// making it again. They are in the store, sealed with a key that is not: a copy of etcd alone
// signs nothing.
package iam

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/server/ec2api/sigv4"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// Administrator is the user that the first start makes, with an access key.
const Administrator = "admin"

// Store is what this package needs of the store.
type Store interface {
	Read(context.Context) (*vpc.State, error)
	Update(context.Context, func(*vpc.State) (vpc.Change, error)) (int64, error)
	// Watch yields the newest State at once.
	Watch(context.Context) iter.Seq[*vpc.State]
}

// Options of Bootstrap.
type Options struct {
	Dir     string // data directory: secret.key and credentials are in it; made if missing
	Account vpc.AccountID
	Region  string
	VPCCIDR netip.Prefix   // of the default VPC; zero: 172.31.0.0/16
	Env     func() vpc.Env // clock and ids of what the first start makes
	Log     *slog.Logger   // nil: discard
}

// Bootstrap writes what every installation begins with, if it is not there: the Installation with the
// default VPC, the administrator's access key, and below Dir the key that seals secrets and the
// administrator's credentials, in the format of AWS's shared credentials file. It may be called at
// every start, and by several servers at once.
func Bootstrap(ctx context.Context, st Store, o Options) (*Keys, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	s, err := st.Read(ctx)
	if err != nil {
		return nil, err
	}
	seal, err := openSeal(filepath.Join(o.Dir, "secret.key"), s.Count(vpc.KindAccessKey) == 0)
	if err != nil {
		return nil, err
	}
	k, err := newKeys(st, seal)
	if err != nil {
		return nil, err
	}

	file := filepath.Join(o.Dir, "credentials")
	c, err := readCredentials(file)
	missing := errors.Is(err, os.ErrNotExist)
	if err != nil && !missing && s.Count(vpc.KindAccessKey) == 0 {
		return nil, err // afterwards it is the user's: for more profiles, say
	}
	if missing {
		c = newCredentials()
	}
	ula := newULA()
	key := seal.accessKey(c, Administrator)
	if _, err := st.Update(ctx, func(s *vpc.State) (change vpc.Change, err error) {
		env := o.Env()
		if s.Installation() == nil {
			change, err = s.Bootstrap(env, vpc.NewInstallation{Account: o.Account, Region: o.Region, ULA: ula, VPCCIDR: o.VPCCIDR})
		}
		if s.Count(vpc.KindAccessKey) == 0 {
			key.Created = env.Now
			change.Puts = append(change.Puts, key)
			s = s.Apply(vpc.Change{Puts: []vpc.Object{key}}, s.Revision())
		}
		change.Puts = append(change.Puts, s.AdoptUsers(env).Puts...)
		return change, err
	}); err != nil {
		return nil, fmt.Errorf("write the first state: %w", err)
	}

	if s, err = st.Read(ctx); err != nil {
		return nil, err
	}
	warnOfBlock(o, s)
	first, err := k.check(s)
	switch {
	case err != nil:
		return nil, err
	case missing:
		if err := writeCredentials(file, first); err != nil {
			return nil, err
		}
	case c.ID != "":
		if key, ok := k.Lookup(string(c.ID)); !ok || key.Secret != c.Secret {
			o.Log.Warn("the credentials file names a key that does not exist: remove the file to get the administrator's again", "file", file)
		}
	}
	return k, nil
}

// warnOfBlock says that the block of the default VPC is not what was asked for now: it was chosen at the
// first start, or the VPC was made again since.
func warnOfBlock(o Options, s *vpc.State) {
	v := s.VPC(s.Installation().DefaultVPC)
	if v == nil || !o.VPCCIDR.IsValid() || v.CIDRs[0].CIDR == o.VPCCIDR {
		return
	}
	o.Log.Warn("the default VPC has another block than was asked for: the block is chosen at the first start",
		"vpc", v.ID, "block", v.CIDRs[0].CIDR.String(), "asked", o.VPCCIDR.String())
}

// Keys looks access keys up in the newest State, and makes new ones. It may be used by many goroutines
// at once.
type Keys struct {
	store Store
	seal  *seal
	decoy *vpc.AccessKey // of nobody

	decoyPassword []byte // of the user ""
}

func newKeys(st Store, s *seal) (*Keys, error) {
	password, err := s.password("", rand.Text())
	if err != nil {
		return nil, err
	}
	return &Keys{st, s, s.accessKey(newCredentials(), Administrator), password}, nil
}

// Lookup returns what an access key signs with. One that does not exist, or does not work, takes as
// long.
func (k *Keys) Lookup(id string) (sigv4.Key, bool) {
	s := k.Newest()
	key := s.Usable(vpc.AccessKeyID(id))
	known := key != nil
	if !known {
		key = k.decoy
		s.User(key.User)
	}
	secret, err := k.seal.open(key)
	if err != nil || !known {
		return sigv4.Key{}, false
	}
	return sigv4.Key{Secret: secret, Token: key.Token, Expires: key.Expires}, true
}

// Caller returns who signs with an access key, the zero Caller if nobody does.
func (k *Keys) Caller(id vpc.AccessKeyID) vpc.Caller { return k.Newest().Caller(id) }

// Newest returns the newest State that this server has: it may be behind another server by the time that a
// watch takes, but looking never fails, which would look like a wrong key.
func (k *Keys) Newest() *vpc.State {
	for s := range k.store.Watch(context.Background()) {
		return s
	}
	return new(vpc.State) // the store is closed
}

// NewKey makes an access key for a user, and its secret. It is not stored yet.
func (k *Keys) NewKey(user string) (key vpc.AccessKey, secret string) {
	c := newCredentials()
	return *k.seal.accessKey(c, user), c.Secret
}

// NewSession makes the access key of a session that was asked for with another key, its secret, and
// its token of at least so many bytes. It is not stored yet.
func (k *Keys) NewSession(caller vpc.Caller, tokenBytes int) (key vpc.AccessKey, secret, token string) {
	key, secret, token = k.newSession(caller.User, tokenBytes)
	key.Parent = caller.Key
	return key, secret, token
}

// NewConsoleKey makes an access key for a session of the console, its secret and its token. It is not stored
// yet.
func (k *Keys) NewConsoleKey(user string) (key vpc.AccessKey, secret, token string) {
	return k.newSession(user, 0)
}

func (k *Keys) newSession(user string, tokenBytes int) (key vpc.AccessKey, secret, token string) {
	c := newCredentials()
	c.ID = "ASIA" + c.ID[4:]
	random := make([]byte, max(48, (tokenBytes+3)/4*3))
	rand.Read(random)
	token = base64.StdEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(token))
	key = *k.seal.accessKey(c, user)
	key.Token = sum[:]
	return key, c.Secret, token
}

// NewSignInToken makes a token that signs a caller in to the console. It is not stored yet.
func (k *Keys) NewSignInToken(caller vpc.Caller) (stored vpc.SignInToken, token string) {
	token = rand.Text() + rand.Text() // 260 bits
	return vpc.SignInToken{ID: SignInTokenID(token), User: caller.User, Parent: caller.Key}, token
}

// NewConsoleSession makes what a browser knows its session by, and the session's id.
func (k *Keys) NewConsoleSession() (id vpc.ConsoleSessionID, cookie string) {
	cookie = rand.Text() + rand.Text()
	return ConsoleSessionID(cookie), cookie
}

// SignInTokenID returns the id of a token: what is in the store signs nobody in.
func SignInTokenID(token string) vpc.SignInTokenID { return vpc.SignInTokenID(hashed(token)) }

// ConsoleSessionID returns the id of the session of a cookie: what is in the store is no cookie.
func ConsoleSessionID(cookie string) vpc.ConsoleSessionID {
	return vpc.ConsoleSessionID(hashed(cookie))
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// check opens every access key and returns the administrator's first one that works.
func (k *Keys) check(s *vpc.State) (credentials, error) {
	var first credentials
	for key := range s.AccessKeys() {
		secret, err := k.seal.open(key)
		if err != nil {
			return first, err
		}
		if c := s.Caller(key.ID); first.ID == "" && c.Role == vpc.Administrator && !c.Session {
			first = credentials{key.ID, secret}
		}
	}
	return first, nil
}

// Authorize refuses with UnauthorizedOperation what a caller may not call: an administrator may call
// everything, a reader what changes nothing. Who one is and a session of one's own need no right, and any
// role lets its users sign in to the console and change their own passwords; for whom, the action checks. What
// is not known, the role or the operation, is refused.
func Authorize(c vpc.Caller, op *wire.Operation) error {
	switch {
	case op == nil || c.User == "":
	case op.Service == &wire.STS:
		return nil
	case c.Role == vpc.Administrator:
		return nil
	case c.Role == vpc.Reader && (!op.Changes() || op == wire.CreateSignInToken.Operation || op == wire.SetPassword.Operation):
		return nil
	}
	return vpc.Errorf(vpc.CodeUnauthorizedOperation, "You are not authorized to perform this operation.")
}
