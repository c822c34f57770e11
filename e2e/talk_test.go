package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/ruleset/scenariotest"
	"github.com/sallyport/sallyport/vpc"
)

// hush is how long nothing must arrive before a packet is taken for dropped. One that comes later
// still fails the scenario.
const hush = 250 * time.Millisecond

// talk is a flow between two ends, with sockets of its own.
type talk interface {
	// start sends the first packet.
	start() error
	// started is called when that has arrived: it returns once the flow can go on.
	started() error
	// send sends a word from the near end, or from the far.
	send(word []byte, reply bool) error
	close()
}

// route is a flow with real places, addresses and the packet as it will be on the wire.
type route struct {
	scenariotest.Flow
	near, far     place
	local, remote netip.Addr // of the near end and of the far end
	toNear, toFar []*tap     // what sees a packet arrive there
}

// channel is what a packet of a protocol without ports belongs to.
type channel struct {
	low, high netip.Addr
	proto     uint8
}

func (e *packets) route(f scenariotest.Flow) route {
	r := route{Flow: f, local: e.real(f.From.Addr), remote: e.real(f.To.Addr)}
	r.near, r.toNear = e.at(f.From)
	r.far, r.toFar = e.at(f.To)
	return r
}

func (e *packets) Start(f scenariotest.Flow) (o scenariotest.Outcome, err error) {
	if err := e.late(); err != nil {
		return o, err
	}
	r := e.route(f)
	c, portless := r.channel()
	if portless && e.probed[c] {
		return o, fmt.Errorf("an earlier probe of protocol %d may have left a connection: this one shows nothing", c.proto)
	}
	if err := errors.Join(e.hold(f.From), e.hold(f.To)); err != nil {
		return o, fmt.Errorf("hold the addresses: %w", err)
	}
	t, err := r.open()
	if err != nil {
		return o, fmt.Errorf("open sockets: %w", err)
	}
	if f.Name == "" {
		defer t.close()
	} else {
		e.talks[f.Name] = t
	}
	o.Passed, err = e.arrives(fmt.Sprintf("%s -> %s", f.From, f.To), r.toFar, r.first, t.start)
	if err != nil || !o.Passed {
		return o, err
	}
	if portless && f.Name == "" {
		e.probed[c] = true
	}
	return o, t.started()
}

func (e *packets) Send(f scenariotest.Flow, reply bool) (o scenariotest.Outcome, err error) {
	if err := e.late(); err != nil {
		return o, err
	}
	t := e.talks[f.Name]
	if t == nil {
		return o, fmt.Errorf("flow %s was never opened", f.Name)
	}
	r := e.route(f)
	src, dst, to := r.local, r.remote, r.toFar
	if reply {
		src, dst, to = r.remote, r.local, r.toNear
	}
	e.words++
	word := binary.BigEndian.AppendUint64([]byte("word"), e.words)
	o.Passed, err = e.arrives(fmt.Sprintf("%s, reply %v", f.Name, reply), to, func(d datagram) bool {
		return d.src == src && d.dst == dst && d.proto == f.Packet.Protocol && bytes.Contains(d.payload, word)
	}, func() error { return t.send(word, reply) })
	return o, err
}

