package lab

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/vpc"
)

// initScript is the first process of a guest.
//
//go:embed init.sh
var initScript string

// guestRoot is the host's number of a guest's root, and guestIDs maps the guest's first 65536: numbers
// that own no file of the host's. 2^30 is above what systemd and the files of subordinate ids hand out.
const guestRoot = 1 << 30

var guestIDs = []syscall.SysProcIDMap{{ContainerID: 0, HostID: guestRoot, Size: 1 << 16}}

// ensureInit starts the guest's first process, in user, mount, PID and host-name namespaces of its own,
// unless it runs. It is no child that the agent waits for: it outlives the agent.
func (l *Lab) ensureInit(g Guest, ns netns.NsHandle) error {
	if _, err := l.initPID(g.ID); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir := l.dir(g.ID)
	input, script := []byte("start\n"), ""
	if bytes.HasPrefix(g.UserData, []byte("#!")) {
		input, script = append(input, g.UserData...), "user-data"
	}
	console, err := os.OpenFile(filepath.Join(dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the console's log: %w", err)
	}
	defer console.Close()
	if err := console.Chown(guestRoot, guestRoot); err != nil { // for who opens /dev/stdout
		return fmt.Errorf("hand over the console's log: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", initScript, "init", string(g.ID), hosts(g), script)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = console, console
	// It starts once it is recorded, or ends with us: nobody could find it again otherwise.
	hold, start, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer hold.Close()
	defer start.Close()
	cmd.Stdin = hold
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:      true,
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		UidMappings: guestIDs, GidMappings: guestIDs,
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{}, // root of the mappings
	}
	// What whoever started the agent left open is not the guest's.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close inherited files: %w", err)
	}
	err = onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return cmd.Start()
	})
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS), errors.Is(err, unix.EPERM):
		return refuse("the host allows no user namespace for the guest (see user.max_user_namespaces): %v", err)
	case err != nil:
		return fmt.Errorf("start its first process: %w", err)
	}
	go func() { _ = cmd.Wait() }() // reaps it if it ends before we do
	since, err := startTime(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("its first process ended at once: %w", err)
	}
	record := fmt.Sprintf("%d %s\n", cmd.Process.Pid, since)
	if err := os.WriteFile(filepath.Join(dir, "init"), []byte(record), 0o600); err != nil {
		return errors.Join(fmt.Errorf("record its first process: %w", err), cmd.Process.Kill())
	}
	if _, err := start.Write(input); err != nil { // a pipe holds 64 KiB, user data has at most 16
		return fmt.Errorf("start its first process: %w", err)
	}
	return nil
}

// hosts returns the lines of /etc/hosts that name a guest: its primary address of each family.
func hosts(g Guest) string {
	var b strings.Builder
	seen := map[bool]bool{}
	for _, i := range g.Interfaces[:min(1, len(g.Interfaces))] {
		for _, a := range i.Addresses {
			if !seen[a.Addr().Is4()] {
				seen[a.Addr().Is4()] = true
				fmt.Fprintf(&b, "%s %s\n", a.Addr(), g.ID)
			}
		}
	}
	return b.String()
}

// initPID returns the PID of the guest's first process; os.ErrNotExist if it does not run.
func (l *Lab) initPID(id vpc.InstanceID) (int, error) {
	b, err := os.ReadFile(filepath.Join(l.dir(id), "init"))
	if err != nil {
		return 0, err
	}
	var pid int
	var start string
	if _, err := fmt.Sscan(string(b), &pid, &start); err != nil {
		return 0, fmt.Errorf("read the record of its first process: %w", err)
	}
	if now, err := startTime(pid); err != nil || now != start {
		return 0, os.ErrNotExist // gone, or its number belongs to another by now
	}
	return pid, nil
}

// stopLost ends first processes of the guest that no record tells of: those whose arguments are a
// first process's and that are the first of a PID namespace.
func (l *Lab) stopLost(id vpc.InstanceID) error {
	if _, err := l.initPID(id); err == nil {
		return nil
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range procs {
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // gone meanwhile: not ours
		args := strings.Split(string(cmdline), "\x00")
		if len(args) < 5 || args[0] != "/bin/sh" || args[1] != "-c" || args[3] != "init" || args[4] != string(id) {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		if !firstOfNamespace.Match(status) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		errs = append(errs, stop(pid))
	}
	return errors.Join(errs...)
}

// Source: proc(5), NSpid: the process's number in each PID namespace, the innermost last.
var firstOfNamespace = regexp.MustCompile(`(?m)^NSpid:\s.*\s1$`)

// startTime returns when a process started, in the kernel's ticks: with the PID it names a process
// for good. Source: proc(5), field 22 of stat.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return "", os.ErrNotExist
	}
	return fields[19], nil
}

// stopInit ends the guest's first process, and the kernel all others of its PID namespace.
func (l *Lab) stopInit(id vpc.InstanceID) error {
	pid, err := l.initPID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return stop(pid)
}

func stop(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		n, err := unix.Poll(fds, 1000)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}
