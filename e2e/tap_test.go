package e2e_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tap sees the packets of one device, as it gets them.
type tap struct {
	f       *os.File
	mu      sync.Mutex
	watches []*watch
}

// watch waits for one packet.
type watch struct {
	what string
	is   func(datagram) bool
	seen chan struct{} // closed when it came
	once sync.Once
}

// datagram is an IP packet.
type datagram struct {
	src, dst netip.Addr
	proto    uint8
	payload  []byte
}

func openTap(p place, device string) (*tap, error) {
	t := &tap{}
	err := p.in(func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ethPAll)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethPAll, Ifindex: l.Attrs().Index}); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		t.f = os.NewFile(uintptr(fd), device)
		return nil
	})
	if err != nil {
		return nil, err
	}
	go t.read()
	return t, nil
}

func (t *tap) close() { _ = t.f.Close() }

func (t *tap) read() {
	raw, err := t.f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		t.look(int(fd))
		return false // for more, until it is closed
	})
}

// look looks at all packets that have come so far.
func (t *tap) look(fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.EINTR) {
			continue // its device went down, and may come back
		}
		if err != nil {
			return
		}
		d, ok := parse(buf[:n])
		if !ok {
			continue
		}
		for _, w := range t.watches {
			if w.is(d) {
				w.once.Do(func() { close(w.seen) })
			}
		}
	}
}

// settle returns once all packets that have come so far were looked at: where others keep the machine busy, the one who
// reads may be late.
func (t *tap) settle() error {
	raw, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { t.look(int(fd)) })
}

func (t *tap) watch(w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watches = append(t.watches, w)
}

// parse reads an IP packet without extension headers.
func parse(b []byte) (d datagram, ok bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && len(b) >= int(b[0]&15)*4:
		d.src, d.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		d.proto, d.payload = b[9], b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6:
		d.src, d.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		d.proto, d.payload = b[6], b[40:]
	default:
		return d, false
	}
	return d, true
}

// ports are those of a TCP segment or UDP datagram; 0, 0 for what is neither.
func (d datagram) ports() (src, dst uint16) {
	if d.proto != unix.IPPROTO_TCP && d.proto != unix.IPPROTO_UDP || len(d.payload) < 4 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(d.payload), binary.BigEndian.Uint16(d.payload[2:])
}

// isSYN reports whether it is the first segment of a TCP connection.
func (d datagram) isSYN() bool {
	const syn, ack = 2, 16
	return d.proto == unix.IPPROTO_TCP && len(d.payload) >= 20 && d.payload[13]&(syn|ack) == syn
}
