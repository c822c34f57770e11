package main

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guestCells are small packets that a program in guest A sends, many with each call: beside the path
// they cost the guest's own network stack.
func guestCells() (cells []cell) {
	for _, f := range []family{ipv4, ipv6} {
		cells = append(cells, cell{
			[]row{{Family: f.String(), Name: fromGuest, Unit: "ns"}},
			func(w *world, s sizes, _ int) ([]float64, error) {
				if err := errors.Join(w.forgetConnections(), w.deniedTCP()); err != nil {
					return nil, err
				}
				ns, err := w.sendmmsg(f, s)
				return []float64{ns}, err
			},
		})
	}
	return cells
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

// sendmmsg sends UDP packets of 18 bytes over one established flow, 64 with each call, and returns the
// time per packet in ns.
func (w *world) sendmmsg(f family, s sizes) (float64, error) {
	const clientPort = 20000
	n := network[f]
	payload := make([]byte, 18)
	// The sinks end the packets; what B's socket is for is an answer.
	var answers int
	if err := w.b.do(func() (err error) {
		if answers, err = socket(f, unix.SOCK_DGRAM); err != nil {
			return err
		}
		return unix.Bind(answers, at(n.b, framePort))
	}); err != nil {
		return 0, err
	}
	defer unix.Close(answers)
	var took time.Duration
	count := int(w.fewer(s.Frames) / 64 * 64)
	err := w.a.do(func() error {
		if err := stayAloneOn(w.generator.cpu); err != nil {
			return err
		}
		fd, err := socket(f, unix.SOCK_DGRAM)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.Bind(fd, at(n.a, clientPort)), unix.Connect(fd, at(n.b, framePort))); err != nil {
			return err
		}
		pass := func(s *sink, count int, send func() error) error {
			before, err := s.read()
			if err != nil {
				return err
			}
			if err := send(); err != nil {
				return err
			}
			got, err := s.await(before, sunkAllowed, uint64(count))
			return errors.Join(err, expect(got, uint64(count)))
		}
		there := func() error { _, err := unix.Write(fd, payload); return err }
		back := func() error { return unix.Sendto(answers, payload, 0, at(n.a, clientPort)) }
		if err := errors.Join(pass(w.sinkB, 1, there), pass(w.sinkA, 1, back), pass(w.sinkB, 1, there)); err != nil {
			return fmt.Errorf("establish a flow: %w", err)
		}
		piece := unix.Iovec{Base: &payload[0], Len: uint64(len(payload))}
		var batch [64]message
		for i := range batch {
			batch[i].header.Iov, batch[i].header.Iovlen = &piece, 1
		}
		return pass(w.sinkB, count, func() error {
			began := time.Now()
			for sent := 0; sent < count; {
				n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&batch[0])), uintptr(min(len(batch), count-sent)), 0, 0, 0)
				if errno != 0 && errno != unix.EINTR {
					return fmt.Errorf("sendmmsg: %w", errno)
				}
				if errno == 0 {
					sent += int(n)
				}
			}
			took = time.Since(began)
			return nil
		})
	})
	return float64(took.Nanoseconds()) / float64(count), err
}
