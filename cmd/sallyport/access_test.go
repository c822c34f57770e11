package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

// lone is a server that runs by itself in this process, with its log.
type lone struct {
	t        *testing.T
	dir, url string
	log      *syncBuffer
}

// syncBuffer is a buffer that a server writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startLone starts a server that logs everything, and waits until it answers.
func startLone(t *testing.T, flags ...string) *lone {
	t.Helper()
	listen := freeAddr(t)
	l := &lone{t, filepath.Join(t.TempDir(), "data"), "http://" + listen, &syncBuffer{}}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{
			"server", "--data-dir", l.dir, "--listen", listen, "--feed-listen", freeAddr(t), "--log-level", "debug",
		}, flags...), nil, l.log, l.log)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("the server ended with %d: %s", code, l.log)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, code := l.run("quotas"); code == exitDone {
			return l
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not answer: %s", l.log)
		}
	}
}

func (l *lone) run(args ...string) (stdout, stderr string, code int) {
	var o, e bytes.Buffer
	code = run(context.Background(), append(args, "--data-dir", l.dir), nil, &o, &e)
	return o.String(), e.String(), code
}

// ok runs a command that must succeed.
func (l *lone) ok(args ...string) string {
	l.t.Helper()
	stdout, stderr, code := l.run(args...)
	if code != exitDone {
		l.t.Fatalf("sallyport %s: %d %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// refused runs a command that the server must refuse.
func (l *lone) refused(code string, args ...string) {
	l.t.Helper()
	_, stderr, exit := l.run(args...)
	if exit != exitRefused || !strings.Contains(stderr, code) {
		l.t.Errorf("sallyport %s: %d %s, want %s", strings.Join(args, " "), exit, stderr, code)
	}
}

var profile = regexp.MustCompile(`aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)`)

func key(t *testing.T, text string) aws.Credentials {
	t.Helper()
	m := profile.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no key in %q", text)
	}
	return aws.Credentials{AccessKeyID: m[1], SecretAccessKey: m[2]}
}

func (l *lone) credentials() aws.Credentials {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, "credentials"))
	if err != nil {
		l.t.Fatal(err)
	}
	return key(l.t, string(b))
}

func (l *lone) ec2(c aws.Credentials) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: &l.url, Credentials: credentials.StaticCredentialsProvider{Value: c}, RetryMaxAttempts: 1, Logger: logging.Nop{},
	})
}

func (l *lone) sts(c aws.Credentials) *sts.Client {
	return sts.New(sts.Options{
		Region: "us-east-1", BaseEndpoint: &l.url, Credentials: credentials.StaticCredentialsProvider{Value: c}, RetryMaxAttempts: 1, Logger: logging.Nop{},
	})
}

// wants checks a call's error: a code in it, or "" for none.
func wants(t *testing.T, what string, err error, code string) {
	t.Helper()
	if code == "" && err != nil || code != "" && (err == nil || !strings.Contains(err.Error(), code)) {
		t.Errorf("%s: %v, want %q", what, err, code)
	}
}

