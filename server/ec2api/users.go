package ec2api

import (
	"cmp"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) userActions() {
	handle(a, wire.CreateUser, createUser)
	handle(a, wire.DescribeUsers, describeUsers)
	handle(a, wire.ModifyUser, modifyUser)
	handle(a, wire.DeleteUser, deleteUser)
	handle(a, wire.CreateAccessKey, createAccessKey)
	handle(a, wire.DescribeAccessKeys, describeAccessKeys)
	handle(a, wire.ModifyAccessKey, modifyAccessKey)
	handle(a, wire.DeleteAccessKey, deleteAccessKey)
	handle(a, wire.SetPassword, setPassword)
	handle(a, wire.CreateSignInToken, createSignInToken)
}

// manage is update for users and keys, which a session may not change: it would outlive itself.
func (c *call) manage(fn func(*vpc.State) (vpc.Change, error)) error {
	if c.caller.Session {
		return vpc.Errorf(vpc.CodeUnauthorizedOperation, "You are not authorized to perform this operation with session credentials.")
	}
	return c.update(fn)
}

// ownOrAdministrator refuses everybody but administrators what is about other users, and returns the
// user that is asked for: readers who name none mean themselves.
func (c *call) ownOrAdministrator(user *string) (string, error) {
	name := wire.Value(user)
	if c.caller.Role == vpc.Administrator {
		return name, nil
	}
	if name = cmp.Or(name, c.caller.User); name != c.caller.User {
		return "", c.errAdministrators()
	}
	return name, nil
}

func (c *call) errAdministrators() error {
	return vpc.Errorf(vpc.CodeUnauthorizedOperation, "You are not authorized to perform this operation.")
}

func createUser(c *call, in *wire.CreateUserRequest) (*wire.CreateUserResult, error) {
	out := &wire.CreateUserResult{}
	return out, c.manage(func(s *vpc.State) (vpc.Change, error) {
		u, change, err := s.CreateUser(c.env, vpc.NewUser{Name: wire.Value(in.UserName), Role: vpc.Role(wire.Value(in.Role))})
		if err == nil {
			out.User = user(s, u)
		}
		return change, err
	})
}

func describeUsers(c *call, in *wire.DescribeUsersRequest) (*wire.DescribeUsersResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	names := in.UserNames
	if c.caller.Role != vpc.Administrator {
		for _, name := range names {
			if name != c.caller.User {
				return nil, c.errAdministrators()
			}
		}
		names = []string{c.caller.User}
	}
	users, next, err := s.DescribeUsers(vpc.UserQuery{Names: names, Page: page(in.MaxResults, in.NextToken)})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeUsersResult{NextToken: token(next)}
	for _, u := range users {
		out.Users = append(out.Users, *user(s, u))
	}
	return out, nil
}

func modifyUser(c *call, in *wire.ModifyUserRequest) (*wire.ModifyUserResult, error) {
	want := vpc.UserChange{Role: (*vpc.Role)(in.Role), Disabled: in.Disabled}
	out := &wire.ModifyUserResult{}
	return out, c.manage(func(s *vpc.State) (vpc.Change, error) {
		u, change, err := s.ModifyUser(wire.Value(in.UserName), want)
		if err == nil {
			out.User = user(s, u)
		}
		return change, err
	})
}

func deleteUser(c *call, in *wire.DeleteUserRequest) (*wire.DeleteUserResult, error) {
	return &wire.DeleteUserResult{}, c.manage(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteUser(wire.Value(in.UserName))
	})
}

func createAccessKey(c *call, in *wire.CreateAccessKeyRequest) (*wire.CreateAccessKeyResult, error) {
	key, secret := c.Keys.NewKey(cmp.Or(wire.Value(in.UserName), c.caller.User))
	out := &wire.CreateAccessKeyResult{SecretAccessKey: new(wire.Secret(secret))}
	return out, c.manage(func(s *vpc.State) (vpc.Change, error) {
		k, change, err := s.CreateAccessKey(c.env, key)
		if err == nil {
			out.AccessKey = accessKey(k)
		}
		return change, err
	})
}

