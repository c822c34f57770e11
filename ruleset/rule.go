package ruleset

import (
	"cmp"

	"github.com/sallyport/sallyport/vpc"
)

// enforceable reports whether a rule says something that packets can be judged by. One that does
// not, whatever way it got into a State, allows nothing.
func enforceable(r vpc.Rule) bool {
	if r.Number == 0 {
		return false
	}
	peers := 0
	for _, named := range []bool{r.Peer.CIDR.IsValid(), r.Peer.PrefixList != "", r.Peer.Group != ""} {
		if named {
			peers++
		}
	}
	if peers != 1 || r.Peer.CIDR != r.Peer.CIDR.Masked() {
		return false
	}
	switch r.Protocol {
	case vpc.TCP, vpc.UDP:
		return 0 <= r.From && r.From <= r.To && r.To <= 65535
	case vpc.ICMP, vpc.ICMPv6:
		return -1 <= r.From && r.From <= 255 && -1 <= r.To && r.To <= 255 && (r.From != -1 || r.To == -1)
	default:
		return vpc.AllProtocols <= r.Protocol && r.Protocol <= 255
	}
}

// byPrecedence orders rules that allow the same packet: the first one is named. Granted to everyone
// comes first, then the longest CIDR, then a prefix list, then a group; ties go to the smaller rule
// id. How long the entry of a list is makes no difference, so that a list is stored once for all tables.
func byPrecedence(a, b vpc.Rule) int {
	return cmp.Or(
		cmp.Compare(precedence(a), precedence(b)),
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Number, b.Number),
	)
}

func precedence(r vpc.Rule) int {
	switch {
	case r.Peer.Group != "":
		return 130
	case r.Peer.PrefixList != "":
		return 129
	case r.Peer.CIDR.Bits() == 0:
		return -1
	default:
		return 128 - r.Peer.CIDR.Bits()
	}
}

// direction of a rule.
func direction(r vpc.Rule) Direction {
	if r.Egress {
		return Egress
	}
	return Ingress
}
