package datapath_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/agent/datapath/streamtest"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// ends is a packet socket of each of two guests.
type ends struct {
	*pair
	sockets map[vpc.MAC]int
}

func (p *pair) ends() ends {
	p.t.Helper()
	p.do(func() { // frames of tests have no checksums
		if err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0); !errors.Is(err, os.ErrNotExist) {
			must(p.t, err)
		}
	})
	w := ends{pair: p, sockets: map[vpc.MAC]int{}}
	for hardware, end := range map[vpc.MAC]streamtest.End{mac: p.a, otherMAC: p.b} {
		must(p.t, streamtest.In(end.NS, func() error {
			l, err := netlink.LinkByName(end.Device)
			if err != nil {
				return err
			}
			const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
			if err != nil {
				return err
			}
			p.t.Cleanup(func() { _ = unix.Close(fd) })
			w.sockets[hardware] = fd
			return errors.Join(
				unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}),
				unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}))
		}))
	}
	return w
}

// arrives sends a frame from one guest and says whether the other gets it.
func (w ends) arrives(f frame) bool {
	w.t.Helper()
	sent, b := f.bytes(), make([]byte, 2000)
	_, err := unix.Write(w.sockets[f.srcMAC], sent)
	must(w.t, err)
	for {
		n, _, err := unix.Recvfrom(w.sockets[f.dstMAC], b, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false
		case bytes.Equal(b[:n], sent):
			return true
		}
	}
}

// TestDeadAgent: with an agent that is dead for longer than a timeout, what comes back on a connection
// that is past it is dropped, and new connections are made and answered. Of each timeout.
func TestDeadAgent(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	egress := rule(true, vpc.AllProtocols, -1, -1, "10.0.0.0/24")
	ingress := rule(false, vpc.AllProtocols, -1, -1, "10.0.0.0/24")
	ingress.Number = 2
	v := view(egress)
	v.ENIs[eniB] = gapViews()[0].ENIs[eniB]
	v.Groups[sgB] = ruleset.Group{ID: sgB, Rules: []vpc.Rule{ingress}}

	between := func(f frame) frame { f.srcMAC, f.dstMAC = mac, otherMAC; return f }
	flags := func(f frame, n uint8) frame { return f.with("", func(f *frame) { f.flags = n }) }
	web := func(port uint16) frame { return between(tcp(own4, peer4, port, 80, syn)) }
	dns := func(port uint16) frame { return between(udp(own4, peer4, port, 53)) }
	ping := func(id uint16) frame { return between(icmp(own4, peer4, 8, 0, id)) }
	other := func(p uint8) frame { return between(frame{src: own4, dst: peer4, protocol: p, data: make([]byte, 20)}) }
	shake := func(f frame) []frame { return []frame{f, flags(f.reply(), syn|ack), flags(f, ack)} }

	for _, mode := range modes(t) {
		p := newPair(t, datapath.Options{Attach: mode})
		p.d.SetTimeouts(timeout, timeout, timeout, timeout, timeout, timeout, timeout)
		p.apply(v)
		reader, err := datapath.Open(datapath.Options{Pins: p.options.Pins + "-clock"}) // for its clock alone
		must(t, err)
		w := p.ends()
		cases := []struct {
			name       string
			open       []frame
			late       frame // from eniB, which may send nothing of itself
			fresh, its frame // a new connection, and the answer
		}{
			{"TCP half-open", []frame{web(1)}, flags(web(1).reply(), syn|ack), web(101), flags(web(101).reply(), syn|ack)},
			{"TCP established", shake(web(2)), flags(web(2).reply(), ack), web(102), flags(web(102).reply(), syn|ack)},
			{"TCP closing", append(shake(web(3)), flags(web(3), fin|ack)), flags(web(3).reply(), ack), web(103), flags(web(103).reply(), syn|ack)},
			{"TCP closed", append(shake(web(4)), flags(web(4), rst|ack)), flags(web(4).reply(), ack), web(104), flags(web(104).reply(), syn|ack)},
			{"UDP", []frame{dns(5)}, dns(5).reply(), dns(105), dns(105).reply()},
			{"UDP stream", []frame{dns(6), dns(6).reply(), dns(6), dns(6).reply()}, dns(6).reply(), dns(106), dns(106).reply()},
			{"ICMP", []frame{ping(7)}, ping(7).reply(), ping(107), ping(107).reply()},
			{"another protocol", []frame{other(253)}, other(253).reply(), other(254), other(254).reply()},
		}
		for until := time.Now().Add(time.Minute); !w.arrives(web(999)); { // the bridge takes a moment
			if time.Now().After(until) {
				t.Fatal("nothing arrives within a minute")
			}
		}
		for _, tt := range cases {
			for i, f := range append(tt.open, tt.late) {
				if !w.arrives(f) {
					t.Fatalf("%s, %s: packet %d does not arrive: %s", mode, tt.name, i, f)
				}
			}
			if w.arrives(tt.its) {
				t.Errorf("%s, %s: an answer to nothing arrives", mode, tt.name)
			}
		}
		must(t, p.d.Close())
		p.d = nil
		for until := ticks(t, clock(t, reader), timeout); clock(t, reader) < until; {
			time.Sleep(timeout / 10)
		}
		for _, tt := range cases {
			if w.arrives(tt.late) {
				t.Errorf("%s, %s: the agent is dead for longer than the timeout, and a late answer arrives", mode, tt.name)
			}
			if !w.arrives(tt.fresh) || !w.arrives(tt.its) {
				t.Errorf("%s, %s: without an agent a new connection is not made, or not answered", mode, tt.name)
			}
		}
		must(t, reader.Close())
		must(t, datapath.Purge(p.options.Pins+"-clock"))
	}
}
