package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// PlatformService is a service that the host's operator offers to guests, as EC2 does with DNS,
// metadata and time: no rule is asked for what goes there and comes from there.
type PlatformService struct {
	Protocol uint8 // TCP or UDP
	Addr     netip.AddrPort
}

// Validate returns an error unless packets can go there: one address, which is not on the link alone.
func (s PlatformService) Validate() error {
	a := s.Addr.Addr()
	switch {
	case s.Protocol != unix.IPPROTO_TCP && s.Protocol != unix.IPPROTO_UDP:
		return errors.New("the protocol must be tcp or udp")
	case !a.IsValid() || a.Zone() != "" || a.Is4In6():
		return errors.New("the address must be an IPv4 or IPv6 address without a zone")
	case a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is no address of a service", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is of a link: guests may send to no address in fe80::/10", a)
	case s.Addr.Port() == 0:
		return errors.New("port 0 is none")
	}
	return nil
}

// checkRouter returns an error unless a is an address that a router advertises itself by.
func checkRouter(a netip.Addr) error {
	if !a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() != "" {
		return fmt.Errorf("the router %s has no address in fe80::/10 without a zone", a)
	}
	return nil
}

// setPlatform makes the map hold these services and no others.
func setPlatform(m *ebpf.Map, services []PlatformService) error {
	if len(services) > int(m.MaxEntries()) {
		return fmt.Errorf("%d platform services: there is room for %d", len(services), m.MaxEntries())
	}
	want := make([]guestPlatformKey, len(services))
	for i, s := range services {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("platform service %s: %w", s.Addr, err)
		}
		key := &want[i]
		key.Family, key.Address = address(s.Addr.Addr())
		key.Protocol = s.Protocol
		var port [2]byte
		binary.BigEndian.PutUint16(port[:], s.Addr.Port())
		key.Port = binary.NativeEndian.Uint16(port[:])
	}
	var old []guestPlatformKey
	var key guestPlatformKey
	var value uint32
	it := m.Iterate()
	for it.Next(&key, &value) {
		if !slices.Contains(want, key) {
			old = append(old, key)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read platform services: %w", err)
	}
	for _, key := range old {
		if err := deleteKey(m, key); err != nil {
			return fmt.Errorf("remove a platform service: %w", err)
		}
	}
	for _, key := range want {
		if err := m.Put(key, uint32(1)); err != nil {
			return fmt.Errorf("write a platform service: %w", err)
		}
	}
	return nil
}
