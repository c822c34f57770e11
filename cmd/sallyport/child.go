package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a process that dev keeps running. It says that it is ready as services say it to systemd
// (sd_notify), and dies with dev.
type child struct {
	name    string
	command []string
	stderr  io.Writer
	log     *slog.Logger
}

// exitError is a child that never became ready. It has said why itself.
type exitError struct {
	name string
	code int
}

func (e *exitError) Error() string { return fmt.Sprintf("the %s could not start", e.name) }

// run starts the child, closes ready when it first is, and starts it again whenever it dies, until
// ctx ends; then it stops it with SIGTERM. A child that dies before it was ever ready is an error.
func (c *child) run(ctx context.Context, ready chan<- struct{}) error {
	sock := fmt.Sprintf("@sallyport-%d-%s", os.Getpid(), c.name) // abstract: it leaves no file
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: sock, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen for the %s: %w", c.name, err)
	}
	defer conn.Close()
	notified := make(chan struct{}, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed
			}
			for line := range strings.Lines(string(buf[:n])) {
				if strings.TrimSpace(line) == "READY=1" {
					select {
					case notified <- struct{}{}:
					default:
					}
				}
			}
		}
	}()

	wasReady := false
	for {
		cmd, exited, err := c.start(sock)
		if err != nil {
			return err
		}
		running := true
		for running {
			select {
			case <-notified:
				if !wasReady {
					wasReady = true
					close(ready)
				}
			case err := <-exited:
				if ctx.Err() != nil {
					return nil
				}
				if !wasReady {
					return &exitError{c.name, cmd.ProcessState.ExitCode()}
				}
				c.log.Warn("a part of dev died, starts again", "part", c.name, "err", err)
				running = false
			case <-ctx.Done():
				return c.stop(cmd, exited)
			}
		}
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
			return nil
		}
	}
}

// start starts the child on a thread of its own: the kernel kills the child when the thread that
// started it ends, and this one ends with the process.
func (c *child) start(sock string) (*exec.Cmd, <-chan error, error) {
	cmd := exec.Command(c.command[0], c.command[1:]...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+sock)
	cmd.Stderr = c.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C is for dev, which stops its children in order
		Pdeathsig: syscall.SIGKILL,
	}
	started, exited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start the %s: %w", c.name, err)
			return
		}
		started <- nil
		exited <- cmd.Wait()
	}()
	return cmd, exited, <-started
}

func (c *child) stop(cmd *exec.Cmd, exited <-chan error) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the %s: %w", c.name, err)
	}
	select {
	case err := <-exited:
		if err != nil {
			return fmt.Errorf("the %s did not stop cleanly: %w", c.name, err)
		}
		return nil
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-exited //nolint:errcheck // it was killed: how it ended says nothing
		return fmt.Errorf("the %s did not stop within %s and was killed", c.name, stopTimeout)
	}
}