func (e *packets) Fail(f scenariotest.Flow) (o scenariotest.Outcome, err error) {
	if err := e.late(); err != nil {
		return o, err
	}
	r := e.route(f)
	f.Packet.Src, f.Packet.Dst = r.local, r.remote
	p, body := f.Error(), f.ErrorBody()
	network := "ip4:icmp"
	if p.Src.Is6() {
		network = "ip6:ipv6-icmp"
	}
	b := append([]byte{p.ICMPType, p.ICMPCode, 0, 0}, body...)
	if p.Src.Is4() { // of ICMPv6 the kernel computes it
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	o.Passed, err = e.arrives(f.Name+", an error", r.toNear, func(d datagram) bool {
		return d.src == p.Src && d.dst == p.Dst && d.proto == p.Protocol && len(d.payload) > 4 && bytes.Equal(d.payload[4:], body)
	}, func() error {
		return r.far.in(func() error {
			c, err := net.ListenIP(network, &net.IPAddr{IP: p.Src.AsSlice()})
			if err != nil {
				return err
			}
			_, err = c.WriteTo(b, &net.IPAddr{IP: p.Dst.AsSlice()})
			return errors.Join(err, c.Close())
		})
	})
	return o, err
}

// Stream sends packets of new flows all the time. It returns once some were sent, and so does its end.
func (e *packets) Stream(f scenariotest.Flow) (end func() (sent, arrived int, err error), err error) {
	const some = 500
	// A source port comes again after more flows than an interface has half-open.
	o := streamtest.Options{Rate: 5000, Lanes: []streamtest.Lane{{
		Name: "throughout", Source: 10000, Sources: 20000, Destination: f.Packet.DstPort,
	}}}
	r := e.route(f)
	var errs [3]error
	o.Host, errs[0] = netns.Get()
	o.From, errs[1] = r.near.end(r.local)
	o.To, errs[2] = r.far.end(r.remote)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	s, err := streamtest.Start(o)
	if err != nil {
		return nil, err
	}
	s.WaitFor(e.ctx, some)
	return func() (sent, arrived int, err error) {
		s.WaitFor(e.ctx, some)
		result, err := s.Stop()
		if err := errors.Join(err, o.Host.Close(), o.From.NS.Close(), o.To.NS.Close()); err != nil {
			return 0, 0, err
		}
		// What found a queue of the kernel full was never the filters'.
		sent, arrived = result.Lanes[0].Sent, result.Lanes[0].Arrived
		return sent - min(sent-arrived, int(result.Elsewhere)), arrived, nil
	}, nil
}

// arrives sends a packet and reports whether it arrives.
func (e *packets) arrives(what string, at []*tap, is func(datagram) bool, send func() error) (bool, error) {
	w := &watch{what: what, is: is, seen: make(chan struct{})}
	for _, t := range at {
		t.watch(w)
	}
	if err := send(); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	select {
	case <-w.seen:
		return true, nil
	case <-time.After(hush):
		for _, t := range at {
			if err := t.settle(); err != nil {
				return false, err
			}
		}
		select {
		case <-w.seen:
			return true, nil
		default:
		}
		e.silent = append(e.silent, w)
		return false, nil
	}
}

// late returns an error if a packet came after it was taken for dropped.
func (e *packets) late() (err error) {
	for _, w := range e.silent {
		select {
		case <-w.seen:
			err = errors.Join(err, fmt.Errorf("%s was taken for dropped, and came later than %s", w.what, hush))
		default:
		}
	}
	return err
}

// channel returns what a packet of a protocol without ports belongs to. ICMP has identifiers.
func (r route) channel() (channel, bool) {
	if vpc.Protocol(r.Packet.Protocol).HasPorts() {
		return channel{}, false
	}
	c := channel{r.local, r.remote, r.Packet.Protocol}
	if c.high.Less(c.low) {
		c.low, c.high = c.high, c.low
	}
	return c, true
}

// first tells the flow's first packet among others.
func (r route) first(d datagram) bool {
	p := r.Packet
	if d.src != r.local || d.dst != r.remote || d.proto != p.Protocol {
		return false
	}
	switch vpc.Protocol(p.Protocol) {
	case vpc.TCP, vpc.UDP:
		src, dst := d.ports()
		return src == p.SrcPort && dst == p.DstPort && (p.Protocol == unix.IPPROTO_UDP || d.isSYN())
	case vpc.ICMP, vpc.ICMPv6:
		return len(d.payload) >= 8 && d.payload[0] == p.ICMPType && d.payload[1] == p.ICMPCode &&
			binary.BigEndian.Uint16(d.payload[4:]) == r.ID
	default:
		return true
	}
}

// open makes the flow's sockets. A program cannot listen on port 0, nor be asked for a protocol of
// its own: those, and ICMP, go through raw sockets.
func (r route) open() (talk, error) {
	switch {
	case r.Packet.DstPort != 0 && r.Packet.Protocol == unix.IPPROTO_TCP:
		return newStream(r)
	case r.Packet.DstPort != 0 && r.Packet.Protocol == unix.IPPROTO_UDP:
		return newDatagrams(r)
	default:
		return newRaw(r)
	}
}

// stream is a TCP connection.
type stream struct {
	route
	listener net.Listener
	cancel   context.CancelFunc
	dialed   chan error

	client, server net.Conn
}

func newStream(r route) (talk, error) {
	s := &stream{route: r, dialed: make(chan error, 1), cancel: func() {}}
	return s, r.far.in(func() (err error) {
		s.listener, err = net.Listen("tcp", netip.AddrPortFrom(r.remote, r.Packet.DstPort).String())
		return err
	})
}

func (s *stream) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	s.cancel = cancel
	begun := make(chan struct{})
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local, s.Packet.SrcPort)),
		KeepAlive: -1,
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			}), err)
		},
	}
	go func() {
		s.dialed <- s.near.in(func() (err error) {
			begun <- struct{}{}
			s.client, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(s.remote, s.Packet.DstPort).String())
			return err
		})
	}()
	select { // the machine may be busy with others
	case <-begun:
	case err := <-s.dialed:
		s.dialed <- err
	}
	return nil
}

// started waits for the handshake: what was let in must also get its answer.
func (s *stream) started() (err error) {
	if err := <-s.dialed; err != nil {
		s.dialed <- err
		return fmt.Errorf("the SYN arrived, but there is no connection: %w", err)
	}
	s.dialed <- nil
	if err := s.listener.(*net.TCPListener).SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	s.server, err = s.listener.Accept()
	return errors.Join(err, s.listener.Close()) // a later flow to this port has a listener of its own
}

