package vpc

import (
	"net/netip"
	"time"
)

// Objects are immutable once they are in a State: an action copies the object, changes the copy
// and puts it. Slices and maps in them are never written to after that.

// Tags maps a key to its value. Keys are case-sensitive; a value may be empty.
type Tags map[string]string

// VPC is an isolated network. On one host two VPCs may use the same addresses as long as no lab
// guest of both runs there.
type VPC struct {
	ID           VPCID
	Created      time.Time
	CIDRs        []CIDRAssociation // IPv4, primary first
	IPv6CIDRs    []CIDRAssociation // at most one: a /56 of the installation's ULA prefix
	IsDefault    bool
	DNSSupport   bool
	DNSHostnames bool
	Tags         Tags `json:",omitempty"`
}

// CIDRAssociation is a block of a VPC or subnet under the id that EC2 gives the association.
type CIDRAssociation struct {
	ID   AssociationID
	CIDR netip.Prefix // masked
}

// Subnet is a range of a VPC in one zone. Its first four addresses and (IPv4) its last are reserved;
// the first host address is the router.
type Subnet struct {
	ID                          SubnetID
	VPC                         VPCID
	Created                     time.Time
	Zone                        string            // us-east-1a
	CIDR                        netip.Prefix      // IPv4, masked
	IPv6CIDRs                   []CIDRAssociation // /64
	DefaultForZone              bool
	MapPublicIPOnLaunch         bool
	AssignIPv6AddressOnCreation bool
	Tags                        Tags `json:",omitempty"`
}

// SecurityGroup is a named set of allow rules. Name and Description never change.
type SecurityGroup struct {
	ID          GroupID
	VPC         VPCID
	Created     time.Time
	Name        string // unique in its VPC without regard to case, no trailing spaces
	Description string
	Rules       []Rule // of both directions, in order of creation
	// EgressModified is set by the first change of the outbound rules: from then on adding an IPv6
	// block to the VPC adds no ::/0 rule. Source: EC2 user guide, "Default outbound rules".
	EgressModified bool
	Tags           Tags `json:",omitempty"`
}

// Rule allows one protocol and port range to or from one Peer.
type Rule struct {
	ID          RuleID
	Number      uint32 // unique in the installation, never 0, never used again; how the datapath names the rule
	Egress      bool
	Protocol    Protocol
	From, To    int32 // tcp, udp: ports, inclusive; icmp, icmpv6: type and code, -1 for all; others: -1, -1
	Peer        Peer
	Description string `json:",omitempty"`
	Tags        Tags   `json:",omitempty"`
}

// Protocol is an IANA protocol number, or AllProtocols.
type Protocol int16

// Protocols with names of their own in EC2.
const (
	AllProtocols Protocol = -1
	ICMP         Protocol = 1
	TCP          Protocol = 6
	UDP          Protocol = 17
	ICMPv6       Protocol = 58
)

// Peer is the far side of a rule: the source of an ingress rule, the destination of an egress rule.
// Exactly one field is set.
type Peer struct {
	CIDR       netip.Prefix `json:",omitzero"`  // masked: 10.0.0.0/8, never 10.1.2.3/8
	PrefixList PrefixListID `json:",omitempty"` // resolved to CIDRs when rules are compiled
	Group      GroupID      `json:",omitempty"` // every private address of the interfaces in the group
}

// NetworkInterface is an ENI: the thing that groups are attached to and that is filtered.
type NetworkInterface struct {
	ID              InterfaceID
	VPC             VPCID
	Subnet          SubnetID
	Created         time.Time
	Description     string       `json:",omitempty"`
	MAC             MAC          // unique in the installation
	IPv4            []netip.Addr // primary first
	IPv6            []netip.Addr `json:",omitempty"`
	Groups          []GroupID    // at least one, as the caller ordered them
	SourceDestCheck bool
	Attachment      *Attachment `json:",omitempty"` // nil: available
	Binding         *Binding    `json:",omitempty"` // nil: no host device carries it
	ClientToken     string      `json:",omitempty"`
	TokenHash       string      `json:",omitempty"` // of the request that ClientToken came with
	Tags            Tags        `json:",omitempty"`
}

// Attachment ties an ENI to an instance.
type Attachment struct {
	ID                  AttachmentID
	Instance            InstanceID
	DeviceIndex         int // 0 is the primary
	Time                time.Time
	DeleteOnTermination bool
}

// Binding says which device of which host carries an ENI. The host's agent reports it.
type Binding struct {
	Host   HostID
	Device string // name on the host at the time of binding: tap7
	Since  int64  // no State before this revision shows the binding
}

// InstanceState is EC2's code of an instance state.
type InstanceState int

// States of an instance with EC2's codes.
const (
	Pending      InstanceState = 0
	Running      InstanceState = 16
	ShuttingDown InstanceState = 32
	Terminated   InstanceState = 48
	Stopping     InstanceState = 64
	Stopped      InstanceState = 80
)

// Instance is a guest. Image "netns" is a lab guest, run by the agent of Host; a guest that
// Sallyport did not start has image "external" and follows its binding.
type Instance struct {
	ID                    InstanceID
	Reservation           ReservationID
	Image                 string // ami-…, the id of the image
	Type                  string
	State                 InstanceState
	Reason                string `json:",omitempty"` // of the last change, as EC2's StateTransitionReason
	Host                  HostID `json:",omitempty"` // where it runs
	LaunchIndex           int
	Created               time.Time
	Launched              time.Time // the last time: Created, or that of the last start
	Terminated            time.Time `json:",omitzero"`
	KeyName               string    `json:",omitempty"`
	UserData              []byte    `json:",omitempty"` // decoded
	DisableAPITermination bool      `json:",omitempty"`
	ClientToken           string    `json:",omitempty"`
	TokenHash             string    `json:",omitempty"`
	Tags                  Tags      `json:",omitempty"`
}

// Host is a machine with an agent.
type Host struct {
	ID  HostID
	Lab bool // it runs lab guests
}

// AccessKey signs requests of one user of the account.
type AccessKey struct {
	ID     AccessKeyID
	User   string // admin
	Sealed []byte // the secret, encrypted with a key that is not in the store
}

// Installation is the one object that every State has.
type Installation struct {
	Account    AccountID
	Region     string
	ULA        netip.Prefix // /48 of fd00::/8, drawn once
	NextRule   uint32       // number of the next rule
	NextIPv6   uint8        // index of the next /56 to try
	DefaultVPC VPCID        `json:",omitempty"`
}
