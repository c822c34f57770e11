package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/server/store"
)

// TestBadInput: what a command cannot do it refuses in one line that says what is wrong, and what to
// do; it leaves nothing behind.
func TestBadInput(t *testing.T) {
	dir, err := os.MkdirTemp("", "spt-bad-") // others than root must get at it
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, "sallyport")
	b, err := os.ReadFile(sallyport)
	must(t, err)
	must(t, os.WriteFile(program, b, 0o755))
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	data := filepath.Join(dir, "data")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	port := taken.Addr().String()
	free := freePort(t)
	const nobody = 65534

	for name, tt := range map[string]struct {
		uid    uint32
		wrap   []string // comes before the program
		args   []string
		before func(t *testing.T)
		code   int
		want   string // pattern
	}{
		"dev without root":    {uid: nobody, args: []string{"dev", "--data-dir", data}, code: 1, want: `this needs root: .*sudo`},
		"purge without root":  {uid: nobody, args: []string{"dev", "--purge"}, code: 1, want: `this needs root`},
		"server, no access":   {uid: nobody, args: []string{"server", "--data-dir", data, "--listen", "127.0.0.1:0", "--feed-listen", "127.0.0.1:0"}, code: 1, want: `data directory: mkdir .*: permission denied`},
		"kernel too old":      {wrap: []string{"setarch", "--uname-2.6"}, args: []string{"dev", "--data-dir", data}, code: 1, want: `the kernel is 2\.6\..*; Sallyport needs 6\.1 or newer`},
		"second agent":        {args: []string{"dev", "--data-dir", data}, before: holdLock, code: 1, want: `another agent runs on this machine .*; stop it first`},
		"API port taken":      {args: []string{"dev", "--data-dir", data, "--listen", port}, code: 1, want: `(already in use|is taken).*--listen`},
		"feed port taken":     {args: []string{"dev", "--data-dir", data, "--listen", free, "--feed-listen", port}, code: 1, want: `(already in use|is taken).*--feed-listen`},
		"server's port taken": {args: []string{"server", "--data-dir", data, "--listen", port}, code: 1, want: `(already in use|is taken).*--listen`},
		"block in use":        {args: []string{"dev", "--data-dir", data, "--lab-cidr", "10.78.0.0/16"}, before: routeOf("10.78.3.1/24"), code: 1, want: `the host has a route to 10\.78\.3\.0/24 \(via spt-clash\).*--lab-cidr`},
		"unknown key":         {args: []string{"dev", "--config", file("key", "lissten: x\n")}, code: 2, want: `line 1: unknown key "lissten"`},
		"no YAML":             {args: []string{"dev", "--config", file("yaml", "{a\n")}, code: 2, want: `read the configuration: .*line 1`},
		"no mapping":          {args: []string{"server", "--config", file("list", "- a\n")}, code: 2, want: `line 1: want key: value`},
		"no such file":        {args: []string{"agent", "--config", filepath.Join(dir, "none")}, code: 2, want: `no such file`},
		"checked":             {args: []string{"dev", "--check-config", "--config", file("region", "attach: sideways\n")}, code: 2, want: `auto, tcx or clsact`},
		"checked log level":   {args: []string{"dev", "--check-config", "--log-level", "loud"}, code: 2, want: `debug, info, warn or error`},
		"unknown command":     {args: []string{"nonsense"}, code: 2, want: `"nonsense"`},
		"unknown flag":        {args: []string{"dev", "--nope"}, code: 2, want: `unknown flag: --nope .*--help`},
		"too few arguments":   {args: []string{"bind", "tap7"}, code: 2, want: `usage: sallyport bind DEVICE ENI`},
		"no ENI":              {args: []string{"bind", "tap7", "sg-1"}, code: 2, want: `"sg-1" is not the id of a network interface`},
		"output":              {args: []string{"bindings", "--output", "xml"}, code: 2, want: `--output is text or json`},
		"block too big":       {args: []string{"dev", "--lab-cidr", "10.0.0.0/8"}, code: 2, want: `--lab-cidr.*172\.31\.0\.0/16`},
		"open to the world":   {args: []string{"server", "--data-dir", data, "--listen", "0.0.0.0:0"}, code: 2, want: `--tls-cert.*--insecure-http`},
		"agent, no cert":      {args: []string{"agent"}, code: 2, want: `ca-file`},
		"no agent":            {args: []string{"bindings", "--socket", filepath.Join(dir, "none")}, code: 1, want: `(?i)agent.*none`},
		"no dev":              {args: []string{"env", "--data-dir", data}, code: 1, want: `no server was started on .*--data-dir`},
		"nothing to unbind":   {args: []string{"unbind"}, code: 2, want: `usage: sallyport unbind DEVICE`},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.before != nil {
				tt.before(t)
			}
			before := leftovers(t)
			words := append(append(tt.wrap, program), tt.args...)
			got := refuse(t, tt.uid, words...)
			if got.code != tt.code || !oneLine(got.stderr) || !regexp.MustCompile(tt.want).MatchString(got.stderr) || len(got.stdout) > 0 {
				t.Errorf("%s:\ngot  %d %s%s\nwant %d, and in one line %s", strings.Join(tt.args, " "), got.code, got.stdout, got.stderr, tt.code, tt.want)
			}
			if after := leftovers(t); after != before {
				t.Errorf("it left something:\n%s\nbefore:\n%s", after, before)
			}
			if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it made the data directory: %v", err)
				_ = os.RemoveAll(data)
			}
		})
	}
}

