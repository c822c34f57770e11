package vpc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// defaultInstanceType is the type of an instance for which none was asked. It means nothing here.
const defaultInstanceType = "m1.small"

const (
	maxUserData        = 16 << 10 // bytes, decoded; source: EC2 user guide, "Instance user data"
	maxToken           = 64       // characters; source: EC2 API reference, RunInstances
	maxInstancesOfCall = 1000

	// What one call may make: half of what the store writes at once. The rest is for the terminated
	// instances that go with it, and for tags.
	maxObjectsOfCall  = 2000    // instances and their interfaces
	maxUserDataOfCall = 2 << 20 // bytes, decoded, of all its instances
)

// NewInstances is what RunInstances is told.
type NewInstances struct {
	Image                 string
	Type                  string // "": m1.small
	Min, Max              int
	Zone                  string      // name or id; "": the subnet's
	Interfaces            []LaunchENI // one of device index 0; empty: one is made from Instance
	Primary               LaunchENI   // without Interfaces: the primary interface; its Device and Existing stay unset
	GroupNames            []string    // of Primary, in the default VPC
	KeyName               string
	UserData              []byte
	DisableAPITermination bool
	DisableAPIStop        bool
	TerminateOnShutdown   bool
	TagSpecifications     []TagSpecification
	ClientToken           string // "": none
}

// LaunchENI is an interface of instances to be launched.
type LaunchENI struct {
	DeviceIndex         *int
	Existing            InterfaceID // "": a new one is made
	Subnet              SubnetID    // "": the default subnet of the zone
	Description         string
	Groups              []GroupID // empty: the VPC's default group
	Addresses           Addresses
	PrimaryIPv6         bool
	Tracking            ConnectionTracking
	DeleteOnTermination *bool // nil: true for a new interface, false for an existing one
}

// RunInstances makes lab guests, pending until a host runs them, and returns them in launch order.
// The same ClientToken with the same request returns the instances that it made the first time.
func (s *State) RunInstances(env Env, in NewInstances) ([]*Instance, Change, error) {
	hash := requestHash(in)
	if err := validToken(in.ClientToken, maxToken); err != nil {
		return nil, Change{}, err
	}
	if in.ClientToken != "" {
		made := slices.Collect(via(s, byClientToken, string(KindInstance)+"/"+in.ClientToken, s.instanceByID))
		if len(made) > 0 {
			if made[0].TokenHash != hash {
				return nil, Change{}, errTokenReused()
			}
			slices.SortFunc(made, func(a, b *Instance) int { return a.LaunchIndex - b.LaunchIndex })
			return made, Change{}, nil
		}
	}
	if err := s.validLaunch(in); err != nil {
		return nil, Change{}, err
	}
	tags, err := specifiedTags(in.TagSpecifications, "instance", "network-interface", "volume") // lab guests have no volumes
	if err != nil {
		return nil, Change{}, err
	}
	d := s.draft()
	interfaces, err := d.launchInterfaces(in)
	if err != nil {
		return nil, Change{}, err
	}
	if in.ClientToken == "" {
		hash = ""
	}
	var made []*Instance
	reservation := ReservationID(env.ID("r"))
	for n := range in.Max {
		before := d.State
		i := &Instance{
			ID: InstanceID(env.ID("i")), Reservation: reservation, Image: in.Image, Type: in.Type,
			State: Pending, LaunchIndex: n, Created: env.Now, Launched: env.Now, KeyName: in.KeyName, UserData: in.UserData,
			DisableAPITermination: in.DisableAPITermination, DisableAPIStop: in.DisableAPIStop,
			TerminateOnShutdown: in.TerminateOnShutdown, Tags: tags["instance"],
			ClientToken: in.ClientToken, TokenHash: hash,
		}
		if i.Type == "" {
			i.Type = defaultInstanceType
		}
		err := d.launch(env, i, interfaces, tags["network-interface"])
		if len(in.Interfaces) == 0 {
			err = ofInstance(err)
		}
		if err != nil && n >= in.Min && outOfRoom(err) {
			d.State = before // fewer than the most that was asked for, and no fewer than the least
			break
		}
		if err != nil {
			return nil, Change{}, err
		}
		made = append(made, i)
	}
	return made, d.change(), nil
}

