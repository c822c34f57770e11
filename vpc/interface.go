package vpc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// NewInterface is what CreateNetworkInterface is told.
type NewInterface struct {
	Subnet            SubnetID
	Description       string
	Addresses         Addresses
	PrimaryIPv6       bool // the first IPv6 address, which there must be, is to stay
	Tracking          ConnectionTracking
	Groups            []GroupID // empty: the VPC's default group
	TagSpecifications []TagSpecification
	ClientToken       string // "": none
}

// CreateNetworkInterface makes an interface that is attached to nothing. The same ClientToken with
// the same request returns the interface that it made the first time.
func (s *State) CreateNetworkInterface(env Env, in NewInterface) (*NetworkInterface, Change, error) {
	return s.createInterface(env, in, MAC{})
}

// NewAdopted is what AdoptNetworkInterface is told.
type NewAdopted struct {
	Subnet            SubnetID
	Description       string
	MAC               string // of the guest, unicast; "": the server chooses
	IPv4              string // "": the server chooses
	IPv6              []string
	Groups            []GroupID // empty: the VPC's default group
	TagSpecifications []TagSpecification
	ClientToken       string // "": none
}

// AdoptNetworkInterface makes an interface for a guest that has its MAC and its addresses already.
func (s *State) AdoptNetworkInterface(env Env, in NewAdopted) (*NetworkInterface, Change, error) {
	mac := MAC{}
	if in.MAC != "" {
		m, err := ParseMAC(in.MAC)
		if err != nil || m[0]&1 == 1 || m == (MAC{}) {
			return nil, Change{}, errValue(in.MAC, "macAddress")
		}
		mac = m
	}
	return s.createInterface(env, NewInterface{
		Subnet: in.Subnet, Description: in.Description, Groups: in.Groups,
		Addresses:         Addresses{Primary: in.IPv4, IPv6: in.IPv6},
		TagSpecifications: in.TagSpecifications, ClientToken: in.ClientToken,
	}, mac)
}

func (s *State) createInterface(env Env, in NewInterface, mac MAC) (*NetworkInterface, Change, error) {
	hash := requestHash(struct {
		NewInterface
		MAC MAC
	}{in, mac})
	if err := validToken(in.ClientToken, maxText); err != nil {
		return nil, Change{}, err
	}
	if in.ClientToken != "" {
		if made := s.eni(s.one(byClientToken, string(KindInterface)+"/"+in.ClientToken)); made != nil {
			if made.TokenHash != hash {
				return nil, Change{}, errTokenReused()
			}
			return made, Change{}, nil
		}
	}
	tags, err := specifiedTags(in.TagSpecifications, "network-interface")
	if err != nil {
		return nil, Change{}, err
	}
	if other := s.InterfaceWithMAC(mac); other != nil {
		return nil, Change{}, Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter macAddress is invalid. The network interface '%s' has it.", mac, other.ID)
	}
	d := s.draft()
	eni, err := d.newInterface(env, in, mac)
	if err != nil {
		return nil, Change{}, err
	}
	eni.Tags = tags["network-interface"]
	if in.ClientToken != "" {
		eni.ClientToken, eni.TokenHash = in.ClientToken, hash
	}
	d.put(eni)
	return eni, d.change(), nil
}

// newInterface makes an interface and leaves putting it to the caller. Tags and token are not set; a
// zero MAC is replaced by a free one.
func (d *draft) newInterface(env Env, in NewInterface, mac MAC) (*NetworkInterface, error) {
	n, err := d.findSubnet(in.Subnet)
	if err != nil {
		return nil, err
	}
	if d.Count(KindInterface) >= d.Quota(InterfacesPerRegion) {
		return nil, Errorf(CodeNetworkInterfaceLimitExceeded, "The maximum number of network interfaces has been reached.")
	}
	if err := validInterfaceDescription(in.Description); err != nil {
		return nil, err
	}
	groups, err := d.groupsFor(n.VPC, in.Groups, func(g GroupID) error {
		return Errorf(CodeInvalidParameter, "Security group %s and subnet %s belong to different networks.", g, n.ID)
	})
	if err != nil {
		return nil, err
	}
	if err := in.Tracking.validate(); err != nil {
		return nil, err
	}
	eni := &NetworkInterface{
		ID: InterfaceID(env.ID("eni")), VPC: n.VPC, Subnet: n.ID, Created: env.Now, Description: in.Description, MAC: mac,
		PrimaryIPv6: in.PrimaryIPv6, Tracking: in.Tracking, Groups: groups, SourceDestCheck: true,
	}
	if err := d.firstAddresses(n, eni, in.Addresses); err != nil {
		return nil, err
	}
	if eni.PrimaryIPv6 && len(eni.IPv6) == 0 {
		return nil, errNoPrimaryIPv6()
	}
	if mac == (MAC{}) {
		eni.MAC = d.freeMAC(string(eni.ID))
	}
	return eni, nil
}