func TestUsersAndKeys(t *testing.T) {
	l := startLone(t)
	ctx := t.Context()
	l.ok("users", "create", "ann", "--role", "reader")
	l.refused("EntityAlreadyExists", "users", "create", "ann", "--role", "reader")
	ann := key(t, l.ok("keys", "create", "ann"))
	_, err := l.ec2(ann).DescribeVpcs(ctx, nil)
	wants(t, "a reader reads", err, "")
	create := &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d")}
	_, err = l.ec2(ann).CreateSecurityGroup(ctx, create)
	wants(t, "a reader writes", err, "UnauthorizedOperation")
	l.ok("users", "modify", "ann", "--role", "administrator")
	_, err = l.ec2(ann).CreateSecurityGroup(ctx, create)
	wants(t, "an administrator writes", err, "")

	out, err := l.sts(ann).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	if err != nil {
		t.Fatal(err)
	}
	session := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	if left := time.Until(*out.Credentials.Expiration); left < 13*time.Minute || left > 15*time.Minute {
		t.Errorf("the session of 15 minutes ends in %v", left)
	}
	_, err = l.ec2(session).DescribeVpcs(ctx, nil)
	wants(t, "a session reads", err, "")
	for _, want := range []string{session.AccessKeyID, ann.AccessKeyID} {
		if got := l.ok("keys", "ann"); !strings.Contains(got, want) {
			t.Errorf("keys ann lacks %s:\n%s", want, got)
		}
	}

	l.ok("keys", "disable", ann.AccessKeyID)
	for what, c := range map[string]aws.Credentials{"key": ann, "session": session} {
		_, err = l.ec2(c).DescribeVpcs(ctx, nil)
		wants(t, what+" after the key was disabled", err, "AuthFailure")
		_, err = l.sts(c).GetCallerIdentity(ctx, nil)
		wants(t, what+" after the key was disabled, at STS", err, "InvalidClientTokenId")
	}
	l.ok("keys", "enable", ann.AccessKeyID)
	_, err = l.ec2(session).DescribeVpcs(ctx, nil)
	wants(t, "the session of the enabled key", err, "")
	l.ok("users", "disable", "ann")
	_, err = l.ec2(ann).DescribeVpcs(ctx, nil)
	wants(t, "a disabled user", err, "AuthFailure")
	l.refused("OperationNotPermitted", "keys", "delete", l.credentials().AccessKeyID)
	l.ok("users", "delete", "ann")
	l.refused("NoSuchEntity", "keys", "ann")

	if got := l.ok("audit", "--user", "ann"); !strings.Contains(got, "CreateSecurityGroup") || !strings.Contains(got, "UnauthorizedOperation") ||
		strings.Contains(got, "DescribeVpcs") {
		t.Errorf("ann's calls are\n%s", got)
	}
	if got := l.ok("audit", "--limit", "2", "--since", "1h"); strings.Count(got, "\n") != 3 || !strings.Contains(got, "DeleteUser") {
		t.Errorf("the newest two calls are\n%s", got)
	}
	var asked struct{ AuditRecords []struct{ ActionName string } }
	if err := json.Unmarshal([]byte(l.ok("audit", "--output", "json", "--error", "EntityAlreadyExists")), &asked); err != nil ||
		len(asked.AuditRecords) != 1 || asked.AuditRecords[0].ActionName != "CreateUser" {
		t.Errorf("as JSON: %+v, %v", asked, err)
	}
}

