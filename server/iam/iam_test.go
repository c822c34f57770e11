package iam_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

func options(dir string) iam.Options {
	return iam.Options{
		Dir: dir, Account: storetest.Account, Region: storetest.Region,
		Env: func() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} },
	}
}

func bootstrap(t *testing.T, st *store.Store, o iam.Options) *iam.Keys {
	t.Helper()
	k, err := iam.Bootstrap(t.Context(), st, o)
	if err != nil {
		t.Fatalf("Bootstrap: %v", err)
	}
	return k
}

var credentialsFile = regexp.MustCompile(`^\[default\]\naws_access_key_id = (AKIA[A-Z2-7]{16})\naws_secret_access_key = ([A-Za-z0-9+/]{40})\n$`)

func readFile(t *testing.T, file string) string {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("%s has mode %v, want 0600", file, info.Mode())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBootstrap(t *testing.T) {
	st, dir := storetest.New(t), filepath.Join(t.TempDir(), "data")
	o := options(dir)
	o.VPCCIDR = netip.MustParsePrefix("10.9.0.0/16")
	keys := bootstrap(t, st, o)

	text := readFile(t, filepath.Join(dir, "credentials"))
	readFile(t, filepath.Join(dir, "secret.key"))
	m := credentialsFile.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("credentials are %q", text)
	}
	id, secret := m[1], m[2]
	if got, ok := keys.Lookup(id); !ok || got.Secret != secret {
		t.Errorf("Lookup(%s) = %q, %v; want the secret of the file", id, got, ok)
	}
	if got, want := keys.Caller(vpc.AccessKeyID(id)), (vpc.Caller{User: iam.Administrator, Role: vpc.Administrator, Key: vpc.AccessKeyID(id)}); got != want {
		t.Errorf("Caller(%s) = %+v, want %+v", id, got, want)
	}
	for _, unknown := range []string{"", "AKIA", strings.ToLower(id)} {
		if got, ok := keys.Lookup(unknown); ok || got.Secret != "" {
			t.Errorf("Lookup(%q) = %+v, %v; want nothing", unknown, got, ok)
		}
		if got := keys.Caller(vpc.AccessKeyID(unknown)); got != (vpc.Caller{}) {
			t.Errorf("Caller(%q) = %+v, want nobody", unknown, got)
		}
	}

	s, err := st.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := s.Installation()
	if in.Account != storetest.Account || in.Region != storetest.Region || in.ULA.Bits() != 48 || in.ULA.Addr().As16()[0] != 0xfd || in.ULA != in.ULA.Masked() {
		t.Errorf("the installation is %+v", in)
	}
	if v := s.VPC(in.DefaultVPC); v == nil || v.CIDRs[0].CIDR != o.VPCCIDR {
		t.Errorf("the default VPC is %+v, want one with %v", v, o.VPCCIDR)
	}
	if sealed := s.AccessKey(vpc.AccessKeyID(id)).Sealed; bytes.Contains(sealed, []byte(secret)) || len(sealed) < 40+12+16 {
		t.Errorf("the secret is in the store as %q", sealed)
	}

	// Every later start finds it done, and gives the credentials again if they were lost.
	if err := os.Remove(filepath.Join(dir, "credentials")); err != nil {
		t.Fatal(err)
	}
	keys = bootstrap(t, st, options(dir))
	if got := readFile(t, filepath.Join(dir, "credentials")); got != text {
		t.Errorf("the credentials written again are\n%s\nwant\n%s", got, text)
	}
	if got, ok := keys.Lookup(id); !ok || got.Secret != secret {
		t.Errorf("after a second start Lookup(%s) = %q, %v", id, got, ok)
	}
	again, err := st.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.Revision() != s.Revision() {
		t.Errorf("the second start wrote revision %d after %d", again.Revision(), s.Revision())
	}
}

// Several servers that start together on one directory, as after a copy of secret.key, make one
// installation.
func TestBootstrapTogether(t *testing.T) {
	endpoints, dir := storetest.Etcd(t), t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		st := storetest.Start(t, store.Options{Endpoints: endpoints})
		wg.Go(func() {
			if _, err := iam.Bootstrap(t.Context(), st, options(dir)); err != nil {
				t.Errorf("Bootstrap: %v", err)
			}
		})
	}
	wg.Wait()
	st := storetest.Start(t, store.Options{Endpoints: endpoints})
	s, err := st.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Count(vpc.KindAccessKey) != 1 || s.Count(vpc.KindVPC) != 1 {
		t.Errorf("there are %d access keys and %d VPCs, want one each", s.Count(vpc.KindAccessKey), s.Count(vpc.KindVPC))
	}
	m := credentialsFile.FindStringSubmatch(readFile(t, filepath.Join(dir, "credentials")))
	if m == nil || s.AccessKey(vpc.AccessKeyID(m[1])) == nil {
		t.Errorf("the credentials %q are of no key in the store", m)
	}
}

