package ruleset

import (
	"net/netip"
)

// Direction is EC2's: seen from the guest.
type Direction uint8

// The two directions.
const (
	Ingress Direction = iota
	Egress
)

// Packet is what the rules look at: a packet that starts a flow, or one of an untracked flow.
type Packet struct {
	Src, Dst         netip.Addr // of one family, never IPv4-mapped
	Protocol         uint8      // IANA number
	SrcPort, DstPort uint16     // TCP and UDP, host byte order; 0 for others
	ICMPType         uint8      // ICMP and ICMPv6
	ICMPCode         uint8
}

// Action is what happens to a packet.
type Action uint8

// The actions. The zero value drops: a forgotten verdict is no hole.
const (
	Drop Action = iota
	Allow
	Observe // would have been dropped; passed, because the interface observes
)

// Verdict is an action with its reason, and the rule that decided where one did.
type Verdict struct {
	Action Action
	Reason Reason
	Rule   uint32 // vpc.Rule.Number; 0: none
}

// Reason says why a packet passed or not, in the same words in the datapath, the flow log, the
// explanation and the console. The numbers are the datapath's, fixed for good: append only.
type Reason uint8

// The reasons. The C enum in agent/datapath/bpf has the same numbers; a test compares them.
const (
	ReasonNone Reason = iota // not judged; drops
	// Allowed.
	ReasonRule     // a rule allows it
	ReasonTracked  // it belongs to a tracked connection
	ReasonLink     // ARP, neighbour discovery, DHCP as the link-layer table allows
	ReasonPlatform // a platform service that the host's operator declared
	// Dropped by the groups.
	ReasonNoRule  // no rule allows it
	ReasonNoTable // the interface has no compiled table yet
	// Dropped before the rules were asked.
	ReasonUnbound            // the device is claimed but carries no interface
	ReasonSourceMAC          // the guest sent from a MAC that is not its own
	ReasonSourceAddress      // the guest sent from an address that is not its own
	ReasonDestinationAddress // to an address that is not the guest's own
	ReasonARP                // ARP that claims what is not the guest's
	ReasonND                 // neighbour discovery that claims what is not the guest's, or is the router's business
	ReasonDHCP               // DHCP in the wrong role
	ReasonEtherType          // neither IPv4, IPv6 nor ARP; VLAN tags too
	ReasonMulticast          // multicast or broadcast that a VPC does not deliver
	ReasonLinkLocal          // 169.254.0.0/16, fd00:ec2::/32 or a foreign fe80::/10 address
	ReasonMalformed          // too short, or a header that contradicts itself
	ReasonFragment           // a fragment that cannot be judged
	ReasonExtensionHeader    // an IPv6 extension header that cannot be judged
	ReasonICMPError          // an ICMP error that quotes no tracked connection and no rule allows
	ReasonConnectionLimit    // no room for another connection
	reasons                  // how many there are
)