func validInterfaceDescription(s string) error {
	if len([]rune(s)) > maxText {
		return Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter description is invalid. It may have %d characters.", s, maxText)
	}
	return nil
}

// groupsFor checks the groups that an interface of a VPC is to have, and drops repetitions. None at
// all means the default group. foreign makes the error for a group of another VPC.
func (s *State) groupsFor(v VPCID, ids []GroupID, foreign func(GroupID) error) ([]GroupID, error) {
	if len(ids) == 0 {
		g := s.DefaultGroup(v)
		if g == nil {
			return nil, errNoGroup(defaultGroupName)
		}
		return []GroupID{g.ID}, nil
	}
	var groups []GroupID
	for _, id := range ids {
		if !strings.HasPrefix(string(id), groupIDStart) { // a name, where only ids are taken
			return nil, errNoGroup(string(id))
		}
		g, err := s.findGroup(id)
		if err != nil {
			return nil, err
		}
		if !g.reaches(v) {
			return nil, foreign(id)
		}
		if !slices.Contains(groups, id) {
			groups = append(groups, id)
		}
	}
	if len(groups) > s.Quota(SecurityGroupsPerInterface) {
		return nil, Errorf(CodeSecurityGroupsPerInterfaceLimit,
			"The maximum number of security groups per interface has been reached.")
	}
	return groups, nil
}

func errDifferentNetworks(GroupID) error {
	return Errorf(CodeInvalidGroupNotFound, "You have specified two resources that belong to different networks.")
}

