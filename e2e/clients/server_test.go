// Package clients_test has the clients that people use talk to `sallyport server`, which runs alone and
// without root: the aws CLI, boto3, the SDKs for Go and JavaScript, Ansible, and what Terraform calls.
// It wants what each client makes of the answers, so it finds what a look at the XML does not.
// docs/clients.md shows how each is set up.
package clients_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

// The clients; others of the same names may stand before them in PATH.
const (
	awsCLI  = "/usr/bin/aws"              // Debian's awscli
	python  = "/usr/bin/python3"          // for which python3-boto3 is installed
	ansible = "/usr/bin/ansible-playbook" // Debian's ansible
)

// nobody is as whom the server runs if the tests run as root: it must not need to.
const nobody = 65534

var (
	sallyport  string // the binary, where every user may execute it
	javascript string // the folder with the SDK
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "sallyport-clients-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = check(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e/clients:", err)
			return 1
		}
		return m.Run()
	}())
}

// check wants every client there, and copies bin/sallyport into dir.
func check(dir string) error {
	const remedy = "make test-clients installs it"
	for _, file := range []string{awsCLI, python, ansible} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("needs Debian's %s (%s): %w", filepath.Base(file), remedy, err)
		}
	}
	if out, err := exec.Command(python, "-c", "import boto3").CombinedOutput(); err != nil {
		return fmt.Errorf("needs python3-boto3 (%s): %w\n%s", remedy, err, out)
	}
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("needs Node.js 18 or newer (%s): %w", remedy, err)
	}
	var err error
	if javascript, err = filepath.Abs("../../.cache/clients/node_modules"); err != nil { // of `make test-clients`
		return err
	}
	if _, err := os.Stat(filepath.Join(javascript, "@aws-sdk/client-ec2/package.json")); err != nil {
		return fmt.Errorf("needs the SDK of package-lock.json (%s): %w", remedy, err)
	}
	binary, err := os.ReadFile("../../bin/sallyport")
	if err != nil {
		return fmt.Errorf("needs bin/sallyport (make build): %w", err)
	}
	sallyport = filepath.Join(dir, "sallyport")
	return errors.Join(os.WriteFile(sallyport, binary, 0o755), os.Chmod(dir, 0o755))
}

// server is a running `sallyport server` on a data directory of its own.
type server struct {
	dir, url, feed string
}

// startServer starts one, as nobody if the test runs as root, waits until it is ready, and ends it with
// the test.
func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(sallyport), "data-") // t.TempDir is closed to nobody
	if err != nil {
		t.Fatal(err)
	}
	listen := freeAddr(t)
	s := &server{dir: dir, url: "http://" + listen, feed: freeAddr(t)}
	var output bytes.Buffer
	cmd := exec.Command(sallyport, "server", "--data-dir", dir, "--listen", listen, "--feed-listen", s.feed, "--log-level", "warn")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // a test that panics cleans nothing up
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("the server did not end cleanly: %v", err)
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-exited //nolint:errcheck // it was killed: how it ended says nothing
			t.Error("the server did not end within a minute of SIGTERM")
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", output.String())
		}
	})
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "endpoint.json")); err == nil {
			return s
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the server ended before it was ready: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the server was not ready after 60 s")
		}
	}
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// credentials returns the administrator's access key.
func (s *server) credentials(t *testing.T) (id, secret string) {
	t.Helper()
	profile, err := config.LoadSharedConfigProfile(t.Context(), "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{filepath.Join(s.dir, "credentials")}, []string{}
	})
	if err != nil {
		t.Fatal(err)
	}
	return profile.Credentials.AccessKeyID, profile.Credentials.SecretAccessKey
}

// env is the environment of a client: what docs/clients.md has people export, and nothing that belongs to
// who runs the test.
func (s *server) env(t *testing.T) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8",
		"AWS_ENDPOINT_URL=" + s.url, "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.dir, "credentials"),
		"AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"PYTHONDONTWRITEBYTECODE=1", "ANSIBLE_REMOTE_TEMP=" + t.TempDir(), "NODE_PATH=" + javascript,
		"https_proxy=http://127.0.0.1:9", // nobody there: a client that turns to Amazon ends at once
	}
}

// run runs a client's program to its end. It must succeed; if not, or in a verbose run, the test shows what
// the program printed.
func (s *server) run(t *testing.T, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env(t), &output, &output
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, output.String())
	}
	if testing.Verbose() {
		t.Logf("%s", output.String())
	}
}
