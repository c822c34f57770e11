// Package e2e_test tests the whole product: the sallyport as users run it, the real aws CLI, real
// sockets in network namespaces. It needs root.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/machinetest"
)

// awsCLI is Debian's; another aws may stand before it in PATH.
const awsCLI = "/usr/bin/aws"

// sallyport is bin/sallyport, as `make build` leaves it; TestMain checks that it is there.
var sallyport string

func TestMain(m *testing.M) {
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	machinetest.Main(func() int {
		defer func() { awsServerStop() }()
		return m.Run()
	})
}

func check() error {
	if _, err := os.Stat(awsCLI); err != nil {
		return fmt.Errorf("needs Debian's awscli (make test installs it): %w", err)
	}
	var err error
	if sallyport, err = filepath.Abs("../bin/sallyport"); err != nil {
		return err
	}
	if _, err := os.Stat(sallyport); err != nil {
		return fmt.Errorf("needs the sallyport (make build): %w", err)
	}
	return nil
}

// dev is a running `sallyport dev`.
type dev struct {
	dir    string // data directory
	listen string
	args   []string
	cmd    *exec.Cmd
	exited chan error

	mu     sync.Mutex
	output bytes.Buffer
}

// startDev starts dev on a data directory and waits until it is ready. It is stopped with the test.
func startDev(t *testing.T, dir string, args ...string) *dev {
	t.Helper()
	d := &dev{dir: dir, listen: freePort(t), args: args}
	d.args = append([]string{"dev", "--data-dir", dir, "--listen", d.listen, "--feed-listen", freePort(t)}, args...)
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

// freePort returns a loopback address that nobody listens on. Its port is below those that the kernel gives to clients
// (net.ipv4.ip_local_port_range): else one might have it before it is used, or while a server restarts.
func freePort(t *testing.T) string {
	t.Helper()
	var failed error
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
		failed = err
	}
	t.Fatal(failed)
	return ""
}

// start runs dev again, with the same arguments as before.
func (d *dev) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.Command(sallyport, d.args...)
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = writerFunc(func(p []byte) (int, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.output.Write(p)
	})
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, exited := make(chan struct{}), make(chan error, 1)
	d.exited = exited
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			if strings.HasPrefix(scanner.Text(), "ready") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		exited <- d.cmd.Wait()
	}()
	select {
	case <-ready:
	case err := <-exited:
		d.exited = nil
		t.Fatalf("dev ended before it was ready: %v\n%s", err, d.log())
	case <-time.After(limit):
		_ = d.cmd.Process.Kill()
		t.Fatalf("dev was not ready after %s\n%s", limit, d.log())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (d *dev) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.String()
}

// stop ends dev cleanly, if it runs, and shows what it said if the test failed.
func (d *dev) stop(t *testing.T) {
	t.Helper()
	if d.exited != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-d.exited:
			if err != nil {
				t.Errorf("dev did not stop cleanly: %v", err)
			}
		case <-time.After(limit):
			_ = d.cmd.Process.Kill()
			t.Errorf("dev did not stop within %s of SIGTERM", limit)
		}
		d.exited = nil
	}
	if t.Failed() {
		t.Logf("dev said:\n%s", d.log())
	}
}

// kill ends dev and its children at once: they die with it.
func (d *dev) kill(t *testing.T) {
	t.Helper()
	children := []int{d.child(t, "server"), d.child(t, "agent")}
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.exited //nolint:errcheck // it was killed: how it ended says nothing
	d.exited = nil
	eventually(t, "dev's children are gone", func() error {
		for _, pid := range children {
			// Empty while nobody has waited for what was killed.
			if words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(words) > 0 {
				return fmt.Errorf("still there: %d", pid)
			}
		}
		return nil
	})
}

// child returns the PID of dev's server or agent.
func (d *dev) child(t *testing.T, role string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(d.cmd.Process.Pid), "-f", sallyport+" "+role+" ").Output()
	if err != nil {
		t.Fatalf("find dev's %s: %v", role, err)
	}
	var pid int
	if _, err := fmt.Sscan(string(out), &pid); err != nil {
		t.Fatalf("find dev's %s in %q: %v", role, out, err)
	}
	return pid
}

func (d *dev) env() []string {
	return append(os.Environ(),
		"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(d.dir, "credentials"),
		"AWS_CONFIG_FILE=/dev/null", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=",
		"PYTHONDONTWRITEBYTECODE=1")
}

// result is the outcome of an aws call.
type result struct {
	code   int
	stdout []byte
	stderr string
}

// tryAWS runs `aws ec2 args…` and returns what came of it.
func (d *dev) tryAWS(t *testing.T, args ...string) result {
	t.Helper()
	r, err := runAWS(append([]string{"--endpoint-url", "http://" + d.listen, "--output", "json", "ec2"}, args...), d.env())
	if err != nil {
		t.Fatalf("aws ec2 %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// aws runs `aws ec2 args…`, which must succeed, and decodes its JSON answer into out, if not nil.
func (d *dev) aws(t *testing.T, out any, args ...string) {
	t.Helper()
	r := d.tryAWS(t, args...)
	if r.code != 0 {
		t.Fatalf("aws ec2 %s: exit code %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(r.stdout, out); err != nil {
		t.Fatalf("aws ec2 %s: %v in %s", strings.Join(args, " "), err, r.stdout)
	}
}

// query runs `aws ec2 args… --query q --output text` and returns the trimmed answer.
func (d *dev) query(t *testing.T, q string, args ...string) string {
	t.Helper()
	r := d.tryAWS(t, append(args, "--query", q, "--output", "text")...)
	if r.code != 0 {
		t.Fatalf("aws ec2 %s: exit code %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	return strings.TrimSpace(string(r.stdout))
}

// inForce waits until everything that was written so far is in force on every bound interface.
func (d *dev) inForce(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, sallyport, "enforcement", "--wait", "--data-dir", d.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("not in force: %v\n%s", err, out)
	}
}

// eventually waits for cond to return nil, for at most the limit.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = cond(); err == nil {
			return
		}
	}
	t.Fatalf("still not true after %s: %s: %v", limit, what, err)
}