func (s *stream) send(word []byte, reply bool) error {
	c := s.client
	if reply {
		c = s.server
	}
	if c == nil {
		return errors.New("the connection was never made")
	}
	_, err := c.Write(word)
	return err
}

// close resets the connection: nothing of it must keep its ports from the next scenario.
func (s *stream) close() {
	s.cancel()
	select {
	case <-s.dialed: //nolint:errcheck // started says how it went; here it only has to be over
	case <-time.After(5 * time.Second): // it was never dialed
	}
	for _, c := range []net.Conn{s.client, s.server} {
		if c != nil {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}
	_ = s.listener.Close()
}

// datagrams is an exchange over UDP.
type datagrams struct {
	route
	client, server *net.UDPConn
}

func newDatagrams(r route) (talk, error) {
	u := &datagrams{route: r}
	near := net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, r.Packet.SrcPort))
	far := net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.remote, r.Packet.DstPort))
	err := errors.Join(
		r.near.in(func() (err error) { u.client, err = net.ListenUDP("udp", near); return err }),
		r.far.in(func() (err error) { u.server, err = net.ListenUDP("udp", far); return err }),
	)
	if err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *datagrams) start() error   { return u.send([]byte("hello"), false) }
func (u *datagrams) started() error { return nil }

func (u *datagrams) send(word []byte, reply bool) error {
	c, to := u.client, u.server
	if reply {
		c, to = to, c
	}
	_, err := c.WriteTo(word, to.LocalAddr())
	return err
}

func (u *datagrams) close() {
	for _, c := range []*net.UDPConn{u.client, u.server} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// raw is an exchange of packets whose IP payload the test writes itself.
type raw struct {
	route
	client, server *net.IPConn
}

func newRaw(r route) (talk, error) {
	w := &raw{route: r}
	network := fmt.Sprintf("ip4:%d", r.Packet.Protocol)
	if r.local.Is6() {
		network = fmt.Sprintf("ip6:%d", r.Packet.Protocol)
	}
	listen := func(p place, a netip.Addr) (c *net.IPConn, err error) {
		err = p.in(func() (err error) {
			c, err = net.ListenIP(network, &net.IPAddr{IP: a.AsSlice()})
			return err
		})
		return c, err
	}
	var err error
	if w.client, err = listen(r.near, r.local); err != nil {
		return nil, err
	}
	if w.server, err = listen(r.far, r.remote); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *raw) start() error   { return w.write(w.Packet, w.client, w.server, []byte("hello")) }
func (w *raw) started() error { return nil }

func (w *raw) send(word []byte, reply bool) error {
	if !reply {
		return w.write(w.Packet, w.client, w.server, word)
	}
	p, err := w.Reply()
	if err != nil {
		return err
	}
	return w.write(p, w.server, w.client, word)
}

// write sends what comes after the IP header. Of ICMPv6 the kernel computes the checksum.
func (w *raw) write(p ruleset.Packet, from, to *net.IPConn, word []byte) error {
	var b []byte
	at := -1 // where the checksum is
	switch vpc.Protocol(p.Protocol) {
	case vpc.ICMP:
		b, at = []byte{p.ICMPType, p.ICMPCode, 0, 0, byte(w.ID >> 8), byte(w.ID), 0, 1}, 2
	case vpc.ICMPv6:
		b = []byte{p.ICMPType, p.ICMPCode, 0, 0, byte(w.ID >> 8), byte(w.ID), 0, 1}
	case vpc.TCP:
		b, at = make([]byte, 20), 16
		b[12], b[13] = 5<<4, 2 // SYN
		word = nil
	case vpc.UDP:
		b, at = make([]byte, 8), 6
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(word)))
	}
	if p.Protocol == unix.IPPROTO_TCP || p.Protocol == unix.IPPROTO_UDP {
		binary.BigEndian.PutUint16(b, p.SrcPort)
		binary.BigEndian.PutUint16(b[2:], p.DstPort)
	}
	b = append(b, word...)
	if at >= 0 {
		var pseudo []byte
		if p.Protocol != unix.IPPROTO_ICMP {
			pseudo = append(w.local.AsSlice(), w.remote.AsSlice()...) // a sum: their order makes no difference
			pseudo = binary.BigEndian.AppendUint16(append(pseudo, 0, p.Protocol), uint16(len(b)))
		}
		binary.BigEndian.PutUint16(b[at:], checksum(append(pseudo, b...)))
	}
	_, err := from.WriteTo(b, to.LocalAddr())
	return err
}

func (w *raw) close() {
	for _, c := range []*net.IPConn{w.client, w.server} {
		if c != nil {
			_ = c.Close()
		}
	}
}
