package local_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/agent/local"
	"github.com/sallyport/sallyport/vpc"
)

// serve serves a host's claims on a socket until the test ends.
func serve(t *testing.T, c *local.Claims) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "agent.sock")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Serve(ctx, path) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("Serve left its socket")
		}
	})
	until(t, "the socket is there", func() bool {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return path
}

func TestSocketRefuses(t *testing.T) {
	path := serve(t, newHost(t).claims(t))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o660 {
		t.Errorf("the socket's permissions are %o, want 660", got)
	}
	client := http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"unknown field":   {"POST", "/v1/bind", `{"device":"spt-loc1","eni":"eni-0000000a","force":true}`, 400, `unknown field`},
		"no JSON":         {"POST", "/v1/bind", `device=spt-loc1`, 400, "no JSON"},
		"nothing":         {"POST", "/v1/bind", ``, 400, "no JSON"},
		"two requests":    {"POST", "/v1/unbind", `{"device":"spt-loc1"}{"device":"spt-loc2"}`, 400, "after its end"},
		"too large":       {"POST", "/v1/bind", `{"device":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "too large"},
		"unknown device":  {"POST", "/v1/bind", `{"device":"spt-none","eni":"eni-0000000a"}`, 400, "no device"},
		"device with NUL": {"POST", "/v1/bind", `{"device":"lo\u0000x","eni":"eni-0000000a"}`, 400, "no name of a device"},
		"device a path":   {"POST", "/v1/bind", `{"device":"../lo","eni":"eni-0000000a"}`, 400, "no name of a device"},
		"device too long": {"POST", "/v1/bind", `{"device":"` + strings.Repeat("x", 128) + `","eni":"eni-0000000a"}`, 400, "no name of a device"},
		"device unnamed":  {"POST", "/v1/bind", `{"eni":"eni-0000000a"}`, 400, "no device"},
		"unbind with NUL": {"POST", "/v1/unbind", `{"device":"lo\u0000x"}`, 400, "no name of a device"},
		"not bound":       {"POST", "/v1/unbind", `{"device":"lo"}`, 400, "lo is not bound"},
		"wrong method":    {"GET", "/v1/bind", ``, 405, ""},
		"unknown path":    {"GET", "/v1/keys", ``, 404, ""},
		"nothing bound":   {"GET", "/v1/bindings", ``, 200, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://agent"+tt.path, bytes.NewBufferString(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("%d %s, want %d with %q", res.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}

// A bind waits for the rules longer than its caller may take to send it.
func TestBindWaits(t *testing.T) {
	t.Parallel()
	c := newHost(t).claims(t)
	client := local.NewClient(serve(t, c))
	device(t, "spt-loc1")
	answer := make(chan local.Claim, 1)
	go func() {
		got, err := client.Bind(context.Background(), local.BindRequest{Device: "spt-loc1", ENI: eniA, Guest: "web", InForce: true})
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	until(t, "it is claimed", func() bool { return claim(c, "spt-loc1").ENI == eniA })
	c.Answered(eniA, "spt-loc1", "")
	select {
	case got := <-answer:
		t.Fatalf("answered before the rules were in force: %+v", got)
	case <-time.After(10500 * time.Millisecond): // the time for reading a request is over
	}
	c.InForce(func(vpc.InterfaceID) bool { return true })
	if got := <-answer; got.State != local.Bound || got.Guest != "web" {
		t.Errorf("answer = %+v, want bound", got)
	}
	// Without waiting for rules the control plane's word is enough.
	device(t, "spt-loc2")
	go func() {
		got, err := client.Bind(context.Background(), local.BindRequest{Device: "spt-loc2", ENI: eniB})
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	until(t, "it is claimed", func() bool { return claim(c, "spt-loc2").ENI == eniB })
	c.Answered(eniB, "spt-loc2", "no such interface")
	if got := <-answer; got.State != local.Refused || got.Message != "no such interface" {
		t.Errorf("answer = %+v, want refused", got)
	}
	if err := client.Unbind(t.Context(), "spt-loc2"); err != nil {
		t.Error(err)
	}
	if got, err := client.Bindings(t.Context()); err != nil || len(got) != 1 || got[0].Device != "spt-loc1" {
		t.Errorf("Bindings = %+v, %v", got, err)
	}
}

// Who waits for a device that goes is told at once.
func TestBindOfADeviceThatGoes(t *testing.T) {
	c := newHost(t).claims(t)
	run(t, c)
	client := local.NewClient(serve(t, c))
	device(t, "spt-loc1")
	failed := make(chan error, 1)
	go func() {
		_, err := client.Bind(context.Background(), local.BindRequest{Device: "spt-loc1", ENI: eniA, InForce: true})
		failed <- err
	}()
	until(t, "it is claimed", func() bool { return claim(c, "spt-loc1").ENI == eniA })
	ip(t, "link", "del", "spt-loc1")
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "the device is gone") {
		t.Errorf("Bind = %v", err)
	}
}

// A caller that sends its request slowly keeps nobody else waiting, and is cut off.
func TestSlowCaller(t *testing.T) {
	t.Parallel()
	c := newHost(t).claims(t)
	path := serve(t, c)
	var slow sync.WaitGroup
	for range 20 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /v1/bind HTTP/1.1\r\nHost: agent\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("not cut off: %v", err)
			}
		})
	}
	start := time.Now()
	if _, err := local.NewClient(path).Bindings(t.Context()); err != nil || time.Since(start) > 9*time.Second { // a slow one is cut off after 10
		t.Errorf("another caller: %v after %s", err, time.Since(start))
	}
	slow.Wait()
}

func TestClientSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	_, err := local.NewClient(path).Bindings(t.Context())
	if want := "no agent listens on " + path; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Bindings = %v, want %q", err, want)
	}
}
