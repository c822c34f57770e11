package ruleset

import "fmt"

// reasonWords are what people read, everywhere: flow log, explanation, console, scenarios.
var reasonWords = [reasons]string{
	ReasonNone:               "not-judged",
	ReasonRule:               "rule",
	ReasonTracked:            "tracked",
	ReasonLink:               "link",
	ReasonPlatform:           "platform",
	ReasonNoRule:             "no-rule",
	ReasonNoTable:            "no-table",
	ReasonUnbound:            "unbound",
	ReasonSourceMAC:          "source-mac",
	ReasonSourceAddress:      "source-address",
	ReasonDestinationAddress: "destination-address",
	ReasonARP:                "arp",
	ReasonND:                 "nd",
	ReasonDHCP:               "dhcp",
	ReasonEtherType:          "ether-type",
	ReasonMulticast:          "multicast",
	ReasonLinkLocal:          "link-local",
	ReasonMalformed:          "malformed",
	ReasonFragment:           "fragment",
	ReasonExtensionHeader:    "extension-header",
	ReasonICMPError:          "icmp-error",
	ReasonConnectionLimit:    "connection-limit",
}

// Reasons returns every reason, in order of its number.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for r := range all {
		all[r] = Reason(r)
	}
	return all
}

func (r Reason) String() string {
	if r < reasons {
		return reasonWords[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// ParseReason is the inverse of String for the reasons that there are.
func ParseReason(s string) (Reason, error) {
	for r, word := range reasonWords {
		if word == s {
			return Reason(r), nil
		}
	}
	return ReasonNone, fmt.Errorf("%q is not a reason", s)
}

// Allows reports whether packets pass for this reason, unless an interface observes.
func (r Reason) Allows() bool { return r >= ReasonRule && r <= ReasonPlatform }

func (a Action) String() string {
	switch a {
	case Drop:
		return "drop"
	case Allow:
		return "allow"
	case Observe:
		return "observe"
	default:
		return fmt.Sprintf("action-%d", uint8(a))
	}
}

func (d Direction) String() string {
	switch d {
	case Ingress:
		return "ingress"
	case Egress:
		return "egress"
	default:
		return fmt.Sprintf("direction-%d", uint8(d))
	}
}
