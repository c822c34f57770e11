// Package feed is the stream between a server and the agent of one host: both ends of it, and the
// certificates that they know each other by. The server sends what the host's View and lab guests
// became, one Delta at a time; the agent answers once that is in force, or why it is not.
//
// The host is who its certificate says. Resources have names and versions, so a reconnect costs
// only the difference, and a slow host gets merged Deltas instead of a queue.
package feed

import (
	"net/netip"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Update is one step of a host to a newer revision.
type Update struct {
	Revision int64 // of the State that it leads to
	Snapshot bool  // what is not named is gone
	// Delta leads from the View at the last Update that was applied; From is 0 for a snapshot.
	Delta         ruleset.Delta
	Guests        map[vpc.InstanceID]Guest // new or changed; all of them in a snapshot
	RemovedGuests []vpc.InstanceID         // sorted; nothing of them is to be left
}

// Guest is a lab guest that a host is to run, or to have stopped.
type Guest struct {
	ID         vpc.InstanceID
	Run        bool             // false: stop it and report GuestStatus
	UserData   []byte           // decoded
	Interfaces []GuestInterface // by device index
}

// GuestInterface is an ENI of a lab guest with what its namespace needs to know of the network.
type GuestInterface struct {
	ENI         vpc.InterfaceID
	DeviceIndex int
	MAC         vpc.MAC
	// Addresses are its own with the subnet's length (10.0.1.5/24): IPv4, then IPv6, primary first; then
	// the first address of each prefix that is delegated to it.
	Addresses []netip.Prefix
	VPC       vpc.VPCID
	Subnet    vpc.SubnetID
	Routers   []netip.Prefix // the router's address of each family, with the subnet's length
	VPCCIDRs  []netip.Prefix // of both families, masked
	Peers     []vpc.VPCID    // with an active peering connection, sorted
}

// GuestStatus is what became of a lab guest.
type GuestStatus struct {
	Instance vpc.InstanceID
	Running  bool   // false: its namespace is gone, or could not be made
	Reason   string // why it is not running, if that was not asked for
}

// Binding is a claim: a device of this host carries an ENI.
type Binding struct {
	ENI       vpc.InterfaceID
	Device    string // name on the host: tap7
	GuestName string // domain, container or pod, when known
}

// BindingResult is the server's answer to a claim.
type BindingResult struct {
	ENI    vpc.InterfaceID
	Device string
	Error  string // why it is refused; empty: accepted
}
