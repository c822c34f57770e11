// Package machinetest runs tests as if on a machine of their own, so that they meet nothing that others left on this
// one, or run on it, and leave no process, device or filter behind, even if they are killed.
package machinetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stage is the environment variable that tells the processes of a test binary apart: the one that was called has none.
const (
	stage = "SALLYPORT_TEST_MACHINE"
	inits = "init" // the new machine's process 1
	tests = "tests"
)

// Main is for TestMain, with the Run of its M: it runs that in new network, mount and PID namespaces, with a loopback
// device that is up, and with empty /run/netns, /run/sallyport and /sys/fs/bpf. All that the tests start ends with
// them. It needs root, and does not return.
func Main(run func() int) {
	var code int
	var err error
	switch os.Getenv(stage) {
	case "":
		code, err = begin()
	case inits:
		code, err = beInit()
	case tests:
		code = run()
	default:
		err = fmt.Errorf("the variable %s is set to what means nothing", stage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "a machine for tests:", err)
		code = 1
	}
	os.Exit(code)
}

// again is this process once more, as the given stage.
func again(s string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stage+"="+s)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

func begin() (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("needs root: it makes namespaces")
	}
	cmd := again(inits)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL, // and with process 1 go all others
	}
	err = cmd.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) && failed.Exited() {
		return failed.ExitCode(), nil
	}
	return 0, err
}

// beInit is what process 1 does: it sets the machine up, starts the tests, and reaps whatever loses its parent, since
// tests tell by its PID whether a process has ended.
func beInit() (code int, err error) {
	if os.Getpid() != 1 {
		return 0, fmt.Errorf("the variable %s is set, and this is not process 1", stage)
	}
	if err := setUp(); err != nil {
		return 0, err
	}
	cmd := again(tests)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for {
		var status unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the tests: %w", err)
		case pid == cmd.Process.Pid && status.Signaled():
			return 0, fmt.Errorf("the tests ended by a signal: %s", status.Signal())
		case pid == cmd.Process.Pid:
			return status.ExitStatus(), nil
		}
	}
}

func setUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	for _, at := range []struct{ fs, dir string }{
		{"proc", "/proc"}, // of these PIDs
		{"sysfs", "/sys"}, // of this network
		{"bpf", "/sys/fs/bpf"},
		{"cgroup2", "/sys/fs/cgroup"}, // as before: it says how many CPUs the tests may use
		{"tmpfs", "/run/netns"},
		{"tmpfs", "/run/sallyport"},
	} {
		if at.fs == "tmpfs" {
			if err := os.MkdirAll(at.dir, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(at.fs, at.dir, at.fs, 0, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", at.fs, at.dir, err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