// TestNewerLayout: a data directory that a newer sallyport wrote is refused, and stays as it is.
func TestNewerLayout(t *testing.T) {
	data := t.TempDir()
	put := func(key string) (all []string) {
		e, err := store.StartEtcd(t.Context(), filepath.Join(data, "etcd"), slog.New(slog.DiscardHandler))
		must(t, err)
		defer e.Close()
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}, DialTimeout: 5 * time.Second})
		must(t, err)
		defer c.Close()
		if key != "" {
			_, err = c.Put(t.Context(), key, "")
			must(t, err)
		}
		found, err := c.Get(t.Context(), "", clientv3.WithPrefix())
		must(t, err)
		for _, kv := range found.Kvs {
			all = append(all, string(kv.Key)+"="+string(kv.Value))
		}
		return all
	}
	before := strings.Join(put("/sallyport/v2/x"), "\n")
	got := refuse(t, 0, sallyport, "server", "--data-dir", data, "--listen", "127.0.0.1:0", "--feed-listen", "127.0.0.1:0", "--log-level", "error")
	want := "data directory .* has layout 2, this program knows 1: use a newer sallyport"
	if got.code != 1 || !oneLine(got.stderr) || !regexp.MustCompile(want).MatchString(got.stderr) {
		t.Errorf("a newer layout:\ngot  %d %s\nwant 1, and in one line %s", got.code, got.stderr, want)
	}
	got = refuse(t, 0, sallyport, "dev", "--data-dir", data, "--listen", freePort(t), "--feed-listen", freePort(t))
	if got.code != 1 || !oneLine(got.stderr) || !regexp.MustCompile(want).MatchString(got.stderr) {
		t.Errorf("a newer layout, in dev:\ngot  %d %s\nwant 1, and in one line %s", got.code, got.stderr, want)
	}
	if after := strings.Join(put(""), "\n"); after != before {
		t.Errorf("the store holds\n%s\nheld\n%s", after, before)
	}
	entries, err := os.ReadDir(data)
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("it made files in the data directory: %v", entries)
	}
}

func oneLine(s string) bool {
	return strings.HasPrefix(s, "sallyport: ") && strings.Count(s, "\n") == 1 && strings.HasSuffix(s, "\n")
}

// refuse runs a command that must end by itself, as root or as somebody.
func refuse(t *testing.T, uid uint32, words ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()}
}

// leftovers lists what a run can leave on a machine: lab devices, pins, namespaces.
func leftovers(t *testing.T) string {
	t.Helper()
	var all []string
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		if n := l.Attrs().Name; strings.HasPrefix(n, "spb-") || strings.HasPrefix(n, "spv-") {
			all = append(all, "device "+n)
		}
	}
	for _, dir := range []string{"/sys/fs/bpf/sallyport", "/run/netns", "/run/sallyport/lab"} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return strings.Join(all, "\n")
}

// holdLock is the agent that runs already.
func holdLock(t *testing.T) {
	must(t, os.MkdirAll("/run/sallyport", 0o755))
	f, err := os.OpenFile("/run/sallyport/agent.lock", os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// routeOf gives the host a device with an address, and so a route.
func routeOf(address string) func(*testing.T) {
	return func(t *testing.T) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "spt-clash"
		l := &netlink.Bridge{LinkAttrs: attrs}
		must(t, netlink.LinkAdd(l))
		t.Cleanup(func() { _ = netlink.LinkDel(l) })
		a, err := netlink.ParseAddr(address)
		must(t, err)
		must(t, netlink.AddrAdd(l, a))
		must(t, netlink.LinkSetUp(l))
	}
}
