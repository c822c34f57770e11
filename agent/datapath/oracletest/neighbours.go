package oracletest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// linkLayer sends ARP, neighbour discovery, MLD or DHCP, right or wrong in one thing or two.
func (s *sequence) linkLayer() Step {
	e := s.eni(pick(s.random, Interfaces))
	d := s.direction()
	q := &question{eni: e}
	here4, here6 := s.at(e, false), s.at(e, true)
	fe80 := q.ownLinkLocal()
	src, dst := routerMAC, e.MAC
	if d == ruleset.Egress {
		src, dst = dst, src
	}
	// right is what should be said, or something else now and then.
	right := func(a netip.Addr, wrong ...netip.Addr) netip.Addr {
		if s.chance(25) {
			return pick(s.random, wrong)
		}
		return a
	}
	anybody6 := slices.DeleteFunc(
		slices.Concat(members6, impossible, []netip.Addr{router6, routerFE80, fe80, here6, allNodes, allRouters}, own6, delegated),
		func(a netip.Addr) bool { return !a.Is6() },
	)
	payload, etherType := []byte(nil), uint16(typeIPv6)
	switch s.IntN(12) {
	case 0, 10: // ARP
		etherType = typeARP
		sender, target, mac := here4, s.other(false), src
		if d == ruleset.Ingress {
			sender, target = target, sender
		}
		sender = right(sender, netip.IPv4Unspecified(), router4, s.other(false))
		if d == ruleset.Egress && s.chance(60) {
			sender = netip.IPv4Unspecified()
		}
		if sender.IsUnspecified() || s.chance(5) {
			target = right(here4, target)
		}
		if !sender.Is4() || !target.Is4() {
			sender, target = router4, own4[0]
		}
		if s.chance(16) {
			mac = otherMAC
		}
		payload = arpMessage(pick(s.random, []uint16{1, 1, 1, 1, 2, 2, 2, 3, 0, 256}), mac, sender, target)
		if s.chance(5) {
			payload[s.IntN(6)]++
		}
		if s.chance(50) {
			payload = append(payload, make([]byte, s.IntN(26))...)
		}
		if s.chance(50) {
			dst = everyMAC
		}
	case 1, 2, 3, 4, 11: // neighbours and routers
		payload = s.neighbour(e, d, fe80, here6, anybody6, right).bytes()
	case 5: // MLD
		payload = s.mld(fe80, anybody6, right).bytes()
	default:
		p := s.dhcp(e, d, here4, fe80, anybody6, right)
		payload, etherType = p.bytes(), p.etherType()
		if s.chance(50) {
			dst = everyMAC
		}
	}
	if s.chance(2) {
		src = otherMAC
	}
	if len(payload) > 40 && etherType == typeIPv6 && s.chance(14) { // in a fragment, or behind another header
		header := []byte{payload[6], 0, 1, 4, 0, 0, 0, 0}
		payload[6] = protocolOptions
		if s.chance(50) {
			header[2], header[3], payload[6] = 0, byte(s.IntN(2)), protocolFragment
		}
		payload = slices.Insert(payload, 40, header...)
		binary.BigEndian.PutUint16(payload[4:], uint16(len(payload)-40))
	}
	if etherType == typeIPv4 && s.chance(8) {
		payload[6] |= 0x20
	}
	frame := ethernet(src, dst, etherType, payload)
	if s.chance(7) {
		frame = append(frame, make([]byte, s.IntN(60))...)
	}
	return Step{ENI: e.ID, Direction: d, Frame: frame}
}

