package lab_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/lab"
)

// console runs a guest with a script, and returns what it printed once it printed the word "done".
func console(t *testing.T, script string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() {
		if err := lab.Purge(dir); err != nil {
			t.Errorf("Purge: %v", err)
		}
	})
	g := guest(1)
	g.UserData = []byte("#!/bin/sh\n" + script + "\necho done\n")
	if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
		t.Fatal(err)
	}
	var log []byte
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s", log)
		}
	})
	until(t, "user data ends", func() bool {
		log, _ = os.ReadFile(filepath.Join(dir, string(g.ID), "console.log"))
		return strings.Contains("\n"+string(log), "\ndone\n")
	})
	return string(log)
}

// Root in a guest is nobody on the host: what only root may do there, it may not.
func TestUserDataIsNobodyOnTheHost(t *testing.T) {
	outside := t.TempDir()
	if err := os.Chmod(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]string{
		"write a file of root's":      "echo x >>/etc/passwd",
		"add a cron job":              "echo x >/etc/cron.d/spt",
		"read root's secrets":         "cat /etc/shadow",
		"write a sysctl of the host":  "echo 0 >/proc/sys/kernel/core_uses_pid",
		"write a sysctl of a network": "echo 0 >/proc/sys/net/ipv4/ip_forward",
		"make a device node":          "mknod /tmp/null c 1 3",
		"unmount what hides the host": "umount /run",
		"see the host's processes":    "kill -0 4000 || ls -d /proc/4000", // its PID namespace has a few
		"reach the agent's directory": "ls /run/sallyport",
		"see a disk":                  "ls -d /dev/sd* /dev/vd* /dev/nvme* /dev/mem 2>/dev/null",
		"listen to the wire":          "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
		"change its network":          "ip link set eth0 down",
	} {
		t.Run(name, func(t *testing.T) {
			if got := console(t, fmt.Sprintf("if %s; then echo it can; else echo it cannot; fi", try)); !strings.Contains(got, "it cannot\n") {
				t.Errorf("user data can %s (%s)", name, try)
			}
		})
	}
}

// What user data may rely on.
func TestUserDataEnvironment(t *testing.T) {
	inherited, err := unix.Open("/", unix.O_RDONLY, 0) // as a careless caller of the agent leaves it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(inherited) })
	for name, script := range map[string]string{
		"root by name":         `[ "$(id -un)" = root ]`,
		"directories to write": `for d in /tmp /var/tmp /run /root /home /dev/shm; do : >$d/x && rm $d/x || exit 1; done`,
		"console by name":      `echo by name >/dev/stderr && echo x >/dev/null`,
		"its own address":      `getent hosts $(hostname) | grep fd5a:11:22::11 && getent ahostsv4 $(hostname) | grep 203.0.113.11`,
		"localhost":            `getent ahostsv4 localhost | grep 127.0.0.1`,
		"no DNS, at once":      `timeout 2 getent ahosts www.example.com; [ $? = 2 ]`,
		"ping":                 `ping -c1 -W2 203.0.113.1`,
		"other users":          `setpriv --reuid=1000 --regid=1000 --clear-groups sh -c '[ $(id -u) = 1000 ]'`,
		"no inherited files":   `! readlink /proc/self/fd/* | grep -x /`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := console(t, "set -x\nif ("+script+"); then echo as wanted; else echo not so; fi"); !strings.Contains(got, "\nas wanted\n") {
				t.Errorf("%s fails", script)
			}
		})
	}
}

// The README's web server: Python asks for its host's name before it listens.
func TestUserDataWebServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, _ := newLab(t, dir)
	t.Cleanup(func() { _ = lab.Purge(dir) })
	g := guest(1)
	g.UserData = []byte("#!/bin/sh\ncd /tmp && exec python3 -m http.server 80\n")
	start := time.Now()
	if err := l.Reconcile(t.Context(), []lab.Guest{g}); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Second}
	until(t, "it answers", func() bool {
		resp, err := client.Get("http://203.0.113.11/")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(body), "Directory listing")
	})
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("it answered after %v: it waited for a name server", took)
	}
}
