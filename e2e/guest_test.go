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

const (
	// patience is how long a packet that is dropped is waited for. One that passes takes microseconds.
	patience = 700 * time.Millisecond
	// limit bounds a wait for what must come, on a machine that does other things too: only a failure takes as long.
	limit = 60 * time.Second
)

// dial opens a TCP connection from a place.
func (p place) dial(addr netip.Addr, port int) (net.Conn, error) { return p.dialFor(limit, addr, port) }

func (p place) dialFor(wait time.Duration, addr netip.Addr, port int) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
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
	late    outcome = "answers, but not to the first SYN"
)

// tries tells what a TCP connection from a place to addr and port comes to.
func (p place) tries(addr netip.Addr, port int) (outcome, error) {
	return p.triesFor(patience, addr, port)
}

func (p place) triesFor(wait time.Duration, addr netip.Addr, port int) (outcome, error) {
	c, err := p.dialFor(wait, addr, port)
	switch {
	case err == nil:
		defer c.Close()
		again, err := retransmitted(c)
		if err != nil || again > 0 {
			return late, err
		}
		return answers, echoFor(wait, c, "hello")
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) || strings.Contains(err.Error(), "i/o timeout"):
		return silence, nil
	case errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ECONNRESET):
		return refusal, nil
	default:
		return "", err
	}
}

// retransmitted returns how many segments of a TCP connection were sent again by its end.
func retransmitted(c net.Conn) (n uint32, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	err = errors.Join(raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}), err)
	if err != nil {
		return 0, fmt.Errorf("ask for retransmissions: %w", err)
	}
	return info.Total_retrans, nil
}

// expect checks what a TCP connection comes to.
func (p place) expect(t *testing.T, want outcome, addr netip.Addr, port int, why string) {
	t.Helper()
	wait := limit
	if want == silence {
		wait = patience
	}
	if err := p.check(wait, want, addr, port); err != nil {
		t.Errorf("%s: %v", why, err)
	}
}

// comesTo waits until TCP connections come to that, where nothing says when it is so.
func (p place) comesTo(t *testing.T, want outcome, addr netip.Addr, port int, what string) {
	t.Helper()
	eventually(t, what, func() error { return p.check(patience, want, addr, port) })
}

func (p place) check(wait time.Duration, want outcome, addr netip.Addr, port int) error {
	got, err := p.triesFor(wait, addr, port)
	if err == nil && got != want {
		err = fmt.Errorf("got %s, want %s", got, want)
	}
	if err != nil {
		return fmt.Errorf("%q -> %s:%d: %w", p, addr, port, err)
	}
	return nil
}

// echo says a word on a connection to serve and waits for it to come back.
func echo(c net.Conn, word string) error {
	return echoFor(limit, c, word)
}

func echoFor(wait time.Duration, c net.Conn, word string) error {
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
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