func (s *sequence) neighbour(
	e ruleset.ENI, d ruleset.Direction, fe80, own netip.Addr, anybody []netip.Addr, right func(netip.Addr, ...netip.Addr) netip.Addr,
) datagram {
	if !own.Is6() {
		own = fe80
	}
	if s.chance(30) {
		own = fe80
	}
	p := datagram{protocol: protocolICMPv6, hopLimit: 255}
	if s.chance(3) {
		p.hopLimit = byte(s.Uint32())
	}
	neighbour := pick(s.random, []netip.Addr{members6[0], members6[1], router6, routerFE80, pick(s.random, anybody)})
	var target netip.Addr
	kind := pick(s.random, []byte{133, 133, 134, 135, 135, 135, 135, 135, 135, 135, 136, 136, 136, 137, 130})
	switch kind {
	case 133:
		p.src, p.dst = right(own, append(anybody, netip.IPv6Unspecified())...), right(allRouters, anybody...)
	case 134:
		p.src, p.dst = right(routerFE80, anybody...), right(allNodes, anybody...)
	case 135:
		if d == ruleset.Egress {
			p.src, target = right(own, append(anybody, netip.IPv6Unspecified(), netip.IPv6Unspecified())...), right(neighbour, anybody...)
			if s.chance(48) {
				p.src = netip.IPv6Unspecified()
			}
			if p.src.IsUnspecified() {
				target = right(own, anybody...)
			}
		} else {
			p.src, target = right(neighbour, append(anybody, netip.IPv6Unspecified())...), right(own, anybody...)
		}
		p.dst = right(solicitedNode(target), anybody...)
		if s.chance(50) {
			p.dst = target
		}
	default:
		if d == ruleset.Egress {
			p.src, p.dst, target = right(own, anybody...), right(neighbour, append(anybody, allNodes, allNodes)...), right(own, anybody...)
		} else {
			p.src, p.dst, target = right(neighbour, anybody...), right(own, append(anybody, allNodes, allNodes)...), right(neighbour, anybody...)
		}
	}
	var body []byte
	if target.IsValid() && !s.chance(7) {
		body = target.AsSlice()
	}
	if kind == 134 {
		body = make([]byte, 8)
	}
	for range s.IntN(3) {
		mac := e.MAC
		if d == ruleset.Ingress || s.chance(10) {
			mac = otherMAC
		}
		switch s.IntN(12) {
		case 0:
			body = append(body, append([]byte{14, byte(s.IntN(6))}, make([]byte, 8*(1+s.IntN(5))-2)...)...)
		case 1:
			body = append(body, byte(s.IntN(30)), byte(s.IntN(3)), 1, 2, 3, 4, 5, 6)
		case 2:
			body = append(body, append([]byte{14, 1}, 1, 2, 3, 4, 5, 6)...)
		default:
			body = append(body, byte(1+s.IntN(2)), 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
		}
	}
	if s.chance(1) {
		body = append(body, 0)
	}
	code := uint8(0)
	if s.chance(3) {
		code = 1
	}
	if s.chance(2) {
		p.first, p.headers = protocolHopByHop, []byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0}
	}
	p.payload = icmpMessage(kind, code, 0, 0, body)
	return p
}

func (s *sequence) mld(fe80 netip.Addr, anybody []netip.Addr, right func(netip.Addr, ...netip.Addr) netip.Addr) datagram {
	p := datagram{
		protocol: protocolICMPv6, hopLimit: 1, src: right(fe80, append(anybody, netip.IPv6Unspecified(), netip.IPv6Unspecified())...),
		first: protocolHopByHop, headers: []byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0},
	}
	if s.chance(20) {
		p.headers[6] = 0
	}
	if s.chance(4) {
		p.headers[s.IntN(8)]++
	}
	if s.chance(4) {
		p.headers = nil
	}
	if s.chance(4) {
		p.hopLimit = 255
	}
	kind := pick(s.random, []byte{130, 131, 131, 132, 143, 143, 143, 128})
	group := right(solicitedNode(pick(s.random, own6)), anybody...)
	records, data := uint16(0), group.AsSlice()
	p.dst = group
	if kind == 143 {
		p.dst = right(allReports, anybody...)
		records = uint16(pick(s.random, []int{1, 1, 1, 2, 64, 65, 0}))
		size := min(20*int(records), 1300) + pick(s.random, []int{0, 0, 0, 0, 4, -4, 16})
		data = make([]byte, max(0, size))
	}
	if s.chance(3) {
		data = append(data, 0)
	}
	p.payload = icmpMessage(kind, 0, 0, records, data)
	return p
}

func (s *sequence) dhcp(
	e ruleset.ENI, d ruleset.Direction, own, fe80 netip.Addr, anybody []netip.Addr, right func(netip.Addr, ...netip.Addr) netip.Addr,
) datagram {
	p := datagram{protocol: protocolUDP}
	size := pick(s.random, []int{240, 300, 44, 34, 33, 12, 1016, 1017, 1100})
	ports := [2]uint16{68, 67}
	if s.chance(50) {
		ports = [2]uint16{546, 547}
	}
	if (d == ruleset.Ingress) != s.chance(10) {
		ports[0], ports[1] = ports[1], ports[0]
	}
	if s.chance(5) {
		ports[s.IntN(2)] = 1000
	}
	data := make([]byte, size)
	if ports[0] > 500 || ports[1] > 500 && ports[1] != 1000 {
		p.src, p.dst = right(fe80, anybody...), right(allDHCP, anybody...)
		if d == ruleset.Ingress {
			p.src, p.dst = right(routerFE80, anybody...), right(fe80, anybody...)
		}
		data[0] = byte(1 + s.IntN(13))
		if s.chance(10) {
			data[0] += 32
		}
		if s.chance(5) {
			data = data[:s.IntN(5)]
		}
	} else {
		if !own.Is4() {
			own = own4[0]
		}
		p.src, p.dst = right(netip.IPv4Unspecified(), own, own, s.other(false), s.other(false), s.other(false)), right(everybody4, router4, router4, s.other(false))
		if d == ruleset.Ingress {
			p.src, p.dst = right(router4, s.other(false)), right(own, everybody4, s.other(false), s.other(false), s.other(false))
		}
		data[0] = 1
		if (d == ruleset.Ingress) != s.chance(5) {
			data[0] = 2
		}
		mac := e.MAC
		if s.chance(5) {
			mac = vpc.MAC{2}
		}
		if len(data) >= 34 {
			copy(data[28:], mac[:])
		}
	}
	p.payload = udpDatagram(ports[0], ports[1], data)
	return p
}
