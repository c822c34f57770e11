// Package streamtest sends numbered packets from one guest to another, many and fast, and says which
// of them arrived: what a test of "no packet is lost" rests on.
//
// The packets are UDP over IPv4 from a raw socket in the sender's namespace, sent with sendmmsg. What receives them
// is a program at the receiver's own device, that marks each number in memory: no socket buffer can
// overflow. The sender waits while too many numbers are on their way, so that no queue of the kernel
// on the path can overflow either; what a device dropped all the same is told apart, see
// Result.Elsewhere.
package streamtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	burst   = 32 // packets of one call
	udpSize = 8  // of the header
	// window is how many numbers may be on their way: less than a CPU's backlog holds
	// (net.core.netdev_max_backlog, 1000), since others use it too.
	window = 8 * burst
	// stall is how long the sender waits for a number to arrive before it sends the next burst: only
	// where packets are lost.
	stall    = 10 * time.Millisecond
	mostRuns = 8
)

// Lane is packets of one sort. Each has the next destination port, then the next source port, so that
// a lane with many of them opens a connection with every packet.
type Lane struct {
	Name        string
	Source      uint16 // the first source port
	Sources     int    // how many; 0: 1
	Destination uint16 // the first destination port
	Ports       int    // how many; 0: 1
	Share       int    // bursts in each round of all lanes; 0: 1
	Forbidden   bool   // no packet may arrive; else every one must
}

// End is one side of a stream.
type End struct {
	NS     netns.NsHandle
	Device string // in NS
	Addr   netip.Addr
}

// Options says what to send.
type Options struct {
	From, To End
	Host     netns.NsHandle // where the other ends of their veth pairs are
	Lanes    []Lane         // take turns, a burst each
	// Rate is how many packets per second all lanes together send; where the machine is too busy it
	// is less, and Result says so.
	Rate int
	Max  int // packets that can be numbered; the stream ends there. 0: 4 million
}

// Result is what became of the packets.
type Result struct {
	Lanes     []LaneResult
	Took      time.Duration
	Slowest   float64 // packets per second that were sent in the slowest second
	Elsewhere uint64  // packets that a device on the path dropped because its queue was full
	Stalls    int     // how often a burst waited in vain for another to arrive
}

// LaneResult is what became of the packets of a lane.
type LaneResult struct {
	Lane
	Sent, Arrived, Twice int
	Wrong                []Run // packets that did not do what the lane says; at most the first 8 runs of them
}

// Run is consecutive packets of a lane.
type Run struct {
	First, Last int
	At          time.Time // when the first was sent, to a burst
}

// Rate is packets per second that arrived, over the whole time.
func (r Result) Rate() float64 {
	n := 0
	for _, l := range r.Lanes {
		n += l.Arrived
	}
	return float64(n) / r.Took.Seconds()
}

// Lost is how many packets did not arrive that should, Passed how many arrived that should not.
func (r Result) Lost() (n int) {
	for _, l := range r.Lanes {
		if !l.Forbidden {
			n += l.Sent - l.Arrived
		}
	}
	return n
}

// Passed is how many packets arrived that should not.
func (r Result) Passed() (n int) {
	for _, l := range r.Lanes {
		if l.Forbidden {
			n += l.Arrived
		}
	}
	return n
}

// Err says what went wrong: an allowed packet was lost by other than a device's queue, a forbidden one
// passed, one came twice, or a lane sent nothing.
func (r Result) Err() error {
	var errs []error
	if lost := r.Lost(); uint64(lost) > r.Elsewhere {
		errs = append(errs, fmt.Errorf("%d packets were lost that are allowed throughout", lost))
	}
	if passed := r.Passed(); passed > 0 {
		errs = append(errs, fmt.Errorf("%d packets passed that are forbidden throughout", passed))
	}
	for _, l := range r.Lanes {
		if l.Twice > 0 {
			errs = append(errs, fmt.Errorf("%s: %d packets came twice", l.Name, l.Twice))
		}
		if l.Sent == 0 {
			errs = append(errs, fmt.Errorf("%s: nothing was sent", l.Name))
		}
	}
	if len(errs) > 0 {
		errs = append(errs, errors.New(r.String()))
	}
	return errors.Join(errs...)
}

func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.0f packets/s arrived for %s (slowest second: %.0f sent), %d dropped by full queues", r.Rate(), r.Took.Round(time.Millisecond), r.Slowest, r.Elsewhere)
	for _, l := range r.Lanes {
		verb := "allowed"
		if l.Forbidden {
			verb = "forbidden"
		}
		fmt.Fprintf(&b, "\n\t%s (%s): %d sent, %d arrived", l.Name, verb, l.Sent, l.Arrived)
		for _, w := range l.Wrong {
			fmt.Fprintf(&b, "\n\t\twrong: %d to %d, sent at %s", w.First, w.Last, w.At.Format("15:04:05.000"))
		}
	}
	return b.String()
}

