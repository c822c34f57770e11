package datapath_test

import (
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
)

// TestHeadersInPages: a frame is judged alike wherever its sender has ended the part that stands in one
// piece, and begun the pages: before, in, or behind its headers.
func TestHeadersInPages(t *testing.T) {
	t.Parallel()
	w := newWire(t, datapath.Options{})
	w.apply(view(allowAll()...))
	w.do(func() {
		for _, name := range []string{"g0", "g0p", "f0", "f0p"} {
			l, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetMTU(l, 9000))
		}
	})
	data := make([]byte, 5000) // more than a page
	options := make([]byte, 40)
	for i := range options {
		options[i] = 1 // nothing
	}
	frames := map[string]frame{
		"IPv4 TCP":              tcp(own4, remote4, 1000, 80, syn),
		"IPv4 TCP with options": tcp(own4, remote4, 1001, 80, syn).with("", func(f *frame) { f.options = options }),
		"IPv4 UDP":              udp(own4, remote4, 1000, 80),
		"IPv4 ping":             icmp(own4, remote4, 8, 0, 1),
		"IPv4 fragment":         piece(own4, remote4, unix.IPPROTO_UDP, 1, 0, true, udp(own4, remote4, 7, 80).with("", func(f *frame) { f.data = data[:4992] }).l4()),
		"IPv6 TCP":              tcp(own6, remote6, 1000, 80, syn),
		"IPv6 UDP":              udp(own6, remote6, 1000, 80),
		"IPv6 ping":             icmp(own6, remote6, 128, 0, 1),
		"IPv6 TCP with headers": tcp(own6, remote6, 1001, 80, syn).with("", func(f *frame) {
			f.next, f.options = unix.IPPROTO_DSTOPTS, extension(unix.IPPROTO_TCP, 1, 4, 0, 0, 0, 0)
		}),
	}
	for name, f := range frames {
		t.Run(name, func(t *testing.T) {
			f.data = data
			b := f.bytes()
			for linear := 14; linear < 160; linear++ {
				header := make([]byte, 10) // struct virtio_net_hdr
				binary.NativeEndian.PutUint16(header[2:], uint16(linear))
				_, err := unix.Write(w.ends[ruleset.Egress], append(header, b...))
				must(t, err)
				if got := w.passed(ruleset.Egress); got != 1 {
					t.Fatalf("with %d bytes in one piece: %d frames came out, want 1", linear, got)
				}
			}
		})
	}
}