func TestRotate(t *testing.T) {
	l := startLone(t)
	file := filepath.Join(l.dir, "credentials")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The user may keep more in it.
	const more = "\n[other]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = other\n"
	if err := os.WriteFile(file, append(text, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each time there is room for the new key
		old := l.credentials()
		l.ok("keys", "rotate")
		now := l.credentials()
		if now.AccessKeyID == old.AccessKeyID || now.SecretAccessKey == old.SecretAccessKey {
			t.Errorf("the key is still %s", old.AccessKeyID)
		}
		_, err := l.ec2(old).DescribeVpcs(t.Context(), nil)
		wants(t, "the old key", err, "AuthFailure")
		_, err = l.ec2(now).DescribeVpcs(t.Context(), nil)
		wants(t, "the new key", err, "")
	}
	old := l.credentials()
	l.ok("keys", "rotate", "--keep")
	if got := l.ok("keys"); !regexp.MustCompile(old.AccessKeyID + ` .*disabled`).MatchString(got) {
		t.Errorf("the old key is not kept disabled:\n%s", got)
	}
	_, stderr, code := l.run("keys", "rotate") // there are two: no room
	if code != exitRefused || !strings.Contains(stderr, "LimitExceeded") || !strings.Contains(stderr, "left over") {
		t.Errorf("rotate without room: %d %s", code, stderr)
	}
	l.ok("keys", "delete", old.AccessKeyID)
	if b, err := os.ReadFile(file); err != nil || !strings.HasSuffix(string(b), more) {
		t.Errorf("the file became\n%s\n%v", b, err)
	}
	if i, err := os.Stat(file); err != nil || i.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", i, err)
	}

	// A file that cannot be understood: the key that was made for it goes again, and the old one works.
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(bytes.Clone(b), bytes.ReplaceAll(b, []byte("[default]"), []byte("[again]"))...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := l.run("keys", "rotate"); code != exitRefused || !strings.Contains(stderr, "the old key stays") {
		t.Errorf("rotate in a file with the key twice: %d %s", code, stderr)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := l.ok("keys"); strings.Count(got, "\n") != 2 {
		t.Errorf("the keys are now\n%s", got)
	}
}

// get asks as curl does.
func get(t *testing.T, url string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// No secret is in the log, at its most talkative, nor in the audit log, nor readable in the store.
func TestSecretsAreNotWritten(t *testing.T) {
	l := startLone(t)
	ctx := t.Context()
	admin := l.credentials()
	secrets := []string{admin.SecretAccessKey}
	ann := key(t, l.ok("users", "create", "ann", "--role", "administrator")+l.ok("keys", "create", "ann"))
	out, err := l.sts(ann).GetSessionToken(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	session := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	secrets = append(secrets, ann.SecretAccessKey, session.SecretAccessKey, session.SessionToken)
	l.ok("keys", "rotate")
	secrets = append(secrets, l.credentials().SecretAccessKey)
	const password = "the-password-of-ann"
	l.typed(password+"\n", "users", "set-password", "ann")
	secrets = append(secrets, password, "the-password-that-is-wrong", l.token())
	l.signIn(http.StatusUnauthorized, `{"UserName":"ann","Password":"the-password-that-is-wrong"}`)
	for _, in := range []string{`{"UserName":"ann","Password":"` + password + `"}`, `{"Token":"` + secrets[len(secrets)-1] + `"}`} {
		keys, cookie := l.signIn(http.StatusOK, in)
		secrets = append(secrets, keys.SecretAccessKey, keys.SessionToken, cookie)
	}
	inStore := len(secrets)

	const userData = "IyEvYmluL3NoCmVjaG8gdGhlLXNlY3JldC1vZi10aGUtdXNlcg=="
	for _, c := range []aws.Credentials{
		ann, session,
		{AccessKeyID: ann.AccessKeyID, SecretAccessKey: "wrong-secret-of-the-caller"},
		{AccessKeyID: session.AccessKeyID, SecretAccessKey: session.SecretAccessKey, SessionToken: "wrong-token-of-the-caller"},
	} {
		_, _ = l.ec2(c).RunInstances(ctx, &ec2.RunInstancesInput{MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ImageId: aws.String("ami-12345678"), UserData: aws.String(userData)}) // refused or not: it has its say
		_, _ = l.sts(c).GetCallerIdentity(ctx, nil)
		presigned, err := sts.NewPresignClient(l.sts(c)).PresignGetCallerIdentity(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, regexp.MustCompile(`X-Amz-Signature=([0-9a-f]+)`).FindStringSubmatch(presigned.URL)[1])
		get(t, presigned.URL)
	}
	secrets = append(secrets, userData, "the-secret-of-the-user", "wrong-token-of-the-caller", "aws4_request, SignedHeaders")
	log := l.log.String()
	if !strings.Contains(log, "GetCallerIdentity") || !strings.Contains(log, "level") {
		t.Fatalf("the log is too silent: %s", log)
	}
	for _, s := range secrets {
		if strings.Contains(log, s) {
			t.Errorf("the log holds %q", s)
		}
	}
	err = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "credentials" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, s := range secrets[:inStore] {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds a secret", path)
			}
		}
		if bytes.Contains(b, []byte("the-secret-of-the-user")) && filepath.Base(filepath.Dir(path)) == "audit" {
			t.Errorf("%s holds user data", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