var streams atomic.Uint32

// Stream is packets under way.
type Stream struct {
	o       Options
	number  uint32 // of this stream: several may go to one device
	sink    *sink
	round   int // bursts of all lanes together
	socket  *ipv4.PacketConn
	close   []func() error
	dropped uint64 // by the devices, before

	stop   chan struct{}
	done   chan struct{}
	sent   atomic.Int64
	err    error
	bursts []time.Time // when each was sent
	began  time.Time
	ended  time.Time
	stalls int
}

// Start begins to send. The ends know each other's MAC address from then on, for good: that the kernel
// forgets it, and loses what waits for the answer, is no matter of a filter.
func Start(o Options) (_ *Stream, err error) {
	if o.Max == 0 {
		o.Max = 4 << 20
	}
	o.Max -= o.Max % burst
	o.Lanes = slices.Clone(o.Lanes)
	s := &Stream{o: o, number: streams.Add(1), stop: make(chan struct{}), done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start a stream: %w", errors.Join(err, s.free()))
		}
	}()
	if err := errors.Join(acquaint(o.From, o.To), acquaint(o.To, o.From)); err != nil {
		return nil, err
	}
	if s.sink, err = newSink(o.To, s.number, o.Max); err != nil {
		return nil, err
	}
	s.close = append(s.close, s.sink.close)
	for i := range s.o.Lanes {
		l := &s.o.Lanes[i]
		l.Sources, l.Ports, l.Share = max(l.Sources, 1), max(l.Ports, 1), max(l.Share, 1)
		s.round += l.Share
	}
	var socket net.PacketConn
	if err := In(o.From.NS, func() (err error) {
		socket, err = net.ListenPacket("ip4:udp", o.From.Addr.String())
		return err
	}); err != nil {
		return nil, err
	}
	s.close = append(s.close, socket.Close)
	s.socket = ipv4.NewPacketConn(socket)
	if s.dropped, err = s.elsewhere(); err != nil {
		return nil, err
	}
	go s.send()
	return s, nil
}

// Sent is how many packets have been sent so far.
func (s *Stream) Sent() int { return int(s.sent.Load()) }