// A store without keys takes up the credentials that are there: another etcd, the same directory.
func TestBootstrapTakesUpCredentials(t *testing.T) {
	dir := t.TempDir()
	bootstrap(t, storetest.New(t), options(dir))
	text := readFile(t, filepath.Join(dir, "credentials"))
	m := credentialsFile.FindStringSubmatch(text)
	keys := bootstrap(t, storetest.New(t), options(dir))
	if got, ok := keys.Lookup(m[1]); !ok || got.Secret != m[2] {
		t.Errorf("Lookup(%s) = %q, %v; want %q", m[1], got, ok, m[2])
	}
	if got := readFile(t, filepath.Join(dir, "credentials")); got != text {
		t.Errorf("the credentials became\n%s\nwant\n%s", got, text)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	write := func(file, text string, mode os.FileMode) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			file := filepath.Join(dir, file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	key := strings.Repeat("ab", 32)
	for name, tt := range map[string]struct {
		fresh  bool // there are no keys in the store yet
		change func(t *testing.T, dir string)
		want   string
	}{
		"key others may read":      {true, write("secret.key", key, 0o640), "has mode 0640"},
		"key too short":            {true, write("secret.key", "abcd", 0o600), "does not hold 64 hex digits"},
		"foreign credentials":      {true, write("credentials", "[default]\n", 0o600), "was not written by this program"},
		"credentials others write": {true, write("credentials", "[default]\n", 0o622), "has mode 0622"},
		"another key":              {false, write("secret.key", key, 0o600), "was not sealed with"},
		"no key": {false, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "secret.key")); err != nil {
				t.Fatal(err)
			}
		}, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			st, dir := storetest.New(t), t.TempDir()
			if !tt.fresh {
				bootstrap(t, st, options(dir))
			}
			tt.change(t, dir)
			before, err := st.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := iam.Bootstrap(t.Context(), st, options(dir)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			after, err := st.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if after.Revision() != before.Revision() {
				t.Errorf("it wrote revision %d after %d", after.Revision(), before.Revision())
			}
		})
	}
}

// A sealed secret that is moved to another id or user opens for nobody.
func TestAnotherBlockIsTold(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	o := options(dir)
	bootstrap(t, st, o)
	for block, warned := range map[string]bool{"172.31.0.0/16": false, "10.9.0.0/16": true} {
		var log strings.Builder
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.VPCCIDR = netip.MustParsePrefix(block)
		bootstrap(t, st, o)
		if got := strings.Contains(log.String(), "the block is chosen at the first start"); got != warned {
			t.Errorf("asked for %s: warned %t, want %t: %s", block, got, warned, log.String())
		}
	}
}

