package lab

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// ensureInit starts the guest's first process, in mount, PID and host-name namespaces of its own,
// unless it runs. It is no child that the agent waits for: it outlives the agent.
func (l *Lab) ensureInit(g Guest, ns netns.NsHandle) error {
	if _, err := l.initPID(g.ID); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir := l.dir(g.ID)
	script := ""
	if bytes.HasPrefix(g.UserData, []byte("#!")) {
		script = filepath.Join(dir, "user-data")
		if err := os.WriteFile(script, g.UserData, 0o700); err != nil {
			return fmt.Errorf("write user data: %w", err)
		}
	}
	console, err := os.OpenFile(filepath.Join(dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the console's log: %w", err)
	}
	defer console.Close()
	cmd := exec.Command("/bin/sh", "-c", initScript, "init", string(g.ID), script)
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
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return cmd.Start()
	}); err != nil {
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
	if _, err := start.WriteString("start\n"); err != nil {
		return fmt.Errorf("start its first process: %w", err)
	}
	return nil
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
