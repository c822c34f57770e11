package vpc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// people is an account whose administrator has a key.
func people(t *testing.T) *account {
	t.Helper()
	a := bootstrapped(t)
	a.do(second(a.CreateUser(a.env, vpc.NewUser{Name: "admin", Role: vpc.Administrator})))
	a.do(second(a.CreateAccessKey(a.env, vpc.AccessKey{ID: "AKIA1", User: "admin"})))
	return a
}

// second leaves out what an action made.
func second[T any](_ T, c vpc.Change, err error) (vpc.Change, error) { return c, err }

// Whatever is taken away, in whatever order, an administrator with a key stays.
func TestAnAdministratorStays(t *testing.T) {
	for name, take := range map[string]func(a *account, user string, key vpc.AccessKeyID) (vpc.Change, error){
		"disable key": func(a *account, _ string, k vpc.AccessKeyID) (vpc.Change, error) { return a.ModifyAccessKey(k, true) },
		"delete key":  func(a *account, _ string, k vpc.AccessKeyID) (vpc.Change, error) { return a.DeleteAccessKey(k) },
		"disable user": func(a *account, u string, _ vpc.AccessKeyID) (vpc.Change, error) {
			return second(a.ModifyUser(u, vpc.UserChange{Disabled: new(true)}))
		},
		"delete user": func(a *account, u string, _ vpc.AccessKeyID) (vpc.Change, error) { return a.DeleteUser(u) },
		"demote user": func(a *account, u string, _ vpc.AccessKeyID) (vpc.Change, error) {
			return second(a.ModifyUser(u, vpc.UserChange{Role: new(vpc.Reader)}))
		},
	} {
		a := people(t)
		a.do(second(a.CreateUser(a.env, vpc.NewUser{Name: "reader", Role: vpc.Reader})))
		a.do(second(a.CreateAccessKey(a.env, vpc.AccessKey{ID: "AKIAR", User: "reader"})))
		a.do(second(a.CreateUser(a.env, vpc.NewUser{Name: "keyless", Role: vpc.Administrator})))
		a.do(second(a.CreateSession(a.env, vpc.AccessKey{ID: "ASIA1", User: "admin", Parent: "AKIA1"}, time.Hour)))
		if c, err := take(a, "admin", "AKIA1"); vpc.CodeOf(err) != vpc.CodeOperationNotPermitted || !c.Empty() {
			t.Errorf("%s of the only administrator with a key: %+v, %v; want OperationNotPermitted", name, c, err)
		}
		a.do(second(a.CreateAccessKey(a.env, vpc.AccessKey{ID: "AKIA2", User: "keyless"})))
		a.do(take(a, "admin", "AKIA1"))
		if _, err := take(a, "keyless", "AKIA2"); vpc.CodeOf(err) != vpc.CodeOperationNotPermitted {
			t.Errorf("%s of the other one then: %v, want OperationNotPermitted", name, err)
		}
		if got := a.Caller("ASIA1"); name != "demote user" && got != (vpc.Caller{}) {
			t.Errorf("after %s the session is of %+v", name, got)
		} else if name == "demote user" && got.Role != vpc.Reader {
			t.Errorf("after %s the session is of %+v", name, got)
		}
	}
}

func TestUserNames(t *testing.T) {
	a := people(t)
	for name, want := range map[string]vpc.Code{
		"ann": "", "A.b+c=d,e@f-g_h": "", fmt.Sprintf("%064d", 1): "",
		"": vpc.CodeInvalidParameterValue, "a b": vpc.CodeInvalidParameterValue, "a/b": vpc.CodeInvalidParameterValue,
		"ä": vpc.CodeInvalidParameterValue, "a\x00": vpc.CodeInvalidParameterValue, fmt.Sprintf("%065d", 1): vpc.CodeInvalidParameterValue,
		"ADMIN": vpc.CodeEntityAlreadyExists, "admin": vpc.CodeEntityAlreadyExists,
	} {
		if _, _, err := a.CreateUser(a.env, vpc.NewUser{Name: name, Role: vpc.Reader}); vpc.CodeOf(err) != want {
			t.Errorf("CreateUser(%q): %v, want %q", name, err, want)
		}
	}
	for role, want := range map[vpc.Role]vpc.Code{
		"": vpc.CodeMissingParameter, "root": vpc.CodeInvalidParameterValue, "Administrator": vpc.CodeInvalidParameterValue,
	} {
		if _, _, err := a.CreateUser(a.env, vpc.NewUser{Name: "ann", Role: role}); vpc.CodeOf(err) != want {
			t.Errorf("CreateUser with role %q: %v, want %q", role, err, want)
		}
		if _, _, err := a.ModifyUser("admin", vpc.UserChange{Role: &role}); vpc.CodeOf(err) != want {
			t.Errorf("ModifyUser to role %q: %v, want %q", role, err, want)
		}
	}
}

// A write takes along the sessions that ended more than an hour ago, those it deletes itself but once.
func TestForgetSessions(t *testing.T) {
	a := people(t)
	for n, lifetime := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Hour} {
		a.do(second(a.CreateSession(a.env, vpc.AccessKey{ID: vpc.AccessKeyID(fmt.Sprint("ASIA", n)), User: "admin", Parent: "AKIA1"}, lifetime)))
	}
	if c := a.ForgetSessions(a.env, vpc.Change{}); !c.Empty() {
		t.Errorf("at once %+v is forgotten", c)
	}
	a.env.Now = a.env.Now.Add(time.Hour + 90*time.Second)
	if c := a.ForgetSessions(a.env, vpc.Change{}); len(c.Deletes) != 1 || c.Deletes[0].ID != "ASIA0" {
		t.Errorf("an hour after the end of the first %+v is forgotten", c)
	}
	a.env.Now = a.env.Now.Add(time.Hour)
	own := vpc.Change{Deletes: []vpc.Key{{Kind: vpc.KindAccessKey, ID: "ASIA1"}}}
	if c := a.ForgetSessions(a.env, own); len(c.Deletes) != 2 {
		t.Errorf("with one that is deleted anyway: %+v", c)
	}
}

func TestSetQuota(t *testing.T) {
	a := bootstrapped(t)
	for _, tt := range []struct {
		name  vpc.QuotaName
		value *int
		want  vpc.Code
		now   int
	}{
		{vpc.VPCsPerRegion, new(7), "", 7},
		{vpc.VPCsPerRegion, new(0), "", 0},
		{vpc.VPCsPerRegion, new(-1), vpc.CodeInvalidParameterValue, 0},
		{vpc.VPCsPerRegion, new(1001), vpc.CodeInvalidParameterValue, 0},
		{vpc.VPCsPerRegion, nil, "", 5},
		{"", new(1), vpc.CodeInvalidParameterValue, 0},
		{vpc.RulesPerSecurityGroup, new(200), "", 200},
		{vpc.RulesPerSecurityGroup, new(201), vpc.CodeInvalidParameterValue, 200},
		{vpc.SecurityGroupsPerInterface, new(6), vpc.CodeInvalidParameterValue, 5},
	} {
		_, c, err := a.SetQuota(tt.name, tt.value)
		if vpc.CodeOf(err) != tt.want {
			t.Errorf("SetQuota(%q, %v): %v, want %q", tt.name, tt.value, err, tt.want)
			continue
		}
		a.apply(c)
		if got := a.Quota(tt.name); got != tt.now {
			t.Errorf("after SetQuota(%q, %v) it is %d, want %d", tt.name, tt.value, got, tt.now)
		}
	}
}
