package vpc

import (
	"encoding/json"
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
	UsageMetrics bool `json:",omitempty"` // EnableNetworkAddressUsageMetrics; only stored
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
	EnableDNS64                 bool   `json:",omitempty"` // this and the next three are only stored
	ResourceNameDNSA            bool   `json:",omitempty"` // EnableResourceNameDnsARecordOnLaunch
	ResourceNameDNSAAAA         bool   `json:",omitempty"` // EnableResourceNameDnsAAAARecordOnLaunch
	HostnameType                string `json:",omitempty"` // HostnameResourceName; empty: HostnameIPName
	Tags                        Tags   `json:",omitempty"`
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
	Associations   []GroupAssociation `json:",omitempty"` // with further VPCs, in order of creation
	Observe        time.Time          `json:",omitzero"`  // until then its interfaces observe
	Tags           Tags               `json:",omitempty"`
}

// GroupAssociation lets interfaces of a further VPC carry a group.
type GroupAssociation struct {
	VPC     VPCID
	Created time.Time
	Ended   time.Time `json:",omitzero"` // disassociated; shown for a while
}

// Rule allows one protocol and port range to or from one Peer.
type Rule struct {
	ID          RuleID
	Number      uint32 // unique in the installation, never 0, never used again; how the datapath names the rule
	First       uint32 `json:",omitempty"` // the number it was made with, if it was modified since
	Egress      bool
	Protocol    Protocol
	From, To    int32 // tcp, udp: ports, inclusive; icmp, icmpv6: type and code, -1 for all; others: -1, -1
	Peer        Peer
	PeerVPC     VPCID     `json:",omitempty"` // of Peer.Group, if it is not the group's own
	Peering     PeeringID `json:",omitempty"` // that joined it when the rule was made; "": an association did
	Description string    `json:",omitempty"`
	Changed     int64     `json:",omitempty"` // since it was made: no State before this revision shows it as it is, tags aside
	Tags        Tags      `json:",omitempty"`
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
	ID          InterfaceID
	VPC         VPCID
	Subnet      SubnetID
	Created     time.Time
	Description string       `json:",omitempty"`
	MAC         MAC          // unique in the installation
	IPv4        []netip.Addr // primary first
	IPv6        []netip.Addr `json:",omitempty"`
	// Prefixes are delegated to the interface: /28 of its subnet's IPv4 block, /80 of its IPv6 block.
	// Every address in them is the interface's own.
	IPv4Prefixes    []netip.Prefix     `json:",omitempty"`
	IPv6Prefixes    []netip.Prefix     `json:",omitempty"`
	PrimaryIPv6     bool               `json:",omitempty"` // the first IPv6 address stays as long as the interface
	Tracking        ConnectionTracking `json:",omitzero"`
	Groups          []GroupID          // at least one, as the caller ordered them
	SourceDestCheck bool
	Attachment      *Attachment `json:",omitempty"` // nil: available
	Binding         *Binding    `json:",omitempty"` // nil: no host device carries it
	Observe         time.Time   `json:",omitzero"`  // until then what no rule allows passes
	ClientToken     string      `json:",omitempty"`
	TokenHash       string      `json:",omitempty"` // of the request that ClientToken came with
	Tags            Tags        `json:",omitempty"`
}

// ConnectionTracking are the idle timeouts of an ENI's connections; 0 stands for EC2's default.
type ConnectionTracking struct {
	TCPEstablished int32 `json:",omitempty"` // seconds, 60 to 432000
	UDP            int32 `json:",omitempty"` // seconds, 30 to 60: seen in one direction only
	UDPStream      int32 `json:",omitempty"` // seconds, 60 to 180: seen in both
}

// PrefixList is a managed prefix list: CIDRs under one id that rules can name. Its entries are in a
// PrefixListVersion of their own, so that a change of the name does not write a thousand CIDRs.
type PrefixList struct {
	ID          PrefixListID
	Created     time.Time
	Name        string
	IPv6        bool   // the family of all its entries
	MaxEntries  int    // what the list counts for in a rule quota
	Version     int64  // the current one; the first is 1
	Oldest      int64  // the oldest version that is kept
	Modified    bool   `json:",omitempty"` // the last change was one of ModifyManagedPrefixList …
	Restored    bool   `json:",omitempty"` // … or RestoreManagedPrefixListVersion: it names the state
	Failed      string `json:",omitempty"` // why the last change did not come about
	ClientToken string `json:",omitempty"`
	TokenHash   string `json:",omitempty"`
	Tags        Tags   `json:",omitempty"`
}

// PrefixListVersion is what a list held, or holds: versions never change.
type PrefixListVersion struct {
	List    PrefixListID
	Number  int64
	Entries []PrefixListEntry // sorted by CIDR, none twice
}

// PrefixListEntry is one CIDR of a list.
type PrefixListEntry struct {
	CIDR        netip.Prefix // masked
	Description string       `json:",omitempty"`
}

// PeeringStatus is EC2's code of a peering connection's state.
type PeeringStatus string

// States of a peering connection. Those that EC2 only passes through are left out.
const (
	PeeringPending  PeeringStatus = "pending-acceptance"
	PeeringActive   PeeringStatus = "active"
	PeeringRejected PeeringStatus = "rejected"
	PeeringExpired  PeeringStatus = "expired"
	PeeringFailed   PeeringStatus = "failed"
	PeeringDeleted  PeeringStatus = "deleted"
)

