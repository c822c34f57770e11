package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The cells of this file are sockets of the guests. They block their threads: the kernel's own
// scheduler is what they measure, not Go's.

func socketCells() []cell {
	return []cell{
		{[]row{{Name: "TCP connections (connect, 1 byte, close), 64 at once", Unit: "1/s"}}, connections},
		{[]row{{Name: "UDP round trip, p50", Unit: "µs"}, {Name: "UDP round trip, p99", Unit: "µs"}}, roundTrips},
		{[]row{{Name: "TCP throughput, 1 stream, GSO", Unit: "Mbit/s"}}, func(w *world, s sizes, _ int) ([]float64, error) {
			v, _, err := w.throughput(s)
			return []float64{v}, err
		}},
		{[]row{{Name: "TCP throughput, 1 stream, 1500-byte packets", Unit: "Mbit/s"}}, func(w *world, s sizes, _ int) ([]float64, error) {
			if err := w.segmentation(false); err != nil {
				return nil, err
			}
			v, size, err := w.throughput(s)
			if err == nil && size > 1514 {
				err = fmt.Errorf("packets of %.0f bytes arrived, want at most 1514: GSO is not off", size)
			}
			return []float64{v}, errors.Join(err, w.segmentation(true))
		}},
	}
}

// segmentation turns guest A's offloads for sending on or off. Without them it sends what goes over a
// wire of 1500 bytes.
func (w *world) segmentation(on bool) error {
	return w.a.do(func() error { return errors.Join(setOffload(inGuest, tso, on), setOffload(inGuest, gso, on)) })
}

// patience is how long an answer may take. One that is allowed takes microseconds.
var patience = unix.Timeval{Sec: 5}

// socket makes a socket that blocks, and gives up after patience.
func socket(f family, kind int) (int, error) {
	domain := unix.AF_INET
	if f == ipv6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func at(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: a.As16()}
}

// addrB is where these cells' clients go.
var addrB = network[ipv4].b

// bound makes a socket of guest B on a port.
func (w *world) bound(kind, port int) (fd int, err error) {
	err = w.b.do(func() error {
		if fd, err = socket(ipv4, kind); err != nil {
			return err
		}
		err = unix.Bind(fd, at(addrB, port))
		if err == nil && kind == unix.SOCK_STREAM {
			err = unix.Listen(fd, 1024)
		}
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		return nil
	})
	return fd, err
}

// deniedTCP checks that a connection to a port that no rule allows comes to nothing; without a
// filter the guest itself refuses it at once.
func (w *world) deniedTCP() error {
	return w.a.do(func() error {
		fd, err := socket(ipv4, unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		short := unix.Timeval{Usec: 40_000}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &short); err != nil {
			return err
		}
		err = again(func() error { return unix.Connect(fd, at(addrB, closedPort)) })
		dropped := errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ETIMEDOUT)
		if dropped != w.filters || !dropped && !errors.Is(err, unix.ECONNREFUSED) {
			return fmt.Errorf("%w: a connection to port %d: %w", errWrong, closedPort, err)
		}
		return nil
	})
}

const (
	clientThreads   = 64
	serverThreads   = 8
	connectionPorts = 8
)

// connections opens connections from A to B as fast as it can, 64 at once. Each carries one byte to
// the server, which answers with the end of the connection.
func connections(w *world, s sizes, _ int) (_ []float64, err error) {
	if err := errors.Join(w.forgetConnections(), w.deniedTCP()); err != nil {
		return nil, err
	}
	var listeners []int
	var servers errgroup.Group
	defer func() {
		for _, fd := range listeners {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR) // wakes those that accept
		}
		err = errors.Join(err, servers.Wait())
		for _, fd := range listeners {
			err = errors.Join(err, unix.Close(fd))
		}
	}()
	for i := range connectionPorts {
		fd, err := w.bound(unix.SOCK_STREAM, connectionPort+i)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, fd)
	}
	var served atomic.Int64
	for i := range serverThreads {
		fd := listeners[i%connectionPorts]
		servers.Go(func() error { return onThread(func() error { return serve(fd, &served) }) })
	}
	var done atomic.Int64
	var clients errgroup.Group
	start := make(chan struct{})
	var end time.Time
	var ready sync.WaitGroup
	ready.Add(clientThreads)
	for i := range clientThreads {
		to := at(addrB, connectionPort+i%connectionPorts)
		clients.Go(func() error {
			return w.a.do(func() error {
				ready.Done()
				<-start
				for time.Now().Before(end) {
					if err := connect(to); err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			})
		})
	}
	ready.Wait()
	began := time.Now()
	end = began.Add(s.Sockets)
	close(start)
	err = clients.Wait()
	took := time.Since(began)
	if err == nil && served.Load() < done.Load() {
		err = fmt.Errorf("%w: %d connections were made, %d bytes arrived", errWrong, done.Load(), served.Load())
	}
	return []float64{float64(done.Load()) / took.Seconds()}, err
}