// outOfRoom reports whether an error says that there is no room for one more instance.
func outOfRoom(err error) bool {
	switch CodeOf(err) {
	case CodeInsufficientFreeAddressesInSubnet, CodeInsufficientCidrBlocks, CodeInsufficientInstanceCapacity,
		CodeNetworkInterfaceLimitExceeded:
		return true
	default:
		return false
	}
}

// validLaunch refuses what does not depend on the network.
func (s *State) validLaunch(in NewInstances) error {
	if in.Image == "" {
		return errMissing("ImageId")
	}
	img, err := findImage(in.Image)
	if err != nil {
		return err
	}
	p := in.Primary
	_, knownZone := s.zone(in.Zone)
	switch {
	case img.ID == ImageExternal:
		return Errorf(CodeUnsupportedOperation,
			"The image '%s' stands for guests that were not started through this API: it cannot be run.", img.ID)
	case in.Max < 1:
		return Errorf(CodeInvalidParameterValue,
			"Value (%d) for parameter maxCount is invalid. The maximum number of instances must be greater than 0.", in.Max)
	case in.Min < 1:
		return Errorf(CodeInvalidParameterValue,
			"Value (%d) for parameter minCount is invalid. The minimum number of instances must be greater than 0.", in.Min)
	case in.Min > in.Max:
		return Errorf(CodeInvalidParameterValue,
			"Value (%d) for parameter maxCount is invalid. It must be greater than or equal to minCount (%d).", in.Max, in.Min)
	case in.Max > maxInstancesOfCall:
		return Errorf(CodeInstanceLimitExceeded, "Your quota allows for %d instances of one request; %d were asked for.",
			maxInstancesOfCall, in.Max)
	case in.Max*(1+max(1, len(in.Interfaces))) > maxObjectsOfCall:
		return Errorf(CodeResourceCountExceeded, "One request may make at most %d instances and network interfaces together. "+
			"Launch fewer instances at a time.", maxObjectsOfCall)
	case in.Type != "" && !validInstanceType(in.Type):
		return errInstanceType(in.Type)
	case len(in.UserData) > maxUserData:
		return errUserData()
	case in.Max*len(in.UserData) > maxUserDataOfCall:
		return Errorf(CodeResourceCountExceeded, "The instances of one request may have at most %d bytes of user data together. "+
			"Launch fewer instances at a time.", maxUserDataOfCall)
	case in.Zone != "" && !knownZone:
		return Errorf(CodeInvalidParameterValue, "Invalid availability zone: [%s]", in.Zone)
	case len(in.Interfaces) > 0 && len(p.Groups)+len(in.GroupNames) > 0:
		return errInstanceLevel("an instance-level security groups")
	case len(in.Interfaces) > 0 && p.Subnet != "":
		return errInstanceLevel("an instance-level subnet ID")
	case len(in.Interfaces) > 0 && p.Addresses.Primary != "":
		return errInstanceLevel("an instance-level private IP address")
	case len(in.Interfaces) > 0 && (len(p.Addresses.IPv6) > 0 || p.Addresses.IPv6Count != nil):
		return errInstanceLevel("an instance-level IPv6 address")
	case len(in.Interfaces) > 0 && p.PrimaryIPv6:
		return errInstanceLevel("an instance-level primary IPv6 address")
	case len(in.GroupNames) > 0 && p.Subnet != "":
		return errCombination("groupName", "subnet")
	}
	return nil
}

func errInstanceLevel(what string) *Error {
	return Errorf(CodeInvalidParameterCombination,
		"Network interfaces and %s may not be specified on the same request", what)
}