func TestSealedSecretIsBound(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	keys := bootstrap(t, st, options(dir))
	m := credentialsFile.FindStringSubmatch(readFile(t, filepath.Join(dir, "credentials")))
	for _, moved := range []vpc.AccessKey{{ID: "AKIAAAAAAAAAAAAAAAAA", User: iam.Administrator}, {ID: vpc.AccessKeyID(m[1]), User: "mallory"}} {
		if _, err := st.Update(t.Context(), func(s *vpc.State) (vpc.Change, error) {
			moved.Sealed = s.AccessKey(vpc.AccessKeyID(m[1])).Sealed
			return vpc.Change{Puts: []vpc.Object{&moved}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if got, ok := keys.Lookup(string(moved.ID)); ok || got.Secret != "" {
			t.Errorf("Lookup(%s) of %s = %+v, %v; want nothing", moved.ID, moved.User, got, ok)
		}
	}
}

// The user may keep more profiles in the file: it is read only when it would be taken up.
func TestCredentialsMayBeEdited(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	bootstrap(t, st, options(dir))
	edited := "[default]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n[other]\n"
	if err := os.WriteFile(filepath.Join(dir, "credentials"), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	bootstrap(t, st, options(dir))
	if got := readFile(t, filepath.Join(dir, "credentials")); got != edited {
		t.Errorf("the file became\n%s\nwant\n%s", got, edited)
	}
}

// Of the operations that are described, a reader may call those that change nothing, an administrator
// all, anybody else those of STS.
func TestAuthorize(t *testing.T) {
	for _, op := range wire.Operations {
		for role, want := range map[vpc.Role]bool{
			vpc.Administrator: true,
			vpc.Reader: !op.Changes() || op == wire.GetSessionToken.Operation ||
				op == wire.CreateSignInToken.Operation || op == wire.SetPassword.Operation,
			"":              op.Service == &wire.STS,
			"Administrator": op.Service == &wire.STS,
		} {
			err := iam.Authorize(vpc.Caller{User: "u", Role: role}, op)
			if (err == nil) != want || err != nil && vpc.CodeOf(err) != vpc.CodeUnauthorizedOperation {
				t.Errorf("role %q, %s: %v, want allowed: %t", role, op.Name, err, want)
			}
		}
		if iam.Authorize(vpc.Caller{Role: vpc.Administrator}, op) == nil {
			t.Errorf("%s is allowed to nobody", op.Name)
		}
	}
	if iam.Authorize(vpc.Caller{User: "u", Role: vpc.Administrator}, nil) == nil {
		t.Error("an unknown operation is allowed")
	}
}

// A data directory of before there were users: its key's user is an administrator.
func TestKeysWithoutUsersAreAdopted(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	keys := bootstrap(t, st, options(dir))
	m := credentialsFile.FindStringSubmatch(readFile(t, filepath.Join(dir, "credentials")))
	if _, err := st.Update(t.Context(), func(*vpc.State) (vpc.Change, error) {
		return vpc.Change{Deletes: []vpc.Key{{Kind: vpc.KindUser, ID: iam.Administrator}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if got, ok := keys.Lookup(m[1]); ok {
		t.Errorf("without its user the key opens %+v", got)
	}
	keys = bootstrap(t, st, options(dir))
	if got := keys.Caller(vpc.AccessKeyID(m[1])); got.Role != vpc.Administrator || got.User != iam.Administrator {
		t.Errorf("after another start the key is of %+v", got)
	}
	if got, ok := keys.Lookup(m[1]); !ok || got.Secret != m[2] {
		t.Errorf("Lookup = %+v, %v", got, ok)
	}
}

// What Lookup says follows key, parent and user at once.
func TestLookupFollowsTheState(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	keys := bootstrap(t, st, options(dir))
	env := func() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} }
	update := func(fn func(*vpc.State) (vpc.Change, error)) {
		t.Helper()
		if _, err := st.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	key, secret := keys.NewKey("ann")
	session, sessionSecret, token := keys.NewSession(vpc.Caller{User: "ann", Key: key.ID}, 100)
	if len(token) < 100 || len(token) > 103 || secret == sessionSecret || !strings.HasPrefix(string(session.ID), "ASIA") {
		t.Errorf("NewSession = %+v with a token of %d bytes", session, len(token))
	}
	update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.CreateUser(env(), vpc.NewUser{Name: "ann", Role: vpc.Reader})
		return c, err
	})
	update(func(s *vpc.State) (vpc.Change, error) { _, c, err := s.CreateAccessKey(env(), key); return c, err })
	update(func(s *vpc.State) (vpc.Change, error) {
		_, c, err := s.CreateSession(env(), session, time.Hour)
		return c, err
	})
	want := func(step string, keyWorks, sessionWorks bool) {
		t.Helper()
		if got, ok := keys.Lookup(string(key.ID)); ok != keyWorks || ok && got.Secret != secret {
			t.Errorf("%s: the key works: %t, want %t", step, ok, keyWorks)
		}
		if got, ok := keys.Lookup(string(session.ID)); ok != sessionWorks || ok && (got.Secret != sessionSecret || got.Expires.IsZero() || got.Token == nil) {
			t.Errorf("%s: the session works: %t, want %t", step, ok, sessionWorks)
		}
	}
	want("made", true, true)
	disableUser := func(yes bool) {
		update(func(s *vpc.State) (vpc.Change, error) {
			_, c, err := s.ModifyUser("ann", vpc.UserChange{Disabled: &yes})
			return c, err
		})
	}
	disableUser(true)
	want("user disabled", false, false)
	disableUser(false)
	want("user enabled", true, true)
	update(func(s *vpc.State) (vpc.Change, error) { return s.ModifyAccessKey(key.ID, true) })
	want("key disabled", false, false)
	update(func(s *vpc.State) (vpc.Change, error) { return s.ModifyAccessKey(key.ID, false) })
	update(func(s *vpc.State) (vpc.Change, error) { return s.ModifyAccessKey(session.ID, true) })
	want("session disabled", true, false)
	update(func(s *vpc.State) (vpc.Change, error) { return s.DeleteAccessKey(key.ID) })
	want("key deleted", false, false)
}

// An unknown key takes as long as one that is known.
func TestLookupTakesAsLong(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	keys := bootstrap(t, st, options(dir))
	m := credentialsFile.FindStringSubmatch(readFile(t, filepath.Join(dir, "credentials")))
	known := testing.AllocsPerRun(1000, func() { keys.Lookup(m[1]) })
	unknown := testing.AllocsPerRun(1000, func() { keys.Lookup("AKIAAAAAAAAAAAAAAAAA") })
	if known != unknown {
		t.Errorf("a known key takes %v allocations, an unknown one %v", known, unknown)
	}
}
