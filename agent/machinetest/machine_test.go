package machinetest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/machinetest"
)

func TestMain(m *testing.M) { machinetest.Main(m.Run) }

func TestMachineIsEmpty(t *testing.T) {
	if pid := os.Getppid(); pid != 1 {
		t.Errorf("the tests' parent is %d, not process 1", pid)
	}
	for _, dir := range []string{"/run/netns", "/run/sallyport"} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", dir, entries, err)
		}
	}
	// But for what the kernel itself puts there.
	if pins, err := filepath.Glob("/sys/fs/bpf/s*"); err != nil || len(pins) > 0 {
		t.Errorf("/sys/fs/bpf: %v, %v", pins, err)
	}
	for dir, type_ := range map[string]int64{"/sys/fs/bpf": unix.BPF_FS_MAGIC, "/sys": unix.SYSFS_MAGIC, "/sys/fs/cgroup": unix.CGROUP2_SUPER_MAGIC} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil || fs.Type != type_ {
			t.Errorf("%s has type %x, %v", dir, fs.Type, err)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if (l.Flags&net.FlagLoopback == 0) != (l.Flags&net.FlagUp == 0) {
			t.Errorf("%s has flags %s", l.Name, l.Flags)
		}
		if _, err := os.Stat("/sys/class/net/" + l.Name); err != nil {
			t.Error(err)
		}
	}
}

// TestOrphansAreReaped: a process whose parent is gone is gone, too, when it has ended.
func TestOrphansAreReaped(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "sleep 0.1 >/dev/null & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !errors.Is(unix.Kill(pid, 0), unix.ESRCH); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// again is this test as another process, on another machine.
func again(t *testing.T) *exec.Cmd {
	c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), child+"=1", "SALLYPORT_TEST_MACHINE=")
	return c
}

const child = "SALLYPORT_TEST_CHILD"

// TestExitCode: what becomes of the tests becomes of the process that was called.
func TestExitCode(t *testing.T) {
	if os.Getenv(child) != "" {
		t.Fatal("on purpose")
	}
	c := again(t)
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "on purpose") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestKilled: with the process that was called go all that its tests have started.
func TestKilled(t *testing.T) {
	if os.Getenv(child) != "" {
		c := exec.CommandContext(t.Context(), "sh", "-c", "echo started; exec sleep 1000")
		c.Stdout = os.Stdout
		t.Fatal(c.Run())
	}
	c := again(t)
	said, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = other
	if err := errors.Join(c.Start(), other.Close(), said.SetReadDeadline(time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(said, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if _, err := io.ReadAll(said); err != nil { // until nobody holds the other end
		t.Fatal(err)
	}
}
