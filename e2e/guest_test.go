package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// place is where a socket is opened: a guest's namespace by its instance id, or the host for "",
// which guests know as the outside.
type place string

const outside place = ""

// in runs fn on a thread inside the place's network. A socket belongs to the network in which it
// was opened; afterwards it may be used from anywhere.
func (p place) in(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if p != outside {
			ns, err := netns.GetFromName(string(p))
			if err == nil {
				err = netns.Set(ns)
				_ = ns.Close()
			}
			if err != nil {
				done <- fmt.Errorf("enter %s: %w", p, err)
				return
			}
		}
		done <- fn()
	}()
	return <-done
}

// serve answers TCP connections to a port in a place: each gets back what it sends. It ends with
// the test.
func (p place) serve(t *testing.T, port int) {
	t.Helper()
	var l net.Listener
	if err := p.in(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		t.Fatalf("serve port %d in %q: %v", port, p, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// patience is how long a packet that is dropped is waited for. One that passes takes microseconds;
// what is too short a wait here shows as a drop where none should be, never the other way round.
const patience = 700 * time.Millisecond

// dial opens a TCP connection from a place.
func (p place) dial(addr netip.Addr, port int) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	inErr := p.in(func() error {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(addr, uint16(port)).String())
		return nil
	})
	return c, errors.Join(inErr, err)
}

// outcome is what a client sees of an attempt.
type outcome string

const (
	answers outcome = "answers"
	silence outcome = "silence" // a time-out: dropped
	refusal outcome = "refusal" // RST or an ICMP error: somebody spoke
)

// tries tells what a TCP connection from a place to addr and port comes to.
func (p place) tries(addr netip.Addr, port int) (outcome, error) {
	c, err := p.dial(addr, port)
	switch {
	case err == nil:
		defer c.Close()
		return answers, echo(c, "hello")
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) || strings.Contains(err.Error(), "i/o timeout"):
		return silence, nil
	case errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ECONNRESET):
		return refusal, nil
	default:
		return "", err
	}
}

// expect checks what a TCP connection comes to.
func (p place) expect(t *testing.T, want outcome, addr netip.Addr, port int, why string) {
	t.Helper()
	got, err := p.tries(addr, port)
	if err != nil {
		t.Errorf("%s: %q -> %s:%d: %v", why, p, addr, port, err)
		return
	}
	if got != want {
		t.Errorf("%s: %q -> %s:%d: got %s, want %s", why, p, addr, port, got, want)
	}
}

// echo says a word on a connection to serve and waits for it to come back.
func echo(c net.Conn, word string) error {
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	buf := make([]byte, len(word))
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != word {
		return fmt.Errorf("echo of %q is %q", word, buf)
	}
	return nil
}
