package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server that runs by itself is found by env and enforcement, and missed when it is gone.
func TestPlainServer(t *testing.T) {
	dir, listen := filepath.Join(t.TempDir(), "data"), freeAddr(t)
	ask := func(args ...string) (code int, stdout, stderr string) {
		var o, e bytes.Buffer
		code = run(t.Context(), append(args, "--data-dir", dir), nil, &o, &e)
		return code, o.String(), e.String()
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"server", "--data-dir", dir, "--listen", listen, "--feed-listen", freeAddr(t)}, nil, io.Discard, io.Discard)
	}()
	code, stdout, stderr := ask("enforcement")
	for end := time.Now().Add(time.Minute); code != exitDone; code, stdout, stderr = ask("enforcement") {
		if time.Now().After(end) {
			t.Fatalf("enforcement: %d %s%s", code, stdout, stderr)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, stdout, stderr := ask("env"); code != exitDone || !strings.Contains(stdout, "export AWS_ENDPOINT_URL=http://"+listen+"\n") {
		t.Errorf("env: %d %s%s", code, stdout, stderr)
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("the server ended with %d", code)
	}
	if code, _, stderr := ask("enforcement"); code != exitRefused || !strings.Contains(stderr, "is it running? Start it with") {
		t.Errorf("enforcement without the server: %d %s", code, stderr)
	}
}

// An etcd that does not answer is told in one line.
func TestNoEtcd(t *testing.T) {
	var stderr bytes.Buffer
	endpoint := "http://" + freeAddr(t)
	code := run(t.Context(), []string{
		"server", "--data-dir", t.TempDir(), "--endpoints", endpoint, "--listen", freeAddr(t), "--feed-listen", freeAddr(t), "--log-level", "error",
	}, nil, io.Discard, &stderr)
	if got := stderr.String(); code != exitRefused || !strings.HasPrefix(got, "sallyport: no etcd answers at "+endpoint) || strings.Count(got, "\n") != 1 {
		t.Errorf("code %d: %s", code, got)
	}
}

// freeAddr returns a loopback address that nobody listens on. Its port is below those that the kernel gives to clients, and
// to whoever asks for any: of them another test might have it by then.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
