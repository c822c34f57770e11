package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// typed runs a command that reads a text, and must succeed.
func (l *lone) typed(text string, args ...string) {
	l.t.Helper()
	var o, e bytes.Buffer
	if code := run(context.Background(), append(args, "--data-dir", l.dir), strings.NewReader(text), &o, &e); code != exitDone {
		l.t.Fatalf("sallyport %s: %d %s", strings.Join(args, " "), code, e.String())
	}
}

var linkToken = regexp.MustCompile(`^(http://127\.0\.0\.1:\d+)/#token=([A-Z2-7]{52})\n`)

// token returns that of a link.
func (l *lone) token() string {
	l.t.Helper()
	out := l.ok("console")
	m := linkToken.FindStringSubmatch(out)
	if m == nil || m[1] != l.url {
		l.t.Fatalf("sallyport console prints %q", out)
	}
	return m[2]
}

// signIn asks for a session as the console does, and returns its keys and the cookie's value.
func (l *lone) signIn(status int, body string) (keys aws.Credentials, cookie string) {
	l.t.Helper()
	res, err := http.Post(l.url+"/session", "application/json", strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != status {
		l.t.Fatalf("sign in: %s, %v; want %d", res.Status, err, status)
	}
	for _, c := range res.Cookies() {
		cookie = c.Value
	}
	return aws.Credentials{AccessKeyID: got.AccessKeyId, SecretAccessKey: got.SecretAccessKey, SessionToken: got.SessionToken}, cookie
}

// A link signs the administrator in, once; a password anybody; and what the keys may do is what the user may.
func TestConsoleCommands(t *testing.T) {
	l := startLone(t)
	token := l.token()
	admin, _ := l.signIn(http.StatusOK, `{"Token":"`+token+`"}`)
	l.signIn(http.StatusUnauthorized, `{"Token":"`+token+`"}`)
	create := func(c aws.Credentials, name string) error {
		_, err := l.ec2(c).CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{GroupName: &name, Description: &name})
		return err
	}
	wants(t, "an administrator writes", create(admin, "a"), "")

	l.ok("users", "create", "ann", "--role", "reader")
	l.signIn(http.StatusUnauthorized, `{"UserName":"ann","Password":"correct horse battery"}`)
	l.typed("correct horse battery\n", "users", "set-password", "ann")
	ann, _ := l.signIn(http.StatusOK, `{"UserName":"ann","Password":"correct horse battery"}`)
	wants(t, "a reader writes", create(ann, "b"), "UnauthorizedOperation")
	_, err := l.ec2(ann).DescribeVpcs(t.Context(), nil)
	wants(t, "a reader reads", err, "")
	if out := l.ok("keys", "ann"); !strings.Contains(out, ann.AccessKeyID) || !strings.Contains(out, "console") {
		t.Errorf("keys are listed as %s", out)
	}
	if out := l.ok("users"); !regexp.MustCompile(`ann +reader +enabled +0 +yes`).MatchString(out) {
		t.Errorf("users are listed as %s", out)
	}
	l.ok("users", "set-password", "ann", "--remove")
	_, err = l.ec2(ann).DescribeVpcs(t.Context(), nil)
	wants(t, "without a password", err, "AuthFailure")
	l.signIn(http.StatusUnauthorized, `{"UserName":"ann","Password":"correct horse battery"}`)

	l.refused("InvalidParameterValue", "console", "--valid-for", "13h")
	for text, want := range map[string]int{"": exitUsage, "\n": exitUsage, "short\n": exitRefused, "correct horse battery": exitDone} {
		var o, e bytes.Buffer
		code := run(t.Context(), []string{"users", "set-password", "ann", "--data-dir", l.dir}, strings.NewReader(text), &o, &e)
		if code != want || strings.Contains(o.String()+e.String(), "horse") {
			t.Errorf("set-password < %q: %d %s%s, want %d", text, code, &o, &e, want)
		}
	}
	var link struct {
		URL        string
		Expiration time.Time
	}
	if err := json.Unmarshal([]byte(l.ok("console", "--valid-for", "1h", "--output", "json")), &link); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(link.Expiration); !strings.HasPrefix(link.URL, l.url+"/#token=") || left > time.Hour || left < 59*time.Minute {
		t.Errorf("the link is %s, for %v", fmt.Sprintf("%.40s…", link.URL), left)
	}
}