// WaitFor waits until as many packets more have been sent; sooner if the stream ends.
func (s *Stream) WaitFor(ctx context.Context, packets int) {
	for until := s.Sent() + packets; s.Sent() < until; {
		select {
		case <-time.After(time.Millisecond):
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lane is the lane of a number, and its how-manieth packet it is.
func (s *Stream) lane(number int) (lane, nth int) {
	turn := number / burst
	round, turn := turn/s.round, turn%s.round
	for turn >= s.o.Lanes[lane].Share {
		turn -= s.o.Lanes[lane].Share
		lane++
	}
	return lane, (round*s.o.Lanes[lane].Share+turn)*burst + number%burst
}

func (s *Stream) send() {
	defer close(s.done)
	s.err = s.sendAll()
	s.ended = time.Now()
}

func (s *Stream) sendAll() error {
	messages := make([]ipv4.Message, burst)
	for i := range messages {
		messages[i] = ipv4.Message{Buffers: [][]byte{make([]byte, udpSize+payloadSize)}, Addr: &net.IPAddr{IP: s.o.To.Addr.AsSlice()}}
	}
	s.began = time.Now()
	for number := 0; number < s.o.Max; number += burst {
		select {
		case <-s.stop:
			return nil
		default:
		}
		due := s.began.Add(time.Duration(float64(number) / float64(s.o.Rate) * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		for from := time.Now(); uint64(number)-s.sink.highest() > window; {
			if time.Since(from) > stall {
				s.stalls++
				break
			}
			runtime.Gosched()
		}
		lane, nth := s.lane(number)
		l := s.o.Lanes[lane]
		for i := range messages {
			b, nth := messages[i].Buffers[0], nth+i
			binary.BigEndian.PutUint16(b[0:], l.Source+uint16(nth/l.Ports%l.Sources))
			binary.BigEndian.PutUint16(b[2:], l.Destination+uint16(nth%l.Ports))
			binary.BigEndian.PutUint16(b[4:], uint16(len(b))) // and no checksum
			put(b[udpSize:], s.number, uint64(number+i))
		}
		s.bursts = append(s.bursts, time.Now())
		for rest := messages; len(rest) > 0; {
			n, err := s.socket.WriteBatch(rest, 0)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("send: %w", err)
			}
			rest = rest[max(n, 0):]
		}
		s.sent.Store(int64(number + burst))
	}
	return nil
}

// Stop ends the stream and says what became of it.
func (s *Stream) Stop() (r Result, err error) {
	close(s.stop)
	<-s.done
	// The last packets: all are on this machine.
	sent := s.Sent()
	for until := time.Now().Add(time.Second); s.sink.highest() < uint64(sent) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	after, err := s.elsewhere()
	if err := errors.Join(err, s.err); err != nil {
		return r, errors.Join(err, s.free())
	}
	r = Result{Took: s.ended.Sub(s.began), Elsewhere: after - s.dropped, Stalls: s.stalls, Slowest: s.slowest()}
	for _, l := range s.o.Lanes {
		r.Lanes = append(r.Lanes, LaneResult{Lane: l})
	}
	last := make([]int, len(s.o.Lanes)) // of each lane's last run
	for number, times := range s.sink.seen()[:sent] {
		lane, nth := s.lane(number)
		l := &r.Lanes[lane]
		l.Sent++
		if times > 0 {
			l.Arrived++
		}
		if times > 1 {
			l.Twice++
		}
		if (times > 0) != l.Forbidden {
			continue
		}
		if n := len(l.Wrong); n > 0 && last[lane] == nth-1 {
			l.Wrong[n-1].Last, last[lane] = number, nth
		} else if n < mostRuns {
			l.Wrong, last[lane] = append(l.Wrong, Run{number, number, s.bursts[number/burst]}), nth
		}
	}
	return r, s.free()
}

// slowest is packets per second in the slowest whole second.
func (s *Stream) slowest() float64 {
	slowest, from := 0, 0
	for i, at := range s.bursts {
		if at.Sub(s.bursts[from]) < time.Second {
			continue
		}
		if n := i - from; slowest == 0 || n < slowest {
			slowest = n
		}
		from = i
	}
	return float64(slowest * burst)
}

func (s *Stream) free() (err error) {
	for _, f := range s.close {
		err = errors.Join(err, f())
	}
	s.close = nil
	return err
}

// elsewhere is how many packets the veth pairs of both ends have dropped, on either side: those that
// found the backlog of a CPU full.
func (s *Stream) elsewhere() (n uint64, err error) {
	for _, e := range []End{s.o.From, s.o.To} {
		peer := 0
		err := In(e.NS, func() error {
			l, err := netlink.LinkByName(e.Device)
			if err == nil {
				n += l.Attrs().Statistics.TxDropped
				peer = l.Attrs().ParentIndex
			}
			return err
		})
		if err == nil {
			err = In(s.o.Host, func() error {
				l, err := netlink.LinkByIndex(peer)
				if err == nil {
					n += l.Attrs().Statistics.TxDropped
				}
				return err
			})
		}
		if err != nil {
			return 0, fmt.Errorf("read what %s dropped: %w", e.Device, err)
		}
	}
	return n, nil
}

// acquaint tells one end the other's MAC address.
func acquaint(e, other End) error {
	var mac net.HardwareAddr
	if err := In(other.NS, func() error {
		l, err := netlink.LinkByName(other.Device)
		if err == nil {
			mac = l.Attrs().HardwareAddr
		}
		return err
	}); err != nil {
		return fmt.Errorf("find %s: %w", other.Device, err)
	}
	return In(e.NS, func() error {
		l, err := netlink.LinkByName(e.Device)
		if err != nil {
			return fmt.Errorf("find %s: %w", e.Device, err)
		}
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: other.Addr.AsSlice(), HardwareAddr: mac,
		})
	})
}

// Exchange sends a word from one port to another and back, n times: with two the connection is a UDP
// stream, which is tracked as established.
func Exchange(from, to End, source, destination uint16, n int) error {
	listen := func(e End, port uint16) (c net.PacketConn, err error) {
		err = In(e.NS, func() (err error) {
			c, err = net.ListenPacket("udp4", netip.AddrPortFrom(e.Addr, port).String())
			return err
		})
		return c, err
	}
	near, err := listen(from, source)
	if err != nil {
		return err
	}
	defer near.Close()
	far, err := listen(to, destination)
	if err != nil {
		return err
	}
	defer far.Close()
	for range n {
		for _, way := range [][2]net.PacketConn{{near, far}, {far, near}} {
			_, err := way[0].WriteTo([]byte("hello"), way[1].LocalAddr())
			if err == nil {
				err = way[1].SetReadDeadline(time.Now().Add(5 * time.Second))
			}
			if err == nil {
				_, _, err = way[1].ReadFrom(make([]byte, 100))
			}
			if err != nil {
				return fmt.Errorf("a word from %s to %s: %w", way[0].LocalAddr(), way[1].LocalAddr(), err)
			}
		}
	}
	return nil
}

// In runs f on a thread in a namespace.
func In(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("enter the namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// put writes a packet's stream and number.
func put(b []byte, stream uint32, number uint64) {
	copy(b, magic)
	binary.NativeEndian.PutUint32(b[len(magic):], stream)
	binary.NativeEndian.PutUint64(b[len(magic)+4:], number)
}