func connect(to unix.Sockaddr) error {
	fd, err := socket(ipv4, unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Asked again, the kernel goes on with the same connection.
	if err := again(func() error { return unix.Connect(fd, to) }); err != nil && !errors.Is(err, unix.EISCONN) {
		return fmt.Errorf("connect: %w", err)
	}
	var b [1]byte
	if err := again(func() error { _, err := unix.Write(fd, b[:]); return err }); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	var n int
	if err := again(func() (err error) { n, err = unix.Read(fd, b[:]); return err }); n != 0 || err != nil {
		return fmt.Errorf("wait for the end: read %d bytes: %w", n, err)
	}
	return nil
}

// again calls until no signal interrupts it. The Go runtime's do that to calls on a socket that has a time-out.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// serve takes connections until its listener is shut down.
func serve(listener int, served *atomic.Int64) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if errors.Is(err, unix.EINVAL) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		var b [1]byte
		var n int
		err = again(func() (err error) { n, err = unix.Read(fd, b[:]); return err })
		if n == 1 {
			served.Add(1)
		}
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
}

// roundTrips sends one packet after the other to B, which sends each back. Both ends stay on one CPU:
// otherwise where the scheduler happens to put them decides.
func roundTrips(w *world, s sizes, _ int) (_ []float64, err error) {
	if err := w.deniedTCP(); err != nil {
		return nil, err
	}
	server, err := w.bound(unix.SOCK_DGRAM, roundTripPort)
	if err != nil {
		return nil, err
	}
	var echo errgroup.Group
	echo.Go(func() error {
		return onThread(func() error {
			if err := stayOn(w.generator.cpu); err != nil {
				return err
			}
			var b [64]byte
			for {
				n, from, err := unix.Recvfrom(server, b[:], 0)
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil {
					return fmt.Errorf("echo: %w", err)
				}
				if n == 0 { // the end
					return nil
				}
				if err := unix.Sendto(server, b[:n], 0, from); err != nil {
					return fmt.Errorf("echo: %w", err)
				}
			}
		})
	})
	var took []float64
	err = w.a.do(func() error {
		if err := stayOn(w.generator.cpu); err != nil {
			return err
		}
		fd, err := socket(ipv4, unix.SOCK_DGRAM)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, at(addrB, roundTripPort)); err != nil {
			return err
		}
		defer func() { _, _ = unix.Write(fd, nil) }()
		var b [64]byte
		const warmUp = 100
		for i := range warmUp + s.RoundTrips {
			began := time.Now()
			if _, err := unix.Write(fd, b[:18]); err != nil {
				return err
			}
			var n int
			err := again(func() (err error) { n, err = unix.Read(fd, b[:]); return err })
			if n != 18 || err != nil {
				return fmt.Errorf("%w: round trip %d: %d bytes: %w", errWrong, i, n, err)
			}
			if i >= warmUp {
				took = append(took, float64(time.Since(began).Nanoseconds())/1000)
			}
		}
		return nil
	})
	if err != nil {
		_ = unix.Shutdown(server, unix.SHUT_RDWR)
	}
	err = errors.Join(err, echo.Wait(), unix.Close(server))
	return []float64{median(took), quantile(took, 0.99)}, err
}

// throughput sends from A to B over one connection and returns Mbit/s, and the mean size of the
// packets that arrived.
func (w *world) throughput(s sizes) (mbits, size float64, err error) {
	if err := errors.Join(w.forgetConnections(), w.deniedTCP()); err != nil {
		return 0, 0, err
	}
	listener, err := w.bound(unix.SOCK_STREAM, throughputPort)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(listener)
	bytesBefore, packetsBefore, err := w.received()
	if err != nil {
		return 0, 0, err
	}
	var received int64
	var took time.Duration
	var both errgroup.Group
	both.Go(func() error {
		return onThread(func() error {
			var fd int
			err := again(func() (err error) { fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); return err })
			if err != nil {
				return fmt.Errorf("accept: %w", err)
			}
			defer unix.Close(fd)
			b := make([]byte, 256<<10)
			began := time.Now()
			for {
				n, err := unix.Read(fd, b)
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil {
					return fmt.Errorf("receive: %w", err)
				}
				if n == 0 {
					took = time.Since(began)
					return nil
				}
				received += int64(n)
			}
		})
	})
	var sent int64
	both.Go(func() error {
		return w.a.do(func() error {
			fd, err := socket(ipv4, unix.SOCK_STREAM)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			err = again(func() error { return unix.Connect(fd, at(addrB, throughputPort)) })
			if err != nil && !errors.Is(err, unix.EISCONN) {
				return fmt.Errorf("connect: %w", err)
			}
			b := make([]byte, 256<<10)
			for end := time.Now().Add(s.Sockets); time.Now().Before(end); {
				n, err := unix.Write(fd, b)
				if err != nil && !errors.Is(err, unix.EINTR) {
					return fmt.Errorf("send: %w", err)
				}
				sent += int64(max(n, 0))
			}
			return nil
		})
	})
	if err := both.Wait(); err != nil {
		return 0, 0, err
	}
	if received != sent || received == 0 {
		return 0, 0, fmt.Errorf("%w: %d bytes were sent, %d arrived", errWrong, sent, received)
	}
	bytesAfter, packetsAfter, err := w.received()
	if err != nil {
		return 0, 0, err
	}
	return float64(received) * 8 / took.Seconds() / 1e6, float64(bytesAfter-bytesBefore) / float64(packetsAfter-packetsBefore), nil
}

// received is what B's device has got so far.
func (w *world) received() (bytes, packets uint64, err error) {
	err = w.b.do(func() error {
		l, err := netlink.LinkByName(inGuest)
		if err != nil {
			return err
		}
		bytes, packets = l.Attrs().Statistics.RxBytes, l.Attrs().Statistics.RxPackets
		return nil
	})
	return bytes, packets, err
}
