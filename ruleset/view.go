// Package ruleset says what an interface may send and receive, and why. Resolve finds what one host
// needs to know of a State (a View), a Compiler turns a View into Tables for the datapath, Evaluate
// judges a packet the slow and obvious way, and is what Explain prints. It is pure: no clock, no
// I/O, no goroutine.
package ruleset

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// View is all that one host needs to know: its interfaces, the groups that they carry, and the
// prefix lists and members of groups that those name. Values are immutable; a Delta makes the next View.
type View struct {
	Revision int64 // of the State that it was resolved from
	ENIs     map[vpc.InterfaceID]ENI
	Groups   map[vpc.GroupID]Group
	Members  map[vpc.InterfaceID]Member
	Lists    map[vpc.PrefixListID][]netip.Prefix // sorted by address, then length; masked, none twice

	patch *MemberPatch // from which View.Apply made Members; nil: it did not
}

// ENI is an interface bound to a device of this host.
type ENI struct {
	ID              vpc.InterfaceID
	Domain          vpc.VPCID // whose members its rules mean
	MAC             vpc.MAC
	Addresses       []netip.Addr   // its own, of both families, sorted
	Prefixes        []netip.Prefix // delegated to it, sorted: /28 and /80, every address in them is its own
	Routers         []netip.Addr   // of its subnet: exempt from the rules for ARP and ND alone
	Groups          []vpc.GroupID
	SourceDestCheck bool
	Timeouts        Timeouts
	Observe         time.Time // until then what no rule allows passes; zero: it is dropped
}

// Timeouts say how long a connection lives without a packet; 0: EC2's default.
type Timeouts struct {
	TCPEstablished time.Duration
	UDPStream      time.Duration // after more than one request and response
	UDP            time.Duration
}

// Group is a security group as a host sees it: its rules.
type Group struct {
	ID    vpc.GroupID
	Rules []vpc.Rule // of both directions
}

// Member is an interface, anywhere, that carries at least one group named by a rule of the View.
type Member struct {
	ID        vpc.InterfaceID
	Domains   []vpc.VPCID    // where its addresses mean it: its VPC and the active peers of that, as far as this host has interfaces there; sorted
	Addresses []netip.Addr   // of both families, sorted
	Prefixes  []netip.Prefix // as an ENI's: no address is two members' in one domain
	Groups    []vpc.GroupID  // only those named by a rule of the View, sorted
}

// Delta turns one View into the next. What is named in both a changed and a removed part is an
// error of the sender.
type Delta struct {
	From, To       int64 // revisions; From 0: Changed is a whole View (a snapshot)
	ENIs           map[vpc.InterfaceID]ENI
	Groups         map[vpc.GroupID]Group
	Members        map[vpc.InterfaceID]Member
	Lists          map[vpc.PrefixListID][]netip.Prefix
	RemovedENIs    []vpc.InterfaceID
	RemovedGroups  []vpc.GroupID
	RemovedMembers []vpc.InterfaceID
	RemovedLists   []vpc.PrefixListID
}
