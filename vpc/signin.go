package vpc

import (
	"bytes"
	"iter"
	"slices"
	"time"
)

// How long people are signed in to the console.
const (
	consoleIdle = 2 * time.Hour    // without a renewal
	consoleMost = 12 * time.Hour   // whatever is renewed. Source: AWS Sign-In user guide, "Sign out of the AWS Management Console"
	consoleKeys = 15 * time.Minute // that a page signs with
)

// Bounds, since all of it is in the store until it ends. Beyond them the oldest goes.
const (
	consoleSessionsPerUser = 32
	keysPerConsoleSession  = 32 // each tab has one
	signInTokensPerUser    = 100
)

func (s *State) consoleSessionsOf(user string) iter.Seq[*ConsoleSession] {
	return via(s, consoleSessionsByUser, user, func(id string) *ConsoleSession { return s.ConsoleSession(ConsoleSessionID(id)) })
}

func (s *State) signInTokensOf(user string) iter.Seq[*SignInToken] {
	return via(s, signInTokensByUser, user, func(id string) *SignInToken { return s.SignInToken(SignInTokenID(id)) })
}

func (s *State) keysOfConsoleSession(id ConsoleSessionID) iter.Seq[*AccessKey] {
	return via(s, keysByConsoleSession, string(id), func(id string) *AccessKey { return s.AccessKey(AccessKeyID(id)) })
}

// consoleUser returns the user who may go on with what began with a key, "" for a password; nil if
// neither may.
func (s *State) consoleUser(name string, parent AccessKeyID) *User {
	u := s.User(name)
	if u == nil || u.Disabled {
		return nil
	}
	if parent != "" {
		if k := s.Usable(parent); k == nil || k.User != name {
			return nil
		}
	}
	return u
}

// UsableConsoleSession returns a session of the console that goes on, or nil.
func (s *State) UsableConsoleSession(env Env, id ConsoleSessionID) *ConsoleSession {
	cs := s.ConsoleSession(id)
	if cs == nil || !env.Now.Before(cs.Expires) || s.consoleUser(cs.User, cs.Parent) == nil {
		return nil
	}
	return cs
}

// UsableSignInToken returns a token that still signs its user in, or nil.
func (s *State) UsableSignInToken(env Env, id SignInTokenID) *SignInToken {
	t := s.SignInToken(id)
	if t == nil || !env.Now.Before(t.Expires) || s.consoleUser(t.User, t.Parent) == nil {
		return nil
	}
	return t
}

// CreateSignInToken adds a token that was made for a caller, and ends after a time. Of as many as may be
// the one that ends first goes: whoever starts dev again and again must not be left without a link.
func (s *State) CreateSignInToken(env Env, token SignInToken, lifetime time.Duration) (*SignInToken, Change, error) {
	if s.consoleUser(token.User, token.Parent) == nil || token.Parent == "" { // it went while the request was on its way
		return nil, Change{}, Errorf(CodeAccessDenied, "The access key %s does not work any more.", token.Parent)
	}
	d := s.draft()
	if all := slices.Collect(s.signInTokensOf(token.User)); len(all) >= signInTokensPerUser {
		d.delete(slices.MinFunc(all, func(a, b *SignInToken) int { return a.Expires.Compare(b.Expires) }).Key())
	}
	token.Created, token.Expires = env.Now, env.Now.Add(lifetime).Truncate(time.Second)
	d.put(&token)
	return &token, d.change(), nil
}

// SetPassword gives a user another password, as it was sealed, or with nil none, and ends all that the
// user is signed in with, and could sign in with, to the console.
func (s *State) SetPassword(name string, sealed []byte) (Change, error) {
	d := s.draft()
	u, err := d.findUser(name)
	if err != nil {
		return Change{}, err
	}
	n := *u
	n.Password = sealed
	d.put(&n)
	d.endConsole(name)
	return d.change(), nil
}

// endConsole ends a user's sessions of the console with their keys, and the tokens for new ones.
func (d *draft) endConsole(name string) {
	for _, cs := range slices.Collect(d.consoleSessionsOf(name)) {
		d.endConsoleSession(cs.ID)
	}
	for _, t := range slices.Collect(d.signInTokensOf(name)) {
		d.delete(t.Key())
	}
}

