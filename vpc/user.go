package vpc

import (
	"slices"
	"strings"
)

// Bounds on users. Source: IAM user guide, "IAM and AWS STS quotas".
const (
	maxUsers    = 5000
	maxUserName = 64
)

// Caller is who signed a request.
type Caller struct {
	User    string
	Role    Role
	Key     AccessKeyID
	Session bool // Key is that of a session
}

// NewUser is what a user begins with.
type NewUser struct {
	Name string // up to 64 letters, digits and _+=,.@-; unique without regard to case
	Role Role
}

// CreateUser makes a user without keys.
func (s *State) CreateUser(env Env, in NewUser) (*User, Change, error) {
	if err := checkUserName(in.Name); err != nil {
		return nil, Change{}, err
	}
	if err := checkRole(in.Role); err != nil {
		return nil, Change{}, err
	}
	for u := range s.Users() {
		if strings.EqualFold(u.Name, in.Name) {
			return nil, Change{}, Errorf(CodeEntityAlreadyExists, "User with name %s already exists.", in.Name)
		}
	}
	if s.Count(KindUser) >= maxUsers {
		return nil, Change{}, Errorf(CodeLimitExceeded, "Cannot exceed quota for UsersPerAccount: %d", maxUsers)
	}
	d := s.draft()
	u := &User{Name: in.Name, Created: env.Now, Role: in.Role}
	d.put(u)
	return u, d.change(), nil
}

func checkUserName(name string) error {
	if name == "" || len(name) > maxUserName || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+=,.@-", r)
	}) {
		return Errorf(CodeInvalidParameterValue, "Value (%s) for parameter userName is invalid. "+
			"Expecting up to %d letters, digits and characters of _+=,.@-", name, maxUserName)
	}
	return nil
}

func checkRole(r Role) error {
	switch r {
	case Administrator, Reader:
		return nil
	case "":
		return Errorf(CodeMissingParameter, "The request must contain the parameter Role")
	default:
		return Errorf(CodeInvalidParameterValue, "Value (%s) for parameter role is invalid. Expecting one of: %s, %s.", r, Administrator, Reader)
	}
}

// UserChange is what ModifyUser changes; nil leaves as it is.
type UserChange struct {
	Role     *Role
	Disabled *bool
}

// ModifyUser changes a user. Keys and sessions of one that is disabled do not work, and those of the
// console have ended.
func (s *State) ModifyUser(name string, in UserChange) (*User, Change, error) {
	d := s.draft()
	u, err := d.findUser(name)
	if err != nil {
		return nil, Change{}, err
	}
	if in.Role == nil && in.Disabled == nil {
		return nil, Change{}, Errorf(CodeInvalidParameterCombination, "No attributes specified.")
	}
	n := *u
	if in.Role != nil {
		if err := checkRole(*in.Role); err != nil {
			return nil, Change{}, err
		}
		n.Role = *in.Role
	}
	if in.Disabled != nil {
		n.Disabled = *in.Disabled
	}
	if n.Role == u.Role && n.Disabled == u.Disabled {
		return u, Change{}, nil
	}
	d.put(&n)
	if n.Disabled {
		d.endConsole(name)
	}
	if err := d.keepAdministrator(); err != nil {
		return nil, Change{}, err
	}
	return &n, d.change(), nil
}

// DeleteUser removes a user with all its keys and sessions.
func (s *State) DeleteUser(name string) (Change, error) {
	d := s.draft()
	u, err := d.findUser(name)
	if err != nil {
		return Change{}, err
	}
	for _, k := range slices.Collect(s.KeysOfUser(name)) {
		d.delete(k.Key())
	}
	d.endConsole(name)
	d.delete(u.Key())
	if err := d.keepAdministrator(); err != nil {
		return Change{}, err
	}
	return d.change(), nil
}

func (s *State) findUser(name string) (*User, error) {
	if u := s.User(name); u != nil {
		return u, nil
	}
	return nil, Errorf(CodeNoSuchEntity, "The user with name %s cannot be found.", name)
}

// keepAdministrator refuses a draft after which nobody could manage the installation any more: no
// enabled administrator has an enabled key.
func (d *draft) keepAdministrator() error {
	for u := range d.Users() {
		if u.Role != Administrator || u.Disabled {
			continue
		}
		for k := range d.KeysOfUser(u.Name) {
			if !k.IsSession() && !k.Disabled {
				return nil
			}
		}
	}
	return Errorf(CodeOperationNotPermitted, "The last enabled access key of an administrator cannot be taken away.")
}

// UserQuery is what DescribeUsers asks.
type UserQuery struct {
	Names []string // empty: all
	Page  Page
}

// DescribeUsers returns users in order of creation.
func (s *State) DescribeUsers(q UserQuery) ([]*User, string, error) {
	var found []*User
	for _, name := range q.Names {
		u, err := s.findUser(name)
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(found, u) {
			found = append(found, u)
		}
	}
	if len(q.Names) == 0 {
		found = slices.Collect(s.Users())
	}
	return paginate(found, "users", func(u *User) string { return createdKey(u.Created, u.Name) }, q.Page)
}

// AdoptUsers makes a user of every name that has keys, and no User yet: up to now there was one, who
// might do everything.
func (s *State) AdoptUsers(env Env) Change {
	d := s.draft()
	for k := range s.AccessKeys() {
		if d.User(k.User) == nil {
			d.put(&User{Name: k.User, Created: env.Now, Role: Administrator})
		}
	}
	return d.change()
}
