// Package vpc holds the nouns of the EC2 API that Sallyport serves – VPC, subnet, security group,
// rule, network interface, instance, tag – and what may be done with them. It is pure: a State goes
// in, a Change or an *Error comes out; clock, ids and randomness come in through Env. It does no I/O.
package vpc

import "strings"

// Identifiers are EC2's: a prefix, a dash and 17 lower-case hex digits ("sg-0123456789abcdef0");
// the older form with 8 digits is accepted on input.
type (
	VPCID              string // vpc-…
	SubnetID           string // subnet-…
	GroupID            string // sg-…
	RuleID             string // sgr-…
	PrefixListID       string // pl-…
	InterfaceID        string // eni-…
	AttachmentID       string // eni-attach-…
	InstanceID         string // i-…
	ReservationID      string // r-…
	PeeringID          string // pcx-…
	InsightsPathID     string // nip-…
	InsightsAnalysisID string // nia-…
	AssociationID      string // vpc-cidr-assoc-…, subnet-cidr-assoc-…
	AccountID          string // 12 decimal digits; leading zeros count
	HostID             string // the name in a host's certificate
	AccessKeyID        string // AKIA…
	ConsoleSessionID   string // SHA-256, in hex, of what the browser's cookie holds
	SignInTokenID      string // SHA-256, in hex, of the token
)

// The parsers below return an *Error with the Malformed code of the type unless the text has the
// form of an identifier; whether there is such an object is another question.

func ParseVPCID(s string) (VPCID, error) { return parseID[VPCID](s, "vpc", CodeInvalidVpcIDMalformed) }

func ParseSubnetID(s string) (SubnetID, error) {
	return parseID[SubnetID](s, "subnet", CodeInvalidSubnetIDMalformed)
}

func ParseGroupID(s string) (GroupID, error) {
	return parseID[GroupID](s, "sg", CodeInvalidGroupIDMalformed)
}

func ParseRuleID(s string) (RuleID, error) {
	return parseID[RuleID](s, "sgr", CodeInvalidSecurityGroupRuleIDMalformed)
}

func ParsePrefixListID(s string) (PrefixListID, error) {
	return parseID[PrefixListID](s, "pl", CodeInvalidPrefixListIDMalformed)
}

func ParsePeeringID(s string) (PeeringID, error) {
	return parseID[PeeringID](s, "pcx", CodeInvalidVpcPeeringConnectionIDMalformed)
}

func ParseInsightsPathID(s string) (InsightsPathID, error) {
	return parseID[InsightsPathID](s, "nip", CodeInvalidNetworkInsightsPathIDMalformed)
}

func ParseInsightsAnalysisID(s string) (InsightsAnalysisID, error) {
	return parseID[InsightsAnalysisID](s, "nia", CodeInvalidNetworkInsightsAnalysisIDMalformed)
}

func ParseInterfaceID(s string) (InterfaceID, error) {
	return parseID[InterfaceID](s, "eni", CodeInvalidNetworkInterfaceIDMalformed)
}

func ParseAttachmentID(s string) (AttachmentID, error) {
	return parseID[AttachmentID](s, "eni-attach", CodeInvalidNetworkInterfaceAttachmentIDMalformed)
}

func ParseInstanceID(s string) (InstanceID, error) {
	return parseID[InstanceID](s, "i", CodeInvalidInstanceIDMalformed)
}

// ParseImageID returns its argument: an image's id has no type of its own.
func ParseImageID(s string) (string, error) {
	return parseID[string](s, "ami", CodeInvalidAMIIDMalformed)
}

func parseID[T ~string](s, prefix string, malformed Code) (T, error) {
	hex, ok := strings.CutPrefix(s, prefix+"-")
	if !ok || len(hex) != 8 && len(hex) != 17 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", Errorf(malformed, `Invalid id: "%s" (expecting "%s-...")`, s, prefix)
	}
	return T(s), nil
}