// PeeringConnection joins two VPCs: each may name the other's groups, and packets pass between them.
type PeeringConnection struct {
	ID                  PeeringID
	Requester, Accepter VPCID
	// The blocks of either VPC as they were when the connection was last alive: a VPC may be gone. The
	// accepter's show from its acceptance on, as in EC2.
	RequesterCIDRs, AccepterCIDRs []netip.Prefix
	Status                        PeeringStatus
	Created                       time.Time
	Ended                         time.Time      `json:",omitzero"` // rejected, expired, failed or deleted
	RequesterOptions              PeeringOptions `json:",omitzero"`
	AccepterOptions               PeeringOptions `json:",omitzero"`
	Tags                          Tags           `json:",omitempty"`
}

// PeeringOptions are of one side of a peering connection; they are only stored.
type PeeringOptions struct {
	AllowDNSResolutionFromRemoteVPC            bool `json:",omitempty"`
	AllowEgressFromLocalClassicLinkToRemoteVPC bool `json:",omitempty"`
	AllowEgressFromLocalVPCToRemoteClassicLink bool `json:",omitempty"`
}

// InsightsPath is a question about reachability that can be analysed again and again.
type InsightsPath struct {
	ID                  InsightsPathID
	Created             time.Time
	Source, Destination string         // ids of an interface or instance; Destination may be empty
	SourceIP            netip.Addr     `json:",omitzero"`
	DestinationIP       netip.Addr     `json:",omitzero"`
	Protocol            Protocol       // TCP or UDP
	DestinationPort     int32          `json:",omitempty"` // 0: any
	AtSource            InsightsFilter `json:",omitzero"`
	AtDestination       InsightsFilter `json:",omitzero"`
	ClientToken         string         `json:",omitempty"`
	TokenHash           string         `json:",omitempty"`
	Tags                Tags           `json:",omitempty"`
}

// InsightsFilter narrows the packets of an InsightsPath at one end; zero values admit everything.
type InsightsFilter struct {
	Source, Destination           netip.Prefix `json:",omitzero"`
	SourcePorts, DestinationPorts [2]int32     `json:",omitzero"`
}

// InsightsAnalysis is the answer to an InsightsPath at one revision.
type InsightsAnalysis struct {
	ID          InsightsAnalysisID
	Path        InsightsPathID
	Started     time.Time
	Revision    int64    // of the State that was looked at
	Through     []string `json:",omitempty"` // ARNs that the way had to pass
	Without     []string `json:",omitempty"` // ARNs that it could not
	Found       bool
	Findings    json.RawMessage // who may pass, or why not; the analysis' own form
	ClientToken string          `json:",omitempty"`
	TokenHash   string          `json:",omitempty"`
	Tags        Tags            `json:",omitempty"`
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
	DisableAPIStop        bool      `json:",omitempty"`
	TerminateOnShutdown   bool      `json:",omitempty"` // only stored: no lab guest can shut itself down
	ClientToken           string    `json:",omitempty"`
	TokenHash             string    `json:",omitempty"`
	Tags                  Tags      `json:",omitempty"`
}

// Host is a machine with an agent.
type Host struct {
	ID  HostID
	Lab bool // it runs lab guests
}

// LabOutside are the addresses, IPv4 and IPv6, under which lab guests see their host.
// Source: RFC 5737 (TEST-NET-2), RFC 3849.
var LabOutside = [2]netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:ffff::1")}

// User is a person or program that calls the API, with access keys of its own.
type User struct {
	Name     string // admin
	Created  time.Time
	Role     Role
	Disabled bool   `json:",omitempty"` // none of its keys and sessions works
	Password []byte `json:",omitempty"` // for the console: its hash, encrypted as secrets are; nil: none
}

// Role says what a user may call.
type Role string

// The roles.
const (
	Administrator Role = "administrator" // everything
	Reader        Role = "reader"        // what changes nothing
)

// AccessKey signs requests of one user of the account. With Expires it is that of a session: its
// requests carry the token, too, and it is gone some time after its end.
type AccessKey struct {
	ID       AccessKeyID
	User     string
	Sealed   []byte      // the secret, encrypted with a key that is not in the store
	Created  time.Time   `json:",omitzero"`
	Disabled bool        `json:",omitempty"`
	Expires  time.Time   `json:",omitzero"`
	Token    []byte      `json:",omitempty"` // SHA-256 of the session's token
	Parent   AccessKeyID `json:",omitempty"` // that the session was asked for with: it ends with it

	// Console is the session of the console that the key was made for, and ends with. Such a key has no
	// Parent, and Expires.
	Console ConsoleSessionID `json:",omitempty"`
}

// ConsoleSession is a browser in which a user is signed in to the console. It knows its session by a
// cookie, and gets keys for a short time by it.
type ConsoleSession struct {
	ID      ConsoleSessionID
	User    string
	Created time.Time
	Expires time.Time   // if it is not renewed before
	Until   time.Time   // when it ends in any case
	Parent  AccessKeyID `json:",omitempty"` // with which the token was made that began it: it ends with it
}

// SignInToken signs its user in to the console, once.
type SignInToken struct {
	ID      SignInTokenID
	User    string
	Created time.Time
	Expires time.Time
	Parent  AccessKeyID // that it was asked for with: it ends with it
}

// Installation is the one object that every State has.
type Installation struct {
	Account    AccountID
	Region     string
	ULA        netip.Prefix      // /48 of fd00::/8, drawn once
	NextRule   uint32            // number of the next rule
	NextIPv6   uint8             // index of the next /56 to try
	DefaultVPC VPCID             `json:",omitempty"`
	Quotas     map[QuotaName]int `json:",omitempty"` // set by the operator; what is not in it is EC2's default
}
