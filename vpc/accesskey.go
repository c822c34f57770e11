package vpc

import (
	"iter"
	"slices"
	"time"
)

const (
	keysPerUser     = 2         // Source: IAM user guide, "IAM and AWS STS quotas"
	sessionsPerUser = 1000      // ours: a session is in the store until it ends
	sessionKept     = time.Hour // after its end: so long its user is told that it has expired
)

// KeysOfUser yields the keys and sessions of a user.
func (s *State) KeysOfUser(name string) iter.Seq[*AccessKey] {
	return via(s, keysByUser, name, func(id string) *AccessKey { return s.AccessKey(AccessKeyID(id)) })
}

// IsSession reports whether a key is that of a session, of the console or another one.
func (k *AccessKey) IsSession() bool { return k.Parent != "" || k.Console != "" }

// Usable returns an access key if it signs requests: neither it nor its user nor, of a session, what it
// was asked for with is disabled or gone. A session may have expired.
func (s *State) Usable(id AccessKeyID) *AccessKey {
	k := s.AccessKey(id)
	if k == nil || k.Disabled {
		return nil
	}
	if u := s.User(k.User); u == nil || u.Disabled {
		return nil
	}
	if k.Parent != "" {
		if p := s.AccessKey(k.Parent); p == nil || p.Disabled || p.User != k.User {
			return nil
		}
	}
	if k.Console != "" {
		if cs := s.ConsoleSession(k.Console); cs == nil || cs.User != k.User || s.consoleUser(cs.User, cs.Parent) == nil {
			return nil
		}
	}
	return k
}

// Caller returns who signs with an access key, the zero Caller if nobody does.
func (s *State) Caller(id AccessKeyID) Caller {
	k := s.Usable(id)
	if k == nil {
		return Caller{}
	}
	return Caller{User: k.User, Role: s.User(k.User).Role, Key: k.ID, Session: k.IsSession()}
}

// CreateAccessKey adds a key that was made for a user.
func (s *State) CreateAccessKey(env Env, key AccessKey) (*AccessKey, Change, error) {
	if _, err := s.findUser(key.User); err != nil {
		return nil, Change{}, err
	}
	n := 0
	for k := range s.KeysOfUser(key.User) {
		if !k.IsSession() {
			n++
		}
	}
	if n >= keysPerUser {
		return nil, Change{}, Errorf(CodeLimitExceeded, "Cannot exceed quota for AccessKeysPerUser: %d", keysPerUser)
	}
	d := s.draft()
	key.Created = env.Now
	d.put(&key)
	return &key, d.change(), nil
}

// CreateSession adds a session that was made for a caller, and ends after a time.
func (s *State) CreateSession(env Env, key AccessKey, lifetime time.Duration) (*AccessKey, Change, error) {
	n := 0
	for k := range s.KeysOfUser(key.User) {
		if k.Parent != "" && !k.Ended(env.Now) {
			n++
		}
	}
	if n >= sessionsPerUser {
		return nil, Change{}, Errorf(CodeLimitExceeded, "Cannot exceed quota for SessionsPerUser: %d", sessionsPerUser)
	}
	if s.Usable(key.Parent) == nil { // it went while the request was on its way
		return nil, Change{}, Errorf(CodeAccessDenied, "The access key %s does not work any more.", key.Parent)
	}
	d := s.draft()
	key.Created, key.Expires = env.Now, env.Now.Add(lifetime).Truncate(time.Second)
	d.put(&key)
	return &key, d.change(), nil
}

// ModifyAccessKey disables or enables a key; a session is disabled for good or deleted. Of a session of
// the console it is the session that ends: it would get another key.
func (s *State) ModifyAccessKey(id AccessKeyID, disabled bool) (Change, error) {
	d := s.draft()
	k, err := d.findKey(id)
	if err != nil {
		return Change{}, err
	}
	if k.Disabled == disabled {
		return Change{}, nil
	}
	if k.Console != "" {
		return s.EndConsoleSession(k.Console), nil
	}
	n := *k
	n.Disabled = disabled
	d.put(&n)
	if disabled { // for good: to enable the key again lets nobody in who was thrown out
		d.endConsoleOf(k)
	}
	if err := d.keepAdministrator(); err != nil {
		return Change{}, err
	}
	return d.change(), nil
}

// DeleteAccessKey removes a key and the sessions that were asked for with it. With a key of a session of the
// console that session ends.
func (s *State) DeleteAccessKey(id AccessKeyID) (Change, error) {
	d := s.draft()
	k, err := d.findKey(id)
	if err != nil {
		return Change{}, err
	}
	if k.Console != "" {
		return s.EndConsoleSession(k.Console), nil
	}
	for _, session := range slices.Collect(s.KeysOfUser(k.User)) {
		if session.Parent == id {
			d.delete(session.Key())
		}
	}
	d.endConsoleOf(k)
	d.delete(k.Key())
	if err := d.keepAdministrator(); err != nil {
		return Change{}, err
	}
	return d.change(), nil
}

func (s *State) findKey(id AccessKeyID) (*AccessKey, error) {
	if k := s.AccessKey(id); k != nil {
		return k, nil
	}
	return nil, Errorf(CodeNoSuchEntity, "The Access Key with id %s cannot be found.", id)
}

// AccessKeyQuery is what DescribeAccessKeys asks.
type AccessKeyQuery struct {
	IDs  []AccessKeyID // empty: all
	User string        // "": of all users
	Page Page
}

// DescribeAccessKeys returns keys and sessions in order of creation; sessions that have ended are none.
func (s *State) DescribeAccessKeys(env Env, q AccessKeyQuery) ([]*AccessKey, string, error) {
	var found []*AccessKey
	for _, id := range q.IDs {
		k, err := s.findKey(id)
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(found, k) {
			found = append(found, k)
		}
	}
	switch {
	case len(q.IDs) > 0:
	case q.User != "":
		if _, err := s.findUser(q.User); err != nil {
			return nil, "", err
		}
		found = slices.Collect(s.KeysOfUser(q.User))
	default:
		found = slices.Collect(s.AccessKeys())
	}
	found = slices.DeleteFunc(found, func(k *AccessKey) bool { return k.Ended(env.Now) || q.User != "" && k.User != q.User })
	return paginate(found, "access-keys", func(k *AccessKey) string { return createdKey(k.Created, k.ID) }, q.Page)
}

// Ended reports whether a session is over.
func (k *AccessKey) Ended(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// ForgetSessions adds to what is written anyway the end of sessions that ended a while ago: as many of
// them as one write may take along.
func (s *State) ForgetSessions(env Env, c Change) Change {
	last, n := sessionEnd(env.Now.Add(-sessionKept)), 0
	for _, ended := range []struct {
		index indexName
		kind  Kind
	}{
		{sessionsByEnd, KindAccessKey}, {consoleSessionsByEnd, KindConsoleSession}, {signInTokensByEnd, KindSignInToken},
	} {
		for end, id := range s.ascend(ended.index) {
			if n++; end >= last || n > sessionsPerUser {
				break
			}
			k := Key{ended.kind, id}
			if !slices.Contains(c.Deletes, k) && !slices.ContainsFunc(c.Puts, func(o Object) bool { return o.Key() == k }) {
				c.Deletes = append(c.Deletes, k)
			}
		}
	}
	return c
}

// sessionEnd is a time as the index sorts it.
func sessionEnd(t time.Time) string { return t.UTC().Format("20060102150405") }