// endConsoleOf ends the sessions of the console, and the tokens for new ones, that began with a key.
func (d *draft) endConsoleOf(k *AccessKey) {
	for _, cs := range slices.Collect(d.consoleSessionsOf(k.User)) {
		if cs.Parent == k.ID {
			d.endConsoleSession(cs.ID)
		}
	}
	for _, t := range slices.Collect(d.signInTokensOf(k.User)) {
		if t.Parent == k.ID {
			d.delete(t.Key())
		}
	}
}

func (d *draft) endConsoleSession(id ConsoleSessionID) {
	for _, k := range slices.Collect(d.keysOfConsoleSession(id)) {
		d.delete(k.Key())
	}
	d.delete(Key{KindConsoleSession, string(id)})
}

// SignIn is how somebody signs in to the console.
type SignIn struct {
	Session  ConsoleSessionID // to begin
	Replaces ConsoleSessionID // that the same browser had, "" if none: it ends
	Key      AccessKey        // the first of the session, made for its user
	Token    SignInTokenID    // that is used up, or "" for
	Password []byte           // the sealed password that was found right
}

// SignIn begins a session of the console. It is refused with AuthFailure if what was right a moment ago
// is not any more: of two that use one token, one does.
func (s *State) SignIn(env Env, in SignIn) (*ConsoleSession, *AccessKey, Change, error) {
	d := s.draft()
	cs := &ConsoleSession{ID: in.Session, User: in.Key.User, Created: env.Now}
	if in.Token != "" {
		t := s.UsableSignInToken(env, in.Token)
		if t == nil || t.User != in.Key.User {
			return nil, nil, Change{}, Errorf(CodeAuthFailure, "The sign-in token has been used, or it has ended.")
		}
		cs.Parent = t.Parent
		d.delete(t.Key())
	} else if u := s.consoleUser(in.Key.User, ""); u == nil || len(u.Password) == 0 || !bytes.Equal(u.Password, in.Password) {
		return nil, nil, Change{}, Errorf(CodeAuthFailure, "The password has just been changed, or the user.")
	}
	if in.Replaces != "" {
		d.endConsoleSession(in.Replaces)
	}
	d.makeRoom(cs.User)
	cs.Until = env.Now.Add(consoleMost).Truncate(time.Second)
	k := d.renew(env, cs, in.Key)
	return d.ConsoleSession(cs.ID), k, d.change(), nil
}

// makeRoom ends the session of a user that was not renewed for longest, if there are as many as may be.
func (d *draft) makeRoom(user string) {
	all := slices.Collect(d.consoleSessionsOf(user))
	if len(all) >= consoleSessionsPerUser {
		oldest := slices.MinFunc(all, func(a, b *ConsoleSession) int { return a.Expires.Compare(b.Expires) })
		d.endConsoleSession(oldest.ID)
	}
}

// RenewConsoleSession gives a session another key, and lets it go on. It is refused with AuthFailure if it
// has ended.
func (s *State) RenewConsoleSession(env Env, id ConsoleSessionID, key AccessKey) (*ConsoleSession, *AccessKey, Change, error) {
	cs := s.UsableConsoleSession(env, id)
	if cs == nil || cs.User != key.User {
		return nil, nil, Change{}, Errorf(CodeAuthFailure, "The session has ended.")
	}
	d := s.draft()
	k := d.renew(env, cs, key)
	return d.ConsoleSession(id), k, d.change(), nil
}

// renew puts a session that goes on, and a key of it.
func (d *draft) renew(env Env, cs *ConsoleSession, key AccessKey) *AccessKey {
	n := *cs
	n.Expires = earlier(env.Now.Add(consoleIdle).Truncate(time.Second), cs.Until)
	d.put(&n)
	keys := slices.Collect(d.keysOfConsoleSession(cs.ID))
	if len(keys) >= keysPerConsoleSession {
		oldest := slices.MinFunc(keys, func(a, b *AccessKey) int { return a.Expires.Compare(b.Expires) })
		d.delete(oldest.Key())
	}
	key.Console, key.Parent = cs.ID, ""
	key.Created, key.Expires = env.Now, earlier(env.Now.Add(consoleKeys).Truncate(time.Second), cs.Until)
	d.put(&key)
	return &key
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// EndConsoleSession ends a session with its keys. One that is not there changes nothing.
func (s *State) EndConsoleSession(id ConsoleSessionID) Change {
	d := s.draft()
	d.endConsoleSession(id)
	return d.change()
}