func describeAccessKeys(c *call, in *wire.DescribeAccessKeysRequest) (*wire.DescribeAccessKeysResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	name, err := c.ownOrAdministrator(in.UserName)
	if err != nil {
		return nil, err
	}
	keys, next, err := s.DescribeAccessKeys(c.env, vpc.AccessKeyQuery{
		IDs: ids[vpc.AccessKeyID](in.AccessKeyIds), User: name, Page: page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeAccessKeysResult{NextToken: token(next)}
	for _, k := range keys {
		out.AccessKeys = append(out.AccessKeys, *accessKey(k))
	}
	return out, nil
}

func modifyAccessKey(c *call, in *wire.ModifyAccessKeyRequest) (*wire.ModifyAccessKeyResult, error) {
	return &wire.ModifyAccessKeyResult{}, c.manage(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifyAccessKey(vpc.AccessKeyID(wire.Value(in.AccessKeyId)), wire.Value(in.Disabled))
	})
}

func deleteAccessKey(c *call, in *wire.DeleteAccessKeyRequest) (*wire.DeleteAccessKeyResult, error) {
	return &wire.DeleteAccessKeyResult{}, c.manage(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteAccessKey(vpc.AccessKeyID(wire.Value(in.AccessKeyId)))
	})
}

func setPassword(c *call, in *wire.SetPasswordRequest) (*wire.SetPasswordResult, error) {
	name := cmp.Or(wire.Value(in.UserName), c.caller.User)
	if _, err := c.ownOrAdministrator(&name); err != nil {
		return nil, err
	}
	var sealed []byte
	if in.Password != nil {
		var err error
		if sealed, err = c.Keys.NewPassword(c.ctx, name, string(*in.Password)); err != nil {
			return nil, err
		}
	}
	return &wire.SetPasswordResult{}, c.manage(func(s *vpc.State) (vpc.Change, error) {
		return s.SetPassword(name, sealed)
	})
}

// How long a sign-in token lasts, in seconds: also as long as whoever starts a server may take to turn to it.
const (
	minSignIn     = 60
	maxSignIn     = 43_200
	defaultSignIn = 900
)

func createSignInToken(c *call, in *wire.CreateSignInTokenRequest) (*wire.CreateSignInTokenResult, error) {
	seconds := int32(defaultSignIn)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if seconds < minSignIn || seconds > maxSignIn {
		return nil, vpc.Errorf(vpc.CodeInvalidParameterValue, "Value (%d) for parameter DurationSeconds is invalid. "+
			"Expecting a number from %d to %d.", seconds, minSignIn, maxSignIn)
	}
	stored, secret := c.Keys.NewSignInToken(c.caller)
	out := &wire.CreateSignInTokenResult{Token: new(wire.Secret(secret))}
	return out, c.manage(func(s *vpc.State) (vpc.Change, error) {
		t, change, err := s.CreateSignInToken(c.env, stored, time.Duration(seconds)*time.Second)
		if err == nil {
			out.Expiration = &t.Expires
		}
		return change, err
	})
}

func user(s *vpc.State, u *vpc.User) *wire.User {
	n := int32(0)
	for k := range s.KeysOfUser(u.Name) {
		if !k.IsSession() {
			n++
		}
	}
	return &wire.User{
		UserName: &u.Name, Created: &u.Created, Role: text(u.Role), Disabled: &u.Disabled, AccessKeys: &n,
		HasPassword: new(len(u.Password) > 0),
	}
}

func accessKey(k *vpc.AccessKey) *wire.AccessKey {
	w := &wire.AccessKey{AccessKeyId: text(k.ID), UserName: &k.User, Disabled: &k.Disabled, ParentKeyId: text(k.Parent)}
	if !k.Created.IsZero() { // keys of the first versions do not know
		w.Created = &k.Created
	}
	if k.Console != "" {
		w.ConsoleSession = new(true)
	}
	if !k.Expires.IsZero() {
		w.Expires = &k.Expires
	}
	return w
}
