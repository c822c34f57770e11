package vpc

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// MAC is an Ethernet address in transmission order. Its text form is 02:00:5e:00:53:01.
type MAC [6]byte

// ParseMAC reads six hex octets separated by colons, in either case.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != len(m) || strings.Count(s, ":") != 5 || len(s) != 17 {
		return m, fmt.Errorf("%q is not a MAC address", s)
	}
	copy(m[:], b)
	if !strings.EqualFold(m.String(), s) {
		return MAC{}, fmt.Errorf("%q is not a MAC address", s)
	}
	return m, nil
}

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}