// launchInterfaces returns the interfaces of each instance, by device index, each with a subnet and
// all in one VPC and zone.
func (d *draft) launchInterfaces(in NewInstances) ([]LaunchENI, error) {
	list := slices.Clone(in.Interfaces)
	if len(list) == 0 {
		p := in.Primary
		p.DeviceIndex = new(int)
		p.Groups = slices.Clone(p.Groups)
		for _, name := range in.GroupNames {
			g, err := d.findGroupNamed(name)
			if err != nil {
				return nil, err
			}
			p.Groups = append(p.Groups, g.ID)
		}
		list = append(list, p)
	}
	if len(list) > maxInstanceInterfaces {
		return nil, Errorf(CodeAttachmentLimitExceeded, "Interface count %d exceeds the limit for %s", len(list), in.Type)
	}
	var first *Subnet
	seen := map[int]bool{}
	for n := range list {
		e := &list[n]
		subnet, err := d.launchSubnet(e, in)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = subnet
		}
		switch {
		case e.DeviceIndex == nil:
			return nil, errMissing("NetworkInterface." + strconv.Itoa(n+1) + ".DeviceIndex")
		case *e.DeviceIndex < 0 || *e.DeviceIndex >= maxInstanceInterfaces:
			return nil, errValue(*e.DeviceIndex, "deviceIndex")
		case seen[*e.DeviceIndex]:
			return nil, Errorf(CodeInvalidParameterValue,
				"Each network interface requires a unique device index.")
		case subnet.VPC != first.VPC:
			return nil, Errorf(CodeInvalidParameterCombination,
				"The network interfaces of an instance must be in the same VPC.")
		case subnet.Zone != first.Zone:
			return nil, Errorf(CodeInvalidParameterCombination,
				"You may not attach a network interface to an instance if they are not in the same availability zone")
		}
		if zone, ok := d.zone(in.Zone); ok && zone.Name != subnet.Zone {
			return nil, Errorf(CodeInvalidParameterValue,
				"The availability zone '%s' does not match the subnet '%s'.", in.Zone, subnet.ID)
		}
		seen[*e.DeviceIndex] = true
		e.Subnet = subnet.ID
	}
	if !seen[0] {
		return nil, Errorf(CodeInvalidParameterCombination,
			"When specifying network interfaces, you must include a device at index 0.")
	}
	slices.SortFunc(list, func(a, b LaunchENI) int { return *a.DeviceIndex - *b.DeviceIndex })
	return list, nil
}

// launchSubnet returns the subnet of an interface: its own, the one that was asked for, or the
// default subnet of the zone.
func (d *draft) launchSubnet(e *LaunchENI, in NewInstances) (*Subnet, error) {
	if e.Existing != "" {
		if in.Max > 1 {
			return nil, Errorf(CodeInvalidParameterCombination,
				"A network interface may not be specified when launching more than one instance.")
		}
		if e.Subnet != "" || len(e.Groups) > 0 || e.Addresses.asks() || e.PrimaryIPv6 || e.Tracking != (ConnectionTracking{}) {
			return nil, Errorf(CodeInvalidParameterCombination, "A network interface may not specify both a network interface ID "+
				"and a subnet, security groups, addresses or connection tracking timeouts.")
		}
		eni, err := d.findInterface(e.Existing)
		if err != nil {
			return nil, err
		}
		if eni.Attachment != nil {
			return nil, errInterfaceInUse(eni.ID)
		}
		return d.Subnet(eni.Subnet), nil
	}
	if in.Max > 1 && e.Addresses.named() {
		return nil, Errorf(CodeInvalidParameterCombination,
			"A private IP address may not be specified when launching more than one instance.")
	}
	if e.Subnet != "" {
		return d.findSubnet(e.Subnet)
	}
	v, err := d.vpcOrDefault("")
	if err != nil {
		return nil, err
	}
	zone, asked := d.zone(in.Zone)
	var best *Subnet
	for n := range d.SubnetsOfVPC(v.ID) {
		if n.DefaultForZone && (!asked || n.Zone == zone.Name) && (best == nil || n.Zone < best.Zone) {
			best = n
		}
	}
	if best == nil {
		return nil, Errorf(CodeMissingInput, "No subnets found for the default VPC '%s'. Please specify a subnet.", v.ID)
	}
	return best, nil
}