// requestHash tells one request from another. in is plain data.
func requestHash(in any) string {
	b, err := json.Marshal(in)
	if err != nil {
		panic(err) // a type that cannot be marshalled is a mistake in this package
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// validToken refuses a ClientToken that EC2 would not take: it is of printable ASCII. "" is none.
func validToken(token string, most int) error {
	if len(token) > most || strings.ContainsFunc(token, func(c rune) bool { return c < ' ' || c > '~' }) {
		return Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter clientToken is invalid. It may have %d ASCII characters.", token, most)
	}
	return nil
}

func errTokenReused() *Error {
	return Errorf(CodeIdempotentParameterMismatch,
		"The client token you have provided is associated with a resource that was made with different parameters.")
}

// findInterface returns the interface with that id, or InvalidNetworkInterfaceId.Malformed or
// InvalidNetworkInterfaceID.NotFound.
func (s *State) findInterface(id InterfaceID) (*NetworkInterface, error) {
	if _, err := ParseInterfaceID(string(id)); err != nil {
		return nil, err
	}
	if eni := s.NetworkInterface(id); eni != nil {
		return eni, nil
	}
	return nil, errInterfaceNotFound(id)
}

func errInterfaceNotFound(id InterfaceID) *Error {
	return Errorf(CodeInvalidNetworkInterfaceIDNotFound, "The networkInterface ID '%s' does not exist", id)
}

// DeleteNetworkInterface removes an interface that is attached to nothing.
func (s *State) DeleteNetworkInterface(id InterfaceID) (Change, error) {
	eni, err := s.findInterface(id)
	if err != nil {
		return Change{}, err
	}
	if eni.Attachment != nil {
		return Change{}, Errorf(CodeInvalidParameterValue, "Network interface '%s' is currently in use.", id)
	}
	d := s.draft()
	d.delete(eni.Key())
	return d.change(), nil
}

// maxInstanceInterfaces is how many interfaces an instance may have: what the largest EC2 instance
// types allow on one network card.
const maxInstanceInterfaces = 15

// NewAttachment is what AttachNetworkInterface is told.
type NewAttachment struct {
	Interface   InterfaceID
	Instance    InstanceID
	DeviceIndex int
}

// AttachNetworkInterface attaches an interface to a running or stopped lab guest, and returns the
// interface as it is then. It stays when the instance is terminated.
func (s *State) AttachNetworkInterface(env Env, in NewAttachment) (*NetworkInterface, Change, error) {
	eni, err := s.findInterface(in.Interface)
	if err != nil {
		return nil, Change{}, err
	}
	i, err := s.findInstance(in.Instance)
	if err != nil {
		return nil, Change{}, err
	}
	if eni.Attachment != nil {
		return nil, Change{}, errInterfaceInUse(eni.ID)
	}
	if i.State != Running && i.State != Stopped {
		return nil, Change{}, Errorf(CodeIncorrectInstanceState,
			"The instance '%s' is not in the 'running' or 'stopped' state.", i.ID)
	}
	if i.Image == ImageExternal {
		return nil, Change{}, Errorf(CodeUnsupportedOperation, "The instance '%s' stands for a guest that was not "+
			"started through this API: bind its device to the interface instead.", i.ID)
	}
	if in.DeviceIndex < 0 || in.DeviceIndex >= maxInstanceInterfaces {
		return nil, Change{}, errValue(in.DeviceIndex, "deviceIndex")
	}
	enis := s.InterfacesByIndex(i.ID)
	for _, other := range enis {
		switch {
		case other.Attachment.DeviceIndex == in.DeviceIndex:
			return nil, Change{}, Errorf(CodeInvalidParameterValue,
				"Instance '%s' already has an interface attached at device index '%d'.", i.ID, in.DeviceIndex)
		case other.VPC != eni.VPC:
			return nil, Change{}, Errorf(CodeInvalidParameterCombination,
				"You may not attach a network interface to an instance if they are not in the same VPC")
		case s.Subnet(other.Subnet).Zone != s.Subnet(eni.Subnet).Zone:
			return nil, Change{}, Errorf(CodeInvalidParameterCombination,
				"You may not attach a network interface to an instance if they are not in the same availability zone")
		}
	}
	if len(enis) >= maxInstanceInterfaces {
		return nil, Change{}, Errorf(CodeAttachmentLimitExceeded,
			"Interface count %d exceeds the limit for %s", len(enis)+1, i.Type)
	}
	c := *eni
	c.Attachment = &Attachment{
		ID: AttachmentID(env.ID("eni-attach")), Instance: i.ID, DeviceIndex: in.DeviceIndex, Time: env.Now,
	}
	d := s.draft()
	d.put(&c)
	return &c, d.change(), nil
}

func errInterfaceInUse(id InterfaceID) *Error {
	return Errorf(CodeInvalidNetworkInterfaceInUse, "Interface: [%s] in use.", id)
}

// DetachNetworkInterface ends an attachment. The primary interface of an instance stays, and so does
// what a host's device carries for a guest that was not started through this API.
func (s *State) DetachNetworkInterface(id AttachmentID) (Change, error) {
	if err := validAttachmentID(id); err != nil {
		return Change{}, err
	}
	eni := s.InterfaceOfAttachment(id)
	if eni == nil {
		return Change{}, errNoAttachment(id)
	}
	if eni.Attachment.DeviceIndex == 0 {
		return Change{}, Errorf(CodeOperationNotPermitted,
			"The network interface at device index 0 and networkCard index 0 cannot be detached.")
	}
	if i := s.Instance(eni.Attachment.Instance); i != nil && i.Image == ImageExternal && eni.Binding != nil {
		return Change{}, Errorf(CodeUnsupportedOperation,
			"Device %s of host %s carries the network interface: unbind it there.", eni.Binding.Device, eni.Binding.Host)
	}
	c := *eni
	c.Attachment = nil
	d := s.draft()
	d.put(&c)
	return d.change(), nil
}

func errNoAttachment(id AttachmentID) *Error {
	return Errorf(CodeInvalidAttachmentIDNotFound, "The network interface attachment ID '%s' does not exist", id)
}

// Status returns EC2's status of the interface.
func (e *NetworkInterface) Status() string {
	if e.Attachment != nil {
		return "in-use"
	}
	return "available"
}

// InterfaceQuery selects interfaces: those with the ids, or all, that pass the filters.
type InterfaceQuery struct {
	IDs     []InterfaceID // not together with Page.Max
	Filters []Filter
	Page    Page
}

// DescribeNetworkInterfaces returns the interfaces in order of creation and the token of the next
// page. An unknown id fails the whole call.
func (s *State) DescribeNetworkInterfaces(in InterfaceQuery) ([]*NetworkInterface, string, error) {
	if len(in.IDs) > 0 && in.Page.Max != nil {
		return nil, "", errCombination("networkInterfaceIds", "maxResults")
	}
	where, err := interfaceFields.Where(s, in.Filters, func(e *NetworkInterface) Tags { return e.Tags })
	if err != nil {
		return nil, "", err
	}
	out, err := asked(in.IDs, s.NetworkInterfaces(), s.findInterface, where)
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "network-interface", func(e *NetworkInterface) string { return createdKey(e.Created, e.ID) }, in.Page)
}

// PrivateDNSName returns the name that EC2 gives an IPv4 address: ip-10-0-0-5.ec2.internal. No server
// here resolves it.
func (s *State) PrivateDNSName(ipv4 string) string {
	domain := s.Installation().Region + ".compute.internal"
	if s.Installation().Region == "us-east-1" {
		domain = "ec2.internal"
	}
	return "ip-" + strings.ReplaceAll(ipv4, ".", "-") + "." + domain
}
