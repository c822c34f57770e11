// Package iam keeps accounts, access keys, and who may call which action.
//
// Secrets of access keys must be kept in a form that can be read, since a signature is checked by
// making it again. They are in the store, sealed with a key that is not: a copy of etcd alone
// signs nothing.
package iam

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/vpc"
)

// Administrator is the user of the access key that the first start makes. The administrator may call
// every action.
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
	k := &Keys{store: st, seal: seal}

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
		if s.Installation() == nil {
			change, err = s.Bootstrap(o.Env(), vpc.NewInstallation{Account: o.Account, Region: o.Region, ULA: ula, VPCCIDR: o.VPCCIDR})
		}
		if s.Count(vpc.KindAccessKey) == 0 {
			change.Puts = append(change.Puts, key)
		}
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
		if secret, ok := k.Lookup(string(c.ID)); !ok || secret != c.Secret {
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

// Keys looks access keys up in the newest State. It may be used by many goroutines at once.
type Keys struct {
	store Store
	seal  *seal
}

// Lookup returns the secret of an access key.
func (k *Keys) Lookup(id string) (secret string, ok bool) {
	key := k.find(id)
	if key == nil {
		return "", false
	}
	secret, err := k.seal.open(key)
	return secret, err == nil
}

// User returns the user of an access key; "" if there is no such key.
func (k *Keys) User(id string) string {
	if key := k.find(id); key != nil {
		return key.User
	}
	return ""
}

// find looks in the newest State that this server has: it may be behind another server by the time
// that a watch takes, but it never fails, which would look like a wrong key.
func (k *Keys) find(id string) *vpc.AccessKey {
	for s := range k.store.Watch(context.Background()) {
		return s.AccessKey(vpc.AccessKeyID(id))
	}
	return nil // the store is closed
}

// check opens every access key and returns the administrator's first one.
func (k *Keys) check(s *vpc.State) (credentials, error) {
	var first credentials
	for o := range s.Objects() {
		key, ok := o.(*vpc.AccessKey)
		if !ok {
			continue
		}
		secret, err := k.seal.open(key)
		if err != nil {
			return first, err
		}
		if first.ID == "" && key.User == Administrator {
			first = credentials{key.ID, secret}
		}
	}
	return first, nil
}

// Authorize refuses with UnauthorizedOperation what a user may not call.
func Authorize(user, action string) error {
	if user == Administrator && action != "" {
		return nil
	}
	return vpc.Errorf(vpc.CodeUnauthorizedOperation, "You are not authorized to perform this operation.")
}