// launch puts one instance and its interfaces.
func (d *draft) launch(env Env, i *Instance, interfaces []LaunchENI, tags Tags) error {
	for _, e := range interfaces {
		var eni *NetworkInterface
		var err error
		if e.Existing != "" {
			c := *d.NetworkInterface(e.Existing)
			eni = &c
			if eni.Attachment != nil { // named twice in the call
				return errInterfaceInUse(eni.ID)
			}
		} else {
			eni, err = d.newInterface(env, NewInterface{
				Subnet: e.Subnet, Description: e.Description, Addresses: e.Addresses, Groups: e.Groups,
				PrimaryIPv6: e.PrimaryIPv6, Tracking: e.Tracking,
			}, MAC{})
			if err != nil {
				return err
			}
			eni.Tags = tags
		}
		eni.Attachment = &Attachment{
			ID: AttachmentID(env.ID("eni-attach")), Instance: i.ID, DeviceIndex: *e.DeviceIndex,
			Time: env.Now, DeleteOnTermination: e.Existing == "",
		}
		if e.DeleteOnTermination != nil {
			eni.Attachment.DeleteOnTermination = *e.DeleteOnTermination
		}
		d.put(eni)
	}
	// Last: what the caller got wrong is told before what no host can do now.
	host, err := d.place(d.Subnet(interfaces[0].Subnet).VPC, "")
	if err != nil {
		return err
	}
	i.Host = host
	d.put(i)
	return nil
}

// ofInstance says of an instance what an error says of its interface: too many groups have a code of
// their own where the caller named them for the instance.
func ofInstance(err error) error {
	if CodeOf(err) == CodeSecurityGroupsPerInterfaceLimit {
		return Errorf(CodeSecurityGroupsPerInstanceLimitExceeded,
			"The maximum number of security groups per instance has been reached.")
	}
	return err
}

// findInstance returns the instance with that id, or InvalidInstanceID.Malformed or
// InvalidInstanceID.NotFound.
func (s *State) findInstance(id InstanceID) (*Instance, error) {
	list, err := s.findInstances([]InstanceID{id})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// findInstances returns the instances with those ids, each once. The error names all that are
// unknown.
func (s *State) findInstances(ids []InstanceID) ([]*Instance, error) {
	var found []*Instance
	var unknown []InstanceID
	for n, id := range ids {
		if _, err := ParseInstanceID(string(id)); err != nil {
			return nil, err
		}
		switch i := s.Instance(id); {
		case slices.Contains(ids[:n], id):
		case i == nil:
			unknown = append(unknown, id)
		default:
			found = append(found, i)
		}
	}
	if len(unknown) > 0 {
		return nil, errInstancesNotFound(unknown)
	}
	if len(found) == 0 {
		return nil, Errorf(CodeInvalidParameterCombination, "No instances specified")
	}
	return found, nil
}

func errInstancesNotFound(ids []InstanceID) *Error {
	if len(ids) == 1 {
		return Errorf(CodeInvalidInstanceIDNotFound, "The instance ID '%s' does not exist", ids[0])
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return Errorf(CodeInvalidInstanceIDNotFound, "The instance IDs '%s' do not exist", strings.Join(names, ", "))
}

// InstanceQuery selects instances: those with the ids, or all, that pass the filters.
type InstanceQuery struct {
	IDs     []InstanceID // not together with Page.Max
	Filters []Filter
	Page    Page
}

// DescribeInstances returns the instances in order of launch, those of one reservation next to each
// other, and the token of the next page. An unknown id fails the whole call.
func (s *State) DescribeInstances(in InstanceQuery) ([]*Instance, string, error) {
	if len(in.IDs) > 0 && in.Page.Max != nil {
		return nil, "", errCombination("instancesSet", "maxResults")
	}
	where, err := instanceFields.Where(s, in.Filters, func(i *Instance) Tags { return i.Tags })
	if err != nil {
		return nil, "", err
	}
	list := slices.Collect(s.Instances())
	if len(in.IDs) > 0 {
		if list, err = s.findInstances(in.IDs); err != nil {
			return nil, "", err
		}
	}
	list = slices.DeleteFunc(list, func(i *Instance) bool { return !where(i) })
	return paginate(list, "instance", launchKey, in.Page)
}

// launchKey orders instances by their launch, those of one reservation next to each other.
func launchKey(i *Instance) string {
	return createdKey(i.Created, i.Reservation) + fmt.Sprintf(" %04d ", i.LaunchIndex) + string(i.ID)
}
