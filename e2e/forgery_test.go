package e2e_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/lab"
	"github.com/sallyport/sallyport/vpc"
)

// forgery: root in a guest's own namespace writes frames of its own on its wire. What claims what is
// not the guest's never comes out; a frame that is right does, which shows that the others would have
// been seen.
func (s *story) forgery(t *testing.T) {
	eth := s.web.link(t)
	mac := eth.Attrs().HardwareAddr
	other, otherMAC := s.db.addr, s.db.link(t).Attrs().HardwareAddr
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	gateway := s.web.bridge(t).Attrs().HardwareAddr
	to := s.outsideAddr()

	frames := map[string][]byte{
		"forged source address":       udp(mac, gateway, other, to),
		"forged MAC":                  udp(otherMAC, gateway, s.web.addr, to),
		"forged address of elsewhere": udp(mac, gateway, s.elsewhere(), to),
	}
	var right []byte
	if s.v6 {
		frames["neighbour advertisement of another's address"] = na(mac, s.web.addr, other, mac)
		frames["neighbour advertisement from another's address"] = na(mac, other, other, mac)
		frames["neighbour advertisement with another MAC"] = na(mac, s.web.addr, s.web.addr, otherMAC)
		right = na(mac, s.web.addr, s.web.addr, mac)
	} else {
		frames["ARP answer for another's address"] = arp(2, mac, mac, other, mac, to)
		frames["gratuitous ARP for another's address"] = arp(1, mac, mac, other, broadcast, other)
		frames["ARP answer for the router"] = arp(2, mac, mac, s.router(t), broadcast, other)
		frames["ARP answer with another MAC"] = arp(2, mac, otherMAC, s.web.addr, broadcast, other)
		right = arp(1, mac, mac, s.web.addr, broadcast, other)
	}

	tap := s.web.listen(t)
	send := s.web.sender(t, eth.Attrs().Index)
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			send(t, frame)
			send(t, right) // comes after it, on the same wire
			for {
				got := tap(t)
				if bytes.Equal(got, pad(right)) || bytes.Equal(got, right) {
					return
				}
				if bytes.HasPrefix(got, frame) {
					t.Fatalf("it came out:\n% x", got)
				}
			}
		})
	}
}

// elsewhere is an address of no VPC.
func (s *story) elsewhere() netip.Addr {
	if s.v6 {
		return netip.MustParseAddr("2001:db8:1::1")
	}
	return netip.MustParseAddr("203.0.113.9")
}

// router is the router of the story's subnet.
func (s *story) router(t *testing.T) netip.Addr {
	t.Helper()
	block := s.d.query(t, "Subnets[0].CidrBlock", "describe-subnets", "--subnet-ids", s.subnet)
	return netip.MustParsePrefix(block).Addr().Next()
}

// link returns the guest's eth0.
func (g guest) link(t *testing.T) (l netlink.Link) {
	t.Helper()
	if err := g.in(func() (err error) { l, err = netlink.LinkByName("eth0"); return err }); err != nil {
		t.Fatalf("eth0 of %s: %v", g.place, err)
	}
	return l
}

const ethPAll = 0x0300 // ETH_P_ALL, network byte order

// sender returns a function that writes frames on the guest's wire, as root in it can.
func (g guest) sender(t *testing.T, ifindex int) func(*testing.T, []byte) {
	t.Helper()
	var fd int
	if err := g.in(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatalf("packet socket in %s: %v", g.place, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func(t *testing.T, frame []byte) {
		t.Helper()
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifindex, Halen: 6}); err != nil {
			t.Fatalf("send a frame: %v", err)
		}
	}
}

// listen returns a function that waits for the next frame that comes out of the guest's device: what
// the bridge of its subnet gets.
func (g guest) listen(t *testing.T) func(*testing.T) []byte {
	t.Helper()
	br := g.bridge(t)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, ethPAll)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethPAll, Ifindex: br.Attrs().Index}),
		netlink.SetPromiscOn(br),
	); err != nil {
		t.Fatalf("listen on %s: %v", br.Attrs().Name, err)
	}
	t.Cleanup(func() { _ = netlink.SetPromiscOff(br) })
	return func(t *testing.T) []byte {
		t.Helper()
		tv := unix.NsecToTimeval(limit.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("no frame came out within %s, not even the one that is right: %v", limit, err)
		}
		return buf[:n]
	}
}

// bridge returns the bridge of the guest's subnet.
func (g guest) bridge(t *testing.T) netlink.Link {
	t.Helper()
	host, err := netlink.LinkByName(lab.DeviceName(vpc.InterfaceID(g.eni)))
	if err != nil {
		t.Fatal(err)
	}
	br, err := netlink.LinkByIndex(host.Attrs().MasterIndex)
	if err != nil {
		t.Fatal(err)
	}
	return br
}

// pad is a frame at Ethernet's shortest length.
func pad(frame []byte) []byte {
	if len(frame) >= 60 {
		return frame
	}
	return append(bytes.Clone(frame), make([]byte, 60-len(frame))...)
}

func ethernet(src, dst net.HardwareAddr, etherType uint16) []byte {
	return binary.BigEndian.AppendUint16(append(bytes.Clone(dst), src...), etherType)
}

func arp(op uint16, ethSrc, sender net.HardwareAddr, senderIP netip.Addr, target net.HardwareAddr, targetIP netip.Addr) []byte {
	f := ethernet(ethSrc, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, unix.ETH_P_ARP)
	f = append(f, 0, 1, 8, 0, 6, 4)
	f = binary.BigEndian.AppendUint16(f, op)
	f = append(append(f, sender...), senderIP.AsSlice()...)
	return append(append(f, target...), targetIP.AsSlice()...)
}

// udp is a datagram to port 80 of dst, of either family.
func udp(ethSrc, ethDst net.HardwareAddr, src, dst netip.Addr) []byte {
	payload := []byte("forged")
	datagram := binary.BigEndian.AppendUint16(nil, 4242)
	datagram = binary.BigEndian.AppendUint16(datagram, 80)
	datagram = binary.BigEndian.AppendUint16(datagram, uint16(8+len(payload)))
	datagram = append(append(datagram, 0, 0), payload...)
	return ip(ethSrc, ethDst, src, dst, unix.IPPROTO_UDP, 64, datagram)
}

func ip(ethSrc, ethDst net.HardwareAddr, src, dst netip.Addr, proto, hops byte, body []byte) []byte {
	if src.Is6() {
		f := append(ethernet(ethSrc, ethDst, unix.ETH_P_IPV6), 0x60, 0, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(len(body)))
		f = append(f, proto, hops)
		return append(append(append(f, src.AsSlice()...), dst.AsSlice()...), body...)
	}
	h := []byte{0x45, 0}
	h = binary.BigEndian.AppendUint16(h, uint16(20+len(body)))
	h = append(h, 0, 0, 0, 0, hops, proto, 0, 0)
	h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(append(ethernet(ethSrc, ethDst, unix.ETH_P_IP), h...), body...)
}

// na is an unsolicited neighbour advertisement to all nodes.
func na(ethSrc net.HardwareAddr, src, target netip.Addr, linkLayer net.HardwareAddr) []byte {
	dst := netip.MustParseAddr("ff02::1")
	body := []byte{136, 0, 0, 0, 0x20, 0, 0, 0} // override
	body = append(append(body, target.AsSlice()...), 2, 1)
	body = append(body, linkLayer...)
	pseudo := append(append(bytes.Clone(src.AsSlice()), dst.AsSlice()...), 0, 0, 0, byte(len(body)), 0, 0, 0, 58)
	binary.BigEndian.PutUint16(body[2:], checksum(append(pseudo, body...)))
	return ip(ethSrc, net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, src, dst, unix.IPPROTO_ICMPV6, 255, body)
}

// checksum is the Internet checksum. Source: RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
